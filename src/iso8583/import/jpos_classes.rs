//! The field classes of jPOS, each with the row that says the same.

/// One field class: the class of our format, the dots of its length prefix, further keys.
pub(in crate::iso8583) struct FieldClass {
    pub(in crate::iso8583) name: &'static str,
    pub(in crate::iso8583) class: &'static str,
    pub(in crate::iso8583) width: u8,
    pub(in crate::iso8583) keys: &'static str,
    pub(in crate::iso8583) padding: Padding,
    pub(in crate::iso8583) tag: TagForm,
    /// What differs from the class itself.
    pub(in crate::iso8583) note: &'static str,
}

/// What the attribute `pad` does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::iso8583) enum Padding {
    /// Nothing.
    Ignored,
    /// True puts the fill nibble of packed digits to the left; else it is this one.
    Nibble(&'static str),
}

/// What names the field beside its length.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::iso8583) enum TagForm {
    /// Nothing.
    None,
    /// The number of the field in so many digits, before the length.
    Number { ebcdic: bool, width: usize },
    /// The same behind the length, which counts it.
    Counted { ebcdic: bool, width: usize },
    /// What the packager around it makes of the number of the field, before the length.
    Mapped,
    /// The characters of the attribute `token`.
    Token,
    /// The bytes that the attribute `token` says in hexadecimal.
    TokenHex,
    /// The value ends at the attribute `token`, or at this.
    EndsAt(&'static str),
    /// The value ends at the byte that the attribute `token` says in hexadecimal, or at this.
    EndsAtHex(&'static str),
}

/// The class with this name, its package left out.
pub(super) fn class_named(name: &str) -> Option<&'static FieldClass> {
    CLASSES.iter().find(|class| class.name == name)
}

const fn plain(
    name: &'static str,
    class: &'static str,
    width: u8,
    keys: &'static str,
) -> FieldClass {
    FieldClass {
        name,
        class,
        width,
        keys,
        padding: Padding::Ignored,
        tag: TagForm::None,
        note: "",
    }
}

const fn packed(
    name: &'static str,
    width: u8,
    keys: &'static str,
    odd_fill: &'static str,
) -> FieldClass {
    FieldClass {
        padding: Padding::Nibble(odd_fill),
        ..plain(name, "h", width, keys)
    }
}

const fn tagged(
    name: &'static str,
    class: &'static str,
    width: u8,
    keys: &'static str,
    tag: TagForm,
) -> FieldClass {
    FieldClass {
        tag,
        ..plain(name, class, width, keys)
    }
}

const fn noted(class: FieldClass, note: &'static str) -> FieldClass {
    FieldClass { note, ..class }
}

const E_TEXT: &str = "text = \"ebcdic-1047\", ";
const E_TEXT_LENGTH: &str = "text = \"ebcdic-1047\", length = \"ebcdic\", ";
const E_LENGTH: &str = "length = \"ebcdic\", ";
const E_ZEROS: &str = "text = \"ebcdic-1047\", pad = \"left 0\", ";
const A_ZEROS: &str = "pad = \"left 0\", ";
const D_LENGTH: &str = "length = \"bcd\", ";
const U_LENGTH: &str = "length = \"binary\", ";
const U_TEXT: &str = "text = \"ebcdic-1047\", length = \"binary\", ";
const CLASS_LETTER: &str = "always present: a leading class letter is not looked for";

const fn number(ebcdic: bool, width: usize) -> TagForm {
    TagForm::Number { ebcdic, width }
}

const fn counted(ebcdic: bool, width: usize) -> TagForm {
    TagForm::Counted { ebcdic, width }
}

pub(in crate::iso8583) const CLASSES: &[FieldClass] = &[
    plain("IFA_NUMERIC", "any", 0, A_ZEROS),
    plain("IFE_NUMERIC", "any", 0, E_ZEROS),
    packed("IFB_NUMERIC", 0, "", "right"),
    packed("IFB_FNUMERIC", 0, "", "right-f"),
    packed("IFB_HEX", 0, "", "right-f"),
    plain("IF_CHAR", "any", 0, ""),
    plain("IFE_CHAR", "any", 0, E_TEXT),
    plain("IF_ECHAR", "any", 0, E_TEXT),
    plain("IFA_AMOUNT", "any", 0, "pad = \"sign 0\", "),
    plain(
        "IFE_AMOUNT",
        "any",
        0,
        "text = \"ebcdic-1047\", pad = \"sign 0\", ",
    ),
    FieldClass {
        padding: Padding::Nibble("right"),
        ..plain("IFB_AMOUNT", "s+n", 0, "")
    },
    plain("IFA_AMOUNT2003", "any", 0, A_ZEROS),
    packed("IFB_AMOUNT2003", 0, "", "right"),
    plain("IFE_SIGNED_NUMERIC", "n", 0, "digits = \"zoned\", "),
    plain("IFA_BINARY", "b", 0, "binary = \"hex\", "),
    noted(
        plain("IFE_BINARY", "b", 0, "binary = \"ebcdic-hex\", "),
        "read as it is written; jPOS itself reads the letters A to F wrongly",
    ),
    plain("IFB_BINARY", "b", 0, ""),
    plain("IF_NOP", "b", 0, ""),
    plain("IFA_LCHAR", "any", 1, ""),
    plain("IFA_LLCHAR", "any", 2, ""),
    plain("IFA_LLLCHAR", "any", 3, ""),
    plain("IFA_LLLLCHAR", "any", 4, ""),
    plain("IFA_LLLLLCHAR", "any", 5, ""),
    plain("IFA_LLLLLLCHAR", "any", 6, ""),
    plain("IFA_LLNUM", "any", 2, ""),
    plain("IFA_LLLNUM", "any", 3, ""),
    plain("IFA_LBINARY", "b", 1, ""),
    plain("IFA_LLBINARY", "b", 2, ""),
    plain("IFA_LLLBINARY", "b", 3, ""),
    plain("IFA_LLLLBINARY", "b", 4, ""),
    plain("IFA_LLLLLBINARY", "b", 5, ""),
    plain("IFA_LLLLLLBINARY", "b", 6, ""),
    plain("IFA_LLABINARY", "b", 2, "binary = \"hex\", "),
    plain("IFA_LLLABINARY", "b", 3, "binary = \"hex\", "),
    noted(
        packed("IFA_LLBNUM", 2, "counts = \"even\", ", "right"),
        "an odd count of digits is read with its fill, as in jPOS",
    ),
    plain("IFA_FLLCHAR", "any", 2, "filled = true, "),
    plain("IFA_FLLNUM", "any", 2, "filled = true, "),
    plain("IFAE_LLCHAR", "any", 2, E_TEXT),
    plain("IFB_LLCHAR", "any", 2, D_LENGTH),
    plain("IFB_LLLCHAR", "any", 3, D_LENGTH),
    plain("IFB_LLLLCHAR", "any", 4, D_LENGTH),
    plain("IFB_LLLLLLCHAR", "any", 6, D_LENGTH),
    packed("IFB_LLNUM", 2, D_LENGTH, "right"),
    packed("IFB_LLLNUM", 3, D_LENGTH, "right"),
    packed("IFB_FLLNUM", 2, D_LENGTH, "right-f"),
    packed("IFB_FLLLNUM", 3, D_LENGTH, "right-f"),
    plain("IFB_LLBINARY", "b", 2, D_LENGTH),
    plain("IFB_LLLBINARY", "b", 3, D_LENGTH),
    plain("IFB_LLLLBINARY", "b", 4, D_LENGTH),
    plain(
        "IFB_LLHEX",
        "b",
        2,
        "length = \"bcd\", counts = \"nibbles\", ",
    ),
    plain(
        "IFB_LLLHEX",
        "b",
        3,
        "length = \"bcd\", counts = \"nibbles\", ",
    ),
    plain("IFB_LLHCHAR", "any", 1, U_LENGTH),
    plain("IFB_LLLHCHAR", "any", 2, U_LENGTH),
    plain("IFB_LLHECHAR", "any", 1, U_TEXT),
    plain("IFB_LLLHECHAR", "any", 2, U_TEXT),
    packed("IFB_LLHNUM", 1, U_LENGTH, "right"),
    packed("IFB_LLLHNUM", 2, U_LENGTH, "right"),
    plain("IFB_LLHBINARY", "b", 1, U_LENGTH),
    plain("IFB_LLLHBINARY", "b", 2, U_LENGTH),
    plain("IFB_LHBINARY", "b", 1, U_LENGTH),
    plain(
        "IFB_LLHFBINARY",
        "b",
        1,
        "length = \"binary\", filled = true, ",
    ),
    plain("IFE_LCHAR", "any", 1, E_TEXT_LENGTH),
    plain("IFE_LLCHAR", "any", 2, E_TEXT_LENGTH),
    plain("IFE_LLLCHAR", "any", 3, E_TEXT_LENGTH),
    plain("IFE_LLLLCHAR", "any", 4, E_TEXT_LENGTH),
    plain("IFE_LNUM", "any", 1, E_TEXT_LENGTH),
    plain("IFE_LLNUM", "any", 2, E_TEXT_LENGTH),
    plain("IFE_LLLNUM", "any", 3, E_TEXT_LENGTH),
    plain("IFE_LBINARY", "b", 1, E_LENGTH),
    plain("IFE_LLBINARY", "b", 2, E_LENGTH),
    plain("IFE_LLLBINARY", "b", 3, E_LENGTH),
    plain("IFE_LLLLBINARY", "b", 4, E_LENGTH),
    plain(
        "IFE_LLLEBINARY",
        "b",
        3,
        "length = \"ebcdic\", binary = \"ebcdic-1047\", ",
    ),
    plain("IFEA_LLCHAR", "any", 2, E_LENGTH),
    plain(
        "IFEB_LLNUM",
        "h",
        2,
        "length = \"ebcdic\", counts = \"bytes\", odd_fill = \"right-f\", ",
    ),
    plain(
        "IFEB_LLLNUM",
        "h",
        3,
        "length = \"ebcdic\", counts = \"bytes\", odd_fill = \"right-f\", ",
    ),
    tagged("IFMC_LLCHAR", "any", 2, "", number(false, 2)),
    tagged("IFMC_LLLCHAR", "any", 3, "", number(false, 2)),
    tagged("IFMC_LLBINARY", "b", 2, "", number(false, 2)),
    tagged("IFMC_LLLBINARY", "b", 3, "", number(false, 2)),
    tagged("IFEMC_LLCHAR", "any", 2, E_TEXT_LENGTH, number(false, 2)),
    tagged("IFEMC_LLLCHAR", "any", 3, E_TEXT_LENGTH, number(true, 4)),
    tagged("IFEPE_LLCHAR", "any", 2, E_TEXT_LENGTH, number(true, 2)),
    tagged("IFEPE_LLBINARY", "b", 2, E_LENGTH, number(true, 2)),
    tagged("IFEPE_LLLCHAR", "any", 3, E_TEXT_LENGTH, number(true, 3)),
    tagged("IFEP_LLCHAR", "any", 2, "", counted(false, 2)),
    tagged("IFEP_LLLCHAR", "any", 3, E_LENGTH, counted(true, 2)),
    tagged("IFELPE_LLLCHAR", "any", 3, E_TEXT_LENGTH, counted(true, 2)),
    tagged("IFEP_LLLBINARY", "b", 3, E_LENGTH, counted(true, 2)),
    tagged("IFIPM_LLLCHAR", "any", 3, "", number(false, 4)),
    noted(plain("IFMC_TCC", "any", 0, ""), CLASS_LETTER),
    noted(plain("IFEMC_TCC", "any", 0, E_TEXT), CLASS_LETTER),
    tagged("IFA_TTLCHAR", "any", 1, "", TagForm::Mapped),
    tagged("IFA_TTLLCHAR", "any", 2, "", TagForm::Mapped),
    tagged("IFA_TTLLLCHAR", "any", 3, "", TagForm::Mapped),
    tagged("IFA_TTLLLLCHAR", "any", 4, "", TagForm::Mapped),
    tagged("IFA_TTLBINARY", "b", 1, "", TagForm::Mapped),
    tagged("IFA_TTLLBINARY", "b", 2, "", TagForm::Mapped),
    tagged("IFA_TTLLLBINARY", "b", 3, "", TagForm::Mapped),
    tagged("IFA_TTLLLLBINARY", "b", 4, "", TagForm::Mapped),
    tagged("IFA_TTTLLLCHAR", "any", 3, "", TagForm::Mapped),
    tagged("IFTA_LLCHAR", "any", 2, "", TagForm::Token),
    tagged("IFTA_LLNUM", "any", 2, "", TagForm::Token),
    tagged("IFTA_LLBINARY", "b", 2, "", TagForm::Token),
    tagged("IFTA_LLLCHAR", "any", 3, "", TagForm::Token),
    tagged("IFTA_LLLNUM", "any", 3, "", TagForm::Token),
    tagged("IFTA_LLLBINARY", "b", 3, "", TagForm::Token),
    tagged("IFTB_LLBINARY", "b", 2, D_LENGTH, TagForm::TokenHex),
    plain("IF_FCHAR", "any", 1, "length = \"rest\", "),
    plain("IF_FBINARY", "b", 1, "length = \"rest\", "),
    tagged("IF_FSTCHAR", "any", 1, "", TagForm::EndsAt("\\")),
    tagged("IF_FSTBINARY", "b", 1, "", TagForm::EndsAtHex("FF")),
    tagged("IF_TCHAR", "any", 1, "", TagForm::EndsAt("^")),
];
