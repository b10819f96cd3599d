//! Peers as they come: every framing, pipelines, pieces, garbage, silence, too many of them, and a
//! switch that stops.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use cardswitch::switch::config::Listener;
use cardswitch::transport::PRESETS;

use crate::support::{Client, Draft, SPECS, Switch, listener, text};

/// A switch with one ASCII door, changed as a test wants it.
fn door(change: impl Fn(&mut Listener)) -> Switch {
    let mut door = listener("be2", "iso87-ascii");
    change(&mut door);
    Switch::start(vec![door])
}

fn client_of(switch: &Switch) -> Client {
    Client::of(switch, "iso87-ascii")
}

/// Whether a fresh connection is served.
fn assert_serves(switch: &Switch) {
    assert_eq!(client_of(switch).code(&Draft::management(1, "301")), "00");
}

fn yen(stan: u32) -> Draft {
    Draft::purchase(stan).set(4, "000000000001")
}

// Frames -----------------------------------------------------------------------------------------

#[test]
fn every_framing_carries_both_specifications() {
    let framings: Vec<String> = PRESETS
        .iter()
        .flat_map(|name| [(*name).to_owned(), format!("{name}+tpdu")])
        .collect();
    for spec in SPECS {
        let doors = framings.iter().map(|framing| listener(framing, spec));
        let switch = Switch::start(doors.collect());
        for ((stan, framing), address) in (1..).zip(&framings).zip(switch.addresses()) {
            // Packed elements hold the byte that ends a frame of this framing.
            if framing.starts_with("base24") && !framing.contains("tcp") && spec != "iso87-ascii" {
                continue;
            }
            let mut client = Client::connect(address, framing, spec);
            assert_eq!(client.code(&yen(stan)), "00", "{framing} {spec}");
        }
        switch.stop().unwrap();
    }
}

#[test]
fn an_answer_goes_back_with_the_tpdu_addresses_swapped() {
    let switch = Switch::with("be2+tpdu", "iso87-ascii");
    let mut client = Client::connect(switch.address(), "be2+tpdu", "iso87-ascii");
    for draft in [Draft::management(1, "301"), yen(2)] {
        client.send(&draft);
        let frame = client.next_frame().unwrap();
        assert_eq!(&frame.header[..], [0x60, 0x56, 0x78, 0x12, 0x34]);
    }
    switch.stop().unwrap();
}

#[test]
fn a_frame_may_come_in_any_pieces() {
    let switch = door(|_| {});
    let mut client = client_of(&switch);
    let first = client.frame_of(&yen(1));
    let second = client.frame_of(&yen(2));
    let both = [&first[..], &second[..]].concat();
    // One byte per segment; both in one segment; cut anywhere, the length field included.
    let mut cuts: Vec<Vec<usize>> = vec![(1..both.len()).collect(), vec![]];
    cuts.extend([1, 2, 3, first.len() - 1, first.len(), first.len() + 1].map(|cut| vec![cut]));
    for cut in cuts {
        let mut from = 0;
        for to in cut.iter().copied().chain([both.len()]) {
            client.write(&both[from..to]);
            from = to;
        }
        for stan in ["000001", "000002"] {
            let answer = client.receive();
            assert_eq!(
                (text(&answer, 11), text(&answer, 39)),
                (stan.to_owned(), "00".to_owned())
            );
        }
    }
    switch.stop().unwrap();
}

#[test]
fn bytes_that_are_no_frame_end_the_connection_and_no_other() {
    let rows: [(&str, &[u8]); 6] = [
        ("be2", &[0xff, 0xff]),
        ("be4", b"GET / HTTP/1.1\r\n\r\n"),
        ("be4", &[0x7f, 0xff, 0xff, 0xff]),
        ("ascii4", b"12a4"),
        ("ascii4", b"-001"),
        ("bcd2", &[0x0a, 0x00]),
    ];
    for (framing, garbage) in rows {
        let mut door = listener(framing, "iso87-ascii");
        door.frame_bytes_max = 4_096;
        let switch = Switch::start(vec![door]);
        let mut bystander = Client::connect(switch.address(), framing, "iso87-ascii");
        assert_eq!(bystander.code(&yen(1)), "00");
        let mut client = Client::connect(switch.address(), framing, "iso87-ascii");
        client.write(garbage);
        assert!(client.is_closed(), "{framing} {garbage:x?}");
        assert_eq!(switch.telemetry.frames_broken.load(Relaxed), 1);
        assert_eq!(bystander.code(&yen(2)), "00");
        switch.stop().unwrap();
    }
}

#[test]
fn a_keep_alive_is_echoed_to_a_peer_that_waits_for_it() {
    for (framing, zero) in [
        ("cs", &[0, 0, 0, 0][..]),
        ("cmf", &[0, 0, 0]),
        ("base24tcp", &[0, 0]),
    ] {
        let switch = Switch::with(framing, "iso87-ascii");
        let mut peer = TcpStream::connect(switch.address()).unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        peer.write_all(zero).unwrap();
        let mut echo = vec![0xFF; zero.len()];
        peer.read_exact(&mut echo).unwrap();
        assert_eq!(echo, zero, "{framing}");
        drop(peer);
        let mut client = Client::connect(switch.address(), framing, "iso87-ascii");
        assert_eq!(client.code(&yen(1)), "00", "{framing}");
        switch.stop().unwrap();
    }
}

#[test]
fn keep_alives_are_skipped() {
    let switch = door(|_| {});
    let mut client = client_of(&switch);
    client.write(&[0; 200]);
    assert_eq!(client.code(&yen(1)), "00");
    switch.stop().unwrap();
}

#[test]
fn what_came_before_garbage_is_answered() {
    let switch = door(|_| {});
    let mut client = client_of(&switch);
    let requests: Vec<u8> = (1..=5)
        .flat_map(|stan| client.frame_of(&yen(stan)))
        .collect();
    client.write(&[&requests[..], &[0xff, 0xff]].concat());
    for _ in 1..=5 {
        assert_eq!(text(&client.receive(), 39), "00");
    }
    assert!(client.is_closed());
    switch.stop().unwrap();
}

// Windows ----------------------------------------------------------------------------------------

#[test]
fn a_pipeline_longer_than_the_window_is_answered_in_full() {
    for window in [1, 8, 256] {
        let switch = door(|door| door.in_flight_max = window);
        let mut client = client_of(&switch);
        let all: Vec<u8> = (1..=150)
            .flat_map(|stan| client.frame_of(&yen(stan)))
            .collect();
        client.write(&all);
        let mut waiting: BTreeSet<String> = (1..=150).map(|stan| format!("{stan:06}")).collect();
        while !waiting.is_empty() {
            let answer = client.receive();
            assert!(waiting.remove(&text(&answer, 11)), "answered twice");
            assert_eq!(text(&answer, 37), format!("000000{}", text(&answer, 11)));
            assert_eq!(text(&answer, 39), "00");
        }
        switch.stop().unwrap();
    }
}

#[test]
fn many_clients_at_once_spend_one_balance_exactly() {
    let switch = door(|_| {});
    thread::scope(|scope| {
        for number in 0..8 {
            let switch = &switch;
            scope.spawn(move || {
                let mut client = client_of(switch);
                for stan in 1..=20 {
                    assert_eq!(client.code(&yen(number * 100 + stan)), "00");
                }
            });
        }
    });
    let enquiry = yen(999).set(3, "310000");
    let answer = client_of(&switch).ask(&enquiry);
    assert_eq!(&text(&answer, 54)[..20], "0002392C000000069840");
    switch.stop().unwrap();
}

#[test]
fn a_peer_that_has_said_all_still_gets_its_answers() {
    let switch = door(|_| {});
    let mut client = client_of(&switch);
    for stan in 1..=20 {
        client.send(&yen(stan));
    }
    client.finish();
    for _ in 1..=20 {
        assert_eq!(text(&client.receive(), 39), "00");
    }
    assert!(client.is_closed());
    switch.stop().unwrap();
}

// Silence ----------------------------------------------------------------------------------------

#[test]
fn a_frame_that_does_not_end_closes_its_connection() {
    let switch = door(|door| door.read_timeout_ms = 100);
    for size in [1, 2, 50] {
        let mut client = client_of(&switch);
        let frame = client.frame_of(&yen(1));
        client.write(&frame[..size]);
        assert!(client.is_closed());
    }
    assert_eq!(switch.telemetry.connections_timed_out.load(Relaxed), 3);
    assert_serves(&switch);
    switch.stop().unwrap();
}

#[test]
fn each_frame_has_its_own_time_to_arrive() {
    let switch = door(|door| door.read_timeout_ms = 4_000);
    let mut client = client_of(&switch);
    let frame = client.frame_of(&Draft::management(1, "301"));
    let (half, rest) = frame.split_at(frame.len() / 2);
    client.write(half);
    for _ in 0..4 {
        assert!(client.hears_nothing_for(Duration::from_millis(1_100)));
        client.write(&[rest, half].concat());
        assert_eq!(text(&client.receive(), 39), "00");
    }
    switch.stop().unwrap();
}

#[test]
fn a_silent_connection_is_closed_when_the_door_says_so() {
    let switch = door(|door| door.idle_timeout_ms = 100);
    let mut never_spoke = client_of(&switch);
    let mut spoke = client_of(&switch);
    assert_eq!(spoke.code(&yen(1)), "00");
    assert!(never_spoke.is_closed());
    assert!(spoke.is_closed());
    assert_eq!(switch.telemetry.connections_timed_out.load(Relaxed), 2);
    switch.stop().unwrap();
}

#[test]
fn a_peer_that_never_reads_is_closed_and_delays_nobody() {
    let switch = door(|door| door.write_timeout_ms = 100);
    let mut deaf = client_of(&switch);
    let echo = deaf.frame_of(&Draft::management(1, "301"));
    let many = echo.repeat(1_000);
    // The switch stops reading when it cannot write, so in the end this cannot write either.
    while deaf.stream.write_all(&many).is_ok() {
        assert_serves(&switch);
    }
    assert_eq!(switch.telemetry.connections_timed_out.load(Relaxed), 1);
    assert_serves(&switch);
    switch.stop().unwrap();
}

// Too many, and the end ---------------------------------------------------------------------------

#[test]
fn a_door_takes_its_maximum_of_connections_and_more_when_one_leaves() {
    let switch = door(|door| door.connections_max = 2);
    let mut first = client_of(&switch);
    let mut second = client_of(&switch);
    assert_eq!(first.code(&yen(1)), "00");
    assert_eq!(second.code(&yen(2)), "00");
    assert!(client_of(&switch).is_closed(), "a third is refused");
    assert_eq!(first.code(&yen(3)), "00");
    drop(first);
    // The switch may see the third come before it sees the first leave.
    while switch.telemetry.connections_open.load(Relaxed) > 1 {
        thread::yield_now();
    }
    let mut third = loop {
        let mut third = client_of(&switch);
        third.send(&yen(4));
        if third.next_frame().is_some() {
            break third;
        }
    };
    assert_eq!(third.code(&yen(5)), "00");
    assert_eq!(second.code(&yen(6)), "00");
    switch.stop().unwrap();
}

#[test]
fn a_stop_answers_what_it_decided_and_closes_the_doors() {
    for requests in [1, 40, 400] {
        let mut switch = door(|_| {});
        let address = switch.address();
        let mut idle = client_of(&switch);
        assert_eq!(idle.code(&Draft::management(1, "301")), "00");
        let mut busy = client_of(&switch);
        let draft = |stan| yen(stan).set(2, "4761739001010200").set(3, "310000");
        let all: Vec<u8> = (1..=requests)
            .flat_map(|stan| busy.frame_of(&draft(stan)))
            .collect();
        busy.write(&all);
        // At least one is decided; the stop comes while others are under way.
        let mut answered = 1;
        assert_eq!(text(&busy.receive(), 39), "00");
        switch.tell_to_stop();
        while let Some(frame) = busy.next_frame() {
            assert!(!frame.body.is_empty());
            answered += 1;
        }
        assert!(idle.is_closed());
        let records = switch.telemetry.clone();
        switch.wait().unwrap();
        assert_eq!(records.answers_undelivered.load(Relaxed), 0);
        assert!(answered <= requests);
        let decided = records.records.load(Relaxed) - RECORDS_BEFORE;
        assert_eq!(u64::from(answered), decided, "every decision was answered");
        assert!(TcpStream::connect(address).is_err(), "nobody listens");
    }
}

/// The name of the link, and the cards of `fixtures/demo.toml`, whose accounts are a record each.
const RECORDS_BEFORE: u64 = 1 + 14;
