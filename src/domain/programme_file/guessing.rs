//! Proves what a programme says about somebody who guesses numbers.

use crate::domain::guessing::{GuessingAnswer, GuessingRule, SLOW_MS_MAX, WINDOW_MINUTES_MAX};

use super::reader::Reader;
use super::rows::GuessingRow;

impl Reader {
    pub(super) fn guessing(&mut self, row: &GuessingRow) -> GuessingRule {
        if row.acceptor_attempts_max == 0 && row.link_attempts_max == 0 {
            let sentence = "guessing: expected acceptor_attempts_max or link_attempts_max";
            self.mistake(sentence.to_owned());
        }
        if !(1..=WINDOW_MINUTES_MAX).contains(&row.window_minutes) {
            let got = row.window_minutes;
            self.mistake(format!(
                "guessing.window_minutes: expected 1 to {WINDOW_MINUTES_MAX}, got {got}"
            ));
        }
        let is_slow = row.answer == GuessingAnswer::Slow;
        let fits = match is_slow {
            true => (1..=SLOW_MS_MAX).contains(&row.slow_ms),
            false => row.slow_ms == 0,
        };
        if !fits {
            let got = row.slow_ms;
            self.mistake(format!(
                "guessing.slow_ms: expected 1 to {SLOW_MS_MAX} with answer = \"slow\", else \
                 nothing, got {got}"
            ));
        }
        GuessingRule {
            acceptor_attempts_max: row.acceptor_attempts_max,
            link_attempts_max: row.link_attempts_max,
            window_minutes: row.window_minutes,
            answer: row.answer,
            slow_ms: row.slow_ms,
        }
    }
}
