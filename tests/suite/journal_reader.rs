//! Reading the journal beside its writer: every durable record, in order, across generations.

use std::ops::ControlFlow;
use std::thread;
use std::time::Duration;

use cardswitch::journal::{Batch, Journal, JournalReader, SledJournal, SledOptions};

use super::journal_contract::{SMALL, WITHOUT_RING};

const RECORDS: u64 = 3_000;
const BATCH: u64 = 50;

fn content(sequence: u64) -> Vec<u8> {
    let mut bytes = sequence.to_le_bytes().to_vec();
    bytes.resize(200, b'x');
    bytes
}

fn append(journal: &mut SledJournal, count: u64) {
    let mut batch = Batch::new();
    batch.clear(journal.last_sequence() + 1);
    for _ in 0..count {
        let sequence = journal.last_sequence() + u64::try_from(batch.len()).unwrap() + 1;
        batch.push(|record| record.extend_from_slice(&content(sequence)));
    }
    journal.append(&batch).unwrap();
}

/// Reads from `after` to `until` and checks every record; the number of pages.
fn read_all(reader: &JournalReader, mut after: u64, until: u64) -> u32 {
    let mut pages = 0;
    while after < until {
        let mut expected = after + 1;
        let last = reader.page(after, until, &mut |sequence, record| {
            assert_eq!((sequence, record), (expected, content(sequence).as_slice()));
            expected += 1;
            ControlFlow::Continue(())
        });
        let last = last.unwrap();
        assert_eq!(last + 1, expected);
        pages += u32::from(last > after);
        after = last;
    }
    pages
}

#[test]
fn a_reader_sees_every_durable_record_while_the_writer_goes_on() {
    // With a ring the newest records are not in sled yet when they are asked for.
    for options in [WITHOUT_RING, SMALL] {
        check_reading(options);
    }
}

fn check_reading(options: SledOptions) {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = SledJournal::open(folder.path(), options, &mut |_| Ok(())).unwrap();
    let reader = journal.reader().unwrap();
    assert_eq!(read_all(&reader, 0, 0), 0);
    append(&mut journal, 7);
    assert_eq!(read_all(&reader, 0, 7), 1);
    assert_eq!(read_all(&reader, 3, 5), 1, "a part of a frame");
    let beside = reader.clone();
    let reading = thread::spawn(move || {
        let mut read = 0;
        // What was there when it began, over and over, while generations come and go.
        while read < 40 {
            read_all(&beside, 0, 7);
            read += 1;
        }
    });
    for _ in 0..RECORDS / BATCH {
        append(&mut journal, BATCH);
        let last = journal.last_sequence();
        read_all(&reader, last - BATCH, last);
        // Generations are created ahead by a thread of their own.
        thread::sleep(Duration::from_micros(200));
    }
    reading.join().unwrap();
    let last = journal.last_sequence();
    let pages = read_all(&reader, 0, last);
    assert!(pages > 1, "{pages} generations");
    let mut stopped = 0;
    let upto = reader.page(100, last, &mut |sequence, _| {
        stopped = sequence;
        ControlFlow::Break(())
    });
    assert_eq!((upto.unwrap(), stopped), (101, 101));
    drop(reader);
    journal.close().unwrap();
    let mut journal = SledJournal::open(folder.path(), options, &mut |_| Ok(())).unwrap();
    let reader = journal.reader().unwrap();
    assert_eq!(read_all(&reader, 0, last), pages);
}

#[test]
fn whoever_follows_is_told_how_far_without_waiting_and_gets_every_record_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = SledJournal::open(folder.path(), SMALL, &mut |_| Ok(())).unwrap();
    let reader = journal.reader().unwrap();
    let beside = reader.clone();
    let following = thread::spawn(move || {
        let mut read = 0;
        while read < RECORDS {
            let drained = beside.drained().unwrap();
            assert!(drained >= read, "{drained} after {read}");
            read_all(&beside, read, drained);
            read = drained;
        }
        read
    });
    for _ in 0..RECORDS / BATCH {
        append(&mut journal, BATCH);
        assert!(reader.drained().unwrap() <= journal.last_sequence());
        thread::sleep(Duration::from_micros(200));
    }
    assert_eq!(following.join().unwrap(), RECORDS);
    drop(reader);
    journal.close().unwrap();
    let mut journal = SledJournal::open(folder.path(), WITHOUT_RING, &mut |_| Ok(())).unwrap();
    let reader = journal.reader().unwrap();
    assert_eq!(reader.drained(), None, "every durable record can be read");
    assert!(read_all(&reader, 0, RECORDS) > 1);
}
