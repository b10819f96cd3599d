//! The new PIN of a PIN change: its block becomes what tells the PIN from a wrong one (rule C1).

use crate::domain::facts::{Facts, Purpose};
use crate::domain::pan::Pan;
use crate::domain::pin_choice::NewPin;
use crate::iso8583::Message;
use crate::switch::pin::PinDesk;

use super::table::Dialect;

/// Bytes of a PIN block.
const BLOCK_BYTES: usize = 8;

/// States what came of the new PIN, in a message that asks for a PIN change and brings one.
pub(super) fn read(
    dialect: &Dialect,
    pins: &PinDesk,
    message: &Message,
    pan: &Pan,
    facts: &mut Facts,
) {
    let element = dialect
        .new_pin
        .filter(|element| facts.purpose == Purpose::PinChange && message.has(*element));
    let Some(element) = element else {
        return;
    };
    let new = match block(message, element) {
        Some(block) => pins.chosen(block, pan, &facts.card),
        None => NewPin::Malformed,
    };
    facts.rare.get_or_insert_default().new_pin = Some(new);
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
