//! Exports, read back: every decision and posting once, in every format, of a store at rest and of
//! a running switch alike.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde_json::{Value, json};

use crate::operators::Desk;
use crate::support::EVERYDAY;

/// Runs `export` and returns what it wrote there.
fn export(store: &Path, to: &Path, arguments: &[&str]) -> String {
    let out = Command::new(env!("CARGO_BIN_EXE_cardswitch"))
        .args(["export", "--data"])
        .arg(store)
        .arg("--to")
        .arg(to)
        .args(arguments)
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{complaint}");
    String::from_utf8(out.stdout).unwrap()
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|row| serde_json::from_str(row).unwrap())
        .collect()
}

/// The rows of a Parquet file as the JSON lines would say them.
fn parquet_rows(path: &Path) -> Vec<Value> {
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    let rows = reader.get_row_iter(None).unwrap();
    rows.map(|row| {
        let row = row.unwrap();
        let cells = row.get_column_iter().filter_map(|(name, field)| {
            let value = match field {
                Field::Null => return None,
                Field::Long(number) => json!(number),
                Field::Str(text) => json!(text),
                Field::TimestampMillis(ms) => {
                    json!(cardswitch::domain::time::UnixMs(*ms).to_string())
                }
                other => panic!("{name}: {other:?}"),
            };
            Some((name.clone(), value))
        });
        Value::Object(cells.collect())
    })
    .collect()
}

/// The fields of each line of comma-separated values.
fn csv_rows(path: &Path) -> Vec<BTreeMap<String, String>> {
    let text = fs::read_to_string(path).unwrap();
    let (mut rows, mut row, mut field, mut is_quoted) = (vec![], vec![], String::new(), false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if is_quoted && characters.peek() == Some(&'"') => {
                field.push('"');
                characters.next();
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => row.push(std::mem::take(&mut field)),
            '\r' if !is_quoted => {}
            '\n' if !is_quoted => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            other => field.push(other),
        }
    }
    let names = rows.remove(0);
    let named = |row: Vec<String>| names.iter().cloned().zip(row).collect();
    rows.into_iter().map(named).collect()
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[test]
fn every_format_says_the_same_of_a_store_at_rest_and_of_a_running_switch() {
    let mut desk = Desk::open();
    let named = desk
        .purchase(EVERYDAY, 1_000)
        .set(43, "SAID \"HELLO\", AND LEFT   TOKYO        JP");
    assert_eq!(desk.client.code(&named), "00");
    assert_eq!(desk.code(EVERYDAY, 99_000_000), "61");
    let order = json!({ "reference": "rent", "from": 2, "to": 1, "minor": 40_000 });
    assert_eq!(desk.post("/v1/transfers", &order).0, 200);
    assert_eq!(desk.post("/v1/accounts/2/close", &json!({})).0, 200);
    let out = tempfile::tempdir().unwrap();
    let store = desk.process.directory.path().join("store");
    let live = out.path().join("live");
    let admin = desk.process.admin.clone();
    export(&store, &live, &["--format", "jsonl", "--admin", &admin]);
    let directory = desk.process.stop();
    let store = directory.path().join("store");
    for format in ["jsonl", "csv", "parquet"] {
        let told = export(&store, out.path(), &["--format", format]);
        assert!(
            told.contains("2 rows") && told.contains("decisions."),
            "{told}"
        );
    }
    for (table, least) in [("decisions", 2), ("postings", 10)] {
        let rows = lines(&out.path().join(format!("{table}.jsonl")));
        assert!(rows.len() >= least, "{table}: {}", rows.len());
        assert_eq!(lines(&live.join(format!("{table}.jsonl"))), rows);
        assert_eq!(
            parquet_rows(&out.path().join(format!("{table}.parquet"))),
            rows
        );
        let values = csv_rows(&out.path().join(format!("{table}.csv")));
        assert_eq!(values.len(), rows.len());
        for (value, row) in values.iter().zip(&rows) {
            for (name, text) in value {
                assert_eq!(
                    *text,
                    row.get(name).map(plain).unwrap_or_default(),
                    "{name}: {row}"
                );
            }
        }
        let mut sums: BTreeMap<String, i64> = BTreeMap::new();
        for row in rows.iter().filter(|_| table == "postings") {
            let currency = row["currency"].as_str().unwrap_or_else(|| panic!("{row}"));
            *sums.entry(currency.to_owned()).or_default() += row["minor"].as_i64().unwrap();
        }
        assert!(sums.values().all(|sum| *sum == 0), "{sums:?}");
    }
    let said = fs::read_to_string(out.path().join("decisions.jsonl")).unwrap();
    assert!(
        said.contains("476173******0119") && said.contains("HELLO"),
        "{said}"
    );
    assert!(!said.contains(EVERYDAY));
}

#[test]
fn a_period_is_cut_out_of_what_happened() {
    let mut desk = Desk::open();
    assert_eq!(desk.code(EVERYDAY, 1_000), "00");
    let directory = desk.process.stop();
    let store = directory.path().join("store");
    let to = directory.path().join("out");
    let rows = |arguments: &[&str]| {
        let arguments: Vec<&str> = ["--format", "jsonl"]
            .iter()
            .chain(arguments)
            .copied()
            .collect();
        export(&store, &to, &arguments);
        lines(&to.join("decisions.jsonl"))
    };
    let all = rows(&[]);
    let at = all[0]["at"].as_str().unwrap();
    assert_eq!(rows(&["--since", at]), all);
    assert_eq!(rows(&["--until", at]), [Value::Null; 0]);
    assert_eq!(
        rows(&["--since", "1h", "--until", "2126-01-01T00:00:00Z"]),
        all
    );
    assert_eq!(rows(&["--since", "2126-01-01T00:00:00Z"]), [Value::Null; 0]);
}

#[test]
fn an_export_that_cannot_be_made_leaves_no_file_that_looks_whole() {
    let nowhere = tempfile::tempdir().unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_cardswitch"))
        .args(["export", "--format", "csv", "--data"])
        .arg(nowhere.path().join("store"))
        .arg("--to")
        .arg(nowhere.path().join("out"))
        .output()
        .unwrap();
    assert!(!out.status.success());
    assert!(!nowhere.path().join("out/decisions.csv").exists());
}
