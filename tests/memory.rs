//! What accounts, holds and answers cost in memory: counted, in a binary of its own because the
//! counter replaces the allocator.
#![expect(clippy::unwrap_used, reason = "a test says why it failed")]

use allocation_counter::measure;
use cardswitch::domain::account::Kyc;
use cardswitch::domain::card::{CardStatus, ExpiryMonth};
use cardswitch::domain::conditions::{LocalTime, PinVerdict, PointOfService};
use cardswitch::domain::facts::{
    Certainty, Device, Facts, Initiation, IssuerRoute, LinkNumber, MessageKind, Presence, Purpose,
    Trace,
};
use cardswitch::domain::holder::{Applicant, HolderId};
use cardswitch::domain::merchant::{Mcc, Origin};
use cardswitch::domain::money::{Amount, Currency};
use cardswitch::domain::pan::{CardToken, Pan};
use cardswitch::domain::rulebook::Rulebook;
use cardswitch::domain::time::{BusinessDate, UnixMs};
use cardswitch::engine::command::{Answer, Body, Command, HeldBy, Housekeep, NewCard, OpenAccount};
use cardswitch::engine::decide::decide;
use cardswitch::engine::operation::Order;
use cardswitch::engine::operation_holder::HolderOrder;
use cardswitch::engine::state::State;
use cardswitch::switch::rulebook::LoadedRules;

/// Just below a power of two, so that tables have grown to what they need and little more.
const ACCOUNTS: u32 = 114_000;
const START: UnixMs = UnixMs(1_803_870_000_000);

/// Bytes a holder costs, who is registered before the account is opened.
const HOLDER_MAX: i64 = 40;
/// Bytes an account with its card costs while nothing happens on it.
const IDLE_ACCOUNT_MAX: i64 = 300;
/// Bytes an open hold costs once the answer is forgotten that was given with it.
const OPEN_HOLD_MAX: i64 = 200;
/// Bytes it costs with that answer and what finds it.
const OPEN_HOLD_AND_ANSWER_MAX: i64 = 240;

#[test]
fn idle_accounts_and_open_holds_stay_small() {
    let rules = LoadedRules::load(None, None).unwrap();
    let rulebook = &rules.rulebook;
    let mut state = State::new();
    let holder = bytes_each(|_| take(rulebook, &mut state, holder(), true));
    let account = bytes_each(|number| take(rulebook, &mut state, account(number), true));
    let hold_and_answer = bytes_each(|number| {
        let facts = purchase(number, 100);
        take(rulebook, &mut state, Body::Message(facts.into()), true);
    });
    let forgotten = measure(|| forget_answers(rulebook, &mut state));
    let hold = hold_and_answer + forgotten.bytes_current / i64::from(ACCOUNTS);
    // A decline stores its answer and nothing else.
    let answer = bytes_each(|number| {
        let facts = purchase(ACCOUNTS + number, 10_001);
        take(rulebook, &mut state, Body::Message(facts.into()), false);
    });
    println!(
        "holder {holder}, account {account}, hold {hold}, with its answer {hold_and_answer}, \
         answer of a decline {answer} bytes"
    );
    assert!(holder <= HOLDER_MAX, "{holder}");
    assert!(account <= IDLE_ACCOUNT_MAX, "{account}");
    assert!(hold <= OPEN_HOLD_MAX, "{hold}");
    assert!(
        hold_and_answer <= OPEN_HOLD_AND_ANSWER_MAX,
        "{hold_and_answer}"
    );
}

/// Lets the time pass for which answers are kept.
fn forget_answers(rulebook: &Rulebook, state: &mut State) {
    let (sequence, at) = (state.sequence() + 1, UnixMs(state.at().0 + 3 * 3_600_000));
    let body = Body::Housekeep(Housekeep {
        answers_hours: 1,
        entries_hours: 10_000,
        tombstones_hours: 10_000,
        releases_max: 0,
    });
    let command = Command { sequence, at, body };
    let event = decide(rulebook, state, &command).event.unwrap();
    state.apply(sequence, at, &event).unwrap();
}

/// What one of so many things has added to the memory in use.
fn bytes_each(mut add: impl FnMut(u32)) -> i64 {
    let counted = measure(|| (0..ACCOUNTS).for_each(&mut add));
    counted.bytes_current / i64::from(ACCOUNTS)
}

fn take(rulebook: &Rulebook, state: &mut State, body: Body, approves: bool) {
    let (sequence, at) = (state.sequence() + 1, state.at().max(START));
    let command = Command { sequence, at, body };
    let outcome = decide(rulebook, state, &command);
    if let Answer::Decided(decision) = &outcome.answer {
        assert_eq!(decision.is_approved(), approves, "{decision:?}");
    }
    let event = outcome.event.unwrap();
    state.apply(sequence, at, &event).unwrap();
}

fn token(number: u32) -> CardToken {
    CardToken(
        u128::from(number)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
            .to_be_bytes(),
    )
}

fn account(number: u32) -> Body {
    Body::OpenAccount(Box::new(OpenAccount {
        programme: "prepaid-jp".parse().unwrap(),
        kyc: Kyc::Verified,
        balances: vec![("withdrawable".to_owned(), 10_000)],
        card: NewCard {
            token: token(number),
            masked: Pan::parse("4761739001010119").unwrap().masked(),
            expiry: ExpiryMonth::from_yymm(3112),
            status: CardStatus::Active,
        },
        // Holders were registered by the first records.
        holder: HeldBy::Registered(HolderId(u64::from(number) + 1)),
    }))
}

fn holder() -> Body {
    let applicant = Applicant {
        born: BusinessDate(-7_000),
        consent: false,
    };
    Body::Operate(Box::new(Order::Holder(HolderOrder::Register {
        programme: "prepaid-jp".parse().unwrap(),
        applicant,
        kyc: Kyc::Verified,
    })))
}

fn purchase(number: u32, minor: i64) -> Facts {
    Facts {
        kind: MessageKind::Authorization,
        mti: 100,
        repeat: false,
        purpose: Purpose::Purchase,
        dialect: 0,
        trace: Trace {
            originator: 123_456,
            transmitted: 301_030_000,
            stan: number,
        },
        route: IssuerRoute::Ours,
        card: token(number % ACCOUNTS),
        expiry: None,
        amount: Amount::new(minor, Currency::JPY),
        billing: None,
        replacement_minor: None,
        mcc: Some(Mcc(5411)),
        terminal: "TERM0001".parse().unwrap(),
        acceptor: "SHOP00000000001".parse().unwrap(),
        acceptor_name: "A shop in Tokyo".parse().unwrap(),
        origin: Origin::default(),
        rrn: format!("{number:012}").parse().unwrap(),
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
        local: LocalTime::UNSAID,
        rare: None,
        evidence: Default::default(),
    }
}
