//! One message at its card, account and programme: what the rules look at.

use crate::domain::account::{Account, PurseIndex};
use crate::domain::block::Scene;
use crate::domain::card::Card;
use crate::domain::decision::Reason;
use crate::domain::facts::{Facts, MessageKind, Presence, Purpose};
use crate::domain::money::Amount;
use crate::domain::programme::{Channel, LoadTerms, Programme};
use crate::domain::rare_facts::LoadChannel;
use crate::domain::time::{BusinessDate, UnixMs};

use super::entry::Entry;
use super::exchange::Converted;
use super::state::{AccountRecord, State};

/// What a message would do to the account, which decides which rules look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Take money.
    Spend,
    /// Ask whether the card is good.
    Verify,
    /// Ask what is on the card.
    Enquire,
    /// Give money back.
    Refund,
    /// Put money on.
    Load,
    /// Set another PIN.
    ChangePin,
}

/// A rule's refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// What the rule saw, in words, without card data.
    pub evidence: Option<String>,
}

impl Refusal {
    /// A refusal whose reason says everything.
    pub fn plain(reason: Reason) -> Refusal {
        Refusal {
            reason,
            evidence: None,
        }
    }

    /// A refusal with what the rule saw.
    pub fn because(reason: Reason, evidence: String) -> Refusal {
        Refusal {
            reason,
            evidence: Some(evidence),
        }
    }
}

/// One message at its card, account and programme.
pub struct Case<'a> {
    /// Everything the engine knows.
    pub state: &'a State,
    /// What the message says.
    pub facts: &'a Facts,
    /// The card.
    pub card: &'a Card,
    /// Its account with usage.
    pub record: &'a AccountRecord,
    /// The programme.
    pub programme: &'a Programme,
    /// What the message would do.
    pub intent: Intent,
    /// Amount that concerns the cardholder.
    pub amount: Amount,
    /// That this is in another currency than the message asks for.
    pub converted: Option<Converted>,
    /// What the message asks for, in the minor units of its own currency.
    pub asked_minor: i64,
    /// Sequence of the record to be made.
    pub sequence: u64,
    /// When.
    pub at: UnixMs,
    /// The programme's day.
    pub date: BusinessDate,
    /// Of a refund: its purchase, when it can be told.
    pub refund_of: Option<&'a Entry>,
}

impl Case<'_> {
    /// The account.
    pub fn account(&self) -> &Account {
        &self.record.account
    }

    /// The purses that spending may use, first first (rules A11, A27).
    pub fn spend_order(&self) -> &[PurseIndex] {
        match &self.programme.cash {
            Some(cash) if self.facts.purpose == Purpose::CashWithdrawal => &cash.purses,
            Some(_) | None => &self.programme.spend_order,
        }
    }

    /// How a load is paid in, where the message says.
    pub fn load_channel(&self) -> Option<LoadChannel> {
        self.facts.rare.as_ref().and_then(|rare| rare.load_channel)
    }

    /// The terms of the way in which this is loaded, where the programme has any.
    pub fn load_terms(&self) -> Option<&LoadTerms> {
        let rule = self.programme.load.as_ref()?;
        rule.terms(self.load_channel()?)
    }

    /// The purse that the programme names for this load; `None`: that of its currency.
    pub fn load_purse(&self) -> Option<PurseIndex> {
        let own = self.load_terms().and_then(|terms| terms.purse);
        own.or(self.programme.load.as_ref().and_then(|rule| rule.purse))
    }

    /// The message where and when it happens.
    pub fn scene(&self) -> Scene<'_> {
        Scene {
            facts: self.facts,
            home: self.programme.home,
            calendar: &self.programme.calendar,
            at: self.at,
        }
    }

    /// Which limits count this.
    pub fn channel(&self) -> Option<Channel> {
        match self.intent {
            Intent::Spend if self.facts.purpose == Purpose::CashWithdrawal => {
                Some(Channel::CashWithdrawal)
            }
            Intent::Spend if self.facts.presence == Presence::Absent => Some(Channel::ECommerce),
            Intent::Spend => Some(Channel::Purchase),
            Intent::Load => Some(match self.load_channel() {
                None => Channel::Load,
                Some(LoadChannel::Atm) => Channel::LoadAtm,
                Some(LoadChannel::Bank) => Channel::LoadBank,
                Some(LoadChannel::CreditCard) => Channel::LoadCreditCard,
                Some(LoadChannel::ShopTill) => Channel::LoadShopTill,
            }),
            Intent::Verify | Intent::Enquire | Intent::Refund | Intent::ChangePin => None,
        }
    }
}

/// What a message would do.
pub fn intent_of(facts: &Facts) -> Intent {
    match facts.purpose {
        Purpose::BalanceEnquiry => Intent::Enquire,
        Purpose::PinChange => Intent::ChangePin,
        Purpose::Refund | Purpose::OriginalCredit => Intent::Refund,
        Purpose::Load | Purpose::Activation => Intent::Load,
        Purpose::Purchase if facts.is_account_verification() => Intent::Verify,
        Purpose::Purchase
        | Purpose::CashWithdrawal
        | Purpose::AccountFunding
        | Purpose::QuasiCash
        | Purpose::Unnamed => Intent::Spend,
    }
}

/// Whether a message posts at once when approved.
pub fn posts_at_once(kind: MessageKind) -> bool {
    matches!(kind, MessageKind::Financial | MessageKind::FinancialAdvice)
}
