//! Messages kept as files: each decodes to its description and is written again byte for byte.
//!
//! `UPDATE_FIXTURES=1` rewrites the descriptions. `CARDSWITCH_SHARED` may name a folder with
//! messages of other projects (`data/golden-messages.jsonl`), which are not part of this one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use cardswitch::iso8583::{
    DecodeFailure, Message, MessageSpec, MessageWriter, Refusal, decode, describe,
};
use serde_json::Value;

#[test]
fn fixtures_decode_to_their_description_and_back() {
    for name in SPECS {
        let spec = MessageSpec::builtin(name).unwrap();
        let fixtures = fixtures(name);
        assert!(
            fixtures.len() >= 12,
            "{name} has {} fixtures",
            fixtures.len()
        );
        for path in fixtures {
            let frame = hex(&fs::read_to_string(&path).unwrap());
            let message = match decode(spec, frame.clone()) {
                Ok(message) => message,
                Err(failure) => panic!("{}: {failure}", path.display()),
            };
            assert_eq!(written_again(spec, &message), frame, "{}", path.display());
            assert_eq!(message.bytes(), &frame);
            compare(&path.with_extension("txt"), &describe(spec, &message));
        }
    }
}

#[test]
fn every_element_of_a_specification_occurs_in_a_fixture() {
    for name in SPECS {
        let spec = MessageSpec::builtin(name).unwrap();
        let mut seen = BTreeSet::new();
        for path in fixtures(name) {
            let frame = hex(&fs::read_to_string(&path).unwrap());
            seen.extend(decode(spec, frame).unwrap().elements());
        }
        let missing: Vec<u8> = spec
            .elements()
            .iter()
            .map(cardswitch::iso8583::ElementSpec::number)
            .filter(|number| !seen.contains(number))
            .collect();
        assert!(missing.is_empty(), "{name}: no fixture has {missing:?}");
    }
}

#[test]
fn messages_of_other_projects_decode_to_their_values_or_fail_on_content() {
    let Some(lines) = shared("data/golden-messages.jsonl") else {
        return;
    };
    let (mut equal, mut refused) = (0, 0);
    for line in lines.lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        let Some(spec) = spec_for(&entry) else {
            continue;
        };
        let frame = hex(entry["hex"].as_str().unwrap());
        let id = entry["id"].as_str().unwrap();
        match decode(&spec, frame.clone()) {
            Ok(message) => {
                equal += 1;
                check_values(id, &message, &entry["expected"], &BTreeSet::new());
                assert_eq!(written_again(&spec, &message), frame, "{id}");
            }
            Err(failure) => {
                refused += 1;
                println!("{id} ({}): {failure}", entry["packager"]);
                let message = content_only(id, &failure);
                let kept: BTreeSet<u8> = message.elements().collect();
                let bad = fields(&entry["expected"])
                    .map(|(number, _)| number)
                    .filter(|number| !kept.contains(number))
                    .collect();
                println!("  left out {bad:?}");
                check_values(id, &message, &entry["expected"], &bad);
            }
        }
    }
    println!("{equal} read and written again, {refused} refused for content");
    assert!(equal > 0);
}

#[test]
fn broken_messages_of_other_projects_are_refused_without_a_panic() {
    let Some(lines) = shared("data/golden-rejects.jsonl") else {
        return;
    };
    let (mut refused, mut read) = (0, 0);
    for line in lines.lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        let own = spec_for(&entry);
        let frame = hex(entry["hex"].as_str().unwrap());
        for name in SPECS {
            // Any frame may reach any link.
            let _ = decode(MessageSpec::builtin(name).unwrap(), frame.clone());
        }
        let Some(spec) = own else { continue };
        let outcome = decode(&spec, frame);
        println!(
            "{} {} {}: {}",
            entry["id"],
            entry["expect"],
            entry["path"],
            match &outcome {
                Ok(_) => "read".to_owned(),
                Err(failure) => failure.to_string(),
            }
        );
        match outcome {
            Ok(_) => {
                read += 1;
                assert_ne!(entry["expect"], "reject", "{}", entry["id"]);
            }
            Err(_) => refused += 1,
        }
    }
    println!("{refused} refused, {read} read");
}

/// The specification that speaks the dialect of an entry, if one does.
fn spec_for(entry: &Value) -> Option<MessageSpec> {
    let ascii = include_str!("../../spec/iso8583/iso87-ascii.toml");
    let binary_bitmap = ascii.replace("bitmap = \"hex\"", "bitmap = \"binary\"");
    match entry["packager"].as_str()? {
        "jpos:iso87ascii" => MessageSpec::parse(ascii).ok(),
        "jpos:iso87binary" => MessageSpec::builtin("iso87-binary").cloned(),
        "jpos:iso87ascii-binary-bitmap" => MessageSpec::parse(&binary_bitmap).ok(),
        "pyiso8583:inline-spec" => {
            let spec = match (
                &entry["spec"]["p"]["data_enc"],
                &entry["spec"]["h"]["max_len"],
            ) {
                (Value::String(encoding), Value::Number(header)) if header.as_u64() == Some(0) => {
                    let text = match encoding.as_str() {
                        "ascii" => ascii,
                        "b" => &binary_bitmap,
                        _ => return None,
                    };
                    MessageSpec::parse(text).ok()?
                }
                _ => return None,
            };
            let same = fields(&entry["expected"]).all(|(number, _)| {
                same_wire_form(&spec, number, &entry["spec"][number.to_string()])
            });
            (same && fields(&entry["expected"]).count() > 0).then_some(spec)
        }
        _ => None,
    }
}

/// Whether a field of a pyiso8583 specification is written as ours is.
fn same_wire_form(spec: &MessageSpec, number: u8, field: &Value) -> bool {
    let Some(element) = spec.element(number) else {
        return false;
    };
    let prefix = match element.format().matches('.').count() {
        0 => !element.is_variable() && field["max_len"] == element.length_max(),
        dots => field["len_type"] == dots && field["len_enc"] == "ascii",
    };
    prefix && field["data_enc"] == "ascii" && element.class().name() != "b"
}

fn fields(expected: &Value) -> impl Iterator<Item = (u8, &Value)> {
    let fields = expected["fields"].as_object().into_iter().flatten();
    fields.filter_map(|(number, value)| Some((number.parse().ok()?, value)))
}

fn check_values(id: &str, message: &Message, expected: &Value, left_out: &BTreeSet<u8>) {
    assert_eq!(
        message.mti().to_string(),
        expected["mti"].as_str().unwrap(),
        "{id}"
    );
    let numbers: BTreeSet<u8> = fields(expected).map(|(number, _)| number).collect();
    let kept: BTreeSet<u8> = numbers.difference(left_out).copied().collect();
    assert_eq!(message.elements().collect::<BTreeSet<u8>>(), kept, "{id}");
    for (number, value) in fields(expected).filter(|(number, _)| !left_out.contains(number)) {
        match value {
            Value::String(text) => {
                assert_eq!(
                    message.text(number).as_deref(),
                    Some(text.as_str()),
                    "{id} {number}"
                );
            }
            other => {
                let bytes = hex(other["hex"].as_str().unwrap());
                assert_eq!(
                    message.binary(number).as_deref(),
                    Some(&bytes[..]),
                    "{id} {number}"
                );
            }
        }
    }
}

/// The message without its bad elements, which may only be bad in their content.
fn content_only(id: &str, failure: &DecodeFailure) -> Message {
    let refusal = failure.error.refusal;
    assert!(
        matches!(refusal, Refusal::Content { .. }),
        "{id}: {failure}"
    );
    failure.partial.clone().unwrap()
}

pub(crate) fn written_again(spec: &MessageSpec, message: &Message) -> Bytes {
    let mut out = BytesMut::new();
    let mut writer = MessageWriter::begin_like(spec, message, &mut out);
    for element in message.elements() {
        writer.copy(message, element).unwrap();
    }
    writer.finish().unwrap();
    out.freeze()
}

fn compare(path: &Path, text: &str) {
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        fs::write(path, text).unwrap();
    }
    let kept = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(
        text,
        kept,
        "{}; UPDATE_FIXTURES=1 rewrites it",
        path.display()
    );
}

fn fixtures(spec: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/messages")
        .join(spec);
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.extension().is_some_and(|extension| extension == "hex"))
        .collect()
}

/// Hexadecimal text; lines that begin with `#` are comments.
pub(crate) fn hex(text: &str) -> Bytes {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let digits: Vec<u32> = lines
        .flat_map(str::chars)
        .filter(|character| !character.is_whitespace())
        .map(|character| character.to_digit(16).unwrap())
        .collect();
    digits
        .chunks(2)
        .map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap())
        .collect()
}

pub(crate) fn shared(file: &str) -> Option<String> {
    let Some(folder) = std::env::var_os("CARDSWITCH_SHARED") else {
        println!("skipped: CARDSWITCH_SHARED names no folder");
        return None;
    };
    Some(fs::read_to_string(Path::new(&folder).join(file)).unwrap())
}

const SPECS: [&str; 2] = ["iso87-ascii", "iso87-binary"];
