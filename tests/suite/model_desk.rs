//! What operators and holders do to the oracle's cards and people: devices, PINs, enrolment,
//! verification, the end of cards, registration, paper, clearing files.

use std::collections::BTreeMap;

use cardswitch::domain::account::Kyc;
use cardswitch::domain::card::{CardStatus, ExpiryMonth};
use cardswitch::domain::card_control::CardControl;
use cardswitch::domain::card_limit::CardLimit;
use cardswitch::domain::conditions::PinVerdict;
use cardswitch::domain::facts::{Facts, IssuerRoute};
use cardswitch::domain::money::{Amount, Currency};
use cardswitch::domain::pan::CardToken;
use cardswitch::domain::time::{BusinessDate, UnixMs};

use crate::model::RETENTION_DAYS;
use crate::model_books::{Deal, Hand, HeldCard, Holder, Met, Oracle, Place, Product, Stands};
use crate::model_operators::Came;

/// Wrong PINs that lock one, in every product.
pub(crate) const PIN_TRIES: u8 = 3;
/// What goes on at its end goes on for so long.
const LIFE_MONTHS: u16 = 60;
const PAPER_FEE: i64 = 220;

/// A number that a device pays with.
pub(crate) struct Device {
    pub(crate) token: CardToken,
    pub(crate) card: usize,
    pub(crate) is_alive: bool,
}

/// Somebody who is known by name, with the account that is current.
pub(crate) struct Person {
    pub(crate) id: u64,
    pub(crate) kyc: Kyc,
    pub(crate) account: Option<usize>,
}

/// Cards, devices and people, beside the money.
#[derive(Default)]
pub(crate) struct Desk {
    pub(crate) devices: Vec<Device>,
    pub(crate) people: Vec<Person>,
    /// By account: whose it is or was.
    pub(crate) owners: Vec<Option<usize>>,
    /// Cards whose end nobody has looked at, in the order in which that was noted.
    pub(crate) due: Vec<(ExpiryMonth, usize)>,
    /// Cards that ended.
    pub(crate) lapsed: Vec<usize>,
    /// When accounts were closed, and whether their card data are gone.
    pub(crate) endings: BTreeMap<usize, (i64, bool)>,
    /// Clearing batches that were posted whole, with their lines.
    pub(crate) closed: Vec<(String, u32)>,
    /// Names of links, by number from 1 on.
    pub(crate) links: Vec<String>,
    /// Limits that cards were given of their own, the newest last.
    pub(crate) limits: Vec<(usize, Vec<CardLimit>)>,
    /// Controls that cards were given of their own, the newest last.
    pub(crate) controls: Vec<(usize, Vec<CardControl>)>,
    /// Which programmes were last put in force.
    pub(crate) rules: Option<usize>,
}

/// Somebody, or whoever has an account.
#[derive(Clone, Copy)]
pub(crate) enum Named {
    Person(usize),
    Account(usize),
}

impl Oracle {
    /// The card that a number stands for, be it that of a device.
    pub(crate) fn card_of(&self, facts: &Facts) -> Option<usize> {
        let is_own = |card: &HeldCard| card.token == facts.card && !card.is_erased;
        let own = self.cards.iter().position(is_own);
        own.or_else(|| self.device_of(facts).map(|device| device.card))
    }

    fn device_of(&self, facts: &Facts) -> Option<&Device> {
        let mut devices = self.desk.devices.iter();
        devices.find(|device| device.token == facts.card)
    }

    /// A5: whether the message comes from a device whose number died with its card.
    pub(crate) fn is_from_dead_device(&self, facts: &Facts) -> bool {
        self.device_of(facts).is_some_and(|device| !device.is_alive)
    }

    pub(crate) fn is_from_device(&self, facts: &Facts) -> bool {
        self.device_of(facts).is_some()
    }

    /// A5: a card gets a status; what cannot be found any more takes its devices along.
    pub(crate) fn set_status(&mut self, card: usize, status: CardStatus) {
        self.cards[card].status = status;
        let (lost, stolen) = (CardStatus::Lost, CardStatus::Stolen);
        if [lost, stolen, CardStatus::Closed].contains(&status) {
            let devices = self.desk.devices.iter_mut();
            devices
                .filter(|device| device.card == card)
                .for_each(|device| device.is_alive = false);
        }
    }

    pub(crate) fn add_device(&mut self, card: usize, token: CardToken) -> Came {
        if self.cards[card].status != CardStatus::Active {
            return Came::Refused;
        }
        let mut devices = self.desk.devices.iter_mut();
        if let Some(known) = devices.find(|device| device.token == token) {
            if known.card != card || known.is_alive {
                return Came::Refused;
            }
            known.is_alive = true;
            self.meet(Met::DeviceAgain, true);
            return Came::Done;
        }
        if self.is_taken(token) {
            return Came::Refused;
        }
        self.desk.devices.push(Device {
            token,
            card,
            is_alive: true,
        });
        Came::Done
    }

    /// Whether a card that can be found has this number.
    pub(crate) fn is_taken(&self, token: CardToken) -> bool {
        let mut cards = self.cards.iter().filter(|card| !card.is_erased);
        cards.any(|card| card.token == token)
    }

    /// What names the cards of an account that was closed long enough ago goes, when nothing is
    /// open about it any more.
    pub(crate) fn erase(&mut self, at: UnixMs, holder: usize, is_looked_at: bool) -> Came {
        let purses = 0..self.holders[holder].purses.len();
        let is_empty = purses
            .clone()
            .all(|purse| self.purses(holder)[purse] == (0, 0));
        let is_of_holder = |(_, deal): (usize, &Deal)| {
            (deal.holder == holder && deal.stands == Stands::Pending).then_some(())
        };
        let is_pending = self.live().find_map(is_of_holder).is_some();
        let kept_ms = i64::from(RETENTION_DAYS) * 86_400_000;
        match self.desk.endings.get_mut(&holder) {
            Some((closed_at, is_erased))
                if !*is_erased
                    && at.0 >= *closed_at + kept_ms
                    && is_empty
                    && !is_pending
                    && is_looked_at =>
            {
                *is_erased = true;
            }
            _ => return Came::Refused,
        }
        let cards = self.cards.iter().enumerate();
        let cards: Vec<usize> = cards
            .filter(|(_, card)| card.holder == holder)
            .map(|(number, _)| number)
            .collect();
        let mut tokens: Vec<CardToken> = cards.iter().map(|it| self.cards[*it].token).collect();
        let devices = self.desk.devices.iter();
        let devices = devices.filter(|device| cards.contains(&device.card));
        tokens.extend(devices.map(|device| device.token));
        self.desk
            .devices
            .retain(|device| !cards.contains(&device.card));
        self.desk.due.retain(|row| !cards.contains(&row.1));
        self.desk.lapsed.retain(|card| !cards.contains(card));
        self.reversed_before.retain(|row| !tokens.contains(&row.1));
        self.answers.retain(|one| match one.card {
            Some(card) => !cards.contains(&card),
            None => !tokens.contains(&one.facts.card),
        });
        for deal in &mut self.deals {
            deal.forgotten |= deal.holder == holder;
        }
        for card in cards {
            let card = &mut self.cards[card];
            (card.is_erased, card.expiry, card.pin, card.wrong_tries) = (true, None, None, 0);
        }
        Came::Done
    }

    /// A card is issued; its end will come, unless it was over when it was issued.
    pub(crate) fn issue(&mut self, card: HeldCard) {
        let number = self.cards.len();
        let day = BusinessDate(i32::try_from(self.at.div_euclid(86_400_000)).unwrap());
        let end = card.expiry.filter(|expiry| !expiry.is_over_on(day));
        self.desk.due.extend(end.map(|expiry| (expiry, number)));
        self.cards.push(card);
    }

    /// A2, A3: cards whose last month is over, the earliest first; whether there were any.
    pub(crate) fn renew(&mut self, at: UnixMs, cards_max: usize) -> Came {
        self.at = at.0;
        let today = self.today();
        let mut due = self.desk.due.clone();
        due.sort_by_key(|row| row.0);
        let over = due.into_iter().take(cards_max);
        let over = over.take_while(|(expiry, _)| expiry.is_over_on(today));
        let over: Vec<(ExpiryMonth, usize)> = over.collect();
        for (expiry, card) in &over {
            self.desk.due.retain(|row| row.1 != *card);
            let holder = &self.holders[self.cards[*card].holder];
            let goes_on = holder.product == Product::Prepaid
                && holder.kyc == Kyc::Verified
                && matches!(
                    self.cards[*card].status,
                    CardStatus::Active | CardStatus::Frozen | CardStatus::NotActivated
                );
            if !goes_on {
                self.desk.lapsed.push(*card);
                self.meet(Met::CardLapsed, true);
                continue;
            }
            let next = expiry.plus_months(LIFE_MONTHS);
            assert!(!next.is_over_on(today), "no round is that long");
            self.cards[*card].expiry = Some(next);
            self.desk.due.push((next, *card));
            self.meet(Met::CardWentOn, true);
        }
        match over.is_empty() {
            true => Came::Before,
            false => Came::Done,
        }
    }

    /// A12, A16, A17: somebody is verified, or is not any more. Who has another account by now is
    /// not named by the old one.
    pub(crate) fn change_kyc(&mut self, whose: Named, kyc: Kyc) -> Came {
        let (person, account) = match whose {
            Named::Person(person) => (Some(person), self.desk.people[person].account),
            Named::Account(account) => (self.desk.owners[account], Some(account)),
        };
        let has_another = person.is_some_and(|person| self.desk.people[person].account != account);
        let known = match (person, account) {
            (Some(person), _) => self.desk.people[person].kyc,
            (None, Some(account)) => self.holders[account].kyc,
            (None, None) => return Came::Refused,
        };
        if has_another || known == kyc || [known, kyc].contains(&Kyc::Bearer) {
            return Came::Refused;
        }
        if let Some(person) = person {
            self.desk.people[person].kyc = kyc;
        }
        if let Some(account) = account {
            self.holders[account].kyc = kyc;
            for card in 0..self.cards.len() {
                let is_lapsed = self.desk.lapsed.contains(&card);
                if let (true, Some(expiry)) = (is_lapsed, self.cards[card].expiry)
                    && self.cards[card].holder == account
                {
                    self.desk.lapsed.retain(|lapsed| *lapsed != card);
                    self.desk.due.push((expiry, card));
                    self.meet(Met::LapsedAgainDue, true);
                }
            }
        }
        Came::Done
    }

    /// A1: an account for somebody who was registered, one at a time; `with` is its card.
    pub(crate) fn open_for(
        &mut self,
        at: UnixMs,
        person: usize,
        with: HeldCard,
        purses: &[i64],
    ) -> Came {
        self.at = at.0;
        let mut cards = self.cards.iter().filter(|card| !card.is_erased);
        if let Some(known) = cards.find(|card| card.token == with.token) {
            let is_same = self.holders[known.holder].product == Product::Prepaid;
            return match is_same && known.expiry == with.expiry {
                true => Came::Before,
                false => Came::Refused,
            };
        }
        let account = self.desk.people[person].account;
        if account.is_some_and(|account| self.is_open(account)) {
            return Came::Refused;
        }
        self.meet(Met::SecondAccount, account.is_some());
        let holder = self.holders.len();
        self.holders.push(Holder {
            product: Product::Prepaid,
            kyc: self.desk.people[person].kyc,
            purses: purses.iter().map(|it| (Currency::JPY, *it)).collect(),
        });
        self.desk.owners.push(Some(person));
        self.desk.people[person].account = Some(holder);
        self.issue(HeldCard { holder, ..with });
        Came::Done
    }

    /// A7: whether the PIN that a holder gave at a desk is right; a wrong one counts.
    fn judge(&mut self, card: usize, pin: PinVerdict) -> bool {
        let tries = &mut self.cards[card].wrong_tries;
        if *tries >= PIN_TRIES {
            return false;
        }
        *tries += u8::from(pin == PinVerdict::Wrong);
        pin == PinVerdict::Correct
    }

    /// C1: a shipped card becomes usable by its last digits and the initial PIN.
    pub(crate) fn enrol(&mut self, card: usize, are_last_digits: bool, pin: PinVerdict) -> Came {
        let product = self.holders[self.cards[card].holder].product;
        let is_shipped = self.cards[card].status == CardStatus::NotActivated;
        let may_be = product == Product::Travel && is_shipped && are_last_digits;
        if !may_be || !self.judge(card, pin) {
            return Came::Refused;
        }
        self.cards[card].status = CardStatus::Active;
        self.cards[card].wrong_tries = 0;
        Came::Done
    }

    /// The issuer sets a PIN; one of a card that was enrolled is its holder's (C1).
    pub(crate) fn set_pin(&mut self, card: usize, of_account: bool, is_forced: bool) -> Came {
        let known = &mut self.cards[card];
        if known.is_erased {
            return Came::Refused;
        }
        let is_holders = self.holders[known.holder].product == Product::Travel
            && known.status != CardStatus::NotActivated
            && known.pin.is_some();
        if is_holders && !is_forced {
            return Came::Refused;
        }
        known.pin = Some(of_account);
        known.wrong_tries = 0;
        Came::Done
    }

    /// C1: the holder changes the PIN with the current one.
    pub(crate) fn change_pin(&mut self, card: usize, of_account: bool, pin: PinVerdict) -> Came {
        let status = self.cards[card].status;
        let is_usable = matches!(status, CardStatus::Active | CardStatus::Frozen);
        if !is_usable || !self.judge(card, pin) {
            return Came::Refused;
        }
        self.set_pin(card, of_account, true)
    }

    /// A31: the fee of something on paper, from all purses; `false`: there is none, or too little.
    pub(crate) fn paper(&mut self, holder: usize) -> bool {
        let who = &self.holders[holder];
        if who.product != Product::Prepaid || !self.is_open(holder) {
            return false;
        }
        let fee = Amount::new(PAPER_FEE, Currency::JPY);
        self.hand = Hand {
            amount: fee,
            asked: fee,
            converted: false,
        };
        let Some(parts) = self.wallet(holder).fee(&[1, 0], PAPER_FEE) else {
            return false;
        };
        for (purse, minor) in parts {
            self.holders[holder].purses[purse].1 -= minor;
        }
        self.beside.push((Place::Fees, Currency::JPY, PAPER_FEE));
        true
    }

    /// A line of a clearing file: once, and not after its batch was closed.
    pub(crate) fn present(&mut self, at: UnixMs, batch: &str, facts: &Facts) -> Came {
        let known = self
            .answers
            .iter()
            .find(|one| one.facts.key() == facts.key());
        if let Some(known) = known {
            let first = &known.facts;
            let is_same = (first.card, first.amount, first.purpose)
                == (facts.card, facts.amount, facts.purpose);
            self.meet(Met::LineAgain, is_same);
            return match is_same {
                true => Came::Before,
                false => Came::Refused,
            };
        }
        if self.desk.closed.iter().any(|row| row.0 == batch) {
            self.meet(Met::LineOfClosed, true);
            return Came::Before;
        }
        if facts.route != IssuerRoute::Ours || self.card_of(facts).is_none() {
            return Came::Refused;
        }
        self.answer(at, facts, None);
        Came::Done
    }

    pub(crate) fn close_batch(&mut self, batch: &str, lines: u32) -> Came {
        let known = self.desk.closed.iter().find(|row| row.0 == batch);
        match known.map(|row| row.1 == lines) {
            Some(true) => return Came::Before,
            Some(false) => return Came::Refused,
            None => {}
        }
        self.desk.closed.push((batch.to_owned(), lines));
        Came::Done
    }
}
