//! What the operators' API of `cardswitch serve` works with: tokens, answers and webhooks of the
//! data directory, and the running switch.

use std::sync::Arc;

use crate::ops::access::Gate;
use crate::ops::admin::{AdminContext, Once, Shadows, Webhooks};
use crate::ops::log;
use crate::switch::config::Config;
use crate::switch::server::Server;

use super::serve::Stopped;

/// What the operators' API works with.
pub(super) fn context(
    is_demo: bool,
    config: &Config,
    server: &Server,
    log: &log::LogGuard,
) -> Result<AdminContext, Stopped> {
    let gate =
        Gate::open(&config.data_dir).map_err(|error| Stopped::because(error.exit_code(), error))?;
    let once = Once::open(&config.data_dir, &server.token_key)
        .map_err(|error| Stopped::because(73, format!("answers of the operators' API: {error}")))?;
    let webhooks = Webhooks::open(&config.webhooks, &config.data_dir)
        .map_err(|error| Stopped::because(78, error))?;
    Ok(AdminContext {
        jobs: server.jobs.clone(),
        telemetry: server.telemetry.clone(),
        rules: server.rules.clone(),
        token_key: server.token_key.clone(),
        pins: server.pins.clone(),
        journal: server.journal.clone(),
        checkpoints: server.checkpoints.clone(),
        backups_dir: config.backups_dir.clone(),
        log: log.counters(),
        sessions: server.sessions.clone(),
        space: server.space.clone(),
        folders: (config.data_dir.clone(), config.log_directory()),
        test_doors: is_demo.then(|| server.doors.clone().into()),
        gate: Arc::new(gate),
        once,
        webhooks,
        shadows: Shadows::at(&config.data_dir),
    })
}
