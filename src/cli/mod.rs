//! L5: subcommands of the one binary.
#![expect(clippy::print_stderr, reason = "the command line talks to people")]

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use operate::{account, card, desk, link, money, statement, webhook};

#[macro_use]
mod out;

pub mod serve;
mod serve_admin;
mod serve_demo;

mod api;

mod api_tls;
pub mod import;

pub mod operate;
pub mod token;

pub mod clearing;
mod clearing_desk;
mod clearing_file;
mod clearing_report;

pub mod export;
mod export_table;

pub mod replay;

pub mod spec;

pub mod programme;

pub mod backtest;
mod programme_words;

pub mod acquirer;

pub mod message;

pub mod key;

pub mod hsm;

pub mod doctor;

pub mod store;
mod store_erased;
mod store_search;
mod store_verify;

pub mod tail;
mod tail_follow;
mod tail_render;

/// An ISO 8583 authorization switch for issuers of prepaid cards.
#[derive(Parser)]
#[command(name = "cardswitch", version, about, max_term_width = 100)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the switch: open the store, listen for acquirers, decide.
    Serve(serve::ServeArgs),
    /// Open the accounts and cards of a card file; opening one again changes nothing.
    Import(import::ImportArgs),
    /// Post a clearing file: each of its lines once, however often it is run.
    Clearing(clearing::ClearingArgs),
    /// Play an acquirer: run a scenario, or load the switch.
    Acquirer(acquirer::AcquirerArgs),
    /// Describe, build, validate, convert, compare or redact messages.
    Message(message::MessageArgs),
    /// Say in one sentence what a peer speaks, from its bytes or from its connection.
    Doctor(doctor::DoctorArgs),
    /// Follow the decision log in words.
    Tail(tail::TailArgs),
    /// Replay a store's journal from its first record and prove that the money adds up.
    Replay(replay::ReplayArgs),
    /// Write decisions and postings to files: JSON lines, CSV or Parquet.
    Export(export::ExportArgs),
    /// Look into a store, prove it, copy it, put a copy back.
    Store(store::StoreArgs),
    /// Prove the ledger of a store: sums, postings, holds, digest.
    Ledger(replay::LedgerArgs),
    /// List, check and import specifications of messages.
    Spec(spec::SpecArgs),
    /// Make, take in, give out, list and seal anew the keys of a key file.
    Key(key::KeyArgs),
    /// Play an HSM device, or look at one.
    Hsm(hsm::HsmArgs),
    /// List, show, open and close accounts.
    Account(account::AccountArgs),
    /// List, find, show, stop, replace and enrol cards; PINs and devices.
    Card(card::CardArgs),
    /// List what is held on an account; let go of it.
    Hold(account::HoldArgs),
    /// Register holders; how well they are known.
    Holder(account::HolderArgs),
    /// Tell what happened on an account in a period, with the balances.
    Statement(statement::StatementArgs),
    /// Load a card.
    Load(money::LoadArgs),
    /// Move money from one holder to another.
    Transfer(money::TransferArgs),
    /// List exchange rates, take one in.
    Rate(money::RateArgs),
    /// List links, their totals and sessions; end a business day; sign off, drain.
    Link(link::LinkArgs),
    /// List who is told over HTTP of what happens; have something told again.
    Webhook(webhook::WebhookArgs),
    /// List what a person must look at, and resolve it.
    Exception(desk::ExceptionArgs),
    /// Say why a message was answered as it was, rule by rule.
    Explain(desk::ExplainArgs),
    /// Say who did what through the operators' API.
    Audit(desk::AuditArgs),
    /// Print the completions of a shell, to be put where it looks for them.
    Completions {
        /// bash, zsh, fish, elvish or powershell.
        shell: Shell,
    },
    /// Make, list and end tokens of the operators' API.
    Token(token::TokenArgs),
    /// Check programme files, tell them in words, try them on a recorded period.
    Programme(programme::ProgrammeArgs),
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    match CommandLine::parse().command {
        Command::Serve(args) => serve::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Clearing(args) => clearing::run(&args),
        Command::Acquirer(args) => acquirer::run(args),
        Command::Message(args) => message::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Tail(args) => tail::run(args),
        Command::Replay(args) => replay::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Store(args) => store::run(&args),
        Command::Ledger(args) => replay::run_ledger(&args),
        Command::Spec(args) => spec::run(&args),
        Command::Key(args) => key::run(args),
        Command::Hsm(args) => hsm::run(args),
        Command::Account(args) => account::run(&args),
        Command::Card(args) => card::run(&args),
        Command::Hold(args) => account::run_hold(&args),
        Command::Holder(args) => account::run_holder(&args),
        Command::Statement(args) => statement::run(&args),
        Command::Load(args) => money::run_load(&args),
        Command::Transfer(args) => money::run_transfer(&args),
        Command::Rate(args) => money::run_rate(&args),
        Command::Link(args) => link::run_link(&args),
        Command::Webhook(args) => webhook::run_webhook(&args),
        Command::Exception(args) => desk::run_exception(&args),
        Command::Explain(args) => desk::run_explain(&args),
        Command::Audit(args) => desk::run_audit(&args),
        Command::Completions { shell } => {
            let mut command = CommandLine::command();
            clap_complete::generate(shell, &mut command, "cardswitch", &mut std::io::stdout());
            ExitCode::SUCCESS
        }
        Command::Token(args) => token::run(&args),
        Command::Programme(args) => programme::run(&args),
    }
}
