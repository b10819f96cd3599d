//! How money and holds are booked: the effects that several kinds of messages have in common.

use smallvec::SmallVec;

use crate::domain::account::{PurseIndex, Split};
use crate::domain::card::CardStatus;
use crate::domain::facts::Purpose;
use crate::domain::programme::Activation;
use crate::domain::time::UnixMs;

use super::case::Case;
use super::entry::{EntryId, EntryState};
use super::event::{Effect, Effects, ExceptionKind};
use super::funds;
use super::ledger::{LedgerAccount, Postings, credit_purses, debit_purses};

/// An entry that is posted as it opens, with its double entry against the network.
pub(super) fn posted_purchase(case: &Case<'_>, split: &Split) -> Effects {
    let to = LedgerAccount::Settlement(case.account().programme);
    let postings = debit_purses(case.account().id, split, to);
    opened_and_posted(case, postings)
}

/// An entry that credits as it opens, and what then offsets purses below zero (rule A34).
pub(super) fn posted_credit(case: &Case<'_>, split: &Split, from: LedgerAccount) -> Effects {
    let postings = credit_purses(case.account().id, split, from);
    let mut effects = opened_and_posted(case, postings);
    effects.extend(offset(case, split));
    effects.extend(activated(case));
    effects
}

/// The first money makes a card usable that a till activates (rule B4).
fn activated(case: &Case<'_>) -> Option<Effect> {
    let is_first = case.facts.purpose == Purpose::Activation
        && case.programme.activation == Activation::ShopTill
        && case.card.status == CardStatus::NotActivated;
    is_first.then_some(Effect::CardActivation { is_active: true })
}

fn opened_and_posted(case: &Case<'_>, postings: Postings) -> Effects {
    let entry = EntryId(case.sequence);
    let currency = case.amount.currency;
    Effects::from_iter([
        entry_opened(case, case.amount.minor, Split::default(), None),
        Effect::Posted {
            entry,
            currency,
            postings,
        },
        Effect::EntryMoved {
            entry,
            state: EntryState::Captured,
        },
    ])
}

/// Opens the entry that the record will be numbered after.
pub(super) fn entry_opened(
    case: &Case<'_>,
    authorized: i64,
    held: Split,
    expires_at: Option<UnixMs>,
) -> Effect {
    Effect::EntryOpened {
        currency: case.amount.currency,
        authorized,
        held,
        expires_at,
        date: case.date,
        refund_of: case.refund_of.map(|entry| entry.id),
    }
}

/// How a refund goes to the purses (rule A13); `None` without a purse of its currency.
pub(super) fn refund_split(case: &Case<'_>) -> Option<Split> {
    let rule = &case.programme.refund;
    let purse = case
        .programme
        .credit_purse(rule.purse, case.amount.currency)?;
    let refill = rule
        .refill_first
        .zip(case.refund_of)
        .map(|(first, purchase)| {
            let paid = purchase.posted.part(first);
            (first, paid.saturating_sub(purchase.refunded))
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
    for (from, minor) in &credited.0 {
        let source = purses.get(from.position())?;
        let mut left = source.available().saturating_add(*minor).min(*minor).max(0);
        for (purse, debt) in &mut debts {
            let part = left.min(*debt);
            if part == 0 || purse == from {
                continue;
            }
            left = left.saturating_sub(part);
            *debt = debt.saturating_sub(part);
            let to = LedgerAccount::Purse(account, *purse);
            postings.extend(debit_purses(account, &Split::whole(*from, part), to));
        }
    }
    (!postings.is_empty()).then_some(Effect::Offset {
        account,
        currency,
        postings,
    })
}

/// An exception of this message.
pub(super) fn exception(kind: ExceptionKind, entry: Option<EntryId>, minor: i64) -> Effect {
    Effect::ExceptionRaised { kind, entry, minor }
}
