//! What is known about a card verification value: of a track, or printed on the card.

use serde::{Deserialize, Serialize};

/// What came of a card verification value. The value itself never comes here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CardValueVerdict {
    /// It is the card's.
    Right,
    /// It is another one.
    Wrong,
    /// The track names another card or another month than the message.
    Contradicts,
    /// The track is none, or has no such value.
    Malformed,
    /// The card was read by its stripe and no track came.
    Missing,
    /// There is no key that it can be checked with.
    CannotBeChecked,
    /// The device that would judge it did not answer, or refused to.
    Unavailable,
}
