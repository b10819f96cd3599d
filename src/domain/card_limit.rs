//! Limits of one card beside those of its programme: of the two the tighter one counts.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::money::Currency;
use super::programme::{Channel, Limit, Window};

/// Limits that one card may have: each is looked at for each of its messages.
pub const CARD_LIMITS_MAX: usize = 16;

/// The span that a card's own limit covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CardWindow {
    /// One transaction.
    Transaction,
    /// A calendar day of the programme.
    Day,
    /// A calendar month of the programme.
    Month,
}

impl CardWindow {
    /// The same span as programmes have it.
    pub fn window(self) -> Window {
        match self {
            CardWindow::Transaction => Window::Transaction,
            CardWindow::Day => Window::Day,
            CardWindow::Month => Window::Month,
        }
    }
}

/// One limit of one card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardLimit {
    /// What it counts.
    pub channel: Channel,
    /// Over which span.
    pub window: CardWindow,
    /// In which currency amounts are counted.
    pub currency: Currency,
    /// Greatest amount, minor units; 0 lets nothing through.
    pub amount_max: Option<i64>,
    /// Greatest number of transactions.
    pub count_max: Option<u32>,
}

/// Why limits cannot be those of a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoCardLimits {
    /// There are more than a card may have.
    TooMany,
    /// Two count the same over the same span in the same currency.
    Twice(CardLimit),
    /// One that limits nothing, or what no message of a card is.
    Senseless(CardLimit),
}

impl fmt::Display for NoCardLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoCardLimits::TooMany => write!(f, "a card has {CARD_LIMITS_MAX} limits at most"),
            NoCardLimits::Twice(limit) => write!(
                f,
                "two limits of {:?} per {} in {}",
                limit.channel,
                limit.window.window(),
                limit.currency
            ),
            NoCardLimits::Senseless(limit) => write!(
                f,
                "a limit of {:?} per {}: expected a channel of card messages, and an amount from 0 \
                 or, of a day or month, a count",
                limit.channel,
                limit.window.window()
            ),
        }
    }
}

impl CardLimit {
    /// The same as programmes have it.
    pub fn as_limit(&self) -> Limit {
        Limit {
            channel: self.channel,
            window: self.window.window(),
            kyc: None,
            currency: self.currency,
            amount_max: self.amount_max,
            count_max: self.count_max,
            shadow: false,
        }
    }

    /// Whether limits can be those of a card.
    ///
    /// # Errors
    /// [`NoCardLimits`].
    pub fn check(limits: &[CardLimit]) -> Result<(), NoCardLimits> {
        if limits.len() > CARD_LIMITS_MAX {
            return Err(NoCardLimits::TooMany);
        }
        for (place, limit) in limits.iter().enumerate() {
            let is_nothing = limit.amount_max.is_none() && limit.count_max.is_none();
            let is_counted_once =
                limit.window == CardWindow::Transaction && limit.count_max.is_some();
            let is_negative = limit.amount_max.is_some_and(|most| most < 0);
            // A transfer is no message of a card.
            let is_transfer = limit.channel == Channel::Transfer;
            if is_nothing || is_counted_once || is_negative || is_transfer {
                return Err(NoCardLimits::Senseless(*limit));
            }
            let same = |other: &CardLimit| {
                let mine = (limit.channel, limit.window, limit.currency);
                (other.channel, other.window, other.currency) == mine
            };
            if limits.iter().take(place).any(same) {
                return Err(NoCardLimits::Twice(*limit));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: CardLimit = CardLimit {
        channel: Channel::ECommerce,
        window: CardWindow::Day,
        currency: Currency::JPY,
        amount_max: Some(0),
        count_max: None,
    };

    #[test]
    fn limits_of_a_card_limit_something_once() {
        let once = CardLimit {
            window: CardWindow::Transaction,
            ..DAY
        };
        assert_eq!(CardLimit::check(&[DAY, once]), Ok(()));
        assert_eq!(CardLimit::check(&[]), Ok(()));
        for senseless in [
            CardLimit {
                amount_max: None,
                ..DAY
            },
            CardLimit {
                amount_max: Some(-1),
                ..DAY
            },
            CardLimit {
                count_max: Some(1),
                ..once
            },
            CardLimit {
                channel: Channel::Transfer,
                ..DAY
            },
        ] {
            let refused = CardLimit::check(&[once, senseless]);
            assert_eq!(refused, Err(NoCardLimits::Senseless(senseless)));
        }
        let again = CardLimit {
            count_max: Some(3),
            ..DAY
        };
        assert_eq!(
            CardLimit::check(&[DAY, again]),
            Err(NoCardLimits::Twice(again))
        );
        let many = [DAY; CARD_LIMITS_MAX + 1];
        assert_eq!(CardLimit::check(&many), Err(NoCardLimits::TooMany));
    }
}
