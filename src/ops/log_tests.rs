//! What the decision log promises: right JSON, no card numbers, no waiting, counted losses.

use crate::switch::decision_line::{
    CorridorLatency, DecisionLine, DecisionLines, DecisionWord, PurseLine,
};

use super::log::*;
use super::log_layer::JsonLines;
use crate::domain::account::{AccountId, Purse};
use crate::domain::merchant::Mcc;
use crate::domain::money::{Amount, Currency};
use crate::domain::pan::{CardToken, Pan};
use crate::domain::time::UnixMs;
use crate::switch::config::LogLevel;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::NonBlockingBuilder;
use tracing_subscriber::layer::SubscriberExt;

#[derive(Clone)]
struct Collected(Arc<Mutex<Vec<u8>>>);

impl Write for Collected {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs `log` under a subscriber of its own; returns the lines and the count of masked ones.
fn logged(level: LogLevel, log: impl FnOnce()) -> (Vec<serde_json::Value>, u64) {
    let collected = Collected(Arc::default());
    let (writer, guard) = queue("log-test", collected.clone());
    let layer = JsonLines::new(
        vec![writer],
        filter(level),
        || UnixMs(1_500),
        Arc::default(),
    );
    let counters = layer.counters();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
    drop(guard);
    let text = String::from_utf8(collected.0.lock().unwrap().clone()).unwrap();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(counters.dropped_lines(), 0);
    (lines, counters.masked_lines())
}

fn purchase() -> DecisionLine<'static> {
    DecisionLine {
        at: UnixMs(1_795_288_113_042),
        link: "iso87-ascii-8583",
        mti: 100,
        stan: Some(42),
        rrn: Some(b"633119000042"),
        card: Pan::parse("4761739001010119").map(|pan| pan.masked()),
        card_token: Some(CardToken([0x0a; 16])),
        account: Some(AccountId(7)),
        amount: Some(Amount::new(1_200, Currency::JPY)),
        mcc: Some(Mcc(5411)),
        merchant: Some("LAWSON \"A\"\n\u{1}加盟店".as_bytes()),
        terminal: Some(b"T0000001"),
        purpose: "purchase",
        decision: DecisionWord::Declined,
        reason: Some("insufficient_funds"),
        evidence: None,
        code: "51",
        approval: None,
        repeat: false,
        balances: &[
            PurseLine {
                purse: "withdrawable",
                money: Purse {
                    currency: Currency::JPY,
                    balance: -5,
                    held: 0,
                },
            },
            PurseLine {
                purse: "gift-x",
                money: Purse {
                    currency: Currency::JPY,
                    balance: i64::MIN,
                    held: i64::MAX,
                },
            },
        ],
        sequence: Some(99),
        trace: Some(77),
        latency: CorridorLatency {
            decode_ns: 1,
            parse_request_ns: 2,
            sequence_ns: 3,
            decide_ns: 4,
            append_ns: 5,
            render_response_ns: 6,
            write_frame_ns: 7,
            total_ns: u64::from(u32::MAX),
        },
    }
}

#[test]
fn decision_is_one_flat_json_line_without_what_the_message_lacked() {
    let (lines, masked) = logged(LogLevel::Error, || emit(&purchase()));
    let expected = serde_json::json!({
        "time": "2026-11-21T19:08:33.042Z", "link": "iso87-ascii-8583", "mti": "0100",
        "stan": "000042", "rrn": "633119000042", "card": "476173******0119",
        "card_token": "0a".repeat(16), "account": 7, "amount_minor": 1200, "currency": "JPY",
        "mcc": "5411", "merchant": "LAWSON \"A\"\n\u{1}加盟店", "terminal": "T0000001",
        "purpose": "purchase", "decision": "declined", "reason": "insufficient_funds",
        "code": "51", "repeat": false,
        "balances": [
            {"purse": "withdrawable", "currency": "JPY", "balance_minor": -5, "held_minor": 0},
            {"purse": "gift-x", "currency": "JPY",
             "balance_minor": i64::MIN, "held_minor": i64::MAX},
        ],
        "sequence": 99, "trace": 77, "decode_ns": 1, "parse_request_ns": 2, "sequence_ns": 3,
        "decide_ns": 4, "append_ns": 5, "render_response_ns": 6, "write_frame_ns": 7,
        "total_ns": 4_294_967_295_u64,
    });
    assert_eq!(lines, [expected]);
    assert_eq!(masked, 0);
}

#[test]
fn other_events_carry_level_target_message_and_fields() {
    let (lines, _) = logged(LogLevel::Info, || {
        tracing::debug!("not written");
        tracing::warn!(target: "switch", peer = %"127.0.0.1:9", open = -3_i64, "link {}", "up");
    });
    let expected = serde_json::json!({
        "time": "1970-01-01T00:00:01.500Z", "level": "WARN", "target": "switch",
        "message": "link up", "peer": "127.0.0.1:9", "open": -3,
    });
    assert_eq!(lines, [expected]);
}

#[test]
fn card_number_in_any_value_is_masked_and_counted() {
    let (lines, masked) = logged(LogLevel::Info, || {
        emit(&DecisionLine {
            merchant: Some("4761739001010119".as_bytes()),
            ..purchase()
        });
        tracing::info!(frame = ?"x4761739001010119", "4761739001010119");
        tracing::info!(number = 4_761_739_001_010_119_u64);
        tracing::info!("clean");
    });
    let text = serde_json::to_string(&lines).unwrap();
    assert_eq!(text.matches("************0119").count(), 4);
    assert!(!text.contains("4761739001010119"));
    assert_eq!(masked, 3);
}

#[test]
fn value_that_logs_while_it_is_formatted_gets_its_own_line() {
    struct Chatty;
    impl std::fmt::Debug for Chatty {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            tracing::info!("inner");
            f.write_str("value")
        }
    }
    let (lines, _) = logged(LogLevel::Info, || tracing::info!(chatty = ?Chatty, "outer"));
    assert!(
        lines
            .iter()
            .any(|line| line["message"] == "outer" && line["chatty"] == "value")
    );
}

#[test]
fn full_queue_drops_and_counts_and_says_so_later() {
    /// Takes one line, then waits for permission to take more.
    struct Gate {
        lines: Collected,
        entered: std::sync::mpsc::SyncSender<()>,
        open: std::sync::mpsc::Receiver<()>,
    }
    impl Write for Gate {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let _tested = self.entered.send(());
            let _tested = self.open.recv();
            self.lines.write(line)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let lines = Collected(Arc::default());
    let (entered, has_entered) = std::sync::mpsc::sync_channel(16);
    let (permit, open) = std::sync::mpsc::channel();
    let gate = Gate {
        lines: lines.clone(),
        entered,
        open,
    };
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(2)
        .lossy(true)
        .finish(gate);
    let layer = JsonLines::new(
        vec![writer],
        LevelFilter::INFO,
        || UnixMs(0),
        Arc::default(),
    );
    let counters = layer.counters();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        tracing::info!("first, being written");
        has_entered.recv().unwrap();
        tracing::info!("queued");
        tracing::info!("queued");
        tracing::info!("dropped");
        assert_eq!(counters.dropped_lines(), 1);
        for _ in 0..2 {
            permit.send(()).unwrap();
            has_entered.recv().unwrap();
        }
        // The writer holds the third line and the queue is empty.
        tracing::info!("there is room again");
    });
    drop(permit);
    drop(guard);
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert_eq!(counters.dropped_lines(), 1);
    assert!(
        text.ends_with("\"message\":\"dropped lines\",\"dropped_lines\":1}\n"),
        "{text}"
    );
}

/// Emits one decision by itself.
fn emit(line: &DecisionLine<'_>) {
    let mut lines = DecisionLines::default();
    lines.push(line);
    lines.emit();
}
