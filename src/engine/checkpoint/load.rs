//! Reads a state back.

use crate::domain::account::{Account, AccountId};
use crate::domain::card::{Card, CardId};

use super::super::answers::Booked;
use super::super::entry::Entry;
use super::super::entry_list::EntryList;
use super::super::operation_rules::ProgrammeInForce;
use super::super::reconcile::DayTotals;
use super::super::state::{AccountRecord, DeviceToken, State, Tombstone, entry_keys};
use super::row::{AccountRow, AnswerRow, CardRow, DeviceTokenRow, LinkDayRow, LinkRow, Row};
use super::{CheckpointError, EntryRow, VERSION};

/// The rows of a chunk, decoded.
#[derive(Default)]
pub struct ChunkRows(Vec<Row<'static>>);

impl ChunkRows {
    /// Decodes a chunk, which so many rows come before, in place of what is here; returns how many
    /// it and those before it have.
    ///
    /// # Errors
    /// [`CheckpointError`] names the first row that does not decode.
    pub fn decode(&mut self, bytes: &[u8], before: u64) -> Result<u64, CheckpointError> {
        let mut rest = match bytes.split_first() {
            Some((&VERSION, rest)) => rest,
            other => {
                let got = other.map(|(version, _)| *version);
                return Err(CheckpointError::Version { got });
            }
        };
        self.0.clear();
        let mut number = before;
        while !rest.is_empty() {
            number = number.saturating_add(1);
            let (row, left) = postcard::take_from_bytes(rest)
                .map_err(|cause| CheckpointError::Malformed { number, cause })?;
            rest = left;
            self.0.push(row);
        }
        Ok(number)
    }
}

/// Makes a state from the chunks that [`State::save`] gave, in their order.
#[derive(Default)]
pub struct StateLoader {
    state: State,
    rows: u64,
    is_finished: bool,
}

type Fit = Result<(), &'static str>;

impl StateLoader {
    /// Before the first chunk.
    pub fn new() -> StateLoader {
        StateLoader::default()
    }

    /// Takes the rows of the next chunk, and leaves none.
    ///
    /// # Errors
    /// [`CheckpointError`] names the first that does not fit; nothing can be made of the rest then.
    pub fn take(&mut self, chunk: &mut ChunkRows) -> Result<(), CheckpointError> {
        for row in chunk.0.drain(..) {
            self.rows = self.rows.saturating_add(1);
            let number = self.rows;
            self.row(row)
                .map_err(|what| CheckpointError::Misfit { number, what })?;
        }
        Ok(())
    }

    /// The state, when all of it was there.
    ///
    /// # Errors
    /// [`CheckpointError::Unfinished`].
    pub fn finish(self) -> Result<State, CheckpointError> {
        let rows = self.rows;
        match self.is_finished {
            true => Ok(self.state),
            false => Err(CheckpointError::Unfinished { rows }),
        }
    }

    fn row(&mut self, row: Row<'_>) -> Fit {
        if self.is_finished {
            return Err("a row after the end");
        }
        let state = &mut self.state;
        match row {
            Row::Head(sequence, at, exceptions_total) if self.rows == 1 => {
                state.sequence = sequence;
                state.at = at;
                state.exceptions_total = exceptions_total;
            }
            Row::Head(..) => return Err("a second beginning"),
            _ if self.rows == 1 => return Err("a beginning that is none"),
            Row::End(rows) if rows == self.rows => self.is_finished = true,
            Row::End(_) => return Err("an end that counts other rows"),
            Row::Entry(row) => return state.restore_entry(row),
            Row::Answer(row) => return state.restore_answer(row, false),
            Row::AdviceAnswer(row) => return state.restore_answer(row, true),
            Row::Account(row) => return state.restore_account(row),
            Row::Card(row) => return state.restore_card(row),
            Row::DeviceToken(row) => return state.restore_device_token(row),
            Row::CardLimits(card, limits) => {
                let kept = state.keep_card_limits(card, &limits);
                return kept.ok_or("limits of an unknown card");
            }
            Row::CardControls(card, controls) => {
                let kept = state.keep_card_controls(card, &controls);
                return kept.ok_or("controls of an unknown card");
            }
            Row::Expiry(life_ms, at, id) => {
                let queue = state.expiries.entry(life_ms).or_default();
                queue.push_back((at, id));
            }
            Row::Resting(at, id) => state.resting.push_back((at, id)),
            Row::Link(row) => return state.restore_link(row),
            Row::LinkDay(row) => return state.restore_link_day(row),
            Row::Tombstone(at, card, trace, remaining) => {
                let key = (card, trace);
                state.tombstones.insert(key, Tombstone { remaining });
                state.tombstones_by_age.push_back((at, key));
            }
            Row::Holder(holder) => state.holders.push(holder),
            Row::AccountHolder(account, place) => {
                let restored = state.holders.restore_place(account, place);
                return restored.ok_or("an account of an unknown holder");
            }
            Row::CardDue(expiry, card) => state.holders.note_end(card, expiry),
            Row::CardLapsed(card) => state.holders.note_lapsed(card),
            other => state.restore_small(other),
        }
        Ok(())
    }
}

impl State {
    /// Rows of tables that nothing else refers to.
    fn restore_small(&mut self, row: Row<'_>) {
        match row {
            Row::Programme(name) => self.programmes.push(name),
            Row::ProgrammeFile(name, version, hash) => {
                let file = ProgrammeInForce {
                    name,
                    version,
                    hash,
                };
                self.programmes_in_force.push(file);
            }
            Row::Exchange(id, exchange) => {
                self.exchanges.insert(id, exchange.into_owned());
            }
            Row::Activation(card, entry) => {
                self.activations.insert(card, entry);
            }
            Row::Ending(account, ending) => {
                self.endings.insert(account, ending);
            }
            Row::Chip(card, sequence_number, used) => {
                self.chips.insert((card, sequence_number), used);
            }
            Row::Reference(at, name, record, movement) => {
                self.references_by_age.push_back((at, name));
                if let Some(record) = record {
                    self.references.insert(name, record);
                }
                if let Some(movement) = movement {
                    self.movements.insert(name, movement);
                }
            }
            Row::LedgerTotal(account, currency, minor) => {
                // The first of its account and currency, so it cannot overflow.
                let _ = self.ledger.add(account, currency, minor);
            }
            Row::Negative(account, purse, since) => {
                self.negatives.insert((account, purse), since);
            }
            Row::Guesses(link, acceptor, minutes) => {
                self.guesses.restore((link, acceptor), minutes);
            }
            Row::Rate(rate) => self.rates.restore(rate),
            Row::Transfer(account, transfer) => {
                let transfers = self.transfers.entry(account).or_default();
                transfers.push_back(transfer);
            }
            Row::ClearingClosed(batch, closed) => {
                self.clearing_closed.insert(batch, closed);
            }
            Row::Exception(exception) => self.exceptions.push_back(exception),
            Row::Head(..)
            | Row::End(_)
            | Row::Entry(_)
            | Row::Answer(_)
            | Row::AdviceAnswer(_)
            | Row::Account(_)
            | Row::Card(_)
            | Row::DeviceToken(_)
            | Row::CardLimits(..)
            | Row::CardControls(..)
            | Row::Expiry(..)
            | Row::Resting(..)
            | Row::Link(_)
            | Row::LinkDay(_)
            | Row::Tombstone(..)
            | Row::Holder(_)
            | Row::AccountHolder(..)
            | Row::CardDue(..)
            | Row::CardLapsed(_) => {}
        }
    }

    fn restore_link(&mut self, row: LinkRow) -> Fit {
        let LinkRow {
            name,
            current,
            asker,
        } = row;
        let number = self.next_link_number().ok_or("too many links")?;
        self.links.push(name);
        self.link_books.push(Default::default());
        let book = self.link_book_mut(number).ok_or("an unknown link")?;
        book.restore_cutover(current, asker);
        Ok(())
    }

    fn restore_link_day(&mut self, row: LinkDayRow) -> Fit {
        let book = self.link_book_mut(row.link);
        let book = book.ok_or("a day of an unknown link")?;
        book.restore_day(DayTotals {
            date: row.date,
            currency: row.currency,
            totals: row.totals,
            reconciled: row.reconciled,
        });
        Ok(())
    }

    fn restore_account(&mut self, row: AccountRow) -> Fit {
        let count = u32::try_from(self.accounts.len()).ok();
        let id = count.and_then(|count| count.checked_add(1));
        self.accounts.push(AccountRecord {
            account: Account {
                id: AccountId(id.ok_or("too many accounts")?),
                programme: row.programme,
                kyc: row.kyc,
                has_limited_card: false,
                purses: row.purses,
            },
            cards: row.cards,
            usage: row.usage,
            entries: EntryList::default(),
        });
        Ok(())
    }

    fn restore_card(&mut self, row: CardRow) -> Fit {
        let count = u32::try_from(self.cards.len()).ok();
        let id = count.and_then(|count| count.checked_add(1));
        let id = CardId(id.ok_or("too many cards")?);
        self.account(row.account)
            .ok_or("a card of an unknown account")?;
        self.cards.push(Card {
            id,
            account: row.account,
            token: row.token,
            masked: row.masked,
            expiry: row.expiry,
            status: row.status,
            pin: row.pin,
        });
        // Nothing finds a card whose data were erased.
        if !row.masked.is_erased() {
            self.note_token(row.token, (id, row.account));
        }
        Ok(())
    }

    fn restore_device_token(&mut self, row: DeviceTokenRow) -> Fit {
        let card = self
            .card(row.card)
            .ok_or("a device's number for an unknown card")?;
        let account = card.account;
        let device = DeviceToken {
            masked: row.masked,
            is_alive: row.is_alive,
        };
        self.device_tokens.insert((row.card, row.token), device);
        if row.finds_card {
            self.note_token(row.token, (row.card, account));
        }
        Ok(())
    }

    fn restore_entry(&mut self, row: EntryRow) -> Fit {
        let entry = Entry::restore(row);
        let id = entry.id;
        self.card(entry.card).ok_or("an entry of an unknown card")?;
        let position = usize::try_from(entry.account.0.saturating_sub(1)).ok();
        let record = position
            .and_then(|position| self.accounts.get_mut(position))
            .ok_or("an entry of an unknown account")?;
        record
            .entries
            .push(id, entry_keys(&entry), &self.match_hasher);
        self.entries.push(entry).ok_or("entries that do not ascend")
    }

    fn restore_answer(&mut self, row: AnswerRow<'_>, is_advice: bool) -> Fit {
        let booked = Booked {
            entries: &self.entries,
            cards: &self.cards,
        };
        let answers = match is_advice {
            true => &mut self.advice_answers,
            false => &mut self.answers,
        };
        let restored = answers.restore(row, booked);
        restored.ok_or("an answer of an unknown entry, or a second one")
    }
}
