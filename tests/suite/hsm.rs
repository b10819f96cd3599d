//! What every keeper of keys must answer: the published vectors, asked through the one trait.

use std::sync::Arc;

use cardswitch::crypto::cvv::CvvKind;
use cardswitch::crypto::emv::CryptogramVersion;
use cardswitch::crypto::hsm::{
    Chip, ChipAnswer, ExportKey, Hsm, HsmError, ImportKey, KeyForm, MacOver, MacScheme, MakeArpc,
    NewPinValue, PinBlock, PinMethod, PinSource, PinValue, SetPin, TranslatePin, Verdict,
    VerifyArqc, VerifyCvv, VerifyPin,
};
use cardswitch::crypto::ibm3624::{DecimalizationTable, offset};
use cardswitch::crypto::key::{AesKey, TdesKey};
use cardswitch::crypto::mac::Padding;
use cardswitch::crypto::pin_block::{Format, Pin, encipher, encipher_as};
use cardswitch::crypto::software::{KeyTerms, SoftwareHsm};
use cardswitch::switch::pin_keys::random;

/// Name, usage, version and digits of every key that the vectors need.
pub(crate) const KEYS: [(&str, &str, &str, &str); 19] = [
    ("zone", "P0", "00", FIRST),
    ("other-zone", "P0", "00", "89ABCDEF0123456776543210FEDCBA98"),
    ("aes-zone", "P0", "00", "00112233445566778899AABBCCDDEEFF"),
    ("pvv", "V2", "01", FIRST),
    ("ibm", "V1", "00", FIRST),
    ("cvk", "C0", "00", FIRST),
    ("cvk-9", "C0", "00", "99999999999999998888888888888888"),
    ("cvk-1", "C0", "00", "12345678123456788765432187654321"),
    ("chip", "E0", "00", FIRST),
    ("mac-a", "M3", "00", "AAAAAAAAAAAAAAAABBBBBBBBBBBBBBBB"),
    (
        "mac-letters",
        "M3",
        "00",
        "41414141414141414242424242424242",
    ),
    ("mac", "M3", "00", FIRST),
    ("cmac", "M6", "00", "2B7E151628AED2A6ABF7158809CF4F3C"),
    ("kbpk-a", "K1", "00", "89E88CF7931444F334BD7547FC3F380C"),
    ("kbpk-b", "K1", "00", "DD7515F2BFC17F85CE48F3CA25CB21F6"),
    (
        "kbpk-d",
        "K1",
        "00",
        "88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6",
    ),
    ("zmk", "K0", "00", "1C587F1C13924FEF0E5D2A6F8EC5B3A7"),
    ("free", "P0", "00", "0123456789ABCDEF1023456789ABCDEF"),
    ("cmac-tdes", "M6", "00", FIRST),
];
const FIRST: &str = "0123456789ABCDEFFEDCBA9876543210";
/// Those of them that are AES keys.
pub(crate) const AES: [&str; 3] = ["aes-zone", "cmac", "kbpk-d"];

pub(crate) fn unhex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn eight(digits: &str) -> [u8; 8] {
    unhex(digits).try_into().unwrap()
}

fn tdes(digits: &str) -> TdesKey {
    TdesKey::from_hex(digits).unwrap_or_else(|error| panic!("{error}"))
}

fn pin(digits: &str) -> Pin {
    Pin::from_digits(digits).unwrap_or_else(|error| panic!("{error}"))
}

/// The keys in the memory of this process.
pub(crate) fn software() -> Arc<SoftwareHsm> {
    let hsm = SoftwareHsm::new(random);
    for (name, usage, version, digits) in KEYS {
        let terms = KeyTerms {
            name: name.to_owned(),
            usage: usage.to_owned(),
            version: version.to_owned(),
            mode: b'N',
            is_exportable: name != "zone",
        };
        let added = hsm.add(terms, &unhex(digits), AES.contains(&name));
        added.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    Arc::new(hsm)
}

fn zone<'a>(format: Format, bytes: &'a [u8], pan: &'a str) -> PinBlock<'a> {
    let key = match format {
        Format::Iso4 => "aes-zone",
        Format::Iso0 | Format::Iso1 | Format::Iso3 => "zone",
    };
    PinBlock {
        key,
        format,
        bytes,
        pan,
    }
}

fn by_pvv(
    hsm: &dyn Hsm,
    block: PinBlock<'_>,
    index: u8,
    value: [u8; 4],
) -> Result<Verdict, HsmError> {
    hsm.verify_pin(&VerifyPin {
        pin: PinSource::Block(block),
        method: PinMethod::Pvv {
            key: "pvv",
            index,
            over: block.pan,
        },
        value: &PinValue::Pvv(value),
    })
}

const TABLE: &str = "1234567890123456";

/// Everything that the reference has a vector for, and what must be refused.
pub(crate) fn every_vector(hsm: &dyn Hsm) {
    verification_values(hsm);
    offsets(hsm);
    blocks(hsm);
    card_values(hsm);
    codes(hsm);
    cryptograms(hsm);
    key_blocks(hsm);
    keys_under_a_zone_key(hsm);
    refusals(hsm);
}

fn verification_values(hsm: &dyn Hsm) {
    for (index, digits, pan, value) in [
        (1, "4524", "1122334455667788", [8, 5, 2, 3]),
        (2, "1912", "1122334455667788", [3, 2, 4, 4]),
        (1, "0570", "1122334455667718", [3, 1, 4, 4]),
        (1, "8299", "1122334455667708", [4, 4, 2, 2]),
    ] {
        let block = encipher(&tdes(FIRST), &pin(digits), pan).unwrap();
        let block = zone(Format::Iso0, &block, pan);
        assert_eq!(by_pvv(hsm, block, index, value), Ok(Verdict::Right));
        assert_eq!(by_pvv(hsm, block, index, [0; 4]), Ok(Verdict::Wrong));
        let made = hsm.set_pin(&SetPin {
            pin: PinSource::Block(block),
            method: PinMethod::Pvv {
                key: "pvv",
                index,
                over: pan,
            },
            may_be_chosen: &|_| true,
        });
        assert_eq!(made, Ok(NewPinValue::Value(PinValue::Pvv(value))));
    }
}

fn offsets(hsm: &dyn Hsm) {
    let pan = "1122334455667788";
    let table = DecimalizationTable::parse(TABLE).unwrap();
    let method = PinMethod::Offset {
        key: "ibm",
        table: &table,
        validation: pan,
    };
    for (digits, distance) in [("4524", [0, 0, 0, 0]), ("1234", [7, 7, 1, 0])] {
        let block = encipher(&tdes(FIRST), &pin(digits), pan).unwrap();
        let source = PinSource::Block(zone(Format::Iso0, &block, pan));
        let judge = |value| {
            hsm.verify_pin(&VerifyPin {
                pin: source,
                method,
                value: &PinValue::Offset(value),
            })
        };
        assert_eq!(judge(distance.to_vec()), Ok(Verdict::Right));
        assert_eq!(judge(vec![1, 0, 0, 0]), Ok(Verdict::Wrong));
        let made = hsm.set_pin(&SetPin {
            pin: source,
            method,
            may_be_chosen: &|_| true,
        });
        let expected = PinValue::Offset(distance.to_vec());
        assert_eq!(made, Ok(NewPinValue::Value(expected)));
    }
}

/// The clear blocks of the reference, enciphered; a PIN of twelve digits by its whole offset.
fn blocks(hsm: &dyn Hsm) {
    let pan = "5555555551234567";
    let table = DecimalizationTable::parse(TABLE).unwrap();
    for (format, clear, digits) in [
        (Format::Iso0, "041261AAAAEDCBA9", "1234"),
        (Format::Iso0, "0C1261032D8226A9", "123456789012"),
        (Format::Iso3, "341261AAAAEDCBA9", "1234"),
    ] {
        let block = encrypt(FIRST, eight(clear));
        let far = offset(&tdes(FIRST), &table, pan, &pin(digits)).unwrap();
        let judge = |value| {
            hsm.verify_pin(&VerifyPin {
                pin: PinSource::Block(zone(format, &block, pan)),
                method: PinMethod::Offset {
                    key: "ibm",
                    table: &table,
                    validation: pan,
                },
                value: &PinValue::Offset(value),
            })
        };
        assert_eq!(judge(far.clone()), Ok(Verdict::Right), "{format:?}");
        let mut other = far;
        other[0] = (other[0] + 1) % 10;
        assert_eq!(judge(other), Ok(Verdict::Wrong), "{format:?}");
    }
    // Format 4, as published, becomes format 0 and says the same PIN.
    let pan = "1234567890123456789";
    let published = unhex("28B41FDDD29B743E93124BD8E32D921E");
    let translated = hsm.translate_pin(&TranslatePin {
        from: zone(Format::Iso4, &published, pan),
        to_key: "zone",
        to_format: Format::Iso0,
    });
    let expected = encipher(&tdes(FIRST), &pin("1234"), pan).unwrap().to_vec();
    assert_eq!(translated, Ok(expected.clone()));
    for (to_key, format) in [("zone", Format::Iso3), ("aes-zone", Format::Iso4)] {
        let there = hsm.translate_pin(&TranslatePin {
            from: zone(Format::Iso0, &expected, pan),
            to_key,
            to_format: format,
        });
        let there = there.unwrap_or_else(|error| panic!("{error}"));
        assert_ne!(there, expected);
        let back = hsm.translate_pin(&TranslatePin {
            from: zone(format, &there, pan),
            to_key: "zone",
            to_format: Format::Iso0,
        });
        assert_eq!(back, Ok(expected.clone()), "{format:?}");
    }
    let elsewhere = hsm.translate_pin(&TranslatePin {
        from: zone(Format::Iso0, &expected, pan),
        to_key: "other-zone",
        to_format: Format::Iso0,
    });
    let under_other = encipher(&tdes(KEYS[1].3), &pin("1234"), pan).unwrap();
    assert_eq!(elsewhere, Ok(under_other.to_vec()));
    let unbound = encipher_as(Format::Iso1, &tdes(FIRST), &pin("1234"), pan, [0x5a; 8]).unwrap();
    let bound = hsm.translate_pin(&TranslatePin {
        from: zone(Format::Iso1, &unbound, pan),
        to_key: "zone",
        to_format: Format::Iso0,
    });
    assert_eq!(bound, Ok(expected));
}

fn encrypt(digits: &str, clear: [u8; 8]) -> [u8; 8] {
    use cardswitch::crypto::key::BlockKey;
    tdes(digits).encrypt(clear)
}

fn card_values(hsm: &dyn Hsm) {
    for (key, pan, expiry, kind, value) in [
        (
            "cvk",
            "4123456789012345",
            "8701",
            CvvKind::Track("101"),
            "561",
        ),
        ("cvk", "4123456789012345", "8701", CvvKind::Chip, "651"),
        ("cvk", "4123456789012345", "8701", CvvKind::Printed, "636"),
        ("cvk", "4123456789012345", "0187", CvvKind::Printed, "122"),
        (
            "cvk",
            "4000000000000002",
            "2912",
            CvvKind::Track("101"),
            "539",
        ),
        ("cvk", "4000000000000002", "2912", CvvKind::Printed, "381"),
        ("cvk", "4000000000000002", "2912", CvvKind::Chip, "481"),
        (
            "cvk-9",
            "2222222222222222",
            "3333",
            CvvKind::Track("111"),
            "361",
        ),
        ("cvk-1", "123456789012", "1108", CvvKind::Printed, "453"),
    ] {
        let judge = |value| {
            hsm.verify_cvv(&VerifyCvv {
                key,
                pan,
                expiry,
                kind,
                value,
            })
        };
        assert_eq!(judge(value), Ok(Verdict::Right), "{kind:?} {expiry}");
        assert_eq!(judge("000"), Ok(Verdict::Wrong), "{kind:?} {expiry}");
    }
}

fn codes(hsm: &dyn Hsm) {
    let hello = "hello world".as_bytes();
    let block = unhex("6bc1bee22e409f96e93d7e117393172a");
    let (zeros, one) = (
        MacScheme::Retail(Padding::Zeros),
        MacScheme::Retail(Padding::OneThenZeros),
    );
    for (key, scheme, message, code) in [
        ("mac-a", zeros, hello, "78DA3D3DEB48FD4D"),
        ("mac-a", one, hello, "2BC2D9EDE0CF31F6"),
        ("mac-letters", zeros, hello, "3DDE5C5511661CBF"),
        ("mac-letters", one, hello, "E16941032C3BC7D4"),
        ("mac", zeros, b"02007238000108C08000", "66141DA28811E5AA"),
        // Of the sixteen bytes of the RFC the first eight.
        ("cmac", MacScheme::Cmac, b"", "BB1D6929E9593728"),
        ("cmac", MacScheme::Cmac, &block, "070A16B46B4D4144"),
    ] {
        let over = MacOver {
            key,
            scheme,
            message,
        };
        let code = unhex(code);
        let made = hsm.make_mac(&over).map(|made| made.to_vec());
        assert_eq!(made, Ok(code.clone()), "{key} {scheme:?}");
        for part in [&code[..], &code[..4]] {
            assert_eq!(hsm.verify_mac(&over, part), Ok(Verdict::Right));
            let mut other = part.to_vec();
            other[3] ^= 1;
            assert_eq!(hsm.verify_mac(&over, &other), Ok(Verdict::Wrong));
        }
        assert!(hsm.verify_mac(&over, &code[..3]).is_err(), "too short");
    }
}

fn cryptograms(hsm: &dyn Hsm) {
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
    for (version, more, request, answer, arpc) in [
        (
            CryptogramVersion::V10,
            "03A06010",
            "29CCA15AE665FA2E",
            ChipAnswer::Code(*b"00"),
            "28993816AFAE4AEB",
        ),
        (
            CryptogramVersion::V18,
            "06011203A0B800",
            "7A788EA6B8A3E733",
            ChipAnswer::Status([0; 4], &[]),
            "9AF514C1",
        ),
    ] {
        let chip = Chip {
            key: "chip",
            pan: "1234567890123456",
            sequence_number: 0,
            counter: 0x001C,
            version,
        };
        let data = unhex(&format!("{shared}{more}"));
        let judge = |request, counter| {
            hsm.verify_arqc(&VerifyArqc {
                chip: Chip { counter, ..chip },
                unpredictable: [0x52, 0xBF, 0x45, 0x85],
                data: &data,
                request,
            })
        };
        assert_eq!(
            judge(eight(request), 0x1C),
            Ok(Verdict::Right),
            "{version:?}"
        );
        assert_eq!(judge([0; 8], 0x1C), Ok(Verdict::Wrong), "{version:?}");
        if version == CryptogramVersion::V18 {
            assert_eq!(judge(eight(request), 0x1D), Ok(Verdict::Wrong));
        }
        let made = hsm.make_arpc(&MakeArpc {
            chip,
            unpredictable: [0x52, 0xBF, 0x45, 0x85],
            request: eight(request),
            answer,
        });
        assert_eq!(made, Ok(unhex(arpc)), "{version:?}");
    }
}

fn key_blocks(hsm: &dyn Hsm) {
    let aes = |digits: &str| AesKey::from_hex(digits).unwrap_or_else(|error| panic!("{error}"));
    for (under, block, value) in [
        (
            "kbpk-a",
            "A0072P0TE00E0000F5161ED902807AF26F1D62263644BD24192FDB3193C730301CEE8701",
            tdes("F039121BEC83D26B169BDCD5B22AAF8F").check_value(),
        ),
        (
            "kbpk-b",
            concat!(
                "B0080P0TE00E000094B420079CC80BA3461F86FE26EFC4A3",
                "B8E4FA4C5F5341176EED7B727B8A248E"
            ),
            tdes("3F419E1CB7079442AA37474C2EFBF8B8").check_value(),
        ),
        (
            "kbpk-d",
            concat!(
                "D0112P0AE00E0000B82679114F470F540165EDFBF7E250FCEA43F810D215F8D2",
                "07E2E417C07156A27E8E31DA05F7425509593D03A457DC34"
            ),
            aes("3F419E1CB7079442AA37474C2EFBF8B8").check_value(),
        ),
    ] {
        let import = |form: String, usage| {
            hsm.import_key(&ImportKey {
                name: "taken",
                usage,
                under,
                form: &KeyForm::Block(form),
            })
        };
        let mut changed = block.to_owned();
        changed.replace_range(20..21, if &block[20..21] == "0" { "1" } else { "0" });
        assert!(import(changed, "P0").is_err(), "{under}: a changed block");
        assert!(import(block.to_owned(), "C0").is_err(), "another usage");
        let note = import(block.to_owned(), "P0").unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(note.check_value, Some(value), "{under}");
        assert_eq!(hsm.check_value("taken"), Ok(value), "{under}");
    }
}

/// What goes out under a zone master key is the same key when it comes back.
fn keys_under_a_zone_key(hsm: &dyn Hsm) {
    let out = hsm.export_key(&ExportKey {
        name: "free",
        under: "zmk",
        as_block: false,
    });
    let out = out.unwrap_or_else(|error| panic!("{error}"));
    let halves: Vec<u8> = [&KEYS[17].3[..16], &KEYS[17].3[16..]]
        .into_iter()
        .flat_map(|half| encrypt(KEYS[16].3, eight(half)))
        .collect();
    assert_eq!(out, KeyForm::Halves(halves.try_into().unwrap()));
    let back = |under| {
        hsm.import_key(&ImportKey {
            name: "back",
            usage: "P0",
            under,
            form: &out,
        })
    };
    let value = tdes(KEYS[17].3).check_value();
    let note = back("zmk").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(note.check_value, Some(value));
    assert!(back("kbpk-b").is_err(), "under another key: wrong parity");
    let pan = "5555555551234567";
    let block = encipher(&tdes(KEYS[17].3), &pin("1234"), pan).unwrap();
    let under = |key| {
        hsm.translate_pin(&TranslatePin {
            from: PinBlock {
                key,
                format: Format::Iso0,
                bytes: &block,
                pan,
            },
            to_key: "zone",
            to_format: Format::Iso0,
        })
    };
    let expected = encipher(&tdes(FIRST), &pin("1234"), pan).unwrap();
    assert_eq!(under("back"), Ok(expected.to_vec()));
    assert_eq!(under("other-zone"), Err(HsmError::MalformedPinBlock));
}

fn refusals(hsm: &dyn Hsm) {
    let pan = "1122334455667788";
    let block = encipher(&tdes(FIRST), &pin("4524"), pan).unwrap();
    let mut damaged = block;
    damaged[0] ^= 0x10;
    for bytes in [&damaged[..], &block[..7], &[]] {
        let refused = by_pvv(hsm, zone(Format::Iso0, bytes, pan), 1, [8, 5, 2, 3]);
        assert_eq!(refused, Err(HsmError::MalformedPinBlock));
    }
    let refused = by_pvv(hsm, zone(Format::Iso3, &block, pan), 1, [8, 5, 2, 3]);
    assert_eq!(
        refused,
        Err(HsmError::MalformedPinBlock),
        "read as format 3"
    );
    let other = "1122334455667718";
    let refused = by_pvv(hsm, zone(Format::Iso0, &block, other), 1, [8, 5, 2, 3]);
    assert_ne!(refused, Ok(Verdict::Right), "another card's block");
    let of = |key| PinBlock {
        key,
        ..zone(Format::Iso0, &block, pan)
    };
    let refused = by_pvv(hsm, of("nobody"), 1, [8, 5, 2, 3]);
    let unknown = HsmError::UnknownKey {
        name: "nobody".to_owned(),
    };
    assert_eq!(refused, Err(unknown));
    for key in ["cvk", "zmk", "mac"] {
        let refused = by_pvv(hsm, of(key), 1, [8, 5, 2, 3]);
        assert!(matches!(refused, Err(HsmError::KeyUse { .. })), "{key}");
    }
    let unbound = hsm.translate_pin(&TranslatePin {
        from: zone(Format::Iso0, &block, pan),
        to_key: "zone",
        to_format: Format::Iso1,
    });
    assert!(matches!(unbound, Err(HsmError::Request { .. })), "0 to 1");
    let kept = hsm.export_key(&ExportKey {
        name: "zone",
        under: "zmk",
        as_block: false,
    });
    assert!(kept.is_err(), "a key that may not leave");
    assert!(hsm.check_value("nobody").is_err());
    assert!(hsm.health().is_ok());
}

#[test]
fn keys_in_memory_answer_every_published_vector() {
    let hsm = software();
    every_vector(&*hsm);
    assert!(hsm.name().contains("not a certified device"));
}

#[test]
fn keys_in_memory_have_one_name_each_and_single_des_is_none() {
    let hsm = software();
    let terms = |name: &str| KeyTerms {
        name: name.to_owned(),
        usage: "C0".to_owned(),
        version: "00".to_owned(),
        mode: b'N',
        is_exportable: false,
    };
    let first = unhex(FIRST);
    assert!(hsm.add(terms("zone"), &first, false).is_err(), "taken");
    let single = unhex("12345678123456781234567812345678");
    let error = hsm.add(terms("single"), &single, false).err().unwrap();
    assert!(error.to_string().contains("single DES"), "{error}");
}

#[test]
fn keys_in_memory_leave_as_key_blocks_and_come_back() {
    let hsm = software();
    for (under, letter) in [("zmk", "B"), ("kbpk-d", "D")] {
        for name in ["free", "cmac"] {
            let out = hsm.export_key(&ExportKey {
                name,
                under,
                as_block: true,
            });
            let form = out.unwrap_or_else(|error| panic!("{name}: {error}"));
            let KeyForm::Block(block) = &form else {
                panic!("asked as a block");
            };
            assert!(block.starts_with(letter), "{name}");
            let usage = if name == "free" { "P0" } else { "M6" };
            let note = hsm.import_key(&ImportKey {
                name: "back",
                usage,
                under,
                form: &form,
            });
            let value = hsm.check_value(name).ok();
            assert_eq!(note.ok().and_then(|note| note.check_value), value);
        }
    }
}
