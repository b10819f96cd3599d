//! Facts that few messages state: kept apart, so that an ordinary purchase pays nothing for them.

use serde::{Deserialize, Serialize};

use super::card_value::CardValueVerdict;
use super::chip::ChipUse;
use super::pin_choice::NewPin;
use super::short_text::ShortText;

/// The network's own name for one transaction through its life (lifecycle D.1, rung 1).
pub type LifecycleId = ShortText<15>;

/// Company code of the partner that took a load.
pub type CompanyCode = ShortText<11>;

/// Leading digits, eight at most, of the card that paid for a load: they name its issuer.
pub type FundingBin = ShortText<8>;

/// One part of a capture that comes in several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapturePart {
    /// Which one, from 1.
    pub number: u16,
    /// Whether none follows.
    pub last: bool,
}

/// A day of a month as the network writes it (DE 15): `MMDD` as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MonthDay(pub u16);

/// How a load is paid in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoadChannel {
    /// Cash into a machine.
    Atm,
    /// Transfer from a bank account.
    Bank,
    /// Another card pays.
    CreditCard,
    /// Activation at the till of a shop.
    ShopTill,
}

/// Why an advice or a reversal was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdviceReason {
    /// The network decided in our place.
    StandIn,
    /// It may have been sent before.
    PossibleDuplicate,
    /// A machine gave less than was approved.
    PartialDispense,
    /// A machine gave nothing.
    ZeroDispense,
    /// The cardholder called it off.
    Cancelled,
    /// The answer could not be delivered.
    Undeliverable,
    /// The answer did not come in time.
    Timeout,
}

/// Facts that few messages state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Vec<RareFact>", from = "Vec<RareFact>")]
pub struct RareFacts {
    /// The network's name for the transaction.
    pub lifecycle_id: Option<LifecycleId>,
    /// Whether this adds to an earlier authorization.
    pub incremental: bool,
    /// Which part of a capture this is.
    pub part: Option<CapturePart>,
    /// Cash in the amount, minor units of the transaction currency (DE 54, type 40).
    pub cash_minor: Option<i64>,
    /// The acquirer's fee in the amount, minor units, above zero when the cardholder pays (DE 28).
    pub acquirer_fee_minor: Option<i64>,
    /// Settlement date (DE 15).
    pub settlement: Option<MonthDay>,
    /// Whether the cardholder was authenticated (3-D Secure).
    pub authenticated: bool,
    /// How a load is paid in.
    pub load_channel: Option<LoadChannel>,
    /// Who took the load.
    pub load_partner: Option<CompanyCode>,
    /// Which issuer's card pays for the load.
    pub funding_bin: Option<FundingBin>,
    /// Why this was sent.
    pub advice_reason: Option<AdviceReason>,
    /// The network's rate of the billing amount, as DE 10 writes it.
    pub billing_rate: Option<u32>,
    /// What is known about the PIN that a PIN change asks for.
    pub new_pin: Option<NewPin>,
    /// What is known about the chip, where chips of the card are checked.
    pub chip: Option<ChipUse>,
    /// What is known about the value of a track, where such are checked.
    pub track: Option<CardValueVerdict>,
    /// The same of the value printed on the card.
    pub printed: Option<CardValueVerdict>,
}

/// One fact as the journal keeps it: variants are only ever added at the end.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum RareFact {
    LifecycleId(LifecycleId),
    Incremental,
    Part(CapturePart),
    CashMinor(i64),
    AcquirerFeeMinor(i64),
    Settlement(MonthDay),
    Authenticated,
    LoadChannel(LoadChannel),
    LoadPartner(CompanyCode),
    FundingBin(FundingBin),
    AdviceReason(AdviceReason),
    BillingRate(u32),
    NewPin(NewPin),
    Chip(ChipUse),
    Track(CardValueVerdict),
    Printed(CardValueVerdict),
}

impl From<RareFacts> for Vec<RareFact> {
    fn from(facts: RareFacts) -> Vec<RareFact> {
        let stated = [
            facts.lifecycle_id.map(RareFact::LifecycleId),
            facts.incremental.then_some(RareFact::Incremental),
            facts.part.map(RareFact::Part),
            facts.cash_minor.map(RareFact::CashMinor),
            facts.acquirer_fee_minor.map(RareFact::AcquirerFeeMinor),
            facts.settlement.map(RareFact::Settlement),
            facts.authenticated.then_some(RareFact::Authenticated),
            facts.load_channel.map(RareFact::LoadChannel),
            facts.load_partner.map(RareFact::LoadPartner),
            facts.funding_bin.map(RareFact::FundingBin),
            facts.advice_reason.map(RareFact::AdviceReason),
            facts.billing_rate.map(RareFact::BillingRate),
            facts.new_pin.map(RareFact::NewPin),
            facts.chip.map(RareFact::Chip),
            facts.track.map(RareFact::Track),
            facts.printed.map(RareFact::Printed),
        ];
        stated.into_iter().flatten().collect()
    }
}

impl From<Vec<RareFact>> for RareFacts {
    fn from(stated: Vec<RareFact>) -> RareFacts {
        let mut facts = RareFacts::default();
        for fact in stated {
            match fact {
                RareFact::LifecycleId(id) => facts.lifecycle_id = Some(id),
                RareFact::Incremental => facts.incremental = true,
                RareFact::Part(part) => facts.part = Some(part),
                RareFact::CashMinor(minor) => facts.cash_minor = Some(minor),
                RareFact::AcquirerFeeMinor(minor) => facts.acquirer_fee_minor = Some(minor),
                RareFact::Settlement(date) => facts.settlement = Some(date),
                RareFact::Authenticated => facts.authenticated = true,
                RareFact::LoadChannel(channel) => facts.load_channel = Some(channel),
                RareFact::LoadPartner(code) => facts.load_partner = Some(code),
                RareFact::FundingBin(bin) => facts.funding_bin = Some(bin),
                RareFact::AdviceReason(reason) => facts.advice_reason = Some(reason),
                RareFact::BillingRate(rate) => facts.billing_rate = Some(rate),
                RareFact::NewPin(new) => facts.new_pin = Some(new),
                RareFact::Chip(chip) => facts.chip = Some(chip),
                RareFact::Track(verdict) => facts.track = Some(verdict),
                RareFact::Printed(verdict) => facts.printed = Some(verdict),
            }
        }
        facts
    }
}
