//! The journal's contract tests as a binary of their own, until the suite has its main file.

#[path = "suite/journal_contract.rs"]
mod journal_contract;
