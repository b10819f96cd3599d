//! Step `write_frame`: a fourteen-element 0110 that echoes twelve elements of its request.
//!
//! The floor beside it copies the same echoed bytes from known places, and nothing else.
#![expect(clippy::unwrap_used, reason = "a bench stops on a broken message")]

mod support;

use std::hint::black_box;

use bytes::{BufMut, BytesMut};
use cardswitch::iso8583::{Message, MessageSpec, MessageWriter, Mti, decode};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn bench(criterion: &mut Criterion) {
    for name in ["iso87-ascii", "iso87-binary"] {
        let spec = MessageSpec::builtin(name).unwrap();
        let frames = support::purchases(spec);
        let requests: Vec<Message> = frames
            .into_iter()
            .map(|frame| decode(spec, frame).unwrap())
            .collect();
        let pieces: Vec<Vec<&[u8]>> = requests
            .iter()
            .map(|request| {
                ECHOED
                    .iter()
                    .map(|element| request.wire(*element).unwrap())
                    .collect()
            })
            .collect();
        let mut out = BytesMut::with_capacity(4_096);
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(requests.len().try_into().unwrap()));
        group.bench_function("copy the echoed bytes", |bencher| {
            bencher.iter(|| {
                for pieces in &pieces {
                    out.clear();
                    pieces.iter().for_each(|piece| out.put_slice(piece));
                    black_box(&out);
                }
            });
        });
        group.bench_function("encode", |bencher| {
            bencher.iter(|| {
                for request in &requests {
                    out.clear();
                    reply(spec, request, &mut out);
                    black_box(&out);
                }
            });
        });
        group.finish();
    }
}

fn reply(spec: &MessageSpec, request: &Message, out: &mut BytesMut) {
    let mut writer = MessageWriter::begin(spec, Mti::new(110), out);
    for element in ECHOED {
        if element == 41 {
            writer.text(38, "A1B2C3").unwrap().text(39, "00").unwrap();
        }
        writer.copy(request, element).unwrap();
    }
    writer.finish().unwrap();
}

const ECHOED: [u8; 12] = [2, 3, 4, 7, 11, 12, 13, 32, 37, 41, 42, 49];

criterion_group!(benches, bench);
criterion_main!(benches);
