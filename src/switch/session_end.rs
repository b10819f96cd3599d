//! Why a connection ended, in words for the log.

use std::io;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionEnd {
    /// The peer closed it.
    #[error("closed by the peer")]
    Closed,
    /// The switch is stopping and everything was answered.
    #[error("closed because the switch is stopping")]
    Stopping,
    /// An operator drained it.
    #[error("closed because an operator drained it")]
    Drained,
    /// The bytes are not frames of this listener.
    #[error("closed: {0}")]
    Frame(#[from] crate::transport::FrameError),
    /// A frame began and did not end in time.
    #[error("closed: a frame began and was not complete after {0} ms")]
    ReadTimeout(u64),
    /// Nothing came for too long.
    #[error("closed: nothing came for {0} ms")]
    Idle(u64),
    /// The peer does not take its answers.
    #[error("closed: the peer did not take an answer within {0} ms")]
    WriteTimeout(u64),
    /// The socket failed.
    #[error("closed: {0}")]
    Io(#[from] io::Error),
}
