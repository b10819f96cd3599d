//! A switch of the scenario's own: a `serve --demo` child on a temporary store, which steps kill,
//! start again and move in time. Nothing of that can be done to a switch that somebody else runs.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::cli::api::Api;
use crate::cli::import::Failed;

/// Why the scenario's own switch does not run.
#[derive(Debug, thiserror::Error)]
pub(super) enum OwnSwitchError {
    #[error("{doing} the scenario's own switch: {source}")]
    Io {
        doing: &'static str,
        source: io::Error,
    },
    #[error("start the scenario's own switch: it ended before it said where it listens")]
    Ended,
}

/// What its one door speaks.
#[derive(Debug, Clone)]
pub(super) struct Door {
    pub(super) framing: String,
    /// A built-in specification or a file.
    pub(super) spec: String,
    /// A built-in dialect.
    pub(super) dialect: String,
}

/// A running switch, and everything that is needed to start it again. Dropped, it is killed and its
/// store removed.
#[derive(Debug)]
pub(super) struct OwnSwitch {
    folder: TempDir,
    child: Option<(Child, BufReader<ChildStdout>)>,
    ahead: Duration,
    address: String,
    admin: String,
}

impl OwnSwitch {
    /// Starts it on an empty store with the demo cards.
    pub(super) fn start(door: &Door) -> Result<Self, OwnSwitchError> {
        let failed = |doing| move |source| OwnSwitchError::Io { doing, source };
        let folder = TempDir::new().map_err(failed("make a folder for"))?;
        let spec = absolute(&door.spec);
        let text = format!(
            "[[listener]]\nname = \"own\"\naddress = \"127.0.0.1:0\"\nframing = {:?}\n\
             spec = {spec:?}\ndialect = {:?}\n",
            door.framing, door.dialect
        );
        fs::write(folder.path().join("switch.toml"), text).map_err(failed("configure"))?;
        let mut own = Self {
            folder,
            child: None,
            ahead: Duration::ZERO,
            address: String::new(),
            admin: String::new(),
        };
        own.run()?;
        Ok(own)
    }

    /// Host and port of its door; another one after every start.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Where its operators' API is.
    pub(super) fn admin(&self) -> Result<Api, Failed> {
        Api::of_store(self.admin.clone(), &self.folder.path().join("store"))
    }

    /// How far ahead of the wall clock it lives.
    pub(super) fn ahead(&self) -> Duration {
        self.ahead
    }

    /// Kills it without a chance to finish anything (SIGKILL), and starts it on what it left, this
    /// much later.
    pub(super) fn crash(&mut self, later: Duration) -> Result<(), OwnSwitchError> {
        self.kill();
        self.ahead = self.ahead.saturating_add(later);
        self.run()
    }

    fn kill(&mut self) {
        if let Some((mut child, _)) = self.child.take() {
            // A child that has ended already is what was wanted.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it and reads where it listens, up to the line that says what to do next.
    fn run(&mut self) -> Result<(), OwnSwitchError> {
        let failed = |source| OwnSwitchError::Io {
            doing: "start",
            source,
        };
        let folder = self.folder.path();
        let mut child = Command::new(std::env::current_exe().map_err(failed)?)
            .args(["serve", "--demo", "--admin", "127.0.0.1:0", "--data"])
            .arg(folder.join("store"))
            .arg("--config")
            .arg(folder.join("switch.toml"))
            .args(["--clock-ahead", &self.ahead.as_secs().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let Some(stdout) = child.stdout.take() else {
            return Err(OwnSwitchError::Ended);
        };
        // Kept open: a switch without anybody to tell things to would end.
        let (_, told) = self.child.insert((child, BufReader::new(stdout)));
        loop {
            let mut line = String::new();
            if told.read_line(&mut line).map_err(failed)? == 0 {
                return Err(OwnSwitchError::Ended);
            }
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                (Some("listening"), Some(address)) => address.clone_into(&mut self.address),
                (Some("admin"), Some(url)) => {
                    url.trim_end_matches("/healthz").clone_into(&mut self.admin);
                }
                (Some("next"), _) => return Ok(()),
                _ => {}
            }
        }
    }
}

impl Drop for OwnSwitch {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A specification file by its whole path, since the configuration lies elsewhere; a built-in one
/// by its name.
fn absolute(spec: &str) -> PathBuf {
    let path = Path::new(spec);
    if path.is_file() {
        path.canonicalize().unwrap_or_else(|_| path.to_owned())
    } else {
        path.to_owned()
    }
}
