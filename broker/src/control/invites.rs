//! Invitations, as the command line makes, lists and takes them back.

use super::{ControlError, ControlReply, InviteLine, Secret, invalid, to_the_end};
use crate::accounts::invites;
use crate::command::Action;
use crate::hub::Hub;
use crate::ids::ConfNo;
use crate::model::{Invite, InviteHash, UserRole};
use crate::reject::Reason;

const MS_PER_DAY: u64 = 24 * 3600 * 1000;
/// Longest that an invitation is good, in days.
const MAX_DAYS: u32 = 3650;

pub(super) async fn add(hub: &Hub, conf: ConfNo, uses: u32, days: u32, role: &str) -> Result<ControlReply, ControlError> {
    if !(1..=MAX_DAYS).contains(&days) {
        return Err(invalid(format!("an invitation is good for 1 to {MAX_DAYS} days")));
    }
    let role = UserRole::from_word(role).filter(|role| matches!(role, UserRole::Attendee | UserRole::Staff));
    let role = role.ok_or_else(|| invalid("an invitation is for attendee or staff"))?;
    let code = invites::make();
    let hash = invites::hash(&code).ok_or_else(|| invalid("no code could be made"))?;
    let expires_ms = hub.clock().now_ms().saturating_add(u64::from(days) * MS_PER_DAY);
    to_the_end(hub, conf, Action::AddInvite { code: hash, invite: Invite { uses, used: 0, expires_ms, role } }).await?;
    Ok(ControlReply::Invite { code: Secret(code), expires_at_ms: expires_ms })
}

pub(super) fn list(hub: &Hub, conf: ConfNo) -> Result<ControlReply, ControlError> {
    let line = |(hash, invite): (InviteHash, Invite)| InviteLine {
        invite: invites::listed_as(&hash),
        role: invite.role.word().to_owned(),
        used: invite.used,
        uses: invite.uses,
        expires_at_ms: invite.expires_ms,
    };
    Ok(ControlReply::Invites { invites: hub.reader().invites(conf)?.into_iter().map(line).collect() })
}

pub(super) async fn remove(hub: &Hub, conf: ConfNo, invite: &str) -> Result<ControlReply, ControlError> {
    let by_code = invites::hash(invite);
    let is_meant = |hash: &InviteHash| Some(*hash) == by_code || invites::listed_as(hash) == invite.to_lowercase();
    let found = hub.reader().invites(conf)?.into_iter().map(|(hash, _)| hash).find(is_meant);
    let unknown = || ControlError::of(Reason::BadInvite, "there is no such invitation: 'hallway invite list' shows them");
    to_the_end(hub, conf, Action::RemoveInvite { code: found.ok_or_else(unknown)? }).await
}
