//! A control of a card as the command line has it: `mcc=5541,3501-3999 domestic=false`.

use serde_json::{Map, Value, json};

use super::text;
use crate::cli::import::Failed;

/// Keys whose value is one word; those of all others are lists.
const SINGLE: [&str; 6] = [
    "initiation",
    "presence",
    "domestic",
    "attendance",
    "cash_part",
    "hours",
];
/// Keys whose values are numbers.
const NUMBERS: [&str; 3] = ["acquirer", "acquirer_country", "acquirer_country_not"];

/// What the API is asked for.
pub(super) fn read(given: &str) -> Result<Value, Failed> {
    let expected = || {
        let what = format!("{given}: expected KEY=VALUE[,VALUE...] with a space between several");
        (64, what)
    };
    let mut control = Map::new();
    for part in given.split_whitespace() {
        let (key, values) = part.split_once('=').ok_or_else(expected)?;
        let value = match SINGLE.contains(&key) {
            true => match values.parse::<bool>() {
                Ok(word) => json!(word),
                Err(_) => json!(values),
            },
            false => {
                let one = |value: &str| match NUMBERS.contains(&key) {
                    true => value.parse::<u64>().ok().map(Value::from),
                    false => Some(json!(value)),
                };
                let list: Option<Vec<Value>> = values.split(',').map(one).collect();
                json!(list.ok_or_else(expected)?)
            }
        };
        if control.insert(key.to_owned(), value).is_some() {
            return Err(expected());
        }
    }
    match control.is_empty() {
        true => Err(expected()),
        false => Ok(Value::Object(control)),
    }
}

/// A control of an answer, as it could be given again.
pub(super) fn words(control: &Value) -> String {
    let rows = control.as_object().into_iter().flatten();
    let parts = rows.map(|(key, value)| {
        let values = match value.as_array() {
            Some(list) => list.iter().map(text).collect::<Vec<_>>().join(","),
            None => text(value),
        };
        format!("{key}={values}")
    });
    parts.collect::<Vec<_>>().join(" ")
}
