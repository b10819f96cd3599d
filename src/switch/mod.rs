//! L3: the shell that joins sockets, engine and journal.

pub mod config;
mod config_file;
#[cfg(test)]
mod config_tests;
