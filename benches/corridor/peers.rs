//! The servers under measurement, each a child process that ends with the bench.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::thread;
use std::time::Duration;

use cardswitch::cli::acquirer::load::LoadCard;
use cardswitch::crypto::key::TdesKey;
use cardswitch::crypto::pin_block::Pin;
use cardswitch::crypto::pvv::pvv;

use super::{FRAMING, SPEC};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PeerKind {
    Echo,
    Durable,
    Cardswitch,
    /// The switch on sled alone, without its commit ring.
    WithoutRing,
    /// The switch with a PIN to judge in every message, and an authentication code to judge in it
    /// and to make for its answer.
    PinMac,
}

impl PeerKind {
    pub(crate) const ALL: [Self; 5] = [
        Self::Echo,
        Self::Durable,
        Self::Cardswitch,
        Self::WithoutRing,
        Self::PinMac,
    ];

    /// Whether it is the switch, which has more busy threads than there are cores.
    pub(crate) fn is_switch(self) -> bool {
        matches!(self, Self::Cardswitch | Self::WithoutRing | Self::PinMac)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Durable => "durable",
            Self::Cardswitch => "cardswitch",
            Self::WithoutRing => "no-ring",
            Self::PinMac => "pin-mac",
        }
    }
}

impl FromStr for PeerKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| "expected echo, durable, cardswitch, no-ring or pin-mac".to_owned())
    }
}

/// A running server.
pub(crate) struct Peer {
    pub(crate) kind: PeerKind,
    pub(crate) address: String,
    child: Child,
    /// Folder of the switch's store, removed with it.
    folder: Option<PathBuf>,
}

impl Peer {
    /// Starts a server and waits until it takes connections.
    pub(crate) fn start(
        kind: PeerKind,
        cards: &[LoadCard],
        config: Option<&Path>,
        is_smoke: bool,
    ) -> Result<Self, Box<dyn Error>> {
        match kind {
            PeerKind::Echo | PeerKind::Durable => Self::start_echo(kind, is_smoke),
            PeerKind::Cardswitch | PeerKind::WithoutRing | PeerKind::PinMac => {
                Self::start_switch(kind, cards, config)
            }
        }
    }

    fn start_echo(kind: PeerKind, is_smoke: bool) -> Result<Self, Box<dyn Error>> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--server", kind.name()]);
        if is_smoke {
            command.arg("--test");
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut address = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut address)?;
        }
        let peer = Self {
            kind,
            address: address.trim().to_owned(),
            child,
            folder: None,
        };
        if peer.address.is_empty() {
            Err("did not start".into())
        } else {
            Ok(peer)
        }
    }

    fn start_switch(
        kind: PeerKind,
        cards: &[LoadCard],
        config: Option<&Path>,
    ) -> Result<Self, Box<dyn Error>> {
        let folder = work_dir()?.join(format!("{}-{}", kind.name(), std::process::id()));
        fs::create_dir_all(&folder)?;
        let import = folder.join("cards.toml");
        fs::write(&import, import_file(kind, cards)?)?;
        let address = free_address()?;
        // One that was given has no keys.
        let config = match config.filter(|_| kind != PeerKind::PinMac) {
            Some(config) => config.to_owned(),
            None => write_config(&folder, kind, &address)?,
        };
        let data = folder.join("data");
        let command = |name: &str| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_cardswitch"));
            command
                .arg(name)
                .arg("--config")
                .arg(&config)
                .arg("--data")
                .arg(&data);
            command.stdin(Stdio::null()).stdout(Stdio::null());
            command
        };
        let status = command("import").arg(&import).status()?;
        if !status.success() {
            return Err(format!("the import of the cards ended with {status}").into());
        }
        let mut serve = command("serve");
        if kind != PeerKind::PinMac {
            serve.args(["--listen", &format!("{address},{FRAMING},{SPEC}")]);
        }
        let child = serve.args(["--admin", &free_address()?]).spawn()?;
        let mut peer = Self {
            kind,
            address,
            child,
            folder: Some(folder),
        };
        peer.wait_until_listening()?;
        Ok(peer)
    }

    fn wait_until_listening(&mut self) -> Result<(), Box<dyn Error>> {
        for _ in 0..START_TRIES {
            if TcpStream::connect(&self.address).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("ended with {status} before it listened").into());
            }
            thread::sleep(START_PAUSE);
        }
        Err("did not listen in time".into())
    }

    /// What the scheduler gave all its threads so far; zeros where the system does not tell.
    pub(crate) fn cpu(&self) -> Cpu {
        let tasks = format!("/proc/{}/task", self.child.id());
        let mut cpu = Cpu::default();
        for entry in fs::read_dir(tasks).into_iter().flatten().flatten() {
            let text = fs::read_to_string(entry.path().join("schedstat")).unwrap_or_default();
            let mut figures = text
                .split_whitespace()
                .map(|figure| figure.parse().unwrap_or(0));
            cpu.run_ns += figures.next().unwrap_or(0);
            cpu.wait_ns += figures.next().unwrap_or(0);
        }
        cpu
    }
}

/// Time on a core, and time runnable but waiting for one because something else held it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cpu {
    pub(crate) run_ns: u64,
    pub(crate) wait_ns: u64,
}

impl Cpu {
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            run_ns: self.run_ns.saturating_sub(before.run_ns),
            wait_ns: self.wait_ns.saturating_sub(before.wait_ns),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // An ended child cannot be ended again; there is nothing to do about either failure.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(folder) = &self.folder {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// A switch that replays a store may take this long to listen: 30 seconds.
const START_TRIES: u32 = 600;
const START_PAUSE: Duration = Duration::from_millis(50);

/// Where the bench keeps its files: on the disk of the target folder, never in memory.
pub(crate) fn work_dir() -> io::Result<PathBuf> {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("corridor");
    fs::create_dir_all(&dir)?;
    Ok(dir)
}

fn free_address() -> io::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// Test cards of the shipped programme, numbered upwards, each with its check digit.
pub(crate) fn generate_cards(count: u64) -> Vec<LoadCard> {
    (0..count)
        .map(|number| {
            let body = format!("{BIN}{number:09}");
            LoadCard {
                pan: format!("{body}{}", check_digit(&body)),
                expiry: EXPIRY.to_owned(),
            }
        })
        .collect()
}

const BIN: &str = "476173";
const EXPIRY: &str = "4912";

/// The Luhn digit that completes a number.
fn check_digit(body: &str) -> u32 {
    let digits = body.chars().rev().filter_map(|digit| digit.to_digit(10));
    let sum: u32 = digits
        .enumerate()
        .map(|(index, digit)| match (index % 2, digit * 2) {
            (0, doubled) if doubled > 9 => doubled - 9,
            (0, doubled) => doubled,
            _ => digit,
        })
        .sum();
    (10 - sum % 10) % 10
}

fn import_file(kind: PeerKind, cards: &[LoadCard]) -> Result<String, Box<dyn Error>> {
    let mut text = String::new();
    let key = TdesKey::from_hex(PVV_KEY)?;
    let pin = Pin::from_digits(PIN).map_err(|_| "no PIN")?;
    for LoadCard { pan, expiry } in cards {
        let pin = match kind {
            PeerKind::PinMac => {
                let value = pvv(&key, 1, pan, &pin).ok_or("no verification value")?;
                let value: String = value.map(|digit| char::from(b'0' | digit)).iter().collect();
                format!("pin = {{ key_index = 1, verification_value = \"{value}\" }}\n")
            }
            _ => String::new(),
        };
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "[[card]]\npan = \"{pan}\"\nexpiry = \"{expiry}\"\nprogramme = \"prepaid-jp\"\n\
             born = \"1987-11-25\"\nkyc = \"verified\"\n{pin}\
             purses = {{ withdrawable = 2500000, non-withdrawable = 0 }}\n\n"
        );
    }
    Ok(text)
}

/// Test keys and the PIN of all cards.
pub(crate) const ZONE_KEY: &str = "0123456789ABCDEFFEDCBA9876543210";
pub(crate) const MAC_KEY: &str = "CDABEF01234567891032547698BADCFE";
const PVV_KEY: &str = "89ABCDEF0123456776543210FEDCBA98";
pub(crate) const PIN: &str = "2580";

/// The shipped programme with the same limits, counted but out of reach, and a quiet log.
fn write_config(folder: &Path, kind: PeerKind, address: &str) -> Result<PathBuf, Box<dyn Error>> {
    let mut programme: toml::Table =
        include_str!("../../spec/programme/prepaid-jp.toml").parse()?;
    if let Some(limits) = programme
        .get_mut("limit")
        .and_then(toml::Value::as_array_mut)
    {
        for limit in limits.iter_mut().filter_map(toml::Value::as_table_mut) {
            let is_added_up = match limit.get("window") {
                Some(toml::Value::String(name)) => name == "week",
                _ => true,
            };
            // Transfers are counted one by one.
            let channel = limit.get("channel").and_then(toml::Value::as_str);
            let is_added_up = is_added_up || channel == Some("transfer");
            let count_max = if is_added_up {
                ADDED_UP_COUNT_MAX
            } else {
                COUNT_MAX
            };
            for (key, out_of_reach) in [("amount_max", AMOUNT_MAX), ("count_max", count_max)] {
                if let Some(value) = limit.get_mut(key) {
                    *value = toml::Value::Integer(out_of_reach);
                }
            }
        }
    }
    let programmes = folder.join("programme");
    fs::create_dir_all(&programmes)?;
    fs::write(
        programmes.join("prepaid-jp.toml"),
        toml::to_string(&programme)?,
    )?;
    let config = folder.join("config.toml");
    let mut table = toml::Table::new();
    table.insert(
        "programmes_dir".to_owned(),
        programmes.display().to_string().into(),
    );
    if kind == PeerKind::WithoutRing {
        let journal = toml::Table::from_iter([("ring_mib".to_owned(), 0.into())]);
        table.insert("journal".to_owned(), journal.into());
    }
    let mut text = toml::to_string(&table)?;
    if kind == PeerKind::PinMac {
        let keys = folder.join("keys.toml");
        fs::write(
            &keys,
            format!(
                "zone_key = \"{ZONE_KEY}\"\n[[verification_key]]\nindex = 1\nkey = \"{PVV_KEY}\"\n\
                 [[key]]\nname = \"mac\"\nusage = \"M3\"\nkey = \"{MAC_KEY}\"\n"
            ),
        )?;
        text = format!(
            "pin_keys = {:?}\n{text}\n[[listener]]\nname = \"bench\"\naddress = \"{address}\"\n\
             framing = \"{FRAMING}\"\nspec = \"{SPEC}\"\n\
             mac = {{ key = \"mac\", algorithm = \"x9.19\" }}\n",
            keys.display().to_string()
        );
    }
    fs::write(&config, text)?;
    Ok(config)
}

const AMOUNT_MAX: i64 = 900_000_000_000;
const COUNT_MAX: i64 = 4_000_000_000;
/// The most that a limit may count whose window is added up from its entries.
const ADDED_UP_COUNT_MAX: i64 = 1_000;
