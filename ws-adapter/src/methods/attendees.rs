//! `attendee.*`.

use hallway_broker::attendees::import::import as carry_out;
use hallway_broker::attendees::{Sheet, SheetError};
use hallway_broker::session::blocking;
use serde_json::value::RawValue;

use super::{Caller, Json, json};
use crate::rpc::Fault;
use crate::types::attendee::{ImportParams, Imported};
use crate::types::params;

/// Most bad rows in one answer.
const MAX_BAD: usize = 1000;

pub(super) async fn import(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let wanted: ImportParams<'_> = params(given)?;
    caller.staff()?;
    caller.take_rate()?;
    let (mapping, format, csv) = (wanted.mapping()?, wanted.format.format(), wanted.csv.into_owned());
    let sheet: Result<Sheet, SheetError> = blocking(move || Ok(Sheet::read(csv.as_bytes(), format, &mapping))).await?;
    let sheet = sheet.map_err(|error| Fault::invalid_params(format_args!("csv: {error}")))?;
    let mut done = carry_out(caller.hub, caller.who.conf, &caller.actor(), sheet, wanted.dry_run).await?;
    let more_bad = done.bad.len().checked_sub(MAX_BAD).filter(|more| *more > 0);
    done.bad.truncate(MAX_BAD);
    json(&Imported {
        format: done.format.word(),
        rows: done.rows,
        added: done.added,
        changed: done.changed,
        unchanged: done.unchanged,
        bad: done.bad,
        more_bad,
    })
}
