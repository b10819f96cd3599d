//! A test message that the switch sends to one of its own doors, over a socket like any acquirer.
//!
//! For people who try it out, with demo cards only: what is decided stays decided.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::codec::Decoder;

use crate::domain::pan::Pan;
use crate::domain::time::UnixMs;
use crate::iso8583::{MessageSpec, MessageWriter, Mti, decode, describe};
use crate::transport::FrameCodec;

/// How long a door may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// The acquirer that test messages come from.
const ACQUIRER: &str = "999999";
/// Largest system trace audit number.
const STAN_MAX: u32 = 999_999;

/// Numbers test messages.
static STAN: AtomicU32 = AtomicU32::new(1);

/// A door that a test message can be sent to.
#[derive(Clone)]
pub struct Door {
    /// The listener's name.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Cuts its frames.
    pub(super) codec: FrameCodec,
    /// The header of a request.
    pub(super) header: Vec<u8>,
    /// Reads its messages.
    pub(super) spec: &'static MessageSpec,
}

/// What is sent.
pub struct TestMessage {
    /// By which card.
    pub pan: Pan,
    /// DE 3.
    pub processing: &'static str,
    /// DE 4, minor units of yen.
    pub minor: u64,
    /// DE 18.
    pub mcc: String,
}

/// Sends a test message; what was sent and what was answered, masked, in many lines each.
///
/// # Errors
/// A sentence that says which step failed.
pub async fn send(
    door: &Door,
    message: &TestMessage,
    now: UnixMs,
) -> Result<(String, String), String> {
    let exchange = tokio::time::timeout(ANSWER_WITHIN, exchange(door, message, now));
    let answered = exchange
        .await
        .map_err(|_| "no answer came in time".to_owned());
    answered?
}

async fn exchange(
    door: &Door,
    message: &TestMessage,
    now: UnixMs,
) -> Result<(String, String), String> {
    let body = write(door.spec, message, now)?;
    let sent = decode(door.spec, body.clone().freeze()).map_err(|it| it.error.to_string())?;
    let mut codec = door.codec.clone();
    let mut frame = BytesMut::new();
    let mark = codec.begin(&mut frame, &door.header);
    frame.extend_from_slice(&body);
    codec
        .finish(&mut frame, mark)
        .map_err(|it| it.to_string())?;
    let io = |error: std::io::Error| format!("{}: {error}", door.name);
    let mut stream = TcpStream::connect(door.address).await.map_err(io)?;
    stream.write_all(&frame).await.map_err(io)?;
    let mut received = BytesMut::new();
    let answer = loop {
        if let Some(frame) = codec.decode(&mut received).map_err(|it| it.to_string())? {
            break frame;
        }
        if stream.read_buf(&mut received).await.map_err(io)? == 0 {
            return Err(format!("{}: closed without an answer", door.name));
        }
    };
    let answer = decode(door.spec, answer.body).map_err(|it| it.error.to_string())?;
    Ok((describe(door.spec, &sent), describe(door.spec, &answer)))
}

fn write(spec: &MessageSpec, message: &TestMessage, now: UnixMs) -> Result<BytesMut, String> {
    let stan = STAN.fetch_add(1, Relaxed) % STAN_MAX + 1;
    // 2026-11-22T15:42:12.000Z: month, day, hour, minute, second.
    let digits: String = now
        .to_string()
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    let part = |from, to| digits.get(from..to).unwrap_or_default();
    let rrn = format!("{}{stan:06}", part(4, 10));
    let mut out = BytesMut::new();
    let mut writer = MessageWriter::begin(spec, Mti::new(100), &mut out);
    for (element, text) in [
        (2, message.pan.expose()),
        (3, message.processing),
        (4, &format!("{:012}", message.minor)),
        (7, part(4, 14)),
        (11, &format!("{stan:06}")),
        (12, part(8, 14)),
        (13, part(4, 8)),
        (18, &message.mcc),
        (22, "012"),
        (25, "00"),
        (32, ACQUIRER),
        (37, &rrn),
        (41, "CONSOLE1"),
        (42, "CONSOLE-TEST"),
        (49, "392"),
    ] {
        writer.text(element, text).map_err(|it| it.to_string())?;
    }
    writer.finish().map_err(|it| it.to_string())?;
    Ok(out)
}
