//! Message authentication codes (MAC) of a link: judged on what comes, made on what goes.
//!
//! DE 64, or DE 128 behind elements beyond DE 64, is made over everything that goes before it, from
//! the message type on. Whoever keeps the keys (`crypto/hsm.rs`) is asked. An answer has a code
//! under the key that its request was authenticated with.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::crypto::hsm::{Hsm, HsmError, MacBytes, MacOver, MacScheme, Verdict};
use crate::domain::decision::Reason;
use crate::iso8583::{CodePlace, Message};

use super::config::MacConfig;
use super::dialect::request::Reject;
use super::link_keys::{LinkKey, LinkKeysError};

/// Name of the key that the answer to a message is authenticated with.
pub type Seal = Arc<str>;

/// What is authenticated on a link, and with what.
pub struct LinkMac {
    hsm: Arc<dyn Hsm>,
    scheme: MacScheme,
    is_required: bool,
    base: String,
    key: Arc<LinkKey>,
}

/// A message that is not proven to be the peer's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unproven {
    /// It has no code behind its last element.
    Missing,
    /// Its code is another one.
    Wrong,
    /// Its code was not judged; why not.
    Unjudged(String),
}

impl Unproven {
    /// How the message is refused.
    pub(super) fn reject(self) -> Reject {
        let (reason, evidence) = match self {
            Unproven::Missing => (
                Reason::MacWrong,
                "it does not end with an authentication code (DE 64, DE 128)".to_owned(),
            ),
            Unproven::Wrong => (
                Reason::MacWrong,
                "its authentication code is another one".to_owned(),
            ),
            Unproven::Unjudged(why) => (
                Reason::MacUnavailable,
                format!("its authentication code was not judged: {why}"),
            ),
        };
        Reject { reason, evidence }
    }
}

fn usage_of(scheme: MacScheme) -> &'static str {
    match scheme {
        MacScheme::Retail(_) => "M3",
        MacScheme::Cmac => "M6",
    }
}

/// Whether a key is there and for this, one of several usages separated by " or ".
///
/// # Errors
/// It is not; in words, with the key of the configuration that names it.
pub(super) fn expect_key(hsm: &dyn Hsm, at: &str, name: &str, usages: &str) -> Result<(), String> {
    let keys = hsm.keys();
    match keys.iter().find(|note| note.name == name) {
        None => Err(format!("{at}: there is no key {name}")),
        Some(note) if usages.split(" or ").all(|usage| usage != note.usage) => Err(format!(
            "{at}: key {name}: expected one of usage {usages}, got {}",
            note.usage
        )),
        Some(_) => Ok(()),
    }
}

/// An answer that is whole but for its authentication code.
pub struct Unsealed {
    /// Transport header of the request.
    pub header: Bytes,
    /// The answer.
    pub body: BytesMut,
    /// Where the code goes.
    pub place: CodePlace,
}

impl LinkMac {
    /// What a link's configuration says, with whoever keeps the keys.
    ///
    /// # Errors
    /// No such key is there, or it is for something else.
    pub fn new(
        hsm: Arc<dyn Hsm>,
        config: &MacConfig,
        key_of: impl FnOnce(&str) -> Result<Arc<LinkKey>, LinkKeysError>,
    ) -> Result<LinkMac, String> {
        expect_key(&*hsm, "mac", &config.key, usage_of(config.scheme))?;
        Ok(LinkMac {
            scheme: config.scheme,
            is_required: config.is_required,
            base: config.key.clone(),
            key: key_of(&config.key).map_err(|error| error.to_string())?,
            hsm,
        })
    }

    /// Name of its key in the configuration.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The key that it has now.
    pub fn key(&self) -> &Arc<LinkKey> {
        &self.key
    }

    /// What its key is for: two characters of ANSI X9.143.
    pub fn usage(&self) -> &'static str {
        usage_of(self.scheme)
    }

    /// Whether a message is the peer's; what its answer is authenticated with, where it had a code.
    ///
    /// # Errors
    /// It is not proven to be.
    pub fn judge(&self, message: &Message) -> Result<Option<Seal>, Unproven> {
        let Some(came) = message.authentication_code() else {
            return match self.is_required {
                true => Err(Unproven::Missing),
                false => Ok(None),
            };
        };
        let is_right = |key: &Seal| {
            let over = self.over(key, came.covered);
            match self.hsm.verify_mac(&over, &came.code) {
                Ok(verdict) => Ok(verdict == Verdict::Right),
                Err(error) => Err(Unproven::Unjudged(error.to_string())),
            }
        };
        let current = self.key.current();
        if is_right(&current)? {
            return Ok(Some(current));
        }
        match self.key.previous() {
            Some(previous) if is_right(&previous)? => Ok(Some(previous)),
            Some(_) | None => Err(Unproven::Wrong),
        }
    }

    /// Whether a message without a code is refused.
    pub fn is_required(&self) -> bool {
        self.is_required
    }

    /// The key for answers to messages that proved nothing.
    pub fn own_seal(&self) -> Seal {
        self.key.current()
    }

    /// The code of an answer.
    ///
    /// # Errors
    /// Whoever keeps the key made none.
    pub fn make(&self, seal: &Seal, covered: &[u8]) -> Result<MacBytes, HsmError> {
        self.hsm.make_mac(&self.over(seal, covered))
    }

    /// Puts the code into an answer.
    ///
    /// # Errors
    /// As [`LinkMac::make`].
    pub fn seal(&self, seal: &Seal, unsealed: &mut Unsealed) -> Result<(), HsmError> {
        let code = self.make(seal, unsealed.place.covered(&unsealed.body))?;
        unsealed.place.fill(&code, &mut unsealed.body);
        Ok(())
    }

    fn over<'a>(&self, key: &'a str, message: &'a [u8]) -> MacOver<'a> {
        MacOver {
            key,
            scheme: self.scheme,
            message,
        }
    }
}
