//! Guessed numbers (rule B6): what counts as an attempt, when there are too many, what follows.

use crate::domain::account::Kyc;
use crate::domain::card::Card;
use crate::domain::decision::Reason;
use crate::domain::facts::{Facts, MessageKind, Purpose};
use crate::domain::guessing::{GuessingAnswer, GuessingRule};
use crate::domain::rulebook::Rulebook;
use crate::domain::time::UnixMs;

use super::case::Refusal;
use super::event::{Decided, Effect, ExceptionKind};
use super::state::State;
use super::verdict::Verdict;

/// Whether a decision is an attempt: a request about a number that is unknown or exhausted.
fn is_attempt(state: &State, facts: &Facts, card: Option<&Card>, reason: Reason) -> bool {
    if !is_request(facts) {
        return false;
    }
    match reason {
        Reason::UnknownIssuer | Reason::InvalidCard => true,
        Reason::InsufficientFunds => card.is_some_and(|card| is_exhausted(state, card)),
        _ => false,
    }
}

fn is_request(facts: &Facts) -> bool {
    matches!(
        facts.kind,
        MessageKind::Authorization | MessageKind::Financial
    )
}

fn is_exhausted(state: &State, card: &Card) -> bool {
    let record = state.account(card.account);
    record.is_some_and(|record| {
        let mut purses = record.account.purses.iter();
        purses.all(|purse| purse.available() <= 0)
    })
}

impl State {
    /// Counts the attempt that a decision was, if it was one.
    pub(super) fn count_guess(&mut self, decided: &Decided) {
        let facts = &decided.facts;
        let card = decided.card.and_then(|id| self.card(id));
        if is_attempt(self, facts, card, decided.reason) {
            self.guesses.count(facts.link, facts.acceptor, self.at);
        }
    }
}

/// How suspicious whoever asks is by now.
pub(super) struct Suspicion<'r> {
    rule: &'r GuessingRule,
    /// Attempts so far against those allowed, of the acceptor and of the link.
    counts: [(u32, u32); 2],
}

/// What is known about whoever sends a request; `None` where nothing would follow.
pub(super) fn suspicion<'r>(
    rulebook: &'r Rulebook,
    state: &State,
    facts: &Facts,
    at: UnixMs,
) -> Option<Suspicion<'r>> {
    let rule = rulebook.guessing().filter(|_| is_request(facts))?;
    let minutes = rule.window_minutes;
    let (own, whole) = state
        .guesses
        .counted(facts.link, facts.acceptor, at, minutes);
    Some(Suspicion {
        rule,
        counts: [
            (own, rule.acceptor_attempts_max),
            (whole, rule.link_attempts_max),
        ],
    })
}

impl Suspicion<'_> {
    fn is_beyond(&self) -> bool {
        let mut counts = self.counts.iter();
        counts.any(|(count, most)| *most > 0 && count >= most)
    }

    /// Why a request is refused for the time being: its answer would tell whether the number is
    /// good.
    pub(super) fn refusal(&self, state: &State, facts: &Facts, card: &Card) -> Option<Refusal> {
        if self.rule.answer != GuessingAnswer::Refuse || !self.is_beyond() {
            return None;
        }
        let kyc = state.account(card.account).map(|it| it.account.kyc);
        let tells = kyc == Some(Kyc::Bearer)
            || facts.purpose == Purpose::BalanceEnquiry
            || facts.is_account_verification();
        tells.then(|| Refusal::because(Reason::MerchantDenied, self.told()))
    }

    /// How much later the answer is given, milliseconds: to attempts, and to what would tell
    /// whether a number is good.
    pub(super) fn slow_ms(&self, state: &State, facts: &Facts, card: Option<&Card>) -> u32 {
        if self.rule.answer != GuessingAnswer::Slow || !self.is_beyond() {
            return 0;
        }
        let kyc = card.and_then(|card| state.account(card.account));
        let tells = kyc.is_none_or(|it| it.account.kyc == Kyc::Bearer)
            || facts.purpose == Purpose::BalanceEnquiry
            || facts.is_account_verification();
        if tells { self.rule.slow_ms } else { 0 }
    }

    /// Raises the alarm with the attempt that is one too many; whether it did.
    pub(super) fn raise_alarm(
        &self,
        (state, facts, card): (&State, &Facts, Option<&Card>),
        verdict: &mut Verdict,
    ) -> bool {
        let is_last = |(count, most): &(u32, u32)| *most > 0 && count.checked_add(1) == Some(*most);
        let raised =
            self.counts.iter().any(is_last) && is_attempt(state, facts, card, verdict.reason);
        if raised {
            verdict.effects.push(Effect::ExceptionRaised {
                kind: ExceptionKind::NumberGuessing,
                entry: None,
                minor: facts.amount.minor,
            });
        }
        raised
    }

    fn told(&self) -> String {
        let [(own, _), (whole, _)] = self.counts;
        let minutes = self.rule.window_minutes;
        format!(
            "unknown or exhausted numbers in {minutes} minutes: {own} of this acceptor, \
             {whole} of this link"
        )
    }
}
