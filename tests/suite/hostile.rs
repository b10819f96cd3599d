//! Any bytes: the fuzz targets' bodies over a seeded generator, many more in a release build.

use std::fs;

#[expect(
    clippy::expect_used,
    reason = "shared with the fuzz targets, where a broken promise panics"
)]
#[path = "../../fuzz/bodies.rs"]
mod bodies;

/// Inputs in all; the doctor and the file readers, which do far more for each, get a part.
const INPUTS: u64 = if cfg!(debug_assertions) {
    8_000
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

fn drive(target: &str, inputs: u64, body: fn(&[u8])) {
    let seeds = corpus(target);
    seeds.iter().for_each(|seed| body(seed));
    let mut random = Random(SEED);
    for number in 0..inputs {
        let input = random.input(&seeds);
        let outcome = std::panic::catch_unwind(|| body(&input));
        assert!(
            outcome.is_ok(),
            "{target}: input {number} of seed {SEED:#x}: {input:02x?}"
        );
    }
}

#[test]
fn any_stream_is_cut_or_refused() {
    drive("frames", INPUTS, bodies::frames);
}

#[test]
fn any_message_is_read_or_refused() {
    drive("messages", INPUTS, bodies::messages);
}

#[test]
fn any_stranger_gets_one_sentence() {
    drive("doctor", INPUTS / 40, bodies::doctor);
}

#[test]
fn any_file_is_read_or_refused() {
    drive("files", INPUTS / 40, bodies::files);
}
