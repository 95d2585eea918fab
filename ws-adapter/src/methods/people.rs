//! `people.*`.

use hallway_broker::accounts::names::is_reserved;
use hallway_broker::command::{Action, Actor};
use hallway_broker::ids::Uid;
use hallway_broker::limits::MAX_PAGE;
use hallway_broker::model::User;
use hallway_broker::reject::{Reason, Reject};
use hallway_broker::session::blocking;
use serde_json::value::RawValue;

use super::{Caller, Json, conversations, json, sessions};
use crate::canonical;
use crate::rpc::Fault;
use crate::types::people::{Erased, Export, GetParams, OwnDataParams, People, PeopleParams, Person, PresenceNow, ProfileParams};
use crate::types::{DEFAULT_PAGE, after_user, page_limit, params, user_id};

/// Conversations and events of one export at most; more is for `hallway export`.
const MAX_EXPORT: usize = 10_000;

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
    let (people, complete) = blocking(move || match query {
        Some(query) => Ok(reader.search_people(conf, &query, after.as_ref(), limit)?),
        None => Ok(reader.people(conf, after.as_ref(), limit)?),
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
    caller.act(Action::UpdateProfile { name, about: wanted.about.map(Into::into) }).await?;
    json(&person(caller, caller.who.uid.clone(), &account(caller, &caller.who.uid)?))
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
    let (reader, conf, of) = (caller.hub.reader().clone(), caller.who.conf, user.clone());
    let (listed, events) = blocking(move || {
        let listed = reader.list(conf, &of, MAX_EXPORT)?;
        let mut events = Vec::new();
        for conversation in listed.iter().filter(|listed| listed.role.is_some()) {
            let mut after = Some(0);
            while let Some(from) = after.filter(|_| events.len() < MAX_EXPORT) {
                let (said, next) = reader.said_by(&conversation.found, &of, from, MAX_PAGE)?;
                events.extend(said);
                after = next;
            }
        }
        Ok((listed, events))
    })
    .await?;
    let ids = caller.ids();
    let encoded = |event| {
        let mut json = Vec::new();
        canonical::write_event(event, &ids, &mut json);
        String::from_utf8(json).ok().and_then(|json| RawValue::from_string(json).ok())
    };
    json(&Export {
        user: person,
        conversations: listed.into_iter().filter(|listed| listed.role.is_some()).map(|listed| conversations::row(listed, &ids)).collect(),
        events: events.iter().filter_map(encoded).collect(),
        sessions: sessions::rows(caller, caller.hub.sessions().of(caller.who.conf, &user)),
    })
}

pub(super) async fn erase(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let user = params::<OwnDataParams>(given)?.whose(&caller.who.uid)?;
    may_handle(caller, &user)?;
    // By the server: the first step ends the caller's own account.
    caller.hub.call_to_end(caller.who.conf, Actor::system(), Action::Erase { uid: user }).await?;
    json(&Erased { erased: true })
}
