//! vCards, avatars and blocking.

use super::*;

const GET: &str = "<vCard xmlns='vcard-temp'/>";
/// Three bytes, and their SHA-1.
const PHOTO: &str = "<PHOTO><TYPE>image/gif</TYPE><BINVAL>Rk\n9P</BINVAL></PHOTO>";
const HASH: &str = "feab40e1fca77c7360ccca1481bb8ba5f919ce3a";

fn vcard(inside: &str) -> String {
    format!("<vCard xmlns='vcard-temp'>{inside}</vCard>")
}

impl World {
    fn hash(&self, of: &str) -> Option<String> {
        let who = self.who(of);
        avatar::photo_hash(self.story.hub.reader(), who.conf, &who.uid).unwrap()
    }
}

#[tokio::test]
async fn a_vcard_tells_what_the_hub_knows() {
    let world = World::new().await;
    let of_bob = world.get("alice", "bob", GET).await;
    assert_eq!(of_bob, "<vCard xmlns=\"vcard-temp\"><FN>Bob Marley</FN><NICKNAME>Bob Marley</NICKNAME></vCard>");
    world.set("bob", &vcard("<FN>alice</FN><NICKNAME>alice</NICKNAME><DESC>I sing &amp; dance</DESC><URL>http://x</URL>")).await;
    let of_bob = world.get("alice", "bob", GET).await;
    let expected = "<FN>Bob Marley</FN><NICKNAME>Bob Marley</NICKNAME><DESC>I sing &amp; dance</DESC><URL>http://x</URL>";
    assert_eq!(of_bob, vcard(expected).replace('\'', "\""));
    let about = world.story.hub.reader().user(world.who("bob").conf, &world.who("bob").uid).unwrap().unwrap().about;
    assert_eq!(&*about, "I sing & dance");
    assert_eq!(world.refused("alice", "bob", true, &vcard("<FN>x</FN>")).await, Condition::Forbidden);
    let long = vcard(&format!("<DESC>{}</DESC>", "x".repeat(1001)));
    assert_eq!(world.refused("bob", "bob", true, &long).await, Condition::PolicyViolation);
}

#[tokio::test]
async fn the_avatar_is_one_in_every_protocol() {
    let world = World::new().await;
    assert_eq!(world.hash("bob"), None);
    let answered = world.set("bob", &vcard(PHOTO)).await;
    let nodes: Vec<&str> = told(&answered).iter().map(|(node, ..)| *node).collect();
    assert_eq!(nodes, [ns::AVATAR_DATA, ns::AVATAR]);
    assert!(told(&answered)[1].2.contains(&format!("<info bytes=\"3\" id=\"{HASH}\" type=\"image/gif\"/>")), "{answered:?}");
    assert_eq!(world.hash("bob").as_deref(), Some(HASH));
    assert!(world.get("alice", "bob", &items(ns::AVATAR_DATA)).await.contains(">Rk9P</data>"));
    // The same again tells nobody anything.
    assert_eq!(world.set("bob", &vcard(PHOTO)).await, Answered::default());
    // From the other side.
    let data = format!("<data xmlns='{}'>QkFS</data>", ns::AVATAR_DATA);
    world.publish("bob", ns::AVATAR_DATA, "a".repeat(40).as_str(), &data).await;
    let metadata = format!("<metadata xmlns='{}'><info id='{}' type='image/png' bytes='3'/></metadata>", ns::AVATAR, "a".repeat(40));
    world.publish("bob", ns::AVATAR, "a".repeat(40).as_str(), &metadata).await;
    let of_bob = world.get("alice", "bob", GET).await;
    assert!(of_bob.contains("<PHOTO><TYPE>image/png</TYPE><BINVAL>QkFS</BINVAL></PHOTO>"), "{of_bob}");
    assert_eq!(world.hash("bob"), Some("a".repeat(40)));
    // One that others are not to see is not in the vCard either.
    for (access, seen) in [("whitelist", false), ("open", true)] {
        let form = form(ns::NODE_CONFIG, &[("pubsub#access_model", access)]);
        world.set("bob", &owners(&format!("<configure node='{}'>{form}</configure>", ns::AVATAR_DATA))).await;
        assert_eq!((world.get("alice", "bob", GET).await.contains("PHOTO"), world.hash("bob").is_some()), (seen, seen));
        assert!(world.get("bob", "bob", GET).await.contains("PHOTO"));
    }
    let answered = world.set("bob", &vcard("<PHOTO/>")).await;
    let gone = format!("<metadata xmlns=\"{}\"/>", ns::AVATAR);
    assert!(told(&answered)[0].2.contains(&gone));
    assert_eq!(world.hash("bob"), None);
    assert!(!world.get("bob", "bob", GET).await.contains("PHOTO"));
    assert_eq!(world.refused("bob", "bob", true, &vcard("<PHOTO><BINVAL>?</BINVAL></PHOTO>")).await, Condition::BadRequest);
    let large = vcard(&format!("<PHOTO><BINVAL>{}</BINVAL></PHOTO>", "AAAA".repeat(48 << 10)));
    assert_eq!(world.refused("bob", "bob", true, &large).await, Condition::PolicyViolation);
    let largest = vcard(&format!("<PHOTO><BINVAL>{}</BINVAL></PHOTO>", "AAAA".repeat((48 << 10) - 64)));
    world.set("bob", &largest).await;
}

#[tokio::test]
async fn who_is_blocked_is_listed_and_gets_nothing() {
    let world = World::new().await;
    let list = "<blocklist xmlns='urn:xmpp:blocking'/>";
    let of = |name: &str, jid: &str| format!("<{name} xmlns='urn:xmpp:blocking'><item jid='{jid}'/></{name}>");
    assert_eq!(world.get("alice", "alice", list).await, "<blocklist xmlns=\"urn:xmpp:blocking\"></blocklist>");
    let answered = world.set("alice", &of("block", "bob@chat.example/phone")).await;
    let bob = "<item jid=\"bob@chat.example\"/>";
    assert_eq!(told(&answered)[0].2, format!("<block xmlns=\"urn:xmpp:blocking\">{bob}</block>"));
    assert_eq!(world.get("alice", "alice", list).await, format!("<blocklist xmlns=\"urn:xmpp:blocking\">{bob}</blocklist>"));
    assert_eq!(world.refused("bob", "alice", false, GET).await, Condition::ServiceUnavailable);
    assert_eq!(world.refused("alice", "bob", false, GET).await, Condition::Blocking);
    assert_eq!(world.refused("bob", "alice", false, list).await, Condition::ServiceUnavailable);
    for (jid, condition) in [
        ("alice@chat.example", Condition::NotAcceptable),
        ("nobody@chat.example", Condition::ItemNotFound),
        ("chat.example", Condition::NotAcceptable),
        ("x@elsewhere.example", Condition::RemoteServerNotFound),
        ("@", Condition::JidMalformed),
    ] {
        assert_eq!(world.refused("alice", "alice", true, &of("block", jid)).await, condition, "{jid}");
    }
    assert_eq!(world.refused("alice", "alice", true, "<block xmlns='urn:xmpp:blocking'/>").await, Condition::BadRequest);
    assert_eq!(world.set("alice", &of("unblock", "nobody@chat.example")).await, Answered::default());
    let answered = world.set("alice", "<unblock xmlns='urn:xmpp:blocking'/>").await;
    assert_eq!(told(&answered)[0].2, "<unblock xmlns=\"urn:xmpp:blocking\"></unblock>");
    assert!(world.get("bob", "alice", GET).await.contains("alice"));
    let mut out = Vec::new();
    let returned = crate::xmpp::stanza::Returned { kind: "message", id: None, from: None, to: "alice@chat.example" };
    crate::xmpp::stanza::write_error(&returned, &rejected(Reason::Blocking), &mut out);
    let error = String::from_utf8(out).unwrap();
    // XEP-0191 §3.4
    assert!(error.contains("<not-acceptable") && error.contains("<blocked xmlns=\"urn:xmpp:blocking:errors\"/></error>"), "{error}");
}
