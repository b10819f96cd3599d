//! The operators' API over HTTP, in the clear on loopback only: one file for each resource.
//!
//! Every request shows a token whose role is enough for its route (`door.rs`, `ops/access`).
//! Every read is a bounded query on the single writer's durable state, every write a command that
//! the single writer decides and journals; nothing here decides.
//! A card number comes in only in a request body, and never goes out but masked.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Acquire;

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use axum::{Json, Router, middleware};
use serde_json::json;

use crate::engine::command::{Answer, Body, Opened};
use crate::engine::operation::Order;
use crate::journal::JournalReader;
use crate::ops::access::Gate;
use crate::switch::card_file;
use crate::switch::checkpointer::CheckpointDesk;
use crate::switch::jobs::Jobs;
use crate::switch::overload::Space;
use crate::switch::pin::PinDesk;
use crate::switch::rules_in_force::RulesInForce;
use crate::switch::sessions::Sessions;
use crate::switch::telemetry::Telemetry;
use crate::switch::test_message::Door;
use crate::switch::token::TokenKey;

use super::log_layer::LogCounters;
use socket::AdminSocket;

mod accounts;

mod activity;
mod apart;
mod asked;
mod audit;

mod backtests;

mod backups;

mod card_controls;
mod card_limits;

mod cards;

mod checkpoints;
mod clearing;
mod console;
mod decisions;
mod door;
mod events;

mod exceptions;

mod holders;

mod holds;
mod lists;

mod loads;

mod metrics;
mod once;
mod openapi;
mod openapi_about;
mod openapi_links;
mod openapi_routes;

mod paging;
mod paper;
mod pins;
mod problem;

mod programmes;
mod rates;
mod reconciliation;

mod records;

mod sessions;
mod shadows;

pub mod socket;

mod statements;

mod transfers;
mod versions;
mod webhooks;

pub use once::Once;
pub use shadows::Shadows;
pub use webhooks::Webhooks;

use asked::{Asked, Shared, Text};
use problem::Problem;

/// Largest request body, bytes: a card file of some 50,000 rows.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
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
    pub rules: Arc<RulesInForce>,
    /// Names cards.
    pub token_key: Arc<TokenKey>,
    /// Judges PIN blocks.
    pub pins: Arc<PinDesk>,
    /// Reads the journal beside the single writer.
    pub journal: Option<JournalReader>,
    /// Has checkpoints made.
    pub checkpoints: Option<CheckpointDesk>,
    /// Where copies of the store may be made.
    pub backups_dir: Option<PathBuf>,
    /// Counters of the log.
    pub log: LogCounters,
    /// The sessions that are open.
    pub sessions: Arc<Sessions>,
    /// The room on the store's disk.
    pub space: Arc<Space>,
    /// The store's folder, and that of the log.
    pub folders: (PathBuf, Option<PathBuf>),
    /// Doors that take test messages; none where real cards are decided.
    pub test_doors: Option<Arc<[Door]>>,
    /// Who may ask for what.
    pub gate: Arc<Gate>,
    /// Answers to writes that may come twice.
    pub once: Once,
    /// Who is told over HTTP of what happens.
    pub webhooks: Webhooks,
    /// The programme that is in shadow.
    pub shadows: Shadows,
}

impl AdminContext {
    /// The last record for whoever follows the journal: durable, and readable without making the
    /// drain hurry, some tens of milliseconds behind the newest.
    fn readable(&self) -> u64 {
        let durable = self.telemetry.durable.load(Acquire);
        let drained = self.journal.as_ref().and_then(JournalReader::drained);
        drained.map_or(durable, |drained| drained.min(durable))
    }
}

/// Serves the API until `stop` resolves.
///
/// # Errors
/// When the listening socket fails.
pub async fn serve(
    socket: AdminSocket,
    context: AdminContext,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    // Dropped, it tells nobody any more.
    let _telling = context.webhooks.start(&context);
    let shadows = context.shadows.clone();
    shadows.go_on(&context);
    let routes = Router::new()
        .route("/healthz", get(health))
        .route("/console", get(console::page))
        .route("/console/style.css", get(console::style))
        .route("/console/words.js", get(console::words))
        .route("/console/app.js", get(console::app))
        .route("/v1/overview", get(console::overview))
        .route(
            "/v1/test-message",
            get(console::test_doors).post(console::test_message),
        )
        .route("/readyz", get(metrics::ready))
        .route("/metrics", get(metrics::metrics))
        .route("/docs", get(openapi::page))
        .route("/v1/openapi.json", get(openapi::openapi))
        .route("/v1/state", get(state))
        .route("/v1/holders", post(holders::register))
        .route("/v1/holders/{id}", get(holders::holder))
        .route("/v1/holders/{id}/kyc", post(holders::change_kyc))
        .route(
            "/v1/accounts",
            get(lists::accounts).post(holders::open_account),
        )
        .route("/v1/accounts/{id}/holds", get(lists::holds))
        .route("/v1/cards", get(lists::cards))
        .route("/v1/cards/{id}", get(lists::card))
        .route("/v1/decisions/{sequence}", get(decisions::decision))
        .route("/v1/links", get(lists::links))
        .route("/v1/accounts/{id}/kyc", post(holders::change_account_kyc))
        .route("/v1/accounts/{id}", get(accounts::account))
        .route("/v1/accounts/{id}/close", post(accounts::close))
        .route("/v1/accounts/{id}/erase", post(accounts::erase))
        .route("/v1/accounts/{id}/statement", get(statements::statement))
        .route("/v1/audit", get(audit::audit))
        .route("/v1/programmes", get(programmes::programmes))
        .route("/v1/programmes/reload", post(programmes::reload))
        .route("/v1/programmes/backtest", post(backtests::run))
        .route(
            "/v1/programmes/{name}/shadow",
            get(shadows::shadow).post(shadows::set),
        )
        .route("/v1/events", get(events::events))
        .route("/v1/activity", get(activity::page))
        .route("/v1/activity/live", get(activity::live))
        .route("/v1/negative-balances", get(accounts::negative))
        .route("/v1/cards/lookup", post(cards::lookup))
        .route("/v1/cards/{id}/status", post(cards::status))
        .route("/v1/cards/{id}/limits", post(card_limits::set))
        .route("/v1/cards/{id}/controls", post(card_controls::set))
        .route("/v1/cards/{id}/replace", post(cards::replace))
        .route("/v1/cards/{id}/device-tokens", post(cards::add_token))
        .route("/v1/pins", post(pins::set))
        .route("/v1/pins/unlock", post(pins::unlock))
        .route("/v1/pins/change", post(pins::change_by_holder))
        .route("/v1/cards/{id}/enrol", post(pins::enrol))
        .route("/v1/exceptions", get(exceptions::exceptions))
        .route(
            "/v1/exceptions/{sequence}/resolve",
            post(exceptions::resolve),
        )
        .route("/v1/holds/{entry}/release", post(holds::release))
        .route("/v1/loads", post(loads::load))
        .route("/v1/paper", post(paper::order_paper))
        .route("/v1/transfers", post(transfers::transfer))
        .route("/v1/rates", get(rates::rates).post(rates::set))
        .route("/v1/charges", post(rates::charge))
        .route("/v1/clearing", post(clearing::post))
        .route("/v1/clearing/check", post(clearing::check))
        .route("/v1/clearing/close", post(clearing::close))
        .route("/v1/reconciliation", get(reconciliation::totals))
        .route("/v1/links/{name}/cutover", post(reconciliation::cut_over))
        .route("/v1/links/{name}/drain", post(sessions::drain_link))
        .route("/v1/links/{name}/resume", post(sessions::resume_link))
        .route("/v1/sessions", get(sessions::sessions))
        .route("/v1/sessions/{id}/sign-off", post(sessions::sign_off))
        .route("/v1/sessions/{id}/drain", post(sessions::drain))
        .route("/v1/checkpoint", post(checkpoints::make))
        .route("/v1/backup", get(backups::progress).post(backups::make))
        .route("/v1/import", post(import))
        .route("/v1/webhooks", get(webhooks::webhooks))
        .route("/v1/webhooks/{name}", get(webhooks::webhook))
        .route("/v1/webhooks/{name}/replay", post(webhooks::replay))
        .fallback(door::not_there)
        .method_not_allowed_fallback(door::wrong_method)
        .layer(middleware::from_fn_with_state(context.clone(), door::admit))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(context)
        .into_make_service_with_connect_info::<SocketAddr>();
    // The tap does nothing but let handlers ask where a request comes from.
    let served = axum::serve(socket.tap_io(|_| {}), routes)
        .with_graceful_shutdown(stop)
        .await;
    shadows.end();
    served
}

/// Has an order carried out; the answer comes when it is durable.
async fn order(context: &AdminContext, order: Order) -> Result<Json<serde_json::Value>, Problem> {
    match context.jobs.command(Body::Operate(Box::new(order))).await? {
        Answer::Ordered(Ok(done)) => Ok(Json(
            json!({ "sequence": done.sequence, "repeated": done.before }),
        )),
        Answer::Ordered(Err(refused)) => Err(refused.into()),
        Answer::Decided(_)
        | Answer::Opened(_)
        | Answer::Presented(_)
        | Answer::CutOver(_)
        | Answer::Reconciled(_)
        | Answer::LinkNamed(_)
        | Answer::PinChanged(_)
        | Answer::Housekept { .. } => Err(unexpected()),
    }
}

/// The single writer answered to something that was not asked.
fn unexpected() -> Problem {
    let what = "the single writer answered something else".to_owned();
    Problem(StatusCode::INTERNAL_SERVER_ERROR, what)
}

/// A number in the path of a request.
fn number_of<T: std::str::FromStr>(what: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| {
        let detail = format!("{what}: expected a number such as 1");
        Problem(StatusCode::BAD_REQUEST, detail)
    })
}

fn wrong(detail: impl Into<String>) -> Problem {
    Problem(StatusCode::BAD_REQUEST, detail.into())
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

/// Opens the accounts of a card file (the body, as TOML); opening one again changes nothing.
async fn import(
    Shared(context): Shared<AdminContext>,
    Text(body): Text,
) -> Result<Json<serde_json::Value>, Problem> {
    let rows = card_file::parse(&body, &context.rules.rulebook(), &context.token_key)
        .map_err(|error| Problem(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?;
    let (mut created, mut existing, mut refused) = (0_u64, 0_u64, Vec::new());
    for chunk in rows.chunks(OPEN_CHUNK) {
        let accounts = chunk.iter().map(|row| row.account.clone()).collect();
        let outcomes = context.jobs.open(accounts).await?;
        for (row, outcome) in chunk.iter().zip(outcomes) {
            if let (Opened::Created(account, card), Some(pin)) = (&outcome, row.pin) {
                context.jobs.command(Body::SetPin(*card, pin)).await?;
                let token = row.account.card.token;
                context.pins.learn(token, row.on_file(*account, pin));
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
