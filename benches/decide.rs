//! Step `decide`: a purchase judged by the full prepaid-jp rules and applied, at random cards.
//!
//! Ids are `decide/<what>/<accounts>`. `bare` is the control of the same run: find the card, check
//! and change the balance, insert a hold and an idempotency key, and nothing else. Quote `decide`
//! as a multiple of it: both wait for the same memory. What grows with every
//! purchase starts over from freshly opened accounts when it has taken `PURCHASES_MAX`.
//!
//! `decide/<what> beside holds/<holds>` is the same at a million accounts with so many open holds:
//! the growth with accounts and holds should be that of the control, which waits for memory alike.
//!
//! What is `in batches` looks at the memory of `BATCH_READ` purchases before it takes the first, as
//! the switch does with what one read brought; so does its control.
#![expect(
    clippy::unwrap_used,
    reason = "a bench stops on what cannot be decided"
)]

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Duration;

use cardswitch::domain::account::Kyc;
use cardswitch::domain::card::{CardStatus, ExpiryMonth};
use cardswitch::domain::conditions::{LocalTime, PinVerdict, PointOfService};
use cardswitch::domain::decision::Reason;
use cardswitch::domain::facts::{
    Certainty, Device, Facts, Initiation, IssuerRoute, LinkNumber, MessageKind, Presence, Purpose,
    Trace, TraceKey,
};
use cardswitch::domain::holder::Applicant;
use cardswitch::domain::merchant::{Mcc, Origin};
use cardswitch::domain::money::{Amount, Currency};
use cardswitch::domain::pan::{CardToken, Pan};
use cardswitch::domain::rulebook::Rulebook;
use cardswitch::domain::time::{BusinessDate, UnixMs};
use cardswitch::engine::command::{Answer, Body, Command, HeldBy, NewCard, OpenAccount};
use cardswitch::engine::decide::decide;
use cardswitch::engine::state::State;
use cardswitch::switch::rulebook::LoadedRules;
use criterion::measurement::{Measurement, WallTime};
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use foldhash::fast::RandomState;

const ACCOUNTS: [u32; 4] = [10_000, 100_000, 1_000_000, 5_000_000];
/// Holds that are open already, at this number of accounts.
const HOLDS: [usize; 3] = [1_000_000, 3_000_000, 10_000_000];
const ACCOUNTS_WITH_HOLDS: u32 = 1_000_000;
const BALANCE: i64 = 2_000_000;
/// So that memory stays bounded, and below the 200 purchases a day of every card.
const PURCHASES_MAX: usize = 200_000;
const BATCH: usize = 1_000;
const BATCH_READ: usize = 32;
const START: UnixMs = UnixMs(1_803_870_000_000);

/// The product's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn bench(criterion: &mut Criterion) {
    let rules = LoadedRules::load(None, None).unwrap();
    let mut group = criterion.benchmark_group("decide");
    group.throughput(Throughput::Elements(1));
    // Whether it runs at all is seen with the first of them.
    let is_smoke = std::env::args().any(|argument| argument == "--test");
    let (sizes, holds) = match is_smoke {
        true => (&ACCOUNTS[..1], &HOLDS[..0]),
        false => (&ACCOUNTS[..], &HOLDS[..]),
    };
    for &accounts in sizes {
        for (name, at_once) in [("bare", 1), ("bare in batches", BATCH_READ)] {
            let id = BenchmarkId::new(name, accounts);
            bare(&mut group, id, (accounts, 0), at_once);
        }
        for (name, applies, at_once) in [
            ("decide", false, 1),
            ("decide and apply", true, 1),
            ("decide in batches", false, BATCH_READ),
            ("decide and apply in batches", true, BATCH_READ),
        ] {
            let id = BenchmarkId::new(name, accounts);
            let desk = || Desk::open(accounts, &rules.rulebook);
            engine(&mut group, id, desk, (applies, at_once));
        }
    }
    for &holds in holds {
        let accounts = ACCOUNTS_WITH_HOLDS;
        let id = BenchmarkId::new("bare in batches beside holds", holds);
        bare(&mut group, id, (accounts, holds), BATCH_READ);
        let id = BenchmarkId::new("decide in batches beside holds", holds);
        let desk = || Desk::with_holds(accounts, holds, &rules.rulebook);
        engine(&mut group, id, desk, (false, BATCH_READ));
    }
    group.finish();
}

fn engine<'r>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    open: impl Fn() -> Desk<'r>,
    (applies, at_once): (bool, usize),
) {
    // For all samples of it, and not before it is known to be wanted.
    let mut desk = None;
    group.bench_function(id, |bencher| {
        let desk = desk.get_or_insert_with(&open);
        bencher.iter_custom(|rounds| {
            in_batches(rounds, |purchases| {
                if applies && desk.purchases > PURCHASES_MAX {
                    *desk = open();
                }
                let commands = desk.commands(purchases, applies);
                timed(|| {
                    for batch in commands.chunks(at_once) {
                        desk.look_at(batch);
                        batch.iter().for_each(|command| desk.take(command, applies));
                    }
                })
            })
        });
    });
}

fn bare(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    (accounts, holds): (u32, usize),
    at_once: usize,
) {
    let mut desk = None;
    group.bench_function(id, |bencher| {
        let desk = desk.get_or_insert_with(|| BareDesk::open(accounts, holds));
        bencher.iter_custom(|rounds| {
            in_batches(rounds, |purchases| {
                if desk.holds.len() > holds + PURCHASES_MAX {
                    *desk = BareDesk::open(accounts, holds);
                }
                let orders = desk.orders(purchases);
                timed(|| {
                    for batch in orders.chunks(at_once) {
                        desk.look_at(batch);
                        batch.iter().for_each(|order| desk.take(order));
                    }
                })
            })
        });
    });
}

/// Purchases are made ready outside of the measured time, a batch at once.
fn in_batches(rounds: u64, mut batch: impl FnMut(usize) -> Duration) -> Duration {
    let mut left = usize::try_from(rounds).unwrap();
    let mut spent = Duration::ZERO;
    while left > 0 {
        let purchases = left.min(BATCH);
        spent += batch(purchases);
        left -= purchases;
    }
    spent
}

fn timed(work: impl FnOnce()) -> Duration {
    let started = WallTime.start();
    work();
    WallTime.end(started)
}

/// The engine with its state and the dice.
struct Desk<'r> {
    rulebook: &'r Rulebook,
    state: State,
    accounts: u32,
    purchases: usize,
    random: Random,
}

impl Desk<'_> {
    fn open(accounts: u32, rulebook: &Rulebook) -> Desk<'_> {
        let mut state = State::new();
        for number in 0..accounts {
            let sequence = state.sequence() + 1;
            let body = Body::OpenAccount(Box::new(account(number)));
            let command = Command {
                sequence,
                at: START,
                body,
            };
            let event = decide(rulebook, &state, &command).event.unwrap();
            state.apply(sequence, START, &event).unwrap();
        }
        Desk {
            rulebook,
            state,
            accounts,
            purchases: 0,
            random: Random(8583),
        }
    }

    /// The same with so many open holds.
    fn with_holds(accounts: u32, holds: usize, rulebook: &Rulebook) -> Desk<'_> {
        let mut desk = Desk::open(accounts, rulebook);
        while desk.purchases < holds {
            let commands = desk.commands(BATCH.min(holds - desk.purchases), true);
            commands.iter().for_each(|command| desk.take(command, true));
        }
        desk
    }

    /// Purchases, numbered in a row where they are to be applied.
    fn commands(&mut self, count: usize, applies: bool) -> Vec<Command> {
        let next = self.state.sequence() + 1;
        let commands = (next..).take(count).map(|in_a_row| {
            self.purchases += 1;
            let card = self.random.below(self.accounts);
            Command {
                sequence: if applies { in_a_row } else { next },
                at: START,
                body: Body::Message(std::sync::Arc::new(facts(card, self.purchases))),
            }
        });
        commands.collect()
    }

    fn look_at(&self, batch: &[Command]) {
        if batch.len() < 2 {
            return;
        }
        let messages = batch.iter().filter_map(|command| match &command.body {
            Body::Message(facts) => Some(&**facts),
            _ => None,
        });
        black_box(self.state.glance(messages));
    }

    fn take(&mut self, command: &Command, applies: bool) {
        let outcome = decide(self.rulebook, &self.state, command);
        if let (true, Some(event)) = (applies, &outcome.event) {
            let (sequence, at) = (command.sequence, command.at);
            self.state.apply(sequence, at, event).unwrap();
        }
        // Looked at where it is: by value it would be copied before it is there to be read.
        match &black_box(&outcome).answer {
            Answer::Decided(decision) => assert_eq!(decision.reason, Reason::Approved),
            other => panic!("{other:?}"),
        }
    }
}

/// The least that any issuer does: no rule, no record, no way back.
struct BareDesk {
    accounts: u32,
    balances: HashMap<CardToken, i64, RandomState>,
    holds: HashMap<u64, (CardToken, i64), RandomState>,
    seen: HashMap<TraceKey, u64, RandomState>,
    random: Random,
}

impl BareDesk {
    fn open(accounts: u32, holds: usize) -> BareDesk {
        let mut desk = BareDesk {
            accounts,
            balances: (0..accounts)
                .map(|number| (token(number), BALANCE))
                .collect(),
            holds: HashMap::default(),
            seen: HashMap::default(),
            random: Random(8583),
        };
        while desk.holds.len() < holds {
            let orders = desk.orders(BATCH.min(holds - desk.holds.len()));
            orders.iter().for_each(|order| desk.take(order));
        }
        desk
    }

    fn orders(&mut self, count: usize) -> Vec<(CardToken, i64, TraceKey)> {
        let first = self.holds.len();
        let orders = (first..first + count).map(|number| {
            let facts = facts(self.random.below(self.accounts), number);
            (facts.card, facts.amount.minor, facts.key())
        });
        orders.collect()
    }

    fn look_at(&self, batch: &[(CardToken, i64, TraceKey)]) {
        if batch.len() < 2 {
            return;
        }
        for (card, _, key) in batch {
            black_box((self.balances.get(card), self.seen.contains_key(key)));
        }
    }

    fn take(&mut self, (card, minor, key): &(CardToken, i64, TraceKey)) {
        let balance = self.balances.get_mut(card).unwrap();
        assert!(*balance >= *minor);
        *balance -= minor;
        let hold = self.holds.len() as u64;
        self.holds.insert(hold, (*card, *minor));
        self.seen.insert(*key, hold);
    }
}

fn account(number: u32) -> OpenAccount {
    OpenAccount {
        programme: "prepaid-jp".parse().unwrap(),
        kyc: Kyc::Verified,
        balances: vec![
            ("withdrawable".to_owned(), BALANCE),
            ("non-withdrawable".to_owned(), 1_000),
        ],
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
    }
}

/// Tokens are keyed hashes, so they are spread like this.
fn token(number: u32) -> CardToken {
    let mut random = Random(u64::from(number) + 1);
    let (high, low) = (random.next().to_be_bytes(), random.next().to_be_bytes());
    let bytes = [high, low].concat();
    CardToken(bytes.try_into().unwrap())
}

fn facts(card: u32, number: usize) -> Facts {
    let number = u32::try_from(number).unwrap();
    let rrn = format!("{number:012}");
    Facts {
        kind: MessageKind::Authorization,
        mti: 100,
        repeat: false,
        purpose: Purpose::Purchase,
        dialect: 0,
        trace: Trace {
            originator: 123_456,
            transmitted: 301_030_000 + number / 1_000_000,
            stan: number % 1_000_000,
        },
        route: IssuerRoute::Ours,
        card: token(card),
        expiry: ExpiryMonth::from_yymm(3112),
        amount: Amount::new(100, Currency::JPY),
        billing: None,
        replacement_minor: None,
        mcc: Some(Mcc(5411)),
        terminal: "TERM0001".parse().unwrap(),
        acceptor: "SHOP00000000001".parse().unwrap(),
        acceptor_name: "A shop in Tokyo                       JP".parse().unwrap(),
        origin: Origin {
            acquirer_country: Some(392),
            merchant_country: Some(*b"JP"),
        },
        rrn: rrn.parse().unwrap(),
        quoted_approval: None,
        original: None,
        stand_in_approved: true,
        initiation: Initiation::Cardholder,
        certainty: Certainty::Final,
        device: Device::Ordinary,
        presence: Presence::Present,
        pin: PinVerdict::Absent,
        link: LinkNumber(1),
        point: PointOfService::default(),
        local: LocalTime::ahead_by(9 * 3_600),
        rare: None,
        evidence: Default::default(),
    }
}

/// SplitMix64: the same purchases in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u32) -> u32 {
        u32::try_from(self.next() % u64::from(limit)).unwrap()
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
