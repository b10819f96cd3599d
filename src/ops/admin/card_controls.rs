//! Controls of one card: kinds of messages that it refuses, beside the blocks of its programme.

use axum::Json;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, Schema};

use crate::domain::block::{Condition, DaySpan, MccRange, country_letters};
use crate::domain::card::CardId;
use crate::domain::card_control::CardControl;
use crate::domain::conditions::{Attendance, EntryMode};
use crate::domain::facts::{Initiation, Presence, Purpose};
use crate::domain::masking;
use crate::domain::short_text::ShortText;
use crate::engine::operation::Order;

use super::asked::{Path, Shared};
use super::openapi::words;
use super::versions::{IfMatch, Of};
use super::{AdminContext, Asked, Problem, number_of, order, wrong};

/// What a control may say of what is wanted.
pub(super) const PURPOSES: &[&str] = &["purchase", "cash-withdrawal"];
/// How a card number came in.
pub(super) const ENTRIES: &[&str] = &[
    "unsaid",
    "manual",
    "stripe",
    "chip",
    "contactless",
    "fallback",
    "credential-on-file",
    "e-commerce",
];
/// Who started it.
pub(super) const INITIATIONS: &[&str] = &["cardholder", "recurring", "instalment"];
/// Whether the card was there.
pub(super) const PRESENCES: &[&str] = &["unsaid", "present", "absent"];
/// Who served.
pub(super) const ATTENDANCES: &[&str] = &["unsaid", "attended", "unattended", "cash-machine"];

fn purpose_words() -> RefOr<Schema> {
    list_of(PURPOSES)
}

fn entry_words() -> RefOr<Schema> {
    list_of(ENTRIES)
}

fn list_of(list: &[&'static str]) -> RefOr<Schema> {
    ArrayBuilder::new().items(words(list)).into()
}

fn initiation_words() -> RefOr<Schema> {
    words(INITIATIONS)
}

fn presence_words() -> RefOr<Schema> {
    words(PRESENCES)
}

fn attendance_words() -> RefOr<Schema> {
    words(ATTENDANCES)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Controls {
    /// All that the card shall have; none: only the blocks of its programme.
    #[schema(inline)]
    controls: Vec<OneControl>,
}

/// What the card refuses: a message of which all that is stated here is true.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OneControl {
    /// Merchant categories, `5541` or `3501-3999`.
    #[serde(default)]
    mcc: Vec<String>,
    #[serde(default)]
    #[schema(schema_with = purpose_words)]
    purpose: Vec<Purpose>,
    #[schema(schema_with = initiation_words)]
    initiation: Option<Initiation>,
    /// `absent`: on the network, by mail, by telephone or with a stored number.
    #[schema(schema_with = presence_words)]
    presence: Option<Presence>,
    /// False: abroad.
    domestic: Option<bool>,
    /// Countries of merchants, two letters.
    #[serde(default)]
    country: Vec<String>,
    /// The merchant's country is stated and none of these.
    #[serde(default)]
    country_not: Vec<String>,
    /// Countries of acquirers, ISO 3166 numeric.
    #[serde(default)]
    acquirer_country: Vec<u16>,
    #[serde(default)]
    acquirer_country_not: Vec<u16>,
    /// Acquirers (DE 32).
    #[serde(default)]
    acquirer: Vec<u64>,
    /// Card acceptors (DE 42).
    #[serde(default)]
    acceptor: Vec<String>,
    /// Terminals (DE 41).
    #[serde(default)]
    terminal: Vec<String>,
    #[serde(default)]
    #[schema(schema_with = entry_words)]
    entry: Vec<EntryMode>,
    #[schema(schema_with = attendance_words)]
    attendance: Option<Attendance>,
    /// Whether part of the amount is cash for the cardholder.
    cash_part: Option<bool>,
    /// A span of the day of the programme, `23:00-05:00`.
    hours: Option<String>,
}

/// Collects what cannot be read of the controls.
struct Mistakes(Vec<String>);

impl Mistakes {
    fn list<T>(
        &mut self,
        (key, expected): (&str, &str),
        texts: &[String],
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<Vec<T>> {
        let mut list = Vec::new();
        for text in texts {
            match read(text) {
                Some(value) => list.push(value),
                None => {
                    let got = masking::masked(text).unwrap_or_else(|| text.clone());
                    self.0
                        .push(format!("{key}: expected {expected}, got {got:?}"));
                }
            }
        }
        (!list.is_empty()).then_some(list)
    }
}

impl OneControl {
    /// The control as the engine has it; what cannot be read is among the mistakes.
    fn control(&self, place: usize, mistakes: &mut Mistakes) -> CardControl {
        let key = |name: &str| format!("controls[{place}].{name}");
        let category = "four digits or a run like 3501-3999";
        let letters = "two capital letters";
        let mcc = mistakes.list((&key("mcc"), category), &self.mcc, MccRange::of);
        let mut country = |name: &str, texts: &[String]| {
            mistakes.list((&key(name), letters), texts, country_letters)
        };
        let countries = country("country", &self.country);
        let countries_not = country("country_not", &self.country_not);
        let name = "1 to 15 characters";
        let acceptors = mistakes.list((&key("acceptor"), name), &self.acceptor, named);
        let name = "1 to 8 characters";
        let terminals = mistakes.list((&key("terminal"), name), &self.terminal, named);
        let span: Vec<String> = self.hours.iter().cloned().collect();
        let expected = "a span like 23:00-05:00";
        let hours = mistakes.list((&key("hours"), expected), &span, DaySpan::of);
        let stated = [
            mcc.map(Condition::Mcc),
            some(&self.purpose).map(Condition::Purpose),
            self.initiation.map(Condition::Initiation),
            self.presence.map(Condition::Presence),
            self.domestic.map(Condition::Domestic),
            countries.map(Condition::Country),
            countries_not.map(Condition::CountryNot),
            some(&self.acquirer_country).map(Condition::AcquirerCountry),
            some(&self.acquirer_country_not).map(Condition::AcquirerCountryNot),
            some(&self.acquirer).map(Condition::Acquirer),
            acceptors.map(Condition::Acceptor),
            terminals.map(Condition::Terminal),
            some(&self.entry).map(Condition::Entry),
            self.attendance.map(Condition::Attendance),
            self.cash_part.map(Condition::CashPart),
            hours.and_then(|list| list.first().copied().map(Condition::Hours)),
        ];
        CardControl {
            conditions: stated.into_iter().flatten().collect(),
        }
    }
}

fn named<const N: usize>(text: &str) -> Option<ShortText<N>> {
    ShortText::of(text).filter(|name| !name.is_empty())
}

fn some<T: Clone>(list: &[T]) -> Option<Vec<T>> {
    (!list.is_empty()).then(|| list.to_vec())
}

/// Gives a card controls of its own, in place of those that it has.
pub(super) async fn set(
    Shared(context): Shared<AdminContext>,
    Path(id): Path<String>,
    read: IfMatch,
    Asked(wanted): Asked<Controls>,
) -> Result<Json<Value>, Problem> {
    let card = CardId(number_of("card", &id)?);
    let mut mistakes = Mistakes(Vec::new());
    let rows = wanted.controls.iter().enumerate();
    let controls: Vec<CardControl> = rows
        .map(|(place, row)| row.control(place, &mut mistakes))
        .collect();
    if !mistakes.0.is_empty() {
        // One that cannot be read may be empty for that alone: the rest is looked at without it.
        return Err(wrong(mistakes.0.join("; ")));
    }
    let context = read.of(context, Of::Card(card));
    order(&context, Order::ControlCard(card, controls)).await
}
