//! Notices for holders, read from records of the journal: refund, cancellation, load, decline and
//! PIN lock (rule A37). Who wants which of them, and how, is the consumer's business.

use serde::Serialize;

use crate::domain::card::CardId;
use crate::domain::facts::{MessageKind, Purpose};
use crate::domain::time::UnixMs;
use crate::engine::event::{Decided, Effect, Event};
use crate::engine::operation::Operation;
use crate::engine::operation_card::CardOperation;

use crate::domain::decision::Reason;

/// What a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoticeKind {
    /// Money came back for a purchase, or was sent.
    Refund,
    /// A purchase was undone, in full or in part.
    Cancellation,
    /// Money was put on the card.
    Load,
    /// A message was declined.
    Decline,
    /// Too many wrong PINs.
    PinLock,
}

/// One notice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// The record it was read from; records stand in this order for ever.
    pub sequence: u64,
    /// What it is about.
    pub kind: NoticeKind,
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// About which card.
    pub card: u32,
    /// Minor units of the message, where there was one.
    pub minor: Option<i64>,
    /// Currency of the message, ISO 4217.
    pub currency: Option<String>,
    /// What the message asked for.
    pub purpose: Option<Purpose>,
    /// Why it was declined.
    pub reason: Option<Reason>,
    /// DE 39 of the answer.
    pub code: Option<String>,
    /// DE 42 of the message.
    pub merchant: Option<String>,
}

/// The notices of one record, in a fixed order.
pub fn notices(sequence: u64, at: UnixMs, event: &Event) -> Vec<Notice> {
    match event {
        Event::Decided(decided) => of_decision(sequence, at, decided),
        Event::Operated(operation) => match operation.as_ref() {
            Operation::Card(CardOperation::PinTried {
                card,
                is_locked: true,
                ..
            }) => vec![plain(sequence, at, NoticeKind::PinLock, *card)],
            _ => Vec::new(),
        },
        Event::AccountOpened(_)
        | Event::Housekept(_)
        | Event::LinkNamed(..)
        | Event::PinSet(..)
        | Event::PinUnlocked(_)
        | Event::CutOver(..)
        | Event::Reconciled(_) => Vec::new(),
    }
}

fn plain(sequence: u64, at: UnixMs, kind: NoticeKind, card: CardId) -> Notice {
    Notice {
        sequence,
        kind,
        at: at.to_string(),
        card: card.0,
        minor: None,
        currency: None,
        purpose: None,
        reason: None,
        code: None,
        merchant: None,
    }
}

fn of_decision(sequence: u64, at: UnixMs, decided: &Decided) -> Vec<Notice> {
    let Some(card) = decided.card else {
        return Vec::new();
    };
    let facts = &decided.facts;
    let has = |test: fn(&Effect) -> bool| decided.effects.iter().any(test);
    let posted = has(|effect| matches!(effect, Effect::Posted { .. } | Effect::ExchangePosted(_)));
    let lowers = |effect: &Effect| {
        matches!(
            effect,
            Effect::HoldLowered { .. } | Effect::ExchangeLowered(_)
        )
    };
    let undone = posted || has(lowers);
    let asked = matches!(
        facts.kind,
        MessageKind::Authorization | MessageKind::Financial
    );
    let kind = match (decided.reason.is_approved(), facts.kind, facts.purpose) {
        (false, _, _) if asked => Some(NoticeKind::Decline),
        (true, MessageKind::Reversal, _) if undone => Some(NoticeKind::Cancellation),
        (true, _, Purpose::Refund | Purpose::OriginalCredit) if posted => Some(NoticeKind::Refund),
        (true, _, Purpose::Load | Purpose::Activation) if posted => Some(NoticeKind::Load),
        _ => None,
    };
    let locked = decided.reason == Reason::PinLocked
        && has(|effect| matches!(effect, Effect::PinTried { .. }));
    let told = |kind| Notice {
        minor: Some(facts.amount.minor),
        currency: Some(facts.amount.currency.to_string()),
        purpose: Some(facts.purpose),
        reason: (kind == NoticeKind::Decline).then_some(decided.reason),
        code: Some(decided.code.to_string()),
        merchant: (!facts.acceptor.is_empty()).then(|| facts.acceptor.to_string()),
        ..plain(sequence, at, kind, card)
    };
    kind.into_iter()
        .chain(locked.then_some(NoticeKind::PinLock))
        .map(told)
        .collect()
}
