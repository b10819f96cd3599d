//! Follows a growing file across rotation and truncation, giving out whole lines only.
//!
//! Invariant: a line is given out once, in order, even when the file was rotated several times
//! between two looks; what rotation has deleted meanwhile is lost.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

/// Bytes read at once.
const CHUNK_BYTES: usize = 256 * 1024;
/// A longer line is no line of ours; it is given out in pieces rather than kept without bound.
const LINE_BYTES_MAX: usize = 1024 * 1024;

/// A place in a log that is being written.
pub(super) struct Follower {
    path: PathBuf,
    file: File,
    position: u64,
    partial: Vec<u8>,
}

impl Follower {
    /// Opens the active file at its beginning.
    ///
    /// # Errors
    /// The file is not there or cannot be read.
    pub(super) fn open(path: &Path) -> io::Result<Follower> {
        let file = File::open(path)?;
        Ok(Follower {
            path: path.to_path_buf(),
            file,
            position: 0,
            partial: Vec::new(),
        })
    }

    /// Gives out the lines of the files rotated away before, oldest first.
    ///
    /// Files last written before `since` are left unread.
    pub(super) fn earlier(
        &self,
        since: Option<Timestamp>,
        each: &mut dyn FnMut(&str),
    ) -> io::Result<()> {
        let mut files = Vec::new();
        let own = self.file.metadata()?;
        for index in 1.. {
            let Ok(file) = File::open(rotated(&self.path, index)) else {
                break;
            };
            let metadata = file.metadata()?;
            let written_before = since
                .zip(Timestamp::from_second(metadata.mtime()).ok())
                .is_some_and(|(since, written)| written.as_second() < since.as_second());
            if written_before {
                break;
            }
            if !same(&own, &metadata) {
                files.push(file);
            }
        }
        for file in files.into_iter().rev() {
            read_whole(file, each)?;
        }
        Ok(())
    }

    /// Gives out every line that became complete since the last call.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn poll(&mut self, each: &mut dyn FnMut(&str)) -> io::Result<()> {
        loop {
            self.read_on(each)?;
            let here = self.file.metadata()?;
            if here.len() < self.position {
                // Truncated in place: what is there now is new.
                self.partial.clear();
                self.position = self.file.seek(SeekFrom::Start(0))?;
                continue;
            }
            let Ok(active) = fs::metadata(&self.path) else {
                return Ok(());
            };
            if same(&here, &active) {
                return Ok(());
            }
            // Rotated away. What was written to it before the rename is read before moving on.
            self.read_on(each)?;
            let Some(next) = self.next_file(&here) else {
                return Ok(());
            };
            give_rest(&mut self.partial, each);
            self.file = next;
            self.position = 0;
        }
    }

    fn read_on(&mut self, each: &mut dyn FnMut(&str)) -> io::Result<()> {
        let read = pump(&mut self.file, &mut self.partial, each)?;
        self.position = self.position.saturating_add(read);
        Ok(())
    }

    /// The file that followed the one we are in: one number newer, or the active one.
    fn next_file(&self, here: &Metadata) -> Option<File> {
        let mut newer = self.path.clone();
        for older in rotated_files(&self.path) {
            if fs::metadata(&older).is_ok_and(|metadata| same(&metadata, here)) {
                break;
            }
            newer = older;
        }
        // Had ours been deleted, this is the oldest that is left.
        File::open(newer).ok()
    }
}

fn same(one: &Metadata, other: &Metadata) -> bool {
    one.ino() == other.ino() && one.dev() == other.dev()
}

/// `decisions.jsonl` rotated `index` times: `decisions.1.jsonl`.
fn rotated(active: &Path, index: u32) -> PathBuf {
    let extension = active.extension().unwrap_or_default().to_string_lossy();
    active.with_extension(format!("{index}.{extension}"))
}

/// The files rotated away, newest first. Rotation renames them one by one, so one number may be
/// missing at any moment; two are the end.
fn rotated_files(active: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut missing = 0;
    for index in 1.. {
        let path = rotated(active, index);
        if path.exists() {
            missing = 0;
            files.push(path);
        } else if missing == 1 {
            break;
        } else {
            missing = 1;
        }
    }
    files
}

fn read_whole(mut file: File, each: &mut dyn FnMut(&str)) -> io::Result<()> {
    let mut partial = Vec::new();
    pump(&mut file, &mut partial, each)?;
    give_rest(&mut partial, each);
    Ok(())
}

/// Reads to the end, giving out whole lines; returns how many bytes there were.
fn pump(file: &mut File, partial: &mut Vec<u8>, each: &mut dyn FnMut(&str)) -> io::Result<u64> {
    let mut chunk = vec![0_u8; CHUNK_BYTES];
    let mut total = 0_u64;
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            return Ok(total);
        }
        total = total.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        for piece in chunk
            .get(..read)
            .unwrap_or_default()
            .split_inclusive(|byte| *byte == b'\n')
        {
            partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") || partial.len() > LINE_BYTES_MAX {
                give_rest(partial, each);
            }
        }
    }
}

fn give_rest(partial: &mut Vec<u8>, each: &mut dyn FnMut(&str)) {
    let line = String::from_utf8_lossy(partial);
    let line = line.trim_end_matches(['\n', '\r']);
    if !line.is_empty() {
        each(line);
    }
    partial.clear();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    struct Log {
        directory: tempfile::TempDir,
        follower: Follower,
    }

    impl Log {
        fn with(text: &str) -> Log {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("decisions.jsonl");
            fs::write(&path, text).unwrap();
            Log {
                follower: Follower::open(&path).unwrap(),
                directory,
            }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }

        fn append(&self, name: &str, text: &str) {
            let mut file = File::options()
                .append(true)
                .create(true)
                .open(self.path(name))
                .unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }

        fn rename(&self, from: &str, to: &str) {
            fs::rename(self.path(from), self.path(to)).unwrap();
        }

        fn poll(&mut self) -> Vec<String> {
            let mut lines = Vec::new();
            self.follower
                .poll(&mut |line| lines.push(line.to_string()))
                .unwrap();
            lines
        }
    }

    #[test]
    fn cut_line_waits_for_its_end() {
        let mut log = Log::with("a\nb");
        assert_eq!(log.poll(), ["a"]);
        assert_eq!(log.poll(), [""; 0]);
        log.append("decisions.jsonl", "b\nc");
        assert_eq!(log.poll(), ["bb"]);
    }

    #[test]
    fn rotation_loses_and_repeats_nothing() {
        let mut log = Log::with("a\n");
        assert_eq!(log.poll(), ["a"]);
        log.append("decisions.jsonl", "late\n");
        log.rename("decisions.jsonl", "decisions.1.jsonl");
        log.append("decisions.jsonl", "b\n");
        assert_eq!(log.poll(), ["late", "b"]);
        log.append("decisions.jsonl", "c\n");
        assert_eq!(log.poll(), ["c"]);
    }

    #[test]
    fn two_rotations_between_two_looks_lose_nothing() {
        let mut log = Log::with("a\n");
        assert_eq!(log.poll(), ["a"]);
        log.rename("decisions.jsonl", "decisions.1.jsonl");
        log.append("decisions.jsonl", "b\n");
        log.rename("decisions.1.jsonl", "decisions.2.jsonl");
        log.rename("decisions.jsonl", "decisions.1.jsonl");
        log.append("decisions.jsonl", "c\n");
        assert_eq!(log.poll(), ["b", "c"]);
    }

    #[test]
    fn number_missing_in_the_middle_of_a_rotation_loses_nothing() {
        let mut log = Log::with("a\n");
        assert_eq!(log.poll(), ["a"]);
        log.rename("decisions.jsonl", "decisions.3.jsonl");
        log.append("decisions.2.jsonl", "b\n");
        log.append("decisions.jsonl", "c\n");
        assert_eq!(log.poll(), ["b", "c"]);
    }

    #[test]
    fn file_deleted_by_rotation_is_left_for_the_oldest_kept() {
        let mut log = Log::with("a\n");
        assert_eq!(log.poll(), ["a"]);
        fs::remove_file(log.path("decisions.jsonl")).unwrap();
        log.append("decisions.1.jsonl", "b\n");
        log.append("decisions.jsonl", "c\n");
        assert_eq!(log.poll(), ["b", "c"]);
    }

    #[test]
    fn truncated_file_is_read_from_its_start() {
        let mut log = Log::with("a long line\n");
        assert_eq!(log.poll(), ["a long line"]);
        fs::write(log.path("decisions.jsonl"), "b\n").unwrap();
        assert_eq!(log.poll(), ["b"]);
    }

    #[test]
    fn file_between_rename_and_creation_is_waited_for() {
        let mut log = Log::with("a\n");
        log.rename("decisions.jsonl", "decisions.1.jsonl");
        assert_eq!(log.poll(), ["a"]);
        log.append("decisions.jsonl", "b\n");
        assert_eq!(log.poll(), ["b"]);
    }
}
