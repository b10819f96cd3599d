//! `cardswitch store`: look into a store, prove it, copy it, put a copy back.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::domain::account::AccountId;
use crate::domain::time::UnixMs;
use crate::journal::{self, CopyError, CopyProgress, HeldStore, JournalError, StoreView};
use crate::switch::config::{Config, Overrides};

use super::api::Api;
use super::import::Failed;
use super::store_erased::{self, Question};
use super::store_verify::{self, Verified};

/// `store erased` found something.
const EXIT_LEFT: u8 = 1;
/// How often a progress bar is drawn anew.
const DRAW_EVERY: Duration = Duration::from_millis(200);

/// What `store` can be told.
#[derive(Args)]
pub struct StoreArgs {
    #[command(subcommand)]
    command: StoreCommand,
}

#[derive(Subcommand)]
enum StoreCommand {
    /// Prove a store that is not in use, or a copy: every frame, the chain, every checkpoint, the
    /// money. Nothing in it is written: what is opened is a copy in the scratch folder.
    Verify(VerifyArgs),
    /// Tell what is in a store, also of a running switch: generations, checkpoints, sizes.
    Inspect(InspectArgs),
    /// Say where card data of an account are left, or that none are, in a store that is not in use:
    /// journal, ring, checkpoints, log. Exit code 1: some are left. Nothing in it is written.
    Erased(ErasedArgs),
    /// Copy a store to an empty folder and prove the copy; a running switch makes the copy itself.
    Backup(BackupArgs),
    /// Put a copy into an empty folder.
    Restore(RestoreArgs),
}

#[derive(Args)]
struct VerifyArgs {
    /// Directory of the store, or of a copy.
    #[arg(long, value_name = "DIR", default_value = "./cardswitch-data")]
    data: PathBuf,
    /// Folder with room for as many bytes as the store has [default: the system's].
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// Print the result as one JSON line.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct ErasedArgs {
    /// Directory of the store, or of a copy.
    #[arg(long, value_name = "DIR", default_value = "./cardswitch-data")]
    data: PathBuf,
    /// Number of the account.
    #[arg(long)]
    account: u32,
    /// Look for these card numbers as well, a line of standard input each.
    #[arg(long)]
    number_from_stdin: bool,
    /// Folder of the log, where it lies elsewhere [default: log in the store].
    #[arg(long, value_name = "DIR")]
    log: Option<PathBuf>,
    /// Folder with room for as many bytes as the store has [default: the system's].
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// Print the result as one JSON line.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct InspectArgs {
    /// Directory of the store.
    #[arg(long, value_name = "DIR", default_value = "./cardswitch-data")]
    data: PathBuf,
    /// Print the result as one JSON line.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct BackupArgs {
    /// Folder of the copy, empty or not there; of a running switch it lies in its `backups_dir`.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Directory of the store; a switch that has it open is asked.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Operators' API of the running switch.
    #[arg(long, value_name = "ADDR")]
    admin: Option<SocketAddr>,
    /// Configuration file of the switch.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder with room for as many bytes as the store has, for the proof [default: the system's].
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

#[derive(Args)]
struct RestoreArgs {
    /// Folder of the copy.
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// Directory of the store to be; empty or not there.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

/// Runs `store`; exit code 65 when something is damaged, 1 when what was to be erased is left.
pub fn run(args: &StoreArgs) -> ExitCode {
    let done = match &args.command {
        StoreCommand::Verify(args) => verify(args),
        StoreCommand::Erased(args) => erased(args),
        StoreCommand::Inspect(args) => inspect(args),
        StoreCommand::Backup(args) => backup(args),
        StoreCommand::Restore(args) => restore(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, sentence)) => {
            eprintln!("cardswitch: {sentence}");
            ExitCode::from(code)
        }
    }
}

fn verify(args: &VerifyArgs) -> Result<(), Failed> {
    let verified =
        watched(|progress| store_verify::verify(&args.data, args.scratch.as_deref(), progress))?;
    print_verified(&verified, args.json);
    match verified.faults.is_empty() {
        true => Ok(()),
        false => Err((65, format!("{} is damaged", args.data.display()))),
    }
}

fn erased(args: &ErasedArgs) -> Result<(), Failed> {
    let numbers = match args.number_from_stdin {
        true => store_erased::numbers_given()?,
        false => Vec::new(),
    };
    let question = Question {
        store: &args.data,
        log: args.log.as_deref(),
        scratch: args.scratch.as_deref(),
        account: AccountId(args.account),
        numbers,
    };
    let found = watched(|progress| store_erased::search(&question, progress))?;
    match args.json {
        true => println!("{}", found.json()),
        false => print!("{}", found.text()),
    }
    match found.is_left() {
        false => Ok(()),
        true => {
            let what = format!("card data of account {} are left", args.account);
            Err((EXIT_LEFT, what))
        }
    }
}

fn print_verified(verified: &Verified, as_json: bool) {
    if as_json {
        println!("{}", verified.json());
    } else {
        print!("{}", verified.text());
    }
}

fn inspect(args: &InspectArgs) -> Result<(), Failed> {
    let view = journal::view(&args.data).map_err(told)?;
    if args.json {
        println!("{}", view_json(&view));
        return Ok(());
    }
    let state = if view.is_open {
        "open in a process"
    } else {
        "not in use"
    };
    println!("store        {} ({state})", args.data.display());
    println!("first record {}", view.first_sequence);
    match view.watermark {
        Some((sequence, true)) => println!("watermark    {sequence}, the ring may hold more"),
        Some((sequence, false)) => println!("watermark    {sequence}, closed cleanly"),
        None => println!("watermark    none that can be read"),
    }
    match view.ring_bytes {
        Some(bytes) => println!("ring         {bytes} bytes"),
        None => println!("ring         none"),
    }
    for generation in &view.generations {
        let end = match generation.sealed_at {
            Some(sequence) => format!("sealed at {sequence}"),
            None => "open".to_owned(),
        };
        println!(
            "generation   {:>6}  {:>12} bytes  {end}",
            generation.number, generation.bytes
        );
    }
    for found in &view.checkpoints {
        match found {
            Ok((label, bytes)) => println!(
                "checkpoint   at {}, {}, {} chunks, {bytes} bytes",
                label.position.sequence,
                UnixMs(label.made_at_ms),
                label.chunks
            ),
            Err(error) => println!("checkpoint   DAMAGED: {error}"),
        }
    }
    Ok(())
}

fn view_json(view: &StoreView) -> Value {
    let generations = view.generations.iter().map(|generation| {
        json!({
            "number": generation.number,
            "sealed_at": generation.sealed_at,
            "bytes": generation.bytes,
        })
    });
    let checkpoints = view.checkpoints.iter().map(|found| match found {
        Ok((label, bytes)) => json!({
            "sequence": label.position.sequence,
            "made_at": UnixMs(label.made_at_ms).to_string(),
            "chunks": label.chunks,
            "bytes": bytes,
        }),
        Err(error) => json!({ "damaged": error.to_string() }),
    });
    json!({
        "is_open": view.is_open,
        "first_sequence": view.first_sequence,
        "watermark": view.watermark.map(|it| it.0),
        "ring_bytes": view.ring_bytes,
        "generations": generations.collect::<Vec<_>>(),
        "checkpoints": checkpoints.collect::<Vec<_>>(),
    })
}

fn backup(args: &BackupArgs) -> Result<(), Failed> {
    let overrides = Overrides {
        data_dir: args.data.clone(),
        listeners: Vec::new(),
        admin: args.admin,
    };
    let config = Config::load(args.config.as_deref(), &overrides)
        .map_err(|error| (78, error.to_string()))?;
    if args.admin.is_some() || journal::is_open(&config.data_dir) {
        backup_of_running(&args.to, &Api::of(&config)?)?;
    } else {
        let held = hold(&config.data_dir)?;
        journal::make_empty(&args.to).map_err(not_copied)?;
        watched(|progress| {
            journal::copy_files(&config.data_dir, &args.to, progress)
                .and_then(|()| journal::write_manifest(&args.to))
                .map_err(not_copied)
        })?;
        drop(held);
    }
    let verified =
        watched(|progress| store_verify::verify(&args.to, args.scratch.as_deref(), progress))?;
    print_verified(&verified, false);
    match verified.faults.is_empty() {
        true => Ok(()),
        false => Err((65, format!("the copy in {} is damaged", args.to.display()))),
    }
}

/// Holds a store that is there, so that no switch starts on it.
fn hold(data: &Path) -> Result<HeldStore, Failed> {
    if !data.join("j").is_dir() {
        return Err((66, format!("there is no store in {}", data.display())));
    }
    HeldStore::take(data).map_err(told)
}

/// Has a running switch copy its store, and watches it.
fn backup_of_running(to: &Path, api: &Api) -> Result<(), Failed> {
    let to = std::path::absolute(to).map_err(|error| (73, format!("{}: {error}", to.display())))?;
    let asked = json!({ "to": to });
    let bar = bar()?;
    thread::scope(|scope| {
        let making = scope.spawn(|| api.send("/v1/backup", "application/json", &asked.to_string()));
        while !making.is_finished() {
            thread::sleep(DRAW_EVERY);
            let told = api.get("/v1/backup").ok();
            let number = |key: &str| told.as_ref().and_then(|told| told[key].as_u64());
            if let (Some(done), Some(total)) = (number("done"), number("total")) {
                bar.set_length(total);
                bar.set_position(done);
            }
        }
        bar.finish_and_clear();
        let made = making.join();
        let made = made.map_err(|_| (70, "asking the switch failed".to_owned()))?;
        match api.read::<Value>("/v1/backup", &made?) {
            Ok(_) => Ok(()),
            // It answered, and said no.
            Err((65 | 75, detail)) => Err((73, format!("the switch made no copy: {detail}"))),
            Err(failed) => Err(failed),
        }
    })
}

fn restore(args: &RestoreArgs) -> Result<(), Failed> {
    // Proven before anything is written, and again where it is to live.
    watched(|progress| journal::check_manifest(&args.from, progress).map_err(damaged))?;
    journal::make_empty(&args.data).map_err(not_copied)?;
    watched(|progress| journal::copy_files(&args.from, &args.data, progress).map_err(not_copied))?;
    let list = args.from.join(journal::MANIFEST);
    let progress = CopyProgress::default();
    journal::copy_file(&list, &args.data.join(journal::MANIFEST), &progress).map_err(not_copied)?;
    watched(|progress| journal::check_manifest(&args.data, progress).map_err(damaged))?;
    // From now on it is a store, and changes.
    let listed = args.data.join(journal::MANIFEST);
    fs::remove_file(&listed).map_err(|error| (73, format!("{}: {error}", listed.display())))?;
    let view = journal::view(&args.data).map_err(told)?;
    let end = view.watermark.map_or(0, |it| it.0);
    println!("restored {} up to record {end}", args.data.display());
    println!("next     cardswitch serve --data {}", args.data.display());
    Ok(())
}

/// Runs a step with a progress bar.
fn watched<T: Send>(
    step: impl FnOnce(&CopyProgress) -> Result<T, Failed> + Send,
) -> Result<T, Failed> {
    let progress = CopyProgress::default();
    let bar = bar()?;
    let outcome = thread::scope(|scope| {
        let running = scope.spawn(|| step(&progress));
        while !running.is_finished() {
            thread::park_timeout(DRAW_EVERY / 10);
            bar.set_length(progress.total.load(Relaxed));
            bar.set_position(progress.done.load(Relaxed));
        }
        running.join()
    });
    bar.finish_and_clear();
    outcome.map_err(|_| (70, "the step failed".to_owned()))?
}

fn bar() -> Result<ProgressBar, Failed> {
    let style = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {eta}");
    let style = style.map_err(|error| (70, error.to_string()))?;
    Ok(ProgressBar::new(0).with_style(style))
}

fn told(error: JournalError) -> Failed {
    (error.exit_code(), error.to_string())
}

fn not_copied(error: CopyError) -> Failed {
    (73, error.to_string())
}

fn damaged(error: CopyError) -> Failed {
    (65, error.to_string())
}
