mod error;
mod incoming;
mod outgoing;
mod properties;
mod room;
mod wrap;

use std::sync::Arc;

use hallway_broker::ids::{ConfNo, ConvNo, ConversationId, Uid};
use hallway_broker::model::{Body, Entry, Event, Kind, Message, Place, Via};
use minidom::Element;

use super::{Ends, Original, Stanzas};
use crate::xmpp::names::{Names, OccupantIds};

/// 2026-11-20T18:00:00.123Z
const NOON_MS: u64 = 1_795_197_600_123;

fn uid(text: &str) -> Uid {
    Uid::parse(text).unwrap()
}

fn names() -> Names {
    Names::new("demo.example").unwrap()
}

fn stanzas() -> Stanzas {
    Stanzas::new(names(), OccupantIds::new([7; 16])).at_site("https://chat.example/")
}

fn occupant_id(who: &str) -> String {
    OccupantIds::new([7; 16]).encode(ConfNo(1), &ConversationId::parse("lobby").unwrap(), &uid(who))
}

/// Reads one stanza as a parser that knows nothing of us would.
fn parse(bytes: &[u8]) -> Element {
    Element::from_reader(bytes).unwrap_or_else(|error| panic!("{error}: {:.2000}", String::from_utf8_lossy(bytes)))
}

/// What alice did in the lobby.
fn event(body: Body) -> Event {
    let conversation = ConversationId::parse("lobby").unwrap();
    Event {
        place: Place { conf: ConfNo(1), conv: ConvNo(2), conversation, kind: Kind::Channel, seq: 5 },
        entry: Entry { pos: 9, n: 3, ts_ms: NOON_MS, from: uid("alice"), name: "Alice".into(), via: Via::Ws, body },
        origin: 0,
    }
}

fn message(text: &str) -> Message {
    Message { client_id: "c1".into(), text: text.into(), ..Message::default() }
}

/// What bob said before.
fn original<'a>(author: &'a Uid, text: &'a str) -> Original<'a> {
    Original { id: "ev1", client_id: "bobs-1", author, name: "Bob 🎩", text }
}

fn ends() -> Ends<'static> {
    Ends { from: "alice@demo.example/phone", to: "bob@demo.example", archive: "bob@demo.example", is_private: false }
}

fn words(list: &[&str]) -> Vec<Arc<str>> {
    list.iter().map(|&word| word.into()).collect()
}

/// What a receiver reads of a text: itself, but for what XML cannot say.
fn said(text: &str) -> String {
    let is_said = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..);
    text.chars().map(|c| if is_said(c) { c } else { '\u{FFFD}' }).collect()
}
