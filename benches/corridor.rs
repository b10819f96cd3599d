//! The corridor end to end, against what the machine itself can do: one run, side by side.
//!
//! Three servers are up at once, each its own process: `echo` answers with a fixed reply, `durable`
//! appends 300 bytes per message and syncs once per batch before it answers, `cardswitch` is the
//! switch on its sled store. One client (the load engine of `cardswitch acquirer load`) measures
//! them in turn, shape by shape, in rotating order; ratios are paired within a repetition.
//! A server that waited for a core while other programs held it makes its figures worthless, above
//! all the durable echo's, which every ratio stands on: the bench says so and fails.
//!
//! ```text
//! cargo bench --bench corridor                      the whole table, about four minutes
//! cargo bench --bench corridor -- --test            a smoke of about a second
//! cargo bench --bench corridor -- --repetitions 9 --only echo,durable --shapes 1x1,64x32,64@20000
//! cargo bench --bench corridor -- --only durable,cardswitch,no-ring     what the commit ring gives
//! cargo bench --bench corridor -- --only durable,cardswitch,pin-mac --shapes 1x1,64x32
//!                                                   a PIN and a code in every message
//! cargo bench --bench corridor -- --config FILE     the switch's configuration, else a generated
//!                                                   one: the shipped programme, limits raised
//! ```
#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cardswitch::cli::acquirer::load::{self, LoadCard, LoadPlan, Mix, PinBlocks};
use cardswitch::cli::acquirer::seal::{MacAlgorithm, MacKey};
use cardswitch::iso8583::MessageSpec;
use cardswitch::transport::Framing;
use clap::Parser;

use peers::{Peer, PeerKind};
use shape::{Loop, Shape};
use table::{Measured, Sample};

#[path = "corridor/echo.rs"]
mod echo;
#[path = "corridor/peers.rs"]
mod peers;
#[path = "corridor/plot.rs"]
mod plot;
#[path = "corridor/shape.rs"]
mod shape;
#[path = "corridor/table.rs"]
mod table;

const FRAMING: &str = "be2";
const SPEC: &str = "iso87-binary";

/// The corridor bench
#[derive(Debug, Parser)]
struct Options {
    /// Cargo says so when it runs a bench
    #[arg(long, hide = true)]
    bench: bool,
    /// One short look at one shape
    #[arg(long)]
    test: bool,
    /// Be one of the bench's own servers: echo or durable
    #[arg(long, value_name = "KIND")]
    server: Option<PeerKind>,
    /// How often each server is measured on each shape
    #[arg(long, default_value_t = 5)]
    repetitions: usize,
    /// Measured time of each, in milliseconds
    #[arg(long, default_value_t = 700)]
    measure_ms: u64,
    /// Servers to measure
    #[arg(long, value_delimiter = ',', default_value = "echo,durable,cardswitch")]
    only: Vec<PeerKind>,
    /// Connections and window of each closed loop (64x32), or messages a second of each open one
    /// (64@20000)
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "1x1,1x32,8x1,8x8,8x32,64x1,64x8,64x32,\
                         64@5000,64@20000,64@50000,64@100000,64@200000"
    )]
    shapes: Vec<Shape>,
    /// Configuration of the switch
    #[arg(long)]
    config: Option<PathBuf>,
    /// Cards the load is spread over
    #[arg(long, default_value_t = 10_000)]
    cards: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut options = Options::parse();
    let framing = Framing::preset(FRAMING)?;
    let spec = MessageSpec::builtin(SPEC).ok_or("the spec is not built in")?;
    if let Some(kind) = options.server {
        return echo::serve(kind, spec, &framing, options.test);
    }
    if options.test {
        options.repetitions = 1;
        options.measure_ms = 100;
        options.shapes = vec![Shape {
            connections: 8,
            pace: Loop::Closed(32),
        }];
    }
    let cards = peers::generate_cards(options.cards);
    let mut peers = Vec::new();
    let mut failed = Vec::new();
    for kind in &options.only {
        match Peer::start(*kind, &cards, options.config.as_deref(), options.test) {
            Ok(peer) => peers.push(peer),
            Err(error) => failed.push(format!("{}: {error}", kind.name())),
        }
    }
    let measured = measure(&options, &peers, cards.into(), &framing, spec)?;
    print!("{}", table::settings(&options));
    print!("{measured}");
    let path = table::write_json(&measured, &options)?;
    println!("written to {}", path.display());
    println!("drawn in {}", plot::write_svg(&measured)?.display());
    for caution in measured.cautions() {
        println!("caution: {caution}");
    }
    failed.extend(measured.complaints());
    if failed.is_empty() {
        Ok(())
    } else {
        Err(failed.join("; ").into())
    }
}

/// Every repetition goes over all shapes, every shape over all servers in rotating order.
fn measure(
    options: &Options,
    peers: &[Peer],
    cards: Arc<[LoadCard]>,
    framing: &Framing,
    spec: &'static MessageSpec,
) -> Result<Measured, Box<dyn Error>> {
    let mut measured = Measured::default();
    let mac = MacKey::new(MacAlgorithm::Retail, peers::MAC_KEY)?;
    let pins = Arc::new(PinBlocks::new(peers::ZONE_KEY, peers::PIN)?);
    for repetition in 0..options.repetitions {
        for shape in &options.shapes {
            for turn in 0..peers.len() {
                let Some(peer) = peers.get((turn + repetition) % peers.len()) else {
                    continue;
                };
                let proven = peer.kind == PeerKind::PinMac;
                let plan = LoadPlan {
                    address: peer.address.clone(),
                    framing: framing.clone(),
                    spec,
                    connections: shape.connections,
                    pace: shape.pace.into(),
                    warmup: Duration::from_millis(options.measure_ms / 4),
                    duration: Duration::from_millis(options.measure_ms),
                    reply_timeout: Duration::from_secs(5),
                    mix: Mix::purchases(),
                    cards: Arc::clone(&cards),
                    amount_minor: 1,
                    sign_on: false,
                    tls: None,
                    mac: proven.then(|| mac.clone()),
                    pins: proven.then(|| Arc::clone(&pins)),
                };
                let before = peer.cpu();
                let report = load::run(&plan, &mut |_| {})?;
                let cpu = peer.cpu().since(before);
                measured.add(*shape, peer.kind, repetition, Sample::of(&report, cpu));
            }
        }
    }
    Ok(measured)
}
