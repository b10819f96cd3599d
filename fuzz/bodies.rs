//! What must hold for any bytes: shared by the fuzz targets and the tests with arbitrary bytes.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bytes::{Bytes, BytesMut};
use cardswitch::cli::acquirer::scenario_mistakes;
use cardswitch::crypto::cvv::CvvKind;
use cardswitch::crypto::emv::CryptogramVersion;
use cardswitch::crypto::hsm::{
    Chip, ChipAnswer, ExportKey, Hsm, HsmError, ImportKey, KeyForm, KeyNote, MacOver, MacScheme,
    MakeArpc, PinBlock, PinMethod, PinSource, PinValue, TranslatePin, Verdict, VerifyArqc,
    VerifyCvv, VerifyPin,
};
use cardswitch::crypto::key::{AesKey, BlockKey, TdesKey};
use cardswitch::crypto::key_block::{self, ProtectionKey};
use cardswitch::crypto::mac::Padding;
use cardswitch::crypto::payshield::client::{PayShield, TableKey};
use cardswitch::crypto::payshield::{DeviceKey, Line, Settings};
use cardswitch::crypto::pin_block::{Format, decipher_aes, decipher_as, encipher_aes, encipher_as};
use cardswitch::domain::programme_file;
use cardswitch::iso8583::import::{self, ImportError, Imported};
use cardswitch::iso8583::{
    Message, MessageSpec, MessageWriter, Mti, Part, Tlvs, decode, describe, rebuild,
};
use cardswitch::switch::card_check::ChipRecord;
use cardswitch::switch::doctor::examine;
use cardswitch::transport::{FrameCodec, FrameError, Framing, PRESETS};
use tokio_util::codec::Decoder;

const FRAME_MAX: usize = 512;

/// Every specification that comes with the program, one that has every form of element, and last
/// one that has every form of parts.
static SPECS: LazyLock<Vec<MessageSpec>> = LazyLock::new(|| {
    let texts = [
        include_str!("../fixtures/hostile/forms.toml"),
        include_str!("../fixtures/hostile/parts.toml"),
    ];
    let own =
        texts.map(|text| MessageSpec::parse(text).unwrap_or_else(|mistakes| panic!("{mistakes}")));
    let mut specs = MessageSpec::builtins().to_vec();
    specs.extend(own);
    specs
});

/// The first two bytes choose framing and header; the rest is the stream.
pub(crate) fn frames(data: &[u8]) {
    const HEADERS: [&str; 4] = ["", "+tpdu", "+base1", "+hex:49534F"];
    let Some((&[preset, header], stream)) = data.split_first_chunk::<2>() else {
        return;
    };
    let preset = PRESETS[usize::from(preset) % PRESETS.len()];
    let header = HEADERS[usize::from(header) % HEADERS.len()];
    cut(
        &Framing::preset(&format!("{preset}{header}")).expect("a preset"),
        stream,
    );
}

/// A table of framings in TOML, and behind a zero byte a stream for them.
pub(crate) fn framings(data: &[u8]) {
    let (text, stream) = at_zero(data);
    let text = String::from_utf8_lossy(text);
    match toml::from_str::<BTreeMap<String, Framing>>(&text) {
        Ok(framings) => framings.values().for_each(|framing| cut(framing, stream)),
        Err(mistake) => drop(mistake.to_string()),
    }
}

/// No frame is over the maximum, the buffer only shrinks, and every frame, written again, is cut
/// the same.
fn cut(framing: &Framing, stream: &[u8]) {
    let mut codec = FrameCodec::new(framing, FRAME_MAX);
    let mut source = BytesMut::from(stream);
    while !source.is_empty() {
        let left = source.len();
        let Ok(Some(frame)) = codec.decode(&mut source) else {
            break;
        };
        assert!(source.len() < left, "a frame of no bytes");
        assert!(frame.header.len() + frame.body.len() <= FRAME_MAX);
        let mut again = BytesMut::new();
        let mark = codec.begin(&mut again, &frame.header);
        again.extend_from_slice(&frame.body);
        match codec.finish(&mut again, mark) {
            Ok(()) => {}
            // The size that a header says about itself may be the byte that ends the frame.
            Err(FrameError::EndInside { .. }) => continue,
            Err(error) => panic!("what was cut cannot be written: {error}"),
        }
        let second = FrameCodec::new(framing, FRAME_MAX).decode(&mut again);
        let second = second.expect("what was written can be cut").expect("whole");
        assert_eq!(second.body, frame.body);
        assert_eq!(second.header.len(), frame.header.len());
    }
    let _ = codec.incomplete(&source).to_string();
}

/// The specifications that [`one_message`] chooses from.
pub(crate) fn specifications() -> &'static [MessageSpec] {
    &SPECS
}

/// A message of the specification that the first byte chooses.
pub(crate) fn one_message(data: &[u8]) {
    if let Some((number, frame)) = data.split_first() {
        let spec = &SPECS[usize::from(*number) % SPECS.len()];
        message(spec, Bytes::copy_from_slice(frame));
    }
}

/// The bytes of an element in BER-TLV: the items and the bytes around them are all that there is.
pub(crate) fn items(data: &[u8]) {
    let mut before = 0;
    for item in Tlvs::new(data) {
        let Ok(item) = item else { break };
        before += item.tag().len() + item.value().len();
        assert!(before < data.len(), "more items than bytes");
    }
    tlvs(Tlvs::new(data), 0);
}

/// The first byte chooses a form of parts, the rest is the value that is divided.
pub(crate) fn parts(data: &[u8]) {
    const DIVIDED: [u8; 8] = [43, 44, 48, 49, 50, 55, 104, 105];
    let (Some((form, value)), Some(spec)) = (data.split_first(), SPECS.last()) else {
        return;
    };
    let element = DIVIDED[usize::from(*form) % DIVIDED.len()];
    let mut frame = BytesMut::new();
    let mut writer = MessageWriter::begin(spec, Mti::new(100), &mut frame);
    if writer.divided(element, value).is_ok() {
        writer.finish().expect("what was written can be ended");
        message(spec, frame.freeze());
    }
}

/// A message of any specification.
pub(crate) fn messages(data: &[u8]) {
    let frame = Bytes::copy_from_slice(data);
    for spec in SPECS.iter() {
        message(spec, frame.clone());
    }
}

/// What decodes can be read in every way, described and written anew; what was written anew is
/// read as the same message.
fn message(spec: &MessageSpec, frame: Bytes) {
    match decode(spec, frame) {
        Ok(message) => {
            read(spec, &message);
            let again = rebuild(spec, &message).expect("a decoded message can be written");
            let second = decode(spec, again.freeze());
            let second = second.unwrap_or_else(|failure| panic!("{}", failure.error));
            assert!(message.elements().eq(second.elements()));
            for element in message.elements() {
                assert_eq!(message.text(element), second.text(element), "{element}");
                assert_eq!(message.binary(element), second.binary(element), "{element}");
            }
        }
        Err(failure) => {
            let _ = failure.error.to_string();
            if let Some(partial) = failure.partial {
                read(spec, &partial);
            }
        }
    }
}

fn read(spec: &MessageSpec, message: &Message) {
    let _ = describe(spec, message);
    for step in [1, 2, 3] {
        let wanted: Vec<u8> = (2..=192).step_by(step).collect();
        let one_by_one = echo(spec, message, |writer| {
            for element in &wanted {
                writer.copy(message, *element).expect("in order");
            }
        });
        let at_once = echo(spec, message, |writer| {
            writer.copy_all(message, &wanted).expect("in order");
        });
        assert_eq!(one_by_one, at_once);
    }
    for element in message.elements() {
        let wire = message.wire(element).expect("it is there");
        let raw = message.raw(element).expect("it is there");
        assert!(raw.len() <= wire.len());
        if let (Some(number), Some(digits)) = (message.number(element), message.digits(element)) {
            assert_eq!(digits.parse().unwrap_or(0), number, "{element}");
        }
        if let Some(Ok(parts)) = message.parts(spec, element) {
            read_parts(&parts);
        }
        if let Some(items) = message.tlvs(element) {
            tlvs(items, 0);
        }
    }
}

/// A message of the same type with what is written into it.
fn echo(
    spec: &MessageSpec,
    message: &Message,
    write: impl Fn(&mut MessageWriter<'_, '_>),
) -> BytesMut {
    let mut out = BytesMut::new();
    let mut writer = MessageWriter::begin(spec, message.mti(), &mut out);
    write(&mut writer);
    writer.finish().expect("no longer than what was read");
    out
}

fn read_parts(parts: &[Part<'_>]) {
    for part in parts {
        let _ = (part.text(), part.binary());
        if let Some(Ok(inner)) = part.parts() {
            read_parts(&inner);
        }
    }
}

fn tlvs(items: Tlvs<'_>, depth: usize) {
    for item in items.map_while(Result::ok) {
        if let Some(inner) = item.items().filter(|_| depth < 8) {
            tlvs(inner, depth + 1);
        }
    }
}

/// A specification in TOML, and behind a zero byte a message of it.
pub(crate) fn specs(data: &[u8]) {
    let (text, frame) = at_zero(data);
    match MessageSpec::parse(&String::from_utf8_lossy(text)) {
        Ok(spec) => message(&spec, Bytes::copy_from_slice(frame)),
        Err(mistakes) => drop(mistakes.to_string()),
    }
}

/// The first byte chooses a language; behind a zero byte stands a message. What is imported is a
/// specification without mistake.
pub(crate) fn importers(data: &[u8]) {
    type Importer = fn(&str, &str) -> Result<Imported, ImportError>;
    const IMPORTERS: [Importer; 3] = [import::jpos, import::moov_json, import::moov_yaml];
    let Some((&language, rest)) = data.split_first() else {
        return;
    };
    let (text, frame) = at_zero(rest);
    let import = IMPORTERS[usize::from(language) % IMPORTERS.len()];
    match import("any", &String::from_utf8_lossy(text)) {
        Ok(Imported { toml, report }) => {
            let _ = report.to_string();
            let spec = MessageSpec::parse(&toml);
            let spec = spec.unwrap_or_else(|mistakes| panic!("{mistakes}\n{toml}"));
            message(&spec, Bytes::copy_from_slice(frame));
        }
        Err(mistake) => drop(mistake.to_string()),
    }
}

/// A stream for the doctor: always one sentence.
pub(crate) fn doctor(data: &[u8]) {
    let specs: Vec<&MessageSpec> = MessageSpec::builtins().iter().collect();
    let diagnosis = examine(data, &specs).to_string();
    assert!(!diagnosis.is_empty() && !diagnosis.contains('\n'));
}

/// A scenario or a programme: read or refused, never a panic.
pub(crate) fn files(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = scenario_mistakes(&text);
    if let Err(mistakes) = programme_file::parse("any.toml", &text) {
        let _ = mistakes.to_string();
    }
}

fn at_zero(data: &[u8]) -> (&[u8], &[u8]) {
    let zero = data.iter().position(|byte| *byte == 0);
    match zero {
        Some(zero) => (&data[..zero], &data[zero + 1..]),
        None => (data, &[]),
    }
}

/// The chip data of DE 55 as a record: what a cryptogram is made over has the length that its
/// version says, and nothing is shown.
pub(crate) fn chips(data: &[u8]) {
    match ChipRecord::parse(data) {
        Ok(record) => {
            assert_eq!(format!("{record:?}"), "ChipRecord(withheld)");
            let own = record.issuer_data.len();
            for (version, expected) in [
                (CryptogramVersion::V10, Some(37).filter(|_| own >= 7)),
                (CryptogramVersion::V18, Some(33 + own)),
            ] {
                let signed = record.signed(version).map(|signed| signed.len());
                assert_eq!(signed, expected);
            }
        }
        Err(error) => drop(error.to_string()),
    }
}

/// Key blocks that the protection keys below open; none of them changed in any place does.
const KEY_BLOCKS: [(&str, &str); 3] = [
    (
        "89E88CF7931444F334BD7547FC3F380C",
        "A0072P0TE00E0000F5161ED902807AF26F1D62263644BD24192FDB3193C730301CEE8701",
    ),
    (
        "DD7515F2BFC17F85CE48F3CA25CB21F6",
        "B0080P0TE00E000094B420079CC80BA3461F86FE26EFC4A3B8E4FA4C5F5341176EED7B727B8A248E",
    ),
    (
        "88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6",
        "D0112P0AE00E0000B82679114F470F540165EDFBF7E250FCEA43F810D215F8D207E2E417C07156A27E8E31\
         DA05F7425509593D03A457DC34",
    ),
];

static PROTECTION_KEYS: LazyLock<Vec<ProtectionKey>> = LazyLock::new(|| {
    let key = |digits: &str| match digits.len() {
        32 => ProtectionKey::Tdes(TdesKey::from_hex(digits).expect("a TDES key").into()),
        _ => ProtectionKey::Aes(AesKey::from_hex(digits).expect("an AES key")),
    };
    KEY_BLOCKS.iter().map(|row| key(row.0)).collect()
});

/// A key block, under each protection key: only what was published opens.
pub(crate) fn key_blocks(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for key in PROTECTION_KEYS.iter() {
        match key_block::open(key, &text) {
            Ok(_) => {
                let published = KEY_BLOCKS
                    .iter()
                    .any(|row| row.1.eq_ignore_ascii_case(&text));
                assert!(published, "a changed block opens");
            }
            Err(error) => drop(error.to_string()),
        }
    }
}

/// A line that answers everything alike.
struct Parrot(Vec<u8>);

impl Line for Parrot {
    fn name(&self) -> String {
        "parrot".to_owned()
    }

    fn exchange(&self, _: &'static str, _: &[u8]) -> Result<Vec<u8>, HsmError> {
        Ok(self.0.clone())
    }
}

const DEVICE_KEYS: &str = "U0123456789ABCDEFFEDCBA9876543210";

/// Whoever keeps keys behind such a line.
fn parrot(data: &[u8]) -> PayShield<Parrot> {
    let table = [
        ("zone", "P0"),
        ("pvv", "V2"),
        ("cvk", "C0"),
        ("chip", "E0"),
        ("mac", "M3"),
        ("zmk", "K0"),
    ];
    let keys = table.map(|(name, usage)| TableKey {
        note: KeyNote {
            name: name.to_owned(),
            usage: usage.to_owned(),
            version: "00".to_owned(),
            check_value: None,
        },
        key: DeviceKey::parse(DEVICE_KEYS).expect("a device key"),
        is_exportable: true,
    });
    PayShield::new(Parrot(data.to_vec()), Settings::STANDARD, keys.to_vec())
}

/// What a device answers: nothing is right that does not begin with the answer's own code and `00`.
pub(crate) fn device_answers(data: &[u8]) {
    let hsm = parrot(data);
    let pan = "4761739001010119";
    let chip = Chip {
        key: "chip",
        pan,
        sequence_number: 1,
        counter: 28,
        version: CryptogramVersion::V10,
    };
    let pin = PinBlock {
        key: "zone",
        format: Format::Iso0,
        bytes: &[7; 8],
        pan,
    };
    let over = MacOver {
        key: "mac",
        scheme: MacScheme::Retail(Padding::Zeros),
        message: b"0800",
    };
    let method = PinMethod::Pvv {
        key: "pvv",
        index: 1,
        over: pan,
    };
    let verdicts = [
        (
            b"ED00",
            hsm.verify_pin(&VerifyPin {
                pin: PinSource::Block(pin),
                method,
                value: &PinValue::Pvv([1, 2, 3, 4]),
            }),
        ),
        (
            b"CZ00",
            hsm.verify_cvv(&VerifyCvv {
                key: "cvk",
                pan,
                expiry: "3112",
                kind: CvvKind::Printed,
                value: "123",
            }),
        ),
        (
            b"KR00",
            hsm.verify_arqc(&VerifyArqc {
                chip,
                unpredictable: [1; 4],
                data: &[2; 37],
                request: [3; 8],
            }),
        ),
        (b"M900", hsm.verify_mac(&over, &[0; 8])),
    ];
    for (right, verdict) in verdicts {
        if verdict == Ok(Verdict::Right) {
            assert!(data.starts_with(right), "{data:02x?} is no {right:02x?}");
        }
    }
    let code = hsm.make_mac(&over).is_ok();
    assert!(!code || data.starts_with(b"M700"));
    let answer = hsm.make_arpc(&MakeArpc {
        chip,
        unpredictable: [1; 4],
        request: [3; 8],
        answer: ChipAnswer::Code(*b"00"),
    });
    assert!(answer.is_err() || data.starts_with(b"KR00"));
    let asks = [
        hsm.health().err(),
        hsm.check_value("zone").err(),
        hsm.translate_pin(&TranslatePin {
            from: pin,
            to_key: "zone",
            to_format: Format::Iso3,
        })
        .err(),
        hsm.import_key(&ImportKey {
            name: "new",
            usage: "P0",
            under: "zmk",
            form: &KeyForm::Halves([9; 16]),
        })
        .err(),
        hsm.export_key(&ExportKey {
            name: "zone",
            under: "zmk",
            as_block: true,
        })
        .err(),
    ];
    asks.iter()
        .flatten()
        .for_each(|error| drop(error.to_string()));
}

/// The first byte chooses the format, the next eight are a clear block: a PIN that is read out of
/// it has 4 to 12 digits, and written again it is read the same.
pub(crate) fn pin_blocks(data: &[u8]) {
    const PAN: &str = "4761739001010119";
    const FORMATS: [Format; 4] = [Format::Iso0, Format::Iso1, Format::Iso3, Format::Iso4];
    let Some((format, rest)) = data.split_first() else {
        return;
    };
    let (Some(clear), ProtectionKey::Tdes(key), ProtectionKey::Aes(wide)) = (
        rest.first_chunk::<8>(),
        &PROTECTION_KEYS[0],
        &PROTECTION_KEYS[2],
    ) else {
        return;
    };
    let format = FORMATS[usize::from(*format) % FORMATS.len()];
    let read = |block: &[u8]| match format {
        Format::Iso4 => decipher_aes(wide, block.try_into().expect("sixteen bytes"), PAN),
        _ => decipher_as(format, key, block.try_into().expect("eight bytes"), PAN),
    };
    let block = match (format, rest.first_chunk::<16>()) {
        (Format::Iso4, Some(block)) => block.to_vec(),
        (Format::Iso4, None) => return,
        _ => key.encrypt(*clear).to_vec(),
    };
    let Ok(pin) = read(&block) else {
        return;
    };
    let digits = pin.digits().to_vec();
    assert!((4..=12).contains(&digits.len()) && digits.iter().all(|digit| *digit < 10));
    let again = match format {
        Format::Iso4 => encipher_aes(wide, &pin, PAN, *clear)
            .expect("a block")
            .to_vec(),
        _ => encipher_as(format, key, &pin, PAN, *clear)
            .expect("a block")
            .to_vec(),
    };
    assert!(
        format != Format::Iso0 || again == block,
        "format 0 has one form"
    );
    let pin = read(&again).expect("what was written can be read");
    assert_eq!(pin.digits(), digits);
}
