//! Which earlier entry a message means: the match ladder (lifecycle D.1), first unique hit wins.

use crate::domain::card::CardId;
use crate::domain::facts::Facts;

use super::entry::{Entry, EntryState};
use super::state::{MatchKey, State};

/// Which rung of the ladder matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rung {
    /// The network's name for the transaction.
    Lifecycle,
    /// The trace in DE 90.
    Original,
    /// The message's own trace.
    Trace,
    /// Retrieval reference number and terminal.
    Reference,
    /// Approval code and card acceptor.
    Approval,
    /// Amount and card acceptor, exactly one open hold; weak.
    Amount,
}

impl Rung {
    /// For evidence.
    pub fn name(self) -> &'static str {
        match self {
            Rung::Lifecycle => "lifecycle id",
            Rung::Original => "original data elements",
            Rung::Trace => "trace",
            Rung::Reference => "retrieval reference and terminal",
            Rung::Approval => "approval code and acceptor",
            Rung::Amount => "amount and acceptor (weak)",
        }
    }
}

/// What the ladder found.
pub(super) enum Found<'a> {
    /// One entry.
    One(&'a Entry, Rung),
    /// Several could be meant, and no rung tells them apart.
    Several,
    /// None.
    Nothing,
}

/// Finds the entry of a card that a message means, among those that `wanted` accepts.
///
/// The weak rung serves captures only.
pub(super) fn find<'a>(
    state: &'a State,
    card: CardId,
    facts: &Facts,
    ladder: Ladder,
    wanted: impl Fn(&Entry) -> bool,
) -> Found<'a> {
    let reference = MatchKey::Reference(card, facts.rrn, facts.terminal);
    let lifecycle = facts
        .lifecycle_id()
        .map(|id| (MatchKey::Lifecycle(card, id), Rung::Lifecycle));
    let keyed = [
        lifecycle,
        facts
            .original
            .map(|trace| (MatchKey::Trace(card, trace), Rung::Original)),
        Some((MatchKey::Trace(card, facts.trace), Rung::Trace)),
        (!facts.rrn.is_empty()).then_some((reference, Rung::Reference)),
        facts.quoted_approval.map(|code| {
            (
                MatchKey::Approval(card, code, facts.acceptor),
                Rung::Approval,
            )
        }),
    ];
    let mut ambiguous = false;
    for (key, rung) in keyed.into_iter().flatten() {
        match unique(state.entries_by(key), &wanted) {
            Found::One(entry, _) => return Found::One(entry, rung),
            // A later rung may tell them apart; the weak one may not.
            Found::Several => ambiguous = true,
            Found::Nothing => {}
        }
    }
    if ambiguous {
        return Found::Several;
    }
    match ladder {
        Ladder::WithWeakRung => weak(state, card, facts, wanted),
        Ladder::Strong => Found::Nothing,
    }
}

/// Whether the weakest rung may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ladder {
    /// Identities only.
    Strong,
    /// Also amount and acceptor, for captures.
    WithWeakRung,
}

fn weak<'a>(
    state: &'a State,
    card: CardId,
    facts: &Facts,
    wanted: impl Fn(&Entry) -> bool,
) -> Found<'a> {
    let account = state
        .card(card)
        .and_then(|card| state.account(card.account));
    let Some(record) = account else {
        return Found::Nothing;
    };
    let amount = facts.cardholder_amount();
    // What the programme converted has another amount each day, and what it was asked stays.
    let is_of_amount = |entry: &Entry| match state.exchange(entry.id) {
        Some(exchange) => exchange.asked == facts.amount,
        None => (entry.currency, entry.authorized) == (amount.currency, amount.minor),
    };
    let open_here = |entry: &Entry| {
        entry.card == card
            && entry.state == EntryState::Pending
            && entry.acceptor() == facts.acceptor
            && is_of_amount(entry)
            && wanted(entry)
    };
    // Two open holds alike: nobody can tell which, so none is taken.
    let entries = record.entries.iter().filter_map(|id| state.entry(id));
    match unique(entries, open_here) {
        Found::One(entry, _) => Found::One(entry, Rung::Amount),
        Found::Several | Found::Nothing => Found::Nothing,
    }
}

fn unique<'a>(
    entries: impl Iterator<Item = &'a Entry>,
    wanted: impl Fn(&Entry) -> bool,
) -> Found<'a> {
    let mut hits = entries.filter(|entry| wanted(entry));
    match (hits.next(), hits.next()) {
        (Some(entry), None) => Found::One(entry, Rung::Trace),
        (Some(_), Some(_)) => Found::Several,
        (None, _) => Found::Nothing,
    }
}
