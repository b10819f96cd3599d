//! The engine against the oracle of `model_oracle.rs`: random commands, the same answers and books.
//!
//! `CARDSWITCH_MODEL_COMMANDS` sets how many commands, `CARDSWITCH_MODEL_SEED` where the seeds
//! begin; a failure names the seed of its round.

use std::collections::BTreeSet;

use cardswitch::domain::account::{AccountId, Kyc, ProgrammeName};
use cardswitch::domain::card::{CardId, CardStatus, ExpiryMonth};
use cardswitch::domain::conditions::PinVerdict;
use cardswitch::domain::decision::{ApprovalCode, Reason};
use cardswitch::domain::facts::{
    Certainty, Device, Facts, Initiation, IssuerRoute, Presence, Purpose, Trace,
};
use cardswitch::domain::holder::Applicant;
use cardswitch::domain::merchant::Mcc;
use cardswitch::domain::money::{Amount, Currency};
use cardswitch::domain::pan::Pan;
use cardswitch::domain::programme::Programme;
use cardswitch::domain::programme_file;
use cardswitch::domain::rare_facts::CapturePart;
use cardswitch::domain::rulebook::Rulebook;
use cardswitch::domain::time::{BusinessDate, UnixMs};
use cardswitch::engine::approval::approval_code;
use cardswitch::engine::command::{
    Answer, Body, Command, HeldBy, Housekeep, NewCard, OpenAccount, Opened, Outcome,
};
use cardswitch::engine::decide::decide;
use cardswitch::engine::entry::EntryId;
use cardswitch::engine::operation::Order;
use cardswitch::engine::record;
use cardswitch::engine::state::State;
use cardswitch::switch::rulebook::LoadedRules;

use crate::decisions_notation::{instant, plain_facts, token};
use crate::model_books::{Holder, Oracle, Product};

const COMMANDS: u64 = 50_000;
const COMMANDS_OF_A_ROUND: u64 = 250;
const ANSWERS_HOURS: u32 = 48;
const ENTRIES_HOURS: u32 = 240;

/// What the shell gives, what needs a programme that is not loaded, and what no holder here can
/// meet: a stolen card, listed merchants, blocks by place and time, cash that is paid out.
const NOT_ON_THE_TABLE: [Reason; 11] = [
    Reason::FormatError,
    Reason::NotSignedOn,
    Reason::Overload,
    Reason::SystemFault,
    Reason::CardStolen,
    Reason::MerchantDenied,
    Reason::CountryNotAllowed,
    Reason::TimeNotAllowed,
    Reason::CashNotAllowed,
    Reason::HolderNotVerified,
    Reason::AuthenticationRequired,
];

#[test]
fn engine_and_oracle_agree_on_random_commands() {
    let commands = setting("CARDSWITCH_MODEL_COMMANDS", COMMANDS);
    let first_seed = setting("CARDSWITCH_MODEL_SEED", 1);
    let prepaid = include_str!("../../spec/programme/prepaid-jp.toml");
    // A lower count, so that it is reached; and the other published way of refunding.
    let counted = prepaid.replace("count_max = 200\n", "count_max = 3\n");
    // Approvals of a part as well.
    let refilling = counted
        .replace("[home]", "partial_approval = true\n[home]")
        .replace("authorization = \"pending\"", "authorization = \"credit\"")
        .replace(
            "needs_original = false",
            "needs_original = false\nrefill_first = \"withdrawable\"",
        );
    let rulebooks = [rulebook(&counted), rulebook(&refilling)];
    let mut given = BTreeSet::new();
    for round in 0..commands.div_ceil(COMMANDS_OF_A_ROUND) {
        let seed = first_seed + round;
        let refills = seed % 2 == 1;
        let mut table = Table::new(&rulebooks[usize::from(refills)], seed, refills);
        for step in 0..COMMANDS_OF_A_ROUND {
            if let Err(difference) = table.step() {
                panic!("seed {seed}, step {step}: {difference}");
            }
        }
        let digests = (table.state.digest(), table.replayed.digest());
        assert_eq!(digests.0, digests.1, "seed {seed}: a replay differs");
        given.extend(table.given);
    }
    let missing: Vec<Reason> = Reason::ALL
        .into_iter()
        .filter(|reason| !given.contains(reason) && !NOT_ON_THE_TABLE.contains(reason))
        .collect();
    assert!(
        commands < COMMANDS || missing.is_empty(),
        "never given: {missing:?}"
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
    // The oracle has no rates: `exchange.rs` tests what programmes do with them.
    let programmes = rulebook.programmes.iter_mut();
    programmes.for_each(|programme| programme.exchange = None);
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
}

type Step = Result<(), String>;

impl Table<'_> {
    fn new(rulebook: &Rulebook, seed: u64, refills: bool) -> Table<'_> {
        let mut table = Table {
            rulebook,
            state: State::new(),
            replayed: State::new(),
            oracle: Oracle::new(holders(), refills),
            now: instant("2027-03-25 12:00").unwrap(),
            dice: Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            sent: Vec::new(),
            opened: Vec::new(),
            approvals: Vec::new(),
            given: BTreeSet::new(),
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
            card: NewCard {
                token: holder.token,
                masked: Pan::parse("4761739001010119").unwrap().masked(),
                expiry: holder.expiry,
                status: holder.status,
            },
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
        if self.dice.chance(5) {
            return self.operate();
        }
        let facts = self.message();
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
        // The one that is not activated stays so.
        let holder = usize::try_from(self.dice.below(7)).unwrap();
        let card = CardId(u32::try_from(holder + 1).unwrap());
        let deals = u64::try_from(self.opened.len()).unwrap();
        let (body, expected) = match self.dice.below(4) {
            0 => {
                self.oracle.holders[holder].wrong_tries = 0;
                (Body::UnlockPin(card), true)
            }
            1 => {
                let (active, frozen) = (CardStatus::Active, CardStatus::Frozen);
                let status = self
                    .dice
                    .pick(&[active, active, active, frozen, CardStatus::Lost]);
                let order = Order::ChangeCardStatus(card, status);
                let expected = self.oracle.change_status(holder, status);
                (Body::Operate(Box::new(order)), expected)
            }
            _ if deals == 0 => return Ok(()),
            _ => {
                let recent = deals.min(12);
                let deal = deals - 1 - self.dice.below(recent);
                let deal = usize::try_from(deal).unwrap();
                let order = Order::ReleaseHold(EntryId(self.opened[deal]));
                let expected = self.oracle.release(self.now, deal);
                (Body::Operate(Box::new(order)), expected)
            }
        };
        let told = format!("{body:?}");
        let done = match self.execute(body)?.answer {
            Answer::PinChanged(done) => done,
            Answer::Ordered(ordered) => ordered.is_ok(),
            other => return Err(format!("{other:?}")),
        };
        same("carried out", &expected, &done).map_err(|what| format!("{what}\nafter {told}"))?;
        self.compare_books()
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
            let billed = approved.billing.unwrap_or(approved.amount);
            billed.minor
        });
        same("approved part", &expected.part, &part).map_err(told)?;
        same("repeated", &expected.again, &decision.repeated).map_err(told)?;
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
        Ok(())
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

    /// A message: the same again, one that follows an earlier one, or a fresh one.
    fn message(&mut self) -> Facts {
        let recent = self.sent.len().min(60);
        if recent == 0 {
            return self.fresh();
        }
        let back = usize::try_from(self.dice.below(60)).unwrap() % recent;
        let earlier = self.sent[self.sent.len() - 1 - back].clone();
        match self.dice.below(100) {
            0..8 => Facts {
                repeat: true,
                mti: earlier.mti + 1 - earlier.mti % 2,
                ..earlier
            },
            8..55 => self.following(earlier),
            _ => self.fresh(),
        }
    }

    fn fresh(&mut self) -> Facts {
        let dice = &mut self.dice;
        let mti = dice.pick(&[100, 100, 100, 200, 200, 120, 220, 420]);
        let mut facts = plain_facts(mti).unwrap();
        facts.trace = trace(dice);
        facts.purpose = dice.pick(&[
            Purpose::Purchase,
            Purpose::Purchase,
            Purpose::Purchase,
            Purpose::Purchase,
            Purpose::Refund,
            Purpose::Load,
            Purpose::OriginalCredit,
            Purpose::BalanceEnquiry,
            Purpose::AccountFunding,
            Purpose::CashWithdrawal,
        ]);
        let card = dice.pick(&["A", "A", "B", "B", "C", "D", "E", "F", "G", "H", "nobody"]);
        facts.card = token(card);
        if dice.chance(2) {
            facts.route = dice.pick(&[IssuerRoute::Unknown, IssuerRoute::Malformed]);
        }
        facts.amount = amount(dice);
        if dice.chance(8) {
            facts.billing = Some(amount(dice));
        }
        facts.terminal = dice.pick(&["T1", "T2"]).parse().unwrap();
        facts.acceptor = dice.pick(&["S1", "S2"]).parse().unwrap();
        facts.rrn = dice
            .pick(&["", "", "R1", "R2", "R3", "R4"])
            .parse()
            .unwrap();
        let usual = [5411; 24].into_iter();
        let special = [5541, 4784, 7011, 3500, 6540, 5947, 5968, 4900, 7995];
        let categories: Vec<u16> = usual.chain(special).collect();
        facts.mcc = Some(Mcc(dice.pick(&categories)));
        special_facts(dice, &mut facts);
        if !matches!(card, "D" | "H") && dice.chance(12) {
            facts.pin = pin(dice, facts.purpose);
        }
        rare_facts(dice, &mut facts);
        facts
    }

    /// Something about an earlier message: a completion, a reversal, a refund, another try.
    fn following(&mut self, earlier: Facts) -> Facts {
        let dice = &mut self.dice;
        let mut facts = plain_facts(dice.pick(&[220, 220, 400, 420, 120, 200, 100])).unwrap();
        let names = (earlier.card, earlier.purpose, earlier.mcc);
        (facts.card, facts.purpose, facts.mcc) = names;
        (facts.route, facts.amount, facts.billing) =
            (earlier.route, earlier.amount, earlier.billing);
        (facts.terminal, facts.acceptor) = (earlier.terminal, earlier.acceptor);
        facts.trace = match dice.below(5) {
            0 => earlier.trace,
            _ => trace(dice),
        };
        if dice.chance(60) {
            facts.original = Some(earlier.trace);
        }
        if dice.chance(60) {
            facts.rrn = earlier.rrn;
        }
        if dice.chance(20) {
            facts.amount.minor = amount(dice).minor;
        }
        if dice.chance(20) {
            let part = dice.below(u64::try_from(facts.amount.minor + 2).unwrap());
            facts.replacement_minor = Some(i64::try_from(part).unwrap());
        }
        if dice.chance(20) {
            facts.purpose = Purpose::Refund;
        }
        if dice.chance(15) && !self.approvals.is_empty() {
            let recent = self.approvals.len().saturating_sub(12);
            facts.quoted_approval = Some(dice.pick(&self.approvals[recent..]));
        }
        facts.stand_in_approved = !dice.chance(10);
        rare_facts(dice, &mut facts);
        let earlier_id = earlier.rare.as_ref().and_then(|rare| rare.lifecycle_id);
        if let (true, Some(id)) = (dice.chance(70), earlier_id) {
            facts.rare.get_or_insert_default().lifecycle_id = Some(id);
        }
        if dice.chance(10) {
            facts.origin.acquirer_country = Some(840);
        }
        facts
    }
}

fn rare_facts(dice: &mut Dice, facts: &mut Facts) {
    facts.point.partial_approval = dice.chance(30);
    if dice.chance(25) {
        let id = dice.pick(&["L1", "L2", "L3", "L4", "L5", "L6"]);
        facts.rare.get_or_insert_default().lifecycle_id = Some(id.parse().unwrap());
    }
    if dice.chance(10) {
        facts.rare.get_or_insert_default().incremental = true;
    }
    if dice.chance(15) {
        facts.rare.get_or_insert_default().part = Some(CapturePart {
            number: 2,
            last: dice.chance(50),
        });
    }
}

fn special_facts(dice: &mut Dice, facts: &mut Facts) {
    if dice.chance(3) {
        facts.initiation = dice.pick(&[Initiation::Recurring, Initiation::Instalment]);
    }
    if dice.chance(20) {
        facts.certainty = Certainty::Estimated;
    }
    if dice.chance(2) {
        facts.device = Device::InFlight;
    }
    facts.presence = dice.pick(&[Presence::Unsaid, Presence::Absent, Presence::Present]);
    if dice.chance(3) {
        facts.pin = PinVerdict::Unverified;
    }
    if dice.chance(3) {
        facts.expiry = ExpiryMonth::from_yymm(2807);
    }
    if dice.chance(25) {
        facts.origin.acquirer_country = Some(dice.pick(&[392, 840]));
    }
    facts.stand_in_approved = !dice.chance(20);
}

/// What is known of a PIN; cash is never paid out here, so none is right for it.
fn pin(dice: &mut Dice, purpose: Purpose) -> PinVerdict {
    let (wrong, malformed) = (PinVerdict::Wrong, PinVerdict::Malformed);
    match dice.pick(&[wrong, wrong, wrong, PinVerdict::Correct, malformed]) {
        PinVerdict::Correct if purpose == Purpose::CashWithdrawal => PinVerdict::CannotBeChecked,
        verdict => verdict,
    }
}

/// Few numbers, so that they collide.
fn trace(dice: &mut Dice) -> Trace {
    Trace {
        originator: 1,
        transmitted: dice.pick(&[101_000_000, 101_000_001]),
        stan: u32::try_from(1 + dice.below(90)).unwrap(),
    }
}

fn amount(dice: &mut Dice) -> Amount {
    let minor = dice.pick(&[
        0, 1, 10, 10, 300, 500, 500, 1_000, 1_000, 2_000, 3_000, 20_000, 60_000, 100_001, 999_000,
        1_000_000, 1_000_001,
    ]);
    let letters = dice.pick(&[
        "JPY", "JPY", "JPY", "JPY", "JPY", "JPY", "USD", "EUR", "CHF",
    ]);
    Amount::new(minor, Currency::from_alpha(letters).unwrap())
}

fn holders() -> Vec<Holder> {
    let currency = |letters: &str| Currency::from_alpha(letters).unwrap();
    let yen = |minors: &[i64]| minors.iter().map(|it| (Currency::JPY, *it)).collect();
    let travel = [
        ("JPY", 5_000),
        ("USD", 80_000),
        ("EUR", 0),
        ("GBP", 70),
        ("AUD", 0),
    ];
    let travel = travel.map(|row| (currency(row.0), row.1)).to_vec();
    let holder = |name, product, kyc, status, yymm, purses| Holder {
        product,
        kyc,
        token: token(name),
        status,
        wrong_tries: 0,
        expiry: ExpiryMonth::from_yymm(yymm),
        purses,
    };
    let prepaid = |name, kyc, status, yymm, minors: &[i64]| {
        holder(name, Product::Prepaid, kyc, status, yymm, yen(minors))
    };
    let gift = |name, status, minor| {
        holder(
            name,
            Product::GiftCode,
            Kyc::Bearer,
            status,
            0,
            yen(&[minor]),
        )
    };
    let (verified, active) = (Kyc::Verified, CardStatus::Active);
    vec![
        prepaid("A", verified, active, 3112, &[2_500_000, 9_000]),
        prepaid("B", Kyc::Unverified, active, 3112, &[60_000, 900]),
        prepaid("C", verified, active, 2704, &[9_000, 9_000]),
        gift("D", active, 300_000),
        holder("E", Product::Travel, verified, active, 3112, travel),
        prepaid("F", verified, CardStatus::Lost, 3112, &[5_000, 5_000]),
        prepaid("G", verified, CardStatus::Closed, 3112, &[5_000, 0]),
        gift("H", CardStatus::NotActivated, 5_000),
    ]
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, got: &T) -> Step {
    if expected == got {
        Ok(())
    } else {
        Err(format!("{what}: expected {expected:?}, got {got:?}"))
    }
}

/// A small generator (xorshift64*): the same seed, the same commands, on every machine.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        let limit = u64::try_from(from.len()).unwrap();
        from[usize::try_from(self.below(limit)).unwrap()].clone()
    }
}
