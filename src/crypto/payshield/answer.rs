//! What a device answered, taken apart: nothing but a whole answer to the command that was sent
//! counts.

use super::fields::Fields;
use super::meaning;
use crate::crypto::hsm::{HsmError, NewPinValue, PinValue, Verdict};

/// Codes that say: there is no PIN in the block.
const NO_PIN: [&str; 2] = ["20", "24"];
/// Characters of an offset, `F` behind its digits.
const OFFSET: usize = 12;

/// What came back: the code of the outcome, and the fields behind it.
pub(super) struct Outcome {
    command: &'static str,
    pub(super) code: String,
    fields: Vec<u8>,
}

impl Outcome {
    fn refused(&self) -> HsmError {
        HsmError::Refused {
            command: self.command,
            meaning: meaning(&self.code),
            code: self.code.clone(),
        }
    }

    /// `01` says that a comparison failed; nothing but `00` says that it did not.
    pub(super) fn verdict(&self) -> Result<Verdict, HsmError> {
        match self.code.as_str() {
            "00" => Ok(Verdict::Right),
            "01" => Ok(Verdict::Wrong),
            _ => Err(self.refused()),
        }
    }

    /// The same of a PIN.
    pub(super) fn pin_verdict(&self) -> Result<Verdict, HsmError> {
        match self.code.as_str() {
            code if NO_PIN.contains(&code) => Err(HsmError::MalformedPinBlock),
            _ => self.verdict(),
        }
    }

    /// The fields of a command that was done.
    pub(super) fn done(&self) -> Result<Fields<'_>, HsmError> {
        match self.code.as_str() {
            "00" => Ok(Fields::of(&self.fields)),
            code if NO_PIN.contains(&code) => Err(HsmError::MalformedPinBlock),
            _ => Err(self.refused()),
        }
    }

    pub(super) fn garbled(&self) -> HsmError {
        HsmError::Garbled {
            command: self.command,
            detail: "its fields are not those of the answer",
        }
    }

    /// What is put on file of a new PIN.
    pub(super) fn new_value(&self, is_offset: bool) -> Result<NewPinValue, HsmError> {
        let mut fields = match self.code.as_str() {
            "86" => return Ok(NewPinValue::NotAcceptable),
            // Of offsets a warning about the length of the key, and done.
            "02" if is_offset => Fields::of(&self.fields),
            _ => self.done()?,
        };
        let digits = |text: &str| text.bytes().map(|digit| digit & 0x0f).collect::<Vec<u8>>();
        let value = if is_offset {
            let offset = fields.text(OFFSET).map(|text| text.trim_end_matches('F'));
            let plain = offset.filter(|text| text.bytes().all(|it| it.is_ascii_digit()));
            plain.map(|text| PinValue::Offset(digits(text)))
        } else {
            let value = fields.digits(4).map(digits);
            let value = value.and_then(|digits| digits.try_into().ok());
            value.map(PinValue::Pvv)
        };
        let value = value.map(NewPinValue::Value);
        value.ok_or_else(|| self.garbled())
    }
}

/// An answer taken apart: its code is that of the command, the second letter raised by one.
pub(super) fn outcome(command: &'static str, answer: &[u8]) -> Result<Outcome, HsmError> {
    let garbled = |detail| HsmError::Garbled { command, detail };
    let mut fields = Fields::of(answer);
    let expected = match command.as_bytes() {
        [first, second] => [*first, second.wrapping_add(1)],
        _ => return Err(garbled("a command has two letters")),
    };
    if fields.array() != Some(expected) {
        return Err(garbled("it is the answer to another command"));
    }
    let code = fields.text(2).ok_or_else(|| garbled("it ends too soon"))?;
    let code = code.to_owned();
    let fields = fields.take(fields.left()).unwrap_or_default().to_vec();
    Ok(Outcome {
        command,
        code,
        fields,
    })
}
