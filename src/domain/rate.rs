//! Exchange rates and percentages, and the one place that rounds money (rules A31, A35, C2).
//!
//! Amounts are whole minor units. What is converted or marked up is rounded to the nearest minor
//! unit of the currency it becomes, a half away from zero; exponents come from ISO 4217 and are
//! allowed for before rounding. Nothing that costs anything costs less than one minor unit.

use std::fmt;

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

use super::money::{Amount, Currency};

/// Significant digits a rate may have; with twelve digits of an amount their product is exact.
const DIGITS_MAX: u32 = 12;
/// Most decimals a rate may have.
const DECIMALS_MAX: u32 = 20;
/// Decimals that DE 9 and DE 10 can state (lifecycle D.6).
const WIRE_DECIMALS_MAX: u8 = 7;

/// How many major units of one currency one major unit of another costs; above zero.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    digits: u64,
    decimals: u8,
}

impl Rate {
    /// A rate as people write it, such as `150.25`.
    ///
    /// # Errors
    /// A sentence that says what a rate looks like.
    pub fn parse(text: &str) -> Result<Rate, String> {
        let plain = |byte: u8| byte.is_ascii_digit() || byte == b'.';
        let number = Some(text)
            .filter(|text| text.bytes().all(plain))
            .and_then(|text| Decimal::from_str_exact(text).ok());
        let exact = |number: &Decimal| {
            let rate = Rate::nearest(*number);
            rate.is_some_and(|rate| rate.decimal() == Some(*number))
        };
        number.filter(exact).and_then(Rate::nearest).ok_or_else(|| {
            format!(
                "expected a number above 0 with at most {DIGITS_MAX} digits such as \
                     \"150.25\", got {text:?}"
            )
        })
    }

    /// The rate of DE 9 or DE 10: the first of eight digits says how many decimals the others have.
    pub fn from_wire(stated: u64) -> Option<Rate> {
        let decimals = u8::try_from(stated.checked_div(10_000_000)?).ok()?;
        let digits = stated.checked_rem(10_000_000)?;
        (decimals <= WIRE_DECIMALS_MAX && digits > 0).then_some(Rate { digits, decimals })
    }

    /// The form of DE 9 and DE 10 that comes nearest; `None` for a rate that is too great for it.
    pub fn wire(self) -> Option<u32> {
        let number = self.decimal()?.normalize();
        (0..=WIRE_DECIMALS_MAX).rev().find_map(|decimals| {
            let rounded = number.round_dp_with_strategy(u32::from(decimals), HALF_UP);
            let scale = Decimal::from(10_u64.checked_pow(u32::from(decimals))?);
            let digits = u32::try_from(rounded.checked_mul(scale)?).ok()?;
            let states = digits > 0 && digits < 10_000_000;
            let first = u32::from(decimals).checked_mul(10_000_000)?;
            first.checked_add(digits).filter(|_| states)
        })
    }

    /// The rate the other way round, to as many digits as a rate may have.
    pub fn inverse(self) -> Option<Rate> {
        Rate::nearest(Decimal::ONE.checked_div(self.decimal()?)?)
    }

    /// The rate through a currency between: this one, then the next.
    pub fn then(self, next: Rate) -> Option<Rate> {
        Rate::nearest(self.decimal()?.checked_mul(next.decimal()?)?)
    }

    /// An amount in another currency, minor units; `None` for currencies whose exponent is not
    /// known and for amounts beyond all bounds.
    pub fn convert(self, amount: Amount, to: Currency) -> Option<i64> {
        let shift = |exponent: u8| 10_i64.checked_pow(u32::from(exponent)).map(Decimal::from);
        let major = Decimal::from(amount.minor).checked_mul(self.decimal()?)?;
        let minor = major
            .checked_mul(shift(to.exponent()?)?)?
            .checked_div(shift(amount.currency.exponent()?)?)?;
        at_least_one(amount.minor, nearest_minor(minor)?)
    }

    fn nearest(number: Decimal) -> Option<Rate> {
        let number = number
            .round_sf_with_strategy(DIGITS_MAX, HALF_UP)?
            .normalize();
        let digits = u64::try_from(number.mantissa()).ok()?;
        let fits = digits > 0 && number.scale() <= DECIMALS_MAX;
        let decimals = u8::try_from(number.scale()).ok()?;
        fits.then_some(Rate { digits, decimals })
    }

    fn decimal(self) -> Option<Decimal> {
        let digits = i128::from(self.digits);
        Decimal::try_from_i128_with_scale(digits, u32::from(self.decimals)).ok()
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.decimal().unwrap_or_default(), f)
    }
}

impl fmt::Debug for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A share of an amount in hundredths of a percent: a mark-up, a fee.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Percent(u16);

impl Percent {
    /// A percentage as people write it, such as `4.0`; 0 to 100 with two decimals at most.
    ///
    /// # Errors
    /// A sentence that says what a percentage looks like.
    pub fn parse(text: &str) -> Result<Percent, String> {
        let plain = |byte: u8| byte.is_ascii_digit() || byte == b'.';
        let hundredths = Some(text)
            .filter(|text| text.bytes().all(plain))
            .and_then(|text| Decimal::from_str_exact(text).ok())
            .and_then(|number| number.checked_mul(Decimal::ONE_HUNDRED))
            .map(|number| number.normalize())
            .filter(|number| number.scale() == 0)
            .and_then(|number| u16::try_from(number).ok());
        hundredths
            .filter(|hundredths| *hundredths <= 10_000)
            .map(Percent)
            .ok_or_else(|| format!("expected a percentage such as \"4.0\", got {text:?}"))
    }

    /// So much of an amount, minor units; 0 where it is beyond all bounds.
    pub fn of(self, minor: i64) -> i64 {
        let share = Decimal::from(minor).checked_mul(Decimal::new(i64::from(self.0), 4));
        share.and_then(nearest_minor).unwrap_or(0)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = Decimal::new(i64::from(self.0), 2).normalize();
        write!(f, "{percent} %")
    }
}

const HALF_UP: RoundingStrategy = RoundingStrategy::MidpointAwayFromZero;

fn nearest_minor(exact: Decimal) -> Option<i64> {
    i64::try_from(exact.round_dp_with_strategy(0, HALF_UP)).ok()
}

fn at_least_one(asked: i64, rounded: i64) -> Option<i64> {
    Some(if asked > 0 { rounded.max(1) } else { rounded })
}

/// The part of a whole that belongs to a part of what the whole stands for, rounded down; all of
/// it for all or more.
pub fn share(whole: i64, part: i64, of: i64) -> i64 {
    if part >= of {
        return whole;
    }
    let share = i128::from(whole)
        .saturating_mul(i128::from(part.max(0)))
        .checked_div(i128::from(of));
    share
        .and_then(|share| i64::try_from(share).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn currency(letters: &str) -> Currency {
        Currency::from_alpha(letters).unwrap()
    }

    #[test]
    fn an_amount_is_converted_with_both_exponents_and_rounded_to_the_nearest() {
        for (minor, from, rate, to, expected) in [
            (1_000, "USD", "150.25", "JPY", 1_503),
            (1_000, "USD", "150.24", "JPY", 1_502),
            (1_503, "JPY", "0.0066556", "USD", 1_000),
            (1, "JPY", "0.0066556", "USD", 1),
            (1, "IDR", "0.0000619", "USD", 1),
            (12_345, "KWD", "3.25", "USD", 4_012),
            (
                999_999_999_999,
                "USD",
                "150.123456789",
                "JPY",
                1_501_234_567_888,
            ),
            (0, "USD", "150", "JPY", 0),
        ] {
            let amount = Amount::new(minor, currency(from));
            let converted = Rate::parse(rate).unwrap().convert(amount, currency(to));
            assert_eq!(converted, Some(expected), "{amount} at {rate} in {to}");
        }
        let unknown = Amount::new(1, Currency::from_numeric(7));
        assert_eq!(
            Rate::parse("1").unwrap().convert(unknown, currency("JPY")),
            None
        );
    }

    #[test]
    fn the_wire_form_counts_decimals_in_its_first_digit() {
        for (wire, text) in [
            (69_972_522, "9.972522"),
            (1_234, "1234"),
            (70_066_556, "0.0066556"),
            (41_502_500, "150.25"),
        ] {
            let rate = Rate::from_wire(wire).unwrap();
            assert_eq!(
                rate.decimal(),
                Rate::parse(text).unwrap().decimal(),
                "{wire}"
            );
        }
        for wrong in [0, 10_000_000, 80_000_001, 99_999_999] {
            assert!(Rate::from_wire(wrong).is_none(), "{wrong}");
        }
        for (text, wire) in [
            ("9.972522", Some(69_972_522)),
            ("150.25", Some(41_502_500)),
            ("0.00665557404326", Some(70_066_556)),
            ("9999999", Some(9_999_999)),
            ("10000000", None),
            ("0.00000001", None),
        ] {
            assert_eq!(Rate::parse(text).unwrap().wire(), wire, "{text}");
        }
    }

    #[test]
    fn rates_turn_round_and_chain() {
        let rate = |text: &str| Rate::parse(text).unwrap();
        assert_eq!(rate("150.25").inverse(), Some(rate("0.00665557404326")));
        assert_eq!(rate("0.5").then(rate("160")), Some(rate("80")));
        for wrong in ["", "0", "-1", "1,5", "1e3", "1234567890123", "abc", "."] {
            let sentence = Rate::parse(wrong).unwrap_err();
            assert!(sentence.contains("150.25"), "{wrong}: {sentence}");
        }
    }

    #[test]
    fn a_percentage_of_an_amount_is_rounded_to_the_nearest() {
        let four = Percent::parse("4.0").unwrap();
        for (minor, expected) in [(1_000, 40), (1_012, 40), (1_013, 41), (12, 0), (13, 1)] {
            assert_eq!(four.of(minor), expected, "{minor}");
        }
        assert_eq!(four.to_string(), "4 %");
        assert_eq!(Percent::parse("2.75").unwrap().to_string(), "2.75 %");
        for wrong in ["", "100.01", "-1", "1.234", "4 %"] {
            assert!(Percent::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn shares_are_rounded_down_and_the_whole_is_the_whole() {
        assert_eq!(share(100, 1, 3), 33);
        assert_eq!(share(100, 3, 3), 100);
        assert_eq!(share(100, 0, 3), 0);
        assert_eq!(share(100, 9, 3), 100);
    }
}
