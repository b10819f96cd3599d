//! What the doctor found, in order of belief and in words.

use std::fmt;

use crate::iso8583::DecodeError;
use crate::transport::Framing;

use super::probe::Probe;

/// What the bytes of a peer are.
#[derive(Debug, Clone)]
pub enum Diagnosis {
    /// No peer at all.
    Probe(Probe),
    /// Messages of these framings and specifications, the most believable first, at least one.
    Speaks(Vec<Finding>),
    /// Nothing we know.
    Unknown {
        /// How many bytes were looked at.
        bytes: usize,
    },
}

/// One framing and specification that could be meant.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The framing, `None` when the message stands alone.
    pub framing: Option<Framing>,
    /// Frames that were cut.
    pub frames: usize,
    /// Keep-alives before and between them.
    pub keep_alives: usize,
    /// What stood behind the last frame.
    pub end: End,
    /// What the frames hold.
    pub fit: Fit,
}

/// What stood behind the last frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Bytes that this framing refuses.
    Broken,
    /// The start of another frame.
    Open,
    /// Nothing.
    Clean,
}

/// How the content of the frames fits a specification.
#[derive(Debug, Clone)]
pub enum Fit {
    /// The lengths are right; no specification reads the content.
    Nothing,
    /// The first message can be read up to an error.
    Begins {
        /// Name of the specification.
        spec: String,
        /// Elements that could be read.
        elements: usize,
        /// What is wrong with the next.
        error: DecodeError,
    },
    /// Whole messages.
    Whole {
        /// Name of the specification.
        spec: String,
        /// How many.
        messages: usize,
        /// Whether each, written anew from its values, gave the same bytes.
        is_exact: bool,
    },
}

impl Finding {
    /// The name of the framing.
    #[must_use]
    pub fn framing_name(&self) -> &str {
        self.framing.as_ref().map_or("no framing", Framing::name)
    }

    /// The name of the specification that fits best, if one does.
    #[must_use]
    pub fn spec_name(&self) -> Option<&str> {
        match &self.fit {
            Fit::Nothing => None,
            Fit::Begins { spec, .. } | Fit::Whole { spec, .. } => Some(spec),
        }
    }

    /// Orders findings by belief, the greatest first: whole messages, the same bytes back, no rest;
    /// then how far the first message could be read; then what needs least to explain.
    pub(super) fn belief(&self) -> impl Ord + use<> {
        let (whole, is_exact, elements) = match &self.fit {
            Fit::Nothing => (0, false, 0),
            Fit::Begins { elements, .. } => (0, false, *elements),
            Fit::Whole {
                messages, is_exact, ..
            } => (*messages, *is_exact, usize::MAX),
        };
        let header_size = self
            .framing
            .as_ref()
            .map_or(0, |framing| framing.header().size_min());
        (
            whole > 0,
            self.end,
            whole,
            is_exact,
            elements,
            std::cmp::Reverse(self.keep_alives),
            std::cmp::Reverse(header_size),
        )
    }

    /// Whether anything speaks for it besides chance.
    pub(super) fn is_believable(&self) -> bool {
        match &self.fit {
            Fit::Whole { .. } => true,
            Fit::Begins { elements, .. } => *elements > 0,
            // A length that ends exactly where the bytes end.
            Fit::Nothing => self.frames > 0 && self.end == End::Clean && self.framing.is_some(),
        }
    }

    fn fit_in_words(&self) -> String {
        match &self.fit {
            Fit::Nothing => "no specification fits the message".to_owned(),
            Fit::Begins { spec, error, .. } => {
                format!("the message begins like {spec}, then {error}")
            }
            Fit::Whole {
                spec,
                messages: 1,
                is_exact: true,
            } => format!("the message fits {spec}"),
            Fit::Whole {
                spec,
                messages,
                is_exact,
            } => {
                let exactly = if *is_exact {
                    ""
                } else {
                    ", though not byte for byte"
                };
                format!("{messages} message(s) fit {spec}{exactly}")
            }
        }
    }
}

impl Diagnosis {
    /// The most believable finding.
    #[must_use]
    pub fn best(&self) -> Option<&Finding> {
        match self {
            Self::Speaks(findings) => findings.first(),
            Self::Probe(_) | Self::Unknown { .. } => None,
        }
    }

    /// The sentence for the log of a listener that expects this framing and specification.
    #[must_use]
    pub fn for_listener(&self, expected: &Framing, expected_spec: &str) -> String {
        let Some(best) = self.best() else {
            let expects = format!("this listener expects {}", expected.name());
            return format!("{self}; {expects} and {expected_spec}");
        };
        let is_as_expected = best
            .framing
            .as_ref()
            .is_some_and(|framing| framing.has_wire_of(expected));
        let framing = if is_as_expected {
            format!("peer speaks {} as expected", expected.name())
        } else {
            format!(
                "peer speaks {}, this listener expects {}",
                best.framing_name(),
                expected.name()
            )
        };
        let spec = match best.spec_name() {
            Some(spec) if spec != expected_spec => {
                format!(", this listener expects {expected_spec}")
            }
            Some(_) | None => String::new(),
        };
        format!("{framing}; {}{spec}", best.fit_in_words())
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.best()) {
            (Self::Probe(probe), _) => probe.fmt(f),
            (_, Some(best)) => {
                write!(
                    f,
                    "peer speaks {}; {}",
                    best.framing_name(),
                    best.fit_in_words()
                )
            }
            (Self::Speaks(_) | Self::Unknown { .. }, None) => {
                f.write_str("peer speaks nothing we know")
            }
        }
    }
}
