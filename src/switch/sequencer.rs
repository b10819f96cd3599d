//! The single writer: stamp, decide, apply, append, release. Synchronous; its own thread.
//!
//! One turn ([`Sequencer::step`]) takes what is queued, decides it and lets go of what is durable;
//! the thread of `run` is a loop around it, and so is a test that brings its own queue and clock.
//!
//! Invariants: one writer for the state and the journal; whatever arrived while the last batch was
//! made durable is the next batch (group commit, no timer), decided meanwhile; no answer of a batch
//! leaves before that batch and all before it are durable (`commit.rs`); after a failed append or a
//! broken invariant nothing is answered and the process stops.

use std::hint::black_box;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::domain::actor::Actor;
use crate::domain::decision::{Decision, Reason};
use crate::domain::facts::{Facts, Purpose};
use crate::domain::pin_choice::NewPin;
use crate::domain::rulebook::Rulebook;
use crate::domain::time::UnixMs;
use crate::engine::apply::InvariantBroken;
use crate::engine::command::{Answer, Body, Command, Housekeep, OpenAccount, Opened, Outcome};
use crate::engine::decide::decide;
use crate::engine::operation::{Order, OrderRefused};
use crate::engine::record;
use crate::engine::state::State;
use crate::engine::turn_away::turned_away;
use crate::journal::Journal;

use super::clock::{self, Tick};
use super::commit::{CommitFault, Committer, Waiting, Work};
use super::config::SequencerConfig;
use super::jobs::{Job, Jobs, ReplyTo, SequencerReply, SequencerRequest};
use super::overload::{Overload, Space};
use super::pin::PinDesk;
use super::telemetry::Telemetry;

/// Why the writer stopped; nothing of its last batch was answered.
#[derive(Debug, thiserror::Error)]
pub enum SequencerFault {
    /// A batch cannot be made durable.
    #[error("journal: {0}")]
    Commit(#[from] CommitFault),
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
            SequencerFault::Commit(fault) => fault.exit_code(),
            SequencerFault::Invariant(_) | SequencerFault::Record(_) => 70,
        }
    }
}

/// Batches of at least this many records are made durable by the journal thread while the next one
/// is decided; below, waking another thread costs more than it saves.
pub const OVERLAP_RECORDS_MIN: usize = 64;

/// The single writer of one partition.
pub struct Sequencer<J, C = fn() -> UnixMs> {
    state: State,
    now: C,
    committer: Committer<J>,
    rulebook: Arc<Rulebook>,
    limits: SequencerConfig,
    overload: Overload,
    telemetry: Arc<Telemetry>,
    pins: Arc<PinDesk>,
    work: Work,
    stopping: bool,
}

impl<J: Journal + 'static, C: Fn() -> UnixMs> Sequencer<J, C> {
    /// A writer for a state and the journal that made it; `jobs` is where its work comes from,
    /// `pins` hears of PINs that messages change, `now` says what time it is.
    pub fn new(
        (state, journal): (State, J),
        now: C,
        rulebook: Arc<Rulebook>,
        limits: SequencerConfig,
        telemetry: Arc<Telemetry>,
        pins: Arc<PinDesk>,
        jobs: &Jobs,
    ) -> Sequencer<J, C> {
        assert_eq!(
            state.sequence(),
            journal.last_sequence(),
            "state and journal are one"
        );
        let mut work = Work::new();
        work.batch.clear(state.sequence() + 1);
        Sequencer {
            state,
            now,
            committer: Committer::new(journal, jobs.downgrade(), Arc::clone(&telemetry)),
            rulebook,
            overload: Overload::within(limits.wait_ms_max),
            limits,
            telemetry,
            pins,
            work,
            stopping: false,
        }
    }

    /// The same, with an eye on the room for its journal.
    #[must_use]
    pub fn watching(mut self, space: Arc<Space>) -> Sequencer<J, C> {
        self.overload.space = space;
        self
    }

    /// Works until it is told to stop, then hands the journal back to be closed.
    ///
    /// # Errors
    /// [`SequencerFault`]: the process must stop.
    pub fn run(mut self, jobs: &mut mpsc::Receiver<Job>) -> Result<J, SequencerFault> {
        while !self.stopping
            && let Some(first) = jobs.blocking_recv()
        {
            self.step(first, || jobs.try_recv().ok())?;
        }
        self.committer.commit(&mut self.work, &self.state)?;
        Ok(self.committer.finish()?)
    }

    /// One turn: takes a job and, while there is room in the batch, what else is queued; then
    /// makes the batch durable and lets its answers go. A batch below [`OVERLAP_RECORDS_MIN`]
    /// records needs no other thread.
    ///
    /// # Errors
    /// [`SequencerFault`]: the process must stop.
    pub fn step(
        &mut self,
        first: Job,
        mut queued: impl FnMut() -> Option<Job>,
    ) -> Result<(), SequencerFault> {
        self.take(first)?;
        while self.has_room()
            && !self.stopping
            && let Some(next) = queued()
        {
            self.take(next)?;
        }
        self.commit()
    }

    /// The state, with what is decided and not durable yet.
    pub fn state(&self) -> &State {
        &self.state
    }

    fn has_room(&self) -> bool {
        self.work.batch.len() < self.limits.batch_records_max
            && self.work.batch.byte_len() < self.limits.batch_bytes_max
    }

    fn take(&mut self, job: Job) -> Result<(), SequencerFault> {
        match job {
            Job::Requests { requests, replies } => self.take_requests(requests, replies),
            Job::Open {
                accounts,
                by,
                opened,
            } => self.take_accounts(accounts, by, opened),
            Job::Command {
                body,
                by,
                still,
                answered,
            } => {
                if still.is_some_and(|still| !still(&self.state)) {
                    let answer = Answer::Ordered(Err(OrderRefused::Changed));
                    self.work.waiting.push(Waiting::Answered(answered, answer));
                    return Ok(());
                }
                let command = self.command((self.now)(), body);
                let answer = self.execute(&command, by.as_ref())?;
                self.take_rules(&answer, command.body);
                self.work.waiting.push(Waiting::Answered(answered, answer));
                Ok(())
            }
            Job::Query(query) => {
                self.work.waiting.push(Waiting::Query(query));
                Ok(())
            }
            Job::Housekeep(terms) => self.housekeep(terms),
            Job::Committed => Ok(()),
            Job::Stop => {
                self.stopping = true;
                Ok(())
            }
        }
    }

    /// Other programmes were journalled: they decide from the next command on.
    fn take_rules(&mut self, answer: &Answer, body: Body) {
        if let (Answer::Ordered(Ok(_)), Body::Operate(order)) = (answer, body)
            && let Order::ChangeRules(new) = *order
        {
            self.rulebook = new.rulebook;
        }
    }

    fn take_requests(
        &mut self,
        requests: Vec<SequencerRequest>,
        replies: ReplyTo,
    ) -> Result<(), SequencerFault> {
        let mut answered = Vec::with_capacity(requests.len());
        black_box(self.state.glance(requests.iter().map(|it| &*it.facts)));
        let at = (self.now)();
        let mut sequenced = clock::tick();
        for request in requests {
            if let Some(why) = self.overload.turns_away(&self.state, &request, sequenced) {
                let reply = self.turn_away(request, sequenced, why);
                answered.push(reply);
                continue;
            }
            let command = self.command(at, Body::Message(request.facts));
            let answer = self.execute(&command, None)?;
            let decided = clock::tick();
            if let Answer::Decided(mut decision) = answer
                && let Body::Message(facts) = command.body
            {
                self.learn_pin(&decision, &facts);
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
        self.work.waiting.push(Waiting::Replies(replies, answered));
        Ok(())
    }

    /// The answer to a question that is not decided.
    fn turn_away(
        &self,
        request: SequencerRequest,
        now: Tick,
        why: (Reason, String),
    ) -> SequencerReply {
        Telemetry::add(&self.telemetry.requests_turned_away);
        let decision = turned_away(&self.rulebook, &request.facts, why);
        SequencerReply {
            slot: request.slot,
            facts: request.facts,
            decision: Box::new(decision),
            submitted: request.submitted,
            sequenced: now,
            decided: now,
            durable: now,
        }
    }

    /// A card has another PIN: the next message is judged by it, like every decision by those
    /// before it.
    fn learn_pin(&self, decision: &Decision, facts: &Facts) {
        let is_new = facts.purpose == Purpose::PinChange
            && decision.reason == Reason::Approved
            && !decision.repeated;
        let new = facts.rare.as_ref().and_then(|rare| rare.new_pin);
        if let (true, Some(NewPin::Chosen(reference))) = (is_new, new) {
            self.pins.changed(&facts.card, reference);
        }
    }

    fn take_accounts(
        &mut self,
        accounts: Vec<OpenAccount>,
        by: Option<Actor>,
        opened: oneshot::Sender<Vec<Opened>>,
    ) -> Result<(), SequencerFault> {
        let mut outcomes = Vec::with_capacity(accounts.len());
        for account in accounts {
            let body = Body::OpenAccount(Box::new(account));
            let command = self.command((self.now)(), body);
            let answer = self.execute(&command, by.as_ref())?;
            if let Answer::Opened(outcome) = answer {
                outcomes.push(outcome);
            }
        }
        self.work.waiting.push(Waiting::Opened(opened, outcomes));
        Ok(())
    }

    fn housekeep(&mut self, terms: Housekeep) -> Result<(), SequencerFault> {
        while self.has_room() {
            let command = self.command((self.now)(), Body::Housekeep(terms));
            match self.execute(&command, None)? {
                Answer::Housekept { more: true, .. } => {}
                Answer::Housekept { .. }
                | Answer::Decided(_)
                | Answer::Opened(_)
                | Answer::Ordered(_)
                | Answer::Presented(_)
                | Answer::CutOver(_)
                | Answer::Reconciled(_)
                | Answer::LinkNamed(_)
                | Answer::PinChanged(_) => break,
            }
        }
        Ok(())
    }

    /// The next command, stamped.
    fn command(&self, now: UnixMs, body: Body) -> Command {
        let at = if planted!(ClockSetBackBelieved) {
            now
        } else {
            now.max(self.state.at())
        };
        Command {
            sequence: self.state.sequence() + 1,
            at,
            body,
        }
    }

    /// Decides and applies the next command and adds its record to the batch.
    fn execute(&mut self, command: &Command, by: Option<&Actor>) -> Result<Answer, SequencerFault> {
        let Command { sequence, at, .. } = *command;
        let Outcome { answer, event } = decide(&self.rulebook, &self.state, command);
        if let Some(event) = event {
            let mut written = Ok(());
            let stamped = self
                .work
                .batch
                .push(|buffer| written = record::encode_by(by, at, &event, buffer));
            written.map_err(|error| SequencerFault::Record(error.to_string()))?;
            assert_eq!(stamped, sequence, "the batch and the state count alike");
            self.state.apply(sequence, at, &event)?;
        }
        Ok(answer)
    }

    /// Makes the batch durable, or gathers on while the batch before is not durable yet.
    fn commit(&mut self) -> Result<(), SequencerFault> {
        if !self.committer.is_here()? && self.has_room() && !self.stopping {
            // Its return wakes us like any other job.
            return Ok(());
        }
        if self.work.batch.len() < OVERLAP_RECORDS_MIN || self.work.has_query() {
            let committed = self.committer.commit(&mut self.work, &self.state);
            if !planted!(GoesOnAfterFailedAppend) {
                committed?;
            }
        } else {
            let work = std::mem::replace(&mut self.work, Work::new());
            self.work = self.committer.hand_over(work)?;
        }
        self.work.batch.clear(self.state.sequence() + 1);
        Ok(())
    }
}
