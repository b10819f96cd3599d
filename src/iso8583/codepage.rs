//! EBCDIC code pages: one table, and where the other pages differ from it.
//!
//! Letters and digits stand at the same places in all of them; punctuation does not. Characters
//! are those of ISO 8859-1, which every page but IBM 1148 (the euro sign) holds exactly.

use std::sync::LazyLock;

/// A code page by its registered number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum CodePage {
    /// Open systems on mainframes.
    Ibm1047,
    /// United States.
    Ibm037,
    /// International.
    Ibm500,
    /// International with the euro sign.
    Ibm1148,
    /// The conversion table of the `dd` command.
    Posix,
}

impl CodePage {
    /// As specification files name it, behind `ebcdic-`.
    pub(super) const fn word(self) -> &'static str {
        match self {
            CodePage::Ibm1047 => "1047",
            CodePage::Ibm037 => "037",
            CodePage::Ibm500 => "500",
            CodePage::Ibm1148 => "1148",
            CodePage::Posix => "posix",
        }
    }

    /// The character of ISO 8859-1; the euro sign of 1148 stands as the currency sign.
    #[inline]
    pub(super) fn latin_of(self, byte: u8) -> u8 {
        *self.tables().to_latin.get(usize::from(byte)).unwrap_or(&0)
    }

    /// The byte of a character of ISO 8859-1.
    #[inline]
    pub(super) fn byte_of(self, character: u8) -> u8 {
        *self
            .tables()
            .from_latin
            .get(usize::from(character))
            .unwrap_or(&0)
    }

    fn tables(self) -> &'static Tables {
        let [ibm_1047, ibm_037, ibm_500, posix] = &*TABLES;
        match self {
            CodePage::Ibm1047 => ibm_1047,
            CodePage::Ibm037 => ibm_037,
            CodePage::Ibm500 | CodePage::Ibm1148 => ibm_500,
            CodePage::Posix => posix,
        }
    }

    /// The character of this page for one of ISO 8859-1 that [`CodePage::latin_of`] answered.
    pub(super) fn character(self, latin: u8) -> char {
        match (self, latin) {
            (CodePage::Ibm1148, CURRENCY_SIGN) => '€',
            _ => char::from(latin),
        }
    }

    /// The byte of ISO 8859-1 that stands for a character; `None` when the page lacks it.
    pub(super) fn latin(self, character: char) -> Option<u8> {
        match (self, character) {
            (CodePage::Ibm1148, '€') => Some(CURRENCY_SIGN),
            (CodePage::Ibm1148, '¤') => None,
            _ => u8::try_from(character).ok(),
        }
    }
}

struct Tables {
    to_latin: [u8; 256],
    from_latin: [u8; 256],
}

impl Tables {
    fn new(differences: &[(u8, u8)]) -> Self {
        let mut to_latin = IBM_500;
        for (byte, character) in differences {
            if let Some(place) = to_latin.get_mut(usize::from(*byte)) {
                *place = *character;
            }
        }
        let mut from_latin = [0; 256];
        for (byte, character) in (0..=u8::MAX).zip(to_latin) {
            if let Some(place) = from_latin.get_mut(usize::from(character)) {
                *place = byte;
            }
        }
        Self {
            to_latin,
            from_latin,
        }
    }
}

static TABLES: LazyLock<[Tables; 4]> =
    LazyLock::new(|| [&IBM_1047[..], &IBM_037[..], &[], &POSIX[..]].map(Tables::new));

const CURRENCY_SIGN: u8 = 0xa4;

/// Places where IBM 1047 differs from IBM 500.
const IBM_1047: [(u8, u8); 8] = [
    (0x4a, 0xa2),
    (0x4f, b'|'),
    (0x5a, b'!'),
    (0xad, b'['),
    (0xb0, 0xac),
    (0xba, 0xdd),
    (0xbb, 0xa8),
    (0xbd, b']'),
];

/// Places where IBM 037 differs from IBM 500.
const IBM_037: [(u8, u8); 7] = [
    (0x4a, 0xa2),
    (0x4f, b'|'),
    (0x5a, b'!'),
    (0x5f, 0xac),
    (0xb0, b'^'),
    (0xba, b'['),
    (0xbb, b']'),
];

/// Places where the table of `dd` differs from IBM 500 in printable characters.
const POSIX: [(u8, u8); 2] = [(0x6a, b'|'), (0xbb, 0xa6)];

/// IBM 500 to ISO 8859-1.
#[rustfmt::skip]
const IBM_500: [u8; 256] = [
    0x00, 0x01, 0x02, 0x03, 0x9c, 0x09, 0x86, 0x7f, 0x97, 0x8d, 0x8e, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f,
    0x10, 0x11, 0x12, 0x13, 0x9d, 0x85, 0x08, 0x87, 0x18, 0x19, 0x92, 0x8f, 0x1c, 0x1d, 0x1e, 0x1f,
    0x80, 0x81, 0x82, 0x83, 0x84, 0x0a, 0x17, 0x1b, 0x88, 0x89, 0x8a, 0x8b, 0x8c, 0x05, 0x06, 0x07,
    0x90, 0x91, 0x16, 0x93, 0x94, 0x95, 0x96, 0x04, 0x98, 0x99, 0x9a, 0x9b, 0x14, 0x15, 0x9e, 0x1a,
    0x20, 0xa0, 0xe2, 0xe4, 0xe0, 0xe1, 0xe3, 0xe5, 0xe7, 0xf1, 0x5b, 0x2e, 0x3c, 0x28, 0x2b, 0x21,
    0x26, 0xe9, 0xea, 0xeb, 0xe8, 0xed, 0xee, 0xef, 0xec, 0xdf, 0x5d, 0x24, 0x2a, 0x29, 0x3b, 0x5e,
    0x2d, 0x2f, 0xc2, 0xc4, 0xc0, 0xc1, 0xc3, 0xc5, 0xc7, 0xd1, 0xa6, 0x2c, 0x25, 0x5f, 0x3e, 0x3f,
    0xf8, 0xc9, 0xca, 0xcb, 0xc8, 0xcd, 0xce, 0xcf, 0xcc, 0x60, 0x3a, 0x23, 0x40, 0x27, 0x3d, 0x22,
    0xd8, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0xab, 0xbb, 0xf0, 0xfd, 0xfe, 0xb1,
    0xb0, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f, 0x70, 0x71, 0x72, 0xaa, 0xba, 0xe6, 0xb8, 0xc6, 0xa4,
    0xb5, 0x7e, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0xa1, 0xbf, 0xd0, 0xdd, 0xde, 0xae,
    0xa2, 0xa3, 0xa5, 0xb7, 0xa9, 0xa7, 0xb6, 0xbc, 0xbd, 0xbe, 0xac, 0x7c, 0xaf, 0xa8, 0xb4, 0xd7,
    0x7b, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0xad, 0xf4, 0xf6, 0xf2, 0xf3, 0xf5,
    0x7d, 0x4a, 0x4b, 0x4c, 0x4d, 0x4e, 0x4f, 0x50, 0x51, 0x52, 0xb9, 0xfb, 0xfc, 0xf9, 0xfa, 0xff,
    0x5c, 0xf7, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0xb2, 0xd4, 0xd6, 0xd2, 0xd3, 0xd5,
    0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0xb3, 0xdb, 0xdc, 0xd9, 0xda, 0x9f,
];

#[cfg(test)]
mod tests {
    use super::*;

    const PAGES: [CodePage; 5] = [
        CodePage::Ibm1047,
        CodePage::Ibm037,
        CodePage::Ibm500,
        CodePage::Ibm1148,
        CodePage::Posix,
    ];

    #[test]
    fn every_page_maps_each_byte_to_one_character_and_back() {
        for page in PAGES {
            for byte in 0..=u8::MAX {
                assert_eq!(page.byte_of(page.latin_of(byte)), byte, "{page:?}");
                let latin = page.latin_of(byte);
                assert_eq!(page.latin(page.character(latin)), Some(latin), "{page:?}");
            }
        }
    }

    #[test]
    fn letters_and_digits_agree_and_punctuation_differs() {
        for page in PAGES {
            for (first, characters) in [
                (0xf0, "0123456789"),
                (0xc1, "ABCDEFGHI"),
                (0xe2, "STUVWXYZ"),
            ] {
                for (byte, character) in (first..).zip(characters.bytes()) {
                    assert_eq!(page.latin_of(byte), character, "{page:?}");
                }
            }
        }
        for (page, bracket, bar) in [
            (CodePage::Ibm1047, 0xad, 0x4f),
            (CodePage::Ibm037, 0xba, 0x4f),
            (CodePage::Ibm500, 0x4a, 0xbb),
            (CodePage::Posix, 0x4a, 0x6a),
        ] {
            assert_eq!((page.byte_of(b'['), page.byte_of(b'|')), (bracket, bar));
        }
    }
}
