//! What the engine decides: tables of accounts, messages and answers in `fixtures/decisions`.
//!
//! One function interprets all of them; the notation is in `decisions_notation.rs`. Every step also
//! checks that money is conserved and that a replay of the written records gives the same state.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cardswitch::domain::account::{AccountId, ProgrammeName};
use cardswitch::domain::decision::{ApprovalCode, Balances, Decision, Reason};
use cardswitch::domain::facts::{Facts, MessageKind, Purpose, TraceKey};
use cardswitch::domain::holder::Applicant;
use cardswitch::domain::pan::{MaskedPan, Pan};
use cardswitch::domain::programme_file;
use cardswitch::domain::rate_file::RateRow;
use cardswitch::domain::rulebook::Rulebook;
use cardswitch::domain::time::{BusinessDate, UnixMs};
use cardswitch::engine::command::{
    Answer, Body, Command, HeldBy, Housekeep, NewCard, OpenAccount, Opened, Outcome,
};
use cardswitch::engine::decide::decide;
use cardswitch::engine::operation::{Order, Reference};
use cardswitch::engine::operation_money::{MoneyOrder, Movement, Transfer};
use cardswitch::engine::record;
use cardswitch::engine::state::State;
use cardswitch::switch::dialect::code_list::REFUND_REASONS;
use cardswitch::switch::rulebook::LoadedRules;

use crate::decisions_notation::{
    CardLine, CaseText, ChargeLine, Expected, Line, MessageLine, TransferLine, cases, instant,
    token, trace,
};

/// Reasons that the shell gives before a message comes to the engine.
const GIVEN_BY_THE_SHELL: [Reason; 7] = [
    Reason::FormatError,
    Reason::NotSignedOn,
    Reason::LinkNotPermitted,
    Reason::MacWrong,
    Reason::MacUnavailable,
    Reason::KeyNotTaken,
    Reason::Overload,
];

/// Fixture files; each is a test of its own so that they run side by side.
macro_rules! decided_as_written {
    ($($name:ident: $file:literal,)*) => {
        const FILES: &[&str] = &[$($file),*];
        $(
            #[test]
            fn $name() {
                check($file);
            }
        )*
    };
}

decided_as_written! {
    advices_are_recorded_not_judged: "advices.txt",
    captures_always_post: "captures.txt",
    card_values_that_are_wrong: "card-values.txt",
    cards_that_may_not_pay: "cards.txt",
    cash_from_machines_and_its_fee: "cash.txt",
    chips_that_are_wrong_and_replayed: "chips.txt",
    blocks_by_place_and_time: "conditions.txt",
    other_currencies_are_exchanged: "exchange.txt",
    guessed_numbers_are_slowed_and_alarmed: "guessing.txt",
    holds_end_with_time: "holds.txt",
    limits_count_in_calendar_windows: "limits.txt",
    loads_reach_their_purse: "loads.txt",
    merchants_where_the_card_does_not_work: "merchants.txt",
    parts_of_a_transaction: "parts.txt",
    pins_that_are_needed_wrong_and_locked: "pins.txt",
    one_precedence_decides: "precedence.txt",
    other_programmes_have_their_own_rules: "programmes.txt",
    purchases_take_purses_in_order: "purchases.txt",
    refunds_reach_their_purse: "refunds.txt",
    repeats_get_the_stored_answer: "repeats.txt",
    reversals_restore_what_was_taken: "reversals.txt",
    rows_in_shadow_note_and_do_not_refuse: "shadow.txt",
    transfers_stay_within_their_limits: "transfers.txt",
}

#[test]
fn every_fixture_is_run() {
    let mut found: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    assert_eq!(found, FILES);
}

#[test]
fn every_reason_the_engine_can_give_is_given_in_a_fixture() {
    let mut given = BTreeSet::new();
    for file in FILES {
        let text = fs::read_to_string(folder().join(file)).unwrap();
        for case in cases(&text).unwrap() {
            for (_, line) in case.lines {
                if let Line::Message(message) = line {
                    let reason = message.expected.outcome.split(' ').next_back();
                    given.extend(reason.and_then(Reason::from_name));
                }
            }
        }
    }
    let missing: Vec<Reason> = Reason::ALL
        .into_iter()
        .filter(|reason| !given.contains(reason))
        .collect();
    assert_eq!(missing, GIVEN_BY_THE_SHELL);
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/decisions")
}

/// Runs every case of a file and reports every step that came out otherwise.
fn check(file: &str) {
    let text = fs::read_to_string(folder().join(file)).unwrap();
    let cases = cases(&text).unwrap_or_else(|wrong| panic!("{file}: {wrong}"));
    assert!(!cases.is_empty(), "{file}: no case");
    let wrong: Vec<String> = cases
        .iter()
        .flat_map(|case| wrong_steps(file, case))
        .collect();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

fn wrong_steps(file: &str, case: &CaseText) -> Vec<String> {
    let mut desk = Desk::new();
    let mut wrong = Vec::new();
    for (number, line) in &case.lines {
        let outcome = match line {
            Line::Change {
                programme,
                old,
                new,
            } => desk.change(programme, old, new),
            Line::Without(programme) => {
                desk.unload(programme);
                Ok(())
            }
            Line::UnlockPin(card) => desk.unlock_pin(card),
            Line::Card(card) => desk.open(card),
            Line::Rate(rate) => desk.set_rate(*rate),
            Line::Charge(charge, expected) => desk.charge(charge, expected),
            Line::Transfer(transfer, expected) => desk.transfer(transfer, expected),
            Line::At(at) => desk.set_clock(*at),
            Line::Housekeep(terms, expected) => desk.housekeep(terms, expected),
            Line::Message(message) => desk.send_all(message),
        };
        if let Err(sentence) = outcome {
            wrong.push(format!("{file}:{number} ({}): {sentence}", case.title));
        }
    }
    if let Err(sentence) = desk.check_state() {
        wrong.push(format!("{file} ({}): {sentence}", case.title));
    }
    wrong
}

type Step = Result<(), String>;

/// The check of response codes knows what a refund can be declined for; here it is made sure.
fn check_refusal_of_refund(kind: MessageKind, purpose: Purpose, reason: Reason) -> Step {
    let asked = matches!(kind, MessageKind::Authorization | MessageKind::Financial);
    // No decline of the refund: the message is not the one it says, or we failed.
    let is_other = matches!(
        reason,
        Reason::Approved | Reason::DuplicateContent | Reason::LateOriginal | Reason::SystemFault
    );
    if asked && purpose == Purpose::Refund && !is_other && !REFUND_REASONS.contains(&reason) {
        return Err(format!("{reason} is not one of REFUND_REASONS"));
    }
    Ok(())
}

/// The engine with what a case needs around it.
struct Desk {
    programmes: BTreeMap<String, String>,
    rulebook: Rulebook,
    state: State,
    replayed: State,
    now: UnixMs,
    accounts: BTreeMap<String, AccountId>,
    approvals: BTreeMap<u32, ApprovalCode>,
    answered: Vec<(TraceKey, Decision)>,
    next_stan: u32,
}

impl Desk {
    fn new() -> Desk {
        let rules = LoadedRules::load(None, None).unwrap();
        Desk {
            programmes: BTreeMap::new(),
            rulebook: Rulebook::clone(&rules.rulebook),
            state: State::new(),
            replayed: State::new(),
            now: instant("2027-03-01 12:00").unwrap(),
            accounts: BTreeMap::new(),
            approvals: BTreeMap::new(),
            answered: Vec::new(),
            next_stan: 900_000,
        }
    }

    /// Edits a programme as shipped, or as an earlier line of the case has left it.
    fn change(&mut self, name: &str, old: &str, new: &str) -> Step {
        let text = self.programmes.entry(name.to_owned()).or_insert_with(|| {
            let root = Path::new(env!("CARGO_MANIFEST_DIR"));
            fs::read_to_string(root.join(format!("spec/programme/{name}.toml"))).unwrap()
        });
        if !text.contains(old) {
            return Err(format!("{name} does not say {old:?}"));
        }
        *text = text.replace(old, new);
        let changed = programme_file::parse(name, text).map_err(|error| error.to_string())?;
        self.unload(name);
        self.rulebook.programmes.push(changed);
        Ok(())
    }

    fn unload(&mut self, name: &str) {
        let programmes = &mut self.rulebook.programmes;
        programmes.retain(|programme| programme.name.as_str() != name);
    }

    fn set_clock(&mut self, at: UnixMs) -> Step {
        if at < self.now {
            return Err("the clock goes back".to_owned());
        }
        self.now = at;
        Ok(())
    }

    fn open(&mut self, card: &CardLine) -> Step {
        let masked: MaskedPan = Pan::parse("4761739001010119").unwrap().masked();
        let body = Body::OpenAccount(Box::new(OpenAccount {
            programme: ProgrammeName::of(&card.programme).unwrap(),
            kyc: card.kyc,
            balances: card.balances.clone(),
            card: NewCard {
                token: token(&card.name),
                masked,
                expiry: card.expiry,
                status: card.status,
            },
            holder: match card.programme.as_str() {
                "prepaid-jp" => HeldBy::Applicant(Applicant {
                    born: BusinessDate(-7_000),
                    consent: false,
                }),
                _ => HeldBy::Nobody,
            },
        }));
        match self.execute(body)?.answer {
            Answer::Opened(Opened::Created(account, _)) => {
                self.accounts.insert(card.name.clone(), account);
                Ok(())
            }
            other => Err(format!("{other:?}")),
        }
    }

    fn housekeep(&mut self, terms: &Housekeep, expected: &Expected) -> Step {
        let before = self.balances();
        let answer = self.execute(Body::Housekeep(*terms))?.answer;
        let Answer::Housekept { released, more } = answer else {
            return Err(format!("{answer:?}"));
        };
        let more = if more { " more" } else { "" };
        same(
            "outcome",
            &expected.outcome,
            &format!("{released} released{more}"),
        )?;
        self.check_balances(&before, expected)
    }

    fn set_rate(&mut self, mut rate: RateRow) -> Step {
        rate.effective = self.now;
        let order = Order::Money(MoneyOrder::SetRates(vec![rate]));
        match self.execute(Body::Operate(Box::new(order)))?.answer {
            Answer::Ordered(Ok(_)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    }

    fn charge(&mut self, line: &ChargeLine, expected: &Expected) -> Step {
        let before = self.balances();
        let account = self.accounts.get(&line.card).ok_or("no such card")?;
        let reference: Reference = line.reference.parse().unwrap();
        let order = Order::Money(MoneyOrder::Charge {
            reference,
            account: *account,
            source: line.source,
            charge: line.charge,
            minor: line.minor,
        });
        let answer = self.execute(Body::Operate(Box::new(order)))?.answer;
        let got = match answer {
            Answer::Ordered(Ok(done)) => {
                let kept = self.state.movement(&reference).ok_or("nothing is kept")?;
                let (_, Movement::Charge(charge)) = kept else {
                    return Err(format!("{kept:?}"));
                };
                let again = if done.before { " again" } else { "" };
                let (credited, fee) = (charge.credited, charge.fee);
                format!("credited {credited} fee {fee} at {}{again}", charge.rate)
            }
            Answer::Ordered(Err(refused)) => format!("refused: {refused}"),
            other => format!("{other:?}"),
        };
        same("outcome", &expected.outcome, &got)?;
        self.check_balances(&before, expected)
    }

    fn transfer(&mut self, line: &TransferLine, expected: &Expected) -> Step {
        let before = self.balances();
        let account = |name: &str| self.accounts.get(name).copied().ok_or("no such card");
        let transfer = Transfer {
            from: account(&line.from)?,
            to: account(&line.to)?,
            minor: line.minor,
        };
        let reference: Reference = line.reference.parse().unwrap();
        let order = Order::Money(MoneyOrder::Transfer {
            reference,
            transfer,
        });
        let got = match self.execute(Body::Operate(Box::new(order)))?.answer {
            Answer::Ordered(Ok(done)) if done.before => "done before".to_owned(),
            Answer::Ordered(Ok(_)) => "done".to_owned(),
            Answer::Ordered(Err(refused)) => format!("refused: {refused}"),
            other => format!("{other:?}"),
        };
        same("outcome", &expected.outcome, &got)?;
        self.check_balances(&before, expected)
    }

    fn unlock_pin(&mut self, name: &str) -> Step {
        let card = self.state.card_by_token(&token(name));
        let id = card.ok_or("no such card")?.id;
        match self.execute(Body::UnlockPin(id))?.answer {
            Answer::PinChanged(true) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    }

    fn send_all(&mut self, line: &MessageLine) -> Step {
        for category in &line.categories {
            let mut facts = line.facts.clone();
            facts.mcc = Some(*category);
            if !line.is_numbered {
                facts.trace = trace(self.next_stan);
                self.next_stan += 1;
            }
            if let Some(stan) = line.quotes {
                let code = self.approvals.get(&stan);
                facts.quoted_approval = Some(*code.ok_or(format!("#{stan} was not approved"))?);
            }
            self.send(facts, &line.expected)
                .map_err(|wrong| format!("mcc {category}: {wrong}"))?;
        }
        Ok(())
    }

    fn send(&mut self, facts: Facts, expected: &Expected) -> Step {
        let (key, before) = (facts.key(), self.balances());
        let purpose = facts.purpose;
        let (_, raised_before) = self.state.exceptions();
        let outcome = self.execute(Body::Message(std::sync::Arc::new(facts)))?;
        let Answer::Decided(decision) = outcome.answer else {
            return Err(format!("{:?}", outcome.answer));
        };
        let got = format!("{} {}", decision.code, decision.reason);
        same("answer", &expected.outcome, &got).map_err(|wrong| {
            let evidence = decision.evidence.as_deref().unwrap_or("nothing");
            format!("{wrong}, because {evidence}")
        })?;
        check_refusal_of_refund(key.kind, purpose, decision.reason)?;
        self.check_balances(&before, expected)?;
        same(
            "exceptions",
            &expected.exceptions.join(" "),
            &self.raised_since(raised_before),
        )?;
        let evidence = decision.evidence.as_deref().unwrap_or_default();
        if let Some(part) = &expected.because
            && !evidence.contains(part.as_str())
        {
            return Err(format!("expected because {part:?}, got {evidence:?}"));
        }
        same(
            "slowed",
            &expected.slowed.to_string(),
            &(decision.slow_ms > 0).to_string(),
        )?;
        self.check_shown(&decision, expected)?;
        self.check_repeat(&key, &decision, outcome.event.is_none(), expected)?;
        if let Some(approval) = decision.approval {
            self.approvals.insert(key.trace.stan, approval);
        }
        self.answered.push((key, *decision));
        Ok(())
    }

    fn check_shown(&self, decision: &Decision, expected: &Expected) -> Step {
        let shown = decision.show_balances.then(|| {
            let account = decision.account.unwrap_or(AccountId(0));
            self.written(account, &decision.balances)
        });
        let (expected, shown) = (expected.shows.as_deref(), shown.as_deref());
        same(
            "shown balances",
            expected.unwrap_or("none"),
            shown.unwrap_or("none"),
        )
    }

    /// A stored answer is the first one in every word, and makes no record.
    fn check_repeat(
        &self,
        key: &TraceKey,
        decision: &Decision,
        unrecorded: bool,
        expected: &Expected,
    ) -> Step {
        if (decision.repeated, unrecorded) != (expected.again, expected.again) {
            return Err(format!(
                "expected a stored answer: {}; said so: {}, made no record: {unrecorded}",
                expected.again, decision.repeated
            ));
        }
        if !expected.again {
            return Ok(());
        }
        let first = self.answered.iter().find(|(earlier, _)| earlier == key);
        let (_, first) = first.ok_or("nothing was answered before")?;
        let said = |of: &Decision| (of.reason, of.code, of.approval, of.sequence, of.card);
        if said(first) == said(decision) {
            Ok(())
        } else {
            Err(format!(
                "first {:?}, again {:?}",
                said(first),
                said(decision)
            ))
        }
    }

    fn raised_since(&self, before: u64) -> String {
        let (rows, total) = self.state.exceptions();
        let fresh = usize::try_from(total - before).unwrap();
        let rows: Vec<_> = rows.collect();
        let kinds = rows[rows.len() - fresh..].iter().map(|row| {
            let name = serde_json::to_value(row.kind).unwrap();
            name.as_str().unwrap().to_owned()
        });
        kinds.collect::<Vec<_>>().join(" ")
    }

    /// Decides, writes the record, reads it back and applies it here and in the replayed state.
    fn execute(&mut self, body: Body) -> Result<Outcome, String> {
        let sequence = self.state.sequence() + 1;
        let at = self.now;
        let outcome = decide(&self.rulebook, &self.state, &Command { sequence, at, body });
        if let Some(event) = &outcome.event {
            let mut bytes = Vec::new();
            record::encode(at, event, &mut bytes).map_err(|error| error.to_string())?;
            let (read_at, read) = record::decode(&bytes).map_err(|error| error.to_string())?;
            let applied = self.state.apply(sequence, at, event);
            applied.map_err(|broken| broken.to_string())?;
            let replayed = self.replayed.apply(sequence, read_at, &read);
            replayed.map_err(|broken| broken.to_string())?;
        }
        let conserved = self.state.check_conservation();
        conserved.map_err(|broken| broken.to_string())?;
        Ok(outcome)
    }

    fn balances(&self) -> BTreeMap<AccountId, Balances> {
        let ids = self.accounts.values();
        ids.map(|id| (*id, self.state.balances(*id))).collect()
    }

    /// The accounts named stand as written, all others as before.
    fn check_balances(&self, before: &BTreeMap<AccountId, Balances>, expected: &Expected) -> Step {
        let mut wanted: BTreeMap<AccountId, String> = before
            .iter()
            .map(|(id, balances)| (*id, self.written(*id, balances)))
            .collect();
        for part in expected.balances.split(';').map(str::trim) {
            let name = part.split(' ').next().unwrap_or_default();
            match self.accounts.get(name) {
                Some(id) => drop(wanted.insert(*id, part.to_owned())),
                None if part == "=" => {}
                None => return Err(format!("expected balances or `=`, got {part:?}")),
            }
        }
        for (id, wanted) in wanted {
            same(
                "balances",
                &wanted,
                &self.written(id, &self.state.balances(id)),
            )?;
        }
        Ok(())
    }

    /// `K 500(30) 20`
    fn written(&self, account: AccountId, balances: &Balances) -> String {
        let named = self.accounts.iter().find(|(_, id)| **id == account);
        let mut text = named.map_or("?", |(name, _)| name).to_owned();
        for purse in balances {
            text.push_str(&format!(" {}", purse.balance));
            if purse.held != 0 {
                text.push_str(&format!("({})", purse.held));
            }
        }
        text
    }

    fn check_state(&self) -> Step {
        let digests = (self.state.digest(), self.replayed.digest());
        same("digest", &digests.0.to_string(), &digests.1.to_string())
    }
}

fn same(what: &str, expected: &str, got: &str) -> Step {
    if expected == got {
        Ok(())
    } else {
        Err(format!("{what}: expected `{expected}`, got `{got}`"))
    }
}
