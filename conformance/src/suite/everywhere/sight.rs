//! What anybody sees of a conversation, whatever the protocol: the same words for the same things.

use serde_json::Value;

/// Something seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// The conversation's id.
    pub conversation: String,
    /// The event's public id; empty for what is told and not kept.
    pub id: String,
    /// The event's number, where the protocol tells it.
    pub seq: Option<u64>,
    /// The sender's id of a message; empty where there is none.
    pub client_id: String,
    /// Whose it is; empty where the protocol tells the name alone.
    pub from: String,
    /// Their display name.
    pub name: String,
    /// What.
    pub what: What,
}

/// What was seen. Messages that something is about are named as the protocol does: by `seq`, by id, or by the sender's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A message; without a text one that was deleted.
    Said(Option<String>),
    /// Another text.
    Edited(String, String),
    /// A reaction, or none any more.
    Reacted(String, Option<String>),
    /// A message was taken back.
    Deleted(String),
    /// Another title.
    Titled(String),
    /// Somebody types, or stops to.
    Typing(bool),
    /// Somebody has read up to a message.
    Read(String),
}

impl What {
    /// What is told and not kept.
    #[must_use]
    pub fn is_signal(&self) -> bool {
        matches!(self, What::Typing(_) | What::Read(_))
    }

    /// The same, with what it is about and its texts put otherwise.
    #[must_use]
    pub fn map(&self, target: impl Fn(&str) -> String, text: impl Fn(&str) -> String) -> What {
        match self {
            What::Said(said) => What::Said(said.as_deref().map(text)),
            What::Edited(about, said) => What::Edited(target(about), text(said)),
            What::Reacted(about, emoji) => What::Reacted(target(about), emoji.as_deref().map(text)),
            What::Deleted(about) => What::Deleted(target(about)),
            What::Titled(title) => What::Titled(text(title)),
            What::Typing(on) => What::Typing(*on),
            What::Read(about) => What::Read(target(about)),
        }
    }
}

/// An event in canonical JSON, which WebSocket and MQTT share. `None` for what other protocols tell in their own way (members).
#[must_use]
pub fn of_json(event: &Value) -> Option<Sight> {
    let word = |member: &str| event[member].as_str().unwrap_or_default().to_owned();
    let target = || event["target"].to_string();
    let what = match event["kind"].as_str()? {
        "message" => What::Said((event["deleted"] != true).then(|| word("text"))),
        "edit" => What::Edited(target(), word("text")),
        "react" => What::Reacted(target(), (event["on"] == true).then(|| word("emoji"))),
        "delete" => What::Deleted(target()),
        "settings" => What::Titled(word("title")),
        _ => return None,
    };
    Some(Sight { id: word("id"), seq: event["seq"].as_u64(), client_id: word("client_id"), name: word("name"), ..of_whom(event, what) })
}

/// A signal in JSON, by its name.
#[must_use]
pub fn of_signal(name: &str, params: &Value) -> Option<Sight> {
    match name {
        "typing" => Some(of_whom(params, What::Typing(params["on"] == true))),
        "read" => Some(of_whom(params, What::Read(params["seq"].to_string()))),
        _ => None,
    }
}

fn of_whom(json: &Value, what: What) -> Sight {
    let word = |member: &str| json[member].as_str().unwrap_or_default().to_owned();
    Sight {
        conversation: word("conversation"),
        id: String::new(),
        seq: None,
        client_id: String::new(),
        from: word("from"),
        name: word("name"),
        what,
    }
}

/// Text as XMPP can say it: characters that XML 1.0 does not have are U+FFFD (§2.2).
#[must_use]
pub fn as_xml_has_it(text: &str) -> String {
    let is_char = |char: char| !matches!(char, '\0'..='\x08' | '\x0B' | '\x0C' | '\x0E'..='\x1F' | '\u{FFFE}' | '\u{FFFF}');
    text.chars().map(|char| if is_char(char) { char } else { '\u{FFFD}' }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_xml_does_not_have_is_replaced() {
        assert_eq!(as_xml_has_it("a\0b\u{B}\u{FFFF}\t\r\n😀]]>"), "a\u{FFFD}b\u{FFFD}\u{FFFD}\t\r\n😀]]>");
    }

    #[test]
    fn json_becomes_a_sight() {
        let event =
            json!({"conversation": "lobby", "seq": 3, "id": "x", "kind": "edit", "from": "a", "name": "A", "target": 2, "text": "t"});
        let sight = of_json(&event).expect("an edit");
        assert_eq!(sight.what, What::Edited("2".into(), "t".into()));
        assert_eq!((sight.seq, sight.id.as_str()), (Some(3), "x"));
        assert!(of_json(&json!({"kind": "member"})).is_none());
    }
}
