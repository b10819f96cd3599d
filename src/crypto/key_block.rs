//! Key blocks (ANSI X9.143, formerly TR-31): a key enciphered with what it may be used for.
//!
//! ```text
//!  0  1  version: A, B, C under TDES, D under AES
//!  1  4  length of the whole block, decimal
//!  5  2  usage, such as P0 (PIN encryption) or V2 (PVV)
//!  7  1  algorithm: T (TDES), A (AES), H (HMAC), ...
//!  8  1  mode of use: E, D, B, N, V, ...
//!  9  2  version number of the key
//! 11  1  exportability: E, N, S
//! 12  2  number of optional blocks, decimal
//! 14  2  reserved, 00
//! 16     optional blocks: identifier 2, length 2 (hexadecimal, with both), data
//!        enciphered: length of the key in bits 2 bytes, key, random bytes; in hexadecimal
//!        authenticator: 4 (A, C), 8 (B) or 16 (D) bytes; in hexadecimal
//! ```
//!
//! Versions A and C use variants of the protection key, B and D keys derived from it by CMAC.

use zeroize::Zeroizing;

use super::key::{AES_BLOCK, AesKey, BlockKey, TDES_BLOCK, TDES_KEY, TdesKey, bytes_of};

/// Characters of the fixed part of the header.
const HEADER: usize = 16;
/// Bits of a byte.
const BITS: usize = 8;
/// Most bytes of a key: 256 bits of AES; one of HMAC may be longer, and is not taken.
const KEY_MAX: usize = 32;
/// Mixed into every byte of the protection key to encipher (`E`) and to authenticate (`M`).
const VARIANTS: [u8; 2] = [b'E', b'M'];

/// The key that protects others: version D under AES, the others under TDES.
pub enum ProtectionKey {
    /// For versions A, B and C.
    Tdes(Box<TdesKey>),
    /// For version D.
    Aes(AesKey),
}

/// How a key block is bound together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Variants of a TDES key, of 2005; not for new keys.
    A,
    /// Keys derived from a TDES key.
    B,
    /// As A, of 2010.
    C,
    /// Keys derived from an AES key.
    D,
}

impl Version {
    /// Its letter.
    pub fn letter(self) -> char {
        match self {
            Version::A => 'A',
            Version::B => 'B',
            Version::C => 'C',
            Version::D => 'D',
        }
    }

    fn of(letter: u8) -> Option<Version> {
        match letter {
            b'A' => Some(Version::A),
            b'B' => Some(Version::B),
            b'C' => Some(Version::C),
            b'D' => Some(Version::D),
            _ => None,
        }
    }

    fn authenticator_bytes(self) -> usize {
        match self {
            Version::A | Version::C => 4,
            Version::B => TDES_BLOCK,
            Version::D => AES_BLOCK,
        }
    }

    fn block_bytes(self) -> usize {
        match self {
            Version::A | Version::B | Version::C => TDES_BLOCK,
            Version::D => AES_BLOCK,
        }
    }
}

/// What a key may be used for, each part as the standard's characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Usage, such as `P0`.
    pub usage: [u8; 2],
    /// Algorithm, such as `T` or `A`.
    pub algorithm: u8,
    /// Mode of use, such as `E` or `N`.
    pub mode: u8,
    /// Version number, `00` for none.
    pub version_number: [u8; 2],
    /// `E` exportable, `N` not, `S` to a trusted party.
    pub exportability: u8,
}

/// A key out of its block, with what the block says about it.
pub struct OpenedKey {
    /// How it was bound.
    pub version: Version,
    /// What it may be used for.
    pub attributes: Attributes,
    /// Its bytes.
    pub bytes: Zeroizing<Vec<u8>>,
}

/// A key block that cannot be opened or made; never with any of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyBlockError {
    /// Shorter than any, or of another length than it says.
    #[error("a key block: its length is not what its header says, or less than any has")]
    Length,
    /// A version that is none of A to D.
    #[error("a key block: expected version A, B, C or D")]
    Version,
    /// Header or optional blocks that are no characters of the standard.
    #[error("a key block: expected a header of letters and digits as X9.143 has it")]
    Header,
    /// The protection key is of another algorithm than the version wants.
    #[error("a key block: versions A to C need a TDES protection key, D an AES one")]
    ProtectionKey,
    /// Made under another key, or changed.
    #[error("a key block: its authenticator is wrong; made under another key, or changed")]
    Authenticator,
    /// What is inside is no key.
    #[error("a key block: expected a key of 8 to 32 bytes inside")]
    Key,
}

/// Opens a key block.
///
/// # Errors
/// [`KeyBlockError`]; nothing of the key is told.
pub fn open(protection: &ProtectionKey, block: &str) -> Result<OpenedKey, KeyBlockError> {
    let text = block.as_bytes();
    let fixed: &[u8; HEADER] = text.first_chunk().ok_or(KeyBlockError::Length)?;
    let version = Version::of(fixed[0]).ok_or(KeyBlockError::Version)?;
    if decimal(&fixed[1..5]) != Some(text.len()) {
        return Err(KeyBlockError::Length);
    }
    let is_plain = text
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || *byte == b' ');
    let blocks = decimal(&fixed[12..14]).filter(|_| is_plain);
    let header_bytes = header_end(text, blocks.ok_or(KeyBlockError::Header)?)?;
    let (header, body) = text
        .split_at_checked(header_bytes)
        .ok_or(KeyBlockError::Length)?;
    let code_digits = digits_of(version.authenticator_bytes());
    let clear_digits = body
        .len()
        .checked_sub(code_digits)
        .ok_or(KeyBlockError::Length)?;
    let (enciphered, code) = body.split_at(clear_digits);
    let enciphered = hexadecimal(enciphered)?;
    let code = hexadecimal(code)?;
    if enciphered.is_empty() || !enciphered.len().is_multiple_of(version.block_bytes()) {
        return Err(KeyBlockError::Length);
    }
    let payload = unlocked(protection, version, header, &enciphered, &code)?;
    Ok(OpenedKey {
        version,
        attributes: Attributes {
            usage: [fixed[5], fixed[6]],
            algorithm: fixed[7],
            mode: fixed[8],
            version_number: [fixed[9], fixed[10]],
            exportability: fixed[11],
        },
        bytes: key_of(&payload)?,
    })
}

/// Makes a key block; `random` hides how long the key is.
///
/// # Errors
/// [`KeyBlockError`].
pub fn make(
    protection: &ProtectionKey,
    version: Version,
    attributes: &Attributes,
    key: &[u8],
    random: [u8; KEY_MAX],
) -> Result<String, KeyBlockError> {
    if !(TDES_BLOCK..=KEY_MAX).contains(&key.len()) {
        return Err(KeyBlockError::Key);
    }
    let block = version.block_bytes();
    let length = key.len().saturating_add(2).next_multiple_of(block);
    let bits = u16::try_from(key.len().saturating_mul(BITS)).map_err(|_| KeyBlockError::Key)?;
    let mut payload = Zeroizing::new(bits.to_be_bytes().to_vec());
    payload.extend_from_slice(key);
    let missing = length.saturating_sub(payload.len());
    payload.extend(random.iter().take(missing));
    let sealed = length.saturating_add(version.authenticator_bytes());
    let total = digits_of(sealed).saturating_add(HEADER);
    let Attributes {
        usage,
        algorithm,
        mode,
        version_number,
        exportability,
    } = attributes;
    let mut header = format!("{}{total:04}", version.letter()).into_bytes();
    header.extend_from_slice(usage);
    header.extend([*algorithm, *mode]);
    header.extend_from_slice(version_number);
    header.push(*exportability);
    header.extend_from_slice(b"0000");
    if header.len() != HEADER || !header.iter().all(u8::is_ascii_alphanumeric) {
        return Err(KeyBlockError::Header);
    }
    let (enciphered, code) = locked(protection, version, &header, &payload)?;
    let mut text = String::from_utf8(header).map_err(|_| KeyBlockError::Header)?;
    text.push_str(&base16ct::upper::encode_string(&enciphered));
    text.push_str(&base16ct::upper::encode_string(&code));
    Ok(text)
}

/// Where the header ends, behind so many optional blocks.
fn header_end(text: &[u8], blocks: usize) -> Result<usize, KeyBlockError> {
    let mut end = HEADER;
    for _ in 0..blocks {
        let rest = text.get(end..).ok_or(KeyBlockError::Length)?;
        let [_, _, digits @ ..] = rest.first_chunk::<4>().ok_or(KeyBlockError::Length)?;
        let length = std::str::from_utf8(digits)
            .ok()
            .and_then(|digits| usize::from_str_radix(digits, 16).ok())
            .filter(|length| *length >= 4)
            .ok_or(KeyBlockError::Header)?;
        end = end.saturating_add(length);
    }
    Ok(end)
}

fn digits_of(bytes: usize) -> usize {
    bytes.saturating_mul(2)
}

fn decimal(digits: &[u8]) -> Option<usize> {
    let is_decimal = digits.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(digits).ok().filter(|_| is_decimal)?;
    text.parse().ok()
}

fn hexadecimal(digits: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyBlockError> {
    let text = std::str::from_utf8(digits).map_err(|_| KeyBlockError::Header)?;
    bytes_of(text).ok_or(KeyBlockError::Header)
}

fn key_of(payload: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyBlockError> {
    let (bits, rest) = payload.split_first_chunk().ok_or(KeyBlockError::Key)?;
    let bits = usize::from(u16::from_be_bytes(*bits));
    let is_sound = bits.is_multiple_of(BITS) && (TDES_BLOCK..=KEY_MAX).contains(&(bits / BITS));
    let key = rest.get(..bits / BITS).filter(|_| is_sound);
    key.map(|key| Zeroizing::new(key.to_vec()))
        .ok_or(KeyBlockError::Key)
}

type Sealed = (Vec<u8>, Vec<u8>);

/// The payload enciphered, and the authenticator.
fn locked(
    protection: &ProtectionKey,
    version: Version,
    header: &[u8],
    payload: &[u8],
) -> Result<Sealed, KeyBlockError> {
    let mut body = payload.to_vec();
    match (protection, version) {
        (ProtectionKey::Tdes(key), Version::A | Version::C) => {
            let [encipher, authenticate] = VARIANTS.map(|variant| key.variant(variant));
            cbc_encipher(&encipher, first_block(header)?, &mut body);
            let code = cbc_mac(&authenticate, &[header, &body]);
            Ok((body, code[..4].to_vec()))
        }
        (ProtectionKey::Tdes(key), Version::B) => {
            let [encipher, authenticate] = derived_tdes(key);
            let code = authenticate.cmac(&[header, payload]);
            cbc_encipher(&encipher, code, &mut body);
            Ok((body, code.to_vec()))
        }
        (ProtectionKey::Aes(key), Version::D) => {
            let [encipher, authenticate] = derived_aes(key)?;
            let code = authenticate.cmac(&[header, payload]);
            cbc_encipher(&encipher, code, &mut body);
            Ok((body, code.to_vec()))
        }
        (ProtectionKey::Tdes(_), Version::D)
        | (ProtectionKey::Aes(_), Version::A | Version::B | Version::C) => {
            Err(KeyBlockError::ProtectionKey)
        }
    }
}

/// The payload in the clear, when its authenticator is right.
fn unlocked(
    protection: &ProtectionKey,
    version: Version,
    header: &[u8],
    enciphered: &[u8],
    code: &[u8],
) -> Result<Zeroizing<Vec<u8>>, KeyBlockError> {
    use super::mac::is_right;
    let mut body = Zeroizing::new(enciphered.to_vec());
    let is_authentic = match (protection, version) {
        (ProtectionKey::Tdes(key), Version::A | Version::C) => {
            let [encipher, authenticate] = VARIANTS.map(|variant| key.variant(variant));
            let expected = cbc_mac(&authenticate, &[header, enciphered]);
            cbc_decipher(&encipher, first_block(header)?, &mut body);
            is_right(&expected, code)
        }
        (ProtectionKey::Tdes(key), Version::B) => {
            let [encipher, authenticate] = derived_tdes(key);
            let iv = code.try_into().map_err(|_| KeyBlockError::Length)?;
            cbc_decipher(&encipher, iv, &mut body);
            is_right(&authenticate.cmac(&[header, &body]), code)
        }
        (ProtectionKey::Aes(key), Version::D) => {
            let [encipher, authenticate] = derived_aes(key)?;
            let iv = code.try_into().map_err(|_| KeyBlockError::Length)?;
            cbc_decipher(&encipher, iv, &mut body);
            is_right(&authenticate.cmac(&[header, &body]), code)
        }
        (ProtectionKey::Tdes(_), Version::D)
        | (ProtectionKey::Aes(_), Version::A | Version::B | Version::C) => {
            return Err(KeyBlockError::ProtectionKey);
        }
    };
    is_authentic
        .then_some(body)
        .ok_or(KeyBlockError::Authenticator)
}

fn first_block(header: &[u8]) -> Result<[u8; TDES_BLOCK], KeyBlockError> {
    header.first_chunk().copied().ok_or(KeyBlockError::Length)
}

/// The keys to encipher and to authenticate with: CMAC over counter, usage, algorithm and length.
fn derived_tdes(key: &TdesKey) -> [TdesKey; 2] {
    [0, 1].map(|usage| {
        let mut bytes = Zeroizing::new([0; TDES_KEY]);
        for (counter, half) in (1..).zip(bytes.as_chunks_mut::<TDES_BLOCK>().0) {
            *half = key.cmac(&[&[counter, 0, usage, 0, 0, 0, 0, 0x80]]);
        }
        TdesKey::derived(bytes)
    })
}

fn derived_aes(key: &AesKey) -> Result<[AesKey; 2], KeyBlockError> {
    let length = key.bytes().len();
    let (algorithm, bits) = match length {
        16 => (2, [0, 0x80]),
        24 => (3, [0, 0xC0]),
        _ => (4, [1, 0]),
    };
    let derived = |usage| {
        let mut bytes = Zeroizing::new([0; 2 * AES_BLOCK]);
        for (counter, part) in (1..).zip(bytes.as_chunks_mut::<AES_BLOCK>().0) {
            *part = key.cmac(&[&[counter, 0, usage, 0, 0, algorithm, bits[0], bits[1]]]);
        }
        AesKey::from_bytes(bytes.get(..length).unwrap_or_default())
            .map_err(|_| KeyBlockError::ProtectionKey)
    };
    Ok([derived(0)?, derived(1)?])
}

fn cbc_encipher<const N: usize>(key: &impl BlockKey<N>, iv: [u8; N], body: &mut [u8]) {
    let mut before = iv;
    for block in body.as_chunks_mut::<N>().0 {
        for (byte, other) in block.iter_mut().zip(before) {
            *byte ^= other;
        }
        *block = key.encrypt(*block);
        before = *block;
    }
}

fn cbc_decipher<const N: usize>(key: &impl BlockKey<N>, iv: [u8; N], body: &mut [u8]) {
    let mut before = iv;
    for block in body.as_chunks_mut::<N>().0 {
        let enciphered = *block;
        *block = key.decrypt(enciphered);
        for (byte, other) in block.iter_mut().zip(before) {
            *byte ^= other;
        }
        before = enciphered;
    }
}

/// The last block of an enciphered text (ISO/IEC 9797-1 algorithm 1), zeros filling its end.
fn cbc_mac(key: &TdesKey, parts: &[&[u8]]) -> [u8; TDES_BLOCK] {
    let mut text = parts.concat();
    text.resize(text.len().next_multiple_of(TDES_BLOCK), 0);
    cbc_encipher(key, [0; TDES_BLOCK], &mut text);
    text.last_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "3F419E1CB7079442AA37474C2EFBF8B8";

    fn tdes(digits: &str) -> ProtectionKey {
        ProtectionKey::Tdes(Box::new(
            TdesKey::from_hex(digits).unwrap_or_else(|_| panic!()),
        ))
    }

    fn aes(digits: &str) -> ProtectionKey {
        ProtectionKey::Aes(AesKey::from_hex(digits).unwrap_or_else(|_| panic!()))
    }

    fn pin_key() -> Attributes {
        Attributes {
            usage: *b"P0",
            algorithm: b'T',
            mode: b'E',
            version_number: *b"00",
            exportability: b'E',
        }
    }

    #[test]
    fn published_blocks_open_to_their_keys() {
        for (protection, block, key) in [
            (
                tdes("89E88CF7931444F334BD7547FC3F380C"),
                "A0072P0TE00E0000F5161ED902807AF26F1D62263644BD24192FDB3193C730301CEE8701",
                "F039121BEC83D26B169BDCD5B22AAF8F",
            ),
            (
                tdes("DD7515F2BFC17F85CE48F3CA25CB21F6"),
                concat!(
                    "B0080P0TE00E000094B420079CC80BA3461F86FE26EFC4A3",
                    "B8E4FA4C5F5341176EED7B727B8A248E"
                ),
                KEY,
            ),
            (
                aes("88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6"),
                concat!(
                    "D0112P0AE00E0000B82679114F470F540165EDFBF7E250FCEA43F810D215F8D2",
                    "07E2E417C07156A27E8E31DA05F7425509593D03A457DC34"
                ),
                KEY,
            ),
        ] {
            let opened = open(&protection, block).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(
                opened.bytes,
                bytes_of(key).unwrap(),
                "version {:?}",
                opened.version
            );
            assert_eq!(opened.attributes.usage, *b"P0");
            let other = tdes("0123456789ABCDEFFEDCBA9876543210");
            assert!(open(&other, block).is_err());
        }
    }

    #[test]
    fn every_version_and_length_is_read_back() {
        let double = "DD7515F2BFC17F85CE48F3CA25CB21F6";
        let whole = "88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6";
        for (version, protection) in [
            (Version::A, tdes(double)),
            (Version::B, tdes(double)),
            (Version::C, tdes(double)),
            (Version::D, aes(&whole[..32])),
            (Version::D, aes(&whole[..48])),
            (Version::D, aes(whole)),
        ] {
            for length in [8, 16, 24, 32] {
                let key: Vec<u8> = (1..=length).collect();
                let block = make(&protection, version, &pin_key(), &key, [0xA5; 32]).unwrap();
                let opened = open(&protection, &block).unwrap_or_else(|error| panic!("{error}"));
                assert_eq!(opened.bytes[..], key[..]);
                assert_eq!((opened.version, opened.attributes), (version, pin_key()));
            }
        }
    }

    #[test]
    fn a_block_with_one_other_character_is_refused() {
        let protection = tdes("DD7515F2BFC17F85CE48F3CA25CB21F6");
        for version in [Version::A, Version::B, Version::C] {
            let block = make(&protection, version, &pin_key(), &[7; 16], [1; 32]).unwrap();
            for place in 0..block.len() {
                let mut text = block.clone().into_bytes();
                text[place] = if text[place] == b'1' { b'2' } else { b'1' };
                let text = String::from_utf8(text).unwrap();
                assert!(open(&protection, &text).is_err(), "{version:?} {place}");
            }
            for end in 0..block.len() {
                assert!(
                    open(&protection, &block[..end]).is_err(),
                    "{version:?} {end}"
                );
            }
        }
    }

    #[test]
    fn optional_blocks_are_authenticated_and_passed_over() {
        // What another program made of the published key of version B, with one optional block.
        let protection = tdes("DD7515F2BFC17F85CE48F3CA25CB21F6");
        let ProtectionKey::Tdes(key) = &protection else {
            panic!()
        };
        let [encipher, authenticate] = derived_tdes(key);
        let payload = [&[0, 0x80][..], &[9; 16], &[3; 6]].concat();
        let header = format!("B{:04}P0TE00E0100KS08ABCD", 16 + 8 + 48 + 16);
        let code = authenticate.cmac(&[header.as_bytes(), &payload]);
        let mut body = payload;
        cbc_encipher(&encipher, code, &mut body);
        let hexadecimal = |bytes: &[u8]| base16ct::upper::encode_string(bytes);
        let block = format!("{header}{}{}", hexadecimal(&body), hexadecimal(&code));
        assert_eq!(
            open(&protection, &block).map(|key| key.bytes.to_vec()).ok(),
            Some(vec![9; 16])
        );
        let other = block.replace("KS08ABCD", "KS08ABCE");
        assert_eq!(
            open(&protection, &other).err(),
            Some(KeyBlockError::Authenticator)
        );
    }

    #[test]
    fn what_is_no_key_block_is_told_apart() {
        let protection = tdes("DD7515F2BFC17F85CE48F3CA25CB21F6");
        let block = make(&protection, Version::B, &pin_key(), &[7; 16], [1; 32]).unwrap();
        let with = |range: std::ops::Range<usize>, other: &str| {
            let mut text = block.clone();
            text.replace_range(range, other);
            text
        };
        for (text, error) in [
            (String::new(), KeyBlockError::Length),
            (with(0..1, "E"), KeyBlockError::Version),
            (with(1..5, "0081"), KeyBlockError::Length),
            (with(12..14, "0x"), KeyBlockError::Header),
            (with(20..21, "g"), KeyBlockError::Header),
            (with(0..1, "D"), KeyBlockError::ProtectionKey),
        ] {
            assert_eq!(
                open(&protection, &text).err(),
                Some(error),
                "{}",
                text.len()
            );
        }
        let short = make(&protection, Version::B, &pin_key(), &[7; 5], [1; 32]);
        assert_eq!(short.err(), Some(KeyBlockError::Key));
        let wrong = make(&protection, Version::D, &pin_key(), &[7; 16], [1; 32]);
        assert_eq!(wrong.err(), Some(KeyBlockError::ProtectionKey));
    }
}
