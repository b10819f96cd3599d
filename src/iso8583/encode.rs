//! Writing one message into a buffer, element by element.

use bytes::{BufMut, BytesMut};

use super::authentication::{CODE_BYTES, CodePlace};
use super::bitmap::Bitmap;
use super::class::{PackedClass, TextClass};
use super::codepage::CodePage;
use super::decode::bitmap_words;
use super::element::{Coding, ElementProgram, PadSide, SignClass};
use super::encoding;
use super::error::{EncodeError, EncodeRefusal, Place};
use super::length::LengthForm;
use super::message::ZONE_NEGATIVE;
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
    bitmap_count: usize,
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
        let (mti_size, digits) = match layout.header.mti {
            MtiForm::Ascii => (4, mti.digits().map(|digit| b'0' | digit)),
            MtiForm::Ebcdic => (4, mti.digits().map(|digit| 0xf0 | digit)),
            MtiForm::Bcd => (2, [version << 4 | class, function << 4 | origin, 0, 0]),
        };
        // The type and room for the bitmaps, which are written in the end.
        let mut head = [0; HEAD_BYTES_MAX];
        if let Some(place) = head.first_chunk_mut() {
            *place = digits;
        }
        let bitmap_count = layout.header.bitmaps.least();
        let bitmaps_size = layout.header.bitmap.size().saturating_mul(bitmap_count);
        let head = head.get(..bitmaps_size.saturating_add(mti_size));
        out.extend_from_slice(head.unwrap_or_default());
        let bitmap_start = start.saturating_add(mti_size);
        Self {
            spec,
            out,
            mti,
            start,
            bitmap_start,
            present: Bitmap::default(),
            bitmap_count,
            previous: 1,
            finished: false,
        }
    }

    /// Starts a message like another one: of its type, and with as many bitmaps even when the last
    /// of them announce nothing.
    #[must_use]
    pub fn begin_like(spec: &'s MessageSpec, message: &Message, out: &'b mut BytesMut) -> Self {
        let mut writer = Self::begin(spec, message.mti(), out);
        let header = spec.layout().header;
        let mti_size = writer.bitmap_start.saturating_sub(writer.start);
        let behind_mti = message.bytes().get(mti_size..).unwrap_or_default();
        if let Ok((rest, _)) = bitmap_words(header.bitmap, header.bitmaps, behind_mti) {
            let size = behind_mti.len().saturating_sub(rest.len());
            let count = size.checked_div(header.bitmap.size()).unwrap_or(1);
            if let Some(missing) = count.checked_sub(writer.bitmap_count) {
                let room = header.bitmap.size().saturating_mul(missing);
                writer.out.put_bytes(0, room);
                writer.bitmap_count = count;
            }
        }
        writer
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
            self.out.extend_from_slice(wire);
            self.close(element);
        }
        Ok(self)
    }

    /// Echoes several elements of another message, ascending, byte for byte; those that it does not
    /// have are left out. Neighbours in the message are copied at once.
    ///
    /// # Errors
    ///
    /// As [`MessageWriter::copy`]; the elements before the refused one are written.
    pub fn copy_all(
        &mut self,
        message: &Message,
        elements: &[u8],
    ) -> Result<&mut Self, EncodeError> {
        if message.fingerprint() != self.spec.fingerprint() {
            let element = elements.first().copied().unwrap_or(self.previous);
            return Err(refuse(element, EncodeRefusal::Foreign));
        }
        // Nearly all elements stand in the first bitmap, and in their order.
        let (mut first, mut previous) = (Bitmap::default(), self.previous);
        let mut rest = elements;
        while let [element @ ..=64, others @ ..] = rest
            && *element > previous
        {
            first.insert_first(*element);
            (previous, rest) = (*element, others);
        }
        match message.is_whole() {
            true => self.copy_first(message, first),
            false => rest = elements,
        }
        for element in rest {
            self.copy(message, *element)?;
        }
        Ok(self)
    }

    /// Echoes the wanted elements of a message without gaps, which are of the first bitmap and
    /// stand behind what is written.
    fn copy_first(&mut self, message: &Message, wanted: Bitmap) {
        let mut previous = self.previous;
        for run in message.present().runs(wanted) {
            self.out.extend_from_slice(message.span(run.clone()));
            previous = *run.end();
        }
        self.present = self.present.with(wanted.and(message.present()));
        self.previous = previous;
    }

    /// Writes text, padded as the specification says: usually numbers and amounts with zeros on
    /// the left, other text with spaces on the right.
    ///
    /// # Errors
    ///
    /// When the text does not fit or is not of the element's class, the element is binary or
    /// unknown, or out of order.
    pub fn text(&mut self, element: u8, text: &str) -> Result<&mut Self, EncodeError> {
        let program = self.program(element)?;
        if !program.is_whole(text.as_bytes()) {
            return self.shaped(program, element, text);
        }
        self.open(element)?;
        if !matches!(program.length, LengthForm::Fixed) {
            program.put_head(text.len(), self.out);
        }
        self.out.extend_from_slice(text.as_bytes());
        self.close(element);
        Ok(self)
    }

    /// Writes text that needs fill or another form.
    #[inline(never)]
    fn shaped(
        &mut self,
        program: &ElementProgram,
        element: u8,
        text: &str,
    ) -> Result<&mut Self, EncodeError> {
        let latin;
        let characters = match text.is_ascii() {
            true => text.as_bytes(),
            false => {
                latin = latin_text(program.coding, text).map_err(|why| refuse(element, why))?;
                &latin
            }
        };
        let (length, fill) = check_text(program, characters).map_err(|why| refuse(element, why))?;
        self.open(element)?;
        program.put_head(length, self.out);
        let value_start = self.out.len();
        put_text(program, characters, fill, self.out);
        self.end(program, element, value_start, length)
    }

    /// Writes the digits of a number into an element whose class takes them: `n`, `h`, `any` or
    /// `ascii`.
    ///
    /// # Errors
    ///
    /// When the number has too many digits, the element is of another class or unknown, or out of
    /// order.
    pub fn number(&mut self, element: u8, number: u64) -> Result<&mut Self, EncodeError> {
        let program = self.program(element)?;
        if !matches!(program.coding.class().0, "n" | "h" | "any" | "ascii") {
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
        program.put_head(bytes.len(), self.out);
        let value_start = self.out.len();
        put_bytes(program.coding, bytes, self.out);
        self.end(program, element, value_start, bytes.len())
    }

    /// Ends the message with room for its authentication code: DE 64, or DE 128 behind elements
    /// beyond DE 64. Eight zeros stand there until [`CodePlace::fill`].
    ///
    /// # Errors
    ///
    /// As [`MessageWriter::finish`], and where the specification has no eight bytes there.
    pub fn finish_with_code(mut self) -> Result<CodePlace, EncodeError> {
        let element = if self.previous < 64 { 64 } else { 128 };
        let program = self.program(element)?;
        check_binary(program, CODE_BYTES).map_err(|why| refuse(element, why))?;
        self.open(element)?;
        let code_start = self.out.len();
        program.put_head(CODE_BYTES, self.out);
        let value_start = self.out.len();
        put_bytes(program.coding, &[0; CODE_BYTES], self.out);
        self.end(program, element, value_start, CODE_BYTES)?;
        let place = CodePlace {
            message: self.start,
            code: code_start,
            value: value_start,
            coding: program.coding,
        };
        self.finish()?;
        Ok(place)
    }

    /// Writes the bitmaps into their places and ends the message.
    ///
    /// # Errors
    ///
    /// When the message type is of another edition than the specification, or the message longer
    /// than [`FRAME_BYTES_MAX`]; the buffer is then as it was before.
    pub fn finish(mut self) -> Result<(), EncodeError> {
        let header = self.layout().header;
        let got = self.mti.version();
        if let Some(expected) = header.version.filter(|expected| *expected != got) {
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
        let words = self.present.words(header.bitmaps, self.bitmap_count);
        let mut places = self.out.get_mut(self.bitmap_start..).unwrap_or_default();
        for word in words.into_iter().take(self.bitmap_count) {
            let Some((place, rest)) = places.split_at_mut_checked(header.bitmap.size()) else {
                break;
            };
            header.bitmap.write(word, place);
            places = rest;
        }
        self.finished = true;
        Ok(())
    }

    fn layout(&self) -> &'s Layout {
        self.spec.layout()
    }

    pub(super) fn program(&self, element: u8) -> Result<&'s ElementProgram, EncodeError> {
        let program = self.layout().program(element);
        program.ok_or_else(|| refuse(element, EncodeRefusal::Undefined))
    }

    /// Checks the order, and makes room for another bitmap before the first element it names.
    #[inline]
    fn open(&mut self, element: u8) -> Result<(), EncodeError> {
        if element <= self.previous {
            let refusal = EncodeRefusal::Order {
                previous: self.previous,
            };
            return Err(refuse(element, refusal));
        }
        let needed: usize = match element {
            0..=64 => 1,
            65..=128 => 2,
            _ => 3,
        };
        if needed > self.bitmap_count {
            self.make_room(needed);
        }
        Ok(())
    }

    /// Moves the elements so that there is room for so many bitmaps, more than there are.
    #[cold]
    fn make_room(&mut self, needed: usize) {
        let missing = needed.saturating_sub(self.bitmap_count);
        let size = self.layout().header.bitmap.size();
        let present = size.saturating_mul(self.bitmap_count);
        let body_start = self.bitmap_start.saturating_add(present);
        let body_end = self.out.len();
        let room = size.saturating_mul(missing);
        self.out.put_bytes(0, room);
        // Both ends lie inside the buffer: it holds a bitmap and was just made longer.
        self.out
            .copy_within(body_start..body_end, body_start.saturating_add(room));
        self.bitmap_count = needed;
    }

    /// Writes what stands behind a value; refuses one that would be cut at its end marker.
    fn end(
        &mut self,
        program: &ElementProgram,
        element: u8,
        value_start: usize,
        length: usize,
    ) -> Result<&mut Self, EncodeError> {
        let value_end = self.out.len();
        program.put_tail(length, self.out);
        if let LengthForm::Until(end) = program.length {
            let written = self.out.get(value_start..).unwrap_or_default();
            let size = end.bytes().len();
            let mut windows = written.windows(size);
            let first = windows.position(|window| window == end.bytes());
            if first != Some(value_end.saturating_sub(value_start)) {
                self.out.truncate(value_start);
                let expected = program.coding.class();
                return Err(refuse(element, EncodeRefusal::Content { expected }));
            }
        }
        self.close(element);
        Ok(self)
    }

    #[inline]
    fn close(&mut self, element: u8) {
        self.present.insert(element);
        self.previous = element;
    }
}

impl Drop for MessageWriter<'_, '_> {
    fn drop(&mut self) {
        if !self.finished {
            self.out.truncate(self.start);
        }
    }
}

/// Writes the bytes of a binary value.
pub(super) fn put_bytes(coding: Coding, bytes: &[u8], out: &mut BytesMut) {
    match coding {
        Coding::Hex => {
            for byte in bytes {
                out.put_slice(&encoding::hex_pair(*byte));
            }
        }
        Coding::HexEbcdic => {
            for byte in bytes {
                let pair = encoding::hex_pair(*byte);
                out.put_slice(&pair.map(|character| CodePage::Ibm1047.byte_of(character)));
            }
        }
        Coding::Converted(page) => {
            for byte in bytes {
                out.put_u8(page.byte_of(*byte));
            }
        }
        _ => out.put_slice(bytes),
    }
}

/// Writes characters that have been checked, with the fill that they need.
pub(super) fn put_text(program: &ElementProgram, text: &[u8], fill: usize, out: &mut BytesMut) {
    let negative = text.starts_with(b"-");
    let text = match (program.coding, text) {
        (Coding::Text(_), _) if fill == 0 => return out.extend_from_slice(text),
        (Coding::Zoned, [b'-', digits @ ..]) => digits,
        _ => text,
    };
    let (sign, rest, side) = match program.pad.map(|pad| pad.side) {
        Some(PadSide::Sign) => {
            let (sign, rest) = text.split_at_checked(1).unwrap_or_default();
            (sign, rest, PadSide::Left)
        }
        side => (Default::default(), text, side.unwrap_or(PadSide::Right)),
    };
    match program.coding {
        Coding::Packed(_, odd_fill) => {
            encoding::pack(rest, fill, odd_fill, |byte| out.put_u8(byte));
        }
        Coding::SignedPacked(_, odd_fill) => {
            out.put_slice(sign);
            encoding::pack(rest, fill, odd_fill, |byte| out.put_u8(byte));
        }
        coding => {
            let filler = program.pad.map_or(b' ', |pad| program.pad_byte(pad));
            let before = match side {
                PadSide::Left | PadSide::Sign => fill,
                PadSide::Right => 0,
            };
            put_characters(coding, sign, out);
            out.put_bytes(filler, before);
            put_characters(coding, rest, out);
            out.put_bytes(filler, fill.saturating_sub(before));
            if let (Coding::Zoned, true, Some(last)) = (coding, negative, out.last_mut()) {
                *last = ZONE_NEGATIVE | *last & 0x0f;
            }
        }
    }
}

fn put_characters(coding: Coding, text: &[u8], out: &mut BytesMut) {
    match coding {
        Coding::Ebcdic(page, _) => text
            .iter()
            .for_each(|character| out.put_u8(page.byte_of(*character))),
        Coding::SignedEbcdic | Coding::Zoned => text
            .iter()
            .for_each(|character| out.put_u8(CodePage::Ibm1047.byte_of(*character))),
        _ => out.put_slice(text),
    }
}

/// Text that is not ASCII as bytes of ISO 8859-1.
pub(super) fn latin_text(coding: Coding, text: &str) -> Result<Vec<u8>, EncodeRefusal> {
    let characters = text.chars().map(|character| match coding {
        Coding::Ebcdic(page, _) => page.latin(character),
        _ => u8::try_from(character).ok(),
    });
    let expected = coding.class();
    characters
        .collect::<Option<Vec<u8>>>()
        .ok_or(EncodeRefusal::Content { expected })
}

/// Checks class and length; answers the length with its fill, and the fill.
pub(super) fn check_text(
    program: &ElementProgram,
    text: &[u8],
) -> Result<(usize, usize), EncodeRefusal> {
    let expected = program.coding.class();
    let mut got = text.len();
    let good = match program.coding {
        Coding::Text(class) | Coding::Ebcdic(_, class) => class.holds(text),
        Coding::Packed(PackedClass::N, _) => TextClass::N.holds(text),
        Coding::Packed(PackedClass::Z, _) => TextClass::Z.holds(text),
        Coding::Packed(PackedClass::H, _) => text
            .iter()
            .all(|character| character.is_ascii_hexdigit() || *character == b'='),
        Coding::Zoned => {
            let digits = text.strip_prefix(b"-").unwrap_or(text);
            got = digits.len();
            TextClass::N.holds(digits) && (got == text.len() || got > 0)
        }
        Coding::SignedText | Coding::SignedEbcdic | Coding::SignedPacked(SignClass::Strict, _) => {
            match text.split_first() {
                Some((b'C' | b'D', digits)) => TextClass::N.holds(digits),
                _ => false,
            }
        }
        Coding::SignedPacked(SignClass::Any, _) => match text.split_first() {
            Some((b' '..=b'~', digits)) => TextClass::N.holds(digits),
            _ => false,
        },
        Coding::Raw | Coding::Hex | Coding::HexEbcdic | Coding::Converted(_) => {
            return Err(EncodeRefusal::Kind { expected });
        }
    };
    if !good {
        return Err(EncodeRefusal::Content { expected });
    }
    let max = usize::from(program.length_max);
    match (max.checked_sub(got), program.length, program.pad) {
        (None, ..) => Err(EncodeRefusal::Length { max, got }),
        (Some(0), ..) => Ok((max, 0)),
        (Some(_), LengthForm::Fixed, None) => Err(EncodeRefusal::Size { expected: max, got }),
        // A sign that is padded behind needs to be there.
        (Some(_), LengthForm::Fixed, Some(pad)) if pad.side == PadSide::Sign && got == 0 => {
            Err(EncodeRefusal::Size { expected: max, got })
        }
        (Some(missing), LengthForm::Fixed, Some(_)) => Ok((max, missing)),
        (Some(_), ..) => Ok((got, 0)),
    }
}

pub(super) fn check_binary(program: &ElementProgram, got: usize) -> Result<(), EncodeRefusal> {
    let max = usize::from(program.length_max);
    match program.length {
        _ if !program.coding.is_binary() => Err(EncodeRefusal::Kind {
            expected: program.coding.class(),
        }),
        LengthForm::Fixed if got != max => Err(EncodeRefusal::Size { expected: max, got }),
        _ if got > max => Err(EncodeRefusal::Length { max, got }),
        _ => Ok(()),
    }
}

fn refuse(element: u8, refusal: EncodeRefusal) -> EncodeError {
    EncodeError {
        place: Place::Element(element),
        refusal,
    }
}

const NUMBER_DIGITS_MAX: usize = 20;
/// A message type of four characters and the two bitmaps that a message may always have, of
/// sixteen characters each.
const HEAD_BYTES_MAX: usize = 36;
