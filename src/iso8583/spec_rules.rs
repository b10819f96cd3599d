//! The tables `[messages.MTI]` of a specification file: what each message type carries.

use toml::de::DeTable;

use super::bitmap::Bitmap;
use super::element::ElementSpec;
use super::rules::MessageRule;
use super::spec_file::Reader;
use super::{ELEMENT_MAX, Mti};

impl Reader<'_> {
    /// Reads every table; the elements that it names must exist.
    pub(super) fn rules(
        &mut self,
        messages: &DeTable<'_>,
        elements: &[ElementSpec],
    ) -> Vec<MessageRule> {
        let mut rules = Vec::new();
        for (key, value) in messages {
            let place = format!("message {}", key.get_ref());
            let mti: Option<Mti> = key.get_ref().parse().ok();
            let (Some(mti), Some(table)) = (mti, value.get_ref().as_table()) else {
                let expected = "expected a message type of four digits and a table";
                self.mistake(key.span(), format!("{place}: {expected}"));
                continue;
            };
            let before = self.mistakes();
            self.only_keys(table, "a message", &MESSAGE_KEYS);
            let name = self.string(table, value.span(), "name").unwrap_or_default();
            let mut set = |key| self.element_set(table, key, elements);
            rules.push(MessageRule {
                mti,
                name: name.to_owned(),
                mandatory: set("mandatory").unwrap_or_default(),
                optional: set("optional"),
                echoed: set("echoed").unwrap_or_default(),
                masked: set("masked").unwrap_or_default(),
            });
            let echoed = rules.last().map_or(Bitmap::default(), |rule| rule.echoed);
            if table.contains_key("echoed") && mti.response().is_some() {
                let mistake = "echoed: expected in a response only".to_owned();
                self.mistake(key.span(), mistake);
            }
            if [38, 39, 54].into_iter().any(|own| echoed.has(own)) {
                let mistake = "echoed: expected others than 38, 39 and 54, which a response says \
                               itself";
                self.mistake(key.span(), mistake.to_owned());
            }
            self.prefix_mistakes(before, &place);
        }
        rules.sort_by_key(MessageRule::mti);
        rules
    }

    /// A list of elements of the specification.
    fn element_set(
        &mut self,
        table: &DeTable<'_>,
        key: &str,
        elements: &[ElementSpec],
    ) -> Option<Bitmap> {
        let value = table.get(key)?;
        let mut set = Bitmap::default();
        let Some(numbers) = value.get_ref().as_array() else {
            self.mistake(value.span(), format!("{key}: expected a list of elements"));
            return None;
        };
        for number in numbers {
            let element = number.get_ref().as_integer();
            let element = element.and_then(|element| element.as_str().parse::<u8>().ok());
            let known = element.filter(|element| {
                *element <= ELEMENT_MAX && elements.iter().any(|row| row.number == *element)
            });
            match known {
                Some(element) => set.insert(element),
                None => {
                    let expected = "expected an element of the specification";
                    self.mistake(number.span(), format!("{key}: {expected}"));
                }
            }
        }
        Some(set)
    }
}

const MESSAGE_KEYS: [&str; 5] = ["name", "mandatory", "optional", "echoed", "masked"];
