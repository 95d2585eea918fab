//! A blocking JSON-RPC client over WebSocket: one thread per client is fine, every wait has a deadline.
//!
//! What arrives is sorted: answers to own calls by id, notifications in order, everything else (batches, errors with
//! `id: null`) as `unclaimed`. Raw access serves the tests that break rules.

use std::collections::{HashMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use crate::wire::{self, Assembler, Decoder, Message, Opcode, ResponseHead, WireError};

/// How long anything may take that does not say otherwise.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// Why a client cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The connection broke.
    #[error("the connection is lost")]
    Lost(#[from] std::io::Error),
    /// The server closed it.
    #[error("the server closed with {code} {text:?}")]
    Closed {
        /// The close code.
        code: u16,
        /// The close text.
        text: String,
    },
    /// The upgrade was not accepted.
    #[error("{0}; body: {1:?}")]
    Upgrade(WireError, String),
    /// The server broke the protocol.
    #[error("{0}")]
    Wire(#[from] WireError),
    /// The server sent a text message that is not JSON.
    #[error("not JSON from the server: {0:?}")]
    NotJson(String),
    /// Nothing came in time.
    #[error("no {0} within {1:?}")]
    Timeout(String, Duration),
    /// A call was refused that the caller needs.
    #[error("{0} was refused: {1}")]
    Refused(String, RpcError),
}

/// A JSON-RPC error.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{code} {reason}: {message}")]
pub struct RpcError {
    /// JSON-RPC's or Hallway's code.
    pub code: i64,
    /// `data.reason`, empty when there is none.
    pub reason: String,
    /// For people.
    pub message: String,
    /// The whole `data`.
    pub data: Value,
}

impl RpcError {
    /// From an answer's `error` member.
    #[must_use]
    pub fn from_value(mut error: Value) -> RpcError {
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        RpcError {
            code: error["code"].as_i64().unwrap_or_default(),
            reason: word(&error["data"]["reason"]),
            message: word(&error["message"]),
            data: error["data"].take(),
        }
    }
}

/// The answer to a call.
pub type Outcome = Result<Value, RpcError>;

/// How to connect.
#[derive(Debug, Clone)]
pub struct Connect {
    path: String,
    headers: Vec<(String, String)>,
    receive_buffer_bytes: Option<usize>,
}

impl Default for Connect {
    fn default() -> Connect {
        let subprotocol = ("Sec-WebSocket-Protocol".to_owned(), wire::SUBPROTOCOL.to_owned());
        Connect { path: "/ws".into(), headers: vec![subprotocol], receive_buffer_bytes: None }
    }
}

impl Connect {
    /// To `/ws` with the subprotocol.
    #[must_use]
    pub fn new() -> Connect {
        Connect::default()
    }

    /// Adds or replaces a header (`Host`, `Origin`, …).
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Connect {
        self.headers.retain(|(have, _)| !have.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Another path than `/ws`.
    #[must_use]
    pub fn path(mut self, path: &str) -> Connect {
        self.path = path.to_owned();
        self
    }

    /// A small receive buffer makes the server notice a reader that does not read.
    #[must_use]
    pub fn receive_buffer_bytes(mut self, bytes: usize) -> Connect {
        self.receive_buffer_bytes = Some(bytes);
        self
    }

    fn socket(&self, to: SocketAddr) -> std::io::Result<TcpStream> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        if let Some(bytes) = self.receive_buffer_bytes {
            socket.set_recv_buffer_size(bytes)?;
        }
        socket.connect_timeout(&to.into(), ANSWER_WITHIN)?;
        socket.set_tcp_nodelay(true)?;
        Ok(socket.into())
    }

    /// Connects and upgrades.
    ///
    /// # Errors
    /// [`ClientError::Lost`] and [`ClientError::Upgrade`].
    pub fn open(&self, to: SocketAddr) -> Result<Client, ClientError> {
        let mut stream = self.socket(to)?;
        stream.set_write_timeout(Some(ANSWER_WITHIN))?;
        let nonce: [u8; 16] = rand::random();
        let headers: Vec<(&str, &str)> = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        stream.write_all(&wire::upgrade_request(&to.to_string(), &self.path, nonce, &headers))?;
        let (head, rest) = read_head(&mut stream)?;
        if let Err(error) = wire::check_upgrade(&head, nonce) {
            return Err(ClientError::Upgrade(error, String::from_utf8_lossy(&rest).into_owned()));
        }
        Ok(Client::new(stream, head, &rest))
    }
}

fn read_head(stream: &mut TcpStream) -> Result<(ResponseHead, Vec<u8>), ClientError> {
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        if let Some((head, taken)) = wire::parse_response_head(&bytes)? {
            return Ok((head, bytes.split_off(taken)));
        }
        match stream.read(&mut chunk) {
            Ok(0) => return Err(std::io::Error::from(ErrorKind::UnexpectedEof).into()),
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
            Err(error) => return Err(error.into()),
        }
    }
}

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    decoder: Decoder,
    assembler: Assembler,
    upgrade: ResponseHead,
    next_id: u64,
    answers: HashMap<u64, Outcome>,
    notifications: VecDeque<Value>,
    unclaimed: VecDeque<Value>,
    closed: Option<(u16, String)>,
}

impl Client {
    fn new(stream: TcpStream, upgrade: ResponseHead, first_bytes: &[u8]) -> Client {
        let mut decoder = Decoder::default();
        decoder.feed(first_bytes);
        Client {
            stream,
            decoder,
            assembler: Assembler::default(),
            upgrade,
            next_id: 1,
            answers: HashMap::new(),
            notifications: VecDeque::new(),
            unclaimed: VecDeque::new(),
            closed: None,
        }
    }

    /// Connects to `/ws`, and says hello with the token.
    ///
    /// # Errors
    /// Anything that goes wrong with it.
    pub fn sign_in(to: SocketAddr, token: &str) -> Result<Client, ClientError> {
        let mut client = Connect::new().open(to)?;
        client.hello(token)?;
        Ok(client)
    }

    /// `session.hello`; its result.
    ///
    /// # Errors
    /// When it is refused, or does not come.
    pub fn hello(&mut self, token: &str) -> Result<Value, ClientError> {
        self.call_ok("session.hello", &json!({ "token": token }))
    }

    /// The answer to the upgrade.
    #[must_use]
    pub fn upgrade_head(&self) -> &ResponseHead {
        &self.upgrade
    }

    // ---- Calls ----

    /// Sends a request, and does not wait. The id serves [`Client::answer`].
    ///
    /// # Errors
    /// When the connection is lost.
    pub fn send(&mut self, method: &str, params: &Value) -> Result<u64, ClientError> {
        let id = self.next_id;
        self.next_id += 1;
        self.send_text(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string())?;
        Ok(id)
    }

    /// Waits for the answer to a request.
    ///
    /// # Errors
    /// When the connection ends before, or the deadline passes.
    pub fn answer(&mut self, id: u64, within: Duration) -> Result<Outcome, ClientError> {
        self.wait(within, &format!("answer to request {id}"), |client| client.answers.remove(&id))
    }

    /// Takes an answer that has arrived already.
    #[must_use]
    pub fn answer_now(&mut self, id: u64) -> Option<Outcome> {
        self.answers.remove(&id)
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// When the connection ends before, or nothing comes in time.
    pub fn call(&mut self, method: &str, params: &Value) -> Result<Outcome, ClientError> {
        let id = self.send(method, params)?;
        self.answer(id, ANSWER_WITHIN)
    }

    /// A call that must not be refused.
    ///
    /// # Errors
    /// As [`Client::call`], and [`ClientError::Refused`].
    pub fn call_ok(&mut self, method: &str, params: &Value) -> Result<Value, ClientError> {
        self.call(method, params)?.map_err(|error| ClientError::Refused(method.to_owned(), error))
    }

    // ---- What arrives ----

    /// The next notification (the whole object), waiting for it.
    ///
    /// # Errors
    /// When the connection ends before, or nothing comes in time.
    pub fn notification(&mut self, within: Duration) -> Result<Value, ClientError> {
        self.wait(within, "notification", |client| client.notifications.pop_front())
    }

    /// Takes all notifications that have been read from the socket.
    pub fn take_notifications(&mut self) -> Vec<Value> {
        self.notifications.drain(..).collect()
    }

    /// The next message that is neither notification nor answer to [`Client::send`].
    ///
    /// # Errors
    /// When the connection ends before, or nothing comes in time.
    pub fn unclaimed(&mut self, within: Duration) -> Result<Value, ClientError> {
        self.wait(within, "answer", |client| client.unclaimed.pop_front())
    }

    /// Waits until the server closes: code and text. A connection that just ends has code 1006 here, as in browsers.
    ///
    /// # Errors
    /// When it does not, in time.
    pub fn expect_close(&mut self, within: Duration) -> Result<(u16, String), ClientError> {
        match self.wait(within, "close", |client| client.closed.clone()) {
            Err(ClientError::Lost(error)) => Ok((1006, error.to_string())),
            other => other,
        }
    }

    /// Whether the server has closed, as far as was read.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// Reads until `take` finds what it wants.
    fn wait<T>(&mut self, within: Duration, what: &str, mut take: impl FnMut(&mut Client) -> Option<T>) -> Result<T, ClientError> {
        let deadline = Instant::now() + within;
        loop {
            self.sort_frames()?;
            if let Some(found) = take(self) {
                return Ok(found);
            }
            if let Some((code, text)) = self.closed.clone() {
                return Err(ClientError::Closed { code, text });
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.read(left)? && Instant::now() >= deadline {
                return Err(ClientError::Timeout(what.to_owned(), within));
            }
        }
    }

    /// Reads what is there within the time, and sorts it. True when something came.
    ///
    /// # Errors
    /// When the connection is lost, or the server breaks the protocol.
    pub fn pump(&mut self, within: Duration) -> Result<bool, ClientError> {
        let came = self.read(within)?;
        self.sort_frames()?;
        Ok(came)
    }

    fn read(&mut self, within: Duration) -> Result<bool, ClientError> {
        // A zero timeout would mean "for ever".
        self.stream.set_read_timeout(Some(within.max(Duration::from_millis(1))))?;
        let mut chunk = [0; 65_536];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(std::io::Error::from(ErrorKind::UnexpectedEof).into()),
            Ok(count) => {
                self.decoder.feed(&chunk[..count]);
                Ok(true)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn sort_frames(&mut self) -> Result<(), ClientError> {
        let mut pongs = Vec::new();
        while self.closed.is_none() {
            let Some(frame) = self.decoder.next_frame()? else {
                break;
            };
            let Some(message) = self.assembler.push(frame)? else {
                continue;
            };
            match message {
                Message::Text(text) => self.sort(&text)?,
                Message::Binary(_) => {
                    return Err(WireError::BadFrame("binary, where the protocol is text").into());
                }
                Message::Ping(payload) => pongs.push(payload),
                Message::Pong(_) => {}
                Message::Close(code, text) => {
                    self.closed = Some((code, text));
                    // The answer is a courtesy; the server may be gone.
                    self.send_frame(Opcode::Close, &wire::close_payload(1000, "")).ok();
                }
            }
        }
        for payload in pongs {
            // Who has closed takes none; what it said before that is still to be read.
            let _ = self.send_frame(Opcode::Pong, &payload);
        }
        Ok(())
    }

    fn sort(&mut self, text: &str) -> Result<(), ClientError> {
        let mut value: Value = serde_json::from_str(text).map_err(|_| ClientError::NotJson(text.to_owned()))?;
        if value.get("method").is_some() {
            self.notifications.push_back(value);
            return Ok(());
        }
        match value["id"].as_u64().filter(|id| (1..self.next_id).contains(id)) {
            None => self.unclaimed.push_back(value),
            Some(id) => {
                let outcome = match value.get_mut("error") {
                    Some(error) => Err(RpcError::from_value(error.take())),
                    None => Ok(value["result"].take()),
                };
                self.answers.insert(id, outcome);
            }
        }
        Ok(())
    }

    // ---- Raw access ----

    /// Sends a text message as one frame.
    ///
    /// # Errors
    /// When the connection is lost.
    pub fn send_text(&mut self, text: &str) -> Result<(), ClientError> {
        self.send_frame(Opcode::Text, text.as_bytes())
    }

    /// Sends one good frame of any type.
    ///
    /// # Errors
    /// When the connection is lost.
    pub fn send_frame(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), ClientError> {
        let mut frame = Vec::with_capacity(payload.len() + 14);
        wire::encode(&mut frame, opcode, payload, rand::random());
        self.send_bytes(&frame)
    }

    /// Sends any bytes.
    ///
    /// # Errors
    /// When the connection is lost, or the server reads nothing for [`ANSWER_WITHIN`].
    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        Ok(self.stream.write_all(bytes)?)
    }

    /// The socket, for tests that use it in their own way.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Closes properly: sends a close frame and waits for the server's.
    ///
    /// # Errors
    /// When the server does not answer it.
    pub fn close(mut self) -> Result<(), ClientError> {
        self.send_frame(Opcode::Close, &wire::close_payload(1000, ""))?;
        self.expect_close(ANSWER_WITHIN).map(drop)
    }

    /// Ends the connection without a word, as a phone in a tunnel does.
    pub fn abandon(self) {
        self.stream.shutdown(Shutdown::Both).ok();
    }
}
