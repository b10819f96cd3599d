//! Proves what a programme says about other currencies than its purses have.

use crate::domain::account::PurseIndex;
use crate::domain::exchange::ExchangeRule;
use crate::domain::money::Currency;
use crate::domain::programme::PurseSpec;
use crate::domain::rate::Percent;

use super::reader::Reader;
use super::rows::ExchangeRow;

impl Reader {
    pub(super) fn exchange(
        &mut self,
        row: &ExchangeRow,
        purses: &[PurseSpec],
        spend_order: &[PurseIndex],
    ) -> Option<ExchangeRule> {
        let billing = self.need(Currency::from_alpha(&row.billing), || {
            let got = &row.billing;
            format!("exchange.billing: expected ISO 4217 letters, got {got:?}")
        });
        let mut spent = spend_order
            .iter()
            .filter_map(|index| purses.get(index.position()));
        if let Some(billing) = billing
            && !spent.any(|purse| purse.currency == billing)
        {
            self.mistake(format!(
                "exchange.billing: expected the currency of a purse in spend_order, got {billing}"
            ));
        }
        let markup = self.percent("exchange.markup", &row.markup);
        let fee = row.charge_fee.as_ref();
        let charge_fee = fee.map(|text| self.percent("exchange.charge_fee", text));
        Some(ExchangeRule {
            billing: billing?,
            markup,
            charge_fee,
        })
    }

    /// A percentage; 0 where it cannot be read, which is a mistake by then.
    fn percent(&mut self, key: &str, text: &str) -> Percent {
        Percent::parse(text).unwrap_or_else(|sentence| {
            self.mistake(format!("{key}: {sentence}"));
            Percent::default()
        })
    }
}
