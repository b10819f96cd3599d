//! A switch to talk to, in this process or as the real binary, and a client that talks to it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::codec::Decoder;

use cardswitch::iso8583::{self, Message, MessageSpec, MessageWriter, Mti};
use cardswitch::switch::card_file;
use cardswitch::switch::config::{Config, Listener};
use cardswitch::switch::pin::PinDesk;
use cardswitch::switch::rulebook::LoadedRules;
use cardswitch::switch::sequencer::SequencerFault;
use cardswitch::switch::server::Server;
use cardswitch::switch::store;
use cardswitch::switch::telemetry::Telemetry;
use cardswitch::switch::tls::TlsDoors;
use cardswitch::transport::{Frame, FrameCodec, Framing};

/// Both message specifications.
pub(crate) const SPECS: [&str; 2] = ["iso87-ascii", "iso87-binary"];
/// The everyday card of the demo set: 50,000 yen withdrawable, 20,000 not.
pub(crate) const EVERYDAY: &str = "4761739001010119";
/// Long enough for the slowest machine; nothing waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(30);

/// A switch in this process, with the demo cards in a store of its own.
pub(crate) struct Switch {
    pub(crate) telemetry: Arc<Telemetry>,
    /// Its certificates.
    pub(crate) tls: TlsDoors,
    addresses: Vec<SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    running: Option<JoinHandle<Result<(), SequencerFault>>>,
    runtime: Runtime,
    _store: TempDir,
}

/// A listener on a port that the system chooses.
pub(crate) fn listener(framing: &str, spec: &str) -> Listener {
    let mut listener = Listener::standard("127.0.0.1:0".parse().unwrap(), framing, spec);
    listener.name = format!("{spec}-{framing}");
    listener
}

impl Switch {
    /// Opens these doors.
    pub(crate) fn start(listeners: Vec<Listener>) -> Switch {
        Switch::configured(Config {
            listeners,
            ..Config::standard()
        })
    }

    /// A switch with this configuration, whatever its folder.
    pub(crate) fn configured(config: Config) -> Switch {
        Switch::keyed(config, |pins| pins)
    }

    /// The same with what judges PINs, cards and messages.
    pub(crate) fn keyed(config: Config, with: impl FnOnce(PinDesk) -> PinDesk) -> Switch {
        let directory = tempfile::tempdir().unwrap();
        let config = Config {
            data_dir: directory.path().to_owned(),
            ..config
        };
        let rules = LoadedRules::load(None, None).unwrap();
        let mut store = store::open(&config.data_dir, &config.journal, &rules).unwrap();
        store.pins = with(store.pins);
        let demo = include_str!("../../fixtures/demo.toml");
        let rows = card_file::parse(demo, &rules.rulebook, &store.token_key).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let server = runtime
            .block_on(Server::start(&config, store, rules))
            .unwrap();
        let accounts = rows.into_iter().map(|row| row.account).collect();
        runtime.block_on(server.jobs.open(accounts)).unwrap();
        let telemetry = Arc::clone(&server.telemetry);
        let tls = server.tls.clone();
        let addresses = server.addresses.iter().map(|row| row.1).collect();
        let (stop, stopped) = oneshot::channel();
        let running = runtime.spawn(server.run(async {
            let _ = stopped.await;
        }));
        Switch {
            telemetry,
            tls,
            addresses,
            stop: Some(stop),
            running: Some(running),
            runtime,
            _store: directory,
        }
    }

    /// Why a configuration opens no doors.
    pub(crate) fn refused(config: Config, with: impl FnOnce(PinDesk) -> PinDesk) -> String {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = directory.path().to_owned();
        let config = Config { data_dir, ..config };
        let rules = LoadedRules::load(None, None).unwrap();
        let mut store = store::open(&config.data_dir, &config.journal, &rules).unwrap();
        store.pins = with(store.pins);
        let runtime = Runtime::new().unwrap();
        let server = runtime.block_on(Server::start(&config, store, rules));
        server.err().unwrap().to_string()
    }

    /// One door with this framing and specification.
    pub(crate) fn with(framing: &str, spec: &str) -> Switch {
        Switch::start(vec![listener(framing, spec)])
    }

    /// The address of the first door.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// The address of each door.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Tells it to stop, and does not wait.
    pub(crate) fn tell_to_stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Stops it gracefully.
    pub(crate) fn stop(mut self) -> Result<(), SequencerFault> {
        self.tell_to_stop();
        self.wait()
    }

    /// Waits until it has stopped.
    pub(crate) fn wait(mut self) -> Result<(), SequencerFault> {
        let running = self.running.take().unwrap();
        self.runtime.block_on(running).unwrap()
    }
}

/// The real binary, started on a directory of its own.
pub(crate) struct Process {
    child: Child,
    pub(crate) directory: TempDir,
    /// Address of each door, in the order of `--listen`.
    pub(crate) addresses: Vec<String>,
    pub(crate) admin: String,
}

impl Process {
    /// `cardswitch serve ARGS` with an ASCII and a binary door on free ports.
    pub(crate) fn serve(args: &[&str]) -> Process {
        Process::serve_in(tempfile::tempdir().unwrap(), args)
    }

    /// The same on what an earlier one left behind.
    pub(crate) fn serve_in(directory: TempDir, args: &[&str]) -> Process {
        let out = directory.path().join("stdout");
        let mut command = Command::new(env!("CARGO_BIN_EXE_cardswitch"));
        command
            .arg("serve")
            .arg("--data")
            .arg(directory.path().join("store"));
        // A configuration file brings doors of its own.
        for spec in SPECS.iter().filter(|_| !args.contains(&"--config")) {
            command.args(["--listen", &format!("127.0.0.1:0,be2,{spec}")]);
        }
        let child = command
            .args(["--admin", "127.0.0.1:0"])
            .args(args)
            .stdin(Stdio::null())
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(directory.path().join("stderr")).unwrap())
            .spawn()
            .unwrap();
        let mut process = Process {
            child,
            directory,
            addresses: Vec::new(),
            admin: String::new(),
        };
        process.await_ready(&out);
        process
    }

    /// Reads what it prints until it says what to do next.
    fn await_ready(&mut self, out: &PathBuf) {
        let text = loop {
            let text = fs::read_to_string(out).unwrap();
            if text.lines().any(|line| line.starts_with("next ")) {
                break text;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "the switch ended: {ended:?} {text}");
            thread::yield_now();
        };
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["listening", address, ..] => self.addresses.push((*address).to_owned()),
                ["admin", url] => self.admin = url.trim_end_matches("/healthz").to_owned(),
                _ => {}
            }
        }
        assert_eq!(self.addresses.len(), SPECS.len(), "{text}");
    }

    /// Ends it without a chance to finish anything (SIGKILL); what it wrote stays in the directory.
    pub(crate) fn kill(mut self) -> TempDir {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let empty = tempfile::tempdir().unwrap();
        std::mem::replace(&mut self.directory, empty)
    }

    /// The token that the command line on this machine uses.
    pub(crate) fn token(&self) -> String {
        let path = self.directory.path().join("store/access/admin.token");
        fs::read_to_string(path).unwrap().trim().to_owned()
    }

    /// Somebody who asks its operators' API with that token.
    pub(crate) fn agent(&self) -> ureq::Agent {
        agent_with(&self.token())
    }

    /// Its number for the system.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop (SIGTERM) and waits; what it left behind stays in the directory.
    pub(crate) fn stop(mut self) -> TempDir {
        let id = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(asked.success());
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        let empty = tempfile::tempdir().unwrap();
        std::mem::replace(&mut self.directory, empty)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // After a failed assertion; otherwise it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Somebody who asks with a token; an answer that is a problem is an answer.
pub(crate) fn agent_with(token: &str) -> ureq::Agent {
    let bearer: ureq::http::HeaderValue = format!("Bearer {token}").parse().unwrap();
    let show = move |mut request: ureq::http::Request<ureq::SendBody<'_>>,
                     next: ureq::middleware::MiddlewareNext<'_>| {
        request
            .headers_mut()
            .insert("authorization", bearer.clone());
        next.handle(request)
    };
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .middleware(show)
        .build()
        .into()
}

/// A configuration with a door for each dialect.
pub(crate) fn configured(directory: &Path, dialects: [&str; 2]) -> String {
    let doors = dialects.iter().zip(SPECS).map(|(dialect, spec)| {
        format!(
            "[[listener]]\nname = \"{spec}\"\naddress = \"127.0.0.1:0\"\nframing = \"be2\"\n\
             spec = \"{spec}\"\ndialect = \"{dialect}\"\n"
        )
    });
    let path = directory.join("switch.toml");
    fs::write(&path, doors.collect::<String>()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A message to be, by data element; binary elements as hexadecimal digits.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) mti: &'static str,
    pub(crate) elements: BTreeMap<u8, String>,
}

impl Draft {
    /// An empty message with DE 7 and DE 11.
    pub(crate) fn new(mti: &'static str, stan: u32) -> Draft {
        let elements = BTreeMap::from([(7, "0309010203".to_owned()), (11, format!("{stan:06}"))]);
        Draft { mti, elements }
    }

    /// Network management.
    pub(crate) fn management(stan: u32, code: &str) -> Draft {
        Draft::new("0800", stan).set(70, code)
    }

    /// The everyday card buys for 1,200 yen at a grocer in Tokyo.
    pub(crate) fn purchase(stan: u32) -> Draft {
        Draft::new("0100", stan)
            .set(2, EVERYDAY)
            .set(3, "000000")
            .set(4, "000000001200")
            .set(12, "100203")
            .set(13, "0309")
            .set(14, "3112")
            .set(18, "5411")
            .set(19, "392")
            .set(22, "052")
            .set(25, "00")
            .set(32, "400001")
            .set(33, "500002")
            .set(37, &format!("{stan:012}"))
            .set(41, "TERM0001")
            .set(42, "MARUYAMA-STORE1")
            .set(43, "MARUYAMA STORE           TOKYO        JP")
            .set(49, "392")
    }

    /// The full reversal of a message.
    pub(crate) fn reversal_of(original: &Draft, stan: u32) -> Draft {
        let acquirer = original.get(32);
        let mut reversal = original.clone();
        reversal.mti = "0420";
        let data = format!(
            "{}{}{}{acquirer:0>11}{:0>11}",
            original.mti,
            original.get(11),
            original.get(7),
            original.get(33),
        );
        reversal.set(90, &data).set(11, &format!("{stan:06}"))
    }

    pub(crate) fn mti(mut self, mti: &'static str) -> Draft {
        self.mti = mti;
        self
    }

    pub(crate) fn set(mut self, element: u8, text: &str) -> Draft {
        self.elements.insert(element, text.to_owned());
        self
    }

    pub(crate) fn without(mut self, element: u8) -> Draft {
        self.elements.remove(&element);
        self
    }

    pub(crate) fn get(&self, element: u8) -> &str {
        self.elements.get(&element).map_or("", String::as_str)
    }

    /// The message on the wire, without framing.
    pub(crate) fn bytes(&self, spec: &str) -> Bytes {
        let spec = MessageSpec::builtin(spec).unwrap();
        let mut out = BytesMut::new();
        let mti: Mti = self.mti.parse().unwrap();
        let mut writer = MessageWriter::begin(spec, mti, &mut out);
        for (element, text) in &self.elements {
            let is_binary = spec.element(*element).unwrap().format().starts_with('b');
            if is_binary {
                writer.binary(*element, &from_hex(text)).unwrap();
            } else {
                writer.text(*element, text).unwrap();
            }
        }
        writer.finish().unwrap();
        out.freeze()
    }
}

fn from_hex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// A client with one connection; it waits for what it expects, at most [`PATIENCE`].
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    codec: FrameCodec,
    header: Vec<u8>,
    spec: &'static str,
    received: BytesMut,
}

impl Client {
    pub(crate) fn connect(
        address: impl std::net::ToSocketAddrs,
        framing: &str,
        spec: &'static str,
    ) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let header = match framing.ends_with("+tpdu") {
            true => vec![0x60, 0x12, 0x34, 0x56, 0x78],
            false => Framing::preset(framing).unwrap().header().of_request(),
        };
        Client {
            stream,
            codec: FrameCodec::new(&Framing::preset(framing).unwrap(), 65_535),
            header,
            spec,
            received: BytesMut::new(),
        }
    }

    /// To the first door of a switch in this process, with framing `be2`.
    pub(crate) fn of(switch: &Switch, spec: &'static str) -> Client {
        Client::connect(switch.address(), "be2", spec)
    }

    /// Its message specification.
    pub(crate) fn spec(&self) -> &'static str {
        self.spec
    }

    /// A body with its frame around it.
    pub(crate) fn framed(&self, body: &[u8]) -> Vec<u8> {
        let mut out = BytesMut::new();
        let mark = self.codec.begin(&mut out, &self.header);
        out.extend_from_slice(body);
        self.codec.finish(&mut out, mark).unwrap();
        out.to_vec()
    }

    /// The whole frame of a message.
    pub(crate) fn frame_of(&self, draft: &Draft) -> Vec<u8> {
        self.framed(&draft.bytes(self.spec))
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(crate) fn send(&mut self, draft: &Draft) {
        let frame = self.frame_of(draft);
        self.write(&frame);
    }

    /// The next frame, or `None` when the switch has closed the connection.
    pub(crate) fn next_frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.codec.decode(&mut self.received).unwrap() {
                return Some(frame);
            }
            let mut piece = [0; 65_536];
            match self.stream.read(&mut piece) {
                Ok(0) => return None,
                Ok(size) => self.received.extend_from_slice(&piece[..size]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("nothing came: {error}"),
            }
        }
    }

    pub(crate) fn receive(&mut self) -> Message {
        let frame = self.next_frame().unwrap();
        let spec = MessageSpec::builtin(self.spec).unwrap();
        iso8583::decode(spec, frame.body).unwrap()
    }

    /// Sends a message and returns its answer.
    pub(crate) fn ask(&mut self, draft: &Draft) -> Message {
        self.send(draft);
        let answer = self.receive();
        assert_eq!(text(&answer, 11), draft.get(11), "the answer to another");
        answer
    }

    /// The response code to a message.
    pub(crate) fn code(&mut self, draft: &Draft) -> String {
        text(&self.ask(draft), 39)
    }

    /// Whether the switch closes the connection without another word.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.next_frame().is_none()
    }

    /// Listens for this long; whether nothing came and the connection is still open.
    pub(crate) fn hears_nothing_for(&mut self, time: Duration) -> bool {
        self.stream.set_read_timeout(Some(time)).unwrap();
        let heard = self.stream.read(&mut [0]);
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        heard.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }
}

/// An element as text; empty without it.
pub(crate) fn text(message: &Message, element: u8) -> String {
    message.text(element).unwrap_or_default().into_owned()
}
