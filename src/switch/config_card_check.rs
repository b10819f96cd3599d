//! The sections `[[card_check]]` of the configuration: what is checked of which cards.

use toml::Value;

use super::config::Knob;
use super::config_file::{Notes, Section};

/// Longest leading part of a card number that may be named, digits.
const BIN_DIGITS_MAX: usize = 19;

/// What is checked of cards with these leading digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardCheck {
    /// Leading digits of card numbers; of several rows that fit, that of the longest counts.
    pub bins: Vec<String>,
    /// Name of the key (usage E0) of their request cryptograms; `None`: none is checked.
    pub chip_key: Option<String>,
    /// Whether one that was read by its chip must bring a cryptogram.
    pub chip_required: bool,
    /// Name of the key (usage C0) of their card verification values; `None`: none is checked.
    pub value_key: Option<String>,
    /// Whether one that was read by its stripe must bring a track.
    pub track_required: bool,
    /// Where the value begins in the issuer's own part of track 2, from 1; 0: it is not checked.
    pub track2_value_at: usize,
    /// The same of track 1.
    pub track1_value_at: usize,
    /// In which order the printed value takes month and year.
    pub printed_expiry: ExpiryOrder,
    /// Card status update that a chip of version 18 is told with an approval.
    pub status_approved: [u8; 4],
    /// The same with a decline.
    pub status_declined: [u8; 4],
}

/// In which order year and month go into a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiryOrder {
    /// `YYMM`.
    YearMonth,
    /// `MMYY`.
    MonthYear,
}

const ORDERS: &[(&str, ExpiryOrder)] = &[
    ("yymm", ExpiryOrder::YearMonth),
    ("mmyy", ExpiryOrder::MonthYear),
];

/// Characters. Behind the index of a PIN verification key and the PIN verification value.
const TRACK2_VALUE_AT: Knob<usize> = value_at("track2_value_at");
/// Characters. As in track 2.
const TRACK1_VALUE_AT: Knob<usize> = value_at("track1_value_at");

const fn value_at(key: &'static str) -> Knob<usize> {
    Knob {
        key,
        min: 0,
        max: 40,
        standard: 6,
    }
}

impl CardCheck {
    /// With standard values, of these cards.
    pub fn standard(bins: Vec<String>) -> CardCheck {
        CardCheck {
            bins,
            chip_key: None,
            chip_required: true,
            value_key: None,
            track_required: true,
            track2_value_at: TRACK2_VALUE_AT.standard,
            track1_value_at: TRACK1_VALUE_AT.standard,
            printed_expiry: ExpiryOrder::YearMonth,
            // "Issuer approves online transaction" (EMV CCD, byte 2 bit 8).
            status_approved: [0x00, 0x80, 0x00, 0x00],
            status_declined: [0; 4],
        }
    }

    /// The same row once for each of its leading digits.
    pub(super) fn by_bin(self) -> impl Iterator<Item = CardCheck> {
        let bins = self.bins.clone();
        bins.into_iter().map(move |bin| CardCheck {
            bins: vec![bin],
            ..self.clone()
        })
    }
}

/// The sections; none without any.
pub(super) fn card_checks(top: &mut Section, notes: &mut Notes) -> Vec<CardCheck> {
    let rows = match top.has("card_check").then(|| top.take("card_check", notes)) {
        None | Some(None) => return Vec::new(),
        Some(Some(Value::Array(rows))) => rows,
        Some(Some(other)) => {
            notes.mistake("card_check", "[[card_check]] sections", &other);
            return Vec::new();
        }
    };
    let mut checks = Vec::with_capacity(rows.len());
    for (index, row) in rows.into_iter().enumerate() {
        let key = format!("card_check[{index}]");
        match row {
            Value::Table(table) => checks.push(card_check(Section::new(key, table), notes)),
            other => notes.mistake(&key, "a [[card_check]] section", &other),
        }
    }
    checks
}

fn card_check(mut section: Section, notes: &mut Notes) -> CardCheck {
    let standard = CardCheck::standard(bins(&mut section, notes));
    let check = CardCheck {
        chip_key: section.text_optional("chip_key", notes),
        chip_required: section.switch("chip_required", standard.chip_required, notes),
        value_key: section.text_optional("value_key", notes),
        track_required: section.switch("track_required", standard.track_required, notes),
        track2_value_at: section.number(&TRACK2_VALUE_AT, notes),
        track1_value_at: section.number(&TRACK1_VALUE_AT, notes),
        printed_expiry: section
            .word(
                "printed_expiry",
                Some(standard.printed_expiry),
                ORDERS,
                notes,
            )
            .unwrap_or(standard.printed_expiry),
        status_approved: status(
            &mut section,
            "status_approved",
            standard.status_approved,
            notes,
        ),
        status_declined: status(
            &mut section,
            "status_declined",
            standard.status_declined,
            notes,
        ),
        ..standard
    };
    section.finish(notes);
    check
}

/// Leading digits of card numbers; at least one of them.
fn bins(section: &mut Section, notes: &mut Notes) -> Vec<String> {
    let value = section.take("bins", notes);
    let value = value.unwrap_or_else(|| Value::Array(Vec::new()));
    let is_bin = |text: &&str| {
        let size = 1..=BIN_DIGITS_MAX;
        size.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let rows = value.as_array().map(Vec::as_slice).unwrap_or_default();
    let read = |row: &Value| row.as_str().filter(is_bin).map(str::to_owned);
    match rows.iter().map(read).collect::<Option<Vec<String>>>() {
        Some(bins) if !bins.is_empty() => bins,
        _ => {
            let expected = "leading digits such as [\"476173\"]";
            notes.mistake(&section.key_of("bins"), expected, &value);
            Vec::new()
        }
    }
}

/// Four bytes as eight hexadecimal digits.
fn status(section: &mut Section, key: &str, standard: [u8; 4], notes: &mut Notes) -> [u8; 4] {
    let Some(value) = section.take(key, notes) else {
        return standard;
    };
    let bytes = value
        .as_str()
        .and_then(|text| base16ct::mixed::decode_vec(text).ok());
    match bytes.and_then(|bytes| bytes.try_into().ok()) {
        Some(status) => status,
        None => {
            notes.mistake(&section.key_of(key), "eight hexadecimal digits", &value);
            standard
        }
    }
}
