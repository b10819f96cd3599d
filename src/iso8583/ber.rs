//! BER-TLV: tag, length, value, again and again, as in the chip data of DE 55.
//!
//! Read lazily and in order: nothing is known or unknown here, repeated tags stay repeated, and a
//! constructed value is read when its own items are asked for.

use std::fmt;

use bytes::{BufMut, BytesMut};

use super::length::{Counts, Prefix, PrefixCode};

/// The items of a BER-TLV value in order. After an error there are no more.
#[derive(Clone)]
pub struct Tlvs<'a> {
    value: &'a [u8],
    rest: &'a [u8],
}

/// One item: its tag and its value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tlv<'a> {
    tag: &'a [u8],
    value: &'a [u8],
}

/// Why the items of a value cannot be read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TlvError {
    /// The value ends inside a tag, or the tag is longer than any.
    #[error("expected a tag of at most four bytes at byte {offset}")]
    Tag {
        /// Bytes from the start of the value.
        offset: usize,
    },
    /// A length is missing, indefinite, or of more than four bytes.
    #[error("expected a length in the definite form at byte {offset}")]
    Length {
        /// Bytes from the start of the value.
        offset: usize,
    },
    /// The value ends inside an item.
    #[error("expected {expected} bytes of value at byte {offset}, got {got}")]
    Truncated {
        /// Bytes from the start of the value.
        offset: usize,
        /// Bytes that the length says.
        expected: usize,
        /// Bytes that are left.
        got: usize,
    },
}

impl<'a> Tlvs<'a> {
    /// The items of a value.
    #[must_use]
    pub const fn new(value: &'a [u8]) -> Self {
        Self { value, rest: value }
    }

    /// What has not been read yet.
    pub(super) const fn left(&self) -> &'a [u8] {
        self.rest
    }

    fn item(&mut self) -> Result<Tlv<'a>, TlvError> {
        let start = self.rest;
        let offset = |rest: &[u8]| self.value.len().saturating_sub(rest.len());
        let size = tag_size(start).ok_or(TlvError::Tag {
            offset: offset(start),
        })?;
        let (tag, after_tag) = start.split_at_checked(size).ok_or(TlvError::Tag {
            offset: offset(start),
        })?;
        let (length, rest) = length(after_tag).ok_or(TlvError::Length {
            offset: offset(after_tag),
        })?;
        let (value, rest) = rest.split_at_checked(length).ok_or(TlvError::Truncated {
            offset: offset(rest),
            expected: length,
            got: rest.len(),
        })?;
        self.rest = rest;
        Ok(Tlv { tag, value })
    }
}

impl<'a> Iterator for Tlvs<'a> {
    type Item = Result<Tlv<'a>, TlvError>;

    fn next(&mut self) -> Option<Self::Item> {
        // Zero bytes between items are filler.
        let filler = self.rest.iter().take_while(|byte| **byte == 0).count();
        self.rest = self.rest.get(filler..).unwrap_or_default();
        if self.rest.is_empty() {
            return None;
        }
        let item = self.item();
        if item.is_err() {
            self.rest = &[];
        }
        Some(item)
    }
}

impl<'a> Tlv<'a> {
    /// The bytes of the tag, such as 9F 26.
    #[must_use]
    pub const fn tag(&self) -> &'a [u8] {
        self.tag
    }

    /// The bytes of the value.
    #[must_use]
    pub const fn value(&self) -> &'a [u8] {
        self.value
    }

    /// The items inside a constructed item, `None` for any other.
    #[must_use]
    pub fn items(&self) -> Option<Tlvs<'a>> {
        let constructed = self.tag.first()? & 0x20 != 0;
        constructed.then(|| Tlvs::new(self.value))
    }
}

impl fmt::Debug for Tlv<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The value stays out: it may be track data.
        write!(
            formatter,
            "Tlv({:02X?}, {} bytes withheld)",
            self.tag,
            self.value.len()
        )
    }
}

impl fmt::Debug for Tlvs<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Tlvs({} bytes left)", self.rest.len())
    }
}

/// Writes an item, its length in as few bytes as will do.
pub(super) fn put_item(tag: &[u8], value: &[u8], out: &mut BytesMut) {
    out.put_slice(tag);
    LENGTH.write(u64::try_from(value.len()).unwrap_or(u64::MAX), out);
    out.put_slice(value);
}

/// Bytes of an item whose length stands in as few bytes as will do.
pub(super) fn item_size(tag: &[u8], value: &[u8]) -> usize {
    let length = LENGTH.size(u64::try_from(value.len()).unwrap_or(u64::MAX));
    (tag.len())
        .saturating_add(length)
        .saturating_add(value.len())
}

/// The length of an item.
const LENGTH: Prefix = Prefix {
    code: PrefixCode::Ber,
    width: 1,
    counts: Counts::Value,
    inclusive: false,
};

/// Whether the bytes are exactly one tag.
pub(super) fn is_tag(bytes: &[u8]) -> bool {
    tag_size(bytes) == Some(bytes.len())
}

/// Bytes of the tag in front; a first byte that ends in five ones is continued.
fn tag_size(input: &[u8]) -> Option<usize> {
    let (first, more) = input.split_first()?;
    if first & 0x1f != 0x1f {
        return Some(1);
    }
    let last = more
        .iter()
        .take(TAG_SIZE_MAX)
        .position(|byte| byte & 0x80 == 0)?;
    let size = last.saturating_add(2);
    (size <= TAG_SIZE_MAX).then_some(size)
}

/// The length in front, and what follows it.
fn length(input: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = input.split_first()?;
    match first {
        short @ ..=0x7f => Some((usize::from(*short), rest)),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x0f))?;
            let length = bytes
                .iter()
                .fold(0_u32, |length, byte| length << 8 | u32::from(*byte));
            Some((usize::try_from(length).ok()?, rest))
        }
        _ => None,
    }
}

const TAG_SIZE_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    type Owned = Result<(Vec<u8>, Vec<u8>), TlvError>;

    fn items(value: &[u8]) -> Vec<Owned> {
        Tlvs::new(value)
            .map(|item| item.map(|item| (item.tag().to_vec(), item.value().to_vec())))
            .collect()
    }

    #[test]
    fn long_tags_long_lengths_repeats_and_filler_keep_their_order() {
        let mut value = vec![
            0x9f, 0x26, 1, 7, 0, 0, 0x9a, 0, 0xdf, 0x81, 0x01, 0x81, 0x80,
        ];
        value.extend([5; 0x80]);
        value.extend([0x9f, 0x26, 1, 8]);
        assert_eq!(
            items(&value),
            [
                Ok((vec![0x9f, 0x26], vec![7])),
                Ok((vec![0x9a], vec![])),
                Ok((vec![0xdf, 0x81, 0x01], vec![5; 0x80])),
                Ok((vec![0x9f, 0x26], vec![8])),
            ]
        );
    }

    #[test]
    fn a_constructed_item_has_items_of_its_own() {
        let outer = Tlvs::new(&[0x70, 3, 0x5a, 1, 9]).next().unwrap().unwrap();
        let inner = outer.items().unwrap().next().unwrap().unwrap();
        assert_eq!((inner.tag(), inner.value()), (&[0x5a][..], &[9][..]));
        assert!(inner.items().is_none());
        assert_eq!(format!("{inner:?}"), "Tlv([5A], 1 bytes withheld)");
    }

    #[test]
    fn a_broken_value_ends_with_its_error() {
        for (value, error) in [
            (&[0x9f][..], TlvError::Tag { offset: 0 }),
            (
                &[0x9f, 0x81, 0x81, 0x81, 0x01, 0],
                TlvError::Tag { offset: 0 },
            ),
            (&[0x9a], TlvError::Length { offset: 1 }),
            (&[0x9a, 0x80], TlvError::Length { offset: 1 }),
            (&[0x9a, 0x82, 1], TlvError::Length { offset: 1 }),
            (
                &[0x9a, 2, 1],
                TlvError::Truncated {
                    offset: 2,
                    expected: 2,
                    got: 1,
                },
            ),
        ] {
            assert_eq!(items(value), [Err(error)]);
        }
    }

    #[test]
    fn no_bytes_make_it_panic_or_run_on() {
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        for size in 0..400 {
            let value: Vec<u8> = (0..size)
                .map(|_| {
                    seed ^= seed << 13;
                    seed ^= seed >> 7;
                    seed ^= seed << 17;
                    seed.to_be_bytes()[0] & 0x9f
                })
                .collect();
            assert!(items(&value).len() <= value.len());
        }
    }
}
