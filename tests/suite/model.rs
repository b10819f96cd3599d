//! The engine against the oracle of `model_oracle.rs`: random commands, the same answers and books.
//!
//! `CARDSWITCH_MODEL_COMMANDS` sets how many commands, `CARDSWITCH_MODEL_SEED` where the seeds
//! begin; a failure names the seed of its round.

use std::collections::{BTreeMap, BTreeSet};

use cardswitch::domain::account::{AccountId, ProgrammeName};
use cardswitch::domain::card::{CardId, CardStatus, ExpiryMonth};
use cardswitch::domain::decision::{ApprovalCode, Reason};
use cardswitch::domain::exchange::Billed;
use cardswitch::domain::facts::Facts;
use cardswitch::domain::holder::Applicant;
use cardswitch::domain::money::Currency;
use cardswitch::domain::pan::Pan;
use cardswitch::domain::programme::Programme;
use cardswitch::domain::programme_file;
use cardswitch::domain::rate::Rate;
use cardswitch::domain::rate_file::RateRow;
use cardswitch::domain::rulebook::Rulebook;
use cardswitch::domain::time::{BusinessDate, UnixMs};
use cardswitch::engine::approval::approval_code;
use cardswitch::engine::command::{
    Answer, Body, Command, HeldBy, Housekeep, NewCard, OpenAccount, Opened, Outcome,
};
use cardswitch::engine::decide::decide;
use cardswitch::engine::entry::EntryId;
use cardswitch::engine::ledger::LedgerAccount;
use cardswitch::engine::operation::Order;
use cardswitch::engine::operation_money::{MoneyOrder, Transfer};
use cardswitch::engine::record;
use cardswitch::engine::state::State;
use cardswitch::switch::rulebook::LoadedRules;

use crate::checkpoints::{read_back, written};
use crate::decisions_notation::{instant, token};
use crate::model_books::{HeldCard, Met, Oracle, Place, Product};
use crate::model_dice::{Dice, amount};
use crate::model_holders::holders;
use crate::model_operators::{Came, Moved, Target};
use crate::model_rates::{Number, StatedRate};

const COMMANDS: u64 = 50_000;
const COMMANDS_OF_A_ROUND: u64 = 250;
const ANSWERS_HOURS: u32 = 48;
const ENTRIES_HOURS: u32 = 240;

/// What the shell gives, what needs a programme that is not loaded, and what no message here can
/// meet: a device that is away, listed merchants, blocks by place and time.
const NOT_ON_THE_TABLE: [Reason; 8] = [
    Reason::FormatError,
    Reason::NotSignedOn,
    Reason::Overload,
    Reason::SystemFault,
    Reason::HsmUnavailable,
    Reason::MerchantDenied,
    Reason::CountryNotAllowed,
    Reason::TimeNotAllowed,
];

#[test]
fn engine_and_oracle_agree_on_random_commands() {
    let commands = setting("CARDSWITCH_MODEL_COMMANDS", COMMANDS);
    let first_seed = setting("CARDSWITCH_MODEL_SEED", 1);
    let prepaid = include_str!("../../spec/programme/prepaid-jp.toml");
    // A lower count, so that it is reached; and the other published way of refunding.
    let counted = prepaid.replace("count_max = 200\n", "count_max = 2\n");
    // Approvals of a part as well.
    let refilling = counted
        .replace("[home]", "partial_approval = true\n[home]")
        .replace("authorization = \"pending\"", "authorization = \"credit\"")
        .replace(
            "needs_original = false",
            "needs_original = false\nrefill_first = \"withdrawable\"",
        );
    let rulebooks = [rulebook(&counted), rulebook(&refilling)];
    let (mut given, mut met) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..commands.div_ceil(COMMANDS_OF_A_ROUND) {
        let seed = first_seed + round;
        let refills = seed % 2 == 1;
        let mut table = Table::new(&rulebooks[usize::from(refills)], seed, refills);
        for step in 0..COMMANDS_OF_A_ROUND {
            if let Err(difference) = table.step() {
                panic!("seed {seed}, step {step}: {difference}");
            }
            // A switch that starts from a checkpoint decides on like one that never stopped.
            if step % 50 == seed % 50 {
                table.state = read_back(&written(&table.state));
            }
        }
        assert!(
            written(&table.state) == written(&table.replayed),
            "seed {seed}: a checkpoint of a replay differs"
        );
        let digests = (table.state.digest(), table.replayed.digest());
        assert_eq!(digests.0, digests.1, "seed {seed}: a replay differs");
        given.extend(table.given);
        met.extend(table.oracle.met);
    }
    let missing: Vec<Reason> = Reason::ALL
        .into_iter()
        .filter(|reason| !given.contains(reason) && !NOT_ON_THE_TABLE.contains(reason))
        .collect();
    let not_met: Vec<Met> = Met::ALL
        .into_iter()
        .filter(|what| !met.contains(what))
        .collect();
    assert!(
        commands < COMMANDS || (missing.is_empty() && not_met.is_empty()),
        "never given: {missing:?}; never happened: {not_met:?}"
    );
}

fn setting(name: &str, standard: u64) -> u64 {
    std::env::var(name).map_or(standard, |text| text.parse().unwrap())
}

fn rulebook(prepaid: &str) -> Rulebook {
    let mut rulebook = Rulebook::clone(&LoadedRules::load(None, None).unwrap().rulebook);
    let changed = programme_file::parse("prepaid-jp", prepaid).unwrap();
    let is_prepaid = |programme: &&mut Programme| programme.name == changed.name;
    *rulebook.programmes.iter_mut().find(is_prepaid).unwrap() = changed.clone();
    rulebook
}

/// Both at one table, with the dice.
struct Table<'a> {
    rulebook: &'a Rulebook,
    state: State,
    replayed: State,
    oracle: Oracle,
    now: UnixMs,
    dice: Dice,
    sent: Vec<Facts>,
    /// The record that opened each deal of the oracle.
    opened: Vec<u64>,
    approvals: Vec<ApprovalCode>,
    given: BTreeSet<Reason>,
    /// What each answer said that the cardholder is billed, by its record.
    billed: BTreeMap<u64, Option<Billed>>,
    /// Movements that were asked for, when first, and under which references.
    moved: Vec<(Moved, UnixMs, String)>,
}

type Step = Result<(), String>;

impl Table<'_> {
    fn new(rulebook: &Rulebook, seed: u64, refills: bool) -> Table<'_> {
        let (holders, cards) = holders().into_iter().unzip();
        let mut table = Table {
            rulebook,
            state: State::new(),
            replayed: State::new(),
            oracle: Oracle::new(holders, cards, refills),
            now: instant("2027-03-25 12:00").unwrap(),
            dice: Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            sent: Vec::new(),
            opened: Vec::new(),
            approvals: Vec::new(),
            given: BTreeSet::new(),
            billed: BTreeMap::new(),
            moved: Vec::new(),
        };
        for number in 0..table.oracle.holders.len() {
            table.open(number);
        }
        table
    }

    fn open(&mut self, number: usize) {
        let holder = &self.oracle.holders[number];
        let (programme, names): (_, &[&str]) = match holder.product {
            Product::Prepaid => ("prepaid-jp", &["withdrawable", "non-withdrawable"]),
            Product::GiftCode => ("gift-code", &["face-value"]),
            Product::Travel => ("travel", &["jpy", "usd", "eur", "gbp", "aud"]),
        };
        let balances = names.iter().zip(&holder.purses);
        let account = OpenAccount {
            programme: ProgrammeName::from(programme).unwrap(),
            kyc: holder.kyc,
            balances: balances
                .map(|(name, purse)| (String::from(*name), purse.1))
                .collect(),
            card: new_card(&self.oracle.cards[number]),
            holder: match holder.product {
                Product::Prepaid => HeldBy::Applicant(Applicant {
                    born: BusinessDate(-7_000),
                    consent: false,
                }),
                Product::GiftCode | Product::Travel => HeldBy::Nobody,
            },
        };
        let outcome = self.execute(Body::OpenAccount(Box::new(account))).unwrap();
        let Answer::Opened(Opened::Created(AccountId(id), _)) = outcome.answer else {
            panic!("{:?}", outcome.answer);
        };
        assert_eq!(usize::try_from(id).unwrap(), number + 1);
    }

    fn step(&mut self) -> Step {
        let jump_ms = match self.dice.below(100) {
            0..70 => self.dice.below(60_000),
            70..92 => self.dice.below(6 * 3_600_000),
            92..98 => self.dice.below(3 * 86_400_000),
            _ => self.dice.below(20 * 86_400_000),
        };
        self.now.0 += i64::try_from(jump_ms).unwrap();
        if self.dice.chance(4) {
            return self.housekeep();
        }
        if self.dice.chance(10) {
            return self.operate();
        }
        let cards = self.oracle.cards.iter().map(|card| {
            let product = self.oracle.holders[card.holder].product;
            (card.token, product != Product::GiftCode)
        });
        let cards: Vec<_> = cards.collect();
        let facts = self.dice.message(&self.sent, &self.approvals, &cards);
        self.send(facts)
    }

    fn housekeep(&mut self) -> Step {
        let releases_max = usize::try_from(1 + self.dice.below(4)).unwrap();
        let body = Body::Housekeep(Housekeep {
            answers_hours: ANSWERS_HOURS,
            entries_hours: ENTRIES_HOURS,
            tombstones_hours: ANSWERS_HOURS,
            releases_max,
        });
        let answer = self.execute(body)?.answer;
        let Answer::Housekept { released, more } = answer else {
            return Err(format!("{answer:?}"));
        };
        let (answers, entries) = (i64::from(ANSWERS_HOURS), i64::from(ENTRIES_HOURS));
        let expected = self
            .oracle
            .housekeep(self.now, releases_max, answers, entries);
        same("released and more", &expected, &(released, more))?;
        self.compare_books()
    }

    /// An operator does something beside the wire.
    fn operate(&mut self) -> Step {
        let (body, expected) = match self.dice.below(20) {
            0..2 => {
                let card = self.any_card();
                self.oracle.cards[card].wrong_tries = 0;
                (Body::UnlockPin(card_id(card)), Came::Done)
            }
            2..5 => {
                let (active, frozen) = (CardStatus::Active, CardStatus::Frozen);
                let statuses = [active, active, active, frozen, CardStatus::Lost];
                let (card, status) = (self.any_card(), self.dice.pick(&statuses));
                let order = Order::ChangeCardStatus(card_id(card), status);
                let expected = self.oracle.change_status(card, status);
                (Body::Operate(Box::new(order)), expected)
            }
            5 => self.replace(),
            6..9 => self.set_rates(),
            9..13 => self.move_money(),
            13 if self.dice.chance(40) => {
                let holder = self.any_holder();
                let order = Order::CloseAccount(account_id(holder));
                (Body::Operate(Box::new(order)), self.oracle.close(holder))
            }
            _ if self.opened.is_empty() => return Ok(()),
            _ => {
                let deals = u64::try_from(self.opened.len()).unwrap();
                let deal = deals - 1 - self.dice.below(deals.min(12));
                let deal = usize::try_from(deal).unwrap();
                let order = Order::ReleaseHold(EntryId(self.opened[deal]));
                let expected = self.oracle.release(self.now, deal);
                (Body::Operate(Box::new(order)), expected)
            }
        };
        let told = format!("{body:?}");
        let came = match self.execute(body)?.answer {
            Answer::PinChanged(true) => Came::Done,
            Answer::Ordered(Ok(done)) if done.before => Came::Before,
            Answer::Ordered(Ok(_)) => Came::Done,
            Answer::PinChanged(false) | Answer::Ordered(Err(_)) => Came::Refused,
            other => return Err(format!("{other:?}")),
        };
        let told = |what: String| format!("{what}\nafter {told}");
        // Rates that were known before are known, and so is what they come to.
        let is_of_rates = told(String::new()).contains("SetRates");
        let came = if is_of_rates && came == Came::Before {
            Came::Done
        } else {
            came
        };
        same("what came of it", &expected, &came).map_err(told)?;
        self.compare_books().map_err(told)
    }

    fn any_card(&mut self) -> usize {
        usize::try_from(self.dice.below(self.oracle.cards.len() as u64)).unwrap()
    }

    fn any_holder(&mut self) -> usize {
        usize::try_from(self.dice.below(self.oracle.holders.len() as u64)).unwrap()
    }

    fn replace(&mut self) -> (Body, Came) {
        let card = self.any_card();
        let (lost, frozen) = (CardStatus::Lost, CardStatus::Frozen);
        let status = self
            .dice
            .pick(&[lost, CardStatus::Stolen, frozen, CardStatus::Active]);
        // Now and then a number that somebody has.
        let number = self.oracle.cards.len() - usize::from(self.dice.chance(10));
        let with = HeldCard {
            token: token(&format!("again {number}")),
            status: CardStatus::Active,
            expiry: ExpiryMonth::from_yymm(3212),
            wrong_tries: 0,
            ..self.oracle.cards[card]
        };
        let order = Order::ReplaceCard {
            card: card_id(card),
            status,
            with: new_card(&with),
        };
        let expected = self.oracle.replace(self.now, card, status, with);
        (Body::Operate(Box::new(order)), expected)
    }

    /// Some of the rates there are, from a while ago, from now or from later on.
    fn set_rates(&mut self) -> (Body, Came) {
        let (mut rows, mut stated) = (Vec::new(), Vec::new());
        let pairs = [
            ("USD", "JPY", 150_000),
            ("EUR", "JPY", 170_000),
            ("JPY", "GBP", 5),
            ("CHF", "JPY", 180_000),
            ("EUR", "USD", 1_100),
        ];
        for (from, to, thousandths) in pairs {
            if self.dice.chance(60) {
                continue;
            }
            let moved = thousandths * (90 + self.dice.below(20)) / 100 + self.dice.below(9);
            let text = format!("{}.{:03}", moved / 1_000, moved % 1_000);
            let hours = self.dice.pick(&[0, 0, 0, -1, 5, 30]);
            let currency = |letters| Currency::from_alpha(letters).unwrap();
            let effective = self.now.0 + hours * 3_600_000;
            rows.push(RateRow {
                from: currency(from),
                to: currency(to),
                rate: Rate::parse(&text).unwrap(),
                effective: UnixMs(effective),
            });
            stated.push(StatedRate {
                from: currency(from),
                to: currency(to),
                rate: Number::parse(&text),
                effective,
            });
        }
        self.oracle.rates.extend(stated);
        let order = Order::Money(MoneyOrder::SetRates(rows));
        (Body::Operate(Box::new(order)), Came::Done)
    }

    /// A transfer or a charge, now and then the last one again.
    fn move_money(&mut self) -> (Body, Came) {
        let dice = &mut self.dice;
        let holders = [0, 0, 1, 2, 4, 5, 6, 8];
        let letters = ["JPY", "JPY", "USD", "EUR", "GBP", "AUD", "CHF"];
        let currency = |dice: &mut Dice| Currency::from_alpha(dice.pick(&letters)).unwrap();
        let mut what = Moved {
            from: dice.pick(&holders),
            to: Target::Holder(dice.pick(&holders)),
            minor: amount(dice).minor,
        };
        if dice.chance(60) {
            what.to = Target::Currencies(currency(dice), currency(dice));
            what.from = dice.pick(&[4, 4, 4, 8, 0]);
        }
        let (mut first, mut name) = (self.now, format!("m{}", self.moved.len()));
        if let Some((earlier, at, known)) = self.moved.last()
            && self.now.0 - at.0 < i64::from(ENTRIES_HOURS) * 3_600_000
            && dice.chance(20)
        {
            (what, first, name) = (earlier.clone(), *at, known.clone());
            what.minor += i64::from(dice.chance(30));
        }
        self.moved.push((what.clone(), first, name.clone()));
        let expected = self.oracle.move_money(self.now, &name, what.clone());
        let reference = name.parse().unwrap();
        let order = match what.to {
            Target::Holder(to) => MoneyOrder::Transfer {
                reference,
                transfer: Transfer {
                    from: account_id(what.from),
                    to: account_id(to),
                    minor: what.minor,
                },
            },
            Target::Currencies(source, charge) => MoneyOrder::Charge {
                reference,
                account: account_id(what.from),
                source,
                charge,
                minor: what.minor,
            },
        };
        (Body::Operate(Box::new(Order::Money(order))), expected)
    }

    fn send(&mut self, facts: Facts) -> Step {
        let code = approval_code(self.state.sequence() + 1);
        let outcome = self.execute(Body::Message(std::sync::Arc::new(facts.clone())))?;
        let Answer::Decided(decision) = outcome.answer else {
            return Err(format!("{:?}", outcome.answer));
        };
        let expected = self.oracle.answer(self.now, &facts, Some(code));
        let told = |what: String| format!("{what}\nafter {facts:#?}\n{decision:#?}");
        same("reason", &expected.reason, &decision.reason).map_err(told)?;
        let part = decision.approved.map(|approved| {
            let billed = approved.billing.map(|billed| billed.minor);
            (approved.amount.minor, billed)
        });
        same("approved part", &expected.part, &part).map_err(told)?;
        same("repeated", &expected.again, &decision.repeated).map_err(told)?;
        if decision.repeated {
            let first = self.billed.get(&decision.sequence);
            same("billed again", &first, &Some(&decision.billed)).map_err(told)?;
        } else {
            self.billed.insert(decision.sequence, decision.billed);
        }
        let shown = decision.show_balances.then(|| {
            let purses = decision.balances.iter();
            purses.map(|purse| (purse.balance, purse.held)).collect()
        });
        same("shown", &expected.shown, &shown).map_err(told)?;
        self.compare_books().map_err(told)?;
        self.opened
            .resize(self.oracle.deals.len(), self.state.sequence());
        self.given.insert(decision.reason);
        self.approvals.extend(decision.approval);
        self.sent.push(facts);
        Ok(())
    }

    fn compare_books(&self) -> Step {
        for number in 0..self.oracle.holders.len() {
            let id = AccountId(u32::try_from(number + 1).unwrap());
            let balances = self.state.balances(id);
            let purses = balances.iter().map(|purse| (purse.balance, purse.held));
            let what = format!("purses of holder {number}");
            same(&what, &self.oracle.purses(number), &purses.collect())?;
        }
        let mut places = BTreeMap::new();
        for (account, currency, minor) in self.state.ledger().totals() {
            let place = match account {
                LedgerAccount::Fees(_) => Place::Fees,
                LedgerAccount::ExchangeFees(_) => Place::ExchangeFees,
                LedgerAccount::Payouts(_) => Place::Payouts,
                LedgerAccount::Forfeited(_) => Place::Forfeited,
                _ => continue,
            };
            *places.entry((place, currency)).or_insert(0) += minor;
        }
        places.retain(|_, minor| *minor != 0);
        same("fees and what was paid out", &self.oracle.places(), &places)
    }

    fn execute(&mut self, body: Body) -> Result<Outcome, String> {
        let (sequence, at) = (self.state.sequence() + 1, self.now);
        let outcome = decide(self.rulebook, &self.state, &Command { sequence, at, body });
        if let Some(event) = &outcome.event {
            let mut bytes = Vec::new();
            record::encode(at, event, &mut bytes).map_err(|error| error.to_string())?;
            let (read_at, read) = record::decode(&bytes).map_err(|error| error.to_string())?;
            self.state
                .apply(sequence, at, event)
                .and_then(|()| self.replayed.apply(sequence, read_at, &read))
                .map_err(|broken| broken.to_string())?;
        }
        let conserved = self.state.check_conservation();
        conserved.map_err(|broken| broken.to_string())?;
        Ok(outcome)
    }
}

fn new_card(card: &HeldCard) -> NewCard {
    NewCard {
        token: card.token,
        masked: Pan::parse("4761739001010119").unwrap().masked(),
        expiry: card.expiry,
        status: card.status,
    }
}

fn card_id(card: usize) -> CardId {
    CardId(u32::try_from(card + 1).unwrap())
}

fn account_id(holder: usize) -> AccountId {
    AccountId(u32::try_from(holder + 1).unwrap())
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, got: &T) -> Step {
    if expected == got {
        Ok(())
    } else {
        Err(format!("{what}: expected {expected:?}, got {got:?}"))
    }
}
