//! A cable between a component and its server that can be cut in the middle of a stanza, and is whole again at once.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Result;

/// Bytes that are passed on at once.
const CHUNK_BYTES: usize = 4096;

#[derive(Default)]
struct State {
    /// The next stanza of the component, or of the server, is cut.
    cuts: [AtomicBool; 2],
    done: AtomicUsize,
    /// Nothing is passed on to the server for now.
    held: AtomicBool,
    over: AtomicBool,
}

/// See the module's text.
pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
}

/// Whose stanza is cut.
#[derive(Debug, Clone, Copy)]
pub enum Of {
    /// One from the component.
    Component,
    /// One from the server.
    Server,
}

impl Proxy {
    /// A cable to `server`.
    ///
    /// # Errors
    /// No port is free.
    pub fn start(server: SocketAddr) -> Result<Proxy> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (address, state) = (listener.local_addr()?, Arc::new(State::default()));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                if shared.over.load(Ordering::Relaxed) {
                    return;
                }
                // While nobody listens there, the component is turned away, too.
                if let Ok(far) = TcpStream::connect(server) {
                    connect(&near, &far, &shared);
                }
            }
        });
        Ok(Proxy { address, state })
    }

    /// Where the component connects.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts the next stanza.
    pub fn cut(&self, of: Of) {
        self.state.cuts[of as usize].store(true, Ordering::Relaxed);
    }

    /// Passes on nothing to the server from now on, or everything again.
    pub fn hold(&self, on: bool) {
        self.state.held.store(on, Ordering::Relaxed);
    }

    /// How often it was cut.
    #[must_use]
    pub fn cuts(&self) -> usize {
        self.state.done.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::Relaxed);
        // Wakes the listener; if it is gone already, so much the better.
        TcpStream::connect_timeout(&self.address, Duration::from_secs(1)).ok();
    }
}

fn connect(near: &TcpStream, far: &TcpStream, state: &Arc<State>) {
    for (from, to, which) in [(near, far, Of::Component), (far, near, Of::Server)] {
        if let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) {
            let state = Arc::clone(state);
            thread::spawn(move || pass(from, to, which, &state));
        }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, of: Of, state: &State) {
    let mut chunk = [0; CHUNK_BYTES];
    loop {
        while matches!(of, Of::Component) && state.held.load(Ordering::Relaxed) && !state.over.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(5));
        }
        let Ok(read @ 1..) = from.read(&mut chunk) else { break };
        let bytes = &chunk[..read];
        let at = within_a_message(bytes).filter(|_| state.cuts[of as usize].swap(false, Ordering::Relaxed));
        let passed = at.map_or(bytes, |at| &bytes[..at]);
        if to.write_all(passed).is_err() || at.is_some() {
            state.done.fetch_add(usize::from(at.is_some()), Ordering::Relaxed);
            break;
        }
    }
    // One of them may be closed already.
    from.shutdown(Shutdown::Both).ok();
    to.shutdown(Shutdown::Both).ok();
}

/// A place within the text of a message.
fn within_a_message(bytes: &[u8]) -> Option<usize> {
    bytes.windows(6).position(|window| window == b"<body>").map(|at| at + 8).filter(|at| *at < bytes.len())
}
