//! What the simulator speaks over: a socket, or TLS on top of one.

use std::io::{self, ErrorKind, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use crate::switch::tls;

/// How a client speaks TLS.
#[derive(Debug, Clone, Args)]
pub(super) struct TlsArgs {
    /// Speak TLS, with a switch whose certificate these sign (PEM)
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Name in the switch's certificate [default: the host that is connected to]
    #[arg(long, value_name = "NAME", requires = "tls_ca")]
    tls_name: Option<String>,
    /// Certificate to show the switch (PEM)
    #[arg(long, value_name = "FILE", requires_all = ["tls_ca", "tls_key"])]
    tls_certificate: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
}

impl TlsArgs {
    /// How to speak TLS to this address; `None`: in the clear.
    pub(super) fn plan(&self, address: &str) -> Result<Option<TlsPlan>, String> {
        let Some(ca) = &self.tls_ca else {
            return Ok(None);
        };
        let own = self.tls_certificate.as_deref().zip(self.tls_key.as_deref());
        let config = tls::client_config(ca, own).map_err(|error| error.to_string())?;
        let host = address.rsplit_once(':').map_or(address, |parts| parts.0);
        let name = self.tls_name.as_deref().unwrap_or(host);
        let name = name.trim_start_matches('[').trim_end_matches(']');
        let server = ServerName::try_from(name.to_owned())
            .map_err(|_| format!("speak TLS: {name:?} is not a name of a certificate"))?;
        Ok(Some(TlsPlan { config, server }))
    }
}

/// A client's certificates and the name that it wants to see.
#[derive(Debug, Clone)]
pub struct TlsPlan {
    config: Arc<ClientConfig>,
    server: ServerName<'static>,
}

/// A connection, in the clear or over TLS. Over a socket that does not block neither does this.
#[derive(Debug)]
pub(super) struct Wire<S> {
    socket: S,
    tls: Option<Box<ClientConnection>>,
}

impl<S: Read + Write> Wire<S> {
    /// Shakes hands over a socket that blocks, where TLS is wanted.
    pub(super) fn open(mut socket: S, plan: Option<&TlsPlan>) -> io::Result<Wire<S>> {
        let Some(plan) = plan else {
            return Ok(Wire { socket, tls: None });
        };
        let connection = ClientConnection::new(Arc::clone(&plan.config), plan.server.clone());
        let mut connection = connection.map_err(io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        Ok(Wire {
            socket,
            tls: Some(Box::new(connection)),
        })
    }

    /// The socket, for whoever waits for it.
    pub(super) fn socket(&mut self) -> &mut S {
        &mut self.socket
    }

    /// The same over another form of the socket.
    pub(super) fn over<T>(self, form: impl FnOnce(S) -> io::Result<T>) -> io::Result<Wire<T>> {
        Ok(Wire {
            socket: form(self.socket)?,
            tls: self.tls,
        })
    }

    /// Whether a read that fills less than its room has taken everything there was.
    pub(super) fn short_read_is_all(&self) -> bool {
        self.tls.is_none()
    }
}

impl<S: Read + Write> Read for Wire<S> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.socket.read(room);
        };
        loop {
            match tls.reader().read(room) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                read => return read,
            }
            if tls.read_tls(&mut self.socket)? == 0 {
                return Ok(0);
            }
            let processed = tls.process_new_packets();
            if processed.is_err() {
                // It may still be told why; what matters is what is returned.
                let _ = tls.write_tls(&mut self.socket);
            }
            processed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        }
    }
}

impl<S: Read + Write> Write for Wire<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.socket.write(bytes);
        };
        // What is held back goes first, or it would grow.
        while tls.wants_write() {
            tls.write_tls(&mut self.socket)?;
        }
        let size = tls.writer().write(bytes)?;
        while tls.wants_write() {
            match tls.write_tls(&mut self.socket) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                written => written?,
            };
        }
        Ok(size)
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                tls.write_tls(&mut self.socket)?;
            }
        }
        self.socket.flush()
    }
}
