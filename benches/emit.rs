//! What one decision line costs the thread that emits it: our formatter beside the general one.

use std::hint::black_box;
use std::io;
use std::sync::Arc;

use cardswitch::domain::account::{AccountId, Purse};
use cardswitch::domain::merchant::Mcc;
use cardswitch::domain::money::{Amount, Currency};
use cardswitch::domain::pan::{CardToken, Pan};
use cardswitch::domain::time::UnixMs;
use cardswitch::ops::log_layer::JsonLines;
use cardswitch::switch::decision_line::{
    CorridorLatency, DecisionLine, DecisionLines, DecisionWord, PurseLine,
};
use criterion::{Criterion, criterion_group, criterion_main};
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};
use tracing_subscriber::layer::SubscriberExt;

const BALANCES: [PurseLine<'static>; 2] = [
    PurseLine {
        purse: "withdrawable",
        money: Purse {
            currency: Currency::JPY,
            balance: 48_800,
            held: 1_200,
        },
    },
    PurseLine {
        purse: "non-withdrawable",
        money: Purse::empty(Currency::JPY),
    },
];

fn purchase() -> DecisionLine<'static> {
    DecisionLine {
        at: UnixMs(1_795_288_113_042),
        link: "iso87-ascii-8583",
        mti: 100,
        stan: Some(42),
        rrn: Some(b"633119000042"),
        card: Pan::parse("4761739001010119").map(|pan| pan.masked()),
        card_token: Some(CardToken([0xa5; 16])),
        account: Some(AccountId(1_000_007)),
        amount: Some(Amount::new(1_200, Currency::JPY)),
        mcc: Some(Mcc(5411)),
        merchant: Some("000000012345678".as_bytes()),
        terminal: Some(b"T0000001"),
        purpose: "purchase",
        decision: DecisionWord::Approved,
        reason: None,
        evidence: None,
        code: "00",
        approval: Some(b"4F7K2Q"),
        repeat: false,
        balances: &BALANCES,
        sequence: Some(123_456),
        trace: Some(123_400),
        latency: CorridorLatency {
            decode_ns: 812,
            parse_request_ns: 231,
            sequence_ns: 14_022,
            decide_ns: 645,
            append_ns: 98_120,
            render_response_ns: 731,
            write_frame_ns: 5_210,
            total_ns: 119_771,
        },
    }
}

fn queue() -> (NonBlocking, WorkerGuard) {
    tracing_appender::non_blocking(io::sink())
}

fn emit_costs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("emit");
    let line = purchase();

    group.bench_function("no_subscriber", |bench| {
        bench.iter(|| emit(black_box(&line)))
    });

    let layer = JsonLines::new(Vec::new(), LevelFilter::INFO, || UnixMs(0), Arc::default());
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        group.bench_function("json_lines_format_only", |bench| {
            bench.iter(|| emit(black_box(&line)));
        });
    });

    let (writer, guard) = queue();
    let layer = JsonLines::new(
        vec![writer],
        LevelFilter::INFO,
        || UnixMs(0),
        Arc::default(),
    );
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        group.bench_function("json_lines", |bench| bench.iter(|| emit(black_box(&line))));
    });
    drop(guard);

    let (writer, guard) = queue();
    let general = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_writer(writer)
        .finish();
    tracing::subscriber::with_default(general, || {
        group.bench_function("general_formatter", |bench| {
            bench.iter(|| emit(black_box(&line)))
        });
    });
    drop(guard);

    let general = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_writer(io::sink)
        .finish();
    tracing::subscriber::with_default(general, || {
        group.bench_function("general_formatter_format_only", |bench| {
            bench.iter(|| emit(black_box(&line)));
        });
    });
}

/// Emits one decision by itself.
fn emit(line: &DecisionLine<'_>) {
    let mut lines = DecisionLines::default();
    lines.push(line);
    lines.emit();
}

criterion_group!(benches, emit_costs);
criterion_main!(benches);
