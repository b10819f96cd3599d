//! The thread that brings what is durable in the ring into sled, behind the writer.
//!
//! Invariant: after a fault nothing is drained and the journal appends nothing more, for a ring
//! that is never freed would only fill up. What is on its way, and in which order, is
//! `passage.rs`.

use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::contain::contain;
use super::error::{JournalError, StoreError};
use super::group::FrameSink;
use super::options::RingMode;
use super::passage::{Group, Passage, Pending};
use super::ring::{NAME, Place, RingFile};
use super::seal::Head;
use super::store::{SharedStore, Store, lock};

/// How long the drain gathers commits before it inserts them with one sync of sled. Longer takes
/// fewer syncs away from the commits, shorter leaves less to bring over at the next start.
const GATHER_DELAY: Duration = Duration::from_millis(50);

/// Bytes brought into sled between two offers of the processor: some 50 microseconds' work.
const OFFERED_AFTER: usize = 8 << 10;

const ACTION: &str = "drain";

/// The ring as the place of group commits, and the thread behind it.
#[derive(Debug)]
pub(super) struct RingCommit {
    ring: RingFile,
    group: Group,
    drain: Drain,
    thread: Option<JoinHandle<()>>,
}

/// What writer, readers and drain know of each other.
#[derive(Clone, Debug)]
pub(super) struct Drain(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// For the drain: there is something to do.
    work: Condvar,
    /// For everybody else: something was drained, or never will be.
    progress: Condvar,
}

#[derive(Debug)]
struct State {
    passage: Passage,
    /// The drain waits for work, not for more of it.
    asleep: bool,
    /// Somebody waits for the drain.
    hurry: bool,
    closing: bool,
    /// What stopped the drain or the writer.
    fault: Option<JournalError>,
}

impl State {
    fn must_not_stop(&self) -> bool {
        !self.closing && self.fault.is_none()
    }

    /// Whether nobody waits for the drain.
    fn has_time(&self) -> bool {
        !self.hurry && self.must_not_stop()
    }
}

impl RingCommit {
    /// Starts the drain of an empty ring of so many bytes into a store that ends at `head`.
    pub(super) fn start(
        ring: RingFile,
        ring_bytes: u64,
        head: Head,
        store: SharedStore,
    ) -> Result<RingCommit, JournalError> {
        let drain = Drain(Arc::new(Shared {
            state: Mutex::new(State {
                passage: Passage::new(ring_bytes, head),
                asleep: false,
                hurry: false,
                closing: false,
                fault: None,
            }),
            work: Condvar::new(),
            progress: Condvar::new(),
        }));
        let theirs = drain.clone();
        let thread = thread::Builder::new()
            .name("journal-drain".to_owned())
            .spawn(move || theirs.run(&store))
            .map_err(|error| StoreError::io("start", NAME.as_ref(), error))?;
        Ok(RingCommit {
            ring,
            group: Group::new(),
            drain,
            thread: Some(thread),
        })
    }

    /// How the ring is written.
    pub(super) fn mode(&self) -> RingMode {
        self.ring.mode()
    }

    /// For readers, which wait for the drain.
    pub(super) fn drain(&self) -> Drain {
        self.drain.clone()
    }

    /// Stops the drain where it is: the writer met this fault.
    pub(super) fn abandon(&mut self, fault: &JournalError) {
        self.drain.fail(fault.clone());
    }

    /// Waits until everything is in sled and ends the drain.
    pub(super) fn close(&mut self) -> Result<(), JournalError> {
        self.drain.lock().closing = true;
        self.drain.0.work.notify_one();
        if let Some(thread) = self.thread.take() {
            // Its panics are contained and told as a fault.
            let _ = thread.join();
        }
        self.drain.lock().fault.clone().map_or(Ok(()), Err)
    }
}

impl FrameSink for RingCommit {
    fn insert(
        &mut self,
        first_sequence: u64,
        frame: &[u8],
        after: Head,
    ) -> Result<(), JournalError> {
        self.group.push(first_sequence, frame, after);
        Ok(())
    }

    fn commit(&mut self) -> Result<(), JournalError> {
        let place = self.drain.take_place(self.group.as_slice().len())?;
        self.ring
            .write(place.offset, self.group.as_slice())
            .map_err(StoreError::fault)?;
        self.drain.push(&self.group, place)?;
        self.group.clear();
        Ok(())
    }
}

impl Drop for RingCommit {
    fn drop(&mut self) {
        // An error here has no receiver; the next start finds the rest in the ring.
        let _ = self.close();
    }
}

impl Drain {
    /// The last record that sled holds durably.
    pub(super) fn drained(&self) -> u64 {
        self.lock().passage.drained()
    }

    /// Waits until sled holds every record up to this one durably.
    ///
    /// # Errors
    ///
    /// What stopped the drain before.
    pub(super) fn wait_for(&self, sequence: u64) -> Result<(), JournalError> {
        let mut state = self.lock();
        // What was never written is not waited for: its caller is wrong, and will find nothing.
        while state.passage.drained() < sequence.min(state.passage.written()) {
            if let Some(fault) = &state.fault {
                return Err(fault.clone());
            }
            state = self.wait_for_progress(state);
        }
        Ok(())
    }

    /// A place in the ring; waits until there is one.
    fn take_place(&self, length: usize) -> Result<Place, JournalError> {
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        let mut state = self.lock();
        loop {
            if let Some(fault) = &state.fault {
                return Err(fault.clone());
            }
            if let Some(place) = state.passage.take_place(length) {
                return Ok(place);
            }
            state = self.wait_for_progress(state);
        }
    }

    fn wait_for_progress<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.hurry = true;
        self.0.work.notify_one();
        let woken = self.0.progress.wait(state);
        woken.unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over a group that is durable in the ring.
    fn push(&self, group: &Group, place: Place) -> Result<(), JournalError> {
        let mut state = self.lock();
        if let Some(fault) = &state.fault {
            return Err(fault.clone());
        }
        state.passage.push(group, place);
        let hurry = !state.hurry && state.passage.is_half_full();
        state.hurry |= hurry;
        // Most commits find the drain awake and gathering: they cost no system call here.
        if std::mem::take(&mut state.asleep) || hurry {
            self.0.work.notify_one();
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The drain's thread.
    fn run(&self, store: &SharedStore) {
        let drained = contain(|| self.drain_until_closed(store));
        let outcome = drained.unwrap_or_else(|detail| {
            Err(StoreError::corrupt(ACTION, NAME.as_ref(), detail).fault())
        });
        if let Err(fault) = outcome {
            self.fail(fault);
        }
        if self.lock().fault.is_some() {
            lock(store).abandon();
        }
    }

    /// The first fault stays.
    fn fail(&self, fault: JournalError) {
        self.lock().fault.get_or_insert(fault);
        self.0.work.notify_one();
        self.0.progress.notify_all();
    }

    fn drain_until_closed(&self, store: &SharedStore) -> Result<(), JournalError> {
        let mut work = Pending::default();
        while self.gather(&mut work) {
            self.insert(Polite::new(&mut lock(store), self), &work)?;
        }
        Ok(())
    }

    /// Waits for frames, then a little for more of them; false when there will be no more.
    fn gather(&self, work: &mut Pending) -> bool {
        let mut state = self.lock();
        state.asleep = true;
        let idle = |state: &mut State| !state.passage.has_pending() && state.must_not_stop();
        let woken = self.0.work.wait_while(state, idle);
        let mut state = woken.unwrap_or_else(PoisonError::into_inner);
        state.asleep = false;
        let may_wait = |state: &mut State| state.has_time();
        let gathered = self
            .0
            .work
            .wait_timeout_while(state, GATHER_DELAY, may_wait);
        let (mut state, _) = gathered.unwrap_or_else(PoisonError::into_inner);
        state.hurry = false;
        state.passage.take_pending(work);
        !work.is_empty() && state.fault.is_none()
    }

    /// Brings frames into sled and frees their places.
    fn insert(&self, mut store: Polite<'_>, work: &Pending) -> Result<(), JournalError> {
        work.insert_into(&mut store, |polite, frame| {
            let mut state = self.lock();
            state.passage.free(frame);
            let stopped = state.fault.is_some();
            drop(state);
            self.0.progress.notify_all();
            if stopped {
                return Ok(ControlFlow::Break(()));
            }
            polite.store.rotate(frame.after)?;
            Ok(ControlFlow::Continue(()))
        })
    }
}

/// A store whose drain offers the processor, between frames, to whoever waits for it: by itself the
/// kernel lets a thread work on until its slice of milliseconds is over, and a card holder wait.
/// Nothing is offered while somebody waits for the drain, or soon would.
struct Polite<'a> {
    store: &'a mut Store,
    drain: &'a Drain,
    /// Bytes since the last offer.
    taken: usize,
}

impl<'a> Polite<'a> {
    fn new(store: &'a mut Store, drain: &'a Drain) -> Polite<'a> {
        Polite {
            store,
            drain,
            taken: 0,
        }
    }
}

impl FrameSink for Polite<'_> {
    fn insert(
        &mut self,
        first_sequence: u64,
        frame: &[u8],
        after: Head,
    ) -> Result<(), JournalError> {
        self.store.insert(first_sequence, frame, after)?;
        self.taken = self.taken.saturating_add(frame.len());
        if self.taken >= OFFERED_AFTER && self.drain.lock().has_time() {
            self.taken = 0;
            thread::yield_now();
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), JournalError> {
        self.store.commit()
    }
}
