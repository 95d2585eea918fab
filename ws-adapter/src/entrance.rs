//! What a WebSocket's request says of it, where its path or query does: who asks, and for which conversation or connection. Looked at before the
//! upgrade is answered, so that who may not come in is told so in HTTP.

use hallway_broker::accounts::tickets::connection_id;
use hallway_broker::hub::Hub;
use hallway_broker::ids::ConversationId;
use hallway_broker::limits::MAX_PAGE;
use hallway_broker::reject::{Reason, Reject};
use hallway_broker::session::{CatchUp, Who};
use hyper::Uri;

use crate::conversation;
use crate::http::credential::Credential;
use crate::http::query;
use crate::rpc::Fault;

/// A conversation and how it is to be followed.
///
/// # Errors
/// 404 when there is none, 403 when it is not for `who`, 400 when the query is wrong.
pub(crate) fn conversation(hub: &Hub, who: Who, id: &ConversationId, uri: &Uri) -> Result<conversation::Entrance, Fault> {
    may_enter(hub, &who, id)?;
    let number = |name| match query::value(uri, name) {
        Some(text) => text.parse::<u64>().map(Some).map_err(|_| Fault::invalid_params(format_args!("{name} is no number"))),
        None => Ok(None),
    };
    let is_on = |name| query::value(uri, name).is_some_and(|value| value == "true" || value == "1");
    let past = match (number("after")?, number("history")?) {
        (Some(after), _) => CatchUp::After(after),
        (None, Some(most)) if most > 0 => CatchUp::Last(usize::try_from(most).unwrap_or(MAX_PAGE).min(MAX_PAGE), &["message"]),
        _ => CatchUp::Live,
    };
    Ok(conversation::Entrance { who, past, events: is_on("events"), typing: is_on("typing") })
}

/// The direct conversation with somebody need not be there yet.
fn may_enter(hub: &Hub, who: &Who, id: &ConversationId) -> Result<(), Reject> {
    match (hub.reader().readable(who.conf, &who.uid, id), id.partner(&who.uid)) {
        (Err(reject), Some(with)) if reject.reason == Reason::UnknownConversation => match hub.reader().user(who.conf, &with)? {
            Some(_) => Ok(()),
            None => Err(reject),
        },
        (found, _) => found.map(drop),
    }
}

/// The id that a ticket gives its connection.
pub(crate) fn connection(credential: &Credential) -> Option<&str> {
    match credential {
        Credential::Ticket(ticket) => connection_id(ticket),
        Credential::Token(_) => None,
    }
}
