//! The chip data of a message (DE 55) as a record: what a request cryptogram was made over, and
//! what it is answered with.
//!
//! The items are BER-TLV (EMV Book 3, annex B). Those that cryptograms of versions 10 and 18 are
//! made over must be there once and have their length; others are passed over. Shown nowhere.

use std::fmt;

use arrayvec::ArrayVec;

use crate::crypto::emv::{Cryptogram, CryptogramVersion};
use crate::iso8583::{TlvError, Tlvs};

/// Bytes of issuer application data (9F10).
const ISSUER_DATA_MAX: usize = 32;
/// What the terminal and the chip say besides them: tag, bytes, in the order in which the
/// cryptogram takes them. The other amount (9F03) counts as zero where it is missing.
const SIGNED: [(u16, usize); 10] = [
    (0x9F02, 6),
    (OTHER_AMOUNT, 6),
    (0x9F1A, 2),
    (0x0095, 5),
    (0x5F2A, 2),
    (0x009A, 3),
    (0x009C, 1),
    (UNPREDICTABLE, 4),
    (0x0082, 2),
    (COUNTER, 2),
];
/// Bytes of these together.
const SIGNED_BYTES: usize = 33;
const OTHER_AMOUNT: u16 = 0x9F03;
const UNPREDICTABLE: u16 = 0x9F37;
const COUNTER: u16 = 0x9F36;
const CRYPTOGRAM: u16 = 0x9F26;
const CRYPTOGRAM_KIND: u16 = 0x9F27;
const ISSUER_DATA: u16 = 0x9F10;
const SEQUENCE_NUMBER: u16 = 0x5F34;
/// Tag of issuer authentication data, in an answer.
const ISSUER_AUTHENTICATION: u8 = 0x91;

/// The two upper bits of 9F27: a request cryptogram.
const REQUEST: u8 = 0b1000_0000;
const KIND: u8 = 0b1100_0000;
/// Where the card's own verdicts (CVR) stand in issuer application data.
const CARD_RESULTS: std::ops::Range<usize> = 3..7;

/// Chip data as a record.
#[derive(Clone, PartialEq, Eq)]
pub struct ChipRecord<'a> {
    /// The request cryptogram.
    pub cryptogram: Cryptogram,
    /// The chip's transaction counter (ATC).
    pub counter: u16,
    /// The terminal's unpredictable number.
    pub unpredictable: [u8; 4],
    /// The card's sequence number (PSN), where it stands among the data.
    pub sequence_number: Option<u8>,
    /// Issuer application data: key index, cryptogram version, the card's own verdicts.
    pub issuer_data: &'a [u8],
    signed: [u8; SIGNED_BYTES],
}

/// Why chip data are no record; without any of their content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChipRecordError {
    /// The items cannot be read.
    #[error("chip data: {0}")]
    Items(#[from] TlvError),
    /// There is no cryptogram at all.
    #[error("chip data: there is no cryptogram")]
    NoCryptogram,
    /// The cryptogram is of another kind.
    #[error("chip data: the cryptogram is no request")]
    NoRequest,
    /// An item is missing.
    #[error("chip data: tag {tag:04X} is missing")]
    Missing {
        /// Which one.
        tag: u16,
    },
    /// An item is there twice.
    #[error("chip data: tag {tag:04X} is there twice")]
    Twice {
        /// Which one.
        tag: u16,
    },
    /// An item has not the length of such.
    #[error("chip data: tag {tag:04X}: expected {expected} bytes, got {got}")]
    Length {
        /// Which one.
        tag: u16,
        /// Bytes it should have, at most for issuer application data.
        expected: usize,
        /// Bytes it has.
        got: usize,
    },
    /// The counter of the card is a sequence number beyond two digits.
    #[error("chip data: the sequence number is no two digits")]
    SequenceNumber,
}

impl<'a> ChipRecord<'a> {
    /// Reads chip data.
    ///
    /// # Errors
    /// [`ChipRecordError`].
    pub fn parse(data: &'a [u8]) -> Result<ChipRecord<'a>, ChipRecordError> {
        let found = Found::among(data)?;
        let cryptogram = found.get(CRYPTOGRAM).ok_or(ChipRecordError::NoCryptogram)?;
        let mut signed = ArrayVec::<u8, SIGNED_BYTES>::new();
        for (tag, bytes) in SIGNED {
            let value = match (found.get(tag), tag) {
                (None, OTHER_AMOUNT) => &[0; 6],
                (value, _) => sized(tag, value, bytes)?,
            };
            // The lengths sum to what there is room for.
            signed.try_extend_from_slice(value).ok();
        }
        let kind = found.get(CRYPTOGRAM_KIND);
        let kind = kind
            .map(|_| exactly::<1>(CRYPTOGRAM_KIND, kind))
            .transpose()?;
        if kind.is_some_and(|[kind]| kind & KIND != REQUEST) {
            return Err(ChipRecordError::NoRequest);
        }
        let issuer_data = found
            .get(ISSUER_DATA)
            .ok_or(ChipRecordError::Missing { tag: ISSUER_DATA })?;
        if issuer_data.len() > ISSUER_DATA_MAX {
            return Err(ChipRecordError::Length {
                tag: ISSUER_DATA,
                expected: ISSUER_DATA_MAX,
                got: issuer_data.len(),
            });
        }
        Ok(ChipRecord {
            cryptogram: exactly(CRYPTOGRAM, Some(cryptogram))?,
            counter: u16::from_be_bytes(exactly(COUNTER, found.get(COUNTER))?),
            unpredictable: exactly(UNPREDICTABLE, found.get(UNPREDICTABLE))?,
            sequence_number: sequence_number(found.get(SEQUENCE_NUMBER))?,
            issuer_data,
            signed: signed.into_inner().unwrap_or([0; SIGNED_BYTES]),
        })
    }

    /// How its cryptogram was made, where that is known.
    pub fn version(&self) -> Option<CryptogramVersion> {
        CryptogramVersion::of(self.issuer_data)
    }

    /// What a cryptogram of this version was made over; `None` where the card's own verdicts are
    /// missing.
    pub fn signed(&self, version: CryptogramVersion) -> Option<Vec<u8>> {
        let own = match version {
            CryptogramVersion::V10 => self.issuer_data.get(CARD_RESULTS)?,
            CryptogramVersion::V18 => self.issuer_data,
        };
        Some([&self.signed[..], own].concat())
    }
}

impl fmt::Debug for ChipRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChipRecord(withheld)")
    }
}

/// Chip data of an answer: issuer authentication data, the answer cryptogram first.
pub(super) fn answer(cryptogram: &[u8], more: &[u8]) -> ArrayVec<u8, 18> {
    let mut data = ArrayVec::new();
    let length = u8::try_from(cryptogram.len().saturating_add(more.len()));
    data.push(ISSUER_AUTHENTICATION);
    data.push(length.unwrap_or_default());
    // Sixteen bytes at most (EMV Book 3), and there is room for them.
    data.try_extend_from_slice(cryptogram).ok();
    data.try_extend_from_slice(more).ok();
    data
}

/// Values by their tags, of those that are looked for.
struct Found<'a>([Option<&'a [u8]>; WANTED.len()]);

const WANTED: [u16; SIGNED.len() + 4] = {
    let mut wanted = [
        CRYPTOGRAM,
        CRYPTOGRAM_KIND,
        ISSUER_DATA,
        SEQUENCE_NUMBER,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
    ];
    let mut at = 0;
    while at < SIGNED.len() {
        wanted[at + 4] = SIGNED[at].0;
        at += 1;
    }
    wanted
};

impl<'a> Found<'a> {
    fn among(data: &'a [u8]) -> Result<Found<'a>, ChipRecordError> {
        let mut found = Found([None; WANTED.len()]);
        for item in Tlvs::new(data) {
            let item = item?;
            let tag = match item.tag() {
                [tag] => u16::from(*tag),
                [first, second] => u16::from_be_bytes([*first, *second]),
                _ => continue,
            };
            let Some(slot) = found.slot(tag) else {
                continue;
            };
            if slot.replace(item.value()).is_some() {
                return Err(ChipRecordError::Twice { tag });
            }
        }
        Ok(found)
    }

    fn slot(&mut self, tag: u16) -> Option<&mut Option<&'a [u8]>> {
        let at = WANTED.iter().position(|wanted| *wanted == tag)?;
        self.0.get_mut(at)
    }

    fn get(&self, tag: u16) -> Option<&'a [u8]> {
        let at = WANTED.iter().position(|wanted| *wanted == tag)?;
        *self.0.get(at)?
    }
}

fn sized(tag: u16, value: Option<&[u8]>, expected: usize) -> Result<&[u8], ChipRecordError> {
    let value = value.ok_or(ChipRecordError::Missing { tag })?;
    if value.len() == expected {
        return Ok(value);
    }
    let got = value.len();
    Err(ChipRecordError::Length { tag, expected, got })
}

fn exactly<const N: usize>(tag: u16, value: Option<&[u8]>) -> Result<[u8; N], ChipRecordError> {
    let value = sized(tag, value, N)?;
    value
        .try_into()
        .map_err(|_| ChipRecordError::Missing { tag })
}

/// Two packed digits.
fn sequence_number(value: Option<&[u8]>) -> Result<Option<u8>, ChipRecordError> {
    let Some(value) = value else {
        return Ok(None);
    };
    match value {
        [packed] if packed >> 4 < 10 && packed & 0x0f < 10 => {
            Ok(Some((packed >> 4) * 10 + (packed & 0x0f)))
        }
        _ => Err(ChipRecordError::SequenceNumber),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published example of version 10.
    const VECTOR: &str = concat!(
        "9F0206",
        "000000004000",
        "9F0306000000000000",
        "9F1A02012495058000048000",
        "5F2A0201249A031911059C01009F370452BF458582021800",
        "9F3602001C9F100706010A03A060109F260829CCA15AE665FA2E5F340107"
    );

    fn bytes(digits: &str) -> Vec<u8> {
        base16ct::mixed::decode_vec(digits).unwrap()
    }

    fn error(digits: &str) -> ChipRecordError {
        ChipRecord::parse(&bytes(digits)).unwrap_err()
    }

    #[test]
    fn a_record_has_what_the_cryptogram_was_made_over_in_its_order_whatever_the_datas() {
        let data = bytes(VECTOR);
        let record = ChipRecord::parse(&data).unwrap();
        assert_eq!((record.counter, record.sequence_number), (0x1C, Some(7)));
        assert_eq!(record.unpredictable.to_vec(), bytes("52BF4585"));
        assert_eq!(record.cryptogram.to_vec(), bytes("29CCA15AE665FA2E"));
        assert_eq!(record.version(), Some(CryptogramVersion::V10));
        let terminal = concat!(
            "000000004000",
            "000000000000",
            "0124",
            "8000048000",
            "0124",
            "191105",
            "00",
            "52BF4585",
            "1800",
            "001C"
        );
        let signed = |version| record.signed(version).unwrap();
        let of_10 = bytes(&format!("{terminal}03A06010"));
        let of_18 = bytes(&format!("{terminal}06010A03A06010"));
        assert_eq!(signed(CryptogramVersion::V10), of_10);
        assert_eq!(signed(CryptogramVersion::V18), of_18);
        assert_eq!(format!("{record:?}"), "ChipRecord(withheld)");
        // Another order, other items among them, no other amount, no sequence number.
        let moved = VECTOR
            .replace("9F0306000000000000", "")
            .replace("5F340107", "");
        let moved = format!("840107DF81010155{}", &moved);
        let moved = bytes(&moved);
        let again = ChipRecord::parse(&moved).unwrap();
        assert_eq!(again.signed(CryptogramVersion::V10), Some(of_10));
        assert_eq!(again.sequence_number, None);
    }

    #[test]
    fn what_is_no_record_says_which_tag_is_wrong_and_shows_nothing() {
        use ChipRecordError::{Length, Missing, NoCryptogram, NoRequest, SequenceNumber, Twice};
        let with = |old: &str, new: &str| {
            assert!(VECTOR.contains(old), "{old}");
            error(&VECTOR.replace(old, new))
        };
        for (old, new, expected) in [
            ("9F260829CCA15AE665FA2E", "", NoCryptogram),
            ("9F3602001C", "", Missing { tag: 0x9F36 }),
            ("9F100706010A03A06010", "", Missing { tag: 0x9F10 }),
            ("82021800", "8202180082021800", Twice { tag: 0x82 }),
            ("5F340107", "5F34010A", SequenceNumber),
            ("5F340107", "9F270140", NoRequest),
            (
                "9F3602001C",
                "9F3603001C00",
                Length {
                    tag: 0x9F36,
                    expected: 2,
                    got: 3,
                },
            ),
        ] {
            assert_eq!(with(old, new), expected);
        }
        assert!(matches!(error("9F26"), ChipRecordError::Items(_)));
        let long = format!("9F1021{}", "06".repeat(33));
        let expected = "chip data: tag 9F10: expected 32 bytes, got 33";
        assert_eq!(with("9F100706010A03A06010", &long).to_string(), expected);
        // Of a version whose data lack the card's own verdicts there is nothing to be judged.
        let short = bytes(&VECTOR.replace("9F100706010A03A06010", "9F100406010A03"));
        let short = ChipRecord::parse(&short).unwrap();
        assert_eq!(short.signed(CryptogramVersion::V10), None);
    }

    #[test]
    fn an_answer_is_one_item() {
        assert_eq!(
            answer(&[1; 8], b"00")[..],
            bytes("910A01010101010101013030")
        );
        assert_eq!(
            answer(&[1; 4], &[0, 0x80, 0, 0])[..],
            bytes("91080101010100800000")
        );
    }
}
