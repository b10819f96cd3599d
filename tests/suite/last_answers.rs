//! The last answers of a connection: what was decided is delivered, also when the switch stops, the
//! peer is behind with reading, or what follows is no message.

use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use cardswitch::switch::config::{Config, Listener};
use cardswitch::switch::rulebook::LoadedRules;
use cardswitch::switch::server::Server;
use cardswitch::switch::store;
use cardswitch::switch::telemetry::Telemetry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpSocket, TcpStream};

/// Far more than the buffers of both sides hold.
const REQUESTS: u32 = 20_000;
/// Smallest the system allows: answers wait on the switch's side.
const RECEIVE_BUFFER_BYTES: u32 = 2_304;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_reads_late_still_gets_every_answer_of_a_stopping_switch() {
    let directory = tempfile::tempdir().unwrap();
    let server = start(directory.path()).await;
    let telemetry = server.telemetry.clone();
    let stream = late_reader(server.addresses[0].1).await;
    let (mut reading, mut writing) = stream.into_split();
    let sender = tokio::spawn(async move {
        // The switch may stop reading before the last request.
        let _ = writing
            .write_all(&request().repeat(REQUESTS as usize))
            .await;
        writing
    });
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let switch = tokio::spawn(server.run(async { stopped.await.unwrap_or_default() }));
    until_both_sides_are_full(&telemetry).await;
    stop.send(()).unwrap();

    // The connection ends, and by a close, not by a reset.
    let answers = tokio::time::timeout(Duration::from_secs(30), read_slowly(&mut reading))
        .await
        .unwrap()
        .unwrap();
    drop(sender.await.unwrap());
    switch.await.unwrap().unwrap();
    let written = telemetry.answers_written.load(Relaxed);
    assert_eq!(frames(&answers), written);
    assert!(written > 0);
}

async fn start(data_dir: &Path) -> Server {
    let config = Config {
        data_dir: data_dir.to_path_buf(),
        listeners: vec![Listener::standard(
            ([127, 0, 0, 1], 0).into(),
            "be2",
            "iso87-ascii",
        )],
        ..Config::standard()
    };
    let rules = LoadedRules::load(None, None).unwrap();
    let store = store::open(&config.data_dir, &config.journal, &rules).unwrap();
    Server::start(&config, store, rules).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_answered_although_what_follows_it_is_no_message() {
    let directory = tempfile::tempdir().unwrap();
    let server = start(directory.path()).await;
    let mut stream = TcpStream::connect(server.addresses[0].1).await.unwrap();
    // A length far above what the listener takes.
    let bytes = [&request()[..], &[0xff; 8]].concat();
    stream.write_all(&bytes).await.unwrap();
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers).await.unwrap();
    assert_eq!(frames(&answers), 1);
    server.run(async {}).await.unwrap();
}

/// Nothing is read here, so after a while the switch can write no more and reads no more.
async fn until_both_sides_are_full(telemetry: &Telemetry) {
    let mut before = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let received = telemetry.frames_received.load(Relaxed);
        if received > 0 && received == before {
            return;
        }
        before = received;
    }
}

/// In small pieces, so that the switch is done long before its peer is.
async fn read_slowly(stream: &mut OwnedReadHalf) -> std::io::Result<Vec<u8>> {
    let (mut answers, mut piece) = (Vec::new(), [0; 8_192]);
    loop {
        match stream.read(&mut piece).await? {
            0 => return Ok(answers),
            count => answers.extend_from_slice(&piece[..count]),
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn late_reader(address: std::net::SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES).unwrap();
    socket.connect(address).await.unwrap()
}

/// A purchase on a card that nobody has: decided once, repeated ever after.
fn request() -> Vec<u8> {
    let hex = include_str!("../../fixtures/messages/iso87-ascii/003-purchase-chip.hex");
    let digits: Vec<u8> = hex
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::bytes)
        .collect();
    let body: Vec<u8> = digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
    let mut frame = u16::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    frame.extend(body);
    frame
}

/// Counts whole frames; a piece of one at the end is a mistake.
fn frames(mut bytes: &[u8]) -> u64 {
    let mut count = 0;
    while let [high, low, rest @ ..] = bytes {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        assert!(length <= rest.len(), "the last answer was cut");
        bytes = &rest[length..];
        count += 1;
    }
    assert!(bytes.is_empty(), "the last answer was cut");
    count
}
