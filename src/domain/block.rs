//! A kind of message that a programme refuses, as a list of conditions on its facts.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::conditions::{Attendance, EntryMode};
use super::decision::Reason;
use super::facts::{Certainty, Device, FactName, Facts, Initiation, Presence, Purpose};
use super::merchant::{AcceptorId, HomeCountry, Mcc, TerminalId};
use super::money::Currency;
use super::time::{Calendar, UnixMs};

/// A run of merchant category codes, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MccRange {
    /// First.
    pub first: Mcc,
    /// Last.
    pub last: Mcc,
}

impl MccRange {
    /// Four digits, or a run like `3501-3999`.
    pub fn of(text: &str) -> Option<MccRange> {
        let four_digits = |part: &str| {
            let digits = part.len() == 4 && part.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| part.parse().ok().map(Mcc)).flatten()
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = four_digits(first).zip(four_digits(last))?;
        (first <= last).then_some(MccRange { first, last })
    }
}

impl fmt::Display for MccRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

/// Two letters of a country, ISO 3166.
pub type CountryLetters = [u8; 2];

/// A span of the day in the programme's time zone; it may go over midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaySpan {
    /// First minute of the day in it.
    pub from: u16,
    /// First minute of the day after it.
    pub until: u16,
}

impl DaySpan {
    /// `23:00-05:00`: from the first minute up to the second.
    pub fn of(text: &str) -> Option<DaySpan> {
        let minute = |part: &str| {
            let (hour, minute) = part.trim().split_once(':')?;
            let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
            let of_day = hour.checked_mul(60)?.checked_add(minute)?;
            (minute < 60 && of_day <= 24 * 60).then_some(of_day)
        };
        let (from, until) = text.split_once('-')?;
        let (from, until) = (minute(from)?, minute(until)?);
        (from != until).then_some(DaySpan { from, until })
    }

    /// Whether a minute of the day is in it.
    pub fn contains(self, minute: u16) -> bool {
        if self.from < self.until {
            (self.from..self.until).contains(&minute)
        } else {
            minute >= self.from || minute < self.until
        }
    }
}

impl fmt::Display for DaySpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", Minute(self.from), Minute(self.until))
    }
}

/// Two capital letters of a country.
pub fn country_letters(text: &str) -> Option<CountryLetters> {
    let are_capital = text.bytes().all(|byte| byte.is_ascii_uppercase());
    text.as_bytes().try_into().ok().filter(|_| are_capital)
}

/// Something that may be true of a message. The journal has those of single cards' controls, so a
/// new one stands at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// The merchant's category is one of these.
    Mcc(Vec<MccRange>),
    /// What is wanted is one of these.
    Purpose(Vec<Purpose>),
    /// Who started it.
    Initiation(Initiation),
    /// Whether the amount stands.
    Certainty(Certainty),
    /// Kind of terminal.
    Device(Device),
    /// Whether the card was there.
    Presence(Presence),
    /// Whether the merchant is at home.
    Domestic(bool),
    /// The merchant's country is stated and one of these.
    Country(Vec<CountryLetters>),
    /// The merchant's country is stated and none of these.
    CountryNot(Vec<CountryLetters>),
    /// The acquirer's country is stated and one of these, ISO 3166 numeric.
    AcquirerCountry(Vec<u16>),
    /// The acquirer's country is stated and none of these.
    AcquirerCountryNot(Vec<u16>),
    /// The transaction's currency is one of these.
    Currency(Vec<Currency>),
    /// The transaction's currency is none of these.
    CurrencyNot(Vec<Currency>),
    /// The acquirer is one of these.
    Acquirer(Vec<u64>),
    /// The card acceptor is one of these.
    Acceptor(Vec<AcceptorId>),
    /// The terminal is one of these.
    Terminal(Vec<TerminalId>),
    /// The card number came in one of these ways.
    Entry(Vec<EntryMode>),
    /// Who served.
    Attendance(Attendance),
    /// Whether part of the amount is cash for the cardholder.
    CashPart(bool),
    /// The time of day, in the programme's time zone.
    Hours(DaySpan),
}

/// A message where and when it happens.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// What it says.
    pub facts: &'a Facts,
    /// Where the programme is at home.
    pub home: HomeCountry,
    /// The programme's calendar.
    pub calendar: &'a Calendar,
    /// When.
    pub at: UnixMs,
}

impl Condition {
    /// Whether it is true of a message.
    pub fn holds(&self, scene: &Scene<'_>) -> bool {
        let facts = scene.facts;
        let country = facts.origin.merchant_country;
        let acquirer_country = facts.origin.acquirer_country;
        match self {
            Condition::Mcc(ranges) => facts
                .mcc
                .is_some_and(|mcc| ranges.iter().any(|it| it.first <= mcc && mcc <= it.last)),
            Condition::Purpose(wanted) => wanted.contains(&facts.purpose),
            Condition::Initiation(wanted) => *wanted == facts.initiation,
            Condition::Certainty(wanted) => *wanted == facts.certainty,
            Condition::Device(wanted) => *wanted == facts.device,
            Condition::Presence(wanted) => *wanted == facts.presence,
            Condition::Domestic(wanted) => *wanted == facts.origin.is_domestic(scene.home),
            Condition::Country(list) => country.is_some_and(|it| list.contains(&it)),
            Condition::CountryNot(list) => country.is_some_and(|it| !list.contains(&it)),
            Condition::AcquirerCountry(list) => {
                acquirer_country.is_some_and(|it| list.contains(&it))
            }
            Condition::AcquirerCountryNot(list) => {
                acquirer_country.is_some_and(|it| !list.contains(&it))
            }
            Condition::Currency(list) => list.contains(&facts.amount.currency),
            Condition::CurrencyNot(list) => !list.contains(&facts.amount.currency),
            Condition::Acquirer(list) => list.contains(&facts.trace.acquirer()),
            Condition::Acceptor(list) => list.contains(&facts.acceptor),
            Condition::Terminal(list) => list.contains(&facts.terminal),
            Condition::Entry(list) => list.contains(&facts.point.entry),
            Condition::Attendance(wanted) => *wanted == facts.point.attendance,
            Condition::CashPart(wanted) => *wanted == has_cash_part(facts),
            Condition::Hours(span) => span.contains(scene.calendar.minute_of_day(scene.at)),
        }
    }

    /// What was seen where it holds, for evidence; nothing where the block's name says it all.
    pub fn seen(&self, scene: &Scene<'_>) -> Option<String> {
        let facts = scene.facts;
        let read = |fact| facts.evidence_of(fact).map(str::to_owned);
        match self {
            Condition::Mcc(_) => facts.mcc.map(|mcc| format!("mcc {mcc}")),
            Condition::Purpose(_) => read(FactName::Purpose),
            Condition::Initiation(_) => read(FactName::Initiation),
            Condition::Certainty(_) => read(FactName::Certainty),
            Condition::Device(_) => read(FactName::Device),
            Condition::Presence(_) => read(FactName::Presence),
            Condition::Domestic(_) => None,
            Condition::Country(_) | Condition::CountryNot(_) => facts
                .origin
                .merchant_country
                .map(|letters| format!("country {}", String::from_utf8_lossy(&letters))),
            Condition::AcquirerCountry(_) | Condition::AcquirerCountryNot(_) => facts
                .origin
                .acquirer_country
                .map(|number| format!("acquirer country {number:03}")),
            Condition::Currency(_) | Condition::CurrencyNot(_) => {
                Some(format!("currency {}", facts.amount.currency))
            }
            Condition::Acquirer(_) => Some(format!("acquirer {}", facts.trace.acquirer())),
            Condition::Acceptor(_) => Some(format!("acceptor {}", facts.acceptor)),
            Condition::Terminal(_) => Some(format!("terminal {}", facts.terminal)),
            Condition::Entry(_) => Some(format!("entry {:?}", facts.point.entry).to_lowercase()),
            Condition::Attendance(_) => {
                Some(format!("terminal {:?}", facts.point.attendance).to_lowercase())
            }
            Condition::CashPart(_) => None,
            Condition::Hours(_) => {
                let minute = scene.calendar.minute_of_day(scene.at);
                Some(format!("at {}", Minute(minute)))
            }
        }
    }
}

fn has_cash_part(facts: &Facts) -> bool {
    let rare = facts.rare.as_ref();
    rare.is_some_and(|rare| rare.cash_minor.is_some_and(|minor| minor > 0))
}

/// A minute of the day as `23:59`.
pub struct Minute(pub u16);

impl fmt::Display for Minute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hour, minute) = (self.0.div_euclid(60), self.0.rem_euclid(60));
        write!(f, "{hour:02}:{minute:02}")
    }
}

/// The merchant categories that any block of a programme names: most merchants are in none, and
/// then no block by category need be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockedCategories(Box<[u64; WORDS]>);

/// One bit for each of the 10,000 codes.
const WORDS: usize = 157;

impl BlockedCategories {
    /// What these blocks name.
    pub fn of(blocks: &[Block]) -> BlockedCategories {
        let mut words = Box::new([0_u64; WORDS]);
        let conditions = blocks.iter().flat_map(|block| &block.conditions);
        for condition in conditions {
            let Condition::Mcc(ranges) = condition else {
                continue;
            };
            for code in ranges.iter().flat_map(|it| it.first.0..=it.last.0) {
                if let Some(word) = words.get_mut(usize::from(code >> 6)) {
                    *word |= 1 << (code & 63);
                }
            }
        }
        BlockedCategories(words)
    }

    /// Whether a merchant of this category may be meant.
    pub fn has(&self, mcc: Option<Mcc>) -> bool {
        mcc.is_some_and(|mcc| {
            let word = self.0.get(usize::from(mcc.0 >> 6));
            word.is_some_and(|word| word >> (mcc.0 & 63) & 1 == 1)
        })
    }
}

/// A kind of message the programme refuses (rules A18 to A26, B2, B3, C7): every condition of it
/// must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its name in evidence, such as `fuel`.
    pub id: String,
    /// The rule of the programme that it states, such as `A19`.
    pub rule: String,
    /// Why the message is declined.
    pub reason: Reason,
    /// What must be true of it; never empty.
    pub conditions: Vec<Condition>,
    /// Whether it only notes what it would refuse.
    pub shadow: bool,
}

impl Block {
    /// Whether every condition holds for a message.
    pub fn matches(&self, scene: &Scene<'_>) -> bool {
        Block::all_hold(&self.conditions, scene)
    }

    /// Whether every one of some conditions holds for a message.
    pub fn all_hold(conditions: &[Condition], scene: &Scene<'_>) -> bool {
        conditions.iter().all(|condition| condition.holds(scene))
    }

    /// Whether the merchant's category brought the message here, so that listing the merchant as
    /// allowed lifts the block (rule A26b).
    pub fn is_by_category(&self) -> bool {
        let by_category = |condition: &Condition| matches!(condition, Condition::Mcc(_));
        self.conditions.iter().any(by_category)
    }

    /// Whether it names a purpose.
    pub fn names_purpose(&self, purpose: Purpose) -> bool {
        self.conditions.iter().any(|condition| match condition {
            Condition::Purpose(list) => list.contains(&purpose),
            _ => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_blocked_categories_are_those_of_every_range_and_no_others() {
        let range = |first, last| MccRange {
            first: Mcc(first),
            last: Mcc(last),
        };
        let block = |conditions| Block {
            id: "fuel".to_owned(),
            rule: "A19".to_owned(),
            reason: Reason::MerchantCategory,
            conditions,
            shadow: false,
        };
        let blocked = BlockedCategories::of(&[
            block(vec![Condition::Mcc(vec![range(0, 0), range(63, 64)])]),
            block(vec![
                Condition::Domestic(true),
                Condition::Mcc(vec![range(5_541, 5_542), range(9_999, 9_999)]),
            ]),
        ]);
        let found: Vec<u16> = (0..10_100)
            .filter(|code| blocked.has(Some(Mcc(*code))))
            .collect();
        assert_eq!(found, [0, 63, 64, 5_541, 5_542, 9_999]);
        assert!(!blocked.has(None));
    }

    #[test]
    fn a_span_of_the_day_may_go_over_midnight() {
        let at = |hour: u16| hour * 60;
        let span = |from, until| DaySpan {
            from: at(from),
            until: at(until),
        };
        for (from, until, hour, inside) in [
            (9, 17, 9, true),
            (9, 17, 17, false),
            (9, 17, 8, false),
            (23, 5, 23, true),
            (23, 5, 4, true),
            (23, 5, 5, false),
            (0, 24, 12, true),
        ] {
            assert_eq!(
                span(from, until).contains(at(hour)),
                inside,
                "{from} {until} {hour}"
            );
        }
    }
}
