//! What must hold for any bytes: shared by the fuzz targets and the smoke test of the suite.

use bytes::{Bytes, BytesMut};
use cardswitch::cli::acquirer::scenario_mistakes;
use cardswitch::iso8583::{MessageSpec, decode, describe, rebuild};
use cardswitch::switch::doctor::examine;
use cardswitch::transport::{FrameCodec, Framing, PRESETS};
use tokio_util::codec::Decoder;

const SPECS: [&str; 2] = ["iso87-ascii", "iso87-binary"];
const FRAME_MAX: usize = 512;

fn specs() -> Vec<&'static MessageSpec> {
    SPECS
        .iter()
        .filter_map(|name| MessageSpec::builtin(name))
        .collect()
}

/// The first two bytes choose framing and header; the rest is the stream. No frame is over the
/// maximum, the buffer only shrinks, and every frame, written again, is cut the same.
pub(crate) fn frames(data: &[u8]) {
    const HEADERS: [&str; 4] = ["", "+tpdu", "+base1", "+hex:49534F"];
    let Some((&[preset, header], stream)) = data.split_first_chunk::<2>() else {
        return;
    };
    let preset = PRESETS[usize::from(preset) % PRESETS.len()];
    let header = HEADERS[usize::from(header) % HEADERS.len()];
    let framing = Framing::preset(&format!("{preset}{header}")).expect("a preset");
    let mut codec = FrameCodec::new(&framing, FRAME_MAX);
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
        codec
            .finish(&mut again, mark)
            .expect("what was cut can be written");
        let second = FrameCodec::new(&framing, FRAME_MAX).decode(&mut again);
        let second = second.expect("what was written can be cut").expect("whole");
        assert_eq!(second.body, frame.body);
        assert_eq!(second.header.len(), frame.header.len());
    }
    let _ = codec.incomplete(&source).to_string();
}

/// A message of either specification: what decodes can be described and is written anew; what was
/// written anew is read as the same message.
pub(crate) fn messages(data: &[u8]) {
    for spec in specs() {
        match decode(spec, Bytes::copy_from_slice(data)) {
            Ok(message) => {
                let _ = describe(spec, &message);
                let again = rebuild(spec, &message).expect("a decoded message can be written");
                let second = decode(spec, again.freeze());
                let second = second.unwrap_or_else(|failure| panic!("{}", failure.error));
                assert!(message.elements().eq(second.elements()));
            }
            Err(failure) => {
                let _ = failure.error.to_string();
                if let Some(partial) = failure.partial {
                    let _ = describe(spec, &partial);
                }
            }
        }
    }
}

/// A stream for the doctor: always one sentence.
pub(crate) fn doctor(data: &[u8]) {
    let diagnosis = examine(data, &specs()).to_string();
    assert!(!diagnosis.is_empty() && !diagnosis.contains('\n'));
}

/// A specification or a scenario file: read or refused, never a panic.
pub(crate) fn files(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Err(mistakes) = MessageSpec::parse(&text) {
        let _ = mistakes.to_string();
    }
    let _ = scenario_mistakes(&text);
}
