//! How an element stands on the wire, in the words of specification files.

use super::bitmap::{BitmapForm, Bitmaps};
use super::element::{Coding, ElementProgram, ElementSpec, PadSide, TagPlace};
use super::encoding::Fill;
use super::length::{Counts, LengthForm, PrefixCode, PrefixDigits};
use super::parts::hexadecimal;
use super::spec::{Header, MtiForm};

impl ElementSpec {
    /// How the value, its length and its padding are written, in a few words.
    #[must_use]
    pub fn wire_words(&self) -> String {
        let program = &self.program;
        let mut words = vec![coding(program)];
        words.extend(length(program));
        if let Some(pad) = program.pad.filter(|_| self.pads()) {
            let side = match pad.side {
                PadSide::Left => "left",
                PadSide::Right => "right",
                PadSide::Sign => "sign",
            };
            let character = char::from(pad.character).escape_default();
            words.push(format!(
                "pad {side} {character:?}",
                character = character.to_string()
            ));
        }
        if program.rare.strip {
            words.push("stripped".to_owned());
        }
        if program.rare.filled {
            words.push("filled".to_owned());
        }
        if let Some(tag) = program.rare.tag {
            let place = match tag.place {
                TagPlace::Before => "",
                TagPlace::Counted => " counted",
                TagPlace::Behind => " behind",
            };
            words.push(format!("tag {}{place}", hexadecimal(tag.marker.bytes())));
        }
        words.join(", ")
    }

    /// Whether a short value is padded at all.
    fn pads(&self) -> bool {
        !self.is_variable() || self.program.rare.filled || self.program.rare.strip
    }
}

impl Header {
    /// How message type and bitmaps are written.
    pub(super) fn words(&self) -> String {
        let mti = match self.mti {
            MtiForm::Ascii => "ascii",
            MtiForm::Ebcdic => "ebcdic",
            MtiForm::Bcd => "bcd",
        };
        let bitmap = match self.bitmap {
            BitmapForm::Hex => "hex",
            BitmapForm::HexEbcdic => "ebcdic-hex",
            BitmapForm::Binary => "binary",
        };
        let bitmaps = match self.bitmaps {
            Bitmaps::One | Bitmaps::Plain => "one",
            Bitmaps::UpToTwo => "up to two",
            Bitmaps::UpToThree => "up to three",
            Bitmaps::Two => "always two",
        };
        let version = self
            .version
            .map_or("any".to_owned(), |version| version.to_string());
        format!("version {version}, type {mti}, bitmap {bitmap}, {bitmaps}")
    }
}

fn coding(program: &ElementProgram) -> String {
    // Nothing is filled where the count of digits is always even.
    let odd_fill = |fill, digits: u16| match (program.length, digits.is_multiple_of(2)) {
        (LengthForm::Fixed, true) => String::new(),
        _ => format!(", odd fill {}", fill_word(fill)),
    };
    let length = program.length_max;
    match program.coding {
        Coding::Text(_) => "latin1".to_owned(),
        Coding::Ebcdic(page, _) => format!("ebcdic-{}", page.word()),
        Coding::Packed(_, fill) => format!("bcd{}", odd_fill(fill, length)),
        Coding::SignedText => "sign and latin1 digits".to_owned(),
        Coding::SignedEbcdic => "sign and ebcdic digits".to_owned(),
        Coding::SignedPacked(_, fill) => {
            let fill = odd_fill(fill, length.saturating_sub(1));
            format!("sign and bcd{fill}")
        }
        Coding::Zoned => "zoned".to_owned(),
        Coding::Raw => "raw".to_owned(),
        Coding::Hex => "hex".to_owned(),
        Coding::HexEbcdic => "ebcdic-hex".to_owned(),
        Coding::Converted(page) => format!("bytes as ebcdic-{}", page.word()),
    }
}

const fn fill_word(fill: Fill) -> &'static str {
    match fill {
        Fill::Left => "left",
        Fill::Right => "right",
        Fill::RightF => "right-f",
    }
}

/// How the length is known; nothing of a fixed one.
fn length(program: &ElementProgram) -> Option<String> {
    let digits = |digits| match digits {
        PrefixDigits::Two => 2,
        PrefixDigits::Three => 3,
    };
    Some(match program.length {
        LengthForm::Fixed => return None,
        LengthForm::Ascii(count) => format!("length ascii {}", digits(count)),
        LengthForm::Bcd(count) => format!("length bcd {}", digits(count)),
        LengthForm::Prefix(prefix) => {
            let code = match prefix.code {
                PrefixCode::Ascii => "ascii",
                PrefixCode::Ebcdic => "ebcdic",
                PrefixCode::Bcd => "bcd",
                PrefixCode::Binary => "binary",
                PrefixCode::Hex => "hex",
                PrefixCode::Ber => "ber",
            };
            let counts = match prefix.counts {
                Counts::Value => "",
                Counts::Bytes => " of bytes",
                Counts::Nibbles => " of nibbles",
                Counts::Even => " of even digits",
            };
            let inclusive = if prefix.inclusive { " and itself" } else { "" };
            format!("length {code} {}{counts}{inclusive}", prefix.width)
        }
        LengthForm::Until(end) => format!("until {}", hexadecimal(end.bytes())),
        LengthForm::Rest => "rest".to_owned(),
    })
}
