//! The value of an element in a scenario: text with `$variables`.
//!
//! `$stan`, `$rrn`, `$now_ccyymmddhhmmss`, `$now_yymmddhhmmss`, `$now_mmddhhmmss`, `$now_hhmmss`,
//! `$now_mmdd` (UTC),
//! `$card.NAME.pan`, `$card.NAME.expiry`, `$card.NAME.track2`, and `$NAME` for what an
//! earlier step saved; `${NAME}` where a letter or a digit follows. `$$` is a dollar sign.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Zoned;

use super::clock;

/// Text with places that are filled when the step runs.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Value(Vec<Part>);

#[derive(Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Stan,
    Rrn,
    Ccyymmddhhmmss,
    Yymmddhhmmss,
    Mmddhhmmss,
    Hhmmss,
    Mmdd,
    Saved(String),
}

/// What variables mean in one step.
#[derive(Debug)]
pub(super) struct Moment<'a> {
    /// DE 11 of this step.
    pub(super) stan: u32,
    /// DE 37 of this step.
    pub(super) rrn: u64,
    /// When the step began.
    pub(super) now: &'a Zoned,
    /// What earlier steps saved.
    pub(super) saved: &'a BTreeMap<String, String>,
}

/// A card of the scenario.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Card {
    pub(super) pan: String,
    pub(super) expiry: Option<String>,
}

impl Card {
    /// Track 2 as a terminal would read it: service code 201, zeros for the issuer's own part.
    pub(super) fn track2(&self) -> Option<String> {
        let expiry = self.expiry.as_ref()?;
        Some(format!("{}={expiry}2010000000", self.pan))
    }

    /// The elements that name it: DE 2 and, when it has an expiry, DE 14.
    pub(super) fn elements(&self) -> impl Iterator<Item = (u8, Value)> {
        let expiry = self
            .expiry
            .as_deref()
            .map(|expiry| (14, Value::text(expiry)));
        [(2, Value::text(&self.pan))].into_iter().chain(expiry)
    }
}

impl Value {
    /// A value without variables.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self(vec![Part::Text(text.into())])
    }

    /// The next trace number.
    pub(super) fn stan() -> Self {
        Self(vec![Part::Stan])
    }

    /// DE 7 of the moment of sending.
    pub(super) fn transmission() -> Self {
        Self(vec![Part::Mmddhhmmss])
    }

    /// Reads text with variables; `saved` are the names that earlier steps save.
    ///
    /// # Errors
    /// A variable is not known; the reason names it.
    pub(super) fn parse(
        text: &str,
        cards: &BTreeMap<String, Card>,
        saved: &[String],
    ) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut pieces = text.split('$');
        if let Some(first) = pieces.next().filter(|first| !first.is_empty()) {
            parts.push(Part::Text(first.to_owned()));
        }
        let mut literal = false;
        for piece in pieces {
            if literal {
                parts.push(Part::Text(format!("${piece}")));
                literal = false;
                continue;
            }
            if piece.is_empty() {
                literal = true;
                continue;
            }
            let (name, rest) = match piece.strip_prefix('{') {
                Some(braced) => braced
                    .split_once('}')
                    .ok_or_else(|| "a value has '${' without '}'".to_owned())?,
                None => {
                    let in_name = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
                    let end = piece.find(|c| !in_name(c)).unwrap_or(piece.len());
                    piece.split_at(end)
                }
            };
            parts.push(variable(name, cards, saved)?);
            if !rest.is_empty() {
                parts.push(Part::Text(rest.to_owned()));
            }
        }
        if literal {
            return Err("a value ends in a lone '$' (write '$$' for the character)".to_owned());
        }
        Ok(Self(parts))
    }

    /// The text of this moment, or `None` when a saved value is not there.
    pub(super) fn expand(&self, moment: &Moment<'_>) -> Option<String> {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Stan => out.push_str(&format!("{:06}", moment.stan)),
                Part::Rrn => out.push_str(&format!("{:012}", moment.rrn)),
                Part::Ccyymmddhhmmss => {
                    out.push_str(&moment.now.strftime("%Y%m%d%H%M%S").to_string());
                }
                Part::Yymmddhhmmss => {
                    out.push_str(&moment.now.strftime("%y%m%d%H%M%S").to_string());
                }
                Part::Mmddhhmmss => out.push_str(&clock::mmddhhmmss(moment.now)),
                Part::Hhmmss => out.push_str(&moment.now.strftime("%H%M%S").to_string()),
                Part::Mmdd => out.push_str(&moment.now.strftime("%m%d").to_string()),
                Part::Saved(name) => out.push_str(moment.saved.get(name)?),
            }
        }
        Some(out)
    }
}

impl fmt::Debug for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Card({} digits)", self.pan.len())
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A value may hold a card number.
        write!(f, "Value({} parts)", self.0.len())
    }
}

fn variable(name: &str, cards: &BTreeMap<String, Card>, saved: &[String]) -> Result<Part, String> {
    match name {
        "stan" => return Ok(Part::Stan),
        "rrn" => return Ok(Part::Rrn),
        "now_ccyymmddhhmmss" => return Ok(Part::Ccyymmddhhmmss),
        "now_yymmddhhmmss" => return Ok(Part::Yymmddhhmmss),
        "now_mmddhhmmss" => return Ok(Part::Mmddhhmmss),
        "now_hhmmss" => return Ok(Part::Hhmmss),
        "now_mmdd" => return Ok(Part::Mmdd),
        _ => {}
    }
    if let Some(path) = name.strip_prefix("card.") {
        let (alias, field) = path.split_once('.').unwrap_or((path, ""));
        let card = cards
            .get(alias)
            .ok_or_else(|| format!("no card '{alias}' in [cards]"))?;
        let text = match field {
            "pan" => Some(card.pan.clone()),
            "expiry" => card.expiry.clone(),
            "track2" => card.track2(),
            _ => return Err(format!("'${name}': a card has pan, expiry and track2")),
        };
        return text
            .map(Part::Text)
            .ok_or_else(|| format!("'${name}': the card has no expiry"));
    }
    if saved.iter().any(|known| known == name) {
        return Ok(Part::Saved(name.to_owned()));
    }
    Err(format!(
        "'${name}' is no variable and no earlier step saves it"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cards() -> BTreeMap<String, Card> {
        let card = Card {
            pan: "4761739001010119".to_owned(),
            expiry: Some("2912".to_owned()),
        };
        BTreeMap::from([("alice".to_owned(), card)])
    }

    #[test]
    fn variables_are_filled_when_the_step_runs() {
        let now: Zoned = "2026-03-09T01:02:03+00:00[UTC]".parse().unwrap();
        let saved = BTreeMap::from([("approval".to_owned(), "4F7K2Q".to_owned())]);
        let moment = Moment {
            stan: 7,
            rrn: 42,
            now: &now,
            saved: &saved,
        };
        let rows = [
            ("1200", "1200"),
            ("$stan", "000007"),
            ("$rrn", "000000000042"),
            ("$now_mmddhhmmss", "0309010203"),
            ("$now_yymmddhhmmss", "260309010203"),
            ("$now_ccyymmddhhmmss", "20260309010203"),
            ("$now_hhmmss/$now_mmdd", "010203/0309"),
            ("$card.alice.pan", "4761739001010119"),
            ("$card.alice.track2", "4761739001010119=29122010000000"),
            ("<$approval>", "<4F7K2Q>"),
            ("0${approval}0", "04F7K2Q0"),
            ("US$$ 5", "US$ 5"),
            ("", ""),
        ];
        for (text, expected) in rows {
            let value = Value::parse(text, &cards(), &["approval".to_owned()]).unwrap();
            assert_eq!(value.expand(&moment).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn an_unknown_variable_is_named() {
        let rows = [
            ("$nonsense", "'$nonsense' is no variable"),
            ("$card.bob.pan", "no card 'bob'"),
            ("$card.alice.pin", "a card has pan, expiry and track2"),
            ("5$", "lone '$'"),
            ("${stan", "'${' without '}'"),
        ];
        for (text, expected) in rows {
            let reason = Value::parse(text, &cards(), &[]).unwrap_err();
            assert!(reason.contains(expected), "{text}: {reason}");
        }
    }
}
