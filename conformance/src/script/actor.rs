//! One person's session: the line, and what has arrived on it, sorted and checked.
//!
//! Every event that arrives is checked as it arrives, whatever the scenario asks: a followed conversation comes without
//! holes, in order, each event once.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::line::Line;
use super::pattern::{self, Vars};
use super::sight::Sight;
use crate::check::{Event, reading};
use crate::client::Outcome;

/// How long something expected may take.
const SEEN_WITHIN: Duration = Duration::from_secs(8);
/// The pages that histories are read in.
const PAGE: usize = 500;

/// A followed conversation.
#[derive(Debug, Default)]
pub struct Feed {
    /// Arrived, and not asked for yet.
    pending: VecDeque<Value>,
    /// All that ever arrived, for the check at the end.
    pub seen: Vec<Event>,
    last_seq: u64,
    // Without echo, own events are missing from the numbers.
    echo: bool,
    // Unsubscribed: what still comes is kept, so that "sees nothing more" can find it.
    ended: bool,
    // Only because of following everything.
    implied: bool,
}

/// A session of somebody.
pub struct Actor {
    /// As the scenario calls it: `alice` or `alice/phone`.
    pub name: String,
    /// The protocol, to come back over it.
    pub protocol: String,
    /// The bearer token.
    pub token: String,
    /// The conference's epoch as of the hello.
    pub epoch: Value,
    line: Box<dyn Line>,
    feeds: BTreeMap<String, Feed>,
    /// Follows everything, with its own events or without.
    everything: Option<bool>,
    others: VecDeque<Value>,
    // The latest arrivals, for the report of a failure.
    recent: VecDeque<String>,
}

impl Actor {
    /// Somebody who has just signed in (or only connected).
    #[must_use]
    pub fn new(name: &str, protocol: &str, token: &str, line: Box<dyn Line>, hello: &Value) -> Actor {
        Actor {
            name: name.to_owned(),
            protocol: protocol.to_owned(),
            token: token.to_owned(),
            epoch: hello["epoch"].clone(),
            line,
            feeds: BTreeMap::new(),
            everything: None,
            others: VecDeque::new(),
            recent: VecDeque::new(),
        }
    }

    /// The uid: the name without the device.
    #[must_use]
    pub fn uid(&self) -> &str {
        self.name.split('/').next().unwrap_or_default()
    }

    /// The connection.
    pub fn line(&mut self) -> &mut dyn Line {
        self.line.as_mut()
    }

    /// Ends the connection; gives back what was seen, by conversation.
    pub fn go_away(self) -> BTreeMap<String, Feed> {
        self.line.go_away();
        self.feeds
    }

    /// What was seen so far, by conversation.
    #[must_use]
    pub fn feeds(&self) -> &BTreeMap<String, Feed> {
        &self.feeds
    }

    // ---- Doing ----

    /// Calls a method; a subscription's catch-up is seen like what comes live.
    ///
    /// # Errors
    /// When there is no answer, or the catch-up breaks a promise.
    pub fn call(&mut self, method: &str, params: &Value) -> Result<Outcome> {
        let outcome = self.line.call(method, params)?;
        if let Ok(result) = &outcome {
            match method {
                "conversation.subscribe" => self.followed(params, result)?,
                "conversation.unsubscribe" => self.unfollowed(params),
                _ => {}
            }
        }
        Ok(outcome)
    }

    fn followed(&mut self, params: &Value, result: &Value) -> Result<()> {
        let conversation = result["conversation"].as_str().context("no conversation in the answer")?.to_owned();
        let head = result["seq"].as_u64().context("no seq in the answer")?;
        let events = result["events"].as_array().context("no events in the answer")?.clone();
        let complete = result["complete"].as_bool().context("no complete in the answer")?;
        ensure!(events.len() <= PAGE, "{} events in one answer, over {PAGE}", events.len());
        let after = params["after"].as_u64();
        ensure!(after.is_some() || events.is_empty() && complete, "events without asking for any: {result}");
        let echo = params["echo"] != false;
        if conversation == "*" {
            self.everything = Some(echo);
            return Ok(());
        }
        let old = self.feeds.remove(&conversation).unwrap_or_default();
        let last_seq = after.unwrap_or(head);
        self.feeds.insert(conversation.clone(), Feed { pending: VecDeque::new(), seen: old.seen, last_seq, echo, ..Feed::default() });
        for event in events {
            self.take_event(&conversation, event)?;
        }
        let last = self.feeds[&conversation].last_seq;
        ensure!(!complete || last >= head, "complete, but the events end at {last} and the head is {head}");
        Ok(())
    }

    fn unfollowed(&mut self, params: &Value) {
        if params["conversation"] == "*" {
            self.everything = None;
            self.feeds.values_mut().filter(|feed| feed.implied).for_each(|feed| feed.ended = true);
        }
        if let Some(feed) = params["conversation"].as_str().and_then(|conversation| self.feeds.get_mut(conversation)) {
            feed.ended = true;
        }
    }

    // ---- Seeing ----

    /// Reads what is there, waiting for something. False when nothing came in time.
    fn listen(&mut self, within: Duration) -> Result<bool> {
        let arrivals = self.line.arrivals(within)?;
        let came = !arrivals.is_empty();
        for arrival in arrivals {
            self.remember(&arrival);
            self.take(arrival)?;
        }
        Ok(came)
    }

    fn remember(&mut self, arrival: &Value) {
        if self.recent.len() == 12 {
            self.recent.pop_front();
        }
        self.recent.push_back(arrival.to_string());
    }

    fn take(&mut self, mut arrival: Value) -> Result<()> {
        ensure!(arrival["jsonrpc"] == "2.0" && arrival.get("id").is_none(), "not a notification: {arrival}");
        let params = arrival["params"].take();
        let method = arrival["method"].as_str().unwrap_or_default();
        if matches!(method, "message" | "member" | "event") {
            let kind = params["kind"].as_str().unwrap_or_default();
            ensure!(method_of(kind) == method, "a '{kind}' came as '{method}'");
            let conversation = params["conversation"].as_str().unwrap_or_default().to_owned();
            return self.take_event(&conversation, params);
        }
        self.others.push_back(json!({"method": method, "params": params}));
        Ok(())
    }

    fn take_event(&mut self, conversation: &str, event: Value) -> Result<()> {
        if let (Some(echo), false) = (self.everything, self.feeds.contains_key(conversation)) {
            // What is given of a conversation begins anywhere, and goes on without holes.
            let last_seq = event["seq"].as_u64().unwrap_or(1) - 1;
            self.feeds.insert(conversation.to_owned(), Feed { last_seq, echo, implied: true, ..Feed::default() });
        }
        let Some(feed) = self.feeds.get_mut(conversation) else { bail!("{} does not follow '{conversation}', and got {event}", self.name) };
        if feed.ended {
            feed.pending.push_back(event);
            return Ok(());
        }
        let parsed = Event::parse(&event)?;
        let after = if feed.echo { feed.last_seq } else { feed.last_seq.max(parsed.seq - 1) };
        if let Some(violation) = reading(after, std::slice::from_ref(&parsed)).first() {
            bail!("{} following '{conversation}': {violation}: {event}", self.name);
        }
        feed.last_seq = parsed.seq;
        feed.seen.push(parsed);
        feed.pending.push_back(event);
        Ok(())
    }

    /// Waits for a sight. An event must be the next of its conversation, but membership changes are passed over unless
    /// asked for. Signals and notices before the one asked for are passed over.
    ///
    /// # Errors
    /// What came instead.
    pub fn see(&mut self, sight: &Sight, vars: &mut Vars) -> Result<()> {
        let deadline = Instant::now() + SEEN_WITHIN;
        loop {
            let seen = if sight.is_event() { self.try_event(sight, vars)? } else { self.try_other(sight, vars) };
            if seen {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.listen(left)? {
                bail!("it did not come within {SEEN_WITHIN:?}\n{}", self.recent_text());
            }
        }
    }

    fn try_event(&mut self, sight: &Sight, vars: &mut Vars) -> Result<bool> {
        let conversation = sight.conversation.as_ref().context("an event without a conversation")?;
        let conversation = word_of(&pattern::fill(conversation, vars)?);
        let Some(feed) = self.feeds.get_mut(&conversation) else {
            ensure!(self.everything.is_some(), "{} does not follow '{conversation}'", self.name);
            return Ok(false);
        };
        while let Some(event) = feed.pending.pop_front() {
            match pattern::matches(&sight.pattern, &event, vars) {
                Ok(()) => return Ok(true),
                Err(_) if event["kind"] == "member" => {}
                Err(difference) => bail!("{difference}\n  arrived:  {event}"),
            }
        }
        Ok(false)
    }

    fn try_other(&mut self, sight: &Sight, vars: &mut Vars) -> bool {
        let fits = |other: &Value, vars: &mut Vars| {
            other["method"] == sight.method && pattern::matches(&sight.pattern, &other["params"], vars).is_ok()
        };
        let found = self.others.iter().position(|other| fits(other, vars));
        if let Some(at) = found {
            // What came before it was passed over, but only of its own kind.
            let passed = self.others.drain(..=at).collect::<Vec<_>>();
            let kept = passed.into_iter().filter(|other| other["method"] != sight.method).collect::<Vec<_>>();
            kept.into_iter().rev().for_each(|other| self.others.push_front(other));
        }
        found.is_some()
    }

    /// Whether it is given the conversation's events.
    #[must_use]
    pub fn follows(&self, conversation: &str) -> bool {
        self.everything.is_some() || self.feeds.get(conversation).is_some_and(|feed| !feed.ended)
    }

    /// Waits until an event with this text has come in the conversation, leaving everything pending: a fence.
    ///
    /// # Errors
    /// When it does not come.
    pub fn wait_for_text(&mut self, conversation: &str, text: &str) -> Result<()> {
        let deadline = Instant::now() + SEEN_WITHIN;
        let arrived = |feed: &Feed| feed.seen.iter().any(|event| event.text.as_deref() == Some(text));
        while !self.feeds.get(conversation).is_some_and(arrived) {
            let left = deadline.saturating_duration_since(Instant::now());
            ensure!(!left.is_zero() && self.listen(left)?, "{} did not get the fence {text:?}\n{}", self.name, self.recent_text());
        }
        Ok(())
    }

    /// Nothing may be pending (after a fence), in one conversation or anywhere but in `except`. One's own coming and going
    /// does not count, nor do notices when a conversation is named: they belong to the inbox.
    ///
    /// # Errors
    /// What is there.
    pub fn nothing_pending(&self, conversation: Option<&str>, except: &str) -> Result<()> {
        for (name, feed) in &self.feeds {
            let asked = conversation.map_or(name != except, |wanted| wanted == name);
            let own_standing = |event: &Value| event["kind"] == "member" && event["user"] == self.uid();
            if let Some(event) = feed.pending.iter().find(|event| asked && !own_standing(event)) {
                bail!("{} saw more in '{name}':\n  arrived:  {event}", self.name);
            }
        }
        match self
            .others
            .iter()
            .find(|other| conversation.is_none_or(|wanted| other["method"] != "notice" && other["params"]["conversation"] == wanted))
        {
            Some(other) => bail!("{} was told more:\n  arrived:  {other}", self.name),
            None => Ok(()),
        }
    }

    /// The whole history of a conversation, page by page.
    ///
    /// # Errors
    /// When it is refused, or its pages do not fit together.
    pub fn history(&mut self, conversation: &str) -> Result<Vec<Value>> {
        let mut events: Vec<Value> = Vec::new();
        loop {
            let after = events.last().map_or(0, |event| event["seq"].as_u64().unwrap_or_default());
            let params = json!({"conversation": conversation, "after": after, "limit": PAGE});
            let mut page = match self.line.call("conversation.history", &params)? {
                Ok(page) => page,
                Err(error) => bail!("{} may not read the history of '{conversation}': {error}", self.name),
            };
            let Value::Array(more) = page["events"].take() else { bail!("no events in {page}") };
            let complete = page["complete"].as_bool().context("no complete in the history")?;
            ensure!(complete || !more.is_empty(), "an empty page that is not complete, after {after}");
            events.extend(more);
            if complete {
                return Ok(events);
            }
        }
    }

    /// The latest arrivals, for a report.
    #[must_use]
    pub fn recent_text(&self) -> String {
        let mut text = format!("  what {} saw last:", self.name);
        if self.recent.is_empty() {
            text.push_str(" nothing");
        }
        for arrival in &self.recent {
            text.push_str("\n    ");
            text.push_str(arrival);
        }
        text
    }
}

/// The notification that carries an event of this kind.
#[must_use]
pub fn method_of(kind: &str) -> &'static str {
    match kind {
        "message" => "message",
        "member" => "member",
        _ => "event",
    }
}

/// A JSON string without its quotes, anything else as JSON.
#[must_use]
pub fn word_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
