//! What a load is: where it goes, how it is paced, what it is made of.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::cli::acquirer::seal::MacKey;
use crate::cli::acquirer::wire::TlsPlan;
use crate::iso8583::MessageSpec;
use crate::transport::Framing;

use super::cards::LoadCard;
use super::connection::STAN_MAX;
use super::mix::Mix;
use super::pins::PinBlocks;
use super::template::TemplateError;

/// How the load is paced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// So many messages in flight on each connection, always.
    Window(u32),
    /// So many messages per second over all connections, whatever the answers do.
    PerSecond(u64),
}

/// A load to run.
#[derive(Debug, Clone)]
pub struct LoadPlan {
    /// Host and port.
    pub address: String,
    /// Framing of the link.
    pub framing: Framing,
    /// Spec of the messages.
    pub spec: &'static MessageSpec,
    /// How many connections.
    pub connections: u32,
    /// How it is paced.
    pub pace: Pace,
    /// Not measured.
    pub warmup: Duration,
    /// Measured.
    pub duration: Duration,
    /// When a message counts as unanswered.
    pub reply_timeout: Duration,
    /// Kinds of message.
    pub mix: Mix,
    /// Cards, used at random.
    pub cards: Arc<[LoadCard]>,
    /// Smallest amount in minor units; each purchase is up to 99 more.
    pub amount_minor: u64,
    /// Send 0800 sign-on on every connection first.
    pub sign_on: bool,
    /// How to speak TLS; `None`: in the clear.
    pub tls: Option<TlsPlan>,
    /// What messages are authenticated with, and answers judged; `None`: nothing.
    pub mac: Option<MacKey>,
    /// PIN blocks of messages; `None`: they have none.
    pub pins: Option<Arc<PinBlocks>>,
}

/// How far a load is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Time since the first message, warm-up included.
    pub elapsed: Duration,
    /// Replies per second since the last progress.
    pub per_second: u64,
    /// Messages in flight.
    pub in_flight: usize,
}

/// Why a load did not run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// More slots than trace numbers.
    #[error("run {got} messages in flight: at most {max} (connections times window)")]
    TooManyInFlight {
        /// Connections times window.
        got: u64,
        /// Largest product.
        max: u32,
    },
    /// A plan that sends nothing.
    #[error("run a load without {0}")]
    Empty(&'static str),
    /// A connection could not be opened or signed on.
    #[error("open connection {number}: {reason}")]
    Open {
        /// From 1.
        number: u32,
        /// What failed.
        reason: String,
    },
    /// The messages could not be built.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The readiness loop failed.
    #[error("wait for the sockets: {0}")]
    Poll(#[from] io::Error),
}

/// Slots of all connections at most: every trace number comes around at least four times.
const SLOTS_MAX: u32 = STAN_MAX / 4;

/// Slots of one connection in an open loop; a switch that is further behind delays the schedule.
const OPEN_WINDOW_MAX: u32 = 4_096;

/// Slots of each connection, of a plan that can run.
pub(super) fn window_of(plan: &LoadPlan) -> Result<u32, LoadError> {
    if plan.connections == 0 {
        return Err(LoadError::Empty("connections"));
    }
    if plan.cards.is_empty() {
        return Err(LoadError::Empty("cards"));
    }
    match plan.pace {
        Pace::Window(0) => Err(LoadError::Empty("a window")),
        Pace::PerSecond(0) => Err(LoadError::Empty("a rate")),
        Pace::Window(window) => {
            let got = u64::from(window) * u64::from(plan.connections);
            if got > u64::from(SLOTS_MAX) {
                return Err(LoadError::TooManyInFlight {
                    got,
                    max: SLOTS_MAX,
                });
            }
            Ok(window)
        }
        Pace::PerSecond(_) => {
            let window = (SLOTS_MAX / plan.connections).min(OPEN_WINDOW_MAX);
            if window == 0 {
                let got = u64::from(plan.connections);
                return Err(LoadError::TooManyInFlight {
                    got,
                    max: SLOTS_MAX,
                });
            }
            Ok(window)
        }
    }
}
