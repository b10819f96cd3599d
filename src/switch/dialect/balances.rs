//! The balances of an answer (DE 54): groups of digits by account type, amount type and currency.

use std::fmt::Write;

use arrayvec::ArrayString;

use crate::domain::decision::Balances;
use crate::domain::money::{Amount, Currency};

use super::table::Edition;

/// Balances that DE 54 has room for (6 groups of 20 characters, in 2003 of 21).
const BALANCE_GROUPS_MAX: usize = 6;
/// DE 54.
pub(super) type Groups = ArrayString<126>;

/// DE 54: per balance account type 00, amount type, currency, sign, twelve digits (lifecycle D.6);
/// in 2003 the decimals of the currency behind it.
///
/// One currency: available (02), then ledger (01), over its purses together. Several currencies:
/// the available balance of each.
pub(super) fn balance_groups(edition: Edition, balances: &Balances) -> Groups {
    let mut currencies: Vec<Currency> = Vec::new();
    for row in balances {
        if !currencies.contains(&row.currency) {
            currencies.push(row.currency);
        }
    }
    let sum = |currency: Currency, value: fn(&crate::domain::decision::PurseBalance) -> i64| {
        balances
            .iter()
            .filter(|row| row.currency == currency)
            .fold(0_i64, |sum, row| sum.saturating_add(value(row)))
    };
    let available = |currency| sum(currency, |row| row.balance.saturating_sub(row.held));
    let mut text = ArrayString::new();
    if let [only] = currencies.as_slice() {
        let ledger = sum(*only, |row| row.balance);
        group(
            &mut text,
            edition,
            "02",
            Amount::new(available(*only), *only),
        );
        group(&mut text, edition, "01", Amount::new(ledger, *only));
        return text;
    }
    for currency in currencies.into_iter().take(BALANCE_GROUPS_MAX) {
        group(
            &mut text,
            edition,
            "02",
            Amount::new(available(currency), currency),
        );
    }
    text
}

/// Writes one group.
pub(super) fn group(text: &mut Groups, edition: Edition, amount_type: &str, amount: Amount) {
    let sign = if amount.minor < 0 { 'D' } else { 'C' };
    let digits = amount.minor.unsigned_abs().min(999_999_999_999);
    // Six groups of twenty-one characters fit exactly, and no more than six are written.
    let _ = write!(text, "00{amount_type}{:03}", amount.currency.numeric());
    if edition == Edition::Of2003 {
        let _ = write!(text, "{}", amount.currency.exponent().unwrap_or_default());
    }
    let _ = write!(text, "{sign}{digits:012}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::account::PurseIndex;
    use crate::domain::decision::PurseBalance;

    fn row(purse: u8, letters: &str, balance: i64, held: i64) -> PurseBalance {
        let currency = Currency::from_alpha(letters).unwrap();
        PurseBalance {
            purse: PurseIndex(purse),
            currency,
            balance,
            held,
        }
    }

    #[test]
    fn one_currency_shows_available_then_ledger_over_all_purses() {
        let balances = Balances::from_iter([row(0, "JPY", 1_000, 300), row(1, "JPY", 500, 0)]);
        let text = balance_groups(Edition::Of1987, &balances);
        assert_eq!(text.as_str(), "0002392C0000000012000001392C000000001500");
        let text = balance_groups(Edition::Of2003, &balances);
        assert_eq!(text.as_str(), "00023920C00000000120000013920C000000001500");
    }

    #[test]
    fn a_negative_balance_is_a_debit() {
        let balances = Balances::from_iter([row(0, "JPY", -70, 0)]);
        assert_eq!(
            balance_groups(Edition::Of1993, &balances).get(..20),
            Some("0002392D000000000070")
        );
    }

    #[test]
    fn several_currencies_show_one_group_each() {
        let balances = ["JPY", "USD", "EUR", "GBP", "AUD"].map(|letters| row(0, letters, 5, 0));
        let text = balance_groups(Edition::Of1987, &balances.into_iter().collect());
        assert_eq!(text.len(), 5 * 20);
        assert!(text.contains("0002840C000000000005"));
    }
}
