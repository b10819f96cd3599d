//! Cryptograms of chip cards: the card's keys, its request cryptogram (ARQC) and our answer (ARPC).
//!
//! Keys are derived by option A (EMV Book 2, A1.4.1) and, for CVN 18, by the common session key
//! method (A1.3.1).

use zeroize::Zeroizing;

use super::digits::{packed, values};
use super::key::{BlockKey, TDES_BLOCK, TDES_KEY, TdesKey, with_odd_parity};
use super::mac::{Padding, retail_mac};

/// An application cryptogram.
pub type Cryptogram = [u8; TDES_BLOCK];

/// Digits of number and sequence number that a card's key is derived from.
const DIVERSIFIED_DIGITS: usize = 16;

/// The key of one card under the issuer's master key: the right-most sixteen digits of number and
/// sequence number (two digits), with zeros on the left of shorter ones.
///
/// `None` when the number has anything but digits.
pub fn card_key(issuer: &TdesKey, pan: &str, sequence_number: u8) -> Option<TdesKey> {
    Some(card_key_of(issuer, diversified(pan, sequence_number)?))
}

/// Those digits, two to a byte.
pub(super) fn diversified(pan: &str, sequence_number: u8) -> Option<[u8; TDES_BLOCK]> {
    let mut digits = values(pan)?;
    digits.extend([sequence_number / 10 % 10, sequence_number % 10]);
    let missing = DIVERSIFIED_DIGITS.saturating_sub(digits.len());
    let skipped = digits.len().saturating_sub(DIVERSIFIED_DIGITS);
    let zeros = std::iter::repeat_n(0, missing);
    Some(packed(zeros.chain(digits.into_iter().skip(skipped))))
}

/// The key of one card from those digits.
pub(super) fn card_key_of(issuer: &TdesKey, digits: [u8; TDES_BLOCK]) -> TdesKey {
    two_halves(issuer, digits, digits.map(|byte| !byte))
}

/// The key of one transaction of a card: its counter (ATC) makes it.
pub fn session_key(card: &TdesKey, counter: u16) -> TdesKey {
    let [high, low] = counter.to_be_bytes();
    let half = |third: u8| [high, low, third, 0, 0, 0, 0, 0];
    two_halves(card, half(0xF0), half(0x0F))
}

fn two_halves(key: &TdesKey, left: Cryptogram, right: Cryptogram) -> TdesKey {
    let mut bytes = Zeroizing::new([0; TDES_KEY]);
    let halves = [key.encrypt(left), key.encrypt(right)].map(with_odd_parity);
    for (slot, byte) in bytes.iter_mut().zip(halves.as_flattened()) {
        *slot = *byte;
    }
    TdesKey::derived(bytes)
}

/// How a cryptogram version (CVN) makes its cryptograms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CryptogramVersion {
    /// Version 10: under the card's key, filled with zeros; answered by method 1.
    V10,
    /// Version 18: under a session key, filled with a bit; answered by method 2.
    V18,
}

impl CryptogramVersion {
    /// The version that issuer application data (tag 9F10) name in their third byte.
    pub fn of(issuer_data: &[u8]) -> Option<CryptogramVersion> {
        match issuer_data.get(2)? {
            10 => Some(CryptogramVersion::V10),
            0x12 => Some(CryptogramVersion::V18),
            _ => None,
        }
    }

    /// The key that a card's cryptogram with that counter is made under.
    pub(super) fn key(self, card: TdesKey, counter: u16) -> TdesKey {
        match self {
            CryptogramVersion::V10 => card,
            CryptogramVersion::V18 => session_key(&card, counter),
        }
    }

    /// What a card with this key would send for these data.
    pub fn request(self, card: TdesKey, counter: u16, data: &[u8]) -> (Cryptogram, TdesKey) {
        let key = self.key(card, counter);
        (retail_mac(&key, self.padding(), data), key)
    }

    /// How what a cryptogram is made over is filled up.
    pub(super) fn padding(self) -> Padding {
        match self {
            CryptogramVersion::V10 => Padding::Zeros,
            CryptogramVersion::V18 => Padding::OneThenZeros,
        }
    }
}

/// The answer by method 1: the request cryptogram mixed with a response code of two characters.
pub fn answer_1(key: &TdesKey, request: Cryptogram, response_code: [u8; 2]) -> Cryptogram {
    let mut block = request;
    for (byte, code) in block.iter_mut().zip(response_code) {
        *byte ^= code;
    }
    key.encrypt(block)
}

/// The answer by method 2: four bytes over the request cryptogram, the card status update and what
/// the issuer adds.
pub fn answer_2(key: &TdesKey, request: Cryptogram, status: [u8; 4], added: &[u8]) -> [u8; 4] {
    let mut data = request.to_vec();
    data.extend_from_slice(&status);
    data.extend_from_slice(added);
    let [a, b, c, d, ..] = retail_mac(key, Padding::OneThenZeros, &data);
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::super::key::bytes_of;
    use super::*;

    fn key(digits: &str) -> TdesKey {
        let bytes = bytes_of(digits).unwrap();
        TdesKey::derived(Zeroizing::new(bytes[..].try_into().unwrap()))
    }

    fn bytes<const N: usize>(digits: &str) -> [u8; N] {
        bytes_of(digits).unwrap()[..].try_into().unwrap()
    }

    const PAN: &str = "1234567890123456";

    #[test]
    fn cryptograms_of_versions_10_and_18_are_those_of_the_published_vectors() {
        let issuer = key("0123456789ABCDEFFEDCBA9876543210");
        let card = || card_key(&issuer, PAN, 0).unwrap();
        assert_eq!(card().check_value(), [0xBA, 0xB0, 0x2F]);
        let shared = concat!(
            "000000004000",
            "000000000000",
            "0124",
            "8000048000",
            "0124",
            "191105",
            "01",
            "52BF4585",
            "1800",
            "001C"
        );
        let data = bytes_of(&format!("{shared}03A06010")).unwrap();
        let (request, key) = CryptogramVersion::V10.request(card(), 0x001C, &data);
        assert_eq!(request, bytes("29CCA15AE665FA2E"));
        assert_eq!(answer_1(&key, request, *b"00"), bytes("28993816AFAE4AEB"));

        let data = bytes_of(&format!("{shared}06011203A0B800")).unwrap();
        let (request, key) = CryptogramVersion::V18.request(card(), 0x001C, &data);
        assert_eq!(key.check_value()[..2], [0x22, 0xC8]);
        assert_eq!(request, bytes("7A788EA6B8A3E733"));
        assert_eq!(answer_2(&key, request, [0; 4], &[]), bytes("9AF514C1"));
    }

    #[test]
    fn each_part_is_that_of_the_published_vectors() {
        let issuer = key("12345678123456781234567812345678");
        assert_eq!(issuer.check_value(), [0x6F, 0xB1, 0xC8]);
        let data = bytes_of(concat!(
            "000000010000",
            "000000001000",
            "0840",
            "0000001080",
            "0840",
            "980704",
            "00",
            "11111111",
            "5800",
            "3456",
            "A08003242000"
        ))
        .unwrap();
        let card = card_key(&issuer, PAN, 0).unwrap();
        let session = session_key(&card, 0x3456);
        let mac = |key: &TdesKey, padding| retail_mac(key, padding, &data);
        let (of_card, of_session) = (bytes("26C8A1042D1CAF3E"), bytes("55BE45DD2C9E0CBF"));
        assert_eq!(mac(&card, Padding::Zeros), of_card);
        assert_eq!(mac(&card, Padding::OneThenZeros), bytes("2263CD868F3E0234"));
        assert_eq!(mac(&session, Padding::Zeros), bytes("36DBEE15F36B1E7F"));
        assert_eq!(mac(&session, Padding::OneThenZeros), of_session);
        assert_eq!(answer_1(&card, of_card, *b"00"), bytes("98DE7C7B3D80A831"));
        let declined = answer_1(&session, of_session, [0x00, 0x12]);
        assert_eq!(declined, bytes("01BAE8DE6A0DE9E0"));
        let status = [0x00, 0x12, 0x00, 0x00];
        assert_eq!(
            answer_2(&session, of_session, status, &[]),
            bytes("B4C698B6")
        );
    }

    #[test]
    fn the_version_is_named_by_the_issuers_data() {
        assert_eq!(
            CryptogramVersion::of(&[6, 1, 10, 3, 0xA0, 0x60, 0x10]),
            Some(CryptogramVersion::V10)
        );
        assert_eq!(
            CryptogramVersion::of(&bytes::<7>("06011203A0B800")),
            Some(CryptogramVersion::V18)
        );
        assert_eq!(CryptogramVersion::of(&[6, 1]), None);
        assert_eq!(CryptogramVersion::of(&[6, 1, 99]), None);
    }

    #[test]
    fn only_digits_make_a_card_key() {
        let issuer = key("0123456789ABCDEFFEDCBA9876543210");
        assert!(card_key(&issuer, "12345678901234AB", 0).is_none());
    }
}
