//! `cardswitch replay`: replays a store's journal and proves that the money adds up.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::engine::digest::Digest;
use crate::engine::entry::EntryId;
use crate::engine::event::{AccountOpened, Effect, Event};
use crate::engine::ledger::{LedgerAccount, Posting};
use crate::engine::operation::Operation;
use crate::engine::operation_end::EndOperation;
use crate::engine::operation_holder::HolderOperation;
use crate::engine::operation_money::MoneyOperation;
use crate::engine::record;
use crate::engine::state::State;
use crate::journal::{Checkpoint, CheckpointError, HeldStore, JournalError, SledOptions};
use crate::switch::restore;

use super::operate::desk::{self, AskArgs};

/// What `replay` can be told.
#[derive(Args)]
pub struct ReplayArgs {
    /// Directory of the store [default: ./cardswitch-data].
    #[arg(long, value_name = "DIR", default_value = "./cardswitch-data")]
    data: PathBuf,
    /// Start from the newest checkpoint, as the switch does, not as far back as the journal goes.
    #[arg(long, conflicts_with = "from_scratch")]
    from_checkpoint: bool,
    /// Start from the first record, or not at all.
    #[arg(long)]
    from_scratch: bool,
    /// Also print every decision that answered, one JSON line each: what a client was told.
    #[arg(long)]
    decisions: bool,
    /// Print the result as one JSON line.
    #[arg(long)]
    json: bool,
}

/// What `ledger` can be told.
#[derive(Args)]
pub struct LedgerArgs {
    #[command(subcommand)]
    command: LedgerCommand,
}

#[derive(Subcommand)]
enum LedgerCommand {
    /// Prove that all postings sum to zero, that purses are their postings, that holds are the open
    /// authorizations; print the digest of the state.
    Verify(ReplayArgs),
    /// Ask a running switch for the same proof of what it has in memory.
    Proof(AskArgs),
}

/// Runs `ledger`; exit code 1 when something does not add up.
pub fn run_ledger(args: &LedgerArgs) -> ExitCode {
    match &args.command {
        LedgerCommand::Verify(args) => run(args),
        LedgerCommand::Proof(args) => desk::run_proof(args),
    }
}

/// Sums that are kept apart from the state, from the postings alone.
#[derive(Default)]
struct Postings {
    by_account: BTreeMap<LedgerAccount, i128>,
}

/// What a replay found.
struct Replayed {
    state: State,
    postings: Postings,
    decisions: u64,
    /// Records that a checkpoint stood for.
    base_sequence: u64,
}

/// Replays the store; exit code 1 when something does not add up.
pub fn run(args: &ReplayArgs) -> ExitCode {
    let replayed = match replay(args) {
        Ok(replayed) => replayed,
        Err((code, sentence)) => {
            eprintln!("cardswitch: {sentence}");
            return ExitCode::from(code);
        }
    };
    let fault = first_fault(&replayed);
    print_result(args, &replayed, replayed.state.digest(), fault.as_deref());
    if fault.is_none() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn replay(args: &ReplayArgs) -> Result<Replayed, (u8, String)> {
    if !args.data.is_dir() {
        return Err((66, format!("there is no store in {}", args.data.display())));
    }
    let failed = |error: JournalError| (error.exit_code(), error.to_string());
    let options = SledOptions::standard();
    let held = HeldStore::take(&args.data).map_err(failed)?;
    let base = base(args, &held, options.cache_bytes)?;
    let mut replayed = Replayed {
        base_sequence: base.as_ref().map_or(0, |(base, _)| base.position.sequence),
        postings: Postings::default(),
        decisions: 0,
        state: State::new(),
    };
    let position = base.as_ref().map(|(base, _)| base.position);
    if let Some((_, state)) = base {
        replayed.postings.begin_at(&state);
        replayed.state = state;
    }
    let opened = held.open(options, position, &mut |records| {
        records.each(|sequence, bytes| {
            let (at, event) = record::decode(bytes).map_err(|error| error.to_string())?;
            replayed.postings.add(&event, &replayed.state);
            if let Event::Decided(decided) = &event {
                replayed.decisions += 1;
                if args.decisions {
                    println!("{}", decision_line(sequence, decided));
                }
            }
            replayed
                .state
                .apply(sequence, at, &event)
                .map_err(|error| error.to_string())
        })
    });
    opened.map_err(failed)?.close().map_err(failed)?;
    Ok(replayed)
}

/// Where to begin: the state of a checkpoint, or nothing for the first record.
fn base(
    args: &ReplayArgs,
    held: &HeldStore,
    cache_bytes: u64,
) -> Result<Option<(Checkpoint, State)>, (u8, String)> {
    let first = held.first_sequence();
    let first = first.map_err(|error| (error.exit_code(), error.to_string()))?;
    if first == 1 && !args.from_checkpoint {
        return Ok(None);
    }
    if args.from_scratch {
        let sentence = JournalError::Truncated { first }.to_string();
        return Err((66, sentence));
    }
    let checkpoints = held.checkpoints(cache_bytes);
    let unreadable = |error: CheckpointError| (65, error.to_string());
    let mut labels = checkpoints.list().map_err(unreadable)?;
    if !args.from_checkpoint {
        // As far back as the journal goes.
        labels.reverse();
    }
    for label in labels {
        let loaded = label.and_then(|label| Ok((label, restore::load(&checkpoints, &label)?)));
        match loaded {
            Ok(base) => return Ok(Some(base)),
            Err(error) => eprintln!("cardswitch: {error}; trying another one"),
        }
    }
    let sentence = format!("no checkpoint can be read, and the journal begins with record {first}");
    Err((if first == 1 { 66 } else { 65 }, sentence))
}

fn decision_line(sequence: u64, decided: &crate::engine::event::Decided) -> serde_json::Value {
    let facts = &decided.facts;
    serde_json::json!({
        "sequence": sequence,
        "mti": format!("{:04}", facts.mti),
        "stan": format!("{:06}", facts.trace.stan),
        "transmitted": format!("{:010}", facts.trace.transmitted),
        "rrn": facts.rrn.as_str(),
        "card": decided.card.map(|card| card.0),
        "minor": facts.amount.minor,
        "currency": facts.amount.currency.to_string(),
        "purpose": facts.purpose,
        "reason": decided.reason,
        "code": decided.code.as_str(),
        "approval": decided.approval.as_ref().map(|code| code.as_str()),
        "stored": decided.stored,
    })
}

impl Postings {
    /// Takes what purses have in a checkpoint for what was posted before it.
    fn begin_at(&mut self, state: &State) {
        for record in state.accounts() {
            for row in state.balances(record.account.id) {
                let purse = LedgerAccount::Purse(record.account.id, row.purse);
                self.add_one(purse, row.balance);
            }
        }
    }

    /// Adds what an event posts; `state` is the one before it.
    fn add(&mut self, event: &Event, state: &State) {
        match event {
            Event::Decided(decided) => {
                for effect in &decided.effects {
                    if let Effect::Posted { postings, .. }
                    | Effect::FeePosted { postings, .. }
                    | Effect::Offset { postings, .. } = effect
                    {
                        self.add_all(postings);
                    }
                    if let Effect::ExchangePosted(change) = effect {
                        change.movements.iter().for_each(|row| self.add_all(&row.1));
                    }
                }
            }
            Event::AccountOpened(opened) => self.add_opening(opened),
            Event::Operated(operation) => match operation.as_ref() {
                Operation::Transferred { postings, .. }
                | Operation::Money(
                    MoneyOperation::Transferred { postings, .. }
                    | MoneyOperation::PaperOrdered { postings, .. },
                ) => {
                    self.add_all(postings);
                }
                Operation::AccountClosed { movements, .. }
                | Operation::End(EndOperation::AccountClosed { movements, .. }) => {
                    movements.iter().for_each(|row| self.add_all(&row.1));
                }
                Operation::Money(MoneyOperation::Charged { movements, .. }) => {
                    movements.iter().for_each(|row| self.add_all(&row.1));
                }
                Operation::Holder(HolderOperation::AccountOpened { opened, .. }) => {
                    self.add_opening(opened);
                }
                Operation::HoldReleased(id) => self.add_release(*id, state),
                Operation::Money(MoneyOperation::RatesSet(_))
                | Operation::Holder(_)
                | Operation::Card(_)
                | Operation::RulesChanged(_)
                | Operation::CardStatusChanged(..)
                | Operation::CardReplaced { .. }
                | Operation::DeviceTokenAdded { .. }
                | Operation::ExceptionResolved { .. }
                | Operation::End(EndOperation::ClosingDated(_) | EndOperation::CardDataErased(_))
                | Operation::ClearingClosed { .. } => {}
            },
            Event::Housekept(housekept) => {
                let released = housekept.expired.iter();
                released.for_each(|id| self.add_release(*id, state));
            }
            Event::LinkNamed(..)
            | Event::PinSet(..)
            | Event::PinUnlocked(_)
            | Event::CutOver(..)
            | Event::Reconciled(_) => {}
        }
    }

    fn add_release(&mut self, id: EntryId, state: &State) {
        for (_, postings) in state.fee_of_release(id) {
            self.add_all(&postings);
        }
    }

    fn add_opening(&mut self, opened: &AccountOpened) {
        for (purse, minor) in &opened.opening {
            self.add_one(LedgerAccount::Purse(opened.account, *purse), *minor);
        }
    }

    fn add_all(&mut self, postings: &[Posting]) {
        for posting in postings {
            self.add_one(posting.account, posting.minor);
        }
    }

    fn add_one(&mut self, account: LedgerAccount, minor: i64) {
        let sum = self.by_account.entry(account).or_default();
        *sum = sum.saturating_add(i128::from(minor));
    }
}

/// The first thing that does not add up: conservation, or a purse that is not its postings.
fn first_fault(replayed: &Replayed) -> Option<String> {
    if let Err(fault) = replayed.state.check_conservation() {
        return Some(fault.to_string());
    }
    for record in replayed.state.accounts() {
        for row in replayed.state.balances(record.account.id) {
            let key = LedgerAccount::Purse(record.account.id, row.purse);
            let posted = replayed.postings.by_account.get(&key).copied().unwrap_or(0);
            if posted != i128::from(row.balance) {
                return Some(format!(
                    "account {} purse {}: balance {}, its postings sum to {posted}",
                    record.account.id.0, row.purse.0, row.balance
                ));
            }
        }
    }
    None
}

/// The programme files that the journal has in force: name, version, beginning of the hash.
fn programmes_in_force(state: &State) -> Vec<String> {
    let files = state.programmes_in_force();
    files
        .map(|(name, version, hash)| {
            let hash: String = hash.iter().take(8).map(|it| format!("{it:02x}")).collect();
            format!("{name} version {version}, file {hash}")
        })
        .collect()
}

fn print_result(args: &ReplayArgs, replayed: &Replayed, digest: Digest, fault: Option<&str>) {
    let state = &replayed.state;
    let (accounts, cards, entries) = state.counts();
    let negative: usize = state
        .accounts()
        .iter()
        .flat_map(|record| &record.account.purses)
        .filter(|purse| purse.balance < 0)
        .count();
    if args.json {
        println!(
            "{}",
            serde_json::json!({
                "sequence": state.sequence(),
                "base_sequence": replayed.base_sequence,
                "decisions": replayed.decisions,
                "accounts": accounts,
                "cards": cards,
                "entries": entries,
                "purses_below_zero": negative,
                "digest": digest.to_string(),
                "programmes": programmes_in_force(state),
                "conserved": fault.is_none(),
                "fault": fault,
            })
        );
        return;
    }
    println!("records            {}", state.sequence());
    if replayed.base_sequence > 0 {
        println!("from a checkpoint  at record {}", replayed.base_sequence);
    }
    println!("decisions          {}", replayed.decisions);
    println!("accounts           {accounts}, cards {cards}, entries {entries}");
    println!("purses below zero  {negative}");
    println!("digest             {digest}");
    for programme in programmes_in_force(state) {
        println!("programme in force {programme}");
    }
    match fault {
        None => {
            println!("money              conserved: purses equal postings, holds equal entries")
        }
        Some(fault) => println!("money              NOT CONSERVED: {fault}"),
    }
}
