//! What every journal promises: the same cases for each backend.

use std::fs;

use cardswitch::journal::{
    Batch, ChainHash, CommitPoint, Journal, JournalError, MemoryJournal, MemoryStore,
    RECORD_BYTES_MAX, RING_BYTES_MIN, Records, Refused, Replay, SledJournal, SledOptions,
    WatermarkPolicy, decode_frame,
};
use tempfile::TempDir;

/// Small generations and a small ring, so that a test crosses several of them.
pub(crate) const SMALL: SledOptions = SledOptions {
    rotate_bytes: 64 << 10,
    commit: CommitPoint::Ring {
        bytes: RING_BYTES_MIN,
    },
    ..SledOptions::standard()
};

/// The same without a ring.
pub(crate) const WITHOUT_RING: SledOptions = SledOptions {
    commit: CommitPoint::Sled,
    ..SMALL
};

/// A place a journal can be opened in again and again.
enum Backend {
    Memory(MemoryStore),
    Sled(TempDir, SledOptions),
}

impl Backend {
    fn all() -> Vec<Backend> {
        let mut all = vec![
            Backend::Memory(MemoryStore::new()),
            Backend::Sled(tempfile::tempdir().unwrap(), SledOptions::standard()),
        ];
        for options in [SMALL, WITHOUT_RING] {
            for watermark in [WatermarkPolicy::Lazy, WatermarkPolicy::BeforeReply] {
                let options = SledOptions {
                    watermark,
                    ..options
                };
                all.push(Backend::Sled(tempfile::tempdir().unwrap(), options));
            }
        }
        all
    }

    fn open(&self, replay: &mut Replay<'_>) -> Result<Box<dyn Journal>, JournalError> {
        Ok(match self {
            Backend::Memory(store) => Box::new(MemoryJournal::open(store, replay)?),
            Backend::Sled(dir, options) => {
                Box::new(SledJournal::open(dir.path(), *options, replay)?)
            }
        })
    }

    /// Opens and collects what is replayed.
    fn reopen(&self) -> (Box<dyn Journal>, Vec<Vec<u8>>) {
        let mut records = Vec::new();
        let journal = self.open(&mut collect(&mut records)).unwrap();
        (journal, records)
    }
}

/// Collects replayed records and insists that their sequences are dense from 1.
pub(crate) fn collect(
    records: &mut Vec<Vec<u8>>,
) -> impl FnMut(Records<'_>) -> Result<(), Refused> {
    |frame| {
        frame.each(|sequence, record| {
            records.push(record.to_vec());
            assert_eq!(sequence, records.len() as u64, "sequences are not dense");
            Ok(())
        })
    }
}

/// A record whose bytes follow from its number and length.
fn record(number: u64, length: usize) -> Vec<u8> {
    number
        .to_le_bytes()
        .iter()
        .copied()
        .cycle()
        .take(length)
        .collect()
}

/// Appends one batch of records with these lengths, returns them.
pub(crate) fn append(journal: &mut dyn Journal, lengths: &[usize]) -> Vec<Vec<u8>> {
    let mut batch = Batch::new();
    let first = journal.last_sequence() + 1;
    batch.clear(first);
    let records: Vec<_> = (first..)
        .zip(lengths)
        .map(|(n, length)| record(n, *length))
        .collect();
    for record in &records {
        batch.push(|bytes| bytes.extend_from_slice(record));
    }
    journal.append(&batch).unwrap();
    assert_eq!(journal.last_sequence(), batch.last_sequence());
    records
}

#[test]
fn what_was_appended_is_replayed_in_order_with_the_same_chain() {
    // Batch shapes: one record, none, several, empty records, the largest record, several frames,
    // several group commits, and frames that fill their blocks as badly as they can.
    let alternating = [RECORD_BYTES_MAX, 1].repeat(9);
    let shapes: [&[usize]; 8] = [
        &[300],
        &[],
        &[1, 0, 299, 7],
        &[0],
        &[RECORD_BYTES_MAX],
        &[30_000; 5],
        &[10_000; 120],
        &alternating,
    ];
    let mut chains = Vec::new();
    for backend in Backend::all() {
        let (mut journal, replayed) = backend.reopen();
        assert!(replayed.is_empty());
        assert_eq!(
            (journal.last_sequence(), journal.chain()),
            (0, ChainHash::START)
        );
        let mut expected = Vec::new();
        for shape in shapes {
            let (before, chain) = (journal.last_sequence(), journal.chain());
            expected.extend(append(journal.as_mut(), shape));
            assert_eq!(journal.last_sequence(), before + shape.len() as u64);
            assert_eq!(journal.chain() == chain, shape.is_empty());
        }
        let chain = journal.chain();
        drop(journal);
        let (journal, replayed) = backend.reopen();
        assert!(
            replayed == expected,
            "replay differs from what was appended"
        );
        assert_eq!(
            (journal.last_sequence(), journal.chain()),
            (expected.len() as u64, chain)
        );
        chains.push(chain);
    }
    assert!(
        chains.windows(2).all(|pair| pair[0] == pair[1]),
        "backends disagree on the chain"
    );
}

#[test]
fn a_journal_goes_on_where_the_last_process_stopped() {
    for backend in Backend::all() {
        let mut expected = Vec::new();
        for round in 0..4 {
            let (mut journal, replayed) = backend.reopen();
            assert!(replayed == expected, "round {round}");
            expected.extend(append(journal.as_mut(), &[300; 16]));
        }
    }
}

#[test]
fn after_the_first_error_every_append_returns_it_and_nothing_was_written() {
    for backend in Backend::all() {
        // (first sequence of the batch, length of its last record, what the error says)
        let cases = [
            (
                2,
                RECORD_BYTES_MAX + 1,
                "record 3 has 65425 bytes, expected at most 65424",
            ),
            (4, 10, "the batch starts at sequence 4, expected 2"),
            (1, 10, "the batch starts at sequence 1, expected 2"),
        ];
        let (mut journal, _) = backend.reopen();
        let expected = append(journal.as_mut(), &[300]);
        drop(journal);
        for (first, length, message) in cases {
            let (mut journal, replayed) = backend.reopen();
            assert!(
                replayed == expected,
                "a refused batch left something behind"
            );
            let mut batch = Batch::new();
            batch.clear(first);
            batch.push(|bytes| bytes.extend_from_slice(b"first"));
            batch.push(|bytes| bytes.resize(length, 1));
            let error = journal.append(&batch).unwrap_err();
            assert_eq!(
                (error.to_string().as_str(), error.exit_code()),
                (message, 70)
            );
            batch.clear(2);
            batch.push(|bytes| bytes.extend_from_slice(b"a good record"));
            assert_eq!(journal.append(&batch).unwrap_err().to_string(), message);
            assert_eq!(journal.last_sequence(), 1);
        }
    }
}

#[test]
fn a_record_its_reader_refuses_stops_the_opening() {
    for backend in Backend::all() {
        append(backend.reopen().0.as_mut(), &[300; 3]);
        let mut refuse = |frame: Records<'_>| {
            frame.each(|sequence, _| match sequence {
                2 => Err("unknown event number 77".to_owned()),
                _ => Ok(()),
            })
        };
        let error = backend.open(&mut refuse).map(|_| ()).unwrap_err();
        let message = "record 2 was refused by its reader: unknown event number 77";
        assert_eq!(
            (error.to_string().as_str(), error.exit_code()),
            (message, 65)
        );
    }
}

#[test]
fn a_frame_written_by_the_first_release_is_read_for_ever() {
    let bytes = fs::read("fixtures/journal/frame-v1.bin").unwrap();
    let frame = decode_frame(&bytes).unwrap();
    assert_eq!(
        (
            frame.header.first_sequence,
            frame.header.group_first_sequence
        ),
        (1001, 1000)
    );
    assert_eq!((frame.header.count, frame.last_sequence()), (3, 1003));
    assert_eq!(frame.header.previous, ChainHash([0x11; 32]));
    let chain = "4dc4e813f62b6ea2541b71a78d62b30f896fef1b6c6d508f9590696bdcddaae8";
    assert_eq!(frame.chain.to_string(), chain);
    let records: Vec<_> = frame.records().collect();
    assert_eq!(
        records,
        [
            (1001, &b"hold opened"[..]),
            (1002, b""),
            (1003, b"hold captured")
        ]
    );
}
