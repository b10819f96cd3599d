//! One fast test binary: what the product promises, as data where it can be.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test says why it failed or skipped"
)]

mod acquirer;
mod codec_properties;
mod corridor;
mod decision_log;
mod decisions;
mod decisions_notation;
mod decode_refusals;
mod element_parts;
mod encode_refusals;
mod golden_messages;
mod imported_specs;
mod journal_contract;
mod journal_recovery;
mod peers;
mod scenarios;
mod spec_pages;
mod stop;
mod support;
mod tidy;
mod tidy_planted;
mod tidy_source;
