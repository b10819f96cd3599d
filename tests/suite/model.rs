//! The engine against the oracle of `model_oracle.rs`: random commands, the same answers and books.
//!
//! `CARDSWITCH_MODEL_COMMANDS` sets how many commands, `CARDSWITCH_MODEL_SEED` where the seeds
//! begin; a failure names the seed of its round.

use std::collections::{BTreeMap, BTreeSet};

use cardswitch::domain::account::{AccountId, ProgrammeName};
use cardswitch::domain::card::CardId;
use cardswitch::domain::decision::{ApprovalCode, Reason};
use cardswitch::domain::exchange::Billed;
use cardswitch::domain::facts::Facts;
use cardswitch::domain::holder::Applicant;
use cardswitch::domain::pan::Pan;
use cardswitch::domain::programme::Programme;
use cardswitch::domain::programme_file;
use cardswitch::domain::rulebook::Rulebook;
use cardswitch::domain::time::{BusinessDate, UnixMs};
use cardswitch::engine::approval::approval_code;
use cardswitch::engine::command::{
    Answer, Body, Command, HeldBy, Housekeep, NewCard, OpenAccount, Opened, Outcome,
};
use cardswitch::engine::decide::decide;
use cardswitch::engine::event::{Effect, Event};
use cardswitch::engine::ledger::LedgerAccount;
use cardswitch::engine::record;
use cardswitch::engine::state::State;
use cardswitch::switch::rulebook::LoadedRules;

use crate::checkpoints::{read_back, written};
use crate::decisions_notation::instant;
use crate::model_books::{HeldCard, Met, Oracle, Place, Product};
use crate::model_desk::Person;
use crate::model_dice::Dice;
use crate::model_holders::holders;
use crate::model_operators::Moved;
use crate::model_records::Recorded;

const COMMANDS: u64 = 50_000;
const COMMANDS_OF_A_ROUND: u64 = 250;
const ANSWERS_HOURS: u32 = 48;
pub(crate) const ENTRIES_HOURS: u32 = 240;
pub(crate) const RETENTION_DAYS: u16 = 2;

/// What the shell gives, what needs a programme that is not loaded, and what no message here can
/// meet: a device that is away, checked chips and card values, listed merchants, blocks by place
/// and time.
const NOT_ON_THE_TABLE: [Reason; 23] = [
    Reason::FormatError,
    Reason::NotSignedOn,
    Reason::LinkNotPermitted,
    Reason::MacWrong,
    Reason::MacUnavailable,
    Reason::KeyNotTaken,
    Reason::Overload,
    Reason::SystemFault,
    Reason::CardCheckUnavailable,
    Reason::ChipDataMissing,
    Reason::ChipDataMalformed,
    Reason::ChipNotVerifiable,
    Reason::CryptogramWrong,
    Reason::ChipCounterReplayed,
    Reason::TrackMissing,
    Reason::TrackContradicts,
    Reason::CardValueNotVerifiable,
    Reason::TrackValueWrong,
    Reason::PrintedValueWrong,
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
    let mut recorded = BTreeSet::new();
    for round in 0..commands.div_ceil(COMMANDS_OF_A_ROUND) {
        let seed = first_seed + round;
        let mut table = Table::new(&rulebooks, seed);
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
        recorded.extend(table.recorded);
    }
    let missing: Vec<Reason> = Reason::ALL
        .into_iter()
        .filter(|reason| !given.contains(reason) && !NOT_ON_THE_TABLE.contains(reason))
        .collect();
    let not_met: Vec<Met> = Met::ALL
        .into_iter()
        .filter(|what| !met.contains(what))
        .collect();
    let not_recorded: Vec<Recorded> = Recorded::PRODUCED
        .into_iter()
        .filter(|kind| !recorded.contains(kind))
        .collect();
    let is_whole = missing.is_empty() && not_met.is_empty() && not_recorded.is_empty();
    assert!(
        commands < COMMANDS || is_whole,
        "never given: {missing:?}; never happened: {not_met:?}; never recorded: {not_recorded:?}"
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
    for programme in &mut rulebook.programmes {
        programme.retention_days = RETENTION_DAYS;
    }
    rulebook
}

/// Both at one table, with the dice.
pub(crate) struct Table<'a> {
    rules: &'a [Rulebook; 2],
    /// Which of them are in force.
    pub(crate) in_force: usize,
    /// Which of them the command in hand puts in force.
    pub(crate) comes_into_force: Option<usize>,
    state: State,
    replayed: State,
    pub(crate) oracle: Oracle,
    pub(crate) now: UnixMs,
    pub(crate) dice: Dice,
    pub(crate) sent: Vec<Facts>,
    /// The record that opened each deal of the oracle.
    pub(crate) opened: Vec<u64>,
    approvals: Vec<ApprovalCode>,
    given: BTreeSet<Reason>,
    recorded: BTreeSet<Recorded>,
    /// What each answer said that the cardholder is billed, by its record.
    billed: BTreeMap<u64, Option<Billed>>,
    /// Movements that were asked for, when first, and under which references.
    pub(crate) moved: Vec<(Moved, UnixMs, String)>,
    /// The last line of a clearing file.
    pub(crate) presented: Option<Facts>,
    /// Records that raised something to be looked at, as often as they did, until it was.
    pub(crate) exceptions: Vec<u64>,
    /// Which card each of them is about.
    pub(crate) raised_about: BTreeMap<u64, Option<usize>>,
}

pub(crate) type Step = Result<(), String>;

impl Table<'_> {
    fn new(rules: &[Rulebook; 2], seed: u64) -> Table<'_> {
        let (holders, cards): (Vec<_>, Vec<_>) = holders().into_iter().unzip();
        let in_force = usize::from(seed % 2 == 1);
        let mut table = Table {
            rules,
            in_force,
            comes_into_force: None,
            state: State::new(),
            replayed: State::new(),
            oracle: Oracle::new(holders, in_force == 1),
            now: instant("2027-03-25 12:00").unwrap(),
            dice: Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            sent: Vec::new(),
            opened: Vec::new(),
            approvals: Vec::new(),
            given: BTreeSet::new(),
            recorded: BTreeSet::new(),
            billed: BTreeMap::new(),
            moved: Vec::new(),
            presented: None,
            exceptions: Vec::new(),
            raised_about: BTreeMap::new(),
        };
        for card in cards {
            table.open(card);
        }
        table
    }

    fn open(&mut self, card: HeldCard) {
        let holder = &self.oracle.holders[card.holder];
        let (programme, names): (_, &[&str]) = match holder.product {
            Product::Prepaid => ("prepaid-jp", &["withdrawable", "non-withdrawable"]),
            Product::GiftCode => ("gift-code", &["face-value"]),
            Product::Travel => ("travel", &["jpy", "usd", "eur", "gbp", "aud"]),
        };
        let balances = names.iter().zip(&holder.purses);
        let is_known = holder.product == Product::Prepaid;
        let account = OpenAccount {
            programme: ProgrammeName::of(programme).unwrap(),
            kyc: holder.kyc,
            balances: balances
                .map(|(name, purse)| (String::from(*name), purse.1))
                .collect(),
            card: new_card(&card),
            holder: match is_known {
                true => HeldBy::Applicant(Applicant {
                    born: BusinessDate(-7_000),
                    consent: false,
                }),
                false => HeldBy::Nobody,
            },
        };
        let (number, kyc) = (card.holder, holder.kyc);
        let outcome = self.execute(Body::OpenAccount(Box::new(account))).unwrap();
        let Answer::Opened(Opened::Created(AccountId(id), _)) = outcome.answer else {
            panic!("{:?}", outcome.answer);
        };
        assert_eq!(usize::try_from(id).unwrap(), number + 1);
        let desk = &mut self.oracle.desk;
        desk.owners.push(is_known.then_some(desk.people.len()));
        desk.people.extend(is_known.then_some(Person {
            id: self.state.sequence(),
            kyc,
            account: Some(number),
        }));
        self.oracle.issue(card);
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
        if self.dice.chance(16) {
            return self.operate();
        }
        let cards = self.oracle.cards.iter().map(|card| {
            let product = self.oracle.holders[card.holder].product;
            (card.token, product != Product::GiftCode)
        });
        let cards: Vec<_> = cards.collect();
        let mut facts = self.dice.message(&self.sent, &self.approvals, &cards);
        self.let_a_device_ask(&mut facts);
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

    /// Now and then a device of the card asks instead.
    fn let_a_device_ask(&mut self, facts: &mut Facts) {
        let card = self.oracle.card_of(facts);
        let devices = self.oracle.desk.devices.iter();
        let devices = devices.filter(|device| Some(device.card) == card);
        let tokens: Vec<_> = devices.map(|device| device.token).collect();
        if !tokens.is_empty() && self.dice.chance(30) {
            facts.card = self.dice.pick(&tokens);
        }
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
        self.note_opened();
        self.given.insert(decision.reason);
        self.approvals.extend(decision.approval);
        self.sent.push(facts);
        Ok(())
    }

    /// Deals that the last record opened.
    pub(crate) fn note_opened(&mut self) {
        self.opened
            .resize(self.oracle.deals.len(), self.state.sequence());
    }

    /// Programmes that may be in force.
    pub(crate) fn rulebook(&self, number: usize) -> &Rulebook {
        &self.rules[number]
    }

    /// The record that the next command would make.
    pub(crate) fn next_record(&self) -> u64 {
        self.state.sequence() + 1
    }

    pub(crate) fn compare_books(&self) -> Step {
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
        same("fees and what was paid out", &self.oracle.places(), &places)?;
        let looked_at = self.state.exceptions().0.map(|row| row.sequence);
        same("exceptions", &self.exceptions, &looked_at.collect())
    }

    pub(crate) fn execute(&mut self, body: Body) -> Result<Outcome, String> {
        let (sequence, at) = (self.state.sequence() + 1, self.now);
        let rulebook = &self.rules[self.in_force];
        let outcome = decide(rulebook, &self.state, &Command { sequence, at, body });
        if let Some(event) = &outcome.event {
            self.recorded.insert(Recorded::of(event));
            if let Event::Decided(decided) = event {
                let raised = decided.effects.iter();
                let raised = raised.filter(|it| matches!(it, Effect::ExceptionRaised { .. }));
                self.exceptions.extend(raised.map(|_| sequence));
                if self.exceptions.last() == Some(&sequence) {
                    let card = decided.card.map(|card| card.0 as usize - 1);
                    self.raised_about.insert(sequence, card);
                }
            }
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

pub(crate) fn new_card(card: &HeldCard) -> NewCard {
    NewCard {
        token: card.token,
        masked: Pan::parse("4761739001010119").unwrap().masked(),
        expiry: card.expiry,
        status: card.status,
    }
}

pub(crate) fn card_id(card: usize) -> CardId {
    CardId(u32::try_from(card + 1).unwrap())
}

pub(crate) fn account_id(holder: usize) -> AccountId {
    AccountId(u32::try_from(holder + 1).unwrap())
}

pub(crate) fn same<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, got: &T) -> Step {
    if expected == got {
        Ok(())
    } else {
        Err(format!("{what}: expected {expected:?}, got {got:?}"))
    }
}
