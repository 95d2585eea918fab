//! Accounts and tokens. Keys, salts and hashes come ready made in the command: nothing random happens here.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::{Applied, Ask, Stop, badges, files, items, kept, messages, push, stored, traces};
use crate::command::Outcome;
use crate::ids::{ConfNo, ConversationId, Uid};
use crate::keys;
use crate::limits::{MAX_STEP, MAX_TOKENS};
use crate::model::{Body, Credentials, Entry, Subject, SubjectHash, Token, TokenHash, User, UserRole};
use crate::reject::Reason;
use crate::view::{Found, View};

pub(super) fn add(
    view: &mut View<'_>,
    ask: Ask<'_>,
    uid: &Uid,
    name: Option<&str>,
    role: UserRole,
    credentials: Option<&Credentials>,
) -> Applied {
    if view.user_record(ask.conf, uid)?.is_some() || *uid == Uid::system() {
        return Err(Reason::Taken.into());
    }
    let name = free_name(view, ask.conf, uid, name.unwrap_or(uid.as_str()))?;
    put_name(view, ask.conf, uid, &name);
    let user = User { name: name.into(), role, about: "".into(), credentials: credentials.cloned(), version: 0, erased: false };
    view.put_user(ask.conf, uid, user);
    let mut head = view.conference_head(ask.conf)?;
    head.users += 1;
    view.put_conference_head(ask.conf, head);
    Ok(Outcome::Done)
}

/// The account of somebody of an identity provider. Who they are there stays bound to its uid even when it is erased: whoever was put out does
/// not come back under another name. A role comes with when its token was made: only the newest token's word counts, and when that takes rights away,
/// what was signed in with them ends.
pub(super) fn add_subject(
    view: &mut View<'_>,
    ask: Ask<'_>,
    subject: &SubjectHash,
    uid: &Uid,
    name: Option<&str>,
    said: Option<(UserRole, u64)>,
) -> Applied {
    let key = keys::subject(ask.conf, subject);
    if let Some(Subject { uid, role_issued_ms }) = view.get(&key)? {
        let user = view.user(ask.conf, &uid)?.ok_or(Reason::SessionEnded)?;
        let Some((role, issued_ms)) = said.filter(|(_, issued_ms)| *issued_ms >= role_issued_ms) else { return Ok(Outcome::Done) };
        if role != user.role {
            let mut changed = User { role, ..(*user).clone() };
            if !role.is_above(user.role) {
                sign_out(view, ask.conf, &uid, &mut changed)?;
            }
            view.put_user(ask.conf, &uid, changed);
        }
        view.put(key, &Subject { uid, role_issued_ms: issued_ms });
        return Ok(Outcome::Done);
    }
    let (role, role_issued_ms) = said.unwrap_or((UserRole::Attendee, 0));
    let done = add(view, ask, uid, name, role, None)?;
    view.put(key, &Subject { uid: uid.clone(), role_issued_ms });
    Ok(done)
}

/// Display names are unique in a conference: who asks for one that is taken gets their uid behind it.
fn free_name(view: &View<'_>, conf: ConfNo, uid: &Uid, wanted: &str) -> Result<String, Stop> {
    let mut name = wanted.to_owned();
    while let Some(holder) = view.get::<Uid>(&keys::name(conf, &name))? {
        if holder == *uid {
            break;
        }
        name = format!("{name} ({uid})");
    }
    Ok(name)
}

fn put_name(view: &mut View<'_>, conf: ConfNo, uid: &Uid, name: &str) {
    view.put(keys::name(conf, name), uid);
    for word in keys::name_words(name) {
        view.put(keys::name_word(conf, &word, uid), &());
    }
}

fn remove_name(view: &mut View<'_>, conf: ConfNo, uid: &Uid, name: &str) {
    view.remove(keys::name(conf, name));
    for word in keys::name_words(name) {
        view.remove(keys::name_word(conf, &word, uid));
    }
}

fn account(view: &mut View<'_>, conf: ConfNo, uid: &Uid) -> Result<User, Stop> {
    Ok((*view.user(conf, uid)?.ok_or(Reason::UnknownUser)?).clone())
}

pub(super) fn set_password(view: &mut View<'_>, ask: Ask<'_>, uid: &Uid, credentials: &Credentials) -> Applied {
    let mut user = account(view, ask.conf, uid)?;
    is_of_here(&user)?;
    user.credentials = Some(credentials.clone());
    sign_out(view, ask.conf, uid, &mut user)?;
    view.put_user(ask.conf, uid, user);
    Ok(Outcome::Done)
}

/// Who is of another server signs in there.
fn is_of_here(user: &User) -> Result<(), Stop> {
    if user.role == UserRole::Remote { Err(Reason::NotAllowed.into()) } else { Ok(()) }
}

/// Ends all sessions and tokens of an account.
fn sign_out(view: &mut View<'_>, conf: ConfNo, uid: &Uid, user: &mut User) -> Result<(), Stop> {
    user.version += 1;
    let tokens = keys::user_tokens(conf, uid);
    for key in view.keys_from(&tokens, &tokens, MAX_STEP)? {
        if let Some(hash) = key.last_chunk::<16>() {
            view.remove(keys::token(hash));
        }
        view.remove(key);
    }
    // A device that was signed out learns of nothing any more: its app registers again with the next sign-in.
    push::forget_targets(view, conf, uid)?;
    view.made.revoked.push((conf, uid.clone()));
    Ok(())
}

pub(super) fn update_profile(view: &mut View<'_>, ask: Ask<'_>, name: Option<&str>, about: Option<&Arc<str>>) -> Applied {
    let uid = &ask.actor.uid;
    let mut user = account(view, ask.conf, uid)?;
    if let Some(name) = name {
        let holder: Option<Uid> = view.get(&keys::name(ask.conf, name))?;
        if holder.is_some_and(|holder| holder != *uid) {
            return Err(Reason::Taken.into());
        }
        remove_name(view, ask.conf, uid, &user.name);
        put_name(view, ask.conf, uid, name);
        user.name = name.into();
    }
    if let Some(about) = about {
        user.about = Arc::clone(about);
    }
    view.put_user(ask.conf, uid, user);
    Ok(Outcome::Done)
}

pub(super) fn issue_token(view: &mut View<'_>, ask: Ask<'_>, uid: &Uid, hash: &TokenHash, expires_ms: u64) -> Applied {
    let user = view.user(ask.conf, uid)?.ok_or(Reason::UnknownUser)?;
    is_of_here(&user)?;
    forget_oldest(view, ask.conf, uid)?;
    let token = Token { conf: ask.conf, uid: uid.clone(), expires_ms, version: user.version };
    view.put(keys::token(hash), &token);
    view.put(keys::user_token(ask.conf, uid, hash), &());
    Ok(Outcome::Done)
}

/// Every sign-in makes a token: beyond [`MAX_TOKENS`] the one that expires first goes.
fn forget_oldest(view: &mut View<'_>, conf: ConfNo, uid: &Uid) -> Result<(), Stop> {
    let prefix = keys::user_tokens(conf, uid);
    let kept = view.keys_from(&prefix, &prefix, MAX_TOKENS)?;
    if kept.len() < MAX_TOKENS {
        return Ok(());
    }
    let mut oldest = None;
    for key in kept {
        let Some(hash) = key.last_chunk::<16>().copied() else { continue };
        let expires_ms = view.get::<Token>(&keys::token(&hash))?.map_or(0, |token| token.expires_ms);
        if oldest.as_ref().is_none_or(|(earliest, _)| expires_ms < *earliest) {
            oldest = Some((expires_ms, hash));
        }
    }
    if let Some((_, hash)) = oldest {
        view.remove(keys::token(&hash));
        view.remove(keys::user_token(conf, uid, &hash));
    }
    Ok(())
}

pub(super) fn revoke_token(view: &mut View<'_>, hash: &TokenHash) -> Applied {
    let token: Token = view.get(&keys::token(hash))?.ok_or(Reason::BadToken)?;
    view.remove(keys::token(hash));
    view.remove(keys::user_token(token.conf, &token.uid, hash));
    Ok(Outcome::Done)
}

/// One bounded step of an erasure: the account first, then what it blocks and keeps, its files, what waits to be pushed to it, what badges led to, and
/// its texts, conversation by conversation, with what is kept of what it published on applications' topics; at last what others' records say of it.
/// Where it goes on is kept in the state, so that a restart goes on, too.
/// Memberships stay, since they are part of what happened: nobody becomes owner in the place of one who is erased, staff gives the role.
pub(super) fn erase(view: &mut View<'_>, ask: Ask<'_>, uid: &Uid) -> Applied {
    let job = keys::erasure(ask.conf, uid);
    let record = view.user_record(ask.conf, uid)?.ok_or(Reason::UnknownUser)?;
    let progress: Option<Erasure> = view.get(&job)?;
    match progress {
        None if record.erased => Ok(Outcome::Done),
        None => {
            let mut user = (*record).clone();
            sign_out(view, ask.conf, uid, &mut user)?;
            remove_name(view, ask.conf, uid, &user.name);
            user = User { name: "".into(), about: "".into(), credentials: None, erased: true, ..user };
            view.put_user(ask.conf, uid, user);
            let mut head = view.conference_head(ask.conf)?;
            head.users = head.users.saturating_sub(1);
            view.put_conference_head(ask.conf, head);
            view.put(job.clone(), &Erasure::default());
            // Nobody is a member where applications publish: so it is found, too, until the erasure ends.
            if view.conversation(ask.conf, &ConversationId::topics())?.is_some() {
                view.put(keys::user_conversation(ask.conf, uid, &ConversationId::topics()), &());
            }
            Ok(Outcome::Continue(job))
        }
        Some(_) if items::forget_some(view, ask.conf, uid)? || stored::forget_some(view, ask.conf, uid)? => Ok(Outcome::Continue(job)),
        Some(_) if files::forget_some(view, ask.conf, uid)? || push::forget_some(view, ask.conf, uid)? => Ok(Outcome::Continue(job)),
        Some(_) if badges::forget_some(view, ask.conf, uid)? || kept::forget_some(view, ask.conf, uid)? => Ok(Outcome::Continue(job)),
        Some(progress) => match erase_further(view, ask, uid, progress)? {
            Some(next) => {
                view.put(job.clone(), &next);
                Ok(Outcome::Continue(job))
            }
            None => {
                badges::forget_last(view, ask.conf, uid)?;
                view.remove(keys::user_conversation(ask.conf, uid, &ConversationId::topics()));
                view.remove(job);
                Ok(Outcome::Done)
            }
        },
    }
}

/// Record: where an erasure goes on.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
struct Erasure {
    /// Key of the conversation under way, empty at first; after all of them, where the [`traces`] in others' records go on.
    conversation: Vec<u8>,
    /// Entries of it up to this seq are done.
    seq: u64,
}

/// Their texts, then what others' records say of them.
fn erase_further(view: &mut View<'_>, ask: Ask<'_>, uid: &Uid, progress: Erasure) -> Result<Option<Erasure>, Stop> {
    let at = progress.conversation.clone();
    let is_at_texts = at.is_empty() || at.starts_with(&keys::user_conversations(ask.conf, uid));
    if is_at_texts && let Some(next) = erase_texts(view, ask, uid, progress)? {
        return Ok(Some(next));
    }
    let next = traces::forget_some(view, ask.conf, uid, Some(&at).filter(|_| !is_at_texts))?;
    Ok(next.map(|conversation| Erasure { conversation, seq: 0 }))
}

fn erase_texts(view: &mut View<'_>, ask: Ask<'_>, uid: &Uid, progress: Erasure) -> Result<Option<Erasure>, Stop> {
    let prefix = keys::user_conversations(ask.conf, uid);
    let from = if progress.conversation.is_empty() { prefix.clone() } else { progress.conversation.clone() };
    let Some(key) = view.keys_from(&from, &prefix, 1)?.pop() else { return Ok(None) };
    let after = if key == progress.conversation { progress.seq } else { 0 };
    // Inboxes too: somebody's name is in the notices that others got of them.
    let reached = match keys::conversation_at(&key, prefix.len()) {
        Some(id) => erase_in(view, ask, uid, &id, after)?,
        None => None,
    };
    Ok(Some(match reached {
        Some(seq) => Erasure { conversation: key, seq },
        None => Erasure { conversation: keys::above(&prefix, Some(key)), seq: 0 },
    }))
}

/// Overwrites what `uid` said in one conversation, up to [`MAX_STEP`] entries above `after`; where it stopped, or `None` at the end.
fn erase_in(view: &mut View<'_>, ask: Ask<'_>, uid: &Uid, id: &ConversationId, after: u64) -> Result<Option<u64>, Stop> {
    let conf = ask.conf;
    let Some(found) = view.conversation(conf, id)? else { return Ok(None) };
    badges::forget_attendance(view, &found, uid)?;
    view.remove(keys::attention(conf, found.record.no, uid));
    let last = view.head(&found)?.seq;
    let first = keys::entry(conf, found.record.no, after + 1);
    let all = &first[..first.len() - size_of::<u64>()];
    // What was trimmed is not walked over.
    let Some(first) = view.keys_from(&first, all, 1)?.pop() else { return Ok(None) };
    let after = after.max(keys::seq_of_entry(&first).saturating_sub(1));
    let end = last.min(after + MAX_STEP as u64);
    for seq in after + 1..=end {
        let Some(mut entry) = view.entry(&found, seq)? else { continue };
        if entry.from == *uid {
            entry.name = "".into();
        } else if !badges::is_about(&entry, uid) {
            continue;
        } else if let Some((raw, scan)) = badges::raw_of(view, &found, seq, &entry)? {
            bury(view, &found, raw, scan);
        }
        match &mut entry.body {
            Body::Message(message) => {
                message.deleted.get_or_insert(seq);
                messages::bury(view, ask, &found, seq, entry)?;
            }
            _ => bury(view, &found, seq, entry),
        }
    }
    Ok((end < last).then_some(end))
}

/// Overwrites an edit or a publication.
fn bury(view: &mut View<'_>, found: &Found, seq: u64, mut entry: Entry) {
    match &mut entry.body {
        Body::Edit { text, .. } => *text = "".into(),
        Body::Publication(publication) | Body::Stored(publication) => *publication = Arc::new(publication.buried()),
        _ => {}
    }
    view.made.tombstones.push((found.conf, entry.clone()));
    view.put_entry(found, seq, &entry);
}

/// The erasures that are under way in a conference.
pub fn erasures(state: &dyn crate::state::State, conf: ConfNo) -> Result<Vec<Uid>, crate::state::StateError> {
    let prefix = keys::erasures(conf);
    let mut found = Vec::new();
    state.scan(&prefix, &keys::end_of(&prefix), crate::state::Direction::Ascending, &mut |key, _| {
        found.extend(keys::uid_at(key, prefix.len()));
        ControlFlow::Continue(())
    })?;
    Ok(found)
}
