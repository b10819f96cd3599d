//! Every form of parts: read, written again byte for byte, refused by place, masked.

use bytes::BytesMut;
use cardswitch::iso8583::{
    Message, MessageSpec, MessageWriter, Mti, Part, PartValue, decode, describe, rebuild,
};

use crate::golden_messages::hex;

/// Every form of parts: what its values are, and that they are written again byte for byte.
#[test]
fn parts_of_every_form_are_read_and_written_again() {
    let spec = MessageSpec::parse(FORMS).unwrap_or_else(|errors| panic!("{errors}"));
    for (number, value, expected) in [
        // In order; the last may be missing, and one has parts of its own.
        (
            43,
            "C1C2 31 C3 02 01 0154 01",
            "1=AB 2=1 3=C 4(1=02 2=[01] 3=154 4=1)",
        ),
        (43, "C1C2", "1=AB"),
        // A bitmap of two bytes whose first bit is that of part 1.
        (44, "8001 3132 58", "1=12 16=X"),
        (44, "0000", ""),
        // Tags of two characters in any order; one untagged in front; unknown and repeated ones.
        (
            48,
            "54 3031 3032 4142 5A5A 3031 43 3031 3030",
            "first=T 01=AB ZZ=[43] 01=",
        ),
        // Length, then tag, which is counted; and not counted.
        (49, "3034 3438 4142 3032 3530", "48=AB 50="),
        (50, "3032 3438 4142 3030 3530", "48=AB 50="),
        // Chip data: long tags, nesting, unknown and repeated tags, filler.
        (
            55,
            "9F2701C0 9A03261121 0000 70 09 9F270180 5A03476173 DF8101 00 9A03261122 00",
            "9F27=[C0] 9A=261121 70(9F27=[80] 5A=476173) DF8101=[] 9A=261122",
        ),
        // Filler in front, inside and alone, and lengths in more bytes than they need.
        (
            55,
            "0000 70 8107 9A820003261121 E103 000000 00",
            "70(9A=261121) E1()",
        ),
        // A constructed tag whose value is none: bytes.
        (55, "E002FFFF", "E0=[FF FF]"),
        // Datasets: one of BER-TLV without a row, one with a bitmap, one unknown.
        (
            104,
            "02 0003 9A0107  71 0005 4002 3132 58  72 0001 FF",
            "02(9A=[07]) 71(1=12 14=X) 72=[FF]",
        ),
        // A bitmap of three bytes, elements beyond the first word, BER-TLV behind them.
        (104, "71 0007 8000 21 59 9A0107", "71(17=Y tlv(9A=[07]))"),
        // A bitmap of a byte more than its elements need.
        (104, "71 0008 C000 01 3132 9A0107", "71(1=12 tlv(9A=[07]))"),
        // Written as hexadecimal text of EBCDIC, read as BER-TLV.
        (105, "F9C1 F0F1 F0F7", "9A=[07]"),
    ] {
        let message = of_one(&spec, number, &hex(value));
        assert_eq!(shown(&spec, &message, number), expected, "{value}");
        let again = rebuild(&spec, &message).unwrap();
        assert_eq!(again, message.bytes(), "{value}: {again:02X?}");
        let parts = message.parts(&spec, number).unwrap().unwrap();
        let wire: Vec<u8> = parts.iter().flat_map(|part| part.wire().to_vec()).collect();
        if !matches!(number, 44 | 105) {
            assert_eq!(wire, hex(value), "what parts stand in is kept with them");
        }
    }
}

#[test]
fn a_part_is_replaced_and_its_neighbours_stay_as_they_were() {
    let spec = MessageSpec::parse(FORMS).unwrap_or_else(|errors| panic!("{errors}"));
    let value = hex("9F270181 0000 DF8101 8101 05 9A03261121");
    let message = of_one(&spec, 55, &value);
    let parts = message.parts(&spec, 55).unwrap().unwrap();
    let items: Vec<(String, PartValue)> = (parts.iter())
        .map(|part| match part.key() {
            "9A" => ("9A".to_owned(), PartValue::Text("261231".to_owned())),
            key => (key.to_owned(), PartValue::Wire(part.wire().clone())),
        })
        .collect();
    let rules = spec.element(55).unwrap().parts().unwrap();
    let written = rules.write(&items).unwrap();
    assert_eq!(written, hex("9F270181 0000 DF8101 8101 05 9A03261231"));
    assert_eq!(format!("{items:?}").matches("withheld").count(), 3);
}

#[test]
fn parts_that_fit_nowhere_are_refused_by_name() {
    let spec = MessageSpec::parse(FORMS).unwrap_or_else(|errors| panic!("{errors}"));
    let text = |key: &str, value: &str| (key.to_owned(), PartValue::Text(value.to_owned()));
    let inside = |key: &str, items| (key.to_owned(), PartValue::Parts(items));
    let long = "x".repeat(100);
    for (number, items, why) in [
        (
            43,
            vec![text("9", "1")],
            "part 9: expected the key of a part of the specification",
        ),
        (
            43,
            vec![text("1", "A"), text("1", "B")],
            "part 1: expected this part once",
        ),
        (
            43,
            vec![inside("4", vec![text("4", "1")])],
            "part 4.2: expected this part too, before a later one",
        ),
        (
            44,
            vec![text("1", "AB")],
            "part 1: expected content class n",
        ),
        (
            44,
            vec![inside("1", vec![])],
            "part 1: expected a value of another kind for content class n",
        ),
        (
            48,
            vec![text("Z", "00")],
            "part Z: expected the key of a part of the specification",
        ),
        (
            48,
            vec![text("ZZ", "0")],
            "part ZZ: expected pairs of hexadecimal digits",
        ),
        (
            48,
            vec![text("01", &long)],
            "part 01: expected a length of at most 10, got 100",
        ),
        (
            49,
            vec![text("51", "")],
            "part 51: expected the key of a part of the specification",
        ),
        (
            55,
            vec![text("9F", "00")],
            "part 9F: expected the key of a part of the specification",
        ),
        (
            55,
            vec![text("DF01", "xyz")],
            "part DF01: expected pairs of hexadecimal digits",
        ),
        (
            55,
            vec![inside("70", vec![text("9F27", "0102")])],
            "part 70.9F27: expected a length of exactly 1, got 2",
        ),
        (
            104,
            vec![inside("71", vec![text("2", "1")])],
            "part 71.2: expected the key of a part of the specification",
        ),
    ] {
        let parts = spec.element(number).unwrap().parts().unwrap();
        assert_eq!(parts.write(&items).unwrap_err().to_string(), why);
    }
}

#[test]
fn broken_parts_are_refused_with_their_place() {
    let spec = MessageSpec::parse(FORMS).unwrap_or_else(|errors| panic!("{errors}"));
    for (number, value, why) in [
        (
            44,
            "80",
            "part 0 at byte 0 of the element: expected 2 more bytes, got 1",
        ),
        (
            44,
            "4000",
            "part 2 at byte 2 of the element: expected no such element, got its bit",
        ),
        (
            48,
            "54 5A",
            "part 0 at byte 1 of the element: expected 2 more bytes, got 1",
        ),
        (
            49,
            "3034 3531 4142",
            "part 0 at byte 0 of the element: expected the tag of a part",
        ),
        (
            49,
            "3031 3438",
            "part 48 at byte 0 of the element: expected a length of at least 2, got 1",
        ),
        (
            55,
            "9F27",
            "part 0 at byte 2 of the element: expected a length in the definite form of BER",
        ),
        (
            55,
            "9F",
            "part 0 at byte 0 of the element: expected a tag of at most four bytes",
        ),
        (
            55,
            "9F2702C000",
            "part 9F27 at byte 4 of the element: expected the end of the message, got 1 more bytes",
        ),
        (
            55,
            "9A0326112F",
            "part 9A at byte 4 of the element: expected content class n at position 6, \
             got a nibble above nine",
        ),
        (
            55,
            "E00101 9A0326",
            "part 0 at byte 5 of the element: expected 3 more bytes, got 1",
        ),
        (
            104,
            "71 0001 40",
            "part 71.0 at byte 0 of the element: expected 2 more bytes, got 1",
        ),
        (
            104,
            "71 0002 8001",
            "part 71.0 at byte 0 of the element: expected 1 more bytes, got 0",
        ),
        (
            104,
            "71 0003 400099",
            "part 71.1 at byte 2 of the element: expected 2 more bytes, got 1",
        ),
    ] {
        let message = of_one(&spec, number, &hex(value));
        let error = match message.parts(&spec, number).unwrap() {
            Err(error) => error,
            Ok(parts) => parts.iter().find_map(|part| part.mistake()).unwrap(),
        };
        assert_eq!(error.to_string(), why, "{value}");
    }
}

#[test]
fn nesting_without_end_is_bytes_from_some_depth_on() {
    let spec = MessageSpec::parse(FORMS).unwrap_or_else(|errors| panic!("{errors}"));
    let mut value = vec![0x9a, 0x00];
    for _ in 0..60 {
        let size = u8::try_from(value.len()).unwrap();
        value.splice(0..0, [0xe0, size]);
    }
    let message = of_one(&spec, 55, &value);
    let text = shown(&spec, &message, 55);
    assert_eq!(text.matches("E0(").count(), 8, "{text}");
    assert_eq!(rebuild(&spec, &message).unwrap(), message.bytes());
}

#[test]
fn parts_of_a_masked_element_are_masked_unless_their_row_says_otherwise() {
    let spec = MessageSpec::parse(FORMS).unwrap_or_else(|errors| panic!("{errors}"));
    let value = hex("9F2701C0 9A01AB 5A084761739001010119 DF010412345678 70065A0447617390 9F00");
    let message = of_one(&spec, 55, &value);
    let broken = describe(&spec, &message);
    assert!(
        broken.contains("withheld, length 34, its parts cannot be read"),
        "{broken}"
    );
    let message = of_one(&spec, 55, &value[..value.len() - 2]);
    let text = describe(&spec, &message);
    for line in [
        "DE 55  b...255   chip                                   5 parts",
        "  55.9F27    b8        cryptogram information             C0",
        "  55.5A      h..20     card                               \"476173******0119\"",
        "  55.9A      n6        date                               AB",
        "  55.DF01              unknown                            withheld, length 8",
        "  55.70                unknown                            1 part",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(
        !text.contains("900101") && !text.contains("12345678"),
        "{text}"
    );
}

#[test]
fn no_bytes_make_parts_panic_and_what_is_read_is_written_again() {
    let spec = MessageSpec::parse(FORMS).unwrap_or_else(|errors| panic!("{errors}"));
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut byte = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed.to_be_bytes()[0]
    };
    // Bytes that mean something to some form come often.
    let often = b"\x9f\x27\x9a\x03\x70\x71\x01\x02\x00\x00\x80\xe0\x4801025AB";
    let mut read = 0;
    for round in 0..20_000_usize {
        let number = [43, 44, 48, 49, 50, 55, 104, 105][round % 8];
        let max = if number < 50 { 38 } else { 90 };
        let size = usize::from(byte()) % max;
        let value: Vec<u8> = (0..size)
            .map(|_| match byte() {
                rare @ 0xc0.. => rare,
                usual => often[usize::from(usual) % often.len()],
            })
            .collect();
        let mut out = BytesMut::new();
        let mut writer = MessageWriter::begin(&spec, Mti::new(100), &mut out);
        writer.divided(number, &value).unwrap();
        writer.finish().unwrap();
        let message = decode(&spec, out.freeze()).unwrap();
        assert!(describe(&spec, &message).starts_with("MTI"));
        if let Some(Ok(parts)) = message.parts(&spec, number) {
            let again = rebuild(&spec, &message).unwrap();
            let second = decode(&spec, again.freeze()).unwrap();
            if parts.iter().all(|part| part.mistake().is_none()) {
                read += 1;
                let place = format!("{number} {value:02X?}");
                assert_eq!(shown(&spec, &second, number), words(&parts), "{place}");
            }
        }
    }
    assert!(read > 500, "only {read} were read");
}

#[test]
fn mistakes_in_tables_of_parts_are_all_said() {
    let head = &FORMS[..FORMS.find("[parts").unwrap()];
    let tables = r#"
[parts.43]
form = "ordered"
[parts.44]
form = "bitmap"
bitmap = "binary"
bitmap_bytes = 25
[parts.44.rows]
1 = { format = "n2", name = "x" }
[parts.48]
form = "tagged"
[parts.49]
form = "tagged"
tag = "hex 1"
bitmaps = "one"
[parts.49.rows]
1 = { format = "n2", name = "x" }
[parts.55]
form = "ber"
[parts.55.rows]
9F = { format = "n2", name = "x" }
9A = { format = "n..2", name = "x", length = "ascii" }
[parts."55.9B"]
form = "ber"
[parts.3]
form = "ber"
[parts."55.1.1.1.1.1.1.1.1"]
form = "ber"
"#;
    let errors = MessageSpec::parse(&format!("{head}{tables}")).unwrap_err();
    let mut lines: Vec<String> = (errors.list().iter())
        .map(|error| error.mistake.clone())
        .collect();
    lines.sort();
    let expected = [
        "parts of element 3: expected an element of bytes or of text without a number in it",
        "parts of element 43: form: expected positional or bitmap or tagged or ber or datasets or \
         dataset-bitmap",
        "parts of element 44: expected a bitmap, and bitmaps or bitmap_bytes from 1 to 24",
        "parts of element 48: expected a tag: latin1, ebcdic-1047 or hex, a space and its bytes \
         from 1 to 4",
        "parts of element 49: 1: expected a tag of 1 bytes",
        "parts of element 49: bitmaps has no effect on this form",
        "parts of element 55.1.1.1.1.1.1.1.1: expected parts at most 8 levels deep",
        "parts of element 55.9B: expected such an element",
        "parts of element 55: 9A: length has no effect, the item has a length",
        "parts of element 55: 9F: expected a tag of BER in hexadecimal",
    ];
    assert_eq!(lines, expected);
}

/// A message whose only element has these bytes inside.
fn of_one(spec: &MessageSpec, number: u8, value: &[u8]) -> Message {
    let mut out = BytesMut::new();
    let mut writer = MessageWriter::begin(spec, Mti::new(100), &mut out);
    writer
        .divided(
            number,
            &match number {
                // Its wire is text: the value is given as it stands there.
                105 => hex("9A0107").to_vec(),
                _ => value.to_vec(),
            },
        )
        .unwrap();
    writer.finish().unwrap();
    decode(spec, out.freeze()).unwrap()
}

fn shown(spec: &MessageSpec, message: &Message, number: u8) -> String {
    let parts = message.parts(spec, number).unwrap();
    let parts = parts.unwrap_or_else(|error| panic!("DE {number}: {error}"));
    words(&parts)
}

fn words(parts: &[Part<'_>]) -> String {
    let word = |part: &Part<'_>| match (part.parts(), part.text()) {
        (Some(inner), _) => format!("{}({})", part.key(), words(&inner.unwrap())),
        (None, Some(text)) => format!("{}={text}", part.key()),
        (None, None) => {
            let bytes: Vec<String> = (part.binary().unwrap().iter())
                .map(|byte| format!("{byte:02X}"))
                .collect();
            format!("{}=[{}]", part.key(), bytes.join(" "))
        }
    };
    parts.iter().map(word).collect::<Vec<_>>().join(" ")
}

const FORMS: &str = include_str!("../../fixtures/hostile/parts.toml");
