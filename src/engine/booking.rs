//! How money and holds are booked: the effects that several kinds of messages have in common.

use smallvec::SmallVec;

use crate::domain::account::{PurseIndex, Split};
use crate::domain::card::CardStatus;
use crate::domain::exchange::Legs;
use crate::domain::facts::Purpose;
use crate::domain::programme::{Activation, Channel};
use crate::domain::time::UnixMs;

use super::case::Case;
use super::entry::{EntryId, EntryState};
use super::event::{Effect, Effects, ExceptionKind};
use super::exchange;
use super::funds::{self, Payment};
use super::ledger::{LedgerAccount, Postings, credit_purses, debit_purses};

/// An entry that is posted as it opens, with its double entry against the network.
pub(super) fn posted_purchase(case: &Case<'_>, payment: Payment) -> Effects {
    let posted = debited(case, EntryId(case.sequence), payment);
    opened_and_posted(case, [Some(posted), None])
}

/// What a payment takes from purses for an entry, with its double entry against the network.
pub(super) fn debited(case: &Case<'_>, entry: EntryId, payment: Payment) -> Effect {
    match payment {
        Payment::Plain(split) => {
            let to = LedgerAccount::Settlement(case.account().programme);
            Effect::Posted {
                entry,
                currency: case.amount.currency,
                postings: debit_purses(case.account().id, &split, to),
            }
        }
        Payment::Exchanged(legs) => exchange::posted(case, entry, *legs, false),
    }
}

/// Sets an entry that holds what its payment would take; it counts.
pub(super) fn hold(case: &Case<'_>, payment: Payment, expires_at: UnixMs, effects: &mut Effects) {
    let expires_at = Some(expires_at);
    // Made where they stay: what is pushed is made elsewhere first, and read back too early.
    match payment {
        Payment::Plain(split) => {
            *effects = vec![entry_opened(case, split, expires_at), counted(case)];
        }
        Payment::Exchanged(legs) => {
            *effects = vec![
                entry_opened(case, Split::default(), expires_at),
                exchange::held(case, EntryId(case.sequence), *legs),
                counted(case),
            ];
        }
    }
}

/// More that an entry holds.
pub(super) fn raised_hold(case: &Case<'_>, entry: EntryId, payment: Payment) -> Effect {
    match payment {
        Payment::Plain(split) => Effect::HoldRaised { entry, split },
        Payment::Exchanged(legs) => exchange::held(case, entry, *legs),
    }
}

/// A refund that credits as it opens; `None` without a purse of its currency.
pub(super) fn posted_refund(case: &Case<'_>) -> Option<Effects> {
    let (split, posted) = refunded(case, EntryId(case.sequence))?;
    let mut effects = opened_and_posted(case, posted);
    effects.extend(offset(case, &split));
    Some(effects)
}

/// What a refund credits: to purses of its currency, and to others that paid for its purchase.
pub(super) fn refunded(case: &Case<'_>, entry: EntryId) -> Option<(Split, [Option<Effect>; 2])> {
    let (split, legs) = match exchange::refund_legs(case) {
        Some(parts) => parts,
        None => (refund_split(case)?, Legs::new()),
    };
    let from = LedgerAccount::Settlement(case.account().programme);
    let plain = (!split.is_empty()).then(|| Effect::Posted {
        entry,
        currency: case.amount.currency,
        postings: credit_purses(case.account().id, &split, from),
    });
    let exchanged = (!legs.is_empty()).then(|| exchange::posted(case, entry, legs, true));
    Some((split, [plain, exchanged]))
}

/// An entry that credits as it opens, and what then offsets purses below zero (rule A34).
pub(super) fn posted_credit(case: &Case<'_>, split: &Split, from: LedgerAccount) -> Effects {
    let posted = Effect::Posted {
        entry: EntryId(case.sequence),
        currency: case.amount.currency,
        postings: credit_purses(case.account().id, split, from),
    };
    let mut effects = opened_and_posted(case, [Some(posted), None]);
    effects.extend(offset(case, split));
    effects.extend(activated(case));
    effects
}

fn opened_and_posted(case: &Case<'_>, posted: [Option<Effect>; 2]) -> Effects {
    let mut effects = Effects::from_iter([entry_opened(case, Split::default(), None)]);
    effects.extend(posted.into_iter().flatten());
    effects.push(Effect::EntryMoved {
        entry: EntryId(case.sequence),
        state: EntryState::Captured,
    });
    effects
}

/// The first money makes a card usable that a till activates (rule B4).
fn activated(case: &Case<'_>) -> Option<Effect> {
    let is_first = case.facts.purpose == Purpose::Activation
        && case.programme.activation == Activation::ShopTill
        && case.card.status == CardStatus::NotActivated;
    is_first.then_some(Effect::CardActivation { is_active: true })
}

/// Opens the entry that the record will be numbered after.
pub(super) fn entry_opened(case: &Case<'_>, held: Split, expires_at: Option<UnixMs>) -> Effect {
    Effect::EntryOpened {
        currency: case.amount.currency,
        authorized: case.amount.minor,
        held,
        expires_at,
        date: case.date,
        refund_of: case.refund_of.map(|entry| entry.id),
    }
}

/// That the amount of a message counts once in the limits of its channel.
pub(super) fn counted(case: &Case<'_>) -> Effect {
    Effect::Counted {
        entry: EntryId(case.sequence),
        // Only spending and loading come here, and both have a channel.
        channel: case.channel().unwrap_or(Channel::Purchase),
        currency: case.amount.currency,
        date: case.date,
        minor: case.amount.minor,
        count: 1,
    }
}

/// How a refund goes to the purses (rule A13); `None` without a purse of its currency.
fn refund_split(case: &Case<'_>) -> Option<Split> {
    let rule = &case.programme.refund;
    let purse = case
        .programme
        .credit_purse(rule.purse, case.amount.currency)?;
    let refill = rule
        .refill_first
        .zip(case.refund_of)
        .map(|(first, purchase)| {
            let paid = purchase.posted.part(first);
            (first, paid.saturating_sub(purchase.refunded()))
        });
    Some(funds::give_back(purse, refill, case.amount.minor))
}

/// How a load goes to the purses (rule A12); `None` without a purse of its currency.
pub(super) fn load_split(case: &Case<'_>) -> Option<Split> {
    let named = case.load_purse();
    let purse = case.programme.credit_purse(named, case.amount.currency)?;
    Some(Split::whole(purse, case.amount.minor))
}

/// After a credit: what moves on to purses of the same currency that are still below zero.
pub(super) fn offset(case: &Case<'_>, credited: &Split) -> Option<Effect> {
    let (account, currency) = (case.account().id, case.amount.currency);
    let purses = &case.account().purses;
    let mut debts: SmallVec<[(PurseIndex, i64); 4]> = purses
        .iter()
        .zip((0_u8..).map(PurseIndex))
        .filter(|(purse, _)| purse.currency == currency)
        .map(|(purse, index)| {
            let after = purse.balance.saturating_add(credited.part(index));
            (index, after.saturating_neg())
        })
        .filter(|(_, debt)| *debt > 0)
        .collect();
    let mut postings = Postings::new();
    for (from, minor) in credited.parts() {
        let source = purses.get(from.position())?;
        let mut left = source.available().saturating_add(minor).min(minor).max(0);
        for (purse, debt) in &mut debts {
            let part = left.min(*debt);
            if part == 0 || *purse == from {
                continue;
            }
            left = left.saturating_sub(part);
            *debt = debt.saturating_sub(part);
            let to = LedgerAccount::Purse(account, *purse);
            postings.extend(debit_purses(account, &Split::whole(from, part), to));
        }
    }
    let is_due = !postings.is_empty() && !planted!(NegativeBalanceNotOffset);
    is_due.then_some(Effect::Offset {
        account,
        currency,
        postings,
    })
}

/// An exception of this message.
pub(super) fn exception(kind: ExceptionKind, entry: Option<EntryId>, minor: i64) -> Effect {
    Effect::ExceptionRaised { kind, entry, minor }
}
