//! Turns answered requests into lines of the decision log, after their answers are on the wire.

use smallvec::SmallVec;

use crate::domain::account::Purse;
use crate::domain::decision::{ApprovalCode, PurseBalance, Reason, ResponseCode};
use crate::domain::facts::{Facts, MessageKind, Purpose};
use crate::domain::rulebook::Rulebook;
use crate::domain::time::UnixMs;
use crate::iso8583::Message;

use super::clock::{self, Tick};
use super::decision_line::{CorridorLatency, DecisionLine, DecisionLines, DecisionWord, PurseLine};
use super::dialect::request::Reject;
use super::in_flight::InFlight;
use super::jobs::SequencerReply;
use super::link::Link;
use super::meter::{Kind, Shard};
use super::telemetry::Telemetry;

/// The borders of a message's steps before the single writer.
#[derive(Clone, Copy)]
pub(super) struct Steps {
    /// When its frame was cut out of what was read.
    pub received: Tick,
    /// When it was decoded, or found to be undecodable.
    pub decoded: Tick,
}

/// Lines that wait for their answers to be written.
#[derive(Default)]
pub(super) struct Lines {
    decisions: Vec<(Box<InFlight>, SequencerReply)>,
    rejects: Vec<RejectLine>,
    finished: DecisionLines,
}

struct RejectLine {
    mti: u16,
    stan: Option<u64>,
    rrn: Option<String>,
    reason: Reason,
    evidence: String,
    code: ResponseCode,
    steps: Steps,
}

impl Lines {
    /// A decision whose answer is rendered.
    pub(super) fn push_decision(&mut self, request: Box<InFlight>, reply: SequencerReply) {
        self.decisions.push((request, reply));
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
            mti: message.mti().number(),
            stan: message.number(11),
            rrn: message.text(37).map(|text| text.trim_end().to_owned()),
            reason: reject.reason,
            evidence: reject.evidence.clone(),
            code,
            steps,
        });
    }

    /// Logs and counts everything that waits, which was all rendered by `rendered`.
    pub(super) fn log(
        &mut self,
        (link, rulebook): (&Link, &Rulebook),
        rendered: Tick,
        delivered: bool,
    ) {
        if self.decisions.is_empty() && self.rejects.is_empty() {
            return;
        }
        let written = Written {
            at: clock::now(),
            rendered,
            tick: clock::tick(),
        };
        let counter = if delivered {
            &link.telemetry.answers_written
        } else {
            &link.telemetry.answers_undelivered
        };
        Telemetry::add_many(counter, self.decisions.len() + self.rejects.len());
        let name = &*link.listener.name;
        link.meter.shard(|shard| {
            for (request, reply) in self.decisions.drain(..) {
                let into = (&mut self.finished, shard);
                log_decision(into, (name, rulebook), written, &request, &reply);
            }
            for reject in self.rejects.drain(..) {
                log_reject((&mut self.finished, shard), name, written, &reject);
            }
        });
        self.finished.emit();
    }
}

fn log_decision(
    (lines, shard): (&mut DecisionLines, &Shard),
    (link, rulebook): (&str, &Rulebook),
    written: Written,
    request: &InFlight,
    reply: &SequencerReply,
) {
    let (facts, decision) = (&*reply.facts, &*reply.decision);
    let programme = rulebook.programme(&decision.programme);
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
    let latency = CorridorLatency {
        decode_ns: request.decoded.since(request.received),
        parse_request_ns: reply.submitted.since(request.decoded),
        sequence_ns: reply.sequenced.since(reply.submitted),
        decide_ns: reply.decided.since(reply.sequenced),
        append_ns: reply.durable.since(reply.decided),
        render_response_ns: written.rendered.since(reply.durable),
        write_frame_ns: written.tick.since(written.rendered),
        total_ns: written.tick.since(request.received),
    };
    let kind = Kind {
        mti: Some(facts.mti),
        decision: DecisionWord::of(facts.kind, decision.reason),
        reason: decision.reason,
        code: decision.code,
    };
    shard.decided(kind, decision.repeated, &latency);
    lines.push(&DecisionLine {
        at: written.before(request.received),
        link,
        mti: facts.mti,
        stan: Some(u64::from(facts.trace.stan)),
        rrn: named(facts.rrn.as_bytes()),
        card: Some(request.masked),
        card_token: Some(facts.card),
        account: decision.account,
        amount: Some(facts.amount),
        mcc: facts.mcc,
        merchant: named(facts.acceptor_name.as_bytes()).or(named(facts.acceptor.as_bytes())),
        terminal: named(facts.terminal.as_bytes()),
        purpose: purpose_word(facts),
        decision: kind.decision,
        reason: (!decision.is_approved()).then(|| decision.reason.name()),
        evidence: decision.evidence.as_deref(),
        code: &decision.code,
        approval: decision.approval.as_ref().map(ApprovalCode::as_bytes),
        repeat: decision.repeated,
        balances: &balances,
        sequence: (decision.sequence > 0).then_some(decision.sequence),
        trace: decision.transaction,
        latency,
    });
}

fn log_reject(
    (lines, shard): (&mut DecisionLines, &Shard),
    link: &str,
    written: Written,
    line: &RejectLine,
) {
    shard.rejected(Kind {
        mti: Some(line.mti),
        decision: DecisionWord::Rejected,
        reason: line.reason,
        code: line.code,
    });
    lines.push(&DecisionLine {
        at: written.before(line.steps.received),
        link,
        mti: line.mti,
        stan: line.stan,
        rrn: line.rrn.as_deref().map(str::as_bytes),
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
        trace: None,
        latency: CorridorLatency {
            decode_ns: line.steps.decoded.since(line.steps.received),
            parse_request_ns: 0,
            sequence_ns: 0,
            decide_ns: 0,
            append_ns: 0,
            render_response_ns: written.rendered.since(line.steps.decoded),
            write_frame_ns: written.tick.since(written.rendered),
            total_ns: written.tick.since(line.steps.received),
        },
    });
}

/// When a run of answers was rendered and written.
#[derive(Clone, Copy)]
struct Written {
    at: UnixMs,
    rendered: Tick,
    tick: Tick,
}

impl Written {
    /// Wall time of an earlier tick.
    fn before(self, then: Tick) -> UnixMs {
        let ago = self.tick.since(then) / 1_000_000;
        UnixMs(self.at.0.saturating_sub(i64::try_from(ago).unwrap_or(0)))
    }
}

fn named(text: &[u8]) -> Option<&[u8]> {
    (!text.is_empty()).then_some(text)
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
