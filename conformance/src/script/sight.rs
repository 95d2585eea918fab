//! What people see: a notification, or an entry of a history.
//!
//! | sentence | what it means |
//! | --- | --- |
//! | `message CONV from USER "text"` | a message |
//! | `edit CONV from USER of SEQ "text"`, `delete CONV from USER of SEQ`, `react CONV from USER of SEQ EMOJI [off]` | an event about a message |
//! | `member CONV USER CHANGE [by USER]` | a membership change |
//! | `settings CONV "title"` | a new title |
//! | `typing CONV from USER [no more]`, `read CONV from USER SEQ`, `presence USER STATUS` | a signal |
//! | `topic TOPIC ACTION from USER` | something said on an application's topic |
//! | `notice REASON` | an inbox entry or session notice |
//!
//! Each may end with `with {pattern}`. Entries of a history are written without CONV.

use anyhow::{Result, bail};
use serde_json::{Map, Value, json};

use super::words::Words;

/// Something to be seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Sight {
    /// The notification's method.
    pub method: &'static str,
    /// The conversation, for what belongs to one.
    pub conversation: Option<Value>,
    /// What its params must match.
    pub pattern: Value,
}

impl Sight {
    /// Whether it is an event of a conversation's log.
    #[must_use]
    pub fn is_event(&self) -> bool {
        matches!(self.method, "message" | "member" | "event")
    }
}

/// Parses a sight. Within a history the conversation is known and not written.
///
/// # Errors
/// When the sentence is none.
pub fn parse(words: &mut Words, within_history: bool) -> Result<Sight> {
    let kind = words.word("what is seen")?;
    let has_conversation = !within_history && !matches!(kind.as_str(), "presence" | "topic" | "notice");
    let conversation = if has_conversation { Some(words.value("a conversation")?) } else { None };
    let (method, mut pattern) = match kind.as_str() {
        "message" => ("message", message(words)?),
        "edit" | "delete" | "react" => ("event", about_message(&kind, words)?),
        "member" => ("member", member(words)?),
        "settings" => ("event", json!({"kind": "settings", "title": words.quoted()?})),
        "typing" => ("typing", json!({"from": from(words)?, "on": !words.accept("no more")})),
        "read" => ("read", json!({"from": from(words)?, "seq": words.value("a seq")?})),
        "presence" => ("presence", json!({"user": words.word("a user")?, "status": words.word("a status")?})),
        "topic" => ("topic", json!({"topic": words.word("a topic")?, "type": words.word("an action")?, "sender": from(words)?})),
        "notice" => ("notice", json!({"reason": words.word("a reason")?})),
        other => bail!("nobody can see a '{other}'"),
    };
    if let (Some(conversation), Some(members)) = (&conversation, pattern.as_object_mut()) {
        members.insert("conversation".into(), conversation.clone());
    }
    if words.accept("with") {
        merge(&mut pattern, words.json()?)?;
    }
    Ok(Sight { method, conversation, pattern })
}

fn merge(pattern: &mut Value, more: Value) -> Result<()> {
    let (Value::Object(members), Value::Object(more)) = (pattern, more) else { bail!("'with' needs an object") };
    members.extend::<Map<String, Value>>(more);
    Ok(())
}

fn from(words: &mut Words) -> Result<String> {
    words.expect("from")?;
    words.word("a user")
}

fn message(words: &mut Words) -> Result<Value> {
    let mut pattern = json!({"kind": "message", "from": from(words)?});
    if let Some(text) = words.quoted_maybe() {
        pattern["text"] = json!(text);
    }
    if words.accept("as") {
        pattern["client_id"] = json!(words.word("a name")?);
    }
    Ok(pattern)
}

fn about_message(kind: &str, words: &mut Words) -> Result<Value> {
    let mut pattern = json!({"kind": kind, "from": from(words)?});
    words.expect("of")?;
    pattern["target"] = words.value("a seq")?;
    match kind {
        "edit" => {
            if let Some(text) = words.quoted_maybe() {
                pattern["text"] = json!(text);
            }
        }
        "react" => {
            pattern["emoji"] = json!(words.word("an emoji")?);
            pattern["on"] = json!(!words.accept("off"));
        }
        _ => {}
    }
    Ok(pattern)
}

fn member(words: &mut Words) -> Result<Value> {
    let mut pattern = json!({"kind": "member", "user": words.word("a user")?, "change": words.word("a change")?});
    if words.accept("by") {
        pattern["from"] = json!(words.word("a user")?);
    }
    Ok(pattern)
}
