//! Proves the rows that refuse: blocks, merchant lists, limits.

use crate::domain::decision::Reason;
use crate::domain::merchant::Mcc;
use crate::domain::programme::{Block, Limit, MccRange, MerchantLists, Window};

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

    pub(super) fn merchants(&mut self, row: &MerchantsRow) -> MerchantLists {
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
        let walked = matches!(window, Window::Week | Window::Rolling { .. });
        if walked && row.count_max.is_none_or(|most| most > WALK_COUNT_MAX) {
            self.mistake(format!(
                "{key}.count_max: expected at most {WALK_COUNT_MAX} with a week or rolling \
                 window, whose entries are counted one by one"
            ));
        }
        window
    }
}
