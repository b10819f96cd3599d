//! Reads a file of exchange rates: which rate holds from when on.
//!
//! ```toml
//! [[rate]]                # one major unit of `from` costs `rate` major units of `to`
//! from = "USD"
//! to = "JPY"
//! rate = "150.25"
//! effective = "2026-11-01T00:00:00+09:00"
//! ```

use serde::Deserialize;

use super::money::Currency;
use super::programme_file::{line_at, line_of};
use super::rate::Rate;
use super::time::UnixMs;

/// Most rates one file or order may bring.
pub const RATES_MAX: usize = 10_000;

/// One rate: it holds from an instant on, until the next one of the same two currencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, Deserialize)]
pub struct RateRow {
    /// What one major unit of is converted.
    pub from: Currency,
    /// What it becomes.
    pub to: Currency,
    /// How many major units of that.
    pub rate: Rate,
    /// From when on.
    pub effective: UnixMs,
}

/// A file of rates that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("rates file {file}: {}", .mistakes.join("; "))]
pub struct RatesFileErrors {
    /// The file as the reader named it.
    pub file: String,
    /// Every mistake, each with its line and key.
    pub mistakes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    rate: Vec<Row>,
}

/// A rate as it is stated, before anything is proven.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// ISO 4217 letters.
    pub from: String,
    /// ISO 4217 letters.
    pub to: String,
    /// A number in quotes.
    pub rate: String,
    /// A time with its zone; left out: from now on, where that is allowed.
    pub effective: Option<String>,
}

impl Row {
    /// The rate, or what is wrong with it, each mistake beginning with its key.
    ///
    /// # Errors
    /// Every mistake of the row.
    pub fn proven(&self, now: Option<UnixMs>) -> Result<RateRow, Vec<String>> {
        let mut mistakes = Vec::new();
        let mut currency = |key: &str, letters: &str| {
            let known = Currency::from_alpha(letters);
            if known.is_none() {
                mistakes.push(format!("{key}: expected ISO 4217 letters, got {letters:?}"));
            }
            known
        };
        let (from, to) = (currency("from", &self.from), currency("to", &self.to));
        if from.is_some() && from == to {
            mistakes.push(format!("to: {} costs itself", self.to));
        }
        let rate = Rate::parse(&self.rate).map_err(|wrong| format!("rate: {wrong}"));
        let effective = match (&self.effective, now) {
            (None, Some(now)) => Ok(now),
            (None, None) => Err("effective: expected a time, got nothing".to_owned()),
            (Some(text), _) => instant(text).map_err(|wrong| format!("effective: {wrong}")),
        };
        match (from, to, rate, effective) {
            (Some(from), Some(to), Ok(rate), Ok(effective)) if mistakes.is_empty() => Ok(RateRow {
                from,
                to,
                rate,
                effective,
            }),
            (_, _, rate, effective) => {
                mistakes.extend(rate.err());
                mistakes.extend(effective.err());
                Err(mistakes)
            }
        }
    }
}

fn instant(text: &str) -> Result<UnixMs, String> {
    let stamp: Result<jiff::Timestamp, _> = text.parse();
    let stamp = stamp.map_err(|_| {
        format!("expected a time with its zone such as \"2026-11-01T00:00:00+09:00\", got {text:?}")
    })?;
    Ok(UnixMs(stamp.as_millisecond()))
}

/// All rates that are stated, or every mistake, each with the number of its row.
///
/// # Errors
/// Every mistake.
pub fn proven(rows: &[Row], now: Option<UnixMs>) -> Result<Vec<RateRow>, Vec<String>> {
    let mut mistakes = Vec::new();
    let mut rates: Vec<RateRow> = Vec::new();
    if rows.len() > RATES_MAX {
        let got = rows.len();
        mistakes.push(format!(
            "rate: expected {RATES_MAX} rows at most, got {got}"
        ));
    }
    for (n, row) in rows.iter().enumerate() {
        match row.proven(now) {
            Ok(rate) => rates.push(rate),
            Err(wrong) => {
                mistakes.extend(wrong.into_iter().map(|it| format!("rate[{n}].{it}")));
            }
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    for rate in &rates {
        if !seen.insert((rate.from, rate.to, rate.effective)) {
            mistakes.push(format!(
                "rate: {} to {} is stated twice for {}",
                rate.from, rate.to, rate.effective
            ));
        }
    }
    if mistakes.is_empty() {
        Ok(rates)
    } else {
        Err(mistakes)
    }
}

/// Reads a file of rates; `file` names it in errors.
///
/// # Errors
/// All mistakes of the file, or the one at which TOML itself cannot go on.
pub fn parse(file: &str, text: &str) -> Result<Vec<RateRow>, RatesFileErrors> {
    let wrong = |mistakes| RatesFileErrors {
        file: file.to_owned(),
        mistakes,
    };
    let raw: File = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_at(text, span.start));
        wrong(vec![format!("line {line}: {}", error.message())])
    })?;
    proven(&raw.rate, None).map_err(|mistakes| {
        let placed = mistakes.into_iter().map(|mistake| {
            let key = mistake.split_once(": ").map_or("", |parts| parts.0);
            let line = line_of(text, key).unwrap_or(1);
            format!("line {line}: {mistake}")
        });
        wrong(placed.collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_with_their_instants() {
        let text = "[[rate]]\nfrom = \"USD\"\nto = \"JPY\"\nrate = \"150.25\"\n\
                    effective = \"2026-11-01T00:00:00+09:00\"\n";
        let rates = parse("rates.toml", text).unwrap();
        assert_eq!(rates.len(), 1);
        assert_eq!(rates[0].rate.to_string(), "150.25");
        assert_eq!(rates[0].effective.to_string(), "2026-10-31T15:00:00.000Z");
    }

    #[test]
    fn every_mistake_is_told_with_its_line() {
        let text = "[[rate]]\nfrom = \"USD\"\nto = \"USD\"\nrate = \"0\"\n\
                    effective = \"2026-11-01\"\n[[rate]]\nfrom = \"XXX\"\nto = \"JPY\"\n\
                    rate = \"1\"\n";
        let told = parse("rates.toml", text).unwrap_err().to_string();
        for part in [
            "rates.toml",
            "line 3: rate[0].to: USD costs itself",
            "line 4: rate[0].rate: expected a number above 0",
            "line 5: rate[0].effective: expected a time with its zone",
            "line 7: rate[1].from: expected ISO 4217 letters, got \"XXX\"",
            "line 6: rate[1].effective: expected a time, got nothing",
        ] {
            assert!(told.contains(part), "{part} is not in {told}");
        }
        let twice = "[[rate]]\nfrom = \"USD\"\nto = \"JPY\"\nrate = \"150\"\n\
                     effective = \"2026-11-01T00:00:00Z\"\n";
        let told = parse("r", &format!("{twice}{twice}")).unwrap_err();
        assert!(told.to_string().contains("stated twice"), "{told}");
        assert!(
            parse("r", "[[rates]]\n")
                .unwrap_err()
                .to_string()
                .contains("line 1")
        );
    }
}
