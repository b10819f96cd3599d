//! How a server is loaded: over how many connections, and at what pace.

use std::fmt;
use std::str::FromStr;

use cardswitch::cli::acquirer::load::Pace;

/// Connections, and the pace over them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shape {
    pub(crate) pace: Loop,
    pub(crate) connections: u32,
}

/// What the next message waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Loop {
    /// An answer: so many messages are in flight on each connection.
    Closed(u32),
    /// The clock: so many messages a second over all connections.
    Open(u64),
}

impl Loop {
    pub(crate) fn is_closed(self) -> bool {
        matches!(self, Self::Closed(_))
    }
}

impl From<Loop> for Pace {
    fn from(pace: Loop) -> Pace {
        match pace {
            Loop::Closed(window) => Pace::Window(window),
            Loop::Open(rate) => Pace::PerSecond(rate),
        }
    }
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let closed = || {
            let (connections, window) = text.split_once('x')?;
            Some((connections, Loop::Closed(window.parse().ok()?)))
        };
        let open = || {
            let (connections, rate) = text.split_once('@')?;
            Some((connections, Loop::Open(rate.parse().ok()?)))
        };
        let shape = closed().or_else(open).and_then(|(connections, pace)| {
            let connections = connections.parse().ok()?;
            Some(Self { pace, connections })
        });
        shape.ok_or_else(|| {
            "expected CONNECTIONSxWINDOW or CONNECTIONS@PER_SECOND, such as 64x32 or 64@20000"
                .to_owned()
        })
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pace {
            Loop::Closed(window) => write!(f, "{}x{window}", self.connections),
            Loop::Open(rate) => write!(f, "{}@{rate}", self.connections),
        }
    }
}
