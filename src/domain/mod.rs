//! The nouns of card money. Pure: no ISO 8583, no sockets, no clock, no floats.
//!
//! Reading order: amounts, time, who is who (card, merchant), what a message says (facts), what an
//! issuer allows (programme), what was decided (decision).
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

pub mod money;

pub mod rate;

pub mod time;

pub mod short_text;

pub mod pan;

pub mod masking;

pub mod card;

pub mod card_value;

pub mod chip;

pub mod account;

pub mod actor;

pub mod exchange;
pub mod holder;

pub mod merchant;

pub mod country;

pub mod conditions;

pub mod rare_facts;

pub mod facts;

pub mod block;

pub mod guessing;

pub mod pin_choice;

pub mod programme;

pub mod card_limit;

pub mod card_control;

pub mod sieve;

pub mod reconciliation;

pub mod rulebook;

pub mod programme_file;

pub mod rate_file;

pub mod decision;
