//! The rows of a programme file as they stand there, before anything is proven.

use serde::Deserialize;

use crate::domain::account::Kyc;
use crate::domain::conditions::{Attendance, EntryMode};
use crate::domain::facts::{Certainty, Device, Initiation, Presence, Purpose};
use crate::domain::guessing::GuessingAnswer;
use crate::domain::programme::{Activation, Channel, PinOwner, PinUse};
use crate::domain::rare_facts::LoadChannel;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) version: u32,
    pub(super) title: String,
    pub(super) time_zone: String,
    pub(super) home: HomeRow,
    pub(super) bin: Vec<BinRow>,
    pub(super) purse: Vec<PurseRow>,
    pub(super) spend_order: Vec<String>,
    pub(super) load: Option<LoadRow>,
    pub(super) refund: RefundRow,
    pub(super) transfer: Option<TransferRow>,
    pub(super) closing_fee: Option<i64>,
    pub(super) retention_days: Option<u16>,
    pub(super) statement_fee: Option<i64>,
    pub(super) pin_notice_fee: Option<i64>,
    pub(super) hold: HoldRow,
    #[serde(default)]
    pub(super) activation: Activation,
    pub(super) holder: Option<HolderRow>,
    pub(super) renewal: Option<RenewalRow>,
    pub(super) pin_block: UnverifiedRow,
    #[serde(default)]
    pub(super) partial_approval: bool,
    #[serde(default)]
    pub(super) pin: PinRow,
    pub(super) cash: Option<CashRow>,
    pub(super) exchange: Option<ExchangeRow>,
    pub(super) guessing: Option<GuessingRow>,
    #[serde(default)]
    pub(super) block: Vec<BlockRow>,
    #[serde(default)]
    pub(super) merchants: MerchantsRow,
    #[serde(default)]
    pub(super) limit: Vec<LimitRow>,
    #[serde(default)]
    pub(super) maximum_balance: Vec<MaximumBalanceRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HomeRow {
    pub(super) numeric: u16,
    pub(super) letters: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BinRow {
    pub(super) prefix: String,
    pub(super) pan_length: usize,
    pub(super) check_digit: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PurseRow {
    pub(super) id: String,
    pub(super) currency: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TransferRow {
    pub(super) purse: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LoadRow {
    pub(super) purse: Option<String>,
    pub(super) multiple_of: i64,
    pub(super) minimum: i64,
    #[serde(default)]
    pub(super) channel: Vec<LoadChannelRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LoadChannelRow {
    pub(super) channel: LoadChannel,
    pub(super) purse: Option<String>,
    pub(super) multiple_of: i64,
    pub(super) minimum: i64,
    #[serde(default)]
    pub(super) partners: Vec<String>,
    #[serde(default)]
    pub(super) issuers: Vec<String>,
    #[serde(default)]
    pub(super) authenticated: bool,
    #[serde(default = "yes")]
    pub(super) cancellable: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RefundRow {
    pub(super) purse: Option<String>,
    pub(super) refill_first: Option<String>,
    pub(super) needs_original: bool,
    pub(super) authorization: RefundAuthorizationRow,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RefundAuthorizationRow {
    Pending,
    Credit,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HoldRow {
    pub(super) domestic_days: u16,
    pub(super) foreign_days: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HolderRow {
    pub(super) minimum_age: u8,
    pub(super) consent_below: u8,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RenewalRow {
    pub(super) months: u16,
    pub(super) kyc: Option<Kyc>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum UnverifiedRow {
    Refuse,
    Ignore,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PinRow {
    pub(super) owner: PinOwner,
    pub(super) tries_max: u8,
    pub(super) required: Vec<PinUse>,
}

impl Default for PinRow {
    fn default() -> PinRow {
        PinRow {
            owner: PinOwner::Card,
            tries_max: 3,
            required: Vec::new(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CashRow {
    #[serde(default)]
    pub(super) purses: Vec<String>,
    pub(super) multiple_of: i64,
    pub(super) minimum: i64,
    pub(super) kyc: Option<Kyc>,
    #[serde(default)]
    pub(super) free_per_month: u32,
    #[serde(default)]
    pub(super) fee: Vec<FeeRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FeeRow {
    pub(super) currency: String,
    pub(super) amount: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExchangeRow {
    pub(super) billing: String,
    pub(super) markup: String,
    pub(super) charge_fee: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GuessingRow {
    #[serde(default)]
    pub(super) acceptor_attempts_max: u32,
    #[serde(default)]
    pub(super) link_attempts_max: u32,
    pub(super) window_minutes: u16,
    pub(super) answer: GuessingAnswer,
    #[serde(default)]
    pub(super) slow_ms: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BlockRow {
    pub(super) id: String,
    pub(super) rule: String,
    pub(super) reason: String,
    #[serde(default)]
    pub(super) mcc: Vec<String>,
    #[serde(default)]
    pub(super) purpose: Vec<Purpose>,
    pub(super) initiation: Option<Initiation>,
    pub(super) certainty: Option<Certainty>,
    pub(super) device: Option<Device>,
    pub(super) presence: Option<Presence>,
    pub(super) domestic: Option<bool>,
    #[serde(default)]
    pub(super) country: Vec<String>,
    #[serde(default)]
    pub(super) country_not: Vec<String>,
    #[serde(default)]
    pub(super) acquirer_country: Vec<u16>,
    #[serde(default)]
    pub(super) acquirer_country_not: Vec<u16>,
    #[serde(default)]
    pub(super) currency: Vec<String>,
    #[serde(default)]
    pub(super) currency_not: Vec<String>,
    #[serde(default)]
    pub(super) acquirer: Vec<u64>,
    #[serde(default)]
    pub(super) acceptor: Vec<String>,
    #[serde(default)]
    pub(super) terminal: Vec<String>,
    #[serde(default)]
    pub(super) entry: Vec<EntryMode>,
    pub(super) attendance: Option<Attendance>,
    pub(super) cash_part: Option<bool>,
    pub(super) hours: Option<String>,
    #[serde(default)]
    pub(super) shadow: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct MerchantsRow {
    pub(super) denied_acceptors: Vec<String>,
    pub(super) denied_terminals: Vec<String>,
    pub(super) allowed_acceptors: Vec<String>,
    pub(super) allowed_terminals: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitRow {
    pub(super) channel: Channel,
    pub(super) window: WindowRow,
    pub(super) kyc: Option<Kyc>,
    pub(super) currency: String,
    pub(super) amount_max: Option<i64>,
    pub(super) count_max: Option<u32>,
    #[serde(default)]
    pub(super) shadow: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum WindowRow {
    Transaction,
    Day,
    Week,
    Month,
    /// The last so many hours.
    Hours(u16),
    /// The last so many times 24 hours.
    Days(u16),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MaximumBalanceRow {
    pub(super) kyc: Option<Kyc>,
    pub(super) currency: String,
    pub(super) amount_max: i64,
    #[serde(default)]
    pub(super) shadow: bool,
}
