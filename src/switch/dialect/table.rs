//! A dialect's table: processing codes, indicators, network management, response codes.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::domain::conditions::{Attendance, EntryMode, StoredCredential};
use crate::domain::decision::{Reason, ResponseCode, ResponseCodes};
use crate::domain::facts::{Certainty, Device, FactName, Initiation, Presence, Purpose};
use crate::domain::rare_facts::{AdviceReason, LoadChannel};
use crate::iso8583::ELEMENT_MAX;

use super::code_list::CodeList;
use super::short_texts::ShortTexts;
use super::table_rows::{IndicatorRow, PlaceRow, ReadingRow, element_rows, place};
use super::value_set::{Read, ValueSet};

/// One dialect, proven when it was read.
#[derive(Clone, Debug)]
pub struct Dialect {
    /// Its name.
    pub name: String,
    /// Where the elements of its messages stand.
    pub edition: Edition,
    /// Elements that a response repeats from its request, when the request has them, ascending.
    pub echo: Vec<u8>,
    /// Purpose by the first two digits of the processing code.
    purposes: [Purpose; 100],
    /// The element of the new PIN's block in a PIN change, where the dialect has such.
    pub new_pin: Option<u8>,
    /// Element and place of the printed card verification value, where the dialect has such.
    pub printed_value: Option<(u8, Reach)>,
    /// Element and place of a new key of the link, where the dialect has such.
    pub key_exchange: Option<(u8, Reach)>,
    /// Rows that set special facts, by the element they read.
    pub rows: Vec<ElementRows>,
    /// Meaning of DE 70.
    management: BTreeMap<u16, Management>,
    /// DE 39 by reason.
    pub codes: ResponseCodes,
    /// What the network says about its codes, where the table tells.
    pub code_list: Option<CodeList>,
}

/// Which edition of ISO 8583 lays out the elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Edition {
    /// 1987: response codes of two characters.
    #[default]
    Of1987,
    /// 1993: action codes of three digits, function code, message reason, original data in DE 56.
    Of1993,
    /// 2003: action codes of four digits, amounts with their currency, trace numbers of twelve.
    Of2003,
}

impl Edition {
    fn of(year: u16) -> Option<Edition> {
        match year {
            1987 => Some(Edition::Of1987),
            1993 => Some(Edition::Of1993),
            2003 => Some(Edition::Of2003),
            _ => None,
        }
    }

    /// Characters of DE 39.
    pub fn code_length(self) -> usize {
        match self {
            Edition::Of1987 => 2,
            Edition::Of1993 => 3,
            Edition::Of2003 => 4,
        }
    }

    /// The element of the merchant category.
    pub fn mcc(self) -> u8 {
        match self {
            Edition::Of1987 => 18,
            Edition::Of1993 | Edition::Of2003 => 26,
        }
    }

    /// The element that says what network management asks for.
    pub fn management(self) -> u8 {
        match self {
            Edition::Of1987 => 70,
            Edition::Of1993 | Edition::Of2003 => 24,
        }
    }

    /// The element with the date of a reconciliation or a cutover.
    pub fn reconciliation_date(self) -> u8 {
        match self {
            Edition::Of1987 => 15,
            Edition::Of1993 | Edition::Of2003 => 28,
        }
    }

    /// Whether a code of the peer is an approval.
    pub fn is_approval(self, code: &str) -> bool {
        match self {
            Edition::Of1987 => matches!(code, "00" | "10" | "85"),
            Edition::Of1993 | Edition::Of2003 => code.starts_with('0'),
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
    /// Here is a new key of the link; its key block says for what.
    NewKey,
    /// Here is a new key for authentication codes.
    NewMacKey,
    /// Here is a new key for PIN blocks.
    NewPinKey,
}

/// Rows that read one data element, so that it is looked at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElementRows {
    /// Data element.
    pub element: u8,
    /// Names of the part of it that is read, and of the part of that, as the specification divides
    /// the element; none for the whole.
    pub part: Vec<String>,
    /// Rows that set a fact of a fixed list, with their place in the file.
    pub indicators: Vec<(usize, Indicator)>,
    /// Rows that take a fact over as it stands, with their place in the file.
    pub readings: Vec<(usize, Reading)>,
    /// Which indicators fit each short text, where nothing else reads the element.
    pub(super) short: Option<ShortTexts>,
}

impl ElementRows {
    /// Positions of the indicators that fit a text, where that was worked out beforehand.
    pub fn fitting(&self, text: &str) -> Option<&[u8]> {
        self.short.as_ref()?.fitting(text)
    }
}

/// Where in an element a row reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Subelement: after one leading character, each has two digits of number, two of length.
    pub subelement: Option<u8>,
    /// Characters skipped, and characters read; `None`: the whole.
    pub part: Option<(usize, usize)>,
}

impl Reach {
    /// What a row reads of an element's text, where all of it is there.
    pub fn cut(self, text: &str) -> Option<&str> {
        let text = match self.subelement {
            None => text,
            Some(wanted) => subelement(text, wanted)?,
        };
        match self.part {
            None => Some(text),
            Some((skip, length)) => text.get(skip..skip.saturating_add(length)),
        }
    }
}

fn subelement(text: &str, wanted: u8) -> Option<&str> {
    let mut rest = text.get(1..)?;
    loop {
        let number: u8 = rest.get(..2)?.parse().ok()?;
        let length: usize = rest.get(2..4)?.parse().ok()?;
        let end = length.checked_add(4)?;
        let data = rest.get(4..end)?;
        if number == wanted {
            return Some(data);
        }
        rest = rest.get(end..)?;
    }
}

/// A fact that is taken over as it stands, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Which fact.
    pub fact: ReadFact,
    /// Where it stands.
    pub reach: Reach,
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

impl ReadFact {
    /// How many such facts there are.
    pub const FACTS: usize = 5;

    /// Number of the fact, below [`ReadFact::FACTS`].
    pub fn number(self) -> usize {
        match self {
            ReadFact::LifecycleId => 0,
            ReadFact::PartNumber => 1,
            ReadFact::PartCount => 2,
            ReadFact::LoadPartner => 3,
            ReadFact::FundingBin => 4,
        }
    }
}

/// A special fact and where it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Indicator {
    /// What it says when it fits.
    pub says: Statement,
    /// Where it reads.
    pub reach: Reach,
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
    /// The terminal takes PINs.
    PinPad,
}

impl Statement {
    /// How many facts statements are about.
    pub const FACTS: usize = 13;

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
            Statement::PinPad => 12,
        }
    }
}

/// When an indicator fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// The characters are one of these.
    Equals(ValueSet),
    /// The characters are a number of at least this.
    AtLeast(u64),
    /// There is something.
    Present,
    /// One of these bits of a byte is set; the byte stands as two hexadecimal digits.
    Bits(u8),
}

impl Test {
    /// Whether it fits what was read.
    pub fn fits(&self, read: Read<'_>) -> bool {
        match self {
            Test::Equals(values) => values.has(read),
            Test::Present => !read.text.trim().is_empty(),
            Test::Bits(bits) => {
                let byte = u8::from_str_radix(read.text, 16);
                byte.is_ok_and(|byte| byte & bits != 0)
            }
            Test::AtLeast(least) => {
                let number = read.text.parse::<u64>();
                number.is_ok_and(|number| number >= *least)
            }
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
    #[serde(default = "first_edition")]
    edition: u16,
    echo: Vec<u8>,
    processing_code: BTreeMap<String, Purpose>,
    indicator: Vec<IndicatorRow>,
    #[serde(default)]
    reading: Vec<ReadingRow>,
    network_management: BTreeMap<String, Management>,
    pin_change: Option<PinChangeRow>,
    printed_value: Option<PlaceRow>,
    key_exchange: Option<PlaceRow>,
    response_code: BTreeMap<String, String>,
    code_list: Option<CodeList>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PinChangeRow {
    new_pin: u8,
}

fn first_edition() -> u16 {
    1987
}

/// Reads a dialect's table.
///
/// # Errors
/// All its mistakes, each with the key it stands under.
pub fn parse(text: &str) -> Result<Dialect, Vec<String>> {
    let file: File = toml::from_str(text).map_err(|error| vec![error.to_string()])?;
    let mut mistakes = Vec::new();

    let edition = Edition::of(file.edition).unwrap_or_else(|| {
        let got = file.edition;
        mistakes.push(format!("edition: expected 1987, 1993 or 2003, got {got}"));
        Edition::default()
    });
    let echo = echoed_elements(&file.echo, &mut mistakes);
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
    let new_pin = new_pin_element(file.pin_change, &purposes, &mut mistakes);
    let printed_value = place("printed_value", file.printed_value, &mut mistakes);
    let key_exchange = place("key_exchange", file.key_exchange, &mut mistakes);
    let brings_key = |management: &Management| {
        use Management::{NewKey, NewMacKey, NewPinKey};
        matches!(management, NewKey | NewMacKey | NewPinKey)
    };
    if key_exchange.is_none() && management.values().any(brings_key) {
        mistakes.push("key_exchange: a new key needs the element of it".to_owned());
    }
    let rows = element_rows(file.indicator, file.reading, &mut mistakes);
    let codes = response_codes(&file.response_code, edition, &mut mistakes);
    match codes {
        Some(codes) if mistakes.is_empty() => Ok(Dialect {
            name: file.name,
            edition,
            echo,
            purposes,
            new_pin,
            printed_value,
            key_exchange,
            rows,
            management,
            codes,
            code_list: file.code_list,
        }),
        _ => Err(mistakes),
    }
}

/// A PIN change without a new PIN would be none.
fn new_pin_element(
    row: Option<PinChangeRow>,
    purposes: &[Purpose],
    mistakes: &mut Vec<String>,
) -> Option<u8> {
    let element = row.map(|row| row.new_pin);
    match element {
        Some(element) if !(2..=ELEMENT_MAX).contains(&element) || element == 52 => {
            mistakes.push(format!(
                "pin_change.new_pin: expected 2 to {ELEMENT_MAX}, without 52, got {element}"
            ));
        }
        None if purposes.contains(&Purpose::PinChange) => {
            mistakes.push("pin_change.new_pin: a PIN change needs the element of it".to_owned());
        }
        Some(_) | None => {}
    }
    element
}

fn echoed_elements(echo: &[u8], mistakes: &mut Vec<String>) -> Vec<u8> {
    let own = [38, 39, 54, 64, 128];
    if echo
        .iter()
        .any(|element| !(2..=ELEMENT_MAX).contains(element) || own.contains(element))
    {
        mistakes.push(format!(
            "echo: expected elements 2 to {ELEMENT_MAX}, without 38, 39, 54, 64, 128"
        ));
    }
    let mut elements = echo.to_vec();
    elements.sort_unstable();
    elements.dedup();
    elements
}

fn numeric(text: &str, digits: usize) -> Option<u16> {
    let all_digits = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| text.parse().ok()).flatten()
}

fn response_codes(
    rows: &BTreeMap<String, String>,
    edition: Edition,
    mistakes: &mut Vec<String>,
) -> Option<ResponseCodes> {
    for (name, code) in rows {
        if Reason::from_name(name).is_none() {
            mistakes.push(format!(
                "response_code: {name:?} is no reason of this switch"
            ));
        }
        let length = edition.code_length();
        if code.len() != length || !code.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            mistakes.push(format!(
                "response_code.{name}: expected {length} characters, got {code:?}"
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
