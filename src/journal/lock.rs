//! One process per store: an advisory lock on the file `LOCK`, with the holder's process number.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use super::error::{JournalError, StoreError};

/// Held as long as the store is open. The file stays when the lock goes: removing it would let
/// two processes hold locks on two files of the same name.
#[derive(Debug)]
pub(super) struct StoreLock {
    file: File,
}

impl Drop for StoreLock {
    fn drop(&mut self) {
        // Closing is not enough: a process that this one is just starting has a copy of the file
        // until it runs its own program. What cannot be unlocked goes with the last copy.
        let _ = self.file.unlock();
    }
}

impl StoreLock {
    /// Takes the lock, or says who holds it.
    pub(super) fn take(directory: &Path) -> Result<StoreLock, JournalError> {
        let path = directory.join("LOCK");
        let failed = |error: io::Error| StoreError::io("lock", &path, error);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(error)) => return Err(failed(error).into()),
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // An unreadable number only makes the message poorer.
                let _ = file.read_to_string(&mut holder);
                let pid = holder.trim().parse().ok();
                return Err(JournalError::Locked {
                    directory: directory.to_path_buf(),
                    pid,
                });
            }
        }
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(StoreLock { file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_was_given_back_is_free_also_where_a_copy_of_its_file_is_open() {
        let directory = tempfile::tempdir().unwrap();
        let lock = StoreLock::take(directory.path()).unwrap();
        let copy = lock.file.try_clone().unwrap();
        assert!(StoreLock::take(directory.path()).is_err());
        drop(lock);
        StoreLock::take(directory.path()).unwrap();
        drop(copy);
    }
}
