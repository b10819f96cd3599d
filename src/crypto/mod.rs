//! PIN arithmetic in software: TDES keys, PIN blocks of format 0, PIN verification values.
//!
//! For tests and small issuers without a device: a process that holds keys in its memory is not
//! what card schemes call a secure cryptographic device. Nothing here prints, logs or stores a PIN,
//! a PIN block or a key; what holds one has no `Debug` that shows it and is wiped when dropped.
#![deny(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing
)]
#![cfg_attr(
    test,
    allow(clippy::indexing_slicing, reason = "a test that is wrong may panic")
)]

pub mod key;

pub mod pin_block;

pub mod pvv;
