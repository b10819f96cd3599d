//! One fast test binary: what the product promises, as data where it can be.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test says why it failed or skipped"
)]

mod acquirer;
mod backtest;
mod books;
mod card_life;
mod checkpoints;
mod clearing;
mod codec_properties;
mod corridor;
mod decision_log;
mod decisions;
mod decisions_notation;
mod decode_refusals;
mod doctor;
mod element_parts;
mod encode_refusals;
mod exchange;
mod gate;
mod golden_holders;
mod golden_messages;
mod golden_money;
mod golden_records;
mod guessing;
mod holders;
mod hsm;
mod imported_parts;
mod imported_specs;
mod journal_checkpoints;
mod journal_contract;
mod journal_reader;
mod journal_recovery;
mod journal_ring;
mod keep_alives;
mod keys;
mod last_answers;
mod lifecycle;
mod listener_specs;
mod message_tools;
mod model;
mod model_books;
mod model_dice;
mod model_holders;
mod model_operators;
mod model_oracle;
mod model_purses;
mod model_rates;
mod model_refusals;
mod model_terms;
mod model_wallet;
mod operators;
mod overload;
mod part_forms;
mod peers;
mod pins;
mod programme_check;
mod rates;
mod reconciliation;
mod reload;
mod rules_in_journal;
mod rules_page;
mod scenarios;
mod secrets;
mod spec_pages;
mod spec_round_trips;
mod spec_tools;
mod statements;
mod store_commands;
mod support;
mod tidy;
mod tidy_planted;
mod tidy_source;
