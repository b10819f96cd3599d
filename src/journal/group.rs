//! Splits a batch into frames and group commits, the same way for every backend.

use super::batch::Batch;
use super::error::JournalError;
use super::frame::{FrameHeader, FrameWriter, PAYLOAD_BYTES_MAX, RECORD_BYTES_MAX};
use super::seal::Head;

/// Frames between two device flushes, in bytes. It stays far below a segment of sled (8 MiB) even
/// after sled has rewritten its pages several times, because sled reuses a segment it believes
/// replaced before our flush has made the replacement durable.
pub(super) const GROUP_BYTES_MAX: usize = 512 << 10;

/// Where frames go.
pub(super) trait FrameSink {
    /// Takes one frame; its first sequence is its key, and `after` the journal's head with it.
    fn insert(
        &mut self,
        first_sequence: u64,
        frame: &[u8],
        after: Head,
    ) -> Result<(), JournalError>;

    /// Makes every frame taken so far durable.
    fn commit(&mut self) -> Result<(), JournalError>;
}

/// Writes a batch behind `head` and returns the new head; all of it is durable when this returns
/// `Ok`.
///
/// What can be refused is refused before the first frame is written.
pub(super) fn write_batch(
    batch: &Batch,
    head: Head,
    writer: &mut FrameWriter,
    sink: &mut impl FrameSink,
) -> Result<Head, JournalError> {
    check(batch, head)?;
    let mut head = head;
    let mut start = 0;
    while start < batch.len() {
        start = write_group(batch, start, writer, sink, &mut head)?;
        let committed = sink.commit();
        if planted!(FailedSyncRetried) && committed.is_err() {
            sink.commit()?;
        } else {
            committed?;
        }
    }
    assert_eq!(
        head.sequence,
        batch.last_sequence(),
        "a batch was not written whole"
    );
    Ok(head)
}

/// Writes frames from the record at `start` up to a group's size; returns the record after it.
fn write_group(
    batch: &Batch,
    mut start: usize,
    writer: &mut FrameWriter,
    sink: &mut impl FrameSink,
    head: &mut Head,
) -> Result<usize, JournalError> {
    let group_first_sequence = batch.sequence_of(start);
    let mut group_bytes = 0;
    while start < batch.len() && group_bytes < GROUP_BYTES_MAX {
        let records = batch.fitting(start, PAYLOAD_BYTES_MAX);
        let header = FrameHeader {
            first_sequence: batch.sequence_of(start),
            group_first_sequence,
            count: u32::try_from(records.len()).unwrap_or(u32::MAX),
            previous: head.chain,
        };
        start = records.end;
        let (frame, chain) = writer.write(&header, batch.payload(records));
        *head = Head {
            sequence: batch.sequence_of(start).saturating_sub(1),
            chain,
        };
        sink.insert(header.first_sequence, frame, *head)?;
        group_bytes = group_bytes.saturating_add(frame.len());
    }
    Ok(start)
}

fn check(batch: &Batch, head: Head) -> Result<(), JournalError> {
    let expected = head.sequence.saturating_add(1);
    if batch.first_sequence() != expected {
        return Err(JournalError::OutOfSequence {
            expected,
            found: batch.first_sequence(),
        });
    }
    match batch.longer_than(RECORD_BYTES_MAX) {
        Some((sequence, found)) => Err(JournalError::RecordTooLarge { sequence, found }),
        None => Ok(()),
    }
}
