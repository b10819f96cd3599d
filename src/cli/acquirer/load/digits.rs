//! Digits at a known place of a message, patched and read without decoding it.

use crate::iso8583::Message;

/// Digits of a fixed size somewhere in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DigitField {
    offset: usize,
    size: usize,
    packed: bool,
}

impl DigitField {
    /// The digits of `element`, of which there are `digits`.
    pub(super) fn of(message: &Message, element: u8, digits: usize) -> Option<Self> {
        let raw = message.raw(element)?;
        let packed = raw.len() == digits.div_ceil(2) && raw.len() != digits;
        let is_sized = packed || raw.len() == digits;
        is_sized.then_some(Self {
            offset: offset_in(message.bytes(), raw)?,
            size: raw.len(),
            packed,
        })
    }

    /// The part of the field from digit `from` on, `digits` long; both even when packed.
    pub(super) fn part(self, from: usize, digits: usize) -> Self {
        let unit = if self.packed { 2 } else { 1 };
        Self {
            offset: self.offset + from / unit,
            size: digits / unit,
            packed: self.packed,
        }
    }

    pub(super) fn moved(self, by: usize) -> Self {
        Self {
            offset: self.offset + by,
            ..self
        }
    }

    /// Writes the last digits of `value`, as many as the field has, over a field of zeros.
    pub(super) fn put(self, message: &mut [u8], mut value: u64) {
        let field = message.get_mut(self.offset..self.offset + self.size);
        let mut bytes = field.unwrap_or_default().iter_mut().rev();
        while value > 0 {
            let pair = value % 100;
            value /= 100;
            let [high, low] = [(pair / 10) as u8, (pair % 10) as u8];
            if self.packed {
                let Some(byte) = bytes.next() else { return };
                *byte = high << 4 | low;
            } else {
                let Some(byte) = bytes.next() else { return };
                *byte = b'0' | low;
                let Some(byte) = bytes.next() else { return };
                *byte = b'0' | high;
            }
        }
    }

    /// Writes zeros into the whole field.
    pub(super) fn clear(self, message: &mut [u8]) {
        let field = message.get_mut(self.offset..self.offset + self.size);
        field
            .unwrap_or_default()
            .fill(if self.packed { 0 } else { b'0' });
    }

    /// Reads the digits as a number.
    pub(super) fn read(self, message: &[u8]) -> Option<u64> {
        let field = message.get(self.offset..self.offset + self.size)?;
        let mut value = 0_u64;
        for &byte in field {
            let (base, digit) = if self.packed {
                let (high, low) = (byte >> 4, byte & 0x0F);
                if high > 9 || low > 9 {
                    return None;
                }
                (100, high * 10 + low)
            } else {
                (10, byte.checked_sub(b'0').filter(|digit| *digit <= 9)?)
            };
            value = value.checked_mul(base)?.checked_add(u64::from(digit))?;
        }
        Some(value)
    }
}

/// Where a slice of a message begins in it.
pub(super) fn offset_in(message: &[u8], part: &[u8]) -> Option<usize> {
    let offset = part.as_ptr().addr().checked_sub(message.as_ptr().addr())?;
    (offset + part.len() <= message.len()).then_some(offset)
}
