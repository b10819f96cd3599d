//! Every decision, posting and operation as one ordered stream: a page at a time, or live as
//! Server-Sent Events.
//!
//! The journal is the stream. Nothing is buffered for a reader: it has a cursor and reads on from
//! there when its last piece was taken, so one that stands still costs nothing but its socket, and
//! no decision waits for it. What a reader may cost is bounded by [`PAGE_RECORDS`] each
//! [`LOOK_EVERY`].

use std::collections::VecDeque;
use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering::Acquire;
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event as Piece, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use utoipa::IntoParams;

use crate::domain::account::AccountId;
use crate::domain::card::CardId;
use crate::domain::time::UnixMs;
use crate::engine::event::Event;
use crate::engine::state::State;
use crate::ops::activity::{Activity, ActivityPage, activity, letters};
use crate::switch::clock;

use super::apart::{answer, apart};
use super::asked::{Query, Shared};
use super::records::read;
use super::{AdminContext, Problem, wrong};

/// Rows in one page, unless asked otherwise, and at most.
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1_000;
/// Records read for one answer: the next one goes on behind them.
const RECORDS_MAX: u64 = 50_000;
/// Longest wait for a row, seconds.
const WAIT_SECONDS_MAX: u64 = 30;
/// How soon a reader hears of new records.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Rows for which the state is looked at in one go: some tens of microseconds.
const ROWS_TOGETHER: usize = 64;
/// Records that a live reader is given at once, before others get their turn.
pub(super) const PAGE_RECORDS: u64 = 512;
/// Records between two offers of the processor to whoever waits for it.
const YIELD_RECORDS: u64 = 16;
/// A live reader so many records behind is told.
const BEHIND_TOLD: u64 = 10_000;
/// Live readers at the same time.
const LIVE_MAX: usize = 64;

static LIVE: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(LIVE_MAX)));

/// What a reader wants to see.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// The `next` of the answer before; left out: a page begins at the beginning (of the
    /// transaction, where one is named), a live stream now.
    after: Option<u64>,
    limit: Option<usize>,
    /// Seconds to wait while there is nothing.
    #[serde(default)]
    wait: u64,
    /// Only of this card.
    card: Option<u32>,
    /// Only of this account.
    account: Option<u32>,
    /// Only of this transaction.
    transaction: Option<u64>,
    /// Only decisions with this outcome: approved, declined, accepted.
    outcome: Option<String>,
    /// Only decisions with this reason.
    reason: Option<String>,
    /// Only decisions with this DE 39.
    code: Option<String>,
}

impl Wanted {
    fn takes(&self, row: &Activity) -> bool {
        let decision = row.decision.as_ref();
        let is = |wanted: &Option<String>, said: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| said == Some(wanted))
        };
        self.card.is_none_or(|card| row.card == Some(card))
            && self
                .transaction
                .is_none_or(|transaction| row.transaction == Some(transaction))
            && is(&self.outcome, decision.map(|it| &*it.outcome))
            && is(&self.reason, decision.map(|it| &*it.reason))
            && is(&self.code, decision.map(|it| it.code.as_str()))
    }
}

/// Rows gathered from records.
struct Gathered {
    wanted: Wanted,
    rows_max: usize,
    records_left: u64,
    rows: Vec<Activity>,
}

impl Gathered {
    fn take(&mut self, sequence: u64, at: UnixMs, event: &Event) -> ControlFlow<()> {
        if sequence.is_multiple_of(YIELD_RECORDS) {
            thread::yield_now();
        }
        let row = activity(sequence, at, event);
        if self.wanted.takes(&row) {
            self.rows.push(row);
        }
        self.records_left = self.records_left.saturating_sub(1);
        if self.rows.len() >= self.rows_max || self.records_left == 0 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

/// Rows behind a cursor with what the state knows of their cards, and the cursor behind them.
pub(super) async fn rows(
    context: &AdminContext,
    wanted: &Wanted,
    (after, until): (u64, u64),
    (rows_max, records_max): (usize, u64),
) -> Result<(Vec<Activity>, u64), Problem> {
    let gathered = Gathered {
        wanted: wanted.clone(),
        rows_max,
        records_left: records_max,
        rows: Vec::new(),
    };
    let (gathered, last) = read(context, (after, until), gathered, Gathered::take).await?;
    let mut rows = completed(context, gathered.rows).await?;
    if let Some(account) = wanted.account {
        let has = |row: &Activity| {
            let touches = |it: &crate::ops::activity::PostingTold| it.account == Some(account);
            row.account == Some(account) || row.postings.iter().any(touches)
        };
        rows.retain(has);
    }
    Ok((rows, last))
}

/// Rows with what only the state knows, a few at a time: decisions wait while it is looked at.
async fn completed(context: &AdminContext, rows: Vec<Activity>) -> Result<Vec<Activity>, Problem> {
    let (mut done, mut rest) = (Vec::with_capacity(rows.len()), rows.into_iter());
    loop {
        let mut some: Vec<Activity> = rest.by_ref().take(ROWS_TOGETHER).collect();
        if some.is_empty() {
            return Ok(done);
        }
        let fill = move |state: &State| {
            some.iter_mut().for_each(|row| complete(row, state));
            some
        };
        done.extend(context.jobs.query(fill).await?);
    }
}

/// Says of a row what only the state knows.
fn complete(row: &mut Activity, state: &State) {
    if let Some(card) = row.card.and_then(|card| state.card(CardId(card))) {
        row.account.get_or_insert(card.account.0);
        row.number = Some(card.masked.to_string());
    }
    for posting in &mut row.postings {
        if posting.currency.is_none() {
            let account = posting.account.or(row.account).map(AccountId);
            let record = account.and_then(|account| state.account(account));
            let purse = posting.purse.and_then(|purse| usize::try_from(purse).ok());
            let purses = record.map(|record| &record.account.purses);
            let purse = purses.and_then(|purses| purses.get(purse?));
            posting.currency = purse.map(|purse| letters(purse.currency));
        }
    }
}

/// A page of what happened, in order; waits for something if asked to.
pub(super) async fn page(
    Shared(context): Shared<AdminContext>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Problem> {
    let limit = wanted.limit.unwrap_or(LIMIT);
    if limit == 0 || limit > LIMIT_MAX || wanted.wait > WAIT_SECONDS_MAX {
        return Err(wrong(format!(
            "expected limit 1 to {LIMIT_MAX} and wait 0 to {WAIT_SECONDS_MAX}"
        )));
    }
    let deadline = clock::instant() + Duration::from_secs(wanted.wait);
    let from_transaction = wanted.transaction.map(|it| it.saturating_sub(1));
    let mut after = wanted.after.or(from_transaction).unwrap_or(0);
    loop {
        let until = context.telemetry.durable.load(Acquire);
        let most = (limit, RECORDS_MAX);
        let (rows, last) = rows(&context, &wanted, (after, until), most).await?;
        let is_time_over = clock::instant() >= deadline;
        after = last;
        if !rows.is_empty() || after < until || is_time_over {
            let behind = until.saturating_sub(after);
            let told = ActivityPage {
                activity: rows,
                next: after,
                behind,
            };
            return answer(told).await;
        }
        while after >= context.telemetry.durable.load(Acquire) && clock::instant() < deadline {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// One live reader.
struct Live {
    context: AdminContext,
    wanted: Wanted,
    after: u64,
    pieces: VecDeque<Piece>,
    is_over: bool,
    _permit: OwnedSemaphorePermit,
}

impl Live {
    /// The next piece, once there is one; none when the switch stops or the journal is gone.
    async fn next(&mut self) -> Option<Piece> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                return Some(piece);
            }
            if self.is_over {
                return None;
            }
            let until = self.context.readable();
            if until <= self.after {
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            let (from, most) = ((self.after, until), (usize::MAX, PAGE_RECORDS));
            let filled = match rows(&self.context, &self.wanted, from, most).await {
                Ok((rows, last)) => self.fill(rows, last, until).await,
                Err(problem) => Err(problem),
            };
            if let Err(Problem(_, why)) = filled {
                self.is_over = true;
                let told = json!({ "why": why }).to_string();
                let piece = Piece::default().event("end").data(told);
                self.pieces.push_back(piece);
            }
        }
    }

    async fn fill(&mut self, rows: Vec<Activity>, last: u64, until: u64) -> Result<(), Problem> {
        let written = apart(move || {
            let piece = |row: &Activity| {
                // A row is numbers and plain texts: it can be written down.
                let text = serde_json::to_string(row).ok()?;
                let piece = Piece::default().event("activity").data(text);
                Some(piece.id(row.sequence.to_string()))
            };
            rows.iter().filter_map(piece).collect::<Vec<_>>()
        });
        self.pieces.extend(written.await?);
        self.after = last;
        let behind = until.saturating_sub(last);
        if behind > BEHIND_TOLD {
            let told = json!({ "behind": behind, "next": last }).to_string();
            let piece = Piece::default().event("behind").data(told);
            self.pieces.push_back(piece.id(last.to_string()));
        }
        if behind > 0 {
            // Whoever has more to read than one page leaves room for the corridor.
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }
}

/// What happens from now on, or behind a cursor, as Server-Sent Events.
pub(super) async fn live(
    Shared(context): Shared<AdminContext>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let permit = Arc::clone(&LIVE).try_acquire_owned().map_err(|_| {
        let what = format!("{LIVE_MAX} live readers are served already");
        Problem(StatusCode::TOO_MANY_REQUESTS, what)
    })?;
    let resumed = match headers.get("last-event-id") {
        Some(id) => {
            let id = id.to_str().ok().and_then(|id| id.parse().ok());
            Some(id.ok_or_else(|| wrong("Last-Event-ID: expected a sequence"))?)
        }
        None => wanted.after,
    };
    let now = context.telemetry.durable.load(Acquire);
    let live = Live {
        after: resumed.unwrap_or(now),
        context,
        wanted,
        pieces: VecDeque::new(),
        is_over: false,
        _permit: permit,
    };
    let pieces = futures_util::stream::unfold(live, |mut live| async move {
        let piece = live.next().await?;
        Some((Ok::<Piece, Infallible>(piece), live))
    });
    let headers = [("cache-control", "no-store"), ("x-accel-buffering", "no")];
    let stream = Sse::new(pieces).keep_alive(KeepAlive::default());
    Ok((headers, stream).into_response())
}
