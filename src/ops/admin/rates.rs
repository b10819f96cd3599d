//! Exchange rates, and charging one currency purse from another (rules A35, C2, C3).

use axum::Json;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::domain::account::{AccountId, PurseIndex};
use crate::domain::money::Currency;
use crate::domain::rate_file::{self, RateRow, Row};
use crate::engine::operation::Order;
use crate::engine::operation_money::{MoneyOrder, Movement};
use crate::engine::state::State;
use crate::switch::clock;

use super::asked::{Query, Shared};
use super::paging::{Paging, cut};
use super::transfers::reference;
use super::{AdminContext, Asked, Problem, order, wrong};

/// The rates in force and to come.
pub(super) async fn rates(
    Shared(context): Shared<AdminContext>,
    Query(paging): Query<Paging>,
) -> Result<Json<serde_json::Value>, Problem> {
    let (now, limit, after) = (clock::now(), paging.limit()?, paging.after()?);
    let answer = context.jobs.query(move |state| {
        let mut rows: Vec<RateRow> = state.rates().rows().collect();
        let key = |row: &RateRow| {
            let numbers = [row.from.numeric(), row.to.numeric()].map(i64::from);
            [numbers[0], numbers[1], row.effective.0]
        };
        rows.sort_by_key(key);
        let behind = rows.iter().enumerate();
        let behind = behind.filter(|(_, row)| after.is_none_or(|after| key(row) > after));
        let (page, is_more) = cut(behind, limit, |_, _| false);
        let last = page.last().filter(|_| is_more).map(|(_, row)| key(row));
        let next = last.map(|[from, to, effective]| format!("{from}.{to}.{effective}"));
        let shown = page.into_iter().map(|(n, row)| {
            // Of each two currencies the latest that is not to come is in force.
            let next = rows
                .get(n + 1)
                .filter(|next| (next.from, next.to) == (row.from, row.to));
            let in_force = row.effective <= now && next.is_none_or(|next| next.effective > now);
            json!({
                "from": row.from.to_string(),
                "to": row.to.to_string(),
                "rate": row.rate.to_string(),
                "effective": row.effective.to_string(),
                "in_force": in_force,
            })
        });
        json!({ "rates": shown.collect::<Vec<_>>(), "next": next })
    });
    Ok(Json(answer.await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Stated {
    #[schema(value_type = Vec<Object>)]
    rates: Vec<Row>,
}

/// Takes rates in: all of them, or none and every mistake.
pub(super) async fn set(
    Shared(context): Shared<AdminContext>,
    Asked(stated): Asked<Stated>,
) -> Result<Json<serde_json::Value>, Problem> {
    let rows = rate_file::proven(&stated.rates, Some(clock::now()))
        .map_err(|mistakes| wrong(mistakes.join("; ")))?;
    order(&context, Order::Money(MoneyOrder::SetRates(rows))).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    reference: String,
    account: u32,
    source: String,
    charge: String,
    minor: i64,
}

/// Changes money of one purse into another currency; the same reference never does it twice.
pub(super) async fn charge(
    Shared(context): Shared<AdminContext>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Json<serde_json::Value>, Problem> {
    let reference = reference(&wanted.reference)?;
    let currency = |key: &str, letters: &str| {
        let what = || wrong(format!("{key}: expected ISO 4217 letters"));
        Currency::from_alpha(letters).ok_or_else(what)
    };
    let asked = MoneyOrder::Charge {
        reference,
        account: AccountId(wanted.account),
        source: currency("source", &wanted.source)?,
        charge: currency("charge", &wanted.charge)?,
        minor: wanted.minor,
    };
    let Json(done) = order(&context, Order::Money(asked)).await?;
    let told = context.jobs.query(move |state| {
        let (_, Movement::Charge(charge)) = state.movement(&reference)? else {
            return None;
        };
        let currency = |purse| purse_currency(state, charge.account, purse);
        Some(json!({
            "sequence": done["sequence"],
            "repeated": done["repeated"],
            "source": currency(charge.source),
            "minor": charge.minor,
            "fee": charge.fee,
            "charge": currency(charge.target),
            "credited": charge.credited,
            "rate": charge.rate.to_string(),
        }))
    });
    let forgotten = || wrong("reference: it is too old to be told about");
    told.await?.map(Json).ok_or_else(forgotten)
}

fn purse_currency(state: &State, account: AccountId, purse: PurseIndex) -> Option<String> {
    let purses = &state.account(account)?.account.purses;
    Some(purses.get(purse.position())?.currency.to_string())
}
