//! What holds for every message and every frame: round trips, no panic, no content in an error.

use bytes::{BufMut, Bytes, BytesMut};
use cardswitch::iso8583::{
    DecodeFailure, ElementSpec, Message, MessageSpec, MessageWriter, Mti, RuleBreach, decode,
    describe, page,
};
use proptest::prelude::*;

#[test]
fn every_builtin_specification_is_without_mistake() {
    for name in BUILTIN {
        let path = format!("{}/spec/iso8583/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let spec = MessageSpec::parse(&text).unwrap_or_else(|errors| panic!("{name}: {errors}"));
        assert_eq!(spec.elements().len(), 127, "{name}");
        assert_eq!(spec.name(), name);
        assert!(!spec.rules().is_empty(), "{name}");
    }
    let names: Vec<&str> = MessageSpec::builtins()
        .iter()
        .map(MessageSpec::name)
        .collect();
    assert_eq!(names, BUILTIN);
}

/// Every edition in every form.
const BUILTIN: [&str; 9] = [
    "iso87-ascii",
    "iso87-binary",
    "iso87-ebcdic",
    "iso93-ascii",
    "iso93-binary",
    "iso93-ebcdic",
    "iso03-ascii",
    "iso03-binary",
    "iso03-ebcdic",
];

#[test]
fn a_message_that_is_not_as_its_type_should_be_says_in_what() {
    let toml = r#"
name = "ruled"
base = "iso87-ascii"
[defaults]
mti = "ascii"
bitmap = "hex"
digits = "ascii"
length = "ascii"
binary = "hex"
[elements]
3 = { mask = "wipe" }
[messages.0800]
name = "echo"
mandatory = [11, 70]
optional = [7]
masked = [7]
[messages.0810]
name = "echoed"
echoed = [11, 70]
"#;
    let spec = MessageSpec::parse(toml).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(
        spec.element(3).unwrap().format(),
        "n6",
        "the base says the rest of the row"
    );
    assert!(
        spec.rule(Mti::new(100)).is_some(),
        "rules of the base hold too"
    );
    for (mti, values, breaches) in [
        (800, &[7, 11, 70][..], &[][..]),
        (801, &[11, 70], &[]),
        (
            800,
            &[3, 7],
            &[
                RuleBreach::Missing(11),
                RuleBreach::Missing(70),
                RuleBreach::Unexpected(3),
            ],
        ),
        (810, &[3], &[]),
        (600, &[3], &[]),
    ] {
        let mut out = BytesMut::new();
        let mut writer = MessageWriter::begin(&spec, Mti::new(mti), &mut out);
        for element in values {
            writer.number(*element, 1).unwrap();
        }
        writer.finish().unwrap();
        let message = decode(&spec, out.freeze()).unwrap();
        assert_eq!(spec.breaches(&message), breaches, "{mti} {values:?}");
        let text = describe(&spec, &message);
        let hides = text.contains("Transmission date and time             withheld");
        assert_eq!(hides, mti / 10 == 80 && values.contains(&7), "{text}");
    }
    let text = page(&spec);
    assert!(
        text.contains("| 3 | `n6` | wipe | Processing code |"),
        "{text}"
    );
    assert!(
        text.contains("| 0800 | echo | 11 70 | 7 |  | 7 |"),
        "{text}"
    );
    let wrong = toml
        .replace("echoed = [11, 70]", "echoed = [39, 129]")
        .replace("0800", "800");
    let wrong = wrong.replace("iso87-ascii", "iso93-binary");
    let errors = MessageSpec::parse(&wrong).unwrap_err().to_string();
    for mistake in [
        "base: expected a built-in specification that has no base itself",
        "message 0810: echoed: expected an element of the specification",
        "message 800: expected a message type of four digits and a table",
    ] {
        assert!(errors.contains(mistake), "{errors}");
    }
}

#[test]
fn reports_every_mistake_of_a_specification_file_with_its_line() {
    let text = include_str!("../../fixtures/hostile/specification.toml");
    let expected = include_str!("../../fixtures/hostile/specification.txt");
    let errors = MessageSpec::parse(text).unwrap_err();
    assert_eq!(errors.to_string().trim_end(), expected.trim_end());
}

#[test]
fn reports_broken_toml_with_its_line() {
    let errors = MessageSpec::parse("name = \"x\"\nversion = = 1\n").unwrap_err();
    assert!(
        errors.list().iter().any(|error| error.line == 2),
        "{errors}"
    );
}

#[test]
fn answers_and_repeats_of_message_types() {
    for (digits, response, request, is_request, is_repeat) in [
        ("0100", Some("0110"), "0100", true, false),
        ("0101", Some("0110"), "0100", true, true),
        ("0110", None, "0100", false, false),
        ("0120", Some("0130"), "0120", true, false),
        ("0121", Some("0130"), "0120", true, true),
        ("0130", None, "0120", false, false),
        ("0140", None, "0140", false, false),
        ("0403", Some("0412"), "0402", true, true),
        ("0800", Some("0810"), "0800", true, false),
    ] {
        let mti: Mti = digits.parse().unwrap();
        assert_eq!(mti.to_string(), digits);
        assert_eq!(mti, Mti::new(digits.parse().unwrap()));
        assert_eq!(
            mti.response().map(|mti| mti.to_string()).as_deref(),
            response
        );
        assert_eq!(mti.request().to_string(), request);
        assert_eq!(
            (mti.is_request(), mti.is_repeat()),
            (is_request, is_repeat),
            "{digits}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn written_values_are_read_back(values in values(), mti in message_types()) {
        for spec in specs() {
            let frame = write(spec, mti, &values);
            let message = decode(spec, frame.clone()).unwrap();
            prop_assert_eq!(message.mti(), mti);
            prop_assert_eq!(message.elements().collect::<Vec<u8>>(), numbers(&values));
            for (number, seeds) in &values {
                let element = spec.element(*number).unwrap();
                check_value(element, &message, &seeds_for(element, seeds));
            }
            prop_assert_eq!(copied(spec, &message), frame);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(frame in prop::collection::vec(any::<u8>(), 0..400)) {
        for spec in specs() {
            use_everything(spec, decode(spec, Bytes::from(frame.clone())));
        }
    }

    #[test]
    fn arbitrary_bodies_never_panic(body in prop::collection::vec(any::<u8>(), 0..2_000)) {
        for (spec, head) in specs().into_iter().zip([&b"0100"[..], &[0x01, 0x00]]) {
            let mut frame = head.to_vec();
            frame.extend_from_slice(&body);
            use_everything(spec, decode(spec, Bytes::from(frame)));
        }
    }

    #[test]
    fn damaged_messages_never_panic(
        values in values(),
        damages in prop::collection::vec(
            (any::<prop::sample::Index>(), any::<u8>(), 0_u8..4),
            1..6,
        ),
    ) {
        for spec in specs() {
            let mut frame = write(spec, Mti::new(100), &values).to_vec();
            for (place, byte, kind) in &damages {
                damage(&mut frame, place, *byte, *kind);
            }
            use_everything(spec, decode(spec, Bytes::from(frame)));
        }
    }

    #[test]
    fn a_cut_message_is_refused_and_keeps_what_came_before(
        values in values(),
        place in any::<prop::sample::Index>(),
    ) {
        for spec in specs() {
            let frame = write(spec, Mti::new(100), &values);
            let cut = frame.slice(..place.index(frame.len()));
            let whole = decode(spec, frame).unwrap();
            let failure = decode(spec, cut).unwrap_err();
            if let Some(partial) = failure.partial {
                for number in partial.elements() {
                    prop_assert_eq!(partial.wire(number), whole.wire(number));
                }
            }
        }
    }

    #[test]
    fn no_error_and_no_debug_text_shows_content(position in 0_usize..37, byte in any::<u8>()) {
        for spec in specs() {
            let mut out = BytesMut::new();
            let mut writer = MessageWriter::begin(spec, Mti::new(100), &mut out);
            writer.text(2, PAN).unwrap().text(35, TRACK).unwrap().text(45, TRACK).unwrap();
            writer.finish().unwrap();
            let text = match decode(spec, out.clone().freeze()) {
                Ok(message) => {
                    let digits = (message.digits(2), message.digits(35));
                    format!("{message:?} {digits:?} {}", describe(spec, &message))
                }
                Err(failure) => panic!("{failure}"),
            };
            prop_assert!(!text.contains(PAN) && !text.contains(&PAN[6..12]));
            let place = out.len() - TRACK.len() + position;
            out[place] = byte;
            if let Err(failure) = decode(spec, out.freeze()) {
                let text = format!("{failure} {failure:?}");
                prop_assert!(!text.contains(PAN) && !text.contains(&PAN[6..12]));
            }
        }
    }
}

fn check_value(element: &ElementSpec, message: &Message, value: &Value) {
    let number = element.number();
    let length_max = usize::from(element.length_max());
    match value {
        Value::Bytes(bytes) => {
            assert_eq!(message.binary(number).as_deref(), Some(&bytes[..]));
            assert_eq!(message.text(number), None);
        }
        Value::Text(text) => {
            let class = element.class().name();
            let expected = match class {
                _ if element.is_variable() => text.clone(),
                "n" => format!("{text:0>length_max$}"),
                "x+n" => format!("{}{:0>2$}", &text[..1], &text[1..], length_max - 1),
                _ => format!("{text:<length_max$}"),
            };
            assert_eq!(
                message.text(number).as_deref(),
                Some(expected.as_str()),
                "DE {number}"
            );
            let digits = matches!(class, "n" | "z") && expected.len() <= 48;
            assert_eq!(
                message.digits(number).as_deref(),
                digits.then_some(expected.as_str())
            );
            let number_expected = match class {
                "n" if expected.is_empty() => Some(0),
                "n" if expected.len() <= 18 => expected.parse().ok(),
                _ => None,
            };
            assert_eq!(message.number(number), number_expected, "DE {number}");
        }
    }
}

/// Calls every accessor: none of them may panic, whatever was decoded.
fn use_everything(spec: &MessageSpec, outcome: Result<Message, DecodeFailure>) {
    let message = match outcome {
        Ok(message) => {
            let copy = decode(spec, copied(spec, &message)).unwrap();
            assert_eq!(describe(spec, &copy), describe(spec, &message));
            message
        }
        Err(failure) => {
            assert!(!failure.to_string().is_empty());
            let Some(partial) = failure.partial else {
                return;
            };
            partial
        }
    };
    for number in 0..=255 {
        let known = message.has(number);
        assert_eq!(message.wire(number).is_some(), known);
        assert_eq!(message.raw(number).is_some(), known);
        assert_eq!(
            message.text(number).is_some() || message.binary(number).is_some(),
            known
        );
        let _ = (message.number(number), message.digits(number));
    }
    assert!(describe(spec, &message).starts_with("MTI"));
}

fn damage(frame: &mut Vec<u8>, place: &prop::sample::Index, byte: u8, kind: u8) {
    if frame.is_empty() {
        return;
    }
    let index = place.index(frame.len());
    match kind {
        0 => frame[index] = byte,
        1 => frame[index] ^= 1 << (byte % 8),
        2 => frame.insert(index, byte),
        _ => {
            frame.remove(index);
        }
    }
}

enum Value {
    Text(String),
    Bytes(Vec<u8>),
}

/// Turns random bytes into a value of the element: each byte picks a character of the class.
fn seeds_for(element: &ElementSpec, seeds: &[u8]) -> Value {
    let length_max = usize::from(element.length_max());
    let class = element.class().name();
    if class == "b" {
        let length = if element.is_variable() {
            seeds.len().min(length_max)
        } else {
            length_max
        };
        return Value::Bytes(
            seeds
                .iter()
                .chain(&[0x5a; 16])
                .copied()
                .take(length)
                .collect(),
        );
    }
    let alphabet: &[u8] = match class {
        "n" | "x+n" => b"0123456789",
        "z" => b"0123456789=",
        "an" => b"0123456789ABCXYZabcxyz ",
        "ns" => b"0123456789-+/ ~!",
        _ => b"0123456789ABCabc -+/~!{}@[`",
    };
    let characters = seeds
        .iter()
        .map(|seed| alphabet[usize::from(*seed) % alphabet.len()]);
    let text: String = characters.take(length_max).map(char::from).collect();
    Value::Text(match class {
        "x+n" => format!(
            "{}{}",
            if seeds.len().is_multiple_of(2) {
                'C'
            } else {
                'D'
            },
            { &text[..text.len().min(length_max - 1)] }
        ),
        _ => text,
    })
}

fn write(spec: &MessageSpec, mti: Mti, values: &[(u8, Vec<u8>)]) -> Bytes {
    let mut out = BytesMut::new();
    // A writer leaves alone what the buffer already holds.
    out.put_slice(b"before");
    let mut writer = MessageWriter::begin(spec, mti, &mut out);
    for (number, seeds) in values {
        let element = spec.element(*number).unwrap();
        match seeds_for(element, seeds) {
            Value::Text(text) => writer.text(*number, &text).unwrap(),
            Value::Bytes(bytes) => writer.binary(*number, &bytes).unwrap(),
        };
    }
    writer.finish().unwrap();
    assert_eq!(&out.split_to(6)[..], b"before");
    out.freeze()
}

fn copied(spec: &MessageSpec, message: &Message) -> Bytes {
    let mut out = BytesMut::new();
    let mut writer = MessageWriter::begin(spec, message.mti(), &mut out);
    for number in message.elements() {
        writer.copy(message, number).unwrap();
    }
    writer.finish().unwrap();
    out.freeze()
}

fn values() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let all: Vec<u8> = (2..=128).collect();
    prop::sample::subsequence(all, 1..50).prop_flat_map(|numbers| {
        let seeds = prop::collection::vec(any::<u8>(), 0..60);
        let count = numbers.len();
        prop::collection::vec(seeds, count)
            .prop_map(move |seeds| numbers.iter().copied().zip(seeds).collect())
    })
}

fn numbers(values: &[(u8, Vec<u8>)]) -> Vec<u8> {
    values.iter().map(|(number, _)| *number).collect()
}

fn message_types() -> impl Strategy<Value = Mti> {
    (1_u16..=8, 0_u16..10, 0_u16..6)
        .prop_map(|(class, function, origin)| Mti::new(class * 100 + function * 10 + origin))
}

fn specs() -> [&'static MessageSpec; 2] {
    ["iso87-ascii", "iso87-binary"].map(|name| MessageSpec::builtin(name).unwrap())
}

const PAN: &str = "4761739001010119";
const TRACK: &str = "4761739001010119=28122011234500000000";
