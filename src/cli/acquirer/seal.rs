//! Authentication codes of the simulator's messages (DE 64, DE 128): made with a test key, and the
//! switch's judged with it.

use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use clap::{Args, ValueEnum};
use toml::{Table, Value as Toml};

use crate::crypto::hsm::{Hsm, MacOver, MacScheme, Verdict};
use crate::crypto::mac::Padding;
use crate::crypto::software::{KeyTerms, SoftwareHsm};
use crate::iso8583::{
    AuthenticationCode, CodePlace, EncodeError, Message, MessageSpec, MessageWriter,
    is_place_of_code,
};

use super::scenario::Mistakes;

/// How codes are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MacAlgorithm {
    /// Retail MAC, filled with zeros (ANSI X9.19).
    #[value(name = "x9.19")]
    Retail,
    /// The same, filled with one bit and zeros.
    #[value(name = "x9.19-bit")]
    RetailBit,
    /// CMAC under TDES.
    #[value(name = "cmac")]
    Cmac,
    /// CMAC under AES.
    #[value(name = "aes-cmac")]
    AesCmac,
}

/// How the simulator authenticates its messages.
#[derive(Debug, Clone, Args)]
pub(super) struct MacArgs {
    /// Authenticate every message with this test key, and judge every answer
    #[arg(long, value_name = "HEX")]
    mac_key: Option<String>,
    /// How codes are made
    #[arg(
        long,
        value_name = "NAME",
        default_value = "x9.19",
        requires = "mac_key"
    )]
    mac_algorithm: MacAlgorithm,
}

impl MacArgs {
    /// The key, where one was given.
    pub(super) fn key(&self) -> Result<Option<MacKey>, String> {
        let key = self.mac_key.as_deref();
        key.map(|digits| MacKey::new(self.mac_algorithm, digits))
            .transpose()
    }
}

/// A test key and what is done with it.
#[derive(Clone)]
pub struct MacKey {
    hsm: Arc<SoftwareHsm>,
    scheme: MacScheme,
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(withheld)")
    }
}

/// Its name among keys.
const NAME: &str = "mac";

impl MacKey {
    /// A key of hexadecimal digits.
    ///
    /// # Errors
    /// They are none; in words, without them.
    pub fn new(algorithm: MacAlgorithm, digits: &str) -> Result<MacKey, String> {
        let (scheme, usage) = match algorithm {
            MacAlgorithm::Retail => (MacScheme::Retail(Padding::Zeros), "M3"),
            MacAlgorithm::RetailBit => (MacScheme::Retail(Padding::OneThenZeros), "M3"),
            MacAlgorithm::Cmac | MacAlgorithm::AesCmac => (MacScheme::Cmac, "M6"),
        };
        let bytes = base16ct::mixed::decode_vec(digits)
            .map_err(|_| "take the MAC key: expected hexadecimal digits".to_owned())?;
        let hsm = SoftwareHsm::new(|_| false);
        let terms = KeyTerms {
            name: NAME.to_owned(),
            usage: usage.to_owned(),
            version: "00".to_owned(),
            mode: b'N',
            is_exportable: false,
        };
        hsm.add(terms, &bytes, algorithm == MacAlgorithm::AesCmac)
            .map_err(|error| format!("take the MAC key: {error}"))?;
        let hsm = Arc::new(hsm);
        Ok(MacKey { hsm, scheme })
    }

    /// Reads `[mac]` of a scenario: key and algorithm.
    pub(super) fn parse(table: &Table, mistakes: &mut Mistakes) -> Option<MacKey> {
        const KEYS: [&str; 2] = ["key", "algorithm"];
        for key in table.keys().filter(|key| !KEYS.contains(&key.as_str())) {
            mistakes.add("mac", format!("{key}: expected one of {}", KEYS.join(", ")));
        }
        let text = |key: &str| table.get(key).and_then(Toml::as_str);
        let algorithm = text("algorithm").and_then(|name| MacAlgorithm::from_str(name, false).ok());
        let key = text("key").zip(algorithm);
        match key.map(|(digits, algorithm)| MacKey::new(algorithm, digits)) {
            Some(Ok(key)) => Some(key),
            Some(Err(reason)) => {
                mistakes.add("mac", reason);
                None
            }
            None => {
                let names = MacAlgorithm::value_variants().iter();
                let names: Vec<String> = names
                    .filter_map(|it| Some(it.to_possible_value()?.get_name().to_owned()))
                    .collect();
                let expected = "expected key, hexadecimal digits, and algorithm, one of";
                mistakes.add("mac", format!("{expected} {}", names.join(", ")));
                None
            }
        }
    }

    /// The code of a message.
    pub(super) fn code(&self, covered: &[u8]) -> [u8; 8] {
        // A key that was taken can be used.
        self.hsm.make_mac(&self.over(covered)).unwrap_or_default()
    }

    /// Whether a message has its code.
    pub(super) fn is_right(&self, message: &Message) -> bool {
        message
            .authentication_code()
            .is_some_and(|AuthenticationCode { covered, code }| {
                self.hsm.verify_mac(&self.over(covered), &code) == Ok(Verdict::Right)
            })
    }

    /// Whether a message ends with its code, from this place on: bytes, or their digits.
    pub(super) fn ends(&self, message: &[u8], covered: Option<usize>) -> bool {
        let parts = covered.and_then(|at| message.split_at_checked(at));
        parts.is_some_and(|(covered, came)| {
            let code = self.code(covered);
            came == code || came == base16ct::upper::encode_string(&code).as_bytes()
        })
    }

    fn over<'a>(&self, message: &'a [u8]) -> MacOver<'a> {
        MacOver {
            key: NAME,
            scheme: self.scheme,
            message,
        }
    }

    /// Puts the code of a message into its place.
    pub(super) fn fill(&self, place: &CodePlace, message: &mut [u8]) {
        let code = self.code(place.covered(message));
        place.fill(&code, message);
    }

    /// The message with its code in place of one that it has; somebody else's when `is_wrong`.
    pub(super) fn sealed(
        &self,
        spec: &MessageSpec,
        message: &Message,
        is_wrong: bool,
    ) -> Result<Bytes, EncodeError> {
        let mut out = BytesMut::new();
        let place = rewritten(spec, message, &mut out)?.finish_with_code()?;
        let code = self.code(place.covered(&out));
        let code = if is_wrong {
            code.map(|byte| !byte)
        } else {
            code
        };
        place.fill(&code, &mut out);
        Ok(out.freeze())
    }
}

/// The message without its code.
pub(super) fn without_code(spec: &MessageSpec, message: &Message) -> Result<Bytes, EncodeError> {
    let mut out = BytesMut::new();
    rewritten(spec, message, &mut out)?.finish()?;
    Ok(out.freeze())
}

fn rewritten<'s, 'b>(
    spec: &'s MessageSpec,
    message: &Message,
    out: &'b mut BytesMut,
) -> Result<MessageWriter<'s, 'b>, EncodeError> {
    let mut writer = MessageWriter::begin(spec, message.mti(), out);
    for element in message.elements().filter(|it| !is_place_of_code(*it)) {
        writer.copy(message, element)?;
    }
    Ok(writer)
}

/// The authentication code of one step's message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum StepMac {
    /// Its own, where the scenario has a key.
    #[default]
    Right,
    /// Somebody else's.
    Wrong,
    /// None.
    Absent,
}

impl StepMac {
    /// Reads `mac` of a step.
    pub(super) fn parse(table: &Table, place: &str, mistakes: &mut Mistakes) -> StepMac {
        match table.get("mac").map(Toml::as_str) {
            None => StepMac::Right,
            Some(Some("wrong")) => StepMac::Wrong,
            Some(Some("none")) => StepMac::Absent,
            Some(_) => {
                mistakes.add(place, "mac: expected \"wrong\" or \"none\"");
                StepMac::Right
            }
        }
    }
}
