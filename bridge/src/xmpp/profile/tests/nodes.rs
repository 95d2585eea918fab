//! Nodes of an account.

use super::*;

const OMEMO: &str = "eu.siacs.conversations.axolotl.devicelist";
const A: &str = "<a xmlns=\"urn:a\"/>";

fn options(fields: &[(&str, &str)]) -> String {
    format!("<publish-options>{}</publish-options>", form(ns::PUBLISH_OPTIONS, fields))
}

#[tokio::test]
async fn what_is_published_is_told_and_read() {
    let world = World::new().await;
    let answered = world.publish("alice", OMEMO, "current", A).await;
    let expected = format!("<pubsub xmlns=\"{}\"><publish node=\"{OMEMO}\"><item id=\"current\"/></publish></pubsub>", ns::PUBSUB);
    assert_eq!(String::from_utf8_lossy(&answered.payload), expected);
    let event = format!("<event xmlns=\"{}\"><items node=\"{OMEMO}\"><item id=\"current\">{A}</item></items></event>", ns::EVENT);
    assert_eq!(told(&answered), [(OMEMO, Access::Open, event.as_str())]);
    let got = format!("<pubsub xmlns=\"{}\"><items node=\"{OMEMO}\"><item id=\"current\">{A}</item></items></pubsub>", ns::PUBSUB);
    assert_eq!(world.get("bob", "alice", &items(OMEMO)).await, got);
    let (alice, bob) = (world.who("alice"), world.who("bob"));
    let last = |owner: &Who, to: &Who, node| pep::last_event(world.story.hub.reader(), owner.conf, &owner.uid, &to.uid, node).unwrap();
    assert_eq!(last(&alice, &bob, OMEMO).as_ref(), answered.pushes.first());
    assert_eq!(last(&bob, &alice, OMEMO), None);
    world.publish("alice", ns::BOOKMARKS, "lobby@rooms.chat.example", A).await;
    assert_eq!((last(&alice, &bob, ns::BOOKMARKS), last(&alice, &alice, ns::BOOKMARKS).is_some()), (None, true));
    // An id is made for who gives none.
    let answered = world.set("alice", &pubsub(&format!("<publish node='n'><item>{A}</item></publish>"))).await;
    let made = element(std::str::from_utf8(&answered.payload).unwrap());
    let id = made.children().next().unwrap().children().next().unwrap().attr("id").unwrap().len();
    assert_eq!(id, 32);
}

#[tokio::test]
async fn others_read_what_they_may() {
    let world = World::new().await;
    world.publish("alice", "n", "i", A).await;
    world.publish("alice", ns::BOOKMARKS, "lobby@rooms.chat.example", A).await;
    assert!(world.get("bob", "alice", &items("n")).await.contains(A));
    let refused = [
        (true, publish("n", "i", A, ""), Condition::Forbidden),
        (true, owners("<delete node='n'/>"), Condition::Forbidden),
        (false, owners("<configure node='n'/>"), Condition::Forbidden),
        (false, items(ns::BOOKMARKS), Condition::ClosedNode),
        (false, items("nothing"), Condition::ItemNotFound),
        (false, items("~vcard"), Condition::NotAllowed),
        (false, "<query xmlns='jabber:iq:private'><a xmlns='b'/></query>".into(), Condition::Forbidden),
    ];
    for (is_set, xml, condition) in refused {
        assert_eq!(world.refused("bob", "alice", is_set, &xml).await, condition, "{xml}");
    }
    let nodes = "<query xmlns='http://jabber.org/protocol/disco#items'/>";
    assert!(world.get("alice", "alice", nodes).await.contains(ns::BOOKMARKS));
    let shown = world.get("bob", "alice", nodes).await;
    assert!(shown.contains("<item jid=\"alice@chat.example\" node=\"n\"/>") && !shown.contains("bookmarks"), "{shown}");
    let in_node = "<query xmlns='http://jabber.org/protocol/disco#items' node='n'/>";
    assert!(world.get("bob", "alice", in_node).await.contains("name=\"i\""));
    let info = "<query xmlns='http://jabber.org/protocol/disco#info' node='n'/>";
    assert!(world.get("bob", "alice", info).await.contains("type=\"leaf\""));
}

#[tokio::test]
async fn a_node_is_made_as_the_first_item_demands() {
    let world = World::new().await;
    let private = options(&[("pubsub#access_model", "whitelist"), ("pubsub#persist_items", "true"), ("pubsub#max_items", "max")]);
    let answered = world.set("alice", &publish("n", "i", A, &private)).await;
    assert_eq!(told(&answered)[0].1, Access::Private);
    assert_eq!(world.refused("bob", "alice", false, &items("n")).await, Condition::ClosedNode);
    world.set("alice", &publish("n", "j", A, &private)).await;
    let contradictions = [
        options(&[("pubsub#access_model", "open")]),
        options(&[("pubsub#access_model", "authorize")]),
        options(&[("pubsub#persist_items", "0")]),
        options(&[("pubsub#max_items", "7")]),
        options(&[("pubsub#max_items", "0")]),
        options(&[("pubsub#max_items", "many")]),
    ];
    for demanded in contradictions {
        let xml = publish("n", "k", A, &demanded);
        assert_eq!(world.refused("alice", "alice", true, &xml).await, Condition::PreconditionNotMet, "{demanded}");
    }
    assert!(!world.get("alice", "alice", &items("n")).await.contains("\"k\""));
    // As clients do then: configure, and try again.
    let open = form(ns::NODE_CONFIG, &[("pubsub#access_model", "open"), ("pubsub#title", "ignored")]);
    world.set("alice", &owners(&format!("<configure node='n'>{open}</configure>"))).await;
    let shown = world.get("alice", "alice", &owners("<configure node='n'/>")).await;
    assert!(shown.contains("<value>open</value>") && shown.contains("<value>1000</value>"), "{shown}");
    assert!(world.get("bob", "alice", &items("n")).await.contains("\"j\""));
    let wrong = form(ns::NODE_CONFIG, &[("pubsub#access_model", "roster")]);
    let xml = owners(&format!("<configure node='n'>{wrong}</configure>"));
    assert_eq!(world.refused("alice", "alice", true, &xml).await, Condition::NotAcceptable);
}

#[tokio::test]
async fn items_and_nodes_go() {
    let world = World::new().await;
    let create = pubsub(&format!(
        "<create node='n'/><configure>{}</configure>",
        form(ns::NODE_CONFIG, &[("pubsub#max_items", "3"), ("pubsub#access_model", "open")])
    ));
    world.set("alice", &create).await;
    assert_eq!(world.refused("alice", "alice", true, &create).await, Condition::Conflict);
    for id in ["1", "2", "3", "4"] {
        world.publish("alice", "n", id, A).await;
    }
    let newest = world.get("alice", "alice", &pubsub("<items node='n' max_items='2'/>")).await;
    let (four, three) = (newest.find("\"4\"").unwrap(), newest.find("\"3\"").unwrap());
    assert!(four < three && !newest.contains("\"2\""), "{newest}");
    let one = world.get("alice", "alice", &pubsub("<items node='n'><item id='2'/><item id='1'/></items>")).await;
    assert!(one.contains("\"2\"") && !one.contains("\"1\"") && !one.contains("\"4\""), "{one}");
    let answered = world.set("alice", &pubsub("<retract node='n' notify='true'><item id='2'/></retract>")).await;
    assert!(told(&answered)[0].2.contains("<retract id=\"2\"/>"));
    let again = pubsub("<retract node='n'><item id='2'/></retract>");
    assert_eq!(world.refused("alice", "alice", true, &again).await, Condition::ItemNotFound);
    let answered = world.set("alice", &owners("<purge node='n'/>")).await;
    assert!(told(&answered)[0].2.contains("<purge node=\"n\"/>"));
    assert!(!world.get("alice", "alice", &items("n")).await.contains("item id"));
    let answered = world.set("alice", &owners("<delete node='n'/>")).await;
    assert_eq!((told(&answered)[0].1, told(&answered)[0].2.contains("<delete node=\"n\"/>")), (Access::Open, true));
    assert_eq!(world.refused("alice", "alice", false, &items("n")).await, Condition::ItemNotFound);
}

#[tokio::test]
async fn wrong_requests_are_refused() {
    let world = World::new().await;
    let long = "x".repeat(200 << 10);
    let cases = [
        (true, publish("", "i", A, ""), Condition::NodeIdRequired),
        (true, publish("~vcard", "i", A, ""), Condition::NotAllowed),
        (true, pubsub("<publish node='n'/>"), Condition::ItemRequired),
        (true, publish("n", "i", "", ""), Condition::InvalidPayload),
        (true, publish("n", "i", "<a xmlns='b'/><a xmlns='b'/>", ""), Condition::InvalidPayload),
        (true, publish("n", "i", &format!("<a xmlns='b'>{long}</a>"), ""), Condition::PolicyViolation),
        (true, publish(&"n".repeat(200), "i", A, ""), Condition::PolicyViolation),
        (true, pubsub("<retract node='n'/>"), Condition::ItemRequired),
        (true, pubsub("<subscribe node='n' jid='alice@chat.example'/>"), Condition::FeatureNotImplemented),
        (true, pubsub(""), Condition::FeatureNotImplemented),
        (false, pubsub("<items node='n' max_items='0'/>"), Condition::BadRequest),
        (false, pubsub("<affiliations/>"), Condition::FeatureNotImplemented),
        (true, owners(""), Condition::BadRequest),
        (true, owners("<delete node='n'/>"), Condition::ItemNotFound),
        (true, owners("<subscriptions node='n'/>"), Condition::FeatureNotImplemented),
        // Nicks are display names, and those are unique.
        (true, publish(ns::NICK, "i", &format!("<nick xmlns='{}'>bob</nick>", ns::NICK), ""), Condition::NotAcceptable),
    ];
    for (is_set, xml, condition) in cases {
        assert_eq!(world.refused("alice", "alice", is_set, &xml).await, condition, "{:.99}", xml);
    }
    world.publish("alice", ns::NICK, "i", &format!("<nick xmlns='{}'>alice</nick>", ns::NICK)).await;
}
