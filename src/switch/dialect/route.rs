//! `route`: whose card a number names, by its BIN.

use crate::domain::facts::IssuerRoute;
use crate::domain::pan::Pan;
use crate::domain::rulebook::Rulebook;

/// Whether a number is one of ours, and whether it can be one at all.
pub(super) fn route(rulebook: &Rulebook, pan: &Pan) -> IssuerRoute {
    match rulebook.range_of(pan) {
        None => IssuerRoute::Unknown,
        Some((_, range)) => {
            let well_formed = pan.expose().len() == range.pan_length
                && (!range.check_digit || pan.has_valid_check_digit());
            if well_formed {
                IssuerRoute::Ours
            } else {
                IssuerRoute::Malformed
            }
        }
    }
}
