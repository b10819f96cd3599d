//! A new key of the link in a network management message: which element has it, and in what form.
//!
//! ```text
//! KEY BLOCK [CHECK VALUE]      ANSI X9.143; its own length is in it, and what the key is for
//! 32 DIGITS CHECK VALUE        two halves, each enciphered by itself
//! ```
//! The check value has six hexadecimal digits.

use crate::crypto::hsm::KeyForm;
use crate::domain::decision::Reason;
use crate::iso8583::Message;
use crate::switch::link_keys::{LinkKeyKind, NewKey, halves};

use super::request::{Reject, Request};
use super::table::{Dialect, Management};

/// Digits of the halves of a key.
const HALVES: usize = 32;
/// Digits of a check value.
const CHECK_VALUE: usize = 6;

/// What a management message asks of us.
pub(super) fn asked(dialect: &Dialect, message: &Message, management: Management) -> Request {
    let kind = match management {
        Management::NewKey => None,
        Management::NewMacKey => Some(LinkKeyKind::Mac),
        Management::NewPinKey => Some(LinkKeyKind::Pin),
        other => return Request::Management(other),
    };
    match read(dialect, message, kind) {
        Ok(new) => Request::NewKey(Box::new(new)),
        Err(reject) => Request::Reject(reject),
    }
}

/// Reads the new key; `kind` where the message says for what it is.
fn read(dialect: &Dialect, message: &Message, kind: Option<LinkKeyKind>) -> Result<NewKey, Reject> {
    let refused = |evidence: String| Reject {
        reason: Reason::FormatError,
        evidence,
    };
    let Some((element, reach)) = dialect.key_exchange else {
        return Err(refused(
            "the dialect names no element of new keys".to_owned(),
        ));
    };
    let text = message
        .text(element)
        .ok_or_else(|| Reject::missing(element))?;
    let wrong = |expected: &str| refused(format!("DE {element}: expected {expected}"));
    let text = reach.cut(&text).map(|text| text.trim_end_matches(' '));
    let (form, value) = text
        .and_then(parts)
        .ok_or_else(|| wrong("a key block, or 32 hexadecimal digits and a check value of six"))?;
    let kind = kind.or_else(|| match &form {
        KeyForm::Block(block) => kind_of(block),
        KeyForm::Halves(_) => None,
    });
    let kind = kind.ok_or_else(|| wrong("a key block for PINs (P0) or messages (M3, M6)"))?;
    Ok(NewKey {
        kind,
        form,
        check_value: value,
    })
}

/// The key and its check value.
fn parts(text: &str) -> Option<(KeyForm, Option<[u8; 3]>)> {
    if text.len() == HALVES + CHECK_VALUE
        && let Some((digits, value)) = text.split_at_checked(HALVES)
        && let (Some(halves), Some(value)) = (halves(digits), check_value(value))
    {
        return Some((KeyForm::Halves(halves), Some(value)));
    }
    let length: usize = text.get(1..5)?.parse().ok()?;
    let (block, value) = text.split_at_checked(length)?;
    let value = match value {
        "" => None,
        digits => Some(check_value(digits)?),
    };
    Some((KeyForm::Block(block.to_owned()), value))
}

fn check_value(digits: &str) -> Option<[u8; 3]> {
    let bytes = base16ct::mixed::decode_vec(digits).ok()?;
    bytes.try_into().ok()
}

/// What the header of a key block says that the key is for.
fn kind_of(block: &str) -> Option<LinkKeyKind> {
    match block.get(5..7)? {
        "P0" => Some(LinkKeyKind::Pin),
        "M3" | "M6" => Some(LinkKeyKind::Mac),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_a_block_of_its_own_length_or_halves_with_their_check_value() {
        let halves = "0CF63CFA1FE84448382B1B746EFF909E";
        let block = "B0016M3TE00E0000";
        for (text, is_block, value) in [
            (format!("{halves}F1D602"), false, Some([0xF1, 0xD6, 0x02])),
            (block.to_owned(), true, None),
            (format!("{block}8a0e14"), true, Some([0x8A, 0x0E, 0x14])),
        ] {
            let (form, came) = parts(&text).unwrap();
            assert_eq!(matches!(form, KeyForm::Block(_)), is_block, "{text}");
            assert_eq!(came, value, "{text}");
        }
        for text in [
            halves.to_owned(),
            format!("{halves}F1D60"),
            format!("{halves}F1D60G"),
            format!("{block}8A0E"),
            "B0099M3TE00E0000".to_owned(),
            "B".to_owned(),
            String::new(),
        ] {
            assert_eq!(parts(&text), None, "{text}");
        }
    }

    #[test]
    fn a_block_says_what_its_key_is_for() {
        assert_eq!(kind_of("B0016M6TE00E0000"), Some(LinkKeyKind::Mac));
        assert_eq!(kind_of("B0016P0TE00E0000"), Some(LinkKeyKind::Pin));
        assert_eq!(kind_of("B0016K0TE00E0000"), None);
    }
}
