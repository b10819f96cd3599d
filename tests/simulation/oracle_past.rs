//! What the oracle does about what it has booked: finding it, undoing it, letting it go in time.

use std::collections::VecDeque;

use crate::ask::{Ask, Kind, Name};
use crate::deal::{Deal, Stands};
use crate::oracle::{ANSWERS_HOURS, Answer, ENTRIES_HOURS, HOUR_MS, Oracle, is_debit};

/// Which deal a message means.
pub(crate) enum Found {
    One(usize),
    Several,
    Nothing,
}

impl Oracle {
    fn answer_to(&self, ask: &Ask, name: Name) -> Option<&Answer> {
        let kinds = [
            Kind::Authorization,
            Kind::Financial,
            Kind::StandIn,
            Kind::Advice,
        ];
        let mut answers = kinds
            .iter()
            .filter_map(|kind| self.answers.get(&(*kind, name, ask.terminal)));
        answers.find(|answer| answer.card == ask.card)
    }

    pub(crate) fn reverse(&mut self, ask: &Ask) {
        if let Some(original) = ask.original {
            let mut own = self.wallets[ask.card].deals.iter();
            let is_known = own.any(|id| self.deals[*id].name == original);
            if !is_known && let Some(answer) = self.answer_to(ask, original) {
                if !answer.told.is_approval() {
                    return;
                }
                let deals = &self.wallets[ask.card].deals;
                if let Some(id) = answer.deal.filter(|id| deals.contains(id)) {
                    return self.undo(id, ask);
                }
            }
        }
        match self.find(ask, false, |_| true) {
            Found::One(id) => self.undo(id, ask),
            Found::Several => {}
            Found::Nothing => {
                let original = ask.original.unwrap_or(ask.name);
                let remaining = ask.remaining.unwrap_or(0);
                let says_nothing = remaining > 0 && remaining >= ask.minor;
                if self.answer_to(ask, original).is_some() || says_nothing {
                    return;
                }
                let left = (remaining > 0).then_some(remaining);
                match self.stones.get_mut(&(ask.card, original)) {
                    Some(stone) => *stone = stone.zip(left).map(|(one, two)| one.min(two)),
                    None => {
                        self.stones.insert((ask.card, original), left);
                        self.stones_by_age
                            .push_back((self.at, (ask.card, original)));
                    }
                }
            }
        }
    }

    fn undo(&mut self, id: usize, ask: &Ask) {
        self.touched = Some(id);
        let deal = &self.deals[id];
        let paid = (deal.posted.total() - deal.refunded).max(0);
        let outstanding = deal.held.total() + paid;
        let remaining = ask.remaining.unwrap_or(0);
        if outstanding == 0 {
            if deal.stands == Stands::Pending && remaining == 0 {
                self.rest(id, Stands::Reversed);
            } else {
                self.touched = None;
            }
            return;
        }
        if remaining > ask.minor {
            return;
        }
        let wanted = match (ask.minor - remaining, ask.currency == deal.currency) {
            (0, _) if ask.minor == 0 => outstanding,
            (0, _) => 0,
            (asked, true) => asked,
            (_, false) => outstanding,
        };
        let undone = wanted.min(outstanding);
        let released = deal.held.last(undone);
        let returned = deal.posted.last(undone - released.total());
        let (what, refund_of) = (deal.what, deal.refund_of);
        self.let_go(id, &released);
        let deal = &mut self.deals[id];
        deal.posted.remove(&returned);
        for (purse, minor) in returned.each() {
            let signed = if is_debit(what) { minor } else { -minor };
            self.wallets[deal.card].balance[purse] += signed;
        }
        if let Some(purchase) = refund_of {
            let purchase = &mut self.deals[purchase];
            purchase.refunded = (purchase.refunded - returned.total()).max(0);
        }
        let deal = &self.deals[id];
        let in_full = undone == outstanding;
        if let Some(channel) = deal.channel {
            let count = -i32::from(in_full && deal.counted_as > 0);
            self.count(id, channel, -undone.min(deal.counted), count);
        }
        let deal = &self.deals[id];
        if in_full {
            self.rest(id, Stands::Reversed);
        } else if deal.held.is_empty() && deal.stands == Stands::Pending {
            self.rest(id, Stands::Captured);
        }
    }

    /// The deal that a message means: by the name that it quotes, by its own, and for captures by
    /// the one open hold of this acquirer with the same amount.
    pub(crate) fn find(&self, ask: &Ask, weak: bool, fits: impl Fn(&Deal) -> bool) -> Found {
        let own = &self.wallets[ask.card].deals;
        let one_of = |fits: &dyn Fn(&Deal) -> bool| {
            let mut hits = own.iter().copied().filter(|id| fits(&self.deals[*id]));
            match (hits.next(), hits.next()) {
                (Some(id), None) => Found::One(id),
                (Some(_), Some(_)) => Found::Several,
                (None, _) => Found::Nothing,
            }
        };
        let mut ambiguous = false;
        for name in ask.original.into_iter().chain([ask.name]) {
            match one_of(&|deal| deal.name == name && fits(deal)) {
                Found::One(id) => return Found::One(id),
                Found::Several => ambiguous = true,
                Found::Nothing => {}
            }
        }
        if ambiguous {
            return Found::Several;
        }
        if !weak {
            return Found::Nothing;
        }
        let alike = |deal: &Deal| {
            deal.stands == Stands::Pending
                && deal.name.acquirer == ask.name.acquirer
                && (deal.currency, deal.authorized) == (ask.currency, ask.minor)
                && fits(deal)
        };
        match one_of(&alike) {
            Found::One(id) => Found::One(id),
            Found::Several | Found::Nothing => Found::Nothing,
        }
    }

    /// The passing of time: whether it makes a record.
    pub(crate) fn housekeep(&mut self, now: i64) -> bool {
        let at = self.at.max(now);
        let due = |deal: &Deal| {
            deal.stands == Stands::Pending && deal.expires_at.is_some_and(|expiry| expiry <= at)
        };
        let due: Vec<usize> = self
            .wallets
            .iter()
            .flat_map(|wallet| wallet.deals.iter().copied())
            .filter(|id| due(&self.deals[*id]))
            .collect();
        let answers_before = at - i64::from(ANSWERS_HOURS) * HOUR_MS;
        let entries_before = at - i64::from(ENTRIES_HOURS) * HOUR_MS;
        let is_old = |front: Option<i64>, before| front.is_some_and(|at| at < before);
        let anything = !due.is_empty()
            || is_old(self.requests.front().map(|it| it.0), answers_before)
            || is_old(self.advices.front().map(|it| it.0), entries_before)
            || is_old(self.resting.front().map(|it| it.0), entries_before)
            || is_old(self.stones_by_age.front().map(|it| it.0), answers_before);
        if !anything {
            return false;
        }
        self.recorded(now, 1);
        due.into_iter().for_each(|id| self.expire(id));
        forget(&mut self.requests, answers_before, |key| {
            self.answers.remove(&key);
        });
        forget(&mut self.advices, entries_before, |key| {
            self.answers.remove(&key);
        });
        forget(&mut self.stones_by_age, answers_before, |key| {
            self.stones.remove(&key);
        });
        let (deals, wallets) = (&self.deals, &mut self.wallets);
        while let Some((at, id)) = self.resting.front().copied()
            && at < entries_before
        {
            self.resting.pop_front();
            if deals[id].rested_at == at {
                wallets[deals[id].card].deals.retain(|own| *own != id);
            }
        }
        true
    }

    fn expire(&mut self, id: usize) {
        let held = self.deals[id].held.clone();
        self.let_go(id, &held);
        let deal = &self.deals[id];
        let is_untouched = deal.posted.is_empty();
        if let Some(channel) = deal.channel {
            let unneeded = held.total().min(deal.counted);
            self.count(id, channel, -unneeded, -i32::from(is_untouched));
        }
        let stands = match is_untouched {
            true => Stands::Released,
            false => Stands::Captured,
        };
        self.rest(id, stands);
    }
}

fn forget<T: Copy>(rows: &mut VecDeque<(i64, T)>, before: i64, mut gone: impl FnMut(T)) {
    while let Some((at, row)) = rows.front().copied()
        && at < before
    {
        rows.pop_front();
        gone(row);
    }
}
