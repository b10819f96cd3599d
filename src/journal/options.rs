//! How a sled journal is run: sizes, and when its watermark is written.

/// Settings of a [`SledJournal`](super::SledJournal); there is no default, only a named standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SledOptions {
    /// Bytes of frames after which the next generation takes over.
    pub rotate_bytes: u64,
    /// Bytes sled may keep of pages it has read or written.
    pub cache_bytes: u64,
    /// When the watermark is written.
    pub watermark: WatermarkPolicy,
    /// Where a group commit becomes durable.
    pub commit: CommitPoint,
}

impl SledOptions {
    /// The measured choice for one busy partition.
    #[must_use]
    pub const fn standard() -> SledOptions {
        SledOptions {
            // Memory, recovery time and the pause of a rotation all grow with this; 64 MiB kept a
            // writer of 300,000 records a second below 100 MB of memory.
            rotate_bytes: 64 << 20,
            // A journal is written once and read once: more cache changed nothing but memory.
            cache_bytes: 32 << 20,
            // One device flush per commit less. What it costs is told at the type.
            watermark: WatermarkPolicy::Lazy,
            commit: CommitPoint::Ring {
                bytes: STANDARD_RING_BYTES,
            },
        }
    }
}

/// A fifth of a second of the most that was ever measured through a switch on two cores. What a
/// slow disk delays longer than that, the next commit waits for.
const STANDARD_RING_BYTES: u64 = 8 << 20;

/// The smallest ring: room for the largest group commit with its padding, and its first block.
pub const RING_BYTES_MIN: u64 = 1 << 20;

/// Where a group commit becomes durable, and may be acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitPoint {
    /// In a preallocated file in front of sled, in one write; sled follows behind the writer.
    Ring {
        /// Size of the file, at least [`RING_BYTES_MIN`]; rounded up to whole blocks of 4 KiB. A
        /// store whose ring has another size gets a new one when it opens.
        bytes: u64,
    },
    /// In sled itself; a ring that is there is emptied and removed when the store opens.
    Sled,
}

/// How the ring is written, which depends on the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingMode {
    /// Past the page cache (`O_DIRECT` with `O_DSYNC`).
    Direct,
    /// Through the page cache (`O_DSYNC`).
    Buffered,
}

impl RingMode {
    /// The flags of the file, as a system administrator knows them.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            RingMode::Direct => "O_DIRECT|O_DSYNC",
            RingMode::Buffered => "O_DSYNC",
        }
    }
}

/// When the newest durable position is written outside the store that holds the records.
///
/// The store cannot tell that its own end is missing: only a position kept elsewhere can. A power
/// cut alone never loses an acknowledged record under either policy, for the records themselves
/// are on the device before `append` returns. The policies differ in one case: the *device or
/// file system* later loses the last records it had confirmed, and the process had not been
/// stopped cleanly. Then the journal would end early without a trace, and a holder's last
/// purchases would be forgotten though they were approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatermarkPolicy {
    /// A helper thread writes it some milliseconds (at most 10, on a disk that keeps up) after
    /// the commit. A loss confined to those last milliseconds before a crash is not detected; any
    /// larger loss is, and so is every loss after a clean stop.
    Lazy,
    /// `append` writes it before it returns, at the price of a second device flush for each
    /// commit. Every loss of an acknowledged record is detected.
    BeforeReply,
}
