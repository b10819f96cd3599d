//! Content classes: which characters and nibbles an element may hold.
//!
//! A class says of one byte whether it refuses it, in operations that the compiler does on the
//! sixteen bytes of a word at once. What is refused is gathered without a branch, over one value or
//! over a whole message, and looked at in the end.

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
    #[inline]
    pub(super) fn holds(self, value: &[u8]) -> bool {
        match value.len() {
            ..=FEW_BYTES => self.holds_few(value),
            _ => self.holds_many(value),
        }
    }

    #[inline(never)]
    fn holds_many(self, value: &[u8]) -> bool {
        let mut refused = NOTHING;
        let known = self.sweep(Whole(value), &mut refused);
        known.is_some() && refused == NOTHING
    }

    /// Gathers what it refuses of a stretch. `None` when the stretch ends before there are bytes
    /// for a word, or behind the end of the bytes.
    #[inline(always)]
    pub(super) fn gather(self, stretch: Stretch<'_>, refused: &mut Word) -> Option<()> {
        self.sweep(stretch, refused)
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
    fn sweep(self, over: impl Sweep, refused: &mut Word) -> Option<()> {
        match self {
            Content::Digits => over.run(refused, |byte| Content::Digits.refuses(byte)),
            Content::Track => over.run(refused, |byte| Content::Track.refuses(byte)),
            Content::Letters => over.run(refused, |byte| Content::Letters.refuses(byte)),
            Content::LettersDigits => {
                over.run(refused, |byte| Content::LettersDigits.refuses(byte))
            }
            Content::LettersSpecials => {
                over.run(refused, |byte| Content::LettersSpecials.refuses(byte))
            }
            Content::DigitsSpecials => {
                over.run(refused, |byte| Content::DigitsSpecials.refuses(byte))
            }
            Content::Printable => over.run(refused, |byte| Content::Printable.refuses(byte)),
            Content::Seven => over.run(refused, |byte| Content::Seven.refuses(byte)),
            Content::PackedDigits => over.run(refused, |byte| Content::PackedDigits.refuses(byte)),
            Content::PackedTrack => over.run(refused, |byte| Content::PackedTrack.refuses(byte)),
            Content::Hex => over.run(refused, |byte| Content::Hex.refuses(byte)),
            Content::EbcdicDigits => over.run(refused, |byte| Content::EbcdicDigits.refuses(byte)),
            Content::Free => Some(()),
        }
    }

    /// Zero when it holds the byte.
    #[inline(always)]
    const fn refuses(self, byte: u8) -> u8 {
        match self {
            Content::Digits => not_digit(byte),
            Content::Track => least(not_digit(byte), least(byte ^ b'=', byte ^ b'D')),
            Content::Letters => not_letter(byte),
            Content::LettersDigits => least(not_letter(byte), not_digit(byte)),
            Content::LettersSpecials => not_printable(byte) | inside(byte, b'0', b'9'),
            Content::DigitsSpecials => not_printable(byte) | inside(byte | LOWER, b'a', b'z'),
            Content::Printable => not_printable(byte),
            Content::Seven => byte & 0x80,
            Content::PackedDigits => above_nine(byte >> 4) | above_nine(byte & 0x0f),
            Content::PackedTrack => not_track(byte >> 4) | not_track(byte & 0x0f),
            Content::Hex => least(not_digit(byte), outside(byte | LOWER, b'a', b'f')),
            Content::EbcdicDigits => outside(byte, 0xf0, 0xf9),
            Content::Free => 0,
        }
    }

    /// Whether it holds every one of a few bytes, which are looked up one by one.
    #[inline]
    fn holds_few(self, value: &[u8]) -> bool {
        let own = self.bit();
        let refused = value.iter().fold(0, |refused, byte| {
            refused | REFUSED.get(usize::from(*byte)).copied().unwrap_or(u16::MAX)
        });
        refused & own == 0
    }

    /// Its bit in a set of contents.
    const fn bit(self) -> u16 {
        match self {
            Content::Digits => 1,
            Content::Track => 1 << 1,
            Content::Letters => 1 << 2,
            Content::LettersDigits => 1 << 3,
            Content::LettersSpecials => 1 << 4,
            Content::DigitsSpecials => 1 << 5,
            Content::Printable => 1 << 6,
            Content::Seven => 1 << 7,
            Content::PackedDigits => 1 << 8,
            Content::PackedTrack => 1 << 9,
            Content::Hex => 1 << 10,
            Content::EbcdicDigits => 1 << 11,
            Content::Free => 0,
        }
    }
}

/// The contents that refuse each byte.
static REFUSED: [u16; 256] = {
    let mut table = [0; 256];
    let (mut rest, mut byte) = (table.as_mut_slice(), 0_u8);
    while let Some((place, others)) = rest.split_first_mut() {
        let mut contents = CHECKED.as_slice();
        while let Some((content, more)) = contents.split_first() {
            if content.refuses(byte) != 0 {
                *place |= content.bit();
            }
            contents = more;
        }
        (rest, byte) = (others, byte.wrapping_add(1));
    }
    table
};

/// Every content that refuses anything.
const CHECKED: [Content; 12] = [
    Content::Digits,
    Content::Track,
    Content::Letters,
    Content::LettersDigits,
    Content::LettersSpecials,
    Content::DigitsSpecials,
    Content::Printable,
    Content::Seven,
    Content::PackedDigits,
    Content::PackedTrack,
    Content::Hex,
    Content::EbcdicDigits,
];

/// Bytes that are looked up one by one: as many as cost less than a word.
const FEW_BYTES: usize = 8;

/// Bytes that are looked at together: what is said of one byte is compiled to a few operations on
/// all of them at once, on every processor that has such.
pub(super) type Word = [u8; WORD_BYTES];

/// A word in which nothing is refused.
pub(super) const NOTHING: Word = [0; WORD_BYTES];

/// Bytes in a word.
pub(super) const WORD_BYTES: usize = 16;

/// From one word to the next.
const STEP: isize = WORD_BYTES.cast_signed();

/// A way of running over the words of a value with what a content refuses of a byte, which is zero
/// when it holds the byte.
trait Sweep {
    /// Gathers what was refused; `None` when there are not enough bytes.
    fn run(self, refused: &mut Word, refuses: impl Fn(u8) -> u8) -> Option<()>;
}

/// A value by itself, of at least eight bytes.
struct Whole<'a>(&'a [u8]);

impl Sweep for Whole<'_> {
    #[inline(always)]
    fn run(self, refused: &mut Word, refuses: impl Fn(u8) -> u8) -> Option<()> {
        let (words, tail) = self.0.as_chunks::<WORD_BYTES>();
        for word in words {
            look(word, &EVERY, refused, &refuses);
        }
        if !tail.is_empty() {
            look(&last_word(self.0)?, &EVERY, refused, &refuses);
        }
        Some(())
    }
}

/// Some of the bytes of a frame. So many words before the end are looked at, whether they are
/// needed or not: that way nobody has to guess how many there are.
#[derive(Clone, Copy)]
pub(super) struct Stretch<'a> {
    pub(super) frame: &'a [u8],
    pub(super) start: usize,
    pub(super) end: usize,
    /// Enough for all bytes of the stretch.
    pub(super) words: usize,
}

impl Sweep for Stretch<'_> {
    #[inline(always)]
    fn run(self, refused: &mut Word, refuses: impl Fn(u8) -> u8) -> Option<()> {
        let until = self.frame.get(..self.end)?;
        let size = self.words.wrapping_mul(WORD_BYTES);
        // May lie before the front, where the first word is looked at instead.
        let mut from = self.end.cast_signed().wrapping_sub(size.cast_signed());
        let last = self.end.checked_sub(WORD_BYTES)?.cast_signed();
        let mut gathered = *refused;
        // Written so that the compiler does one word after the other: runs are short.
        while from <= last {
            let at = from.max(0).cast_unsigned();
            // Bytes before the start do not count: none of some words, and part of one.
            let keep = KEPT_BYTES.wrapping_add(at).saturating_sub(self.start);
            let kept = KEPT.get(keep.min(KEPT_BYTES)..)?.first_chunk()?;
            let word = until.get(at..)?.first_chunk()?;
            look(word, kept, &mut gathered, &refuses);
            from = from.wrapping_add(STEP);
        }
        *refused = gathered;
        Some(())
    }
}

/// Gathers what is refused of the bytes of a word that count.
#[inline(always)]
fn look(word: &Word, kept: &Word, refused: &mut Word, refuses: impl Fn(u8) -> u8) {
    for ((refused, kept), byte) in refused.iter_mut().zip(kept).zip(word) {
        *refused |= refuses(*byte) & kept;
    }
}

/// Every byte of a word.
const EVERY: Word = [0xff; WORD_BYTES];

/// None of the bytes of some words, then all of as many: what begins between keeps the last ones.
const KEPT: [u8; 2 * KEPT_BYTES] = {
    let mut kept = [0xff; 2 * KEPT_BYTES];
    let (none, _) = kept.split_at_mut(KEPT_BYTES);
    none.copy_from_slice(&[0; KEPT_BYTES]);
    kept
};

/// Bytes before the start that a stretch may look at.
const KEPT_BYTES: usize = MASKED_WORDS_MAX * WORD_BYTES;

/// Words that a stretch may look at whether they are needed or not: a guess that fails costs about
/// as much.
pub(super) const MASKED_WORDS_MAX: usize = 8;

/// The last bytes as a word: the first eight and the last eight where there are fewer than sixteen.
#[inline]
fn last_word(value: &[u8]) -> Option<Word> {
    if let Some(word) = value.last_chunk() {
        return Some(*word);
    }
    let first = u64::from_le_bytes(*value.first_chunk()?);
    let last = u64::from_le_bytes(*value.last_chunk()?);
    Some((u128::from(first) | u128::from(last) << 64).to_le_bytes())
}

/// Zero when the byte lies in the range.
#[inline(always)]
const fn outside(byte: u8, low: u8, high: u8) -> u8 {
    byte.wrapping_sub(low)
        .saturating_sub(high.wrapping_sub(low))
}

/// Zero when the byte lies outside the range.
#[inline(always)]
const fn inside(byte: u8, low: u8, high: u8) -> u8 {
    let count = high.wrapping_sub(low).wrapping_add(1);
    count.saturating_sub(byte.wrapping_sub(low))
}

#[inline(always)]
const fn not_digit(byte: u8) -> u8 {
    outside(byte, b'0', b'9')
}

#[inline(always)]
const fn not_letter(byte: u8) -> u8 {
    least(outside(byte | LOWER, b'a', b'z'), byte ^ b' ')
}

#[inline(always)]
const fn not_printable(byte: u8) -> u8 {
    outside(byte, b' ', b'~')
}

#[inline(always)]
const fn above_nine(nibble: u8) -> u8 {
    nibble.saturating_sub(9)
}

#[inline(always)]
const fn not_track(nibble: u8) -> u8 {
    least(above_nine(nibble), nibble ^ 0x0d)
}

/// The lesser of two.
#[inline(always)]
const fn least(one: u8, other: u8) -> u8 {
    if one < other { one } else { other }
}

/// What a lower-case letter has and an upper-case one has not.
const LOWER: u8 = 0x20;

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

    /// Every byte at every place of values of up to eighteen bytes, the rest being good; by
    /// itself, and between bytes that do not count.
    fn agree(good: u8, naive: impl Fn(u8) -> bool, content: Content) {
        for length in [1, 2, 3, 5, 9, 16, 18] {
            for place in 0..length {
                for byte in 0..=255 {
                    let mut value = vec![good; length];
                    value[place] = byte;
                    let say = format!("{content:?}: {byte:02X} at {place} of {length}");
                    assert_eq!(content.holds(&value), naive(byte), "{say}");
                    for start in [0, 5, 40] {
                        let mut frame = vec![0xff; start];
                        frame.extend_from_slice(&value);
                        let end = frame.len();
                        frame.extend_from_slice(&[0xff; 3]);
                        let stretch = Stretch {
                            frame: &frame,
                            start,
                            end,
                            words: length.div_ceil(WORD_BYTES) + place % 2,
                        };
                        let mut refused = NOTHING;
                        let known = content.gather(stretch, &mut refused);
                        let enough = end >= WORD_BYTES || content == Content::Free;
                        assert_eq!(known.is_some(), enough, "{say}");
                        assert!(
                            known.is_none() || (refused == NOTHING) == naive(byte),
                            "{say}"
                        );
                    }
                }
            }
        }
        assert!(content.holds(&[]));
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
