//! Reads durable records beside the writer, a page at a time; the writer never waits for it.
//!
//! Owns at most one older generation, kept open between pages. Does not know what is durable: its
//! caller names the last sequence to be read, and must have learned from the writer that it is.
//! What is durable in the ring only is waited for, until the drain has brought it into sled.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use ::sled::Db;

use super::Replay;
use super::backup::{CopyProgress, copy_folder};
use super::drain::Drain;
use super::durable;
use super::error::{JournalError, StoreError};
use super::first::First;
use super::frame::{Frame, decode_frame};
use super::generation::{self, Generation};
use super::group::GROUP_BYTES_MAX;
use super::plan::{Plan, damage};
use super::seal::{Head, Seal};
use super::store::{self, Store};
use super::watermark;

/// How often frames that must be there are looked for.
const ATTEMPTS_MAX: u32 = 500;
const ATTEMPT_DELAY: Duration = Duration::from_millis(10);

/// The generation that is being written, for whoever reads.
#[derive(Clone, Debug)]
pub(super) struct Active(Arc<Mutex<(u64, Db)>>);

impl Active {
    pub(super) fn new(number: u64, db: Db) -> Active {
        Active(Arc::new(Mutex::new((number, db))))
    }

    /// From here on another generation is written.
    pub(super) fn replace(&self, number: u64, db: Db) {
        *lock(&self.0) = (number, db);
    }

    fn get(&self, number: u64) -> Option<Db> {
        let active = lock(&self.0);
        (active.0 == number).then(|| active.1.clone())
    }
}

/// Takes a frame, and its bytes.
type Take<'a> = dyn FnMut(&Frame<'_>, &[u8]) -> ControlFlow<()> + 'a;

/// Reads the journal of a store that this process has open.
#[derive(Clone, Debug)]
pub struct JournalReader {
    directory: PathBuf,
    cache_bytes: u64,
    active: Active,
    /// What the writer writes to, while there is one.
    store: Weak<Mutex<Store>>,
    /// Brings records from the ring; none where there is no ring.
    drain: Option<Drain>,
    /// The older generation that was read last.
    older: Arc<Mutex<Option<Generation>>>,
    /// The generations as they were found last: a page must not look at every one of them.
    known: Arc<Mutex<Option<Arc<Plan>>>>,
}

impl JournalReader {
    pub(super) fn new(
        directory: PathBuf,
        cache_bytes: u64,
        (active, store): (Active, Weak<Mutex<Store>>),
        drain: Option<Drain>,
    ) -> JournalReader {
        JournalReader {
            directory,
            cache_bytes,
            active,
            store,
            drain,
            older: Arc::new(Mutex::new(None)),
            known: Arc::new(Mutex::new(None)),
        }
    }

    /// The last record that can be read without waiting for the drain; none where every durable
    /// one can. Whoever follows the journal reads up to here: a reader that waits makes the drain
    /// hurry, and its syncs take the disk from the commits.
    #[must_use]
    pub fn drained(&self) -> Option<u64> {
        self.drain.as_ref().map(Drain::drained)
    }

    /// Hands the records after sequence `after`, up to and including `until`, to `take` in order,
    /// until it breaks or this page is over; returns the last sequence that was handed over, or
    /// `after` when there was none. `until` must be durable.
    ///
    /// One page is at most one generation. Reading waits for the disk: not for a task of tokio.
    ///
    /// # Errors
    /// [`JournalError`] when records that should be there cannot be read.
    pub fn page(
        &self,
        after: u64,
        until: u64,
        take: &mut dyn FnMut(u64, &[u8]) -> ControlFlow<()>,
    ) -> Result<u64, JournalError> {
        let mut last = after;
        self.read(after, until, &mut |frame, _| {
            for (sequence, record) in frame.records() {
                if sequence <= last {
                    continue;
                }
                if sequence > until {
                    return ControlFlow::Break(());
                }
                last = sequence;
                take(sequence, record)?;
            }
            ControlFlow::Continue(())
        })?;
        Ok(last)
    }

    /// Hands the records of the whole frames behind `after` that end at or before `until` to `take`
    /// in order, until this page is over; returns the position behind them. Each frame is proven to
    /// follow the one before. `until` must be durable.
    ///
    /// # Errors
    /// [`JournalError`] when frames that should be there cannot be read, do not follow, or `take`
    /// refuses a record.
    pub fn frames(
        &self,
        after: Head,
        until: u64,
        take: &mut Replay<'_>,
    ) -> Result<Head, JournalError> {
        let (mut head, mut fault) = (after, None);
        self.read(after.sequence, until, &mut |frame, _| {
            let end = Head {
                sequence: frame.last_sequence(),
                chain: frame.chain,
            };
            if end.sequence <= head.sequence {
                return ControlFlow::Continue(());
            }
            if end.sequence > until {
                return ControlFlow::Break(());
            }
            let followed = follow(&self.directory, head, frame)
                .and_then(|()| take(frame.records()).map_err(JournalError::from));
            if let Err(error) = followed {
                fault = Some(error);
                return ControlFlow::Break(());
            }
            head = end;
            ControlFlow::Continue(())
        })?;
        fault.map_or(Ok(head), Err)
    }

    /// The last sequences of the sealed generations, ascending.
    ///
    /// # Errors
    /// [`JournalError`] when the generations cannot be read.
    pub fn sealed_ends(&self) -> Result<Vec<u64>, JournalError> {
        let plan = self.whole_plan()?;
        let seals = plan.sealed.iter();
        Ok(seals.map(|(_, seal)| seal.head.sequence).collect())
    }

    /// Seals the generation that is being written, however little is in it, so that it can be
    /// removed one day; says whether it did. The writer waits meanwhile where it has no ring.
    ///
    /// # Errors
    /// [`JournalError`] when the next generation cannot be created.
    pub fn seal(&self) -> Result<bool, JournalError> {
        match self.store.upgrade() {
            Some(store) => store::lock(&store).seal_now(),
            None => Ok(false),
        }
    }

    /// Removes every sealed generation that ends at or before a sequence, for ever; returns how
    /// many. Whoever asks has made what was in them dispensable: it must be behind two checkpoints.
    ///
    /// # Errors
    /// [`JournalError`]; the journal then begins where it did, or behind what was to be removed.
    pub fn remove_through(&self, sequence: u64) -> Result<u64, JournalError> {
        let plan = self.whole_plan()?;
        let behind = |seal: &Seal| seal.head.sequence <= sequence;
        let removed = plan.sealed.iter().take_while(|row| behind(&row.1));
        let Some((number, seal)) = removed.clone().last() else {
            return Ok(0);
        };
        let first = First {
            generation: number.saturating_add(1),
            before: seal.head,
        };
        let generations = self.directory.join("j");
        let failed = |error| StoreError::io("shorten", &generations, error).fault();
        // Nobody may be reading what goes.
        let mut older = lock(&self.older);
        *older = None;
        first.write(&generations).map_err(failed)?;
        first.remove_before(&generations).map_err(failed)?;
        // Whoever found one of them in the meantime cannot open it any more.
        *lock(&self.known) = None;
        Ok(u64::try_from(removed.count()).unwrap_or(u64::MAX))
    }

    /// Copies the journal up to `until`, which must be durable and the end of a group commit, to an
    /// empty folder, as a store that was closed cleanly; returns where the copy ends.
    ///
    /// # Errors
    /// [`JournalError`]; the copy is of no use then.
    pub fn copy_to(
        &self,
        to: &Path,
        until: u64,
        progress: &CopyProgress,
    ) -> Result<Head, JournalError> {
        if let Some(drain) = &self.drain {
            drain.wait_for(until)?;
        }
        let plan = self.whole_plan()?;
        let (from, generations) = (self.directory.join("j"), to.join("j"));
        let failed = |error| StoreError::io("copy", &generations, error).fault();
        durable::create_directory(&generations).map_err(failed)?;
        if plan.first != First::WHOLE {
            plan.first.write(&generations).map_err(failed)?;
        }
        for (number, _) in &plan.sealed {
            // Nobody of this process may have it open, for sled writes when it opens and closes.
            let mut older = lock(&self.older);
            *older = None;
            let source = generation::directory(&from, *number);
            generation::wait_until_closed(&source).map_err(failed)?;
            let target = generation::directory(&generations, *number);
            copy_folder(&source, &target, progress)
                .map_err(|error| StoreError::corrupt("copy", &error.path, error.what).fault())?;
        }
        let next = plan.first.generation.saturating_add(count(&plan.sealed));
        let target = Generation::create(&generations, next, self.cache_bytes);
        let mut target = target.map_err(StoreError::fault)?;
        let head = self.copy_frames(&mut target, plan.last_sealed(), until)?;
        drop(target);
        watermark::write(to, head, None).map_err(StoreError::fault)?;
        Ok(head)
    }

    /// Copies the frames behind a position.
    fn copy_frames(
        &self,
        target: &mut Generation,
        from: Head,
        until: u64,
    ) -> Result<Head, JournalError> {
        let (mut head, mut unsynced, mut attempts) = (from, 0_usize, 0_u32);
        let mut fault = None;
        while head.sequence < until && fault.is_none() {
            let before = head;
            self.read(before.sequence, until, &mut |frame, bytes| {
                let last = frame.last_sequence();
                if last <= head.sequence {
                    return ControlFlow::Continue(());
                }
                if last > until {
                    return ControlFlow::Break(());
                }
                let copied = follow(&self.directory, head, frame).and_then(|()| {
                    let first = frame.header.first_sequence;
                    target.insert(first, bytes).map_err(StoreError::fault)?;
                    unsynced = unsynced.saturating_add(bytes.len());
                    if unsynced < GROUP_BYTES_MAX {
                        return Ok(());
                    }
                    unsynced = 0;
                    target.commit().map_err(StoreError::fault)
                });
                if let Err(error) = copied {
                    fault = Some(error);
                    return ControlFlow::Break(());
                }
                head = Head {
                    sequence: last,
                    chain: frame.chain,
                };
                ControlFlow::Continue(())
            })?;
            attempts = if head == before {
                attempts.saturating_add(1)
            } else {
                0
            };
            if attempts > ATTEMPTS_MAX {
                let at = (target.number(), head.sequence.saturating_add(1));
                let found = "none for seconds".to_owned();
                return Err(damage(
                    &self.directory,
                    at,
                    "a frame that is durable",
                    found,
                ));
            }
            if attempts > 0 {
                // The writer is about to move on to its next generation.
                thread::sleep(ATTEMPT_DELAY);
            }
        }
        fault.map_or(Ok(()), Err)?;
        target.commit().map_err(StoreError::fault)?;
        Ok(head)
    }

    /// Hands the frames from the one on that holds the record behind `after` to `take`, as far as
    /// one generation goes.
    fn read(&self, after: u64, until: u64, take: &mut Take<'_>) -> Result<(), JournalError> {
        if after >= until {
            return Ok(());
        }
        let mut drained = u64::MAX;
        if let Some(drain) = &self.drain {
            // Something to read is enough; what the drain brings meanwhile is the next page.
            drain.wait_for(after.saturating_add(1))?;
            drained = drain.drained();
        }
        // What is being inserted may be seen in part.
        let take: &mut Take<'_> = &mut |frame, bytes| match frame.last_sequence() > drained {
            true => ControlFlow::Break(()),
            false => take(frame, bytes),
        };
        let plan = self.known_plan()?;
        reaches(&plan, after)?;
        let older = plan
            .sealed
            .iter()
            .find(|(_, seal)| seal.head.sequence > after);
        match (older, plan.unsealed.first()) {
            (Some((number, seal)), _) => {
                // Beyond its seal a generation may have what does not count.
                let end = seal.head.sequence;
                self.read_older(*number, after, &mut |frame, bytes| {
                    if frame.last_sequence() > end {
                        return ControlFlow::Break(());
                    }
                    take(frame, bytes)
                })
            }
            (None, Some(number)) => match self.active.get(*number) {
                Some(db) => read(&db, &self.place(*number), after, take),
                // The writer is about to move on: the next page finds it.
                None => Ok(()),
            },
            (None, None) => Ok(()),
        }
    }

    /// The first record that is there.
    ///
    /// # Errors
    /// [`JournalError`] when the generations cannot be read.
    pub fn first_sequence(&self) -> Result<u64, JournalError> {
        let plan = self.whole_plan()?;
        Ok(plan.first.before.sequence.saturating_add(1))
    }

    fn whole_plan(&self) -> Result<Plan, JournalError> {
        Plan::read(&self.directory, &self.directory.join("j"))
    }

    /// The generations, from the disk only where those found last are not all any more.
    fn known_plan(&self) -> Result<Arc<Plan>, JournalError> {
        let mut known = lock(&self.known);
        if let Some(plan) = known.as_ref()
            && self.is_current(plan)?
        {
            return Ok(Arc::clone(plan));
        }
        Ok(Arc::clone(known.insert(Arc::new(self.whole_plan()?))))
    }

    /// Whether the generation that was written when the plan was made is still written. What is
    /// removed makes the plan be forgotten.
    fn is_current(&self, plan: &Plan) -> Result<bool, JournalError> {
        let Some(number) = plan.unsealed.first() else {
            return Ok(false);
        };
        let path = generation::directory(&self.directory.join("j"), *number);
        Ok(self.active.get(*number).is_some() && Seal::read(&path)?.is_none())
    }

    fn read_older(&self, number: u64, after: u64, take: &mut Take<'_>) -> Result<(), JournalError> {
        // Sealed a moment ago, it may still be the one that the writer has open.
        if let Some(db) = self.active.get(number) {
            return read(&db, &self.place(number), after, take);
        }
        let mut older = lock(&self.older);
        if older.as_ref().is_none_or(|it| it.number() != number) {
            // It may have been removed a moment ago.
            reaches(&self.whole_plan()?, after)?;
            // The one before closes first: both would hold their caches.
            *older = None;
            let generations = self.directory.join("j");
            let opened = Generation::open(&generations, number, self.cache_bytes);
            *older = Some(opened.map_err(StoreError::fault)?);
        }
        match older.as_ref().and_then(Generation::shared) {
            Some(db) => read(&db, &self.place(number), after, take),
            None => Ok(()),
        }
    }

    fn place(&self, number: u64) -> Place {
        Place {
            directory: self.directory.clone(),
            number,
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The generations must reach back to the records after `after`.
fn reaches(plan: &Plan, after: u64) -> Result<(), JournalError> {
    let before = plan.first.before.sequence;
    if after < before {
        let first = before.saturating_add(1);
        return Err(JournalError::Truncated { first });
    }
    Ok(())
}

/// Which generation is read, for errors.
struct Place {
    directory: PathBuf,
    number: u64,
}

fn read(db: &Db, place: &Place, after: u64, take: &mut Take<'_>) -> Result<(), JournalError> {
    let path = generation::directory(&place.directory.join("j"), place.number);
    let next = after.saturating_add(1);
    for frame in generation::frames_from(db, &path, next).map_err(StoreError::fault)? {
        let (sequence, bytes) = frame.map_err(StoreError::fault)?;
        let frame = decode_frame(&bytes).map_err(|error| {
            let at = (place.number, sequence.max(next));
            damage(
                &place.directory,
                at,
                "a whole frame",
                format!("a bad frame: {error}"),
            )
        })?;
        if take(&frame, &bytes).is_break() {
            return Ok(());
        }
    }
    Ok(())
}

fn count<T>(rows: &[T]) -> u64 {
    u64::try_from(rows.len()).unwrap_or(u64::MAX)
}

/// Proves that a frame is the next one behind a position.
fn follow(directory: &Path, head: Head, frame: &Frame<'_>) -> Result<(), JournalError> {
    let next = head.sequence.saturating_add(1);
    let found = (frame.header.first_sequence, frame.header.previous);
    if found == (next, head.chain) {
        return Ok(());
    }
    let expected = format!(
        "a frame from sequence {next} after chain hash {}",
        head.chain
    );
    let found = format!("one from sequence {} after {}", found.0, found.1);
    Err(damage(directory, (0, next), &expected, found))
}
