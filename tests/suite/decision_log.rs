//! The decision log as a process installs it: a line emitted is a line on disk, once per process.

use cardswitch::domain::pan::Pan;
use cardswitch::domain::time::UnixMs;
use cardswitch::ops::log::{LogError, active_file, init};
use cardswitch::switch::config::{Config, Overrides};
use cardswitch::switch::decision_line::{
    CorridorLatency, DecisionLine, DecisionLines, DecisionWord,
};

#[test]
fn installed_log_writes_decisions_to_its_file_and_refuses_a_second_one() {
    let directory = tempfile::tempdir().unwrap();
    let overrides = Overrides {
        data_dir: Some(directory.path().to_path_buf()),
        ..Overrides::none()
    };
    let config = Config::load(None, &overrides).unwrap();
    let logs = config.log_directory().unwrap();
    let guard = init(&config.log, Some(&logs), || UnixMs(0)).unwrap();
    emit(&DecisionLine {
        at: UnixMs(1_000),
        link: "door",
        mti: 100,
        stan: Some(1),
        rrn: None,
        card: Pan::parse("4761739001010119").map(|pan| pan.masked()),
        card_token: None,
        account: None,
        amount: None,
        mcc: None,
        merchant: None,
        terminal: None,
        purpose: "purchase",
        decision: DecisionWord::Rejected,
        reason: Some("format_error"),
        evidence: None,
        code: "30",
        approval: None,
        repeat: false,
        balances: &[],
        sequence: None,
        trace: None,
        latency: CorridorLatency {
            decode_ns: 1,
            parse_request_ns: 0,
            sequence_ns: 0,
            decide_ns: 0,
            append_ns: 0,
            render_response_ns: 0,
            write_frame_ns: 0,
            total_ns: 1,
        },
    });
    let second = init(&config.log, None, || UnixMs(0));
    assert!(matches!(second, Err(LogError::Installed)));
    let counters = guard.counters();
    drop(guard);

    let text = std::fs::read_to_string(active_file(&logs)).unwrap();
    let line: serde_json::Value = text
        .lines()
        .find(|line| line.contains("door"))
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(line["time"], "1970-01-01T00:00:01.000Z");
    assert_eq!(line["card"], "476173******0119");
    assert_eq!(line["code"], "30");
    assert!(line.get("account").is_none());
    assert_eq!(counters.masked_lines(), 0);
}

/// Emits one decision by itself.
fn emit(line: &DecisionLine<'_>) {
    let mut lines = DecisionLines::default();
    lines.push(line);
    lines.emit();
}
