//! The framings that peers really have, by the names under which their operators know them.
//!
//! `be2`, `be4`, `ascii4`, `bcd2` and `le2` say what is on the wire; the others are the names of
//! jPOS channels. Behind each may stand a header: `nac+tpdu`, `nac+tpdu-unswapped`, `cs+base1`, or
//! constant bytes, `ascii+hex:49534F303132303030303535`.

use super::error::FramingError;
use super::framing::{Boundary, Counts, Framing, KeepAlive, LengthEncoding, LengthField};
use super::header::Header;
use super::literal::Literal;

/// Bytes of the longest frame of a framing that sets no maximum itself.
const FRAME_MAX: usize = usize::MAX;
/// Bytes of the longest frame that ends with a mark: the channel it comes from takes no more.
const BASE24_FRAME_MAX: usize = 4_096;
/// End of text.
const ETX: u8 = 0x03;

/// One preset: what stands around header and body, and the rest by exception.
struct Preset {
    name: &'static str,
    boundary: Boundary,
    header: Header,
    keep_alive: KeepAlive,
    frame_max: usize,
}

const fn plain(name: &'static str, size: usize, encoding: LengthEncoding) -> Preset {
    Preset {
        name,
        boundary: Boundary::Length(LengthField::plain(size, encoding)),
        header: Header::None,
        keep_alive: KeepAlive::Ignore,
        frame_max: FRAME_MAX,
    }
}

/// Every preset. Of several with one wire form the first is the one a diagnosis names.
fn table() -> Vec<Preset> {
    use LengthEncoding::{Ascii, Bcd, Be, Hex, Le};

    let literal = |bytes: &[u8]| Literal::new(bytes).unwrap_or(Literal::EMPTY);
    let be2 = LengthField::plain(2, Be);
    let cs = LengthField {
        zeros_after: 2,
        ..be2
    };
    let inclusive = |name, size| Preset {
        boundary: Boundary::Length(LengthField {
            counts: Counts::BodyAndLength,
            ..LengthField::plain(size, Be)
        }),
        ..plain(name, size, Be)
    };
    // On these a zero is what is left of a length that did not fit, so it is no keep-alive.
    let wrapping = |name, size, encoding| Preset {
        keep_alive: KeepAlive::Close,
        ..plain(name, size, encoding)
    };
    let echoing = |name, length| Preset {
        boundary: Boundary::Length(length),
        keep_alive: KeepAlive::Echo,
        ..plain(name, length.size, length.encoding)
    };
    vec![
        plain("be2", 2, Be),
        plain("be4", 4, Be),
        plain("ascii4", 4, Ascii),
        plain("bcd2", 2, Bcd),
        plain("le2", 2, Le),
        plain("nac", 2, Be),
        plain("post", 2, Be),
        plain("fsd", 2, Be),
        inclusive("amex", 2),
        inclusive("nac-inclusive", 2),
        inclusive("be4-inclusive", 4),
        plain("bcd", 2, Bcd),
        wrapping("ncc", 2, Bcd),
        plain("ascii", 4, Ascii),
        wrapping("hex", 4, Hex),
        plain("raw", 4, Be),
        echoing("cmf", LengthField::plain(3, Be)),
        echoing("cs", cs),
        Preset {
            header: Header::Base1,
            ..echoing("vap", cs)
        },
        echoing(
            "gicc",
            LengthField {
                prefix: literal(&[0, 0]),
                ..be2
            },
        ),
        Preset {
            boundary: Boundary::Length(LengthField {
                prefix: literal(&[0xD0, 0x4A]),
                ..cs
            }),
            ..plain("rbp", 2, Be)
        },
        echoing(
            "base24tcp",
            LengthField {
                counts: Counts::BodyAndTrailer,
                trailer: literal(&[ETX]),
                ..be2
            },
        ),
        Preset {
            boundary: Boundary::End(ETX),
            frame_max: BASE24_FRAME_MAX,
            ..plain("base24", 1, Be)
        },
    ]
}

/// The names of all presets, each without a header behind it.
pub const PRESETS: [&str; 23] = [
    "be2",
    "be4",
    "ascii4",
    "bcd2",
    "le2",
    "nac",
    "post",
    "fsd",
    "amex",
    "nac-inclusive",
    "be4-inclusive",
    "bcd",
    "ncc",
    "ascii",
    "hex",
    "raw",
    "cmf",
    "cs",
    "vap",
    "gicc",
    "rbp",
    "base24tcp",
    "base24",
];

impl Framing {
    /// The framing of this preset name.
    ///
    /// # Errors
    /// The name is none of the presets, or what stands behind it is no header.
    pub fn preset(name: &str) -> Result<Self, FramingError> {
        let (base, header) = match name.split_once('+') {
            Some((base, header)) => (base, Some(header.parse()?)),
            None => (name, None),
        };
        let preset = table().into_iter().find(|preset| preset.name == base);
        let preset = preset.ok_or_else(|| FramingError::UnknownPreset {
            name: name.to_owned(),
        })?;
        Self::new(
            name,
            preset.boundary,
            header.unwrap_or(preset.header),
            preset.keep_alive,
            preset.frame_max,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_known_by_its_name() {
        let names: Vec<&str> = table().iter().map(|preset| preset.name).collect();
        assert_eq!(names, PRESETS);
        for name in PRESETS {
            assert_eq!(Framing::preset(name).unwrap().name(), name);
        }
    }

    #[test]
    fn a_header_may_stand_behind_every_preset() {
        for name in PRESETS {
            for (suffix, size) in [
                ("none", 0),
                ("tpdu", 5),
                ("tpdu-unswapped", 5),
                ("base1", 22),
                ("hex:49534F", 3),
            ] {
                let framing = Framing::preset(&format!("{name}+{suffix}")).unwrap();
                assert_eq!(framing.header().size_min(), size);
                assert_eq!(framing.header().to_string(), suffix);
            }
        }
    }

    #[test]
    fn a_name_that_is_no_preset_says_what_is_expected() {
        let long = format!("be2+hex:{}", "00".repeat(16));
        for (name, expected) in [
            ("be3", "'be3'"),
            ("be2+tcp", "'tcp'"),
            ("be2+hex:4", "hexadecimal"),
            ("be2+hex:", "hexadecimal"),
            ("be2+hex:zz", "hexadecimal"),
            (long.as_str(), "15 bytes"),
        ] {
            let error = Framing::preset(name).unwrap_err().to_string();
            assert!(error.contains(expected), "{name}: {error}");
        }
    }
}
