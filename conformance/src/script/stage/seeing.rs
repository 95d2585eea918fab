//! What people see and find, and what must be true of it: sights, fences, histories, and the check at the end.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow, bail, ensure};
use serde_json::{Value, json};

use super::Stage;
use crate::check::{self, Event};
use crate::http;
use crate::script::actor::word_of;
use crate::script::pattern;
use crate::script::sight::{self, Sight};
use crate::script::words::Words;

/// A channel of this program's own; a message in it that has arrived shows that all before it has, too.
const FENCE: &str = "fence";

impl Stage {
    // ---- Seeing ----

    pub(super) fn see(&mut self, name: &str, sight: &Sight) -> Result<()> {
        let mut vars = std::mem::take(&mut self.vars);
        let seen = self.actor(name).and_then(|actor| actor.see(sight, &mut vars));
        self.vars = vars;
        seen.map_err(|error| anyhow!("{error:#}\n  expected: {} {}", sight.method, pattern::show(&sight.pattern)))
    }

    pub(super) fn see_many(&mut self, name: &str, count: usize, conversation: &Value, from: &str, text: &str) -> Result<()> {
        for at in 1..=count {
            let sentence =
                format!("message {} from {from} {}", word_of(&pattern::fill(conversation, &self.vars)?), json!(format!("{text} {at}")));
            self.see(name, &sight::parse(&mut Words::cut(&sentence)?, false)?)?;
        }
        Ok(())
    }

    /// Events go out in the order of their commit: when two messages sent one after the other from here have arrived, all
    /// before them has. Two, because those of one moment are grouped by conversation.
    pub(super) fn see_nothing(&mut self, name: &str, conversation: Option<&Value>) -> Result<()> {
        if !self.has_fence {
            self.server()?.cli_ok(&["channel", "add", &format!("demo/{FENCE}")])?;
            self.has_fence = true;
        }
        let token = self.token_of("fence-keeper")?;
        let to = self.server()?.http();
        if !self.actor(name)?.follows(FENCE) {
            let outcome = self.actor(name)?.call("conversation.subscribe", &json!({"conversation": FENCE}))?;
            outcome.map_err(|error| anyhow!("the fence: {error}"))?;
        }
        for _ in 0..2 {
            self.counter += 1;
            let text = format!("fence {}", self.counter);
            let draft = json!({"conversation": FENCE, "id": text, "text": text});
            http::rpc(to, &token, "message.send", &draft)?.map_err(|error| anyhow!("the fence: {error}"))?;
            self.actor(name)?.wait_for_text(FENCE, &text)?;
        }
        let conversation = conversation.map(|pattern| pattern::fill(pattern, &self.vars)).transpose()?;
        self.actor(name)?.nothing_pending(conversation.as_ref().and_then(Value::as_str), FENCE)
    }

    // ---- Histories ----

    pub(super) fn find(&mut self, name: &str, conversation: &Value, entries: &[Sight]) -> Result<()> {
        let conversation = word_of(&pattern::fill(conversation, &self.vars)?);
        let mut found = self.actor(name)?.history(&conversation)?;
        if conversation != "inbox" {
            check_history(&found, self.has_erased)?;
        }
        if !entries.iter().any(|entry| entry.method == "member") {
            found.retain(|event| event["kind"] != "member");
        }
        let listing = || found.iter().map(|event| format!("\n    {event}")).collect::<String>();
        for (at, entry) in entries.iter().enumerate() {
            let Some(event) = found.get(at) else { bail!("entry {} is missing; the history is:{}", at + 1, listing()) };
            pattern::matches(&entry.pattern, event, &mut self.vars).map_err(|error| {
                anyhow!("entry {}: {error}\n  expected: {}\n  the history is:{}", at + 1, pattern::show(&entry.pattern), listing())
            })?;
        }
        ensure!(found.len() == entries.len(), "there are {} entries, expected {}:{}", found.len(), entries.len(), listing());
        Ok(())
    }

    pub(super) fn agree(&mut self, conversation: &Value) -> Result<()> {
        let conversation = word_of(&pattern::fill(conversation, &self.vars)?);
        let mut first: Option<(String, Vec<Value>)> = None;
        ensure!(self.actors.len() >= 2, "only {} people are here", self.actors.len());
        for actor in self.actors.values_mut() {
            let history = actor.history(&conversation)?;
            check_history(&history, self.has_erased)?;
            ensure!(!history.is_empty(), "the history of '{conversation}' is empty");
            match &first {
                None => first = Some((actor.name.clone(), history)),
                Some((name, other)) => ensure!(*other == history, "{name} and {} have different histories of '{conversation}'", actor.name),
            }
        }
        Ok(())
    }

    /// After the last sentence: what anybody ever saw must be what is stored, as far as somebody here may still read it.
    ///
    /// # Errors
    /// The broken promise.
    pub fn curtain(&mut self) -> Result<()> {
        let mut seen: BTreeMap<(String, String), Vec<Event>> = BTreeMap::new();
        let feeds = self.actors.values().map(|actor| (&actor.epoch, actor.feeds()));
        for (epoch, feeds) in feeds.chain(self.memories.iter().map(|memory| (&memory.epoch, &memory.feeds))) {
            for (conversation, feed) in feeds {
                seen.entry((epoch.to_string(), conversation.clone())).or_default().extend(feed.seen.iter().cloned());
            }
        }
        for actor in self.actors.values_mut().filter(|actor| !actor.token.is_empty()) {
            let conversations: Vec<String> = actor.feeds().keys().cloned().collect();
            for conversation in conversations {
                let key = (actor.epoch.to_string(), conversation);
                // Whoever was removed since cannot read it any more; another may.
                let (Some(events), Ok(history)) = (seen.get(&key), actor.history(&key.1)) else {
                    continue;
                };
                let stored = check_history(&history, self.has_erased)?;
                if let Some(violation) = check::agreement(&stored, events).first() {
                    bail!("'{}': {violation}", key.1);
                }
            }
        }
        Ok(())
    }
}

fn check_history(events: &[Value], has_erased: bool) -> Result<Vec<Event>> {
    let events = events.iter().map(Event::parse).collect::<Result<Vec<_>>>()?;
    let mut violations = check::history(&events);
    if !has_erased {
        violations.extend(check::deletions(&events));
    }
    match violations.first() {
        Some(violation) => bail!("{violation}"),
        None => Ok(events),
    }
}
