//! The section `[hsm]` of the configuration: devices that keep the keys.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::config::knob;
use crate::crypto::payshield::Settings;
use crate::switch::hsm::line::LineTerms;

/// Devices that keep the keys, instead of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HsmConfig {
    /// Devices under one LMK, in the order in which they are asked.
    pub addresses: Vec<SocketAddr>,
    /// The table of keys that go with them.
    pub keys: PathBuf,
    /// Connections to each. See [`knob::HSM_CONNECTIONS_MAX`].
    pub connections_max: usize,
    /// Time from a question to its answer. See [`knob::HSM_DEADLINE_MS`].
    pub deadline_ms: u64,
    /// Time for which a device that failed is not asked. See [`knob::HSM_RETRY_MS`].
    pub retry_ms: u64,
    /// Time between looks at the devices. See [`knob::HSM_HEALTH_EVERY_MS`].
    pub health_every_ms: u64,
    /// Characters of a message header. See [`knob::HSM_HEADER_CHARACTERS`].
    pub header_characters: usize,
    /// What is not sure about devices.
    pub settings: Settings,
}

impl HsmConfig {
    /// How the devices are talked to.
    pub fn terms(&self) -> LineTerms {
        LineTerms {
            addresses: self.addresses.clone(),
            connections_max: self.connections_max,
            deadline: Duration::from_millis(self.deadline_ms),
            retry: Duration::from_millis(self.retry_ms),
            health_every: Duration::from_millis(self.health_every_ms),
            header_characters: self.header_characters,
        }
    }

    /// With standard limits.
    pub fn standard(addresses: Vec<SocketAddr>, keys: PathBuf) -> HsmConfig {
        HsmConfig {
            addresses,
            keys,
            connections_max: knob::HSM_CONNECTIONS_MAX.standard,
            deadline_ms: knob::HSM_DEADLINE_MS.standard,
            retry_ms: knob::HSM_RETRY_MS.standard,
            health_every_ms: knob::HSM_HEALTH_EVERY_MS.standard,
            header_characters: knob::HSM_HEADER_CHARACTERS.standard,
            settings: Settings::STANDARD,
        }
    }
}
