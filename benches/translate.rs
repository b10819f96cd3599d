//! What one message costs between bytes and facts, and between a decision and bytes.
//!
//! Steps `parse_request` and `render_response`, beside the decode of the same 256 purchases: quote
//! them as multiples of it. A `render_response` writes all responses into one buffer.

#![expect(
    clippy::expect_used,
    reason = "a bench stops on what cannot be translated"
)]

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use cardswitch::domain::decision::Reason;
use cardswitch::domain::facts::LinkNumber;
use cardswitch::iso8583::{self, Message, MessageSpec, MessageWriter, Mti};
use cardswitch::switch::config::ReplacementAmounts;
use cardswitch::switch::dialect::request::{Request, RequestParser};
use cardswitch::switch::dialect::response::{Reply, render};
use cardswitch::switch::pin::PinDesk;
use cardswitch::switch::rulebook::LoadedRules;
use cardswitch::switch::token::TokenKey;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const MESSAGES: u64 = 256;

fn purchases(spec: &MessageSpec) -> Vec<Bytes> {
    (0..MESSAGES).map(|number| purchase(spec, number)).collect()
}

fn purchase(spec: &MessageSpec, number: u64) -> Bytes {
    let mut out = BytesMut::new();
    let mut writer = MessageWriter::begin(spec, Mti::new(100), &mut out);
    let mut put = |element: u8, text: &str| {
        writer.text(element, text).expect("the spec takes it");
    };
    put(2, "4761739001010119");
    put(3, "000000");
    put(4, "000000001200");
    put(7, "0301150000");
    put(11, &format!("{number:06}"));
    put(12, "150000");
    put(13, "0301");
    put(14, "2912");
    put(18, "5411");
    put(22, "051");
    put(25, "00");
    put(32, "00000000012");
    put(37, &format!("6331{number:08}"));
    put(41, "T0000001");
    put(42, "000000012345678");
    put(43, &format!("{:<38}JP", "SHOP 1 TOKYO"));
    put(49, "392");
    writer.finish().expect("the spec takes it");
    out.freeze()
}

fn translate(criterion: &mut Criterion) {
    let rules = LoadedRules::load(None, None).expect("the shipped files are right");
    let (dialect_number, dialect) = rules
        .dialect("iso87")
        .expect("the generic dialect is shipped");
    let pins = PinDesk::default();
    let token_key = TokenKey::fixed([7; 32]);
    let parser = RequestParser {
        dialect: &dialect,
        // Messages of 1987 are read alike whatever is known of their elements.
        spec: MessageSpec::builtin("iso87-ascii").expect("shipped"),
        dialect_number,
        token_key: &token_key,
        pins: &pins,
        pin_key: None,
        rulebook: &rules.rulebook,
        link: "bench",
        link_number: LinkNumber(1),
        replacement_amounts: ReplacementAmounts::Remaining,
    };
    for name in ["iso87-ascii", "iso87-binary"] {
        let spec = MessageSpec::builtin(name).expect("shipped");
        let bytes = purchases(spec);
        let decode = |bytes: &Bytes| iso8583::decode(spec, bytes.clone()).expect("readable");
        let messages: Vec<Message> = bytes.iter().map(decode).collect();
        let mut group = criterion.benchmark_group(format!("translate/{name}"));
        group.throughput(Throughput::Elements(MESSAGES));
        group.bench_function("decode", |bench| {
            bench.iter(|| {
                for bytes in &bytes {
                    black_box(decode(bytes));
                }
            });
        });
        group.bench_function("parse_request", |bench| {
            bench.iter(|| {
                for message in &messages {
                    let request = parser.parse(black_box(message));
                    assert!(matches!(request, Request::Card(_)));
                    black_box(request);
                }
            });
        });
        let reply = Reply {
            approval: "4F7K2Q".parse().ok(),
            ..Reply::coded(dialect.codes.code(Reason::Approved))
        };
        let mut out = BytesMut::new();
        group.bench_function("render_response", |bench| {
            bench.iter(|| {
                out.clear();
                for message in &messages {
                    render(&dialect, spec, black_box(message), &reply, &mut out)
                        .expect("the spec carries it");
                }
            });
        });
        group.finish();
    }
}

criterion_group!(benches, translate);
criterion_main!(benches);
