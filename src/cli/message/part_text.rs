//! Values as JSON has them: text, numbers, and parts by key in their order.
//!
//! A tag may stand several times in an element, a key only once in JSON: from the second time on
//! `#2` and so on follow it.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// A value; numbers are taken where people write them.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub(super) enum Value {
    Text(String),
    Number(u64),
    Parts(PartTexts),
}

/// The parts of a value, in order.
#[derive(Debug)]
pub(super) struct PartTexts(pub(super) Vec<(String, Value)>);

impl Serialize for PartTexts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            let times = seen.entry(key).or_default();
            *times += 1;
            match times {
                1 => map.serialize_entry(key, value)?,
                times => map.serialize_entry(&format!("{key}#{times}"), value)?,
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for PartTexts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PartVisitor)
    }
}

struct PartVisitor;

impl<'de> Visitor<'de> for PartVisitor {
    type Value = PartTexts;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("parts by key")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PartTexts, A::Error> {
        let mut items = Vec::new();
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            items.push((own_key(&key).to_owned(), value));
        }
        Ok(PartTexts(items))
    }
}

/// The key without the number of its repeat.
fn own_key(key: &str) -> &str {
    match key.rsplit_once('#') {
        Some((own, times)) if !own.is_empty() && times.parse().is_ok_and(|n: usize| n > 1) => own,
        _ => key,
    }
}
