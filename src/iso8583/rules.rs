//! What each message type carries: mandatory, optional, echoed and masked elements.

use super::bitmap::Bitmap;
use super::{Message, MessageSpec, Mti};

/// What a specification says of one message type.
#[derive(Debug, Clone)]
pub struct MessageRule {
    pub(super) mti: Mti,
    pub(super) name: String,
    pub(super) mandatory: Bitmap,
    /// What else may be there; `None` for every element.
    pub(super) optional: Option<Bitmap>,
    /// What a response repeats from its request, when the request has it.
    pub(super) echoed: Vec<u8>,
    /// What is hidden in this type besides what the elements hide themselves.
    pub(super) masked: Bitmap,
}

/// In what a message is not as its type should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RuleBreach {
    /// A mandatory element is missing.
    #[error("DE {0}: expected in this message type, got none")]
    Missing(u8),
    /// An element that the type does not have.
    #[error("DE {0}: expected no such element in this message type")]
    Unexpected(u8),
}

impl MessageRule {
    /// The message type.
    #[must_use]
    pub const fn mti(&self) -> Mti {
        self.mti
    }

    /// What people call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Elements that every message of the type has, ascending.
    pub fn mandatory(&self) -> impl Iterator<Item = u8> + use<> {
        self.mandatory.elements()
    }

    /// Elements that it may have besides, ascending; `None` for every element.
    #[must_use]
    pub fn optional(&self) -> Option<impl Iterator<Item = u8> + use<>> {
        self.optional.map(Bitmap::elements)
    }

    /// Elements that a response repeats from its request when the request has them, ascending.
    #[must_use]
    pub fn echoed(&self) -> &[u8] {
        &self.echoed
    }

    /// Whether a message of the type may have the element.
    #[must_use]
    pub fn may_have(&self, element: u8) -> bool {
        let optional = self.optional.as_ref();
        optional.is_none_or(|optional| optional.has(element))
            || self.mandatory.has(element)
            || self.echoed.contains(&element)
    }

    /// Elements hidden in this type besides those that hide themselves, ascending.
    pub fn masked(&self) -> impl Iterator<Item = u8> + use<> {
        self.masked.elements()
    }

    /// Whether the element is hidden in this type, whatever it says of itself.
    #[must_use]
    pub fn masks(&self, element: u8) -> bool {
        self.masked.has(element)
    }
}

impl MessageSpec {
    /// What is said of a message type; of a repeat, what is said of the first message.
    #[must_use]
    pub fn rule(&self, mti: Mti) -> Option<&MessageRule> {
        let mti = if mti.is_repeat() { mti.request() } else { mti };
        let rules = self.rules();
        let found = rules.binary_search_by_key(&mti, MessageRule::mti);
        rules.get(found.ok()?)
    }

    /// In what the message is not as its type should be, ascending.
    #[must_use]
    pub fn breaches(&self, message: &Message) -> Vec<RuleBreach> {
        let Some(rule) = self.rule(message.mti()) else {
            return Vec::new();
        };
        let missing = rule.mandatory().filter(|element| !message.has(*element));
        let missing = missing.map(RuleBreach::Missing);
        let unexpected = message
            .elements()
            .filter(|element| !rule.may_have(*element));
        missing
            .chain(unexpected.map(RuleBreach::Unexpected))
            .collect()
    }
}
