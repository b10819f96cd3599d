//! What a network says about its response codes, and what is wrong with a map of reasons under it.
//!
//! The lists are data of the dialect, with the date they were taken at: networks change them.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::domain::decision::{Reason, ResponseCodes};

/// Codes of a network by what the merchant may do next.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeList {
    /// When the lists were true, such as `2025-06`.
    pub as_of: String,
    /// Approvals.
    pub approved: Vec<String>,
    /// The issuer will never approve: no further attempt.
    pub never: Vec<String>,
    /// Not now: some attempts in the days to come.
    pub later: Vec<String>,
    /// Wrong data: again when they are mended.
    pub mended: Vec<String>,
    /// Everything else; networks charge issuers that use these too often.
    pub generic: Vec<String>,
    /// What the authorization of a refund may be answered.
    pub refund: Vec<String>,
}

/// What a refund authorization can be declined for; a test holds the decisions against it.
pub const REFUND_REASONS: [Reason; 6] = [
    Reason::UnknownIssuer,
    Reason::InvalidCard,
    Reason::AccountClosed,
    Reason::InvalidAmount,
    Reason::CurrencyNotAllowed,
    Reason::RefundWithoutOriginal,
];

impl CodeList {
    fn knows(&self, code: &str) -> bool {
        [
            &self.approved,
            &self.never,
            &self.later,
            &self.mended,
            &self.generic,
        ]
        .into_iter()
        .any(|list| list.iter().any(|known| known == code))
    }

    /// Whether a code is one of everything else.
    pub fn is_generic(&self, code: &str) -> bool {
        self.generic.iter().any(|known| known == code)
    }

    /// What is wrong with the codes of a dialect, a sentence each.
    pub fn findings(&self, codes: &ResponseCodes) -> Vec<String> {
        let mut findings = self.listed_twice();
        for reason in Reason::ALL {
            let code = codes.code(reason);
            let code = code.as_str();
            let mut wrong = |what: &str| {
                findings.push(format!("response_code.{reason} = {code:?}: {what}"));
            };
            if !self.knows(code) {
                wrong("the network has no such code for an issuer");
            }
            let is_approval = self.approved.iter().any(|known| known == code);
            if is_approval != reason.is_approved() && self.knows(code) {
                wrong("an approval code for a decline, or the other way round");
            }
            if self.never.iter().any(|known| known == code) && can_change(reason) {
                wrong("tells the merchant never to try again, but the reason can pass");
            }
            if code == "57" && is_about_one_card(reason) {
                wrong("57 speaks of the whole product, the reason of one card");
            }
            let refused_refund = REFUND_REASONS.contains(&reason);
            if refused_refund && !self.refund.iter().any(|known| known == code) {
                wrong("the authorization of a refund may not be answered so");
            }
        }
        findings
    }

    fn listed_twice(&self) -> Vec<String> {
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        for list in [
            &self.approved,
            &self.never,
            &self.later,
            &self.mended,
            &self.generic,
        ] {
            for code in list {
                *times.entry(code).or_default() += 1;
            }
        }
        times
            .into_iter()
            .filter(|row| row.1 > 1)
            .map(|(code, _)| format!("code_list: {code} stands in more than one list"))
            .collect()
    }
}

/// Whether a reason tells of one card or holder rather than of the product or the message.
fn is_about_one_card(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::AccountClosed
            | Reason::CardStolen
            | Reason::CardLost
            | Reason::CardNotActivated
            | Reason::CardFrozen
            | Reason::CardExpired
            | Reason::ChipDataMissing
            | Reason::ChipDataMalformed
            | Reason::ChipNotVerifiable
            | Reason::CryptogramWrong
            | Reason::ChipCounterReplayed
            | Reason::TrackMissing
            | Reason::CardValueNotVerifiable
            | Reason::TrackValueWrong
            | Reason::PrintedValueWrong
            | Reason::PinLocked
            | Reason::PinNotVerifiable
            | Reason::PinMalformed
            | Reason::PinRequired
            | Reason::PinWrong
            | Reason::HolderNotVerified
            | Reason::TransactionLimit
            | Reason::PeriodAmountLimit
            | Reason::PeriodCountLimit
            | Reason::MaximumBalance
            | Reason::InsufficientFunds
    )
}

/// Whether the same card may be approved another time.
fn can_change(reason: Reason) -> bool {
    let is_for_ever = matches!(
        reason,
        Reason::AccountClosed | Reason::CardStolen | Reason::CardLost
    );
    let is_ours = matches!(
        reason,
        Reason::NotSignedOn | Reason::Overload | Reason::MacWrong | Reason::KeyNotTaken
    ) || reason.is_fault();
    is_ours || is_about_one_card(reason) && !is_for_ever
}

#[cfg(test)]
mod tests {
    use super::super::table::{self, Dialect};

    const ISO87: &str = include_str!("../../../spec/dialect/iso87.toml");

    fn findings(old: &str, new: &str) -> String {
        assert!(ISO87.contains(old), "{old}");
        let dialect: Dialect = table::parse(&ISO87.replace(old, new)).unwrap();
        dialect.code_findings().join("\n")
    }

    #[test]
    fn the_shipped_codes_are_without_finding() {
        assert_eq!(findings("approved", "approved"), "");
    }

    #[test]
    fn every_kind_of_wrong_code_is_found() {
        for (old, new, found) in [
            ("overload = \"91\"", "overload = \"01\"", "no such code"),
            (
                "card-frozen = \"62\"",
                "card-frozen = \"41\"",
                "never to try again",
            ),
            (
                "insufficient-funds = \"51\"",
                "insufficient-funds = \"57\"",
                "57 speaks of the whole product",
            ),
            (
                "currency-not-allowed = \"57\"",
                "currency-not-allowed = \"62\"",
                "the authorization of a refund",
            ),
            (
                "insufficient-funds = \"51\"",
                "insufficient-funds = \"00\"",
                "an approval code for a decline",
            ),
            ("\"04\", ", "\"04\", \"51\", ", "51 stands in more than one"),
        ] {
            let all = findings(old, new);
            assert!(all.contains(found), "{new}: {all:?}");
        }
    }
}
