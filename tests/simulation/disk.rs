//! A disk that does what disks do: it keeps what it confirmed, unless it is told to fail.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard};

use cardswitch::journal::Medium;

use crate::checkpoint::Checkpoints;
use crate::dice::Dice;

const SECTOR: usize = 512;

/// What happens at a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The process ends; what it wrote before stays.
    Kill,
    /// Power goes; what was not synced may be gone.
    PowerCut,
    /// The write fails and nothing tells how much of it was done.
    WriteError { lying: bool },
    /// No space in the store.
    Full,
    /// A write to the ring goes to another place.
    Misdirected,
}

/// The bytes of a store, and what will go wrong with it.
#[derive(Default)]
pub(crate) struct Disk {
    ring: Option<Vec<u8>>,
    watermark: Option<Vec<u8>>,
    frames: BTreeMap<u64, Vec<u8>>,
    /// Frames that no sync has made durable.
    unsynced: Vec<u64>,
    pub(crate) checkpoints: Checkpoints,
    /// Trouble, and after how many more writes.
    armed: Option<(Trouble, u64)>,
    dice: Option<Dice>,
    /// Nothing can be written any more before a restart.
    is_down: bool,
    /// What is confirmed from now on is not kept: places of the ring as they were.
    lies: Option<Vec<(usize, Vec<u8>)>>,
    lied_frames: Vec<u64>,
    pub(crate) is_corrupted: bool,
}

/// A disk that journal and world both know.
#[derive(Clone, Default)]
pub(crate) struct SharedDisk(Arc<Mutex<Disk>>);

impl SharedDisk {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap()
    }
}

impl Disk {
    /// Lets something go wrong at the write after so many.
    pub(crate) fn arm(&mut self, trouble: Trouble, after: u64, dice: Dice) {
        (self.armed, self.dice) = (Some((trouble, after)), Some(dice));
    }

    /// Nothing goes wrong any more; whether something would have.
    pub(crate) fn disarm(&mut self) -> bool {
        self.armed.take().is_some()
    }

    /// Power goes, and the disk comes back with what it kept.
    pub(crate) fn cut_power(&mut self, dice: &mut Dice) {
        if let (Some(lies), Some(ring)) = (self.lies.take(), &mut self.ring) {
            for (offset, before) in lies.into_iter().rev() {
                ring[offset..offset + before.len()].copy_from_slice(&before);
            }
        }
        for sequence in std::mem::take(&mut self.lied_frames) {
            self.frames.remove(&sequence);
        }
        for sequence in std::mem::take(&mut self.unsynced) {
            if dice.permille(500) {
                self.frames.remove(&sequence);
            }
        }
        self.restart();
    }

    /// Whether it confirms what it does not keep.
    pub(crate) fn is_lying(&self) -> bool {
        self.lies.is_some()
    }

    /// A new process finds the disk as the last one left it.
    pub(crate) fn restart(&mut self) {
        self.is_down = false;
        self.armed = None;
        // A start makes durable what it finds.
        self.unsynced.clear();
    }

    /// Changes one bit of what is stored, loses a frame of the store or all that came last; only of
    /// frames before the one that holds a sequence, where that is given.
    pub(crate) fn rot(&mut self, frames_before: Option<u64>, dice: &mut Dice) {
        let mut sequences: Vec<u64> = match frames_before {
            Some(last) => self.frames.range(..=last).map(|it| *it.0).collect(),
            None => self.frames.keys().copied().collect(),
        };
        if frames_before.is_some() {
            sequences.pop();
        }
        let frame = match sequences.len() {
            0 => None,
            count => Some(sequences[dice.index(count)]),
        };
        let target = match (frames_before, dice.below(10)) {
            (None, 0) => self.watermark.as_mut(),
            (None, 1..4) => self.ring.as_mut(),
            (None, 4 | 5) => {
                // What it confirmed last is gone everywhere.
                let ring = self.ring.as_mut().and_then(|ring| ring.get_mut(4_096..));
                ring.into_iter().for_each(|places| places.fill(0));
                self.frames.pop_last();
                self.is_corrupted = true;
                None
            }
            (_, 4..7) => {
                // The youngest are lost most easily.
                let youngest = sequences.last().copied().filter(|_| dice.permille(500));
                let lost = youngest.or(frame).and_then(|it| self.frames.remove(&it));
                self.is_corrupted |= lost.is_some();
                None
            }
            _ => frame.and_then(|sequence| self.frames.get_mut(&sequence)),
        };
        if let Some(bytes) = target {
            let bit = dice.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            self.is_corrupted = true;
        }
    }

    /// Counts a write: whether it goes wrong, and how.
    fn next_write(&mut self) -> io::Result<Option<Trouble>> {
        if self.is_down {
            return Err(ErrorKind::BrokenPipe.into());
        }
        match &mut self.armed {
            Some((_, after @ 1..)) => *after -= 1,
            Some((trouble, 0)) => {
                let trouble = *trouble;
                self.armed = None;
                return Ok(Some(trouble));
            }
            None => {}
        }
        Ok(None)
    }

    fn die(&mut self) -> io::Error {
        self.is_down = true;
        ErrorKind::BrokenPipe.into()
    }

    fn put(&mut self, offset: usize, bytes: &[u8]) {
        let ring = self.ring.as_mut().unwrap();
        let place = &mut ring[offset..offset + bytes.len()];
        if let Some(lies) = &mut self.lies {
            lies.push((offset, place.to_vec()));
        }
        place.copy_from_slice(bytes);
    }

    /// Writes some sectors of what should have been written: the first ones, or any.
    fn tear(&mut self, offset: usize, bytes: &[u8], in_order: bool) {
        let mut dice = self.dice.take().unwrap_or(Dice::of(0, 0, 0));
        let sectors = bytes.len().div_ceil(SECTOR);
        let count = dice.index(sectors + 1);
        for (number, sector) in bytes.chunks(SECTOR).enumerate() {
            let is_kept = match in_order {
                true => number < count,
                false => dice.permille(500),
            };
            if is_kept {
                self.put(offset + number * SECTOR, sector);
            }
        }
        self.dice = Some(dice);
    }
}

impl Medium for SharedDisk {
    fn read_ring(&mut self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.lock().ring.clone())
    }

    fn create_ring(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        let mut disk = self.lock();
        if disk.next_write()?.is_some() {
            return Err(disk.die());
        }
        disk.ring = Some(bytes);
        Ok(())
    }

    fn write_ring(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.lock();
        let offset = usize::try_from(offset).unwrap();
        match disk.next_write()? {
            None => disk.put(offset, bytes),
            Some(Trouble::Full) => {
                // The ring has its space; the store has not.
                disk.armed = Some((Trouble::Full, 0));
                disk.put(offset, bytes);
            }
            Some(Trouble::Kill) => {
                disk.tear(offset, bytes, true);
                return Err(disk.die());
            }
            Some(Trouble::PowerCut) => {
                disk.tear(offset, bytes, false);
                return Err(disk.die());
            }
            Some(Trouble::WriteError { lying }) => {
                if lying {
                    // The pages count as written, and are not.
                    disk.lies = Some(Vec::new());
                } else {
                    disk.tear(offset, bytes, false);
                }
                return Err(io::Error::other("input/output error"));
            }
            Some(Trouble::Misdirected) => {
                let blocks = disk.ring.as_ref().unwrap().len() / 4_096;
                let mut dice = disk.dice.take().unwrap();
                let room = blocks - bytes.len() / 4_096;
                let elsewhere = 4_096 * (1 + dice.index(room));
                disk.put(elsewhere.min(4_096 * room), bytes);
                disk.is_corrupted = true;
            }
        }
        Ok(())
    }

    fn read_watermark(&mut self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.lock().watermark.clone())
    }

    fn create_watermark(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        let mut disk = self.lock();
        if disk.next_write()?.is_some() {
            return Err(disk.die());
        }
        disk.watermark = Some(bytes);
        Ok(())
    }

    fn write_watermark(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.lock();
        let offset = usize::try_from(offset).unwrap();
        let trouble = disk.next_write()?;
        if disk.lies.is_some() {
            return Ok(());
        }
        match trouble {
            None | Some(Trouble::Full | Trouble::Misdirected) => {
                let file = disk.watermark.as_mut().unwrap();
                file[offset..offset + bytes.len()].copy_from_slice(bytes);
                Ok(())
            }
            // One sector: it is there or it is not.
            Some(Trouble::Kill | Trouble::PowerCut) => Err(disk.die()),
            Some(Trouble::WriteError { .. }) => Err(io::Error::other("input/output error")),
        }
    }

    fn frames(&mut self) -> io::Result<Vec<(u64, Vec<u8>)>> {
        let disk = self.lock();
        let frames = disk.frames.iter();
        Ok(frames
            .map(|(sequence, frame)| (*sequence, frame.clone()))
            .collect())
    }

    fn insert_frame(&mut self, first_sequence: u64, frame: &[u8]) -> io::Result<()> {
        let mut disk = self.lock();
        match disk.next_write()? {
            None | Some(Trouble::Misdirected) => {}
            Some(Trouble::Kill | Trouble::PowerCut) => return Err(disk.die()),
            Some(Trouble::WriteError { .. }) => return Err(io::Error::other("input/output error")),
            Some(Trouble::Full) => return Err(ErrorKind::StorageFull.into()),
        }
        if disk.lies.is_some() {
            disk.lied_frames.push(first_sequence);
        }
        disk.unsynced.push(first_sequence);
        match disk.frames.insert(first_sequence, frame.to_vec()) {
            None => Ok(()),
            Some(_) => Err(ErrorKind::AlreadyExists.into()),
        }
    }

    fn sync_frames(&mut self) -> io::Result<()> {
        let mut disk = self.lock();
        match disk.next_write()? {
            None | Some(Trouble::Misdirected | Trouble::Full) => {}
            Some(Trouble::Kill | Trouble::PowerCut) => return Err(disk.die()),
            Some(Trouble::WriteError { lying }) => {
                if lying {
                    let lied = std::mem::take(&mut disk.unsynced);
                    disk.lied_frames.extend(lied);
                    disk.lies = Some(Vec::new());
                }
                return Err(io::Error::other("input/output error"));
            }
        }
        disk.unsynced.clear();
        Ok(())
    }
}
