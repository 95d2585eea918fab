//! Whole negotiations, as text on both sides.

use data_encoding::BASE64;
use hallway_broker::accounts::tokens;
use hallway_broker::command::{Action, Actor};
use hallway_broker::ids::Uid;
use hallway_broker::model::UserRole;

use super::*;
use crate::xmpp::stream::{Bounds, StreamReader};
use crate::xmpp::testing::Story;

const TCP_HEADER: &str =
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='chat.example' version='1.0'>";
const WS_HEADER: &str = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='chat.example' version='1.0'/>";
const PLAIN: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFsaWNlAHBlbmNpbA==</auth>";
const WRONG: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFsaWNlAHBlbg==</auth>";
const BIND: &str =
    "<iq xmlns='jabber:client' type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>phone</resource></bind></iq>";
const STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

struct Talk {
    story: Story,
    negotiation: Negotiation,
    reader: StreamReader,
    framing: Framing,
}

fn bound() -> Vec<ChannelBinding> {
    vec![ChannelBinding { name: "tls-server-end-point", data: vec![1] }]
}

impl Talk {
    async fn begin(framing: Framing, security: Security) -> Self {
        let host = |domain: &str, conference: &str| Host { domain: domain.into(), conference: conference.into() };
        let hosts = vec![host("chat.example", "demo"), host("other.example", "other")];
        let negotiation = Negotiation::new(framing, security, hosts, || [7; 16]);
        Self { story: Story::begin().await, negotiation, reader: StreamReader::new(framing, Bounds::default()), framing }
    }

    async fn tls() -> Self {
        Self::begin(Framing::Tcp, Security::Tls(bound())).await
    }

    /// What the server says to `text`, with either kind of quotes, and what comes next.
    async fn says(&mut self, text: &str) -> (String, Next) {
        let (mut input, mut out, mut next) = (text.as_bytes(), Vec::<Vec<u8>>::new(), Next::Read);
        loop {
            match self.reader.next(&mut input) {
                Ok(Some(incoming)) => next = self.negotiation.take(incoming, |_| self.story.place(), &mut out).await,
                Ok(None) => break,
                Err(error) => {
                    next = self.negotiation.fail(&error, &mut out);
                    break;
                }
            }
            if let Next::Restart | Next::StartTls = next {
                self.reader.reset();
            }
        }
        if self.framing == Framing::WebSocket {
            self.reader.end_message().unwrap();
        }
        (String::from_utf8(out.concat()).unwrap().replace('"', "'"), next)
    }

    /// The condition of the stream error that `text` ends the stream with.
    async fn ends(&mut self, text: &str) -> String {
        let (said, next) = self.says(text).await;
        assert!(matches!(next, Next::Close) && said.ends_with("</stream:stream>"), "{said}");
        assert!(said.starts_with("<?xml") || self.negotiation.is_open, "the header is missing: {said}");
        let error = said.split_once("<stream:error>").unwrap_or_else(|| panic!("{said}")).1;
        error[1..].split(' ').next().unwrap_or_default().to_owned()
    }
}

#[tokio::test]
async fn with_tls_one_signs_in_and_binds() {
    let mut talk = Talk::tls().await;
    let (said, _) = talk.says(TCP_HEADER).await;
    assert!(
        said.starts_with("<?xml version='1.0'?><stream:stream xmlns='jabber:client'") && said.contains("from='chat.example'"),
        "{said}"
    );
    assert!(said.contains("<mechanism>SCRAM-SHA-256-PLUS</mechanism>") && said.contains("<mechanism>PLAIN</mechanism>"), "{said}");
    assert!(said.contains("<channel-binding type='tls-server-end-point'/>") && !said.contains("starttls"), "{said}");
    let (said, next) = talk.says(PLAIN).await;
    assert!(matches!(next, Next::Restart) && said == "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", "{said}");
    let (said, _) = talk.says(TCP_HEADER).await;
    assert!(said.contains("<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>") && !said.contains("mechanism"), "{said}");
    let (said, next) = talk.says(BIND).await;
    let Next::Bound(bound) = next else { panic!("{next:?}") };
    assert_eq!((bound.identity.uid.as_str(), bound.host.conference.as_str()), ("alice", "demo"));
    assert_eq!((bound.resource.as_deref(), bound.id.as_str(), said.as_str()), (Some("phone"), "b1", ""));
    let mut out = Vec::new();
    write_bound(Framing::Tcp, "b1", "alice@chat.example/phone", &mut out);
    let answer: Element = format!("<x xmlns='jabber:client'>{}</x>", String::from_utf8(out).unwrap()).parse().unwrap();
    let jid = answer.children().next().and_then(|iq| iq.get_child("bind", super::BIND)?.get_child("jid", super::BIND).map(Element::text));
    assert_eq!(jid.as_deref(), Some("alice@chat.example/phone"));
    talk.story.hub.close();
}

#[tokio::test]
async fn over_websocket_too() {
    let mut talk = Talk::begin(Framing::WebSocket, Security::Tls(Vec::new())).await;
    let (said, _) = talk.says(WS_HEADER).await;
    assert!(said.starts_with("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing'"), "{said}");
    assert!(said.contains("<stream:features xmlns:stream=") && !said.contains("PLUS") && !said.contains("channel-binding"), "{said}");
    assert!(matches!(talk.says(PLAIN).await.1, Next::Restart));
    talk.says(WS_HEADER).await;
    assert!(matches!(talk.says(BIND).await.1, Next::Bound(_)));
    let close = "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>";
    assert!(matches!(talk.says(close).await, (said, Next::Close) if said == close));
    talk.story.hub.close();
}

#[tokio::test]
async fn without_tls_there_is_nothing_but_tls() {
    let mut talk = Talk::begin(Framing::Tcp, Security::Plain { starttls: true, open: false }).await;
    let (said, _) = talk.says(TCP_HEADER).await;
    assert!(said.contains("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"), "{said}");
    assert!(!said.contains("mechanism"), "{said}");
    let (said, next) = talk.says(STARTTLS).await;
    assert!(matches!(next, Next::StartTls) && said == "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "{said}");
    talk.negotiation.secured(bound());
    let (said, _) = talk.says(TCP_HEADER).await;
    assert!(said.contains("PLUS") && !said.contains("starttls"), "{said}");
    assert!(matches!(talk.says(PLAIN).await.1, Next::Restart));
    let mut early = Talk::begin(Framing::Tcp, Security::Plain { starttls: true, open: false }).await;
    early.says(TCP_HEADER).await;
    assert_eq!(early.ends(PLAIN).await, "not-authorized");
    // A demo on loopback takes both.
    let mut demo = Talk::begin(Framing::Tcp, Security::Plain { starttls: true, open: true }).await;
    let (said, _) = demo.says(TCP_HEADER).await;
    assert!(said.contains("<starttls") && !said.contains("required") && said.contains("PLAIN"), "{said}");
    // What is not offered cannot be had.
    let mut secure = Talk::tls().await;
    secure.says(TCP_HEADER).await;
    let (said, next) = secure.says(STARTTLS).await;
    assert!(matches!(next, Next::Close) && said.starts_with("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"), "{said}");
    for talk in [talk, early, demo, secure] {
        talk.story.hub.close();
    }
}

#[tokio::test]
async fn what_is_wrong_ends_the_stream() {
    for (text, condition) in [
        (TCP_HEADER.replace("chat.example", "elsewhere.example"), "host-unknown"),
        (TCP_HEADER.replace("version='1.0'", ""), "unsupported-version"),
        (TCP_HEADER.replace("jabber:client", "jabber:server"), "invalid-namespace"),
        (format!("{TCP_HEADER}{BIND}"), "not-authorized"),
        (format!("{TCP_HEADER}<message><body>x</body></message>"), "not-authorized"),
        (format!("{TCP_HEADER}{}", WRONG.repeat(5)), "policy-violation"),
        (format!("{TCP_HEADER}{PLAIN}{}", TCP_HEADER.replace("chat.example", "other.example")), "host-unknown"),
        (format!("{TCP_HEADER}{PLAIN}{TCP_HEADER}<message><body>x</body></message>"), "not-authorized"),
        ("<!DOCTYPE x>".into(), "restricted-xml"),
        ("GET / HTTP/1.1\r\n\r\n".into(), "not-well-formed"),
    ] {
        let mut talk = Talk::tls().await;
        assert_eq!(talk.ends(&text).await, condition, "{text}");
        talk.story.hub.close();
    }
}

#[tokio::test]
async fn a_badge_reader_does_not_chat() {
    let mut talk = Talk::tls().await;
    let (uid, conf, token) = (Uid::parse("gate").unwrap(), talk.story.conf(), tokens::make());
    let add = Action::AddUser { uid: uid.clone(), name: None, role: UserRole::Device, credentials: None };
    let issue = Action::IssueToken { uid, hash: tokens::hash(&token).unwrap(), expires_ms: u64::MAX };
    for action in [add, issue] {
        talk.story.hub.call(conf, Actor::system(), action).await.unwrap();
    }
    let plain = PLAIN.replace("AGFsaWNlAHBlbmNpbA==", &BASE64.encode(format!("\0gate\0{token}").as_bytes()));
    let (said, next) = talk.says(&format!("{TCP_HEADER}{plain}")).await;
    assert!(said.ends_with("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>"), "{said}");
    assert!(matches!(next, Next::Read) && matches!(talk.says(PLAIN).await.1, Next::Restart), "others may come in");
    talk.story.hub.close();
}

#[tokio::test]
async fn a_failed_login_may_be_tried_again() {
    let mut talk = Talk::tls().await;
    let (said, _) = talk.says(&format!("{TCP_HEADER}{WRONG}")).await;
    assert!(said.ends_with("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>"), "{said}");
    assert!(matches!(talk.says(PLAIN).await.1, Next::Restart));
    talk.story.hub.close();
}
