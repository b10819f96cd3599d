//! Turns the PIN block of a message into a verdict, before anything reaches the engine.
//!
//! Keys come from a file that the configuration names. They live in this process's memory: good for
//! tests and drills, not a secure cryptographic device. A PIN exists here for as long as one
//! comparison takes; neither it nor its block is logged, journalled or answered.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{PoisonError, RwLock};

use serde::Deserialize;
use zeroize::Zeroizing;

use crate::crypto::key::TdesKey;
use crate::crypto::pin_block::{Pin, decipher};
use crate::crypto::pvv::{pvv, same};
use crate::domain::account::AccountId;
use crate::domain::card::PinReference;
use crate::domain::conditions::PinVerdict;
use crate::domain::pan::{CardToken, Pan};
use crate::domain::pin_choice::{self, NewPin};
use crate::domain::time::BusinessDate;
use crate::engine::state::State;

use super::key_file::KeyFile;

/// The keys under which PINs come in and are verified.
pub struct PinKeys {
    zone: TdesKey,
    verification: BTreeMap<u8, TdesKey>,
}

/// A file of PIN keys that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("PIN keys {file}: {}", .mistakes.join("; "))]
pub struct PinKeysError {
    /// The file.
    pub file: String,
    /// What is wrong, without any of its content.
    pub mistakes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    zone_key: String,
    verification_key: Vec<KeyRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyRow {
    index: u8,
    key: String,
}

impl PinKeys {
    /// Reads a file of keys.
    ///
    /// # Errors
    /// Every mistake; no key is shown.
    pub fn load(path: &Path) -> Result<PinKeys, PinKeysError> {
        let file = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => PinKeys::parse(&file, &text),
            Err(error) => Err(PinKeysError {
                file,
                mistakes: vec![error.to_string()],
            }),
        }
    }

    /// The keys of an opened key file: the one of usage P0, and every one of usage V2 under the
    /// index that is the second digit of its version.
    ///
    /// # Errors
    /// Every mistake; no key is shown.
    pub fn of(file: &str, keys: &KeyFile) -> Result<PinKeys, PinKeysError> {
        let mut mistakes = Vec::new();
        let (mut zone, mut verification) = (None, BTreeMap::new());
        for key in &keys.keys {
            let (label, name) = (&key.label, &key.label.name);
            let index = match label.usage.as_str() {
                "P0" => None,
                "V2" => label.version.bytes().last().map(|digit| digit & 0x0f),
                _ => continue,
            };
            match (TdesKey::from_bytes(&key.bytes), index) {
                (Err(error), _) => mistakes.push(format!("key {name}: {error}")),
                (Ok(key), None) => {
                    if zone.replace(key).is_some() {
                        mistakes.push(format!("key {name}: a second one of usage P0"));
                    }
                }
                (Ok(key), Some(index)) => {
                    if verification.insert(index, key).is_some() {
                        mistakes.push(format!("key {name}: a second one of usage V2 {index}"));
                    }
                }
            }
        }
        match zone {
            Some(zone) if mistakes.is_empty() => Ok(PinKeys { zone, verification }),
            zone => {
                if zone.is_none() {
                    mistakes.push("expected a key of usage P0, got none".to_owned());
                }
                let file = file.to_owned();
                Err(PinKeysError { file, mistakes })
            }
        }
    }

    /// Reads the text of a file of keys; `file` names it in errors.
    ///
    /// # Errors
    /// Every mistake; no key is shown.
    pub fn parse(file: &str, text: &str) -> Result<PinKeys, PinKeysError> {
        let wrong = |mistakes| PinKeysError {
            file: file.to_owned(),
            mistakes,
        };
        // What TOML says may quote the line, and with it a key.
        let raw: File = toml::from_str(text).map_err(|_| {
            wrong(vec![
                "expected zone_key, and [[verification_key]] with index and key".to_owned(),
            ])
        })?;
        let mut mistakes = Vec::new();
        let zone = TdesKey::from_hex(&raw.zone_key)
            .map_err(|error| mistakes.push(format!("zone_key: {error}")));
        let mut verification = BTreeMap::new();
        for (n, row) in raw.verification_key.iter().enumerate() {
            match TdesKey::from_hex(&row.key) {
                Err(error) => mistakes.push(format!("verification_key[{n}].key: {error}")),
                Ok(_) if row.index > 9 => {
                    let index = row.index;
                    mistakes.push(format!(
                        "verification_key[{n}].index: expected 0 to 9, got {index}"
                    ));
                }
                Ok(key) => {
                    if verification.insert(row.index, key).is_some() {
                        mistakes.push(format!("verification_key[{n}].index: it is there already"));
                    }
                }
            }
        }
        match zone {
            Ok(zone) if mistakes.is_empty() => Ok(PinKeys { zone, verification }),
            _ => Err(wrong(mistakes)),
        }
    }
}

/// Judges PIN blocks. Without keys no block is looked at.
#[derive(Default)]
pub struct PinDesk {
    keys: Option<PinKeys>,
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
    /// The value of a PIN under a key; `None` for an index above 9.
    fn value(self, key: &TdesKey, index: u8, pin: &Pin) -> Option<[u8; 4]> {
        match self {
            MadeOver::Card(pan) => pvv(key, index, pan.expose(), pin),
            // Eleven digits, and one in the place of the check digit, which does not go in.
            MadeOver::Account(account) => pvv(key, index, &format!("{:011}0", account.0), pin),
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
            keys: None,
            on_file: RwLock::new(known.collect()),
        }
    }

    /// The same desk with keys.
    pub fn with_keys(self, keys: PinKeys) -> PinDesk {
        PinDesk {
            keys: Some(keys),
            ..self
        }
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

    fn known(&self, card: &CardToken) -> Option<OnFile> {
        let known = self.on_file.read();
        let known = known.unwrap_or_else(PoisonError::into_inner);
        known.get(card).copied()
    }

    /// What comes of the new PIN in a block, for a card that has a PIN already; the rules of choice
    /// are held against it here, where it is in the clear (rule A6).
    pub fn chosen(&self, block: [u8; 8], pan: &Pan, card: &CardToken) -> NewPin {
        let (Some(keys), Some(on_file)) = (&self.keys, self.known(card)) else {
            return NewPin::CannotBeMade;
        };
        let Ok(pin) = decipher(&keys.zone, block, pan.expose()) else {
            return NewPin::Malformed;
        };
        let digits = pin.digits().iter().map(|digit| char::from(b'0' + digit));
        let digits = Zeroizing::new(digits.collect::<String>());
        let born = on_file.born.map(BusinessDate::civil);
        if let Err(rule) = pin_choice::check(&digits, born, None) {
            return NewPin::Refused(rule);
        }
        let over = match on_file.reference.is_of_account() {
            true => MadeOver::Account(on_file.account),
            false => MadeOver::Card(pan),
        };
        let reference = self.reference(&digits, over);
        reference.map_or(NewPin::CannotBeMade, NewPin::Chosen)
    }

    /// What would tell this PIN from a wrong one, under the key of the greatest index; `None`
    /// without keys or for what is no PIN.
    pub fn reference(&self, digits: &str, over: MadeOver<'_>) -> Option<PinReference> {
        let (key_index, key) = self.keys.as_ref()?.verification.last_key_value()?;
        let pin = Pin::from_digits(digits).ok()?;
        let value = over.value(key, *key_index, &pin)?;
        Some(match over {
            MadeOver::Card(_) => PinReference {
                key_index: *key_index,
                value,
            },
            MadeOver::Account(_) => PinReference::of_account(*key_index, value),
        })
    }

    /// The verdict about a PIN that a holder gave to the issuer; without the card number only
    /// where PINs belong to accounts.
    pub fn check(&self, digits: &str, pan: Option<&Pan>, card: &CardToken) -> PinVerdict {
        let Some(keys) = &self.keys else {
            return PinVerdict::Unverified;
        };
        // A value is made of four digits, whatever follows them.
        match Pin::from_digits(digits) {
            Ok(pin) if digits.len() == 4 => self.judge(keys, pan, card, &pin),
            Ok(_) | Err(_) => PinVerdict::Malformed,
        }
    }

    fn judge(&self, keys: &PinKeys, pan: Option<&Pan>, card: &CardToken, pin: &Pin) -> PinVerdict {
        let value = self.known(card).and_then(|on_file| {
            let reference = on_file.reference;
            let over = match (reference.is_of_account(), pan) {
                (true, _) => MadeOver::Account(on_file.account),
                (false, Some(pan)) => MadeOver::Card(pan),
                (false, None) => return None,
            };
            let key = keys.verification.get(&reference.key())?;
            Some((over.value(key, reference.key(), pin)?, reference.value))
        });
        match value {
            None => PinVerdict::CannotBeChecked,
            Some((value, expected)) if same(&value, &expected) => PinVerdict::Correct,
            Some(_) => PinVerdict::Wrong,
        }
    }

    /// The verdict about the PIN block of a message.
    pub fn verdict(&self, block: &[u8], pan: &Pan, card: &CardToken) -> PinVerdict {
        let Some(keys) = &self.keys else {
            return PinVerdict::Unverified;
        };
        let Ok(block) = block.try_into() else {
            return PinVerdict::Malformed;
        };
        // What nothing could judge is not opened either.
        let is_known = self
            .known(card)
            .is_some_and(|known| keys.verification.contains_key(&known.reference.key()));
        if !is_known {
            return PinVerdict::CannotBeChecked;
        }
        match decipher(&keys.zone, block, pan.expose()) {
            Ok(pin) => self.judge(keys, Some(pan), card, &pin),
            Err(_) => PinVerdict::Malformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::pin_block::encipher;
    use crate::domain::pin_choice::PinRefused;

    const KEYS: &str = include_str!("../../fixtures/demo-pin-keys.toml");
    const CARD: CardToken = CardToken([7; 16]);

    fn pan() -> Pan {
        Pan::parse("4761739001010119").unwrap()
    }

    /// A desk at which the card's PIN is 2580.
    fn desk() -> PinDesk {
        let keys = PinKeys::parse("demo", KEYS).unwrap_or_else(|error| panic!("{error}"));
        let pin = Pin::from_digits("2580").unwrap_or_else(|_| panic!());
        let value = pvv(&keys.verification[&1], 1, pan().expose(), &pin).unwrap();
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
        let keys = PinKeys::parse("demo", KEYS).unwrap_or_else(|error| panic!("{error}"));
        let pin = Pin::from_digits(digits).unwrap_or_else(|_| panic!());
        encipher(&keys.zone, &pin, pan().expose()).unwrap().to_vec()
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
            assert_eq!(desk.verdict(&block, &pan(), &card), verdict);
        }
        let other_key = PinReference {
            key_index: 9,
            value: [1, 2, 3, 4],
        };
        desk.learn(CARD, of_account(1, other_key));
        let verdict = desk.verdict(&block("2580"), &pan(), &CARD);
        assert_eq!(verdict, PinVerdict::CannotBeChecked);
        let keyless = PinDesk::default();
        let verdict = keyless.verdict(&block("2580"), &pan(), &CARD);
        assert_eq!(verdict, PinVerdict::Unverified);
    }

    #[test]
    fn a_new_pin_is_judged_by_the_rules_of_choice_and_then_told_from_a_wrong_one() {
        let desk = desk();
        let chosen = |pin: &str| {
            let block: [u8; 8] = block(pin).try_into().unwrap();
            desk.chosen(block, &pan(), &CARD)
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
        assert_eq!(desk.chosen([0; 8], &pan(), &CARD), NewPin::Malformed);
        let NewPin::Chosen(reference) = chosen("9357") else {
            panic!("it may be chosen");
        };
        desk.changed(&CARD, reference);
        let verdict = |pin| desk.verdict(&block(pin), &pan(), &CARD);
        assert_eq!(verdict("9357"), PinVerdict::Correct);
        assert_eq!(verdict("2580"), PinVerdict::Wrong);
        let stranger = CardToken([8; 16]);
        let block: [u8; 8] = block("9357").try_into().unwrap();
        assert_eq!(desk.chosen(block, &pan(), &stranger), NewPin::CannotBeMade);
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
            assert_eq!(desk.verdict(&block(pin), &pan(), &card), verdict);
        }
        assert_eq!(desk.check("25801", None, &one), PinVerdict::Malformed);
    }

    #[test]
    fn mistakes_of_a_key_file_are_told_without_a_key() {
        let key = "0123456789ABCDEFFEDCBA9876543210";
        for (text, part) in [
            (format!("zone_key = \"{key}\""), "expected zone_key"),
            (format!("zone = \"{key}\""), "expected zone_key"),
            (
                format!("zone_key = \"{key}0\"\nverification_key = []"),
                "zone_key: a TDES key: expected 32",
            ),
            (
                format!(
                    "zone_key = \"{key}\"\n[[verification_key]]\nindex = 1\nkey = \"{key}\"\n\
                     [[verification_key]]\nindex = 1\nkey = \"{key}\""
                ),
                "verification_key[1].index: it is there already",
            ),
            (
                format!("zone_key = \"{key}\"\n[[verification_key]]\nindex = 10\nkey = \"{key}\""),
                "expected 0 to 9, got 10",
            ),
        ] {
            let error = PinKeys::parse("keys", &text).err().unwrap().to_string();
            assert!(error.contains(part), "{error}");
            assert!(!error.contains("0123456789"), "a key is shown");
        }
    }
}
