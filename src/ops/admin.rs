//! The operators' API over HTTP, on loopback only: health, accounts, cards, import, state.
//!
//! Every read is a bounded query on the single writer's durable state; nothing here decides.
//! A card number comes in only in a request body, and never goes out but masked.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Path, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::domain::account::AccountId;
use crate::domain::decision::PurseBalance;
use crate::domain::pan::Pan;
use crate::domain::programme::Programme;
use crate::engine::command::{Body, Opened};
use crate::engine::entry::{Entry, EntryState};
use crate::engine::state::State;
use crate::switch::card_file;
use crate::switch::jobs::{Jobs, Stopping};
use crate::switch::pin::PinDesk;
use crate::switch::rulebook::LoadedRules;
use crate::switch::telemetry::Telemetry;
use crate::switch::token::TokenKey;

use super::log_layer::LogCounters;

/// Largest request body, bytes: a card file of some 50,000 rows.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Entries shown of one account, newest first.
const ENTRIES_MAX: usize = 50;
/// Exceptions shown, newest first.
const EXCEPTIONS_SHOWN_MAX: usize = 100;
/// Accounts opened by one job, so that decisions get their turn between.
const OPEN_CHUNK: usize = 256;

/// What the API reads from.
#[derive(Clone)]
pub struct AdminContext {
    /// The single writer.
    pub jobs: Jobs,
    /// Counters of the shell.
    pub telemetry: Arc<Telemetry>,
    /// Programmes.
    pub rules: LoadedRules,
    /// Names cards.
    pub token_key: Arc<TokenKey>,
    /// Judges PIN blocks.
    pub pins: Arc<PinDesk>,
    /// Counters of the log.
    pub log: LogCounters,
}

/// Serves the API until `stop` resolves.
///
/// # Errors
/// When the listening socket fails.
pub async fn serve(
    socket: tokio::net::TcpListener,
    context: AdminContext,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let routes = Router::new()
        .route("/healthz", get(health))
        .route("/v1/state", get(state))
        .route("/v1/accounts/{id}", get(account))
        .route("/v1/cards/lookup", post(lookup))
        .route("/v1/exceptions", get(exceptions))
        .route("/v1/import", post(import))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(context);
    axum::serve(socket, routes)
        .with_graceful_shutdown(stop)
        .await
}

/// Opens the socket of the API.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn bind(address: SocketAddr) -> std::io::Result<tokio::net::TcpListener> {
    tokio::net::TcpListener::bind(address).await
}

/// An error answer (RFC 9457).
struct Problem(StatusCode, String);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Problem(status, detail) = self;
        let body = json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or("error"),
            "status": status.as_u16(),
            "detail": detail,
        });
        let media = [("content-type", "application/problem+json")];
        (status, media, body.to_string()).into_response()
    }
}

impl From<Stopping> for Problem {
    fn from(stopping: Stopping) -> Problem {
        Problem(StatusCode::SERVICE_UNAVAILABLE, stopping.to_string())
    }
}

async fn health(Shared(context): Shared<AdminContext>) -> Result<Json<serde_json::Value>, Problem> {
    let (sequence, (accounts, cards, entries)) = context
        .jobs
        .query(|state| (state.sequence(), state.counts()))
        .await?;
    let counters: serde_json::Map<String, serde_json::Value> = context
        .telemetry
        .counts()
        .iter()
        .map(|row| (row.0.to_owned(), row.1.into()))
        .collect();
    Ok(Json(json!({
        "status": "ok",
        "sequence": sequence,
        "accounts": accounts,
        "cards": cards,
        "entries": entries,
        "counters": counters,
        "log": {
            "dropped_lines": context.log.dropped_lines(),
            "masked_lines": context.log.masked_lines(),
        },
    })))
}

/// The digest and conservation of the whole state; decisions wait while it is computed.
async fn state(Shared(context): Shared<AdminContext>) -> Result<Json<serde_json::Value>, Problem> {
    let answer = context.jobs.query(|state| {
        let conserved = state.check_conservation();
        json!({
            "sequence": state.sequence(),
            "at": state.at().to_string(),
            "digest": state.digest().to_string(),
            "conserved": conserved.is_ok(),
            "fault": conserved.err().map(|fault| fault.to_string()),
            "ledger": state
                .ledger()
                .totals()
                .map(|(account, currency, minor)| json!({
                    "account": format!("{account:?}"),
                    "currency": currency.to_string(),
                    "minor": minor,
                }))
                .collect::<Vec<_>>(),
        })
    });
    Ok(Json(answer.await?))
}

async fn account(
    Shared(context): Shared<AdminContext>,
    Path(id): Path<String>,
) -> Result<Json<AccountView>, Problem> {
    let number: u32 = id.parse().map_err(|_| {
        let detail = "account: expected a number such as 1".to_owned();
        Problem(StatusCode::BAD_REQUEST, detail)
    })?;
    let rules = context.rules.clone();
    context
        .jobs
        .query(move |state| account_view(state, &rules, AccountId(number)))
        .await?
        .map(Json)
        .ok_or_else(|| {
            Problem(
                StatusCode::NOT_FOUND,
                format!("there is no account {number}"),
            )
        })
}

#[derive(Serialize)]
struct AccountView {
    id: u32,
    programme: String,
    kyc: crate::domain::account::Kyc,
    available: i64,
    purses: Vec<PurseView>,
    cards: Vec<CardView>,
    entries: Vec<EntryView>,
}

#[derive(Serialize)]
struct PurseView {
    id: String,
    currency: String,
    balance: i64,
    held: i64,
    available: i64,
}

#[derive(Serialize)]
struct CardView {
    id: u32,
    number: String,
    token: String,
    expiry: Option<String>,
    status: crate::domain::card::CardStatus,
}

#[derive(Serialize)]
struct EntryView {
    id: u64,
    purpose: crate::domain::facts::Purpose,
    state: EntryState,
    currency: String,
    authorized: i64,
    held: i64,
    posted: i64,
    merchant: String,
    mcc: Option<String>,
    rrn: String,
    approval: Option<String>,
    opened_at: String,
    expires_at: Option<String>,
}

fn account_view(state: &State, rules: &LoadedRules, id: AccountId) -> Option<AccountView> {
    let record = state.account(id)?;
    let programme = rules
        .rulebook
        .programme(state.programme_name(record.account.programme)?)?;
    let balances = state.balances(id);
    // The sum makes sense in one currency: that of the first purse.
    let main = balances.first()?.currency;
    let available = balances
        .iter()
        .filter(|row| row.currency == main)
        .fold(0_i64, |sum, row| {
            sum.saturating_add(row.balance.saturating_sub(row.held))
        });
    let cards = record.cards.iter().filter_map(|card| state.card(*card));
    let entries = record.entries.iter().rev().take(ENTRIES_MAX);
    Some(AccountView {
        id: id.0,
        programme: programme.name.to_string(),
        kyc: record.account.kyc,
        available,
        purses: balances
            .iter()
            .filter_map(|row| purse_view(programme, row))
            .collect(),
        cards: cards
            .map(|card| CardView {
                id: card.id.0,
                number: card.masked.to_string(),
                token: card.token.to_string(),
                expiry: card.expiry.map(|expiry| format!("{:04}", expiry.yymm())),
                status: card.status,
            })
            .collect(),
        entries: entries
            .filter_map(|id| state.entry(id))
            .map(entry_view)
            .collect(),
    })
}

fn purse_view(programme: &Programme, row: &PurseBalance) -> Option<PurseView> {
    Some(PurseView {
        id: programme.purses.get(row.purse.position())?.id.clone(),
        currency: row.currency.to_string(),
        balance: row.balance,
        held: row.held,
        available: row.balance.saturating_sub(row.held),
    })
}

fn entry_view(entry: &Entry) -> EntryView {
    EntryView {
        id: entry.id.0,
        purpose: entry.purpose,
        state: entry.state,
        currency: entry.currency.to_string(),
        authorized: entry.authorized,
        held: entry.held.total(),
        posted: entry.posted.total(),
        merchant: entry.acceptor.to_string(),
        mcc: entry.mcc.map(|mcc| mcc.to_string()),
        rrn: entry.rrn.to_string(),
        approval: entry.approval.map(|approval| approval.to_string()),
        opened_at: entry.opened_at.to_string(),
        expires_at: entry.expires_at.map(|at| at.to_string()),
    }
}

#[derive(Deserialize)]
struct Lookup {
    pan: String,
}

async fn lookup(
    Shared(context): Shared<AdminContext>,
    Json(wanted): Json<Lookup>,
) -> Result<Json<serde_json::Value>, Problem> {
    let pan = Pan::parse(&wanted.pan).ok_or_else(|| {
        Problem(
            StatusCode::BAD_REQUEST,
            "pan: expected 8 to 19 digits".to_owned(),
        )
    })?;
    let token = context.token_key.token(&pan);
    let found = context
        .jobs
        .query(move |state| {
            let card = state.card_by_token(&token)?;
            Some(json!({
                "account": card.account.0,
                "card": card.id.0,
                "number": card.masked.to_string(),
                "token": card.token.to_string(),
            }))
        })
        .await?;
    found.map(Json).ok_or_else(|| {
        Problem(
            StatusCode::NOT_FOUND,
            format!("there is no card {}", pan.masked()),
        )
    })
}

async fn exceptions(
    Shared(context): Shared<AdminContext>,
) -> Result<Json<serde_json::Value>, Problem> {
    let answer = context.jobs.query(|state| {
        let (rows, total) = state.exceptions();
        let mut rows: Vec<_> = rows.collect();
        rows.reverse();
        let shown: Vec<serde_json::Value> = rows
            .into_iter()
            .take(EXCEPTIONS_SHOWN_MAX)
            .map(|row| {
                json!({
                    "sequence": row.sequence,
                    "at": row.at.to_string(),
                    "kind": row.kind,
                    "entry": row.entry.map(|entry| entry.0),
                    "card": row.card.map(|card| card.0),
                    "minor": row.minor,
                })
            })
            .collect();
        json!({ "total": total, "newest": shown })
    });
    Ok(Json(answer.await?))
}

/// Opens the accounts of a card file (the body, as TOML); opening one again changes nothing.
async fn import(
    Shared(context): Shared<AdminContext>,
    body: String,
) -> Result<Json<serde_json::Value>, Problem> {
    let rows = card_file::parse(&body, &context.rules.rulebook, &context.token_key)
        .map_err(|error| Problem(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?;
    let (mut created, mut existing, mut refused) = (0_u64, 0_u64, Vec::new());
    for chunk in rows.chunks(OPEN_CHUNK) {
        let accounts = chunk.iter().map(|row| row.account.clone()).collect();
        let outcomes = context.jobs.open(accounts).await?;
        for (row, outcome) in chunk.iter().zip(outcomes) {
            if let (Opened::Created(_, card), Some(pin)) = (&outcome, row.pin) {
                context.jobs.command(Body::SetPin(*card, pin)).await?;
                context.pins.learn(row.account.card.token, pin);
            }
            match outcome {
                Opened::Created(..) => created += 1,
                Opened::Existing(..) => existing += 1,
                Opened::Refused(why) => {
                    refused.push(format!("{}: {why}", row.account.card.masked));
                }
            }
        }
    }
    Ok(Json(
        json!({ "created": created, "existing": existing, "refused": refused }),
    ))
}
