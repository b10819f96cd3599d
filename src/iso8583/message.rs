//! A decoded message: the untouched frame, and where in it each element stands.

use std::borrow::Cow;
use std::fmt;
use std::ops::{Deref, Range, RangeInclusive};

use bytes::Bytes;
use smallvec::SmallVec;

use super::Mti;
use super::ber::Tlvs;
use super::bitmap::Bitmap;
use super::class::{PackedClass, TextClass};
use super::codepage::CodePage;
use super::element::Coding;
use super::encoding::{self, Fill};

/// A message whose elements all keep their specification. It borrows nothing and copies nothing:
/// a clone shares the frame.
#[derive(Clone)]
pub struct Message {
    frame: Bytes,
    fingerprint: u64,
    mti: Mti,
    /// Whether nothing stands between one element and the next: none was left out.
    is_whole: bool,
    present: Bitmap,
    /// Where the elements stand, ascending, unless they are many.
    few: [Place; FEW],
    /// Not one table with the places, which are written here once, where they stay: to move a table
    /// would cost more than to fill it.
    rows: Rows,
    many: Option<Box<Many>>,
}

/// Which row an element has, and how the elements are written unless they are many: the same for
/// all messages of a set.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    /// The row of each element up to 64.
    index: Index,
    codings: [Coding; FEW],
}

/// Where the elements stand, ascending, and how they are written, when they are more than few.
#[derive(Clone)]
pub(super) struct Many {
    places: [Place; ELEMENTS],
    codings: [Coding; ELEMENTS],
}

/// The row of each element up to 64, or [`ABSENT`].
type Index = [u8; 64];

/// Where one element stands in the frame: four numbers of sixteen bits, which a frame keeps to.
#[derive(Clone, Copy, Default)]
pub(super) struct Place(u64);

impl Place {
    /// Starts and ends in bytes of the frame; the length in characters, digits or bytes.
    #[inline(always)]
    pub(super) fn new(start: usize, end: usize, value_start: usize, length: u16) -> Self {
        let low = |number: usize| u64::try_from(number).unwrap_or(0) & 0xffff;
        let wire = low(start) | low(end) << 16;
        Self(wire | low(value_start) << 32 | u64::from(length) << 48)
    }

    /// The same element so many bytes further on.
    #[inline(always)]
    pub(super) fn further(self, by: Distance) -> Self {
        Self(self.0.wrapping_add(by.0))
    }

    #[inline(always)]
    fn wire(self) -> Range<usize> {
        self.part(0)..self.part(1)
    }

    #[inline(always)]
    fn value_start(self) -> usize {
        self.part(2)
    }

    #[inline(always)]
    fn length(self) -> usize {
        self.part(3)
    }

    #[inline(always)]
    fn part(self, number: u32) -> usize {
        let bits = number.wrapping_mul(16);
        usize::try_from(self.0.wrapping_shr(bits) & 0xffff).unwrap_or(0)
    }
}

/// How far an element is moved.
#[derive(Clone, Copy)]
pub(super) struct Distance(u64);

impl Distance {
    /// So many bytes of a frame.
    #[inline(always)]
    pub(super) fn new(bytes: usize) -> Self {
        // For start, end and start of the value, and nothing for the length.
        Self((u64::try_from(bytes).unwrap_or(0) & 0xffff).wrapping_mul(0x0001_0001_0001))
    }
}

impl Rows {
    const EMPTY: Self = Self {
        index: [ABSENT; 64],
        codings: [Coding::Raw; FEW],
    };

    /// The rows of the elements of a set, in its order; and room for many, when they are many.
    pub(super) fn new(present: Bitmap, list: &[Coding]) -> (Self, Option<Box<Many>>) {
        let mut rows = Self::EMPTY;
        let mut many = (list.len() > FEW).then(|| Box::new(Many::EMPTY));
        let codings = match &mut many {
            None => &mut rows.codings[..],
            Some(many) => &mut many.codings[..],
        };
        for (own, coding) in codings.iter_mut().zip(list) {
            *own = *coding;
        }
        for (row, number) in (0..=u8::MAX).zip(present.elements()) {
            if let Some(index) = rows.index.get_mut(usize::from(number.saturating_sub(1))) {
                *index = row;
            }
        }
        (rows, many)
    }

    /// The row of an element.
    #[inline(always)]
    fn of(&self, present: Bitmap, element: u8) -> Option<usize> {
        match self.index.get(usize::from(element.wrapping_sub(1))) {
            // No table has as many rows as the row of an element that is not there.
            Some(row) => Some(usize::from(*row)),
            None => Self::beyond(present, element),
        }
    }

    /// The row of an element that the index does not have. By itself, or the counting is done for
    /// nothing before every search.
    #[inline(never)]
    fn beyond(present: Bitmap, element: u8) -> Option<usize> {
        present.has(element).then(|| present.rank(element))
    }
}

impl Many {
    const EMPTY: Self = Self {
        places: [Place(0); ELEMENTS],
        codings: [Coding::Raw; ELEMENTS],
    };
}

/// Where the elements are to stand: few, or many.
#[inline(always)]
pub(super) fn places<'m>(
    few: &'m mut [Place; FEW],
    many: &'m mut Option<Box<Many>>,
) -> &'m mut [Place] {
    match many {
        None => few,
        Some(many) => &mut many.places,
    }
}

impl Message {
    #[inline(always)]
    pub(super) fn new(
        fingerprint: u64,
        frame: Bytes,
        mti: Mti,
        present: Bitmap,
        few: [Place; FEW],
        rows: Rows,
        many: Option<Box<Many>>,
    ) -> Self {
        Self {
            frame,
            fingerprint,
            mti,
            is_whole: true,
            present,
            few,
            rows,
            many,
        }
    }

    /// The same message, of which something was left out.
    pub(super) fn in_part(self) -> Self {
        Self {
            is_whole: false,
            ..self
        }
    }

    /// Whether nothing stands between one element and the next.
    pub(super) const fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// The message type.
    #[must_use]
    pub const fn mti(&self) -> Mti {
        self.mti
    }

    /// Whether the message carries the element.
    #[must_use]
    pub fn has(&self, element: u8) -> bool {
        self.present.has(element)
    }

    /// The numbers of the elements it carries, ascending.
    pub fn elements(&self) -> impl Iterator<Item = u8> + Clone + use<> {
        self.present.elements()
    }

    /// The whole frame as it came.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.frame
    }

    /// The element as it stands on the wire, with its length, tag and fill.
    #[must_use]
    pub fn wire(&self, element: u8) -> Option<&[u8]> {
        self.frame.get(self.place(element)?.wire())
    }

    pub(super) fn start_of(&self, element: u8) -> Option<usize> {
        Some(self.place(element)?.wire().start)
    }

    /// Two elements, which the message has, and what stands between them.
    #[inline(always)]
    pub(super) fn span(&self, elements: RangeInclusive<u8>) -> &[u8] {
        let place = |element: &u8| self.place(*element);
        let (Some(first), Some(last)) = (place(elements.start()), place(elements.end())) else {
            return &[];
        };
        let span = self.frame.get(first.wire().start..last.wire().end);
        span.unwrap_or_default()
    }

    /// The value as it stands on the wire, without its length, tag and fill.
    #[must_use]
    pub fn raw(&self, element: u8) -> Option<&[u8]> {
        let (place, coding) = self.slot(element)?;
        self.value(place, coding)
    }

    /// The value of an element of at most eighteen characters when they are digits and its class
    /// is `n`, `h`, `any` or `ascii`.
    #[must_use]
    pub fn number(&self, element: u8) -> Option<u64> {
        let (place, coding) = self.slot(element)?;
        let length = place.length();
        let start = place.value_start();
        match coding {
            Coding::Text(TextClass::N) => {
                let until = self.frame.get(..start.wrapping_add(length))?;
                encoding::number_of_text(until, length)
            }
            Coding::Packed(PackedClass::N, fill) => {
                let end = start.wrapping_add(encoding::packed_size(length));
                encoding::number_of_packed(self.frame.get(..end)?, length, fill)
            }
            coding => number_of_characters(coding, self.value(place, coding)?, length),
        }
    }

    /// The digits of an element of at most forty-eight characters when they are digits and field
    /// separators of a track (shown as `=`) and its class is `n`, `z`, `h`, `any` or `ascii`.
    #[must_use]
    pub fn digits(&self, element: u8) -> Option<Digits> {
        let (place, coding) = self.slot(element)?;
        let value = self.value(place, coding)?;
        match coding {
            Coding::Text(TextClass::N) => Digits::new(value.iter().copied()),
            Coding::Text(TextClass::Z) => Digits::new(value.iter().map(|byte| match byte {
                b'D' => b'=',
                other => *other,
            })),
            Coding::Ebcdic(page, TextClass::Z) => {
                Digits::new(value.iter().map(|byte| match page.latin_of(*byte) {
                    b'D' => b'=',
                    other => other,
                }))
            }
            Coding::Packed(PackedClass::N | PackedClass::Z, fill) => {
                Digits::of_packed(value, place.length(), fill)
            }
            coding => {
                let characters = digit_characters(coding, value, place.length())?;
                let shown = characters.iter().map(|character| match character {
                    b'D' => b'=',
                    other => *other,
                });
                let good = shown.clone().all(|c| c.is_ascii_digit() || c == b'=');
                good.then(|| Digits::new(shown))?
            }
        }
    }

    /// The value as text, `None` for a binary element. Packed digits become owned text, the field
    /// separator of a track as `=`.
    #[must_use]
    pub fn text(&self, element: u8) -> Option<Cow<'_, str>> {
        let (place, coding) = self.slot(element)?;
        text_of(coding, self.value(place, coding)?, place.length())
    }

    /// The characters of a text element that stands in the frame as ASCII; `None` for any other.
    #[must_use]
    pub fn ascii(&self, element: u8) -> Option<&[u8]> {
        let (place, coding) = self.slot(element)?;
        match coding {
            Coding::Text(_) => self.value(place, coding).filter(|value| value.is_ascii()),
            _ => None,
        }
    }

    /// The bytes of a binary element, `None` for any other; hexadecimal text becomes owned bytes.
    #[must_use]
    pub fn binary(&self, element: u8) -> Option<Cow<'_, [u8]>> {
        let (place, coding) = self.slot(element)?;
        binary_of(coding, self.value(place, coding)?)
    }

    /// The items of an element in BER-TLV, such as DE 55, read one by one when they are asked for;
    /// `None` when the element does not hold bytes as they are.
    #[must_use]
    pub fn tlvs(&self, element: u8) -> Option<Tlvs<'_>> {
        let (place, coding) = self.slot(element)?;
        match coding {
            Coding::Raw => self.value(place, coding).map(Tlvs::new),
            _ => None,
        }
    }

    /// Length of the value in characters, digits or bytes.
    pub(super) fn length(&self, element: u8) -> Option<usize> {
        self.slot(element).map(|(place, _)| place.length())
    }

    pub(super) const fn present(&self) -> Bitmap {
        self.present
    }

    pub(super) const fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Where an element stands.
    #[inline(always)]
    fn place(&self, element: u8) -> Option<Place> {
        let row = self.rows.of(self.present, element)?;
        match &self.many {
            None => self.few.get(row).copied(),
            Some(many) => many.places.get(row).copied(),
        }
    }

    /// Where an element stands, and how it is written.
    #[inline]
    fn slot(&self, element: u8) -> Option<(Place, Coding)> {
        let row = self.rows.of(self.present, element)?;
        match &self.many {
            None => Some((*self.few.get(row)?, *self.rows.codings.get(row)?)),
            Some(many) => Some((*many.places.get(row)?, *many.codings.get(row)?)),
        }
    }

    #[inline]
    fn value(&self, place: Place, coding: Coding) -> Option<&[u8]> {
        let start = place.value_start();
        let size = coding.wire_size(place.length());
        self.frame.get(start..start.wrapping_add(size))
    }
}

/// The number of a class that may be all digits.
#[inline(never)]
fn number_of_characters(coding: Coding, value: &[u8], length: usize) -> Option<u64> {
    let characters = digit_characters(coding, value, length)?;
    let digits = characters.iter().all(u8::is_ascii_digit);
    match digits {
        true => encoding::number_of_text(&characters, characters.len()),
        false => None,
    }
}

/// The value of an element as text, `None` when it is bytes.
pub(super) fn text_of(coding: Coding, value: &[u8], length: usize) -> Option<Cow<'_, str>> {
    match coding {
        Coding::Text(_) | Coding::SignedText if value.is_ascii() => {
            std::str::from_utf8(value).ok().map(Cow::Borrowed)
        }
        Coding::Ebcdic(page, _) => {
            let characters = value
                .iter()
                .map(|byte| page.character(page.latin_of(*byte)));
            Some(Cow::Owned(characters.collect()))
        }
        Coding::Raw | Coding::Hex | Coding::HexEbcdic | Coding::Converted(_) => None,
        _ => {
            let characters = characters(coding, value, length);
            Some(Cow::Owned(
                characters.iter().map(|byte| char::from(*byte)).collect(),
            ))
        }
    }
}

/// The bytes of a binary element, `None` for any other.
pub(super) fn binary_of(coding: Coding, value: &[u8]) -> Option<Cow<'_, [u8]>> {
    match coding {
        Coding::Raw => Some(Cow::Borrowed(value)),
        Coding::Hex => encoding::hex_bytes(value).map(Cow::Owned),
        Coding::HexEbcdic => {
            let text = value.iter().map(|byte| CodePage::Ibm1047.latin_of(*byte));
            encoding::hex_bytes(&text.collect::<Vec<u8>>()).map(Cow::Owned)
        }
        Coding::Converted(page) => Some(Cow::Owned(
            value.iter().map(|byte| page.latin_of(*byte)).collect(),
        )),
        _ => None,
    }
}

type Characters = SmallVec<[u8; 48]>;

/// The characters of a value in ISO 8859-1; none of a binary one.
fn characters(coding: Coding, value: &[u8], length: usize) -> Characters {
    match coding {
        Coding::Text(_) | Coding::SignedText => SmallVec::from_slice(value),
        Coding::Ebcdic(page, _) => value.iter().map(|byte| page.latin_of(*byte)).collect(),
        Coding::SignedEbcdic => {
            let page = CodePage::Ibm1047;
            value.iter().map(|byte| page.latin_of(*byte)).collect()
        }
        Coding::Packed(_, fill) => encoding::nibbles(value, length, fill)
            .map(encoding::nibble_character)
            .collect(),
        Coding::SignedPacked(_, fill) => {
            let (sign, digits) = value.split_first().unwrap_or((&b'C', &[]));
            let nibbles = encoding::nibbles(digits, length.saturating_sub(1), fill);
            std::iter::once(*sign)
                .chain(nibbles.map(encoding::nibble_character))
                .collect()
        }
        Coding::Zoned => {
            let negative = value
                .last()
                .is_some_and(|last| last & 0xf0 == ZONE_NEGATIVE);
            let digits = value.iter().map(|byte| b'0' | byte & 0x0f);
            negative.then_some(b'-').into_iter().chain(digits).collect()
        }
        Coding::Raw | Coding::Hex | Coding::HexEbcdic | Coding::Converted(_) => SmallVec::new(),
    }
}

/// The characters of a class that may be all digits.
fn digit_characters(coding: Coding, value: &[u8], length: usize) -> Option<Characters> {
    let may = match coding {
        Coding::Text(class) | Coding::Ebcdic(_, class) => {
            matches!(class, TextClass::N | TextClass::Any | TextClass::Ascii)
        }
        Coding::Packed(class, _) => class == PackedClass::H,
        Coding::Zoned => true,
        _ => false,
    };
    may.then(|| characters(coding, value, length))
}

impl fmt::Debug for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The content stays out: a message in a log line must not show a card.
        let elements: Vec<u8> = self.elements().collect();
        formatter
            .debug_struct("Message")
            .field("mti", &self.mti)
            .field("elements", &elements)
            .field("size", &self.frame.len())
            .finish()
    }
}

/// The digits of an element, held inline.
#[derive(Clone, Copy)]
pub struct Digits {
    characters: [u8; DIGITS_MAX],
    first: u8,
    count: u8,
}

impl Digits {
    fn new(characters: impl Iterator<Item = u8>) -> Option<Self> {
        let mut digits = Self {
            characters: [b'0'; DIGITS_MAX],
            first: 0,
            count: 0,
        };
        for character in characters {
            *digits.characters.get_mut(usize::from(digits.count))? = character;
            digits.count = digits.count.saturating_add(1);
        }
        Some(digits)
    }

    /// Two characters from every byte; what fills up an odd count is passed over.
    fn of_packed(packed: &[u8], count: usize, fill: Fill) -> Option<Self> {
        let mut characters = [b'0'; DIGITS_MAX];
        let (pairs, _) = characters.as_chunks_mut::<2>();
        if packed.len() > pairs.len() {
            return None;
        }
        for (pair, byte) in pairs.iter_mut().zip(packed) {
            *pair = encoding::digit_pair(*byte);
        }
        Some(Self {
            characters,
            first: u8::try_from(fill.lead(count)).ok()?,
            count: u8::try_from(count).ok()?,
        })
    }

    /// The digits as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only ASCII characters are ever stored, so that neither step fails.
        let (first, count) = (usize::from(self.first), usize::from(self.count));
        let stored = self
            .characters
            .get(first..first.saturating_add(count))
            .unwrap_or_default();
        std::str::from_utf8(stored).unwrap_or_default()
    }
}

impl Deref for Digits {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Digits {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq for Digits {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Digits {}

impl fmt::Debug for Digits {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Digits({} withheld)", self.count)
    }
}

/// Elements whose places need no allocation.
pub(super) const FEW: usize = 32;
/// Elements 2 to 192 and one more, for even rows.
const ELEMENTS: usize = 192;
/// The row of an element that is not there.
const ABSENT: u8 = u8::MAX;
const DIGITS_MAX: usize = 48;
/// The zone of the last digit of a negative zoned number.
pub(super) const ZONE_NEGATIVE: u8 = 0xd0;

const _: () = assert!(
    std::mem::size_of::<Message>() <= 512,
    "a message is moved from hand to hand"
);
