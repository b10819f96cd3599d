//! A programme file tried on a recorded period, beside the switch: decided again are the durable
//! records, on a thread for readers, in a state of its own. Nothing of it is in force.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering::Acquire;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use axum::Json;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use utoipa::ToSchema;

use crate::domain::decision::Reason;
use crate::domain::programme_file;
use crate::domain::time::UnixMs;
use crate::engine::event::Event;
use crate::switch::backtest::{Backtest, Change, Example, Report, Row, Trial};
use crate::switch::clock;

use super::asked::Shared;
use super::records::read;
use super::{AdminContext, Asked, Problem, wrong};

/// How many may run: each has a state of its own, as large as the switch's.
static RUNNING: Semaphore = Semaphore::const_new(1);
/// How long one may take; then it tells of what it has seen.
const TIME_MAX: Duration = Duration::from_secs(600);
/// Records that are followed together.
const TOGETHER: usize = 1_024;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Asking {
    /// The programme file; it takes the place of the programme of its name.
    file: String,
    /// First instant that is decided again; left out: the first.
    from: Option<String>,
    /// First instant after it; left out: now.
    until: Option<String>,
}

/// A back-test under way.
struct Running {
    backtest: Backtest,
    rows: Vec<Row>,
    last: Option<UnixMs>,
    deadline: Instant,
    /// Gone when nobody waits for the answer any more.
    asker: Weak<()>,
    stopped: Option<Stopped>,
}

enum Stopped {
    Time,
    Nobody,
    Fault(String),
}

impl Running {
    fn take(&mut self, sequence: u64, at: UnixMs, event: &Event) -> ControlFlow<()> {
        self.rows.push((sequence, at, event.clone()));
        self.last = Some(at);
        if self.rows.len() < TOGETHER {
            return ControlFlow::Continue(());
        }
        self.follow();
        if self.stopped.is_none() && self.asker.strong_count() == 0 {
            self.stopped = Some(Stopped::Nobody);
        }
        if self.stopped.is_none() && clock::instant() >= self.deadline {
            self.stopped = Some(Stopped::Time);
        }
        match self.stopped {
            None => ControlFlow::Continue(()),
            Some(_) => ControlFlow::Break(()),
        }
    }

    fn follow(&mut self) {
        let followed = self.backtest.follow(&self.rows);
        self.rows.clear();
        if let Err(what) = followed {
            self.stopped = Some(Stopped::Fault(what));
        }
    }
}

/// Decides a recorded period again under the file that is sent.
pub(super) async fn run(
    Shared(context): Shared<AdminContext>,
    Asked(wanted): Asked<Asking>,
) -> Result<Json<Value>, Problem> {
    let programme = programme_file::parse("file", &wanted.file);
    let programme =
        programme.map_err(|error| Problem(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?;
    let from = instant(wanted.from.as_deref())?.unwrap_or(UnixMs(i64::MIN));
    let until = instant(wanted.until.as_deref())?.unwrap_or(UnixMs(i64::MAX));
    let busy = || {
        let what = "another back-test is under way".to_owned();
        Problem(StatusCode::CONFLICT, what)
    };
    let _turn = RUNNING.try_acquire().map_err(|_| busy())?;
    let trial = Trial::of(programme, &context.rules.rulebook(), true);
    let asker = Arc::new(());
    let running = Running {
        backtest: Backtest::new(trial, from, until),
        rows: Vec::with_capacity(TOGETHER),
        last: None,
        deadline: clock::instant() + TIME_MAX,
        asker: Arc::downgrade(&asker),
        stopped: None,
    };
    let durable = context.telemetry.durable.load(Acquire);
    let (running, last) = read(&context, (0, durable), running, Running::take).await?;
    let told = super::apart::apart(move || tell(running, last)).await?;
    drop(asker);
    told.map(Json)
}

/// The end of a back-test: what is left is followed, and the state goes, on the same threads.
fn tell(mut running: Running, last: u64) -> Result<Value, Problem> {
    if running.stopped.is_none() {
        running.follow();
    }
    let is_whole = running.stopped.is_none();
    if let Some(Stopped::Fault(what)) = running.stopped {
        return Err(Problem(StatusCode::INTERNAL_SERVER_ERROR, what));
    }
    let report = running.backtest.report();
    let unknown = |what| Problem(StatusCode::UNPROCESSABLE_ENTITY, what);
    let mut told = reported(&report.map_err(unknown)?);
    told["through"] = last.into();
    told["through_at"] = json!(running.last.map(|at| at.to_string()));
    told["whole"] = is_whole.into();
    Ok(told)
}

fn instant(text: Option<&str>) -> Result<Option<UnixMs>, Problem> {
    let parse = |text: &str| text.parse::<jiff::Timestamp>();
    let read = text.map(parse).transpose();
    let read = read.map_err(|_| wrong("expected an instant such as 2027-03-01T00:00:00+09:00"))?;
    Ok(read.map(|at| UnixMs(at.as_millisecond())))
}

fn reported(report: &Report) -> Value {
    let changed: u64 = report.changes.values().map(|change| change.count).sum();
    let declines = report
        .declines
        .iter()
        .map(|(code, (was, would_be))| json!({ "code": code, "was": was, "would_be": would_be }));
    json!({
        "decisions": report.decisions,
        "changed": changed,
        "changes": changes(&report.changes),
        "examples": report.examples.iter().map(example).collect::<Vec<_>>(),
        "declines": declines.collect::<Vec<_>>(),
        "in_shadow": report.in_shadow,
    })
}

/// What became of how many, with their sums.
pub(super) fn changes(changes: &BTreeMap<(Reason, Reason), Change>) -> Value {
    let rows = changes.iter().map(|((was, would_be), change)| {
        let sums = change.minor.iter();
        let sums = sums
            .map(|(currency, minor)| json!({ "currency": currency.to_string(), "minor": minor }));
        json!({
            "was": was.name(),
            "would_be": would_be.name(),
            "count": change.count,
            "sums": sums.collect::<Vec<_>>(),
        })
    });
    rows.collect()
}

/// One decision that came out otherwise.
pub(super) fn example(example: &Example) -> Value {
    json!({
        "sequence": example.sequence,
        "at": example.at.to_string(),
        "card": example.card.map(|card| card.0),
        "minor": example.minor,
        "was": example.was.name(),
        "would_be": example.would_be.name(),
        "evidence": example.evidence,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::facts::LinkNumber;
    use crate::domain::rulebook::Rulebook;
    use crate::switch::rulebook::LoadedRules;

    fn running(deadline: Instant, asker: &Arc<()>) -> Running {
        let rules = LoadedRules::load(None, None).unwrap();
        let tried = rules.rulebook.programmes[0].clone();
        let trial = Trial::of(tried, &Rulebook::clone(&rules.rulebook), true);
        Running {
            backtest: Backtest::new(trial, UnixMs(0), UnixMs(1)),
            rows: Vec::new(),
            last: None,
            deadline,
            asker: Arc::downgrade(asker),
            stopped: None,
        }
    }

    /// How many records it takes of many.
    fn taken(running: &mut Running) -> u16 {
        let many = 1..=u16::try_from(3 * TOGETHER).unwrap();
        for number in many.clone() {
            let event = Event::LinkNamed(LinkNumber(number), format!("link {number}"));
            let sequence = u64::from(number);
            if running.take(sequence, UnixMs(7), &event).is_break() {
                return number;
            }
        }
        *many.end()
    }

    #[test]
    fn it_ends_when_its_time_is_over_or_nobody_waits_for_it() {
        let (later, asker) = (clock::instant() + TIME_MAX, Arc::new(()));
        let mut whole = running(later, &asker);
        assert_eq!(usize::from(taken(&mut whole)), 3 * TOGETHER);
        assert!(whole.stopped.is_none());

        let mut late = running(clock::instant(), &asker);
        assert_eq!(usize::from(taken(&mut late)), TOGETHER);
        assert!(matches!(late.stopped, Some(Stopped::Time)));

        let mut unasked = running(later, &asker);
        drop(asker);
        assert_eq!(usize::from(taken(&mut unasked)), TOGETHER);
        assert!(matches!(unasked.stopped, Some(Stopped::Nobody)));
    }
}
