//! What was counted on each link and business day, and the order to begin a new day.

use axum::Json;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::domain::facts::LinkNumber;
use crate::domain::reconciliation::Totals;
use crate::engine::command::{Answer, Body};
use crate::engine::reconcile::{CutOver, DayTotals, LinkBook};
use crate::engine::state::State;

use super::asked::{Path, Query, Shared};
use super::{AdminContext, Asked, Problem, unexpected, wrong};

/// Which totals are asked for.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    date: Option<String>,
    link: Option<String>,
}

/// Totals by link, business day and currency, with the last reconciliation of each.
pub(super) async fn totals(
    Shared(context): Shared<AdminContext>,
    Query(which): Query<Which>,
) -> Result<Json<Value>, Problem> {
    let told = context.jobs.query(move |state| told(state, &which));
    Ok(Json(told.await?))
}

fn told(state: &State, which: &Which) -> Value {
    let mut days = Vec::new();
    let mut links = Vec::new();
    for (name, number) in state.links().iter().zip(1_u16..) {
        let is_wanted = which.link.as_ref().is_none_or(|link| link == name);
        let Some(book) = state.link_book(LinkNumber(number)).filter(|_| is_wanted) else {
            continue;
        };
        links.push(json!({ "link": name, "day": day(state, book) }));
        let is_wanted = |row: &&DayTotals| {
            let wanted = which.date.as_ref();
            wanted.is_none_or(|date| *date == row.date.to_string())
        };
        days.extend(
            book.days()
                .iter()
                .filter(is_wanted)
                .map(|row| tell(name, row)),
        );
    }
    json!({ "links": links, "days": days })
}

fn day(state: &State, book: &LinkBook) -> String {
    book.day_at(state.at()).to_string()
}

fn tell(link: &str, row: &DayTotals) -> Value {
    let reconciled = row.reconciled.as_ref().map(|done| {
        json!({
            "result": done.balance,
            "settlement_code": done.balance.code(),
            "claim": done.claim,
            "differences": done.evidence,
            "counted_then": of(&done.own),
        })
    });
    json!({
        "link": link,
        "date": row.date.to_string(),
        "currency": row.currency.to_string(),
        "totals": of(&row.totals),
        "reconciled": reconciled,
    })
}

fn of(totals: &Totals) -> Value {
    let mut told = serde_json::to_value(totals).unwrap_or_default();
    if let Some(rows) = told.as_object_mut() {
        rows.insert("net_minor".to_owned(), totals.net_minor().into());
    }
    told
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewDay {
    date: String,
}

/// Ends the business day of a link and begins this one; again, it changes nothing.
pub(super) async fn cut_over(
    Shared(context): Shared<AdminContext>,
    Path(name): Path<String>,
    Asked(wanted): Asked<NewDay>,
) -> Result<Json<Value>, Problem> {
    let named = name.clone();
    let known = context.jobs.query(move |state| state.link_number(&named));
    let link = known.await?.ok_or_else(|| {
        let detail = format!("there is no link {name:?}");
        Problem(StatusCode::NOT_FOUND, detail)
    })?;
    let day: jiff::civil::Date = wanted
        .date
        .parse()
        .map_err(|_| wrong("date: expected a day such as 2027-03-02"))?;
    let part = |part: i8| u16::try_from(part).unwrap_or_default();
    let body = Body::CutOver(CutOver {
        link,
        to: Some((part(day.month()), part(day.day()))),
        asker: None,
    });
    match context.jobs.command(body).await? {
        Answer::CutOver(Some(date)) if date.to_string() == wanted.date => {
            Ok(Json(json!({ "link": name, "day": date.to_string() })))
        }
        Answer::CutOver(_) => {
            let detail = format!("{} is over, or far from today", wanted.date);
            Err(Problem(StatusCode::CONFLICT, detail))
        }
        Answer::Decided(_)
        | Answer::Opened(_)
        | Answer::Ordered(_)
        | Answer::Presented(_)
        | Answer::Reconciled(_)
        | Answer::LinkNamed(_)
        | Answer::PinChanged(_)
        | Answer::Housekept { .. } => Err(unexpected()),
    }
}
