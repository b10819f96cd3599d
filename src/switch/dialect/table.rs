//! A dialect's table: processing codes, indicators, network management, response codes.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, IntoDeserializer};

use crate::domain::conditions::{Attendance, EntryMode, StoredCredential};
use crate::domain::decision::{Reason, ResponseCode, ResponseCodes};
use crate::domain::facts::{Certainty, Device, FactName, Initiation, Presence, Purpose};
use crate::domain::rare_facts::{AdviceReason, LoadChannel};
use crate::iso8583::ELEMENT_MAX;

use super::code_list::CodeList;

/// One dialect, proven when it was read.
#[derive(Clone, Debug)]
pub struct Dialect {
    /// Its name.
    pub name: String,
    /// What a response carries, in ascending order of the elements.
    pub response: Vec<ResponseElement>,
    /// Purpose by the first two digits of the processing code.
    purposes: [Purpose; 100],
    /// Rows that set special facts, by the element they read.
    pub rows: Vec<ElementRows>,
    /// Meaning of DE 70.
    management: BTreeMap<u16, Management>,
    /// DE 39 by reason.
    pub codes: ResponseCodes,
    /// What the network says about its codes, where the table tells.
    pub code_list: Option<CodeList>,
}

/// One element of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseElement {
    /// As the request has it, if it has it.
    Echo(u8),
    /// DE 38.
    Approval,
    /// DE 39.
    Code,
    /// DE 6, where a part was approved; else as the request has it, where the dialect wants that.
    Billing(bool),
    /// DE 51, where a part was approved, unless the dialect has it repeated anyway.
    BillingCurrency,
    /// DE 54.
    Balances,
}

impl ResponseElement {
    /// Elements in which a response says something of its own, ascending.
    pub const OWN: [u8; 5] = [6, 38, 39, 51, 54];

    /// What a response has in an element, given whether it repeats that of the request.
    pub fn of(element: u8, echoed: bool) -> Option<ResponseElement> {
        match element {
            6 => Some(ResponseElement::Billing(echoed)),
            38 => Some(ResponseElement::Approval),
            39 => Some(ResponseElement::Code),
            51 if !echoed => Some(ResponseElement::BillingCurrency),
            54 => Some(ResponseElement::Balances),
            other => echoed.then_some(ResponseElement::Echo(other)),
        }
    }
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

/// Rows that read one data element, so that it is looked at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElementRows {
    /// Data element.
    pub element: u8,
    /// Rows that set a fact of a fixed list, with their place in the file.
    pub indicators: Vec<(usize, Indicator)>,
    /// Rows that take a fact over as it stands.
    pub readings: Vec<Reading>,
}

/// A fact that is taken over as it stands, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Which fact.
    pub fact: ReadFact,
    /// Characters skipped, and characters read; `None`: the whole.
    pub part: Option<(usize, usize)>,
}

/// Facts that a row can take over as they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadFact {
    /// The network's name for the transaction.
    LifecycleId,
    /// Which part of a capture this is, from 1.
    PartNumber,
    /// How many parts there are.
    PartCount,
    /// Company code of the partner that took a load.
    LoadPartner,
    /// Leading digits of the card that pays for a load.
    FundingBin,
}

/// A special fact and where it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Indicator {
    /// What it says when it fits.
    pub says: Statement,
    /// Characters skipped, and characters read; `None`: the whole.
    pub part: Option<(usize, usize)>,
    /// When it fits.
    pub test: Test,
    /// The row in words, for evidence. It lives as long as the process, like the table: messages
    /// quote it without counting references.
    pub source: &'static str,
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
    /// How the card number came in.
    Entry(EntryMode),
    /// Whether somebody was there.
    Attendance(Attendance),
    /// Whether the merchant keeps the card number.
    StoredCredential(StoredCredential),
    /// The terminal takes an approval of a part.
    PartialApproval,
    /// It adds to an earlier authorization.
    Incremental,
    /// The cardholder was authenticated.
    Authenticated,
    /// How a load is paid in.
    LoadChannel(LoadChannel),
    /// Why an advice or a reversal was sent.
    AdviceReason(AdviceReason),
}

impl Statement {
    /// How many facts statements are about.
    pub const FACTS: usize = 12;

    /// Which fact it is about, for facts that evidence names.
    pub fn evident(self) -> Option<FactName> {
        match self {
            Statement::Initiation(_) => Some(FactName::Initiation),
            Statement::Certainty(_) => Some(FactName::Certainty),
            Statement::Device(_) => Some(FactName::Device),
            Statement::Presence(_) => Some(FactName::Presence),
            _ => None,
        }
    }

    /// Number of the fact that it is about, below [`Statement::FACTS`].
    pub fn fact(self) -> usize {
        match self {
            Statement::Initiation(_) => 0,
            Statement::Certainty(_) => 1,
            Statement::Device(_) => 2,
            Statement::Presence(_) => 3,
            Statement::Entry(_) => 4,
            Statement::Attendance(_) => 5,
            Statement::StoredCredential(_) => 6,
            Statement::PartialApproval => 7,
            Statement::Incremental => 8,
            Statement::Authenticated => 9,
            Statement::LoadChannel(_) => 10,
            Statement::AdviceReason(_) => 11,
        }
    }
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

    /// What is wrong with the response codes under what the network says about them.
    pub fn code_findings(&self) -> Vec<String> {
        self.code_list
            .as_ref()
            .map_or_else(Vec::new, |list| list.findings(&self.codes))
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
    #[serde(default)]
    reading: Vec<ReadingRow>,
    network_management: BTreeMap<String, Management>,
    response_code: BTreeMap<String, String>,
    code_list: Option<CodeList>,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadingRow {
    fact: ReadFact,
    element: u8,
    from: Option<usize>,
    length: Option<usize>,
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
    let rows = element_rows(file.indicator, file.reading, &mut mistakes);
    let codes = response_codes(&file.response_code, &mut mistakes);
    match codes {
        Some(codes) if mistakes.is_empty() => Ok(Dialect {
            name: file.name,
            response,
            purposes,
            rows,
            management,
            codes,
            code_list: file.code_list,
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
    (2..=ELEMENT_MAX)
        .filter_map(|element| ResponseElement::of(element, echo.contains(&element)))
        .collect()
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

/// The rows of a file by the element they read, elements in order of their first row.
fn element_rows(
    indicators: Vec<IndicatorRow>,
    readings: Vec<ReadingRow>,
    mistakes: &mut Vec<String>,
) -> Vec<ElementRows> {
    let mut rows: Vec<ElementRows> = Vec::new();
    for (n, row) in indicators.into_iter().enumerate() {
        let element = row.element;
        match indicator(row) {
            Ok(indicator) => with_rows(&mut rows, element, |row| {
                row.indicators.push((n, indicator));
            }),
            Err(mistake) => mistakes.push(format!("indicator[{n}]: {mistake}")),
        }
    }
    for (n, row) in readings.into_iter().enumerate() {
        match part(row.element, row.from, row.length) {
            Ok(part) => {
                let reading = Reading {
                    fact: row.fact,
                    part,
                };
                with_rows(&mut rows, row.element, |row| row.readings.push(reading));
            }
            Err(mistake) => mistakes.push(format!("reading[{n}]: {mistake}")),
        }
    }
    rows
}

/// Has the rows of one element changed.
fn with_rows(rows: &mut Vec<ElementRows>, element: u8, change: impl FnOnce(&mut ElementRows)) {
    if let Some(known) = rows.iter_mut().find(|row| row.element == element) {
        return change(known);
    }
    let mut fresh = ElementRows {
        element,
        indicators: Vec::new(),
        readings: Vec::new(),
    };
    change(&mut fresh);
    rows.push(fresh);
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
    let part = part(row.element, row.from, row.length)?;
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
        part,
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
        let indicators = dialect.rows.iter().flat_map(|row| &row.indicators);
        let sources: Vec<&str> = indicators.map(|row| row.1.source).collect();
        assert!(sources.contains(&"DE60 positions 9-10 = 02"), "{sources:?}");
        assert!(sources.contains(&"DE61 position 4 = 4"), "{sources:?}");
        assert!(sources.contains(&"DE67 at least 2"), "{sources:?}");
    }
}
