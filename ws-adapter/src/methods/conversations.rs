//! `conversation.*`.

use hallway_broker::clock;
use hallway_broker::command::{Action, Outcome};
use hallway_broker::ids::{ConversationId, EventIds};
use hallway_broker::limits::MAX_PAGE;
use hallway_broker::model::{Kind, Level, Signal, Via};
use hallway_broker::reader::{Listed, Membership, Toward};
use hallway_broker::registry::Scope;
use hallway_broker::reject::{Reason, Reject};
use hallway_broker::session::{CatchUp, Session, blocking};
use serde_json::value::RawValue;

use super::{Caller, Json, json};
use crate::rpc::Fault;
use crate::socketio;
use crate::types::conversation::{
    At, ConversationRow, CreateParams, HistoryParams, InviteParams, ListParams, MemberRow, Members, MembersParams, OpenParams, Opened,
    ReadMark, ReadParams, RemoveParams, RoleParams, SubscribeParams, Subscribed, TypingParams, UpdateParams,
};
use crate::types::push::Notify;
use crate::types::{
    ConversationParams, DEFAULT_PAGE, Empty, Epoch, after_user, conversation_id, conversation_id_or_inbox, page_limit, params,
};
use hallway_broker::canonical;

/// Stands for all conversations in subscriptions.
const EVERYTHING: &str = "*";

pub(super) async fn list(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let limit = page_limit(params::<ListParams>(given)?.limit, MAX_PAGE)?;
    let (reader, conf, uid) = (caller.hub.reader().clone(), caller.who.conf, caller.who.uid.clone());
    let listed = blocking(move || reader.list(conf, &uid, limit)).await?;
    let (ids, now_ms) = (caller.ids(), caller.hub.clock().now_ms());
    json(&listed.into_iter().map(|listed| row(listed, &ids, now_ms)).collect::<Vec<_>>())
}

pub(super) fn row(listed: Listed, ids: &EventIds, now_ms: u64) -> ConversationRow {
    let last = listed.last.and_then(|event| canonical::raw_event(&event, ids));
    let record = listed.found.record;
    let Notify { until, muted, .. } = Notify::of(listed.attention, now_ms);
    ConversationRow {
        conversation: listed.found.id,
        kind: record.kind.word(),
        title: record.title,
        members: record.members,
        member: listed.role.is_some(),
        role: listed.role.map(hallway_broker::model::MemberRole::word),
        last,
        seq: listed.head.seq,
        read: listed.read,
        unread: listed.unread,
        muted,
        muted_until: until.filter(|_| listed.attention.level != Level::None),
    }
}

pub(super) async fn open(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let action = params::<OpenParams<'_>>(given)?.action()?;
    caller.take_rate()?;
    let Outcome::Added { conversation, seq, fresh, .. } = caller.act(action).await? else { return Err(Reason::StoreError.into()) };
    json(&Opened { conversation, kind: Kind::Direct.word(), seq, created: fresh })
}

/// Carries out what changes a conversation or its members.
async fn change(caller: &Caller<'_>, action: Action) -> Json {
    caller.take_rate()?;
    let Outcome::Added { conversation, seq, .. } = caller.act(action).await? else { return Err(Reason::StoreError.into()) };
    json(&At { conversation, seq })
}

pub(super) async fn create(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    change(caller, params::<CreateParams>(given)?.action(fresh_id)?).await
}

/// An id that nothing has: 80 random bits.
fn fresh_id() -> ConversationId {
    let random: [u8; 10] = clock::random();
    let text = format!("g-{}", data_encoding::BASE32_NOPAD.encode(&random).to_ascii_lowercase());
    ConversationId::parse(&text).unwrap_or_else(|_| ConversationId::inbox(&hallway_broker::ids::Uid::system()))
}

pub(super) async fn update(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    change(caller, params::<UpdateParams<'_>>(given)?.action()?).await
}

pub(super) async fn join(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let conversation = conversation_id(&params::<ConversationParams<'_>>(given)?.conversation)?;
    change(caller, Action::Join { conversation }).await
}

pub(super) async fn leave(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let conversation = conversation_id(&params::<ConversationParams<'_>>(given)?.conversation)?;
    change(caller, Action::Leave { conversation }).await
}

pub(super) async fn invite(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    change(caller, params::<InviteParams<'_>>(given)?.action()?).await
}

pub(super) async fn remove(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    change(caller, params::<RemoveParams<'_>>(given)?.action()?).await
}

pub(super) async fn role(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    change(caller, params::<RoleParams<'_>>(given)?.action()?).await
}

pub(super) async fn members(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let wanted: MembersParams<'_> = params(given)?;
    let id = conversation_id(&wanted.conversation)?;
    let after = after_user(wanted.after.as_deref())?;
    let limit = page_limit(wanted.limit, DEFAULT_PAGE)?;
    let (reader, conf, uid) = (caller.hub.reader().clone(), caller.who.conf, caller.who.uid.clone());
    let (members, complete) = blocking(move || {
        let found = reader.readable(conf, &uid, &id)?;
        Ok(reader.members(&found, after.as_ref(), limit)?)
    })
    .await?;
    let row = |Membership { uid, role, user }| MemberRow {
        user: uid,
        name: user.map_or_else(String::new, |user| user.name.to_string()),
        role: role.word(),
    };
    json(&Members { members: members.into_iter().map(row).collect(), complete })
}

pub(super) async fn subscribe(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let wanted: SubscribeParams<'_> = params(given)?;
    let session = caller.live()?;
    if wanted.conversation == EVERYTHING {
        return subscribe_all(caller, session, &wanted).await;
    }
    let id = conversation_id_or_inbox(&wanted.conversation, &caller.who.uid)?;
    let epoch = caller.conference()?.epoch;
    wanted.check_epoch(epoch)?;
    if id.inbox_owner().is_some() {
        return Err(Reason::NotAllowed.into());
    }
    let subscribed = session.subscribe(&id, wanted.after.map_or(CatchUp::Live, CatchUp::After), caller.how(wanted.echo)).await?;
    // A cursor that nothing here has reached is not of this store.
    if wanted.after.is_some_and(|after| after > subscribed.head.seq) {
        session.unsubscribe(&id)?;
        return Err(Fault::resync(epoch));
    }
    let mut out = Vec::with_capacity(256);
    canonical::write_subscribed(
        &id,
        epoch,
        subscribed.head.seq,
        &subscribed.page.events,
        subscribed.page.complete,
        &caller.ids(),
        &mut out,
    );
    Ok(out)
}

/// Everything that one may read, now and later. What was missed is read by name: there is no one cursor into all of it.
async fn subscribe_all(caller: &Caller<'_>, session: &Session, wanted: &SubscribeParams<'_>) -> Json {
    let epoch = caller.conference()?.epoch;
    wanted.check_epoch(epoch)?;
    if wanted.after.is_some() {
        return Err(Reason::InvalidParams.into());
    }
    if caller.via == Via::Socketio && !session.follows_all() {
        // It follows its direct conversations already, in another shape.
        session.unsubscribe_all();
    }
    session.subscribe_all(Scope::All, caller.how(wanted.echo), None).await?;
    json(&Subscribed { conversation: EVERYTHING.into(), epoch: Epoch(epoch), seq: 0, events: Vec::new(), complete: true })
}

pub(super) async fn unsubscribe(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let wanted: ConversationParams<'_> = params(given)?;
    let session = caller.live()?;
    if wanted.conversation == EVERYTHING {
        if caller.via != Via::Socketio {
            session.unsubscribe_all();
        } else if session.follows_all() {
            session.unsubscribe_all();
            session.subscribe_all(Scope::Direct, socketio::how(), None).await?;
        }
        return json(&Empty {});
    }
    let id = conversation_id(&wanted.conversation)?;
    if caller.via == Via::Socketio && id.partner(&caller.who.uid).is_some() {
        // Its direct messages come in its own shape again.
        session.reread(&id, socketio::how())?;
        return json(&Empty {});
    }
    if !session.unsubscribe(&id)? {
        // Who does not follow it is told no more than who wants to.
        caller.hub.reader().readable(caller.who.conf, &caller.who.uid, &id)?;
    }
    json(&Empty {})
}

pub(super) async fn history(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let wanted: HistoryParams<'_> = params(given)?;
    wanted.check()?;
    let id = conversation_id_or_inbox(&wanted.conversation, &caller.who.uid)?;
    let limit = page_limit(wanted.limit, DEFAULT_PAGE)?;
    let toward = match (wanted.after, wanted.before) {
        (Some(after), _) => Toward::Newer(after),
        (None, before) => Toward::Older(before.unwrap_or(u64::MAX)),
    };
    let kinds = wanted.kind_words();
    let epoch = caller.conference()?.epoch;
    let (reader, conf, uid) = (caller.hub.reader().clone(), caller.who.conf, caller.who.uid.clone());
    let (events, next) = blocking(move || match reader.readable(conf, &uid, &id) {
        // An inbox is made by its first notice.
        Err(Reject { reason: Reason::UnknownConversation, .. }) if id.inbox_owner().as_ref() == Some(&uid) => Ok((Vec::new(), None)),
        found => {
            let (page, next) = reader.page_to(&found?, toward, limit, &kinds)?;
            // Looked at again: then nothing that was read was said after a removal.
            reader.readable(conf, &uid, &id)?;
            Ok((page.events, next))
        }
    })
    .await?;
    let mut out = Vec::with_capacity(256);
    canonical::write_history(&events, next, epoch, &caller.ids(), &mut out);
    Ok(out)
}

pub(super) async fn read(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let wanted: ReadParams<'_> = params(given)?;
    let conversation = conversation_id_or_inbox(&wanted.conversation, &caller.who.uid)?;
    let action = Action::Read { conversation: conversation.clone(), seq: wanted.seq };
    caller.take_rate()?;
    let seq = match caller.act(action).await {
        Ok(Outcome::Read { seq, .. }) => seq,
        // An inbox is made by its first notice.
        Err(fault) if fault.reason == Reason::UnknownConversation.word() && conversation.inbox_owner().is_some() => {
            return json(&ReadMark { conversation, seq: 0, unread: 0 });
        }
        Ok(_) => return Err(Reason::StoreError.into()),
        Err(fault) => return Err(fault),
    };
    let (reader, conf, uid, id) = (caller.hub.reader().clone(), caller.who.conf, caller.who.uid.clone(), conversation.clone());
    let unread = blocking(move || {
        let Some(found) = reader.conversation(conf, &id)? else { return Ok(0) };
        let mark = reader.read_mark(&found, &uid)?;
        Ok(reader.unread(&found, &uid, reader.head(&found)?, mark)?)
    })
    .await?;
    json(&ReadMark { conversation, seq, unread })
}

pub(super) async fn typing(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let wanted: TypingParams<'_> = params(given)?;
    caller.live()?;
    type_in(caller, conversation_id(&wanted.conversation)?, wanted.on)?;
    json(&Empty {})
}

/// Tells a conversation's readers that the caller types, or stopped.
pub(crate) fn type_in(caller: &Caller<'_>, id: ConversationId, on: bool) -> Result<(), Fault> {
    let session = caller.live()?;
    caller.take_rate()?;
    let reader = caller.hub.reader();
    let found = reader.readable(caller.who.conf, &caller.who.uid, &id)?;
    if found.record.kind == Kind::Announcements {
        reader.may_post(caller.who.conf, &caller.who.uid, &id)?;
    }
    let name = std::sync::Arc::clone(&caller.who.name);
    session.tell(&found, Signal::Typing { conversation: id, from: caller.who.uid.clone(), name, on });
    Ok(())
}
