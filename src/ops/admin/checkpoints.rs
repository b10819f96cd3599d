//! Checkpoints of the state.

use std::sync::atomic::Ordering::Relaxed;

use axum::Json;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use crate::switch::checkpointer::History;

use super::asked::{Query, Shared};
use super::{AdminContext, Problem};

/// What becomes of history with it.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// true: what lies behind two checkpoints goes now, whatever `keep_history_days` says.
    forget_history: Option<bool>,
}

/// Has a checkpoint made now and tells of it when it counts.
pub(super) async fn make(
    Shared(context): Shared<AdminContext>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Problem> {
    let history = match wanted.forget_history {
        Some(true) => History::Removed,
        Some(false) | None => History::AsConfigured,
    };
    let failed = |what: String| Problem(StatusCode::SERVICE_UNAVAILABLE, what);
    let desk = context.checkpoints.as_ref();
    let desk = desk.ok_or_else(|| failed("the journal is not open for reading".to_owned()))?;
    Ok(Json(match desk.make(history).await.map_err(failed)? {
        Some(made) => json!({
            "sequence": made.sequence,
            "made": true,
            "records": made.records,
            "bytes": made.bytes,
            "took_ms": u64::try_from(made.took.as_millis()).unwrap_or(u64::MAX),
            "generations_removed": made.generations_removed,
        }),
        None => {
            let newest = context.telemetry.checkpoint_sequence.load(Relaxed);
            json!({ "sequence": newest, "made": false })
        }
    }))
}
