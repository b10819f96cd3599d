//! A text of at most `N` bytes, kept as bytes beside their number: what a message says in a few
//! characters, made, compared and journalled without looking at each of them.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text of at most `N` bytes of UTF-8, `N` at most 255.
///
/// In the journal it is its length as a varint and its bytes, as any text is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ShortText<const N: usize> {
    length: u8,
    /// Zero behind the length.
    bytes: [u8; N],
}

/// A text that is longer than its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a text of {got} bytes, expected at most {most}")]
pub struct TooLong {
    got: usize,
    most: usize,
}

impl<const N: usize> ShortText<N> {
    /// No text.
    pub const EMPTY: ShortText<N> = ShortText {
        length: 0,
        bytes: [0; N],
    };

    /// This text, unless it is too long.
    pub fn of(text: &str) -> Option<ShortText<N>> {
        ShortText::of_bytes(text.as_bytes())
    }

    /// These characters, unless one of them is not ASCII or they are too many.
    #[inline]
    pub fn of_ascii(characters: &[u8]) -> Option<ShortText<N>> {
        characters
            .is_ascii()
            .then(|| ShortText::of_bytes(characters))?
    }

    #[inline]
    fn of_bytes(text: &[u8]) -> Option<ShortText<N>> {
        let mut bytes = [0; N];
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        Some(ShortText {
            length: u8::try_from(text.len()).ok()?,
            bytes,
        })
    }

    /// The text. It is looked through for this: what only compares or copies asks for
    /// [`ShortText::as_bytes`].
    pub fn as_str(&self) -> &str {
        // Whatever makes one has seen UTF-8.
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The bytes of the text.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes
            .get(..usize::from(self.length))
            .unwrap_or_default()
    }

    /// Whether there is no text.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl<const N: usize> Default for ShortText<N> {
    fn default() -> ShortText<N> {
        ShortText::EMPTY
    }
}

impl<const N: usize> FromStr for ShortText<N> {
    type Err = TooLong;

    fn from_str(text: &str) -> Result<ShortText<N>, TooLong> {
        ShortText::of(text).ok_or(TooLong {
            got: text.len(),
            most: N,
        })
    }
}

impl<const N: usize> Ord for ShortText<N> {
    fn cmp(&self, other: &ShortText<N>) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl<const N: usize> PartialOrd for ShortText<N> {
    fn partial_cmp(&self, other: &ShortText<N>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<const N: usize> fmt::Display for ShortText<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<const N: usize> fmt::Debug for ShortText<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl<const N: usize> Serialize for ShortText<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(self.as_str())
        } else {
            serializer.serialize_bytes(self.as_bytes())
        }
    }
}

impl<'de, const N: usize> Deserialize<'de> for ShortText<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ShortText<N>, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(Reader)
        } else {
            deserializer.deserialize_bytes(Reader)
        }
    }
}

/// Reads either form.
struct Reader<const N: usize>;

impl<const N: usize> Visitor<'_> for Reader<N> {
    type Value = ShortText<N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a text of at most {N} bytes")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<ShortText<N>, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<ShortText<N>, E> {
        match ShortText::of_ascii(bytes) {
            Some(text) => Ok(text),
            None => str::from_utf8(bytes)
                .map_err(E::custom)
                .and_then(|text| self.visit_str(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_comes_back_as_it_was_and_one_too_long_is_refused() {
        for text in ["", "A", "SHOP0001", "東京", "é"] {
            let short: ShortText<8> = text.parse().unwrap();
            assert_eq!(short.as_str(), text);
            assert_eq!(short.to_string(), text);
            assert_eq!(short.is_empty(), text.is_empty());
        }
        let refused = "SHOP00012".parse::<ShortText<8>>().unwrap_err();
        assert_eq!(refused.to_string(), "a text of 9 bytes, expected at most 8");
        assert_eq!(ShortText::<8>::of_ascii("é".as_bytes()), None);
        assert_eq!(ShortText::<8>::of_ascii(b"T1"), ShortText::of("T1"));
    }

    #[test]
    fn journalled_and_in_json_it_is_as_any_other_text() {
        for text in ["", "SHOP0001", "東京"] {
            let short = ShortText::<8>::of(text).unwrap();
            let bytes = postcard::to_stdvec(&short).unwrap();
            assert_eq!(bytes, postcard::to_stdvec(text).unwrap());
            assert_eq!(postcard::from_bytes::<ShortText<8>>(&bytes), Ok(short));
            assert_eq!(
                serde_json::to_value(short).unwrap(),
                serde_json::json!(text)
            );
        }
        for (what, bytes) in [
            ("too long", &b"\x09SHOP00012"[..]),
            ("no UTF-8", b"\x02\xc3\x28"),
            ("cut", b"\x08SHOP"),
        ] {
            let read = postcard::from_bytes::<ShortText<8>>(bytes);
            assert!(read.is_err(), "{what}: {read:?}");
        }
    }

    #[test]
    fn texts_are_in_the_order_of_their_bytes_not_of_their_lengths() {
        let mut texts = ["B", "AA", "A"].map(|text| ShortText::<4>::of(text).unwrap());
        texts.sort();
        assert_eq!(texts.map(|text| text.to_string()), ["A", "AA", "B"]);
    }
}
