//! `cardswitch tail`: the decision log for people, following it across rotation.
//!
//! Owns the command line and the choice of lines. `tail_follow.rs` finds the lines,
//! `tail_render.rs` says them in words.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use super::tail_follow::Follower;
use super::tail_render::{Line, Look, explain, render};
use crate::ops::log::active_file;
use crate::switch::config::{Config, LOG_DIRECTORY};

/// How often a followed file is looked at.
const POLL: Duration = Duration::from_millis(100);

/// Show the switch's decisions as they are made.
#[derive(Debug, Args)]
pub struct TailArgs {
    /// Data directory of the switch [default: ./cardswitch-data]
    #[arg(long, value_name = "DIR", conflicts_with = "file")]
    pub data: Option<PathBuf>,
    /// Log file to read instead of the one in the data directory
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Only these response codes, such as 51 or 51,61
    #[arg(long, value_name = "CODE", value_delimiter = ',')]
    pub rc: Vec<String>,
    /// Only these reasons
    #[arg(long, value_name = "REASON", value_delimiter = ',')]
    pub reason: Vec<String>,
    /// Only this card: its last four digits or the beginning of its token
    #[arg(long, value_name = "LAST4|TOKEN")]
    pub card: Option<CardFilter>,
    /// Only these transactions: a purchase with its captures, reversals and refunds, by the `trace`
    /// of any of them
    #[arg(long, value_name = "TRACE", value_delimiter = ',')]
    pub trace: Vec<u64>,
    /// Only these merchant category codes
    #[arg(long, value_name = "MCC", value_delimiter = ',')]
    pub mcc: Vec<String>,
    /// Only decisions since then: 90s, 10m, 2h, 1d ago or a time such as 2026-11-21T09:00:00+09:00
    #[arg(long, value_name = "TIME")]
    pub since: Option<Since>,
    /// Print the JSON lines as they are
    #[arg(long)]
    pub json: bool,
    /// Show this many earlier lines first [default: 20, or all with --since]
    #[arg(short = 'n', long, value_name = "N")]
    pub lines: Option<usize>,
    /// Follow the log, which is what happens without --no-follow
    #[arg(short = 'f', long, conflicts_with = "no_follow")]
    pub follow: bool,
    /// Stop at the end of the log instead of following it
    #[arg(long)]
    pub no_follow: bool,
    /// Say below each decision what else is known of it: evidence, what names message and card
    /// elsewhere, purses, the time of each step
    #[arg(long, conflicts_with = "json")]
    pub explain: bool,
    /// Show also what is not a decision: start, stop, links, warnings
    #[arg(long)]
    pub all: bool,
}

/// A card, the way people name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CardFilter {
    /// Last four digits of its number.
    LastFour(String),
    /// The beginning of its token, hexadecimal.
    Token(String),
}

impl std::str::FromStr for CardFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<CardFilter, String> {
        if text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(CardFilter::LastFour(text.to_string()));
        }
        let is_token =
            (6..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
        if is_token && !looks_like_card_number(text) {
            return Ok(CardFilter::Token(text.to_ascii_lowercase()));
        }
        Err(
            "expected 4 digits or at least 6 hexadecimal digits of a token; never a card number"
                .to_string(),
        )
    }
}

fn looks_like_card_number(text: &str) -> bool {
    text.len() >= 13 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The moment from which on decisions are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// So long before now.
    Ago(SignedDuration),
    /// This moment.
    At(Timestamp),
}

impl std::str::FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Since, String> {
        if let Ok(at) = text.parse() {
            return Ok(Since::At(at));
        }
        let seconds_of = |unit: char| match unit {
            's' => Some(1_i64),
            'm' => Some(60),
            'h' => Some(3_600),
            'd' => Some(86_400),
            _ => None,
        };
        let mut characters = text.chars();
        characters
            .next_back()
            .and_then(seconds_of)
            .zip(characters.as_str().parse::<u32>().ok())
            .and_then(|(seconds, count)| seconds.checked_mul(i64::from(count)))
            .map(|seconds| Since::Ago(SignedDuration::from_secs(seconds)))
            .ok_or_else(|| "expected 90s, 10m, 2h, 1d or an RFC 3339 time with zone".to_string())
    }
}

/// Which lines are shown.
struct Choice<'a> {
    args: &'a TailArgs,
    since: Option<Timestamp>,
}

impl Choice<'_> {
    fn takes(&self, line: &Line<'_>) -> bool {
        if self
            .since
            .is_some_and(|since| line.time().is_none_or(|time| time < since))
        {
            return false;
        }
        let among = |wanted: &[String], value: Option<&str>| {
            wanted.is_empty() || value.is_some_and(|value| wanted.iter().any(|w| w == value))
        };
        let Some(decision) = line.decision() else {
            let unfiltered = self.args.rc.is_empty()
                && self.args.reason.is_empty()
                && self.args.mcc.is_empty()
                && self.args.trace.is_empty()
                && self.args.card.is_none();
            return self.args.all && unfiltered;
        };
        let card = match &self.args.card {
            None => true,
            Some(CardFilter::LastFour(digits)) => decision
                .card()
                .is_some_and(|card| card.ends_with(digits.as_str())),
            Some(CardFilter::Token(token)) => decision
                .card_token()
                .is_some_and(|whole| whole.starts_with(token.as_str())),
        };
        let trace = self.args.trace.is_empty()
            || decision
                .trace()
                .is_some_and(|it| self.args.trace.contains(&it));
        card && trace
            && among(&self.args.rc, decision.code())
            && among(&self.args.reason, decision.reason())
            && among(&self.args.mcc, decision.mcc())
    }
}

/// Runs `cardswitch tail`; ends with failure only when there is no log to read.
pub fn run(args: TailArgs) -> ExitCode {
    let stdout = io::stdout();
    let look = Look {
        colour: stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
        zone: TimeZone::system(),
    };
    match show(&args, &look, &mut stdout.lock()) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of our output went away: nothing left to do.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            let _nowhere_to_tell = writeln!(io::stderr(), "cardswitch tail: failed to {error}");
            ExitCode::FAILURE
        }
    }
}

fn show(args: &TailArgs, look: &Look, out: &mut impl Write) -> io::Result<()> {
    let path = log_path(args);
    let mut follower = open(&path, args.no_follow)?;
    let since = match args.since {
        None => None,
        Some(Since::At(at)) => Some(at),
        Some(Since::Ago(ago)) => Some(
            Timestamp::now()
                .saturating_sub(ago)
                .map_err(io::Error::other)?,
        ),
    };
    let choice = Choice { args, since };

    let earlier = match (args.lines, since) {
        (Some(lines), _) => lines,
        (None, Some(_)) => usize::MAX,
        (None, None) => 20,
    };
    for raw in last_lines(&mut follower, &choice, earlier)? {
        print_line(&raw, args, look, out)?;
    }
    out.flush()?;
    if args.no_follow {
        return Ok(());
    }
    loop {
        let mut result = Ok(());
        follower.poll(&mut |raw| {
            if result.is_ok() && choice.takes(&Line::parse(raw)) {
                result = print_line(raw, args, look, out);
            }
        })?;
        result?;
        out.flush()?;
        std::thread::sleep(POLL);
    }
}

fn log_path(args: &TailArgs) -> PathBuf {
    match (&args.file, &args.data) {
        (Some(file), _) => file.clone(),
        (None, Some(data)) => active_file(&data.join(LOG_DIRECTORY)),
        (None, None) => active_file(&Config::standard().data_dir.join(LOG_DIRECTORY)),
    }
}

/// Opens the log; when following, waits until there is one.
fn open(path: &Path, no_follow: bool) -> io::Result<Follower> {
    let mut told = false;
    loop {
        match Follower::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !no_follow => {
                if !told {
                    told = true;
                    writeln!(io::stderr(), "waiting for {}", path.display())?;
                }
                std::thread::sleep(POLL);
            }
            Err(error) => {
                let text = format!("read {}: {error}", path.display());
                return Err(io::Error::new(error.kind(), text));
            }
            opened => return opened,
        }
    }
}

/// The last `count` chosen lines of what is there already, oldest first.
fn last_lines(
    follower: &mut Follower,
    choice: &Choice<'_>,
    count: usize,
) -> io::Result<VecDeque<String>> {
    let mut kept = VecDeque::new();
    let mut keep = |raw: &str| {
        if count > 0 && choice.takes(&Line::parse(raw)) {
            if kept.len() == count {
                kept.pop_front();
            }
            kept.push_back(raw.to_string());
        }
    };
    if count > 0 {
        follower.earlier(choice.since, &mut keep)?;
    }
    follower.poll(&mut keep)?;
    Ok(kept)
}

fn print_line(raw: &str, args: &TailArgs, look: &Look, out: &mut impl Write) -> io::Result<()> {
    if args.json {
        writeln!(out, "{raw}")
    } else {
        let line = Line::parse(raw);
        writeln!(out, "{}", render(&line, look))?;
        let rows = if args.explain {
            explain(&line, look)
        } else {
            Vec::new()
        };
        rows.iter().try_for_each(|row| writeln!(out, "{row}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        tail: TailArgs,
    }

    fn args(line: &str) -> Result<TailArgs, clap::Error> {
        let words = std::iter::once("tail").chain(line.split_whitespace());
        Command::try_parse_from(words).map(|command| command.tail)
    }

    fn shown(directory: &Path, flags: &str) -> String {
        let file = directory.join("log/decisions.jsonl");
        let flags = format!("{flags} --no-follow --file {}", file.display());
        let look = Look {
            colour: false,
            zone: TimeZone::UTC,
        };
        let mut out = Vec::new();
        show(&args(&flags).unwrap(), &look, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn log_of_three_files() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        std::fs::create_dir(&log).unwrap();
        let line = |minute: u32, code: &str, mcc: &str, last4: &str| {
            let line = serde_json::json!({
                "time": format!("2026-11-21T19:{minute:02}:00.000Z"),
                "mti": "0100",
                "card": format!("476173******{last4}"),
                "card_token": format!("ab{last4}cd"),
                "mcc": mcc,
                "decision": "declined",
                "reason": format!("r{code}"),
                "code": code,
            });
            format!("{line}\n")
        };
        let start = r#"{"time":"2026-11-21T19:00:00.000Z","target":"switch"}"#;
        std::fs::write(
            log.join("decisions.2.jsonl"),
            format!("{start}\n{}", line(1, "51", "5411", "0119")),
        )
        .unwrap();
        std::fs::write(log.join("decisions.1.jsonl"), line(2, "57", "5541", "0119")).unwrap();
        let active = format!(
            "{}{}",
            line(3, "51", "5541", "0012"),
            line(4, "61", "5411", "0012")
        );
        std::fs::write(log.join("decisions.jsonl"), active).unwrap();
        directory
    }

    #[test]
    fn filters_choose_lines_across_rotated_files() {
        let log = log_of_three_files();
        for (flags, minutes) in [
            ("", vec!["01", "02", "03", "04"]),
            ("--all", vec!["00", "01", "02", "03", "04"]),
            ("--all --rc 51", vec!["01", "03"]),
            ("--rc 51", vec!["01", "03"]),
            ("--rc 51,61", vec!["01", "03", "04"]),
            ("--reason r57", vec!["02"]),
            ("--mcc 5541", vec!["02", "03"]),
            ("--card 0119", vec!["01", "02"]),
            ("--card AB0012", vec!["03", "04"]),
            ("--since 2026-11-21T19:02:00Z", vec!["02", "03", "04"]),
            ("--since 10m", vec![]),
            ("--lines 2", vec!["03", "04"]),
            ("--lines 1 --mcc 5541", vec!["03"]),
            ("--lines 0", vec![]),
        ] {
            let text = shown(log.path(), flags);
            let found: Vec<&str> = text.lines().map(|line| &line[9..11]).collect();
            assert_eq!(found, minutes, "{flags}: {text}");
        }
    }

    #[test]
    fn json_lines_come_out_as_they_are() {
        let log = log_of_three_files();
        let expected = std::fs::read_to_string(log.path().join("log/decisions.jsonl")).unwrap();
        assert_eq!(shown(log.path(), "--json --lines 2"), expected);
    }

    #[test]
    fn an_explained_decision_says_why_whose_and_where_the_time_went() {
        let log = log_of_three_files();
        let line = r#"{"time":"2026-11-21T19:09:00.000Z","link":"door","mti":"0100","stan":"000007",
            "rrn":"000000000007","card":"476173******0119","card_token":"ab0119cd","account":1,
            "purpose":"purchase","decision":"declined","reason":"insufficient-funds",
            "evidence":"asked 900, available 100","code":"51","repeat":false,"balances":[
            {"purse":"withdrawable","currency":"JPY","balance_minor":500,"held_minor":400}],
            "sequence":12,"trace":9,"decode_ns":700,"append_ns":1200000,"total_ns":1300000}"#;
        let line = format!("{}\n", line.replace('\n', ""));
        std::fs::write(log.path().join("log/decisions.jsonl"), line).unwrap();
        let text = shown(log.path(), "--explain --lines 1");
        for words in [
            "why      insufficient-funds: asked 900, available 100",
            "message  link door, stan 000007, rrn 000000000007, record 12, trace 9",
            "card     token ab0119cd, account 1",
            "purses   withdrawable 500 JPY, of it held 400 JPY",
            "took     decode 700 ns, append 1.20 ms",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert_eq!(text.lines().count(), 6, "{text}");
        assert_eq!(shown(log.path(), "--lines 1").lines().count(), 1);
    }

    #[test]
    fn flags_that_make_no_sense_are_refused() {
        for flags in [
            "--card 4761739001010119",
            "--card 12345",
            "--since yesterday",
            "--since 10",
            "--since m",
            "--data a --file b",
            "--follow --no-follow",
            "--explain --json",
        ] {
            assert!(args(flags).is_err(), "{flags}");
        }
        assert_eq!(
            args("--since 2h").unwrap().since,
            Some(Since::Ago(SignedDuration::from_hours(2)))
        );
    }

    #[test]
    fn log_that_is_not_there_is_an_error_when_not_following() {
        let args = args("--no-follow --file /nowhere/decisions.jsonl").unwrap();
        let look = Look {
            colour: false,
            zone: TimeZone::UTC,
        };
        let error = show(&args, &look, &mut Vec::new()).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("read /nowhere/decisions.jsonl: "),
            "{error}"
        );
    }
}
