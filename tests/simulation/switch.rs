//! The switch under simulation: the real codec, dialect, PIN desk, sequencer, engine and journal,
//! without sockets, threads and files.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use bytes::{Bytes, BytesMut};
use tokio::sync::{mpsc, oneshot};
use tokio_util::codec::Decoder;

use cardswitch::domain::account::{Kyc, ProgrammeName};
use cardswitch::domain::card::{CardId, CardStatus, ExpiryMonth};
use cardswitch::domain::facts::LinkNumber;
use cardswitch::domain::programme_file;
use cardswitch::domain::rulebook::Rulebook;
use cardswitch::domain::time::UnixMs;
use cardswitch::engine::command::{Answer, Body, HeldBy, Housekeep, NewCard, OpenAccount, Opened};
use cardswitch::engine::record;
use cardswitch::engine::state::State;
use cardswitch::iso8583::{Message, MessageSpec, decode};
use cardswitch::journal::{
    Batch, ChainHash, Head, Journal, JournalError, Recovery, SteppedJournal, WatermarkPolicy,
};
use cardswitch::switch::config::{ReplacementAmounts, SequencerConfig};
use cardswitch::switch::dialect::request::{Request, RequestParser};
use cardswitch::switch::dialect::response::{Reply, render};
use cardswitch::switch::dialect::table::Dialect;
use cardswitch::switch::jobs::{Job, Jobs, ReplyTo, SequencerReply, SequencerRequest};
use cardswitch::switch::pin::{PinDesk, PinKeys};
use cardswitch::switch::rulebook::LoadedRules;
use cardswitch::switch::sequencer::{Sequencer, SequencerFault};
use cardswitch::switch::token::TokenKey;
use cardswitch::switch::{clock, sequencer};
use cardswitch::transport::{FrameCodec, Framing};

use crate::disk::SharedDisk;
use crate::oracle::{ANSWERS_HOURS, ENTRIES_HOURS};
use crate::plan::Plan;
use crate::wire::{CARDS_MAX, PIN_KEYS, Plastic};

/// Answers of one read, and of one turn, are far fewer.
const REPLIES_MAX: usize = 4_096;

/// What every seed has in common.
pub(crate) struct Shop {
    pub(crate) cards: Vec<Plastic>,
    rulebook: Arc<Rulebook>,
    dialect: Arc<Dialect>,
    spec: &'static MessageSpec,
    token_key: TokenKey,
    codec: FrameCodec,
}

impl Shop {
    pub(crate) fn get() -> &'static Shop {
        static SHOP: OnceLock<Shop> = OnceLock::new();
        SHOP.get_or_init(|| {
            let loaded = LoadedRules::load(None, None).unwrap();
            let (number, dialect) = loaded.dialect("iso87").unwrap();
            assert_eq!(number, 0, "facts name the first dialect");
            let programme = programme_file::parse("simulated", include_str!("programme.toml"));
            let rulebook = Rulebook {
                programmes: vec![programme.unwrap()],
                codes: loaded.rulebook.codes.clone(),
            };
            Shop {
                cards: (0..CARDS_MAX).map(Plastic::make).collect(),
                rulebook: Arc::new(rulebook),
                dialect,
                spec: MessageSpec::builtin("iso87-ascii").unwrap(),
                token_key: TokenKey::fixed([7; 32]),
                codec: FrameCodec::new(&Framing::preset("be2").unwrap(), 4_096),
            }
        })
    }
}

/// The journal, which the sequencer owns and the world keeps up.
#[derive(Clone)]
struct SharedJournal(Arc<Mutex<SteppedJournal<SharedDisk>>>);

impl SharedJournal {
    fn lock(&self) -> MutexGuard<'_, SteppedJournal<SharedDisk>> {
        self.0.lock().unwrap()
    }
}

impl Journal for SharedJournal {
    fn append(&mut self, batch: &Batch) -> Result<(), JournalError> {
        self.lock().append(batch)
    }

    fn last_sequence(&self) -> u64 {
        self.lock().last_sequence()
    }

    fn chain(&self) -> ChainHash {
        self.lock().chain()
    }
}

type Clock = Box<dyn Fn() -> UnixMs>;

/// A running process.
pub(crate) struct Switch {
    shop: &'static Shop,
    now: Arc<AtomicI64>,
    journal: SharedJournal,
    sequencer: Sequencer<SharedJournal, Clock>,
    pins: Arc<PinDesk>,
    links: Vec<LinkNumber>,
    replies_in: mpsc::Sender<Vec<SequencerReply>>,
    replies: mpsc::Receiver<Vec<SequencerReply>>,
    queue: VecDeque<(Job, usize)>,
    /// Requests of this turn that wait for their answer.
    in_flight: Vec<Option<(Message, Bytes)>>,
    /// Where the answer to each of them stands in what was written.
    answers: Vec<Option<Range<usize>>>,
    read: BytesMut,
    write: BytesMut,
    // The queue of a sequencer's own must stay open.
    _jobs: Jobs,
    pub(crate) recovery: Recovery,
}

/// What one turn of the sequencer came to.
pub(crate) struct Turn {
    /// What stopped the process, if anything did.
    pub(crate) result: Result<(), SequencerFault>,
    /// How many requests were taken up in it, in the order of arrival, and whether it kept house
    /// before them.
    pub(crate) taken: usize,
    pub(crate) kept_house: bool,
    /// How many answers it gave.
    pub(crate) answered: usize,
}

impl Switch {
    /// Starts on what is on the disk.
    pub(crate) fn start(
        disk: SharedDisk,
        plan: &Plan,
        now: Arc<AtomicI64>,
    ) -> Result<Switch, JournalError> {
        let shop = Shop::get();
        let checkpoints = disk.lock().checkpoints.clone();
        let (mut state, base) = checkpoints.newest();
        let base = (base, checkpoints.reach());
        let watermark = match plan.watermark_before_reply {
            true => WatermarkPolicy::BeforeReply,
            false => WatermarkPolicy::Lazy,
        };
        let ring = (plan.ring_blocks * 4_096, [9; 16]);
        let journal = SteppedJournal::open(disk, ring, watermark, base, &mut |records| {
            records.each(|sequence, bytes| {
                let (at, event) = record::decode(bytes).map_err(|error| error.to_string())?;
                let applied = state.apply(sequence, at, &event);
                applied.map_err(|error| error.to_string())
            })
        })?;
        let recovery = journal.recovery().clone();
        let journal = SharedJournal(Arc::new(Mutex::new(journal)));
        let keys = PinKeys::parse("simulated", PIN_KEYS).unwrap_or_else(|error| panic!("{error}"));
        let pins = Arc::new(PinDesk::of(&state).with_keys(keys));
        let (jobs, _queue) = Jobs::channel(1);
        let limits = SequencerConfig {
            queue_batches_max: 1,
            // Below what is handed to a thread.
            batch_records_max: sequencer::OVERLAP_RECORDS_MIN / 4,
            batch_bytes_max: 16 << 10,
            // Real time is no part of the world.
            wait_ms_max: 0,
        };
        let (replies_in, replies) = mpsc::channel(REPLIES_MAX);
        let theirs = Arc::clone(&now);
        let links = (1..=plan.acquirers).map(|number| format!("link {number}"));
        let links = links.filter_map(|name| state.link_number(&name)).collect();
        Ok(Switch {
            shop,
            now,
            sequencer: Sequencer::new(
                (state, journal.clone()),
                Box::new(move || UnixMs(theirs.load(Relaxed))),
                Arc::clone(&shop.rulebook),
                limits,
                Arc::default(),
                Arc::clone(&pins),
                &jobs,
            ),
            journal,
            pins,
            links,
            replies_in,
            replies,
            queue: VecDeque::new(),
            in_flight: Vec::new(),
            answers: Vec::new(),
            read: BytesMut::new(),
            write: BytesMut::new(),
            _jobs: jobs,
            recovery,
        })
    }

    pub(crate) fn state(&self) -> &State {
        self.sequencer.state()
    }

    pub(crate) fn now(&self) -> i64 {
        self.now.load(Relaxed)
    }

    /// Makes a checkpoint of what is durable, which between two turns is all there is.
    pub(crate) fn checkpoint(&self, disk: &SharedDisk) {
        let journal = self.journal.lock();
        let head = Head {
            sequence: journal.last_sequence(),
            chain: journal.chain(),
        };
        drop(journal);
        disk.lock().checkpoints.add(self.state(), head);
    }

    /// Brings the ring into the store.
    pub(crate) fn keep_up(&mut self) -> Result<(), JournalError> {
        self.journal.lock().keep_up()
    }

    /// Opens the cards of a plan with these balances.
    pub(crate) fn furnish(&mut self, plan: &Plan, balances: &[[i64; 3]]) {
        for number in 1..=plan.acquirers {
            match self.command(Body::NameLink(format!("link {number}"))) {
                Answer::LinkNamed(Some(number)) => self.links.push(number),
                other => panic!("{other:?}"),
            }
        }
        for (row, balance) in balances.iter().enumerate() {
            let plastic = &self.shop.cards[row];
            let names = ["main", "bonus", "dollars"];
            let balances = names.iter().zip(balance);
            let account = OpenAccount {
                programme: ProgrammeName::of("simulated").unwrap(),
                kyc: Kyc::Verified,
                balances: balances
                    .map(|(name, minor)| ((*name).to_owned(), *minor))
                    .collect(),
                card: NewCard {
                    token: self.shop.token_key.token(&plastic.pan()),
                    masked: plastic.pan().masked(),
                    expiry: ExpiryMonth::from_yymm(9912),
                    status: CardStatus::Active,
                },
                holder: HeldBy::Nobody,
            };
            let Answer::Opened(Opened::Created(_, card)) =
                self.command(Body::OpenAccount(Box::new(account)))
            else {
                panic!("an account was not opened");
            };
            assert_eq!(card, CardId(u32::try_from(row).unwrap() + 1));
            self.command(Body::SetPin(card, plastic.reference));
        }
        let keys = PinKeys::parse("simulated", PIN_KEYS).unwrap_or_else(|error| panic!("{error}"));
        let pins = PinDesk::of(self.state());
        self.pins = Arc::new(pins.with_keys(keys));
    }

    fn command(&mut self, body: Body) -> Answer {
        let (answered, mut answer) = oneshot::channel();
        let job = Job::Command {
            body,
            by: None,
            still: None,
            answered,
        };
        self.sequencer.step(job, || None).unwrap();
        answer.try_recv().unwrap()
    }

    /// Queues the passing of time.
    pub(crate) fn housekeep(&mut self) {
        let terms = Housekeep {
            answers_hours: ANSWERS_HOURS,
            entries_hours: ENTRIES_HOURS,
            tombstones_hours: ANSWERS_HOURS,
            releases_max: 100_000,
        };
        self.queue.push_back((Job::Housekeep(terms), 0));
    }

    /// One read of a link: what it brought becomes one job. Numbers go on from those of the turn.
    ///
    /// # Errors
    /// What is wrong with a message: none should be.
    pub(crate) fn receive(&mut self, link: usize, bytes: &[u8]) -> Result<(), String> {
        let Shop {
            dialect,
            spec,
            token_key,
            rulebook,
            ..
        } = self.shop;
        self.read.clear();
        self.read.extend_from_slice(bytes);
        let parser = RequestParser {
            dialect,
            spec,
            dialect_number: 0,
            token_key,
            pins: &self.pins,
            pin_key: None,
            rulebook,
            link: "simulated",
            link_number: self.links[link],
            replacement_amounts: ReplacementAmounts::Remaining,
        };
        let mut requests = Vec::new();
        let mut codec = self.shop.codec.clone();
        let mut submitted = clock::tick();
        while let Some(frame) = codec.decode(&mut self.read).map_err(|it| it.to_string())? {
            let message = decode(spec, frame.body).map_err(|failure| failure.error.to_string())?;
            let request = match parser.parse(&message) {
                Request::Card(request) => request,
                other => return Err(format!("{other:?}")),
            };
            requests.push(SequencerRequest {
                slot: self.in_flight.len(),
                facts: request.facts,
                submitted,
            });
            self.in_flight.push(Some((message, frame.header)));
            submitted = clock::tick();
        }
        let count = requests.len();
        let replies = ReplyTo {
            connection: self.replies_in.clone(),
            home: None,
        };
        self.queue
            .push_back((Job::Requests { requests, replies }, count));
        Ok(())
    }

    /// Nothing of the turns before is of interest any more.
    pub(crate) fn clear(&mut self) {
        self.in_flight.clear();
        self.answers.clear();
        self.queue.clear();
        self.write.clear();
    }

    /// The frame that answers the request with this number.
    pub(crate) fn answer(&self, slot: usize) -> Option<&[u8]> {
        self.write.get(self.answers.get(slot)?.clone()?)
    }

    /// Lets the sequencer take a turn, if there is anything for it.
    pub(crate) fn step(&mut self) -> Option<Turn> {
        let (mut taken, mut kept_house) = (0, false);
        let mut note = |(job, count): (Job, usize)| {
            taken += count;
            kept_house |= matches!(job, Job::Housekeep(_));
            job
        };
        let first = note(self.queue.pop_front()?);
        let queue = &mut self.queue;
        let result = self
            .sequencer
            .step(first, || queue.pop_front().map(&mut note));
        let mut answered = 0;
        while let Ok(replies) = self.replies.try_recv() {
            answered += replies.len();
            replies.into_iter().for_each(|reply| self.render(&reply));
        }
        Some(Turn {
            result,
            taken,
            kept_house,
            answered,
        })
    }

    fn render(&mut self, reply: &SequencerReply) {
        let Some((message, header)) = self.in_flight[reply.slot].take() else {
            return;
        };
        let (shop, start) = (self.shop, self.write.len());
        let mark = shop.codec.begin_reply(&mut self.write, &header);
        let to = Reply::to(&reply.decision);
        let rendered = render(&shop.dialect, shop.spec, &message, &to, &mut self.write);
        rendered.unwrap();
        shop.codec.finish(&mut self.write, mark).unwrap();
        self.answers.resize(self.in_flight.len(), None);
        self.answers[reply.slot] = Some(start..self.write.len());
    }
}
