//! `cardswitch programme backtest`: a recorded period decided again under another file.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use cardswitch::cli::programme::{BacktestArgs, backtest};
use cardswitch::domain::account::Kyc;
use cardswitch::domain::card::{CardStatus, ExpiryMonth};
use cardswitch::domain::facts::Facts;
use cardswitch::domain::holder::Applicant;
use cardswitch::domain::merchant::Mcc;
use cardswitch::domain::money::{Amount, Currency};
use cardswitch::domain::pan::Pan;
use cardswitch::domain::programme_file;
use cardswitch::domain::rulebook::Rulebook;
use cardswitch::domain::time::{BusinessDate, UnixMs};
use cardswitch::engine::command::{Body, Command, HeldBy, Housekeep, NewCard, OpenAccount};
use cardswitch::engine::decide::decide;
use cardswitch::engine::entry::EntryId;
use cardswitch::engine::operation::Order;
use cardswitch::engine::operation_rules::NewRules;
use cardswitch::engine::record;
use cardswitch::engine::state::State;
use cardswitch::journal::{Batch, Journal, SledJournal, SledOptions};
use cardswitch::switch::rulebook::LoadedRules;

use serde_json::json;

use crate::decisions_notation::{instant, plain_facts, token, trace};
use crate::operators::Desk;
use crate::support::EVERYDAY;
use crate::walk::command;

const SHIPPED: &str = include_str!("../../spec/programme/prepaid-jp.toml");

/// A store with one card's day.
pub(crate) struct Recorded {
    folder: tempfile::TempDir,
    journal: SledJournal,
    rules: LoadedRules,
    state: State,
    batch: Batch,
}

impl Recorded {
    pub(crate) fn new(balance: i64) -> Recorded {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let journal = SledJournal::open(&data, SledOptions::standard(), &mut |_| Ok(()));
        let mut batch = Batch::new();
        batch.clear(1);
        let mut recorded = Recorded {
            folder,
            journal: journal.unwrap(),
            rules: LoadedRules::load(None, None).unwrap(),
            state: State::new(),
            batch,
        };
        let account = OpenAccount {
            programme: "prepaid-jp".parse().unwrap(),
            kyc: Kyc::Verified,
            balances: vec![("withdrawable".to_owned(), balance)],
            card: NewCard {
                token: token("K"),
                masked: Pan::parse("4761739001010119").unwrap().masked(),
                expiry: ExpiryMonth::from_yymm(3112),
                status: CardStatus::Active,
            },
            holder: HeldBy::Applicant(Applicant {
                born: BusinessDate(-7_000),
                consent: false,
            }),
        };
        let at = instant("2027-03-01 00:00").unwrap();
        recorded.take(at, Body::OpenAccount(Box::new(account)));
        recorded
    }

    pub(crate) fn take(&mut self, at: UnixMs, body: Body) {
        let sequence = self.state.sequence() + 1;
        let command = Command { sequence, at, body };
        let outcome = decide(&self.rules.rulebook, &self.state, &command);
        let Some(event) = outcome.event else { return };
        self.batch
            .push(|buffer| record::encode(at, &event, buffer).unwrap());
        self.state.apply(sequence, at, &event).unwrap();
    }

    /// Other programmes come into force: those shipped, `prepaid-jp` with an edit.
    fn change_rules(&mut self, old: &str, new: &str) {
        let (mut programmes, mut files) = LoadedRules::programmes(None).unwrap();
        for (programme, file) in programmes.iter_mut().zip(&mut files) {
            if programme.name.as_str() == "prepaid-jp" {
                assert!(file.text.contains(old), "{old}");
                file.text = file.text.replacen(old, new, 1);
                *programme = programme_file::parse("prepaid-jp", &file.text).unwrap();
            }
        }
        let codes = self.rules.rulebook.codes.clone();
        let rulebook = Arc::new(Rulebook { programmes, codes });
        let order = Order::ChangeRules(NewRules {
            rulebook: Arc::clone(&rulebook),
            files,
        });
        self.take(self.state.at(), Body::Operate(Box::new(order)));
        self.rules.rulebook = rulebook;
    }

    fn purchase(&mut self, at: &str, stan: u32, minor: i64, mcc: u16) {
        let facts = Facts {
            card: token("K"),
            amount: Amount::new(minor, Currency::JPY),
            mcc: Some(Mcc(mcc)),
            trace: trace(stan),
            ..plain_facts(200).unwrap()
        };
        self.take(instant(at).unwrap(), Body::Message(facts.into()));
    }

    /// The entry that the last record opened.
    pub(crate) fn last_entry(&self) -> EntryId {
        EntryId(self.state.sequence())
    }

    /// Closes the store; the folder holds it under `data`.
    pub(crate) fn close(mut self) -> tempfile::TempDir {
        self.journal.append(&self.batch).unwrap();
        self.journal.close().unwrap();
        self.folder
    }

    /// Closes the store and decides it again under the shipped file with an edit.
    fn again(self, old: &str, new: &str, period: [Option<&str>; 2]) -> String {
        let folder = self.close();
        assert!(SHIPPED.contains(old), "{old}");
        let file = folder.path().join("changed.toml");
        fs::write(&file, SHIPPED.replacen(old, new, 1)).unwrap();
        let [from, until] = period.map(|at| at.map(|at| instant(at).unwrap()));
        let args = BacktestArgs {
            file,
            journal: folder.path().join("data"),
            programmes: None,
            dialects: None,
            from,
            until,
        };
        backtest(&args).unwrap()
    }
}

fn a_day() -> Recorded {
    let mut recorded = Recorded::new(1_000);
    recorded.purchase("2027-03-01 09:00", 1, 400, 5411);
    recorded.purchase("2027-03-01 10:00", 2, 300, 5812);
    recorded.purchase("2027-03-01 11:00", 3, 500, 5411);
    let terms = Housekeep {
        answers_hours: 1,
        entries_hours: 2_000,
        tombstones_hours: 48,
        releases_max: 10,
    };
    let at = instant("2027-03-01 12:00").unwrap();
    recorded.take(at, Body::Housekeep(terms));
    recorded.purchase("2027-03-01 13:00", 4, 300, 5411);
    recorded
}

#[test]
fn under_the_same_file_nothing_changes() {
    let told = a_day().again("version = 1", "version = 2", [None, None]);
    assert!(told.contains("0 decisions would change"), "{told}");
    assert!(told.contains("\n4 decisions again in "), "{told}");
    assert!(told.contains("declines: 1 -> 1;"), "{told}");
}

#[test]
fn what_a_new_decline_would_not_have_used_up_is_there_for_the_next() {
    // The purchase of 400 is refused, so the one of 500 would have passed, and the last not.
    let told = a_day().again(
        "amount_max = 1_000_000\n",
        "amount_max = 1_000_000\n[[block]]\nid = \"x\"\nrule = \"C7\"\n\
         reason = \"time-not-allowed\"\nhours = \"08:30-09:30\"\n[[limit]]\n\
         channel = \"purchase\"\nwindow = \"transaction\"\ncurrency = \"JPY\"\n\
         amount_max = 1_000_000\n",
        [None, None],
    );
    for part in [
        "3 decisions would change",
        "1  approved -> time-not-allowed  (400 JPY)",
        "1  approved -> insufficient-funds  (300 JPY)",
        "1  insufficient-funds -> approved  (500 JPY)",
        "record 2 at ",
        "x (C7): at 09:00",
        "declines: 1 -> 2;",
    ] {
        assert!(told.contains(part), "{part} is not in\n{told}");
    }
}

#[test]
fn outside_the_period_all_stays_as_it_was() {
    let told = a_day().again(
        "channel = \"purchase\"\nwindow = \"transaction\"\ncurrency = \"JPY\"\n\
         amount_max = 1_000_000",
        "channel = \"purchase\"\nwindow = \"transaction\"\ncurrency = \"JPY\"\n\
         amount_max = 100",
        [Some("2027-03-01 09:30"), Some("2027-03-01 12:00")],
    );
    assert!(told.contains("2 decisions would change"), "{told}");
    assert!(
        told.contains("approved -> transaction-limit  (300 JPY)"),
        "{told}"
    );
    assert!(
        told.contains("insufficient-funds -> transaction-limit  (500 JPY)"),
        "{told}"
    );
    assert!(told.contains("\n2 decisions again in "), "{told}");
}

#[test]
fn the_other_programmes_are_those_that_the_journal_had_in_force() {
    let mut recorded = Recorded::new(1_000);
    recorded.change_rules("\"5983\"]", "\"5983\", \"5812\"]");
    recorded.purchase("2027-03-01 09:00", 1, 400, 5411);
    recorded.purchase("2027-03-01 10:00", 2, 300, 5812);
    recorded.change_rules("\"5983\"]", "\"5983\", \"5411\"]");
    recorded.purchase("2027-03-01 11:00", 3, 400, 5411);
    recorded.purchase("2027-03-01 12:00", 4, 300, 5812);
    let folder = recorded.close();
    let file = folder.path().join("tried.toml");
    let shipped = include_str!("../../spec/programme/gift-code.toml");
    let decide_again = |text: &str, programmes: Option<PathBuf>| {
        fs::write(&file, text).unwrap();
        backtest(&BacktestArgs {
            file: file.clone(),
            journal: folder.path().join("data"),
            programmes,
            dialects: None,
            from: None,
            until: None,
        })
    };
    let told = decide_again(shipped, None).unwrap();
    assert!(told.contains("0 decisions would change"), "{told}");
    assert!(told.contains("\n4 decisions again in "), "{told}");
    // Under the shipped files the blocked categories would have passed.
    let named = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("spec/programme");
    let told = decide_again(shipped, Some(named)).unwrap();
    assert!(told.contains("2 decisions would change"), "{told}");
    let other = shipped.replace("name = \"gift-code\"", "name = \"other\"");
    let other = other
        .replace("445653", "445659")
        .replace("860012", "860019");
    let refused = decide_again(&other, None).unwrap_err();
    assert_eq!(refused, "the journal knows no programme named other");
}

#[test]
fn a_row_in_shadow_is_counted() {
    let told = a_day().again(
        "id = \"fuel\"",
        "id = \"cafes\"\nrule = \"A24\"\nreason = \"merchant-category\"\nmcc = [\"5812\"]\n\
         shadow = true\n\n[[block]]\nid = \"fuel\"",
        [None, None],
    );
    assert!(told.contains("0 decisions would change"), "{told}");
    assert!(
        told.contains("1 approvals would have been refused by a row in shadow"),
        "{told}"
    );
}

#[test]
fn what_cannot_be_decided_again_is_told_and_nothing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nowhere");
    let args = |file: PathBuf| BacktestArgs {
        file,
        journal: nowhere.clone(),
        programmes: None,
        dialects: None,
        from: None,
        until: None,
    };
    let file = folder.path().join("file.toml");
    fs::write(&file, SHIPPED).unwrap();
    let error = backtest(&args(file.clone())).unwrap_err();
    assert!(error.contains("there is no store in"), "{error}");
    assert!(!nowhere.exists());
    fs::write(&file, SHIPPED.replace("\"5541\"", "\"554\"")).unwrap();
    assert!(backtest(&args(file)).unwrap_err().contains("\"554\""));
    let missing = folder.path().join("missing.toml");
    assert!(backtest(&args(missing)).unwrap_err().starts_with("read "));
}

#[test]
fn a_running_switch_tries_a_file_beside_its_work_and_nothing_of_it_is_in_force() {
    let mut desk = Desk::open();
    for minor in [400, 900, 5_000] {
        assert_eq!(desk.code(EVERYDAY, minor), "00");
    }
    let tighter = SHIPPED.replacen("amount_max = 1_000_000", "amount_max = 800", 1);
    let path = "/v1/programmes/backtest";
    let (status, told) = desk.post(path, &json!({ "file": tighter }));
    assert_eq!(status, 200, "{told}");
    assert_eq!(
        (&told["decisions"], &told["changed"]),
        (&json!(3), &json!(2))
    );
    let change = &told["changes"][0];
    assert_eq!(change["would_be"], "transaction-limit");
    assert_eq!(
        change["sums"],
        json!([{ "currency": "JPY", "minor": 5_900 }])
    );
    assert_eq!(
        told["examples"][0]["evidence"],
        "limit per transaction 800, asked 900"
    );
    assert_eq!(
        (&told["whole"], &told["declines"][0]["would_be"]),
        (&json!(true), &json!(2))
    );
    assert_eq!(desk.code(EVERYDAY, 900), "00", "nothing of it is in force");

    // Outside the period nothing is decided again.
    let later = json!({ "file": tighter, "from": "2999-01-01T00:00:00Z" });
    assert_eq!(desk.post(path, &later).1["decisions"], 0);
    let mistaken = tighter.replacen("window = \"transaction\"", "window = \"decade\"", 1);
    assert_eq!(desk.post(path, &json!({ "file": mistaken })).0, 422);
    let foreign = tighter.replacen("name = \"prepaid-jp\"", "name = \"nobody\"", 1);
    assert_eq!(desk.post(path, &json!({ "file": foreign })).0, 422);
    assert_eq!(
        desk.post(path, &json!({ "file": tighter, "from": "now" }))
            .0,
        400
    );

    let file = desk.process.directory.path().join("tighter.toml");
    fs::write(&file, &tighter).unwrap();
    let args = ["programme", "try", file.to_str().unwrap()];
    let (code, told, why) = command(&desk, &args, None);
    assert_eq!(code, 0, "{why}");
    assert!(told.contains("3 of 4 decisions would change"), "{told}");
    desk.close();
}
