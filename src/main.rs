//! cardswitch: the one binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    cardswitch::cli::run()
}
