//! `cardswitch clearing post`: posts a clearing file, each of its lines once.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use crate::engine::operation::Reference;
use crate::switch::clearing::{Columns, LINES_TOGETHER_MAX, LineOutcome, Status, read_line};
use crate::switch::config::{Config, Overrides};
use crate::switch::token::TokenKey;

use super::clearing_desk::Desk;
use super::clearing_file::ClearingFile;
use super::clearing_report::Report;
use super::import::Failed;

/// What `clearing` can be told.
#[derive(Args)]
pub struct ClearingArgs {
    #[command(subcommand)]
    command: ClearingCommand,
}

#[derive(Subcommand)]
enum ClearingCommand {
    /// Post a file of presentments (spec/clearing.md). Run again after a crash, it goes on.
    Post(PostArgs),
}

#[derive(Args)]
struct PostArgs {
    /// Clearing file, CSV or JSON lines.
    file: PathBuf,
    /// Directory of the store [default: ./cardswitch-data]; a switch that has it open is asked,
    /// with the token that lies there.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Operators' API of the running switch.
    #[arg(long, value_name = "ADDR")]
    admin: Option<SocketAddr>,
    /// Configuration file of the switch.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Post the good lines of a file that has bad ones; the batch stays open for these.
    #[arg(long)]
    skip_bad: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

/// Posts the file; exit code 1 when a line was refused.
pub fn run(args: &ClearingArgs) -> ExitCode {
    let ClearingCommand::Post(args) = &args.command;
    match post(args) {
        Ok(report) => {
            if args.json {
                println!("{}", serde_json::to_string(&report).unwrap_or_default());
            } else {
                print!("{}", report.text());
            }
            if report.is_whole() {
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

fn post(args: &PostArgs) -> Result<Report, Failed> {
    let overrides = Overrides {
        data_dir: args.data.clone(),
        listeners: Vec::new(),
        admin: args.admin,
    };
    let config = Config::load(args.config.as_deref(), &overrides)
        .map_err(|error| (78, error.to_string()))?;
    let mut desk = match args.admin {
        Some(_) => Desk::admin(&config)?,
        None => Desk::open(&config)?,
    };
    let posted = post_at(args, &mut desk);
    // What was posted is durable; the store is left well all the same.
    let left = desk.leave();
    let report = posted?;
    left.map(|()| report)
}

fn post_at(args: &PostArgs, desk: &mut Desk) -> Result<Report, Failed> {
    let checked = check(&args.file, desk)?;
    if checked.report.refused > 0 && !args.skip_bad {
        let text = checked.report.text();
        let lines = text.lines().filter(|line| line.starts_with("  line "));
        let lines: Vec<&str> = lines.collect();
        let what = format!(
            "{}: {} lines cannot be posted, so none was:\n{}",
            args.file.display(),
            checked.report.refused,
            lines.join("\n")
        );
        return Err((65, what));
    }
    let mut report = checked.report;
    let bar = progress(u64::from(checked.lines))?;
    let posting = post_lines(&args.file, desk, &checked.bad, &mut report, &bar);
    bar.finish_and_clear();
    let done = |report: &Report| report.posted + report.repeated;
    posting.map_err(|(code, sentence)| {
        let done = done(&report);
        let hint = "run it again to go on: no line is posted twice";
        (code, format!("after {done} lines: {sentence}; {hint}"))
    })?;
    if report.is_whole() {
        let batch = report.batch.parse::<Reference>();
        let batch = batch.map_err(|_| (70, "a batch without a name".to_owned()))?;
        desk.close(batch, checked.lines)?;
        report.closed = true;
    }
    Ok(report)
}

/// What a first reading of the whole file found.
struct Checked {
    /// With every line that cannot be posted.
    report: Report,
    /// Numbers of those lines.
    bad: HashSet<u64>,
    /// How many lines the header promises.
    lines: u32,
}

/// Reads the whole file and asks what posting it would do.
fn check(path: &Path, desk: &mut Desk) -> Result<Checked, Failed> {
    let mut file = ClearingFile::open(path).map_err(|what| (65, what))?;
    let header = file.header;
    let mut checked = Checked {
        report: Report::of(&header.batch),
        bad: HashSet::new(),
        lines: header.lines,
    };
    let mut names = HashSet::new();
    let mut chunk: Vec<(u64, Columns)> = Vec::new();
    while let Some((number, read)) = next(&mut file)? {
        checked.report.lines += 1;
        match read.and_then(|columns| alone(&columns, &mut names).map(|()| columns)) {
            Ok(columns) => chunk.push((number, columns)),
            Err(what) => checked.refuse(number, String::new(), what),
        }
        if chunk.len() == LINES_TOGETHER_MAX {
            checked.ask(desk, header.batch, &mut chunk)?;
        }
    }
    checked.ask(desk, header.batch, &mut chunk)?;
    if checked.report.lines != u64::from(header.lines) {
        let what = format!(
            "the header promises {} lines, the file has {}",
            header.lines, checked.report.lines
        );
        checked.refuse(1, String::new(), what);
    }
    Ok(checked)
}

impl Checked {
    fn refuse(&mut self, number: u64, line: String, what: String) {
        self.bad.insert(number);
        self.report.refuse(number, line, what);
    }

    /// Has a chunk of lines foreseen by the switch, and empties it.
    fn ask(
        &mut self,
        desk: &mut Desk,
        batch: Reference,
        chunk: &mut Vec<(u64, Columns)>,
    ) -> Result<(), Failed> {
        let (numbers, lines): (Vec<u64>, Vec<Columns>) = chunk.drain(..).unzip();
        if lines.is_empty() {
            return Ok(());
        }
        for (number, outcome) in numbers.into_iter().zip(desk.check(batch, &lines)?) {
            if outcome.status == Status::Refused {
                let reason = outcome.reason.unwrap_or_default();
                self.refuse(number, outcome.line, reason);
            }
        }
        Ok(())
    }
}

/// What a line says by itself: whether it can be read and has a name of its own.
fn alone(columns: &Columns, names: &mut HashSet<String>) -> Result<(), String> {
    // The key names cards; whether a line can be read does not hang on it.
    let line = read_line(columns, &TokenKey::fixed([0; 32])).map_err(|all| all.join("; "))?;
    if names.insert(line.name) {
        Ok(())
    } else {
        Err("line: another line of the file has this name".to_owned())
    }
}

fn next(file: &mut ClearingFile) -> Result<Option<super::clearing_file::Numbered>, Failed> {
    let read = file.next_line();
    read.map_err(|error| (66, format!("read the file: {error}")))
}

/// Posts every line that is not bad, some at a time.
fn post_lines(
    path: &Path,
    desk: &mut Desk,
    bad: &HashSet<u64>,
    report: &mut Report,
    bar: &ProgressBar,
) -> Result<(), Failed> {
    let mut file = ClearingFile::open(path).map_err(|what| (65, what))?;
    let batch = file.header.batch;
    let mut chunk: Vec<(u64, Columns)> = Vec::new();
    loop {
        let line = next(&mut file)?;
        let is_end = line.is_none();
        if let Some((number, Ok(columns))) = line
            && !bad.contains(&number)
        {
            chunk.push((number, columns));
        }
        if !chunk.is_empty() && (is_end || chunk.len() == LINES_TOGETHER_MAX) {
            let (numbers, lines): (Vec<u64>, Vec<Columns>) = chunk.drain(..).unzip();
            let outcomes: Vec<LineOutcome> = desk.post(batch, &lines)?;
            bar.inc(u64::try_from(outcomes.len()).unwrap_or_default());
            for (number, outcome) in numbers.into_iter().zip(outcomes) {
                report.note(number, outcome);
            }
        }
        if is_end {
            return Ok(());
        }
    }
}

fn progress(lines: u64) -> Result<ProgressBar, Failed> {
    let bar = ProgressBar::new(lines);
    let style = ProgressStyle::with_template("{elapsed:>4} [{bar:40}] {pos} of {len} lines  {eta}")
        .map_err(|error| (70, format!("draw the progress: {error}")))?;
    bar.set_style(style);
    Ok(bar)
}
