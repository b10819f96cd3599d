//! The command line of the acquirer simulator.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anstream::AutoStream;
use clap::{ArgGroup, Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::api::Api;
use crate::iso8583::MessageSpec;
use crate::switch::spec_source;
use crate::transport::Framing;

use super::compose;
use super::link::{Link, LinkPlan};
use super::load::{self, LoadPlan, Mix, Pace, PinBlocks, cards_from_toml};
use super::own_switch::{Door, OwnSwitch};
use super::play::{self, Peer};
use super::report::Reader;
use super::scenario::{Mistakes, Scenario, Target};
use super::seal::MacArgs;
use super::wire::TlsArgs;

/// Arguments of `cardswitch acquirer`.
#[derive(Debug, Args)]
pub struct AcquirerArgs {
    #[command(subcommand)]
    command: AcquirerCommand,
}

#[derive(Debug, Subcommand)]
enum AcquirerCommand {
    /// Play a scenario file: send its messages, check the replies and the balances
    Run(RunArgs),
    /// Load a switch and measure it, closed loop (--window) or open loop (--rate)
    Load(LoadArgs),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Exit code 0: every expectation was met; 1: some were not; 2: nothing was \
                        sent, the scenario or its target is wrong."
)]
struct RunArgs {
    /// Scenario file
    scenario: PathBuf,
    /// Host and port of the switch [default: the scenario's, else 127.0.0.1:8583]
    #[arg(long, value_name = "ADDR")]
    connect: Option<String>,
    /// be2, be4, ascii4 or bcd2, each with or without +tpdu [default: the scenario's, else be2]
    #[arg(long, value_name = "NAME")]
    framing: Option<String>,
    /// A built-in spec or a spec file [default: the scenario's, else iso87-ascii]
    #[arg(long, value_name = "NAME|FILE")]
    spec: Option<String>,
    /// Admin API for balances [default: the scenario's, else http://127.0.0.1:8580]
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
    /// Data directory of that switch, for its token; CARDSWITCH_TOKEN counts before it
    #[arg(long, value_name = "DIR", default_value = "./cardswitch-data")]
    data: PathBuf,
    /// Start a switch of its own (`serve --demo`) on a temporary store, for steps that kill it
    /// (crash) or have time pass (later)
    #[arg(long, conflicts_with_all = ["connect", "admin"])]
    own_switch: bool,
    /// Dialect of its own switch [default: the scenario's, else iso87]
    #[arg(long, value_name = "NAME", requires = "own_switch")]
    dialect: Option<String>,
    #[command(flatten)]
    tls: TlsArgs,
    #[command(flatten)]
    mac: MacArgs,
    /// One JSON object per step instead of sentences
    #[arg(long)]
    json: bool,
    /// No colours, also on a terminal
    #[arg(long)]
    no_color: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Exit code 0: every message got its reply; 1: some did not; 2: the load \
                        could not run."
)]
#[command(group = ArgGroup::new("pace").args(["window", "rate"]))]
struct LoadArgs {
    /// Host and port of the switch
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8584")]
    connect: String,
    /// be2, be4, ascii4 or bcd2, each with or without +tpdu
    #[arg(long, value_name = "NAME", default_value = "be2")]
    framing: Framing,
    /// A built-in spec such as iso87-ascii, or a spec file
    #[arg(long, value_name = "NAME|FILE", default_value = "iso87-binary")]
    spec: String,
    /// Connections
    #[arg(long, value_name = "N", default_value_t = 8)]
    connections: u32,
    /// Closed loop: messages in flight on each connection
    #[arg(long, value_name = "W", default_value_t = 32)]
    window: u32,
    /// Open loop: messages per second in all, latencies counted from the scheduled times
    #[arg(long, value_name = "PER_SECOND")]
    rate: Option<u64>,
    /// Measured time, such as 10s or 250ms
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_time)]
    duration: Duration,
    /// Time before it that is not measured
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_time)]
    warmup: Duration,
    /// When a message counts as unanswered
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_time)]
    reply_timeout: Duration,
    /// Shares of purchase, reversal, repeat and balance
    #[arg(long, value_name = "KIND=SHARE,...", default_value = "purchase=100")]
    mix: Mix,
    /// File of [[card]] tables with pan and expiry; cards without one are left out
    #[arg(long, value_name = "FILE", default_value = "fixtures/demo.toml")]
    cards: PathBuf,
    /// Smallest amount in minor units; a purchase is up to 99 more
    #[arg(long, value_name = "MINOR", default_value_t = 1)]
    amount: u64,
    /// Send 0800 sign-on on every connection first
    #[arg(long)]
    sign_on: bool,
    #[command(flatten)]
    tls: TlsArgs,
    #[command(flatten)]
    mac: MacArgs,
    /// Every message has this PIN (DE 52, format 0)
    #[arg(long, value_name = "DIGITS", requires = "pin_key")]
    pin: Option<String>,
    /// Test key that its blocks come under
    #[arg(long, value_name = "HEX", requires = "pin")]
    pin_key: Option<String>,
    /// The report as one JSON object
    #[arg(long)]
    json: bool,
}

/// Some expectation was not met, or some message had no reply.
const EXIT_FAILED: u8 = 1;
/// Nothing was sent: the arguments or a file are wrong.
const EXIT_USAGE: u8 = 2;

/// Why nothing was sent: an argument or a file is wrong. Never holds card data.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(String);

/// Runs the simulator on the standard streams.
pub fn run(args: AcquirerArgs) -> ExitCode {
    let no_color = matches!(&args.command, AcquirerCommand::Run(args) if args.no_color);
    let outcome = if no_color {
        execute(&args, &mut AutoStream::never(io::stdout()))
    } else {
        execute(&args, &mut anstream::stdout())
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_FAILED),
        Err(reason) => {
            // Where standard error is gone, the exit code has to say it alone.
            let _ = writeln!(
                anstream::stderr(),
                "cardswitch acquirer: failed to {reason}"
            );
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// Runs the simulator and writes its report to `out`; whether everything went as expected.
///
/// # Errors
/// The scenario, the cards, the target or `out` cannot be used.
pub fn execute(args: &AcquirerArgs, out: &mut dyn Write) -> Result<bool, UsageError> {
    match &args.command {
        AcquirerCommand::Run(args) => run_scenario(args, out),
        AcquirerCommand::Load(args) => run_load(args, out),
    }
    .map_err(UsageError)
}

/// Every mistake of the text of a scenario file, `None` when it has none; nothing is sent.
pub fn scenario_mistakes(text: &str) -> Option<String> {
    Scenario::parse(text)
        .err()
        .map(|mistakes| mistakes.to_string())
}

fn run_scenario(args: &RunArgs, out: &mut dyn Write) -> Result<bool, String> {
    let path = args.scenario.display();
    let text =
        fs::read_to_string(&args.scenario).map_err(|error| format!("read {path}: {error}"))?;
    let wrong = |mistakes: Mistakes| format!("play {path}: {mistakes}");
    let scenario = Scenario::parse(&text).map_err(wrong)?;
    let target = Target {
        connect: args
            .connect
            .clone()
            .unwrap_or_else(|| scenario.target.connect.clone()),
        framing: args
            .framing
            .clone()
            .unwrap_or_else(|| scenario.target.framing.clone()),
        spec: args
            .spec
            .clone()
            .unwrap_or_else(|| scenario.target.spec.clone()),
        dialect: args
            .dialect
            .clone()
            .unwrap_or_else(|| scenario.target.dialect.clone()),
        admin: args
            .admin
            .clone()
            .unwrap_or_else(|| scenario.target.admin.clone()),
        reply_timeout: scenario.target.reply_timeout,
    };
    let framing = Framing::preset(&target.framing).map_err(|error| error.to_string())?;
    let spec = spec_named(&target.spec)?;
    let mut mistakes = Mistakes::default();
    compose::rehearse(spec, &scenario, &mut mistakes);
    if !mistakes.is_empty() {
        return Err(wrong(mistakes));
    }
    let reader = if args.json {
        Reader::Program
    } else {
        Reader::Person
    };
    let peer = peer(args, &scenario, target, (framing, spec))?;
    let link = Link::open(&peer.plan).map_err(|error| {
        format!("{error}; is a switch running there? (cardswitch serve --demo)")
    })?;
    let tally = play::play(&scenario, peer, link, reader, out)
        .map_err(|error| format!("write the report: {error}"))?;
    Ok(tally.failed == 0)
}

/// The switch to play with: the target, or one of the scenario's own.
fn peer(
    args: &RunArgs,
    scenario: &Scenario,
    target: Target,
    (framing, spec): (Framing, &'static MessageSpec),
) -> Result<Peer, String> {
    let mut peer = Peer {
        plan: LinkPlan {
            tls: args.tls.plan(&target.connect)?,
            mac: args.mac.key()?.or_else(|| scenario.mac.clone()),
            address: target.connect,
            framing,
            spec,
            reply_timeout: target.reply_timeout,
        },
        admin: Api::at(&target.admin, &args.data).map_err(|failed| failed.1)?,
        own: None,
    };
    if args.own_switch {
        let door = Door {
            framing: target.framing,
            spec: target.spec,
            dialect: target.dialect,
        };
        let own = OwnSwitch::start(&door).map_err(|error| error.to_string())?;
        own.address().clone_into(&mut peer.plan.address);
        peer.admin = own.admin().map_err(|failed| failed.1)?;
        peer.own = Some(own);
    } else if let Some(step) = scenario.step_for_own_switch() {
        return Err(format!(
            "play {}: step '{step}' kills the switch or has time pass, which only a switch of the \
             scenario's own bears; nothing was sent (--own-switch)",
            args.scenario.display()
        ));
    }
    Ok(peer)
}

fn run_load(args: &LoadArgs, out: &mut dyn Write) -> Result<bool, String> {
    let path = args.cards.display();
    let text = fs::read_to_string(&args.cards).map_err(|error| format!("read {path}: {error}"))?;
    let pins = args.pin_key.as_deref().zip(args.pin.as_deref());
    let pins = pins
        .map(|(key, pin)| PinBlocks::new(key, pin))
        .transpose()?;
    let plan = LoadPlan {
        address: args.connect.clone(),
        framing: args.framing.clone(),
        spec: spec_named(&args.spec)?,
        connections: args.connections,
        pace: args.rate.map_or(Pace::Window(args.window), Pace::PerSecond),
        warmup: args.warmup,
        duration: args.duration,
        reply_timeout: args.reply_timeout,
        mix: args.mix.clone(),
        cards: cards_from_toml(&text)?.into(),
        amount_minor: args.amount,
        sign_on: args.sign_on,
        tls: args.tls.plan(&args.connect)?,
        mac: args.mac.key()?,
        pins: pins.map(Arc::new),
    };
    let whole = plan.warmup + plan.duration;
    let bar = progress_bar(whole)?;
    let report = load::run(&plan, &mut |progress| {
        let elapsed = progress.elapsed.min(whole);
        bar.set_position(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
        bar.set_message(format!(
            "{} per second, {} in flight",
            progress.per_second, progress.in_flight
        ));
    });
    bar.finish_and_clear();
    let report = report.map_err(|error| error.to_string())?;
    let written = if args.json {
        writeln!(out, "{}", report.to_json())
    } else {
        write!(out, "{report}")
    };
    written.map_err(|error| format!("write the report: {error}"))?;
    Ok(report.is_complete())
}

/// Reads `10s`, `250ms`, `2m`, or plain seconds; a day at most.
fn parse_time(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit_ms = match text.get(digits.len()..) {
        Some("ms") => 1,
        Some("s" | "") => 1_000,
        Some("m") => 60_000,
        _ => return Err("expected a number with ms, s or m".to_owned()),
    };
    let count: u64 = digits
        .parse()
        .map_err(|_| "expected a number with ms, s or m".to_owned())?;
    let ms = count.checked_mul(unit_ms).filter(|ms| *ms <= TIME_MS_MAX);
    ms.map(Duration::from_millis)
        .ok_or_else(|| "expected a day at most".to_owned())
}

const TIME_MS_MAX: u64 = 24 * 60 * 60 * 1_000;

fn progress_bar(whole: Duration) -> Result<ProgressBar, String> {
    let bar = ProgressBar::new(u64::try_from(whole.as_millis()).unwrap_or(u64::MAX));
    let style = ProgressStyle::with_template("{elapsed:>4} [{bar:40}] {percent:>3}%  {msg}")
        .map_err(|error| format!("draw the progress: {error}"))?;
    bar.set_style(style);
    Ok(bar)
}

/// A spec that comes with the program, or the spec in a file; it lives as long as the program.
fn spec_named(name: &str) -> Result<&'static MessageSpec, String> {
    if let Some(spec) = MessageSpec::builtin(name) {
        return Ok(spec);
    }
    let spec = spec_source::load(name)?.spec;
    Ok(Box::leak(Box::new(spec)))
}
