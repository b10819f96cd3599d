//! Proves a store as a start would, and more: from as far back as its journal goes, through every
//! checkpoint. What is opened is a copy, because the store below writes when it opens.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::engine::digest;
use crate::engine::state::State;
use crate::journal::{
    self, Checkpoint, Checkpoints, CopyProgress, Head, HeldStore, Recovery, SledOptions,
};
use crate::switch::restore;
use crate::switch::token::TokenKey;

use super::import::Failed;

/// What was proven, and what is wrong.
pub(super) struct Verified {
    /// What reading the journal found; nothing where it was refused.
    recovery: Option<Recovery>,
    /// Where reading began: 0, or the oldest checkpoint.
    base: u64,
    /// Sequences of the checkpoints that are whole and are what the journal makes.
    checkpoints: Vec<u64>,
    digest: String,
    /// What is wrong, a sentence each.
    pub(super) faults: Vec<String>,
}

impl Verified {
    pub(super) fn json(&self) -> Value {
        let journal = self.recovery.as_ref().map(|recovery| {
            json!({
                "first_sequence": recovery.first_sequence,
                "last_sequence": recovery.last_sequence,
                "generations": recovery.generations,
                "frames": recovery.frames,
                "frames_from_ring": recovery.frames_from_ring,
                "watermark": recovery.watermark_sequence,
            })
        });
        json!({
            "journal": journal,
            "base_sequence": self.base,
            "checkpoints": self.checkpoints,
            "digest": self.digest,
            "faults": self.faults,
        })
    }

    pub(super) fn text(&self) -> String {
        let mut lines = Vec::new();
        if let Some(recovery) = &self.recovery {
            lines.push(format!(
                "journal      records {} to {}, {} frames in {} generations, {} from the ring",
                recovery.first_sequence,
                recovery.last_sequence,
                recovery.frames,
                recovery.generations,
                recovery.frames_from_ring
            ));
            lines.push(format!(
                "watermark    reached ({})",
                recovery.watermark_sequence
            ));
            match self.base {
                0 => lines.push("replayed     from the first record".to_owned()),
                base => lines.push(format!("replayed     from the checkpoint at {base}")),
            }
            lines.push(format!("digest       {}", self.digest));
        }
        for sequence in &self.checkpoints {
            lines.push(format!(
                "checkpoint   at {sequence}: whole, as the journal makes it"
            ));
        }
        let faults = self.faults.iter();
        lines.extend(faults.map(|fault| format!("DAMAGED      {fault}")));
        lines.iter().map(|line| format!("{line}\n")).collect()
    }
}

/// A folder that goes when it is no longer needed.
pub(super) struct Scratch(pub(super) PathBuf);

impl Scratch {
    pub(super) fn make(parent: Option<&Path>) -> Result<Scratch, Failed> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_path_buf);
        let folder = parent.join(format!("cardswitch-verify-{}", std::process::id()));
        journal::make_empty(&folder).map_err(|error| (73, error.to_string()))?;
        Ok(Scratch(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left for the system.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Proves the store, or the copy of one, in a directory.
pub(super) fn verify(
    store: &Path,
    scratch: Option<&Path>,
    progress: &CopyProgress,
) -> Result<Verified, Failed> {
    if !store.join("j").is_dir() {
        return Err((66, format!("there is no store in {}", store.display())));
    }
    let _in_use = share(store)?;
    let mut faults = Vec::new();
    if store.join(journal::MANIFEST).is_file() {
        let checked = journal::check_manifest(store, progress);
        faults.extend(checked.err().map(|error| error.to_string()));
    }
    let scratch = Scratch::make(scratch)?;
    journal::copy_files(store, &scratch.0, progress).map_err(|error| (73, error.to_string()))?;
    let mut verified = Verified {
        recovery: None,
        base: 0,
        checkpoints: Vec::new(),
        digest: String::new(),
        faults,
    };
    if let Err(fault) = prove(&scratch.0, &mut verified) {
        // It speaks of the copy that was opened.
        let (copy, own) = (scratch.0.display().to_string(), store.display().to_string());
        verified.faults.push(fault.replace(&copy, &own));
    }
    let recovery = verified.recovery.as_ref();
    let is_new = recovery.is_none_or(|recovery| recovery.last_sequence == 0);
    let key = TokenKey::prove(store, is_new);
    verified
        .faults
        .extend(key.err().map(|fault| fault.to_string()));
    Ok(verified)
}

/// Keeps a switch from starting on a store that is not in use; a copy has no lock.
pub(super) fn share(store: &Path) -> Result<Option<File>, Failed> {
    let path = store.join("LOCK");
    let Ok(file) = File::open(&path) else {
        return Ok(None);
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::Error(error)) => Err((73, format!("{}: {error}", path.display()))),
        Err(TryLockError::WouldBlock) => {
            let sentence = "is open in a process: stop it, or look into a copy (store backup)";
            Err((75, format!("the store {} {sentence}", store.display())))
        }
    }
}

fn prove(copy: &Path, verified: &mut Verified) -> Result<(), String> {
    let options = SledOptions::standard();
    let held = HeldStore::take(copy).map_err(|error| error.to_string())?;
    let checkpoints = held.checkpoints(options.cache_bytes);
    let labels = whole(&checkpoints, &mut verified.faults)?;
    let first = held.first_sequence().map_err(|error| error.to_string())?;
    let (mut state, mut base) = (State::new(), None);
    if first > 1
        && let Some(oldest) = labels.first()
    {
        let loaded = restore::load(&checkpoints, oldest);
        state = loaded.map_err(|error| error.to_string())?;
        base = Some(oldest.position);
    }
    verified.base = base.map_or(0, |base: Head| base.sequence);
    let mut proven = Vec::new();
    let mut differing = Vec::new();
    let mut compare = |state: &State| {
        let here = |label: &&Checkpoint| label.position.sequence == state.sequence();
        if let Some(label) = labels.iter().find(here) {
            let sequence = label.position.sequence;
            // Of another form it says nothing; that it is whole is proven.
            let is_same = label.digest_form != digest::VERSION || label.digest == state.digest().0;
            if is_same {
                proven.push(sequence);
            } else {
                let what = "is not the state that the journal makes there";
                differing.push(format!("the checkpoint at {sequence} {what}"));
            }
        }
    };
    compare(&state);
    let opened = held.open(options, base, &mut |records| {
        restore::apply_frame(&mut state, records)?;
        compare(&state);
        Ok(())
    });
    verified.checkpoints = proven;
    verified.faults.extend(differing);
    let journal = opened.map_err(|error| error.to_string())?;
    verified.recovery = Some(journal.recovery().clone());
    verified.digest = state.digest().to_string();
    let conserved = state.check_conservation();
    conserved.map_err(|fault| format!("the money does not add up: {fault}"))
}

/// The checkpoints whose every chunk is right, oldest first.
fn whole(checkpoints: &Checkpoints, faults: &mut Vec<String>) -> Result<Vec<Checkpoint>, String> {
    let listed = checkpoints.list().map_err(|error| error.to_string())?;
    let mut labels = Vec::new();
    for label in listed.into_iter().rev() {
        let read = label.and_then(|label| {
            checkpoints.read(&label, &mut |_| Ok(()))?;
            Ok(label)
        });
        match read {
            Ok(label) => labels.push(label),
            Err(error) => faults.push(error.to_string()),
        }
    }
    Ok(labels)
}
