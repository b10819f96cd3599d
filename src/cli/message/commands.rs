//! What `cardswitch message` can be asked, and what it answers.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use clap::{Args, Subcommand, ValueEnum};

use crate::iso8583::{
    ElementSpec, Message, MessageSpec, MessageWriter, Part, decode, describe, rebuild,
};
use crate::switch::spec_source;
use crate::transport::{Frame, FrameCodec, Framing};

use super::input::{FRAME_BYTES_MAX, Form, frames, hex, read, to_hex};
use super::redact::redact;
use super::values::{MessageText, Sight, value};

/// Wrong input, as sysexits has it.
const EXIT_DATA: u8 = 65;
/// Without this in the environment nothing is revealed.
const REVEAL_VARIABLE: &str = "CARDSWITCH_REVEAL";

/// What `message` can be told.
#[derive(Args)]
pub struct MessageArgs {
    #[command(subcommand)]
    command: MessageCommand,
}

#[derive(Subcommand)]
enum MessageCommand {
    /// Print messages in words, or as JSON
    Describe {
        #[command(flatten)]
        source: Source,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        reveal: Reveal,
    },
    /// Make messages from JSON
    Build {
        #[command(flatten)]
        source: Source,
        /// How to write them
        #[arg(long, value_enum, default_value_t = WireForm::Hex)]
        output: WireForm,
    },
    /// Check messages against the specification; exit code 1 when one is wrong
    Validate {
        #[command(flatten)]
        source: Source,
    },
    /// Write messages in another form, framing or specification
    Convert {
        #[command(flatten)]
        source: Source,
        /// Specification to write them in [default: the one they are read with]
        #[arg(long, value_name = "SPEC")]
        to_spec: Option<String>,
        /// Framing to write them in [default: none]
        #[arg(long, value_name = "FRAMING")]
        to_framing: Option<Framing>,
        /// How to write them
        #[arg(long, value_enum, default_value_t = AnyForm::Json)]
        output: AnyForm,
        #[command(flatten)]
        reveal: Reveal,
    },
    /// Compare the messages of two files; exit code 1 when they differ
    Diff {
        #[command(flatten)]
        source: Source,
        /// The other file
        #[arg(long, value_name = "FILE")]
        with: PathBuf,
        #[command(flatten)]
        reveal: Reveal,
    },
    /// Blank out everything of a card, so that messages can be shown around
    Redact {
        #[command(flatten)]
        source: Source,
        /// How to write them
        #[arg(long, value_enum, default_value_t = WireForm::Hex)]
        output: WireForm,
    },
}

/// Where messages come from and how they are read.
#[derive(Args)]
struct Source {
    /// File with the messages; `-` is standard input
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Specification: a built-in one such as iso87-ascii, or a file of ours, jPOS or moov
    #[arg(long)]
    spec: String,
    /// Framing around each message, such as be2 or nac+tpdu
    #[arg(long)]
    framing: Option<Framing>,
    /// How the input is written
    #[arg(long, value_enum, default_value_t = Form::Auto)]
    input: Form,
}

#[derive(Args)]
struct Reveal {
    /// Show card data; needs CARDSWITCH_REVEAL=yes in the environment
    #[arg(long)]
    reveal: bool,
}

/// How messages are written as bytes.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WireForm {
    /// Hexadecimal, a message on each line
    Hex,
    /// Base64, a message on each line
    Base64,
    /// The bytes themselves
    Binary,
}

/// How messages are written.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AnyForm {
    /// A JSON object on each line, masked unless revealed
    Json,
    /// Hexadecimal, a message on each line
    Hex,
    /// Base64, a message on each line
    Base64,
    /// The bytes themselves
    Binary,
}

/// Runs a command; exit code 1 when messages are wrong or differ, 65 when they cannot be read.
pub fn run(args: &MessageArgs) -> ExitCode {
    let mut out = io::stdout().lock();
    match execute(&args.command, &mut out) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(sentence) => {
            eprintln!("cardswitch: {sentence}");
            ExitCode::from(EXIT_DATA)
        }
    }
}

fn execute(command: &MessageCommand, out: &mut dyn Write) -> Result<bool, String> {
    match command {
        MessageCommand::Describe {
            source,
            json,
            reveal,
        } => {
            let sight = reveal.sight()?;
            let spec = source.spec()?;
            let show = if *json { as_json } else { in_words };
            each(source, &spec, out, |frame, message| {
                Ok(show(&spec, frame, message, sight).into_bytes())
            })
        }
        MessageCommand::Build { source, output } => {
            let spec = source.spec()?;
            each(source, &spec, out, |frame, _| {
                written(frame, source.framing.as_ref(), *output)
            })
        }
        MessageCommand::Validate { source } => validate(source, out),
        MessageCommand::Convert {
            source,
            to_spec,
            to_framing,
            output,
            reveal,
        } => {
            let sight = reveal.sight()?;
            let spec = source.spec()?;
            let target = match to_spec {
                Some(name) => spec_named(name)?,
                None => spec.clone(),
            };
            each(source, &spec, out, |frame, message| {
                let body = translated(&spec, &target, message)?;
                let again = decode(&target, body.clone()).map_err(|bad| bad.error.to_string())?;
                let frame = Frame {
                    header: frame.header.clone(),
                    body,
                };
                let form = match output {
                    AnyForm::Json => {
                        return Ok(as_json(&target, &frame, &again, sight).into_bytes());
                    }
                    AnyForm::Hex => WireForm::Hex,
                    AnyForm::Base64 => WireForm::Base64,
                    AnyForm::Binary => WireForm::Binary,
                };
                written(&frame, to_framing.as_ref(), form)
            })
        }
        MessageCommand::Diff {
            source,
            with,
            reveal,
        } => diff(source, with, reveal.sight()?, out),
        MessageCommand::Redact { source, output } => {
            let spec = source.spec()?;
            each(source, &spec, out, |frame, message| {
                let frame = Frame {
                    header: frame.header.clone(),
                    body: redact(&spec, message).map_err(|error| error.to_string())?,
                };
                written(&frame, source.framing.as_ref(), *output)
            })
        }
    }
}

impl Source {
    fn spec(&self) -> Result<MessageSpec, String> {
        spec_named(&self.spec)
    }

    fn frames(&self, file: &Path, spec: &MessageSpec) -> Result<Vec<Frame>, String> {
        frames(&read(file)?, self.input, self.framing.as_ref(), spec)
    }
}

impl Reveal {
    fn sight(&self) -> Result<Sight, String> {
        if !self.reveal {
            return Ok(Sight::Masked);
        }
        if std::env::var_os(REVEAL_VARIABLE).is_none_or(|value| value != "yes") {
            return Err(format!(
                "reveal card data: expected {REVEAL_VARIABLE}=yes in the environment"
            ));
        }
        eprintln!("cardswitch: {REVEAL_VARIABLE}=yes: the output holds card data");
        Ok(Sight::Revealed)
    }
}

/// A specification that comes with the program, or the one in a file of ours, of jPOS or of moov.
pub(in crate::cli) fn spec_named(name: &str) -> Result<MessageSpec, String> {
    spec_source::load(name).map(|loaded| loaded.spec)
}

/// Writes what `show` makes of every message; one that cannot be decoded is named and passed over.
fn each(
    source: &Source,
    spec: &MessageSpec,
    out: &mut dyn Write,
    mut show: impl FnMut(&Frame, &Message) -> Result<Vec<u8>, String>,
) -> Result<bool, String> {
    let mut all_good = true;
    for (number, frame) in (1..).zip(source.frames(&source.file, spec)?) {
        let shown = decode(spec, frame.body.clone())
            .map_err(|failure| failure.error.to_string())
            .and_then(|message| show(&frame, &message));
        match shown {
            Ok(bytes) => out
                .write_all(&bytes)
                .map_err(|error| format!("write: {error}"))?,
            Err(why) => {
                all_good = false;
                eprintln!("cardswitch: message {number}: {why}");
            }
        }
    }
    Ok(all_good)
}

fn in_words(spec: &MessageSpec, frame: &Frame, message: &Message, sight: Sight) -> String {
    let header = match frame.header.len() {
        0 => String::new(),
        _ => format!("header {}\n", to_hex(&frame.header)),
    };
    let words = match sight {
        Sight::Masked => describe(spec, message),
        Sight::Revealed => {
            let line = |number| {
                let element = spec.element(number)?;
                let shown = value(element, message, sight);
                let (format, name) = (element.format(), element.name());
                Some(format!(
                    "DE {number:<3} {format:<9} {name:<38} \"{shown}\"\n"
                ))
            };
            let lines: String = message.elements().filter_map(line).collect();
            format!("MTI    {}\n{lines}", message.mti())
        }
    };
    format!("{header}{words}\n")
}

fn as_json(spec: &MessageSpec, frame: &Frame, message: &Message, sight: Sight) -> String {
    let text = MessageText::of(spec, frame, message, sight);
    // Strings and numbers always become JSON.
    let mut line = serde_json::to_string(&text).unwrap_or_default();
    line.push('\n');
    line
}

/// The bytes of a message, framed when a framing is given.
fn written(frame: &Frame, framing: Option<&Framing>, form: WireForm) -> Result<Vec<u8>, String> {
    let mut out = BytesMut::new();
    match framing {
        Some(framing) => {
            let codec = FrameCodec::new(framing, FRAME_BYTES_MAX);
            let header = match frame.header.len() {
                0 => framing.header().of_request(),
                _ => frame.header.to_vec(),
            };
            let mark = codec.begin(&mut out, &header);
            out.extend_from_slice(&frame.body);
            codec
                .finish(&mut out, mark)
                .map_err(|error| error.to_string())?;
        }
        None => out.extend_from_slice(&frame.body),
    }
    Ok(match form {
        WireForm::Hex => format!("{}\n", to_hex(&out)).into_bytes(),
        WireForm::Base64 => format!("{}\n", STANDARD.encode(&out)).into_bytes(),
        WireForm::Binary => out.to_vec(),
    })
}

/// The same values in another specification. What one holds as bytes and the other as text is
/// written as hexadecimal text.
fn translated(
    spec: &MessageSpec,
    target: &MessageSpec,
    message: &Message,
) -> Result<Bytes, String> {
    let mut out = BytesMut::new();
    let mut writer = MessageWriter::begin(target, message.mti(), &mut out);
    for number in message.elements() {
        let element = target.element(number);
        if let Some(value) = element.and_then(|element| divided(spec, message, element)) {
            let written = writer.divided(number, &value);
            written.map_err(|error| error.to_string())?;
            continue;
        }
        let is_binary = element.is_some_and(|element| element.class().name() == "b");
        let result = match (message.text(number), message.binary(number)) {
            (Some(text), _) if is_binary => {
                let bytes = hex(text.as_bytes())
                    .ok_or_else(|| format!("DE {number}: expected pairs of hexadecimal digits"))?;
                writer.binary(number, &bytes)
            }
            (Some(text), _) => writer.text(number, &text),
            (None, Some(bytes)) if is_binary => writer.binary(number, &bytes),
            (None, Some(bytes)) => writer.text(number, &to_hex(&bytes)),
            (None, None) => continue,
        };
        result.map_err(|error| error.to_string())?;
    }
    writer.finish().map_err(|error| error.to_string())?;
    Ok(out.freeze())
}

/// The value of an element in another specification, when both divide it into the same parts.
fn divided(spec: &MessageSpec, message: &Message, element: &ElementSpec) -> Option<Vec<u8>> {
    let parts = message.parts(spec, element.number())?.ok()?;
    let items: Vec<_> = (parts.iter())
        .map(|part| (part.key().to_owned(), part.rewritten()))
        .collect();
    element.parts()?.write(&items).ok()
}

/// Everything that is wrong with the parts of a message.
fn wrong_parts(spec: &MessageSpec, message: &Message) -> Vec<String> {
    let wrong = |number| match message.parts(spec, number)? {
        Err(error) => Some(format!("DE {number}: {error}")),
        Ok(parts) => {
            let mut inner = parts.iter().filter_map(Part::mistake);
            inner.next().map(|error| format!("DE {number}: {error}"))
        }
    };
    message.elements().filter_map(wrong).collect()
}

fn validate(source: &Source, out: &mut dyn Write) -> Result<bool, String> {
    let spec = source.spec()?;
    let mut all_good = true;
    for (number, frame) in (1..).zip(source.frames(&source.file, &spec)?) {
        let size = frame.body.len();
        let verdict = match decode(&spec, frame.body.clone()) {
            Ok(message) => {
                let mti = message.mti();
                let count = message.elements().count();
                let mut wrong = wrong_parts(&spec, &message);
                let breaches = spec.breaches(&message);
                wrong.extend(breaches.iter().map(ToString::to_string));
                all_good &= wrong.is_empty();
                let again = rebuild(&spec, &message);
                let exact = if again.is_ok_and(|again| again == frame.body) {
                    "good"
                } else {
                    "good, though its values can be written in other bytes"
                };
                let verdict = match wrong.len() {
                    0 => exact.to_owned(),
                    _ => format!("wrong: {}", wrong.join("; ")),
                };
                format!("{mti}, {count} elements, {size} bytes: {verdict}")
            }
            Err(failure) => {
                all_good = false;
                let read = failure.partial.map_or(String::new(), |partial| {
                    format!(
                        "{}, {} elements, ",
                        partial.mti(),
                        partial.elements().count()
                    )
                });
                let (error, offset) = (failure.error, failure.error.offset);
                format!("{read}{size} bytes: wrong at byte {offset}: {error}")
            }
        };
        writeln!(out, "message {number}: {verdict}").map_err(|error| format!("write: {error}"))?;
    }
    Ok(all_good)
}

fn diff(source: &Source, with: &Path, sight: Sight, out: &mut dyn Write) -> Result<bool, String> {
    let spec = source.spec()?;
    let sides = [source.file.as_path(), with].map(|file| source.frames(file, &spec));
    let [left, right] = sides;
    let (left, right) = (left?, right?);
    let mut differences = Vec::new();
    if left.len() != right.len() {
        differences.push(format!("{} messages, {} messages", left.len(), right.len()));
    }
    for (number, (left, right)) in (1_usize..).zip(left.iter().zip(&right)) {
        let read = |frame: &Frame| {
            decode(&spec, frame.body.clone())
                .map_err(|failure| format!("message {number}: {}", failure.error))
        };
        let (left, right) = (read(left)?, read(right)?);
        if left.mti() != right.mti() {
            differences.push(format!(
                "message {number} MTI: {}, {}",
                left.mti(),
                right.mti()
            ));
        }
        for element in spec.elements() {
            let de = element.number();
            if left.raw(de) == right.raw(de) {
                continue;
            }
            let shown = |message: &Message| match message.has(de) {
                true => format!("\"{}\"", value(element, message, sight)),
                false => "absent".to_owned(),
            };
            let (one, other) = (shown(&left), shown(&right));
            differences.push(format!("message {number} DE {de}: {one}, {other}"));
        }
    }
    for line in &differences {
        writeln!(out, "{line}").map_err(|error| format!("write: {error}"))?;
    }
    Ok(differences.is_empty())
}
