//! Opening an account with its card and opening balances; opening it again changes nothing.

use crate::domain::account::{AccountId, PurseIndex};
use crate::domain::card::CardId;
use crate::domain::programme::Programme;
use crate::domain::rulebook::Rulebook;
use crate::domain::time::UnixMs;

use super::command::{Answer, OpenAccount, Opened, Outcome};
use super::event::{AccountOpened, CardIssued, Event};
use super::operate_holder;
use super::operation::Operation;
use super::operation_holder::HolderOperation;
use super::state::State;

/// Decides the opening of an account.
pub(super) fn decide(
    rulebook: &Rulebook,
    state: &State,
    (sequence, at): (u64, UnixMs),
    wanted: &OpenAccount,
) -> Outcome {
    let (opened, event) = match open(rulebook, state, (sequence, at), wanted) {
        Ok((opened, event)) => (opened, event),
        Err(sentence) => (Opened::Refused(sentence), None),
    };
    Outcome {
        answer: Answer::Opened(opened),
        event,
    }
}

fn open(
    rulebook: &Rulebook,
    state: &State,
    (sequence, at): (u64, UnixMs),
    wanted: &OpenAccount,
) -> Result<(Opened, Option<Event>), String> {
    let programme = rulebook
        .programme(&wanted.programme)
        .ok_or_else(|| format!("programme {} is not loaded", wanted.programme))?;
    let opening = opening_balances(programme, &wanted.balances)?;
    if let Some(card) = state.card_by_token(&wanted.card.token) {
        let same_programme = state
            .account(card.account)
            .and_then(|record| state.programme_name(record.account.programme))
            .is_some_and(|name| *name == wanted.programme);
        return if same_programme && card.expiry == wanted.card.expiry {
            Ok((Opened::Existing(card.account, card.id), None))
        } else {
            Err("the card exists with another programme or expiry; nothing was changed".to_owned())
        };
    }
    let (accounts, cards, _) = state.counts();
    let account = next(accounts).map(AccountId).ok_or("too many accounts")?;
    let card = next(cards).map(CardId).ok_or("too many cards")?;
    let holder = operate_holder::of_new_account(state, programme, (sequence, at), wanted)?;
    let opened = AccountOpened {
        account,
        programme: wanted.programme,
        kyc: holder.map_or(wanted.kyc, |holder| holder.kyc),
        purses: programme
            .purses
            .iter()
            .map(|purse| purse.currency)
            .collect(),
        opening,
        card: CardIssued {
            card,
            token: wanted.card.token,
            masked: wanted.card.masked,
            expiry: wanted.card.expiry,
            status: wanted.card.status,
        },
    };
    let event = match holder {
        None => Event::AccountOpened(Box::new(opened)),
        Some(holder) => {
            let operation = HolderOperation::AccountOpened {
                holder: holder.id,
                applicant: holder.applicant,
                opened,
            };
            Event::Operated(Box::new(Operation::Holder(operation)))
        }
    };
    Ok((Opened::Created(account, card), Some(event)))
}

fn next(count: usize) -> Option<u32> {
    u32::try_from(count).ok()?.checked_add(1)
}

fn opening_balances(
    programme: &Programme,
    balances: &[(String, i64)],
) -> Result<Vec<(PurseIndex, i64)>, String> {
    let mut opening = Vec::new();
    for (name, minor) in balances {
        let purse = programme
            .purse_named(name)
            .ok_or_else(|| format!("programme {} has no purse {name:?}", programme.name))?;
        if *minor < 0 {
            return Err(format!(
                "purse {name:?}: expected 0 or more minor units, got {minor}"
            ));
        }
        if *minor > 0 {
            opening.push((purse, *minor));
        }
    }
    Ok(opening)
}
