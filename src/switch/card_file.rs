//! Reads a card file (`[[card]]` rows, such as `fixtures/demo.toml`) into accounts to open.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::domain::account::{AccountId, Kyc, ProgrammeName};
use crate::domain::card::{CardStatus, ExpiryMonth, PinReference};
use crate::domain::holder::Applicant;
use crate::domain::pan::Pan;
use crate::domain::rulebook::Rulebook;
use crate::domain::time::BusinessDate;
use crate::engine::command::{HeldBy, NewCard, OpenAccount};

use super::pin::OnFile;
use super::token::TokenKey;

/// One card of a file: what the engine shall open, and what a person may see of it.
#[derive(Clone, Debug)]
pub struct CardRow {
    /// The account with its card.
    pub account: OpenAccount,
    /// Its number; printed only where the file itself is public, as the demo cards are.
    pub pan: Pan,
    /// What tells its right PIN from a wrong one, where the file says.
    pub pin: Option<PinReference>,
    /// What it is for, in the file's words.
    pub note: String,
}

impl CardRow {
    /// What is on file about the card once it is opened with this PIN.
    pub fn on_file(&self, account: AccountId, reference: PinReference) -> OnFile {
        let born = match self.account.holder {
            HeldBy::Applicant(applicant) => Some(applicant.born),
            HeldBy::Registered(_) | HeldBy::Nobody => None,
        };
        OnFile {
            reference,
            account,
            born,
        }
    }
}

/// A card file with mistakes; none of its cards was opened.
#[derive(Debug, thiserror::Error)]
#[error("card file: {}", .0.join("\n  "))]
pub struct CardFileError(pub Vec<String>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    card: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    pan: String,
    expiry: Option<String>,
    programme: String,
    kyc: Kyc,
    status: Option<CardStatus>,
    #[serde(default)]
    purses: BTreeMap<String, i64>,
    pin: Option<PinRow>,
    born: Option<String>,
    #[serde(default)]
    consent: bool,
    #[serde(default)]
    note: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PinRow {
    key_index: u8,
    verification_value: String,
}

/// A verification value under the index of its key; the error never shows it.
fn pin_reference(row: &PinRow) -> Result<PinReference, &'static str> {
    let digits = row.verification_value.as_bytes();
    let is_value = digits.len() == 4 && digits.iter().all(u8::is_ascii_digit);
    if row.key_index > 9 || !is_value {
        return Err("pin: expected key_index 0 to 9 and a verification_value of four digits");
    }
    let mut value = [0; 4];
    for (slot, digit) in value.iter_mut().zip(digits) {
        *slot = digit - b'0';
    }
    Ok(PinReference {
        key_index: row.key_index,
        value,
    })
}

/// Reads a card file.
///
/// # Errors
/// Every mistake at once, by row; card numbers are masked.
pub fn parse(
    text: &str,
    rulebook: &Rulebook,
    token_key: &TokenKey,
) -> Result<Vec<CardRow>, CardFileError> {
    // TOML errors quote the source line, which may hold a card number: only the place is told.
    let file: File = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(0, |span| line_of(text, span.start));
        CardFileError(vec![format!("line {line}: {}", error.message())])
    })?;
    let mut mistakes = Vec::new();
    let mut rows = Vec::new();
    for (n, row) in file.card.into_iter().enumerate() {
        match read_row(row, rulebook, token_key) {
            Ok(row) => rows.push(row),
            Err(mistake) => mistakes.push(format!("card[{n}]: {mistake}")),
        }
    }
    if mistakes.is_empty() {
        Ok(rows)
    } else {
        Err(CardFileError(mistakes))
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
        .saturating_add(1)
}

fn read_row(row: Row, rulebook: &Rulebook, token_key: &TokenKey) -> Result<CardRow, String> {
    let pan = Pan::parse(&row.pan).ok_or("pan: expected 8 to 19 digits")?;
    let masked = pan.masked();
    let programme = ProgrammeName::of(&row.programme)
        .and_then(|name| rulebook.programme(&name))
        .ok_or_else(|| format!("{masked}: programme {:?} is not loaded", row.programme))?;
    let (owner, range) = rulebook
        .range_of(&pan)
        .ok_or_else(|| format!("{masked}: no programme has this number range"))?;
    if owner.name != programme.name {
        return Err(format!(
            "{masked}: its number range belongs to {}",
            owner.name
        ));
    }
    if row.pan.len() != range.pan_length {
        return Err(format!("{masked}: expected {} digits", range.pan_length));
    }
    if range.check_digit && !pan.has_valid_check_digit() {
        return Err(format!("{masked}: its check digit is wrong"));
    }
    let expiry = match &row.expiry {
        None => None,
        Some(text) => Some(
            text.parse()
                .ok()
                .and_then(ExpiryMonth::from_yymm)
                .ok_or_else(|| format!("{masked}: expiry: expected YYMM, got {text:?}"))?,
        ),
    };
    for (id, minor) in &row.purses {
        if programme.purse_named(id).is_none() {
            return Err(format!(
                "{masked}: programme {} has no purse {id:?}",
                programme.name
            ));
        }
        if *minor < 0 {
            return Err(format!(
                "{masked}: purse {id:?}: expected 0 or more, got {minor}"
            ));
        }
    }
    let pin = row.pin.as_ref().map(pin_reference).transpose();
    let holder = match row.born.as_deref().map(BusinessDate::from_iso) {
        None => HeldBy::Nobody,
        Some(Some(born)) => HeldBy::Applicant(Applicant {
            born,
            consent: row.consent,
        }),
        Some(None) => return Err(format!("{masked}: born: expected YYYY-MM-DD")),
    };
    Ok(CardRow {
        pin: pin.map_err(|wrong| format!("{masked}: {wrong}"))?,
        account: OpenAccount {
            programme: programme.name,
            kyc: row.kyc,
            balances: row.purses.into_iter().collect(),
            card: NewCard {
                token: token_key.token(&pan),
                masked,
                expiry,
                status: row.status.unwrap_or(CardStatus::Active),
            },
            holder,
        },
        pan,
        note: row.note,
    })
}
