//! Applies what operators did: accounts opened, cards and money moved beside the wire.

use smallvec::SmallVec;

use crate::domain::account::{Account, AccountId, ProgrammeName, Purse};
use crate::domain::card::{Card, CardId, CardPin, CardStatus};

use super::apply::Fit;
use super::clearing::ClosedBatch;
use super::entry_list::EntryList;
use super::event::{AccountOpened, CardIssued};
use super::ledger::{LedgerAccount, Posting};
use super::operation::Operation;
use super::operation_money::{Movement, Transfer};
use super::operation_rules::ProgrammeInForce;
use super::state::{AccountRecord, DeviceToken, State};

impl State {
    pub(super) fn apply_account_opened(&mut self, opened: &AccountOpened) -> Fit {
        let expected = AccountId(u32::try_from(self.accounts.len()).unwrap_or(u32::MAX));
        if opened.account.0.checked_sub(1) != Some(expected.0) {
            return Err(format!(
                "account {} opened after {}",
                opened.account.0, expected.0
            ));
        }
        let programme = self.programme_index(opened.programme)?;
        self.accounts.push(AccountRecord {
            account: Account {
                id: opened.account,
                programme,
                kyc: opened.kyc,
                has_limited_card: false,
                purses: opened
                    .purses
                    .iter()
                    .map(|currency| Purse::empty(*currency))
                    .collect(),
            },
            cards: SmallVec::from_iter([opened.card.card]),
            usage: SmallVec::new(),
            entries: EntryList::default(),
        });
        for (purse, minor) in &opened.opening {
            let currency = *opened
                .purses
                .get(purse.position())
                .ok_or("a purse that is not there")?;
            let postings = [
                Posting {
                    account: LedgerAccount::Purse(opened.account, *purse),
                    minor: *minor,
                },
                Posting {
                    account: LedgerAccount::Issuance(programme),
                    minor: minor.checked_neg().ok_or("an opening balance overflows")?,
                },
            ];
            self.post(currency, &postings)?;
        }
        self.issue(opened.account, &opened.card)
    }

    pub(super) fn programme_index(&mut self, name: ProgrammeName) -> Result<u8, String> {
        let known = self
            .programmes
            .iter()
            .position(|programme| *programme == name);
        let position = known.unwrap_or_else(|| {
            self.programmes.push(name);
            self.programmes.len().saturating_sub(1)
        });
        u8::try_from(position).map_err(|_| "more than 256 programmes".to_owned())
    }

    pub(super) fn apply_operated(&mut self, operation: &Operation) -> Fit {
        match operation {
            Operation::HoldReleased(entry) => self.release(*entry),
            Operation::CardStatusChanged(card, status) => self.set_status(*card, *status),
            Operation::CardReplaced { card, status, with } => {
                let account = self
                    .card(*card)
                    .ok_or("an unknown card is replaced")?
                    .account;
                self.set_status(*card, *status)?;
                self.issue(account, with)?;
                let record = self
                    .account_mut(account)
                    .ok_or("a card of an unknown account")?;
                record.cards.push(with.card);
                self.pass_on_pin(*card, with.card)?;
                self.pass_on_limits(*card, with.card)?;
                self.pass_on_controls(*card, with.card)
            }
            Operation::DeviceTokenAdded {
                card,
                token,
                masked,
            } => {
                let added = DeviceToken {
                    masked: *masked,
                    is_alive: true,
                };
                let account = self
                    .card(*card)
                    .ok_or("a device's number for an unknown card")?
                    .account;
                self.note_token(*token, (*card, account));
                self.device_tokens.insert((*card, *token), added);
                Ok(())
            }
            // As it was written before transfers were counted.
            Operation::Transferred {
                reference,
                from,
                to,
                currency,
                postings,
            } => {
                let gets = postings.iter().map(|posting| posting.minor).max();
                let transfer = Transfer {
                    from: *from,
                    to: *to,
                    minor: gets.unwrap_or(0),
                };
                self.note_reference(*reference, Movement::Transfer(transfer))?;
                self.post(*currency, postings)
            }
            // As it was written before closings had a date.
            Operation::AccountClosed { account, movements } => {
                self.close_account(*account, movements)
            }
            Operation::End(operation) => self.apply_end(operation),
            Operation::Money(operation) => self.apply_money(operation),
            Operation::ClearingClosed { batch, lines } => {
                let closed = ClosedBatch {
                    lines: *lines,
                    sequence: self.sequence,
                };
                if self.clearing_closed.insert(*batch, closed).is_some() {
                    return Err("a clearing batch is closed twice".to_owned());
                }
                Ok(())
            }
            Operation::ExceptionResolved { sequence, .. } => {
                self.exceptions.retain(|row| row.sequence != *sequence);
                Ok(())
            }
            Operation::Holder(operation) => self.apply_holder_operation(operation),
            Operation::Card(operation) => self.apply_card_operation(operation),
            Operation::RulesChanged(files) => {
                self.programmes_in_force = files.iter().map(ProgrammeInForce::of).collect();
                Ok(())
            }
        }
    }

    /// Gives a card another status; a card that is not to be found any more takes the numbers of
    /// its devices with it (rule A5).
    pub(super) fn set_status(&mut self, id: CardId, status: CardStatus) -> Fit {
        let position = id.0.checked_sub(1).and_then(|it| usize::try_from(it).ok());
        let card = position
            .and_then(|position| self.cards.get_mut(position))
            .ok_or("an unknown card changes")?;
        card.status = status;
        if matches!(
            status,
            CardStatus::Lost | CardStatus::Stolen | CardStatus::Closed
        ) {
            for (key, token) in &mut self.device_tokens {
                token.is_alive &= key.0 != id;
            }
        }
        Ok(())
    }

    /// Adds a card to an account; numbers of cards are dense.
    pub(super) fn issue(&mut self, account: AccountId, issued: &CardIssued) -> Fit {
        let cards = u32::try_from(self.cards.len()).unwrap_or(u32::MAX);
        if issued.card.0.checked_sub(1) != Some(cards) {
            return Err(format!("card {} issued after {cards}", issued.card.0));
        }
        let card = Card {
            id: issued.card,
            account,
            token: issued.token,
            masked: issued.masked,
            expiry: issued.expiry,
            status: issued.status,
            pin: CardPin::default(),
        };
        if self.card_by_token(&card.token).is_some() {
            return Err("a card is issued twice".to_owned());
        }
        self.holders.note_issued(card.id, card.expiry, self.at);
        self.note_token(card.token, (card.id, account));
        self.cards.push(card);
        Ok(())
    }
}
