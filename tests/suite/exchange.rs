//! Money of several currencies under random rates: nothing is lost, no approval goes below zero,
//! and what is undone gives back exactly what was taken.

use cardswitch::domain::account::{AccountId, Kyc};
use cardswitch::domain::card::{CardStatus, ExpiryMonth};
use cardswitch::domain::conditions::PinVerdict;
use cardswitch::domain::facts::{Facts, Purpose};
use cardswitch::domain::holder::Applicant;
use cardswitch::domain::money::{Amount, Currency};
use cardswitch::domain::pan::Pan;
use cardswitch::domain::rate::Rate;
use cardswitch::domain::rate_file::RateRow;
use cardswitch::domain::rulebook::Rulebook;
use cardswitch::domain::time::{BusinessDate, UnixMs};
use cardswitch::engine::command::{Answer, Body, Command, HeldBy, NewCard, OpenAccount};
use cardswitch::engine::decide::decide;
use cardswitch::engine::operation::Order;
use cardswitch::engine::operation_money::MoneyOrder;
use cardswitch::engine::record;
use cardswitch::engine::state::State;
use cardswitch::switch::rulebook::LoadedRules;

use crate::decisions_notation::{instant, plain_facts, token, trace};

const ROUNDS: u64 = 120;
const STEPS: u32 = 60;
const CURRENCIES: [&str; 7] = ["JPY", "USD", "EUR", "GBP", "AUD", "CHF", "KWD"];

struct Table<'a> {
    rulebook: &'a Rulebook,
    state: State,
    replayed: State,
    now: UnixMs,
    dice: u64,
    stan: u32,
    /// Purchases of each card that were approved, the latest last.
    approved: Vec<Facts>,
}

#[test]
fn money_of_several_currencies_is_conserved_and_given_back_exactly() {
    let rules = LoadedRules::load(None, None).unwrap();
    let mut undone = 0;
    for seed in 1..=ROUNDS {
        let mut table = Table::new(&rules.rulebook, seed);
        for step in 0..STEPS {
            undone += table
                .step()
                .unwrap_or_else(|wrong| panic!("seed {seed}, step {step}: {wrong}"));
        }
        let digests = (table.state.digest(), table.replayed.digest());
        assert_eq!(digests.0, digests.1, "seed {seed}: a replay differs");
    }
    assert!(undone > 300, "only {undone} purchases were undone");
}

impl Table<'_> {
    fn new(rulebook: &Rulebook, seed: u64) -> Table<'_> {
        let mut table = Table {
            rulebook,
            state: State::new(),
            replayed: State::new(),
            now: instant("2027-03-01 12:00").unwrap(),
            dice: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            stan: 0,
            approved: Vec::new(),
        };
        let travel = [
            ("jpy", 90_000),
            ("usd", 30_000),
            ("eur", 20_000),
            ("gbp", 500),
        ];
        let prepaid = [("withdrawable", 60_000), ("non-withdrawable", 50_000)];
        table.open("T", "travel", &travel);
        table.open("K", "prepaid-jp", &prepaid);
        table.move_rates();
        table
    }

    fn open(&mut self, card: &str, programme: &str, purses: &[(&str, i64)]) {
        let balances = purses.iter().map(|row| (row.0.to_owned(), row.1));
        let account = OpenAccount {
            programme: programme.parse().unwrap(),
            kyc: Kyc::Verified,
            balances: balances.collect(),
            card: NewCard {
                token: token(card),
                masked: Pan::parse("4761739001010119").unwrap().masked(),
                expiry: ExpiryMonth::from_yymm(3112),
                status: CardStatus::Active,
            },
            holder: match programme {
                "prepaid-jp" => HeldBy::Applicant(Applicant {
                    born: BusinessDate(-7_000),
                    consent: false,
                }),
                _ => HeldBy::Nobody,
            },
        };
        self.execute(Body::OpenAccount(Box::new(account))).unwrap();
    }

    /// Half of the rates there could be, each within a tenth of where it began.
    fn move_rates(&mut self) {
        let begun = [
            ("USD", 150_000),
            ("EUR", 170_000),
            ("GBP", 200_000),
            ("CHF", 180_000),
        ];
        let mut rows = Vec::new();
        for (letters, thousandths) in begun {
            let moved = thousandths * (90 + self.below(20)) / 100 + self.below(999);
            let text = format!("{}.{:03}", moved / 1_000, moved % 1_000);
            if self.below(2) == 0 {
                rows.push(RateRow {
                    from: Currency::from_alpha(letters).unwrap(),
                    to: Currency::JPY,
                    rate: Rate::parse(&text).unwrap(),
                    effective: self.now,
                });
            }
        }
        let order = Order::Money(MoneyOrder::SetRates(rows));
        self.execute(Body::Operate(Box::new(order))).unwrap();
    }

    /// One step; how many purchases it undid from end to end.
    fn step(&mut self) -> Result<u32, String> {
        self.now.0 += i64::try_from(self.below(3_600_000)).unwrap();
        match self.below(10) {
            0 => {
                self.move_rates();
                Ok(0)
            }
            1..=3 if !self.approved.is_empty() => self.follow().map(|()| 0),
            _ => self.purchase(),
        }
    }

    /// A purchase that does not go below zero, and now and then its whole way back.
    fn purchase(&mut self) -> Result<u32, String> {
        let card = if self.below(2) == 0 { "T" } else { "K" };
        let index = usize::try_from(self.below(7)).unwrap();
        let currency = Currency::from_alpha(CURRENCIES[index]).unwrap();
        let minor = i64::try_from(1 + self.below(40_000)).unwrap();
        let mti = if self.below(2) == 0 { 100 } else { 200 };
        let mut facts = self.facts(mti);
        facts.card = token(card);
        facts.amount = Amount::new(minor, currency);
        if card == "T" && self.below(5) == 0 {
            facts.purpose = Purpose::CashWithdrawal;
            facts.pin = PinVerdict::Correct;
        }
        let before = self.money();
        if !self.send(&facts)? {
            return same("money after a decline", &before, &self.money()).map(|()| 0);
        }
        let was_below: Vec<bool> = before.0.iter().map(|row| row.0 - row.1 < 0).collect();
        for (row, was_below) in self.money().0.iter().zip(was_below) {
            if row.0 - row.1 < 0 && !was_below {
                return Err(format!("approved below zero: {:?}", self.money()));
            }
        }
        if self.below(2) == 0 {
            self.approved.push(facts);
            return Ok(0);
        }
        if self.below(2) == 0 {
            self.move_rates();
        }
        let mut reversal = self.facts(420);
        (reversal.card, reversal.amount) = (facts.card, facts.amount);
        reversal.original = Some(facts.trace);
        self.send(&reversal)?;
        same("money after a reversal", &before, &self.money()).map(|()| 1)
    }

    /// A capture, a partial reversal, a refund or an advice about an earlier purchase.
    fn follow(&mut self) -> Result<(), String> {
        let back = usize::try_from(self.below(4)).unwrap() % self.approved.len();
        let earlier = self.approved[self.approved.len() - 1 - back].clone();
        let mti = [220, 220, 120, 420, 200][usize::try_from(self.below(5)).unwrap()];
        let mut facts = self.facts(mti);
        (facts.card, facts.amount) = (earlier.card, earlier.amount);
        facts.original = Some(earlier.trace);
        let part = i64::try_from(self.below(earlier.amount.minor.unsigned_abs() * 5 / 4)).unwrap();
        match mti {
            200 => {
                facts.purpose = Purpose::Refund;
                facts.amount.minor = part.max(1);
            }
            420 => facts.replacement_minor = Some(part.min(facts.amount.minor)),
            _ => {
                facts.purpose = earlier.purpose;
                facts.amount.minor = part.max(1);
            }
        }
        self.send(&facts).map(|_| ())
    }

    fn facts(&mut self, mti: u16) -> Facts {
        self.stan += 1;
        Facts {
            trace: trace(self.stan),
            ..plain_facts(mti).unwrap()
        }
    }

    /// Whether a message was approved.
    fn send(&mut self, facts: &Facts) -> Result<bool, String> {
        match self.execute(Body::Message(facts.clone().into()))? {
            Answer::Decided(decision) => Ok(decision.is_approved()),
            other => Err(format!("{other:?}")),
        }
    }

    fn execute(&mut self, body: Body) -> Result<Answer, String> {
        let (sequence, at) = (self.state.sequence() + 1, self.now);
        let outcome = decide(self.rulebook, &self.state, &Command { sequence, at, body });
        if let Some(event) = &outcome.event {
            let mut bytes = Vec::new();
            record::encode(at, event, &mut bytes).map_err(|error| error.to_string())?;
            let (read_at, read) = record::decode(&bytes).map_err(|error| error.to_string())?;
            self.state
                .apply(sequence, at, event)
                .and_then(|()| self.replayed.apply(sequence, read_at, &read))
                .map_err(|broken| format!("{broken}\n{event:#?}"))?;
        }
        let conserved = self.state.check_conservation();
        conserved.map_err(|broken| broken.to_string())?;
        Ok(outcome.answer)
    }

    /// Balance and held of every purse, and every total of the ledger that is not zero.
    fn money(&self) -> (Vec<(i64, i64)>, Vec<String>) {
        let purses = [AccountId(1), AccountId(2)].into_iter().flat_map(|id| {
            let balances = self.state.balances(id);
            balances.into_iter().map(|row| (row.balance, row.held))
        });
        let totals = self.state.ledger().totals().filter(|row| row.2 != 0);
        (
            purses.collect(),
            totals.map(|row| format!("{row:?}")).collect(),
        )
    }

    /// A small generator (xorshift64*): the same seed, the same steps, on every machine.
    fn below(&mut self, limit: u64) -> u64 {
        self.dice ^= self.dice >> 12;
        self.dice ^= self.dice << 25;
        self.dice ^= self.dice >> 27;
        (self.dice.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % limit.max(1)
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, got: &T) -> Result<(), String> {
    if expected == got {
        Ok(())
    } else {
        Err(format!("{what}: expected {expected:?}, got {got:?}"))
    }
}
