//! A reader that survives crashes: it resumes by `after` and `epoch`, and whatever it sees must go on exactly where it was.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};

use super::cast::{Addresses, Heads, Reading, until_lost};
use crate::check::{self, Event, Violation, reading};
use crate::client::{Client, ClientError};

/// A quiet moment is no failure; the kill ends it.
const QUIET: Duration = Duration::from_secs(5);

/// Catching up takes no longer.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(20);

/// How many events of a conversation that is no longer followed are remembered.
const KEPT: usize = 2000;

/// One of the readers, with all that it saw.
pub struct Reader {
    token: String,
    // Otherwise everything from the beginning, each time.
    resumes: bool,
    epoch: Option<Value>,
    following: Vec<String>,
    last_seqs: BTreeMap<String, u64>,
    seen: BTreeMap<String, Vec<Event>>,
    /// All that ever came, repeated or not.
    count: usize,
    /// How often there was something to catch up with.
    resumed_behind: usize,
}

impl Reader {
    pub fn new(token: &str, resumes: bool) -> Reader {
        Reader {
            token: token.to_owned(),
            resumes,
            epoch: None,
            following: Vec::new(),
            last_seqs: BTreeMap::new(),
            seen: BTreeMap::new(),
            count: 0,
            resumed_behind: 0,
        }
    }

    /// Reads, until everything up to the heads has come, if there are any.
    fn try_run(&mut self, to: SocketAddr, heads: Option<&Heads>) -> Result<()> {
        if !self.resumes {
            self.last_seqs.clear();
            self.seen.clear();
        }
        let mut client = Client::sign_in(to, &self.token)?;
        for channel in self.following.clone() {
            self.subscribe(&mut client, &channel)?;
        }
        let deadline = heads.map(|_| Instant::now() + CATCH_UP_WITHIN);
        loop {
            let has = |(channel, (seq, _)): (&String, &(u64, String))| self.last_seqs.get(channel).is_some_and(|last| last >= seq);
            if heads.is_some_and(|heads| heads.iter().all(has)) {
                return Ok(());
            }
            ensure!(deadline.is_none_or(|end| Instant::now() < end), "a reader had not caught up with {heads:?} in {CATCH_UP_WITHIN:?}");
            match client.notification(QUIET) {
                Err(ClientError::Timeout(..)) => {}
                Err(other) => return Err(other.into()),
                Ok(first) => {
                    for notification in std::iter::once(first).chain(client.take_notifications()) {
                        self.notified(&notification)?;
                    }
                }
            }
        }
    }

    fn subscribe(&mut self, client: &mut Client, channel: &str) -> Result<()> {
        let after = self.last_seqs.get(channel).copied().unwrap_or(0);
        let mut params = json!({"conversation": channel, "after": after});
        if let Some(epoch) = &self.epoch {
            params["epoch"] = epoch.clone();
        }
        let result = client.call_ok("conversation.subscribe", &params)?;
        let epoch = self.epoch.get_or_insert_with(|| result["epoch"].clone());
        ensure!(*epoch == result["epoch"], "the epoch was {epoch}, and is {} after a mere crash", result["epoch"]);
        let events = result["events"].as_array().with_context(|| format!("no events in {result}"))?;
        self.resumed_behind += usize::from(!events.is_empty() && after > 0);
        for event in events {
            self.saw(channel, event)?;
        }
        let head = result["seq"].as_u64().with_context(|| format!("no seq in {result}"))?;
        let last = self.last_seqs.get(channel).copied().unwrap_or(0);
        ensure!(head >= after, "{channel}: the head is {head}, though a reader has had {after}");
        ensure!(result["complete"] != true || last >= head, "{channel}: complete at {last}, though the head is {head}");
        Ok(())
    }

    fn notified(&mut self, notification: &Value) -> Result<()> {
        if !matches!(notification["method"].as_str(), Some("message" | "member" | "event")) {
            return Ok(());
        }
        let event = &notification["params"];
        let channel = event["conversation"].as_str().unwrap_or_default().to_owned();
        ensure!(self.following.contains(&channel), "an event of a conversation that is not followed: {event}");
        self.saw(&channel, event)
    }

    fn saw(&mut self, channel: &str, event: &Value) -> Result<()> {
        let event = Event::parse(event)?;
        let last = self.last_seqs.entry(channel.to_owned()).or_insert(0);
        if let Some(violation) = reading(*last, std::slice::from_ref(&event)).first() {
            return Err(anyhow!("a reader of {channel}: {violation}"));
        }
        *last = event.seq;
        self.count += 1;
        self.seen.entry(channel.to_owned()).or_default().push(event);
        Ok(())
    }
}

impl Reading for Reader {
    fn name(&self) -> String {
        format!("a reader over WebSocket that {}", if self.resumes { "resumes" } else { "begins anew" })
    }

    fn follow(&mut self, channels: &[String]) {
        // What was seen of the old ones has been verified; some of it stays, for the verification at the end.
        for seen in self.seen.values_mut() {
            seen.drain(..seen.len().saturating_sub(KEPT));
        }
        self.following = channels.to_vec();
    }

    fn run(&mut self, to: &Addresses) -> Result<()> {
        until_lost(self.try_run(to.http, None))
    }

    fn catch_up(&mut self, to: &Addresses, heads: &Heads) -> Result<()> {
        self.try_run(to.http, Some(heads))
    }

    fn violations(&self, channel: &str, stored: &[Event]) -> Vec<Violation> {
        check::agreement(stored, self.seen.get(channel).map_or(&[], Vec::as_slice))
    }

    fn seen(&self) -> (usize, usize) {
        (self.count, self.resumed_behind)
    }

    fn trace(&self) -> Vec<String> {
        self.seen.iter().flat_map(|(channel, seen)| seen.iter().map(move |event| format!("saw {channel} {event:?}"))).collect()
    }
}
