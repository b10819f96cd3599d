//! What a conversation shows: each step in words for people, or one JSON object per line.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use serde_json::json;

/// One expectation and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) passed: bool,
    pub(super) text: String,
}

/// One step, done.
#[derive(Debug, Default)]
pub(super) struct StepReport {
    pub(super) name: String,
    /// Time of day in UTC.
    pub(super) at: String,
    pub(super) request: Option<String>,
    pub(super) reply: Option<String>,
    /// Wire time of the exchange in microseconds.
    pub(super) latency_us: Option<u128>,
    /// What the card's account holds, when the step looks at it.
    pub(super) balance: Option<String>,
    pub(super) checks: Vec<Check>,
}

/// How many expectations were met.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Expectations that were met.
    pub(super) passed: usize,
    /// Expectations that were not, and exchanges without a reply.
    pub(super) failed: usize,
}

/// Who reads the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// Sentences.
    Person,
    /// JSON lines.
    Program,
}

impl Check {
    pub(super) fn pass(text: String) -> Self {
        Self { passed: true, text }
    }

    pub(super) fn fail(text: String) -> Self {
        Self {
            passed: false,
            text,
        }
    }
}

impl Tally {
    pub(super) fn add(&mut self, checks: &[Check]) {
        let passed = checks.iter().filter(|check| check.passed).count();
        self.passed += passed;
        self.failed += checks.len() - passed;
    }
}

const TITLE: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const PASS: Style = AnsiColor::Green.on_default();
const FAIL: Style = AnsiColor::Red.on_default().bold();

/// The heading of a conversation.
pub(super) fn write_title(out: &mut dyn Write, reader: Reader, title: &str) -> io::Result<()> {
    match reader {
        Reader::Person => writeln!(out, "{TITLE}{title}{TITLE:#}"),
        Reader::Program => Ok(()),
    }
}

/// One step.
pub(super) fn write_step(out: &mut dyn Write, reader: Reader, step: &StepReport) -> io::Result<()> {
    if reader == Reader::Program {
        let checks: Vec<_> = step
            .checks
            .iter()
            .map(|check| json!({ "passed": check.passed, "text": check.text }))
            .collect();
        let line = json!({
            "step": step.name, "at": step.at, "request": step.request, "reply": step.reply,
            "balance": step.balance,
            "latency_us": step.latency_us.map(|us| u64::try_from(us).unwrap_or(u64::MAX)),
            "checks": checks,
        });
        return writeln!(out, "{line}");
    }
    writeln!(
        out,
        "\n{DIM}{}{DIM:#}  {TITLE}{}{TITLE:#}",
        step.at, step.name
    )?;
    if let Some(request) = &step.request {
        writeln!(out, "      ->  {request}")?;
        let reply = step.reply.as_deref().unwrap_or("no reply");
        write!(out, "      <-  {reply}")?;
        match step.latency_us {
            Some(us) => writeln!(out, "  {DIM}{}{DIM:#}", milliseconds(us))?,
            None => writeln!(out)?,
        }
    }
    if let Some(balance) = &step.balance {
        writeln!(out, "          {balance}")?;
    }
    let passed: Vec<&str> = step
        .checks
        .iter()
        .filter(|check| check.passed)
        .map(|check| check.text.as_str())
        .collect();
    if !passed.is_empty() {
        writeln!(
            out,
            "    {PASS}PASS{PASS:#}  {DIM}{}{DIM:#}",
            passed.join("; ")
        )?;
    }
    for check in step.checks.iter().filter(|check| !check.passed) {
        writeln!(out, "    {FAIL}FAIL{FAIL:#}  {}", check.text)?;
    }
    Ok(())
}

fn milliseconds(us: u128) -> String {
    format!("{}.{:02} ms", us / 1_000, us % 1_000 / 10)
}

/// The last line.
pub(super) fn write_tally(out: &mut dyn Write, reader: Reader, tally: Tally) -> io::Result<()> {
    let Tally { passed, failed } = tally;
    match reader {
        Reader::Person => {
            let style = if failed == 0 { PASS } else { FAIL };
            writeln!(out, "\n{style}{passed} passed, {failed} failed{style:#}")
        }
        Reader::Program => writeln!(out, "{}", json!({ "passed": passed, "failed": failed })),
    }
}
