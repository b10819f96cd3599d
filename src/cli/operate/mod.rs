//! What operators do from the command line, through the operators' API: one file for each noun.
//!
//! People get sentences and tables, machines (`--json`) the API's own answer.

use std::io::{self, BufRead};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;
use zeroize::Zeroizing;

use super::api::Api;
use super::import::Failed;

pub mod account;
pub mod card;

mod card_control;
pub mod desk;
pub mod desk_shadow;
pub mod link;
pub mod money;
pub mod statement;
mod table;
pub mod webhook;

/// Where the switch is, and how its answers are told.
#[derive(Args, Clone)]
pub struct Place {
    /// Operators' API of the running switch.
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "127.0.0.1:8580",
        global = true
    )]
    admin: SocketAddr,
    /// Its data directory, for the token that lies there; CARDSWITCH_TOKEN counts before it.
    #[arg(
        long,
        value_name = "DIR",
        default_value = "./cardswitch-data",
        global = true
    )]
    data: PathBuf,
    /// Print the API's answer in JSON instead of words.
    #[arg(long, global = true)]
    json: bool,
}

/// What a command says: the API's answer, and how people are told.
struct Said {
    answer: Value,
    words: String,
}

impl Said {
    fn new(answer: Value, words: impl Into<String>) -> Said {
        Said {
            answer,
            words: words.into(),
        }
    }
}

impl Place {
    fn api(&self) -> Result<Api, Failed> {
        Api::at(&format!("http://{}", self.admin), &self.data)
    }

    /// Runs a command and prints what it says.
    fn run(&self, ask: impl FnOnce(&Api) -> Result<Said, Failed>) -> ExitCode {
        match self.api().and_then(|api| ask(&api)) {
            Ok(said) if self.json => {
                println!("{}", said.answer);
                ExitCode::SUCCESS
            }
            Ok(said) => {
                println!("{}", said.words.trim_end());
                ExitCode::SUCCESS
            }
            Err((code, sentence)) => {
                eprintln!("cardswitch: {sentence}");
                ExitCode::from(code)
            }
        }
    }
}

/// Which page of a list.
#[derive(Args)]
struct Page {
    /// Go on behind this: the cursor that the page before ended with.
    #[arg(long, allow_hyphen_values = true)]
    after: Option<String>,
    /// Rows at most.
    #[arg(long, default_value_t = 100)]
    limit: usize,
}

impl Page {
    /// The path of this page of a list.
    fn of(&self, path: &str) -> String {
        let after = self.after.as_ref();
        let after = after.map_or(String::new(), |after| format!("&after={after}"));
        format!("{path}?limit={}{after}", self.limit)
    }
}

/// A secret from standard input: arguments are for everybody's eyes.
fn secret_line(what: &str) -> Result<Zeroizing<String>, Failed> {
    let mut line = Zeroizing::new(String::new());
    let read = io::stdin().lock().read_line(&mut line);
    read.map_err(|error| (66, format!("read {what} from standard input: {error}")))?;
    let text = line.trim();
    if text.is_empty() {
        return Err((64, format!("expected {what} as a line of standard input")));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

/// A card number as it was given: itself, or with `-` the next line of standard input.
fn number_given(given: &str) -> Result<Zeroizing<String>, Failed> {
    match given {
        "-" => secret_line("the card number"),
        number => Ok(Zeroizing::new(number.to_owned())),
    }
}

/// `Done as record 12.`, or that it was done before.
fn done(answer: &Value, what: &str) -> String {
    let record = answer.get("sequence").and_then(Value::as_u64);
    let record = record.map_or(String::new(), |record| format!(" (record {record})"));
    match answer.get("repeated").and_then(Value::as_bool) {
        Some(true) => format!("{what} already{record}; nothing has changed"),
        _ => format!("{what}{record}"),
    }
}

/// A value in a cell or a sentence.
fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
