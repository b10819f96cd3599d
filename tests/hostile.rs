//! Any bytes: what the fuzz targets promise, over a seeded generator, and that nothing allocates
//! more than the size of its input allows. In a binary of its own because counting allocations
//! replaces the allocator.
//!
//! `CARDSWITCH_HOSTILE_INPUTS` sets how many inputs each gets, `CARDSWITCH_HOSTILE_SEED` what the
//! generator begins with.
#![expect(clippy::unwrap_used, reason = "a test says why it failed")]
#![expect(clippy::print_stdout, reason = "a drill says how much it did")]

use std::collections::BTreeSet;
use std::fs;

use allocation_counter::measure;
use bytes::{Bytes, BytesMut};
use cardswitch::iso8583::{MessageWriter, Mti, decode};

#[expect(
    clippy::expect_used,
    reason = "shared with the fuzz targets, where a broken promise panics"
)]
#[path = "../fuzz/bodies.rs"]
mod bodies;

/// Inputs of each by default; the doctor and the file readers, which do far more for each, get a
/// part.
const INPUTS: u64 = if cfg!(debug_assertions) {
    4_000
} else {
    200_000
};
/// Fixed, so that what fails here fails everywhere; the fuzzer looks elsewhere.
const SEED: u64 = 0x5EED_8583_0000_0001;

/// A splitmix64 generator.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(count.max(1)).unwrap()).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// One of the seeds changed in a few places, or noise.
    fn input(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        if self.below(8) == 0 {
            let size = self.below(200);
            return (0..size).map(|_| self.byte()).collect();
        }
        let mut input = seeds[self.below(seeds.len())].clone();
        for _ in 0..self.below(5) {
            let place = self.below(input.len());
            match self.below(6) {
                0 => input.truncate(place),
                1 => input.insert(place, self.byte()),
                2 => {
                    let end = (place + self.below(16)).min(input.len());
                    let part = input[place.min(end)..end].to_vec();
                    input.extend(part);
                }
                3 if !input.is_empty() => {
                    input.remove(place);
                }
                _ => {
                    let byte = self.byte();
                    if let Some(changed) = input.get_mut(place) {
                        *changed = byte;
                    }
                }
            }
        }
        input
    }
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = fs::read_dir(format!("fuzz/corpus/{target}"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no corpus of {target}");
    paths
        .into_iter()
        .map(|path| fs::read(path).unwrap())
        .collect()
}

/// As [`drive_seeds`], over the corpus.
fn drive(target: &str, share: u64, bound: (u64, u64), body: fn(&[u8])) {
    drive_seeds(target, &corpus(target), share, bound, body);
}

/// Runs a body over seeds and then over random and mutated inputs. What one input makes it hold at
/// once stays below `base` bytes and `factor` bytes for each of its own.
fn drive_seeds(
    target: &str,
    seeds: &[Vec<u8>],
    share: u64,
    (base, factor): (u64, u64),
    body: fn(&[u8]),
) {
    // The first ones also fill what is read once, such as the specifications.
    seeds.iter().for_each(|seed| body(seed));
    let inputs = setting("CARDSWITCH_HOSTILE_INPUTS", INPUTS) / share;
    let start = setting("CARDSWITCH_HOSTILE_SEED", SEED);
    let mut random = Random(start);
    for number in 0..inputs {
        let input = random.input(seeds);
        let mut held = 0;
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            held = measure(|| body(&input)).bytes_max;
        }));
        let place = || format!("{target}: input {number} of seed {start:#x}: {input:02x?}");
        assert!(outcome.is_ok(), "{}", place());
        let bound = base + factor * u64::try_from(input.len()).unwrap();
        assert!(held <= bound, "{held} bytes, bound {bound}; {}", place());
    }
    println!("{target}: {inputs} inputs of seed {start:#x}");
}

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap(),
        Err(_) => default,
    }
}

#[test]
fn any_stream_is_cut_or_refused() {
    drive("frames", 1, (8_192, 8), bodies::frames);
}

#[test]
fn any_framing_is_read_or_refused() {
    drive("framings", 1, (65_536, 256), bodies::framings);
}

#[test]
fn any_message_is_read_or_refused() {
    drive("messages", 1, (65_536, 64), bodies::messages);
}

/// Each element of each good message, alone in a message of its specification.
#[test]
fn any_element_is_read_or_refused() {
    let mut seeds = BTreeSet::new();
    for (number, spec) in (0..).zip(bodies::specifications()) {
        for frame in corpus("messages") {
            let Ok(message) = decode(spec, Bytes::from(frame)) else {
                continue;
            };
            for element in message.elements() {
                let mut alone = BytesMut::from(&[number][..]);
                let mut writer = MessageWriter::begin(spec, message.mti(), &mut alone);
                writer.copy(&message, element).unwrap();
                writer.finish().unwrap();
                seeds.insert(alone.to_vec());
            }
        }
    }
    assert!(seeds.len() > 100, "{} elements", seeds.len());
    let seeds: Vec<Vec<u8>> = seeds.into_iter().collect();
    drive_seeds("elements", &seeds, 1, (65_536, 64), bodies::one_message);
}

/// Message types and bitmaps, of every specification, with nothing behind them.
#[test]
fn any_bitmap_is_read_or_refused() {
    let mut seeds = Vec::new();
    for (number, spec) in (0..).zip(bodies::specifications()) {
        for message_type in [100, 800, 1100, 2100] {
            let mut head = BytesMut::from(&[number][..]);
            let writer = MessageWriter::begin(spec, Mti::new(message_type), &mut head);
            if writer.finish().is_ok() {
                seeds.push(head.to_vec());
            }
        }
    }
    drive_seeds("bitmaps", &seeds, 1, (65_536, 64), bodies::one_message);
}

#[test]
fn any_parts_are_read_or_refused() {
    drive("parts", 1, (65_536, 64), bodies::parts);
}

#[test]
fn any_ber_tlv_is_read_or_refused() {
    drive("items", 1, (8_192, 8), bodies::items);
}

#[test]
fn any_chip_data_are_read_or_refused() {
    drive("chips", 1, (8_192, 8), bodies::chips);
}

#[test]
fn any_key_block_is_opened_or_refused() {
    drive("key_blocks", 4, (16_384, 64), bodies::key_blocks);
}

#[test]
fn any_answer_of_a_device_is_taken_or_refused() {
    drive("device_answers", 4, (65_536, 64), bodies::device_answers);
}

#[test]
fn any_pin_block_is_read_or_refused() {
    drive("pin_blocks", 4, (8_192, 8), bodies::pin_blocks);
}

#[test]
fn any_specification_is_read_or_refused() {
    drive("specs", 40, (262_144, 512), bodies::specs);
}

#[test]
fn any_file_of_others_is_imported_or_refused() {
    drive("importers", 40, (262_144, 512), bodies::importers);
}

#[test]
fn any_stranger_gets_one_sentence() {
    drive("doctor", 40, (1_048_576, 512), bodies::doctor);
}

#[test]
fn any_file_is_read_or_refused() {
    drive("files", 40, (262_144, 512), bodies::files);
}
