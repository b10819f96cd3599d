//! Brings what is durable in the ring into sled, behind the writer, and frees the ring's places.
//!
//! Invariants: frames reach sled in order; a place is freed only after the data sync of sled's
//! file that follows its insertion; after a fault nothing is drained and the journal appends
//! nothing more, for a ring that is never freed would only fill up.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::aligned::{AlignedBuffer, BLOCK_BYTES, padded};
use super::contain::contain;
use super::error::{JournalError, StoreError};
use super::frame::FRAME_BYTES_MAX;
use super::group::{FrameSink, GROUP_BYTES_MAX};
use super::options::RingMode;
use super::ring::{NAME, Place, Places, RingFile};
use super::seal::Head;
use super::store::{SharedStore, Store, lock};

/// How long the drain gathers commits before it inserts them with one sync of sled. Longer takes
/// fewer syncs away from the commits, shorter leaves less to bring over at the next start.
const GATHER_DELAY: Duration = Duration::from_millis(50);

/// The most that a group commit takes with the padding of its frames: any two frames of a group
/// that follow each other are longer than the largest frame, so there are at most 20.
const PADDED_GROUP_BYTES_MAX: usize = GROUP_BYTES_MAX + FRAME_BYTES_MAX + 20 * BLOCK_BYTES;

const ACTION: &str = "drain";

/// The ring as the place of group commits, and the thread behind it.
#[derive(Debug)]
pub(super) struct RingCommit {
    ring: RingFile,
    /// The group that is being gathered, as it will lie in the ring.
    group: AlignedBuffer,
    frames: Vec<GroupFrame>,
    drain: Drain,
    thread: Option<JoinHandle<()>>,
}

/// A frame of the group being gathered.
#[derive(Clone, Copy, Debug)]
struct GroupFrame {
    first_sequence: u64,
    /// Where it begins in the gathered bytes.
    start: usize,
    length: usize,
    after: Head,
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
    places: Places,
    pending: Pending,
    /// Last sequence in the ring, and in sled.
    written: u64,
    drained: u64,
    /// The drain waits for work, not for more of it.
    asleep: bool,
    /// Somebody waits for the drain.
    hurry: bool,
    closing: bool,
    /// What stopped the drain or the writer.
    fault: Option<JournalError>,
}

/// Frames on their way to sled.
#[derive(Debug, Default)]
struct Pending {
    bytes: Vec<u8>,
    frames: Vec<PendingFrame>,
}

#[derive(Debug)]
struct PendingFrame {
    first_sequence: u64,
    /// Where it ends in the pending bytes.
    end: usize,
    after: Head,
    /// The ring is free up to here once this frame is durable in sled.
    place_end: u64,
}

impl State {
    fn must_not_stop(&self) -> bool {
        !self.closing && self.fault.is_none()
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
                places: Places::new(ring_bytes),
                pending: Pending::default(),
                written: head.sequence,
                drained: head.sequence,
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
            group: AlignedBuffer::new(PADDED_GROUP_BYTES_MAX),
            frames: Vec::new(),
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
        self.frames.push(GroupFrame {
            first_sequence,
            start: self.group.as_slice().len(),
            length: frame.len(),
            after,
        });
        self.group.push_padded(frame);
        Ok(())
    }

    fn commit(&mut self) -> Result<(), JournalError> {
        let place = self.drain.take_place(self.group.as_slice().len())?;
        self.ring
            .write(place.offset, &self.group)
            .map_err(StoreError::fault)?;
        self.drain.push(&self.group, &self.frames, place)?;
        self.frames.clear();
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
    /// Waits until sled holds every record up to this one durably.
    ///
    /// # Errors
    ///
    /// What stopped the drain before.
    pub(super) fn wait_for(&self, sequence: u64) -> Result<(), JournalError> {
        let mut state = self.lock();
        // What was never written is not waited for: its caller is wrong, and will find nothing.
        while state.drained < sequence.min(state.written) {
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
            if let Some(place) = state.places.take(length) {
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
    fn push(
        &self,
        group: &AlignedBuffer,
        frames: &[GroupFrame],
        place: Place,
    ) -> Result<(), JournalError> {
        let mut state = self.lock();
        if let Some(fault) = &state.fault {
            return Err(fault.clone());
        }
        let bytes = group.as_slice();
        let start = place
            .end
            .saturating_sub(u64::try_from(bytes.len()).unwrap_or(0));
        for frame in frames {
            let content = bytes.get(frame.start..frame.start.saturating_add(frame.length));
            let behind = frame.start.saturating_add(padded(frame.length));
            let pending = &mut state.pending;
            pending.bytes.extend_from_slice(content.unwrap_or_default());
            pending.frames.push(PendingFrame {
                first_sequence: frame.first_sequence,
                end: pending.bytes.len(),
                after: frame.after,
                place_end: start.saturating_add(u64::try_from(behind).unwrap_or(0)),
            });
            state.written = frame.after.sequence;
        }
        let hurry = !state.hurry && state.places.is_half_full();
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
            self.insert(&mut lock(store), &work)?;
        }
        Ok(())
    }

    /// Waits for frames, then a little for more of them; false when there will be no more.
    fn gather(&self, work: &mut Pending) -> bool {
        work.bytes.clear();
        work.frames.clear();
        let mut state = self.lock();
        state.asleep = true;
        let idle = |state: &mut State| state.pending.frames.is_empty() && state.must_not_stop();
        let woken = self.0.work.wait_while(state, idle);
        let mut state = woken.unwrap_or_else(PoisonError::into_inner);
        state.asleep = false;
        let may_wait = |state: &mut State| !state.hurry && state.must_not_stop();
        let gathered = self
            .0
            .work
            .wait_timeout_while(state, GATHER_DELAY, may_wait);
        let (mut state, _) = gathered.unwrap_or_else(PoisonError::into_inner);
        state.hurry = false;
        std::mem::swap(&mut state.pending, work);
        !work.frames.is_empty() && state.fault.is_none()
    }

    /// Inserts frames, with a sync each time so many bytes are in, and frees their places.
    fn insert(&self, store: &mut Store, work: &Pending) -> Result<(), JournalError> {
        let (mut start, mut unsynced) = (0, 0_usize);
        for (index, frame) in work.frames.iter().enumerate() {
            let bytes = work.bytes.get(start..frame.end).unwrap_or_default();
            start = frame.end;
            store.insert(frame.first_sequence, bytes, frame.after)?;
            unsynced = unsynced.saturating_add(bytes.len());
            let is_last = index.saturating_add(1) == work.frames.len();
            if !is_last && unsynced < GROUP_BYTES_MAX {
                continue;
            }
            store.commit()?;
            unsynced = 0;
            let mut state = self.lock();
            state.places.free(frame.place_end);
            state.drained = frame.after.sequence;
            let stopped = state.fault.is_some();
            drop(state);
            self.0.progress.notify_all();
            if stopped {
                return Ok(());
            }
            store.rotate(frame.after)?;
        }
        Ok(())
    }
}
