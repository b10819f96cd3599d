//! The acquirer simulator: plays scenarios against a switch, and loads it.
//!
//! Speaks every spec and framing the switch does. A scenario is a conversation with expectations;
//! a load is many connections with templates. Card numbers are masked in everything it prints.

pub mod load;

mod scenario;

mod step;

mod circumstances;

mod chip;

pub mod seal;

mod exceptions;

mod own_switch;

mod value;

mod alias;

mod compose;

mod play;

mod report;

mod words;

mod balance;

mod link;

mod wire;

mod clock;

mod commands;

pub use commands::{AcquirerArgs, UsageError, execute, run, scenario_mistakes};
