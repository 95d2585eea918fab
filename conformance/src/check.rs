//! What a history must be, as pure functions: they take what was acked, what readers saw and what is stored, and name
//! every broken promise. The suites collect the facts; the verdict is here, and tested here.
//!
//! - [`reading`]: one reader's events: ascending, without holes, each once.
//! - [`history`]: a whole stored history: seqs dense from 1, messages' ordinals dense, the present text.
//! - [`agreement`]: what a reader saw is what is stored, except where an edit or deletion says otherwise.
//! - [`acks`]: every acked event is stored once, under the acked seq and id.
//! - [`promises`]: the same of acknowledgements that name no seq. [`listening`]: a reader who is told ids and no seqs.
//! - [`deletions`]: nothing is marked deleted that nobody deleted.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Result, anyhow};
use serde_json::Value;

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Seqs are missing.
    #[error("hole: after seq {after} came {next}")]
    Hole {
        /// The last seq before it.
        after: u64,
        /// The first after it.
        next: u64,
    },
    /// One event twice.
    #[error("duplicate: seq {seq} came twice")]
    Duplicate {
        /// Its seq.
        seq: u64,
    },
    /// An event after a later one.
    #[error("reordered: seq {seq} came after {after}")]
    Reordered {
        /// Its seq.
        seq: u64,
        /// The seq before it.
        after: u64,
    },
    /// Acked or seen, and not stored.
    #[error("lost: seq {seq} ({what}) is not in the history")]
    Lost {
        /// The seq that was acked or seen.
        seq: u64,
        /// Who relied on it.
        what: String,
    },
    /// Acknowledged without a seq, and not stored.
    #[error("lost: {from}'s {client_id:?} was acknowledged and is not in the history")]
    LostPromise {
        /// The sender.
        from: String,
        /// The sender's id of it.
        client_id: String,
    },
    /// Seen by its id alone, and not stored.
    #[error("unknown: the message with id {id} that a reader saw is not in the history")]
    UnknownId {
        /// The public id.
        id: String,
    },
    /// One client id stored more than once.
    #[error("stored twice: {from}'s {client_id:?} has seqs {first} and {second}")]
    StoredTwice {
        /// The sender.
        from: String,
        /// The sender's id of it.
        client_id: String,
        /// The first seq.
        first: u64,
        /// The second.
        second: u64,
    },
    /// Something that never changes has changed.
    #[error("changed: {field} of seq {seq} was {was} and is {is}")]
    Changed {
        /// The event's seq.
        seq: u64,
        /// What changed.
        field: &'static str,
        /// As it was acked or seen.
        was: String,
        /// As it is stored.
        is: String,
    },
    /// Messages' ordinals are not 1, 2, 3 …
    #[error("ordinal: seq {seq} has n {n}, not {expected}")]
    Ordinal {
        /// The message's seq.
        seq: u64,
        /// Its ordinal.
        n: u64,
        /// What it should be.
        expected: u64,
    },
    /// An event about a message that is not there.
    #[error("dangling: seq {seq} is about {target}, which is no earlier message")]
    Dangling {
        /// The event's seq.
        seq: u64,
        /// What it names.
        target: u64,
    },
}

/// An event as any reader gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its number in the conversation.
    pub seq: u64,
    /// Its public id.
    pub id: String,
    /// `message`, `edit`, …
    pub kind: String,
    /// Who caused it.
    pub from: String,
    /// The server's time.
    pub ts: String,
    /// A message's ordinal.
    pub n: Option<u64>,
    /// The sender's id of a message.
    pub client_id: Option<String>,
    /// The text of a message or edit.
    pub text: Option<String>,
    /// The message that an edit, deletion or reaction is about.
    pub target: Option<u64>,
    /// A message that was deleted.
    pub deleted: bool,
    /// What else never changes: via, emoji, on, user, change, role, reply_to, mentions, attachments, title.
    pub rest: BTreeMap<String, String>,
}

const REST: [&str; 10] = ["via", "emoji", "on", "user", "change", "role", "reply_to", "mentions", "attachments", "title"];

impl Event {
    /// From JSON.
    ///
    /// # Errors
    /// When a member that every event of its kind has is missing.
    pub fn parse(json: &Value) -> Result<Event> {
        let word = |member: &str| json[member].as_str().map(str::to_owned);
        let need = |member: &str| word(member).ok_or_else(|| anyhow!("no {member:?} in the event {json}"));
        let event = Event {
            seq: json["seq"].as_u64().ok_or_else(|| anyhow!("no seq in the event {json}"))?,
            id: need("id")?,
            kind: need("kind")?,
            from: need("from")?,
            ts: need("ts")?,
            n: json["n"].as_u64(),
            client_id: word("client_id"),
            text: word("text"),
            target: json["target"].as_u64(),
            deleted: json["deleted"] == true,
            rest: REST.iter().filter_map(|member| Some(((*member).to_owned(), json.get(*member)?.to_string()))).collect(),
        };
        if event.is_message() && event.n.is_none() {
            return Err(anyhow!("no n in the message {json}"));
        }
        if matches!(event.kind.as_str(), "edit" | "delete" | "react") && event.target.is_none() {
            return Err(anyhow!("no target in the event {json}"));
        }
        Ok(event)
    }

    /// Whether it is a message.
    #[must_use]
    pub fn is_message(&self) -> bool {
        self.kind == "message"
    }
}

/// One reader who has everything up to `after`: what came next must be `after + 1, after + 2, …`, each once.
#[must_use]
pub fn reading(after: u64, seen: &[Event]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut had = BTreeSet::new();
    let mut last = after;
    for event in seen {
        let seq = event.seq;
        if !had.insert(seq) {
            violations.push(Violation::Duplicate { seq });
        } else if seq <= last {
            violations.push(Violation::Reordered { seq, after: last });
        } else if seq != last + 1 {
            violations.push(Violation::Hole { after: last, next: seq });
        }
        last = last.max(seq);
    }
    violations
}

/// A whole stored history of one conversation.
#[must_use]
pub fn history(stored: &[Event]) -> Vec<Violation> {
    let mut violations = reading(0, stored);
    violations.extend(ordinals(stored));
    violations.extend(stored_twice(stored));
    violations.extend(present_text(stored));
    violations
}

fn ordinals(stored: &[Event]) -> Vec<Violation> {
    let messages = stored.iter().filter(|event| event.is_message());
    (1..)
        .zip(messages)
        .filter_map(|(expected, event)| {
            let n = event.n.unwrap_or(0);
            (n != expected).then_some(Violation::Ordinal { seq: event.seq, n, expected })
        })
        .collect()
}

fn stored_twice(stored: &[Event]) -> Vec<Violation> {
    let mut first_seqs = HashMap::new();
    let mut violations = Vec::new();
    for event in stored.iter().filter(|event| event.is_message()) {
        let Some(client_id) = &event.client_id else {
            continue;
        };
        if let Some(first) = first_seqs.insert((&event.from, client_id), event.seq) {
            let (from, client_id) = (event.from.clone(), client_id.clone());
            violations.push(Violation::StoredTwice { from, client_id, first, second: event.seq });
        }
    }
    violations
}

/// Edits and deletions show in the message they are about, and name an earlier one.
fn present_text(stored: &[Event]) -> Vec<Violation> {
    let messages: HashMap<u64, &Event> = stored.iter().filter(|event| event.is_message()).map(|event| (event.seq, event)).collect();
    let deleted: BTreeSet<u64> = stored.iter().filter(|event| event.kind == "delete").filter_map(|event| event.target).collect();
    let mut latest_text: BTreeMap<u64, &Event> = BTreeMap::new();
    let mut violations = Vec::new();
    for event in stored {
        let Some(target) = event.target else { continue };
        if target >= event.seq || !messages.contains_key(&target) {
            violations.push(Violation::Dangling { seq: event.seq, target });
        } else if event.kind == "edit" {
            latest_text.insert(target, event);
        }
    }
    for seq in deleted.iter().filter(|seq| messages.get(seq).is_some_and(|message| !message.deleted)) {
        let (was, is) = ("true".into(), "false".into());
        violations.push(Violation::Changed { seq: *seq, field: "deleted", was, is });
    }
    for (seq, edit) in latest_text {
        if !messages[&seq].deleted && messages[&seq].text != edit.text {
            violations.push(changed_text(seq, &edit.text, &messages[&seq].text));
        }
    }
    violations
}

fn changed_text(seq: u64, was: &Option<String>, is: &Option<String>) -> Violation {
    let show = |text: &Option<String>| text.as_ref().map_or("nothing".to_owned(), |text| format!("{text:?}"));
    Violation::Changed { seq, field: "text", was: show(was), is: show(is) }
}

/// What someone saw, against what is stored: the same id, sender, time, ordinal … under the same seq. Texts may differ
/// only in a message that the history says was edited or deleted, and in the edits of a deleted one.
#[must_use]
pub fn agreement(stored: &[Event], seen: &[Event]) -> Vec<Violation> {
    let by_seq: HashMap<u64, &Event> = stored.iter().map(|event| (event.seq, event)).collect();
    let gone = gone(stored);
    let edits = edit_texts(stored);
    let mut originals: HashMap<u64, &Option<String>> = HashMap::new();
    let mut violations = Vec::new();
    for event in seen {
        let Some(is) = by_seq.get(&event.seq) else {
            violations.push(Violation::Lost { seq: event.seq, what: "a reader saw it".into() });
            continue;
        };
        violations.extend(same_identity(event, is));
        if event.text == is.text || gone.contains(&event.target.unwrap_or(event.seq)) {
            continue;
        }
        match edits.get(&event.seq).filter(|_| event.is_message()) {
            None => violations.push(changed_text(event.seq, &event.text, &is.text)),
            Some(texts) if texts.contains(&event.text) => {}
            // An edited message had one other text in its life: the one that was sent.
            Some(_) => {
                let original = originals.entry(event.seq).or_insert(&event.text);
                if **original != event.text {
                    violations.push(changed_text(event.seq, original, &event.text));
                }
            }
        }
    }
    violations
}

/// Messages whose text was taken away, by a deletion or with their author's account.
fn gone(stored: &[Event]) -> BTreeSet<u64> {
    let deletions = stored.iter().filter(|event| event.kind == "delete").filter_map(|event| event.target);
    deletions.chain(stored.iter().filter(|event| event.deleted).map(|event| event.seq)).collect()
}

fn edit_texts(stored: &[Event]) -> HashMap<u64, Vec<Option<String>>> {
    let mut texts: HashMap<u64, Vec<Option<String>>> = HashMap::new();
    for event in stored.iter().filter(|event| event.kind == "edit") {
        texts.entry(event.target.unwrap_or(0)).or_default().push(event.text.clone());
    }
    texts
}

/// Where nobody's account was erased: a message that is marked as deleted has a deletion event.
#[must_use]
pub fn deletions(stored: &[Event]) -> Vec<Violation> {
    let targets: BTreeSet<u64> = stored.iter().filter(|event| event.kind == "delete").filter_map(|event| event.target).collect();
    let unexplained = stored.iter().filter(|event| event.deleted && !targets.contains(&event.seq));
    unexplained.map(|event| Violation::Changed { seq: event.seq, field: "deleted", was: "false".into(), is: "true".into() }).collect()
}

/// Compares what never changes. A deletion takes a message's attachments, mentions and the like with its text.
fn same_identity(was: &Event, is: &Event) -> Vec<Violation> {
    let shown = |event: &Event| {
        let rest = if is.deleted { String::new() } else { format!("{:?}", event.rest) };
        [
            ("id", event.id.clone()),
            ("kind", event.kind.clone()),
            ("from", event.from.clone()),
            ("ts", event.ts.clone()),
            ("client_id", format!("{:?}", event.client_id)),
            ("n", format!("{:?}", event.n)),
            ("target", format!("{:?}", event.target)),
            ("content", rest),
        ]
    };
    let seq = was.seq;
    shown(was)
        .into_iter()
        .zip(shown(is))
        .filter(|(was, is)| was != is)
        .map(|((field, was), (_, is))| Violation::Changed { seq, field, was, is })
        .collect()
}

/// An answer that promised something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// Who was promised it.
    pub from: String,
    /// `message`, `edit`, `delete` or `react`.
    pub kind: &'static str,
    /// The acked seq.
    pub seq: u64,
    /// The acked id.
    pub id: String,
    /// The acked time.
    pub ts: String,
    /// The sender's id of a message.
    pub client_id: Option<String>,
    /// The text of a message or edit.
    pub text: Option<String>,
    /// What an edit, deletion or reaction is about.
    pub target: Option<u64>,
}

/// Every acked event is stored once, under its seq, as it was sent.
#[must_use]
pub fn acks(stored: &[Event], acks: &[Ack]) -> Vec<Violation> {
    let by_seq: HashMap<u64, &Event> = stored.iter().map(|event| (event.seq, event)).collect();
    let mut violations = Vec::new();
    let mut promised = Vec::new();
    for ack in acks {
        match by_seq.get(&ack.seq) {
            None => {
                let what = format!("{}'s {} {:?} was acked", ack.from, ack.kind, ack.client_id.as_ref().or(ack.text.as_ref()));
                violations.push(Violation::Lost { seq: ack.seq, what });
            }
            // An ack says nothing of n, via and the like; those are taken as stored.
            Some(is) => promised.push(Event {
                seq: ack.seq,
                id: ack.id.clone(),
                kind: ack.kind.to_owned(),
                from: ack.from.clone(),
                ts: ack.ts.clone(),
                client_id: ack.client_id.clone(),
                text: ack.text.clone(),
                target: ack.target,
                ..(*is).clone()
            }),
        }
    }
    violations.extend(agreement(stored, &promised));
    violations
}

/// An acknowledgement that says no more than that the message is kept: a PUBACK, an `<a/>`, a reflection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// Who was promised it.
    pub from: String,
    /// The sender's id.
    pub client_id: String,
    /// What was said. Nobody edits it.
    pub text: String,
    /// The public id, where it was told.
    pub id: Option<String>,
}

/// Every promised message is stored, as it was sent. That it is stored once is [`history`]'s to say.
#[must_use]
pub fn promises<'p>(stored: &[Event], promises: impl IntoIterator<Item = &'p Promise>) -> Vec<Violation> {
    let messages = stored.iter().filter(|event| event.is_message());
    let by_client: HashMap<(&str, &str), &Event> =
        messages.filter_map(|event| Some(((event.from.as_str(), event.client_id.as_deref()?), event))).collect();
    let mut violations = Vec::new();
    for promise in promises {
        let Some(is) = by_client.get(&(promise.from.as_str(), promise.client_id.as_str())) else {
            violations.push(Violation::LostPromise { from: promise.from.clone(), client_id: promise.client_id.clone() });
            continue;
        };
        let text = Some(promise.text.clone());
        if is.text != text {
            violations.push(changed_text(is.seq, &text, &is.text));
        }
        if let Some(id) = promise.id.as_ref().filter(|id| **id != is.id) {
            violations.push(Violation::Changed { seq: is.seq, field: "id", was: id.clone(), is: is.id.clone() });
        }
    }
    violations
}

/// A message as somebody sees it who is told no seqs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The public id.
    pub id: String,
    /// The text; none of a message that was deleted.
    pub text: Option<String>,
}

/// The messages that one reader saw, of which the first may be any: those stored from there on, in their order, without holes, each once.
#[must_use]
pub fn listening(stored: &[Event], heard: &[Heard]) -> Vec<Violation> {
    let messages: HashMap<&str, &Event> =
        stored.iter().filter(|event| event.is_message()).map(|event| (event.id.as_str(), event)).collect();
    let (gone, edits) = (gone(stored), edit_texts(stored));
    let (mut violations, mut had, mut last) = (Vec::new(), BTreeSet::new(), None::<&Event>);
    for one in heard {
        let Some(is) = messages.get(one.id.as_str()) else {
            violations.push(Violation::UnknownId { id: one.id.clone() });
            continue;
        };
        let seq = is.seq;
        if !had.insert(seq) {
            violations.push(Violation::Duplicate { seq });
            continue;
        }
        match last {
            Some(before) if seq < before.seq => violations.push(Violation::Reordered { seq, after: before.seq }),
            Some(before) if is.n != before.n.map(|n| n + 1) => violations.push(Violation::Hole { after: before.seq, next: seq }),
            _ => {}
        }
        last = Some(is);
        if one.text != is.text && !gone.contains(&seq) && !edits.contains_key(&seq) {
            violations.push(changed_text(seq, &one.text, &is.text));
        }
    }
    violations
}

#[cfg(test)]
mod tests;
