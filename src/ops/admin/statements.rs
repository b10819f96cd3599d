//! Statements of an account by period, as JSON and as comma-separated values (rules A38, C6).

use std::fmt::Write;
use std::ops::ControlFlow;

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

use crate::domain::account::{AccountId, PurseIndex};
use crate::domain::programme::Programme;
use crate::domain::time::{BusinessDate, UnixMs};
use crate::engine::event::Event;
use crate::ops::statement::{Book, Line, PurseStand, Statement};
use crate::ops::statement_page::{Page, Table, html};

use super::asked::{Path, Query, Shared};
use super::openapi::words;
use super::records::read;
use super::{AdminContext, Problem, number_of, wrong};

/// Lines in one answer, unless asked otherwise, and at most.
const LIMIT: usize = 1_000;
const LIMIT_MAX: usize = 10_000;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Period {
    /// First day, `YYYY-MM-DD` in the programme's time zone; the beginning without it.
    from: Option<String>,
    /// Last day; until now without it.
    to: Option<String>,
    #[serde(default)]
    #[param(schema_with = format_words, required = false)]
    format: Format,
    /// The `next` of the answer before.
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
}

fn format_words() -> RefOr<Schema> {
    words(&["json", "csv", "html"])
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Format {
    #[default]
    Json,
    Csv,
    Html,
}

/// A statement with the purses that it is about.
struct Told<'a> {
    account: u32,
    programme: &'a Programme,
    period: &'a Period,
    statement: &'a Statement,
    lines: &'a [Line],
    /// Where the next answer goes on, when there is more.
    next: Option<u64>,
}

/// What happened on an account in a period.
pub(super) async fn statement(
    Shared(context): Shared<AdminContext>,
    Path(id): Path<String>,
    Query(period): Query<Period>,
) -> Result<Response, Problem> {
    let number: u32 = number_of("account", &id)?;
    let account = AccountId(number);
    let limit = period.limit.unwrap_or(LIMIT);
    if limit == 0 || limit > LIMIT_MAX {
        return Err(wrong(format!("limit: expected 1 to {LIMIT_MAX}")));
    }
    let known = context.jobs.query(move |state| {
        let record = state.account(account)?;
        let name = state.programme_name(record.account.programme)?;
        Some((*name, state.sequence()))
    });
    let (name, until) = known.await?.ok_or_else(|| {
        let what = format!("there is no account {number}");
        Problem(StatusCode::NOT_FOUND, what)
    })?;
    let rulebook = context.rules.rulebook();
    let programme = rulebook.programme(&name).ok_or_else(|| {
        let what = format!("programme {name} is not loaded");
        Problem(StatusCode::CONFLICT, what)
    })?;
    let (from, before) = bounds(programme, &period)?;
    let book = Book::new(account, from, before);
    let take = |book: &mut Book, sequence: u64, at: UnixMs, event: &Event| {
        if book.take(sequence, at, event) {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    };
    let (book, _) = read(&context, (0, until), book, take).await?;
    let statement = book.close();
    let skipped = statement
        .lines
        .partition_point(|line| line.sequence <= period.after);
    let rest = statement.lines.get(skipped..).unwrap_or_default();
    let lines = rest.get(..limit).unwrap_or(rest);
    let told = Told {
        account: number,
        programme,
        period: &period,
        statement: &statement,
        lines,
        next: (lines.len() < rest.len())
            .then(|| lines.last().map(|line| line.sequence))
            .flatten(),
    };
    Ok(match period.format {
        Format::Json => Json(as_json(&told)).into_response(),
        Format::Csv => {
            let media = [(header::CONTENT_TYPE, "text/csv; charset=utf-8")];
            (media, as_csv(&told)).into_response()
        }
        Format::Html => {
            // Nothing on the page comes from elsewhere, and nothing of it runs.
            let policy = "default-src 'none'; style-src 'unsafe-inline'";
            let media = [
                (header::CONTENT_TYPE, "text/html; charset=utf-8"),
                (header::CONTENT_SECURITY_POLICY, policy),
            ];
            (media, as_html(&told)).into_response()
        }
    })
}

/// The first instant of the period, and the first one after it.
fn bounds(programme: &Programme, period: &Period) -> Result<(UnixMs, UnixMs), Problem> {
    let day = |key: &str, text: &Option<String>| match text {
        None => Ok(None),
        Some(text) => BusinessDate::from_iso(text)
            .map(Some)
            .ok_or_else(|| wrong(format!("{key}: expected YYYY-MM-DD"))),
    };
    let (from, to) = (day("from", &period.from)?, day("to", &period.to)?);
    let start = |date: BusinessDate| programme.calendar.start_of(date);
    let after = |date: BusinessDate| BusinessDate(date.0.saturating_add(1));
    Ok((
        from.map_or(UnixMs(i64::MIN), start),
        to.map_or(UnixMs(i64::MAX), |date| start(after(date))),
    ))
}

fn as_json(told: &Told<'_>) -> Value {
    let purse = |(index, after): (usize, &PurseStand)| {
        let before = told.statement.before.get(index);
        let index = PurseIndex(u8::try_from(index).unwrap_or(u8::MAX));
        let changes = told.statement.lines.iter();
        let changes = changes.filter_map(|line| line.changes.get(&index).copied());
        let (deposits, withdrawals) = changes.fold((0_i64, 0_i64), |sum, change| {
            (
                sum.0.saturating_add(change.max(0)),
                sum.1.saturating_add(change.min(0)),
            )
        });
        json!({
            "id": purse_id(told.programme, index),
            "currency": after.currency.to_string(),
            "before": before.map_or(0, |before| before.balance),
            "deposits": deposits,
            "withdrawals": withdrawals,
            "after": after.balance,
            "held": after.held,
        })
    };
    let purses: Vec<Value> = told.statement.after.iter().enumerate().map(purse).collect();
    let lines: Vec<Value> = told.lines.iter().map(|it| line(told, it)).collect();
    json!({
        "account": told.account,
        "programme": told.programme.name.as_str(),
        "from": told.period.from,
        "to": told.period.to,
        "purses": purses,
        "lines": lines,
        "next": told.next,
    })
}

fn purse_id(programme: &Programme, index: PurseIndex) -> &str {
    let purse = programme.purses.get(index.position());
    purse.map_or("", |purse| purse.id.as_str())
}

fn line(told: &Told<'_>, line: &Line) -> Value {
    let ids = |index: usize| {
        let index = PurseIndex(u8::try_from(index).unwrap_or(u8::MAX));
        purse_id(told.programme, index)
    };
    let changes: Vec<Value> = line
        .changes
        .iter()
        .map(|(purse, minor)| json!({ "purse": ids(purse.position()), "minor": minor }))
        .collect();
    let balances: Vec<Value> = line
        .after
        .iter()
        .enumerate()
        .map(|(index, purse)| {
            json!({ "purse": ids(index), "balance": purse.balance, "held": purse.held })
        })
        .collect();
    json!({
        "sequence": line.sequence,
        "opened_at": line.opened_at.to_string(),
        "moved_at": line.moved_at.to_string(),
        "kind": line.kind,
        "state": line.state,
        "card": line.card.map(|card| card.0),
        "merchant": line.merchant.as_ref().map(|merchant| merchant.0.as_str()),
        "merchant_name": line.merchant.as_ref().map(|merchant| merchant.1.as_str()),
        "mcc": line.mcc,
        "approval": line.approval,
        "currency": line.currency.to_string(),
        "authorized": line.authorized,
        "held": line.held,
        "fee": line.fee,
        "refunded": line.refunded,
        "changes": changes,
        "balances": balances,
    })
}

fn as_html(told: &Told<'_>) -> String {
    let purse = |(index, after): (usize, &PurseStand)| {
        let before = told.statement.before.get(index);
        let index = PurseIndex(u8::try_from(index).unwrap_or(u8::MAX));
        vec![
            purse_id(told.programme, index).to_owned(),
            after.currency.to_string(),
            before.map_or(0, |before| before.balance).to_string(),
            after.balance.to_string(),
            after.held.to_string(),
        ]
    };
    let purses = told.statement.after.iter().enumerate().map(purse).collect();
    let headings = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let lines = told
        .lines
        .iter()
        .map(|line| cells(line, str::to_owned).to_vec());
    let day =
        |day: &Option<String>, otherwise: &str| day.clone().unwrap_or_else(|| otherwise.to_owned());
    html(&Page {
        title: format!("Statement of account {}", told.account),
        period: format!(
            "{}: from {} to {}",
            told.programme.title,
            day(&told.period.from, "the beginning"),
            day(&told.period.to, "today")
        ),
        tables: vec![
            Table {
                caption: "Purses",
                headings: headings(&["purse", "currency", "before", "after", "held"]),
                rows: purses,
            },
            Table {
                caption: "Lines",
                headings: headings(&COLUMNS),
                rows: lines.collect(),
            },
        ],
    })
}

/// What is told of a line, in this order.
const COLUMNS: [&str; 15] = [
    "sequence",
    "opened_at",
    "moved_at",
    "kind",
    "state",
    "card",
    "merchant",
    "merchant_name",
    "mcc",
    "approval",
    "currency",
    "authorized",
    "held",
    "fee",
    "refunded",
];

fn as_csv(told: &Told<'_>) -> String {
    let mut text = COLUMNS.join(",");
    for purse in &told.programme.purses {
        let id = &purse.id;
        // Writing to a String does not fail.
        let _ = write!(text, ",change {id},balance {id},held {id}");
    }
    text.push_str("\r\n");
    for line in told.lines {
        let cells = cells(line, quoted);
        text.push_str(&cells.join(","));
        for (index, stand) in line.after.iter().enumerate() {
            let index = PurseIndex(u8::try_from(index).unwrap_or(u8::MAX));
            let change = line.changes.get(&index).copied().unwrap_or_default();
            let _ = write!(text, ",{change},{},{}", stand.balance, stand.held);
        }
        text.push_str("\r\n");
    }
    text
}

/// The cells of a line; `peers` writes what a peer said.
fn cells(line: &Line, peers: fn(&str) -> String) -> [String; 15] {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (merchant, name) = line.merchant.clone().unwrap_or_default();
    [
        line.sequence.to_string(),
        line.opened_at.to_string(),
        line.moved_at.to_string(),
        word(&json!(line.kind)),
        word(&json!(line.state)),
        line.card.map(|card| card.0.to_string()).unwrap_or_default(),
        peers(&merchant),
        peers(&name),
        line.mcc.clone().unwrap_or_default(),
        peers(line.approval.as_deref().unwrap_or_default()),
        line.currency.to_string(),
        line.authorized.to_string(),
        line.held.to_string(),
        line.fee.to_string(),
        line.refunded.to_string(),
    ]
}

/// A peer's text as one cell (RFC 4180). One that a spreadsheet would take for a formula gets an
/// apostrophe in front.
fn quoted(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        "'"
    } else {
        ""
    };
    if guard.is_empty() && !text.contains([',', '"', '\r', '\n']) {
        return text.to_owned();
    }
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peers_text_stays_one_cell_and_no_formula() {
        for (text, cell) in [
            ("MARUYAMA", "MARUYAMA"),
            ("a, b", "\"a, b\""),
            ("a \"b\"", "\"a \"\"b\"\"\""),
            ("=1+1", "\"'=1+1\""),
            ("", ""),
        ] {
            assert_eq!(quoted(text), cell);
        }
    }
}
