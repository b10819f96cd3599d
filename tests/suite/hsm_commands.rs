//! `cardswitch hsm`: a played device, the table of its keys, and a look at it.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::keys::ceremony;

/// A played device in a process of its own.
pub(crate) struct PlayedProcess {
    pub(crate) address: String,
    process: Child,
    faults: ChildStdin,
    said: BufReader<std::process::ChildStdout>,
}

impl PlayedProcess {
    pub(crate) fn start() -> PlayedProcess {
        let mut process = Command::new(env!("CARGO_BIN_EXE_cardswitch"))
            .args(["hsm", "simulate", "--listen", "127.0.0.1:0"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let faults = process.stdin.take().unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        while !line.starts_with("listening") {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "it ended");
        }
        let address = line.split_whitespace().last().unwrap().to_owned();
        PlayedProcess {
            address,
            process,
            faults,
            said,
        }
    }

    /// Has a fault count from now on.
    pub(crate) fn tell(&mut self, fault: &str) {
        writeln!(self.faults, "{fault}").unwrap();
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), fault);
    }
}

impl Drop for PlayedProcess {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Standard output, standard error and exit code of `cardswitch hsm` in a directory.
fn hsm(directory: &Path, arguments: &[&str]) -> (String, String, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_cardswitch"))
        .arg("hsm")
        .args(arguments)
        .current_dir(directory)
        .env_remove("CARDSWITCH_SEALING_KEY")
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    (text(output.stdout), text(output.stderr), code)
}

#[test]
fn keys_of_a_key_file_go_to_a_played_device_which_knows_their_check_values() {
    let directory = ceremony();
    let place = ["--keys", "keys.toml", "--sealing-key", "sealing"];
    let (table, error, code) = hsm(directory.path(), &[&["table"], &place[..]].concat());
    assert_eq!(code, 0, "{error}");
    assert!(table.contains("usage = \"P0\"") && !table.contains("0123456789ABCDEF"));
    std::fs::write(directory.path().join("table.toml"), &table).unwrap();
    let mut played = PlayedProcess::start();
    let address = played.address.clone();
    let look = |keys| {
        hsm(
            directory.path(),
            &["check", "--address", &address, "--keys", keys],
        )
    };
    let (said, error, code) = look("table.toml");
    assert_eq!(code, 0, "{error}");
    assert_eq!(said.matches("check value 08D7B4").count(), 2, "{said}");
    let other = table.replacen("08D7B4", "08D7B5", 1);
    std::fs::write(directory.path().join("other.toml"), other).unwrap();
    let (_, error, code) = look("other.toml");
    assert!(
        code == 65 && error.contains("another check value"),
        "{error}"
    );
    played.tell("NC=68");
    let (_, error, code) = look("table.toml");
    assert!(code == 69 && error.contains("NC with 68"), "{error}");
    drop(played);
    let (_, error, code) = look("table.toml");
    assert!(code == 69 && error.contains("no device"), "{error}");
}
