//! The local master keys of a played device: fixed, public, of no use outside of tests.
//!
//! A key under the variant LMK (`U`) has its halves enciphered under a variant for its type; one
//! under the key-block LMK (`S`) is a key block of version D. They are not the test keys of any
//! maker.

use zeroize::Zeroizing;

use super::fields::hexadecimal;
use super::{DeviceKey, TYPE_IN_BLOCK, key_type};
use crate::crypto::key::{
    AesKey, BlockKey, KeyError, TDES_BLOCK, TDES_KEY, TdesKey, bytes_of, with_odd_parity,
};
use crate::crypto::key_block::{self, Attributes, ProtectionKey, Version};

/// In hexadecimal.
const VARIANT: &str = "2C5B6D80A4C7E9103F527694B5D6F8A2";
const BLOCK: &str = "43415244535749544348204F4E4C5920464F522054455354532C204E4F205053";

/// Local master keys.
pub struct Lmk {
    variant: TdesKey,
    block: ProtectionKey,
}

/// A key out of its encipherment.
pub struct ClearKey {
    /// Its bytes.
    pub bytes: Zeroizing<Vec<u8>>,
    /// Whether it is an AES key.
    pub is_aes: bool,
    /// The usage that was proven, where one was.
    pub usage: Option<String>,
}

impl Lmk {
    /// The test keys.
    ///
    /// # Errors
    /// Never, for these are keys.
    pub fn test() -> Result<Lmk, KeyError> {
        Ok(Lmk {
            variant: TdesKey::from_hex(VARIANT)?,
            block: ProtectionKey::Aes(AesKey::from_hex(BLOCK)?),
        })
    }

    /// What a device says of its LMK: sixteen digits.
    pub fn check_digits(&self) -> String {
        hexadecimal(&self.variant.encrypt([0; TDES_BLOCK]))
    }

    /// A key, with whether it is an AES key, under the LMK: as a key block where that is wanted and
    /// wherever it is AES, else under the variant one. DES does not look at parity; it is made odd.
    ///
    /// # Errors
    /// What is wrong with the key.
    pub fn wrap(
        &self,
        usage: &str,
        (bytes, is_aes): (&[u8], bool),
        as_block: bool,
        random: [u8; 32],
    ) -> Result<DeviceKey, String> {
        if !is_aes && !as_block {
            let kind = key_type(usage).ok_or("a key of that usage has no type here")?;
            let key: [u8; TDES_KEY] = bytes.try_into().map_err(|_| KeyError::Tdes.to_string())?;
            let mut key = Zeroizing::new(with_odd_parity(key));
            let under = self.variant_for(kind);
            for half in key.as_chunks_mut::<TDES_BLOCK>().0 {
                *half = under.encrypt(*half);
            }
            return Ok(DeviceKey(format!("U{}", hexadecimal(&key[..]))));
        }
        let usage = usage.as_bytes().try_into();
        let attributes = Attributes {
            usage: usage.map_err(|_| "a usage has two characters")?,
            algorithm: if is_aes { b'A' } else { b'T' },
            mode: b'N',
            version_number: *b"00",
            exportability: b'E',
        };
        let block = key_block::make(&self.block, Version::D, &attributes, bytes, random);
        let block = block.map_err(|error| error.to_string())?;
        Ok(DeviceKey(format!("S{block}")))
    }

    /// The key, where it is one of a type (`FFF`: a key block, of whatever usage).
    ///
    /// # Errors
    /// The code that a device answers.
    pub(super) fn open(&self, key: &DeviceKey, kind: &str) -> Result<ClearKey, &'static str> {
        if let Some(block) = key.text().strip_prefix('S') {
            let opened = key_block::open(&self.block, block).map_err(|_| "13")?;
            let usage: String = opened.attributes.usage.map(char::from).iter().collect();
            if kind != TYPE_IN_BLOCK && key_type(&usage) != Some(kind) {
                return Err("15");
            }
            return Ok(ClearKey {
                bytes: opened.bytes,
                is_aes: opened.attributes.algorithm == b'A',
                usage: Some(usage),
            });
        }
        let mut bytes = key
            .text()
            .strip_prefix('U')
            .and_then(bytes_of)
            .ok_or("15")?;
        let under = self.variant_for(kind);
        for half in bytes.as_chunks_mut::<TDES_BLOCK>().0 {
            *half = under.decrypt(*half);
        }
        let odd = bytes.iter().all(|byte| byte.count_ones() % 2 == 1);
        odd.then_some(ClearKey {
            bytes,
            is_aes: false,
            usage: None,
        })
        .ok_or("10")
    }

    fn variant_for(&self, kind: &str) -> TdesKey {
        let digits = kind.bytes().map(|digit| digit & 0x0f);
        let mask = digits.fold(0_u8, |mask, digit| mask.rotate_left(3) ^ digit);
        // DES does not look at the lowest bit.
        self.variant.variant(mask << 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_opens_only_as_the_type_that_it_was_wrapped_as() {
        let lmk = Lmk::test().unwrap_or_else(|error| panic!("{error}"));
        let bytes = [0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF].repeat(2);
        let mut mixed = bytes;
        mixed[9] = 0x25;
        let kinds = ["P0", "V2", "C0", "E0", "M3", "K0"];
        for usage in kinds {
            let key = lmk.wrap(usage, (&mixed, false), false, [0; 32]).unwrap();
            assert_eq!(key.text().len(), 33);
            for other in kinds {
                let opened = lmk.open(&key, key_type(other).unwrap());
                assert_eq!(opened.is_ok(), other == usage, "{usage} as {other}");
            }
            let block = lmk.wrap(usage, (&mixed, false), true, [7; 32]).unwrap();
            assert!(block.is_block() && block.block_usage() == Some(usage));
            let opened = lmk
                .open(&block, "FFF")
                .unwrap_or_else(|code| panic!("{code}"));
            assert_eq!(opened.bytes[..], mixed[..]);
        }
        for text in ["", "U00", "S", "X0123456789ABCDEF0123456789ABCDEF"] {
            assert_eq!(DeviceKey::parse(text), Err(super::super::NoDeviceKey));
        }
    }
}
