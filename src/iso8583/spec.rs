//! Specifications: a TOML file of data elements, checked as a whole and compiled to a flat table.
//!
//! Every mistake of a file is reported in one go, with its line; a specification that exists has
//! none.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use super::bitmap::{BitmapForm, Bitmaps};
use super::element::{ElementProgram, ElementSpec};
use super::plan::Plans;
use super::rules::MessageRule;
use super::spec_file;

/// The wire form of one dialect: every element it knows, by number.
#[derive(Debug, Clone)]
pub struct MessageSpec {
    name: String,
    layout: Layout,
    plans: Plans,
    elements: Vec<ElementSpec>,
    rules: Vec<MessageRule>,
    fingerprint: u64,
}

/// A specification as the decoder and the writer run it.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) header: Header,
    /// Indexed by element number; 0 and 1 are never used.
    programs: [Option<ElementProgram>; 193],
}

/// What stands before the elements.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) struct Header {
    /// The first digit of every message type, when it is only one.
    pub(super) version: Option<u8>,
    pub(super) mti: MtiForm,
    pub(super) bitmap: BitmapForm,
    pub(super) bitmaps: Bitmaps,
}

/// How the message type is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum MtiForm {
    /// Four characters.
    Ascii,
    /// Four characters of EBCDIC.
    Ebcdic,
    /// Four digits in two bytes.
    Bcd,
}

/// Every mistake of a specification file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecErrors(Vec<SpecError>);

/// One mistake of a specification file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {mistake}")]
pub struct SpecError {
    /// Line of the file, from 1.
    pub line: usize,
    /// What is wrong, and where in the file's own words.
    pub mistake: String,
}

impl MessageSpec {
    /// Reads and checks a specification file.
    ///
    /// # Errors
    ///
    /// Every mistake of the file, in the order of its lines.
    pub fn parse(text: &str) -> Result<Self, SpecErrors> {
        spec_file::read(text).map_err(SpecErrors)
    }

    /// A specification that comes with the program, such as `iso87-ascii`.
    #[must_use]
    pub fn builtin(name: &str) -> Option<&'static Self> {
        BUILTIN.iter().find(|spec| spec.name == name)
    }

    /// The specifications that come with the program.
    #[must_use]
    pub fn builtins() -> &'static [Self] {
        &BUILTIN
    }

    /// The name that the file gives.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// First digit of its message types, where it has only one: 0 for 1987, 1 for 1993.
    #[must_use]
    pub fn version(&self) -> Option<u8> {
        self.layout.header.version
    }

    /// The element with this number.
    #[must_use]
    pub fn element(&self, number: u8) -> Option<&ElementSpec> {
        let found = self
            .elements
            .binary_search_by_key(&number, |element| element.number);
        self.elements.get(found.ok()?)
    }

    /// Every element, ascending.
    #[must_use]
    pub fn elements(&self) -> &[ElementSpec] {
        &self.elements
    }

    /// What is said of message types, ascending.
    #[must_use]
    pub fn rules(&self) -> &[MessageRule] {
        &self.rules
    }

    /// A specification of these elements, which the caller has checked, ascending.
    pub(super) fn compile(
        name: String,
        header: Header,
        elements: Vec<ElementSpec>,
        rules: Vec<MessageRule>,
    ) -> Self {
        let mut programs = [None; 193];
        for element in &elements {
            if let Some(place) = programs.get_mut(usize::from(element.number)) {
                *place = Some(element.program);
            }
        }
        let mut hasher = DefaultHasher::new();
        (header, programs).hash(&mut hasher);
        let layout = Layout { header, programs };
        Self {
            name,
            layout,
            plans: Plans::default(),
            elements,
            rules,
            fingerprint: hasher.finish(),
        }
    }

    pub(super) const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The sets of elements that were seen.
    pub(super) const fn plans(&self) -> &Plans {
        &self.plans
    }

    /// Equal for specifications with the same wire form, whatever their names and masks.
    pub(super) const fn fingerprint(&self) -> u64 {
        self.fingerprint
    }
}

impl Layout {
    #[inline]
    pub(super) fn program(&self, element: u8) -> Option<&ElementProgram> {
        self.programs.get(usize::from(element))?.as_ref()
    }
}

impl SpecErrors {
    /// The mistakes, in the order of their lines.
    #[must_use]
    pub fn list(&self) -> &[SpecError] {
        &self.0
    }
}

impl std::error::Error for SpecErrors {}

impl fmt::Display for SpecErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(formatter, "{separator}{error}")?;
        }
        Ok(())
    }
}

/// The text of a specification that comes with the program.
pub(super) fn builtin_text(name: &str) -> Option<&'static str> {
    let found = BUILTIN_TEXTS.iter().find(|(own, _)| *own == name);
    found.map(|(_, text)| *text)
}

/// A test proves that no file has a mistake, so that none is missing here.
static BUILTIN: LazyLock<Vec<MessageSpec>> = LazyLock::new(|| {
    let texts = BUILTIN_TEXTS.iter();
    texts
        .filter_map(|(_, text)| MessageSpec::parse(text).ok())
        .collect()
});

const BUILTIN_TEXTS: [(&str, &str); 9] = [
    (
        "iso87-ascii",
        include_str!("../../spec/iso8583/iso87-ascii.toml"),
    ),
    (
        "iso87-binary",
        include_str!("../../spec/iso8583/iso87-binary.toml"),
    ),
    (
        "iso87-ebcdic",
        include_str!("../../spec/iso8583/iso87-ebcdic.toml"),
    ),
    (
        "iso93-ascii",
        include_str!("../../spec/iso8583/iso93-ascii.toml"),
    ),
    (
        "iso93-binary",
        include_str!("../../spec/iso8583/iso93-binary.toml"),
    ),
    (
        "iso93-ebcdic",
        include_str!("../../spec/iso8583/iso93-ebcdic.toml"),
    ),
    (
        "iso03-ascii",
        include_str!("../../spec/iso8583/iso03-ascii.toml"),
    ),
    (
        "iso03-binary",
        include_str!("../../spec/iso8583/iso03-binary.toml"),
    ),
    (
        "iso03-ebcdic",
        include_str!("../../spec/iso8583/iso03-ebcdic.toml"),
    ),
];
