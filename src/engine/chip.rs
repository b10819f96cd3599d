//! Transaction counters of chips (ATC): each is good for one message.

use crate::domain::card::CardId;
use crate::domain::chip::{ChipVerdict, UsedCounters};

use super::apply::Fit;
use super::case::Case;
use super::event::{ChipCounted, Decided, Effect};
use super::state::State;
use super::verdict::Verdict;

/// Whether the counter that a chip brings was used before.
pub(super) fn is_replayed(case: &Case<'_>) -> bool {
    case.facts.chip().is_some_and(|chip| {
        let used = case.state.chip_counters(case.card.id, chip.sequence_number);
        used.is_some_and(|used| used.has(chip.counter))
    })
}

/// Adds to a verdict the counter that the card has proven to have used, however the message was
/// answered. What we could not decide uses none: the same message will come again. Nor does what
/// the card did not make: else anybody could use its counters up.
pub(super) fn count(case: &Case<'_>, verdict: &mut Verdict) {
    let proven = case.facts.chip();
    let proven = proven.filter(|chip| chip.verdict == ChipVerdict::Right);
    if let Some(chip) = proven.filter(|_| !verdict.reason.is_fault() && !is_replayed(case)) {
        verdict.effects.push(Effect::ChipCounted(ChipCounted {
            sequence_number: chip.sequence_number,
            counter: chip.counter,
        }));
    }
}

impl State {
    /// Which counters the chip of a card with this sequence number (PSN) has used, if any.
    pub fn chip_counters(&self, card: CardId, sequence_number: u8) -> Option<UsedCounters> {
        self.chips.get(&(card, sequence_number)).copied()
    }

    /// Notes that a chip used a counter.
    pub(super) fn apply_chip_counted(&mut self, decided: &Decided, chip: ChipCounted) -> Fit {
        let ChipCounted {
            sequence_number,
            counter,
        } = chip;
        let card = decided.card.ok_or("a chip without a card")?;
        let used = self.chips.get(&(card, sequence_number)).copied();
        let used = match used {
            Some(used) if used.has(counter) => {
                return Err("a chip's counter is used twice".to_owned());
            }
            Some(used) => used.and(counter),
            None => UsedCounters::first(counter),
        };
        self.chips.insert((card, sequence_number), used);
        Ok(())
    }
}
