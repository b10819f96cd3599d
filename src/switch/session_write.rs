//! The end of a connection's way: its answers are written, within the time that its listener gives
//! a peer, and what the peer still sends to who takes nothing more is read and dropped.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::link::Link;
use super::session_end::SessionEnd;
use super::telemetry::Telemetry;
use super::wire::Wire;

/// After the last answer: a peer silent for so long sends nothing more.
const LINGER_QUIET: Duration = Duration::from_millis(250);
/// How much is read and dropped at once.
const DROPPED_BYTES: usize = 4_096;

/// Reads on without listening: a socket closed with unread bytes in it is reset, and a reset
/// takes back the answers that the peer has not received yet.
pub(super) async fn discard_until_quiet<W: Wire>(stream: &mut W) {
    let mut dropped = vec![0; DROPPED_BYTES];
    loop {
        match tokio::time::timeout(LINGER_QUIET, stream.read(&mut dropped)).await {
            Ok(Ok(1..)) => {}
            Ok(Ok(0) | Err(_)) | Err(_) => return,
        }
    }
}

/// Writes all of it.
pub(super) async fn write_all<W: Wire>(
    link: &Link,
    stream: &mut W,
    bytes: &[u8],
) -> Result<(), SessionEnd> {
    // Nearly always the socket takes everything at once, and no timer is needed.
    let mut written = match stream.write_at_once(bytes) {
        Ok(count) => count,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        Err(error) => return Err(error.into()),
    };
    let limit_ms = link.listener.write_timeout_ms;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        let limit = Duration::from_millis(limit_ms);
        match tokio::time::timeout(limit, stream.write(rest)).await {
            Ok(Ok(0)) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
            Ok(Ok(count)) => written += count,
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => {
                Telemetry::add(&link.telemetry.connections_timed_out);
                return Err(SessionEnd::WriteTimeout(limit_ms));
            }
        }
    }
    if W::HOLDS_BACK {
        let limit = Duration::from_millis(limit_ms);
        match tokio::time::timeout(limit, stream.flush()).await {
            Ok(flushed) => flushed?,
            Err(_) => {
                Telemetry::add(&link.telemetry.connections_timed_out);
                return Err(SessionEnd::WriteTimeout(limit_ms));
            }
        }
    }
    Ok(())
}
