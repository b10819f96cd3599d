//! `cardswitch hsm`: a device that is played, and a look at one.

use std::io::BufRead;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::crypto::hsm::Hsm;
use crate::crypto::payshield::Settings;
use crate::crypto::payshield::client::PayShield;
use crate::crypto::payshield::device::Device;
use crate::switch::hsm::key_table;
use crate::switch::hsm::line::{DeviceLine, LineTerms};
use crate::switch::hsm::played::{FaultOf, Played};
use crate::switch::key_file::KeyFile;
use crate::switch::pin_keys::random;

use super::import::Failed;
use super::key::sealing_key;

/// What `hsm` can be told.
#[derive(Args)]
pub struct HsmArgs {
    #[command(subcommand)]
    command: HsmCommand,
}

#[derive(Subcommand)]
enum HsmCommand {
    /// Play a payShield device: right answers under a public test LMK, and faults on demand.
    ///
    /// Every line of the standard input that says COMMAND=FAULT counts from then on: EC=20 (an
    /// error code), EC=delay:250, EC=silence, EC=hang-up, EC=garble, EC=ok; * is every command.
    Simulate {
        /// Listen here.
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:1500")]
        listen: SocketAddr,
        /// Characters of the message header.
        #[arg(long, value_name = "N", default_value_t = 4)]
        header: usize,
        /// Begin with this fault, e.g. EC=20; repeatable.
        #[arg(long, value_name = "COMMAND=FAULT")]
        fault: Vec<FaultOf>,
    },
    /// Write the keys of a key file as a table for the played device.
    Table {
        /// The key file.
        #[arg(long, value_name = "FILE")]
        keys: PathBuf,
        /// File of its sealing key; left out: the environment variable `CARDSWITCH_SEALING_KEY`.
        #[arg(long, value_name = "FILE")]
        sealing_key: Option<PathBuf>,
    },
    /// Ask a device for its health, and for the check value of every key of a table.
    Check {
        /// The device.
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:1500")]
        address: SocketAddr,
        /// Characters of the message header.
        #[arg(long, value_name = "N", default_value_t = 4)]
        header: usize,
        /// The table of keys.
        #[arg(long, value_name = "FILE")]
        keys: Option<PathBuf>,
    },
}

/// Runs `hsm`.
pub fn run(args: HsmArgs) -> ExitCode {
    let done = match args.command {
        HsmCommand::Simulate {
            listen,
            header,
            fault,
        } => simulate(listen, header, fault),
        HsmCommand::Table { keys, sealing_key } => table(&keys, sealing_key.as_deref()),
        HsmCommand::Check {
            address,
            header,
            keys,
        } => check(address, header, keys.as_deref()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, sentence)) => {
            eprintln!("cardswitch: {sentence}");
            ExitCode::from(code)
        }
    }
}

fn simulate(listen: SocketAddr, header: usize, faults: Vec<FaultOf>) -> Result<(), Failed> {
    let device = Device::new(Settings::STANDARD, random);
    let device = device.map_err(|error| (70, error.to_string()))?;
    let played = Played::start(listen, device, header);
    let played = played.map_err(|error| (71, format!("listen on {listen}: {error}")))?;
    faults.into_iter().for_each(|fault| played.tell(fault));
    println!("a played payShield under a public test LMK: for tests only");
    println!("listening  {}", played.address());
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|error| (66, format!("read the standard input: {error}")))?;
        match line.parse::<FaultOf>() {
            Ok(fault) => {
                played.tell(fault);
                println!("{}", line.trim());
            }
            Err(error) => eprintln!("cardswitch: {error}"),
        }
    }
    // Without a standard input it plays on until it is ended.
    loop {
        std::thread::park();
    }
}

fn table(keys: &Path, sealing: Option<&Path>) -> Result<(), Failed> {
    let sealing = sealing_key(sealing)?;
    let file = KeyFile::load(keys, &sealing).map_err(|error| (78, error.to_string()))?;
    let table = key_table::of_key_file(&keys.display().to_string(), &file);
    let table = table.map_err(|error| (65, error.to_string()))?;
    println!("# Keys under the public test LMK of `cardswitch hsm simulate`: as good as in clear.");
    print!("{table}");
    Ok(())
}

fn check(address: SocketAddr, header: usize, keys: Option<&Path>) -> Result<(), Failed> {
    let keys = keys.map_or(Ok(Vec::new()), key_table::load);
    let keys = keys.map_err(|error| (78, error.to_string()))?;
    let line = DeviceLine::new(LineTerms {
        addresses: vec![address],
        connections_max: 1,
        deadline: Duration::from_secs(5),
        retry: Duration::ZERO,
        health_every: Duration::from_secs(3_600),
        header_characters: header,
    });
    let line = line.map_err(|error| (71, format!("look after a device: {error}")))?;
    let hsm = PayShield::new(line, Settings::STANDARD, keys);
    let health = hsm.health().map_err(|error| (69, error.to_string()))?;
    println!("{address}: {health}");
    for note in hsm.keys() {
        let value = hsm.check_value(&note.name);
        let value = value.map_err(|error| (69, format!("key {}: {error}", note.name)))?;
        let value = base16ct::upper::encode_string(&value);
        println!("{:<24} usage {} check value {value}", note.name, note.usage);
    }
    match key_table::disagreements(&hsm).as_slice() {
        [] => Ok(()),
        wrong => Err((65, wrong.join("; "))),
    }
}
