//! Two operators at once: whoever changes what another one has changed since hears of it first;
//! and long lists, page by page.

use serde_json::{Value, json};

use crate::operators::Desk;
use crate::support::EVERYDAY;
use crate::walk::command;

/// Status, `ETag` and body of a request, with `If-Match` where one is given.
fn asked(desk: &Desk, path: &str, body: Option<&Value>, read: Option<&str>) -> (u16, String) {
    let agent = desk.process.agent();
    let url = format!("{}{path}", desk.process.admin);
    let answer = match body {
        None => agent.get(&url).call().unwrap(),
        Some(body) => {
            let mut request = agent.post(&url).content_type("application/json");
            if let Some(read) = read {
                request = request.header("if-match", read);
            }
            request.send(body.to_string()).unwrap()
        }
    };
    let tag = answer.headers().get("etag");
    let tag = tag.map_or("", |tag| tag.to_str().unwrap()).to_owned();
    (answer.status().as_u16(), tag)
}

fn tag(desk: &Desk, path: &str) -> String {
    let (status, tag) = asked(desk, path, None, None);
    assert_eq!(status, 200, "{path}");
    assert!(tag.starts_with('"') && tag.ends_with('"'), "{path}: {tag}");
    tag
}

fn changed(desk: &Desk, path: &str, body: &Value, read: &str) -> u16 {
    asked(desk, path, Some(body), Some(read)).0
}

#[test]
fn an_order_about_something_that_another_operator_has_changed_is_refused_and_leaves_no_record() {
    let desk = Desk::open();
    let status = |word: &str| json!({ "status": word });
    let read = tag(&desk, "/v1/cards/1");
    assert_eq!(
        changed(&desk, "/v1/cards/1/status", &status("frozen"), &read),
        200
    );
    let before = desk.get("/v1/state");
    assert_eq!(
        changed(&desk, "/v1/cards/1/status", &status("lost"), &read),
        412
    );
    assert_eq!(desk.get("/v1/state")["sequence"], before["sequence"]);
    assert_eq!(desk.get("/v1/cards/1")["status"], "frozen");
    let now = tag(&desk, "/v1/cards/1");
    assert_ne!(now, read);
    for (read, expected) in [
        ("W/\"1\"", 412),
        (&*format!("W/{now}"), 412),
        ("1-frozen", 400),
        ("\"", 400),
        ("", 400),
        (&format!("{read}, {now}"), 200),
        // As wanted already: the order is looked at.
        ("*", 409),
    ] {
        let code = changed(&desk, "/v1/cards/1/status", &status("active"), read);
        assert_eq!(code, expected, "{read}");
    }
    assert_eq!(
        changed(&desk, "/v1/cards/999/status", &status("active"), "*"),
        412
    );
    let (code, _) = desk.post("/v1/cards/1/status", &status("frozen"));
    assert_eq!(code, 200, "without it nothing is asked");

    // An account's purchases change nothing that an operator decides; its cards do.
    let read = tag(&desk, "/v1/accounts/1");
    desk.post("/v1/cards/1/status", &status("active"));
    assert_eq!(
        changed(&desk, "/v1/accounts/1/close", &json!({}), &read),
        412
    );
    let mut desk = desk;
    let read = tag(&desk, "/v1/accounts/1");
    assert_eq!(desk.code(EVERYDAY, 100), "00");
    assert_eq!(tag(&desk, "/v1/accounts/1"), read);

    let asked = json!({
        "programme": "prepaid-jp", "born": "1990-04-01", "kyc": "unverified"
    });
    let (code, holder) = desk.post("/v1/holders", &asked);
    assert_eq!(code, 200, "{holder}");
    let path = format!("/v1/holders/{}", holder["holder"]);
    let (read, kyc) = (tag(&desk, &path), json!({ "kyc": "verified" }));
    let change = format!("{path}/kyc");
    assert_eq!(changed(&desk, &change, &kyc, &read), 200);
    assert_eq!(
        changed(&desk, &change, &json!({ "kyc": "unverified" }), &read),
        412
    );
    desk.close();
}

/// All rows of a list, a page of `limit` at a time.
fn pages(desk: &Desk, path: &str, list: &str, limit: usize) -> Vec<Value> {
    let (mut rows, mut after) = (Vec::new(), String::new());
    loop {
        let page = desk.get(&format!("{path}?limit={limit}{after}"));
        let told = page[list].as_array().unwrap();
        assert!(told.len() <= limit, "{page}");
        rows.extend(told.iter().cloned());
        after = match &page["next"] {
            Value::Null => return rows,
            Value::String(next) => format!("&after={next}"),
            next => format!("&after={next}"),
        };
    }
}

#[test]
fn every_list_has_pages_that_are_the_whole_list() {
    let mut desk = Desk::open();
    for minor in [100, 200, 300] {
        assert_eq!(desk.code(EVERYDAY, minor), "00");
    }
    for (path, list, least) in [
        ("/v1/accounts/1/holds", "holds", 3),
        ("/v1/rates", "rates", 2),
        ("/v1/links", "links", 2),
        ("/v1/accounts", "accounts", 3),
        ("/v1/cards", "cards", 3),
        ("/v1/exceptions", "newest", 0),
        ("/v1/negative-balances", "oldest", 0),
    ] {
        let whole = desk.get(&format!("{path}?limit=1000"));
        assert_eq!(whole["next"], Value::Null, "{path}");
        let whole = whole[list].as_array().unwrap().clone();
        assert!(whole.len() >= least, "{path}: {whole:?}");
        for limit in [1, 2] {
            assert_eq!(pages(&desk, path, list, limit), whole, "{path}");
        }
        assert_eq!(desk.status(&format!("{path}?limit=0")), 400);
        assert_eq!(desk.status(&format!("{path}?after=x")), 400);
    }
    desk.close();
}

#[test]
fn the_command_line_goes_on_where_a_page_of_a_list_ended() {
    let mut desk = Desk::open();
    for minor in [100, 200, 300] {
        assert_eq!(desk.code(EVERYDAY, minor), "00");
    }
    let lists: [(&[&str], &str, &str); 3] = [
        (&["hold", "list", "1"], "/v1/accounts/1/holds", "holds"),
        (&["rate", "list"], "/v1/rates", "rates"),
        (&["link", "list"], "/v1/links", "links"),
    ];
    for (list, path, key) in lists {
        let whole = desk.get(path)[key].as_array().unwrap().clone();
        let (mut rows, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let mut args = list.to_vec();
            args.extend(["--limit", "1"]);
            args.extend(cursor.iter().flat_map(|it| ["--after", it.as_str()]));
            let (code, words, why) = command(&desk, &args, None);
            assert_eq!(code, 0, "{args:?}: {why}");
            args.push("--json");
            let (_, told, _) = command(&desk, &args, None);
            let told: Value = serde_json::from_str(&told).unwrap();
            rows.extend(told[key].as_array().unwrap().iter().cloned());
            let next = words.lines().find_map(|line| line.split_once("--after "));
            match next {
                Some((_, next)) => cursor = Some(next.to_owned()),
                None => break,
            }
        }
        assert_eq!(rows, whole, "{list:?}");
    }
    desk.close();
}
