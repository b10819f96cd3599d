//! The configuration file: its page, its bounds, and every mistake at once.

use std::path::PathBuf;

use super::config::{
    CardCheck, Config, ConfigError, HsmConfig, Listener, Overrides, Tells, WebhookConfig, knob,
};
use super::config_file::parse;
use crate::domain::money::Currency;
use crate::journal::SledOptions;
use crate::transport::Framing;

const SAMPLE: &str = include_str!("../../spec/config.toml");

fn mistakes(text: &str) -> Vec<String> {
    match Config::parse(text, &Overrides::none()) {
        Err(ConfigError::Mistakes(mistakes)) => mistakes.iter().map(ToString::to_string).collect(),
        other => panic!("expected mistakes, got {other:?}"),
    }
}

#[test]
fn sample_file_is_exactly_the_standard_set_and_names_every_key() {
    let (config, absent) = parse(SAMPLE, &Overrides::none()).unwrap();
    assert_eq!(config, Config::standard());
    assert_eq!(absent, Vec::<String>::new());
}

#[test]
fn empty_file_is_the_standard_set() {
    assert_eq!(
        Config::parse("", &Overrides::none()).unwrap(),
        Config::standard()
    );
}

#[test]
fn every_mistake_is_reported_at_once_with_key_expectation_and_value() {
    let text = r#"
        admin = "0.0.0.0:8580"
        io_threads = 65
        io_thread = 1
        [[listener]]
        name = "a"
        address = "127.0.0.1:1"
        framing = "be3"
        spec = "iso87"
        idle_timeout_ms = -1
        [[listener]]
        name = "a"
        address = "127.0.0.1:1"
        framing = "be2+tpdu"
        spec = "iso87-ascii"
        [journal]
        watermark = "never"
        [log]
        file = 3
    "#;
    let expected = [
        "io_threads: expected a whole number from 0 to 64, got 65",
        "listener[0].framing: expected one of be2, be4, ascii4, bcd2, le2, nac, post, fsd, amex, \
         nac-inclusive, be4-inclusive, bcd, ncc, ascii, hex, raw, cmf, cs, vap, gicc, rbp, \
         base24tcp, base24, with +tpdu behind it if wanted, got be3",
        "listener[0].spec: expected one of iso87-ascii, iso87-binary, iso87-ebcdic, iso93-ascii, \
         iso93-binary, iso93-ebcdic, iso03-ascii, iso03-binary, iso03-ebcdic, or a file (toml, \
         xml, json, yaml, yml), got iso87",
        "listener[0].idle_timeout_ms: expected a whole number from 0 to 86400000, got -1",
        "journal.watermark: expected one of lazy, before-reply, got \"never\"",
        "log.file: expected true, false or a directory, got 3",
        "io_thread: expected no such key, got 1",
        "admin: expected a loopback address such as 127.0.0.1:8580, or [admin_tls], \
         got 0.0.0.0:8580",
        "listener[1].name: expected a unique name, got a",
        "listener[1].address: expected a free address, got 127.0.0.1:1",
    ];
    assert_eq!(mistakes(text), expected);
}

#[test]
fn listener_without_its_address_is_refused() {
    let text = "[[listener]]\nname = \"a\"\nframing = \"be2\"\nspec = \"iso87-ascii\"";
    assert_eq!(
        mistakes(text),
        ["listener[0].address: expected an address such as 127.0.0.1:8583, got nothing"]
    );
}

#[test]
fn processors_are_lists_of_their_numbers() {
    let text = "io_threads = 0\n[cpus]\nwriter = [3]\nio = [0, 1, 2]";
    let config = Config::parse(text, &Overrides::none()).unwrap();
    assert_eq!((config.cpus.writer, config.cpus.others), (vec![3], vec![]));
    let expected = "expected numbers of processors from 0 to 1023, such as [2, 3]";
    assert_eq!(
        mistakes("[cpus]\nwriter = 3\nio = [-1]\nothers = [1024]\nlog = [1]"),
        [
            format!("cpus.writer: {expected}, got 3"),
            format!("cpus.io: {expected}, got [-1]"),
            format!("cpus.others: {expected}, got [1024]"),
            "cpus.log: expected no such key, got [1]".to_owned(),
        ]
    );
}

#[test]
fn there_are_as_many_threads_for_connections_as_processors_for_them() {
    let threads = |text: &str| {
        let config = Config::parse(text, &Overrides::none()).unwrap();
        config.io_threads_resolved()
    };
    assert_eq!(threads("[cpus]\nio = [0, 1, 2, 4, 6]"), 5);
    assert_eq!(threads("io_threads = 2\n[cpus]\nio = [0, 1, 2]"), 2);
}

#[test]
fn a_switch_without_a_door_is_refused() {
    assert_eq!(
        mistakes("listener = []"),
        ["listener: expected at least one [[listener]], got none"]
    );
}

#[test]
fn every_bound_accepts_its_edges_and_refuses_one_beyond() {
    fn check(section: &str, key: &str, min: i64, max: i64) {
        let accepts = |value: i64| {
            let text = format!("{section}\n{key} = {value}");
            Config::parse(&text, &Overrides::none()).is_ok()
        };
        assert!(accepts(min) && accepts(max), "{key} refuses its own bounds");
        assert!(
            !accepts(min - 1) && !accepts(max + 1),
            "{key} accepts beyond its bounds"
        );
    }
    let door = "[[listener]]\nname='a'\naddress='127.0.0.1:1'\nframing='be2'\n\
                spec='iso87-ascii'";
    for (section, knob) in [
        ("", &knob::IO_THREADS),
        (door, &knob::CONNECTIONS_MAX),
        (door, &knob::IN_FLIGHT_MAX),
        (door, &knob::FRAME_BYTES_MAX),
        ("[sequencer]", &knob::QUEUE_BATCHES_MAX),
        ("[sequencer]", &knob::BATCH_RECORDS_MAX),
        ("[sequencer]", &knob::BATCH_BYTES_MAX),
    ] {
        check(
            section,
            knob.key,
            knob.min.try_into().unwrap(),
            knob.max.try_into().unwrap(),
        );
    }
    for (section, knob) in [
        (door, &knob::READ_TIMEOUT_MS),
        (door, &knob::IDLE_TIMEOUT_MS),
        (door, &knob::WRITE_TIMEOUT_MS),
        ("[journal]", &knob::ROTATE_MIB),
        ("[journal]", &knob::CACHE_MIB),
        ("[journal]", &knob::RING_MIB),
        ("[checkpoint]", &knob::EVERY_RECORDS),
        ("[checkpoint]", &knob::EVERY_MINUTES),
        ("[checkpoint]", &knob::AT_STOP_RECORDS),
        ("[checkpoint]", &knob::KEEP_HISTORY_DAYS),
        ("[retention]", &knob::ANSWERS_RETENTION_HOURS),
        ("[retention]", &knob::HOLDS_RETENTION_DAYS),
        ("[retention]", &knob::TOMBSTONE_RETENTION_HOURS),
        ("[retention]", &knob::EXPIRE_EVERY_SECONDS),
        ("[log]", &knob::LOG_FILE_MIB_MAX),
        ("[log]", &knob::LOG_FILES_MAX),
    ] {
        check(
            section,
            knob.key,
            knob.min.try_into().unwrap(),
            knob.max.try_into().unwrap(),
        );
    }
}

#[test]
fn command_line_wins_over_the_file() {
    let overrides = Overrides {
        data_dir: Some(PathBuf::from("/srv/cards")),
        listeners: vec!["127.0.0.1:0,ascii4+tpdu,iso87-binary".parse().unwrap()],
        admin: Some("[::1]:9000".parse().unwrap()),
    };
    let config = Config::parse(SAMPLE, &overrides).unwrap();
    assert_eq!(config.data_dir, PathBuf::from("/srv/cards"));
    assert_eq!(
        config.log_directory(),
        Some(PathBuf::from("/srv/cards/log"))
    );
    assert_eq!(config.listeners, overrides.listeners);
    assert_eq!(config.admin, "[::1]:9000".parse().unwrap());
}

#[test]
fn listen_flag_says_what_it_expected() {
    for (text, complaint) in [
        (
            "127.0.0.1:1",
            "--listen: expected ADDR,FRAMING,SPEC, got 127.0.0.1:1",
        ),
        (
            "localhost,be2,iso87-ascii",
            "--listen: expected an address such as 127.0.0.1:8583, got localhost",
        ),
        (
            "127.0.0.1:1,be2,iso93",
            "--listen: expected one of iso87-ascii, iso87-binary, iso87-ebcdic, iso93-ascii, \
             iso93-binary, iso93-ebcdic, iso03-ascii, iso03-binary, iso03-ebcdic, or a file \
             (toml, xml, json, yaml, yml), got iso93",
        ),
    ] {
        assert_eq!(text.parse::<Listener>().unwrap_err().to_string(), complaint);
    }
}

#[test]
fn a_framing_may_be_a_table_and_a_specification_a_file() {
    let door = "[[listener]]\nname='a'\naddress='127.0.0.1:1'\nspec='peers/theirs.xml'\nframing=";
    let text = format!("{door}{{ name = 'ours', length = {{ size = 3, encoding = 'be' }} }}");
    let config = Config::parse(&text, &Overrides::none()).unwrap();
    let listener = &config.listeners[0];
    assert_eq!(
        (&*listener.framing, &*listener.spec),
        ("ours", "peers/theirs.xml")
    );
    assert!(
        listener
            .cut()
            .unwrap()
            .has_wire_of(&Framing::preset("cmf").unwrap())
    );
    let text = format!("{door}{{ name = 'ours' }}");
    let expected = "listener[0].framing: expected a framing (expected either length or end), got \
                    { name = \"ours\" }";
    assert_eq!(mistakes(&text), [expected]);
}

#[test]
fn standard_journal_is_the_measured_one() {
    assert_eq!(
        Config::standard().journal.options(),
        SledOptions::standard()
    );
}

#[test]
fn devices_are_a_section_of_their_own_which_the_page_shows_with_its_standard_values() {
    let page: String = SAMPLE
        .lines()
        .skip_while(|line| !line.starts_with("# [hsm]"))
        .take_while(|line| line.starts_with("# "))
        .map(|line| format!("{}\n", &line[2..]))
        .collect();
    let (config, absent) = parse(&page, &Overrides::none()).unwrap();
    let addresses = vec!["127.0.0.1:1500".parse().unwrap()];
    let standard = HsmConfig::standard(addresses, PathBuf::from("hsm-keys.toml"));
    assert_eq!(config.hsm, Some(standard));
    assert!(
        !absent.iter().any(|key| key.starts_with("hsm.")),
        "{absent:?}"
    );
    let wrong = "key_file = \"a\"\n[hsm]\naddresses = [\"x\"]\nkeys = \"k\"\nkw_scheme = \"22\"";
    assert_eq!(
        mistakes(wrong),
        [
            "hsm.addresses: expected addresses such as [\"127.0.0.1:1500\"], got [\"x\"]",
            "hsm.kw_scheme: expected one character, got \"22\"",
            "hsm: expected either this or pin_keys or key_file, got k",
        ]
    );
}

/// The commented lines of the page from one that begins so to the next that is no comment.
fn commented(begin: &str) -> String {
    SAMPLE
        .lines()
        .skip_while(|line| !line.starts_with(begin))
        .take_while(|line| line.starts_with("# "))
        .map(|line| format!("{}\n", &line[2..]))
        .collect()
}

#[test]
fn the_page_shows_who_may_use_a_door_and_what_for() {
    let door = "[[listener]]\nname='a'\naddress='127.0.0.1:1'\nframing='be2'\n\
                spec='iso87-ascii'\n";
    let admin = "admin = \"0.0.0.0:8580\"\n";
    let text = format!(
        "{admin}{door}{}{}",
        commented("# allow = "),
        commented("# [admin_tls]")
    );
    let config = Config::parse(&text, &Overrides::none()).unwrap();
    let listener = &config.listeners[0];
    assert!(listener.allow.has("10.20.1.1".parse().unwrap()));
    assert!(!listener.allow.has("10.21.1.1".parse().unwrap()));
    let may = &listener.may;
    assert_eq!(may.message_types, Some(vec![100, 120, 400, 420]));
    assert_eq!(may.bins, Some(vec!["476173".to_owned()]));
    assert_eq!(may.programmes, Some(vec!["prepaid-jp".to_owned()]));
    assert_eq!(may.amounts_max, Some(vec![(Currency::JPY, 3_000_000)]));
    let tls = listener.tls.as_ref().unwrap();
    assert_eq!(tls.files.client_crl, Some(PathBuf::from("revoked.pem")));
    assert_eq!(
        (&*tls.clients[0].name, &*tls.clients[0].link),
        ("acquirer-a.example", "acquirer-a")
    );
    assert_eq!(tls.clients[0].may.message_types, Some(vec![100]));
    let keys = &listener.keys;
    assert_eq!(keys.pin_key.as_deref(), Some("zone-a"));
    assert!(keys.mac.as_ref().unwrap().is_required);
    assert_eq!(keys.exchange.as_ref().unwrap().overlap_seconds, 300);
    let of_client = tls.clients[0].keys.as_ref().unwrap();
    assert_eq!(of_client.mac.as_ref().unwrap().key, "mac-a");
    assert_eq!(config.admin_tls.unwrap().key, PathBuf::from("switch.key"));
}

#[test]
fn mistakes_about_who_may_use_a_door_are_told() {
    let door = "[[listener]]\nname='a'\naddress='127.0.0.1:1'\nframing='be2'\n\
                spec='iso87-ascii'\n";
    for (rows, mistake) in [
        (
            "allow = [\"10.20.1.7/16\"]",
            "listener[0].allow: expected a network such as 10.20.0.0/16, without bits behind its \
             prefix, or an address, got \"10.20.1.7/16\"",
        ),
        (
            "may = { message_types = [\"0110\"] }",
            "listener[0].may.message_types: expected types of requests such as \"0100\"; repeats \
             go with them, got \"0110\"",
        ),
        (
            "may = { amounts_max = { YEN = 1 } }",
            "listener[0].may.amounts_max: expected minor units by currency, such as { JPY = \
             3000000 }, got { YEN = 1 }",
        ),
        (
            "may = { bin = [\"4\"] }",
            "listener[0].may.bin: expected no such key, got [\"4\"]",
        ),
        (
            "tls = { certificate = \"a\" }",
            "listener[0].tls.key: expected a text, got nothing",
        ),
        (
            "tls = { certificate = \"a\", key = \"b\", client = [{ name = \"c\", link = \"d\" }] }",
            "listener[0].tls.client_ca: expected a file, for clients are known by their \
             certificates, got nothing",
        ),
    ] {
        assert_eq!(mistakes(&format!("{door}{rows}")), [mistake]);
    }
}

#[test]
fn what_is_checked_of_cards_is_a_section_which_the_page_shows_with_its_standard_values() {
    let page: String = SAMPLE
        .lines()
        .skip_while(|line| !line.starts_with("# [[card_check]]"))
        .take_while(|line| line.starts_with("# "))
        .map(|line| format!("{}\n", &line[2..]))
        .collect();
    let (config, absent) = parse(&page, &Overrides::none()).unwrap();
    let standard = CardCheck {
        chip_key: Some("chip".to_owned()),
        value_key: Some("cvk".to_owned()),
        ..CardCheck::standard(vec!["476173".to_owned()])
    };
    assert_eq!(config.card_checks, [standard]);
    assert!(
        !absent.iter().any(|key| key.starts_with("card_check")),
        "{absent:?}"
    );
    let wrong = "[[card_check]]\nbins = [\"47a\"]\nstatus_approved = \"0080\"\nkey = \"c\"";
    assert_eq!(
        mistakes(wrong),
        [
            "card_check[0].bins: expected leading digits such as [\"476173\"], got [\"47a\"]",
            "card_check[0].status_approved: expected eight hexadecimal digits, got \"0080\"",
            "card_check[0].key: expected no such key, got \"c\"",
        ]
    );
}

#[test]
fn who_is_told_over_http_is_a_section_which_the_page_shows_with_its_standard_values() {
    let page: String = SAMPLE
        .lines()
        .skip_while(|line| !line.starts_with("# [[webhook]]"))
        .take_while(|line| line.starts_with("# "))
        .filter(|line| !line.starts_with("# ca "))
        .map(|line| format!("{}\n", &line[2..]))
        .collect();
    let (config, absent) = parse(&page, &Overrides::none()).unwrap();
    let url = "http://127.0.0.1:9000/cards";
    let secret = PathBuf::from("holders.secret");
    let standard = WebhookConfig::standard("holders", url, secret, Tells::Notices);
    assert_eq!(config.webhooks, [standard]);
    assert!(
        !absent.iter().any(|key| key.starts_with("webhook")),
        "{absent:?}"
    );
    let row = |name: &str, url: &str, rest: &str| {
        format!(
            "[[webhook]]\nname = {name:?}\nurl = {url:?}\nsecret_file = \"s\"\n\
             tells = \"activity\"\n{rest}\n"
        )
    };
    let at = "http://h/";
    let accepted = row("a", "https://h:9/x", "ca = \"ca.pem\"");
    assert_eq!(mistakes_or_none(&accepted), Vec::<String>::new());
    for (text, mistake) in [
        (
            row("A", at, ""),
            "webhook[0].name: expected 40 characters of a-z, 0-9 and - at most, got A",
        ),
        (
            row("a", at, "") + &row("a", at, ""),
            "webhook[1].name: expected a unique name, got a",
        ),
        (
            row("a", "ftp://h/", ""),
            "webhook[0].url: expected a URL such as http://127.0.0.1:9000/cards, got ftp://h/",
        ),
        (
            row("a", "https://h/", ""),
            "webhook[0].url: expected ca: a file of who signs the certificate there, got \
             https://h/",
        ),
        (
            row("a", "http://u:p@h/", ""),
            "webhook[0].url: expected a URL without user, query and fragment: the signature says \
             who calls, got one with them",
        ),
        (
            row("a", at, "retry_ms = 1"),
            "webhook[0].retry_ms: expected a whole number from 10 to 60000, got 1",
        ),
        (
            row("a", at, "colour = 1"),
            "webhook[0].colour: expected no such key, got 1",
        ),
    ] {
        assert_eq!(mistakes_or_none(&text), [mistake]);
    }
}

fn mistakes_or_none(text: &str) -> Vec<String> {
    match parse(text, &Overrides::none()) {
        Ok(_) => Vec::new(),
        Err(_) => mistakes(text),
    }
}

#[test]
fn a_listener_and_each_of_its_clients_may_name_keys() {
    let text = |mac: &str| {
        format!(
            "[[listener]]\nname = \"a\"\naddress = \"127.0.0.1:1\"\nframing = \"be2\"\n\
             spec = \"iso87-ascii\"\n{mac}"
        )
    };
    let tls = "[listener.tls]\ncertificate = \"c\"\nkey = \"k\"\nclient_ca = \"a\"\n\
               [[listener.tls.client]]\nname = \"n\"\nlink = \"l\"\n";
    let parsed = |mac: &str| Config::parse(&text(mac), &Overrides::none()).unwrap();
    let config = parsed(&format!(
        "mac = {{ key = \"k\", algorithm = \"x9.19\" }}\n{tls}\
         mac = {{ key = \"o\", algorithm = \"cmac\", require = false }}\n"
    ));
    let listener = &config.listeners[0];
    let mac = listener.keys.mac.as_ref().unwrap();
    assert!(mac.key == "k" && mac.is_required);
    let client = &listener.tls.as_ref().unwrap().clients[0];
    let own = client.keys.as_ref().unwrap().mac.as_ref().unwrap();
    assert!(own.key == "o" && !own.is_required && own.scheme != mac.scheme);
    let config = parsed(tls);
    assert!(
        config.listeners[0].tls.as_ref().unwrap().clients[0]
            .keys
            .is_none()
    );
    assert_eq!(
        mistakes(&text("mac = { algorithm = \"des\", required = true }")),
        [
            "listener[0].mac.key: expected a text, got nothing",
            "listener[0].mac.algorithm: expected one of x9.19, x9.19-bit, cmac, got \"des\"",
            "listener[0].mac.required: expected no such key, got true",
        ]
    );
}
