//! One door: takes connections from where they may come, has them prove who they are where it
//! speaks TLS, and gives each a session of its link.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::server::TlsStream;
use tokio_util::task::TaskTracker;

use super::clock;
use super::io_threads::{Home, IoThreads, at_home};
use super::link::Link;
use super::server::ServerError;
use super::session::Session;
use super::session_end::SessionEnd;
use super::sessions::{Seat, Sessions};
use super::telemetry::Telemetry;
use super::tls::{self, HandshakeError, TlsDoor};

/// Connections the kernel may keep for us before we accept them.
const BACKLOG: u32 = 4_096;
/// Kernel buffer per socket and direction, bytes: bounds what a silent peer can cost, and is more
/// than a full window of messages.
const SOCKET_BUFFER_BYTES: u32 = 256 * 1024;
/// How long a full file table keeps us from accepting.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a listening socket leads to.
pub(super) struct Door {
    /// The link of who is not known by a certificate.
    pub link: Arc<Link>,
    /// Its TLS; `None`: it speaks in the clear.
    pub tls: Option<DoorTls>,
}

/// TLS of a door.
pub(super) struct DoorTls {
    /// Our certificates.
    pub certificates: Arc<TlsDoor>,
    /// Links by a name in the client's certificate; none: everybody is the door's own link.
    pub clients: Vec<(String, Arc<Link>)>,
}

impl DoorTls {
    /// The link of a client.
    fn link_of<'a>(
        &'a self,
        own: &'a Arc<Link>,
        stream: &TlsStream<TcpStream>,
    ) -> Result<&'a Arc<Link>, HandshakeError> {
        if self.clients.is_empty() {
            return Ok(own);
        }
        let (_, connection) = stream.get_ref();
        let certificate = connection.peer_certificates().and_then(<[_]>::first);
        let names = certificate.map(tls::names_of).unwrap_or_default();
        let known = self
            .clients
            .iter()
            .find(|(client, _)| names.iter().any(|name| name.eq_ignore_ascii_case(client)));
        match known {
            Some((_, link)) => Ok(link),
            None => Err(HandshakeError::Stranger(names.join(", "))),
        }
    }
}

/// Opens a listening socket.
///
/// # Errors
/// When the address cannot be listened on.
pub(super) fn bind(address: SocketAddr) -> Result<TcpListener, ServerError> {
    listen(address, SOCKET_BUFFER_BYTES).map_err(|source| ServerError::Bind { address, source })
}

/// Opens a listening socket whose connections have so large a buffer in the kernel for each
/// direction: one that grows takes in much of what a peer that reads nothing should never cost.
///
/// # Errors
/// When the address cannot be listened on.
pub fn listen(address: SocketAddr, buffer_bytes: u32) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    // Accepted sockets inherit both.
    socket.set_send_buffer_size(buffer_bytes)?;
    socket.set_recv_buffer_size(buffer_bytes)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Takes connections until the switch stops.
pub(super) async fn accept(
    socket: TcpListener,
    door: Arc<Door>,
    (tasks, threads): (TaskTracker, Arc<IoThreads>),
    mut stopping: watch::Receiver<bool>,
) {
    let link = &door.link;
    let permits = Arc::new(Semaphore::new(link.listener.connections_max));
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            _ = stopping.changed() => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(link = link.listener.name, %error, "accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if !link.listener.allow.has(peer.ip()) {
            Telemetry::add(&link.telemetry.connections_denied);
            if let Some(admission) = link.desk.admit(clock::instant()) {
                tracing::warn!(
                    link = link.listener.name,
                    %peer,
                    kept_back = admission.kept_back,
                    "refused a connection: its address is not allowed"
                );
            }
            continue;
        }
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
            Telemetry::add(&link.telemetry.connections_refused);
            if let Some(admission) = link.lines.admit(clock::instant()) {
                tracing::warn!(
                    link = link.listener.name,
                    %peer,
                    connections_max = link.listener.connections_max,
                    kept_back = admission.kept_back,
                    "refused a connection: the listener has its maximum"
                );
            }
            continue;
        };
        let berth = threads.berth();
        let door = Arc::clone(&door);
        let handle = berth.handle.clone();
        let served = async move {
            match at_home(stream) {
                Ok(stream) => serve(&door, stream, peer, &berth.home).await,
                Err(error) => {
                    let link = &door.link;
                    tracing::warn!(link = link.listener.name, %peer, %error, "take a connection");
                }
            }
            drop((permit, berth));
        };
        tasks.spawn_on(served, &handle);
    }
}

async fn serve(door: &Door, stream: TcpStream, peer: SocketAddr, home: &Arc<Home>) {
    let telemetry = &door.link.telemetry;
    Telemetry::add(&telemetry.connections_accepted);
    Telemetry::add(&telemetry.connections_open);
    // Without it answers would only be later.
    let _ = stream.set_nodelay(true);
    match &door.tls {
        None => {
            if let Some(seat) = seat(&door.link, &door.link, peer) {
                tracing::debug!(link = door.link.listener.name, %peer, "connection open");
                Telemetry::add(&door.link.meter.connections_open);
                let end = Session::new((&door.link, home), stream, peer, seat)
                    .serve()
                    .await;
                tell_end(&door.link, peer, &end);
            }
        }
        Some(tls) => {
            // In a box: what TLS needs is not carried by the task of a plain connection.
            let served = serve_tls((&door.link, home), tls, stream, peer);
            Box::pin(served).await;
        }
    }
    Telemetry::take(&telemetry.connections_open);
}

async fn serve_tls(
    (own, home): (&Arc<Link>, &Arc<Home>),
    tls: &DoorTls,
    stream: TcpStream,
    peer: SocketAddr,
) {
    let limit = Duration::from_millis(own.listener.read_timeout_ms);
    let shaken = tls::handshake(&tls.certificates, stream, limit).await;
    let known = shaken.and_then(|stream| Ok((tls.link_of(own, &stream)?, stream)));
    match known {
        Ok((link, stream)) => {
            let Some(seat) = seat(own, link, peer) else {
                return;
            };
            tracing::debug!(link = link.listener.name, %peer, "TLS connection open");
            Telemetry::add(&link.meter.connections_open);
            let end = Session::new((link, home), stream, peer, seat).serve().await;
            tell_end(link, peer, &end);
        }
        Err(error) => {
            Telemetry::add(&own.telemetry.handshakes_failed);
            if let Some(admission) = own.desk.admit(clock::instant()) {
                tracing::warn!(
                    link = own.listener.name,
                    %peer,
                    %error,
                    kept_back = admission.kept_back,
                    "refused a connection"
                );
            }
        }
    }
}

/// A seat among the sessions; `None`: the link, or the door that `own` stands for, is drained.
fn seat(own: &Link, link: &Link, peer: SocketAddr) -> Option<Seat> {
    let names = (&*own.listener.name, &*link.listener.name);
    let seat = Sessions::seat(&link.sessions, names, peer);
    if seat.is_none() {
        Telemetry::add(&link.telemetry.connections_refused);
        if let Some(admission) = link.desk.admit(clock::instant()) {
            tracing::warn!(
                link = link.listener.name,
                %peer,
                kept_back = admission.kept_back,
                "refused a connection: its link is drained"
            );
        }
    }
    seat
}

fn tell_end(link: &Link, peer: SocketAddr, end: &SessionEnd) {
    Telemetry::take(&link.meter.connections_open);
    match end {
        SessionEnd::Closed | SessionEnd::Stopping | SessionEnd::Drained => {
            tracing::debug!(link = link.listener.name, %peer, %end, "connection closed");
        }
        SessionEnd::Frame(_)
        | SessionEnd::ReadTimeout(_)
        | SessionEnd::Idle(_)
        | SessionEnd::WriteTimeout(_)
        | SessionEnd::Io(_) => {
            if let Some(admission) = link.lines.admit(clock::instant()) {
                tracing::warn!(
                    link = link.listener.name,
                    %peer,
                    %end,
                    kept_back = admission.kept_back,
                    "connection closed"
                );
            }
        }
    }
}
