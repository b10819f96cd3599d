//! Reconciliation of a link: what each side counted on one business day, and whether it agrees.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::time::BusinessDate;

/// What was counted on a link on one business day in one currency.
///
/// A reversal is a row of its own, never a negative purchase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Credits: refunds, loads, original credits (DE 74).
    pub credits: u64,
    /// Their reversals (DE 75).
    pub credit_reversals: u64,
    /// Debits that were posted (DE 76).
    pub debits: u64,
    /// Their reversals (DE 77).
    pub debit_reversals: u64,
    /// Balance enquiries (DE 80).
    pub enquiries: u64,
    /// Authorizations that were approved (DE 81).
    pub authorizations: u64,
    /// Amount of the credits, minor units (DE 86).
    pub credits_minor: i64,
    /// Amount of their reversals, minor units (DE 87).
    pub credit_reversals_minor: i64,
    /// Amount of the debits, minor units (DE 88).
    pub debits_minor: i64,
    /// Amount of their reversals, minor units (DE 89).
    pub debit_reversals_minor: i64,
}

/// In which row something is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// A credit.
    Credit,
    /// The reversal of one.
    CreditReversal,
    /// A posted debit.
    Debit,
    /// The reversal of one.
    DebitReversal,
    /// A balance enquiry.
    Enquiry,
    /// An approved authorization.
    Authorization,
}

impl Totals {
    /// Counts one transaction.
    pub fn count(&mut self, row: Row, minor: i64) {
        let (count, sum) = match row {
            Row::Credit => (&mut self.credits, Some(&mut self.credits_minor)),
            Row::CreditReversal => (
                &mut self.credit_reversals,
                Some(&mut self.credit_reversals_minor),
            ),
            Row::Debit => (&mut self.debits, Some(&mut self.debits_minor)),
            Row::DebitReversal => (
                &mut self.debit_reversals,
                Some(&mut self.debit_reversals_minor),
            ),
            Row::Enquiry => (&mut self.enquiries, None),
            Row::Authorization => (&mut self.authorizations, None),
        };
        *count = count.saturating_add(1);
        if let Some(sum) = sum {
            *sum = sum.saturating_add(minor);
        }
    }

    /// What the issuer owes for the day, minor units: above zero a debit of the issuer (DE 97).
    pub fn net_minor(&self) -> i64 {
        let debits = self.debits_minor.saturating_sub(self.debit_reversals_minor);
        let credits = self
            .credits_minor
            .saturating_sub(self.credit_reversals_minor);
        debits.saturating_sub(credits)
    }
}

/// What the peer says it counted; what it does not state is not compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// DE 74.
    pub credits: Option<u64>,
    /// DE 75.
    pub credit_reversals: Option<u64>,
    /// DE 76.
    pub debits: Option<u64>,
    /// DE 77.
    pub debit_reversals: Option<u64>,
    /// DE 80.
    pub enquiries: Option<u64>,
    /// DE 81.
    pub authorizations: Option<u64>,
    /// DE 86, minor units.
    pub credits_minor: Option<i64>,
    /// DE 87, minor units.
    pub credit_reversals_minor: Option<i64>,
    /// DE 88, minor units.
    pub debits_minor: Option<i64>,
    /// DE 89, minor units.
    pub debit_reversals_minor: Option<i64>,
    /// DE 97, minor units, above zero a debit of the issuer.
    pub net_minor: Option<i64>,
}

/// What a comparison comes to (DE 66).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Balance {
    /// Everything that the peer states agrees.
    InBalance,
    /// Something differs.
    OutOfBalance,
    /// The peer states nothing that could be compared.
    NotCompared,
}

impl Balance {
    /// DE 66 as it is answered.
    pub fn code(self) -> u8 {
        match self {
            Balance::InBalance => 1,
            Balance::OutOfBalance => 2,
            Balance::NotCompared => 9,
        }
    }
}

impl Claim {
    /// Compares with what was counted here; the sentence names every difference.
    pub fn against(&self, own: &Totals) -> (Balance, String) {
        let number = |claimed: Option<u64>, own: u64| {
            let claimed = claimed.map(|number| i64::try_from(number).unwrap_or(i64::MAX));
            (claimed, i64::try_from(own).unwrap_or(i64::MAX))
        };
        let rows = [
            ("credits", number(self.credits, own.credits)),
            (
                "credit reversals",
                number(self.credit_reversals, own.credit_reversals),
            ),
            ("debits", number(self.debits, own.debits)),
            (
                "debit reversals",
                number(self.debit_reversals, own.debit_reversals),
            ),
            ("enquiries", number(self.enquiries, own.enquiries)),
            (
                "authorizations",
                number(self.authorizations, own.authorizations),
            ),
            ("credits, amount", (self.credits_minor, own.credits_minor)),
            (
                "credit reversals, amount",
                (self.credit_reversals_minor, own.credit_reversals_minor),
            ),
            ("debits, amount", (self.debits_minor, own.debits_minor)),
            (
                "debit reversals, amount",
                (self.debit_reversals_minor, own.debit_reversals_minor),
            ),
            ("net", (self.net_minor, own.net_minor())),
        ];
        let mut compared = false;
        let mut differences = String::new();
        for (name, (claimed, own)) in rows {
            let Some(claimed) = claimed else { continue };
            compared = true;
            if claimed != own {
                let between = if differences.is_empty() { "" } else { "; " };
                // Writing to a string does not fail.
                let _ = write!(differences, "{between}{name}: theirs {claimed}, ours {own}");
            }
        }
        let balance = match (compared, differences.is_empty()) {
            (false, _) => Balance::NotCompared,
            (true, true) => Balance::InBalance,
            (true, false) => Balance::OutOfBalance,
        };
        (balance, differences)
    }
}

/// The business day of a month and day that lies nearest to another day; `None` where there is no
/// such day.
pub fn nearest(month: u16, day: u16, to: BusinessDate) -> Option<BusinessDate> {
    let year = to.year();
    let years = [year.checked_sub(1), Some(year), year.checked_add(1)];
    let dates = years
        .into_iter()
        .flatten()
        .filter_map(|year| BusinessDate::of(year, month, day));
    dates.min_by_key(|date| date.0.abs_diff(to.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_compared_in_what_it_states_only() {
        let mut own = Totals::default();
        own.count(Row::Debit, 1_200);
        own.count(Row::DebitReversal, 200);
        own.count(Row::Credit, 300);
        own.count(Row::Authorization, 5_000);
        assert_eq!(own.net_minor(), 700);
        let claim = Claim {
            debits: Some(1),
            debits_minor: Some(1_200),
            net_minor: Some(700),
            ..Claim::default()
        };
        assert_eq!(claim.against(&own).0, Balance::InBalance);
        let other = Claim {
            debits_minor: Some(1_000),
            credits: Some(2),
            ..claim
        };
        assert_eq!(
            other.against(&own),
            (
                Balance::OutOfBalance,
                "credits: theirs 2, ours 1; debits, amount: theirs 1000, ours 1200".to_owned()
            )
        );
        assert_eq!(Claim::default().against(&own).0, Balance::NotCompared);
    }

    #[test]
    fn a_month_and_day_is_the_nearest_such_day() {
        let day = |text: (i16, u16, u16)| BusinessDate::of(text.0, text.1, text.2).unwrap();
        for (month_day, to, expected) in [
            ((12, 31), (2028, 1, 1), (2027, 12, 31)),
            ((1, 1), (2027, 12, 31), (2028, 1, 1)),
            ((3, 2), (2027, 3, 1), (2027, 3, 2)),
            ((2, 29), (2027, 3, 1), (2028, 2, 29)),
        ] {
            let nearest = nearest(month_day.0, month_day.1, day(to));
            assert_eq!(nearest, Some(day(expected)), "{month_day:?}");
        }
        assert_eq!(nearest(13, 1, day((2027, 3, 1))), None);
    }
}
