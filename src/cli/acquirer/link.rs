//! One connection to the switch for a conversation: one request in flight, replies in any order.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio_util::codec::Decoder;

use crate::iso8583::{self, DecodeError, EncodeError, Message, MessageSpec, MessageWriter, Mti};
use crate::transport::{FrameCodec, FrameError, Framing};

use super::clock;
use super::seal::MacKey;
use super::wire::{TlsPlan, Wire};

/// Largest reply taken, in bytes.
pub(super) const REPLY_BYTES_MAX: usize = 65_535;

/// How long a connection may take to be made.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

const READ_BYTES: usize = 4_096;

/// Why no reply came.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    #[error("connect to {address}: {source}")]
    Connect { address: String, source: io::Error },
    #[error("get a reply within {0} ms")]
    Timeout(u128),
    #[error("get a reply: the switch closed the connection")]
    Closed,
    #[error("get a reply: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("decode the reply: {0}")]
    Decode(DecodeError),
    #[error("build the sign-on: {0}")]
    Encode(#[from] EncodeError),
    #[error("sign on: expected code 00, got {0}")]
    NotSignedOn(String),
}

/// A framed connection that speaks one message spec.
#[derive(Debug)]
pub(super) struct Link {
    stream: Wire<TcpStream>,
    codec: FrameCodec,
    header: Vec<u8>,
    spec: &'static MessageSpec,
    reply_timeout: Duration,
    received: BytesMut,
}

/// How to open a link.
#[derive(Debug, Clone)]
pub(super) struct LinkPlan {
    pub(super) address: String,
    pub(super) framing: Framing,
    pub(super) spec: &'static MessageSpec,
    pub(super) reply_timeout: Duration,
    /// How to speak TLS; `None`: in the clear.
    pub(super) tls: Option<TlsPlan>,
    /// What messages are authenticated with; `None`: nothing.
    pub(super) mac: Option<MacKey>,
}

impl Link {
    /// Connects.
    pub(super) fn open(plan: &LinkPlan) -> Result<Self, LinkError> {
        let opened = connect(&plan.address).and_then(|socket| {
            socket.set_read_timeout(Some(CONNECT_TIMEOUT))?;
            Wire::open(socket, plan.tls.as_ref())
        });
        let stream = opened.map_err(|source| LinkError::Connect {
            address: plan.address.clone(),
            source,
        })?;
        Ok(Self {
            stream,
            codec: FrameCodec::new(&plan.framing, REPLY_BYTES_MAX),
            header: plan.framing.header().of_request(),
            spec: plan.spec,
            reply_timeout: plan.reply_timeout,
            received: BytesMut::new(),
        })
    }

    /// Sends a message and waits for the reply with the same trace number (DE 11).
    pub(super) fn exchange(&mut self, message: &[u8], stan: u64) -> Result<Message, LinkError> {
        self.send(message)?;
        let deadline = clock::instant() + self.reply_timeout;
        loop {
            while let Some(frame) = self.codec.decode(&mut self.received)? {
                let reply = iso8583::decode(self.spec, frame.body)
                    .map_err(|failure| LinkError::Decode(failure.error))?;
                // A late reply to an earlier step is somebody else's.
                if !reply.mti().is_request() && reply.number(11).is_none_or(|got| got == stan) {
                    return Ok(reply);
                }
            }
            let left = deadline.saturating_duration_since(clock::instant());
            self.receive(left)?;
        }
    }

    /// Sends a message whose reply nobody waits for.
    pub(super) fn send(&mut self, message: &[u8]) -> Result<(), LinkError> {
        let mut out = BytesMut::with_capacity(message.len() + 16);
        let mark = self.codec.begin(&mut out, &self.header);
        out.extend_from_slice(message);
        self.codec.finish(&mut out, mark)?;
        Ok(self.stream.write_all(&out)?)
    }

    fn receive(&mut self, left: Duration) -> Result<(), LinkError> {
        let timeout = || LinkError::Timeout(self.reply_timeout.as_millis());
        if left.is_zero() {
            return Err(timeout());
        }
        self.stream.socket().set_read_timeout(Some(left))?;
        let mut piece = [0_u8; READ_BYTES];
        match self.stream.read(&mut piece) {
            Ok(0) => Err(LinkError::Closed),
            Ok(size) => {
                self.received
                    .extend_from_slice(piece.get(..size).unwrap_or_default());
                Ok(())
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Err(timeout()),
                io::ErrorKind::Interrupted => Ok(()),
                _ => Err(error.into()),
            },
        }
    }
}

/// Connects, and signs on when the switch wants that, for a client that goes on by itself.
pub(super) fn open_stream(plan: &LinkPlan, sign_on: bool) -> Result<Wire<TcpStream>, LinkError> {
    let mut link = Link::open(plan)?;
    if sign_on {
        let message = sign_on_message(plan.spec)?;
        let message = match (&plan.mac, iso8583::decode(plan.spec, message.clone())) {
            (Some(key), Ok(message)) => key.sealed(plan.spec, &message, false)?,
            (None, _) | (_, Err(_)) => message,
        };
        let reply = link.exchange(&message, 1)?;
        let code = reply
            .text(39)
            .map(|code| code.into_owned())
            .unwrap_or_default();
        if code != "00" {
            return Err(LinkError::NotSignedOn(code));
        }
    }
    Ok(link.stream)
}

fn sign_on_message(spec: &MessageSpec) -> Result<Bytes, EncodeError> {
    let mut out = BytesMut::new();
    let mut writer = MessageWriter::begin(spec, const { Mti::new(800) }, &mut out);
    writer
        .text(7, &clock::mmddhhmmss(&clock::utc()))?
        .number(11, 1)?
        .text(70, "001")?;
    writer.finish()?;
    Ok(out.freeze())
}

/// Connects to the first address that answers, without delaying small writes.
pub(super) fn connect(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}
