//! Says where card data of an account are left in a store, or that none are.
//!
//! Nobody has kept what to look for. It is read where it still stands: whatever names a card of the
//! account does so by the card's number inside the switch, which the state keeps for ever, and
//! beside its token. Where no record and no checkpoint has such a name, there is none in the store;
//! logs are searched by the number of the account as well.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::domain::account::AccountId;
use crate::domain::card::CardId;
use crate::domain::pan::{CardToken, MaskedPan, Pan};
use crate::engine::event::{AccountOpened, CardIssued, Decided, Event};
use crate::engine::operation::Operation;
use crate::engine::operation_card::CardOperation;
use crate::engine::operation_end::Ending;
use crate::engine::operation_holder::HolderOperation;
use crate::engine::record;
use crate::engine::state::State;
use crate::journal::{self, CopyProgress, HeldStore, SledOptions, Whereabouts};
use crate::switch::config::LOG_DIRECTORY;
use crate::switch::restore;
use crate::switch::token::TokenKey;

use super::import::Failed;
use super::store_search::{Needles, Times, files_below};
use super::store_verify::{Scratch, share};

/// What is asked.
pub(super) struct Question<'a> {
    pub(super) store: &'a Path,
    pub(super) log: Option<&'a Path>,
    pub(super) scratch: Option<&'a Path>,
    pub(super) account: AccountId,
    /// Numbers that somebody has and gave for this.
    pub(super) numbers: Vec<Pan>,
}

/// Where something is left.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Generation(u64),
    Ring,
    Checkpoint(u64),
    /// Any other file, by its path in the store.
    File(PathBuf),
}

/// What is left in one place.
#[derive(Clone, Copy, Default)]
struct Left {
    /// Records that name a card of the account, or cards of it in a checkpoint.
    named: u64,
    /// First and last of those records.
    span: Option<(u64, u64)>,
    times: Times,
}

impl Left {
    fn note(&mut self, sequence: u64) {
        self.named = self.named.saturating_add(1);
        let first = self.span.map_or(sequence, |span| span.0.min(sequence));
        let last = self.span.map_or(sequence, |span| span.1.max(sequence));
        self.span = Some((first, last));
    }

    /// Whether it says anything of the account. Bytes alone do not where somebody else has them by
    /// now: then records, rows and lines tell whose they are.
    fn counts(&self, others: Others) -> bool {
        self.named > 0
            || self.times.lines > 0
            || (self.times.tokens > 0 && !others.have_token)
            || (self.times.masked > 0 && !others.have_masked)
    }
}

/// What other cards of the store share with those that are looked for.
#[derive(Clone, Copy, Default)]
struct Others {
    /// A number was issued anew.
    have_token: bool,
    /// Another card has the same first six and last four digits.
    have_masked: bool,
}

/// What was found.
pub(super) struct Found {
    account: AccountId,
    ending: Option<Ending>,
    cards: usize,
    tokens: usize,
    given: usize,
    others: Others,
    places: BTreeMap<Place, Left>,
}

/// What is looked for.
struct Sought {
    account: AccountId,
    cards: BTreeSet<CardId>,
    tokens: BTreeSet<CardToken>,
    masked: BTreeMap<String, MaskedPan>,
}

/// Card numbers from standard input, a line each.
pub(super) fn numbers_given() -> Result<Vec<Pan>, Failed> {
    let mut numbers = Vec::new();
    for line in io::stdin().lock().lines() {
        let line = line.map_err(|error| (66, format!("read standard input: {error}")))?;
        let line = Zeroizing::new(line);
        if line.trim().is_empty() {
            continue;
        }
        let number = Pan::parse(line.trim());
        let wrong = || (64, "expected a card number in each line".to_owned());
        numbers.push(number.ok_or_else(wrong)?);
    }
    match numbers.is_empty() {
        true => Err((64, "expected a card number on standard input".to_owned())),
        false => Ok(numbers),
    }
}

/// Searches a store that nobody has open; nothing in it is written, what is opened is a copy.
pub(super) fn search(question: &Question<'_>, progress: &CopyProgress) -> Result<Found, Failed> {
    let store = question.store;
    if !store.join("j").is_dir() {
        return Err((66, format!("there is no store in {}", store.display())));
    }
    let _in_use = share(store)?;
    let scratch = Scratch::make(question.scratch)?;
    let copy = &scratch.0;
    journal::copy_files(store, copy, progress).map_err(|error| (73, error.to_string()))?;
    let state = state_of(copy)?;
    // Opened under another size it would be made anew; what is searched is the one that was found.
    let ring = store.join("ring");
    if ring.is_file() {
        fs::copy(&ring, copy.join("ring")).map_err(|error| (73, error.to_string()))?;
    }
    let account = question.account;
    let record = state.account(account);
    let missing = || {
        (
            66,
            format!("there is no account {} in this store", account.0),
        )
    };
    let record = record.ok_or_else(missing)?;
    let mut sought = Sought {
        account,
        cards: record.cards.iter().copied().collect(),
        tokens: BTreeSet::new(),
        masked: BTreeMap::new(),
    };
    if !question.numbers.is_empty() {
        let key = TokenKey::open(copy, false).map_err(|error| (65, error.to_string()))?;
        for number in &question.numbers {
            sought.learn(key.token(number), Some(number.masked()));
        }
    }
    let mut places = BTreeMap::new();
    survey(copy, &mut |_, _, event| sought.learn_from(event))?;
    checkpoints(copy, &mut sought, &mut places)?;
    survey(copy, &mut |whereabouts, sequence, event| {
        if sought.is_named_by(event) {
            let place = match whereabouts {
                Whereabouts::Generation(number) => Place::Generation(number),
                Whereabouts::Ring => Place::Ring,
            };
            places.entry(place).or_default().note(sequence);
        }
    })?;
    let needles = Needles::of(
        account,
        sought.tokens.iter().copied(),
        sought.masked.values().copied(),
    );
    let read = read_files(question, &needles, &mut places);
    read.map_err(|error| (73, format!("read {}: {error}", store.display())))?;
    Ok(Found {
        account,
        ending: state.ending(account),
        cards: sought.cards.len(),
        tokens: sought.tokens.len(),
        given: question.numbers.len(),
        others: sought.others(&state),
        places,
    })
}

fn told(error: impl ToString) -> Failed {
    (65, error.to_string())
}

/// The state that checkpoints and journal make.
fn state_of(copy: &Path) -> Result<State, Failed> {
    let options = SledOptions::standard();
    let held = HeldStore::take(copy).map_err(told)?;
    let restored = restore::newest(&held.checkpoints(options.cache_bytes));
    let base = restored.base.map(|base| base.position);
    let mut state = restored.state;
    let mut apply = |records: journal::Records<'_>| restore::apply_frame(&mut state, records);
    let opened = held.open(options, base, &mut apply).map_err(told)?;
    opened.close().map_err(told)?;
    Ok(state)
}

/// Hands over every record that the files have.
fn survey(copy: &Path, take: &mut dyn FnMut(Whereabouts, u64, &Event)) -> Result<(), Failed> {
    let held = HeldStore::take(copy).map_err(told)?;
    let cache_bytes = SledOptions::standard().cache_bytes;
    let surveyed = held.survey(cache_bytes, &mut |whereabouts, sequence, bytes| {
        let (_, event) = record::decode(bytes).map_err(|error| error.to_string())?;
        take(whereabouts, sequence, &event);
        Ok(())
    });
    surveyed.map_err(told)
}

/// Looks into every checkpoint for cards of the account that are not erased.
fn checkpoints(
    copy: &Path,
    sought: &mut Sought,
    places: &mut BTreeMap<Place, Left>,
) -> Result<(), Failed> {
    let held = HeldStore::take(copy).map_err(told)?;
    let checkpoints = held.checkpoints(SledOptions::standard().cache_bytes);
    for label in checkpoints.list().map_err(told)? {
        let label = label.map_err(told)?;
        let state = restore::load(&checkpoints, &label).map_err(told)?;
        let cards = sought.cards.iter().filter_map(|card| state.card(*card));
        let cards: Vec<_> = cards.filter(|card| !card.is_erased()).cloned().collect();
        for card in &cards {
            sought.learn(card.token, Some(card.masked));
            for (token, device) in state.devices_of(card.id) {
                sought.learn(token, Some(device.masked));
            }
        }
        if !cards.is_empty() {
            let place = places.entry(Place::Checkpoint(label.position.sequence));
            place.or_default().named = u64::try_from(cards.len()).unwrap_or(u64::MAX);
        }
    }
    Ok(())
}

impl Sought {
    fn learn(&mut self, token: CardToken, masked: Option<MaskedPan>) {
        self.tokens.insert(token);
        if let Some(masked) = masked.filter(|masked| !masked.is_erased()) {
            self.masked.insert(masked.to_string(), masked);
        }
    }

    /// Takes the tokens out of a record that names a card of the account.
    fn learn_from(&mut self, event: &Event) {
        match event {
            Event::Decided(decided) if self.is_about(decided.card) => {
                self.learn(decided.facts.card, None);
            }
            Event::AccountOpened(opened) => self.learn_opened(opened),
            Event::Operated(operation) => match operation.as_ref() {
                Operation::Holder(HolderOperation::AccountOpened { opened, .. }) => {
                    self.learn_opened(opened);
                }
                Operation::CardReplaced { with, .. } => self.learn_issued(with),
                Operation::DeviceTokenAdded {
                    card,
                    token,
                    masked,
                } if self.cards.contains(card) => self.learn(*token, Some(*masked)),
                _ => {}
            },
            _ => {}
        }
    }

    fn learn_opened(&mut self, opened: &AccountOpened) {
        if opened.account == self.account {
            self.cards.insert(opened.card.card);
        }
        self.learn_issued(&opened.card);
    }

    fn learn_issued(&mut self, issued: &CardIssued) {
        if self.cards.contains(&issued.card) {
            self.learn(issued.token, Some(issued.masked));
        }
    }

    fn is_about(&self, card: Option<CardId>) -> bool {
        card.is_some_and(|card| self.cards.contains(&card))
    }

    /// Whether a record has something that a card of the account is known by.
    fn is_named_by(&self, event: &Event) -> bool {
        match event {
            Event::Decided(decided) => self.is_named_by_message(decided),
            Event::AccountOpened(opened) => self.cards.contains(&opened.card.card),
            Event::PinSet(card, _) => self.cards.contains(card),
            Event::Operated(operation) => match operation.as_ref() {
                Operation::CardReplaced { with, .. } => self.cards.contains(&with.card),
                Operation::DeviceTokenAdded { card, .. } => self.cards.contains(card),
                Operation::Holder(HolderOperation::AccountOpened { opened, .. }) => {
                    self.cards.contains(&opened.card.card)
                }
                Operation::Holder(HolderOperation::CardsEnded(cards)) => {
                    cards.iter().any(|row| self.cards.contains(&row.0))
                }
                Operation::Card(CardOperation::PinChanged(card, _)) => self.cards.contains(card),
                _ => false,
            },
            Event::Housekept(_)
            | Event::LinkNamed(..)
            | Event::PinUnlocked(_)
            | Event::CutOver(..)
            | Event::Reconciled(_) => false,
        }
    }

    /// A message about a card of the account, or one with its number while nobody had it.
    fn is_named_by_message(&self, decided: &Decided) -> bool {
        match decided.card {
            Some(card) => self.cards.contains(&card),
            None => self.tokens.contains(&decided.facts.card),
        }
    }

    /// What other cards of the state have in common with those that are looked for.
    fn others(&self, state: &State) -> Others {
        let others = state.cards().iter();
        let mut others = others.filter(|card| !self.cards.contains(&card.id));
        let found = |token: &CardToken| state.card_by_token(token);
        let mut holders = self.tokens.iter().filter_map(found);
        Others {
            have_token: holders.any(|card| !self.cards.contains(&card.id)),
            have_masked: others.any(|card| self.masked.contains_key(card.masked.as_str())),
        }
    }
}

/// Reads every file of the store, and the log.
fn read_files(
    question: &Question<'_>,
    needles: &Needles,
    places: &mut BTreeMap<Place, Left>,
) -> io::Result<()> {
    let own_log = question.store.join(LOG_DIRECTORY);
    let mut add = |place: Place, times: Times| {
        if times != Times::default() {
            places.entry(place).or_default().times.add(times);
        }
    };
    for path in files_below(question.store)? {
        let bytes = fs::read(&path)?;
        let times = match path.starts_with(&own_log) {
            true => needles.in_log(&bytes),
            false => needles.in_bytes(&bytes),
        };
        let name = path.strip_prefix(question.store).unwrap_or(&path);
        add(place_of(name), times);
    }
    for path in question
        .log
        .map(files_below)
        .transpose()?
        .unwrap_or_default()
    {
        if !path.starts_with(&own_log) {
            let times = needles.in_log(&fs::read(&path)?);
            add(Place::File(path), times);
        }
    }
    Ok(())
}

/// What a file of the store belongs to.
fn place_of(name: &Path) -> Place {
    let mut parts = name.iter().filter_map(|part| part.to_str());
    let number = |text: Option<&str>| u64::from_str_radix(text?, 16).ok();
    let known = match parts.next() {
        Some("j") => number(parts.next()).map(Place::Generation),
        Some("c") => number(parts.next()).map(Place::Checkpoint),
        Some("ring") => Some(Place::Ring),
        _ => None,
    };
    known.unwrap_or_else(|| Place::File(name.to_path_buf()))
}

impl Found {
    /// Whether anything is left.
    pub(super) fn is_left(&self) -> bool {
        let is_erased = self.ending.is_some_and(|ending| ending.erased_at.is_some());
        !is_erased || self.places.values().any(|left| left.counts(self.others))
    }

    pub(super) fn json(&self) -> Value {
        let places = self.places.iter().map(|(place, left)| {
            let mut told = match place {
                Place::Generation(number) => json!({ "generation": number }),
                Place::Ring => json!({ "ring": true }),
                Place::Checkpoint(sequence) => json!({ "checkpoint": sequence }),
                Place::File(path) => json!({ "file": path.display().to_string() }),
            };
            let what = match place {
                Place::Checkpoint(_) => "cards",
                _ => "records",
            };
            told[what] = left.named.into();
            if let Some((first, last)) = left.span {
                told["first_sequence"] = first.into();
                told["last_sequence"] = last.into();
            }
            told["tokens"] = left.times.tokens.into();
            told["masked_numbers"] = left.times.masked.into();
            told["log_lines"] = left.times.lines.into();
            told["counts"] = left.counts(self.others).into();
            told
        });
        let ending = self.ending;
        json!({
            "account": self.account.0,
            "closed_at": ending.map(|ending| ending.closed_at.to_string()),
            "erased_at": ending.and_then(|it| it.erased_at).map(|at| at.to_string()),
            "cards": self.cards,
            "tokens_known": self.tokens,
            "numbers_given": self.given,
            "number_issued_anew": self.others.have_token,
            "masked_number_shared": self.others.have_masked,
            "left": self.is_left(),
            "places": places.collect::<Vec<_>>(),
        })
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let erased = match self.ending.and_then(|ending| ending.erased_at) {
            Some(at) => format!("card data erased at {at}"),
            None => "card data not erased: the state has them".to_owned(),
        };
        // Writing into a String does not fail.
        let _ = writeln!(text, "account      {}, {erased}", self.account.0);
        let _ = writeln!(
            text,
            "sought       {} cards, {} tokens ({} numbers given)",
            self.cards, self.tokens, self.given
        );
        if self.others.have_token {
            text += "             a number was issued anew: its bytes alone do not count\n";
        }
        if self.others.have_masked {
            text += "             another card has a masked number of these: it does not count\n";
        }
        for (place, left) in &self.places {
            let place = match place {
                Place::Generation(number) => format!("generation   {number}"),
                Place::Ring => "ring         in it".to_owned(),
                Place::Checkpoint(sequence) => format!("checkpoint   at {sequence}"),
                Place::File(path) => format!("file         {}", path.display()),
            };
            let _ = writeln!(text, "{place}: {}", left.words(self.others));
        }
        text += match self.is_left() {
            true => "LEFT         see above\n",
            false => "none left    nothing in this store names a card of the account\n",
        };
        text
    }
}

impl Left {
    fn words(&self, others: Others) -> String {
        let mut words = Vec::new();
        match self.span {
            Some((first, last)) => {
                words.push(format!("{} records from {first} to {last}", self.named));
            }
            None if self.named > 0 => words.push(format!("{} cards", self.named)),
            None => {}
        }
        let Times {
            tokens,
            masked,
            lines,
        } = self.times;
        for (times, what) in [
            (lines, "log lines of its decisions"),
            (tokens, "times a token"),
            (masked, "times a masked number"),
        ] {
            if times > 0 {
                words.push(format!("{times} {what}"));
            }
        }
        if !self.counts(others) {
            words.push("not counted".to_owned());
        }
        words.join(", ")
    }
}
