//! cardswitch: an ISO 8583 authorization switch for issuers of prepaid cards.
//!
//! Reading order is the order of the modules: bytes, nouns of card money, PIN arithmetic,
//! decisions, durability, sockets, the shell that joins them, the eyes on it, the command line.
//! Layers point down only; `tests/suite/tidy.rs` proves it. The map is `spec/architecture.md`.

#[macro_use]
pub mod planted;

pub mod iso8583;

pub mod domain;

pub mod crypto;

pub mod engine;

pub mod journal;

pub mod transport;

pub mod switch;

pub mod ops;

pub mod cli;
