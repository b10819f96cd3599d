//! The rules, in the one order of precedence (rule D1).
//!
//! One rule is one file: what it refuses, for which intents, and its tests. A rule looks at a
//! [`Case`] and names facts, never data elements. The first rule that refuses decides, and the
//! reasons of the list stand in the order in which [`Reason`] declares them.

use crate::domain::decision::Reason;

use super::case::{Case, Intent, Refusal};

/// Declares the rules, and lists them in this order. The first refusal is looked for with a call to
/// each by its name: the compiler puts most of them in place, which a list of functions prevents.
macro_rules! in_order_of_precedence {
    ($($rule:ident,)+) => {
        $(pub mod $rule;)+

        /// Every rule, in order of precedence.
        pub const RULES: &[Rule] = &[$($rule::RULE,)+];

        /// The refusal of the first rule that has one.
        pub fn first_refusal(case: &Case<'_>) -> Option<Refusal> {
            $(
                if $rule::RULE.intents.has(case.intent)
                    && let Some(refusal) = ($rule::RULE.check)(case)
                {
                    return Some(refusal);
                }
            )+
            None
        }
    };
}

in_order_of_precedence! {
    card_status,
    expiry,
    purpose,
    amount,
    currency,
    chip,
    card_value,
    pin,
    new_pin,
    merchant_list,
    merchant_block,
    cash,
    load_offered,
    refund_original,
    limits,
    maximum_balance,
    available_funds,
}

/// One rule.
pub struct Rule {
    /// Its name: the file's.
    pub name: &'static str,
    /// What it may answer.
    pub reasons: &'static [Reason],
    /// Whose messages it looks at.
    pub intents: Intents,
    /// The rule itself.
    pub check: fn(&Case<'_>) -> Option<Refusal>,
    /// What its rows in shadow would refuse, where it has rows in the programme file.
    pub shadow: Option<fn(&Case<'_>) -> Option<Refusal>>,
}

/// A set of intents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intents(u8);

impl Intents {
    /// The set of these.
    pub const fn of(intents: &[Intent]) -> Intents {
        let (mut set, mut left) = (0, intents);
        while let [first, rest @ ..] = left {
            set |= Intents::bit(*first);
            left = rest;
        }
        Intents(set)
    }

    /// Whether one is in it.
    pub const fn has(self, intent: Intent) -> bool {
        self.0 & Intents::bit(intent) != 0
    }

    const fn bit(intent: Intent) -> u8 {
        match intent {
            Intent::Spend => 1,
            Intent::Verify => 2,
            Intent::Enquire => 4,
            Intent::Refund => 8,
            Intent::Load => 16,
            Intent::ChangePin => 32,
        }
    }
}

/// What the first row in shadow would have refused: noted with the decision, not enforced.
pub fn first_in_shadow(case: &Case<'_>) -> Option<Refusal> {
    if !case.programme.has_shadows {
        return None;
    }
    RULES
        .iter()
        .filter(|rule| rule.intents.has(case.intent))
        .find_map(|rule| (rule.shadow?)(case))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_stand_in_the_order_of_precedence_of_their_reasons() {
        let reasons: Vec<Reason> = RULES
            .iter()
            .flat_map(|rule| rule.reasons)
            .copied()
            .collect();
        assert!(
            reasons.windows(2).all(|pair| pair[0] < pair[1]),
            "{reasons:?}"
        );
    }

    #[test]
    fn every_rule_looks_at_something_and_has_its_own_name() {
        for (n, rule) in RULES.iter().enumerate() {
            assert_ne!(rule.intents, Intents::of(&[]), "{}", rule.name);
            assert!(
                RULES
                    .iter()
                    .skip(n + 1)
                    .all(|other| other.name != rule.name)
            );
        }
    }
}
