use hallway_broker::ids::{ConfNo, ConversationId, Uid};
use jid::ResourcePart;
use proptest::prelude::*;

use super::{Address, Addressee, Names, NickOwner, NotAnAddress, OccupantIds, nick_of, nick_owner};
use crate::xmpp::stanza::Condition;

fn uid(text: &str) -> Uid {
    Uid::parse(text).unwrap()
}

fn conversation(text: &str) -> ConversationId {
    ConversationId::parse(text).unwrap()
}

#[test]
fn users_and_rooms_have_addresses() {
    let names = Names::new("Demo.Example").unwrap();
    assert_eq!((names.domain(), names.rooms()), ("demo.example", "rooms.demo.example"));
    assert_eq!(names.user(&uid("alice.b")), "alice.b@demo.example");
    assert_eq!(names.room(&conversation("lobby")).as_deref(), Some("lobby@rooms.demo.example"));
    let user = |resource: Option<&str>| Address::User { uid: uid("alice"), resource: resource.map(Into::into) };
    let room = |nick: Option<&str>| Address::Room { conversation: conversation("lobby"), nick: nick.map(Into::into) };
    for (jid, address) in [
        ("demo.example", Address::Server),
        ("rooms.demo.example", Address::Rooms),
        ("alice@demo.example", user(None)),
        ("ALICE@DEMO.example/Phone 2", user(Some("Phone 2"))),
        ("lobby@rooms.demo.example", room(None)),
        ("lobby@rooms.demo.example/a@b/c", room(Some("a@b/c"))),
    ] {
        assert_eq!(names.parse(jid), Ok(address), "{jid}");
    }
}

#[test]
fn what_is_not_ours_says_why() {
    let names = Names::new("demo.example").unwrap();
    for (jid, condition) in [
        ("", Condition::JidMalformed),
        ("@demo.example", Condition::JidMalformed),
        ("a@b@demo.example", Condition::JidMalformed),
        ("alice@elsewhere.example", Condition::RemoteServerNotFound),
        ("x.demo.example", Condition::RemoteServerNotFound),
        ("älice@demo.example", Condition::ItemNotFound),
        ("lobby.x@rooms.demo.example", Condition::ItemNotFound),
        ("dm~alice~bob@rooms.demo.example", Condition::ItemNotFound),
        ("inbox~alice@rooms.demo.example", Condition::ItemNotFound),
    ] {
        assert_eq!(names.parse(jid).map_err(|error| error.condition()), Err(condition), "{jid}");
    }
    assert!(Names::new("no domain").is_err());
}

#[test]
fn a_direct_conversation_is_between_two_bare_jids() {
    let names = Names::new("demo.example").unwrap();
    let meant = |jid: &str| names.addressee(&uid("bob"), names.parse(jid).unwrap());
    let all_of = |id: &str| Ok(Addressee::Conversation(conversation(id)));
    assert_eq!(meant("alice@demo.example/phone"), all_of("dm~alice~bob"));
    assert_eq!(meant("bob@demo.example"), Err(NotAnAddress::Oneself));
    assert_eq!(meant("lobby@rooms.demo.example"), all_of("lobby"));
    assert_eq!(meant("lobby@rooms.demo.example/Zoë (zoe)"), all_of("dm~bob~zoe"));
    let alice = Addressee::Occupant { conversation: conversation("lobby"), name: "Alice".into() };
    assert_eq!(meant("lobby@rooms.demo.example/Alice"), Ok(alice));
    assert_eq!(meant("demo.example").unwrap_err().condition(), Condition::ServiceUnavailable);
    let direct = names.direct(&conversation("dm~alice~bob"));
    assert_eq!(direct, Some(("alice@demo.example".into(), "bob@demo.example".into())));
    assert_eq!(names.room(&conversation("dm~alice~bob")), None);
}

#[test]
fn a_nick_is_the_name_where_a_resource_can_hold_it() {
    for (name, nick) in [
        ("Alice", "Alice"),
        ("Zoë Ångström", "Zoë Ångström"),
        ("Мария", "Мария"),
        ("مريم", "مريم"),
        ("李雷", "李雷"),
        ("a (b) c", "a (b) c"),
        ("Zoë 🎉", "Zoë (u1)"),
        ("🎉", "(u1)"),
        ("", "(u1)"),
        (" Alice", "Alice (u1)"),
        ("مريم 🎉", "(u1)"),
        ("ﬁona", "fiona (u1)"),
        ("Zoe\u{308}", "Zoë (u1)"),
        ("Ann\u{AD}a", "Anna (u1)"),
        ("Bob (bob)", "Bob (bob) (u1)"),
        ("(bob)", "(bob) (u1)"),
        ("tab\there", "tabhere (u1)"),
    ] {
        assert_eq!(nick_of(name, &uid("u1")), nick, "{name:?}");
    }
    assert_eq!(nick_owner("Bob (Bobby)"), NickOwner::Name("Bob (Bobby)"));
    assert_eq!(nick_owner("f(x)"), NickOwner::Name("f(x)"));
}

/// Names as people choose them, and as they should not.
fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[A-Za-z ()]{0,8}",
        "[a-z]{0,3} ?\\([a-z]{1,3}\\)( ?\\([a-z]{1,3}\\))?",
        "[\u{5d0}-\u{5ea}\u{1F600}-\u{1F640} a-zé(]{0,6}",
    ]
}

proptest! {
    #[test]
    fn nicks_fit_and_tell_whose_they_are(name in names(), id in "[a-z0-9][a-z0-9._-]{0,63}") {
        let id = uid(&id);
        let nick = nick_of(&name, &id);
        let part = ResourcePart::new(&nick).unwrap();
        prop_assert_eq!(part.as_str(), &*nick);
        let jid = jid::Jid::new(&format!("lobby@rooms.demo.example/{nick}")).unwrap();
        prop_assert_eq!(jid.resource().unwrap().as_str(), &*nick);
        match nick_owner(&nick) {
            NickOwner::Name(owner) => prop_assert_eq!(owner, &name),
            NickOwner::Uid(owner) => prop_assert_eq!(owner, id),
        }
    }

    #[test]
    fn two_people_never_have_one_nick(a in names(), b in names()) {
        prop_assume!(a != b); // display names are unique
        prop_assert_ne!(nick_of(&a, &uid("a")), nick_of(&b, &uid("b")));
        prop_assert_ne!(nick_of(&a, &uid("b")), nick_of(&b, &uid("a")));
    }

    #[test]
    fn parsing_never_panics(text in any::<String>()) {
        let _ = Names::new("demo.example").unwrap().parse(&text);
        let _ = nick_owner(&text);
    }

    #[test]
    fn addresses_round_trip(id in "[a-z0-9][a-z0-9._-]{0,63}", room in "[a-z0-9][a-z0-9_-]{0,63}") {
        let names = Names::new("demo.example").unwrap();
        prop_assert_eq!(names.parse(&names.user(&uid(&id))), Ok(Address::User { uid: uid(&id), resource: None }));
        let room = conversation(&room);
        let address = Address::Room { conversation: room.clone(), nick: None };
        prop_assert_eq!(names.parse(&names.room(&room).unwrap()), Ok(address));
    }
}

#[test]
fn occupant_ids_are_stable_and_differ_by_room_person_conference_and_key() {
    let ids = OccupantIds::new([7; 16]);
    let of = |ids: OccupantIds, conf: u32, room: &str, who: &str| ids.encode(ConfNo(conf), &conversation(room), &uid(who));
    let alice = of(ids, 1, "lobby", "alice");
    assert_eq!(alice, of(ids, 1, "lobby", "alice"));
    assert_eq!(alice.len(), 26); // XEP-0421 §4.1: at most 128
    for other in [
        of(ids, 1, "lobby", "bob"),
        of(ids, 1, "help", "alice"),
        of(ids, 2, "lobby", "alice"),
        of(OccupantIds::new([8; 16]), 1, "lobby", "alice"),
    ] {
        assert_ne!(alice, other);
    }
    assert_ne!(of(ids, 1, "a", "bc"), of(ids, 1, "ab", "c"));
}
