//! What the frame codec promises, as tables and as properties.

use proptest::prelude::*;

use super::*;
use crate::transport::{LengthHint, PRESETS};

const FRAME_MAX: usize = 8_192;

fn framing(name: &str) -> Framing {
    Framing::preset(name).unwrap()
}

fn codec(name: &str) -> FrameCodec {
    FrameCodec::new(&framing(name), FRAME_MAX)
}

/// A header as a peer sends it, of this framing.
fn header(framing: &Framing) -> Bytes {
    match framing.header() {
        Header::Tpdu | Header::TpduUnswapped => Bytes::from_static(&[0x60, 0x00, 0x10, 0x12, 0x34]),
        other => other.of_request().into(),
    }
}

fn decode_all(codec: &mut FrameCodec, wire: &[u8]) -> Result<Vec<Frame>, FrameError> {
    let mut src = BytesMut::from(wire);
    let mut frames = Vec::new();
    while let Some(frame) = codec.decode(&mut src)? {
        frames.push(frame);
    }
    Ok(frames)
}

fn error_of(name: &str, wire: &[u8]) -> FrameError {
    decode_all(&mut codec(name), wire).expect_err(name)
}

/// Every preset, and the bytes around `0800` made by hand from the descriptions of the channels.
#[test]
fn a_frame_has_its_length_header_and_trailer_on_the_wire() {
    const TPDU: [u8; 5] = [0x60, 0x00, 0x10, 0x12, 0x34];
    // Own length 22, its format, text format, 26 bytes in all, destination 0, source 0.
    const BASE1: &[u8] = b"\x16\x01\x02\x00\x1a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    /// Preset, bytes before the header, header, bytes behind the message.
    type Row = (&'static str, &'static [u8], &'static [u8], &'static [u8]);
    let rows: [Row; 32] = [
        ("be2", b"\x00\x04", b"", b""),
        ("be4", b"\x00\x00\x00\x04", b"", b""),
        ("ascii4", b"0004", b"", b""),
        ("bcd2", b"\x00\x04", b"", b""),
        ("le2", b"\x04\x00", b"", b""),
        ("nac", b"\x00\x04", b"", b""),
        ("post", b"\x00\x04", b"", b""),
        ("fsd", b"\x00\x04", b"", b""),
        ("amex", b"\x00\x06", b"", b""),
        ("nac-inclusive", b"\x00\x06", b"", b""),
        ("be4-inclusive", b"\x00\x00\x00\x08", b"", b""),
        ("bcd", b"\x00\x04", b"", b""),
        ("ncc", b"\x00\x04", b"", b""),
        ("ascii", b"0004", b"", b""),
        ("hex", b"0004", b"", b""),
        ("raw", b"\x00\x00\x00\x04", b"", b""),
        ("cmf", b"\x00\x00\x04", b"", b""),
        ("cs", b"\x00\x04\x00\x00", b"", b""),
        ("vap", b"\x00\x1a\x00\x00", BASE1, b""),
        ("gicc", b"\x00\x00\x00\x04", b"", b""),
        ("rbp", b"\xd0\x4a\x00\x04\x00\x00", b"", b""),
        ("base24tcp", b"\x00\x05", b"", b"\x03"),
        ("base24", b"", b"", b"\x03"),
        ("be2+tpdu", b"\x00\x09", &TPDU, b""),
        ("nac+tpdu", b"\x00\x09", &TPDU, b""),
        ("nac-inclusive+tpdu", b"\x00\x0b", &TPDU, b""),
        ("ncc+tpdu", b"\x00\x09", &TPDU, b""),
        ("bcd+tpdu-unswapped", b"\x00\x09", &TPDU, b""),
        ("ascii4+tpdu", b"0009", &TPDU, b""),
        ("hex+tpdu", b"0009", &TPDU, b""),
        ("base24tcp+tpdu", b"\x00\x0a", &TPDU, b"\x03"),
        ("ascii+hex:49534F", b"0007", b"ISO", b""),
    ];
    for name in PRESETS {
        assert!(rows.iter().any(|row| row.0 == name), "no bytes of {name}");
    }
    for (name, lead, header, tail) in rows {
        let frame = Frame {
            header: Bytes::copy_from_slice(header),
            body: Bytes::from_static(b"0800"),
        };
        let mut wire = BytesMut::new();
        codec(name).encode(frame.clone(), &mut wire).unwrap();
        assert_eq!(wire, [lead, header, b"0800", tail].concat(), "{name}");
        let frames = decode_all(&mut codec(name), &wire).unwrap();
        assert_eq!(frames, [frame], "{name}");
    }
}

#[test]
fn a_longer_length_uses_every_byte_of_the_field() {
    let rows: [(&str, &[u8]); 8] = [
        ("le2", &[0xD2, 0x04]),
        ("hex", b"04D2"),
        ("cmf", &[0, 0x04, 0xD2]),
        ("rbp", &[0xD0, 0x4A, 0x04, 0xD2, 0, 0]),
        ("be2", &[0x04, 0xD2]),
        ("be4", &[0, 0, 0x04, 0xD2]),
        ("ascii4", b"1234"),
        ("bcd2", &[0x12, 0x34]),
    ];
    for (name, length) in rows {
        let mut wire = BytesMut::new();
        let body = Bytes::from(vec![b'x'; 1_234]);
        codec(name)
            .encode(
                Frame {
                    header: Bytes::new(),
                    body,
                },
                &mut wire,
            )
            .unwrap();
        assert_eq!(wire.get(..length.len()), Some(length), "{name}");
        assert_eq!(wire.len(), length.len() + 1_234, "{name}");
    }
}

#[test]
fn a_reply_returns_the_header_turned_round() {
    let base1 = |length, to, from| {
        let mut header = vec![0; 22];
        header[..5].copy_from_slice(&[22, 0x01, 0x02, 0x00, length]);
        header[5..8].copy_from_slice(&[0, 0, to]);
        header[8..11].copy_from_slice(&[0, 0, from]);
        header
    };
    let rows = [
        (
            "be2+tpdu",
            vec![0x60, 0x00, 0x10, 0x12, 0x34],
            vec![0x60, 0x12, 0x34, 0x00, 0x10],
        ),
        (
            "be2+tpdu-unswapped",
            vec![0x60, 0x00, 0x10, 0x12, 0x34],
            vec![0x60, 0x00, 0x10, 0x12, 0x34],
        ),
        ("ascii+hex:49534F", b"ISO".to_vec(), b"ISO".to_vec()),
        // What the request said of its own length is not what the reply says.
        ("vap", base1(99, 1, 2), base1(26, 2, 1)),
    ];
    for (name, request, reply) in rows {
        let mut codec = codec(name);
        let mut out = BytesMut::new();
        let mark = codec.begin_reply(&mut out, &request);
        out.put_slice(b"0810");
        codec.finish(&mut out, mark).unwrap();
        let frame = codec.decode(&mut out).unwrap().unwrap();
        assert_eq!(frame.header, reply, "{name}");
    }
}

#[test]
fn a_header_that_says_its_own_length_is_kept_whole() {
    let header = |size: u8, format: u8| {
        let mut header = vec![0; usize::from(size)];
        header[..2].copy_from_slice(&[size, format]);
        header
    };
    // A longer header, a header that another one follows, and both.
    let good = [
        header(22, 0x01),
        header(26, 0x01),
        [header(22, 0x81), header(22, 0x01)].concat(),
        [header(26, 0x82), header(24, 0x01)].concat(),
    ];
    for header in good {
        let inner = [&header[..], b"0100"].concat();
        let size = u8::try_from(inner.len()).unwrap();
        let wire = [&[0, size, 0, 0], &inner[..]].concat();
        let frames = decode_all(&mut codec("vap"), &wire).unwrap();
        assert_eq!(frames[0].header, header);
        assert_eq!(&frames[0].body[..], b"0100");
    }
    // Too short to be one, longer than its frame, second one missing.
    let bad = [header(21, 0x01), header(22, 0x81)];
    for header in bad {
        let inner = [&header[..], b"0100"].concat();
        let size = u8::try_from(inner.len()).unwrap();
        let wire = [&[0, size, 0, 0], &inner[..]].concat();
        let error = error_of("vap", &wire);
        assert!(
            matches!(
                error,
                FrameError::HeaderLength { .. } | FrameError::TooShort { .. }
            ),
            "{error}"
        );
    }
}

#[test]
fn constant_bytes_must_be_there() {
    let rows: [(&str, &[u8], &str); 5] = [
        (
            "rbp",
            &[0xD0, 0x4B],
            "read the frame's prefix: expected D04A, got another byte at offset 1",
        ),
        (
            "gicc",
            &[0x01],
            "read the frame's prefix: expected 0000, got another byte at offset 0",
        ),
        (
            "cs",
            b"\x00\x04\x00\x01",
            "read the zeros behind the length: expected 00, got another byte at offset 1",
        ),
        (
            "base24tcp",
            b"\x00\x050800\x04",
            "read the trailer: expected 03, got another byte at offset 0",
        ),
        (
            "base24tcp",
            b"\x00\x01\x03",
            "take a frame of 1 bytes: at least 2",
        ),
    ];
    for (name, wire, expected) in rows {
        assert_eq!(error_of(name, wire).to_string(), expected, "{name}");
    }
}

#[test]
fn a_message_that_holds_the_end_mark_is_not_written() {
    let codec = codec("base24");
    let mut out = BytesMut::from(&b"before"[..]);
    let mark = codec.begin(&mut out, b"");
    out.put_slice(b"08\x0300");
    let error = codec.finish(&mut out, mark).unwrap_err();
    assert!(
        matches!(error, FrameError::EndInside { offset: 2 }),
        "{error}"
    );
    assert_eq!(out.as_ref(), b"before");
}

#[test]
fn a_frame_without_its_end_mark_stops_at_the_maximum() {
    let mut codec = codec("base24");
    let mut src = BytesMut::from(&[b'0'; 4_096][..]);
    assert!(codec.decode(&mut src).unwrap().is_none());
    src.put_u8(b'0');
    assert_eq!(
        codec.decode(&mut src).unwrap_err().to_string(),
        "take a frame of 4097 bytes: at most 4096"
    );
}

#[test]
fn a_length_that_cannot_be_is_refused_with_expected_and_got() {
    let rows: [(&str, &[u8], &str); 9] = [
        (
            "be2",
            &[0x20, 0x01],
            "take a frame of 8193 bytes: at most 8192",
        ),
        (
            "be4",
            &[0xFF, 0xFF, 0xFF, 0xFF],
            "take a frame of 4294967295 bytes: at most 8192",
        ),
        (
            "ascii4",
            b"9999",
            "take a frame of 9999 bytes: at most 8192",
        ),
        (
            "bcd2",
            &[0x99, 0x99],
            "take a frame of 9999 bytes: at most 8192",
        ),
        (
            "be2+tpdu",
            &[0x00, 0x05],
            "take a frame of 5 bytes: at least 6",
        ),
        ("amex", &[0x00, 0x01], "take a frame of 1 bytes: at least 3"),
        (
            "ascii4",
            b"00x4",
            "read the frame length: expected ASCII digits, got another byte at offset 2",
        ),
        (
            "bcd2",
            &[0x10, 0x0A],
            "read the frame length: expected packed digits, got another byte at offset 1",
        ),
        (
            "ascii4",
            &[0x00, 0x40, 0x30, 0x31],
            "read the frame length: expected ASCII digits, got another byte at offset 0 \
             (the length looks binary: is the peer on be2 or be4?)",
        ),
    ];
    for (name, wire, expected) in rows {
        assert_eq!(error_of(name, wire).to_string(), expected, "{name}");
    }
}

#[test]
fn a_refused_length_hints_at_what_the_peer_speaks() {
    let rows: [(&[u8], LengthHint); 4] = [
        (b"0146", LengthHint::AsciiDigits),
        (b"GET / HTTP/1.1", LengthHint::Http),
        (b"POST /v1", LengthHint::Http),
        (&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01], LengthHint::TlsHello),
    ];
    for (wire, expected) in rows {
        let mut codec = FrameCodec::new(&framing("be2"), 4_096);
        match decode_all(&mut codec, wire) {
            Err(FrameError::TooLong {
                hint, max: 4_096, ..
            }) => assert_eq!(hint, Some(expected)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_stream_that_ends_inside_a_frame_says_how_much_is_missing() {
    let rows: [(&str, &[u8], &str); 3] = [
        (
            "be2",
            &[0x00],
            "read a whole frame: expected 2 bytes, got 1",
        ),
        (
            "ascii4",
            b"0010012",
            "read a whole frame: expected 14 bytes, got 7",
        ),
        (
            "be2",
            &[0x16, 0x03, 0x01],
            "read a whole frame: expected 5637 bytes, got 3 \
             (this looks like TLS: the link is plain TCP)",
        ),
    ];
    for (name, wire, expected) in rows {
        let mut src = BytesMut::from(wire);
        let error = codec(name).decode_eof(&mut src).expect_err(name);
        assert_eq!(error.to_string(), expected, "{name}");
    }
    assert!(
        codec("be2")
            .decode_eof(&mut BytesMut::new())
            .unwrap()
            .is_none()
    );
}

#[test]
fn the_bounds_of_a_frame_are_those_the_decoder_cuts() {
    type Bounds = Option<(usize, usize, usize)>;
    let rows: [(&str, &[u8], Bounds); 9] = [
        ("be2", b"\x00\x040800", Some((2, 6, 6))),
        ("be2", b"\x00\x040800rest", Some((2, 6, 6))),
        ("be2", b"\x00\x04080", None),
        ("be2", b"\x00\x00rest", Some((2, 2, 2))),
        (
            "be2+tpdu",
            b"\x00\x09\x60\x00\x00\x00\x000800",
            Some((7, 11, 11)),
        ),
        ("ascii4", b"000", None),
        ("base24tcp", b"\x00\x050800\x03rest", Some((2, 6, 7))),
        ("base24", b"0800\x03rest", Some((0, 4, 5))),
        ("base24", b"0800", None),
    ];
    for (name, wire, expected) in rows {
        let bounds = codec(name).bounds(wire).unwrap();
        let got = bounds.map(|bounds| (bounds.body_start, bounds.body_end, bounds.whole));
        assert_eq!(got, expected, "{wire:?}");
    }
}

#[test]
fn memory_follows_what_arrived_not_what_the_length_claims() {
    let mut codec = FrameCodec::new(&framing("be4"), 1 << 30);
    let mut src = BytesMut::from(&[0x3F, 0xFF, 0xFF, 0xFF, b'0'][..]);
    assert!(codec.decode(&mut src).unwrap().is_none());
    assert!(
        src.capacity() <= 2 * RESERVE_BYTES_MAX,
        "{}",
        src.capacity()
    );
}

#[test]
fn keep_alives_are_taken_up_to_a_bound() {
    let bound = usize::try_from(KEEP_ALIVES_IN_A_ROW_MAX).unwrap();
    for name in ALL {
        let mut zero = BytesMut::new();
        codec(name).put_keep_alive(&mut zero);
        let mut message = BytesMut::new();
        let frame = Frame {
            header: header(&framing(name)),
            body: Bytes::from_static(b"0800"),
        };
        codec(name).encode(frame, &mut message).unwrap();

        let taken = [zero.repeat(bound), message.to_vec()].concat().repeat(2);
        let refused = zero.repeat(bound + 1);
        if framing(name).keep_alive() == KeepAlive::Close {
            let error = error_of(name, &zero);
            assert!(
                matches!(error, FrameError::TooShort { got: 0, .. }),
                "{name}"
            );
            continue;
        }
        let frames = decode_all(&mut codec(name), &taken).unwrap();
        assert_eq!(frames.len(), 2, "{name}");
        let error = error_of(name, &refused);
        assert!(matches!(error, FrameError::OnlyKeepAlives { .. }), "{name}");
    }
}

#[test]
fn a_frame_that_cannot_be_sent_leaves_nothing_behind() {
    let rows = [
        ("be2", 0, 0),
        ("be2", 0, FRAME_MAX + 1),
        ("be2+tpdu", 0, 4),
        ("be2", 5, 4),
    ];
    for (name, header_size, body_size) in rows {
        let codec = codec(name);
        let mut out = BytesMut::from(&b"before"[..]);
        let mark = codec.begin(&mut out, &vec![0x60; header_size]);
        out.put_bytes(b'x', body_size);
        assert!(
            codec.finish(&mut out, mark).is_err(),
            "{name} {header_size} {body_size}"
        );
        assert_eq!(out.as_ref(), b"before");
    }
}

#[test]
fn the_maximum_is_also_what_the_length_can_say() {
    let codec = FrameCodec::new(&framing("ascii4"), 1 << 20);
    let mut out = BytesMut::new();
    let mark = codec.begin(&mut out, b"");
    out.put_bytes(b'x', 10_000);
    let error = codec.finish(&mut out, mark).unwrap_err();
    assert!(
        matches!(
            error,
            FrameError::TooLong {
                max: 9_999,
                got: 10_000,
                ..
            }
        ),
        "{error}"
    );
}

const ALL: [&str; 31] = [
    "be2",
    "be4",
    "ascii4",
    "bcd2",
    "le2",
    "nac",
    "post",
    "fsd",
    "amex",
    "nac-inclusive",
    "be4-inclusive",
    "bcd",
    "ncc",
    "ascii",
    "hex",
    "raw",
    "cmf",
    "cs",
    "vap",
    "gicc",
    "rbp",
    "base24tcp",
    "base24",
    "be2+tpdu",
    "be4+tpdu",
    "ascii4+tpdu",
    "bcd2+tpdu",
    "cmf+tpdu",
    "base24tcp+tpdu",
    "ascii+hex:49534F",
    "cs+tpdu-unswapped",
];

#[test]
fn every_preset_is_split_anywhere() {
    for name in PRESETS {
        assert!(ALL.contains(&name), "{name}");
    }
}

proptest! {
    #[test]
    fn any_split_of_the_stream_gives_the_same_frames(
        name in prop::sample::select(&ALL[..]),
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..400), 1..12),
        cuts in prop::collection::vec(1_usize..97, 1..40),
    ) {
        let mut codec = codec(name);
        let ends = matches!(framing(name).boundary(), Boundary::End(_));
        let mut frames = Vec::new();
        for mut body in bodies {
            // Nothing that ends with a mark holds the mark.
            body.iter_mut().filter(|byte| ends && **byte == 3).for_each(|byte| *byte = 4);
            frames.push(Frame { header: header(&framing(name)), body: body.into() });
        }
        let mut wire = BytesMut::new();
        for frame in &frames {
            codec.encode(frame.clone(), &mut wire).unwrap();
        }
        let mut got = Vec::new();
        let mut src = BytesMut::new();
        let mut cuts = cuts.into_iter().cycle();
        while !wire.is_empty() {
            let cut = cuts.next().unwrap_or(1).min(wire.len());
            src.extend_from_slice(&wire.split_to(cut));
            while let Some(frame) = codec.decode(&mut src).unwrap() {
                got.push(frame);
            }
        }
        prop_assert!(codec.decode_eof(&mut src).unwrap().is_none());
        for (got, sent) in got.iter().zip(&frames) {
            prop_assert_eq!(&got.body, &sent.body);
            // A BASE I header is given the length of its frame; nothing else changes.
            prop_assert_eq!(got.header.get(5..), sent.header.get(5..));
        }
        prop_assert_eq!(got.len(), frames.len());
    }

    #[test]
    fn garbage_never_panics_and_never_gives_a_frame_over_the_maximum(
        name in prop::sample::select(&ALL[..]),
        wire in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let mut codec = FrameCodec::new(&framing(name), 100);
        if let Ok(frames) = decode_all(&mut codec, &wire) {
            for frame in frames {
                prop_assert!(frame.header.len() + frame.body.len() <= 100);
            }
        }
    }
}
