//! Who is in a conversation: joining, leaving, inviting, removing, roles.

use super::conversations::here;
use super::{Applied, Ask, added, blocks};
use crate::ids::{ConversationId, Uid};
use crate::model::{Body, Change, MemberRole, Notice, Standing};
use crate::reject::Reason;
use crate::view::{Found, View};

/// Refuses what would leave the other members without an owner.
fn check_last_owner(found: &Found, theirs: Option<MemberRole>) -> Result<(), Reason> {
    let last = theirs == Some(MemberRole::Owner) && found.record.owners == 1 && found.record.members > 1;
    if last { Err(Reason::LastOwner) } else { Ok(()) }
}

pub(super) fn join(view: &mut View<'_>, ask: Ask<'_>, id: &ConversationId) -> Applied {
    let author = ask.author(view)?;
    let (mut found, standing) = ask.find(view, id)?;
    ask.asker(author.role, standing).may_join(found.record.kind, id)?;
    if standing.and_then(Standing::role).is_some() {
        return here(view, &found, false);
    }
    let event = ask.append(view, &found, &author, Body::Member { user: ask.actor.uid.clone(), change: Change::Joined })?;
    view.put_standing(&mut found, &ask.actor.uid, Standing::In(MemberRole::Member), event.entry.pos)?;
    Ok(added(&event, true))
}

pub(super) fn leave(view: &mut View<'_>, ask: Ask<'_>, id: &ConversationId) -> Applied {
    let author = ask.author(view)?;
    let (mut found, standing) = ask.find(view, id)?;
    let asker = ask.asker(author.role, standing);
    asker.may_read(found.record.kind, id)?;
    if asker.may_invite(found.record.kind, id).is_err() {
        return Err(Reason::NotAllowed.into());
    }
    let role = standing.and_then(Standing::role).ok_or(Reason::NotAMember)?;
    check_last_owner(&found, Some(role))?;
    let event = ask.append(view, &found, &author, Body::Member { user: ask.actor.uid.clone(), change: Change::Left })?;
    view.put_standing(&mut found, &ask.actor.uid, Standing::Left, event.entry.pos)?;
    Ok(added(&event, true))
}

pub(super) fn invite(view: &mut View<'_>, ask: Ask<'_>, id: &ConversationId, user: &Uid) -> Applied {
    let author = ask.author(view)?;
    let (mut found, standing) = ask.find(view, id)?;
    let asker = ask.asker(author.role, standing);
    asker.may_invite(found.record.kind, id)?;
    view.user(ask.conf, user)?.ok_or(Reason::UnknownUser)?;
    if *user == ask.actor.uid {
        return Err(Reason::OwnRole.into());
    }
    blocks::check(view, ask, user)?;
    match view.standing(&found, user)? {
        Some(Standing::In(_) | Standing::Invited) => return here(view, &found, false),
        // Only who may ban may take a ban back.
        Some(Standing::Banned) if asker.may_moderate(found.record.kind, id).is_err() => return Err(Reason::Banned.into()),
        _ => {}
    }
    let event = ask.append(view, &found, &author, Body::Member { user: user.clone(), change: Change::Invited })?;
    view.put_standing(&mut found, user, Standing::Invited, event.entry.pos)?;
    ask.notify(view, &author, user, Notice::Invited { conversation: id.clone() })?;
    Ok(added(&event, true))
}

pub(super) fn remove(view: &mut View<'_>, ask: Ask<'_>, id: &ConversationId, user: &Uid, ban: bool) -> Applied {
    let author = ask.author(view)?;
    let (mut found, standing) = ask.find(view, id)?;
    let authority = ask.asker(author.role, standing).may_moderate(found.record.kind, id)?;
    if *user == ask.actor.uid {
        return Err(Reason::OwnRole.into());
    }
    let account = view.user_record(ask.conf, user)?.ok_or(Reason::UnknownUser)?;
    let theirs = view.standing(&found, user)?;
    let protected = theirs.and_then(Standing::role) == Some(MemberRole::Owner) && authority < MemberRole::Owner;
    if protected || (found.record.kind.is_public() && account.role.is_staff() && !author.role.is_staff()) {
        return Err(Reason::NotModerator.into());
    }
    let (gone, change) = if ban { (Standing::Banned, Change::Banned) } else { (Standing::Removed, Change::Removed) };
    match theirs {
        Some(known) if known == gone => return here(view, &found, false),
        Some(Standing::In(_) | Standing::Invited) => {}
        _ if ban => {}
        _ => return Err(Reason::UnknownUser.into()),
    }
    check_last_owner(&found, theirs.and_then(Standing::role))?;
    let event = ask.append(view, &found, &author, Body::Member { user: user.clone(), change })?;
    view.put_standing(&mut found, user, gone, event.entry.pos)?;
    ask.notify(view, &author, user, Notice::Removed { conversation: id.clone() })?;
    Ok(added(&event, true))
}

pub(super) fn set_role(view: &mut View<'_>, ask: Ask<'_>, id: &ConversationId, user: &Uid, role: MemberRole) -> Applied {
    let author = ask.author(view)?;
    let (mut found, standing) = ask.find(view, id)?;
    ask.asker(author.role, standing).may_give_roles(found.record.kind, id)?;
    if *user == ask.actor.uid {
        return Err(Reason::OwnRole.into());
    }
    let theirs = view.standing(&found, user)?.and_then(Standing::role).ok_or(Reason::UnknownUser)?;
    if theirs == role {
        return here(view, &found, false);
    }
    check_last_owner(&found, Some(theirs))?;
    let event = ask.append(view, &found, &author, Body::Member { user: user.clone(), change: Change::Role(role) })?;
    view.put_standing(&mut found, user, Standing::In(role), event.entry.pos)?;
    Ok(added(&event, true))
}
