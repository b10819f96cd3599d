//! The decision machine: `decide(&State, Command) -> Outcome`, `State::apply(Event)`.
//!
//! Contract: no clock, no I/O, no randomness, no hash-order iteration. Time arrives inside the
//! command, card numbers arrive as tokens. `decide` only reads; `State::apply` is the only thing
//! that changes state, live and in replay alike, so a journal replays to the same digest under
//! whatever rules are in force today.
#![deny(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::float_arithmetic
)]
#![cfg_attr(
    test,
    allow(clippy::indexing_slicing, reason = "a test that is wrong may panic")
)]
#![cfg_attr(
    test,
    allow(clippy::arithmetic_side_effects, reason = "tests compute expectations")
)]

pub mod command;

pub mod event;

pub mod record;

mod record_v1;

mod record_writer;

pub mod entry;

pub mod usage;

pub mod ledger;

pub mod rates;

mod guesses;

mod guessing;

pub mod state;

mod answers;
mod queue;
mod tables;
pub mod turn_away;

mod entry_list;

pub mod apply;

mod apply_entry;

mod apply_fee;

mod apply_exchange;

pub mod decide;

pub mod clearing;

pub mod reconcile;

pub mod case;

pub mod rules;

mod verdict;

mod transaction;

pub mod approval;

mod booking;

mod authorize;

mod complete;

mod reverse;

mod open;

mod link;

mod pin;

mod chip;

mod fee;
pub mod operation;

pub mod operation_holder;

pub mod operation_card;

pub mod operation_rules;

mod operate;

pub mod operation_money;

pub mod operation_end;

mod operate_end;

mod apply_end;

mod operate_money;

mod apply_money;
mod operate_holder;

mod operate_card;

mod card_limits;

mod card_controls;

mod apply_operation;

mod apply_holder;

mod apply_card;

pub mod holders;

mod housekeep;

mod funds;

pub mod exchange;

mod wallet;

pub mod matching;

pub mod digest;

pub mod checkpoint;
