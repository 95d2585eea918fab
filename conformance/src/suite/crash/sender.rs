//! A sender that survives crashes: what was not acked is sent again on the next connection, in order and under the same id;
//! what was acked is now and then sent again to see that the answer is the same.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::net::SocketAddr;

use anyhow::{Context, Result, anyhow, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::cast::{Addresses, Sending, Sent, until_lost};
use crate::check::{self, Ack, Event, Violation};
use crate::client::{ANSWER_WITHIN, Client};
use crate::suite::load;

/// Requests under way at once.
const WINDOW: usize = 16;
/// Acked messages that are sent again on each new connection.
const REPEATED: usize = 5;
/// How many of its latest messages a sender still edits, deletes and reacts to.
const RECENT: usize = 40;

/// Something to be done, until it is acked.
#[derive(Debug, Clone)]
struct Deed {
    channel: String,
    kind: &'static str,
    // The client id of a message.
    id: String,
    text: String,
    target: u64,
}

impl Deed {
    fn call(&self) -> (&'static str, Value) {
        let Deed { channel, kind, id, text, target } = self;
        match *kind {
            "message" => ("message.send", load::draft(channel, id, text)),
            "edit" => ("message.edit", json!({"conversation": channel, "seq": target, "text": text})),
            "delete" => ("message.delete", json!({"conversation": channel, "seq": target})),
            _ => ("message.react", json!({"conversation": channel, "seq": target, "emoji": text})),
        }
    }

    fn ack(&self, from: &str, result: &Value) -> Result<Ack> {
        let mut ack = load::ack(from, &self.id, &self.text, result)?;
        if self.kind != "message" {
            ack.kind = self.kind;
            ack.client_id = None;
            ack.target = Some(self.target);
        }
        if matches!(self.kind, "delete" | "react") {
            ack.text = None;
        }
        Ok(ack)
    }
}

/// One of the senders, with all that it was promised.
pub struct Sender {
    uid: String,
    token: String,
    rng: StdRng,
    channels: Vec<String>,
    next: u64,
    unacked: VecDeque<Deed>,
    recent: VecDeque<(Deed, Ack)>,
    // Targets with something under way, or deleted.
    busy: HashSet<(String, u64)>,
    /// Every promise, by channel.
    acks: BTreeMap<String, Vec<Ack>>,
    /// Unacked deeds that were sent again after a crash.
    retried: usize,
    /// Acked messages that were sent again.
    repeated: usize,
}

impl Sender {
    pub fn new(uid: &str, token: &str, seed: u64) -> Sender {
        Sender {
            uid: uid.to_owned(),
            token: token.to_owned(),
            rng: StdRng::seed_from_u64(seed),
            channels: Vec::new(),
            next: 0,
            unacked: VecDeque::new(),
            recent: VecDeque::new(),
            busy: HashSet::new(),
            acks: BTreeMap::new(),
            retried: 0,
            repeated: 0,
        }
    }

    fn try_run(&mut self, to: SocketAddr, more: bool) -> Result<()> {
        let mut client = Client::sign_in(to, &self.token)?;
        self.repeat_acked(&mut client)?;
        self.retried += self.unacked.len();
        let mut under_way = VecDeque::new();
        for deed in &self.unacked {
            let (method, params) = deed.call();
            under_way.push_back(client.send(method, &params)?);
        }
        loop {
            while more && under_way.len() < WINDOW {
                let deed = self.next_deed();
                let (method, params) = deed.call();
                // It counts as sent even when the connection breaks within it.
                self.unacked.push_back(deed);
                under_way.push_back(client.send(method, &params)?);
            }
            let Some(request) = under_way.pop_front() else { return Ok(()) };
            let answer = client.answer(request, ANSWER_WITHIN)?;
            let deed = self.unacked.pop_front().context("an answer to nothing")?;
            let result = answer.map_err(|error| anyhow!("{}: {deed:?} was refused: {error}", self.uid))?;
            self.keep(deed, &result)?;
        }
    }

    /// A retry of what was acked must give the same answer, whatever happened in between.
    fn repeat_acked(&mut self, client: &mut Client) -> Result<()> {
        for (deed, ack) in self.recent.iter().rev().take(REPEATED) {
            let (method, params) = deed.call();
            let result = client.call_ok(method, &params)?;
            let again = deed.ack(&self.uid, &result)?;
            ensure!(again == *ack, "{}: sent again, the answer was {again:?}, and had been {ack:?}", self.uid);
            self.repeated += 1;
        }
        Ok(())
    }

    fn keep(&mut self, deed: Deed, result: &Value) -> Result<()> {
        ensure!(result["conversation"] == deed.channel.as_str(), "an answer of another conversation: {result}");
        let ack = deed.ack(&self.uid, result)?;
        self.acks.entry(deed.channel.clone()).or_default().push(ack.clone());
        match deed.kind {
            "message" if self.channels.contains(&deed.channel) => {
                self.recent.push_back((deed, ack));
                if self.recent.len() > RECENT {
                    self.recent.pop_front();
                }
            }
            "message" | "delete" => {}
            _ => drop(self.busy.remove(&(deed.channel, deed.target))),
        }
        Ok(())
    }

    /// Mostly messages; one thing at a time happens to each of them, so that a retry cannot undo a later change.
    fn next_deed(&mut self) -> Deed {
        self.next += 1;
        let kind = match self.rng.random_range(0..10) {
            0 => "edit",
            1 => "react",
            2 => "delete",
            _ => "message",
        };
        if kind != "message"
            && let Some(target) = self.free_target()
        {
            self.busy.insert(target.clone());
            let (channel, target) = target;
            return Deed { channel, kind, id: String::new(), text: format!("{kind}{}", self.next), target };
        }
        let channel = self.channels[self.rng.random_range(0..self.channels.len())].clone();
        let id = format!("{}-{}", self.uid, self.next);
        let text = format!("{} {}", self.next, "x".repeat(self.rng.random_range(0..400)));
        Deed { channel, kind: "message", id, text, target: 0 }
    }

    fn free_target(&mut self) -> Option<(String, u64)> {
        if self.recent.is_empty() {
            return None;
        }
        let (deed, ack) = &self.recent[self.rng.random_range(0..self.recent.len())];
        let target = (deed.channel.clone(), ack.seq);
        (!self.busy.contains(&target)).then_some(target)
    }
}

impl Sending for Sender {
    fn name(&self) -> String {
        format!("{} over WebSocket", self.uid)
    }

    fn speak_in(&mut self, channels: &[String]) {
        self.channels = channels.to_vec();
        self.recent.clear();
    }

    fn run(&mut self, to: &Addresses) -> Result<()> {
        until_lost(self.try_run(to.http, true))
    }

    fn finish(&mut self, to: &Addresses) -> Result<()> {
        self.try_run(to.http, false)
    }

    fn violations(&self, channel: &str, stored: &[Event]) -> Vec<Violation> {
        check::acks(stored, self.acks.get(channel).map_or(&[], Vec::as_slice))
    }

    fn sent(&self) -> Sent {
        let mut acked: BTreeMap<&'static str, usize> = BTreeMap::new();
        for ack in self.acks.values().flatten() {
            *acked.entry(ack.kind).or_default() += 1;
        }
        Sent { acked, retried: self.retried, repeated: self.repeated }
    }

    fn trace(&self) -> Vec<String> {
        self.acks.iter().flat_map(|(channel, acks)| acks.iter().map(move |ack| format!("acked {channel} {ack:?}"))).collect()
    }
}
