//! The rows of a dialect's table that read facts, from the file's words to what a message is held
//! against.

use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, IntoDeserializer};

use crate::domain::facts::{Certainty, Device, Initiation, Presence};
use crate::iso8583::ELEMENT_MAX;

use super::short_texts::ShortTexts;
use super::table::{ElementRows, Indicator, Reach, ReadFact, Reading, Statement, Test};
use super::value_set::ValueSet;

/// A row that sets a fact of a fixed list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IndicatorRow {
    fact: String,
    value: String,
    element: u8,
    part: Option<String>,
    subelement: Option<u8>,
    from: Option<usize>,
    length: Option<usize>,
    equals: Option<Vec<String>>,
    at_least: Option<u64>,
    byte: Option<usize>,
    bits: Option<String>,
    #[serde(default)]
    present: bool,
}

/// A row that takes a fact over as it stands.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadingRow {
    fact: ReadFact,
    element: u8,
    part: Option<String>,
    subelement: Option<u8>,
    from: Option<usize>,
    length: Option<usize>,
}

/// The rows of a file by the element they read, elements in order of their first row.
pub(super) fn element_rows(
    indicators: Vec<IndicatorRow>,
    readings: Vec<ReadingRow>,
    mistakes: &mut Vec<String>,
) -> Vec<ElementRows> {
    let mut rows: Vec<ElementRows> = Vec::new();
    for (n, row) in indicators.into_iter().enumerate() {
        let place = Place::of(row.element, &row.part, row.subelement);
        match place.and_then(|place| Ok((place, indicator(row)?))) {
            Ok((place, indicator)) => with_rows(&mut rows, place, |row| {
                row.indicators.push((n, indicator));
            }),
            Err(mistake) => mistakes.push(format!("indicator[{n}]: {mistake}")),
        }
    }
    for (n, row) in readings.into_iter().enumerate() {
        let place = Place::of(row.element, &row.part, row.subelement);
        match place.and_then(|place| Ok((place, part(row.element, row.from, row.length)?))) {
            Ok((place, part)) => {
                let reach = Reach {
                    subelement: row.subelement,
                    part,
                };
                let reading = Reading {
                    fact: row.fact,
                    reach,
                };
                with_rows(&mut rows, place, |row| row.readings.push((n, reading)));
            }
            Err(mistake) => mistakes.push(format!("reading[{n}]: {mistake}")),
        }
    }
    for row in &mut rows {
        row.short = row
            .readings
            .is_empty()
            .then(|| ShortTexts::of(&row.indicators));
    }
    rows
}

/// What a row reads: an element, or a part of it.
struct Place {
    element: u8,
    part: Vec<String>,
}

impl Place {
    fn of(element: u8, part: &Option<String>, subelement: Option<u8>) -> Result<Place, String> {
        let keys = part.iter().flat_map(|path| path.split('.'));
        let part: Vec<String> = keys.map(str::to_owned).collect();
        if part.iter().any(String::is_empty) {
            return Err("part: expected names of parts with dots between them".to_owned());
        }
        if !part.is_empty() && subelement.is_some() {
            return Err("expected part or subelement".to_owned());
        }
        Ok(Place { element, part })
    }
}

/// Has the rows of one element, or of one part of it, changed.
fn with_rows(rows: &mut Vec<ElementRows>, place: Place, change: impl FnOnce(&mut ElementRows)) {
    let Place { element, part } = place;
    let mut known = rows.iter_mut();
    if let Some(known) = known.find(|row| row.element == element && row.part == part) {
        return change(known);
    }
    let mut fresh = ElementRows {
        element,
        part,
        indicators: Vec::new(),
        readings: Vec::new(),
        short: None,
    };
    change(&mut fresh);
    rows.push(fresh);
}

/// Where a value of three digits stands.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlaceRow {
    element: u8,
    subelement: Option<u8>,
    from: Option<usize>,
    length: Option<usize>,
}

/// Where a row says that something stands; `key` names it in mistakes.
pub(super) fn place(
    key: &str,
    row: Option<PlaceRow>,
    mistakes: &mut Vec<String>,
) -> Option<(u8, Reach)> {
    let row = row?;
    match part(row.element, row.from, row.length) {
        Ok(part) => {
            let subelement = row.subelement;
            Some((row.element, Reach { subelement, part }))
        }
        Err(mistake) => {
            mistakes.push(format!("{key}: {mistake}"));
            None
        }
    }
}

/// Characters skipped and read, of an element that exists.
fn part(
    element: u8,
    from: Option<usize>,
    length: Option<usize>,
) -> Result<Option<(usize, usize)>, String> {
    if !(2..=ELEMENT_MAX).contains(&element) {
        return Err(format!(
            "element: expected 2 to {ELEMENT_MAX}, got {element}"
        ));
    }
    match (from, length) {
        (None, None) => Ok(None),
        (Some(from), Some(length)) if from > 0 && length > 0 => Ok(Some((from - 1, length))),
        _ => Err("expected from and length, both at least 1, or neither".to_owned()),
    }
}

fn indicator(row: IndicatorRow) -> Result<Indicator, String> {
    let part = match row.byte {
        None => part(row.element, row.from, row.length)?,
        Some(byte) if row.from.is_none() && row.length.is_none() => {
            // Two hexadecimal digits stand for each byte.
            let from = byte.checked_mul(2).and_then(|behind| behind.checked_sub(1));
            part(row.element, from, Some(2))?
        }
        Some(_) => return Err("expected byte, or from and length".to_owned()),
    };
    let element = match (row.subelement, &row.part) {
        (None, None) => format!("DE{}", row.element),
        (None, Some(part)) => format!("DE{} part {part}", row.element),
        (Some(subelement), _) => format!("DE{} subelement {subelement:02}", row.element),
    };
    let place = match row.from.zip(row.length) {
        None => match row.byte {
            None => element,
            Some(byte) => format!("{element} byte {byte}"),
        },
        Some((from, 1)) => format!("{element} position {from}"),
        Some((from, length)) => format!("{element} positions {from}-{}", from + length - 1),
    };
    let (test, condition) = match (row.equals, row.at_least, row.present, row.bits) {
        (None, None, true, None) => (Test::Present, "is there".to_owned()),
        (Some(values), None, false, None) if !values.is_empty() => {
            let condition = format!("= {}", values.join(" or "));
            (Test::Equals(ValueSet::new(values)), condition)
        }
        (None, Some(least), false, None) => (Test::AtLeast(least), format!("at least {least}")),
        (None, None, false, Some(bits)) if row.byte.is_some() => {
            let test = match u8::from_str_radix(&bits, 16) {
                Ok(set) if set != 0 && bits.len() == 2 => Test::Bits(set),
                _ => {
                    return Err(format!(
                        "bits: expected two hexadecimal digits, got {bits:?}"
                    ));
                }
            };
            (test, format!("has a bit of {bits}"))
        }
        _ => {
            let wanted = "expected equals with values, at_least, present, or bits of a byte";
            return Err(wanted.to_owned());
        }
    };
    Ok(Indicator {
        says: statement(&row.fact, &row.value)?,
        reach: Reach {
            subelement: row.subelement,
            part,
        },
        test,
        source: String::leak(format!("{place} {condition}")),
    })
}

fn statement(fact: &str, value: &str) -> Result<Statement, String> {
    Ok(match (fact, value) {
        ("initiation", "recurring") => Statement::Initiation(Initiation::Recurring),
        ("initiation", "instalment") => Statement::Initiation(Initiation::Instalment),
        ("certainty", "estimated") => Statement::Certainty(Certainty::Estimated),
        ("device", "in-flight") => Statement::Device(Device::InFlight),
        ("presence", "present") => Statement::Presence(Presence::Present),
        ("presence", "absent") => Statement::Presence(Presence::Absent),
        ("entry-mode", _) => Statement::Entry(word(fact, value)?),
        ("attendance", _) => Statement::Attendance(word(fact, value)?),
        ("stored-credential", _) => Statement::StoredCredential(word(fact, value)?),
        ("partial-approval", "accepted") => Statement::PartialApproval,
        ("authorization", "incremental") => Statement::Incremental,
        ("cardholder", "authenticated") => Statement::Authenticated,
        ("load-channel", _) => Statement::LoadChannel(word(fact, value)?),
        ("pin-pad", "present") => Statement::PinPad,
        ("advice-reason", _) => Statement::AdviceReason(word(fact, value)?),
        _ => return Err(no_such(fact, value)),
    })
}

/// A value by the word for it.
fn word<T: DeserializeOwned>(fact: &str, value: &str) -> Result<T, String> {
    let read: StrDeserializer<'_, serde::de::value::Error> = value.into_deserializer();
    T::deserialize(read).map_err(|_| no_such(fact, value))
}

fn no_such(fact: &str, value: &str) -> String {
    format!("no fact {fact:?} has the value {value:?}")
}
