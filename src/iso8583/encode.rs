//! Writing one message into a buffer, element by element.

use bytes::{BufMut, BytesMut};

use super::bitmap::Bitmap;
use super::class::TextClass;
use super::element::{Coding, ElementProgram};
use super::encoding;
use super::error::{EncodeError, EncodeRefusal, Place};
use super::length::LengthForm;
use super::spec::{Layout, MtiForm};
use super::{FRAME_BYTES_MAX, Message, MessageSpec, Mti};

/// Streams one message into a buffer behind what the buffer already holds.
///
/// Elements come in ascending order. A refused element leaves no bytes behind; a writer that is
/// dropped before [`MessageWriter::finish`] takes back everything it wrote.
#[derive(Debug)]
pub struct MessageWriter<'s, 'b> {
    spec: &'s MessageSpec,
    out: &'b mut BytesMut,
    mti: Mti,
    start: usize,
    bitmap_start: usize,
    present: Bitmap,
    previous: u8,
    finished: bool,
}

impl<'s, 'b> MessageWriter<'s, 'b> {
    /// Starts a message of this type.
    #[must_use]
    pub fn begin(spec: &'s MessageSpec, mti: Mti, out: &'b mut BytesMut) -> Self {
        let layout = spec.layout();
        let start = out.len();
        let [version, class, function, origin] = mti.digits();
        match layout.mti {
            MtiForm::Ascii => out.put_slice(&mti.digits().map(|digit| b'0' | digit)),
            MtiForm::Bcd => out.put_slice(&[version << 4 | class, function << 4 | origin]),
        }
        let bitmap_start = out.len();
        out.put_bytes(0, layout.bitmap.size());
        Self {
            spec,
            out,
            mti,
            start,
            bitmap_start,
            present: Bitmap::default(),
            previous: 1,
            finished: false,
        }
    }

    /// Echoes an element of another message byte for byte; writes nothing when it has none.
    ///
    /// # Errors
    ///
    /// When the message is of another specification or the element is out of order.
    pub fn copy(&mut self, message: &Message, element: u8) -> Result<&mut Self, EncodeError> {
        if message.fingerprint() != self.spec.fingerprint() {
            return Err(refuse(element, EncodeRefusal::Foreign));
        }
        if let Some(wire) = message.wire(element) {
            self.open(element)?;
            self.out.put_slice(wire);
            self.close(element);
        }
        Ok(self)
    }

    /// Writes text. A fixed number or amount gets zeros on the left, other fixed text spaces on
    /// the right.
    ///
    /// # Errors
    ///
    /// When the text is too long or not of the element's class, the element is binary or unknown,
    /// or out of order.
    pub fn text(&mut self, element: u8, text: &str) -> Result<&mut Self, EncodeError> {
        let program = self.program(element)?;
        let fill = check_text(program, text.as_bytes()).map_err(|why| refuse(element, why))?;
        self.open(element)?;
        let length = text.len().saturating_add(fill);
        program
            .length
            .write(u16::try_from(length).unwrap_or(u16::MAX), self.out);
        self.put_text(program.coding, text.as_bytes(), fill);
        self.close(element);
        Ok(self)
    }

    /// Writes the digits of a number into an `n` element.
    ///
    /// # Errors
    ///
    /// When the number has too many digits, the element is no `n` or unknown, or out of order.
    pub fn number(&mut self, element: u8, number: u64) -> Result<&mut Self, EncodeError> {
        let program = self.program(element)?;
        if program.coding.class().0 != "n" {
            let expected = program.coding.class();
            return Err(refuse(element, EncodeRefusal::Kind { expected }));
        }
        let mut characters = [b'0'; NUMBER_DIGITS_MAX];
        let mut rest = number;
        let mut count = 0_usize;
        for place in characters.iter_mut().rev() {
            if rest == 0 && count > 0 {
                break;
            }
            *place = b'0' | u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
            count = count.saturating_add(1);
        }
        let digits = characters
            .get(NUMBER_DIGITS_MAX.saturating_sub(count)..)
            .unwrap_or_default();
        self.text(element, std::str::from_utf8(digits).unwrap_or_default())
    }

    /// Writes the bytes of a binary element.
    ///
    /// # Errors
    ///
    /// When the size does not fit, the element is not binary or unknown, or out of order.
    pub fn binary(&mut self, element: u8, bytes: &[u8]) -> Result<&mut Self, EncodeError> {
        let program = self.program(element)?;
        check_binary(program, bytes.len()).map_err(|why| refuse(element, why))?;
        self.open(element)?;
        program
            .length
            .write(u16::try_from(bytes.len()).unwrap_or(u16::MAX), self.out);
        match program.coding {
            Coding::Hex => {
                for byte in bytes {
                    self.out.put_slice(&encoding::hex_pair(*byte));
                }
            }
            _ => self.out.put_slice(bytes),
        }
        self.close(element);
        Ok(self)
    }

    /// Writes the bitmaps into their places and ends the message.
    ///
    /// # Errors
    ///
    /// When the message type is of another edition than the specification, or the message longer
    /// than [`FRAME_BYTES_MAX`]; the buffer is then as it was before.
    pub fn finish(mut self) -> Result<(), EncodeError> {
        let layout = self.layout();
        let (expected, got) = (layout.version, self.mti.version());
        if expected != got {
            let refusal = EncodeRefusal::Version { expected, got };
            return Err(EncodeError {
                place: Place::Mti,
                refusal,
            });
        }
        let got = self.out.len().saturating_sub(self.start);
        if got > FRAME_BYTES_MAX {
            let refusal = EncodeRefusal::FrameLength {
                max: FRAME_BYTES_MAX,
                got,
            };
            return Err(EncodeError {
                place: Place::Frame,
                refusal,
            });
        }
        // From here it must succeed.
        let (first, second) = self.present.words();
        let size = layout.bitmap.size();
        let places = self.out.get_mut(self.bitmap_start..).unwrap_or_default();
        let words = std::iter::once(first).chain(second);
        for (place, word) in places.chunks_exact_mut(size).zip(words) {
            layout.bitmap.write(word, place);
        }
        self.finished = true;
        Ok(())
    }

    fn layout(&self) -> &'s Layout {
        self.spec.layout()
    }

    fn program(&self, element: u8) -> Result<&'s ElementProgram, EncodeError> {
        let program = self.layout().program(element);
        program.ok_or_else(|| refuse(element, EncodeRefusal::Undefined))
    }

    /// Checks the order, and makes room for the second bitmap before the first element above 64.
    fn open(&mut self, element: u8) -> Result<(), EncodeError> {
        if element <= self.previous {
            let refusal = EncodeRefusal::Order {
                previous: self.previous,
            };
            return Err(refuse(element, refusal));
        }
        if element > FIRST_BITMAP_LAST && self.previous <= FIRST_BITMAP_LAST {
            let size = self.layout().bitmap.size();
            let body_start = self.bitmap_start.saturating_add(size);
            let body_end = self.out.len();
            self.out.put_bytes(0, size);
            // Both ends lie inside the buffer: it holds a bitmap and was just made longer by one.
            self.out
                .copy_within(body_start..body_end, body_start.saturating_add(size));
        }
        Ok(())
    }

    fn close(&mut self, element: u8) {
        self.present.insert(element);
        self.previous = element;
    }

    /// Writes characters that have been checked, with the fill that they need.
    fn put_text(&mut self, coding: Coding, text: &[u8], fill: usize) {
        match coding {
            Coding::Text(TextClass::N) => {
                self.out.put_bytes(b'0', fill);
                self.out.put_slice(text);
            }
            Coding::Packed(_, side) => {
                encoding::pack(text, fill, side, |byte| self.out.put_u8(byte));
            }
            Coding::SignedText => {
                let (sign, digits) = text.split_at_checked(1).unwrap_or_default();
                self.out.put_slice(sign);
                self.out.put_bytes(b'0', fill);
                self.out.put_slice(digits);
            }
            Coding::SignedPacked(side) => {
                let (sign, digits) = text.split_at_checked(1).unwrap_or_default();
                self.out.put_slice(sign);
                encoding::pack(digits, fill, side, |byte| self.out.put_u8(byte));
            }
            Coding::Text(_) | Coding::Raw | Coding::Hex => {
                self.out.put_slice(text);
                self.out.put_bytes(b' ', fill);
            }
        }
    }
}

impl Drop for MessageWriter<'_, '_> {
    fn drop(&mut self) {
        if !self.finished {
            self.out.truncate(self.start);
        }
    }
}

/// Checks class and length; answers how many fill characters are missing.
fn check_text(program: &ElementProgram, text: &[u8]) -> Result<usize, EncodeRefusal> {
    let expected = program.coding.class();
    let good = match program.coding {
        Coding::Text(class) => class.holds(text),
        Coding::Packed(super::class::PackedClass::N, _) => TextClass::N.holds(text),
        Coding::Packed(super::class::PackedClass::Z, _) => TextClass::Z.holds(text),
        Coding::SignedText | Coding::SignedPacked(_) => match text.split_first() {
            Some((b'C' | b'D', digits)) => TextClass::N.holds(digits),
            _ => false,
        },
        Coding::Raw | Coding::Hex => return Err(EncodeRefusal::Kind { expected }),
    };
    if !good {
        return Err(EncodeRefusal::Content { expected });
    }
    let max = usize::from(program.length_max);
    match (max.checked_sub(text.len()), program.length) {
        (None, _) => Err(EncodeRefusal::Length {
            max,
            got: text.len(),
        }),
        (Some(missing), LengthForm::Fixed) => Ok(missing),
        (Some(_), LengthForm::Ascii(_) | LengthForm::Bcd(_)) => Ok(0),
    }
}

fn check_binary(program: &ElementProgram, got: usize) -> Result<(), EncodeRefusal> {
    let max = usize::from(program.length_max);
    match (program.coding, program.length) {
        (Coding::Raw | Coding::Hex, LengthForm::Fixed) if got != max => {
            Err(EncodeRefusal::Size { expected: max, got })
        }
        (Coding::Raw | Coding::Hex, _) if got > max => Err(EncodeRefusal::Length { max, got }),
        (Coding::Raw | Coding::Hex, _) => Ok(()),
        _ => Err(EncodeRefusal::Kind {
            expected: program.coding.class(),
        }),
    }
}

fn refuse(element: u8, refusal: EncodeRefusal) -> EncodeError {
    EncodeError {
        place: Place::Element(element),
        refusal,
    }
}

const FIRST_BITMAP_LAST: u8 = 64;
const NUMBER_DIGITS_MAX: usize = 20;
