//! What people do: verbs, and the method and parameters that each stands for.
//!
//! | sentence | method |
//! | --- | --- |
//! | `sends CONV "text" [as NAME] [in reply to SEQ] [mentioning a,b]` | `message.send`; NAME is the client id, and `$NAME` the seq from then on |
//! | `edits CONV SEQ "text"`, `deletes CONV SEQ`, `reacts CONV SEQ EMOJI [off]` | `message.edit`, `.delete`, `.react` |
//! | `follows CONV\|everything [after SEQ] [without echo]`, `unfollows CONV` | `conversation.subscribe`, `.unsubscribe` |
//! | `reads CONV SEQ`, `types CONV [no more]` | `conversation.read`, `.typing` |
//! | `joins CONV`, `leaves CONV`, `invites USER to CONV`, `removes USER from CONV`, `bans USER from CONV` | `conversation.join`, … |
//! | `makes USER ROLE of CONV`, `renames CONV "title"` | `conversation.role`, `.update` |
//! | `creates KIND ID ["title"] [with a,b]`, `opens USER` | `conversation.create`, `.open` |
//! | `shows STATUS ["text"]` | `presence.set` |
//! | `calls METHOD {params}` | any method |

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::pattern;
use super::words::Words;

/// A call that somebody makes.
#[derive(Debug, Clone, PartialEq)]
pub struct Deed {
    /// The method.
    pub method: String,
    /// Its parameters, maybe with `$names`.
    pub params: Value,
    /// What the resulting seq is to be called.
    pub name: Option<String>,
}

/// Parses what follows the verb, which is given in its plain form (`send`).
///
/// # Errors
/// When there is no such verb, or the sentence does not go on as it should.
pub fn parse(verb: &str, words: &mut Words) -> Result<Deed> {
    if verb == "send" {
        return send(words);
    }
    let (method, params) = match verb {
        "call" => {
            let method = words.word("a method")?;
            let params = if words.at_json() { words.json()? } else { json!({}) };
            return Ok(Deed { method, params, name: None });
        }
        "edit" | "delete" | "react" => about_message(verb, words)?,
        "follow" => ("conversation.subscribe", follow(words)?),
        "unfollow" => ("conversation.unsubscribe", json!({"conversation": followed(words)?})),
        "read" => ("conversation.read", json!({"conversation": conversation(words)?, "seq": words.value("a seq")?})),
        "type" => ("conversation.typing", json!({"conversation": conversation(words)?, "on": !words.accept("no more")})),
        "join" => ("conversation.join", json!({"conversation": conversation(words)?})),
        "leave" => ("conversation.leave", json!({"conversation": conversation(words)?})),
        "rename" => ("conversation.update", json!({"conversation": conversation(words)?, "title": words.quoted()?})),
        "invite" | "remove" | "ban" | "make" => about_person(verb, words)?,
        "create" => ("conversation.create", create(words)?),
        "open" => ("conversation.open", json!({"with": words.word("a user")?})),
        "show" => ("presence.set", status(words)?),
        other => bail!("nobody knows how to '{other}'"),
    };
    Ok(Deed { method: method.to_owned(), params, name: None })
}

fn conversation(words: &mut Words) -> Result<Value> {
    words.value("a conversation")
}

fn send(words: &mut Words) -> Result<Deed> {
    // The stage gives `$auto` a new value for each deed.
    let mut params = json!({"conversation": conversation(words)?, "text": words.quoted()?, "id": pattern::word("$auto")});
    let mut name = None;
    loop {
        if words.accept("as") {
            let id = words.word("a name")?;
            params["id"] = json!(id);
            name = Some(id);
        } else if words.accept("in reply to") {
            params["reply_to"] = words.value("a seq")?;
        } else if words.accept("mentioning") {
            params["mentions"] = json!(words.names()?);
        } else {
            return Ok(Deed { method: "message.send".into(), params, name });
        }
    }
}

fn about_message(verb: &str, words: &mut Words) -> Result<(&'static str, Value)> {
    let mut params = json!({"conversation": conversation(words)?, "seq": words.value("a seq")?});
    Ok(match verb {
        "edit" => {
            params["text"] = json!(words.quoted()?);
            ("message.edit", params)
        }
        "react" => {
            params["emoji"] = json!(words.word("an emoji")?);
            params["on"] = json!(!words.accept("off"));
            ("message.react", params)
        }
        _ => ("message.delete", params),
    })
}

fn about_person(verb: &str, words: &mut Words) -> Result<(&'static str, Value)> {
    let user = words.word("a user")?;
    if verb == "make" {
        let role = words.word("a role")?;
        words.expect("of")?;
        return Ok(("conversation.role", json!({"user": user, "role": role, "conversation": conversation(words)?})));
    }
    words.expect(if verb == "invite" { "to" } else { "from" })?;
    let conversation = conversation(words)?;
    Ok(match verb {
        "invite" => ("conversation.invite", json!({"user": user, "conversation": conversation})),
        "ban" => ("conversation.remove", json!({"user": user, "conversation": conversation, "ban": true})),
        _ => ("conversation.remove", json!({"user": user, "conversation": conversation})),
    })
}

/// A conversation's id, or `everything`.
fn followed(words: &mut Words) -> Result<Value> {
    if words.accept("everything") { Ok(json!("*")) } else { Ok(json!(conversation(words)?)) }
}

fn follow(words: &mut Words) -> Result<Value> {
    let mut params = json!({"conversation": followed(words)?});
    if words.accept("after") {
        params["after"] = words.value("a seq")?;
    }
    if words.accept("without echo") {
        params["echo"] = json!(false);
    }
    Ok(params)
}

fn create(words: &mut Words) -> Result<Value> {
    let mut params = json!({"kind": words.word("a kind")?, "id": words.word("an id")?});
    if let Some(title) = words.quoted_maybe() {
        params["title"] = json!(title);
    }
    if words.accept("with") {
        params["members"] = json!(words.names()?);
    }
    Ok(params)
}

fn status(words: &mut Words) -> Result<Value> {
    let mut params = json!({"status": words.word("a status")?});
    if let Some(text) = words.quoted_maybe() {
        params["text"] = json!(text);
    }
    Ok(params)
}
