//! The cards a load is spread over, from a file of `[[card]]` tables.

use serde::Deserialize;

/// One card: number and expiry (YYMM).
#[derive(Clone, PartialEq, Eq)]
pub struct LoadCard {
    /// Primary account number, digits.
    pub pan: String,
    /// Year and month, YYMM.
    pub expiry: String,
}

#[derive(Deserialize)]
struct CardFile {
    card: Vec<CardRow>,
}

#[derive(Deserialize)]
struct CardRow {
    pan: String,
    expiry: Option<String>,
}

/// Reads the cards of an import file; what else such a file says is not the load client's business.
/// Cards without an expiry month are left out: every message of a load states one.
///
/// # Errors
/// The file is not such a file; the reason never quotes it, as it holds card numbers.
pub fn cards_from_toml(text: &str) -> Result<Vec<LoadCard>, String> {
    let file: CardFile =
        toml::from_str(text).map_err(|error| format!("read the cards: {}", error.message()))?;
    if file.card.is_empty() {
        return Err("read the cards: the file has no [[card]]".to_owned());
    }
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let mut cards = Vec::new();
    for (row, number) in file.card.into_iter().zip(1_usize..) {
        if !(8..=19).contains(&row.pan.len()) || !is_digits(&row.pan) {
            return Err(format!(
                "read card {number}: expected a pan of 8 to 19 digits"
            ));
        }
        let Some(expiry) = row.expiry else {
            continue;
        };
        if expiry.len() != 4 || !is_digits(&expiry) {
            return Err(format!(
                "read card {number}: expected an expiry of 4 digits (YYMM)"
            ));
        }
        let pan = row.pan;
        cards.push(LoadCard { pan, expiry });
    }
    if cards.is_empty() {
        return Err("read the cards: no [[card]] of the file has an expiry".to_owned());
    }
    Ok(cards)
}

impl std::fmt::Debug for LoadCard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LoadCard({} digits)", self.pan.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_set_can_be_loaded_but_for_its_cards_without_an_expiry_month() {
        let demo = include_str!("../../../../fixtures/demo.toml");
        let rows = demo.matches("[[card]]").count();
        let cards = cards_from_toml(demo).unwrap();
        assert!(cards.len() < rows && cards.len() >= 8, "{}", cards.len());
        let bearer = "[[card]]\npan = \"4761739001010119\"";
        assert!(cards_from_toml(bearer).is_err());
    }
}
