//! What the engine is asked, and what it answers.

use std::sync::Arc;

use crate::domain::account::{AccountId, Kyc, ProgrammeName};
use crate::domain::card::{CardId, CardStatus, ExpiryMonth, PinReference};
use crate::domain::decision::Decision;
use crate::domain::facts::{Facts, LinkNumber};
use crate::domain::holder::{Applicant, HolderId};
use crate::domain::pan::{CardToken, MaskedPan};
use crate::domain::time::UnixMs;

use super::clearing::{Presented, Presentment};
use super::event::Event;
use super::operation::{Order, Ordered, Reference};
use super::reconcile::{CutOver, CutOverDone, Reconcile, Reconciled};

/// One input, stamped by the sequencer.
#[derive(Clone, Debug)]
pub struct Command {
    /// Sequence of the journal record this command would make; one above the last.
    pub sequence: u64,
    /// When; never before the previous command's.
    pub at: UnixMs,
    /// What is asked.
    pub body: Body,
}

/// What is asked.
#[derive(Clone, Debug)]
pub enum Body {
    /// Judge or record one message.
    Message(Arc<Facts>),
    /// Open an account with its cards and opening balances.
    OpenAccount(Box<OpenAccount>),
    /// Do what an operator asks for.
    Operate(Box<Order>),
    /// Post a line of a clearing file, unless it was posted before.
    Present(Presentment),
    /// Never post a line of this clearing batch again: it has so many, all posted.
    CloseClearing(Reference, u32),
    /// End a link's business day and begin the next.
    CutOver(CutOver),
    /// Compare what a peer counted with what was counted here.
    Reconcile(Box<Reconcile>),
    /// Give a link its number in the journal.
    NameLink(String),
    /// Set what tells a card's right PIN from a wrong one.
    SetPin(CardId, PinReference),
    /// Forget a card's wrong PINs.
    UnlockPin(CardId),
    /// Release holds whose time is over, forget what nobody will ask for any more.
    Housekeep(Housekeep),
}

/// An account to open; opening it again changes nothing.
#[derive(Clone, Debug)]
pub struct OpenAccount {
    /// Its programme.
    pub programme: ProgrammeName,
    /// How well the holder is known.
    pub kyc: Kyc,
    /// Opening balance by purse name, minor units.
    pub balances: Vec<(String, i64)>,
    /// Its card.
    pub card: NewCard,
    /// Who holds it.
    pub holder: HeldBy,
}

/// Who holds an account that is opened (rule A1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldBy {
    /// Nobody is known; only where the programme does not ask.
    Nobody,
    /// A holder who was registered before; how well it is known counts for the account.
    Registered(HolderId),
    /// A person who becomes a holder with it.
    Applicant(Applicant),
}

/// A card to issue.
#[derive(Clone, Debug)]
pub struct NewCard {
    /// Keyed hash of the number.
    pub token: CardToken,
    /// What may be shown of the number.
    pub masked: MaskedPan,
    /// Last valid month; `None` for a bearer number.
    pub expiry: Option<ExpiryMonth>,
    /// Whether it may be used from the start.
    pub status: CardStatus,
}

/// How long things are kept, and how much one pass may do.
#[derive(Clone, Copy, Debug)]
pub struct Housekeep {
    /// Answers to repeats, hours.
    pub answers_hours: u32,
    /// Closed entries that a late capture could still match, hours.
    pub entries_hours: u32,
    /// Reversals that wait for their original, hours.
    pub tombstones_hours: u32,
    /// Greatest number of holds released by one command.
    pub releases_max: usize,
}

/// What came of a command.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The answer, to be given once the event is durable.
    pub answer: Answer,
    /// The one journal record this makes, or none when nothing changes.
    pub event: Option<Event>,
}

/// The answer to a command.
#[derive(Clone, Debug)]
pub enum Answer {
    /// To a message.
    Decided(Box<Decision>),
    /// To the opening of an account.
    Opened(Opened),
    /// To an operator's order.
    Ordered(Ordered),
    /// To a line of a clearing file.
    Presented(Presented),
    /// To a cutover: the day that is current now; none when it cannot begin.
    CutOver(CutOverDone),
    /// To a reconciliation; none when there is no such link or day.
    Reconciled(Option<Box<Reconciled>>),
    /// To the naming of a link: its number, now or earlier; none when there are too many links.
    LinkNamed(Option<LinkNumber>),
    /// To the setting or unlocking of a PIN: whether there is such a card.
    PinChanged(bool),
    /// To housekeeping: whether more is due at once.
    Housekept {
        /// Holds released by this command.
        released: usize,
        /// Whether another command at the same instant would do more.
        more: bool,
    },
}

/// What came of opening an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// It is new.
    Created(AccountId, CardId),
    /// The card was there already, on this account; nothing changed.
    Existing(AccountId, CardId),
    /// It cannot be opened; the sentence says why.
    Refused(String),
}
