use hallway_broker::ids::ConversationId;
use xmpp_parsers::delay::Delay;
use xmpp_parsers::message::{Message as Typed, MessageType};

use super::{NOON_MS, names, parse, stanzas, uid};
use crate::xmpp::stanza::{Invitation, Said, ns, read_message};

fn lobby() -> ConversationId {
    ConversationId::parse("lobby").unwrap()
}

#[test]
fn whoever_enters_is_told_the_subject_even_if_there_is_none() {
    for (title, since) in [("Cake & pie", Some(NOON_MS)), ("", None)] {
        let mut out = Vec::new();
        stanzas().write_subject(&lobby(), title, since, &mut out);
        let told = Typed::try_from(parse(&out)).unwrap();
        assert_eq!((told.from.unwrap().as_str(), told.type_), ("lobby@rooms.demo.example", MessageType::Groupchat));
        assert_eq!((told.subjects.get("").map(String::as_str), told.bodies.len()), (Some(title), 0));
        let delay = told.payloads.first().cloned().map(|payload| Delay::try_from(payload).unwrap());
        assert_eq!(delay.map(|delay| delay.stamp.0.timestamp_millis()), since.map(|ms| i64::try_from(ms).unwrap()));
    }
}

#[test]
fn an_invitation_comes_from_the_room() {
    let mut out = Vec::new();
    let alice = uid("alice");
    let invitation = Invitation { inviter: &alice, to: "bob@demo.example", id: "ev9", reason: Some("<come>") };
    stanzas().write_invitation(&lobby(), &invitation, &mut out);
    let element = parse(&out);
    let invite = element.get_child("x", ns::MUC_USER).unwrap().get_child("invite", ns::MUC_USER).unwrap();
    assert_eq!(invite.attr("from"), Some("alice@demo.example"));
    assert_eq!(invite.get_child("reason", ns::MUC_USER).unwrap().text(), "<come>");
    assert_eq!((element.attr("from"), element.attr("to")), (Some("lobby@rooms.demo.example"), Some("bob@demo.example")));
    assert_eq!(read_message(&element, &names()).unwrap().said, [Said::InviteInto { conversation: lobby() }]);
}
