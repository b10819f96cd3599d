//! Keys of links that their peers may change over the network (0800), and the file that keeps them.
//!
//! A new key comes enciphered under a key-exchange key, is taken in by whoever keeps the keys
//! (`crypto/hsm.rs`), and is kept as it came: of use only to who has the key-exchange key. The key
//! before stays good for a while, so that what is on its way still counts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use crate::crypto::hsm::{Hsm, HsmError, ImportKey, KeyForm};
use crate::crypto::key::scrub_stack;
use crate::domain::time::UnixMs;

use super::clock;
use super::config::{LinkKeys, Listener};
use super::key_file::write_whole;
use super::mac::{LinkMac, Seal, expect_key};
use super::pin::PinDesk;

/// File of the keys inside the data directory.
const FILE: &str = "link-keys.toml";
/// The form of the file.
const FORMAT: u32 = 1;
/// Names that the keys of one link and kind take in turn: the newest, the one before it, and the
/// next, which must not replace either before it is proven.
const SLOTS: u8 = 3;

/// What a key of a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkKeyKind {
    /// Messages.
    Mac,
    /// PIN blocks.
    Pin,
}

impl LinkKeyKind {
    fn word(self) -> &'static str {
        match self {
            LinkKeyKind::Mac => "mac",
            LinkKeyKind::Pin => "pin",
        }
    }
}

/// A key of a link: the one in force, and the one before it for as long as it is good.
#[derive(Debug)]
pub struct LinkKey {
    held: RwLock<Held>,
}

#[derive(Clone, Debug)]
struct Held {
    current: Seal,
    previous: Option<(Seal, UnixMs)>,
}

impl LinkKey {
    /// A key that was never changed.
    pub fn new(name: &str) -> LinkKey {
        let held = Held {
            current: name.into(),
            previous: None,
        };
        LinkKey {
            held: RwLock::new(held),
        }
    }

    /// Name of the key in force.
    pub fn current(&self) -> Seal {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&held.current)
    }

    /// Name of the key before it, while that is good.
    pub fn previous(&self) -> Option<Seal> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let (name, until) = held.previous.as_ref()?;
        (clock::now() < *until).then(|| Arc::clone(name))
    }

    fn change(&self, to: &str, good_until: UnixMs) {
        let held = self.held.write();
        let mut held = held.unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut held.current, to.into());
        held.previous = Some((before, good_until));
    }
}

/// A key as the network brings it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// What it is for.
    pub kind: LinkKeyKind,
    /// The key under the key-exchange key.
    pub form: KeyForm,
    /// Its check value, where it came with one.
    pub check_value: Option<[u8; 3]>,
}

/// A new key that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// The link changes no such key.
    #[error("this link changes no key of this kind ({0})")]
    NotOffered(&'static str),
    /// It was refused by whoever keeps the keys.
    #[error("{0}")]
    Refused(HsmError),
    /// It is another key than its check value says.
    #[error("it has another check value than came with it")]
    CheckValue,
    /// It cannot be kept.
    #[error("keep it: {0}")]
    NotKept(String),
}

/// A key that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// What it is for.
    pub kind: LinkKeyKind,
    /// Its check value.
    pub check_value: [u8; 3],
    /// Whether it is the one in force already.
    pub is_known: bool,
}

/// A file of keys that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("link keys {file}: {what}")]
pub struct LinkKeysError {
    file: String,
    what: String,
}

/// The keys of all links, and what of them came over the network.
pub struct LinkKeyBook {
    path: PathBuf,
    pages: Mutex<Pages>,
}

#[derive(Default)]
struct Pages {
    rows: Vec<Row>,
    keys: BTreeMap<(String, LinkKeyKind), (String, Arc<LinkKey>)>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    #[serde(default)]
    key: Vec<Row>,
}

/// One key that came, the newer behind the older.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    link: String,
    kind: LinkKeyKind,
    /// Name of the key in the configuration that it took the place of.
    base: String,
    slot: u8,
    came_ms: i64,
    under: String,
    usage: String,
    /// A key block, or the halves of a key as 32 digits.
    key: String,
    check_value: String,
}

impl Row {
    fn name(&self) -> String {
        format!("{}/{}/{}", self.link, self.kind.word(), self.slot)
    }

    fn is_of(&self, link: &str, kind: LinkKeyKind) -> bool {
        self.link == link && self.kind == kind
    }

    fn form(&self) -> KeyForm {
        match halves(&self.key) {
            Some(halves) => KeyForm::Halves(halves),
            None => KeyForm::Block(self.key.clone()),
        }
    }

    /// Has the key taken in, and its check value compared.
    fn import(&self, hsm: &dyn Hsm) -> Result<[u8; 3], NotTaken> {
        let note = hsm.import_key(&ImportKey {
            name: &self.name(),
            usage: &self.usage,
            under: &self.under,
            form: &self.form(),
        });
        let note = note.map_err(NotTaken::Refused)?;
        let value = note.check_value.ok_or(NotTaken::CheckValue)?;
        let expected = &self.check_value;
        match expected.is_empty() || *expected == base16ct::upper::encode_string(&value) {
            true => Ok(value),
            false => Err(NotTaken::CheckValue),
        }
    }
}

/// The two halves of a key in digits.
pub(super) fn halves(digits: &str) -> Option<[u8; 16]> {
    let mut halves = [0; 16];
    let decoded = base16ct::mixed::decode(digits, &mut halves).ok()?;
    (decoded.len() == 16).then_some(halves)
}

fn text_of(form: &KeyForm) -> String {
    match form {
        KeyForm::Block(block) => block.clone(),
        KeyForm::Halves(halves) => base16ct::upper::encode_string(halves),
    }
}

impl LinkKeyBook {
    /// Reads what is kept in a data directory.
    ///
    /// # Errors
    /// The file cannot be read, or is none.
    pub fn open(data_dir: &Path) -> Result<LinkKeyBook, LinkKeysError> {
        let path = data_dir.join(FILE);
        let wrong = |what: String| LinkKeysError {
            file: path.display().to_string(),
            what,
        };
        let rows = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(wrong(error.to_string())),
            Ok(text) => {
                // What TOML says may quote a line; its first line is about the place only.
                let file: File = toml::from_str(&text).map_err(|error| {
                    let first = error.message().lines().next().unwrap_or_default();
                    wrong(format!("expected format and rows of [[key]]: {first}"))
                })?;
                if file.format != FORMAT {
                    return Err(wrong(format!(
                        "expected format {FORMAT}, got {}",
                        file.format
                    )));
                }
                file.key
            }
        };
        let keys = BTreeMap::new();
        let pages = Mutex::new(Pages { rows, keys });
        Ok(LinkKeyBook { path, pages })
    }

    /// The key of a link that the configuration calls `base`; the newest that came in its place,
    /// where one did. Links of one name have one key.
    ///
    /// # Errors
    /// A key that came cannot be taken in again.
    pub fn key(
        &self,
        hsm: &dyn Hsm,
        (link, kind): (&str, LinkKeyKind),
        base: &str,
        overlap_ms: u64,
    ) -> Result<Arc<LinkKey>, LinkKeysError> {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (link.to_owned(), kind);
        if let Some((_, key)) = pages.keys.get(&place).filter(|(known, _)| known == base) {
            return Ok(Arc::clone(key));
        }
        // Who names another key in the configuration wants that one.
        pages
            .rows
            .retain(|row| !row.is_of(link, kind) || row.base == base);
        let key = LinkKey::new(base);
        for row in pages.rows.iter().filter(|row| row.is_of(link, kind)) {
            row.import(hsm).map_err(|error| LinkKeysError {
                file: self.path.display().to_string(),
                what: format!("{} of link {link}: {error}", kind.word()),
            })?;
            key.change(&row.name(), after(UnixMs(row.came_ms), overlap_ms));
        }
        let key = Arc::new(key);
        pages
            .keys
            .insert(place, (base.to_owned(), Arc::clone(&key)));
        Ok(key)
    }

    /// Keeps a key that was proven, and the one before it.
    fn keep(&self, row: Row) -> Result<(), NotTaken> {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let of_link = |it: &&Row| it.is_of(&row.link, row.kind);
        let before = pages.rows.iter().rev().find(of_link).cloned();
        let others = pages.rows.iter().filter(|it| !of_link(it)).cloned();
        let rows: Vec<Row> = others.chain(before).chain([row.clone()]).collect();
        let file = File {
            format: FORMAT,
            key: rows,
        };
        let text = toml::to_string(&file).map_err(|error| NotTaken::NotKept(error.to_string()))?;
        write_whole(&self.path, &text).map_err(|error| NotTaken::NotKept(error.to_string()))?;
        pages.rows = file.key;
        Ok(())
    }

    /// The newest key that came for a link.
    fn newest(&self, link: &str, kind: LinkKeyKind) -> Option<Row> {
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = pages.rows.iter().rev().find(|row| row.is_of(link, kind));
        newest.cloned()
    }
}

fn after(time: UnixMs, ms: u64) -> UnixMs {
    UnixMs(time.0.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX)))
}

/// How a link takes new keys.
pub struct KeyExchange {
    /// Whoever keeps the keys.
    pub hsm: Arc<dyn Hsm>,
    /// Where they are written down.
    pub book: Arc<LinkKeyBook>,
    /// Name of the link.
    pub link: String,
    /// Name of the key-exchange key.
    pub under: String,
    /// How long the key before a new one stays good, milliseconds.
    pub overlap_ms: u64,
    /// What authenticates its messages.
    pub mac: Option<Arc<LinkMac>>,
    /// What its PIN blocks come under, with its name in the configuration.
    pub pin: Option<(String, Arc<LinkKey>)>,
    /// One exchange at a time.
    pub turn: Mutex<()>,
}

impl KeyExchange {
    /// Takes a new key. Blocks: whoever keeps the keys is asked, and a file is written.
    ///
    /// # Errors
    /// [`NotTaken`]; then the key in force stays.
    pub fn take(&self, new: &NewKey, now: UnixMs) -> Result<Taken, NotTaken> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = new.kind;
        let place = match kind {
            LinkKeyKind::Mac => self
                .mac
                .as_ref()
                .map(|mac| (mac.base(), mac.usage(), mac.key())),
            LinkKeyKind::Pin => self
                .pin
                .as_ref()
                .map(|(base, key)| (base.as_str(), "P0", key)),
        };
        let (base, usage, key) = place.ok_or(NotTaken::NotOffered(kind.word()))?;
        let newest = self.book.newest(&self.link, kind);
        let came = text_of(&new.form);
        if let Some(row) = newest.as_ref().filter(|row| row.key == came) {
            // The same once more, as who missed the answer sends it.
            let mut value = [0; 3];
            let known = base16ct::mixed::decode(&row.check_value, &mut value).is_ok();
            let is_same = new.check_value.is_none_or(|came| came == value);
            return match known && is_same {
                true => Ok(Taken {
                    kind,
                    check_value: value,
                    is_known: true,
                }),
                false => Err(NotTaken::CheckValue),
            };
        }
        let mut row = Row {
            link: self.link.clone(),
            kind,
            base: base.to_owned(),
            slot: newest.map_or(1, |row| row.slot % SLOTS + 1),
            came_ms: now.0,
            under: self.under.clone(),
            usage: usage.to_owned(),
            key: came,
            check_value: new
                .check_value
                .map(|value| base16ct::upper::encode_string(&value))
                .unwrap_or_default(),
        };
        let imported = row.import(&*self.hsm);
        scrub_stack();
        let check_value = imported?;
        row.check_value = base16ct::upper::encode_string(&check_value);
        let name = row.name();
        self.book.keep(row)?;
        key.change(&name, after(now, self.overlap_ms));
        Ok(Taken {
            kind,
            check_value,
            is_known: false,
        })
    }
}

/// What a link's configuration says of keys, with whoever keeps them.
pub(super) struct KeysOfLink {
    pub(super) mac: Option<Arc<LinkMac>>,
    pub(super) pin: Option<Arc<LinkKey>>,
    pub(super) exchange: Option<Arc<KeyExchange>>,
}

impl KeysOfLink {
    /// Finds the keys of a link.
    ///
    /// # Errors
    /// One is not there, is for something else, or cannot be taken in again.
    pub(super) fn of(
        listener: &Listener,
        pins: &PinDesk,
        book: &Arc<LinkKeyBook>,
    ) -> Result<KeysOfLink, String> {
        let (link, keys) = (&listener.name, &listener.keys);
        if *keys == LinkKeys::default() {
            return Ok(KeysOfLink {
                mac: None,
                pin: None,
                exchange: None,
            });
        }
        let hsm = pins.hsm().ok_or("its keys: there are none")?;
        let exchange = keys.exchange.as_ref();
        if let Some(exchange) = exchange {
            expect_key(&**hsm, "key_exchange", &exchange.under, "K0 or K1")?;
        }
        let overlap_ms = exchange.map_or(0, |it| it.overlap_seconds.saturating_mul(1_000));
        let key_of =
            |kind: LinkKeyKind, base: &str| book.key(&**hsm, (link, kind), base, overlap_ms);
        let mac = keys.mac.as_ref().map(|mac| {
            let key_of = |base: &str| key_of(LinkKeyKind::Mac, base);
            LinkMac::new(Arc::clone(hsm), mac, key_of).map(Arc::new)
        });
        let mac = mac.transpose()?;
        let pin = keys.pin_key.as_ref().map(|base| {
            expect_key(&**hsm, "pin_key", base, "P0")?;
            let key = key_of(LinkKeyKind::Pin, base).map_err(|error| error.to_string())?;
            Ok::<_, String>((base.clone(), key))
        });
        let pin = pin.transpose()?;
        let exchange = exchange.map(|exchange| KeyExchange {
            hsm: Arc::clone(hsm),
            book: Arc::clone(book),
            link: link.clone(),
            under: exchange.under.clone(),
            overlap_ms,
            mac: mac.clone(),
            pin: pin.clone(),
            turn: Mutex::new(()),
        });
        Ok(KeysOfLink {
            mac,
            pin: pin.map(|(_, key)| key),
            exchange: exchange.map(Arc::new),
        })
    }
}
