//! A28, A29, B4: loads only in the ways, from the partners and from the issuers that the programme
//! names; a programme that is not reloadable refuses every load.

use crate::domain::card::CardStatus;
use crate::domain::decision::Reason;
use crate::domain::facts::Purpose;
use crate::domain::programme::Activation;
use crate::domain::rare_facts::FundingBin;
use crate::engine::case::{Case, Intent, Refusal};

use super::{Intents, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    name: "load_offered",
    reasons: &[Reason::LoadNotAllowed, Reason::AuthenticationRequired],
    intents: Intents::of(&[Intent::Load]),
    check,
    shadow: None,
};

fn check(case: &Case<'_>) -> Option<Refusal> {
    let not_allowed = |evidence: &str| {
        let evidence = evidence.to_owned();
        Some(Refusal::because(Reason::LoadNotAllowed, evidence))
    };
    if case.facts.purpose == Purpose::Activation {
        return match (case.programme.activation, case.card.status) {
            (Activation::ShopTill, CardStatus::NotActivated) => None,
            (Activation::ShopTill, _) => not_allowed("activated already (B4)"),
            (Activation::Operator | Activation::Enrolment, _) => {
                not_allowed("the programme's cards are not activated at a till")
            }
        };
    }
    let Some(rule) = &case.programme.load else {
        return Some(Refusal::plain(Reason::LoadNotAllowed));
    };
    if case.load_channel().is_none() || rule.channels.is_empty() {
        return None;
    }
    let Some(terms) = case.load_terms() else {
        return not_allowed("not offered in this way");
    };
    let rare = case.facts.rare.as_deref()?;
    let partner = || {
        rare.load_partner
            .is_some_and(|it| terms.partners.contains(&it))
    };
    if !terms.partners.is_empty() && !partner() {
        return not_allowed("its company code is none of the programme's partners");
    }
    let issuer = |bin: &FundingBin| {
        let mut issuers = terms.issuers.iter();
        issuers.any(|known| bin.as_bytes().starts_with(known.as_bytes()))
    };
    if !terms.issuers.is_empty() && !rare.funding_bin.as_ref().is_some_and(issuer) {
        return not_allowed("the card that pays is of none of the programme's issuers");
    }
    if terms.authenticated && !rare.authenticated {
        let evidence = "the cardholder was not authenticated".to_owned();
        return Some(Refusal::because(Reason::AuthenticationRequired, evidence));
    }
    None
}
