//! A18 to A26, B2, B3, C7: kinds of merchants and messages that the programme blocks, as data.
//!
//! When several blocks match, the reason that stands first in the order of precedence is the
//! answer. A merchant listed as allowed (A26b) passes blocks by category, not those by what the
//! message itself says. A programme without cash blocks it everywhere (B2). Controls that the card
//! has of its own refuse beside the blocks; being listed as allowed lifts none of them.

use crate::domain::block::{Block, Scene};
use crate::domain::decision::Reason;
use crate::domain::facts::Purpose;
use crate::engine::case::{Case, Intent, Refusal};

use super::{Intents, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    name: "merchant_block",
    reasons: &[
        Reason::Recurring,
        Reason::Instalment,
        Reason::Deposit,
        Reason::InFlight,
        Reason::MerchantCategory,
        Reason::CountryNotAllowed,
        Reason::TimeNotAllowed,
        Reason::CashNotAllowed,
        Reason::ChannelNotAllowed,
    ],
    intents: Intents::of(&[Intent::Spend, Intent::Verify]),
    check: |case| {
        let first = match no_cash(case) {
            Some(cash) => Some(
                refusal(case, false)
                    .filter(|it| it.reason < cash.reason)
                    .unwrap_or(cash),
            ),
            None => refusal(case, false),
        };
        match case.account().has_limited_card {
            false => first,
            true => first_with_own(case, first),
        }
    },
    shadow: Some(|case| refusal(case, true)),
};

/// What the controls of the card itself refuse, where that stands first.
#[inline(never)]
fn first_with_own(case: &Case<'_>, first: Option<Refusal>) -> Option<Refusal> {
    let scene = case.scene();
    let own = (1_usize..).zip(case.state.card_controls(case.card.id));
    let refused = own.filter(|(_, control)| control.matches(&scene));
    let refused = refused.map(|(place, control)| {
        let evidence = format!("the card's own control {place}: {}", control.seen(&scene));
        Refusal::because(control.reason(), evidence)
    });
    first.into_iter().chain(refused).min_by_key(|it| it.reason)
}

fn refusal(case: &Case<'_>, shadow: bool) -> Option<Refusal> {
    let programme = case.programme;
    let is_allowed = || {
        let lists = &programme.merchants;
        lists.allowed_acceptors.contains(&case.facts.acceptor)
            || lists.allowed_terminals.contains(&case.facts.terminal)
    };
    let in_category = programme.blocked_categories.has(case.facts.mcc) && !is_allowed();
    let scene = case.scene();
    let block = programme
        .sieve
        .blocks(&programme.blocks, &scene, in_category)
        .filter(|block| block.shadow == shadow && block.matches(&scene))
        .min_by_key(|block| block.reason)?;
    Some(Refusal::because(block.reason, evidence(block, &scene)))
}

/// Cash where the programme has none.
fn no_cash(case: &Case<'_>) -> Option<Refusal> {
    let wanted = case.facts.purpose == Purpose::CashWithdrawal && case.programme.cash.is_none();
    wanted.then(|| Refusal::because(Reason::CashNotAllowed, "cash is not offered".to_owned()))
}

/// `fuel (A19): mcc 5541`, `recurring (A18): DE60 positions 9-10 = 02`.
fn evidence(block: &Block, scene: &Scene<'_>) -> String {
    let seen: Vec<String> = block
        .conditions
        .iter()
        .filter_map(|condition| condition.seen(scene))
        .collect();
    format!("{} ({}): {}", block.id, block.rule, seen.join(", "))
}
