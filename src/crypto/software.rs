//! The software backend of [`Hsm`]: keys in the memory of this process.
//!
//! Not what card schemes call a secure cryptographic device, and it says so in its name. A key has
//! one usage and is refused for every other one; what its name is bound to never changes but by an
//! import.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use zeroize::Zeroizing;

use super::cvv::{self, cvv};
use super::digits::values;
use super::emv::{answer_1, answer_2, card_key};
use super::hsm::{
    Chip, ChipAnswer, ExportKey, Hsm, HsmError, ImportKey, KeyForm, KeyNote, MacBytes, MacOver,
    MacScheme, MakeArpc, NewPinValue, PinBlock, PinMethod, PinSource, PinValue, SetPin,
    TranslatePin, Verdict, VerifyArqc, VerifyCvv, VerifyPin,
};
use super::ibm3624::{self, Offset};
use super::key::{AesKey, BlockKey, TDES_BLOCK, TDES_KEY, TdesKey, with_odd_parity};
use super::key_block::{self, Attributes, ProtectionKey, Version};
use super::mac::{is_right, retail_mac};
use super::pin_block::{Format, Pin, decipher_aes, decipher_as, encipher_aes, encipher_as};
use super::pvv::{self, pvv};

/// Fills bytes at random; false when the system gives none.
pub type Random = fn(&mut [u8]) -> bool;

/// What a key that is handed over may be used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTerms {
    /// What requests call it.
    pub name: String,
    /// Two characters of ANSI X9.143, such as `P0`.
    pub usage: String,
    /// Two digits.
    pub version: String,
    /// Mode of use of ANSI X9.143.
    pub mode: u8,
    /// Whether it may leave under another key.
    pub is_exportable: bool,
}

/// Keys in memory.
pub struct SoftwareHsm {
    keys: RwLock<BTreeMap<String, Arc<Held>>>,
    random: Random,
}

struct Held {
    terms: KeyTerms,
    key: ProtectionKey,
}

impl Held {
    fn check_value(&self) -> [u8; 3] {
        match &self.key {
            ProtectionKey::Tdes(key) => key.check_value(),
            ProtectionKey::Aes(key) => key.check_value(),
        }
    }

    fn note(&self) -> KeyNote {
        KeyNote {
            name: self.terms.name.clone(),
            usage: self.terms.usage.clone(),
            version: self.terms.version.clone(),
            check_value: Some(self.check_value()),
        }
    }

    fn tdes(&self) -> Result<&TdesKey, HsmError> {
        match &self.key {
            ProtectionKey::Tdes(key) => Ok(key),
            ProtectionKey::Aes(_) => Err(HsmError::request("a TDES key is needed for this")),
        }
    }

    fn bytes(&self) -> &[u8] {
        match &self.key {
            ProtectionKey::Tdes(key) => key.bytes(),
            ProtectionKey::Aes(key) => key.bytes(),
        }
    }

    fn algorithm(&self) -> u8 {
        match &self.key {
            ProtectionKey::Tdes(_) => b'T',
            ProtectionKey::Aes(_) => b'A',
        }
    }
}

impl SoftwareHsm {
    /// One without keys; fill and padding of blocks come from `random`.
    pub fn new(random: Random) -> SoftwareHsm {
        SoftwareHsm {
            keys: RwLock::default(),
            random,
        }
    }

    /// Hands a key over: sixteen bytes are TDES unless `is_aes`.
    ///
    /// # Errors
    /// [`HsmError::KeyNotTaken`] for bytes that are no key, and for a name that is taken.
    pub fn add(&self, terms: KeyTerms, bytes: &[u8], is_aes: bool) -> Result<(), HsmError> {
        let key = taken(bytes, is_aes)?;
        let keys = self.keys.write();
        let mut keys = keys.unwrap_or_else(PoisonError::into_inner);
        if keys.contains_key(&terms.name) {
            let detail = "its name is there already".to_owned();
            return Err(HsmError::KeyNotTaken { detail });
        }
        keys.insert(terms.name.clone(), Arc::new(Held { terms, key }));
        Ok(())
    }

    /// The bytes of a key, and whether it is an AES key: for a played device, which keeps keys
    /// outside of itself.
    pub(super) fn surrender(&self, name: &str) -> Option<(Zeroizing<Vec<u8>>, bool)> {
        let key = self.key(name).ok()?;
        let is_aes = matches!(key.key, ProtectionKey::Aes(_));
        Some((Zeroizing::new(key.bytes().to_vec()), is_aes))
    }

    fn key(&self, name: &str) -> Result<Arc<Held>, HsmError> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.get(name).cloned().ok_or_else(|| HsmError::UnknownKey {
            name: name.to_owned(),
        })
    }

    /// A key for one of the usages, which are separated by " or ".
    fn key_for(&self, expected: &'static str, name: &str) -> Result<Arc<Held>, HsmError> {
        let key = self.key(name)?;
        if expected.split(" or ").any(|usage| usage == key.terms.usage) {
            return Ok(key);
        }
        Err(HsmError::KeyUse {
            name: name.to_owned(),
            expected,
            got: key.terms.usage.clone(),
        })
    }

    fn random<const N: usize>(&self) -> Result<[u8; N], HsmError> {
        let mut bytes = [0; N];
        if (self.random)(&mut bytes) {
            return Ok(bytes);
        }
        Err(HsmError::Unreachable {
            detail: "the system gives no randomness".to_owned(),
        })
    }

    fn with_pin<T>(
        &self,
        source: PinSource<'_>,
        then: impl FnOnce(&Pin) -> Result<T, HsmError>,
    ) -> Result<T, HsmError> {
        match source {
            PinSource::Clear(pin) => then(pin),
            PinSource::Block(block) => then(&self.opened(block)?),
        }
    }

    fn opened(&self, block: PinBlock<'_>) -> Result<Pin, HsmError> {
        let key = self.key_for("P0", block.key)?;
        let malformed = |_| HsmError::MalformedPinBlock;
        match (&key.key, block.format) {
            (ProtectionKey::Aes(key), Format::Iso4) => {
                let bytes = block.bytes.try_into().ok();
                let bytes = bytes.ok_or(HsmError::MalformedPinBlock)?;
                decipher_aes(key, bytes, block.pan).map_err(malformed)
            }
            (ProtectionKey::Tdes(key), Format::Iso0 | Format::Iso1 | Format::Iso3) => {
                let bytes = block.bytes.try_into().ok();
                let bytes = bytes.ok_or(HsmError::MalformedPinBlock)?;
                decipher_as(block.format, key, bytes, block.pan).map_err(malformed)
            }
            (ProtectionKey::Aes(_), _) | (ProtectionKey::Tdes(_), Format::Iso4) => {
                Err(of_another_cipher())
            }
        }
    }

    fn value_of(&self, pin: &Pin, method: PinMethod<'_>) -> Result<PinValue, HsmError> {
        match method {
            PinMethod::Pvv { key, index, over } => {
                let key = self.key_for("V2", key)?;
                let value = pvv(key.tdes()?, index, over, pin);
                value.map(PinValue::Pvv).ok_or_else(no_pvv)
            }
            PinMethod::Offset {
                key,
                table,
                validation,
            } => {
                let key = self.key_for("V1", key)?;
                let offset = ibm3624::offset(key.tdes()?, table, validation, pin);
                offset.map(PinValue::Offset).ok_or_else(no_validation)
            }
        }
    }

    /// The key of a card's cryptogram in this transaction.
    fn session_of(&self, chip: &Chip<'_>) -> Result<TdesKey, HsmError> {
        let issuer = self.key_for("E0", chip.key)?;
        let card = card_key(issuer.tdes()?, chip.pan, chip.sequence_number);
        let card = card.ok_or_else(|| HsmError::request("a card number has digits only"))?;
        Ok(chip.version.key(card, chip.counter))
    }

    fn insert(&self, held: Held) -> KeyNote {
        let note = held.note();
        let keys = self.keys.write();
        let mut keys = keys.unwrap_or_else(PoisonError::into_inner);
        keys.insert(held.terms.name.clone(), Arc::new(held));
        note
    }
}

fn of_another_cipher() -> HsmError {
    HsmError::request("PIN block format 4 goes with an AES key, the others with a TDES key")
}

fn no_pvv() -> HsmError {
    HsmError::request("a PIN verification value needs twelve digits and an index of 0 to 9")
}

fn no_validation() -> HsmError {
    HsmError::request("an offset needs sixteen digits of validation data")
}

fn taken(bytes: &[u8], is_aes: bool) -> Result<ProtectionKey, HsmError> {
    let not_taken = |error: super::key::KeyError| HsmError::KeyNotTaken {
        detail: error.to_string(),
    };
    if is_aes {
        return AesKey::from_bytes(bytes)
            .map(ProtectionKey::Aes)
            .map_err(not_taken);
    }
    let key = TdesKey::from_bytes(bytes).map_err(not_taken)?;
    Ok(ProtectionKey::Tdes(Box::new(key)))
}

/// The two halves of a key under another one, each by itself.
fn each_half(bytes: [u8; TDES_KEY], step: impl Fn([u8; 8]) -> [u8; 8]) -> Zeroizing<[u8; 16]> {
    let mut out = Zeroizing::new(bytes);
    for half in out.as_chunks_mut::<TDES_BLOCK>().0 {
        *half = step(*half);
    }
    out
}

impl Hsm for SoftwareHsm {
    fn name(&self) -> String {
        "software, not a certified device".to_owned()
    }

    fn keys(&self) -> Vec<KeyNote> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.values().map(|held| held.note()).collect()
    }

    fn health(&self) -> Result<String, HsmError> {
        Ok(self.name())
    }

    fn check_value(&self, key: &str) -> Result<[u8; 3], HsmError> {
        Ok(self.key(key)?.check_value())
    }

    fn verify_pin(&self, ask: &VerifyPin<'_>) -> Result<Verdict, HsmError> {
        self.with_pin(ask.pin, |pin| match (ask.method, ask.value) {
            (method @ PinMethod::Pvv { .. }, PinValue::Pvv(expected)) => {
                match self.value_of(pin, method)? {
                    PinValue::Pvv(value) => Ok(Verdict::of(pvv::same(&value, expected))),
                    PinValue::Offset(_) => Err(no_pvv()),
                }
            }
            (
                PinMethod::Offset {
                    key,
                    table,
                    validation,
                },
                PinValue::Offset(offset),
            ) => {
                let key = self.key_for("V1", key)?;
                let offset = Offset(offset);
                let same = ibm3624::verify(key.tdes()?, table, validation, offset, pin);
                same.map(Verdict::of).ok_or_else(no_validation)
            }
            (PinMethod::Pvv { .. }, PinValue::Offset(_))
            | (PinMethod::Offset { .. }, PinValue::Pvv(_)) => Err(HsmError::request(
                "what is on file was made by another method",
            )),
        })
    }

    fn set_pin(&self, ask: &SetPin<'_>) -> Result<NewPinValue, HsmError> {
        self.with_pin(ask.pin, |pin| {
            if (ask.may_be_chosen)(pin) {
                self.value_of(pin, ask.method).map(NewPinValue::Value)
            } else {
                Ok(NewPinValue::NotAcceptable)
            }
        })
    }

    fn translate_pin(&self, ask: &TranslatePin<'_>) -> Result<Vec<u8>, HsmError> {
        if !ask.from.format.may_become(ask.to_format) {
            let what = "a PIN block that is bound to a card does not become one that is not";
            return Err(HsmError::request(what));
        }
        let pin = self.opened(ask.from)?;
        let key = self.key_for("P0", ask.to_key)?;
        let (pan, random) = (ask.from.pan, self.random()?);
        let made = match (&key.key, ask.to_format) {
            (ProtectionKey::Aes(key), Format::Iso4) => {
                encipher_aes(key, &pin, pan, random).map(|block| block.to_vec())
            }
            (ProtectionKey::Tdes(key), format @ (Format::Iso0 | Format::Iso1 | Format::Iso3)) => {
                encipher_as(format, key, &pin, pan, random).map(|block| block.to_vec())
            }
            (ProtectionKey::Aes(_), _) | (ProtectionKey::Tdes(_), Format::Iso4) => {
                return Err(of_another_cipher());
            }
        };
        made.map_err(|_| HsmError::request("a PIN block needs a whole card number"))
    }

    fn verify_cvv(&self, ask: &VerifyCvv<'_>) -> Result<Verdict, HsmError> {
        let key = self.key_for("C0", ask.key)?;
        let no_card = || HsmError::request("a value needs a card number, MMYY or YYMM and a code");
        let own = cvv(key.tdes()?, ask.pan, ask.expiry, ask.kind).ok_or_else(no_card)?;
        let came: Option<cvv::Cvv> = values(ask.value).and_then(|it| it.try_into().ok());
        let came = came.ok_or_else(|| HsmError::request("a value has three digits"))?;
        Ok(Verdict::of(cvv::same(&own, &came)))
    }

    fn verify_arqc(&self, ask: &VerifyArqc<'_>) -> Result<Verdict, HsmError> {
        let key = self.session_of(&ask.chip)?;
        let own = retail_mac(&key, ask.chip.version.padding(), ask.data);
        Ok(Verdict::of(is_right(&own, &ask.request)))
    }

    fn make_arpc(&self, ask: &MakeArpc<'_>) -> Result<Vec<u8>, HsmError> {
        let key = self.session_of(&ask.chip)?;
        match ask.answer {
            ChipAnswer::Code(code) => Ok(answer_1(&key, ask.request, code).to_vec()),
            ChipAnswer::Status(_, added) if added.len() > 8 => {
                Err(HsmError::request("an issuer adds eight bytes at most"))
            }
            ChipAnswer::Status(status, added) => {
                Ok(answer_2(&key, ask.request, status, added).to_vec())
            }
        }
    }

    fn make_mac(&self, ask: &MacOver<'_>) -> Result<MacBytes, HsmError> {
        match ask.scheme {
            MacScheme::Retail(padding) => {
                let key = self.key_for("M3", ask.key)?;
                Ok(retail_mac(key.tdes()?, padding, ask.message))
            }
            MacScheme::Cmac => match &self.key_for("M6", ask.key)?.key {
                ProtectionKey::Tdes(key) => Ok(key.cmac(&[ask.message])),
                ProtectionKey::Aes(key) => {
                    let [a, b, c, d, e, f, g, h, ..] = key.cmac(&[ask.message]);
                    Ok([a, b, c, d, e, f, g, h])
                }
            },
        }
    }

    fn verify_mac(&self, ask: &MacOver<'_>, came: &[u8]) -> Result<Verdict, HsmError> {
        if !matches!(came.len(), 4 | 8) {
            return Err(HsmError::request("a code has four or eight bytes"));
        }
        Ok(Verdict::of(is_right(&self.make_mac(ask)?, came)))
    }

    fn import_key(&self, ask: &ImportKey<'_>) -> Result<KeyNote, HsmError> {
        let under = self.key_for("K0 or K1", ask.under)?;
        let refused = |detail: &str| HsmError::KeyNotTaken {
            detail: detail.to_owned(),
        };
        let mut terms = KeyTerms {
            name: ask.name.to_owned(),
            usage: ask.usage.to_owned(),
            version: "00".to_owned(),
            mode: b'N',
            is_exportable: false,
        };
        let key = match ask.form {
            KeyForm::Halves(halves) => {
                let zone = under.tdes()?;
                let clear = each_half(*halves, |half| zone.decrypt(half));
                if with_odd_parity(*clear) != *clear {
                    return Err(refused(
                        "its parity is wrong; enciphered under another key?",
                    ));
                }
                taken(&clear[..], false)?
            }
            KeyForm::Block(block) => {
                let opened = key_block::open(&under.key, block);
                let opened = opened.map_err(|error| refused(&error.to_string()))?;
                let said = opened.attributes;
                if said.usage != ask.usage.as_bytes() {
                    return Err(refused("its block says another usage than was expected"));
                }
                terms.version = said.version_number.map(char::from).iter().collect();
                terms.mode = said.mode;
                terms.is_exportable = said.exportability == b'E';
                match said.algorithm {
                    b'T' => taken(&opened.bytes, false)?,
                    b'A' => taken(&opened.bytes, true)?,
                    _ => return Err(refused("expected algorithm T or A")),
                }
            }
        };
        Ok(self.insert(Held { terms, key }))
    }

    fn export_key(&self, ask: &ExportKey<'_>) -> Result<KeyForm, HsmError> {
        let key = self.key(ask.name)?;
        let under = self.key_for("K0 or K1", ask.under)?;
        if !key.terms.is_exportable {
            return Err(HsmError::request("this key may not leave"));
        }
        if !ask.as_block {
            let zone = under.tdes()?;
            let bytes = key.tdes()?.bytes().try_into();
            let bytes = bytes.map_err(|_| HsmError::request("a TDES key has sixteen bytes"))?;
            return Ok(KeyForm::Halves(*each_half(bytes, |half| {
                zone.encrypt(half)
            })));
        }
        let pair = |text: &str| text.as_bytes().first_chunk::<2>().copied();
        let version = match &under.key {
            ProtectionKey::Tdes(_) => Version::B,
            ProtectionKey::Aes(_) => Version::D,
        };
        let attributes = Attributes {
            usage: pair(&key.terms.usage).unwrap_or(*b"00"),
            algorithm: key.algorithm(),
            mode: key.terms.mode,
            version_number: pair(&key.terms.version).unwrap_or(*b"00"),
            exportability: b'E',
        };
        let block = key_block::make(
            &under.key,
            version,
            &attributes,
            key.bytes(),
            self.random()?,
        );
        let block = block.map_err(|_| HsmError::request("no key block can be made of this key"))?;
        Ok(KeyForm::Block(block))
    }
}
