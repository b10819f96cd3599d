//! A15, A16, A28: limits per transaction, in calendar and in rolling windows.
//!
//! Days, weeks and months are those of the programme's calendar. Days and months are kept as sums;
//! weeks and rolling windows are added up from the entries of the account, so they cost memory to
//! nobody and give-back needs nothing of its own. So are the days and months of limits that a card
//! has of its own, which count what that card did, and refuse beside those of the programme.

use crate::domain::card_limit::CardWindow;
use crate::domain::decision::Reason;
use crate::domain::programme::{Channel, Limit, Window};
use crate::engine::case::{Case, Intent, Refusal};
use crate::engine::entry::Entry;
use crate::engine::usage::Usage;

use super::{Intents, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    name: "limits",
    reasons: &[
        Reason::TransactionLimit,
        Reason::PeriodAmountLimit,
        Reason::PeriodCountLimit,
    ],
    intents: Intents::of(&[Intent::Spend, Intent::Load]),
    check: |case| refusal(case, false),
    shadow: Some(|case| refusal(case, true)),
};

fn refusal(case: &Case<'_>, shadow: bool) -> Option<Refusal> {
    let channel = case.channel()?;
    let (programme, kyc) = (case.programme, case.account().kyc);
    let mut counted = Counted::default();
    let look = |first: Option<Refusal>, limit: &Limit| {
        if limit.currency != case.amount.currency {
            return first;
        }
        earlier(first, above_limit(case, limit, &mut counted))
    };
    if !shadow {
        let limits = programme.sieve.limits(&programme.limits, channel, kyc);
        let first = limits.fold(None, look);
        return match case.account().has_limited_card {
            false => first,
            true => earlier(first, above_own(case, channel)),
        };
    }
    programme
        .limits
        .iter()
        .filter(|limit| limit.shadow && limit.channel.covers(channel))
        .filter(|limit| limit.kyc.is_none_or(|wanted| wanted == kyc))
        .fold(None, look)
}

/// Of two refusals the one that the order of precedence names first.
fn earlier(first: Option<Refusal>, other: Option<Refusal>) -> Option<Refusal> {
    match (first, other) {
        (Some(first), Some(other)) if other.reason < first.reason => Some(other),
        (first, other) => first.or(other),
    }
}

/// The limits that the card has of its own, beside those of its programme.
#[inline(never)]
fn above_own(case: &Case<'_>, channel: Channel) -> Option<Refusal> {
    let own = case.state.card_limits(case.card.id).iter();
    let counting = own
        .filter(|own| own.channel.covers(channel))
        .filter(|own| own.currency == case.amount.currency);
    let refused = counting.filter_map(|own| {
        let limit = own.as_limit();
        if own.window == CardWindow::Transaction {
            return above_transaction(&limit, case.amount.minor);
        }
        let (record, card) = (case.record, case.card.id);
        let used = case.state.used_by_card(record, card, own, case.date);
        above(&limit, used, case)
    });
    let first = refused.fold(None, |first, refusal| earlier(first, Some(refusal)));
    first.map(|refusal| Refusal {
        evidence: refusal
            .evidence
            .map(|seen| format!("the card's own {seen}")),
        ..refusal
    })
}

/// The usage that was looked up last: limits of one channel often stand together.
#[derive(Default)]
struct Counted(Option<Usage>);

impl Counted {
    fn usage(&mut self, case: &Case<'_>, limit: &Limit) -> &Usage {
        let known = self
            .0
            .take()
            .filter(|usage| usage.channel == limit.channel && usage.currency == limit.currency);
        self.0.insert(known.unwrap_or_else(|| {
            case.state
                .usage(case.record, limit.channel, limit.currency, case.date)
        }))
    }
}

fn above_limit(case: &Case<'_>, limit: &Limit, counted: &mut Counted) -> Option<Refusal> {
    match limit.window {
        Window::Transaction => above_transaction(limit, case.amount.minor),
        Window::Day => {
            let usage = counted.usage(case, limit);
            above(limit, (usage.day_minor, usage.day_count), case)
        }
        Window::Month => {
            let usage = counted.usage(case, limit);
            above(limit, (usage.month_minor, usage.month_count), case)
        }
        Window::Week => {
            let monday = case.date.monday();
            let used = added_up(case, limit, |entry| entry.date >= monday);
            above(limit, used, case)
        }
        Window::Rolling { hours } => {
            let start = case.at.minus_hours(u32::from(hours));
            let used = added_up(case, limit, |entry| entry.opened_at > start);
            above(limit, used, case)
        }
    }
}

/// Amount and number of what the entries of a window still count; the youngest stand last.
fn added_up(case: &Case<'_>, limit: &Limit, is_within: impl Fn(&Entry) -> bool) -> (i64, u32) {
    let counts = |entry: &&Entry| {
        let covered = entry
            .channel
            .is_some_and(|channel| limit.channel.covers(channel));
        covered && entry.currency == limit.currency
    };
    let youngest = case.record.entries.iter().rev();
    let within = youngest
        .filter_map(|id| case.state.entry(id))
        .take_while(|entry| is_within(entry));
    Entry::added_up(within.filter(counts))
}

fn above_transaction(limit: &Limit, minor: i64) -> Option<Refusal> {
    let most = limit.amount_max?;
    (minor > most).then(|| {
        let evidence = format!("limit per transaction {most}, asked {minor}");
        Refusal::because(Reason::TransactionLimit, evidence)
    })
}

fn above(limit: &Limit, (used_minor, used_count): (i64, u32), case: &Case<'_>) -> Option<Refusal> {
    let (minor, window) = (case.amount.minor, limit.window);
    if let Some(most) = limit.amount_max
        && used_minor.saturating_add(minor) > most
    {
        let evidence = format!("limit per {window} {most}, used {used_minor}, asked {minor}");
        return Some(Refusal::because(Reason::PeriodAmountLimit, evidence));
    }
    let most = limit.count_max?;
    let used_count = used_count.saturating_sub(u32::from(planted!(CountLimitOffByOne)));
    (used_count >= most).then(|| {
        let evidence = format!("limit per {window} {most} transactions, used {used_count}");
        Refusal::because(Reason::PeriodCountLimit, evidence)
    })
}
