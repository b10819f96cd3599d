//! A listener speaks what its peer's own file says: specifications of other projects, and framings
//! described by their parts, over TCP.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;

use bytes::{Bytes, BytesMut};
use cardswitch::iso8583::{Message, MessageSpec, MessageWriter, decode};
use cardswitch::switch::spec_source;
use cardswitch::transport::{FrameCodec, Framing};
use tokio_util::codec::Decoder;

use crate::support::{Client, Draft, Switch, listener, text};

/// The elements of a purchase and its answer, in the classes of jPOS.
const JPOS: [(u8, &str, u8, &str); 24] = [
    (0, "IFB_NUMERIC", 4, "true"),
    (1, "IFB_BITMAP", 16, "false"),
    (2, "IFB_LLNUM", 19, "false"),
    (3, "IFB_NUMERIC", 6, "true"),
    (4, "IFB_NUMERIC", 12, "true"),
    (7, "IFB_NUMERIC", 10, "true"),
    (11, "IFB_NUMERIC", 6, "true"),
    (12, "IFB_NUMERIC", 6, "true"),
    (13, "IFB_NUMERIC", 4, "true"),
    (14, "IFB_NUMERIC", 4, "true"),
    (18, "IFB_NUMERIC", 4, "true"),
    (19, "IFB_NUMERIC", 3, "true"),
    (22, "IFB_NUMERIC", 3, "true"),
    (25, "IFB_NUMERIC", 2, "true"),
    (32, "IFB_LLHNUM", 11, "false"),
    (33, "IFB_LLHNUM", 11, "false"),
    (37, "IF_CHAR", 12, "false"),
    (38, "IF_CHAR", 6, "false"),
    (39, "IF_CHAR", 2, "false"),
    (41, "IFE_CHAR", 8, "false"),
    (42, "IF_CHAR", 15, "false"),
    (43, "IFE_CHAR", 40, "false"),
    (49, "IF_CHAR", 3, "false"),
    (54, "IFA_LLLCHAR", 120, "false"),
];

fn packager() -> String {
    let mut xml = "<isopackager>".to_owned();
    for (id, class, length, pad) in JPOS {
        let _ = write!(
            xml,
            r#"<isofield id="{id}" class="org.jpos.iso.{class}" length="{length}" pad="{pad}"
                name="field {id}"/>"#
        );
    }
    xml + "</isopackager>"
}

/// The same elements in the words of moov.
fn moov() -> String {
    let mut fields = serde_json::Map::new();
    for (id, class, length, _) in JPOS {
        let (kind, encoding, prefix) = match class {
            "IFB_BITMAP" => ("Bitmap", "Binary", "Binary.Fixed"),
            "IFB_NUMERIC" => ("String", "BCD", "BCD.Fixed"),
            "IFB_LLNUM" => ("String", "BCD", "BCD.LL"),
            "IFB_LLHNUM" => ("String", "BCD", "Binary.L"),
            "IF_CHAR" => ("String", "ASCII", "ASCII.Fixed"),
            "IFE_CHAR" => ("String", "EBCDIC1047", "EBCDIC.Fixed"),
            _ => ("String", "ASCII", "ASCII.LLL"),
        };
        let length = if id == 1 { 8 } else { length };
        let mut field = serde_json::json!(
            {"type": kind, "enc": encoding, "prefix": prefix, "length": length});
        if class.ends_with("CHAR") && prefix.ends_with("Fixed") {
            field["padding"] = serde_json::json!({"type": "Right", "pad": " "});
        }
        fields.insert(id.to_string(), field);
    }
    serde_json::json!({"name": "moov", "fields": fields}).to_string()
}

#[test]
fn a_peer_is_served_through_its_own_file() {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in [
        ("theirs.xml", packager()),
        ("theirs.json", moov()),
        ("theirs.toml", specification("iso87-binary")),
    ] {
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        let path = path.to_str().unwrap();
        let spec = spec_source::load(path)
            .unwrap_or_else(|why| panic!("{why}"))
            .spec;
        let mut door = listener("be2", path);
        // A framing that is no preset: three bytes of length, then FF.
        let table = "framing = { name = 'ours', length = { size = 3, encoding = 'be', \
                     prefix = 'FF' } }";
        let table: toml::Table = table.parse().unwrap();
        let framing: Framing = table["framing"].clone().try_into().unwrap();
        door.framing_own = Some(framing.clone());
        let switch = Switch::start(vec![door]);
        let mut stream = TcpStream::connect(switch.address()).unwrap();
        for (stan, code) in [(1, "00"), (2, "00")] {
            let purchase = translated(&Draft::purchase(stan), &spec);
            let answer = ask(&mut stream, &framing, &spec, &purchase);
            assert_eq!(answer.mti().to_string(), "0110", "{name}");
            assert_eq!(text(&answer, 39), code, "{name}");
            assert_eq!(answer.number(11), Some(u64::from(stan)), "{name}");
            assert_eq!(text(&answer, 41).trim_end(), "TERM0001", "{name}");
            assert_eq!(answer.digits(32).as_deref(), Some("400001"), "{name}");
        }
        drop(stream);
        switch.stop().unwrap();
    }
}

#[test]
fn a_peer_that_speaks_ebcdic_is_served() {
    let switch = Switch::with("nac", "iso87-ebcdic");
    let mut client = Client::connect(switch.address(), "nac", "iso87-ebcdic");
    let answer = client.ask(&Draft::purchase(1));
    assert_eq!(text(&answer, 39), "00");
    assert_eq!(
        answer.wire(41),
        Some(&[0xe3, 0xc5, 0xd9, 0xd4, 0xf0, 0xf0, 0xf0, 0xf1][..])
    );
    drop(client);
    switch.stop().unwrap();
}

#[test]
fn a_file_that_is_no_specification_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    for (name, content, why) in [
        ("bad.toml", "name = 3", "line 1: name: expected a text"),
        ("bad.xml", "<isopackager>", "import the spec"),
        ("bad.json", "{}", "import the spec"),
        ("bad.yaml", "a: [", "import the spec"),
    ] {
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        let error = spec_source::load(path.to_str().unwrap()).err().unwrap();
        assert!(error.contains(why) && error.contains(name), "{error}");
    }
    let missing = spec_source::load("nowhere/theirs.xml").err().unwrap();
    assert!(
        missing.starts_with("read the spec nowhere/theirs.xml"),
        "{missing}"
    );
}

/// A built-in specification as a file of another name.
fn specification(base: &str) -> String {
    format!(
        "name = \"theirs\"\nbase = \"{base}\"\n[defaults]\nversion = 0\nmti = \"bcd\"\n\
         bitmap = \"binary\"\ndigits = \"bcd\"\nodd_fill = \"left\"\nlength = \"binary\"\n\
         binary = \"raw\"\n[messages.0110]\nname = \"own\"\nechoed = [3, 11, 32, 41]\n"
    )
}

/// The message with the same values in another specification.
fn translated(draft: &Draft, spec: &MessageSpec) -> Bytes {
    let ascii = MessageSpec::builtin("iso87-ascii").unwrap();
    let message = decode(ascii, draft.bytes("iso87-ascii")).unwrap();
    let mut out = BytesMut::new();
    let mut writer = MessageWriter::begin(spec, message.mti(), &mut out);
    for element in message.elements() {
        writer
            .text(element, &message.text(element).unwrap())
            .unwrap();
    }
    writer.finish().unwrap();
    out.freeze()
}

fn ask(stream: &mut TcpStream, framing: &Framing, spec: &MessageSpec, body: &[u8]) -> Message {
    let mut codec = FrameCodec::new(framing, 8_192);
    let mut out = BytesMut::new();
    let mark = codec.begin(&mut out, b"");
    out.extend_from_slice(body);
    codec.finish(&mut out, mark).unwrap();
    stream.write_all(&out).unwrap();
    let mut received = BytesMut::new();
    loop {
        if let Some(frame) = codec.decode(&mut received).unwrap() {
            return decode(spec, frame.body).unwrap();
        }
        let mut piece = [0; 512];
        let count = stream.read(&mut piece).unwrap();
        assert!(count > 0, "the switch closed the connection");
        received.extend_from_slice(&piece[..count]);
    }
}
