//! Deterministic simulation: the real switch in a seeded world of acquirers, clocks, disks and
//! crashes, held against a slow oracle.
//!
//! ```text
//! cargo test --release --test simulation -- --messages 10000000     that many, seed after seed
//! cargo test --release --test simulation -- --seed 77               one seed again, told in full
//! cargo test --release --features planted-bugs --test simulation -- --find all
//! ```
//!
//! `--from N` says with which seed to begin, `--each N` how many messages a seed has, and
//! `--find NAME` looks for one planted bug. A seed that fails is reduced and told.
//!
//! Real: the codec, the dialect, the PIN desk, the sequencer's turn with its group commit, the
//! engine, records, frames, the commit ring, its drain, the rows of checkpoints and every check of
//! a start. Not there: sockets and the sessions' timers, the threads, files, sled and its
//! generations.
#![expect(clippy::unwrap_used, reason = "a test says why it failed")]
#![expect(clippy::print_stdout, reason = "a command says what it did")]

mod acquirer;
mod ask;
mod checkpoint;
mod deal;
mod dice;
mod disk;
mod oracle;
mod oracle_past;
mod plan;
mod reduce;
mod switch;
mod wire;
mod world;

#[cfg(feature = "planted-bugs")]
mod find;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

use cardswitch::switch::clock;

use plan::Plan;
use world::Report;

/// The product's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the short run within `cargo test` does.
const SHORT_MESSAGES: u64 = if cfg!(debug_assertions) {
    12_000
} else {
    200_000
};
/// Messages that acquirers of one seed think of.
const EACH: u32 = 1_500;
/// The same where one bug is looked for, in many seeds.
const EACH_OF_A_BUG: u32 = 500;

/// What was asked for on the command line.
struct Wanted {
    from: u64,
    messages: u64,
    each: Option<u32>,
    seed: Option<u64>,
    find: Option<String>,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let wanted = match read(&args) {
        Ok(Some(wanted)) => wanted,
        // Somebody asked for tests of other names.
        Ok(None) => return ExitCode::SUCCESS,
        Err(what) => {
            println!("{what}");
            return ExitCode::from(64);
        }
    };
    // A panic is an outcome here, and told with its seed.
    std::panic::set_hook(Box::new(|_| {}));
    let passed = match (wanted.find.as_deref(), wanted.seed) {
        (Some(name), _) => find(name, wanted.each.unwrap_or(EACH_OF_A_BUG)),
        (None, Some(seed)) => replay(seed, wanted.each.unwrap_or(EACH)),
        (None, None) => run_seeds(&wanted),
    };
    match passed {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

#[cfg(feature = "planted-bugs")]
fn find(name: &str, each: u32) -> bool {
    find::find(name, each)
}

#[cfg(not(feature = "planted-bugs"))]
fn find(_: &str, _: u32) -> bool {
    println!("no bugs are planted in this build; build it with --features planted-bugs");
    false
}

/// `None`: the arguments are those of the test harness, and mean other tests.
fn read(args: &[String]) -> Result<Option<Wanted>, String> {
    let mut wanted = Wanted {
        from: 1,
        messages: SHORT_MESSAGES,
        each: None,
        seed: None,
        find: None,
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut number = || {
            let text = args.next().map(|text| text.replace('_', ""));
            let number = text.and_then(|text| text.parse::<u64>().ok());
            number.ok_or_else(|| format!("{arg}: expected a number"))
        };
        match arg.as_str() {
            "--from" => wanted.from = number()?,
            "--messages" => wanted.messages = number()?,
            "--each" => {
                let each = u32::try_from(number()?).map_err(|it| it.to_string())?;
                wanted.each = Some(each);
            }
            "--seed" => wanted.seed = Some(number()?),
            "--find" => {
                let name = args.next().ok_or("--find: expected a name, or all")?;
                wanted.find = Some(name.clone());
            }
            flag if flag.starts_with('-') => {}
            name if "simulation".contains(name) => {}
            _ => return Ok(None),
        }
    }
    Ok(Some(wanted))
}

/// Runs a plan; a panic is told like any other fault.
fn run(plan: &Plan, tells: bool) -> Report {
    let outcome = catch_unwind(AssertUnwindSafe(|| world::run(plan, tells)));
    outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Report {
            violation: Some(format!("it panics: {}", text.unwrap_or("without a word"))),
            last_message: plan.messages - 1,
            ..Report::default()
        }
    })
}

fn run_seeds(wanted: &Wanted) -> bool {
    let began = clock::instant();
    let mut sum = Report::default();
    let (mut seed, mut refused) = (wanted.from, 0_u64);
    while sum.messages < wanted.messages {
        let plan = Plan::draw(seed, wanted.each.unwrap_or(EACH));
        let report = run(&plan, false);
        if report.violation.is_some() {
            tell_failure(&plan);
            return false;
        }
        // Now and then a seed has to come out the same again.
        let is_checked = seed == wanted.from || seed.is_multiple_of(97);
        if is_checked && run(&plan, false).trace != report.trace {
            println!("seed {seed}: the same seed came out otherwise");
            return false;
        }
        sum.messages += report.messages;
        sum.approvals += report.approvals;
        sum.restarts += report.restarts;
        sum.from_checkpoint += report.from_checkpoint;
        refused += u64::from(report.refused);
        seed += 1;
    }
    let took = began.elapsed();
    println!(
        "simulation: {} seeds from {}, {} messages, {} approvals seen, {} restarts, {} of \
         them from a checkpoint, {refused} stores refused as damaged; {}",
        seed - wanted.from,
        wanted.from,
        sum.messages,
        sum.approvals,
        sum.restarts,
        sum.from_checkpoint,
        rate(sum.messages, took)
    );
    true
}

fn rate(messages: u64, took: Duration) -> String {
    let ms = u64::try_from(took.as_millis()).unwrap().max(1);
    format!("{ms} ms, {} messages a second", messages * 1_000 / ms)
}

/// Tells a failing plan as short as it can be made.
fn tell_failure(plan: &Plan) {
    println!("FAILED {}", plan.describe());
    println!("{}", run(plan, false).violation.unwrap_or_default());
    let (small, left) = reduce::reduce(plan, |plan| run(plan, false));
    let report = run(&small, true);
    println!("reduced to {left} messages; {}", small.describe());
    for line in &report.history {
        println!("  {line}");
    }
    if let (true, Some(what)) = (report.history.is_empty(), report.violation) {
        println!("  {what}");
    }
    println!(
        "again: cargo test --release --test simulation -- --seed {} --each {}",
        plan.seed, plan.messages
    );
}

/// Runs one seed twice and tells it.
fn replay(seed: u64, each: u32) -> bool {
    let plan = Plan::draw(seed, each);
    println!("{}", plan.describe());
    let report = run(&plan, true);
    report.history.iter().for_each(|line| println!("{line}"));
    let again = run(&plan, false).trace;
    println!(
        "{} messages, {} restarts; trace {:016x}, and again {again:016x}",
        report.messages, report.restarts, report.trace
    );
    if report.violation.is_some() {
        tell_failure(&plan);
    }
    report.violation.is_none() && again == report.trace
}
