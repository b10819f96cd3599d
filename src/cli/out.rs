//! Standard output of the command line: a reader that has seen enough ends a command quietly.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::process;

/// What a shell says of a command that a closed pipe ended.
const PIPE_CLOSED: i32 = 141;
/// Any other failure to write, as in sysexits.
const NOT_WRITTEN: i32 = 74;

/// Writes what a command says; where nobody reads it any more, the command ends here.
pub(super) fn say(words: fmt::Arguments<'_>) {
    if let Err(error) = io::stdout().lock().write_fmt(words) {
        if error.kind() == ErrorKind::BrokenPipe {
            process::exit(PIPE_CLOSED);
        }
        eprintln!("cardswitch: write to standard output: {error}");
        process::exit(NOT_WRITTEN);
    }
}

/// Writes what a switch says of itself; it runs on where nobody reads it.
pub(super) fn announce(words: fmt::Arguments<'_>) {
    let _ = io::stdout().lock().write_fmt(words);
}

/// The standard library's, but that a closed pipe is no panic.
macro_rules! print {
    ($($words:tt)*) => {
        crate::cli::out::say(format_args!($($words)*))
    };
}

/// The same with the end of a line.
macro_rules! println {
    ($($words:tt)*) => {
        crate::cli::out::say(format_args!("{}\n", format_args!($($words)*)))
    };
}

/// A line that no reader is needed for.
macro_rules! announce {
    () => {
        crate::cli::out::announce(format_args!("\n"))
    };
    ($($words:tt)*) => {
        crate::cli::out::announce(format_args!("{}\n", format_args!($($words)*)))
    };
}
