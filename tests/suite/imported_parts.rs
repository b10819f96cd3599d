//! Composites of other projects: what they load to, read and written again.
//!
//! `CARDSWITCH_SHARED` may name a folder with messages of other projects, which are not part of
//! this one; what needs them is skipped without it.

use bytes::BytesMut;
use cardswitch::iso8583::import::{self, Imported};
use cardswitch::iso8583::{Message, MessageSpec, MessageWriter, Part, decode, rebuild};
use serde_json::{Map, Value, json};

use crate::golden_messages::{hex, shared};

#[test]
fn composites_of_jpos_packagers_are_read_and_written_again() {
    for (wrapper, attributes, fields, value, expected) in JPOS_COMPOSITES {
        let children: String = (fields.iter())
            .map(|(id, class, more)| match *class {
                "" => (*more).to_owned(),
                _ => format!(r#"<isofield id="{id}" length="9" name="x" class="{class}" {more}/>"#),
            })
            .collect();
        let text = format!(
            r#"<isopackager><isofield id="0" length="4" name="" class="IFA_NUMERIC"/>
            <isofield id="1" length="16" name="" class="IFB_BITMAP"/>
            <isofieldpackager id="48" length="90" name="" class="{wrapper}" {attributes}>{children}
            </isofieldpackager></isopackager>"#
        );
        let Imported { toml, report } = import::jpos("own", &text).unwrap();
        assert_eq!(report.counts()[2], 0, "{report}\n{toml}");
        let spec = MessageSpec::parse(&toml).unwrap_or_else(|errors| panic!("{errors}\n{toml}"));
        let frame = hex(&format!("30313030 0000000000010000 {value}"));
        let message = decode(&spec, frame.clone()).unwrap_or_else(|e| panic!("{e}\n{toml}"));
        let parts = message.parts(&spec, 48).unwrap();
        let parts = parts.unwrap_or_else(|error| panic!("{error}\n{toml}"));
        assert_eq!(words(&parts), expected, "{toml}");
        assert_eq!(rebuild(&spec, &message).unwrap(), frame, "{toml}");
    }
}

#[test]
fn what_a_composite_of_jpos_cannot_say_is_reported_by_path() {
    let text = r#"<isopackager><isofield id="0" length="4" name="" class="IFA_NUMERIC"/>
      <isofield id="1" length="16" name="" class="IFB_BITMAP"/>
      <isofieldpackager id="48" length="90" name="" class="IFA_LLCHAR" emitBitmap="false"
          packager="GenericSubFieldPackager">
        <isofield id="1" length="2" name="" class="example.Own"/>
        <isofieldpackager id="2" length="9" name="" class="IFA_LLCHAR" packager="example.Ours">
          <isofield id="1" length="2" name="" class="IF_CHAR"/>
        </isofieldpackager>
        <isofield id="3" length="2" name="" class="IF_CHAR"/>
        <isofield id="3" length="3" name="" class="IF_CHAR"/>
      </isofieldpackager>
      <isofieldpackager id="49" length="90" name="" class="IFB_LLNUM" emitBitmap="false"
          packager="GenericSubFieldPackager">
        <isofield id="1" length="2" name="" class="IF_CHAR"/>
      </isofieldpackager>
      <isofield id="50" length="9" name="" class="IFA_TTLLCHAR"/></isopackager>"#;
    let Imported { toml, report } = import::jpos("own", text).unwrap();
    MessageSpec::parse(&toml).unwrap_or_else(|errors| panic!("{errors}\n{toml}"));
    let expected = "4 taken, 2 approximated, 5 not expressible
48.1 Own: not expressible: no class of this name is known
48.2 IFA_LLCHAR: approximated: its parts stay one value
48.2.1 IF_CHAR: not expressible: parts of Ours are not read apart
48.3 IF_CHAR: not expressible: defined again further down
49 IFB_LLNUM: approximated: its parts stay one value
49.1 IF_CHAR: not expressible: parts are read out of bytes and text only
50 IFA_TTLLCHAR: not expressible: its tag is known only inside of another field";
    assert_eq!(report.to_string(), expected);
}

#[test]
fn composites_of_moov_are_read_and_written_again() {
    let text =
        |prefix: &str| json!({"type": "String", "length": 9, "enc": "ASCII", "prefix": prefix});
    let item = json!({"type": "Hex", "length": 9, "enc": "Binary", "prefix": "BerTLV"});
    let composite = |mut more: Value| {
        let own = more.as_object_mut().unwrap();
        own.insert("type".into(), "Composite".into());
        own.insert("length".into(), 90.into());
        own.insert("prefix".into(), "ASCII.LL".into());
        more
    };
    let ber = json!({"enc": "BerTLVTag", "sort": "StringsByHex"});
    for (field, value, expected) in [
        (
            composite(json!({"tag": {"sort": "StringsByInt"}, "subfields": {
                "2": text("ASCII.L"), "10": text("ASCII.L")}})),
            "3034 31 41 31 42",
            "2=A 10=B",
        ),
        (
            composite(
                json!({"tag": {"enc": "ASCII", "length": 2, "sort": "StringsByInt",
                "padding": {"type": "Left", "pad": "0"}, "skipUnknownTLVTags": true,
                "prefUnknownTLV": "ASCII.L"},
                "subfields": {"1": text("ASCII.L"), "2": text("ASCII.L")}}),
            ),
            "3132 3032 31 42  3939 31 FF 3031 31 41",
            "2=B 99=[FF] 1=A",
        ),
        (
            composite(
                json!({"tag": {"enc": "ASCIIToHex", "length": 1, "sort": "StringsByHex"},
                "subfields": {"9F": text("Binary.L")}}),
            ),
            "3033 9F 01 41",
            "9F=A",
        ),
        (
            composite(
                json!({"tag": ber, "subfields": {"9F02": item, "9A": text("BerTLV"),
                "70": {"type": "Composite", "length": 90, "prefix": "BerTLV", "tag": ber,
                       "subfields": {"9A": item}}}}),
            ),
            "3135 9A0131  9F020103 DF0100 70039A01FF",
            "9A=1 9F02=[03] DF01=[] 70(9A=[FF])",
        ),
        (
            composite(
                json!({"bitmap": {"type": "Bitmap", "length": 2, "enc": "HexToASCII",
                "prefix": "Hex.Fixed", "disableAutoExpand": true},
                "subfields": {"1": text("ASCII.L"), "16": text("ASCII.L")}}),
            ),
            "3038 38303031 31 41 31 42",
            "1=A 16=B",
        ),
    ] {
        let document = json!({"name": "own", "fields": {
            "0": {"type": "String", "length": 4, "enc": "ASCII", "prefix": "ASCII.Fixed"},
            "1": {"type": "Bitmap", "enc": "Binary", "prefix": "Binary.Fixed"},
            "48": field}});
        let Imported { toml, report } = import::moov_json("own", &document.to_string()).unwrap();
        assert_eq!(report.counts()[2], 0, "{report}\n{toml}");
        let spec = MessageSpec::parse(&toml).unwrap_or_else(|errors| panic!("{errors}\n{toml}"));
        let frame = hex(&format!("30313030 0000000000010000 {value}"));
        let message = decode(&spec, frame.clone()).unwrap_or_else(|e| panic!("{e}\n{toml}"));
        let parts = message.parts(&spec, 48).unwrap();
        let parts = parts.unwrap_or_else(|error| panic!("{error}\n{toml}"));
        assert_eq!(words(&parts), expected, "{toml}");
        assert_eq!(rebuild(&spec, &message).unwrap(), frame, "{toml}");
    }
}

#[test]
fn messages_of_moov_are_read_through_the_specifications_that_made_them() {
    let Some(lines) = shared("data/golden-messages.jsonl") else {
        return;
    };
    let mut equal = 0;
    let mut wrong = Vec::new();
    for line in lines.lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        if entry["source"] != "moov-io/iso8583" {
            continue;
        }
        let document = json!({"name": "own", "fields": in_file_words(&entry["spec"])});
        let imported = import::moov_json("own", &document.to_string()).unwrap();
        let spec = MessageSpec::parse(&imported.toml).unwrap();
        let frame = hex(entry["hex"].as_str().unwrap());
        match decode(&spec, frame.clone()) {
            Ok(message) => {
                let same = (entry["expected"]["fields"].as_object().unwrap().iter())
                    .all(|(number, value)| is_same(&spec, &message, number, value));
                let mut out = BytesMut::new();
                let mut writer = MessageWriter::begin_like(&spec, &message, &mut out);
                for number in message.elements() {
                    writer.copy(&message, number).unwrap();
                }
                writer.finish().unwrap();
                match same && out == frame && message.mti().to_string() == entry["expected"]["mti"]
                {
                    true => equal += 1,
                    false => wrong.push(format!("{}: {message:?}", entry["id"])),
                }
            }
            Err(failure) => wrong.push(format!("{}: {failure}", entry["id"])),
        }
    }
    println!("{equal} equal\n{}", wrong.join("\n"));
    assert!(equal > 0);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The specification in the words of a file instead of those of the program that it was made in.
fn in_file_words(fields: &Value) -> Value {
    let word = |encoder: &str| match encoder {
        "asciiEncoder" => "ASCII",
        "binaryEncoder" => "Binary",
        "bcdEncoder" => "BCD",
        "lBCDEncoder" => "LBCD",
        "hexToASCIIEncoder" => "HexToASCII",
        "berTLVEncoderTag" => "BerTLVTag",
        other => panic!("{other}"),
    };
    let mut said = Map::new();
    for (key, field) in fields.as_object().unwrap() {
        let mut field = field.clone();
        for place in ["/enc", "/tag/enc"] {
            if let Some(encoder) = field.pointer_mut(place) {
                *encoder = word(encoder.as_str().unwrap()).into();
            }
        }
        if let Some(pad) = field["pad"].as_str() {
            let pad = pad.strip_prefix("leftPadder:").unwrap().to_owned();
            field["padding"] = json!({"type": "Left", "pad": pad});
        }
        if field["subfields"].is_object() {
            field["subfields"] = in_file_words(&field["subfields"]);
        }
        said.insert(key.clone(), field);
    }
    Value::Object(said)
}

/// Whether an element has the value that the other project read.
fn is_same(spec: &MessageSpec, message: &Message, number: &str, value: &Value) -> bool {
    let number: u8 = number.parse().unwrap();
    match (value, &value["hex"], &value["composite"]) {
        (Value::String(text), ..) => message.text(number).as_deref() == Some(text),
        (_, Value::String(bytes), _) => {
            // Of a composite, its bytes on the wire.
            let bytes = hex(bytes);
            [message.raw(number), message.wire(number)].contains(&Some(&bytes[..]))
        }
        (_, _, Value::Object(parts)) => {
            let found = message.parts(spec, number).unwrap().unwrap();
            found.len() == parts.len()
                && (found.iter()).all(|part| parts[part.key()] == *part.shown())
        }
        _ => false,
    }
}

fn words(parts: &[Part<'_>]) -> String {
    let word = |part: &Part<'_>| match (part.parts(), part.text()) {
        (Some(inner), _) => format!("{}({})", part.key(), words(&inner.unwrap())),
        (None, Some(text)) => format!("{}={text}", part.key()),
        (None, None) => format!("{}=[{}]", part.key(), part.shown()),
    };
    parts.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// Class and attributes of the field around, fields inside (number, class, more; or XML), bytes of
/// the field, and the parts read.
type Composite = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str, &'static str)],
    &'static str,
    &'static str,
);

const JPOS_COMPOSITES: [Composite; 11] = [
    // Parts inside parts.
    (
        "IFB_LLHBINARY",
        r#"packager="GenericSubFieldPackager" emitBitmap="false""#,
        &[
            ("1", "IFA_LCHAR", ""),
            (
                "",
                "",
                r#"<isofieldpackager id="2" length="9" name="x" class="IFB_LLHBINARY"
                packager="GenericSubFieldPackager" emitBitmap="false">
                <isofield id="1" length="9" name="x" class="IFA_LCHAR"/>
                <isofield id="2" length="9" name="x" class="IFA_LBINARY"/></isofieldpackager>"#,
            ),
        ],
        "07 31 41 04 31 42 31 FF",
        "1=A 2(1=B 2=[FF])",
    ),
    // A bitmap shorter than eight bytes.
    (
        "IFB_LLHBINARY",
        r#"packager="GenericSubFieldPackager" bitmapField="0""#,
        &[
            (
                "",
                "",
                r#"<isofield id="0" length="3" name="x" class="IFB_BITMAP"/>"#,
            ),
            ("1", "IFA_LCHAR", ""),
            ("24", "IFA_LCHAR", ""),
        ],
        "07 800001 31 41 31 42",
        "1=A 24=B",
    ),
    // Tags that a mapper makes of numbers, an unknown one, and the length first.
    (
        "IFA_LLCHAR",
        r#"packager="GenericTaggedFieldsPackager" emitBitmap="false" tagSize="2" lenSize="2"
           tagMapper="org.jpos.iso.packager.TTDecimalTagMapper""#,
        &[("1", "IFA_TTLLCHAR", ""), ("110", "IFA_TTLLBINARY", "")],
        "3135 3031 3031 41  3041 3031 FF  5A5A 3031 43",
        "01=A 0A=[FF] ZZ=C",
    ),
    (
        "IFA_LLCHAR",
        r#"packager="GenericTaggedFieldsPackager" emitBitmap="false" tagSize="2" lenSize="2"
           tagMapper="org.jpos.iso.packager.TTDecimalTagMapper" swapTagAndLen="true""#,
        &[("1", "IFA_TTLLCHAR", "")],
        "3035 3031 3031 41",
        "01=A",
    ),
    // Fields without a tag, then tokens in any order and one that is not known.
    (
        "IFA_LLCHAR",
        r#"packager="org.jpos.tlv.packager.TaggedSequencePackager" emitBitmap="false""#,
        &[
            ("0", "IFA_LCHAR", ""),
            ("1", "IFTA_LLCHAR", r#"token="AB""#),
            ("2", "IFTA_LLCHAR", "token='##'"),
        ],
        "3132 31 54  58 59 3031 56  41 42 3031 57",
        "0=T XY=V AB=W",
    ),
    (
        "IFB_LLHBINARY",
        r#"packager="BinaryHexTaggedSequencePackager" emitBitmap="false""#,
        &[("1", "IFTB_LLBINARY", r#"token="DF01""#)],
        "04 DF01 01 FF",
        "DF01=[FF]",
    ),
    // Tags of the fields' own numbers, with a leading class character.
    (
        "IFA_LLLCHAR",
        r#"packager="EuroSubFieldPackager" emitBitmap="false""#,
        &[
            (
                "",
                "",
                r#"<isofield id="0" length="1" name="x" class="IFMC_TCC"/>"#,
            ),
            ("26", "IFMC_LLCHAR", ""),
            ("42", "IFMC_LLCHAR", ""),
        ],
        "303131 54 3432 3031 41 3236 3031 42",
        "0=T 42=A 26=B",
    ),
    // BER-TLV: as bytes, as hexadecimal text, as hexadecimal text of EBCDIC.
    (
        "IFB_LLHBINARY",
        r#"packager="org.jpos.tlv.packager.bertlv.BERTLVBinaryPackager" emitBitmap="false""#,
        &[],
        "06 9F2601AA 9A00",
        "9F26=[AA] 9A=[]",
    ),
    (
        "IFA_LLCHAR",
        r#"packager="BERTLVAsciiHexPackager" emitBitmap="false""#,
        &[],
        "3036 3941 3031 4646",
        "9A=[FF]",
    ),
    (
        "IFE_LLCHAR",
        r#"packager="BERTLVAsciiHexPackager" emitBitmap="false""#,
        &[],
        "F0F6 F9C1 F0F1 C6C6",
        "9A=[FF]",
    ),
    // Datasets.
    (
        "IFB_LLHBINARY",
        r#"packager="org.jpos.iso.packager.DatasetPackager" emitBitmap="false""#,
        &[],
        "0A 01 0003 9A01FF 80 0001 FF",
        "01(9A=[FF]) 80=[FF]",
    ),
];
