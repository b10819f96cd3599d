//! How fast a recorded day is decided again: one million decisions, written down first.
//!
//! `cargo bench --bench backtest`; `CARDSWITCH_BACKTEST_DECISIONS` sets another number. The day is
//! made with the engine itself and stored with the journal that the switch uses; then
//! `cardswitch programme backtest` runs on it, under the shipped file with one limit changed.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement says why it failed"
)]

use std::fs;
use std::path::Path;

use cardswitch::cli::programme::{BacktestArgs, backtest};
use cardswitch::domain::account::Kyc;
use cardswitch::domain::card::{CardStatus, ExpiryMonth};
use cardswitch::domain::conditions::{LocalTime, PinVerdict, PointOfService};
use cardswitch::domain::facts::{
    Certainty, Device, Facts, Initiation, IssuerRoute, LinkNumber, MessageKind, Presence, Purpose,
    Trace,
};
use cardswitch::domain::holder::Applicant;
use cardswitch::domain::merchant::{Mcc, Origin};
use cardswitch::domain::money::{Amount, Currency};
use cardswitch::domain::pan::{CardToken, Pan};
use cardswitch::domain::rulebook::Rulebook;
use cardswitch::domain::time::{BusinessDate, UnixMs};
use cardswitch::engine::command::{Body, Command, HeldBy, NewCard, OpenAccount};
use cardswitch::engine::decide::decide;
use cardswitch::engine::record;
use cardswitch::engine::state::State;
use cardswitch::journal::{Batch, Journal, SledJournal, SledOptions};
use cardswitch::switch::rulebook::LoadedRules;

/// The product's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const DECISIONS: u32 = 1_000_000;
/// With `--test`.
const SMOKE_DECISIONS: u32 = 10_000;
const ACCOUNTS: u32 = 100_000;
const BATCH_RECORDS: usize = 1_024;
/// Midnight in Tokyo.
const START: UnixMs = UnixMs(1_803_826_800_000);
const DAY_MS: i64 = 86_400_000;
const REPETITIONS: usize = 3;
const SHIPPED: &str = include_str!("../spec/programme/prepaid-jp.toml");

fn main() {
    let is_smoke = std::env::args().any(|argument| argument == "--test");
    let usual = if is_smoke { SMOKE_DECISIONS } else { DECISIONS };
    let decisions =
        std::env::var("CARDSWITCH_BACKTEST_DECISIONS").map_or(usual, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    record_day(&data, decisions);
    println!("recorded {decisions} decisions");
    let changed = folder.path().join("changed.toml");
    let from = "channel = \"purchase\"\nwindow = \"transaction\"\ncurrency = \"JPY\"\n\
                amount_max = 1_000_000";
    assert!(SHIPPED.contains(from));
    let to = from.replace("1_000_000", "4_000");
    fs::write(&changed, SHIPPED.replacen(from, &to, 1)).unwrap();
    for _ in 0..REPETITIONS {
        let args = BacktestArgs {
            file: changed.clone(),
            journal: data.clone(),
            programmes: None,
            dialects: None,
            from: None,
            until: None,
        };
        println!("{}", backtest(&args).unwrap());
    }
}

/// A day of purchases, most of them approved, by cards at random.
fn record_day(data: &Path, decisions: u32) {
    let rules = LoadedRules::load(None, None).unwrap();
    let journal = SledJournal::open(data, SledOptions::standard(), &mut |_| Ok(()));
    let mut day = Day {
        rulebook: &rules.rulebook,
        journal: journal.unwrap(),
        state: State::new(),
        batch: Batch::new(),
        dice: 0x9e37_79b9_7f4a_7c15,
    };
    day.batch.clear(1);
    for number in 0..ACCOUNTS {
        day.take(START, account(number));
    }
    for number in 0..decisions {
        let passed = i64::from(number) * DAY_MS / i64::from(decisions);
        let facts = day.purchase(number);
        day.take(UnixMs(START.0 + passed), Body::Message(facts.into()));
    }
    day.commit();
    day.journal.close().unwrap();
}

struct Day<'r> {
    rulebook: &'r Rulebook,
    journal: SledJournal,
    state: State,
    batch: Batch,
    dice: u64,
}

impl Day<'_> {
    fn take(&mut self, at: UnixMs, body: Body) {
        let sequence = self.state.sequence() + 1;
        let command = Command { sequence, at, body };
        let outcome = decide(self.rulebook, &self.state, &command);
        let event = outcome.event.unwrap();
        self.batch
            .push(|buffer| record::encode(at, &event, buffer).unwrap());
        self.state.apply(sequence, at, &event).unwrap();
        if self.batch.len() == BATCH_RECORDS {
            self.commit();
        }
    }

    fn commit(&mut self) {
        self.journal.append(&self.batch).unwrap();
        self.batch.clear(self.state.sequence() + 1);
    }

    fn below(&mut self, limit: u32) -> u32 {
        self.dice ^= self.dice >> 12;
        self.dice ^= self.dice << 25;
        self.dice ^= self.dice >> 27;
        let random = self.dice.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        u32::try_from(random % u64::from(limit)).unwrap()
    }

    /// One in fifty at a petrol station, one in twenty above what most accounts have left.
    fn purchase(&mut self, number: u32) -> Facts {
        let minor = match self.below(20) {
            0 => 90_000,
            _ => 100 + self.below(5_000),
        };
        let mcc = if self.below(50) == 0 { 5541 } else { 5411 };
        let absent = self.below(3) == 0;
        let card = self.below(ACCOUNTS);
        let kinds = [MessageKind::Authorization, MessageKind::Financial];
        let kind = kinds[usize::try_from(self.below(2)).unwrap()];
        Facts {
            kind,
            mti: if kind == MessageKind::Financial {
                200
            } else {
                100
            },
            repeat: false,
            purpose: Purpose::Purchase,
            dialect: 0,
            trace: Trace {
                originator: 123_456,
                transmitted: 301_000_000 + number / 900_000,
                stan: number % 900_000 + 1,
            },
            route: IssuerRoute::Ours,
            card: token(card),
            expiry: None,
            amount: Amount::new(i64::from(minor), Currency::JPY),
            billing: None,
            replacement_minor: None,
            mcc: Some(Mcc(mcc)),
            terminal: "TERM0001".parse().unwrap(),
            acceptor: "SHOP00000000001".parse().unwrap(),
            acceptor_name: "A SHOP                   TOKYO        JP".parse().unwrap(),
            origin: Origin::default(),
            rrn: format!("{number:012}").parse().unwrap(),
            quoted_approval: None,
            original: None,
            stand_in_approved: true,
            initiation: Initiation::Cardholder,
            certainty: Certainty::Final,
            device: Device::Ordinary,
            presence: if absent {
                Presence::Absent
            } else {
                Presence::Present
            },
            pin: PinVerdict::Absent,
            link: LinkNumber(1),
            point: PointOfService::default(),
            local: LocalTime::UNSAID,
            rare: None,
            evidence: Default::default(),
        }
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
            token: token(number),
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
