//! The numeric knobs of the configuration, each with the reason for its standard value and bounds.

/// One numeric knob: its key in the file, its bounds and its standard value.
#[derive(Debug, Clone, Copy)]
pub struct Knob<T> {
    /// Key in the configuration file; the unit is its last word.
    pub key: &'static str,
    /// Smallest value accepted.
    pub min: T,
    /// Largest value accepted.
    pub max: T,
    /// Value when the file does not say.
    pub standard: T,
}

/// The numeric knobs, each with the reason for its standard value and bounds.
pub mod knob {
    use super::Knob;

    const fn knob<T>(key: &'static str, min: T, standard: T, max: T) -> Knob<T> {
        Knob {
            key,
            min,
            max,
            standard,
        }
    }

    /// Threads. One per core: sockets and codec work are CPU-bound; more only switch contexts.
    pub const IO_THREADS: Knob<usize> = knob("io_threads", 0, 0, 64);
    /// Connections. 10,000 idle peers must fit, with room for operators' mistakes.
    pub const CONNECTIONS_MAX: Knob<usize> = knob("connections_max", 1, 12_000, 100_000);
    /// Requests. A network's own window is tens; 256 fills one group commit from one link.
    pub const IN_FLIGHT_MAX: Knob<usize> = knob("in_flight_max", 1, 256, 65_536);
    /// Bytes. Real messages are below 1 KiB; every element full is below 64 KiB, hence the cap.
    pub const FRAME_BYTES_MAX: Knob<usize> = knob("frame_bytes_max", 64, 16_384, 65_536);
    /// Milliseconds. A frame is one or two packets: seconds mean a dead or hostile peer.
    pub const READ_TIMEOUT_MS: Knob<u64> = knob("read_timeout_ms", 100, 5_000, 60_000);
    /// Milliseconds, 0 = never. Networks send an echo every few minutes; ten is two missed ones.
    pub const IDLE_TIMEOUT_MS: Knob<u64> = knob("idle_timeout_ms", 0, 600_000, 86_400_000);
    /// Milliseconds. A peer that does not read its answers may not hold buffers for long.
    pub const WRITE_TIMEOUT_MS: Knob<u64> = knob("write_timeout_ms", 100, 5_000, 60_000);
    /// Batches. Bounds memory in front of the writer; full means sockets are read no further.
    pub const QUEUE_BATCHES_MAX: Knob<usize> = knob("queue_batches_max", 1, 1_024, 65_536);
    /// Records. Beyond this the sync is already amortized and only latency grows.
    pub const BATCH_RECORDS_MAX: Knob<usize> = knob("batch_records_max", 1, 1_024, 16_384);
    /// Bytes. Four full journal frames: one sequential write that every disk takes at once.
    pub const BATCH_BYTES_MAX: Knob<usize> = knob("batch_bytes_max", 4_096, 262_144, 4_194_304);
    /// Milliseconds; 0: no limit. Networks give up after 7 to 30 seconds and stand in: an answer
    /// after that is a hold that nobody knows of.
    pub const WAIT_MS_MAX: Knob<u64> = knob("wait_ms_max", 0, 5_000, 60_000);
    /// MiB; 0: all may be used. Some 200,000 records, time enough to make room.
    pub const KEEP_FREE_MIB: Knob<u64> = knob("keep_free_mib", 0, 128, 1 << 30);
    /// MiB. Bounds the store's memory and how much one damaged generation can hold hostage.
    pub const ROTATE_MIB: Knob<u64> = knob("rotate_mib", 16, 64, 1_024);
    /// MiB. The journal is written once and read at start: a larger cache buys nothing.
    pub const CACHE_MIB: Knob<u64> = knob("cache_mib", 1, 32, 1_024);
    /// MiB; 0: no ring. A fifth of a second of the highest load measured; a start reads all of it.
    pub const RING_MIB: Knob<u64> = knob("ring_mib", 0, 8, 256);
    /// Records; 0: never by their number. A start replays this many and half again within seconds.
    pub const EVERY_RECORDS: Knob<u64> = knob("every_records", 0, 2_000_000, 1_000_000_000);
    /// Minutes; 0: never by time. A day: a quiet switch does not write its whole state each hour.
    pub const EVERY_MINUTES: Knob<u64> = knob("every_minutes", 0, 1_440, 525_600);
    /// Records; 0: never. Fewer are replayed in less time than a checkpoint takes.
    pub const AT_STOP_RECORDS: Knob<u64> = knob("at_stop_records", 0, 200_000, 1_000_000_000);
    /// Days; 0: all history stays. Statements and back-tests read it from its beginning.
    pub const KEEP_HISTORY_DAYS: Knob<u64> = knob("keep_history_days", 0, 0, 36_500);
    /// Hours. Peers repeat within minutes; two days cover a weekend batch sent again.
    pub const ANSWERS_RETENTION_HOURS: Knob<u64> = knob("answers_retention_hours", 1, 48, 720);
    /// Days. Longer than the longest hold plus the time a late completion may take.
    pub const HOLDS_RETENTION_DAYS: Knob<u64> = knob("holds_retention_days", 46, 120, 730);
    /// Hours. An original later than its reversal arrives within the peer's retry window.
    pub const TOMBSTONE_RETENTION_HOURS: Knob<u64> = knob("tombstone_retention_hours", 1, 48, 720);
    /// Seconds. Holds end by day, so a minute is exact enough and the sweep stays small.
    pub const EXPIRE_EVERY_SECONDS: Knob<u64> = knob("expire_every_seconds", 1, 60, 3_600);
    /// Connections to one device; as many threads ask it. Devices take some 64 in all.
    pub const HSM_CONNECTIONS_MAX: Knob<usize> = knob("connections_max", 1, 8, 64);
    /// Milliseconds. A device takes a few; beyond, a card holder is told 96 while somebody waits.
    pub const HSM_DEADLINE_MS: Knob<u64> = knob("deadline_ms", 10, 1_500, 30_000);
    /// Milliseconds. A dead device costs nobody a connection attempt for so long.
    pub const HSM_RETRY_MS: Knob<u64> = knob("retry_ms", 0, 1_000, 60_000);
    /// Milliseconds. A device that is back is used after this at the latest.
    pub const HSM_HEALTH_EVERY_MS: Knob<u64> = knob("health_every_ms", 10, 5_000, 600_000);
    /// Characters. What the device was set up with; four is what most are.
    pub const HSM_HEADER_CHARACTERS: Knob<usize> = knob("header_characters", 0, 4, 8);
    /// MiB. About 70,000 decisions, small enough for any editor.
    pub const LOG_FILE_MIB_MAX: Knob<u64> = knob("file_mib_max", 1, 64, 4_096);
    /// Files. With the standard size 640 MiB in all, so a log cannot fill the store's disk.
    pub const LOG_FILES_MAX: Knob<u64> = knob("files_max", 2, 10, 1_000);
}
