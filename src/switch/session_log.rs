//! Turns answered requests into lines of the decision log, after their answers are on the wire.

use std::fmt::Write;
use std::time::Instant;

use arrayvec::ArrayString;
use smallvec::SmallVec;

use crate::domain::account::Purse;
use crate::domain::decision::{PurseBalance, Reason, ResponseCode};
use crate::domain::facts::{Facts, MessageKind, Purpose};
use crate::domain::rulebook::Rulebook;
use crate::domain::time::UnixMs;
use crate::iso8583::Message;

use super::clock;
use super::decision_line::{CorridorLatency, DecisionLine, DecisionWord, PurseLine, emit};
use super::dialect::request::Reject;
use super::in_flight::InFlight;
use super::sequencer::SequencerReply;
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
    decisions: Vec<(InFlight, SequencerReply, Instant)>,
    rejects: Vec<RejectLine>,
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
        request: InFlight,
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
        let (now, written) = (clock::now(), clock::instant());
        let counter = if delivered {
            &telemetry.answers_written
        } else {
            &telemetry.answers_undelivered
        };
        for (request, reply, rendered) in self.decisions.drain(..) {
            Telemetry::add(counter);
            log_decision(link, rulebook, now, written, &request, &reply, rendered);
        }
        for reject in self.rejects.drain(..) {
            Telemetry::add(counter);
            log_reject(link, now, written, &reject);
        }
    }
}

fn log_decision(
    link: &str,
    rulebook: &Rulebook,
    now: UnixMs,
    written: Instant,
    request: &InFlight,
    reply: &SequencerReply,
    rendered: Instant,
) {
    let (facts, decision) = (&*reply.facts, &*reply.decision);
    let stan = digits(facts.trace.stan, 6);
    let mti = digits(u32::from(facts.mti), 4);
    let mcc = facts.mcc.map(|mcc| digits(u32::from(mcc.0), 4));
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
    emit(&DecisionLine {
        at: arrived(now, written, request.received),
        link,
        mti: &mti,
        stan: Some(&stan),
        rrn: named(&facts.rrn),
        card: Some(request.masked),
        card_token: Some(facts.card),
        account: decision.account,
        amount: Some(facts.amount),
        mcc: mcc.as_deref(),
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
            write_frame_ns: between(rendered, written),
            total_ns: between(request.received, written),
        },
    });
}

fn log_reject(link: &str, now: UnixMs, written: Instant, line: &RejectLine) {
    emit(&DecisionLine {
        at: arrived(now, written, line.steps.received),
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
            write_frame_ns: between(line.steps.rendered, written),
            total_ns: between(line.steps.received, written),
        },
    });
}

/// A number as text of at least `width` digits, without an allocation.
fn digits(number: u32, width: usize) -> ArrayString<10> {
    let mut text = ArrayString::new();
    // Ten characters hold every u32, and no width here is larger.
    let _ = write!(text, "{number:0width$}");
    text
}

/// Wall time of an earlier instant.
fn arrived(now: UnixMs, now_instant: Instant, then: Instant) -> UnixMs {
    let ago = now_instant.saturating_duration_since(then).as_millis();
    UnixMs(now.0.saturating_sub(i64::try_from(ago).unwrap_or(0)))
}

fn between(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.saturating_duration_since(from).as_nanos()).unwrap_or(u64::MAX)
}

fn named(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn decision_word(facts: &Facts, reason: Reason) -> DecisionWord {
    match (reason, facts.kind) {
        (Reason::Approved, MessageKind::Authorization | MessageKind::Financial) => {
            DecisionWord::Approved
        }
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
        (_, Purpose::CashWithdrawal) => "cash-withdrawal",
        (_, Purpose::AccountFunding) => "account-funding",
        (_, Purpose::QuasiCash) => "quasi-cash",
        (_, Purpose::Unnamed) => "unnamed",
    }
}
