//! Reads a programme file (`spec/programme/*.toml`) into a proven [`Programme`].
//!
//! Every mistake of a file is reported at once, each with the key it stands under.

use serde::Deserialize;

use super::account::{Kyc, ProgrammeName, PurseIndex};
use super::decision::Reason;
use super::facts::{Certainty, Device, Initiation, Presence, Purpose};
use super::merchant::{HomeCountry, Mcc};
use super::money::Currency;
use super::programme::{
    BinRange, Block, Channel, HoldRule, Limit, LoadRule, MaximumBalance, MccRange, MerchantLists,
    Programme, PurseSpec, RefundAuthorization, RefundRule, Unverified, Window,
};
use super::time::Calendar;

/// Greatest amount a file may state, minor units: the twelve nines that DE 4 can carry.
const AMOUNT_MAX: i64 = 999_999_999_999;
/// Purses one account may have; each costs memory in every account.
const PURSES_MAX: usize = 16;
/// Longest hold a file may ask for, days.
const HOLD_DAYS_MAX: u16 = 400;

/// A programme file that does not say what a programme must say.
#[derive(Debug, thiserror::Error)]
#[error("programme file {file}: {}", .mistakes.join("; "))]
pub struct ProgrammeErrors {
    /// The file as the reader named it.
    pub file: String,
    /// Every mistake, each with its key.
    pub mistakes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    version: u32,
    title: String,
    time_zone: String,
    home: HomeRow,
    bin: Vec<BinRow>,
    purse: Vec<PurseRow>,
    spend_order: Vec<String>,
    load: Option<LoadRow>,
    refund: RefundRow,
    hold: HoldRow,
    pin_block: UnverifiedRow,
    #[serde(default)]
    block: Vec<BlockRow>,
    #[serde(default)]
    merchants: MerchantsRow,
    #[serde(default)]
    limit: Vec<LimitRow>,
    #[serde(default)]
    maximum_balance: Vec<MaximumBalanceRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HomeRow {
    numeric: u16,
    letters: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BinRow {
    prefix: String,
    pan_length: usize,
    check_digit: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PurseRow {
    id: String,
    currency: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LoadRow {
    purse: Option<String>,
    multiple_of: i64,
    minimum: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RefundRow {
    purse: Option<String>,
    refill_first: Option<String>,
    needs_original: bool,
    authorization: RefundAuthorizationRow,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RefundAuthorizationRow {
    Pending,
    Credit,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HoldRow {
    domestic_days: u16,
    foreign_days: u16,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum UnverifiedRow {
    Refuse,
    Ignore,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BlockRow {
    id: String,
    rule: String,
    reason: String,
    #[serde(default)]
    mcc: Vec<String>,
    #[serde(default)]
    purpose: Vec<Purpose>,
    initiation: Option<Initiation>,
    certainty: Option<Certainty>,
    device: Option<Device>,
    presence: Option<Presence>,
    domestic: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct MerchantsRow {
    denied_acceptors: Vec<String>,
    denied_terminals: Vec<String>,
    allowed_acceptors: Vec<String>,
    allowed_terminals: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitRow {
    channel: Channel,
    window: WindowRow,
    kyc: Option<Kyc>,
    currency: String,
    amount_max: Option<i64>,
    count_max: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WindowRow {
    Transaction,
    Day,
    Month,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MaximumBalanceRow {
    kyc: Option<Kyc>,
    currency: String,
    amount_max: i64,
}

/// Reads a programme file; `file` names it in errors.
///
/// # Errors
/// All mistakes of the file, or the one at which TOML itself cannot go on.
pub fn parse(file: &str, text: &str) -> Result<Programme, ProgrammeErrors> {
    let raw: File = toml::from_str(text).map_err(|error| ProgrammeErrors {
        file: file.to_owned(),
        mistakes: vec![error.to_string().trim_end().replace('\n', " ")],
    })?;
    let mut reader = Reader {
        mistakes: Vec::new(),
    };
    let programme = reader.programme(raw);
    match (programme, reader.mistakes.is_empty()) {
        (Some(programme), true) => Ok(programme),
        _ => Err(ProgrammeErrors {
            file: file.to_owned(),
            mistakes: reader.mistakes,
        }),
    }
}

/// Collects mistakes while it turns rows into values.
struct Reader {
    mistakes: Vec<String>,
}

impl Reader {
    fn mistake(&mut self, sentence: String) {
        self.mistakes.push(sentence);
    }

    /// The value, or nothing and the mistake noted.
    fn need<T>(&mut self, value: Option<T>, sentence: impl FnOnce() -> String) -> Option<T> {
        if value.is_none() {
            self.mistake(sentence());
        }
        value
    }

    fn programme(&mut self, raw: File) -> Option<Programme> {
        let purses = self.purses(&raw.purse);
        let spend_order = self.spend_order(&raw.spend_order, &purses);
        let name = ProgrammeName::from(&raw.name)
            .ok()
            .filter(|name| !name.is_empty());
        let name = self.need(name, || {
            format!("name: expected 1 to 24 characters, got {}", raw.name.len())
        });
        let calendar = match Calendar::in_zone(&raw.time_zone) {
            Ok(calendar) => Some(calendar),
            Err(sentence) => {
                self.mistake(format!("time_zone: {sentence}"));
                None
            }
        };
        let letters: Option<[u8; 2]> = raw.home.letters.as_bytes().try_into().ok();
        let letters = self.need(letters, || {
            format!(
                "home.letters: expected 2 letters, got {:?}",
                raw.home.letters
            )
        });
        let bins = self.bins(raw.bin);
        let load = raw.load.map(|row| self.load(row, &purses));
        let refund = self.refund(raw.refund, &purses);
        let hold = self.hold(&raw.hold);
        let blocks = raw
            .block
            .into_iter()
            .enumerate()
            .map(|(n, row)| self.block(n, row))
            .collect();
        let merchants = self.merchants(&raw.merchants);
        let limits = raw
            .limit
            .iter()
            .enumerate()
            .filter_map(|(n, row)| self.limit(n, row))
            .collect();
        let maximum_balances = raw
            .maximum_balance
            .iter()
            .enumerate()
            .filter_map(|(n, row)| {
                let key = format!("maximum_balance[{n}]");
                let currency = self.currency(&key, &row.currency)?;
                self.amount(&key, row.amount_max);
                Some(MaximumBalance {
                    kyc: row.kyc,
                    currency,
                    amount_max: row.amount_max,
                })
            })
            .collect();
        Some(Programme {
            name: name?,
            version: raw.version,
            title: raw.title,
            calendar: calendar?,
            home: HomeCountry {
                numeric: raw.home.numeric,
                letters: letters?,
            },
            bins,
            purses,
            spend_order,
            load,
            refund,
            hold,
            pin_block: match raw.pin_block {
                UnverifiedRow::Refuse => Unverified::Refuse,
                UnverifiedRow::Ignore => Unverified::Ignore,
            },
            blocks,
            merchants,
            limits,
            maximum_balances,
        })
    }

    fn currency(&mut self, key: &str, letters: &str) -> Option<Currency> {
        self.need(Currency::from_alpha(letters), || {
            format!("{key}.currency: expected ISO 4217 letters, got {letters:?}")
        })
    }

    fn amount(&mut self, key: &str, minor: i64) {
        if !(1..=AMOUNT_MAX).contains(&minor) {
            self.mistake(format!(
                "{key}: expected 1 to {AMOUNT_MAX} minor units, got {minor}"
            ));
        }
    }

    fn purses(&mut self, rows: &[PurseRow]) -> Vec<PurseSpec> {
        if rows.is_empty() || rows.len() > PURSES_MAX {
            self.mistake(format!(
                "purse: expected 1 to {PURSES_MAX} rows, got {}",
                rows.len()
            ));
        }
        let mut purses: Vec<PurseSpec> = Vec::new();
        for (n, row) in rows.iter().enumerate() {
            let key = format!("purse[{n}]");
            let plain =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            if row.id.is_empty() || !row.id.bytes().all(plain) {
                self.mistake(format!(
                    "{key}.id: expected a-z, 0-9 and -, got {:?}",
                    row.id
                ));
            }
            if purses.iter().any(|purse| purse.id == row.id) {
                self.mistake(format!("{key}.id: {:?} is named twice", row.id));
            }
            // An unknown currency is already a mistake; the row keeps later positions right.
            let currency = self.currency(&key, &row.currency).unwrap_or(Currency::JPY);
            purses.push(PurseSpec {
                id: row.id.clone(),
                currency,
            });
        }
        purses
    }

    fn purse(&mut self, key: &str, id: &str, purses: &[PurseSpec]) -> Option<PurseIndex> {
        let position = purses.iter().position(|purse| purse.id == id);
        let index = position
            .and_then(|position| u8::try_from(position).ok())
            .map(PurseIndex);
        self.need(index, || {
            let known: Vec<&str> = purses.iter().map(|purse| purse.id.as_str()).collect();
            format!("{key}: expected one of {}, got {id:?}", known.join(", "))
        })
    }

    fn spend_order(&mut self, ids: &[String], purses: &[PurseSpec]) -> Vec<PurseIndex> {
        if ids.is_empty() {
            self.mistake("spend_order: expected at least one purse, got none".to_owned());
        }
        let mut order = Vec::new();
        for id in ids {
            if let Some(index) = self.purse("spend_order", id, purses) {
                if order.contains(&index) {
                    self.mistake(format!("spend_order: {id:?} is named twice"));
                }
                order.push(index);
            }
        }
        order
    }

    fn bins(&mut self, rows: Vec<BinRow>) -> Vec<BinRange> {
        if rows.is_empty() {
            self.mistake("bin: expected at least one row, got none".to_owned());
        }
        for (n, row) in rows.iter().enumerate() {
            let digits = row.prefix.bytes().all(|byte| byte.is_ascii_digit());
            if !digits || !(4..=12).contains(&row.prefix.len()) {
                self.mistake(format!("bin[{n}].prefix: expected 4 to 12 digits"));
            }
            if !(8..=19).contains(&row.pan_length) || row.pan_length <= row.prefix.len() {
                self.mistake(format!(
                    "bin[{n}].pan_length: expected 8 to 19 and longer than the prefix, got {}",
                    row.pan_length
                ));
            }
        }
        rows.into_iter()
            .map(|row| BinRange {
                prefix: row.prefix,
                pan_length: row.pan_length,
                check_digit: row.check_digit,
            })
            .collect()
    }

    fn load(&mut self, row: LoadRow, purses: &[PurseSpec]) -> LoadRule {
        self.amount("load.multiple_of", row.multiple_of);
        self.amount("load.minimum", row.minimum);
        let purse = row
            .purse
            .and_then(|id| self.purse("load.purse", &id, purses));
        LoadRule {
            purse,
            multiple_of: row.multiple_of.max(1),
            minimum: row.minimum,
        }
    }

    fn refund(&mut self, row: RefundRow, purses: &[PurseSpec]) -> RefundRule {
        RefundRule {
            purse: row
                .purse
                .and_then(|id| self.purse("refund.purse", &id, purses)),
            refill_first: row
                .refill_first
                .and_then(|id| self.purse("refund.refill_first", &id, purses)),
            needs_original: row.needs_original,
            authorization: match row.authorization {
                RefundAuthorizationRow::Pending => RefundAuthorization::Pending,
                RefundAuthorizationRow::Credit => RefundAuthorization::Credit,
            },
        }
    }

    fn hold(&mut self, row: &HoldRow) -> HoldRule {
        for (key, days) in [
            ("domestic_days", row.domestic_days),
            ("foreign_days", row.foreign_days),
        ] {
            if !(1..=HOLD_DAYS_MAX).contains(&days) {
                self.mistake(format!(
                    "hold.{key}: expected 1 to {HOLD_DAYS_MAX}, got {days}"
                ));
            }
        }
        HoldRule {
            domestic_days: row.domestic_days,
            foreign_days: row.foreign_days,
        }
    }

    fn block(&mut self, n: usize, row: BlockRow) -> Block {
        let key = format!("block[{n}] {:?}", row.id);
        let reason = Reason::from_name(&row.reason).unwrap_or(Reason::Approved);
        if !(Reason::MerchantDenied..=Reason::LoadNotAllowed).contains(&reason) {
            self.mistake(format!(
                "{key}.reason: expected the name of a merchant or channel refusal, got {:?}",
                row.reason
            ));
        }
        let mcc: Vec<MccRange> = row
            .mcc
            .iter()
            .filter_map(|text| self.mcc_range(&key, text))
            .collect();
        let states_nothing = row.mcc.is_empty()
            && row.purpose.is_empty()
            && row.initiation.is_none()
            && row.certainty.is_none()
            && row.device.is_none()
            && row.presence.is_none();
        if states_nothing {
            self.mistake(format!(
                "{key}: states no condition, so it would refuse everything"
            ));
        }
        Block {
            id: row.id,
            rule: row.rule,
            reason,
            mcc,
            purpose: row.purpose,
            initiation: row.initiation,
            certainty: row.certainty,
            device: row.device,
            presence: row.presence,
            domestic: row.domestic,
        }
    }

    fn mcc_range(&mut self, key: &str, text: &str) -> Option<MccRange> {
        let four_digits = |part: &str| {
            let digits = part.len() == 4 && part.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| part.parse().ok().map(Mcc)).flatten()
        };
        let range = match text.split_once('-') {
            None => four_digits(text).map(|mcc| MccRange {
                first: mcc,
                last: mcc,
            }),
            Some((first, last)) => four_digits(first)
                .zip(four_digits(last))
                .filter(|(first, last)| first <= last)
                .map(|(first, last)| MccRange { first, last }),
        };
        self.need(range, || {
            format!("{key}.mcc: expected four digits or a run like \"3501-3999\", got {text:?}")
        })
    }

    fn merchants(&mut self, row: &MerchantsRow) -> MerchantLists {
        MerchantLists {
            denied_acceptors: self.names("merchants.denied_acceptors", &row.denied_acceptors),
            denied_terminals: self.names("merchants.denied_terminals", &row.denied_terminals),
            allowed_acceptors: self.names("merchants.allowed_acceptors", &row.allowed_acceptors),
            allowed_terminals: self.names("merchants.allowed_terminals", &row.allowed_terminals),
        }
    }

    fn names<const N: usize>(
        &mut self,
        key: &str,
        texts: &[String],
    ) -> Vec<arrayvec::ArrayString<N>> {
        texts
            .iter()
            .filter_map(|text| {
                let name = arrayvec::ArrayString::from(text)
                    .ok()
                    .filter(|name| !name.is_empty());
                self.need(name, || {
                    format!("{key}: expected 1 to {N} characters, got {text:?}")
                })
            })
            .collect()
    }

    fn limit(&mut self, n: usize, row: &LimitRow) -> Option<Limit> {
        let key = format!("limit[{n}]");
        if row.amount_max.is_none() && row.count_max.is_none() {
            self.mistake(format!(
                "{key}: expected amount_max or count_max, got neither"
            ));
        }
        if let Some(minor) = row.amount_max {
            self.amount(&format!("{key}.amount_max"), minor);
        }
        let window = match row.window {
            WindowRow::Transaction => Window::Transaction,
            WindowRow::Day => Window::Day,
            WindowRow::Month => Window::Month,
        };
        if window == Window::Transaction && row.count_max.is_some() {
            self.mistake(format!("{key}.count_max: one transaction is always one"));
        }
        Some(Limit {
            channel: row.channel,
            window,
            kyc: row.kyc,
            currency: self.currency(&key, &row.currency)?,
            amount_max: row.amount_max,
            count_max: row.count_max,
        })
    }
}
