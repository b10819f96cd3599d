//! `cardswitch programme`: checks programme files and tells them in words.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::domain::programme_file;
use crate::switch::rulebook::LoadedRules;

use super::programme_words;

/// What `programme` can be told.
#[derive(Args)]
pub struct ProgrammeArgs {
    #[command(subcommand)]
    command: ProgrammeCommand,
}

#[derive(Subcommand)]
enum ProgrammeCommand {
    /// Say every mistake of programme files with its line, or tell them in words; and check the
    /// response codes they are answered with.
    Check {
        /// Programme files, such as spec/programme/prepaid-jp.toml.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Folder of dialect tables [default: those of the program].
        #[arg(long, value_name = "DIR")]
        dialects: Option<PathBuf>,
        /// The dialect whose response codes are told.
        #[arg(long, default_value = "iso87")]
        dialect: String,
    },
}

/// Runs the command; exit code 1 when a file or a table has a mistake.
pub fn run(args: &ProgrammeArgs) -> ExitCode {
    let ProgrammeCommand::Check {
        files,
        dialects,
        dialect,
    } = &args.command;
    match check(files, dialects.as_deref(), dialect) {
        Ok(told) => {
            print!("{told}");
            ExitCode::SUCCESS
        }
        Err(mistakes) => {
            for mistake in mistakes {
                eprintln!("cardswitch: {mistake}");
            }
            ExitCode::FAILURE
        }
    }
}

/// The programmes in words, and what is right about the response codes.
///
/// # Errors
/// Every mistake of every file, and every finding about response codes.
pub fn check(
    files: &[PathBuf],
    dialects: Option<&Path>,
    dialect: &str,
) -> Result<String, Vec<String>> {
    let rules = LoadedRules::load(None, dialects).map_err(|error| error.0)?;
    let (_, told_in) = rules
        .dialect(dialect)
        .ok_or_else(|| vec![format!("no dialect is named {dialect:?}")])?;
    let mut mistakes = Vec::new();
    let mut told = String::new();
    for file in files {
        let shown = file.display().to_string();
        match fs::read_to_string(file) {
            Err(error) => mistakes.push(format!("read {shown}: {error}")),
            Ok(text) => match programme_file::parse(&shown, &text) {
                Ok(programme) => {
                    told.push_str(&programme_words::tell(&programme, &told_in.codes));
                    told.push('\n');
                }
                Err(error) => {
                    let rows = error.mistakes.iter();
                    mistakes.extend(rows.map(|mistake| format!("{shown}: {mistake}")));
                }
            },
        }
    }
    for dialect in &rules.dialects {
        let findings = dialect.code_findings();
        let name = &dialect.name;
        mistakes.extend(
            findings
                .iter()
                .map(|text| format!("dialect {name}: {text}")),
        );
        told.push_str(&match &dialect.code_list {
            Some(list) => format!(
                "response codes of {name}: without finding under the network's list of {}\n",
                list.as_of
            ),
            None => format!("response codes of {name}: not checked, the table has no code_list\n"),
        });
    }
    if mistakes.is_empty() {
        Ok(told)
    } else {
        Err(mistakes)
    }
}
