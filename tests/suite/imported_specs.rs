//! Specifications of other projects: what they load to, and that bytes and values agree.
//!
//! `CARDSWITCH_SHARED` may name a folder with files of other projects, which are not part of this
//! one; what needs them is skipped without it.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use cardswitch::iso8583::import::{self, ImportError, Imported};
use cardswitch::iso8583::{Message, MessageSpec, MessageWriter, Mti, decode};
use serde_json::Value;

use crate::golden_messages::{hex, shared, written_again};

#[test]
fn a_packager_becomes_rows_that_say_the_same() {
    let text = r#"<?xml version="1.0"?>
<!DOCTYPE isopackager SYSTEM "http://nowhere.invalid/never-fetched.dtd">
<isopackager>
  <isofield id="0" length="4" name="type" class="org.jpos.iso.IFB_NUMERIC" pad="true"/>
  <isofield id="1" length="16" name="map" class="org.jpos.iso.IFB_BITMAP"/>
  <isofield id="2" length="19" name="card" class="org.jpos.iso.IFB_LLNUM"/>
  <isofield id="3" length="6" name="code &amp; more" class="org.jpos.iso.IFB_NUMERIC" pad="true"/>
  <isofield id="4" length="100" name="too long" class="org.jpos.iso.IFA_LLCHAR"/>
  <isofield id="5" length="9" name="fee" class="example.Own"/>
  <isofieldpackager id="43" length="40" name="acceptor" class="org.jpos.iso.IFB_BINARY"
      packager="org.jpos.iso.packager.GenericSubFieldPackager" emitBitmap="false">
    <isofield id="1" length="40" name="all" class="org.jpos.iso.IF_CHAR"/>
  </isofieldpackager>
  <isofield id="129" length="8" name="beyond" class="org.jpos.iso.IFB_BINARY"/>
</isopackager>"#;
    let Imported { toml, report } = import::jpos("own", text).unwrap();
    let expected = r#"name = "own"

[defaults]
mti = "bcd"
bitmap = "binary"
bitmaps = "up to two"
text = "latin1"
digits = "bcd"
odd_fill = "right"
length = "ascii"
binary = "raw"

[elements]
2 = { format = "h..19", length = "bcd", mask = "pan", name = "card" }
3 = { format = "h6", odd_fill = "left", name = "code & more" }
43 = { format = "b320", name = "acceptor" }

[parts.43]
form = "positional"
[parts.43.rows]
1 = { format = "any40", name = "all" }
"#;
    assert_eq!(toml, expected);
    assert_eq!(
        report.to_string(),
        "6 taken, 0 approximated, 3 not expressible
4 IFA_LLCHAR: not expressible: length 100 is more than its prefix can say, jPOS refuses it too
5 Own: not expressible: no class of this name is known
129 IFB_BINARY: not expressible: the bitmap ends at 128"
    );
    MessageSpec::parse(&toml).unwrap();
}

#[test]
fn every_class_of_the_table_makes_a_row_that_is_read() {
    let classes = [
        "IFA_NUMERIC",
        "IFB_FNUMERIC",
        "IFE_SIGNED_NUMERIC",
        "IFB_AMOUNT",
        "IFE_LLLEBINARY",
        "IFEB_LLLNUM",
        "IFB_LLHFBINARY",
        "IFEP_LLLCHAR",
        "IF_TCHAR",
        "IF_FBINARY",
        "IF_NOP",
        "IFB_LLLHECHAR",
        "IFA_LLLLLLCHAR",
    ];
    for class in classes {
        let spec = with_field(class, "length=\"9\"");
        assert_eq!(spec.elements().len(), 1, "{class}");
    }
}

#[test]
fn refuses_what_is_no_packager() {
    let bitmap = r#"<isofield id="1" length="16" name="" class="IFB_BITMAP"/>"#;
    let mti = r#"<isofield id="0" length="4" name="" class="IFA_NUMERIC"/>"#;
    for (text, field) in [(bitmap, 0), (mti, 1)] {
        let text = format!("<isopackager>{text}</isopackager>");
        let error = import::jpos("own", &text).unwrap_err();
        assert!(matches!(error, ImportError::Header { field: got, .. } if got == field));
    }
    for text in [
        "<isopackager>",
        "<isopackager></isofield>",
        "<isopackager><isofield id=\"0\" name=\"&unknown;\"/></isopackager>",
        "<!DOCTYPE x [<!ENTITY a \"IFA_NUMERIC\">]><isopackager><isofield class=\"&a;\"/>\
         </isopackager>",
    ] {
        let error = import::jpos("own", text).unwrap_err();
        assert!(matches!(error, ImportError::Syntax { .. }), "{text}");
    }
}

#[test]
fn values_of_each_field_class_of_jpos_agree_both_ways() {
    let Some(lines) = shared("reference/jpos-field-vectors.tsv") else {
        return;
    };
    let (mut equal, mut listed) = (0, 0);
    let mut wrong = Vec::new();
    for line in lines.lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        let [class, config, value, wire] = columns[..] else {
            panic!("{line}");
        };
        let outcome = match value.strip_prefix("bits=") {
            Some(bits) => bitmap_agrees(class, config, bits, wire),
            None => field_agrees(class, config, value, wire),
        };
        let reason = JPOS_BUGS.iter().find(|(own, length, bits, _)| {
            *own == class && config.starts_with(length) && value.contains(bits)
        });
        match (outcome, reason) {
            (Ok(()), None) => equal += 1,
            (Err(_), Some((.., reason))) => {
                listed += 1;
                println!("{class} {config} {value}: {reason}");
            }
            (Ok(()), Some(_)) => wrong.push(format!("{line}: listed, but agrees")),
            (Err(why), None) => wrong.push(format!("{line}: {why}")),
        }
    }
    println!("{equal} agree both ways, {listed} listed");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn packager_files_of_jpos_load() {
    let (mut loaded, mut unloaded) = (0, 0);
    for name in JPOS_PACKAGERS {
        let Some(text) = shared(&format!("data/jpos-packagers/{name}.xml")) else {
            return;
        };
        let Imported { toml, report } = import::jpos(name, &text).unwrap();
        println!("{name}: {report}");
        MessageSpec::parse(&toml).unwrap_or_else(|errors| panic!("{name}: {errors}"));
        let [taken, near, not] = report.counts();
        loaded += taken + near;
        unloaded += not;
    }
    println!("{loaded} definitions load, {unloaded} do not");
    assert!(unloaded * 20 <= loaded + unloaded, "fewer than 95 % load");
}

#[test]
fn a_moov_specification_becomes_rows_that_say_the_same() {
    let json = r#"{"name": "own", "fields": {
      "0": {"type": "String", "length": 4, "enc": "BCD", "prefix": "BCD.Fixed"},
      "1": {"type": "Bitmap", "enc": "Binary", "prefix": "Binary.Fixed"},
      "2": {"type": "String", "length": 19, "description": "card", "enc": "BCD",
            "prefix": "BCD.LL"},
      "4": {"type": "Numeric", "length": 12, "enc": "BCD", "prefix": "BCD.Fixed",
            "padding": {"type": "Left", "pad": "0"}},
      "41": {"type": "String", "length": 8, "enc": "EBCDIC", "prefix": "EBCDIC.Fixed",
             "padding": {"type": "Right", "pad": " "}},
      "48": {"type": "String", "length": 999, "enc": "ASCII", "prefix": "Binary.L"},
      "52": {"type": "Binary", "length": 8, "enc": "HexToASCII", "prefix": "ASCII.Fixed"},
      "55": {"type": "Composite", "length": 255, "prefix": "ASCII.LLL", "tag": {"enc": "BerTLVTag"},
             "subfields": {"9F02": {"type": "Hex", "enc": "Binary", "prefix": "BerTLV"}}},
      "60": {"type": "String", "length": 9, "enc": "UTF-7", "prefix": "ASCII.LL"},
      "61": {"type": "String", "length": 9, "enc": "ASCII", "prefix": "Roman.LL"},
      "62": {"type": "String", "length": 9, "enc": "ASCII", "prefix": "None.Fixed"}}}"#;
    let Imported { toml, report } = import::moov_json("other", json).unwrap();
    let expected = r#"name = "own"

[defaults]
mti = "bcd"
bitmap = "binary"
bitmaps = "up to two"
text = "latin1"
digits = "bcd"
odd_fill = "left"
length = "ascii"
binary = "raw"

[elements]
2 = { format = "n..19", length = "bcd", pad = "none", mask = "pan", name = "card" }
4 = { format = "n12", pad = "left 0", strip = true, name = "Unnamed" }
41 = { format = "any8", text = "ebcdic-posix", pad = "right  ", strip = true, name = "Unnamed" }
48 = { format = "ascii.255", length = "binary", pad = "none", mask = "wipe", name = "Unnamed" }
52 = { format = "b64", binary = "hex", mask = "wipe", name = "Unnamed" }
55 = { format = "b...255", mask = "wipe", name = "Unnamed" }
62 = { format = "ascii.9", length = "rest", pad = "none", mask = "wipe", name = "Unnamed" }

[parts.55]
form = "ber"
[parts.55.rows]
"9F02" = { format = "b.65535", name = "Unnamed" }
"#;
    assert_eq!(toml, expected);
    assert_eq!(
        report.to_string(),
        "9 taken, 1 approximated, 2 not expressible
48 String ASCII Binary.L: approximated: length 999 is bounded by its prefix, 255
60 String UTF-7 ASCII.LL: not expressible: no encoding UTF-7 is known
61 String ASCII Roman.LL: not expressible: no prefix Roman.LL is known"
    );
    let spec = MessageSpec::parse(&toml).unwrap();
    let mut out = BytesMut::new();
    let mut writer = MessageWriter::begin(&spec, Mti::new(100), &mut out);
    let written = writer
        .text(2, "12345")
        .and_then(|writer| writer.text(4, "700"));
    written.and_then(|writer| writer.text(41, "T1")).unwrap();
    writer.finish().unwrap();
    assert_eq!(
        out[..],
        hex("0100 5000000000800000 05012345 000000000700 E3F1404040404040")[..]
    );
    let message = decode(&spec, out.freeze()).unwrap();
    assert_eq!(
        message.text(4).as_deref(),
        Some("700"),
        "padding is stripped"
    );
    assert_eq!(message.text(41).as_deref(), Some("T1"));
    assert_eq!(written_again(&spec, &message), message.bytes());
}

#[test]
fn a_moov_specification_in_yaml_says_the_same_as_in_json() {
    let yaml = "name: own\nfields:\n  \"0\": {type: String, length: 4, enc: ASCII, prefix: \
                ASCII.Fixed}\n  \"1\": {type: Bitmap, length: 16, enc: HexToASCII, prefix: \
                Hex.Fixed}\n  \"3\":\n    type: Numeric\n    length: 6\n    enc: ASCII\n    \
                prefix: ASCII.Fixed\n    padding:\n      type: Left\n      pad: \"0\"\n";
    let json = r#"{"name": "own", "fields": {
      "0": {"type": "String", "length": 4, "enc": "ASCII", "prefix": "ASCII.Fixed"},
      "1": {"type": "Bitmap", "length": 16, "enc": "HexToASCII", "prefix": "Hex.Fixed"},
      "3": {"type": "Numeric", "length": 6, "enc": "ASCII", "prefix": "ASCII.Fixed",
            "padding": {"type": "Left", "pad": "0"}}}}"#;
    let own = import::moov_json("x", json).unwrap();
    assert_eq!(import::moov_yaml("x", yaml).unwrap(), own);
    assert!(own.toml.contains("bitmaps = \"always two\""));
    for text in ["", "[]", "fields: 3", "Field000: {}\n", "a: *b", "{"] {
        let error = import::moov_yaml("x", text).unwrap_err();
        assert!(
            matches!(error, ImportError::Syntax { .. }),
            "{text}: {error}"
        );
    }
}

#[test]
fn specification_files_of_moov_load() {
    for name in [
        "exported-spec87ascii.json",
        "iso87binary.moov.json",
        "examples-spec87ascii.yaml",
    ] {
        let Some(text) = shared(&format!("data/moov-specs/{name}")) else {
            return;
        };
        let imported = match name.ends_with("json") {
            true => import::moov_json(name, &text),
            false => import::moov_yaml(name, &text),
        };
        let Imported { toml, report } = imported.unwrap();
        println!("{name}: {report}");
        MessageSpec::parse(&toml).unwrap_or_else(|errors| panic!("{name}: {errors}"));
        assert_eq!(report.counts()[2], 0, "{name}");
    }
}

#[test]
fn messages_of_imported_packagers_are_read_and_written_again() {
    let Some(lines) = shared("data/golden-messages.jsonl") else {
        return;
    };
    let specs: Vec<(String, MessageSpec)> = JPOS_PACKAGERS
        .iter()
        .map(|name| {
            let text = shared(&format!("data/jpos-packagers/{name}.xml")).unwrap();
            let toml = import::jpos(name, &text).unwrap().toml;
            (format!("jpos:{name}"), MessageSpec::parse(&toml).unwrap())
        })
        .collect();
    let (mut read, mut equal) = (0, 0);
    let mut wrong = Vec::new();
    for line in lines.lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        let spec = specs.iter().find(|(name, _)| entry["packager"] == **name);
        let Some((_, spec)) = spec else {
            continue;
        };
        let frame = hex(entry["hex"].as_str().unwrap());
        match decode(spec, frame.clone()) {
            Ok(message) => {
                read += 1;
                match differences(spec, &message, &entry["expected"]) {
                    None if written_again(spec, &message) == frame => equal += 1,
                    None => wrong.push(format!("{}: written otherwise", entry["id"])),
                    Some(why) => wrong.push(format!("{}: {why}", entry["id"])),
                }
            }
            Err(failure) => wrong.push(format!("{} {}: {failure}", entry["id"], entry["packager"])),
        }
    }
    println!("{read} read, {equal} equal\n{}", wrong.join("\n"));
    assert!(read > 0);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn messages_of_a_peer_in_ebcdic_are_those_of_the_specification_that_comes_with_us() {
    let Some(lines) = shared("data/golden-messages.jsonl") else {
        return;
    };
    let spec = MessageSpec::builtin("iso87-ebcdic").unwrap();
    let mut equal = 0;
    for line in lines.lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        if entry["packager"] != "jpos:generated/iso87ebcdic-sim" {
            continue;
        }
        let frame = hex(entry["hex"].as_str().unwrap());
        let message = decode(spec, frame.clone()).unwrap();
        assert_eq!(differences(spec, &message, &entry["expected"]), None);
        assert_eq!(written_again(spec, &message), frame);
        equal += 1;
    }
    assert!(equal > 0);
}

/// A specification whose element 48 is of this class.
fn with_field(class: &str, attributes: &str) -> MessageSpec {
    let text = format!(
        r#"<isopackager><isofield id="0" length="4" name="" class="IFA_NUMERIC"/>
        <isofield id="1" length="16" name="" class="IFB_BITMAP"/>
        <isofield id="48" name="" class="{class}" {attributes}/></isopackager>"#
    );
    let toml = import::jpos("vector", &text).unwrap().toml;
    MessageSpec::parse(&toml).unwrap_or_else(|errors| panic!("{class}: {errors}"))
}

fn attributes(config: &str) -> String {
    let mut pairs = config.split(' ').filter_map(|pair| pair.split_once('='));
    let mut text = String::new();
    for (key, value) in &mut pairs {
        let key = if key == "len" { "length" } else { key };
        text.push_str(&format!("{key}=\"{value}\" "));
    }
    text
}

fn field_agrees(class: &str, config: &str, value: &str, wire: &str) -> Result<(), String> {
    let spec = with_field(class, &attributes(config));
    let mut out = BytesMut::new();
    let mut writer = MessageWriter::begin(&spec, Mti::new(100), &mut out);
    let written = match value.strip_prefix('x') {
        Some(bytes) => writer.binary(48, &hex(bytes)).map(|_| ()),
        None => writer.text(48, value.trim_matches('\'')).map(|_| ()),
    };
    let Some((bytes, read)) = wire.split_once(" -> ") else {
        return match written {
            Err(_) => Ok(()),
            Ok(()) => Err("expected a refusal".to_owned()),
        };
    };
    written.map_err(|error| error.to_string())?;
    writer.finish().map_err(|error| error.to_string())?;
    let head = out.len().min(12);
    let expected = hex(bytes);
    if out[head..] != expected[..] {
        return Err(format!("wrote {:02X?}", &out[head..]));
    }
    let (read, _) = read.split_once(" (").unwrap();
    let message = decode(&spec, out.freeze()).map_err(|error| error.to_string())?;
    let same = match read.strip_prefix('x') {
        Some(bytes) => message.binary(48).as_deref() == Some(&hex(bytes)[..]),
        None => message.text(48).as_deref() == Some(read.trim_matches('\'')),
    };
    match same {
        true => Ok(()),
        false => Err(format!(
            "read {:?} {:?}",
            message.text(48),
            message.binary(48)
        )),
    }
}

fn bitmap_agrees(class: &str, config: &str, bits: &str, wire: &str) -> Result<(), String> {
    let text = format!(
        r#"<isopackager><isofield id="0" length="4" name="" class="IFA_NUMERIC"/>
        <isofield id="1" name="" class="{class}" {}/>
        <isofield id="3" length="1" name="" class="IF_CHAR"/>
        <isofield id="11" length="1" name="" class="IF_CHAR"/>
        <isofield id="70" length="1" name="" class="IF_CHAR"/></isopackager>"#,
        attributes(config)
    );
    let toml = import::jpos("vector", &text).unwrap().toml;
    let spec = MessageSpec::parse(&toml).unwrap();
    let elements = |set: &str| -> Vec<u8> {
        let numbers = set.trim_matches(['{', '}']).split(", ");
        let numbers = numbers.map(|number| number.parse().unwrap());
        numbers.filter(|number| *number != 1).collect()
    };
    let mut out = BytesMut::new();
    let mut writer = MessageWriter::begin(&spec, Mti::new(100), &mut out);
    let written = elements(bits)
        .into_iter()
        .try_for_each(|number| writer.text(number, "x").map(|_| ()));
    let Some((bytes, read)) = wire.split_once(" -> ") else {
        return written
            .err()
            .map(|_| ())
            .ok_or("expected a refusal".to_owned());
    };
    written.map_err(|error| error.to_string())?;
    writer.finish().map_err(|error| error.to_string())?;
    let expected = hex(bytes);
    if !out[4..].starts_with(&expected) {
        return Err(format!("wrote {out:02X?}"));
    }
    let (read, _) = read.split_once(" (").unwrap();
    let message = decode(&spec, out.freeze()).map_err(|error| error.to_string())?;
    match message.elements().collect::<Vec<u8>>() == elements(read) {
        true => Ok(()),
        false => Err("read other bits".to_owned()),
    }
}

/// In what a message is not as another project read it.
fn differences(spec: &MessageSpec, message: &Message, expected: &Value) -> Option<String> {
    if expected["mti"] != *message.mti().to_string() {
        return Some(format!("type {}", message.mti()));
    }
    let fields = expected["fields"].as_object().unwrap();
    let numbers: BTreeSet<u8> = fields
        .keys()
        .filter_map(|path| path.split('.').next()?.parse().ok())
        .filter(|number| *number > 1)
        .collect();
    if !message.elements().eq(numbers.iter().copied()) {
        return Some("other elements".to_owned());
    }
    for number in numbers {
        let Some(value) = fields.get(&number.to_string()) else {
            // The parts of an element stand under paths of their own.
            if let Some(why) = part_differences(spec, message, number, fields) {
                return Some(why);
            }
            continue;
        };
        let same = match (
            value,
            value["hex"].as_str(),
            value["packed_field_hex"].as_str(),
        ) {
            (Value::String(text), ..) => message.text(number).as_deref() == Some(text),
            (_, Some(bytes), _) => message.binary(number).as_deref() == Some(&hex(bytes)[..]),
            (_, _, Some(bytes)) => {
                let bytes: Bytes = hex(bytes);
                let found = [message.wire(number), message.raw(number)];
                found.contains(&Some(&bytes[..]))
            }
            _ => return Some(format!("DE {number}: a value of unknown form")),
        };
        if !same {
            return Some(format!("DE {number} has another value"));
        }
    }
    None
}

fn part_differences(
    spec: &MessageSpec,
    message: &Message,
    number: u8,
    fields: &serde_json::Map<String, Value>,
) -> Option<String> {
    let parts = match message.parts(spec, number) {
        Some(Ok(parts)) => parts,
        Some(Err(error)) => return Some(format!("DE {number}: {error}")),
        None => return Some(format!("DE {number} has no parts")),
    };
    let expected = fields
        .keys()
        .filter(|path| path.starts_with(&format!("{number}.")));
    if parts.len() != expected.count() {
        return Some(format!("DE {number} has {} parts", parts.len()));
    }
    parts.iter().find_map(|part| {
        let path = format!("{number}.{}", part.key());
        let same = match (&fields[&path], fields[&path]["hex"].as_str()) {
            (Value::String(text), _) => part.text().as_deref() == Some(text),
            (_, Some(bytes)) => part.binary().as_deref() == Some(&hex(bytes)[..]),
            _ => false,
        };
        (!same).then(|| format!("{path} has another value"))
    })
}

const JPOS_PACKAGERS: [&str; 5] = [
    "cmf",
    "iso87ascii",
    "iso87ascii-binary-bitmap",
    "iso87binary",
    "postpack",
];

/// Vectors that jPOS reads otherwise than it writes: class, configuration, part of the value.
const JPOS_BUGS: [(&str, &str, &str, &str); 5] = [
    (
        "IFB_BITMAP",
        "len=8",
        "70",
        "writes a second bitmap that it does not read",
    ),
    (
        "IFB_HEX",
        "len=9",
        "=",
        "a character that is no digit spoils its neighbours",
    ),
    (
        "IFE_BINARY",
        "len=3",
        "x",
        "reads the letters A to F one too high",
    ),
    (
        "X92_BITMAP",
        "len=8",
        "70",
        "writes a second bitmap that it does not read",
    ),
    (
        "X92_BITMAP",
        "len=16",
        "70",
        "writes a second bitmap that it does not read",
    ),
];
