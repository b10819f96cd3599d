//! Which data elements a message carries: one bit per element, the first bit on the left.
//!
//! Bit 1 says that a second bitmap follows; it is no data element of its own here.

use super::ELEMENT_MAX;
use super::encoding;

/// The set of data elements 2 to 128.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Bitmap(u128);

/// How a bitmap is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum BitmapForm {
    /// Sixteen hexadecimal characters for each sixty-four bits.
    Hex,
    /// Eight bytes for each sixty-four bits.
    Binary,
}

impl BitmapForm {
    /// Bytes on the wire of one bitmap of sixty-four bits.
    pub(super) const fn size(self) -> usize {
        match self {
            BitmapForm::Hex => 16,
            BitmapForm::Binary => 8,
        }
    }

    /// Sixty-four bits from exactly [`BitmapForm::size`] bytes; `None` when they are not hex.
    pub(super) fn read(self, wire: &[u8]) -> Option<u64> {
        match self {
            BitmapForm::Hex => encoding::hex_word(wire.first_chunk::<16>()?),
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
            BitmapForm::Binary => {
                for (place, byte) in wire.iter_mut().zip(bytes) {
                    *place = byte;
                }
            }
        }
    }
}

impl Bitmap {
    /// The set made of a first and a second bitmap; bit 1 of the first is left out.
    pub(super) fn new(first: u64, second: u64) -> Self {
        let first = u128::from(first & !SECOND_FOLLOWS);
        Self(first.wrapping_shl(64) | u128::from(second))
    }

    /// Whether a first bitmap says that a second one follows.
    pub(super) const fn second_follows(first: u64) -> bool {
        first & SECOND_FOLLOWS != 0
    }

    /// Whether the element is in the set.
    pub(super) fn has(self, element: u8) -> bool {
        self.0 & bit(element) != 0
    }

    /// Adds the element; numbers outside 2 to 128 change nothing.
    pub(super) fn insert(&mut self, element: u8) {
        self.0 |= bit(element);
    }

    /// The set without the elements of another.
    pub(super) fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// The elements of the set that have a lower number.
    pub(super) fn below(self, element: u8) -> Self {
        Self(self.0 & !(bit(element).wrapping_sub(1) | bit(element)))
    }

    /// How many elements of the set have a lower number.
    pub(super) fn rank(self, element: u8) -> usize {
        usize::try_from(self.below(element).0.count_ones()).unwrap_or(0)
    }

    /// The elements in ascending order.
    pub(super) fn elements(self) -> Elements {
        let (first, second) = self.halves();
        Elements { first, second }
    }

    fn halves(self) -> (u64, u64) {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = self.0.to_be_bytes();
        let first = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        let second = u64::from_be_bytes([i, j, k, l, m, n, o, p]);
        (first, second)
    }

    /// The first bitmap, bit 1 set when a second one is needed, and the second when needed.
    pub(super) fn words(self) -> (u64, Option<u64>) {
        let (first, second) = self.halves();
        match second {
            0 => (first, None),
            second => (first | SECOND_FOLLOWS, Some(second)),
        }
    }
}

/// Ascending iterator over the elements of a [`Bitmap`].
#[derive(Clone)]
pub(super) struct Elements {
    first: u64,
    second: u64,
}

impl Iterator for Elements {
    type Item = u8;

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let (word, base) = match (self.first, self.second) {
            (0, 0) => return None,
            (0, _) => (&mut self.second, SECOND_BASE),
            _ => (&mut self.first, FIRST_BASE),
        };
        let zeros = word.leading_zeros();
        *word &= !TOP.wrapping_shr(zeros);
        u8::try_from(zeros).ok()?.checked_add(base)
    }
}

fn bit(element: u8) -> u128 {
    match ELEMENT_MAX.checked_sub(element) {
        Some(shift) if element > 1 => 1_u128.wrapping_shl(u32::from(shift)),
        _ => 0,
    }
}

const SECOND_FOLLOWS: u64 = TOP;
const TOP: u64 = 1 << 63;
/// Number of the element at the top bit of each half.
const FIRST_BASE: u8 = 1;
const SECOND_BASE: u8 = 65;
