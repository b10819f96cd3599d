//! What operators and time do about holders: asked, and what the journal keeps of it.

use serde::{Deserialize, Serialize};

use crate::domain::account::{AccountId, Kyc, ProgrammeName};
use crate::domain::card::{CardId, ExpiryMonth};
use crate::domain::holder::{Applicant, HolderId};

use super::event::AccountOpened;

/// What is asked for about holders.
#[derive(Clone, Debug)]
pub enum HolderOrder {
    /// Register a holder of a programme; the record's number becomes the holder's (rule A1).
    Register {
        /// Of which programme.
        programme: ProgrammeName,
        /// What the person says.
        applicant: Applicant,
        /// How well it is known.
        kyc: Kyc,
    },
    /// Somebody has been verified, or is not any more; the account follows its holder.
    ChangeKyc(Whose, Kyc),
    /// Let cards go on whose last month is over, where the programme says so (rule A3).
    RenewCards {
        /// Greatest number of cards looked at by one order.
        cards_max: usize,
    },
}

/// Whose standing changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Whose {
    /// That of a holder, and of its account.
    Holder(HolderId),
    /// That of an account, and of its holder where it has one.
    Account(AccountId),
}

/// What was done about holders. Variants are only ever added at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HolderOperation {
    /// A holder was registered under the number of this record.
    Registered {
        /// Of which programme.
        programme: ProgrammeName,
        /// What the person said.
        applicant: Applicant,
        /// How well it is known.
        kyc: Kyc,
    },
    /// An account was opened for a holder.
    AccountOpened {
        /// Whose.
        holder: HolderId,
        /// What the person said, when it became a holder by this.
        applicant: Option<Applicant>,
        /// The account with its card.
        opened: AccountOpened,
    },
    /// Somebody is known otherwise.
    KycChanged(Whose, Kyc),
    /// The last month of cards was over: until when they go on, or that they do not.
    CardsEnded(Vec<(CardId, Option<ExpiryMonth>)>),
}
