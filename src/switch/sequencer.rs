//! The single writer: stamp, decide, apply, append, release. Synchronous; its own thread.
//!
//! Invariants: one writer for the state and the journal; whatever arrived while the last batch was
//! made durable is the next batch (group commit, no timer); no answer of a batch leaves before the
//! whole batch is durable; after a failed append or a broken invariant nothing is answered and the
//! process stops.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use crate::domain::decision::Decision;
use crate::domain::facts::Facts;
use crate::domain::rulebook::Rulebook;
use crate::domain::time::UnixMs;
use crate::engine::apply::InvariantBroken;
use crate::engine::command::{Answer, Body, Command, Housekeep, OpenAccount, Opened, Outcome};
use crate::engine::decide::decide;
use crate::engine::record;
use crate::engine::state::State;
use crate::journal::{Batch, Journal, JournalError};

use super::clock;
use super::config::SequencerConfig;
use super::telemetry::Telemetry;

/// Work for the single writer.
pub enum Job {
    /// Requests of one connection, as many as one read brought.
    Requests {
        /// In order of arrival.
        requests: Vec<SequencerRequest>,
        /// Where the answers go. It has room for every request in flight, so it is never full.
        replies: mpsc::Sender<Vec<SequencerReply>>,
    },
    /// Accounts to open.
    Open {
        /// In order.
        accounts: Vec<OpenAccount>,
        /// Where the outcomes go, once durable.
        opened: oneshot::Sender<Vec<Opened>>,
    },
    /// One command of the operator or of the switch itself.
    Command {
        /// What is asked.
        body: Body,
        /// Where the answer goes, once durable.
        answered: oneshot::Sender<Answer>,
    },
    /// Something to read from a durable state. It holds up decisions while it runs.
    Query(Box<dyn FnOnce(&State) + Send>),
    /// The passing of time.
    Housekeep(Housekeep),
    /// The end: what was handed over before is done, nothing after.
    Stop,
}

/// One request about a card.
pub struct SequencerRequest {
    /// The connection's own number for it.
    pub slot: usize,
    /// What it says.
    pub facts: Arc<Facts>,
    /// When it was handed over.
    pub submitted: Instant,
}

/// The answer to one request.
pub struct SequencerReply {
    /// The connection's own number for the request.
    pub slot: usize,
    /// What the request said.
    pub facts: Arc<Facts>,
    /// What was decided; durable.
    pub decision: Box<Decision>,
    /// When it was handed over.
    pub submitted: Instant,
    /// When it was taken up.
    pub sequenced: Instant,
    /// When it was decided and applied.
    pub decided: Instant,
    /// When its batch was durable.
    pub durable: Instant,
}

/// Why the writer stopped; nothing of its last batch was answered.
#[derive(Debug, thiserror::Error)]
pub enum SequencerFault {
    /// The journal failed.
    #[error("journal: {0}")]
    Journal(#[from] JournalError),
    /// An event did not fit the state.
    #[error("engine: {0}")]
    Invariant(#[from] InvariantBroken),
    /// A record could not be written down.
    #[error("record: {0}")]
    Record(String),
}

impl SequencerFault {
    /// Exit code of a process that stops for this (sysexits).
    pub fn exit_code(&self) -> u8 {
        match self {
            SequencerFault::Journal(error) => error.exit_code(),
            SequencerFault::Invariant(_) | SequencerFault::Record(_) => 70,
        }
    }
}

/// The single writer of one partition.
pub struct Sequencer<J> {
    state: State,
    journal: J,
    rulebook: Arc<Rulebook>,
    limits: SequencerConfig,
    telemetry: Arc<Telemetry>,
    batch: Batch,
    waiting: Vec<Waiting>,
    stopping: bool,
}

/// What is released when the batch is durable.
enum Waiting {
    Replies(mpsc::Sender<Vec<SequencerReply>>, Vec<SequencerReply>),
    Opened(oneshot::Sender<Vec<Opened>>, Vec<Opened>),
    Answered(oneshot::Sender<Answer>, Answer),
    Query(Box<dyn FnOnce(&State) + Send>),
}

impl<J: Journal> Sequencer<J> {
    /// A writer for a state and the journal that made it.
    pub fn new(
        state: State,
        journal: J,
        rulebook: Arc<Rulebook>,
        limits: SequencerConfig,
        telemetry: Arc<Telemetry>,
    ) -> Sequencer<J> {
        assert_eq!(
            state.sequence(),
            journal.last_sequence(),
            "state and journal are one"
        );
        Sequencer {
            state,
            journal,
            rulebook,
            limits,
            telemetry,
            batch: Batch::new(),
            waiting: Vec::new(),
            stopping: false,
        }
    }

    /// Works until it is told to stop, then hands the journal back to be closed.
    ///
    /// # Errors
    /// [`SequencerFault`]: the process must stop.
    pub fn run(mut self, jobs: &mut mpsc::Receiver<Job>) -> Result<J, SequencerFault> {
        while !self.stopping
            && let Some(first) = jobs.blocking_recv()
        {
            self.batch.clear(self.state.sequence() + 1);
            self.take(first)?;
            while self.has_room()
                && !self.stopping
                && let Ok(next) = jobs.try_recv()
            {
                self.take(next)?;
            }
            self.commit()?;
        }
        Ok(self.journal)
    }

    fn has_room(&self) -> bool {
        self.batch.len() < self.limits.batch_records_max
            && self.batch.byte_len() < self.limits.batch_bytes_max
    }

    fn take(&mut self, job: Job) -> Result<(), SequencerFault> {
        match job {
            Job::Requests { requests, replies } => self.take_requests(requests, replies),
            Job::Open { accounts, opened } => self.take_accounts(accounts, opened),
            Job::Command { body, answered } => {
                let (answer, _) = self.execute(clock::now(), body)?;
                self.waiting.push(Waiting::Answered(answered, answer));
                Ok(())
            }
            Job::Query(query) => {
                self.waiting.push(Waiting::Query(query));
                Ok(())
            }
            Job::Housekeep(terms) => self.housekeep(terms),
            Job::Stop => {
                self.stopping = true;
                Ok(())
            }
        }
    }

    fn take_requests(
        &mut self,
        requests: Vec<SequencerRequest>,
        replies: mpsc::Sender<Vec<SequencerReply>>,
    ) -> Result<(), SequencerFault> {
        let mut answered = Vec::with_capacity(requests.len());
        let at = clock::now();
        let mut sequenced = clock::instant();
        for request in requests {
            let body = Body::Message(request.facts);
            let (answer, body) = self.execute(at, body)?;
            let decided = clock::instant();
            if let (Answer::Decided(mut decision), Body::Message(facts)) = (answer, body) {
                if let (false, Some(account)) = (decision.show_balances, decision.account) {
                    decision.balances = self.state.balances(account);
                }
                answered.push(SequencerReply {
                    slot: request.slot,
                    facts,
                    decision,
                    submitted: request.submitted,
                    sequenced,
                    decided,
                    durable: decided,
                });
            }
            sequenced = decided;
        }
        self.waiting.push(Waiting::Replies(replies, answered));
        Ok(())
    }

    fn take_accounts(
        &mut self,
        accounts: Vec<OpenAccount>,
        opened: oneshot::Sender<Vec<Opened>>,
    ) -> Result<(), SequencerFault> {
        let mut outcomes = Vec::with_capacity(accounts.len());
        for account in accounts {
            let (answer, _) = self.execute(clock::now(), Body::OpenAccount(Box::new(account)))?;
            if let Answer::Opened(outcome) = answer {
                outcomes.push(outcome);
            }
        }
        self.waiting.push(Waiting::Opened(opened, outcomes));
        Ok(())
    }

    fn housekeep(&mut self, terms: Housekeep) -> Result<(), SequencerFault> {
        while self.has_room() {
            let (answer, _) = self.execute(clock::now(), Body::Housekeep(terms))?;
            match answer {
                Answer::Housekept { more: true, .. } => {}
                Answer::Housekept { .. }
                | Answer::Decided(_)
                | Answer::Opened(_)
                | Answer::LinkNamed(_) => break,
            }
        }
        Ok(())
    }

    /// Stamps, decides and applies one command and adds its record to the batch.
    fn execute(&mut self, now: UnixMs, body: Body) -> Result<(Answer, Body), SequencerFault> {
        let sequence = self.state.sequence() + 1;
        let at = now.max(self.state.at());
        let command = Command { sequence, at, body };
        let Outcome { answer, event } = decide(&self.rulebook, &self.state, &command);
        if let Some(event) = event {
            let mut written = Ok(());
            let stamped = self
                .batch
                .push(|buffer| written = record::encode(at, &event, buffer));
            written.map_err(|error| SequencerFault::Record(error.to_string()))?;
            assert_eq!(stamped, sequence, "the batch and the state count alike");
            self.state.apply(sequence, at, &event)?;
        }
        Ok((answer, command.body))
    }

    /// Makes the batch durable, then lets go of everything that waited for it.
    fn commit(&mut self) -> Result<(), SequencerFault> {
        if !self.batch.is_empty() {
            self.journal.append(&self.batch)?;
            assert_eq!(
                self.journal.last_sequence(),
                self.state.sequence(),
                "all is durable"
            );
            self.telemetry.commits.fetch_add(1, Relaxed);
            let records = u64::try_from(self.batch.len()).unwrap_or(u64::MAX);
            self.telemetry.records.fetch_add(records, Relaxed);
        }
        let durable = clock::instant();
        for waiting in self.waiting.drain(..) {
            match waiting {
                Waiting::Replies(sender, mut replies) => {
                    replies.iter_mut().for_each(|reply| reply.durable = durable);
                    // A connection that is gone misses its answers; a repeat gets them.
                    let _ = sender.try_send(replies);
                }
                // Who asked may have gone; what was opened stays open.
                Waiting::Opened(sender, outcomes) => drop(sender.send(outcomes)),
                Waiting::Answered(sender, answer) => drop(sender.send(answer)),
                Waiting::Query(query) => query(&self.state),
            }
        }
        Ok(())
    }
}

/// A handle for handing work to the single writer.
#[derive(Clone)]
pub struct Jobs(mpsc::Sender<Job>);

/// The single writer is gone; the process is stopping.
#[derive(Debug, thiserror::Error)]
#[error("the switch is stopping")]
pub struct Stopping;

impl Jobs {
    /// A bounded queue of jobs.
    pub fn channel(queue_max: usize) -> (Jobs, mpsc::Receiver<Job>) {
        let (sender, receiver) = mpsc::channel(queue_max);
        (Jobs(sender), receiver)
    }

    /// Hands a job over; waits while the queue is full.
    ///
    /// # Errors
    /// [`Stopping`] when nobody will do it.
    pub async fn submit(&self, job: Job) -> Result<(), Stopping> {
        self.0.send(job).await.map_err(|_| Stopping)
    }

    /// Has one command executed and waits until its effect is durable.
    ///
    /// # Errors
    /// [`Stopping`].
    pub async fn command(&self, body: Body) -> Result<Answer, Stopping> {
        let (answered, answer) = oneshot::channel();
        self.submit(Job::Command { body, answered }).await?;
        answer.await.map_err(|_| Stopping)
    }

    /// Opens accounts and waits until that is durable.
    ///
    /// # Errors
    /// [`Stopping`].
    pub async fn open(&self, accounts: Vec<OpenAccount>) -> Result<Vec<Opened>, Stopping> {
        let (opened, outcomes) = oneshot::channel();
        self.submit(Job::Open { accounts, opened }).await?;
        outcomes.await.map_err(|_| Stopping)
    }

    /// Reads something from a durable state.
    ///
    /// # Errors
    /// [`Stopping`].
    pub async fn query<T: Send + 'static>(
        &self,
        read: impl FnOnce(&State) -> T + Send + 'static,
    ) -> Result<T, Stopping> {
        let (sender, answer) = oneshot::channel();
        let query = Box::new(move |state: &State| {
            // Who asked may have gone.
            let _ = sender.send(read(state));
        });
        self.submit(Job::Query(query)).await?;
        answer.await.map_err(|_| Stopping)
    }
}
