//! Programmes changed without a restart: one more line blocks a category, and the next purchase
//! there is declined over TCP; a file with mistakes changes nothing. And signals from the first
//! moment on.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use serde_json::json;

use crate::operators::Desk;
use crate::support::EVERYDAY;

const LINE: &str = "mcc = [\"5541\", \"5542\", \"5552\", \"5172\", \"5983\"]\n";
/// The same with one more category.
const CHANGED: &str = "mcc = [\"5541\", \"5542\", \"5552\", \"5172\", \"5983\", \"5411\"]\n";

/// A switch that reads its programmes from a folder of its own.
pub(crate) fn open(folder: &Path) -> Desk {
    open_with(folder, "")
}

/// The same with more in its configuration.
pub(crate) fn open_with(folder: &Path, more: &str) -> Desk {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("spec/programme");
    for file in fs::read_dir(shipped).unwrap() {
        let path = file.unwrap().path();
        fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    let config = folder.join("switch.conf");
    let mut text = format!("programmes_dir = {:?}\n", folder.display().to_string());
    for spec in crate::support::SPECS {
        text.push_str(&format!(
            "[[listener]]\nname = \"{spec}\"\naddress = \"127.0.0.1:0\"\nframing = \"be2\"\n\
             spec = \"{spec}\"\n"
        ));
    }
    fs::write(&config, text + more).unwrap();
    Desk::serve(&["--demo", "--config", config.to_str().unwrap()])
}

pub(crate) fn edit(folder: &Path, old: &str, new: &str) -> PathBuf {
    let path = folder.join("prepaid-jp.toml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(old), "{old}");
    fs::write(&path, text.replacen(old, new, 1)).unwrap();
    path
}

#[test]
fn one_more_blocked_category_counts_from_the_next_purchase_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = open(folder.path());
    assert_eq!(desk.code(EVERYDAY, 100), "00");
    edit(folder.path(), LINE, CHANGED);
    assert_eq!(
        desk.code(EVERYDAY, 100),
        "00",
        "nobody has asked for it yet"
    );
    let (status, done) = desk.post("/v1/programmes/reload", &json!({}));
    assert_eq!((status, &done["repeated"]), (200, &json!(false)), "{done}");
    assert_eq!(
        desk.code(EVERYDAY, 100),
        "57",
        "on a connection that was open"
    );
    assert_eq!(
        desk.post("/v1/programmes/reload", &json!({})).1["repeated"],
        true
    );
    desk.close();
}

#[test]
fn with_any_mistake_in_any_file_nothing_changes() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = open(folder.path());
    edit(folder.path(), LINE, CHANGED);
    edit(folder.path(), "domestic_days = 45", "domestic_days = 0");
    let travel = folder.path().join("travel.toml");
    let text = fs::read_to_string(&travel).unwrap();
    fs::write(&travel, text.replacen("Asia/Tokyo", "Asia/Edo", 1)).unwrap();
    let (status, told) = desk.post("/v1/programmes/reload", &json!({}));
    let detail = told["detail"].as_str().unwrap();
    assert_eq!(status, 422);
    for part in ["domestic_days", "Asia/Edo", "line "] {
        assert!(detail.contains(part), "{detail}");
    }
    assert_eq!(desk.code(EVERYDAY, 100), "00");
    // Files without a mistake that do not fit the open accounts are refused as well.
    fs::write(
        &travel,
        text.replacen(
            "id = \"aud\"\ncurrency = \"AUD\"",
            "id = \"aud\"\ncurrency = \"NZD\"",
            1,
        ),
    )
    .unwrap();
    edit(folder.path(), "domestic_days = 0", "domestic_days = 45");
    fs::remove_file(folder.path().join("gift-code.toml")).unwrap();
    let (status, told) = desk.post("/v1/programmes/reload", &json!({}));
    let detail = told["detail"].as_str().unwrap();
    assert_eq!(status, 422);
    assert!(
        detail.contains("gift-code") && detail.contains("travel"),
        "{detail}"
    );
    assert_eq!(desk.code(EVERYDAY, 100), "00");
    desk.close();
}

#[test]
fn the_hang_up_signal_reloads_and_each_decision_tells_its_version() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = open(folder.path());
    edit(folder.path(), "version = 1", "version = 2");
    let id = desk.process.id().to_string();
    let asked = Command::new("kill").args(["-HUP", &id]).status().unwrap();
    assert!(asked.success());
    let version = |desk: &Desk| {
        let told = desk.get("/v1/programmes");
        let mut rows = told["programmes"].as_array().unwrap().iter();
        let row = rows.find(|row| row["name"] == "prepaid-jp");
        row.unwrap()["version"].as_u64().unwrap()
    };
    while version(&desk) != 2 {
        thread::yield_now();
    }
    assert_eq!(desk.code(EVERYDAY, 100), "00");
    desk.close();
}

#[test]
fn a_signal_in_the_moment_in_which_a_door_opens_ends_nothing_on_the_spot() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("stdout");
    let mut switch = Command::new(env!("CARGO_BIN_EXE_cardswitch"))
        .args(["serve", "--demo", "--admin", "127.0.0.1:0"])
        .args(["--listen", "127.0.0.1:0,be2,iso87-ascii", "--data"])
        .arg(directory.path().join("store"))
        .stdin(Stdio::null())
        .stdout(File::create(&out).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while !fs::read_to_string(&out).unwrap().contains("\nlistening ") {
        assert_eq!(switch.try_wait().unwrap(), None);
        thread::yield_now();
    }
    for signal in ["-HUP", "-TERM"] {
        let id = switch.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &id])
                .status()
                .unwrap()
                .success()
        );
    }
    assert_eq!(switch.wait().unwrap().code(), Some(0));
}
