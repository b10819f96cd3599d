//! How long a switch of a million cards takes from its start to its first approval.
//!
//! `cargo bench --bench restart`. A store is made with the engine and the journal of the switch:
//! cards, decisions before a checkpoint, the checkpoint, decisions behind it. Then the real binary
//! is started on it as after a kill, and one purchase is sent as soon as it listens.
//! `CARDSWITCH_RESTART_CARDS`, `_BEFORE` (decisions before the checkpoint), `_BEHIND` and `_DAYS`
//! (over which the decisions before it lie) set other sizes.
//!
//! `cargo bench --bench restart -- --scaling` does so for one size after the other, each with few
//! decisions behind the checkpoint, and prints what the state costs on the disk, in memory and at a
//! start (a quarter of an hour, 16 GiB of memory, 12 of disk).
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement says why it failed"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use bytes::BytesMut;

use cardswitch::domain::account::Kyc;
use cardswitch::domain::card::{CardStatus, ExpiryMonth};
use cardswitch::domain::facts::{Facts, MessageKind, Purpose, Trace};
use cardswitch::domain::holder::Applicant;
use cardswitch::domain::merchant::Mcc;
use cardswitch::domain::money::{Amount, Currency};
use cardswitch::domain::pan::{CardToken, Pan};
use cardswitch::domain::time::{BusinessDate, UnixMs};
use cardswitch::engine::command::{Answer, Body, Command, HeldBy, Housekeep, NewCard, OpenAccount};
use cardswitch::engine::decide::decide;
use cardswitch::engine::record;
use cardswitch::engine::state::State;
use cardswitch::iso8583::{MessageSpec, MessageWriter};
use cardswitch::journal::{Batch, Checkpoints, HeldStore, Journal, SledJournal, SledOptions};
use cardswitch::switch::checkpointer::{Checkpointer, History, Source};
use cardswitch::switch::clock;
use cardswitch::switch::config::Config;
use cardswitch::switch::restore;
use cardswitch::switch::rulebook::LoadedRules;
use cardswitch::switch::telemetry::Telemetry;
use cardswitch::switch::token::TokenKey;

/// The product's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH_RECORDS: usize = 1_024;
const HOUR_MS: i64 = 3_600_000;
/// Decisions between two looks at what is over.
const SWEEP_EVERY: u32 = 10_000;
const REPETITIONS: usize = 3;

/// Cards, and purchases of the last 30 days: half of them are holds, all are entries.
const SCALING: [(u32, u32); 7] = [
    (10_000, 1_000_000),
    (100_000, 1_000_000),
    (1_000_000, 1_000_000),
    (5_000_000, 1_000_000),
    (1_000_000, 2_000_000),
    (1_000_000, 6_000_000),
    (1_000_000, 20_000_000),
];
const SCALING_BEHIND: u32 = 100_000;

/// Of what a store is made.
#[derive(Clone, Copy)]
struct Sizes {
    cards: u32,
    before: u32,
    behind: u32,
    days: u32,
}

fn main() {
    let has = |wanted: &str| std::env::args().any(|argument| argument == wanted);
    if has("--scaling") && !has("--test") {
        return scaling();
    }
    let size = |name: &str, standard: u32| {
        let usual = if has("--test") {
            standard / 1_000
        } else {
            standard
        };
        std::env::var(name).map_or(usual, |text| text.parse().unwrap())
    };
    let sizes = Sizes {
        cards: size("CARDSWITCH_RESTART_CARDS", 1_000_000),
        before: size("CARDSWITCH_RESTART_BEFORE", 0),
        behind: size("CARDSWITCH_RESTART_BEHIND", 2_000_000),
        days: size("CARDSWITCH_RESTART_DAYS", 30),
    };
    let folder = tempfile::tempdir().unwrap();
    let made = Made::of(folder.path(), sizes);
    let Sizes {
        cards,
        before,
        behind,
        ..
    } = sizes;
    println!("{cards} cards, {before} decisions before the checkpoint, {behind} behind it");
    println!("checkpoint of {} bytes", made.checkpoint_bytes);
    println!("entries in the state: {}", made.entries);
    for _ in 0..REPETITIONS {
        in_this_process(&made.data);
    }
    for _ in 0..REPETITIONS {
        let (seconds, _) = first_approval(&made.data);
        println!("first approval {seconds:.2} s after the start of the process");
    }
}

fn scaling() {
    println!("{SCALING_BEHIND} decisions behind the checkpoint; median of {REPETITIONS} starts");
    println!("    cards    holds  entries  checkpoint MiB  first approval s  resident MiB");
    for (cards, before) in SCALING {
        let folder = tempfile::tempdir().unwrap();
        let made = Made::of(
            folder.path(),
            Sizes {
                cards,
                before,
                behind: SCALING_BEHIND,
                days: 30,
            },
        );
        let mut starts = [(); REPETITIONS].map(|()| first_approval(&made.data));
        starts.sort_by(|one, other| one.0.total_cmp(&other.0));
        let (seconds, resident_kib) = starts[REPETITIONS / 2];
        println!(
            "{cards:>9} {:>8} {:>8} {:>15} {seconds:>17.2} {:>13}",
            made.holds,
            made.entries,
            made.checkpoint_bytes >> 20,
            resident_kib >> 10,
        );
    }
}

/// A store, and what is in it.
struct Made {
    data: PathBuf,
    holds: usize,
    entries: usize,
    checkpoint_bytes: u64,
}

impl Made {
    fn of(folder: &Path, sizes: Sizes) -> Made {
        let data = folder.join("data");
        std::fs::create_dir(&data).unwrap();
        let mut past = Past::open(&data, sizes.cards, sizes.days);
        (0..sizes.cards).for_each(|number| drop(past.take(account(number))));
        past.trade(sizes.before, i64::from(sizes.days) * 24 * HOUR_MS);
        let checkpoint_bytes = past.checkpoint(&data);
        past.trade(sizes.behind, 24 * HOUR_MS);
        let made = Made {
            data,
            holds: past.state.open_counts().2,
            entries: past.state.counts().2,
            checkpoint_bytes,
        };
        past.journal.close().unwrap();
        made
    }
}

/// What a start reads, step by step.
fn in_this_process(data: &Path) {
    let begun = clock::instant();
    let since = |at: Instant| clock::instant().saturating_duration_since(at).as_secs_f64();
    let options = SledOptions::standard();
    let held = HeldStore::take(data).unwrap();
    let restored = restore::newest(&held.checkpoints(options.cache_bytes));
    let (loaded, mut state) = (since(begun), restored.state);
    let base = restored.base.map(|base| base.position);
    let replay = clock::instant();
    let from = state.sequence();
    let journal = restore::replayed(&mut state, |replay| held.open(options, base, replay));
    let records = state.sequence() - from;
    let replayed = since(replay);
    let check = clock::instant();
    state.check_conservation().unwrap();
    println!(
        "checkpoint {loaded:.2} s, {records} records {replayed:.2} s, conservation {:.2} s",
        since(check)
    );
    journal.unwrap().close().unwrap();
}

/// Starts the switch, sends purchases until one is approved, kills it; seconds until then, and how
/// much memory the switch had, KiB.
fn first_approval(data: &Path) -> (f64, u64) {
    let begun = clock::instant();
    let mut child = Process::new(env!("CARGO_BIN_EXE_cardswitch"))
        .args(["serve", "--demo", "--listen", "127.0.0.1:0,be2,iso87-ascii"])
        .args(["--admin", "127.0.0.1:0", "--data"])
        .arg(data)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let address = address_of(&mut child);
    let mut tries = 1..;
    let seconds = loop {
        // The demo accounts are opened a moment after the doors; a decline before that would be
        // the answer to the same purchase for ever.
        let number = tries.next().unwrap();
        if purchase(&address, number) == *b"00" {
            break clock::instant()
                .saturating_duration_since(begun)
                .as_secs_f64();
        }
    };
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
    let resident = status.unwrap_or_default();
    let resident = resident.lines().find_map(|line| {
        let number = line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB")?;
        number.trim().parse().ok()
    });
    child.kill().unwrap();
    child.wait().unwrap();
    (seconds, resident.unwrap_or_default())
}

fn address_of(child: &mut Child) -> String {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let listening = lines.find_map(|line| {
        let line = line.unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        (words.first() == Some(&"listening")).then(|| words[1].to_owned())
    });
    // What else it prints is read, so that it never waits.
    std::thread::spawn(move || lines.for_each(drop));
    listening.unwrap()
}

/// The response code of a purchase by the everyday demo card.
fn purchase(address: &str, number: u32) -> [u8; 2] {
    let (trace, reference) = (format!("{number:06}"), format!("{number:012}"));
    let spec = MessageSpec::builtin("iso87-ascii").unwrap();
    let mut message = BytesMut::new();
    let mut writer = MessageWriter::begin(spec, "0100".parse().unwrap(), &mut message);
    for (element, text) in [
        (2, "4761739001010119"),
        (3, "000000"),
        (4, "000000000001"),
        (7, "0309010203"),
        (11, trace.as_str()),
        (12, "100203"),
        (13, "0309"),
        (14, "3112"),
        (18, "5411"),
        (22, "052"),
        (25, "00"),
        (32, "400001"),
        (37, reference.as_str()),
        (41, "TERM0001"),
        (42, "MARUYAMA-STORE1"),
        (43, "MARUYAMA STORE           TOKYO        JP"),
        (49, "392"),
    ] {
        writer.text(element, text).unwrap();
    }
    writer.finish().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let length = u16::try_from(message.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length[..], &message].concat()).unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer).unwrap();
    let answer = cardswitch::iso8583::decode(spec, answer.into()).unwrap();
    answer.raw(39).unwrap().try_into().unwrap()
}

/// What decides into a store as if it were earlier.
struct Past {
    rules: LoadedRules,
    journal: SledJournal,
    state: State,
    batch: Batch,
    cards: u32,
    at: UnixMs,
    traded: u32,
    dice: u64,
}

impl Past {
    fn open(data: &Path, cards: u32, days: u32) -> Past {
        TokenKey::open(data, true).unwrap();
        let journal = SledJournal::open(data, SledOptions::standard(), &mut |_| Ok(()));
        let mut batch = Batch::new();
        batch.clear(1);
        Past {
            rules: LoadedRules::load(None, None).unwrap(),
            journal: journal.unwrap(),
            state: State::new(),
            batch,
            cards,
            at: UnixMs(clock::now().0 - i64::from(days + 1) * 24 * HOUR_MS),
            traded: 0,
            dice: 0x9e37_79b9_7f4a_7c15,
        }
    }

    fn take(&mut self, body: Body) -> Answer {
        let (sequence, at) = (self.state.sequence() + 1, self.at);
        let command = Command { sequence, at, body };
        let outcome = decide(&self.rules.rulebook, &self.state, &command);
        if let Some(event) = &outcome.event {
            self.batch
                .push(|buffer| record::encode(at, event, buffer).unwrap());
            self.state.apply(sequence, at, event).unwrap();
            if self.batch.len() == BATCH_RECORDS {
                self.commit();
            }
        }
        outcome.answer
    }

    fn commit(&mut self) {
        self.journal.append(&self.batch).unwrap();
        self.batch.clear(self.state.sequence() + 1);
    }

    /// So many purchases over so much time, with what a switch forgets meanwhile.
    fn trade(&mut self, count: u32, time_ms: i64) {
        let (begin, retention) = (self.at.0, Config::standard().retention);
        let hours = |hours: u64| u32::try_from(hours).unwrap();
        for number in 0..count {
            self.at = UnixMs(begin + time_ms * i64::from(number) / i64::from(count));
            let facts = self.purchase();
            self.take(Body::Message(facts.into()));
            let terms = Housekeep {
                answers_hours: hours(retention.answers_retention_hours),
                entries_hours: hours(retention.holds_retention_days * 24),
                tombstones_hours: hours(retention.tombstone_retention_hours),
                releases_max: 256,
            };
            while number % SWEEP_EVERY == 0
                && matches!(
                    self.take(Body::Housekeep(terms)),
                    Answer::Housekept { more: true, .. }
                )
            {}
        }
        self.at = UnixMs(begin + time_ms);
        self.commit();
    }

    fn purchase(&mut self) -> Facts {
        self.traded += 1;
        self.dice ^= self.dice >> 12;
        self.dice ^= self.dice << 25;
        self.dice ^= self.dice >> 27;
        let random = self.dice.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        let card = u32::try_from(random % u64::from(self.cards)).unwrap();
        let trace = Trace {
            originator: 123_456,
            transmitted: 301_000_000 + self.traded / 900_000,
            stan: self.traded % 900_000 + 1,
        };
        let kinds = [MessageKind::Authorization, MessageKind::Financial];
        let kind = kinds[usize::from(random & (1 << 20) == 0)];
        let amount = Amount::new(100 + i64::from(self.traded % 900), Currency::JPY);
        Facts {
            mcc: Some(Mcc(5_411)),
            terminal: "TERM0001".parse().unwrap(),
            acceptor: "SHOP00000000001".parse().unwrap(),
            rrn: format!("{:012}", self.traded).parse().unwrap(),
            ..Facts::beside_the_wire(kind, Purpose::Purchase, trace, token(card + 1), amount)
        }
    }

    /// Its bytes.
    fn checkpoint(&mut self, data: &Path) -> u64 {
        let telemetry = Arc::new(Telemetry::default());
        telemetry.records.store(self.state.sequence(), Relaxed);
        let source = Source {
            data_dir: data.to_path_buf(),
            reader: self.journal.reader().unwrap(),
            checkpoints: Checkpoints::of(data, SledOptions::standard().cache_bytes),
            last: 0,
            begun_at: 0,
            telemetry,
        };
        let terms = Config::standard().checkpoint;
        let checkpointer = Checkpointer::start(source, terms).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let made = runtime
            .unwrap()
            .block_on(checkpointer.desk().make(History::AsConfigured));
        checkpointer.end(false);
        made.unwrap().map_or(0, |made| made.bytes)
    }
}

fn token(number: u32) -> CardToken {
    let mixed = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    CardToken(mixed.to_be_bytes())
}

fn account(number: u32) -> Body {
    Body::OpenAccount(Box::new(OpenAccount {
        programme: "prepaid-jp".parse().unwrap(),
        kyc: Kyc::Verified,
        balances: vec![("withdrawable".to_owned(), 60_000)],
        card: NewCard {
            token: token(number + 1),
            masked: Pan::parse("4761739001010119").unwrap().masked(),
            expiry: ExpiryMonth::from_yymm(3112),
            status: CardStatus::Active,
        },
        holder: HeldBy::Applicant(Applicant {
            born: BusinessDate(-7_000),
            consent: false,
        }),
    }))
}
