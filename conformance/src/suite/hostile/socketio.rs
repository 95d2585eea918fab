//! Bad Engine.IO and worse Socket.IO: each is answered as Engine.IO answers it or ended in bounded time, and meanwhile others go on talking.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};

use super::is_alive;
use crate::client::{Client, ClientError, Connect};
use crate::http::{self, Request, Response};
use crate::server::{Options, Server};
use crate::suite::Report;
use crate::suite::load::{self, MemoryWatch, Others, mib};

/// The heartbeat that the server is told to have: short, so that who is silent is gone soon.
const HEARTBEAT: Duration = Duration::from_millis(1500);
/// By then who does not poll is gone.
const GONE_WITHIN: Duration = Duration::from_secs(15);
/// Handshakes of one address: more than `limits.unauthenticated_per_address`.
const HANDSHAKES: usize = 700;
/// `limits.unauthenticated_per_address`.
const PER_ADDRESS: usize = 500;
/// Clients that ask for much and never poll for an answer.
const UNREAD_CLIENTS: usize = 8;
/// What they may cost: `limits.answers_bytes` is 1 MiB for each; the rest is allowance.
const UNREAD_BYTES: u64 = 24 << 20;
/// What all the abuse together may cost.
const EXTRA_BYTES: u64 = 96 << 20;
/// The others' latency while it goes on.
const OTHERS_P99: Duration = Duration::from_millis(100);

/// All of it against one server.
///
/// # Errors
/// When the server does not start.
pub fn run(report: &mut Report) -> Result<()> {
    let heartbeat = HEARTBEAT.as_millis();
    let options = Options::new().set("socketio.ping_interval_ms", heartbeat).set("socketio.ping_timeout_ms", heartbeat);
    let server = Server::start(options.set("limits.sessions_per_user", 64))?;
    let token = load::token(&server, "mallory")?;
    let before = server.rss_bytes()?;
    let (memory, others) = (MemoryWatch::start(&server)?, Others::start(&server, "talkers")?);
    for (name, request, status, code) in requests() {
        report.check(&format!("hostile Socket.IO: {name}"), || refused(&request.send(server.http())?, status, code));
    }
    for (name, eio, body) in bodies() {
        report.check(&format!("hostile Socket.IO: {name}"), || bad_body(&server, &token, eio, &body));
    }
    report.check("hostile Socket.IO: a body that is too large", || large_body(&server, &token));
    report.check("hostile Socket.IO: two polls at once", || two_polls(&server, &token));
    report.check("hostile Socket.IO: ids of sessions that are not there", || foreign_ids(&server, &token));
    report.check("hostile Socket.IO: answers out of order are in order", || late_polls(&server, &token));
    report.check("hostile Socket.IO: a WebSocket that takes over without a probe", || without_probe(&server, &token));
    report.check("hostile Socket.IO: bad packets over WebSocket", || bad_packets(&server, &token));
    report.check("hostile Socket.IO: a client that never polls", || never_polls(&server, &token));
    report.check("hostile Socket.IO: answers that nobody fetches", || unread(&server, &token));
    report.check("hostile Socket.IO: what only a service may tell", || notify(&server, &token));
    report.check("hostile Socket.IO: a guest who neither says a name nor answers", || silent_guest(&server));
    report.check("hostile Socket.IO: a flood of handshakes", || flood(&server, &token));
    report.check("hostile Socket.IO: the others did not notice", || {
        let latency = others.noticed_nothing(OTHERS_P99)?;
        Ok(latency.to_string())
    });
    report.check("hostile Socket.IO: memory is bounded", || {
        let peak = memory.stop()?;
        ensure!(peak <= before + EXTRA_BYTES, "{} at the start, {} at the peak", mib(before), mib(peak));
        Ok(format!("{} at the start, {} at the peak", mib(before), mib(peak)))
    });
    Ok(())
}

// ---- A polling client ----

fn path(query: &str) -> String {
    format!("/socket.io/?{query}")
}

struct Poller {
    to: SocketAddr,
    eio: u8,
    sid: String,
}

impl Poller {
    fn open(to: SocketAddr, eio: u8, claims: &str) -> Result<Poller> {
        let response = Request::new("GET", &path(&format!("EIO={eio}&transport=polling{claims}"))).send(to)?;
        ensure!(response.status() == 200, "the handshake was answered by {}: {}", response.status(), response.text());
        let text = response.text();
        let json = text.find('{').zip(text.rfind('}')).map(|(from, to)| &text[from..=to]).context("no handshake")?;
        let opening: Value = serde_json::from_str(json).with_context(|| text.clone())?;
        let sid = opening["sid"].as_str().context("no sid")?.to_owned();
        Ok(Poller { to, eio, sid })
    }

    /// Signed in.
    fn sign_in(to: SocketAddr, token: &str) -> Result<Poller> {
        let poller = Poller::open(to, 4, "")?;
        poller.post_ok(format!("40{}", json!({"token": token})).as_bytes())?;
        let text = poller.get()?.text();
        ensure!(text.starts_with("40{"), "the connect packet was answered by {text}");
        Ok(poller)
    }

    fn path(&self) -> String {
        path(&format!("EIO={}&transport=polling&sid={}", self.eio, self.sid))
    }

    fn get(&self) -> Result<Response> {
        Request::new("GET", &self.path()).send(self.to)
    }

    fn post(&self, body: &[u8]) -> Result<Response> {
        Request::new("POST", &self.path()).header("Content-Type", "text/plain;charset=UTF-8").body(body.to_vec()).send(self.to)
    }

    fn post_ok(&self, body: &[u8]) -> Result<()> {
        let response = self.post(body)?;
        ensure!(response.status() == 200 && response.text() == "ok", "a post was answered by {}: {}", response.status(), response.text());
        Ok(())
    }

    /// A request under way that is not waited for.
    fn begin(&self, method: &str, body: &[u8]) -> Result<TcpStream> {
        let mut stream = TcpStream::connect(self.to)?;
        stream.set_read_timeout(Some(GONE_WITHIN))?;
        let head = format!("{method} {} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n", self.path(), self.to, body.len());
        stream.write_all(&[head.as_bytes(), body].concat())?;
        Ok(stream)
    }

    /// The session is not there any more.
    fn is_gone(&self) -> Result<()> {
        let deadline = Instant::now() + GONE_WITHIN;
        loop {
            let response = self.get()?;
            if response.status() == 400 {
                return refused(&response, 400, Some(1)).map(drop);
            }
            ensure!(Instant::now() < deadline, "the session goes on: {}", response.text());
        }
    }
}

fn refused(response: &Response, status: u16, code: Option<u64>) -> Result<String> {
    ensure!(response.status() == status, "{} instead of {status}: {}", response.status(), response.text());
    if let Some(code) = code {
        ensure!(response.json()?["code"] == code, "not code {code}: {}", response.text());
    }
    Ok(String::new())
}

// ---- Requests ----

type Case = (&'static str, Request, u16, Option<u64>);

fn requests() -> Vec<Case> {
    let get = |query: &str| Request::new("GET", &path(query));
    vec![
        ("no transport", get(""), 400, Some(0)),
        ("an unknown transport", get("EIO=4&transport=tube"), 400, Some(0)),
        ("another version", get("EIO=2&transport=polling"), 400, Some(5)),
        ("no version", get("transport=polling"), 400, Some(5)),
        ("JSONP", get("EIO=3&transport=polling&j=0"), 400, Some(3)),
        ("an id that is none", get("EIO=4&transport=polling&sid=%00"), 400, Some(1)),
        ("a POST that opens", Request::new("POST", &path("EIO=4&transport=polling")).body(b"2".to_vec()), 400, Some(2)),
        ("WebSocket without an upgrade", get("EIO=4&transport=websocket"), 400, Some(3)),
        ("another method", Request::new("PUT", &path("EIO=4&transport=polling")), 405, None),
        ("another site's page", get("EIO=4&transport=polling").header("Origin", "https://evil.example"), 403, None),
        ("another host", get("EIO=4&transport=polling").header("Host", "evil.example"), 403, None),
        ("a query that is no text", get("EIO=4&transport=polling&sid=%ff"), 400, Some(3)),
        ("a query without end", get(&"x=%zz&".repeat(1500)), 400, Some(3)),
        ("a service's request without a token", Request::new("POST", "/api/notify").json(&json!({"event": "x"})), 401, None),
    ]
}

// ---- Bodies ----

fn bodies() -> Vec<(&'static str, u8, Vec<u8>)> {
    let deep = format!("42[\"x\",{}1{}]", "[".repeat(10_000), "]".repeat(10_000));
    vec![
        ("an empty body", 4, Vec::new()),
        ("a packet of no type", 4, b"9".to_vec()),
        ("a letter for a type", 4, "é".into()),
        ("a binary packet", 4, b"bAQIDBA==".to_vec()),
        ("ten thousand packets", 4, b"3\x1e".repeat(10_000)),
        ("an event that is no JSON", 4, b"42[\"x\"".to_vec()),
        ("an event without a name", 4, b"42[1]".to_vec()),
        ("an event that is no array", 4, b"42{}".to_vec()),
        ("a binary event", 4, b"451-[\"x\",{\"_placeholder\":true,\"num\":0}]".to_vec()),
        ("an ack id without end", 4, [b"42".to_vec(), b"9".repeat(100), b"[\"x\"]".to_vec()].concat()),
        ("nesting without end", 4, deep.into_bytes()),
        ("a namespace that nobody is in", 4, b"42/admin,[\"x\"]".to_vec()),
        ("no UTF-8", 4, b"42[\"\xff\"]".to_vec()),
        ("a length that is none", 3, b"x:42".to_vec()),
        ("a length beyond the end", 3, b"99:2".to_vec()),
        ("a length of no number", 3, b"99999999999999999999:2".to_vec()),
        ("a length that splits a character", 3, "2:4😀".into()),
        ("protocol 4 in protocol 3", 3, b"40".to_vec()),
    ]
}

/// The body is refused, and the session ends, as Engine.IO has it; not UTF-8 is refused before it comes to that.
fn bad_body(server: &Server, token: &str, eio: u8, body: &[u8]) -> Result<String> {
    let poller = match eio {
        4 => Poller::sign_in(server.http(), token)?,
        _ => Poller::open(server.http(), eio, &format!("&token={token}"))?,
    };
    let response = poller.post(body)?;
    ensure!(response.status() == 400, "{}: {}", response.status(), response.text());
    if std::str::from_utf8(body).is_ok() {
        poller.is_gone()?;
    }
    is_alive(server, token)?;
    Ok(String::new())
}

fn large_body(server: &Server, token: &str) -> Result<String> {
    let poller = Poller::sign_in(server.http(), token)?;
    let body = format!("42[\"message\",{{\"message\":\"{}\"}}]", "x".repeat(2_000_000));
    // The server may close before all is written.
    match poller.post(body.as_bytes()) {
        Ok(response) => ensure!(response.status() == 413, "{}: {}", response.status(), response.text()),
        Err(error) => ensure!(format!("{error:#}").contains("reset") || format!("{error:#}").contains("pipe"), "{error:#}"),
    }
    is_alive(server, token)?;
    poller.post_ok(b"3")?;
    Ok(String::new())
}

// ---- Order ----

/// As Engine.IO has it, who polls twice at once is sent away.
fn two_polls(server: &Server, token: &str) -> Result<String> {
    let poller = Poller::sign_in(server.http(), token)?;
    // What is told first must not be what answers the one that is to wait.
    while poller.get()?.text() != "2" {}
    poller.post_ok(b"3")?;
    let mut first = poller.begin("GET", b"")?;
    // One of the two comes second; it is refused, and the other one ended.
    let second = poller.get()?;
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    while !answer.ends_with(b"1") && !answer.ends_with(b"}") {
        let read = first.read(&mut chunk)?;
        ensure!(read > 0, "the other poll was not answered: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&chunk[..read]);
    }
    let first = String::from_utf8_lossy(&answer).into_owned();
    let refusals = [first.contains("400 Bad Request"), second.status() == 400];
    ensure!(refusals.iter().filter(|refused| **refused).count() == 1, "{first} and {}", second.text());
    poller.is_gone()?;
    Ok(String::new())
}

fn foreign_ids(server: &Server, token: &str) -> Result<String> {
    let poller = Poller::sign_in(server.http(), token)?;
    let altered = |at: usize| {
        let mut sid = poller.sid.clone().into_bytes();
        sid[at] = if sid[at] == b'a' { b'b' } else { b'a' };
        String::from_utf8_lossy(&sid).into_owned()
    };
    let ids = (0..poller.sid.len()).map(altered).chain(["a".repeat(32), "7".repeat(32), poller.sid.to_uppercase()]);
    let mut tried = 0;
    for sid in ids {
        let other = Poller { sid, ..Poller { to: poller.to, eio: 4, sid: String::new() } };
        refused(&other.get()?, 400, Some(1))?;
        refused(&other.post(b"1")?, 400, Some(1))?;
        tried += 1;
    }
    poller.post_ok(b"3")?;
    Ok(format!("{tried} ids"))
}

/// Who posts much before it polls gets all answers, in the order of what was asked.
fn late_polls(server: &Server, token: &str) -> Result<String> {
    let poller = Poller::sign_in(server.http(), token)?;
    let mut body = Vec::new();
    for at in 0..200 {
        let message = json!(["message", {"conversation": "lobby", "message": "x", "id": format!("late-{at}-{}", poller.sid)}]);
        body.extend_from_slice(format!("{}42{at}{message}", if at == 0 { "" } else { "\u{1e}" }).as_bytes());
    }
    poller.post_ok(&body)?;
    let (mut next, deadline) = (0, Instant::now() + GONE_WITHIN);
    while next < 200 {
        ensure!(Instant::now() < deadline, "only {next} answers");
        for packet in poller.get()?.text().split('\u{1e}') {
            if packet == "2" {
                poller.post_ok(b"3")?;
            } else if packet.starts_with("43") {
                ensure!(packet.starts_with(&format!("43{next}[{{\"ok\":true")), "after {next} answers: {packet}");
                next += 1;
            }
        }
    }
    Ok(String::new())
}

// ---- WebSocket ----

fn websocket(server: &Server, query: &str) -> Result<Client> {
    Ok(Connect::new().path(&path(query)).open(server.http())?)
}

/// The server ends the connection, whatever it says before.
fn ends(client: &Client) -> Result<()> {
    let mut stream = client.stream();
    stream.set_read_timeout(Some(GONE_WITHIN))?;
    let (mut chunk, start) = ([0; 4096], Instant::now());
    loop {
        ensure!(start.elapsed() < GONE_WITHIN, "it goes on after {GONE_WITHIN:?}");
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(()),
            Err(error) => return Err(error).context("the connection goes on"),
        }
    }
}

/// The polling session goes on as if nothing had been.
fn without_probe(server: &Server, token: &str) -> Result<String> {
    let poller = Poller::sign_in(server.http(), token)?;
    for first in ["5", "42[\"message\",{}]", "40{}", "2", "2probes"] {
        let mut client = websocket(server, &format!("EIO=4&transport=websocket&sid={}", poller.sid))?;
        client.send_text(first)?;
        ends(&client).with_context(|| format!("after {first}"))?;
    }
    // After a probe that leads to nothing, too.
    let mut client = websocket(server, &format!("EIO=4&transport=websocket&sid={}", poller.sid))?;
    client.send_text("2probe")?;
    client.send_text("42[\"x\"]")?;
    ends(&client)?;
    poller.post_ok("3\u{1e}42[\"leave\",\"lobby\"]".as_bytes())?;
    let mut nobodys = websocket(server, &format!("EIO=4&transport=websocket&sid={}", "a".repeat(32)))?;
    nobodys.send_text("2probe")?;
    ends(&nobodys)?;
    is_alive(server, token)?;
    Ok(String::new())
}

fn bad_packets(server: &Server, token: &str) -> Result<String> {
    let cases = ["", "9", "b", "4", "42", "42{", "451-[\"x\"]", "42/admin,[\"x\"]", "é"];
    for packet in cases {
        for is_in in [false, true] {
            let mut client = websocket(server, "EIO=4&transport=websocket")?;
            if is_in {
                client.send_text(&format!("40{}", json!({"token": token})))?;
            }
            match client.send_text(packet) {
                Err(ClientError::Lost(error)) if error.kind() == ErrorKind::BrokenPipe => {}
                sent => sent?,
            }
            ends(&client).with_context(|| format!("{packet:?} {}", if is_in { "signed in" } else { "before" }))?;
        }
    }
    is_alive(server, token)?;
    Ok(format!("{} packets", cases.len() * 2))
}

// ---- A service ----

/// A service tells people something of its own; nobody else does, and nothing that is the server's.
fn notify(server: &Server, token: &str) -> Result<String> {
    server.cli_ok(&["user", "add", "demo/robot", "--role", "service", "--password", "correct horse battery"])?;
    let service = http::login(server.http(), "demo", "robot", "correct horse battery")?;
    let post = |token: &str, body: &Value| {
        Request::new("POST", "/api/notify").header("Authorization", &format!("Bearer {token}")).json(body).send(server.http())
    };
    let rows = [
        (token, json!({"userId": "mallory", "event": "raffle"}), 403),
        (&*service, json!({"userId": "mallory", "event": "message"}), 409),
        (&*service, json!({"userId": "mallory", "event": "disconnect"}), 409),
        (&*service, json!({"userId": "mallory", "event": ""}), 400),
        (&*service, json!({"userId": "mallory", "event": "x".repeat(129)}), 400),
        (&*service, json!({"event": "raffle"}), 400),
        (&*service, json!({"userId": "mallory", "users": ["mallory"], "event": "raffle"}), 400),
        (&*service, json!({"users": vec!["mallory"; 10_001], "event": "raffle"}), 413),
        (&*service, json!({"conversation": "no-such-room", "event": "raffle"}), 404),
        (&*service, json!([]), 400),
    ];
    let poller = Poller::sign_in(server.http(), token)?;
    for (token, body, status) in &rows {
        let response = post(token, body)?;
        ensure!(response.status() == *status, "{} instead of {status}: {}", response.status(), response.text());
    }
    let told = post(&service, &json!({"users": ["mallory", "nobody"], "event": "raffle", "payload": {"won": true}}))?;
    ensure!(told.status() == 202 && told.json()?["sockets"].as_u64() >= Some(1), "{}: {}", told.status(), told.text());
    let deadline = Instant::now() + GONE_WITHIN;
    while !poller.get()?.text().contains(r#"42["raffle",{"won":true}]"#) {
        ensure!(Instant::now() < deadline, "the event did not come");
    }
    Ok(format!("{} refusals", rows.len()))
}

// ---- Silence and floods ----

fn live_sessions(server: &Server, token: &str) -> Result<usize> {
    let mut client = Client::sign_in(server.http(), token)?;
    let listed = client.call_ok("session.list", &json!({}))?;
    client.close()?;
    let sessions = listed["sessions"].as_array().ok_or_else(|| anyhow!("no sessions in {listed}"))?;
    Ok(sessions.iter().filter(|session| session["protocol"] == "socketio").count())
}

fn wait_for_none(server: &Server, token: &str) -> Result<()> {
    let deadline = Instant::now() + GONE_WITHIN;
    while live_sessions(server, token)? > 0 {
        ensure!(Instant::now() < deadline, "sessions are still there after {GONE_WITHIN:?}");
    }
    Ok(())
}

/// One that says nothing, and one that goes on posting.
fn never_polls(server: &Server, token: &str) -> Result<String> {
    let (_silent, talker) = (Poller::sign_in(server.http(), token)?, Poller::sign_in(server.http(), token)?);
    let start = Instant::now();
    while start.elapsed() < GONE_WITHIN {
        if talker.post(b"3")?.status() == 400 {
            wait_for_none(server, token)?;
            return Ok(format!("gone after {:.1} s", start.elapsed().as_secs_f64()));
        }
    }
    Err(anyhow!("who never polls is still there after {GONE_WITHIN:?}"))
}

/// Requests with large answers, and never a poll: the server stops taking them.
fn unread(server: &Server, token: &str) -> Result<String> {
    let mut client = Client::sign_in(server.http(), token)?;
    for at in 0..20 {
        client.call_ok("message.send", &load::draft("lobby", &format!("unread-{at}"), &format!("{at} {}", "x".repeat(700))))?;
    }
    let before = server.rss_bytes()?;
    let history =
        json!(["rpc", {"jsonrpc": "2.0", "id": 1, "method": "conversation.history", "params": {"conversation": "lobby", "limit": 20}}]);
    let body = vec![format!("421{history}"); 250].join("\u{1e}");
    let mut streams = Vec::new();
    for _ in 0..UNREAD_CLIENTS {
        streams.push(Poller::sign_in(server.http(), token)?.begin("POST", body.as_bytes())?);
    }
    // Nobody polls, so that not all of it is taken; then the session is over.
    for mut stream in streams {
        let mut answer = [0; 16];
        let read = stream.read(&mut answer).context("a post is not answered")?;
        ensure!(answer[..read].starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&answer[..read]));
    }
    let after = server.peak_rss_bytes()?;
    ensure!(after <= before + UNREAD_BYTES, "memory rose from {} to {}", mib(before), mib(after));
    wait_for_none(server, token)?;
    Ok(format!("memory from {} to {}", mib(before), mib(after)))
}

/// A guest without a name, over WebSocket, who does not answer a ping.
fn silent_guest(server: &Server) -> Result<String> {
    let start = Instant::now();
    let mut client = websocket(server, "EIO=4&transport=websocket&conference=demo")?;
    client.send_text("40")?;
    ends(&client)?;
    ensure!(start.elapsed() >= HEARTBEAT, "it ended after {:?}", start.elapsed());
    Ok(format!("ended after {:.1} s", start.elapsed().as_secs_f64()))
}

/// Sessions that nobody signs in on are bounded for each address, and go by themselves; who is signed in or comes in by other ways does not mind.
fn flood(server: &Server, token: &str) -> Result<String> {
    let mut signed_in = Client::sign_in(server.http(), token)?;
    let (mut opened, mut refusals) = (0, 0);
    for _ in 0..HANDSHAKES {
        match Poller::open(server.http(), 4, "") {
            Ok(_) => opened += 1,
            Err(_) => refusals += 1,
        }
    }
    // While they come, some of the first have gone.
    ensure!(opened > 0 && refusals > 0, "{opened} opened, {refusals} refused");
    // At once, and not when they have gone; another one is at the door as well.
    let _other = TcpStream::connect(server.http())?;
    let health = http::get(server.http(), "/healthz").context("nobody of the address gets in by other ways")?;
    ensure!(health.status() == 200, "/healthz says {}", health.status());
    signed_in.call_ok("session.list", &json!({})).context("one who is signed in is locked out")?;
    let deadline = Instant::now() + GONE_WITHIN;
    while Poller::sign_in(server.http(), token).is_err() {
        ensure!(Instant::now() < deadline, "nobody gets in after {GONE_WITHIN:?}");
    }
    ensure!(opened < PER_ADDRESS * 2, "{opened} were opened");
    is_alive(server, token)?;
    Ok(format!("{opened} opened, {refusals} refused"))
}
