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
    /// A helper thread writes it a few milliseconds (at most 5, on a disk that keeps up) after
    /// the commit. A loss confined to those last milliseconds before a crash is not detected; any
    /// larger loss is, and so is every loss after a clean stop.
    Lazy,
    /// `append` writes it before it returns, at the price of a second device flush for each
    /// commit. Every loss of an acknowledged record is detected.
    BeforeReply,
}
