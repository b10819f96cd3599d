//! Input of any kind as frames: hexadecimal, base64, bytes or JSON, one message or many.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use clap::ValueEnum;
use tokio_util::codec::Decoder;

use crate::iso8583::{MessageSpec, decode};
use crate::transport::{Frame, FrameCodec, Framing};

use super::values::MessageText;

/// Bytes of the longest input taken.
const INPUT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes of the longest frame taken.
pub(super) const FRAME_BYTES_MAX: usize = 65_535;

/// How input is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Form {
    /// JSON when it begins with a brace, else hexadecimal, else base64, else bytes
    Auto,
    /// Hexadecimal; `#` begins a comment line. Lines are a message each, or together one
    Hex,
    /// Base64, a message on each line
    Base64,
    /// The bytes themselves
    Binary,
    /// JSON objects, one after another
    Json,
}

/// Reads a file, or standard input for `-`.
pub(in crate::cli) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let wrong = |error: io::Error| format!("read {}: {error}", path.display());
    let mut bytes = Vec::new();
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(fs::File::open(path).map_err(wrong)?)
    };
    source
        .take(INPUT_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(wrong)?;
    if u64::try_from(bytes.len()).is_ok_and(|size| size > INPUT_BYTES_MAX) {
        return Err(format!("read {}: expected at most 64 MiB", path.display()));
    }
    Ok(bytes)
}

/// The messages of an input, each in the frame it came in.
pub(super) fn frames(
    input: &[u8],
    form: Form,
    framing: Option<&Framing>,
    spec: &MessageSpec,
) -> Result<Vec<Frame>, String> {
    let form = if form == Form::Auto {
        guess(input)
    } else {
        form
    };
    let pieces = match form {
        Form::Json => return from_json(input, framing, spec),
        Form::Hex => hex_pieces(input, framing, spec)?,
        Form::Base64 => base64_pieces(input)?,
        Form::Binary | Form::Auto => vec![Bytes::copy_from_slice(input)],
    };
    let frames = match framing {
        Some(framing) => cut(framing, &pieces)?,
        None => pieces
            .into_iter()
            .map(|body| Frame {
                header: Bytes::new(),
                body,
            })
            .collect(),
    };
    if frames.is_empty() {
        return Err("find a message: the input has none".to_owned());
    }
    Ok(frames)
}

/// The bytes of an input that is not JSON, as one stream.
pub(in crate::cli) fn stream(input: &[u8], form: Form) -> Result<Vec<u8>, String> {
    let form = if form == Form::Auto {
        guess(input)
    } else {
        form
    };
    match form {
        Form::Json => Err("examine JSON: expected the bytes of a peer".to_owned()),
        Form::Hex => Ok(hex_lines(input)?.concat()),
        Form::Base64 => Ok(base64_pieces(input)?.concat()),
        Form::Binary | Form::Auto => Ok(input.to_vec()),
    }
}

fn guess(input: &[u8]) -> Form {
    let is_of = |also: fn(u8) -> bool| {
        let lines = input.split(|byte| *byte == b'\n');
        let mut content = lines.filter(|line| !line.starts_with(b"#")).flatten();
        content.all(|byte| byte.is_ascii_whitespace() || also(*byte))
    };
    if input.trim_ascii_start().starts_with(b"{") {
        Form::Json
    } else if is_of(|byte| byte.is_ascii_hexdigit()) {
        Form::Hex
    } else if is_of(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)) {
        Form::Base64
    } else {
        Form::Binary
    }
}

fn lines(input: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    (1..)
        .zip(input.split(|byte| *byte == b'\n'))
        .filter(|(_, line)| !line.starts_with(b"#") && !line.trim_ascii().is_empty())
}

fn hex_lines(input: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    lines(input)
        .map(|(number, line)| {
            hex(line)
                .ok_or_else(|| format!("read line {number}: expected pairs of hexadecimal digits"))
        })
        .collect()
}

/// Bytes of hexadecimal text, spaces between them allowed.
pub(super) fn hex(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text.iter().filter(|byte| !byte.is_ascii_whitespace());
    let values: Option<Vec<u8>> = digits
        .map(|byte| char::from(*byte).to_digit(16))
        .map(|digit| u8::try_from(digit?).ok())
        .collect();
    let values = values?;
    let (pairs, rest) = values.as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| high << 4 | low).collect();
    rest.is_empty().then_some(bytes)
}

/// Upper-case hexadecimal text.
pub(super) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// One piece when the lines make one message together, or belong to one stream of frames; else one
/// for each line.
fn hex_pieces(
    input: &[u8],
    framing: Option<&Framing>,
    spec: &MessageSpec,
) -> Result<Vec<Bytes>, String> {
    let lines = hex_lines(input)?;
    let together = Bytes::from(lines.concat());
    if framing.is_some() || (lines.len() > 1 && decode(spec, together.clone()).is_ok()) {
        return Ok(vec![together]);
    }
    Ok(lines.into_iter().map(Bytes::from).collect())
}

fn base64_pieces(input: &[u8]) -> Result<Vec<Bytes>, String> {
    lines(input)
        .map(|(number, line)| {
            let bytes = STANDARD.decode(line.trim_ascii());
            bytes
                .map(Bytes::from)
                .map_err(|_| format!("read line {number}: expected base64"))
        })
        .collect()
}

fn cut(framing: &Framing, pieces: &[Bytes]) -> Result<Vec<Frame>, String> {
    let mut codec = FrameCodec::new(framing, FRAME_BYTES_MAX);
    let mut source = BytesMut::from(&pieces.concat()[..]);
    let mut frames = Vec::new();
    loop {
        match codec.decode_eof(&mut source) {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => return Ok(frames),
            Err(error) => {
                return Err(format!(
                    "cut frame {} with {}: {error} (try: cardswitch doctor FILE)",
                    frames.len() + 1,
                    framing.name()
                ));
            }
        }
    }
}

fn from_json(
    input: &[u8],
    framing: Option<&Framing>,
    spec: &MessageSpec,
) -> Result<Vec<Frame>, String> {
    let texts = serde_json::Deserializer::from_slice(input).into_iter::<MessageText>();
    let mut frames = Vec::new();
    for (number, text) in (1..).zip(texts) {
        // The parser's own words may quote the input.
        let text = text.map_err(|error| {
            format!(
                "read message {number} at line {}, column {}: expected \
                 {{\"mti\":\"0100\",\"fields\":{{\"2\":\"...\"}}}}",
                error.line(),
                error.column()
            )
        })?;
        let frame = text
            .build(spec, framing)
            .map_err(|error| format!("build message {number}: {error}"))?;
        frames.push(frame);
    }
    if frames.is_empty() {
        return Err("find a message: the input has none".to_owned());
    }
    Ok(frames)
}
