//! Proves the rows that refuse: blocks, merchant lists, limits.

use crate::domain::block::{Block, Condition, CountryLetters, DaySpan, MccRange, country_letters};
use crate::domain::decision::Reason;
use crate::domain::money::Currency;
use crate::domain::programme::{Channel, Limit, MerchantLists, Window};
use crate::domain::short_text::ShortText;

use super::reader::Reader;
use super::rows::{BlockRow, LimitRow, MerchantsRow, WindowRow};

/// Longest rolling window, hours: 45 days, and closed entries are kept at least 46.
const ROLLING_HOURS_MAX: u16 = 45 * 24;
/// Most transactions that a decision may look at one by one.
const WALK_COUNT_MAX: u32 = 1_000;

impl Reader {
    pub(super) fn block(&mut self, n: usize, row: BlockRow) -> Block {
        let key = format!("block[{n}] {:?}", row.id);
        let reason = Reason::from_name(&row.reason).unwrap_or(Reason::Approved);
        if !(Reason::MerchantDenied..=Reason::LoadNotAllowed).contains(&reason) {
            self.mistake(format!(
                "{key}.reason: expected the name of a merchant or channel refusal, got {:?}",
                row.reason
            ));
        }
        let conditions = self.conditions(&key, &row);
        if conditions.is_empty() {
            self.mistake(format!(
                "{key}: states no condition, so it would refuse everything"
            ));
        }
        Block {
            id: row.id,
            rule: row.rule,
            reason,
            conditions,
            shadow: row.shadow,
        }
    }

    fn conditions(&mut self, key: &str, row: &BlockRow) -> Vec<Condition> {
        let mut stated: Vec<Condition> = Vec::new();
        if !row.mcc.is_empty() {
            let ranges = row.mcc.iter().filter_map(|text| self.mcc_range(key, text));
            stated.push(Condition::Mcc(ranges.collect()));
        }
        if !row.purpose.is_empty() {
            stated.push(Condition::Purpose(row.purpose.clone()));
        }
        stated.extend(row.initiation.map(Condition::Initiation));
        stated.extend(row.certainty.map(Condition::Certainty));
        stated.extend(row.device.map(Condition::Device));
        stated.extend(row.presence.map(Condition::Presence));
        stated.extend(row.domestic.map(Condition::Domestic));
        self.place_conditions(key, row, &mut stated);
        if !row.acquirer.is_empty() {
            stated.push(Condition::Acquirer(row.acquirer.clone()));
        }
        if !row.acceptor.is_empty() {
            let names = self.names(&format!("{key}.acceptor"), &row.acceptor);
            stated.push(Condition::Acceptor(names));
        }
        if !row.terminal.is_empty() {
            let names = self.names(&format!("{key}.terminal"), &row.terminal);
            stated.push(Condition::Terminal(names));
        }
        if !row.entry.is_empty() {
            stated.push(Condition::Entry(row.entry.clone()));
        }
        stated.extend(row.attendance.map(Condition::Attendance));
        stated.extend(row.cash_part.map(Condition::CashPart));
        if let Some(text) = &row.hours {
            let span = DaySpan::of(text);
            let span = self.need(span, || {
                format!("{key}.hours: expected a span like \"23:00-05:00\", got {text:?}")
            });
            stated.extend(span.map(Condition::Hours));
        }
        stated
    }

    fn place_conditions(&mut self, key: &str, row: &BlockRow, stated: &mut Vec<Condition>) {
        type Countries = fn(Vec<CountryLetters>) -> Condition;
        let countries: [(&str, &[String], Countries); 2] = [
            ("country", &row.country, Condition::Country),
            ("country_not", &row.country_not, Condition::CountryNot),
        ];
        for (name, texts, condition) in countries {
            if !texts.is_empty() {
                let letters = texts.iter().filter_map(|text| {
                    self.need(country_letters(text), || {
                        format!("{key}.{name}: expected two capital letters, got {text:?}")
                    })
                });
                stated.push(condition(letters.collect()));
            }
        }
        if !row.acquirer_country.is_empty() {
            stated.push(Condition::AcquirerCountry(row.acquirer_country.clone()));
        }
        if !row.acquirer_country_not.is_empty() {
            let list = row.acquirer_country_not.clone();
            stated.push(Condition::AcquirerCountryNot(list));
        }
        type Currencies = fn(Vec<Currency>) -> Condition;
        let currencies: [(&[String], Currencies); 2] = [
            (&row.currency, Condition::Currency),
            (&row.currency_not, Condition::CurrencyNot),
        ];
        for (texts, condition) in currencies {
            if !texts.is_empty() {
                let list = texts.iter().filter_map(|text| self.currency(key, text));
                stated.push(condition(list.collect()));
            }
        }
    }

    fn mcc_range(&mut self, key: &str, text: &str) -> Option<MccRange> {
        self.need(MccRange::of(text), || {
            format!("{key}.mcc: expected four digits or a run like \"3501-3999\", got {text:?}")
        })
    }

    pub(super) fn merchants(&mut self, row: &MerchantsRow) -> MerchantLists {
        MerchantLists {
            denied_acceptors: self.names("merchants.denied_acceptors", &row.denied_acceptors),
            denied_terminals: self.names("merchants.denied_terminals", &row.denied_terminals),
            allowed_acceptors: self.names("merchants.allowed_acceptors", &row.allowed_acceptors),
            allowed_terminals: self.names("merchants.allowed_terminals", &row.allowed_terminals),
        }
    }

    pub(super) fn names<const N: usize>(
        &mut self,
        key: &str,
        texts: &[String],
    ) -> Vec<ShortText<N>> {
        texts
            .iter()
            .filter_map(|text| {
                let name = ShortText::of(text).filter(|name| !name.is_empty());
                self.need(name, || {
                    format!("{key}: expected 1 to {N} characters, got {text:?}")
                })
            })
            .collect()
    }

    pub(super) fn limit(&mut self, n: usize, row: &LimitRow) -> Option<Limit> {
        let key = format!("limit[{n}]");
        if row.amount_max.is_none() && row.count_max.is_none() {
            self.mistake(format!(
                "{key}: expected amount_max or count_max, got neither"
            ));
        }
        if let Some(minor) = row.amount_max {
            self.amount(&format!("{key}.amount_max"), minor);
        }
        let window = self.window(&key, row);
        Some(Limit {
            channel: row.channel,
            window,
            kyc: row.kyc,
            currency: self.currency(&key, &row.currency)?,
            amount_max: row.amount_max,
            count_max: row.count_max,
            shadow: row.shadow,
        })
    }
    fn window(&mut self, key: &str, row: &LimitRow) -> Window {
        let window = match row.window {
            WindowRow::Transaction => Window::Transaction,
            WindowRow::Day => Window::Day,
            WindowRow::Week => Window::Week,
            WindowRow::Month => Window::Month,
            WindowRow::Hours(hours) => Window::Rolling { hours },
            WindowRow::Days(days) => Window::Rolling {
                hours: days.saturating_mul(24),
            },
        };
        if window == Window::Transaction && row.count_max.is_some() {
            self.mistake(format!("{key}.count_max: one transaction is always one"));
        }
        if let Window::Rolling { hours } = window
            && !(1..=ROLLING_HOURS_MAX).contains(&hours)
        {
            self.mistake(format!(
                "{key}.window: expected 1 to {ROLLING_HOURS_MAX} hours, got {hours}"
            ));
        }
        // Transfers are kept one by one.
        let walked = matches!(window, Window::Week | Window::Rolling { .. })
            || row.channel == Channel::Transfer && window != Window::Transaction;
        if walked && row.count_max.is_none_or(|most| most > WALK_COUNT_MAX) {
            self.mistake(format!(
                "{key}.count_max: expected at most {WALK_COUNT_MAX} with transfers and with a week \
                 or rolling window, which are counted one by one"
            ));
        }
        window
    }
}
