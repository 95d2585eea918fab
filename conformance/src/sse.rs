//! A stream of Server-Sent Events (HTML §9.2), blocking: a request, and events out of the chunks of its response.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::Value;
use socket2::SockRef;

use crate::wire::{ResponseHead, parse_response_head};

/// An event, as a browser would give it to a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its name.
    pub name: String,
    /// The last `id` there was, this event's own included.
    pub id: String,
    /// Its data.
    pub data: Value,
}

/// See the module's text.
pub struct EventStream {
    stream: TcpStream,
    /// The response's head.
    pub head: ResponseHead,
    /// What came and is still in its chunks.
    raw: Vec<u8>,
    /// What was in them and is no whole event yet.
    text: Vec<u8>,
    last_id: String,
    over: bool,
}

impl EventStream {
    /// Asks for `/events` with this query, and reads the head of what comes.
    ///
    /// # Errors
    /// When there is no connection, or no HTTP in it.
    pub fn open(to: SocketAddr, query: &str, headers: &[(&str, &str)], receive_buffer_bytes: Option<usize>) -> Result<EventStream> {
        let mut stream = TcpStream::connect(to).context("no connection")?;
        if let Some(bytes) = receive_buffer_bytes {
            SockRef::from(&stream).set_recv_buffer_size(bytes)?;
        }
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let request = format!("GET /events?{query} HTTP/1.1\r\nHost: {to}\r\nAccept: text/event-stream\r\n{headers}\r\n");
        stream.write_all(request.as_bytes())?;
        stream.set_read_timeout(Some(Duration::from_secs(15)))?;
        let mut raw = Vec::new();
        loop {
            if let Some((head, at)) = parse_response_head(&raw)? {
                raw.drain(..at);
                return Ok(EventStream { stream, head, raw, text: Vec::new(), last_id: String::new(), over: false });
            }
            let mut chunk = [0; 4096];
            match stream.read(&mut chunk)? {
                0 => bail!("closed before the response's head was whole"),
                count => raw.extend_from_slice(&chunk[..count]),
            }
        }
    }

    /// The next event; `None` when the stream has ended.
    ///
    /// # Errors
    /// When none comes in time, or what comes is none.
    pub fn next(&mut self, within: Duration) -> Result<Option<Event>> {
        let deadline = Instant::now() + within;
        loop {
            self.unchunk()?;
            if let Some(event) = self.take()? {
                return Ok(Some(event));
            }
            if self.over {
                return Ok(None);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            ensure!(!left.is_zero(), "no event within {within:?}");
            self.stream.set_read_timeout(Some(left))?;
            let mut chunk = [0; 16_384];
            match self.stream.read(&mut chunk) {
                Ok(0) => self.over = true,
                Ok(count) => self.raw.extend_from_slice(&chunk[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => self.over = true,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes whole chunks out.
    fn unchunk(&mut self) -> Result<()> {
        while let Some(end) = self.raw.windows(2).position(|two| two == b"\r\n") {
            let size = std::str::from_utf8(&self.raw[..end])?.trim();
            let size = usize::from_str_radix(size, 16).with_context(|| format!("a chunk's size: {size:?}"))?;
            let whole = end + 2 + size + 2;
            if self.raw.len() < whole {
                return Ok(());
            }
            self.text.extend_from_slice(&self.raw[end + 2..whole - 2]);
            self.raw.drain(..whole);
            self.over |= size == 0;
        }
        Ok(())
    }

    /// Takes the first whole event out; comments are passed over.
    fn take(&mut self) -> Result<Option<Event>> {
        while let Some(end) = self.text.windows(2).position(|two| two == b"\n\n") {
            let block: Vec<u8> = self.text.drain(..end + 2).collect();
            let (mut name, mut data) = (None, String::new());
            for line in std::str::from_utf8(&block)?.lines().filter(|line| !line.is_empty() && !line.starts_with(':')) {
                let (field, value) = line.split_once(": ").ok_or_else(|| anyhow!("no field: {line:?}"))?;
                match field {
                    "event" => name = Some(value.to_owned()),
                    "id" => value.clone_into(&mut self.last_id),
                    "data" => data.push_str(value),
                    "retry" => {}
                    other => bail!("a field that is not known: {other}"),
                }
            }
            if let Some(name) = name {
                return Ok(Some(Event { name, id: self.last_id.clone(), data: serde_json::from_str(&data)? }));
            }
        }
        Ok(None)
    }

    /// The next event of this name; others are passed over.
    ///
    /// # Errors
    /// When none comes in time.
    pub fn expect(&mut self, name: &str, within: Duration) -> Result<Event> {
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.next(left).with_context(|| format!("waiting for '{name}'"))? {
                Some(event) if event.name == name => return Ok(event),
                Some(_) => {}
                None => bail!("the stream ended without '{name}'"),
            }
        }
    }
}
