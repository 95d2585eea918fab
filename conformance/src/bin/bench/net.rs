//! The loop: one thread, one epoll, one read buffer for thousands of connections.
//!
//! A [`Load`] is told what arrives and queues what is sent; everything queued for one connection during one read leaves in
//! one write.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use conformance::wire::Opcode;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use rustls::ClientConfig;
use socket2::{Domain, Protocol, Socket, Type};

use crate::frame;
use crate::http;
use crate::mqtt::packet::{self, Packet};
use crate::stream::Stream;
use crate::xmpp::stanza::{self, Stanza};

/// Connections come from this many addresses (127.0.0.1 …), so that neither ports nor the server's
/// `limits.unauthenticated_per_address` (500) run out when 10,000 connect at once.
pub const SOURCE_ADDRESSES: usize = 64;
/// Room for the longest answer: 500 events of the largest bench body.
const READ_BUFFER_BYTES: usize = 8 << 20;
/// Long enough to read and answer what waits.
pub const ATTENDING: Duration = Duration::from_millis(5);
/// Events taken from the kernel in one turn.
const EVENTS_PER_TURN: usize = 1024;
const WAKE: Token = Token(usize::MAX);

/// What is done with what arrives.
pub trait Load {
    /// A WebSocket is open.
    fn opened(&mut self, _conns: &mut Conns, _id: usize) -> Result<()> {
        Ok(())
    }

    /// A text message arrived.
    fn text(&mut self, _conns: &mut Conns, id: usize, _payload: &[u8]) -> Result<()> {
        bail!("a WebSocket text on connection {id}, which expects none")
    }

    /// An MQTT packet arrived.
    fn packet(&mut self, _conns: &mut Conns, id: usize, packet: &Packet<'_>) -> Result<()> {
        bail!("an MQTT packet {:#04x} on connection {id}, which expects none", packet.first)
    }

    /// A stanza arrived, or another part of an XMPP stream.
    fn stanza(&mut self, _conns: &mut Conns, id: usize, stanza: &Stanza<'_>) -> Result<()> {
        bail!("a stanza on connection {id}, which expects none: {}", stanza.shown())
    }

    /// An HTTP response arrived.
    fn responded(&mut self, _conns: &mut Conns, id: usize, status: u16, _body: &[u8]) -> Result<()> {
        bail!("an HTTP response {status} on connection {id}, which expects none")
    }

    /// The server ended a connection, which spoke `_spoke` until now. No load expects that, unless it says so.
    fn closed(&mut self, _conns: &mut Conns, id: usize, _spoke: Speaks, why: &str) -> Result<()> {
        bail!("connection {id} ended: {why}")
    }
}

/// What a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP with keep-alive.
    Http,
    /// HTTP until the 101, then WebSocket.
    Upgrade,
    /// WebSocket frames.
    WebSocket,
    /// MQTT packets, from the first byte on.
    Mqtt,
    /// An XMPP stream, from the first byte on.
    Xmpp,
    /// Nothing any more.
    Closed,
}

struct Conn {
    stream: Option<Stream>,
    speaks: Speaks,
    /// The beginning of a message whose end has not arrived.
    partial: Vec<u8>,
    out: Vec<u8>,
    written: usize,
    is_dirty: bool,
}

/// All connections of a [`Net`], numbered in the order in which they were opened.
pub struct Conns {
    target: SocketAddr,
    /// The first bytes of a connection that becomes a WebSocket.
    upgrade: Vec<u8>,
    tls: Option<Arc<ClientConfig>>,
    registry: Registry,
    list: Vec<Conn>,
    dirty: Vec<usize>,
    now: Instant,
}

/// Connections and the loop that serves them.
pub struct Net {
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    conns: Conns,
}

impl Net {
    /// A loop without connections yet; all of them go to `target`.
    pub fn new(target: SocketAddr) -> Result<Net> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        Ok(Net {
            poll,
            events: Events::with_capacity(EVENTS_PER_TURN),
            buffer: vec![0; READ_BUFFER_BYTES],
            conns: Conns {
                target,
                upgrade: http::upgrade(target),
                tls: None,
                registry,
                list: Vec::new(),
                dirty: Vec::new(),
                now: Instant::now(),
            },
        })
    }

    pub fn conns(&mut self) -> &mut Conns {
        &mut self.conns
    }

    /// Something for another thread to interrupt the waiting with.
    pub fn waker(&self) -> Result<Waker> {
        Ok(Waker::new(self.poll.registry(), WAKE)?)
    }

    /// Writes what is queued, waits at most `wait` for something to happen, and handles all that did.
    pub fn turn(&mut self, wait: Duration, load: &mut impl Load) -> Result<()> {
        self.conns.flush_dirty(load)?;
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        self.conns.now = Instant::now();
        for event in &self.events {
            let id = event.token().0;
            if event.token() == WAKE {
                continue;
            }
            if event.is_writable() {
                self.conns.mark(id);
            }
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                let is_last = event.is_read_closed() || event.is_error();
                read(&mut self.buffer, &mut self.conns, id, is_last, load)?;
            }
            self.conns.flush_dirty(load)?;
        }
        Ok(())
    }

    /// Turns until `done`; fails after `within`. Returns how long it took.
    pub fn run<L: Load>(&mut self, load: &mut L, within: Duration, what: &str, done: impl Fn(&L) -> bool) -> Result<Duration> {
        let start = Instant::now();
        while !done(load) {
            ensure!(start.elapsed() < within, "{what}: not done within {within:?}");
            self.turn(Duration::from_millis(100), load)?;
        }
        Ok(start.elapsed())
    }

    /// Turns for a time. Returns how long it really was.
    pub fn run_for(&mut self, load: &mut impl Load, time: Duration) -> Result<Duration> {
        let start = Instant::now();
        loop {
            let left = time.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(start.elapsed());
            }
            self.turn(left.min(Duration::from_millis(100)), load)?;
        }
    }
}

impl Conns {
    /// The time of the read that is being handled.
    pub fn now(&self) -> Instant {
        self.now
    }

    pub fn target(&self) -> SocketAddr {
        self.target
    }

    /// All connections from now on speak TLS.
    pub fn speak_tls(&mut self) -> Result<()> {
        self.tls = Some(conformance::tls::any_certificate()?);
        Ok(())
    }

    /// All connections from now on become WebSockets at another path than that of Hallway's JSON protocol.
    pub fn upgrade_at(&mut self, path: &str) {
        self.upgrade = http::upgrade_at(self.target, path);
    }

    /// Connections opened so far, ended ones too: the number of the next.
    pub fn count(&self) -> usize {
        self.list.len()
    }

    /// Begins to connect; returns the connection's number.
    pub fn open(&mut self, speaks: Speaks) -> Result<usize> {
        let id = self.list.len();
        let stream = Some(self.connect(id)?);
        self.list.push(Conn { stream, speaks, partial: Vec::new(), out: Vec::new(), written: 0, is_dirty: false });
        self.begin(id);
        Ok(id)
    }

    /// Begins to connect anew under the same number.
    pub fn reopen(&mut self, id: usize, speaks: Speaks) -> Result<()> {
        let stream = Some(self.connect(id)?);
        let conn = &mut self.list[id];
        conn.stream = stream;
        conn.speaks = speaks;
        conn.partial.clear();
        self.begin(id);
        Ok(())
    }

    fn begin(&mut self, id: usize) {
        if self.list[id].speaks == Speaks::Upgrade {
            let request = self.upgrade.clone();
            self.queue(id, &request);
        }
    }

    fn connect(&self, id: usize) -> Result<Stream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        let source = Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST) + (id % SOURCE_ADDRESSES) as u32);
        socket.bind(&SocketAddr::new(IpAddr::V4(source), 0).into())?;
        match socket.connect(&self.target.into()) {
            Err(error) if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {
                return Err(error).with_context(|| format!("cannot connect to {}", self.target));
            }
            _ => {}
        }
        let mut stream = TcpStream::from_std(socket.into());
        self.registry.register(&mut stream, Token(id), Interest::READABLE | Interest::WRITABLE)?;
        Stream::new(stream, self.tls.as_ref(), self.target.ip())
    }

    /// Puts bytes into what the connection writes at the end of this turn.
    pub fn queue(&mut self, id: usize, bytes: &[u8]) {
        self.list[id].out.extend_from_slice(bytes);
        self.mark(id);
    }

    fn mark(&mut self, id: usize) {
        let conn = &mut self.list[id];
        if !conn.is_dirty && conn.written < conn.out.len() {
            conn.is_dirty = true;
            self.dirty.push(id);
        }
    }

    /// Ends a connection without a word, as a lost network does. Returns what it spoke.
    pub fn close(&mut self, id: usize) -> Speaks {
        let conn = &mut self.list[id];
        let spoke = std::mem::replace(&mut conn.speaks, Speaks::Closed);
        conn.stream = None;
        conn.out.clear();
        conn.written = 0;
        spoke
    }

    fn flush_dirty(&mut self, load: &mut impl Load) -> Result<()> {
        // A load that is told of an ended connection may queue more, so that this is no for loop.
        while let Some(id) = self.dirty.pop() {
            self.list[id].is_dirty = false;
            if let Err(error) = self.list[id].flush() {
                let spoke = self.close(id);
                load.closed(self, id, spoke, &format!("write: {error}"))?;
            }
        }
        Ok(())
    }
}

impl Conn {
    fn flush(&mut self) -> io::Result<()> {
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        while self.written < self.out.len() {
            match stream.write(&self.out[self.written..]) {
                Ok(count) => self.written += count,
                // Not connected yet, or the peer does not read: the next writable event goes on.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }
}

/// Reads what is there and hands it on, message by message.
fn read(buffer: &mut [u8], conns: &mut Conns, id: usize, is_last: bool, load: &mut impl Load) -> Result<()> {
    loop {
        let conn = &mut conns.list[id];
        let Some(stream) = &mut conn.stream else {
            return Ok(());
        };
        let kept = conn.partial.len();
        ensure!(kept < buffer.len(), "a message of more than {} bytes", buffer.len());
        buffer[..kept].copy_from_slice(&conn.partial);
        conn.partial.clear();
        let count = match stream.read(&mut buffer[kept..]) {
            Ok(0) => {
                let spoke = conns.close(id);
                return load.closed(conns, id, spoke, "end of stream");
            }
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                conn.partial.extend_from_slice(&buffer[..kept]);
                // A handshake that is over now may have held back what is queued.
                conns.mark(id);
                return Ok(());
            }
            Err(error) => {
                let spoke = conns.close(id);
                return load.closed(conns, id, spoke, &format!("read: {error}"));
            }
        };
        conns.now = Instant::now();
        let filled = kept + count;
        let used = hand_on(&buffer[..filled], conns, id, load)?;
        let conn = &mut conns.list[id];
        conn.partial.extend_from_slice(&buffer[used..filled]);
        let is_emptied = filled < buffer.len() && conn.stream.as_ref().is_none_or(Stream::is_emptied_by_short_read);
        // Only the end of the stream may be left to read.
        if is_emptied && !is_last {
            return Ok(());
        }
    }
}

/// Handles the whole messages at the beginning of `bytes`; returns how many bytes they took.
fn hand_on(bytes: &[u8], conns: &mut Conns, id: usize, load: &mut impl Load) -> Result<usize> {
    let mut used = 0;
    loop {
        let rest = &bytes[used..];
        let len = match conns.list[id].speaks {
            Speaks::WebSocket => hand_on_frame(rest, conns, id, load)?,
            Speaks::Mqtt => hand_on_packet(rest, conns, id, load)?,
            Speaks::Xmpp => hand_on_stanza(rest, conns, id, load)?,
            Speaks::Upgrade | Speaks::Http => hand_on_response(rest, conns, id, load)?,
            // Closed meanwhile: what follows is of no interest.
            Speaks::Closed => return Ok(bytes.len()),
        };
        match len {
            Some(len) => used += len,
            None => return Ok(used),
        }
    }
}

fn hand_on_frame(bytes: &[u8], conns: &mut Conns, id: usize, load: &mut impl Load) -> Result<Option<usize>> {
    let Some(frame) = frame::first(bytes)? else {
        return Ok(None);
    };
    match frame.opcode {
        frame::TEXT => load.text(conns, id, frame.payload)?,
        frame::PING => conns.queue(id, &frame::masked(Opcode::Pong, frame.payload)),
        frame::PONG => {}
        frame::CLOSE => {
            let code = frame.payload.first_chunk().map_or(0, |code| u16::from_be_bytes(*code));
            let reason = String::from_utf8_lossy(frame.payload.get(2..).unwrap_or_default()).into_owned();
            let spoke = conns.close(id);
            load.closed(conns, id, spoke, &format!("close {code} {reason}"))?;
        }
        opcode => bail!("a frame with opcode {opcode:#x}"),
    }
    Ok(Some(frame.len))
}

fn hand_on_packet(bytes: &[u8], conns: &mut Conns, id: usize, load: &mut impl Load) -> Result<Option<usize>> {
    let Some(packet) = packet::first(bytes)? else {
        return Ok(None);
    };
    if packet.first == packet::DISCONNECT {
        let code = packet.body.first().copied().unwrap_or(0);
        let spoke = conns.close(id);
        load.closed(conns, id, spoke, &format!("DISCONNECT with reason code {code:#04x}"))?;
    } else {
        load.packet(conns, id, &packet)?;
    }
    Ok(Some(packet.len))
}

fn hand_on_stanza(bytes: &[u8], conns: &mut Conns, id: usize, load: &mut impl Load) -> Result<Option<usize>> {
    let Some(stanza) = stanza::first(bytes)? else {
        return Ok(None);
    };
    if stanza.is("/stream:stream") || stanza.is("stream:error") {
        let spoke = conns.close(id);
        load.closed(conns, id, spoke, &stanza.shown())?;
    } else {
        load.stanza(conns, id, &stanza)?;
    }
    Ok(Some(stanza.len))
}

fn hand_on_response(bytes: &[u8], conns: &mut Conns, id: usize, load: &mut impl Load) -> Result<Option<usize>> {
    let Some(response) = http::first(bytes)? else {
        return Ok(None);
    };
    if conns.list[id].speaks == Speaks::Upgrade {
        http::check_upgrade(&response)?;
        conns.list[id].speaks = Speaks::WebSocket;
        load.opened(conns, id)?;
    } else {
        load.responded(conns, id, response.head.status, response.body)?;
    }
    Ok(Some(response.len))
}
