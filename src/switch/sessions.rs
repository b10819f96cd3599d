//! The sessions that are open: who they are with, what they count, and what they are told beside
//! their messages: to sign off, to take nothing more, that the switch stops.
//!
//! Each session is told by a signal of its own and counts for itself, so that the corridor shares
//! no lock and no cache line for it. Invariant: a session that begins when the switch stops hears
//! of it like the others.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use crate::domain::time::UnixMs;

use super::clock;
use super::histogram::Count;
use super::telemetry::Telemetry;

/// Whether the peer has signed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignOn {
    /// It has said nothing of it yet.
    NotYet,
    /// It has signed on.
    On,
    /// It has signed off, or was signed off.
    Off,
}

impl SignOn {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            SignOn::NotYet => "not-yet",
            SignOn::On => "on",
            SignOn::Off => "off",
        }
    }
}

/// What a session has been told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Orders {
    /// To answer what is in flight and end.
    pub(super) end: Option<Ending>,
    /// How often to sign off.
    pub(super) sign_offs: u64,
}

/// Why a session takes nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Somebody drains it.
    Drained,
    /// The switch stops.
    Stopping,
}

/// One session, as others see it. Only the session counts.
#[derive(Debug)]
struct Standing {
    id: u64,
    listener: String,
    link: String,
    peer: SocketAddr,
    since: UnixMs,
    began: Instant,
    sign_on: AtomicU8,
    messages_in: Count,
    messages_out: Count,
    in_flight: AtomicU64,
    /// Milliseconds since it began, and one more; 0 before the first message.
    last_message: AtomicU64,
}

/// What was read of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionReading {
    /// Its number since the start of the switch.
    pub id: u64,
    /// The listener that it came through.
    pub listener: String,
    /// The link that it is.
    pub link: String,
    /// Where the peer is.
    pub peer: SocketAddr,
    /// When it began.
    pub since: UnixMs,
    /// Whether the peer has signed on.
    pub sign_on: SignOn,
    /// Whether it takes nothing more.
    pub is_draining: bool,
    /// Messages that came.
    pub messages_in: u64,
    /// Messages that went.
    pub messages_out: u64,
    /// Requests that wait for their answer.
    pub in_flight: u64,
    /// When the last message came.
    pub last_message: Option<UnixMs>,
}

/// Every session that is open.
#[derive(Debug)]
pub struct Sessions {
    open: Mutex<Open>,
    telemetry: Arc<Telemetry>,
}

#[derive(Debug, Default)]
struct Open {
    last: u64,
    rows: BTreeMap<u64, Row>,
    /// Links and listeners that take no new session.
    drained: BTreeSet<String>,
    is_stopping: bool,
}

#[derive(Debug)]
struct Row {
    standing: Arc<Standing>,
    orders: watch::Sender<Orders>,
}

impl Row {
    fn read(&self) -> SessionReading {
        let standing = &*self.standing;
        let last = standing.last_message.load(Relaxed).checked_sub(1);
        let last = last.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX));
        SessionReading {
            id: standing.id,
            listener: standing.listener.clone(),
            link: standing.link.clone(),
            peer: standing.peer,
            since: standing.since,
            sign_on: match standing.sign_on.load(Relaxed) {
                1 => SignOn::On,
                2 => SignOn::Off,
                _ => SignOn::NotYet,
            },
            is_draining: self.orders.borrow().end.is_some(),
            messages_in: standing.messages_in.get(),
            messages_out: standing.messages_out.get(),
            in_flight: standing.in_flight.load(Relaxed),
            last_message: last.map(|ms| UnixMs(standing.since.0.saturating_add(ms))),
        }
    }

    /// Tells it to end, unless it was told so before; whether it was not.
    fn end(&self, why: Ending) -> bool {
        self.orders.send_if_modified(|orders| {
            let is_new = orders.end.is_none();
            orders.end.get_or_insert(why);
            is_new
        })
    }
}

impl Sessions {
    /// None yet.
    pub fn new(telemetry: &Arc<Telemetry>) -> Sessions {
        Sessions {
            open: Mutex::default(),
            telemetry: Arc::clone(telemetry),
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A seat for a session that begins; `None`: its link or its listener takes no new one.
    pub(super) fn seat(
        sessions: &Arc<Sessions>,
        (listener, link): (&str, &str),
        peer: SocketAddr,
    ) -> Option<Seat> {
        let mut open = sessions.open();
        if open.drained.contains(listener) || open.drained.contains(link) {
            return None;
        }
        open.last = open.last.saturating_add(1);
        let standing = Arc::new(Standing {
            id: open.last,
            listener: listener.to_owned(),
            link: link.to_owned(),
            peer,
            since: clock::now(),
            began: clock::instant(),
            sign_on: AtomicU8::new(0),
            messages_in: Count::default(),
            messages_out: Count::default(),
            in_flight: AtomicU64::new(0),
            last_message: AtomicU64::new(0),
        });
        let (sender, orders) = watch::channel(Orders {
            end: open.is_stopping.then_some(Ending::Stopping),
            sign_offs: 0,
        });
        let row = Row {
            standing: Arc::clone(&standing),
            orders: sender,
        };
        open.rows.insert(standing.id, row);
        Some(Seat {
            sessions: Arc::clone(sessions),
            standing,
            orders,
            signed_off: 0,
        })
    }

    /// Tells every session, and those to come, that the switch stops, once it does.
    pub(super) async fn end_with(self: Arc<Sessions>, mut stopping: watch::Receiver<bool>) {
        // Whoever could stop us is gone when waiting fails: then we stop.
        let _ = stopping.wait_for(|is_stopping| *is_stopping).await;
        let mut open = self.open();
        open.is_stopping = true;
        for row in open.rows.values() {
            row.end(Ending::Stopping);
        }
    }

    /// The sessions that are open, in the order in which they began.
    pub fn read(&self) -> Vec<SessionReading> {
        self.open().rows.values().map(Row::read).collect()
    }

    /// Links and listeners that take no new session.
    pub fn drained(&self) -> Vec<String> {
        self.open().drained.iter().cloned().collect()
    }

    /// Signs a session off as its peer would: its requests are refused until the peer signs on
    /// again. `None`: there is no such session.
    pub fn sign_off(&self, id: u64) -> Option<SessionReading> {
        let open = self.open();
        let row = open.rows.get(&id)?;
        row.orders.send_modify(|orders| {
            orders.sign_offs = orders.sign_offs.wrapping_add(1);
        });
        Telemetry::add(&self.telemetry.sessions_signed_off);
        Some(row.read())
    }

    /// Has a session take nothing more, answer what is in flight, and end. `None`: there is no
    /// such session.
    pub fn drain(&self, id: u64) -> Option<SessionReading> {
        let open = self.open();
        let row = open.rows.get(&id)?;
        if row.end(Ending::Drained) {
            Telemetry::add(&self.telemetry.sessions_drained);
        }
        Some(row.read())
    }

    /// The same of every session of a link or a listener, which takes no new one until it is
    /// resumed; how many it had.
    pub fn drain_all(&self, name: &str) -> usize {
        let mut open = self.open();
        open.drained.insert(name.to_owned());
        let rows = open.rows.values().filter(|row| {
            let standing = &row.standing;
            standing.link == name || standing.listener == name
        });
        let ended = rows.map(|row| row.end(Ending::Drained));
        let told: Vec<bool> = ended.collect();
        let new = told.iter().filter(|is_new| **is_new).count();
        Telemetry::add_many(&self.telemetry.sessions_drained, new);
        told.len()
    }

    /// Lets a link or a listener have new sessions again; whether it had none.
    pub fn resume(&self, name: &str) -> bool {
        self.open().drained.remove(name)
    }
}

/// What a session has of the list of all: it is on it for as long as it has this.
pub(super) struct Seat {
    sessions: Arc<Sessions>,
    standing: Arc<Standing>,
    /// What it is told.
    pub(super) orders: watch::Receiver<Orders>,
    /// How often it has signed off because it was told to.
    signed_off: u64,
}

impl Seat {
    /// Whether it has to sign off; once for each time.
    pub(super) fn must_sign_off(&mut self, orders: Orders) -> bool {
        std::mem::replace(&mut self.signed_off, orders.sign_offs) != orders.sign_offs
    }

    /// Counts messages that came with the read at this time, and how many wait now.
    pub(super) fn came(&self, messages: usize, read: Instant, in_flight: usize) {
        let standing = &*self.standing;
        if messages > 0 {
            standing.messages_in.add(number(messages));
            let ms = read.saturating_duration_since(standing.began).as_millis();
            let ms = u64::try_from(ms).unwrap_or(u64::MAX);
            standing.last_message.store(ms.saturating_add(1), Relaxed);
        }
        standing.in_flight.store(number(in_flight), Relaxed);
    }

    /// Counts messages that went, and how many wait now.
    pub(super) fn went(&self, messages: usize, in_flight: usize) {
        self.standing.messages_out.add(number(messages));
        self.standing.in_flight.store(number(in_flight), Relaxed);
    }

    /// Shows whether the peer has signed on.
    pub(super) fn signed(&self, sign_on: SignOn) {
        let shown = match sign_on {
            SignOn::NotYet => 0,
            SignOn::On => 1,
            SignOn::Off => 2,
        };
        self.standing.sign_on.store(shown, Relaxed);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.sessions.open().rows.remove(&self.standing.id);
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
