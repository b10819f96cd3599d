//! The two yardsticks: a server that answers at once, and one that syncs each batch before it does.
//!
//! One thread, one readiness loop: read every ready socket, then (durable) append and sync what was
//! read, then write every reply. The reply is fixed but for STAN and RRN, copied from the request,
//! so that the client matches it as it matches the switch's.

use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use bytes::BytesMut;
use cardswitch::cli::acquirer::load::{Kind, Template};
use cardswitch::iso8583::{self, Message, MessageSpec, MessageWriter};
use cardswitch::transport::{FrameCodec, Framing};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use super::peers::{PeerKind, generate_cards, work_dir};

/// Bytes appended for each message.
const RECORD_BYTES: usize = 300;
/// The log is written over again from its start when it is full.
const LOG_BYTES: usize = 256 << 20;
const LOG_BYTES_SMOKE: usize = 16 << 20;
const READ_BYTES: usize = 64 << 10;
const LISTENER: Token = Token(usize::MAX);

/// Serves until the process is ended.
pub(crate) fn serve(
    kind: PeerKind,
    spec: &MessageSpec,
    framing: &Framing,
    is_smoke: bool,
) -> Result<(), Box<dyn Error>> {
    let log = match kind {
        PeerKind::Durable => Some(Log::create(if is_smoke {
            LOG_BYTES_SMOKE
        } else {
            LOG_BYTES
        })?),
        PeerKind::Echo | PeerKind::Cardswitch | PeerKind::WithoutRing | PeerKind::PinMac => None,
    };
    let mut listener = TcpListener::bind("127.0.0.1:0".parse()?)?;
    let mut server = Server {
        poll: Poll::new()?,
        reply: Reply::build(spec, framing)?,
        codec: FrameCodec::new(framing, 65_535),
        connections: Vec::new(),
        log,
    };
    server
        .poll
        .registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("{}", listener.local_addr()?);
    io::stdout().flush()?;
    server.run(&listener)
}

struct Server {
    poll: Poll,
    reply: Reply,
    codec: FrameCodec,
    connections: Vec<Option<Connection>>,
    log: Option<Log>,
}

struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    out: Vec<u8>,
    sent: usize,
}

impl Server {
    fn run(&mut self, listener: &TcpListener) -> Result<(), Box<dyn Error>> {
        let mut events = Events::with_capacity(1_024);
        let mut piece = vec![0; READ_BYTES];
        let mut touched = Vec::new();
        loop {
            self.poll.poll(&mut events, None)?;
            for event in &events {
                if event.token() == LISTENER {
                    self.accept(listener)?;
                    continue;
                }
                let index = event.token().0;
                if event.is_readable() {
                    self.read(index, &mut piece);
                }
                touched.push(index);
            }
            if let Some(log) = &mut self.log {
                log.commit()?;
            }
            for index in touched.drain(..) {
                self.write(index);
            }
        }
    }

    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        loop {
            let mut stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let token = Token(self.connections.len());
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll
                .registry()
                .register(&mut stream, token, interest)?;
            self.connections.push(Some(Connection {
                stream,
                received: Vec::new(),
                out: Vec::new(),
                sent: 0,
            }));
        }
    }

    /// Reads what is there and prepares the replies; a connection that ends is dropped.
    fn read(&mut self, index: usize, piece: &mut [u8]) {
        let Some(slot) = self.connections.get_mut(index) else {
            return;
        };
        let Some(connection) = slot else { return };
        loop {
            match connection.stream.read(piece) {
                Ok(size) if size > 0 => {
                    let Some(got) = piece.get(..size) else { return };
                    connection.received.extend_from_slice(got);
                    let log = self.log.as_mut();
                    if answer(connection, &self.codec, &self.reply, log).is_none() {
                        *slot = None;
                        return;
                    }
                    if size < piece.len() {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => {
                    *slot = None;
                    return;
                }
            }
        }
    }

    fn write(&mut self, index: usize) {
        let Some(Some(connection)) = self.connections.get_mut(index) else {
            return;
        };
        while let Some(rest) = connection
            .out
            .get(connection.sent..)
            .filter(|out| !out.is_empty())
        {
            match connection.stream.write(rest) {
                Ok(size) => connection.sent += size,
                // The rest goes when the socket is writable again; a broken one ends on reading.
                Err(_) => return,
            }
        }
        connection.out.clear();
        connection.sent = 0;
    }
}

/// Answers every whole frame; `None` when the stream is not one of frames.
fn answer(
    connection: &mut Connection,
    codec: &FrameCodec,
    reply: &Reply,
    mut log: Option<&mut Log>,
) -> Option<()> {
    let mut taken = 0;
    while let Some(bounds) = codec.bounds(connection.received.get(taken..)?).ok()? {
        let frame = connection.received.get(taken..taken + bounds.whole)?;
        if let Some(log) = &mut log {
            log.append(frame);
        }
        reply.append_to(&mut connection.out, frame)?;
        taken += bounds.whole;
    }
    connection.received.drain(..taken);
    Some(())
}

/// The fixed reply, framed, and where STAN and RRN stand in it and in the request.
struct Reply {
    frame: Vec<u8>,
    /// Offset in the request frame, offset in the reply frame, bytes.
    copied: [(usize, usize, usize); 2],
}

impl Reply {
    fn build(spec: &MessageSpec, framing: &Framing) -> Result<Self, Box<dyn Error>> {
        let cards = generate_cards(1);
        let card = cards.first().ok_or("no card")?;
        let template = Template::build(spec, framing, Kind::Purchase, card, 1)?;
        let request = iso8583::decode(spec, template.body()).map_err(|failure| failure.error)?;
        let mut body = BytesMut::new();
        let mti = request
            .mti()
            .response()
            .ok_or("a purchase has a response")?;
        let mut writer = MessageWriter::begin(spec, mti, &mut body);
        for element in [2, 3, 4, 7, 11, 12, 13, 32, 37] {
            writer.copy(&request, element)?;
        }
        writer.text(38, "4F7K2Q")?.text(39, "00")?;
        for element in [41, 42, 49] {
            writer.copy(&request, element)?;
        }
        writer.finish()?;
        let reply = iso8583::decode(spec, body.freeze()).map_err(|failure| failure.error)?;
        let codec = FrameCodec::new(framing, 65_535);
        let mut frame = BytesMut::new();
        let mark = codec.begin(&mut frame, b"");
        let reply_start = frame.len();
        frame.extend_from_slice(reply.bytes());
        codec.finish(&mut frame, mark)?;
        let request_start = template.frame().len() - template.body().len();
        let place = |element| {
            let (from, size) = position(&request, element)?;
            let (to, _) = position(&reply, element)?;
            Some((from + request_start, to + reply_start, size))
        };
        let copied = [place(11).ok_or("no DE 11")?, place(37).ok_or("no DE 37")?];
        Ok(Self {
            frame: frame.to_vec(),
            copied,
        })
    }

    fn append_to(&self, out: &mut Vec<u8>, request: &[u8]) -> Option<()> {
        let start = out.len();
        out.extend_from_slice(&self.frame);
        let reply = out.get_mut(start..)?;
        for (from, to, size) in self.copied {
            reply
                .get_mut(to..to + size)?
                .copy_from_slice(request.get(from..from + size)?);
        }
        Some(())
    }
}

fn position(message: &Message, element: u8) -> Option<(usize, usize)> {
    let raw = message.raw(element)?;
    let offset = raw
        .as_ptr()
        .addr()
        .checked_sub(message.bytes().as_ptr().addr())?;
    Some((offset, raw.len()))
}

/// A zero-filled file of fixed size: a sync of it writes data only, no file-system metadata.
struct Log {
    file: File,
    path: PathBuf,
    batch: Vec<u8>,
    at: usize,
    size: usize,
}

impl Log {
    fn create(size: usize) -> io::Result<Self> {
        let path = work_dir()?.join(format!("durable-echo-{}.log", std::process::id()));
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .open(&path)?;
        let zeros = vec![0; 1 << 20];
        for _ in 0..size >> 20 {
            file.write_all(&zeros)?;
        }
        file.sync_all()?;
        // The name goes at once, so that an ended server leaves nothing behind.
        fs::remove_file(&path)?;
        Ok(Self {
            file,
            path,
            batch: Vec::new(),
            at: 0,
            size,
        })
    }

    fn append(&mut self, frame: &[u8]) {
        let start = self.batch.len();
        self.batch
            .extend_from_slice(frame.get(..RECORD_BYTES).unwrap_or(frame));
        self.batch.resize(start + RECORD_BYTES, 0);
    }

    /// Writes the batch and waits until the disk has it.
    fn commit(&mut self) -> io::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        if self.batch.len() > self.size {
            let path = self.path.display();
            return Err(io::Error::other(format!(
                "{path}: one batch is longer than the log"
            )));
        }
        if self.at + self.batch.len() > self.size {
            self.at = 0;
        }
        let offset = u64::try_from(self.at).map_err(io::Error::other)?;
        self.file.write_all_at(&self.batch, offset)?;
        self.file.sync_data()?;
        self.at += self.batch.len();
        self.batch.clear();
        Ok(())
    }
}
