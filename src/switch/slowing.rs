//! Answers that come later, because somebody may be guessing numbers (rule B6).

use std::time::Duration;

use tokio::sync::mpsc;

use super::jobs::SequencerReply;

/// The reply, unless it is one that comes later: then it comes again through `replies`. Meanwhile
/// it stays in flight, so that the guesser's window fills up.
pub(super) fn at_once(
    link: &str,
    replies: &mpsc::Sender<Vec<SequencerReply>>,
    mut reply: SequencerReply,
) -> Option<SequencerReply> {
    if std::mem::take(&mut reply.decision.alarm) {
        tracing::warn!(
            link,
            acceptor = %reply.facts.acceptor,
            sequence = reply.decision.sequence,
            "alarm: unknown or exhausted numbers, one after the other"
        );
    }
    let slow_ms = std::mem::take(&mut reply.decision.slow_ms);
    if slow_ms == 0 {
        return Some(reply);
    }
    let replies = replies.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(u64::from(slow_ms))).await;
        // There is room for every request in flight; a connection that is gone misses it.
        let _ = replies.try_send(vec![reply]);
    });
    None
}
