//! Kept records of what concerns several currencies and changed PINs: samples for
//! `golden_records.rs`.

use cardswitch::domain::account::{AccountId, PurseIndex};
use cardswitch::domain::card::PinReference;
use cardswitch::domain::card_value::CardValueVerdict;
use cardswitch::domain::chip::{ChipUse, ChipVerdict};
use cardswitch::domain::exchange::{Leg, Legs};
use cardswitch::domain::facts::Facts;
use cardswitch::domain::money::{Amount, Currency};
use cardswitch::domain::rare_facts::RareFacts;
use cardswitch::domain::rate::Rate;
use cardswitch::domain::rate_file::RateRow;
use cardswitch::engine::event::{ChipCounted, Effect, Effects, Event, Exchanged};
use cardswitch::engine::ledger::{LedgerAccount, Posting, Postings};
use cardswitch::engine::operation::Operation;
use cardswitch::engine::operation_money::{Charge, MoneyOperation, Paper, PaperOrder, Transfer};

use crate::golden_records::{AT, CURRENCY, DATE, ENTRY, decided};

/// One of each effect.
pub(crate) fn effects() -> Vec<Effect> {
    vec![
        Effect::ExchangeHeld(Box::new(exchanged(Vec::new()))),
        Effect::ExchangeLowered(Box::new(Exchanged {
            rate: None,
            ..exchanged(Vec::new())
        })),
        Effect::ExchangePosted(Box::new(Exchanged {
            credits: true,
            ..exchanged(exchange_movements())
        })),
        Effect::PinChanged {
            reference: PinReference {
                key_index: 1,
                value: [4, 7, 1, 1],
            },
        },
        Effect::ChipCounted(ChipCounted {
            sequence_number: 1,
            counter: 0x1c,
        }),
    ]
}

/// A message whose chip was checked.
pub(crate) fn chip(mut facts: Facts) -> (String, Event) {
    facts.rare = Some(Box::new(RareFacts {
        chip: Some(ChipUse {
            verdict: ChipVerdict::CannotBeChecked,
            sequence_number: 1,
            counter: 0x1c,
        }),
        ..RareFacts::default()
    }));
    ("decided-chip".to_owned(), decided(facts, Effects::new()))
}

/// A message whose card verification values were checked.
pub(crate) fn card_values(mut facts: Facts) -> (String, Event) {
    facts.rare = Some(Box::new(RareFacts {
        track: Some(CardValueVerdict::Contradicts),
        printed: Some(CardValueVerdict::Wrong),
        ..RareFacts::default()
    }));
    let event = decided(facts, Effects::new());
    ("decided-card-values".to_owned(), event)
}

/// One of each thing that an operator does.
pub(crate) fn operations() -> Vec<(&'static str, Operation)> {
    vec![
        (
            "rates-set",
            Operation::Money(MoneyOperation::RatesSet(vec![RateRow {
                from: Currency::from_numeric(840),
                to: CURRENCY,
                rate: rate("150.25"),
                effective: AT,
            }])),
        ),
        (
            "transferred-and-counted",
            Operation::Money(MoneyOperation::Transferred {
                reference: "rent-2".parse().unwrap(),
                transfer: Transfer {
                    from: AccountId(7),
                    to: AccountId(9),
                    minor: 900,
                },
                date: DATE,
                currency: CURRENCY,
                postings: Postings::from_iter([
                    posting((LedgerAccount::Purse(AccountId(7), PurseIndex(0)), -900)),
                    posting((LedgerAccount::Purse(AccountId(9), PurseIndex(0)), 900)),
                ]),
            }),
        ),
        (
            "paper-ordered",
            Operation::Money(MoneyOperation::PaperOrdered {
                reference: "paper-1".parse().unwrap(),
                order: PaperOrder {
                    account: AccountId(7),
                    paper: Paper::PinNotice,
                },
                currency: CURRENCY,
                postings: Postings::from_iter([
                    posting((LedgerAccount::Purse(AccountId(7), PurseIndex(0)), -220)),
                    posting((LedgerAccount::Fees(1), 220)),
                ]),
            }),
        ),
        (
            "charged",
            Operation::Money(MoneyOperation::Charged {
                reference: "charge-1".parse().unwrap(),
                charge: Charge {
                    account: AccountId(7),
                    source: PurseIndex(0),
                    target: PurseIndex(1),
                    minor: 1_000,
                    fee: 10,
                    credited: 660,
                    rate: rate("0.00666666666667"),
                },
                movements: exchange_movements(),
            }),
        ),
    ]
}

fn posting((account, minor): (LedgerAccount, i64)) -> Posting {
    Posting { account, minor }
}

fn rate(text: &str) -> Rate {
    Rate::parse(text).unwrap()
}

fn exchanged(movements: Vec<(Currency, Postings)>) -> Exchanged {
    let leg = |purse, rate| Leg {
        purse: PurseIndex(purse),
        worth: 750,
        net: 1_127,
        markup: 45,
        rate,
    };
    Exchanged {
        entry: ENTRY,
        asked: Amount::new(1_500, Currency::from_numeric(840)),
        rate: Some(rate("150.25")),
        legs: Legs::from_iter([leg(0, None), leg(1, Some(rate("0.00665557404326")))]),
        credits: false,
        movements,
    }
}

fn exchange_movements() -> Vec<(Currency, Postings)> {
    let purse = LedgerAccount::Purse(AccountId(7), PurseIndex(0));
    let rows = [
        (purse, -1_172),
        (LedgerAccount::Exchange(1), 1_127),
        (LedgerAccount::ExchangeFees(1), 45),
    ];
    vec![(CURRENCY, Postings::from_iter(rows.map(posting)))]
}
