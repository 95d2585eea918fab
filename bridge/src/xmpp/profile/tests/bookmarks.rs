//! Bookmarks in both forms, and private storage.

use super::*;

fn private(inside: &str) -> String {
    format!("<query xmlns='jabber:iq:private'>{inside}</query>")
}

fn storage(inside: &str) -> String {
    private(&format!("<storage xmlns='storage:bookmarks'>{inside}</storage>"))
}

fn answered_storage(inside: &str) -> String {
    let storage = format!("<storage xmlns=\"storage:bookmarks\">{inside}</storage>");
    format!("<query xmlns=\"jabber:iq:private\">{storage}</query>")
}

#[tokio::test]
async fn any_element_is_kept_under_its_name() {
    let world = World::new().await;
    let empty = world.get("alice", "alice", &private("<a xmlns='urn:a'><asked/></a>")).await;
    assert_eq!(empty, "<query xmlns=\"jabber:iq:private\"><a xmlns=\"urn:a\"/></query>");
    world.set("alice", &private("<a xmlns='urn:a'>1</a><a xmlns='urn:b'>2</a>")).await;
    world.set("alice", &private("<a xmlns='urn:a'>3<b/></a>")).await;
    for (asked, kept) in [("<a xmlns='urn:a'/>", "<a xmlns=\"urn:a\">3<b/></a>"), ("<a xmlns='urn:b'/>", "<a xmlns=\"urn:b\">2</a>")] {
        assert_eq!(world.get("alice", "alice", &private(asked)).await, format!("<query xmlns=\"jabber:iq:private\">{kept}</query>"));
    }
    assert_eq!(world.refused("alice", "alice", true, &private("")).await, Condition::BadRequest);
    let two = private("<a xmlns='urn:a'/><a xmlns='urn:b'/>");
    assert_eq!(world.refused("alice", "alice", false, &two).await, Condition::NotAcceptable);
}

#[tokio::test]
async fn both_forms_of_bookmarks_are_one_list() {
    let world = World::new().await;
    assert_eq!(world.get("alice", "alice", &storage("")).await, answered_storage(""));
    // The newer form, read in the older one.
    let bookmark = "<conference xmlns='urn:xmpp:bookmarks:1' name='The &lt;lobby&gt;' autojoin='1'><nick>al</nick><extensions><x xmlns='urn:x'/></extensions></conference>";
    world.publish("alice", ns::BOOKMARKS, "lobby@rooms.chat.example", bookmark).await;
    let lobby = "<conference jid=\"lobby@rooms.chat.example\" name=\"The &lt;lobby&gt;\" autojoin=\"true\"><nick>al</nick></conference>";
    assert_eq!(world.get("alice", "alice", &storage("")).await, answered_storage(lobby));
    // The same set again changes nothing; with a URL, only that.
    let url = "<url name=\"x\" url=\"http://x\"/>";
    assert_eq!(world.set("alice", &storage(&format!("{lobby}{url}"))).await, Answered::default());
    assert_eq!(world.get("alice", "alice", &storage("")).await, answered_storage(&format!("{lobby}{url}")));
    // Another one in, the first one changed.
    let help = "<conference jid=\"help@rooms.chat.example\"></conference>";
    let renamed = lobby.replace("&lt;lobby&gt;", "foyer");
    let answered = world.set("alice", &storage(&format!("{help}{renamed}"))).await;
    assert_eq!(answered.pushes.len(), 2);
    assert!(told(&answered).iter().all(|(node, access, _)| (*node, *access) == (ns::BOOKMARKS, Access::Private)));
    let newer = world.get("alice", "alice", &items(ns::BOOKMARKS)).await;
    assert!(
        newer.contains("name=\"The foyer\"") && newer.contains("<x xmlns=\"urn:x\"/>"),
        "what the older form cannot say stays: {newer}"
    );
    // One out.
    let answered = world.set("alice", &storage(help)).await;
    assert!(told(&answered)[0].2.contains("<retract id=\"lobby@rooms.chat.example\"/>"));
    assert_eq!(world.get("alice", "alice", &storage("")).await, answered_storage(help));
    assert_eq!(world.refused("alice", "alice", true, &storage("<conference jid='@'/>")).await, Condition::JidMalformed);
    let many: String = (0..300).map(|n| format!("<conference jid='r{n}@rooms.chat.example'/>")).collect();
    assert_eq!(world.refused("alice", "alice", true, &storage(&many)).await, Condition::PolicyViolation);
}
