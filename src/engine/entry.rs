//! One entry of an account: an authorization, a purchase, a refund or a load, through its life.
//!
//! ```text
//! Pending ──capture──▶ Captured        Pending ──reversal──▶ Reversed
//!    └─────time──────▶ Released        Captured ──reversal──▶ Reversed
//! ```
//! A part captured leaves the rest pending. Released and reversed entries stay matchable.

use arrayvec::ArrayString;
use serde::{Deserialize, Serialize};

use crate::domain::account::{AccountId, Split};
use crate::domain::card::CardId;
use crate::domain::decision::ApprovalCode;
use crate::domain::facts::{MessageKind, Purpose, Trace};
use crate::domain::merchant::{AcceptorId, Mcc, TerminalId};
use crate::domain::money::Currency;
use crate::domain::programme::Channel;
use crate::domain::rare_facts::LifecycleId;
use crate::domain::time::{BusinessDate, UnixMs};

/// Number of an entry: the sequence of the record that opened it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntryId(pub u64);

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryState {
    /// Authorized, not posted (in full).
    Pending,
    /// Posted.
    Captured,
    /// Its time was over.
    Released,
    /// Undone.
    Reversed,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number.
    pub id: EntryId,
    /// Whose purses.
    pub account: AccountId,
    /// By which card.
    pub card: CardId,
    /// Kind of the message that opened it.
    pub opened_by: MessageKind,
    /// Purchase, refund or load.
    pub purpose: Purpose,
    /// Currency of all its amounts.
    pub currency: Currency,
    /// Where it stands.
    pub state: EntryState,
    /// Amount as first asked, minor units.
    pub authorized: i64,
    /// What it still holds, in the order taken.
    pub held: Split,
    /// What was posted and not undone: debited by a purchase, credited by a refund or load.
    pub posted: Split,
    /// Of a purchase: how much refunds have given back, minor units.
    pub refunded: i64,
    /// Of a refund: the purchase.
    pub refund_of: Option<EntryId>,
    /// Amount that still counts in the limits of its day, minor units.
    pub counted: i64,
    /// Transactions it still counts as in those limits: one, or none once given back.
    pub counted_as: i32,
    /// In which limits it counts; `None` where it never counted.
    pub channel: Option<Channel>,
    /// What was taken as its fee and not given back.
    pub fee: Option<Box<Split>>,
    /// The day it counts on.
    pub date: BusinessDate,
    /// When it was opened.
    pub opened_at: UnixMs,
    /// When an uncaptured hold is released.
    pub expires_at: Option<UnixMs>,
    /// When it last came to rest; the epoch while pending.
    pub rested_at: UnixMs,
    /// Merchant category.
    pub mcc: Option<Mcc>,
    /// Trace of the message that opened it.
    pub trace: Trace,
    /// Terminal.
    pub terminal: TerminalId,
    /// Card acceptor.
    pub acceptor: AcceptorId,
    /// Retrieval reference number.
    pub rrn: ArrayString<12>,
    /// Approval code.
    pub approval: Option<ApprovalCode>,
    /// The network's name for the transaction.
    pub lifecycle: Option<Box<LifecycleId>>,
}

impl Entry {
    /// Whether it takes money from the cardholder (a purchase) rather than giving some.
    pub fn is_debit(&self) -> bool {
        is_debit(self.purpose)
    }

    /// What a reversal could still undo, minor units: what refunds have given back is even.
    pub fn outstanding(&self) -> i64 {
        let paid = self.posted.total().saturating_sub(self.refunded).max(0);
        self.held.total().saturating_add(paid)
    }
}

/// Whether entries of this purpose take money from the cardholder.
pub fn is_debit(purpose: Purpose) -> bool {
    !matches!(
        purpose,
        Purpose::Refund | Purpose::Load | Purpose::OriginalCredit | Purpose::Activation
    )
}
