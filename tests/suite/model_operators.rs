//! What operators and time do to the oracle's books: rates, transfers, charges, cards, closing,
//! holds that end.

use cardswitch::domain::account::Kyc;
use cardswitch::domain::card::CardStatus;
use cardswitch::domain::facts::MessageKind;
use cardswitch::domain::money::Currency;
use cardswitch::domain::time::{BusinessDate, UnixMs};

use crate::model_books::{HeldCard, Met, Oracle, Place, Product, Stands, is_debit, total};
use crate::model_rates::percent;

const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;
const CLOSING_FEE: i64 = 550;
/// Hundredths of a percent that a charge costs.
const CHARGE_FEE: i64 = 100;

/// A movement under a reference: who, to what, how much; and when.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Moved {
    pub(crate) from: usize,
    /// Another holder, two currencies of the same, or something on paper.
    pub(crate) to: Target,
    pub(crate) minor: i64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Target {
    Holder(usize),
    Currencies(Currency, Currency),
    /// Whether it is a statement; else it is a notice of the PIN.
    Paper(bool),
}

/// A movement that was carried out.
pub(crate) struct MovedBefore {
    pub(crate) what: Moved,
    date: BusinessDate,
}

/// What comes of an order: carried out, done before, or refused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Came {
    Done,
    Before,
    Refused,
}

impl Oracle {
    /// Lets time pass; how many holds ended, and whether more should have.
    pub(crate) fn housekeep(
        &mut self,
        at: UnixMs,
        releases_max: usize,
        answers_hours: i64,
        entries_hours: i64,
    ) -> (usize, bool) {
        self.at = at.0;
        let mut due: Vec<usize> = (0..self.deals.len())
            .filter(|id| {
                let deal = &self.deals[*id];
                let ends_at = deal.opened_at + deal.life_days * DAY_MS;
                deal.stands == Stands::Pending && deal.life_days > 0 && ends_at <= self.at
            })
            .collect();
        due.sort_by_key(|id| (self.deals[*id].life_days, *id));
        let more = due.len() > releases_max;
        due.truncate(releases_max);
        for id in &due {
            self.let_go(*id);
        }
        let now = self.at;
        let is_young = |since: i64, hours: i64| since >= now - hours * HOUR_MS;
        for deal in &mut self.deals {
            let rests = deal.stands != Stands::Pending;
            deal.forgotten |= rests && !is_young(deal.rested_at, entries_hours);
        }
        // A repeat of an advice or reversal must find its answer as long as what it moved.
        self.answers.retain(|one| {
            let asked = matches!(
                one.facts.kind,
                MessageKind::Authorization | MessageKind::Financial
            );
            is_young(one.at, if asked { answers_hours } else { entries_hours })
        });
        self.reversed_before
            .retain(|one| is_young(one.0, answers_hours));
        (due.len(), more)
    }

    /// Ends a hold; what was not needed does not count, and what came to nothing costs nothing.
    fn let_go(&mut self, id: usize) {
        let deal = &mut self.deals[id];
        if is_debit(deal.purpose) {
            deal.counted -= total(&deal.held).min(deal.counted);
            deal.counts_as_one &= !deal.posted.is_empty();
        }
        let whole = deal.held.clone();
        let is_untouched = deal.posted.is_empty();
        self.lower(id, &whole, None);
        if is_untouched {
            self.give_back_fee(id);
        }
        let stands = match is_untouched {
            true => Stands::Released,
            false => Stands::Captured,
        };
        self.rest(id, stands);
    }

    /// The fee of a transaction that did not happen.
    pub(crate) fn give_back_fee(&mut self, id: usize) {
        let holder = self.deals[id].holder;
        self.meet(Met::FeeGivenBack, !self.deals[id].fee.is_empty());
        for (purse, minor) in std::mem::take(&mut self.deals[id].fee) {
            self.holders[holder].purses[purse].1 += minor;
        }
    }

    /// An operator ends a hold before its time; whether there was one.
    pub(crate) fn release(&mut self, at: UnixMs, id: usize) -> Came {
        self.at = at.0;
        if self.deals[id].stands != Stands::Pending || self.deals[id].forgotten {
            return Came::Refused;
        }
        self.let_go(id);
        Came::Done
    }

    /// An operator gives a card another status. A card of a till begins there,
    /// one that is shipped with its holder.
    pub(crate) fn change_status(&mut self, card: usize, status: CardStatus) -> Came {
        let product = self.holders[self.cards[card].holder].product;
        let now = self.cards[card].status;
        let begins = now == CardStatus::NotActivated
            && matches!(status, CardStatus::Active | CardStatus::Frozen)
            && product != Product::Prepaid;
        if now == status || now == CardStatus::Closed || begins {
            return Came::Refused;
        }
        self.set_status(card, status);
        Came::Done
    }

    /// A card in place of another: the account goes on with it, and the PIN where it is the
    /// account's.
    pub(crate) fn replace(
        &mut self,
        at: UnixMs,
        card: usize,
        status: CardStatus,
        with: HeldCard,
    ) -> Came {
        self.at = at.0;
        let holder = &self.holders[self.cards[card].holder];
        let is_over = self.cards[card]
            .expiry
            .is_some_and(|expiry| expiry.is_over_on(self.today()));
        let has_ended =
            is_over && holder.product == Product::Prepaid && holder.kyc != Kyc::Verified;
        let is_gone = matches!(
            status,
            CardStatus::Lost | CardStatus::Stolen | CardStatus::Frozen
        );
        let is_taken = self.is_taken(with.token);
        let old = &self.cards[card];
        let pin = old.pin.filter(|of_account| *of_account);
        let wrong_tries = if pin.is_some() { old.wrong_tries } else { 0 };
        if self.cards[card].status == CardStatus::Closed || has_ended || !is_gone || is_taken {
            return Came::Refused;
        }
        self.set_status(card, status);
        let limits = self.own_limits(card).to_vec();
        self.desk.limits.push((self.cards.len(), limits));
        let controls = self.own_controls(card).to_vec();
        self.desk.controls.push((self.cards.len(), controls));
        self.issue(HeldCard {
            pin,
            wrong_tries,
            ..with
        });
        self.meet(Met::Replaced, true);
        Came::Done
    }

    pub(crate) fn is_open(&self, holder: usize) -> bool {
        let mut cards = self.cards.iter().filter(|card| card.holder == holder);
        cards.any(|card| card.status != CardStatus::Closed)
    }

    /// A9: a verified holder gets what is left, less a fee in the first purse's currency; and what
    /// comes in later without one.
    pub(crate) fn close(&mut self, at: UnixMs, holder: usize) -> Came {
        let purses = 0..self.holders[holder].purses.len();
        let is_in_use = purses
            .clone()
            .any(|purse| self.held(holder, purse) != 0 || self.holders[holder].purses[purse].1 < 0);
        let (is_open, purses) = (self.is_open(holder), &self.holders[holder].purses);
        let is_over = !is_open && purses.iter().all(|(_, balance)| *balance == 0);
        if is_in_use || is_over {
            return Came::Refused;
        }
        let who = &mut self.holders[holder];
        let is_refunded = who.kyc == Kyc::Verified;
        let mut fee = match who.product {
            Product::Prepaid if is_refunded && is_open => CLOSING_FEE,
            _ => 0,
        };
        for (currency, balance) in &mut who.purses {
            let part = fee.min(*balance);
            fee -= part;
            let met = match is_refunded {
                true if part > 0 => Some(Met::ClosedWithFee),
                false if *balance > 0 => Some(Met::ClosedForfeited),
                _ => None,
            };
            self.met.extend(met);
            let rest = match is_refunded {
                true => Place::Payouts,
                false => Place::Forfeited,
            };
            self.beside.push((Place::Fees, *currency, part));
            self.beside.push((rest, *currency, *balance - part));
            *balance = 0;
        }
        for card in 0..self.cards.len() {
            if self.cards[card].holder == holder {
                self.set_status(card, CardStatus::Closed);
            }
        }
        self.desk.endings.entry(holder).or_insert((at.0, false));
        Came::Done
    }

    /// A30: money to another holder; C3: money of one purse into another. Once for a reference.
    pub(crate) fn move_money(&mut self, at: UnixMs, reference: &str, what: Moved) -> Came {
        self.at = at.0;
        let known = self.movements.iter().find(|row| row.0 == reference);
        if let Some((_, before)) = known {
            return if before.what == what {
                Came::Before
            } else {
                Came::Refused
            };
        }
        let fits = match what.to {
            Target::Holder(to) => self.transfer(what.from, to, what.minor),
            Target::Currencies(source, target) => {
                self.charge(what.from, source, target, what.minor)
            }
            Target::Paper(_) => self.paper(what.from),
        };
        if !fits {
            return Came::Refused;
        }
        self.meet(Met::Charge, matches!(what.to, Target::Currencies(..)));
        self.meet(Met::Transfer, matches!(what.to, Target::Holder(_)));
        let date = self.today();
        self.movements
            .push((reference.to_owned(), MovedBefore { what, date }));
        Came::Done
    }

    fn transfer(&mut self, from: usize, to: usize, minor: i64) -> bool {
        let [giver, taker] = [&self.holders[from], &self.holders[to]];
        let is_prepaid =
            |product| product == Product::Prepaid && self.is_open(from) && self.is_open(to);
        let today = self.today();
        let sent = |fits: &dyn Fn(BusinessDate) -> bool| {
            let mine = self.movements.iter().filter(|row| {
                let of_transfer = matches!(row.1.what.to, Target::Holder(_));
                of_transfer && row.1.what.from == from && fits(row.1.date)
            });
            mine.fold((0, 0), |(sum, count), row| {
                (sum + row.1.what.minor, count + 1)
            })
        };
        let day = sent(&|date| date == today);
        let month = sent(&|date| date.month_index() == today.month_index());
        let is_limited = minor > 100_000
            || day.0 + minor > 200_000
            || day.1 >= 20
            || month.0 + minor > 400_000
            || month.1 >= 100;
        let most = match taker.kyc {
            Kyc::Verified => 3_000_000,
            _ => 100_000,
        };
        let after: i64 = minor + taker.purses.iter().map(|purse| purse.1).sum::<i64>();
        let may = is_prepaid(giver.product)
            && taker.product == Product::Prepaid
            && giver.kyc == Kyc::Verified
            && from != to
            && minor > 0
            && minor <= self.available(from, 0)
            && after <= most;
        self.meet(Met::TransferLimit, may && is_limited);
        let fits = may && !is_limited;
        if fits {
            self.holders[from].purses[0].1 -= minor;
            self.holders[to].purses[0].1 += minor;
        }
        fits
    }

    fn charge(&mut self, holder: usize, source: Currency, target: Currency, minor: i64) -> bool {
        if self.holders[holder].product != Product::Travel || source == target || minor <= 0 {
            return false;
        }
        let purse = |currency| {
            let mut purses = self.holders[holder].purses.iter();
            purses.position(|purse| purse.0 == currency)
        };
        let (Some(from), Some(to)) = (purse(source), purse(target)) else {
            return false;
        };
        let Some(rate) = self.rate(source, target) else {
            return false;
        };
        if !self.is_open(holder) || minor > self.available(holder, from) {
            return false;
        }
        let fee = percent(CHARGE_FEE, minor);
        let credited = rate.convert(minor - fee, source, target);
        if credited <= 0 {
            return false;
        }
        self.beside.push((Place::ExchangeFees, source, fee));
        self.holders[holder].purses[from].1 -= minor;
        self.holders[holder].purses[to].1 += credited;
        true
    }
}
