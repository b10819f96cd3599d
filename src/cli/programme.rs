//! `cardswitch programme`: checks programme files, tells them in words, tries them on a recorded
//! period.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::domain::money::Amount;
use crate::domain::programme_file;
use crate::domain::time::UnixMs;
use crate::switch::backtest::{Report, Trial};
use crate::switch::clock;
use crate::switch::rulebook::LoadedRules;

use super::backtest;
use super::operate::desk::{self, AskArgs};
use super::operate::desk_shadow;
use super::programme_words;

/// What `programme` can be told.
#[derive(Args)]
pub struct ProgrammeArgs {
    #[command(subcommand)]
    command: ProgrammeCommand,
}

#[derive(Subcommand)]
enum ProgrammeCommand {
    /// Say every mistake of programme files with its line, or tell them in words; and check the
    /// response codes they are answered with.
    Check {
        /// Programme files, such as spec/programme/prepaid-jp.toml.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Folder of dialect tables [default: those of the program].
        #[arg(long, value_name = "DIR")]
        dialects: Option<PathBuf>,
        /// The dialect whose response codes are told.
        #[arg(long, default_value = "iso87")]
        dialect: String,
    },
    /// Decide a recorded period again under a programme file and say what would have changed.
    Backtest(BacktestArgs),
    /// Have a running switch decide a recorded period again under a programme file.
    Try(desk::TryArgs),
    /// Have a running switch judge what it decides under a programme file too, which decides
    /// nothing; or tell what that file would have decided otherwise.
    Shadow(desk_shadow::ShadowArgs),
    /// List the programmes that a running switch decides by.
    List(AskArgs),
    /// Have a running switch read its programme files again.
    Reload(AskArgs),
}

/// What `backtest` can be told.
#[derive(Args)]
pub struct BacktestArgs {
    /// The programme file; it takes the place of the programme of its name.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Directory of the store whose journal is decided again; the store must not be in use.
    #[arg(long, value_name = "DIR", default_value = "./cardswitch-data")]
    pub journal: PathBuf,
    /// Folder of the other programmes [default: those that the journal had in force].
    #[arg(long, value_name = "DIR")]
    pub programmes: Option<PathBuf>,
    /// Folder of dialect tables [default: those of the program].
    #[arg(long, value_name = "DIR")]
    pub dialects: Option<PathBuf>,
    /// First instant that is decided again, such as 2027-03-01T00:00:00+09:00 [default: the first].
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub from: Option<UnixMs>,
    /// First instant after it [default: none].
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub until: Option<UnixMs>,
}

fn instant(text: &str) -> Result<UnixMs, String> {
    let at: jiff::Timestamp = text
        .parse()
        .map_err(|_| "expected an instant such as 2027-03-01T00:00:00+09:00".to_owned())?;
    Ok(UnixMs(at.as_millisecond()))
}

/// Runs the command; exit code 1 when a file or a table has a mistake.
pub fn run(args: &ProgrammeArgs) -> ExitCode {
    let outcome = match &args.command {
        ProgrammeCommand::Check {
            files,
            dialects,
            dialect,
        } => check(files, dialects.as_deref(), dialect),
        ProgrammeCommand::Backtest(args) => backtest(args).map_err(|sentence| vec![sentence]),
        ProgrammeCommand::Try(args) => return desk::run_try(args),
        ProgrammeCommand::Shadow(args) => return desk_shadow::run(args),
        ProgrammeCommand::List(args) => return desk::run_programmes(args),
        ProgrammeCommand::Reload(args) => return desk::run_reload(args),
    };
    match outcome {
        Ok(told) => {
            print!("{told}");
            ExitCode::SUCCESS
        }
        Err(mistakes) => {
            for mistake in mistakes {
                eprintln!("cardswitch: {mistake}");
            }
            ExitCode::FAILURE
        }
    }
}

/// The programmes in words, and what is right about the response codes.
///
/// # Errors
/// Every mistake of every file, and every finding about response codes.
pub fn check(
    files: &[PathBuf],
    dialects: Option<&Path>,
    dialect: &str,
) -> Result<String, Vec<String>> {
    let rules = LoadedRules::load(None, dialects).map_err(|error| error.0)?;
    let (_, told_in) = rules
        .dialect(dialect)
        .ok_or_else(|| vec![format!("no dialect is named {dialect:?}")])?;
    let mut mistakes = Vec::new();
    let mut told = String::new();
    for file in files {
        let shown = file.display().to_string();
        match fs::read_to_string(file) {
            Err(error) => mistakes.push(format!("read {shown}: {error}")),
            Ok(text) => match programme_file::parse(&shown, &text) {
                Ok(programme) => {
                    told.push_str(&programme_words::tell(&programme, &told_in.codes));
                    told.push('\n');
                }
                Err(error) => {
                    let rows = error.mistakes.iter();
                    mistakes.extend(rows.map(|mistake| format!("{shown}: {mistake}")));
                }
            },
        }
    }
    for dialect in &rules.dialects {
        let findings = dialect.code_findings();
        let name = &dialect.name;
        mistakes.extend(
            findings
                .iter()
                .map(|text| format!("dialect {name}: {text}")),
        );
        told.push_str(&match &dialect.code_list {
            Some(list) => format!(
                "response codes of {name}: without finding under the network's list of {}\n",
                list.as_of
            ),
            None => format!("response codes of {name}: not checked, the table has no code_list\n"),
        });
    }
    if mistakes.is_empty() {
        Ok(told)
    } else {
        Err(mistakes)
    }
}

/// Decides a recorded period again and tells what would have changed.
///
/// # Errors
/// The mistakes of the file, or what keeps the journal from being followed.
pub fn backtest(args: &BacktestArgs) -> Result<String, String> {
    let rules = LoadedRules::load(args.programmes.as_deref(), args.dialects.as_deref())
        .map_err(|error| error.to_string())?;
    let shown = args.file.display().to_string();
    let text = fs::read_to_string(&args.file).map_err(|error| format!("read {shown}: {error}"))?;
    let programme = programme_file::parse(&shown, &text).map_err(|error| error.to_string())?;
    let trial = Trial::of(programme, &rules.rulebook, args.programmes.is_none());
    let (from, until) = (
        args.from.unwrap_or(UnixMs(i64::MIN)),
        args.until.unwrap_or(UnixMs(i64::MAX)),
    );
    let started = clock::instant();
    let report = backtest::run(&args.journal, trial, from, until)?;
    let seconds = started.elapsed().as_secs_f64();
    let mut told = tell_backtest(&report, &rules);
    told.push_str(&format!(
        "{} decisions again in {seconds:.1} s: {:.0} a second\n",
        report.decisions,
        report.decisions as f64 / seconds.max(f64::EPSILON),
    ));
    Ok(told)
}

fn tell_backtest(report: &Report, rules: &LoadedRules) -> String {
    let mut lines = Vec::new();
    let changed: u64 = report.changes.values().map(|change| change.count).sum();
    lines.push(format!("{changed} decisions would change"));
    for ((was, would_be), change) in &report.changes {
        let sums: Vec<String> = change
            .minor
            .iter()
            .map(|(currency, minor)| Amount::new(*minor, *currency).to_string())
            .collect();
        lines.push(format!(
            "  {:>9}  {was} -> {would_be}  ({})",
            change.count,
            sums.join(", ")
        ));
    }
    for example in &report.examples {
        let card = example.card.map_or(0, |card| card.0);
        lines.push(format!(
            "  record {} at {}: card {card}, {} minor units: {} -> {}  {}",
            example.sequence,
            example.at,
            example.minor,
            example.was,
            example.would_be,
            example.evidence,
        ));
    }
    if report.in_shadow > 0 {
        let count = report.in_shadow;
        lines.push(format!(
            "{count} approvals would have been refused by a row in shadow"
        ));
    }
    lines.extend(generic_share(report, rules));
    lines.push(String::new());
    lines.join("\n")
}

/// Networks charge issuers for too many declines of the kind that says nothing.
fn generic_share(report: &Report, rules: &LoadedRules) -> Option<String> {
    let list = rules.dialects.iter().find_map(|it| it.code_list.as_ref())?;
    let (mut was, mut would_be, mut generic_was, mut generic) = (0, 0, 0, 0);
    for (code, (recorded, again)) in &report.declines {
        was += recorded;
        would_be += again;
        if list.is_generic(code) {
            generic_was += recorded;
            generic += again;
        }
    }
    let per_cent = |part: u64, whole: u64| part * 100 / whole.max(1);
    Some(format!(
        "declines: {was} -> {would_be}; with a code that says nothing: {} % -> {} % (networks \
         charge above 5 %)",
        per_cent(generic_was, was),
        per_cent(generic, would_be),
    ))
}
