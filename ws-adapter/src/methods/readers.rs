//! `reader.*`.

use hallway_broker::command::Action;
use hallway_broker::reader::Named;
use hallway_broker::session::blocking;
use serde_json::value::RawValue;

use super::{Caller, Json, json};
use crate::types::badge::PageParams;
use crate::types::reader::{ReaderName, ReaderParams, ReaderRow, Readers};
use crate::types::{DEFAULT_PAGE, Empty, Time, after_user, page_limit, params, user_id};

pub(super) async fn set(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let action = params::<ReaderParams<'_>>(given)?.action(caller.hub)?;
    caller.take_rate()?;
    caller.act(action).await?;
    json(&Empty {})
}

pub(super) async fn remove(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let reader = user_id(&params::<ReaderName<'_>>(given)?.reader)?;
    caller.take_rate()?;
    caller.act(Action::SetReader { reader, settings: None }).await?;
    json(&Empty {})
}

pub(super) async fn list(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let wanted: PageParams = params(given)?;
    caller.staff()?;
    let after = after_user(wanted.after.as_deref())?;
    let limit = page_limit(wanted.limit, DEFAULT_PAGE)?;
    let (reader, conf) = (caller.hub.reader().clone(), caller.who.conf);
    let (found, complete) = blocking(move || Ok(reader.readers(conf, after.as_ref(), limit)?)).await?;
    let row = |Named { uid, name, record }: hallway_broker::reader::ReaderFound| {
        let health = caller.hub.reader_health(conf, &uid);
        ReaderRow {
            reader: uid,
            name,
            mode: record.mode.word(),
            conversation: record.conversation,
            format: record.format,
            capacity: Some(record.capacity).filter(|capacity| *capacity > 0),
            owner: record.owner,
            text: Some(record.text).filter(|text| !text.is_empty()),
            online: health.online,
            since: health.since_ms.map(Time),
            detail: Some(health.detail).filter(|detail| !detail.is_empty()),
            last_scan: health.last_scan_ms.map(Time),
        }
    };
    json(&Readers { readers: found.into_iter().map(row).collect(), complete })
}
