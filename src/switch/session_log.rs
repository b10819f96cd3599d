//! Turns answered requests into lines of the decision log, after their answers are on the wire.

use std::time::Instant;

use smallvec::SmallVec;

use crate::domain::account::Purse;
use crate::domain::decision::{PurseBalance, Reason, ResponseCode};
use crate::domain::facts::{Facts, MessageKind, Purpose};
use crate::domain::rulebook::Rulebook;
use crate::domain::time::UnixMs;
use crate::iso8583::Message;

use super::clock;
use super::decision_line::{CorridorLatency, DecisionLine, DecisionLines, DecisionWord, PurseLine};
use super::dialect::request::Reject;
use super::in_flight::InFlight;
use super::jobs::SequencerReply;
use super::telemetry::Telemetry;

/// Instants at the borders of a message's steps before the single writer.
#[derive(Clone, Copy)]
pub(super) struct Steps {
    received: Instant,
    decoded: Instant,
    rendered: Instant,
}

impl Steps {
    /// A message that was received and decoded.
    pub(super) fn new(received: Instant, decoded: Instant) -> Steps {
        Steps {
            received,
            decoded,
            rendered: decoded,
        }
    }

    /// The same, rendered now.
    pub(super) fn rendered_now(self) -> Steps {
        Steps {
            rendered: clock::instant(),
            ..self
        }
    }
}

/// Lines that wait for their answers to be written.
#[derive(Default)]
pub(super) struct Lines {
    decisions: Vec<(Box<InFlight>, SequencerReply, Instant)>,
    rejects: Vec<RejectLine>,
    finished: DecisionLines,
}

struct RejectLine {
    mti: String,
    stan: Option<String>,
    rrn: Option<String>,
    reason: Reason,
    evidence: String,
    code: ResponseCode,
    steps: Steps,
}

impl Lines {
    /// A decision whose answer is rendered.
    pub(super) fn push_decision(
        &mut self,
        request: Box<InFlight>,
        reply: SequencerReply,
        rendered: Instant,
    ) {
        self.decisions.push((request, reply, rendered));
    }

    /// A message that was refused before anybody decided.
    pub(super) fn push_reject(
        &mut self,
        message: &Message,
        reject: &Reject,
        code: ResponseCode,
        steps: Steps,
    ) {
        self.rejects.push(RejectLine {
            mti: message.mti().to_string(),
            stan: message.number(11).map(|stan| format!("{stan:06}")),
            rrn: message.text(37).map(|text| text.trim_end().to_owned()),
            reason: reject.reason,
            evidence: reject.evidence.clone(),
            code,
            steps,
        });
    }

    /// Logs everything that waits.
    pub(super) fn log(
        &mut self,
        link: &str,
        rulebook: &Rulebook,
        telemetry: &Telemetry,
        delivered: bool,
    ) {
        if self.decisions.is_empty() && self.rejects.is_empty() {
            return;
        }
        let written = Moment {
            at: clock::now(),
            instant: clock::instant(),
        };
        let counter = if delivered {
            &telemetry.answers_written
        } else {
            &telemetry.answers_undelivered
        };
        for (request, reply, rendered) in self.decisions.drain(..) {
            Telemetry::add(counter);
            log_decision(
                &mut self.finished,
                (link, rulebook),
                written,
                &request,
                &reply,
                rendered,
            );
        }
        for reject in self.rejects.drain(..) {
            Telemetry::add(counter);
            log_reject(&mut self.finished, link, written, &reject);
        }
        self.finished.emit();
    }
}

fn log_decision(
    lines: &mut DecisionLines,
    (link, rulebook): (&str, &Rulebook),
    written: Moment,
    request: &InFlight,
    reply: &SequencerReply,
    rendered: Instant,
) {
    let (facts, decision) = (&*reply.facts, &*reply.decision);
    let stan = digits::<6>(facts.trace.stan);
    let mti = digits::<4>(u32::from(facts.mti));
    let mcc = facts.mcc.map(|mcc| digits::<4>(u32::from(mcc.0)));
    let programme = decision
        .programme
        .and_then(|name| rulebook.programme(&name));
    let purse_line = |row: &PurseBalance| {
        let spec = programme?.purses.get(row.purse.position())?;
        let money = Purse {
            currency: row.currency,
            balance: row.balance,
            held: row.held,
        };
        Some(PurseLine {
            purse: &spec.id,
            money,
        })
    };
    let balances: SmallVec<[PurseLine<'_>; 2]> =
        decision.balances.iter().filter_map(purse_line).collect();
    lines.push(&DecisionLine {
        at: written.before(request.received),
        link,
        mti: mti.as_str(),
        stan: Some(stan.as_str()),
        rrn: named(&facts.rrn),
        card: Some(request.masked),
        card_token: Some(facts.card),
        account: decision.account,
        amount: Some(facts.amount),
        mcc: mcc.as_ref().map(Digits::as_str),
        merchant: named(&facts.acceptor_name).or(named(&facts.acceptor)),
        terminal: named(&facts.terminal),
        purpose: purpose_word(facts),
        decision: decision_word(facts, decision.reason),
        reason: (!decision.is_approved()).then(|| decision.reason.name()),
        evidence: decision.evidence.as_deref(),
        code: &decision.code,
        approval: decision.approval.as_ref().map(|code| code.as_str()),
        repeat: decision.repeated,
        balances: &balances,
        sequence: Some(decision.sequence),
        latency: CorridorLatency {
            decode_ns: between(request.received, request.decoded),
            parse_request_ns: between(request.decoded, reply.submitted),
            sequence_ns: between(reply.submitted, reply.sequenced),
            decide_ns: between(reply.sequenced, reply.decided),
            append_ns: between(reply.decided, reply.durable),
            render_response_ns: between(reply.durable, rendered),
            write_frame_ns: between(rendered, written.instant),
            total_ns: between(request.received, written.instant),
        },
    });
}

fn log_reject(lines: &mut DecisionLines, link: &str, written: Moment, line: &RejectLine) {
    lines.push(&DecisionLine {
        at: written.before(line.steps.received),
        link,
        mti: &line.mti,
        stan: line.stan.as_deref(),
        rrn: line.rrn.as_deref(),
        card: None,
        card_token: None,
        account: None,
        amount: None,
        mcc: None,
        merchant: None,
        terminal: None,
        purpose: "unread",
        decision: DecisionWord::Rejected,
        reason: Some(line.reason.name()),
        evidence: Some(&line.evidence),
        code: &line.code,
        approval: None,
        repeat: false,
        balances: &[],
        sequence: None,
        latency: CorridorLatency {
            decode_ns: between(line.steps.received, line.steps.decoded),
            parse_request_ns: 0,
            sequence_ns: 0,
            decide_ns: 0,
            append_ns: 0,
            render_response_ns: between(line.steps.decoded, line.steps.rendered),
            write_frame_ns: between(line.steps.rendered, written.instant),
            total_ns: between(line.steps.received, written.instant),
        },
    });
}

/// A number as text of `WIDTH` digits with leading zeros; what does not fit is cut on the left.
fn digits<const WIDTH: usize>(number: u32) -> Digits<WIDTH> {
    let mut text = [b'0'; WIDTH];
    let mut rest = number;
    for place in text.iter_mut().rev() {
        *place = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    Digits(text)
}

/// Digits as text, without an allocation.
struct Digits<const WIDTH: usize>([u8; WIDTH]);

impl<const WIDTH: usize> Digits<WIDTH> {
    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// When a run of answers was written, by both clocks.
#[derive(Clone, Copy)]
struct Moment {
    at: UnixMs,
    instant: Instant,
}

impl Moment {
    /// Wall time of an earlier instant.
    fn before(self, then: Instant) -> UnixMs {
        let ago = self.instant.saturating_duration_since(then).as_millis();
        UnixMs(self.at.0.saturating_sub(i64::try_from(ago).unwrap_or(0)))
    }
}

fn between(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.saturating_duration_since(from).as_nanos()).unwrap_or(u64::MAX)
}

fn named(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn decision_word(facts: &Facts, reason: Reason) -> DecisionWord {
    match (reason, facts.kind) {
        (
            Reason::Approved | Reason::PartiallyApproved,
            MessageKind::Authorization | MessageKind::Financial,
        ) => DecisionWord::Approved,
        (
            Reason::Approved,
            MessageKind::AuthorizationAdvice | MessageKind::FinancialAdvice | MessageKind::Reversal,
        ) => DecisionWord::Accepted,
        _ => DecisionWord::Declined,
    }
}

fn purpose_word(facts: &Facts) -> &'static str {
    match (facts.kind, facts.purpose) {
        (MessageKind::Reversal, _) => "reversal",
        (MessageKind::FinancialAdvice, Purpose::Purchase) => "capture",
        (_, Purpose::Purchase) if facts.is_account_verification() => "account-verification",
        (_, Purpose::Purchase) => "purchase",
        (_, Purpose::BalanceEnquiry) => "balance-enquiry",
        (_, Purpose::Refund) => "refund",
        (_, Purpose::Load) => "load",
        (_, Purpose::Activation) => "activation",
        (_, Purpose::PinChange) => "pin-change",
        (_, Purpose::CashWithdrawal) => "cash-withdrawal",
        (_, Purpose::AccountFunding) => "account-funding",
        (_, Purpose::QuasiCash) => "quasi-cash",
        (_, Purpose::Unnamed) => "unnamed",
        (_, Purpose::OriginalCredit) => "original-credit",
    }
}
