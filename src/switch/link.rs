//! What every connection of a listener shares.

use std::sync::Arc;

use tokio::sync::watch;

use crate::domain::facts::LinkNumber;
use crate::domain::rulebook::Rulebook;
use crate::iso8583::MessageSpec;
use crate::transport::FrameCodec;

use super::config::Listener;
use super::dialect::table::Dialect;
use super::doctor::Desk;
use super::jobs::Jobs;
use super::meter::LinkMeter;
use super::pin::PinDesk;
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
    /// Counts of this link.
    pub meter: Arc<LinkMeter>,
    /// Lets diagnoses into the log, a few at a time.
    pub desk: Desk,
}
