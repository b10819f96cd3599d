//! What operators do beside the wire: asked, done, and what the journal keeps of it.

use arrayvec::ArrayString;
use serde::{Deserialize, Serialize};

use crate::domain::account::{AccountId, PurseIndex};
use crate::domain::card::{CardId, CardStatus};
use crate::domain::card_control::CardControl;
use crate::domain::card_limit::CardLimit;
use crate::domain::money::Currency;
use crate::domain::pan::{CardToken, MaskedPan};

use super::command::NewCard;
use super::entry::EntryId;
use super::event::CardIssued;
use super::ledger::Postings;
use super::operation_card::{CardOperation, CardOrder};
use super::operation_end::EndOperation;
use super::operation_holder::{HolderOperation, HolderOrder};
use super::operation_money::{MoneyOperation, MoneyOrder};
use super::operation_rules::{NewRules, ProgrammeRecord};

/// The caller's own name for a movement of money: the same name never moves it twice.
pub type Reference = ArrayString<36>;

/// What an operator asks for.
#[derive(Clone, Debug)]
pub enum Order {
    /// Let go of a hold before its time.
    ReleaseHold(EntryId),
    /// Stop, freeze, activate a card (rule A5).
    ChangeCardStatus(CardId, CardStatus),
    /// Issue a card in place of another; the account stays.
    ReplaceCard {
        /// The card that is replaced.
        card: CardId,
        /// What becomes of it.
        status: CardStatus,
        /// The new card.
        with: NewCard,
    },
    /// Let a device pay with a number of its own (rule A5).
    AddDeviceToken {
        /// For which card.
        card: CardId,
        /// Keyed hash of the device's number.
        token: CardToken,
        /// What may be shown of it.
        masked: MaskedPan,
    },
    /// Close an account for ever (rule A9).
    CloseAccount(AccountId),
    /// Let go of all that the cards of a closed account are known by.
    EraseCardData(AccountId),
    /// Take an exception out of the queue.
    ResolveException {
        /// The record that raised it.
        sequence: u64,
        /// What was done about it.
        note: String,
    },
    /// About rates and money of several currencies.
    Money(MoneyOrder),
    /// About holders and the end of their cards.
    Holder(HolderOrder),
    /// For the holder of a card.
    Card(CardOrder),
    /// Give a card limits of its own, in place of those that it has.
    LimitCard(CardId, Vec<CardLimit>),
    /// Give a card controls of its own, in place of those that it has.
    ControlCard(CardId, Vec<CardControl>),
    /// Decide by other programmes from the next command on.
    ChangeRules(NewRules),
}

/// What an operator did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// A hold was let go.
    HoldReleased(EntryId),
    /// A card has another status; lost or stolen, its device tokens are dead.
    CardStatusChanged(CardId, CardStatus),
    /// A card was issued in place of another.
    CardReplaced {
        /// The card that was replaced.
        card: CardId,
        /// What became of it.
        status: CardStatus,
        /// The new card.
        with: CardIssued,
    },
    /// A device pays with a number of its own.
    DeviceTokenAdded {
        /// For which card.
        card: CardId,
        /// Keyed hash of the device's number.
        token: CardToken,
        /// What may be shown of it.
        masked: MaskedPan,
    },
    /// Money moved between two accounts.
    Transferred {
        /// The caller's name for it.
        reference: Reference,
        /// Who gave.
        from: AccountId,
        /// Who got.
        to: AccountId,
        /// Currency of the postings.
        currency: Currency,
        /// The double entry.
        postings: Postings,
    },
    /// An account was closed and its cards with it, as it was written before closings had a date.
    AccountClosed {
        /// Which one.
        account: AccountId,
        /// Where its money went: one double entry for each purse.
        movements: Vec<(PurseIndex, Postings)>,
    },
    /// Exceptions of one record left the queue.
    ExceptionResolved {
        /// The record that raised them.
        sequence: u64,
        /// What was done about them.
        note: String,
    },
    /// About rates and money of several currencies.
    Money(MoneyOperation),
    /// About holders and the end of their cards.
    Holder(HolderOperation),
    /// A clearing batch was posted whole.
    ClearingClosed {
        /// Its name.
        batch: Reference,
        /// How many lines it has.
        lines: u32,
    },
    /// For the holder of a card.
    Card(CardOperation),
    /// Other programmes came into force.
    RulesChanged(Vec<ProgrammeRecord>),
    /// About the end of an account.
    End(EndOperation),
}

/// Why an order is not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderRefused {
    /// What it names is not there.
    #[error("{0}")]
    NotFound(String),
    /// It does not fit how things stand.
    #[error("{0}")]
    Conflict(String),
    /// The programme does not allow it.
    #[error("{0}")]
    NotAllowed(String),
    /// What it is about is not as it was when it was given.
    #[error("it has changed since it was read; read it again")]
    Changed,
}

/// What came of an order.
pub type Ordered = Result<Done, OrderRefused>;

/// An order carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// Record that holds it.
    pub sequence: u64,
    /// Whether it was done before under the same reference.
    pub before: bool,
}
