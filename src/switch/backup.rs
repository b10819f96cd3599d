//! A copy of the store of a running switch: made beside the single writer, of what is durable.

use std::path::Path;

use crate::journal::{self, CopyProgress};

use super::checkpointer::Source;
use super::token;

/// A copy that was made.
#[derive(Clone, Copy, Debug)]
pub struct Copied {
    /// The last record in it.
    pub sequence: u64,
}

/// Copies the store up to a durable record to an empty folder. The copy is one of a store that was
/// closed cleanly: it has no ring and needs none.
pub(super) fn copy(
    source: &Source,
    until: u64,
    to: &Path,
    progress: &CopyProgress,
) -> Result<Copied, String> {
    let view = journal::view(&source.data_dir).map_err(|error| error.to_string())?;
    let generations = view.generations.iter().map(|generation| generation.bytes);
    let checkpoints = view.checkpoints.iter().flatten().map(|found| found.1);
    progress.begin(generations.chain(checkpoints).sum());
    journal::make_empty(to).map_err(|error| error.to_string())?;
    let head = source.reader.copy_to(to, until, progress);
    let head = head.map_err(|error| error.to_string())?;
    let checkpoints = &source.checkpoints;
    let copied = checkpoints.copy_to(to, head.sequence, progress);
    copied.map_err(|error| error.to_string())?;
    let key = token::KEY_FILE;
    let key = journal::copy_file(&source.data_dir.join(key), &to.join(key), progress);
    key.and_then(|()| journal::write_manifest(to))
        .map_err(|error| error.to_string())?;
    Ok(Copied {
        sequence: head.sequence,
    })
}
