//! Records of version 1, as they were written before facts knew the conditions at the point of
//! service. What they did not say reads as unsaid.

use std::sync::Arc;

use serde::Deserialize;
use smallvec::SmallVec;

use crate::domain::card::{CardId, ExpiryMonth};
use crate::domain::conditions::{LocalTime, PinVerdict, PointOfService};
use crate::domain::decision::{ApprovalCode, Balances, Reason, ResponseCode};
use crate::domain::facts::{
    Certainty, Device, Evidence, Facts, Initiation, IssuerRoute, LinkNumber, MessageKind, Presence,
    Purpose, Trace,
};
use crate::domain::merchant::{
    AcceptorId, AcceptorName, Mcc, Origin, RetrievalReference, TerminalId,
};
use crate::domain::money::Amount;
use crate::domain::pan::CardToken;

use super::event::{AccountOpened, Decided, Effects, Event, Housekept};

/// An event as version 1 wrote it.
#[derive(Deserialize)]
pub(super) enum EventV1 {
    Decided(Box<DecidedV1>),
    AccountOpened(Box<AccountOpened>),
    Housekept(Box<Housekept>),
}

/// A decision as version 1 wrote it.
#[derive(Deserialize)]
pub(super) struct DecidedV1 {
    facts: FactsV1,
    reason: Reason,
    code: ResponseCode,
    approval: Option<ApprovalCode>,
    evidence: Option<String>,
    programme_version: Option<u32>,
    balances: Option<Balances>,
    card: Option<CardId>,
    stored: bool,
    effects: Effects,
}

#[derive(Deserialize)]
struct FactsV1 {
    kind: MessageKind,
    mti: u16,
    repeat: bool,
    purpose: Purpose,
    dialect: u8,
    trace: Trace,
    route: IssuerRoute,
    card: CardToken,
    expiry: Option<ExpiryMonth>,
    amount: Amount,
    billing: Option<Amount>,
    replacement_minor: Option<i64>,
    mcc: Option<Mcc>,
    terminal: TerminalId,
    acceptor: AcceptorId,
    acceptor_name: AcceptorName,
    origin: Origin,
    rrn: RetrievalReference,
    quoted_approval: Option<ApprovalCode>,
    original: Option<Trace>,
    stand_in_approved: bool,
    initiation: Initiation,
    certainty: Certainty,
    device: Device,
    presence: Presence,
    pin_block_present: bool,
    evidence: SmallVec<[Evidence; 2]>,
}

impl From<EventV1> for Event {
    fn from(event: EventV1) -> Event {
        match event {
            EventV1::Decided(decided) => Event::Decided(Box::new(Decided::from(*decided))),
            EventV1::AccountOpened(opened) => Event::AccountOpened(opened),
            EventV1::Housekept(housekept) => Event::Housekept(housekept),
        }
    }
}

impl From<DecidedV1> for Decided {
    fn from(old: DecidedV1) -> Decided {
        Decided {
            facts: Arc::new(Facts::from(old.facts)),
            reason: old.reason,
            code: old.code,
            approval: old.approval,
            evidence: old.evidence,
            programme_version: old.programme_version,
            balances: old.balances.map(Box::new),
            card: old.card,
            stored: old.stored,
            effects: old.effects,
        }
    }
}

impl From<FactsV1> for Facts {
    fn from(old: FactsV1) -> Facts {
        Facts {
            kind: old.kind,
            mti: old.mti,
            repeat: old.repeat,
            purpose: old.purpose,
            dialect: old.dialect,
            trace: old.trace,
            route: old.route,
            card: old.card,
            expiry: old.expiry,
            amount: old.amount,
            billing: old.billing,
            replacement_minor: old.replacement_minor,
            mcc: old.mcc,
            terminal: old.terminal,
            acceptor: old.acceptor,
            acceptor_name: old.acceptor_name,
            origin: old.origin,
            rrn: old.rrn,
            quoted_approval: old.quoted_approval,
            original: old.original,
            stand_in_approved: old.stand_in_approved,
            initiation: old.initiation,
            certainty: old.certainty,
            device: old.device,
            presence: old.presence,
            pin: if old.pin_block_present {
                PinVerdict::Unverified
            } else {
                PinVerdict::Absent
            },
            link: LinkNumber::default(),
            point: PointOfService::default(),
            local: LocalTime::UNSAID,
            rare: None,
            evidence: old.evidence,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_stay_within_328_bytes() {
        // Every message is copied with them; what few messages state is kept in a box.
        let now = size_of::<Facts>();
        assert!(now <= 328, "{now} bytes");
    }
}
