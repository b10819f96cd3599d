//! Card verification values: of a track, of the chip's track, printed on the card.

use arrayvec::ArrayString;
use zeroize::Zeroizing;

use super::CardChecks;
use super::track::Track;
use crate::crypto::cvv::CvvKind;
use crate::crypto::hsm::{Verdict, VerifyCvv};
use crate::domain::card::ExpiryMonth;
use crate::domain::card_value::CardValueVerdict;
use crate::domain::conditions::EntryMode;
use crate::domain::pan::Pan;
use crate::switch::config_card_check::{CardCheck, ExpiryOrder};

/// A value to be judged.
pub struct AskedValue {
    kind: ValueKind,
    expiry: ArrayString<4>,
    value: Zeroizing<String>,
}

#[derive(Clone, Copy)]
enum ValueKind {
    Track(ArrayString<3>),
    Chip,
    Printed,
}

/// What of a value can be known without a key.
pub enum LookedAt {
    /// This.
    Known(CardValueVerdict),
    /// It must be judged.
    Ask(AskedValue),
}

/// A track as it came, of two which.
#[derive(Clone, Copy)]
pub struct CameTrack<'a> {
    /// Its text.
    pub text: &'a str,
    /// Whether it is track 1.
    pub is_first: bool,
}

impl CardCheck {
    /// The track of a message that names this card and, where it says so, this month (`YYMM`);
    /// `None` when there is nothing to say about it.
    pub fn track(
        &self,
        came: Option<CameTrack<'_>>,
        (pan, month): (&Pan, Option<u16>),
        entry: EntryMode,
    ) -> Option<LookedAt> {
        let known = |verdict| Some(LookedAt::Known(verdict));
        let Some(came) = came else {
            let by_stripe = matches!(entry, EntryMode::Stripe | EntryMode::Fallback);
            let is_missing = by_stripe && self.track_required;
            return is_missing.then_some(LookedAt::Known(CardValueVerdict::Missing));
        };
        let (track, at) = match came.is_first {
            true => (Track::first(came.text), self.track1_value_at),
            false => (Track::second(came.text), self.track2_value_at),
        };
        let Some(track) = track else {
            return known(CardValueVerdict::Malformed);
        };
        let of_message = month.map(|month| format!("{month:04}"));
        if track.pan != pan.expose() || of_message.is_some_and(|month| month != track.expiry) {
            return known(CardValueVerdict::Contradicts);
        }
        let kind = match entry {
            // What is sent over the air changes with every payment.
            EntryMode::Contactless => return None,
            EntryMode::Chip => ValueKind::Chip,
            _ => ValueKind::Track(ArrayString::from(track.service_code).ok()?),
        };
        if at == 0 {
            return None;
        }
        let Some(value) = track.value(at) else {
            return known(CardValueVerdict::Malformed);
        };
        Some(LookedAt::Ask(AskedValue {
            kind,
            expiry: ArrayString::from(track.expiry).ok()?,
            value: Zeroizing::new(value.to_owned()),
        }))
    }

    /// The value printed on the card, as a message has it; `None` when it has none.
    pub fn printed(&self, text: &str, expiry: Option<ExpiryMonth>) -> Option<LookedAt> {
        let value = text.trim_matches(' ');
        if value.is_empty() {
            return None;
        }
        let is_value = value.len() == 3 && value.bytes().all(|byte| byte.is_ascii_digit());
        if !is_value {
            return Some(LookedAt::Known(CardValueVerdict::Malformed));
        }
        let Some(month) = expiry.map(ExpiryMonth::yymm) else {
            return Some(LookedAt::Known(CardValueVerdict::CannotBeChecked));
        };
        let month = match self.printed_expiry {
            ExpiryOrder::YearMonth => month,
            ExpiryOrder::MonthYear => month % 100 * 100 + month / 100,
        };
        Some(LookedAt::Ask(AskedValue {
            kind: ValueKind::Printed,
            expiry: ArrayString::from(&format!("{month:04}")).ok()?,
            value: Zeroizing::new(value.to_owned()),
        }))
    }
}

impl CardChecks {
    /// Whether a value is the card's.
    pub fn value(&self, pan: &Pan, asked: &AskedValue) -> CardValueVerdict {
        let Some(key) = self.of(pan).and_then(|check| check.value_key.as_deref()) else {
            return CardValueVerdict::CannotBeChecked;
        };
        let verdict = self.hsm().verify_cvv(&VerifyCvv {
            key,
            pan: pan.expose(),
            expiry: &asked.expiry,
            kind: match &asked.kind {
                ValueKind::Track(service_code) => CvvKind::Track(service_code),
                ValueKind::Chip => CvvKind::Chip,
                ValueKind::Printed => CvvKind::Printed,
            },
            value: &asked.value,
        });
        match verdict {
            Ok(Verdict::Right) => CardValueVerdict::Right,
            Ok(Verdict::Wrong) => CardValueVerdict::Wrong,
            Err(error) if error.is_outage() => {
                tracing::debug!(%error, "a card verification value was not judged");
                CardValueVerdict::Unavailable
            }
            Err(error) => {
                tracing::warn!(%error, "a card verification value cannot be judged");
                CardValueVerdict::CannotBeChecked
            }
        }
    }
}
