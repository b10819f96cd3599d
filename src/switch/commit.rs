//! Makes batches durable and lets go of what waited for them; a large batch beside the deciding of
//! the next one.
//!
//! Invariants: one batch at a time, in order; nothing of a batch is released before it and every
//! earlier batch are durable; after a failed append nothing more is appended or released.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::mpsc::{self as channel, Receiver, Sender};
use std::thread;

use smallvec::SmallVec;
use tokio::sync::mpsc::WeakSender;
use tokio::sync::oneshot;

use crate::engine::command::{Answer, Opened};
use crate::engine::state::State;
use crate::journal::{Batch, Journal, JournalError};

use super::clock;
use super::io_threads::Home;
use super::jobs::{Job, ReplyTo, SequencerReply};
use super::telemetry::Telemetry;

/// Why nothing more can be made durable; nothing of the last batch was released.
#[derive(Debug, thiserror::Error)]
pub enum CommitFault {
    /// The journal failed.
    #[error("{0}")]
    Journal(#[from] JournalError),
    /// The journal thread cannot be started.
    #[error("start the journal thread: {0}")]
    Thread(std::io::Error),
    /// The journal thread has ended, with the journal.
    #[error("the journal thread has ended")]
    JournalLost,
}

impl CommitFault {
    /// Exit code of a process that stops for this (sysexits).
    pub fn exit_code(&self) -> u8 {
        match self {
            CommitFault::Journal(error) => error.exit_code(),
            CommitFault::Thread(_) => 71,
            CommitFault::JournalLost => 70,
        }
    }
}

/// What is released when its batch is durable.
pub(super) enum Waiting {
    /// Answers for a connection.
    Replies(ReplyTo, Vec<SequencerReply>),
    /// What came of opening accounts.
    Opened(oneshot::Sender<Vec<Opened>>, Vec<Opened>),
    /// The answer to one command.
    Answered(oneshot::Sender<Answer>, Answer),
    /// Something to read from the durable state.
    Query(Box<dyn FnOnce(&State) + Send>),
}

/// The journal, here or lent to the journal thread.
pub(super) struct Committer<J> {
    here: Option<J>,
    thread: Option<JournalThread<J>>,
    spare: Option<Work>,
    wake: WeakSender<Job>,
    telemetry: Arc<Telemetry>,
}

struct JournalThread<J> {
    loans: Sender<(J, Work)>,
    returns: Receiver<(J, Work, Result<(), JournalError>)>,
}

/// A batch with everything that waits for it.
pub(super) struct Work {
    /// Its records.
    pub batch: Batch,
    /// What waits for it.
    pub waiting: Vec<Waiting>,
}

impl Work {
    /// An empty batch, with nothing that waits.
    pub(super) fn new() -> Work {
        Work {
            batch: Batch::new(),
            waiting: Vec::new(),
        }
    }

    /// Whether something waits for the state itself.
    pub(super) fn has_query(&self) -> bool {
        let is_query = |waiting: &Waiting| matches!(waiting, Waiting::Query(_));
        self.waiting.iter().any(is_query)
    }
}

impl<J: Journal + 'static> Committer<J> {
    /// Over a journal; `wake` is how the journal thread tells that it is done.
    pub(super) fn new(journal: J, wake: WeakSender<Job>, telemetry: Arc<Telemetry>) -> Self {
        Committer {
            here: Some(journal),
            thread: None,
            spare: None,
            wake,
            telemetry,
        }
    }

    /// Whether the journal is here; takes it back when the journal thread is done.
    ///
    /// # Errors
    /// What went wrong with the batch that the journal thread had.
    pub(super) fn is_here(&mut self) -> Result<bool, CommitFault> {
        if self.here.is_some() {
            return Ok(true);
        }
        let returned = self.thread.as_ref().map(|thread| thread.returns.try_recv());
        match returned {
            Some(Ok(returned)) => self.take_back(returned).map(|()| true),
            Some(Err(channel::TryRecvError::Empty)) => Ok(false),
            Some(Err(channel::TryRecvError::Disconnected)) | None => Err(CommitFault::JournalLost),
        }
    }

    /// Waits until the journal is here.
    ///
    /// # Errors
    /// What went wrong with the batch that the journal thread had.
    pub(super) fn wait(&mut self) -> Result<(), CommitFault> {
        if self.here.is_some() {
            return Ok(());
        }
        let returned = self.thread.as_ref().map(|thread| thread.returns.recv());
        match returned {
            Some(Ok(returned)) => self.take_back(returned),
            Some(Err(channel::RecvError)) | None => Err(CommitFault::JournalLost),
        }
    }

    /// Makes a batch durable here and now, then lets go of everything that waited for it.
    ///
    /// # Errors
    /// [`CommitFault`]; nothing was released then.
    pub(super) fn commit(&mut self, work: &mut Work, state: &State) -> Result<(), CommitFault> {
        self.wait()?;
        let journal = self.here.as_mut().ok_or(CommitFault::JournalLost)?;
        if planted!(ReplyBeforeSync) {
            release(&mut work.waiting, Some(state));
        }
        append(journal, &work.batch, &self.telemetry)?;
        release(&mut work.waiting, Some(state));
        Ok(())
    }

    /// Lends the journal to its thread, with a batch in which nothing waits for the state; the
    /// answer is empty work to go on with.
    ///
    /// # Errors
    /// [`CommitFault`]; nothing was released then.
    pub(super) fn hand_over(&mut self, work: Work) -> Result<Work, CommitFault> {
        self.wait()?;
        assert!(!work.has_query(), "the journal thread has no state to read");
        if self.thread.is_none() {
            let thread = JournalThread::start(self.wake.clone(), Arc::clone(&self.telemetry));
            self.thread = Some(thread.map_err(CommitFault::Thread)?);
        }
        let journal = self.here.take().ok_or(CommitFault::JournalLost)?;
        let thread = self.thread.as_ref().ok_or(CommitFault::JournalLost)?;
        let lent = thread.loans.send((journal, work));
        lent.map_err(|_| CommitFault::JournalLost)?;
        Ok(self.spare.take().unwrap_or_else(Work::new))
    }

    /// Waits for the journal thread and hands the journal back.
    ///
    /// # Errors
    /// What went wrong with the batch that the journal thread had.
    pub(super) fn finish(mut self) -> Result<J, CommitFault> {
        self.wait()?;
        self.here.take().ok_or(CommitFault::JournalLost)
    }

    fn take_back(
        &mut self,
        (journal, work, result): (J, Work, Result<(), JournalError>),
    ) -> Result<(), CommitFault> {
        self.here = Some(journal);
        self.spare = Some(work);
        Ok(result?)
    }
}

impl<J: Journal + 'static> JournalThread<J> {
    fn start(
        wake: WeakSender<Job>,
        telemetry: Arc<Telemetry>,
    ) -> std::io::Result<JournalThread<J>> {
        let (loans, lent) = channel::channel::<(J, Work)>();
        let (give_back, returns) = channel::channel();
        let work_on_loans = move || {
            while let Ok((mut journal, mut work)) = lent.recv() {
                let result = append(&mut journal, &work.batch, &telemetry);
                if result.is_ok() {
                    release(&mut work.waiting, None);
                }
                if give_back.send((journal, work, result)).is_err() {
                    return;
                }
                // A full queue wakes the single writer by itself.
                if let Some(jobs) = wake.upgrade() {
                    let _ = jobs.try_send(Job::Committed);
                }
            }
        };
        thread::Builder::new()
            .name("journal".to_owned())
            .spawn(work_on_loans)?;
        Ok(JournalThread { loans, returns })
    }
}

fn append(
    journal: &mut impl Journal,
    batch: &Batch,
    telemetry: &Telemetry,
) -> Result<(), JournalError> {
    if batch.is_empty() {
        return Ok(());
    }
    let begun = clock::tick();
    journal.append(batch)?;
    telemetry.commit_ns.note(clock::tick().since(begun));
    assert_eq!(
        journal.last_sequence(),
        batch.last_sequence(),
        "all of the batch is durable"
    );
    telemetry.durable.store(journal.last_sequence(), Release);
    telemetry.commits.fetch_add(1, Relaxed);
    let records = u64::try_from(batch.len()).unwrap_or(u64::MAX);
    telemetry.records.fetch_add(records, Relaxed);
    telemetry.commit_records.note(records);
    Ok(())
}

fn release(all: &mut Vec<Waiting>, state: Option<&State>) {
    let durable = clock::tick();
    // Each thread is woken once for all that is brought to it.
    let mut homes: SmallVec<[Arc<Home>; 8]> = SmallVec::new();
    for waiting in all.drain(..) {
        match waiting {
            Waiting::Replies(to, mut replies) => {
                replies.iter_mut().for_each(|reply| reply.durable = durable);
                match to.home {
                    Some(home) => {
                        home.bring((to.connection, replies));
                        if !homes.iter().any(|known| Arc::ptr_eq(known, &home)) {
                            homes.push(home);
                        }
                    }
                    // A connection that is gone misses its answers; a repeat gets them.
                    None => drop(to.connection.try_send(replies)),
                }
            }
            // Who asked may have gone; what was opened stays open.
            Waiting::Opened(sender, outcomes) => drop(sender.send(outcomes)),
            Waiting::Answered(sender, answer) => drop(sender.send(answer)),
            Waiting::Query(query) => {
                if let Some(state) = state {
                    query(state);
                }
            }
        }
    }
    homes.iter().for_each(|home| home.ring());
}
