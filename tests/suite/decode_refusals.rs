//! One test for each way in which a frame is refused: where, why, and what is kept.

use bytes::Bytes;
use cardswitch::iso8583::{
    ByteKind, InvalidMti, MessageSpec, Mti, Place, Refusal, decode, rebuild,
};

#[test]
fn refuses_a_frame_longer_than_any_message() {
    let refusal = Refusal::FrameLength {
        max: 65_535,
        got: 65_536,
    };
    refuses(ascii(), &vec![b'0'; 65_536], Place::Frame, 0, refusal, None);
}

#[test]
fn refuses_a_frame_that_ends_too_early() {
    let cut = |expected, got| Refusal::Truncated { expected, got };
    refuses(ascii(), b"010", Place::Mti, 0, cut(4, 3), None);
    refuses(
        ascii(),
        b"010070000000",
        Place::Bitmap,
        4,
        cut(16, 8),
        NOTHING,
    );
    refuses(
        binary(),
        b"\x01\x00\xc0\0\0\0\0\0\0\0\x11",
        Place::SecondBitmap,
        10,
        cut(8, 1),
        NOTHING,
    );
    // The length prefix, then the value.
    refuses(
        ascii(),
        b"010040000000000000001",
        DE_2,
        20,
        cut(2, 1),
        NOTHING,
    );
    refuses(
        ascii(),
        b"010060000000000000000212",
        Place::Element(3),
        24,
        cut(6, 0),
        Some(&[2]),
    );
    refuses(
        binary(),
        b"\x01\x00\x40\0\0\0\0\0\0\0\x03\x12",
        DE_2,
        11,
        cut(2, 1),
        NOTHING,
    );
}

#[test]
fn refuses_a_message_type_that_is_none() {
    for (digits, invalid) in [
        ("01O0", InvalidMti::NotFourDigits),
        ("0000", InvalidMti::Class { got: 0 }),
        ("0900", InvalidMti::Class { got: 9 }),
        ("0106", InvalidMti::Origin { got: 6 }),
    ] {
        let frame = format!("{digits}0000000000000000");
        refuses(
            ascii(),
            frame.as_bytes(),
            Place::Mti,
            0,
            Refusal::Mti(invalid),
            None,
        );
        assert_eq!(digits.parse::<Mti>(), Err(invalid));
    }
    let invalid = Refusal::Mti(InvalidMti::NotFourDigits);
    refuses(
        binary(),
        &[0x01, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0],
        Place::Mti,
        0,
        invalid,
        None,
    );
}

#[test]
fn refuses_a_message_type_of_another_edition() {
    let refusal = Refusal::Version {
        expected: 0,
        got: 1,
    };
    refuses(
        ascii(),
        b"11000000000000000000",
        Place::Mti,
        0,
        refusal,
        None,
    );
}

#[test]
fn refuses_a_bitmap_that_is_not_hexadecimal() {
    refuses(
        ascii(),
        b"0100400000000000000G",
        Place::Bitmap,
        4,
        Refusal::BitmapHex,
        NOTHING,
    );
    let frame = b"0100800000000000000000000000000000 0";
    refuses(
        ascii(),
        frame,
        Place::SecondBitmap,
        20,
        Refusal::BitmapHex,
        NOTHING,
    );
}

#[test]
fn refuses_an_element_that_the_specification_does_not_have() {
    let spec = small("3 = { format = \"n6\", name = \"Processing code\" }");
    let place = Place::Element(4);
    refuses(
        &spec,
        b"01003000000000000000123456",
        place,
        26,
        Refusal::Undefined,
        Some(&[3]),
    );
}

#[test]
fn refuses_a_length_that_is_no_number() {
    refuses(
        ascii(),
        b"010040000000000000001A",
        DE_2,
        20,
        Refusal::LengthDigits,
        NOTHING,
    );
    let frame = b"\x01\x00\x40\0\0\0\0\0\0\0\x1a";
    refuses(binary(), frame, DE_2, 10, Refusal::LengthDigits, NOTHING);
}

#[test]
fn refuses_a_length_above_the_maximum() {
    let refusal = Refusal::Length { max: 19, got: 20 };
    let frame = b"010040000000000000002012345678901234567890";
    refuses(ascii(), frame, DE_2, 20, refusal, NOTHING);
    let refusal = Refusal::Length {
        max: 999,
        got: 1_000,
    };
    let frame = b"\x01\x00\0\0\0\0\0\x01\0\0\x10\x00";
    refuses(binary(), frame, Place::Element(48), 10, refusal, NOTHING);
}

#[test]
fn refuses_content_of_another_class_and_reads_on() {
    for (row, value, offset, position, got) in [
        ("n6", "12345a", 25, 6, ByteKind::Letter),
        ("n3", "1\u{7f}3", 21, 2, ByteKind::Control),
        ("z4", "12<4", 22, 3, ByteKind::Special),
        ("a2", "a1", 21, 2, ByteKind::Digit),
        ("an9", "abcdefgh-", 28, 9, ByteKind::Special),
        ("as5", "a-b=7", 24, 5, ByteKind::Digit),
        ("ns5", "1-2 a", 24, 5, ByteKind::Letter),
        ("ans3", "a\n ", 21, 2, ByteKind::Control),
        ("ans4", "a\u{e9}b", 21, 2, ByteKind::High),
        ("x+n2", "E12", 20, 1, ByteKind::Letter),
        ("x+n2", "C1 ", 22, 3, ByteKind::Space),
        ("b16", "0F0G", 23, 4, ByteKind::Letter),
    ] {
        let spec = small(&format!(
            "2 = {{ format = \"{row}\", name = \"x\" }}\n3 = {{ format = \"n1\", name = \"y\" }}"
        ));
        let frame = format!("01006000000000000000{value}7");
        let expected = spec.element(2).unwrap().class();
        let refusal = Refusal::Content {
            expected,
            got,
            position,
        };
        refuses(&spec, frame.as_bytes(), DE_2, offset, refusal, Some(&[3]));
    }
}

#[test]
fn refuses_packed_content_of_another_class_and_reads_on() {
    for (number, value, offset, position) in [
        (3, &[0x12, 0x34, 0x5a][..], 12, 6),
        (22, &[0x01, 0xb3], 11, 2),
        (35, &[0x04, 0x12, 0xe4], 12, 3),
        (28, &[b'C', 0x12, 0x34, 0x56, 0xf8], 14, 8),
    ] {
        let bits = 1_u64 << (64 - number) | 1 << (64 - 52);
        let frame = [&[1, 0][..], &bits.to_be_bytes(), value, &[0; 8]].concat();
        let got = ByteKind::HexNibble;
        let expected = binary().element(number).unwrap().class();
        let refusal = Refusal::Content {
            expected,
            got,
            position,
        };
        refuses(
            binary(),
            &frame,
            Place::Element(number),
            offset,
            refusal,
            Some(&[52]),
        );
    }
}

#[test]
fn a_fill_that_is_no_digit_is_no_breach_of_the_class_and_any_other_is() {
    let spec = MessageSpec::parse(
        "name = \"f\"\n[defaults]\nmti = \"bcd\"\n\
         bitmap = \"binary\"\ndigits = \"bcd\"\nodd_fill = \"right-f\"\nlength = \"bcd\"\n\
         binary = \"raw\"\n[elements]\n2 = { format = \"n..19\", name = \"n\" }\n\
         3 = { format = \"n3\", name = \"n\" }\n35 = { format = \"z..37\", name = \"z\" }\n",
    )
    .unwrap_or_else(|errors| panic!("{errors}"));
    let bits = 1_u64 << 62 | 1 << 61 | 1 << 29;
    let values = [3, 0x12, 0x3f, 0x45, 0x6f, 5, 0x98, 0xd7, 0x6f];
    let frame = [&[1, 0][..], &bits.to_be_bytes(), &values].concat();
    let message = decode(&spec, Bytes::from(frame.clone())).unwrap();
    assert_eq!(message.number(2), Some(123));
    assert_eq!(message.text(3).as_deref(), Some("456"));
    assert_eq!(message.digits(35).as_deref(), Some("98=76"));
    assert_eq!(rebuild(&spec, &message).unwrap(), frame);
    // A fill that is a digit, and a digit that is none.
    for (index, wrong, refusal) in [(12, 0x30, true), (12, 0xf3, false), (11, 0xa2, false)] {
        let mut frame = frame.clone();
        frame[index] = wrong;
        let error = decode(&spec, Bytes::from(frame)).unwrap_err().error;
        assert_eq!(matches!(error.refusal, Refusal::Fill), refusal, "{error}");
        assert_eq!(error.place, DE_2);
    }
}

#[test]
fn refuses_a_fill_nibble_that_is_not_zero() {
    let frame = b"\x01\x00\x40\0\0\0\0\0\0\0\x03\x12\x3f";
    refuses(binary(), frame, DE_2, 12, Refusal::Fill, NOTHING);
    let frame = b"\x01\x00\0\0\x04\0\0\0\0\0\x10\x51";
    refuses(
        binary(),
        frame,
        Place::Element(22),
        10,
        Refusal::Fill,
        NOTHING,
    );
}

#[test]
fn refuses_bytes_behind_the_last_element() {
    let refusal = Refusal::Trailing { got: 2 };
    refuses(
        ascii(),
        b"01002000000000000000123456\0\0",
        Place::Frame,
        26,
        refusal,
        Some(&[3]),
    );
}

#[test]
fn reports_the_first_of_several_mistakes() {
    let frame = b"01007000000000000000021212A456";
    let failure = decode(ascii(), Bytes::from_static(frame)).unwrap_err();
    assert_eq!(
        failure.to_string(),
        "DE 3 at byte 26: expected content class n at position 3, got a letter",
    );
    assert_eq!(failure.error.element(), Some(3));
    assert_eq!(
        failure.partial.unwrap().elements().collect::<Vec<u8>>(),
        [2]
    );
}

#[track_caller]
fn refuses(
    spec: &MessageSpec,
    frame: &[u8],
    place: Place,
    offset: usize,
    refusal: Refusal,
    kept: Option<&[u8]>,
) {
    let failure = decode(spec, Bytes::copy_from_slice(frame)).unwrap_err();
    let error = failure.error;
    assert_eq!(
        (error.place, error.offset, error.refusal),
        (place, offset, refusal)
    );
    let partial = failure
        .partial
        .map(|message| message.elements().collect::<Vec<u8>>());
    assert_eq!(partial.as_deref(), kept);
}

/// An ASCII specification of only these rows.
fn small(rows: &str) -> MessageSpec {
    let text = include_str!("../../spec/iso8583/iso87-ascii.toml");
    let head = &text[..text.find("[elements]").unwrap()];
    MessageSpec::parse(&format!("{head}[elements]\n{rows}")).unwrap()
}

fn ascii() -> &'static MessageSpec {
    MessageSpec::builtin("iso87-ascii").unwrap()
}

fn binary() -> &'static MessageSpec {
    MessageSpec::builtin("iso87-binary").unwrap()
}

const DE_2: Place = Place::Element(2);
const NOTHING: Option<&[u8]> = Some(&[]);
