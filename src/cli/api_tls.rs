//! TLS towards the operators' API, as the environment says.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use ureq::tls::{
    Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, TlsProvider, parse_pem,
};
use zeroize::Zeroizing;

use super::import::Failed;

/// The environment variable with a file of who signs the API's certificate; with it `https` is
/// spoken.
pub(super) const CA_VARIABLE: &str = "CARDSWITCH_ADMIN_CA";
/// The one with a file of the certificate to show the API.
const CERTIFICATE_VARIABLE: &str = "CARDSWITCH_ADMIN_CERTIFICATE";
/// The one with a file of its private key.
const KEY_VARIABLE: &str = "CARDSWITCH_ADMIN_KEY";

/// Whether the API is to be asked over TLS.
pub(super) fn is_wanted() -> bool {
    path_in(CA_VARIABLE).is_some()
}

/// TLS towards the API; `None`: in the clear.
pub(super) fn config() -> Result<Option<TlsConfig>, Failed> {
    let Some(ca) = path_in(CA_VARIABLE) else {
        return Ok(None);
    };
    let roots = RootCerts::new_with_certs(&certificates(&ca)?);
    let own = match (path_in(CERTIFICATE_VARIABLE), path_in(KEY_VARIABLE)) {
        (Some(certificate), Some(key)) => {
            let key = PrivateKey::from_pem(&read(&key)?).map_err(|_| wrong(&key, "private key"))?;
            Some(ClientCert::new_with_certs(
                &certificates(&certificate)?,
                key,
            ))
        }
        (None, None) => None,
        _ => {
            let what = format!("{CERTIFICATE_VARIABLE} and {KEY_VARIABLE}: one of them is not set");
            return Err((78, what));
        }
    };
    let config = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .root_certs(roots)
        .client_cert(own);
    Ok(Some(config.build()))
}

fn path_in(variable: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).map(PathBuf::from);
    path.filter(|path| !path.as_os_str().is_empty())
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failed> {
    let read = std::fs::read(path).map(Zeroizing::new);
    read.map_err(|error| (66, format!("read {}: {error}", path.display())))
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, Failed> {
    let text = read(path)?;
    let items = parse_pem(&text).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    match items.collect::<Vec<_>>() {
        found if found.is_empty() => Err(wrong(path, "certificate")),
        found => Ok(found),
    }
}

fn wrong(path: &Path, what: &str) -> Failed {
    (78, format!("{}: it holds no {what} in PEM", path.display()))
}
