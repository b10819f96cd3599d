//! What an operator did, told from the record of it: a word and what it was done to.

use serde_json::{Value, json};

use crate::domain::block::{Condition, CountryLetters};
use crate::domain::card_control::CardControl;
use crate::domain::card_limit::CardLimit;
use crate::engine::event::Event;
use crate::engine::operation::Operation;
use crate::engine::operation_card::CardOperation;
use crate::engine::operation_end::EndOperation;
use crate::engine::operation_holder::{HolderOperation, Whose};
use crate::engine::operation_money::MoneyOperation;

/// A deed: `did` says what, the other fields to what.
pub(super) fn deed(event: &Event) -> Value {
    match event {
        Event::Decided(decided) => json!({
            "did": "decided",
            "purpose": decided.facts.purpose,
            "reason": decided.reason.name(),
            "card": decided.card.map(|card| card.0),
            "minor": decided.facts.amount.minor,
        }),
        Event::AccountOpened(opened) => json!({
            "did": "account-opened",
            "account": opened.account.0,
            "card": opened.card.card.0,
        }),
        Event::Housekept(_) => json!({ "did": "time-passed" }),
        Event::LinkNamed(_, name) => json!({ "did": "link-named", "link": name }),
        Event::PinSet(card, _) => json!({ "did": "pin-set", "card": card.0 }),
        Event::PinUnlocked(card) => json!({ "did": "pin-unlocked", "card": card.0 }),
        Event::Operated(operation) => operated(operation),
        Event::CutOver(link, date, _) => json!({
            "did": "link-cut-over",
            "link": link.0,
            "date": date.to_string(),
        }),
        Event::Reconciled(_) => json!({ "did": "link-reconciled" }),
    }
}

fn operated(operation: &Operation) -> Value {
    match operation {
        Operation::HoldReleased(entry) => json!({ "did": "hold-released", "entry": entry.0 }),
        Operation::CardStatusChanged(card, status) => json!({
            "did": "card-status-changed",
            "card": card.0,
            "status": status,
        }),
        Operation::CardReplaced { card, status, with } => json!({
            "did": "card-replaced",
            "card": card.0,
            "status": status,
            "with": with.card.0,
        }),
        Operation::DeviceTokenAdded { card, .. } => json!({
            "did": "device-token-added",
            "card": card.0,
        }),
        Operation::Transferred {
            reference,
            from,
            to,
            ..
        } => json!({
            "did": "transferred",
            "reference": reference.as_str(),
            "account": from.0,
            "to": to.0,
        }),
        Operation::AccountClosed { account, .. } => json!({
            "did": "account-closed",
            "account": account.0,
        }),
        Operation::ExceptionResolved { sequence, note } => json!({
            "did": "exception-resolved",
            "exception": sequence,
            "note": note,
        }),
        Operation::Money(money) => moved(money),
        Operation::Holder(holder) => held(holder),
        Operation::ClearingClosed { batch, lines } => json!({
            "did": "clearing-closed",
            "reference": batch.as_str(),
            "lines": lines,
        }),
        Operation::Card(card) => carded(card),
        Operation::End(end) => ended(end),
        Operation::RulesChanged(files) => json!({
            "did": "programmes-changed",
            "programmes": files
                .iter()
                .map(|file| json!({ "name": file.name.as_str(), "version": file.version }))
                .collect::<Vec<_>>(),
        }),
    }
}

fn moved(operation: &MoneyOperation) -> Value {
    match operation {
        MoneyOperation::RatesSet(rows) => json!({ "did": "rates-set", "rates": rows.len() }),
        MoneyOperation::Charged {
            reference, charge, ..
        } => json!({
            "did": "charged",
            "reference": reference.as_str(),
            "account": charge.account.0,
            "minor": charge.minor,
        }),
        MoneyOperation::Transferred {
            reference,
            transfer,
            ..
        } => json!({
            "did": "transferred",
            "reference": reference.as_str(),
            "account": transfer.from.0,
            "to": transfer.to.0,
            "minor": transfer.minor,
        }),
        MoneyOperation::PaperOrdered {
            reference, order, ..
        } => json!({
            "did": "paper-ordered",
            "reference": reference.as_str(),
            "account": order.account.0,
            "paper": order.paper,
        }),
    }
}

fn held(operation: &HolderOperation) -> Value {
    match operation {
        HolderOperation::Registered { programme, kyc, .. } => json!({
            "did": "holder-registered",
            "programme": programme.as_str(),
            "kyc": kyc,
        }),
        HolderOperation::AccountOpened { holder, opened, .. } => json!({
            "did": "account-opened",
            "holder": holder.0,
            "account": opened.account.0,
            "card": opened.card.card.0,
        }),
        HolderOperation::KycChanged(Whose::Holder(holder), kyc) => json!({
            "did": "kyc-changed",
            "holder": holder.0,
            "kyc": kyc,
        }),
        HolderOperation::KycChanged(Whose::Account(account), kyc) => json!({
            "did": "kyc-changed",
            "account": account.0,
            "kyc": kyc,
        }),
        HolderOperation::CardsEnded(cards) => json!({ "did": "cards-ended", "cards": cards.len() }),
    }
}

fn ended(operation: &EndOperation) -> Value {
    let (did, account) = match operation {
        EndOperation::AccountClosed { account, .. } => ("account-closed", account),
        EndOperation::ClosingDated(account) => ("closing-dated", account),
        EndOperation::CardDataErased(account) => ("card-data-erased", account),
    };
    json!({ "did": did, "account": account.0 })
}

/// A limit of a card of its own.
pub(super) fn limited(limit: &CardLimit) -> Value {
    json!({
        "channel": limit.channel,
        "window": limit.window,
        "currency": limit.currency.to_string(),
        "amount_max": limit.amount_max,
        "count_max": limit.count_max,
    })
}

/// A control of a card of its own, in the words of programme files.
pub(super) fn controlled(control: &CardControl) -> Value {
    let mut told = json!({});
    for condition in &control.conditions {
        let (key, value) = stated(condition);
        told[key] = value;
    }
    told
}

fn stated(condition: &Condition) -> (&'static str, Value) {
    fn all<T: ToString>(list: &[T]) -> Value {
        list.iter().map(|it| Value::from(it.to_string())).collect()
    }
    let countries = |list: &[CountryLetters]| -> Value {
        let letters = list.iter().map(|it| String::from_utf8_lossy(it));
        letters.map(Value::from).collect()
    };
    match condition {
        Condition::Mcc(list) => ("mcc", all(list)),
        Condition::Purpose(list) => ("purpose", json!(list)),
        Condition::Initiation(it) => ("initiation", json!(it)),
        Condition::Certainty(it) => ("certainty", json!(it)),
        Condition::Device(it) => ("device", json!(it)),
        Condition::Presence(it) => ("presence", json!(it)),
        Condition::Domestic(it) => ("domestic", json!(it)),
        Condition::Country(list) => ("country", countries(list)),
        Condition::CountryNot(list) => ("country_not", countries(list)),
        Condition::AcquirerCountry(list) => ("acquirer_country", json!(list)),
        Condition::AcquirerCountryNot(list) => ("acquirer_country_not", json!(list)),
        Condition::Currency(list) => ("currency", all(list)),
        Condition::CurrencyNot(list) => ("currency_not", all(list)),
        Condition::Acquirer(list) => ("acquirer", json!(list)),
        Condition::Acceptor(list) => ("acceptor", all(list)),
        Condition::Terminal(list) => ("terminal", all(list)),
        Condition::Entry(list) => ("entry", json!(list)),
        Condition::Attendance(it) => ("attendance", json!(it)),
        Condition::CashPart(it) => ("cash_part", json!(it)),
        Condition::Hours(span) => ("hours", json!(span.to_string())),
    }
}

fn carded(operation: &CardOperation) -> Value {
    match operation {
        CardOperation::Enrolled(card) => json!({ "did": "card-enrolled", "card": card.0 }),
        CardOperation::PinChanged(card, _) => json!({ "did": "pin-changed", "card": card.0 }),
        CardOperation::PinTried {
            card, is_locked, ..
        } => json!({
            "did": "wrong-pin-tried",
            "card": card.0,
            "locked": is_locked,
        }),
        CardOperation::LimitsSet(card, limits) => json!({
            "did": "card-limits-set",
            "card": card.0,
            "limits": limits.iter().map(limited).collect::<Vec<_>>(),
        }),
        CardOperation::ControlsSet(card, controls) => json!({
            "did": "card-controls-set",
            "card": card.0,
            "controls": controls.iter().map(controlled).collect::<Vec<_>>(),
        }),
    }
}
