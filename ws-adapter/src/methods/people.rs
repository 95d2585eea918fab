//! `people.*`.

use hallway_broker::accounts::names::is_reserved;
use hallway_broker::command::{Action, Actor};
use hallway_broker::ids::{ConfNo, ConversationId, Uid};
use hallway_broker::limits::{MAX_BLOCKED, MAX_FILES, MAX_PAGE};
use hallway_broker::model::{Event, File, User, UserRole};
use hallway_broker::reader::{Listed, Reader};
use hallway_broker::reject::{Reason, Reject};
use hallway_broker::session::blocking;
use serde_json::value::RawValue;

use super::{Caller, Json, conversations, json, scanned, sessions};
use crate::rpc::Fault;
use crate::types::file::OwnFile;
use crate::types::people::{
    BlockParams, Blocking, Erased, Export, GetParams, KeptItem, OwnDataParams, OwnPush, People, PeopleParams, Person, PresenceNow,
    ProfileParams,
};
use crate::types::push::TargetRow;
use crate::types::{DEFAULT_PAGE, Time, after_user, page_limit, params, user_id};
use hallway_broker::canonical;

/// Events of one export at most; more is for `hallway export`.
const MAX_EXPORT: usize = 10_000;
/// Conversations that one export looks at.
const MAX_EXPORT_CONVERSATIONS: usize = 5_000;
/// Bytes of what somebody stored with topics in one export, about; read so many messages at a time.
const MAX_EXPORT_STORED_BYTES: usize = 4 << 20;
const MAX_EXPORT_STEP: usize = 32;
/// Events of anybody that one export looks at.
const MAX_EXPORT_SCAN: u64 = 100_000;

fn person(caller: &Caller<'_>, user: Uid, account: &User) -> Person {
    let presence = caller.hub.sessions().presence(caller.who.conf, &user);
    Person {
        user,
        name: account.name.to_string(),
        role: account.role.word(),
        about: Some(account.about.to_string()).filter(|about| !about.is_empty()),
        presence: PresenceNow { status: presence.status.word(), text: Some(presence.text.to_string()).filter(|text| !text.is_empty()) },
    }
}

fn account(caller: &Caller<'_>, user: &Uid) -> Result<User, Fault> {
    Ok(caller.hub.reader().user(caller.who.conf, user).map_err(Reject::from)?.ok_or(Reason::UnknownUser)?)
}

pub(super) async fn list(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let wanted: PeopleParams = params(given)?;
    let query = wanted.query()?.map(str::to_owned);
    let after = after_user(wanted.after.as_deref())?;
    let limit = page_limit(wanted.limit, DEFAULT_PAGE)?;
    let (reader, conf) = (caller.hub.reader().clone(), caller.who.conf);
    if wanted.blocked {
        if query.is_some() {
            return Err(Fault::invalid_params("blocked goes without query"));
        }
        let (me, uids) = (caller.who.uid.clone(), reader.clone());
        let (people, complete) = blocking(move || blocked_people(&uids, conf, &me, after.as_ref(), limit)).await?;
        return json(&People { people: people.into_iter().map(|(uid, user)| person(caller, uid, &user)).collect(), complete });
    }
    // Badge readers are for the staff: nobody else has to do with them.
    let is_staff = account(caller, &caller.who.uid)?.role.is_staff();
    let listed = move |user: &User| is_staff || user.role != UserRole::Device;
    let (people, complete) = blocking(move || match query {
        Some(query) => Ok(reader.search_people(conf, &query, after.as_ref(), limit, listed)?),
        None => Ok(reader.people(conf, after.as_ref(), limit, listed)?),
    })
    .await?;
    json(&People { people: people.into_iter().map(|found| person(caller, found.uid, &found.user)).collect(), complete })
}

pub(super) fn get(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let user = user_id(&params::<GetParams<'_>>(given)?.user)?;
    let account = account(caller, &user)?;
    json(&person(caller, user, &account))
}

pub(super) async fn update(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let wanted: ProfileParams = params(given)?;
    wanted.check()?;
    let name = wanted.name.map(|name| name.trim().to_owned());
    if name.as_deref().is_some_and(is_reserved) {
        return Err(Reason::Reserved.into());
    }
    caller.take_rate()?;
    caller.act(Action::UpdateProfile { name, about: wanted.about.map(Into::into) }).await?;
    json(&person(caller, caller.who.uid.clone(), &account(caller, &caller.who.uid)?))
}

/// Those whom `me` has blocked and who are not erased.
fn blocked_people(reader: &Reader, conf: ConfNo, me: &Uid, after: Option<&Uid>, limit: usize) -> Result<(Vec<(Uid, User)>, bool), Reject> {
    let (uids, complete) = reader.blocked(conf, me, after, limit)?;
    let mut people = Vec::new();
    for uid in uids {
        if let Some(user) = reader.user(conf, &uid)? {
            people.push((uid, user));
        }
    }
    Ok((people, complete))
}

pub(super) async fn block(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let wanted: BlockParams<'_> = params(given)?;
    let user = user_id(&wanted.user)?;
    caller.take_rate()?;
    caller.act(Action::Block { user: user.clone(), on: wanted.on }).await?;
    json(&Blocking { user, on: wanted.on })
}

/// One's own data, or another's for staff.
fn may_handle(caller: &Caller<'_>, user: &Uid) -> Result<(), Fault> {
    if *user != caller.who.uid && !account(caller, &caller.who.uid)?.role.is_staff() {
        return Err(Reason::StaffOnly.into());
    }
    Ok(())
}

pub(super) async fn export(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let user = params::<OwnDataParams>(given)?.whose(&caller.who.uid)?;
    may_handle(caller, &user)?;
    let person = person(caller, user.clone(), &account(caller, &user)?);
    let mut found = Found { own: user == caller.who.uid, ..Found::default() };
    found.collect(caller.hub.reader(), caller.who.conf, &user).await?;
    let (reader, conf) = (caller.hub.reader().clone(), caller.who.conf);
    let whose = user.clone();
    let (blocked, items, files, push, (topics, all_topics), (scanned, all_scanned)) = blocking(move || {
        let blocked = reader.blocked(conf, &whose, None, MAX_BLOCKED as usize)?.0;
        let topics = stored(&reader, conf, &whose)?;
        let scanned = scanned::of(&reader, conf, &whose)?;
        let (items, files) = (kept(&reader, conf, &whose)?, own_files(&reader, conf, &whose)?);
        Ok((blocked, items, files, own_push(&reader, conf, &whose)?, topics, scanned))
    })
    .await?;
    let (ids, now_ms) = (caller.ids(), caller.hub.clock().now_ms());
    json(&Export {
        user: person,
        blocked,
        items,
        topics,
        files,
        push,
        conversations: found.listed.into_iter().map(|listed| conversations::row(listed, &ids, now_ms)).collect(),
        events: found.events.iter().filter_map(|event| canonical::raw_event(event, &ids)).collect(),
        complete: found.complete && all_topics && all_scanned,
        scanned,
        sessions: sessions::rows(caller, caller.hub.sessions().of(caller.who.conf, &user)),
    })
}

/// All that somebody keeps on the server: bounded by what one may keep.
fn kept(reader: &Reader, conf: ConfNo, of: &Uid) -> Result<Vec<KeptItem>, Reject> {
    let mut items = Vec::new();
    for (node, _) in reader.item_nodes(conf, of)? {
        let found = reader.items(conf, of, &node, usize::MAX)?.into_iter();
        items.extend(found.map(|(item, kept)| KeptItem { node: node.clone(), item, payload: kept.payload }));
    }
    Ok(items)
}

/// What somebody stored with applications' topics, up to a bound, and whether that is all.
fn stored(reader: &Reader, conf: ConfNo, of: &Uid) -> Result<(Vec<Box<RawValue>>, bool), Reject> {
    let (mut frames, mut bytes, mut from) = (Vec::new(), 0, None);
    loop {
        let (found, next) = reader.stored_by(conf, of, from.as_ref(), MAX_EXPORT_STEP)?;
        for stored in found {
            let mut json = Vec::new();
            canonical::write_publication(&stored.publication, &stored.from, true, stored.ts_ms, &mut json);
            bytes += json.len();
            // What it writes is JSON: its tests hold it to that.
            frames.extend(String::from_utf8(json).ok().and_then(|json| RawValue::from_string(json).ok()));
        }
        from = match next {
            Some(next) if bytes < MAX_EXPORT_STORED_BYTES => Some(next),
            next => return Ok((frames, next.is_none())),
        };
    }
}

/// All files that somebody brought: bounded by how many one may have.
fn own_files(reader: &Reader, conf: ConfNo, of: &Uid) -> Result<Vec<OwnFile>, Reject> {
    let files = reader.files_of(conf, of, None, MAX_FILES as usize)?.into_iter();
    let row =
        |file: File| OwnFile { name: file.name, media: file.media.word(), bytes: file.bytes, ts: Time(file.at_ms), messages: file.uses };
    Ok(files.map(|(_, file)| row(file)).collect())
}

/// Where somebody is pushed to, and what they want. Who has an address can push to the device: it is not in here.
fn own_push(reader: &Reader, conf: ConfNo, of: &Uid) -> Result<OwnPush, Reject> {
    let targets = reader.targets(conf, of)?.iter().map(|(id, target)| TargetRow::of(id, target)).collect();
    Ok(OwnPush { targets, settings: reader.push_settings(conf, of)?.into() })
}

/// What an export found so far.
#[derive(Default)]
struct Found {
    /// Whether it is for the one whom it is about: others are not shown what others said.
    own: bool,
    listed: Vec<Listed>,
    events: Vec<Event>,
    complete: bool,
}

impl Found {
    /// Goes through all conversations that somebody is or was in, in steps: none holds a thread for longer than a page takes.
    async fn collect(&mut self, reader: &Reader, conf: ConfNo, of: &Uid) -> Result<(), Fault> {
        let (mut looked_at, mut last, mut count) = (0, None::<ConversationId>, 0);
        loop {
            let (step, uid, after) = (reader.clone(), of.clone(), last.clone());
            let ids = blocking(move || Ok(step.conversations_of(conf, &uid, after.as_ref(), MAX_PAGE)?)).await?;
            for id in &ids {
                let mut from = Some(0);
                while let Some(after) = from {
                    if looked_at >= MAX_EXPORT_SCAN || self.events.len() >= MAX_EXPORT || count >= MAX_EXPORT_CONVERSATIONS {
                        return Ok(());
                    }
                    let (next, passed) = self.step(reader, conf, of, id, after).await?;
                    from = next;
                    looked_at += passed;
                }
                count += 1;
            }
            if ids.len() < MAX_PAGE {
                self.complete = true;
                return Ok(());
            }
            last = ids.into_iter().next_back();
        }
    }

    /// One page of a conversation; where to go on in it, and how many events were looked at.
    async fn step(
        &mut self,
        reader: &Reader,
        conf: ConfNo,
        of: &Uid,
        id: &ConversationId,
        after: u64,
    ) -> Result<(Option<u64>, u64), Fault> {
        // Notices that others got of what somebody did: what they did is told already.
        if id.inbox_owner().is_some() {
            return Ok((None, 0));
        }
        let (reader, uid, id) = (reader.clone(), of.clone(), id.clone());
        let (listed, said, next, last) = blocking(move || {
            let Some(found) = reader.conversation(conf, &id)? else { return Ok((None, Vec::new(), None, after)) };
            let listed = if after == 0 { reader.listed_for(&found, &uid)? } else { None };
            let (said, next) = reader.said_by(&found, &uid, after, MAX_PAGE)?;
            let last = next.map_or_else(|| reader.head(&found).map(|head| head.seq), Ok)?;
            Ok((listed, said, next, last))
        })
        .await?;
        self.listed.extend(listed.map(|listed| Listed { last: listed.last.filter(|_| self.own), ..listed }));
        self.events.extend(said);
        Ok((next, last.saturating_sub(after)))
    }
}

pub(super) async fn erase(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let user = params::<OwnDataParams>(given)?.whose(&caller.who.uid)?;
    may_handle(caller, &user)?;
    // By the server: the first step ends the caller's own account.
    caller.hub.call_to_end(caller.who.conf, Actor::system(), Action::Erase { uid: user }).await?;
    json(&Erased { erased: true })
}
