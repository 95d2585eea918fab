//! Keys of push: where people are reached, what they want, what is to be tried again and what was given up.

use super::{Key, conf_key, conv_key, text_hash, user_key};
use crate::ids::{ConfNo, ConvNo, ConversationId, Uid};
use crate::model::{Provider, PushRow, TargetId};

/// All targets of a conference.
#[must_use]
pub fn all_targets(conf: ConfNo) -> Key {
    conf_key(b'P', conf, b"")
}

/// All targets of a user.
#[must_use]
pub fn targets(conf: ConfNo, uid: &Uid) -> Key {
    user_key(b'P', conf, uid)
}

/// A user's target.
#[must_use]
pub fn target(conf: ConfNo, uid: &Uid, id: &TargetId) -> Key {
    [&targets(conf, uid)[..], id].concat()
}

/// The target's id at the end of such a key.
#[must_use]
pub fn id_of_target(key: &[u8]) -> Option<TargetId> {
    key.last_chunk().copied()
}

/// Whose a target is: the same device in other hands is theirs.
#[must_use]
pub fn target_owner(conf: ConfNo, id: &TargetId) -> Key {
    conf_key(b'9', conf, id)
}

/// What of a conversation a user wants.
#[must_use]
pub fn attention(conf: ConfNo, conv: ConvNo, uid: &Uid) -> Key {
    conv_key(b'l', conf, conv, uid.as_str().as_bytes())
}

/// All who want something else of a conversation than of others.
#[must_use]
pub fn attentions(conf: ConfNo, conv: ConvNo) -> Key {
    conv_key(b'l', conf, conv, b"")
}

/// What of all a user wants.
#[must_use]
pub fn push_settings(conf: ConfNo, uid: &Uid) -> Key {
    conf_key(b'z', conf, uid.as_str().as_bytes())
}

/// That a user wants everything of every conversation.
#[must_use]
pub fn wants_all(conf: ConfNo, uid: &Uid) -> Key {
    conf_key(b'8', conf, uid.as_str().as_bytes())
}

/// All who do.
#[must_use]
pub fn who_wants_all(conf: ConfNo) -> Key {
    conf_key(b'8', conf, b"")
}

/// How far push is in a conference.
#[must_use]
pub fn push_state(conf: ConfNo) -> Key {
    conf_key(b'Z', conf, b"")
}

/// All pushes of a conference that are to be tried again.
#[must_use]
pub fn all_push_rows(conf: ConfNo) -> Key {
    conf_key(b'Y', conf, b"")
}

/// Those of one provider, by when they are due: one that cannot be reached is not looked through for the others.
#[must_use]
pub fn push_rows(conf: ConfNo, provider: Provider) -> Key {
    conf_key(b'Y', conf, &[provider as u8])
}

/// One of them. The target's first byte is its provider.
#[must_use]
pub fn push_row(conf: ConfNo, due_ms: u64, row: &PushRow) -> Key {
    let mut key = conf_key(b'Y', conf, &row.target[..1]);
    key.extend_from_slice(&due_ms.to_be_bytes());
    let mut of = row.user.as_str().as_bytes().to_vec();
    of.push(0);
    of.extend_from_slice(&row.target);
    of.extend_from_slice(row.conversation.as_str().as_bytes());
    key.extend_from_slice(&text_hash(&of));
    key
}

/// When the push of such a key is due.
#[must_use]
pub fn due_of_row(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(*key.get(6..)?.first_chunk()?))
}

/// When the push about a conversation to a target is due.
#[must_use]
pub fn push_row_of(conf: ConfNo, uid: &Uid, target: &TargetId, conversation: &ConversationId) -> Key {
    [&push_rows_of(conf, uid)[..], target, conversation.as_str().as_bytes()].concat()
}

/// All such of a user.
#[must_use]
pub fn push_rows_of(conf: ConfNo, uid: &Uid) -> Key {
    user_key(b'W', conf, uid)
}

/// All such of a user's target.
#[must_use]
pub fn push_rows_to(conf: ConfNo, uid: &Uid, target: &TargetId) -> Key {
    [&push_rows_of(conf, uid)[..], target].concat()
}

/// The target and the conversation of such a key, of which `prefix` is that of the user.
#[must_use]
pub fn parts_of_row(key: &[u8], prefix: &[u8]) -> Option<(TargetId, ConversationId)> {
    let (target, conversation) = key.strip_prefix(prefix)?.split_first_chunk::<16>()?;
    Some((*target, ConversationId::stored(std::str::from_utf8(conversation).ok()?)))
}

/// A push that was given up.
#[must_use]
pub fn dead_letter(conf: ConfNo, number: u64) -> Key {
    conf_key(b'X', conf, &number.to_be_bytes())
}

/// All of a conference.
#[must_use]
pub fn dead_letters(conf: ConfNo) -> Key {
    conf_key(b'X', conf, b"")
}

/// The number at the end of such a key.
#[must_use]
pub fn number_of_letter(key: &[u8]) -> u64 {
    key.last_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}
