//! The short walk over a message that has nothing wrong with it.
//!
//! Each element of a specification is compiled to one [`Step`] of a few bytes. The walk finds where
//! the elements stand and looks at neighbours of the same content in one go; it gathers what is
//! wrong without asking in between and answers only whether all is good. When anything is not, the
//! careful walk of the decoder says what.

use super::bitmap::Bitmap;
use super::class::{Content, TextClass};
use super::decode::{bitmap_words, message_type};
use super::element::{Coding, ElementProgram};
use super::encoding::Fill;
use super::length::{LengthForm, PrefixDigits};
use super::message::{Place, Slots};
use super::spec::{Header, Layout};
use super::{FRAME_BYTES_MAX, Message};

/// One element as the short walk runs it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    length: StepLength,
    /// What the value holds, each byte by itself.
    content: Content,
    /// Whether the length, which holds digits, may be looked at as if it were value.
    joins: bool,
    /// Half bytes on the wire for each unit of length.
    halves: u8,
    /// The nibbles of the first and of the last byte that are zero beside an odd count.
    fill: [u8; 2],
    length_max: u16,
    /// Bytes on the wire of the greatest length.
    size_max: u16,
    coding: Coding,
}

/// How the length of an element is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StepLength {
    Fixed,
    AsciiTwo,
    AsciiThree,
    BcdTwo,
    BcdThree,
    /// As the whole program of the element says; or there is no such element.
    Program,
}

impl Step {
    /// The step of an element that the specification does not have.
    pub(super) const UNDEFINED: Self = Self {
        length: StepLength::Program,
        content: Content::Free,
        joins: false,
        halves: 0,
        fill: [0; 2],
        length_max: 0,
        size_max: 0,
        coding: Coding::Raw,
    };

    /// The step of an element.
    pub(super) fn new(program: &ElementProgram) -> Self {
        let coding = program.coding;
        let whole = Self {
            coding,
            ..Self::UNDEFINED
        };
        let (content, halves) = match coding {
            Coding::Text(class) => (class.content(), 2),
            Coding::Ebcdic(_, TextClass::N) => (Content::EbcdicDigits, 2),
            Coding::Packed(class, Fill::Left | Fill::Right) => (class.content(), 1),
            Coding::Raw | Coding::Converted(_) => (Content::Free, 2),
            Coding::Hex => (Content::Hex, 4),
            _ => return whole,
        };
        let length = match program.length {
            _ if !program.plain => return whole,
            LengthForm::Fixed => StepLength::Fixed,
            LengthForm::Ascii(PrefixDigits::Two) => StepLength::AsciiTwo,
            LengthForm::Ascii(PrefixDigits::Three) => StepLength::AsciiThree,
            LengthForm::Bcd(PrefixDigits::Two) => StepLength::BcdTwo,
            LengthForm::Bcd(PrefixDigits::Three) => StepLength::BcdThree,
            LengthForm::Prefix(_) | LengthForm::Until(_) | LengthForm::Rest => return whole,
        };
        let Ok(size_max) = u16::try_from(coding.wire_size(usize::from(program.length_max))) else {
            return whole;
        };
        let even = length == StepLength::Fixed && program.length_max.is_multiple_of(2);
        Self {
            length,
            content,
            joins: match length {
                StepLength::Fixed | StepLength::Program => true,
                StepLength::AsciiTwo | StepLength::AsciiThree => content.has_digits(),
                StepLength::BcdTwo | StepLength::BcdThree => content.has_packed_digits(),
            },
            halves,
            fill: match coding {
                Coding::Packed(_, Fill::Left) if !even => [0xf0, 0x00],
                Coding::Packed(_, Fill::Right) if !even => [0x00, 0x0f],
                _ => [0; 2],
            },
            length_max: program.length_max,
            size_max,
            coding,
        }
    }

    /// Reads the length before the value: its bytes, what it says, and anything but zero when it is
    /// not made of digits.
    #[inline(always)]
    fn read_length(&self, rest: &[u8]) -> Option<(usize, u16, u8)> {
        let above_nine = |digit: u8| u8::from(digit > 9);
        let (lead, [hundreds, tens, ones]) = match self.length {
            StepLength::AsciiTwo => {
                let [tens, ones] = rest.first_chunk::<2>()?;
                (
                    2,
                    [b'0', *tens, *ones].map(|digit| digit.wrapping_sub(b'0')),
                )
            }
            StepLength::AsciiThree => {
                let digits = rest.first_chunk::<3>()?;
                (3, digits.map(|digit| digit.wrapping_sub(b'0')))
            }
            StepLength::BcdTwo => {
                let [low] = rest.first_chunk::<1>()?;
                (1, [0, low >> 4, low & 0x0f])
            }
            StepLength::BcdThree => {
                let [high, low] = rest.first_chunk::<2>()?;
                (2, [*high, low >> 4, low & 0x0f])
            }
            StepLength::Fixed | StepLength::Program => return None,
        };
        let length = u16::from(hundreds)
            .wrapping_mul(100)
            .wrapping_add(u16::from(tens).wrapping_mul(10))
            .wrapping_add(u16::from(ones));
        let wrong = above_nine(hundreds) | above_nine(tens) | above_nine(ones);
        Some((lead, length, wrong | u8::from(length > self.length_max)))
    }
}

/// Neighbouring bytes of one content that nobody has looked at yet.
#[derive(Clone, Copy)]
struct Run {
    content: Content,
    start: usize,
}

impl Run {
    /// What is wrong with the bytes up to here: zero for nothing.
    #[inline(never)]
    fn look(self, frame: &[u8], end: usize) -> Option<u64> {
        let until = frame.get(..end)?;
        let size = end.wrapping_sub(self.start);
        match self.content.refused(until, size) {
            Some(refused) => Some(refused),
            // So near the start of the frame that a whole word does not fit.
            None => self.look_alone(until),
        }
    }

    #[cold]
    fn look_alone(self, until: &[u8]) -> Option<u64> {
        let good = self.content.holds(until.get(self.start..)?);
        Some(u64::from(!good))
    }
}

/// Reads a message that has nothing wrong with it; `None` when anything is not as specified.
#[inline]
pub(super) fn read(layout: &Layout, message: &mut Message) -> Option<()> {
    let Header {
        bitmap: form,
        bitmaps,
        ..
    } = layout.header;
    let (frame, mti, present, slots) = message.unread();
    if frame.len() > FRAME_BYTES_MAX {
        return None;
    }
    let (rest, read) = message_type(layout, frame).ok()?;
    let (rest, words) = bitmap_words(form, bitmaps, rest).ok()?;
    let start = frame.len().saturating_sub(rest.len());
    *mti = read;
    *present = Bitmap::new(bitmaps, words);
    walk(layout, *present, frame, start, slots)
}

/// Walks over the announced elements from this place to the end of the frame.
fn walk(
    layout: &Layout,
    announced: Bitmap,
    frame: &[u8],
    start: usize,
    slots: &mut Slots,
) -> Option<()> {
    let (index, places, codings) = slots.room(announced.len());
    let mut rows = places.iter_mut().zip(codings);
    let mut walk = Walk {
        frame,
        run: Run {
            content: Content::Free,
            start,
        },
        at: start,
        wrong: 0,
    };
    let [first, second, third] = announced.sets();
    let [low, middle, high] = layout.steps();
    let mut row = 0_u8;
    for bit in first {
        let step = low.get(bit)?;
        *index.get_mut(bit)? = row;
        row = row.wrapping_add(1);
        let (place, coding) = rows.next()?;
        *place = walk.element(layout, step, bit)?;
        *coding = step.coding;
    }
    for (set, steps, base) in [(second, middle, 64), (third, high, 128)] {
        for bit in set {
            let step = steps.get(bit)?;
            let (place, coding) = rows.next()?;
            *place = walk.element(layout, step, bit.wrapping_add(base))?;
            *coding = step.coding;
        }
    }
    walk.wrong |= walk.run.look(frame, walk.at)?;
    (walk.at == frame.len() && walk.wrong == 0).then_some(())
}

/// How far the walk is.
struct Walk<'f> {
    frame: &'f [u8],
    run: Run,
    at: usize,
    /// What was wrong so far: zero for nothing.
    wrong: u64,
}

impl Walk<'_> {
    /// Walks over one element, whose number is one above this place in the bitmaps.
    #[inline(always)]
    fn element(&mut self, layout: &Layout, step: &Step, bit: usize) -> Option<Place> {
        let at = self.at;
        let (value, length, size) = if step.length == StepLength::Fixed {
            if step.content != self.run.content {
                self.turn(step.content, at, at)?;
            }
            (at, step.length_max, usize::from(step.size_max))
        } else if step.length == StepLength::Program {
            return self.program(layout, bit);
        } else {
            let (lead, length, bad) = step.read_length(self.frame.get(at..)?)?;
            self.wrong |= u64::from(bad);
            let value = at.wrapping_add(lead);
            if step.content != self.run.content || !step.joins {
                self.turn(step.content, at, value)?;
            }
            let halves = usize::from(length).wrapping_mul(usize::from(step.halves));
            (value, length, halves.wrapping_add(1) / 2)
        };
        let end = value.wrapping_add(size);
        if step.fill != [0; 2] && length & 1 == 1 {
            let [first, last] = step.fill;
            self.wrong |= u64::from(first & self.frame.get(value)?);
            self.wrong |= u64::from(last & self.frame.get(end.wrapping_sub(1))?);
        }
        self.at = end;
        Some(Place::new(at, end, value, length))
    }

    /// Looks at the bytes up to here, and begins with another content there.
    #[inline(always)]
    fn turn(&mut self, content: Content, end: usize, start: usize) -> Option<()> {
        self.wrong |= self.run.look(self.frame, end)?;
        self.run = Run { content, start };
        Some(())
    }

    /// Walks over one element as its whole program says.
    #[inline(never)]
    fn program(&mut self, layout: &Layout, bit: usize) -> Option<Place> {
        let at = self.at;
        let number = u8::try_from(bit.wrapping_add(1)).ok()?;
        let program = layout.program(number)?;
        let (rest, taken) = program.take(self.frame.get(at..)?).ok()?;
        if !program.coding.holds(taken.value, usize::from(taken.length)) {
            return None;
        }
        let end = self.frame.len().saturating_sub(rest.len());
        self.turn(Content::Free, at, end)?;
        self.at = end;
        let value = at.saturating_add(taken.lead);
        Some(Place::new(at, end, value, taken.length))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::decode::carefully;
    use super::*;
    use crate::iso8583::MessageSpec;

    /// Whatever the bytes are, the short walk agrees with the careful one: it reads the same where
    /// there is nothing wrong, and nothing else.
    #[test]
    fn the_short_walk_agrees_with_the_careful_one() {
        let forms = include_str!("../../fixtures/hostile/forms.toml");
        let forms = MessageSpec::parse(forms).unwrap();
        let seeds: [&[u8]; 6] = [
            include_bytes!("../../fuzz/corpus/messages/ascii-001"),
            include_bytes!("../../fuzz/corpus/messages/ascii-013"),
            include_bytes!("../../fuzz/corpus/messages/binary-001"),
            include_bytes!("../../fuzz/corpus/messages/binary-013"),
            include_bytes!("../../fuzz/corpus/messages/forms-0"),
            include_bytes!("../../fuzz/corpus/messages/forms-all"),
        ];
        let mut random = 8583_u64;
        let mut next = |limit: usize| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(random >> 33).unwrap() % limit
        };
        let mut good = 0;
        for spec in MessageSpec::builtins().iter().chain([&forms]) {
            for _ in 0..4_000 {
                let mut frame = seeds[next(seeds.len())].to_vec();
                for _ in 0..next(3) {
                    let place = next(frame.len());
                    frame[place] = u8::try_from(next(256)).unwrap();
                }
                good += agree(spec, Bytes::from(frame));
            }
        }
        assert!(good > 1_000, "{good} good messages");
    }

    fn agree(spec: &MessageSpec, frame: Bytes) -> usize {
        let careful = carefully(spec, frame.clone());
        let mut short = crate::iso8583::decode::unread(spec, frame);
        match (read(spec.layout(), &mut short), careful) {
            (Some(()), Ok(careful)) => {
                assert_eq!(short.mti(), careful.mti());
                assert!(short.elements().eq(careful.elements()));
                for element in short.elements() {
                    assert_eq!(short.wire(element), careful.wire(element), "{element}");
                    assert_eq!(short.raw(element), careful.raw(element), "{element}");
                    assert_eq!(short.text(element), careful.text(element), "{element}");
                    assert_eq!(short.length(element), careful.length(element), "{element}");
                }
                1
            }
            (None, Err(_)) => 0,
            (Some(()), Err(failure)) => panic!("good for the short walk: {failure}"),
            (None, Ok(message)) => panic!("only good for the careful walk: {message:?}"),
        }
    }
}
