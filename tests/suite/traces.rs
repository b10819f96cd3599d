//! One transaction has one trace in the decision log: authorization, capture, refund, reversal and
//! the repeat of each; `cardswitch tail --trace` finds them.

use serde_json::Value;

use crate::operators::Desk;
use crate::support::{Draft, EVERYDAY};

/// Lines of the decision log that `tail` shows, once there are so many in the log.
fn lines(desk: &Desk, many: usize, args: &[&str]) -> Vec<Value> {
    let log = desk.process.directory.path().join("store/log");
    let log = log.join("decisions.jsonl");
    loop {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        if text.matches("\"decision\":").count() >= many {
            break;
        }
        std::thread::yield_now();
    }
    let base = ["tail", "--no-follow", "--json", "--lines", "100", "--file"];
    let mut all = base.to_vec();
    all.push(log.to_str().unwrap());
    all.extend(args);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_cardswitch"))
        .args(all)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let told = text.lines().map(|line| serde_json::from_str(line).unwrap());
    told.collect()
}

#[test]
fn a_purchase_with_all_that_follows_it_has_one_trace_in_the_log() {
    let mut desk = Desk::open();
    let hold = desk.purchase(EVERYDAY, 1_200);
    let other = desk.purchase(EVERYDAY, 300);
    let capture = hold.clone().mti("0220").set(11, "000901");
    let refund = Draft::purchase(902)
        .mti("0200")
        .set(2, EVERYDAY)
        .set(3, "200000")
        .set(37, hold.get(37));
    let reversal = Draft::reversal_of(&other, 903);
    let repeat = hold.clone().mti("0101");
    for draft in [&hold, &other, &capture, &refund, &reversal, &repeat] {
        assert_eq!(desk.client.code(draft), "00", "{}", draft.get(11));
    }
    assert_eq!(desk.code(EVERYDAY, 900_000), "51");
    let all = lines(&desk, 7, &[]);
    assert_eq!(all.len(), 7);
    let (first, second) = (all[0]["sequence"].as_u64(), all[1]["sequence"].as_u64());
    let traces: Vec<Option<u64>> = all.iter().map(|line| line["trace"].as_u64()).collect();
    // What is declined belongs to no transaction.
    assert_eq!(traces, [first, second, first, first, second, first, None]);
    let found = lines(&desk, 7, &["--trace", &first.unwrap().to_string()]);
    let codes: Vec<&Value> = found.iter().map(|line| &line["mti"]).collect();
    assert_eq!(codes, ["0100", "0220", "0200", "0101"]);
    desk.close();
}
