//! Lines of a clearing file: read by column name, checked, made into facts for the engine, and what
//! came of them. `spec/clearing.md` is the page of the format.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::card::CardId;
use crate::domain::facts::{CLEARING_ORIGINATOR, Facts, MessageKind, Purpose, Trace};
use crate::domain::masking;
use crate::domain::merchant::{Mcc, Origin};
use crate::domain::money::{Amount, Currency};
use crate::domain::pan::{CardToken, Pan};
use crate::domain::rare_facts::{CapturePart, MonthDay, RareFacts};
use crate::domain::rulebook::Rulebook;
use crate::domain::short_text::ShortText;
use crate::engine::clearing::{Matched, Presented, Presentment};
use crate::engine::command::{Answer, Body, Command};
use crate::engine::decide::decide;
use crate::engine::event::ExceptionKind;
use crate::engine::operation::Reference;
use crate::engine::state::State;

use super::token::TokenKey;

/// Lines that are checked or posted together, at most.
pub const LINES_TOGETHER_MAX: usize = 256;
/// Longest name of a batch or a line, characters.
const NAME_CHARACTERS_MAX: usize = 36;

/// What a line says, by column.
pub type Columns = BTreeMap<String, String>;

/// Every column that a line can have.
pub const COLUMNS: [&str; 25] = [
    "line",
    "kind",
    "pan",
    "card",
    "amount",
    "currency",
    "billing_amount",
    "billing_currency",
    "approval",
    "rrn",
    "terminal",
    "acceptor",
    "acceptor_name",
    "mcc",
    "acquirer_country",
    "merchant_country",
    "lifecycle_id",
    "original_acquirer",
    "original_transmitted",
    "original_stan",
    "part",
    "parts",
    "settlement_date",
    "acquirer_fee",
    "note",
];

/// The card of a line.
#[derive(Clone, Copy)]
enum CardOf {
    Number(Pan),
    Id(CardId),
}

/// One line that can be read, without its batch.
pub struct Line {
    /// Its own name, unique in its batch.
    pub name: String,
    card: CardOf,
    facts: Facts,
}

/// The name of a batch or a line.
///
/// # Errors
/// A sentence that says what was expected.
pub fn name_of(text: &str) -> Result<Reference, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    let is_secret = masking::masked(text).is_some();
    Reference::from(text)
        .ok()
        .filter(|it| !it.is_empty() && it.bytes().all(plain) && !is_secret)
        .ok_or_else(|| {
            format!(
                "expected 1 to {NAME_CHARACTERS_MAX} letters, digits, - _ . or :, and no card \
                 number"
            )
        })
}

/// Columns as they are read, with what is wrong in them. Mistakes never quote a value.
struct Reader<'a> {
    columns: &'a Columns,
    mistakes: Vec<String>,
}

impl<'a> Reader<'a> {
    /// A column with something in it.
    fn text(&self, column: &str) -> Option<&'a str> {
        let text = self.columns.get(column).map(|text| text.trim());
        text.filter(|text| !text.is_empty())
    }

    fn wrong(&mut self, column: &str, expected: &str) {
        self.mistakes.push(format!("{column}: expected {expected}"));
    }

    /// What `read` makes of a column; `None` without it or with a mistake noted.
    fn read<T>(
        &mut self,
        column: &str,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = read(self.text(column)?);
        if value.is_none() {
            self.wrong(column, expected);
        }
        value
    }

    /// The same of a column that must be there.
    fn must<T>(
        &mut self,
        column: &str,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        if self.text(column).is_none() {
            self.mistakes.push(format!("{column}: is missing"));
        }
        self.read(column, expected, read)
    }

    fn characters<const N: usize>(&mut self, column: &str) -> ShortText<N> {
        let expected = format!("{N} characters at most");
        self.read(column, &expected, ShortText::of)
            .unwrap_or_default()
    }

    /// An amount of which both columns are there, or neither.
    fn amount(&mut self, minor: &str, currency: &str) -> Option<Amount> {
        let has_both = self.text(minor).is_some() == self.text(currency).is_some();
        if !has_both {
            self.wrong(minor, &format!("both {minor} and {currency}, or neither"));
        }
        let minor = self.read(minor, "minor units above 0", positive);
        let currency = self.read(currency, "ISO 4217 letters", Currency::from_alpha);
        Some(Amount::new(minor?, currency?))
    }
}

fn digits<T: FromStr>(text: &str) -> Option<T> {
    let all = text.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| text.parse().ok()).flatten()
}

fn positive(text: &str) -> Option<i64> {
    digits(text).filter(|minor| *minor > 0 && *minor < 1_000_000_000_000)
}

/// `digits` of exactly this length.
fn exactly<T: FromStr>(length: usize) -> impl Fn(&str) -> Option<T> {
    move |text| digits(text).filter(|_| text.len() == length)
}

fn purpose(text: &str) -> Option<Purpose> {
    match text {
        "purchase" => Some(Purpose::Purchase),
        "cash-withdrawal" => Some(Purpose::CashWithdrawal),
        "refund" => Some(Purpose::Refund),
        "original-credit" => Some(Purpose::OriginalCredit),
        _ => None,
    }
}

/// Reads one line.
///
/// # Errors
/// Every mistake of the line, by column, without a value.
pub fn read_line(columns: &Columns, token_key: &TokenKey) -> Result<Line, Vec<String>> {
    let mut reader = Reader {
        columns,
        mistakes: Vec::new(),
    };
    for column in columns.keys() {
        if !COLUMNS.contains(&column.as_str()) {
            let what = "a column that no line has; spec/clearing.md lists them".to_owned();
            reader.mistakes.push(what);
        }
    }
    let name = match reader.text("line").map(name_of) {
        Some(Ok(name)) => Some(name.to_string()),
        Some(Err(what)) => {
            reader.mistakes.push(format!("line: {what}"));
            None
        }
        None => {
            reader.mistakes.push("line: is missing".to_owned());
            None
        }
    };
    let kinds = "purchase, cash-withdrawal, refund or original-credit";
    let purpose = reader.must("kind", kinds, purpose);
    let card = card(&mut reader);
    let amount = reader.amount("amount", "currency");
    if reader.text("amount").is_none() && reader.text("currency").is_none() {
        reader.mistakes.push("amount: is missing".to_owned());
    }
    let billing = reader.amount("billing_amount", "billing_currency");
    let original = original(&mut reader);
    let rare = rare_facts(&mut reader, token_key);
    let acceptor_name = reader.characters::<40>("acceptor_name");
    let acceptor_name = match masking::masked(acceptor_name.as_str()) {
        // A masked text is as long as before, so it fits.
        Some(masked) => ShortText::of(&masked).unwrap_or_default(),
        None => acceptor_name,
    };
    let facts = Facts {
        billing,
        mcc: reader.read("mcc", "four digits", exactly(4)).map(Mcc),
        terminal: reader.characters("terminal"),
        acceptor: reader.characters("acceptor"),
        acceptor_name,
        origin: Origin {
            acquirer_country: reader.read("acquirer_country", "three digits", exactly(3)),
            merchant_country: reader.read("merchant_country", "two capital letters", letters),
        },
        rrn: reader.characters("rrn"),
        quoted_approval: Some(reader.characters::<6>("approval")).filter(|it| !it.is_empty()),
        original,
        rare: (rare != RareFacts::default()).then(|| Box::new(rare)),
        ..Facts::beside_the_wire(
            MessageKind::FinancialAdvice,
            purpose.unwrap_or(Purpose::Purchase),
            Trace {
                originator: 0,
                transmitted: 0,
                stan: 0,
            },
            CardToken([0; 16]),
            amount.unwrap_or(Amount::new(0, Currency::JPY)),
        )
    };
    match (name, card) {
        (Some(name), Some(card)) if reader.mistakes.is_empty() => Ok(Line { name, card, facts }),
        _ => Err(reader.mistakes),
    }
}

fn card(reader: &mut Reader<'_>) -> Option<CardOf> {
    if reader.text("pan").is_some() == reader.text("card").is_some() {
        reader.wrong("pan", "either pan or card");
        return None;
    }
    let number = reader.read("pan", "8 to 19 digits", Pan::parse);
    let id = reader.read("card", "the number of a card in the switch", digits);
    number
        .map(CardOf::Number)
        .or(id.map(|id| CardOf::Id(CardId(id))))
}

/// The trace of the authorization: its three columns together, or none.
fn original(reader: &mut Reader<'_>) -> Option<Trace> {
    let columns = ["original_acquirer", "original_transmitted", "original_stan"];
    let there = columns
        .iter()
        .filter(|column| reader.text(column).is_some());
    let there = there.count();
    if there != 0 && there != columns.len() {
        let all = "original_acquirer, original_transmitted and original_stan together";
        reader.wrong("original_stan", all);
    }
    let acquirer = |text: &str| digits(text).filter(|_| text.len() <= 11);
    let originator = reader.read("original_acquirer", "11 digits at most", acquirer);
    let transmitted = reader.read("original_transmitted", "MMDDhhmmss", exactly(10));
    let stan = reader.read("original_stan", "six digits", exactly(6));
    Some(Trace {
        originator: originator?,
        transmitted: transmitted?,
        stan: stan?,
    })
}

fn rare_facts(reader: &mut Reader<'_>, token_key: &TokenKey) -> RareFacts {
    let number = |text: &str| digits::<u16>(text).filter(|number| *number > 0);
    let part = reader.read("part", "a number from 1", number);
    let parts = reader.read("parts", "a number from 1", number);
    if parts.is_some() && part.is_none() {
        reader.wrong("part", "the number of the part where parts says how many");
    }
    let day = |text: &str| {
        exactly(4)(text)
            .filter(|day: &u16| (1..=12).contains(&(day / 100)) && (1..=31).contains(&(day % 100)))
    };
    RareFacts {
        lifecycle_id: reader.read("lifecycle_id", "15 characters at most", |text| {
            token_key.lifecycle_id(text)
        }),
        part: part.map(|number| CapturePart {
            number,
            last: parts.is_some_and(|parts| number >= parts),
        }),
        settlement: reader.read("settlement_date", "MMDD", day).map(MonthDay),
        acquirer_fee_minor: reader.read("acquirer_fee", "minor units", digits),
        ..RareFacts::default()
    }
}

fn letters(text: &str) -> Option<[u8; 2]> {
    let letters: [u8; 2] = text.as_bytes().try_into().ok()?;
    letters
        .iter()
        .all(u8::is_ascii_uppercase)
        .then_some(letters)
}

impl Line {
    /// What the engine is asked to post. A card that is named by its number in the switch must be
    /// there.
    ///
    /// # Errors
    /// A sentence that says which card is not.
    fn presentment(
        self,
        batch: Reference,
        rules: &Rulebook,
        token_key: &TokenKey,
        state: &State,
    ) -> Result<Presentment, String> {
        let token = match self.card {
            CardOf::Number(pan) if rules.range_of(&pan).is_none() => {
                return Err(format!("{}: no programme has this number", pan.masked()));
            }
            CardOf::Number(pan) => token_key.token(&pan),
            CardOf::Id(id) => match state.card(id) {
                Some(card) => card.token,
                None => return Err(format!("there is no card {}", id.0)),
            },
        };
        let facts = Facts {
            card: token,
            trace: trace(&batch, &self.name),
            ..self.facts
        };
        Ok(Presentment {
            batch,
            facts: Arc::new(facts),
        })
    }
}

/// Batch and line, where a message has its trace.
fn trace(batch: &str, line: &str) -> Trace {
    let hash = blake3::hash(format!("{batch}\n{line}").as_bytes());
    let number = |from: usize| {
        let bytes = hash.as_bytes().iter().skip(from).take(8);
        bytes.fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
    };
    let (first, second) = (number(0), number(8));
    let half = |number: u64| u32::try_from(number & u64::from(u32::MAX)).unwrap_or_default();
    Trace {
        originator: first | CLEARING_ORIGINATOR,
        transmitted: half(second >> 32),
        stan: half(second),
    }
}

/// What became of a line, or would.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Posted.
    Posted,
    /// Posted before.
    Repeated,
    /// Not posted.
    Refused,
}

/// What a line was posted against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Against {
    /// Record of the authorization.
    pub entry: u64,
    /// The rung of the ladder that found it.
    pub rung: String,
    /// Authorized and not posted before, minor units.
    pub open_minor: i64,
    /// Posted, minor units.
    pub minor: i64,
    /// Currency of both.
    pub currency: String,
}

/// What came of a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineOutcome {
    /// The line's own name.
    pub line: String,
    /// What became of it.
    pub status: Status,
    /// Record that holds it.
    pub sequence: Option<u64>,
    /// What it was posted against.
    pub against: Option<Against>,
    /// What a person must look at.
    pub exceptions: Vec<ExceptionKind>,
    /// Why it was refused.
    pub reason: Option<String>,
}

impl LineOutcome {
    fn refused(line: String, reason: String) -> LineOutcome {
        LineOutcome {
            line,
            status: Status::Refused,
            sequence: None,
            against: None,
            exceptions: Vec::new(),
            reason: Some(reason),
        }
    }

    fn of(line: String, presented: Presented) -> LineOutcome {
        match presented {
            Presented::Posted(posted) => LineOutcome {
                line,
                status: Status::Posted,
                sequence: Some(posted.sequence),
                against: posted.matched.map(against),
                exceptions: posted.exceptions.to_vec(),
                reason: None,
            },
            Presented::Repeated { sequence } => LineOutcome {
                line,
                status: Status::Repeated,
                sequence: Some(sequence),
                against: None,
                exceptions: Vec::new(),
                reason: None,
            },
            Presented::Refused(refusal) => {
                let why = match refusal.evidence {
                    Some(evidence) => format!("{}: {evidence}", refusal.reason),
                    None => refusal.reason.to_string(),
                };
                LineOutcome::refused(line, why)
            }
        }
    }
}

fn against(matched: Matched) -> Against {
    Against {
        entry: matched.entry.0,
        rung: matched.rung.name().to_owned(),
        open_minor: matched.open_minor,
        minor: matched.minor,
        currency: matched.currency.to_string(),
    }
}

/// Lines on their way to the engine: each by its name, as a command or with why there is none.
pub struct Prepared(Vec<(String, Result<Body, String>)>);

/// Makes lines into commands.
pub fn prepare(
    batch: Reference,
    lines: &[Columns],
    rules: &Rulebook,
    token_key: &TokenKey,
    state: &State,
) -> Prepared {
    let of = |columns: &Columns| {
        let named = columns.get("line").map(|name| name_of(name.trim()));
        let named = named.and_then(Result::ok).unwrap_or_default().to_string();
        match read_line(columns, token_key) {
            Err(mistakes) => (named, Err(mistakes.join("; "))),
            Ok(line) => {
                let presentment = line.presentment(batch, rules, token_key, state);
                (named, presentment.map(Body::Present))
            }
        }
    };
    Prepared(lines.iter().map(of).collect())
}

impl Prepared {
    /// What the engine would say, without anything done.
    pub fn foresee(self, rules: &Rulebook, state: &State) -> Vec<LineOutcome> {
        let answer = |body: Body| {
            let command = Command {
                sequence: state.sequence().saturating_add(1),
                at: state.at(),
                body,
            };
            decide(rules, state, &command).answer
        };
        let of = |(line, body): (String, Result<Body, String>)| outcome(line, body.map(answer));
        self.0.into_iter().map(of).collect()
    }

    /// The commands, in order.
    pub fn bodies(&self) -> Vec<Body> {
        let bodies = self.0.iter().filter_map(|row| row.1.as_ref().ok());
        bodies.cloned().collect()
    }

    /// What came of the lines, with the answers to their commands.
    pub fn answered(self, answers: Vec<Answer>) -> Vec<LineOutcome> {
        let mut answers = answers.into_iter();
        let lines = self.0.into_iter();
        lines
            .map(|(line, body)| {
                let answer = body.and_then(|_| answers.next().ok_or_else(unanswered));
                outcome(line, answer)
            })
            .collect()
    }
}

fn unanswered() -> String {
    "the switch is stopping".to_owned()
}

fn outcome(line: String, answer: Result<Answer, String>) -> LineOutcome {
    match answer {
        Ok(Answer::Presented(presented)) => LineOutcome::of(line, presented),
        Ok(_) => LineOutcome::refused(line, "the single writer answered something else".to_owned()),
        Err(reason) => LineOutcome::refused(line, reason),
    }
}
