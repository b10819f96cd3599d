//! A15, A16, A28: limits per transaction, day and month, by channel and KYC tier.
//!
//! Days and months are those of the programme's calendar.

use crate::domain::decision::Reason;
use crate::domain::programme::{Limit, Window};
use crate::engine::case::{Case, Intent, Refusal};

use super::Rule;

/// The rule.
pub const RULE: Rule = Rule {
    name: "limits",
    reasons: &[
        Reason::TransactionLimit,
        Reason::PeriodAmountLimit,
        Reason::PeriodCountLimit,
    ],
    intents: &[Intent::Spend, Intent::Load],
    check,
};

fn check(case: &Case<'_>) -> Option<Refusal> {
    let channel = case.channel()?;
    let currency = case.amount.currency;
    let usage = case.state.usage(case.record, channel, currency, case.date);
    case.programme
        .limits
        .iter()
        .filter(|limit| limit.channel == channel && limit.currency == currency)
        .filter(|limit| limit.kyc.is_none_or(|kyc| kyc == case.account().kyc))
        .filter_map(|limit| match limit.window {
            Window::Transaction => above_transaction(limit, case.amount.minor),
            Window::Day => above(limit, "day", usage.day_minor, usage.day_count, case),
            Window::Month => above(limit, "month", usage.month_minor, usage.month_count, case),
        })
        .min_by_key(|refusal| refusal.reason)
}

fn above_transaction(limit: &Limit, minor: i64) -> Option<Refusal> {
    let most = limit.amount_max?;
    (minor > most).then(|| {
        let evidence = format!("limit per transaction {most}, asked {minor}");
        Refusal::because(Reason::TransactionLimit, evidence)
    })
}

fn above(
    limit: &Limit,
    window: &str,
    used_minor: i64,
    used_count: u32,
    case: &Case<'_>,
) -> Option<Refusal> {
    let minor = case.amount.minor;
    if let Some(most) = limit.amount_max
        && used_minor.saturating_add(minor) > most
    {
        let evidence = format!("limit per {window} {most}, used {used_minor}, asked {minor}");
        return Some(Refusal::because(Reason::PeriodAmountLimit, evidence));
    }
    let most = limit.count_max?;
    (used_count >= most).then(|| {
        let evidence = format!("limit per {window} {most} transactions, used {used_count}");
        Refusal::because(Reason::PeriodCountLimit, evidence)
    })
}
