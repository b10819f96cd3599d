//! One element of a specification in the few bytes that the short walk needs (see plan.rs).

use super::class::{Content, TextClass};
use super::element::{Coding, ElementProgram};
use super::encoding::Fill;
use super::length::{LengthForm, PrefixDigits};

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
}

/// How the length of an element is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StepLength {
    Fixed,
    AsciiTwo,
    AsciiThree,
    BcdTwo,
    BcdThree,
    /// As the whole program of the element says.
    Program,
}

/// Where an element of varying length stands.
pub(super) struct Reach {
    pub(super) value: usize,
    pub(super) end: usize,
    pub(super) length: u16,
    /// Anything but zero when the length is not made of digits or too great.
    pub(super) wrong: u8,
}

impl Step {
    /// The step of an element.
    pub(super) fn new(program: &ElementProgram) -> Self {
        let coding = program.coding;
        let whole = Self {
            length: StepLength::Program,
            content: Content::Free,
            joins: false,
            halves: 0,
            fill: [0; 2],
            length_max: 0,
            size_max: 0,
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
        }
    }

    /// Whether its length is always the greatest.
    pub(super) fn is_fixed(&self) -> bool {
        self.length == StepLength::Fixed
    }

    /// Whether only the whole program of the element can read it.
    pub(super) fn is_program(&self) -> bool {
        self.length == StepLength::Program
    }

    /// What the value holds, each byte by itself.
    pub(super) const fn content(&self) -> Content {
        self.content
    }

    /// Whether the length may be looked at as if it were value.
    pub(super) const fn joins(&self) -> bool {
        self.joins
    }

    /// The nibbles of the first and of the last byte that are zero beside an odd count of digits.
    #[inline(always)]
    pub(super) const fn fill(&self) -> [u8; 2] {
        self.fill
    }

    /// The greatest length.
    pub(super) const fn length_max(&self) -> u16 {
        self.length_max
    }

    /// Bytes on the wire of the greatest length.
    pub(super) const fn size_max(&self) -> u16 {
        self.size_max
    }

    /// Bytes of the length.
    pub(super) const fn lead(&self) -> u8 {
        match self.length {
            StepLength::Fixed | StepLength::Program => 0,
            StepLength::BcdTwo => 1,
            StepLength::AsciiTwo | StepLength::BcdThree => 2,
            StepLength::AsciiThree => 3,
        }
    }

    /// Reads the length of an element that begins here; `None` when the frame ends in it, or when
    /// the length is none that varies.
    #[inline(always)]
    pub(super) fn reach(&self, frame: &[u8], at: usize) -> Option<Reach> {
        let rest = frame.get(at..)?;
        let above_nine = |digit: u8| u8::from(digit > 9);
        let (lead, [hundreds, tens, ones]) = match self.length {
            StepLength::AsciiTwo => {
                let [tens, ones] = rest.first_chunk::<2>()?;
                let digits = [b'0', *tens, *ones];
                (2, digits.map(|digit| digit.wrapping_sub(b'0')))
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
        let halves = usize::from(length).wrapping_mul(usize::from(self.halves));
        let value = at.wrapping_add(lead);
        Some(Reach {
            value,
            end: value.wrapping_add(halves.wrapping_add(1) / 2),
            length,
            wrong: wrong | u8::from(length > self.length_max),
        })
    }
}
