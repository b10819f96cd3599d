//! Under which conditions a card is used: how its number came in, who was there, what about a PIN.

use serde::{Deserialize, Serialize};

/// How the card number came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryMode {
    /// The message does not say.
    #[default]
    Unsaid,
    /// Typed in.
    Manual,
    /// Magnetic stripe.
    Stripe,
    /// Chip, in contact.
    Chip,
    /// Chip or stripe data, over the air.
    Contactless,
    /// Another way than the chip, because the chip failed.
    Fallback,
    /// Kept by the merchant.
    CredentialOnFile,
    /// Entered by its holder at a shop on the network.
    ECommerce,
}

/// Whether somebody of the merchant was there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attendance {
    /// The message does not say.
    #[default]
    Unsaid,
    /// Somebody serves.
    Attended,
    /// A machine that the cardholder serves himself.
    Unattended,
    /// A cash machine.
    CashMachine,
}

/// Whether the merchant keeps the card number, and what for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoredCredential {
    /// Not kept, as far as the message says.
    #[default]
    None,
    /// Kept from this transaction on.
    First,
    /// Kept before; the cardholder started this transaction.
    CardholderUse,
    /// Kept before; the merchant started this transaction.
    MerchantUse,
}

/// What is known about the PIN; neither PIN nor PIN block ever comes here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PinVerdict {
    /// No PIN block came along.
    #[default]
    Absent,
    /// A PIN block came along and nobody looked at it.
    Unverified,
    /// It is the card's PIN.
    Correct,
    /// It is another PIN.
    Wrong,
    /// What is in the block is no PIN.
    Malformed,
    /// There is no key or no device to look at it with.
    CannotBeChecked,
    /// The device that would look at it did not answer, or refused to look.
    Unavailable,
}

/// The conditions at the point of service, packed into one number in the journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u16", try_from = "u16")]
pub struct PointOfService {
    /// How the card number came in.
    pub entry: EntryMode,
    /// Whether somebody was there.
    pub attendance: Attendance,
    /// Whether the terminal takes an approval of a part.
    pub partial_approval: bool,
    /// Whether the merchant keeps the card number.
    pub stored_credential: StoredCredential,
    /// Whether the terminal says that a PIN can be entered there.
    pub pin_pad: bool,
}

const ENTRIES: [EntryMode; 8] = [
    EntryMode::Unsaid,
    EntryMode::Manual,
    EntryMode::Stripe,
    EntryMode::Chip,
    EntryMode::Contactless,
    EntryMode::Fallback,
    EntryMode::CredentialOnFile,
    EntryMode::ECommerce,
];
const ATTENDANCES: [Attendance; 4] = [
    Attendance::Unsaid,
    Attendance::Attended,
    Attendance::Unattended,
    Attendance::CashMachine,
];
const CREDENTIALS: [StoredCredential; 4] = [
    StoredCredential::None,
    StoredCredential::First,
    StoredCredential::CardholderUse,
    StoredCredential::MerchantUse,
];

// From the lowest bit: entry mode 4 bits, attendance 2, partial approval 1, stored credential 2,
// PIN pad 1.
impl From<PointOfService> for u16 {
    fn from(point: PointOfService) -> u16 {
        let place = |found: Option<usize>| found.and_then(|it| u16::try_from(it).ok()).unwrap_or(0);
        let entry = place(ENTRIES.iter().position(|it| *it == point.entry));
        let attendance = place(ATTENDANCES.iter().position(|it| *it == point.attendance));
        let credential = place(
            CREDENTIALS
                .iter()
                .position(|it| *it == point.stored_credential),
        );
        let pin_pad = u16::from(point.pin_pad) << 9;
        entry | attendance << 4 | u16::from(point.partial_approval) << 6 | credential << 7 | pin_pad
    }
}

impl TryFrom<u16> for PointOfService {
    type Error = String;

    fn try_from(packed: u16) -> Result<PointOfService, String> {
        let part = |shift: u16, mask: u16| usize::from(packed >> shift & mask);
        let wrong = || format!("conditions at the point of service: {packed} is not among them");
        if packed >> 10 != 0 {
            return Err(wrong());
        }
        Ok(PointOfService {
            entry: *ENTRIES.get(part(0, 15)).ok_or_else(wrong)?,
            attendance: *ATTENDANCES.get(part(4, 3)).ok_or_else(wrong)?,
            partial_approval: part(6, 1) == 1,
            stored_credential: *CREDENTIALS.get(part(7, 3)).ok_or_else(wrong)?,
            pin_pad: part(9, 1) == 1,
        })
    }
}

/// The clock at the point of service (DE 12, DE 13) against the transmission time (DE 7), so that
/// the usual case takes few bytes in the journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalTime(u32);

impl LocalTime {
    /// The message does not say.
    pub const UNSAID: LocalTime = LocalTime(0);

    /// So many seconds ahead of the transmission time; behind it when below zero.
    pub fn ahead_by(seconds: i32) -> LocalTime {
        let zigzag = (seconds << 1) ^ (seconds >> 31);
        LocalTime(zigzag.cast_unsigned().saturating_add(1))
    }

    /// Seconds ahead of the transmission time, when the message says.
    pub fn seconds_ahead(self) -> Option<i32> {
        let zigzag = self.0.checked_sub(1)?;
        Some((zigzag >> 1).cast_signed() ^ (zigzag & 1).cast_signed().wrapping_neg())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_condition_survives_packing_and_an_ordinary_one_takes_one_byte() {
        for entry in ENTRIES {
            for attendance in ATTENDANCES {
                for stored_credential in CREDENTIALS {
                    for (partial_approval, pin_pad) in
                        [(false, false), (true, false), (false, true), (true, true)]
                    {
                        let point = PointOfService {
                            entry,
                            attendance,
                            partial_approval,
                            stored_credential,
                            pin_pad,
                        };
                        let packed = u16::from(point);
                        assert_eq!(PointOfService::try_from(packed), Ok(point));
                        let is_ordinary = stored_credential == StoredCredential::None && !pin_pad;
                        assert_eq!(packed < 128, is_ordinary, "{point:?}");
                    }
                }
            }
        }
        assert!(PointOfService::try_from(1 << 10).is_err());
        assert!(PointOfService::try_from(8).is_err());
    }

    #[test]
    fn the_local_clock_may_be_ahead_or_behind_or_unsaid() {
        for seconds in [0, 1, -1, 32_400, -43_200, 31_000_000, -31_000_000] {
            assert_eq!(LocalTime::ahead_by(seconds).seconds_ahead(), Some(seconds));
        }
        assert_eq!(LocalTime::UNSAID.seconds_ahead(), None);
        assert_eq!(LocalTime::default(), LocalTime::UNSAID);
    }
}
