//! Controls of one card: kinds of messages that it refuses, beside the blocks of its programme.

use serde::{Deserialize, Serialize};

use super::block::{Block, Condition, Scene};
use super::decision::Reason;
use super::facts::{Initiation, Purpose};

/// Controls that one card may have: each is looked at for each of its messages.
pub const CARD_CONTROLS_MAX: usize = 16;
/// Categories, countries or names that one condition of a control may list.
pub const CONTROL_LIST_MAX: usize = 64;

/// A kind of message that one card refuses: every condition of it must hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardControl {
    /// What must be true of the message; as programmes have it.
    pub conditions: Vec<Condition>,
}

impl CardControl {
    /// Whether every condition holds for a message.
    pub fn matches(&self, scene: &Scene<'_>) -> bool {
        Block::all_hold(&self.conditions, scene)
    }

    /// Why a message that it means is declined: of the reasons that its conditions have the one
    /// that stands first in the order of precedence.
    pub fn reason(&self) -> Reason {
        let reasons = self.conditions.iter().filter_map(reason_of);
        reasons.min().unwrap_or(Reason::ChannelNotAllowed)
    }

    /// What was seen of a message that it means, for evidence.
    pub fn seen(&self, scene: &Scene<'_>) -> String {
        let words = self.conditions.iter().filter_map(|condition| {
            let plain = match condition {
                Condition::Domestic(true) => Some("at home"),
                Condition::Domestic(false) => Some("abroad"),
                Condition::CashPart(true) => Some("with cash back"),
                Condition::CashPart(false) => Some("without cash back"),
                _ => None,
            };
            plain.map(str::to_owned).or_else(|| condition.seen(scene))
        });
        words.collect::<Vec<_>>().join(", ")
    }

    /// Whether controls can be those of a card.
    ///
    /// # Errors
    /// Every mistake, each with the place of its control.
    pub fn check(controls: &[CardControl]) -> Result<(), Vec<String>> {
        let mut mistakes = Vec::new();
        if controls.len() > CARD_CONTROLS_MAX {
            mistakes.push(format!("a card has {CARD_CONTROLS_MAX} controls at most"));
        }
        for (place, control) in controls.iter().enumerate() {
            let mut mistake = |what: &str| mistakes.push(format!("controls[{place}]: {what}"));
            if control.conditions.is_empty() {
                mistake("states no condition, so it would refuse everything");
            }
            if control.conditions.iter().any(|it| reason_of(it).is_none()) {
                mistake("states a condition that is not for single cards");
            }
            if control.conditions.iter().any(|it| !is_list_fit(it)) {
                mistake(&format!(
                    "expected lists of 1 to {CONTROL_LIST_MAX}, and as purpose purchase or \
                     cash-withdrawal"
                ));
            }
            if controls.iter().take(place).any(|other| other == control) {
                mistake("stands there twice");
            }
        }
        match mistakes.is_empty() {
            true => Ok(()),
            false => Err(mistakes),
        }
    }
}

/// Why a card refuses what meets a condition; `None`: no control of a card states it.
fn reason_of(condition: &Condition) -> Option<Reason> {
    Some(match condition {
        Condition::Acquirer(_) | Condition::Acceptor(_) | Condition::Terminal(_) => {
            Reason::MerchantDenied
        }
        Condition::Mcc(_) => Reason::MerchantCategory,
        Condition::Initiation(Initiation::Recurring) => Reason::Recurring,
        Condition::Initiation(Initiation::Instalment) => Reason::Instalment,
        Condition::Domestic(_)
        | Condition::Country(_)
        | Condition::CountryNot(_)
        | Condition::AcquirerCountry(_)
        | Condition::AcquirerCountryNot(_) => Reason::CountryNotAllowed,
        Condition::Hours(_) => Reason::TimeNotAllowed,
        Condition::Purpose(list) if list.as_slice() == [Purpose::CashWithdrawal] => {
            Reason::CashNotAllowed
        }
        Condition::CashPart(_) => Reason::CashNotAllowed,
        Condition::Purpose(_)
        | Condition::Initiation(Initiation::Cardholder)
        | Condition::Presence(_)
        | Condition::Entry(_)
        | Condition::Attendance(_) => Reason::ChannelNotAllowed,
        Condition::Certainty(_)
        | Condition::Device(_)
        | Condition::Currency(_)
        | Condition::CurrencyNot(_) => return None,
    })
}

fn is_list_fit(condition: &Condition) -> bool {
    let length = match condition {
        Condition::Mcc(list) => list.len(),
        Condition::Purpose(list) => {
            let is_spent = |it: &Purpose| matches!(it, Purpose::Purchase | Purpose::CashWithdrawal);
            return !list.is_empty() && list.len() <= CONTROL_LIST_MAX && list.iter().all(is_spent);
        }
        Condition::Country(list) | Condition::CountryNot(list) => list.len(),
        Condition::AcquirerCountry(list) | Condition::AcquirerCountryNot(list) => list.len(),
        Condition::Currency(list) | Condition::CurrencyNot(list) => list.len(),
        Condition::Acquirer(list) => list.len(),
        Condition::Acceptor(list) => list.len(),
        Condition::Terminal(list) => list.len(),
        Condition::Entry(list) => list.len(),
        Condition::Initiation(_)
        | Condition::Certainty(_)
        | Condition::Device(_)
        | Condition::Presence(_)
        | Condition::Domestic(_)
        | Condition::Attendance(_)
        | Condition::CashPart(_)
        | Condition::Hours(_) => return true,
    };
    (1..=CONTROL_LIST_MAX).contains(&length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::block::MccRange;
    use crate::domain::facts::{Certainty, Presence};

    fn control(conditions: &[Condition]) -> CardControl {
        CardControl {
            conditions: conditions.to_vec(),
        }
    }

    #[test]
    fn of_several_conditions_the_reason_that_stands_first_is_the_answer() {
        let fuel = Condition::Mcc(vec![MccRange::of("5541").unwrap()]);
        let online = Condition::Presence(Presence::Absent);
        for (conditions, reason) in [
            (vec![online.clone()], Reason::ChannelNotAllowed),
            (
                vec![online.clone(), Condition::Domestic(false)],
                Reason::CountryNotAllowed,
            ),
            (
                vec![Condition::Domestic(false), fuel.clone()],
                Reason::MerchantCategory,
            ),
            (
                vec![Condition::Purpose(vec![Purpose::CashWithdrawal])],
                Reason::CashNotAllowed,
            ),
            (
                vec![Condition::Initiation(Initiation::Recurring), fuel],
                Reason::Recurring,
            ),
        ] {
            assert_eq!(control(&conditions).reason(), reason, "{conditions:?}");
        }
    }

    #[test]
    fn every_mistake_of_the_controls_of_a_card_is_told() {
        let abroad = control(&[Condition::Domestic(false)]);
        assert_eq!(CardControl::check(std::slice::from_ref(&abroad)), Ok(()));
        assert_eq!(CardControl::check(&[]), Ok(()));
        let wrong = [
            abroad.clone(),
            control(&[]),
            control(&[Condition::Certainty(Certainty::Final)]),
            control(&[Condition::Country(vec![*b"US"; CONTROL_LIST_MAX + 1])]),
            control(&[Condition::Mcc(vec![])]),
            control(&[Condition::Purpose(vec![Purpose::Load])]),
            abroad.clone(),
        ];
        let told = CardControl::check(&wrong).unwrap_err();
        let places: Vec<&str> = told.iter().filter_map(|it| it.get(..11)).collect();
        let expected: Vec<String> = (1..7).map(|n| format!("controls[{n}]")).collect();
        assert_eq!(places, expected, "{told:?}");
        let many = vec![abroad; CARD_CONTROLS_MAX + 1];
        let told = CardControl::check(&many).unwrap_err();
        assert_eq!(told.first().unwrap(), "a card has 16 controls at most");
    }
}
