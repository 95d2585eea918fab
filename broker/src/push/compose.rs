//! What somebody is told: the message as it is now, and how much they have not read.

use std::hash::Hasher as _;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use siphasher::sip128::{Hasher128 as _, SipHasher24};

use super::gateway::{Push, Where};
use super::person::Person;
use crate::hub::Hub;
use crate::ids::{ConfNo, ConferenceId, ConversationId, Uid};
use crate::limits::beginning;
use crate::model::{Body, Event, Kind};
use crate::state::StateError;
use crate::view::Found;

/// Bytes of a text that are pushed; gateways cut further where their provider takes less.
const MAX_TEXT_BYTES: usize = 1024;
/// Bytes of a title.
const MAX_TITLE_BYTES: usize = 200;
/// What those are told who want no content.
const NO_CONTENT: &str = "New message";

/// The push of a message to somebody.
pub(super) fn compose(
    hub: &Hub,
    conference: &ConferenceId,
    found: &Found,
    person: &Person,
    event: &Event,
    now_ms: u64,
    time_to_live: Duration,
) -> Result<Push, StateError> {
    let (reader, uid) = (hub.reader(), &person.uid);
    let text = match &event.entry.body {
        Body::Message(message) => &*message.text,
        _ => "",
    };
    let (from, title, text) = if person.settings.content {
        (event.entry.from.as_str().into(), heading(found, &event.entry.name), cut(text, MAX_TEXT_BYTES))
    } else {
        let title = reader.conference(conference.as_str())?.map_or_else(String::new, |conference| conference.title);
        ("".into(), if title.is_empty() { conference.to_string() } else { title }, NO_CONTENT.to_owned())
    };
    // The id of a direct conversation names both.
    let is_hidden = !person.settings.content && found.record.kind == Kind::Direct;
    let id = reader.ids().encode(found.conf, event.entry.pos).into();
    let at = Where { conversation: found.id.clone(), seq: event.place.seq, id };
    let unread = reader.unread(found, uid, reader.head(found)?, reader.read_mark(found, uid)?)?;
    Ok(Push {
        conference: conference.clone(),
        user: uid.clone(),
        at: (!is_hidden).then_some(at),
        kind: found.record.kind,
        from,
        title: cut(&title, MAX_TITLE_BYTES).into(),
        text: text.into(),
        unread,
        badge: reader.unread_in_all(found.conf, uid, now_ms)?,
        collapse: collapse(&reader.key_for("push"), found.conf, uid, &found.id),
        mentions: person.is_named_in(event),
        ts_ms: event.entry.ts_ms,
        time_to_live,
    })
}

/// The author, and outside direct conversations where they said it.
fn heading(found: &Found, name: &str) -> String {
    let place = if found.record.title.is_empty() { found.id.as_str() } else { &found.record.title };
    if found.record.kind == Kind::Direct { name.to_owned() } else { format!("{name} · {place}") }
}

/// The same for all pushes of a conversation to a user: 22 characters.
pub(super) fn collapse(key: &[u8; 16], conf: ConfNo, uid: &Uid, conversation: &ConversationId) -> Arc<str> {
    let mut hasher = SipHasher24::new_with_key(key);
    hasher.write_u32(conf.0);
    hasher.write(uid.as_str().as_bytes());
    hasher.write_u8(0);
    hasher.write(conversation.as_str().as_bytes());
    BASE64URL_NOPAD.encode(&hasher.finish128().as_bytes()).into()
}

/// At most so many bytes, with an ellipsis where something is missing.
fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    format!("{}…", beginning(text, most - '…'.len_utf8()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_cut_fits_and_begins_the_same(text in "\\PC{0,60}", most in 3..80usize) {
            let short = cut(&text, most);
            prop_assert!(short.len() <= most);
            prop_assert!(text.starts_with(short.trim_end_matches('…')));
            prop_assert_eq!(short == text, text.len() <= most);
        }

        #[test]
        fn each_conversation_of_each_user_has_its_own_collapse(a in "[a-z]{1,8}", b in "[a-z]{1,8}", c in "[a-z]{1,8}", d in "[a-z]{1,8}") {
            let of = |uid: &str, conversation: &str| {
                collapse(&[7; 16], ConfNo(1), &Uid::parse(uid).unwrap(), &ConversationId::parse(conversation).unwrap())
            };
            prop_assert_eq!(of(&a, &b) == of(&c, &d), (&a, &b) == (&c, &d));
            prop_assert!(of(&a, &b).len() <= 32);
        }
    }
}
