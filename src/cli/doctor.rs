//! `cardswitch doctor`: says what a peer speaks, from a capture or from a connection it makes.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::iso8583::MessageSpec;
use crate::switch::doctor::{Diagnosis, EXAMINED_BYTES_MAX, Finding, examine};

use super::message::input::{Form, read, stream};
use super::message::spec_named;

/// Wrong input, as sysexits has it.
const EXIT_DATA: u8 = 65;
/// A peer silent for so long has sent its first messages.
const QUIET: Duration = Duration::from_secs(2);
/// Findings listed below the sentence.
const OTHERS_MAX: usize = 4;

/// What `doctor` can be told.
#[derive(Args)]
pub struct DoctorArgs {
    /// Bytes of a peer in a file; `-` is standard input
    #[arg(required_unless_present = "listen", conflicts_with = "listen")]
    file: Option<PathBuf>,
    /// Wait here for the peer instead, such as 0.0.0.0:8583
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Stop after so many connections
    #[arg(long, value_name = "COUNT", requires = "listen")]
    connections: Option<usize>,
    /// A specification file to try beside those built in; may be repeated
    #[arg(long = "spec", value_name = "FILE")]
    specs: Vec<String>,
    /// How the file is written
    #[arg(long, value_enum, default_value_t = Form::Auto)]
    input: Form,
}

/// Examines; exit code 1 when the last bytes are nothing we know, 65 when there are none.
pub fn run(args: &DoctorArgs) -> ExitCode {
    match execute(args, &mut io::stdout().lock()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(sentence) => {
            eprintln!("cardswitch: {sentence}");
            ExitCode::from(EXIT_DATA)
        }
    }
}

fn execute(args: &DoctorArgs, out: &mut dyn Write) -> Result<bool, String> {
    let mut specs = Vec::new();
    for name in &args.specs {
        specs.push(spec_named(name)?);
    }
    let specs: Vec<&MessageSpec> = MessageSpec::builtins().iter().chain(&specs).collect();
    if let Some(file) = &args.file {
        let bytes = stream(&read(file)?, args.input)?;
        return tell(&examine(&bytes, &specs), out);
    }
    let address = args.listen.as_deref().unwrap_or_default();
    let wrong = |error: io::Error| format!("listen on {address}: {error}");
    let listener = TcpListener::bind(address).map_err(wrong)?;
    let bound = listener.local_addr().map_err(wrong)?;
    writeln!(
        out,
        "listening on {bound}; let the peer connect and send a message"
    )
    .and_then(|()| out.flush())
    .map_err(|error| format!("write: {error}"))?;
    let mut is_known = false;
    for connection in listener
        .incoming()
        .take(args.connections.unwrap_or(usize::MAX))
    {
        let stream = connection.map_err(wrong)?;
        let bytes = first_bytes(stream).map_err(|error| format!("read the peer: {error}"))?;
        is_known = tell(&examine(&bytes, &specs), out)?;
    }
    Ok(is_known)
}

/// What a peer sends until it is quiet or there is enough; nothing is answered.
fn first_bytes(mut stream: TcpStream) -> io::Result<Vec<u8>> {
    stream.set_read_timeout(Some(QUIET))?;
    let mut bytes = vec![0; EXAMINED_BYTES_MAX];
    let mut count = 0;
    while let Some(room) = bytes.get_mut(count..).filter(|room| !room.is_empty()) {
        match stream.read(room) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => break,
                io::ErrorKind::ConnectionReset => break,
                io::ErrorKind::Interrupted => {}
                _ => return Err(error),
            },
        }
    }
    bytes.truncate(count);
    Ok(bytes)
}

/// Prints the sentence, and below it what else it could be.
fn tell(diagnosis: &Diagnosis, out: &mut dyn Write) -> Result<bool, String> {
    let mut text = format!("{diagnosis}\n");
    let others: &[Finding] = match diagnosis {
        Diagnosis::Speaks(findings) => findings.get(1..).unwrap_or_default(),
        Diagnosis::Probe(_) | Diagnosis::Unknown { .. } => &[],
    };
    for other in others.iter().take(OTHERS_MAX) {
        let spec = other.spec_name().unwrap_or("no specification");
        text.push_str(&format!(
            "  less likely: {}, {} frame(s), {spec}\n",
            other.framing_name(),
            other.frames
        ));
    }
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| format!("write: {error}"))?;
    Ok(!matches!(diagnosis, Diagnosis::Unknown { .. }))
}
