//! The decision log's line: every field of one decision, emitted as one tracing event.
//!
//! Owns the fields of a line and the only way to emit one. How lines are written is
//! `ops/log.rs`, how they are rendered for people `cli/tail.rs`. Invariant: the card is a
//! [`MaskedPan`], so a clear number does not compile.

use std::borrow::Cow;
use std::fmt::Write;

use crate::domain::account::{AccountId, Purse};
use crate::domain::money::{Amount, Currency};
use crate::domain::pan::{CardToken, MaskedPan};
use crate::domain::time::UnixMs;

/// Everything the log says about one decision. `None` where the message did not carry it.
#[derive(Debug, Clone, Copy)]
pub struct DecisionLine<'a> {
    /// When the request arrived.
    pub at: UnixMs,
    /// Name of the listener or peer link.
    pub link: &'a str,
    /// Message type as on the wire, `0100`.
    pub mti: &'a str,
    /// System trace audit number, DE 11.
    pub stan: Option<&'a str>,
    /// Retrieval reference number, DE 37.
    pub rrn: Option<&'a str>,
    /// Card number, masked.
    pub card: Option<MaskedPan>,
    /// Keyed token of the card: the same card has the same token, nobody can turn it back.
    pub card_token: Option<CardToken>,
    /// Account the card belongs to.
    pub account: Option<AccountId>,
    /// Amount asked for.
    pub amount: Option<Amount>,
    /// Merchant category code, DE 18.
    pub mcc: Option<&'a str>,
    /// Card acceptor, DE 42 or DE 43.
    pub merchant: Option<&'a str>,
    /// Terminal, DE 41.
    pub terminal: Option<&'a str>,
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
    /// Approval code sent, DE 38.
    pub approval: Option<&'a str>,
    /// Whether the answer was the stored one of an earlier request.
    pub repeat: bool,
    /// Purses of the account after the decision.
    pub balances: &'a [PurseLine<'a>],
    /// Sequence of the journal record, if one was written.
    pub sequence: Option<u64>,
    /// Time each step of the corridor took.
    pub latency: CorridorLatency,
}

/// The four outcomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// Decision to message.
    pub render_response_ns: u64,
    /// Message to socket.
    pub write_frame_ns: u64,
    /// Last byte in to last byte out.
    pub total_ns: u64,
}

/// Emits one decision as a tracing event with target `decision`.
pub fn emit(line: &DecisionLine<'_>) {
    let token = line.card_token.map(|token| hexadecimal(&token.0));
    let balances = balances_json(line.balances);
    let currency = line.amount.map(|amount| currency_name(amount.currency));
    // Target and field names are known to ops/log_layer.rs.
    tracing::info!(
        target: "decision",
        at_ms = line.at.0,
        link = line.link,
        mti = line.mti,
        stan = line.stan,
        rrn = line.rrn,
        card = line.card.as_ref().map(MaskedPan::as_str),
        card_token = token.as_deref(),
        account = line.account.map(|account| account.0),
        amount_minor = line.amount.map(|amount| amount.minor),
        currency = currency.as_deref(),
        mcc = line.mcc,
        merchant = line.merchant,
        terminal = line.terminal,
        purpose = line.purpose,
        decision = line.decision.as_str(),
        reason = line.reason,
        evidence = line.evidence,
        code = line.code,
        approval = line.approval,
        repeat = line.repeat,
        balances = balances.as_str(),
        sequence = line.sequence,
        decode_ns = line.latency.decode_ns,
        parse_request_ns = line.latency.parse_request_ns,
        sequence_ns = line.latency.sequence_ns,
        decide_ns = line.latency.decide_ns,
        append_ns = line.latency.append_ns,
        render_response_ns = line.latency.render_response_ns,
        write_frame_ns = line.latency.write_frame_ns,
        total_ns = line.latency.total_ns,
    );
}

fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'?');
    let mut text = Vec::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        text.extend_from_slice(&[digit(byte >> 4), digit(byte & 0x0f)]);
    }
    String::from_utf8(text).unwrap_or_default()
}

/// Letters of the currency; a currency without letters here by its number.
fn currency_name(currency: Currency) -> Cow<'static, str> {
    match currency.alpha() {
        Some(letters) => Cow::Borrowed(letters),
        None => Cow::Owned(currency.to_string()),
    }
}

/// Purse names are plain (`programme_file` sees to that), so they need no escaping.
fn balances_json(purses: &[PurseLine<'_>]) -> String {
    let mut json = String::with_capacity(256);
    json.push('[');
    for (index, purse) in purses.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let currency = currency_name(purse.money.currency);
        // Writing to a string cannot fail.
        let _ = write!(
            json,
            "{comma}{{\"purse\":\"{}\",\"currency\":\"{currency}\",",
            purse.purse
        );
        let (balance, held) = (purse.money.balance, purse.money.held);
        let _ = write!(json, "\"balance_minor\":{balance},\"held_minor\":{held}}}");
    }
    json.push(']');
    json
}
