//! What is kept of a token's secret: argon2id, in the PHC string form.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use subtle::ConstantTimeEq;

const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;
/// Bounds of what a file may ask for: beyond, a damaged file would stop the API.
const MEMORY_KIB_MAX: u32 = 1 << 18;
const PASSES_MAX: u32 = 16;

/// Hashes a secret with a salt of its own.
///
/// # Errors
/// A sentence: no randomness, or no memory.
pub(super) fn hash(secret: &[u8]) -> Result<String, String> {
    let mut salt = [0_u8; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|error| error.to_string())?;
    let params = Params::default();
    let (memory, passes, lanes) = (params.m_cost(), params.t_cost(), params.p_cost());
    let hash = hash_with(secret, &salt, params)?;
    Ok(format!(
        "$argon2id$v=19$m={memory},t={passes},p={lanes}${}${}",
        STANDARD_NO_PAD.encode(salt),
        STANDARD_NO_PAD.encode(hash)
    ))
}

fn hash_with(secret: &[u8], salt: &[u8], params: Params) -> Result<[u8; HASH_BYTES], String> {
    let mut hash = [0_u8; HASH_BYTES];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(secret, salt, &mut hash)
        .map_err(|error| error.to_string())?;
    Ok(hash)
}

/// Whether this is the secret that was hashed; takes some milliseconds on purpose.
pub(super) fn is_secret(secret: &[u8], kept: &str) -> bool {
    let Some((params, salt, hash)) = parse(kept) else {
        return false;
    };
    hash_with(secret, &salt, params).is_ok_and(|now| bool::from(now.as_slice().ct_eq(&hash)))
}

/// Whether a text is the hash of a secret.
pub(super) fn is_hash(kept: &str) -> bool {
    parse(kept).is_some()
}

fn parse(kept: &str) -> Option<(Params, Vec<u8>, Vec<u8>)> {
    let parts: Vec<&str> = kept.split('$').collect();
    let ["", "argon2id", "v=19", terms, salt, hash] = parts.as_slice() else {
        return None;
    };
    let number = |part: Option<&str>, key: &str| -> Option<u32> {
        part?.strip_prefix(key)?.strip_prefix('=')?.parse().ok()
    };
    let mut terms = terms.split(',');
    let memory = number(terms.next(), "m").filter(|it| *it <= MEMORY_KIB_MAX)?;
    let passes = number(terms.next(), "t").filter(|it| *it <= PASSES_MAX)?;
    let lanes = number(terms.next(), "p")?;
    let params = Params::new(memory, passes, lanes, Some(HASH_BYTES)).ok()?;
    let salt = STANDARD_NO_PAD.decode(salt).ok()?;
    let hash = STANDARD_NO_PAD.decode(hash).ok()?;
    (terms.next().is_none() && hash.len() == HASH_BYTES).then_some((params, salt, hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_secret_itself_fits_its_hash() {
        let kept = hash(b"a secret of a token").unwrap();
        assert!(is_hash(&kept));
        assert!(is_secret(b"a secret of a token", &kept));
        assert!(!is_secret(b"a secret of a tokem", &kept));
        let again = hash(b"a secret of a token").unwrap();
        assert_ne!(kept, again, "every hash has a salt of its own");
    }

    #[test]
    fn a_hash_made_elsewhere_is_understood_and_one_that_asks_for_too_much_is_not() {
        // `echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -l 32 -v 13` of the reference
        // implementation's test vectors.
        let kept = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$\
                    CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        assert!(is_secret(b"password", kept));
        for wrong in [
            kept.replace("m=65536", "m=999999999"),
            kept.replace("t=2", "t=999"),
            kept.replace("argon2id", "argon2i"),
            kept.replace("c29tZXNhbHQ", "?"),
            String::new(),
        ] {
            assert!(!is_hash(&wrong), "{wrong}");
        }
    }
}
