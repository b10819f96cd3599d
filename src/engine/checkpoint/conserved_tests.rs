//! That what purses hold is what their entries hold, and that it is found where it is not.

use std::borrow::Cow;

use super::row::{EntryRow, Row};
use super::tests::{FIRST, NOW, card_rows, chunk_of, entry, exchange, load};
use crate::domain::account::{Purse, PurseIndex};
use crate::domain::exchange::Exchange;
use crate::domain::money::Currency;
use crate::engine::entry::EntryId;
use crate::engine::entry_list::EntryList;
use crate::engine::state::State;

/// A state of one account whose purses hold so much, and one entry that holds 200 of the first and
/// so much of the second.
fn holding(purses: &[i64], second: i64, exchange: Option<Exchange>) -> State {
    let purses = purses.iter().map(|held| Purse {
        currency: Currency::JPY,
        balance: 0,
        held: *held,
    });
    let held = [(FIRST, 200), (PurseIndex(1), second)];
    let mut rows = card_rows();
    let Some(Row::Account(account)) = rows.first_mut() else {
        unreachable!("the first is an account");
    };
    account.purses = purses.collect();
    rows.insert(0, Row::Head(5, NOW, 0));
    rows.push(Row::Entry(EntryRow {
        held: held.into_iter().filter(|part| part.1 != 0).collect(),
        ..entry(5)
    }));
    rows.extend(exchange.map(|exchange| Row::Exchange(EntryId(5), Box::new(Cow::Owned(exchange)))));
    rows.push(Row::End(u64::try_from(rows.len()).unwrap() + 1));
    let bytes: Vec<Vec<u8>> = rows
        .iter()
        .map(|row| postcard::to_stdvec(row).unwrap())
        .collect();
    load(&[chunk_of(bytes.iter().map(Vec::as_slice))]).unwrap()
}

#[test]
fn what_a_purse_holds_is_what_its_entries_hold_or_it_is_named() {
    let said = |state: State| {
        state
            .check_conservation()
            .map_err(|fault| fault.to_string())
    };
    assert_eq!(said(holding(&[200], 0, None)), Ok(()));
    assert_eq!(said(holding(&[200, 30], 30, None)), Ok(()));
    let differing = "account 1 purse 1: holds 31, its open entries hold 30";
    let foreign = "account 1 purse 1: holds 0, its open entries hold 30";
    assert_eq!(
        said(holding(&[200, 31], 30, None)),
        Err(differing.to_owned())
    );
    assert_eq!(said(holding(&[200], 30, None)), Err(foreign.to_owned()));
    // What is held in another currency is held as what it costs: 1,564 for a worth of 1,000.
    assert_eq!(said(holding(&[764], 0, Some(exchange()))), Ok(()));
    let without = "account 1 purse 0: holds 200, its open entries hold 764";
    let with_exchange = holding(&[200], 0, Some(exchange()));
    assert_eq!(said(with_exchange), Err(without.to_owned()));
}

#[test]
fn an_entry_that_its_account_does_not_list_is_found() {
    let mut state = holding(&[200], 0, None);
    state.accounts[0].entries = EntryList::default();
    let said = state
        .check_conservation()
        .map_err(|fault| fault.to_string());
    assert_eq!(said, Err("accounts list 0 entries, there are 1".to_owned()));
}
