//! Making an account before signing in (XEP-0077): user name and password, where anybody may make their own.

use hallway_broker::accounts::Wish;
use hallway_broker::reject::{Class, Reason, Reject};
use minidom::Element;

use crate::xmpp::sasl::Place;
use crate::xmpp::stanza::{Condition, Returned, StanzaError, write_error};
use crate::xmpp::stream::ns;
use crate::xmpp::write::Writer;

/// The namespace of registration.
const NS: &str = "jabber:iq:register";
/// The namespace by which it is offered.
pub const FEATURE: &str = "http://jabber.org/features/iq-register";
const INSTRUCTIONS: &str = "A name in lower case ASCII letters, digits, dots, hyphens and underscores, and a password.";

/// Answers an `<iq/>` of somebody who has not signed in; whether it was an attempt that failed.
pub async fn answer(place: &Place<'_>, iq: &Element) -> (Vec<u8>, bool) {
    let (mut out, id) = (Vec::new(), iq.attr("id"));
    let query = iq.get_child("query", NS);
    let result = match (iq.attr("type"), query) {
        (Some("get"), Some(_)) => Ok(true),
        (Some("set"), Some(query)) => register(place, query).await.map(|()| false),
        _ => Err(StanzaError { condition: Condition::NotAuthorized, text: "sign in first".into() }),
    };
    let failed = result.is_err();
    match result {
        Ok(is_form) => {
            let mut xml = Writer::new(&mut out);
            xml.open("iq", ns::CLIENT).attr("type", "result").attr_if("id", id).attr("from", place.domain);
            if is_form {
                xml.inside().open("query", NS).inside().child("instructions", INSTRUCTIONS);
                xml.open_child("username").empty().open_child("password").empty().close("query").close("iq");
            } else {
                xml.empty();
            }
        }
        Err(error) => write_error(&Returned { kind: "iq", id, from: Some(place.domain), to: "" }, &error, &mut out),
    }
    (out, failed)
}

async fn register(place: &Place<'_>, query: &Element) -> Result<(), StanzaError> {
    let field = |name| query.get_child(name, NS).map(Element::text).filter(|text| !text.is_empty());
    let (Some(name), Some(password)) = (field("username"), field("password")) else {
        return Err(StanzaError { condition: Condition::NotAcceptable, text: "a user name and a password are needed".into() });
    };
    let made = place.sign_ins.accounts.register(place.hub, &Wish::new(place.conference, &name, &password), place.peer).await;
    made.map(drop).map_err(|reject| refused(&reject))
}

/// XEP-0077 §3.1.1: `conflict` for a name that is taken, `not-acceptable` for one that cannot be.
fn refused(reject: &Reject) -> StanzaError {
    let condition = match (reject.reason, reject.reason.class()) {
        (Reason::Taken, _) => Condition::Conflict,
        (_, Class::Invalid) => Condition::NotAcceptable,
        _ => StanzaError::from(reject).condition,
    };
    StanzaError { condition, text: reject.reason.text().into() }
}
