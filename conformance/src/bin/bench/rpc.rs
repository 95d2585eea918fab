//! What a server's text says, parsed in full: for the set-up, and for whatever a load's fast path does not know.

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::Value;

/// A text of the server.
#[derive(Debug)]
pub enum Message {
    Answer {
        id: u64,
        result: Value,
    },
    /// A refusal, as people should read it.
    Refusal {
        reason: String,
    },
    Notification {
        method: String,
        params: Value,
    },
}

#[derive(Deserialize)]
struct Raw {
    id: Option<u64>,
    result: Option<Value>,
    error: Option<Value>,
    method: Option<String>,
    params: Option<Value>,
}

/// Parses one text.
pub fn parse(text: &[u8]) -> Result<Message> {
    let raw: Raw = serde_json::from_slice(text).with_context(|| format!("not JSON-RPC: {}", shown(text)))?;
    match raw {
        Raw { error: Some(error), .. } => Ok(Message::Refusal { reason: error.to_string() }),
        Raw { id: Some(id), result: Some(result), .. } => Ok(Message::Answer { id, result }),
        Raw { method: Some(method), params, .. } => Ok(Message::Notification { method, params: params.unwrap_or(Value::Null) }),
        _ => bail!("neither answer nor notification: {}", shown(text)),
    }
}

/// The beginning of a text, for messages about it.
pub fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(&text[..text.len().min(400)]).into_owned()
}
