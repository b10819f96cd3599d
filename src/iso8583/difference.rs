//! In what two specifications differ.

use std::collections::BTreeSet;

use super::element::{ElementSpec, Mask};
use super::parts::Parts;
use super::{MessageRule, MessageSpec, Mti};

/// A line for everything that one specification says otherwise than the other; empty when they
/// say the same under whatever names.
#[must_use]
pub fn differences(one: &MessageSpec, other: &MessageSpec) -> Vec<String> {
    let mut lines = Vec::new();
    let headers = [one, other].map(|spec| spec.layout().header.words());
    compare(&mut lines, "file", headers);
    let numbers = [one, other].map(|spec| spec.elements().iter().map(ElementSpec::number));
    for number in numbers.into_iter().flatten().collect::<BTreeSet<u8>>() {
        let elements = [one.element(number), other.element(number)];
        element(&mut lines, &format!("DE {number}"), elements);
    }
    let types = [one, other].map(|spec| spec.rules().iter().map(MessageRule::mti));
    for mti in types.into_iter().flatten().collect::<BTreeSet<Mti>>() {
        let rules = [one, other].map(|spec| spec.rule(mti).map_or("absent".to_owned(), rule_words));
        compare(&mut lines, &mti.to_string(), rules);
    }
    lines
}

fn compare(lines: &mut Vec<String>, place: &str, [one, other]: [String; 2]) {
    if one != other {
        lines.push(format!("{place}: {one} | {other}"));
    }
}

fn element(lines: &mut Vec<String>, place: &str, elements: [Option<&ElementSpec>; 2]) {
    compare(
        lines,
        place,
        elements.map(|row| row.map_or("absent".to_owned(), words)),
    );
    let parts = elements.map(|row| row.and_then(ElementSpec::parts));
    let forms = parts.map(|parts| parts.map_or("no parts", |parts| parts.form.word()));
    compare(
        lines,
        &format!("parts of {place}"),
        forms.map(str::to_owned),
    );
    let keys = parts.map(|parts| parts.map_or(&[][..], Parts::rows).iter());
    let keys: BTreeSet<&str> = keys
        .into_iter()
        .flatten()
        .map(super::PartSpec::key)
        .collect();
    for key in keys {
        let rows = parts.map(|parts| parts?.row(key).map(super::PartSpec::element));
        element(lines, &format!("{place}.{key}"), rows);
    }
}

fn words(row: &ElementSpec) -> String {
    let mask = match row.mask() {
        Mask::Shown => "",
        Mask::Pan => ", mask pan",
        Mask::Wipe => ", mask wipe",
    };
    format!(
        "{} {:?}, {}{mask}",
        row.format(),
        row.name(),
        row.wire_words()
    )
}

fn rule_words(rule: &MessageRule) -> String {
    let list = |elements: &mut dyn Iterator<Item = u8>| {
        let numbers: Vec<String> = elements.map(|number| number.to_string()).collect();
        numbers.join(" ")
    };
    let optional = match rule.optional() {
        Some(mut elements) => list(&mut elements),
        None => "any".to_owned(),
    };
    let (mandatory, echoed) = (list(&mut rule.mandatory()), list(&mut rule.echoed()));
    let masked = list(&mut rule.masked());
    format!("mandatory {mandatory}, optional {optional}, echoed {echoed}, masked {masked}")
}
