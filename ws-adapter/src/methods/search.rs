//! `message.search`.

use hallway_broker::canonical;
use hallway_broker::reader::Words;
use hallway_broker::session::blocking;
use serde_json::value::RawValue;

use super::{Caller, Json, json};
use crate::rpc::Fault;
use crate::types::message::{Found, SearchParams};
use crate::types::{DEFAULT_PAGE, conversation_id, page_limit, params};

pub(super) async fn search(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let wanted: SearchParams<'_> = params(given)?;
    wanted.check()?;
    let words = Words::of(&wanted.query).ok_or_else(|| Fault::invalid_params("query has no words, or too many"))?;
    let within = wanted.conversation.as_deref().map(conversation_id).transpose()?;
    let (ids, conf) = (caller.ids(), caller.who.conf);
    let before = match wanted.before.as_deref() {
        Some(before) => Some(ids.decode(conf, before).ok_or_else(|| Fault::invalid_params("before is none that a search gave"))?),
        None => None,
    };
    let limit = page_limit(wanted.limit, DEFAULT_PAGE)?;
    // It takes the server more than reading a page.
    caller.take_rate()?;
    let (reader, uid) = (caller.hub.reader().clone(), caller.who.uid.clone());
    let searched = blocking(move || reader.search(conf, &uid, within.as_ref(), &words, before, limit)).await?;
    json(&Found {
        messages: searched.events.iter().filter_map(|event| canonical::raw_event(event, &ids)).collect(),
        before: searched.before.map(|pos| ids.encode(conf, pos)),
        complete: searched.before.is_none(),
    })
}
