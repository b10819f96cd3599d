//! The doctor: every framing against every listener, and what a live listener says of strangers.

use std::collections::BTreeMap;
use std::fs;

use bytes::{BufMut, Bytes, BytesMut};
use cardswitch::iso8583::{MessageSpec, decode};
use cardswitch::switch::doctor::{Diagnosis, Fit, Probe, examine, suspects};
use cardswitch::transport::{FrameCodec, Framing, Header, PRESETS};
use tokio_util::codec::Decoder;

const SPECS: [&str; 2] = ["iso87-ascii", "iso87-binary"];

/// What a live listener tries: everything that comes with the program.
fn specs() -> Vec<&'static MessageSpec> {
    MessageSpec::builtins().iter().collect()
}

/// Every golden message of a specification.
fn messages(spec: &str) -> Vec<Bytes> {
    let mut paths: Vec<_> = fs::read_dir(format!("fixtures/messages/{spec}"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "hex"))
        .collect();
    paths.sort();
    assert!(paths.len() > 10, "found only {} messages", paths.len());
    let read = |path| crate::golden_messages::hex(&fs::read_to_string(path).unwrap());
    paths.into_iter().map(read).collect()
}

/// The header a peer of this framing sends.
fn header(framing: &Framing) -> Vec<u8> {
    match framing.header() {
        Header::Tpdu | Header::TpduUnswapped => vec![0x60, 0x12, 0x34, 0x56, 0x78],
        other => other.of_request(),
    }
}

/// The message as a peer of this framing sends it, `None` when the framing cannot carry it.
fn on_the_wire(framing: &Framing, message: &[u8]) -> Option<Bytes> {
    let codec = FrameCodec::new(framing, 65_535);
    let mut out = BytesMut::new();
    let mark = codec.begin(&mut out, &header(framing));
    out.put_slice(message);
    codec.finish(&mut out, mark).ok()?;
    Some(out.freeze())
}

/// Whether a listener takes the first frame for a message.
fn takes(framing: &Framing, spec: &MessageSpec, wire: &[u8]) -> bool {
    let mut codec = FrameCodec::new(framing, 65_535);
    match codec.decode(&mut BytesMut::from(wire)) {
        Ok(Some(frame)) => decode(spec, frame.body).is_ok(),
        Ok(None) | Err(_) => false,
    }
}

/// Framings of peers: every preset, and those with addresses before the message.
fn peers() -> Vec<Framing> {
    let names = PRESETS.iter().flat_map(|name| {
        let with_tpdu = (*name != "vap").then(|| format!("{name}+tpdu"));
        std::iter::once((*name).to_owned()).chain(with_tpdu)
    });
    names.map(|name| Framing::preset(&name).unwrap()).collect()
}

/// Pairs of peer and listener whose bytes have two readings. The listener takes the message, or
/// the doctor names the other framing.
const AMBIGUOUS: &[(&str, &str, &str)] = &[
    (
        "gicc",
        "be4",
        "two zeros and two bytes of length are a length of four bytes",
    ),
    (
        "be4",
        "be2",
        "the high half of the length is a keep-alive, the low half the length",
    ),
    ("gicc", "be2", "its prefix is a keep-alive of the listener"),
    (
        "be4",
        "gicc",
        "the high half of a short length is the prefix",
    ),
];

/// The name under which a diagnosis knows this wire form.
fn known_as(framing: &Framing) -> String {
    let known = suspects();
    let found = known.iter().find(|known| known.has_wire_of(framing));
    found.unwrap().name().to_owned()
}

fn ambiguous(peer: &str, listener: &str) -> bool {
    let base = |name: &str| name.split('+').next().unwrap_or_default().to_owned();
    let header_of = |name: &str| name.split_once('+').map(|(_, header)| header.to_owned());
    header_of(peer) == header_of(listener)
        && AMBIGUOUS
            .iter()
            .any(|(one, other, _)| *one == base(peer) && *other == base(listener))
}

#[test]
fn every_framing_is_named_to_a_listener_of_every_other() {
    let (mut diagnosed, mut taken, mut two_readings) = (0, 0, BTreeMap::new());
    for spec_name in SPECS {
        let spec = MessageSpec::builtin(spec_name).unwrap();
        for peer in peers() {
            let peer_name = known_as(&peer);
            for message in messages(spec_name).into_iter().step_by(4) {
                let Some(wire) = on_the_wire(&peer, &message) else {
                    assert!(peer.name().starts_with("base24"), "{}", peer.name());
                    continue;
                };
                let diagnosis = examine(&wire, &specs());
                for listener in peers() {
                    let listener_name = known_as(&listener);
                    let what = format!(
                        "peer {} to listener {}: {spec_name} of {} bytes",
                        peer.name(),
                        listener.name(),
                        message.len()
                    );
                    if takes(&listener, spec, &wire) {
                        if listener_name == peer_name {
                            taken += 1;
                        } else {
                            *two_readings
                                .entry((peer_name.clone(), listener_name))
                                .or_insert(0) += 1;
                        }
                        continue;
                    }
                    let best = diagnosis
                        .best()
                        .unwrap_or_else(|| panic!("{what}: {diagnosis}"));
                    let named = best.framing_name();
                    assert!(
                        named == peer_name || ambiguous(&peer_name, named),
                        "{what}: {diagnosis}"
                    );
                    assert_eq!(best.spec_name(), Some(spec_name), "{what}: {diagnosis}");
                    assert!(
                        matches!(best.fit, Fit::Whole { is_exact: true, .. }),
                        "{what}: {diagnosis}"
                    );
                    diagnosed += 1;
                }
            }
        }
    }
    println!("matrix: {diagnosed} diagnosed, {taken} taken as expected, two readings:");
    for ((peer, listener), count) in &two_readings {
        println!("  {peer} to {listener}: {count}");
    }
    assert!(diagnosed > 5_000);
    for (peer, listener) in two_readings.keys() {
        assert!(
            ambiguous(peer, listener),
            "{peer} to {listener} is not on the list"
        );
    }
    for (peer, listener, reason) in AMBIGUOUS {
        let pair = ((*peer).to_owned(), (*listener).to_owned());
        assert!(
            two_readings.contains_key(&pair),
            "{peer} to {listener}: not so: {reason}"
        );
    }
}

#[test]
fn a_diagnosis_is_one_sentence_without_content() {
    let message = &messages("iso87-binary")[2];
    let be2 = Framing::preset("be2").unwrap();
    let wire = |name: &str| on_the_wire(&Framing::preset(name).unwrap(), message).unwrap();
    let rows = [
        (
            wire("ascii4+tpdu"),
            "iso87-binary",
            "peer speaks ascii4+tpdu, this listener expects be2; the message fits iso87-binary",
        ),
        (
            wire("nac"),
            "iso87-ascii",
            "peer speaks be2 as expected; the message fits iso87-binary, \
             this listener expects iso87-ascii",
        ),
        (
            message.clone(),
            "iso87-binary",
            "peer speaks no framing, this listener expects be2; the message fits iso87-binary",
        ),
        (
            [&wire("cs")[..], &wire("cs")[..]].concat().into(),
            "iso87-binary",
            "peer speaks cs, this listener expects be2; 2 message(s) fit iso87-binary",
        ),
        (
            wire("ascii+hex:49534F303235303030303535"),
            "iso87-binary",
            "peer speaks ascii4+hex:49534F303235303030303535, this listener expects be2; \
             the message fits iso87-binary",
        ),
        (
            Bytes::from_static(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"),
            "iso87-binary",
            "peer speaks HTTP, not ISO 8583: a browser or a health check; \
             this listener expects be2 and iso87-binary",
        ),
        (
            Bytes::from_static(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00]),
            "iso87-binary",
            "peer speaks TLS, this is plain TCP; this listener expects be2 and iso87-binary",
        ),
        (
            Bytes::from_static(&[0xFF; 40]),
            "iso87-binary",
            "peer speaks nothing we know; this listener expects be2 and iso87-binary",
        ),
    ];
    for (bytes, spec, expected) in rows {
        assert_eq!(examine(&bytes, &specs()).for_listener(&be2, spec), expected);
    }
}

#[test]
fn a_message_with_a_wrong_element_is_followed_up_to_it() {
    let mut message = messages("iso87-ascii")[2].to_vec();
    // DE 3 begins behind type, bitmap and DE 2 with its length.
    message[4 + 16 + 18] = b'x';
    let wire = on_the_wire(&Framing::preset("bcd2").unwrap(), &message).unwrap();
    let sentence = examine(&wire, &specs()).to_string();
    assert!(
        sentence.starts_with("peer speaks bcd2; the message begins like iso87-ascii, then DE 3"),
        "{sentence}"
    );
}

#[test]
fn callers_that_are_no_peers_are_recognised() {
    let rows: [(&[u8], Probe); 8] = [
        (b"", Probe::Silent),
        (&[0; 12], Probe::Zeros),
        (b"HEAD / HTTP/1.0\r\n\r\n", Probe::Http),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Probe::Http),
        (
            b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n",
            Probe::ProxyProtocol,
        ),
        (b"SSH-2.0-x\r\n", Probe::Ssh),
        (&[0x16, 0x03, 0x03, 0x00], Probe::TlsHello),
        (b"ping\n", Probe::TextLine),
    ];
    for (bytes, expected) in rows {
        match examine(bytes, &specs()) {
            Diagnosis::Probe(probe) => assert_eq!(probe, expected),
            other => panic!("{bytes:?}: {other}"),
        }
    }
}

#[test]
fn any_part_of_a_stream_is_examined_without_a_panic() {
    for spec in SPECS {
        let message = &messages(spec)[3];
        for peer in peers() {
            let Some(wire) = on_the_wire(&peer, message) else {
                continue;
            };
            for cut in (0..wire.len()).step_by(7) {
                let _ = examine(&wire[..cut], &specs()).to_string();
            }
        }
    }
}
