//! A card programme: everything an issuer decides about its cards, proven when it was read.
//!
//! Built only by [`super::programme_file::parse`]; the shipped files are in `spec/programme/`.

use std::fmt;

use super::account::{Kyc, ProgrammeName, PurseIndex};
use super::block::{Block, BlockedCategories};
use super::exchange::ExchangeRule;
use super::guessing::GuessingRule;
use super::holder::{HolderRule, RenewalRule};
use super::merchant::{AcceptorId, HomeCountry, TerminalId};
use super::money::Currency;
use super::rare_facts::{CompanyCode, FundingBin, LoadChannel};
use super::sieve::Sieve;
use super::time::Calendar;

/// One range of card numbers that belong to a programme (rules A4, B1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BinRange {
    /// Leading digits.
    pub prefix: String,
    /// Digits of the whole number.
    pub pan_length: usize,
    /// Whether the last digit is a check digit.
    pub check_digit: bool,
}

/// A purse that every account of the programme has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurseSpec {
    /// Its name, such as `withdrawable`.
    pub id: String,
    /// Its currency.
    pub currency: Currency,
}

/// How the programme takes loads (rules A12, A28, B4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadRule {
    /// The purse it goes to; `None`: the purse of the load's currency.
    pub purse: Option<PurseIndex>,
    /// The amount must be a multiple of this, minor units; 1 for any.
    pub multiple_of: i64,
    /// Least amount, minor units.
    pub minimum: i64,
    /// Ways of loading with terms of their own; with any, a way that is not among them is refused.
    pub channels: Vec<LoadTerms>,
}

impl LoadRule {
    /// The terms of one way of loading.
    pub fn terms(&self, channel: LoadChannel) -> Option<&LoadTerms> {
        self.channels.iter().find(|terms| terms.channel == channel)
    }
}

/// The terms of one way of loading (rules A12, A28, A29).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadTerms {
    /// Which way.
    pub channel: LoadChannel,
    /// The purse it goes to; `None`: as loads in general.
    pub purse: Option<PurseIndex>,
    /// The amount must be a multiple of this, minor units; 1 for any.
    pub multiple_of: i64,
    /// Least amount, minor units.
    pub minimum: i64,
    /// Company codes of the partners that may take it; empty: any.
    pub partners: Vec<CompanyCode>,
    /// First digits of the cards that may pay for it; empty: any.
    pub issuers: Vec<FundingBin>,
    /// Whether the cardholder must have been authenticated (3-D Secure).
    pub authenticated: bool,
    /// Whether the cardholder may call it off afterwards.
    pub cancellable: bool,
}

/// When an authorized refund reaches the cardholder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundAuthorization {
    /// Only its completion credits.
    Pending,
    /// The authorization credits; its completion has no second effect.
    Credit,
}

/// How the programme takes refunds (rules A13, B5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundRule {
    /// The purse it goes to; `None`: the purse of the refund's currency.
    pub purse: Option<PurseIndex>,
    /// A purse that is refilled first, up to what it paid of the purchase, where that is known.
    pub refill_first: Option<PurseIndex>,
    /// Whether a refund must find its purchase, and stay within what that paid.
    pub needs_original: bool,
    /// What a refund authorization does.
    pub authorization: RefundAuthorization,
}

/// How long a hold that nobody captures stays (rule A33).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldRule {
    /// Days for a merchant at home.
    pub domestic_days: u16,
    /// Days for a merchant abroad.
    pub foreign_days: u16,
}

/// Cash from machines (rules A27, C4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CashRule {
    /// The purses it may come from, first first.
    pub purses: Vec<PurseIndex>,
    /// The amount must be a multiple of this, minor units; 1 for any.
    pub multiple_of: i64,
    /// Least amount, minor units.
    pub minimum: i64,
    /// Who may have it; `None`: everybody.
    pub kyc: Option<Kyc>,
    /// Fee by currency, minor units.
    pub fees: Vec<(Currency, i64)>,
    /// Withdrawals of a calendar month that cost nothing.
    pub free_per_month: u32,
}

impl CashRule {
    /// The fee in a currency, minor units.
    pub fn fee(&self, currency: Currency) -> i64 {
        let row = self.fees.iter().find(|row| row.0 == currency);
        row.map_or(0, |row| row.1)
    }
}

/// Who makes a shipped card usable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// The issuer's operators.
    #[default]
    Operator,
    /// Its holder, with its last digits and the initial PIN (rule C1).
    Enrolment,
    /// The till of the shop that sells it, with the face value (rule B4).
    ShopTill,
}

/// What a PIN belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PinOwner {
    /// The card: one in its place needs a PIN of its own.
    #[default]
    Card,
    /// The account: a card in place of another goes on with it.
    Account,
}

/// How wrong PINs count (rule A7), and what needs a right one (rule A8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinRule {
    /// What a PIN belongs to.
    pub owner: PinOwner,
    /// Wrong tries that lock it.
    pub tries_max: u8,
    /// What is refused without one.
    pub required: Vec<PinUse>,
}

/// What may need a PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PinUse {
    /// Cash.
    CashWithdrawal,
    /// A purchase with the card's chip or stripe at a terminal that takes PINs.
    PhysicalPurchase,
}

/// What to do with evidence that nothing here can verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unverified {
    /// Decline.
    Refuse,
    /// Decide without it.
    Ignore,
}

/// What a limit counts (rule A16).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// Purchases of every kind.
    Purchase,
    /// Loads of every kind.
    Load,
    /// Purchases without the card: electronic commerce, mail, telephone, stored credentials.
    ECommerce,
    /// Cash from machines.
    CashWithdrawal,
    /// Loads at machines.
    LoadAtm,
    /// Loads by transfer from a bank.
    LoadBank,
    /// Loads that a credit card pays.
    LoadCreditCard,
    /// Loads at the till of a shop.
    LoadShopTill,
    /// Transfers to other holders.
    Transfer,
}

impl Channel {
    /// The channel in which this one counts as well.
    pub fn wider(self) -> Option<Channel> {
        match self {
            Channel::Purchase | Channel::Load | Channel::CashWithdrawal | Channel::Transfer => None,
            Channel::ECommerce => Some(Channel::Purchase),
            Channel::LoadAtm
            | Channel::LoadBank
            | Channel::LoadCreditCard
            | Channel::LoadShopTill => Some(Channel::Load),
        }
    }

    /// Whether what goes through the other channel counts in this one.
    pub fn covers(self, other: Channel) -> bool {
        self == other || other.wider() == Some(self)
    }
}

/// The span a limit covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// One transaction.
    Transaction,
    /// A calendar day of the programme.
    Day,
    /// A calendar week of the programme, from Monday.
    Week,
    /// A calendar month of the programme.
    Month,
    /// The hours before the transaction, to the millisecond.
    Rolling {
        /// How many.
        hours: u16,
    },
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Window::Transaction => f.write_str("transaction"),
            Window::Day => f.write_str("day"),
            Window::Week => f.write_str("week"),
            Window::Month => f.write_str("month"),
            Window::Rolling { hours } => write!(f, "{hours} hours"),
        }
    }
}

/// One limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What it counts.
    pub channel: Channel,
    /// Over which span.
    pub window: Window,
    /// For whom; `None`: everybody.
    pub kyc: Option<Kyc>,
    /// In which currency amounts are counted.
    pub currency: Currency,
    /// Greatest amount, minor units.
    pub amount_max: Option<i64>,
    /// Greatest number of transactions.
    pub count_max: Option<u32>,
    /// Whether it only notes what it would refuse.
    pub shadow: bool,
}

/// The greatest balance an account may be loaded to (rule A17).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaximumBalance {
    /// For whom; `None`: everybody.
    pub kyc: Option<Kyc>,
    /// Sum over the purses of this currency.
    pub currency: Currency,
    /// Minor units.
    pub amount_max: i64,
    /// Whether it only notes what it would refuse.
    pub shadow: bool,
}

/// Merchants and terminals named one by one (rule A26b).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MerchantLists {
    /// Refused acceptors.
    pub denied_acceptors: Vec<AcceptorId>,
    /// Refused terminals.
    pub denied_terminals: Vec<TerminalId>,
    /// Acceptors at which a blocked category passes.
    pub allowed_acceptors: Vec<AcceptorId>,
    /// Terminals at which a blocked category passes.
    pub allowed_terminals: Vec<TerminalId>,
}

/// One card programme.
#[derive(Clone, Debug)]
pub struct Programme {
    /// Its name.
    pub name: ProgrammeName,
    /// Version of the file, recorded by whoever changes it.
    pub version: u32,
    /// One line for people.
    pub title: String,
    /// How it counts days and months.
    pub calendar: Calendar,
    /// Where its merchants are domestic.
    pub home: HomeCountry,
    /// Its card numbers.
    pub bins: Vec<BinRange>,
    /// Its purses; an account's purses stand in this order.
    pub purses: Vec<PurseSpec>,
    /// Which purses a purchase may use, first first (rule A11).
    pub spend_order: Vec<PurseIndex>,
    /// Loads; `None`: not loadable.
    pub load: Option<LoadRule>,
    /// Refunds.
    pub refund: RefundRule,
    /// The purse that transfers between holders take from and give to (rule A30); `None`: there are
    /// no transfers.
    pub transfer: Option<PurseIndex>,
    /// What closing an account costs, minor units of the first purse's currency (rule A9).
    pub closing_fee: i64,
    /// Days for which the card data of a closed account stay.
    pub retention_days: u16,
    /// What a statement on paper costs, minor units of that currency (rule A31); `None`: there is
    /// none.
    pub statement_fee: Option<i64>,
    /// What a notice of the PIN on paper costs, likewise.
    pub pin_notice_fee: Option<i64>,
    /// Holds.
    pub hold: HoldRule,
    /// Who makes a shipped card usable (rules B4, C1).
    pub activation: Activation,
    /// Who may hold an account (rule A1); `None`: nobody is asked.
    pub holder: Option<HolderRule>,
    /// Whose cards go on at expiry by themselves (rule A3); `None`: nobody's.
    pub renewal: Option<RenewalRule>,
    /// PIN blocks.
    pub pin_block: Unverified,
    /// Whether a part is approved where the whole is not available (rule A14).
    pub partial_approval: bool,
    /// PINs.
    pub pin: PinRule,
    /// Cash; `None`: not offered.
    pub cash: Option<CashRule>,
    /// Currencies that no purse has; `None`: only as the network converts them.
    pub exchange: Option<ExchangeRule>,
    /// Somebody tries one number after the other; `None`: not looked at.
    pub guessing: Option<GuessingRule>,
    /// What it refuses, first match decides within one reason.
    pub blocks: Vec<Block>,
    /// The categories that its blocks name.
    pub blocked_categories: BlockedCategories,
    /// Merchants named one by one.
    pub merchants: MerchantLists,
    /// Limits.
    pub limits: Vec<Limit>,
    /// Greatest balances.
    pub maximum_balances: Vec<MaximumBalance>,
    /// Which of its blocks and limits may concern a message.
    pub sieve: Sieve,
    /// Whether any row only notes what it would refuse.
    pub has_shadows: bool,
}

impl Programme {
    /// The first purse of a currency in the order of spending.
    pub fn purse_of(&self, currency: Currency) -> Option<PurseIndex> {
        self.spend_order
            .iter()
            .copied()
            .find(|index| self.purse_currency(*index) == Some(currency))
    }

    /// Where a credit in a currency goes: the named purse if it has that currency.
    pub fn credit_purse(
        &self,
        named: Option<PurseIndex>,
        currency: Currency,
    ) -> Option<PurseIndex> {
        match named {
            Some(index) => (self.purse_currency(index) == Some(currency)).then_some(index),
            None => self.purse_of(currency),
        }
    }

    /// The currency of a purse.
    pub fn purse_currency(&self, index: PurseIndex) -> Option<Currency> {
        self.purses
            .get(index.position())
            .map(|purse| purse.currency)
    }

    /// The purse with this name.
    pub fn purse_named(&self, id: &str) -> Option<PurseIndex> {
        let position = self.purses.iter().position(|purse| purse.id == id)?;
        u8::try_from(position).ok().map(PurseIndex)
    }
}
