//! A field walk written by hand for the one layout of the benches, as a measure for the codec.
//!
//! It checks the same classes, lengths and ends of the same twenty elements and finds the same
//! slices, but every format is a constant of the code, there is nothing to say about what is
//! wrong, and the message is borrowed.

use bytes::{BufMut, BytesMut};

use crate::contenders::ByHand;

/// Digits and lengths as text; the bitmap, the PIN block and the chip data as bytes.
pub(crate) const ASCII: ByHand = ByHand {
    walk: ascii,
    numbers: ascii_numbers,
    respond: ascii_response,
};

/// Digits and lengths packed.
pub(crate) const BINARY: ByHand = ByHand {
    walk: binary,
    numbers: binary_numbers,
    respond: binary_response,
};

/// The elements of one message.
pub(crate) struct Walked<'a> {
    frame: &'a [u8],
    /// Where each value starts and ends, by element number.
    places: [[u16; 2]; 64],
}

impl<'a> Walked<'a> {
    /// The bytes of an element.
    fn value(&self, element: usize) -> &'a [u8] {
        self.wire(element, 0)
    }

    /// The bytes of an element with its length before it.
    fn wire(&self, element: usize, prefix: usize) -> &'a [u8] {
        let [start, end] = self.places[element];
        &self.frame[usize::from(start) - prefix..usize::from(end)]
    }
}

/// Elements 3, 4, 11, 18, 22 and 32 of a message of text as numbers.
fn ascii_numbers(walked: &Walked<'_>) -> u64 {
    [3, 4, 11, 18, 22, 32].into_iter().fold(0, |sum, element| {
        let number = walked.value(element).iter().fold(0, |number: u64, byte| {
            number.wrapping_mul(10).wrapping_add(u64::from(byte & 15))
        });
        sum.wrapping_add(number)
    })
}

/// The same of packed digits; the fill nibble of element 32 is no digit.
fn binary_numbers(walked: &Walked<'_>) -> u64 {
    let pack = |element| {
        walked.value(element).iter().fold(0, |number: u64, byte| {
            let pair = (byte >> 4) * 10 + (byte & 15);
            number.wrapping_mul(100).wrapping_add(u64::from(pair))
        })
    };
    let fixed = [3, 4, 11, 18, 22]
        .into_iter()
        .fold(0, |sum: u64, element| sum.wrapping_add(pack(element)));
    let count = walked.wire(32, 1)[0] & 1;
    let acquirer = match count {
        0 => pack(32),
        _ => pack(32) / 10,
    };
    fixed.wrapping_add(acquirer)
}

/// Writes the response of fourteen elements to a message of text.
fn ascii_response(walked: &Walked<'_>, out: &mut BytesMut) {
    out.put_slice(b"0110");
    out.put_u64(RESPONSE_BITMAP);
    out.put_slice(walked.wire(2, 2));
    for element in [3, 4, 7, 11, 12, 13] {
        out.put_slice(walked.value(element));
    }
    out.put_slice(walked.wire(32, 2));
    respond(walked, out);
}

/// Writes the response of fourteen elements to a message of packed digits.
fn binary_response(walked: &Walked<'_>, out: &mut BytesMut) {
    out.put_slice(&[0x01, 0x10]);
    out.put_u64(RESPONSE_BITMAP);
    out.put_slice(walked.wire(2, 1));
    for element in [3, 4, 7, 11, 12, 13] {
        out.put_slice(walked.value(element));
    }
    out.put_slice(walked.wire(32, 1));
    respond(walked, out);
}

fn respond(walked: &Walked<'_>, out: &mut BytesMut) {
    out.put_slice(walked.value(37));
    out.put_slice(b"A1B2C300");
    for element in [41, 42, 49] {
        out.put_slice(walked.value(element));
    }
}

/// Elements 2, 3, 4, 7, 11, 12, 13, 32, 37, 38, 39, 41, 42 and 49.
const RESPONSE_BITMAP: u64 = {
    let mut bitmap = 0;
    let elements = [2, 3, 4, 7, 11, 12, 13, 32, 37, 38, 39, 41, 42, 49];
    let mut index = 0;
    while index < elements.len() {
        bitmap |= 1 << (64 - elements[index]);
        index += 1;
    }
    bitmap
};

/// Walks over a message of the twenty elements, or of some of them.
fn ascii(frame: &[u8]) -> Option<Walked<'_>> {
    let (head, _) = frame.split_first_chunk::<12>()?;
    let (mti, bitmap) = head.split_first_chunk::<4>()?;
    if !message_type(mti.map(|digit| digit.wrapping_sub(b'0'))) {
        return None;
    }
    walk::<12>(frame, bitmap, |walk, element| match element {
        2 => walk.text::<2, 19>(digit),
        3 | 11 | 12 => walk.fixed::<6>(digit),
        4 => walk.fixed::<12>(digit),
        7 => walk.fixed::<10>(digit),
        13 | 14 | 18 => walk.fixed::<4>(digit),
        22 => walk.fixed::<3>(digit),
        25 => walk.fixed::<2>(digit),
        32 => walk.text::<2, 11>(digit),
        35 => walk.text::<2, 37>(track),
        37 => walk.fixed::<12>(letter_or_digit),
        41 => walk.fixed::<8>(printable),
        42 => walk.fixed::<15>(printable),
        43 => walk.fixed::<40>(printable),
        49 => walk.fixed::<3>(letter_or_digit),
        52 => walk.bytes(8),
        55 => {
            let size = walk.ascii_length::<3>(999)?;
            walk.bytes(size)
        }
        _ => None,
    })
}

/// The same with packed digits.
fn binary(frame: &[u8]) -> Option<Walked<'_>> {
    let (head, _) = frame.split_first_chunk::<10>()?;
    let (mti, bitmap) = head.split_first_chunk::<2>()?;
    if !message_type([mti[0] >> 4, mti[0] & 15, mti[1] >> 4, mti[1] & 15]) {
        return None;
    }
    walk::<10>(frame, bitmap, |walk, element| match element {
        2 => walk.packed::<19>(nibbles),
        3 | 11 | 12 => walk.fixed::<3>(nibbles),
        4 => walk.fixed::<6>(nibbles),
        7 => walk.fixed::<5>(nibbles),
        13 | 14 | 18 => walk.fixed::<2>(nibbles),
        22 => {
            walk.fixed::<2>(nibbles)?;
            walk.leading_zero(2)
        }
        25 => walk.fixed::<1>(nibbles),
        32 => walk.packed::<11>(nibbles),
        35 => walk.packed::<37>(packed_track),
        37 => walk.fixed::<12>(letter_or_digit),
        41 => walk.fixed::<8>(printable),
        42 => walk.fixed::<15>(printable),
        43 => walk.fixed::<40>(printable),
        49 => walk.fixed::<3>(letter_or_digit),
        52 => walk.bytes(8),
        55 => {
            let size = walk.bcd_length_three(999)?;
            walk.bytes(size)
        }
        _ => None,
    })
}

fn message_type([version, class, function, origin]: [u8; 4]) -> bool {
    version == 0 && matches!(class, 1..=8) && function <= 9 && origin <= 5
}

struct Walk<'a> {
    frame: &'a [u8],
    at: usize,
    start: usize,
    bad: u64,
}

#[inline(always)]
fn walk<'a, const HEAD: usize>(
    frame: &'a [u8],
    bitmap: &[u8],
    step: impl Fn(&mut Walk<'a>, usize) -> Option<()>,
) -> Option<Walked<'a>> {
    let mut bits = u64::from_be_bytes(bitmap.try_into().ok()?);
    let mut walk = Walk {
        frame,
        at: HEAD,
        start: HEAD,
        bad: 0,
    };
    let mut places = [[0; 2]; 64];
    while bits != 0 {
        let zeros = bits.leading_zeros() as usize;
        bits &= !(1 << (63 - zeros));
        step(&mut walk, zeros + 1)?;
        places[(zeros + 1) % 64] = [walk.start as u16, walk.at as u16];
    }
    let good = walk.at == frame.len() && walk.bad == 0;
    good.then_some(Walked { frame, places })
}

impl Walk<'_> {
    #[inline(always)]
    fn bytes(&mut self, size: usize) -> Option<()> {
        self.start = self.at;
        self.at += size;
        (self.at <= self.frame.len()).then_some(())
    }

    #[inline(always)]
    fn fixed<const SIZE: usize>(&mut self, bad: impl Fn(u64) -> u64) -> Option<()> {
        self.bytes(SIZE)?;
        self.check::<SIZE>(SIZE, bad)
    }

    #[inline(always)]
    fn text<const PREFIX: usize, const MAX: usize>(
        &mut self,
        bad: impl Fn(u64) -> u64,
    ) -> Option<()> {
        let size = self.ascii_length::<PREFIX>(MAX)?;
        self.bytes(size)?;
        self.check::<MAX>(size, bad)
    }

    #[inline(always)]
    fn packed<const MAX: usize>(&mut self, bad: impl Fn(u64) -> u64) -> Option<()> {
        let byte = *self.frame.get(self.at)?;
        let count = usize::from(byte >> 4) * 10 + usize::from(byte & 15);
        if byte & 15 > 9 || byte > 0x9f || count > MAX {
            return None;
        }
        self.at += 1;
        let size = count.div_ceil(2);
        self.bytes(size)?;
        if MAX <= 19 {
            self.check::<10>(size, bad)?;
        } else {
            self.check::<19>(size, bad)?;
        }
        match count % 2 {
            0 => Some(()),
            _ => self.trailing_zero(),
        }
    }

    /// The first nibble of the value, which is of this size, is a zero.
    #[inline(always)]
    fn leading_zero(&mut self, size: usize) -> Option<()> {
        self.bad |= u64::from(self.frame.get(self.at - size)? & 0xf0);
        Some(())
    }

    /// The last nibble of the value is a zero.
    #[inline(always)]
    fn trailing_zero(&mut self) -> Option<()> {
        self.bad |= u64::from(self.frame.get(self.at - 1)? & 0x0f);
        Some(())
    }

    #[inline(always)]
    fn ascii_length<const PREFIX: usize>(&mut self, max: usize) -> Option<usize> {
        let digits = self.frame.get(self.at..)?.first_chunk::<PREFIX>()?;
        let mut size = 0;
        for digit in digits {
            let digit = digit.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            size = size * 10 + usize::from(digit);
        }
        self.at += PREFIX;
        (size <= max).then_some(size)
    }

    #[inline(always)]
    fn bcd_length_three(&mut self, max: usize) -> Option<usize> {
        let [high, low] = *self.frame.get(self.at..)?.first_chunk::<2>()?;
        if high > 9 || low > 0x99 || low & 15 > 9 {
            return None;
        }
        self.at += 2;
        let size = usize::from(high) * 100 + usize::from(low >> 4) * 10 + usize::from(low & 15);
        (size <= max).then_some(size)
    }

    /// Looks at the last eight bytes before the end as often as the greatest size needs.
    #[inline(always)]
    fn check<const MAX: usize>(&mut self, size: usize, bad: impl Fn(u64) -> u64) -> Option<()> {
        let mut before = &self.frame[..self.at];
        let mut left = size;
        for _ in 0..MAX.div_ceil(8) {
            let (rest, word) = before.split_last_chunk::<8>()?;
            self.bad |= bad(u64::from_le_bytes(*word)) & KEPT[left.min(8)];
            before = rest;
            left = left.saturating_sub(8);
        }
        Some(())
    }
}

const fn splat(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Top bit of each byte outside the range, which lies below 0x80.
#[inline(always)]
const fn outside(word: u64, low: u8, high: u8) -> u64 {
    let seven = word & !TOP;
    let at_least = seven.wrapping_add(splat(0x80 - low));
    let beyond = seven.wrapping_add(splat(0x7f - high));
    (!at_least | beyond | word) & TOP
}

#[inline(always)]
const fn digit(word: u64) -> u64 {
    outside(word, b'0', b'9')
}

#[inline(always)]
const fn track(word: u64) -> u64 {
    digit(word) & outside(word, b'=', b'=') & outside(word, b'D', b'D')
}

#[inline(always)]
const fn letter_or_digit(word: u64) -> u64 {
    digit(word) & outside(word | splat(0x20), b'a', b'z') & outside(word, b' ', b' ')
}

#[inline(always)]
const fn printable(word: u64) -> u64 {
    outside(word, b' ', b'~')
}

/// Bits of each byte with a nibble above nine.
#[inline(always)]
const fn nibbles(word: u64) -> u64 {
    (word >> 3) & ((word >> 2) | (word >> 1)) & splat(0x11)
}

/// The same where a nibble may also be D.
#[inline(always)]
const fn packed_track(word: u64) -> u64 {
    let separator = (word >> 3) & (word >> 2) & !(word >> 1) & word;
    nibbles(word) & !separator
}

const TOP: u64 = splat(0x80);

/// The last so many bytes of a word, by their number.
const KEPT: [u64; 9] = {
    let mut kept = [0; 9];
    let mut count = 1;
    while count <= 8 {
        kept[count] = u64::MAX << (64 - 8 * count);
        count += 1;
    }
    kept
};
