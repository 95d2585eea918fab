use hallway_broker::files::{Capability, path};
use hallway_broker::ids::{ConfNo, Uid};
use hallway_broker::model::{Body, Change, Event, Message};
use minidom::Element;
use xmpp_parsers::chatstates;
use xmpp_parsers::delay::Delay;
use xmpp_parsers::displayed_markers::{Displayed, Markable};
use xmpp_parsers::message::{Message as Typed, MessageType};
use xmpp_parsers::message_correct::Replace;
use xmpp_parsers::nick::Nick;
use xmpp_parsers::occupant_id::OccupantId;
use xmpp_parsers::reactions::Reactions;
use xmpp_parsers::stanza_id::{OriginId, StanzaId};

use super::{NOON_MS, ends, event, message, occupant_id, original, parse, stanzas, uid, words};
use crate::xmpp::stanza::{ChatState, Occupant, Outgoing, Retraction, TO_AT, ns, write_addressed, write_chat_read, write_chat_state};

fn groupchat(outgoing: &Outgoing<'_>) -> Option<Typed> {
    let mut out = b"before".to_vec();
    let told = stanzas().write_groupchat(outgoing, &mut out);
    assert_eq!(told, out.len() > 6);
    told.then(|| Typed::try_from(parse(&out[6..])).unwrap())
}

fn chat(outgoing: &Outgoing<'_>) -> Option<Typed> {
    let mut out = b"before".to_vec();
    let told = stanzas().write_chat(outgoing, &ends(), &mut out);
    assert_eq!(told, out.len() > 6);
    told.then(|| Typed::try_from(parse(&out[6..])).unwrap())
}

fn payload<T: TryFrom<Element>>(message: &Typed) -> Option<T> {
    message.payloads.iter().find_map(|payload| T::try_from(payload.clone()).ok())
}

fn element<'m>(message: &'m Typed, name: &str, namespace: &str) -> &'m Element {
    message.payloads.iter().find(|payload| payload.is(name, namespace)).unwrap_or_else(|| panic!("no {name} in {message:?}"))
}

fn body(message: &Typed) -> &str {
    message.bodies.get("").map_or("", String::as_str)
}

fn from(message: &Typed) -> String {
    message.from.as_ref().unwrap().to_string()
}

fn id(message: &Typed) -> &str {
    &message.id.as_ref().unwrap().0
}

#[test]
fn a_message_in_a_room_is_the_rooms_copy() {
    let told = groupchat(&Outgoing::new(&event(Body::Message(message("hi <all>"))), "ev5")).unwrap();
    assert_eq!((from(&told).as_str(), id(&told)), ("lobby@rooms.demo.example/Alice", "c1"));
    assert_eq!((&told.type_, &told.to, body(&told)), (&MessageType::Groupchat, &None, "hi <all>"));
    let stanza_id: StanzaId = payload(&told).unwrap();
    assert_eq!((stanza_id.id.as_str(), stanza_id.by.as_str()), ("ev5", "lobby@rooms.demo.example"));
    assert_eq!(payload::<OccupantId>(&told).unwrap().id, occupant_id("alice"));
    assert_eq!(told.payloads.len(), 2, "{told:?}");
}

#[test]
fn a_message_without_an_id_goes_out_under_its_public_one() {
    let said = Message { client_id: "".into(), ..message("hi") };
    let told = groupchat(&Outgoing::new(&event(Body::Message(said)), "ev5")).unwrap();
    assert_eq!(id(&told), "ev5");
}

#[test]
fn what_came_by_xmpp_keeps_its_origin_id() {
    let mut event = event(Body::Message(message("hi")));
    event.entry.via = hallway_broker::model::Via::Xmpp;
    let told = groupchat(&Outgoing::new(&event, "ev5")).unwrap();
    assert_eq!(payload::<OriginId>(&told).unwrap().id, "c1");
}

#[test]
fn each_receiver_gets_the_same_but_for_to() {
    let mut shared = Vec::new();
    assert!(stanzas().write_groupchat(&Outgoing::new(&event(Body::Message(message("hi"))), "ev5"), &mut shared));
    let mut copy = b"x".to_vec();
    write_addressed(&shared, "bob@demo.example/o'phone \"2\"", &mut copy);
    let mut element = parse(&copy[1..]);
    assert_eq!(element.attr("to"), Some("bob@demo.example/o'phone \"2\""));
    element.attrs_mut().remove(&minidom::rxml::Namespace::NONE, "to");
    assert_eq!(element, parse(&shared));
    assert_eq!(&shared[..TO_AT], b"<message");
    write_addressed(b"<", "x", &mut copy); // nonsense in, nonsense out, no panic
}

#[test]
fn a_name_that_no_resource_holds_is_told_beside_the_nick() {
    let mut event = event(Body::Message(message("hi")));
    event.entry.name = "Alice 🎉".into();
    let told = groupchat(&Outgoing::new(&event, "ev5")).unwrap();
    assert_eq!(from(&told), "lobby@rooms.demo.example/Alice (alice)");
    assert_eq!(payload::<Nick>(&told).unwrap().0, "Alice 🎉");
}

#[test]
fn the_server_speaks_as_the_room() {
    let mut event = event(Body::Message(message("closing")));
    event.entry.from = Uid::system();
    let told = groupchat(&Outgoing::new(&event, "ev5")).unwrap();
    assert_eq!(from(&told), "lobby@rooms.demo.example");
    assert!(payload::<OccupantId>(&told).is_none());
}

#[test]
fn a_message_to_one_person_is_their_accounts_copy() {
    let told = chat(&Outgoing::new(&event(Body::Message(message("hi"))), "ev5")).unwrap();
    assert_eq!((from(&told).as_str(), &told.type_, id(&told)), ("alice@demo.example/phone", &MessageType::Chat, "c1"));
    assert_eq!(told.to.as_ref().unwrap().as_str(), "bob@demo.example");
    assert_eq!(payload::<StanzaId>(&told).unwrap().by.as_str(), "bob@demo.example");
    assert_eq!(payload::<Nick>(&told).unwrap().0, "Alice");
    assert!(payload::<Markable>(&told).is_some());
    assert!(payload::<OccupantId>(&told).is_none());
}

#[test]
fn history_is_delayed() {
    let event = event(Body::Message(message("hi")));
    let outgoing = Outgoing { is_delayed: true, ..Outgoing::new(&event, "ev5") };
    for (told, by) in [(groupchat(&outgoing), "lobby@rooms.demo.example"), (chat(&outgoing), "demo.example")] {
        let delay: Delay = payload(&told.unwrap()).unwrap();
        assert_eq!(delay.from.unwrap().as_str(), by);
        assert_eq!(delay.stamp.0.timestamp_millis(), i64::try_from(NOON_MS).unwrap());
    }
}

#[test]
fn an_answer_quotes_for_those_who_know_no_replies() {
    let bob = uid("bob");
    let event = event(Body::Message(message("Great 👍")));
    let outgoing = Outgoing { reply_to: Some(original(&bob, "a cake?\nor pie")), ..Outgoing::new(&event, "ev5") };
    let quotation = "> Bob 🎩:\n> a cake?\n> or pie\n";
    for (told, to, id) in [
        (groupchat(&outgoing).unwrap(), "lobby@rooms.demo.example/Bob (bob)", "ev1"),
        (chat(&outgoing).unwrap(), "bob@demo.example", "bobs-1"),
    ] {
        assert_eq!(body(&told), format!("{quotation}Great 👍"));
        let reply = element(&told, "reply", ns::REPLY);
        assert_eq!((reply.attr("to"), reply.attr("id")), (Some(to), Some(id)));
        let fallback = element(&told, "fallback", ns::FALLBACK);
        let region = fallback.get_child("body", ns::FALLBACK).unwrap();
        let end = quotation.chars().count().to_string();
        assert_eq!((fallback.attr("for"), region.attr("start"), region.attr("end")), (Some(ns::REPLY), Some("0"), Some(end.as_str())));
    }
}

#[test]
fn files_and_people_are_named() {
    let path = path(&Capability::new(ConfNo(1), [3; 16]), "a&b.png");
    let url = format!("https://chat.example{path}");
    let attachment = format!("{path}#type=image/png&bytes=5");
    let said = |text: &str| Message { mentions: words(&["bob", "*"]), attachments: words(&[&attachment]), ..message(text) };
    let told = groupchat(&Outgoing::new(&event(Body::Message(said("look, Bob"))), "ev5")).unwrap();
    assert_eq!(body(&told), format!("look, Bob\n{url}"));
    assert_eq!(element(&told, "x", ns::OOB).get_child("url", ns::OOB).unwrap().text(), url);
    let mention = element(&told, "reference", ns::REFERENCE);
    assert_eq!((mention.attr("type"), mention.attr("uri")), (Some("mention"), Some("xmpp:bob@demo.example")));
    assert_eq!(told.payloads.iter().filter(|payload| payload.name() == "reference").count(), 1);
    assert_eq!(element(&told, "fallback", ns::FALLBACK).attr("for"), Some(ns::OOB));

    let told = groupchat(&Outgoing::new(&event(Body::Message(said(&url))), "ev5")).unwrap();
    assert_eq!(body(&told), url);
}

#[test]
fn an_edit_replaces_by_the_senders_id() {
    let alice = uid("alice");
    let edit = |text: &str| event(Body::Edit { target: 4, text: text.into() });
    let event = edit("window");
    let outgoing = Outgoing { target: Some(original(&alice, "airlock")), ..Outgoing::new(&event, "ev5") };
    for told in [groupchat(&outgoing).unwrap(), chat(&outgoing).unwrap()] {
        assert_eq!((body(&told), id(&told)), ("window", "ev5"));
        assert_eq!(payload::<Replace>(&told).unwrap().id.0, "bobs-1");
    }
    let told = groupchat(&Outgoing { echo: Some("mine-7"), ..outgoing }).unwrap();
    assert_eq!(id(&told), "mine-7");
    let event = edit(""); // the message was deleted since
    assert!(groupchat(&Outgoing { event: &event, ..outgoing }).is_none());
}

#[test]
fn ones_own_deletion_is_a_retraction() {
    let alice = uid("alice");
    let event = event(Body::Delete { target: 4 });
    let outgoing = Outgoing { target: Some(original(&alice, "")), ..Outgoing::new(&event, "ev5") };
    for (told, id) in [(groupchat(&outgoing).unwrap(), "ev1"), (chat(&outgoing).unwrap(), "bobs-1")] {
        let retract = element(&told, "retract", ns::RETRACT);
        assert_eq!((retract.attr("id"), retract.children().count()), (Some(id), 0));
        assert!(!body(&told).is_empty());
        let fallback = element(&told, "fallback", ns::FALLBACK);
        assert_eq!(fallback.attr("for"), Some(ns::RETRACT));
        element(&told, "store", ns::HINTS);
    }
    assert!(groupchat(&outgoing).unwrap().from.unwrap().is_full());
}

#[test]
fn anothers_deletion_is_moderation_by_the_room() {
    let bob = uid("bob");
    let mut event = event(Body::Delete { target: 4 });
    let moderated = |event: &Event| {
        let told = groupchat(&Outgoing { target: Some(original(&bob, "")), ..Outgoing::new(event, "ev5") }).unwrap();
        assert_eq!(from(&told), "lobby@rooms.demo.example");
        let retract = element(&told, "retract", ns::RETRACT);
        assert_eq!(retract.attr("id"), Some("ev1"));
        retract.get_child("moderated", ns::MODERATE).unwrap().clone()
    };
    let by_alice = moderated(&event);
    assert_eq!(by_alice.attr("by"), Some("lobby@rooms.demo.example/Alice"));
    let occupant: OccupantId = by_alice.children().next().unwrap().clone().try_into().unwrap();
    assert_eq!(occupant.id, occupant_id("alice"));
    event.entry.from = Uid::system();
    assert_eq!(moderated(&event).attr("by"), None);
}

#[test]
fn a_deleted_message_is_a_tombstone_in_history() {
    let (alice, bob) = (uid("alice"), uid("bob"));
    let event = event(Body::Message(Message { deleted: Some(7), ..message("") }));
    let by = |by| Some(Retraction { id: "ev7", ts_ms: NOON_MS, by });
    let own = Outgoing { retraction: by((&alice, "Alice")), ..Outgoing::new(&event, "ev5") };
    for told in [groupchat(&own).unwrap(), chat(&own).unwrap()] {
        let tombstone = element(&told, "retracted", ns::RETRACT);
        assert_eq!((tombstone.attr("id"), tombstone.attr("stamp")), (Some("ev7"), Some("2026-11-20T18:00:00.123Z")));
        assert_eq!((tombstone.children().count(), body(&told), id(&told)), (0, "", "c1"));
    }
    let told = groupchat(&Outgoing { retraction: by((&bob, "Bob")), ..own }).unwrap();
    let moderated = element(&told, "retracted", ns::RETRACT).get_child("moderated", ns::MODERATE).unwrap();
    assert_eq!(moderated.attr("by"), Some("lobby@rooms.demo.example/Bob"));
    assert!(groupchat(&Outgoing::new(&event, "ev5")).is_none());
}

#[test]
fn reactions_are_told_as_the_whole_set() {
    let bob = uid("bob");
    let event = event(Body::React { target: 4, emoji: "🐢".into(), on: true });
    let now = words(&["👋", "🐢"]);
    let outgoing = Outgoing { target: Some(original(&bob, "hi")), reactions: &now, ..Outgoing::new(&event, "ev5") };
    for (told, id) in [(groupchat(&outgoing).unwrap(), "ev1"), (chat(&outgoing).unwrap(), "bobs-1")] {
        let reactions: Reactions = payload(&told).unwrap();
        let emojis: Vec<_> = reactions.reactions.into_iter().map(|reaction| reaction.emoji).collect();
        assert_eq!((reactions.id.as_str(), emojis), (id, vec!["👋".to_owned(), "🐢".to_owned()]));
        element(&told, "store", ns::HINTS);
    }
    let told = groupchat(&Outgoing { reactions: &[], ..outgoing }).unwrap();
    assert_eq!(payload::<Reactions>(&told).unwrap().reactions.len(), 0);
    assert!(groupchat(&Outgoing { target: None, ..outgoing }).is_none());
}

#[test]
fn a_title_is_a_subject() {
    let event = event(Body::Settings { title: "Cake & pie".into() });
    let told = groupchat(&Outgoing::new(&event, "ev5")).unwrap();
    assert_eq!((told.subjects.get("").map(String::as_str), told.bodies.len()), (Some("Cake & pie"), 0));
    assert!(chat(&Outgoing::new(&event, "ev5")).is_none());
}

#[test]
fn members_changes_are_no_messages() {
    let event = event(Body::Member { user: uid("bob"), change: Change::Joined });
    assert!(groupchat(&Outgoing::new(&event, "ev5")).is_none());
    assert!(chat(&Outgoing::new(&event, "ev5")).is_none());
}

#[test]
fn typing_and_reading_are_told_to_rooms_and_to_people() {
    let event = event(Body::Delete { target: 1 });
    let occupant = Occupant { conf: event.place.conf, conversation: &event.place.conversation, uid: &event.entry.from, name: "Alice" };
    for (on, state) in [(true, chatstates::ChatState::Composing), (false, chatstates::ChatState::Paused)] {
        let (mut to_room, mut to_bob) = (Vec::new(), Vec::new());
        stanzas().write_groupchat_typing(&occupant, on, &mut to_room);
        write_chat_state(&ends(), ChatState::of(on), &mut to_bob);
        for (bytes, kind) in [(to_room, MessageType::Groupchat), (to_bob, MessageType::Chat)] {
            let told = Typed::try_from(parse(&bytes)).unwrap();
            assert_eq!((told.type_.clone(), payload::<chatstates::ChatState>(&told)), (kind, Some(state.clone())));
        }
    }
    let mut out = Vec::new();
    stanzas().write_groupchat_read(&occupant, "ev4", &mut out);
    let told = Typed::try_from(parse(&out)).unwrap();
    assert_eq!(payload::<Displayed>(&told).unwrap().id.0, "ev4");
    assert_eq!(payload::<OccupantId>(&told).unwrap().id, occupant_id("alice"));
    out.clear();
    write_chat_read(&ends(), "bobs-1", &mut out);
    let told = Typed::try_from(parse(&out)).unwrap();
    assert_eq!(payload::<Displayed>(&told).unwrap().id.0, "bobs-1");
}

#[test]
fn long_texts_are_quoted_in_part() {
    use crate::xmpp::stanza::quote::quote;
    assert_eq!(quote("Bob", "hi"), "> Bob:\n> hi\n");
    assert_eq!(quote("Bob", ""), "> Bob:\n");
    assert_eq!(quote("B\nob", "a\r\nb\n\nc\nd"), "> B ob:\n> a\n> b\n> \n> c\n> …\n");
    let long = quote("Bob", &"ä".repeat(10_000));
    assert_eq!(long, format!("> Bob:\n> {}…\n", "ä".repeat(280)));
}
