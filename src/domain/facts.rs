//! What a message says, in the words of the trade: rules name these facts, never data elements.
//!
//! A dialect fills them from one message; the engine decides on them and journals them with the
//! decision. Nothing here can hold a card number, track, PIN block or card verification value.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::card::ExpiryMonth;
use super::chip::ChipUse;
use super::conditions::{LocalTime, PinVerdict, PointOfService};
use super::decision::{ApprovalCode, Approved};
use super::merchant::{AcceptorId, AcceptorName, Mcc, Origin, RetrievalReference, TerminalId};
use super::money::Amount;
use super::pan::CardToken;
use super::rare_facts::{LifecycleId, RareFacts};

/// Which conversation a message belongs to, repeats included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MessageKind {
    /// 0100, 0101: may this be spent? An approval opens a hold.
    Authorization,
    /// 0120, 0121: somebody decided in our place; it is recorded, not judged.
    AuthorizationAdvice,
    /// 0200, 0201: decide and post at once.
    Financial,
    /// 0220, 0221: completion or forced posting; it is posted, not judged.
    FinancialAdvice,
    /// 0400, 0401, 0420, 0421: undo.
    Reversal,
}

/// What the cardholder or the acquirer wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Goods or services; with amount zero in an authorization, account verification.
    Purchase,
    /// What is on the card?
    BalanceEnquiry,
    /// Money back for an earlier purchase.
    Refund,
    /// Money onto the card.
    Load,
    /// Cash from a machine or a counter.
    CashWithdrawal,
    /// Money that leaves for another account or wallet.
    AccountFunding,
    /// Chips, money orders, traveller's cheques.
    QuasiCash,
    /// A processing code that the dialect table does not name.
    Unnamed,
    /// Money that somebody sends to the card: no purchase comes before it.
    OriginalCredit,
    /// The first money on a card that is sold, which makes it usable (rule B4).
    Activation,
    /// Another PIN, by who knows the current one (rule C1).
    PinChange,
}

/// Who started this and under which agreement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Initiation {
    /// The cardholder, now.
    #[default]
    Cardholder,
    /// A standing agreement: recurring payment or subscription.
    Recurring,
    /// One of several payments of one purchase, or another deferred way of paying.
    Instalment,
}

/// Whether the amount is what will be charged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// The amount stands.
    #[default]
    Final,
    /// Estimated or pre-authorized: a deposit.
    Estimated,
}

/// Kind of terminal where it decides something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Device {
    /// Nothing special is said.
    #[default]
    Ordinary,
    /// A terminal aboard an aircraft.
    InFlight,
}

/// Whether the card was there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// The message does not say.
    #[default]
    Unsaid,
    /// Chip, stripe or contactless at a terminal.
    Present,
    /// Online, mail, telephone or stored.
    Absent,
}

/// Name of a fact, for evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FactName {
    /// [`Initiation`].
    Initiation,
    /// [`Certainty`].
    Certainty,
    /// [`Device`].
    Device,
    /// [`Presence`].
    Presence,
    /// [`Purpose`].
    Purpose,
}

/// Where a fact was read: the dialect's own words, such as `DE60 positions 9-10 = 02`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Which fact.
    pub fact: FactName,
    /// Which row of the dialect's table said so.
    pub source: Cow<'static, str>,
}

/// Identity of a message among all that an originator sends (lifecycle D.1, D.2).
///
/// A repeat keeps it; the answer is stored under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TraceKey {
    /// Which conversation.
    pub kind: MessageKind,
    /// The trace of the message.
    pub trace: Trace,
    /// Terminal, because some acquirers number per terminal.
    pub terminal: TerminalId,
}

/// The part of a message's identity that a later reversal quotes in DE 90.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// Acquirer (DE 32) as a number; a message without one counts under its link.
    pub originator: u64,
    /// Transmission date and time (DE 7) as the number MMDDhhmmss, UTC.
    pub transmitted: u32,
    /// System trace audit number (DE 11).
    pub stan: u32,
}

/// Number of a link in the journal, from 1 in order of first use; 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LinkNumber(pub u16);

/// Bits of an originator that are not the acquirer: the upper digits of a trace number of twelve
/// digits, which an issuer of 2003 may send.
const STAN_UPPER_SHIFT: u32 = 48;
const ACQUIRER: u64 = (1 << STAN_UPPER_SHIFT) - 1;

impl Trace {
    /// The acquirer alone (DE 32), or the link in its place.
    pub fn acquirer(&self) -> u64 {
        self.originator & ACQUIRER
    }

    /// A trace with a number of up to twelve digits; what is too long for `stan` is kept with the
    /// originator, so that two numbers are never one. `None` when it is longer.
    pub fn with_long_stan(originator: u64, transmitted: u32, stan: u64) -> Option<Trace> {
        const STAN_MAX: u64 = 999_999_999_999;
        let upper = (stan <= STAN_MAX).then_some(stan >> u32::BITS)?;
        Some(Trace {
            originator: originator | upper << STAN_UPPER_SHIFT,
            transmitted,
            stan: u32::try_from(stan & u64::from(u32::MAX)).ok()?,
        })
    }
}

/// Set in the originator of what no message brought: a line of a clearing file, whose trace is a
/// hash of its batch and line.
pub const CLEARING_ORIGINATOR: u64 = 1 << 63;

impl Hash for Trace {
    /// Two words instead of three fields: every message hashes its trace several times.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.originator);
        state.write_u64(u64::from(self.transmitted) << 32 | u64::from(self.stan));
    }
}

/// Who could issue this card, as far as the number tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IssuerRoute {
    /// The BIN belongs to one of our programmes and the check digit is right.
    Ours,
    /// One of our BINs, but the number cannot be one of our cards.
    Malformed,
    /// No programme has this BIN.
    Unknown,
}

/// The facts of one message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Which conversation.
    pub kind: MessageKind,
    /// The MTI as it came, for people.
    pub mti: u16,
    /// Whether the originator marked it as a repeat.
    pub repeat: bool,
    /// What is wanted.
    pub purpose: Purpose,
    /// Index of the dialect whose response codes apply, in the rulebook's list.
    pub dialect: u8,
    /// Identity of the message.
    pub trace: Trace,
    /// Who could issue the card.
    pub route: IssuerRoute,
    /// Keyed hash of the card number.
    pub card: CardToken,
    /// Expiry the message states (DE 14).
    pub expiry: Option<ExpiryMonth>,
    /// Transaction amount (DE 4, DE 49).
    pub amount: Amount,
    /// Amount in billing currency when the network converted it (DE 6, DE 51).
    pub billing: Option<Amount>,
    /// What shall remain after a partial reversal (DE 95), in the currency of the amount.
    pub replacement_minor: Option<i64>,
    /// Merchant category (DE 18).
    pub mcc: Option<Mcc>,
    /// Terminal (DE 41).
    pub terminal: TerminalId,
    /// Card acceptor (DE 42).
    pub acceptor: AcceptorId,
    /// Card acceptor's name and place (DE 43).
    pub acceptor_name: AcceptorName,
    /// Where it comes from.
    pub origin: Origin,
    /// Retrieval reference number (DE 37).
    pub rrn: RetrievalReference,
    /// Approval code quoted by a completion (DE 38).
    pub quoted_approval: Option<ApprovalCode>,
    /// Trace of the message that this one undoes or completes (DE 90).
    pub original: Option<Trace>,
    /// In an advice: whether the one who stood in for us approved (DE 39).
    pub stand_in_approved: bool,
    /// Who started it.
    pub initiation: Initiation,
    /// Whether the amount stands.
    pub certainty: Certainty,
    /// Kind of terminal.
    pub device: Device,
    /// Whether the card was there.
    pub presence: Presence,
    /// What is known about the PIN.
    pub pin: PinVerdict,
    /// Which link asked.
    pub link: LinkNumber,
    /// The conditions at the point of service.
    pub point: PointOfService,
    /// The clock at the point of service.
    pub local: LocalTime,
    /// What few messages state.
    pub rare: Option<Box<RareFacts>>,
    /// Where the special facts were read.
    pub evidence: SmallVec<[Evidence; 2]>,
}

impl Facts {
    /// The key under which the answer is stored. A line of a clearing file is the same line
    /// whatever terminal it names.
    pub fn key(&self) -> TraceKey {
        let is_line = self.trace.originator & CLEARING_ORIGINATOR != 0;
        let mut trace = self.trace;
        if planted!(RepeatKeyWithoutAcquirer) {
            trace.originator = 0;
        }
        TraceKey {
            kind: self.kind,
            trace,
            terminal: if is_line {
                TerminalId::EMPTY
            } else {
                self.terminal
            },
        }
    }

    /// The facts of something that no message brought; whatever is not given is unsaid.
    pub fn beside_the_wire(
        kind: MessageKind,
        purpose: Purpose,
        trace: Trace,
        card: CardToken,
        amount: Amount,
    ) -> Facts {
        Facts {
            kind,
            mti: 0,
            repeat: false,
            purpose,
            dialect: 0,
            trace,
            route: IssuerRoute::Ours,
            card,
            expiry: None,
            amount,
            billing: None,
            replacement_minor: None,
            mcc: None,
            terminal: TerminalId::default(),
            acceptor: AcceptorId::default(),
            acceptor_name: AcceptorName::default(),
            origin: Origin::default(),
            rrn: RetrievalReference::EMPTY,
            quoted_approval: None,
            original: None,
            stand_in_approved: true,
            initiation: Initiation::default(),
            certainty: Certainty::default(),
            device: Device::default(),
            presence: Presence::default(),
            pin: PinVerdict::Absent,
            link: LinkNumber::default(),
            point: PointOfService::default(),
            local: LocalTime::UNSAID,
            rare: None,
            evidence: SmallVec::new(),
        }
    }

    /// The amount that concerns the cardholder: billing when the network converted it.
    pub fn cardholder_amount(&self) -> Amount {
        self.billing.unwrap_or(self.amount)
    }

    /// Whether this adds to an earlier authorization.
    pub fn is_incremental(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.incremental)
    }

    /// Whether no further part of a capture follows.
    pub fn is_last_part(&self) -> bool {
        let part = self.rare.as_ref().and_then(|rare| rare.part);
        part.is_some_and(|part| part.last)
    }

    /// The share of the billing amount for a part of the transaction amount, rounded down.
    pub fn billing_share(&self, billing: Amount, part: i64) -> i64 {
        if part >= self.amount.minor {
            return billing.minor;
        }
        let share = i128::from(billing.minor)
            .saturating_mul(i128::from(part))
            .checked_div(i128::from(self.amount.minor));
        share
            .and_then(|share| i64::try_from(share).ok())
            .unwrap_or(0)
    }

    /// What an approval of a part comes to, where the part of the transaction amount is known.
    pub fn approved_transaction(&self, minor: i64) -> Approved {
        let billing = self.billing.map(|billing| {
            let part = self.billing_share(billing, minor);
            Amount::new(part, billing.currency)
        });
        Approved {
            amount: Amount::new(minor, self.amount.currency),
            billing,
            asked: self.amount,
        }
    }

    /// What an approval of a part of the cardholder's amount comes to, rounded down.
    pub fn approved_part(&self, minor: i64) -> Approved {
        let scaled = |whole: i64, of: i64| {
            let share = i128::from(whole)
                .saturating_mul(i128::from(minor))
                .checked_div(i128::from(of));
            share.and_then(|share| i64::try_from(share).ok())
        };
        let part = match self.billing {
            Some(billing) => scaled(self.amount.minor, billing.minor).unwrap_or(0),
            None => minor,
        };
        Approved {
            amount: Amount::new(part, self.amount.currency),
            billing: self.billing.map(|asked| Amount::new(minor, asked.currency)),
            asked: self.amount,
        }
    }

    /// Asks whether the card is good, spends nothing (lifecycle B.2).
    pub fn is_account_verification(&self) -> bool {
        self.kind == MessageKind::Authorization
            && self.purpose == Purpose::Purchase
            && self.amount.minor == 0
    }

    /// What is known about the chip, where chips of the card are checked.
    pub fn chip(&self) -> Option<ChipUse> {
        self.rare.as_ref()?.chip
    }

    /// The network's name for the transaction, when the message states it.
    pub fn lifecycle_id(&self) -> Option<LifecycleId> {
        self.rare.as_ref().and_then(|rare| rare.lifecycle_id)
    }

    /// The dialect row that said so, if one did.
    pub fn evidence_of(&self, fact: FactName) -> Option<&str> {
        self.evidence
            .iter()
            .find(|row| row.fact == fact)
            .map(|row| &*row.source)
    }
}
