//! `badge.*`, `checkin.*` and `attendance.*`.

use std::sync::Arc;

use hallway_broker::badges::contents::MAX_CONTENTS_BYTES;
use hallway_broker::badges::{Scan, scan as scan_badges};
use hallway_broker::canonical;
use hallway_broker::command::Action;
use hallway_broker::ids::Uid;
use hallway_broker::limits::{MAX_SHOWN_BYTES, beginning};
use hallway_broker::model::{Badge, BadgeCode, Kind, Stay, Tap};
use hallway_broker::reader::Named;
use hallway_broker::reject::{Reason, Reject};
use hallway_broker::session::blocking;
use serde_json::value::RawValue;

use super::{Caller, Json, json};
use crate::rpc::Fault;
use crate::types::badge::{
    AssignParams, Assigned, AttendanceParams, AttendanceRow, Attendances, BadgeRow, Badges, BadgesParams, CheckinCount, CheckinRow,
    Checkins, OwnBadges, PageParams, RevokeParams, Revoked, ScanParams, UserParams, badge_code, given_badge,
};
use crate::types::{DEFAULT_PAGE, Empty, Time, after_user, conversation_id, page_limit, params, user_id};

pub(super) async fn assign(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let AssignParams { badge, user } = params(given)?;
    let (badge, user) = (given_badge(&badge)?, user_id(&user)?);
    caller.take_rate()?;
    let shown = badge.shown.to_string();
    caller.act(Action::AssignBadge { badge, user: user.clone() }).await?;
    json(&Assigned { badge: shown, user })
}

pub(super) async fn revoke(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let RevokeParams { badge, on } = params(given)?;
    caller.staff()?;
    given_badge(&badge)?;
    let codes = caller.hub.reader().codes_of_badge(caller.who.conf, &badge).map_err(Reject::from)?;
    caller.take_rate()?;
    caller.act(Action::RevokeBadge { codes, on }).await?;
    json(&Revoked { badge: badge.trim().to_owned(), on })
}

pub(super) async fn list(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let wanted: BadgesParams<'_> = params(given)?;
    caller.staff()?;
    let limit = page_limit(wanted.limit, DEFAULT_PAGE)?;
    let user = wanted.user.as_deref().map(user_id).transpose()?;
    let after = wanted.after.as_deref().map(badge_code).transpose()?;
    if user.is_some() && after.is_some() {
        return Err(Fault::invalid_params("a user's badges come all at once: user goes without after"));
    }
    let (reader, conf) = (caller.hub.reader().clone(), caller.who.conf);
    let found = blocking(move || {
        let (badges, complete) = match &user {
            Some(user) => {
                reader.user(conf, user)?.ok_or(Reason::UnknownUser)?;
                (reader.badges_of(conf, user)?, true)
            }
            None => reader.badges(conf, after.as_ref(), limit)?,
        };
        let mut rows = Vec::with_capacity(badges.len());
        for (_, Badge { user, shown, revoked, since_ms }) in badges {
            let name = reader.user(conf, &user)?.map_or_else(Arc::default, |user| user.name);
            rows.push(BadgeRow { badge: shown, user, name, revoked, since: Time(since_ms) });
        }
        Ok(Badges { badges: rows, complete })
    })
    .await?;
    json(&found)
}

pub(super) fn mine(caller: &Caller<'_>) -> Json {
    let (reader, conf, me) = (caller.hub.reader(), caller.who.conf, &caller.who.uid);
    let code = reader.own_badge_code(conf, me)?;
    let badges = reader.badges_of(conf, me).map_err(Reject::from)?;
    // One's own code has a record once it was revoked.
    let good = badges.into_iter().map(|(_, badge)| badge).filter(|badge| !badge.revoked && !badge.shown.eq_ignore_ascii_case(&code));
    let badges = good.map(|badge| badge.shown).collect();
    json(&OwnBadges { code, badges })
}

pub(super) async fn scan(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let wanted: ScanParams<'_> = params(given)?;
    if wanted.code.len() > MAX_CONTENTS_BYTES {
        return Err(Fault::invalid_params(format_args!("code is over {MAX_CONTENTS_BYTES} bytes")));
    }
    let codes = BadgeCode::candidates(&wanted.code);
    if codes.is_empty() {
        return Err(Fault::invalid_params("code is empty"));
    }
    let conversation = wanted.conversation.as_deref().map(conversation_id).transpose()?;
    let tap = Tap {
        // A business card may be longer than what a result repeats.
        shown: beginning(wanted.code.trim(), MAX_SHOWN_BYTES).into(),
        codes,
        at_ms: wanted.at_ms()?,
        id: wanted.own_id()?.into(),
        direction: wanted.direction.map(Into::into),
    };
    caller.take_rate()?;
    let scan = Scan { mode: wanted.mode.map(Into::into), conversation, taps: vec![tap] };
    let scanned = scan_badges(caller.hub, caller.who.conf, caller.actor(), scan).await?;
    let scanned = scanned.first().ok_or(Reason::StoreError)?;
    let mut json = Vec::with_capacity(256);
    canonical::write_scanned(scanned, &mut json);
    Ok(json)
}

pub(super) async fn checkins(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let wanted: PageParams = params(given)?;
    caller.staff()?;
    let after = after_user(wanted.after.as_deref())?;
    let limit = page_limit(wanted.limit, DEFAULT_PAGE)?;
    let (reader, conf) = (caller.hub.reader().clone(), caller.who.conf);
    let (found, complete) = blocking(move || Ok(reader.checkins(conf, after.as_ref(), limit)?)).await?;
    let row = |Named { uid, name, record }: Named<hallway_broker::model::Checkin>| CheckinRow {
        user: uid,
        name,
        ts: Time(record.at_ms),
        by: record.by,
        scan: record.scan,
    };
    json(&Checkins { people: found.into_iter().map(row).collect(), complete })
}

pub(super) fn checkin_count(caller: &Caller<'_>) -> Json {
    caller.staff()?;
    let totals = caller.hub.reader().badge_totals(caller.who.conf).map_err(Reject::from)?;
    json(&CheckinCount { checked_in: totals.checked_in, attendees: totals.attendees })
}

pub(super) async fn undo_checkin(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let user = user_id(&params::<UserParams<'_>>(given)?.user)?;
    caller.take_rate()?;
    caller.act(Action::UndoCheckin { user }).await?;
    json(&Empty {})
}

pub(super) async fn attendance(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let wanted: AttendanceParams<'_> = params(given)?;
    caller.staff()?;
    let conversation = conversation_id(&wanted.conversation)?;
    let after = after_user(wanted.after.as_deref())?;
    let limit = page_limit(wanted.limit, DEFAULT_PAGE)?;
    let (reader, conf, now_ms) = (caller.hub.reader().clone(), caller.who.conf, caller.hub.clock().now_ms());
    let found = blocking(move || {
        let session = reader.conversation(conf, &conversation)?.filter(|found| found.record.kind != Kind::Direct);
        let conv = session.ok_or(Reason::UnknownConversation)?.record.no;
        let room = reader.occupancy(conf, conv)?;
        let (people, complete) = reader.attendances(conf, conv, after.as_ref(), limit)?;
        let people = people.into_iter().map(|Named { uid, name, record }| attended(uid, name, record.stay, now_ms)).collect();
        let capacity = Some(room.capacity).filter(|capacity| *capacity > 0);
        Ok(Attendances { conversation, people, inside: room.inside, came: room.people, capacity, complete })
    })
    .await?;
    json(&found)
}

fn attended(user: Uid, name: Arc<str>, stay: Stay, now_ms: u64) -> AttendanceRow {
    let inside_ms = stay.inside_since_ms.map_or(0, |since_ms| now_ms.saturating_sub(since_ms));
    AttendanceRow {
        user,
        name,
        inside: stay.inside_since_ms.is_some(),
        enters: stay.enters,
        seconds: (stay.total_ms + inside_ms) / 1000,
        first: Time(stay.first_ms),
        last: Time(stay.last_ms),
    }
}
