//! Requests of two people to each other's accounts, on a hub of their own.

mod bookmarks;
mod nodes;
mod people;

use std::sync::Arc;

use hallway_broker::accounts::Wish;
use hallway_broker::ids::ConferenceId;
use hallway_broker::model::Via;

use super::*;
use crate::xmpp::testing::Story;

/// alice and bob, whose display names are `alice` and `Bob Marley`.
struct World {
    story: Story,
    names: Names,
}

impl World {
    async fn new() -> Self {
        let story = Story::begin().await;
        let here = std::net::IpAddr::from([127, 0, 0, 1]);
        story
            .sign_ins
            .accounts
            .register(&story.hub, &Wish { name: Some("Bob Marley"), ..Wish::new("demo", "bob", "pencil") }, here)
            .await
            .unwrap();
        Self { story, names: Names::new("chat.example").unwrap() }
    }

    fn who(&self, uid: &str) -> Who {
        Who {
            conf: self.story.hub.reader().conference("demo").unwrap().unwrap().no,
            conference: ConferenceId::parse("demo").unwrap(),
            uid: Uid::parse(uid).unwrap(),
            name: uid.into(),
            version: 0,
            expires_ms: u64::MAX,
            token: None,
        }
    }

    /// What `who` is answered who asks `owner`'s account.
    async fn asks(&self, who: &str, owner: &str, is_set: bool, xml: &str) -> Option<Answer> {
        let who = self.who(who);
        let actor = Actor { uid: who.uid.clone(), via: Via::Xmpp, session: 1 };
        let asking = Asking { hub: &self.story.hub, who: &who, actor, names: &self.names };
        answer(&asking, &Uid::parse(owner).unwrap(), is_set, &element(xml)).await
    }

    async fn set(&self, who: &str, xml: &str) -> Answered {
        self.asks(who, who, true, xml).await.unwrap().unwrap_or_else(|error| panic!("{xml}: {error:?}"))
    }

    async fn get(&self, who: &str, owner: &str, xml: &str) -> String {
        let answered = self.asks(who, owner, false, xml).await.unwrap().unwrap_or_else(|error| panic!("{xml}: {error:?}"));
        assert!(answered.pushes.is_empty());
        // It is well-formed.
        element(std::str::from_utf8(&answered.payload).unwrap());
        String::from_utf8(answered.payload).unwrap()
    }

    async fn refused(&self, who: &str, owner: &str, is_set: bool, xml: &str) -> Condition {
        match self.asks(who, owner, is_set, xml).await.unwrap() {
            Err(error) => error.condition,
            Ok(answered) => panic!("{xml}: {}", String::from_utf8_lossy(&answered.payload)),
        }
    }

    async fn publish(&self, who: &str, node: &str, id: &str, payload: &str) -> Answered {
        self.set(who, &publish(node, id, payload, "")).await
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.story.hub.close();
    }
}

fn element(xml: &str) -> Element {
    Element::from_reader(xml.as_bytes()).unwrap_or_else(|error| panic!("{xml}: {error}"))
}

fn pubsub(inside: &str) -> String {
    format!("<pubsub xmlns='{}'>{inside}</pubsub>", ns::PUBSUB)
}

fn owners(inside: &str) -> String {
    format!("<pubsub xmlns='{}'>{inside}</pubsub>", ns::OWNER)
}

fn publish(node: &str, id: &str, payload: &str, more: &str) -> String {
    pubsub(&format!("<publish node='{node}'><item id='{id}'>{payload}</item></publish>{more}"))
}

fn items(node: &str) -> String {
    pubsub(&format!("<items node='{node}'/>"))
}

/// A form with fields.
fn form(of_type: &str, fields: &[(&str, &str)]) -> String {
    let fields: String = fields.iter().map(|(var, value)| format!("<field var='{var}'><value>{value}</value></field>")).collect();
    format!("<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{of_type}</value></field>{fields}</x>")
}

/// The pushes as node, access and text.
fn told(answered: &Answered) -> Vec<(&str, Access, &str)> {
    let told = answered.pushes.iter().map(|push| match push {
        Push::Event { node, access, payload } => (node.as_str(), *access, std::str::from_utf8(payload).unwrap()),
        Push::Blocklist { payload, .. } => ("", Access::Private, std::str::from_utf8(payload).unwrap()),
    });
    told.collect()
}

#[test]
fn a_push_is_a_stanza() {
    let event = Push::Event { node: "n".into(), access: Access::Open, payload: b"<event xmlns=\"e\"/>".to_vec() };
    let list = Push::Blocklist { users: Vec::new(), on: false, payload: b"<unblock xmlns=\"b\"/>".to_vec() };
    let written = |push: &Push| {
        let mut out = Vec::new();
        push.write("alice@chat.example", "alice@chat.example/\"x\"", "p1", &mut out);
        String::from_utf8(out).unwrap()
    };
    let from_to = "xmlns=\"jabber:client\" from=\"alice@chat.example\" to=\"alice@chat.example/&quot;x&quot;\" id=\"p1\"";
    assert_eq!(written(&event), format!("<message {from_to} type=\"headline\"><event xmlns=\"e\"/></message>"));
    assert_eq!(written(&list), format!("<iq {from_to} type=\"set\"><unblock xmlns=\"b\"/></iq>"));
}

#[test]
fn elements_are_kept_as_they_came() {
    for xml in [
        "<a xmlns=\"x\"/>",
        "<a xmlns=\"x\">t &amp; &lt;u&gt;<b c=\"&quot;d&quot;\"/>v<w xmlns=\"y\"><z xmlns=\"x\"/></w></a>",
        "<a xmlns=\"x\" xml:lang=\"de\"><b xmlns:a0=\"urn:q\" a0:n=\"1\" m=\"2\"/></a>",
        "<a xmlns=\"\"><b xmlns=\"y\"/></a>",
    ] {
        assert_eq!(element(&as_text(&element(xml))), element(xml), "{xml}");
        assert_eq!(as_text(&element(&as_text(&element(xml)))), as_text(&element(xml)));
    }
}

#[tokio::test]
async fn what_is_of_another_kind_is_left_alone() {
    let world = World::new().await;
    for (is_set, xml) in [
        (false, "<query xmlns='jabber:iq:roster'/>"),
        (false, "<query xmlns='http://jabber.org/protocol/disco#info'/>"),
        (false, "<query xmlns='http://jabber.org/protocol/disco#info' node='nothing'/>"),
        (true, "<query xmlns='http://jabber.org/protocol/disco#items'/>"),
        (true, "<vCard xmlns='other'/>"),
    ] {
        assert_eq!(world.asks("alice", "alice", is_set, xml).await, None, "{xml}");
    }
    let nobody = world.asks("alice", "nobody", false, "<vCard xmlns='vcard-temp'/>").await.unwrap().unwrap_err();
    assert_eq!(nobody.condition, Condition::ItemNotFound);
}

/// Any tree of elements, by depth.
fn tree() -> impl proptest::strategy::Strategy<Value = Element> {
    use proptest::prelude::*;
    let leaf = ("[a-z]{1,4}", "[a-z:]{0,4}", "\\PC{0,8}").prop_map(|(name, namespace, text)| {
        let mut element = Element::bare(name, namespace);
        if !text.is_empty() {
            element.append_text(text);
        }
        element
    });
    leaf.prop_recursive(4, 24, 4, |inner| {
        ("[a-z]{1,4}", "[a-z:]{0,4}", prop::collection::vec(inner, 0..4)).prop_map(|(name, namespace, children)| {
            let mut element = Element::bare(name, namespace);
            children.into_iter().for_each(|child| element.append_node(child.into()));
            element
        })
    })
}

proptest::proptest! {
    #[test]
    fn any_tree_is_kept_as_it_came(tree in tree()) {
        proptest::prop_assert_eq!(as_element(&as_text(&tree)), Some(tree));
    }

    /// Whatever a client asks, it is answered, and what is told is well-formed.
    #[test]
    fn no_request_is_too_strange(payload in tree(), name in 0..8usize, is_set: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        thread_local! { static WORLD: std::cell::OnceCell<Arc<World>> = const { std::cell::OnceCell::new() }; }
        let world = WORLD.with(|world| Arc::clone(world.get_or_init(|| Arc::new(runtime.block_on(World::new())))));
        let (name, namespace, child) = [
            ("pubsub", ns::PUBSUB, "publish"), ("pubsub", ns::PUBSUB, "items"), ("pubsub", ns::PUBSUB, "retract"), ("pubsub", ns::OWNER, "configure"),
            ("query", ns::PRIVATE, "x"), ("vCard", ns::VCARD, "PHOTO"), ("block", ns::BLOCKING, "item"), ("query", disco::ITEMS, "x"),
        ][name];
        let inner = Element::builder(child, namespace).attr(rxml::xml_ncname!("node").to_owned(), "n").append(payload.clone()).build();
        let request = Element::builder(name, namespace).append(inner).append(payload).build();
        let answered = runtime.block_on(world.asks("alice", "alice", is_set, &as_text(&request)));
        if let Some(Ok(answered)) = answered {
            for xml in [answered.payload].into_iter().chain(answered.pushes.into_iter().map(|push| match push {
                Push::Event { payload, .. } | Push::Blocklist { payload, .. } => payload,
            })).filter(|xml| !xml.is_empty()) {
                proptest::prop_assert!(Element::from_reader(xml.as_slice()).is_ok(), "{}", String::from_utf8_lossy(&xml));
            }
        }
    }
}
