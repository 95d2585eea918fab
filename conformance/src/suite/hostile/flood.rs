//! Many of something: requests whose answers nobody reads, connections that never say who they are, bytes that come one a
//! second.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::json;

use super::is_alive;
use crate::client::{ANSWER_WITHIN, Client, Connect};
use crate::server::Server;
use crate::suite::Report;
use crate::suite::load::{draft, mib};
use crate::wire::{Opcode, encode, upgrade_request};

/// Requests sent without reading an answer.
const UNREAD_REQUESTS: usize = 10_000;
/// What they may cost: `limits.answers_bytes` is 1 MiB, the rest is allowance.
const UNREAD_BYTES: u64 = 24 << 20;
/// How long the answers stay unread.
const UNREAD_FOR: Duration = Duration::from_secs(3);
/// Connections that do not say who they are: more than `limits.unauthenticated_per_address` (500).
const HALF_OPEN: usize = 600;
/// By then all of them are closed: the hello's 10 s and some allowance.
const GONE_WITHIN: Duration = Duration::from_secs(30);
/// Connections that send a byte a second.
const SLOW: usize = 20;

/// All floods, one after the other.
pub fn run(server: &Server, token: &str, report: &mut Report) {
    report.check("hostile: 10,000 requests without reading an answer", || unread_answers(server, token));
    report.check("hostile: half-open connections", || half_open(server, token, b""));
    report.check("hostile: upgrades without a hello", || {
        let request = upgrade_request(&server.http().to_string(), "/ws", [7; 16], &[]);
        half_open(server, token, &request)
    });
    report.check("hostile: pings without end before a hello", || pings_before_hello(server, token));
    report.check("hostile: one byte per second", || slow_bytes(server, token));
}

/// Pings cost a few bytes and need no answer before sign-in: who sends nothing else is sent away, and nobody waits for it.
fn pings_before_hello(server: &Server, token: &str) -> Result<String> {
    let mut pings = Vec::new();
    for _ in 0..20_000 {
        encode(&mut pings, Opcode::Ping, b"", [1, 2, 3, 4]);
    }
    let mut flooders = Vec::new();
    for _ in 0..4 {
        let client = Connect::new().open(server.http())?;
        let mut writer = client.stream().try_clone()?;
        // The server closes in the middle of it: that the rest cannot be written is the point.
        let pings = pings.clone();
        flooders.push((client, std::thread::spawn(move || writer.write_all(&pings).is_ok())));
    }
    let mut others = Connect::new().open(server.http())?;
    others.hello(token)?;
    others.call_ok("conversation.list", &json!({}))?;
    let mut closed = 0;
    for (mut client, flooder) in flooders {
        let told = client.expect_close(Duration::from_secs(15)).is_ok();
        let all_taken = flooder.join().map_err(|_| anyhow!("the flooder panicked"))?;
        ensure!(told || !all_taken, "20,000 pings were taken, and the connection stays");
        closed += usize::from(told);
    }
    Ok(format!("{closed} of 4 saw their close frame"))
}

// ---- Unread answers ----

fn unread_answers(server: &Server, token: &str) -> Result<String> {
    let mut client = Connect::new().receive_buffer_bytes(4096).open(server.http())?;
    client.hello(token)?;
    for at in 0..20 {
        let text = format!("{at} {}", "x".repeat(700));
        client.call_ok("message.send", &draft("lobby", &format!("long-{at}"), &text))?;
    }
    let before = server.rss_bytes()?;
    let mut requests = Vec::new();
    for at in 0..UNREAD_REQUESTS {
        let request = json!({"jsonrpc": "2.0", "id": format!("u{at}"), "method": "conversation.history", "params": {"conversation": "lobby", "limit": 20}});
        encode(&mut requests, Opcode::Text, request.to_string().as_bytes(), [1, 2, 3, 4]);
    }
    let mut writer = client.stream().try_clone()?;
    writer.set_write_timeout(Some(Duration::from_secs(120)))?;
    let (done, written) = sync_channel(1);
    std::thread::spawn(move || done.send(writer.write_all(&requests)).ok());
    // Whether the writer is stuck or done, by now the server has what it takes without being read.
    match written.recv_timeout(UNREAD_FOR) {
        Ok(result) => result?,
        Err(RecvTimeoutError::Timeout) => {}
        Err(error) => return Err(error.into()),
    }
    let during = server.rss_bytes()?;
    ensure!(during <= before + UNREAD_BYTES, "memory rose from {} to {}", mib(before), mib(during));
    is_alive(server, token)?;
    for at in 0..UNREAD_REQUESTS {
        let answer = client.unclaimed(ANSWER_WITHIN).with_context(|| format!("answer {at}"))?;
        ensure!(answer["id"] == format!("u{at}"), "answer {at} is {}", answer["id"]);
        let events = answer["result"]["events"].as_array().map_or(0, Vec::len);
        ensure!(events == 20, "answer {at} has {events} events");
    }
    Ok(format!("memory from {} to {}; then all answered in order", mib(before), mib(during)))
}

// ---- Connections without anybody ----

/// Opens many connections that send `first` and then nothing; all of them are gone in time, and those who are signed in or
/// come later do not mind.
fn half_open(server: &Server, token: &str, first: &[u8]) -> Result<String> {
    let mut signed_in = Client::sign_in(server.http(), token)?;
    let mut connections = Vec::new();
    for _ in 0..HALF_OPEN {
        // Over the limit it may be refused at any of these steps.
        let Ok(mut stream) = TcpStream::connect(server.http()) else { continue };
        if stream.write_all(first).is_ok() {
            connections.push(stream);
        }
    }
    ensure!(connections.len() >= HALF_OPEN / 2, "only {} connections could be opened", connections.len());
    signed_in.call_ok("session.list", &json!({})).context("one who is signed in is locked out")?;
    let deadline = Instant::now() + GONE_WITHIN;
    let opened = connections.len();
    for stream in connections {
        read_to_end(stream, deadline)?;
    }
    is_alive(server, token)?;
    signed_in.call_ok("session.list", &json!({}))?;
    Ok(format!("{opened} connections, all closed by the server"))
}

fn read_to_end(mut stream: TcpStream, deadline: Instant) -> Result<()> {
    let mut chunk = [0; 4096];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        ensure!(!left.is_zero(), "a connection without a hello is still open after {GONE_WITHIN:?}");
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

// ---- One byte per second ----

fn slow_bytes(server: &Server, token: &str) -> Result<String> {
    let request = upgrade_request(&server.http().to_string(), "/ws", [7; 16], &[("X-Long", &"x".repeat(400))]);
    let mut connections = (0..SLOW).map(|_| TcpStream::connect(server.http())).collect::<Result<Vec<_>, _>>()?;
    let start = Instant::now();
    for byte in request.chunks(1) {
        connections.retain_mut(|stream| stream.write_all(byte).is_ok());
        connections = still_open(connections, Duration::from_secs(1))?;
        if connections.is_empty() {
            is_alive(server, token)?;
            return Ok(format!("all closed after {:.0} s", start.elapsed().as_secs_f64()));
        }
        ensure!(start.elapsed() < GONE_WITHIN, "{} of {SLOW} are still open after {GONE_WITHIN:?}", connections.len());
    }
    Err(anyhow!("the request was over before the server lost its patience"))
}

/// Those that the server has not closed within the time.
fn still_open(connections: Vec<TcpStream>, within: Duration) -> Result<Vec<TcpStream>> {
    let limit = Timespec { tv_sec: within.as_secs().try_into()?, tv_nsec: 0 };
    let closed: Vec<bool> = {
        let mut watched: Vec<PollFd<'_>> = connections.iter().map(|stream| PollFd::new(stream, PollFlags::IN)).collect();
        poll(&mut watched, Some(&limit))?;
        watched.iter().map(|one| !one.revents().is_empty()).collect()
    };
    let mut chunk = [0; 4096];
    let open = connections.into_iter().zip(closed).filter_map(|(mut stream, ready)| {
        // Readable is an error answer, or the end.
        let over = ready && !matches!(stream.read(&mut chunk), Ok(count) if count > 0);
        (!over).then_some(stream)
    });
    Ok(open.collect())
}
