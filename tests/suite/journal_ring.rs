//! The commit ring in front of sled: what it must give back after a crash, and what it refuses.
//!
//! Where each byte or each pair of blocks is a case, a part of the cases runs; with
//! `CARDSWITCH_EXHAUSTIVE=1` in the environment all of them do, which takes some minutes.

use std::collections::BTreeSet;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use cardswitch::journal::{
    Batch, CommitPoint, Journal, RING_BYTES_MIN, SledJournal, SledOptions, WatermarkPolicy,
};
use tempfile::TempDir;

use super::journal_contract::{SMALL, WITHOUT_RING, append, collect};
use super::journal_recovery::{copy, refused, take_from_sled, try_open};

const BLOCK: usize = 4096;

/// A store as a crash leaves it: groups that were durable in the ring, of which sled has nothing.
struct Crashed {
    dir: TempDir,
    records: Vec<Vec<u8>>,
    /// Number of records up to the end of each group, the first one being in sled as well.
    ends: Vec<usize>,
}

impl Crashed {
    /// One record in sled, then these groups in the ring; the watermark knows of all of them
    /// (`BeforeReply`) or of the first record only (`Lazy`).
    fn with_groups(groups: &[&[usize]], watermark: WatermarkPolicy) -> Crashed {
        let crashed = tempfile::tempdir().unwrap();
        let whole = tempfile::tempdir().unwrap();
        let options = SledOptions { watermark, ..SMALL };
        let open = || SledJournal::open(whole.path(), options, &mut |_| Ok(())).unwrap();
        let mut journal = open();
        let mut records = append(&mut journal, &[300]);
        let mut ends = vec![records.len()];
        journal.close().unwrap();
        copy(whole.path(), crashed.path());
        let mut journal = open();
        let take = |name: &str| {
            fs::copy(whole.path().join(name), crashed.path().join(name)).unwrap();
        };
        take("watermark");
        for lengths in groups {
            records.extend(append(&mut journal, lengths));
            ends.push(records.len());
        }
        if watermark == WatermarkPolicy::BeforeReply {
            take("watermark");
        }
        take("ring");
        Crashed {
            dir: crashed,
            records,
            ends,
        }
    }

    /// Another store like this one whose ring was changed.
    fn changed(&self, change: impl FnOnce(&mut Vec<u8>)) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        copy(self.dir.path(), dir.path());
        let path = dir.path().join("ring");
        let mut ring = fs::read(&path).unwrap();
        change(&mut ring);
        fs::write(path, ring).unwrap();
        dir
    }

    /// The store opens with all records up to the last group but one at least, and goes on; or it
    /// is refused, which `may_refuse` must allow. True when it opened.
    fn check(&self, dir: &Path, may_refuse: bool, case: &str) -> bool {
        let acknowledged = self.ends[self.ends.len() - 2];
        let mut records = match try_open(dir) {
            Ok(records) => records,
            Err(error) => {
                assert!(may_refuse, "{case}: {error}");
                assert!(
                    try_open(dir).is_err(),
                    "{case}: the second start was not refused"
                );
                return false;
            }
        };
        assert!(
            self.records.starts_with(&records),
            "{case}: a changed record"
        );
        assert!(
            records.len() >= acknowledged,
            "{case}: {} records",
            records.len()
        );
        // The sequences of what was torn are used again, by other records.
        let mut journal = SledJournal::open(dir, SMALL, &mut |_| Ok(())).unwrap();
        records.extend(append(&mut journal, &[77, 78]));
        drop(journal);
        assert!(
            try_open(dir).unwrap() == records,
            "{case}: not what was appended"
        );
        true
    }
}

/// The blocks of the ring that are not all zeros, without the first one.
fn written_blocks(ring: &[u8]) -> usize {
    let written = ring
        .chunks(BLOCK)
        .rposition(|block| block.iter().any(|b| *b != 0));
    written.unwrap()
}

fn block(ring: &mut [u8], number: usize) -> &mut [u8] {
    &mut ring[number * BLOCK..][..BLOCK]
}

/// All cases when everything is asked for, else one in so many.
fn some<T>(cases: impl Iterator<Item = T>, one_in: usize) -> Vec<T> {
    let all = std::env::var_os("CARDSWITCH_EXHAUSTIVE").is_some();
    cases.step_by(if all { 1 } else { one_in }).collect()
}

/// Runs cases on several threads: each waits for the device most of the time.
fn side_by_side<T: Send>(cases: Vec<T>, check: impl Fn(T) + Sync) {
    let cases = std::sync::Mutex::new(cases);
    std::thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| {
                loop {
                    let case = cases.lock().unwrap().pop();
                    match case {
                        Some(case) => check(case),
                        None => return,
                    }
                }
            });
        }
    });
}

#[test]
fn what_only_the_ring_had_is_replayed_and_stays() {
    // One group, several frames in a group, several groups, and more than one sync of sled.
    let cases: [&[&[usize]]; 4] = [
        &[&[300]],
        &[&[40_000; 3]],
        &[&[1, 0, 2], &[300], &[20_000; 7], &[5]],
        &[&[30_000; 20], &[300]],
    ];
    for groups in cases {
        let crashed = Crashed::with_groups(groups, WatermarkPolicy::Lazy);
        let mut records = Vec::new();
        let mut journal =
            SledJournal::open(crashed.dir.path(), SMALL, &mut collect(&mut records)).unwrap();
        assert!(records == crashed.records);
        let recovery = journal.recovery().clone();
        assert!(recovery.frames_from_ring >= groups.len() as u64);
        assert_eq!(recovery.frames_wiped, 0);
        records.extend(append(&mut journal, &[9, 9]));
        journal.close().unwrap();
        // Without its ring, as a release that knows none: sled has everything.
        let options = WITHOUT_RING;
        let mut again = Vec::new();
        drop(SledJournal::open(crashed.dir.path(), options, &mut collect(&mut again)).unwrap());
        assert!(again == records);
        assert!(!crashed.dir.path().join("ring").exists());
        assert!(try_open(crashed.dir.path()).unwrap() == records);
    }
}

#[test]
fn a_start_that_is_killed_and_repeated_gives_the_same_records() {
    let crashed = Crashed::with_groups(&[&[300, 200], &[40_000; 2]], WatermarkPolicy::Lazy);
    for _ in 0..3 {
        let mut records = Vec::new();
        let journal = SledJournal::open(crashed.dir.path(), SMALL, &mut collect(&mut records));
        assert!(records == crashed.records);
        // Nothing of the end of this run counts: its watermark names the ring as before.
        let watermark = fs::read(crashed.dir.path().join("watermark")).unwrap();
        drop(journal.unwrap());
        fs::write(crashed.dir.path().join("watermark"), watermark).unwrap();
    }
}

#[test]
fn any_write_torn_in_the_last_group_keeps_all_before_it_and_nothing_halfway() {
    // The last group: one small frame; several frames of nine blocks.
    for last in [&[20, 30][..], &[33_000; 3]] {
        let crashed = Crashed::with_groups(&[&[300], last], WatermarkPolicy::Lazy);
        let ring = fs::read(crashed.dir.path().join("ring")).unwrap();
        let blocks = written_blocks(&ring);
        let first = 2;
        // Blocks that did not reach the disk: all behind each one, all before it, it alone, pairs.
        let mut cases: BTreeSet<Vec<usize>> = BTreeSet::new();
        for number in first..=blocks {
            cases.insert((number..=blocks).collect());
            cases.insert((first..=number).collect());
            cases.insert(vec![number]);
            cases.extend((number + 1..=blocks).map(|other| vec![number, other]));
        }
        let singles = cases.iter().filter(|lost| lost.len() != 2).cloned();
        let pairs = cases.iter().filter(|lost| lost.len() == 2).cloned();
        let chosen = some(singles, 2).into_iter().chain(some(pairs, 17));
        side_by_side(chosen.collect(), |lost| {
            let dir = crashed.changed(|ring| {
                lost.iter().for_each(|number| block(ring, *number).fill(0));
            });
            crashed.check(
                dir.path(),
                false,
                &format!("{lost:?} of {blocks} blocks lost"),
            );
        });
    }
}

#[test]
fn swapped_blocks_never_change_or_lose_a_record_silently() {
    let groups: [&[usize]; 3] = [&[300], &[33_000; 2], &[400]];
    for watermark in [WatermarkPolicy::Lazy, WatermarkPolicy::BeforeReply] {
        let crashed = Crashed::with_groups(&groups, watermark);
        let ring = fs::read(crashed.dir.path().join("ring")).unwrap();
        let blocks = written_blocks(&ring);
        let pairs = (1..=blocks).flat_map(|a| (a + 1..=blocks).map(move |b| (a, b)));
        side_by_side(some(pairs, 11), |(a, b)| {
            let dir = crashed.changed(|ring| {
                let kept = block(ring, a).to_vec();
                ring.copy_within(b * BLOCK..(b + 1) * BLOCK, a * BLOCK);
                block(ring, b).copy_from_slice(&kept);
            });
            // Whole frames that changed places are the same frames; else an acknowledged one is
            // gone, which must be said.
            crashed.check(dir.path(), true, &format!("blocks {a} and {b}"));
        });
    }
}

#[test]
fn no_changed_byte_loses_an_acknowledged_record_or_invents_one() {
    let groups: [&[usize]; 3] = [&[30], &[10], &[20]];
    for watermark in [WatermarkPolicy::Lazy, WatermarkPolicy::BeforeReply] {
        let crashed = Crashed::with_groups(&groups, watermark);
        // Frames of three groups, a block each: 108 bytes of header, a length, the record.
        let places = [(1, 142), (2, 122), (3, 132)];
        let cases = places
            .iter()
            .flat_map(|(block, bytes)| (0..bytes + 3).map(move |byte| (*block, *bytes, byte)));
        side_by_side(some(cases, 13), |(number, bytes, byte)| {
            let dir = crashed.changed(|ring| block(ring, number)[byte] ^= 1 << (byte % 8));
            let case = format!("byte {byte} of block {number}, {watermark:?}");
            // Behind a frame is filler. The last frame may be gone unless its watermark is there.
            let is_harmless = byte >= bytes;
            let is_torn = number == 3 && watermark == WatermarkPolicy::Lazy;
            let opened = crashed.check(dir.path(), !is_harmless && !is_torn, &case);
            assert_eq!(opened, is_harmless || is_torn, "{case}");
        });
    }
}

#[test]
fn a_ring_that_is_missing_foreign_or_cut_is_refused_while_it_is_needed() {
    let crashed = Crashed::with_groups(&[&[300], &[300]], WatermarkPolicy::Lazy);
    let other = Crashed::with_groups(&[&[300], &[300]], WatermarkPolicy::Lazy);
    type Damaging<'a> = &'a dyn Fn(&Path);
    let cases: [(&str, Damaging<'_>); 5] = [
        ("which may hold the last records", &|ring| {
            fs::remove_file(ring).unwrap();
        }),
        ("the ring of another store", &|ring| {
            fs::copy(other.dir.path().join("ring"), ring).unwrap();
        }),
        ("one of 65536 bytes", &|ring| {
            fs::File::options()
                .write(true)
                .open(ring)
                .unwrap()
                .set_len(65_536)
                .unwrap();
        }),
        ("does not begin like one", &|ring| {
            fs::write(ring, b"CSJR").unwrap()
        }),
        ("of a later group commit", &|ring| {
            let mut bytes = fs::read(ring).unwrap();
            block(&mut bytes, 1).fill(0);
            fs::write(ring, bytes).unwrap();
        }),
    ];
    for (because, damage) in cases {
        let dir = crashed.changed(|_| ());
        damage(&dir.path().join("ring"));
        refused(dir.path(), because);
    }
}

#[test]
fn sled_and_ring_that_tell_different_histories_are_refused() {
    let crashed = Crashed::with_groups(&[&[300], &[300]], WatermarkPolicy::Lazy);
    // Sled went on by itself after the crash: the same sequences, other records.
    let forked = crashed.changed(|_| ());
    fs::remove_file(forked.path().join("ring")).unwrap();
    fs::copy(
        Crashed::closed_watermark(&crashed),
        forked.path().join("watermark"),
    )
    .unwrap();
    let mut journal = SledJournal::open(forked.path(), WITHOUT_RING, &mut |_| Ok(())).unwrap();
    append(&mut journal, &[100, 100, 100]);
    journal.close().unwrap();
    for watermark in ["forked", "crashed"] {
        let dir = tempfile::tempdir().unwrap();
        copy(forked.path(), dir.path());
        let ring = crashed.dir.path().join("ring");
        fs::copy(ring, dir.path().join("ring")).unwrap();
        if watermark == "crashed" {
            let watermark = crashed.dir.path().join("watermark");
            fs::copy(watermark, dir.path().join("watermark")).unwrap();
        }
        refused(dir.path(), "that is in the ring");
    }
    // A store that was closed, beside a ring that knows more.
    let dir = crashed.changed(|_| ());
    fs::copy(
        Crashed::closed_watermark(&crashed),
        dir.path().join("watermark"),
    )
    .unwrap();
    refused(dir.path(), "nothing that the closed store lacks");
}

impl Crashed {
    /// The watermark of this store as it was closed with its first record.
    fn closed_watermark(&self) -> std::path::PathBuf {
        let path = self.dir.path().join("watermark-when-closed");
        let again = tempfile::tempdir().unwrap();
        let mut journal = SledJournal::open(again.path(), SMALL, &mut |_| Ok(())).unwrap();
        append(&mut journal, &[300]);
        journal.close().unwrap();
        fs::copy(again.path().join("watermark"), &path).unwrap();
        path
    }
}

#[test]
fn frames_that_sled_lost_behind_its_last_sync_are_filled_from_the_ring() {
    let crashed = Crashed::with_groups(&[&[300], &[40_000; 3], &[300]], WatermarkPolicy::Lazy);
    // Frames begin at 2; 3, 4, 5; 6. Sled had taken them all, and some did not reach the disk.
    let losses: [&[u64]; 5] = [&[2], &[3, 5], &[6], &[2, 4, 6], &[2, 3, 4, 5, 6]];
    for lost in losses {
        let dir = crashed.changed(|_| ());
        let needed = fs::read(dir.path().join("watermark")).unwrap();
        assert!(try_open(dir.path()).unwrap() == crashed.records);
        fs::write(dir.path().join("watermark"), needed).unwrap();
        take_from_sled(dir.path(), lost);
        assert!(try_open(dir.path()).unwrap() == crashed.records, "{lost:?}");
        // Without the ring to fill them, the same losses are refused.
        let dir = crashed.changed(|_| ());
        assert!(try_open(dir.path()).unwrap() == crashed.records);
        take_from_sled(dir.path(), lost);
        assert!(try_open(dir.path()).is_err(), "{lost:?}");
    }
}

#[test]
fn a_ring_that_is_written_over_many_times_keeps_every_record() {
    let dir = tempfile::tempdir().unwrap();
    let options = SledOptions {
        rotate_bytes: 4 << 20,
        ..SMALL
    };
    let (mut records, mut die, mut bytes) = (Vec::new(), 1_u64, 0);
    for round in 0..4 {
        let mut replayed = Vec::new();
        let mut journal =
            SledJournal::open(dir.path(), options, &mut collect(&mut replayed)).unwrap();
        assert!(replayed == records, "round {round}");
        // Eight times the size of the ring each time: the writer meets a full one.
        while bytes < (round + 1) * 8 * RING_BYTES_MIN {
            die = die.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let length = usize::try_from((die >> 40) % 30_000).unwrap();
            let count = usize::try_from(1 + (die >> 33) % 40).unwrap();
            records.extend(append(&mut journal, &vec![length; count]));
            bytes += (length * count) as u64;
        }
    }
    assert!(try_open(dir.path()).unwrap() == records);
}

#[test]
fn a_ring_of_another_size_takes_the_place_of_the_one_that_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut records = Vec::new();
    for blocks in [0, 1, 100, 0] {
        let bytes = RING_BYTES_MIN + blocks * BLOCK as u64;
        let options = SledOptions {
            commit: CommitPoint::Ring { bytes },
            ..SMALL
        };
        let mut replayed = Vec::new();
        let mut journal =
            SledJournal::open(dir.path(), options, &mut collect(&mut replayed)).unwrap();
        assert!(replayed == records);
        records.extend(append(&mut journal, &[300; 3]));
        drop(journal);
        let length = fs::metadata(dir.path().join("ring")).unwrap().len();
        assert_eq!(length, bytes);
    }
}

#[test]
fn nothing_is_acknowledged_after_the_drain_has_failed_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = SledJournal::open(dir.path(), SMALL, &mut |_| Ok(())).unwrap();
    let reader = journal.reader().unwrap();
    let mut records = append(&mut journal, &[300]);
    // The next generation cannot be created where its directory should be.
    let (generations, aside) = (dir.path().join("j"), dir.path().join("aside"));
    fs::rename(&generations, &aside).unwrap();
    fs::write(&generations, b"in the way").unwrap();
    let mut batch = Batch::new();
    let error = loop {
        batch.clear(journal.last_sequence() + 1);
        batch.push(|record| record.resize(20_000, 7));
        match journal.append(&batch) {
            Ok(()) => records.push(vec![7; 20_000]),
            Err(error) => break error,
        }
    };
    assert_eq!(error.exit_code(), 70, "{error}");
    assert!(error.to_string().starts_with("create "), "{error}");
    let again = journal.append(&batch).unwrap_err().to_string();
    assert_eq!(again, error.to_string());
    let last = journal.last_sequence();
    let mut nothing = |_: u64, _: &[u8]| ControlFlow::Continue(());
    assert!(
        reader.page(0, last, &mut nothing).is_err(),
        "a reader waited"
    );
    assert_eq!(journal.close().unwrap_err().to_string(), error.to_string());
    // A failed store stays open until its process ends: what is on the disk is read in a copy.
    fs::remove_file(&generations).unwrap();
    fs::rename(&aside, &generations).unwrap();
    let after = tempfile::tempdir().unwrap();
    copy(dir.path(), after.path());
    let found = try_open(after.path()).unwrap();
    assert!(
        found.starts_with(&records),
        "{} of {}",
        found.len(),
        records.len()
    );
    assert!(found.len() <= records.len() + 1);
}
