//! Says one line of the decision log in one aligned line for people.

use std::fmt::{self, Write};

use anstyle::{AnsiColor, Style};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Map, Value};

use crate::domain::money::{Amount, Currency};

const GOOD: Style = AnsiColor::Green.on_default();
const REFUSED: Style = AnsiColor::Yellow.on_default();
const WRONG: Style = AnsiColor::Red.on_default();
const QUIET: Style = Style::new().dimmed();
const PLAIN: Style = Style::new();

/// How lines are to look.
pub(super) struct Look {
    /// Whether escape sequences for colour may be written.
    pub(super) colour: bool,
    /// Zone in which times are shown.
    pub(super) zone: TimeZone,
}

/// One line of the log, as far as it could be read.
pub(super) struct Line<'a> {
    raw: &'a str,
    fields: Map<String, Value>,
}

/// The fields of a line that is a decision.
pub(super) struct DecisionFields<'a>(&'a Map<String, Value>);

impl<'a> Line<'a> {
    /// Reads a line; what is no JSON object is kept as text.
    pub(super) fn parse(raw: &'a str) -> Line<'a> {
        Line {
            raw,
            fields: serde_json::from_str(raw).unwrap_or_default(),
        }
    }

    /// When the line was written.
    pub(super) fn time(&self) -> Option<Timestamp> {
        self.fields.get("time")?.as_str()?.parse().ok()
    }

    /// The line's fields if it is a decision.
    pub(super) fn decision(&self) -> Option<DecisionFields<'_>> {
        self.fields
            .contains_key("decision")
            .then_some(DecisionFields(&self.fields))
    }
}

impl<'a> DecisionFields<'a> {
    /// Response code sent.
    pub(super) fn code(&self) -> Option<&'a str> {
        self.text("code")
    }

    /// Reason of a refusal.
    pub(super) fn reason(&self) -> Option<&'a str> {
        self.text("reason")
    }

    /// Masked card number.
    pub(super) fn card(&self) -> Option<&'a str> {
        self.text("card")
    }

    /// Token of the card.
    pub(super) fn card_token(&self) -> Option<&'a str> {
        self.text("card_token")
    }

    /// The transaction that it belongs to.
    pub(super) fn trace(&self) -> Option<u64> {
        self.0.get("trace").and_then(Value::as_u64)
    }

    /// Merchant category code.
    pub(super) fn mcc(&self) -> Option<&'a str> {
        self.text("mcc")
    }

    fn text(&self, key: &str) -> Option<&'a str> {
        self.0.get(key)?.as_str()
    }

    fn amount(&self) -> Option<String> {
        money(
            self.0.get("amount_minor")?.as_i64()?,
            self.text("currency")?,
        )
    }

    /// What may still be spent: balances less holds, added up per currency.
    fn available(&self) -> String {
        let mut sums: Vec<(&str, i64)> = Vec::new();
        let purses = self.0.get("balances").and_then(Value::as_array);
        for purse in purses.into_iter().flatten() {
            let minor = |key| purse.get(key).and_then(Value::as_i64).unwrap_or(0);
            let currency = purse.get("currency").and_then(Value::as_str).unwrap_or("?");
            let free = minor("balance_minor").saturating_sub(minor("held_minor"));
            match sums.iter_mut().find(|(known, _)| *known == currency) {
                Some((_, sum)) => *sum = sum.saturating_add(free),
                None => sums.push((currency, free)),
            }
        }
        let texts: Vec<String> = sums
            .into_iter()
            .filter_map(|(currency, sum)| money(sum, currency))
            .collect();
        texts.join(" + ")
    }
}

/// One line for people.
pub(super) fn render(line: &Line<'_>, look: &Look) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _infallible = match line.decision() {
        Some(decision) => decision_line(&mut text, line, &decision, look),
        None => other_line(&mut text, line, look),
    };
    text.truncate(text.trim_end().len());
    text
}

fn decision_line(
    text: &mut String,
    line: &Line<'_>,
    decision: &DecisionFields<'_>,
    look: &Look,
) -> fmt::Result {
    let get = |key| decision.text(key).unwrap_or("-");
    let word = get("decision");
    let style = match word {
        "approved" | "accepted" => GOOD,
        "declined" => REFUSED,
        _ => WRONG,
    };
    let repeat = decision
        .0
        .get("repeat")
        .and_then(Value::as_bool)
        .unwrap_or(false);

    paint(text, look, QUIET, &clock(line.time(), look))?;
    text.push_str("  ");
    paint(text, look, style, &format!("{:>2} {word:<8}", get("code")))?;
    write!(
        text,
        "  {:<4}{}",
        get("mti"),
        if repeat { "r" } else { " " }
    )?;
    write!(text, " {:<16}", cut(get("purpose"), 16))?;
    write!(
        text,
        " {:>16}",
        decision.amount().unwrap_or_else(|| "-".to_string())
    )?;
    write!(
        text,
        "  {:<4} {:<15}",
        get("mcc"),
        cut(get("merchant").trim_end(), 15)
    )?;
    write!(text, "  {:<19}", get("card"))?;
    let why = match (decision.reason(), decision.text("evidence")) {
        (Some(reason), Some(evidence)) => format!("{reason} ({evidence})"),
        (Some(reason), None) => reason.to_string(),
        (None, _) => decision
            .text("approval")
            .map_or_else(String::new, |a| format!("approval {a}")),
    };
    text.push_str("  ");
    paint(
        text,
        look,
        if decision.reason().is_some() {
            style
        } else {
            PLAIN
        },
        &format!("{why:<28}"),
    )?;
    let available = decision.available();
    let available = if available.is_empty() {
        available
    } else {
        format!("available {available}")
    };
    write!(text, "  {available:<24}  ")?;
    let total_ns = decision.0.get("total_ns").and_then(Value::as_u64);
    paint(
        text,
        look,
        QUIET,
        &total_ns.map_or_else(String::new, latency),
    )
}

/// The steps of the corridor in the words of the log.
const STEPS: [&str; 7] = [
    "decode",
    "parse_request",
    "sequence",
    "decide",
    "append",
    "render_response",
    "write_frame",
];

/// What there is to know of a decision beside its line, one indented line each: what names the
/// message and the card everywhere else, every purse, and where the time went.
pub(super) fn explain(line: &Line<'_>, look: &Look) -> Vec<String> {
    let Some(decision) = line.decision() else {
        return Vec::new();
    };
    let get = |key| decision.text(key).map(readable);
    let mut rows = Vec::new();
    let mut row = |name: &str, words: String| {
        if !words.is_empty() {
            let mut text = format!("{:20}", "");
            // Writing to a string cannot fail.
            let _infallible = paint(&mut text, look, QUIET, &format!("{name:<8} {words}"));
            rows.push(text);
        }
    };
    if let Some(reason) = get("reason") {
        let evidence = get("evidence").unwrap_or_default();
        row(
            "why",
            format!("{reason}: {evidence}")
                .trim_end_matches(": ")
                .to_owned(),
        );
    }
    let number = |key| decision.0.get(key).and_then(Value::as_u64);
    let named = |name: &str, value: Option<String>| value.map(|value| format!("{name} {value}"));
    let message = [
        named("link", get("link")),
        named("stan", get("stan")),
        named("rrn", get("rrn")),
        named("terminal", get("terminal")),
        named("record", number("sequence").map(|it| it.to_string())),
        named("trace", number("trace").map(|it| it.to_string())),
    ];
    row(
        "message",
        message.into_iter().flatten().collect::<Vec<_>>().join(", "),
    );
    let card = [
        named("token", get("card_token")),
        named("account", number("account").map(|it| it.to_string())),
    ];
    row(
        "card",
        card.into_iter().flatten().collect::<Vec<_>>().join(", "),
    );
    let purses = decision.0.get("balances").and_then(Value::as_array);
    let told = purses.into_iter().flatten().filter_map(|purse| {
        let minor = |key| purse.get(key).and_then(Value::as_i64);
        let currency = purse.get("currency").and_then(Value::as_str)?;
        let name = readable(purse.get("purse").and_then(Value::as_str)?);
        let balance = money(minor("balance_minor")?, currency)?;
        let held = money(minor("held_minor")?, currency)?;
        Some(format!("{name} {balance}, of it held {held}"))
    });
    row("purses", told.collect::<Vec<_>>().join("; "));
    let took = STEPS.iter().filter_map(|step| {
        let ns = decision.0.get(&format!("{step}_ns"))?.as_u64();
        let ns = ns.filter(|ns| *ns > 0)?;
        Some(format!("{step} {}", latency(ns)))
    });
    row("took", took.collect::<Vec<_>>().join(", "));
    rows
}

fn other_line(text: &mut String, line: &Line<'_>, look: &Look) -> fmt::Result {
    if line.fields.is_empty() {
        return paint(text, look, QUIET, &readable(line.raw));
    }
    let get = |key: &str| line.fields.get(key).and_then(Value::as_str).unwrap_or("-");
    let mut words = format!("{:<5} {}: {}", get("level"), get("target"), get("message"));
    for (key, value) in &line.fields {
        if !["time", "level", "target", "message"].contains(&key.as_str()) {
            match value.as_str() {
                Some(value) => write!(words, " {key}={value}")?,
                None => write!(words, " {key}={value}")?,
            }
        }
    }
    let style = match get("level") {
        "ERROR" => WRONG,
        "WARN" => REFUSED,
        _ => QUIET,
    };
    paint(text, look, QUIET, &clock(line.time(), look))?;
    text.push_str("  ");
    paint(text, look, style, &readable(&words))
}

fn paint(text: &mut String, look: &Look, style: Style, words: &str) -> fmt::Result {
    if look.colour {
        write!(text, "{style}{words}{style:#}")
    } else {
        text.write_str(words)
    }
}

fn clock(time: Option<Timestamp>, look: &Look) -> String {
    time.map_or_else(
        || format!("{:<18}", "-"),
        |time| {
            time.to_zoned(look.zone.clone())
                .strftime("%m-%d %H:%M:%S%.3f")
                .to_string()
        },
    )
}

/// At most so many characters, without what could move a terminal's cursor.
fn cut(value: &str, characters: usize) -> String {
    readable(value).chars().take(characters).collect()
}

fn readable(value: &str) -> String {
    value
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

/// `12,500 JPY`, `12.50 USD`; `None` when the sum does not fit its own minus sign.
fn money(minor: i64, currency: &str) -> Option<String> {
    let known = Currency::from_alpha(currency)
        .or_else(|| currency.parse().ok().map(Currency::from_numeric))?;
    let plain = Amount::new(minor, known).to_string();
    let (number, name) = plain.split_once(' ')?;
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) => (whole, format!(".{fraction}")),
        None => (number, String::new()),
    };
    let (sign, digits) = match whole.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", whole),
    };
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        let remaining = digits.len().saturating_sub(index);
        if index > 0 && remaining.is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    Some(format!("{sign}{grouped}{fraction} {name}"))
}

/// `812 ns`, `14.0 us`, `1.50 ms`, `2.00 s`: three digits are enough to compare.
fn latency(ns: u64) -> String {
    let (unit_ns, unit) = match ns {
        0..1_000 => return format!("{ns} ns"),
        1_000..1_000_000 => (1_000_u64, "us"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        _ => (1_000_000_000, "s"),
    };
    let whole = ns.checked_div(unit_ns).unwrap_or(0);
    let hundredths = ns.checked_rem(unit_ns).unwrap_or(0).saturating_mul(100) / unit_ns;
    format!("{whole}.{hundredths:02} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECLINED: &str = r#"{
        "time":"2026-11-21T19:08:33.042Z","link":"iso87-ascii-8583","mti":"0101","stan":"000042",
        "card":"476173******0119","card_token":"0aff","account":7,"amount_minor":1234567,
        "currency":"JPY","mcc":"5411","merchant":"LAWSON TOKYO MINATO","purpose":"purchase",
        "decision":"declined","reason":"insufficient_funds","evidence":"DE4","code":"51",
        "repeat":true,"balances":[
            {"purse":"a","currency":"JPY","balance_minor":5000,"held_minor":1200},
            {"purse":"b","currency":"JPY","balance_minor":1,"held_minor":0}
        ],"total_ns":119771}"#;

    fn words(raw: &str, colour: bool) -> String {
        render(
            &Line::parse(raw),
            &Look {
                colour,
                zone: TimeZone::UTC,
            },
        )
    }

    #[test]
    fn decision_is_one_aligned_line() {
        assert_eq!(
            words(DECLINED, false),
            "11-21 19:08:33.042  51 declined  0101r purchase            1,234,567 JPY  5411 \
             LAWSON TOKYO MI  476173******0119     insufficient_funds (DE4)      \
             available 3,801 JPY       119.77 us"
        );
    }

    #[test]
    fn colour_marks_the_outcome_and_only_on_a_terminal() {
        let text = words(DECLINED, true);
        assert!(text.contains("\u{1b}[33m51 declined\u{1b}[0m"), "{text:?}");
        assert!(!words(DECLINED, false).contains('\u{1b}'));
    }

    #[test]
    fn missing_fields_leave_a_dash() {
        assert_eq!(
            words(r#"{"decision":"rejected","code":"30"}"#, false),
            "-                   30 rejected  -     -                               -  -    \
             -                -"
        );
    }

    #[test]
    fn other_lines_keep_their_fields() {
        let raw = r#"{"time":"2026-11-21T19:08:33.042Z","level":"WARN","target":"switch",
            "message":"link down","open":3,"peer":"127.0.0.1:9"}"#;
        assert_eq!(
            words(raw, false),
            "11-21 19:08:33.042  WARN  switch: link down open=3 peer=127.0.0.1:9"
        );
        assert_eq!(words("not JSON \u{1b}[2J", false), "not JSON ?[2J");
    }

    #[test]
    fn money_has_the_exponent_of_its_currency() {
        for (minor, currency, expected) in [
            (0, "JPY", Some("0 JPY")),
            (-1_200, "JPY", Some("-1,200 JPY")),
            (123_456_789, "USD", Some("1,234,567.89 USD")),
            (-5, "USD", Some("-0.05 USD")),
            (1_234_567, "KWD", Some("1,234.567 KWD")),
            (12, "999", Some("12 999")),
            (12, "??", None),
        ] {
            assert_eq!(money(minor, currency).as_deref(), expected);
        }
    }

    #[test]
    fn latency_has_the_unit_that_fits() {
        for (ns, expected) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.00 us"),
            (119_771, "119.77 us"),
            (1_500_000, "1.50 ms"),
            (u64::MAX, "18446744073.70 s"),
        ] {
            assert_eq!(latency(ns), expected);
        }
    }
}
