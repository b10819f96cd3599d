//! `decide`: the one switch from a command to what follows from it. It only reads.

use std::sync::Arc;

use crate::domain::account::ProgrammeName;
use crate::domain::card::Card;
use crate::domain::decision::{Approved, Balances, Decision, Reason, ResponseCode};
use crate::domain::facts::{Facts, IssuerRoute, MessageKind, Purpose};
use crate::domain::money::Amount;
use crate::domain::programme::Programme;
use crate::domain::rate::share;
use crate::domain::rulebook::Rulebook;
use crate::domain::time::BusinessDate;

use super::authorize;
use super::case::{Case, Refusal, intent_of};
use super::chip;
use super::clearing;
use super::command::{Answer, Body, Command, Outcome};
use super::complete;
use super::entry::Entry;
use super::event::{Decided, Effect, Effects, Event, ExceptionKind};
use super::exchange;
use super::guessing;
use super::housekeep;
use super::link;
use super::matching::{Found, Ladder, find};
use super::open;
use super::operate;
use super::pin;
use super::reconcile;
use super::reverse;
use super::state::{AccountRecord, State, StoredAnswer};
use super::transaction;
use super::verdict::Verdict;

/// Decides one command. Nothing changes; the outcome's event, applied, is the change.
pub fn decide(rulebook: &Rulebook, state: &State, command: &Command) -> Outcome {
    match &command.body {
        Body::Message(facts) => decide_message(rulebook, state, command, facts),
        Body::OpenAccount(account) => {
            open::decide(rulebook, state, (command.sequence, command.at), account)
        }
        Body::SetPin(card, reference) => pin::set(state, *card, *reference),
        Body::UnlockPin(card) => pin::unlock(state, *card),
        Body::Operate(order) => {
            operate::decide(rulebook, state, (command.sequence, command.at), order)
        }
        Body::Present(line) => clearing::present(rulebook, state, command, line),
        Body::CloseClearing(batch, lines) => {
            clearing::close(state, command.sequence, *batch, *lines)
        }
        Body::CutOver(wanted) => reconcile::cut_over(state, command.at, wanted),
        Body::Reconcile(wanted) => reconcile::reconcile(state, command.at, wanted),
        Body::NameLink(name) => link::decide(state, name),
        Body::Housekeep(terms) => housekeep::decide(state, command.at, terms),
    }
}

fn decide_message(
    rulebook: &Rulebook,
    state: &State,
    command: &Command,
    facts: &Arc<Facts>,
) -> Outcome {
    let matter = Matter::of(rulebook, state, command, facts);
    let is_new = planted!(RefundPostedTwiceOnRepeat) && facts.purpose == Purpose::Refund;
    if let Some(stored) = state.answer(&facts.key()).filter(|_| !is_new) {
        return if stored.is_for(facts) {
            repeat(state, &stored, facts)
        } else {
            let refusal = Refusal::because(
                Reason::DuplicateContent,
                format!(
                    "record {} has this identity with other content",
                    stored.sequence
                ),
            );
            let mut verdict = Verdict::refused(refusal);
            conclude(rulebook, state, matter, Keep::Unstored, &mut verdict)
        };
    }
    let suspicion = guessing::suspicion(rulebook, state, facts, command.at);
    let suspected = |card: &Card| suspicion.as_ref()?.refusal(state, facts, card);
    let case = case_of(state, matter);
    let guessed = case.as_ref().ok().and_then(|case| suspected(case.card));
    let mut verdict = Verdict::accepted(Effects::new());
    match (&case, guessed) {
        (Ok(case), None) => judge(case, &mut verdict),
        (Ok(_), Some(refusal)) => verdict = Verdict::refused(refusal),
        (Err(refusal), _) => verdict = unknown_card(facts, refusal.clone()),
    }
    let (mut slow_ms, mut alarm) = (0, false);
    if let Some(suspicion) = &suspicion {
        let asked = (state, &**facts, matter.card);
        slow_ms = suspicion.slow_ms(state, facts, matter.card);
        alarm = suspicion.raise_alarm(asked, &mut verdict);
    }
    // A fault of ours is no answer to keep: the repeat is decided once we can.
    let keep = match verdict.reason.is_fault() {
        true => Keep::Unstored,
        false => Keep::Stored,
    };
    let mut outcome = conclude(rulebook, state, matter, keep, &mut verdict);
    if let Answer::Decided(decision) = &mut outcome.answer {
        (decision.slow_ms, decision.alarm) = (slow_ms, alarm);
    }
    outcome
}

/// What a message at its card comes to. The verdict is written where it stays: handed on, it would
/// be read before it has arrived in memory.
pub(super) fn judge(case: &Case<'_>, verdict: &mut Verdict) {
    let tombstone = case.state.tombstone(case.card.token, case.facts.trace);
    let is_advice = matches!(
        case.facts.kind,
        MessageKind::AuthorizationAdvice | MessageKind::FinancialAdvice
    );
    if let (true, Some(remaining)) = (is_advice, tombstone.and_then(|stone| stone.remaining)) {
        *verdict = judge_rest(case, remaining);
    } else {
        judge_by_kind(case, tombstone.is_some(), verdict);
    }
}

/// An advice of which a part was undone before it came: only the rest happened.
fn judge_rest(case: &Case<'_>, remaining: i64) -> Verdict {
    let asked_minor = case.asked_minor.min(remaining);
    let rest = share(case.amount.minor, remaining, case.asked_minor);
    let amount = Amount::new(rest, case.amount.currency);
    let case = &Case {
        amount,
        asked_minor,
        ..*case
    };
    let mut verdict = Verdict::accepted(Effects::new());
    judge_by_kind(case, false, &mut verdict);
    let evidence = format!("all but {rest} was reversed first");
    match &verdict.evidence {
        Some(seen) => {
            let both = format!("{evidence}; {seen}");
            verdict.seeing(both)
        }
        None => verdict.seeing(evidence),
    }
}

fn judge_by_kind(case: &Case<'_>, is_undone: bool, verdict: &mut Verdict) {
    match case.facts.kind {
        MessageKind::Authorization | MessageKind::Financial => {
            authorize::judge(case, is_undone, verdict);
            chip::count(case, verdict);
            pin::count(case, verdict);
        }
        // It cannot be refused, and its reversal was acknowledged already: the two are even.
        MessageKind::AuthorizationAdvice | MessageKind::FinancialAdvice if is_undone => {
            let even = Verdict::accepted(Effects::new());
            *verdict = even.seeing("its reversal came first".to_owned());
        }
        MessageKind::AuthorizationAdvice => *verdict = authorize::record_advice(case),
        MessageKind::FinancialAdvice => *verdict = complete::post(case),
        MessageKind::Reversal => *verdict = reverse::undo(case),
    }
}

/// A message with the card it names, looked up once.
#[derive(Clone, Copy)]
pub(super) struct Matter<'a> {
    pub(super) command: &'a Command,
    pub(super) facts: &'a Arc<Facts>,
    pub(super) card: Option<&'a Card>,
    record: Option<&'a AccountRecord>,
    programme: Option<&'a Programme>,
}

impl<'a> Matter<'a> {
    /// A message with what there is of its card.
    pub(super) fn of(
        rulebook: &'a Rulebook,
        state: &'a State,
        command: &'a Command,
        facts: &'a Arc<Facts>,
    ) -> Matter<'a> {
        let found = state.card_and_account(&facts.card);
        let record = found.and_then(|it| it.1);
        let name = record.and_then(|record| state.programme_name(record.account.programme));
        Matter {
            command,
            facts,
            card: found.map(|it| it.0),
            record,
            programme: name.and_then(|name| rulebook.programme(name)),
        }
    }
}

/// The message at its card, account and programme; or why there is none.
pub(super) fn case_of<'a>(state: &'a State, matter: Matter<'a>) -> Result<Case<'a>, Refusal> {
    let Matter { command, facts, .. } = matter;
    match facts.route {
        IssuerRoute::Unknown => return Err(Refusal::plain(Reason::UnknownIssuer)),
        IssuerRoute::Malformed => return Err(Refusal::plain(Reason::InvalidCard)),
        IssuerRoute::Ours => {}
    }
    let card = matter.card.ok_or(Refusal::plain(Reason::InvalidCard))?;
    let record = matter.record.ok_or(Refusal::plain(Reason::SystemFault))?;
    let programme = matter.programme.ok_or_else(|| {
        let evidence = "the programme is not loaded".to_owned();
        Refusal::because(Reason::SystemFault, evidence)
    })?;
    let intent = intent_of(facts);
    let refund_of = purchase_of_refund(state, card, facts);
    let books = (state, programme);
    let (amount, converted) = exchange::amount_of(books, facts, intent, refund_of, command.at);
    Ok(Case {
        state,
        facts,
        card,
        record,
        programme,
        intent,
        amount,
        converted,
        asked_minor: facts.amount.minor,
        sequence: command.sequence,
        at: command.at,
        date: match planted!(DaysBeginInGreenwich) {
            true => BusinessDate::utc(command.at),
            false => programme.calendar.date_of(command.at),
        },
        refund_of,
    })
}

/// The posted purchase that a refund gives back, where it can be told.
fn purchase_of_refund<'a>(state: &'a State, card: &Card, facts: &Facts) -> Option<&'a Entry> {
    if facts.purpose != Purpose::Refund {
        return None;
    }
    let posted_purchase = |entry: &Entry| entry.is_debit() && !entry.posted.is_empty();
    match find(state, card.id, facts, Ladder::Strong, posted_purchase) {
        Found::One(entry, _) => Some(entry),
        Found::Several | Found::Nothing => None,
    }
}

/// A message whose card is not one of ours: a question is declined, a reversal is remembered and
/// acknowledged, since its sender will not stop before. A fault of ours acknowledges nothing.
fn unknown_card(facts: &Facts, refusal: Refusal) -> Verdict {
    if facts.kind != MessageKind::Reversal || refusal.reason == Reason::SystemFault {
        return Verdict::refused(refusal);
    }
    let effects = Effects::from_iter([Effect::ExceptionRaised {
        kind: ExceptionKind::UnmatchedReversal,
        entry: None,
        minor: facts.amount.minor,
    }]);
    Verdict::accepted(effects).seeing(format!("no such card: {}", refusal.reason))
}

/// Whether the answer is kept for repeats.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    Stored,
    Unstored,
}

/// Makes the answer and the record of a verdict, and takes out of it what they keep.
pub(super) fn conclude(
    rulebook: &Rulebook,
    state: &State,
    matter: Matter<'_>,
    keep: Keep,
    verdict: &mut Verdict,
) -> Outcome {
    let Matter {
        command,
        facts,
        card,
        record,
        programme,
    } = matter;
    let code = code_of(rulebook, facts, verdict.reason);
    let balances = match card {
        Some(card) if verdict.show_balances => Some(Box::new(state.balances(card.account))),
        Some(_) | None => None,
    };
    let programme_version = programme.map(|programme| programme.version);
    let name = record.and_then(|record| state.programme_name(record.account.programme));
    // What is written into a box that is there already is made in it, not moved to it.
    let mut decision = Box::write(
        Box::new_uninit(),
        Decision {
            reason: verdict.reason,
            code,
            approval: verdict.approval,
            approved: verdict
                .approved_part
                .as_deref()
                .filter(|_| !planted!(PartialAnsweredWithFullAmount))
                .map(|part| approved(facts, part.minor, part.transaction)),
            billed: exchange::billed(facts, &verdict.effects, || Some(&record?.account)),
            evidence: verdict.evidence.clone(),
            repeated: false,
            show_balances: verdict.show_balances,
            balances: Balances::new(),
            account: card.map(|card| card.account),
            programme: ProgrammeName::EMPTY,
            card: card.map(|card| card.id),
            sequence: command.sequence,
            transaction: transaction::of_effects(state, &verdict.effects, command.sequence),
            slow_ms: 0,
            alarm: false,
        },
    );
    // Copied once, to where they stay.
    if let Some(name) = name {
        decision.programme = *name;
    }
    if let Some(shown) = &balances {
        decision.balances.clone_from(shown);
    }
    let decided = Box::write(
        Box::new_uninit(),
        Decided {
            facts: Arc::clone(facts),
            reason: verdict.reason,
            code,
            approval: verdict.approval,
            // Most have none, and what says so was just written: no wider read of it.
            evidence: verdict.evidence.as_mut().map(std::mem::take),
            programme_version,
            balances,
            card: card.map(|card| card.id),
            stored: keep == Keep::Stored,
            effects: std::mem::take(&mut verdict.effects),
        },
    );
    Outcome {
        answer: Answer::Decided(decision),
        event: Some(Event::Decided(decided)),
    }
}

/// The stored answer again; nothing changes, nothing is journalled.
fn repeat(state: &State, stored: &StoredAnswer, facts: &Facts) -> Outcome {
    let card = stored.card_id.and_then(|id| state.card(id));
    let told = stored.told.as_deref();
    let balances = told.and_then(|told| told.balances.as_ref());
    let approved_minor = told.and_then(|told| told.approved_minor);
    let approved_transaction = told.and_then(|told| told.approved_transaction);
    let decision = Decision {
        reason: stored.reason,
        code: stored.code,
        approval: stored.approval,
        approved: approved_minor.map(|minor| approved(facts, minor, approved_transaction)),
        billed: told.and_then(|told| told.billed),
        evidence: Some(format!("answer of record {}", stored.sequence)),
        repeated: true,
        show_balances: balances.is_some(),
        balances: match (balances, card) {
            (Some(balances), _) => balances.clone(),
            (None, Some(card)) => state.balances(card.account),
            (None, None) => Balances::default(),
        },
        account: card.map(|card| card.account),
        programme: card.map_or(ProgrammeName::EMPTY, |card| programme_of(state, card)),
        card: card.map(|card| card.id),
        sequence: stored.sequence,
        transaction: stored.entry.map(|id| transaction::of_entry(state, id)),
        slow_ms: 0,
        alarm: false,
    };
    Outcome {
        answer: Answer::Decided(Box::new(decision)),
        event: None,
    }
}

/// What the approval of a part comes to, by the part of the transaction where that is known.
fn approved(facts: &Facts, minor: i64, transaction: Option<i64>) -> Approved {
    match transaction {
        Some(transaction) => facts.approved_transaction(transaction),
        None => facts.approved_part(minor),
    }
}

fn programme_of(state: &State, card: &Card) -> ProgrammeName {
    let record = state.account(card.account);
    let name = record.and_then(|record| state.programme_name(record.account.programme));
    name.copied().unwrap_or_default()
}

pub(super) fn code_of(rulebook: &Rulebook, facts: &Facts, reason: Reason) -> ResponseCode {
    rulebook
        .codes
        .get(usize::from(facts.dialect))
        .map_or_else(ResponseCode::new, |codes| codes.code(reason))
}
