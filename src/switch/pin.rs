//! Turns the PIN block of a message into a verdict, before anything reaches the engine.
//!
//! Whoever keeps the keys (`crypto/hsm.rs`) is asked; here is what of the answer the engine hears.
//! Neither a PIN nor its block is logged, journalled or answered.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use zeroize::Zeroizing;

use crate::crypto::hsm::{
    Hsm, HsmError, NewPinValue, PinBlock, PinMethod, PinSource, PinValue, SetPin, Verdict,
    VerifyPin,
};
use crate::crypto::pin_block::{Format, Pin};
use crate::domain::account::AccountId;
use crate::domain::card::PinReference;
use crate::domain::conditions::PinVerdict;
use crate::domain::pan::{CardToken, Pan};
use crate::domain::pin_choice::{self, NewPin};
use crate::domain::time::BusinessDate;
use crate::engine::state::State;

use super::card_check::CardChecks;
use super::hsm::desk::QuestionDesk;
use super::link_keys::LinkKey;
pub use super::pin_keys::{PinKeys, PinKeysError};

/// Bytes of a PIN block of DE 52.
const BLOCK_BYTES: usize = 8;

/// Judges PIN blocks. Without keys no block is looked at.
#[derive(Default)]
pub struct PinDesk {
    keys: Option<PinKeys>,
    /// Whoever keeps all keys; `None`: nobody does.
    hsm: Option<Arc<dyn Hsm>>,
    /// Asks a device, which must not be waited for where a socket is served; `None`: the keys are
    /// in this process.
    desk: Option<QuestionDesk>,
    /// Judges what cards say of themselves; `None`: nobody does.
    cards: Option<CardChecks>,
    /// What the journal says, for reading without asking the single writer.
    on_file: RwLock<HashMap<CardToken, OnFile>>,
}

/// What is on file about a card and its PIN.
#[derive(Clone, Copy, Debug)]
pub struct OnFile {
    /// What tells the right PIN from a wrong one.
    pub reference: PinReference,
    /// The card's account.
    pub account: AccountId,
    /// The holder's day of birth, where one is registered: no PIN is made of it (rule A6).
    pub born: Option<BusinessDate>,
}

/// What a verification value is made over.
#[derive(Clone, Copy, Debug)]
pub enum MadeOver<'a> {
    /// The number of a card.
    Card(&'a Pan),
    /// The number of an account, whichever of its cards is used.
    Account(AccountId),
}

impl MadeOver<'_> {
    /// The digits that go into the value.
    fn digits(&self) -> Cow<'_, str> {
        match self {
            MadeOver::Card(pan) => Cow::Borrowed(pan.expose()),
            // Eleven digits, and one in the place of the check digit, which does not go in.
            MadeOver::Account(account) => Cow::Owned(format!("{:011}0", account.0)),
        }
    }
}

impl PinDesk {
    /// A desk that knows what a replayed state knows about PINs.
    pub fn of(state: &State) -> PinDesk {
        let known = state.cards().iter().filter_map(|card| {
            let on_file = OnFile {
                reference: card.pin.reference?,
                account: card.account,
                born: state
                    .holders()
                    .of_account(card.account)
                    .map(|it| it.person.born),
            };
            Some((card.token, on_file))
        });
        PinDesk {
            on_file: RwLock::new(known.collect()),
            ..PinDesk::default()
        }
    }

    /// The same desk with keys.
    pub fn with_keys(self, keys: PinKeys) -> PinDesk {
        PinDesk {
            keys: Some(keys),
            ..self
        }
    }

    /// The same with whoever keeps all keys.
    pub fn with_hsm(self, hsm: Arc<dyn Hsm>) -> PinDesk {
        PinDesk {
            hsm: Some(hsm),
            ..self
        }
    }

    /// The same where a device keeps the keys, with the desk that asks it.
    pub fn with_desk(self, desk: QuestionDesk) -> PinDesk {
        PinDesk {
            desk: Some(desk),
            ..self
        }
    }

    /// The same with what is checked of cards.
    pub fn with_cards(self, cards: CardChecks) -> PinDesk {
        PinDesk {
            cards: Some(cards),
            ..self
        }
    }

    /// Who keeps the keys, for people; `None`: there are none.
    pub fn keeper(&self) -> Option<String> {
        self.hsm.as_ref().map(|hsm| hsm.name())
    }

    /// Whoever keeps all keys; `None`: nobody does.
    pub fn hsm(&self) -> Option<&Arc<dyn Hsm>> {
        self.hsm.as_ref()
    }

    /// What judges cards; `None`: nothing does.
    pub fn cards(&self) -> Option<&CardChecks> {
        self.cards.as_ref()
    }

    /// The desk that asks a device, where one keeps the keys.
    pub fn desk(&self) -> Option<&QuestionDesk> {
        self.desk.as_ref()
    }

    /// Learns what tells a card's right PIN from a wrong one, once the journal has it.
    pub fn learn(&self, card: CardToken, on_file: OnFile) {
        let known = self.on_file.write();
        let mut known = known.unwrap_or_else(PoisonError::into_inner);
        known.insert(card, on_file);
    }

    /// Learns of another PIN of a card that has one, once the journal has it.
    pub fn changed(&self, card: &CardToken, reference: PinReference) {
        let known = self.on_file.write();
        let mut known = known.unwrap_or_else(PoisonError::into_inner);
        if let Some(on_file) = known.get_mut(card) {
            on_file.reference = reference;
        }
    }

    /// Forgets what told the PINs of an account's cards, once they are erased: who gets one of
    /// these numbers next has another PIN.
    pub fn forget(&self, account: AccountId, cards: &[CardToken]) {
        let known = self.on_file.write();
        let mut known = known.unwrap_or_else(PoisonError::into_inner);
        for card in cards {
            // Another account may have the number by now.
            if known.get(card).is_some_and(|it| it.account == account) {
                known.remove(card);
            }
        }
    }

    fn known(&self, card: &CardToken) -> Option<OnFile> {
        let known = self.on_file.read();
        let known = known.unwrap_or_else(PoisonError::into_inner);
        known.get(card).copied()
    }

    /// What comes of the new PIN in a block, for a card that has a PIN already; the rules of choice
    /// are held against it here, where it is in the clear (rule A6).
    pub fn chosen(&self, zone: Zone<'_>, block: [u8; 8], pan: &Pan, card: &CardToken) -> NewPin {
        let (Some(keys), Some(on_file)) = (&self.keys, self.known(card)) else {
            return NewPin::CannotBeMade;
        };
        zone.first_that_opens(
            keys.zone.as_deref(),
            NewPin::CannotBeMade,
            NewPin::Malformed,
            |key| {
                keys.chosen(
                    PinBlock {
                        key,
                        ..whole(&block, pan)
                    },
                    pan,
                    on_file,
                )
            },
        )
    }

    /// What would tell this PIN from a wrong one, under the key of the greatest index; `None`
    /// without keys or for what is no PIN.
    pub fn reference(&self, digits: &str, over: MadeOver<'_>) -> Option<PinReference> {
        let pin = Pin::from_digits(digits).ok()?;
        let source = PinSource::Clear(&pin);
        let made = self.keys.as_ref()?.reference(source, over, &|_| true);
        made.ok().flatten()
    }

    /// The verdict about a PIN that a holder gave to the issuer; without the card number only
    /// where PINs belong to accounts.
    pub fn check(&self, digits: &str, pan: Option<&Pan>, card: &CardToken) -> PinVerdict {
        let Some(keys) = &self.keys else {
            return PinVerdict::Unverified;
        };
        // A value is made of four digits, whatever follows them.
        match Pin::from_digits(digits) {
            Ok(pin) if digits.len() == 4 => self.judge(keys, PinSource::Clear(&pin), pan, card),
            Ok(_) | Err(_) => PinVerdict::Malformed,
        }
    }

    /// What nothing could judge is not opened either.
    fn judge(
        &self,
        keys: &PinKeys,
        pin: PinSource<'_>,
        pan: Option<&Pan>,
        card: &CardToken,
    ) -> PinVerdict {
        let Some(on_file) = self.known(card) else {
            return PinVerdict::CannotBeChecked;
        };
        let reference = on_file.reference;
        let over = match (reference.is_of_account(), pan) {
            (true, _) => MadeOver::Account(on_file.account),
            (false, Some(pan)) => MadeOver::Card(pan),
            (false, None) => return PinVerdict::CannotBeChecked,
        };
        let Some(key) = keys.verification.get(&reference.key()) else {
            return PinVerdict::CannotBeChecked;
        };
        let verdict = keys.hsm.verify_pin(&VerifyPin {
            pin,
            method: PinMethod::Pvv {
                key,
                index: reference.key(),
                over: &over.digits(),
            },
            value: &PinValue::Pvv(reference.value),
        });
        match verdict {
            Ok(Verdict::Right) => PinVerdict::Correct,
            Ok(Verdict::Wrong) => PinVerdict::Wrong,
            Err(HsmError::MalformedPinBlock) => PinVerdict::Malformed,
            Err(error) if error.is_outage() => {
                tracing::debug!(%error, "a PIN was not judged");
                PinVerdict::Unavailable
            }
            Err(error) => {
                tracing::warn!(%error, "a PIN cannot be judged");
                PinVerdict::CannotBeChecked
            }
        }
    }

    /// The verdict about the PIN block of a message.
    pub fn verdict(&self, zone: Zone<'_>, block: &[u8], pan: &Pan, card: &CardToken) -> PinVerdict {
        let Some(keys) = &self.keys else {
            return PinVerdict::Unverified;
        };
        if block.len() != BLOCK_BYTES {
            return PinVerdict::Malformed;
        }
        zone.first_that_opens(
            keys.zone.as_deref(),
            PinVerdict::Unverified,
            PinVerdict::Malformed,
            |key| {
                let block = PinBlock {
                    key,
                    ..whole(block, pan)
                };
                self.judge(keys, PinSource::Block(block), Some(pan), card)
            },
        )
    }
}

/// The key that PIN blocks of a link come under: its own, or the one that nobody names.
#[derive(Clone, Copy, Debug)]
pub struct Zone<'a>(pub Option<&'a LinkKey>);

impl Zone<'_> {
    /// What is found under the key in force; where that opens nothing, under the one before it.
    fn first_that_opens<T: PartialEq>(
        self,
        unnamed: Option<&str>,
        without_key: T,
        malformed: T,
        judge: impl Fn(&str) -> T,
    ) -> T {
        let Some(link) = self.0 else {
            return unnamed.map_or(without_key, judge);
        };
        let judged = judge(&link.current());
        match link.previous() {
            Some(previous) if judged == malformed => judge(&previous),
            Some(_) | None => judged,
        }
    }
}

/// A block of DE 52, whatever it is under.
fn whole<'a>(bytes: &'a [u8], pan: &'a Pan) -> PinBlock<'a> {
    PinBlock {
        key: "",
        format: Format::Iso0,
        bytes,
        pan: pan.expose(),
    }
}

impl PinKeys {
    /// What comes of the new PIN in a block; the rules of choice are held against it.
    fn chosen(&self, block: PinBlock<'_>, pan: &Pan, on_file: OnFile) -> NewPin {
        let born = on_file.born.map(BusinessDate::civil);
        let broken = Cell::new(None);
        let rule = |pin: &Pin| {
            let digits = pin.digits().iter().map(|digit| char::from(b'0' + digit));
            let digits = Zeroizing::new(digits.collect::<String>());
            broken.set(pin_choice::check(&digits, born, None).err());
            broken.get().is_none()
        };
        let over = match on_file.reference.is_of_account() {
            true => MadeOver::Account(on_file.account),
            false => MadeOver::Card(pan),
        };
        let source = PinSource::Block(block);
        match (self.reference(source, over, &rule), broken.get()) {
            (_, Some(rule)) => NewPin::Refused(rule),
            (Ok(Some(reference)), None) => NewPin::Chosen(reference),
            (Err(HsmError::MalformedPinBlock), None) => NewPin::Malformed,
            (Ok(None) | Err(_), None) => NewPin::CannotBeMade,
        }
    }

    /// What will tell a PIN from a wrong one, under the key of the greatest index; `None` for one
    /// that may not be chosen, and without such a key.
    fn reference(
        &self,
        pin: PinSource<'_>,
        over: MadeOver<'_>,
        may_be_chosen: &dyn Fn(&Pin) -> bool,
    ) -> Result<Option<PinReference>, HsmError> {
        let Some((&key_index, key)) = self.verification.last_key_value() else {
            return Ok(None);
        };
        let made = self.hsm.set_pin(&SetPin {
            pin,
            method: PinMethod::Pvv {
                key,
                index: key_index,
                over: &over.digits(),
            },
            may_be_chosen,
        })?;
        let NewPinValue::Value(PinValue::Pvv(value)) = made else {
            return Ok(None);
        };
        Ok(Some(match over {
            MadeOver::Card(_) => PinReference { key_index, value },
            MadeOver::Account(_) => PinReference::of_account(key_index, value),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::key::TdesKey;
    use crate::crypto::pin_block::encipher;
    use crate::crypto::pvv::pvv;
    use crate::domain::pin_choice::PinRefused;

    const KEYS: &str = include_str!("../../fixtures/demo-pin-keys.toml");
    const CARD: CardToken = CardToken([7; 16]);

    fn pan() -> Pan {
        Pan::parse("4761739001010119").unwrap()
    }

    fn demo_key(of: impl Fn(&toml::Table) -> &toml::Value) -> TdesKey {
        let table: toml::Table = KEYS.parse().unwrap();
        TdesKey::from_hex(of(&table).as_str().unwrap()).unwrap_or_else(|_| panic!())
    }

    /// A desk at which the card's PIN is 2580.
    fn desk() -> PinDesk {
        let keys = PinKeys::parse("demo", KEYS).unwrap_or_else(|error| panic!("{error}"));
        let pin = Pin::from_digits("2580").unwrap_or_else(|_| panic!());
        let verification = demo_key(|table| &table["verification_key"][0]["key"]);
        let value = pvv(&verification, 1, pan().expose(), &pin).unwrap();
        let desk = PinDesk::default().with_keys(keys);
        let reference = PinReference {
            key_index: 1,
            value,
        };
        desk.learn(CARD, of_account(1, reference));
        desk
    }

    fn of_account(account: u32, reference: PinReference) -> OnFile {
        OnFile {
            reference,
            account: AccountId(account),
            born: Some(BusinessDate(-7_000)),
        }
    }

    fn block(digits: &str) -> Vec<u8> {
        let zone = demo_key(|table| &table["zone_key"]);
        let pin = Pin::from_digits(digits).unwrap_or_else(|_| panic!());
        encipher(&zone, &pin, pan().expose()).unwrap().to_vec()
    }

    #[test]
    fn an_erased_cards_pin_is_no_pin_of_whoever_gets_the_number() {
        let desk = desk();
        let verdict = || desk.check("1234", Some(&pan()), &CARD);
        let (before, nothing) = (verdict(), PinVerdict::CannotBeChecked);
        assert_ne!(before, nothing);
        desk.forget(AccountId(2), &[CARD]);
        assert_eq!(verdict(), before, "another account's");
        desk.forget(AccountId(1), &[CARD]);
        assert_eq!(verdict(), nothing);
    }

    #[test]
    fn a_block_is_judged_by_the_cards_own_value() {
        let desk = desk();
        let cases = [
            (block("2580"), CARD, PinVerdict::Correct),
            (block("2581"), CARD, PinVerdict::Wrong),
            (vec![0; 8], CARD, PinVerdict::Malformed),
            (vec![0; 7], CARD, PinVerdict::Malformed),
            (
                block("2580"),
                CardToken([8; 16]),
                PinVerdict::CannotBeChecked,
            ),
        ];
        for (block, card, verdict) in cases {
            assert_eq!(desk.verdict(Zone(None), &block, &pan(), &card), verdict);
        }
        let other_key = PinReference {
            key_index: 9,
            value: [1, 2, 3, 4],
        };
        desk.learn(CARD, of_account(1, other_key));
        let verdict = desk.verdict(Zone(None), &block("2580"), &pan(), &CARD);
        assert_eq!(verdict, PinVerdict::CannotBeChecked);
        let keyless = PinDesk::default();
        let verdict = keyless.verdict(Zone(None), &block("2580"), &pan(), &CARD);
        assert_eq!(verdict, PinVerdict::Unverified);
    }

    #[test]
    fn a_new_pin_is_judged_by_the_rules_of_choice_and_then_told_from_a_wrong_one() {
        let desk = desk();
        let chosen = |pin: &str| {
            let block: [u8; 8] = block(pin).try_into().unwrap();
            desk.chosen(Zone(None), block, &pan(), &CARD)
        };
        // Day -7000 is the 2nd of November 1950.
        for (pin, expected) in [
            ("1111", NewPin::Refused(PinRefused::Repeated)),
            ("4312", NewPin::Refused(PinRefused::Consecutive)),
            ("1950", NewPin::Refused(PinRefused::Birth)),
            ("1102", NewPin::Refused(PinRefused::Birth)),
            ("25803", NewPin::Refused(PinRefused::Length)),
        ] {
            assert_eq!(chosen(pin), expected, "{expected:?}");
        }
        assert_eq!(
            desk.chosen(Zone(None), [0; 8], &pan(), &CARD),
            NewPin::Malformed
        );
        let NewPin::Chosen(reference) = chosen("9357") else {
            panic!("it may be chosen");
        };
        desk.changed(&CARD, reference);
        let verdict = |pin| desk.verdict(Zone(None), &block(pin), &pan(), &CARD);
        assert_eq!(verdict("9357"), PinVerdict::Correct);
        assert_eq!(verdict("2580"), PinVerdict::Wrong);
        let stranger = CardToken([8; 16]);
        let block: [u8; 8] = block("9357").try_into().unwrap();
        assert_eq!(
            desk.chosen(Zone(None), block, &pan(), &stranger),
            NewPin::CannotBeMade
        );
    }

    #[test]
    fn a_pin_of_the_account_is_right_for_each_of_its_cards_and_for_no_other_account() {
        let desk = desk();
        let own = MadeOver::Account(AccountId(7));
        let reference = desk.reference("2580", own).unwrap();
        assert!(reference.is_of_account() && reference.key() == 1);
        let (one, two, other) = (CARD, CardToken([8; 16]), CardToken([9; 16]));
        desk.learn(one, of_account(7, reference));
        desk.learn(two, of_account(7, reference));
        desk.learn(other, of_account(8, reference));
        for (card, pin, verdict) in [
            (one, "2580", PinVerdict::Correct),
            (two, "2580", PinVerdict::Correct),
            (two, "2581", PinVerdict::Wrong),
            (other, "2580", PinVerdict::Wrong),
        ] {
            assert_eq!(desk.check(pin, None, &card), verdict);
            assert_eq!(
                desk.verdict(Zone(None), &block(pin), &pan(), &card),
                verdict
            );
        }
        assert_eq!(desk.check("25801", None, &one), PinVerdict::Malformed);
    }
}
