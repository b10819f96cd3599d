//! Who did what through this API, as the journal has it.

use std::ops::ControlFlow;

use axum::Json;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use crate::domain::actor::Actor;
use crate::domain::time::UnixMs;
use crate::engine::event::Event;
use crate::ops::deed::deed;

use super::asked::{Query, Shared};
use super::records::read_by;
use super::{AdminContext, Problem, wrong};

/// Deeds in one answer, unless asked otherwise, and at most.
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1_000;
/// Records read for one answer: the next one goes on behind them.
const RECORDS_MAX: u64 = 50_000;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// The `next` of the answer before; 0 for the beginning.
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
}

struct Gathered {
    limit: usize,
    records_left: u64,
    deeds: Vec<Value>,
}

impl Gathered {
    fn take(
        &mut self,
        sequence: u64,
        by: Option<Actor>,
        at: UnixMs,
        event: &Event,
    ) -> ControlFlow<()> {
        if let Some(actor) = by {
            let mut told = deed(event);
            told["sequence"] = sequence.into();
            told["at"] = at.to_string().into();
            told["token"] = format!("{:08x}", actor.token).into();
            told["name"] = actor.name.as_str().into();
            self.deeds.push(told);
        }
        self.records_left -= 1;
        if self.deeds.len() >= self.limit || self.records_left == 0 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

/// What was ordered, in order, with the token of whoever did.
pub(super) async fn audit(
    Shared(context): Shared<AdminContext>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Problem> {
    let limit = wanted.limit.unwrap_or(LIMIT);
    if limit == 0 || limit > LIMIT_MAX {
        return Err(wrong(format!("limit: expected 1 to {LIMIT_MAX}")));
    }
    let until = context.jobs.query(|state| state.sequence()).await?;
    let gathered = Gathered {
        limit,
        records_left: RECORDS_MAX,
        deeds: Vec::new(),
    };
    let (gathered, next) =
        read_by(&context, (wanted.after, until), gathered, Gathered::take).await?;
    Ok(Json(json!({
        "deeds": gathered.deeds,
        "next": next,
        "behind": until.saturating_sub(next),
    })))
}
