//! `cardswitch import`: opens the cards of a card file, in a running switch or in its store.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::domain::rulebook::Rulebook;
use crate::engine::command::{Answer, Body, Command, Opened};
use crate::engine::decide::decide;
use crate::engine::record;
use crate::journal::{Batch, Journal, JournalError};
use crate::switch::card_file::{self, CardRow};
use crate::switch::clock;
use crate::switch::config::{Config, Overrides};
use crate::switch::rulebook::LoadedRules;
use crate::switch::store::{self, OpenStore, StoreError};

use super::api::Api;

/// What `import` can be told.
#[derive(Args)]
pub struct ImportArgs {
    /// Card file, such as fixtures/demo.toml.
    file: PathBuf,
    /// Directory of the store [default: ./cardswitch-data].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Operators' API of the running switch, used while it has the store open.
    #[arg(long, value_name = "ADDR")]
    admin: Option<SocketAddr>,
    /// Configuration file of the switch.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// What became of the cards of a file.
#[derive(Default)]
struct Imported {
    created: u64,
    existing: u64,
    refused: Vec<String>,
}

/// Imports the file; exit code 1 when a card was refused.
pub fn run(args: &ImportArgs) -> ExitCode {
    match import(args) {
        Ok(imported) => {
            println!(
                "{} cards opened, {} were there already",
                imported.created, imported.existing
            );
            for line in &imported.refused {
                eprintln!("cardswitch: refused {line}");
            }
            if imported.refused.is_empty() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err((code, sentence)) => {
            eprintln!("cardswitch: {sentence}");
            ExitCode::from(code)
        }
    }
}

pub(super) type Failed = (u8, String);

fn import(args: &ImportArgs) -> Result<Imported, Failed> {
    let text = std::fs::read_to_string(&args.file)
        .map_err(|error| (66, format!("read {}: {error}", args.file.display())))?;
    let overrides = Overrides {
        data_dir: args.data.clone(),
        listeners: Vec::new(),
        admin: args.admin,
    };
    let config = Config::load(args.config.as_deref(), &overrides)
        .map_err(|error| (78, error.to_string()))?;
    let rules = LoadedRules::load(
        config.programmes_dir.as_deref(),
        config.dialects_dir.as_deref(),
    )
    .map_err(|error| (78, error.to_string()))?;
    match store::open(&config.data_dir, &config.journal, &rules) {
        Ok(store) => into_store(&text, store, &rules.rulebook, &config),
        // A switch has it open: ask that switch.
        Err(StoreError::Journal(JournalError::Locked { .. })) => through_admin(&text, &config),
        Err(error) => Err((error.exit_code(), error.to_string())),
    }
}

fn into_store(
    text: &str,
    mut store: OpenStore,
    rulebook: &Rulebook,
    config: &Config,
) -> Result<Imported, Failed> {
    let rows = card_file::parse(text, rulebook, &store.token_key)
        .map_err(|error| (65, error.to_string()))?;
    let mut imported = Imported::default();
    for chunk in rows.chunks(config.sequencer.batch_records_max) {
        append(chunk, &mut store, rulebook, &mut imported)?;
    }
    store
        .journal
        .close()
        .map_err(|error| (error.exit_code(), error.to_string()))?;
    Ok(imported)
}

/// Decides one command, adds its record to the batch and applies it.
pub(super) fn execute(
    store: &mut OpenStore,
    rulebook: &Rulebook,
    batch: &mut Batch,
    body: Body,
) -> Result<Answer, Failed> {
    let at = clock::now().max(store.state.at());
    let sequence = store.state.sequence() + 1;
    let outcome = decide(rulebook, &store.state, &Command { sequence, at, body });
    if let Some(event) = &outcome.event {
        let mut written = Ok(());
        batch.push(|buffer| written = record::encode(at, event, buffer));
        written.map_err(|error| (70, error.to_string()))?;
        store
            .state
            .apply(sequence, at, event)
            .map_err(|error| (70, error.to_string()))?;
    }
    Ok(outcome.answer)
}

fn append(
    rows: &[CardRow],
    store: &mut OpenStore,
    rulebook: &Rulebook,
    imported: &mut Imported,
) -> Result<(), Failed> {
    let mut batch = Batch::new();
    batch.clear(store.state.sequence() + 1);
    for row in rows {
        let body = Body::OpenAccount(Box::new(row.account.clone()));
        let answer = execute(store, rulebook, &mut batch, body)?;
        if let (Answer::Opened(Opened::Created(_, card)), Some(pin)) = (&answer, row.pin) {
            execute(store, rulebook, &mut batch, Body::SetPin(*card, pin))?;
        }
        match answer {
            Answer::Opened(Opened::Created(..)) => imported.created += 1,
            Answer::Opened(Opened::Existing(..)) => imported.existing += 1,
            Answer::Opened(Opened::Refused(why)) => {
                imported
                    .refused
                    .push(format!("{}: {why}", row.account.card.masked));
            }
            Answer::Decided(_)
            | Answer::Ordered(_)
            | Answer::Presented(_)
            | Answer::CutOver(_)
            | Answer::Reconciled(_)
            | Answer::LinkNamed(_)
            | Answer::PinChanged(_)
            | Answer::Housekept { .. } => {}
        }
    }
    store
        .journal
        .append(&batch)
        .map_err(|error| (error.exit_code(), error.to_string()))
}

fn through_admin(text: &str, config: &Config) -> Result<Imported, Failed> {
    let api = Api::of(config)?;
    let answered = api
        .send("/v1/import", "application/toml", text)
        .map_err(|(code, what)| {
            (
                code,
                format!("the store is open in another process; {what}"),
            )
        })?;
    let body: serde_json::Value = api.read("/v1/import", &answered)?;
    let count = |key: &str| {
        body.get(key)
            .and_then(serde_json::Value::as_u64)
            .unwrap_or_default()
    };
    let refused = body
        .get("refused")
        .and_then(serde_json::Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|line| line.as_str().map(str::to_owned))
        .collect();
    Ok(Imported {
        created: count("created"),
        existing: count("existing"),
        refused,
    })
}
