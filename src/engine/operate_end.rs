//! Decides the erasing of a closed account's card data.

use crate::domain::account::AccountId;
use crate::domain::rulebook::Rulebook;
use crate::domain::time::UnixMs;

use super::command::{Answer, Outcome};
use super::entry::EntryState;
use super::event::Event;
use super::operate::{account_of, has_open_card};
use super::operation::{Done, Operation, OrderRefused};
use super::operation_end::EndOperation;
use super::state::{AccountRecord, State};

const DAY_MS: i64 = 86_400_000;

/// Decides whether the card data of an account go; it would make the record `sequence` at `at`.
pub(super) fn decide(
    rulebook: &Rulebook,
    state: &State,
    (sequence, at): (u64, UnixMs),
    id: AccountId,
) -> Outcome {
    let before = false;
    let (answer, operation) = match erase(rulebook, state, at, id) {
        Ok(operation) => (Ok(Done { sequence, before }), Some(operation)),
        Err((refused, operation)) => (Err(refused), operation),
    };
    let operated = |it| Event::Operated(Box::new(Operation::End(it)));
    Outcome {
        answer: Answer::Ordered(answer),
        event: operation.map(operated),
    }
}

/// A refusal, and what it changes all the same: the days of an undated closing begin to count.
type Refused = (OrderRefused, Option<EndOperation>);

fn erase(
    rulebook: &Rulebook,
    state: &State,
    at: UnixMs,
    id: AccountId,
) -> Result<EndOperation, Refused> {
    let conflict = |what| (OrderRefused::Conflict(what), None);
    let (record, programme) = account_of(rulebook, state, id).map_err(|it| (it, None))?;
    let account = id.0;
    if has_open_card(state, record) {
        return Err(conflict(format!("account {account} is not closed")));
    }
    let ending = state.ending(id);
    if let Some(erased_at) = ending.and_then(|ending| ending.erased_at) {
        let what = format!("the card data of account {account} were erased at {erased_at}");
        return Err(conflict(what));
    }
    is_settled(state, record).map_err(conflict)?;
    let days = programme.retention_days;
    let kept_ms = i64::from(days).saturating_mul(DAY_MS);
    let terms = format!("{days} days (retention_days of {})", programme.name);
    let Some(ending) = ending else {
        return if days == 0 {
            Ok(EndOperation::CardDataErased(id))
        } else {
            let what = format!("account {account} was closed at a time that nobody wrote down");
            let what = format!("{what}: its card data stay for {terms} from now on");
            let dated = EndOperation::ClosingDated(id);
            Err((OrderRefused::Conflict(what), Some(dated)))
        };
    };
    let until = UnixMs(ending.closed_at.0.saturating_add(kept_ms));
    if at < until {
        let since = ending.closed_at;
        let what = format!("account {account} was closed at {since}: its card data stay for");
        return Err(conflict(format!("{what} {terms}, until {until}")));
    }
    Ok(EndOperation::CardDataErased(id))
}

/// What is still open about an account, in words.
fn is_settled(state: &State, record: &AccountRecord) -> Result<(), String> {
    let purses = &record.account.purses;
    let mut entries = record.entries.iter().filter_map(|id| state.entry(id));
    let is_pending = entries.any(|entry| entry.state == EntryState::Pending);
    if is_pending || purses.iter().any(|purse| purse.held != 0) {
        return Err("an authorization is still open: capture or release it first".to_owned());
    }
    if purses.iter().any(|purse| purse.balance < 0) {
        return Err("a purse is below zero: it must be paid first".to_owned());
    }
    if purses.iter().any(|purse| purse.balance > 0) {
        return Err("there is money in a purse: whose it is must be settled first".to_owned());
    }
    let own = record.account.id;
    let (mut exceptions, _) = state.exceptions();
    let open = exceptions.find(|row| {
        let card = row.card.and_then(|card| state.card(card));
        let entry = row.entry.and_then(|entry| state.entry(entry));
        card.is_some_and(|card| card.account == own)
            || entry.is_some_and(|entry| entry.account == own)
    });
    match open {
        None => Ok(()),
        Some(row) => Err(format!(
            "the exception of record {} is open: resolve it first",
            row.sequence
        )),
    }
}
