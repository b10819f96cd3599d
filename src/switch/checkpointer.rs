//! Makes checkpoints while the switch decides: a thread of low priority that never touches the
//! single writer.
//!
//! It reads the checkpoint before, replays what the journal has since, writes a new one, reads that
//! back and compares digests, and only then lets it count. So every checkpoint has been through the
//! very steps of a start. The two newest that are whole are kept; of the journal, only what lies
//! behind both may be removed, and nothing is unless the configuration says so.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::domain::time::UnixMs;
use crate::engine::checkpoint::SaveError;
use crate::engine::digest;
use crate::engine::record;
use crate::engine::state::State;
use crate::journal::{
    Checkpoint, CheckpointError, Checkpoints, CopyProgress, Head, JournalError, JournalReader,
    Records,
};

use super::backup::{self, Copied};
use super::clock;
use super::config::CheckpointConfig;
use super::restore;
use super::telemetry::Telemetry;

/// How often it is looked whether one is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a failed one is not tried again.
const RETRY_AFTER: Duration = Duration::from_secs(60);
/// Longest rest between two writes: the disk is the deciding's first.
const REST_MAX: Duration = Duration::from_millis(100);
/// How often records that must be there are looked for, while the journal moves on.
const ATTEMPTS_MAX: u32 = 500;
const ATTEMPT_DELAY: Duration = Duration::from_millis(10);
/// The least niceness there is.
const NICENESS: i32 = 19;

/// A checkpoint that was made.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    /// Its sequence.
    pub sequence: u64,
    /// Records since the one before.
    pub records: u64,
    /// Bytes of its content.
    pub bytes: u64,
    /// How long it took.
    pub took: Duration,
    /// Generations of the journal that were removed behind it.
    pub generations_removed: u64,
}

/// What came of asking for one; nothing when there is nothing new.
pub type Outcome = Result<Option<Made>, String>;

enum Ask {
    Now(History, oneshot::Sender<Outcome>),
    /// A copy of the store, to this folder.
    Copy(PathBuf, oneshot::Sender<Result<Copied, String>>),
    End,
}

/// What becomes of history behind two checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    /// It stays for as long as the configuration says.
    AsConfigured,
    /// It goes.
    Removed,
}

/// Where a checkpoint is asked for.
#[derive(Clone)]
pub struct CheckpointDesk {
    asks: Sender<Ask>,
    progress: Arc<CopyProgress>,
    checkpoints: Checkpoints,
}

impl CheckpointDesk {
    /// The state of the newest checkpoint that is whole; an empty one where there is none. Not for
    /// a task of tokio.
    pub fn newest_state(&self) -> State {
        restore::newest(&self.checkpoints).state
    }

    /// Has one made and waits for it.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn make(&self, history: History) -> Outcome {
        let (made, outcome) = oneshot::channel();
        let stopping = |_| "the switch is stopping".to_owned();
        let ask = Ask::Now(history, made);
        self.asks.send(ask).map_err(|_| stopping(()))?;
        outcome.await.map_err(|_| stopping(()))?
    }

    /// Has the store copied to an empty folder, up to what is durable, and waits for it.
    ///
    /// # Errors
    /// Why there is no copy.
    pub async fn copy(&self, to: PathBuf) -> Result<Copied, String> {
        let (made, outcome) = oneshot::channel();
        let stopping = |_| "the switch is stopping".to_owned();
        let ask = Ask::Copy(to, made);
        self.asks.send(ask).map_err(|_| stopping(()))?;
        outcome.await.map_err(|_| stopping(()))?
    }

    /// How far the copy is that is being made.
    pub fn progress(&self) -> &CopyProgress {
        &self.progress
    }
}

/// The thread that makes checkpoints.
pub struct Checkpointer {
    desk: CheckpointDesk,
    is_last_wanted: bool,
    stopping: Arc<AtomicBool>,
    thread: JoinHandle<Worker>,
}

/// What a checkpointer works with.
pub struct Source {
    /// Directory of the store.
    pub data_dir: PathBuf,
    /// Reads the journal beside the single writer.
    pub reader: JournalReader,
    /// Where checkpoints are.
    pub checkpoints: Checkpoints,
    /// The newest of them; 0: none.
    pub last: u64,
    /// Sequence of the last record when the counting of records began.
    pub begun_at: u64,
    /// Counts records.
    pub telemetry: Arc<Telemetry>,
}

impl Checkpointer {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no thread.
    pub fn start(source: Source, terms: CheckpointConfig) -> std::io::Result<Checkpointer> {
        let (asks, asked) = mpsc::channel();
        let progress = Arc::new(CopyProgress::default());
        let checkpoints = source.checkpoints.clone();
        let stopping = Arc::new(AtomicBool::new(false));
        let is_last_wanted = terms.at_stop_records > 0;
        let mut worker = Worker {
            source,
            terms,
            progress: Arc::clone(&progress),
            stopping: Arc::clone(&stopping),
            made_at: clock::instant(),
            failed_at: None,
        };
        let thread = thread::Builder::new()
            .name("checkpoint".to_owned())
            .spawn(move || {
                worker.work(&asked);
                worker
            })?;
        Ok(Checkpointer {
            desk: CheckpointDesk {
                asks,
                progress,
                checkpoints,
            },
            is_last_wanted,
            stopping,
            thread,
        })
    }

    /// Where one is asked for.
    pub fn desk(&self) -> CheckpointDesk {
        self.desk.clone()
    }

    /// Ends the thread; when the single writer `ended_well`, a last checkpoint is made if one is
    /// due, by the caller's thread: the stop waits for it, and one of low priority would keep it
    /// waiting on a busy machine. Not for a task of tokio.
    pub fn end(self, ended_well: bool) {
        self.stopping.store(true, Relaxed);
        let _ = self.desk.asks.send(Ask::End);
        // A panic in it was printed; checkpoints are no condition of a stop.
        let Ok(mut worker) = self.thread.join() else {
            return;
        };
        let is_wanted = self.is_last_wanted && ended_well;
        if is_wanted && worker.behind() >= worker.terms.at_stop_records {
            self.stopping.store(false, Relaxed);
            let _ = worker.make_and_tell(History::AsConfigured);
        }
    }
}

struct Worker {
    source: Source,
    terms: CheckpointConfig,
    progress: Arc<CopyProgress>,
    stopping: Arc<AtomicBool>,
    made_at: Instant,
    failed_at: Option<Instant>,
}

impl Worker {
    fn work(&mut self, asked: &Receiver<Ask>) {
        // Without it the thread is only less polite.
        let _ = rustix::process::nice(NICENESS);
        loop {
            match asked.recv_timeout(LOOK_EVERY) {
                Ok(Ask::Now(history, made)) => {
                    let outcome = self.make_and_tell(history);
                    // Who asked may have gone.
                    let _ = made.send(outcome);
                }
                Ok(Ask::Copy(to, made)) => {
                    let copied = backup::copy(&self.source, self.durable(), &to, &self.progress);
                    match &copied {
                        Ok(copied) => tracing::info!(sequence = copied.sequence, "store copied"),
                        Err(error) => tracing::error!(error, "the store was not copied"),
                    }
                    let _ = made.send(copied);
                }
                Ok(Ask::End) => return,
                Err(RecvTimeoutError::Timeout) => {
                    if self.is_due() {
                        let _ = self.make_and_tell(History::AsConfigured);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// The last record that is durable.
    fn durable(&self) -> u64 {
        let since = self.source.telemetry.records.load(Relaxed);
        self.source.begun_at.saturating_add(since)
    }

    fn behind(&self) -> u64 {
        self.durable().saturating_sub(self.source.last)
    }

    fn is_due(&self) -> bool {
        let elapsed = |at: Instant| clock::instant().saturating_duration_since(at);
        if self.failed_at.is_some_and(|at| elapsed(at) < RETRY_AFTER) {
            return false;
        }
        let (behind, terms) = (self.behind(), &self.terms);
        let by_records = terms.every_records > 0 && behind >= terms.every_records;
        let minutes = Duration::from_secs(terms.every_minutes.saturating_mul(60));
        let by_time = terms.every_minutes > 0 && behind > 0 && elapsed(self.made_at) >= minutes;
        by_records || by_time
    }

    fn make_and_tell(&mut self, history: History) -> Outcome {
        let outcome = self.make(history);
        match &outcome {
            Ok(Some(made)) => {
                self.made_at = clock::instant();
                self.failed_at = None;
                tracing::info!(
                    sequence = made.sequence,
                    records = made.records,
                    bytes = made.bytes,
                    took_ms = u64::try_from(made.took.as_millis()).unwrap_or(u64::MAX),
                    generations_removed = made.generations_removed,
                    "checkpoint made"
                );
            }
            Ok(None) => self.made_at = clock::instant(),
            Err(_) if self.stopping.load(Relaxed) => {}
            Err(error) => {
                self.failed_at = Some(clock::instant());
                Telemetry::add(&self.source.telemetry.checkpoints_failed);
                tracing::error!(error, "no checkpoint was made; the earlier ones stay");
            }
        }
        outcome
    }

    fn make(&mut self, history: History) -> Outcome {
        if self.behind() == 0 {
            return Ok(None);
        }
        self.seal_if_due(history)?;
        let begun = clock::instant();
        let checkpoints = self.source.checkpoints.clone();
        let restored = restore::newest(&checkpoints);
        for error in &restored.passed_over {
            tracing::error!(%error, "a checkpoint cannot be used");
        }
        let base = restored.base.map_or(Head::START, |base| base.position);
        let (state, head) = self.follow(restored.state, base)?;
        if head == base {
            return Ok(None);
        }
        state
            .check_conservation()
            .map_err(|fault| fault.to_string())?;
        let label = self.write(state, head)?;
        let back = restore::load(&checkpoints, &label).map_err(told)?;
        if back.digest().0 != label.digest {
            return Err("what was read back is not the state that was written".to_owned());
        }
        drop(back);
        checkpoints.mark_valid(&label).map_err(told)?;
        self.source.last = head.sequence;
        let telemetry = &self.source.telemetry;
        Telemetry::add(&telemetry.checkpoints_made);
        telemetry.checkpoint_sequence.store(head.sequence, Relaxed);
        Ok(Some(Made {
            sequence: head.sequence,
            records: head.sequence.saturating_sub(base.sequence),
            bytes: label.bytes,
            took: clock::instant().saturating_duration_since(begun),
            generations_removed: self.tidy_up(&label, history)?,
        }))
    }

    /// Replays what is durable behind a position.
    fn follow(&self, mut state: State, base: Head) -> Result<(State, Head), String> {
        let until = self.durable();
        let (mut head, mut attempts) = (base, 0);
        while head.sequence < until {
            let mut take = |records: Records<'_>| {
                if self.stopping.load(Relaxed) {
                    return records.each(|_, _| Err("the switch is stopping".to_owned()));
                }
                restore::apply_frame(&mut state, records)
            };
            let read = self.source.reader.frames(head, until, &mut take);
            let read = read.map_err(|error| error.to_string())?;
            attempts = if read == head { attempts + 1 } else { 0 };
            if attempts > ATTEMPTS_MAX {
                return Err(format!("no record after {} can be read", head.sequence));
            }
            if attempts > 0 {
                thread::sleep(ATTEMPT_DELAY);
            }
            head = read;
        }
        Ok((state, head))
    }

    fn write(&self, state: State, head: Head) -> Result<Checkpoint, String> {
        let mut writer = self.source.checkpoints.begin(head).map_err(told)?;
        let mut since = clock::instant();
        let saved = state.save(&mut |chunk| {
            if self.stopping.load(Relaxed) {
                return Err("the switch is stopping".to_owned());
            }
            if writer.chunk(chunk).map_err(told)? {
                // The disk is busy half of the time at most.
                let worked = clock::instant().saturating_duration_since(since);
                thread::sleep(worked.min(REST_MAX));
                since = clock::instant();
            }
            Ok(())
        });
        saved.map_err(|error: SaveError<String>| error.to_string())?;
        let digest = (digest::VERSION, state.digest().0);
        drop(state);
        writer.close(digest, clock::now().0).map_err(told)
    }

    /// Lets go of what two whole checkpoints make dispensable; returns the generations removed.
    fn tidy_up(&self, newest: &Checkpoint, history: History) -> Result<u64, String> {
        let checkpoints = &self.source.checkpoints;
        let labels = checkpoints.list().map_err(told)?;
        let mut earlier = labels
            .into_iter()
            .flatten()
            .filter(|label| label.position.sequence < newest.position.sequence);
        // Nobody has looked at it since it was made.
        let is_whole = |label: &Checkpoint| match checkpoints.read(label, &mut |_| Ok(())) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%error, "an earlier checkpoint is not whole any more");
                false
            }
        };
        let Some(older) = earlier.find(is_whole) else {
            return Ok(0);
        };
        checkpoints
            .remove_before(older.position.sequence)
            .map_err(told)?;
        match self.kept_since(history) {
            None => Ok(0),
            Some(before) => self.truncate(older.position.sequence, before),
        }
    }

    /// Records from before this are not wanted any more; `None`: all are.
    fn kept_since(&self, history: History) -> Option<UnixMs> {
        let days = match history {
            History::Removed => return Some(UnixMs(i64::MAX)),
            History::AsConfigured => self.terms.keep_history_days,
        };
        let days = i64::try_from(days).ok().filter(|days| *days > 0)?;
        let ms = days.saturating_mul(86_400_000);
        Some(UnixMs(clock::now().0.saturating_sub(ms)))
    }

    /// Ends the generation that is being written when it begins with what is not wanted any more:
    /// one that never gets full would else never go.
    fn seal_if_due(&self, history: History) -> Result<(), String> {
        let Some(before) = self.kept_since(history) else {
            return Ok(());
        };
        let reader = &self.source.reader;
        let told = |error: JournalError| error.to_string();
        let first = match reader.sealed_ends().map_err(told)?.last() {
            Some(end) => end.saturating_add(1),
            None => reader.first_sequence().map_err(told)?,
        };
        if first <= self.durable() && written_at(reader, first)? < before {
            reader.seal().map_err(told)?;
        }
        Ok(())
    }

    /// Removes generations that lie behind a sequence and end before an instant.
    fn truncate(&self, behind: u64, before: UnixMs) -> Result<u64, String> {
        let reader = &self.source.reader;
        let mut end = 0;
        for last in reader.sealed_ends().map_err(|error| error.to_string())? {
            if last >= behind || written_at(reader, last)? >= before {
                break;
            }
            end = last;
        }
        if end == 0 {
            return Ok(0);
        }
        let removed = reader.remove_through(end);
        removed.map_err(|error| error.to_string())
    }
}

fn told(error: CheckpointError) -> String {
    error.to_string()
}

/// When a record was written.
fn written_at(reader: &JournalReader, sequence: u64) -> Result<UnixMs, String> {
    let mut found = Err(format!("record {sequence} cannot be read"));
    let mut take = |_: u64, bytes: &[u8]| {
        let decoded = record::decode(bytes).map(|(at, _)| at);
        found = decoded.map_err(|error| error.to_string());
        std::ops::ControlFlow::Break(())
    };
    let after = sequence.saturating_sub(1);
    let read = reader.page(after, sequence, &mut take);
    read.map_err(|error| error.to_string())?;
    found
}
