//! What messages of 2003 write in another form than those before: amounts with their currency,
//! the card acceptor in parts, totals in one element, longer identifications.

use arrayvec::ArrayString;

use crate::domain::country;
use crate::domain::merchant::AcceptorName;
use crate::domain::money::{Amount, Currency};
use crate::domain::reconciliation::Claim;
use crate::domain::short_text::ShortText;
use crate::iso8583::{Message, MessageSpec};

/// Digits of an amount: currency 3, decimals 1, minor units 12.
const AMOUNT_DIGITS: usize = 16;
/// Digits of one pair of totals: amount 16, number 10.
const TOTAL_DIGITS: usize = 26;

/// An amount of sixteen digits. Decimals other than those of its currency would leave open how much
/// it is; there is none then.
pub(super) fn amount(digits: &str) -> Option<Amount> {
    let digits = digits.get(..AMOUNT_DIGITS)?;
    let currency = Currency::from_numeric(digits.get(..3)?.parse().ok()?);
    let decimals: u8 = digits.get(3..4)?.parse().ok()?;
    let minor = digits.get(4..)?.parse().ok()?;
    let is_exact = currency.exponent().is_none_or(|known| known == decimals);
    is_exact.then_some(Amount::new(minor, currency))
}

/// The sixteen digits of an amount.
pub(super) fn digits(amount: Amount) -> ArrayString<AMOUNT_DIGITS> {
    let decimals = amount.currency.exponent().unwrap_or_default();
    let minor = amount.minor.unsigned_abs().min(999_999_999_999);
    let text = format!("{:03}{decimals}{minor:012}", amount.currency.numeric());
    // Three, one and twelve digits fit exactly.
    ArrayString::from(&text).unwrap_or_default()
}

/// DE 43 in parts: name (2) and city (4), and the country (7) by its digits or letters; `None` when
/// it is no such parts, but perhaps text as before.
pub(super) fn acceptor(
    message: &Message,
    spec: &MessageSpec,
) -> Option<(AcceptorName, Option<[u8; 2]>)> {
    let parts = message.parts(spec, 43)?.ok()?;
    let mut name = String::new();
    let mut country = None;
    for part in &parts {
        let text = part.text().unwrap_or_default();
        match part.key() {
            "2" => name.insert_str(0, text.trim()),
            "4" => name.push_str(&format!(" {}", text.trim())),
            "7" => country = country_of(text.trim()),
            _ => {}
        }
    }
    let shown: String = name
        .trim()
        .chars()
        .filter(char::is_ascii)
        .take(40)
        .collect();
    Some((AcceptorName::of(&shown).unwrap_or_default(), country))
}

/// DE 43 as text, where that is what its bytes are.
pub(super) fn acceptor_text(message: &Message) -> Option<String> {
    let bytes = message.binary(43)?;
    let is_text = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
    let text = bytes.iter().all(is_text).then(|| bytes.into_owned())?;
    String::from_utf8(text).ok()
}

fn country_of(text: &str) -> Option<[u8; 2]> {
    if let Ok(numeric) = text.parse() {
        return country::letters_of(numeric);
    }
    let letters: [u8; 2] = text.as_bytes().try_into().ok()?;
    letters
        .iter()
        .all(u8::is_ascii_uppercase)
        .then_some(letters)
}

/// An identification that may be longer than the switch keeps: as it is, or its beginning with a
/// check value of the whole, so that two long ones are not one.
pub(super) fn shortened<const N: usize>(text: &str) -> ShortText<N> {
    ShortText::of(text).unwrap_or_else(|| {
        const CHECK_CHARACTERS: usize = 7;
        let check = crc32fast::hash(text.as_bytes()) & 0x0fff_ffff;
        let kept = text.chars().filter(char::is_ascii);
        let kept: String = kept.take(N.saturating_sub(CHECK_CHARACTERS + 1)).collect();
        ShortText::of(&format!("{kept}#{check:07X}")).unwrap_or_default()
    })
}

/// DE 74: amount and number of credits, chargebacks of credits, reversals of credits, and the same
/// of debits.
pub(super) fn claim(message: &Message) -> Claim {
    let text = message.text(74).unwrap_or_default();
    let pair = |row: usize| {
        let pair = text.get(row * TOTAL_DIGITS..)?.get(..TOTAL_DIGITS)?;
        let (amount, count) = pair.split_at_checked(AMOUNT_DIGITS)?;
        Some((amount.parse::<i64>().ok()?, count.parse::<u64>().ok()?))
    };
    let minor = |row| pair(row).map(|pair| pair.0);
    let count = |row| pair(row).map(|pair| pair.1);
    Claim {
        credits: count(0),
        credit_reversals: count(2),
        debits: count(3),
        debit_reversals: count(5),
        enquiries: None,
        authorizations: None,
        credits_minor: minor(0),
        credit_reversals_minor: minor(2),
        debits_minor: minor(3),
        debit_reversals_minor: minor(5),
        net_minor: None,
    }
}

/// The currency of the net amount (DE 97).
pub(super) fn net_currency(message: &Message) -> Option<Currency> {
    let text = message.text(97)?;
    text.get(..3)?.parse().ok().map(Currency::from_numeric)
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::super::request::{Request, RequestParser};
    use super::super::table;
    use super::*;
    use crate::domain::facts::{Facts, LinkNumber};
    use crate::iso8583::{self, MessageWriter, Mti};
    use crate::switch::config::ReplacementAmounts;
    use crate::switch::pin::PinDesk;
    use crate::switch::rulebook::LoadedRules;
    use crate::switch::token::TokenKey;

    /// What a message with these texts and this DE 43 says.
    fn read(name: &str, mti: u16, texts: &[(u8, &str)], acceptor: &[u8]) -> Facts {
        let dialect = table::parse(include_str!("../../../spec/dialect/iso2003.toml")).unwrap();
        let rules = LoadedRules::load(None, None).unwrap();
        let spec = MessageSpec::builtin(name).unwrap();
        let mut out = BytesMut::new();
        let mut writer = MessageWriter::begin(spec, Mti::new(mti), &mut out);
        writer.text(2, "4761739001010119").unwrap();
        writer.text(3, "000000").unwrap();
        writer.text(4, "3920000000001200").unwrap();
        writer.text(7, "0301150000").unwrap();
        for (element, text) in texts.iter().filter(|row| row.0 < 43) {
            writer.text(*element, text).unwrap();
        }
        writer.binary(43, acceptor).unwrap();
        for (element, text) in texts.iter().filter(|row| row.0 > 43) {
            writer.text(*element, text).unwrap();
        }
        writer.finish().unwrap();
        let message = iso8583::decode(spec, out.freeze()).unwrap();
        let parser = RequestParser {
            dialect: &dialect,
            spec,
            dialect_number: 0,
            token_key: &TokenKey::fixed([7; 32]),
            pins: &PinDesk::default(),
            pin_key: None,
            rulebook: &rules.rulebook,
            link: "door",
            link_number: LinkNumber(1),
            replacement_amounts: ReplacementAmounts::Remaining,
        };
        match parser.parse(&message) {
            Request::Card(request) => Facts::clone(&request.facts),
            other => panic!("{other:?}"),
        }
    }

    const TRACE: [(u8, &str); 3] = [(11, "999999999999"), (12, "20270302000001"), (32, "400001")];

    #[test]
    fn the_card_acceptor_is_read_from_its_parts_or_from_text() {
        let bitmap = b"\x52\0\0\0\0\0\0\0";
        let ascii = [&bitmap[..], b"09BAY DINER05TOKYO392"].concat();
        let binary = [&bitmap[..], b"\x09BAY DINER\x05TOKYO840"].concat();
        let plain = format!("{:<38}FR", "CAFE");
        for (spec, acceptor, name, country) in [
            (
                "iso03-ascii",
                ascii.as_slice(),
                "BAY DINER TOKYO",
                Some(*b"JP"),
            ),
            ("iso03-binary", &binary, "BAY DINER TOKYO", Some(*b"US")),
            (
                "iso03-ascii",
                plain.as_bytes(),
                plain.as_str(),
                Some(*b"FR"),
            ),
            ("iso03-binary", b"CAFE", "CAFE", None),
            ("iso03-binary", b"\xff\xfe", "", None),
        ] {
            let facts = read(spec, 2_100, &TRACE, acceptor);
            assert_eq!(facts.acceptor_name.as_str(), name, "{spec}");
            assert_eq!(facts.origin.merchant_country, country, "{spec} {name}");
        }
    }

    #[test]
    fn a_reversal_names_its_original_by_a_trace_number_of_twelve_digits() {
        let original = read("iso03-binary", 2_100, &TRACE, b"CAFE");
        assert_eq!(original.trace.acquirer(), 400_001);
        let quoted = [
            (11, "000000000001"),
            (12, "20270302000005"),
            (32, "400001"),
            (56, "210099999999999920270302000001400001"),
        ];
        let reversal = read("iso03-binary", 2_420, &quoted, b"CAFE");
        assert_eq!(reversal.original, Some(original.trace));
        // The same number but for what does not fit 32 bits.
        let lower = (999_999_999_999_u64 & u64::from(u32::MAX)).to_string();
        let other = read(
            "iso03-binary",
            2_100,
            &[(11, &lower), TRACE[1], TRACE[2]],
            b"CAFE",
        );
        assert_eq!(other.trace.stan, original.trace.stan);
        assert_ne!(other.trace, original.trace);
    }

    #[test]
    fn an_amount_says_its_currency_and_its_decimals() {
        let yen = Amount::new(1_200, Currency::JPY);
        assert_eq!(digits(yen).as_str(), "3920000000001200");
        let cents = amount("8402000000001200").unwrap();
        assert_eq!((cents.minor, cents.currency.numeric()), (1_200, 840));
        assert_eq!(digits(cents).as_str(), "8402000000001200");
        for wrong in [
            "3922000000001200",
            "8400000000001200",
            "840200000000120",
            "",
        ] {
            assert_eq!(amount(wrong), None, "{wrong}");
        }
        assert_eq!(amount("9993000000000001").map(|it| it.minor), Some(1));
    }

    #[test]
    fn long_identifications_stay_different() {
        assert_eq!(shortened::<8>("TERM0101").as_str(), "TERM0101");
        let one: ShortText<15> = shortened("DEPARTMENT-STORE-GINZA-0001");
        let other: ShortText<15> = shortened("DEPARTMENT-STORE-GINZA-0002");
        assert!(
            one.as_str().starts_with("DEPARTM#") && one.as_str().len() == 15,
            "{one}"
        );
        assert_ne!(one, other);
        assert_eq!(shortened::<8>("TERMINAL00000001").as_str().len(), 8);
    }

    #[test]
    fn totals_are_read_from_one_element() {
        for name in ["iso03-ascii", "iso03-binary"] {
            let spec = MessageSpec::builtin(name).unwrap();
            let mut out = BytesMut::new();
            let mut writer = MessageWriter::begin(spec, Mti::new(2_500), &mut out);
            let totals: String = (1..=6)
                .map(|row| format!("{row:016}{:010}", row * 10))
                .collect();
            writer.text(74, &totals).unwrap();
            writer.text(97, "392000000000000000000").unwrap();
            writer.finish().unwrap();
            let message = iso8583::decode(spec, out.freeze()).unwrap();
            let expected = Claim {
                credits: Some(10),
                credits_minor: Some(1),
                credit_reversals: Some(30),
                credit_reversals_minor: Some(3),
                debits: Some(40),
                debits_minor: Some(4),
                debit_reversals: Some(60),
                debit_reversals_minor: Some(6),
                ..Claim::default()
            };
            assert_eq!(claim(&message), expected, "{name}");
            assert_eq!(net_currency(&message), Some(Currency::JPY));
        }
    }
}
