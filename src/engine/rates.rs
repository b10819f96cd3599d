//! The exchange rates in force and to come, as the journal has brought them.
//!
//! A rate of the past is of no use to any decision to come, so only the one in force and later
//! ones are kept of each two currencies; what a decision used stands in its own record.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::money::Currency;
use crate::domain::rate::Rate;
use crate::domain::rate_file::{RATES_MAX, RateRow};
use crate::domain::time::UnixMs;

/// Rates by the two currencies, each from an instant on, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rates {
    pairs: BTreeMap<(Currency, Currency), Vec<(UnixMs, Rate)>>,
}

impl Rates {
    /// The rate that holds at an instant: as stated, else the other way round, else through
    /// `between`.
    pub fn find(
        &self,
        from: Currency,
        to: Currency,
        between: Currency,
        at: UnixMs,
    ) -> Option<Rate> {
        self.either_way(from, to, at).or_else(|| {
            let first = self.either_way(from, between, at)?;
            first.then(self.either_way(between, to, at)?)
        })
    }

    fn either_way(&self, from: Currency, to: Currency, at: UnixMs) -> Option<Rate> {
        let stated = self.stated(from, to, at);
        stated.or_else(|| self.stated(to, from, at)?.inverse())
    }

    fn stated(&self, from: Currency, to: Currency, at: UnixMs) -> Option<Rate> {
        let rates = self.pairs.get(&(from, to))?;
        let before = rates.iter().rev().find(|row| row.0 <= at);
        before.map(|row| row.1)
    }

    /// Those of the rows that would change anything at an instant.
    pub(super) fn news(&self, rows: &[RateRow], at: UnixMs) -> Vec<RateRow> {
        let changes = |row: &&RateRow| {
            let known = self.pairs.get(&(row.from, row.to)).map(Vec::as_slice);
            let known = known.unwrap_or_default();
            let in_force = known.iter().rev().find(|rate| rate.0 <= at);
            let is_over = in_force.is_some_and(|rate| row.effective < rate.0);
            let is_known = known.contains(&(row.effective, row.rate));
            // Of several rows of the past only the latest would stay.
            let is_passed_by = rows.iter().any(|other| {
                (other.from, other.to) == (row.from, row.to)
                    && other.effective <= at
                    && row.effective < other.effective
            });
            !is_over && !is_known && !is_passed_by
        };
        rows.iter().filter(changes).copied().collect()
    }

    /// Whether so many more rates would be too many.
    pub(super) fn has_room_for(&self, more: usize) -> bool {
        let known: usize = self.pairs.values().map(Vec::len).sum();
        known.saturating_add(more) <= RATES_MAX
    }

    /// Takes rates in at an instant, and lets go of those that no decision will ask for any more.
    pub(super) fn set(&mut self, rows: &[RateRow], at: UnixMs) {
        for row in rows {
            let rates = self.pairs.entry((row.from, row.to)).or_default();
            rates.retain(|rate| rate.0 != row.effective);
            rates.push((row.effective, row.rate));
            rates.sort_by_key(|rate| rate.0);
            let past = rates.iter().filter(|rate| rate.0 <= at).count();
            rates.drain(..past.saturating_sub(1));
        }
    }

    /// The next rate, as it was in a checkpoint.
    pub(super) fn restore(&mut self, row: RateRow) {
        let rates = self.pairs.entry((row.from, row.to)).or_default();
        rates.push((row.effective, row.rate));
    }

    /// All rates that are kept, in order.
    pub fn rows(&self) -> impl Iterator<Item = RateRow> + '_ {
        self.pairs.iter().flat_map(|((from, to), rates)| {
            rates.iter().map(|(effective, rate)| RateRow {
                from: *from,
                to: *to,
                rate: *rate,
                effective: *effective,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(from: &str, to: &str, rate: &str, effective: i64) -> RateRow {
        RateRow {
            from: Currency::from_alpha(from).unwrap(),
            to: Currency::from_alpha(to).unwrap(),
            rate: Rate::parse(rate).unwrap(),
            effective: UnixMs(effective),
        }
    }

    fn found(rates: &Rates, from: &str, to: &str, at: i64) -> Option<String> {
        let currency = |letters| Currency::from_alpha(letters).unwrap();
        let rate = rates.find(currency(from), currency(to), Currency::JPY, UnixMs(at));
        rate.map(|rate| rate.to_string())
    }

    #[test]
    fn a_rate_holds_from_its_instant_on_in_both_ways_and_through_another() {
        let mut rates = Rates::default();
        let rows = [
            row("USD", "JPY", "150", 10),
            row("USD", "JPY", "160", 20),
            row("EUR", "JPY", "180", 10),
        ];
        rates.set(&rows, UnixMs(10));
        for (from, to, at, expected) in [
            ("USD", "JPY", 9, None),
            ("USD", "JPY", 19, Some("150")),
            ("USD", "JPY", 20, Some("160")),
            ("JPY", "USD", 20, Some("0.00625")),
            ("EUR", "USD", 20, Some("1.125")),
            ("GBP", "JPY", 20, None),
        ] {
            assert_eq!(
                found(&rates, from, to, at).as_deref(),
                expected,
                "{from} {to} {at}"
            );
        }
    }

    #[test]
    fn what_is_known_or_past_is_no_news_and_past_rates_are_let_go() {
        let mut rates = Rates::default();
        let first = [row("USD", "JPY", "150", 10), row("USD", "JPY", "155", 15)];
        let news = rates.news(&first, UnixMs(20));
        assert_eq!(news, [first[1]]);
        rates.set(&news, UnixMs(20));
        assert!(rates.news(&first, UnixMs(20)).is_empty());
        let next = [row("USD", "JPY", "160", 30)];
        rates.set(&next, UnixMs(21));
        assert_eq!(rates.rows().count(), 2);
        rates.set(&[row("USD", "JPY", "170", 40)], UnixMs(40));
        assert_eq!(found(&rates, "USD", "JPY", 40).as_deref(), Some("170"));
        assert_eq!(rates.rows().count(), 1);
        assert!(rates.has_room_for(RATES_MAX - 1) && !rates.has_room_for(RATES_MAX));
    }
}
