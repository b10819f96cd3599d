//! The log file: whole lines, rotated by size, a fixed number of files, never an error upwards.
//!
//! Ours rather than a crate's: the size-rotating crates looked at leave files behind that a crash
//! in mid-rotation orphaned, print to standard error, and lose lines uncounted once a rotation
//! failed. Invariants: the active file is always `decisions.jsonl`; a line is never split over two
//! files; a line that could not be written is counted.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Name of the file being written.
pub(super) const ACTIVE_NAME: &str = "decisions.jsonl";
/// Bytes collected before a write; the writer thread also writes whenever it runs out of lines.
/// Pieces as large as this come from busy links and are not copied once more.
const BUFFER_BYTES: usize = 8 * 1024;
/// Readable by the owner and the group that ships logs, by nobody else.
const FILE_MODE: u32 = 0o640;

/// Writer of the active file; lives on the log's own thread.
pub(super) struct RollingFile {
    directory: PathBuf,
    bytes_max: u64,
    files_max: u64,
    file: File,
    bytes: u64,
    buffer: Vec<u8>,
    lost_lines: Arc<AtomicU64>,
}

impl RollingFile {
    /// Opens (and creates) the active file and drops files beyond `files_max`.
    ///
    /// # Errors
    /// The directory or the file cannot be created.
    pub(super) fn open(
        directory: &Path,
        bytes_max: u64,
        files_max: u64,
        lost_lines: Arc<AtomicU64>,
    ) -> io::Result<RollingFile> {
        fs::create_dir_all(directory)?;
        let mut file = open_active(directory)?;
        let mut bytes = file.metadata()?.len();
        if bytes > 0 && !ends_in_newline(directory)? {
            // A crash cut the last line; the next one must not be glued to it.
            file.write_all(b"\n")?;
            bytes = bytes.saturating_add(1);
        }
        let mut index = files_max;
        while fs::remove_file(rotated(directory, index)).is_ok() {
            index = index.saturating_add(1);
        }
        let buffer = Vec::with_capacity(BUFFER_BYTES);
        let directory = directory.to_path_buf();
        Ok(RollingFile {
            directory,
            bytes_max,
            files_max,
            file,
            bytes,
            buffer,
            lost_lines,
        })
    }

    fn write_out(&mut self) {
        self.put(&self.buffer);
        self.buffer.clear();
    }

    /// Writes whole lines to the active file, or counts them.
    fn put(&self, lines: &[u8]) {
        if let Err(_error) = (&self.file).write_all(lines) {
            let lost = lines.iter().filter(|byte| **byte == b'\n').count();
            self.lost_lines
                .fetch_add(u64::try_from(lost).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    /// Starts a new active file; when that fails, goes on in the old one for another `bytes_max`.
    fn rotate(&mut self) {
        self.write_out();
        self.bytes = 0;
        for index in (1..self.files_max.saturating_sub(1)).rev() {
            // A gap in the numbers, left by a crash in this loop, closes by itself.
            let _gap = fs::rename(
                rotated(&self.directory, index),
                rotated(&self.directory, index.saturating_add(1)),
            );
        }
        let renamed = fs::rename(
            self.directory.join(ACTIVE_NAME),
            rotated(&self.directory, 1),
        );
        let gone = renamed.is_ok() || !self.directory.join(ACTIVE_NAME).exists();
        if gone && let Ok(file) = open_active(&self.directory) {
            self.file = file;
        }
    }
}

impl Write for RollingFile {
    /// Takes one or more whole lines.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let length = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        if self.bytes > 0 && self.bytes.saturating_add(length) > self.bytes_max {
            self.rotate();
        }
        if self.buffer.len().saturating_add(lines.len()) > BUFFER_BYTES {
            self.write_out();
        }
        if lines.len() >= BUFFER_BYTES {
            self.put(lines);
        } else {
            self.buffer.extend_from_slice(lines);
        }
        self.bytes = self.bytes.saturating_add(length);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_out();
        Ok(())
    }
}

impl Drop for RollingFile {
    fn drop(&mut self) {
        self.write_out();
    }
}

/// Standard output as a log: a reader that went away costs lines, which are counted.
pub(super) struct CountingStdout {
    stdout: io::BufWriter<io::Stdout>,
    lost_lines: Arc<AtomicU64>,
}

impl CountingStdout {
    pub(super) fn new(lost_lines: Arc<AtomicU64>) -> CountingStdout {
        let stdout = io::BufWriter::with_capacity(BUFFER_BYTES, io::stdout());
        CountingStdout { stdout, lost_lines }
    }
}

impl Write for CountingStdout {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        if self.stdout.write_all(lines).is_err() {
            self.lost_lines.fetch_add(1, Ordering::Relaxed);
        }
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        // What a failed flush leaves in the buffer fails, and is counted, on a later write.
        let _later = self.stdout.flush();
        Ok(())
    }
}

/// Path of the `index`-th newest file that is no longer written.
fn rotated(directory: &Path, index: u64) -> PathBuf {
    directory.join(format!("decisions.{index}.jsonl"))
}

fn open_active(directory: &Path) -> io::Result<File> {
    let path = directory.join(ACTIVE_NAME);
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(FILE_MODE)
        .open(path)
}

fn ends_in_newline(directory: &Path) -> io::Result<bool> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = File::open(directory.join(ACTIVE_NAME))?;
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0_u8; 1];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(directory: &Path, bytes_max: u64, files_max: u64) -> RollingFile {
        RollingFile::open(directory, bytes_max, files_max, Arc::default()).unwrap()
    }

    fn contents(directory: &Path) -> Vec<(String, String)> {
        let mut files: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                (name, fs::read_to_string(path).unwrap())
            })
            .collect();
        files.sort();
        files
    }

    fn files(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected
            .iter()
            .map(|(name, text)| (name.to_string(), text.to_string()))
            .collect()
    }

    #[test]
    fn full_file_is_rotated_and_only_the_newest_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = open(directory.path(), 10, 3);
        for line in [
            "aaaa\n", "bbbb\n", "cccc\n", "dddd\n", "eeee\n", "ffff\n", "g\n",
        ] {
            log.write_all(line.as_bytes()).unwrap();
        }
        log.flush().unwrap();
        assert_eq!(
            contents(directory.path()),
            files(&[
                ("decisions.1.jsonl", "eeee\nffff\n"),
                ("decisions.2.jsonl", "cccc\ndddd\n"),
                ("decisions.jsonl", "g\n"),
            ])
        );
    }

    #[test]
    fn restart_appends_after_closing_a_cut_line_and_drops_files_beyond_the_number_kept() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(ACTIVE_NAME), "aaaa\ncut").unwrap();
        for index in 1..=4 {
            fs::write(rotated(directory.path(), index), "old\n").unwrap();
        }
        let mut log = open(directory.path(), 100, 3);
        log.write_all(b"bbbb\n").unwrap();
        drop(log);
        assert_eq!(
            contents(directory.path()),
            files(&[
                ("decisions.1.jsonl", "old\n"),
                ("decisions.2.jsonl", "old\n"),
                ("decisions.jsonl", "aaaa\ncut\nbbbb\n"),
            ])
        );
    }

    #[test]
    fn line_longer_than_a_file_is_written_whole() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = open(directory.path(), 4, 2);
        log.write_all(b"a long line\n").unwrap();
        log.write_all(b"b\n").unwrap();
        drop(log);
        assert_eq!(
            contents(directory.path()),
            files(&[
                ("decisions.1.jsonl", "a long line\n"),
                ("decisions.jsonl", "b\n")
            ])
        );
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted() {
        let directory = tempfile::tempdir().unwrap();
        let lost = Arc::new(AtomicU64::new(0));
        let mut log = RollingFile::open(directory.path(), 100, 2, Arc::clone(&lost)).unwrap();
        log.file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        log.write_all(b"a\nb\n").unwrap();
        log.flush().unwrap();
        assert_eq!(lost.load(Ordering::Relaxed), 2);
    }
}
