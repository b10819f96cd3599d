//! What can be wrong with a message, said without its content.

use std::fmt;

use super::Message;
use super::mti::InvalidMti;

/// A frame that is no message of the specification, and what could be read of it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{error}")]
pub struct DecodeFailure {
    /// The first thing that is wrong.
    pub error: DecodeError,
    /// The message type and every good element, when the message type could be read.
    pub partial: Option<Message>,
}

/// The first thing that is wrong with a frame: where, what was expected and what was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{place} at byte {offset}: {refusal}")]
pub struct DecodeError {
    /// The part of the message.
    pub place: Place,
    /// Bytes from the start of the frame.
    pub offset: usize,
    /// What was expected and what was there.
    pub refusal: Refusal,
}

/// A part of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The frame as a whole.
    Frame,
    /// The message type indicator.
    Mti,
    /// The first bitmap.
    Bitmap,
    /// The second bitmap.
    SecondBitmap,
    /// The third bitmap.
    ThirdBitmap,
    /// A data element.
    Element(u8),
}

/// Why a part of a frame is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The frame is longer than any message may be.
    #[error("expected a frame of at most {max} bytes, got {got}")]
    FrameLength {
        /// Greatest length in bytes.
        max: usize,
        /// Length in bytes.
        got: usize,
    },
    /// The frame ends inside this part.
    #[error("expected {expected} more bytes, got {got}")]
    Truncated {
        /// Bytes that belong to the part.
        expected: usize,
        /// Bytes left in the frame.
        got: usize,
    },
    /// The digits are no message type.
    #[error("{0}")]
    Mti(InvalidMti),
    /// The message type is of another edition of the standard.
    #[error("expected message type version {expected}, got {got}")]
    Version {
        /// The version digit of the specification.
        expected: u8,
        /// The version digit of the message.
        got: u8,
    },
    /// A bitmap holds something else than hexadecimal characters.
    #[error("expected hexadecimal characters")]
    BitmapHex,
    /// The bitmap announces an element that the specification does not have.
    #[error("expected no such element, got its bit")]
    Undefined,
    /// A length prefix holds something else than decimal digits.
    #[error("expected a length of decimal digits")]
    LengthDigits,
    /// A length prefix is none of the short or long forms of BER.
    #[error("expected a length in the definite form of BER")]
    LengthBer,
    /// A length prefix says less than what it counts besides the value.
    #[error("expected a length of at least {min}, got {got}")]
    LengthShort {
        /// What the prefix counts besides the value.
        min: u16,
        /// The length that the prefix says.
        got: u16,
    },
    /// A length prefix counts half bytes, and their number is odd.
    #[error("expected an even count of half bytes, got {got}")]
    LengthOdd {
        /// The length that the prefix says.
        got: u16,
    },
    /// The bytes before or after the length are not the tag of the element.
    #[error("expected the tag of the element")]
    Tag,
    /// The bytes in front are the tag of no part, and nothing says how to pass one over.
    #[error("expected the tag of a part")]
    TagUnknown,
    /// The bytes in front are no tag of BER.
    #[error("expected a tag of at most four bytes")]
    TagBer,
    /// The bytes that end the value are not in the frame.
    #[error("expected the bytes that end the value")]
    Unended,
    /// A length prefix says more than the specification allows.
    #[error("expected a length of at most {max}, got {got}")]
    Length {
        /// Greatest length in characters, digits or bytes of value.
        max: u16,
        /// The length that the prefix says.
        got: u16,
    },
    /// A byte or nibble is not of the content class of the element.
    #[error("expected {expected} at position {position}, got {got}")]
    Content {
        /// The content class of the element.
        expected: ContentClass,
        /// The kind of what was there.
        got: ByteKind,
        /// Character or digit of the value, from 1.
        position: usize,
    },
    /// The fill nibble beside an odd count of packed digits is not the one of the specification.
    #[error("expected the fill nibble of the specification, got another")]
    Fill,
    /// Bytes follow the last element.
    #[error("expected the end of the message, got {got} more bytes")]
    Trailing {
        /// Bytes that follow.
        got: usize,
    },
}

/// A content class as the standard writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentClass(pub(super) &'static str);

/// What kind of byte was there, where the byte itself must not be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ByteKind {
    /// 0 to 9.
    Digit,
    /// A to Z or a to z.
    Letter,
    /// A space.
    Space,
    /// Any other printable character of ASCII.
    Special,
    /// A control character of ASCII.
    Control,
    /// A byte of 0x80 or more.
    High,
    /// A packed nibble from A to F.
    HexNibble,
}

impl ContentClass {
    /// The class as the standard writes it, such as `ans`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0
    }
}

impl DecodeError {
    /// The number of the data element at fault, when it is one.
    #[must_use]
    pub const fn element(&self) -> Option<u8> {
        match self.place {
            Place::Element(element) => Some(element),
            Place::Frame
            | Place::Mti
            | Place::Bitmap
            | Place::SecondBitmap
            | Place::ThirdBitmap => None,
        }
    }
}

/// An element that could not be written, or a message that could not be finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {refusal}")]
pub struct EncodeError {
    /// The part of the message.
    pub place: Place,
    /// What was expected and what was offered.
    pub refusal: EncodeRefusal,
}

/// Why a value is not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeRefusal {
    /// Elements are written in ascending order, each once.
    #[error("expected an element above {previous}")]
    Order {
        /// The element written last.
        previous: u8,
    },
    /// The specification does not have this element.
    #[error("expected an element of the specification")]
    Undefined,
    /// The value does not fit.
    #[error("expected a length of at most {max}, got {got}")]
    Length {
        /// Greatest length in characters, digits or bytes.
        max: usize,
        /// Length of the value.
        got: usize,
    },
    /// The value does not fill a fixed element that is not padded.
    #[error("expected a length of exactly {expected}, got {got}")]
    Size {
        /// Characters, digits or bytes of the element.
        expected: usize,
        /// Characters, digits or bytes of the value.
        got: usize,
    },
    /// The value is not of the content class of the element.
    #[error("expected {expected}")]
    Content {
        /// The content class of the element.
        expected: ContentClass,
    },
    /// A number for a text element, text for a binary one, or bytes for a text one.
    #[error("expected a value of another kind for {expected}")]
    Kind {
        /// The content class of the element.
        expected: ContentClass,
    },
    /// Text for bytes that is not hexadecimal.
    #[error("expected pairs of hexadecimal digits")]
    Hex,
    /// A part is left out though a later one is there, and it has no empty form.
    #[error("expected this part too, before a later one")]
    Missing,
    /// A part that stands only once is given twice.
    #[error("expected this part once")]
    Repeated,
    /// The key of a part is none that its element could have.
    #[error("expected the key of a part of the specification")]
    Key,
    /// The element to copy comes from a message of another specification.
    #[error("expected a message of the same specification")]
    Foreign,
    /// The message type is of another edition than the specification.
    #[error("expected message type version {expected}, got {got}")]
    Version {
        /// The version digit of the specification.
        expected: u8,
        /// The version digit of the message.
        got: u8,
    },
    /// The message is longer than any frame may be.
    #[error("expected a message of at most {max} bytes, got {got}")]
    FrameLength {
        /// Greatest length in bytes.
        max: usize,
        /// Length in bytes.
        got: usize,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Frame => formatter.write_str("frame"),
            Place::Mti => formatter.write_str("message type"),
            Place::Bitmap => formatter.write_str("bitmap"),
            Place::SecondBitmap => formatter.write_str("second bitmap"),
            Place::ThirdBitmap => formatter.write_str("third bitmap"),
            Place::Element(element) => write!(formatter, "DE {element}"),
        }
    }
}

impl fmt::Display for ContentClass {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "content class {}", self.0)
    }
}

impl fmt::Display for ByteKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            ByteKind::Digit => "a digit",
            ByteKind::Letter => "a letter",
            ByteKind::Space => "a space",
            ByteKind::Special => "a special character",
            ByteKind::Control => "a control character",
            ByteKind::High => "a byte above 7F",
            ByteKind::HexNibble => "a nibble above nine",
        })
    }
}
