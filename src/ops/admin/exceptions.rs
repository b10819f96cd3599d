//! The exception queue: what could not be matched or must be looked at, and its resolution.

use axum::Json;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::domain::masking;
use crate::engine::operation::Order;

use super::asked::{Path, Query, Shared};
use super::paging::{Paging, cut};
use super::{AdminContext, Asked, Problem, number_of, order, wrong};

/// Longest note, bytes.
const NOTE_BYTES_MAX: usize = 400;

/// The exceptions that nobody has resolved, newest first.
pub(super) async fn exceptions(
    Shared(context): Shared<AdminContext>,
    Query(paging): Query<Paging>,
) -> Result<Json<serde_json::Value>, Problem> {
    let (limit, after) = (paging.limit()?, paging.after()?);
    let answer = context.jobs.query(move |state| {
        let (rows, total) = state.exceptions();
        let rows: Vec<_> = rows.collect();
        let open = rows.len();
        let newest = rows.into_iter().rev();
        let behind = newest.filter(|row| after.is_none_or(|[after]| row.sequence < after));
        // All of one record, so that the cursor is never within one.
        let (page, is_more) = cut(behind, limit, |last, row| last.sequence == row.sequence);
        let next = page.last().filter(|_| is_more).map(|row| row.sequence);
        let shown: Vec<serde_json::Value> = page
            .into_iter()
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
        json!({ "total": total, "open": open, "newest": shown, "next": next })
    });
    Ok(Json(answer.await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Resolution {
    note: String,
}

/// Takes the exceptions of a record out of the queue; the note stays in the journal.
pub(super) async fn resolve(
    Shared(context): Shared<AdminContext>,
    Path(sequence): Path<String>,
    Asked(wanted): Asked<Resolution>,
) -> Result<Json<serde_json::Value>, Problem> {
    let sequence = number_of("exception", &sequence)?;
    let note = wanted.note.trim();
    if note.is_empty() || note.len() > NOTE_BYTES_MAX {
        return Err(wrong(format!("note: expected 1 to {NOTE_BYTES_MAX} bytes")));
    }
    let note = masking::masked(note).unwrap_or_else(|| note.to_owned());
    order(&context, Order::ResolveException { sequence, note }).await
}
