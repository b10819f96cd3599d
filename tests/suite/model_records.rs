//! What the model's commands leave in the journal: every kind of record, so that a new one does not
//! compile until it has a place here, and the model fails until its dice produce it.

use cardswitch::engine::event::Event;
use cardswitch::engine::operation::Operation;
use cardswitch::engine::operation_card::CardOperation;
use cardswitch::engine::operation_end::EndOperation;
use cardswitch::engine::operation_holder::HolderOperation;
use cardswitch::engine::operation_money::MoneyOperation;

/// A kind of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Recorded {
    Decided,
    AccountOpened,
    Housekept,
    LinkNamed,
    PinSet,
    PinUnlocked,
    CutOver,
    Reconciled,
    HoldReleased,
    CardStatusChanged,
    CardReplaced,
    DeviceTokenAdded,
    TransferredUncounted,
    AccountClosedUndated,
    AccountClosed,
    ClosingDated,
    CardDataErased,
    ExceptionResolved,
    RatesSet,
    Charged,
    Transferred,
    PaperOrdered,
    HolderRegistered,
    HoldersAccountOpened,
    KycChanged,
    CardsEnded,
    ClearingClosed,
    Enrolled,
    PinChanged,
    PinTried,
    LimitsSet,
    ControlsSet,
    RulesChanged,
}

impl Recorded {
    /// Every kind that the dice must produce. Missing are those of links' business days, whose
    /// totals are compared in `reconciliation.rs`, and what nothing decides any more: transfers as
    /// they were journalled before they were counted, closings before they had a date, and what
    /// follows of those.
    pub(crate) const PRODUCED: [Recorded; 28] = [
        Recorded::Decided,
        Recorded::AccountOpened,
        Recorded::Housekept,
        Recorded::LinkNamed,
        Recorded::PinSet,
        Recorded::PinUnlocked,
        Recorded::HoldReleased,
        Recorded::CardStatusChanged,
        Recorded::CardReplaced,
        Recorded::DeviceTokenAdded,
        Recorded::AccountClosed,
        Recorded::CardDataErased,
        Recorded::ExceptionResolved,
        Recorded::RatesSet,
        Recorded::Charged,
        Recorded::Transferred,
        Recorded::PaperOrdered,
        Recorded::HolderRegistered,
        Recorded::HoldersAccountOpened,
        Recorded::KycChanged,
        Recorded::CardsEnded,
        Recorded::ClearingClosed,
        Recorded::Enrolled,
        Recorded::PinChanged,
        Recorded::PinTried,
        Recorded::LimitsSet,
        Recorded::ControlsSet,
        Recorded::RulesChanged,
    ];

    pub(crate) fn of(event: &Event) -> Recorded {
        match event {
            Event::Decided(_) => Recorded::Decided,
            Event::AccountOpened(_) => Recorded::AccountOpened,
            Event::Housekept(_) => Recorded::Housekept,
            Event::LinkNamed(..) => Recorded::LinkNamed,
            Event::PinSet(..) => Recorded::PinSet,
            Event::PinUnlocked(_) => Recorded::PinUnlocked,
            Event::CutOver(..) => Recorded::CutOver,
            Event::Reconciled(_) => Recorded::Reconciled,
            Event::Operated(operation) => Recorded::of_operation(operation),
        }
    }

    fn of_operation(operation: &Operation) -> Recorded {
        match operation {
            Operation::HoldReleased(_) => Recorded::HoldReleased,
            Operation::CardStatusChanged(..) => Recorded::CardStatusChanged,
            Operation::CardReplaced { .. } => Recorded::CardReplaced,
            Operation::DeviceTokenAdded { .. } => Recorded::DeviceTokenAdded,
            Operation::Transferred { .. } => Recorded::TransferredUncounted,
            Operation::AccountClosed { .. } => Recorded::AccountClosedUndated,
            Operation::ExceptionResolved { .. } => Recorded::ExceptionResolved,
            Operation::ClearingClosed { .. } => Recorded::ClearingClosed,
            Operation::RulesChanged(_) => Recorded::RulesChanged,
            Operation::Money(operation) => match operation {
                MoneyOperation::RatesSet(_) => Recorded::RatesSet,
                MoneyOperation::Charged { .. } => Recorded::Charged,
                MoneyOperation::Transferred { .. } => Recorded::Transferred,
                MoneyOperation::PaperOrdered { .. } => Recorded::PaperOrdered,
            },
            Operation::Holder(operation) => match operation {
                HolderOperation::Registered { .. } => Recorded::HolderRegistered,
                HolderOperation::AccountOpened { .. } => Recorded::HoldersAccountOpened,
                HolderOperation::KycChanged(..) => Recorded::KycChanged,
                HolderOperation::CardsEnded(_) => Recorded::CardsEnded,
            },
            Operation::End(operation) => match operation {
                EndOperation::AccountClosed { .. } => Recorded::AccountClosed,
                EndOperation::ClosingDated(_) => Recorded::ClosingDated,
                EndOperation::CardDataErased(_) => Recorded::CardDataErased,
            },
            Operation::Card(operation) => match operation {
                CardOperation::Enrolled(_) => Recorded::Enrolled,
                CardOperation::PinChanged(..) => Recorded::PinChanged,
                CardOperation::PinTried { .. } => Recorded::PinTried,
                CardOperation::LimitsSet(..) => Recorded::LimitsSet,
                CardOperation::ControlsSet(..) => Recorded::ControlsSet,
            },
        }
    }
}
