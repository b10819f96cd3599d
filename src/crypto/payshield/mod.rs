//! Host commands of payShield devices: what is sent, what comes back, and a device that is played.
//!
//! Nothing here has a socket: [`client`] turns requests of the [`Hsm`](super::hsm::Hsm) trait into
//! commands over whatever [`Line`] it is given, [`device`] answers commands with the software
//! backend under a test LMK.
//!
//! | command | for | fields behind it |
//! |---|---|---|
//! | EC | PIN by PVV | zone key, PVV key, PIN, index 1, PVV 4 |
//! | EA | PIN by offset | zone key, PIN key, `12`, PIN with check length, offset 12 |
//! | FW | new PVV | `001`, zone key, PVV key, PIN, index 1 |
//! | BK | new offset | `001`, zone key, PIN key, PIN with check length |
//! | CC | PIN block | zone key, zone key, `12`, block, format 2, format 2, account 12 |
//! | CY | CVV | key, CVV 3, card number, `;`, expiry 4, service code 3 |
//! | KQ | cryptogram 10 | mode 1, scheme 1, key, number 8, counter 2, terminal's number 4, ... |
//! | KW | cryptogram 18 | the same, and card status update and more |
//! | M6, M8 | MAC | `0`, `0`, size 1, algorithm 1, filling 1, type 3, key, length 4, message, MAC |
//! | A6, A8 | key in, out | type 3, master key, key, scheme 1 |
//! | BU | check value | `FF`, length flag 1, key, `;`, type 3 |
//! | NC | health | |
//!
//! PIN: block 16, format 2, account 12; with check length: block 16, format 2, check length 2,
//! account 12, decimalization table 16, validation data 12.
//!
//! What is not sure about them, because devices and public sources differ, is a [`Settings`].

use super::hsm::HsmError;
use super::pin_block::Format;

pub mod client;

pub mod device;

pub mod lmk;

mod answer;

mod fields;

/// What carries a command to a device and its answer back: code and fields, without header.
pub trait Line: Send + Sync {
    /// Where the device is, for people.
    fn name(&self) -> String;

    /// Sends one command; what comes back begins with the code of the answer.
    ///
    /// # Errors
    /// [`HsmError`] when there is no answer.
    fn exchange(&self, command: &'static str, fields: &[u8]) -> Result<Vec<u8>, HsmError>;
}

/// Facts about a device that public sources do not agree on, or do not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Scheme of KW for session keys by the common method (CVN 18).
    pub kw_scheme: u8,
    /// Whether KW has the terminal's number behind the counter, as KQ has.
    pub kw_has_unpredictable: bool,
    /// Whether the device fills up what a CVN 18 cryptogram is made over; else the host does.
    pub kw_device_fills: bool,
    /// Algorithm of M6 and M8 for CMAC.
    pub cmac_algorithm: u8,
    /// What stands before a key block in A6.
    pub block_scheme: u8,
    /// What ends the card number that goes with PIN blocks of format 4, instead of 12 digits.
    pub account_end: u8,
    /// Whether new PINs are taken by the device's own table of excluded PINs; else none are.
    pub device_judges_choice: bool,
}

impl Settings {
    /// What most sources say.
    pub const STANDARD: Settings = Settings {
        kw_scheme: b'2',
        kw_has_unpredictable: true,
        kw_device_fills: false,
        cmac_algorithm: b'6',
        block_scheme: b'R',
        account_end: b';',
        device_judges_choice: false,
    };
}

/// The code of a PIN block format.
fn format_code(format: Format) -> &'static str {
    match format {
        Format::Iso0 => "01",
        Format::Iso1 => "05",
        Format::Iso3 => "47",
        Format::Iso4 => "48",
    }
}

fn format_of(code: &[u8]) -> Option<Format> {
    let all = [Format::Iso0, Format::Iso1, Format::Iso3, Format::Iso4];
    all.into_iter()
        .find(|format| format_code(*format).as_bytes() == code)
}

/// Bytes of a PIN block.
fn block_bytes(format: Format) -> usize {
    match format {
        Format::Iso0 | Format::Iso1 | Format::Iso3 => 8,
        Format::Iso4 => 16,
    }
}

/// The type that a device knows keys of a usage by under a variant LMK.
fn key_type(usage: &str) -> Option<&'static str> {
    Some(match usage {
        "K0" | "K1" => "000",
        "P0" => "001",
        "V1" | "V2" => "002",
        "C0" => "402",
        "E0" => "109",
        "M3" | "M6" => "008",
        _ => return None,
    })
}

/// The type that stands in commands whose key is a key block, which says its own usage.
const TYPE_IN_BLOCK: &str = "FFF";

/// What the two characters behind the code of an answer mean.
fn meaning(code: &str) -> &'static str {
    match code {
        "00" => "done",
        "01" => "it is another one",
        "02" => "warning about the length of a key",
        "10" | "11" => "the parity of a key is wrong",
        "13" => "the LMK is in disorder",
        "15" => "the fields are wrong",
        "20" => "there is no PIN in the block",
        "23" => "the format of the PIN block is unknown",
        "24" => "the PIN is too short or too long",
        "27" => "the length of a key is wrong",
        "68" => "the command is disabled",
        "80" => "the length of the data is wrong",
        "81" => "the PIN has another length",
        "86" => "the PIN is among the excluded ones",
        _ => "not in the list",
    }
}

/// A key as a device keeps it outside of itself: enciphered under its LMK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceKey(String);

/// No key under an LMK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a key under an LMK: U and 32 hexadecimal digits, or S and a key block")]
pub struct NoDeviceKey;

impl DeviceKey {
    /// A key in its text.
    ///
    /// # Errors
    /// [`NoDeviceKey`].
    pub fn parse(text: &str) -> Result<DeviceKey, NoDeviceKey> {
        let mut fields = fields::Fields::of(text.as_bytes());
        let key = fields.key().filter(|_| fields.is_at_end());
        key.ok_or(NoDeviceKey)
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether it is a key block.
    pub fn is_block(&self) -> bool {
        self.0.starts_with('S')
    }

    /// The usage that a key block says.
    fn block_usage(&self) -> Option<&str> {
        self.0.get(6..8).filter(|_| self.is_block())
    }

    /// What stands for its type in a command.
    fn type_for(&self, usage: &str) -> Result<&'static str, HsmError> {
        if self.is_block() {
            return Ok(TYPE_IN_BLOCK);
        }
        key_type(usage).ok_or(HsmError::NotOffered {
            what: "a key of that usage under a variant LMK",
        })
    }
}
