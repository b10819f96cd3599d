//! What is done about somebody who tries one card number after the other (rule B6).

/// Longest window, minutes.
pub const WINDOW_MINUTES_MAX: u16 = 60;
/// Longest delay of an answer, milliseconds: acquirers give up after some ten seconds.
pub const SLOW_MS_MAX: u32 = 8_000;

/// When asking about unknown and exhausted numbers is taken for guessing, and what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuessingRule {
    /// Attempts of one card acceptor within the window; 0: not looked at.
    pub acceptor_attempts_max: u32,
    /// Attempts of one link within the window; 0: not looked at.
    pub link_attempts_max: u32,
    /// The window, minutes.
    pub window_minutes: u16,
    /// What follows beside the alarm.
    pub answer: GuessingAnswer,
    /// How much later a slowed answer is given, milliseconds.
    pub slow_ms: u32,
}

/// What follows for whoever guesses, beside the alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GuessingAnswer {
    /// Nothing.
    Alarm,
    /// Answers come later.
    Slow,
    /// Numbers that pay without anything else, and enquiries, are refused for the time being.
    Refuse,
}
