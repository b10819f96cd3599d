//! Step `decode`: a twenty-element 0100, beside a walk that only finds the element boundaries.
//!
//! The walk is the least that any decoder must do; quote `decode` as a multiple of it, from one
//! run. Both read the same 256 messages in turn.
#![expect(clippy::unwrap_used, reason = "a bench stops on a broken message")]

mod support;

use std::hint::black_box;

use bytes::Bytes;
use cardswitch::iso8583::{MessageSpec, decode};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn bench(criterion: &mut Criterion) {
    let dialects: [(&str, Walk); 2] = [
        ("iso87-ascii", ascii_boundaries),
        ("iso87-binary", binary_boundaries),
    ];
    for (name, boundaries) in dialects {
        let spec = MessageSpec::builtin(name).unwrap();
        let frames = support::purchases(spec);
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(frames.len().try_into().unwrap()));
        group.bench_function("boundaries", |bencher| {
            bencher.iter(|| {
                frames
                    .iter()
                    .map(|frame| boundaries(frame).unwrap())
                    .sum::<usize>()
            });
        });
        group.bench_function("decode", |bencher| {
            bencher.iter(|| {
                for frame in &frames {
                    black_box(decode(spec, frame.clone()).unwrap());
                }
            });
        });
        group.bench_function("decode and read six numbers", |bencher| {
            bencher.iter(|| {
                frames
                    .iter()
                    .map(|frame| six_numbers(spec, frame))
                    .sum::<u64>()
            });
        });
        group.finish();
    }
}

fn six_numbers(spec: &MessageSpec, frame: &Bytes) -> u64 {
    let message = decode(spec, frame.clone()).unwrap();
    [3, 4, 11, 18, 22, 32].into_iter().fold(0, |sum, element| {
        sum.wrapping_add(message.number(element).unwrap())
    })
}

/// Sums the starts of the elements, so that none can be skipped.
type Walk = fn(&[u8]) -> Option<usize>;

fn ascii_boundaries(frame: &[u8]) -> Option<usize> {
    let bitmap = std::str::from_utf8(frame.get(4..20)?).ok()?;
    let bits = u64::from_str_radix(bitmap, 16).ok()?;
    walk(bits, 20, |element, at| {
        let digit = |index: usize| frame.get(at + index).map(|byte| usize::from(byte & 15));
        Some(match element {
            2 | 32 | 35 => 2 + digit(0)? * 10 + digit(1)?,
            55 => 3 + digit(0)? * 100 + digit(1)? * 10 + digit(2)?,
            52 => 16,
            other => FIXED[other],
        })
    })
    .filter(|(_, end)| *end == frame.len())
    .map(|(sum, _)| sum)
}

fn binary_boundaries(frame: &[u8]) -> Option<usize> {
    let bits = u64::from_be_bytes(frame.get(2..10)?.try_into().ok()?);
    walk(bits, 10, |element, at| {
        let pair = |index: usize| {
            frame
                .get(at + index)
                .map(|byte| usize::from(byte >> 4) * 10 + usize::from(byte & 15))
        };
        Some(match element {
            2 | 32 | 35 => 1 + pair(0)?.div_ceil(2),
            55 => 2 + pair(0)? * 100 + pair(1)?,
            52 => 8,
            3..=25 => FIXED[element].div_ceil(2),
            other => FIXED[other],
        })
    })
    .filter(|(_, end)| *end == frame.len())
    .map(|(sum, _)| sum)
}

fn walk(
    mut bits: u64,
    start: usize,
    size: impl Fn(usize, usize) -> Option<usize>,
) -> Option<(usize, usize)> {
    let (mut at, mut sum) = (start, 0);
    while bits != 0 {
        let zeros = bits.leading_zeros();
        bits &= !(1 << (63 - zeros));
        sum += at;
        at += size(usize::try_from(zeros).ok()? + 1, at)?;
    }
    Some((sum, at))
}

/// Characters of the fixed elements that the messages carry.
const FIXED: [usize; 65] = {
    let mut sizes = [0; 65];
    let carried = [
        (3, 6),
        (4, 12),
        (7, 10),
        (11, 6),
        (12, 6),
        (13, 4),
        (14, 4),
        (18, 4),
        (22, 3),
        (25, 2),
        (37, 12),
        (41, 8),
        (42, 15),
        (43, 40),
        (49, 3),
    ];
    let mut index = 0;
    while index < carried.len() {
        sizes[carried[index].0] = carried[index].1;
        index += 1;
    }
    sizes
};

criterion_group!(benches, bench);
criterion_main!(benches);
