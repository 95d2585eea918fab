//! Over any event and any stanza.

use std::sync::Arc;

use hallway_broker::files::{Capability, path};
use hallway_broker::ids::{ConfNo, ConvNo, ConversationId, Uid};
use hallway_broker::model::{Body, Change, Entry, Event, Kind, Message, Place, Via};
use minidom::Element;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use xmpp_parsers::message::Message as Typed;

use super::{ends, names, parse, said, stanzas, uid};
use crate::xmpp::names::{Address, NickOwner, nick_owner};
use crate::xmpp::stanza::{
    ArchiveResult, Mention, Original, Outgoing, Retraction, Said, ns, read_message, read_moderation, write_addressed, write_archive_result,
};

fn arc() -> impl Strategy<Value = Arc<str>> {
    text().prop_map(Into::into)
}

/// Texts as people write them, and as they should not.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[\0-\u{20}<>&\"'\\]\u{FFFD}-\u{10002}a\n]{0,20}", "[a-z >\n🎉é\u{5d0}\u{200D}]{0,20}"]
}

fn uids() -> impl Strategy<Value = Uid> {
    prop_oneof![Just(Uid::system()), "[a-c]".prop_map(|text| uid(&text)), "[a-z0-9][a-z0-9._-]{0,63}".prop_map(|text| uid(&text))]
}

fn messages() -> impl Strategy<Value = Message> {
    let url = |(random, name): ([u8; 16], String)| path(&Capability::new(ConfNo(1), random), &name);
    let urls = vec((any::<[u8; 16]>(), "[!-~é]{1,8}").prop_map(url).prop_map(Arc::from), 0..3);
    let mentions = vec(prop_oneof![Just("*".to_owned()), "[a-z]{1,4}"].prop_map(Arc::from), 0..3);
    (arc(), arc(), urls, mentions, option::of(any::<u64>())).prop_map(|(client_id, text, attachments, mentions, deleted)| Message {
        client_id,
        text,
        mentions,
        attachments,
        deleted,
        ..Message::default()
    })
}

fn bodies() -> impl Strategy<Value = Body> {
    prop_oneof![
        4 => messages().prop_map(Body::Message),
        1 => arc().prop_map(|text| Body::Edit { target: 1, text }),
        1 => Just(Body::Delete { target: 1 }),
        1 => (arc(), any::<bool>()).prop_map(|(emoji, on)| Body::React { target: 1, emoji, on }),
        1 => uids().prop_map(|user| Body::Member { user, change: Change::Joined }),
        1 => arc().prop_map(|title| Body::Settings { title }),
    ]
}

fn events(bodies: impl Strategy<Value = Body>) -> impl Strategy<Value = Event> {
    let via = prop_oneof![Just(Via::Xmpp), Just(Via::Mqtt)];
    (bodies, uids(), arc(), via, any::<u64>()).prop_map(|(body, from, name, via, ts_ms)| Event {
        place: Place {
            conf: ConfNo(1),
            conv: ConvNo(2),
            conversation: ConversationId::parse("lobby").unwrap(),
            kind: Kind::Channel,
            seq: 5,
        },
        entry: Entry { pos: 9, n: 3, ts_ms, from, name, via, body },
        origin: 0,
    })
}

/// An element's name, namespace, attributes and text.
type Head = (&'static str, &'static str, Vec<(&'static str, String)>, String);

/// Any stanza-like element, often with names that mean something.
fn elements() -> impl Strategy<Value = Element> {
    let namespaces = vec![
        ns::CLIENT,
        ns::OOB,
        ns::CHAT_STATES,
        ns::RECEIPTS,
        ns::CARBONS,
        ns::CORRECT,
        ns::MARKERS,
        ns::HINTS,
        ns::STANZA_IDS,
        ns::REFERENCE,
        ns::RETRACT,
        ns::MODERATE,
        ns::FALLBACK,
        ns::REACTIONS,
        ns::REPLY,
        ns::MUC_USER,
        ns::CONFERENCE,
        "urn:other",
    ];
    let names = vec![
        "message",
        "body",
        "subject",
        "thread",
        "fallback",
        "reference",
        "x",
        "url",
        "composing",
        "active",
        "request",
        "received",
        "private",
        "replace",
        "displayed",
        "origin-id",
        "retract",
        "reactions",
        "reaction",
        "reply",
        "moderate",
        "reason",
        "invite",
        "other",
    ];
    let attribute = (
        proptest::sample::select(vec!["id", "for", "start", "end", "type", "uri", "to"]),
        prop_oneof![
            text(),
            "[0-9]{1,3}",
            proptest::sample::select(vec!["", "chat", "groupchat", "error", "mention", ns::REPLY, ns::REACTIONS, "xmpp:a@demo.example"])
                .prop_map(Into::into),
            "xmpp:[a-z@%0-9./]{0,20}",
        ],
    );
    let head = (proptest::sample::select(names), proptest::sample::select(namespaces), vec(attribute, 0..3), text()).boxed();
    let build = |((name, namespace, attributes, text), children): (Head, Vec<Element>)| {
        let mut element = Element::bare(name, namespace);
        for (name, value) in attributes {
            element.attrs_mut().insert(minidom::rxml::Namespace::NONE, name.try_into().unwrap(), value);
        }
        element.append_text_node(text);
        for child in children {
            element.append_child(child);
        }
        element
    };
    let leaf = head.clone().prop_map(move |head| build((head, Vec::new())));
    leaf.prop_recursive(3, 40, 8, move |inner| (head.clone(), vec(inner, 0..8)).prop_map(build))
}

proptest! {
    #[test]
    fn any_event_is_a_well_formed_stanza(
        event in events(bodies()),
        author in uids(),
        name in text(),
        quoted in text(),
        reactions in vec(arc(), 0..3),
        replies: bool,
        is_delayed: bool,
    ) {
        let original = Original { id: "ev1", client_id: &name, author: &author, name: &name, text: &quoted };
        let outgoing = Outgoing {
            target: Some(original),
            reply_to: replies.then_some(original),
            reactions: &reactions,
            retraction: Some(Retraction { id: "ev7", ts_ms: 1, by: (&author, &name) }),
            is_delayed,
            ..Outgoing::new(&event, "ev5")
        };
        let mut shared = Vec::new();
        if stanzas().write_groupchat(&outgoing, &mut shared) {
            let mut copy = Vec::new();
            write_addressed(&shared, "bob@demo.example/desk", &mut copy);
            let told = Typed::try_from(parse(&copy)).unwrap();
            let Ok(Address::Room { nick, .. }) = names().address(&told.from.unwrap()) else { return Err(TestCaseError::fail("no room")) };
            let is_authors = nick.as_deref().is_none_or(|nick| match nick_owner(nick) {
                NickOwner::Name(name) => *name == *event.entry.name,
                NickOwner::Uid(uid) => uid == event.entry.from,
            });
            prop_assert!(is_authors);
            prop_assert_eq!(told.to.unwrap().to_string(), "bob@demo.example/desk");
            let result = ArchiveResult { archive: "a@b", to: "c@d", query_id: Some(&name), id: "ev5", ts_ms: 1 };
            copy.clear();
            write_archive_result(&result, &shared, &mut copy);
            parse(&copy);
            read_message(&parse(&shared), &names()).ok();
        }
        shared.clear();
        if stanzas().write_chat(&outgoing, &ends(), &mut shared) {
            Typed::try_from(parse(&shared)).unwrap();
        }
    }

    #[test]
    fn a_message_that_is_told_says_what_was_said(
        event in events(messages().prop_map(|message| Body::Message(Message { client_id: "c1".into(), deleted: None, ..message }))),
        author in uids(),
        name in text(),
        quoted in text(),
        replies: bool,
        in_room: bool,
    ) {
        let Body::Message(message) = &event.entry.body else { unreachable!() };
        prop_assume!(!message.text.is_empty()); // admission
        let original = Original { id: "ev1", client_id: "bobs-1", author: &author, name: &name, text: &quoted };
        let outgoing = Outgoing { reply_to: replies.then_some(original), ..Outgoing::new(&event, "ev5") };
        let mut out = Vec::new();
        let stanzas = stanzas();
        let told = if in_room { stanzas.write_groupchat(&outgoing, &mut out) } else { stanzas.write_chat(&outgoing, &ends(), &mut out) };
        prop_assert!(told);
        let read = read_message(&parse(&out), &names()).unwrap();
        let Some(Said::Draft(draft)) = read.said.first() else { return Err(TestCaseError::fail("no draft")) };
        prop_assert_eq!(read.client_id(), "c1");
        prop_assert_eq!(&draft.text, &said(&message.text));
        let target = if in_room { "ev1" } else { "bobs-1" };
        prop_assert_eq!(draft.reply_to.as_ref().map(|target| target.id.as_str()), replies.then_some(target));
        let attachments: Vec<_> = message.attachments.iter().map(|path| format!("https://chat.example{path}")).collect();
        prop_assert_eq!(&draft.attachments, &attachments);
        let mut mentions: Vec<_> = message.mentions.iter().filter_map(|mention| Uid::parse(mention).ok()).map(Mention::User).collect();
        let mut seen = Vec::new();
        mentions.retain(|mention| !seen.contains(mention) && { seen.push(mention.clone()); true });
        prop_assert_eq!(&draft.mentions, &mentions);
    }

    #[test]
    fn no_element_makes_us_panic(element in elements()) {
        let _ = read_message(&element, &names());
        let _ = read_moderation(&element);
        for child in element.children() {
            let _ = read_moderation(child);
        }
    }
}
