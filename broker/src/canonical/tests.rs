//! Canonical JSON against `serde_json`, and times against the calendar.

use crate::ids::{ConfNo, ConvNo, ConversationId, EventIds, Uid};
use crate::model::*;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const CONF: ConfNo = ConfNo(1);

fn ids() -> EventIds {
    EventIds::new([5; 16])
}

fn event(body: Body) -> Event {
    Event {
        place: Place { conf: CONF, conv: ConvNo(2), conversation: ConversationId::parse("lobby").unwrap(), kind: Kind::Channel, seq: 42 },
        entry: Entry {
            pos: 1000,
            n: 40,
            ts_ms: 1_795_197_600_123,
            from: Uid::parse("alice").unwrap(),
            name: "Alice \"A\" Ümläut".into(),
            via: Via::Mqtt,
            body,
        },
        origin: 9,
    }
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Value {
    let mut out = Vec::new();
    write(&mut out);
    serde_json::from_slice(&out).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&out)))
}

fn canonical(body: Body) -> Value {
    written(|out| write_event(&event(body), &ids(), out))
}

/// The members that all events have, and those of this one.
fn with(kind: &str, more: Value) -> Value {
    let mut value = json!({
        "conversation": "lobby", "seq": 42, "id": ids().encode(CONF, 1000), "kind": kind, "from": "alice",
        "name": "Alice \"A\" Ümläut", "ts": "2026-11-20T18:00:00.123Z", "via": "mqtt",
    });
    let members = value.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    value
}

#[test]
fn every_kind_has_its_shape() {
    let bob = Uid::parse("bob").unwrap();
    let plain = Message { client_id: "c1".into(), text: "hi\n\u{1}".into(), ..Message::default() };
    let full = Message {
        reply_to: Some(7),
        mentions: vec!["bob".into(), "*".into()],
        attachments: vec!["https://x/\"".into()],
        edits: vec![43],
        deleted: Some(44),
        reactions: vec![("👍".into(), 2), ("🎉".into(), 1)],
        ..plain.clone()
    };
    let rows = [
        (Body::Message(plain), "message", json!({"client_id":"c1","text":"hi\n\u{1}","n":40})),
        (
            Body::Message(full),
            "message",
            json!({"client_id":"c1","text":"hi\n\u{1}","n":40,"reply_to":7,"mentions":["bob","*"],"attachments":["https://x/\""],
                "edited":true,"deleted":true,"reactions":{"👍":2,"🎉":1}}),
        ),
        (Body::Edit { target: 40, text: "new".into() }, "edit", json!({"target":40,"text":"new"})),
        (Body::Delete { target: 40 }, "delete", json!({"target":40})),
        (Body::React { target: 40, emoji: "👍".into(), on: false }, "react", json!({"target":40,"emoji":"👍","on":false})),
        (Body::Member { user: bob.clone(), change: Change::Joined }, "member", json!({"user":"bob","change":"joined"})),
        (
            Body::Member { user: bob, change: Change::Role(MemberRole::Owner) },
            "member",
            json!({"user":"bob","change":"role","role":"owner"}),
        ),
        (Body::Settings { title: "The \\ lobby".into() }, "settings", json!({"title":"The \\ lobby"})),
    ];
    for (body, kind, more) in rows {
        assert_eq!(canonical(body), with(kind, more));
    }
}

#[test]
fn the_order_of_members_is_that_of_the_design() {
    let mut out = Vec::new();
    let message = Message { client_id: "c".into(), text: "hi".into(), ..Message::default() };
    write_event_notification(&event(Body::Message(message)), &ids(), &mut out);
    let expected = format!(
        "{{\"jsonrpc\":\"2.0\",\"method\":\"message\",\"params\":{{\"conversation\":\"lobby\",\"seq\":42,\"id\":\"{}\",\"kind\":\"message\",\
         \"from\":\"alice\",\"name\":\"Alice \\\"A\\\" Ümläut\",\"ts\":\"2026-11-20T18:00:00.123Z\",\"via\":\"mqtt\",\"client_id\":\"c\",\
         \"text\":\"hi\",\"n\":40}}}}",
        ids().encode(CONF, 1000)
    );
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn inbox_entries_are_notices() {
    let lobby = ConversationId::parse("lobby").unwrap();
    let rows = [
        (Notice::Invited { conversation: lobby.clone() }, json!({"reason":"invited","conversation":"lobby","from":"alice"})),
        (
            Notice::Mention { conversation: lobby.clone(), target: 3 },
            json!({"reason":"mention","conversation":"lobby","from":"alice","target":3}),
        ),
        (
            Notice::Contact { user: Uid::parse("bob").unwrap(), state: Acquaintance::WasAsked },
            json!({"reason":"contact","user":"bob","state":"was_asked"}),
        ),
        (Notice::Lead { owner: Uid::parse("acme").unwrap() }, json!({"reason":"lead","owner":"acme"})),
        (Notice::Removed { conversation: lobby }, json!({"reason":"removed","conversation":"lobby"})),
    ];
    for (notice, more) in rows {
        let mut expected = json!({"kind":"notice","seq":42,"id":ids().encode(CONF, 1000),"ts":"2026-11-20T18:00:00.123Z"});
        expected.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(canonical(Body::Notice(notice)), expected);
    }
}

#[test]
fn notifications_name_their_method() {
    let (lobby, alice) = (ConversationId::parse("lobby").unwrap(), Uid::parse("alice").unwrap());
    let typing = Signal::Typing { conversation: lobby.clone(), from: alice.clone(), name: "A\"".into(), on: true };
    let read = Signal::Read { conversation: lobby, from: alice.clone(), seq: 8 };
    let quiet = Signal::Presence { user: alice.clone(), name: "Alice".into(), status: Status::Online, text: "".into() };
    let away = Signal::Presence { user: alice, name: "Alice".into(), status: Status::Away, text: "back\tsoon".into() };
    let rows = [
        (typing, "typing", json!({"conversation":"lobby","from":"alice","name":"A\"","on":true})),
        (read, "read", json!({"conversation":"lobby","from":"alice","seq":8})),
        (quiet, "presence", json!({"user":"alice","name":"Alice","status":"online"})),
        (away, "presence", json!({"user":"alice","name":"Alice","status":"away","text":"back\tsoon"})),
    ];
    for (signal, method, params) in rows {
        let expected = json!({"jsonrpc":"2.0","method":method,"params":params});
        assert_eq!(written(|out| write_signal_notification(&signal, out)), expected);
    }
    let draining = written(|out| write_session_notice(SessionNotice::Draining { retry_after_ms: 500 }, out));
    assert_eq!(draining["params"], json!({"kind":"notice","reason":"draining","retry_after_ms":500}));
    let closed = written(|out| write_session_notice(SessionNotice::SessionClosed, out));
    assert_eq!(closed["params"], json!({"kind":"notice","reason":"session_closed"}));
    let methods = [
        (Body::Delete { target: 1 }, "event"),
        (Body::Settings { title: "x".into() }, "event"),
        (Body::Member { user: Uid::system(), change: Change::Left }, "member"),
    ];
    for (body, method) in methods {
        assert_eq!(written(|out| write_event_notification(&event(body), &ids(), out))["method"], method);
    }
}

#[test]
fn pages_hold_canonical_events() {
    let events = [event(Body::Delete { target: 1 }), event(Body::Settings { title: "x".into() })];
    let each: Vec<Value> = events.iter().map(|event| written(|out| write_event(event, &ids(), out))).collect();
    let history = written(|out| write_history(&events, None, u64::MAX, &ids(), out));
    assert_eq!(history, json!({"events": each, "complete": true, "epoch": u64::MAX.to_string()}));
    let history = written(|out| write_history(&events[..0], Some(41), 7, &ids(), out));
    assert_eq!(history, json!({"events": [], "complete": false, "next": 41, "epoch": "7"}));
    let lobby = ConversationId::parse("lobby").unwrap();
    let subscribed = written(|out| write_subscribed(&lobby, 7, 42, &events[..0], false, &ids(), out));
    assert_eq!(subscribed, json!({"conversation": "lobby", "epoch": "7", "seq": 42, "events": [], "complete": false}));
    let placed = written(|out| write_placed(&lobby, 42, 123, "abc", out));
    assert_eq!(placed, json!({"conversation": "lobby", "seq": 42, "ts": "1970-01-01T00:00:00.123Z", "id": "abc"}));
    let raw = raw_event(&events[0], &ids()).expect("an event is JSON");
    assert_eq!(serde_json::from_str::<Value>(raw.get()).unwrap(), each[0]);
}

#[test]
fn times_follow_the_calendar() {
    let rows = [
        (0, "1970-01-01T00:00:00.000Z"),
        (1, "1970-01-01T00:00:00.001Z"),
        (86_399_999, "1970-01-01T23:59:59.999Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (951_868_800_000, "2000-03-01T00:00:00.000Z"),
        (1_456_704_000_000, "2016-02-29T00:00:00.000Z"),
        (1_483_228_799_999, "2016-12-31T23:59:59.999Z"),
        (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
        (1_795_197_600_123, "2026-11-20T18:00:00.123Z"),
        (4_107_456_000_000, "2100-02-28T00:00:00.000Z"),
        (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        (u64::MAX, "9999-12-31T23:59:59.999Z"),
    ];
    for (unix_ms, expected) in rows {
        assert_eq!(written(|out| write_time(unix_ms, out)), expected, "{unix_ms}");
    }
}

/// Days counted one by one through 400 years, the calendar's whole period.
#[test]
fn every_day_of_a_period_is_right() {
    let (mut year, mut month, mut day) = (1970u32, 1u32, 1u32);
    for days in 0..146_097u64 {
        let expected = format!("{year:04}-{month:02}-{day:02}T00:00:00.000Z");
        assert_eq!(written(|out| write_time(days * 86_400_000, out)), expected.as_str());
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days_of_month = match month {
            2 => 28 + u32::from(leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        day += 1;
        if day > days_of_month {
            (day, month) = (1, month + 1);
        }
        if month > 12 {
            (month, year) = (1, year + 1);
        }
    }
}

proptest! {
    #[test]
    fn strings_come_back(text: String, controls in "[\\x00-\\x22\\\\/\\x7f\u{2028}😀]{0,40}") {
        for text in [text, controls] {
            prop_assert_eq!(written(|out| write_string(&text, out)), text);
        }
    }

    #[test]
    fn numbers_come_back(value: u64, small in 0..1000u64) {
        for value in [value, small] {
            prop_assert_eq!(written(|out| write_number(value, out)), value);
        }
    }

    #[test]
    fn messages_come_back(
        text: String, client_id: String, name: String,
        mentions in prop::collection::vec(any::<String>(), 0..3),
        emoji in "\\PC{1,8}", people: u32,
    ) {
        let message = Message {
            client_id: client_id.as_str().into(), text: text.as_str().into(),
            mentions: mentions.iter().map(|mention| mention.as_str().into()).collect(),
            reactions: vec![(emoji.as_str().into(), people)], ..Message::default()
        };
        let mut event = event(Body::Message(message));
        event.entry.name = name.as_str().into();
        let value = written(|out| write_event(&event, &ids(), out));
        prop_assert_eq!(&value["text"], &text);
        prop_assert_eq!(&value["client_id"], &client_id);
        prop_assert_eq!(&value["name"], &name);
        prop_assert_eq!(&value["reactions"], &json!({emoji: people}));
        if !mentions.is_empty() {
            prop_assert_eq!(&value["mentions"], &json!(mentions));
        }
    }
}
