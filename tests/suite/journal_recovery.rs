//! What the journal on sled must survive, and what it must refuse to start with.

use std::fs;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

use cardswitch::journal::{Journal, SledJournal, SledOptions, WatermarkPolicy};
use tempfile::TempDir;

use super::journal_contract::{SMALL, WITHOUT_RING, append, collect};

/// Appends batches until this many generations hold records, then closes the store.
pub(crate) fn grow(dir: &Path, options: SledOptions, generations: usize) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    let mut journal = SledJournal::open(dir, options, &mut collect(&mut records)).unwrap();
    while !generation(dir, generations - 2).join("SEALED").is_file() {
        records.extend(append(&mut journal, &[1_000; 16]));
        // A reader waits until sled has what it asks for: so does this loop, to stop in time.
        let last = journal.last_sequence();
        let reader = journal.reader().unwrap();
        let mut nothing = |_: u64, _: &[u8]| ControlFlow::Continue(());
        reader.page(last - 1, last, &mut nothing).unwrap();
    }
    records.extend(append(&mut journal, &[1_000; 16]));
    journal.close().unwrap();
    records
}

pub(crate) fn generation(dir: &Path, number: usize) -> PathBuf {
    dir.join("j").join(format!("{number:016x}"))
}

/// The sled store of a generation that nobody has open.
pub(crate) fn open_raw(dir: &Path, number: usize) -> sled::Db {
    let path = generation(dir, number);
    let config = sled::Config::new().path(path).segment_size(8 << 20);
    // A thread of sled may hold the file a moment longer than the journal that was closed.
    std::iter::repeat_with(|| config.open())
        .find_map(Result::ok)
        .unwrap()
}

/// Removes frames from the first generation.
pub(crate) fn take_from_sled(dir: &Path, sequences: &[u64]) {
    let store = open_raw(dir, 0);
    for sequence in sequences {
        let key = [&[1_u8][..], &sequence.to_be_bytes()].concat();
        let from = |name| store.open_tree(name).unwrap().remove(&key).unwrap();
        assert!(
            store
                .tree_names()
                .into_iter()
                .any(|name| from(name).is_some())
        );
    }
    store.flush().unwrap();
}

/// Opens a store: its records, or the error with its exit code checked.
pub(crate) fn try_open(dir: &Path) -> Result<Vec<Vec<u8>>, String> {
    let mut records = Vec::new();
    let opened = SledJournal::open(dir, SMALL, &mut collect(&mut records)).map(drop);
    match opened {
        Ok(()) => Ok(records),
        Err(error) => {
            assert_eq!(error.exit_code(), 65, "{error}");
            assert!(
                error
                    .to_string()
                    .contains("Restore the directory from a backup"),
                "{error}"
            );
            Err(error.to_string())
        }
    }
}

pub(crate) fn refused(dir: &Path, because: &str) {
    let error = try_open(dir).err().unwrap_or_else(|| panic!("{because}"));
    assert!(error.contains(because), "expected {because:?} in {error:?}");
    // A second start gives the same answer: the first one repaired nothing.
    assert!(try_open(dir).is_err(), "the second start was not refused");
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// One store, copied for each case of a test.
struct Original {
    dir: TempDir,
    records: Vec<Vec<u8>>,
}

impl Original {
    fn with_generations(options: SledOptions, count: usize) -> Original {
        let dir = tempfile::tempdir().unwrap();
        let records = grow(dir.path(), options, count);
        Original { dir, records }
    }

    fn copy(&self) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        copy(self.dir.path(), dir.path());
        dir
    }
}

#[test]
fn rotation_keeps_every_record_in_order() {
    // (options of the first run, of the second): a store may get a ring and lose it again.
    let both = [WITHOUT_RING, SMALL];
    for (first, second) in both
        .iter()
        .flat_map(|first| both.map(|second| (first, second)))
    {
        let original = Original::with_generations(*first, 4);
        assert!(generation(original.dir.path(), 2).join("SEALED").is_file());
        assert!(try_open(original.dir.path()).unwrap() == original.records);
        let more = grow(original.dir.path(), second, 6);
        assert!(try_open(original.dir.path()).unwrap() == more);
    }
}

#[test]
fn refuses_a_second_opener_and_names_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let first = SledJournal::open(dir.path(), SMALL, &mut |_| Ok(())).unwrap();
    let error = SledJournal::open(dir.path(), SMALL, &mut |_| Ok(())).unwrap_err();
    let process = format!("process {}", std::process::id());
    assert!(error.to_string().contains(&process), "{error}");
    assert!(
        error.to_string().contains(dir.path().to_str().unwrap()),
        "{error}"
    );
    assert_eq!(error.exit_code(), 75);
    drop(first);
    assert!(try_open(dir.path()).unwrap().is_empty());
}

#[test]
fn refuses_a_store_with_a_file_or_generation_missing_or_changed() {
    for options in [WITHOUT_RING, SMALL] {
        check_refusals(&Original::with_generations(options, 4));
    }
}

#[test]
fn a_seal_that_the_system_does_not_give_is_no_damage() {
    let original = Original::with_generations(WITHOUT_RING, 3);
    let dir = original.copy();
    let seal = generation(dir.path(), 0).join("SEALED");
    fs::remove_file(&seal).unwrap();
    fs::create_dir(&seal).unwrap();
    let error = SledJournal::open(dir.path(), SMALL, &mut |_| Ok(())).unwrap_err();
    assert_eq!(error.exit_code(), 73, "{error}");
    assert!(error.to_string().starts_with("read "), "{error}");
}

fn check_refusals(original: &Original) {
    type Damaging = fn(&Path);
    let cases: [(&str, Damaging); 12] = [
        ("its file db", |dir| {
            fs::remove_file(generation(dir, 1).join("db")).unwrap()
        }),
        ("its file READY", |dir| {
            fs::remove_file(generation(dir, 3).join("READY")).unwrap()
        }),
        ("expected generation 0000000000000000", |dir| {
            remove(&generation(dir, 0))
        }),
        ("expected generation 0000000000000001", |dir| {
            remove(&generation(dir, 1))
        }),
        ("because the one before is sealed", |dir| {
            remove(&generation(dir, 3));
            remove(&generation(dir, 4));
        }),
        ("a SEALED file in the generation before", |dir| {
            fs::remove_file(generation(dir, 1).join("SEALED")).unwrap();
        }),
        ("a whole SEALED file or none", |dir| {
            fs::write(generation(dir, 1).join("SEALED"), b"CSJS").unwrap();
        }),
        ("its sealed end at sequence", |dir| {
            let seals = [
                generation(dir, 0).join("SEALED"),
                generation(dir, 1).join("SEALED"),
            ];
            fs::copy(&seals[0], &seals[1]).unwrap();
        }),
        ("it says it is generation 0000000000000000", |dir| {
            remove(&generation(dir, 3));
            copy(&generation(dir, 0), &generation(dir, 3));
            fs::remove_file(generation(dir, 3).join("SEALED")).unwrap();
        }),
        ("a watermark file that says how far", |dir| {
            fs::remove_file(dir.join("watermark")).unwrap();
        }),
        ("a readable watermark", |dir| {
            fs::write(dir.join("watermark"), [0; 4096]).unwrap()
        }),
        ("no generation at all", |dir| remove(&dir.join("j"))),
    ];
    std::thread::scope(|threads| {
        for (because, damage) in cases {
            let dir = original.copy();
            threads.spawn(move || {
                damage(dir.path());
                refused(dir.path(), because);
            });
        }
    });
    assert!(try_open(original.copy().path()).unwrap() == original.records);
}

fn remove(dir: &Path) {
    // The spare generation of a store need not exist.
    let _ = fs::remove_dir_all(dir);
}

#[test]
fn a_changed_byte_or_a_shorter_file_never_loses_a_record_silently() {
    for options in [WITHOUT_RING, SMALL] {
        check_all_damages(&Original::with_generations(options, 3));
    }
}

fn check_all_damages(original: &Original) {
    // A sealed generation and the one being written: what a restart relies on and goes on in.
    // Each opening waits for the device, so the cases wait side by side.
    std::thread::scope(|threads| {
        for number in [0, 2] {
            for steps in [0..2, 2..4, 4..6, 6..STEPS] {
                threads.spawn(move || check_damages(original, number, steps));
            }
        }
    });
}

/// Places over a generation at which damage is done.
const STEPS: usize = 8;

fn check_damages(original: &Original, number: usize, steps: Range<usize>) {
    let bytes = fs::read(generation(original.dir.path(), number).join("db")).unwrap();
    // Behind the last frame sled only keeps filler, where damage does no harm.
    let used = bytes
        .windows(4)
        .rposition(|window| window == b"CSJF")
        .unwrap()
        + 1_000;
    for step in steps.clone() {
        let offset = used / STEPS * step + 13 * step;
        check_damage(original, number, |bytes| bytes[offset] ^= 0x10);
        check_damage(original, number, |bytes| bytes.truncate(offset));
    }
    match steps.start {
        0 => check_damage(original, number, |bytes| bytes.truncate(used)),
        2 => check_damage(original, number, |bytes| bytes[..4096].fill(0)),
        _ => {}
    }
}

fn check_damage(original: &Original, number: usize, damage: impl FnOnce(&mut Vec<u8>)) {
    let dir = original.copy();
    let db = generation(dir.path(), number).join("db");
    let mut bytes = fs::read(&db).unwrap();
    damage(&mut bytes);
    fs::write(&db, bytes).unwrap();
    // Opening must not panic; it either refuses or finds everything.
    if let Ok(records) = try_open(dir.path()) {
        assert!(
            records == original.records,
            "records were lost without an error"
        );
    }
}

#[test]
fn a_half_written_snapshot_of_a_killed_process_does_not_stop_the_start() {
    let original = Original::with_generations(SMALL, 2);
    for number in [0, 1] {
        let name = "snap.000000000000FFFF.generating";
        fs::write(generation(original.dir.path(), number).join(name), b"half").unwrap();
    }
    let unfinished = original.dir.path().join("j/00000000000000ff.creating");
    fs::create_dir(unfinished).unwrap();
    assert!(try_open(original.dir.path()).unwrap() == original.records);
}

/// A store with one record below the watermark, then a group commit of several frames, then the
/// groups in `later`, all above the watermark; frames from these sequences are then taken out.
fn torn(later: &[&[usize]], missing: &[u64]) -> (TempDir, Vec<Vec<u8>>) {
    let dir = tempfile::tempdir().unwrap();
    // Sled alone: behind a ring its frames are never the first ones.
    let options = SledOptions {
        rotate_bytes: SledOptions::standard().rotate_bytes,
        ..WITHOUT_RING
    };
    let open = || SledJournal::open(dir.path(), options, &mut |_| Ok(()));
    let mut journal = open().unwrap();
    let mut records = append(&mut journal, &[300]);
    journal.close().unwrap();
    let watermark = fs::read(dir.path().join("watermark")).unwrap();
    let mut journal = open().unwrap();
    // 5 frames of one record each: sequences 2 to 6.
    records.extend(append(&mut journal, &[40_000; 5]));
    for lengths in later {
        records.extend(append(&mut journal, lengths));
    }
    journal.close().unwrap();
    fs::write(dir.path().join("watermark"), watermark).unwrap();
    take_from_sled(dir.path(), missing);
    (dir, records)
}

#[test]
fn a_group_commit_torn_by_a_power_cut_is_cut_and_reported() {
    // (frames that never reached the disk, last sequence that counts, whole frames ignored)
    let cases: [(&[u64], u64, u64); 5] = [
        (&[2], 1, 4),
        (&[4], 3, 2),
        (&[3, 5], 2, 2),
        (&[5, 6], 4, 0),
        (&[2, 3, 4, 5, 6], 1, 0),
    ];
    std::thread::scope(|threads| {
        for (missing, last_sequence, frames_ignored) in cases {
            threads.spawn(move || check_cut(missing, last_sequence, frames_ignored));
        }
    });
}

fn check_cut(missing: &[u64], last_sequence: u64, frames_ignored: u64) {
    let (dir, mut expected) = torn(&[], missing);
    expected.truncate(last_sequence as usize);
    let mut replayed = Vec::new();
    let mut journal = SledJournal::open(dir.path(), SMALL, &mut collect(&mut replayed)).unwrap();
    assert!(replayed == expected, "{missing:?}");
    // Frames missing at the very end leave no hole: nothing had to be cut.
    let cut = journal.recovery().cut.as_ref();
    assert_eq!(
        cut.map_or(0, |cut| cut.frames_ignored),
        frames_ignored,
        "{missing:?}"
    );
    assert_eq!(
        cut.map(|cut| cut.last_sequence),
        (frames_ignored > 0).then_some(last_sequence)
    );
    // The sequences of the lost frames are used again, and stay what they are now.
    expected.extend(append(&mut journal, &[500; 9]));
    drop(journal);
    assert!(try_open(dir.path()).unwrap() == expected, "{missing:?}");
    let grown = grow(dir.path(), SMALL, 3);
    assert!(grown.starts_with(&expected), "{missing:?}");
    assert!(
        try_open(dir.path()).unwrap().starts_with(&expected),
        "{missing:?}"
    );
}

#[test]
fn a_hole_that_had_been_acknowledged_refuses_the_start() {
    let later: [&[usize]; 2] = [&[300], &[300, 300]];
    // (frames taken out, why that is damage): a later group commit is whole in every case
    let cases: [(&[u64], &str); 4] = [
        (&[4], "of a later group commit"),
        (&[2, 3, 4, 5, 6], "of a later group commit"),
        (&[7], "of a later group commit"),
        (&[1], "the watermark vouches for 1"),
    ];
    std::thread::scope(|threads| {
        for (missing, because) in cases {
            let later = &later;
            threads.spawn(move || {
                let (dir, _) = torn(later, missing);
                refused(dir.path(), because);
            });
        }
    });
}

#[test]
fn a_lost_end_is_seen_because_the_watermark_vouched_for_it() {
    for options in [WITHOUT_RING, SMALL] {
        check_lost_end(SledOptions {
            watermark: WatermarkPolicy::BeforeReply,
            ..options
        });
    }
}

fn check_lost_end(options: SledOptions) {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = SledJournal::open(dir.path(), options, &mut |_| Ok(())).unwrap();
    append(&mut journal, &[300; 4]);
    drop(journal);
    let before = tempfile::tempdir().unwrap();
    copy(dir.path(), before.path());
    let mut journal = SledJournal::open(dir.path(), options, &mut |_| Ok(())).unwrap();
    append(&mut journal, &[300]);
    // The process is killed here: nothing is closed. The store comes back as it was before.
    fs::copy(
        dir.path().join("watermark"),
        before.path().join("watermark"),
    )
    .unwrap();
    refused(before.path(), "records up to sequence 5");
}
