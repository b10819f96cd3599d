//! Card cryptography in software: keys, PIN blocks, PIN and card verification values, cryptograms
//! of chips, message authentication codes, key blocks.
//!
//! For tests and small issuers without a device: a process that holds keys in its memory is not
//! what card schemes call a secure cryptographic device. Nothing here prints, logs or stores a PIN,
//! a PIN block or a key; what holds one has no `Debug` that shows it and is wiped when dropped.
//! Values are compared in a time that does not tell where they differ. Randomness comes from the
//! caller. The published vectors that each part is tested with are those of the reference
//! (`crypto.md` E.3).
#![deny(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing
)]
#![cfg_attr(
    test,
    allow(clippy::indexing_slicing, reason = "a test that is wrong may panic")
)]

mod digits;

pub mod key;

pub mod key_block;

pub mod sealing;

pub mod pin_block;

pub mod pvv;

pub mod ibm3624;

pub mod cvv;

pub mod mac;

pub mod emv;

pub mod hsm;

pub mod software;

pub mod payshield;
