//! The codecs of other projects, in a process that is asked to measure.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;

/// Their names; the first is the one that checks content too.
pub(crate) const NAMES: [&str; 3] = ["iso8583-codec", "iso8583_rs", "iso8583-core"];

/// The process, which ends with its standard input.
pub(crate) struct Peers {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Peers {
    /// Builds and starts the process; `None`, with a line that says so, when it cannot be built.
    pub(crate) fn start(frames: &[Bytes]) -> Option<Self> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers");
        let target = concat!(env!("CARGO_MANIFEST_DIR"), "/target/peers");
        let built = Command::new(env!("CARGO"))
            .args(["build", "--release", "--locked", "--quiet"])
            .current_dir(folder)
            .env("CARGO_TARGET_DIR", target)
            .status();
        if !built.is_ok_and(|status| status.success()) {
            eprintln!("other codecs are not measured: {folder} does not build here");
            return None;
        }
        let mut child = Command::new(format!("{target}/release/codec-peers"))
            .env("SPEC_FILE", format!("{folder}/iso8583_rs.yaml"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        writeln!(stdin, "{}", frames.len()).unwrap();
        for frame in frames {
            let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
            writeln!(stdin, "{hex}").unwrap();
        }
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Some(Self {
            child,
            stdin: Some(stdin),
            stdout,
        })
    }

    /// Nanoseconds for one message.
    pub(crate) fn measure(&mut self, codec: &str, task: &str, slice: Duration) -> f64 {
        let answer = self.ask(&format!("{codec} {task} {}", slice.as_millis()), "ns ");
        answer.parse().unwrap()
    }

    /// The response to the first message.
    pub(crate) fn response(&mut self, codec: &str) -> Vec<u8> {
        let hex = self.ask(&format!("{codec} response"), "hex ");
        let pairs = hex.as_bytes().chunks(2);
        pairs
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    /// Sends a line; answers what follows the word. A peer may print lines of its own before.
    fn ask(&mut self, line: &str, word: &str) -> String {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
        loop {
            let mut answer = String::new();
            assert!(self.stdout.read_line(&mut answer).unwrap() > 0, "{line}");
            if let Some(answer) = answer.trim_end().strip_prefix(word) {
                return answer.to_owned();
            }
        }
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.stdin = None;
        let _ = self.child.wait();
    }
}
