//! Looks for the names of cards in files, whatever the files are: the last word on what is left.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::domain::account::AccountId;
use crate::domain::pan::{CardToken, MaskedPan};

/// How often a file has what was looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Times {
    /// Tokens, as bytes or as hexadecimal digits.
    pub(super) tokens: u64,
    /// Masked numbers.
    pub(super) masked: u64,
    /// Lines of a log that tell of a decision about a card of the account.
    pub(super) lines: u64,
}

impl Times {
    pub(super) fn add(&mut self, other: Times) {
        self.tokens = self.tokens.saturating_add(other.tokens);
        self.masked = self.masked.saturating_add(other.masked);
        self.lines = self.lines.saturating_add(other.lines);
    }
}

/// What is looked for.
pub(super) struct Needles {
    tokens: Vec<Vec<u8>>,
    masked: Vec<Vec<u8>>,
    /// As a line of the log names the account; another number may go on behind it.
    account: Vec<u8>,
}

/// How a line of the log begins to name a card.
const CARD_TOKEN: &[u8] = b"\"card_token\":\"";

impl Needles {
    pub(super) fn of(
        account: AccountId,
        tokens: impl Iterator<Item = CardToken>,
        masked: impl Iterator<Item = MaskedPan>,
    ) -> Needles {
        let both = |token: CardToken| [token.0.to_vec(), token.to_string().into_bytes()];
        Needles {
            tokens: tokens.flat_map(both).collect(),
            masked: masked.map(|it| it.as_str().as_bytes().to_vec()).collect(),
            account: format!("\"account\":{}", account.0).into_bytes(),
        }
    }

    /// What some bytes have.
    pub(super) fn in_bytes(&self, bytes: &[u8]) -> Times {
        let sum = |needles: &[Vec<u8>]| {
            let counts = needles.iter().map(|needle| count(bytes, needle));
            counts.fold(0, u64::saturating_add)
        };
        Times {
            tokens: sum(&self.tokens),
            masked: sum(&self.masked),
            lines: 0,
        }
    }

    /// What a log has: also lines about cards of the account whose tokens nobody knows any more.
    pub(super) fn in_log(&self, bytes: &[u8]) -> Times {
        let lines = bytes.split(|byte| *byte == b'\n');
        let theirs = lines.filter(|line| self.is_about_account(line));
        Times {
            lines: u64::try_from(theirs.count()).unwrap_or(u64::MAX),
            ..self.in_bytes(bytes)
        }
    }

    fn is_about_account(&self, line: &[u8]) -> bool {
        let mut named = places(line, &self.account);
        let is_whole = |at: usize| {
            let next = line.get(at.saturating_add(self.account.len()));
            !next.is_some_and(u8::is_ascii_digit)
        };
        named.any(is_whole) && places(line, CARD_TOKEN).next().is_some()
    }
}

fn count(bytes: &[u8], needle: &[u8]) -> u64 {
    u64::try_from(places(bytes, needle).count()).unwrap_or(u64::MAX)
}

/// Where a needle begins.
fn places<'a>(bytes: &'a [u8], needle: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let first = needle.first().copied();
    let mut from = 0_usize;
    std::iter::from_fn(move || {
        let first = first?;
        loop {
            let rest = bytes.get(from..)?;
            let at = from.saturating_add(rest.iter().position(|byte| *byte == first)?);
            from = at.saturating_add(1);
            if bytes.get(at..)?.starts_with(needle) {
                return Some(at);
            }
        }
    })
}

/// Every file below a folder, in order; none where there is no such folder.
pub(super) fn files_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => files.extend(files_below(&entry.path())?),
            false => files.push(entry.path()),
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::pan::Pan;

    #[test]
    fn what_is_looked_for_is_found_in_every_form_and_nothing_else() {
        let token = CardToken([7; 16]);
        let masked = Pan::parse("4761739001010119").unwrap().masked();
        let needles = Needles::of(AccountId(7), [token].into_iter(), [masked].into_iter());
        let mut bytes = vec![7; 15];
        assert_eq!(needles.in_bytes(&bytes), Times::default());
        bytes.push(7);
        bytes.extend_from_slice(b"\0");
        bytes.extend_from_slice("07".repeat(16).as_bytes());
        bytes.extend_from_slice(b"476173******0119 476173******0118");
        let found = needles.in_bytes(&bytes);
        assert_eq!((found.tokens, found.masked), (2, 1));
    }

    #[test]
    fn a_log_tells_of_the_account_without_any_token_known() {
        let none = || std::iter::empty::<CardToken>();
        let needles = Needles::of(AccountId(7), none(), std::iter::empty());
        let log =
            b"{\"card_token\":\"ab\",\"account\":7}\n{\"card_token\":\"ab\",\"account\":70}\n\
            {\"account\":7,\"what\":\"closed\"}\n";
        assert_eq!(needles.in_log(log).lines, 1);
    }
}
