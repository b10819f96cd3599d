//! Proves a programme file: purses, card numbers, loads, refunds, holds.

use crate::domain::account::{ProgrammeName, PurseIndex};
use crate::domain::block::{Block, BlockedCategories};
use crate::domain::merchant::HomeCountry;
use crate::domain::money::Currency;
use crate::domain::programme::{
    BinRange, HoldRule, Limit, MaximumBalance, Programme, PurseSpec, RefundAuthorization,
    RefundRule, Unverified,
};
use crate::domain::sieve::Sieve;
use crate::domain::time::Calendar;

use super::place::{line_at, line_of};
use super::rows::{
    BinRow, File, HoldRow, MaximumBalanceRow, PurseRow, RefundAuthorizationRow, RefundRow,
    UnverifiedRow,
};

/// Greatest amount a file may state, minor units: the twelve nines that DE 4 can carry.
const AMOUNT_MAX: i64 = 999_999_999_999;
/// Purses one account may have; each costs memory in every account.
const PURSES_MAX: usize = 16;
/// Longest hold a file may ask for, days.
const HOLD_DAYS_MAX: u16 = 400;
/// Disputes are over by then: networks give 540 days at most.
const RETENTION_DAYS: u16 = 540;
const RETENTION_DAYS_MAX: u16 = 36_500;

/// A programme file that does not say what a programme must say.
#[derive(Debug, thiserror::Error)]
#[error("programme file {file}: {}", .mistakes.join("; "))]
pub struct ProgrammeErrors {
    /// The file as the reader named it.
    pub file: String,
    /// Every mistake, each with its line and key.
    pub mistakes: Vec<String>,
}

/// Reads a programme file; `file` names it in errors.
///
/// # Errors
/// All mistakes of the file, or the one at which TOML itself cannot go on.
pub fn parse(file: &str, text: &str) -> Result<Programme, ProgrammeErrors> {
    let wrong = |mistakes| ProgrammeErrors {
        file: file.to_owned(),
        mistakes,
    };
    let raw: File = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_at(text, span.start));
        wrong(vec![format!("line {line}: {}", error.message())])
    })?;
    let mut reader = Reader {
        mistakes: Vec::new(),
    };
    let programme = reader.programme(raw);
    match (programme, reader.mistakes.is_empty()) {
        (Some(programme), true) => Ok(programme),
        _ => Err(wrong(placed(text, reader.mistakes))),
    }
}

/// Mistakes with their lines, in the order of the file.
fn placed(text: &str, mistakes: Vec<String>) -> Vec<String> {
    let mut rows: Vec<(usize, String)> = mistakes
        .into_iter()
        .map(|mistake| {
            let key = mistake.split_once(": ").map_or("", |parts| parts.0);
            (line_of(text, key).unwrap_or(1), mistake)
        })
        .collect();
    rows.sort();
    rows.into_iter()
        .map(|(line, mistake)| format!("line {line}: {mistake}"))
        .collect()
}

/// Collects mistakes while it turns rows into values.
pub(super) struct Reader {
    mistakes: Vec<String>,
}

impl Reader {
    pub(super) fn mistake(&mut self, sentence: String) {
        self.mistakes.push(sentence);
    }

    /// The value, or nothing and the mistake noted.
    pub(super) fn need<T>(
        &mut self,
        value: Option<T>,
        sentence: impl FnOnce() -> String,
    ) -> Option<T> {
        if value.is_none() {
            self.mistake(sentence());
        }
        value
    }

    fn programme(&mut self, raw: File) -> Option<Programme> {
        let purses = self.purses(&raw.purse);
        let spend_order = self.spend_order(&raw.spend_order, &purses);
        let name = self.name(&raw.name);
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
        let transfer = raw
            .transfer
            .and_then(|row| self.purse("transfer.purse", &row.purse, &purses));
        self.fees([raw.closing_fee, raw.statement_fee, raw.pin_notice_fee]);
        let retention_days = self.retention(raw.retention_days);
        let hold = self.hold(&raw.hold);
        let holder = raw.holder.map(|row| self.holder(&row));
        let renewal = raw.renewal.map(|row| self.renewal(&row));
        let pin = self.pin(raw.pin);
        let cash = raw.cash.map(|row| self.cash(&row, &purses, &spend_order));
        let exchange = raw
            .exchange
            .and_then(|row| self.exchange(&row, &purses, &spend_order));
        let guessing = raw.guessing.map(|row| self.guessing(&row));
        let blocks: Vec<Block> = raw
            .block
            .into_iter()
            .enumerate()
            .map(|(n, row)| self.block(n, row))
            .collect();
        let merchants = self.merchants(&raw.merchants);
        let limits: Vec<Limit> = raw
            .limit
            .iter()
            .enumerate()
            .filter_map(|(n, row)| self.limit(n, row))
            .collect();
        let maximum_balances: Vec<MaximumBalance> = raw
            .maximum_balance
            .iter()
            .enumerate()
            .filter_map(|(n, row)| self.maximum_balance(n, row))
            .collect();
        let has_shadows = blocks.iter().any(|row| row.shadow)
            || limits.iter().any(|row| row.shadow)
            || maximum_balances.iter().any(|row| row.shadow);
        Some(Programme {
            has_shadows,
            sieve: Sieve::of(&blocks, &limits),
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
            transfer,
            closing_fee: raw.closing_fee.unwrap_or(0),
            retention_days,
            statement_fee: raw.statement_fee,
            pin_notice_fee: raw.pin_notice_fee,
            hold,
            activation: raw.activation,
            holder,
            renewal,
            partial_approval: raw.partial_approval,
            pin,
            cash,
            exchange,
            guessing,
            pin_block: match raw.pin_block {
                UnverifiedRow::Refuse => Unverified::Refuse,
                UnverifiedRow::Ignore => Unverified::Ignore,
            },
            blocked_categories: BlockedCategories::of(&blocks),
            blocks,
            merchants,
            limits,
            maximum_balances,
        })
    }

    fn name(&mut self, name: &str) -> Option<ProgrammeName> {
        let fitting = ProgrammeName::of(name);
        let fitting = fitting.filter(|name| !name.is_empty());
        self.need(fitting, || {
            format!("name: expected 1 to 24 characters, got {}", name.len())
        })
    }

    fn maximum_balance(&mut self, n: usize, row: &MaximumBalanceRow) -> Option<MaximumBalance> {
        let key = format!("maximum_balance[{n}]");
        let currency = self.currency(&key, &row.currency)?;
        self.amount(&key, row.amount_max);
        Some(MaximumBalance {
            kyc: row.kyc,
            currency,
            amount_max: row.amount_max,
            shadow: row.shadow,
        })
    }

    pub(super) fn currency(&mut self, key: &str, letters: &str) -> Option<Currency> {
        self.need(Currency::from_alpha(letters), || {
            format!("{key}.currency: expected ISO 4217 letters, got {letters:?}")
        })
    }

    /// For closing an account, a statement and a PIN notice.
    fn fees(&mut self, fees: [Option<i64>; 3]) {
        let keys = ["closing_fee", "statement_fee", "pin_notice_fee"];
        for (key, fee) in keys.into_iter().zip(fees) {
            if let Some(fee) = fee {
                self.amount(key, fee);
            }
        }
    }

    fn retention(&mut self, days: Option<u16>) -> u16 {
        let days = days.unwrap_or(RETENTION_DAYS);
        if days > RETENTION_DAYS_MAX {
            self.mistake(format!(
                "retention_days: expected 0 to {RETENTION_DAYS_MAX}, got {days}"
            ));
        }
        days
    }

    pub(super) fn amount(&mut self, key: &str, minor: i64) {
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

    pub(super) fn purse(
        &mut self,
        key: &str,
        id: &str,
        purses: &[PurseSpec],
    ) -> Option<PurseIndex> {
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
}
