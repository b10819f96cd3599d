//! How much of the day and month limits an account has used (rule A16).

use serde::{Deserialize, Serialize};

use crate::domain::money::Currency;
use crate::domain::programme::Channel;
use crate::domain::time::BusinessDate;

/// Usage of one channel in one currency: the running day and the running month.
///
/// Earlier days are never asked for again, so a late give-back to one changes nothing but, within
/// the same month, the month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Which limits.
    pub channel: Channel,
    /// In which currency.
    pub currency: Currency,
    /// The latest day that counted.
    pub date: BusinessDate,
    /// Minor units on that day.
    pub day_minor: i64,
    /// Transactions on that day.
    pub day_count: u32,
    /// Minor units in the month of that day.
    pub month_minor: i64,
    /// Transactions in the month of that day.
    pub month_count: u32,
}

impl Usage {
    /// Nothing used yet.
    pub fn new(channel: Channel, currency: Currency, date: BusinessDate) -> Usage {
        Usage {
            channel,
            currency,
            date,
            day_minor: 0,
            day_count: 0,
            month_minor: 0,
            month_count: 0,
        }
    }

    /// The usage as it counts on a day: a new day or month starts from nothing.
    pub fn as_of(&self, date: BusinessDate) -> Usage {
        let mut usage = *self;
        if date > self.date {
            usage.date = date;
            (usage.day_minor, usage.day_count) = (0, 0);
            if !date.is_in_month_of(self.date) && !planted!(MonthNeverEnds) {
                (usage.month_minor, usage.month_count) = (0, 0);
            }
        }
        usage
    }

    /// Counts an amount and a number of transactions on a day; both below zero to give back.
    pub fn count(&mut self, date: BusinessDate, minor: i64, count: i32) {
        *self = self.as_of(date);
        if date == self.date {
            self.day_minor = self.day_minor.saturating_add(minor).max(0);
            self.day_count = self.day_count.saturating_add_signed(count);
        }
        if date.is_in_month_of(self.date) {
            self.month_minor = self.month_minor.saturating_add(minor).max(0);
            self.month_count = self.month_count.saturating_add_signed(count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage() -> Usage {
        Usage::new(Channel::Purchase, Currency::JPY, BusinessDate(0))
    }

    #[test]
    fn a_new_day_starts_from_nothing_and_a_new_month_too() {
        let mut used = usage();
        used.count(BusinessDate(10), 500, 1);
        used.count(BusinessDate(11), 300, 1);
        assert_eq!((used.day_minor, used.day_count), (300, 1));
        assert_eq!((used.month_minor, used.month_count), (800, 2));
        let next_month = used.as_of(BusinessDate(31));
        assert_eq!((next_month.day_minor, next_month.month_minor), (0, 0));
    }

    #[test]
    fn usage_is_given_back_to_the_window_it_was_counted_in() {
        let mut used = usage();
        used.count(BusinessDate(10), 500, 1);
        used.count(BusinessDate(11), 300, 1);
        used.count(BusinessDate(10), -500, -1);
        assert_eq!((used.day_minor, used.day_count), (300, 1));
        assert_eq!((used.month_minor, used.month_count), (300, 1));
        used.count(BusinessDate(40), 1, 1);
        used.count(BusinessDate(11), -300, -1);
        assert_eq!((used.month_minor, used.month_count), (1, 1));
    }
}
