//! What happens around a step's message: the line breaks, time passes, the switch dies.

use std::time::Duration;

use toml::{Table, Value as Toml};

use super::scenario::Mistakes;

/// What happens before a step sends, and whether it waits for the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Circumstances {
    /// Close the connection and open another.
    pub(super) reconnect: bool,
    /// Wait.
    pub(super) delay: Duration,
    /// The switch is killed (SIGKILL) and started again on what it left.
    pub(super) crash: bool,
    /// So much time has passed: the switch is started again that much later.
    pub(super) later: Duration,
    /// Wait for the reply; without, it comes when nobody listens for it any more.
    pub(super) await_reply: bool,
}

/// Keys that say so.
pub(super) const KEYS: [&str; 5] = ["reconnect", "delay_ms", "crash", "later", "await_reply"];

const DELAY_MS_MAX: i64 = 600_000;
/// Two years: further than any rule of the shipped programmes looks.
const LATER_SECONDS_MAX: u64 = 2 * 366 * 86_400;

impl Circumstances {
    /// Reads them from a step's table.
    pub(super) fn parse(table: &Table, place: &str, mistakes: &mut Mistakes) -> Self {
        let mut switch = |key: &str, standard: bool| match table.get(key) {
            None => standard,
            Some(Toml::Boolean(value)) => *value,
            Some(_) => {
                mistakes.add(place, format!("{key}: expected true or false"));
                standard
            }
        };
        let reconnect = switch("reconnect", false);
        let crash = switch("crash", false);
        let await_reply = switch("await_reply", true);
        let delay = match table.get("delay_ms") {
            None => Duration::ZERO,
            Some(Toml::Integer(ms)) if (0..=DELAY_MS_MAX).contains(ms) => {
                Duration::from_millis(ms.unsigned_abs())
            }
            Some(_) => {
                mistakes.add(place, format!("delay_ms: expected 0 to {DELAY_MS_MAX}"));
                Duration::ZERO
            }
        };
        let later = match table
            .get("later")
            .map(|value| value.as_str().and_then(span))
        {
            None => Duration::ZERO,
            Some(Some(later)) => later,
            Some(None) => {
                mistakes.add(
                    place,
                    "later: expected a number with m, h or d, such as \"46d\", two years at most",
                );
                Duration::ZERO
            }
        };
        Self {
            reconnect,
            delay,
            crash,
            later,
            await_reply,
        }
    }

    /// Whether only a switch of the scenario's own can be treated so.
    pub(super) fn need_own_switch(&self) -> bool {
        self.crash || !self.later.is_zero()
    }

    /// Whether the connection does not outlive them.
    pub(super) fn break_the_line(&self) -> bool {
        self.reconnect || self.need_own_switch()
    }
}

/// `90m`, `25h`, `46d`.
fn span(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let seconds = number.parse::<u64>().ok()?.checked_mul(unit)?;
    (1..=LATER_SECONDS_MAX)
        .contains(&seconds)
        .then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_number_and_a_unit() {
        for (text, seconds) in [
            ("1m", Some(60)),
            ("25h", Some(90_000)),
            ("46d", Some(3_974_400)),
            ("733d", None),
            ("0d", None),
            ("46", None),
            ("d", None),
            ("", None),
            ("-1d", None),
        ] {
            assert_eq!(span(text), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
