//! Who may ask the operators' API for what, and what the journal keeps of who did.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::thread;

use cardswitch::ops::access::{Need, ROUTES, Role, Route};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::operators::Desk;
use crate::support::{Process, agent_with};

/// `cardswitch token ARGS --data STORE`: its exit code and what it printed.
fn token(directory: &Path, args: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_cardswitch"))
        .arg("token")
        .args(args)
        .arg("--data")
        .arg(directory.join("store"))
        .output()
        .unwrap();
    let text = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy);
    (output.status.code().unwrap(), text.concat())
}

fn made(directory: &Path, name: &str, role: &str) -> String {
    let (code, told) = token(directory, &["create", name, "--role", role, "--json"]);
    assert_eq!(code, 0, "{told}");
    let told: Value = serde_json::from_str(&told).unwrap();
    told["token"].as_str().unwrap().to_owned()
}

/// A directory with a token for each role but admin, made before the switch runs.
fn prepared() -> (TempDir, Vec<(Role, String)>) {
    let directory = tempfile::tempdir().unwrap();
    let roles = [Role::Viewer, Role::Operator, Role::Issuer];
    let tokens = roles.map(|role| (role, made(directory.path(), role.name(), role.name())));
    (directory, tokens.to_vec())
}

/// The path of a route with something in the place of its parameters.
fn path_of(route: &Route) -> String {
    let parts = route.path.split('/').map(|part| match part {
        "{name}" => "nobody",
        part if part.starts_with('{') => "999999",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Status and media type of the answer to an agent.
fn ask(process: &Process, agent: &ureq::Agent, route: &Route) -> (u16, String) {
    let url = format!("{}{}", process.admin, path_of(route));
    let answer = match route.method {
        "GET" => agent.get(&url).call(),
        _ => agent.post(&url).content_type("application/json").send("{}"),
    };
    let answer = answer.unwrap();
    let media = answer.headers().get("content-type");
    let media = media.map_or("", |media| media.to_str().unwrap());
    (answer.status().as_u16(), media.to_owned())
}

fn stranger() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into()
}

#[test]
fn every_route_takes_a_token_and_a_role_that_is_enough() {
    let (directory, mut tokens) = prepared();
    let process = Process::serve_in(directory, &["--demo"]);
    tokens.push((Role::Admin, process.token()));
    let agents: Vec<_> = tokens
        .iter()
        .map(|(role, token)| (*role, agent_with(token)))
        .collect();
    let problem = "application/problem+json";
    for route in ROUTES {
        let (status, media) = ask(&process, &stranger(), route);
        let Need::Token(needed) = route.need else {
            assert_eq!(status, 200, "{route:?}: counters are open nearby");
            continue;
        };
        assert_eq!((status, media.as_str()), (401, problem), "{route:?}");
        for (role, agent) in &agents {
            let (status, media) = ask(&process, agent, route);
            if *role < needed {
                assert_eq!((status, media.as_str()), (403, problem), "{route:?} {role}");
            } else {
                assert!(
                    ![401, 403, 404, 405].contains(&status)
                        || status == 404 && route.path.contains('{'),
                    "{route:?} {role}: {status}"
                );
            }
        }
    }
}

#[test]
fn a_path_or_method_that_is_not_there_is_told_only_to_those_with_a_token() {
    let desk = Desk::open();
    let known = desk.process.agent();
    for (method, path, status) in [
        ("GET", "/v1/nothing", 404),
        ("GET", "/", 404),
        ("POST", "/v1/state", 405),
        ("GET", "/v1/transfers", 405),
    ] {
        let url = format!("{}{path}", desk.process.admin);
        let ask = |agent: &ureq::Agent| match method {
            "GET" => agent.get(&url).call().unwrap(),
            _ => agent.post(&url).send("{}").unwrap(),
        };
        assert_eq!(ask(&stranger()).status(), 401, "{path}");
        let answer = ask(&known);
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
    desk.close();
}

#[test]
fn what_is_kept_of_a_token_is_for_its_owner_and_is_not_the_token() {
    let directory = tempfile::tempdir().unwrap();
    let desk = made(directory.path(), "desk", "operator");
    let process = Process::serve_in(directory, &["--demo"]);
    let store = process.directory.path().join("store");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&store.join("access")), 0o700);
    for name in ["tokens.toml", "admin.token"] {
        assert_eq!(mode(&store.join("access").join(name)), 0o600, "{name}");
    }
    let tokens = fs::read_to_string(store.join("access/tokens.toml")).unwrap();
    let secret = |token: &str| token.splitn(3, '_').nth(2).unwrap().to_owned();
    assert!(!tokens.contains(&secret(&desk)) && !tokens.contains(&secret(&process.token())));
    assert_eq!(tokens.matches("$argon2id$").count(), 2, "{tokens}");
    let (code, told) = token(process.directory.path(), &["list"]);
    assert_eq!(code, 0);
    assert!(told.contains("desk") && told.contains("local"), "{told}");
    assert!(
        !told.contains("argon2") && !told.contains(&secret(&desk)),
        "{told}"
    );
    for (args, why) in [
        (
            vec!["create", "desk", "--role", "viewer"],
            "there is a token desk",
        ),
        (vec!["create", "a b", "--role", "viewer"], "name: expected"),
        (vec!["revoke", "nobody"], "there is no token nobody"),
    ] {
        let (code, told) = token(process.directory.path(), &args);
        assert_eq!(code, 65, "{args:?}: {told}");
        assert!(told.contains(why), "{told}");
    }
}

#[test]
fn a_token_counts_from_its_making_to_its_revoking_without_a_restart() {
    let process = Process::serve(&["--demo"]);
    let url = format!("{}/v1/rates", process.admin);
    let made = made(process.directory.path(), "night-shift", "viewer");
    let agent = agent_with(&made);
    let status = || agent.get(&url).call().unwrap().status().as_u16();
    // Heard of within a second; a token that is not known yet is wrong, so not too often.
    let mut tries = 0;
    while status() != 200 {
        tries += 1;
        assert!(tries < 8, "it never counted");
        thread::park_timeout(std::time::Duration::from_millis(300) * tries);
    }
    let (code, _) = token(process.directory.path(), &["revoke", "night-shift"]);
    assert_eq!(code, 0);
    while status() != 401 {
        thread::yield_now();
    }
}

#[test]
fn who_guesses_is_locked_out_and_who_is_known_is_not() {
    let (directory, tokens) = prepared();
    let process = Process::serve_in(directory, &["--demo"]);
    let url = format!("{}/v1/rates", process.admin);
    let status = |agent: &ureq::Agent| agent.get(&url).call().unwrap().status().as_u16();
    let known = agent_with(&tokens[0].1);
    assert_eq!(status(&known), 200);
    // The number of a token that counts, with another secret.
    let other = &tokens[1].1[.."cst_12345678".len()];
    let guess = agent_with(&format!("{other}_{}", "A".repeat(43)));
    let mut wrong = 0;
    let locked = loop {
        let answer = guess.get(&url).call().unwrap();
        if answer.status() == 429 {
            break answer;
        }
        assert_eq!(answer.status(), 401);
        wrong += 1;
        // More than ten only where the machine stood still for a minute in between.
        assert!(wrong < 40, "nobody was locked out");
    };
    assert!(wrong >= 10, "{wrong}");
    let wait: u64 = locked.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    // A right token that was not seen yet waits too; those that were, and this machine's, do not.
    assert_eq!(status(&agent_with(&tokens[2].1)), 429);
    assert_eq!(status(&known), 200);
    assert_eq!(status(&process.agent()), 200);
}

#[test]
fn the_journal_says_who_did_what_and_goes_on_saying_it() {
    let (directory, tokens) = prepared();
    let mut process = Process::serve_in(directory, &["--demo"]);
    let post = |process: &Process, token: &str, path: &str, body: Value| {
        let url = format!("{}{path}", process.admin);
        let answer = agent_with(token).post(&url).send_json(body).unwrap();
        answer.status().as_u16()
    };
    let (operator, issuer) = (tokens[1].1.as_str(), tokens[2].1.as_str());
    let frozen = json!({ "status": "frozen" });
    assert_eq!(
        post(&process, operator, "/v1/cards/1/status", frozen.clone()),
        200
    );
    let load = json!({ "reference": "audit-1", "card": 2, "minor": 500, "currency": "JPY",
        "channel": "bank" });
    assert_eq!(post(&process, issuer, "/v1/loads", load), 200);
    assert_eq!(
        post(&process, operator, "/v1/cards/9999/status", frozen),
        404
    );
    let audit = |process: &Process| {
        let url = format!("{}/v1/audit", process.admin);
        let mut answer = process.agent().get(&url).call().unwrap();
        let told: Value = answer.body_mut().read_json().unwrap();
        assert_eq!(told["behind"], 0, "{told}");
        let rows = told["deeds"].as_array().unwrap().clone();
        let row = |row: &Value| {
            let word = |key: &str| row[key].as_str().unwrap().to_owned();
            (word("name"), word("did"), row["card"].as_u64())
        };
        rows.iter().map(row).collect::<Vec<_>>()
    };
    let deed = |name: &str, did: &str, card| (name.to_owned(), did.to_owned(), Some(card));
    let done = [
        deed("operator", "card-status-changed", 1),
        deed("issuer", "decided", 2),
    ];
    assert_eq!(audit(&process), done);
    let directory = process.stop();
    process = Process::serve_in(directory, &["--demo"]);
    assert_eq!(audit(&process), done);
}
