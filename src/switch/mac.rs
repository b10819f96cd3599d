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

/// Name of the key that the answer to a message is authenticated with.
pub type Seal = Arc<str>;

/// What is authenticated on a link, and with what.
pub struct LinkMac {
    hsm: Arc<dyn Hsm>,
    scheme: MacScheme,
    is_required: bool,
    key: Seal,
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
    pub fn new(hsm: Arc<dyn Hsm>, config: &MacConfig) -> Result<LinkMac, String> {
        let expected = match config.scheme {
            MacScheme::Retail(_) => "M3",
            MacScheme::Cmac => "M6",
        };
        let keys = hsm.keys();
        match keys.iter().find(|note| note.name == config.key) {
            None => Err(format!("mac: there is no key {}", config.key)),
            Some(note) if note.usage != expected => Err(format!(
                "mac: key {}: expected one of usage {expected}, got {}",
                config.key, note.usage
            )),
            Some(_) => Ok(LinkMac {
                hsm,
                scheme: config.scheme,
                is_required: config.is_required,
                key: config.key.as_str().into(),
            }),
        }
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
        let over = self.over(&self.key, came.covered);
        match self.hsm.verify_mac(&over, &came.code) {
            Ok(Verdict::Right) => Ok(Some(Arc::clone(&self.key))),
            Ok(Verdict::Wrong) => Err(Unproven::Wrong),
            Err(error) => Err(Unproven::Unjudged(error.to_string())),
        }
    }

    /// Whether a message without a code is refused.
    pub fn is_required(&self) -> bool {
        self.is_required
    }

    /// The key for answers to messages that proved nothing.
    pub fn own_seal(&self) -> Seal {
        Arc::clone(&self.key)
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
