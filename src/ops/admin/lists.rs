//! Lists with a cursor: accounts, cards (all, or by their last four digits), links; one card with
//! what it has used of its limits; the holds of an account.
//!
//! The state is looked at between decisions, so every answer looks at a bounded number of rows and
//! says where the next one goes on.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use crate::domain::account::AccountId;
use crate::domain::card::{Card, CardId};
use crate::domain::facts::LinkNumber;
use crate::domain::programme::{Limit, Programme, Window};
use crate::domain::rulebook::Rulebook;
use crate::domain::time::UnixMs;
use crate::engine::state::{AccountRecord, State};
use crate::ops::deed::controlled;
use crate::switch::clock;

use super::asked::{Path, Query, Shared};
use super::card_limits::own_limits;
use super::paging::{Paging, cut};
use super::versions::Of;
use super::{AdminContext, Problem, number_of, wrong};

/// Rows in one answer, unless asked otherwise, and at most.
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1_000;
/// Rows looked at for one answer.
const LOOKED_AT_MAX: usize = 50_000;

/// Which page of a list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    /// The `next` of the answer before; 0 for the beginning.
    #[serde(default)]
    after: u32,
    limit: Option<usize>,
    /// The last four digits of a card's number.
    last_four: Option<String>,
    /// Accounts of this programme only.
    programme: Option<String>,
}

impl Page {
    fn limit(&self) -> Result<usize, Problem> {
        let limit = self.limit.unwrap_or(LIMIT);
        if limit == 0 || limit > LIMIT_MAX {
            return Err(wrong(format!("limit: expected 1 to {LIMIT_MAX}")));
        }
        Ok(limit)
    }
}

/// Rows of a page, and where the next one goes on when there may be more.
fn page<T>(
    rows: &[T],
    page: &Page,
    limit: usize,
    number: impl Fn(&T) -> u32,
    tell: impl Fn(&T) -> Option<Value>,
) -> (Vec<Value>, Option<u32>) {
    // Numbers are dense from 1, so a row's place tells its number.
    let start = usize::try_from(page.after).unwrap_or(usize::MAX);
    let rest = rows.get(start..).unwrap_or_default();
    let (mut told, mut last, mut looked_at) = (Vec::new(), page.after, 0);
    for row in rest.iter().take(LOOKED_AT_MAX) {
        looked_at += 1;
        last = number(row);
        told.extend(tell(row));
        if told.len() == limit {
            break;
        }
    }
    (told, (looked_at < rest.len()).then_some(last))
}

/// Accounts in the order in which they were opened.
pub(super) async fn accounts(
    Shared(context): Shared<AdminContext>,
    Query(wanted): Query<Page>,
) -> Result<Json<Value>, Problem> {
    let limit = wanted.limit()?;
    if wanted.last_four.is_some() {
        return Err(wrong("last_four: cards have it, see /v1/cards"));
    }
    let told = context.jobs.query(move |state| {
        let tell = |record: &AccountRecord| account(state, record, wanted.programme.as_deref());
        let number = |record: &AccountRecord| record.account.id.0;
        let (rows, next) = page(state.accounts(), &wanted, limit, number, tell);
        json!({ "accounts": rows, "next": next })
    });
    Ok(Json(told.await?))
}

fn account(state: &State, record: &AccountRecord, wanted: Option<&str>) -> Option<Value> {
    let programme = state.programme_name(record.account.programme)?.as_str();
    if wanted.is_some_and(|wanted| wanted != programme) {
        return None;
    }
    let id = record.account.id;
    let purses = record.account.purses.iter().map(|purse| {
        json!({
            "currency": purse.currency.to_string(),
            "balance": purse.balance,
            "held": purse.held,
        })
    });
    Some(json!({
        "id": id.0,
        "programme": programme,
        "holder": state.holders().of_account(id).map(|holder| holder.id.0),
        "kyc": record.account.kyc,
        "cards": record.cards.iter().map(|card| card.0).collect::<Vec<_>>(),
        "purses": purses.collect::<Vec<_>>(),
    }))
}

/// Cards in the order in which they were issued.
pub(super) async fn cards(
    Shared(context): Shared<AdminContext>,
    Query(wanted): Query<Page>,
) -> Result<Json<Value>, Problem> {
    let limit = wanted.limit()?;
    if wanted.programme.is_some() {
        return Err(wrong("programme: accounts have it, see /v1/accounts"));
    }
    if let Some(digits) = &wanted.last_four
        && (digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()))
    {
        return Err(wrong("last_four: expected four digits"));
    }
    let told = context.jobs.query(move |state| {
        let is_wanted = |card: &Card| {
            let digits = wanted.last_four.as_ref();
            digits.is_none_or(|digits| card.masked.to_string().ends_with(digits))
        };
        let tell = |card: &Card| is_wanted(card).then(|| card_row(card));
        let (rows, next) = page(state.cards(), &wanted, limit, |card| card.id.0, tell);
        json!({ "cards": rows, "next": next })
    });
    Ok(Json(told.await?))
}

fn card_row(card: &Card) -> Value {
    json!({
        "id": card.id.0,
        "account": card.account.0,
        "number": card.masked.to_string(),
        "expiry": card.expiry.map(|expiry| format!("{:04}", expiry.yymm())),
        "status": card.status,
    })
}

/// One card with its limits; `ETag` names its status and its own limits and
/// controls, for whoever changes them.
pub(super) async fn card(
    Shared(context): Shared<AdminContext>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let number: u32 = number_of("card", &id)?;
    let (rulebook, now) = (context.rules.rulebook(), clock::now());
    let found = context.jobs.query(move |state| {
        let card = state.card(CardId(number))?;
        let mut told = card_row(card);
        told["wrong_pin_tries"] = card.pin.wrong_tries.into();
        told["has_pin"] = card.pin.reference.is_some().into();
        let (limits, own_limits) = limits(state, &rulebook, card, now);
        told["limits"] = limits.into();
        told["own_limits"] = own_limits.into();
        let controls = state.card_controls(card.id).iter().map(controlled);
        told["own_controls"] = controls.collect();
        Some((Of::Card(card.id).tag(state)?, told))
    });
    let missing = || {
        let what = format!("there is no card {number}");
        Problem(StatusCode::NOT_FOUND, what)
    };
    let (etag, told) = found.await?.ok_or_else(missing)?;
    Ok(([(header::ETAG, etag)], Json(told)).into_response())
}

/// The limits that count for a card's account, with what is used of those of a day or month; and
/// those that the card has of its own.
fn limits(
    state: &State,
    rulebook: &Rulebook,
    card: &Card,
    now: UnixMs,
) -> (Vec<Value>, Vec<Value>) {
    let found = state.account(card.account).and_then(|record| {
        let name = state.programme_name(record.account.programme)?;
        Some((record, rulebook.programme(name)?))
    });
    let Some((record, programme)) = found else {
        return (Vec::new(), Vec::new());
    };
    let counts = |limit: &&Limit| limit.kyc.is_none_or(|kyc| kyc == record.account.kyc);
    let limits = programme.limits.iter().filter(counts);
    let limits = limits.map(|limit| limit_row(state, programme, (record, limit), now));
    let own = own_limits(state, (programme, record), card, now);
    (limits.collect(), own)
}

fn limit_row(
    state: &State,
    programme: &Programme,
    (record, limit): (&AccountRecord, &Limit),
    now: UnixMs,
) -> Value {
    let date = programme.calendar.date_of(now);
    let usage = state.usage(record, limit.channel, limit.currency, date);
    let used = match limit.window {
        Window::Day => Some((usage.day_minor, usage.day_count)),
        Window::Month => Some((usage.month_minor, usage.month_count)),
        Window::Transaction | Window::Week | Window::Rolling { .. } => None,
    };
    json!({
        "channel": limit.channel,
        "window": limit.window.to_string(),
        "currency": limit.currency.to_string(),
        "amount_max": limit.amount_max,
        "count_max": limit.count_max,
        "used_minor": used.map(|used| used.0),
        "used_count": used.map(|used| used.1),
        "shadow": limit.shadow,
    })
}

/// What is held on an account, oldest first, with the time at which each hold ends by itself.
pub(super) async fn holds(
    Shared(context): Shared<AdminContext>,
    Path(id): Path<String>,
    Query(paging): Query<Paging>,
) -> Result<Json<Value>, Problem> {
    let number: u32 = number_of("account", &id)?;
    let (limit, after) = (paging.limit()?, paging.after()?);
    let found = context.jobs.query(move |state| {
        let record = state.account(AccountId(number))?;
        let entries = record.entries.iter().filter_map(|id| state.entry(id));
        let is_behind = |id: u64| after.is_none_or(|[after]| id > after);
        let open = entries.filter(|entry| entry.held.total() > 0 && is_behind(entry.id.0));
        let (open, is_more) = cut(open, limit, |_, _| false);
        let next = open.last().filter(|_| is_more).map(|entry| entry.id.0);
        let rows = open.iter().map(|entry| {
            json!({
                "entry": entry.id.0,
                "card": entry.card.0,
                "state": entry.state,
                "currency": entry.currency.to_string(),
                "authorized": entry.authorized,
                "held": entry.held.total(),
                "merchant": entry.acceptor().to_string(),
                "opened_at": entry.opened_at.to_string(),
                "expires_at": entry.expires_at().map(|at| at.to_string()),
            })
        });
        let rows: Vec<Value> = rows.collect();
        Some(json!({ "account": number, "holds": rows, "next": next }))
    });
    found.await?.map(Json).ok_or_else(|| {
        let what = format!("there is no account {number}");
        Problem(StatusCode::NOT_FOUND, what)
    })
}

/// Links with their business day.
pub(super) async fn links(
    Shared(context): Shared<AdminContext>,
    Query(paging): Query<Paging>,
) -> Result<Json<Value>, Problem> {
    let (limit, after) = (paging.limit()?, paging.after()?);
    let told = context.jobs.query(move |state| {
        let links = state.links().iter().zip(1_u16..);
        let behind = links.filter(|link| after.is_none_or(|[after]| link.1 > after));
        let (page, is_more) = cut(behind, limit, |_, _| false);
        let next = page.last().filter(|_| is_more).map(|link| link.1);
        let rows = page.into_iter().map(|(name, number)| {
            let book = state.link_book(LinkNumber(number));
            let day = book.map(|book| book.day_at(state.at()).to_string());
            json!({ "name": name, "number": number, "day": day })
        });
        json!({ "links": rows.collect::<Vec<_>>(), "next": next })
    });
    Ok(Json(told.await?))
}
