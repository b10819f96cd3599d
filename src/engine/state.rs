//! Everything the engine knows: read by `decide`, changed only by [`State::apply`].
//!
//! The maps are never iterated, so their order reaches nothing.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, VecDeque};

use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::domain::account::ProgrammeName;
use crate::domain::account::PurseIndex;
use crate::domain::account::{Account, AccountId};
use crate::domain::card::{Card, CardId};
use crate::domain::card_control::CardControl;
use crate::domain::card_limit::CardLimit;
use crate::domain::chip::UsedCounters;
use crate::domain::decision::{ApprovalCode, Balances, PurseBalance, Reason, ResponseCode};
use crate::domain::exchange::{Billed, Exchange};
use crate::domain::facts::{Facts, LinkNumber, MessageKind, Purpose, Trace, TraceKey};
use crate::domain::merchant::{AcceptorId, RetrievalReference, TerminalId};
use crate::domain::money::Currency;
use crate::domain::pan::{CardToken, MaskedPan};
use crate::domain::programme::Channel;
use crate::domain::rare_facts::LifecycleId;
use crate::domain::time::UnixMs;

use super::answers::{AnswerTable, Booked};
use super::clearing::ClosedBatch;
use super::entry::{Entry, EntryId};
use super::entry_list::EntryList;
use super::event::ExceptionKind;
use super::guesses::Guesses;
use super::holders::HolderBook;
use super::ledger::Ledger;
use super::operation::Reference;
use super::operation_end::Ending;
use super::operation_money::{CountedTransfer, Movement};
use super::operation_rules::ProgrammeInForce;
use super::queue::Queue;
use super::rates::Rates;
use super::reconcile::LinkBook;
use super::tables::{CardIndex, EntryTable};
use super::usage::Usage;

/// Exceptions kept in memory for people to read; older ones stay in the journal.
pub const EXCEPTIONS_MAX: usize = 10_000;

/// An account with what the engine keeps beside its purses.
#[derive(Serialize)]
pub struct AccountRecord {
    /// The account.
    pub account: Account,
    /// Its cards.
    pub cards: SmallVec<[CardId; 1]>,
    /// Usage of limits.
    pub usage: SmallVec<[Usage; 1]>,
    /// Entries that are not forgotten, oldest first.
    pub entries: EntryList,
}

impl AccountRecord {
    /// Whether anything is there. Lengths lie in the row itself, so this waits for nothing else.
    fn is_used(&self) -> bool {
        let purses = self.account.purses.len();
        (purses | self.cards.len() | self.usage.len() | self.entries.len()) != 0
    }
}

/// The stored answer to a message (lifecycle D.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredAnswer {
    /// Card of the message, to tell a repeat from another message with the same identity.
    pub card: CardToken,
    /// Amount of the message, minor units.
    pub minor: i64,
    /// Currency of the message.
    pub currency: Currency,
    /// Purpose of the message.
    pub purpose: Purpose,
    /// Why it was answered so.
    pub reason: Reason,
    /// DE 39.
    pub code: ResponseCode,
    /// DE 38.
    pub approval: Option<ApprovalCode>,
    /// What few answers tell.
    pub told: Option<Box<Told>>,
    /// The card, when it is one of ours.
    pub card_id: Option<CardId>,
    /// Record of the decision.
    pub sequence: u64,
    /// The entry that the message opened or moved.
    pub entry: Option<EntryId>,
}

/// What few answers tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Balances, where the answer showed them.
    pub balances: Option<Balances>,
    /// What was approved in the cardholder's currency, where that is less than was asked.
    pub approved_minor: Option<i64>,
    /// The same in the currency of the transaction, where the programme converted.
    pub approved_transaction: Option<i64>,
    /// What the cardholder is billed, where the programme converted. Younger than the rows of
    /// checkpoints, which keep it beside the answer.
    #[serde(skip)]
    pub billed: Option<Billed>,
}

/// A reversal that came before its original.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// What shall remain of the original, minor units of the transaction; `None`: nothing.
    pub remaining: Option<i64>,
}

impl StoredAnswer {
    /// Whether a message with the same identity is the same message.
    pub fn is_for(&self, facts: &Facts) -> bool {
        self.card == facts.card
            && (self.minor == facts.amount.minor || planted!(OtherContentIsRepeat))
            && self.currency == facts.amount.currency
            && self.purpose == facts.purpose
    }
}

/// Messages of one batch whose places are kept without an allocation while they are looked at.
const GLANCED_INLINE: usize = 64;

/// By what a later message finds an entry (lifecycle D.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatchKey {
    /// Card and trace of the original.
    Trace(CardId, Trace),
    /// Card, retrieval reference number and terminal.
    Reference(CardId, RetrievalReference, TerminalId),
    /// Card, approval code and card acceptor.
    Approval(CardId, ApprovalCode, AcceptorId),
    /// Card and the network's name for the transaction.
    Lifecycle(CardId, LifecycleId),
}

impl MatchKey {
    /// The card that every key begins with.
    fn card(&self) -> CardId {
        match self {
            MatchKey::Trace(card, _)
            | MatchKey::Reference(card, _, _)
            | MatchKey::Approval(card, _, _)
            | MatchKey::Lifecycle(card, _) => *card,
        }
    }
}

/// Something a person must look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExceptionRow {
    /// Record that raised it.
    pub sequence: u64,
    /// When.
    pub at: UnixMs,
    /// Why.
    pub kind: ExceptionKind,
    /// About which entry.
    pub entry: Option<EntryId>,
    /// About which card.
    pub card: Option<CardId>,
    /// Amount in question, minor units.
    pub minor: i64,
}

/// A number that a device pays with (rule A5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceToken {
    /// What may be shown of it.
    pub masked: MaskedPan,
    /// Whether it still pays: it dies when its card is lost, stolen or closed.
    pub is_alive: bool,
}

/// The state of one partition.
#[derive(Default)]
pub struct State {
    pub(super) sequence: u64,
    pub(super) at: UnixMs,
    pub(super) programmes: Vec<ProgrammeName>,
    /// Names of the links in the order of their numbers, the first of which is 1.
    pub(super) links: Vec<String>,
    pub(super) accounts: Vec<AccountRecord>,
    pub(super) cards: Vec<Card>,
    pub(super) cards_by_token: CardIndex,
    pub(super) entries: EntryTable,
    /// Tags the [`MatchKey`]s of entries.
    pub(super) match_hasher: RandomState,
    /// Holds by the length of their life in days; within one, times only grow.
    pub(super) expiries: BTreeMap<i64, Queue<(UnixMs, EntryId)>>,
    /// Entries at rest, by when they came to rest.
    pub(super) resting: Queue<(UnixMs, EntryId)>,
    /// Answers to requests, whose originators repeat within minutes.
    pub(super) answers: AnswerTable,
    /// Answers to advices and reversals, kept as long as the entries they moved: a late repeat
    /// must not post again.
    pub(super) advice_answers: AnswerTable,
    pub(super) tombstones: HashMap<(CardToken, Trace), Tombstone, RandomState>,
    pub(super) tombstones_by_age: Queue<(UnixMs, (CardToken, Trace))>,
    pub(super) ledger: Ledger,
    /// Since when purses are below zero (rule A34).
    pub(super) negatives: BTreeMap<(AccountId, PurseIndex), UnixMs>,
    /// Numbers that devices pay with, by card.
    pub(super) device_tokens: BTreeMap<(CardId, CardToken), DeviceToken>,
    /// Records of movements by the caller's name for them.
    pub(super) references: BTreeMap<Reference, u64>,
    pub(super) references_by_age: VecDeque<(UnixMs, Reference)>,
    /// Who asks about numbers that are unknown or have nothing left.
    pub(super) guesses: Guesses,
    /// Exchange rates in force and to come.
    pub(super) rates: Rates,
    /// Entries that were paid in another currency, or marked up.
    pub(super) exchanges: BTreeMap<EntryId, Exchange>,
    /// Transfers and charges by the caller's name for them.
    pub(super) movements: BTreeMap<Reference, Movement>,
    /// Transfers of each account that gave any, oldest first.
    pub(super) transfers: BTreeMap<AccountId, VecDeque<CountedTransfer>>,
    /// Which entry made a card usable at a till, while that entry is known (rule B4).
    pub(super) activations: BTreeMap<CardId, EntryId>,
    /// Transaction counters that the chips of cards have used, by their sequence number.
    pub(super) chips: BTreeMap<(CardId, u8), UsedCounters>,
    /// Limits of cards that have some of their own.
    pub(super) card_limits: BTreeMap<CardId, Vec<CardLimit>>,
    /// Controls of cards that have some of their own.
    pub(super) card_controls: BTreeMap<CardId, Vec<CardControl>>,
    pub(super) holders: HolderBook,
    /// When accounts were closed, and when their card data were erased.
    pub(super) endings: BTreeMap<AccountId, Ending>,
    /// The business days of the links, in the order of their numbers.
    pub(super) link_books: Vec<LinkBook>,
    /// Clearing batches that were posted whole; one row a batch, kept for ever.
    pub(super) clearing_closed: BTreeMap<Reference, ClosedBatch>,
    /// Programme files of the last change of programmes.
    pub(super) programmes_in_force: Vec<ProgrammeInForce>,
    pub(super) exceptions: VecDeque<ExceptionRow>,
    pub(super) exceptions_total: u64,
}

impl State {
    /// An empty partition.
    pub fn new() -> State {
        State::default()
    }

    /// Sequence of the last applied record; 0 before the first.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Time of the last applied record.
    pub fn at(&self) -> UnixMs {
        self.at
    }

    /// Number of accounts, cards and entries that are not forgotten.
    pub fn counts(&self) -> (usize, usize, usize) {
        (self.accounts.len(), self.cards.len(), self.entries.len())
    }

    /// Names of the programmes that have accounts.
    pub fn programmes(&self) -> &[ProgrammeName] {
        &self.programmes
    }

    /// The name of an account's programme.
    pub fn programme_name(&self, index: u8) -> Option<&ProgrammeName> {
        self.programmes.get(usize::from(index))
    }

    /// The number of the link with this name.
    pub fn link_number(&self, name: &str) -> Option<LinkNumber> {
        let position = self.links.iter().position(|link| link == name)?;
        number_of_link(position)
    }

    /// Names of the links in the order of their numbers, the first of which is 1.
    pub fn links(&self) -> &[String] {
        &self.links
    }

    /// The number that the next new link gets; `None` when there are too many.
    pub(super) fn next_link_number(&self) -> Option<LinkNumber> {
        number_of_link(self.links.len())
    }

    /// The account with this number.
    pub fn account(&self, id: AccountId) -> Option<&AccountRecord> {
        let position = usize::try_from(id.0.checked_sub(1)?).ok()?;
        self.accounts.get(position)
    }

    pub(super) fn account_mut(&mut self, id: AccountId) -> Option<&mut AccountRecord> {
        let position = usize::try_from(id.0.checked_sub(1)?).ok()?;
        self.accounts.get_mut(position)
    }

    /// The card with this number.
    pub fn card(&self, id: CardId) -> Option<&Card> {
        let position = usize::try_from(id.0.checked_sub(1)?).ok()?;
        self.cards.get(position)
    }

    /// The card with this token.
    pub fn card_by_token(&self, token: &CardToken) -> Option<&Card> {
        self.card_and_account(token).map(|it| it.0)
    }

    /// The card with this token, with its account. The two are asked for at once: they lie far
    /// apart.
    pub(super) fn card_and_account(
        &self,
        token: &CardToken,
    ) -> Option<(&Card, Option<&AccountRecord>)> {
        let has_token = |id| self.has_token(id, token);
        let (card, account) = self.cards_by_token.get(token, has_token)?;
        Some((self.card(card)?, self.account(account)))
    }

    /// Whether a token is a card's own or one of its devices'.
    fn has_token(&self, id: CardId, token: &CardToken) -> bool {
        let card = self.card(id);
        card.is_some_and(|card| {
            card.token == *token || self.device_tokens.contains_key(&(id, *token))
        })
    }

    /// Lets a token stand for a card.
    pub(super) fn note_token(&mut self, token: CardToken, card: (CardId, AccountId)) {
        let mut index = std::mem::take(&mut self.cards_by_token);
        index.insert(&token, card, |id| self.has_token(id, &token));
        self.cards_by_token = index;
    }

    /// Looks at what deciding these messages will look at first; says whether anything is there.
    ///
    /// Done for a batch before its first message is decided: the places lie far apart in memory,
    /// and waiting for many of them at once takes little longer than waiting for one. So each step
    /// is taken for all messages before the next, which needs what the one before it found.
    pub fn glance<'a>(&self, messages: impl Iterator<Item = &'a Facts> + Clone) -> bool {
        let index = &self.cards_by_token;
        let tags = messages.clone().map(|facts| index.tag(&facts.card));
        let tags: SmallVec<[_; GLANCED_INLINE]> = tags.collect();
        let places = tags.iter().filter_map(|tag| index.place(*tag));
        let places: SmallVec<[_; GLANCED_INLINE]> = places.collect();
        let mut used = false;
        for (card, account) in &places {
            used |= self.card(*card).is_some_and(|card| card.account.0 != 0)
                | self.account(*account).is_some_and(AccountRecord::is_used);
        }
        for (_, account) in &places {
            used |= self.account(*account).is_some_and(|record| {
                let purses = &record.account.purses;
                // Not one after the other: all of it is wanted at once.
                purses.iter().any(|purse| purse.balance != 0)
                    | record.entries.last().is_some_and(|entry| entry.0 != 0)
                    | record.usage.iter().any(|usage| usage.month_count != 0)
            });
        }
        for facts in messages {
            used |= self.answers_to(facts.kind).is_indexed(&facts.key());
        }
        used
    }

    /// All cards in order of issue.
    pub fn cards(&self) -> &[Card] {
        &self.cards
    }

    /// All accounts in order of opening.
    pub fn accounts(&self) -> &[AccountRecord] {
        &self.accounts
    }

    /// The entry with this number, unless forgotten.
    pub fn entry(&self, id: EntryId) -> Option<&Entry> {
        self.entries.get(id)
    }

    /// The stored answer to a message, unless forgotten.
    pub fn answer(&self, key: &TraceKey) -> Option<Cow<'_, StoredAnswer>> {
        self.answers_to(key.kind).get(key, self.booked())
    }

    pub(super) fn booked(&self) -> Booked<'_> {
        Booked {
            entries: &self.entries,
            cards: &self.cards,
        }
    }

    /// The reversal of this message that came first, if one did.
    pub fn tombstone(&self, card: CardToken, trace: Trace) -> Option<Tombstone> {
        self.tombstones.get(&(card, trace)).copied()
    }

    /// Entries that a key finds, in no order.
    pub fn entries_by(&self, key: MatchKey) -> impl Iterator<Item = &Entry> {
        let record = self.card(key.card()).map(|card| card.account);
        let entries = record.and_then(|id| self.account(id));
        entries
            .into_iter()
            .flat_map(move |record| record.entries.candidates(&key, &self.match_hasher))
            .filter_map(|id| self.entry(id))
            .filter(move |entry| entry_keys(entry).any(|own| own == key))
    }

    fn answers_to(&self, kind: MessageKind) -> &AnswerTable {
        if is_kept_with_entries(kind) {
            &self.advice_answers
        } else {
            &self.answers
        }
    }

    /// Usage of a channel's limits as it counts on a day.
    pub fn usage(
        &self,
        account: &AccountRecord,
        channel: Channel,
        currency: Currency,
        date: crate::domain::time::BusinessDate,
    ) -> Usage {
        account
            .usage
            .iter()
            .find(|usage| usage.channel == channel && usage.currency == currency)
            .map_or_else(
                || Usage::new(channel, currency, date),
                |usage| usage.as_of(date),
            )
    }

    /// The purses of an account as they stand.
    pub fn balances(&self, id: AccountId) -> Balances {
        let Some(record) = self.account(id) else {
            return Balances::default();
        };
        record
            .account
            .purses
            .iter()
            .zip(0_u8..)
            .map(|(purse, index)| PurseBalance {
                purse: PurseIndex(index),
                currency: purse.currency,
                balance: purse.balance,
                held: purse.held,
            })
            .collect()
    }

    /// The record of a movement under the caller's name for it, unless forgotten.
    pub fn referred(&self, reference: &Reference) -> Option<u64> {
        self.references.get(reference).copied()
    }

    /// A clearing batch that was posted whole.
    pub fn closed_batch(&self, batch: &Reference) -> Option<ClosedBatch> {
        self.clearing_closed.get(batch).copied()
    }

    /// What is known of a device's number for a card.
    pub fn device_token(&self, card: CardId, token: CardToken) -> Option<DeviceToken> {
        self.device_tokens.get(&(card, token)).copied()
    }

    /// Numbers that devices pay with for a card.
    pub fn device_tokens(&self, card: CardId) -> impl Iterator<Item = &DeviceToken> {
        let least = (card, CardToken([0; 16]));
        let greatest = (card, CardToken([u8::MAX; 16]));
        self.device_tokens.range(least..=greatest).map(|row| row.1)
    }

    /// The same with their tokens.
    pub fn devices_of(&self, card: CardId) -> impl Iterator<Item = (CardToken, DeviceToken)> + '_ {
        let devices = self.device_tokens.range((card, CardToken([0; 16]))..);
        let devices = devices.take_while(move |row| row.0.0 == card);
        devices.map(|(key, device)| (key.1, *device))
    }

    /// Purses below zero and since when, in order of the accounts.
    pub fn negatives(&self) -> impl Iterator<Item = (AccountId, PurseIndex, UnixMs)> + '_ {
        self.negatives
            .iter()
            .map(|(key, since)| (key.0, key.1, *since))
    }

    /// How many purses are below zero, how many exceptions nobody has resolved, and how many
    /// release dates of holds lie ahead (of those captured or undone before it, too).
    pub fn open_counts(&self) -> (usize, usize, usize) {
        let holds = self.expiries.values().map(Queue::len);
        let holds = holds.fold(0, usize::saturating_add);
        (self.negatives.len(), self.exceptions.len(), holds)
    }

    /// When an account was closed, where that was written down.
    pub fn ending(&self, id: AccountId) -> Option<Ending> {
        self.endings.get(&id).copied()
    }

    /// Exchange rates in force and to come.
    pub fn rates(&self) -> &Rates {
        &self.rates
    }

    /// What an entry was paid with in other currencies, or with a mark-up.
    pub fn exchange(&self, id: EntryId) -> Option<&Exchange> {
        self.exchanges.get(&id)
    }

    /// Which entry made a card usable at a till, while that entry is known.
    pub(super) fn activated_by(&self, card: CardId) -> Option<EntryId> {
        self.activations.get(&card).copied()
    }

    /// Totals of the ledger accounts that are not purses.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The programme files in force by the journal: name, version and hash of each; none before
    /// the journal tells of any.
    pub fn programmes_in_force(&self) -> impl Iterator<Item = (&ProgrammeName, u32, &[u8; 32])> {
        let files = self.programmes_in_force.iter();
        files.map(|file| (&file.name, file.version, &file.hash))
    }

    /// The latest exceptions, oldest first, and how many there ever were.
    pub fn exceptions(&self) -> (impl Iterator<Item = &ExceptionRow>, u64) {
        (self.exceptions.iter(), self.exceptions_total)
    }
}

fn number_of_link(position: usize) -> Option<LinkNumber> {
    let number = u16::try_from(position).ok()?.checked_add(1)?;
    Some(LinkNumber(number))
}

/// The keys under which later messages find an entry.
pub(super) fn entry_keys(entry: &Entry) -> impl Iterator<Item = MatchKey> + use<> {
    let card: CardId = entry.card;
    let reference = entry
        .rrn()
        .map(|rrn| MatchKey::Reference(card, rrn, entry.terminal()));
    let approval = entry
        .approval()
        .map(|approval| MatchKey::Approval(card, approval, entry.acceptor()));
    [
        Some(MatchKey::Trace(card, entry.trace)),
        reference,
        approval,
        entry.lifecycle().map(|id| MatchKey::Lifecycle(card, id)),
    ]
    .into_iter()
    .flatten()
}

/// Whether the answer to a message is kept as long as the entry that it moved.
pub(super) fn is_kept_with_entries(kind: MessageKind) -> bool {
    match kind {
        MessageKind::Authorization | MessageKind::Financial => false,
        MessageKind::AuthorizationAdvice | MessageKind::FinancialAdvice | MessageKind::Reversal => {
            true
        }
    }
}
