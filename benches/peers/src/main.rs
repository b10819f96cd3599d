//! The codecs of other projects, measured on demand: one command a line, one answer a line.
//!
//! The first line is the count of messages, then they follow in hexadecimal. `CODEC TASK MS` runs a
//! task over and over for so many milliseconds; the answer is `ns` and the nanoseconds of one
//! message, the median of all rounds. `CODEC response` answers `hex` and the response to the first.
#![expect(clippy::unwrap_used, reason = "a bench stops on a broken message")]

use std::hint::black_box;
use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

mod core_0_1;
mod rs_0_1;
mod strict_0_1;

/// The three tasks of one codec.
struct Codec<'a> {
    /// The response to the first message.
    response: Vec<u8>,
    decode: Box<dyn Fn() + 'a>,
    encode: Box<dyn Fn() + 'a>,
    round_trip: Box<dyn Fn() + 'a>,
}

/// What a codec does with one message.
trait Peer {
    type Message;
    fn decode(&self, frame: &[u8]) -> Self::Message;
    /// Elements 3, 4, 11, 18, 22 and 32 as numbers, summed.
    fn six_numbers(&self, message: &Self::Message) -> u64;
    fn respond(&self, message: &Self::Message) -> Vec<u8>;
}

impl<'a> Codec<'a> {
    fn new<P: Peer + Copy + 'a>(peer: P, frames: &'a [Vec<u8>]) -> Self {
        let messages: Vec<P::Message> = frames.iter().map(|frame| peer.decode(frame)).collect();
        Self {
            response: peer.respond(&messages[0]),
            decode: Box::new(move || {
                for frame in frames {
                    black_box(peer.decode(frame));
                }
            }),
            encode: Box::new(move || {
                for message in &messages {
                    black_box(peer.respond(message));
                }
            }),
            round_trip: Box::new(move || {
                for frame in frames {
                    let message = peer.decode(frame);
                    black_box(peer.six_numbers(&message));
                    black_box(peer.respond(&message));
                }
            }),
        }
    }
}

fn main() {
    let mut lines = std::io::stdin().lock().lines().map(Result::unwrap);
    let count: usize = lines.next().unwrap().parse().unwrap();
    let frames: Vec<Vec<u8>> = lines
        .by_ref()
        .take(count)
        .map(|line| hex::decode(line).unwrap())
        .collect();
    let texts: Vec<Vec<u8>> = frames.iter().map(|frame| without_bytes(frame)).collect();
    let spec = strict_0_1::spec();
    let strict = Codec::new(strict_0_1::Strict(&spec), &frames);
    let rs = Codec::new(rs_0_1::Rs::new(), &frames);
    let core = Codec::new(core_0_1::Core, &texts);
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        let codec = match words[0] {
            "iso8583-codec" => &strict,
            "iso8583_rs" => &rs,
            _ => &core,
        };
        let answer = match words[1..] {
            ["decode", ms] => format!("ns {}", measure(&codec.decode, ms, count)),
            ["encode", ms] => format!("ns {}", measure(&codec.encode, ms, count)),
            ["round-trip", ms] => format!("ns {}", measure(&codec.round_trip, ms, count)),
            _ => format!("hex {}", hex::encode(&codec.response)),
        };
        println!("{answer}");
        std::io::stdout().flush().unwrap();
    }
}

fn measure(round: &dyn Fn(), ms: &str, count: usize) -> u128 {
    let slice = Duration::from_millis(ms.parse().unwrap());
    let began = Instant::now();
    let mut times = Vec::new();
    while began.elapsed() < slice {
        let start = Instant::now();
        round();
        times.push(start.elapsed().as_nanos());
    }
    times.sort_unstable();
    times[times.len() / 2] / count as u128
}

/// The same message with characters where bytes were, at the end (DE 55).
fn without_bytes(frame: &[u8]) -> Vec<u8> {
    let spec = strict_0_1::spec();
    let message = iso8583_codec::Message::parse(&spec, frame).unwrap();
    let chip = message.field(55).map_or(0, |chip| chip.len());
    let mut text = frame.to_vec();
    let start = text.len() - chip;
    for (place, character) in text[start..].iter_mut().zip(b"0123456789ABCDEF".iter().cycle()) {
        *place = *character;
    }
    text
}
