//! What a message comes to, before it is numbered and coded.

use crate::domain::decision::{ApprovalCode, Reason};

use super::case::Refusal;
use super::event::Effects;

/// What a message comes to, before it is numbered and coded.
pub(super) struct Verdict {
    pub(super) reason: Reason,
    pub(super) evidence: Option<String>,
    pub(super) approval: Option<ApprovalCode>,
    /// Approved, in the cardholder's currency, where that is less than was asked.
    pub(super) approved_minor: Option<i64>,
    /// The same in the currency of the transaction, where that was converted.
    pub(super) approved_transaction: Option<i64>,
    pub(super) show_balances: bool,
    pub(super) effects: Effects,
}

impl Verdict {
    /// Accepted, with what follows.
    pub(super) fn accepted(effects: Effects) -> Verdict {
        Verdict {
            reason: Reason::Approved,
            evidence: None,
            approval: None,
            approved_minor: None,
            approved_transaction: None,
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
            approved_minor: None,
            approved_transaction: None,
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
