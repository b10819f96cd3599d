//! Finds trace numbers and response code in a reply without decoding it again and again.
//!
//! A reply whose MTI, bitmaps and size were seen before has its elements where they were. The
//! caller checks STAN and RRN against what is in flight, so a position that moved cannot match.

use bytes::Bytes;

use crate::iso8583::{self, MessageSpec};

use super::digits::{DigitField, offset_in};

/// What a reply says that a load client needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReplyHead {
    pub(super) stan: u32,
    /// DE 37, when the reply has one.
    pub(super) rrn: Option<u64>,
    /// DE 39.
    pub(super) code: [u8; 2],
    /// Where its authentication code begins, when it ends with one.
    pub(super) covered: Option<usize>,
}

/// Layouts of the replies seen so far.
#[derive(Debug, Default)]
pub(super) struct Layouts {
    known: Vec<Layout>,
    /// Index of the layout that matched last.
    last: usize,
}

#[derive(Debug)]
struct Layout {
    /// MTI and bitmaps.
    head: Bytes,
    size: usize,
    stan: DigitField,
    rrn: Option<DigitField>,
    code: usize,
    covered: Option<usize>,
}

/// Layouts kept; a switch answers in a handful of shapes.
const LAYOUTS_MAX: usize = 32;

impl Layouts {
    /// Reads a reply at the positions of a layout seen before, `None` when it is new.
    pub(super) fn read_known(&mut self, body: &[u8]) -> Option<ReplyHead> {
        let last = self.known.get(self.last).filter(|layout| layout.fits(body));
        if let Some(layout) = last {
            return layout.read(body);
        }
        self.last = self.known.iter().position(|layout| layout.fits(body))?;
        self.known.get(self.last)?.read(body)
    }

    /// Decodes a reply and remembers its layout.
    pub(super) fn learn(&mut self, spec: &MessageSpec, body: &[u8]) -> Option<ReplyHead> {
        let message = iso8583::decode(spec, Bytes::copy_from_slice(body)).ok()?;
        let bytes = message.bytes();
        let first = message.elements().next()?;
        let head_size = offset_in(bytes, message.wire(first)?)?;
        let layout = Layout {
            head: bytes.slice(..head_size),
            size: bytes.len(),
            stan: DigitField::of(&message, 11, 6)?,
            rrn: DigitField::of(&message, 37, 12),
            code: offset_in(bytes, message.raw(39)?)?,
            covered: message.authentication_code().map(|it| it.covered.len()),
        };
        let head = layout.read(body);
        if !self.known.iter().any(|known| known.fits(body)) && self.known.len() < LAYOUTS_MAX {
            self.known.push(layout);
        }
        head
    }
}

impl Layout {
    fn fits(&self, body: &[u8]) -> bool {
        body.len() == self.size && body.starts_with(&self.head)
    }

    fn read(&self, body: &[u8]) -> Option<ReplyHead> {
        let rrn = match self.rrn {
            Some(field) => Some(field.read(body)?),
            None => None,
        };
        let code = body.get(self.code..)?.first_chunk::<2>()?;
        let stan = u32::try_from(self.stan.read(body)?).ok()?;
        Some(ReplyHead {
            stan,
            rrn,
            code: *code,
            covered: self.covered,
        })
    }
}
