use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hallway_broker::ids::{ConfNo, ConvNo, Uid};
use hallway_broker::model::{Kind, MemberRole, Standing, UserRole, Via};
use hallway_broker::registry::Follower;
use hallway_broker::shard::Audience;
use hallway_broker::topic::Topic;

use super::{Affiliation, Change, Changes, Departure, Entered, Entering, Role, RoomKey, Rooms, SPEAKER_MS, Shown, standing_of};

mod property;
mod shards;

const KEY: RoomKey = (ConfNo(1), ConvNo(7));
const MEMBER: (Affiliation, Role) = (Affiliation::Member, Role::Participant);

fn uid(text: &str) -> Uid {
    Uid::parse(text).unwrap()
}

fn entering(session: u64, who: &str) -> Entering {
    let name = who[..1].to_uppercase() + &who[1..];
    Entering {
        session,
        shard: u16::try_from(session % 2).unwrap(),
        uid: uid(who),
        name: name.into(),
        affiliation: MEMBER.0,
        role: MEMBER.1,
        pos: 10,
        jid: format!("{who}@x/{session}").into(),
        presence: Arc::from(*b""),
    }
}

/// Rooms with these people in one of them, as sessions 1, 2, ….
fn room(most_shown: usize, people: &[&str]) -> (Rooms, Vec<Entered>) {
    let rooms = Rooms::new(most_shown);
    let entered = (1..).zip(people).map(|(session, who)| rooms.enter(KEY, entering(session, who))).collect();
    (rooms, entered)
}

fn uids<'s>(shown: impl IntoIterator<Item = &'s Arc<Shown>>) -> Vec<&'s str> {
    shown.into_iter().map(|shown| shown.uid.as_str()).collect()
}

/// `+alice` for who is there, `-alice Left` for who is gone.
fn told(changes: &Changes) -> Vec<String> {
    let told = changes.list.iter().map(|change| match change {
        Change::Here(who) => format!("+{}", who.uid),
        Change::Gone(who, how) => format!("-{} {how:?}", who.uid),
    });
    told.collect()
}

#[test]
fn who_enters_is_told_of_the_others_and_they_of_them() {
    let (rooms, entered) = room(10, &["alice", "bob"]);
    assert!(entered[0].others.is_empty() && entered[0].is_first_of_room && !entered[1].is_first_of_room);
    assert_eq!((uids(&entered[1].others), entered[1].own.nick.as_ref()), (vec!["alice"], "Bob"));
    let looks = rooms.tick(0);
    assert_eq!(looks[0].sessions, [(0, vec![2]), (1, vec![1])]);
    let changes = rooms.changes(KEY, 1, entered[0].version);
    assert_eq!(told(&changes), ["+bob"]);
    assert!(rooms.changes(KEY, 2, entered[1].version).list.is_empty());
    assert!(rooms.changes(KEY, 1, changes.version).list.is_empty());
    assert!(rooms.tick(0).is_empty());
}

#[test]
fn a_second_session_is_the_same_occupant() {
    let (rooms, entered) = room(10, &["alice", "bob"]);
    let again = rooms.enter(KEY, Entering { presence: Arc::from(*b"<show>away</show>"), ..entering(3, "bob") });
    assert!(entered[1].is_first_session_of_user && !again.is_first_session_of_user && !again.was_in);
    assert_eq!((uids(&again.others), again.own.jid.as_deref()), (vec!["alice"], Some("bob@x/3")));
    assert_eq!((rooms.sessions_of(KEY, &uid("bob")), rooms.count(KEY)), (vec![(0, 2), (1, 3)], 2));
    // Their older session is told of the newer one's presence, and that it is gone.
    assert_eq!(told(&rooms.changes(KEY, 2, entered[1].version)), ["+bob"]);
    let left = rooms.leave(KEY, 3, Departure::Left).unwrap();
    assert!(!left.is_gone && left.shown.presence.as_ref() == b"<show>away</show>");
    assert!(rooms.shown(KEY)[1].presence.is_empty());
    assert!(rooms.leave(KEY, 2, Departure::Left).unwrap().is_gone);
    assert!(rooms.leave(KEY, 2, Departure::Left).is_none());
    assert!(rooms.leave(KEY, 1, Departure::Left).unwrap().was_last_of_room && !rooms.is_open(KEY));
}

#[test]
fn entering_again_tells_everything_again() {
    let (rooms, _) = room(10, &["alice", "bob"]);
    let again = rooms.enter(KEY, entering(2, "bob"));
    assert!(again.was_in && again.is_first_session_of_user && !again.is_first_of_room);
    assert_eq!((uids(&again.others), rooms.sessions_of(KEY, &uid("bob")).len()), (vec!["alice"], 1));
}

#[test]
fn who_comes_and_goes_unseen_is_not_told_of() {
    let (rooms, entered) = room(10, &["alice"]);
    rooms.tick(0);
    let since = entered[0].version;
    rooms.follow(KEY, &uid("bob"), 70);
    rooms.introduce(KEY, &uid("bob"), &"Bob".into(), MEMBER, 1);
    rooms.unfollow(KEY, &uid("bob"), 70);
    assert!(rooms.tick(0).is_empty() && rooms.changes(KEY, 1, since).list.is_empty());
    // Carol has seen Bob, so she is told; Alice has not.
    rooms.follow(KEY, &uid("bob"), 70);
    rooms.introduce(KEY, &uid("bob"), &"Bob".into(), MEMBER, 1);
    let carol = rooms.enter(KEY, entering(2, "carol"));
    assert_eq!(uids(&carol.others), ["alice", "bob"]);
    rooms.unfollow(KEY, &uid("bob"), 70);
    assert_eq!(told(&rooms.changes(KEY, 2, carol.version)), ["-bob Left"]);
    assert_eq!(told(&rooms.changes(KEY, 1, since)), ["+carol"]);
}

#[test]
fn who_goes_and_comes_is_there() {
    let (rooms, entered) = room(10, &["alice", "bob"]);
    let since = rooms.changes(KEY, 1, entered[0].version).version;
    rooms.leave(KEY, 2, Departure::Left);
    rooms.enter(KEY, entering(3, "bob"));
    assert_eq!(told(&rooms.changes(KEY, 1, since)), ["+bob"]);
    rooms.leave(KEY, 3, Departure::Kicked);
    assert_eq!(told(&rooms.changes(KEY, 1, since)), ["-bob Kicked"]);
}

#[test]
fn followers_are_strangers_until_introduced() {
    let (rooms, entered) = room(3, &["alice"]);
    for (session, who) in [(70, "bob"), (71, "bob"), (72, "carol"), (73, "dave")] {
        rooms.follow(KEY, &uid(who), session);
    }
    let looks = rooms.tick(0);
    assert_eq!(looks[0].strangers, [uid("bob"), uid("carol")], "only those who are to be shown");
    assert_eq!((looks[0].sessions.len(), rooms.count(KEY)), (1, 4));
    rooms.introduce(KEY, &uid("bob"), &"Bob".into(), MEMBER, 1);
    rooms.introduce(KEY, &uid("eve"), &"Eve".into(), MEMBER, 1);
    assert_eq!(told(&rooms.changes(KEY, 1, entered[0].version)), ["+bob"]);
    assert!(rooms.tick(0)[0].strangers.is_empty(), "asked for once");
    // Only the last of Bob's two sessions takes him along, and makes room for Dave.
    rooms.unfollow(KEY, &uid("bob"), 70);
    assert_eq!(rooms.count(KEY), 4);
    rooms.unfollow(KEY, &uid("bob"), 71);
    assert_eq!(rooms.tick(0)[0].strangers, [uid("dave")]);
}

#[test]
fn the_shards_tell_who_follows() {
    let rooms = Rooms::new(10);
    let topic = Topic::Chat(KEY.0, KEY.1);
    let follower = |who: &str, session, via| Follower { uid: uid(who), session, via };
    assert!(!rooms.wants(&topic) && !rooms.wants(&Topic::Public(KEY.0)));
    rooms.enter(KEY, entering(1, "alice"));
    assert!(rooms.wants(&topic));
    rooms.came(&topic, &follower("bob", 70, Via::Ws));
    rooms.came(&topic, &follower("bob", 70, Via::Ws));
    rooms.came(&topic, &follower("carol", 71, Via::Socketio));
    rooms.came(&topic, &follower("dave", 72, Via::Mqtt));
    rooms.came(&topic, &follower("alice", 1, Via::Xmpp));
    assert_eq!(rooms.count(KEY), 3);
    rooms.went(&topic, &follower("bob", 70, Via::Ws));
    rooms.went(&topic, &follower("alice", 1, Via::Xmpp));
    assert_eq!((rooms.count(KEY), rooms.occupies(KEY, 1)), (2, true));
}

#[test]
fn occupants_and_speakers_go_before_followers() {
    let (rooms, entered) = room(2, &["alice"]);
    rooms.follow(KEY, &uid("bob"), 70);
    rooms.introduce(KEY, &uid("bob"), &"Bob".into(), MEMBER, 1);
    let bob = rooms.changes(KEY, 1, entered[0].version);
    assert_eq!(told(&bob), ["+bob"]);
    let carol = rooms.enter(KEY, entering(2, "carol"));
    let carol_comes = rooms.changes(KEY, 1, bob.version);
    assert_eq!(told(&carol_comes), ["-bob Left", "+carol"]);
    rooms.spoke(KEY, &uid("dave"), &"Dave".into(), 1000);
    rooms.introduce(KEY, &uid("dave"), &"ignored: he said it".into(), MEMBER, 1);
    assert_eq!(told(&rooms.changes(KEY, 1, carol_comes.version)), ["-carol Left", "+dave"]);
    assert_eq!(told(&rooms.changes(KEY, 2, carol.version)), ["+dave"], "nobody is told that they are gone themselves");
    assert!(rooms.tick(1000 + SPEAKER_MS - 1).iter().all(|look| look.key == KEY));
    assert_eq!(uids(&rooms.shown(KEY)), ["dave", "alice"]);
    rooms.tick(1000 + SPEAKER_MS);
    assert_eq!(uids(&rooms.shown(KEY)), ["alice", "carol"]);
}

#[test]
fn who_is_not_shown_is_told_of_themselves() {
    let (rooms, entered) = room(1, &["alice", "bob"]);
    assert_eq!((uids(&entered[1].others), entered[1].own.uid.as_str()), (vec!["alice"], "bob"));
    rooms.tick(0);
    rooms.affiliate(KEY, &uid("bob"), Affiliation::Admin, Role::Moderator, 11);
    assert_eq!(rooms.tick(0)[0].sessions.len(), 2);
    assert!(rooms.changes(KEY, 1, entered[0].version).list.is_empty());
    let own = rooms.changes(KEY, 2, entered[1].version);
    assert!(matches!(&own.list[..], [Change::Here(bob)] if bob.role == Role::Moderator));
    assert!(rooms.changes(KEY, 2, own.version).list.is_empty());
    assert_eq!((rooms.occupant_by_nick(KEY, "Bob"), rooms.occupant_by_nick(KEY, "bob")), (Some(uid("bob")), None));
}

#[test]
fn old_news_of_a_standing_changes_nothing() {
    let (rooms, entered) = room(10, &["alice", "bob"]);
    let since = entered[1].version;
    for pos in [9, 10] {
        rooms.affiliate(KEY, &uid("bob"), Affiliation::Owner, Role::Moderator, pos);
        assert_eq!(rooms.put_out(KEY, &uid("bob"), Departure::Kicked, pos).sessions, []);
    }
    assert!(rooms.changes(KEY, 2, since).list.is_empty());
    rooms.affiliate(KEY, &uid("bob"), Affiliation::Owner, Role::Moderator, 11);
    assert_eq!(told(&rooms.changes(KEY, 1, since)), ["+bob"]);
    let out = rooms.put_out(KEY, &uid("bob"), Departure::Banned, 12);
    assert_eq!((out.sessions, out.was_last_of_room, out.shown.unwrap().affiliation), (vec![(0, 2)], false, Affiliation::Owner));
    assert!(!rooms.occupies(KEY, 2) && rooms.put_out(KEY, &uid("bob"), Departure::Banned, 12).sessions.is_empty());
    assert_eq!(told(&rooms.changes(KEY, 1, since)), ["-bob Banned"]);
    assert!(rooms.put_out(KEY, &uid("alice"), Departure::Kicked, 13).was_last_of_room && !rooms.is_open(KEY));
}

#[test]
fn a_nick_is_the_newest_claimants() {
    let (rooms, entered) = room(10, &["alice", "bob"]);
    rooms.tick(0);
    // Alice has another name by now, and Bob hers.
    let again = rooms.enter(KEY, Entering { name: "Alice".into(), ..entering(3, "bob") });
    assert_eq!((again.own.nick.as_ref(), rooms.occupant_by_nick(KEY, "Alice"), again.others.len()), ("Alice", Some(uid("bob")), 0));
    let changes = rooms.changes(KEY, 2, entered[1].version);
    assert_eq!(told(&changes), ["-bob Renamed", "+bob"]);
    assert_eq!(rooms.tick(0)[0].strangers, [uid("alice")]);
    rooms.introduce(KEY, &uid("alice"), &"Alice B.".into(), MEMBER, 11);
    assert_eq!(told(&rooms.changes(KEY, 2, changes.version)), ["+alice"]);
}

#[test]
fn who_is_too_far_behind_is_told_so() {
    let (rooms, entered) = room(20, &["alice", "b", "c", "d", "e", "f", "g", "h"]);
    let since = entered[7].version;
    for session in 2..8 {
        rooms.leave(KEY, session, Departure::Left);
    }
    let changes = rooms.changes(KEY, 1, since);
    assert!(!changes.resync && changes.list.len() == 6);
    // One more departure than are kept.
    rooms.leave(KEY, 8, Departure::Left);
    let changes = rooms.changes(KEY, 1, since);
    assert!(changes.resync && told(&changes) == ["+alice"]);
    assert_eq!(
        rooms.changes(KEY, 1, changes.version),
        Changes { version: changes.version, list: vec![], resync: false, is_personal: false }
    );
}

#[test]
fn who_could_not_be_told_looks_again() {
    let (rooms, entered) = room(10, &["alice", "bob"]);
    rooms.tick(0);
    rooms.look_again(KEY, 1);
    rooms.look_again(KEY, 9);
    assert_eq!(rooms.tick(0)[0].sessions, [(1, vec![1])]);
    assert_eq!(told(&rooms.changes(KEY, 1, entered[0].version)), ["+bob"]);
    assert!(rooms.tick(0).is_empty());
}

#[test]
fn a_session_goes_on_as_another() {
    let (rooms, entered) = room(10, &["alice", "bob", "carol"]);
    let since = rooms.changes(KEY, 1, entered[0].version).version;
    rooms.leave(KEY, 3, Departure::Left);
    rooms.tick(0);
    // Bob has seen that Carol is gone, Alice has not.
    let bobs = rooms.changes(KEY, 2, entered[2].version).version;
    rooms.changes(KEY, 2, bobs);
    assert!(!rooms.replace(KEY, 1, 2, 0) && !rooms.replace(KEY, 7, 8, 0) && rooms.replace(KEY, 1, 20, 5));
    assert_eq!((rooms.occupies(KEY, 1), rooms.sessions_of(KEY, &uid("alice"))), (false, vec![(5, 20)]));
    assert_eq!(rooms.tick(0)[0].sessions, [(5, vec![20])]);
    assert_eq!(told(&rooms.changes(KEY, 20, since)), ["-carol Left"]);
    assert!(rooms.changes(KEY, 2, bobs).list.is_empty());
}

#[test]
fn who_knew_a_room_that_was_closed_is_too_far_behind() {
    let (rooms, entered) = room(10, &["alice"]);
    for session in 2..40 {
        rooms.enter(KEY, entering(session, "bob"));
    }
    let since = rooms.changes(KEY, 1, entered[0].version).version;
    for session in 1..40 {
        rooms.leave(KEY, session, Departure::Left);
    }
    assert!(!rooms.is_open(KEY));
    rooms.enter(KEY, entering(50, "carol"));
    rooms.enter(KEY, entering(51, "alice"));
    assert!(rooms.changes(KEY, 51, since).resync);
}

#[test]
fn what_is_told_to_one_alone_says_so() {
    let (rooms, entered) = room(2, &["alice", "bob"]);
    rooms.enter(KEY, entering(3, "carol"));
    let since = rooms.changes(KEY, 1, entered[1].version).version;
    rooms.changes(KEY, 2, since);
    rooms.spoke(KEY, &uid("carol"), &"Carol".into(), 1);
    let of = |session| rooms.changes(KEY, session, since);
    // Bob is not shown any more, and is not told so.
    assert_eq!((told(&of(1)), told(&of(2))), (vec!["-bob Left".into(), "+carol".into()], vec!["+carol".into()]));
    assert_eq!((of(1).is_personal, of(2).is_personal, of(3).is_personal), (false, true, true));
}

#[test]
fn nobody_is_in_a_room_that_is_not_there() {
    let rooms = Rooms::new(3);
    rooms.follow(KEY, &uid("bob"), 1);
    rooms.spoke(KEY, &uid("bob"), &"Bob".into(), 1);
    assert!(!rooms.is_open(KEY) && rooms.count(KEY) == 0 && rooms.tick(u64::MAX).is_empty());
    assert_eq!(rooms.changes(KEY, 1, 5), Changes { version: 5, list: vec![], resync: false, is_personal: false });
    // A room that was closed leaves nothing behind, not even its speakers' time.
    rooms.enter(KEY, entering(1, "alice"));
    rooms.spoke(KEY, &uid("alice"), &"Alice".into(), 1);
    rooms.leave(KEY, 1, Departure::Left);
    assert!(rooms.due.lock().unwrap().is_empty() && rooms.rooms.read().unwrap().is_empty());
    assert!(rooms.enter(KEY, entering(1, "alice")).is_first_of_room);
}

#[test]
fn threads_share_the_rooms() {
    let rooms = Rooms::new(8);
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let rooms = &rooms;
            scope.spawn(move || {
                for turn in 0..500 {
                    let session = thread * 1000 + turn;
                    let entered = rooms.enter(KEY, entering(session, &format!("u{thread}")));
                    rooms.spoke(KEY, &uid(&format!("u{thread}")), &"x".into(), turn);
                    rooms.changes(KEY, session, entered.version);
                    rooms.tick(turn);
                    assert!(rooms.leave(KEY, session, Departure::Left).is_some());
                }
            });
        }
    });
    assert!(rooms.rooms.read().unwrap().is_empty() && rooms.due.lock().unwrap().is_empty());
}

#[test]
fn standings_have_words_and_are_the_hubs_rules() {
    use Affiliation as A;
    let inside = |role| Some(Standing::In(role));
    for (kind, role, standing, expected) in [
        (Kind::Channel, UserRole::Attendee, None, (A::None, Role::Participant)),
        (Kind::Channel, UserRole::Attendee, inside(MemberRole::Member), (A::Member, Role::Participant)),
        (Kind::Channel, UserRole::Attendee, inside(MemberRole::Moderator), (A::Admin, Role::Moderator)),
        (Kind::Channel, UserRole::Attendee, inside(MemberRole::Owner), (A::Owner, Role::Moderator)),
        (Kind::Channel, UserRole::Attendee, Some(Standing::Left), (A::None, Role::Participant)),
        (Kind::Channel, UserRole::Staff, Some(Standing::Banned), (A::Outcast, Role::None)),
        (Kind::Channel, UserRole::Staff, None, (A::Admin, Role::Moderator)),
        (Kind::Channel, UserRole::Staff, inside(MemberRole::Owner), (A::Owner, Role::Moderator)),
        (Kind::Channel, UserRole::Device, None, (A::None, Role::None)),
        (Kind::Group, UserRole::Organiser, None, (A::None, Role::None)),
        (Kind::Group, UserRole::Organiser, inside(MemberRole::Member), (A::Owner, Role::Moderator)),
        (Kind::Group, UserRole::Attendee, Some(Standing::Invited), (A::None, Role::None)),
        (Kind::Announcements, UserRole::Attendee, inside(MemberRole::Member), (A::Member, Role::Visitor)),
        (Kind::Announcements, UserRole::Service, None, (A::None, Role::Participant)),
        (Kind::Announcements, UserRole::Organiser, None, (A::Owner, Role::Moderator)),
        (Kind::Direct, UserRole::Organiser, None, (A::None, Role::None)),
    ] {
        assert_eq!(standing_of(kind, role, standing), expected, "{kind:?} {role:?} {standing:?}");
    }
    let words: BTreeSet<&str> = A::ALL.into_iter().map(A::word).collect();
    assert_eq!(words.len(), 5);
    assert!(
        A::ALL.into_iter().all(|a| A::from_word(a.word()) == Some(a))
            && Role::ALL.into_iter().all(|r| Role::from_word(r.word()) == Some(r))
    );
}

/// What a client believes, by nick.
type Believed = BTreeMap<Arc<str>, Arc<Shown>>;

fn believe(believed: &mut Believed, changes: &Changes) {
    if changes.resync {
        believed.clear();
    }
    for change in &changes.list {
        match change {
            Change::Here(who) => believed.insert(Arc::clone(&who.nick), Arc::clone(who)),
            Change::Gone(who, _) => believed.remove(&who.nick),
        };
    }
}
