//! The device backend of [`Hsm`]: every request is one host command over a [`Line`].
//!
//! Keys lie outside of the device, enciphered under its LMK, and are handed over with each command.
//! What a device cannot be asked is refused here; what it answers counts only when it is a whole
//! answer to the command that was sent.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::answer::{Outcome, outcome};
use super::fields::hexadecimal;
use super::{DeviceKey, Line, Settings, block_bytes, format_code, key_type};
use crate::crypto::cvv::CvvKind;
use crate::crypto::emv::{CryptogramVersion, diversified};
use crate::crypto::hsm::{
    Chip, ChipAnswer, ExportKey, Hsm, HsmError, ImportKey, KeyForm, KeyNote, MacBytes, MacOver,
    MacScheme, MakeArpc, NewPinValue, PinBlock, PinMethod, PinSource, PinValue, SetPin,
    TranslatePin, Verdict, VerifyArqc, VerifyCvv, VerifyPin,
};
use crate::crypto::ibm3624::DecimalizationTable;
use crate::crypto::mac::Padding;
use crate::crypto::pin_block::Format;

/// Longest PIN, as commands say it.
const PIN_MAX: &str = "12";
/// Digits of an account in commands: those of the card number before its check digit.
const ACCOUNT: usize = 12;
/// Fewest digits of a card number that such an account can be taken from.
const PAN_MIN: usize = 13;
/// Most bytes of a message that a code is made over: what one command has room for.
const MESSAGE_MAX: usize = 32_000;

/// A key of the table of keys that go with a device.
#[derive(Clone, Debug)]
pub struct TableKey {
    /// What is known of it.
    pub note: KeyNote,
    /// The key under the LMK.
    pub key: DeviceKey,
    /// Whether it may leave under another key.
    pub is_exportable: bool,
}

/// A device, or several that have the same LMK.
pub struct PayShield<L> {
    line: L,
    settings: Settings,
    keys: RwLock<BTreeMap<String, Arc<TableKey>>>,
}

impl<L: Line> PayShield<L> {
    /// A device at the end of a line, and the keys that it is handed.
    pub fn new(line: L, settings: Settings, keys: Vec<TableKey>) -> PayShield<L> {
        let keys = keys
            .into_iter()
            .map(|key| (key.note.name.clone(), Arc::new(key)));
        PayShield {
            line,
            settings,
            keys: RwLock::new(keys.collect()),
        }
    }

    /// The line, for whoever looks after it.
    pub fn line(&self) -> &L {
        &self.line
    }

    fn ask(&self, command: &'static str, fields: &[u8]) -> Result<Outcome, HsmError> {
        let answer = self.line.exchange(command, fields)?;
        outcome(command, &answer)
    }

    fn key(&self, name: &str) -> Result<Arc<TableKey>, HsmError> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.get(name).cloned().ok_or_else(|| HsmError::UnknownKey {
            name: name.to_owned(),
        })
    }

    fn key_for(&self, expected: &'static str, name: &str) -> Result<Arc<TableKey>, HsmError> {
        let key = self.key(name)?;
        if expected.split(" or ").any(|usage| usage == key.note.usage) {
            return Ok(key);
        }
        Err(HsmError::KeyUse {
            name: name.to_owned(),
            expected,
            got: key.note.usage.clone(),
        })
    }

    /// Block, format and account, as every command with a PIN block has them.
    fn block(&self, block: &PinBlock<'_>) -> Result<String, HsmError> {
        if block.bytes.len() != block_bytes(block.format) {
            return Err(HsmError::MalformedPinBlock);
        }
        let bytes = hexadecimal(block.bytes);
        Ok(format!("{bytes}{}", format_code(block.format)))
    }

    fn account(&self, format: Format, pan: &str) -> Result<String, HsmError> {
        if !(PAN_MIN..=19).contains(&pan.len()) || !pan.bytes().all(|it| it.is_ascii_digit()) {
            return Err(HsmError::MalformedPinBlock);
        }
        if format == Format::Iso4 {
            return Ok(format!("{pan}{}", char::from(self.settings.account_end)));
        }
        Ok(account_of(pan).to_owned())
    }

    fn block_and_account(&self, block: &PinBlock<'_>) -> Result<(String, String), HsmError> {
        Ok((self.block(block)?, self.account(block.format, block.pan)?))
    }

    /// What KQ and KW begin with.
    fn chip(&self, mode: u8, chip: &Chip<'_>, unpredictable: [u8; 4]) -> Result<Vec<u8>, HsmError> {
        let key = self.key_for("E0", chip.key)?;
        let number = diversified(chip.pan, chip.sequence_number);
        let number = number.ok_or_else(|| HsmError::request("a card number has digits only"))?;
        let (scheme, has_unpredictable) = match chip.version {
            CryptogramVersion::V10 => (b'0', true),
            CryptogramVersion::V18 => (self.settings.kw_scheme, self.settings.kw_has_unpredictable),
        };
        let mut fields = vec![mode, scheme];
        fields.extend_from_slice(key.key.text().as_bytes());
        fields.extend_from_slice(&number);
        fields.extend_from_slice(&chip.counter.to_be_bytes());
        if has_unpredictable {
            fields.extend_from_slice(&unpredictable);
        }
        Ok(fields)
    }

    /// What a cryptogram is made over, filled up as the device wants it.
    fn filled(&self, version: CryptogramVersion, data: &[u8]) -> Vec<u8> {
        let mut data = data.to_vec();
        let is_device = version == CryptogramVersion::V18 && self.settings.kw_device_fills;
        if !is_device {
            fill(&mut data, version.padding());
        }
        data
    }

    fn mac(&self, ask: &MacOver<'_>, size: u8) -> Result<Vec<u8>, HsmError> {
        let (usage, algorithm, filling) = match ask.scheme {
            MacScheme::Retail(Padding::Zeros) => ("M3", b'3', b'1'),
            MacScheme::Retail(Padding::OneThenZeros) => ("M3", b'3', b'2'),
            MacScheme::Cmac => ("M6", self.settings.cmac_algorithm, b'0'),
        };
        let key = self.key_for(usage, ask.key)?;
        if ask.message.len() > MESSAGE_MAX {
            return Err(HsmError::request("the message is too long for one command"));
        }
        let mut fields = vec![b'0', b'0', size, algorithm, filling];
        fields.extend_from_slice(key.key.type_for(usage)?.as_bytes());
        fields.extend_from_slice(key.key.text().as_bytes());
        fields.extend_from_slice(format!("{:04X}", ask.message.len()).as_bytes());
        fields.extend_from_slice(ask.message);
        Ok(fields)
    }
}

fn account_of(pan: &str) -> &str {
    let last = pan.len().saturating_sub(1);
    pan.get(last.saturating_sub(ACCOUNT)..last).unwrap_or(pan)
}

/// Zeros to a whole block, or a set bit and zeros.
pub(super) fn fill(data: &mut Vec<u8>, padding: Padding) {
    if padding == Padding::OneThenZeros {
        data.push(0x80);
    }
    data.resize(data.len().next_multiple_of(8), 0);
}

/// Validation data as a device wants them: `N` where it puts the last five digits of the account.
fn validation_of(validation: &str, account: &str) -> Result<String, HsmError> {
    let tail = account.get(account.len().saturating_sub(5)..);
    let place = tail.and_then(|tail| validation.rfind(tail));
    let (Some(place), 16) = (place, validation.len()) else {
        let what = "validation data without the last digits of the account";
        return Err(HsmError::NotOffered { what });
    };
    let mut text = validation.to_owned();
    text.replace_range(place..place.saturating_add(5), "N");
    Ok(text)
}

/// Check length, account, decimalization table and validation data; the account stands as the
/// format of the block wants it.
fn method_digits(
    table: &DecimalizationTable,
    validation: &str,
    (pan, account): (&str, &str),
    length: usize,
) -> Result<String, HsmError> {
    let validation = validation_of(validation, account_of(pan))?;
    let table: String = table
        .digits()
        .map(|digit| char::from(b'0' | digit))
        .collect();
    Ok(format!("{length:02}{account}{table}{validation}"))
}

fn digits_of(values: &[u8]) -> String {
    values
        .iter()
        .map(|digit| char::from(b'0' | (digit & 0x0f)))
        .collect()
}

fn of_block<'a>(source: &PinSource<'a>) -> Result<PinBlock<'a>, HsmError> {
    match source {
        PinSource::Block(block) => Ok(*block),
        PinSource::Clear(_) => Err(HsmError::NotOffered {
            what: "a PIN in the clear",
        }),
    }
}

impl<L: Line> Hsm for PayShield<L> {
    fn name(&self) -> String {
        format!("device {}", self.line.name())
    }

    fn keys(&self) -> Vec<KeyNote> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.values().map(|key| key.note.clone()).collect()
    }

    fn health(&self) -> Result<String, HsmError> {
        let outcome = self.ask("NC", &[])?;
        let mut fields = outcome.done()?;
        let lmk = fields.text(16).ok_or_else(|| outcome.garbled())?;
        let firmware = fields.text(fields.left()).unwrap_or_default();
        Ok(format!("LMK {lmk}, firmware {firmware}"))
    }

    fn check_value(&self, key: &str) -> Result<[u8; 3], HsmError> {
        let key = self.key(key)?;
        let kind = key.key.type_for(&key.note.usage)?;
        let length = if key.key.is_block() { 'F' } else { '1' };
        let fields = format!("FF{length}{};{kind}", key.key.text());
        let outcome = self.ask("BU", fields.as_bytes())?;
        let value = outcome.done()?.hexadecimal(3);
        let value = value.and_then(|bytes| bytes.try_into().ok());
        value.ok_or_else(|| outcome.garbled())
    }

    fn verify_pin(&self, ask: &VerifyPin<'_>) -> Result<Verdict, HsmError> {
        let block = of_block(&ask.pin)?;
        let zone = self.key_for("P0", block.key)?;
        let (bytes, account) = self.block_and_account(&block)?;
        match (ask.method, ask.value) {
            (PinMethod::Pvv { key, index, over }, PinValue::Pvv(value)) => {
                let key = self.key_for("V2", key)?;
                may_be_made_over(over, &block, index)?;
                let (zone, key) = (zone.key.text(), key.key.text());
                let value = digits_of(value);
                let fields = format!("{zone}{key}{bytes}{account}{index}{value}");
                self.ask("EC", fields.as_bytes())?.pin_verdict()
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
                let number = (block.pan, &*account);
                let method = method_digits(table, validation, number, offset.len())?;
                let (zone, key) = (zone.key.text(), key.key.text());
                let offset = format!("{:F<12}", digits_of(offset));
                let fields = format!("{zone}{key}{PIN_MAX}{bytes}{method}{offset}");
                let outcome = self.ask("EA", fields.as_bytes())?;
                match outcome.code.as_str() {
                    // A warning about the length of the key; the PIN is the one.
                    "02" => Ok(Verdict::Right),
                    // The PIN is longer or shorter than the one on file.
                    "81" => Ok(Verdict::Wrong),
                    _ => outcome.pin_verdict(),
                }
            }
            (PinMethod::Pvv { .. }, PinValue::Offset(_))
            | (PinMethod::Offset { .. }, PinValue::Pvv(_)) => Err(HsmError::request(
                "what is on file was made by another method",
            )),
        }
    }

    fn set_pin(&self, ask: &SetPin<'_>) -> Result<NewPinValue, HsmError> {
        if !self.settings.device_judges_choice {
            return Err(HsmError::NotOffered {
                what: "a new PIN that nobody but the device may see",
            });
        }
        let block = of_block(&ask.pin)?;
        let zone = self.key_for("P0", block.key)?;
        let kind = zone.key.type_for("P0")?;
        let (bytes, account) = self.block_and_account(&block)?;
        match ask.method {
            PinMethod::Pvv { key, index, over } => {
                let key = self.key_for("V2", key)?;
                may_be_made_over(over, &block, index)?;
                let (zone, key) = (zone.key.text(), key.key.text());
                let fields = format!("{kind}{zone}{key}{bytes}{account}{index}");
                self.ask("FW", fields.as_bytes())?.new_value(false)
            }
            PinMethod::Offset {
                key,
                table,
                validation,
            } => {
                let key = self.key_for("V1", key)?;
                let number = (block.pan, &*account);
                let method = method_digits(table, validation, number, 4)?;
                let (zone, key) = (zone.key.text(), key.key.text());
                let fields = format!("{kind}{zone}{key}{bytes}{method}");
                self.ask("BK", fields.as_bytes())?.new_value(true)
            }
        }
    }

    fn translate_pin(&self, ask: &TranslatePin<'_>) -> Result<Vec<u8>, HsmError> {
        if !ask.from.format.may_become(ask.to_format) {
            let what = "a PIN block that is bound to a card does not become one that is not";
            return Err(HsmError::request(what));
        }
        let from = self.key_for("P0", ask.from.key)?;
        let to = self.key_for("P0", ask.to_key)?;
        let bytes = self.block(&ask.from)?;
        let widest = match (ask.from.format, ask.to_format) {
            (Format::Iso4, _) | (_, Format::Iso4) => Format::Iso4,
            (format, _) => format,
        };
        let account = self.account(widest, ask.from.pan)?;
        let code = format_code(ask.to_format);
        let (from, to) = (from.key.text(), to.key.text());
        let fields = format!("{from}{to}{PIN_MAX}{bytes}{code}{account}");
        let outcome = self.ask("CC", fields.as_bytes())?;
        let mut fields = outcome.done()?;
        let length = fields.number(2);
        let block = fields.hexadecimal(block_bytes(ask.to_format));
        let is_whole = length.is_some() && fields.text(2) == Some(code);
        block.filter(|_| is_whole).ok_or_else(|| outcome.garbled())
    }

    fn verify_cvv(&self, ask: &VerifyCvv<'_>) -> Result<Verdict, HsmError> {
        let key = self.key_for("C0", ask.key)?;
        let service_code = match ask.kind {
            CvvKind::Track(code) => code,
            CvvKind::Printed => "000",
            CvvKind::Chip => "999",
        };
        let plain = |text: &str| text.bytes().all(|it| it.is_ascii_digit());
        let lengths = (ask.expiry.len(), service_code.len(), ask.value.len());
        let is_sound = lengths == (4, 3, 3) && (8..=19).contains(&ask.pan.len());
        if !is_sound
            || ![ask.pan, ask.expiry, service_code, ask.value]
                .map(plain)
                .iter()
                .all(|it| *it)
        {
            let what = "a value needs a card number, an expiry, a service code and three digits";
            return Err(HsmError::request(what));
        }
        let (key, value) = (key.key.text(), ask.value);
        let (pan, expiry) = (ask.pan, ask.expiry);
        let fields = format!("{key}{value}{pan};{expiry}{service_code}");
        self.ask("CY", fields.as_bytes())?.verdict()
    }

    fn verify_arqc(&self, ask: &VerifyArqc<'_>) -> Result<Verdict, HsmError> {
        let version = ask.chip.version;
        let mut fields = self.chip(b'0', &ask.chip, ask.unpredictable)?;
        let data = self.filled(version, ask.data);
        let length = u8::try_from(data.len());
        let length = length.map_err(|_| HsmError::request("data of 255 bytes at most"))?;
        fields.extend_from_slice(hexadecimal(&[length]).as_bytes());
        fields.extend_from_slice(&data);
        fields.push(b';');
        fields.extend_from_slice(&ask.request);
        self.ask(command_of(version), &fields)?.verdict()
    }

    fn make_arpc(&self, ask: &MakeArpc<'_>) -> Result<Vec<u8>, HsmError> {
        let version = ask.chip.version;
        let (mode, length) = match (version, ask.answer) {
            (CryptogramVersion::V10 | CryptogramVersion::V18, ChipAnswer::Code(_)) => (b'2', 8),
            (CryptogramVersion::V18, ChipAnswer::Status(_, added)) if added.len() <= 8 => (b'4', 4),
            (CryptogramVersion::V10 | CryptogramVersion::V18, ChipAnswer::Status(..)) => {
                let what = "an answer by method 2 to such a cryptogram";
                return Err(HsmError::NotOffered { what });
            }
        };
        let mut fields = self.chip(mode, &ask.chip, ask.unpredictable)?;
        fields.extend_from_slice(&ask.request);
        match ask.answer {
            ChipAnswer::Code(code) => fields.extend_from_slice(&code),
            ChipAnswer::Status(status, added) => {
                fields.extend_from_slice(&status);
                fields.extend_from_slice(added.len().to_string().as_bytes());
                fields.extend_from_slice(added);
            }
        }
        let outcome = self.ask(command_of(version), &fields)?;
        let answer = outcome.done()?.take(length).map(<[u8]>::to_vec);
        answer.ok_or_else(|| outcome.garbled())
    }

    fn make_mac(&self, ask: &MacOver<'_>) -> Result<MacBytes, HsmError> {
        let outcome = self.ask("M6", &self.mac(ask, b'1')?)?;
        let code = outcome.done()?.hexadecimal(8);
        let code = code.and_then(|bytes| bytes.try_into().ok());
        code.ok_or_else(|| outcome.garbled())
    }

    fn verify_mac(&self, ask: &MacOver<'_>, came: &[u8]) -> Result<Verdict, HsmError> {
        let size = match came.len() {
            4 => b'0',
            8 => b'1',
            _ => return Err(HsmError::request("a code has four or eight bytes")),
        };
        let mut fields = self.mac(ask, size)?;
        fields.extend_from_slice(hexadecimal(came).as_bytes());
        self.ask("M8", &fields)?.verdict()
    }

    fn import_key(&self, ask: &ImportKey<'_>) -> Result<KeyNote, HsmError> {
        let under = self.key_for("K0 or K1", ask.under)?;
        let (kind, to) = match (under.key.is_block(), key_type(ask.usage)) {
            (true, _) => (super::TYPE_IN_BLOCK, 'S'),
            (false, Some(kind)) => (kind, 'U'),
            (false, None) => {
                let what = "a key of that usage under a variant LMK";
                return Err(HsmError::NotOffered { what });
            }
        };
        let key = match ask.form {
            KeyForm::Halves(halves) => format!("X{}", hexadecimal(halves)),
            KeyForm::Block(block) => format!("{}{block}", char::from(self.settings.block_scheme)),
        };
        let fields = format!("{kind}{}{key}{to}", under.key.text());
        let outcome = self.ask("A6", fields.as_bytes())?;
        let refused = |detail: String| HsmError::KeyNotTaken { detail };
        let mut fields = outcome.done().map_err(|error| refused(error.to_string()))?;
        let (key, value) = (fields.key(), fields.hexadecimal(3));
        let (Some(key), Some(value)) = (key, value) else {
            return Err(outcome.garbled());
        };
        if key.is_block() != under.key.is_block()
            || key.block_usage().is_some_and(|usage| usage != ask.usage)
        {
            return Err(refused("it is for another usage than expected".to_owned()));
        }
        let note = KeyNote {
            name: ask.name.to_owned(),
            usage: ask.usage.to_owned(),
            version: "00".to_owned(),
            check_value: value.try_into().ok(),
        };
        let taken = TableKey {
            note: note.clone(),
            key,
            is_exportable: false,
        };
        let keys = self.keys.write();
        let mut keys = keys.unwrap_or_else(PoisonError::into_inner);
        keys.insert(ask.name.to_owned(), Arc::new(taken));
        Ok(note)
    }

    fn export_key(&self, ask: &ExportKey<'_>) -> Result<KeyForm, HsmError> {
        let key = self.key(ask.name)?;
        let under = self.key_for("K0 or K1", ask.under)?;
        if !key.is_exportable {
            return Err(HsmError::request("this key may not leave"));
        }
        if ask.as_block {
            let what = "a key block out of a device";
            return Err(HsmError::NotOffered { what });
        }
        let kind = key.key.type_for(&key.note.usage)?;
        let fields = format!("{kind}{}{}X", under.key.text(), key.key.text());
        let outcome = self.ask("A8", fields.as_bytes())?;
        let mut fields = outcome.done()?;
        let halves = fields.sign(b'X').and_then(|()| fields.hexadecimal(16));
        let halves = halves.and_then(|bytes| bytes.try_into().ok());
        halves.map(KeyForm::Halves).ok_or_else(|| outcome.garbled())
    }
}

fn command_of(version: CryptogramVersion) -> &'static str {
    match version {
        CryptogramVersion::V10 => "KQ",
        CryptogramVersion::V18 => "KW",
    }
}

/// A device makes a PIN verification value over the number that the block is bound to.
fn may_be_made_over(over: &str, block: &PinBlock<'_>, index: u8) -> Result<(), HsmError> {
    if over != block.pan {
        let what = "a PIN that belongs to an account and not to a card";
        return Err(HsmError::NotOffered { what });
    }
    if index > 9 {
        return Err(HsmError::request("the index of a key is 0 to 9"));
    }
    Ok(())
}
