//! The journal's contract and recovery tests, until the suite has its main file.

#[cfg(test)]
#[path = "suite/journal_contract.rs"]
mod journal_contract;

#[cfg(test)]
#[path = "suite/journal_recovery.rs"]
mod journal_recovery;
