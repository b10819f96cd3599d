//! Message authentication codes of links and chips: ISO/IEC 9797-1 algorithm 3.
//!
//! DE 64 and DE 128 carry the first bytes of one (ANSI X9.19); EMV cryptograms are one.

use subtle::ConstantTimeEq;

use super::key::{BlockKey, TDES_BLOCK, TdesKey};

/// How a message is filled up to whole blocks (ISO/IEC 9797-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Method 1: zeros, none where the last block is full.
    Zeros,
    /// Method 2: one set bit, then zeros; always at least the bit.
    OneThenZeros,
}

/// The code of a message: CBC under the left half of the key, the last block under all of it.
pub fn retail_mac(key: &TdesKey, padding: Padding, message: &[u8]) -> [u8; TDES_BLOCK] {
    let (blocks, rest) = message.as_chunks::<TDES_BLOCK>();
    let mut last = [0; TDES_BLOCK];
    let end = match padding {
        Padding::Zeros => None,
        Padding::OneThenZeros => Some(&0x80),
    };
    for (byte, rest) in last.iter_mut().zip(rest.iter().chain(end)) {
        *byte = *rest;
    }
    let is_filled = padding == Padding::OneThenZeros || !rest.is_empty() || blocks.is_empty();
    let mut code = [0; TDES_BLOCK];
    for block in blocks.iter().chain(is_filled.then_some(&last)) {
        for (byte, other) in code.iter_mut().zip(block) {
            *byte ^= other;
        }
        code = key.encrypt_left(code);
    }
    key.encrypt_left(key.decrypt_right(code))
}

/// CMAC of a message under a TDES or AES key.
pub fn cmac<const N: usize>(key: &impl BlockKey<N>, message: &[u8]) -> [u8; N] {
    key.cmac(&[message])
}

/// Whether the first bytes of a code are those that came, in a time that does not tell where they
/// differ. Fewer than four bytes are never right.
pub fn is_right(code: &[u8], came: &[u8]) -> bool {
    came.len() >= 4
        && code
            .get(..came.len())
            .is_some_and(|code| code.ct_eq(came).into())
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::super::key::bytes_of;
    use super::*;

    fn key(digits: &str) -> TdesKey {
        let bytes = bytes_of(digits).unwrap();
        TdesKey::derived(Zeroizing::new(bytes[..].try_into().unwrap()))
    }

    #[test]
    fn codes_are_those_of_the_published_vectors() {
        let (hexadecimal, letters) = (
            "AAAAAAAAAAAAAAAABBBBBBBBBBBBBBBB",
            "41414141414141414242424242424242",
        );
        let own = "0123456789ABCDEFFEDCBA9876543210";
        for (digits, padding, message, code) in [
            (
                hexadecimal,
                Padding::Zeros,
                "hello world",
                "78DA3D3DEB48FD4D",
            ),
            (
                hexadecimal,
                Padding::OneThenZeros,
                "hello world",
                "2BC2D9EDE0CF31F6",
            ),
            (letters, Padding::Zeros, "hello world", "3DDE5C5511661CBF"),
            (
                letters,
                Padding::OneThenZeros,
                "hello world",
                "E16941032C3BC7D4",
            ),
            (
                own,
                Padding::Zeros,
                "02007238000108C08000",
                "66141DA28811E5AA",
            ),
        ] {
            let got = retail_mac(&key(digits), padding, message.as_bytes());
            assert_eq!(
                got[..],
                bytes_of(code).unwrap()[..],
                "{message} {padding:?}"
            );
        }
    }

    #[test]
    fn a_code_is_right_whole_or_in_its_first_bytes_and_never_with_fewer_than_four() {
        let code = [1, 2, 3, 4, 5, 6, 7, 8];
        assert!(is_right(&code, &code) && is_right(&code, &code[..4]));
        for wrong in [
            &[][..],
            &[1, 2, 3],
            &[1, 2, 3, 5],
            &[1, 2, 3, 4, 5, 6, 7, 8, 9],
        ] {
            assert!(!is_right(&code, wrong));
        }
    }

    #[test]
    fn a_whole_last_block_is_not_filled_with_zeros_but_with_a_bit() {
        let key = key("0123456789ABCDEFFEDCBA9876543210");
        let (short, whole) = (&b"1234567"[..], &b"1234567\0"[..]);
        assert_eq!(
            retail_mac(&key, Padding::Zeros, short),
            retail_mac(&key, Padding::Zeros, whole)
        );
        assert_ne!(
            retail_mac(&key, Padding::OneThenZeros, short),
            retail_mac(&key, Padding::OneThenZeros, whole)
        );
    }
}
