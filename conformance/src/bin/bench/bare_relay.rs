//! The limit of two-person chats and of ingest: every request is answered, and told to the partner, without being read.

use std::io::{self, Read as _, Write as _};
use std::net::TcpListener;

use anyhow::{Context as _, Result};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use serde::{Deserialize, Serialize};

use crate::frame;
use crate::request::{ANSWER_KEY, write_ten_digits};
use crate::scan::{digits, find};

/// What the process is told.
#[derive(Debug, Serialize, Deserialize)]
pub struct Relay {
    pub connections: usize,
    /// Length of every request.
    pub request_bytes: usize,
    /// Where a request has its ten-digit number.
    pub number_at: usize,
    /// An answer as the server wrote it.
    pub answer: String,
    /// A notification as the server wrote it: for the partner, whose connection's number differs in the last bit.
    pub notification: Option<String>,
}

/// A frame with a ten-digit number that is written anew.
struct Stamped {
    bytes: Vec<u8>,
    number_at: usize,
}

impl Stamped {
    fn new(text: &str, number_at: usize) -> Stamped {
        let bytes = frame::unmasked_text(text.as_bytes());
        Stamped { number_at: bytes.len() - text.len() + number_at, bytes }
    }

    fn with(&mut self, number: u64) -> &[u8] {
        write_ten_digits(&mut self.bytes[self.number_at..], number);
        &self.bytes
    }
}

struct Line {
    stream: TcpStream,
    partial: Vec<u8>,
    out: Vec<u8>,
}

/// Accepts all connections, then relays until the generator is gone.
pub fn relay(task: &Relay, listener: &TcpListener) -> Result<()> {
    let answer_at = find(task.answer.as_bytes(), ANSWER_KEY).context("an answer without its number")?;
    let mut answer = Stamped::new(&task.answer, answer_at + ANSWER_KEY.len() - 1);
    let mut notification = task.notification.as_ref().map(|text| {
        let client_id_at = text.find("\"client_id\":\"").unwrap_or(0);
        let number_at = text[client_id_at..].find("-1").map_or(0, |at| client_id_at + at + 1);
        Stamped::new(text, number_at)
    });
    let mut poll = Poll::new()?;
    let mut lines = accept_all(&poll, listener, task.connections)?;
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; 1 << 20];
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            let id = event.token().0;
            let numbers = lines[id].read(&mut buffer, task)?;
            for &number in &numbers {
                lines[id].out.extend_from_slice(answer.with(number));
                if let Some(notification) = &mut notification {
                    lines[id ^ 1].out.extend_from_slice(notification.with(number));
                }
            }
            lines[id].flush()?;
            if notification.is_some() {
                lines[id ^ 1].flush()?;
            }
        }
    }
}

fn accept_all(poll: &Poll, listener: &TcpListener, connections: usize) -> Result<Vec<Line>> {
    (0..connections)
        .map(|id| {
            let (stream, _) = listener.accept()?;
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(id), Interest::READABLE | Interest::WRITABLE)?;
            Ok(Line { stream, partial: Vec::new(), out: Vec::new() })
        })
        .collect()
}

impl Line {
    /// The numbers of the requests that have arrived whole; an error at the end of the stream.
    fn read(&mut self, buffer: &mut [u8], task: &Relay) -> io::Result<Vec<u64>> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    self.partial.extend_from_slice(&buffer[..count]);
                    if count < buffer.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let whole = self.partial.len() / task.request_bytes;
        let numbers = self
            .partial
            .chunks_exact(task.request_bytes)
            .map(|request| digits(&request[task.number_at..task.number_at + 10]).unwrap_or(0))
            .collect();
        self.partial.drain(..whole * task.request_bytes);
        Ok(numbers)
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(count) => drop(self.out.drain(..count)),
                // The writable event of this connection comes back to `relay`, which flushes.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
