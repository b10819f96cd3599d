//! The oracle's rates: whole numbers written out, rounded where the rules say so.

use cardswitch::domain::money::Currency;

use crate::model_books::Oracle;

/// Digits that a rate has at most.
const DIGITS: i128 = 100_000_000_000;

/// A number with decimals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Number {
    digits: i128,
    decimals: u32,
}

/// A rate as it was stated: from when on one of the first costs so many of the second.
#[derive(Clone, Copy)]
pub(crate) struct StatedRate {
    pub(crate) from: Currency,
    pub(crate) to: Currency,
    pub(crate) rate: Number,
    pub(crate) effective: i64,
}

impl Number {
    /// `150.25`.
    pub(crate) fn parse(text: &str) -> Number {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        Number {
            digits: format!("{whole}{decimals}").parse().unwrap(),
            decimals: u32::try_from(decimals.len()).unwrap(),
        }
    }

    /// A fraction to twelve digits, the first of them not 0.
    fn of(over: i128, under: i128) -> Number {
        let mut decimals = 0;
        while over * ten(decimals) / under < DIGITS {
            decimals += 1;
        }
        Number {
            digits: nearest(over * ten(decimals), under),
            decimals,
        }
    }

    fn inverse(self) -> Number {
        Number::of(ten(self.decimals), self.digits)
    }

    fn times(self, other: Number) -> Number {
        let under = ten(self.decimals + other.decimals);
        Number::of(self.digits * other.digits, under)
    }

    /// An amount in another currency; something stays something.
    pub(crate) fn convert(self, minor: i64, from: Currency, to: Currency) -> i64 {
        let over = i128::from(minor) * self.digits * ten(places(to));
        let under = ten(self.decimals) * ten(places(from));
        let rounded = i64::try_from(nearest(over, under)).unwrap();
        if minor > 0 { rounded.max(1) } else { rounded }
    }
}

fn ten(power: u32) -> i128 {
    10_i128.pow(power)
}

fn nearest(over: i128, under: i128) -> i128 {
    (2 * over + under) / (2 * under)
}

fn places(currency: Currency) -> u32 {
    if currency == Currency::JPY { 0 } else { 2 }
}

/// So many hundredths of a percent.
pub(crate) fn percent(hundredths: i64, minor: i64) -> i64 {
    i64::try_from(nearest(i128::from(minor) * i128::from(hundredths), 10_000)).unwrap()
}

/// The part of a whole that goes with a part of something else, rounded down.
pub(crate) fn share(whole: i64, part: i64, of: i64) -> i64 {
    if part >= of {
        return whole;
    }
    i64::try_from(i128::from(whole) * i128::from(part.max(0)) / i128::from(of)).unwrap()
}

impl Oracle {
    /// The rate now: as stated last, else the other way round, else through yen.
    pub(crate) fn rate(&self, from: Currency, to: Currency) -> Option<Number> {
        let stated = |from, to| {
            let known = self
                .rates
                .iter()
                .filter(|row| (row.from, row.to) == (from, to) && row.effective <= self.at);
            known.max_by_key(|row| row.effective).map(|row| row.rate)
        };
        let either = |from, to| stated(from, to).or_else(|| Some(stated(to, from)?.inverse()));
        let through = || {
            let first: Number = either(from, Currency::JPY)?;
            Some(first.times(either(Currency::JPY, to)?))
        };
        either(from, to).or_else(through)
    }
}
