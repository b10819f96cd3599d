//! PIN blocks of a load's messages (DE 52): one PIN for all cards, under a test key.

use std::fmt;

use crate::crypto::key::TdesKey;
use crate::crypto::pin_block::{Pin, encipher};

/// A PIN and the key that its blocks come under.
pub struct PinBlocks {
    zone: TdesKey,
    pin: Pin,
}

impl fmt::Debug for PinBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PinBlocks(withheld)")
    }
}

impl PinBlocks {
    /// Takes a key and a PIN in digits.
    ///
    /// # Errors
    /// They are none; in words, without them.
    pub fn new(zone: &str, pin: &str) -> Result<PinBlocks, String> {
        let zone = TdesKey::from_hex(zone).map_err(|error| format!("take the PIN key: {error}"))?;
        let pin = Pin::from_digits(pin).map_err(|_| "take the PIN: expected digits".to_owned())?;
        Ok(PinBlocks { zone, pin })
    }

    /// The block for a card, of format 0.
    pub(super) fn block(&self, pan: &str) -> Option<[u8; 8]> {
        encipher(&self.zone, &self.pin, pan).ok()
    }
}
