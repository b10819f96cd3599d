//! Holders (A1) over HTTP, and what becomes of cards at expiry (A3) as time passes in the engine.

use serde_json::{Value, json};

use cardswitch::domain::account::{AccountId, Kyc};
use cardswitch::domain::card::{CardStatus, ExpiryMonth};
use cardswitch::domain::decision::Reason;
use cardswitch::domain::facts::Facts;
use cardswitch::domain::holder::Applicant;
use cardswitch::domain::money::{Amount, Currency};
use cardswitch::domain::pan::Pan;
use cardswitch::domain::time::{BusinessDate, UnixMs};
use cardswitch::engine::command::{Answer, Body, Command, HeldBy, NewCard, OpenAccount, Opened};
use cardswitch::engine::decide::decide;
use cardswitch::engine::operation::{Order, OrderRefused};
use cardswitch::engine::operation_holder::{HolderOrder, Whose};
use cardswitch::engine::record;
use cardswitch::engine::state::State;
use cardswitch::switch::rulebook::LoadedRules;

use crate::decisions_notation::{instant, plain_facts, token, trace};
use crate::operators::{Desk, spare_number};

#[test]
fn a_holder_is_old_enough_or_has_consent_and_has_one_account() {
    let mut desk = Desk::open();
    let register = |desk: &Desk, born: &str, consent: bool| {
        let wanted = json!({ "programme": "prepaid-jp", "born": born, "consent": consent,
            "kyc": "unverified" });
        desk.post("/v1/holders", &wanted)
    };
    for (born, consent, part) in [
        ("2100-01-01", true, "not in the past (A1)"),
        ("2020-01-01", true, "at least 13 years old (A1)"),
        ("2012-01-01", false, "consent of a parent (A1)"),
    ] {
        let (status, told) = register(&desk, born, consent);
        assert_eq!(status, 422, "{told}");
        let detail = told["detail"].as_str().unwrap();
        assert!(detail.contains(part) && !detail.contains(born), "{detail}");
    }
    assert_eq!(register(&desk, "2012-1-1", true).0, 400);
    let (status, young) = register(&desk, "2012-01-01", true);
    assert_eq!(status, 200, "{young}");
    let number = young["holder"].as_u64().unwrap();
    let pan = spare_number(700_000_011);
    let account = json!({ "programme": "prepaid-jp", "holder": number, "pan": pan,
        "expiry": "3112" });
    let (status, opened) = desk.post("/v1/accounts", &account);
    assert_eq!(
        (status, &opened["repeated"]),
        (200, &json!(false)),
        "{opened}"
    );
    assert_eq!(desk.post("/v1/accounts", &account).1["repeated"], true);
    let second = json!({ "programme": "prepaid-jp", "holder": number, "expiry": "3112",
        "pan": spare_number(700_000_012) });
    let (status, refused) = desk.post("/v1/accounts", &second);
    assert_eq!(status, 422, "{refused}");
    assert!(refused["detail"].as_str().unwrap().contains("already (A1)"));
    let id = opened["account"].as_u64().unwrap();
    let view = desk.get(&format!("/v1/holders/{number}"));
    assert_eq!(
        (&view["account"], &view["kyc"], &view["born"]),
        (&json!(id), &json!("unverified"), &json!("2012-01-01"))
    );
    // A holder who closed the account may have another one.
    let close = format!("/v1/accounts/{id}/close");
    assert_eq!(desk.code(&pan, 100), "51");
    assert_eq!(desk.post(&close, &json!({})).0, 200);
    assert_eq!(desk.post("/v1/accounts", &second).0, 200);
    // Who is verified by the account before would not be by the one in use.
    let verified = json!({ "kyc": "verified" });
    let (status, told) = desk.post(&format!("/v1/accounts/{id}/kyc"), &verified);
    assert_eq!(status, 409, "{told}");
    assert!(told["detail"].as_str().unwrap().contains("by now"));
    let path = format!("/v1/holders/{number}/kyc");
    assert_eq!(desk.post(&path, &verified).0, 200);
    let current = desk.get(&format!("/v1/holders/{number}"))["account"].clone();
    assert_eq!(
        desk.get(&format!("/v1/accounts/{current}"))["kyc"],
        "verified"
    );
    desk.close();
}

#[test]
fn a_programme_that_asks_for_holders_opens_no_account_without_one() {
    let desk = Desk::open();
    let nobody = json!({ "programme": "prepaid-jp", "kyc": "verified", "expiry": "3112",
        "pan": spare_number(700_000_013) });
    let (status, told) = desk.post("/v1/accounts", &nobody);
    assert_eq!(status, 422);
    assert!(told["detail"].as_str().unwrap().contains("(A1)"), "{told}");
    let bearer = json!({ "programme": "gift-code", "kyc": "bearer", "pan": "86001200000042" });
    assert_eq!(desk.post("/v1/accounts", &bearer).0, 200);
    let stranger = json!({ "programme": "gift-code", "kyc": "bearer",
        "pan": spare_number(700_000_014) });
    assert_eq!(desk.post("/v1/accounts", &stranger).0, 422);
    desk.close();
}

#[test]
fn a_holder_who_is_verified_may_do_more() {
    let desk = Desk::open();
    // The third demo account is not verified, so it cannot give.
    let transfer = json!({ "reference": "gift-1", "from": 3, "to": 1, "minor": 1 });
    let refused = |desk: &Desk| desk.post("/v1/transfers", &transfer).1["detail"].clone();
    assert!(refused(&desk).as_str().unwrap().contains("verified holder"));
    let holder = desk.get("/v1/accounts/3")["holder"].as_u64().unwrap();
    let path = format!("/v1/holders/{holder}/kyc");
    let verified = json!({ "kyc": "verified" });
    assert_eq!(desk.post(&path, &verified).0, 200);
    assert_eq!(desk.post(&path, &verified).0, 409);
    assert_eq!(desk.post("/v1/holders/999999/kyc", &verified).0, 404);
    assert_eq!(desk.post(&path, &json!({ "kyc": "bearer" })).0, 422);
    assert_eq!(desk.get("/v1/accounts/3")["kyc"], "verified");
    assert!(refused(&desk).as_str().unwrap().contains("available 0"));
    let back = json!({ "kyc": "unverified" });
    assert_eq!(desk.post("/v1/accounts/3/kyc", &back).0, 200);
    let view = desk.get(&format!("/v1/holders/{holder}"));
    assert_eq!(view["kyc"], "unverified");
    desk.close();
}

#[test]
fn a_pin_is_not_from_the_recorded_date_of_birth() {
    let desk = Desk::open();
    let pin = |pin: &str| {
        let wanted = json!({ "pan": crate::support::EVERYDAY, "pin": pin });
        desk.post("/v1/pins", &wanted)
    };
    let (status, told): (u16, Value) = pin("2511");
    assert_eq!(status, 422);
    assert!(told["detail"].as_str().unwrap().contains("date of birth"));
    assert_eq!(pin("2580").0, 200);
    desk.close();
}

/// The engine and its clock.
struct Years {
    rules: LoadedRules,
    state: State,
    records: Vec<Vec<u8>>,
    now: UnixMs,
    stan: u32,
}

impl Years {
    fn from(text: &str) -> Years {
        Years {
            rules: LoadedRules::load(None, None).unwrap(),
            state: State::new(),
            records: Vec::new(),
            now: instant(text).unwrap(),
            stan: 0,
        }
    }

    fn execute(&mut self, body: Body) -> Answer {
        let sequence = self.state.sequence() + 1;
        let at = self.now;
        let command = Command { sequence, at, body };
        let outcome = decide(&self.rules.rulebook, &self.state, &command);
        if let Some(event) = outcome.event {
            let mut record = Vec::new();
            record::encode(at, &event, &mut record).unwrap();
            self.records.push(record);
            self.state.apply(sequence, at, &event).unwrap();
        }
        outcome.answer
    }

    fn open(&mut self, name: &str, kyc: Kyc, yymm: u64, status: CardStatus) -> AccountId {
        let account = OpenAccount {
            programme: "prepaid-jp".parse().unwrap(),
            kyc,
            balances: vec![("withdrawable".to_owned(), 1_000)],
            card: NewCard {
                token: token(name),
                masked: Pan::parse("4761739001010119").unwrap().masked(),
                expiry: ExpiryMonth::from_yymm(yymm),
                status,
            },
            holder: HeldBy::Applicant(Applicant {
                born: BusinessDate::from_iso("1987-11-25").unwrap(),
                consent: false,
            }),
        };
        match self.execute(Body::OpenAccount(Box::new(account))) {
            Answer::Opened(Opened::Created(account, _)) => account,
            other => panic!("{other:?}"),
        }
    }

    fn order(&mut self, order: HolderOrder) -> Result<bool, OrderRefused> {
        match self.execute(Body::Operate(Box::new(Order::Holder(order)))) {
            Answer::Ordered(done) => done.map(|done| !done.before),
            other => panic!("{other:?}"),
        }
    }

    /// As many passes as there is something to do.
    fn renew(&mut self) -> usize {
        let mut passes = 0;
        while self
            .order(HolderOrder::RenewCards { cards_max: 2 })
            .unwrap()
        {
            passes += 1;
        }
        passes
    }

    fn reason(&mut self, name: &str) -> Reason {
        self.stan += 1;
        let facts = Facts {
            card: token(name),
            amount: Amount::new(10, Currency::JPY),
            trace: trace(self.stan),
            expiry: None,
            ..plain_facts(100).unwrap()
        };
        match self.execute(Body::Message(facts.into())) {
            Answer::Decided(decision) => decision.reason,
            other => panic!("{other:?}"),
        }
    }

    fn expiry(&self, name: &str) -> u16 {
        let card = self.state.card_by_token(&token(name)).unwrap();
        card.expiry.unwrap().yymm()
    }

    /// Replays every record and compares the states.
    fn close(self) {
        let mut replayed = State::new();
        for (record, sequence) in self.records.iter().zip(1..) {
            let (at, event) = record::decode(record).unwrap();
            replayed.apply(sequence, at, &event).unwrap();
        }
        assert_eq!(replayed.digest(), self.state.digest());
    }
}

#[test]
fn a_verified_holders_card_goes_on_at_expiry_and_anothers_balance_ends() {
    let mut years = Years::from("2027-02-01 00:00");
    years.open("V", Kyc::Verified, 2702, CardStatus::Active);
    let unverified = years.open("U", Kyc::Unverified, 2702, CardStatus::Active);
    years.open("L", Kyc::Verified, 2702, CardStatus::Lost);
    years.open("F", Kyc::Verified, 2702, CardStatus::Frozen);
    years.open("W", Kyc::Verified, 2703, CardStatus::Active);
    years.open("O", Kyc::Verified, 2601, CardStatus::Active);
    // The last instant of the month in Tokyo, where `instant` counts too.
    years.now = UnixMs(instant("2027-03-01 00:00").unwrap().0 - 1);
    assert_eq!(years.renew(), 0);
    assert_eq!(years.reason("V"), Reason::Approved);
    years.now = instant("2027-03-01 00:00").unwrap();
    assert_eq!(years.reason("V"), Reason::CardExpired, "before the pass");
    assert_eq!(years.renew(), 2, "four cards, two at a time");
    assert_eq!(years.renew(), 0);
    assert_eq!(years.reason("V"), Reason::Approved);
    assert_eq!(years.expiry("V"), 3202);
    assert_eq!(years.expiry("F"), 3202);
    assert_eq!(years.reason("F"), Reason::CardFrozen);
    assert_eq!(years.reason("U"), Reason::CardExpired);
    assert_eq!((years.expiry("L"), years.expiry("W")), (2702, 2703));
    assert_eq!(years.expiry("O"), 2601, "it was over when it was issued");

    // Nor does another card make the balance usable again.
    let card = years.state.card_by_token(&token("U")).unwrap().id;
    let with = NewCard {
        token: token("U2"),
        masked: Pan::parse("4761739001010119").unwrap().masked(),
        expiry: ExpiryMonth::from_yymm(3203),
        status: CardStatus::Active,
    };
    let replace = Order::ReplaceCard {
        card,
        status: CardStatus::Lost,
        with,
    };
    let answer = years.execute(Body::Operate(Box::new(replace)));
    let Answer::Ordered(Err(OrderRefused::NotAllowed(why))) = answer else {
        panic!("{answer:?}");
    };
    assert!(why.contains("A3"), "{why}");

    // Verified late, it goes on.
    let verify = HolderOrder::ChangeKyc(Whose::Account(unverified), Kyc::Verified);
    assert_eq!(years.order(verify), Ok(true));
    assert_eq!(years.renew(), 1);
    assert_eq!(years.reason("U"), Reason::Approved);

    // After years without a pass a card goes on for as many lives as it takes.
    years.now = instant("2040-01-01 00:00").unwrap();
    assert_eq!(years.renew(), 2, "V, F, U and W");
    assert_eq!((years.expiry("V"), years.expiry("W")), (4202, 4203));
    years.close();
}
