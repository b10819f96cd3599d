//! `cardswitch key`: the keys of a key file: made, taken in, given out, listed, sealed anew.
//!
//! A key is never shown. Components and key blocks come in on the standard input; what goes out is
//! a key block under another key of the file.

use std::fs;
use std::io::{BufRead, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use zeroize::Zeroizing;

use crate::crypto::key::{AesKey, TdesKey};
use crate::crypto::key_block::{self, Attributes, ProtectionKey, Version};
use crate::crypto::sealing::{SEALING_KEY, SealingKey};
use crate::switch::key_file::{Algorithm, KeyFile, KeyLabel, check_value};

use super::import::Failed;

/// Where a sealing key may stand instead of in a file.
pub const SEALING_KEY_VARIABLE: &str = "CARDSWITCH_SEALING_KEY";

/// What `key` can be told.
#[derive(Args)]
pub struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Subcommand)]
enum KeyCommand {
    /// Make a sealing key, under which a key file is sealed, and write it to a new file.
    NewSealingKey {
        /// Where it goes; keep it apart from the key file.
        file: PathBuf,
    },
    /// Make a key.
    Generate {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        label: Label,
        /// Its cipher and length.
        #[arg(long, value_enum, default_value = "tdes")]
        algorithm: NewKey,
    },
    /// Take a key in: two or more components, or a key block, from the standard input.
    Import {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        label: Label,
        /// How many components follow, one on each line in hexadecimal; mixed they are the key.
        #[arg(
            long,
            value_name = "N",
            conflicts_with = "under",
            required_unless_present = "under"
        )]
        components: Option<usize>,
        /// Cipher of the key that the components make.
        #[arg(long, value_enum, default_value = "T")]
        cipher: Cipher,
        /// Name of the key that the key block is protected with.
        #[arg(long, value_name = "NAME")]
        under: Option<String>,
    },
    /// Give a key out as a key block (ANSI X9.143) under another key of the file.
    Export {
        #[command(flatten)]
        place: Place,
        /// Name of the key.
        name: String,
        /// Name of the key that protects it, of usage K0 or K1.
        #[arg(long, value_name = "NAME")]
        under: String,
    },
    /// List the keys with their check values; needs no sealing key and proves nothing.
    List {
        /// The key file.
        #[arg(long, value_name = "FILE")]
        keys: PathBuf,
    },
    /// Seal the whole file under a new sealing key.
    Rotate {
        #[command(flatten)]
        place: Place,
        /// File of the new sealing key.
        #[arg(long, value_name = "FILE")]
        new_sealing_key: PathBuf,
    },
}

/// Which key file, and what opens it.
#[derive(Args)]
struct Place {
    /// The key file; made when it is not there.
    #[arg(long, value_name = "FILE")]
    keys: PathBuf,
    /// File of the sealing key; left out: the environment variable `CARDSWITCH_SEALING_KEY`.
    #[arg(long, value_name = "FILE")]
    sealing_key: Option<PathBuf>,
}

/// What a new key shall be for.
#[derive(Args)]
struct Label {
    /// What people shall call it.
    name: String,
    /// Its usage (ANSI X9.143): P0 PIN encryption, V2 PVV, V1 IBM 3624, C0 card verification, E0
    /// EMV, M3 MAC, K0 and K1 key encryption. Of a key block it is what the block says.
    #[arg(long, default_value = "P0")]
    usage: String,
    /// Two digits; the second one of a PVV key is its index.
    #[arg(long = "key-version", default_value = "00")]
    version: String,
    /// Mode of use (ANSI X9.143); N has no limits.
    #[arg(long, default_value = "N")]
    mode: char,
    /// E: may leave in a key block; N: never.
    #[arg(long, default_value = "N")]
    exportability: char,
}

#[derive(Clone, Copy, ValueEnum)]
enum NewKey {
    Tdes,
    Aes128,
    Aes192,
    Aes256,
}

#[derive(Clone, Copy, ValueEnum)]
enum Cipher {
    #[value(name = "T")]
    Tdes,
    #[value(name = "A")]
    Aes,
}

impl Label {
    fn of(self, algorithm: Algorithm) -> KeyLabel {
        KeyLabel {
            name: self.name,
            usage: self.usage,
            algorithm,
            mode: self.mode,
            exportability: self.exportability,
            version: self.version,
            check_value: String::new(),
        }
    }
}

impl Place {
    fn sealing_key(&self) -> Result<SealingKey, Failed> {
        sealing_key(self.sealing_key.as_deref())
    }

    /// The keys that are there; none where there is no file yet.
    fn open(&self) -> Result<(KeyFile, SealingKey), Failed> {
        let key = self.sealing_key()?;
        if !self.keys.exists() {
            return Ok((KeyFile::default(), key));
        }
        let file = KeyFile::load(&self.keys, &key).map_err(|error| (78, error.to_string()))?;
        Ok((file, key))
    }
}

/// The sealing key of a file, else of the environment.
///
/// # Errors
/// Exit code and sentence, never with the key.
pub fn sealing_key(file: Option<&Path>) -> Result<SealingKey, Failed> {
    let (digits, whence) = match file {
        Some(path) => {
            let text = fs::read_to_string(path)
                .map_err(|error| (66, format!("read sealing key {}: {error}", path.display())))?;
            (Zeroizing::new(text), path.display().to_string())
        }
        None => {
            let text = std::env::var(SEALING_KEY_VARIABLE).map_err(|_| {
                let sentence = format!(
                    "no sealing key: expected a file of one, or {SEALING_KEY_VARIABLE} in the \
                     environment; `cardswitch key new-sealing-key FILE` makes one"
                );
                (78, sentence)
            })?;
            (Zeroizing::new(text), SEALING_KEY_VARIABLE.to_owned())
        }
    };
    SealingKey::from_hex(&digits).map_err(|error| (78, format!("{whence}: {error}")))
}

/// Does what is asked; the exit code says whether it was done.
pub fn run(args: KeyArgs) -> ExitCode {
    match done(args.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, sentence)) => {
            eprintln!("cardswitch: {sentence}");
            ExitCode::from(code)
        }
    }
}

fn done(command: KeyCommand) -> Result<(), Failed> {
    match command {
        KeyCommand::NewSealingKey { file } => new_sealing_key(&file),
        KeyCommand::Generate {
            place,
            label,
            algorithm,
        } => {
            let (algorithm, length) = match algorithm {
                NewKey::Tdes => (Algorithm::T, 16),
                NewKey::Aes128 => (Algorithm::A, 16),
                NewKey::Aes192 => (Algorithm::A, 24),
                NewKey::Aes256 => (Algorithm::A, 32),
            };
            let mut bytes = Zeroizing::new(vec![0; length]);
            random(&mut bytes)?;
            add(&place, label.of(algorithm), bytes)
        }
        KeyCommand::Import {
            place,
            label,
            components,
            cipher,
            under,
        } => match (components, under) {
            (_, Some(under)) => import_block(&place, label, &under),
            (count, None) => {
                let algorithm = match cipher {
                    Cipher::Tdes => Algorithm::T,
                    Cipher::Aes => Algorithm::A,
                };
                let bytes = components_of(count.unwrap_or_default(), algorithm)?;
                add(&place, label.of(algorithm), bytes)
            }
        },
        KeyCommand::Export { place, name, under } => export(&place, &name, &under),
        KeyCommand::List { keys } => list(&keys),
        KeyCommand::Rotate {
            place,
            new_sealing_key,
        } => {
            let (mut file, _) = place.open()?;
            file.sealing = file.sealing.saturating_add(1);
            let new = sealing_key(Some(&new_sealing_key))?;
            store(&file, &place, &new)?;
            let count = file.keys.len();
            println!("{count} keys sealed anew, sealing {}", file.sealing);
            Ok(())
        }
    }
}

fn new_sealing_key(path: &Path) -> Result<(), Failed> {
    let mut bytes = Zeroizing::new([0; SEALING_KEY]);
    random(&mut bytes[..])?;
    let digits = Zeroizing::new(base16ct::lower::encode_string(&bytes[..]));
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let write = || {
        let mut file = options.open(path)?;
        writeln!(file, "{}", *digits)?;
        file.sync_all()
    };
    write().map_err(|error: std::io::Error| (73, format!("write {}: {error}", path.display())))?;
    println!(
        "sealing key written to {}; keep it apart from the key file",
        path.display()
    );
    Ok(())
}

fn random(bytes: &mut [u8]) -> Result<(), Failed> {
    getrandom::fill(bytes).map_err(|error| (71, format!("make a key: {error}")))
}

fn add(place: &Place, label: KeyLabel, bytes: Zeroizing<Vec<u8>>) -> Result<(), Failed> {
    let (mut file, key) = place.open()?;
    let added = file
        .add(label, bytes)
        .map_err(|error| (65, error.to_string()))?;
    let line = line_of(added);
    store(&file, place, &key)?;
    println!("{line}");
    Ok(())
}

fn store(file: &KeyFile, place: &Place, key: &SealingKey) -> Result<(), Failed> {
    file.store(&place.keys, key)
        .map_err(|error| (73, error.to_string()))
}

/// Components from the standard input, mixed; each is confirmed by its check value.
fn components_of(count: usize, algorithm: Algorithm) -> Result<Zeroizing<Vec<u8>>, Failed> {
    if count < 2 {
        return Err((64, format!("components: expected 2 or more, got {count}")));
    }
    let mut mixed: Option<Zeroizing<Vec<u8>>> = None;
    let mut lines = std::io::stdin().lock().lines();
    for number in 1..=count {
        eprintln!("component {number} of {count}:");
        let wrong = |detail: &str| (65, format!("component {number}: {detail}"));
        let line = lines.next().and_then(Result::ok).map(Zeroizing::new);
        let line = line.ok_or_else(|| wrong("expected a line with it, got the end"))?;
        let bytes = base16ct::mixed::decode_vec(line.trim()).map(Zeroizing::new);
        let bytes = bytes.map_err(|_| wrong("expected hexadecimal digits"))?;
        let value = check_value(algorithm, &bytes).map_err(|error| wrong(&error.to_string()))?;
        eprintln!("component {number} of {count}: check value {value}");
        mixed = Some(match mixed {
            None => bytes,
            Some(other) if other.len() == bytes.len() => {
                let pairs = other.iter().zip(bytes.iter());
                Zeroizing::new(pairs.map(|(one, two)| one ^ two).collect())
            }
            Some(_) => return Err(wrong("expected as many digits as the one before")),
        });
    }
    mixed.ok_or_else(|| (70, "no component was read".to_owned()))
}

fn protection(file: &KeyFile, name: &str) -> Result<(ProtectionKey, Version), Failed> {
    let key = file.key(name).ok_or_else(|| {
        (
            65,
            format!("key {name}: expected one of that name in the file"),
        )
    })?;
    if !matches!(key.label.usage.as_str(), "K0" | "K1") {
        let sentence = format!(
            "key {name}: expected usage K0 or K1 to protect others, got {}",
            key.label.usage
        );
        return Err((65, sentence));
    }
    let wrong = |error: crate::crypto::key::KeyError| (65, format!("key {name}: {error}"));
    Ok(match key.label.algorithm {
        Algorithm::T => {
            let key = TdesKey::from_bytes(&key.bytes).map_err(wrong)?;
            (ProtectionKey::Tdes(Box::new(key)), Version::B)
        }
        Algorithm::A => {
            let key = AesKey::from_bytes(&key.bytes).map_err(wrong)?;
            (ProtectionKey::Aes(key), Version::D)
        }
    })
}

fn import_block(place: &Place, label: Label, under: &str) -> Result<(), Failed> {
    let (file, _) = place.open()?;
    let (protection, _) = protection(&file, under)?;
    let mut block = String::new();
    std::io::stdin()
        .read_line(&mut block)
        .map_err(|error| (66, format!("read the key block: {error}")))?;
    let opened = key_block::open(&protection, block.trim()).map_err(|e| (65, e.to_string()))?;
    let said = &opened.attributes;
    let algorithm = match said.algorithm {
        b'T' => Algorithm::T,
        b'A' => Algorithm::A,
        other => {
            let sentence = format!("a key block: expected algorithm T or A, got {other:#04x}");
            return Err((65, sentence));
        }
    };
    let text = |bytes: [u8; 2]| bytes.map(char::from).iter().collect::<String>();
    let label = KeyLabel {
        usage: text(said.usage),
        mode: char::from(said.mode),
        exportability: char::from(said.exportability),
        version: text(said.version_number),
        ..label.of(algorithm)
    };
    add(place, label, opened.bytes)
}

fn export(place: &Place, name: &str, under: &str) -> Result<(), Failed> {
    let (file, _) = place.open()?;
    let key = file.key(name).ok_or_else(|| {
        (
            65,
            format!("key {name}: expected one of that name in the file"),
        )
    })?;
    if key.label.exportability != 'E' {
        return Err((65, format!("key {name} may not leave in a key block")));
    }
    let (protection, version) = protection(&file, under)?;
    let pair = |text: &str| {
        text.as_bytes()
            .first_chunk::<2>()
            .copied()
            .unwrap_or(*b"00")
    };
    let attributes = Attributes {
        usage: pair(&key.label.usage),
        algorithm: match key.label.algorithm {
            Algorithm::T => b'T',
            Algorithm::A => b'A',
        },
        mode: u8::try_from(key.label.mode).unwrap_or(b'N'),
        version_number: pair(&key.label.version),
        exportability: b'E',
    };
    let mut fill = [0; 32];
    random(&mut fill)?;
    let block = key_block::make(&protection, version, &attributes, &key.bytes, fill);
    println!("{}", block.map_err(|error| (65, error.to_string()))?);
    Ok(())
}

fn list(path: &Path) -> Result<(), Failed> {
    let text = fs::read_to_string(path)
        .map_err(|error| (66, format!("read {}: {error}", path.display())))?;
    let labels = KeyFile::labels(&path.display().to_string(), &text);
    for label in labels.map_err(|error| (65, error.to_string()))? {
        println!("{}", line_of(&label));
    }
    Ok(())
}

fn line_of(label: &KeyLabel) -> String {
    format!(
        "{:<24} usage {} algorithm {:?} mode {} export {} version {} check value {}",
        label.name,
        label.usage,
        label.algorithm,
        label.mode,
        label.exportability,
        label.version,
        label.check_value
    )
}
