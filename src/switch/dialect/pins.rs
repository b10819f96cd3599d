//! The PINs of a message: the one in DE 52 becomes a verdict, the new one of a PIN change what
//! tells it from a wrong one (rule C1). What a device must say becomes a question.

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::domain::conditions::PinVerdict;
use crate::domain::facts::{Facts, Purpose};
use crate::domain::pan::{CardToken, Pan};
use crate::domain::pin_choice::NewPin;
use crate::iso8583::Message;
use crate::switch::hsm::desk::Questions;
use crate::switch::link_keys::LinkKey;
use crate::switch::pin::{PinDesk, Zone};

use super::table::Dialect;

/// Bytes of a PIN block.
const BLOCK_BYTES: usize = 8;

/// The verdict about DE 52. Where a device gives it, the block counts as not looked at until it
/// has.
pub(super) fn verdict(
    (pins, key): (&PinDesk, Option<&Arc<LinkKey>>),
    message: &Message,
    pan: &Pan,
    card: CardToken,
    asked: &mut Option<Box<Questions>>,
) -> PinVerdict {
    match message.binary(52) {
        Some(block) if pins.desk().is_some() => {
            let block = Zeroizing::new(block.into_owned());
            let questions = Questions::about(asked, *pan, card);
            questions.pin = Some(block);
            questions.pin_key = key.cloned();
            PinVerdict::Unverified
        }
        Some(block) => pins.verdict(zone(key), &block, pan, &card),
        None if message.has(52) => PinVerdict::Malformed,
        None => PinVerdict::Absent,
    }
}

/// States what came of the new PIN, in a message that asks for a PIN change and brings one; where
/// a device says that, until it has said it the PIN cannot be taken.
pub(super) fn read(
    dialect: &Dialect,
    (pins, key): (&PinDesk, Option<&Arc<LinkKey>>),
    message: &Message,
    pan: &Pan,
    facts: &mut Facts,
    asked: &mut Option<Box<Questions>>,
) {
    let element = dialect
        .new_pin
        .filter(|element| facts.purpose == Purpose::PinChange && message.has(*element));
    let Some(element) = element else {
        return;
    };
    let new = match block(message, element) {
        Some(block) if pins.desk().is_some() => {
            let questions = Questions::about(asked, *pan, facts.card);
            questions.new_pin = Some(Zeroizing::new(block));
            questions.pin_key = key.cloned();
            NewPin::CannotBeMade
        }
        Some(block) => pins.chosen(zone(key), block, pan, &facts.card),
        None => NewPin::Malformed,
    };
    facts.rare.get_or_insert_default().new_pin = Some(new);
}

fn zone(key: Option<&Arc<LinkKey>>) -> Zone<'_> {
    Zone(key.map(|key| &**key))
}

/// Eight bytes as they are, or as sixteen hexadecimal digits.
fn block(message: &Message, element: u8) -> Option<[u8; BLOCK_BYTES]> {
    if let Some(bytes) = message.binary(element) {
        return bytes.as_ref().try_into().ok();
    }
    let text = message.text(element)?;
    let digits = text.trim_end_matches(' ');
    if digits.len() != BLOCK_BYTES * 2 || !digits.bytes().all(|it| it.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(digits, 16).ok().map(u64::to_be_bytes)
}
