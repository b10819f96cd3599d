//! TLS of the doors: certificates from files, read again without touching open connections.
//!
//! Versions 1.2 and 1.3, with forward secrecy and authenticated ciphers only. No session is
//! resumed: links live long, and a certificate that was revoked or replaced counts from the next
//! handshake on. A handshake takes the certificates that are in force when it begins.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::asn1::{PrintableStringRef, Utf8StringRef};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use zeroize::{Zeroize, Zeroizing};

use crate::domain::time::UnixMs;

use super::clock;

/// How often the files are looked at. Whoever renews certificates need not tell us.
const WATCH_EVERY: Duration = Duration::from_secs(10);
/// How long before its end a certificate is complained about.
const EXPIRY_WARNING_MS: i64 = 30 * 24 * 60 * 60 * 1_000;
/// A certificate's name for what it was made for (X.520 common name).
const SUBJECT_NAME: &str = "2.5.4.3";

/// The files of one door, all PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Our certificate, and those between it and the root that peers know.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Who signs the certificates of clients; `None`: clients need none.
    pub client_ca: Option<PathBuf>,
    /// Which of those were revoked.
    pub client_crl: Option<PathBuf>,
}

/// The files of a door cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or does not hold what it should.
    #[error("TLS {role} {}: {what}", path.display())]
    File {
        /// What the file is for.
        role: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong; never its content.
        what: String,
    },
    /// The private key belongs to another certificate.
    #[error("TLS key {}: it is not the key of {}", key.display(), certificate.display())]
    OtherKey {
        /// The key file.
        key: PathBuf,
        /// The certificate file.
        certificate: PathBuf,
    },
    /// What the files hold does not go together.
    #[error("TLS: {0}")]
    Together(String),
}

/// A connection that did not become one.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// It took too long.
    #[error("no TLS handshake within {0} ms")]
    Late(u128),
    /// Not TLS at all.
    #[error("this door speaks TLS and the peer does not")]
    NotTls,
    /// The peer's certificate, its version, the socket.
    #[error("TLS handshake: {0}")]
    Failed(std::io::Error),
    /// The certificate is good, and of nobody that the door knows.
    #[error("no client of this door has the certificate of {0:?}")]
    Stranger(String),
}

/// Shakes hands.
///
/// # Errors
/// [`HandshakeError`] says why there is no connection.
pub async fn handshake(
    door: &TlsDoor,
    stream: TcpStream,
    limit: Duration,
) -> Result<TlsStream<TcpStream>, HandshakeError> {
    let shaken = tokio::time::timeout(limit, door.acceptor().accept(stream)).await;
    let shaken = shaken.map_err(|_| HandshakeError::Late(limit.as_millis()))?;
    shaken.map_err(|error| {
        let cause = error.get_ref().and_then(|it| it.downcast_ref());
        match cause {
            Some(rustls::Error::InvalidMessage(_)) => HandshakeError::NotTls,
            _ => HandshakeError::Failed(error),
        }
    })
}

/// What tells one state of a file from the next.
type Stamp = Option<(i64, i64, u64, u64)>;

/// The certificates of one door.
pub struct TlsDoor {
    name: String,
    files: TlsFiles,
    state: RwLock<State>,
}

struct State {
    config: Arc<ServerConfig>,
    valid_until: UnixMs,
    /// The files when they were last tried.
    tried: Vec<Stamp>,
}

impl TlsDoor {
    /// Reads the files of a door.
    ///
    /// # Errors
    /// [`TlsError`] names the file and what is wrong with it.
    pub fn open(name: &str, files: &TlsFiles) -> Result<TlsDoor, TlsError> {
        let tried = files.stamps();
        let (config, valid_until) = files.load()?;
        let door = TlsDoor {
            name: name.to_owned(),
            files: files.clone(),
            state: RwLock::new(State {
                config,
                valid_until,
                tried,
            }),
        };
        door.warn_of_expiry();
        Ok(door)
    }

    /// For the next handshake.
    pub fn acceptor(&self) -> TlsAcceptor {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&state.config))
    }

    /// Until when our certificate is valid.
    pub fn valid_until(&self) -> UnixMs {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.valid_until
    }

    /// Reads the files again. Open connections stay as they are; with a mistake in any file the
    /// next ones do too.
    ///
    /// # Errors
    /// [`TlsError`]; what was in force is.
    pub fn reload(&self) -> Result<(), TlsError> {
        let tried = self.files.stamps();
        let loaded = self.files.load();
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.tried = tried;
        let (config, valid_until) = loaded?;
        state.config = config;
        state.valid_until = valid_until;
        Ok(())
    }

    /// Reads the files again if they are others than those tried last; whether they are.
    ///
    /// # Errors
    /// As [`TlsDoor::reload`].
    pub fn reload_if_changed(&self) -> Result<bool, TlsError> {
        let now = self.files.stamps();
        let unchanged = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            state.tried == now
        };
        if unchanged {
            return Ok(false);
        }
        self.reload().map(|()| true)
    }

    fn warn_of_expiry(&self) {
        let left_ms = self.valid_until().0.saturating_sub(clock::now().0);
        if left_ms < EXPIRY_WARNING_MS {
            tracing::warn!(
                door = self.name,
                certificate = %self.files.certificate.display(),
                valid_until = %self.valid_until(),
                "the certificate of a door ends soon, or has ended"
            );
        }
    }

    fn tell(&self, reloaded: Result<(), TlsError>) {
        match reloaded {
            Ok(()) => {
                tracing::info!(door = self.name, valid_until = %self.valid_until(),
                    "certificates reloaded");
                self.warn_of_expiry();
            }
            Err(error) => tracing::error!(door = self.name, %error,
                "certificates not reloaded; nothing has changed"),
        }
    }
}

/// Every door that speaks TLS.
#[derive(Clone, Default)]
pub struct TlsDoors(Arc<Vec<Arc<TlsDoor>>>);

impl TlsDoors {
    /// These.
    pub fn new(doors: Vec<Arc<TlsDoor>>) -> TlsDoors {
        TlsDoors(Arc::new(doors))
    }

    /// Reads all files again, and logs what came of it.
    pub fn reload(&self) {
        for door in self.0.iter() {
            door.tell(door.reload());
        }
    }

    /// Reads again what has changed, now and then, until `stopping` says so.
    pub(super) async fn watch(self, mut stopping: watch::Receiver<bool>) {
        if self.0.is_empty() {
            return;
        }
        let mut every = tokio::time::interval(WATCH_EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = every.tick() => {}
                _ = stopping.changed() => return,
            }
            for door in self.0.iter() {
                match door.reload_if_changed() {
                    Ok(false) => {}
                    Ok(true) => door.tell(Ok(())),
                    Err(error) => door.tell(Err(error)),
                }
            }
        }
    }
}

impl TlsFiles {
    fn paths(&self) -> impl Iterator<Item = &Path> {
        let of_clients = self.client_ca.iter().chain(&self.client_crl);
        [&self.certificate, &self.key]
            .into_iter()
            .chain(of_clients)
            .map(PathBuf::as_path)
    }

    fn stamps(&self) -> Vec<Stamp> {
        let stamp = |path: &Path| {
            let found = fs::metadata(path).ok()?;
            Some((found.mtime(), found.mtime_nsec(), found.size(), found.ino()))
        };
        self.paths().map(stamp).collect()
    }

    fn load(&self) -> Result<(Arc<ServerConfig>, UnixMs), TlsError> {
        let together = |error: &dyn std::fmt::Display| TlsError::Together(error.to_string());
        let key = certified(&self.certificate, &self.key)?;
        let valid_until = key.cert.first().and_then(valid_until);
        let valid_until = valid_until
            .ok_or_else(|| wrong("certificate", &self.certificate, "it cannot be read"))?;
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| together(&error))?;
        let config = match &self.client_ca {
            None => config.with_no_client_auth(),
            Some(path) => {
                let roots = Arc::new(roots("client_ca", path)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                    .with_crls(self.revoked()?)
                    .only_check_end_entity_revocation()
                    .build()
                    .map_err(|error| together(&error))?;
                config.with_client_cert_verifier(verifier)
            }
        };
        let mut config = config.with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok((Arc::new(config), valid_until))
    }

    fn revoked(&self) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
        let Some(path) = &self.client_crl else {
            return Ok(Vec::new());
        };
        let read = read("client_crl", path)?;
        let lists = CertificateRevocationListDer::pem_slice_iter(&read).collect::<Result<_, _>>();
        let lists: Vec<_> =
            lists.map_err(|error| wrong("client_crl", path, &format!("{error:?}")))?;
        if lists.is_empty() {
            return Err(wrong(
                "client_crl",
                path,
                "it holds no revocation list in PEM",
            ));
        }
        Ok(lists)
    }
}

/// TLS of a client of ours: whom it trusts, and what it shows where it is asked.
///
/// # Errors
/// [`TlsError`] names the file and what is wrong with it.
pub fn client_config(
    ca: &Path,
    own: Option<(&Path, &Path)>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|error| TlsError::Together(error.to_string()))?
        .with_root_certificates(roots("ca", ca)?);
    Ok(Arc::new(match own {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => {
            let own = certified(certificate, key)?;
            config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own)))
        }
    }))
}

/// A certificate with the key that belongs to it.
fn certified(certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let own = CertifiedKey::new(certificates("certificate", certificate)?, private_key(key)?);
    own.keys_match().map_err(|_| TlsError::OtherKey {
        key: key.to_path_buf(),
        certificate: certificate.to_path_buf(),
    })?;
    Ok(own)
}

fn roots(role: &'static str, path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for root in certificates(role, path)? {
        let added = roots.add(root);
        added.map_err(|error| wrong(role, path, &error.to_string()))?;
    }
    Ok(roots)
}

fn wrong(role: &'static str, path: &Path, what: &str) -> TlsError {
    TlsError::File {
        role,
        path: path.to_path_buf(),
        what: what.to_owned(),
    }
}

fn read(role: &'static str, path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let read = fs::read(path).map_err(|error| wrong(role, path, &error.to_string()))?;
    Ok(Zeroizing::new(read))
}

fn certificates(role: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = read(role, path)?;
    let found = CertificateDer::pem_slice_iter(&read).collect::<Result<Vec<_>, _>>();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) | Err(_) => Err(wrong(role, path, "it holds no certificate in PEM")),
    }
}

/// The key for signatures; what was read of it is wiped.
fn private_key(path: &Path) -> Result<Arc<dyn rustls::sign::SigningKey>, TlsError> {
    let read = read("key", path)?;
    let mut der = PrivateKeyDer::from_pem_slice(&read)
        .map_err(|_| wrong("key", path, "it holds no private key in PEM"))?;
    let key = ring::sign::any_supported_type(&der);
    der.zeroize();
    key.map_err(|_| wrong("key", path, "neither RSA, ECDSA (P-256, P-384) nor Ed25519"))
}

fn valid_until(certificate: &CertificateDer<'_>) -> Option<UnixMs> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let until = certificate.tbs_certificate.validity.not_after;
    let ms = until.to_unix_duration().as_millis();
    i64::try_from(ms).ok().map(UnixMs)
}

/// For whom a client's certificate was made: its alternative names (DNS, URI); in a certificate
/// without any the common name of its subject.
pub fn names_of(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(certificate) = Certificate::from_der(certificate) else {
        return Vec::new();
    };
    let certificate = certificate.tbs_certificate;
    let alternative = certificate.get::<SubjectAltName>();
    if let Ok(Some((_, SubjectAltName(names)))) = alternative {
        let text = |name: GeneralName| match name {
            GeneralName::DnsName(name) => Some(name.as_str().to_owned()),
            GeneralName::UniformResourceIdentifier(name) => Some(name.as_str().to_owned()),
            _ => None,
        };
        let names: Vec<String> = names.into_iter().filter_map(text).collect();
        if !names.is_empty() {
            return names;
        }
    }
    let parts = certificate.subject.0.iter().flat_map(|part| part.0.iter());
    parts
        .filter(|part| part.oid.to_string() == SUBJECT_NAME)
        .filter_map(|part| {
            let utf8 = part.value.decode_as::<Utf8StringRef<'_>>();
            let text = utf8.map(|text| text.as_str().to_owned());
            text.or_else(|_| {
                let printable = part.value.decode_as::<PrintableStringRef<'_>>();
                printable.map(|text| text.as_str().to_owned())
            })
            .ok()
        })
        .collect()
}
