//! Who holds which account, and which cards come to their end when.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::domain::account::AccountId;
use crate::domain::card::{CardId, ExpiryMonth};
use crate::domain::holder::{Holder, HolderId};
use crate::domain::time::{BusinessDate, UnixMs};

use super::queue::Queue;
use super::state::State;

const DAY_MS: i64 = 86_400_000;

/// Holders in order of registration, their accounts, and cards by their last month.
#[derive(Default, Serialize)]
pub struct HolderBook {
    holders: Queue<Holder>,
    /// By number of the account less one: place of its holder plus one, or 0 without a holder.
    of_accounts: Queue<u32>,
    /// Cards that nobody has looked at since their last month was over, or that are valid still.
    due: BTreeMap<ExpiryMonth, Queue<CardId>>,
    /// Cards whose last month is over and that did not go on.
    lapsed: BTreeSet<CardId>,
}

impl HolderBook {
    /// The holder with this number.
    pub fn get(&self, id: HolderId) -> Option<&Holder> {
        self.holders.get(self.place_of(id)?)
    }

    /// The holder of an account.
    pub fn of_account(&self, account: AccountId) -> Option<&Holder> {
        let place = usize::try_from(account.0.checked_sub(1)?).ok()?;
        let holder = self.of_accounts.get(place)?.checked_sub(1)?;
        self.holders.get(usize::try_from(holder).ok()?)
    }

    pub(super) fn get_mut(&mut self, id: HolderId) -> Option<&mut Holder> {
        let place = self.place_of(id)?;
        self.holders.get_mut(place)
    }

    /// Adds a holder, whose number is above all others.
    pub(super) fn push(&mut self, holder: Holder) {
        self.holders.push_back(holder);
    }

    /// Gives a holder an account; `None` when there is no such holder.
    pub(super) fn link(&mut self, id: HolderId, account: AccountId) -> Option<()> {
        let place = usize::try_from(account.0.checked_sub(1)?).ok()?;
        let holder = self.place_of(id)?;
        while self.of_accounts.len() <= place {
            self.of_accounts.push_back(0);
        }
        let number = u32::try_from(holder).ok()?.checked_add(1)?;
        *self.of_accounts.get_mut(place)? = number;
        self.holders.get_mut(holder)?.account = Some(account);
        Some(())
    }

    /// Holders stand in order of their numbers.
    fn place_of(&self, id: HolderId) -> Option<usize> {
        let (mut low, mut high) = (0, self.holders.len());
        while low < high {
            let middle = low.checked_add(high)?.checked_div(2)?;
            let holder = self.holders.get(middle)?;
            if holder.id == id {
                return Some(middle);
            }
            if holder.id < id {
                low = middle.checked_add(1)?;
            } else {
                high = middle;
            }
        }
        None
    }

    /// Remembers the end of a new card. One that was over when it was issued never goes on.
    pub(super) fn note_issued(&mut self, card: CardId, expiry: Option<ExpiryMonth>, at: UnixMs) {
        let day = i32::try_from(at.0.div_euclid(DAY_MS)).unwrap_or_default();
        if let Some(expiry) = expiry.filter(|expiry| !expiry.is_over_on(BusinessDate(day))) {
            self.note_end(card, expiry);
        }
    }

    /// Remembers the end of a card.
    pub(super) fn note_end(&mut self, card: CardId, expiry: ExpiryMonth) {
        self.due.entry(expiry).or_default().push_back(card);
    }

    /// Remembers that a card did not go on.
    pub(super) fn note_lapsed(&mut self, card: CardId) {
        self.lapsed.insert(card);
    }

    /// Forgets the end of a card.
    pub(super) fn forget_card(&mut self, card: CardId, expiry: Option<ExpiryMonth>) {
        self.lapsed.remove(&card);
        let Some(expiry) = expiry else { return };
        if let Some(cards) = self.due.get_mut(&expiry) {
            cards.retain(|known| *known != card);
            if cards.is_empty() {
                self.due.remove(&expiry);
            }
        }
    }

    /// Has the end of a card looked at again, which did not go on the first time.
    pub(super) fn note_again(&mut self, card: CardId, expiry: Option<ExpiryMonth>) {
        if let (true, Some(expiry)) = (self.lapsed.remove(&card), expiry) {
            self.note_end(card, expiry);
        }
    }

    /// Cards by their last month, the earliest first.
    pub(super) fn by_end(&self) -> impl Iterator<Item = CardId> + '_ {
        self.due.values().flat_map(Queue::iter).copied()
    }

    /// All holders in order of registration.
    pub(super) fn all(&self) -> impl Iterator<Item = &Holder> {
        self.holders.iter()
    }

    /// Accounts that have a holder, ascending, with the holder's place from 1 on.
    pub(super) fn places(&self) -> impl Iterator<Item = (AccountId, u32)> + '_ {
        let numbers = 1_u32..;
        let places = numbers.zip(self.of_accounts.iter().copied());
        places
            .filter(|row| row.1 > 0)
            .map(|(number, place)| (AccountId(number), place))
    }

    /// Gives an account its holder as it was in a checkpoint; `None` when there is none there.
    pub(super) fn restore_place(&mut self, account: AccountId, place: u32) -> Option<()> {
        let position = usize::try_from(account.0.checked_sub(1)?).ok()?;
        self.holders
            .get(usize::try_from(place.checked_sub(1)?).ok()?)?;
        while self.of_accounts.len() <= position {
            self.of_accounts.push_back(0);
        }
        *self.of_accounts.get_mut(position)? = place;
        Some(())
    }

    /// Cards with their last month, as [`HolderBook::by_end`].
    pub(super) fn due(&self) -> impl Iterator<Item = (ExpiryMonth, CardId)> + '_ {
        let months = self.due.iter();
        months.flat_map(|(expiry, cards)| cards.iter().map(|card| (*expiry, *card)))
    }

    /// Cards that did not go on, ascending.
    pub(super) fn lapsed(&self) -> impl Iterator<Item = CardId> + '_ {
        self.lapsed.iter().copied()
    }

    /// Takes the card out whose end was looked at; `None` when it is not the next one.
    pub(super) fn take_due(&mut self, card: CardId) -> Option<()> {
        let mut first = self.due.first_entry()?;
        let taken = first.get_mut().pop_front()?;
        if first.get().is_empty() {
            first.remove();
        }
        (taken == card).then_some(())
    }
}

impl State {
    /// Who holds which account.
    pub fn holders(&self) -> &HolderBook {
        &self.holders
    }
}
