//! Pieces of a JSON log line: its time, its strings, its numbers, without an allocation.

use std::cell::Cell;

use jiff::Timestamp;

use crate::domain::time::UnixMs;

const SECOND_TEXT: usize = "2026-11-21T19:08:33".len();
type SecondText = [u8; SECOND_TEXT];

thread_local! {
    /// Second and its text up to the seconds: consecutive lines nearly always share them.
    static SECOND: Cell<(i64, SecondText)> = const { Cell::new((i64::MIN, [0; SECOND_TEXT])) };
}

/// Opens a line with its time, RFC 3339 in UTC with milliseconds.
pub fn open_time(line: &mut Vec<u8>, UnixMs(at_ms): UnixMs) {
    let second = at_ms.div_euclid(1_000);
    let milliseconds = at_ms.rem_euclid(1_000);
    let (cached, mut text) = SECOND.get();
    if cached != second {
        let instant = Timestamp::from_second(second)
            .unwrap_or(Timestamp::UNIX_EPOCH)
            .to_string();
        if let Some(prefix) = instant.as_bytes().first_chunk::<SECOND_TEXT>() {
            text = *prefix;
        }
        SECOND.set((second, text));
    }
    line.extend_from_slice(b"{\"time\":\"");
    line.extend_from_slice(&text);
    // 1000 is added so that the three digits keep their leading zeros; its own digit is the point.
    let point = line.len();
    push_number(line, milliseconds.unsigned_abs().saturating_add(1_000));
    if let Some(point) = line.get_mut(point) {
        *point = b'.';
    }
    line.extend_from_slice(b"Z\"");
}

/// Appends `value`, which is UTF-8, as a JSON string.
pub fn escape(line: &mut Vec<u8>, value: &[u8]) {
    // Every byte is looked at, so that many are at once.
    let is_plain = value.iter().fold(true, |plain, &byte| {
        plain & (byte >= b' ') & (byte != b'"') & (byte != b'\\')
    });
    if is_plain {
        line.push(b'"');
        line.extend_from_slice(value);
        line.push(b'"');
        return;
    }
    // Writing to a vector cannot fail, and every `str` is a JSON string.
    let _infallible = serde_json::to_writer(line, &String::from_utf8_lossy(value));
}

/// Appends `value` in decimal.
pub fn push_signed(line: &mut Vec<u8>, value: i64) {
    // Writing to a vector cannot fail; the JSON writer's integers are faster than std's.
    let _infallible = serde_json::to_writer(line, &value);
}

/// Appends `value` in decimal.
pub fn push_number(line: &mut Vec<u8>, value: u64) {
    // As above.
    let _infallible = serde_json::to_writer(line, &value);
}
