//! Conversations as such: made, opened, renamed, read.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Applied, Ask, Author, Stop, added, blocks};
use crate::command::Outcome;
use crate::ids::{ConversationId, Uid};
use crate::keys;
use crate::model::{Body, Change, Kind, MemberRole, Notice, Signal, Standing};
use crate::policy;
use crate::reject::Reason;
use crate::topic::Telling;
use crate::view::{Found, View};

/// Record: how far somebody has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReadMark {
    /// Up to this seq.
    pub seq: u64,
    /// The message ordinal there.
    pub n: u64,
}

/// Whether the asker may talk with `partner`.
pub(super) fn check_partner(view: &mut View<'_>, ask: Ask<'_>, partner: &Uid) -> Result<(), Stop> {
    let partner_role = view.user(ask.conf, partner)?.ok_or(Reason::UnknownUser)?.role;
    // A badge reader would never read it.
    if !partner_role.takes_part() {
        return Err(Reason::NotAllowed.into());
    }
    blocks::check(view, ask, partner)
}

/// Makes a direct conversation; the other side learns of it through their inbox.
pub(super) fn add_direct(view: &mut View<'_>, ask: Ask<'_>, author: &Author, id: &ConversationId, partner: &Uid) -> Result<Found, Stop> {
    let mut found = view.add_conversation(ask.conf, id, Kind::Direct, String::new())?;
    let pos = view.conference_head(ask.conf)?.pos;
    for uid in [&ask.actor.uid, partner] {
        view.put_standing(&mut found, uid, Standing::In(MemberRole::Member), pos)?;
    }
    ask.notify(view, author, partner, Notice::Invited { conversation: id.clone() })?;
    Ok(found)
}

pub(super) fn open(view: &mut View<'_>, ask: Ask<'_>, with: &Uid) -> Applied {
    let author = ask.author(view)?;
    if !author.role.takes_part() {
        return Err(Reason::NotAllowed.into());
    }
    let id = ConversationId::direct(&ask.actor.uid, with).ok_or(Reason::InvalidParams)?;
    let (found, fresh) = match view.conversation(ask.conf, &id)? {
        // What was said before a block stays to be read.
        Some(found) => {
            view.user(ask.conf, with)?.ok_or(Reason::UnknownUser)?;
            (found, false)
        }
        None => {
            check_partner(view, ask, with)?;
            (add_direct(view, ask, &author, &id, with)?, true)
        }
    };
    here(view, &found, fresh)
}

/// The outcome of a command that is about the conversation, not about an event: its head.
pub(super) fn here(view: &mut View<'_>, found: &Found, fresh: bool) -> Applied {
    let head = view.head(found)?;
    Ok(Outcome::Added { conversation: found.id.clone(), seq: head.seq, pos: head.pos, ts_ms: head.ts_ms, fresh })
}

pub(super) fn create(view: &mut View<'_>, ask: Ask<'_>, kind: Kind, id: &ConversationId, title: &str, members: &[Uid]) -> Applied {
    let author = ask.author(view)?;
    match kind {
        Kind::Direct | Kind::Inbox => return Err(Reason::InvalidParams.into()),
        Kind::Channel | Kind::Announcements if !author.role.is_staff() => return Err(Reason::StaffOnly.into()),
        _ if !author.role.takes_part() => return Err(Reason::NotAllowed.into()),
        _ => {}
    }
    // Those are made by what they are for, and who may read them is told from the id.
    if id.direct_pair().is_some() || id.inbox_owner().is_some() {
        return Err(Reason::InvalidParams.into());
    }
    if policy::is_reserved(id) {
        return Err(Reason::Reserved.into());
    }
    if view.conversation(ask.conf, id)?.is_some() {
        return Err(Reason::Taken.into());
    }
    for member in members {
        check_partner(view, ask, member)?;
    }
    let mut found = view.add_conversation(ask.conf, id, kind, title.to_owned())?;
    if !ask.actor.is_system() {
        first_member(view, ask, &mut found, &author, &ask.actor.uid, MemberRole::Owner)?;
    }
    for member in members {
        if view.standing(&found, member)?.is_none() {
            first_member(view, ask, &mut found, &author, member, MemberRole::Member)?;
            ask.notify(view, &author, member, Notice::Invited { conversation: id.clone() })?;
        }
    }
    here(view, &found, true)
}

fn first_member(view: &mut View<'_>, ask: Ask<'_>, found: &mut Found, author: &Author, uid: &Uid, role: MemberRole) -> Result<(), Stop> {
    let event = ask.append(view, found, author, Body::Member { user: uid.clone(), change: Change::Joined })?;
    view.put_standing(found, uid, Standing::In(role), event.entry.pos)?;
    Ok(())
}

pub(super) fn update(view: &mut View<'_>, ask: Ask<'_>, id: &ConversationId, title: &Arc<str>) -> Applied {
    let author = ask.author(view)?;
    let (mut found, standing) = ask.find(view, id)?;
    ask.asker(author.role, standing).may_moderate(found.record.kind, id)?;
    let event = ask.append(view, &found, &author, Body::Settings { title: Arc::clone(title) })?;
    found.record.title = title.to_string();
    view.put_conversation(&found);
    Ok(added(&event, true))
}

pub(super) fn read(view: &mut View<'_>, ask: Ask<'_>, id: &ConversationId, seq: u64) -> Applied {
    let author = ask.author(view)?;
    let (found, standing) = ask.find(view, id)?;
    let asker = ask.asker(author.role, standing);
    asker.may_read(found.record.kind, id)?;
    if found.record.kind != Kind::Inbox && standing.and_then(Standing::role).is_none() {
        return Err(Reason::NotAMember.into());
    }
    let head = view.head(&found)?;
    let key = keys::read_mark(ask.conf, found.record.no, &ask.actor.uid);
    let mut mark: ReadMark = view.get(&key)?.unwrap_or_default();
    let seq = seq.min(head.seq);
    if seq > mark.seq {
        let n = view.entry(&found, seq)?.map_or(mark.n, |entry| entry.n);
        mark = ReadMark { seq, n };
        view.put(key, &mark);
        if blocks::check_in(view, ask, id).is_ok() {
            let signal = Signal::Read { conversation: id.clone(), from: ask.actor.uid.clone(), seq };
            view.made.signals.push(Telling::about(&found, signal));
        }
    }
    Ok(Outcome::Read { seq: mark.seq, unread: head.n - mark.n })
}
