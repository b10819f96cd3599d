//! Copies of the store, into the one folder that the configuration names.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;

use axum::Json;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::asked::Shared;
use super::{AdminContext, Asked, Problem};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Folder of the copy: within the configured one, empty or not there.
    #[schema(value_type = String)]
    to: PathBuf,
}

/// Makes a copy; the answer comes when it is whole.
pub(super) async fn make(
    Shared(context): Shared<AdminContext>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Json<Value>, Problem> {
    let folder = context.backups_dir.as_deref().ok_or_else(|| {
        let what = "the configuration names no backups_dir, so no copy is made";
        Problem(StatusCode::CONFLICT, what.to_owned())
    })?;
    let to = within(folder, &wanted.to).ok_or_else(|| {
        let what = format!("expected a folder in {}", folder.display());
        Problem(StatusCode::UNPROCESSABLE_ENTITY, what)
    })?;
    let failed = |what: String| Problem(StatusCode::SERVICE_UNAVAILABLE, what);
    let desk = context.checkpoints.as_ref();
    let desk = desk.ok_or_else(|| failed("the journal is not open for reading".to_owned()))?;
    let copied = desk.copy(to).await.map_err(failed)?;
    Ok(Json(json!({ "sequence": copied.sequence })))
}

/// How far the copy is that is being made.
pub(super) async fn progress(Shared(context): Shared<AdminContext>) -> Json<Value> {
    let progress = context.checkpoints.as_ref().map(|desk| desk.progress());
    Json(match progress {
        Some(progress) => json!({
            "done": progress.done.load(Relaxed),
            "total": progress.total.load(Relaxed),
        }),
        None => json!({ "done": 0, "total": 0 }),
    })
}

/// The folder that is meant, if it lies directly in the permitted one.
fn within(permitted: &Path, wanted: &Path) -> Option<PathBuf> {
    let permitted = permitted.canonicalize().ok()?;
    let parent = wanted.parent()?.canonicalize().ok()?;
    let name = wanted.file_name()?;
    (parent == permitted).then(|| permitted.join(name))
}
