//! A statement: what happened on one account in a period, read from the records of the journal.
//!
//! Owns nothing but this one account's purses and entries, so its size does not depend on how much
//! else the journal holds. The records must come from the first one on, in order.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::domain::account::{AccountId, PurseIndex, Split};
use crate::domain::card::CardId;
use crate::domain::money::Currency;
use crate::domain::time::UnixMs;
use crate::engine::entry::{EntryId, EntryState};
use crate::engine::event::{AccountOpened, Decided, Effect, Event};
use crate::engine::ledger::{LedgerAccount, Posting};
use crate::engine::operation::Operation;
use crate::engine::operation_end::EndOperation;
use crate::engine::operation_holder::HolderOperation;
use crate::engine::operation_money::{MoneyOperation, Paper};

/// One purse as it stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PurseStand {
    /// Its currency.
    pub currency: Currency,
    /// Ledger balance, minor units.
    pub balance: i64,
    /// Of it held, minor units.
    pub held: i64,
}

/// Where a line stands at the end of the period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineState {
    /// Authorized, not posted (in full).
    Pending,
    /// Posted.
    Captured,
    /// Its time was over.
    Released,
    /// Undone.
    Reversed,
    /// Posted, and all of it came back.
    Refunded,
}

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineKind {
    /// The opening balance.
    Opening,
    /// A purchase.
    Purchase,
    /// Cash.
    CashWithdrawal,
    /// Money back for a purchase.
    Refund,
    /// Money onto the card.
    Load,
    /// Money that somebody sent.
    OriginalCredit,
    /// Anything else that a message asked for.
    Other,
    /// To or from another holder.
    Transfer,
    /// Money of one purse changed into another currency.
    Charge,
    /// The end of the account.
    Closing,
    /// The fee of a statement on paper.
    PaperStatement,
    /// The fee of a notice of the PIN.
    PinNotice,
}

/// One line of a statement.
#[derive(Clone, Debug)]
pub struct Line {
    /// Record that opened it.
    pub sequence: u64,
    /// When it was opened.
    pub opened_at: UnixMs,
    /// When money or holds last moved for it.
    pub moved_at: UnixMs,
    /// What it is about.
    pub kind: LineKind,
    /// Where it stands.
    pub state: LineState,
    /// By which card.
    pub card: Option<CardId>,
    /// Currency of its amounts.
    pub currency: Currency,
    /// What was asked, minor units.
    pub authorized: i64,
    /// What it still holds, minor units of its currency.
    pub held: i64,
    /// What it changed in each purse, fees included, minor units; below zero: taken.
    pub changes: BTreeMap<PurseIndex, i64>,
    /// Of it fees, minor units.
    pub fee: i64,
    /// What refunds have given back, minor units.
    pub refunded: i64,
    /// DE 42 and DE 43 of the message.
    pub merchant: Option<(String, String)>,
    /// Merchant category.
    pub mcc: Option<String>,
    /// Approval code.
    pub approval: Option<String>,
    /// The purses after it last moved.
    pub after: Vec<PurseStand>,
    /// What the purses hold for it, each in its own currency.
    held_in: Split,
    /// What was posted for it and not undone, fees apart.
    posted: i64,
    fee_split: BTreeMap<PurseIndex, i64>,
    refund_of: Option<u64>,
}

/// Reads the records of a journal for one account.
pub struct Book {
    account: AccountId,
    from: UnixMs,
    until: UnixMs,
    cards: BTreeSet<CardId>,
    purses: Vec<PurseStand>,
    /// The purses as the period began.
    before: Option<Vec<PurseStand>>,
    lines: BTreeMap<u64, Line>,
}

/// What a statement says.
pub struct Statement {
    /// The purses as the period began.
    pub before: Vec<PurseStand>,
    /// Lines that were opened or moved in the period, in order of their records.
    pub lines: Vec<Line>,
    /// The purses at its end.
    pub after: Vec<PurseStand>,
}

impl Book {
    /// A book of what happens from `from` on and before `until`.
    pub fn new(account: AccountId, from: UnixMs, until: UnixMs) -> Book {
        Book {
            account,
            from,
            until,
            cards: BTreeSet::new(),
            purses: Vec::new(),
            before: None,
            lines: BTreeMap::new(),
        }
    }

    /// Takes the next record; `false` once the period is over.
    pub fn take(&mut self, sequence: u64, at: UnixMs, event: &Event) -> bool {
        if at >= self.until {
            return false;
        }
        if at >= self.from && self.before.is_none() {
            self.before = Some(self.purses.clone());
        }
        match event {
            Event::AccountOpened(opened) => self.opened(sequence, at, opened),
            Event::Decided(decided) => {
                if decided.card.is_some_and(|card| self.cards.contains(&card)) {
                    self.decided(sequence, at, decided);
                }
            }
            Event::Housekept(housekept) => {
                housekept
                    .expired
                    .iter()
                    .for_each(|id| self.release(*id, at));
            }
            Event::Operated(operation) => self.operated(sequence, at, operation),
            Event::LinkNamed(..)
            | Event::PinSet(..)
            | Event::PinUnlocked(_)
            | Event::CutOver(..)
            | Event::Reconciled(_) => {}
        }
        true
    }

    /// What the records told.
    pub fn close(self) -> Statement {
        let from = self.from;
        let lines = self.lines.into_values();
        Statement {
            before: self.before.unwrap_or_else(|| self.purses.clone()),
            lines: lines.filter(|line| line.moved_at >= from).collect(),
            after: self.purses,
        }
    }

    fn opened(&mut self, sequence: u64, at: UnixMs, opened: &AccountOpened) {
        if opened.account != self.account {
            return;
        }
        self.cards.insert(opened.card.card);
        let purse = |currency: &Currency| PurseStand {
            currency: *currency,
            balance: 0,
            held: 0,
        };
        self.purses = opened.purses.iter().map(purse).collect();
        if opened.opening.is_empty() {
            return;
        }
        let line = self.line(sequence, at, LineKind::Opening);
        self.lines.insert(sequence, line);
        for (purse, minor) in &opened.opening {
            self.move_purse(sequence, *purse, *minor);
        }
        self.settle(sequence, at);
    }

    fn line(&self, sequence: u64, at: UnixMs, kind: LineKind) -> Line {
        Line {
            sequence,
            opened_at: at,
            moved_at: at,
            kind,
            state: LineState::Captured,
            card: None,
            currency: self.purses.first().map_or(Currency::JPY, |it| it.currency),
            authorized: 0,
            held: 0,
            changes: BTreeMap::new(),
            fee: 0,
            refunded: 0,
            merchant: None,
            mcc: None,
            approval: None,
            after: Vec::new(),
            held_in: Split::default(),
            posted: 0,
            fee_split: BTreeMap::new(),
            refund_of: None,
        }
    }

    fn decided(&mut self, sequence: u64, at: UnixMs, decided: &Decided) {
        let mut moved = BTreeSet::new();
        for effect in &decided.effects {
            let id = match effect {
                Effect::EntryOpened { .. } => {
                    self.entry_opened(sequence, at, decided, effect);
                    Some(sequence)
                }
                Effect::HoldRaised { entry, split } => {
                    for (purse, minor) in split.parts() {
                        self.hold(*entry, purse, (minor, minor));
                    }
                    Some(entry.0)
                }
                Effect::HoldLowered { entry, split } => {
                    for (purse, minor) in split.parts() {
                        self.hold(*entry, purse, (-minor, -minor));
                    }
                    Some(entry.0)
                }
                Effect::ExchangeHeld(change) => {
                    for leg in &change.legs {
                        self.hold(change.entry, leg.purse, (leg.cost(), leg.worth));
                    }
                    Some(change.entry.0)
                }
                Effect::ExchangeLowered(change) => {
                    for leg in &change.legs {
                        self.hold(change.entry, leg.purse, (-leg.cost(), -leg.worth));
                    }
                    Some(change.entry.0)
                }
                Effect::ExchangePosted(change) => {
                    for (_, postings) in &change.movements {
                        self.move_purses(change.entry.0, postings, false);
                    }
                    let worth = change.legs.iter().map(|leg| leg.worth);
                    let worth = worth.fold(0_i64, i64::saturating_add);
                    self.note_posted(change.entry.0, if change.credits { worth } else { -worth });
                    Some(change.entry.0)
                }
                Effect::Posted {
                    entry, postings, ..
                } => {
                    let credited = self.move_purses(entry.0, postings, false);
                    self.note_posted(entry.0, credited);
                    Some(entry.0)
                }
                Effect::FeePosted {
                    entry, postings, ..
                } => {
                    self.move_purses(entry.0, postings, true);
                    Some(entry.0)
                }
                Effect::Offset { postings, .. } => {
                    let own = moved.first().copied().unwrap_or(sequence);
                    self.move_purses(own, postings, false);
                    None
                }
                Effect::EntryMoved { entry, state } => {
                    self.moved(entry.0, *state);
                    Some(entry.0)
                }
                Effect::Counted { .. }
                | Effect::TombstoneSet { .. }
                | Effect::ExceptionRaised { .. }
                | Effect::PartTombstoneSet { .. }
                | Effect::PinTried { .. }
                | Effect::PinChanged { .. }
                | Effect::ChipCounted(_)
                | Effect::CardActivation { .. } => None,
            };
            moved.extend(id);
        }
        moved.into_iter().for_each(|id| self.settle(id, at));
    }

    fn entry_opened(&mut self, sequence: u64, at: UnixMs, decided: &Decided, effect: &Effect) {
        use crate::domain::facts::Purpose;

        let Effect::EntryOpened {
            currency,
            authorized,
            held,
            refund_of,
            ..
        } = effect
        else {
            return;
        };
        let facts = &decided.facts;
        let kind = match facts.purpose {
            Purpose::Purchase => LineKind::Purchase,
            Purpose::CashWithdrawal => LineKind::CashWithdrawal,
            Purpose::Refund => LineKind::Refund,
            Purpose::Load | Purpose::Activation => LineKind::Load,
            Purpose::OriginalCredit => LineKind::OriginalCredit,
            Purpose::BalanceEnquiry
            | Purpose::AccountFunding
            | Purpose::QuasiCash
            | Purpose::PinChange
            | Purpose::Unnamed => LineKind::Other,
        };
        let mut line = self.line(sequence, at, kind);
        line.state = LineState::Pending;
        line.card = decided.card;
        line.currency = *currency;
        line.authorized = *authorized;
        line.refund_of = refund_of.map(|id| id.0);
        line.mcc = facts.mcc.map(|mcc| mcc.to_string());
        line.approval = decided.approval.map(|code| code.to_string());
        let named = !facts.acceptor.is_empty() || !facts.acceptor_name.is_empty();
        let names = || (facts.acceptor.to_string(), facts.acceptor_name.to_string());
        line.merchant = named.then(names);
        self.lines.insert(sequence, line);
        for (purse, minor) in held.parts() {
            self.hold(EntryId(sequence), purse, (minor, minor));
        }
    }

    fn operated(&mut self, sequence: u64, at: UnixMs, operation: &Operation) {
        match operation {
            Operation::HoldReleased(id) => self.release(*id, at),
            Operation::CardReplaced { card, with, .. } => {
                if self.cards.contains(card) {
                    self.cards.insert(with.card);
                }
            }
            Operation::Money(MoneyOperation::Transferred {
                transfer, postings, ..
            }) => {
                if [transfer.from, transfer.to].contains(&self.account) {
                    self.own_line(sequence, at, LineKind::Transfer, postings);
                }
            }
            Operation::Transferred {
                from, to, postings, ..
            } => {
                if [*from, *to].contains(&self.account) {
                    self.own_line(sequence, at, LineKind::Transfer, postings);
                }
            }
            Operation::AccountClosed { account, movements }
            | Operation::End(EndOperation::AccountClosed { account, movements }) => {
                if *account == self.account {
                    let all: Vec<Posting> =
                        movements.iter().flat_map(|row| row.1.clone()).collect();
                    self.own_line(sequence, at, LineKind::Closing, &all);
                }
            }
            Operation::Holder(HolderOperation::AccountOpened { opened, .. }) => {
                self.opened(sequence, at, opened);
            }
            Operation::Money(MoneyOperation::Charged {
                charge, movements, ..
            }) => {
                if charge.account == self.account {
                    let all: Vec<Posting> =
                        movements.iter().flat_map(|row| row.1.clone()).collect();
                    self.own_line(sequence, at, LineKind::Charge, &all);
                    let source = self.purses.get(charge.source.position());
                    let currency = source.map(|purse| purse.currency);
                    if let (Some(line), Some(currency)) = (self.lines.get_mut(&sequence), currency)
                    {
                        line.currency = currency;
                        line.authorized = charge.minor;
                        line.fee = charge.fee;
                    }
                }
            }
            Operation::Money(MoneyOperation::PaperOrdered {
                order, postings, ..
            }) => {
                if order.account == self.account {
                    let kind = match order.paper {
                        Paper::Statement => LineKind::PaperStatement,
                        Paper::PinNotice => LineKind::PinNotice,
                    };
                    self.own_line(sequence, at, kind, postings);
                }
            }
            Operation::Money(MoneyOperation::RatesSet(_))
            | Operation::ClearingClosed { .. }
            | Operation::CardStatusChanged(..)
            | Operation::DeviceTokenAdded { .. }
            | Operation::ExceptionResolved { .. }
            | Operation::Holder(_)
            | Operation::Card(_)
            | Operation::End(EndOperation::ClosingDated(_) | EndOperation::CardDataErased(_))
            | Operation::RulesChanged(_) => {}
        }
    }

    /// A movement that no message asked for.
    fn own_line(&mut self, sequence: u64, at: UnixMs, kind: LineKind, postings: &[Posting]) {
        let line = self.line(sequence, at, kind);
        self.lines.insert(sequence, line);
        self.move_purses(sequence, postings, false);
        let fees = postings.iter().filter_map(|posting| match posting.account {
            LedgerAccount::Fees(_) => Some(posting.minor),
            _ => None,
        });
        let fee = fees.fold(0_i64, i64::saturating_add);
        if let Some(line) = self.lines.get_mut(&sequence) {
            line.fee = fee;
        }
        self.settle(sequence, at);
    }

    /// More or less is held: in the purse's currency, and what that is worth in the line's.
    fn hold(&mut self, entry: EntryId, purse: PurseIndex, (minor, worth): (i64, i64)) {
        let Some(line) = self.lines.get_mut(&entry.0) else {
            return;
        };
        line.held = line.held.saturating_add(worth);
        if minor > 0 {
            line.held_in.add(purse, minor);
        } else {
            let parts = line.held_in.parts().map(|(own, part)| {
                let change = if own == purse { minor } else { 0 };
                (own, part.saturating_add(change))
            });
            line.held_in = parts.collect();
        }
        if let Some(stand) = self.purses.get_mut(purse.position()) {
            stand.held = stand.held.saturating_add(minor);
        }
    }

    /// Moves the account's purses as postings say; returns what they got, all told.
    fn move_purses(&mut self, line: u64, postings: &[Posting], is_fee: bool) -> i64 {
        let mut total = 0_i64;
        for posting in postings {
            let LedgerAccount::Purse(account, purse) = posting.account else {
                continue;
            };
            if account != self.account {
                continue;
            }
            total = total.saturating_add(posting.minor);
            self.move_purse(line, purse, posting.minor);
            if let (true, Some(line)) = (is_fee, self.lines.get_mut(&line)) {
                line.fee = line.fee.saturating_sub(posting.minor);
                let part = line.fee_split.entry(purse).or_default();
                *part = part.saturating_sub(posting.minor);
            }
        }
        total
    }

    /// What was posted for a line, in its currency; above zero: credited.
    fn note_posted(&mut self, id: u64, credited: i64) {
        let Some(line) = self.lines.get_mut(&id) else {
            return;
        };
        line.posted = line.posted.saturating_add(credited);
        let purchase = line.refund_of;
        if let Some(purchase) = purchase.and_then(|id| self.lines.get_mut(&id)) {
            purchase.refunded = purchase.refunded.saturating_add(credited).max(0);
        }
    }

    fn move_purse(&mut self, line: u64, purse: PurseIndex, minor: i64) {
        if let Some(stand) = self.purses.get_mut(purse.position()) {
            stand.balance = stand.balance.saturating_add(minor);
        }
        if let Some(line) = self.lines.get_mut(&line) {
            let change = line.changes.entry(purse).or_default();
            *change = change.saturating_add(minor);
        }
    }

    fn moved(&mut self, line: u64, state: EntryState) {
        if let Some(line) = self.lines.get_mut(&line) {
            line.state = match state {
                EntryState::Pending => LineState::Pending,
                EntryState::Captured => LineState::Captured,
                EntryState::Released => LineState::Released,
                EntryState::Reversed => LineState::Reversed,
            };
        }
    }

    /// A hold ends by time or by an operator: what nothing was captured of gives back its fee.
    fn release(&mut self, id: EntryId, at: UnixMs) {
        let Some(line) = self.lines.get(&id.0) else {
            return;
        };
        let (held, worth, untouched) = (line.held_in.clone(), line.held, line.posted == 0);
        let fees: Vec<(PurseIndex, i64)> = line.fee_split.iter().map(|it| (*it.0, *it.1)).collect();
        for (purse, minor) in held.parts() {
            self.hold(id, purse, (-minor, 0));
        }
        if let Some(line) = self.lines.get_mut(&id.0) {
            line.held = line.held.saturating_sub(worth);
        }
        if untouched {
            for (purse, minor) in fees {
                self.move_purse(id.0, purse, minor);
            }
            if let Some(line) = self.lines.get_mut(&id.0) {
                line.fee = 0;
                line.fee_split.clear();
            }
        }
        let state = if untouched {
            EntryState::Released
        } else {
            EntryState::Captured
        };
        self.moved(id.0, state);
        self.settle(id.0, at);
    }

    /// Notes when a line moved and how the purses stand after it.
    fn settle(&mut self, line: u64, at: UnixMs) {
        let after = self.purses.clone();
        let Some(line) = self.lines.get_mut(&line) else {
            return;
        };
        line.moved_at = at;
        line.after = after;
        let held = line.held_in.parts().filter(|part| part.1 > 0).collect();
        line.held_in = held;
        let purchase = line.refund_of;
        self.mark_refunded(purchase);
    }

    /// A purchase all of which came back reads as refunded.
    fn mark_refunded(&mut self, purchase: Option<u64>) {
        let Some(line) = purchase.and_then(|id| self.lines.get_mut(&id)) else {
            return;
        };
        let paid = line.posted.saturating_neg();
        let is_all = paid > 0 && line.refunded >= paid;
        line.state = match (line.state, is_all) {
            (LineState::Captured, true) => LineState::Refunded,
            (LineState::Refunded, false) => LineState::Captured,
            (state, _) => state,
        };
    }
}
