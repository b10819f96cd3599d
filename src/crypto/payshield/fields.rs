//! Fields of commands and answers: read one after the other, written the same way.

use super::DeviceKey;

/// Digits of a key under a variant LMK.
const VARIANT_DIGITS: usize = 32;

/// What is left of a command or an answer. Whatever it holds, reading does not fail otherwise than
/// by `None`.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Fields<'a> {
        Fields(bytes)
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    /// How many bytes are left.
    pub(super) fn left(&self) -> usize {
        self.0.len()
    }

    /// So many bytes.
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// So many characters.
    pub(super) fn text(&mut self, count: usize) -> Option<&'a str> {
        let text = std::str::from_utf8(self.take(count)?).ok()?;
        text.is_ascii().then_some(text)
    }

    /// So many decimal digits.
    pub(super) fn digits(&mut self, count: usize) -> Option<&'a str> {
        let text = self.text(count)?;
        text.bytes().all(|it| it.is_ascii_digit()).then_some(text)
    }

    /// A number of so many decimal digits.
    pub(super) fn number(&mut self, count: usize) -> Option<usize> {
        self.digits(count)?.parse().ok()
    }

    /// A number of so many hexadecimal digits.
    pub(super) fn hexadecimal_number(&mut self, count: usize) -> Option<usize> {
        let text = self.text(count)?;
        let plain = text.bytes().all(|it| it.is_ascii_hexdigit());
        usize::from_str_radix(text, 16).ok().filter(|_| plain)
    }

    /// So many bytes, each as two hexadecimal digits.
    pub(super) fn hexadecimal(&mut self, bytes: usize) -> Option<Vec<u8>> {
        let text = self.text(bytes.checked_mul(2)?)?;
        base16ct::mixed::decode_vec(text).ok()
    }

    /// What stands before a character, which is taken too.
    pub(super) fn until(&mut self, end: u8) -> Option<&'a str> {
        let length = self.0.iter().position(|byte| *byte == end)?;
        let text = self.text(length)?;
        self.take(1)?;
        Some(text)
    }

    /// A character that must stand here.
    pub(super) fn sign(&mut self, expected: u8) -> Option<()> {
        let [got] = self.array()?;
        (got == expected).then_some(())
    }

    /// A key under the LMK.
    pub(super) fn key(&mut self) -> Option<DeviceKey> {
        let text = match self.array()? {
            [b'U'] => {
                let digits = self.text(VARIANT_DIGITS)?;
                let plain = digits.bytes().all(|it| it.is_ascii_hexdigit());
                plain.then(|| format!("U{digits}"))?
            }
            [b'S'] => format!("S{}", self.block()?),
            [_] => return None,
        };
        Some(DeviceKey(text))
    }

    /// A key block, as long as it says.
    pub(super) fn block(&mut self) -> Option<&'a str> {
        let mut header = Fields(self.0);
        header.take(1)?;
        let length = header.number(4)?;
        let block = self.text(length)?;
        block
            .bytes()
            .all(|it| it.is_ascii_alphanumeric())
            .then_some(block)
    }
}

/// Upper-case hexadecimal digits of bytes.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    base16ct::upper::encode_string(bytes)
}
