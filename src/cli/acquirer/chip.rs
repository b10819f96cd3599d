//! The chip of a scenario's card: makes request cryptograms from a test key, and believes the
//! issuer's answers like a real one.

use std::collections::BTreeMap;

use toml::{Table, Value as Toml};

use crate::crypto::emv::{
    Cryptogram, CryptogramVersion, answer_1, answer_2, card_key, session_key,
};
use crate::crypto::key::TdesKey;
use crate::iso8583::{Message, Tlvs};

use super::clock;
use super::report::Check;
use super::scenario::Mistakes;

/// What a step's chip does.
pub(super) struct ChipPlan {
    issuer: TdesKey,
    version: CryptogramVersion,
    /// It brings the counter of the chip before it once more.
    replayed: bool,
    /// Somebody else makes the cryptogram.
    forged: bool,
    /// Whether the issuer answers it.
    answered: bool,
}

/// The chips of a run: each cryptogram has a counter of its own.
#[derive(Default)]
pub(super) struct Chips {
    last: u64,
}

/// A request cryptogram with what its answer is held against.
pub(super) struct Asked {
    request: Cryptogram,
    session: TdesKey,
    version: CryptogramVersion,
}

/// Keys of a step's chip.
const KEYS: [&str; 5] = ["key", "version", "replayed", "forged", "answered"];
/// The terminal's unpredictable number, its results, and what the chip can do.
const UNPREDICTABLE: &str = "52BF4585";
const RESULTS: &str = "0000008000";
const PROFILE: &str = "1800";
/// The country where the message names none: Japan.
const COUNTRY: u64 = 392;
/// Milliseconds for which a counter is new: far less than a run of a scenario takes.
const TICK_MS: u64 = 10;

impl std::fmt::Debug for ChipPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChipPlan(key withheld)")
    }
}

impl ChipPlan {
    /// Reads the chip of a step: `by_chip = { key = "...", version = 10 }`.
    pub(super) fn parse(table: &Table, place: &str, mistakes: &mut Mistakes) -> Option<ChipPlan> {
        let table = match table.get("by_chip")? {
            Toml::Table(table) => table,
            _ => {
                mistakes.add(place, "by_chip: expected a table with key and version");
                return None;
            }
        };
        for key in table.keys().filter(|key| !KEYS.contains(&key.as_str())) {
            let expected = KEYS.join(", ");
            mistakes.add(place, format!("by_chip: {key}: expected one of {expected}"));
        }
        let mut switch = |key: &str, standard: bool| match table.get(key) {
            None => standard,
            Some(Toml::Boolean(value)) => *value,
            Some(_) => {
                mistakes.add(place, format!("by_chip: {key}: expected true or false"));
                standard
            }
        };
        let (replayed, forged) = (switch("replayed", false), switch("forged", false));
        let answered = switch("answered", true);
        let issuer = table.get("key").and_then(Toml::as_str);
        let issuer = issuer.and_then(|digits| TdesKey::from_hex(digits).ok());
        let version = match table.get("version").and_then(Toml::as_integer) {
            Some(10) => Some(CryptogramVersion::V10),
            Some(18) => Some(CryptogramVersion::V18),
            _ => None,
        };
        let (Some(issuer), Some(version)) = (issuer, version) else {
            mistakes.add(
                place,
                "by_chip: expected key, 32 hexadecimal digits, and version 10 or 18",
            );
            return None;
        };
        Some(ChipPlan {
            issuer,
            version,
            replayed,
            forged,
            answered,
        })
    }

    fn issuer_data(&self) -> &'static str {
        match self.version {
            CryptogramVersion::V10 => "06010A03A06010",
            CryptogramVersion::V18 => "06011203A0B800",
        }
    }

    /// DE 23 and DE 55 for a message, and what its answer will be held against; `None` where the
    /// message names no card.
    pub(super) fn elements(
        &self,
        message: &Message,
        chips: &mut Chips,
    ) -> Option<(BTreeMap<u8, String>, Asked)> {
        let pan = message.digits(2)?;
        if !self.replayed {
            chips.last = chips.last.saturating_add(1).max(now());
        }
        // The counter has sixteen bits: the sequence number of the card goes on where it ends.
        let [.., high, low] = chips.last.to_be_bytes();
        let counter = u16::from_be_bytes([high, low]);
        let sequence_number = u8::try_from((chips.last >> 16) % 100).unwrap_or_default();
        let number = |element: u8| message.number(element).unwrap_or_default();
        let country = message.number(19).unwrap_or(COUNTRY);
        let currency = message.text(49).and_then(|text| text.parse().ok());
        let currency: u64 = currency.unwrap_or(COUNTRY);
        let (amount, own) = (number(4), self.issuer_data());
        let date = clock::utc().strftime("%y%m%d").to_string();
        let signed = format!(
            "{amount:012}{:012}{country:04}{RESULTS}{currency:04}{date}00{UNPREDICTABLE}{PROFILE}\
             {counter:04X}{}",
            0,
            match self.version {
                CryptogramVersion::V10 => own.get(6..).unwrap_or_default(),
                CryptogramVersion::V18 => own,
            }
        );
        let signed = base16ct::mixed::decode_vec(&signed).ok()?;
        let card = || card_key(&self.issuer, pan.as_str(), sequence_number);
        let (mut request, _) = self.version.request(card()?, counter, &signed);
        if self.forged {
            request = request.map(|byte| !byte);
        }
        let data = format!(
            "9F0206{amount:012}9F0306{:012}9F1A02{country:04}9505{RESULTS}5F2A02{currency:04}\
             9A03{date}9C01009F3704{UNPREDICTABLE}8202{PROFILE}9F3602{counter:04X}9F1007{own}\
             9F2608{}9F270180",
            0,
            base16ct::upper::encode_string(&request)
        );
        let elements = BTreeMap::from([(23, format!("{sequence_number:03}")), (55, data)]);
        let session = match self.version {
            CryptogramVersion::V10 => card()?,
            CryptogramVersion::V18 => session_key(&card()?, counter),
        };
        let version = self.version;
        Some((
            elements,
            Asked {
                request,
                session,
                version,
            },
        ))
    }

    /// What the chip makes of the answer.
    pub(super) fn check(&self, asked: &Asked, reply: &Message) -> Check {
        let data = match reply.binary(55) {
            Some(bytes) => Some(bytes.into_owned()),
            None => reply
                .text(55)
                .and_then(|text| base16ct::mixed::decode_vec(text.trim_end()).ok()),
        };
        match (data, self.answered) {
            (None, false) => Check::pass("the chip is told nothing".to_owned()),
            (Some(_), false) => Check::fail("the chip is told something".to_owned()),
            (None, true) => Check::fail("the chip is told nothing".to_owned()),
            (Some(data), true) if asked.believes(&data) => {
                Check::pass("the chip believes its issuer".to_owned())
            }
            (Some(_), true) => Check::fail("the chip does not believe its issuer".to_owned()),
        }
    }
}

impl Asked {
    /// Whether the answer cryptogram is the issuer's, over what else stands in the answer.
    fn believes(&self, data: &[u8]) -> bool {
        let Some(Ok(item)) = Tlvs::new(data).next() else {
            return false;
        };
        if item.tag() != [0x91] {
            return false;
        }
        match self.version {
            CryptogramVersion::V10 => {
                let (answer, code) = item.value().split_at(item.value().len().min(8));
                let code = <[u8; 2]>::try_from(code);
                code.is_ok_and(|code| answer_1(&self.session, self.request, code) == answer)
            }
            CryptogramVersion::V18 => {
                let (answer, status) = item.value().split_at(item.value().len().min(4));
                let status = <[u8; 4]>::try_from(status);
                status.is_ok_and(|it| answer_2(&self.session, self.request, it, &[]) == answer)
            }
        }
    }
}

/// Ticks since 1970, so that the next run uses counters above those of this one.
fn now() -> u64 {
    let now = clock::utc().timestamp().as_millisecond();
    u64::try_from(now).unwrap_or_default() / TICK_MS
}
