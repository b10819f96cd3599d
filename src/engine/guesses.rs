//! How often a card acceptor, and a link as a whole, asked about numbers that are unknown or have
//! nothing left (rule B6): somebody may be guessing.
//!
//! Counted by the minute from the decisions that are recorded anyway, so a replay counts alike. Of
//! acceptors the ones that guessed last are kept, so that memory is bounded whatever a peer sends.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use smallvec::SmallVec;

use crate::domain::facts::LinkNumber;
use crate::domain::guessing::WINDOW_MINUTES_MAX;
use crate::domain::merchant::AcceptorId;
use crate::domain::time::UnixMs;

/// Acceptors and links kept, some 200 bytes each.
const ROWS_MAX: usize = 4_096;
const MINUTE_MS: i64 = 60_000;

/// Who asked: an acceptor of a link, or with an empty name the link as a whole.
pub(super) type Who = (LinkNumber, AcceptorId);

/// Attempts by the minute, the latest last.
pub(super) type Minutes = SmallVec<[(i64, u32); 4]>;

/// Attempts of the last hour by acceptor and link.
#[derive(Default, Serialize)]
pub(super) struct Guesses {
    rows: BTreeMap<Who, Minutes>,
    by_age: BTreeSet<(i64, Who)>,
}

impl Guesses {
    /// Counts an attempt of an acceptor, and of its link.
    pub(super) fn count(&mut self, link: LinkNumber, acceptor: AcceptorId, at: UnixMs) {
        let minute = at.0.div_euclid(MINUTE_MS);
        let whole = (link, AcceptorId::EMPTY);
        self.count_one(whole, minute);
        if !acceptor.is_empty() {
            self.count_one((link, acceptor), minute);
        }
    }

    fn count_one(&mut self, who: Who, minute: i64) {
        let minutes = self.rows.entry(who).or_default();
        if let Some(last) = minutes.last() {
            self.by_age.remove(&(last.0, who));
        }
        let oldest = minute.saturating_sub(i64::from(WINDOW_MINUTES_MAX));
        minutes.retain(|row| row.0 > oldest);
        match minutes.last_mut() {
            Some(last) if last.0 == minute => last.1 = last.1.saturating_add(1),
            Some(_) | None => minutes.push((minute, 1)),
        }
        self.by_age.insert((minute, who));
        if self.rows.len() > ROWS_MAX
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.rows.remove(&oldest);
        }
    }

    /// Attempts of everybody who is kept, in order.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&Who, &Minutes)> {
        self.rows.iter()
    }

    /// One of them, as it was in a checkpoint.
    pub(super) fn restore(&mut self, who: Who, minutes: Minutes) {
        if let Some(last) = minutes.last() {
            self.by_age.insert((last.0, who));
        }
        self.rows.insert(who, minutes);
    }

    /// Attempts of an acceptor, and of its link, in the minutes up to an instant.
    pub(super) fn counted(
        &self,
        link: LinkNumber,
        acceptor: AcceptorId,
        at: UnixMs,
        window_minutes: u16,
    ) -> (u32, u32) {
        let first =
            at.0.div_euclid(MINUTE_MS)
                .saturating_sub(i64::from(window_minutes));
        // Nearly always nobody has guessed lately.
        if self.by_age.last().is_none_or(|last| last.0 <= first) {
            return (0, 0);
        }
        let sum = |who: Who| {
            let minutes = self.rows.get(&who).map(Minutes::as_slice);
            let within = minutes.unwrap_or_default().iter();
            let within = within.filter(|row| row.0 > first);
            within.fold(0_u32, |sum, row| sum.saturating_add(row.1))
        };
        let own = if acceptor.is_empty() {
            0
        } else {
            sum((link, acceptor))
        };
        (own, sum((link, AcceptorId::EMPTY)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: LinkNumber = LinkNumber(1);

    fn acceptor(name: &str) -> AcceptorId {
        name.parse().unwrap()
    }

    fn at(minute: i64) -> UnixMs {
        UnixMs(minute * MINUTE_MS)
    }

    #[test]
    fn attempts_count_for_the_acceptor_and_its_link_and_leave_the_window() {
        let mut guesses = Guesses::default();
        for (minute, name) in [(0, "A"), (0, "A"), (3, "B"), (9, "A")] {
            guesses.count(LINK, acceptor(name), at(minute));
        }
        let counted = |name, minute| guesses.counted(LINK, acceptor(name), at(minute), 10);
        assert_eq!(counted("A", 9), (3, 4));
        assert_eq!(counted("A", 10), (1, 2));
        assert_eq!(counted("B", 9), (1, 4));
        assert_eq!(counted("", 9), (0, 4));
        assert_eq!(counted("A", 60), (0, 0));
        let other = guesses.counted(LinkNumber(2), acceptor("A"), at(9), 10);
        assert_eq!(other, (0, 0));
    }

    #[test]
    fn memory_is_bounded_and_those_who_guessed_last_stay() {
        let mut guesses = Guesses::default();
        for number in 0..10_000_u32 {
            guesses.count(LINK, acceptor(&number.to_string()), at(i64::from(number)));
        }
        assert_eq!(guesses.rows.len(), ROWS_MAX);
        assert_eq!(guesses.by_age.len(), ROWS_MAX);
        let last = guesses.counted(LINK, acceptor("9999"), at(9_999), 10);
        assert_eq!(last, (1, 10));
    }
}
