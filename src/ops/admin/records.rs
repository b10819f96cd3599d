//! Reading records of the journal for the API, beside the single writer: it never waits.

use std::ops::ControlFlow;
use std::time::Duration;

use axum::http::StatusCode;
use tokio::sync::Semaphore;

use crate::domain::actor::Actor;
use crate::domain::time::UnixMs;
use crate::engine::event::Event;
use crate::engine::record;
use crate::journal::{JournalError, JournalReader};

use super::apart::apart;
use super::{AdminContext, Problem};

/// Requests that read the journal at the same time; each costs a processor while it reads.
static READERS: Semaphore = Semaphore::const_new(2);
/// How often a page is asked for again while the writer moves to its next generation.
const ATTEMPTS_MAX: u32 = 200;
const ATTEMPT_DELAY: Duration = Duration::from_millis(10);

/// Hands the records after `after`, up to and including the durable sequence `until`, to `take`
/// on a thread for readers, until it breaks; returns it with the last sequence handed over.
pub(super) async fn read<T: Send + 'static>(
    context: &AdminContext,
    (after, until): (u64, u64),
    taker: T,
    take: fn(&mut T, u64, UnixMs, &Event) -> ControlFlow<()>,
) -> Result<(T, u64), Problem> {
    let without =
        move |taker: &mut T, sequence, _, at, event: &Event| take(taker, sequence, at, event);
    read_by(context, (after, until), taker, without).await
}

/// The same with whoever ordered what a record tells.
pub(super) async fn read_by<T: Send + 'static>(
    context: &AdminContext,
    (after, until): (u64, u64),
    taker: T,
    take: impl Fn(&mut T, u64, Option<Actor>, UnixMs, &Event) -> ControlFlow<()> + Send + 'static,
) -> Result<(T, u64), Problem> {
    let failed = |what: &str| Problem(StatusCode::SERVICE_UNAVAILABLE, what.to_owned());
    let reader = context.journal.clone();
    let reader = reader.ok_or_else(|| failed("the journal is not open for reading"))?;
    let permit = READERS.acquire().await;
    let _permit = permit.map_err(|_| failed("the switch is stopping"))?;
    let walked = apart(move || walk(&reader, (after, until), taker, &take)).await?;
    walked.map_err(|error| match error {
        // What was removed of the journal behind checkpoints is gone for ever.
        Unread::Journal(error @ JournalError::Truncated { .. }) => {
            Problem(StatusCode::GONE, error.to_string())
        }
        Unread::Journal(error) => Problem(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        Unread::Record(what) => Problem(StatusCode::INTERNAL_SERVER_ERROR, what),
    })
}

/// Why records cannot be read.
enum Unread {
    Journal(JournalError),
    Record(String),
}

fn walk<T>(
    reader: &JournalReader,
    (after, until): (u64, u64),
    mut taker: T,
    take: &impl Fn(&mut T, u64, Option<Actor>, UnixMs, &Event) -> ControlFlow<()>,
) -> Result<(T, u64), Unread> {
    let (mut last, mut attempts) = (after, 0);
    let (mut over, mut wrong) = (false, None);
    while last < until && !over {
        let mut hand_over = |sequence, bytes: &[u8]| match record::decode_by(bytes) {
            Ok((by, at, event)) => {
                let flow = take(&mut taker, sequence, by, at, &event);
                over = flow.is_break();
                flow
            }
            Err(error) => {
                wrong = Some(format!("record {sequence}: {error}"));
                ControlFlow::Break(())
            }
        };
        let read = reader.page(last, until, &mut hand_over);
        let read = read.map_err(Unread::Journal)?;
        if let Some(wrong) = wrong {
            return Err(Unread::Record(wrong));
        }
        attempts = if read == last { attempts + 1 } else { 0 };
        if attempts > ATTEMPTS_MAX {
            return Err(Unread::Record(format!(
                "no record after {last} can be read"
            )));
        }
        if attempts > 0 {
            std::thread::sleep(ATTEMPT_DELAY);
        }
        last = read;
    }
    Ok((taker, last))
}
