//! Requests of one connection that wait for their answer: a bounded table of reusable slots.

use bytes::Bytes;

use crate::domain::pan::MaskedPan;
use crate::iso8583::Message;

use super::clock::Tick;
use super::mac::Seal;

/// A request that waits for its answer.
pub(super) struct InFlight {
    /// The request, to echo from.
    pub message: Message,
    /// Its transport header.
    pub header: Bytes,
    /// Its card as it may be shown.
    pub masked: MaskedPan,
    /// When its frame was cut out of what was read.
    pub received: Tick,
    /// When it was decoded.
    pub decoded: Tick,
    /// What its answer is authenticated with; `None`: it is not.
    pub seal: Option<Seal>,
}

/// The table.
pub(super) struct InFlightTable {
    slots: Vec<Option<Box<InFlight>>>,
    free: Vec<usize>,
    occupied: usize,
    max: usize,
}

impl InFlightTable {
    /// Room for `max` requests; memory grows with what is really used.
    pub(super) fn new(max: usize) -> InFlightTable {
        InFlightTable {
            slots: Vec::new(),
            free: Vec::new(),
            occupied: 0,
            max,
        }
    }

    /// Whether no further request fits.
    pub(super) fn is_full(&self) -> bool {
        self.occupied >= self.max
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.occupied
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.occupied == 0
    }

    /// Keeps a request; the number names it.
    pub(super) fn insert(&mut self, request: InFlight) -> usize {
        self.occupied += 1;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        if let Some(place) = self.slots.get_mut(slot) {
            *place = Some(Box::new(request));
        }
        slot
    }

    /// A request that waits.
    pub(super) fn get(&self, slot: usize) -> Option<&InFlight> {
        self.slots.get(slot)?.as_deref()
    }

    /// Takes a request out again.
    pub(super) fn take(&mut self, slot: usize) -> Option<Box<InFlight>> {
        let request = self.slots.get_mut(slot)?.take()?;
        self.free.push(slot);
        self.occupied -= 1;
        Some(request)
    }
}
