//! Proves what a programme says about loads.

use crate::domain::programme::{LoadRule, LoadTerms, PurseSpec};

use super::reader::Reader;
use super::rows::{LoadChannelRow, LoadRow};

impl Reader {
    pub(super) fn load(&mut self, row: LoadRow, purses: &[PurseSpec]) -> LoadRule {
        self.amount("load.multiple_of", row.multiple_of);
        self.amount("load.minimum", row.minimum);
        let purse = row
            .purse
            .and_then(|id| self.purse("load.purse", &id, purses));
        let mut channels: Vec<LoadTerms> = Vec::new();
        for (n, row) in row.channel.iter().enumerate() {
            let key = format!("load.channel[{n}]");
            if channels.iter().any(|terms| terms.channel == row.channel) {
                self.mistake(format!("{key}.channel: it has terms already"));
            }
            channels.push(self.load_terms(&key, row, purses));
        }
        LoadRule {
            purse,
            multiple_of: row.multiple_of.max(1),
            minimum: row.minimum,
            channels,
        }
    }

    fn load_terms(&mut self, key: &str, row: &LoadChannelRow, purses: &[PurseSpec]) -> LoadTerms {
        self.amount(&format!("{key}.multiple_of"), row.multiple_of);
        self.amount(&format!("{key}.minimum"), row.minimum);
        let digits = |text: &String| text.bytes().all(|byte| byte.is_ascii_digit());
        if !row.issuers.iter().all(digits) {
            self.mistake(format!("{key}.issuers: expected digits only"));
        }
        let purse = row.purse.as_ref();
        LoadTerms {
            channel: row.channel,
            purse: purse.and_then(|id| self.purse(&format!("{key}.purse"), id, purses)),
            multiple_of: row.multiple_of.max(1),
            minimum: row.minimum,
            partners: self.names(&format!("{key}.partners"), &row.partners),
            issuers: self.names(&format!("{key}.issuers"), &row.issuers),
            authenticated: row.authenticated,
            cancellable: row.cancellable,
        }
    }
}
