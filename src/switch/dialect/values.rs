//! The card verification values of a message: of a track (DE 35, DE 45), and the printed one where
//! the dialect carries it. What a device must say becomes a question.

use crate::domain::card_value::CardValueVerdict;
use crate::domain::facts::{Facts, MessageKind};
use crate::domain::pan::Pan;
use crate::iso8583::Message;
use crate::switch::card_check::{AskedValue, CameTrack, LookedAt};
use crate::switch::hsm::desk::Questions;
use crate::switch::pin::PinDesk;

use super::table::Dialect;

/// States what is known about the values, in a request of a card whose values are checked.
pub(super) fn read(
    dialect: &Dialect,
    pins: &PinDesk,
    message: &Message,
    pan: &Pan,
    facts: &mut Facts,
    asked: &mut Option<Box<Questions>>,
) {
    let is_judged = matches!(
        facts.kind,
        MessageKind::Authorization | MessageKind::Financial
    );
    let Some(cards) = pins.cards().filter(|_| is_judged) else {
        return;
    };
    let Some(check) = cards.of(pan).filter(|check| check.value_key.is_some()) else {
        return;
    };
    let month = message
        .number(14)
        .and_then(|month| u16::try_from(month).ok());
    let entry = facts.point.entry;
    let track = match (message.digits(35), message.text(45)) {
        (Some(second), _) => {
            let (text, is_first) = (second.as_str(), false);
            check.track(Some(CameTrack { text, is_first }), (pan, month), entry)
        }
        (None, Some(first)) => {
            let (text, is_first) = (&*first, true);
            check.track(Some(CameTrack { text, is_first }), (pan, month), entry)
        }
        (None, None) => check.track(None, (pan, month), entry),
    };
    let printed = dialect.printed_value.as_ref().and_then(|(element, reach)| {
        let text = message.text(*element)?;
        check.printed(reach.cut(&text)?, facts.expiry)
    });
    let has_desk = pins.desk().is_some();
    let mut judged = |looked, place: fn(&mut Questions) -> &mut Option<AskedValue>| match looked {
        LookedAt::Known(verdict) => verdict,
        LookedAt::Ask(value) if has_desk => {
            *place(Questions::about(asked, *pan, facts.card)) = Some(value);
            CardValueVerdict::Unavailable
        }
        LookedAt::Ask(value) => cards.value(pan, &value),
    };
    let track = track.map(|looked| judged(looked, |it| &mut it.track));
    let printed = printed.map(|looked| judged(looked, |it| &mut it.printed));
    if track.is_some() || printed.is_some() {
        let rare = facts.rare.get_or_insert_default();
        (rare.track, rare.printed) = (track, printed);
    }
}
