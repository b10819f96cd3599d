//! Decides about holders (rule A1) and about cards at the end of their life (rule A3).

use crate::domain::account::{Kyc, ProgrammeName};
use crate::domain::card::{Card, CardId, CardStatus, ExpiryMonth};
use crate::domain::holder::{Applicant, HolderId, Ineligible};
use crate::domain::programme::Programme;
use crate::domain::rulebook::Rulebook;
use crate::domain::time::UnixMs;

use super::command::{Answer, HeldBy, OpenAccount, Outcome};
use super::event::Event;
use super::operate::{account_of, card_of, has_open_card, not_found};
use super::operation::{Done, Operation, OrderRefused};
use super::operation_holder::{HolderOperation, HolderOrder, Whose};
use super::state::State;

type Decision = Result<HolderOperation, OrderRefused>;

/// Decides an order about holders; it would make the record `sequence` at `at`.
pub(super) fn decide(
    rulebook: &Rulebook,
    state: &State,
    (sequence, at): (u64, UnixMs),
    order: &HolderOrder,
) -> Outcome {
    let operation = match order {
        HolderOrder::Register {
            programme,
            applicant,
            kyc,
        } => register(rulebook, at, programme, *applicant, *kyc),
        HolderOrder::ChangeKyc(whose, kyc) => change_kyc(state, *whose, *kyc),
        HolderOrder::RenewCards { cards_max } => {
            let ended = ended(rulebook, state, at, *cards_max);
            if ended.is_empty() {
                return done(sequence, None);
            }
            Ok(HolderOperation::CardsEnded(ended))
        }
    };
    match operation {
        Ok(operation) => done(sequence, Some(operation)),
        Err(refused) => Outcome {
            answer: Answer::Ordered(Err(refused)),
            event: None,
        },
    }
}

/// Without an operation, everything was done before.
fn done(sequence: u64, operation: Option<HolderOperation>) -> Outcome {
    let before = operation.is_none();
    let operated = |it| Event::Operated(Box::new(Operation::Holder(it)));
    Outcome {
        answer: Answer::Ordered(Ok(Done { sequence, before })),
        event: operation.map(operated),
    }
}

fn register(
    rulebook: &Rulebook,
    at: UnixMs,
    name: &ProgrammeName,
    applicant: Applicant,
    kyc: Kyc,
) -> Decision {
    let programme = rulebook
        .programme(name)
        .ok_or_else(|| OrderRefused::NotFound(format!("programme {name} is not loaded")))?;
    if kyc == Kyc::Bearer {
        let what = "a holder is verified or unverified; a bearer is nobody".to_owned();
        return Err(OrderRefused::NotAllowed(what));
    }
    eligible(programme, at, applicant)
        .map_err(|refused| OrderRefused::NotAllowed(refused.to_string()))?;
    Ok(HolderOperation::Registered {
        programme: *name,
        applicant,
        kyc,
    })
}

fn eligible(programme: &Programme, at: UnixMs, applicant: Applicant) -> Result<(), Ineligible> {
    let today = programme.calendar.date_of(at);
    let rule = programme.holder;
    rule.map_or(Ok(()), |rule| rule.check(applicant, today))
}

/// The holder of an account to be opened.
#[derive(Clone, Copy)]
pub(super) struct NewAccountHolder {
    pub(super) id: HolderId,
    /// When it becomes a holder by this.
    pub(super) applicant: Option<Applicant>,
    pub(super) kyc: Kyc,
}

/// Who holds an account to be opened, if anybody; or the sentence that forbids it.
pub(super) fn of_new_account(
    state: &State,
    programme: &Programme,
    (sequence, at): (u64, UnixMs),
    wanted: &OpenAccount,
) -> Result<Option<NewAccountHolder>, String> {
    match wanted.holder {
        HeldBy::Nobody if programme.holder.is_some() => Err(format!(
            "programme {} opens accounts for holders whose day of birth is known (A1)",
            programme.name
        )),
        HeldBy::Nobody => Ok(None),
        HeldBy::Applicant(applicant) => {
            eligible(programme, at, applicant).map_err(|refused| refused.to_string())?;
            Ok(Some(NewAccountHolder {
                id: HolderId(sequence),
                applicant: Some(applicant),
                kyc: wanted.kyc,
            }))
        }
        HeldBy::Registered(id) => {
            let holder = state
                .holders()
                .get(id)
                .ok_or_else(|| format!("there is no holder {}", id.0))?;
            if state.programme_name(holder.programme) != Some(&wanted.programme) {
                return Err(format!("holder {} is one of another programme", id.0));
            }
            let open = holder.account.filter(|account| {
                let record = state.account(*account);
                record.is_some_and(|record| has_open_card(state, record))
            });
            if let Some(account) = open {
                let number = account.0;
                return Err(format!("holder {} has account {number} already (A1)", id.0));
            }
            eligible(programme, at, holder.person).map_err(|refused| refused.to_string())?;
            Ok(Some(NewAccountHolder {
                id,
                applicant: None,
                kyc: holder.kyc,
            }))
        }
    }
}

fn change_kyc(state: &State, whose: Whose, kyc: Kyc) -> Decision {
    let known = match whose {
        Whose::Holder(id) => state.holders().get(id).map(|holder| holder.kyc),
        Whose::Account(id) => state.account(id).map(|record| record.account.kyc),
    };
    let known = known.ok_or_else(|| match whose {
        Whose::Holder(id) => not_found("holder", id.0.to_string()),
        Whose::Account(id) => not_found("account", id.0.to_string()),
    })?;
    if [known, kyc].contains(&Kyc::Bearer) {
        let what = "a bearer is nobody, so nobody can be verified".to_owned();
        return Err(OrderRefused::NotAllowed(what));
    }
    if known == kyc {
        return Err(OrderRefused::Conflict(format!("it is {kyc:?} already")));
    }
    is_current(state, whose)?;
    Ok(HolderOperation::KycChanged(whose, kyc))
}

/// A holder who has another account by now is not named by the one before: the change would reach
/// the holder and not the account that is in use.
fn is_current(state: &State, whose: Whose) -> Result<(), OrderRefused> {
    let Whose::Account(id) = whose else {
        return Ok(());
    };
    let current = state.holders().of_account(id).and_then(|it| it.account);
    match current.filter(|current| *current != id) {
        None => Ok(()),
        Some(current) => Err(OrderRefused::Conflict(format!(
            "the holder of account {} has account {} by now",
            id.0, current.0
        ))),
    }
}

/// Cards whose last month is over, in order, with what becomes of them. One that is still valid
/// in its own time zone lets those behind it wait, for hours at most.
fn ended(
    rulebook: &Rulebook,
    state: &State,
    at: UnixMs,
    cards_max: usize,
) -> Vec<(CardId, Option<ExpiryMonth>)> {
    let mut ended = Vec::new();
    for id in state.holders().by_end().take(cards_max) {
        let programme = state
            .card(id)
            .and_then(|card| account_of(rulebook, state, card.account).ok());
        let (Some(card), Some((record, programme))) = (state.card(id), programme) else {
            break;
        };
        let date = programme.calendar.date_of(at);
        let Some(expiry) = card.expiry.filter(|expiry| expiry.is_over_on(date)) else {
            break;
        };
        let renewal = programme
            .renewal
            .filter(|rule| rule.renews(record.account.kyc) && is_in_use(card));
        ended.push((
            id,
            renewal.map(|rule| {
                let mut next = expiry.plus_months(rule.months);
                // After a long stop more than one life may be over.
                while next.is_over_on(date) {
                    next = next.plus_months(rule.months);
                }
                next
            }),
        ));
    }
    ended
}

fn is_in_use(card: &Card) -> bool {
    matches!(
        card.status,
        CardStatus::Active | CardStatus::Frozen | CardStatus::NotActivated
    )
}

/// A card that is over is not replaced where only others' cards go on: that would make a balance
/// usable again that has ended with it (rule A3).
pub(super) fn may_be_replaced(
    rulebook: &Rulebook,
    state: &State,
    id: CardId,
    at: UnixMs,
) -> Result<(), OrderRefused> {
    let card = card_of(state, id)?;
    let (record, programme) = account_of(rulebook, state, card.account)?;
    let date = programme.calendar.date_of(at);
    let is_over = card.expiry.is_some_and(|expiry| expiry.is_over_on(date));
    match programme.renewal {
        Some(rule) if is_over && !rule.renews(record.account.kyc) => {
            let what = "the balance of a holder who is not verified has ended with the card (A3)";
            Err(OrderRefused::NotAllowed(what.to_owned()))
        }
        Some(_) | None => Ok(()),
    }
}
