//! Which data elements a message carries: one bit per element, the first bit on the left.
//!
//! Bit 1 says that a second bitmap follows, bit 65 may say that a third one does; such a bit is no
//! data element of its own here.

use std::ops::RangeInclusive;

use super::codepage::CodePage;
use super::encoding;

/// The set of data elements 2 to 192, or of the parts of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Bitmap([u64; 3]);

/// How a bitmap is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum BitmapForm {
    /// Sixteen hexadecimal characters for each sixty-four bits.
    Hex,
    /// Sixteen hexadecimal characters of EBCDIC for each sixty-four bits.
    HexEbcdic,
    /// Eight bytes for each sixty-four bits.
    Binary,
}

/// How many bitmaps of sixty-four bits a message may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Bitmaps {
    /// One; bit 1 is never set.
    One,
    /// One inside an element; bit 1 is that of part 1.
    Plain,
    /// A second one when bit 1 is set.
    UpToTwo,
    /// A third one too, when bit 65 is set.
    UpToThree,
    /// Always two, as one of 128 bits; bit 1 is never set.
    Two,
}

impl Bitmaps {
    /// The highest element number.
    pub(super) const fn element_max(self) -> u8 {
        match self {
            Bitmaps::One | Bitmaps::Plain => 64,
            Bitmaps::UpToTwo | Bitmaps::Two => 128,
            Bitmaps::UpToThree => 192,
        }
    }

    /// Bitmaps that every message has.
    pub(super) const fn least(self) -> usize {
        match self {
            Bitmaps::One | Bitmaps::Plain | Bitmaps::UpToTwo | Bitmaps::UpToThree => 1,
            Bitmaps::Two => 2,
        }
    }
}

impl BitmapForm {
    /// Bytes on the wire of one bitmap of sixty-four bits.
    pub(super) const fn size(self) -> usize {
        match self {
            BitmapForm::Hex | BitmapForm::HexEbcdic => 16,
            BitmapForm::Binary => 8,
        }
    }

    /// Sixty-four bits from exactly [`BitmapForm::size`] bytes; `None` when they are not hex.
    pub(super) fn read(self, wire: &[u8]) -> Option<u64> {
        match self {
            BitmapForm::Hex => encoding::hex_word(wire.first_chunk::<16>()?),
            BitmapForm::HexEbcdic => {
                let characters = wire.first_chunk::<16>()?;
                encoding::hex_word(&characters.map(|byte| CodePage::Ibm1047.latin_of(byte)))
            }
            BitmapForm::Binary => Some(u64::from_be_bytes(*wire.first_chunk::<8>()?)),
        }
    }

    /// Writes sixty-four bits into exactly [`BitmapForm::size`] bytes.
    pub(super) fn write(self, bits: u64, wire: &mut [u8]) {
        let bytes = bits.to_be_bytes();
        match self {
            BitmapForm::Hex => {
                for (pair, byte) in wire.chunks_exact_mut(2).zip(bytes) {
                    pair.copy_from_slice(&encoding::hex_pair(byte));
                }
            }
            BitmapForm::HexEbcdic => {
                for (pair, byte) in wire.chunks_exact_mut(2).zip(bytes) {
                    let hex = encoding::hex_pair(byte);
                    pair.copy_from_slice(&hex.map(|c| CodePage::Ibm1047.byte_of(c)));
                }
            }
            BitmapForm::Binary => {
                for (place, byte) in wire.iter_mut().zip(bytes) {
                    *place = byte;
                }
            }
        }
    }
}

impl Bitmap {
    /// The set made of the bitmaps, without the bits that announce another one.
    pub(super) const fn new(bitmaps: Bitmaps, [first, second, third]: [u64; 3]) -> Self {
        let second = match bitmaps {
            Bitmaps::UpToThree => second & !TOP,
            Bitmaps::One | Bitmaps::Plain | Bitmaps::UpToTwo | Bitmaps::Two => second,
        };
        let first = match bitmaps {
            Bitmaps::Plain => first,
            Bitmaps::One | Bitmaps::UpToTwo | Bitmaps::UpToThree | Bitmaps::Two => first & !TOP,
        };
        Self([first, second, third])
    }

    /// Whether the bits of a bitmap say that another one follows.
    pub(super) const fn another_follows(word: u64) -> bool {
        word & TOP != 0
    }

    /// Whether the element is in the set.
    #[inline]
    pub(super) fn has(self, element: u8) -> bool {
        let (index, mask) = Self::bit(element);
        self.0.get(index).is_some_and(|word| word & mask != 0)
    }

    /// Adds the element; numbers outside 1 to 192 change nothing.
    #[inline]
    pub(super) fn insert(&mut self, element: u8) {
        let (index, mask) = Self::bit(element);
        if let Some(word) = self.0.get_mut(index) {
            *word |= mask;
        }
    }

    /// Adds an element of the first bitmap.
    #[inline(always)]
    pub(super) fn insert_first(&mut self, element: u8) {
        let [first, _, _] = &mut self.0;
        *first |= TOP.wrapping_shr(u32::from(element.wrapping_sub(FIRST_BASE)));
    }

    /// The set and the elements of another.
    #[inline(always)]
    pub(super) fn with(self, others: Self) -> Self {
        let ([a, b, c], [x, y, z]) = (self.0, others.0);
        Self([a | x, b | y, c | z])
    }

    /// The elements that are in another set, too.
    #[inline(always)]
    pub(super) fn and(self, others: Self) -> Self {
        let ([a, b, c], [x, y, z]) = (self.0, others.0);
        Self([a & x, b & y, c & z])
    }

    /// The elements of the first bitmap that are wanted, in runs: the first and the last of
    /// neighbours in this set.
    #[inline(always)]
    pub(super) fn runs(self, wanted: Self) -> Runs {
        let ([set, ..], [wanted, ..]) = (self.0, wanted.0);
        Runs {
            left: set & wanted,
            between: set & !wanted,
        }
    }

    /// The set without the elements of another.
    pub(super) fn without(self, others: Self) -> Self {
        let [a, b, c] = self.0;
        let [x, y, z] = others.0;
        Self([a & !x, b & !y, c & !z])
    }

    /// The elements of the set that have a lower number.
    pub(super) fn below(self, element: u8) -> Self {
        let [a, b, c] = self.0;
        let mask = |base| lower(element.saturating_sub(base));
        Self([a & mask(1), b & mask(65), c & mask(129)])
    }

    /// How many elements of the set have a lower number.
    #[inline]
    pub(super) fn rank(self, element: u8) -> usize {
        let [first, second, third] = self.0;
        let below = |word: u64, base: u8| (word & lower(element.wrapping_sub(base))).count_ones();
        // Few elements stand in the second bitmap and hardly any in the third.
        let count = match element {
            0..=64 => below(first, FIRST_BASE.min(element)),
            65..=128 => first.count_ones().wrapping_add(below(second, SECOND_BASE)),
            129..=192 => first
                .count_ones()
                .wrapping_add(second.count_ones())
                .wrapping_add(below(third, THIRD_BASE)),
            _ => return self.len(),
        };
        usize::try_from(count).unwrap_or(0)
    }

    /// How many elements are in the set.
    pub(super) fn len(self) -> usize {
        let [first, second, third] = self.0.map(u64::count_ones);
        usize::try_from(first.wrapping_add(second).wrapping_add(third)).unwrap_or(0)
    }

    /// The elements in ascending order.
    pub(super) const fn elements(self) -> Elements {
        Elements(self.0)
    }

    /// Whether it is the same set, word by word: they come from registers, which are compared
    /// without being written and read again.
    #[inline(always)]
    pub(super) const fn is(self, other: Self) -> bool {
        let ([a, b, c], [x, y, z]) = (self.0, other.0);
        a == x && b == y && c == z
    }

    /// A number that is different for most sets.
    #[inline(always)]
    pub(super) fn hash(self) -> usize {
        let [first, second, third] = self.0;
        let folded = first ^ second.rotate_left(21) ^ third.rotate_left(42);
        // A product mixes upwards: low bits are joined by high ones first, and the top ones taken.
        let mixed = (folded ^ folded >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let high = mixed >> 48;
        usize::try_from(high).unwrap_or(0)
    }

    /// The bitmaps, with the bits that announce the next of so many.
    pub(super) fn words(self, bitmaps: Bitmaps, count: usize) -> [u64; 3] {
        let [first, second, third] = self.0;
        let announced = bitmaps != Bitmaps::Two;
        let first = match announced && count > 1 {
            true => first | TOP,
            false => first,
        };
        let second = match announced && count > 2 {
            true => second | TOP,
            false => second,
        };
        [first, second, third]
    }

    /// The word of the element and its bit in there; number 0 has none.
    #[inline]
    fn bit(element: u8) -> (usize, u64) {
        match element.checked_sub(FIRST_BASE) {
            Some(place) => (
                usize::from(place / 64),
                TOP.wrapping_shr(u32::from(place % 64)),
            ),
            None => (usize::MAX, 0),
        }
    }
}

/// The bits of a word before the one at this place.
fn lower(place: u8) -> u64 {
    !u64::MAX.checked_shr(u32::from(place)).unwrap_or(0)
}

/// Ascending iterator over the elements of a [`Bitmap`].
#[derive(Clone)]
pub(super) struct Elements([u64; 3]);

impl Iterator for Elements {
    type Item = u8;

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let [first, second, third] = &mut self.0;
        let (word, base) = match (*first, *second, *third) {
            (0, 0, 0) => return None,
            (0, 0, _) => (third, THIRD_BASE),
            (0, ..) => (second, SECOND_BASE),
            _ => (first, FIRST_BASE),
        };
        let zeros = word.leading_zeros();
        *word &= !TOP.wrapping_shr(zeros);
        u8::try_from(zeros).ok()?.checked_add(base)
    }
}

/// Ascending iterator over the runs of [`Bitmap::runs`].
pub(super) struct Runs {
    left: u64,
    /// What is not wanted.
    between: u64,
}

impl Iterator for Runs {
    type Item = RangeInclusive<u8>;

    #[inline(always)]
    fn next(&mut self) -> Option<RangeInclusive<u8>> {
        if self.left == 0 {
            return None;
        }
        let first = self.left.leading_zeros();
        self.between &= u64::MAX.wrapping_shr(first);
        let behind = u64::MAX
            .checked_shr(self.between.leading_zeros())
            .unwrap_or(0);
        let run = self.left & !behind;
        self.left &= behind;
        let last = 63_u32.wrapping_sub(run.trailing_zeros());
        let number = |zeros: u32| u8::try_from(zeros).ok()?.checked_add(FIRST_BASE);
        Some(number(first)?..=number(last)?)
    }
}

const TOP: u64 = 1 << 63;
/// Number of the element at the top bit of each bitmap.
const FIRST_BASE: u8 = 1;
const SECOND_BASE: u8 = 65;
const THIRD_BASE: u8 = 129;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_agrees_with_a_list_of_its_numbers() {
        for step in 1..40 {
            let numbers: Vec<u8> = (2..=192).step_by(step).collect();
            let mut set = Bitmap::default();
            for number in &numbers {
                set.insert(*number);
            }
            assert!(set.elements().eq(numbers.iter().copied()));
            for element in 0..=u8::MAX {
                assert_eq!(set.has(element), numbers.contains(&element));
                let below = numbers.iter().filter(|number| **number < element);
                assert_eq!(set.rank(element), below.count(), "{element}");
            }
        }
    }

    #[test]
    fn runs_hold_the_wanted_elements_and_no_other() {
        let set = |first: u64| Bitmap([first, u64::MAX, 0]);
        let mut random = 8583_u64;
        let mut next = || {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            random ^ random >> 32
        };
        for _ in 0..2_000 {
            let (here, wanted) = (next() | next(), next() | next());
            for (here, wanted) in [
                (here, wanted),
                (here, !0),
                (!0, wanted),
                (here, 0),
                (!0, !0),
            ] {
                let (here, wanted) = (set(here), set(wanted));
                let runs: Vec<_> = here.runs(wanted).collect();
                let held = |element: &u8| runs.iter().any(|run| run.contains(element));
                for element in (1..=64).filter(|element| here.has(*element)) {
                    assert_eq!(held(&element), wanted.has(element), "{element}");
                }
                // As few as there can be.
                for pair in runs.windows(2) {
                    let between = *pair[0].end() + 1..*pair[1].start();
                    assert!(between.into_iter().any(|element| here.has(element)));
                }
            }
        }
    }
}
