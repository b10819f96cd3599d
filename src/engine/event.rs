//! What happened: the facts the journal keeps for ever.
//!
//! Byte form: [`super::record`]. Variants and fields are only ever added at the end of their list,
//! and only together with a new record version.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};
use smallvec::SmallVec;

use crate::domain::account::{AccountId, Kyc, ProgrammeName, PurseIndex, Split};
use crate::domain::card::{CardId, CardStatus, ExpiryMonth, PinReference};
use crate::domain::decision::{ApprovalCode, Balances, Reason, ResponseCode};
use crate::domain::exchange::Legs;
use crate::domain::facts::{Facts, LinkNumber, Trace};
use crate::domain::money::{Amount, Currency};
use crate::domain::pan::{CardToken, MaskedPan};
use crate::domain::programme::Channel;
use crate::domain::rate::Rate;
use crate::domain::time::{BusinessDate, UnixMs};

use super::entry::{EntryId, EntryState};
use super::ledger::{Posting, Postings};
use super::operation::Operation;
use super::reconcile::{Asker, Reconciled};

/// One journal record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A message was decided or recorded, with everything that follows from it.
    Decided(Box<Decided>),
    /// An account was opened with one card and its opening balances.
    AccountOpened(Box<AccountOpened>),
    /// Time passed.
    Housekept(Box<Housekept>),
    /// A link was seen for the first time and has its number from here on.
    LinkNamed(LinkNumber, String),
    /// A card's PIN was set; wrong tries are forgotten.
    PinSet(CardId, PinReference),
    /// A card's wrong PINs are forgotten.
    PinUnlocked(CardId),
    /// An operator did something.
    Operated(Box<Operation>),
    /// A business day of a link ended, and this one began; which message asked.
    CutOver(LinkNumber, BusinessDate, Option<Asker>),
    /// A business day of a link was reconciled.
    Reconciled(Box<Reconciled>),
}

impl Event {
    /// The decision, if it is one.
    pub fn decided(&self) -> Option<&Decided> {
        match self {
            Event::Decided(decided) => Some(decided),
            _ => None,
        }
    }
}

/// A decision with the facts it was taken on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// What the message said.
    #[serde(deserialize_with = "shared_facts")]
    pub facts: Arc<Facts>,
    /// Why it was answered as it was.
    pub reason: Reason,
    /// DE 39 as sent.
    pub code: ResponseCode,
    /// DE 38, on approval.
    pub approval: Option<ApprovalCode>,
    /// What decided, in words.
    pub evidence: Option<String>,
    /// Version of the programme file, when there was a programme.
    pub programme_version: Option<u32>,
    /// Balances, where the answer shows them: few do.
    pub balances: Option<Box<Balances>>,
    /// The card, when it is one of ours.
    pub card: Option<CardId>,
    /// Whether the answer is stored for repeats.
    pub stored: bool,
    /// What follows, in order.
    pub effects: Effects,
}

/// Facts to be shared; by itself serde would first put them in a box.
fn shared_facts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<Facts>, D::Error> {
    Facts::deserialize(deserializer).map(Arc::new)
}

/// What follows from a decision, in order. Apart from it, since a decision is handed on and effects
/// are large.
pub type Effects = Vec<Effect>;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// A new entry, numbered by the sequence of its record.
    EntryOpened {
        /// Its currency.
        currency: Currency,
        /// Authorized amount, minor units.
        authorized: i64,
        /// What it holds, in the order taken.
        held: Split,
        /// When an uncaptured hold is released.
        expires_at: Option<UnixMs>,
        /// The day it counts on.
        date: BusinessDate,
        /// The purchase that a refund gives back.
        refund_of: Option<EntryId>,
    },
    /// More is held.
    HoldRaised {
        /// Which entry.
        entry: EntryId,
        /// How much more, per purse.
        split: Split,
    },
    /// Less is held: captured, reversed or lowered.
    HoldLowered {
        /// Which entry.
        entry: EntryId,
        /// How much less, per purse.
        split: Split,
    },
    /// Money moved; the postings sum to zero.
    Posted {
        /// Which entry.
        entry: EntryId,
        /// Currency of all postings.
        currency: Currency,
        /// The double entry.
        postings: SmallVec<[Posting; 3]>,
    },
    /// Money moved between purses of one account, to offset a negative one.
    Offset {
        /// Whose purses.
        account: AccountId,
        /// Currency of the postings.
        currency: Currency,
        /// The double entry.
        postings: SmallVec<[Posting; 3]>,
    },
    /// An entry has come to rest, or another part of it was posted.
    EntryMoved {
        /// Which entry.
        entry: EntryId,
        /// Its new state.
        state: EntryState,
    },
    /// Usage of the limits changed.
    Counted {
        /// Which entry.
        entry: EntryId,
        /// Which limits.
        channel: Channel,
        /// Currency of the amount.
        currency: Currency,
        /// The day it counts on.
        date: BusinessDate,
        /// Minor units; below zero when usage is given back.
        minor: i64,
        /// Transactions; below zero when usage is given back.
        count: i32,
    },
    /// A reversal came first; its original must not be approved any more.
    TombstoneSet {
        /// Trace of the original.
        trace: Trace,
    },
    /// Something that a person must look at.
    ExceptionRaised {
        /// What kind.
        kind: ExceptionKind,
        /// The entry it is about.
        entry: Option<EntryId>,
        /// The amount in question, minor units.
        minor: i64,
    },
    /// A reversal of a part came first; the rest of its original may still be posted.
    PartTombstoneSet {
        /// Trace of the original.
        trace: Trace,
        /// What shall remain, minor units of the transaction.
        remaining: i64,
    },
    /// A PIN came along that was right after wrong ones, or wrong.
    PinTried {
        /// Wrong tries since the last right one.
        wrong_tries: u8,
    },
    /// A fee was taken or given back; the postings sum to zero.
    FeePosted {
        /// Which entry.
        entry: EntryId,
        /// Currency of all postings.
        currency: Currency,
        /// The double entry.
        postings: SmallVec<[Posting; 3]>,
    },
    /// More is held of purses that pay in another currency or with a mark-up.
    ExchangeHeld(Box<Exchanged>),
    /// Less is held of them.
    ExchangeLowered(Box<Exchanged>),
    /// They paid, or were paid back.
    ExchangePosted(Box<Exchanged>),
    /// A till made the card usable, or took that back.
    CardActivation {
        /// Whether it may be used from here on.
        is_active: bool,
    },
    /// The card has another PIN; wrong tries are forgotten.
    PinChanged {
        /// What tells it from a wrong one.
        reference: PinReference,
    },
    /// The card's chip has used a transaction counter.
    ChipCounted(ChipCounted),
}

/// A transaction counter that a chip has used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChipCounted {
    /// Which card of the number it is (PSN).
    pub sequence_number: u8,
    /// The counter (ATC).
    pub counter: u16,
}

/// What an exchange changes for one entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchanged {
    /// Which entry.
    pub entry: EntryId,
    /// The part of what the message asked for.
    pub asked: Amount,
    /// From its currency to the entry's; `None` where they are the same, or nobody said.
    pub rate: Option<Rate>,
    /// What each purse gives for it.
    pub legs: Legs,
    /// Whether the purses are credited rather than debited.
    pub credits: bool,
    /// The double entries, one for each currency; none for what is only held.
    pub movements: Vec<(Currency, Postings)>,
}

/// Why a person must look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExceptionKind {
    /// A capture found no authorization.
    UnmatchedCapture,
    /// A capture came after its hold was released or reversed.
    LateCapture,
    /// A further capture of an entry that was fully captured.
    ExtraCapture,
    /// More than one entry could be meant.
    AmbiguousMatch,
    /// A reversal found no original.
    UnmatchedReversal,
    /// A reversal asked for more than was left.
    OverReversal,
    /// A replacement amount above the original one.
    ReplacementAboveOriginal,
    /// A posting in a currency for which the account has no purse.
    CurrencyWithoutPurse,
    /// A refund that the programme would have refused, posted because an advice cannot be refused.
    ForcedRefund,
    /// A load that the programme would have refused, posted because an advice cannot be refused.
    ForcedLoad,
    /// An acceptor or a link asks about one unknown or exhausted number after the other.
    NumberGuessing,
    /// A load was called off by its cardholder where that is not offered.
    CancelledLoad,
}

/// A new account with its card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountOpened {
    /// Its number.
    pub account: AccountId,
    /// Its programme.
    pub programme: ProgrammeName,
    /// How well the holder is known.
    pub kyc: Kyc,
    /// Currency of each purse, in the programme's order.
    pub purses: Vec<Currency>,
    /// Opening balances, posted from issuance.
    pub opening: Vec<(PurseIndex, i64)>,
    /// Its card.
    pub card: CardIssued,
}

/// A new card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardIssued {
    /// Its number inside the switch.
    pub card: CardId,
    /// Keyed hash of the card number.
    pub token: CardToken,
    /// What may be shown of the card number.
    pub masked: MaskedPan,
    /// Last valid month.
    pub expiry: Option<ExpiryMonth>,
    /// Whether it may be used.
    pub status: CardStatus,
}

/// What the passing of time did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Housekept {
    /// Holds released because nobody captured them in time.
    pub expired: Vec<EntryId>,
    /// Answers given before this are forgotten.
    pub answers_before: UnixMs,
    /// Entries that came to rest before this are forgotten.
    pub entries_before: UnixMs,
    /// Tombstones set before this are forgotten.
    pub tombstones_before: UnixMs,
}
