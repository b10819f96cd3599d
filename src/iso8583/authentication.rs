//! Where the authentication code of a message stands (DE 64 or DE 128), and what it is made over.
//!
//! It is the last element: made over everything from the message type on that goes before it. What
//! makes and judges codes is not known here.

use std::borrow::Cow;
use std::ops::Range;

use bytes::BytesMut;

use super::Message;
use super::element::Coding;
use super::encode::put_bytes;

/// Bytes of a code.
pub(super) const CODE_BYTES: usize = 8;

/// The authentication code that a message came with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthenticationCode<'m> {
    /// What it was made over.
    pub covered: &'m [u8],
    /// The code.
    pub code: Cow<'m, [u8]>,
}

impl Message {
    /// The authentication code, where the last element is one: DE 64, or DE 128.
    #[must_use]
    pub fn authentication_code(&self) -> Option<AuthenticationCode<'_>> {
        let last = self.elements().last()?;
        if !is_place_of_code(last) {
            return None;
        }
        Some(AuthenticationCode {
            covered: self.bytes().get(..self.start_of(last)?)?,
            code: self.binary(last)?,
        })
    }
}

/// Whether an element carries the authentication code of a message that ends with it.
#[must_use]
pub fn is_place_of_code(element: u8) -> bool {
    matches!(element, 64 | 128)
}

/// Where the authentication code of a written message goes, in the buffer it was written to.
#[derive(Clone, Copy, Debug)]
pub struct CodePlace {
    pub(super) message: usize,
    pub(super) code: usize,
    pub(super) value: usize,
    pub(super) coding: Coding,
}

impl CodePlace {
    /// What the code is made over.
    #[must_use]
    pub fn covered<'m>(&self, buffer: &'m [u8]) -> &'m [u8] {
        buffer.get(self.covered_range()).unwrap_or_default()
    }

    /// Where in the buffer that stands.
    #[must_use]
    pub fn covered_range(&self) -> Range<usize> {
        self.message..self.code
    }

    /// Puts the code into its place.
    pub fn fill(&self, code: &[u8; CODE_BYTES], buffer: &mut [u8]) {
        let mut value = BytesMut::with_capacity(2 * CODE_BYTES);
        put_bytes(self.coding, code, &mut value);
        let end = self.value.saturating_add(value.len());
        if let Some(place) = buffer.get_mut(self.value..end) {
            place.copy_from_slice(&value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{MessageSpec, MessageWriter, Mti, decode};
    use super::*;

    #[test]
    fn the_code_stands_behind_everything_and_is_found_where_it_was_written() {
        for spec in ["iso87-ascii", "iso87-binary", "iso87-ebcdic", "iso93-ascii"] {
            for (elements, expected) in [
                (&[(7, "0327150405"), (11, "000001")][..], 64),
                (&[(7, "0327150405"), (11, "000001"), (94, "123")][..], 128),
            ] {
                let mti = if spec.starts_with("iso93") {
                    1_800
                } else {
                    800
                };
                let spec = MessageSpec::builtin(spec).unwrap();
                let mut out = BytesMut::from(&b"ahead"[..]);
                let mut writer = MessageWriter::begin(spec, Mti::new(mti), &mut out);
                for (element, text) in elements {
                    writer.text(*element, text).unwrap();
                }
                let place = writer.finish_with_code().unwrap();
                let covered = place.covered(&out).to_vec();
                place.fill(b"\x01\x23\x45\x67\x89\xAB\xCD\xEF", &mut out);
                let message = decode(spec, out.split_off(5).freeze()).unwrap();
                assert_eq!(message.elements().last(), Some(expected));
                let came = message.authentication_code().unwrap();
                assert_eq!(came.covered, covered);
                assert_eq!(came.code[..], *b"\x01\x23\x45\x67\x89\xAB\xCD\xEF");
                let wire = message.wire(expected).unwrap().len();
                assert_eq!(covered.len() + wire, message.bytes().len());
            }
        }
    }

    #[test]
    fn what_is_not_the_last_element_is_no_code() {
        let spec = MessageSpec::builtin("iso87-binary").unwrap();
        let mut out = BytesMut::new();
        let mut writer = MessageWriter::begin(spec, Mti::new(800), &mut out);
        writer.number(11, 1).unwrap();
        writer.binary(64, &[0; 8]).unwrap();
        writer.text(70, "301").unwrap();
        writer.finish().unwrap();
        let message = decode(spec, out.freeze()).unwrap();
        assert_eq!(message.authentication_code(), None);
    }
}
