//! L3: the shell that joins sockets, engine and journal.
//!
//! Reading order follows a message: server, session, dialect, token, jobs, sequencer, commit;
//! what they share stands around them.

pub mod config;
pub mod config_card_check;
mod config_cpus;
mod config_door;
mod config_file;
pub mod config_hsm;
pub mod config_keys;
pub mod config_knob;
#[cfg(test)]
mod config_tests;
pub mod config_webhook;

pub mod spec_source;

pub mod clock;

pub mod histogram;
pub mod meter;
pub mod telemetry;

pub mod pin;

pub mod pin_keys;

pub mod mac;

pub mod link_keys;

pub mod card_check;

pub mod key_file;

pub mod hsm;

pub mod token;

pub mod rulebook;

pub mod rules_in_force;

pub mod dialect;

pub mod doctor;

pub mod card_file;

pub mod clearing;

pub mod jobs;

pub mod commit;

pub mod sequencer;

pub mod io_threads;

pub mod cpus;

pub mod store;

pub mod restore;

pub mod backtest;
pub mod shadow;

pub mod checkpointer;

pub mod backup;

pub mod server;

pub mod test_message;

pub mod sessions;

mod session;

mod session_take;

mod session_answer;

mod session_end;

mod session_write;

mod link;

pub mod permits;

pub mod networks;

pub mod tls;

mod wire;

pub mod door;
pub mod overload;
mod session_log;

mod slowing;

mod settlement;

mod in_flight;

mod read_room;

pub mod decision_line;

pub mod json_text;
