//! How a generation keeps its frames in trees of sled, and the layout of releases before.

use std::ops::ControlFlow;

use cardswitch::journal::{SledJournal, SledOptions};

use super::journal_contract::{SMALL, WITHOUT_RING, append, collect};
use super::journal_recovery::{open_raw, try_open};

const BYTES: SledOptions = SledOptions {
    rotate_bytes: 64 << 20,
    ..SMALL
};

/// Lengths of frames in each tree of the first generation, in the order of their names; the tree
/// of the identity first.
fn trees(dir: &std::path::Path) -> Vec<Vec<usize>> {
    let store = open_raw(dir, 0);
    let mut names = store.tree_names();
    names.sort_by_key(|name| (name.len() == 9, name.clone()));
    let lengths = |name| {
        let entries = store.open_tree(name).unwrap().iter();
        let frames = entries
            .map(Result::unwrap)
            .filter(|(key, _)| key.len() == 9);
        frames.map(|(_, frame)| frame.len()).collect()
    };
    names.into_iter().map(lengths).collect()
}

#[test]
fn large_frames_lie_few_in_a_tree_and_are_read_in_order_from_anywhere() {
    for options in [
        BYTES,
        SledOptions {
            rotate_bytes: 64 << 20,
            ..WITHOUT_RING
        },
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = SledJournal::open(dir.path(), options, &mut |_| Ok(())).unwrap();
        let mut records = Vec::new();
        for _ in 0..4 {
            records.extend(append(&mut journal, &[30_000; 40]));
        }
        let reader = journal.reader().unwrap();
        for after in [0, 1, 17, 80, 159] {
            let (mut found, mut read) = (Vec::new(), 0);
            while after + read < 160 {
                let mut take = |_: u64, record: &[u8]| {
                    found.push(record.to_vec());
                    ControlFlow::Continue(())
                };
                reader.page(after + read, 160, &mut take).unwrap();
                read = found.len() as u64;
            }
            assert!(
                found == records[usize::try_from(after).unwrap()..],
                "{after}"
            );
        }
        drop(reader);
        journal.close().unwrap();
        assert!(try_open(dir.path()).unwrap() == records);
        let trees = trees(dir.path());
        assert_eq!(trees[0].len(), 0, "the tree of the identity has no frame");
        assert!(trees.len() > 10, "{}", trees.len());
        for frames in &trees[1..] {
            let before_last: usize = frames.iter().rev().skip(1).sum();
            assert!(before_last < 256 << 10, "{frames:?}");
            // From the tenth insertion on sled would write a tree anew.
            assert!(frames.len() < 10, "{frames:?}");
        }
    }
}

#[test]
fn small_frames_share_a_tree() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = SledJournal::open(dir.path(), WITHOUT_RING, &mut |_| Ok(())).unwrap();
    for _ in 0..50 {
        append(&mut journal, &[300]);
    }
    journal.close().unwrap();
    let trees = trees(dir.path());
    let counts: Vec<usize> = trees.iter().map(Vec::len).collect();
    assert_eq!(counts, [0, 50]);
}

#[test]
fn a_generation_of_an_earlier_release_is_read_and_continued_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = SledJournal::open(dir.path(), BYTES, &mut |_| Ok(())).unwrap();
    let mut records = append(&mut journal, &[30_000; 30]);
    journal.close().unwrap();
    as_release_0_1_wrote_it(dir.path());
    let mut replayed = Vec::new();
    let mut journal = SledJournal::open(dir.path(), BYTES, &mut collect(&mut replayed)).unwrap();
    assert!(replayed == records);
    for _ in 0..3 {
        records.extend(append(&mut journal, &[30_000; 30]));
    }
    journal.close().unwrap();
    assert!(try_open(dir.path()).unwrap() == records);
    let trees = trees(dir.path());
    let counts: Vec<usize> = trees.iter().map(Vec::len).collect();
    assert_eq!(counts.len(), 1, "{counts:?}");
    assert!(counts[0] > 50, "{counts:?}");
}

/// All frames in the tree of the identity, which says version 1.
fn as_release_0_1_wrote_it(dir: &std::path::Path) {
    let store = open_raw(dir, 0);
    for name in store.tree_names() {
        if name.len() != 9 {
            continue;
        }
        for entry in &store.open_tree(&name).unwrap() {
            let (key, frame) = entry.unwrap();
            assert!(store.insert(key, frame).unwrap().is_none());
        }
        assert!(store.drop_tree(name).unwrap());
    }
    let mut identity = store.get([0]).unwrap().unwrap().to_vec();
    assert_eq!(identity[..8], *b"CSJG\x02\0\0\0");
    identity[4] = 1;
    store.insert([0], identity).unwrap();
    store.flush().unwrap();
}
