//! What a record of the journal did, told to those outside: decisions, postings, operations.
//!
//! Owns the shape of `spec/activity.schema.json`. Nothing here can hold a card number: records have
//! none. Which account and masked number a card has, the caller fills in from the state.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::domain::account::{AccountId, PurseIndex, Split};
use crate::domain::card::CardId;
use crate::domain::facts::Purpose;
use crate::domain::money::Currency;
use crate::domain::time::UnixMs;
use crate::engine::event::{AccountOpened, Decided, Effect, Event, Exchanged};
use crate::engine::ledger::{LedgerAccount, Posting, Postings};
use crate::engine::operation::Operation;
use crate::engine::operation_card::CardOperation;
use crate::engine::operation_end::EndOperation;
use crate::engine::operation_holder::{HolderOperation, Whose};
use crate::engine::operation_money::MoneyOperation;
use crate::switch::decision_line::DecisionWord;

/// What kind of record it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActivityKind {
    /// A message was decided or recorded.
    Decision,
    /// An account was opened with its first card.
    AccountOpened,
    /// An operator, or the switch by itself, did something.
    Operation,
    /// Holds expired and old rows were forgotten.
    Housekeeping,
    /// A link got its number, or its business day ended or was compared.
    Link,
    /// A PIN was set or unlocked.
    Pin,
}

/// An answer of `/v1/activity`.
#[derive(Debug, Serialize, Deserialize)]
pub struct ActivityPage {
    /// Records, in order.
    pub activity: Vec<Activity>,
    /// The cursor to go on with.
    pub next: u64,
    /// Records of the journal behind it.
    pub behind: u64,
}

/// One record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Activity {
    /// Its place in the journal; the cursor to go on with.
    pub sequence: u64,
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// The same, milliseconds since 1970.
    #[serde(skip)]
    pub at_ms: i64,
    /// What kind of record.
    #[serde(rename = "type")]
    pub kind: ActivityKind,
    /// What was done, where it was no message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<Cow<'static, str>>,
    /// About which card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card: Option<u32>,
    /// About which account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<u32>,
    /// The card's number, masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// The transaction that it belongs to: the record that opened its entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction: Option<u64>,
    /// The message, of a decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageTold>,
    /// What was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionTold>,
    /// What is held from now on, or no longer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<HoldTold>,
    /// The double entry; sums to zero in each currency.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub postings: Vec<PostingTold>,
}

/// What a message said.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MessageTold {
    /// Message type.
    pub mti: String,
    /// DE 11.
    pub stan: String,
    /// DE 37.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rrn: Option<String>,
    /// What it asked for.
    pub purpose: Cow<'static, str>,
    /// Amount, minor units.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// DE 18.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcc: Option<String>,
    /// DE 42.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acceptor: Option<String>,
    /// DE 43, or DE 42 without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merchant: Option<String>,
    /// DE 41.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminal: Option<String>,
}

/// What was decided.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DecisionTold {
    /// approved, declined, or accepted (advices and reversals).
    pub outcome: Cow<'static, str>,
    /// Why.
    pub reason: Cow<'static, str>,
    /// DE 39.
    pub code: String,
    /// DE 38.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
    /// What made the reason true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
}

/// What is held of one purse from now on (above zero) or no longer (below).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldTold {
    /// Place of the purse in its programme.
    pub purse: u32,
    /// Minor units of the purse.
    pub minor: i64,
}

/// One side of a movement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostingTold {
    /// `purse`, or which account of the programme.
    pub ledger: Cow<'static, str>,
    /// Whose purse; of a closing, on both sides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<u32>,
    /// Which of its purses; of a closing, on both sides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purse: Option<u32>,
    /// ISO 4217; of the postings that close an account the caller fills it in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Minor units, above zero in.
    pub minor: i64,
}

/// What a record did.
pub fn activity(sequence: u64, at: UnixMs, event: &Event) -> Activity {
    let mut told = Activity {
        sequence,
        at: at.to_string(),
        at_ms: at.0,
        kind: ActivityKind::Operation,
        operation: None,
        card: None,
        account: None,
        number: None,
        transaction: None,
        message: None,
        decision: None,
        holds: Vec::new(),
        postings: Vec::new(),
    };
    match event {
        Event::Decided(decided) => told.decided(decided),
        Event::AccountOpened(opened) => {
            told.kind = ActivityKind::AccountOpened;
            told.opened(opened);
        }
        Event::Housekept(_) => told.of(ActivityKind::Housekeeping, "housekept"),
        Event::LinkNamed(..) => told.of(ActivityKind::Link, "link-named"),
        Event::CutOver(..) => told.of(ActivityKind::Link, "cut-over"),
        Event::Reconciled(_) => told.of(ActivityKind::Link, "reconciled"),
        Event::PinSet(card, _) => told.pin("pin-set", *card),
        Event::PinUnlocked(card) => told.pin("pin-unlocked", *card),
        Event::Operated(operation) => told.operated(operation),
    }
    told
}

impl Activity {
    fn of(&mut self, kind: ActivityKind, operation: &'static str) {
        self.kind = kind;
        self.operation = Some(operation.into());
    }

    fn pin(&mut self, operation: &'static str, card: CardId) {
        self.of(ActivityKind::Pin, operation);
        self.card = Some(card.0);
    }

    fn decided(&mut self, decided: &Decided) {
        let facts = &decided.facts;
        let word = DecisionWord::of(facts.kind, decided.reason);
        self.kind = ActivityKind::Decision;
        self.card = decided.card.map(|card| card.0);
        let acceptor = named(facts.acceptor.as_str());
        self.message = Some(MessageTold {
            mti: format!("{:04}", facts.mti),
            stan: format!("{:06}", facts.trace.stan),
            rrn: named(facts.rrn.as_str()),
            purpose: purpose(facts.purpose).into(),
            amount_minor: facts.amount.minor,
            currency: letters(facts.amount.currency),
            mcc: facts.mcc.map(|mcc| format!("{:04}", mcc.0)),
            merchant: named(facts.acceptor_name.as_str()).or_else(|| acceptor.clone()),
            acceptor,
            terminal: named(facts.terminal.as_str()),
        });
        self.decision = Some(DecisionTold {
            outcome: word.as_str().into(),
            reason: decided.reason.name().into(),
            code: decided.code.to_string(),
            approval: decided
                .approval
                .as_ref()
                .map(|code| code.as_str().to_owned()),
            evidence: decided.evidence.clone(),
        });
        for effect in &decided.effects {
            self.effect(effect);
        }
    }

    fn effect(&mut self, effect: &Effect) {
        let entry = match effect {
            Effect::EntryOpened { held, .. } => {
                self.held(held, 1);
                Some(self.sequence)
            }
            Effect::HoldRaised { entry, split } => {
                self.held(split, 1);
                Some(entry.0)
            }
            Effect::HoldLowered { entry, split } => {
                self.held(split, -1);
                Some(entry.0)
            }
            Effect::Posted {
                entry,
                currency,
                postings,
            }
            | Effect::FeePosted {
                entry,
                currency,
                postings,
            } => {
                self.posted(*currency, postings);
                Some(entry.0)
            }
            Effect::Offset {
                account,
                currency,
                postings,
            } => {
                self.account = Some(account.0);
                self.posted(*currency, postings);
                None
            }
            Effect::ExchangeHeld(change) => {
                self.held_legs(change, 1);
                Some(change.entry.0)
            }
            Effect::ExchangeLowered(change) => {
                self.held_legs(change, -1);
                Some(change.entry.0)
            }
            Effect::ExchangePosted(change) => {
                for (currency, postings) in &change.movements {
                    self.posted(*currency, postings);
                }
                Some(change.entry.0)
            }
            Effect::EntryMoved { entry, .. } | Effect::Counted { entry, .. } => Some(entry.0),
            Effect::ExceptionRaised { entry, .. } => entry.map(|entry| entry.0),
            Effect::TombstoneSet { .. }
            | Effect::PartTombstoneSet { .. }
            | Effect::PinTried { .. }
            | Effect::ChipCounted(_)
            | Effect::CardActivation { .. }
            | Effect::PinChanged { .. } => None,
        };
        self.transaction = self.transaction.or(entry);
    }

    fn held(&mut self, split: &Split, sign: i64) {
        for (purse, minor) in split.parts() {
            self.hold(purse, minor.saturating_mul(sign));
        }
    }

    fn held_legs(&mut self, change: &Exchanged, sign: i64) {
        for leg in &change.legs {
            self.hold(leg.purse, leg.cost().saturating_mul(sign));
        }
    }

    fn hold(&mut self, purse: PurseIndex, minor: i64) {
        self.holds.push(HoldTold {
            purse: place(purse),
            minor,
        });
    }

    fn posted(&mut self, currency: Currency, postings: &[Posting]) {
        self.post(Some(currency), postings);
    }

    fn post(&mut self, currency: Option<Currency>, postings: &[Posting]) {
        for posting in postings {
            let (ledger, purse) = ledger(posting.account);
            if let Some((account, _)) = purse {
                self.account.get_or_insert(account.0);
            }
            self.postings.push(PostingTold {
                ledger: ledger.into(),
                account: purse.map(|purse| purse.0.0),
                purse: purse.map(|purse| place(purse.1)),
                currency: currency.map(letters),
                minor: posting.minor,
            });
        }
    }

    fn opened(&mut self, opened: &AccountOpened) {
        self.operation = Some("account-opened".into());
        self.account = Some(opened.account.0);
        self.card = Some(opened.card.card.0);
        for (purse, minor) in &opened.opening {
            let currency = opened.purses.get(purse.position()).copied();
            if let Some(currency) = currency {
                let side = |account, minor| Posting { account, minor };
                let own = LedgerAccount::Purse(opened.account, *purse);
                let from = LedgerAccount::Issuance(0);
                self.posted(
                    currency,
                    &[side(from, minor.saturating_neg()), side(own, *minor)],
                );
            }
        }
    }

    fn operated(&mut self, operation: &Operation) {
        match operation {
            Operation::HoldReleased(entry) => {
                self.operation = Some("hold-released".into());
                self.transaction = Some(entry.0);
            }
            Operation::CardStatusChanged(card, _) => self.about("card-status-changed", *card),
            Operation::CardReplaced { card, .. } => self.about("card-replaced", *card),
            Operation::DeviceTokenAdded { card, .. } => self.about("device-token-added", *card),
            Operation::Transferred {
                from,
                currency,
                postings,
                ..
            } => self.moved("transferred", *from, &[(*currency, postings)]),
            Operation::AccountClosed { account, movements }
            | Operation::End(EndOperation::AccountClosed { account, movements }) => {
                self.ended("account-closed", *account);
                for (purse, postings) in movements {
                    // Both sides name the purse: the record does not say its currency.
                    let before = self.postings.len();
                    self.post(None, postings);
                    for told in self.postings.iter_mut().skip(before) {
                        (told.account, told.purse) = (Some(account.0), Some(place(*purse)));
                    }
                }
            }
            Operation::End(EndOperation::ClosingDated(account)) => {
                self.ended("closing-dated", *account);
            }
            Operation::End(EndOperation::CardDataErased(account)) => {
                self.ended("card-data-erased", *account);
            }
            Operation::ExceptionResolved { .. } => {
                self.operation = Some("exception-resolved".into())
            }
            Operation::ClearingClosed { .. } => self.operation = Some("clearing-closed".into()),
            Operation::RulesChanged(_) => self.operation = Some("programmes-changed".into()),
            Operation::Money(money) => self.money(money),
            Operation::Holder(holder) => self.holder(holder),
            Operation::Card(CardOperation::Enrolled(card)) => self.about("card-enrolled", *card),
            Operation::Card(CardOperation::PinChanged(card, _)) => {
                self.about("pin-changed", *card);
            }
            Operation::Card(CardOperation::PinTried { card, .. }) => self.about("pin-tried", *card),
            Operation::Card(CardOperation::LimitsSet(card, _)) => {
                self.about("card-limits-set", *card);
            }
            Operation::Card(CardOperation::ControlsSet(card, _)) => {
                self.about("card-controls-set", *card);
            }
        }
    }

    fn money(&mut self, money: &MoneyOperation) {
        match money {
            MoneyOperation::RatesSet(_) => self.operation = Some("rates-set".into()),
            MoneyOperation::Charged {
                charge, movements, ..
            } => {
                let rows: Vec<_> = movements.iter().map(|row| (row.0, &row.1)).collect();
                self.moved("charged", charge.account, &rows);
            }
            MoneyOperation::Transferred {
                transfer,
                currency,
                postings,
                ..
            } => self.moved("transferred", transfer.from, &[(*currency, postings)]),
            MoneyOperation::PaperOrdered {
                order,
                currency,
                postings,
                ..
            } => self.moved("paper-ordered", order.account, &[(*currency, postings)]),
        }
    }

    fn holder(&mut self, holder: &HolderOperation) {
        match holder {
            HolderOperation::Registered { .. } => self.operation = Some("holder-registered".into()),
            HolderOperation::AccountOpened { opened, .. } => {
                self.kind = ActivityKind::AccountOpened;
                self.opened(opened);
            }
            HolderOperation::KycChanged(whose, _) => {
                self.operation = Some("kyc-changed".into());
                if let Whose::Account(account) = whose {
                    self.account = Some(account.0);
                }
            }
            HolderOperation::CardsEnded(_) => self.operation = Some("cards-ended".into()),
        }
    }

    fn ended(&mut self, operation: &'static str, account: AccountId) {
        self.operation = Some(operation.into());
        self.account = Some(account.0);
    }

    fn about(&mut self, operation: &'static str, card: CardId) {
        self.operation = Some(operation.into());
        self.card = Some(card.0);
    }

    fn moved(
        &mut self,
        operation: &'static str,
        account: AccountId,
        movements: &[(Currency, &Postings)],
    ) {
        self.operation = Some(operation.into());
        self.account = Some(account.0);
        for (currency, postings) in movements {
            self.posted(*currency, postings);
        }
    }
}

fn ledger(account: LedgerAccount) -> (&'static str, Option<(AccountId, PurseIndex)>) {
    match account {
        LedgerAccount::Purse(account, purse) => ("purse", Some((account, purse))),
        LedgerAccount::Settlement(_) => ("settlement", None),
        LedgerAccount::LoadFunds(_) => ("load-funds", None),
        LedgerAccount::Issuance(_) => ("issuance", None),
        LedgerAccount::Fees(_) => ("fees", None),
        LedgerAccount::Payouts(_) => ("payouts", None),
        LedgerAccount::Forfeited(_) => ("forfeited", None),
        LedgerAccount::Exchange(_) => ("exchange", None),
        LedgerAccount::ExchangeFees(_) => ("exchange-fees", None),
    }
}

fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Purchase => "purchase",
        Purpose::BalanceEnquiry => "balance-enquiry",
        Purpose::Refund => "refund",
        Purpose::Load => "load",
        Purpose::CashWithdrawal => "cash-withdrawal",
        Purpose::AccountFunding => "account-funding",
        Purpose::QuasiCash => "quasi-cash",
        Purpose::Unnamed => "unnamed",
        Purpose::OriginalCredit => "original-credit",
        Purpose::Activation => "activation",
        Purpose::PinChange => "pin-change",
    }
}

fn place(purse: PurseIndex) -> u32 {
    u32::try_from(purse.position()).unwrap_or(u32::MAX)
}

/// The letters of a currency, or its number where it has none.
pub fn letters(currency: Currency) -> String {
    let letters = currency.alpha().map(str::to_owned);
    letters.unwrap_or_else(|| currency.to_string())
}

fn named(text: &str) -> Option<String> {
    let text = text.trim_end();
    (!text.is_empty())
        .then(|| crate::domain::masking::masked(text).unwrap_or_else(|| text.to_owned()))
}
