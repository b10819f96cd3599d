//! One pass over a frame: message type, bitmaps, then every element the bitmaps announce. A frame
//! with nothing wrong takes the short walk (see plan.rs); this is the careful one.
//!
//! Structure (lengths, bitmaps, the end of the frame) and content (classes) fail differently: after
//! a structural error nothing behind it can be found, so the walk stops; after a content error the
//! boundaries are still known, so the walk goes on and only the bad element is left out.

use bytes::Bytes;
use nom::IResult;

use super::bitmap::{Bitmap, BitmapForm, Bitmaps};
use super::element::Coding;
use super::error::{DecodeError, DecodeFailure, Place, Refusal};
use super::message::{FEW, Message, Place as Stand, Rows, places};
use super::mti::{InvalidMti, Mti};
use super::plan::Plan;
use super::spec::{Header, Layout, MtiForm};
use super::{FRAME_BYTES_MAX, MessageSpec};

/// Reads a frame that holds exactly one message.
///
/// # Errors
///
/// [`DecodeFailure`] with the first error and everything that could be read.
#[expect(
    clippy::result_large_err,
    reason = "the partial message is as large as the good one, and boxing it would allocate"
)]
pub fn decode(spec: &MessageSpec, frame: Bytes) -> Result<Message, DecodeFailure> {
    let layout = spec.layout();
    let head = head(layout, &frame);
    let known = head.and_then(|(mti, words, start)| {
        let plan = spec
            .plans()
            .find(Bitmap::new(layout.header.bitmaps, words))?;
        Some((plan, mti, start))
    });
    match known {
        Some((plan, mti, start)) => planned(spec, plan, mti, start, frame),
        None => unseen(spec, frame),
    }
}

/// What stands before the elements: the message type, the bitmaps, and the bytes of both; `None`
/// when anything is wrong with them.
#[inline(always)]
pub(super) fn head(layout: &Layout, frame: &[u8]) -> Option<(Mti, [u64; 3], usize)> {
    let Header {
        bitmap: form,
        bitmaps,
        ..
    } = layout.header;
    if frame.len() > FRAME_BYTES_MAX {
        return None;
    }
    let (rest, mti) = message_type(layout, frame).ok()?;
    let (rest, words) = bitmap_words(form, bitmaps, rest).ok()?;
    Some((mti, words, frame.len().saturating_sub(rest.len())))
}

/// Reads a frame whose elements are those of a plan and begin at this place.
#[inline(always)]
#[expect(clippy::result_large_err, reason = "as the careful walk")]
pub(super) fn planned(
    spec: &MessageSpec,
    plan: &Plan,
    mti: Mti,
    start: usize,
    frame: Bytes,
) -> Result<Message, DecodeFailure> {
    let (mut few, mut many) = ([Stand::default(); FEW], plan.many());
    let places = places(&mut few, &mut many);
    if plan.walk(spec.layout(), start, &frame, places).is_none() {
        return carefully(spec, frame);
    }
    // Nothing of the message is put together before: it is too large to be moved for nothing.
    let (fingerprint, present) = (spec.fingerprint(), plan.present());
    let message = Message::new(fingerprint, frame, mti, present, few, plan.rows(), many);
    Ok(message)
}

/// Reads a frame whose set of elements was never seen in a good message, and learns the set when
/// this one is good.
#[cold]
#[expect(clippy::result_large_err, reason = "as the careful walk")]
fn unseen(spec: &MessageSpec, frame: Bytes) -> Result<Message, DecodeFailure> {
    let result = carefully(spec, frame);
    if let Ok(message) = &result {
        spec.plans().learn(spec.layout(), message.present());
    }
    result
}

/// Reads a frame that may be wrong in any way, element by element.
#[cold]
#[expect(
    clippy::result_large_err,
    reason = "the partial message is as large as the good one, and boxing it would allocate"
)]
pub(super) fn carefully(spec: &MessageSpec, frame: Bytes) -> Result<Message, DecodeFailure> {
    if frame.len() > FRAME_BYTES_MAX {
        let refusal = Refusal::FrameLength {
            max: FRAME_BYTES_MAX,
            got: frame.len(),
        };
        let error = DecodeError {
            place: Place::Frame,
            offset: 0,
            refusal,
        };
        return Err(DecodeFailure {
            error,
            partial: None,
        });
    }
    let layout = spec.layout();
    let (rest, mti) = match message_type(layout, &frame) {
        Ok(read) => read,
        Err(stopped) => {
            let error = stop_at(Place::Mti, frame.len(), stopped);
            return Err(DecodeFailure {
                error,
                partial: None,
            });
        }
    };
    let mut walk = Walk {
        frame_size: frame.len(),
        ..Walk::default()
    };
    walk.run(layout, rest);
    let Walk {
        present,
        slots,
        error,
        ..
    } = walk;
    let (stands, codings): (Vec<Stand>, Vec<Coding>) = slots.into_iter().unzip();
    let (rows, mut many) = Rows::new(present, &codings);
    let mut few = [Stand::default(); FEW];
    for (place, stand) in places(&mut few, &mut many).iter_mut().zip(stands) {
        *place = stand;
    }
    let message = Message::new(spec.fingerprint(), frame, mti, present, few, rows, many);
    match error {
        None => Ok(message),
        Some(error) => Err(DecodeFailure {
            error,
            partial: Some(message.in_part()),
        }),
    }
}

/// What one pass has found so far.
#[derive(Default)]
struct Walk {
    frame_size: usize,
    present: Bitmap,
    slots: Vec<(Stand, Coding)>,
    error: Option<DecodeError>,
}

impl Walk {
    fn run(&mut self, layout: &Layout, input: &[u8]) {
        let Header {
            bitmap: form,
            bitmaps,
            ..
        } = layout.header;
        match bitmap_words(form, bitmaps, input) {
            Ok((rest, words)) => self.elements(layout, Bitmap::new(bitmaps, words), rest),
            Err((place, stopped)) => self.stop(place, stopped),
        }
    }

    fn elements(&mut self, layout: &Layout, announced: Bitmap, input: &[u8]) {
        let mut left_out = Bitmap::default();
        let mut rest = input;
        for number in announced.elements() {
            let taken = match layout.program(number) {
                Some(program) => program.take(rest).map(|taken| (program, taken)),
                None => Err(undefined(rest.len())),
            };
            let (program, (after, taken)) = match taken {
                Ok(taken) => taken,
                Err(stopped) => {
                    self.present = announced.below(number).without(left_out);
                    return self.stop(Place::Element(number), stopped);
                }
            };
            let (wire_start, wire_end) = (self.offset(rest), self.offset(after));
            rest = after;
            let length = usize::from(taken.length);
            let value_start = wire_start.saturating_add(taken.lead);
            if program.coding.holds(taken.value, length) {
                let stand = Stand::new(wire_start, wire_end, value_start, taken.length);
                self.slots.push((stand, program.coding));
            } else {
                left_out.insert(number);
                let (index, refusal) = program.coding.explain(taken.value, length);
                self.fail(
                    Place::Element(number),
                    value_start.saturating_add(index),
                    refusal,
                );
            }
        }
        self.present = announced.without(left_out);
        if !rest.is_empty() {
            let refusal = Refusal::Trailing { got: rest.len() };
            self.fail(Place::Frame, self.offset(rest), refusal);
        }
    }

    fn offset(&self, rest: &[u8]) -> usize {
        self.frame_size.saturating_sub(rest.len())
    }

    fn stop(&mut self, place: Place, stopped: nom::Err<Stop>) {
        let error = stop_at(place, self.frame_size, stopped);
        self.error.get_or_insert(error);
    }

    /// Keeps the first error.
    #[cold]
    fn fail(&mut self, place: Place, offset: usize, refusal: Refusal) {
        self.error.get_or_insert(DecodeError {
            place,
            offset,
            refusal,
        });
    }
}

#[cold]
fn undefined(left: usize) -> nom::Err<Stop> {
    nom::Err::Failure(Stop {
        left,
        refusal: Refusal::Undefined,
    })
}

#[inline(always)]
pub(super) fn message_type<'a>(layout: &Layout, input: &'a [u8]) -> IResult<&'a [u8], Mti, Stop> {
    let (rest, digits) = match layout.header.mti {
        MtiForm::Ascii => {
            let (rest, characters) = piece(4)(input)?;
            (
                rest,
                characters
                    .first_chunk::<4>()
                    .map(|four| four.map(|c| c.wrapping_sub(b'0'))),
            )
        }
        MtiForm::Ebcdic => {
            let (rest, characters) = piece(4)(input)?;
            let four = characters.first_chunk::<4>();
            (rest, four.map(|four| four.map(|c| c.wrapping_sub(0xf0))))
        }
        MtiForm::Bcd => {
            let (rest, packed) = piece(2)(input)?;
            let digits = packed
                .first_chunk::<2>()
                .map(|[high, low]| [high >> 4, high & 0x0f, low >> 4, low & 0x0f]);
            (rest, digits)
        }
    };
    // A value above nine, which no digit has, is refused with the other out-of-range digits.
    let mti = digits.map_or(Err(InvalidMti::NotFourDigits), Mti::from_digits);
    let refusal = match (mti, layout.header.version) {
        (Ok(mti), Some(expected)) if mti.version() != expected => Refusal::Version {
            expected,
            got: mti.version(),
        },
        (Ok(mti), _) => return Ok((rest, mti)),
        (Err(invalid), _) => Refusal::Mti(invalid),
    };
    Err(nom::Err::Failure(Stop {
        left: input.len(),
        refusal,
    }))
}

/// Takes as many bitmaps as their first bits announce.
#[inline(always)]
pub(super) fn bitmap_words(
    form: BitmapForm,
    bitmaps: Bitmaps,
    input: &[u8],
) -> Result<(&[u8], [u64; 3]), PlacedStop> {
    let (rest, first) = bitmap_word(form, input).map_err(|why| (Place::Bitmap, why))?;
    let another = Bitmap::another_follows(first);
    match bitmaps {
        Bitmaps::One | Bitmaps::Two if another => {
            // The bit announces what this specification does not have.
            return Err((Place::Element(1), undefined(input.len())));
        }
        Bitmaps::One | Bitmaps::Plain => return Ok((rest, [first, 0, 0])),
        Bitmaps::UpToTwo | Bitmaps::UpToThree if !another => return Ok((rest, [first, 0, 0])),
        Bitmaps::Two | Bitmaps::UpToTwo | Bitmaps::UpToThree => {}
    }
    let (rest, second) = bitmap_word(form, rest).map_err(|why| (Place::SecondBitmap, why))?;
    if bitmaps != Bitmaps::UpToThree || !Bitmap::another_follows(second) {
        return Ok((rest, [first, second, 0]));
    }
    let (rest, third) = bitmap_word(form, rest).map_err(|why| (Place::ThirdBitmap, why))?;
    Ok((rest, [first, second, third]))
}

fn bitmap_word(form: BitmapForm, input: &[u8]) -> IResult<&[u8], u64, Stop> {
    let (rest, wire) = piece(form.size())(input)?;
    match form.read(wire) {
        Some(word) => Ok((rest, word)),
        None => Err(nom::Err::Failure(Stop {
            left: input.len(),
            refusal: Refusal::BitmapHex,
        })),
    }
}

fn stop_at(place: Place, frame_size: usize, stopped: nom::Err<Stop>) -> DecodeError {
    let (left, refusal) = match stopped {
        nom::Err::Error(stop) | nom::Err::Failure(stop) => (stop.left, stop.refusal),
        // The complete parsers never ask for more; if one did, the frame would be too short.
        nom::Err::Incomplete(_) => (
            0,
            Refusal::Truncated {
                expected: 1,
                got: 0,
            },
        ),
    };
    DecodeError {
        place,
        offset: frame_size.saturating_sub(left),
        refusal,
    }
}

/// Why a parser cannot go on, and how many bytes were left when it began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stop {
    pub(super) left: usize,
    pub(super) refusal: Refusal,
}

/// Why a parser of several places cannot go on, and at which of them.
pub(super) type PlacedStop = (Place, nom::Err<Stop>);

/// A parser that takes exactly so many bytes.
#[inline]
pub(super) fn piece<'a>(size: usize) -> impl Fn(&'a [u8]) -> IResult<&'a [u8], &'a [u8], Stop> {
    move |input: &'a [u8]| match input.split_at_checked(size) {
        Some((taken, rest)) => Ok((rest, taken)),
        None => {
            let refusal = Refusal::Truncated {
                expected: size,
                got: input.len(),
            };
            Err(nom::Err::Failure(Stop {
                left: input.len(),
                refusal,
            }))
        }
    }
}
