//! One step of a scenario: a message to send, a repeat, a reversal, or a look at the balances.

use std::collections::BTreeMap;

use toml::{Table, Value as Toml};

use crate::iso8583::Mti;

use super::alias;
use super::chip::ChipPlan;
use super::circumstances::{self, Circumstances};
use super::exceptions::Raised;
use super::scenario::{Mistakes, table_of, value_of};
use super::seal::StepMac;
use super::value::{Card, Value};

/// One step, with every reference to another step resolved to its index.
#[derive(Debug)]
pub(super) struct Step {
    /// Name in the file, or `step N`.
    pub(super) name: String,
    /// What happens around its message.
    pub(super) circumstances: Circumstances,
    /// What is sent, if anything.
    pub(super) send: Option<Send>,
    /// The chip that speaks in it.
    pub(super) chip: Option<ChipPlan>,
    /// The authentication code of its message.
    pub(super) mac: StepMac,
    /// What the reply must hold.
    pub(super) expect: Vec<Expectation>,
    /// Names given to elements of the reply.
    pub(super) save: Vec<(String, u8)>,
    /// What the admin API must say afterwards.
    pub(super) balance: Option<BalanceExpectation>,
    /// What must have become of the exception queue.
    pub(super) exception: Option<Raised>,
}

/// What a step sends.
#[derive(Debug)]
pub(super) enum Send {
    /// A message built from elements.
    Message {
        mti: Mti,
        elements: BTreeMap<u8, Value>,
    },
    /// The same elements as an earlier step, marked as a repeat.
    Repeat { of: usize },
    /// The reversal of an earlier step; `elements` are set on top of what is copied.
    Reversal {
        of: usize,
        mti: Mti,
        elements: BTreeMap<u8, Value>,
    },
}

/// One expectation of a reply.
#[derive(Debug)]
pub(super) struct Expectation {
    pub(super) place: ReplyPlace,
    pub(super) want: Want,
}

/// Where in the reply to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReplyPlace {
    Mti,
    Element(u8),
}

/// What must be there.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Want {
    Present,
    Absent,
    Equal(Value),
}

/// What a card's account must hold, in minor units.
#[derive(Debug)]
pub(super) struct BalanceExpectation {
    pub(super) card: Card,
    /// Each figure with what is expected of it; none: the balances are only shown.
    pub(super) figures: Vec<(Figure, Minor)>,
}

/// One figure of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Figure {
    /// `available` of the account as a whole.
    Available,
    /// Purse id and field of the purse.
    Purse(String, PurseField),
}

/// What is expected of a figure, in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Minor {
    /// It is this.
    Is(i64),
    /// It has moved by this since the last look at this card.
    MovedBy(i64),
}

/// One figure of a purse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PurseField {
    Balance,
    Held,
    Available,
}

impl PurseField {
    const ALL: [Self; 3] = [Self::Balance, Self::Held, Self::Available];

    /// Name in scenario files and in the admin API.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Balance => "balance",
            Self::Held => "held",
            Self::Available => "available",
        }
    }
}

/// Keys of a step that are not elements, besides those of its circumstances.
const STEP_KEYS: [&str; 12] = [
    "name",
    "send",
    "card",
    "by_chip",
    "mac",
    "repeat_of",
    "reverse",
    "expect",
    "save",
    "balance",
    "exception",
    "without",
];

fn is_step_key(key: &str) -> bool {
    STEP_KEYS.contains(&key) || circumstances::KEYS.contains(&key)
}

/// What earlier steps offer to the one being read.
struct Reader<'a> {
    cards: &'a BTreeMap<String, Card>,
    defaults: &'a BTreeMap<u8, Value>,
    /// Name of each earlier step and whether it sent a message that can be repeated or reversed.
    earlier: Vec<(String, bool)>,
    saved: Vec<String>,
    /// Cards whose balances an earlier step looks at.
    seen: Vec<Card>,
}

/// Reads all steps.
pub(super) fn parse_steps(
    item: Option<&Toml>,
    cards: &BTreeMap<String, Card>,
    defaults: &BTreeMap<u8, Value>,
    mistakes: &mut Mistakes,
) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let Some(items) = item.and_then(Toml::as_array) else {
        mistakes.add("step", "expected at least one [[step]]");
        return steps;
    };
    let mut reader = Reader {
        cards,
        defaults,
        earlier: Vec::new(),
        saved: Vec::new(),
        seen: Vec::new(),
    };
    for (index, item) in items.iter().enumerate() {
        let number = index + 1;
        let Some(table) = table_of(Some(item), &format!("step {number}"), mistakes) else {
            continue;
        };
        let name = table.get("name").and_then(Toml::as_str).map(str::to_owned);
        let place = match &name {
            Some(name) => format!("step {number} '{name}'"),
            None => format!("step {number}"),
        };
        let name = name.unwrap_or_else(|| place.clone());
        if reader.earlier.iter().any(|(earlier, _)| *earlier == name) {
            mistakes.add(&place, "an earlier step has this name");
        }
        let step = reader.step(table, name, &place, mistakes);
        reader
            .saved
            .extend(step.save.iter().map(|(name, _)| name.clone()));
        reader
            .earlier
            .push((step.name.clone(), step.send.is_some()));
        reader
            .seen
            .extend(step.balance.iter().map(|look| look.card.clone()));
        steps.push(step);
    }
    steps
}

impl Reader<'_> {
    fn step(&self, table: &Table, name: String, place: &str, mistakes: &mut Mistakes) -> Step {
        if !matches!(table.get("name"), None | Some(Toml::String(_))) {
            mistakes.add(place, "name: expected a text");
        }
        let send = self.send(table, place, mistakes);
        let chip = ChipPlan::parse(table, place, mistakes);
        if chip.is_some() && !matches!(send, Some(Send::Message { .. })) {
            mistakes.add(place, "by_chip: needs a message of the step's own: send");
        }
        let mac = StepMac::parse(table, place, mistakes);
        let expect = self.expect(table.get("expect"), place, mistakes);
        let save = parse_save(table.get("save"), place, mistakes);
        let balance = self.balance(table.get("balance"), place, mistakes);
        let circumstances = Circumstances::parse(table, place, mistakes);
        if send.is_none() {
            if !expect.is_empty() || !save.is_empty() {
                mistakes.add(
                    place,
                    "expect and save need a message: send, repeat_of or reverse",
                );
            }
            if balance.is_none() && !circumstances.break_the_line() {
                mistakes.add(
                    place,
                    "does nothing: expected send, repeat_of, reverse or balance",
                );
            }
        }
        if !circumstances.await_reply && (send.is_none() || !expect.is_empty() || !save.is_empty())
        {
            mistakes.add(
                place,
                "await_reply: without a reply there is a message, and nothing to expect or save",
            );
        }
        let exception = match table.get("exception") {
            None => None,
            Some(Toml::String(kind)) => Some(Raised::parse(kind)),
            Some(_) => {
                mistakes.add(place, "exception: expected a kind, or \"none\"");
                None
            }
        };
        Step {
            name,
            circumstances,
            send,
            chip,
            mac,
            expect,
            save,
            balance,
            exception,
        }
    }

    fn send(&self, table: &Table, place: &str, mistakes: &mut Mistakes) -> Option<Send> {
        let repeat_of = self.earlier_step(table, "repeat_of", place, mistakes);
        let reverse = self.earlier_step(table, "reverse", place, mistakes);
        let mti = match table.get("send") {
            None => None,
            Some(value) => match value.as_str().and_then(|text| text.parse::<Mti>().ok()) {
                Some(mti) if mti.is_request() => Some(mti),
                _ => {
                    mistakes.add(
                        place,
                        "send: expected the four digits of a request or an advice",
                    );
                    None
                }
            },
        };
        let elements = self.elements(table, place, mistakes);
        match (repeat_of, reverse, mti) {
            (Some(of), None, None) => {
                if !elements.is_empty() {
                    mistakes.add(
                        place,
                        "a repeat takes no elements: it is the same message again",
                    );
                }
                Some(Send::Repeat { of: of? })
            }
            (None, Some(of), mti) => {
                let mti = mti.unwrap_or(const { Mti::new(420) });
                if mti.class() != 4 {
                    mistakes.add(place, "send: a reversal is a 04xx");
                }
                Some(Send::Reversal {
                    of: of?,
                    mti,
                    elements,
                })
            }
            (None, None, Some(mti)) => Some(self.message(mti, elements, table, place, mistakes)),
            (None, None, None) => {
                if !elements.is_empty() && !table.contains_key("send") {
                    mistakes.add(place, "has elements but no send");
                }
                None
            }
            (Some(_), _, _) => {
                mistakes.add(place, "expected only one of repeat_of, reverse and send");
                None
            }
        }
    }

    /// The defaults, the step's own elements over them, and the two that every message carries.
    fn message(
        &self,
        mti: Mti,
        own: BTreeMap<u8, Value>,
        table: &Table,
        place: &str,
        mistakes: &mut Mistakes,
    ) -> Send {
        // Defaults describe a card, a shop and a currency: network management has none of them.
        let mut elements = match mti.class() {
            8 => BTreeMap::new(),
            _ => self.defaults.clone(),
        };
        if table.contains_key("card") {
            // Another card: nothing of the default one stays.
            elements.retain(|element, _| !matches!(element, 2 | 14));
        }
        elements.entry(7).or_insert_with(Value::transmission);
        elements.entry(11).or_insert_with(Value::stan);
        elements.extend(own);
        let without = match table.get("without") {
            None => &[][..],
            Some(Toml::Array(names)) => names,
            Some(_) => {
                mistakes.add(place, "without: expected a list of elements");
                &[]
            }
        };
        for name in without {
            let element = name.as_str().and_then(alias::element_of);
            if element
                .and_then(|element| elements.remove(&element))
                .is_none()
            {
                mistakes.add(
                    place,
                    format!("without: {name} is no element of this message"),
                );
            }
        }
        Send::Message { mti, elements }
    }

    /// `None`: the key is absent. `Some(None)`: it is there and wrong, and has been reported.
    fn earlier_step(
        &self,
        table: &Table,
        key: &str,
        place: &str,
        mistakes: &mut Mistakes,
    ) -> Option<Option<usize>> {
        let value = table.get(key)?;
        let found = value
            .as_str()
            .and_then(|wanted| self.earlier.iter().position(|(name, _)| name == wanted));
        match found {
            Some(index) if self.earlier.get(index).is_some_and(|(_, sends)| *sends) => {
                Some(Some(index))
            }
            Some(_) => {
                mistakes.add(place, format!("{key}: {value} sent no message"));
                Some(None)
            }
            None => {
                mistakes.add(place, format!("{key}: no earlier step is named {value}"));
                Some(None)
            }
        }
    }

    fn elements(&self, table: &Table, place: &str, mistakes: &mut Mistakes) -> BTreeMap<u8, Value> {
        let mut elements = BTreeMap::new();
        if let Some(value) = table.get("card") {
            match value.as_str().and_then(|alias| self.cards.get(alias)) {
                Some(card) => {
                    elements.extend(card.elements());
                }
                None => mistakes.add(place, format!("card: {value} is not in [cards]")),
            }
        }
        let from_card = elements.clone();
        for (key, value) in table {
            if is_step_key(key) {
                continue;
            }
            let Some(element) = alias::element_of(key) else {
                let reason = format!(
                    "'{key}' is neither an element (2 to 128 or a trade name) nor one of {}, {}",
                    STEP_KEYS.join(", "),
                    circumstances::KEYS.join(", ")
                );
                mistakes.add(place, reason);
                continue;
            };
            match value_of(value, self.cards, &self.saved) {
                Ok(value) => {
                    let before = elements.insert(element, value);
                    if before.is_some() && !from_card.contains_key(&element) {
                        mistakes.add(place, format!("{key}: the element is given twice"));
                    }
                }
                Err(reason) => mistakes.add(place, format!("{key}: {reason}")),
            }
        }
        elements
    }

    fn expect(
        &self,
        item: Option<&Toml>,
        place: &str,
        mistakes: &mut Mistakes,
    ) -> Vec<Expectation> {
        let mut expectations = Vec::new();
        let Some(table) = table_of(item, &format!("{place}: expect"), mistakes) else {
            return expectations;
        };
        for (key, value) in table {
            let reply_place = match (key.as_str(), alias::element_of(key)) {
                ("mti", _) => ReplyPlace::Mti,
                (_, Some(element)) => ReplyPlace::Element(element),
                (_, None) => {
                    mistakes.add(
                        place,
                        format!("expect: '{key}' is neither mti nor an element"),
                    );
                    continue;
                }
            };
            let want = match value.as_str() {
                Some("present") => Ok(Want::Present),
                Some("absent") => Ok(Want::Absent),
                _ => value_of(value, self.cards, &self.saved).map(Want::Equal),
            };
            match want {
                Ok(want) => expectations.push(Expectation {
                    place: reply_place,
                    want,
                }),
                Err(reason) => mistakes.add(place, format!("expect: {key}: {reason}")),
            }
        }
        expectations
    }

    fn balance(
        &self,
        item: Option<&Toml>,
        place: &str,
        mistakes: &mut Mistakes,
    ) -> Option<BalanceExpectation> {
        let table = table_of(item, &format!("{place}: balance"), mistakes)?;
        let Some(card) = table
            .get("card")
            .and_then(Toml::as_str)
            .and_then(|alias| self.cards.get(alias))
        else {
            mistakes.add(place, "balance: expected card = a name in [cards]");
            return None;
        };
        let mut balance = BalanceExpectation {
            card: card.clone(),
            figures: Vec::new(),
        };
        for (key, value) in table.iter().filter(|(key, _)| *key != "card") {
            match (key.as_str(), value, minor_of(value)) {
                ("available", _, Some(minor)) => balance.figures.push((Figure::Available, minor)),
                (purse, _, Some(minor)) => {
                    let figure = Figure::Purse(purse.to_owned(), PurseField::Balance);
                    balance.figures.push((figure, minor));
                }
                (purse, Toml::Table(fields), None) => {
                    purse_fields(purse, fields, place, &mut balance, mistakes);
                }
                _ => mistakes.add(place, format!("balance: {key}: expected {MINOR_UNITS}")),
            }
        }
        let moves = |(_, minor): &(Figure, Minor)| matches!(minor, Minor::MovedBy(_));
        if balance.figures.iter().any(moves) && !self.seen.contains(card) {
            mistakes.add(
                place,
                "balance: a change needs an earlier look: balance = { card = \"...\" }",
            );
        }
        Some(balance)
    }
}

/// How an expected amount is written.
const MINOR_UNITS: &str = "minor units, or a change such as \"-1200\" or \"+0\"";

/// A number is what a figure must be; text with a sign is what it must have moved by.
fn minor_of(value: &Toml) -> Option<Minor> {
    match value {
        Toml::Integer(minor) => Some(Minor::Is(*minor)),
        Toml::String(text) if text.starts_with(['+', '-']) => text.parse().ok().map(Minor::MovedBy),
        _ => None,
    }
}

fn purse_fields(
    purse: &str,
    fields: &Table,
    place: &str,
    balance: &mut BalanceExpectation,
    mistakes: &mut Mistakes,
) {
    for (key, value) in fields {
        let field = PurseField::ALL
            .into_iter()
            .find(|field| field.name() == key);
        match (field, minor_of(value)) {
            (Some(field), Some(minor)) => {
                let figure = Figure::Purse(purse.to_owned(), field);
                balance.figures.push((figure, minor));
            }
            _ => mistakes.add(
                place,
                format!(
                    "balance: {purse}.{key}: expected balance, held or available in {MINOR_UNITS}"
                ),
            ),
        }
    }
}

fn parse_save(item: Option<&Toml>, place: &str, mistakes: &mut Mistakes) -> Vec<(String, u8)> {
    let mut saves = Vec::new();
    let Some(table) = table_of(item, &format!("{place}: save"), mistakes) else {
        return saves;
    };
    for (name, value) in table {
        let element = match value {
            Toml::Integer(number) => alias::element_of(&number.to_string()),
            Toml::String(key) => alias::element_of(key),
            _ => None,
        };
        match element {
            Some(element) => saves.push((name.clone(), element)),
            None => mistakes.add(place, format!("save: {name}: {value} is no element")),
        }
    }
    saves
}
