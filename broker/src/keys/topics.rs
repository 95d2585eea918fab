//! Keys of what is kept of applications' topics.

use super::{Key, conf_key, seq_of_entry, text_hash, user_key};
use crate::ids::{ConfNo, Uid};

/// Bytes of a topic that its key holds: behind longer ones stands a hash, since keys are bounded.
const TOPIC_BYTES: usize = 256;

fn topic_head(topic: &str) -> &[u8] {
    &topic.as_bytes()[..topic.len().min(TOPIC_BYTES)]
}

/// A topic's retained publication.
#[must_use]
pub fn retained(conf: ConfNo, topic: &str) -> Key {
    let mut key = conf_key(b'R', conf, topic_head(topic));
    if topic.len() > TOPIC_BYTES {
        key.extend_from_slice(&text_hash(topic.as_bytes()));
    }
    key
}

/// All retained publications whose topics begin with `prefix`, and some more when it is long.
#[must_use]
pub fn retained_below(conf: ConfNo, prefix: &str) -> Key {
    conf_key(b'R', conf, topic_head(prefix))
}

/// The topic in a retained publication's key, unless it is too long for it.
#[must_use]
pub fn topic_of_retained(key: &[u8]) -> Option<&str> {
    let topic = key.get(5..).filter(|topic| topic.len() <= TOPIC_BYTES)?;
    std::str::from_utf8(topic).ok()
}

/// A publication that is stored with a topic.
#[must_use]
pub fn stored(conf: ConfNo, topic: &str, pos: u64) -> Key {
    let mut key = stored_of(conf, topic);
    key.extend_from_slice(&pos.to_be_bytes());
    key
}

/// All that is stored with a topic.
#[must_use]
pub fn stored_of(conf: ConfNo, topic: &str) -> Key {
    conf_key(b'q', conf, &text_hash(topic.as_bytes()))
}

/// What is stored with a topic comes to.
#[must_use]
pub fn stored_topic(conf: ConfNo, topic: &str) -> Key {
    conf_key(b'Q', conf, &text_hash(topic.as_bytes()))
}

/// What is stored with all topics comes to.
#[must_use]
pub fn stored_totals(conf: ConfNo) -> Key {
    conf_key(b'Q', conf, b"")
}

/// What a user stored with topics comes to.
#[must_use]
pub fn stored_totals_of(conf: ConfNo, uid: &Uid) -> Key {
    conf_key(b'V', conf, uid.as_str().as_bytes())
}

/// The topics that have stored messages, by the pos of the newest.
#[must_use]
pub fn stored_ages(conf: ConfNo) -> Key {
    conf_key(b'y', conf, b"")
}

/// One of them.
#[must_use]
pub fn stored_at(conf: ConfNo, pos: u64) -> Key {
    conf_key(b'y', conf, &pos.to_be_bytes())
}

/// All that a user stored with a topic.
#[must_use]
pub fn stored_by_on(conf: ConfNo, uid: &Uid, topic: &str) -> Key {
    let mut key = all_stored_by(conf, uid);
    key.extend_from_slice(&text_hash(topic.as_bytes()));
    key
}

/// That a user stored something with a topic.
#[must_use]
pub fn stored_by(conf: ConfNo, uid: &Uid, topic: &str, pos: u64) -> Key {
    let mut key = stored_by_on(conf, uid, topic);
    key.extend_from_slice(&pos.to_be_bytes());
    key
}

/// All that a user stored with topics.
#[must_use]
pub fn all_stored_by(conf: ConfNo, uid: &Uid) -> Key {
    user_key(b'v', conf, uid)
}

/// The pos at the end of a stored publication's keys.
#[must_use]
pub fn pos_of_stored(key: &[u8]) -> u64 {
    seq_of_entry(key)
}
