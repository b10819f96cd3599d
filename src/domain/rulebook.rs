//! Everything a switch decides by: its programmes, and the response codes of its dialects.

use super::account::ProgrammeName;
use super::decision::ResponseCodes;
use super::guessing::GuessingRule;
use super::pan::Pan;
use super::programme::{BinRange, Programme};

/// All programmes and response codes under which a switch decides.
#[derive(Clone, Debug)]
pub struct Rulebook {
    /// Programmes; no two share a BIN.
    pub programmes: Vec<Programme>,
    /// Response codes per dialect, in the order in which facts number them.
    pub codes: Vec<ResponseCodes>,
}

impl Rulebook {
    /// The programme with this name.
    pub fn programme(&self, name: &ProgrammeName) -> Option<&Programme> {
        self.programmes
            .iter()
            .find(|programme| programme.name == *name)
    }

    /// What is done about guessed numbers: an unknown one belongs to no programme, so the first
    /// programme that says anything speaks for all.
    pub fn guessing(&self) -> Option<&GuessingRule> {
        let mut said = self.programmes.iter();
        said.find_map(|programme| programme.guessing.as_ref())
    }

    /// The programme and range a card number falls into: the longest matching prefix.
    pub fn range_of(&self, pan: &Pan) -> Option<(&Programme, &BinRange)> {
        self.programmes
            .iter()
            .flat_map(|programme| programme.bins.iter().map(move |bin| (programme, bin)))
            .filter(|(_, bin)| pan.expose().starts_with(bin.prefix.as_str()))
            .max_by_key(|(_, bin)| bin.prefix.len())
    }
}
