//! Finds what could be a card number in text that should hold none.
//!
//! Two use it: the reader of messages for text that peers fill as they like (DE 43), before it is
//! kept; and the log as the last line of defence, where a hit is a fault of ours and is counted.

use super::pan::Pan;

/// Shortest and longest card number, digits (ISO/IEC 7812-1).
const PAN_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;
/// Digits left readable at the end of a masked run.
const LAST_DIGITS: usize = 4;
/// Length of DE 42; acceptors' own numbers have it too, so only American Express counts there.
const ACCEPTOR_DIGITS: usize = 15;

/// Returns a masked copy if `value` holds a digit run that could be a card number.
pub fn masked(value: &str) -> Option<String> {
    masked_bytes(value.as_bytes())
}

/// The same for text whose bytes are at hand; `None` also for what is not UTF-8.
pub fn masked_bytes(value: &[u8]) -> Option<String> {
    let shortest = *PAN_DIGITS.start();
    // A run so long covers one of these places: most text is passed over at a glance.
    let mut places = value
        .iter()
        .skip(shortest.wrapping_sub(1))
        .step_by(shortest);
    if !places.any(u8::is_ascii_digit) {
        return None;
    }
    let mut copy: Option<Vec<u8>> = None;
    let mut rest = value;
    let mut offset = 0_usize;
    while let Some(start) = rest.iter().position(u8::is_ascii_digit) {
        let tail = rest.get(start..).unwrap_or_default();
        let length = tail.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let run = tail.get(..length).unwrap_or_default();
        if could_be_pan(run) {
            let first = offset.saturating_add(start);
            let last = first.saturating_add(length.saturating_sub(LAST_DIGITS));
            let copy = copy.get_or_insert_with(|| value.to_vec());
            if let Some(digits) = copy.get_mut(first..last) {
                digits.fill(b'*');
            }
        }
        offset = offset.saturating_add(start).saturating_add(length);
        rest = tail.get(length..).unwrap_or_default();
    }
    // Only ASCII digits were replaced by an ASCII star, so the copy is still UTF-8.
    copy.and_then(|bytes| String::from_utf8(bytes).ok())
}

/// Whether a number has the shape of a card number, for values logged as integers.
pub fn masked_number(value: u64) -> Option<String> {
    const SHORTEST: u64 = 1_000_000_000_000;
    if value < SHORTEST {
        None
    } else {
        masked(&value.to_string())
    }
}

fn could_be_pan(run: &[u8]) -> bool {
    match run.len() {
        length if length > *PAN_DIGITS.end() => true, // a number with something glued to it
        ACCEPTOR_DIGITS if !run.starts_with(b"34") && !run.starts_with(b"37") => false,
        length => PAN_DIGITS.contains(&length) && has_check_digit(run),
    }
}

fn has_check_digit(run: &[u8]) -> bool {
    std::str::from_utf8(run)
        .ok()
        .and_then(Pan::parse)
        .is_some_and(|number| number.has_valid_check_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn card_numbers_are_masked_and_nothing_else() {
        for (value, expected) in [
            ("4761739001010119", Some("************0119")),
            ("pan=4761739001010119;", Some("pan=************0119;")),
            (
                "x4761739001010119=25121010",
                Some("x************0119=25121010"),
            ),
            (
                "4761739001010119 5413330089010012",
                Some("************0119 ************0012"),
            ),
            ("加盟店4761739001010119", Some("加盟店************0119")),
            ("374245455400126", Some("***********0126")), // 15 digits, American Express
            ("47617390010101192512", Some("****************2512")), // with the expiry glued on
            ("4761739001010118", None),                   // check digit wrong
            ("476173******0119", None),                   // already masked
            ("000000000000018", None),                    // an acceptor's own number
            ("123456789012", None),                       // a retrieval reference number
            ("", None),
        ] {
            assert_eq!(masked(value).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn numbers_are_masked_like_texts() {
        assert_eq!(
            masked_number(4_761_739_001_010_119).as_deref(),
            Some("************0119")
        );
        assert_eq!(masked_number(999_999_999_999), None);
    }
}
