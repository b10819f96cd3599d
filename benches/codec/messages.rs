//! Seeded 0100 messages of twenty elements.

use bytes::{Bytes, BytesMut};
use cardswitch::iso8583::{MessageSpec, MessageWriter, Mti};

/// The ASCII form that other codecs speak too: a bitmap, a PIN block and chip data of bytes.
pub(crate) fn ascii_spec() -> MessageSpec {
    let rows = include_str!("../../spec/iso8583/iso87-ascii.toml")
        .replace("bitmap = \"hex\"", "bitmap = \"binary\"")
        .replace("binary = \"hex\"", "binary = \"raw\"")
        .lines()
        .map(|line| match line.starts_with("55 ") {
            true => line.replace("ans...999", "b...999"),
            false => line.to_owned(),
        })
        .collect::<Vec<String>>();
    MessageSpec::parse(&rows.join("\n")).unwrap()
}

/// Messages in one round; so many that no branch predictor learns them.
const MESSAGES: usize = 256;

/// Which elements the messages carry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sets {
    /// Elements 2, 3, 4, 7, 11-14, 18, 22, 25, 32, 35, 37, 41-43, 49, 52 and 55.
    One,
    /// Each message some of 14, 25, 35, 43, 52 and 55, in no order, and all the others.
    Many,
}

/// Purchases of varying lengths and content, the same in every run.
pub(crate) fn purchases(spec: &MessageSpec, sets: Sets) -> Vec<Bytes> {
    let mut random = Random(8583);
    let purchase = |_| purchase(spec, sets, &mut random);
    (0..MESSAGES).map(purchase).collect()
}

fn purchase(spec: &MessageSpec, sets: Sets, random: &mut Random) -> Bytes {
    let mut carried = match sets {
        Sets::One => u8::MAX,
        Sets::Many => random.byte(),
    };
    let mut carries = |element| {
        let optional = matches!(element, 14 | 25 | 35 | 43 | 52 | 55);
        carried = carried.rotate_left(u32::from(optional));
        !optional || carried & 1 == 1
    };
    let mut out = BytesMut::new();
    let mut writer = MessageWriter::begin(spec, Mti::new(100), &mut out);
    let pan_length = 15 + random.below(5);
    let pan = format!("4{}", random.text(pan_length - 1, DIGITS));
    let track = format!("{pan}={}", random.text(36 - pan.len(), DIGITS));
    for (element, text) in [
        (2, pan),
        (3, random.text(6, DIGITS)),
        (4, random.text(12, DIGITS)),
        (7, random.text(10, DIGITS)),
        (11, random.text(6, DIGITS)),
        (12, random.text(6, DIGITS)),
        (13, random.text(4, DIGITS)),
        (14, random.text(4, DIGITS)),
        (18, random.text(4, DIGITS)),
        (22, random.text(3, DIGITS)),
        (25, random.text(2, DIGITS)),
        (32, random.text_between(6..12)),
        (35, track),
        (37, random.text(12, LETTERS)),
        (41, random.text(8, LETTERS)),
        (42, random.text(15, LETTERS)),
        (43, random.text(40, PRINTABLE)),
        (49, random.text(3, DIGITS)),
    ] {
        if carries(element) {
            writer.text(element, &text).unwrap();
        }
    }
    let pin: Vec<u8> = (0..8).map(|_| random.byte()).collect();
    let chip: Vec<u8> = (0..100 + random.below(17)).map(|_| random.byte()).collect();
    for (element, bytes) in [(52, pin), (55, chip)] {
        if carries(element) {
            writer.binary(element, &bytes).unwrap();
        }
    }
    writer.finish().unwrap();
    out.freeze()
}

/// A linear congruential generator: the benches need variety, not quality.
struct Random(u64);

impl Random {
    fn byte(&mut self) -> u8 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        self.0.to_be_bytes()[0]
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit
    }

    fn text_between(&mut self, lengths: std::ops::Range<usize>) -> String {
        let length = lengths.start + self.below(lengths.len());
        self.text(length, DIGITS)
    }

    fn text(&mut self, length: usize, alphabet: &[u8]) -> String {
        (0..length)
            .map(|_| char::from(alphabet[self.below(alphabet.len())]))
            .collect()
    }
}

const DIGITS: &[u8] = b"0123456789";
const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const PRINTABLE: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghij 0123456789-./'&";
