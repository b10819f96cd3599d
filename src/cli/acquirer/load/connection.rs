//! One connection of a load: its buffers, its window of slots, its place in the schedule.
//!
//! The trace number says the slot: `stan % slots of all connections`. So a reply finds its request
//! without a search, no two connections use one number, and a reply that comes after its time-out
//! meets a slot that has moved on.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use mio::net::TcpStream;

use crate::cli::acquirer::wire::Wire;

use super::mix::Kind;
use super::template::Stamp;

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: Wire<TcpStream>,
    pub(super) alive: bool,
    /// DE 41 of its messages.
    pub(super) terminal: [u8; 8],
    pub(super) window: Window,
    pub(super) received: Received,
    pub(super) out: Outgoing,
    /// Messages of an open loop that are due and not sent yet.
    pub(super) owed: u64,
    /// Position in the schedule of the next message of an open loop.
    pub(super) next_scheduled: u64,
}

/// A message without its answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct InFlight {
    pub(super) kind: Kind,
    pub(super) stamp: Stamp,
    /// DE 37 that the reply must echo.
    pub(super) rrn: u64,
    /// When it was sent, or should have been, in nanoseconds of the run.
    pub(super) from_ns: u64,
}

/// An answered purchase, which can be repeated or reversed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answered {
    pub(super) stamp: Stamp,
    pub(super) code: [u8; 2],
    pub(super) reversed: bool,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Slot {
    pub(super) in_flight: Option<InFlight>,
    pub(super) purchase: Option<Answered>,
    round: u32,
}

/// The slots of one connection.
#[derive(Debug)]
pub(super) struct Window {
    slots: Vec<Slot>,
    /// The one that has been free longest goes first: its trace numbers come again late.
    free: VecDeque<u32>,
    /// Number of this connection's first slot among all slots.
    base: u32,
    /// Slots of all connections.
    stride: u32,
}

impl Window {
    pub(super) fn new(size: u32, base: u32, stride: u32) -> Self {
        let slots = (0..size).map(|_| Slot::default()).collect();
        Self {
            slots,
            free: (0..size).collect(),
            base,
            stride,
        }
    }

    /// Whether a message may be sent.
    pub(super) fn has_room(&self) -> bool {
        !self.free.is_empty()
    }

    /// Messages without an answer.
    pub(super) fn in_flight(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Takes a free slot.
    pub(super) fn take(&mut self) -> Option<u32> {
        self.free.pop_front()
    }

    pub(super) fn slot(&mut self, index: u32) -> Option<&mut Slot> {
        self.slots.get_mut(usize::try_from(index).ok()?)
    }

    /// How often a slot has another trace number.
    fn rounds(&self) -> u32 {
        (STAN_MAX / self.stride).saturating_sub(1).max(1)
    }

    /// Lets the trace numbers begin as far up as the second is over, in nanoseconds: a load that
    /// starts in the same second as the end of another one repeats none of its messages.
    pub(super) fn begin_within_second(&mut self, nanos: u32) {
        let round = u64::from(self.rounds()) * u64::from(nanos) / 1_000_000_000;
        let round = u32::try_from(round).unwrap_or_default();
        for slot in &mut self.slots {
            slot.round = round;
        }
    }

    /// The next trace number of a slot.
    pub(super) fn next_stan(&mut self, index: u32) -> u32 {
        let (base, stride, rounds) = (self.base, self.stride, self.rounds());
        let Some(slot) = self.slot(index) else {
            return 0;
        };
        slot.round = slot.round % rounds + 1;
        // The last round ends below the largest trace number: rounds * stride <= STAN_MAX - stride.
        slot.round * stride + base + index
    }

    /// What is in flight under this trace number and RRN, with its slot.
    pub(super) fn find(&self, stan: u32, rrn: Option<u64>) -> Option<(u32, InFlight)> {
        let index = (stan % self.stride).checked_sub(self.base)?;
        let slot = self.slots.get(usize::try_from(index).ok()?)?;
        let in_flight = slot.in_flight?;
        let is_it = in_flight.stamp.stan == stan && rrn.is_none_or(|rrn| rrn == in_flight.rrn);
        is_it.then_some((index, in_flight))
    }

    /// Ends what is in flight in a slot.
    pub(super) fn release(&mut self, index: u32) {
        if let Some(slot) = self.slot(index) {
            slot.in_flight = None;
            self.free.push_back(index);
        }
    }

    /// Ends everything sent before `before_ns` and counts what counts.
    pub(super) fn expire(&mut self, before_ns: u64, counts: impl Fn(&InFlight) -> bool) -> u64 {
        let mut expired = 0;
        for (index, slot) in (0_u32..).zip(self.slots.iter_mut()) {
            if let Some(in_flight) = slot.in_flight.filter(|sent| sent.from_ns < before_ns) {
                slot.in_flight = None;
                self.free.push_back(index);
                expired += u64::from(counts(&in_flight));
            }
        }
        expired
    }
}

/// Largest trace number.
pub(super) const STAN_MAX: u32 = 999_999;

/// Bytes received and not yet taken.
#[derive(Debug)]
pub(super) struct Received {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

/// How a read ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReadEnd {
    /// Nothing more is there now.
    Drained,
    /// The buffer is full; more may be there.
    Full,
    /// The peer closed.
    Closed,
}

impl Received {
    pub(super) fn new(size: usize) -> Self {
        Self {
            buffer: vec![0; size],
            start: 0,
            end: 0,
        }
    }

    /// What has arrived.
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Takes `size` bytes from the front.
    pub(super) fn consume(&mut self, size: usize) {
        self.start = (self.start + size).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// One read; a short one means that nothing more is there (edge-triggered readiness).
    pub(super) fn read_from(&mut self, stream: &mut Wire<TcpStream>) -> io::Result<ReadEnd> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let Some(room) = self.buffer.get_mut(self.end..) else {
            return Ok(ReadEnd::Drained);
        };
        let space = room.len();
        loop {
            return match stream.read(room) {
                Ok(0) => Ok(ReadEnd::Closed),
                Ok(size) => {
                    self.end += size;
                    Ok(if size < space && stream.short_read_is_all() {
                        ReadEnd::Drained
                    } else {
                        ReadEnd::Full
                    })
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(ReadEnd::Drained),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
        }
    }
}

/// Bytes to send.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    pub(super) buffer: Vec<u8>,
    sent: usize,
}

impl Outgoing {
    /// Writes what the socket takes; the rest goes when it is writable again.
    pub(super) fn flush_to(&mut self, stream: &mut Wire<TcpStream>) -> io::Result<()> {
        while let Some(rest) = self.buffer.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match stream.write(rest) {
                Ok(size) => self.sent += size,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.buffer.clear();
        self.sent = 0;
        match stream.flush() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            flushed => flushed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_flight(stan: u32) -> InFlight {
        let stamp = Stamp {
            stan,
            ..Stamp::default()
        };
        InFlight {
            kind: Kind::Purchase,
            stamp,
            rrn: 9,
            from_ns: 100,
        }
    }

    #[test]
    fn a_trace_number_finds_its_slot_on_its_connection_only() {
        let mut window = Window::new(4, 8, 12);
        for _ in 0..300_000 {
            let index = window.take().unwrap();
            let stan = window.next_stan(index);
            assert!((1..=STAN_MAX).contains(&stan), "{stan}");
            window.slot(index).unwrap().in_flight = Some(in_flight(stan));
            assert_eq!(
                window.find(stan, Some(9)).map(|(found, _)| found),
                Some(index)
            );
            assert!(window.find(stan, Some(8)).is_none());
            assert!(window.find(stan ^ 1, Some(9)).is_none());
            window.release(index);
            assert!(window.find(stan, Some(9)).is_none());
        }
    }

    #[test]
    fn a_load_that_follows_within_the_second_repeats_no_trace_number() {
        let numbers = |from_nanos: u32, count: usize| {
            let mut window = Window::new(32, 64, 2_048);
            window.begin_within_second(from_nanos);
            std::iter::repeat_with(move || {
                let index = window.take().unwrap();
                let stan = window.next_stan(index);
                window.release(index);
                stan
            })
            .take(count)
            .collect::<std::collections::HashSet<u32>>()
        };
        // 200,000 a second over 64 connections, for six tenths of a second each.
        let (first, second) = (numbers(300_000_000, 1_875), numbers(900_000_000, 1_875));
        assert_eq!((first.len(), second.len()), (1_875, 1_875));
        assert!(first.is_disjoint(&second));
        assert!(second.iter().all(|stan| (1..=STAN_MAX).contains(stan)));
    }

    #[test]
    fn what_is_not_answered_in_time_makes_room_again() {
        let mut window = Window::new(1, 0, 1);
        let index = window.take().unwrap();
        let stan = window.next_stan(index);
        window.slot(index).unwrap().in_flight = Some(in_flight(stan));
        assert_eq!(window.expire(100, |_| true), 0);
        assert!(!window.has_room());
        assert_eq!(window.expire(101, |_| true), 1);
        assert!(window.has_room());
        assert!(window.find(stan, None).is_none());
    }
}
