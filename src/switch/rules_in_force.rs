//! The programmes in force: shared by every link and by the operators' API, changed as a whole.
//!
//! A reload is checked first, all files at once; then the single writer journals it and decides by
//! it from the next command on; then links read card numbers by it. Dialect tables stay as they
//! were when the switch started.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{Mutex, watch};

use crate::domain::rulebook::Rulebook;
use crate::engine::command::{Answer, Body};
use crate::engine::operation::{Done, Order, OrderRefused};
use crate::engine::operation_rules::NewRules;

use super::jobs::{Jobs, Stopping};
use super::rulebook::{LoadedRules, RulesError};

/// The programmes in force.
pub struct RulesInForce {
    sender: watch::Sender<Arc<Rulebook>>,
    /// Folder of programme files; `None`: those in the binary.
    folder: Option<PathBuf>,
    /// One reload at a time.
    turn: Mutex<()>,
}

/// The programmes could not be changed; nothing was.
#[derive(Debug, thiserror::Error)]
pub enum NotReloaded {
    /// The files have mistakes.
    #[error(transparent)]
    Files(#[from] RulesError),
    /// They do not fit the accounts that are open.
    #[error("{0}")]
    Refused(#[from] OrderRefused),
    /// The switch is stopping.
    #[error(transparent)]
    Stopping(#[from] Stopping),
    /// The single writer answered something else.
    #[error("the single writer answered something else")]
    Unanswered,
}

impl RulesInForce {
    /// What was loaded from a folder, or from the binary.
    pub fn new(rules: &LoadedRules, folder: Option<PathBuf>) -> RulesInForce {
        RulesInForce {
            sender: watch::Sender::new(Arc::clone(&rules.rulebook)),
            folder,
            turn: Mutex::new(()),
        }
    }

    /// The programmes as they are now.
    pub fn rulebook(&self) -> Arc<Rulebook> {
        Arc::clone(&self.sender.borrow())
    }

    /// Tells of every change from here on.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Rulebook>> {
        self.sender.subscribe()
    }

    /// Reads the files again and decides by them from here on.
    ///
    /// # Errors
    /// [`NotReloaded`] with every mistake; nothing has changed then.
    pub async fn reload(&self, jobs: &Jobs) -> Result<Done, NotReloaded> {
        let _turn = self.turn.lock().await;
        let folder = self.folder.clone();
        let codes = self.rulebook().codes.clone();
        let (programmes, files) = LoadedRules::programmes(folder.as_deref())?;
        let rulebook = Arc::new(Rulebook { programmes, codes });
        let new = NewRules {
            rulebook: Arc::clone(&rulebook),
            files,
        };
        let order = Body::Operate(Box::new(Order::ChangeRules(new)));
        match jobs.command(order).await? {
            Answer::Ordered(Ok(done)) => {
                self.sender.send_replace(rulebook);
                Ok(done)
            }
            Answer::Ordered(Err(refused)) => Err(refused.into()),
            Answer::Decided(_)
            | Answer::Opened(_)
            | Answer::LinkNamed(_)
            | Answer::PinChanged(_)
            | Answer::Presented(_)
            | Answer::CutOver(_)
            | Answer::Reconciled(_)
            | Answer::Housekept { .. } => Err(NotReloaded::Unanswered),
        }
    }
}
