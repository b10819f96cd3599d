//! What the frame codec promises, as tables and as properties.

use proptest::prelude::*;

use super::*;
use crate::transport::LengthHint;

const FRAME_MAX: usize = 8_192;

fn framing(text: &str) -> Framing {
    match text.strip_suffix("-inclusive") {
        Some(base) => {
            let base = Framing::preset(base).unwrap();
            let length = LengthField {
                counts_itself: true,
                ..base.length()
            };
            Framing::new(text, length, base.header()).unwrap()
        }
        None => Framing::preset(text).unwrap(),
    }
}

fn codec(name: &str) -> FrameCodec {
    FrameCodec::new(&framing(name), FRAME_MAX)
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

#[test]
fn a_frame_has_its_length_header_and_body_on_the_wire() {
    const TPDU: [u8; 5] = [0x60, 0x00, 0x10, 0x00, 0x20];
    let rows: [(&str, &[u8], &[u8]); 8] = [
        ("be2", b"", b"\x00\x04"),
        ("be2-inclusive", b"", b"\x00\x06"),
        ("be4", b"", b"\x00\x00\x00\x04"),
        ("ascii4", b"", b"0004"),
        ("bcd2", b"", b"\x00\x04"),
        ("be2+tpdu", &TPDU, b"\x00\x09"),
        ("ascii4+tpdu", &TPDU, b"0009"),
        ("bcd2+tpdu", &TPDU, b"\x00\x09"),
    ];
    for (name, header, length) in rows {
        let frame = Frame {
            header: Bytes::copy_from_slice(header),
            body: Bytes::from_static(b"0800"),
        };
        let mut wire = BytesMut::new();
        codec(name).encode(frame.clone(), &mut wire).unwrap();
        assert_eq!(wire, [length, header, b"0800"].concat(), "{name}");
        assert_eq!(
            decode_all(&mut codec(name), &wire).unwrap(),
            [frame],
            "{name}"
        );
    }
}

#[test]
fn a_longer_length_uses_every_byte_of_the_field() {
    let rows: [(&str, &[u8]); 4] = [
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
fn a_reply_swaps_the_addresses_of_the_tpdu() {
    let codec = codec("be2+tpdu");
    let mut out = BytesMut::new();
    let mark = codec.begin_reply(&mut out, &[0x60, 0x00, 0x10, 0x12, 0x34]);
    out.put_slice(b"0810");
    codec.finish(&mut out, mark).unwrap();
    assert_eq!(out.as_ref(), b"\x00\x09\x60\x12\x34\x00\x100810");
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
        (
            "be2-inclusive",
            &[0x00, 0x01],
            "take a frame of 1 bytes: at least 3",
        ),
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
fn keep_alives_are_skipped_up_to_a_bound() {
    let bound = usize::try_from(KEEP_ALIVES_IN_A_ROW_MAX).unwrap();
    for name in ["be2", "be2-inclusive", "be4", "ascii4", "bcd2", "be2+tpdu"] {
        let length = framing(name).length();
        let mut zero = vec![0; length.size];
        write_number(&mut zero, length.encoding, length.own_share());
        let header = vec![0x60; framing(name).header().size()];
        let mut message = BytesMut::new();
        let frame = Frame {
            header: header.into(),
            body: Bytes::from_static(b"0800"),
        };
        codec(name).encode(frame.clone(), &mut message).unwrap();

        let taken = [zero.repeat(bound), message.to_vec()].concat().repeat(2);
        let frames = decode_all(&mut codec(name), &taken).unwrap();
        assert_eq!(frames, [frame.clone(), frame], "{name}");

        let refused = zero.repeat(bound + 1);
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

const ALL: [&str; 10] = [
    "be2",
    "be2-inclusive",
    "be2+tpdu",
    "be4",
    "be4+tpdu",
    "ascii4",
    "ascii4-inclusive",
    "ascii4+tpdu",
    "bcd2",
    "bcd2+tpdu",
];

proptest! {
    #[test]
    fn any_split_of_the_stream_gives_the_same_frames(
        name in prop::sample::select(&ALL[..]),
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..400), 1..12),
        cuts in prop::collection::vec(1_usize..97, 1..40),
    ) {
        let mut codec = codec(name);
        let header_size = framing(name).header().size();
        let frames: Vec<Frame> = bodies
            .into_iter()
            .map(|body| Frame { header: vec![0x60; header_size].into(), body: body.into() })
            .collect();
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
        prop_assert_eq!(got, frames);
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
