//! One generation: a sled store that frames are only ever added to.
//!
//! sled's `flush` hands bytes to the kernel without making them survive a power cut. A commit
//! here is therefore `insert`s, `flush`, and then a data sync of our own on the same file.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::sled::{Db, IVec, Tree};

use super::bytes::Reader;
use super::contain::contain;
use super::durable;
use super::error::StoreError;
use super::seal::Seal;

/// Fixed for ever in a generation (sled stores it). At 8 MiB no leaf of 64 KiB frames reaches a
/// quarter of a segment, above which sled would write a file of its own that nobody syncs.
const SEGMENT_BYTES: usize = 8 << 20;

const READY: &str = "READY";
const SLED_FILE: &str = "db";

/// Attempts to open a store that a thread of this process still holds: two seconds in all.
const OPEN_ATTEMPTS_MAX: u32 = 1_000;
const OPEN_RETRY_DELAY: Duration = Duration::from_millis(2);

/// Key of the record every generation starts with: its number.
const IDENTITY_KEY: [u8; 1] = [0];
/// First byte of the key of a frame; its first sequence follows, big-endian.
const FRAME_KEY: u8 = 1;

const IDENTITY_MAGIC: [u8; 4] = *b"CSJG";
const IDENTITY_VERSION: u32 = 2;
/// Has all its frames in the tree of its identity; what is added to one goes there too.
const ONE_TREE_VERSION: u32 = 1;

/// Bytes of frames after which the next frame begins another tree of sled. sled writes a leaf anew
/// with every ten insertions, and again when it splits: a large frame four to five times. A tree
/// that ends before its tenth is written once. Frames so small that more of them fit cost little
/// to write again, and a tree for each nine of those would cost more.
const TREE_BYTES_MAX: usize = 256 << 10;

/// An open generation.
#[derive(Debug)]
pub(super) struct Generation {
    number: u64,
    path: PathBuf,
    /// Present until dropped: closing sled can panic, so it happens under control.
    db: Option<Db>,
    filling: Filling,
    /// The file sled writes, for our own data sync.
    file: File,
}

/// Where the next frame goes.
#[derive(Debug)]
enum Filling {
    /// To the tree of the identity, as releases before this one wrote.
    OneTree,
    /// To a tree that begins with it.
    NextTree,
    /// To this tree, which has so many bytes of frames.
    Tree(Tree, usize),
}

/// The directory of a generation.
pub(super) fn directory(generations: &Path, number: u64) -> PathBuf {
    generations.join(format!("{number:016x}"))
}

/// The number a directory name stands for; other names are not generations.
pub(super) fn number(name: &str) -> Option<u64> {
    let number = u64::from_str_radix(name, 16).ok()?;
    (name == format!("{number:016x}")).then_some(number)
}

/// The numbers of the generations in a folder, ascending; none where there is no folder.
pub(super) fn numbers(generations: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(generations) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        numbers.extend(name.to_str().and_then(number));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// The file an established generation must have and this one lacks.
pub(super) fn missing_file(directory: &Path) -> Option<&'static str> {
    [READY, SLED_FILE]
        .into_iter()
        .find(|name| !directory.join(name).is_file())
}

/// Waits until no thread of this process has a sealed generation open any more: whoever left it
/// may still be closing it.
pub(super) fn wait_until_closed(directory: &Path) -> io::Result<()> {
    let file = File::open(directory.join(SLED_FILE))?;
    for _ in 0..OPEN_ATTEMPTS_MAX {
        match file.try_lock_shared() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) => std::thread::sleep(OPEN_RETRY_DELAY),
        }
    }
    Err(io::ErrorKind::ResourceBusy.into())
}

impl Generation {
    /// Creates a generation; its name appears only when everything in it is durable.
    pub(super) fn create(
        generations: &Path,
        number: u64,
        cache_bytes: u64,
    ) -> Result<Generation, StoreError> {
        let path = directory(generations, number);
        let unfinished = generations.join(format!("{number:016x}.creating"));
        let failed = |error| StoreError::io("create", &path, error);
        if unfinished.exists() {
            // A power cut during an earlier creation. Frames go to finished names only.
            fs::remove_dir_all(&unfinished).map_err(failed)?;
        }
        durable::create_directory(&unfinished).map_err(failed)?;
        let db = open_sled(&unfinished, cache_bytes)?;
        let identity = [
            &IDENTITY_MAGIC[..],
            &IDENTITY_VERSION.to_le_bytes(),
            &number.to_le_bytes(),
        ];
        contained("create", &path, || {
            db.insert(IDENTITY_KEY, identity.concat())
        })?;
        contained("create", &path, || db.flush())?;
        contained("close", &path, move || {
            drop(db);
            Ok(())
        })?;
        durable::write_file(&unfinished, READY, b"this generation was created whole\n")
            .and_then(|()| durable::sync_tree(&unfinished))
            .and_then(|()| fs::rename(&unfinished, &path))
            .and_then(|()| durable::sync_directory(generations))
            .map_err(failed)?;
        Generation::open(generations, number, cache_bytes)
    }

    /// Opens an existing generation and makes everything in it durable.
    pub(super) fn open(
        generations: &Path,
        number: u64,
        cache_bytes: u64,
    ) -> Result<Generation, StoreError> {
        let path = directory(generations, number);
        let failed = |error| StoreError::io("open", &path, error);
        if let Some(name) = missing_file(&path) {
            return Err(StoreError::corrupt(
                "open",
                &path,
                format!("its file {name} is missing"),
            ));
        }
        remove_unfinished_snapshots(&path).map_err(failed)?;
        let db = open_sled(&path, cache_bytes)?;
        let opened = File::options()
            .read(true)
            .write(true)
            .open(path.join(SLED_FILE));
        let file = opened.map_err(failed)?;
        let mut generation = Generation {
            number,
            path,
            db: Some(db),
            filling: Filling::NextTree,
            file,
        };
        if generation.check_identity()? == ONE_TREE_VERSION {
            generation.filling = Filling::OneTree;
        }
        // What a killed process left in the page cache counts from here on, so it must be on the
        // device, with the snapshot sled has just written.
        let synced = durable::sync_tree(&generation.path);
        synced.map_err(|error| StoreError::io("open", &generation.path, error))?;
        Ok(generation)
    }

    /// Its number, dense from 0.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Its directory.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a frame under its first sequence; durable only after [`Generation::commit`].
    pub(super) fn insert(&mut self, first_sequence: u64, frame: &[u8]) -> Result<(), StoreError> {
        let key = frame_key(first_sequence);
        let is_full = match &self.filling {
            Filling::OneTree => false,
            Filling::NextTree => true,
            Filling::Tree(_, bytes) => *bytes >= TREE_BYTES_MAX,
        };
        if is_full {
            let tree = contained("write", &self.path, || self.db()?.open_tree(key))?;
            self.filling = Filling::Tree(tree, 0);
        }
        let before = contained("write", &self.path, || match &self.filling {
            Filling::Tree(tree, _) => tree.insert(key, frame),
            Filling::OneTree | Filling::NextTree => self.db()?.insert(key, frame),
        })?;
        if let Filling::Tree(_, bytes) = &mut self.filling {
            *bytes = bytes.saturating_add(frame.len());
        }
        self.was_absent(first_sequence, before)
    }

    /// Adds a frame that is missing, wherever it belongs; see [`Generation::insert`].
    pub(super) fn fill_in(&self, first_sequence: u64, frame: &[u8]) -> Result<(), StoreError> {
        let key = frame_key(first_sequence);
        let before = contained("write", &self.path, || {
            let db = self.db()?;
            match (&self.filling, names_around(db, &key).1) {
                (Filling::OneTree, _) => db.insert(key, frame),
                (_, Some(holder)) => db.open_tree(holder)?.insert(key, frame),
                (_, None) => db.open_tree(key)?.insert(key, frame),
            }
        })?;
        self.was_absent(first_sequence, before)
    }

    fn was_absent(&self, first_sequence: u64, before: Option<IVec>) -> Result<(), StoreError> {
        match before {
            None => Ok(()),
            Some(_) => {
                let detail = format!("sequence {first_sequence} was there already");
                Err(StoreError::corrupt("write", &self.path, detail))
            }
        }
    }

    /// Makes every frame added so far durable.
    pub(super) fn commit(&self) -> Result<(), StoreError> {
        contained("flush", &self.path, || self.db()?.flush())?;
        self.file
            .sync_data()
            .map_err(|error| StoreError::io("flush", &self.path, error))
    }

    /// Writes the seal behind the last frame that counts.
    pub(super) fn seal(&self, seal: &Seal) -> Result<(), StoreError> {
        seal.write(&self.path)
            .map_err(|error| StoreError::io("seal", &self.path, error))
    }

    /// Leaves sled as it is: closing would flush again, and after a fault nothing is written.
    pub(super) fn abandon(&mut self) {
        std::mem::forget(std::mem::replace(&mut self.filling, Filling::NextTree));
        std::mem::forget(self.db.take());
    }

    /// A handle for reading beside the writer; none once it is closed.
    pub(super) fn shared(&self) -> Option<Db> {
        self.db.clone()
    }

    /// Every frame in order of sequence: the sequence it is stored under, and its bytes.
    pub(super) fn frames(&self) -> Result<Frames<'_>, StoreError> {
        contained("read", &self.path, || Frames::of(self.db()?, &self.path, 0))
    }

    /// The version of its layout.
    fn check_identity(&self) -> Result<u32, StoreError> {
        let corrupt = |detail| Err(StoreError::corrupt("open", &self.path, detail));
        let Some(value) = contained("open", &self.path, || self.db()?.get(IDENTITY_KEY))? else {
            return corrupt("the record it starts with is missing".to_owned());
        };
        let mut reader = Reader(&value);
        let version = match (reader.array(), reader.u32()) {
            (Some(IDENTITY_MAGIC), Some(known @ (ONE_TREE_VERSION | IDENTITY_VERSION))) => known,
            _ => return corrupt("the record it starts with is not one of this release".to_owned()),
        };
        match reader.u64() {
            Some(number) if number == self.number => Ok(version),
            Some(number) => corrupt(format!("it says it is generation {number:016x}")),
            None => corrupt("the record it starts with is too short".to_owned()),
        }
    }

    fn db(&self) -> ::sled::Result<&Db> {
        let closed = || ::sled::Error::ReportableBug("the generation is closed".to_owned());
        self.db.as_ref().ok_or_else(closed)
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        let open = (
            std::mem::replace(&mut self.filling, Filling::NextTree),
            self.db.take(),
        );
        // Closing writes nothing that counts, and after a fault it may fail: nobody to tell.
        let _ = contain(move || drop(open));
    }
}

/// The frames from the one on that holds a sequence, as [`Generation::frames`].
pub(super) fn frames_from<'a>(
    db: &Db,
    path: &'a Path,
    sequence: u64,
) -> Result<Frames<'a>, StoreError> {
    contained("read", path, || Frames::of(db, path, sequence))
}

/// The frames of a generation, see [`Generation::frames`].
pub(super) struct Frames<'a> {
    path: &'a Path,
    db: Db,
    /// Of the tree that is read.
    entries: ::sled::Iter,
    /// Names of the trees behind it, the next one last.
    behind: Vec<IVec>,
}

impl<'a> Frames<'a> {
    /// From the frame on that holds a sequence, or from the first behind it.
    fn of(db: &Db, path: &'a Path, sequence: u64) -> ::sled::Result<Frames<'a>> {
        let key = frame_key(sequence);
        let (behind, holder) = names_around(db, &key);
        // The frames in the tree of the identity are the oldest.
        let tree = holder.map_or_else(|| Ok(Tree::clone(db)), |name| db.open_tree(name))?;
        let first = match tree
            .range([FRAME_KEY].as_slice()..=key.as_slice())
            .next_back()
        {
            Some(frame) => frame?.0,
            None => IVec::from(&key),
        };
        Ok(Frames {
            path,
            db: db.clone(),
            entries: tree.range(first..),
            behind,
        })
    }

    fn next_entry(&mut self) -> ::sled::Result<Option<(IVec, IVec)>> {
        loop {
            if let Some(entry) = self.entries.next() {
                return entry.map(Some);
            }
            let Some(name) = self.behind.pop() else {
                return Ok(None);
            };
            self.entries = self.db.open_tree(name)?.iter();
        }
    }
}

impl Iterator for Frames<'_> {
    type Item = Result<(u64, IVec), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let path = self.path;
        let (key, bytes) = match contained("read", path, || self.next_entry()).transpose()? {
            Ok(entry) => entry,
            Err(error) => return Some(Err(error)),
        };
        let mut reader = Reader(&key);
        let sequence = match (reader.array(), reader.array(), reader.0) {
            (Some([FRAME_KEY]), Some(sequence), []) => u64::from_be_bytes(sequence),
            _ => {
                let detail = format!("a key of {} bytes that is not a frame's", key.len());
                return Some(Err(StoreError::corrupt("read", path, detail)));
            }
        };
        Some(Ok((sequence, bytes)))
    }
}

/// The names of the trees that begin behind a frame, the first of them last; and the name of the
/// one that the frame belongs to.
fn names_around(db: &Db, key: &[u8; 9]) -> (Vec<IVec>, Option<IVec>) {
    let mut behind = db.tree_names();
    // The tree of the identity has another kind of name.
    behind.retain(|name| name.len() == key.len() && name.first() == Some(&FRAME_KEY));
    behind.sort_unstable_by(|one, other| other.cmp(one));
    let count = behind.partition_point(|name| name.as_ref() > key.as_slice());
    let holder = behind.get(count).cloned();
    behind.truncate(count);
    (behind, holder)
}

fn open_sled(directory: &Path, cache_bytes: u64) -> Result<Db, StoreError> {
    let config = ::sled::Config::new()
        .path(directory)
        .segment_size(SEGMENT_BYTES)
        .cache_capacity(cache_bytes)
        // No background thread: it would collect garbage and move frames behind our sync.
        .flush_every_ms(None);
    let mut attempts_left = OPEN_ATTEMPTS_MAX;
    loop {
        attempts_left = attempts_left.saturating_sub(1);
        match contained("open", directory, || config.open()) {
            Err(error) if attempts_left > 0 && error.is_lock_held() => {
                // A thread of sled may close the file a moment after its store was dropped in
                // this process; no other process can be here, for we hold the store's own lock.
                std::thread::sleep(OPEN_RETRY_DELAY);
            }
            outcome => return outcome,
        }
    }
}

/// Runs a call into sled; its errors and panics become one kind of error.
fn contained<T>(
    action: &'static str,
    path: &Path,
    work: impl FnOnce() -> ::sled::Result<T>,
) -> Result<T, StoreError> {
    match contain(work) {
        Ok(outcome) => outcome.map_err(|error| StoreError::sled(action, path, error)),
        Err(panic) => Err(StoreError::corrupt(action, path, panic)),
    }
}

/// Removes half-written snapshots: sled refuses to open beside one, and they hold nothing that
/// is not in the log.
fn remove_unfinished_snapshots(directory: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn frame_key(first_sequence: u64) -> [u8; 9] {
    let mut key = [FRAME_KEY; 9];
    if let Some((_, tail)) = key.split_first_mut() {
        tail.copy_from_slice(&first_sequence.to_be_bytes());
    }
    key
}
