//! Limits of one card, beside those of its programme.

use axum::Json;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

use crate::domain::card::{Card, CardId};
use crate::domain::card_limit::{CardLimit, CardWindow};
use crate::domain::money::Currency;
use crate::domain::programme::{Channel, Programme};
use crate::domain::time::UnixMs;
use crate::engine::operation::Order;
use crate::engine::state::{AccountRecord, State};
use crate::ops::deed::limited;

use super::asked::{Path, Shared};
use super::openapi::words;
use super::versions::{IfMatch, Of};
use super::{AdminContext, Asked, Problem, number_of, order, wrong};

/// What a limit of a card may count.
pub(super) const CHANNELS: &[&str] = &[
    "purchase",
    "e-commerce",
    "cash-withdrawal",
    "load",
    "load-atm",
    "load-bank",
    "load-credit-card",
    "load-shop-till",
];
/// The spans that it may cover.
pub(super) const WINDOWS: &[&str] = &["transaction", "day", "month"];

fn channel_words() -> RefOr<Schema> {
    words(CHANNELS)
}

fn window_words() -> RefOr<Schema> {
    words(WINDOWS)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    /// All that the card shall have; none: only those of its programme.
    #[schema(inline)]
    limits: Vec<OneLimit>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OneLimit {
    #[schema(schema_with = channel_words)]
    channel: Channel,
    #[schema(schema_with = window_words)]
    window: CardWindow,
    /// Three letters.
    currency: String,
    /// Minor units; 0 lets nothing through.
    amount_max: Option<i64>,
    /// Transactions of a day or month.
    count_max: Option<u32>,
}

impl OneLimit {
    fn limit(&self) -> Result<CardLimit, Problem> {
        let currency = Currency::from_alpha(&self.currency)
            .ok_or_else(|| wrong("currency: expected three letters such as JPY"))?;
        Ok(CardLimit {
            channel: self.channel,
            window: self.window,
            currency,
            amount_max: self.amount_max,
            count_max: self.count_max,
        })
    }
}

/// Gives a card limits of its own, in place of those that it has.
pub(super) async fn set(
    Shared(context): Shared<AdminContext>,
    Path(id): Path<String>,
    read: IfMatch,
    Asked(wanted): Asked<Limits>,
) -> Result<Json<Value>, Problem> {
    let card = CardId(number_of("card", &id)?);
    let limits: Result<Vec<CardLimit>, Problem> =
        wanted.limits.iter().map(OneLimit::limit).collect();
    let context = read.of(context, Of::Card(card));
    order(&context, Order::LimitCard(card, limits?)).await
}

/// The limits that a card has of its own, with what it has used of those of a day or month.
pub(super) fn own_limits(
    state: &State,
    (programme, record): (&Programme, &AccountRecord),
    card: &Card,
    now: UnixMs,
) -> Vec<Value> {
    let date = programme.calendar.date_of(now);
    let tell = |limit: &CardLimit| {
        let used = (limit.window != CardWindow::Transaction)
            .then(|| state.used_by_card(record, card.id, limit, date));
        let mut told = limited(limit);
        told["used_minor"] = json!(used.map(|used| used.0));
        told["used_count"] = json!(used.map(|used| used.1));
        told
    };
    state.card_limits(card.id).iter().map(tell).collect()
}
