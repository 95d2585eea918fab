//! The limit: a process of one thread that knows the readers' sockets and writes the same bytes, and does nothing else.
//!
//! It is asked like a server: the sender's connection brings a request per message, here only counted. Two variants, told
//! apart by how many messages it joins into one write (`group`):
//! - *half*: half of the window, so that the readers work on one half while the other is written. This is what a window
//!   that slides comes to, and the variant of FINDINGS' table (window 10: 1.60M, five times window 1).
//! - *whole*: the whole window at once, the stronger one (window 10: 3.1M).

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use socket2::{Domain, SockRef, Socket, Type};

use crate::bare_relay::{self, Relay};
use crate::frame;
use crate::request::{FIRST_NUMBER, write_ten_digits};
use crate::scan::find;

/// What stands before an XMPP message's text.
pub const BODY: &[u8] = b"<body>";

/// What the process is told on its stdin.
#[derive(Debug, Serialize, Deserialize)]
pub enum Task {
    FanOut(FanOut),
    Relay(Relay),
}

#[derive(Debug, Serialize, Deserialize)]
pub struct FanOut {
    pub readers: usize,
    /// Messages joined into one write.
    pub group: usize,
    /// Length of each of the sender's requests.
    pub request_bytes: usize,
    /// Whether readers acknowledge messages; what they say is read and dropped.
    pub has_acks: bool,
    pub message: Message,
}

/// A message to a reader, framed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Message {
    bytes: Vec<u8>,
    /// Where it has its seq of ten digits.
    seq_at: usize,
}

impl Message {
    /// A WebSocket frame with this notification, as the server wrote it.
    pub fn websocket(notification: &str) -> Result<Message> {
        let (text, seq_at) = with_ten_digit_seq(notification)?;
        let bytes = frame::unmasked_text(text.as_bytes());
        Ok(Message { seq_at: bytes.len() - text.len() + seq_at, bytes })
    }

    /// A whole packet as the server wrote it, which ends with this payload.
    pub fn packet(packet: &[u8], payload: &str) -> Result<Message> {
        let (text, seq_at) = with_ten_digit_seq(payload)?;
        let head = packet.strip_suffix(payload.as_bytes()).context("a packet with another payload")?;
        Ok(Message { bytes: [head, text.as_bytes()].concat(), seq_at: head.len() + seq_at })
    }

    /// Whole bytes as the server wrote them, whose text begins with a number of ten digits, behind `before`.
    pub fn numbered(bytes: Vec<u8>, before: &[u8]) -> Result<Message> {
        let seq_at = find(&bytes, before).context("a message without a text")? + before.len();
        Ok(Message { bytes, seq_at })
    }
}

/// The process. It is killed when this is dropped, and ends by itself when its stdin does.
pub struct Bare {
    child: Child,
    _stdin: Option<ChildStdin>,
    address: SocketAddr,
}

impl Bare {
    pub fn start(task: &Task) -> Result<Bare> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("bare-writer")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the bare writer")?;
        let mut stdin = child.stdin.take();
        if let Some(stdin) = &mut stdin {
            writeln!(stdin, "{}", serde_json::to_string(task)?)?;
        }
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let address = line.trim().parse().with_context(|| format!("the bare writer said {line:?}"))?;
        Ok(Bare { child, _stdin: stdin, address })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The process's `main`.
pub fn serve() -> Result<()> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    let listener = listen()?;
    println!("{}", listener.local_addr()?);
    // An end of the connections is the generator's way to say that it is done.
    match serde_json::from_str(&line)? {
        Task::FanOut(task) => fan_out(&task, &listener).or_else(gone),
        Task::Relay(task) => bare_relay::relay(&task, &listener).or_else(gone),
    }
}

fn gone(error: anyhow::Error) -> Result<()> {
    match error.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
        Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof) => Ok(()),
        _ => Err(error),
    }
}

/// With a backlog for all connections of a load: one that overflows would delay and reorder them.
fn listen() -> Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

/// The first connection is the sender's, the others are readers.
fn fan_out(task: &FanOut, listener: &TcpListener) -> Result<()> {
    let mut sender = accept(listener)?;
    let mut readers = (0..task.readers).map(|_| accept(listener)).collect::<Result<Vec<_>>>()?;
    let mut group = Group::new(&task.message, task.group);
    let group_request_bytes = task.group * task.request_bytes;
    let mut requests = vec![0; 1 << 20];
    let mut asked_bytes = 0;
    loop {
        while asked_bytes < group_request_bytes {
            match sender.read(&mut requests)? {
                0 => return Ok(()),
                count => asked_bytes += count,
            }
        }
        asked_bytes -= group_request_bytes;
        let bytes = group.next();
        for reader in &mut readers {
            reader.write_all(bytes)?;
            if task.has_acks {
                take_acks(reader)?;
            }
        }
    }
}

/// Reads and drops what acknowledgements are there; at most the last group's are not yet.
fn take_acks(reader: &TcpStream) -> Result<()> {
    let mut acks = [MaybeUninit::uninit(); 1 << 12];
    match SockRef::from(reader).recv_with_flags(&mut acks, libc::MSG_DONTWAIT) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn accept(listener: &TcpListener) -> Result<TcpStream> {
    let (stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Copies of one message, as long as the server's own, with seqs that go on.
struct Group {
    bytes: Vec<u8>,
    seqs_at: Vec<usize>,
    next_seq: u64,
}

impl Group {
    fn new(message: &Message, count: usize) -> Group {
        let len = message.bytes.len();
        Group {
            bytes: message.bytes.repeat(count),
            seqs_at: (0..count).map(|index| index * len + message.seq_at).collect(),
            next_seq: FIRST_SEQ,
        }
    }

    fn next(&mut self) -> &[u8] {
        for &at in &self.seqs_at {
            write_ten_digits(&mut self.bytes[at..], self.next_seq);
            self.next_seq += 1;
        }
        &self.bytes
    }
}

/// The first seq that the bare writer writes.
pub const FIRST_SEQ: u64 = FIRST_NUMBER + 1;

/// Widens the seq to ten digits, so that it can be counted up in place, and takes the difference from the body (the longest
/// run of `x`): the length stays.
fn with_ten_digit_seq(notification: &str) -> Result<(String, usize)> {
    let Some(seq_at) = find(notification.as_bytes(), b"\"seq\":").map(|at| at + 6) else {
        bail!("a notification without a seq: {notification}");
    };
    let width = notification[seq_at..].bytes().take_while(u8::is_ascii_digit).count();
    let wider = 10_usize.saturating_sub(width);
    let body = "x".repeat(wider + 1);
    let shorter = notification.replacen(&body, "x", 1);
    if width == 0 || shorter.len() + wider != notification.len() {
        bail!("no body to shorten by {wider} in {notification}");
    }
    // The body may lie before the seq.
    let seq_at = find(shorter.as_bytes(), b"\"seq\":").map_or(0, |at| at + 6);
    let text = format!("{}{FIRST_SEQ}{}", &shorter[..seq_at], &shorter[seq_at + width..]);
    Ok((text, seq_at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_is_as_long_as_the_original_and_counts() {
        let original = r#"{"params":{"seq":42,"text":"xxxxxxxxxxxxxxxx"}}"#;
        let mut group = Group::new(&Message::websocket(original).expect("a body to shorten"), 2);
        let bytes = group.next().to_vec();
        assert_eq!(bytes.len(), 2 * (original.len() + 2));
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains(r#""seq":1000000001,"text":"xxxxxxxx""#), "{text}");
        assert!(text.contains(r#""seq":1000000002,"#), "{text}");
        assert!(String::from_utf8_lossy(group.next()).contains(r#""seq":1000000003,"#));
    }
}
