//! Checkpoints of the state.

use std::sync::atomic::Ordering::Relaxed;

use axum::Json;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::asked::Shared;
use super::{AdminContext, Problem};

/// Has a checkpoint made now and tells of it when it counts.
pub(super) async fn make(Shared(context): Shared<AdminContext>) -> Result<Json<Value>, Problem> {
    let failed = |what: String| Problem(StatusCode::SERVICE_UNAVAILABLE, what);
    let desk = context.checkpoints.as_ref();
    let desk = desk.ok_or_else(|| failed("the journal is not open for reading".to_owned()))?;
    Ok(Json(match desk.make().await.map_err(failed)? {
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
