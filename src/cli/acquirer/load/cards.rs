//! The cards a load is spread over, from a file of `[[card]]` tables.

use serde::Deserialize;

/// One card: number and expiry (YYMM).
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct LoadCard {
    /// Primary account number, digits.
    pub pan: String,
    /// Year and month, YYMM.
    pub expiry: String,
}

#[derive(Deserialize)]
struct CardFile {
    card: Vec<LoadCard>,
}

/// Reads the cards of an import file; what else such a file says is not the load client's business.
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
    for (index, card) in file.card.iter().enumerate() {
        let number = index + 1;
        if !(8..=19).contains(&card.pan.len()) || !is_digits(&card.pan) {
            return Err(format!(
                "read card {number}: expected a pan of 8 to 19 digits"
            ));
        }
        if card.expiry.len() != 4 || !is_digits(&card.expiry) {
            return Err(format!(
                "read card {number}: expected an expiry of 4 digits (YYMM)"
            ));
        }
    }
    Ok(file.card)
}

impl std::fmt::Debug for LoadCard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LoadCard({} digits)", self.pan.len())
    }
}
