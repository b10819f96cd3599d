//! What a message brings to prove the card and its holder: PINs, the chip, verification values.

use std::sync::Arc;

use crate::domain::facts::Facts;
use crate::domain::pan::Pan;
use crate::iso8583::Message;
use crate::switch::hsm::desk::Questions;
use crate::switch::link_keys::LinkKey;
use crate::switch::pin::PinDesk;

use super::table::Dialect;
use super::{chips, pins, values};

/// States what is known of each, once the conditions at the point of service are.
pub(super) fn read(
    dialect: &Dialect,
    (desk, pin_key): (&PinDesk, Option<&Arc<LinkKey>>),
    message: &Message,
    pan: &Pan,
    facts: &mut Facts,
    asked: &mut Option<Box<Questions>>,
) {
    pins::read(dialect, (desk, pin_key), message, pan, facts, asked);
    chips::read(desk, message, pan, facts, asked);
    values::read(dialect, desk, message, pan, facts, asked);
}
