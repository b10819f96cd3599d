//! `cardswitch exception`, `explain`, `audit`, and what `programme` and `ledger` ask of a
//! running switch.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::table::{more, table};
use super::{Page, Place, Said, done, text};
use crate::cli::api::Api;
use crate::cli::import::Failed;

/// What `exception` can be told.
#[derive(Args)]
pub struct ExceptionArgs {
    #[command(subcommand)]
    command: ExceptionCommand,
    #[command(flatten)]
    place: Place,
}

#[derive(Subcommand)]
enum ExceptionCommand {
    /// List what a person must look at, newest first.
    List(Page),
    /// Take the exceptions of a record out of the queue.
    Resolve {
        /// Number of the record.
        sequence: u64,
        /// What was done about them; stays in the journal.
        #[arg(long)]
        note: String,
    },
}

/// Runs `exception`.
pub fn run_exception(args: &ExceptionArgs) -> ExitCode {
    args.place.run(|api| match &args.command {
        ExceptionCommand::List(page) => {
            let answer = api.get(&page.of("/v1/exceptions"))?;
            let columns = [
                ("record", "/sequence"),
                ("at", "/at"),
                ("kind", "/kind"),
                ("entry", "/entry"),
                ("card", "/card"),
                ("minor", "/minor"),
            ];
            let words = table(answer.get("newest"), &columns, "nothing to look at\n");
            let words = words + &more(&answer);
            Ok(Said::new(answer, words))
        }
        ExceptionCommand::Resolve { sequence, note } => {
            let path = format!("/v1/exceptions/{sequence}/resolve");
            let answer = api.post(&path, &json!({ "note": note }))?;
            let words = done(&answer, &format!("record {sequence} is resolved"));
            Ok(Said::new(answer, words))
        }
    })
}

/// What `explain` can be told.
#[derive(Args)]
pub struct ExplainArgs {
    /// Number of the decision's record, as the log and the notices have it.
    sequence: u64,
    #[command(flatten)]
    place: Place,
}

/// Runs `explain`.
pub fn run_explain(args: &ExplainArgs) -> ExitCode {
    args.place.run(|api| {
        let answer = api.get(&format!("/v1/decisions/{}", args.sequence))?;
        let words = explained(&answer);
        Ok(Said::new(answer, words))
    })
}

fn explained(answer: &Value) -> String {
    let word = |key: &str| text(&answer[key]);
    let mut words = format!(
        "record {}  {}  {} {} of {} {}  card {} {}  at {}\n\n{} ({}): {}\n{}\n{}\n\n",
        word("sequence"),
        word("at"),
        word("mti"),
        word("purpose"),
        word("minor"),
        word("currency"),
        word("card"),
        word("number"),
        word("merchant"),
        word("code"),
        word("reason"),
        word("evidence"),
        text(&answer["sentence"]["en"]),
        text(&answer["sentence"]["ja"]),
    );
    let columns = [("rule", "/rule"), ("outcome", "/outcome")];
    words += &table(
        answer.get("rules"),
        &columns,
        "no rule looks at such a message\n",
    );
    words
}

/// What `audit` can be told.
#[derive(Args)]
pub struct AuditArgs {
    /// Go on behind this record.
    #[arg(long, default_value_t = 0)]
    after: u64,
    /// Rows at most.
    #[arg(long, default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    place: Place,
}

/// Runs `audit`.
pub fn run_audit(args: &AuditArgs) -> ExitCode {
    args.place.run(|api| {
        let (after, limit) = (args.after, args.limit);
        let answer = api.get(&format!("/v1/audit?after={after}&limit={limit}"))?;
        let columns = [
            ("record", "/sequence"),
            ("at", "/at"),
            ("who", "/name"),
            ("did", "/did"),
            ("account", "/account"),
            ("card", "/card"),
            ("entry", "/entry"),
        ];
        let mut words = table(answer.get("deeds"), &columns, "nobody did anything\n");
        if answer["behind"].as_u64() != Some(0) {
            words += &more(&answer);
        }
        Ok(Said::new(answer, words))
    })
}

/// A running switch to ask.
#[derive(Args)]
pub struct AskArgs {
    #[command(flatten)]
    place: Place,
}

/// Runs `programme list`.
pub fn run_programmes(args: &AskArgs) -> ExitCode {
    args.place.run(|api| programmes(api.get("/v1/programmes")?))
}

/// Runs `programme reload`.
pub fn run_reload(args: &AskArgs) -> ExitCode {
    args.place
        .run(|api| programmes(api.post("/v1/programmes/reload", &json!({}))?))
}

fn programmes(answer: Value) -> Result<Said, Failed> {
    let columns = [
        ("programme", "/name"),
        ("version", "/version"),
        ("title", "/title"),
    ];
    let words = table(answer.get("programmes"), &columns, "no programmes\n");
    Ok(Said::new(answer, words))
}

/// What `programme try` can be told.
#[derive(Args)]
pub struct TryArgs {
    /// The programme file; it takes the place of the programme of its name.
    file: PathBuf,
    /// First instant that is decided again, such as 2027-03-01T00:00:00+09:00 [default: the first].
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// First instant after it [default: now].
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// Runs `programme try`.
pub fn run_try(args: &TryArgs) -> ExitCode {
    args.place.run(|api| {
        let shown = args.file.display();
        let file = fs::read_to_string(&args.file);
        let file = file.map_err(|error| (66, format!("read {shown}: {error}")))?;
        let asked = json!({ "file": file, "from": args.from, "until": args.until });
        let answer = api.post("/v1/programmes/backtest", &asked)?;
        let word = |key: &str| text(&answer[key]);
        let mut words = format!(
            "{} of {} decisions would change\n",
            word("changed"),
            word("decisions")
        );
        if answer["whole"].as_bool() != Some(true) {
            words += &format!(
                "only through record {}: the time was over\n",
                word("through")
            );
        }
        let columns = [
            ("times", "/count"),
            ("was", "/was"),
            ("would be", "/would_be"),
        ];
        words += &table(answer.get("changes"), &columns, "");
        let columns = [
            ("record", "/sequence"),
            ("at", "/at"),
            ("card", "/card"),
            ("minor", "/minor"),
            ("was", "/was"),
            ("would be", "/would_be"),
            ("evidence", "/evidence"),
        ];
        words += "\n";
        words += &table(answer.get("examples"), &columns, "");
        Ok(Said::new(answer, words))
    })
}

/// Runs `ledger proof`.
pub fn run_proof(args: &AskArgs) -> ExitCode {
    args.place.run(|api: &Api| {
        let answer = api.get("/v1/state")?;
        if answer["conserved"].as_bool() != Some(true) {
            return Err((
                1,
                format!("the money does not add up: {}", text(&answer["fault"])),
            ));
        }
        let columns = [
            ("account", "/account"),
            ("currency", "/currency"),
            ("minor", "/minor"),
        ];
        let words = format!(
            "record {}: postings sum to zero, purses are their postings, holds are the open \
             authorizations\ndigest {}\n\n{}",
            text(&answer["sequence"]),
            text(&answer["digest"]),
            table(answer.get("ledger"), &columns, "nothing was posted\n")
        );
        Ok(Said::new(answer, words))
    })
}
