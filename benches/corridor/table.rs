//! What was measured: medians, paired ratios, the printed table and the JSON file.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt;
use std::fs;
use std::path::PathBuf;

use cardswitch::cli::acquirer::load::LoadReport;
use serde_json::{Value as Json, json};

use super::peers::{Cpu, PeerKind};
use super::shape::{Loop, Shape};
use super::{FRAMING, Options, SPEC};

/// One server on one shape, once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    per_second: u64,
    p50_ns: u64,
    p99_ns: u64,
    server_ns_per_message: u64,
    client_ns_per_message: u64,
    /// Share of its runnable time that the server had no core, in thousandths.
    starved: u64,
    /// Replies with another code than 00, and messages without a reply.
    not_approved: u64,
    /// The code that most of the declined had.
    declined_with: Option<[u8; 2]>,
    /// Scheduled messages of an open loop that the client could not send.
    not_sent: u64,
}

impl Sample {
    pub(crate) fn of(report: &LoadReport, cpu: Cpu) -> Self {
        let declines = report.codes.iter().filter(|row| row.1 != *b"00");
        let declined: u64 = declines.clone().map(|row| row.2).sum();
        // The server's time covers the warm-up as well; so does this count of replies.
        let warm = report.replies_ever.max(1);
        Self {
            per_second: report.per_second(),
            p50_ns: report.latency_ns.value_at_quantile(0.50),
            p99_ns: report.latency_ns.value_at_quantile(0.99),
            server_ns_per_message: cpu.run_ns / warm,
            starved: cpu.wait_ns / (cpu.run_ns + cpu.wait_ns).div_ceil(1_000).max(1),
            client_ns_per_message: report.client_ns_per_reply().unwrap_or_default(),
            not_approved: declined
                + report.timeouts
                + report.unmatched
                + report.unreadable
                + report.unauthenticated,
            declined_with: declines.max_by_key(|row| row.2).map(|row| row.1),
            not_sent: report.not_sent,
        }
    }
}

/// What an open loop came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Latencies {
    /// Messages a second.
    pub(crate) asked: u64,
    pub(crate) p50_ns: u64,
    pub(crate) p99_ns: u64,
}

/// Every sample, by shape, server and repetition.
#[derive(Debug, Default)]
pub(crate) struct Measured(BTreeMap<(Shape, PeerKind), BTreeMap<usize, Sample>>);

impl Measured {
    pub(crate) fn add(&mut self, shape: Shape, kind: PeerKind, repetition: usize, sample: Sample) {
        self.0
            .entry((shape, kind))
            .or_default()
            .insert(repetition, sample);
    }

    fn median(&self, shape: Shape, kind: PeerKind, of: fn(&Sample) -> u64) -> Option<u64> {
        let samples = self.0.get(&(shape, kind))?;
        middle(samples.values().map(of).collect())
    }

    /// Median over the repetitions of this server's figure by the durable echo's, in thousandths.
    fn paired(&self, shape: Shape, kind: PeerKind, of: fn(&Sample) -> u64) -> Option<u64> {
        let ours = self.0.get(&(shape, kind))?;
        let durable = self.0.get(&(shape, PeerKind::Durable))?;
        let ratios = ours.iter().filter_map(|(repetition, sample)| {
            let base = of(durable.get(repetition)?);
            of(sample).checked_mul(1_000)?.checked_div(base)
        });
        middle(ratios.collect())
    }

    /// What would make the figures worthless.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        // An open loop asks for more than a server can do: what it turned away is in the table.
        let closed = self.0.iter().filter(|it| it.0.0.pace.is_closed());
        for ((shape, kind), samples) in closed {
            let count: u64 = samples.values().map(|sample| sample.not_approved).sum();
            if count > 0 {
                let code = samples.values().find_map(|sample| sample.declined_with);
                let code = code.map_or_else(
                    || "no reply".to_owned(),
                    |code| format!("most with {}", code.escape_ascii()),
                );
                complaints.push(format!(
                    "{} {shape}: {count} not approved, {code}",
                    kind.name()
                ));
            }
        }
        complaints
    }

    /// What makes the figures doubtful: a baseline, one thread, that waited for a core although
    /// there are two. (The switch has more busy threads than that and waits by its own doing.)
    pub(crate) fn cautions(&self) -> Vec<String> {
        let mut cautions = Vec::new();
        let baselines = self.0.keys().filter(|row| !row.1.is_switch());
        // The client of an open loop watches the clock, and the servers wait for its core.
        let baselines = baselines.filter(|row| row.0.pace.is_closed());
        for (shape, kind) in baselines {
            let starved = self.median(*shape, *kind, |sample| sample.starved);
            if let Some(starved) = starved.filter(|starved| *starved > STARVED_MAX) {
                cautions.push(format!(
                    "{} {shape}: without a core for {}% of its runnable time, not comparable",
                    kind.name(),
                    starved / 10
                ));
            }
        }
        cautions
    }

    /// The servers, in order.
    pub(crate) fn servers(&self) -> BTreeSet<PeerKind> {
        self.0.keys().map(|(_, kind)| *kind).collect()
    }

    /// Medians of a server on every closed loop, by shape: messages a second.
    pub(crate) fn rates(&self, kind: PeerKind) -> Vec<(Shape, u64)> {
        let closed = self.shapes(kind).filter(|shape| shape.pace.is_closed());
        let rate = |shape| self.median(shape, kind, |sample| sample.per_second);
        closed
            .filter_map(|shape| Some((shape, rate(shape)?)))
            .collect()
    }

    /// Medians of a server on every open loop.
    pub(crate) fn latencies(&self, kind: PeerKind) -> Vec<Latencies> {
        let latencies = |shape: Shape| match shape.pace {
            Loop::Open(asked) => Some(Latencies {
                asked,
                p50_ns: self.median(shape, kind, |sample| sample.p50_ns)?,
                p99_ns: self.median(shape, kind, |sample| sample.p99_ns)?,
            }),
            Loop::Closed(_) => None,
        };
        self.shapes(kind).filter_map(latencies).collect()
    }

    fn shapes(&self, kind: PeerKind) -> impl Iterator<Item = Shape> {
        let rows = self.0.keys().filter(move |row| row.1 == kind);
        rows.map(|(shape, _)| *shape)
    }

    fn to_json(&self) -> Json {
        let rows = self.0.iter().map(|((shape, kind), samples)| {
            let median = |of| self.median(*shape, *kind, of);
            json!({
                "shape": shape.to_string(),
                "server": kind.name(),
                "per_second": median(|sample| sample.per_second),
                "p50_ns": median(|sample| sample.p50_ns),
                "p99_ns": median(|sample| sample.p99_ns),
                "server_starved_thousandths": median(|sample| sample.starved),
                "server_cpu_ns_per_message": median(|sample| sample.server_ns_per_message),
                "client_cpu_ns_per_message": median(|sample| sample.client_ns_per_message),
                "rate_to_durable_thousandths":
                    self.paired(*shape, *kind, |sample| sample.per_second),
                "p50_to_durable_thousandths": self.paired(*shape, *kind, |sample| sample.p50_ns),
                "p99_to_durable_thousandths": self.paired(*shape, *kind, |sample| sample.p99_ns),
                "not_approved": median(|sample| sample.not_approved),
                "not_sent": median(|sample| sample.not_sent),
                "per_second_of_each_repetition":
                    samples.values().map(|sample| sample.per_second).collect::<Vec<_>>(),
            })
        });
        Json::Array(rows.collect())
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<9} {:<11} {:>10} {:>9} {:>9} {:>10} {:>10} {:>7} {:>8} {:>9} {:>9} {:>9}",
            "shape",
            "server",
            "msg/s",
            "p50 us",
            "p99 us",
            "srv ns/m",
            "cli ns/m",
            "starved",
            "missed",
            "rate/dur",
            "p50/dur",
            "p99/dur"
        )?;
        for (shape, kind) in self.0.keys() {
            let median = |of| self.median(*shape, *kind, of).unwrap_or_default();
            let ratio = |of| {
                self.paired(*shape, *kind, of)
                    .map_or("-".to_owned(), thousandths)
            };
            writeln!(
                f,
                "{:<9} {:<11} {:>10} {:>9} {:>9} {:>10} {:>10} {:>6}% {:>8} {:>9} {:>9} {:>9}",
                shape.to_string(),
                kind.name(),
                median(|sample| sample.per_second),
                median(|sample| sample.p50_ns) / 1_000,
                median(|sample| sample.p99_ns) / 1_000,
                median(|sample| sample.server_ns_per_message),
                median(|sample| sample.client_ns_per_message),
                median(|sample| sample.starved) / 10,
                median(|sample| sample.not_approved + sample.not_sent),
                ratio(|sample| sample.per_second),
                ratio(|sample| sample.p50_ns),
                ratio(|sample| sample.p99_ns),
            )?;
        }
        Ok(())
    }
}

/// Above this share the machine was not free for the bench: half of the runnable time, as the
/// client and the server's own threads also take turns on a small machine.
const STARVED_MAX: u64 = 500;

/// The machine and how it was measured.
pub(crate) fn settings(options: &Options) -> String {
    format!(
        "machine: {}, {} cores, kernel {}\n\
         {} repetitions of {} ms (warm-up {} ms), medians, interleaved; {} cards\n\
         framing {FRAMING}, spec {SPEC}, purchases; ratios are paired with the durable echo\n\
         64x32: closed loop, 32 in flight on each of 64; 64@20000: open loop, so many a second\n\
         over 64, latencies from the scheduled time; missed: not approved, or no room to send\n",
        cpu_model(),
        cores(),
        kernel(),
        options.repetitions,
        options.measure_ms,
        options.measure_ms / 4,
        options.cards,
    )
}

/// Writes `corridor.json` into the target folder.
pub(crate) fn write_json(
    measured: &Measured,
    options: &Options,
) -> Result<PathBuf, Box<dyn Error>> {
    let path = in_target("corridor.json");
    let json = json!({
        "machine": { "cpu": cpu_model(), "cores": cores(), "kernel": kernel() },
        "settings": {
            "framing": FRAMING, "spec": SPEC, "repetitions": options.repetitions,
            "measure_ms": options.measure_ms, "cards": options.cards,
        },
        "medians": measured.to_json(),
    });
    fs::write(&path, serde_json::to_string_pretty(&json)?)?;
    Ok(path)
}

/// A file of the target folder.
pub(crate) fn in_target(name: &str) -> PathBuf {
    let mut path = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    path.pop();
    path.join(name)
}

fn middle(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

fn thousandths(value: u64) -> String {
    format!("{}.{:03}", value / 1_000, value % 1_000)
}

fn cpu_model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    line.map_or("unknown processor".to_owned(), |(_, model)| {
        model.trim().to_owned()
    })
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}

fn kernel() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    if text.is_empty() {
        "unknown".to_owned()
    } else {
        text.trim().to_owned()
    }
}
