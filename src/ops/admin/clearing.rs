//! Clearing: lines of a batch, checked, posted once, and the batch closed.

use std::sync::Arc;

use axum::Json;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::engine::command::{Answer, Body};
use crate::engine::operation::Reference;
use crate::engine::state::State;
use crate::switch::clearing::{
    Columns, LINES_TOGETHER_MAX, LineOutcome, Prepared, name_of, prepare,
};

use super::asked::Shared;
use super::{AdminContext, Asked, Problem, wrong};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Lines {
    batch: String,
    #[schema(value_type = Vec<Object>)]
    lines: Vec<Columns>,
}

/// Says what posting lines would do, and does nothing.
pub(super) async fn check(
    Shared(context): Shared<AdminContext>,
    Asked(wanted): Asked<Lines>,
) -> Result<Json<Vec<LineOutcome>>, Problem> {
    let rules = context.rules.rulebook();
    let foreseen = prepared(&context, wanted, move |lines, state| {
        lines.foresee(&rules, state)
    });
    Ok(Json(foreseen.await?))
}

/// Posts lines; one that was posted before changes nothing.
pub(super) async fn post(
    Shared(context): Shared<AdminContext>,
    Asked(wanted): Asked<Lines>,
) -> Result<Json<Vec<LineOutcome>>, Problem> {
    let lines = prepared(&context, wanted, |lines, _| lines).await?;
    let answers = context.jobs.commands(lines.bodies()).await?;
    Ok(Json(lines.answered(answers)))
}

/// Prepares lines where the state can be read, and hands them on.
async fn prepared<T: Send + 'static>(
    context: &AdminContext,
    wanted: Lines,
    then: impl FnOnce(Prepared, &State) -> T + Send + 'static,
) -> Result<T, Problem> {
    let batch = batch_of(&wanted.batch)?;
    if wanted.lines.len() > LINES_TOGETHER_MAX {
        return Err(wrong(format!(
            "lines: expected {LINES_TOGETHER_MAX} at most"
        )));
    }
    let rules = context.rules.rulebook();
    let token_key = Arc::clone(&context.token_key);
    let read = move |state: &State| {
        let lines = prepare(batch, &wanted.lines, &rules, &token_key, state);
        then(lines, state)
    };
    Ok(context.jobs.query(read).await?)
}

fn batch_of(text: &str) -> Result<Reference, Problem> {
    name_of(text).map_err(|what| wrong(format!("batch: {what}")))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Closing {
    batch: String,
    lines: u32,
}

/// Closes a batch that was posted whole.
pub(super) async fn close(
    Shared(context): Shared<AdminContext>,
    Asked(wanted): Asked<Closing>,
) -> Result<Json<serde_json::Value>, Problem> {
    let batch = batch_of(&wanted.batch)?;
    let body = Body::CloseClearing(batch, wanted.lines);
    match context.jobs.command(body).await? {
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
        | Answer::Housekept { .. } => Err(super::unexpected()),
    }
}
