//! What a link counts: messages by type, code and reason, and the time each step took.
//!
//! Each thread that serves connections fills a shard of its own, so that the corridor shares no
//! cache line and takes no lock; whoever asks adds the shards up. Invariant: a shard has one
//! writer, its thread, for nothing within [`LinkMeter::shard`] waits.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::decision::{Reason, ResponseCode};

use super::decision_line::{CorridorLatency, DecisionWord};
use super::histogram::{Count, Reading, Times};
use super::telemetry::Telemetry;

/// The steps of the corridor, in the order of [`CorridorLatency::steps`].
pub const STEPS: [&str; 8] = [
    "decode",
    "parse_request",
    "sequence",
    "decide",
    "append",
    "render_response",
    "write_frame",
    "total",
];

/// Kinds of decided messages that a shard tells apart; a peer cannot make up more than these.
const KINDS_MAX: usize = 256;
/// The type of messages beyond them.
const OTHER_MTI: u16 = u16::MAX;

/// Numbers meters, so that a thread finds its shard of one.
static METERS: AtomicU64 = AtomicU64::new(1);

thread_local! {
    /// Shards of this thread, by the number of their meter.
    static SHARDS: RefCell<Vec<(u64, Arc<Shard>)>> = const { RefCell::new(Vec::new()) };
}

/// The kind of an answered message: what it is counted under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// Message type: four digits; `None` stands for all types beyond those told apart.
    pub mti: Option<u16>,
    /// What became of it.
    pub decision: DecisionWord,
    /// Why.
    pub reason: Reason,
    /// DE 39 of the answer.
    pub code: ResponseCode,
}

impl Kind {
    /// As one number, never 0.
    fn packed(self) -> u64 {
        let mut code = [0_u8; 4];
        for (place, byte) in code.iter_mut().zip(self.code.bytes()) {
            *place = byte;
        }
        let word = match self.decision {
            DecisionWord::Approved => 1_u64,
            DecisionWord::Declined => 2,
            DecisionWord::Accepted => 3,
            DecisionWord::Rejected => 4,
        };
        let mti = u64::from(self.mti.unwrap_or(OTHER_MTI));
        mti << 48
            | u64::from(self.reason as u8) << 40
            | word << 32
            | u64::from(u32::from_be_bytes(code))
    }

    fn unpacked(packed: u64) -> Option<Kind> {
        let [m0, m1, reason, word, code @ ..] = packed.to_be_bytes();
        let mti = u16::from_be_bytes([m0, m1]);
        let decision = match word {
            1 => DecisionWord::Approved,
            2 => DecisionWord::Declined,
            3 => DecisionWord::Accepted,
            4 => DecisionWord::Rejected,
            _ => return None,
        };
        let code: String = code
            .into_iter()
            .filter(|byte| *byte != 0)
            .map(char::from)
            .collect();
        Some(Kind {
            mti: (mti != OTHER_MTI).then_some(mti),
            decision,
            reason: Reason::ALL.get(usize::from(reason)).copied()?,
            code: ResponseCode::from(&code).ok()?,
        })
    }
}

/// How often each kind came: open addressing in a table that never grows.
#[derive(Debug)]
struct Kinds([(AtomicU64, Count); KINDS_MAX]);

impl Kinds {
    fn note(&self, kind: Kind) {
        let packed = kind.packed();
        if !self.found(packed) {
            let other = Kind { mti: None, ..kind };
            self.found(other.packed());
        }
    }

    /// Counts it where it stands or where it fits; whether there was such a place. The last
    /// quarter is for messages of other types.
    fn found(&self, packed: u64) -> bool {
        let (told_apart, others) = self.0.split_at(KINDS_MAX - KINDS_MAX / 4);
        let is_other = packed >> 48 == u64::from(OTHER_MTI);
        let places = if is_other { others } else { told_apart };
        let hash = packed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48;
        let start = usize::try_from(hash).unwrap_or(0) % places.len();
        for (key, count) in places.iter().cycle().skip(start).take(places.len()) {
            match key.load(Relaxed) {
                0 => key.store(packed, Relaxed),
                there if there == packed => {}
                _ => continue,
            }
            count.add(1);
            return true;
        }
        false
    }
}

/// What one thread counts of one link.
#[derive(Debug)]
pub struct Shard {
    kinds: Kinds,
    rejected: Kinds,
    steps: [Times; STEPS.len()],
    repeats: Count,
    taken: Count,
    gone: Count,
}

impl Default for Shard {
    fn default() -> Shard {
        let kinds = || Kinds(std::array::from_fn(|_| Default::default()));
        Shard {
            kinds: kinds(),
            rejected: kinds(),
            steps: std::array::from_fn(|_| Times::default()),
            repeats: Count::default(),
            taken: Count::default(),
            gone: Count::default(),
        }
    }
}

impl Shard {
    /// Counts a message that the single writer answered.
    pub fn decided(&self, kind: Kind, is_repeat: bool, latency: &CorridorLatency) {
        self.kinds.note(kind);
        for (step, ns) in self.steps.iter().zip(latency.steps()) {
            step.note(ns);
        }
        if is_repeat {
            self.repeats.add(1);
        }
        self.gone.add(1);
    }

    /// Counts a message that was refused before anybody decided. These are counted apart: what a
    /// peer makes up cannot crowd out what was decided.
    pub fn rejected(&self, kind: Kind) {
        self.rejected.note(kind);
    }
}

/// The counts of one link.
#[derive(Debug)]
pub struct LinkMeter {
    number: u64,
    name: String,
    connections_max: u64,
    shards: Mutex<Vec<Arc<Shard>>>,
    /// Connections that are open now.
    pub connections_open: AtomicU64,
    signed_on: AtomicU64,
}

impl LinkMeter {
    /// Nothing counted yet.
    pub fn new(name: &str, connections_max: usize) -> LinkMeter {
        LinkMeter {
            number: METERS.fetch_add(1, Relaxed),
            name: name.to_owned(),
            connections_max: u64::try_from(connections_max).unwrap_or(u64::MAX),
            shards: Mutex::default(),
            connections_open: AtomicU64::new(0),
            signed_on: AtomicU64::new(0),
        }
    }

    /// The link.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Counts requests that wait for their answer from now on.
    pub fn taken(&self, many: usize) {
        if many > 0 {
            let many = u64::try_from(many).unwrap_or(u64::MAX);
            self.shard(|shard| shard.taken.add(many));
        }
    }

    /// Counts requests whose connection ended before their answers came.
    pub fn abandoned(&self, many: usize) {
        if many > 0 {
            let many = u64::try_from(many).unwrap_or(u64::MAX);
            self.shard(|shard| shard.gone.add(many));
        }
    }

    /// Notes whether a peer was signed on, and whether it is now.
    pub fn signed(&self, before: bool, now: bool) {
        match (before, now) {
            (false, true) => Telemetry::add(&self.signed_on),
            (true, false) => Telemetry::take(&self.signed_on),
            _ => {}
        }
    }

    /// Lets this thread count.
    pub fn shard(&self, count: impl FnOnce(&Shard)) {
        SHARDS.with_borrow_mut(|shards| {
            let known = shards.iter().position(|row| row.0 == self.number);
            let place = known.unwrap_or_else(|| {
                // Shards of links that are gone are nobody's.
                shards.retain(|row| Arc::strong_count(&row.1) > 1);
                let shard = Arc::<Shard>::default();
                let mut all = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
                all.push(Arc::clone(&shard));
                shards.push((self.number, shard));
                shards.len() - 1
            });
            if let Some((_, shard)) = shards.get(place) {
                count(shard);
            }
        });
    }

    /// Everything counted until now.
    pub fn read(&self) -> LinkReading {
        let shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        let mut reading = LinkReading {
            link: self.name.clone(),
            connections_max: self.connections_max,
            connections_open: self.connections_open.load(Relaxed),
            signed_on: self.signed_on.load(Relaxed),
            ..LinkReading::default()
        };
        let (mut taken, mut gone) = (0_u64, 0_u64);
        for shard in shards.iter() {
            // What is gone is read first: nothing can seem to have gone before it came.
            gone = gone.wrapping_add(shard.gone.get());
            reading.repeats = reading.repeats.saturating_add(shard.repeats.get());
            for (key, count) in shard.kinds.0.iter().chain(&shard.rejected.0) {
                if let Some(kind) = Kind::unpacked(key.load(Relaxed)) {
                    reading.messages.push((kind, count.get()));
                }
            }
            for (into, step) in reading.steps.iter_mut().zip(&shard.steps) {
                step.read(into);
            }
        }
        for shard in shards.iter() {
            taken = taken.wrapping_add(shard.taken.get());
        }
        reading.in_flight = taken.saturating_sub(gone);
        reading.messages.sort_by_key(|row| row.0);
        reading.messages.dedup_by(|next, kept| {
            let is_same = next.0 == kept.0;
            if is_same {
                kept.1 = kept.1.saturating_add(next.1);
            }
            is_same
        });
        reading
    }
}

/// What a link has counted, all threads together.
#[derive(Clone, Debug, Default)]
pub struct LinkReading {
    /// Its name.
    pub link: String,
    /// Connections that it takes at once.
    pub connections_max: u64,
    /// Connections that are open now.
    pub connections_open: u64,
    /// Connections whose peer has signed on, and not off.
    pub signed_on: u64,
    /// Requests that wait for their answer.
    pub in_flight: u64,
    /// Answers that were the stored ones of an earlier request.
    pub repeats: u64,
    /// Answered messages by kind, in order of the kinds.
    pub messages: Vec<(Kind, u64)>,
    /// Time of each step, by [`STEPS`].
    pub steps: [Reading; STEPS.len()],
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(mti: u16, reason: Reason, code: &str) -> Kind {
        Kind {
            mti: Some(mti),
            decision: DecisionWord::Declined,
            reason,
            code: ResponseCode::from(code).unwrap(),
        }
    }

    fn latency(ns: u64) -> CorridorLatency {
        CorridorLatency {
            decode_ns: ns,
            parse_request_ns: ns,
            sequence_ns: ns,
            decide_ns: ns,
            append_ns: ns,
            render_response_ns: ns,
            write_frame_ns: ns,
            total_ns: 7 * ns,
        }
    }

    #[test]
    fn every_kind_survives_being_packed() {
        for reason in Reason::ALL {
            for code in ["51", "116", "1000"] {
                let told = kind(1_100, reason, code);
                assert_eq!(Kind::unpacked(told.packed()), Some(told));
            }
        }
        let other = Kind {
            mti: None,
            ..kind(0, Reason::Overload, "91")
        };
        assert_eq!(Kind::unpacked(other.packed()), Some(other));
        assert_eq!(Kind::unpacked(0), None);
    }

    #[test]
    fn threads_count_by_themselves_and_are_added_up() {
        let meter = LinkMeter::new("door", 8);
        let declined = kind(100, Reason::InsufficientFunds, "51");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        meter.taken(1);
                        meter.shard(|shard| shard.decided(declined, true, &latency(500)));
                    }
                });
            }
        });
        meter.taken(5);
        meter.abandoned(2);
        let reading = meter.read();
        assert_eq!(reading.messages, [(declined, 4_000)]);
        assert_eq!((reading.in_flight, reading.repeats), (3, 4_000));
        for (step, name) in reading.steps.iter().zip(STEPS) {
            assert_eq!(step.count(), 4_000, "{name}");
        }
        assert_eq!(reading.steps[7].sum(), 4_000 * 3_500);
    }

    #[test]
    fn what_a_peer_makes_up_is_counted_together_and_crowds_nothing_out() {
        let meter = LinkMeter::new("door", 8);
        for mti in 0..10_000 {
            meter.shard(|shard| shard.rejected(kind(mti, Reason::FormatError, "30")));
        }
        let declined = kind(100, Reason::InsufficientFunds, "51");
        meter.shard(|shard| shard.decided(declined, false, &latency(1)));
        let reading = meter.read();
        let total: u64 = reading.messages.iter().map(|row| row.1).sum();
        assert_eq!(total, 10_001);
        assert!(reading.messages.len() <= KINDS_MAX + 1);
        assert!(reading.messages.contains(&(declined, 1)));
        assert!(reading.messages.iter().any(|row| row.0.mti.is_none()));
    }

    #[test]
    fn a_reason_has_its_place_in_the_list_of_all() {
        for (place, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(reason as u8), place);
        }
    }
}
