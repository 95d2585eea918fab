use hallway_broker::reject::{Reason, Reject};
use xmpp_parsers::message::{Message as Typed, MessageType};
use xmpp_parsers::stanza_error::{DefinedCondition, ErrorType, StanzaError as TypedError};

use super::{names, parse};
use crate::xmpp::stanza::{BadMessage, Returned, StanzaError, write_error};

fn told(error: &StanzaError) -> TypedError {
    let returned = Returned { kind: "message", id: Some("m<1>"), from: Some("lobby@rooms.demo.example"), to: "bob@demo.example/desk" };
    let mut out = Vec::new();
    write_error(&returned, error, &mut out);
    let typed = Typed::try_from(parse(&out)).unwrap();
    assert_eq!((typed.type_, typed.id.unwrap().0.as_str()), (MessageType::Error, "m<1>"));
    assert_eq!(typed.from.unwrap().as_str(), "lobby@rooms.demo.example");
    TypedError::try_from(typed.payloads[0].clone()).unwrap()
}

#[test]
fn a_refusal_is_a_stanza_error() {
    let foreign = names().parse("eve@elsewhere.example").unwrap_err();
    let reject = |reason: Reason| StanzaError::from(&Reject::from(reason));
    for (error, kind, condition, text) in [
        (BadMessage::NoId("reply").into(), ErrorType::Modify, DefinedCondition::BadRequest, "<reply/> needs an id"),
        (BadMessage::Reactions.into(), ErrorType::Modify, DefinedCondition::NotAcceptable, "at most 64 reactions of at most 32 bytes"),
        ((&foreign).into(), ErrorType::Cancel, DefinedCondition::RemoteServerNotFound, "elsewhere.example is not served here"),
        (reject(Reason::StaffOnly), ErrorType::Auth, DefinedCondition::Forbidden, "only staff may do this"),
        (reject(Reason::MessageRate), ErrorType::Wait, DefinedCondition::ResourceConstraint, "too many messages: wait a little"),
        (reject(Reason::UnknownConversation), ErrorType::Cancel, DefinedCondition::ItemNotFound, "there is no such conversation"),
    ] {
        let told = told(&error);
        assert_eq!((told.type_, told.defined_condition), (kind, condition), "{error:?}");
        assert_eq!(told.texts.get("en").map(String::as_str), Some(text));
    }
}
