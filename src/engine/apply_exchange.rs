//! Applying what purses hold and give in other currencies than an entry's, or with a mark-up.
//!
//! The entry itself counts in its own currency what that is worth, so that captures, reversals and
//! limits need not know; what the purses hold and gave for it stands beside it.

use crate::domain::account::Split;
use crate::domain::exchange::{Exchange, Leg, Legs, add_leg, take_leg};

use super::apply::Fit;
use super::entry::EntryId;
use super::event::Exchanged;
use super::state::State;

impl State {
    pub(super) fn hold_exchanged(&mut self, change: &Exchanged) -> Fit {
        let id = change.entry;
        let entry = self
            .entries
            .get_mut(id)
            .ok_or("an exchange of an unknown entry")?;
        for leg in &change.legs {
            entry.held.add(leg.purse, leg.worth);
        }
        let exchange = self.exchange_of(change);
        for leg in &change.legs {
            add_leg(&mut exchange.held, *leg);
        }
        exchange.held_minor = exchange.held_minor.saturating_add(change.asked.minor);
        exchange.held_rate = change.rate;
        for leg in &change.legs {
            self.change_held(id, leg, leg.cost())?;
        }
        Ok(())
    }

    pub(super) fn lower_exchanged(&mut self, id: EntryId, minor: i64, legs: &Legs) -> Fit {
        let entry = self
            .entries
            .get_mut(id)
            .ok_or("an exchange of an unknown entry")?;
        entry.held.take_exactly(&worth_of(legs))?;
        let exchange = self
            .exchanges
            .get_mut(&id)
            .ok_or("an exchange that is not there")?;
        for leg in legs {
            take_leg(&mut exchange.held, *leg).ok_or("a leg that is not held")?;
        }
        exchange.held_minor = exchange.held_minor.saturating_sub(minor).max(0);
        for leg in legs {
            self.change_held(id, leg, leg.cost().saturating_neg())?;
        }
        Ok(())
    }

    pub(super) fn post_exchanged(&mut self, change: &Exchanged) -> Fit {
        for (currency, postings) in &change.movements {
            self.post(*currency, postings)?;
        }
        let entry = self
            .entries
            .get_mut(change.entry)
            .ok_or("an exchange of an unknown entry")?;
        // A purchase debits and a refund credits; the other way round it is undone.
        let is_forward = entry.is_debit() != change.credits;
        let worth = worth_of(&change.legs);
        if is_forward {
            for (purse, minor) in worth.parts() {
                entry.posted.add(purse, minor);
            }
        } else {
            entry.posted.take_exactly(&worth)?;
        }
        let sign = if is_forward { 1 } else { -1 };
        let purchase = entry.refund_of();
        if let Some(purchase) = purchase.and_then(|id| self.entries.get_mut(id)) {
            let change = worth.total().saturating_mul(sign);
            purchase.note_refunded(change);
        }
        let exchange = self.exchange_of(change);
        for leg in &change.legs {
            if is_forward {
                add_leg(&mut exchange.posted, *leg);
            } else {
                take_leg(&mut exchange.posted, *leg).ok_or("a leg that was not posted")?;
            }
        }
        let asked = change.asked.minor.saturating_mul(sign);
        exchange.posted_minor = exchange.posted_minor.saturating_add(asked).max(0);
        if is_forward {
            exchange.posted_rate = change.rate;
        }
        Ok(())
    }

    fn exchange_of(&mut self, change: &Exchanged) -> &mut Exchange {
        self.exchanges
            .entry(change.entry)
            .or_insert_with(|| Exchange {
                asked: change.asked,
                held_minor: 0,
                posted_minor: 0,
                held_rate: None,
                posted_rate: None,
                held: Legs::new(),
                posted: Legs::new(),
            })
    }

    fn change_held(&mut self, id: EntryId, leg: &Leg, minor: i64) -> Fit {
        let account = self
            .entries
            .get(id)
            .ok_or("an exchange of an unknown entry")?
            .account;
        let record = self
            .account_mut(account)
            .ok_or("a purse of an unknown account")?;
        let purses = &mut record.account.purses;
        let purse = purses
            .get_mut(leg.purse.position())
            .ok_or("a purse that is not there")?;
        purse.held = purse
            .held
            .checked_add(minor)
            .filter(|held| *held >= 0)
            .ok_or("a purse would hold less than nothing")?;
        Ok(())
    }
}

fn worth_of(legs: &Legs) -> Split {
    let mut worth = Split::default();
    for leg in legs {
        worth.add(leg.purse, leg.worth);
    }
    worth
}
