//! What the switch asks of whoever keeps its keys: one trait, whatever is behind it.
//!
//! Two backends answer: [`software`](super::software), with keys in the memory of this process, and
//! a device on the network that speaks host commands ([`payshield`](super::payshield) has its
//! messages). A request names keys, never has them. Everything fails closed: an answer is
//! [`Verdict::Right`] only when it was proven so, and every error is a refusal with a reason of its
//! own. A PIN block with no PIN in it is an error, not a wrong PIN: no try is counted for it.

use super::cvv::CvvKind;
use super::emv::{Cryptogram, CryptogramVersion};
use super::ibm3624::DecimalizationTable;
use super::mac::Padding;
use super::pin_block::{Format, Pin};
use super::pvv::Pvv;

/// Whoever keeps the keys. Calls block until there is an answer or a deadline has passed.
pub trait Hsm: Send + Sync {
    /// What it is, for the log.
    fn name(&self) -> String;

    /// The keys that it can be asked to use; none of it is secret.
    fn keys(&self) -> Vec<KeyNote>;

    /// Whether it can be asked; says what answered.
    ///
    /// # Errors
    /// [`HsmError`]: it cannot.
    fn health(&self) -> Result<String, HsmError>;

    /// The key check value of a key.
    ///
    /// # Errors
    /// [`HsmError`].
    fn check_value(&self, key: &str) -> Result<[u8; 3], HsmError>;

    /// Whether a PIN is the one that a value on file was made of.
    ///
    /// # Errors
    /// [`HsmError`]; [`HsmError::MalformedPinBlock`] when there is no PIN to judge.
    fn verify_pin(&self, ask: &VerifyPin<'_>) -> Result<Verdict, HsmError>;

    /// What will tell a new PIN from a wrong one.
    ///
    /// # Errors
    /// [`HsmError`].
    fn set_pin(&self, ask: &SetPin<'_>) -> Result<NewPinValue, HsmError>;

    /// A PIN block under another zone key, or in another format.
    ///
    /// # Errors
    /// [`HsmError`]; also for a format that the block may not become.
    fn translate_pin(&self, ask: &TranslatePin<'_>) -> Result<Vec<u8>, HsmError>;

    /// Whether a card verification value is the card's.
    ///
    /// # Errors
    /// [`HsmError`].
    fn verify_cvv(&self, ask: &VerifyCvv<'_>) -> Result<Verdict, HsmError>;

    /// Whether a chip's request cryptogram is the card's.
    ///
    /// # Errors
    /// [`HsmError`].
    fn verify_arqc(&self, ask: &VerifyArqc<'_>) -> Result<Verdict, HsmError>;

    /// The issuer's answer to a request cryptogram: eight bytes by method 1, four by method 2.
    ///
    /// # Errors
    /// [`HsmError`].
    fn make_arpc(&self, ask: &MakeArpc<'_>) -> Result<Vec<u8>, HsmError>;

    /// The message authentication code of a message.
    ///
    /// # Errors
    /// [`HsmError`].
    fn make_mac(&self, ask: &MacOver<'_>) -> Result<MacBytes, HsmError>;

    /// Whether a message authentication code, of four or eight bytes, is that of a message.
    ///
    /// # Errors
    /// [`HsmError`].
    fn verify_mac(&self, ask: &MacOver<'_>, came: &[u8]) -> Result<Verdict, HsmError>;

    /// Takes in a key that came enciphered under a zone master key, for as long as this process
    /// lives; one of that name is replaced.
    ///
    /// # Errors
    /// [`HsmError`]; then nothing has changed.
    fn import_key(&self, ask: &ImportKey<'_>) -> Result<KeyNote, HsmError>;

    /// Gives out a key under a zone master key.
    ///
    /// # Errors
    /// [`HsmError`].
    fn export_key(&self, ask: &ExportKey<'_>) -> Result<KeyForm, HsmError>;
}

/// What is known of a key without having it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyNote {
    /// What requests call it.
    pub name: String,
    /// Two characters of ANSI X9.143, such as `P0`.
    pub usage: String,
    /// Two digits; of a key for PIN verification values the second one is its index.
    pub version: String,
    /// Its check value, where it is known.
    pub check_value: Option<[u8; 3]>,
}

/// What came of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the one.
    Right,
    /// It is another one.
    Wrong,
}

impl Verdict {
    /// The verdict of a comparison.
    pub fn of(is_right: bool) -> Verdict {
        if is_right {
            Verdict::Right
        } else {
            Verdict::Wrong
        }
    }
}

/// An enciphered PIN block and what is needed to read it.
#[derive(Clone, Copy)]
pub struct PinBlock<'a> {
    /// Name of the zone key (usage P0).
    pub key: &'a str,
    /// How the PIN is put into it.
    pub format: Format,
    /// The block: 8 bytes, of format 4 sixteen.
    pub bytes: &'a [u8],
    /// The card number that it is bound to.
    pub pan: &'a str,
}

/// Where a PIN comes from.
#[derive(Clone, Copy)]
pub enum PinSource<'a> {
    /// A block of the network.
    Block(PinBlock<'a>),
    /// The issuer's own desk, in the clear; only software takes that.
    Clear(&'a Pin),
}

/// How the issuer tells the right PIN from a wrong one.
#[derive(Clone, Copy)]
pub enum PinMethod<'a> {
    /// By a PIN verification value.
    Pvv {
        /// Name of the verification key (usage V2).
        key: &'a str,
        /// Its index, 0 to 9.
        index: u8,
        /// The digits it is made over: as a rule the card number.
        over: &'a str,
    },
    /// By an IBM 3624 offset.
    Offset {
        /// Name of the verification key (usage V1).
        key: &'a str,
        /// Which digit each nibble becomes.
        table: &'a DecimalizationTable,
        /// Sixteen digits of validation data.
        validation: &'a str,
    },
}

/// What is on file about a PIN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinValue {
    /// A PIN verification value, its digits as numbers.
    Pvv(Pvv),
    /// An offset, its digits as numbers.
    Offset(Vec<u8>),
}

/// A PIN to be judged.
pub struct VerifyPin<'a> {
    /// The PIN.
    pub pin: PinSource<'a>,
    /// How the right one is told.
    pub method: PinMethod<'a>,
    /// What is on file.
    pub value: &'a PinValue,
}

/// A PIN to be put on file.
pub struct SetPin<'a> {
    /// The PIN.
    pub pin: PinSource<'a>,
    /// How it shall be told from a wrong one.
    pub method: PinMethod<'a>,
    /// The issuer's rules of choice. A device that shows no PIN to anybody cannot ask them.
    pub may_be_chosen: &'a dyn Fn(&Pin) -> bool,
}

/// What came of a PIN to be put on file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewPinValue {
    /// This is put on file.
    Value(PinValue),
    /// It may not be chosen.
    NotAcceptable,
}

/// A PIN block to be made over.
pub struct TranslatePin<'a> {
    /// As it is.
    pub from: PinBlock<'a>,
    /// Name of the zone key that it shall be under.
    pub to_key: &'a str,
    /// The format that it shall have.
    pub to_format: Format,
}

/// A card verification value to be judged.
pub struct VerifyCvv<'a> {
    /// Name of the key (usage C0).
    pub key: &'a str,
    /// The card number.
    pub pan: &'a str,
    /// Four digits, in the order in which the issuer puts them in.
    pub expiry: &'a str,
    /// Where the value stands.
    pub kind: CvvKind<'a>,
    /// The three digits that came.
    pub value: &'a str,
}

/// The chip of a card in one transaction.
#[derive(Clone, Copy)]
pub struct Chip<'a> {
    /// Name of the issuer's master key (usage E0).
    pub key: &'a str,
    /// The card number.
    pub pan: &'a str,
    /// Its sequence number (PSN).
    pub sequence_number: u8,
    /// The transaction's counter (ATC).
    pub counter: u16,
    /// How its cryptograms are made.
    pub version: CryptogramVersion,
}

/// A request cryptogram to be judged.
pub struct VerifyArqc<'a> {
    /// Whose it is.
    pub chip: Chip<'a>,
    /// The terminal's unpredictable number, which is also among the data.
    pub unpredictable: [u8; 4],
    /// What it was made over, without filling.
    pub data: &'a [u8],
    /// The cryptogram.
    pub request: Cryptogram,
}

/// What the issuer answers a chip.
#[derive(Clone, Copy)]
pub enum ChipAnswer<'a> {
    /// Method 1: a response code of two characters.
    Code([u8; 2]),
    /// Method 2: a card status update and what the issuer adds, eight bytes at most.
    Status([u8; 4], &'a [u8]),
}

/// An answer cryptogram to be made.
pub struct MakeArpc<'a> {
    /// For whom.
    pub chip: Chip<'a>,
    /// The terminal's unpredictable number.
    pub unpredictable: [u8; 4],
    /// The request that is answered.
    pub request: Cryptogram,
    /// The answer.
    pub answer: ChipAnswer<'a>,
}

/// As many bytes of a code as DE 64 and DE 128 take; of a longer one the first.
pub type MacBytes = [u8; 8];

/// How a message authentication code is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacScheme {
    /// ISO/IEC 9797-1 algorithm 3, ANSI X9.19 (key usage M3).
    Retail(Padding),
    /// CMAC under TDES or AES (key usage M6).
    Cmac,
}

/// A message to be authenticated.
pub struct MacOver<'a> {
    /// Name of the key.
    pub key: &'a str,
    /// How.
    pub scheme: MacScheme,
    /// The message.
    pub message: &'a [u8],
}

/// A key as it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyForm {
    /// A key block (ANSI X9.143).
    Block(String),
    /// The two halves of a TDES key, each enciphered by itself; says nothing of its use.
    Halves([u8; 16]),
}

/// A key to be taken in.
pub struct ImportKey<'a> {
    /// What requests shall call it.
    pub name: &'a str,
    /// What it shall be for; a key block that says otherwise is refused.
    pub usage: &'a str,
    /// Name of the zone master key (usage K0 or K1).
    pub under: &'a str,
    /// The key.
    pub form: &'a KeyForm,
}

/// A key to be given out.
pub struct ExportKey<'a> {
    /// Its name.
    pub name: &'a str,
    /// Name of the zone master key.
    pub under: &'a str,
    /// Whether as a key block, or as enciphered halves.
    pub as_block: bool,
}

/// Why there is no answer. Never with any digit of a card, a PIN, a block or a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HsmError {
    /// Nobody has a key of this name.
    #[error("key {name}: there is none of that name")]
    UnknownKey {
        /// Its name.
        name: String,
    },
    /// A key may not be used for this.
    #[error("key {name}: expected one of usage {expected}, got {got}")]
    KeyUse {
        /// Its name.
        name: String,
        /// Usages that would do.
        expected: &'static str,
        /// What it is for.
        got: String,
    },
    /// There is no PIN of this card in the block. Not a wrong try.
    #[error("what is in the PIN block is no PIN of this card")]
    MalformedPinBlock,
    /// The request is none.
    #[error("{what}")]
    Request {
        /// What is wrong with it, without its content.
        what: &'static str,
    },
    /// A key that came is none, or was changed on its way.
    #[error("the key that came: {detail}")]
    KeyNotTaken {
        /// Why.
        detail: String,
    },
    /// This backend does not do it.
    #[error("{what} is not offered here")]
    NotOffered {
        /// What was asked.
        what: &'static str,
    },
    /// The device answered with an error code.
    #[error("the device refused {command} with {code}: {meaning}")]
    Refused {
        /// The command.
        command: &'static str,
        /// Its two characters.
        code: String,
        /// What they mean.
        meaning: &'static str,
    },
    /// No connection to a device.
    #[error("no device can be reached: {detail}")]
    Unreachable {
        /// What the system said.
        detail: String,
    },
    /// The device was asked and did not answer in time.
    #[error("the device did not answer {command} within {limit_ms} ms")]
    Late {
        /// The command.
        command: &'static str,
        /// The deadline.
        limit_ms: u64,
    },
    /// All connections were busy until the deadline.
    #[error("no connection to a device was free within {limit_ms} ms")]
    Busy {
        /// The deadline.
        limit_ms: u64,
    },
    /// What the device answered is no answer to what it was asked.
    #[error("the device answered {command} with something else: {detail}")]
    Garbled {
        /// The command.
        command: &'static str,
        /// What is wrong, without its content.
        detail: &'static str,
    },
}

impl HsmError {
    /// Whether it may be another time: the device is away, busy, or beside itself. What is asked
    /// wrongly stays wrong.
    pub fn is_outage(&self) -> bool {
        match self {
            HsmError::Refused { .. }
            | HsmError::Unreachable { .. }
            | HsmError::Late { .. }
            | HsmError::Busy { .. }
            | HsmError::Garbled { .. } => true,
            HsmError::UnknownKey { .. }
            | HsmError::KeyUse { .. }
            | HsmError::MalformedPinBlock
            | HsmError::Request { .. }
            | HsmError::KeyNotTaken { .. }
            | HsmError::NotOffered { .. } => false,
        }
    }

    pub(super) fn request(what: &'static str) -> HsmError {
        HsmError::Request { what }
    }
}
