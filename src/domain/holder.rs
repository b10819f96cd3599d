//! Holders: only what rules need to know about a person, never a name.

use serde::{Deserialize, Serialize};

use super::account::{AccountId, Kyc};
use super::time::BusinessDate;

/// Number of a holder: the sequence of the record that registered it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HolderId(pub u64);

/// What a person says who wants to become a holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applicant {
    /// Day of birth.
    pub born: BusinessDate,
    /// Whether the consent of a parent is recorded.
    pub consent: bool,
}

/// One holder of one programme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its number.
    pub id: HolderId,
    /// Index of its programme in the state's list of programme names.
    pub programme: u8,
    /// What rules need to know.
    pub person: Applicant,
    /// How well it is known.
    pub kyc: Kyc,
    /// Its account, once it has one.
    pub account: Option<AccountId>,
}

/// Who may hold an account of a programme (rule A1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HolderRule {
    /// Least age, completed years.
    pub minimum_age: u8,
    /// Below this age the consent of a parent must be recorded, completed years.
    pub consent_below: u8,
}

/// Why a person may not hold an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ineligible {
    /// Born after today.
    #[error("the day of birth is not in the past (A1)")]
    NotBorn,
    /// Too young.
    #[error("a holder is at least {0} years old (A1)")]
    TooYoung(u8),
    /// Young, and nobody has agreed.
    #[error("a holder below {0} years needs the recorded consent of a parent (A1)")]
    WithoutConsent(u8),
}

impl HolderRule {
    /// Whether a person may hold an account on a day.
    ///
    /// # Errors
    /// The part of rule A1 that forbids it.
    pub fn check(self, person: Applicant, today: BusinessDate) -> Result<(), Ineligible> {
        if person.born >= today {
            return Err(Ineligible::NotBorn);
        }
        let age = person.born.completed_years(today);
        if age < i32::from(self.minimum_age) {
            return Err(Ineligible::TooYoung(self.minimum_age));
        }
        if age < i32::from(self.consent_below) && !person.consent {
            return Err(Ineligible::WithoutConsent(self.consent_below));
        }
        Ok(())
    }
}

/// Whose cards go on at expiry by themselves (rule A3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RenewalRule {
    /// Months that a renewed card is valid.
    pub months: u16,
    /// For whom; `None`: everybody.
    pub kyc: Option<Kyc>,
}

impl RenewalRule {
    /// Whether the cards of a holder so well known go on.
    pub fn renews(self, kyc: Kyc) -> bool {
        self.kyc.is_none_or(|wanted| wanted == kyc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: HolderRule = HolderRule {
        minimum_age: 13,
        consent_below: 18,
    };

    fn day(text: &str) -> BusinessDate {
        BusinessDate::from_iso(text).unwrap()
    }

    #[test]
    fn a_holder_is_thirteen_on_the_birthday_and_needs_consent_until_the_eighteenth() {
        let today = day("2027-03-01");
        for (born, consent, refused) in [
            ("2014-03-01", true, None),
            ("2014-03-02", true, Some(Ineligible::TooYoung(13))),
            ("2014-03-01", false, Some(Ineligible::WithoutConsent(18))),
            ("2009-03-02", false, Some(Ineligible::WithoutConsent(18))),
            ("2009-03-01", false, None),
            ("2027-03-01", true, Some(Ineligible::NotBorn)),
            ("2030-01-01", true, Some(Ineligible::NotBorn)),
            // Born on a leap day: a year older on the first of March.
            ("2008-02-29", false, None),
        ] {
            let person = Applicant {
                born: day(born),
                consent,
            };
            assert_eq!(RULE.check(person, today).err(), refused, "{born} {consent}");
        }
        let leapling = Applicant {
            born: day("2008-02-29"),
            consent: true,
        };
        let on = |text| RULE.check(leapling, day(text)).err();
        assert_eq!(on("2021-02-28"), Some(Ineligible::TooYoung(13)));
        assert_eq!(on("2021-03-01"), None);
    }
}
