//! A played device on the network: real answers, and whatever fault somebody wants to see.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::crypto::payshield::device::Device;

/// What the played device does instead of answering as it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answers with this error code.
    Code(String),
    /// Answers later, and then rightly.
    Delay(Duration),
    /// Never answers.
    Silence,
    /// Closes the connection.
    HangUp,
    /// Answers something that is no answer.
    Garble,
}

/// A fault and the command it befalls; `None`: the command is answered as it should be. The command
/// `*` is every one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultOf {
    /// Two letters, or `*`.
    pub command: String,
    /// What befalls it.
    pub fault: Option<Fault>,
}

/// No fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected COMMAND=FAULT: EC=20 (an error code), EC=delay:250 (milliseconds), EC=silence, \
     EC=hang-up, EC=garble, EC=ok; * for every command"
)]
pub struct NoFault;

impl FromStr for FaultOf {
    type Err = NoFault;

    fn from_str(text: &str) -> Result<FaultOf, NoFault> {
        let (command, fault) = text.trim().split_once('=').ok_or(NoFault)?;
        let is_command = command == "*"
            || (command.len() == 2 && command.bytes().all(|it| it.is_ascii_alphanumeric()));
        let fault = match fault {
            "ok" => None,
            "silence" => Some(Fault::Silence),
            "hang-up" => Some(Fault::HangUp),
            "garble" => Some(Fault::Garble),
            code if code.len() == 2 && code.bytes().all(|it| it.is_ascii_alphanumeric()) => {
                Some(Fault::Code(code.to_owned()))
            }
            other => {
                let delay = other.strip_prefix("delay:").and_then(|ms| ms.parse().ok());
                Some(Fault::Delay(Duration::from_millis(delay.ok_or(NoFault)?)))
            }
        };
        let command = command.to_ascii_uppercase();
        let given = FaultOf { command, fault };
        is_command.then_some(given).ok_or(NoFault)
    }
}

/// A played device that listens.
pub struct Played {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    device: Device,
    header_characters: usize,
    faults: Mutex<BTreeMap<String, Fault>>,
    connections: Mutex<Vec<TcpStream>>,
    is_over: AtomicBool,
}

impl Played {
    /// Starts to listen; header characters as the other side has them.
    ///
    /// # Errors
    /// The address cannot be had.
    pub fn start(
        address: SocketAddr,
        device: Device,
        header_characters: usize,
    ) -> io::Result<Played> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            device,
            header_characters,
            faults: Mutex::default(),
            connections: Mutex::default(),
            is_over: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("played-hsm".to_owned())
            .spawn(move || accept(&listener, &accepting))?;
        Ok(Played { address, shared })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on.
    pub fn tell(&self, told: FaultOf) {
        let mut faults = locked(&self.shared.faults);
        match told.fault {
            Some(fault) => faults.insert(told.command, fault),
            None => faults.remove(&told.command),
        };
    }

    /// Dies: no connection is left, and none is taken.
    pub fn die(&self) {
        self.shared.is_over.store(true, Relaxed);
        for connection in locked(&self.shared.connections).drain(..) {
            // It may be closed already.
            let _ = connection.shutdown(Shutdown::Both);
        }
        // Wakes the listener, which then goes; it may have gone.
        let _ = TcpStream::connect(self.address);
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        self.die();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept() {
        if shared.is_over.load(Relaxed) {
            return;
        }
        let Ok(kept) = stream.try_clone() else {
            continue;
        };
        let mut connections = locked(&shared.connections);
        connections.retain(|connection| connection.peer_addr().is_ok());
        connections.push(kept);
        drop(connections);
        let shared = Arc::clone(shared);
        let mut stream = stream;
        let served = move || {
            // Whoever hung up, or was hung up on, is served no more.
            let _ = serve(&mut stream, &shared);
            let _ = stream.shutdown(Shutdown::Both);
        };
        let thread = std::thread::Builder::new().name("played-hsm".to_owned());
        if let Err(error) = thread.spawn(served) {
            tracing::error!(%error, "a played device cannot serve a connection");
        }
    }
}

fn serve(stream: &mut TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut frame = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut frame)?;
        let Some((header, command)) = frame.split_at_checked(shared.header_characters) else {
            return Ok(());
        };
        let code = command.get(..2).map(String::from_utf8_lossy);
        let code = code.unwrap_or_default();
        let fault = {
            let faults = locked(&shared.faults);
            faults.get(&*code).or_else(|| faults.get("*")).cloned()
        };
        let mut answer = shared.device.answer(command);
        match fault {
            None => {}
            Some(Fault::Code(error)) => {
                answer.truncate(2);
                answer.extend_from_slice(error.as_bytes());
            }
            Some(Fault::Delay(time)) => std::thread::sleep(time),
            Some(Fault::Silence) => continue,
            Some(Fault::HangUp) => return Ok(()),
            Some(Fault::Garble) => answer = b"??".to_vec(),
        }
        let length = header.len() + answer.len();
        let length = u16::try_from(length).map_err(io::Error::other)?;
        let mut frame = length.to_be_bytes().to_vec();
        frame.extend_from_slice(header);
        frame.extend_from_slice(&answer);
        stream.write_all(&frame)?;
    }
}
