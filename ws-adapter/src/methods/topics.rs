//! `topic.*`.

use hallway_broker::canonical::{Welcome, write_publication};
use serde_json::value::RawValue;

use super::{Caller, Json, json};
use crate::rpc::Fault;
use crate::topics::{Message, whole_name};
use crate::types::topic::{TopicParams, TransmitParams};
use crate::types::{Empty, params};

/// The messages that were stored there are part of the answer.
pub(super) async fn subscribe(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let name = whole_name(caller.who, &params::<TopicParams<'_>>(given)?.topic)?;
    let session = caller.live()?;
    caller.take_rate()?;
    let connection = session.id.to_string().into();
    let gathered = session.join_topic(&name, &connection).await?;
    let (user, people) = (&caller.who.uid, &*gathered.people);
    let welcome = Welcome { topic: &name, user, connection: &connection, people, stored: gathered.stored.len() };
    let mut out = Vec::with_capacity(256);
    welcome.write_result(&mut out, |out| {
        for (at, stored) in gathered.stored.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            write_publication(&stored.publication, &stored.from, true, stored.ts_ms, out);
        }
    });
    Ok(out)
}

pub(super) fn unsubscribe(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let name = whole_name(caller.who, &params::<TopicParams<'_>>(given)?.topic)?;
    caller.live()?.leave_topic(&name);
    json(&Empty {})
}

pub(super) async fn transmit(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let wanted = params::<TransmitParams<'_>>(given)?;
    let name = whole_name(caller.who, &wanted.topic)?;
    caller.hub.writable().map_err(Fault::from)?;
    caller.take_rate()?;
    let message = Message::new(caller.hub, &name, &wanted.action, wanted.payload, wanted.store)?;
    let rights = match caller.session {
        Some(session) => session.topic_rights()?,
        None => caller.hub.topic_rights(caller.who, caller.role()?),
    };
    message.settle(&rights).await?;
    message.deliver(caller.hub, caller.who, caller.actor()).await?;
    json(&Empty {})
}
