//! What is published on topics that are not a conversation's: kept in one log of the conference, with a bounded past, so that sessions
//! resume over it by the same cursor; and each topic's retained publication (MQTT 5 §3.3.1.3).

use std::hash::Hasher as _;
use std::sync::Arc;

use siphasher::sip128::{Hasher128 as _, SipHasher24};

use super::{Applied, Ask, Author, Idempotency, Stop, added, packet_hash};
use crate::command::{Outcome, Reuse};
use crate::ids::{ConversationId, Uid};
use crate::keys;
use crate::limits::{MAX_RETAINED, MAX_STEP};
use crate::model::{Body, Kind, Notice, Publication, Retained, UserRole};
use crate::reject::Reason;
use crate::view::{Found, View};

pub(super) fn publish(view: &mut View<'_>, ask: Ask<'_>, publication: &Arc<Publication>, reuse: Reuse) -> Applied {
    let author = author(view, ask)?;
    let packet = packet_key(view, ask, publication, reuse)?;
    let body = body_hash(&view.head.secret, publication);
    if let (Some(key), Reuse::Packet { dup: true, .. }) = (&packet, reuse)
        && let Some(known) = view.get::<Idempotency>(key)?.filter(|known| known.body == body && !known.is_expired(ask.at_ms))
    {
        let Idempotency { seq, pos, ts_ms, .. } = known;
        return Ok(Outcome::Added { conversation: ConversationId::topics(), seq, pos, ts_ms, fresh: false });
    }
    let key = keys::retained(ask.conf, &publication.topic);
    let clears = publication.retain && publication.payload.is_empty();
    let had = publication.retain && view.has(&key)?;
    let mut head = view.conference_head(ask.conf)?;
    if publication.retain && !clears && !had && head.retained >= MAX_RETAINED {
        return Err(Reason::Quota.into());
    }
    let found = topics(view, ask)?;
    let event = view.append(&found, ask.actor, author.name, ask.at_ms, Body::Publication(Arc::clone(publication)))?;
    if let Some(key) = packet {
        let (seq, pos, ts_ms) = (event.place.seq, event.entry.pos, event.entry.ts_ms);
        view.put(key, &Idempotency { seq, pos, ts_ms, at_ms: ask.at_ms, body });
    }
    if publication.retain {
        head = view.conference_head(ask.conf)?;
        match (had, clears) {
            (true, true) => head.retained = head.retained.saturating_sub(1),
            (false, false) => head.retained += 1,
            _ => {}
        }
        view.put_conference_head(ask.conf, head);
        if clears {
            view.remove(key); // [MQTT-3.3.1-6]
        } else {
            let (pos, seq, from) = (event.entry.pos, event.place.seq, ask.actor.uid.clone());
            view.put(key, &Retained { pos, seq, from, publication: Arc::clone(publication) }); // [MQTT-3.3.1-5]
        }
    }
    Ok(added(&event, true))
}

/// Where it is remembered that a packet of QoS 2 was published: only those are to be published once.
fn packet_key(view: &mut View<'_>, ask: Ask<'_>, publication: &Publication, reuse: Reuse) -> Result<Option<keys::Key>, Stop> {
    if publication.qos < 2 {
        return Ok(None);
    }
    let topics = topics(view, ask)?;
    let hash = packet_hash(&view.head.secret, &ask.actor.uid, reuse);
    Ok(hash.map(|hash| keys::idempotency(ask.conf, topics.record.no, hash)))
}

/// What tells a repetition from another message.
fn body_hash(secret: &[u8; 16], publication: &Publication) -> u64 {
    let mut hasher = SipHasher24::new_with_key(secret);
    hasher.write_u64(publication.topic.len() as u64);
    hasher.write(publication.topic.as_bytes());
    hasher.write(&publication.payload);
    hasher.finish128().h1
}

/// The asker; who uses a plain broker without a name has no account.
pub(super) fn author(view: &mut View<'_>, ask: Ask<'_>) -> Result<Author, Stop> {
    if ask.actor.uid == Uid::anonymous() {
        return Ok(Author { name: "".into(), role: UserRole::Attendee });
    }
    ask.author(view)
}

pub(super) fn topics(view: &mut View<'_>, ask: Ask<'_>) -> Result<Found, Stop> {
    let id = ConversationId::topics();
    match view.conversation(ask.conf, &id)? {
        Some(found) => Ok(found),
        None => Ok(view.add_conversation(ask.conf, &id, Kind::Topics, String::new())?),
    }
}

/// One bounded step of forgetting what is older than sessions may come back to. The last one stays, since the log goes on from it.
pub(super) fn trim(view: &mut View<'_>, ask: Ask<'_>, through: u64) -> Applied {
    let Some(found) = view.conversation(ask.conf, &ConversationId::topics())? else { return Ok(Outcome::Done) };
    let through = through.min(view.head(&found)?.seq.saturating_sub(1));
    let from = keys::entry(ask.conf, found.record.no, 0);
    let prefix = &from[..from.len() - size_of::<u64>()];
    let oldest = view.keys_from(&from, prefix, MAX_STEP)?;
    let gone: Vec<_> = oldest.into_iter().filter(|key| keys::seq_of_entry(key) <= through).collect();
    let more = gone.len() == MAX_STEP;
    for key in gone {
        view.remove(key);
    }
    Ok(if more { Outcome::Continue(Vec::new()) } else { Outcome::Done })
}

/// A notice to the asker themselves, whose protocol has no word for a refusal.
pub(super) fn report(view: &mut View<'_>, ask: Ask<'_>, topic: &Arc<str>, why: &Arc<str>) -> Applied {
    ask.author(view)?;
    let id = ConversationId::inbox(&ask.actor.uid);
    let inbox = match view.conversation(ask.conf, &id)? {
        Some(inbox) => inbox,
        None => view.add_conversation(ask.conf, &id, Kind::Inbox, String::new())?,
    };
    let notice = Notice::Refused { topic: Arc::clone(topic), why: Arc::clone(why) };
    let event = view.append(&inbox, ask.actor, "".into(), ask.at_ms, Body::Notice(notice))?;
    Ok(added(&event, true))
}
