//! Approval codes (DE 38).

use crate::domain::decision::ApprovalCode;

/// The approval code of a record: six characters, different for 2 176 782 336 records in a row.
///
/// A bijection of the sequence, so that neighbours do not look alike.
pub fn approval_code(sequence: u64) -> ApprovalCode {
    const ALPHABET: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const CODES: u64 = 36_u64.pow(6);
    // Odd and no multiple of 3, so it has no common factor with 36^6.
    const STRIDE: u64 = 1_357_911_131;
    let code = (sequence % CODES).wrapping_mul(STRIDE) % CODES;
    let character = |rest: u64| {
        let digit = usize::try_from(rest % 36).unwrap_or_default();
        ALPHABET.get(digit).copied().unwrap_or(b'0')
    };
    // Each by itself, so that none waits for the one before: 36, 36^2, and so on.
    let characters = [
        character(code),
        character(code / 36),
        character(code / 1_296),
        character(code / 46_656),
        character(code / 1_679_616),
        character(code / 60_466_176),
    ];
    // Six characters fit.
    ApprovalCode::of_ascii(&characters).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn approval_codes_of_neighbours_differ_and_have_six_characters() {
        let codes: std::collections::BTreeSet<_> = (1..=10_000).map(approval_code).collect();
        assert_eq!(codes.len(), 10_000);
        assert!(codes.iter().all(|code| code.as_str().len() == 6));
    }
}
