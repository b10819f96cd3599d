//! Elements that a specification divides, and chip data: read when they are asked for.

use bytes::BytesMut;
use cardswitch::iso8583::{MessageSpec, MessageWriter, Mti, decode};

use crate::golden_messages::hex;

#[test]
fn parts_of_an_element_are_read_when_asked_for() {
    let toml = r#"
name = "divided"
[defaults]
mti = "ascii"
bitmap = "binary"
digits = "bcd"
odd_fill = "left"
length = "ascii"
binary = "raw"
[elements]
43 = { format = "b...40", name = "in order" }
60 = { format = "any..40", name = "by bitmap" }
55 = { format = "b...255", name = "chip" }
[parts.43]
form = "positional"
[parts.43.rows]
1 = { format = "n3", name = "first" }
2 = { format = "any..9", name = "second" }
3 = { format = "b8", name = "third" }
[parts.60]
form = "bitmap"
bitmap = "hex"
[parts.60.rows]
2 = { format = "n3", name = "second", digits = "ascii" }
64 = { format = "any1", name = "last" }
"#;
    let spec = MessageSpec::parse(toml).unwrap_or_else(|errors| panic!("{errors}"));
    let whole = parts_read(&spec, 43, &hex("0123 3032 4142 FF"));
    assert_eq!(whole.unwrap(), ["1=123", "2=AB", "3=[FF]"]);
    let first = parts_read(&spec, 43, &hex("0123"));
    assert_eq!(first.unwrap(), ["1=123"], "the last parts may be missing");
    assert_eq!(parts_read(&spec, 43, b"").unwrap(), [""; 0]);
    let announced = parts_read(&spec, 60, b"4000000000000001123Z");
    assert_eq!(announced.unwrap(), ["2=123", "64=Z"]);
    for (number, value, error) in [
        (
            43,
            &hex("0123 3032 41")[..],
            "part 2 at byte 4 of the element: expected 2 more bytes, got 1",
        ),
        (
            43,
            &hex("0A23"),
            "part 1 at byte 0 of the element: expected content class n at position 1, \
             got a nibble above nine",
        ),
        (
            43,
            &hex("0123 3030 FFFF"),
            "part 0 at byte 5 of the element: expected the end of the message, got 1 more bytes",
        ),
        (
            60,
            b"2000000000000000",
            "part 3 at byte 16 of the element: expected no such element, got its bit",
        ),
        (
            60,
            b"400000000000000",
            "part 0 at byte 0 of the element: expected 16 more bytes, got 15",
        ),
    ] {
        assert_eq!(parts_read(&spec, number, value).unwrap_err(), error);
    }
    let mistakes = toml.replace("parts.60", "parts.61").replace(
        "form = \"positional\"",
        "form = \"positional\"\nbitmap = \"hex\"",
    );
    let errors = MessageSpec::parse(&mistakes).unwrap_err();
    assert_eq!(errors.list().len(), 2, "{errors}");
}

#[test]
fn chip_data_is_read_item_by_item() {
    let spec = MessageSpec::builtin("iso87-binary").unwrap();
    let mut out = BytesMut::new();
    let mut writer = MessageWriter::begin(spec, Mti::new(100), &mut out);
    writer.number(4, 1).unwrap();
    writer.binary(55, &hex("9F260101 9A03211121")).unwrap();
    writer.finish().unwrap();
    let message = decode(spec, out.freeze()).unwrap();
    let items = message.tlvs(55).unwrap().map(|item| item.unwrap());
    let tags: Vec<Vec<u8>> = items.map(|item| item.tag().to_vec()).collect();
    assert_eq!(tags, [vec![0x9f, 0x26], vec![0x9a]]);
    assert!(message.tlvs(4).is_none());
}

/// The parts of an element with this value, as words.
fn parts_read(spec: &MessageSpec, number: u8, value: &[u8]) -> Result<Vec<String>, String> {
    let mut out = BytesMut::new();
    let mut writer = MessageWriter::begin(spec, Mti::new(100), &mut out);
    let written = match std::str::from_utf8(value) {
        Ok(text) if number == 60 => writer.text(number, text).map(|_| ()),
        _ => writer.binary(number, value).map(|_| ()),
    };
    written.unwrap();
    writer.finish().unwrap();
    let message = decode(spec, out.freeze()).unwrap();
    let parts = message.parts(spec, number).unwrap();
    let parts = parts.map_err(|error| error.to_string())?;
    let words = parts.iter().map(|part| {
        let value = match part.text() {
            Some(text) => text.into_owned(),
            None => format!("{:02X?}", part.binary().unwrap()),
        };
        format!("{}={value}", part.key())
    });
    Ok(words.collect())
}
