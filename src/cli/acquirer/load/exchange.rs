//! What the loop does with one connection: takes, matches and counts replies, sends what is due.

use std::io;

use super::connection::{Answered, Connection, InFlight, Window};
use super::engine::Engine;
use super::layout::ReplyHead;
use super::mix::Kind;
use super::plan::Pace;
use super::template::Stamp;

impl Engine<'_> {
    pub(super) fn take_replies(&mut self, connection: &mut Connection, now: u64) -> io::Result<()> {
        loop {
            let bytes = connection.received.bytes();
            let bounds = self.codec.bounds(bytes).map_err(io::Error::other)?;
            let Some(bounds) = bounds else { return Ok(()) };
            if let Some(body) = bytes
                .get(bounds.body_start..bounds.body_end)
                .filter(|body| !body.is_empty())
            {
                let found = self.match_reply(&connection.window, body);
                match found {
                    Some((slot, sent, code)) => {
                        self.count_reply(&mut connection.window, slot, &sent, code, now);
                    }
                    None => self.counts.replies_ever += 1,
                }
            }
            connection.received.consume(bounds.whole);
        }
    }

    /// The request a reply belongs to: at the positions of a known layout, else by decoding.
    fn match_reply(&mut self, window: &Window, body: &[u8]) -> Option<(u32, InFlight, [u8; 2])> {
        let is_authentic = |head: &ReplyHead| match &self.plan.mac {
            None => true,
            Some(key) => key.ends(body, head.covered),
        };
        let unauthenticated = &mut self.counts.unauthenticated;
        let mut lookup = |head: ReplyHead| {
            let (slot, sent) = window.find(head.stan, head.rrn)?;
            *unauthenticated += u64::from(!is_authentic(&head));
            Some((slot, sent, head.code))
        };
        if let Some(found) = self.layouts.read_known(body).and_then(&mut lookup) {
            return Some(found);
        }
        let Some(head) = self.layouts.learn(self.plan.spec, body) else {
            self.counts.unreadable += 1;
            return None;
        };
        let found = lookup(head);
        if found.is_none() {
            self.counts.unmatched += 1;
        }
        found
    }

    fn count_reply(
        &mut self,
        window: &mut Window,
        slot: u32,
        sent: &InFlight,
        code: [u8; 2],
        now: u64,
    ) {
        window.release(slot);
        self.in_flight -= 1;
        self.counts.replies_ever += 1;
        if let Some(slot) = window.slot(slot) {
            match sent.kind {
                Kind::Purchase => {
                    slot.purchase = Some(Answered {
                        stamp: sent.stamp,
                        code,
                        reversed: false,
                    });
                }
                Kind::Repeat => {
                    let is_same = slot.purchase.is_some_and(|answered| answered.code == code);
                    self.counts.repeats_answered_otherwise += u64::from(!is_same);
                }
                Kind::Reversal | Kind::Balance => {}
            }
        }
        if self.measured.contains(&sent.from_ns) {
            self.counts
                .latency_ns
                .saturating_record(now.saturating_sub(sent.from_ns));
        }
        if !self.measured.contains(&now) {
            return;
        }
        self.counts.replies += 1;
        let codes = &mut self.counts.codes;
        let known = codes
            .iter_mut()
            .find(|(kind, known, _)| *kind == sent.kind && *known == code);
        match known {
            Some((_, _, count)) => *count += 1,
            None => codes.push((sent.kind, code, 1)),
        }
    }

    /// Sends as much as the window or the schedule allows.
    pub(super) fn fill(&mut self, connection: &mut Connection, now: u64) {
        match self.plan.pace {
            Pace::Window(_) => {
                if now >= self.measured.end {
                    return;
                }
                while connection.window.has_room() {
                    self.send(connection, now);
                }
            }
            Pace::PerSecond(rate) => {
                while connection.owed > 0 && connection.window.has_room() {
                    connection.owed -= 1;
                    let due = due_ns(connection.next_scheduled, rate);
                    connection.next_scheduled += u64::from(self.plan.connections);
                    self.send(connection, due);
                }
            }
        }
    }

    fn send(&mut self, connection: &mut Connection, from_ns: u64) {
        let Some(index) = connection.window.take() else {
            return;
        };
        let random = self.next_random();
        let answered = connection.window.slot(index).and_then(|slot| slot.purchase);
        let wanted = self.plan.mix.kind_of(random >> 32);
        let kind = match (wanted, answered) {
            (Kind::Repeat, None) => Kind::Purchase,
            // Only what was approved and still stands can be reversed.
            (Kind::Reversal, answered)
                if answered.is_none_or(|one| one.reversed || one.code != *b"00") =>
            {
                Kind::Purchase
            }
            (kind, _) => kind,
        };
        let original = answered.map(|answered| answered.stamp).unwrap_or_default();
        let stamp = if kind == Kind::Repeat {
            original
        } else {
            self.next_rrn = (self.next_rrn + 1) % 1_000_000_000_000;
            let cards = u64::try_from(self.templates.cards()).unwrap_or(1).max(1);
            let card = match kind {
                Kind::Reversal => original.card,
                Kind::Purchase | Kind::Repeat | Kind::Balance => {
                    usize::try_from((random & 0xFFFF_FFFF) % cards).unwrap_or_default()
                }
            };
            let stan = connection.window.next_stan(index);
            Stamp {
                stan,
                rrn: self.next_rrn,
                transmission: self.transmission,
                card,
            }
        };
        let rrn = if kind == Kind::Reversal {
            original.rrn
        } else {
            stamp.rrn
        };
        let out = &mut connection.out.buffer;
        self.templates
            .append(out, kind, &stamp, &original, &connection.terminal);
        if let Some(slot) = connection.window.slot(index) {
            slot.in_flight = Some(InFlight {
                kind,
                stamp,
                rrn,
                from_ns,
            });
            if kind == Kind::Reversal
                && let Some(purchase) = &mut slot.purchase
            {
                purchase.reversed = true;
            }
        }
        self.in_flight += 1;
        self.counts.sent += u64::from(self.measured.contains(&from_ns));
    }

    /// A xorshift generator: the same cards and kinds in every run.
    fn next_random(&mut self) -> u64 {
        let mut x = self.random;
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random = x;
        x
    }
}

/// When the message at this position of the schedule is due.
pub(super) fn due_ns(position: u64, per_second: u64) -> u64 {
    let due = u128::from(position) * 1_000_000_000 / u128::from(per_second);
    u64::try_from(due).unwrap_or(u64::MAX)
}
