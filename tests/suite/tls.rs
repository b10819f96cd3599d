//! TLS of the doors over real sockets: who is refused, who is whom, and certificates that change.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use cardswitch::domain::money::Currency;
use cardswitch::switch::config::{ClientConfig, Listener, ListenerTls};
use cardswitch::switch::permits::Permits;
use cardswitch::switch::tls::TlsDoor;
use rustls::version::{TLS12, TLS13};
use tempfile::TempDir;

use crate::acquirer::acquirer;
use crate::certificates::{Authority, Call, Caller, Pair, SWITCH, Special, door_tls};
use crate::support::{Client, Draft, Process, Switch, listener};

/// A switch with one door that speaks TLS to clients of one authority.
struct Guarded {
    folder: TempDir,
    /// Signs the switch's certificates.
    ours: Authority,
    /// Signs those of clients.
    theirs: Authority,
    own: Pair,
    client: Pair,
}

impl Guarded {
    fn new() -> Guarded {
        let folder = tempfile::tempdir().unwrap();
        let ours = Authority::new("ours", folder.path());
        let theirs = Authority::new("theirs", folder.path());
        let own = ours.signs(SWITCH);
        let client = theirs.signs("acquirer-a.example");
        Guarded {
            folder,
            ours,
            theirs,
            own,
            client,
        }
    }

    fn tls(&self) -> ListenerTls {
        door_tls(&self.own, Some(&self.theirs))
    }

    fn call(&self, shows: Option<&Pair>, switch: &Switch) -> Caller {
        Call::new(&self.ours, shows).to(switch.address())
    }

    fn good(&self, switch: &Switch) -> Caller {
        self.call(Some(&self.client), switch)
    }
}

fn door(tls: ListenerTls) -> Listener {
    Listener {
        tls: Some(tls),
        ..listener("be2", "iso87-ascii")
    }
}

fn echo(stan: u32) -> Draft {
    Draft::management(stan, "301")
}

#[test]
fn a_conversation_over_each_version_is_like_one_in_the_clear() {
    let guarded = Guarded::new();
    let doors = vec![door(guarded.tls()), listener("ascii4", "iso87-ascii")];
    let switch = Switch::start(doors);
    for (stan, version) in [(1, &TLS12), (2, &TLS13)] {
        let versions = [version];
        let call = Call {
            versions: &versions,
            ..Call::new(&guarded.ours, Some(&guarded.client))
        };
        let mut caller = call.to(switch.address());
        assert_eq!(caller.code(&Draft::purchase(stan)), "00");
        assert_eq!(caller.code(&Draft::purchase(stan).mti("0101")), "00");
    }
    let mut plain = Client::connect(switch.addresses()[1], "ascii4", "iso87-ascii");
    assert_eq!(plain.code(&Draft::purchase(3)), "00");
    assert_eq!(switch.telemetry.handshakes_failed.load(Relaxed), 0);
    switch.stop().unwrap();
}

#[test]
fn clients_without_a_good_certificate_are_refused_and_counted() {
    let guarded = Guarded::new();
    let mut tls = guarded.tls();
    tls.files.client_crl = Some(guarded.theirs.revokes(66));
    let switch = Switch::start(vec![door(tls)]);
    let special = |file: &str, special: Special| {
        let signed = guarded
            .theirs
            .signs_special(file, "acquirer-a.example", special);
        Some(signed)
    };
    let expired = Special {
        expired: true,
        ..Special::default()
    };
    let revoked = Special {
        serial: 66,
        ..Special::default()
    };
    let strangers = Authority::new("strangers", guarded.folder.path());
    let rows = [
        ("none", None, "CertificateRequired"),
        ("expired", special("expired", expired), "CertificateExpired"),
        ("revoked", special("revoked", revoked), "CertificateRevoked"),
        (
            "other",
            Some(strangers.signs("acquirer-a.example")),
            "UnknownCA",
        ),
        ("of the switch", Some(guarded.own.clone()), "UnknownCA"),
    ];
    for (count, (name, pair, alert)) in (1..).zip(rows) {
        let refusal = guarded.call(pair.as_ref(), &switch).refusal().unwrap();
        assert!(refusal.to_string().contains(alert), "{name}: {refusal}");
        assert_eq!(refused_in_time(&switch, count), count);
    }
    assert_eq!(guarded.good(&switch).code(&Draft::purchase(1)), "00");
    assert_eq!(refused_in_time(&switch, 5), 5);
    assert_eq!(switch.telemetry.frames_received.load(Relaxed), 1);
    switch.stop().unwrap();
}

#[test]
fn a_client_refuses_a_switch_that_is_not_the_one_it_asked_for() {
    let guarded = Guarded::new();
    let expired = Special {
        expired: true,
        ..Special::default()
    };
    let expired = guarded.ours.signs_special("expired", SWITCH, expired);
    let doors = [&guarded.own, &expired].map(|own| door(door_tls(own, Some(&guarded.theirs))));
    let [first, mut second] = doors;
    second.name = "expired".to_owned();
    let switch = Switch::start(vec![first, second]);
    let good = Call::new(&guarded.ours, Some(&guarded.client));
    let wrong_name = Call {
        expects: "other.example",
        ..Call::new(&guarded.ours, Some(&guarded.client))
    };
    let wrong_authority = Call::new(&guarded.theirs, Some(&guarded.client));
    for (call, door, found) in [
        (&wrong_name, 0, "NotValidForName"),
        (&wrong_authority, 0, "UnknownIssuer"),
        (&good, 1, "Expired"),
    ] {
        let refusal = call.to(switch.addresses()[door]).refusal().unwrap();
        let told = format!("{refusal:?}");
        assert!(told.contains(found), "{found}: {told}");
    }
    assert_eq!(good.to(switch.address()).code(&echo(1)), "00");
    switch.stop().unwrap();
}

#[test]
fn who_speaks_tls_to_a_plain_door_or_in_the_clear_to_a_tls_door_is_refused_alone() {
    let guarded = Guarded::new();
    let mut doors = vec![door(guarded.tls()), listener("be2", "iso87-binary")];
    for door in &mut doors {
        door.read_timeout_ms = 3_000;
    }
    let switch = Switch::start(doors);
    let mut bystander = guarded.good(&switch);
    assert_eq!(bystander.code(&echo(1)), "00");
    let mut plain = Client::of(&switch, "iso87-ascii");
    plain.send(&Draft::purchase(1));
    // What TLS answers to what is not TLS is an alert.
    let mut alert = Vec::new();
    let _ = plain.stream.read_to_end(&mut alert);
    assert!(alert.is_empty() || alert[0] == 0x15, "{alert:x?}");
    let call = Call::new(&guarded.ours, Some(&guarded.client));
    let refusal = call.to(switch.addresses()[1]).refusal();
    assert!(refusal.is_some());
    // Half a handshake, and then nothing.
    let mut silent = TcpStream::connect(switch.address()).unwrap();
    silent
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    silent.write_all(&[0x16, 0x03, 0x01]).unwrap();
    assert_eq!(silent.read(&mut [0; 64]).unwrap_or(0), 0);
    assert_eq!(bystander.code(&echo(2)), "00");
    assert_eq!(refused_in_time(&switch, 2), 2);
    switch.stop().unwrap();
}

#[test]
fn a_door_without_client_authority_asks_for_no_certificate() {
    let guarded = Guarded::new();
    let switch = Switch::start(vec![door(door_tls(&guarded.own, None))]);
    assert_eq!(guarded.call(None, &switch).code(&Draft::purchase(1)), "00");
    switch.stop().unwrap();
}

#[test]
fn the_name_in_a_certificate_says_which_link_a_client_is_and_what_it_may_send() {
    let guarded = Guarded::new();
    let client = |name: &str, link: &str, amount: i64| ClientConfig {
        name: name.to_owned(),
        link: link.to_owned(),
        may: Permits {
            amounts_max: Some(vec![(Currency::JPY, amount)]),
            ..Permits::default()
        },
        keys: None,
    };
    let mut tls = guarded.tls();
    tls.clients = vec![
        client("Acquirer-A.example", "acquirer-a", 1_200),
        client("acquirer b", "acquirer-b", 1_199),
    ];
    let switch = Switch::start(vec![door(tls)]);
    let by_subject = Special {
        by_subject: true,
        ..Special::default()
    };
    let b = guarded.theirs.signs_special("b", "acquirer b", by_subject);
    let c = guarded.theirs.signs("acquirer-c.example");
    let mut first = guarded.good(&switch);
    let mut second = guarded.call(Some(&b), &switch);
    assert_eq!(first.code(&Draft::purchase(1)), "00");
    assert_eq!(second.code(&Draft::purchase(1)), "57");
    assert_eq!(
        second.code(&Draft::purchase(2).set(4, "000000001199")),
        "00"
    );
    // Both are called alike without DE 32, but they are two links: neither sees the other's trace.
    let nameless = |amount: &str| Draft::purchase(3).without(32).set(4, amount);
    assert_eq!(first.code(&nameless("000000000010")), "00");
    assert_eq!(second.code(&nameless("000000000020")), "00");
    assert_eq!(first.code(&nameless("000000000020")), "94");
    assert!(guarded.call(Some(&c), &switch).refusal().is_some());
    assert_eq!(switch.telemetry.requests_not_permitted.load(Relaxed), 1);
    assert_eq!(refused_in_time(&switch, 1), 1);
    switch.stop().unwrap();
}

#[test]
fn certificates_change_under_load_and_not_one_answer_is_lost() {
    let guarded = Guarded::new();
    let switch = Switch::start(vec![door(guarded.tls())]);
    let mut before = guarded.good(&switch);
    assert_eq!(before.code(&echo(1)), "00");
    let (stop, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for number in 0..4_u32 {
            let (stop, answered) = (&stop, &answered);
            let mut lasting = guarded.good(&switch);
            let (guarded, switch) = (&guarded, &switch);
            scope.spawn(move || {
                let mut stan = number * 100_000;
                while !stop.load(Relaxed) {
                    stan += 2;
                    assert_eq!(lasting.code(&echo(stan)), "00", "an open connection");
                    let mut fresh = guarded.good(switch);
                    assert_eq!(fresh.code(&echo(stan + 1)), "00", "a new connection");
                    answered.fetch_add(2, Relaxed);
                }
            });
        }
        let mut last = answered.load(Relaxed);
        for round in 0..8 {
            let renewed = guarded
                .ours
                .signs_special("renewed", SWITCH, Special::default());
            fs::copy(&renewed.key, &guarded.own.key).unwrap();
            fs::copy(&renewed.certificate, &guarded.own.certificate).unwrap();
            switch.tls.reload();
            let mut fresh = guarded.good(&switch);
            assert_eq!(fresh.code(&echo(round)), "00");
            let file = fs::read_to_string(&guarded.own.certificate).unwrap();
            assert!(is_in(&file, &fresh.shown()), "the new certificate is shown");
            while answered.load(Relaxed) < last + 8 {
                thread::yield_now();
            }
            last = answered.load(Relaxed);
        }
        stop.store(true, Relaxed);
    });
    assert_eq!(before.code(&echo(2)), "00", "one from before them all");
    assert_eq!(switch.telemetry.handshakes_failed.load(Relaxed), 0);
    switch.stop().unwrap();
}

/// Refused handshakes, once there are so many: the switch counts one after telling its client.
fn refused_in_time(switch: &Switch, at_least: u64) -> u64 {
    let refused = || switch.telemetry.handshakes_failed.load(Relaxed);
    for _ in 0..30_000 {
        if refused() >= at_least {
            break;
        }
        thread::sleep(Duration::from_millis(1));
    }
    refused()
}

/// Whether a PEM file holds a certificate.
fn is_in(pem: &str, der: &[u8]) -> bool {
    use base64::Engine;
    let digits: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    base64::engine::general_purpose::STANDARD
        .decode(digits)
        .unwrap()
        == der
}

#[test]
fn files_with_a_mistake_change_nothing_and_are_tried_again_when_they_change() {
    let guarded = Guarded::new();
    let files = guarded.tls().files;
    let door = TlsDoor::open("door", &files).unwrap();
    assert!(!door.reload_if_changed().unwrap());
    let other = guarded
        .ours
        .signs_special("other", SWITCH, Special::default());
    let whole = fs::read(&files.certificate).unwrap();
    let cases: [(&Path, &[u8], &str); 4] = [
        (
            &files.key,
            &fs::read(&other.key).unwrap(),
            "it is not the key of",
        ),
        (&files.key, b"nothing", "it holds no private key in PEM"),
        (&files.certificate, b"", "it holds no certificate in PEM"),
        (
            files.client_ca.as_ref().unwrap(),
            &whole[..40],
            "it holds no certificate in PEM",
        ),
    ];
    for (path, bytes, expected) in cases {
        let right = fs::read(path).unwrap();
        fs::write(path, bytes).unwrap();
        let error = door.reload_if_changed().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("nothing"), "content of a key file: {error}");
        // What was tried is not tried again, and the old certificate is still shown.
        assert!(!door.reload_if_changed().unwrap());
        fs::write(path, right).unwrap();
        assert!(door.reload_if_changed().unwrap());
    }
}

#[test]
fn the_acquirer_plays_and_loads_over_tls() {
    let guarded = Guarded::new();
    let switch = Switch::start(vec![door(guarded.tls())]);
    let address = switch.address().to_string();
    let (ca, own) = (guarded.ours.file(), &guarded.client);
    let files = [&ca, &own.certificate, &own.key].map(|path| path.to_str().unwrap());
    let tls = [
        "--tls-ca",
        files[0],
        "--tls-certificate",
        files[1],
        "--tls-key",
        files[2],
        "--tls-name",
    ];
    let scenario = guarded.folder.path().join("echo.toml");
    let text = "title = \"echo\"\n[[step]]\nsend = \"0800\"\nnetwork_code = \"301\"\n\
                [step.expect]\ncode = \"00\"\n";
    fs::write(&scenario, text).unwrap();
    let run = ["run", scenario.to_str().unwrap(), "--connect", &address];
    let (went_well, said) = acquirer(&[&run, &tls[..], &[SWITCH]].concat());
    assert!(went_well.unwrap(), "{said}");
    let load = [
        "load",
        "--connect",
        &address,
        "--spec",
        "iso87-ascii",
        "--connections",
        "2",
        "--window",
        "16",
        "--duration",
        "200ms",
        "--warmup",
        "0s",
        "--sign-on",
        "--json",
    ];
    let (went_well, said) = acquirer(&[&load, &tls[..], &[SWITCH]].concat());
    assert!(went_well.unwrap(), "{said}");
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert!(report["replies"].as_u64().unwrap() > 32, "{said}");
    let (refused, _) = acquirer(&[&run, &tls[..], &["other.example"]].concat());
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.contains("not valid for name \"other.example\""),
        "{refused}"
    );
    switch.stop().unwrap();
}

#[test]
fn the_operators_api_speaks_tls_and_takes_new_certificates_at_a_hang_up() {
    let guarded = Guarded::new();
    let own = guarded.ours.signs("127.0.0.1");
    let config = guarded.folder.path().join("switch.toml");
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let listeners = crate::support::SPECS.map(|spec| {
        format!(
            "[[listener]]\nname = \"{spec}\"\naddress = \"127.0.0.1:0\"\nframing = \"be2\"\n\
             spec = \"{spec}\"\n"
        )
    });
    let text = format!(
        "admin_allow = [\"127.0.0.0/8\"]\n{}[admin_tls]\ncertificate = \"{}\"\nkey = \"{}\"\n\
         client_ca = \"{}\"\n",
        listeners.concat(),
        path(&own.certificate),
        path(&own.key),
        path(&guarded.theirs.file()),
    );
    fs::write(&config, text).unwrap();
    let switch = Process::serve(&["--config", config.to_str().unwrap()]);
    let address: SocketAddr = switch
        .admin
        .strip_prefix("https://")
        .unwrap()
        .parse()
        .unwrap();
    // A certificate for an address, and the commands ask by it.
    let asked = |ca: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cardswitch"));
        let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/demo.toml");
        let store = switch.directory.path().join("store");
        command
            .args([
                "import",
                demo,
                "--config",
                config.to_str().unwrap(),
                "--data",
            ])
            .args([store.to_str().unwrap(), "--admin", &format!("{address}")])
            .env("CARDSWITCH_ADMIN_CA", ca)
            .env("CARDSWITCH_ADMIN_CERTIFICATE", &guarded.client.certificate)
            .env("CARDSWITCH_ADMIN_KEY", &guarded.client.key);
        let done = command.output().unwrap();
        let said = [done.stdout, done.stderr].concat();
        (done.status.success(), String::from_utf8(said).unwrap())
    };
    let (went_well, said) = asked(&guarded.ours.file());
    assert!(went_well, "{said}");
    let (went_well, said) = asked(&guarded.theirs.file());
    assert!(!went_well && said.contains("UnknownIssuer"), "{said}");
    let request = b"GET /healthz HTTP/1.1\r\nHost: switch.example\r\nConnection: close\r\n\r\n";
    let ask = |shows: Option<&Pair>| {
        let call = Call {
            expects: "127.0.0.1",
            ..Call::new(&guarded.ours, shows)
        };
        let mut caller = call.to(address);
        let said = caller.exchange(request)?;
        Ok::<_, std::io::Error>((said, caller.shown()))
    };
    let (said, first) = ask(Some(&guarded.client)).unwrap();
    assert!(said.starts_with("HTTP/1.1 200 OK"), "{said}");
    assert!(ask(None).is_err());
    let renewed = guarded
        .ours
        .signs_special("renewed", "127.0.0.1", Special::default());
    fs::copy(&renewed.key, &own.key).unwrap();
    fs::copy(&renewed.certificate, &own.certificate).unwrap();
    let id = switch.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-HUP", &id])
            .status()
            .unwrap()
            .success()
    );
    while ask(Some(&guarded.client)).unwrap().1 == first {
        thread::yield_now();
    }
    switch.stop();
}
