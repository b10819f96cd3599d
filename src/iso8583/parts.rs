//! The parts of an element: fields in a fixed order, or those that a bitmap of its own announces.
//!
//! An element is one value until someone asks for its parts; nothing is read twice or copied.

use std::borrow::Cow;

use super::Refusal;
use super::bitmap::{Bitmap, BitmapForm, Bitmaps};
use super::decode::{Stop, bitmap_words};
use super::element::ElementSpec;
use super::message::{binary_of, text_of};
use super::take::Taken;

/// How the parts of an element stand in its value.
#[derive(Debug, Clone)]
pub struct Parts {
    pub(super) form: PartsForm,
    pub(super) rows: Vec<ElementSpec>,
}

/// How it is known which parts there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PartsForm {
    /// All in order; the last ones may be missing.
    Positional,
    /// A bitmap in front announces them.
    Bitmap(BitmapForm, Bitmaps),
}

/// One part of an element.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    spec: &'a ElementSpec,
    wire: &'a [u8],
    taken: Taken<'a>,
}

/// Why the parts of an element cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("part {part} at byte {offset} of the element: {refusal}")]
pub struct PartError {
    /// The number of the part; 0 also for the bitmap and for what follows the last part.
    pub part: u8,
    /// Bytes from the start of the value of the element.
    pub offset: usize,
    /// What was expected and what was there.
    pub refusal: Refusal,
}

impl Parts {
    /// Every part that an element may have, ascending.
    #[must_use]
    pub fn rows(&self) -> &[ElementSpec] {
        &self.rows
    }

    /// Reads the parts out of the value of their element, ascending.
    ///
    /// # Errors
    ///
    /// The first part that is not as specified, or bytes behind the last one.
    pub fn read<'a>(&'a self, value: &'a [u8]) -> Result<Vec<Part<'a>>, PartError> {
        let refused = |part: u8, stopped: nom::Err<Stop>| match stopped {
            nom::Err::Error(stop) | nom::Err::Failure(stop) => PartError {
                part,
                offset: value.len().saturating_sub(stop.left),
                refusal: stop.refusal,
            },
            nom::Err::Incomplete(_) => PartError {
                part,
                offset: value.len(),
                refusal: Refusal::Undefined,
            },
        };
        let mut rest = value;
        let announced = match self.form {
            PartsForm::Positional => None,
            PartsForm::Bitmap(form, bitmaps) => {
                let (after, words) = bitmap_words(form, bitmaps, rest)
                    .map_err(|(_, stopped)| refused(0, stopped))?;
                rest = after;
                let announced = Bitmap::new(bitmaps, words);
                let unknown = |number: &u8| self.rows.iter().all(|row| row.number != *number);
                if let Some(part) = announced.elements().find(unknown) {
                    return Err(PartError {
                        part,
                        offset: value.len().saturating_sub(rest.len()),
                        refusal: Refusal::Undefined,
                    });
                }
                Some(announced)
            }
        };
        let mut parts = Vec::new();
        for row in &self.rows {
            let is_there = match announced {
                Some(announced) => announced.has(row.number),
                None => !rest.is_empty(),
            };
            if !is_there {
                continue;
            }
            let before = rest;
            let (after, taken) = row
                .program
                .take(rest)
                .map_err(|stopped| refused(row.number, stopped))?;
            rest = after;
            let length = usize::from(taken.length);
            let coding = row.program.coding;
            let offset = value.len().saturating_sub(before.len());
            if !coding.holds(taken.value, length) {
                let (index, refusal) = coding.explain(taken.value, length);
                return Err(PartError {
                    part: row.number,
                    offset: offset.saturating_add(taken.lead).saturating_add(index),
                    refusal,
                });
            }
            let size = before.len().saturating_sub(after.len());
            parts.push(Part {
                spec: row,
                wire: before.get(..size).unwrap_or_default(),
                taken,
            });
        }
        match rest.len() {
            0 => Ok(parts),
            got => Err(PartError {
                part: 0,
                offset: value.len().saturating_sub(got),
                refusal: Refusal::Trailing { got },
            }),
        }
    }
}

impl<'a> Part<'a> {
    /// What the specification says of the part.
    #[must_use]
    pub const fn spec(&self) -> &'a ElementSpec {
        self.spec
    }

    /// The part as it stands on the wire, with its length, tag and fill.
    #[must_use]
    pub const fn wire(&self) -> &'a [u8] {
        self.wire
    }

    /// The value as text, `None` for bytes.
    #[must_use]
    pub fn text(&self) -> Option<Cow<'a, str>> {
        let length = usize::from(self.taken.length);
        text_of(self.spec.program.coding, self.taken.value, length)
    }

    /// The bytes of a binary part, `None` for any other.
    #[must_use]
    pub fn binary(&self) -> Option<Cow<'a, [u8]>> {
        binary_of(self.spec.program.coding, self.taken.value)
    }
}

impl std::fmt::Debug for Part<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The content stays out, as with a message.
        write!(
            formatter,
            "Part({}, {} bytes withheld)",
            self.spec.number,
            self.wire.len()
        )
    }
}
