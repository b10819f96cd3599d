//! `cardswitch token`: makes, lists and ends the tokens of the operators' API.
//!
//! Works on the data directory itself, whether a switch runs on it or not: who may write there may
//! make tokens. A running switch hears of it within a second.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::ops::access::{AccessError, Role, TokenFile};
use crate::switch::clock;

/// What `token` can be told.
#[derive(Args)]
pub struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Subcommand)]
enum TokenCommand {
    /// Make a token and print it: it is told once and kept nowhere.
    Create(CreateArgs),
    /// List the tokens that count, without their secrets.
    List(ListArgs),
    /// End a token for ever.
    Revoke(RevokeArgs),
}

#[derive(Args)]
struct Place {
    /// Directory of the store.
    #[arg(long, value_name = "DIR", default_value = "./cardswitch-data")]
    data: PathBuf,
    /// Print JSON instead of sentences.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct CreateArgs {
    /// What it is called: it stands in the journal beside what its bearer does.
    name: String,
    /// viewer reads; operator also runs the day; issuer also opens accounts and moves money; admin
    /// does everything.
    #[arg(long, value_parser = str::parse::<Role>)]
    role: Role,
    #[command(flatten)]
    place: Place,
}

#[derive(Args)]
struct ListArgs {
    #[command(flatten)]
    place: Place,
}

#[derive(Args)]
struct RevokeArgs {
    /// Its name or its number.
    token: String,
    #[command(flatten)]
    place: Place,
}

/// Runs `token`.
pub fn run(args: &TokenArgs) -> ExitCode {
    let done = match &args.command {
        TokenCommand::Create(args) => create(args),
        TokenCommand::List(args) => list(args),
        TokenCommand::Revoke(args) => revoke(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cardswitch: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn create(args: &CreateArgs) -> Result<(), AccessError> {
    let file = TokenFile::of(&args.place.data);
    let made = file.create(&args.name, args.role, &clock::now().to_string())?;
    if args.place.json {
        let id = format!("{:08x}", made.id);
        let told = json!({ "id": id, "name": args.name, "role": args.role, "token": &*made.text });
        println!("{told}");
    } else {
        println!("{}", *made.text);
        eprintln!(
            "{} may act as {} from now on; the line above is told only once",
            args.name, args.role
        );
    }
    Ok(())
}

fn list(args: &ListArgs) -> Result<(), AccessError> {
    let tokens = TokenFile::of(&args.place.data).read()?;
    if args.place.json {
        let rows = tokens.iter().map(|token| {
            json!({
                "id": token.id,
                "name": token.name,
                "role": token.role,
                "created": token.created,
            })
        });
        println!("{}", json!({ "tokens": rows.collect::<Vec<_>>() }));
        return Ok(());
    }
    for token in &tokens {
        let (id, role, name) = (&token.id, token.role.name(), &token.name);
        println!("{id}  {role:<8}  {name:<24}  {}", token.created);
    }
    if tokens.is_empty() {
        println!("no tokens: the next start of the switch makes one for this machine");
    }
    Ok(())
}

fn revoke(args: &RevokeArgs) -> Result<(), AccessError> {
    let ended = TokenFile::of(&args.place.data).revoke(&args.token)?;
    if args.place.json {
        println!("{}", json!({ "id": ended.id, "name": ended.name }));
    } else {
        println!("{} ({}) counts no more", ended.name, ended.id);
    }
    Ok(())
}
