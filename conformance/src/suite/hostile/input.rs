//! One bad message, frame or request each, and what must come of it.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use super::is_alive;
use crate::client::{Client, ClientError};
use crate::http::Request;
use crate::script::reasons::code_of;
use crate::server::Server;
use crate::suite::Report;
use crate::wire::{Opcode, RawFrame, close_payload};

/// How long an answer or close may take.
const WITHIN: Duration = Duration::from_secs(10);
/// `limits.frame_bytes`.
const FRAME_BYTES: usize = 1_000_000;

/// What must come of it.
enum Outcome {
    /// An error with `id: null` of this reason; the connection stays.
    Error(&'static str),
    /// An answer (to a request with the id `"x"`); the connection stays.
    Answer,
    /// The connection stays, and nothing is answered.
    Nothing,
    /// A close with one of these codes.
    Close(&'static [u16]),
}

use Outcome::{Answer, Close, Error, Nothing};

/// A name, the bytes, and what must come of them.
type Case = (&'static str, Vec<u8>, Outcome);

/// Each case on a connection of its own, signed in; the server lives on after each.
pub fn run(server: &Server, token: &str, report: &mut Report) {
    for (name, bytes, outcome) in text_cases().into_iter().chain(frame_cases()).chain(size_cases()) {
        report.check(&format!("hostile: {name}"), || {
            let mut client = Client::sign_in(server.http(), token)?;
            send_ignoring_close(&mut client, &bytes)?;
            expect(&mut client, &outcome)?;
            is_alive(server, token)?;
            Ok(String::new())
        });
    }
    for (name, bytes, allowed) in http_cases() {
        report.check(&format!("hostile: HTTP, {name}"), || http_status(server, &bytes, allowed));
    }
    report.check("hostile: HTTP, a body that is too large", || body_too_large(server));
}

/// The server may close before all is written.
fn send_ignoring_close(client: &mut Client, bytes: &[u8]) -> Result<()> {
    match client.send_bytes(bytes) {
        Err(ClientError::Lost(error)) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => Ok(()),
        other => Ok(other?),
    }
}

fn expect(client: &mut Client, outcome: &Outcome) -> Result<()> {
    match outcome {
        Error(reason) => {
            let error = client.unclaimed(WITHIN)?;
            let code = code_of(reason).context("no such reason")?;
            // A batch is answered by an array, if only of one.
            let error = if error.is_array() { &error[0] } else { &error };
            ensure!(
                error["error"]["code"] == code && error["error"]["data"]["reason"] == *reason,
                "expected {code} {reason}, came {error}"
            );
            ensure!(error["id"].is_null() && error["jsonrpc"] == "2.0", "not an error with id null: {error}");
        }
        Answer => {
            let answer = client.unclaimed(WITHIN)?;
            ensure!(answer["id"] == "x" && answer.get("result").is_some(), "came {answer}");
        }
        Nothing => {}
        Close(codes) => {
            let (code, text) = client.expect_close(WITHIN)?;
            ensure!(codes.contains(&code), "closed with {code} {text:?}, expected {codes:?}");
            return Ok(());
        }
    }
    // It stays: the next request is answered, and nothing else came before.
    client.call_ok("session.list", &json!({})).context("the connection should have stayed")?;
    match client.unclaimed(Duration::from_millis(1)) {
        Err(ClientError::Timeout(..)) => Ok(()),
        other => bail!("more came: {other:?}"),
    }
}

// ---- Text messages ----

fn text(payload: &str) -> Vec<u8> {
    frame(true, Opcode::Text, payload.as_bytes())
}

fn frame(fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    raw(RawFrame { fin, reserved: 0, opcode: opcode.bits(), mask: Some([1, 2, 3, 4]), payload, claimed: None })
}

fn raw(frame: RawFrame<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    bytes
}

fn good_request(padding: usize) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":"x","method":"session.list"{}}}"#, " ".repeat(padding))
}

fn text_cases() -> Vec<Case> {
    let many = |count: usize| format!("[{}]", vec![r#"{"jsonrpc":"2.0","method":"session.list"}"#; count].join(","));
    vec![
        ("not JSON", text("hello"), Error("parse_error")),
        ("JSON that ends too early", text(r#"{"jsonrpc":"2.0","id":1"#), Error("parse_error")),
        ("JSON with something behind", text(r#"{"jsonrpc":"2.0","id":"x","method":"session.list"} true"#), Error("parse_error")),
        ("a lone surrogate", text(r#"{"jsonrpc":"2.0","method":"\ud800"}"#), Error("invalid_request")),
        ("NaN", text("NaN"), Error("parse_error")),
        ("nothing", text(""), Error("parse_error")),
        ("33 levels", text(&format!("{}{}", "[".repeat(33), "]".repeat(33))), Error("too_deep")),
        ("33 levels within params", text(&nested_params(32)), Error("too_deep")),
        ("200,000 levels", text(&"[".repeat(200_000)), Error("too_deep")),
        (
            "brackets within a text are no levels",
            text(&format!(r#"{{"jsonrpc":"2.0","id":"x","method":"people.list","params":{{"query":"{}"}}}}"#, "[".repeat(40))),
            Answer,
        ),
        ("a number", text("42"), Error("invalid_request")),
        ("null", text("null"), Error("invalid_request")),
        ("a request without a method", text(r#"{"jsonrpc":"2.0"}"#), Error("invalid_request")),
        ("a request whose id is an object", text(r#"{"jsonrpc":"2.0","id":{},"method":"session.list"}"#), Error("invalid_request")),
        ("an empty batch", text("[]"), Error("invalid_request")),
        ("a batch of numbers", text("[1]"), Error("invalid_request")),
        ("a batch in a batch", text(r#"[[{"jsonrpc":"2.0","id":"x","method":"session.list"}]]"#), Error("invalid_request")),
        ("a batch of 101", text(&many(101)), Error("batch_too_large")),
        ("a batch of 100 notifications", text(&many(100)), Nothing),
    ]
}

/// A request whose params add `depth` levels to the request's own one.
fn nested_params(depth: usize) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":"x","method":"session.list","params":{}1{}}}"#, "[".repeat(depth), "]".repeat(depth))
}

// ---- Frames (RFC 6455) ----

fn frame_cases() -> Vec<Case> {
    let request = good_request(0);
    let bytes = request.as_bytes();
    let odd = |fin, reserved, opcode, mask, payload| raw(RawFrame { fin, reserved, opcode, mask, payload, claimed: None });
    let mask = Some([9, 8, 7, 6]);
    let umlauts = r#"{"jsonrpc":"2.0","id":"x","method":"people.list","params":{"query":"ä"}}"#.as_bytes();
    let within_umlaut = umlauts.iter().position(|byte| *byte == 0xC3).unwrap_or_default() + 1;
    let (first, rest) = umlauts.split_at(within_umlaut);
    vec![
        ("a binary message", frame(true, Opcode::Binary, bytes), Close(&[1003])),
        ("text that is not UTF-8", frame(true, Opcode::Text, b"\"\xff\xfe\""), Close(&[1007])),
        ("text that ends within a letter", frame(true, Opcode::Text, b"\"\xc3"), Close(&[1007])),
        ("an overlong encoding", frame(true, Opcode::Text, b"\"\xc0\xaf\""), Close(&[1007])),
        ("fragments that part a letter", [frame(false, Opcode::Text, first), frame(true, Opcode::Continuation, rest)].concat(), Answer),
        (
            "fragments with a ping between",
            [frame(false, Opcode::Text, &bytes[..9]), frame(true, Opcode::Ping, b"p"), frame(true, Opcode::Continuation, &bytes[9..])]
                .concat(),
            Answer,
        ),
        ("a message in one-byte fragments", one_byte_fragments(bytes), Answer),
        ("a frame without a mask", odd(true, 0, 1, None, bytes), Close(&[1002])),
        ("a reserved bit", odd(true, 4, 1, mask, bytes), Close(&[1002])),
        ("a reserved opcode", odd(true, 0, 3, mask, bytes), Close(&[1002])),
        ("a reserved control opcode", odd(true, 0, 0xB, mask, b""), Close(&[1002])),
        ("a fragmented ping", odd(false, 0, 9, mask, b"x"), Close(&[1002])),
        ("a ping of 126 bytes", odd(true, 0, 9, mask, &[b'x'; 126]), Close(&[1002])),
        ("a continuation of nothing", frame(true, Opcode::Continuation, bytes), Close(&[1002])),
        ("a new message within another", [frame(false, Opcode::Text, b"\"a"), frame(true, Opcode::Text, b"b\"")].concat(), Close(&[1002])),
        ("half a close code", frame(true, Opcode::Close, b"\x03"), Close(&[1002])),
        ("a close code that may not be sent", frame(true, Opcode::Close, &close_payload(1005, "")), Close(&[1002])),
        ("a close text that is not UTF-8", frame(true, Opcode::Close, b"\x03\xe8\xff"), Close(&[1002, 1007])),
        ("a good close", frame(true, Opcode::Close, &close_payload(1000, "bye")), Close(&[1000])),
        ("a pong nobody asked for", frame(true, Opcode::Pong, b"x"), Nothing),
    ]
}

fn one_byte_fragments(bytes: &[u8]) -> Vec<u8> {
    let last = bytes.len() - 1;
    let fragment = |(at, byte): (usize, &u8)| {
        let opcode = if at == 0 { Opcode::Text } else { Opcode::Continuation };
        frame(at == last, opcode, std::slice::from_ref(byte))
    };
    bytes.iter().enumerate().flat_map(fragment).collect()
}

// ---- Sizes ----

fn size_cases() -> Vec<Case> {
    let padding = FRAME_BYTES - good_request(0).len();
    let claim =
        |claimed| raw(RawFrame { fin: true, reserved: 0, opcode: 1, mask: Some([1, 2, 3, 4]), payload: b"x", claimed: Some(claimed) });
    let third = vec![b' '; FRAME_BYTES / 3 + 1];
    vec![
        ("a message of exactly the limit", text(&good_request(padding)), Answer),
        ("a message one byte over the limit", text(&good_request(padding + 1)), Close(&[1009])),
        ("a frame that claims 2^40 bytes", claim(1 << 40), Close(&[1009])),
        ("a frame that claims 2^63 bytes", claim(1 << 63), Close(&[1002, 1009])),
        (
            "fragments that are too large together",
            [frame(false, Opcode::Text, &third), frame(false, Opcode::Continuation, &third), frame(true, Opcode::Continuation, &third)]
                .concat(),
            Close(&[1009]),
        ),
    ]
}

// ---- HTTP ----

/// A name, the bytes, and the statuses that may answer; 0 is a close without an answer.
fn http_cases() -> Vec<(&'static str, Vec<u8>, &'static [u16])> {
    let upgrade = |key: &str, version: &str| {
        format!(
            "GET /ws HTTP/1.1\r\nHost: HOST\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{key}Sec-WebSocket-Version: {version}\r\n\r\n"
        )
        .into_bytes()
    };
    let long_header = format!("GET / HTTP/1.1\r\nHost: HOST\r\nX-Long: {}\r\n\r\n", "x".repeat(1 << 20));
    let many_headers: String = (0..5000).map(|at| format!("X-{at}: x\r\n")).collect();
    vec![
        ("not HTTP", b"\x16\x03\x01\x02\x00 hello\r\n\r\n".to_vec(), &[0, 400]),
        ("an upgrade without a key", upgrade("", "13"), &[400]),
        ("an upgrade of another version", upgrade("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "12"), &[400, 426]),
        ("no upgrade at /ws", b"GET /ws HTTP/1.1\r\nHost: HOST\r\n\r\n".to_vec(), &[400, 426]),
        ("no Host", b"GET /rpc HTTP/1.1\r\n\r\n".to_vec(), &[400, 403, 405]),
        ("two lengths", b"POST /api/login HTTP/1.1\r\nHost: HOST\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}".to_vec(), &[0, 400]),
        ("a header of 1 MiB", long_header.into_bytes(), &[0, 400, 431]),
        ("5,000 headers", format!("GET / HTTP/1.1\r\nHost: HOST\r\n{many_headers}\r\n").into_bytes(), &[0, 400, 431]),
    ]
}

fn http_status(server: &Server, bytes: &[u8], allowed: &[u16]) -> Result<String> {
    let host = server.http().to_string();
    let bytes = replace(bytes, b"HOST", host.as_bytes());
    let mut stream = TcpStream::connect(server.http())?;
    stream.set_read_timeout(Some(WITHIN))?;
    // The server may answer and close before it has read all.
    stream.write_all(&bytes).ok();
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    let status = loop {
        if let Ok(Some((head, _))) = crate::wire::parse_response_head(&answer) {
            break head.status;
        }
        match stream.read(&mut chunk) {
            Ok(0) => break 0,
            Ok(count) => answer.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break 0,
            Err(error) => return Err(error).context("neither an answer nor a close"),
        }
    };
    ensure!(allowed.contains(&status), "status {status}, expected one of {allowed:?}: {}", String::from_utf8_lossy(&answer));
    Ok(format!("status {status}"))
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    match bytes.windows(from.len()).position(|window| window == from) {
        None => bytes.to_vec(),
        Some(at) => [&bytes[..at], to, &bytes[at + from.len()..]].concat(),
    }
}

fn body_too_large(server: &Server) -> Result<String> {
    // The length alone says it: nothing of the body is sent.
    let claim = (FRAME_BYTES + 1).to_string();
    for path in ["/rpc", "/api/login", "/api/register"] {
        let request = Request::new("POST", path)
            .header("Content-Type", "application/json")
            .header("Authorization", "Bearer x")
            .header("Content-Length", &claim);
        let response = request.send(server.http())?;
        let expected: &[u16] = if path == "/rpc" { &[401, 413] } else { &[413] };
        ensure!(expected.contains(&response.status()), "{path} answered {}", response.status());
        if path != "/rpc" {
            let reason = response.json()?["error"]["data"]["reason"].clone();
            ensure!(reason == "too_large", "{path}: the reason is {reason}");
        }
    }
    Ok(String::new())
}
