//! What every connection of a listener shares.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;

use crate::domain::facts::LinkNumber;
use crate::domain::rulebook::Rulebook;
use crate::iso8583::MessageSpec;
use crate::transport::FrameCodec;

use super::clock;
use super::config::Listener;
use super::dialect::table::Dialect;
use super::doctor::{Desk, examine};
use super::jobs::Jobs;
use super::link_keys::{KeyExchange, LinkKey};
use super::mac::LinkMac;
use super::meter::LinkMeter;
use super::permits::Permits;
use super::pin::PinDesk;
use super::sessions::Sessions;
use super::telemetry::Telemetry;
use super::token::TokenKey;

/// What every connection of a listener shares.
pub(super) struct Link {
    /// The listener's configuration.
    pub listener: Listener,
    /// Its number in the journal.
    pub number: LinkNumber,
    /// Cuts its frames.
    pub codec: FrameCodec,
    /// Reads its messages.
    pub spec: &'static MessageSpec,
    /// Translates its messages.
    pub dialect: Arc<Dialect>,
    /// The dialect's number in the rulebook.
    pub dialect_number: u8,
    /// Tells of other programmes.
    pub rules: watch::Receiver<Arc<Rulebook>>,
    /// Names cards.
    pub token_key: Arc<TokenKey>,
    /// Judges PIN blocks.
    pub pins: Arc<PinDesk>,
    /// The single writer.
    pub jobs: Jobs,
    /// Counters.
    pub telemetry: Arc<Telemetry>,
    /// What may be sent over it; `None`: everything.
    pub permits: Option<Permits>,
    /// What is authenticated on it; `None`: nothing.
    pub mac: Option<Arc<LinkMac>>,
    /// What its PIN blocks come under; `None`: the key that nobody names.
    pub pin_key: Option<Arc<LinkKey>>,
    /// Takes new keys; `None`: nobody does.
    pub exchange: Option<Arc<KeyExchange>>,
    /// Counts of this link.
    pub meter: Arc<LinkMeter>,
    /// The sessions that are open, of all links.
    pub sessions: Arc<Sessions>,
    /// Lets diagnoses into the log, a few at a time.
    pub desk: Desk,
    /// Lets lines about connections and echoes into the log, as long as they can be read.
    pub lines: Desk,
}

impl Link {
    /// Says what a peer speaks from which no message has been understood, unless too much of that
    /// was said lately.
    pub(super) fn diagnose(&self, unread: &[u8], peer: SocketAddr) {
        let Some(admission) = self.desk.admit(clock::instant()) else {
            return;
        };
        let Ok(framing) = self.listener.cut() else {
            return;
        };
        let others = MessageSpec::builtins().iter();
        let others = others.filter(|spec| spec.name() != self.spec.name());
        let specs: Vec<&MessageSpec> = std::iter::once(self.spec).chain(others).collect();
        let diagnosis = examine(unread, &specs).for_listener(&framing, self.spec.name());
        tracing::warn!(
            link = self.listener.name,
            %peer,
            diagnosis,
            kept_back = admission.kept_back,
            "the first message of a peer was not understood"
        );
    }
}
