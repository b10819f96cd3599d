//! One test for each way in which the writer refuses a value or a message.

use bytes::{Bytes, BytesMut};
use cardswitch::iso8583::{
    EncodeError, EncodeRefusal, MessageSpec, MessageWriter, Mti, Place, decode,
};

#[test]
fn writer_refuses_elements_out_of_order() {
    let why = written(|writer| writer.number(4, 1)?.number(3, 1).map(drop));
    assert_eq!(why, refusal(3, EncodeRefusal::Order { previous: 4 }));
    let why = written(|writer| writer.number(4, 1)?.number(4, 1).map(drop));
    assert_eq!(why, refusal(4, EncodeRefusal::Order { previous: 4 }));
}

#[test]
fn writer_refuses_an_unknown_element() {
    for number in [0, 1, 129] {
        let why = written(|writer| writer.text(number, "1").map(drop));
        assert_eq!(why, refusal(number, EncodeRefusal::Undefined));
    }
}

#[test]
fn writer_refuses_what_does_not_fit() {
    let why = written(|writer| writer.text(39, "000").map(drop));
    assert_eq!(why, refusal(39, EncodeRefusal::Length { max: 2, got: 3 }));
    let why = written(|writer| writer.number(11, 1_000_000).map(drop));
    assert_eq!(why, refusal(11, EncodeRefusal::Length { max: 6, got: 7 }));
    let why = written(|writer| writer.number(32, u64::MAX).map(drop));
    assert_eq!(why, refusal(32, EncodeRefusal::Length { max: 11, got: 20 }));
    let why = written(|writer| writer.binary(52, &[0; 7]).map(drop));
    assert_eq!(
        why,
        refusal(
            52,
            EncodeRefusal::Size {
                expected: 8,
                got: 7
            }
        )
    );
}

#[test]
fn writer_refuses_content_of_another_class() {
    let expected = |number| ascii().element(number).unwrap().class();
    for (number, text) in [
        (3, "12 456"),
        (28, "X1"),
        (28, ""),
        (37, "a-b"),
        (43, "\u{e9}"),
    ] {
        let why = written(|writer| writer.text(number, text).map(drop));
        assert_eq!(
            why,
            refusal(
                number,
                EncodeRefusal::Content {
                    expected: expected(number)
                }
            )
        );
    }
}

#[test]
fn writer_refuses_a_value_of_another_kind() {
    let kind = |number| EncodeRefusal::Kind {
        expected: ascii().element(number).unwrap().class(),
    };
    assert_eq!(
        written(|writer| writer.text(52, "00").map(drop)),
        refusal(52, kind(52))
    );
    assert_eq!(
        written(|writer| writer.number(39, 0).map(drop)),
        refusal(39, kind(39))
    );
    assert_eq!(
        written(|writer| writer.binary(3, &[0]).map(drop)),
        refusal(3, kind(3))
    );
}

#[test]
fn writer_refuses_to_copy_from_another_specification() {
    let message = decode(
        binary(),
        Bytes::from_static(b"\x01\0\x20\0\0\0\0\0\0\0\0\0\0"),
    )
    .unwrap();
    let why = written(|writer| writer.copy(&message, 3).map(drop));
    assert_eq!(why, refusal(3, EncodeRefusal::Foreign));
}

#[test]
fn writer_refuses_a_message_type_of_another_edition() {
    let mut out = BytesMut::from(&b"before"[..]);
    let why = MessageWriter::begin(ascii(), Mti::new(1100), &mut out)
        .finish()
        .unwrap_err();
    assert_eq!(
        why.refusal,
        EncodeRefusal::Version {
            expected: 0,
            got: 1
        }
    );
    assert_eq!(&out[..], b"before");
}

#[test]
fn writer_refuses_a_message_longer_than_any_frame() {
    let row = |number| format!("{number} = {{ format = \"ans...999\", name = \"x\" }}\n");
    let spec = small(&(2..=100).map(row).collect::<String>());
    let mut out = BytesMut::new();
    let mut writer = MessageWriter::begin(&spec, Mti::new(100), &mut out);
    for number in 2..=100 {
        writer.text(number, &"x".repeat(999)).unwrap();
    }
    let got = 4 + 32 + 99 * 1_002;
    let refusal = EncodeRefusal::FrameLength { max: 65_535, got };
    assert_eq!(
        writer.finish(),
        Err(EncodeError {
            place: Place::Frame,
            refusal
        })
    );
    assert!(out.is_empty());
}

#[test]
fn a_refused_element_or_a_dropped_writer_leaves_no_bytes() {
    let mut out = BytesMut::from(&b"before"[..]);
    let mut writer = MessageWriter::begin(ascii(), Mti::new(810), &mut out);
    writer.number(70, 1_000).unwrap_err();
    writer.number(11, 7).unwrap();
    writer.finish().unwrap();
    assert_eq!(&out[..], b"before08100020000000000000000007");
    let mut writer = MessageWriter::begin(ascii(), Mti::new(810), &mut out);
    writer.number(11, 7).unwrap();
    drop(writer);
    assert_eq!(&out[..], b"before08100020000000000000000007");
}

/// What a writer of the ASCII specification refuses.
fn written(
    steps: impl FnOnce(&mut MessageWriter<'_, '_>) -> Result<(), EncodeError>,
) -> EncodeError {
    let mut out = BytesMut::new();
    let mut writer = MessageWriter::begin(ascii(), Mti::new(100), &mut out);
    steps(&mut writer).unwrap_err()
}

fn refusal(number: u8, refusal: EncodeRefusal) -> EncodeError {
    EncodeError {
        place: Place::Element(number),
        refusal,
    }
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
