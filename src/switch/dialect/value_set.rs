//! Values that a row of a dialect's table compares with: most are two or three characters, and
//! comparing them as one word each keeps a message's many rows cheap.

/// What a row reads, ready to be compared.
#[derive(Clone, Copy, Debug)]
pub struct Read<'a> {
    /// As text.
    pub text: &'a str,
    word: Option<u64>,
}

impl<'a> Read<'a> {
    /// A text.
    pub fn new(text: &'a str) -> Read<'a> {
        Read {
            text,
            word: word(text),
        }
    }
}

/// A set of values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueSet {
    words: Vec<u64>,
    others: Vec<String>,
}

impl ValueSet {
    /// The values of a list.
    pub fn new(values: Vec<String>) -> ValueSet {
        ValueSet {
            words: values.iter().filter_map(|value| word(value)).collect(),
            others: values
                .into_iter()
                .filter(|value| word(value).is_none())
                .collect(),
        }
    }

    /// Whether what was read is one of them.
    pub fn has(&self, read: Read<'_>) -> bool {
        match read.word {
            Some(word) => self.words.contains(&word),
            None => self.others.iter().any(|value| value == read.text),
        }
    }
}

/// A text of at most seven bytes with its length, in one word.
fn word(text: &str) -> Option<u64> {
    if text.len() > 7 {
        return None;
    }
    let length = u64::try_from(text.len()).ok()?;
    let bytes = text
        .bytes()
        .fold(0, |word, byte| word << 8 | u64::from(byte));
    Some(length << 56 | bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_values_are_told_apart_by_every_character_and_their_length() {
        let values = ["", "0", "00", "01", "1234567", "12345678", "123456789"];
        for value in values {
            let set = ValueSet::new(vec![value.to_owned(), "other".to_owned()]);
            for read in values {
                assert_eq!(set.has(Read::new(read)), read == value, "{read} in {value}");
            }
            assert!(set.has(Read::new("other")));
        }
    }
}
