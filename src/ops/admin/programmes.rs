//! Programmes in force, and their reload without a restart.

use axum::Json;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::switch::rules_in_force::NotReloaded;

use super::asked::Shared;
use super::{AdminContext, Problem};

/// The programmes that the switch decides by.
pub(super) async fn programmes(Shared(context): Shared<AdminContext>) -> Json<Value> {
    Json(json!({ "programmes": told(&context) }))
}

fn told(context: &AdminContext) -> Vec<Value> {
    let rulebook = context.rules.rulebook();
    let programmes = rulebook.programmes.iter();
    programmes
        .map(|programme| {
            json!({
                "name": programme.name.as_str(),
                "version": programme.version,
                "title": programme.title,
            })
        })
        .collect()
}

/// Reads the programme files again. With any mistake in any of them, nothing changes.
pub(super) async fn reload(Shared(context): Shared<AdminContext>) -> Result<Json<Value>, Problem> {
    match context.rules.reload(&context.jobs).await {
        Ok(done) => Ok(Json(json!({
            "sequence": done.sequence,
            "repeated": done.before,
            "programmes": told(&context),
        }))),
        Err(NotReloaded::Refused(refused)) => Err(refused.into()),
        Err(NotReloaded::Stopping(stopping)) => Err(stopping.into()),
        Err(wrong @ NotReloaded::Files(_)) => {
            Err(Problem(StatusCode::UNPROCESSABLE_ENTITY, wrong.to_string()))
        }
        Err(wrong @ NotReloaded::Unanswered) => Err(Problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            wrong.to_string(),
        )),
    }
}
