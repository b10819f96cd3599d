//! What a message comes to, before it is numbered and coded.

use crate::domain::decision::{ApprovalCode, Reason};

use super::case::Refusal;
use super::event::Effects;

/// What a message comes to, before it is numbered and coded.
pub(super) struct Verdict {
    pub(super) reason: Reason,
    pub(super) evidence: Option<String>,
    pub(super) approval: Option<ApprovalCode>,
    /// What was approved where that is less than was asked.
    pub(super) approved_part: Option<Box<ApprovedPart>>,
    pub(super) show_balances: bool,
    pub(super) effects: Effects,
}

/// What was approved of what was asked, minor units.
#[derive(Clone, Copy)]
pub(super) struct ApprovedPart {
    /// In the cardholder's currency.
    pub(super) minor: i64,
    /// In the currency of the transaction, where that was converted.
    pub(super) transaction: Option<i64>,
}

impl Verdict {
    /// Accepted, with what follows.
    pub(super) fn accepted(effects: Effects) -> Verdict {
        Verdict {
            reason: Reason::Approved,
            evidence: None,
            approval: None,
            approved_part: None,
            show_balances: false,
            effects,
        }
    }

    /// Declined; nothing follows.
    pub(super) fn refused(refusal: Refusal) -> Verdict {
        Verdict {
            reason: refusal.reason,
            evidence: refusal.evidence,
            approval: None,
            approved_part: None,
            show_balances: false,
            effects: Effects::new(),
        }
    }

    /// The same, with what was seen.
    pub(super) fn seeing(mut self, evidence: String) -> Verdict {
        self.evidence = Some(evidence);
        self
    }
}
