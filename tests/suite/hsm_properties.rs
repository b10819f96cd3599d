//! Both keepers of keys say the same, whatever they are asked.

use proptest::prelude::*;

use cardswitch::crypto::cvv::CvvKind;
use cardswitch::crypto::emv::CryptogramVersion;
use cardswitch::crypto::hsm::{
    Chip, ChipAnswer, Hsm, HsmError, MacOver, MacScheme, MakeArpc, PinBlock, PinMethod, PinSource,
    PinValue, TranslatePin, Verdict, VerifyArqc, VerifyCvv, VerifyPin,
};
use cardswitch::crypto::ibm3624::{DecimalizationTable, offset};
use cardswitch::crypto::key::{AesKey, TdesKey};
use cardswitch::crypto::mac::Padding;
use cardswitch::crypto::pin_block::{Format, Pin, encipher_aes, encipher_as};

use crate::hsm::{KEYS, software};
use crate::hsm_device::beside;

const TABLE: &str = "0123456789012345";

fn digits(of: &'static str) -> &'static str {
    KEYS.iter().find(|row| row.0 == of).unwrap().3
}

fn zone_of(format: Format) -> &'static str {
    if format == Format::Iso4 {
        "aes-zone"
    } else {
        "zone"
    }
}

/// A block of a format under its zone key.
fn block(format: Format, pin: &Pin, pan: &str, random: [u8; 8]) -> Vec<u8> {
    if format == Format::Iso4 {
        let key = AesKey::from_hex(digits("aes-zone")).unwrap_or_else(|error| panic!("{error}"));
        return encipher_aes(&key, pin, pan, random).unwrap().to_vec();
    }
    let key = TdesKey::from_hex(digits("zone")).unwrap_or_else(|error| panic!("{error}"));
    encipher_as(format, &key, pin, pan, random)
        .unwrap()
        .to_vec()
}

fn formats() -> impl Strategy<Value = Format> {
    prop::sample::select(vec![Format::Iso0, Format::Iso1, Format::Iso3, Format::Iso4])
}

/// Errors that tell callers the same, though one comes from a device.
fn kind(error: &HsmError) -> &'static str {
    match error {
        HsmError::MalformedPinBlock => "malformed",
        _ => "other",
    }
}

proptest! {
    #[test]
    fn a_pin_is_the_same_in_every_format_that_it_may_have(
        (from, to) in (formats(), formats()),
        text in "[0-9]{4,12}",
        pan in "[0-9]{13,19}",
        random in any::<[u8; 8]>(),
        damage in prop::option::of(0_usize..64),
    ) {
        let pin = Pin::from_digits(&text).unwrap_or_else(|error| panic!("{error}"));
        let mut bytes = block(from, &pin, &pan, random);
        if let Some(bit) = damage {
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        let table = DecimalizationTable::parse(TABLE).unwrap();
        // Validation data that a device takes: with the last five digits of the account.
        let validation = format!("12345678901{}", &pan[pan.len() - 6..pan.len() - 1]);
        let ibm = TdesKey::from_hex(digits("ibm")).unwrap_or_else(|error| panic!("{error}"));
        let far = PinValue::Offset(offset(&ibm, &table, &validation, &pin).unwrap());
        let judge = |hsm: &dyn Hsm, format, bytes: &[u8]| {
            hsm.verify_pin(&VerifyPin {
                pin: PinSource::Block(PinBlock { key: zone_of(format), format, bytes, pan: &pan }),
                method: PinMethod::Offset { key: "ibm", table: &table, validation: &validation },
                value: &far,
            })
        };
        let (soft, device) = (software(), beside());
        let (one, two) = (judge(&*soft, from, &bytes), judge(&device, from, &bytes));
        prop_assert_eq!(one.as_ref().map_err(kind), two.as_ref().map_err(kind));
        if damage.is_none() {
            prop_assert_eq!(one, Ok(Verdict::Right));
        }
        for hsm in [&*soft as &dyn Hsm, &device] {
            let there = hsm.translate_pin(&TranslatePin {
                from: PinBlock { key: zone_of(from), format: from, bytes: &bytes, pan: &pan },
                to_key: zone_of(to),
                to_format: to,
            });
            match there {
                Ok(there) => {
                    prop_assert!(from.may_become(to));
                    let before = judge(hsm, from, &bytes);
                    prop_assert_eq!(judge(hsm, to, &there), before);
                }
                Err(error) => {
                    let is_damaged = damage.is_some() && error == HsmError::MalformedPinBlock;
                    prop_assert!(is_damaged || !from.may_become(to), "{}", error);
                }
            }
        }
    }

    #[test]
    fn values_codes_and_cryptograms_are_the_same_from_both(
        pan in "[0-9]{13,19}",
        expiry in "[0-9]{4}",
        service_code in "[0-9]{3}",
        value in "[0-9]{3}",
        message in prop::collection::vec(any::<u8>(), 0..300),
        counter in any::<u16>(),
        number in 0_u8..100,
        (request, unpredictable) in (any::<[u8; 8]>(), any::<[u8; 4]>()),
        (status, added) in (any::<[u8; 4]>(), prop::collection::vec(any::<u8>(), 0..9)),
    ) {
        let (soft, device) = (software(), beside());
        let both = [&*soft as &dyn Hsm, &device];
        for kind in [CvvKind::Track(&service_code), CvvKind::Printed, CvvKind::Chip] {
            let [one, two] = both.map(|hsm| {
                let (pan, expiry, value) = (&*pan, &*expiry, &*value);
                hsm.verify_cvv(&VerifyCvv { key: "cvk", pan, expiry, kind, value })
            });
            prop_assert_eq!(one, two);
        }
        for (key, scheme) in [
            ("mac", MacScheme::Retail(Padding::Zeros)),
            ("mac", MacScheme::Retail(Padding::OneThenZeros)),
            ("cmac", MacScheme::Cmac),
            ("cmac-tdes", MacScheme::Cmac),
        ] {
            let over = MacOver { key, scheme, message: &message };
            let [one, two] = both.map(|hsm| hsm.make_mac(&over));
            prop_assert!(one.is_ok());
            prop_assert_eq!(&one, &two);
            let own = one.unwrap_or_default();
            for hsm in both {
                prop_assert_eq!(hsm.verify_mac(&over, &own), Ok(Verdict::Right));
            }
        }
        let data = &message[..message.len().min(200)];
        for (version, answer) in [
            (CryptogramVersion::V10, ChipAnswer::Code(*b"00")),
            (CryptogramVersion::V18, ChipAnswer::Code(*b"05")),
            (CryptogramVersion::V18, ChipAnswer::Status(status, &added)),
        ] {
            let chip = Chip { key: "chip", pan: &pan, sequence_number: number, counter, version };
            let [one, two] = both.map(|hsm| {
                hsm.make_arpc(&MakeArpc { chip, unpredictable, request, answer })
            });
            prop_assert!(one.is_ok());
            prop_assert_eq!(one, two);
            let [one, two] = both.map(|hsm| {
                hsm.verify_arqc(&VerifyArqc { chip, unpredictable, data, request })
            });
            prop_assert_eq!(one, two);
        }
    }
}
