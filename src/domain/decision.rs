//! What was decided and why: reasons, approval codes, response codes.

use std::fmt;

use arrayvec::ArrayString;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::account::{AccountId, ProgrammeName, PurseIndex};
use super::card::CardId;
use super::exchange::Billed;
use super::money::{Amount, Currency};
use super::short_text::ShortText;

/// Why a message was answered as it was. Declines stand in order of precedence (rule D1): when
/// several hold, the first of this list is the answer.
///
/// The journal stores a reason by its name, so the order may change with the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "&str")]
pub enum Reason {
    /// Approved, accepted or posted.
    Approved,
    /// Approved for what is available, less than was asked (A14).
    PartiallyApproved,
    /// The message cannot be read.
    FormatError,
    /// The link must sign on first.
    NotSignedOn,
    /// The link may not send this: type of message, card or amount.
    LinkNotPermitted,
    /// The message has another authentication code than its link's key makes, or none.
    MacWrong,
    /// Whoever keeps the link's key did not judge the authentication code.
    MacUnavailable,
    /// A new key of the link was not taken.
    KeyNotTaken,
    /// Too much is waiting.
    Overload,
    /// We failed.
    SystemFault,
    /// No programme has this BIN (A4).
    UnknownIssuer,
    /// Our BIN, but no such card, or its check digit is wrong (A4).
    InvalidCard,
    /// Same identity as an earlier message, other content (lifecycle D.2).
    DuplicateContent,
    /// The original of a reversal that came first (lifecycle D.2).
    LateOriginal,
    /// Closed (A5).
    AccountClosed,
    /// Reported stolen (A5).
    CardStolen,
    /// Reported lost (A5).
    CardLost,
    /// Not yet activated (A5, B4, C1).
    CardNotActivated,
    /// Frozen by its holder (A5).
    CardFrozen,
    /// Past its last month, or another month than the card's (A2).
    CardExpired,
    /// This purpose is not offered here.
    NotSupported,
    /// Zero, negative or not a permitted multiple.
    InvalidAmount,
    /// No purse has this currency.
    CurrencyNotAllowed,
    /// The device that would judge what the card says of itself did not answer, or refused to.
    CardCheckUnavailable,
    /// The card was read by its chip, and no cryptogram of it came.
    ChipDataMissing,
    /// The chip's data cannot be read, or have no request cryptogram.
    ChipDataMalformed,
    /// A cryptogram came and nothing can verify it.
    ChipNotVerifiable,
    /// The cryptogram is not the card's, or not of these data.
    CryptogramWrong,
    /// The chip's transaction counter was used before.
    ChipCounterReplayed,
    /// The card was read by its stripe, and no track of it came.
    TrackMissing,
    /// The track names another card or another month than the message.
    TrackContradicts,
    /// A card verification value came and nothing can verify it.
    CardValueNotVerifiable,
    /// The value of the track is not the card's, or there is none.
    TrackValueWrong,
    /// The value that is printed on the card was another one.
    PrintedValueWrong,
    /// Too many wrong PINs, with this one or before (A7).
    PinLocked,
    /// The device that would judge the PIN did not answer, or refused to.
    HsmUnavailable,
    /// A PIN block came and nothing can verify it.
    PinNotVerifiable,
    /// What is in the PIN block is no PIN (A7).
    PinMalformed,
    /// A PIN is needed and none came (A8).
    PinRequired,
    /// Another PIN than the card's (A7).
    PinWrong,
    /// The new PIN of a PIN change may not be chosen, or cannot be taken (A6, C1).
    PinNotAcceptable,
    /// The programme lists this merchant or terminal as refused (A26b).
    MerchantDenied,
    /// Recurring payment or subscription (A18, B3).
    Recurring,
    /// Instalment, bonus or revolving (A25).
    Instalment,
    /// Hotel or car-rental deposit (A22).
    Deposit,
    /// In-flight or on-board sale (A21).
    InFlight,
    /// Blocked merchant category (A19, A20, A23, A24).
    MerchantCategory,
    /// The card does not work in this country.
    CountryNotAllowed,
    /// The card does not work at this time of day.
    TimeNotAllowed,
    /// No cash here (A26).
    CashNotAllowed,
    /// The card does not work through this channel (B2).
    ChannelNotAllowed,
    /// Only for holders whose identity is verified (A12, A27, A29).
    HolderNotVerified,
    /// The programme cannot be loaded this way (B4).
    LoadNotAllowed,
    /// The cardholder must be authenticated first (A29).
    AuthenticationRequired,
    /// A refund without its purchase where the programme wants one (B5).
    RefundWithoutOriginal,
    /// Above the limit of one transaction (A15).
    TransactionLimit,
    /// Above the amount of a day or month (A16).
    PeriodAmountLimit,
    /// More transactions than a day or month allows (A16).
    PeriodCountLimit,
    /// Would lift the balance above its maximum (A17).
    MaximumBalance,
    /// More than is available (A14).
    InsufficientFunds,
}

impl Reason {
    /// Every reason in order of precedence.
    pub const ALL: [Reason; 60] = [
        Reason::Approved,
        Reason::PartiallyApproved,
        Reason::FormatError,
        Reason::NotSignedOn,
        Reason::LinkNotPermitted,
        Reason::MacWrong,
        Reason::MacUnavailable,
        Reason::KeyNotTaken,
        Reason::Overload,
        Reason::SystemFault,
        Reason::UnknownIssuer,
        Reason::InvalidCard,
        Reason::DuplicateContent,
        Reason::LateOriginal,
        Reason::AccountClosed,
        Reason::CardStolen,
        Reason::CardLost,
        Reason::CardNotActivated,
        Reason::CardFrozen,
        Reason::CardExpired,
        Reason::NotSupported,
        Reason::InvalidAmount,
        Reason::CurrencyNotAllowed,
        Reason::CardCheckUnavailable,
        Reason::ChipDataMissing,
        Reason::ChipDataMalformed,
        Reason::ChipNotVerifiable,
        Reason::CryptogramWrong,
        Reason::ChipCounterReplayed,
        Reason::TrackMissing,
        Reason::TrackContradicts,
        Reason::CardValueNotVerifiable,
        Reason::TrackValueWrong,
        Reason::PrintedValueWrong,
        Reason::PinLocked,
        Reason::HsmUnavailable,
        Reason::PinNotVerifiable,
        Reason::PinMalformed,
        Reason::PinRequired,
        Reason::PinWrong,
        Reason::PinNotAcceptable,
        Reason::MerchantDenied,
        Reason::Recurring,
        Reason::Instalment,
        Reason::Deposit,
        Reason::InFlight,
        Reason::MerchantCategory,
        Reason::CountryNotAllowed,
        Reason::TimeNotAllowed,
        Reason::CashNotAllowed,
        Reason::ChannelNotAllowed,
        Reason::HolderNotVerified,
        Reason::LoadNotAllowed,
        Reason::AuthenticationRequired,
        Reason::RefundWithoutOriginal,
        Reason::TransactionLimit,
        Reason::PeriodAmountLimit,
        Reason::PeriodCountLimit,
        Reason::MaximumBalance,
        Reason::InsufficientFunds,
    ];

    /// The name used in files, logs and filters.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Approved => "approved",
            Reason::PartiallyApproved => "partially-approved",
            Reason::FormatError => "format-error",
            Reason::NotSignedOn => "not-signed-on",
            Reason::LinkNotPermitted => "link-not-permitted",
            Reason::MacWrong => "mac-wrong",
            Reason::MacUnavailable => "mac-unavailable",
            Reason::KeyNotTaken => "key-not-taken",
            Reason::Overload => "overload",
            Reason::SystemFault => "system-fault",
            Reason::UnknownIssuer => "unknown-issuer",
            Reason::InvalidCard => "invalid-card",
            Reason::DuplicateContent => "duplicate-content",
            Reason::LateOriginal => "late-original",
            Reason::AccountClosed => "account-closed",
            Reason::CardStolen => "card-stolen",
            Reason::CardLost => "card-lost",
            Reason::CardNotActivated => "card-not-activated",
            Reason::CardFrozen => "card-frozen",
            Reason::CardExpired => "card-expired",
            Reason::NotSupported => "not-supported",
            Reason::InvalidAmount => "invalid-amount",
            Reason::CurrencyNotAllowed => "currency-not-allowed",
            Reason::CardCheckUnavailable => "card-check-unavailable",
            Reason::ChipDataMissing => "chip-data-missing",
            Reason::ChipDataMalformed => "chip-data-malformed",
            Reason::ChipNotVerifiable => "chip-not-verifiable",
            Reason::CryptogramWrong => "cryptogram-wrong",
            Reason::ChipCounterReplayed => "chip-counter-replayed",
            Reason::TrackMissing => "track-missing",
            Reason::TrackContradicts => "track-contradicts",
            Reason::CardValueNotVerifiable => "card-value-not-verifiable",
            Reason::TrackValueWrong => "track-value-wrong",
            Reason::PrintedValueWrong => "printed-value-wrong",
            Reason::PinLocked => "pin-locked",
            Reason::HsmUnavailable => "hsm-unavailable",
            Reason::PinNotVerifiable => "pin-not-verifiable",
            Reason::PinMalformed => "pin-malformed",
            Reason::PinRequired => "pin-required",
            Reason::PinWrong => "pin-wrong",
            Reason::PinNotAcceptable => "pin-not-acceptable",
            Reason::MerchantDenied => "merchant-denied",
            Reason::Recurring => "recurring",
            Reason::Instalment => "instalment",
            Reason::Deposit => "deposit",
            Reason::InFlight => "in-flight",
            Reason::MerchantCategory => "merchant-category",
            Reason::CountryNotAllowed => "country-not-allowed",
            Reason::TimeNotAllowed => "time-not-allowed",
            Reason::CashNotAllowed => "cash-not-allowed",
            Reason::ChannelNotAllowed => "channel-not-allowed",
            Reason::HolderNotVerified => "holder-not-verified",
            Reason::LoadNotAllowed => "load-not-allowed",
            Reason::AuthenticationRequired => "authentication-required",
            Reason::RefundWithoutOriginal => "refund-without-original",
            Reason::TransactionLimit => "transaction-limit",
            Reason::PeriodAmountLimit => "period-amount-limit",
            Reason::PeriodCountLimit => "period-count-limit",
            Reason::MaximumBalance => "maximum-balance",
            Reason::InsufficientFunds => "insufficient-funds",
        }
    }

    /// Whether it is of the approved class.
    pub fn is_approved(self) -> bool {
        matches!(self, Reason::Approved | Reason::PartiallyApproved)
    }

    /// Whether it is a fault of ours: no answer to keep, for a repeat is decided once we can.
    pub fn is_fault(self) -> bool {
        matches!(
            self,
            Reason::SystemFault
                | Reason::HsmUnavailable
                | Reason::CardCheckUnavailable
                | Reason::MacUnavailable
        )
    }

    /// The reason with this name.
    pub fn from_name(name: &str) -> Option<Reason> {
        Reason::ALL.into_iter().find(|reason| reason.name() == name)
    }

    fn position(self) -> usize {
        Reason::ALL
            .iter()
            .position(|reason| *reason == self)
            .unwrap_or_default()
    }
}

impl From<Reason> for &'static str {
    fn from(reason: Reason) -> &'static str {
        reason.name()
    }
}

impl TryFrom<&str> for Reason {
    type Error = String;

    fn try_from(name: &str) -> Result<Reason, String> {
        Reason::from_name(name).ok_or_else(|| format!("no reason is named {name:?}"))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// DE 39: two characters in 1987, three digits in 1993, four in 2003. No larger in memory for it.
pub type ResponseCode = ArrayString<4>;

/// DE 38, six characters.
pub type ApprovalCode = ShortText<6>;

/// The response code of every reason in one dialect (rule D2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseCodes([ResponseCode; Reason::ALL.len()]);

impl ResponseCodes {
    /// The table that `code_of` describes.
    ///
    /// # Errors
    /// The names of the reasons for which `code_of` has none.
    pub fn build(
        code_of: impl Fn(Reason) -> Option<ResponseCode>,
    ) -> Result<ResponseCodes, Vec<&'static str>> {
        let mut codes = [ResponseCode::new(); Reason::ALL.len()];
        let mut missing = Vec::new();
        for (slot, reason) in codes.iter_mut().zip(Reason::ALL) {
            match code_of(reason) {
                Some(code) => *slot = code,
                None => missing.push(reason.name()),
            }
        }
        if missing.is_empty() {
            Ok(ResponseCodes(codes))
        } else {
            Err(missing)
        }
    }

    /// The code for a reason.
    pub fn code(&self, reason: Reason) -> ResponseCode {
        self.0.get(reason.position()).copied().unwrap_or_default()
    }
}

/// One purse as it stood after a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurseBalance {
    /// Which purse of the programme.
    pub purse: PurseIndex,
    /// Its currency.
    pub currency: Currency,
    /// Ledger balance, minor units.
    pub balance: i64,
    /// Of it held, minor units.
    pub held: i64,
}

/// All purses of an account as they stood after a decision.
pub type Balances = SmallVec<[PurseBalance; 2]>;

/// What an approval of a part comes to (rule A14, lifecycle D.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approved {
    /// Approved, in the currency of the transaction.
    pub amount: Amount,
    /// Approved, in the currency of billing, when the network converted.
    pub billing: Option<Amount>,
    /// What was asked.
    pub asked: Amount,
}

/// The answer to one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Why.
    pub reason: Reason,
    /// DE 39 as sent.
    pub code: ResponseCode,
    /// DE 38, on approval.
    pub approval: Option<ApprovalCode>,
    /// What was approved, where that is less than was asked.
    pub approved: Option<Approved>,
    /// What the cardholder is billed, where the programme converted.
    pub billed: Option<Billed>,
    /// What decided, in words.
    pub evidence: Option<String>,
    /// Whether this is the stored answer of an earlier message.
    pub repeated: bool,
    /// Whether the answer shows the balances (DE 54).
    pub show_balances: bool,
    /// The purses after the decision; as first answered when repeated and shown.
    pub balances: Balances,
    /// The account, when there is one.
    pub account: Option<AccountId>,
    /// Its programme; empty without an account, as no programme's name is.
    pub programme: ProgrammeName,
    /// The card, when there is one.
    pub card: Option<CardId>,
    /// Sequence of the journal record that holds the decision; 0 when it was turned away, which
    /// none does.
    pub sequence: u64,
    /// The transaction that it belongs to: the record that opened its purchase.
    pub transaction: Option<u64>,
    /// How much later the answer is given, milliseconds: somebody may be guessing (rule B6).
    pub slow_ms: u32,
    /// Whether this is the attempt by which that became plain.
    pub alarm: bool,
}

impl Decision {
    /// Whether the answer is of the approved class.
    pub fn is_approved(&self) -> bool {
        self.reason.is_approved()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_reasons_is_in_order_of_precedence_and_names_are_their_own() {
        assert!(Reason::ALL.windows(2).all(|pair| pair[0] < pair[1]));
        for reason in Reason::ALL {
            assert_eq!(Reason::from_name(reason.name()), Some(reason));
        }
    }

    #[test]
    fn a_code_of_four_characters_costs_no_more_than_one_of_two() {
        assert_eq!(size_of::<ResponseCode>(), size_of::<ArrayString<2>>());
        let old = postcard::to_stdvec(&ArrayString::<2>::from("51").unwrap()).unwrap();
        let read: ResponseCode = postcard::from_bytes(&old).unwrap();
        assert_eq!(read.as_str(), "51");
    }

    #[test]
    fn a_code_table_names_every_reason_it_lacks() {
        let all = ResponseCodes::build(|_| ResponseCode::from("96").ok()).unwrap();
        assert_eq!(all.code(Reason::InsufficientFunds).as_str(), "96");
        let lacking = ResponseCodes::build(|reason| {
            (reason != Reason::Deposit).then(|| ResponseCode::from("57").unwrap())
        });
        assert_eq!(lacking.unwrap_err(), ["deposit"]);
    }
}
