//! Messages, and what happens to them: edits, deletions, reactions.

use std::hash::Hasher;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128, SipHasher24};

use super::{Applied, Ask, Author, Stop, added, blocks, conversations, files, stands};
use crate::command::{Draft, Outcome, Reuse};
use crate::ids::{ConversationId, Uid};
use crate::keys;
use crate::limits::{IDEMPOTENCY_MS, MAX_EDITS, MAX_REACTIONS};
use crate::model::{Body, Change, Entry, Kind, MemberRole, Message, Notice, Standing};
use crate::reject::Reason;
use crate::view::{Found, View};

/// Record: what a client id was used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idempotency {
    /// The message's seq.
    pub seq: u64,
    /// Its pos.
    pub pos: u64,
    /// Its time, Unix ms.
    pub ts_ms: u64,
    /// When the command came, Unix ms: the key is forgotten [`IDEMPOTENCY_MS`] later.
    pub at_ms: u64,
    /// Hash of the body.
    pub body: u64,
}

impl Idempotency {
    /// Whether it is to be forgotten.
    pub(crate) fn is_expired(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.at_ms) > IDEMPOTENCY_MS
    }
}

/// The hash under which a client id is remembered.
#[must_use]
pub fn idempotency_hash(secret: &[u8; 16], uid: &Uid, client_id: &str) -> u128 {
    let mut hasher = SipHasher24::new_with_key(secret);
    hasher.write(uid.as_str().as_bytes());
    hasher.write_u8(0);
    hasher.write(client_id.as_bytes());
    hasher.finish128().as_u128()
}

/// The hash under which a draft is remembered; `None` when nothing tells it from the next one.
#[must_use]
pub fn draft_hash(secret: &[u8; 16], uid: &Uid, draft: &Draft) -> Option<u128> {
    match draft.reuse {
        _ if !draft.client_id.is_empty() => Some(idempotency_hash(secret, uid, &draft.client_id)),
        reuse => packet_hash(secret, uid, reuse),
    }
}

/// The hash under which an MQTT packet is remembered.
#[must_use]
pub fn packet_hash(secret: &[u8; 16], uid: &Uid, reuse: Reuse) -> Option<u128> {
    match reuse {
        // No client id holds a zero byte: MQTT's strings cannot, and JSON's are refused.
        Reuse::Packet { client, id, .. } => Some(idempotency_hash(secret, uid, &format!("\0{client:x}/{id}"))),
        Reuse::Conflict | Reuse::NewMessage => None,
    }
}

/// The hash that tells a retry from another message.
#[must_use]
pub fn body_hash(secret: &[u8; 16], draft: &Draft) -> u64 {
    let mut hasher = SipHasher24::new_with_key(secret);
    // Each text with its length in front, each list with its count: two bodies never come to the same bytes.
    let mut frame = |bytes: &[u8]| {
        hasher.write(&(bytes.len() as u64).to_be_bytes());
        hasher.write(bytes);
    };
    frame(draft.text.as_bytes());
    frame(draft.reply_to.map(u64::to_be_bytes).as_ref().map_or(&[][..], |seq| seq));
    for list in [&draft.mentions, &draft.attachments] {
        frame(&(list.len() as u64).to_be_bytes());
        for text in list {
            frame(text.as_bytes());
        }
    }
    hasher.finish128().h1
}

pub(super) fn send(view: &mut View<'_>, ask: Ask<'_>, draft: &Draft) -> Applied {
    let existing = view.conversation(ask.conf, &draft.conversation)?;
    let key = existing.as_ref().and_then(|found| idempotency_key(view, ask, found, draft));
    // Before anything is checked: a retry after removal still gets its old answer.
    if let Some(key) = &key
        && let Some(answer) = earlier_answer(view, ask, key, draft)?
    {
        return answer;
    }
    let author = ask.author(view)?;
    let partner = draft.conversation.partner(&ask.actor.uid);
    let (kind, standing) = match (&existing, &partner) {
        (_, Some(partner)) => {
            conversations::check_partner(view, ask, partner)?;
            (Kind::Direct, Some(Standing::In(MemberRole::Member)))
        }
        (Some(found), None) => (found.record.kind, view.standing(found, &ask.actor.uid)?),
        (None, None) => return Err(Reason::UnknownConversation.into()),
    };
    ask.asker(author.role, standing).may_post(kind, &draft.conversation)?;
    let notified = check_mentions(view, ask, existing.as_ref(), kind, &author, draft)?;
    let last = existing.as_ref().map_or(Ok(0), |found| view.head(found).map(|head| head.seq))?;
    if draft.reply_to.is_some_and(|target| target > last) {
        return Err(Reason::UnknownMessage.into());
    }
    let attached = files::attached(view, ask.conf, &draft.attachments)?;
    // Only now, when nothing refuses it any more: a direct conversation is made by its first message.
    let mut found = match (existing, &partner) {
        (Some(found), _) => found,
        (None, Some(partner)) => conversations::add_direct(view, ask, &author, &draft.conversation, partner)?,
        (None, None) => return Err(Reason::UnknownConversation.into()),
    };
    if found.record.kind == Kind::Channel && standing.and_then(Standing::role).is_none() && !ask.actor.is_system() {
        enter(view, ask, &mut found, &author)?;
    }
    let message = Message {
        client_id: Arc::clone(&draft.client_id),
        text: Arc::clone(&draft.text),
        reply_to: draft.reply_to,
        mentions: draft.mentions.clone(),
        attachments: files::hold(view, ask.conf, attached),
        ..Message::default()
    };
    let event = ask.append(view, &found, &author, Body::Message(message))?;
    if let Some(key) = key.or_else(|| idempotency_key(view, ask, &found, draft)) {
        let (seq, pos, ts_ms) = (event.place.seq, event.entry.pos, event.entry.ts_ms);
        let body = body_hash(&view.head.secret, draft);
        view.put(key, &Idempotency { seq, pos, ts_ms, at_ms: ask.at_ms, body });
    }
    for user in notified {
        let notice = Notice::Mention { conversation: found.id.clone(), target: event.place.seq };
        ask.notify(view, &author, &user, notice)?;
    }
    Ok(added(&event, true))
}

fn idempotency_key(view: &View<'_>, ask: Ask<'_>, found: &Found, draft: &Draft) -> Option<keys::Key> {
    let hash = draft_hash(&view.head.secret, &ask.actor.uid, draft)?;
    Some(keys::idempotency(ask.conf, found.record.no, hash))
}

fn earlier_answer(view: &View<'_>, ask: Ask<'_>, key: &[u8], draft: &Draft) -> Result<Option<Applied>, Stop> {
    let Some(known) = view.get::<Idempotency>(key)? else { return Ok(None) };
    Ok(answer_of(&known, &view.head.secret, draft, ask.at_ms).map(|answer| answer.map_err(Stop::from)))
}

/// What a retry is answered; `None` when the key has expired, or its protocol reuses ids and this is another message.
#[must_use]
pub fn answer_of(known: &Idempotency, secret: &[u8; 16], draft: &Draft, at_ms: u64) -> Option<Result<Outcome, Reason>> {
    // What an MQTT packet does not call a repetition is none, whatever had its id before [MQTT-4.3.2-2].
    if known.is_expired(at_ms) || matches!(draft.reuse, Reuse::Packet { dup: false, .. } if draft.client_id.is_empty()) {
        return None;
    }
    if known.body == body_hash(secret, draft) {
        let Idempotency { seq, pos, ts_ms, .. } = *known;
        return Some(Ok(Outcome::Added { conversation: draft.conversation.clone(), seq, pos, ts_ms, fresh: false }));
    }
    match draft.reuse {
        Reuse::Conflict => Some(Err(Reason::IdReused)),
        Reuse::NewMessage | Reuse::Packet { .. } => None,
    }
}

/// Whoever posts in a channel is a member of it from then on.
fn enter(view: &mut View<'_>, ask: Ask<'_>, found: &mut Found, author: &Author) -> Result<(), Stop> {
    let body = Body::Member { user: ask.actor.uid.clone(), change: Change::Joined };
    let event = ask.append(view, found, author, body)?;
    view.put_standing(found, &ask.actor.uid, Standing::In(MemberRole::Member), event.entry.pos)?;
    Ok(())
}

/// Who gets a notice for being named: known users who can read it. `*` reaches all readers by itself, from staff only.
fn check_mentions(
    view: &mut View<'_>,
    ask: Ask<'_>,
    found: Option<&Found>,
    kind: Kind,
    author: &Author,
    draft: &Draft,
) -> Result<Vec<Uid>, Stop> {
    let mut notified = Vec::new();
    for mention in &draft.mentions {
        if &**mention == "*" {
            if !author.role.is_staff() {
                return Err(Reason::StaffOnly.into());
            }
            continue;
        }
        let uid = Uid::parse(mention).map_err(|_| Reason::InvalidParams)?;
        let Some(user) = view.user(ask.conf, &uid)? else { return Err(Reason::UnknownUser.into()) };
        let standing = found.map_or(Ok(None), |found| view.standing(found, &uid))?;
        let asker = crate::policy::Asker { uid: &uid, role: user.role, standing };
        let is_told = asker.may_read(kind, &draft.conversation).is_ok() && !blocks::has_blocked(view, ask.conf, &uid, &ask.actor.uid)?;
        if is_told && !notified.contains(&uid) {
            notified.push(uid);
        }
    }
    Ok(notified)
}

/// A message that somebody wants to change.
struct Target {
    found: Found,
    author: Author,
    standing: Option<Standing>,
    entry: Entry,
}

fn find_message(view: &mut View<'_>, ask: Ask<'_>, id: &ConversationId, target: u64) -> Result<Target, Stop> {
    let author = ask.author(view)?;
    let (found, standing) = ask.find(view, id)?;
    ask.asker(author.role, standing).may_read(found.record.kind, &found.id)?;
    let entry = view.entry(&found, target)?.filter(|entry| matches!(entry.body, Body::Message(_))).ok_or(Reason::UnknownMessage)?;
    Ok(Target { found, author, standing, entry })
}

impl Target {
    fn message(&mut self) -> Result<&mut Message, Stop> {
        match &mut self.entry.body {
            Body::Message(message) => Ok(message),
            _ => Err(Reason::UnknownMessage.into()),
        }
    }
}

pub(super) fn edit(view: &mut View<'_>, ask: Ask<'_>, id: &ConversationId, seq: u64, text: &Arc<str>) -> Applied {
    let mut target = find_message(view, ask, id, seq)?;
    if target.entry.from != ask.actor.uid {
        return Err(Reason::NotAuthor.into());
    }
    ask.asker(target.author.role, target.standing).may_post(target.found.record.kind, id)?;
    blocks::check_in(view, ask, id)?;
    let message = target.message()?;
    if message.deleted.is_some() {
        return Err(Reason::Deleted.into());
    }
    if let Some(last) = message.edits.last().copied()
        && message.text == *text
    {
        return stands(view, &target.found, last);
    }
    if message.edits.len() >= MAX_EDITS {
        return Err(Reason::TooManyEdits.into());
    }
    let event = ask.append(view, &target.found, &target.author, Body::Edit { target: seq, text: Arc::clone(text) })?;
    let message = target.message()?;
    message.text = Arc::clone(text);
    message.edits.push(event.place.seq);
    view.put_entry(&target.found, seq, &target.entry);
    Ok(added(&event, true))
}

pub(super) fn delete(view: &mut View<'_>, ask: Ask<'_>, id: &ConversationId, seq: u64) -> Applied {
    let mut target = find_message(view, ask, id, seq)?;
    if target.entry.from != ask.actor.uid {
        ask.asker(target.author.role, target.standing).may_moderate(target.found.record.kind, id).map_err(|reason| match reason {
            Reason::NotAllowed => Reason::NotAuthor,
            other => other,
        })?;
    }
    if let Some(earlier) = target.message()?.deleted {
        return stands(view, &target.found, earlier);
    }
    let event = ask.append(view, &target.found, &target.author, Body::Delete { target: seq })?;
    target.message()?.deleted = Some(event.place.seq);
    bury(view, ask, &target.found, seq, target.entry)?;
    Ok(added(&event, true))
}

/// Overwrites a message's text, there and in its edits, and lets go of its files. The caller has marked it deleted.
pub(super) fn bury(view: &mut View<'_>, ask: Ask<'_>, found: &Found, seq: u64, mut entry: Entry) -> Result<(), Stop> {
    let Body::Message(message) = &mut entry.body else { return Ok(()) };
    message.text = "".into();
    files::release(view, found.conf, ask.at_ms, &message.attachments)?;
    message.attachments.clear();
    message.mentions.clear();
    for edit in message.edits.clone() {
        if let Some(mut edited) = view.entry(found, edit)? {
            if let Body::Edit { text, .. } = &mut edited.body {
                *text = "".into();
            }
            view.made.tombstones.push((found.conf, edited.clone()));
            view.put_entry(found, edit, &edited);
        }
    }
    view.made.tombstones.push((found.conf, entry.clone()));
    view.put_entry(found, seq, &entry);
    Ok(())
}

pub(super) fn react(view: &mut View<'_>, ask: Ask<'_>, id: &ConversationId, seq: u64, emoji: &Arc<str>, on: bool) -> Applied {
    let mut target = find_message(view, ask, id, seq)?;
    ask.asker(target.author.role, target.standing).may_react(target.found.record.kind, id)?;
    blocks::check_in(view, ask, id)?;
    if target.message()?.deleted.is_some() {
        return Err(Reason::Deleted.into());
    }
    let (conf, conv) = (ask.conf, target.found.record.no);
    let key = keys::reaction(conf, conv, seq, &ask.actor.uid, emoji);
    let given: Option<u64> = view.get(&key)?;
    match (given, on) {
        (Some(earlier), true) => return stands(view, &target.found, earlier),
        (None, false) => return Err(Reason::NotReacted.into()),
        _ => {}
    }
    count_reaction(target.message()?, emoji, on)?;
    let event = ask.append(view, &target.found, &target.author, Body::React { target: seq, emoji: Arc::clone(emoji), on })?;
    view.put_entry(&target.found, seq, &target.entry);
    if on {
        view.put(key, &event.place.seq);
    } else {
        view.remove(key);
    }
    Ok(added(&event, true))
}

fn count_reaction(message: &mut Message, emoji: &Arc<str>, on: bool) -> Result<(), Stop> {
    let kinds = message.reactions.len();
    match message.reactions.iter_mut().find(|(known, _)| known == emoji) {
        Some((_, count)) if on => *count += 1,
        Some((_, count)) => *count = count.saturating_sub(1),
        None if on && kinds >= MAX_REACTIONS => return Err(Reason::TooManyReactions.into()),
        None => message.reactions.push((Arc::clone(emoji), u32::from(on))),
    }
    message.reactions.retain(|(_, count)| *count > 0);
    Ok(())
}
