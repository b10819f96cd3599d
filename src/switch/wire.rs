//! What a session reads from and writes to: a socket, or a TLS connection over one.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A connection of a peer. A session is compiled for each, so that a plain one pays nothing for
/// the other.
pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin {
    /// Whether what was written may still be here, and goes when it is flushed.
    const HOLDS_BACK: bool;

    /// Writes what can be written without waiting; `WouldBlock` when only waiting tells.
    fn write_at_once(&mut self, bytes: &[u8]) -> io::Result<usize>;
}

impl Wire for TcpStream {
    const HOLDS_BACK: bool = false;

    fn write_at_once(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.try_write(bytes)
    }
}

impl Wire for TlsStream<TcpStream> {
    const HOLDS_BACK: bool = true;

    fn write_at_once(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}
