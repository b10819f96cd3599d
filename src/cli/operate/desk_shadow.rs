//! `cardswitch programme shadow`.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::table::table;
use super::{Place, Said, text};

/// What `programme shadow` can be told.
#[derive(Args)]
pub struct ShadowArgs {
    /// Name of the programme.
    name: String,
    /// The file that is judged under; left out: what it would have decided otherwise is told.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// None any more.
    #[arg(long, conflicts_with = "file")]
    none: bool,
    #[command(flatten)]
    place: Place,
}

/// Runs `programme shadow`.
pub fn run(args: &ShadowArgs) -> ExitCode {
    args.place.run(|api| {
        let (name, path) = (&args.name, format!("/v1/programmes/{}/shadow", args.name));
        let answer = match &args.file {
            Some(file) => {
                let shown = file.display();
                let text = fs::read_to_string(file);
                let text = text.map_err(|error| (66, format!("read {shown}: {error}")))?;
                api.post(&path, &json!({ "file": text }))?
            }
            None if args.none => api.post(&path, &json!({ "file": null }))?,
            None => api.get(&path)?,
        };
        let shadow = &answer["shadow"];
        if shadow.is_null() {
            let words = format!("nothing is in shadow of {name}");
            return Ok(Said::new(answer, words));
        }
        let word = |key: &str| text(&shadow[key]);
        let mut words = format!(
            "{name} version {} in shadow since {}: {} of {} decisions would change, {} records \
             behind\n",
            word("version"),
            word("since"),
            word("changed"),
            word("decisions"),
            word("behind"),
        );
        if !shadow["stopped"].is_null() {
            words += &format!("it goes on no more: {}\n", word("stopped"));
        }
        let columns = [
            ("times", "/count"),
            ("was", "/was"),
            ("would be", "/would_be"),
        ];
        words += &table(shadow.get("changes"), &columns, "");
        let columns = [
            ("record", "/sequence"),
            ("trace", "/trace"),
            ("at", "/at"),
            ("card", "/card"),
            ("minor", "/minor"),
            ("was", "/was"),
            ("would be", "/would_be"),
            ("evidence", "/evidence"),
        ];
        words += "\n";
        words += &table(shadow.get("latest"), &columns, "");
        Ok(Said::new(answer, words))
    })
}
