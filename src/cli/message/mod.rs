//! `cardswitch message`: messages as people handle them, from any input, masked unless revealed.
//!
//! Reading order: what can be asked, how input becomes messages, how a message becomes JSON and
//! back, what is hidden.

mod commands;

pub(super) mod input;

mod values;

mod part_text;

mod redact;

pub(super) use commands::spec_named;
pub use commands::{MessageArgs, run};
