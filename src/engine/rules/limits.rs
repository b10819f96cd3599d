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
    if !shadow {
        let limits = programme.sieve.limits(&programme.limits, channel, kyc);
        let first = first_above(case, limits);
        return match case.account().has_limited_card {
            false => first,
            true => earlier(first, above_own(case, channel)),
        };
    }
    let limits = programme
        .limits
        .iter()
        .filter(|limit| limit.shadow && limit.channel.covers(channel))
        .filter(|limit| limit.kyc.is_none_or(|wanted| wanted == kyc));
    first_above(case, limits)
}

/// The refusal that the order of precedence names first; put into words only once it is known.
fn first_above<'a>(
    case: &Case<'_>,
    limits: impl Iterator<Item = &'a Limit>,
) -> Option<Refusal> {
    let mut counted = Counted(None);
    let mut first: Option<(Reason, &Limit, Used)> = None;
    for limit in limits {
        if limit.currency != case.amount.currency {
            continue;
        }
        let used = counted.used(case, limit);
        if let Some(reason) = above(limit, used, case.amount.minor)
            && first.is_none_or(|first| reason < first.0)
        {
            first = Some((reason, limit, used));
        }
    }
    first.map(|(reason, limit, used)| refused(reason, limit, used, case.amount.minor))
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
    let refusals = counting.filter_map(|own| {
        let limit = own.as_limit();
        let used = match own.window {
            CardWindow::Transaction => NOTHING,
            CardWindow::Day | CardWindow::Month => {
                let (record, card) = (case.record, case.card.id);
                case.state.used_by_card(record, card, own, case.date)
            }
        };
        let minor = case.amount.minor;
        let reason = above(&limit, used, minor)?;
        Some(refused(reason, &limit, used, minor))
    });
    let first = refusals.fold(None, |first, refusal| earlier(first, Some(refusal)));
    first.map(|refusal| Refusal {
        evidence: refusal
            .evidence
            .map(|seen| format!("the card's own {seen}")),
        ..refusal
    })
}

/// Amount and number of what counts already, minor units.
type Used = (i64, u32);

/// What a limit of single transactions counts.
const NOTHING: Used = (0, 0);

/// The usage that was looked up last: limits of one channel often stand together.
struct Counted(Option<Usage>);

impl Counted {
    fn used(&mut self, case: &Case<'_>, limit: &Limit) -> Used {
        match limit.window {
            Window::Transaction => NOTHING,
            Window::Day => {
                let usage = self.usage(case, limit);
                (usage.day_minor, usage.day_count)
            }
            Window::Month => {
                let usage = self.usage(case, limit);
                (usage.month_minor, usage.month_count)
            }
            Window::Week => {
                let monday = case.date.monday();
                added_up(case, limit, |entry| entry.date >= monday)
            }
            Window::Rolling { hours } => {
                let start = case.at.minus_hours(u32::from(hours));
                added_up(case, limit, |entry| entry.opened_at > start)
            }
        }
    }

    fn usage(&mut self, case: &Case<'_>, limit: &Limit) -> &Usage {
        let (channel, currency) = (limit.channel, limit.currency);
        let is_it = |usage: &Usage| usage.channel == channel && usage.currency == currency;
        if !self.0.as_ref().is_some_and(is_it) {
            self.0 = None;
        }
        let look = || case.state.usage(case.record, channel, currency, case.date);
        self.0.get_or_insert_with(look)
    }
}

/// Amount and number of what the entries of a window still count; the youngest stand last.
fn added_up(case: &Case<'_>, limit: &Limit, is_within: impl Fn(&Entry) -> bool) -> Used {
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

/// Why a message of this amount is above a limit, if it is.
fn above(limit: &Limit, (used_minor, used_count): Used, minor: i64) -> Option<Reason> {
    let is_single = limit.window == Window::Transaction;
    let has_too_much = |most| used_minor.saturating_add(minor) > most;
    if limit.amount_max.is_some_and(has_too_much) {
        return Some(match is_single {
            true => Reason::TransactionLimit,
            false => Reason::PeriodAmountLimit,
        });
    }
    let used_count = used_count.saturating_sub(u32::from(planted!(CountLimitOffByOne)));
    let has_too_many = !is_single && limit.count_max.is_some_and(|most| used_count >= most);
    has_too_many.then_some(Reason::PeriodCountLimit)
}

/// The refusal of a message that is above a limit.
fn refused(reason: Reason, limit: &Limit, (used_minor, used_count): Used, minor: i64) -> Refusal {
    let window = limit.window;
    let most = limit.amount_max.unwrap_or_default();
    let evidence = match reason {
        Reason::TransactionLimit => format!("limit per transaction {most}, asked {minor}"),
        Reason::PeriodAmountLimit => {
            format!("limit per {window} {most}, used {used_minor}, asked {minor}")
        }
        _ => {
            let most = limit.count_max.unwrap_or_default();
            format!("limit per {window} {most} transactions, used {used_count}")
        }
    };
    Refusal::because(reason, evidence)
}
