//! Digits packed two to a byte, and bytes written as hexadecimal text.

/// Where an odd count of packed digits has its fill nibble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Fill {
    /// A zero before the first digit.
    Left,
    /// A zero after the last digit.
    Right,
    /// An F after the last digit.
    RightF,
}

impl Fill {
    /// Nibbles before the first digit.
    pub(super) const fn lead(self, digit_count: usize) -> usize {
        match self {
            Fill::Left => digit_count % 2,
            Fill::Right | Fill::RightF => 0,
        }
    }

    /// The fill nibble.
    const fn nibble(self) -> u8 {
        match self {
            Fill::Left | Fill::Right => 0,
            Fill::RightF => 0x0f,
        }
    }
}

/// Bytes that hold this many packed digits.
pub(super) const fn packed_size(digit_count: usize) -> usize {
    digit_count.div_ceil(2)
}

/// The nibbles of packed digits as values 0 to 15, without the fill nibble.
pub(super) fn nibbles(
    packed: &[u8],
    digit_count: usize,
    fill: Fill,
) -> impl Iterator<Item = u8> + Clone + '_ {
    packed
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 0x0f])
        .skip(fill.lead(digit_count))
        .take(digit_count)
}

/// Whether an odd count of digits has the fill nibble where it belongs; an even count has none.
#[inline]
pub(super) fn fill_holds(packed: &[u8], digit_count: usize, fill: Fill) -> bool {
    if digit_count.is_multiple_of(2) {
        return true;
    }
    match fill {
        Fill::Left => packed.first().is_none_or(|byte| byte & 0xf0 == 0),
        Fill::Right => packed.last().is_none_or(|byte| byte & 0x0f == 0),
        Fill::RightF => packed.last().is_none_or(|byte| byte & 0x0f == 0x0f),
    }
}

/// The character of a packed nibble; the field separator D reads as `=`.
pub(super) const fn nibble_character(nibble: u8) -> u8 {
    match nibble {
        0x0d => b'=',
        other => hex_character(other),
    }
}

/// Packs characters that the content class has checked, `left_zeros` zeros before them.
pub(super) fn pack(characters: &[u8], left_zeros: usize, fill: Fill, mut push: impl FnMut(u8)) {
    let digit_count = characters.len().saturating_add(left_zeros);
    let zeros = std::iter::repeat_n(0, fill.lead(digit_count).saturating_add(left_zeros));
    let mut nibbles = zeros.chain(characters.iter().map(|character| nibble_of(*character)));
    while let Some(high) = nibbles.next() {
        push(high << 4 | nibbles.next().unwrap_or(fill.nibble()));
    }
}

/// The nibble of a hexadecimal digit or of a field separator.
const fn nibble_of(character: u8) -> u8 {
    match character {
        b'=' => 0x0d,
        b'A'..=b'F' | b'a'..=b'f' => (character & 0x0f).wrapping_add(9),
        digit => digit & 0x0f,
    }
}

/// Sixty-four bits from sixteen hexadecimal characters.
pub(super) fn hex_word(characters: &[u8; 16]) -> Option<u64> {
    let mut word = 0_u64;
    let mut seen = 0_u8;
    for character in characters {
        let value = hex_value(*character);
        seen |= value;
        word = word << 4 | u64::from(value & 0x0f);
    }
    (seen & NOT_HEX == 0).then_some(word)
}

/// Bytes from hexadecimal text of even length; `None` when a character is not hexadecimal.
pub(super) fn hex_bytes(text: &[u8]) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|[high, low]| hex_byte(*high, *low))
        .collect()
}

/// Whether every character is hexadecimal, upper or lower case.
pub(super) fn is_hex(text: &[u8]) -> bool {
    text.iter()
        .fold(0, |seen, character| seen | hex_value(*character))
        & NOT_HEX
        == 0
}

/// The two upper-case characters of a byte.
pub(super) fn hex_pair(byte: u8) -> [u8; 2] {
    [hex_character(byte >> 4), hex_character(byte & 0x0f)]
}

fn hex_byte(high: u8, low: u8) -> Option<u8> {
    let (high, low) = (hex_value(high), hex_value(low));
    ((high | low) & NOT_HEX == 0).then_some(high << 4 | low)
}

const fn hex_character(nibble: u8) -> u8 {
    match nibble {
        0..=9 => b'0' | nibble,
        _ => b'A'.wrapping_add(nibble.wrapping_sub(10)),
    }
}

/// The value of a hexadecimal character, or [`NOT_HEX`].
const fn hex_value(character: u8) -> u8 {
    let digit = character.wrapping_sub(b'0');
    if digit < 10 {
        return digit;
    }
    let letter = (character | 0x20).wrapping_sub(b'a');
    if letter < 6 {
        letter.wrapping_add(10)
    } else {
        NOT_HEX
    }
}

const NOT_HEX: u8 = 0x80;
