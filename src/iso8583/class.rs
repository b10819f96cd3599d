//! Content classes: which characters and nibbles an element may hold.
//!
//! A class looks at eight bytes at once as the lanes of one word. A short value is read twice over
//! itself (its first and its last bytes), so that no lane is ever empty.

use super::error::ByteKind;

/// What a text element may hold. Space is the fill of text, so every text class but the numeric
/// ones takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum TextClass {
    /// `n`: digits.
    N,
    /// `z`: digits and the field separator of tracks two and three, `=` or `D`.
    Z,
    /// `a`: letters.
    A,
    /// `an`: letters and digits.
    An,
    /// `as`: letters and special characters.
    As,
    /// `ns`: digits and special characters.
    Ns,
    /// `ans`: every printable character of ASCII.
    Ans,
    /// `ascii`: every character of ASCII, control characters too.
    Ascii,
    /// `any`: every character of the code page.
    Any,
}

impl TextClass {
    /// Whether every byte is of the class.
    pub(super) fn holds(self, value: &[u8]) -> bool {
        match self {
            TextClass::N => every_word(value, digits),
            TextClass::Z => every_word(value, track),
            TextClass::A => every_word(value, |word| letters(word) | equal(word, b' ')),
            TextClass::An => every_word(value, |word| {
                letters(word) | digits(word) | equal(word, b' ')
            }),
            TextClass::As => every_word(value, |word| printable(word) & !digits(word)),
            TextClass::Ns => every_word(value, |word| printable(word) & !letters(word)),
            TextClass::Ans => every_word(value, printable),
            TextClass::Ascii => value.is_ascii(),
            TextClass::Any => true,
        }
    }

    /// The class as the standard writes it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            TextClass::N => "n",
            TextClass::Z => "z",
            TextClass::A => "a",
            TextClass::An => "an",
            TextClass::As => "as",
            TextClass::Ns => "ns",
            TextClass::Ans => "ans",
            TextClass::Ascii => "ascii",
            TextClass::Any => "any",
        }
    }
}

/// What packed digits may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum PackedClass {
    /// Digits.
    N,
    /// Digits and the nibble D, the field separator of a track.
    Z,
    /// `h`: every nibble, D read as `=`.
    H,
}

impl PackedClass {
    /// Whether both nibbles of every byte are of the class.
    pub(super) fn holds(self, value: &[u8]) -> bool {
        match self {
            PackedClass::N => every_word(value, |word| nibble_lanes(above_nine(word))),
            PackedClass::Z => every_word(value, |word| {
                nibble_lanes(above_nine(word) & !separator(word))
            }),
            PackedClass::H => true,
        }
    }
}

/// The kind of a byte, for an error that must not show the byte.
pub(super) fn kind_of(byte: u8) -> ByteKind {
    match byte {
        b'0'..=b'9' => ByteKind::Digit,
        b'A'..=b'Z' | b'a'..=b'z' => ByteKind::Letter,
        b' ' => ByteKind::Space,
        0x21..=0x7e => ByteKind::Special,
        0x00..=0x1f | 0x7f => ByteKind::Control,
        0x80..=0xff => ByteKind::High,
    }
}

/// Runs the class over every eight bytes; it answers with the top bit of each good lane set.
#[inline]
fn every_word(value: &[u8], class: impl Fn(u64) -> u64) -> bool {
    let (words, tail) = value.as_chunks::<8>();
    let mut good = TOP;
    for word in words {
        good &= class(u64::from_le_bytes(*word));
    }
    if !tail.is_empty() {
        good &= class(last_word(value));
    }
    good == TOP
}

/// The last eight bytes, or fewer bytes repeated until there are eight.
#[inline]
fn last_word(value: &[u8]) -> u64 {
    if let Some(word) = value.last_chunk::<8>() {
        return u64::from_le_bytes(*word);
    }
    if let (Some(first), Some(last)) = (value.first_chunk::<4>(), value.last_chunk::<4>()) {
        let first = u64::from(u32::from_le_bytes(*first));
        let last = u64::from(u32::from_le_bytes(*last));
        return first | last.wrapping_shl(32);
    }
    match value {
        [one] => splat(*one),
        [one, two] => u64::from_le_bytes([*one, *two, *one, *two, *one, *two, *one, *two]),
        [one, two, three, ..] => {
            u64::from_le_bytes([*one, *two, *three, *one, *one, *one, *one, *one])
        }
        [] => 0,
    }
}

const fn splat(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// Top bit of each lane whose byte lies in the range; a byte of 0x80 and more never does.
#[inline]
const fn within(word: u64, low: u8, high: u8) -> u64 {
    let seven = word & !TOP;
    let at_least = seven.wrapping_add(splat(0x80_u8.wrapping_sub(low)));
    let beyond = seven.wrapping_add(splat(0x7f_u8.wrapping_sub(high)));
    at_least & !beyond & !word & TOP
}

#[inline]
const fn equal(word: u64, byte: u8) -> u64 {
    within(word, byte, byte)
}

#[inline]
const fn digits(word: u64) -> u64 {
    within(word, b'0', b'9')
}

#[inline]
const fn track(word: u64) -> u64 {
    digits(word) | equal(word, b'=') | equal(word, b'D')
}

#[inline]
const fn letters(word: u64) -> u64 {
    within(word | splat(0x20), b'a', b'z')
}

#[inline]
const fn printable(word: u64) -> u64 {
    within(word, b' ', b'~')
}

/// Lowest bit of each nibble above nine.
#[inline]
const fn above_nine(word: u64) -> u64 {
    (word >> 3) & ((word >> 2) | (word >> 1)) & NIBBLES
}

/// Lowest bit of each nibble that is D.
#[inline]
const fn separator(word: u64) -> u64 {
    (word >> 3) & (word >> 2) & !(word >> 1) & word & NIBBLES
}

/// Turns bad nibbles into the lanes that have none.
#[inline]
const fn nibble_lanes(bad: u64) -> u64 {
    let either = bad | (bad >> 4);
    !(either << 7) & TOP
}

const TOP: u64 = splat(0x80);
const NIBBLES: u64 = splat(0x11);

#[cfg(test)]
mod tests {
    use super::*;

    fn text_naive(class: TextClass, byte: u8) -> bool {
        let special = byte.is_ascii_punctuation() || byte == b' ';
        match class {
            TextClass::N => byte.is_ascii_digit(),
            TextClass::Z => byte.is_ascii_digit() || byte == b'=' || byte == b'D',
            TextClass::A => byte.is_ascii_alphabetic() || byte == b' ',
            TextClass::An => byte.is_ascii_alphanumeric() || byte == b' ',
            TextClass::As => byte.is_ascii_alphabetic() || special,
            TextClass::Ns => byte.is_ascii_digit() || special,
            TextClass::Ans => byte.is_ascii_alphanumeric() || special,
            TextClass::Ascii => byte < 0x80,
            TextClass::Any => true,
        }
    }

    fn packed_naive(class: PackedClass, byte: u8) -> bool {
        [byte >> 4, byte & 15].iter().all(|nibble| match class {
            PackedClass::N => *nibble < 10,
            PackedClass::Z => *nibble < 10 || *nibble == 13,
            PackedClass::H => true,
        })
    }

    /// Every byte at every place of values of up to nineteen bytes, the rest being good.
    fn agree(good: u8, naive: impl Fn(u8) -> bool, holds: impl Fn(&[u8]) -> bool) {
        for length in 1..20 {
            for place in 0..length {
                for byte in 0..=255 {
                    let mut value = vec![good; length];
                    value[place] = byte;
                    assert_eq!(
                        holds(&value),
                        naive(byte),
                        "{byte:02X} at {place} of {length}"
                    );
                }
            }
        }
        assert!(holds(&[]));
    }

    #[test]
    fn text_classes_agree_with_their_definition_byte_by_byte() {
        use TextClass::{A, An, Ans, Any, As, Ascii, N, Ns, Z};
        for (class, good) in [
            (N, b'0'),
            (Z, b'0'),
            (A, b'a'),
            (An, b'0'),
            (As, b'a'),
            (Ns, b'0'),
            (Ans, b'0'),
            (Ascii, b'0'),
            (Any, b'0'),
        ] {
            agree(
                good,
                |byte| text_naive(class, byte),
                |value| class.holds(value),
            );
        }
    }

    #[test]
    fn packed_classes_agree_with_their_definition_nibble_by_nibble() {
        for class in [PackedClass::N, PackedClass::Z, PackedClass::H] {
            agree(
                0x09,
                |byte| packed_naive(class, byte),
                |value| class.holds(value),
            );
        }
    }
}
