//! Journal records as this and every later program must read them: `fixtures/journal/record-v1`
//! and `record-v2`.
//!
//! One record for each variant of event and effect. `UPDATE_FIXTURES=1` adds records of the version
//! in force that are not kept yet; it never touches the bytes of one that is.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use cardswitch::domain::account::{AccountId, Kyc, PurseIndex, Split};
use cardswitch::domain::card::{CardId, CardStatus, ExpiryMonth, PinReference};
use cardswitch::domain::conditions::{
    Attendance, EntryMode, LocalTime, PinVerdict, PointOfService, StoredCredential,
};
use cardswitch::domain::decision::{PurseBalance, Reason};
use cardswitch::domain::facts::{
    Certainty, Device, Evidence, FactName, Facts, Initiation, LinkNumber, Presence, Purpose,
};
use cardswitch::domain::merchant::{Mcc, Origin};
use cardswitch::domain::money::{Amount, Currency};
use cardswitch::domain::pan::Pan;
use cardswitch::domain::pin_choice::{NewPin, PinRefused};
use cardswitch::domain::programme::Channel;
use cardswitch::domain::rare_facts::{AdviceReason, CapturePart, LoadChannel, MonthDay, RareFacts};
use cardswitch::domain::time::{BusinessDate, UnixMs};
use cardswitch::engine::entry::{EntryId, EntryState};
use cardswitch::engine::event::{
    AccountOpened, CardIssued, Decided, Effect, Effects, Event, ExceptionKind, Housekept,
};
use cardswitch::engine::ledger::{LedgerAccount, Posting, Postings};
use cardswitch::engine::operation::Operation;
use cardswitch::engine::record;

use crate::decisions_notation::{plain_facts, token, trace};
use crate::golden_holders::holder_operations;
use crate::golden_money;

pub(crate) const AT: UnixMs = UnixMs(1_803_870_000_123);
pub(crate) const ENTRY: EntryId = EntryId(4_711);
pub(crate) const CURRENCY: Currency = Currency::JPY;
pub(crate) const DATE: BusinessDate = BusinessDate(20_878);

#[test]
fn records_of_version_1_decode_to_the_same_meaning() {
    let folder = version("record-v1");
    let mut samples: Vec<(String, Event)> = samples(every_fact_of_version_1());
    samples.retain(|(name, _)| folder.join(format!("{name}.hex")).exists());
    assert_eq!(
        names_in(&folder),
        samples.iter().map(|row| row.0.clone()).collect()
    );
    for (name, event) in samples {
        let bytes = read(&fs::read_to_string(folder.join(format!("{name}.hex"))).unwrap());
        let decoded = record::decode(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(decoded, (AT, event), "{name}");
        assert!(
            record::decode(&[&bytes[..], &[0]].concat()).is_err(),
            "{name}: one byte more"
        );
    }
}

#[test]
fn a_purchase_costs_few_bytes_more_than_in_version_1() {
    let purchase = Facts {
        local: LocalTime::ahead_by(9 * 3_600),
        point: PointOfService {
            entry: EntryMode::Chip,
            attendance: Attendance::Attended,
            ..PointOfService::default()
        },
        link: LinkNumber(1),
        ..plain_facts(100).unwrap()
    };
    let mut bytes = Vec::new();
    record::encode(AT, &decided(purchase, Effects::new()), &mut bytes).unwrap();
    let opened =
        fs::read_to_string(version("record-v1").join("decided-tombstone-set.hex")).unwrap();
    let trace = postcard::to_allocvec(&Effect::TombstoneSet { trace: trace(123) }).unwrap();
    let before = read(&opened).len() - trace.len();
    assert!(
        bytes.len() <= before + 6,
        "{} bytes, {before} before",
        bytes.len()
    );
}

#[test]
fn kept_records_decode_for_ever() {
    let update = std::env::var_os("UPDATE_FIXTURES").is_some();
    fs::create_dir_all(folder()).unwrap();
    for (name, event) in samples(every_fact()) {
        let path = folder().join(format!("{name}.hex"));
        if update && !path.exists() {
            let mut bytes = Vec::new();
            record::encode(AT, &event, &mut bytes).unwrap();
            fs::write(&path, written(&bytes)).unwrap();
        }
        let bytes = read(&fs::read_to_string(&path).unwrap());
        let decoded = record::decode(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(decoded, (AT, event), "{name}");
        let mut again = Vec::new();
        record::encode(decoded.0, &decoded.1, &mut again).unwrap();
        assert_eq!(again, bytes, "{name} is written otherwise now");
    }
}

#[test]
fn a_record_is_kept_for_every_variant() {
    let sampled: BTreeSet<String> = samples(every_fact()).into_iter().map(|row| row.0).collect();
    assert_eq!(names_in(&folder()), sampled);
}

fn names_in(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn a_damaged_or_newer_record_is_refused_without_a_panic() {
    for (name, event) in samples(every_fact()) {
        let mut bytes = Vec::new();
        record::encode(AT, &event, &mut bytes).unwrap();
        for length in 0..bytes.len() {
            assert!(
                record::decode(&bytes[..length]).is_err(),
                "{name}: {length}"
            );
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(record::decode(&longer).is_err(), "{name}: one byte more");
        bytes[0] = record::VERSION + 1;
        let error = record::decode(&bytes).unwrap_err().to_string();
        assert!(error.contains("newer program"), "{name}: {error}");
    }
}

fn folder() -> PathBuf {
    version("record-v2")
}

fn version(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/journal")
        .join(name)
}

fn name_of(effect: &Effect) -> &'static str {
    match effect {
        Effect::EntryOpened { .. } => "entry-opened",
        Effect::HoldRaised { .. } => "hold-raised",
        Effect::HoldLowered { .. } => "hold-lowered",
        Effect::Posted { .. } => "posted",
        Effect::Offset { .. } => "offset",
        Effect::EntryMoved { .. } => "entry-moved",
        Effect::Counted { .. } => "counted",
        Effect::PinTried { .. } => "pin-tried",
        Effect::FeePosted { .. } => "fee-posted",
        Effect::TombstoneSet { .. } => "tombstone-set",
        Effect::ExceptionRaised { .. } => "exception-raised",
        Effect::PartTombstoneSet { .. } => "part-tombstone-set",
        Effect::ExchangeHeld(_) => "exchange-held",
        Effect::ExchangeLowered(_) => "exchange-lowered",
        Effect::ExchangePosted(_) => "exchange-posted",
        Effect::CardActivation { .. } => "card-activation",
        Effect::PinChanged { .. } => "pin-changed",
        Effect::ChipCounted(_) => "chip-counted",
    }
}

/// One record for each event and each effect, every optional part both there and missing somewhere.
fn samples(every_fact: Event) -> Vec<(String, Event)> {
    let plain = plain_facts(100).unwrap();
    let mut samples: Vec<(String, Event)> = effects()
        .into_iter()
        .chain(golden_money::effects())
        .map(|effect| {
            let name = format!("decided-{}", name_of(&effect));
            let exceptions = EXCEPTIONS.map(|kind| Effect::ExceptionRaised {
                kind,
                entry: None,
                minor: 0,
            });
            let others = match effect {
                Effect::ExceptionRaised { .. } => exceptions.to_vec(),
                _ => Vec::new(),
            };
            let effects = std::iter::once(effect).chain(others).collect();
            (name, decided(plain.clone(), effects))
        })
        .collect();
    let guessing = Effect::ExceptionRaised {
        kind: ExceptionKind::NumberGuessing,
        entry: None,
        minor: 10,
    };
    let cancelled = Effect::ExceptionRaised {
        kind: ExceptionKind::CancelledLoad,
        entry: Some(ENTRY),
        minor: 1_000,
    };
    samples.push((
        "decided-cancelled-load".to_owned(),
        decided(plain.clone(), Effects::from_iter([cancelled])),
    ));
    samples.push((
        "decided-number-guessing".to_owned(),
        decided(plain.clone(), Effects::from_iter([guessing])),
    ));
    let mut asked = plain_facts(100).unwrap();
    asked.purpose = Purpose::PinChange;
    let new_pin = Some(NewPin::Refused(PinRefused::Telephone));
    asked.rare = Some(Box::new(RareFacts {
        new_pin,
        ..RareFacts::default()
    }));
    let refused = decided(asked, Effects::new());
    samples.push(("decided-new-pin-refused".to_owned(), refused));
    samples.push(golden_money::chip(plain.clone()));
    samples.push(golden_money::card_values(plain));
    samples.push(("decided-every-fact".to_owned(), every_fact));
    samples.push(("account-opened".to_owned(), account_opened()));
    let housekept = Housekept {
        expired: vec![ENTRY, EntryId(1)],
        answers_before: AT,
        entries_before: UnixMs(0),
        tombstones_before: UnixMs(-1),
    };
    samples.push((
        "housekept".to_owned(),
        Event::Housekept(Box::new(housekept)),
    ));
    let reference = PinReference {
        key_index: 1,
        value: [8, 5, 2, 3],
    };
    samples.push(("pin-set".to_owned(), Event::PinSet(CardId(8), reference)));
    samples.push(("pin-unlocked".to_owned(), Event::PinUnlocked(CardId(8))));
    samples.push((
        "link-named".to_owned(),
        Event::LinkNamed(LinkNumber(300), "visa-style".to_owned()),
    ));
    let operations = operations().into_iter().chain(golden_money::operations());
    samples.extend(operations.map(|(name, operation)| {
        let event = Event::Operated(Box::new(operation));
        (format!("operated-{name}"), event)
    }));
    samples
}

/// One of each thing that an operator does.
fn operations() -> Vec<(&'static str, Operation)> {
    let masked = Pan::parse("4761739001010119").unwrap().masked();
    let postings = |to| {
        let from = LedgerAccount::Purse(AccountId(7), PurseIndex(0));
        let posting = |account, minor| Posting { account, minor };
        Postings::from_iter([posting(from, -900), posting(to, 900)])
    };
    let purse = LedgerAccount::Purse(AccountId(9), PurseIndex(0));
    let closing = [
        LedgerAccount::Fees(0),
        LedgerAccount::Payouts(0),
        LedgerAccount::Forfeited(1),
    ];
    let replaced = Operation::CardReplaced {
        card: CardId(8),
        status: CardStatus::Stolen,
        with: CardIssued {
            card: CardId(9),
            token: token("L"),
            masked,
            expiry: ExpiryMonth::from_yymm(3212),
            status: CardStatus::Active,
        },
    };
    vec![
        ("hold-released", Operation::HoldReleased(ENTRY)),
        (
            "card-status-changed",
            Operation::CardStatusChanged(CardId(8), CardStatus::Frozen),
        ),
        ("card-replaced", replaced),
        (
            "device-token-added",
            Operation::DeviceTokenAdded {
                card: CardId(8),
                token: token("M"),
                masked,
            },
        ),
        (
            "transferred",
            Operation::Transferred {
                reference: "rent-1".parse().unwrap(),
                from: AccountId(7),
                to: AccountId(9),
                currency: CURRENCY,
                postings: postings(purse),
            },
        ),
        (
            "account-closed",
            Operation::AccountClosed {
                account: AccountId(7),
                movements: closing.map(|to| (PurseIndex(0), postings(to))).to_vec(),
            },
        ),
        (
            "exception-resolved",
            Operation::ExceptionResolved {
                sequence: 4_711,
                note: "charged back".to_owned(),
            },
        ),
    ]
    .into_iter()
    .chain(holder_operations(account_opened()))
    .collect()
}

const EXCEPTIONS: [ExceptionKind; 10] = [
    ExceptionKind::UnmatchedCapture,
    ExceptionKind::LateCapture,
    ExceptionKind::ExtraCapture,
    ExceptionKind::AmbiguousMatch,
    ExceptionKind::UnmatchedReversal,
    ExceptionKind::OverReversal,
    ExceptionKind::ReplacementAboveOriginal,
    ExceptionKind::CurrencyWithoutPurse,
    ExceptionKind::ForcedRefund,
    ExceptionKind::ForcedLoad,
];

fn effects() -> Vec<Effect> {
    let parts = [(PurseIndex(1), 700), (PurseIndex(0), 300)];
    let split: Split = parts.into_iter().collect();
    let postings = || {
        let places = [
            (LedgerAccount::Purse(AccountId(7), PurseIndex(1)), -700),
            (LedgerAccount::Settlement(0), 500),
            (LedgerAccount::LoadFunds(1), 150),
            (LedgerAccount::Issuance(2), 50),
        ];
        let posting = |(account, minor)| Posting { account, minor };
        Postings::from_iter(places.map(posting))
    };
    vec![
        Effect::EntryOpened {
            currency: CURRENCY,
            authorized: 1_000,
            held: split.clone(),
            expires_at: Some(AT.plus_days(45)),
            date: DATE,
            refund_of: Some(ENTRY),
        },
        Effect::HoldRaised {
            entry: ENTRY,
            split: split.clone(),
        },
        Effect::HoldLowered {
            entry: ENTRY,
            split,
        },
        Effect::Posted {
            entry: ENTRY,
            currency: CURRENCY,
            postings: postings(),
        },
        Effect::Offset {
            account: AccountId(7),
            currency: CURRENCY,
            postings: postings(),
        },
        Effect::EntryMoved {
            entry: ENTRY,
            state: EntryState::Reversed,
        },
        Effect::Counted {
            entry: ENTRY,
            channel: Channel::Load,
            currency: CURRENCY,
            date: DATE,
            minor: -1_000,
            count: -1,
        },
        Effect::PinTried { wrong_tries: 2 },
        Effect::FeePosted {
            entry: ENTRY,
            currency: CURRENCY,
            postings: Postings::from_iter([
                Posting {
                    account: LedgerAccount::Purse(AccountId(7), PurseIndex(0)),
                    minor: -110,
                },
                Posting {
                    account: LedgerAccount::Fees(3),
                    minor: 110,
                },
            ]),
        },
        Effect::CardActivation { is_active: true },
        Effect::TombstoneSet { trace: trace(123) },
        Effect::PartTombstoneSet {
            trace: trace(123),
            remaining: 400,
        },
        Effect::ExceptionRaised {
            kind: ExceptionKind::OverReversal,
            entry: Some(ENTRY),
            minor: 250,
        },
    ]
}

pub(crate) fn decided(facts: Facts, effects: Effects) -> Event {
    Event::Decided(Box::new(Decided {
        facts: facts.into(),
        reason: Reason::Approved,
        code: "00".parse().unwrap(),
        approval: None,
        evidence: None,
        programme_version: None,
        balances: None,
        card: None,
        stored: false,
        effects,
    }))
}

/// Every optional fact is there, and none has its default.
fn every_fact() -> Event {
    let rare = RareFacts {
        lifecycle_id: Some("123456789012345".parse().unwrap()),
        incremental: true,
        part: Some(CapturePart {
            number: 2,
            last: true,
        }),
        cash_minor: Some(5_000),
        acquirer_fee_minor: Some(-110),
        settlement: Some(MonthDay(229)),
        authenticated: true,
        load_channel: Some(LoadChannel::CreditCard),
        load_partner: Some("00000012345".parse().unwrap()),
        funding_bin: Some("45678901".parse().unwrap()),
        advice_reason: Some(AdviceReason::PartialDispense),
        // Not known yet when this record was kept: a scenario has it on the wire.
        billing_rate: None,
        new_pin: None,
        chip: None,
        track: None,
        printed: None,
    };
    let facts = Facts {
        pin: PinVerdict::Wrong,
        link: LinkNumber(300),
        point: PointOfService {
            entry: EntryMode::ECommerce,
            attendance: Attendance::CashMachine,
            partial_approval: true,
            stored_credential: StoredCredential::MerchantUse,
            pin_pad: false,
        },
        local: LocalTime::ahead_by(-43_200),
        rare: Some(Box::new(rare)),
        ..facts_of_version_1()
    };
    declined(facts)
}

/// Every fact that version 1 knew.
fn every_fact_of_version_1() -> Event {
    declined(facts_of_version_1())
}

fn facts_of_version_1() -> Facts {
    Facts {
        repeat: true,
        mti: 421,
        purpose: Purpose::QuasiCash,
        dialect: 3,
        trace: trace(999_999),
        card: token("K"),
        expiry: ExpiryMonth::from_yymm(3112),
        amount: Amount::new(999_999_999_999, Currency::from_numeric(840)),
        billing: Some(Amount::new(1_500, CURRENCY)),
        replacement_minor: Some(10),
        mcc: Some(Mcc(5411)),
        origin: Origin {
            acquirer_country: Some(392),
            merchant_country: Some(*b"JP"),
        },
        rrn: "730112345678".parse().unwrap(),
        quoted_approval: Some("A1B2C3".parse().unwrap()),
        original: Some(trace(1)),
        stand_in_approved: false,
        initiation: Initiation::Instalment,
        certainty: Certainty::Estimated,
        device: Device::InFlight,
        presence: Presence::Absent,
        pin: PinVerdict::Unverified,
        evidence: smallvec::smallvec![Evidence {
            fact: FactName::Initiation,
            source: "DE67 = 02 or more".into(),
        }],
        ..plain_facts(420).unwrap()
    }
}

fn declined(facts: Facts) -> Event {
    let balance = PurseBalance {
        purse: PurseIndex(1),
        currency: CURRENCY,
        balance: -5,
        held: 70,
    };
    Event::Decided(Box::new(Decided {
        facts: facts.into(),
        reason: Reason::InsufficientFunds,
        code: "51".parse().unwrap(),
        approval: Some("Z9Y8X7".parse().unwrap()),
        evidence: Some("available 1, asked 2".to_owned()),
        programme_version: Some(1),
        balances: Some(Box::new([balance].into_iter().collect())),
        card: Some(CardId(7)),
        stored: true,
        effects: Effects::new(),
    }))
}

fn account_opened() -> Event {
    Event::AccountOpened(Box::new(AccountOpened {
        account: AccountId(7),
        programme: "prepaid-jp".parse().unwrap(),
        kyc: Kyc::Unverified,
        purses: vec![CURRENCY, Currency::from_numeric(840)],
        opening: vec![(PurseIndex(1), 50_000)],
        card: CardIssued {
            card: CardId(8),
            token: token("K"),
            masked: Pan::parse("4761739001010119").unwrap().masked(),
            expiry: ExpiryMonth::from_yymm(3112),
            status: CardStatus::NotActivated,
        },
    }))
}

/// Hexadecimal, 32 bytes a line.
pub(crate) fn written(bytes: &[u8]) -> String {
    bytes
        .chunks(32)
        .map(|row| {
            let digits: String = row.iter().map(|byte| format!("{byte:02x}")).collect();
            digits + "\n"
        })
        .collect()
}

pub(crate) fn read(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}
