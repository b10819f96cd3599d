//! Samples of what is done about holders, for the records that are kept in `fixtures/journal`.

use cardswitch::domain::account::{AccountId, Kyc, PurseIndex};
use cardswitch::domain::block::{Condition, DaySpan, MccRange};
use cardswitch::domain::card::{CardId, ExpiryMonth, PinReference};
use cardswitch::domain::card_control::CardControl;
use cardswitch::domain::card_limit::{CardLimit, CardWindow};
use cardswitch::domain::conditions::{Attendance, EntryMode};
use cardswitch::domain::facts::{Initiation, Presence, Purpose};
use cardswitch::domain::holder::{Applicant, HolderId};
use cardswitch::domain::money::Currency;
use cardswitch::domain::programme::Channel;
use cardswitch::domain::short_text::ShortText;
use cardswitch::domain::time::BusinessDate;
use cardswitch::engine::event::Event;
use cardswitch::engine::ledger::{LedgerAccount, Posting};
use cardswitch::engine::operation::Operation;
use cardswitch::engine::operation_card::CardOperation;
use cardswitch::engine::operation_end::EndOperation;
use cardswitch::engine::operation_holder::{HolderOperation, Whose};
use cardswitch::engine::operation_rules::ProgrammeRecord;

/// One of each thing that is done about holders.
pub(crate) fn holder_operations(opened: Event) -> Vec<(&'static str, Operation)> {
    let applicant = Applicant {
        born: BusinessDate(6_537),
        consent: true,
    };
    let Event::AccountOpened(opened) = opened else {
        panic!("it opens an account");
    };
    let registered = HolderOperation::Registered {
        programme: "prepaid-jp".parse().unwrap(),
        applicant,
        kyc: Kyc::Unverified,
    };
    let account_opened = HolderOperation::AccountOpened {
        holder: HolderId(300),
        applicant: Some(applicant),
        opened: *opened,
    };
    let ended = vec![
        (CardId(8), ExpiryMonth::from_yymm(3212)),
        (CardId(300), None),
    ];
    [
        ("holder-registered", registered),
        ("holder-account-opened", account_opened),
        (
            "holder-kyc-changed",
            HolderOperation::KycChanged(Whose::Account(AccountId(7)), Kyc::Verified),
        ),
        ("holder-cards-ended", HolderOperation::CardsEnded(ended)),
    ]
    .map(|(name, operation)| (name, Operation::Holder(operation)))
    .into_iter()
    .chain(card_operations())
    .chain([(
        "rules-changed",
        Operation::RulesChanged(vec![ProgrammeRecord {
            name: "travel".parse().unwrap(),
            version: 300,
            text: "name = \"travel\"\n".to_owned(),
        }]),
    )])
    .chain(end_operations())
    .collect()
}

fn end_operations() -> [(&'static str, Operation); 3] {
    let account = AccountId(7);
    let postings = [
        (LedgerAccount::Purse(account, PurseIndex(0)), -450),
        (LedgerAccount::Payouts(0), 450),
    ];
    let postings = postings.map(|(account, minor)| Posting { account, minor });
    let closed = EndOperation::AccountClosed {
        account,
        movements: vec![(PurseIndex(0), postings.into_iter().collect())],
    };
    [
        ("account-closed-dated", closed),
        ("closing-dated", EndOperation::ClosingDated(account)),
        ("card-data-erased", EndOperation::CardDataErased(account)),
    ]
    .map(|(name, operation)| (name, Operation::End(operation)))
}

fn card_operations() -> [(&'static str, Operation); 5] {
    let tried = CardOperation::PinTried {
        card: CardId(8),
        wrong_tries: 3,
        is_locked: true,
    };
    let reference = PinReference::of_account(1, [8, 5, 2, 3]);
    let daily = CardLimit {
        channel: Channel::ECommerce,
        window: CardWindow::Day,
        currency: Currency::JPY,
        amount_max: Some(5_000),
        count_max: Some(300),
    };
    let single = CardLimit {
        channel: Channel::CashWithdrawal,
        window: CardWindow::Transaction,
        count_max: None,
        ..daily
    };
    [
        ("card-enrolled", CardOperation::Enrolled(CardId(8))),
        (
            "card-pin-changed",
            CardOperation::PinChanged(CardId(8), reference),
        ),
        ("card-pin-tried", tried),
        (
            "card-limits-set",
            CardOperation::LimitsSet(CardId(8), vec![daily, single]),
        ),
        (
            "card-controls-set",
            CardOperation::ControlsSet(CardId(8), every_condition()),
        ),
    ]
    .map(|(name, operation)| (name, Operation::Card(operation)))
}

/// Controls that together state every condition that one of a card may state.
fn every_condition() -> Vec<CardControl> {
    let span = DaySpan::of("23:00-05:00").unwrap();
    let categories = ["5541", "3501-3999"].map(|text| MccRange::of(text).unwrap());
    vec![
        CardControl {
            conditions: vec![
                Condition::Mcc(categories.to_vec()),
                Condition::Domestic(false),
                Condition::CountryNot(vec![*b"JP", *b"KR"]),
                Condition::Hours(span),
            ],
        },
        CardControl {
            conditions: vec![
                Condition::Purpose(vec![Purpose::Purchase, Purpose::CashWithdrawal]),
                Condition::Initiation(Initiation::Recurring),
                Condition::Presence(Presence::Absent),
                Condition::Country(vec![*b"US"]),
                Condition::AcquirerCountry(vec![840]),
                Condition::AcquirerCountryNot(vec![392]),
                Condition::Acquirer(vec![123_456]),
                Condition::Acceptor(vec![ShortText::of("SHOP00000000001").unwrap()]),
                Condition::Terminal(vec![ShortText::of("TERM0001").unwrap()]),
                Condition::Entry(vec![EntryMode::Stripe, EntryMode::Fallback]),
                Condition::Attendance(Attendance::Unattended),
                Condition::CashPart(true),
            ],
        },
    ]
}
