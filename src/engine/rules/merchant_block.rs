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
    check: |case| match no_cash(case) || case.account().has_limited_card {
        false => refusal(case, false),
        true => first_of_several(case),
    },
    shadow: Some(|case| refusal(case, true)),
};

/// What stands first of all that may refuse here: cash where there is none, the programme's blocks,
/// and the controls of the card itself.
#[inline(never)]
fn first_of_several(case: &Case<'_>) -> Option<Refusal> {
    let scene = case.scene();
    let cash = no_cash(case).then(|| {
        Refusal::because(Reason::CashNotAllowed, "cash is not offered".to_owned())
    });
    let blocked = refusal(case, false);
    let own = (1_usize..).zip(case.state.card_controls(case.card.id));
    let refused = own.filter(|(_, control)| control.matches(&scene));
    let refused = refused.map(|(place, control)| {
        let evidence = format!("the card's own control {place}: {}", control.seen(&scene));
        Refusal::because(control.reason(), evidence)
    });
    let programme = cash.into_iter().chain(blocked);
    programme.chain(refused).min_by_key(|it| it.reason)
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

/// Whether this asks for cash where the programme has none.
fn no_cash(case: &Case<'_>) -> bool {
    case.facts.purpose == Purpose::CashWithdrawal && case.programme.cash.is_none()
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
