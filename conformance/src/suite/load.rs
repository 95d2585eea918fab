//! The talking that goes on while something else is tested: people who sign in, a pair whose latency is measured, and senders
//! that keep the server busy. Everything counts what it did, so that a suite can show that it was there.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};

use crate::check::{self, Ack, Event};
use crate::client::{ANSWER_WITHIN, Client, Connect};
use crate::http;
use crate::script::password;
use crate::server::{self, Options, Server};

/// Registers somebody (or signs them in when they are there already), and returns the token.
pub fn token(server: &Server, uid: &str) -> Result<String> {
    let secret = password(uid);
    http::register(server.http(), uid, &secret)
        .or_else(|why| http::login(server.http(), "demo", uid, &secret).with_context(|| format!("registering {uid} was answered: {why:#}")))
}

/// Somebody new, signed in over WebSocket.
pub fn join(server: &Server, uid: &str) -> Result<Client> {
    Ok(Client::sign_in(server.http(), &token(server, uid)?)?)
}

/// Somebody who takes only what a small socket buffer holds.
pub fn join_with_small_buffer(server: &Server, uid: &str) -> Result<Client> {
    let token = token(server, uid)?;
    let mut client = Connect::new().receive_buffer_bytes(4096).open(server.http())?;
    client.hello(&token)?;
    Ok(client)
}

/// `message.send`'s parameters.
pub fn draft(conversation: &str, id: &str, text: &str) -> Value {
    json!({"conversation": conversation, "id": id, "text": text})
}

/// What an answer to `message.send` promises.
pub fn ack(from: &str, id: &str, text: &str, result: &Value) -> Result<Ack> {
    let word = |member: &str| result[member].as_str().map(str::to_owned).with_context(|| format!("no {member} in {result}"));
    Ok(Ack {
        from: from.to_owned(),
        kind: "message",
        seq: result["seq"].as_u64().with_context(|| format!("no seq in {result}"))?,
        id: word("id")?,
        ts: word("ts")?,
        client_id: Some(id.to_owned()),
        text: Some(text.to_owned()),
        target: None,
    })
}

/// A whole stored history, page by page.
pub fn history(client: &mut Client, conversation: &str) -> Result<Vec<Event>> {
    let mut events: Vec<Event> = Vec::new();
    loop {
        let after = events.last().map_or(0, |event| event.seq);
        let page = client.call_ok("conversation.history", &json!({"conversation": conversation, "after": after, "limit": 500}))?;
        let more = page["events"].as_array().with_context(|| format!("no events in {page}"))?;
        ensure!(page["complete"] == true || !more.is_empty(), "an empty page that is not complete");
        for event in more {
            events.push(Event::parse(event)?);
        }
        if page["complete"] == true {
            return Ok(events);
        }
    }
}

/// A stored history must be sound and hold what was acked.
pub fn verify(stored: &[Event], acks: &[Ack]) -> Result<()> {
    let mut violations = check::history(stored);
    violations.extend(check::deletions(stored));
    violations.extend(check::acks(stored, acks));
    match violations.first() {
        None => Ok(()),
        Some(first) => Err(anyhow!("{first} (and {} more violations)", violations.len() - 1)),
    }
}

// ---- A pair that talks and measures ----

/// Two people who exchange a message every few milliseconds; from sending to seeing.
pub struct Pair {
    stop: SyncSender<()>,
    thread: JoinHandle<Result<Vec<Duration>>>,
}

/// What a pair measured.
#[derive(Debug, Clone, Copy)]
pub struct Latency {
    /// How many messages arrived.
    pub count: usize,
    /// 99 of 100 were faster; of fewer, all but one.
    pub p99: Duration,
    /// The slowest.
    pub max: Duration,
}

impl std::fmt::Display for Latency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        write!(f, "{} messages, p99 {:.1} ms, max {:.1} ms", self.count, ms(self.p99), ms(self.max))
    }
}

impl Pair {
    /// Starts a pair in a direct conversation.
    pub fn start(server: &Server, name: &str) -> Result<Pair> {
        let (one, two) = (format!("{name}-a"), format!("{name}-b"));
        let (mut a, mut b) = (join(server, &one)?, join(server, &two)?);
        let conversation = a.call_ok("conversation.open", &json!({"with": two}))?["conversation"].clone();
        b.call_ok("conversation.subscribe", &json!({"conversation": conversation}))?;
        let conversation = conversation.as_str().context("no conversation")?.to_owned();
        let (stop, stopped) = sync_channel(1);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || talk(&mut a, &mut b, &conversation, &stopped))?;
        Ok(Pair { stop, thread })
    }

    /// Ends it: what was measured. Fails when a message did not arrive.
    pub fn stop(self) -> Result<Latency> {
        self.stop.try_send(()).ok();
        let mut times = self.thread.join().map_err(|_| anyhow!("the pair panicked"))??;
        times.sort_unstable();
        let last = *times.last().context("the pair exchanged nothing")?;
        let at = (times.len() * 99 / 100).min(times.len().saturating_sub(2));
        Ok(Latency { count: times.len(), p99: times[at], max: last })
    }
}

/// A pair that is not to notice what is done to its server. What the machine itself does meanwhile shows at a pair on a server beside it.
pub struct Others {
    pair: Pair,
    beside: (Server, Pair),
}

impl Others {
    /// Starts both pairs.
    pub fn start(server: &Server, name: &str) -> Result<Others> {
        let calm = Server::start(Options::new())?;
        let beside = Pair::start(&calm, name)?;
        Ok(Others { pair: Pair::start(server, name)?, beside: (calm, beside) })
    }

    /// Ends them: what was measured. Fails when messages took longer than `within`, and than twice what they took on the server beside it.
    pub fn noticed_nothing(self, within: Duration) -> Result<Latency> {
        let (latency, (_calm, beside)) = (self.pair.stop()?, self.beside);
        let beside = beside.stop()?;
        ensure!(latency.p99 <= within.max(beside.p99 * 2), "{latency}: over {within:?}; on a server beside it: {beside}");
        Ok(latency)
    }
}

fn talk(a: &mut Client, b: &mut Client, conversation: &str, stopped: &Receiver<()>) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    // The pace is a wait for the end that usually does not come.
    while stopped.recv_timeout(Duration::from_millis(20)) == Err(RecvTimeoutError::Timeout) {
        let id = format!("ping-{}", times.len());
        let start = Instant::now();
        let request = a.send("message.send", &draft(conversation, &id, "ping"))?;
        while b.notification(ANSWER_WITHIN).context("the pair's message did not arrive")?["params"]["client_id"] != id.as_str() {}
        times.push(start.elapsed());
        a.answer(request, ANSWER_WITHIN)?.map_err(|error| anyhow!("the pair was refused: {error}"))?;
    }
    Ok(times)
}

// ---- Senders that keep the server busy ----

// A client id is never used twice, by no run of senders: a repeated one would be a retry, not a message.
static NEXT_RUN: AtomicU64 = AtomicU64::new(0);

/// Threads that send as fast as their window of unanswered requests allows.
pub struct Senders {
    stop: Arc<AtomicBool>,
    acked: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Result<Vec<Ack>>>>,
}

impl Senders {
    /// Starts `count` senders in `conversation`, each with `window` requests under way.
    pub fn start(server: &Server, conversation: &str, count: usize, window: usize) -> Result<Senders> {
        let (stop, acked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut threads = Vec::new();
        for at in 0..count {
            let uid = format!("sender-{conversation}-{at}");
            let mut client = join(server, &uid)?;
            let (stop, acked, conversation) = (Arc::clone(&stop), Arc::clone(&acked), conversation.to_owned());
            threads.push(std::thread::spawn(move || send_all(&mut client, &uid, &conversation, window, &stop, &acked)));
        }
        Ok(Senders { stop, acked, threads })
    }

    /// Acked so far, by all.
    pub fn acked(&self) -> u64 {
        self.acked.load(Ordering::Relaxed)
    }

    /// Ends them: every ack.
    pub fn stop(self) -> Result<Vec<Ack>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut acks = Vec::new();
        for thread in self.threads {
            acks.extend(thread.join().map_err(|_| anyhow!("a sender panicked"))??);
        }
        Ok(acks)
    }
}

fn send_all(client: &mut Client, uid: &str, conversation: &str, window: usize, stop: &AtomicBool, acked: &AtomicU64) -> Result<Vec<Ack>> {
    let (mut acks, mut waiting) = (Vec::new(), VecDeque::new());
    let run = NEXT_RUN.fetch_add(1, Ordering::Relaxed);
    let mut at = 0_u64;
    loop {
        let more = !stop.load(Ordering::Relaxed);
        if more && waiting.len() < window {
            let (id, text) = (format!("{uid}-{run}-{at}"), format!("{at} {}", "x".repeat(180)));
            waiting.push_back((client.send("message.send", &draft(conversation, &id, &text))?, id, text));
            at += 1;
            continue;
        }
        let Some((request, id, text)) = waiting.pop_front() else { return Ok(acks) };
        let result = client.answer(request, ANSWER_WITHIN)?.map_err(|error| anyhow!("{uid} was refused: {error}"))?;
        acks.push(ack(uid, &id, &text, &result)?);
        acked.fetch_add(1, Ordering::Relaxed);
    }
}

// ---- Watching memory ----

/// Samples the server's resident memory until it is stopped.
pub struct MemoryWatch {
    stop: SyncSender<()>,
    thread: JoinHandle<Result<u64>>,
}

impl MemoryWatch {
    /// Starts sampling, twenty times a second.
    pub fn start(server: &Server) -> Result<MemoryWatch> {
        let pid = server.pid()?;
        let (stop, stopped) = sync_channel(1);
        let thread = std::thread::spawn(move || {
            let mut peak = server::rss_bytes_of(pid)?;
            while stopped.recv_timeout(Duration::from_millis(50)) == Err(RecvTimeoutError::Timeout) {
                peak = peak.max(server::rss_bytes_of(pid)?);
            }
            Ok(peak)
        });
        Ok(MemoryWatch { stop, thread })
    }

    /// The largest sample.
    pub fn stop(self) -> Result<u64> {
        self.stop.try_send(()).ok();
        self.thread.join().map_err(|_| anyhow!("the watch panicked"))?
    }
}

/// Bytes as people read them.
pub fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
