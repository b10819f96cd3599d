//! Content classes: which characters and nibbles an element may hold.
//!
//! A class says of the eight bytes of a word at once which of them it refuses. What is refused is
//! gathered without a branch, over one value or over a whole message, and looked at in the end.

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
        self.content().holds(value)
    }

    /// What the class holds, one byte to a character of ASCII.
    pub(super) const fn content(self) -> Content {
        match self {
            TextClass::N => Content::Digits,
            TextClass::Z => Content::Track,
            TextClass::A => Content::Letters,
            TextClass::An => Content::LettersDigits,
            TextClass::As => Content::LettersSpecials,
            TextClass::Ns => Content::DigitsSpecials,
            TextClass::Ans => Content::Printable,
            TextClass::Ascii => Content::Seven,
            TextClass::Any => Content::Free,
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
        self.content().holds(value)
    }

    /// What the class holds, two digits to a byte.
    pub(super) const fn content(self) -> Content {
        match self {
            PackedClass::N => Content::PackedDigits,
            PackedClass::Z => Content::PackedTrack,
            PackedClass::H => Content::Free,
        }
    }
}

/// What bytes may be, each by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// 0 to 9.
    Digits,
    /// 0 to 9, `=` and `D`.
    Track,
    /// Letters and space.
    Letters,
    /// Letters, digits and space.
    LettersDigits,
    /// Everything printable but digits.
    LettersSpecials,
    /// Everything printable but letters.
    DigitsSpecials,
    /// Space to `~`.
    Printable,
    /// Below 0x80.
    Seven,
    /// Two nibbles up to nine.
    PackedDigits,
    /// Two nibbles up to nine, or D.
    PackedTrack,
    /// Hexadecimal characters of either case.
    Hex,
    /// 0 to 9 in EBCDIC.
    EbcdicDigits,
    /// Anything.
    Free,
}

impl Content {
    /// Whether it holds every byte.
    pub(super) fn holds(self, value: &[u8]) -> bool {
        self.sweep(Whole(value)) == Some(0)
    }

    /// What it does not hold among the last `size` bytes of `until`: zero when it holds all. `None`
    /// when the bytes are not enough for whole words.
    #[inline(always)]
    pub(super) fn refused(self, until: &[u8], size: usize) -> Option<u64> {
        self.sweep(Last(until, size))
    }

    /// Whether it holds every digit of ASCII.
    pub(super) const fn has_digits(self) -> bool {
        match self {
            Content::Digits | Content::Track | Content::LettersDigits => true,
            Content::DigitsSpecials | Content::Printable | Content::Seven => true,
            Content::Hex | Content::Free => true,
            Content::Letters | Content::LettersSpecials | Content::EbcdicDigits => false,
            Content::PackedDigits | Content::PackedTrack => false,
        }
    }

    /// Whether it holds every two packed digits.
    pub(super) const fn has_packed_digits(self) -> bool {
        matches!(
            self,
            Content::PackedDigits | Content::PackedTrack | Content::Free
        )
    }

    /// Runs over words with what this content refuses.
    #[inline(always)]
    fn sweep(self, over: impl Sweep) -> Option<u64> {
        match self {
            Content::Digits => over.run(not_digit),
            Content::Track => over.run(|word| {
                not_digit(word) & outside(word, b'=', b'=') & outside(word, b'D', b'D')
            }),
            Content::Letters => over.run(not_letter),
            Content::LettersDigits => over.run(|word| not_letter(word) & not_digit(word)),
            Content::LettersSpecials => {
                over.run(|word| not_printable(word) | TOP & !not_digit(word))
            }
            Content::DigitsSpecials => over
                .run(|word| not_printable(word) | TOP & !outside(word | splat(0x20), b'a', b'z')),
            Content::Printable => over.run(not_printable),
            Content::Seven => over.run(|word| word & TOP),
            Content::PackedDigits => over.run(above_nine),
            Content::PackedTrack => over.run(|word| above_nine(word) & !separator(word)),
            Content::Hex => {
                over.run(|word| not_digit(word) & outside(word | splat(0x20), b'a', b'f'))
            }
            // 0xF0 to 0xF9 become the digits of ASCII.
            Content::EbcdicDigits => over.run(|word| not_digit(word ^ splat(0xc0))),
            Content::Free => Some(0),
        }
    }
}

/// A way of running over the words of a value with what a content refuses.
trait Sweep {
    /// What was refused, zero when nothing; `None` when there are not enough bytes.
    fn run(self, refuses: impl Fn(u64) -> u64) -> Option<u64>;
}

/// A value by itself. A short one is read twice over itself (its first and its last bytes), so that
/// every lane of a word holds a byte of it.
struct Whole<'a>(&'a [u8]);

impl Sweep for Whole<'_> {
    #[inline(always)]
    fn run(self, refuses: impl Fn(u64) -> u64) -> Option<u64> {
        let (words, tail) = self.0.as_chunks::<8>();
        let mut refused = 0;
        for word in words {
            refused |= refuses(u64::from_le_bytes(*word));
        }
        if !tail.is_empty() {
            refused |= refuses(last_word(self.0));
        }
        Some(refused)
    }
}

/// So many bytes at the end of others. The first word may begin before them, with bytes that do not
/// count.
struct Last<'a>(&'a [u8], usize);

impl Sweep for Last<'_> {
    #[inline(always)]
    fn run(self, refuses: impl Fn(u64) -> u64) -> Option<u64> {
        let Self(mut before, mut left) = self;
        let mut refused = 0;
        while left > 8 {
            let (rest, word) = before.split_last_chunk::<8>()?;
            refused |= refuses(u64::from_le_bytes(*word));
            // Also keeps the compiler from preparing for long values, which these are not.
            if refused != 0 {
                return Some(refused);
            }
            before = rest;
            left = left.wrapping_sub(8);
        }
        let kept = KEPT.get(left)?;
        let word = before.last_chunk::<8>()?;
        Some(refused | refuses(u64::from_le_bytes(*word)) & kept)
    }
}

/// The last so many bytes of a word, by their number.
const KEPT: [u64; 9] = [
    0,
    u64::MAX << 56,
    u64::MAX << 48,
    u64::MAX << 40,
    u64::MAX << 32,
    u64::MAX << 24,
    u64::MAX << 16,
    u64::MAX << 8,
    u64::MAX,
];

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

/// Top bit of each lane whose byte lies outside the range, which ends below 0x80.
#[inline(always)]
const fn outside(word: u64, low: u8, high: u8) -> u64 {
    let seven = word & !TOP;
    let at_least = seven.wrapping_add(splat(0x80_u8.wrapping_sub(low)));
    let beyond = seven.wrapping_add(splat(0x7f_u8.wrapping_sub(high)));
    (!at_least | beyond | word) & TOP
}

#[inline(always)]
const fn not_digit(word: u64) -> u64 {
    outside(word, b'0', b'9')
}

#[inline(always)]
const fn not_letter(word: u64) -> u64 {
    outside(word | splat(0x20), b'a', b'z') & outside(word, b' ', b' ')
}

#[inline(always)]
const fn not_printable(word: u64) -> u64 {
    outside(word, b' ', b'~')
}

/// Lowest bit of each nibble above nine.
#[inline(always)]
const fn above_nine(word: u64) -> u64 {
    (word >> 3) & ((word >> 2) | (word >> 1)) & NIBBLES
}

/// Lowest bit of each nibble that is D.
#[inline(always)]
const fn separator(word: u64) -> u64 {
    (word >> 3) & (word >> 2) & !(word >> 1) & word & NIBBLES
}

const TOP: u64 = splat(0x80);
const NIBBLES: u64 = splat(0x11);

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

    /// Every byte at every place of values of up to nineteen bytes, the rest being good; by itself,
    /// and at the end of bytes that do not count.
    fn agree(good: u8, naive: impl Fn(u8) -> bool, content: Content) {
        for length in 1..20 {
            for place in 0..length {
                for byte in 0..=255 {
                    let mut value = vec![good; length];
                    value[place] = byte;
                    let say = format!("{content:?}: {byte:02X} at {place} of {length}");
                    assert_eq!(content.holds(&value), naive(byte), "{say}");
                    let mut until = vec![0xff; 8];
                    until.extend_from_slice(&value);
                    let refused = content.refused(&until, length);
                    assert_eq!(refused == Some(0), naive(byte), "{say}");
                }
            }
        }
        assert!(content.holds(&[]));
        assert_eq!(content.refused(&[0xff; 8], 0), Some(0));
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
            agree(good, |byte| text_naive(class, byte), class.content());
        }
    }

    #[test]
    fn packed_classes_agree_with_their_definition_nibble_by_nibble() {
        for class in [PackedClass::N, PackedClass::Z, PackedClass::H] {
            agree(0x09, |byte| packed_naive(class, byte), class.content());
        }
    }

    #[test]
    fn other_contents_agree_with_their_definition_byte_by_byte() {
        agree(b'0', |byte| byte.is_ascii_hexdigit(), Content::Hex);
        agree(
            0xf0,
            |byte| matches!(byte, 0xf0..=0xf9),
            Content::EbcdicDigits,
        );
    }
}
