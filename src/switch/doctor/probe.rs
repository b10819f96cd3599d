//! Callers that never wanted to speak ISO 8583: TLS, HTTP, health checks.

use std::fmt;

/// What a caller is when it is no peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// It sent nothing, as a load balancer's check of a port does.
    Silent,
    /// The start of a TLS handshake.
    TlsHello,
    /// An HTTP request.
    Http,
    /// The line or header that a proxy puts before a connection.
    ProxyProtocol,
    /// The greeting of SSH.
    Ssh,
    /// Nothing but zeros.
    Zeros,
    /// One short line of text, as a person or a health check types it.
    TextLine,
}

/// First bytes that say who is there.
const OPENINGS: &[(&[u8], Probe)] = &[
    (b"GET ", Probe::Http),
    (b"HEAD ", Probe::Http),
    (b"POST ", Probe::Http),
    (b"PUT ", Probe::Http),
    (b"DELETE ", Probe::Http),
    (b"OPTIONS ", Probe::Http),
    (b"CONNECT ", Probe::Http),
    (b"PRI * HTTP/2", Probe::Http),
    (b"PROXY ", Probe::ProxyProtocol),
    (b"\r\n\r\n\0\r\nQUIT\n", Probe::ProxyProtocol),
    (b"SSH-", Probe::Ssh),
    (&[0x16, 0x03, 0x00], Probe::TlsHello),
    (&[0x16, 0x03, 0x01], Probe::TlsHello),
    (&[0x16, 0x03, 0x02], Probe::TlsHello),
    (&[0x16, 0x03, 0x03], Probe::TlsHello),
];
/// Bytes of the longest line that counts as typed.
const LINE_BYTES_MAX: usize = 64;

impl Probe {
    /// Who opens a connection with these bytes, when it is no peer.
    #[must_use]
    pub fn of(start: &[u8]) -> Option<Self> {
        let opening = OPENINGS.iter().find(|(bytes, _)| start.starts_with(bytes));
        if let Some((_, probe)) = opening {
            return Some(*probe);
        }
        if start.is_empty() {
            return Some(Self::Silent);
        }
        if start.iter().all(|byte| *byte == 0) {
            return Some(Self::Zeros);
        }
        let is_text = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
        (start.len() <= LINE_BYTES_MAX && start.ends_with(b"\n") && start.iter().all(is_text))
            .then_some(Self::TextLine)
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silent => "peer sent nothing: a health check, or a peer that waits",
            Self::TlsHello => "peer speaks TLS, this is plain TCP",
            Self::Http => "peer speaks HTTP, not ISO 8583: a browser or a health check",
            Self::ProxyProtocol => "peer is a proxy that announces its client (PROXY protocol)",
            Self::Ssh => "peer speaks SSH, not ISO 8583",
            Self::Zeros => "peer sends only zeros: keep-alives, or a health check",
            Self::TextLine => "peer sent one line of text: a person or a health check",
        })
    }
}
