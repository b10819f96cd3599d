//! Webhooks: how a telling is signed, how long to wait before it is repeated, and how far each
//! webhook has come, on the disk.
//!
//! The journal keeps what is told: progress is a cursor, and what could not be delivered is a list
//! of ranges to be read again. Sending is `admin/webhooks.rs`.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::switch::key_file::write_whole;

/// Shortest secret, bytes.
const SECRET_BYTES_MIN: usize = 24;
/// Ranges that could not be delivered and are remembered; the oldest go first.
const DEAD_MAX: usize = 1_000;
/// Longest wait between two attempts, milliseconds.
const WAIT_MS_MAX: u64 = 60_000;

/// What signs the tellings of one webhook.
pub struct Secret(hmac::Key);

impl Secret {
    /// `whsec_` and base64 of at least 24 bytes, as <https://www.standardwebhooks.com> has it.
    ///
    /// # Errors
    /// What is expected; never the secret.
    pub fn parse(text: &str) -> Result<Secret, String> {
        let text = text.trim();
        let bytes = STANDARD.decode(text.strip_prefix("whsec_").unwrap_or(text));
        let bytes = bytes.map(Zeroizing::new).unwrap_or_default();
        if bytes.len() < SECRET_BYTES_MIN {
            return Err(format!(
                "expected whsec_ and base64 of at least {SECRET_BYTES_MIN} bytes"
            ));
        }
        Ok(Secret(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// The signature of a telling: HMAC-SHA256 of `id.seconds.body`.
    pub fn sign(&self, id: &str, seconds: i64, body: &str) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(format!("{id}.{seconds}.").as_bytes());
        context.update(body.as_bytes());
        format!("v1,{}", STANDARD.encode(context.sign()))
    }
}

/// Records behind `after`, up to and including `through`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// Before the first.
    pub after: u64,
    /// The last.
    pub through: u64,
}

/// Tellings that were given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dead {
    /// What was to be told.
    #[serde(flatten)]
    pub range: Range,
    /// When the last of them was given up, RFC 3339.
    pub at: String,
    /// The last failure.
    pub why: String,
}

/// How far a webhook has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The last record that it was told of, or that was put aside.
    pub cursor: u64,
    /// What was given up, the oldest first.
    pub dead: VecDeque<Dead>,
    /// What is to be told again, the first next.
    pub again: VecDeque<Range>,
}

impl Progress {
    /// Reads it; nothing when the webhook is new.
    ///
    /// # Errors
    /// When there is a file that cannot be read.
    pub fn load(path: &Path) -> io::Result<Option<Progress>> {
        match fs::read(path) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes it whole or not at all; it is on the disk then.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        write_whole(path, &serde_json::to_string(self)?)
    }

    /// What is to be told next, of what there is until `until`, and whether it is told again.
    pub fn next(&self, until: u64) -> Option<(Range, bool)> {
        if let Some(range) = self.again.front() {
            return Some((*range, true));
        }
        let range = Range {
            after: self.cursor,
            through: until,
        };
        (range.after < until).then_some((range, false))
    }

    /// Everything until `through` of what was next has been told, or put aside.
    pub fn advance(&mut self, through: u64, is_again: bool) {
        if !is_again {
            self.cursor = self.cursor.max(through);
            return;
        }
        if let Some(range) = self.again.front_mut() {
            range.after = through;
            if range.after >= range.through {
                self.again.pop_front();
            }
        }
    }

    /// Puts a telling aside; with the one before, where it goes on from there.
    pub fn give_up(&mut self, dead: Dead) {
        if let Some(last) = self.dead.back_mut()
            && last.range.through == dead.range.after
        {
            let range = Range {
                after: last.range.after,
                through: dead.range.through,
            };
            *last = Dead { range, ..dead };
            return;
        }
        if self.dead.len() >= DEAD_MAX {
            self.dead.pop_front();
        }
        self.dead.push_back(dead);
    }

    /// Has everything that was put aside told again; how many ranges that are.
    pub fn revive(&mut self) -> usize {
        let count = self.dead.len();
        self.again
            .extend(self.dead.drain(..).map(|dead| dead.range));
        count
    }
}

/// Milliseconds to wait after so many failures in a row: doubled from one to the next, and of that
/// between half and all, as `dice` falls, so that those who failed together do not come back so.
pub fn backoff_ms(retry_ms: u64, failures: u32, dice: u64) -> u64 {
    let doubled = 1_u64
        .checked_shl(failures.saturating_sub(1))
        .unwrap_or(u64::MAX);
    let most = retry_ms.saturating_mul(doubled).min(WAIT_MS_MAX);
    let half = most.div_ceil(2);
    half.saturating_add(dice.checked_rem(most - half + 1).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(after: u64, through: u64) -> Range {
        Range { after, through }
    }

    fn dead(after: u64, through: u64) -> Dead {
        Dead {
            range: range(after, through),
            at: String::new(),
            why: "gone".to_owned(),
        }
    }

    #[test]
    fn a_telling_is_signed_as_the_open_standard_has_it() {
        // The example of the standard's own libraries.
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let signed = secret.sign(id, 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        for wrong in ["", "whsec_", "whsec_AAAA", "whsec_???"] {
            assert!(Secret::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn waiting_doubles_until_a_minute_and_is_never_less_than_half_of_that() {
        for (failures, least, most) in [
            (1, 250, 500),
            (2, 500, 1_000),
            (7, 16_000, 32_000),
            (8, 30_000, 60_000),
            (90, 30_000, 60_000),
        ] {
            for dice in [0, 1, 249, 250, 251, 30_001, u64::MAX] {
                let wait = backoff_ms(500, failures, dice);
                assert!((least..=most).contains(&wait), "{failures} {dice}: {wait}");
            }
            assert_eq!(backoff_ms(500, failures, 0), least);
            assert_eq!(backoff_ms(500, failures, most - least), most);
        }
        assert_eq!(backoff_ms(1, 1, 7), 1);
    }

    #[test]
    fn what_is_put_aside_is_told_again_before_what_is_new() {
        let mut progress = Progress::default();
        assert_eq!(progress.next(0), None);
        assert_eq!(progress.next(9), Some((range(0, 9), false)));
        progress.give_up(dead(0, 3));
        progress.give_up(dead(3, 5));
        progress.advance(5, false);
        progress.give_up(dead(7, 8));
        progress.advance(8, false);
        assert_eq!(progress.dead, [dead(0, 5), dead(7, 8)]);
        assert_eq!(progress.next(9), Some((range(8, 9), false)));
        assert_eq!(progress.revive(), 2);
        assert_eq!(progress.next(9), Some((range(0, 5), true)));
        progress.advance(4, true);
        assert_eq!(progress.next(9), Some((range(4, 5), true)));
        progress.advance(5, true);
        assert_eq!(progress.next(9), Some((range(7, 8), true)));
        progress.advance(8, true);
        assert_eq!(progress.next(9), Some((range(8, 9), false)));
        progress.advance(9, false);
        assert_eq!(progress.next(9), None);
    }

    #[test]
    fn progress_survives_and_only_the_newest_that_were_put_aside_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("holders.json");
        assert_eq!(Progress::load(&path).unwrap(), None);
        let mut progress = Progress {
            cursor: 7,
            again: [range(1, 2)].into(),
            ..Progress::default()
        };
        let count = u64::try_from(DEAD_MAX).unwrap();
        for n in 0..count + 5 {
            progress.give_up(dead(n * 10, n * 10 + 1));
        }
        assert_eq!(progress.dead.len(), DEAD_MAX);
        assert_eq!(progress.dead.front(), Some(&dead(50, 51)));
        progress.save(&path).unwrap();
        assert_eq!(Progress::load(&path).unwrap(), Some(progress));
        fs::write(&path, "{").unwrap();
        assert!(Progress::load(&path).is_err());
    }
}
