//! The chip of a message: its data in DE 55, its sequence number in DE 23. What a device must say
//! becomes a question.

use std::borrow::Cow;

use zeroize::Zeroizing;

use crate::domain::chip::{ChipUse, ChipVerdict};
use crate::domain::conditions::EntryMode;
use crate::domain::decision::Decision;
use crate::domain::facts::{Facts, MessageKind};
use crate::domain::pan::Pan;
use crate::iso8583::Message;
use crate::switch::hsm::desk::{AnswerQuestion, ChipData, Questions};
use crate::switch::pin::PinDesk;

use super::request::card_number;
use super::table::Edition;

/// The element of chip data.
pub(super) const CHIP_DATA: u8 = 55;
/// The element of the card's sequence number.
const SEQUENCE_NUMBER: u8 = 23;

/// States what is known about the chip, in a request of a card whose chips are checked.
pub(super) fn read(
    pins: &PinDesk,
    message: &Message,
    pan: &Pan,
    facts: &mut Facts,
    asked: &mut Option<Box<Questions>>,
) {
    let Some(cards) = pins.cards() else {
        return;
    };
    let is_judged = matches!(
        facts.kind,
        MessageKind::Authorization | MessageKind::Financial
    );
    let by_chip = facts.point.entry == EntryMode::Chip;
    if !is_judged || !(by_chip || message.has(CHIP_DATA)) {
        return;
    }
    let Some(check) = cards.of(pan).filter(|check| check.chip_key.is_some()) else {
        return;
    };
    let stated = sequence_number(message);
    let chip = match data(message) {
        Some(data) if pins.desk().is_some() => {
            let chip = cards.unjudged_chip(pan, stated, &data);
            if chip.is_some_and(|chip| chip.verdict == ChipVerdict::Unavailable) {
                Questions::about(asked, *pan, facts.card).chip = Some(ChipData {
                    sequence_number: stated,
                    data: Zeroizing::new(data.into_owned()),
                });
            }
            chip
        }
        Some(data) => cards.chip(pan, stated, &data),
        None if message.has(CHIP_DATA) => Some(ChipUse::unread(ChipVerdict::Malformed)),
        None => None,
    };
    let missing = || (by_chip && check.chip_required).then_some(ChipVerdict::Missing);
    if let Some(chip) = chip.or_else(|| missing().map(ChipUse::unread)) {
        facts.rare.get_or_insert_default().chip = Some(chip);
    }
}

/// What the issuer has to be asked for, to answer the chip of a request that was decided so.
pub(in crate::switch) fn question(
    edition: Edition,
    message: &Message,
    decision: &Decision,
) -> Option<AnswerQuestion> {
    let (pan, _) = card_number(message).ok()?;
    let chip = ChipData {
        sequence_number: sequence_number(message),
        data: Zeroizing::new(data(message)?.into_owned()),
    };
    let is_approved = decision.is_approved();
    // A chip reads two characters, whatever the edition has for people.
    let code = match (edition, decision.code.as_bytes(), is_approved) {
        (Edition::Of1987, [first, second], _) => [*first, *second],
        (_, _, true) => *b"00",
        (_, _, false) => *b"05",
    };
    Some(AnswerQuestion {
        pan,
        chip,
        code,
        is_approved,
    })
}

fn sequence_number(message: &Message) -> Option<u8> {
    u8::try_from(message.number(SEQUENCE_NUMBER)? % 100).ok()
}

/// DE 55: bytes as they are, or as hexadecimal digits where it is a text.
fn data(message: &Message) -> Option<Cow<'_, [u8]>> {
    if let Some(bytes) = message.binary(CHIP_DATA) {
        return Some(bytes);
    }
    let text = message.text(CHIP_DATA)?;
    let bytes = base16ct::mixed::decode_vec(text.trim_end_matches(' '));
    bytes.ok().map(Cow::Owned)
}
