//! `session.*` and `presence.set`.

use std::rc::Rc;

use hallway_broker::accounts;
use hallway_broker::edges::SignIns;
use hallway_broker::model::Via;
use hallway_broker::reject::{Reason, Reject};
use hallway_broker::session::{Session, Who};
use hallway_broker::sessions::{Live, Presence};
use hallway_broker::shard::{Ending, Peer, Shard};
use hallway_broker::topic::How;
use serde_json::value::RawValue;

use super::{Caller, Json, json, write};
use crate::rpc::{self, Call, Fault, Id, Message};
use crate::table::MethodId;
use crate::types::session::{CloseParams, Hello, HelloParams, PresenceParams, SessionRow, Sessions};
use crate::types::{Empty, Time, params};

/// Before sign-in: carries out `session.hello`, and tells anything else to sign in first. Appends the answer; the session when there is one.
pub(crate) async fn hello(shard: &Rc<Shard>, sign_ins: &SignIns, peer: Rc<dyn Peer>, text: &str, out: &mut Vec<u8>) -> Option<Session> {
    let not_signed_in = |id: Id, out: &mut Vec<u8>| rpc::write_error(out, &id, &Reason::NoSession.into());
    match rpc::parse(text) {
        Ok(Message::One(Call { id, method, params })) if MethodId::named(&method) == Some(MethodId::SessionHello) => {
            let opened = open(shard, sign_ins, peer, params).await;
            let (session, result) = match opened {
                Ok((session, hello)) => (Some(session), json(&hello)),
                Err(fault) => (None, Err(fault)),
            };
            if let Some(id) = id {
                write(&id, result, out);
            }
            session
        }
        Ok(Message::One(Call { id, method, .. })) => {
            match (id, MethodId::named(&method)) {
                (Some(id), Some(_)) => not_signed_in(id, out),
                (Some(id), None) => rpc::write_error(out, &id, &Fault::unknown_method()),
                (None, _) => {}
            }
            None
        }
        Ok(Message::Batch(entries)) => {
            let mut batch = rpc::Batch::new();
            for entry in entries {
                match entry {
                    Ok(Call { id: Some(id), .. }) => batch.add(|out| not_signed_in(id, out)),
                    Ok(Call { id: None, .. }) => {}
                    Err((id, fault)) => batch.add(|out| rpc::write_error(out, &id, &fault)),
                }
            }
            out.extend(batch.finish().unwrap_or_default());
            None
        }
        Err((id, fault)) => {
            rpc::write_error(out, &id, &fault);
            None
        }
    }
}

async fn open(shard: &Rc<Shard>, sign_ins: &SignIns, peer: Rc<dyn Peer>, given: Option<&RawValue>) -> Result<(Session, Hello), Fault> {
    let hello: HelloParams<'_> = params(given)?;
    let device = hello.device()?;
    let reader = shard.hub.reader();
    let identity = sign_ins.identify(&shard.hub, hello.shown()?, hello.conference.as_deref()).await?;
    let conference = identity.conference.clone();
    let record = reader.conference(conference.as_str()).map_err(Reject::from)?.ok_or(Reason::UnknownConference)?;
    let role = identity.user.role;
    let session = Session::open(shard, Who::from(identity), Via::Ws, device, peer)?;
    session.follow_inbox(How::default())?;
    let hello = Hello::of(&session, role, record.epoch, shard.hub.limits());
    Ok((session, hello))
}

pub(super) fn rows(caller: &Caller<'_>, sessions: Vec<Live>) -> Vec<SessionRow> {
    let current = caller.session.map(|session| session.id);
    let row = |live: Live| SessionRow {
        session: live.id.to_string(),
        protocol: live.via.word(),
        device: live.device.map(Into::into),
        since: Time(live.since_ms),
        current: Some(live.id) == current,
    };
    sessions.into_iter().map(row).collect()
}

pub(super) fn list(caller: &Caller<'_>) -> Json {
    json(&Sessions { sessions: rows(caller, caller.hub.sessions().of(caller.who.conf, &caller.who.uid)) })
}

pub(super) async fn close(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let wanted = params::<CloseParams<'_>>(given)?;
    let (id, Who { conf, uid, .. }) = (wanted.id()?, caller.who);
    let own = || caller.hub.sessions().of(*conf, uid);
    let live = own().into_iter().find(|live| live.id == id).ok_or(Reason::UnknownSession)?;
    match live.token.filter(|_| wanted.revoke) {
        Some(hash) => {
            accounts::revoke(caller.hub, *conf, hash).await?;
            // Looked at after it: nobody comes in by it any more.
            own().iter().filter(|other| other.token == Some(hash)).for_each(|other| caller.hub.end_session(other, Ending::Closed));
        }
        None => caller.hub.end_session(&live, Ending::Closed),
    }
    json(&Empty {})
}

pub(super) fn set_presence(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let wanted: PresenceParams = params(given)?;
    let (status, text) = wanted.presence()?;
    let session = caller.live()?;
    caller.take_rate()?;
    session.set_presence(&Presence { status, text: text.into() });
    json(&Empty {})
}
