//! The stream of decisions and postings: ordered, resumable, documented, and nobody waits for it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::operators::Desk;
use crate::support::EVERYDAY;

const SCHEMA: &str = include_str!("../../spec/activity.schema.json");

/// What a value has that the schema does not allow; the part of JSON Schema that ours uses.
fn faults(schema: &Value, value: &Value, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut wrong = |what: String| found.push(format!("{path}: {what}: {value}"));
    match schema["type"].as_str().unwrap() {
        "integer" if !value.is_i64() && !value.is_u64() => wrong("no integer".to_owned()),
        "string" if !value.is_string() => wrong("no text".to_owned()),
        "array" if !value.is_array() => wrong("no list".to_owned()),
        "object" if !value.is_object() => wrong("no object".to_owned()),
        _ => {}
    }
    if let (Some(least), Some(number)) = (schema["minimum"].as_i64(), value.as_i64())
        && number < least
    {
        wrong(format!("below {least}"));
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        wrong("not among those named".to_owned());
    }
    if let Some(object) = value.as_object() {
        for name in schema["required"].as_array().unwrap() {
            if !object.contains_key(name.as_str().unwrap()) {
                found.push(format!("{path}: lacks {name}"));
            }
        }
        for (name, inner) in object {
            match schema["properties"].get(name) {
                Some(known) => found.extend(faults(known, inner, &format!("{path}.{name}"))),
                None => found.push(format!("{path}: {name} is not in the schema")),
            }
        }
    }
    for inner in value.as_array().into_iter().flatten() {
        found.extend(faults(&schema["items"], inner, &format!("{path}[]")));
    }
    found
}

/// All rows behind a cursor, page by page.
fn all(desk: &Desk, query: &str, limit: usize) -> Vec<Value> {
    let (mut rows, mut after) = (Vec::new(), 0);
    loop {
        let page = desk.get(&format!("/v1/activity?after={after}&limit={limit}{query}"));
        rows.extend(page["activity"].as_array().unwrap().iter().cloned());
        after = page["next"].as_u64().unwrap();
        if page["behind"] == 0 {
            return rows;
        }
    }
}

/// A day with a bit of everything.
fn busy_desk() -> Desk {
    let mut desk = Desk::open();
    assert_eq!(desk.code(EVERYDAY, 1_000), "00");
    assert_eq!(desk.code(EVERYDAY, 99_000_000), "61");
    let (status, told) = desk.post(
        "/v1/transfers",
        &json!({ "reference": "rent", "from": 2, "to": 1, "minor": 40_000 }),
    );
    assert_eq!(status, 200, "{told}");
    let (status, told) = desk.post("/v1/cards/2/status", &json!({ "status": "frozen" }));
    assert_eq!(status, 200, "{told}");
    desk
}

#[test]
fn every_row_is_as_the_schema_says_and_its_postings_sum_to_zero() {
    let desk = busy_desk();
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let rows = all(&desk, "", 1_000);
    let mut kinds = BTreeMap::new();
    for row in &rows {
        assert_eq!(faults(&schema, row, "row"), [""; 0], "{row}");
        let mut sums: BTreeMap<String, i64> = BTreeMap::new();
        for posting in row["postings"].as_array().into_iter().flatten() {
            let currency = posting["currency"].as_str().unwrap().to_owned();
            *sums.entry(currency).or_default() += posting["minor"].as_i64().unwrap();
        }
        assert!(sums.values().all(|sum| *sum == 0), "{row}");
        *kinds.entry(row["type"].as_str().unwrap()).or_insert(0) += 1;
    }
    assert_eq!(kinds["decision"], 2);
    assert!(
        kinds["account-opened"] > 5 && kinds["operation"] >= 2,
        "{kinds:?}"
    );
    let said = json!(rows).to_string();
    assert!(!said.contains(EVERYDAY) && said.contains("476173******0119"));
    assert!(!faults(&schema, &json!({ "sequence": 0, "pan": 1 }), "row").is_empty());
    desk.close();
}

#[test]
fn pages_go_on_where_the_last_one_ended_and_filters_choose() {
    let desk = busy_desk();
    let whole = all(&desk, "", 1_000);
    assert_eq!(all(&desk, "", 1), whole);
    assert_eq!(all(&desk, "", 3), whole);
    let sequences: Vec<u64> = whole
        .iter()
        .map(|row| row["sequence"].as_u64().unwrap())
        .collect();
    assert!(sequences.is_sorted_by(|a, b| a < b));
    let declined = all(&desk, "&outcome=declined", 10);
    assert_eq!(declined.len(), 1);
    assert_eq!(declined[0]["decision"]["reason"], "transaction-limit");
    assert!(
        declined[0]["decision"]["evidence"].is_string(),
        "{}",
        declined[0]
    );
    assert_eq!(
        all(&desk, "&reason=transaction-limit&code=61", 10),
        declined
    );
    assert!(all(&desk, "&reason=card-lost", 10).is_empty());
    let of_card = all(&desk, "&card=1", 10);
    assert!(
        of_card.iter().all(|row| row["card"] == 1) && of_card.len() == 4,
        "{of_card:?}"
    );
    assert!(all(&desk, "&account=1", 10).len() > of_card.len());
    for wrong in ["limit=0", "limit=5000", "wait=60", "colour=red", "after=x"] {
        assert_eq!(
            desk.status(&format!("/v1/activity?{wrong}")),
            400,
            "{wrong}"
        );
    }
    desk.close();
}

#[test]
fn the_messages_of_a_transaction_share_its_name() {
    let mut desk = Desk::open();
    let draft = desk.purchase(EVERYDAY, 1_000);
    assert_eq!(desk.client.code(&draft), "00");
    let opened = all(&desk, "&outcome=approved", 10);
    let transaction = opened[0]["transaction"].as_u64().unwrap();
    assert_eq!(opened[0]["sequence"], transaction);
    assert_eq!(opened[0]["holds"].as_array().unwrap().len(), 1);
    let (status, told) = desk.post(&format!("/v1/holds/{transaction}/release"), &json!({}));
    assert_eq!(status, 200, "{told}");
    let page = desk.get(&format!("/v1/activity?transaction={transaction}"));
    let names: Vec<&Value> = page["activity"].as_array().unwrap().iter().collect();
    assert_eq!(names.len(), 2, "{page}");
    assert_eq!(names[1]["operation"], "hold-released");
    desk.close();
}

/// A reader of the live stream.
struct Reader(BufReader<TcpStream>);

impl Reader {
    fn open(desk: &Desk, query: &str, header: &str) -> Reader {
        let host = desk.process.admin.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).unwrap();
        let token = desk.process.token();
        let header = format!("Authorization: Bearer {token}\r\n{header}");
        write!(
            stream,
            "GET /v1/activity/live{query} HTTP/1.1\r\nHost: {host}\r\n{header}\r\n"
        )
        .unwrap();
        let mut reader = Reader(BufReader::new(stream));
        let status = reader.line();
        assert!(status.contains(" 200 "), "{status}");
        while !reader.line().is_empty() {}
        reader
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.0.read_line(&mut line).unwrap() > 0, "the stream ended");
        line.trim_end().to_owned()
    }

    /// The next row, and the cursor that came with it.
    fn row(&mut self) -> (u64, Value) {
        let data = loop {
            let line = self.line();
            if let Some(data) = line.strip_prefix("data: ") {
                break serde_json::from_str(data).unwrap();
            }
        };
        let id = self.line();
        (id.strip_prefix("id: ").unwrap().parse().unwrap(), data)
    }
}

#[test]
fn a_live_reader_hears_what_happens_and_goes_on_where_it_was_cut_off() {
    let mut desk = Desk::open();
    let mut reader = Reader::open(&desk, "", "");
    let mut seen = Vec::new();
    for minor in [100, 200] {
        assert_eq!(desk.code(EVERYDAY, minor), "00");
        let (id, row) = reader.row();
        assert_eq!(row["message"]["amount_minor"], minor);
        assert_eq!(row["sequence"], id);
        seen.push(id);
    }
    drop(reader);
    assert_eq!(desk.code(EVERYDAY, 300), "00");
    let header = format!("Last-Event-ID: {}\r\n", seen[1]);
    let (id, row) = Reader::open(&desk, "", &header).row();
    assert_eq!(
        (id, &row["message"]["amount_minor"]),
        (seen[1] + 1, &json!(300))
    );
    let again = Reader::open(&desk, &format!("?after={}", seen[0]), "").row();
    assert_eq!(again.0, seen[1]);
    desk.close();
}

#[test]
fn nobody_waits_for_a_reader_that_stands_still_and_it_misses_nothing() {
    let mut desk = Desk::open();
    let mut reader = Reader::open(&desk, "?outcome=declined", "");
    let purchases = 300;
    for _ in 0..purchases {
        assert_eq!(desk.code(EVERYDAY, 99_000_000), "61");
    }
    let mut before = 0;
    for _ in 0..purchases {
        let (id, row) = reader.row();
        assert!(id > before && row["decision"]["code"] == "61", "{row}");
        before = id;
    }
    desk.close();
}
