//! Notices as one ordered stream that goes on where a reader stopped (rule A37).
//!
//! The journal is the stream, so a reader keeps nothing here: its cursor is a sequence, and one
//! that is slow or gone costs nobody anything.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::Json;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use crate::domain::card::CardId;
use crate::domain::time::UnixMs;
use crate::engine::event::Event;
use crate::ops::notice::{Notice, notices};
use crate::switch::clock;

use super::asked::{Query, Shared};
use super::records::read;
use super::{AdminContext, Problem, wrong};

/// Notices in one answer, unless asked otherwise, and at most.
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1_000;
/// Records read for one answer: the next one goes on behind them.
const RECORDS_MAX: u64 = 50_000;
/// Longest wait for a notice, seconds.
const WAIT_SECONDS_MAX: u64 = 30;
/// How soon a waiting reader hears of new records.
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// The `next` of the answer before; 0 for the beginning.
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
    /// Seconds to wait while there is nothing.
    #[serde(default)]
    wait: u64,
}

/// Notices gathered from records.
struct Gathered {
    limit: usize,
    records_left: u64,
    notices: Vec<Notice>,
}

impl Gathered {
    fn take(&mut self, sequence: u64, at: UnixMs, event: &Event) -> ControlFlow<()> {
        self.notices.extend(notices(sequence, at, event));
        self.records_left -= 1;
        // Whole records only, so that the cursor is never within one.
        if self.notices.len() >= self.limit || self.records_left == 0 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

/// The notices after a sequence, in order; waits for one if asked to.
pub(super) async fn events(
    Shared(context): Shared<AdminContext>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Problem> {
    let limit = wanted.limit.unwrap_or(LIMIT);
    if limit == 0 || limit > LIMIT_MAX || wanted.wait > WAIT_SECONDS_MAX {
        return Err(wrong(format!(
            "expected limit 1 to {LIMIT_MAX} and wait 0 to {WAIT_SECONDS_MAX}"
        )));
    }
    let deadline = clock::instant() + Duration::from_secs(wanted.wait);
    let mut after = wanted.after;
    loop {
        let seen = context.telemetry.records.load(Relaxed);
        let until = context.jobs.query(|state| state.sequence()).await?;
        let (events, last) = behind(&context, (after, until), (limit, RECORDS_MAX)).await?;
        after = last;
        let is_time_over = clock::instant() >= deadline;
        if !events.is_empty() || (is_time_over && after >= wanted.after) {
            return Ok(Json(json!({
                "events": events,
                "next": after,
                "behind": until.saturating_sub(after),
            })));
        }
        while after >= until
            && context.telemetry.records.load(Relaxed) == seen
            && clock::instant() < deadline
        {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// The notices of the records behind a cursor, whole records only, with what the state knows of
/// their cards; and the cursor behind them.
pub(super) async fn behind(
    context: &AdminContext,
    (after, until): (u64, u64),
    (limit, records_left): (usize, u64),
) -> Result<(Vec<Value>, u64), Problem> {
    let gathered = Gathered {
        limit,
        records_left,
        notices: Vec::new(),
    };
    let (gathered, last) = read(context, (after, until), gathered, Gathered::take).await?;
    let notices = gathered.notices;
    if notices.is_empty() {
        return Ok((Vec::new(), last));
    }
    let cards: Vec<CardId> = notices
        .iter()
        .map(|notice| CardId(notice.card.unwrap_or_default()))
        .collect();
    let known = context.jobs.query(move |state| {
        let card = |id: &CardId| state.card(*id).map(|card| (card.account.0, card.masked));
        cards.iter().map(card).collect::<Vec<_>>()
    });
    let known = known.await?;
    let told = notices.iter().zip(known).map(|(notice, card)| {
        let mut event = json!(notice);
        event["account"] = json!(notice.account.or(card.map(|card| card.0)));
        event["number"] = json!(card.map(|card| card.1.to_string()));
        event
    });
    Ok((told.collect(), last))
}
