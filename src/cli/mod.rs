//! L5: subcommands of the one binary.
