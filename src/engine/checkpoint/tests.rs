//! Golden rows, and what a loader refuses.
//!
//! `fixtures/checkpoint/rows-v1.txt` has one row of each kind. Together they are a state, so the
//! test that they read as they always did also proves that no field is lost on the way through one.

use std::borrow::Cow;
use std::str::FromStr;

use smallvec::smallvec;

use super::row::{AccountRow, CardRow, DeviceTokenRow, LinkDayRow, LinkRow, Row};
use super::*;
use crate::domain::account::{AccountId, Kyc, Purse, PurseIndex, Split};
use crate::domain::block::Condition;
use crate::domain::card::{CardId, CardPin, CardStatus, ExpiryMonth, PinReference};
use crate::domain::card_control::CardControl;
use crate::domain::card_limit::{CardLimit, CardWindow};
use crate::domain::chip::UsedCounters;
use crate::domain::decision::{PurseBalance, Reason, ResponseCode};
use crate::domain::exchange::{Exchange, Leg};
use crate::domain::facts::{LinkNumber, MessageKind, Purpose, Trace, TraceKey};
use crate::domain::holder::{Applicant, Holder, HolderId};
use crate::domain::merchant::Mcc;
use crate::domain::money::{Amount, Currency};
use crate::domain::pan::{CardToken, Pan};
use crate::domain::programme::Channel;
use crate::domain::rate::Rate;
use crate::domain::rate_file::RateRow;
use crate::domain::reconciliation::{Balance, Claim, Totals};
use crate::domain::time::{BusinessDate, UnixMs};
use crate::engine::clearing::ClosedBatch;
use crate::engine::entry::{EntryId, EntryState};
use crate::engine::event::ExceptionKind;
use crate::engine::ledger::LedgerAccount;
use crate::engine::operation_end::Ending;
use crate::engine::operation_money::{CountedTransfer, Movement, Transfer};
use crate::engine::reconcile::Reconciled;
use crate::engine::state::{ExceptionRow, State, StoredAnswer, Told};
use crate::engine::usage::Usage;

const GOLDEN: &str = include_str!("../../../fixtures/checkpoint/rows-v1.txt");

pub(super) const NOW: UnixMs = UnixMs(1_803_870_000_123);
const TODAY: BusinessDate = BusinessDate(20_878);
const ACCOUNT: AccountId = AccountId(1);
const CARD: CardId = CardId(1);
const TOKEN: CardToken = CardToken([7; 16]);
const DEVICE: CardToken = CardToken([8; 16]);
const LINK: LinkNumber = LinkNumber(1);
const TRACE: Trace = Trace {
    originator: 440_011,
    transmitted: 301_120_000,
    stan: 77,
};
pub(super) const FIRST: PurseIndex = PurseIndex(0);

fn text<T: FromStr>(text: &str) -> T {
    text.parse().ok().unwrap()
}

fn rate() -> Rate {
    Rate::parse("150.25").unwrap()
}

fn reconciled() -> Reconciled {
    Reconciled {
        link: LINK,
        date: TODAY,
        currency: Currency::JPY,
        claim: Claim::default(),
        own: Totals::default(),
        balance: Balance::OutOfBalance,
        evidence: "debits 3, counted 4".to_owned(),
        asker: (301_120_000, 8),
    }
}

pub(super) fn entry(id: u64) -> EntryRow {
    EntryRow {
        id: EntryId(id),
        account: ACCOUNT,
        card: CARD,
        opened_by: MessageKind::Financial,
        purpose: Purpose::Purchase,
        currency: Currency::JPY,
        state: EntryState::Captured,
        authorized: 1_200,
        held: Split::whole(FIRST, 200),
        posted: [(FIRST, 700), (PurseIndex(1), 300)].into_iter().collect(),
        counted: 1_100,
        counted_as: 1,
        channel: Some(Channel::Purchase),
        date: TODAY,
        opened_at: NOW,
        expires_at: Some(UnixMs(NOW.0 + 777)),
        rested_at: UnixMs(NOW.0 + 5),
        mcc: Some(Mcc(5_411)),
        trace: TRACE,
        terminal: text("TERM0001"),
        acceptor: text("SHOP00000000001"),
        rrn: text("730112000077"),
        approval: Some(text("A1B2C3")),
        rare: Some(Box::new(RareRow {
            refunded: 90,
            refund_of: Some(EntryId(3)),
            fee: Split::whole(FIRST, 11),
            lifecycle: Some(text("T12345678901234")),
        })),
    }
}

/// An entry with as little as an entry can have.
fn bare_entry(id: u64) -> EntryRow {
    EntryRow {
        state: EntryState::Pending,
        held: Split::default(),
        posted: Split::default(),
        channel: None,
        expires_at: None,
        rested_at: UnixMs::default(),
        mcc: None,
        trace: Trace { stan: 78, ..TRACE },
        rrn: text(""),
        approval: None,
        rare: None,
        ..entry(id)
    }
}

pub(super) fn exchange() -> Exchange {
    let leg = Leg {
        purse: FIRST,
        worth: 1_000,
        net: 1_503,
        markup: 61,
        rate: Some(rate()),
    };
    Exchange {
        asked: Amount::new(1_000, Currency::from_alpha("USD").unwrap()),
        held_minor: 400,
        posted_minor: 600,
        held_rate: Some(rate()),
        posted_rate: None,
        held: smallvec![leg],
        posted: smallvec![Leg { rate: None, ..leg }],
    }
}

fn answer() -> AnswerRow<'static> {
    let key = TraceKey {
        kind: MessageKind::Reversal,
        trace: TRACE,
        terminal: text("TERM0001"),
    };
    let balance = PurseBalance {
        purse: FIRST,
        currency: Currency::JPY,
        balance: 700,
        held: 500,
    };
    let told = Told {
        balances: Some([balance].into_iter().collect()),
        approved_minor: Some(500),
        approved_transaction: Some(3),
        billed: None,
    };
    let answer = StoredAnswer {
        card: TOKEN,
        minor: 1_200,
        currency: Currency::JPY,
        purpose: Purpose::Purchase,
        reason: Reason::PartiallyApproved,
        code: text("10"),
        approval: Some(text("A1B2C3")),
        told: Some(Box::new(told)),
        card_id: Some(CARD),
        sequence: 9,
        entry: Some(EntryId(5)),
    };
    AnswerRow::Whole(NOW, key, Cow::Owned(answer))
}

fn link_rows() -> Vec<Row<'static>> {
    vec![
        Row::Link(LinkRow {
            name: "acquirer".to_owned(),
            current: Some(TODAY),
            asker: Some((301_120_000, 7)),
        }),
        Row::LinkDay(LinkDayRow {
            link: LINK,
            date: TODAY,
            currency: Currency::JPY,
            totals: Totals::default(),
            reconciled: Some(Box::new(reconciled())),
        }),
    ]
}

pub(super) fn card_rows() -> Vec<Row<'static>> {
    let masked = Pan::parse("4761739001010119").unwrap().masked();
    let expiry = ExpiryMonth::from_yymm(3_112).unwrap();
    let purse = |balance, held| Purse {
        currency: Currency::JPY,
        balance,
        held,
    };
    vec![
        Row::Account(AccountRow {
            programme: 0,
            kyc: Kyc::Verified,
            purses: smallvec![purse(5_000, 200), purse(-3, 0)],
            cards: smallvec![CARD],
            usage: smallvec![Usage {
                day_minor: 1_100,
                day_count: 1,
                month_minor: 2_200,
                month_count: 2,
                ..Usage::new(Channel::Purchase, Currency::JPY, TODAY)
            }],
        }),
        Row::Card(CardRow {
            account: ACCOUNT,
            token: TOKEN,
            masked,
            expiry: Some(expiry),
            status: CardStatus::Frozen,
            pin: CardPin {
                reference: Some(PinReference {
                    key_index: 1,
                    value: [1, 2, 3, 4],
                }),
                wrong_tries: 2,
            },
        }),
        Row::DeviceToken(DeviceTokenRow {
            card: CARD,
            token: DEVICE,
            masked,
            is_alive: true,
            finds_card: true,
        }),
        Row::Holder(Holder {
            id: HolderId(2),
            programme: 0,
            person: Applicant {
                born: BusinessDate(9_000),
                consent: true,
            },
            kyc: Kyc::Verified,
            account: Some(ACCOUNT),
        }),
        Row::AccountHolder(ACCOUNT, 1),
        Row::CardDue(expiry, CARD),
        Row::CardLapsed(CARD),
    ]
}

/// One row of each kind at least, in the order in which a state is saved.
fn samples() -> Vec<Row<'static>> {
    let transfer = Transfer {
        from: ACCOUNT,
        to: AccountId(2),
        minor: 300,
    };
    let dollar = Currency::from_alpha("USD").unwrap();
    let code: ResponseCode = text("00");
    let of_entry = AnswerRow::OfEntry(EntryId(6), code);
    let mut rows = vec![Row::Head(12, NOW, 40), Row::Programme(text("prepaid-jp"))];
    rows.extend(link_rows());
    rows.push(Row::ProgrammeFile(text("prepaid-jp"), 3, [9; 32]));
    rows.push(Row::Rate(RateRow {
        from: dollar,
        to: Currency::JPY,
        rate: rate(),
        effective: NOW,
    }));
    let minutes = smallvec![(30_064_500, 2), (30_064_501, 1)];
    rows.push(Row::Guesses(LINK, text("SHOP"), minutes));
    rows.extend(card_rows());
    rows.extend([
        Row::Entry(entry(5)),
        Row::Entry(bare_entry(6)),
        Row::Exchange(EntryId(5), Box::new(Cow::Owned(exchange()))),
        Row::Activation(CARD, EntryId(5)),
        Row::Expiry(777, UnixMs(NOW.0 + 777), EntryId(5)),
        Row::Resting(UnixMs(NOW.0 + 5), EntryId(5)),
        Row::Answer(of_entry),
        Row::AdviceAnswer(answer()),
        Row::Tombstone(NOW, TOKEN, TRACE, Some(55)),
        Row::Reference(
            NOW,
            text("tr-1"),
            Some(8),
            Some(Movement::Transfer(transfer)),
        ),
        Row::ClearingClosed(
            text("batch-1"),
            ClosedBatch {
                lines: 4,
                sequence: 11,
            },
        ),
        Row::LedgerTotal(LedgerAccount::Settlement(0), Currency::JPY, -4_997),
        Row::Negative(ACCOUNT, PurseIndex(1), NOW),
        Row::Transfer(
            ACCOUNT,
            CountedTransfer {
                at: NOW,
                date: TODAY,
                currency: Currency::JPY,
                minor: 300,
            },
        ),
        Row::Exception(ExceptionRow {
            sequence: 10,
            at: NOW,
            kind: ExceptionKind::OverReversal,
            entry: Some(EntryId(5)),
            card: Some(CARD),
            minor: 3,
        }),
    ]);
    rows.push(Row::End(u64::try_from(rows.len()).unwrap() + 1));
    rows
}

/// The name of a row's kind. A new kind needs a name here, a sample above, and a golden line.
fn name(row: &Row<'_>) -> &'static str {
    match row {
        Row::Head(..) => "head",
        Row::Programme(_) => "programme",
        Row::Link(_) => "link",
        Row::LinkDay(_) => "link-day",
        Row::ProgrammeFile(..) => "programme-file",
        Row::Account(_) => "account",
        Row::Card(_) => "card",
        Row::DeviceToken(_) => "device-token",
        Row::Holder(_) => "holder",
        Row::AccountHolder(..) => "account-holder",
        Row::CardDue(..) => "card-due",
        Row::CardLapsed(_) => "card-lapsed",
        Row::Entry(_) => "entry",
        Row::Exchange(..) => "exchange",
        Row::Activation(..) => "activation",
        Row::Expiry(..) => "expiry",
        Row::Resting(..) => "resting",
        Row::Answer(_) => "answer",
        Row::AdviceAnswer(_) => "advice-answer",
        Row::Tombstone(..) => "tombstone",
        Row::Reference(..) => "reference",
        Row::LedgerTotal(..) => "ledger-total",
        Row::Negative(..) => "negative",
        Row::Guesses(..) => "guesses",
        Row::Rate(_) => "rate",
        Row::Transfer(..) => "transfer",
        Row::ClearingClosed(..) => "clearing-closed",
        Row::Exception(_) => "exception",
        Row::End(_) => "end",
        Row::Chip(..) => "chip",
        Row::Ending(..) => "ending",
        Row::CardLimits(..) => "card-limits",
        Row::CardControls(..) => "card-controls",
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).unwrap())
        .collect()
}

/// Name and bytes of each golden row, and the digest of the state that they are.
fn golden() -> (Vec<(&'static str, Vec<u8>)>, &'static str) {
    let lines = GOLDEN.lines().filter(|line| !line.starts_with('#'));
    let mut rows = Vec::new();
    let mut digest = "";
    for line in lines {
        let (name, value) = line.split_once(' ').unwrap();
        match name {
            "digest-v1" => digest = value,
            name => rows.push((name, bytes(value))),
        }
    }
    (rows, digest)
}

pub(super) fn chunk_of<'a>(rows: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut chunk = vec![VERSION];
    rows.into_iter().for_each(|row| chunk.extend(row));
    chunk
}

pub(super) fn load(chunks: &[Vec<u8>]) -> Result<State, CheckpointError> {
    let (mut loader, mut rows, mut before) = (StateLoader::new(), ChunkRows::default(), 0);
    for chunk in chunks {
        before = rows.decode(chunk, before)?;
        loader.take(&mut rows)?;
    }
    loader.finish()
}

fn saved(state: &State) -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    let mut keep = |chunk: &[u8]| {
        chunks.push(chunk.to_vec());
        Ok::<(), ()>(())
    };
    state.save(&mut keep).unwrap();
    chunks
}

#[test]
fn rows_of_version_1_read_as_they_always_did_and_are_written_so() {
    let (golden, digest) = golden();
    let samples = samples();
    let expected: Vec<String> = samples
        .iter()
        .map(|row| format!("{} {}", name(row), hex(&postcard::to_stdvec(row).unwrap())))
        .collect();
    let found: Vec<String> = golden
        .iter()
        .map(|(name, bytes)| format!("{name} {}", hex(bytes)))
        .collect();
    assert_eq!(found, expected, "expected:\n{}\n", expected.join("\n"));
    for ((name, bytes), sample) in golden.iter().zip(&samples) {
        assert_eq!(
            postcard::from_bytes::<Row<'_>>(bytes).unwrap(),
            *sample,
            "{name}"
        );
    }
    let kinds: std::collections::BTreeSet<u8> = golden.iter().map(|row| row.1[0]).collect();
    assert_eq!(kinds, (0..29).collect(), "a kind of row without a sample");
    // Through a state, and every row is there again.
    let chunk = chunk_of(golden.iter().map(|row| &row.1[..]));
    let state = load(std::slice::from_ref(&chunk)).unwrap();
    assert_eq!(saved(&state), [chunk]);
    assert_eq!(
        state.digest().to_string(),
        digest,
        "the digest covers other things or in another way: add one to digest::VERSION and keep \
         this line under the new name"
    );
}

#[test]
fn a_chips_counters_are_a_row_of_a_later_kind_and_part_of_the_digest() {
    let (golden, before) = golden();
    let used = UsedCounters::first(0x1c).and(0x1f);
    let chip = postcard::to_stdvec(&Row::Chip(CARD, 7, used)).unwrap();
    assert_eq!(hex(&chip), "1d01071f09");
    let mut rows: Vec<Vec<u8>> = golden.into_iter().map(|row| row.1).collect();
    let device = rows.iter().position(|row| row[0] == 7).unwrap();
    rows.insert(device + 1, chip);
    let end = Row::End(u64::try_from(rows.len()).unwrap());
    *rows.last_mut().unwrap() = postcard::to_stdvec(&end).unwrap();
    let chunk = chunk_of(rows.iter().map(Vec::as_slice));
    let state = load(std::slice::from_ref(&chunk)).unwrap();
    assert_eq!(state.chip_counters(CARD, 7), Some(used));
    assert_eq!(saved(&state), [chunk]);
    assert_ne!(state.digest().to_string(), before);
}

#[test]
fn the_end_of_an_account_is_a_row_of_a_later_kind_and_part_of_the_digest() {
    let (golden, before) = golden();
    let ending = Ending {
        closed_at: UnixMs(1_803_870_000_123),
        erased_at: Some(UnixMs(1_806_462_000_123)),
    };
    let row = postcard::to_stdvec(&Row::Ending(AccountId(1), ending)).unwrap();
    assert_eq!(hex(&row), "1e01f6cfbef0ff6801f6efb4989369");
    let mut rows: Vec<Vec<u8>> = golden.into_iter().map(|row| row.1).collect();
    let holder = rows.iter().position(|row| row[0] == 9).unwrap();
    rows.insert(holder + 1, row);
    let end = Row::End(u64::try_from(rows.len()).unwrap());
    *rows.last_mut().unwrap() = postcard::to_stdvec(&end).unwrap();
    let chunk = chunk_of(rows.iter().map(Vec::as_slice));
    let state = load(std::slice::from_ref(&chunk)).unwrap();
    assert_eq!(state.ending(AccountId(1)), Some(ending));
    assert_eq!(saved(&state), [chunk]);
    assert_ne!(state.digest().to_string(), before);
}

#[test]
fn a_cards_own_limits_are_a_row_of_a_later_kind_and_part_of_the_digest() {
    let (golden, before) = golden();
    let limits = vec![CardLimit {
        channel: Channel::ECommerce,
        window: CardWindow::Day,
        currency: Currency::JPY,
        amount_max: Some(5_000),
        count_max: None,
    }];
    let row = Row::CardLimits(CARD, Cow::Owned(limits.clone()));
    let row = postcard::to_stdvec(&row).unwrap();
    assert_eq!(hex(&row), "1f01010201880301904e00");
    let mut rows: Vec<Vec<u8>> = golden.into_iter().map(|row| row.1).collect();
    let device = rows.iter().position(|row| row[0] == 7).unwrap();
    rows.insert(device + 1, row);
    let end = Row::End(u64::try_from(rows.len()).unwrap());
    *rows.last_mut().unwrap() = postcard::to_stdvec(&end).unwrap();
    let chunk = chunk_of(rows.iter().map(Vec::as_slice));
    let state = load(std::slice::from_ref(&chunk)).unwrap();
    assert_eq!(state.card_limits(CARD), limits);
    assert!(state.account(ACCOUNT).unwrap().account.has_limited_card);
    assert_eq!(saved(&state), [chunk]);
    assert_ne!(state.digest().to_string(), before);
}

#[test]
fn a_cards_own_controls_are_a_row_of_a_later_kind_and_part_of_the_digest() {
    let (golden, before) = golden();
    let controls = vec![CardControl {
        conditions: vec![Condition::Domestic(false)],
    }];
    let row = Row::CardControls(CARD, Cow::Owned(controls.clone()));
    let row = postcard::to_stdvec(&row).unwrap();
    assert_eq!(hex(&row), "200101010600");
    let mut rows: Vec<Vec<u8>> = golden.into_iter().map(|row| row.1).collect();
    let device = rows.iter().position(|row| row[0] == 7).unwrap();
    rows.insert(device + 1, row);
    let end = Row::End(u64::try_from(rows.len()).unwrap());
    *rows.last_mut().unwrap() = postcard::to_stdvec(&end).unwrap();
    let chunk = chunk_of(rows.iter().map(Vec::as_slice));
    let state = load(std::slice::from_ref(&chunk)).unwrap();
    assert_eq!(state.card_controls(CARD), controls);
    assert!(state.account(ACCOUNT).unwrap().account.has_limited_card);
    assert_eq!(saved(&state), [chunk]);
    assert_ne!(state.digest().to_string(), before);
}

#[test]
fn what_is_not_a_whole_state_is_refused() {
    let (rows, _) = golden();
    let rows: Vec<&[u8]> = rows.iter().map(|row| &row.1[..]).collect();
    let whole = chunk_of(rows.iter().copied());
    for missing in 0..rows.len() {
        let kept = rows.iter().enumerate().filter(|row| row.0 != missing);
        let chunk = chunk_of(kept.map(|row| *row.1));
        assert!(load(&[chunk]).is_err(), "without row {}", missing + 1);
    }
    for length in 0..whole.len() {
        assert!(load(&[whole[..length].to_vec()]).is_err(), "{length} bytes");
    }
    let twice = load(&[whole.clone(), whole.clone()]).err().unwrap();
    assert!(matches!(twice, CheckpointError::Misfit { .. }), "{twice}");
    let newer = load(&[vec![VERSION + 1]]).err().unwrap();
    assert!(matches!(newer, CheckpointError::Version { .. }), "{newer}");
}

#[test]
fn a_large_state_is_cut_into_chunks_between_rows() {
    let (golden, _) = golden();
    let named = |wanted: &str| golden.iter().find(|row| row.0 == wanted).unwrap().1.clone();
    let mut rows = vec![named("head")];
    rows.extend((0..6_000).map(|_| named("exception")));
    let end = Row::End(u64::try_from(rows.len()).unwrap() + 1);
    rows.push(postcard::to_stdvec(&end).unwrap());
    let state = load(&[chunk_of(rows.iter().map(Vec::as_slice))]).unwrap();
    let chunks = saved(&state);
    assert!(chunks.len() > 1 && chunks.iter().all(|chunk| chunk.len() <= CHUNK_BYTES_MAX));
    let again = load(&chunks).unwrap();
    assert_eq!(again.digest(), state.digest());
    let reversed: Vec<_> = chunks.into_iter().rev().collect();
    assert!(load(&reversed).is_err());
}

/// Every row that is read back is moved twice.
#[test]
fn a_row_is_hardly_larger_than_an_entry() {
    let (row, entry) = (size_of::<Row<'_>>(), size_of::<EntryRow>());
    assert!(row <= entry + 8, "{row} {entry}");
}
