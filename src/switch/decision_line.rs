//! The decision log's line: every field of one decision, written once and emitted in batches.
//!
//! Owns the fields of a line and the only way to emit one. How lines are written is
//! `ops/log.rs`, how they are rendered for people `cli/tail.rs`. Invariant: the card is a
//! [`MaskedPan`], so a clear number does not compile.

use std::cell::Cell;

use crate::domain::account::{AccountId, Purse};
use crate::domain::decision::Reason;
use crate::domain::facts::MessageKind;
use crate::domain::masking;
use crate::domain::merchant::Mcc;
use crate::domain::money::{Amount, Currency};
use crate::domain::pan::{CardToken, MaskedPan};
use crate::domain::time::UnixMs;

use super::json_text::{escape, open_time, push_number, push_signed};

/// Everything the log says about one decision. `None` where the message did not carry it.
#[derive(Debug, Clone, Copy)]
pub struct DecisionLine<'a> {
    /// When the request arrived.
    pub at: UnixMs,
    /// Name of the listener or peer link.
    pub link: &'a str,
    /// Message type: four digits, as on the wire.
    pub mti: u16,
    /// System trace audit number, DE 11: six digits or more.
    pub stan: Option<u64>,
    /// Retrieval reference number, DE 37, UTF-8.
    pub rrn: Option<&'a [u8]>,
    /// Card number, masked.
    pub card: Option<MaskedPan>,
    /// Keyed token of the card: the same card has the same token, nobody can turn it back.
    pub card_token: Option<CardToken>,
    /// Account the card belongs to.
    pub account: Option<AccountId>,
    /// Amount asked for.
    pub amount: Option<Amount>,
    /// Merchant category code, DE 18.
    pub mcc: Option<Mcc>,
    /// Card acceptor, DE 42 or DE 43, UTF-8.
    pub merchant: Option<&'a [u8]>,
    /// Terminal, DE 41, UTF-8.
    pub terminal: Option<&'a [u8]>,
    /// What the request is for, such as `purchase`.
    pub purpose: &'a str,
    /// What became of it.
    pub decision: DecisionWord,
    /// Why it was declined or rejected.
    pub reason: Option<&'a str>,
    /// What in the message made the reason true.
    pub evidence: Option<&'a str>,
    /// Response code sent, DE 39.
    pub code: &'a str,
    /// Approval code sent, DE 38, UTF-8.
    pub approval: Option<&'a [u8]>,
    /// Whether the answer was the stored one of an earlier request.
    pub repeat: bool,
    /// Purses of the account after the decision.
    pub balances: &'a [PurseLine<'a>],
    /// Sequence of the journal record, if one was written.
    pub sequence: Option<u64>,
    /// The transaction that it belongs to: the record that opened the purchase, which captures,
    /// reversals and refunds of it name too.
    pub trace: Option<u64>,
    /// Time each step of the corridor took.
    pub latency: CorridorLatency,
}

/// The four outcomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DecisionWord {
    /// A request that may go ahead.
    Approved,
    /// A request refused for a business reason.
    Declined,
    /// An advice or reversal taken note of.
    Accepted,
    /// A message that will not be processed.
    Rejected,
}

impl DecisionWord {
    /// What became of a message that was decided.
    pub fn of(kind: MessageKind, reason: Reason) -> DecisionWord {
        match (reason, kind) {
            (
                Reason::Approved | Reason::PartiallyApproved,
                MessageKind::Authorization | MessageKind::Financial,
            ) => DecisionWord::Approved,
            (
                Reason::Approved,
                MessageKind::AuthorizationAdvice
                | MessageKind::FinancialAdvice
                | MessageKind::Reversal,
            ) => DecisionWord::Accepted,
            _ => DecisionWord::Declined,
        }
    }

    /// The word in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            DecisionWord::Approved => "approved",
            DecisionWord::Declined => "declined",
            DecisionWord::Accepted => "accepted",
            DecisionWord::Rejected => "rejected",
        }
    }
}

/// One purse after a decision.
#[derive(Debug, Clone, Copy)]
pub struct PurseLine<'a> {
    /// Name of the purse.
    pub purse: &'a str,
    /// Its currency and money, of which part may be held.
    pub money: Purse,
}

/// Nanoseconds spent in each step of the corridor; decode and render take less than a microsecond.
#[derive(Debug, Clone, Copy)]
pub struct CorridorLatency {
    /// Frame to message.
    pub decode_ns: u64,
    /// Message to command.
    pub parse_request_ns: u64,
    /// Waiting for the single writer.
    pub sequence_ns: u64,
    /// Deciding and applying.
    pub decide_ns: u64,
    /// Until the journal said durable.
    pub append_ns: u64,
    /// Decision to message, and those of the answers that leave with it.
    pub render_response_ns: u64,
    /// Message to socket.
    pub write_frame_ns: u64,
    /// Last byte in to last byte out.
    pub total_ns: u64,
}

impl CorridorLatency {
    /// The steps in their order, nanoseconds.
    pub fn steps(&self) -> [u64; 8] {
        [
            self.decode_ns,
            self.parse_request_ns,
            self.sequence_ns,
            self.decide_ns,
            self.append_ns,
            self.render_response_ns,
            self.write_frame_ns,
            self.total_ns,
        ]
    }
}

/// Target of the events that carry decisions.
pub const DECISION_TARGET: &str = "decision";

/// Lines are handed on at this size, bytes: the log's queue counts pieces, so a piece is bounded.
const PIECE_BYTES: usize = 32 * 1024;

/// Reserved before each line, bytes: nearly every line is shorter, so none grows the buffer twice.
const LINE_BYTES: usize = 1_024;

thread_local! {
    /// Buffer of this thread's next piece: a busy thread always reuses it, an idle connection
    /// keeps none.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Finished lines on their way to the log, a piece at a time: what a batch of decisions shares is
/// done once.
#[derive(Debug, Default)]
pub struct DecisionLines {
    lines: Vec<u8>,
    masked: u64,
}

impl DecisionLines {
    /// Adds the line of a decision.
    pub fn push(&mut self, line: &DecisionLine<'_>) {
        if self.lines.capacity() == 0 {
            self.lines = SPARE.take();
        }
        self.lines.reserve(LINE_BYTES);
        let mut writer = LineWriter {
            lines: &mut self.lines,
            masked: false,
        };
        writer.line(line);
        if writer.masked {
            self.masked = self.masked.saturating_add(1);
        }
        if self.lines.len() >= PIECE_BYTES {
            self.emit();
        }
    }

    /// Hands what was added to the log, as one tracing event.
    pub fn emit(&mut self) {
        if !self.lines.is_empty() {
            let (lines, masked) = (self.lines.as_slice(), self.masked);
            // Both fields are known to ops/log_layer.rs.
            tracing::info!(target: DECISION_TARGET, lines, masked);
        }
        self.lines.clear();
        SPARE.set(std::mem::take(&mut self.lines));
        self.masked = 0;
    }
}

/// A name with what goes before and after it, of a length that the compiler knows.
macro_rules! key {
    ($name:literal) => {{
        const TEXT: &[u8] = concat!(",\"", $name, "\":").as_bytes();
        const KEY: [u8; TEXT.len()] = match TEXT.first_chunk() {
            Some(key) => *key,
            None => [0; TEXT.len()],
        };
        &KEY
    }};
}

/// Writes one line.
struct LineWriter<'a> {
    lines: &'a mut Vec<u8>,
    masked: bool,
}

impl LineWriter<'_> {
    fn line(&mut self, line: &DecisionLine<'_>) {
        open_time(self.lines, line.at);
        self.escaped(key!("link"), line.link.as_bytes());
        self.digits::<4, _>(key!("mti"), u64::from(line.mti));
        if let Some(stan) = line.stan {
            self.digits::<6, _>(key!("stan"), stan);
        }
        self.foreign(key!("rrn"), line.rrn);
        self.plain(key!("card"), line.card.as_ref().map(MaskedPan::as_str));
        if let Some(token) = line.card_token {
            self.lines.extend_from_slice(key!("card_token"));
            self.lines.push(b'"');
            hexadecimal(self.lines, &token.0);
            self.lines.push(b'"');
        }
        let account = line.account.map(|account| u64::from(account.0));
        self.number(key!("account"), account);
        if let Some(amount) = line.amount {
            self.lines.extend_from_slice(key!("amount_minor"));
            push_signed(self.lines, amount.minor);
            self.currency(amount.currency);
        }
        if let Some(Mcc(mcc)) = line.mcc {
            self.digits::<4, _>(key!("mcc"), u64::from(mcc));
        }
        self.foreign(key!("merchant"), line.merchant);
        self.foreign(key!("terminal"), line.terminal);
        self.plain(key!("purpose"), Some(line.purpose));
        self.plain(key!("decision"), Some(line.decision.as_str()));
        self.plain(key!("reason"), line.reason);
        self.foreign(key!("evidence"), line.evidence.map(str::as_bytes));
        self.plain(key!("code"), Some(line.code));
        self.foreign(key!("approval"), line.approval);
        self.lines.extend_from_slice(key!("repeat"));
        let repeat: &[u8] = if line.repeat { b"true" } else { b"false" };
        self.lines.extend_from_slice(repeat);
        self.balances(line.balances);
        self.number(key!("sequence"), line.sequence);
        self.number(key!("trace"), line.trace);
        let latency = &line.latency;
        self.number(key!("decode_ns"), Some(latency.decode_ns));
        self.number(key!("parse_request_ns"), Some(latency.parse_request_ns));
        self.number(key!("sequence_ns"), Some(latency.sequence_ns));
        self.number(key!("decide_ns"), Some(latency.decide_ns));
        self.number(key!("append_ns"), Some(latency.append_ns));
        self.number(key!("render_response_ns"), Some(latency.render_response_ns));
        self.number(key!("write_frame_ns"), Some(latency.write_frame_ns));
        self.number(key!("total_ns"), Some(latency.total_ns));
        self.lines.extend_from_slice(b"}\n");
    }

    /// Text from outside: escaped, and masked where it could be a card number.
    fn foreign<const N: usize>(&mut self, key: &[u8; N], value: Option<&[u8]>) {
        let Some(value) = value else { return };
        match masking::masked_bytes(value) {
            None => self.escaped(key, value),
            Some(masked) => {
                self.masked = true;
                self.escaped(key, masked.as_bytes());
            }
        }
    }

    /// Text that holds no card number but may hold anything else.
    fn escaped<const N: usize>(&mut self, key: &[u8; N], value: &[u8]) {
        self.lines.extend_from_slice(key);
        escape(self.lines, value);
    }

    /// A number as text of so many digits, with leading zeros; of a longer one all digits.
    fn digits<const WIDTH: usize, const N: usize>(&mut self, key: &[u8; N], value: u64) {
        self.lines.extend_from_slice(key);
        self.lines.push(b'"');
        let mut text = [b'0'; WIDTH];
        let mut rest = value;
        for place in text.iter_mut().rev() {
            *place = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
        }
        if rest == 0 {
            self.lines.extend_from_slice(&text);
        } else {
            push_number(self.lines, value);
        }
        self.lines.push(b'"');
    }

    /// Text of our own making, which needs no escaping and holds no card number.
    fn plain<const N: usize>(&mut self, key: &[u8; N], value: Option<&str>) {
        let Some(value) = value else { return };
        self.lines.extend_from_slice(key);
        self.lines.push(b'"');
        self.lines.extend_from_slice(value.as_bytes());
        self.lines.push(b'"');
    }

    fn number<const N: usize>(&mut self, key: &[u8; N], value: Option<u64>) {
        if let Some(value) = value {
            self.lines.extend_from_slice(key);
            push_number(self.lines, value);
        }
    }

    /// Letters of the currency; a currency without letters here by its number.
    fn currency(&mut self, currency: Currency) {
        match currency.alpha() {
            Some(letters) => self.plain(key!("currency"), Some(letters)),
            None => self.plain(key!("currency"), Some(&currency.to_string())),
        }
    }

    /// Purse names are plain: `programme_file` sees to that.
    fn balances(&mut self, purses: &[PurseLine<'_>]) {
        self.lines.extend_from_slice(key!("balances"));
        for (index, purse) in purses.iter().enumerate() {
            let opening: &[u8] = if index == 0 {
                b"[{\"purse\":\""
            } else {
                b",{\"purse\":\""
            };
            self.lines.extend_from_slice(opening);
            self.lines.extend_from_slice(purse.purse.as_bytes());
            self.lines.push(b'"');
            self.currency(purse.money.currency);
            self.lines.extend_from_slice(key!("balance_minor"));
            push_signed(self.lines, purse.money.balance);
            self.lines.extend_from_slice(key!("held_minor"));
            push_signed(self.lines, purse.money.held);
            self.lines.push(b'}');
        }
        let closing: &[u8] = if purses.is_empty() { b"[]" } else { b"]" };
        self.lines.extend_from_slice(closing);
    }
}

fn hexadecimal(line: &mut Vec<u8>, bytes: &[u8; 16]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'?');
    let mut text = [0_u8; 32];
    for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = [digit(byte >> 4), digit(byte & 0x0f)];
    }
    line.extend_from_slice(&text);
}
