//! What can go wrong with a journal, in words an operator can act on, and the exit code of each.

use std::io;
use std::path::{Path, PathBuf};

use super::frame::Refused;

use super::frame::RECORD_BYTES_MAX;

/// An error of a journal. After one, the process stops: see [`JournalError::exit_code`].
#[derive(Clone, Debug, thiserror::Error)]
pub enum JournalError {
    /// The store holds something no orderly run and no power cut can leave behind.
    #[error("{0}")]
    Damaged(Box<Damage>),
    /// Another process has the store open.
    #[error("the store {directory} is open in {holder}; stop it first",
        directory = .directory.display(), holder = holder(*.pid))]
    Locked {
        /// Directory of the store.
        directory: PathBuf,
        /// Process number of the holder, when it could be read.
        pid: Option<u32>,
    },
    /// The store could not be created or read.
    #[error("{action} {path}: {detail}", path = .path.display())]
    CannotOpen {
        /// What was tried.
        action: &'static str,
        /// File or directory.
        path: PathBuf,
        /// What the system answered.
        detail: String,
    },
    /// The disk is full. Nothing of the batch was acknowledged.
    #[error(
        "{action} {path}: the disk is full; free space on it and start again, nothing \
         acknowledged is lost",
        path = .path.display()
    )]
    DiskFull {
        /// What was tried.
        action: &'static str,
        /// File or directory.
        path: PathBuf,
    },
    /// A write failed at run time. It is never tried again: whether the bytes of a failed flush
    /// are on the device can only be found out by reading them back after a restart.
    #[error("{action} {path}: {detail}", path = .path.display())]
    Fault {
        /// What was tried.
        action: &'static str,
        /// File or directory.
        path: PathBuf,
        /// What the system answered.
        detail: String,
    },
    /// A record does not fit into a frame. Nothing of its batch was written.
    #[error("record {sequence} has {found} bytes, expected at most {RECORD_BYTES_MAX}")]
    RecordTooLarge {
        /// Its sequence.
        sequence: u64,
        /// Its length in bytes.
        found: usize,
    },
    /// A batch does not start where the journal ends. Nothing of it was written.
    #[error("the batch starts at sequence {found}, expected {expected}")]
    OutOfSequence {
        /// The sequence that would have continued the journal.
        expected: u64,
        /// The sequence of the first record of the batch.
        found: u64,
    },
    /// Records that are asked for were removed.
    #[error("the journal begins with record {first}: what was before it was removed")]
    Truncated {
        /// The first record that is there.
        first: u64,
    },
    /// The receiver of the replayed records refused one.
    #[error("record {sequence} was refused by its reader: {reason}")]
    Replay {
        /// Its sequence.
        sequence: u64,
        /// What the receiver said.
        reason: String,
    },
}

impl From<Refused> for JournalError {
    fn from(refused: Refused) -> JournalError {
        JournalError::Replay {
            sequence: refused.sequence,
            reason: refused.reason,
        }
    }
}

/// One piece of damage: where, what should be there and what is.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "the journal in {directory} is damaged at generation {place}: expected {expected}, found \
     {found}. Nothing was removed and the store stays closed. Restore the directory from a backup \
     or promote the standby; do not delete files in it",
    directory = .directory.display(), place = place(.generation, .sequence)
)]
pub struct Damage {
    /// Directory of the store.
    pub directory: PathBuf,
    /// Number of the generation.
    pub generation: u64,
    /// The first sequence that is in doubt.
    pub sequence: u64,
    /// What an undamaged store has there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

impl JournalError {
    /// The exit code of a process that stops because of this error (numbers of `sysexits.h`).
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            JournalError::Damaged(_) | JournalError::Replay { .. } => 65,
            JournalError::DiskFull { .. }
            | JournalError::Fault { .. }
            | JournalError::RecordTooLarge { .. }
            | JournalError::OutOfSequence { .. } => 70,
            JournalError::Truncated { .. } => 66,
            JournalError::CannotOpen { .. } => 73,
            JournalError::Locked { .. } => 75,
        }
    }

    /// True when the store may have been written before the error.
    pub(super) fn is_after_write(&self) -> bool {
        matches!(
            self,
            JournalError::DiskFull { .. } | JournalError::Fault { .. }
        )
    }
}

/// A failed operation on the files of a store, before it is known whether the journal was opening
/// or running.
#[derive(Debug)]
pub(super) struct StoreError {
    action: &'static str,
    path: PathBuf,
    cause: Cause,
}

/// What failed: the operation, or the sense of what was read.
#[derive(Debug)]
enum Cause {
    Io(io::Error),
    Corrupt(String),
}

impl StoreError {
    /// The system refused an operation.
    pub(super) fn io(action: &'static str, path: &Path, error: io::Error) -> StoreError {
        let cause = match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => {
                Cause::Corrupt(error.to_string())
            }
            _ => Cause::Io(error),
        };
        StoreError {
            action,
            path: path.to_path_buf(),
            cause,
        }
    }

    /// What was read makes no sense.
    pub(super) fn corrupt(action: &'static str, path: &Path, detail: String) -> StoreError {
        StoreError {
            action,
            path: path.to_path_buf(),
            cause: Cause::Corrupt(detail),
        }
    }

    /// An error of sled, or the message of a panic inside it.
    pub(super) fn sled(action: &'static str, path: &Path, error: ::sled::Error) -> StoreError {
        match error {
            ::sled::Error::Io(error) => StoreError::io(action, path, error),
            ::sled::Error::CollectionNotFound(_)
            | ::sled::Error::Unsupported(_)
            | ::sled::Error::ReportableBug(_)
            | ::sled::Error::Corruption { .. } => {
                StoreError::corrupt(action, path, error.to_string())
            }
        }
    }

    /// True when sled says that its file is locked.
    pub(super) fn is_lock_held(&self) -> bool {
        // sled wraps the refusal in an error of no particular kind, so only its text tells.
        matches!(&self.cause, Cause::Io(error) if error.to_string().contains("acquire lock"))
    }

    /// The error of a journal that was running.
    pub(super) fn fault(self) -> JournalError {
        let StoreError {
            action,
            path,
            cause,
        } = self;
        match cause {
            Cause::Io(error) if error.kind() == io::ErrorKind::StorageFull => {
                JournalError::DiskFull { action, path }
            }
            Cause::Io(error) => JournalError::Fault {
                action,
                path,
                detail: error.to_string(),
            },
            Cause::Corrupt(detail) => JournalError::Fault {
                action,
                path,
                detail,
            },
        }
    }

    /// The error of a journal that was opening, or what makes it damage.
    pub(super) fn cannot_open(self) -> Result<JournalError, String> {
        let StoreError {
            action,
            path,
            cause,
        } = self;
        match cause {
            Cause::Io(error) if error.kind() == io::ErrorKind::StorageFull => {
                Ok(JournalError::DiskFull { action, path })
            }
            Cause::Io(error) => Ok(JournalError::CannotOpen {
                action,
                path,
                detail: error.to_string(),
            }),
            Cause::Corrupt(detail) => Err(format!("{action} {}: {detail}", path.display())),
        }
    }
}

impl From<StoreError> for JournalError {
    /// Outside a generation nothing is interpreted, so an opening error is never damage.
    fn from(error: StoreError) -> JournalError {
        let (action, path) = (error.action, error.path.clone());
        error
            .cannot_open()
            .unwrap_or_else(|detail| JournalError::CannotOpen {
                action,
                path,
                detail,
            })
    }
}

fn place(generation: &u64, sequence: &u64) -> String {
    format!("{generation:016x}, sequence {sequence}")
}

fn holder(pid: Option<u32>) -> String {
    match pid {
        Some(pid) => format!("process {pid}"),
        None => "another process".to_owned(),
    }
}
