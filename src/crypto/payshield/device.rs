//! A played device: answers host commands with real cryptography under a test LMK.
//!
//! For tests and for operators who rehearse. Each command hands its keys over, so each is answered
//! by a [`SoftwareHsm`] that has just these.

use std::cell::Cell;

use super::client::fill;
use super::fields::{Fields, hexadecimal};
use super::lmk::{ClearKey, Lmk};
use super::{DeviceKey, Settings, TYPE_IN_BLOCK, block_bytes, format_code, format_of, key_type};
use crate::crypto::cvv::CvvKind;
use crate::crypto::emv::{CryptogramVersion, answer_1, answer_2, card_key_of};
use crate::crypto::hsm::{
    Hsm, HsmError, ImportKey, KeyForm, MacOver, MacScheme, NewPinValue, PinBlock, PinMethod,
    PinSource, PinValue, SetPin, TranslatePin, Verdict, VerifyCvv, VerifyPin,
};
use crate::crypto::ibm3624::DecimalizationTable;
use crate::crypto::key::{BlockKey, KeyError, TDES_BLOCK, TDES_KEY, TdesKey};
use crate::crypto::mac::{Padding, is_right, retail_mac};
use crate::crypto::pin_block::{Format, Pin};
use crate::crypto::software::{KeyTerms, Random, SoftwareHsm};

/// What a played device says its firmware is.
const FIRMWARE: &str = "PLAYED-01";

/// A played device.
pub struct Device {
    lmk: Lmk,
    settings: Settings,
    random: Random,
}

/// Fields that are not there or are no such fields answer `15`.
type Answered = Result<String, &'static str>;

const FIELDS: &str = "15";

impl Device {
    /// A device under the test LMK.
    ///
    /// # Errors
    /// Never, for the test LMK is made of keys.
    pub fn new(settings: Settings, random: Random) -> Result<Device, KeyError> {
        Ok(Device {
            lmk: Lmk::test()?,
            settings,
            random,
        })
    }

    /// The answer to a command, both without header.
    pub fn answer(&self, command: &[u8]) -> Vec<u8> {
        let mut fields = Fields::of(command);
        let Some([first, second]) = fields.array() else {
            return b"ZZ80".to_vec();
        };
        let mut answer = vec![first, second.wrapping_add(1)];
        match self.answered([first, second], fields) {
            Ok(fields) => {
                answer.extend_from_slice(b"00");
                answer.extend_from_slice(&fields);
            }
            Err(code) => answer.extend_from_slice(code.as_bytes()),
        }
        answer
    }

    fn answered(&self, code: [u8; 2], mut fields: Fields<'_>) -> Result<Vec<u8>, &'static str> {
        let fields = &mut fields;
        let text = match &code {
            b"NC" => Ok(format!("{}{FIRMWARE}", self.lmk.check_digits())),
            b"BU" => self.check_value(fields),
            b"EC" => self.verify_by_value(fields),
            b"EA" => self.verify_by_offset(fields),
            b"FW" => self.new_value(fields),
            b"BK" => self.new_offset(fields),
            b"CC" => self.translate(fields),
            b"CY" => self.verify_cvv(fields),
            b"KQ" => return self.chip(CryptogramVersion::V10, fields),
            b"KW" => return self.chip(CryptogramVersion::V18, fields),
            b"M6" => self.make_mac(fields),
            b"M8" => self.verify_mac(fields),
            b"A6" => self.import(fields),
            b"A8" => self.export(fields),
            _ => Err("68"),
        };
        text.map(String::into_bytes)
    }

    fn open(&self, key: &DeviceKey, kind: &str) -> Result<ClearKey, &'static str> {
        let kind = if key.is_block() { "FFF" } else { kind };
        self.lmk.open(key, kind)
    }

    fn tdes(&self, fields: &mut Fields<'_>, usage: &str) -> Result<TdesKey, &'static str> {
        let key = fields.key().ok_or(FIELDS)?;
        let opened = self.open(&key, key_type(usage).unwrap_or_default())?;
        if opened.usage.as_deref().is_some_and(|it| it != usage) {
            return Err(FIELDS);
        }
        TdesKey::from_bytes(&opened.bytes).map_err(|_| "27")
    }

    /// Somebody who has just the next keys of a command, under the names `1`, `2` and so on; and
    /// whether the first one is an AES key, under which PIN blocks have sixteen bytes.
    fn keeper(
        &self,
        fields: &mut Fields<'_>,
        usages: &[&str],
    ) -> Result<(SoftwareHsm, bool), &'static str> {
        let hsm = SoftwareHsm::new(self.random);
        let mut is_aes = None;
        for (number, usage) in (1..).zip(usages) {
            let key = fields.key().ok_or(FIELDS)?;
            let opened = self.open(&key, key_type(usage).unwrap_or_default())?;
            is_aes.get_or_insert(opened.is_aes);
            add(&hsm, number, usage, &opened)?;
        }
        Ok((hsm, is_aes.unwrap_or_default()))
    }

    /// The number of a card, behind its formats: of format 4 the whole, of others the twelve digits
    /// before the check digit, which does not go into a block.
    fn number(&self, fields: &mut Fields<'_>, formats: &[Format]) -> Option<String> {
        if formats.contains(&Format::Iso4) {
            return fields.until(self.settings.account_end).map(str::to_owned);
        }
        fields.digits(12).map(|account| format!("{account}0"))
    }

    fn check_value(&self, fields: &mut Fields<'_>) -> Answered {
        fields.text(3).ok_or(FIELDS)?;
        let key = fields.key().ok_or(FIELDS)?;
        let kind = fields.sign(b';').and_then(|()| fields.text(3));
        let opened = self.lmk.open(&key, kind.ok_or(FIELDS)?)?;
        let hsm = SoftwareHsm::new(self.random);
        add(&hsm, 1, "00", &opened)?;
        hsm.check_value("1")
            .map(|it| hexadecimal(&it))
            .map_err(code)
    }

    fn verify_by_value(&self, fields: &mut Fields<'_>) -> Answered {
        let (hsm, is_aes) = self.keeper(fields, &["P0", "V2"])?;
        let (bytes, format) = block(fields, is_aes)?;
        let pan = self.number(fields, &[format]).ok_or(FIELDS)?;
        let index = index(fields)?;
        let value = fields.digits(4).map(values).ok_or(FIELDS)?;
        told(hsm.verify_pin(&VerifyPin {
            pin: source(&bytes, format, &pan),
            method: PinMethod::Pvv {
                key: "2",
                index,
                over: &pan,
            },
            value: &PinValue::Pvv(value.try_into().map_err(|_| FIELDS)?),
        }))
    }

    fn verify_by_offset(&self, fields: &mut Fields<'_>) -> Answered {
        let (hsm, is_aes) = self.keeper(fields, &["P0", "V1"])?;
        fields.digits(2).ok_or(FIELDS)?;
        let (bytes, format) = block(fields, is_aes)?;
        let length = fields.number(2).ok_or(FIELDS)?;
        let pan = self.number(fields, &[format]).ok_or(FIELDS)?;
        let (table, validation) = method(fields, &pan).ok_or(FIELDS)?;
        let offset = fields.text(12).and_then(|text| text.get(..length));
        let offset = offset.map(values).ok_or(FIELDS)?;
        told(hsm.verify_pin(&VerifyPin {
            pin: source(&bytes, format, &pan),
            method: PinMethod::Offset {
                key: "2",
                table: &table,
                validation: &validation,
            },
            value: &PinValue::Offset(offset),
        }))
    }

    fn new_value(&self, fields: &mut Fields<'_>) -> Answered {
        fields.text(3).ok_or(FIELDS)?;
        let (hsm, is_aes) = self.keeper(fields, &["P0", "V2"])?;
        let (bytes, format) = block(fields, is_aes)?;
        let pan = self.number(fields, &[format]).ok_or(FIELDS)?;
        let made = hsm.set_pin(&SetPin {
            pin: source(&bytes, format, &pan),
            method: PinMethod::Pvv {
                key: "2",
                index: index(fields)?,
                over: &pan,
            },
            may_be_chosen: &is_not_excluded,
        });
        made_value(made)
    }

    fn new_offset(&self, fields: &mut Fields<'_>) -> Answered {
        fields.text(3).ok_or(FIELDS)?;
        let (hsm, is_aes) = self.keeper(fields, &["P0", "V1"])?;
        let (bytes, format) = block(fields, is_aes)?;
        let length = fields.number(2).ok_or(FIELDS)?;
        let pan = self.number(fields, &[format]).ok_or(FIELDS)?;
        let (table, validation) = method(fields, &pan).ok_or(FIELDS)?;
        let is_as_long = Cell::new(true);
        let made = hsm.set_pin(&SetPin {
            pin: source(&bytes, format, &pan),
            method: PinMethod::Offset {
                key: "2",
                table: &table,
                validation: &validation,
            },
            may_be_chosen: &|pin| {
                is_as_long.set(pin.digits().len() == length);
                is_not_excluded(pin)
            },
        });
        if is_as_long.get() {
            made_value(made)
        } else {
            Err("81")
        }
    }

    fn translate(&self, fields: &mut Fields<'_>) -> Answered {
        let (hsm, is_aes) = self.keeper(fields, &["P0", "P0"])?;
        fields.digits(2).ok_or(FIELDS)?;
        let (bytes, format) = block(fields, is_aes)?;
        let to_format = fields.take(2).and_then(format_of).ok_or("23")?;
        let pan = self.number(fields, &[format, to_format]).ok_or(FIELDS)?;
        let PinSource::Block(from) = source(&bytes, format, &pan) else {
            return Err(FIELDS);
        };
        let made = hsm.translate_pin(&TranslatePin {
            from,
            to_key: "2",
            to_format,
        });
        let made = hexadecimal(&made.map_err(code)?);
        Ok(format!("12{made}{}", format_code(to_format)))
    }

    fn verify_cvv(&self, fields: &mut Fields<'_>) -> Answered {
        let (hsm, _) = self.keeper(fields, &["C0"])?;
        let value = fields.digits(3).ok_or(FIELDS)?;
        let pan = fields.until(b';').ok_or(FIELDS)?;
        let expiry = fields.digits(4).ok_or(FIELDS)?;
        let service_code = fields.digits(3).ok_or(FIELDS)?;
        told(hsm.verify_cvv(&VerifyCvv {
            key: "1",
            pan,
            expiry,
            kind: CvvKind::Track(service_code),
            value,
        }))
    }

    /// KQ and KW: mode 0 verifies, 1 and 3 verify and answer, 2 and 4 answer.
    fn chip(
        &self,
        version: CryptogramVersion,
        fields: &mut Fields<'_>,
    ) -> Result<Vec<u8>, &'static str> {
        let [mode, scheme] = fields.array().ok_or(FIELDS)?;
        let (expected, has_unpredictable) = match version {
            CryptogramVersion::V10 => (b'0', true),
            CryptogramVersion::V18 => (self.settings.kw_scheme, self.settings.kw_has_unpredictable),
        };
        if scheme != expected {
            return Err("05");
        }
        let issuer = self.tdes(fields, "E0")?;
        let number = fields.array().ok_or(FIELDS)?;
        let counter = u16::from_be_bytes(fields.array().ok_or(FIELDS)?);
        if has_unpredictable {
            fields.take(4).ok_or(FIELDS)?;
        }
        let key = version.key(card_key_of(&issuer, number), counter);
        let data = match mode {
            b'0' | b'1' | b'3' => {
                let length = fields.hexadecimal_number(2).ok_or(FIELDS)?;
                let data = fields.take(length).ok_or("80")?;
                fields.sign(b';').ok_or(FIELDS)?;
                Some(self.filled(version, data))
            }
            b'2' | b'4' => None,
            _ => return Err("04"),
        };
        let request = fields.array().ok_or(FIELDS)?;
        let own = data.map(|data| retail_mac(&key, Padding::Zeros, &data));
        if own.is_some_and(|own| !is_right(&own, &request)) {
            return Err("01");
        }
        match (mode, version) {
            (b'0', _) => Ok(Vec::new()),
            (b'1' | b'2', _) => {
                let code = fields.array().ok_or(FIELDS)?;
                Ok(answer_1(&key, request, code).to_vec())
            }
            (_, CryptogramVersion::V18) => {
                let status = fields.array().ok_or(FIELDS)?;
                let length = fields.number(1).filter(|it| *it <= 8).ok_or(FIELDS)?;
                let added = fields.take(length).ok_or(FIELDS)?;
                Ok(answer_2(&key, request, status, added).to_vec())
            }
            (_, CryptogramVersion::V10) => Err("04"),
        }
    }

    fn filled(&self, version: CryptogramVersion, data: &[u8]) -> Vec<u8> {
        let mut data = data.to_vec();
        let is_whole = data.len().is_multiple_of(8);
        let always = version == CryptogramVersion::V18 && self.settings.kw_device_fills;
        if !is_whole || always {
            fill(&mut data, version.padding());
        }
        data
    }

    /// The scheme of M6 and M8, who makes it, and the message.
    fn message<'a>(
        &self,
        fields: &mut Fields<'a>,
    ) -> Result<(SoftwareHsm, MacScheme, usize, &'a [u8]), &'static str> {
        let [mode, input, size, algorithm, filling] = fields.array().ok_or(FIELDS)?;
        if [mode, input] != *b"00" {
            return Err("02");
        }
        let (scheme, usage) = match (algorithm, filling) {
            (b'3', b'1') => (MacScheme::Retail(Padding::Zeros), "M3"),
            (b'3', b'2') => (MacScheme::Retail(Padding::OneThenZeros), "M3"),
            (code, _) if code == self.settings.cmac_algorithm => (MacScheme::Cmac, "M6"),
            _ => return Err("04"),
        };
        let bytes = match size {
            b'0' => 4,
            b'1' => 8,
            _ => return Err(FIELDS),
        };
        fields.text(3).ok_or("05")?;
        let (hsm, _) = self.keeper(fields, &[usage])?;
        let length = fields.hexadecimal_number(4).ok_or("06")?;
        let message = fields.take(length).ok_or("80")?;
        Ok((hsm, scheme, bytes, message))
    }

    fn make_mac(&self, fields: &mut Fields<'_>) -> Answered {
        let (hsm, scheme, bytes, message) = self.message(fields)?;
        let made = hsm.make_mac(&MacOver {
            key: "1",
            scheme,
            message,
        });
        let made = made.map_err(code)?;
        Ok(hexadecimal(made.get(..bytes).unwrap_or_default()))
    }

    fn verify_mac(&self, fields: &mut Fields<'_>) -> Answered {
        let (hsm, scheme, bytes, message) = self.message(fields)?;
        let came = fields.hexadecimal(bytes).ok_or(FIELDS)?;
        let over = MacOver {
            key: "1",
            scheme,
            message,
        };
        told(hsm.verify_mac(&over, &came))
    }

    fn import(&self, fields: &mut Fields<'_>) -> Answered {
        let kind = fields.text(3).ok_or(FIELDS)?;
        let under = fields.key().ok_or(FIELDS)?;
        let opened = self.open(&under, "000")?;
        let hsm = SoftwareHsm::new(self.random);
        add(&hsm, 1, "K1", &opened)?;
        let [scheme] = fields.array().ok_or(FIELDS)?;
        let form = if scheme == b'X' {
            let halves = fields
                .hexadecimal(TDES_KEY)
                .and_then(|it| it.try_into().ok());
            KeyForm::Halves(halves.ok_or(FIELDS)?)
        } else if scheme == self.settings.block_scheme {
            KeyForm::Block(fields.block().ok_or(FIELDS)?.to_owned())
        } else {
            return Err("26");
        };
        let usage = match &form {
            KeyForm::Block(block) => block.get(5..7).unwrap_or_default().to_owned(),
            KeyForm::Halves(_) => usage_of(kind).ok_or("05")?.to_owned(),
        };
        if kind != TYPE_IN_BLOCK && key_type(&usage) != Some(kind) {
            return Err(FIELDS);
        }
        let note = hsm.import_key(&ImportKey {
            name: "2",
            usage: &usage,
            under: "1",
            form: &form,
        });
        let value = note.map_err(code)?.check_value.ok_or("10")?;
        let (bytes, is_aes) = hsm.surrender("2").ok_or("10")?;
        let mut random = [0; 32];
        if !(self.random)(&mut random) {
            return Err("41");
        }
        let is_block = kind == TYPE_IN_BLOCK;
        let key = self.lmk.wrap(&usage, (&bytes, is_aes), is_block, random);
        let key = key.map_err(|_| "26")?;
        Ok(format!("{}{}", key.text(), hexadecimal(&value)))
    }

    fn export(&self, fields: &mut Fields<'_>) -> Answered {
        let kind = fields.text(3).ok_or(FIELDS)?;
        let under = fields.key().ok_or(FIELDS)?;
        let under = self.open(&under, "000")?;
        let key = fields.key().ok_or(FIELDS)?;
        let key = self.lmk.open(&key, kind)?;
        fields.sign(b'X').ok_or("26")?;
        let under = TdesKey::from_bytes(&under.bytes).map_err(|_| "27")?;
        let clear = TdesKey::from_bytes(&key.bytes).map_err(|_| "27")?;
        let mut halves: [u8; TDES_KEY] = clear.bytes().try_into().map_err(|_| "27")?;
        for half in halves.as_chunks_mut::<TDES_BLOCK>().0 {
            *half = under.encrypt(*half);
        }
        let value = hexadecimal(&clear.check_value());
        Ok(format!("X{}{value}", hexadecimal(&halves)))
    }
}

fn add(hsm: &SoftwareHsm, name: u8, usage: &str, key: &ClearKey) -> Result<(), &'static str> {
    // A key block says its own usage; a key under a variant has the one of its type.
    let usage = key
        .usage
        .as_deref()
        .filter(|_| usage != "K1")
        .unwrap_or(usage);
    let terms = KeyTerms {
        name: name.to_string(),
        usage: usage.to_owned(),
        version: "00".to_owned(),
        mode: b'N',
        is_exportable: false,
    };
    hsm.add(terms, &key.bytes, key.is_aes).map_err(|_| "27")
}

/// The block and its format, of as many bytes as there are under such a key.
fn block(fields: &mut Fields<'_>, is_aes: bool) -> Result<(Vec<u8>, Format), &'static str> {
    let bytes = if is_aes { 16 } else { 8 };
    let block = fields.hexadecimal(bytes).ok_or(FIELDS)?;
    let format = fields.take(2).and_then(format_of);
    let format = format.filter(|format| block_bytes(*format) == bytes);
    Ok((block, format.ok_or("23")?))
}

fn source<'a>(bytes: &'a [u8], format: Format, pan: &'a str) -> PinSource<'a> {
    PinSource::Block(PinBlock {
        key: "1",
        format,
        bytes,
        pan,
    })
}

fn values(digits: &str) -> Vec<u8> {
    digits.bytes().map(|digit| digit & 0x0f).collect()
}

fn index(fields: &mut Fields<'_>) -> Result<u8, &'static str> {
    let index = fields.number(1).ok_or(FIELDS)?;
    u8::try_from(index).map_err(|_| FIELDS)
}

/// Decimalization table and validation data, the digits of the account put in.
fn method(fields: &mut Fields<'_>, pan: &str) -> Option<(DecimalizationTable, String)> {
    let table = DecimalizationTable::parse(fields.digits(16)?)?;
    let last = pan.len().checked_sub(1)?;
    let tail = pan.get(last.checked_sub(5)?..last)?;
    Some((table, fields.text(12)?.replacen('N', tail, 1)))
}

/// The device's own table of excluded PINs: one digit, repeated.
fn is_not_excluded(pin: &Pin) -> bool {
    let digits = pin.digits();
    digits.iter().any(|digit| Some(digit) != digits.first())
}

fn told(verdict: Result<Verdict, HsmError>) -> Answered {
    match verdict {
        Ok(Verdict::Right) => Ok(String::new()),
        Ok(Verdict::Wrong) => Err("01"),
        Err(error) => Err(code(error)),
    }
}

fn made_value(made: Result<NewPinValue, HsmError>) -> Answered {
    let text = |values: &[u8]| -> String {
        values
            .iter()
            .map(|digit| char::from(b'0' | digit))
            .collect()
    };
    match made {
        Ok(NewPinValue::Value(PinValue::Pvv(value))) => Ok(text(&value)),
        Ok(NewPinValue::Value(PinValue::Offset(offset))) => Ok(format!("{:F<12}", text(&offset))),
        Ok(NewPinValue::NotAcceptable) => Err("86"),
        Err(error) => Err(code(error)),
    }
}

fn code(error: HsmError) -> &'static str {
    match error {
        HsmError::MalformedPinBlock => "20",
        HsmError::KeyUse { .. } | HsmError::Request { .. } => FIELDS,
        HsmError::KeyNotTaken { .. } => "10",
        _ => "41",
    }
}

/// What keys of a type are for, where they come without a block that says so.
fn usage_of(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "000" => "K0",
        "001" => "P0",
        "002" => "V2",
        "402" => "C0",
        "109" => "E0",
        "008" => "M3",
        _ => return None,
    })
}
