//! What checkpoints promise the journal: a start from one reads only what lies behind it, damage of
//! one is seen, and what two of them make dispensable can go, with its space.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use cardswitch::journal::{
    CHUNK_BYTES_MAX, ChainHash, Checkpoint, Checkpoints, Head, HeldStore, Journal, JournalError,
    JournalReader, SledJournal, SledOptions,
};
use tempfile::TempDir;

use super::journal_contract::{SMALL, WITHOUT_RING, append};
use super::journal_recovery::{copy, generation, grow};

const CACHE_BYTES: u64 = 1 << 20;

/// Sequences handed over by a start from a position.
fn replayed(
    dir: &Path,
    options: SledOptions,
    base: Option<Head>,
) -> Result<Vec<u64>, JournalError> {
    let mut sequences = Vec::new();
    let held = HeldStore::take(dir)?;
    held.open(options, base, &mut |records| {
        sequences.extend(records.map(|record| record.0));
        Ok(())
    })?
    .close()?;
    Ok(sequences)
}

/// The ends of the frames of a store, and its last sequence.
fn frame_ends(dir: &Path, options: SledOptions) -> Vec<Head> {
    let mut journal = SledJournal::open(dir, options, &mut |_| Ok(())).unwrap();
    let (reader, last) = (journal.reader().unwrap(), journal.last_sequence());
    let mut ends = Vec::new();
    let mut head = Head::START;
    for until in 1..=last {
        while let next = reader.frames(head, until, &mut |_| Ok(())).unwrap()
            && next != head
        {
            head = next;
            ends.push(head);
        }
    }
    assert_eq!(head.sequence, last);
    drop(reader);
    journal.close().unwrap();
    ends
}

fn copied(original: &Path) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy(original, dir.path());
    dir
}

#[test]
fn a_start_from_a_checkpoint_reads_only_what_lies_behind_it() {
    for options in [SMALL, WITHOUT_RING] {
        let original = tempfile::tempdir().unwrap();
        grow(original.path(), options, 4);
        let ends = frame_ends(original.path(), options);
        let last = ends.last().unwrap().sequence;
        for base in &ends {
            let dir = copied(original.path());
            let found = replayed(dir.path(), options, Some(*base)).unwrap();
            let expected: Vec<u64> = (base.sequence + 1..=last).collect();
            assert_eq!(found, expected, "from {}", base.sequence);
        }
        let end = *ends.last().unwrap();
        let middle = ends[ends.len() / 2];
        for (what, base) in [
            (
                "another chain",
                Head {
                    chain: ChainHash([1; 32]),
                    ..middle
                },
            ),
            (
                "within a frame",
                Head {
                    sequence: middle.sequence - 1,
                    ..middle
                },
            ),
            (
                "behind the end",
                Head {
                    sequence: end.sequence + 1,
                    ..end
                },
            ),
        ] {
            let dir = copied(original.path());
            let error = replayed(dir.path(), options, Some(base)).unwrap_err();
            assert_eq!(error.exit_code(), 65, "{what}: {error}");
            assert!(error.to_string().contains("checkpoint"), "{what}: {error}");
        }
    }
}

fn bytes_in(path: &Path) -> u64 {
    let entries = fs::read_dir(path).unwrap().map(Result::unwrap);
    entries
        .map(|entry| match entry.path().is_dir() {
            true => bytes_in(&entry.path()),
            false => entry.metadata().unwrap().len(),
        })
        .sum()
}

fn read_from(reader: &JournalReader, after: u64, until: u64) -> Result<u64, JournalError> {
    reader.page(after, until, &mut |_, _| ControlFlow::Continue(()))
}

#[test]
fn what_is_removed_gives_its_space_back_and_is_never_missed() {
    for options in [SMALL, WITHOUT_RING] {
        let dir = tempfile::tempdir().unwrap();
        grow(dir.path(), options, 6);
        let aside = copied(&generation(dir.path(), 1));
        let ends = frame_ends(dir.path(), options);
        let before = bytes_in(&dir.path().join("j"));
        let mut journal = SledJournal::open(dir.path(), options, &mut |_| Ok(())).unwrap();
        let (reader, last) = (journal.reader().unwrap(), journal.last_sequence());
        let sealed = reader.sealed_ends().unwrap();
        read_from(&reader, 0, last).unwrap();
        assert_eq!(reader.remove_through(sealed[0] - 1).unwrap(), 0);
        assert_eq!(reader.remove_through(sealed[2]).unwrap(), 3);
        assert_eq!(reader.remove_through(sealed[2]).unwrap(), 0);
        // Less than half is left: three of five, and a fifth that is empty.
        let after = bytes_in(&dir.path().join("j"));
        assert!(
            after * 2 < before + after,
            "{before} bytes before, {after} after"
        );
        assert!(!generation(dir.path(), 2).exists());
        let gone = read_from(&reader, 0, last).unwrap_err();
        let first = sealed[2] + 1;
        assert!(
            matches!(gone, JournalError::Truncated { first: found } if found == first),
            "{gone}"
        );
        assert!(read_from(&reader, sealed[2], last).unwrap() > sealed[2]);
        append(&mut journal, &[300; 5]);
        drop(reader);
        journal.close().unwrap();
        let last = last + 5;

        // Not without a checkpoint, nor with one of before.
        let refused = replayed(dir.path(), options, None).unwrap_err();
        assert_eq!(refused.exit_code(), 66, "{refused}");
        let early = ends.iter().find(|end| end.sequence < sealed[2]).unwrap();
        assert!(replayed(dir.path(), options, Some(*early)).is_err());
        for base in ends.iter().filter(|end| end.sequence >= sealed[2]) {
            let found = replayed(dir.path(), options, Some(*base)).unwrap();
            assert_eq!(found.len() as u64, last - base.sequence);
        }
        // A process that was stopped while it removed is no reason to refuse.
        let left = generation(dir.path(), 1);
        copy(aside.path(), &left);
        fs::remove_file(left.join("READY")).unwrap();
        let base = *ends.last().unwrap();
        replayed(dir.path(), options, Some(base)).unwrap();
        assert!(!left.exists());
        // Where it begins is told once, and that is not to be lost.
        let told = dir.path().join("j/FIRST");
        let bytes = fs::read(&told).unwrap();
        for damaged in [&bytes[..bytes.len() - 1], &[]] {
            fs::write(&told, damaged).unwrap();
            assert!(replayed(dir.path(), options, Some(base)).is_err());
        }
        fs::remove_file(&told).unwrap();
        assert!(replayed(dir.path(), options, Some(base)).is_err());
        // A lost generation behind it is damage as ever.
        fs::write(&told, &bytes).unwrap();
        fs::remove_dir_all(generation(dir.path(), 3)).unwrap();
        let error = replayed(dir.path(), options, Some(base)).unwrap_err();
        assert_eq!(error.exit_code(), 65, "{error}");
    }
}

fn position(sequence: u64) -> Head {
    let chain = ChainHash([7; 32]);
    Head { sequence, chain }
}

fn contents() -> Vec<Vec<u8>> {
    let content = |n: u8| (0..CHUNK_BYTES_MAX / 3).map(|at| n ^ at as u8).collect();
    (0..25).map(content).collect()
}

/// Writes a checkpoint up to its label.
fn write(checkpoints: &Checkpoints, sequence: u64) -> Checkpoint {
    let mut writer = checkpoints.begin(position(sequence)).unwrap();
    let commits: Vec<bool> = contents()
        .iter()
        .map(|content| writer.chunk(content).unwrap())
        .collect();
    assert!(commits.contains(&true) && commits.contains(&false));
    writer.close((1, [9; 32]), 5).unwrap()
}

fn read(checkpoints: &Checkpoints, label: &Checkpoint) -> Result<Vec<Vec<u8>>, String> {
    let mut chunks = Vec::new();
    let read = checkpoints.read(label, &mut |chunk| {
        chunks.push(chunk.to_vec());
        Ok(())
    });
    read.map(|()| chunks).map_err(|error| error.to_string())
}

fn valid(checkpoints: &Checkpoints) -> Vec<u64> {
    let listed = checkpoints.list().unwrap();
    let labels = listed.into_iter().flatten();
    labels.map(|label| label.position.sequence).collect()
}

#[test]
fn a_checkpoint_counts_only_once_it_is_marked_and_goes_only_when_told() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::of(dir.path(), CACHE_BYTES);
    assert_eq!(valid(&checkpoints), [0; 0]);
    for sequence in [300, 100, 200] {
        let label = write(&checkpoints, sequence);
        assert_eq!(read(&checkpoints, &label).unwrap(), contents());
        assert!(!valid(&checkpoints).contains(&sequence), "not marked yet");
        checkpoints.mark_valid(&label).unwrap();
        assert!(
            checkpoints.begin(position(sequence)).is_err(),
            "there is one"
        );
    }
    // One that a process did not finish, and begins again.
    for _ in 0..2 {
        let mut writer = checkpoints.begin(position(400)).unwrap();
        writer.chunk(b"unfinished").unwrap();
    }
    assert_eq!(valid(&checkpoints), [300, 200, 100]);
    checkpoints.remove_before(200).unwrap();
    assert_eq!(valid(&checkpoints), [300, 200]);
    let left = fs::read_dir(dir.path().join("c")).unwrap().count();
    assert_eq!(left, 2, "what was never finished went too");
}

#[test]
fn no_change_of_a_stored_checkpoint_goes_unseen() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::of(dir.path(), CACHE_BYTES);
    let label = write(&checkpoints, 100);
    checkpoints.mark_valid(&label).unwrap();
    let whole = fs::read(dir.path().join("c/0000000000000064/db")).unwrap();
    // Behind that the file is only room.
    let length = whole.iter().rposition(|byte| *byte != 0).unwrap() as u64;
    let mut seen = 0;
    for case in 0..60 {
        let damaged = copied(dir.path());
        let file = damaged.path().join("c/0000000000000064/db");
        let mut bytes = fs::read(&file).unwrap();
        let at = (length * case / 60) as usize;
        match case % 3 {
            0 => bytes[at] ^= 1 << (case % 8),
            1 => bytes[at..]
                .iter_mut()
                .take(4_096)
                .for_each(|byte| *byte = 0),
            _ => bytes.truncate(at),
        }
        fs::write(&file, bytes).unwrap();
        match read(&Checkpoints::of(damaged.path(), CACHE_BYTES), &label) {
            Ok(chunks) => assert_eq!(chunks, contents(), "case {case}"),
            Err(_) => seen += 1,
        }
    }
    assert!(
        seen >= 20,
        "{seen} of 60 were seen, the rest changed nothing that counts"
    );
    let path = dir.path().join("c/0000000000000064/VALID");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[1..]).unwrap();
    let listed = checkpoints.list().unwrap();
    assert!(matches!(listed.as_slice(), [Err(_)]), "{listed:?}");
}

#[test]
fn a_journal_that_ends_before_a_checkpoint_of_it_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    grow(dir.path(), SMALL, 2);
    let last = frame_ends(dir.path(), SMALL).last().unwrap().sequence;
    let checkpoints = Checkpoints::of(dir.path(), CACHE_BYTES);
    for (sequence, is_refused) in [(last, false), (last + 1, true)] {
        let label = write(&checkpoints, sequence);
        checkpoints.mark_valid(&label).unwrap();
        // Even where it is not the one that was read.
        let opened = replayed(dir.path(), SMALL, None);
        assert_eq!(opened.is_err(), is_refused, "{opened:?}");
    }
}
