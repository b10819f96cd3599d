//! Who had a command carried out through the operators' API.

use arrayvec::ArrayString;
use serde::{Deserialize, Serialize};

/// Longest name of a token, bytes.
pub const ACTOR_NAME_BYTES_MAX: usize = 24;

/// The bearer of a token: what the journal keeps of whoever gave an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Number of the token; never given twice in one token file.
    pub token: u32,
    /// What the token was called when the order was given.
    pub name: ArrayString<ACTOR_NAME_BYTES_MAX>,
}

impl Actor {
    /// An actor; `None` when the name is too long.
    pub fn of(token: u32, name: &str) -> Option<Actor> {
        let name = ArrayString::from(name).ok()?;
        Some(Actor { token, name })
    }
}
