//! Messages in the words of the trade, for people; card numbers are always masked.

use crate::iso8583::Message;

/// A request in words: `0100 purchase ¥1,200 at 5411 LAWSON  card 476173******0119`.
pub(super) fn request(message: &Message) -> String {
    let mut words = format!("{} {}", message.mti(), purpose(message));
    if let (minor @ 1.., currency) = amount(message) {
        words.push_str(&format!(" {}", money(minor, false, &currency)));
    }
    let category = if message.mti().version() == 0 { 18 } else { 26 };
    let shop = [text(message, category), text(message, 43)].join(" ");
    let shop: Vec<&str> = shop.split_whitespace().collect();
    if !shop.is_empty() {
        words.push_str(&format!(" at {}", shop.join(" ")));
    }
    if let Some(pan) = message.digits(2) {
        words.push_str(&format!("  card {}", masked(&pan)));
    }
    words
}

/// A reply in words: `0110 approved (00)  approval 4F7K2Q  available ¥8,800`.
pub(super) fn reply(message: &Message) -> String {
    let code = text(message, 39);
    let mti = message.mti();
    // What already happened, and the link itself, is not for us to approve.
    let told = match (code.as_str(), mti.class(), mti.function()) {
        ("00" | "000" | "0000", 4 | 5 | 8, _) | ("00" | "000" | "0000", _, 3) => "accepted",
        ("500" | "5000", 5, _) => "in balance",
        ("501" | "5001", 5, _) => "out of balance",
        _ => code_words(&code),
    };
    let mut words = format!("{mti} {told} ({code})");
    if message.has(38) {
        words.push_str(&format!("  approval {}", text(message, 38)));
    }
    for balance in balances(mti.version(), &text(message, 54)) {
        words.push_str(&format!("  {balance}"));
    }
    words
}

/// A card number as it may be shown: the first six and the last four digits.
pub(super) fn masked(pan: &str) -> String {
    let size = pan.chars().count();
    let shown = |index: usize| size > 10 && (index < 6 || index + 4 >= size);
    let mask = |(index, digit): (usize, char)| if shown(index) { digit } else { '*' };
    pan.chars().enumerate().map(mask).collect()
}

/// Text of an element without the padding around it; empty when it is absent or binary.
pub(super) fn text(message: &Message, element: u8) -> String {
    message
        .text(element)
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

/// What a response code says.
pub(super) fn code_words(code: &str) -> &'static str {
    match code {
        "00" | "000" | "0000" => "approved",
        "05" => "not honoured",
        "10" | "002" | "0002" => "approved in part",
        "12" => "invalid transaction",
        "13" => "invalid amount",
        "14" => "no such card",
        "15" => "no such issuer",
        "30" => "format error",
        "41" => "lost card",
        "43" => "stolen card",
        "46" => "closed account",
        "51" => "not enough funds",
        "54" => "expired card",
        "55" => "wrong PIN",
        "57" => "not permitted",
        "61" => "over the amount limit",
        "62" => "restricted card",
        "65" => "over the count limit",
        "70" => "PIN required",
        "75" => "too many PIN tries",
        "78" => "card not active",
        "81" => "cryptographic error",
        "91" => "issuer unavailable",
        "94" => "duplicate",
        "96" => "system malfunction",
        "" => "no response code",
        _ => "declined",
    }
}

fn purpose(message: &Message) -> String {
    let mti = message.mti();
    let repeat = if mti.is_repeat() { "repeat of " } else { "" };
    let words = match (mti.class(), mti.function()) {
        (8, _) => network_words(&text(message, 70)).to_owned(),
        (4, _) if message.has(95) => "partial reversal".to_owned(),
        (4, _) => "reversal".to_owned(),
        (2, 2) => format!("completion of {}", kind(message)),
        (_, 2) => format!("advice of {}", kind(message)),
        _ => kind(message).to_owned(),
    };
    format!("{repeat}{words}")
}

fn network_words(code: &str) -> &'static str {
    match code {
        "001" => "sign-on",
        "002" => "sign-off",
        "201" => "cutover",
        "301" => "echo",
        _ => "network management",
    }
}

fn kind(message: &Message) -> &'static str {
    let code = text(message, 3);
    match code.get(..2).unwrap_or_default() {
        "00" if message.has(4) && amount(message).0 == 0 => "account verification",
        "00" => "purchase",
        "01" => "cash withdrawal",
        "09" => "purchase with cash-back",
        "20" => "refund",
        "21" | "28" => "load",
        "30" | "31" => "balance enquiry",
        "40" => "transfer",
        _ => "message",
    }
}

/// Minor units and currency of the transaction: DE 4 and DE 49, in 2003 DE 4 alone.
fn amount(message: &Message) -> (u64, String) {
    if message.mti().version() != 2 {
        return (message.number(4).unwrap_or_default(), text(message, 49));
    }
    let digits = text(message, 4);
    let minor = digits.get(4..).and_then(|minor| minor.parse().ok());
    (
        minor.unwrap_or_default(),
        digits.get(..3).unwrap_or_default().to_owned(),
    )
}

/// DE 54: groups of account type 2, amount type 2, currency 3 (in 2003 with its decimals 4), sign
/// 1, amount 12.
fn balances(version: u8, element: &str) -> Vec<String> {
    let size = if version == 2 { 21 } else { 20 };
    let mut balances = Vec::new();
    let mut rest = element;
    while let (Some(group), Some(after)) = (rest.get(..size), rest.get(size..)) {
        rest = after;
        let field = |from: usize, to: usize| group.get(from..to).unwrap_or_default();
        let name = match field(2, 4) {
            "01" => "ledger",
            "02" => "available",
            "53" => "approved",
            "57" => "original",
            _ => "amount",
        };
        if let Ok(minor) = field(size - 12, size).parse::<u64>() {
            let amount = money(minor, field(size - 13, size - 12) == "D", field(4, 7));
            balances.push(format!("{name} {amount}"));
        }
    }
    balances
}

/// An amount in minor units as a person writes it; digits grouped by three.
pub(super) fn money(minor: u64, negative: bool, currency: &str) -> String {
    let (symbol, exponent) = match currency {
        "392" | "JPY" => ("¥", 0),
        "840" | "USD" => ("US$", 2),
        "978" | "EUR" => ("€", 2),
        "826" | "GBP" => ("£", 2),
        "036" | "AUD" => ("A$", 2),
        _ => return format!("{}{minor} minor units of {currency}", sign(negative)),
    };
    let base = 10_u64.pow(exponent);
    let mut whole = (minor / base).to_string();
    let mut index = whole.len();
    while index > 3 {
        index -= 3;
        whole.insert(index, ',');
    }
    match exponent {
        0 => format!("{}{symbol}{whole}", sign(negative)),
        _ => format!("{}{symbol}{whole}.{:02}", sign(negative), minor % base),
    }
}

fn sign(negative: bool) -> &'static str {
    if negative { "-" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_as_people_write_them() {
        let rows = [
            (1_200, false, "392", "¥1,200"),
            (1_234_567, true, "392", "-¥1,234,567"),
            (123_405, false, "840", "US$1,234.05"),
            (5, false, "978", "€0.05"),
            (5, false, "999", "5 minor units of 999"),
        ];
        for (minor, negative, currency, expected) in rows {
            assert_eq!(money(minor, negative, currency), expected);
        }
    }

    #[test]
    fn a_card_number_shows_six_and_four_digits_at_most() {
        let rows = [
            ("4761739001010119", "476173******0119"),
            ("4761739001010", "476173***1010"),
            ("47617390", "********"),
        ];
        for (pan, expected) in rows {
            assert_eq!(masked(pan), expected);
        }
    }

    #[test]
    fn additional_amounts_are_read_as_balances() {
        let element = "0002392C0000000088000001392D000000000120";
        assert_eq!(balances(0, element), ["available ¥8,800", "ledger -¥120"]);
        assert_eq!(balances(2, "00023920C000000008800"), ["available ¥8,800"]);
        assert!(balances(0, "0002392C").is_empty());
    }
}
