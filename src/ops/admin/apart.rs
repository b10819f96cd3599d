//! Threads for those who read much: they decode records and write down what those tell, and yield
//! to every thread that somebody waits for at a terminal.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::sync::oneshot;

use super::Problem;

/// Threads; each can keep a processor busy while nobody else wants it.
const THREADS: usize = 2;
/// Their niceness: beside a busy thread of the corridor they get a tenth of a processor, and so are
/// slow then but not stopped.
const NICENESS: i32 = 10;

type Work = Box<dyn FnOnce() + Send>;

static QUEUE: LazyLock<Sender<Work>> = LazyLock::new(|| {
    let (queue, works) = mpsc::channel();
    let works = Arc::new(Mutex::new(works));
    for _ in 0..THREADS {
        let works = Arc::clone(&works);
        let thread = thread::Builder::new().name("reader".to_owned());
        if let Err(error) = thread.spawn(move || take(&works)) {
            tracing::error!(%error, "a thread for readers did not start");
        }
    }
    queue
});

fn take(works: &Mutex<Receiver<Work>>) {
    // Without it the thread is only less polite.
    let _ = rustix::process::nice(NICENESS);
    loop {
        let next = works.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(work) = next else {
            return;
        };
        // Who waits for it hears that it was cut off; the next one is not harmed.
        let _ = catch_unwind(AssertUnwindSafe(work));
    }
}

/// Does something on one of these threads.
///
/// # Errors
/// 503 when it was cut off.
pub(super) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let (done, answer) = oneshot::channel();
    let work: Work = Box::new(move || {
        // Who asked may have gone.
        let _ = done.send(work());
    });
    let cut_off = || {
        let what = "reading was cut off".to_owned();
        Problem(StatusCode::SERVICE_UNAVAILABLE, what)
    };
    QUEUE.send(work).map_err(|_| cut_off())?;
    answer.await.map_err(|_| cut_off())
}

/// An answer in JSON that is written down there.
pub(super) async fn answer<T: Serialize + Send + 'static>(told: T) -> Result<Response, Problem> {
    let text = apart(move || serde_json::to_string(&told)).await?;
    let text = text.map_err(|error| {
        let what = error.to_string();
        Problem(StatusCode::INTERNAL_SERVER_ERROR, what)
    })?;
    let media = [(header::CONTENT_TYPE, "application/json")];
    Ok((media, text).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_breaks_off_is_told_and_the_next_is_done() {
        let own = rustix::process::nice(0).unwrap();
        for _ in 0..2 * THREADS {
            let broken = apart(|| panic!("as planned")).await;
            assert!(matches!(broken, Err(Problem(status, _)) if status == 503));
        }
        let niceness = apart(|| rustix::process::nice(0)).await.unwrap();
        assert_eq!(niceness.unwrap(), (own + NICENESS).min(19));
        assert_eq!(rustix::process::nice(0).unwrap(), own);
    }
}
