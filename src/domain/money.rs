//! Currency and amount: integer minor units, checked arithmetic only.
//!
//! JPY has exponent 0, so one minor unit is one yen. Exponents come from ISO 4217, never from a
//! message.

use std::fmt;

use serde::{Deserialize, Serialize};

/// ISO 4217 rows this switch knows: numeric code, letters, exponent.
const CURRENCIES: &[(u16, &str, u8)] = &[
    (32, "ARS", 2),
    (36, "AUD", 2),
    (48, "BHD", 3),
    (124, "CAD", 2),
    (152, "CLP", 0),
    (156, "CNY", 2),
    (170, "COP", 2),
    (203, "CZK", 2),
    (208, "DKK", 2),
    (344, "HKD", 2),
    (348, "HUF", 2),
    (352, "ISK", 0),
    (356, "INR", 2),
    (360, "IDR", 2),
    (376, "ILS", 2),
    (392, "JPY", 0),
    (400, "JOD", 3),
    (410, "KRW", 0),
    (414, "KWD", 3),
    (446, "MOP", 2),
    (458, "MYR", 2),
    (484, "MXN", 2),
    (512, "OMR", 3),
    (554, "NZD", 2),
    (578, "NOK", 2),
    (600, "PYG", 0),
    (604, "PEN", 2),
    (608, "PHP", 2),
    (634, "QAR", 2),
    (643, "RUB", 2),
    (682, "SAR", 2),
    (702, "SGD", 2),
    (704, "VND", 0),
    (710, "ZAR", 2),
    (752, "SEK", 2),
    (756, "CHF", 2),
    (764, "THB", 2),
    (784, "AED", 2),
    (788, "TND", 3),
    (818, "EGP", 2),
    (826, "GBP", 2),
    (840, "USD", 2),
    (901, "TWD", 2),
    (946, "RON", 2),
    (949, "TRY", 2),
    (950, "XAF", 0),
    (952, "XOF", 0),
    (953, "XPF", 0),
    (975, "BGN", 2),
    (978, "EUR", 2),
    (980, "UAH", 2),
    (985, "PLN", 2),
    (986, "BRL", 2),
];

/// A currency by its ISO 4217 numeric code; unknown codes are kept, not guessed at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Currency(u16);

impl Currency {
    /// Japanese yen, exponent 0.
    pub const JPY: Currency = Currency(392);

    /// The currency with this ISO 4217 numeric code (0 to 999).
    pub const fn from_numeric(code: u16) -> Currency {
        Currency(code)
    }

    /// The known currency with these three letters, or nothing.
    pub fn from_alpha(letters: &str) -> Option<Currency> {
        CURRENCIES
            .iter()
            .find(|row| row.1 == letters)
            .map(|row| Currency(row.0))
    }

    /// ISO 4217 numeric code.
    pub const fn numeric(self) -> u16 {
        self.0
    }

    /// Three letters, or `None` for a code outside the table.
    pub fn alpha(self) -> Option<&'static str> {
        self.row().map(|row| row.1)
    }

    /// Decimal places between minor and major unit, or `None` for a code outside the table.
    pub fn exponent(self) -> Option<u8> {
        self.row().map(|row| row.2)
    }

    fn row(self) -> Option<&'static (u16, &'static str, u8)> {
        CURRENCIES.iter().find(|row| row.0 == self.0)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.alpha() {
            Some(letters) => f.write_str(letters),
            None => write!(f, "{:03}", self.0),
        }
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An amount of money: minor units of one currency.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// Minor units (yen for JPY, cents for USD).
    pub minor: i64,
    /// What they are minor units of.
    pub currency: Currency,
}

impl Amount {
    /// So many minor units of a currency.
    pub const fn new(minor: i64, currency: Currency) -> Amount {
        Amount { minor, currency }
    }
}

impl fmt::Display for Amount {
    /// `1200 JPY`, `12.50 USD`; a currency with unknown exponent shows its minor units.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exponent = usize::from(self.currency.exponent().unwrap_or(0));
        let sign = if self.minor < 0 { "-" } else { "" };
        let digits = self.minor.unsigned_abs().to_string();
        if exponent == 0 {
            return write!(f, "{sign}{digits} {}", self.currency);
        }
        let padded = format!("{digits:0>width$}", width = exponent.saturating_add(1));
        let (major, minor) = padded.split_at(padded.len().saturating_sub(exponent));
        write!(f, "{sign}{major}.{minor} {}", self.currency)
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_print_with_the_exponent_of_their_currency() {
        let cases = [
            (1_000_000, "JPY", "1000000 JPY"),
            (5, "USD", "0.05 USD"),
            (-1250, "EUR", "-12.50 EUR"),
            (1, "KWD", "0.001 KWD"),
        ];
        for (minor, letters, text) in cases {
            let currency = Currency::from_alpha(letters).unwrap();
            assert_eq!(Amount::new(minor, currency).to_string(), text);
        }
    }

    #[test]
    fn an_unknown_currency_keeps_its_number() {
        assert_eq!(Currency::from_numeric(7).to_string(), "007");
        assert_eq!(Currency::from_numeric(7).exponent(), None);
    }

    #[test]
    fn the_table_is_sorted_and_without_doubles() {
        assert!(CURRENCIES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
