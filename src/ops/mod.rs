//! L4: looks at the switch; never decides.

pub mod log;
mod log_file;
pub mod log_layer;
#[cfg(test)]
mod log_tests;

pub mod statement;
mod statement_page;

pub mod explain;

pub mod activity;
pub mod metrics;
pub mod notice;
pub mod webhook;

mod deed;

pub mod access;

pub mod admin;
