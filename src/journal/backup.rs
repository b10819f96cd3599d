//! Copies of a store: made, proven by their manifest, and put back.
//!
//! A copy has the store's own layout and a file `MANIFEST`, written last: each file with its length
//! and BLAKE3 hash, a line each, and a line with the hash of those lines. Without it a copy was
//! never finished. What is only for this machine or for people (`LOCK`, `log/`) is not copied.

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::durable;

/// Name of the list of files, the last one that is written.
pub const MANIFEST: &str = "MANIFEST";
const FIRST_LINE: &str = "cardswitch store copy, format 1";
const PIECE_BYTES: usize = 1 << 20;

/// A copy that cannot be made, or is not what it was.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{path}: {what}", path = .path.display())]
pub struct CopyError {
    /// File or directory.
    pub path: PathBuf,
    /// What was expected and found, or what the system said.
    pub what: String,
}

impl CopyError {
    fn new(path: &Path, what: impl ToString) -> CopyError {
        CopyError {
            path: path.to_path_buf(),
            what: what.to_string(),
        }
    }
}

/// How far a copy is, for whoever watches.
#[derive(Debug, Default)]
pub struct CopyProgress {
    /// Bytes copied.
    pub done: AtomicU64,
    /// Bytes to copy, as far as it is known.
    pub total: AtomicU64,
}

impl CopyProgress {
    /// From the beginning, with so much to do.
    pub fn begin(&self, total: u64) {
        self.done.store(0, Relaxed);
        self.total.store(total, Relaxed);
    }

    fn add(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.done.fetch_add(bytes, Relaxed);
    }
}

/// Makes the folder of a copy, for nobody's eyes but the owner's; it must be empty or not there.
///
/// # Errors
/// [`CopyError`] when something is in it, or the system refuses.
pub fn make_empty(folder: &Path) -> Result<(), CopyError> {
    match fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(CopyError::new(
                folder,
                "expected an empty folder or none, found files in it",
            )),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut builder = DirBuilder::new();
            let made = builder.recursive(true).mode(0o700).create(folder);
            made.map_err(|error| CopyError::new(folder, error))
        }
        Err(error) => Err(CopyError::new(folder, error)),
    }
}

/// Copies the files of a store that nobody writes, durably; the manifest is not written yet.
///
/// # Errors
/// [`CopyError`].
pub fn copy_files(from: &Path, to: &Path, progress: &CopyProgress) -> Result<(), CopyError> {
    let files = files_of(from)?;
    progress.begin(files.iter().map(|file| file.1).sum());
    for (name, _) in &files {
        copy_file(&from.join(name), &to.join(name), progress)?;
    }
    durable::sync_tree(to).map_err(|error| CopyError::new(to, error))
}

/// Copies one folder of files, which nobody writes.
pub(super) fn copy_folder(
    from: &Path,
    to: &Path,
    progress: &CopyProgress,
) -> Result<(), CopyError> {
    let mut files = Vec::new();
    gather(from, Path::new(""), &mut files)?;
    for (name, _) in &files {
        copy_file(&from.join(name), &to.join(name), progress)?;
    }
    Ok(())
}

/// Copies one file with its permissions.
///
/// # Errors
/// [`CopyError`].
pub fn copy_file(from: &Path, to: &Path, progress: &CopyProgress) -> Result<(), CopyError> {
    let read_failed = |error: io::Error| CopyError::new(from, error);
    let write_failed = |error: io::Error| CopyError::new(to, error);
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(write_failed)?;
    }
    let mut source = File::open(from).map_err(read_failed)?;
    let mut target = File::create_new(to).map_err(write_failed)?;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let length = source.read(&mut piece).map_err(read_failed)?;
        let Some(bytes) = piece.get(..length).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        target.write_all(bytes).map_err(write_failed)?;
        progress.add(length);
    }
    let permissions = source.metadata().map_err(read_failed)?.permissions();
    target.set_permissions(permissions).map_err(write_failed)
}

/// Lists the files of a finished copy, durably: from here on it is one.
///
/// # Errors
/// [`CopyError`].
pub fn write_manifest(copy: &Path) -> Result<(), CopyError> {
    let failed = |error: io::Error| CopyError::new(copy, error);
    durable::sync_tree(copy).map_err(failed)?;
    let mut text = format!("{FIRST_LINE}\n");
    for (name, length) in files_of(copy)? {
        let hash = hash_of(&copy.join(&name))?;
        text.push_str(&format!("{hash} {length} {}\n", name.display()));
    }
    let hash = blake3::hash(text.as_bytes()).to_hex();
    text.push_str(&format!("{hash}\n"));
    durable::write_file(copy, MANIFEST, text.as_bytes()).map_err(failed)
}

/// Proves that a copy is what it was when it was finished; returns its files with their lengths.
///
/// # Errors
/// [`CopyError`] names the first file that is missing, changed, or too many.
pub fn check_manifest(
    copy: &Path,
    progress: &CopyProgress,
) -> Result<Vec<(PathBuf, u64)>, CopyError> {
    let path = copy.join(MANIFEST);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let what = "no such file: not a copy of a store, or one that was never finished";
            return Err(CopyError::new(&path, what));
        }
        Err(error) => return Err(CopyError::new(&path, error)),
    };
    let damaged = || CopyError::new(&path, "not as it was written");
    let (list, hash) = text.trim_end().rsplit_once('\n').ok_or_else(damaged)?;
    let whole = format!("{list}\n");
    if blake3::hash(whole.as_bytes()).to_hex().as_str() != hash {
        return Err(damaged());
    }
    let mut lines = list.lines();
    if lines.next() != Some(FIRST_LINE) {
        return Err(damaged());
    }
    let mut listed = Vec::new();
    for line in lines {
        let mut words = line.splitn(3, ' ');
        let (hash, length, name) = (words.next(), words.next(), words.next());
        let length: Option<u64> = length.and_then(|length| length.parse().ok());
        let (Some(hash), Some(length), Some(name)) = (hash, length, name) else {
            return Err(damaged());
        };
        listed.push((PathBuf::from(name), length, hash));
    }
    progress.begin(listed.iter().map(|row| row.1).sum());
    let found = files_of(copy)?;
    for (name, length, hash) in &listed {
        let path = copy.join(name);
        if !found.contains(&(name.clone(), *length)) {
            return Err(CopyError::new(&path, format!("expected {length} bytes")));
        }
        if hash_of(&path)? != *hash {
            return Err(CopyError::new(&path, "changed since it was copied"));
        }
        progress.done.fetch_add(*length, Relaxed);
    }
    let is_listed = |name: &Path| listed.iter().any(|row| row.0 == name);
    if let Some((name, _)) = found.iter().find(|row| !is_listed(&row.0)) {
        return Err(CopyError::new(&copy.join(name), "not in the manifest"));
    }
    Ok(found)
}

/// The files of a store or of a copy, by name relative to it, with their lengths.
fn files_of(store: &Path) -> Result<Vec<(PathBuf, u64)>, CopyError> {
    let mut files = Vec::new();
    gather(store, Path::new(""), &mut files)?;
    files.retain(|(name, _)| {
        let is_ours = name.starts_with("log") || name == Path::new("LOCK");
        let is_unfinished = name
            .extension()
            .is_some_and(|extension| extension == "writing");
        !is_ours && !is_unfinished && name != Path::new(MANIFEST)
    });
    files.sort();
    Ok(files)
}

fn gather(folder: &Path, name: &Path, files: &mut Vec<(PathBuf, u64)>) -> Result<(), CopyError> {
    let failed = |error: io::Error| CopyError::new(folder, error);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = name.join(entry.file_name());
        if entry.file_type().map_err(failed)?.is_dir() {
            gather(&entry.path(), &name, files)?;
        } else {
            files.push((name, entry.metadata().map_err(failed)?.len()));
        }
    }
    Ok(())
}

fn hash_of(path: &Path) -> Result<String, CopyError> {
    let failed = |error: io::Error| CopyError::new(path, error);
    let mut file = BufReader::with_capacity(PIECE_BYTES, File::open(path).map_err(failed)?);
    let mut hasher = BufWriter::with_capacity(PIECE_BYTES, blake3::Hasher::new());
    io::copy(&mut file, &mut hasher).map_err(failed)?;
    let hasher = hasher.into_inner().map_err(|error| failed(error.into()))?;
    Ok(hasher.finalize().to_hex().to_string())
}
