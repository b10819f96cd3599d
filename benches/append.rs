//! Append of one group commit: the journal on sled beside a plain file that is synced each time.
//!
//! Ids are `append/<what>/<records of 300 bytes in the batch>`. Read a figure as the ratio to
//! `plain_file` of the same run: a device flush costs 60 microseconds here and a millisecond
//! elsewhere. Every iteration waits for its flush, so waiting time is counted. `prepared_file` is
//! the least that a commit ring can cost: a file filled with zeros ahead, one synced write.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use cardswitch::journal::{
    Batch, CommitPoint, Journal, MemoryJournal, MemoryStore, Records, SledJournal, SledOptions,
    WatermarkPolicy,
};
use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};

const RECORD_BYTES: usize = 300;
const BATCH_SIZES: [usize; 4] = [1, 16, 128, 1024];

fn append(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("append");
    for records in BATCH_SIZES {
        group.throughput(Throughput::Elements(
            u64::try_from(records).unwrap_or(u64::MAX),
        ));
        plain_file(&mut group, records);
        bare_sled(&mut group, records);
        prepared_file(&mut group, records);
        let standard = SledOptions::standard();
        for (point, commit) in [("sled", CommitPoint::Sled), ("ring", standard.commit)] {
            for (policy, watermark) in [
                ("lazy", WatermarkPolicy::Lazy),
                ("before_reply", WatermarkPolicy::BeforeReply),
            ] {
                let options = SledOptions {
                    watermark,
                    commit,
                    ..standard
                };
                sled_journal(&mut group, &format!("{point}_{policy}"), options, records);
            }
        }
        let (store, mut replay) = (MemoryStore::new(), |_: Records<'_>| Ok(()));
        let memory = orderly(MemoryJournal::open(&store, &mut replay));
        journal(&mut group, "memory", memory, records);
    }
    group.finish();
}

/// The control: what the device itself costs.
fn plain_file(group: &mut BenchmarkGroup<'_, WallTime>, records: usize) {
    let directory = orderly(tempfile::tempdir_in("target"));
    let mut file = orderly(File::create(directory.path().join("plain")));
    let bytes = vec![7; RECORD_BYTES * records];
    group.bench_function(BenchmarkId::new("plain_file", records), |bencher| {
        bencher.iter(|| {
            orderly(file.write_all(&bytes));
            orderly(file.sync_data());
        });
    });
}

/// What a commit ring stands on: no metadata changes, and no second call to sync.
fn prepared_file(group: &mut BenchmarkGroup<'_, WallTime>, records: usize) {
    const FILE_BYTES: usize = 8 << 20;
    let directory = orderly(tempfile::tempdir_in("target"));
    let path = directory.path().join("prepared");
    orderly(std::fs::write(&path, vec![0; FILE_BYTES]));
    let mut options = File::options();
    let file = orderly(options.write(true).custom_flags(libc::O_DSYNC).open(path));
    orderly(file.sync_all());
    let bytes = vec![7; (RECORD_BYTES * records).next_multiple_of(4 << 10)];
    let mut offset = 0;
    group.bench_function(BenchmarkId::new("prepared_file", records), |bencher| {
        bencher.iter(|| {
            if offset + bytes.len() > FILE_BYTES {
                offset = 0;
            }
            orderly(file.write_all_at(&bytes, offset as u64));
            offset += bytes.len();
        });
    });
}

/// The least the same durability costs through sled: one value, flush, data sync.
fn bare_sled(group: &mut BenchmarkGroup<'_, WallTime>, records: usize) {
    let directory = orderly(tempfile::tempdir_in("target"));
    let config = sled::Config::new()
        .path(directory.path())
        .segment_size(8 << 20);
    let store = orderly(config.cache_capacity(32 << 20).flush_every_ms(None).open());
    let file = orderly(
        File::options()
            .write(true)
            .open(directory.path().join("db")),
    );
    let value = vec![7; (RECORD_BYTES * records).min(64 << 10)];
    let mut key = 0_u64;
    group.bench_function(BenchmarkId::new("bare_sled", records), |bencher| {
        bencher.iter(|| {
            let mut left = RECORD_BYTES * records;
            while left > 0 {
                key += 1;
                let length = left.min(value.len());
                orderly(store.insert(key.to_be_bytes(), value.get(..length).unwrap_or_default()));
                left -= length;
            }
            orderly(store.flush());
            orderly(file.sync_data());
        });
    });
}

fn sled_journal(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    options: SledOptions,
    records: usize,
) {
    let directory = orderly(tempfile::tempdir_in("target"));
    let opened = open(directory.path(), options);
    journal(group, name, opened, records);
}

fn open(directory: &Path, options: SledOptions) -> SledJournal {
    orderly(SledJournal::open(directory, options, &mut |_| Ok(())))
}

fn journal(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    mut journal: impl Journal,
    records: usize,
) {
    let record = [7; RECORD_BYTES];
    let mut batch = Batch::new();
    group.bench_function(BenchmarkId::new(name, records), |bencher| {
        bencher.iter(|| {
            batch.clear(journal.last_sequence() + 1);
            for _ in 0..records {
                batch.push(|bytes| bytes.extend_from_slice(&record));
            }
            orderly(journal.append(&batch));
        });
    });
}

/// A bench has nobody to report an error to.
fn orderly<T, E: std::fmt::Display>(outcome: Result<T, E>) -> T {
    outcome.unwrap_or_else(|error| panic!("the bench cannot go on: {error}"))
}

criterion_group!(benches, append);
criterion_main!(benches);
