//! A programme in shadow: a file that decides nothing, and what it would have decided otherwise
//! since it was set. Judged are durable records, on the threads for readers; the single writer
//! does nothing for it.

use std::ops::ControlFlow;
use std::path::{Path as FilePath, PathBuf};
use std::sync::atomic::Ordering::Acquire;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fs, io};

use axum::Json;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::domain::account::ProgrammeName;
use crate::domain::programme::Programme;
use crate::domain::programme_file;
use crate::domain::time::UnixMs;
use crate::engine::event::Event;
use crate::switch::backtest::Trial;
use crate::switch::checkpointer::CheckpointDesk;
use crate::switch::clock;
use crate::switch::key_file::write_whole;
use crate::switch::shadow::{Difference, Seen, Shadow};

use super::activity::LOOK_EVERY;
use super::apart::apart;
use super::asked::{Path, Shared};
use super::backtests;
use super::records::read;
use super::{AdminContext, Asked, Problem};

/// Records that are followed before others who read get their turn.
const TOGETHER: u64 = 4_096;

/// The programme that is in shadow, if any: each would have a state of its own, as large as the
/// switch's.
#[derive(Clone)]
pub struct Shadows(Arc<Set>);

struct Set {
    running: Mutex<Option<Arc<Running>>>,
    /// Where its file is kept for the next start.
    path: PathBuf,
    /// One order after the other.
    turn: tokio::sync::Mutex<()>,
}

/// What is known of one.
struct Running {
    name: ProgrammeName,
    version: u32,
    /// The last record that is not judged, and when it was set.
    after: u64,
    since: UnixMs,
    standing: Mutex<Standing>,
}

/// How far it is.
#[derive(Clone, Default)]
struct Standing {
    through: u64,
    seen: Seen,
    /// Why it goes on no more.
    stopped: Option<String>,
}

/// What the metrics say of it.
#[derive(Default)]
pub(super) struct Counts {
    /// Decisions that were judged again.
    pub(super) decisions: u64,
    /// Those that would come out otherwise.
    pub(super) changed: u64,
    /// Records that are durable and not followed yet.
    pub(super) behind: u64,
    /// Whether it goes on no more.
    pub(super) is_stopped: bool,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Candidate {
    /// The programme file that is tried; left out or null: none any more.
    file: Option<String>,
}

impl Shadows {
    /// None yet; its file is kept in the data directory.
    pub fn at(data_dir: &FilePath) -> Shadows {
        Shadows(Arc::new(Set {
            running: Mutex::default(),
            path: data_dir.join("shadow.toml"),
            turn: tokio::sync::Mutex::default(),
        }))
    }

    /// Goes on with the file that was in shadow when the switch stopped; its counts begin anew.
    pub(super) fn go_on(&self, context: &AdminContext) {
        let text = match fs::read_to_string(&self.0.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return tracing::error!(%error, "the file in shadow cannot be read"),
        };
        let read = programme_file::parse("shadow.toml", &text);
        let begun = read.map_err(|error| error.to_string()).and_then(|it| {
            let begun = desk(context).and_then(|desk| begin(context, desk, it));
            begun.map_err(|Problem(_, what)| what)
        });
        match begun {
            Ok(running) => {
                tracing::info!(programme = %running.name, "a programme is in shadow again");
            }
            Err(error) => tracing::error!(error, "the file in shadow is not judged under"),
        }
    }

    fn get(&self) -> MutexGuard<'_, Option<Arc<Running>>> {
        let running = self.0.running.lock();
        running.unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, name: ProgrammeName) -> Option<Arc<Running>> {
        self.get().clone().filter(|running| running.name == name)
    }

    /// Whether this one was neither ended nor replaced.
    fn is_set(&self, running: &Arc<Running>) -> bool {
        let set = self.get();
        set.as_ref().is_some_and(|set| Arc::ptr_eq(set, running))
    }

    /// Nothing is in shadow any more.
    pub(super) fn end(&self) {
        self.get().take();
    }

    /// What there is to count; nothing while no programme is in shadow.
    pub(super) fn counts(&self, durable: u64) -> Counts {
        let Some(running) = self.get().clone() else {
            return Counts::default();
        };
        let standing = running.standing();
        Counts {
            decisions: standing.seen.decisions,
            changed: standing.seen.changed(),
            behind: durable.saturating_sub(standing.through),
            is_stopped: standing.stopped.is_some(),
        }
    }
}

impl Running {
    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self, why: String) {
        tracing::error!(programme = %self.name, why, "the programme in shadow is not judged on");
        self.standing().stopped = Some(why);
    }
}

/// Puts a file in shadow of the programme of its name, in place of the one that was there; or ends
/// what is in shadow of it.
pub(super) async fn set(
    Shared(context): Shared<AdminContext>,
    Path(name): Path<String>,
    Asked(wanted): Asked<Candidate>,
) -> Result<Json<Value>, Problem> {
    let name = known(&context, &name)?;
    let shadows = context.shadows.clone();
    let _turn = shadows.0.turn.lock().await;
    let (path, token) = (shadows.0.path.clone(), by(&context));
    let Some(text) = wanted.file else {
        let was_set = shadows.of(name).is_some();
        if was_set {
            apart(move || fs::remove_file(path)).await?.map_err(kept)?;
            shadows.end();
        }
        tracing::info!(token, programme = %name, was_set, "nothing is in shadow any more");
        return Ok(Json(json!({ "programme": name.as_str(), "shadow": null })));
    };
    let unfit = |what: String| Problem(StatusCode::UNPROCESSABLE_ENTITY, what);
    let programme = programme_file::parse("file", &text);
    let programme = programme.map_err(|error| unfit(error.to_string()))?;
    if programme.name != name {
        let what = format!("file: it is {}, not {name}", programme.name);
        return Err(unfit(what));
    }
    if let Some(other) = shadows.get().as_ref().filter(|other| other.name != name) {
        let what = format!("{} is in shadow: one at a time", other.name);
        return Err(Problem(StatusCode::CONFLICT, what));
    }
    let checkpoints = desk(&context)?;
    let written = apart(move || write_whole(&path, &text)).await?;
    written.map_err(kept)?;
    let running = begin(&context, checkpoints, programme)?;
    let version = running.version;
    tracing::info!(token, programme = %name, version, "a programme is in shadow");
    Ok(Json(tell(&context, &running)))
}

/// The file for the next start could not be written or removed.
fn kept(error: io::Error) -> Problem {
    let what = format!("the file in shadow: {error}");
    Problem(StatusCode::INTERNAL_SERVER_ERROR, what)
}

/// Where the state comes from that a programme in shadow begins with.
fn desk(context: &AdminContext) -> Result<CheckpointDesk, Problem> {
    context.checkpoints.clone().ok_or_else(|| {
        let what = "the journal is not open for reading".to_owned();
        Problem(StatusCode::SERVICE_UNAVAILABLE, what)
    })
}

/// Judges from here on under a programme, in place of what was in shadow.
fn begin(
    context: &AdminContext,
    checkpoints: CheckpointDesk,
    programme: Programme,
) -> Result<Arc<Running>, Problem> {
    let name = known(context, programme.name.as_str())?;
    let running = Arc::new(Running {
        name,
        version: programme.version,
        after: context.telemetry.durable.load(Acquire),
        since: clock::now(),
        standing: Mutex::default(),
    });
    let trial = Trial::of(programme, &context.rules.rulebook(), true);
    *context.shadows.get() = Some(Arc::clone(&running));
    let judged = judge(context.clone(), checkpoints, Arc::clone(&running), trial);
    tokio::spawn(judged);
    Ok(running)
}

/// What the file in shadow of a programme would have decided otherwise.
pub(super) async fn shadow(
    Shared(context): Shared<AdminContext>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    let name = known(&context, &name)?;
    let told = context.shadows.of(name);
    Ok(Json(told.map_or_else(
        || json!({ "programme": name.as_str(), "shadow": null }),
        |running| tell(&context, &running),
    )))
}

fn by(context: &AdminContext) -> &str {
    context.jobs.by().map_or("", |actor| actor.name.as_str())
}

/// The name of a programme in force.
fn known(context: &AdminContext, name: &str) -> Result<ProgrammeName, Problem> {
    let rulebook = context.rules.rulebook();
    let mut names = rulebook.programmes.iter().map(|programme| programme.name);
    names.find(|it| it.as_str() == name).ok_or_else(|| {
        let what = "there is no programme of this name".to_owned();
        Problem(StatusCode::NOT_FOUND, what)
    })
}

/// Brings a state to where the switch is and follows it from there, until it is ended.
async fn judge(
    context: AdminContext,
    checkpoints: CheckpointDesk,
    running: Arc<Running>,
    trial: Trial,
) {
    let after = running.after;
    let begun = apart(move || Shadow::new(trial, checkpoints.newest_state(), after)).await;
    let mut shadow = match begun {
        Ok(shadow) => shadow,
        Err(Problem(_, why)) => return running.stop(why),
    };
    while context.shadows.is_set(&running) {
        let from = shadow.through();
        let until = context.readable().min(from.saturating_add(TOGETHER));
        if until <= from {
            running.standing().through = from;
            tokio::time::sleep(LOOK_EVERY).await;
            continue;
        }
        match read(&context, (from, until), (shadow, None), follow).await {
            Ok(((followed, None), _)) => {
                let mut standing = running.standing();
                standing.through = followed.through();
                standing.seen.clone_from(followed.seen());
                shadow = followed;
            }
            Ok(((_, Some(why)), _)) | Err(Problem(_, why)) => return running.stop(why),
        }
    }
    // A large state takes its time to go. A switch that stops does not wait for it.
    let _ = apart(move || drop(shadow)).await;
}

type Followed = (Shadow, Option<String>);

fn follow(
    (shadow, wrong): &mut Followed,
    sequence: u64,
    at: UnixMs,
    event: &Event,
) -> ControlFlow<()> {
    match shadow.follow(sequence, at, event) {
        Ok(()) => ControlFlow::Continue(()),
        Err(why) => {
            *wrong = Some(why);
            ControlFlow::Break(())
        }
    }
}

fn tell(context: &AdminContext, running: &Running) -> Value {
    let standing = running.standing().clone();
    let durable = context.telemetry.durable.load(Acquire);
    let seen = &standing.seen;
    json!({
        "programme": running.name.as_str(),
        "shadow": {
            "version": running.version,
            "after": running.after,
            "since": running.since.to_string(),
            "through": standing.through,
            "behind": durable.saturating_sub(standing.through),
            "stopped": standing.stopped,
            "decisions": seen.decisions,
            "changed": seen.changed(),
            "changes": backtests::changes(&seen.changes),
            "latest": seen.latest.iter().rev().map(difference).collect::<Vec<_>>(),
        },
    })
}

fn difference(difference: &Difference) -> Value {
    let mut told = backtests::example(&difference.example);
    told["currency"] = difference.currency.to_string().into();
    told["trace"] = difference.trace.into();
    told
}
