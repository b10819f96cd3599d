//! The socket of the operators' API: in the clear on loopback, over TLS anywhere.
//!
//! Handshakes run side by side, a bounded number of them, so that one slow caller keeps nobody out.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::server::TlsStream;

use crate::switch::clock;
use crate::switch::config::Config;
use crate::switch::doctor::Desk;
use crate::switch::door;
use crate::switch::networks::AllowList;
use crate::switch::telemetry::Telemetry;
use crate::switch::tls::{self, HandshakeError, TlsDoor};

/// Kernel buffer of a connection and direction, bytes: a live reader that stands still is written
/// records to until this is full.
const SOCKET_BUFFER_BYTES: u32 = 64 * 1024;
/// Handshakes at once; more callers wait in the kernel.
const HANDSHAKES_MAX: usize = 64;
/// How long one may take.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);
/// How long a full file table keeps us from accepting.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A connection of an operator.
pub enum AdminStream {
    /// In the clear.
    Plain(TcpStream),
    /// Over TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

type Shaken = Result<(AdminStream, SocketAddr), (HandshakeError, SocketAddr)>;

/// The listening socket of the API.
pub struct AdminSocket {
    socket: TcpListener,
    allow: AllowList,
    tls: Option<Arc<TlsDoor>>,
    handshakes: JoinSet<Shaken>,
    telemetry: Arc<Telemetry>,
    desk: Desk,
}

impl AdminSocket {
    /// Opens it.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn bind(
        config: &Config,
        tls: Option<Arc<TlsDoor>>,
        telemetry: Arc<Telemetry>,
    ) -> io::Result<AdminSocket> {
        Ok(AdminSocket {
            socket: door::listen(config.admin, SOCKET_BUFFER_BYTES)?,
            allow: config.admin_allow.clone(),
            tls,
            handshakes: JoinSet::new(),
            telemetry,
            desk: Desk::default(),
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// What a caller writes before the address.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// A connection that may be served at once; one that speaks TLS shakes hands first.
    fn take(&mut self, stream: TcpStream, peer: SocketAddr) -> Option<(AdminStream, SocketAddr)> {
        if !self.allow.has(peer.ip()) {
            Telemetry::add(&self.telemetry.connections_denied);
            self.tell(peer, &"its address is not allowed");
            return None;
        }
        let Some(door) = self.tls.clone() else {
            return Some((AdminStream::Plain(stream), peer));
        };
        self.handshakes.spawn(async move {
            let shaken = tls::handshake(&door, stream, HANDSHAKE_LIMIT).await;
            let stream = shaken.map_err(|error| (error, peer))?;
            Ok((AdminStream::Tls(Box::new(stream)), peer))
        });
        None
    }

    fn tell(&self, peer: SocketAddr, why: &dyn std::fmt::Display) {
        if let Some(admission) = self.desk.admit(clock::instant()) {
            tracing::warn!(
                door = "admin",
                %peer,
                %why,
                kept_back = admission.kept_back,
                "refused a connection"
            );
        }
    }
}

impl Listener for AdminSocket {
    type Io = AdminStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (AdminStream, SocketAddr) {
        loop {
            let has_room = self.handshakes.len() < HANDSHAKES_MAX;
            tokio::select! {
                accepted = self.socket.accept(), if has_room => match accepted {
                    Ok((stream, peer)) => {
                        if let Some(taken) = self.take(stream, peer) {
                            return taken;
                        }
                    }
                    Err(error) => {
                        tracing::warn!(door = "admin", %error, "accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(shaken) = self.handshakes.join_next() => match shaken {
                    Ok(Ok(taken)) => return taken,
                    Ok(Err((error, peer))) => {
                        Telemetry::add(&self.telemetry.handshakes_failed);
                        self.tell(peer, &error);
                    }
                    // Nobody ends a handshake but the end of the socket.
                    Err(_) => {}
                },
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.address()
    }
}

impl AsyncRead for AdminStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            AdminStream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            AdminStream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for AdminStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            AdminStream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            AdminStream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            AdminStream::Plain(stream) => Pin::new(stream).poll_flush(context),
            AdminStream::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            AdminStream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            AdminStream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
