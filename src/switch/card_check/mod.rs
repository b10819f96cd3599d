//! What of a card is checked before anything reaches the engine: the cryptogram of
//! its chip, the verification values of its tracks and the printed one.
//!
//! Whoever keeps the keys (`crypto/hsm.rs`) is asked; which keys are a card's, its leading digits
//! say. Nothing is checked of cards that the configuration does not name.

mod checks;
mod chip_record;
mod track;
mod values;

pub use self::checks::{CardChecks, IssuerAnswer};
pub use self::chip_record::{ChipRecord, ChipRecordError};
pub use self::track::Track;
pub use self::values::{AskedValue, CameTrack, LookedAt};
