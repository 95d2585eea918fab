//! Streams of events with cursors that are none, that nobody reads, and that are not theirs who ask.

use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use serde_json::{Value, json};

use super::is_alive;
use crate::client::Client;
use crate::http::{self, Request};
use crate::server::{Options, Server};
use crate::sse::EventStream;
use crate::suite::Report;
use crate::suite::load::{self, draft, mib};

/// How long an event may take.
const WITHIN: Duration = Duration::from_secs(20);
/// Streams that nobody reads.
const UNREAD: usize = 50;
/// What all of them may cost: a pipe of 64 KiB, an outbox of 256 KiB and some of the system's for each.
const EXTRA_BYTES: u64 = 64 << 20;
/// `limits.sessions_per_user` of the server, and streams that one user opens.
const PER_USER: usize = 64;
const STREAMS: usize = PER_USER + 8;
/// Messages that are said meanwhile.
const MESSAGES: usize = 4000;

/// Kills, and messages between two of them.
const KILLS: usize = 5;
const SAID: usize = 60;

/// All of it.
pub fn run(server: &Server, token: &str, report: &mut Report) {
    report.check("hostile: events, cursors that are none", || bad_cursors(server, token));
    report.check("hostile: events, requests for streams of others", || others_streams(server, token));
    report.check("hostile: events, streams that nobody reads", || unread(server));
    report.check("hostile: events, more streams than sessions: the oldest goes", || too_many(server));
    report.check("hostile: events, kills in mid-stream", kills);
}

fn open(server: &Server, token: &str, headers: &[(&str, &str)]) -> Result<EventStream> {
    let stream = EventStream::open(server.http(), &format!("accessToken={token}&conversations=lobby"), headers, None)?;
    ensure!(stream.head.status == 200, "status {}", stream.head.status);
    Ok(stream)
}

fn bad_cursors(server: &Server, token: &str) -> Result<String> {
    let mut first = open(server, token, &[])?;
    let hello = first.expect("hello", WITHIN)?;
    let epoch = hello.data["epoch"].as_str().ok_or_else(|| anyhow!("no epoch in {:?}", hello.data))?.to_owned();
    ensure!(hello.id.starts_with(&format!("{epoch}.")), "the cursor is {}", hello.id);
    let long = "9".repeat(3000);
    let far = format!("{epoch}.18446744073709551615");
    let wrong = [".", "x", "1.1", "-1.-1", &far, &format!("{epoch}.-1"), &format!("{epoch}."), &format!("{epoch}.1.1"), &long];
    for cursor in wrong {
        let mut stream = open(server, token, &[("Last-Event-ID", cursor)])?;
        let hello = stream.expect("hello", WITHIN)?;
        ensure!(hello.id.starts_with(&format!("{epoch}.")), "{cursor}: it goes on at {}", hello.id);
        let resync = stream.next(WITHIN)?.ok_or_else(|| anyhow!("{cursor}: the stream ended"))?;
        ensure!(resync.name == "resync" && resync.data["epoch"] == epoch, "{cursor}: came {resync:?}");
    }
    is_alive(server, token)?;
    Ok(format!("{} cursors", wrong.len()))
}

fn ask(server: &Server, token: &str, session: &str) -> Result<http::Response> {
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "presence.set", "params": {"status": "away"}});
    let request = Request::new("POST", "/rpc").header("Authorization", &format!("Bearer {token}")).header("Hallway-Session", session);
    request.json(&call).send(server.http())
}

fn others_streams(server: &Server, token: &str) -> Result<String> {
    let mut stream = open(server, token, &[])?;
    let session = stream.expect("hello", WITHIN)?.data["session"].as_str().unwrap_or_default().to_owned();
    ensure!(ask(server, token, &session)?.status() == 200, "one's own stream is not asked");
    let eve = load::token(server, "eve")?;
    let mut socket = Client::sign_in(server.http(), token)?;
    let sessions = socket.call_ok("session.list", &json!({}))?;
    let current = |row: &&Value| row["current"] == true;
    let over_ws = sessions["sessions"].as_array().and_then(|rows| rows.iter().find(current)).map(|row| row["session"].clone());
    let over_ws = over_ws.and_then(|session| session.as_str().map(str::to_owned)).ok_or_else(|| anyhow!("no current session"))?;
    for (who, which) in [(&eve, &session), (&token.to_owned(), &over_ws), (&eve, &"0".to_owned()), (&eve, &"x".repeat(2000))] {
        let answer = ask(server, who, which)?;
        ensure!(answer.status() == 404 && answer.json()?["error"]["data"]["reason"] == "unknown_session", "{}", answer.text());
    }
    drop(stream);
    Ok(String::new())
}

fn unread(server: &Server) -> Result<String> {
    let token = load::token(server, "sleeper")?;
    let mut reader = open(server, &load::token(server, "reader")?, &[])?;
    reader.expect("hello", WITHIN)?;
    let before = server.rss_bytes()?;
    let query = format!("accessToken={token}&conversations=lobby");
    let asleep = (0..UNREAD).map(|_| EventStream::open(server.http(), &query, &[], Some(4096))).collect::<Result<Vec<_>>>()?;
    ensure!(asleep.iter().all(|stream| stream.head.status == 200), "a stream was refused");
    let speaker = load::token(server, "speaker")?;
    let to = server.http();
    let speaking = std::thread::spawn(move || -> Result<()> {
        let mut speaker = Client::sign_in(to, &speaker)?;
        for at in 0..MESSAGES {
            // At the rate that one person may have.
            while let Err(error) =
                speaker.call("message.send", &draft("lobby", &format!("flood-{at}"), &format!("{at} {}", "x".repeat(1000))))?
            {
                ensure!(error.reason == "message_rate", "refused: {error:?}");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    });
    // Who reads gets all, once and in order, with cursors that grow.
    let (mut last_pos, mut peak) = (0, 0);
    for at in 0..MESSAGES {
        let event = reader.expect("message", Duration::from_secs(60))?;
        let text = event.data["text"].as_str().unwrap_or_default();
        ensure!(text.starts_with(&format!("{at} ")), "message {at} is {text:.20}");
        let pos: u64 = event.id.split('.').nth(1).and_then(|pos| pos.parse().ok()).ok_or_else(|| anyhow!("the id is {}", event.id))?;
        ensure!(pos > last_pos, "the cursor went from {last_pos} to {pos}");
        last_pos = pos;
        if at % 500 == 0 {
            peak = peak.max(server.rss_bytes()?);
        }
    }
    speaking.join().map_err(|_| anyhow!("the speaker panicked"))??;
    ensure!(peak <= before + EXTRA_BYTES, "memory rose from {} to {}", mib(before), mib(peak));
    is_alive(server, &token)?;
    drop(asleep);
    Ok(format!("{UNREAD} streams, {MESSAGES} messages, memory from {} to {}", mib(before), mib(peak)))
}

/// Streams that nobody reads lock nobody out: a new one has the place of the oldest.
fn too_many(server: &Server) -> Result<String> {
    let token = load::token(server, "hoarder")?;
    let mut open = Vec::new();
    for _ in 0..STREAMS {
        let stream = EventStream::open(server.http(), &format!("accessToken={token}"), &[], None)?;
        ensure!(stream.head.status == 200, "stream {} is refused: {}", open.len(), stream.head.status);
        open.push(stream);
    }
    open.last_mut().ok_or_else(|| anyhow!("none"))?.expect("hello", WITHIN)?;
    let (gone, there) = open.split_at_mut(STREAMS - PER_USER);
    for stream in gone {
        stream.expect("hello", WITHIN)?;
        let notice = stream.expect("notice", WITHIN)?;
        ensure!(notice.data["reason"] == "session_closed", "it ended by {}", notice.data);
        ensure!(stream.next(WITHIN)?.is_none(), "it goes on");
    }
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "session.list", "params": {}});
    let listed = Request::new("POST", "/rpc").header("Authorization", &format!("Bearer {token}")).json(&call).send(server.http())?;
    let count = listed.json()?["result"]["sessions"].as_array().map_or(0, Vec::len);
    ensure!(count == there.len(), "{count} sessions: {}", listed.text());
    Ok(format!("{count} of {STREAMS} are there"))
}

/// Whatever a reader had when the server was killed: by its last event it gets the rest, once and in order.
fn kills() -> Result<String> {
    let mut server = Server::start(Options::new().without_rates())?;
    let (speaking, reading) = (load::token(&server, "speaker")?, load::token(&server, "reader")?);
    let (mut said, mut read, mut last) = (0, 0, String::new());
    for round in 0..=KILLS {
        let mut speaker = Client::sign_in(server.http(), &speaking)?;
        let cursor = last.clone();
        let headers: &[(&str, &str)] = if cursor.is_empty() { &[] } else { &[("Last-Event-ID", &cursor)] };
        let mut stream = EventStream::open(server.http(), &format!("accessToken={reading}"), headers, None)?;
        last = stream.expect("hello", WITHIN)?.id;
        for _ in 0..SAID {
            speaker.call_ok("message.send", &draft("lobby", &format!("kill-{said}"), &said.to_string()))?;
            said += 1;
        }
        // Of the last round all, of each other some.
        let until = if round == KILLS { said } else { said - SAID / (round + 2) };
        while read < until {
            let event = stream.expect("message", WITHIN)?;
            ensure!(event.data["text"].as_str() == Some(read.to_string().as_str()), "message {read} is {}", event.data);
            (last, read) = (event.id, read + 1);
        }
        if round < KILLS {
            server.kill()?;
            server.restart()?;
        }
    }
    Ok(format!("{read} messages, {KILLS} kills"))
}
