//! Keep-alives: answered where the peer waits for it, and never a storm of echoes.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use cardswitch::switch::clock;
use cardswitch::transport::{
    FrameCodec, FrameError, Framing, KEEP_ALIVES_IN_A_ROW_MAX, KeepAlive, PRESETS,
};
use tokio_util::codec::Decoder;

fn framing(name: &str) -> Framing {
    Framing::preset(name).unwrap()
}

fn codec(name: &str) -> FrameCodec {
    FrameCodec::new(&framing(name), 8_192)
}

/// What one end sends when `wire` comes: the echo, if one is due.
fn echo(codec: &mut FrameCodec, wire: &mut BytesMut, now: Instant) -> BytesMut {
    let mut out = BytesMut::new();
    while codec.decode(wire).unwrap().is_some() {}
    codec.echo_keep_alive(now, &mut out);
    out
}

#[test]
fn a_keep_alive_is_echoed_where_the_peer_waits_for_it() {
    let began = clock::instant();
    for name in PRESETS {
        let mut codec = codec(name);
        let mut zero = BytesMut::new();
        codec.put_keep_alive(&mut zero);
        if framing(name).keep_alive() == KeepAlive::Close {
            continue;
        }
        let echoes = framing(name).keep_alive() == KeepAlive::Echo;
        // An hour of one every thirty seconds; several at once get one echo.
        for tick in 0..120 {
            let mut wire = BytesMut::from(&zero.repeat(1 + tick % 3)[..]);
            let now = began + Duration::from_secs(30 * u64::try_from(tick).unwrap());
            let answer = echo(&mut codec, &mut wire, now);
            let expected = if echoes { &zero[..] } else { b"" };
            assert_eq!(&answer[..], expected, "{name}");
        }
    }
}

#[test]
fn two_ends_that_echo_make_no_storm() {
    let began = clock::instant();
    for name in ["cmf", "cs", "vap", "gicc", "base24tcp"] {
        let (mut ours, mut theirs) = (codec(name), codec(name));
        let mut wire = BytesMut::new();
        ours.put_keep_alive(&mut wire);
        let mut hops = 0;
        while !wire.is_empty() {
            // A storm runs as fast as the network: here one hop is a millisecond.
            let now = began + Duration::from_millis(hops);
            let end = if hops % 2 == 0 {
                &mut theirs
            } else {
                &mut ours
            };
            wire = echo(end, &mut wire, now);
            hops += 1;
            assert!(hops < 10, "{name}: a storm");
        }
        assert_eq!(hops, 3, "{name}: sent, echoed, echoed, silence");
    }
}

#[test]
fn an_end_that_echoes_without_bound_is_held_to_the_maximum() {
    let began = clock::instant();
    let mut codec = codec("cmf");
    let mut answered = 0;
    let mut taken = 0_u32;
    let refused = loop {
        let mut wire = BytesMut::from(&[0, 0, 0][..]);
        match codec.decode(&mut wire) {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
        let mut out = BytesMut::new();
        codec.echo_keep_alive(began + Duration::from_millis(u64::from(taken)), &mut out);
        answered += out.len() / 3;
    };
    assert!(matches!(refused, FrameError::OnlyKeepAlives { .. }));
    assert_eq!((taken, answered), (KEEP_ALIVES_IN_A_ROW_MAX, 1));
}
