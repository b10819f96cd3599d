//! The rows of which a checkpoint is made: their byte form for ever, whatever memory looks like.
//!
//! A row is postcard of [`Row`]. Old rows must decode for ever (`fixtures/checkpoint/row-v1`), so a
//! row never changes: what it lacks comes as a new variant at the end, and the old one stays to be
//! read. The same holds for every type inside a row.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::domain::account::{AccountId, Kyc, ProgrammeName, Purse, PurseIndex, Split};
use crate::domain::card::{CardId, CardPin, CardStatus, ExpiryMonth};
use crate::domain::card_control::CardControl;
use crate::domain::card_limit::CardLimit;
use crate::domain::chip::UsedCounters;
use crate::domain::decision::{ApprovalCode, ResponseCode};
use crate::domain::exchange::{Billed, Exchange};
use crate::domain::facts::{LinkNumber, MessageKind, Purpose, Trace, TraceKey};
use crate::domain::holder::Holder;
use crate::domain::merchant::{AcceptorId, Mcc, RetrievalReference, TerminalId};
use crate::domain::money::Currency;
use crate::domain::pan::{CardToken, MaskedPan};
use crate::domain::programme::Channel;
use crate::domain::rare_facts::LifecycleId;
use crate::domain::rate_file::RateRow;
use crate::domain::reconciliation::Totals;
use crate::domain::time::{BusinessDate, UnixMs};

use super::super::clearing::ClosedBatch;
use super::super::entry::{EntryId, EntryState};
use super::super::ledger::LedgerAccount;
use super::super::operation::Reference;
use super::super::operation_end::Ending;
use super::super::operation_money::{CountedTransfer, Movement};
use super::super::reconcile::{Asker, Reconciled};
use super::super::state::{ExceptionRow, StoredAnswer};
use super::super::usage::Usage;

/// One row. A checkpoint begins with [`Row::Head`] and ends with [`Row::End`]; what a row refers to
/// comes before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Row<'a> {
    /// The last record, its time, and how many exceptions there ever were.
    Head(u64, UnixMs, u64),
    /// The next programme.
    Programme(ProgrammeName),
    /// The next link.
    Link(LinkRow),
    /// A day of a link.
    LinkDay(LinkDayRow),
    /// A programme file in force: name, version, hash.
    ProgrammeFile(ProgrammeName, u32, [u8; 32]),
    /// The next account.
    Account(AccountRow),
    /// The next card.
    Card(CardRow),
    /// A number that a device pays with.
    DeviceToken(DeviceTokenRow),
    /// The next holder.
    Holder(Holder),
    /// An account that has a holder, by the holder's place from 1 on; accounts ascend.
    AccountHolder(AccountId, u32),
    /// A card by its last month.
    CardDue(ExpiryMonth, CardId),
    /// A card that did not go on.
    CardLapsed(CardId),
    /// The next entry, of its account too.
    Entry(EntryRow),
    /// What an entry was paid with in other currencies. In a box, or every row were as large.
    Exchange(EntryId, Box<Cow<'a, Exchange>>),
    /// Which entry made a card usable at a till.
    Activation(CardId, EntryId),
    /// A hold that ends, by the length of its life in milliseconds.
    Expiry(i64, UnixMs, EntryId),
    /// An entry that came to rest.
    Resting(UnixMs, EntryId),
    /// The next answer to a request.
    Answer(AnswerRow<'a>),
    /// The next answer to an advice or a reversal.
    AdviceAnswer(AnswerRow<'a>),
    /// A reversal that came before its original, and what it left.
    Tombstone(UnixMs, CardToken, Trace, Option<i64>),
    /// The caller's name of a movement, its record, and what it stands for.
    Reference(UnixMs, Reference, Option<u64>, Option<Movement>),
    /// A total of the ledger, minor units.
    LedgerTotal(LedgerAccount, Currency, i64),
    /// Since when a purse is below zero.
    Negative(AccountId, PurseIndex, UnixMs),
    /// Attempts of an acceptor, or of a whole link, by the minute.
    Guesses(LinkNumber, AcceptorId, SmallVec<[(i64, u32); 4]>),
    /// An exchange rate.
    Rate(RateRow),
    /// The next transfer of an account.
    Transfer(AccountId, CountedTransfer),
    /// A clearing batch that was posted whole.
    ClearingClosed(Reference, ClosedBatch),
    /// The next exception.
    Exception(ExceptionRow),
    /// Everything was said, in so many rows, this one included.
    End(u64),
    /// Counters that the chip of a card with this sequence number has used.
    Chip(CardId, u8, UsedCounters),
    /// When an account was closed, and its card data erased.
    Ending(AccountId, Ending),
    /// Limits of a card of its own.
    CardLimits(CardId, Cow<'a, [CardLimit]>),
    /// Controls of a card of its own.
    CardControls(CardId, Cow<'a, [CardControl]>),
}

/// A link, without its days.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct LinkRow {
    pub(super) name: String,
    /// The current day, once there was a cutover.
    pub(super) current: Option<BusinessDate>,
    /// The message that asked for the last cutover.
    pub(super) asker: Option<Asker>,
}

/// A day of a link in one currency; days of a link come in their order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct LinkDayRow {
    pub(super) link: LinkNumber,
    pub(super) date: BusinessDate,
    pub(super) currency: Currency,
    pub(super) totals: Totals,
    pub(super) reconciled: Option<Box<Reconciled>>,
}

/// An account; its number is its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct AccountRow {
    pub(super) programme: u8,
    pub(super) kyc: Kyc,
    pub(super) purses: SmallVec<[Purse; 2]>,
    pub(super) cards: SmallVec<[CardId; 1]>,
    pub(super) usage: SmallVec<[Usage; 1]>,
}

/// A card; its number is its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct CardRow {
    pub(super) account: AccountId,
    pub(super) token: CardToken,
    pub(super) masked: MaskedPan,
    pub(super) expiry: Option<ExpiryMonth>,
    pub(super) status: CardStatus,
    pub(super) pin: CardPin,
}

/// A number that a device pays with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct DeviceTokenRow {
    pub(super) card: CardId,
    pub(super) token: CardToken,
    pub(super) masked: MaskedPan,
    pub(super) is_alive: bool,
    /// Whether the number finds this card, not a later one that got it too.
    pub(super) finds_card: bool,
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in super::super) struct EntryRow {
    pub(in super::super) id: EntryId,
    pub(in super::super) account: AccountId,
    pub(in super::super) card: CardId,
    pub(in super::super) opened_by: MessageKind,
    pub(in super::super) purpose: Purpose,
    pub(in super::super) currency: Currency,
    pub(in super::super) state: EntryState,
    pub(in super::super) authorized: i64,
    pub(in super::super) held: Split,
    pub(in super::super) posted: Split,
    pub(in super::super) counted: i64,
    pub(in super::super) counted_as: i16,
    pub(in super::super) channel: Option<Channel>,
    pub(in super::super) date: BusinessDate,
    pub(in super::super) opened_at: UnixMs,
    pub(in super::super) expires_at: Option<UnixMs>,
    pub(in super::super) rested_at: UnixMs,
    pub(in super::super) mcc: Option<Mcc>,
    pub(in super::super) trace: Trace,
    pub(in super::super) terminal: TerminalId,
    pub(in super::super) acceptor: AcceptorId,
    pub(in super::super) rrn: RetrievalReference,
    pub(in super::super) approval: Option<ApprovalCode>,
    pub(in super::super) rare: Option<Box<RareRow>>,
}

/// What few entries have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(in super::super) struct RareRow {
    pub(in super::super) refunded: i64,
    pub(in super::super) refund_of: Option<EntryId>,
    pub(in super::super) fee: Split,
    pub(in super::super) lifecycle: Option<LifecycleId>,
}

/// A stored answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in super::super) enum AnswerRow<'a> {
    /// What its entry says, with this code.
    OfEntry(EntryId, ResponseCode),
    /// By itself.
    Whole(UnixMs, TraceKey, Cow<'a, StoredAnswer>),
    /// By itself, and what the cardholder is billed.
    Billed(UnixMs, TraceKey, Cow<'a, StoredAnswer>, Billed),
}
