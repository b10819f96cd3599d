//! Scenario files: what an acquirer sends, step by step, and what it expects back.
//!
//! The whole file is read and every mistake reported before anything is sent. A step is a table:
//! the keys in `STEP_KEYS` direct the simulator, every other key is an element of the message.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use toml::{Table, Value as Toml};

use super::alias;
use super::seal::MacKey;
use super::step::{self, Step};
use super::value::{Card, Value};

/// A scenario, ready to run.
#[derive(Debug)]
pub(super) struct Scenario {
    pub(super) title: String,
    pub(super) target: Target,
    /// What its messages are authenticated with; `None`: nothing.
    pub(super) mac: Option<MacKey>,
    pub(super) steps: Vec<Step>,
}

impl Scenario {
    /// The first step that only a switch of the scenario's own can take.
    pub(super) fn step_for_own_switch(&self) -> Option<&str> {
        let mut steps = self.steps.iter();
        let step = steps.find(|step| step.circumstances.need_own_switch());
        step.map(|step| step.name.as_str())
    }
}

/// Where the scenario runs unless the command line says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) connect: String,
    pub(super) framing: String,
    pub(super) spec: String,
    /// Of the scenario's own switch.
    pub(super) dialect: String,
    pub(super) admin: String,
    pub(super) reply_timeout: Duration,
}

/// Everything that is wrong with a scenario.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Mistakes(Vec<(String, String)>);

impl Mistakes {
    pub(super) fn add(&mut self, place: &str, reason: impl Into<String>) {
        self.0.push((place.to_owned(), reason.into()));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "the scenario has {} mistake(s), nothing was sent:",
            self.0.len()
        )?;
        for (place, reason) in &self.0 {
            writeln!(f, "  {place}: {reason}")?;
        }
        Ok(())
    }
}

impl Default for Target {
    fn default() -> Self {
        Self {
            connect: "127.0.0.1:8583".to_owned(),
            framing: "be2".to_owned(),
            spec: "iso87-ascii".to_owned(),
            dialect: "iso87".to_owned(),
            admin: "http://127.0.0.1:8580".to_owned(),
            reply_timeout: Duration::from_secs(5),
        }
    }
}

impl Scenario {
    /// Reads a scenario file.
    ///
    /// # Errors
    /// All mistakes at once, each with its place and reason; never card data.
    pub(super) fn parse(text: &str) -> Result<Self, Mistakes> {
        let mut mistakes = Mistakes::default();
        let table: Table = match text.parse() {
            Ok(table) => table,
            Err(error) => {
                // The rendered error would quote the line, which may hold a card number.
                let error: toml::de::Error = error;
                let line = error.span().map_or(0, |span| line_of(text, span.start));
                mistakes.add(&format!("line {line}"), error.message());
                return Err(mistakes);
            }
        };
        const KEYS: [&str; 6] = ["title", "target", "mac", "cards", "defaults", "step"];
        for key in table.keys().filter(|key| !KEYS.contains(&key.as_str())) {
            mistakes.add(key, format!("expected one of {}", KEYS.join(", ")));
        }
        let title = match table.get("title") {
            Some(Toml::String(title)) => title.clone(),
            _ => {
                mistakes.add("title", "expected a text");
                String::new()
            }
        };
        let target = parse_target(table.get("target"), &mut mistakes);
        let mac = table_of(table.get("mac"), "mac", &mut mistakes);
        let mac = mac.and_then(|table| MacKey::parse(table, &mut mistakes));
        let cards = parse_cards(table.get("cards"), &mut mistakes);
        let defaults = parse_defaults(table.get("defaults"), &cards, &mut mistakes);
        let steps = step::parse_steps(table.get("step"), &cards, &defaults, &mut mistakes);
        if mistakes.is_empty() {
            Ok(Self {
                title,
                target,
                mac,
                steps,
            })
        } else {
            Err(mistakes)
        }
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1
}

fn parse_target(item: Option<&Toml>, mistakes: &mut Mistakes) -> Target {
    let mut target = Target::default();
    let Some(table) = table_of(item, "target", mistakes) else {
        return target;
    };
    for (key, value) in table {
        let place = format!("target.{key}");
        match (key.as_str(), value) {
            ("connect", Toml::String(text)) => target.connect.clone_from(text),
            ("framing", Toml::String(text)) => target.framing.clone_from(text),
            ("spec", Toml::String(text)) => target.spec.clone_from(text),
            ("dialect", Toml::String(text)) => target.dialect.clone_from(text),
            ("admin", Toml::String(text)) => target.admin.clone_from(text),
            ("reply_timeout_ms", Toml::Integer(ms)) if (1..=600_000).contains(ms) => {
                target.reply_timeout = Duration::from_millis(ms.unsigned_abs());
            }
            ("reply_timeout_ms", _) => mistakes.add(&place, "expected 1 to 600000"),
            ("connect" | "framing" | "spec" | "dialect" | "admin", _) => {
                mistakes.add(&place, "expected a text")
            }
            _ => mistakes.add(
                &place,
                "expected one of connect, framing, spec, dialect, admin, reply_timeout_ms",
            ),
        }
    }
    target
}

fn parse_cards(item: Option<&Toml>, mistakes: &mut Mistakes) -> BTreeMap<String, Card> {
    let mut cards = BTreeMap::new();
    let Some(table) = table_of(item, "cards", mistakes) else {
        return cards;
    };
    for (alias, value) in table {
        let place = format!("cards.{alias}");
        let Some(fields) = table_of(Some(value), &place, mistakes) else {
            continue;
        };
        let mut digits = |key: &str, sizes: std::ops::RangeInclusive<usize>| {
            let text = fields.get(key).and_then(Toml::as_str).unwrap_or_default();
            if !sizes.contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_digit()) {
                let (min, max) = (sizes.start(), sizes.end());
                mistakes.add(
                    &format!("{place}.{key}"),
                    format!(
                        "expected a text of {min} to {max} digits, got {} bytes",
                        text.len()
                    ),
                );
            }
            text.to_owned()
        };
        let card = Card {
            pan: digits("pan", 8..=19),
            // Bearer numbers have none.
            expiry: fields
                .contains_key("expiry")
                .then(|| digits("expiry", 4..=4)),
        };
        for key in fields
            .keys()
            .filter(|key| !["pan", "expiry"].contains(&key.as_str()))
        {
            mistakes.add(
                &format!("{place}.{key}"),
                "a card has pan and expiry (YYMM)",
            );
        }
        cards.insert(alias.clone(), card);
    }
    cards
}

fn parse_defaults(
    item: Option<&Toml>,
    cards: &BTreeMap<String, Card>,
    mistakes: &mut Mistakes,
) -> BTreeMap<u8, Value> {
    let mut defaults = BTreeMap::new();
    let Some(table) = table_of(item, "defaults", mistakes) else {
        return defaults;
    };
    for (key, value) in table {
        let place = format!("defaults.{key}");
        if key == "card" {
            match value.as_str().and_then(|alias| cards.get(alias)) {
                Some(card) => defaults.extend(card.elements()),
                None => mistakes.add(&place, format!("{value} is not in [cards]")),
            }
            continue;
        }
        let Some(element) = alias::element_of(key) else {
            mistakes.add(&place, "no element has this number or name");
            continue;
        };
        match value_of(value, cards, &[]) {
            Ok(value) => {
                if defaults.insert(element, value).is_some() && !table.contains_key("card") {
                    mistakes.add(&place, "the element is given twice");
                }
            }
            Err(reason) => mistakes.add(&place, reason),
        }
    }
    defaults
}

/// The table at a place; a mistake when something else stands there.
pub(super) fn table_of<'t>(
    item: Option<&'t Toml>,
    place: &str,
    mistakes: &mut Mistakes,
) -> Option<&'t Table> {
    match item {
        None => None,
        Some(Toml::Table(table)) => Some(table),
        Some(_) => {
            mistakes.add(place, "expected a table");
            None
        }
    }
}

/// An element's value: text with variables, or a whole number.
pub(super) fn value_of(
    value: &Toml,
    cards: &BTreeMap<String, Card>,
    saved: &[String],
) -> Result<Value, String> {
    match value {
        Toml::String(text) => Value::parse(text, cards, saved),
        Toml::Integer(number) if *number >= 0 => Ok(Value::text(number.to_string())),
        _ => Err("expected a text or a number that is not negative".to_owned()),
    }
}
