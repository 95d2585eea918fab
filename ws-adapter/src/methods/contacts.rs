//! `contact.*`.

use hallway_broker::command::Action;
use hallway_broker::ids::{ConfNo, ConversationId, Uid};
use hallway_broker::model::{Acquaintance, Contact, ContactDeed};
use hallway_broker::reader::{Named, Reader};
use hallway_broker::reject::Reject;
use hallway_broker::session::blocking;
use hallway_broker::state::StateError;
use serde_json::value::RawValue;

use super::{Caller, Json, json};
use crate::types::badge::{PageParams, UserParams};
use crate::types::contact::{Card, ContactNow, ContactRow, Contacts};
use crate::types::{DEFAULT_PAGE, Time, after_user, page_limit, params, user_id};

/// What is told of somebody: only to those who were given their contact.
pub(super) fn card(reader: &Reader, conf: ConfNo, uid: &Uid) -> Result<Card, StateError> {
    let attendee = reader.attendee(conf, uid)?.unwrap_or_default();
    let known = |text: std::sync::Arc<str>| Some(text).filter(|text| !text.is_empty());
    Ok(Card { email: known(attendee.email), company: known(attendee.company), job: known(attendee.job) })
}

pub(super) async fn list(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let wanted: PageParams = params(given)?;
    let after = after_user(wanted.after.as_deref())?;
    let limit = page_limit(wanted.limit, DEFAULT_PAGE)?;
    let (reader, conf, me) = (caller.hub.reader().clone(), caller.who.conf, caller.who.uid.clone());
    let found = blocking(move || {
        let (found, complete) = reader.contacts(conf, &me, after.as_ref(), limit)?;
        let mut contacts = Vec::with_capacity(found.len());
        for Named { uid, name, record: Contact { state, since_ms, .. } } in found {
            let card = if state == Acquaintance::Met { card(&reader, conf, &uid)? } else { Card::default() };
            contacts.push(ContactRow { user: uid, name, state: state.word(), since: Time(since_ms), card });
        }
        Ok(Contacts { contacts, complete })
    })
    .await?;
    json(&found)
}

/// Asks or answers, and says where one stands then.
pub(super) async fn deed(caller: &Caller<'_>, given: Option<&RawValue>, deed: ContactDeed) -> Json {
    let user = user_id(&params::<UserParams<'_>>(given)?.user)?;
    caller.take_rate()?;
    caller.act(Action::Contact { user: user.clone(), deed }).await?;
    let me = &caller.who.uid;
    let state = caller.hub.reader().contact(caller.who.conf, me, &user).map_err(Reject::from)?.map(|contact| contact.state);
    let has_met = state == Some(Acquaintance::Met);
    let conversation = if has_met { ConversationId::direct(me, &user) } else { None };
    json(&ContactNow { user, state: state.map_or("none", Acquaintance::word), conversation })
}
