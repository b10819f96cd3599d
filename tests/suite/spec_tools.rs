//! `cardswitch spec`, run as a program.

use std::path::Path;
use std::process::Command;

/// Standard output, standard error and exit code of a run in this directory.
fn run(directory: &Path, arguments: &[&str]) -> (String, String, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_cardswitch"))
        .arg("spec")
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    (text(output.stdout), text(output.stderr), code)
}

#[test]
fn a_specification_goes_to_other_projects_and_back_by_command() {
    let directory = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| run(directory.path(), arguments);
    for (project, file) in [("jpos", "theirs.xml"), ("moov", "theirs.json")] {
        let (out, report, code) = run(&["export", "--to", project, "iso93-ascii", "-o", file]);
        assert_eq!((&*out, code), ("", 0), "{report}");
        assert!(report.starts_with("iso93-ascii: 1"), "{report}");
        assert!(
            report.contains("file mask: approximated: masks are not said"),
            "{report}"
        );
        // The same file named directly, and imported first.
        let (_, report, code) = run(&["import", "--from", project, file, "-o", "ours.toml"]);
        assert_eq!(code, 0, "{report}");
        assert_eq!(
            run(&["diff", file, "ours.toml"]),
            (String::new(), String::new(), 0)
        );
        let (differences, _, code) = run(&["diff", file, "iso93-ascii"]);
        assert_eq!(code, 1);
        assert!(
            differences.contains("1100: absent | mandatory 3 4 7 11"),
            "{differences}"
        );
        let (table, _, code) = run(&["import", "--from", project, file, "--report"]);
        assert_eq!(code, 0);
        let form = if project == "jpos" {
            "IFA_NUMERIC"
        } else {
            "String ASCII ASCII.Fixed"
        };
        for word in [form, "taken approximated not expressible", "all "] {
            assert!(table.contains(word), "{table}");
        }
    }
}

#[test]
fn a_specification_is_a_page() {
    let directory = tempfile::tempdir().unwrap();
    let (page, _, code) = run(directory.path(), &["show", "iso87-binary"]);
    assert_eq!(code, 0);
    for line in [
        "| 2 | `n..19` | pan | Primary account number |",
        "## Parts of 55: ber",
        "| 9F26 | `b64` |  | Application cryptogram |",
        "| 0800 | Network management request | 7 11 70 | 12 13 15 32 33 48 53 63 64 96 128 |  |  |",
    ] {
        assert!(page.lines().any(|own| own == line), "{line}\n{page}");
    }
    let (_, error, code) = run(directory.path(), &["show", "nothing"]);
    assert_eq!(code, 1);
    assert!(
        error.contains("read the spec nothing (no built-in spec is named so)"),
        "{error}"
    );
}
