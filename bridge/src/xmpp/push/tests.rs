//! What is published, and who may answer.

use std::time::Duration;

use hallway_broker::ids::{ConfNo, Uid};
use proptest::prelude::*;

use super::publishing::{Answerer, Publishing};
use super::*;
use crate::push::testing::{push, target, without_content};

const OPTIONS: &str = "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#publish-options</value></field><field var='secret'><value>a&lt;b</value></field></x>";

fn parsed(push: &Push, target: &Target) -> Element {
    let mut out = Vec::new();
    let sender = "bob@chat.example".to_owned();
    let head = Head { namespace: Some("jabber:client"), from: "chat.example", to: "push.example/x", id: "push-1", sender };
    write(push, target, &head, &mut out);
    Element::from_reader(&out[..]).unwrap()
}

fn values(form: &Element) -> Vec<(String, String)> {
    form.children().map(|field| (field.attr("var").unwrap().to_owned(), field.get_child("value", DATA).unwrap().text())).collect()
}

fn service() -> Target {
    let options = as_text(&OPTIONS.parse().unwrap());
    Target { topic: "node".into(), options: options.into(), ..target(Provider::Xmpp, "push.example", Vec::new()) }
}

#[test]
fn a_push_as_the_document_wants_it() {
    let iq = parsed(&push(), &service());
    assert_eq!((iq.attr("type"), iq.attr("from"), iq.attr("to")), (Some("set"), Some("chat.example"), Some("push.example/x")));
    let pubsub = iq.get_child("pubsub", PUBSUB).unwrap();
    let publish = pubsub.get_child("publish", PUBSUB).unwrap();
    assert_eq!(publish.attr("node"), Some("node"));
    let notification = publish.get_child("item", PUBSUB).unwrap().get_child("notification", NS).unwrap();
    let form = values(notification.get_child("x", DATA).unwrap());
    let wanted =
        [("FORM_TYPE", SUMMARY), ("message-count", "5"), ("last-message-sender", "bob@chat.example"), ("last-message-body", "Hello")];
    assert_eq!(form, wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let options = pubsub.get_child("publish-options", PUBSUB).unwrap().get_child("x", DATA).unwrap();
    assert_eq!(values(options)[1], ("secret".to_owned(), "a<b".to_owned()));
}

#[test]
fn who_wants_no_content_has_a_number_alone() {
    let text = as_text(&parsed(&without_content(), &service()));
    assert!(text.contains("message-count") && !text.contains("last-message") && !text.contains("New message"), "{text}");
}

#[test]
fn what_is_no_target_is_seen() {
    assert!(is_target(&service()));
    assert!(is_target(&Target { options: "".into(), topic: "".into(), ..service() }));
    let forged = service().options.replace("</x>", "</x><x xmlns='jabber:x:data'/>");
    let other_type = service().options.replace("#publish-options", "#other");
    for options in ["<x/>", "no form", &forged, &other_type, &as_text(&"<x xmlns='jabber:x:data'/>".parse().unwrap())] {
        assert!(!is_target(&Target { options: options.into(), ..service() }), "{options}");
    }
    for address in ["", "@", "a b@c", "Push.Example", &"a".repeat(MAX_TARGET_BYTES + 1)] {
        assert!(!is_target(&Target { address: address.into(), ..service() }), "{address}");
    }
}

#[tokio::test]
async fn only_the_service_answers() {
    let story = crate::xmpp::testing::Story::begin().await;
    let publishing = Publishing::default();
    let service = |name: &str| Answerer::Account(story.conf(), Uid::parse(name).unwrap());
    let mut place = publishing.place(service("pusher")).unwrap();
    let iq = |kind: &str, id: &str| format!("<iq xmlns='jabber:client' type='{kind}' id='{id}'/>").parse::<Element>().unwrap();
    let id = place.id().to_owned();
    assert!(!publishing.answered(&iq("result", &id), &service("mallory")), "not another's to answer");
    assert!(!publishing.answered(&iq("result", &id), &Answerer::Account(ConfNo(99), Uid::parse("pusher").unwrap())));
    assert!(!publishing.answered(&iq("result", "push-other"), &service("pusher")));
    assert!(!publishing.answered(&iq("get", &id), &service("pusher")));
    assert!(publishing.answered(&iq("result", &id), &service("pusher")));
    assert!(!publishing.answered(&iq("result", &id), &service("pusher")), "once");
    let published = tokio::time::timeout(Duration::from_secs(5), place.answer()).await.unwrap();
    assert_eq!(published, Some(publishing::Published::Taken));
}

proptest! {
    #[test]
    fn whatever_is_said_it_is_xml(text in any::<String>(), from in "[a-z]{0,5}", title in any::<String>()) {
        let any = Push { text: text.into(), from: from.into(), title: title.into(), ..push() };
        let iq = parsed(&any, &service());
        prop_assert!(iq.get_child("pubsub", PUBSUB).is_some());
    }

    #[test]
    fn whatever_is_registered_is_a_target_or_not(address in ".{0,40}", options in ".{0,60}", inside in "[<>/a-z'\"= ]{0,60}") {
        let _ = is_target(&Target { address: address.into(), options: options.into(), ..service() });
        let form = format!("<x xmlns=\"jabber:x:data\">{inside}</x>");
        let _ = is_target(&Target { options: form.into(), ..service() });
    }
}
