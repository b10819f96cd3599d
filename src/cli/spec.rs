//! `cardswitch spec`: checks, lists and imports specifications of messages.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use clap::{Args, Subcommand, ValueEnum};

use crate::iso8583::import::{self, Imported};
use crate::iso8583::{MessageSpec, page};

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
    },
}

/// A project whose files can be imported.
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
        SpecCommand::List => {
            list();
            Ok(())
        }
        SpecCommand::Show { spec } => spec_named(spec).map(|spec| print!("{}", page(&spec))),
        SpecCommand::Check { file } => check(file),
        SpecCommand::Import { from, file, output } => import(*from, file, output.as_deref()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("cardswitch: failed to {text}");
            ExitCode::FAILURE
        }
    }
}

fn list() {
    for spec in MessageSpec::builtins() {
        println!("{:<14} {} elements", spec.name(), spec.elements().len());
    }
}

fn check(file: &Path) -> Result<(), String> {
    let text = read(file)?;
    let shown = file.display();
    let spec = MessageSpec::parse(&text).map_err(|errors| format!("check {shown}:\n{errors}"))?;
    println!(
        "{shown}: {} is without mistake, {} elements",
        spec.name(),
        spec.elements().len()
    );
    Ok(())
}

fn import(from: Origin, file: &Path, output: Option<&Path>) -> Result<(), String> {
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
    let Imported { toml, report } = imported.map_err(|error| format!("import {shown}: {error}"))?;
    MessageSpec::parse(&toml).map_err(|errors| format!("import {shown}:\n{errors}"))?;
    match output {
        Some(path) => fs::write(path, &toml)
            .map_err(|error: io::Error| format!("write {}: {error}", path.display()))?,
        None => print!("{toml}"),
    }
    // The specification may go to standard output: the report must not mix with it.
    eprintln!("{shown}: {report}");
    Ok(())
}

fn is_yaml(file: &Path) -> bool {
    file.extension()
        .is_some_and(|extension| extension == "yaml" || extension == "yml")
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("read {}: {error}", file.display()))
}
