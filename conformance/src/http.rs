//! One HTTP/1.1 request on a connection of its own: sign-in, `POST /rpc`, health, metrics, and whatever headers a test wants.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Value, json};

use crate::client::{Outcome, RpcError};
use crate::wire::{ResponseHead, parse_response_head};

/// How long one request may take.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// A request to be sent.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// A request without a body.
    #[must_use]
    pub fn new(method: &str, path: &str) -> Request {
        Request { method: method.to_owned(), path: path.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    /// Adds a header, or replaces the one that would be sent by default (`Host`, `Content-Type`, `Content-Length`).
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Request {
        self.headers.retain(|(have, _)| !have.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets a JSON body and its content type.
    #[must_use]
    pub fn json(self, body: &Value) -> Request {
        self.body(body.to_string().into_bytes()).header("Content-Type", "application/json")
    }

    /// Sets the body alone.
    #[must_use]
    pub fn body(mut self, body: Vec<u8>) -> Request {
        self.body = body;
        self
    }

    /// Sends it, and reads the whole response.
    ///
    /// # Errors
    /// When there is no connection, no answer in time, or no HTTP in it.
    pub fn send(&self, to: SocketAddr) -> Result<Response> {
        let mut stream = TcpStream::connect_timeout(&to, ANSWER_WITHIN).context("no connection")?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        stream.write_all(&self.encode(to))?;
        read_response(&mut stream).with_context(|| format!("{} {}", self.method, self.path))
    }

    fn encode(&self, to: SocketAddr) -> Vec<u8> {
        let given = |name: &str| self.headers.iter().any(|(have, _)| have.eq_ignore_ascii_case(name));
        let mut head = format!("{} {} HTTP/1.1\r\nConnection: close\r\n", self.method, self.path);
        if !given("host") {
            head.push_str(&format!("Host: {to}\r\n"));
        }
        if !given("content-length") && (self.method != "GET" || !self.body.is_empty()) {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        [head.as_bytes(), &self.body].concat()
    }
}

/// A whole response.
#[derive(Debug, Clone)]
pub struct Response {
    /// Status and headers.
    pub head: ResponseHead,
    /// The body, without chunks' framing.
    pub body: Vec<u8>,
}

impl Response {
    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; `null` when it is empty.
    ///
    /// # Errors
    /// When it is something else.
    pub fn json(&self) -> Result<Value> {
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.body).with_context(|| format!("the body is not JSON: {:?}", self.text()))
    }
}

fn read_response(stream: &mut TcpStream) -> Result<Response> {
    let mut bytes = Vec::new();
    let (head, body_at) = loop {
        if let Some(head) = parse_response_head(&bytes)? {
            break head;
        }
        ensure!(read_some(stream, &mut bytes)?, "closed before the response's head was whole");
    };
    let mut body = bytes.split_off(body_at);
    let chunked = head.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    let length: Option<usize> = head.header("content-length").map(str::parse).transpose()?;
    loop {
        let whole = match length {
            Some(length) => body.len() >= length,
            None if chunked => dechunk(&body)?.is_some(),
            None => false,
        };
        if whole || !read_some(stream, &mut body)? {
            break;
        }
    }
    if chunked {
        body = dechunk(&body)?.ok_or_else(|| anyhow!("closed within a chunk"))?;
    }
    ensure!(length.is_none_or(|length| body.len() == length), "the body has {} bytes, not {length:?}", body.len());
    Ok(Response { head, body })
}

fn read_some(stream: &mut TcpStream, into: &mut Vec<u8>) -> Result<bool> {
    let mut chunk = [0; 16_384];
    match stream.read(&mut chunk)? {
        0 => Ok(false),
        count => {
            into.extend_from_slice(&chunk[..count]);
            Ok(true)
        }
    }
}

/// The bytes within the chunks; `None` while the last one is missing.
fn dechunk(mut bytes: &[u8]) -> Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    loop {
        let Some(line_end) = bytes.windows(2).position(|two| two == b"\r\n") else {
            return Ok(None);
        };
        let size = std::str::from_utf8(&bytes[..line_end])?.split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(size.trim(), 16).context("a chunk's size")?;
        let start = line_end + 2;
        if bytes.len() < start + size + 2 {
            return Ok(None);
        }
        if size == 0 {
            return Ok(Some(body));
        }
        body.extend_from_slice(&bytes[start..start + size]);
        bytes = &bytes[start + size + 2..];
    }
}

// ---- What Hallway offers over HTTP ----

/// `GET path`.
///
/// # Errors
/// As [`Request::send`].
pub fn get(to: SocketAddr, path: &str) -> Result<Response> {
    Request::new("GET", path).send(to)
}

/// Registers in conference `demo` (open sign-in) with the uid as name, and returns the token.
///
/// # Errors
/// When the answer is not 201.
pub fn register(to: SocketAddr, uid: &str, password: &str) -> Result<String> {
    let body = json!({"conference": "demo", "uid": uid, "password": password, "name": display_name(uid)});
    token_of(Request::new("POST", "/api/register").json(&body).send(to)?, 201)
}

/// Signs in to `conference`, and returns the token.
///
/// # Errors
/// When the answer is not 200.
pub fn login(to: SocketAddr, conference: &str, uid: &str, password: &str) -> Result<String> {
    let body = json!({"conference": conference, "uid": uid, "password": password});
    token_of(Request::new("POST", "/api/login").json(&body).send(to)?, 200)
}

/// `alice` → `Alice`: the name that this program gives its people.
#[must_use]
pub fn display_name(uid: &str) -> String {
    let mut letters = uid.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn token_of(response: Response, expected: u16) -> Result<String> {
    if response.status() != expected {
        bail!("status {} instead of {expected}: {}", response.status(), response.text());
    }
    let body = response.json()?;
    Ok(body["token"].as_str().ok_or_else(|| anyhow!("no token in {body}"))?.to_owned())
}

/// One method over `POST /rpc`.
///
/// # Errors
/// When the answer is not a JSON-RPC answer with status 200.
pub fn rpc(to: SocketAddr, token: &str, method: &str, params: &Value) -> Result<Outcome> {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let response = Request::new("POST", "/rpc").header("Authorization", &format!("Bearer {token}")).json(&body).send(to)?;
    ensure!(response.status() == 200, "/rpc answered {}: {}", response.status(), response.text());
    let mut answer = response.json()?;
    ensure!(answer["id"] == 1, "an answer to another request: {answer}");
    match answer.get_mut("error") {
        Some(error) => Ok(Err(RpcError::from_value(error.take()))),
        None => Ok(Ok(answer["result"].take())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_joined() {
        assert_eq!(dechunk(b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n").expect("chunks"), Some(b"abcde".to_vec()));
        assert_eq!(dechunk(b"3\r\nabc\r\n").expect("chunks so far"), None);
        assert!(dechunk(b"zz\r\n").is_err());
    }

    #[test]
    fn a_given_header_replaces_the_default() {
        let to = SocketAddr::from(([127, 0, 0, 1], 80));
        let request = Request::new("POST", "/rpc").header("Host", "evil.example").json(&json!({})).encode(to);
        let text = String::from_utf8(request).expect("ASCII");
        assert_eq!(text.matches("Host: ").count(), 1);
        assert!(text.contains("Host: evil.example\r\n") && text.ends_with("\r\n\r\n{}"));
        assert!(text.contains("Content-Length: 2\r\n"));
    }

    #[test]
    fn names_are_made_of_uids() {
        assert_eq!(display_name("alice"), "Alice");
    }
}
