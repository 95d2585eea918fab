//! `lead.*`.

use hallway_broker::badges::leads;
use hallway_broker::command::Action;
use hallway_broker::ids::{ConfNo, Uid};
use hallway_broker::model::{Lead, Mode};
use hallway_broker::reader::{Named, Reader};
use hallway_broker::reject::{Reason, Reject};
use hallway_broker::session::blocking;
use hallway_broker::state::StateError;
use serde_json::value::RawValue;

use super::{Caller, Json, contacts, json};
use crate::rpc::Fault;
use crate::types::badge::PageParams;
use crate::types::lead::{HolderRow, Holders, LeadName, LeadParams, LeadRow, Leads, LeadsCsv, LeadsParams, TableParams, WithdrawParams};
use crate::types::{DEFAULT_PAGE, Empty, Time, after_user, page_limit, params, user_id};

/// Whose leads are meant, when the caller may have to do with them: of whom they scan for when nobody is named, else their own.
fn owner(caller: &Caller<'_>, owner: Option<&str>) -> Result<Uid, Fault> {
    let (reader, conf) = (caller.hub.reader(), caller.who.conf);
    let owner = match owner {
        Some(owner) => user_id(owner)?,
        None => {
            let handheld = reader.reader_settings(conf, &caller.who.uid).map_err(Reject::from)?;
            let employer = handheld.filter(|settings| settings.mode == Mode::Lead).and_then(|settings| settings.owner);
            employer.unwrap_or_else(|| caller.who.uid.clone())
        }
    };
    if !reader.may_handle_leads(conf, &caller.who.uid, caller.role()?, &owner).map_err(Reject::from)? {
        return Err(Reason::NotAllowed.into());
    }
    if reader.user(conf, &owner).map_err(Reject::from)?.is_none() {
        return Err(Reason::UnknownUser.into());
    }
    Ok(owner)
}

fn row(reader: &Reader, conf: ConfNo, lead: Named<Lead>) -> Result<LeadRow, StateError> {
    let Named { uid, name, record: Lead { since_ms, last_ms, scans, by, notes } } = lead;
    Ok(LeadRow {
        card: contacts::card(reader, conf, &uid)?,
        user: uid,
        name,
        since: Time(since_ms),
        last: Time(last_ms),
        scans,
        by,
        rating: Some(notes.rating).filter(|rating| *rating > 0),
        note: Some(notes.note).filter(|note| !note.is_empty()),
        tags: notes.tags,
    })
}

pub(super) async fn list(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let wanted: LeadsParams<'_> = params(given)?;
    let after = after_user(wanted.after.as_deref())?;
    let limit = page_limit(wanted.limit, DEFAULT_PAGE)?;
    let owner = owner(caller, wanted.owner.as_deref())?;
    let (reader, conf) = (caller.hub.reader().clone(), caller.who.conf);
    let found = blocking(move || {
        let (leads, complete) = reader.leads(conf, &owner, after.as_ref(), limit)?;
        let leads = leads.into_iter().map(|lead| row(&reader, conf, lead)).collect::<Result<_, _>>()?;
        Ok(Leads { leads, complete })
    })
    .await?;
    json(&found)
}

pub(super) async fn update(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let wanted: LeadParams<'_> = params(given)?;
    let user = user_id(&wanted.user)?;
    let owner = owner(caller, wanted.owner.as_deref())?;
    caller.take_rate()?;
    let (reader, conf) = (caller.hub.reader(), caller.who.conf);
    let lead = |reader: &Reader| Ok::<_, Fault>(reader.lead(conf, &owner, &user).map_err(Reject::from)?.ok_or(Reason::UnknownLead)?);
    let notes = wanted.notes(lead(reader)?.notes);
    caller.act(Action::NoteLead { owner: Some(owner.clone()), user: user.clone(), notes }).await?;
    let name = reader.user(conf, &user).map_err(Reject::from)?.map(|user| user.name).unwrap_or_default();
    let record = lead(reader)?;
    json(&row(reader, conf, Named { uid: user, name, record }).map_err(Reject::from)?)
}

pub(super) async fn remove(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let wanted: LeadName<'_> = params(given)?;
    let user = user_id(&wanted.user)?;
    let owner = owner(caller, wanted.owner.as_deref())?;
    caller.take_rate()?;
    caller.act(Action::DropLead { owner, user }).await?;
    json(&Empty {})
}

pub(super) async fn export(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let wanted: TableParams<'_> = params(given)?;
    let after = after_user(wanted.after.as_deref())?;
    let owner = owner(caller, wanted.owner.as_deref())?;
    caller.take_rate()?;
    let (reader, conf) = (caller.hub.reader().clone(), caller.who.conf);
    let leads::Part { csv, last, complete } = blocking(move || Ok(leads::table(&reader, conf, &owner, after.as_ref())?)).await?;
    json(&LeadsCsv { csv, complete, next: last.filter(|_| !complete) })
}

pub(super) async fn holders(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let wanted: PageParams = params(given)?;
    let after = after_user(wanted.after.as_deref())?;
    let limit = page_limit(wanted.limit, DEFAULT_PAGE)?;
    let (reader, conf, me) = (caller.hub.reader().clone(), caller.who.conf, caller.who.uid.clone());
    let (found, complete) = blocking(move || Ok(reader.holders(conf, &me, after.as_ref(), limit)?)).await?;
    let row = |Named { uid, name, record }: Named<Lead>| HolderRow { owner: uid, name, since: Time(record.since_ms), scans: record.scans };
    json(&Holders { holders: found.into_iter().map(row).collect(), complete })
}

pub(super) async fn withdraw(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let owner = user_id(&params::<WithdrawParams<'_>>(given)?.owner)?;
    caller.take_rate()?;
    caller.act(Action::DropLead { owner, user: caller.who.uid.clone() }).await?;
    json(&Empty {})
}
