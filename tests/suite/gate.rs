//! The gate: no answer leaves before its batch and every batch before it are durable.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use cardswitch::domain::facts::LinkNumber;
use cardswitch::engine::state::State;
use cardswitch::iso8583::{MessageSpec, decode};
use cardswitch::journal::{Batch, ChainHash, Journal, JournalError, MemoryJournal, MemoryStore};
use cardswitch::switch::clock;
use cardswitch::switch::config::ReplacementAmounts;
use cardswitch::switch::config::SequencerConfig;
use cardswitch::switch::dialect::request::{Request, RequestParser};
use cardswitch::switch::jobs::{Job, Jobs, ReplyTo, SequencerReply, SequencerRequest};
use cardswitch::switch::pin::PinDesk;
use cardswitch::switch::rulebook::LoadedRules;
use cardswitch::switch::sequencer::{Sequencer, SequencerFault};
use cardswitch::switch::token::TokenKey;
use tokio::sync::mpsc;

use super::support::Draft;

/// A journal that tells of each append and then waits for what shall become of it.
struct HeldJournal {
    inner: MemoryJournal,
    begun: Sender<usize>,
    outcomes: Receiver<Result<(), JournalError>>,
}

impl Journal for HeldJournal {
    fn append(&mut self, batch: &Batch) -> Result<(), JournalError> {
        self.begun.send(batch.len()).unwrap();
        self.outcomes.recv().unwrap()?;
        self.inner.append(batch)
    }

    fn last_sequence(&self) -> u64 {
        self.inner.last_sequence()
    }

    fn chain(&self) -> ChainHash {
        self.inner.chain()
    }
}

type Replies = mpsc::Receiver<Vec<SequencerReply>>;

/// A single writer on a held journal.
struct Desk {
    jobs: Jobs,
    rules: LoadedRules,
    begun: Receiver<usize>,
    outcomes: Sender<Result<(), JournalError>>,
    thread: JoinHandle<Result<HeldJournal, SequencerFault>>,
    stan: u32,
}

impl Desk {
    fn open() -> Desk {
        let (begun_in, begun) = channel();
        let (outcomes, outcomes_out) = channel();
        let inner = MemoryJournal::open(&MemoryStore::new(), &mut |_| Ok(())).unwrap();
        let journal = HeldJournal {
            inner,
            begun: begun_in,
            outcomes: outcomes_out,
        };
        let rules = LoadedRules::load(None, None).unwrap();
        let (jobs, mut queue) = Jobs::channel(64);
        let limits = SequencerConfig {
            queue_batches_max: 64,
            batch_records_max: 1_024,
            batch_bytes_max: 1 << 20,
            wait_ms_max: 0,
        };
        let rulebook = Arc::clone(&rules.rulebook);
        let sequencer = Sequencer::new(
            (State::new(), journal),
            clock::now,
            rulebook,
            limits,
            Arc::default(),
            Arc::default(),
            &jobs,
        );
        Desk {
            jobs,
            rules,
            begun,
            outcomes,
            thread: thread::spawn(move || sequencer.run(&mut queue)),
            stan: 0,
        }
    }

    /// Hands over fresh purchases as one job, which makes one record each.
    fn ask(&mut self, count: u32) -> Replies {
        let stans = self.stan + 1..=self.stan + count;
        self.stan += count;
        self.ask_for(stans)
    }

    fn ask_for(&self, stans: impl Iterator<Item = u32>) -> Replies {
        let spec = MessageSpec::builtin("iso87-ascii").unwrap();
        let (dialect_number, dialect) = self.rules.dialect("iso87").unwrap();
        let parser = RequestParser {
            dialect: &dialect,
            spec,
            dialect_number,
            token_key: &TokenKey::fixed([7; 32]),
            pins: &PinDesk::default(),
            pin_key: None,
            rulebook: &self.rules.rulebook,
            link: "gate",
            link_number: LinkNumber(1),
            replacement_amounts: ReplacementAmounts::Remaining,
        };
        let request = |(slot, stan)| {
            let bytes = Draft::purchase(stan).bytes("iso87-ascii");
            match parser.parse(&decode(spec, bytes).unwrap()) {
                Request::Card(request) => SequencerRequest {
                    slot,
                    facts: request.facts,
                    submitted: clock::tick(),
                },
                other => panic!("expected a request about a card, got {other:?}"),
            }
        };
        let requests = (0..).zip(stans).map(request).collect();
        let (replies_in, replies) = mpsc::channel(64);
        let job = Job::Requests {
            requests,
            replies: ReplyTo {
                connection: replies_in,
                home: None,
            },
        };
        block_on(self.jobs.submit(job));
        replies
    }

    fn finish(self) -> Result<HeldJournal, SequencerFault> {
        block_on(self.jobs.submit(Job::Stop));
        self.thread.join().unwrap()
    }
}

/// Runs a future that is ready as soon as the queue has room, which it has here.
fn block_on<T: std::fmt::Debug>(submit: impl Future<Output = Result<(), T>>) {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(submit)
        .unwrap();
}

fn answers(replies: &mut Replies) -> usize {
    replies.blocking_recv().unwrap().len()
}

#[test]
fn no_answer_leaves_before_its_batch_and_all_before_it_are_durable() {
    // (requests of the first batch, of the second): below and above what is made durable beside
    // the deciding of the next batch.
    for (first, second) in [(1, 1), (1, 200), (200, 1), (200, 200)] {
        let mut desk = Desk::open();
        let mut early = desk.ask(first);
        assert_eq!(desk.begun.recv().unwrap(), usize::try_from(first).unwrap());
        let mut late = desk.ask(second);
        // Another batch is not even begun, and nobody has heard anything.
        assert!(early.try_recv().is_err() && late.try_recv().is_err());
        desk.outcomes.send(Ok(())).unwrap();
        assert_eq!(answers(&mut early), usize::try_from(first).unwrap());
        assert_eq!(desk.begun.recv().unwrap(), usize::try_from(second).unwrap());
        assert!(late.try_recv().is_err(), "{first} {second}");
        desk.outcomes.send(Ok(())).unwrap();
        assert_eq!(answers(&mut late), usize::try_from(second).unwrap());
        let journal = desk.finish().unwrap();
        assert_eq!(journal.last_sequence(), u64::from(first + second));
    }
}

#[test]
fn a_repeat_of_what_is_not_durable_yet_waits_with_it() {
    let mut desk = Desk::open();
    let mut original = desk.ask(100);
    desk.begun.recv().unwrap();
    let mut repeat = desk.ask_for(1..=1);
    let mut query = desk.ask_for(std::iter::empty());
    assert!(original.try_recv().is_err() && repeat.try_recv().is_err());
    desk.outcomes.send(Ok(())).unwrap();
    assert_eq!(answers(&mut original), 100);
    assert_eq!(answers(&mut repeat), 1);
    assert_eq!(answers(&mut query), 0);
    desk.finish().unwrap();
}

#[test]
fn nothing_is_answered_after_a_failed_append_whoever_did_it() {
    let failed = || JournalError::OutOfSequence {
        expected: 1,
        found: 2,
    };
    for count in [1, 200] {
        let mut desk = Desk::open();
        let mut doomed = desk.ask(count);
        desk.begun.recv().unwrap();
        let mut next = desk.ask(3);
        desk.outcomes.send(Err(failed())).unwrap();
        let Desk { thread, .. } = desk;
        assert!(thread.join().unwrap().is_err(), "{count}");
        assert!(doomed.blocking_recv().is_none() && next.blocking_recv().is_none());
    }
}
