//! A reader of the venue: sends what it reads when it is due, over its broker, keeps what was not acknowledged and sends it again, and listens to
//! what comes of each scan.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::mosquitto::READERS;
use super::plan::Message;
use super::posts::{POSTS, Post, Way};
use crate::mqtt::Version;
use crate::mqtt::client::{Client, Seen};
use crate::mqtt::packet::{Connect, PUBACK, Publish};
use crate::mqtt::parse::Packet;
use crate::mqtt::property::{SESSION_EXPIRY, Value as Property};
use crate::script::password;

/// Messages that a reader sends without having heard that they were taken.
const WINDOW: usize = 10;
/// What a message that waits for another's answer waits longer than that: a badge bounces for two seconds.
const MOMENTS: Duration = Duration::from_millis(2_600);
/// How long a reader looks for something to come before it looks for something to do.
const TURN: Duration = Duration::from_millis(5);
/// How long it waits before it connects again.
const AGAIN: Duration = Duration::from_millis(100);
/// That a badge bounces is told once and not kept: when something was down, it is not waited for longer than this.
const BOUNCE: Duration = Duration::from_secs(5);
/// Whatever comes after the last answer comes within this.
const QUIET: Duration = Duration::from_millis(400);
/// Packet ids of scans begin here; lower ones are for subscribing.
const FIRST_ID: u16 = 1_000;

/// What all readers share.
#[derive(Debug)]
pub struct Stage {
    /// When the scans begin.
    pub start: Instant,
    /// When it has all gone on for too long.
    pub end: Instant,
    /// Where Hallway is now.
    pub hallway: Mutex<SocketAddr>,
    /// Where the venue's broker is.
    pub venue: SocketAddr,
    /// Odd while something is down, or what it held up is not through yet.
    pub troubles: AtomicU64,
    /// When a reader's message was answered.
    pub answered: Vec<Vec<OnceLock<Instant>>>,
}

impl Stage {
    fn broker(&self, way: Way) -> Result<SocketAddr> {
        match way {
            Way::Venue(_) => Ok(self.venue),
            Way::Direct4 | Way::Direct5 => Ok(*self.hallway.lock().map_err(|_| anyhow::anyhow!("somebody panicked"))?),
        }
    }

    fn is_ready(&self, message: &Message) -> bool {
        let answered = |(reader, at): (usize, usize)| self.answered[reader][at].get().is_some_and(|when| when.elapsed() >= MOMENTS);
        self.start.elapsed() >= message.due && message.after.is_none_or(answered)
    }
}

/// What a reader was told of a badge.
#[derive(Debug, Clone)]
pub struct Told {
    /// The result.
    pub result: Value,
    /// From the message's being sent, when nothing was down meanwhile.
    pub took: Option<Duration>,
    /// It may be the answer to a repetition: the message was under way when something was down.
    pub maybe_again: bool,
}

/// How it went for a reader.
#[derive(Debug, Default)]
pub struct Shift {
    /// By message and badge.
    pub told: BTreeMap<(usize, usize), Told>,
    /// Results beyond one for each badge.
    pub repeated: usize,
    /// Bounces of which nothing was told: something was down.
    pub swallowed: usize,
    /// Messages that were sent again.
    pub sent_again: usize,
    /// Connections.
    pub connections: usize,
}

/// A message on its way.
#[derive(Debug, Clone, Copy)]
struct Sent {
    at: Instant,
    troubles: u64,
    is_acked: bool,
}

/// A reader at work.
pub struct Reader<'a> {
    at: usize,
    post: &'static Post,
    messages: &'a [Message],
    stage: &'a Stage,
    sent: Vec<Option<Sent>>,
    shift: Shift,
}

impl<'a> Reader<'a> {
    /// The reader at that place of [`POSTS`], with its messages.
    pub fn new(at: usize, messages: &'a [Message], stage: &'a Stage) -> Self {
        Self { at, post: &POSTS[at], messages, stage, sent: vec![None; messages.len()], shift: Shift::default() }
    }

    /// Until everything was sent and answered.
    pub fn work(mut self) -> Result<Shift> {
        while !self.is_done() {
            ensure!(Instant::now() < self.stage.end, "{}: {}", self.post.uid, self.missing());
            match self.connect().context(self.post.uid)? {
                Some(mut client) => self.talk(&mut client).context(self.post.uid)?,
                None => std::thread::park_timeout(AGAIN),
            }
        }
        let all: usize = self.messages.iter().map(|message| message.taps.len()).sum();
        self.shift.swallowed = all - self.shift.told.len();
        Ok(self.shift)
    }

    fn is_done(&self) -> bool {
        (0..self.messages.len()).all(|at| self.is_settled(at))
    }

    /// Acknowledged and answered, or nothing but a bounce that something may have swallowed.
    fn is_settled(&self, at: usize) -> bool {
        let Some(sent) = self.sent[at].filter(|sent| sent.is_acked) else { return false };
        let message = &self.messages[at];
        let is_told = (0..message.taps.len()).all(|tap| self.shift.told.contains_key(&(at, tap)));
        let is_bounce = message.taps.iter().all(|tap| tap.allowed.contains(&"duplicate"));
        is_told || (is_bounce && sent.troubles != self.troubles() && sent.at.elapsed() > BOUNCE)
    }

    fn troubles(&self) -> u64 {
        self.stage.troubles.load(Ordering::SeqCst)
    }

    fn missing(&self) -> String {
        let of = |at: usize, tap: usize| format!("{:?} of message {at}, sent {:?}", self.messages[at].taps[tap].shown, self.sent[at]);
        let all = (0..self.messages.len()).flat_map(|at| (0..self.messages[at].taps.len()).map(move |tap| (at, tap)));
        let silent: Vec<String> = all.filter(|key| !self.shift.told.contains_key(key)).map(|(at, tap)| of(at, tap)).collect();
        format!("nothing was told of {} of its scans, the first: {}", silent.len(), silent.first().map_or("none", String::as_str))
    }

    /// Connected and listening; `None` when the broker is away.
    fn connect(&mut self) -> Result<Option<Client>> {
        let version = if self.post.way == Way::Direct5 { Version::V5 } else { Version::V4 };
        let (user, secret) = match self.post.way {
            Way::Venue(_) => (READERS.0.to_owned(), READERS.1.to_owned()),
            Way::Direct4 | Way::Direct5 => (self.post.uid.to_owned(), password(self.post.uid)),
        };
        let mut connect = Connect::new(version, self.post.uid);
        (connect.user, connect.password, connect.clean) = (Some(user.into()), Some(secret.into()), false);
        if version == Version::V5 {
            connect.properties.push((SESSION_EXPIRY, Property::Four(3600)));
        }
        let to = self.stage.broker(self.post.way)?;
        let tried = Client::open(&to.to_string(), version, self.stage.end).and_then(|mut client| {
            client.send(&connect.bytes())?;
            let answer = client.expect_connack()?;
            Ok((client, answer.code))
        });
        // Whatever goes wrong before there is an answer is the broker's being away.
        let Ok((mut client, code)) = tried else { return Ok(None) };
        ensure!(code == 0, "it was refused with 0x{code:02X}");
        if client.subscribe(&self.result_topic(), 1).is_err() {
            return Ok(None);
        }
        self.shift.connections += 1;
        Ok(Some(client))
    }

    fn scan_topic(&self) -> String {
        match self.post.way {
            Way::Venue(topic) => topic.replace("{reader}", self.post.uid),
            Way::Direct4 | Way::Direct5 => format!("conf/demo/badge/{}/scan", self.post.uid),
        }
    }

    fn result_topic(&self) -> String {
        match self.post.way {
            Way::Venue(_) => format!("hallway/{}/result", self.post.uid),
            Way::Direct4 | Way::Direct5 => format!("conf/demo/badge/{}/result", self.post.uid),
        }
    }

    /// As long as the connection lives, and until all is done and quiet.
    fn talk(&mut self, client: &mut Client) -> Result<()> {
        for at in 0..self.messages.len() {
            if self.sent[at].is_some_and(|sent| !sent.is_acked) {
                self.shift.sent_again += 1;
                if self.publish(client, at, true).is_err() {
                    return Ok(());
                }
            }
        }
        loop {
            if let Some(at) = self.next()
                && self.publish(client, at, false).is_err()
            {
                return Ok(());
            }
            let patience = if self.is_done() { QUIET } else { TURN };
            match client.see(patience) {
                Ok(Seen::Packet(packet)) => {
                    if !self.take(client, packet)? {
                        return Ok(());
                    }
                }
                Ok(Seen::Nothing) if self.is_done() => return Ok(()),
                Ok(Seen::Nothing) => {}
                Ok(Seen::Closed) | Err(_) => return Ok(()),
            }
        }
    }

    /// The first message that is due, unless enough are under way.
    fn next(&self) -> Option<usize> {
        let under_way = self.sent.iter().flatten().filter(|sent| !sent.is_acked).count();
        let free = under_way < WINDOW;
        (0..self.messages.len()).filter(|_| free).find(|at| self.sent[*at].is_none() && self.stage.is_ready(&self.messages[*at]))
    }

    fn publish(&mut self, client: &mut Client, at: usize, again: bool) -> Result<()> {
        let version = if self.post.way == Way::Direct5 { Version::V5 } else { Version::V4 };
        let id = FIRST_ID + u16::try_from(at).context("too many messages for one reader")?;
        let message = Publish { dup: again, ..Publish::new(self.scan_topic(), 1, &self.messages[at].payload).id(id) };
        let now = Sent { at: Instant::now(), troubles: self.troubles(), is_acked: false };
        self.sent[at].get_or_insert(now);
        client.send(&message.bytes(version))
    }

    /// False when the connection is over.
    fn take(&mut self, client: &mut Client, packet: Packet) -> Result<bool> {
        match packet {
            Packet::Ack { first: PUBACK, id, code, .. } => {
                ensure!(code < 0x80, "a scan was refused with 0x{code:02X}");
                let at = usize::from(id.wrapping_sub(FIRST_ID));
                let Some(sent) = self.sent.get_mut(at).and_then(Option::as_mut) else {
                    bail!("PUBACK of packet id {id}, which was not sent")
                };
                sent.is_acked = true;
                Ok(true)
            }
            Packet::Publish(message) => {
                ensure!(message.topic == self.result_topic().as_bytes(), "{message:?} came instead of a result");
                let result = serde_json::from_slice(&message.payload).with_context(|| format!("no JSON: {message:?}"))?;
                self.hear(result)?;
                Ok(client.acknowledge(&message).is_ok())
            }
            Packet::Disconnect { .. } => Ok(false),
            other => bail!("{other:?} came"),
        }
    }

    /// Finds the badge that a result is about: the first of that name of which nothing was heard yet.
    fn hear(&mut self, result: Value) -> Result<()> {
        let now = Instant::now();
        let shown = result["badge"].as_str().with_context(|| format!("no badge in {result}"))?;
        let is_repetition = result["reason"] == "duplicate";
        let mut fallback = None;
        for (at, message) in self.messages.iter().enumerate() {
            let Some(sent) = self.sent[at] else { continue };
            for (tap, expected) in message.taps.iter().enumerate().filter(|(_, tap)| tap.shown == shown) {
                let heard = self.shift.told.get(&(at, tap));
                let undisturbed = sent.troubles == self.troubles() && sent.troubles.is_multiple_of(2);
                if heard.is_none() && (!is_repetition || expected.allowed.contains(&"duplicate")) {
                    let took = undisturbed.then(|| now - sent.at);
                    self.stage.answered[self.at][at].set(now).ok();
                    self.shift.told.insert((at, tap), Told { result, took, maybe_again: false });
                    return Ok(());
                }
                if heard.is_none() && !undisturbed {
                    fallback.get_or_insert((at, tap));
                }
            }
        }
        match fallback {
            // The first answer was lost with what was down.
            Some((at, tap)) => {
                self.stage.answered[self.at][at].set(now).ok();
                self.shift.told.insert((at, tap), Told { result, took: None, maybe_again: true });
            }
            None => self.shift.repeated += 1,
        }
        Ok(())
    }
}
