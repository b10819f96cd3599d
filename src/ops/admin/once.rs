//! `Idempotency-Key`: a write that comes twice under the same key of the same token is done once,
//! and both get the same answer.
//!
//! Answers are kept for a day, in memory and in `access/answers.jsonl`, which is synced before an
//! answer is let go. Between the record of the journal and that line a crash may come: a repeat
//! is then carried out as if it were new, which what has a `reference` of its own bears.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::domain::time::UnixMs;
use crate::switch::clock;
use crate::switch::token::TokenKey;

use super::BODY_BYTES_MAX;
use super::problem::Problem;

/// Name of the header.
pub(super) const KEY_HEADER: &str = "idempotency-key";
/// Says of an answer that it was given before.
pub(super) const REPLAYED_HEADER: &str = "idempotency-replayed";
const KEY_BYTES_MAX: usize = 64;
const FILE: &str = "answers.jsonl";
/// How long an answer is kept.
const KEPT_MS: i64 = 86_400_000;
/// Answers kept at once; beyond, the oldest is forgotten.
const ANSWERS_MAX: usize = 100_000;
/// Longest answer that is kept, bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Makes the hash of a request one that nothing else uses.
const CONTEXT: &str = "cardswitch operators' API, body of an idempotent request";

/// One answer as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    at: i64,
    token: u32,
    key: String,
    /// Of method, path and body; keyed, for a body may hold a PIN.
    hash: String,
    status: u16,
    media: String,
    body: String,
}

/// Answers by token and key.
#[derive(Clone)]
pub struct Once {
    secret: [u8; 32],
    path: PathBuf,
    answers: Arc<Mutex<Answers>>,
}

#[derive(Default)]
struct Answers {
    kept: BTreeMap<(u32, String), Kept>,
    /// Under way.
    begun: BTreeSet<(u32, String)>,
    file: Option<File>,
}

/// Under way until it is dropped, whatever becomes of the request.
struct Begun<'a>(&'a Once, (u32, String));

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.0.answers().begun.remove(&self.1);
    }
}

impl Once {
    /// The answers of a data directory; what they were given to is kept as a hash that only this
    /// store's key can make.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn open(data_dir: &Path, key: &TokenKey) -> io::Result<Once> {
        let path = data_dir.join("access").join(FILE);
        let kept = read(&path, clock::now())?;
        let once = Once {
            secret: key.derived(CONTEXT),
            path,
            answers: Arc::new(Mutex::new(Answers {
                kept,
                ..Answers::default()
            })),
        };
        once.answers().write_anew(&once.path)?;
        Ok(once)
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hash(&self, request: &[&[u8]]) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.secret);
        for part in request {
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            hasher.update(&length.to_be_bytes());
            hasher.update(part);
        }
        STANDARD_NO_PAD.encode(hasher.finalize().as_bytes())
    }

    /// Runs a write, unless it was done under its key already. One with a key runs to its end also
    /// when its client goes away: the repeat must find the answer to what was done.
    pub(super) async fn run(&self, token: u32, request: Request, next: Next) -> Response {
        let Some(key) = request.headers().get(KEY_HEADER).cloned() else {
            return next.run(request).await;
        };
        let once = self.clone();
        let done = tokio::spawn(async move { once.under(token, &key, request, next).await });
        done.await.unwrap_or_else(|_| {
            let what = "the request was cut off; ask again under its key".to_owned();
            Problem(StatusCode::INTERNAL_SERVER_ERROR, what).into_response()
        })
    }

    async fn under(&self, token: u32, key: &HeaderValue, request: Request, next: Next) -> Response {
        let plain = |text: &&str| {
            !text.is_empty()
                && text.len() <= KEY_BYTES_MAX
                && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let Some(key) = key.to_str().ok().filter(plain) else {
            let what = format!("Idempotency-Key: expected 1 to {KEY_BYTES_MAX} visible characters");
            return Problem(StatusCode::BAD_REQUEST, what).into_response();
        };
        let place = (token, key.to_owned());
        let (head, body) = request.into_parts();
        let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
            let what = format!("body: expected {BODY_BYTES_MAX} bytes at most");
            return Problem(StatusCode::PAYLOAD_TOO_LARGE, what).into_response();
        };
        let path = head.uri.path_and_query().map_or("", |path| path.as_str());
        let hash = self.hash(&[head.method.as_str().as_bytes(), path.as_bytes(), &body]);
        let begun = match self.begin(place.clone(), &hash) {
            Ok(begun) => begun,
            Err(answer) => return *answer,
        };
        let request = Request::from_parts(head, Body::from(body));
        let response = self.keep(place, hash, next.run(request).await).await;
        drop(begun);
        response
    }

    /// Begins a request that is new; else what there is to answer.
    fn begin(&self, place: (u32, String), hash: &str) -> Result<Begun<'_>, Box<Response>> {
        let mut answers = self.answers();
        let problem = |status, what: &str| {
            let problem = Problem(status, what.to_owned());
            Box::new(problem.into_response())
        };
        let now = clock::now();
        if let Some(kept) = answers.kept.get(&place).filter(|kept| !is_over(kept, now)) {
            if kept.hash != hash {
                let what = "Idempotency-Key: it stands for another request";
                return Err(problem(StatusCode::UNPROCESSABLE_ENTITY, what));
            }
            return Err(Box::new(told_again(kept)));
        }
        if !answers.begun.insert(place.clone()) {
            let what = "Idempotency-Key: a request under it is under way; ask again";
            return Err(problem(StatusCode::CONFLICT, what));
        }
        Ok(Begun(self, place))
    }

    /// Keeps an answer that a repeat shall get: any but those that say "not now".
    async fn keep(&self, place: (u32, String), hash: String, response: Response) -> Response {
        let status = response.status();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return response;
        }
        let (head, body) = response.into_parts();
        let Ok(body) = to_bytes(body, usize::MAX).await else {
            let what = "the answer was cut off".to_owned();
            return Problem(StatusCode::INTERNAL_SERVER_ERROR, what).into_response();
        };
        if let Some(kept) = kept(place, hash, (status, &head.headers, &body)) {
            let (answers, path) = (Arc::clone(&self.answers), self.path.clone());
            let written = tokio::task::spawn_blocking(move || {
                let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
                answers.add(kept, &path)
            });
            match written.await {
                Ok(Ok(())) => {}
                // What was asked is done and durable: only a repeat after a restart is not known.
                Ok(Err(error)) => tracing::error!(%error, "an answer is kept in memory only"),
                Err(_) => tracing::error!("an answer is not kept"),
            }
        }
        Response::from_parts(head, Body::from(body))
    }
}

fn kept(
    (token, key): (u32, String),
    hash: String,
    (status, headers, body): (StatusCode, &axum::http::HeaderMap, &Bytes),
) -> Option<Kept> {
    let media = headers.get(header::CONTENT_TYPE);
    let media = media.and_then(|media| media.to_str().ok());
    let body = str::from_utf8(body).ok()?;
    (body.len() <= ANSWER_BYTES_MAX).then(|| Kept {
        at: clock::now().0,
        token,
        key,
        hash,
        status: status.as_u16(),
        media: media.unwrap_or_default().to_owned(),
        body: body.to_owned(),
    })
}

fn told_again(kept: &Kept) -> Response {
    let status = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK);
    let mut response = (status, kept.body.clone()).into_response();
    let headers = response.headers_mut();
    if let Ok(media) = HeaderValue::from_str(&kept.media) {
        headers.insert(header::CONTENT_TYPE, media);
    }
    headers.insert(REPLAYED_HEADER, HeaderValue::from_static("true"));
    response
}

fn is_over(kept: &Kept, now: UnixMs) -> bool {
    now.0.saturating_sub(kept.at) > KEPT_MS
}

/// The answers of a file that still count. A last line that was cut off by a crash is left out:
/// its answer was not let go.
fn read(path: &Path, now: UnixMs) -> io::Result<BTreeMap<(u32, String), Kept>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let mut kept = BTreeMap::new();
    for line in BufReader::new(file).split(b'\n') {
        let read: Option<Kept> = serde_json::from_slice(&line?).ok();
        if let Some(one) = read.filter(|one| !is_over(one, now)) {
            kept.insert((one.token, one.key.clone()), one);
        }
    }
    Ok(kept)
}

impl Answers {
    fn add(&mut self, kept: Kept, path: &Path) -> io::Result<()> {
        let line = serde_json::to_string(&kept)?;
        self.kept.insert((kept.token, kept.key.clone()), kept);
        if self.kept.len() > ANSWERS_MAX {
            self.forget();
            return self.write_anew(path);
        }
        let Some(file) = &mut self.file else {
            return self.write_anew(path);
        };
        let written = file
            .write_all(format!("{line}\n").as_bytes())
            .and_then(|()| file.sync_data());
        if written.is_err() {
            // A line cut off would spoil the next one too: that is written with a file anew.
            self.file = None;
        }
        written
    }

    /// Forgets what is over, and the oldest tenth where that is not enough.
    fn forget(&mut self) {
        let now = clock::now();
        self.kept.retain(|_, kept| !is_over(kept, now));
        if self.kept.len() > ANSWERS_MAX {
            let mut times: Vec<i64> = self.kept.values().map(|kept| kept.at).collect();
            times.sort_unstable();
            let before = times.get(ANSWERS_MAX / 10).copied().unwrap_or(i64::MAX);
            self.kept.retain(|_, kept| kept.at > before);
        }
    }

    /// Writes the file with what is kept, and goes on behind it.
    fn write_anew(&mut self, path: &Path) -> io::Result<()> {
        self.file = None;
        let beside = path.with_extension("new");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&beside)?;
        let mut text = String::new();
        for kept in self.kept.values() {
            text.push_str(&serde_json::to_string(kept)?);
            text.push('\n');
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        self.file = Some(file);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(token: u32, key: &str, at: i64) -> Kept {
        Kept {
            at,
            token,
            key: key.to_owned(),
            hash: "h".to_owned(),
            status: 200,
            media: "application/json".to_owned(),
            body: "{}".to_owned(),
        }
    }

    #[test]
    fn answers_outlive_a_restart_for_a_day_and_a_line_cut_off_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let now = clock::now();
        let mut answers = Answers::default();
        answers.write_anew(&path).unwrap();
        for one in [
            kept(1, "a", now.0),
            kept(1, "b", now.0 - KEPT_MS - 1),
            kept(2, "a", now.0),
        ] {
            answers.add(one, &path).unwrap();
        }
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(read(&path, now).unwrap().len(), 2);
        std::fs::write(&path, &whole[..whole.len() - 3]).unwrap();
        let left = read(&path, now).unwrap();
        assert_eq!(left.keys().collect::<Vec<_>>(), [&(1, "a".to_owned())]);
    }

    #[test]
    fn the_oldest_are_forgotten_when_there_are_too_many() {
        let now = clock::now().0;
        let mut answers = Answers::default();
        for n in 0..ANSWERS_MAX + 1 {
            let at = now - i64::try_from(n).unwrap() / 100;
            let one = kept(1, &n.to_string(), at);
            answers.kept.insert((1, n.to_string()), one);
        }
        answers.forget();
        assert!(answers.kept.len() < ANSWERS_MAX);
        assert!(
            answers.kept.contains_key(&(1, "0".to_owned())),
            "the newest stays"
        );
    }
}
