//! Steps `decode` and `write_frame`: a 0100 of twenty elements, its 0110 of fourteen, and the round
//! trip (decode, read six numbers, respond), beside a field walk by hand and other codecs.
//!
//! All run in turn in one run: quote ratios, which are medians over repetitions of the ratio within
//! one repetition; times depend on the machine. The other codecs live in a process of their own,
//! built from `benches/peers`; without them (or with `--test`) the rest still runs. Reads 256
//! different messages in turn, so that no branch predictor learns one. The switch's codec compiles
//! each set of elements when it first meets it, before it is measured: first all messages carry the
//! same set, which is the best for it, then they carry about sixty different ones in no order.
#![expect(clippy::unwrap_used, reason = "a bench stops on a broken message")]
#![expect(clippy::print_stdout, reason = "a bench prints its table")]
#![expect(clippy::print_stderr, reason = "and what it leaves out")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

mod contenders;
mod hand;
mod messages;
mod peers;

use std::time::{Duration, Instant};

use bytes::Bytes;
use cardswitch::iso8583::MessageSpec;
use contenders::{ByHand, Contender, Round};
use messages::Sets;
use peers::Peers;

const REPETITIONS: usize = 9;
const SLICE: Duration = Duration::from_millis(30);
const TASKS: [&str; 3] = ["decode", "encode", "round-trip"];

fn main() {
    let short = std::env::args().any(|argument| argument == "--test");
    let repetitions = if short { 1 } else { REPETITIONS };
    let ascii = messages::ascii_spec();
    let binary = MessageSpec::builtin("iso87-binary").unwrap();
    println!("| messages | task | codec | ns | times the hand | speed of iso8583-codec |");
    println!("|---|---|---|---|---|---|");
    for (sets, of) in [(Sets::One, ""), (Sets::Many, ", many sets")] {
        let frames = messages::purchases(&ascii, sets);
        let mut peers = match short {
            true => None,
            false => Peers::start(&frames),
        };
        let name = format!("ascii{of}");
        form(&name, &ascii, hand::ASCII, &frames, repetitions, &mut peers);
        let frames = messages::purchases(binary, sets);
        let name = format!("binary{of}");
        form(&name, binary, hand::BINARY, &frames, repetitions, &mut None);
    }
}

/// Measures one way of writing messages and prints its rows.
fn form(
    name: &str,
    spec: &MessageSpec,
    hand: ByHand,
    frames: &[Bytes],
    repetitions: usize,
    peers: &mut Option<Peers>,
) {
    let mut contenders = [
        contenders::by_hand(hand, frames),
        contenders::cardswitch(spec, frames),
    ];
    same_responses(&contenders, frames, peers);
    for (task, task_name) in TASKS.into_iter().enumerate() {
        // One column for each codec: the two here, then the peers.
        let mut times: Vec<Vec<f64>> = Vec::new();
        for repetition in 0..=repetitions {
            let mut column: Vec<f64> = contenders
                .iter_mut()
                .map(|contender| measure(&mut contender.rounds[task], frames.len()))
                .collect();
            if let Some(peers) = peers {
                column.extend(peers::NAMES.map(|peer| peers.measure(peer, task_name, SLICE)));
            }
            // The first repetition warms caches and clocks.
            if repetition > 0 {
                times.push(column);
            }
        }
        let peers = peers.as_ref().map_or(&[][..], |_| &peers::NAMES);
        let names = contenders
            .iter()
            .map(|c| c.name)
            .chain(peers.iter().copied());
        for (index, codec) in names.enumerate() {
            let time = median(times.iter().map(|column| column[index]));
            let of_hand = spread(times.iter().map(|column| column[index] / column[0]));
            let strict = times[0].get(2).map(|_| {
                let ratios = times.iter().map(|column| column[2] / column[index]);
                spread(ratios)
            });
            let strict = strict.unwrap_or("-".into());
            println!("| {name} | {task_name} | {codec} | {time:.0} | {of_hand} | {strict} |");
        }
    }
}

/// Every codec answers the same bytes.
fn same_responses(contenders: &[Contender<'_>], frames: &[Bytes], peers: &mut Option<Peers>) {
    for frame in frames {
        let responses = contenders
            .iter()
            .map(|contender| (contender.response)(frame));
        let responses: Vec<Vec<u8>> = responses.collect();
        assert!(responses.windows(2).all(|pair| pair[0] == pair[1]));
    }
    let first = (contenders[0].response)(&frames[0]);
    for peer in peers::NAMES {
        if let Some(peers) = peers {
            assert_eq!(peers.response(peer), first, "{peer}");
        }
    }
}

/// Nanoseconds for one message: the median of all rounds in a slice of time.
fn measure(round: &mut Round<'_>, count: usize) -> f64 {
    let began = Instant::now();
    let mut times = Vec::new();
    while began.elapsed() < SLICE {
        let start = Instant::now();
        round();
        times.push(start.elapsed().as_nanos() as f64 / count as f64);
    }
    median(times.into_iter())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The median with the lowest and the highest.
fn spread(values: impl Iterator<Item = f64> + Clone) -> String {
    let low = values.clone().fold(f64::INFINITY, f64::min);
    let high = values.clone().fold(0.0, f64::max);
    format!("{:.2} ({low:.2} to {high:.2})", median(values))
}
