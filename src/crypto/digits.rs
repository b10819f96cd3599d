//! Decimal digits and nibbles, as card cryptography packs them.

/// The decimal digits of a text as numbers 0 to 9; `None` when one is none.
pub(super) fn values(text: &str) -> Option<Vec<u8>> {
    text.bytes()
        .map(|byte| byte.is_ascii_digit().then(|| byte.wrapping_sub(b'0')))
        .collect()
}

/// Two nibbles a byte; an odd one at the end fills the left half of its byte.
pub(super) fn packed<const N: usize>(nibbles: impl IntoIterator<Item = u8>) -> [u8; N] {
    let mut bytes = [0; N];
    let mut nibbles = nibbles.into_iter();
    for byte in &mut bytes {
        let (high, low) = (nibbles.next(), nibbles.next());
        *byte = high.unwrap_or(0) << 4 | low.unwrap_or(0);
    }
    bytes
}

/// The nibbles of bytes, left to right.
pub(super) fn nibbles(bytes: &[u8]) -> impl Iterator<Item = u8> + use<'_> {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xF])
}

/// The decimal digits among nibbles, then the others less ten: how a block becomes digits.
pub(super) fn decimalized(bytes: &[u8]) -> impl Iterator<Item = u8> + use<'_> {
    let decimals = nibbles(bytes).filter(|nibble| *nibble <= 9);
    let others = nibbles(bytes).filter_map(|nibble| nibble.checked_sub(10));
    decimals.chain(others)
}
