//! `cardswitch spec`: shows, checks, compares, imports and exports specifications of messages.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use clap::{Args, Subcommand, ValueEnum};

use crate::iso8583::export::{self, Exported};
use crate::iso8583::import::{self, Imported, Outcome};
use crate::iso8583::{MessageSpec, differences, page};

use super::message::spec_named;

/// What `spec` can be told.
#[derive(Args)]
pub struct SpecArgs {
    #[command(subcommand)]
    command: SpecCommand,
}

#[derive(Subcommand)]
enum SpecCommand {
    /// List the specifications that come with the program.
    List,
    /// Print a specification as a page: every element, its parts, and what each message carries.
    Show {
        /// A built-in specification, or a file of ours, of jPOS (.xml) or of moov (.json, .yaml).
        spec: String,
    },
    /// Say every mistake of a specification file.
    Check {
        /// Specification file, such as spec/iso8583/iso87-ascii.toml.
        file: PathBuf,
    },
    /// Turn a specification of another project into one of ours, and report what it could not say.
    Import {
        /// The project that the file is written for.
        #[arg(long, value_enum)]
        from: Origin,
        /// The file to import.
        file: PathBuf,
        /// Where to write the specification [default: standard output].
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Print only how many definitions of each class or type load.
        #[arg(long, conflicts_with = "output")]
        report: bool,
    },
    /// Write a specification in the form of another project, and report what it cannot say.
    Export {
        /// The project that the file is for.
        #[arg(long, value_enum)]
        to: Origin,
        /// A built-in specification, or a file of ours, of jPOS (.xml) or of moov (.json, .yaml).
        spec: String,
        /// Where to write the file [default: standard output].
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Say in what two specifications differ; exit code 1 when they do.
    Diff {
        /// A built-in specification, or a file of ours, of jPOS (.xml) or of moov (.json, .yaml).
        one: String,
        /// The other.
        other: String,
    },
}

/// A project whose files can be imported and written.
#[derive(Clone, Copy, ValueEnum)]
enum Origin {
    /// Packager XML of jPOS.
    Jpos,
    /// JSON of moov, or YAML when the name of the file ends so.
    Moov,
}

/// Runs the command; exit code 1 when a file is no specification.
pub fn run(args: &SpecArgs) -> ExitCode {
    let outcome = match &args.command {
        SpecCommand::List => list(),
        SpecCommand::Show { spec } => spec_named(spec).and_then(|spec| say(&page(&spec))),
        SpecCommand::Check { file } => check(file),
        SpecCommand::Import {
            from,
            file,
            output,
            report,
        } => match report {
            true => table(*from, file),
            false => import(*from, file, output.as_deref()),
        },
        SpecCommand::Export { to, spec, output } => export(*to, spec, output.as_deref()),
        SpecCommand::Diff { one, other } => match diff(one, other) {
            Ok(true) => Ok(()),
            Ok(false) => return ExitCode::FAILURE,
            Err(why) => Err(why),
        },
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("cardswitch: failed to {text}");
            ExitCode::FAILURE
        }
    }
}

fn list() -> Result<(), String> {
    let line =
        |spec: &MessageSpec| format!("{:<14} {} elements\n", spec.name(), spec.elements().len());
    say(&MessageSpec::builtins().iter().map(line).collect::<String>())
}

fn check(file: &Path) -> Result<(), String> {
    let text = read(file)?;
    let shown = file.display();
    let spec = MessageSpec::parse(&text).map_err(|errors| format!("check {shown}:\n{errors}"))?;
    say(&format!(
        "{shown}: {} is without mistake, {} elements\n",
        spec.name(),
        spec.elements().len()
    ))
}

fn import(from: Origin, file: &Path, output: Option<&Path>) -> Result<(), String> {
    let Imported { toml, report } = imported(from, file)?;
    write_to(output, &toml)?;
    // The specification may go to standard output: the report must not mix with it.
    eprintln!("{}: {report}", file.display());
    Ok(())
}

/// The specification of another project's file, which is without mistake in our form.
fn imported(from: Origin, file: &Path) -> Result<Imported, String> {
    let text = read(file)?;
    let shown = file.display();
    let name = file
        .file_stem()
        .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let imported = match from {
        Origin::Jpos => import::jpos(&name, &text),
        Origin::Moov if is_yaml(file) => import::moov_yaml(&name, &text),
        Origin::Moov => import::moov_json(&name, &text),
    };
    let imported = imported.map_err(|error| format!("import {shown}: {error}"))?;
    let parsed = MessageSpec::parse(&imported.toml);
    parsed.map_err(|errors| format!("import {shown}:\n{errors}"))?;
    Ok(imported)
}

/// Prints a line for each class or type of a file: how many of its definitions load.
fn table(from: Origin, file: &Path) -> Result<(), String> {
    let Imported { report, .. } = imported(from, file)?;
    let mut text = format!(
        "{:<44} taken approximated not expressible\n",
        file.display().to_string()
    );
    let mut forms: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for finding in report.findings() {
        let [taken, near, not] = forms.entry(&finding.form).or_default();
        *match finding.outcome {
            Outcome::Taken => taken,
            Outcome::Approximated(_) => near,
            Outcome::NotExpressible(_) => not,
        } += 1;
    }
    for (form, [taken, near, not]) in forms.into_iter().chain([("all", report.counts())]) {
        text.push_str(&format!("{form:<44} {taken:>5} {near:>12} {not:>15}\n"));
    }
    say(&text)
}

fn export(to: Origin, name: &str, output: Option<&Path>) -> Result<(), String> {
    let spec = spec_named(name)?;
    let exported = match to {
        Origin::Jpos => export::jpos(&spec),
        Origin::Moov => export::moov(&spec),
    };
    let Exported { text, report } = exported.map_err(|error| format!("export {name}: {error}"))?;
    write_to(output, &text)?;
    eprintln!("{name}: {report}");
    Ok(())
}

/// Whether the two say the same.
fn diff(one: &str, other: &str) -> Result<bool, String> {
    let lines = differences(&spec_named(one)?, &spec_named(other)?);
    let text = lines.iter().map(|line| format!("{line}\n"));
    say(&text.collect::<String>())?;
    Ok(lines.is_empty())
}

fn write_to(output: Option<&Path>, text: &str) -> Result<(), String> {
    match output {
        Some(path) => fs::write(path, text)
            .map_err(|error: io::Error| format!("write {}: {error}", path.display())),
        None => say(text),
    }
}

/// Writes to standard output, which the reader may close when it has seen enough.
fn say(text: &str) -> Result<(), String> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!("write: {error}")),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn is_yaml(file: &Path) -> bool {
    file.extension()
        .is_some_and(|extension| extension == "yaml" || extension == "yml")
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("read {}: {error}", file.display()))
}
