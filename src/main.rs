//! cardswitch: the one binary.

use std::process::ExitCode;

/// Requests are made on one thread and freed on another, for which the system's allocator pays
/// with locks.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cardswitch::cli::run()
}
