//! Guessed numbers over TCP: the alarm in the log, and an answer that others overtake.

use std::fs;

use crate::support::{Client, Draft, Process, text};

/// A number of gift-code's range that nobody has.
const NOBODY: &str = "86001299999999";

#[test]
fn the_last_attempt_is_an_alarm_and_the_next_answer_comes_later_than_others() {
    let folder = tempfile::tempdir().unwrap();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/spec/programme");
    for name in ["prepaid-jp.toml", "gift-code.toml", "travel.toml"] {
        let shipped = fs::read_to_string(format!("{root}/{name}")).unwrap();
        let changed = shipped
            .replace("acceptor_attempts_max = 20", "acceptor_attempts_max = 2")
            .replace("slow_ms = 2000", "slow_ms = 300");
        fs::write(folder.path().join(name), changed).unwrap();
    }
    let doors = ["iso87-ascii", "iso87-binary"].map(|spec| {
        format!(
            "[[listener]]\nname = \"{spec}\"\naddress = \"127.0.0.1:0\"\nframing = \"be2\"\n\
             spec = \"{spec}\"\ndialect = \"iso87\"\n"
        )
    });
    let config = tempfile::tempdir().unwrap();
    let file = config.path().join("switch.toml");
    let programmes = folder.path().display().to_string();
    let settings = format!("programmes_dir = {programmes:?}\n{}", doors.concat());
    fs::write(&file, settings).unwrap();
    let process = Process::serve(&["--demo", "--config", file.to_str().unwrap()]);
    let mut client = Client::connect(&process.addresses[0], "be2", "iso87-ascii");
    let guess = |stan| Draft::purchase(stan).set(2, NOBODY).without(14);
    assert_eq!(client.code(&guess(1)), "14");
    assert_eq!(client.code(&guess(2)), "14");
    client.send(&guess(3));
    client.send(&Draft::management(4, "301"));
    assert_eq!(text(&client.receive(), 11), "000004");
    assert_eq!(text(&client.receive(), 11), "000003");
    let directory = process.stop();
    let told = fs::read_to_string(directory.path().join("stdout")).unwrap();
    let alarms = told
        .lines()
        .filter(|line| line.contains("alarm: unknown"))
        .count();
    assert_eq!(alarms, 1, "{told}");
}
