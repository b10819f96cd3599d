//! Decides what operators ask for: cards, holds, transfers, closing, exceptions.

use crate::domain::account::{AccountId, Kyc, PurseIndex, Split};
use crate::domain::card::{Card, CardId, CardStatus};
use crate::domain::pan::CardToken;
use crate::domain::programme::Programme;
use crate::domain::rulebook::Rulebook;
use crate::domain::time::UnixMs;

use super::card_controls;
use super::card_limits;
use super::command::{Answer, NewCard, Outcome};
use super::entry::{EntryId, EntryState};
use super::event::{CardIssued, Event};
use super::ledger::{LedgerAccount, Postings, debit_purses};
use super::operate_card;
use super::operate_end;
use super::operate_holder;
use super::operate_money;
use super::operation::{Done, Operation, Order, OrderRefused};
use super::operation_end::EndOperation;
use super::operation_rules;
use super::state::{AccountRecord, State};

type Decision = Result<Operation, OrderRefused>;

/// Decides an order; `sequence` is the record it would make, `at` its time.
pub(super) fn decide(
    rulebook: &Rulebook,
    state: &State,
    (sequence, at): (u64, UnixMs),
    order: &Order,
) -> Outcome {
    let operation = match order {
        Order::ReleaseHold(entry) => release_hold(state, *entry),
        Order::ChangeCardStatus(card, status) => {
            operate_card::may_change_status(rulebook, state, *card, *status)
                .and_then(|()| change_status(state, *card, *status))
        }
        Order::ReplaceCard { card, status, with } => {
            operate_holder::may_be_replaced(rulebook, state, *card, at)
                .and_then(|()| replace_card(state, *card, *status, with))
        }
        Order::AddDeviceToken {
            card,
            token,
            masked,
        } => add_token(state, *card, *token).map(|()| Operation::DeviceTokenAdded {
            card: *card,
            token: *token,
            masked: *masked,
        }),
        Order::CloseAccount(account) => close(rulebook, state, *account),
        Order::EraseCardData(account) => {
            return operate_end::decide(rulebook, state, (sequence, at), *account);
        }
        Order::ResolveException { sequence, note } => resolve(state, *sequence, note),
        Order::Money(order) => {
            return operate_money::decide(rulebook, state, (sequence, at), order);
        }
        Order::ChangeRules(new) => match operation_rules::decide(rulebook, state, new) {
            Ok(Some(operation)) => Ok(operation),
            Ok(None) => {
                let done = Done {
                    sequence: state.sequence(),
                    before: true,
                };
                return Outcome {
                    answer: Answer::Ordered(Ok(done)),
                    event: None,
                };
            }
            Err(refused) => Err(refused),
        },
        Order::Card(order) => return operate_card::decide(rulebook, state, sequence, order),
        Order::LimitCard(card, limits) => {
            return card_limits::set_limits(rulebook, state, (sequence, *card), limits);
        }
        Order::ControlCard(card, controls) => {
            return card_controls::set_controls(state, (sequence, *card), controls);
        }
        Order::Holder(order) => {
            return operate_holder::decide(rulebook, state, (sequence, at), order);
        }
    };
    let before = false;
    match operation {
        Ok(operation) => Outcome {
            answer: Answer::Ordered(Ok(Done { sequence, before })),
            event: Some(Event::Operated(Box::new(operation))),
        },
        Err(refused) => Outcome {
            answer: Answer::Ordered(Err(refused)),
            event: None,
        },
    }
}

fn release_hold(state: &State, id: EntryId) -> Decision {
    let entry = state
        .entry(id)
        .ok_or_else(|| not_found("entry", id.0.to_string()))?;
    if entry.state != EntryState::Pending {
        return Err(OrderRefused::Conflict(format!(
            "entry {} holds nothing any more",
            id.0
        )));
    }
    Ok(Operation::HoldReleased(id))
}

/// Closed is for ever, and comes with the account; not activated is only where a card begins.
fn change_status(state: &State, id: CardId, status: CardStatus) -> Decision {
    let card = card_of(state, id)?;
    let fits = card.status != status
        && card.status != CardStatus::Closed
        && !matches!(status, CardStatus::Closed | CardStatus::NotActivated);
    if !fits {
        return Err(OrderRefused::Conflict(format!(
            "card {} is {:?} and cannot become {status:?}",
            id.0, card.status
        )));
    }
    Ok(Operation::CardStatusChanged(id, status))
}

fn replace_card(state: &State, id: CardId, status: CardStatus, with: &NewCard) -> Decision {
    let card = card_of(state, id)?;
    if card.status == CardStatus::Closed {
        return Err(OrderRefused::Conflict(format!("card {} is closed", id.0)));
    }
    if !matches!(
        status,
        CardStatus::Lost | CardStatus::Stolen | CardStatus::Frozen
    ) {
        let what = "a replaced card becomes lost, stolen or frozen".to_owned();
        return Err(OrderRefused::NotAllowed(what));
    }
    is_free(state, with.token)?;
    let (_, cards, _) = state.counts();
    let number = u32::try_from(cards)
        .ok()
        .and_then(|count| count.checked_add(1));
    let number = number.ok_or_else(|| OrderRefused::Conflict("too many cards".to_owned()))?;
    Ok(Operation::CardReplaced {
        card: id,
        status,
        with: CardIssued {
            card: CardId(number),
            token: with.token,
            masked: with.masked,
            expiry: with.expiry,
            status: with.status,
        },
    })
}

fn add_token(state: &State, id: CardId, token: CardToken) -> Result<(), OrderRefused> {
    let card = card_of(state, id)?;
    if card.status != CardStatus::Active {
        return Err(OrderRefused::Conflict(format!(
            "card {} is not active, so no device can pay with it",
            id.0
        )));
    }
    // A token that died with a lost card is registered again.
    match state.device_token(id, token) {
        Some(known) if !known.is_alive => Ok(()),
        _ => is_free(state, token),
    }
}

/// The maximum balance that an incoming amount would pass (rule A17).
pub(super) fn above_maximum(
    programme: &Programme,
    record: &AccountRecord,
    purse: PurseIndex,
    minor: i64,
) -> Option<i64> {
    let currency = programme.purse_currency(purse)?;
    let balance = record
        .account
        .purses
        .iter()
        .filter(|purse| purse.currency == currency)
        .fold(minor, |sum, purse| sum.saturating_add(purse.balance));
    programme
        .maximum_balances
        .iter()
        .filter(|row| row.currency == currency && !row.shadow)
        .filter(|row| row.kyc.is_none_or(|kyc| kyc == record.account.kyc))
        .map(|row| row.amount_max)
        .find(|most| balance > *most)
}

/// A verified holder gets the rest less the fee; of anybody else it stays with the issuer. What
/// came in after the closing (a refund that was late) goes the same way when it is asked for again,
/// and costs nothing.
fn close(rulebook: &Rulebook, state: &State, id: AccountId) -> Decision {
    let (record, programme) = account_of(rulebook, state, id)?;
    let is_first = has_open_card(state, record);
    let is_empty = record.account.purses.iter().all(|it| it.balance == 0);
    if !is_first && is_empty {
        return Err(OrderRefused::Conflict(format!(
            "account {} is closed already",
            id.0
        )));
    }
    let purses = &record.account.purses;
    if purses.iter().any(|purse| purse.held != 0) {
        return Err(OrderRefused::Conflict(
            "an authorization is still open: capture or release it first".to_owned(),
        ));
    }
    if purses.iter().any(|purse| purse.balance < 0) {
        return Err(OrderRefused::Conflict(
            "a purse is below zero: it must be paid first".to_owned(),
        ));
    }
    let programme_number = record.account.programme;
    let is_refunded = record.account.kyc == Kyc::Verified;
    let mut fee_left = if is_first { programme.closing_fee } else { 0 };
    let mut movements = Vec::new();
    for (purse, index) in purses.iter().zip((0_u8..).map(PurseIndex)) {
        if purse.balance == 0 {
            continue;
        }
        let mut postings = Postings::new();
        let mut rest = purse.balance;
        // The fee is an amount of the programme's first currency.
        let is_charged = programme.purse_currency(PurseIndex(0)) == Some(purse.currency);
        if is_refunded && is_charged {
            let fee = fee_left.min(rest);
            fee_left = fee_left.saturating_sub(fee);
            rest = rest.saturating_sub(fee);
            if fee > 0 {
                let to = LedgerAccount::Fees(programme_number);
                postings.extend(debit_purses(id, &Split::whole(index, fee), to));
            }
        }
        if rest > 0 {
            let to = if is_refunded {
                LedgerAccount::Payouts(programme_number)
            } else {
                LedgerAccount::Forfeited(programme_number)
            };
            postings.extend(debit_purses(id, &Split::whole(index, rest), to));
        }
        movements.push((index, postings));
    }
    Ok(Operation::End(EndOperation::AccountClosed {
        account: id,
        movements,
    }))
}

fn resolve(state: &State, sequence: u64, note: &str) -> Decision {
    let (mut rows, _) = state.exceptions();
    if !rows.any(|row| row.sequence == sequence) {
        let what = format!("no exception of record {sequence} is open");
        return Err(OrderRefused::NotFound(what));
    }
    Ok(Operation::ExceptionResolved {
        sequence,
        note: note.to_owned(),
    })
}

pub(super) fn card_of(state: &State, id: CardId) -> Result<&Card, OrderRefused> {
    state
        .card(id)
        .ok_or_else(|| not_found("card", id.0.to_string()))
}

pub(super) fn account_of<'a>(
    rulebook: &'a Rulebook,
    state: &'a State,
    id: AccountId,
) -> Result<(&'a AccountRecord, &'a Programme), OrderRefused> {
    let record = state
        .account(id)
        .ok_or_else(|| not_found("account", id.0.to_string()))?;
    let programme = state
        .programme_name(record.account.programme)
        .and_then(|name| rulebook.programme(name))
        .ok_or_else(|| OrderRefused::Conflict("its programme is not loaded".to_owned()))?;
    Ok((record, programme))
}

pub(super) fn has_open_card(state: &State, record: &AccountRecord) -> bool {
    let mut cards = record.cards.iter().filter_map(|id| state.card(*id));
    cards.any(|card| card.status != CardStatus::Closed)
}

fn is_free(state: &State, token: CardToken) -> Result<(), OrderRefused> {
    match state.card_by_token(&token) {
        None => Ok(()),
        Some(card) => Err(OrderRefused::Conflict(format!(
            "the number belongs to card {} already",
            card.id.0
        ))),
    }
}

pub(super) fn not_allowed(what: &str) -> OrderRefused {
    OrderRefused::NotAllowed(what.to_owned())
}

pub(super) fn not_found(what: &str, number: String) -> OrderRefused {
    OrderRefused::NotFound(format!("there is no {what} {number}"))
}
