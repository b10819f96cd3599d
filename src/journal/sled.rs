//! The journal on sled: one writer, one generation at a time, the next one created ahead.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::aligned::BLOCK_BYTES;
use super::batch::Batch;
use super::drain::RingCommit;
use super::error::{JournalError, StoreError};
use super::frame::{ChainHash, FrameWriter};
use super::group::write_batch;
use super::held::HeldStore;
use super::lock::StoreLock;
use super::options::{CommitPoint, RING_BYTES_MIN, RingMode, SledOptions};
use super::reader::JournalReader;
use super::recovery::{Opened, Recovery, recover};
use super::ring::{self, RingFile, RingHeader, RingId};
use super::seal::Head;
use super::store::{self, SharedStore, Store};
use super::watermark::{self, Watermark};
use super::{Journal, Replay};

/// A journal in a directory of one machine.
///
/// `append` returns when the device has the records, in the commit ring or in sled itself (see
/// [`CommitPoint`]), so an acknowledged record survives the end of the process and a power cut.
/// Every start proves it, see [`Recovery`]; the one gap in that proof is told at
/// [`WatermarkPolicy`](super::WatermarkPolicy).
///
/// ```
/// use cardswitch::journal::{Batch, Journal, SledJournal, SledOptions};
///
/// let directory = tempfile::tempdir()?;
/// let mut journal =
///     SledJournal::open(directory.path(), SledOptions::standard(), &mut |_| Ok(()))?;
/// let mut batch = Batch::new();
/// batch.clear(journal.last_sequence() + 1);
/// batch.push(|record| record.extend_from_slice(b"hold opened"));
/// journal.append(&batch)?;
/// journal.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SledJournal {
    directory: PathBuf,
    options: SledOptions,
    fault: Option<JournalError>,
    closed: bool,
    head: Head,
    writer: FrameWriter,
    recovery: Recovery,
    watermark: Watermark,
    /// Absent where group commits go to sled itself.
    ring: Option<RingCommit>,
    store: SharedStore,
    // The last field: the store is free only when everything above is closed.
    _lock: StoreLock,
}

impl SledJournal {
    /// Opens the store in `directory`, or creates it where there is none, and hands every record
    /// to `replay` in order.
    ///
    /// # Errors
    ///
    /// [`JournalError::Locked`] when another process has it open, [`JournalError::Damaged`] when
    /// anything acknowledged is missing or changed, [`JournalError::Replay`] when `replay` refused
    /// a record, and [`JournalError::CannotOpen`] or [`JournalError::DiskFull`] when the system
    /// refused an operation. Records already handed to `replay` then mean nothing.
    pub fn open(
        directory: &Path,
        options: SledOptions,
        replay: &mut Replay<'_>,
    ) -> Result<SledJournal, JournalError> {
        HeldStore::take(directory)?.open(options, None, replay)
    }

    pub(super) fn open_held(
        directory: &Path,
        lock: StoreLock,
        options: SledOptions,
        from: (Head, u64),
        replay: &mut Replay<'_>,
    ) -> Result<SledJournal, JournalError> {
        let Opened {
            active,
            spare,
            active_bytes,
            head,
            ring: found,
            recovery,
        } = recover(directory, options.cache_bytes, from, replay)?;
        let store = Store::new(directory, options, (active, active_bytes, head), spare);
        let store = Arc::new(Mutex::new(store));
        // From here sled has everything. The watermark says whether a ring belongs to the store,
        // so it is written after the ring is there, and before the ring goes.
        let (watermark, ring) = match options.commit {
            CommitPoint::Ring { bytes } => {
                let header = prepare_ring(directory, bytes, found)?;
                let watermark =
                    Watermark::open(directory, head, Some(header.id), options.watermark)?;
                let file = RingFile::open(directory)?;
                let theirs = Arc::clone(&store);
                (
                    watermark,
                    Some(RingCommit::start(file, header.bytes, head, theirs)?),
                )
            }
            CommitPoint::Sled => {
                let watermark = Watermark::open(directory, head, None, options.watermark)?;
                if found.is_some() {
                    ring::remove(directory)?;
                }
                (watermark, None)
            }
        };
        Ok(SledJournal {
            directory: directory.to_path_buf(),
            options,
            fault: None,
            closed: false,
            head,
            writer: FrameWriter::new(),
            recovery,
            watermark,
            ring,
            store,
            _lock: lock,
        })
    }

    /// What opening found.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// How the ring is written; none where group commits go to sled itself.
    #[must_use]
    pub fn ring_mode(&self) -> Option<RingMode> {
        self.ring.as_ref().map(RingCommit::mode)
    }

    /// Reads beside this journal; none once it has stopped.
    #[must_use]
    pub fn reader(&mut self) -> Option<JournalReader> {
        let active = store::lock(&self.store).reader()?;
        Some(JournalReader::new(
            self.directory.clone(),
            self.options.cache_bytes,
            (active, Arc::downgrade(&self.store)),
            self.ring.as_ref().map(RingCommit::drain),
        ))
    }

    /// Brings everything into sled, writes the watermark and closes; dropping does the same but
    /// cannot report an error.
    ///
    /// # Errors
    ///
    /// The fault that stopped the journal earlier, or the one that came up now.
    pub fn close(mut self) -> Result<(), JournalError> {
        self.finish()
    }

    fn finish(&mut self) -> Result<(), JournalError> {
        if std::mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        if let Some(ring) = &mut self.ring {
            ring.close()?;
        }
        self.watermark.close()?;
        if self.ring.is_some() {
            // Closed cleanly: nothing depends on the ring, and releases without one may open.
            watermark::write(&self.directory, self.head, None).map_err(StoreError::fault)?;
        }
        Ok(())
    }

    fn append_running(&mut self, batch: &Batch) -> Result<(), JournalError> {
        let head = match &mut self.ring {
            Some(ring) => write_batch(batch, self.head, &mut self.writer, ring)?,
            None => {
                let mut store = store::lock(&self.store);
                let head = write_batch(batch, self.head, &mut self.writer, &mut *store)?;
                store.rotate(head)?;
                head
            }
        };
        assert!(
            self.head.sequence < head.sequence,
            "a batch added no sequence"
        );
        self.watermark.note(head)?;
        self.head = head;
        Ok(())
    }
}

/// Makes the ring what the options ask for; everything in the one that was found is in sled.
fn prepare_ring(
    directory: &Path,
    bytes: u64,
    found: Option<RingHeader>,
) -> Result<RingHeader, StoreError> {
    let bytes = bytes
        .max(RING_BYTES_MIN)
        .next_multiple_of(BLOCK_BYTES as u64);
    let header = match found {
        Some(found) if found.bytes == bytes => return Ok(found),
        // The same store keeps the same identity: its watermark may name it already.
        Some(found) => RingHeader { bytes, ..found },
        None => RingHeader {
            bytes,
            id: RingId::draw(directory)?,
        },
    };
    ring::create(directory, header)?;
    Ok(header)
}

impl Journal for SledJournal {
    fn append(&mut self, batch: &Batch) -> Result<(), JournalError> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        if batch.is_empty() {
            return Ok(());
        }
        let outcome = self.append_running(batch);
        if let Err(error) = &outcome {
            self.fault = Some(error.clone());
            if error.is_after_write() {
                match &mut self.ring {
                    Some(ring) => ring.abandon(error),
                    None => store::lock(&self.store).abandon(),
                }
            }
        }
        outcome
    }

    fn last_sequence(&self) -> u64 {
        self.head.sequence
    }

    fn chain(&self) -> ChainHash {
        self.head.chain
    }
}

impl Drop for SledJournal {
    fn drop(&mut self) {
        // An error here has no receiver; the next start checks what is on disk.
        let _ = self.finish();
        // The drain ends before the lock goes, whatever happened.
        self.ring = None;
    }
}
