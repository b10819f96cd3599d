//! A dialect's table: processing codes, indicators, network management, response codes.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::domain::decision::{Reason, ResponseCode, ResponseCodes};
use crate::domain::facts::{Certainty, Device, Initiation, Presence, Purpose};
use crate::iso8583::ELEMENT_MAX;

/// One dialect, proven when it was read.
#[derive(Clone, Debug)]
pub struct Dialect {
    /// Its name.
    pub name: String,
    /// What a response carries, in ascending order of the elements.
    pub response: Vec<ResponseElement>,
    /// Purpose by the first two digits of the processing code.
    purposes: [Purpose; 100],
    /// Rows that set special facts, in order.
    pub indicators: Vec<Indicator>,
    /// Meaning of DE 70.
    management: BTreeMap<u16, Management>,
    /// DE 39 by reason.
    pub codes: ResponseCodes,
}

/// One element of a response, or several that are repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponseElement {
    /// As the request has them, if it has them; ascending.
    Echo(Vec<u8>),
    /// DE 38.
    Approval,
    /// DE 39.
    Code,
    /// DE 54.
    Balances,
}

/// What a network management message asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Management {
    /// The peer will send requests.
    SignOn,
    /// The peer will send none until it signs on again.
    SignOff,
    /// Are you there?
    Echo,
    /// The network's business day has changed.
    Cutover,
}

/// A special fact and where it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Indicator {
    /// What it says when it fits.
    pub says: Statement,
    /// Data element.
    pub element: u8,
    /// Characters skipped, and characters read; `None`: the whole.
    pub part: Option<(usize, usize)>,
    /// When it fits.
    pub test: Test,
    /// The row in words, for evidence.
    pub source: Arc<str>,
}

/// One fact with its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statement {
    /// Who started it.
    Initiation(Initiation),
    /// Whether the amount stands.
    Certainty(Certainty),
    /// Kind of terminal.
    Device(Device),
    /// Whether the card was there.
    Presence(Presence),
}

/// When an indicator fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// The characters are one of these.
    Equals(Vec<String>),
    /// The characters are a number of at least this.
    AtLeast(u64),
}

impl Test {
    /// Whether it fits what was read.
    pub fn fits(&self, read: &str) -> bool {
        match self {
            Test::Equals(values) => values.iter().any(|value| value == read),
            Test::AtLeast(least) => read.parse::<u64>().is_ok_and(|number| number >= *least),
        }
    }
}

impl Dialect {
    /// The purpose that a six-digit processing code names.
    pub fn purpose(&self, processing_code: u64) -> Purpose {
        let position = usize::try_from(processing_code / 10_000).unwrap_or(usize::MAX);
        self.purposes
            .get(position)
            .copied()
            .unwrap_or(Purpose::Unnamed)
    }

    /// What DE 70 asks for.
    pub fn management(&self, code: u16) -> Option<Management> {
        self.management.get(&code).copied()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    echo: Vec<u8>,
    processing_code: BTreeMap<String, Purpose>,
    indicator: Vec<IndicatorRow>,
    network_management: BTreeMap<String, Management>,
    response_code: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IndicatorRow {
    fact: String,
    value: String,
    element: u8,
    from: Option<usize>,
    length: Option<usize>,
    equals: Option<Vec<String>>,
    at_least: Option<u64>,
}

/// Reads a dialect's table.
///
/// # Errors
/// All its mistakes, each with the key it stands under.
pub fn parse(text: &str) -> Result<Dialect, Vec<String>> {
    let file: File = toml::from_str(text).map_err(|error| vec![error.to_string()])?;
    let mut mistakes = Vec::new();

    let response = response_elements(&file.echo, &mut mistakes);
    let mut purposes = [Purpose::Unnamed; 100];
    for (code, purpose) in &file.processing_code {
        match numeric(code, 2).and_then(|position| purposes.get_mut(usize::from(position))) {
            Some(slot) => *slot = *purpose,
            None => mistakes.push(format!(
                "processing_code: expected two digits, got {code:?}"
            )),
        }
    }
    let mut management = BTreeMap::new();
    for (code, meaning) in file.network_management {
        match numeric(&code, 3) {
            Some(number) => {
                management.insert(number, meaning);
            }
            None => {
                mistakes.push(format!(
                    "network_management: expected three digits, got {code:?}"
                ));
            }
        }
    }
    let mut indicators = Vec::new();
    for (n, row) in file.indicator.into_iter().enumerate() {
        match indicator(row) {
            Ok(indicator) => indicators.push(indicator),
            Err(mistake) => mistakes.push(format!("indicator[{n}]: {mistake}")),
        }
    }
    let codes = response_codes(&file.response_code, &mut mistakes);
    match codes {
        Some(codes) if mistakes.is_empty() => Ok(Dialect {
            name: file.name,
            response,
            purposes,
            indicators,
            management,
            codes,
        }),
        _ => Err(mistakes),
    }
}

fn response_elements(echo: &[u8], mistakes: &mut Vec<String>) -> Vec<ResponseElement> {
    let own = [38, 39, 54];
    if echo
        .iter()
        .any(|element| !(2..=ELEMENT_MAX).contains(element) || own.contains(element))
    {
        mistakes.push(format!(
            "echo: expected elements 2 to {ELEMENT_MAX}, without 38, 39, 54"
        ));
    }
    let mut elements = Vec::new();
    for element in 2..=ELEMENT_MAX {
        match (element, elements.last_mut()) {
            (38, _) => elements.push(ResponseElement::Approval),
            (39, _) => elements.push(ResponseElement::Code),
            (54, _) => elements.push(ResponseElement::Balances),
            _ if !echo.contains(&element) => {}
            (_, Some(ResponseElement::Echo(neighbours))) => neighbours.push(element),
            _ => elements.push(ResponseElement::Echo(vec![element])),
        }
    }
    elements
}

fn numeric(text: &str, digits: usize) -> Option<u16> {
    let all_digits = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| text.parse().ok()).flatten()
}

fn response_codes(
    rows: &BTreeMap<String, String>,
    mistakes: &mut Vec<String>,
) -> Option<ResponseCodes> {
    for (name, code) in rows {
        if Reason::from_name(name).is_none() {
            mistakes.push(format!(
                "response_code: {name:?} is no reason of this switch"
            ));
        }
        if code.len() != 2 || !code.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            mistakes.push(format!(
                "response_code.{name}: expected two characters, got {code:?}"
            ));
        }
    }
    let code_of = |reason: Reason| ResponseCode::from(rows.get(reason.name())?).ok();
    match ResponseCodes::build(code_of) {
        Ok(codes) => Some(codes),
        Err(missing) => {
            mistakes.push(format!("response_code: no row for {}", missing.join(", ")));
            None
        }
    }
}

fn indicator(row: IndicatorRow) -> Result<Indicator, String> {
    if !(2..=ELEMENT_MAX).contains(&row.element) {
        return Err(format!(
            "element: expected 2 to {ELEMENT_MAX}, got {}",
            row.element
        ));
    }
    let part = match (row.from, row.length) {
        (None, None) => None,
        (Some(from), Some(length)) if from > 0 && length > 0 => Some((from - 1, length)),
        _ => return Err("expected from and length, both at least 1, or neither".to_owned()),
    };
    let place = match row.from.zip(row.length) {
        None => format!("DE{}", row.element),
        Some((from, 1)) => format!("DE{} position {from}", row.element),
        Some((from, length)) => format!("DE{} positions {from}-{}", row.element, from + length - 1),
    };
    let (test, condition) = match (row.equals, row.at_least) {
        (Some(values), None) if !values.is_empty() => {
            let condition = format!("= {}", values.join(" or "));
            (Test::Equals(values), condition)
        }
        (None, Some(least)) => (Test::AtLeast(least), format!("at least {least}")),
        _ => return Err("expected either equals with values or at_least".to_owned()),
    };
    Ok(Indicator {
        says: statement(&row.fact, &row.value)?,
        element: row.element,
        part,
        test,
        source: format!("{place} {condition}").into(),
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
        _ => return Err(format!("no fact {fact:?} has the value {value:?}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISO87: &str = include_str!("../../../spec/dialect/iso87.toml");

    #[test]
    fn the_generic_dialect_is_sound() {
        let dialect = parse(ISO87).unwrap();
        assert_eq!(dialect.purpose(200_000), Purpose::Refund);
        assert_eq!(dialect.purpose(990_000), Purpose::Unnamed);
        assert_eq!(dialect.management(301), Some(Management::Echo));
        assert_eq!(dialect.codes.code(Reason::InsufficientFunds).as_str(), "51");
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let text = ISO87
            .replace("insufficient-funds = \"51\"", "insufficient-fonds = \"51\"")
            .replace("\"301\" = \"echo\"", "\"31\" = \"echo\"")
            .replace("value = \"in-flight\"", "value = \"at-sea\"");
        let all = parse(&text).unwrap_err().join("\n");
        for part in [
            "insufficient-fonds",
            "no row for insufficient-funds",
            "\"31\"",
            "at-sea",
        ] {
            assert!(all.contains(part), "{part} is not in {all}");
        }
    }

    #[test]
    fn an_indicator_says_where_it_reads() {
        let dialect = parse(ISO87).unwrap();
        let sources: Vec<&str> = dialect.indicators.iter().map(|row| &*row.source).collect();
        assert!(sources.contains(&"DE60 positions 9-10 = 02"), "{sources:?}");
        assert!(sources.contains(&"DE61 position 4 = 4"), "{sources:?}");
        assert!(sources.contains(&"DE67 at least 2"), "{sources:?}");
    }
}
