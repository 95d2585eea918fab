//! Names, filters, places and selections, against examples and against each other.

use super::*;
use crate::ids::{ConversationId, Uid};
use proptest::prelude::*;

fn uid(text: &str) -> Uid {
    Uid::parse(text).unwrap()
}

fn conversation(text: &str) -> ConversationId {
    ConversationId::parse(text).unwrap()
}

fn selection(filter: &str) -> Selection {
    check_filter(filter).unwrap();
    Selection::of("demo", &uid("alice"), filter)
}

#[test]
fn names_and_filters_follow_the_grammar() {
    let deep = "/".repeat(MAX_LEVELS);
    let long = "x".repeat(MAX_TOPIC_BYTES + 1);
    let both: [(&str, BadTopic); 4] =
        [("", BadTopic::Empty), ("a\0b", BadTopic::Nul), (&deep, BadTopic::TooDeep), (&long, BadTopic::TooLong)];
    for (bad, why) in both {
        assert_eq!(check_name(bad), Err(why));
        assert_eq!(check_filter(bad), Err(why));
    }
    for good in ["a", "/", "//", "a b", "conf/demo", "$SYS/x", "ä/ö", &deep[1..], &long[1..]] {
        assert_eq!(check_name(good), Ok(()), "{good}");
        assert_eq!(check_filter(good), Ok(()), "{good}");
    }
    for wild in ["#", "+", "a/#", "+/+/#", "/+", "+/", "a/+/b", "$share/g/#", "$share/g/a", "$share/g//", "$share"] {
        assert_eq!(check_filter(wild), Ok(()), "{wild}");
        assert!(!wild.contains(['+', '#']) || check_name(wild) == Err(BadTopic::WildcardInName), "{wild}");
    }
    for (bad, why) in [
        ("a#", BadTopic::MisplacedHash),
        ("#/a", BadTopic::MisplacedHash),
        ("a/#/", BadTopic::MisplacedHash),
        ("##", BadTopic::MisplacedHash),
        ("+#", BadTopic::MisplacedHash),
        ("a+", BadTopic::MisplacedPlus),
        ("++", BadTopic::MisplacedPlus),
        ("a/+b/c", BadTopic::MisplacedPlus),
        ("$share/g/a#", BadTopic::MisplacedHash),
        ("$share/g", BadTopic::Share),
        ("$share/g/", BadTopic::Share),
        ("$share//a", BadTopic::Share),
        ("$share/+/a", BadTopic::Share),
        ("$share/g#/a", BadTopic::Share),
    ] {
        assert_eq!(check_filter(bad), Err(why), "{bad}");
    }
    assert_eq!(Shared::parse("$share/g/a/+"), Ok(Some(Shared { group: "g", filter: "a/+" })));
    assert_eq!(Shared::parse("share/g/a"), Ok(None));
}

#[test]
fn filters_match_as_the_specification_shows() {
    for (filter, yes, no) in [
        (
            "sport/tennis/player1/#",
            &["sport/tennis/player1", "sport/tennis/player1/ranking/x"][..],
            &["sport/tennis", "sport/tennis/player2"][..],
        ),
        ("sport/#", &["sport", "sport/", "sport/a/b"], &["sports", "/sport"]),
        ("sport/tennis/+", &["sport/tennis/a", "sport/tennis/"], &["sport/tennis", "sport/tennis/a/b"]),
        ("sport/+", &["sport/"], &["sport"]),
        ("+/+", &["/finance", "a/b"], &["finance", "$SYS/x"]),
        ("/+", &["/finance"], &["finance"]),
        ("+", &["finance"], &["/finance", "$SYS"]),
        ("#", &["a", "/", "a/b"], &["$SYS", "$SYS/a"]),
        ("$SYS/#", &["$SYS", "$SYS/a"], &["SYS/a"]),
        ("$SYS/+/b", &["$SYS/a/b"], &["$SYS/b"]),
        ("A", &["A"], &["a"]),
    ] {
        assert!(yes.iter().all(|name| matches(filter, name)), "{filter}");
        assert!(!no.iter().any(|name| matches(filter, name)), "{filter}");
    }
}

#[test]
fn names_mean_places() {
    for (name, expected) in [
        ("conf/demo/chat/lobby", Place::Message(conversation("lobby"))),
        ("conf/demo/chat/dm~alice~bob", Place::Message(conversation("dm~alice~bob"))),
        ("conf/demo/chat/lobby/event", Place::Events(conversation("lobby"))),
        ("conf/demo/chat/lobby/typing", Place::Typing(conversation("lobby"))),
        ("conf/demo/chat/lobby/read", Place::Read(conversation("lobby"))),
        ("conf/demo/presence/bob", Place::Presence(uid("bob"))),
        ("conf/demo/user/bob/inbox", Place::Inbox(uid("bob"))),
        ("conf/demo/user/bob/rpc", Place::RpcAnswer(uid("bob"))),
        ("conf/demo/rpc", Place::Rpc),
        ("conf/demo/topic/a/b", Place::Generic),
        ("conf/demo/badge/door-1/scan", Place::BadgeScan(uid("door-1"))),
        ("conf/demo/badge/door-1/result", Place::BadgeResult(uid("door-1"))),
        ("$SYS", Place::Sys),
        ("$SYS/broker/uptime", Place::Sys),
        ("home/lamp", Place::Plain),
        ("/conf/demo/rpc", Place::Plain),
        ("CONF/demo/rpc", Place::Plain),
        ("conf/other/chat/lobby", Place::Foreign),
        ("conf/other", Place::Foreign),
        ("conf/demo2/rpc", Place::Foreign),
        ("conf//rpc", Place::Foreign),
    ] {
        assert_eq!(place("demo", name), expected, "{name}");
    }
    for name in [
        "conf",
        "conf/",
        "conf/demo",
        "conf/demo/",
        "conf/demo/chat",
        "conf/demo/chat/",
        "conf/demo/chat/Lobby",
        "conf/demo/chat/inbox~alice",
        "conf/demo/chat/dm~bob~alice",
        "conf/demo/chat/lobby/",
        "conf/demo/chat/lobby/events",
        "conf/demo/chat/lobby/event/x",
        "conf/demo/presence/bob/x",
        "conf/demo/user/bob",
        "conf/demo/user/bob/inbox/",
        "conf/demo/topic",
        "conf/demo/topic/",
        "conf/demo/rpc/",
        "conf/demo/badge/door/other",
        "conf/demo/else",
        "$share/g/a",
        "$SYSTEM",
    ] {
        assert_eq!(place("demo", name), Place::Unknown, "{name}");
    }
}

#[test]
fn filters_select_what_they_reach() {
    let lobby = || Which::One(conversation("lobby"));
    let small = Parts::EVENTS | Parts::TYPING | Parts::READ;
    for (filter, chats) in [
        ("conf/demo/chat/lobby", Some((lobby(), Parts::MESSAGES))),
        ("conf/demo/chat/+", Some((Which::All, Parts::MESSAGES))),
        ("conf/demo/chat/lobby/#", Some((lobby(), Parts::ALL))),
        ("conf/demo/chat/lobby/read/#", Some((lobby(), Parts::READ))),
        ("conf/+/chat/lobby/+", Some((lobby(), small))),
        ("conf/+/chat/+/typing", Some((Which::All, Parts::TYPING))),
        ("conf/demo/chat/Lobby/#", None),
        ("conf/demo/chat/lobby/other", None),
        ("conf/other/chat/lobby", None),
    ] {
        assert_eq!(selection(filter), Selection { chats, ..Selection::default() }, "{filter}");
    }
    let all = selection("conf/demo/#");
    assert_eq!(all.chats, Some((Which::All, Parts::ALL)));
    assert_eq!((&all.presence, &all.badge_scans, &all.badge_results), (&Some(Which::All), &Some(Which::All), &Some(Which::All)));
    assert!(all.inbox && all.rpc_answers && all.generic && !all.sys && !all.plain);
    assert_eq!(selection("#"), Selection { plain: true, ..all.clone() });
    assert_eq!(selection("conf/#"), all);
    assert!(selection("$SYS/#").sys);
    assert!(selection("conf/demo/user/alice/#").inbox);
    assert!(selection("conf/demo/user/+/inbox").inbox);
    assert!(selection("conf/demo/topic/+/#").generic);
}

#[test]
fn what_belongs_to_others_is_not_selected() {
    for filter in [
        "conf/other/#",
        "conf/other/chat/+",
        "conf/demo/user/bob/inbox",
        "conf/demo/user/bob/#",
        "conf/demo/user/bob/rpc",
        "conf/demo/rpc",
        "conf/demo",
        "conf",
        "conf/demo/topic",
        "conf/demo/topic/",
        "conf/demo/presence/Bob",
        "conf/demo/else/#",
        "$SYSTEM/#",
        "$share",
    ] {
        assert!(selection(filter).is_empty(), "{filter}");
    }
}

fn id_text() -> impl Strategy<Value = String> {
    "[a-z0-9][a-z0-9_-]{0,63}"
}

const WORDS: [&str; 20] = [
    "conf",
    "demo",
    "other",
    "chat",
    "lobby",
    "dm~alice~bob",
    "Bad",
    "event",
    "typing",
    "read",
    "presence",
    "user",
    "alice",
    "bob",
    "inbox",
    "rpc",
    "topic",
    "badge",
    "scan",
    "",
];

/// Names that often mean something: a known beginning and random levels.
fn name() -> impl Strategy<Value = String> {
    let beginning = prop::sample::select(vec![
        "",
        "conf/",
        "conf/demo/",
        "conf/demo/",
        "conf/demo/chat/",
        "conf/demo/user/",
        "conf/demo/presence/",
        "conf/demo/badge/",
        "conf/demo/topic/",
        "conf/other/",
        "$SYS/",
    ]);
    let word = prop::sample::select(WORDS.into_iter().chain(["result", "$SYS", "x"]).collect::<Vec<_>>());
    (beginning, prop::collection::vec(word, 0..4))
        .prop_map(|(beginning, words)| format!("{beginning}{}", words.join("/")))
        .prop_filter("a name", |name| check_name(name).is_ok())
}

/// Filters near names: a name of which some levels are wildcards, and perhaps cut by `#`.
fn filter() -> impl Strategy<Value = String> {
    (name(), prop::collection::vec(prop::bool::weighted(0.3), 8), prop::option::of(0..7usize))
        .prop_map(|(name, plus, hash)| {
            let plus = plus.into_iter().chain(std::iter::repeat(false));
            let mut levels: Vec<&str> = name.split('/').zip(plus).map(|(level, plus)| if plus { "+" } else { level }).collect();
            if let Some(at) = hash {
                levels.truncate(at);
                levels.push("#");
            }
            levels.join("/")
        })
        .prop_filter("a filter", |filter| check_filter(filter).is_ok() && !filter.starts_with("$share/"))
}

/// The places of names that the filter matches: its wildcards are filled in so that the name leads under `topic/`, or out of `conf`.
fn reached(filter: &str) -> Vec<Place> {
    let leads = [["conf", "demo", "topic", "x"], ["x"; 4]];
    let fill = |lead: [&'static str; 4]| {
        let level = |(at, level)| match level {
            "+" => lead.get(at).unwrap_or(&"x").to_string(),
            "#" => lead.get(at..).filter(|rest| !rest.is_empty()).map_or("x".to_owned(), |rest| rest.join("/")),
            text => text.to_owned(),
        };
        filter.split('/').enumerate().map(level).collect::<Vec<_>>().join("/")
    };
    let names: Vec<String> = leads.into_iter().map(fill).collect();
    assert!(names.iter().all(|name| name.is_empty() || filter.starts_with(['+', '#']) && name.starts_with('$') || matches(filter, name)));
    names.iter().filter(|name| check_name(name).is_ok() && matches(filter, name)).map(|name| place("demo", name)).collect()
}

type Writer<T> = fn(&mut String, &str, &T);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn a_selection_holds_exactly_the_places_whose_names_match(name in name(), filter in filter()) {
        let alice = uid("alice");
        let (selected, place) = (Selection::of("demo", &alice, &filter), place("demo", &name));
        let holds = selected.contains(&alice, &place);
        match &place {
            // many topics in one place: one that matches is enough for the place to be selected, see the next test
            Place::Generic | Place::Sys | Place::Plain => prop_assert!(!matches(&filter, &name) || holds, "{} {}", filter, name),
            Place::Rpc | Place::Foreign | Place::Unknown => prop_assert!(!holds),
            Place::Inbox(whose) | Place::RpcAnswer(whose) if *whose != alice => prop_assert!(!holds),
            _ => prop_assert_eq!(holds, matches(&filter, &name), "{} {}", filter, name),
        }
        if let Some((_, parts)) = &selected.chats {
            prop_assert!(!parts.is_empty());
        }
    }

    #[test]
    fn of_a_place_with_many_topics_some_match_when_it_is_selected(filter in filter()) {
        let selected = Selection::of("demo", &uid("alice"), &filter);
        let found = reached(&filter);
        prop_assert_eq!(selected.generic, found.contains(&Place::Generic));
        prop_assert_eq!(selected.sys, found.contains(&Place::Sys));
        prop_assert_eq!(selected.plain, found.contains(&Place::Plain));
    }

    #[test]
    fn what_is_written_is_read(conference in id_text(), chat in id_text(), user in "[a-z0-9][a-z0-9._-]{0,63}", other in "[a-z0-9]{1,64}") {
        let user = uid(&user);
        let direct = ConversationId::direct(&user, &uid(&other));
        for chat in direct.into_iter().chain([conversation(&chat)]) {
            let writers: [(Writer<ConversationId>, Place); 4] = [
                (message_topic, Place::Message(chat.clone())),
                (event_topic, Place::Events(chat.clone())),
                (typing_topic, Place::Typing(chat.clone())),
                (read_topic, Place::Read(chat.clone())),
            ];
            for (write, expected) in writers {
                let mut name = String::new();
                write(&mut name, &conference, &chat);
                prop_assert!(check_name(&name).is_ok());
                prop_assert_eq!(place(&conference, &name), expected);
            }
        }
        let writers: [(Writer<Uid>, Place); 5] = [
            (presence_topic, Place::Presence(user.clone())),
            (inbox_topic, Place::Inbox(user.clone())),
            (rpc_answer_topic, Place::RpcAnswer(user.clone())),
            (badge_scan_topic, Place::BadgeScan(user.clone())),
            (badge_result_topic, Place::BadgeResult(user.clone())),
        ];
        for (write, expected) in writers {
            let mut name = String::new();
            write(&mut name, &conference, &user);
            prop_assert_eq!(place(&conference, &name), expected);
        }
        let mut name = String::new();
        generic_topic(&mut name, &conference, "a/b");
        prop_assert_eq!(place(&conference, &name), Place::Generic);
    }

    #[test]
    fn no_text_panics(filter in "\\PC{0,40}|[a+#/$]{0,12}", name in "\\PC{0,40}|[a+#/$]{0,12}") {
        let _ = (check_filter(&filter), check_name(&name), Shared::parse(&filter), matches(&filter, &name));
        let _ = (place("demo", &name), Selection::of("demo", &uid("alice"), &filter));
    }
}
