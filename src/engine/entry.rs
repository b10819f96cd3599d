//! One entry of an account: an authorization, a purchase, a refund or a load, through its life.
//!
//! ```text
//! Pending ──capture──▶ Captured        Pending ──reversal──▶ Reversed
//!    └─────time──────▶ Released        Captured ──reversal──▶ Reversed
//! ```
//! A part captured leaves the rest pending. Released and reversed entries stay matchable.

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use crate::domain::account::{AccountId, Split};
use crate::domain::card::CardId;
use crate::domain::decision::ApprovalCode;
use crate::domain::facts::{Facts, MessageKind, Purpose, Trace};
use crate::domain::merchant::{AcceptorId, Mcc, RetrievalReference, TerminalId};
use crate::domain::money::Currency;
use crate::domain::programme::Channel;
use crate::domain::rare_facts::LifecycleId;
use crate::domain::time::{BusinessDate, UnixMs};

use super::checkpoint::{EntryRow, RareRow};

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

/// One entry. There are millions of them: what few have stands apart.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Amount that still counts in the limits of its day, minor units.
    pub counted: i64,
    /// Transactions it still counts as in those limits: one, or none once given back.
    pub counted_as: i16,
    /// In which limits it counts; `None` where it never counted.
    pub channel: Option<Channel>,
    /// The day it counts on.
    pub date: BusinessDate,
    /// When it was opened.
    pub opened_at: UnixMs,
    /// When it last came to rest; the epoch while pending.
    pub rested_at: UnixMs,
    /// Trace of the message that opened it.
    pub trace: Trace,
    terminal: TerminalId,
    acceptor: AcceptorId,
    rrn: RetrievalReference,
    approval: Option<ApprovalCode>,
    /// Merchant category; above every category where there is none.
    mcc: u16,
    /// Seconds after which an uncaptured hold is released; [`ENDLESS`] where it is none, and
    /// [`RARE_LIFE`] where the instant stands with what few entries have.
    life: u32,
    rare: Option<Box<Rare>>,
}

/// What few entries have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rare {
    refunded: i64,
    refund_of: Option<EntryId>,
    fee: Split,
    lifecycle: Option<LifecycleId>,
    expires_at: Option<UnixMs>,
}

/// What an entry is opened with.
pub(super) struct Opening<'a> {
    pub(super) id: EntryId,
    pub(super) account: AccountId,
    pub(super) card: CardId,
    pub(super) at: UnixMs,
    pub(super) facts: &'a Facts,
    pub(super) currency: Currency,
    pub(super) authorized: i64,
    pub(super) held: Split,
    pub(super) expires_at: Option<UnixMs>,
    pub(super) date: BusinessDate,
    pub(super) refund_of: Option<EntryId>,
    pub(super) approval: Option<ApprovalCode>,
}

impl Entry {
    /// Amount and number of what entries still count in limits.
    pub(super) fn added_up<'a>(entries: impl Iterator<Item = &'a Entry>) -> (i64, u32) {
        entries.fold((0, 0), |(minor, count), entry| {
            (
                entry.counted.saturating_add(minor),
                i32::from(entry.counted_as)
                    .saturating_add_unsigned(count)
                    .max(0)
                    .unsigned_abs(),
            )
        })
    }

    /// A new entry.
    pub(super) fn open(opening: Opening<'_>) -> Entry {
        let facts = opening.facts;
        let life = life_of(opening.at, opening.expires_at);
        let rare = Rare {
            refund_of: opening.refund_of,
            lifecycle: facts.lifecycle_id(),
            expires_at: opening.expires_at.filter(|_| life == RARE_LIFE),
            ..Rare::default()
        };
        Entry {
            id: opening.id,
            account: opening.account,
            card: opening.card,
            opened_by: facts.kind,
            purpose: facts.purpose,
            currency: opening.currency,
            state: EntryState::Pending,
            authorized: opening.authorized,
            held: opening.held,
            posted: Split::default(),
            counted: 0,
            counted_as: 0,
            channel: None,
            date: opening.date,
            opened_at: opening.at,
            rested_at: UnixMs::default(),
            trace: facts.trace,
            terminal: facts.terminal,
            acceptor: facts.acceptor,
            rrn: facts.rrn,
            approval: opening.approval,
            mcc: facts.mcc.map_or(NO_MCC, |mcc| mcc.0),
            life,
            rare: (rare != Rare::default()).then(|| Box::new(rare)),
        }
    }

    /// As a checkpoint keeps it.
    pub(super) fn row(&self) -> EntryRow {
        let rare = RareRow {
            refunded: self.refunded(),
            refund_of: self.refund_of(),
            fee: self.fee().cloned().unwrap_or_default(),
            lifecycle: self.lifecycle(),
        };
        EntryRow {
            id: self.id,
            account: self.account,
            card: self.card,
            opened_by: self.opened_by,
            purpose: self.purpose,
            currency: self.currency,
            state: self.state,
            authorized: self.authorized,
            held: self.held.clone(),
            posted: self.posted.clone(),
            counted: self.counted,
            counted_as: self.counted_as,
            channel: self.channel,
            date: self.date,
            opened_at: self.opened_at,
            expires_at: self.expires_at(),
            rested_at: self.rested_at,
            mcc: self.mcc(),
            trace: self.trace,
            terminal: self.terminal(),
            acceptor: self.acceptor(),
            rrn: self.rrn,
            approval: self.approval(),
            rare: (rare != RareRow::default()).then(|| Box::new(rare)),
        }
    }

    /// As it was in a checkpoint.
    pub(super) fn restore(row: EntryRow) -> Entry {
        let life = life_of(row.opened_at, row.expires_at);
        let kept = row.rare.map(|rare| *rare).unwrap_or_default();
        let rare = Rare {
            refunded: kept.refunded,
            refund_of: kept.refund_of,
            fee: kept.fee,
            lifecycle: kept.lifecycle,
            expires_at: row.expires_at.filter(|_| life == RARE_LIFE),
        };
        Entry {
            id: row.id,
            account: row.account,
            card: row.card,
            opened_by: row.opened_by,
            purpose: row.purpose,
            currency: row.currency,
            state: row.state,
            authorized: row.authorized,
            held: row.held,
            posted: row.posted,
            counted: row.counted,
            counted_as: row.counted_as,
            channel: row.channel,
            date: row.date,
            opened_at: row.opened_at,
            rested_at: row.rested_at,
            trace: row.trace,
            terminal: row.terminal,
            acceptor: row.acceptor,
            rrn: row.rrn,
            approval: row.approval,
            mcc: row.mcc.map_or(NO_MCC, |mcc| mcc.0),
            life,
            rare: (rare != Rare::default()).then(|| Box::new(rare)),
        }
    }

    /// Terminal.
    pub fn terminal(&self) -> TerminalId {
        self.terminal
    }

    /// Card acceptor.
    pub fn acceptor(&self) -> AcceptorId {
        self.acceptor
    }

    /// Retrieval reference number, where the message had one.
    pub fn rrn(&self) -> Option<RetrievalReference> {
        (!self.rrn.is_empty()).then_some(self.rrn)
    }

    /// Approval code.
    pub fn approval(&self) -> Option<ApprovalCode> {
        self.approval
    }

    /// When an uncaptured hold is released.
    pub fn expires_at(&self) -> Option<UnixMs> {
        match self.life {
            ENDLESS => None,
            RARE_LIFE => self.rare.as_ref()?.expires_at,
            seconds => {
                let ms = i64::from(seconds).saturating_mul(1_000);
                Some(UnixMs(self.opened_at.0.saturating_add(ms)))
            }
        }
    }

    /// Merchant category.
    pub fn mcc(&self) -> Option<Mcc> {
        (self.mcc != NO_MCC).then_some(Mcc(self.mcc))
    }

    /// Of a purchase: how much refunds have given back, minor units.
    pub fn refunded(&self) -> i64 {
        self.rare.as_ref().map_or(0, |rare| rare.refunded)
    }

    /// Of a refund: the purchase.
    pub fn refund_of(&self) -> Option<EntryId> {
        self.rare.as_ref()?.refund_of
    }

    /// What was taken as its fee and not given back.
    pub fn fee(&self) -> Option<&Split> {
        let fee = self.rare.as_ref().map(|rare| &rare.fee);
        fee.filter(|fee| !fee.is_empty())
    }

    /// The network's name for the transaction.
    pub fn lifecycle(&self) -> Option<LifecycleId> {
        self.rare.as_ref()?.lifecycle
    }

    /// Refunds of it have given back more, or less.
    pub(super) fn note_refunded(&mut self, change: i64) {
        let rare = self.rare.get_or_insert_default();
        rare.refunded = rare.refunded.saturating_add(change).max(0);
    }

    /// So much is taken as its fee now.
    pub(super) fn set_fee(&mut self, fee: Split) {
        if self.rare.is_some() || !fee.is_empty() {
            self.rare.get_or_insert_default().fee = fee;
        }
    }

    /// Whether it takes money from the cardholder (a purchase) rather than giving some.
    pub fn is_debit(&self) -> bool {
        is_debit(self.purpose)
    }

    /// What a reversal could still undo, minor units: what refunds have given back is even.
    pub fn outstanding(&self) -> i64 {
        let paid = self.posted.total().saturating_sub(self.refunded()).max(0);
        self.held.total().saturating_add(paid)
    }
}

const NO_MCC: u16 = u16::MAX;
const ENDLESS: u32 = 0;
const RARE_LIFE: u32 = u32::MAX;

fn life_of(opened_at: UnixMs, expires_at: Option<UnixMs>) -> u32 {
    let Some(expires_at) = expires_at else {
        return ENDLESS;
    };
    let ms = expires_at.0.saturating_sub(opened_at.0);
    let whole = ms.rem_euclid(1_000) == 0;
    let seconds = u32::try_from(ms.div_euclid(1_000)).ok();
    let seconds = seconds.filter(|seconds| whole && *seconds != ENDLESS);
    seconds.unwrap_or(RARE_LIFE)
}

/// Everything of an entry in one order, for the digest.
impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Entry", 27)?;
        fields.serialize_field("id", &self.id)?;
        fields.serialize_field("account", &self.account)?;
        fields.serialize_field("card", &self.card)?;
        fields.serialize_field("opened_by", &self.opened_by)?;
        fields.serialize_field("purpose", &self.purpose)?;
        fields.serialize_field("currency", &self.currency)?;
        fields.serialize_field("state", &self.state)?;
        fields.serialize_field("authorized", &self.authorized)?;
        fields.serialize_field("held", &self.held)?;
        fields.serialize_field("posted", &self.posted)?;
        fields.serialize_field("refunded", &self.refunded())?;
        fields.serialize_field("refund_of", &self.refund_of())?;
        fields.serialize_field("counted", &self.counted)?;
        fields.serialize_field("counted_as", &i32::from(self.counted_as))?;
        fields.serialize_field("channel", &self.channel)?;
        fields.serialize_field("fee", &self.fee())?;
        fields.serialize_field("date", &self.date)?;
        fields.serialize_field("opened_at", &self.opened_at)?;
        fields.serialize_field("expires_at", &self.expires_at())?;
        fields.serialize_field("rested_at", &self.rested_at)?;
        fields.serialize_field("mcc", &self.mcc())?;
        fields.serialize_field("trace", &self.trace)?;
        fields.serialize_field("terminal", &self.terminal())?;
        fields.serialize_field("acceptor", &self.acceptor())?;
        fields.serialize_field("rrn", &self.rrn)?;
        fields.serialize_field("approval", &self.approval())?;
        fields.serialize_field("lifecycle", &self.lifecycle())?;
        fields.end()
    }
}

/// Whether entries of this purpose take money from the cardholder.
pub fn is_debit(purpose: Purpose) -> bool {
    !matches!(
        purpose,
        Purpose::Refund | Purpose::Load | Purpose::OriginalCredit | Purpose::Activation
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Amount;
    use crate::domain::pan::CardToken;

    #[test]
    fn an_entry_takes_little_memory() {
        assert!(size_of::<Entry>() <= 168, "{}", size_of::<Entry>());
    }

    #[test]
    fn a_hold_ends_when_it_was_said_to_end() {
        let opened_at = UnixMs(1_803_870_000_123);
        let trace = Trace {
            originator: 1,
            transmitted: 2,
            stan: 3,
        };
        let kind = MessageKind::Authorization;
        let amount = Amount::new(1, Currency::JPY);
        let card = CardToken([7; 16]);
        let facts = Facts::beside_the_wire(kind, Purpose::Purchase, trace, card, amount);
        for life_ms in [0, 1, 999, 1_000, 86_400_000 * 45, 1 << 50, -5_000] {
            for expires_at in [None, Some(UnixMs(opened_at.0 + life_ms))] {
                let entry = Entry::open(Opening {
                    id: EntryId(1),
                    account: AccountId(1),
                    card: CardId(1),
                    at: opened_at,
                    facts: &facts,
                    currency: Currency::JPY,
                    authorized: 1,
                    held: Split::default(),
                    expires_at,
                    date: BusinessDate(0),
                    refund_of: None,
                    approval: None,
                });
                assert_eq!(entry.expires_at(), expires_at);
            }
        }
    }
}
