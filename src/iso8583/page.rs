//! A specification as a page for people, in Markdown.

use std::fmt::Write as _;

use super::element::Mask;
use super::parts::Parts;
use super::{MessageRule, MessageSpec};

/// The tables of a specification: elements, their parts, and what each message type carries.
#[must_use]
pub fn page(spec: &MessageSpec) -> String {
    let mut text = format!(
        "# {}\n\n| DE | Format | Mask | Name |\n| --- | --- | --- | --- |\n",
        spec.name()
    );
    // Writing to a string cannot fail.
    for element in spec.elements() {
        let (number, mask) = (element.number(), mask_word(element.mask()));
        let (format, name) = (element.format(), element.name());
        let _ = writeln!(text, "| {number} | `{format}` | {mask} | {name} |");
    }
    for element in spec.elements() {
        if let Some(parts) = element.parts() {
            part_tables(&mut text, &element.number().to_string(), parts);
        }
    }
    if !spec.rules().is_empty() {
        text.push_str(
            "\n## Messages\n\n| Type | Name | Mandatory | Optional | Echoed | Masked |\n\
             | --- | --- | --- | --- | --- | --- |\n",
        );
    }
    for rule in spec.rules() {
        text.push_str(&rule_row(rule));
    }
    text
}

fn part_tables(text: &mut String, path: &str, parts: &Parts) {
    let form = parts.form.word();
    let _ = writeln!(text, "\n## Parts of {path}: {form}");
    if !parts.rows().is_empty() {
        text.push_str("\n| Part | Format | Mask | Name |\n| --- | --- | --- | --- |\n");
    }
    for row in parts.rows() {
        let element = row.element();
        let (key, mask) = (row.key(), mask_word(element.mask()));
        let (format, name) = (element.format(), element.name());
        let _ = writeln!(text, "| {key} | `{format}` | {mask} | {name} |");
    }
    for row in parts.rows() {
        if let Some(inner) = row.element().parts() {
            part_tables(text, &format!("{path}.{}", row.key()), inner);
        }
    }
}

fn rule_row(rule: &MessageRule) -> String {
    let list = |elements: &mut dyn Iterator<Item = u8>| -> String {
        let numbers: Vec<String> = elements.map(|number| number.to_string()).collect();
        numbers.join(" ")
    };
    let optional = match rule.optional() {
        Some(mut elements) => list(&mut elements),
        None => "any".to_owned(),
    };
    let (mti, name) = (rule.mti(), rule.name());
    let (mandatory, echoed) = (list(&mut rule.mandatory()), list(&mut rule.echoed()));
    let masked = list(&mut rule.masked());
    format!("| {mti} | {name} | {mandatory} | {optional} | {echoed} | {masked} |\n")
}

const fn mask_word(mask: Mask) -> &'static str {
    match mask {
        Mask::Shown => "",
        Mask::Pan => "pan",
        Mask::Wipe => "wipe",
    }
}
