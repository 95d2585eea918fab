//! Lists of conversations and members, and how much of them somebody has not read.

use std::collections::HashSet;

use super::{Reader, Toward};
use crate::apply::ReadMark;
use crate::ids::{ConfNo, ConvNo, ConversationId, Uid};
use crate::keys::{self, Key};
use crate::model::{Attention, Event, Head, Member, MemberRole, Standing, User};
use crate::registry::Known;
use crate::reject::Reject;
use crate::state::{Direction, StateError};
use crate::topic::{Source, Topic};
use crate::view::{Found, decode};

/// A conversation in somebody's list.
#[derive(Debug)]
pub struct Listed {
    /// The conversation.
    pub found: Found,
    /// Their role in it, `None` when they are not a member.
    pub role: Option<MemberRole>,
    /// Its last event's place.
    pub head: Head,
    /// Its last message, when it is among the newest [`RECENT_SCAN`] entries.
    pub last: Option<Event>,
    /// Their read marker.
    pub read: u64,
    /// Messages of others that they have not read.
    pub unread: u64,
    /// What of it they want to be pushed: muted is who wants nothing now.
    pub attention: Attention,
}

/// Somebody in a conversation.
#[derive(Debug)]
pub struct Membership {
    /// Who.
    pub uid: Uid,
    /// Their role in it.
    pub role: MemberRole,
    /// Their account.
    pub user: Option<User>,
}

/// A direct conversation with messages that somebody has not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnreadDirect {
    /// Its number.
    pub conv: ConvNo,
    /// The seq up to which they have read.
    pub read: u64,
    /// The pos of the first event after that.
    pub first_pos: u64,
}

/// Conversations that are looked at for one list.
const LIST_SCAN: usize = 5000;
/// Messages that are looked at for an exact unread count.
const UNREAD_SCAN: usize = 64;
/// Entries that are looked at for the last message and the unread count.
const RECENT_SCAN: usize = 256;

impl Reader {
    /// The conversations of a user and those open to all, newest first.
    ///
    /// # Errors
    /// The refusal.
    pub fn list(&self, conf: ConfNo, uid: &Uid, limit: usize) -> Result<Vec<Listed>, Reject> {
        let mut ids = self.ids_below(&keys::user_conversations(conf, uid))?;
        for id in self.ids_below(&keys::public_conversations(conf))? {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        let mut heads = Vec::new();
        for id in ids {
            let Some(found) = self.conversation(conf, &id)? else { continue };
            let member: Option<Member> = self.get(&keys::member(conf, found.record.no, uid))?;
            let role = member.as_ref().and_then(|member| member.standing.role());
            let banned = member.as_ref().is_some_and(|member| member.standing == Standing::Banned);
            if role.is_some() || (found.record.kind.is_public() && !banned) {
                heads.push((self.head(&found)?, found, role));
            }
        }
        heads.sort_by_key(|(head, ..)| std::cmp::Reverse(head.pos));
        heads.truncate(limit);
        let list = heads.into_iter().map(|(head, found, role)| self.listed(uid, head, found, role));
        Ok(list.collect::<Result<_, _>>()?)
    }

    /// What somebody has to know who follows everything: the conversations that are not open to all and that they are in, and their bans.
    ///
    /// # Errors
    /// The state's.
    pub fn known(&self, conf: ConfNo, uid: &Uid) -> Result<Vec<Known>, StateError> {
        let mut known = Vec::new();
        for id in self.ids_below(&keys::user_conversations(conf, uid))? {
            let Some(Found { record, .. }) = self.conversation(conf, &id)? else { continue };
            let Some(Member { standing, since_pos, .. }) = self.get(&keys::member(conf, record.no, uid))? else { continue };
            match standing {
                Standing::In(_) if !record.kind.is_public() => {
                    known.push(Known::Member(Topic::Chat(conf, record.no), Source { id, kind: record.kind }, since_pos));
                }
                Standing::Banned if record.kind.is_public() => known.push(Known::Banned(record.no, since_pos)),
                _ => {}
            }
        }
        Ok(known)
    }

    /// The direct conversations in which messages lie above the user's read marker.
    ///
    /// # Errors
    /// The state's.
    pub fn unread_direct(&self, conf: ConfNo, uid: &Uid) -> Result<Vec<UnreadDirect>, StateError> {
        let mut unread = Vec::new();
        for id in self.ids_below(&keys::user_conversations(conf, uid))?.iter().filter(|id| id.partner(uid).is_some()) {
            let Some(found) = self.conversation(conf, id)? else { continue };
            let (head, mark) = (self.head(&found)?, self.read_mark(&found, uid)?);
            if head.n > mark.n
                && let Some(first) = self.entry(&found, mark.seq + 1)?
            {
                unread.push(UnreadDirect { conv: found.record.no, read: mark.seq, first_pos: first.pos });
            }
        }
        Ok(unread)
    }

    /// The conversations that a user may read: their own and those open to all. At most [`LIST_SCAN`] of each are looked at.
    ///
    /// # Errors
    /// The state's.
    pub fn readable_ids(&self, conf: ConfNo, uid: &Uid) -> Result<Vec<ConversationId>, StateError> {
        let mut ids = self.ids_below(&keys::user_conversations(conf, uid))?;
        let own: HashSet<ConversationId> = ids.iter().cloned().collect();
        ids.extend(self.ids_below(&keys::public_conversations(conf))?.into_iter().filter(|id| !own.contains(id)));
        // Notices have a topic of their own.
        ids.retain(|id| id.inbox_owner().is_none());
        Ok(ids)
    }

    fn listed(&self, uid: &Uid, head: Head, found: Found, role: Option<MemberRole>) -> Result<Listed, StateError> {
        let mark = self.read_mark(&found, uid)?;
        let counts = role.is_some() && head.n > mark.n;
        let mut newest = self.newest_messages(&found, if counts { UNREAD_SCAN } else { 1 })?;
        let unread = if counts { unread_after(&newest, uid, head, mark) } else { 0 };
        let last = newest.pop();
        let attention = if role.is_some() { self.attention(found.conf, found.record.no, uid)? } else { Attention::default() };
        Ok(Listed { found, role, head, last, read: mark.seq, unread, attention })
    }

    /// Conversations that a user is or was in or wrote to, by id, up to `limit` above `after`.
    ///
    /// # Errors
    /// The state's.
    pub fn conversations_of(
        &self,
        conf: ConfNo,
        uid: &Uid,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<ConversationId>, StateError> {
        self.ids_above(&keys::user_conversations(conf, uid), after.map(|after| keys::user_conversation(conf, uid, after)), limit)
    }

    /// A conversation as a member finds it in their list; `None` for who is not one.
    ///
    /// # Errors
    /// The state's.
    pub fn listed_for(&self, found: &Found, uid: &Uid) -> Result<Option<Listed>, StateError> {
        let member: Option<Member> = self.get(&keys::member(found.conf, found.record.no, uid))?;
        let Some(member) = member.filter(|member| member.standing.role().is_some()) else { return Ok(None) };
        self.listed(uid, self.head(found)?, found.clone(), member.standing.role()).map(Some)
    }

    pub(super) fn ids_below(&self, prefix: &[u8]) -> Result<Vec<ConversationId>, StateError> {
        self.ids_above(prefix, None, LIST_SCAN)
    }

    /// Conversations' ids that end the keys which start with `prefix`, up to `limit` above the key `after`.
    pub(super) fn ids_above(&self, prefix: &[u8], after: Option<Key>, limit: usize) -> Result<Vec<ConversationId>, StateError> {
        let mut ids = Vec::new();
        self.visit_range(&keys::above(prefix, after), &keys::end_of(prefix), Direction::Ascending, |key, _| {
            ids.extend(keys::conversation_at(key, prefix.len()));
            Ok(ids.len() < limit)
        })?;
        Ok(ids)
    }

    /// How far somebody has read.
    ///
    /// # Errors
    /// The state's.
    pub fn read_mark(&self, found: &Found, uid: &Uid) -> Result<ReadMark, StateError> {
        Ok(self.get(&keys::read_mark(found.conf, found.record.no, uid))?.unwrap_or_default())
    }

    /// Messages above the read marker, or above the user's own last message, which they have surely read up to. Own messages further back than
    /// [`UNREAD_SCAN`] messages or [`RECENT_SCAN`] entries are not looked for.
    ///
    /// # Errors
    /// The state's.
    pub fn unread(&self, found: &Found, uid: &Uid, head: Head, mark: ReadMark) -> Result<u64, StateError> {
        if head.n <= mark.n {
            return Ok(0);
        }
        Ok(unread_after(&self.newest_messages(found, UNREAD_SCAN)?, uid, head, mark))
    }

    fn newest_messages(&self, found: &Found, limit: usize) -> Result<Vec<Event>, StateError> {
        Ok(self.scan(found, Toward::Older(u64::MAX), limit, &["message"], RECENT_SCAN)?.0.events)
    }

    /// Who stands like this with a conversation (banned, invited), by uid, up to `limit` above `after`; whether these are all.
    ///
    /// # Errors
    /// The state's.
    pub fn standing_so(
        &self,
        found: &Found,
        standing: Standing,
        after: Option<&Uid>,
        limit: usize,
    ) -> Result<(Vec<Uid>, bool), StateError> {
        let prefix = keys::members(found.conf, found.record.no);
        let from = keys::above(&prefix, after.map(|after| keys::member(found.conf, found.record.no, after)));
        let mut people = Vec::new();
        let mut complete = true;
        self.visit_range(&from, &keys::end_of(&prefix), Direction::Ascending, |key, value| {
            let member: Member = decode(value)?;
            let Some(uid) = keys::uid_at(key, prefix.len()).filter(|_| member.standing == standing) else { return Ok(true) };
            complete = people.len() < limit;
            if complete {
                people.push(uid);
            }
            Ok(complete)
        })?;
        Ok((people, complete))
    }

    /// The members of a conversation whose accounts are not erased, by uid, up to `limit` above `after`; whether these are all.
    ///
    /// # Errors
    /// The state's.
    pub fn members(&self, found: &Found, after: Option<&Uid>, limit: usize) -> Result<(Vec<Membership>, bool), StateError> {
        let prefix = keys::members(found.conf, found.record.no);
        let from = keys::above(&prefix, after.map(|after| keys::member(found.conf, found.record.no, after)));
        let mut members = Vec::new();
        let mut complete = true;
        self.visit_range(&from, &keys::end_of(&prefix), Direction::Ascending, |key, value| {
            let member: Member = decode(value)?;
            let (Some(uid), Some(role)) = (keys::uid_at(key, prefix.len()), member.standing.role()) else { return Ok(true) };
            let user = self.user(found.conf, &uid)?;
            if user.is_none() {
                return Ok(true);
            }
            complete = members.len() < limit;
            if complete {
                members.push(Membership { uid, role, user });
            }
            Ok(complete)
        })?;
        Ok((members, complete))
    }
}

fn unread_after(newest: &[Event], uid: &Uid, head: Head, mark: ReadMark) -> u64 {
    let own = newest.iter().rev().find(|event| event.entry.from == *uid).map_or(0, |event| event.entry.n);
    // The messages may be newer than the head.
    head.n.saturating_sub(mark.n.max(own))
}
