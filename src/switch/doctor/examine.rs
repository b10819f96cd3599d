//! Cuts bytes with every framing and reads what was cut with every specification.

use bytes::Bytes;

use crate::iso8583::{MessageSpec, decode, rebuild};
use crate::transport::{FrameCodec, Framing, Header, Literal, PRESETS};

use super::finding::{Diagnosis, End, Finding, Fit};
use super::probe::Probe;

/// Bytes of a stream that are looked at: several messages, and no more work than a decision takes.
pub const EXAMINED_BYTES_MAX: usize = 8_192;
/// Frames read of one stream; more would not change what is believed.
const FRAMES_MAX: usize = 8;
/// Keep-alives skipped in one stream.
const KEEP_ALIVES_MAX: usize = 64;
/// The literal header of some networks: `ISO` and nine digits.
const ISO_HEADER_SIZE: usize = 12;

/// Every framing that a peer may speak, each wire form once, under the name a diagnosis uses.
#[must_use]
pub fn suspects() -> Vec<Framing> {
    let mut suspects: Vec<Framing> = Vec::new();
    for suffix in ["", "+tpdu", "+base1", "+none"] {
        let named = PRESETS
            .iter()
            .map(|name| Framing::preset(&format!("{name}{suffix}")));
        for framing in named.flatten() {
            if !suspects.iter().any(|known| known.has_wire_of(&framing)) {
                suspects.push(framing);
            }
        }
    }
    suspects
}

/// Says what the first bytes of a stream are.
#[must_use]
pub fn examine(bytes: &[u8], specs: &[&MessageSpec]) -> Diagnosis {
    if let Some(probe) = Probe::of(bytes) {
        return Diagnosis::Probe(probe);
    }
    let bytes = Bytes::copy_from_slice(bytes.get(..EXAMINED_BYTES_MAX).unwrap_or(bytes));
    let mut findings: Vec<Finding> = Vec::new();
    for framing in suspects() {
        let cut = Cut::of(&framing, &bytes);
        if let Some(with_literal) = literal_header(&framing, &cut) {
            findings.push(Cut::of(&with_literal, &bytes).read(Some(with_literal), specs));
        }
        findings.push(cut.read(Some(framing), specs));
    }
    findings.push(Cut::whole(&bytes).read(None, specs));
    findings.retain(Finding::is_believable);
    // Stable, so that of equals the first of the presets leads.
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.belief()));
    if findings.is_empty() {
        return Diagnosis::Unknown { bytes: bytes.len() };
    }
    Diagnosis::Speaks(findings)
}

/// What one framing makes of a stream.
struct Cut {
    bodies: Vec<Bytes>,
    /// The part that is there of a frame that is not complete.
    rest: Bytes,
    keep_alives: usize,
    end: End,
}

impl Cut {
    fn of(framing: &Framing, bytes: &Bytes) -> Self {
        let codec = FrameCodec::new(framing, usize::MAX);
        let mut cut = Self {
            bodies: Vec::new(),
            rest: Bytes::new(),
            keep_alives: 0,
            end: End::Clean,
        };
        let mut rest = bytes.clone();
        while !rest.is_empty() {
            if cut.bodies.len() == FRAMES_MAX || cut.keep_alives == KEEP_ALIVES_MAX {
                cut.end = End::Open;
                break;
            }
            let bounds = match codec.bounds(&rest) {
                Ok(Some(bounds)) => bounds,
                Ok(None) => {
                    cut.end = End::Open;
                    cut.rest = rest;
                    break;
                }
                Err(_) => {
                    cut.end = End::Broken;
                    break;
                }
            };
            let frame = rest.split_to(bounds.whole);
            let body = frame.slice(bounds.body_start..bounds.body_end);
            if body.is_empty() {
                cut.keep_alives += 1;
            } else {
                cut.bodies.push(body);
            }
        }
        cut
    }

    /// The stream as one message without any framing.
    fn whole(bytes: &Bytes) -> Self {
        Self {
            bodies: vec![bytes.clone()],
            rest: Bytes::new(),
            keep_alives: 0,
            end: End::Clean,
        }
    }

    fn read(&self, framing: Option<Framing>, specs: &[&MessageSpec]) -> Finding {
        let begun = framing.as_ref().map(|framing| self.begun(framing));
        let fits = specs.iter().map(|spec| self.fit(spec, begun.as_ref()));
        let mut fit = Fit::Nothing;
        for next in fits {
            if strength(&next) > strength(&fit) {
                fit = next;
            }
        }
        Finding {
            framing,
            frames: self.bodies.len(),
            keep_alives: self.keep_alives,
            end: self.end,
            fit,
        }
    }

    /// What is there of the body of a first frame that is not complete.
    fn begun(&self, framing: &Framing) -> Bytes {
        let mut start = bytes::BytesMut::new();
        let codec = FrameCodec::new(framing, usize::MAX);
        let _mark = codec.begin(&mut start, &framing.header().of_request());
        self.rest.slice(start.len().min(self.rest.len())..)
    }

    fn fit(&self, spec: &MessageSpec, begun: Option<&Bytes>) -> Fit {
        let mut messages = 0_usize;
        let mut is_exact = true;
        let first = self.bodies.first().or(begun);
        for body in &self.bodies {
            let Ok(message) = decode(spec, body.clone()) else {
                break;
            };
            messages += 1;
            is_exact &= rebuild(spec, &message).is_ok_and(|again| again == *body);
        }
        let spec_name = spec.name().to_owned();
        if messages > 0 {
            return Fit::Whole {
                spec: spec_name,
                messages,
                is_exact,
            };
        }
        let failure = first.and_then(|body| decode(spec, body.clone()).err());
        match failure {
            Some(failure) => Fit::Begins {
                spec: spec_name,
                elements: failure
                    .partial
                    .map_or(0, |partial| partial.elements().count()),
                error: failure.error,
            },
            None => Fit::Nothing,
        }
    }
}

fn strength(fit: &Fit) -> (usize, bool, usize) {
    match fit {
        Fit::Nothing => (0, false, 0),
        Fit::Begins { elements, .. } => (0, false, *elements),
        Fit::Whole {
            messages, is_exact, ..
        } => (*messages, *is_exact, usize::MAX),
    }
}

/// The same framing with the literal header that the first message begins with, if it does.
fn literal_header(framing: &Framing, cut: &Cut) -> Option<Framing> {
    if framing.header() != Header::None {
        return None;
    }
    let header = cut.bodies.first()?.get(..ISO_HEADER_SIZE)?;
    let digits = header.strip_prefix(b"ISO")?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let header = Header::Fixed(Literal::new(header)?);
    let base = framing.name().split('+').next().unwrap_or_default();
    Some(framing.with_header(&format!("{base}+{header}"), header))
}
