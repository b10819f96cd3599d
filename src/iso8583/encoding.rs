//! Digits packed two to a byte, and bytes written as hexadecimal text.

use super::class::Content;

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

/// The number that the last characters of a text say, which are digits; `None` when they are more
/// than eighteen.
#[inline]
pub(super) fn number_of_text(until: &[u8], digit_count: usize) -> Option<u64> {
    // Sixteen are read however many count: nothing is guessed, and of the others nothing is kept.
    if let Some((before, low)) = until.split_last_chunk::<8>()
        && let Some(high) = before.last_chunk::<8>()
        && let Some([high_kept, low_kept]) = BYTES_KEPT.get(digit_count)
    {
        let high = digits_of_text(u64::from_be_bytes(*high) & high_kept);
        let low = digits_of_text(u64::from_be_bytes(*low) & low_kept);
        return Some(high.wrapping_mul(100_000_000).wrapping_add(low));
    }
    let start = until.len().checked_sub(digit_count)?;
    number_of_digits(
        until.get(start..)?.iter().map(|byte| byte & 0x0f),
        digit_count,
    )
}

/// The number of a few digits one by one.
#[cold]
fn number_of_digits(digits: impl Iterator<Item = u8>, count: usize) -> Option<u64> {
    let add = |number: u64, digit| number.wrapping_mul(10).wrapping_add(u64::from(digit));
    (count <= NUMBER_DIGITS_MAX).then(|| digits.fold(0, add))
}

/// The number of up to eight digits, the last in the lowest byte.
#[inline(always)]
fn digits_of_text(word: u64) -> u64 {
    // The first digit in the lowest byte; neighbours join into pairs, fours and eight digits.
    let ones = word.swap_bytes() & LOW_NIBBLES;
    let pairs = ones.wrapping_mul(10 << 8 | 1) >> 8 & PAIRS;
    let fours = pairs.wrapping_mul(100 << 16 | 1) >> 16 & FOURS;
    fours.wrapping_mul(10_000 << 32 | 1) >> 32
}

/// The number that the last packed digits say; `None` when they are more than eighteen.
#[inline]
pub(super) fn number_of_packed(until: &[u8], digit_count: usize, fill: Fill) -> Option<u64> {
    if let (Some(eight), Some(kept)) = (until.last_chunk(), NIBBLES_KEPT.get(digit_count)) {
        let fill_behind = match fill {
            Fill::Left => 0,
            Fill::Right | Fill::RightF => digit_count & 1,
        };
        let word = u64::from_be_bytes(*eight) >> (fill_behind << 2) & kept;
        let pairs = word.wrapping_sub((word >> 4 & LOW_NIBBLES).wrapping_mul(6));
        let fours = (pairs >> 8 & PAIRS)
            .wrapping_mul(100)
            .wrapping_add(pairs & PAIRS);
        let eights = (fours >> 16 & FOURS)
            .wrapping_mul(10_000)
            .wrapping_add(fours & FOURS);
        let high = (eights >> 32).wrapping_mul(100_000_000);
        return Some(high.wrapping_add(eights & EIGHT));
    }
    let start = until.len().checked_sub(packed_size(digit_count))?;
    number_of_digits(nibbles(until.get(start..)?, digit_count, fill), digit_count)
}

/// The two characters of a packed byte.
#[inline]
pub(super) fn digit_pair(byte: u8) -> [u8; 2] {
    DIGIT_PAIRS
        .get(usize::from(byte))
        .copied()
        .unwrap_or([b'0'; 2])
}

/// Of every byte.
const DIGIT_PAIRS: [[u8; 2]; 256] = {
    let mut pairs = [[b'0'; 2]; 256];
    let mut rest = pairs.as_mut_slice();
    let mut byte = 0_u8;
    while let Some((pair, others)) = rest.split_first_mut() {
        *pair = [nibble_character(byte >> 4), nibble_character(byte & 0x0f)];
        rest = others;
        byte = byte.wrapping_add(1);
    }
    pairs
};

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
    Content::Hex.holds(text)
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
/// Digits of a number at most.
const NUMBER_DIGITS_MAX: usize = 18;
/// The last bytes of sixteen, by their count.
const BYTES_KEPT: [[u64; 2]; 17] = {
    let mut kept = [[0; 2]; 17];
    let (mut rest, mut high, mut low) = (kept.as_mut_slice(), 0, 0);
    while let Some((place, others)) = rest.split_first_mut() {
        *place = [high, low];
        (rest, high, low) = (others, high << 8 | low >> 56, low << 8 | 0xff);
    }
    kept
};
/// The last nibbles of sixteen, by their count.
const NIBBLES_KEPT: [u64; 17] = {
    let mut kept = [0; 17];
    let (mut rest, mut last) = (kept.as_mut_slice(), 0);
    while let Some((place, others)) = rest.split_first_mut() {
        *place = last;
        (rest, last) = (others, last << 4 | 0x0f);
    }
    kept
};
const LOW_NIBBLES: u64 = u64::from_ne_bytes([0x0f; 8]);
/// Every second byte, the lowest first; every second pair of bytes; the lower four.
const PAIRS: u64 = 0x00ff_00ff_00ff_00ff;
const FOURS: u64 = 0x0000_ffff_0000_ffff;
const EIGHT: u64 = 0x0000_0000_ffff_ffff;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_agree_with_their_digits_wherever_they_stand() {
        let mut digits = String::from("9");
        for count in 1..=19 {
            for before in [0, 1, 7, 8, 15, 16, 40] {
                let mut text = vec![b'7'; before];
                text.extend_from_slice(digits.as_bytes());
                let expected = (count <= 18).then(|| digits.parse().unwrap());
                assert_eq!(number_of_text(&text, count), expected, "{count} {before}");
                for fill in [Fill::Left, Fill::Right, Fill::RightF] {
                    let mut packed = vec![0x77; before];
                    pack(digits.as_bytes(), 0, fill, |byte| packed.push(byte));
                    let number = number_of_packed(&packed, count, fill);
                    assert_eq!(number, expected, "{count} {before} {fill:?}");
                }
            }
            digits.push(char::from(b'0' | u8::try_from(count * 7 % 10).unwrap()));
        }
        assert_eq!(number_of_text(b"12", 0), Some(0));
        assert_eq!(number_of_packed(&[], 0, Fill::Right), Some(0));
    }
}
