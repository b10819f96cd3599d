//! Certificates that tests make when they run: authorities, servers, clients, revocation lists.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cardswitch::iso8583::{self, Message, MessageSpec};
use cardswitch::switch::config::ListenerTls;
use cardswitch::switch::tls::TlsFiles;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};

use crate::support::{Draft, text};

/// The name of the switch in its certificates.
pub(crate) const SWITCH: &str = "switch.example";
/// Long enough for the slowest machine; nothing waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who signs.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    directory: PathBuf,
}

/// A certificate and its key, as files.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// What is special about a certificate.
#[derive(Clone, Copy, Default)]
pub(crate) struct Special {
    /// Its time is over.
    pub(crate) expired: bool,
    /// It has a common name and no alternative name.
    pub(crate) by_subject: bool,
    /// Its serial number, for a revocation list.
    pub(crate) serial: u64,
}

impl Authority {
    /// A new one, which writes into this folder.
    pub(crate) fn new(name: &str, directory: &Path) -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).unwrap().pem();
        let directory = directory.join(name);
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("ca.pem"), &certificate).unwrap();
        Authority {
            issuer: Issuer::new(params, key),
            certificate,
            directory,
        }
    }

    /// The file of its own certificate.
    pub(crate) fn file(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// A certificate for this name.
    pub(crate) fn signs(&self, name: &str) -> Pair {
        self.signs_special(name, name, Special::default())
    }

    /// The same, in files of this name.
    pub(crate) fn signs_special(&self, file: &str, name: &str, special: Special) -> Pair {
        let key = KeyPair::generate().unwrap();
        let names = match special.by_subject {
            true => Vec::new(),
            false => vec![name.to_owned()],
        };
        let mut params = CertificateParams::new(names).unwrap();
        let subject = match special.by_subject {
            true => name,
            false => "somebody else",
        };
        params.distinguished_name.push(DnType::CommonName, subject);
        params.serial_number = Some(SerialNumber::from(special.serial));
        params.use_authority_key_identifier_extension = true;
        if special.expired {
            params.not_after = date_time_ymd(2020, 1, 1);
        }
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let pair = Pair {
            certificate: self.directory.join(format!("{file}.pem")),
            key: self.directory.join(format!("{file}.key")),
        };
        fs::write(&pair.certificate, certificate.pem()).unwrap();
        fs::write(&pair.key, key.serialize_pem()).unwrap();
        pair
    }

    /// A file that says that this serial number was revoked.
    pub(crate) fn revokes(&self, serial: u64) -> PathBuf {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(4000, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let path = self.directory.join("revoked.pem");
        let list = list.signed_by(&self.issuer).unwrap();
        fs::write(&path, list.pem().unwrap()).unwrap();
        path
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        let own = CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap();
        roots.add(own).unwrap();
        roots
    }
}

/// TLS of a listener with this certificate, and clients of this authority if one is given.
pub(crate) fn door_tls(own: &Pair, clients: Option<&Authority>) -> ListenerTls {
    ListenerTls {
        files: TlsFiles {
            certificate: own.certificate.clone(),
            key: own.key.clone(),
            client_ca: clients.map(Authority::file),
            client_crl: None,
        },
        clients: Vec::new(),
    }
}

/// A client of `be2` and `iso87-ascii` over TLS.
pub(crate) struct Caller {
    stream: StreamOwned<ClientConnection, TcpStream>,
}

/// How a caller calls.
pub(crate) struct Call<'a> {
    pub(crate) trusts: &'a Authority,
    pub(crate) shows: Option<&'a Pair>,
    pub(crate) expects: &'a str,
    pub(crate) versions: &'a [&'static SupportedProtocolVersion],
}

impl<'a> Call<'a> {
    /// With every version, expecting the switch.
    pub(crate) fn new(trusts: &'a Authority, shows: Option<&'a Pair>) -> Call<'a> {
        Call {
            trusts,
            shows,
            expects: SWITCH,
            versions: rustls::ALL_VERSIONS,
        }
    }

    /// Connects; handshakes with the first byte.
    pub(crate) fn to(&self, address: SocketAddr) -> Caller {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(self.versions)
            .unwrap()
            .with_root_certificates(self.trusts.roots());
        let config = match self.shows {
            None => config.with_no_client_auth(),
            Some(pair) => {
                let certificate = CertificateDer::from_pem_file(&pair.certificate).unwrap();
                let key = PrivateKeyDer::from_pem_file(&pair.key).unwrap();
                let shown = config.with_client_auth_cert(vec![certificate], key);
                shown.unwrap()
            }
        };
        let name = ServerName::try_from(self.expects.to_owned()).unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Caller {
            stream: StreamOwned::new(connection, socket),
        }
    }
}

impl Caller {
    /// Sends a message and returns its answer.
    pub(crate) fn try_ask(&mut self, draft: &Draft) -> io::Result<Message> {
        let body = draft.bytes("iso87-ascii");
        let size = u16::try_from(body.len()).unwrap();
        let frame = [&size.to_be_bytes(), &body[..]].concat();
        self.stream.write_all(&frame)?;
        let mut size = [0; 2];
        self.stream.read_exact(&mut size)?;
        let mut answer = vec![0; u16::from_be_bytes(size).into()];
        self.stream.read_exact(&mut answer)?;
        let spec = MessageSpec::builtin("iso87-ascii").unwrap();
        Ok(iso8583::decode(spec, answer.into()).unwrap())
    }

    /// The response code to a message.
    pub(crate) fn code(&mut self, draft: &Draft) -> String {
        text(&self.try_ask(draft).unwrap(), 39)
    }

    /// What it is refused with, when it is.
    pub(crate) fn refusal(&mut self) -> Option<io::Error> {
        self.try_ask(&Draft::management(1, "301")).err()
    }

    /// The certificate that the switch showed.
    pub(crate) fn shown(&self) -> Vec<u8> {
        let shown = self.stream.conn.peer_certificates().unwrap();
        shown[0].to_vec()
    }

    /// Sends any bytes and reads all that comes until the end.
    pub(crate) fn exchange(&mut self, bytes: &[u8]) -> io::Result<String> {
        self.stream.write_all(bytes)?;
        let mut all = Vec::new();
        self.stream.read_to_end(&mut all)?;
        Ok(String::from_utf8_lossy(&all).into_owned())
    }
}
