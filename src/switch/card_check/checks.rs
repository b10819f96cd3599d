//! Which keys a card's own proofs are judged with, and what becomes of the proofs.

use std::sync::Arc;

use arrayvec::ArrayVec;

use super::chip_record::{self, ChipRecord, ChipRecordError};
use crate::crypto::emv::CryptogramVersion;
use crate::crypto::hsm::{Chip, ChipAnswer, Hsm, HsmError, MakeArpc, Verdict, VerifyArqc};
use crate::domain::chip::{ChipUse, ChipVerdict};
use crate::domain::pan::Pan;
use crate::switch::config_card_check::CardCheck;

/// Chip data of an answer (DE 55).
pub type IssuerAnswer = ArrayVec<u8, 18>;

/// Judges what cards say of themselves.
pub struct CardChecks {
    hsm: Arc<dyn Hsm>,
    rows: Vec<CardCheck>,
}

/// A chip's data, as far as they were looked at without a key.
enum Looked<'a> {
    /// They can be judged.
    Record(Judged<'a>),
    /// There is nothing to judge.
    Known(ChipUse),
}

/// A cryptogram at its key.
struct Judged<'a> {
    record: ChipRecord<'a>,
    version: CryptogramVersion,
    data: Vec<u8>,
    key: &'a str,
    sequence_number: u8,
}

impl CardChecks {
    /// Checks by these rows, of which that of the longest leading digits counts.
    ///
    /// # Errors
    /// Every key that is not there or is for something else.
    pub fn new(hsm: Arc<dyn Hsm>, mut rows: Vec<CardCheck>) -> Result<CardChecks, Vec<String>> {
        let keys = hsm.keys();
        let mut mistakes = Vec::new();
        let named = rows
            .iter()
            .flat_map(|row| [(&row.chip_key, "E0"), (&row.value_key, "C0")]);
        for (name, expected) in named.filter_map(|(name, usage)| Some((name.as_ref()?, usage))) {
            match keys.iter().find(|key| key.name == *name) {
                None => mistakes.push(format!("card_check: there is no key {name}")),
                Some(key) if key.usage != expected => {
                    let got = &key.usage;
                    mistakes.push(format!(
                        "card_check: key {name}: expected usage {expected}, got {got}"
                    ));
                }
                Some(_) => {}
            }
        }
        // One leading text for each row, the longest first.
        rows = rows.into_iter().flat_map(CardCheck::by_bin).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.bins.first().map_or(0, String::len)));
        match mistakes.is_empty() {
            true => Ok(CardChecks { hsm, rows }),
            false => Err(mistakes),
        }
    }

    pub(super) fn hsm(&self) -> &dyn Hsm {
        &*self.hsm
    }

    /// Who keeps the keys, for people.
    pub fn keeper(&self) -> String {
        self.hsm.name()
    }

    /// What is checked of a card; `None`: nothing.
    pub fn of(&self, pan: &Pan) -> Option<&CardCheck> {
        let fits = |bin: &String| pan.expose().starts_with(bin.as_str());
        self.rows.iter().find(|row| row.bins.iter().any(fits))
    }

    /// The chip in a message, before anybody with a key is asked. `Unavailable` is what has still
    /// to be judged.
    pub fn unjudged_chip(&self, pan: &Pan, stated: Option<u8>, data: &[u8]) -> Option<ChipUse> {
        let key = self.of(pan)?.chip_key.as_deref()?;
        match look(key, stated, data)? {
            Looked::Known(known) => Some(known),
            Looked::Record(judged) => Some(judged.with(ChipVerdict::Unavailable)),
        }
    }

    /// The chip in a message. `stated` is the sequence number that stands beside its data; `None`
    /// when its cryptogram is not checked, or there is none.
    pub fn chip(&self, pan: &Pan, stated: Option<u8>, data: &[u8]) -> Option<ChipUse> {
        let key = self.of(pan)?.chip_key.as_deref()?;
        let judged = match look(key, stated, data)? {
            Looked::Known(known) => return Some(known),
            Looked::Record(judged) => judged,
        };
        let verdict = self.hsm.verify_arqc(&VerifyArqc {
            chip: judged.chip(pan),
            unpredictable: judged.record.unpredictable,
            data: &judged.data,
            request: judged.record.cryptogram,
        });
        Some(judged.with(match verdict {
            Ok(Verdict::Right) => ChipVerdict::Right,
            Ok(Verdict::Wrong) => ChipVerdict::Wrong,
            Err(error) => unjudged(&error),
        }))
    }

    /// What the issuer answers a chip whose cryptogram was right; `None` when it cannot be made:
    /// then the card decides by itself.
    pub fn answer(
        &self,
        pan: &Pan,
        (stated, data): (Option<u8>, &[u8]),
        (code, is_approved): ([u8; 2], bool),
    ) -> Option<IssuerAnswer> {
        let check = self.of(pan)?;
        let Looked::Record(judged) = look(check.chip_key.as_deref()?, stated, data)? else {
            return None;
        };
        let status = match is_approved {
            true => check.status_approved,
            false => check.status_declined,
        };
        let answer = match judged.version {
            CryptogramVersion::V10 => ChipAnswer::Code(code),
            CryptogramVersion::V18 => ChipAnswer::Status(status, &[]),
        };
        let made = self.hsm.make_arpc(&MakeArpc {
            chip: judged.chip(pan),
            unpredictable: judged.record.unpredictable,
            request: judged.record.cryptogram,
            answer,
        });
        match (made, answer) {
            (Ok(made), ChipAnswer::Code(code)) => Some(chip_record::answer(&made, &code)),
            (Ok(made), ChipAnswer::Status(status, _)) => Some(chip_record::answer(&made, &status)),
            (Err(error), _) => {
                tracing::warn!(%error, "a chip is answered without the issuer's cryptogram");
                None
            }
        }
    }
}

impl Judged<'_> {
    fn chip<'a>(&'a self, pan: &'a Pan) -> Chip<'a> {
        Chip {
            key: self.key,
            pan: pan.expose(),
            sequence_number: self.sequence_number,
            counter: self.record.counter,
            version: self.version,
        }
    }

    fn with(&self, verdict: ChipVerdict) -> ChipUse {
        ChipUse {
            verdict,
            sequence_number: self.sequence_number,
            counter: self.record.counter,
        }
    }
}

/// What of chip data can be known without a key; `None` when they have no cryptogram.
fn look<'a>(key: &'a str, stated: Option<u8>, data: &'a [u8]) -> Option<Looked<'a>> {
    let record = match ChipRecord::parse(data) {
        Ok(record) => record,
        Err(ChipRecordError::NoCryptogram) => return None,
        Err(error) => {
            tracing::debug!(%error, "chip data are malformed");
            return Some(Looked::Known(ChipUse::unread(ChipVerdict::Malformed)));
        }
    };
    let sequence_number = stated.or(record.sequence_number).unwrap_or(0);
    let counter = record.counter;
    let known = |verdict| {
        Some(Looked::Known(ChipUse {
            verdict,
            sequence_number,
            counter,
        }))
    };
    let Some(version) = record.version() else {
        return known(ChipVerdict::CannotBeChecked);
    };
    match record.signed(version) {
        None => known(ChipVerdict::Malformed),
        Some(data) => Some(Looked::Record(Judged {
            record,
            version,
            data,
            key,
            sequence_number,
        })),
    }
}

fn unjudged(error: &HsmError) -> ChipVerdict {
    if error.is_outage() {
        tracing::debug!(%error, "a cryptogram was not judged");
        return ChipVerdict::Unavailable;
    }
    tracing::warn!(%error, "a cryptogram cannot be judged");
    ChipVerdict::CannotBeChecked
}
