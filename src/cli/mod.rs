//! L5: subcommands of the one binary.

pub mod acquirer;
