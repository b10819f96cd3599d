//! What holds for every specification, built in or imported: what is written is read, what is read
//! is written again byte for byte, and a specification survives the way to another project.
//!
//! `CARDSWITCH_SHARED` may name a folder with files of other projects, which are not part of this
//! one; with it theirs are tried too.

use bytes::{Bytes, BytesMut};
use cardswitch::iso8583::export::{self, ExportError, Exported};
use cardswitch::iso8583::import::{self, ImportError, Imported, Outcome};
use cardswitch::iso8583::{
    ElementSpec, Message, MessageSpec, MessageWriter, Mti, PartValue, Parts, decode, differences,
    rebuild,
};

use crate::golden_messages::shared;

#[test]
fn generated_messages_of_every_specification_are_read_and_written_again() {
    let mut specs = MessageSpec::builtins().to_vec();
    specs.extend(imported());
    for spec in &specs {
        let mut random = Random::new(spec.name());
        let mut seen = 0;
        for _ in 0..60 {
            let (frame, values) = generated(spec, &mut random, |_| true);
            let place = format!("{} {:02X?}", spec.name(), &frame[..]);
            let message = decode(spec, frame.clone()).unwrap_or_else(|e| panic!("{e} {place}"));
            let numbers: Vec<u8> = values.iter().map(|(number, _)| *number).collect();
            assert!(message.elements().eq(numbers), "{place}");
            for (number, value) in &values {
                check_value(spec, &message, *number, value);
            }
            assert_eq!(copied(spec, &message), frame, "{place}");
            assert_eq!(rebuild(spec, &message).unwrap(), frame, "{place}");
            seen += values.len();
        }
        assert!(seen > 60, "{}: only {seen} elements", spec.name());
    }
    assert!(specs.len() >= 11);
}

#[test]
fn an_empty_second_bitmap_is_written_again() {
    let spec = MessageSpec::builtin("iso87-binary").unwrap();
    for frame in [
        "0100 A000000000000000 0000000000000000 000000",
        "0800 0000000000000000",
    ] {
        let frame = crate::golden_messages::hex(frame);
        let message = decode(spec, frame.clone()).unwrap();
        assert_eq!(copied(spec, &message), frame);
        assert_eq!(rebuild(spec, &message).unwrap(), frame);
    }
}

#[test]
fn a_specification_that_went_to_another_project_and_back_reads_the_same_messages() {
    let mut said = 0;
    for spec in MessageSpec::builtins() {
        for (to, back) in WAYS {
            let Exported { text, report } = to(spec).unwrap();
            let Imported { toml, .. } = back(spec.name(), &text).unwrap();
            let theirs = MessageSpec::parse(&toml).unwrap_or_else(|errors| panic!("{errors}"));
            let lost = |number: u8| {
                let path = number.to_string();
                report
                    .findings()
                    .iter()
                    .filter(|finding| finding.field == path)
                    .any(|finding| match &finding.outcome {
                        Outcome::Taken => false,
                        Outcome::Approximated(reason) => reason.contains("are refused"),
                        Outcome::NotExpressible(_) => true,
                    })
            };
            for element in spec.elements() {
                let number = element.number();
                assert!(
                    theirs.element(number).is_some() || lost(number),
                    "{number} {text}"
                );
            }
            let kept = |element: &ElementSpec| !lost(element.number());
            said += spec
                .elements()
                .iter()
                .filter(|element| kept(element))
                .count();
            let mut random = Random::new(spec.name());
            for _ in 0..40 {
                let (frame, _) = generated(spec, &mut random, kept);
                let ours = decode(spec, frame.clone()).unwrap();
                let read = decode(&theirs, frame.clone())
                    .unwrap_or_else(|error| panic!("{}: {error} {frame:02X?}", spec.name()));
                assert!(ours.elements().eq(read.elements()));
                for number in ours.elements() {
                    let [one, other] = [&ours, &read].map(|message| message.text(number));
                    let [one, other] = [one, other].map(|text| text.unwrap_or_default());
                    assert_eq!(one.trim_end(), other.trim_end(), "{} {number}", spec.name());
                    assert_eq!(ours.binary(number), read.binary(number), "{number}");
                }
                assert_eq!(rebuild(&theirs, &read).unwrap(), frame, "{}", spec.name());
            }
        }
    }
    assert!(said > 2_000, "only {said} elements were said");
}

#[test]
fn an_imported_specification_comes_back_the_same() {
    let count = sources().len();
    for (index, Source { name, text, way }) in sources().into_iter().enumerate() {
        let (to, back) = WAYS[way];
        let first = if name.ends_with("yaml") {
            import::moov_yaml
        } else {
            back
        };
        let Imported { toml, .. } = first(&name, &text).unwrap();
        let spec = MessageSpec::parse(&toml).unwrap();
        let exported = to(&spec).unwrap();
        let again = back(spec.name(), &exported.text).unwrap();
        let spec_again = MessageSpec::parse(&again.toml).unwrap();
        let lines = differences(&spec, &spec_again);
        assert!(
            lines.is_empty(),
            "{name} {index}/{count}: {}\n{}",
            lines.join("\n"),
            exported.text
        );
        assert_eq!(to(&spec_again).unwrap().text, exported.text, "{name}");
    }
}

#[test]
fn what_the_other_form_cannot_say_is_reported() {
    let spec = MessageSpec::parse(RARE).unwrap_or_else(|errors| panic!("{errors}"));
    let jpos = export::jpos(&spec).unwrap().report.to_string();
    let moov = export::moov(&spec).unwrap().report.to_string();
    for (report, lines) in [
        (
            &jpos,
            [
                "file mask: approximated: masks are not said",
                "48 n..9: not expressible: no class is written so: bcd, odd fill left, length hex",
                "49 any9: not expressible: no class is written so: ebcdic-500, pad right \" \"",
                "50 n6: approximated: padding stays in the value",
                "51 b...99: approximated: its parts are not said: no packager reads them",
            ],
        ),
        (
            &moov,
            [
                "file mask: approximated: masks are not said",
                "47 h7: not expressible: an odd count of digits filled with F",
                "49 any9: not expressible: ebcdic-500, pad right \" \" has no form",
                "51 b...99: approximated: its parts are not said: a bitmap of a dataset",
                "52 any..9: not expressible: a value that ends with certain bytes",
            ],
        ),
    ] {
        for line in lines {
            assert!(report.contains(line), "{line}\n{report}");
        }
    }
    let ebcdic = RARE.replace("bitmap = \"binary\"", "bitmap = \"ebcdic-hex\"");
    let spec = MessageSpec::parse(&ebcdic).unwrap();
    assert_eq!(
        export::moov(&spec).unwrap_err().to_string(),
        "bitmap: expected binary or hex"
    );
}

#[test]
fn specifications_differ_in_what_they_say() {
    let spec = |name| MessageSpec::builtin(name).unwrap();
    for own in MessageSpec::builtins() {
        assert_eq!(differences(own, own), [""; 0]);
    }
    let lines = differences(spec("iso87-ascii"), spec("iso87-binary"));
    for line in [
        "file: version 0, type ascii, bitmap hex, up to two | \
         version 0, type bcd, bitmap binary, up to two",
        "DE 11: n6 \"System trace audit number (STAN)\", latin1, pad left \"0\" | \
         n6 \"System trace audit number (STAN)\", bcd, pad left \"0\"",
        "parts of DE 55: no parts | ber",
        "DE 55.9F26: absent | b64 \"Application cryptogram\", raw",
    ] {
        assert!(
            lines.iter().any(|own| own == line),
            "{line}\n{}",
            lines.join("\n")
        );
    }
    let editions = differences(spec("iso87-ascii"), spec("iso93-ascii"));
    assert!(
        editions
            .iter()
            .any(|line| line.starts_with("1100: absent | mandatory 3 4 7 11 12"))
    );
}

type To = fn(&MessageSpec) -> Result<Exported, ExportError>;
type Back = fn(&str, &str) -> Result<Imported, ImportError>;

const WAYS: [(To, Back); 2] = [
    (export::jpos, import::jpos),
    (export::moov, import::moov_json),
];

/// A file of another project, and which way it goes.
struct Source {
    name: String,
    text: String,
    way: usize,
}

fn sources() -> Vec<Source> {
    let own = |name: &str, text: String, way| Source {
        name: name.to_owned(),
        text,
        way,
    };
    let mut sources = vec![
        own("own.xml", every_class(), 0),
        own("own.json", MOOV.to_owned(), 1),
    ];
    for (file, way) in [
        ("jpos-packagers/cmf.xml", 0),
        ("jpos-packagers/iso87ascii.xml", 0),
        ("jpos-packagers/iso87ascii-binary-bitmap.xml", 0),
        ("jpos-packagers/iso87binary.xml", 0),
        ("jpos-packagers/postpack.xml", 0),
        ("moov-specs/exported-spec87ascii.json", 1),
        ("moov-specs/iso87binary.moov.json", 1),
        ("moov-specs/examples-spec87ascii.yaml", 1),
    ] {
        if let Some(text) = shared(&format!("data/{file}")) {
            sources.push(own(file, text, way));
        }
    }
    sources
}

fn imported() -> Vec<MessageSpec> {
    let specs = sources().into_iter().map(|Source { name, text, way }| {
        let back = if name.ends_with("yaml") {
            import::moov_yaml
        } else {
            WAYS[way].1
        };
        let toml = back(&name, &text).unwrap().toml;
        MessageSpec::parse(&toml).unwrap_or_else(|errors| panic!("{name}: {errors}"))
    });
    specs.collect()
}

/// A packager with a field of every class that needs no composite around it.
fn every_class() -> String {
    let fields = CLASSES.split_whitespace().zip(2..);
    let fields: String = fields
        .map(|(class, id)| {
            let (class, more) = class.split_once('!').unwrap_or((class, ""));
            let more = if more.is_empty() { "" } else { "pad=\"true\"" };
            format!(r#"<isofield id="{id}" length="9" name="f{id}" class="{class}" {more}/>"#)
        })
        .collect();
    format!(
        r#"<isopackager><isofield id="0" length="4" name="" class="IFA_NUMERIC"/>
        <isofield id="1" length="16" name="" class="IFB_BITMAP"/>{fields}
        <isofieldpackager id="120" length="255" name="chip" class="IFB_LLHBINARY" emitBitmap="false"
            packager="org.jpos.tlv.packager.bertlv.BERTLVBinaryPackager"/>
        <isofieldpackager id="121" length="99" name="tokens" class="IFA_LLCHAR" emitBitmap="false"
            packager="org.jpos.tlv.packager.TaggedSequencePackager">
          <isofield id="0" length="9" name="plain" class="IFA_LCHAR"/>
          <isofield id="1" length="9" name="AB" class="IFTA_LLCHAR" token="AB"/>
        </isofieldpackager>
        <isofieldpackager id="122" length="99" name="mapped" class="IFB_LLHBINARY"
            packager="GenericSubFieldPackager" emitBitmap="true" bitmapField="0">
          <isofield id="0" length="2" name="" class="IFB_BITMAP"/>
          <isofield id="1" length="9" name="one" class="IFA_LCHAR"/>
          <isofieldpackager id="9" length="9" name="nine" class="IFA_LLCHAR" emitBitmap="false"
              packager="GenericSubFieldPackager" firstField="1">
            <isofield id="1" length="2" name="x" class="IF_CHAR"/>
            <isofield id="2" length="2" name="y" class="IFA_NUMERIC"/>
          </isofieldpackager>
        </isofieldpackager></isopackager>"#
    )
}

const CLASSES: &str = "IFA_NUMERIC IFE_NUMERIC IFB_NUMERIC IFB_NUMERIC!pad IFB_FNUMERIC IF_CHAR \
    IFE_CHAR IFA_AMOUNT IFE_AMOUNT IFB_AMOUNT IFB_AMOUNT!pad IFE_SIGNED_NUMERIC IFA_BINARY \
    IFB_BINARY IFA_LCHAR IFA_LLCHAR IFA_LLLCHAR IFA_LLLLCHAR IFA_LLLLLCHAR IFA_LLLLLLCHAR \
    IFA_LBINARY IFA_LLBINARY IFA_LLLBINARY IFA_LLLLBINARY IFA_LLLLLBINARY IFA_LLLLLLBINARY \
    IFA_LLABINARY IFA_LLLABINARY IFA_FLLCHAR IFAE_LLCHAR IFB_LLCHAR IFB_LLLCHAR IFB_LLLLCHAR \
    IFB_LLLLLLCHAR IFB_LLNUM IFB_LLNUM!pad IFB_LLLNUM IFB_FLLNUM IFB_FLLLNUM IFB_LLBINARY \
    IFB_LLLBINARY IFB_LLLLBINARY IFB_LLHEX IFB_LLLHEX IFB_LLHCHAR IFB_LLLHCHAR IFB_LLHECHAR \
    IFB_LLLHECHAR IFB_LLHNUM IFB_LLLHNUM IFB_LLHBINARY IFB_LLLHBINARY IFB_LLHFBINARY IFE_LCHAR \
    IFE_LLCHAR IFE_LLLCHAR IFE_LLLLCHAR IFE_LBINARY IFE_LLBINARY IFE_LLLBINARY IFE_LLLLBINARY \
    IFE_LLLEBINARY IFEA_LLCHAR IFEB_LLNUM IFEB_LLLNUM IF_TCHAR IF_FSTBINARY";

const MOOV: &str = r#"{"name": "own", "fields": {
  "0": {"type": "String", "length": 4, "enc": "ASCII", "prefix": "ASCII.Fixed"},
  "1": {"type": "Bitmap", "length": 8, "enc": "HexToASCII", "prefix": "Hex.Fixed"},
  "2": {"type": "String", "length": 19, "description": "a", "enc": "BCD", "prefix": "BCD.LL"},
  "3": {"type": "Numeric", "length": 6, "enc": "ASCII", "prefix": "ASCII.Fixed",
        "padding": {"type": "Left", "pad": "0"}},
  "4": {"type": "String", "length": 7, "enc": "LBCD", "prefix": "BCD.Fixed"},
  "5": {"type": "Numeric", "length": 8, "enc": "BCD", "prefix": "BCD.Fixed",
        "padding": {"type": "Left", "pad": "0"}},
  "6": {"type": "String", "length": 9, "enc": "EBCDIC", "prefix": "EBCDIC.LL"},
  "7": {"type": "String", "length": 9, "enc": "EBCDIC1047", "prefix": "EBCDIC.Fixed",
        "padding": {"type": "Right", "pad": " "}},
  "8": {"type": "String", "length": 9, "enc": "ASCII", "prefix": "Hex.L"},
  "9": {"type": "Binary", "length": 9, "enc": "Binary", "prefix": "Binary.LL"},
  "10": {"type": "Binary", "length": 8, "enc": "HexToASCII", "prefix": "ASCII.Fixed"},
  "11": {"type": "String", "length": 9, "enc": "Binary", "prefix": "BerTLV"},
  "55": {"type": "Composite", "length": 255, "prefix": "ASCII.LLL",
         "tag": {"enc": "BerTLVTag", "sort": "StringsByHex"},
         "subfields": {"9F02": {"type": "Hex", "length": 6, "enc": "Binary", "prefix": "BerTLV"}}},
  "60": {"type": "Composite", "length": 99, "prefix": "ASCII.LL", "tag": {"sort": "StringsByInt"},
         "subfields": {"1": {"type": "String", "length": 2, "enc": "ASCII",
                             "prefix": "ASCII.Fixed"},
                       "2": {"type": "String", "length": 9, "enc": "ASCII", "prefix": "ASCII.L"}}},
  "61": {"type": "Composite", "length": 99, "prefix": "ASCII.LL",
         "bitmap": {"type": "Bitmap", "length": 2, "enc": "Binary", "prefix": "Binary.Fixed",
                    "disableAutoExpand": true},
         "subfields": {"1": {"type": "String", "length": 9, "enc": "ASCII", "prefix": "ASCII.L"}}},
  "62": {"type": "Composite", "length": 99, "prefix": "ASCII.LL",
         "tag": {"enc": "ASCII", "length": 2, "sort": "StringsByInt", "skipUnknownTLVTags": true,
                 "prefUnknownTLV": "ASCII.LL"},
         "subfields": {"01": {"type": "String", "length": 9, "enc": "ASCII", "prefix": "ASCII.LL"}}}
}}"#;

const RARE: &str = r#"
name = "rare"
[defaults]
mti = "ascii"
bitmap = "binary"
digits = "bcd"
odd_fill = "left"
length = "bcd"
binary = "raw"
[elements]
47 = { format = "h7", odd_fill = "right-f", name = "x" }
48 = { format = "n..9", length = "hex", name = "x" }
49 = { format = "any9", text = "ebcdic-500", name = "x" }
50 = { format = "n6", strip = true, name = "x" }
51 = { format = "b...99", name = "x" }
52 = { format = "any..9", length = "until 5E", name = "x" }
[parts.51]
form = "dataset-bitmap"
[parts.51.rows]
1 = { format = "n2", name = "x" }
"#;

/// A value as it was written.
enum Value {
    Text(String),
    Bytes(Vec<u8>),
    Parts,
}

/// A message with some of the elements that are wanted, and the values in it.
fn generated(
    spec: &MessageSpec,
    random: &mut Random,
    wanted: impl Fn(&ElementSpec) -> bool,
) -> (Bytes, Vec<(u8, Value)>) {
    let version = spec.rules().first().map_or(0, |rule| rule.mti().version());
    let mti = Mti::new(u16::from(version) * 1_000 + 100);
    let mut out = BytesMut::new();
    let mut writer = MessageWriter::begin(spec, mti, &mut out);
    let mut values = Vec::new();
    for element in spec.elements().iter().filter(|element| wanted(element)) {
        // What takes all that is left can only come last.
        let is_rest = element.wire_words().contains("rest");
        if is_rest || random.below(5) > 0 {
            continue;
        }
        let number = element.number();
        let inner = element.parts().and_then(|parts| chip_data(parts, random));
        let value = match inner {
            Some(inner) => {
                writer.divided(number, &inner).unwrap();
                Value::Parts
            }
            None => match value(element, random) {
                Value::Text(text) => {
                    let written = writer.text(number, &text).map(drop);
                    written.unwrap_or_else(|e| panic!("{} {e}", spec.name()));
                    Value::Text(text)
                }
                Value::Bytes(bytes) => {
                    writer.binary(number, &bytes).unwrap();
                    Value::Bytes(bytes)
                }
                Value::Parts => continue,
            },
        };
        values.push((number, value));
    }
    writer.finish().unwrap();
    (out.freeze(), values)
}

/// Items of BER-TLV, some known, some unknown, some nested, some repeated.
fn chip_data(parts: &Parts, random: &mut Random) -> Option<Vec<u8>> {
    let mut items = Vec::new();
    for _ in 0..random.below(6) {
        let tags = ["9F26", "9A", "DF8101", "C0", "9F7F"];
        let tag = tags[random.below(tags.len())].to_owned();
        let bytes = |count: usize, random: &mut Random| -> Vec<u8> {
            (0..count).map(|_| random.byte()).collect()
        };
        let value = match (parts.row(&tag), &*tag) {
            (_, "9A") => PartValue::Bytes(vec![0x26, 0x11, 0x21].into()),
            (_, "9F26") => PartValue::Bytes(bytes(8, random).into()),
            _ => {
                let count = random.below(140);
                PartValue::Bytes(bytes(count, random).into())
            }
        };
        let value = match (parts.row(&tag), value) {
            (Some(row), PartValue::Bytes(_)) if row.element().class().name() != "b" => {
                PartValue::Text("261121".to_owned())
            }
            (_, value) => value,
        };
        let nested = random.below(4) == 0;
        items.push(match nested {
            true => ("E1".to_owned(), PartValue::Parts(vec![(tag, value)])),
            false => (tag, value),
        });
    }
    let written = parts.write(&items).ok()?;
    (!items.is_empty() && written.len() <= 250).then_some(written)
}

fn value(element: &ElementSpec, random: &mut Random) -> Value {
    let max = usize::from(element.length_max());
    let length = match element.is_variable() {
        true => random.below(max.min(60) + 1),
        false => max,
    };
    if element.class().name() == "b" {
        // No byte that ends a value.
        return Value::Bytes((0..length).map(|_| random.byte() & 0x7f).collect());
    }
    let (first, alphabet) = match element.class().name() {
        "n" => ("", "0123456789"),
        "z" => ("", "0123456789="),
        "h" => ("", "0123456789ABCDEF"),
        "x+n" | "s+n" => ("C", "0123456789"),
        "a" | "as" => ("", "abcXYZ"),
        "ns" => ("", "0123456789-+"),
        _ => ("", "0123456789ABCxyz"),
    };
    let mut text = first.to_owned();
    while text.len() < length {
        text.push(char::from(
            alphabet.as_bytes()[random.below(alphabet.len())],
        ));
    }
    // The nibble D is the separator of a track.
    Value::Text(text.replace('D', "="))
}

fn check_value(spec: &MessageSpec, message: &Message, number: u8, value: &Value) {
    let element = spec.element(number).unwrap();
    let words = element.wire_words();
    let place = format!("{} DE {number} {words}", spec.name());
    match value {
        Value::Bytes(bytes) => {
            assert_eq!(
                message.binary(number).as_deref(),
                Some(&bytes[..]),
                "{place}"
            );
        }
        // Stripped padding, and a fill that cannot be told from a digit, are no loss on the wire.
        Value::Text(_) if words.contains("stripped") || words.contains("of bytes") => {}
        Value::Text(text) => {
            assert_eq!(message.text(number).as_deref(), Some(&**text), "{place}");
        }
        Value::Parts => {
            let parts = message.parts(spec, number).unwrap().unwrap();
            assert!(parts.iter().all(|part| part.mistake().is_none()), "{place}");
        }
    }
}

fn copied(spec: &MessageSpec, message: &Message) -> Bytes {
    let mut out = BytesMut::new();
    let mut writer = MessageWriter::begin_like(spec, message, &mut out);
    for number in message.elements() {
        writer.copy(message, number).unwrap();
    }
    writer.finish().unwrap();
    out.freeze()
}

/// Numbers that look random and are the same in every run.
struct Random(u64);

impl Random {
    fn new(name: &str) -> Self {
        let seed = name.bytes().fold(0x9e37_79b9_7f4a_7c15_u64, |seed, byte| {
            (seed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(seed | 1)
    }

    fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % count.max(1)
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }
}
