//! Writes a state down.

use std::borrow::Cow;

use serde::Serialize;

use super::super::record_writer::RecordWriter;
use super::super::state::{AccountRecord, State};
use super::row::{AccountRow, CardRow, DeviceTokenRow, LinkDayRow, LinkRow, Row};
use super::{CHUNK_BYTES_MAX, VERSION};

/// Why writing stopped: a row that cannot be expressed, or what the receiver of chunks said.
#[derive(Debug, thiserror::Error)]
pub enum SaveError<E> {
    /// A row cannot be expressed, which none can but one that is too long.
    #[error("row {number} cannot be written down")]
    Row {
        /// Which one, from 1.
        number: u64,
    },
    /// The receiver of chunks failed.
    #[error(transparent)]
    Receiver(E),
}

impl State {
    /// Writes this state down, chunk after chunk, each at most [`CHUNK_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// [`SaveError`]; what was received then means nothing.
    pub fn save<E>(
        &self,
        receiver: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), SaveError<E>> {
        let mut chunks = Chunks {
            receiver,
            bytes: vec![VERSION],
            rows: 0,
        };
        let chunks = &mut chunks;
        chunks.row(&Row::Head(self.sequence, self.at, self.exceptions_total))?;
        self.save_tables(chunks)?;
        self.save_cards(chunks)?;
        self.save_holders(chunks)?;
        self.save_entries(chunks)?;
        self.save_answers(chunks)?;
        self.save_money(chunks)?;
        for exception in &self.exceptions {
            chunks.row(&Row::Exception(exception.clone()))?;
        }
        let rows = chunks.rows.saturating_add(1);
        chunks.row(&Row::End(rows))?;
        chunks.hand_over()
    }

    fn save_tables<E>(&self, chunks: &mut Chunks<'_, E>) -> Saved<E> {
        for name in &self.programmes {
            chunks.row(&Row::Programme(*name))?;
        }
        for (name, book) in self.links.iter().zip(&self.link_books) {
            let (current, asker) = book.cutover();
            let name = name.clone();
            chunks.row(&Row::Link(LinkRow {
                name,
                current,
                asker,
            }))?;
        }
        for name in &self.links {
            let Some((link, book)) = self
                .link_number(name)
                .and_then(|link| Some((link, self.link_book(link)?)))
            else {
                continue;
            };
            for day in book.days() {
                chunks.row(&Row::LinkDay(LinkDayRow {
                    link,
                    date: day.date,
                    currency: day.currency,
                    totals: day.totals,
                    reconciled: day.reconciled.clone(),
                }))?;
            }
        }
        for (name, version, hash) in self.programmes_in_force() {
            chunks.row(&Row::ProgrammeFile(*name, version, *hash))?;
        }
        for rate in self.rates.rows() {
            chunks.row(&Row::Rate(rate))?;
        }
        for (who, minutes) in self.guesses.rows() {
            chunks.row(&Row::Guesses(who.0, who.1, minutes.clone()))?;
        }
        Ok(())
    }

    fn save_cards<E>(&self, chunks: &mut Chunks<'_, E>) -> Saved<E> {
        for AccountRecord {
            account,
            cards,
            usage,
            entries: _,
        } in &self.accounts
        {
            chunks.row(&Row::Account(AccountRow {
                programme: account.programme,
                kyc: account.kyc,
                purses: account.purses.clone(),
                cards: cards.clone(),
                usage: match planted!(CheckpointForgetsLimits) {
                    true => Default::default(),
                    false => usage.clone(),
                },
            }))?;
        }
        for card in &self.cards {
            chunks.row(&Row::Card(CardRow {
                account: card.account,
                token: card.token,
                masked: card.masked,
                expiry: card.expiry,
                status: card.status,
                pin: card.pin,
            }))?;
        }
        for ((card, token), device) in &self.device_tokens {
            let found = self.card_by_token(token).map(|found| found.id);
            chunks.row(&Row::DeviceToken(DeviceTokenRow {
                card: *card,
                token: *token,
                masked: device.masked,
                is_alive: device.is_alive,
                finds_card: found == Some(*card),
            }))?;
        }
        for ((card, sequence_number), used) in &self.chips {
            chunks.row(&Row::Chip(*card, *sequence_number, *used))?;
        }
        for (card, limits) in &self.card_limits {
            chunks.row(&Row::CardLimits(*card, Cow::Borrowed(limits)))?;
        }
        for (card, controls) in &self.card_controls {
            chunks.row(&Row::CardControls(*card, Cow::Borrowed(controls)))?;
        }
        Ok(())
    }

    fn save_holders<E>(&self, chunks: &mut Chunks<'_, E>) -> Saved<E> {
        for holder in self.holders.all() {
            chunks.row(&Row::Holder(*holder))?;
        }
        for (account, place) in self.holders.places() {
            chunks.row(&Row::AccountHolder(account, place))?;
        }
        for (account, ending) in &self.endings {
            chunks.row(&Row::Ending(*account, *ending))?;
        }
        for (expiry, card) in self.holders.due() {
            chunks.row(&Row::CardDue(expiry, card))?;
        }
        for card in self.holders.lapsed() {
            chunks.row(&Row::CardLapsed(card))?;
        }
        Ok(())
    }

    fn save_entries<E>(&self, chunks: &mut Chunks<'_, E>) -> Saved<E> {
        for entry in self.entries.iter() {
            chunks.row(&Row::Entry(entry.row()))?;
        }
        for (id, exchange) in &self.exchanges {
            chunks.row(&Row::Exchange(*id, Box::new(Cow::Borrowed(exchange))))?;
        }
        for (card, entry) in &self.activations {
            chunks.row(&Row::Activation(*card, *entry))?;
        }
        for (life_ms, queue) in &self.expiries {
            for (at, entry) in queue.iter() {
                chunks.row(&Row::Expiry(*life_ms, *at, *entry))?;
            }
        }
        for (at, entry) in self.resting.iter() {
            chunks.row(&Row::Resting(*at, *entry))?;
        }
        Ok(())
    }

    fn save_answers<E>(&self, chunks: &mut Chunks<'_, E>) -> Saved<E> {
        let kept = |_: &_| !planted!(CheckpointForgetsAnswers);
        for answer in self.answers.kept().filter(kept) {
            chunks.row(&Row::Answer(answer))?;
        }
        for answer in self.advice_answers.kept() {
            chunks.row(&Row::AdviceAnswer(answer))?;
        }
        for (at, key) in self.tombstones_by_age.iter() {
            if let Some(stone) = self.tombstones.get(key) {
                chunks.row(&Row::Tombstone(*at, key.0, key.1, stone.remaining))?;
            }
        }
        for (at, name) in &self.references_by_age {
            let record = self.references.get(name).copied();
            let movement = self.movements.get(name).copied();
            chunks.row(&Row::Reference(*at, *name, record, movement))?;
        }
        for (batch, closed) in &self.clearing_closed {
            chunks.row(&Row::ClearingClosed(*batch, *closed))?;
        }
        Ok(())
    }

    fn save_money<E>(&self, chunks: &mut Chunks<'_, E>) -> Saved<E> {
        for (account, currency, minor) in self.ledger.totals() {
            chunks.row(&Row::LedgerTotal(account, currency, minor))?;
        }
        for ((account, purse), since) in &self.negatives {
            chunks.row(&Row::Negative(*account, *purse, *since))?;
        }
        for (account, transfers) in &self.transfers {
            for transfer in transfers {
                chunks.row(&Row::Transfer(*account, *transfer))?;
            }
        }
        Ok(())
    }
}

type Saved<E> = Result<(), SaveError<E>>;

/// Packs rows into chunks.
struct Chunks<'a, E> {
    receiver: &'a mut dyn FnMut(&[u8]) -> Result<(), E>,
    bytes: Vec<u8>,
    rows: u64,
}

impl<E> Chunks<'_, E> {
    fn row(&mut self, row: &Row<'_>) -> Saved<E> {
        self.rows = self.rows.saturating_add(1);
        let before = self.bytes.len();
        self.append(row)?;
        if self.bytes.len() <= CHUNK_BYTES_MAX {
            return Ok(());
        }
        // A row is never cut: the chunk ends before it.
        self.bytes.truncate(before);
        self.hand_over()?;
        self.append(row)?;
        if self.bytes.len() > CHUNK_BYTES_MAX {
            let number = self.rows;
            return Err(SaveError::Row { number });
        }
        Ok(())
    }

    fn append(&mut self, row: &Row<'_>) -> Saved<E> {
        let number = self.rows;
        let written = row.serialize(&mut RecordWriter::behind(&mut self.bytes));
        written.map_err(|_| SaveError::Row { number })
    }

    fn hand_over(&mut self) -> Saved<E> {
        (self.receiver)(&self.bytes).map_err(SaveError::Receiver)?;
        self.bytes.clear();
        self.bytes.push(VERSION);
        Ok(())
    }
}
