//! The merchant's side: category, terminal, acceptor, country.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::short_text::ShortText;

/// Merchant category code, 0000 to 9999 (ISO 18245).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Mcc(pub u16);

impl fmt::Display for Mcc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.0)
    }
}

impl fmt::Debug for Mcc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Terminal identification (DE 41), right spaces cut.
pub type TerminalId = ShortText<8>;

/// Card acceptor identification (DE 42), right spaces cut.
pub type AcceptorId = ShortText<15>;

/// Card acceptor name and location (DE 43), right spaces cut.
pub type AcceptorName = ShortText<40>;

/// Retrieval reference number (DE 37), right spaces cut.
pub type RetrievalReference = ShortText<12>;

/// What the message says about where it comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Country of the acquirer, ISO 3166 numeric, when the message carries it.
    pub acquirer_country: Option<u16>,
    /// Country of the merchant, two letters, when the message carries it.
    pub merchant_country: Option<[u8; 2]>,
}

/// The country in which a programme's merchants are domestic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HomeCountry {
    /// ISO 3166 numeric code.
    pub numeric: u16,
    /// ISO 3166 two letters.
    pub letters: [u8; 2],
}

impl Origin {
    /// Whether nothing in the message says that the merchant is abroad.
    pub fn is_domestic(&self, home: HomeCountry) -> bool {
        self.acquirer_country
            .is_none_or(|country| country == home.numeric)
            && self
                .merchant_country
                .is_none_or(|country| country == home.letters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_foreign_sign_makes_a_merchant_foreign() {
        let home = HomeCountry {
            numeric: 392,
            letters: *b"JP",
        };
        let origin = |acquirer_country, merchant_country| Origin {
            acquirer_country,
            merchant_country,
        };
        for (origin, domestic) in [
            (origin(None, None), true),
            (origin(Some(392), Some(*b"JP")), true),
            (origin(Some(840), Some(*b"JP")), false),
            (origin(None, Some(*b"US")), false),
        ] {
            assert_eq!(origin.is_domestic(home), domestic, "{origin:?}");
        }
    }
}
