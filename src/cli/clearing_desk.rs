//! Where clearing lines are posted: in the store itself, or through the switch that has it open.

use crate::engine::command::{Answer, Body};
use crate::engine::operation::Reference;
use crate::journal::{Batch, Journal, JournalError};
use crate::switch::clearing::{Columns, LineOutcome, Prepared, prepare};
use crate::switch::config::Config;
use crate::switch::rulebook::LoadedRules;
use crate::switch::store::{self, OpenStore, StoreError};

use super::api::Api;
use super::import::{Failed, execute};

/// A place where lines are checked and posted.
pub(super) enum Desk {
    /// The store of a switch that does not run.
    Store(Box<(OpenStore, LoadedRules)>),
    /// The operators' API of a running switch.
    Admin(Api),
}

impl Desk {
    /// The store of the configuration if nobody has it open, else the switch that has.
    pub(super) fn open(config: &Config) -> Result<Desk, Failed> {
        let rules = LoadedRules::load(
            config.programmes_dir.as_deref(),
            config.dialects_dir.as_deref(),
        )
        .map_err(|error| (78, error.to_string()))?;
        match store::open(&config.data_dir, &config.journal, &rules) {
            Ok(store) => Ok(Desk::Store(Box::new((store, rules)))),
            Err(StoreError::Journal(JournalError::Locked { .. })) => Desk::admin(config),
            Err(error) => Err((error.exit_code(), error.to_string())),
        }
    }

    /// The operators' API at the configured address.
    pub(super) fn admin(config: &Config) -> Result<Desk, Failed> {
        Api::of(config).map(Desk::Admin)
    }

    /// What posting these lines would do.
    pub(super) fn check(
        &mut self,
        batch: Reference,
        lines: &[Columns],
    ) -> Result<Vec<LineOutcome>, Failed> {
        match self {
            Desk::Store(desk) => {
                let (store, rules) = desk.as_ref();
                let lines = prepared(store, rules, batch, lines);
                Ok(lines.foresee(&rules.rulebook, &store.state))
            }
            Desk::Admin(api) => ask(api, "/v1/clearing/check", &body(batch, lines)),
        }
    }

    /// Posts lines; what comes back is durable.
    pub(super) fn post(
        &mut self,
        batch: Reference,
        lines: &[Columns],
    ) -> Result<Vec<LineOutcome>, Failed> {
        match self {
            Desk::Store(desk) => {
                let (store, rules) = desk.as_mut();
                let lines = prepared(store, rules, batch, lines);
                let answers = execute_all(store, rules, lines.bodies())?;
                Ok(lines.answered(answers))
            }
            Desk::Admin(api) => ask(api, "/v1/clearing", &body(batch, lines)),
        }
    }

    /// Closes a batch that was posted whole.
    pub(super) fn close(&mut self, batch: Reference, lines: u32) -> Result<(), Failed> {
        match self {
            Desk::Store(desk) => {
                let (store, rules) = desk.as_mut();
                let bodies = vec![Body::CloseClearing(batch, lines)];
                match execute_all(store, rules, bodies)?.pop() {
                    Some(Answer::Ordered(Err(refused))) => Err((65, refused.to_string())),
                    _ => Ok(()),
                }
            }
            Desk::Admin(api) => {
                let asked = serde_json::json!({ "batch": batch.as_str(), "lines": lines });
                api.post("/v1/clearing/close", &asked).map(|_| ())
            }
        }
    }

    /// Leaves the place as it should be.
    pub(super) fn leave(self) -> Result<(), Failed> {
        match self {
            Desk::Store(desk) => {
                let closed = desk.0.journal.close();
                closed.map_err(|error| (error.exit_code(), error.to_string()))
            }
            Desk::Admin(..) => Ok(()),
        }
    }
}

fn prepared(
    store: &OpenStore,
    rules: &LoadedRules,
    batch: Reference,
    lines: &[Columns],
) -> Prepared {
    prepare(
        batch,
        lines,
        &rules.rulebook,
        &store.token_key,
        &store.state,
    )
}

/// Executes commands and makes them durable together.
fn execute_all(
    store: &mut OpenStore,
    rules: &LoadedRules,
    bodies: Vec<Body>,
) -> Result<Vec<Answer>, Failed> {
    let mut batch = Batch::new();
    batch.clear(store.state.sequence() + 1);
    let mut answers = Vec::with_capacity(bodies.len());
    for body in bodies {
        answers.push(execute(store, &rules.rulebook, &mut batch, body)?);
    }
    if !batch.is_empty() {
        let appended = store.journal.append(&batch);
        appended.map_err(|error| (error.exit_code(), error.to_string()))?;
    }
    Ok(answers)
}

fn body(batch: Reference, lines: &[Columns]) -> serde_json::Value {
    serde_json::json!({ "batch": batch.as_str(), "lines": lines })
}

fn ask<T: serde::de::DeserializeOwned>(
    api: &Api,
    path: &str,
    body: &serde_json::Value,
) -> Result<T, Failed> {
    let told = api.post(path, body)?;
    let read = serde_json::from_value(told);
    read.map_err(|_| {
        (
            76,
            format!("{}{path}: an answer that cannot be read", api.base()),
        )
    })
}
