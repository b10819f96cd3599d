//! Webhooks: tells those who are configured what happened, over HTTP, and repeats what failed; how
//! far each is, and telling again what was put aside.
//!
//! Each webhook is a reader of the journal with a cursor of its own on the disk: one that is slow
//! or dead holds up neither a decision nor another webhook.

use std::path::{Path as FilePath, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, io};

use axum::Json;
use axum::http::StatusCode;
use rustls::crypto::ring;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::ops::webhook::{Dead, Progress, Range, Secret, backoff_ms};
use crate::switch::clock;
use crate::switch::config::{Tells, WebhookConfig};

use super::activity::{self, LOOK_EVERY, PAGE_RECORDS};
use super::apart::apart;
use super::asked::{Asked, Path, Shared};
use super::{AdminContext, Problem, events, wrong};

/// How often progress that only went on is written to the disk.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// How long reading is not tried again after it failed.
const READ_AGAIN: Duration = Duration::from_secs(1);
/// Ranges that are told again, at most.
const AGAIN_MAX: usize = 1_000;

/// Every webhook.
#[derive(Clone, Default)]
pub struct Webhooks(Arc<[Arc<Hook>]>);

/// One webhook.
struct Hook {
    config: WebhookConfig,
    secret: Secret,
    agent: ureq::Agent,
    path: PathBuf,
    standing: Mutex<Standing>,
    failures: AtomicU64,
}

/// Where it stands.
struct Standing {
    /// None until it is known from where on it is told.
    progress: Option<Progress>,
    failures_in_row: u32,
    last_failure: Option<String>,
    is_saved: bool,
    saved_at: Instant,
}

/// One telling: its id and its body.
struct Telling {
    id: String,
    body: String,
}

impl Webhooks {
    /// The configured ones, each as far as it came.
    ///
    /// # Errors
    /// A sentence that names the webhook, and what of it cannot be read.
    pub fn open(configs: &[WebhookConfig], data_dir: &FilePath) -> Result<Webhooks, String> {
        let folder = data_dir.join("webhooks");
        if !configs.is_empty() {
            let made = fs::create_dir_all(&folder);
            made.map_err(|error| format!("make {}: {error}", folder.display()))?;
        }
        let hooks = configs.iter().map(|config| {
            let named = |what: String| format!("webhook {:?}: {what}", config.name);
            Hook::open(config, &folder).map(Arc::new).map_err(named)
        });
        Ok(Webhooks(hooks.collect::<Result<_, _>>()?))
    }

    /// Tells them from now on, until the tasks are aborted.
    pub(super) fn start(&self, context: &AdminContext) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for hook in self.0.iter() {
            tasks.spawn(tell(context.clone(), Arc::clone(hook)));
        }
        tasks
    }

    /// Writes down how far they are.
    pub fn save(&self) {
        for hook in self.0.iter() {
            hook.save(&mut hook.standing());
        }
    }

    /// Failures so far, ranges that were put aside, and by how many records the last one is behind.
    pub(super) fn counts(&self, durable: u64) -> (u64, u64, u64) {
        let (mut failures, mut dead, mut behind) = (0_u64, 0_u64, 0);
        for hook in self.0.iter() {
            failures = failures.saturating_add(hook.failures.load(Relaxed));
            let standing = hook.standing();
            let progress = standing.progress.as_ref();
            let count = progress.map_or(0, |progress| progress.dead.len());
            dead = dead.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
            let cursor = progress.map_or(durable, |progress| progress.cursor);
            behind = behind.max(durable.saturating_sub(cursor));
        }
        (failures, dead, behind)
    }

    fn named(&self, name: &str) -> Result<&Hook, Problem> {
        let found = self.0.iter().find(|hook| hook.config.name == name);
        found.map(Arc::as_ref).ok_or_else(|| {
            let what = "there is no such webhook".to_owned();
            Problem(StatusCode::NOT_FOUND, what)
        })
    }
}

impl Hook {
    fn open(config: &WebhookConfig, folder: &FilePath) -> Result<Hook, String> {
        let unreadable = |path: &FilePath, error: io::Error| format!("{}: {error}", path.display());
        let secret = fs::read_to_string(&config.secret_file).map(Zeroizing::new);
        let secret = secret.map_err(|error| unreadable(&config.secret_file, error))?;
        let secret = Secret::parse(&secret)
            .map_err(|what| format!("{}: {what}", config.secret_file.display()))?;
        let path = folder.join(format!("{}.json", config.name));
        let progress = Progress::load(&path).map_err(|error| unreadable(&path, error))?;
        Ok(Hook {
            agent: agent(config)?,
            config: config.clone(),
            secret,
            path,
            standing: Mutex::new(Standing {
                is_saved: progress.is_some(),
                progress,
                failures_in_row: 0,
                last_failure: None,
                saved_at: clock::instant(),
            }),
            failures: AtomicU64::new(0),
        })
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn save(&self, standing: &mut Standing) {
        let Some(progress) = standing.progress.as_ref().filter(|_| !standing.is_saved) else {
            return;
        };
        standing.saved_at = clock::instant();
        match progress.save(&self.path) {
            Ok(()) => standing.is_saved = true,
            // It goes on; after a crash it is told again what it was told since.
            Err(error) => {
                let webhook = &self.config.name;
                tracing::error!(webhook, %error, "how far the webhook is was not written");
            }
        }
    }

    /// Has the progress changed by `change`, and written: at once, or when it is time.
    async fn change(self: &Arc<Self>, at_once: bool, change: impl FnOnce(&mut Progress)) {
        let is_due = {
            let mut standing = self.standing();
            if let Some(progress) = standing.progress.as_mut() {
                change(progress);
                standing.is_saved = false;
            }
            let unsaved_for = clock::instant().saturating_duration_since(standing.saved_at);
            at_once || unsaved_for >= SAVE_EVERY
        };
        if is_due {
            self.write().await;
        }
    }

    async fn write(self: &Arc<Self>) {
        let hook = Arc::clone(self);
        let written = tokio::task::spawn_blocking(move || hook.save(&mut hook.standing()));
        if written.await.is_err() {
            tracing::error!(webhook = self.config.name, "writing was cut off");
        }
    }

    /// What is next to be told; a new webhook begins now.
    fn next(&self, durable: u64) -> Option<(Range, bool)> {
        let mut standing = self.standing();
        let standing = &mut *standing;
        let begun = standing.progress.get_or_insert_with(|| {
            standing.is_saved = false;
            Progress {
                cursor: durable,
                ..Progress::default()
            }
        });
        begun.next(durable)
    }

    fn is_unsaved(&self) -> bool {
        !self.standing().is_saved
    }

    /// Sends a telling once.
    fn send(&self, telling: &Telling) -> Result<(), String> {
        let seconds = clock::now().0.div_euclid(1_000);
        let signature = self.secret.sign(&telling.id, seconds, &telling.body);
        let request = self.agent.post(&self.config.url);
        let answer = request
            .header("content-type", "application/json")
            .header("webhook-id", &telling.id)
            .header("webhook-timestamp", seconds.to_string())
            .header("webhook-signature", signature)
            .send(&telling.body);
        match answer {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(format!("it answered {}", answer.status().as_u16())),
            Err(error) => Err(error.to_string()),
        }
    }

    fn note(&self, failure: Option<&str>) -> u32 {
        let mut standing = self.standing();
        standing.last_failure = failure.map(str::to_owned);
        standing.failures_in_row = match failure {
            Some(_) => standing.failures_in_row.saturating_add(1),
            None => 0,
        };
        if failure.is_some() {
            self.failures.fetch_add(1, Relaxed);
        }
        standing.failures_in_row
    }

    fn told(&self, durable: u64) -> Value {
        let standing = self.standing();
        let progress = standing.progress.as_ref();
        let cursor = progress.map_or(durable, |progress| progress.cursor);
        json!({
            "name": self.config.name,
            "url": self.config.url,
            "tells": self.config.tells.name(),
            "next": cursor,
            "behind": durable.saturating_sub(cursor),
            "failures": self.failures.load(Relaxed),
            "failures_in_row": standing.failures_in_row,
            "last_failure": standing.last_failure,
            "dead": progress.map_or(0, |progress| progress.dead.len()),
            "again": progress.map_or(0, |progress| progress.again.len()),
        })
    }
}

/// A client that follows nobody elsewhere and waits for nobody for long.
fn agent(config: &WebhookConfig) -> Result<ureq::Agent, String> {
    let mut agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .user_agent(concat!("cardswitch/", env!("CARGO_PKG_VERSION")))
        .timeout_global(Some(Duration::from_millis(config.timeout_ms)));
    if let Some(ca) = &config.ca {
        let text = fs::read(ca).map_err(|error| format!("{}: {error}", ca.display()))?;
        let items = parse_pem(&text).filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        });
        let certificates: Vec<Certificate<'static>> = items.collect();
        if certificates.is_empty() {
            return Err(format!("{}: it holds no certificate in PEM", ca.display()));
        }
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
            .root_certs(RootCerts::new_with_certs(&certificates));
        agent = agent.tls_config(tls.build());
    }
    Ok(agent.build().into())
}

/// Tells one webhook, one telling after the other.
async fn tell(context: AdminContext, hook: Arc<Hook>) {
    let webhook = hook.config.name.clone();
    loop {
        let Some((range, is_again)) = hook.next(context.readable()) else {
            if hook.is_unsaved() {
                hook.write().await;
            }
            tokio::time::sleep(LOOK_EVERY).await;
            continue;
        };
        match gather(&context, &hook, range).await {
            Ok((telling, through)) => {
                let told = match telling {
                    Some(telling) => deliver(&hook, telling).await,
                    None => Ok(()),
                };
                let range = Range { through, ..range };
                pass(&hook, (range, is_again), told).await;
            }
            // What is gone of the journal is gone for ever.
            Err(Problem(StatusCode::GONE, why)) => pass(&hook, (range, is_again), Err(why)).await,
            Err(Problem(_, why)) => {
                tracing::error!(webhook, why, "what a webhook is told cannot be read");
                hook.note(Some(&why));
                tokio::time::sleep(READ_AGAIN).await;
                continue;
            }
        }
        // Whoever has more to be told leaves room for the corridor.
        if range.through.saturating_sub(range.after) > PAGE_RECORDS {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Goes on behind a range that was told, or puts it aside.
async fn pass(hook: &Arc<Hook>, (range, is_again): (Range, bool), told: Result<(), String>) {
    let Err(why) = told else {
        let change = |progress: &mut Progress| progress.advance(range.through, is_again);
        return hook.change(is_again, change).await;
    };
    let (webhook, after, through) = (&hook.config.name, range.after, range.through);
    tracing::error!(
        webhook,
        after,
        through,
        why,
        "a telling of a webhook was put aside"
    );
    let at = clock::now().to_string();
    let change = |progress: &mut Progress| {
        progress.give_up(Dead { range, at, why });
        progress.advance(through, is_again);
    };
    hook.change(true, change).await;
}

/// The next telling of a range, and where it ends; none where nothing is to be told until there.
async fn gather(
    context: &AdminContext,
    hook: &Arc<Hook>,
    range: Range,
) -> Result<(Option<Telling>, u64), Problem> {
    let (tells, until) = (hook.config.tells, (range.after, range.through));
    let most = (usize::MAX, PAGE_RECORDS);
    let (rows, through) = match tells {
        Tells::Notices => {
            let (rows, through) = events::behind(context, until, most).await?;
            (rows, through)
        }
        Tells::Activity => {
            let wanted = activity::Wanted::default();
            let (rows, through) = activity::rows(context, &wanted, until, most).await?;
            let rows = apart(move || rows.iter().map(|row| json!(row)).collect::<Vec<_>>());
            (rows.await?, through)
        }
    };
    if rows.is_empty() {
        return Ok((None, through));
    }
    let name = hook.config.name.clone();
    let telling = apart(move || {
        let id = format!("{name}.{}.{through}", range.after);
        let body = json!({
            "webhook": name,
            "after": range.after,
            "through": through,
            (tells.name()): rows,
        });
        let body = body.to_string();
        Telling { id, body }
    });
    Ok((Some(telling.await?), through))
}

/// Sends a telling until it is taken, or too often.
async fn deliver(hook: &Arc<Hook>, telling: Telling) -> Result<(), String> {
    let telling = Arc::new(telling);
    let mut failures = 0;
    loop {
        let (sender, sent) = (Arc::clone(hook), Arc::clone(&telling));
        let sending = tokio::task::spawn_blocking(move || sender.send(&sent));
        let sent = sending.await;
        let Err(why) = sent.unwrap_or_else(|_| Err("sending was cut off".to_owned())) else {
            hook.note(None);
            return Ok(());
        };
        failures += 1;
        hook.note(Some(&why));
        if failures >= hook.config.attempts_max {
            return Err(why);
        }
        let mut dice = [0; 8];
        // Without dice it waits the least.
        let _ = getrandom::fill(&mut dice);
        let wait = backoff_ms(hook.config.retry_ms, failures, u64::from_le_bytes(dice));
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
}

/// Every webhook, and how far it is.
pub(super) async fn webhooks(Shared(context): Shared<AdminContext>) -> Json<Value> {
    let durable = context.telemetry.durable.load(Acquire);
    let hooks = context.webhooks.0.iter();
    let told: Vec<Value> = hooks.map(|hook| hook.told(durable)).collect();
    Json(json!({ "webhooks": told }))
}

/// One webhook with what was put aside.
pub(super) async fn webhook(
    Shared(context): Shared<AdminContext>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    let durable = context.telemetry.durable.load(Acquire);
    let hook = context.webhooks.named(&name)?;
    let mut told = hook.told(durable);
    let standing = hook.standing();
    let (dead, again) = match &standing.progress {
        Some(progress) => (json!(progress.dead), json!(progress.again)),
        None => (json!([]), json!([])),
    };
    told["dead"] = dead;
    told["again"] = again;
    Ok(Json(told))
}

/// What is to be told again: everything that was put aside, or the records behind `after` through
/// `through`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Again {
    after: Option<u64>,
    through: Option<u64>,
}

/// Has something told again, before what is new.
pub(super) async fn replay(
    Shared(context): Shared<AdminContext>,
    Path(name): Path<String>,
    Asked(wanted): Asked<Again>,
) -> Result<Json<Value>, Problem> {
    let durable = context.telemetry.durable.load(Acquire);
    let hook = context.webhooks.named(&name)?;
    let ranges = {
        let mut standing = hook.standing();
        let Some(progress) = standing.progress.as_mut() else {
            let what = "the webhook has not begun yet; ask again".to_owned();
            return Err(Problem(StatusCode::CONFLICT, what));
        };
        let ranges = match (wanted.after, wanted.through) {
            (None, None) => progress.revive(),
            (Some(after), Some(through)) if after < through && through <= durable => {
                if progress.again.len() >= AGAIN_MAX {
                    let what = "enough is to be told again already; ask later".to_owned();
                    return Err(Problem(StatusCode::CONFLICT, what));
                }
                progress.again.push_back(Range { after, through });
                1
            }
            _ => {
                let what = "expected nothing, or after and a through above it that is there";
                return Err(wrong(what));
            }
        };
        standing.is_saved = false;
        ranges
    };
    let webhooks = context.webhooks.clone();
    // Told again means so, also after a crash.
    let saved = tokio::task::spawn_blocking(move || webhooks.save());
    saved.await.map_err(|_| super::unexpected())?;
    Ok(Json(json!({ "webhook": name, "ranges": ranges })))
}
