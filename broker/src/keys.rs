//! The state's key layout: which record is found where. Numbers are big-endian, so that keys sort as they count; a text that
//! something follows ends in a zero byte, which no id contains.
//!
//! | prefix | key | record |
//! | --- | --- | --- |
//! | `1` | conf, hash of what tells a scan from others | [`KnownScan`](crate::model::KnownScan) |
//! | `2` | conf, uid of a reader | [`Waiting`](crate::model::Waiting) |
//! | `3` | conf, conv | [`Occupancy`](crate::model::Occupancy) |
//! | `4` | conf, uid | [`Attendee`](crate::model::Attendee) |
//! | `5` | conf, hash of the ticket shop's id | uid |
//! | `6` | conf, uid | [`Bearer`](crate::model::Bearer) |
//! | `7` | conf | [`BadgeTotals`](crate::model::BadgeTotals) |
//! | `a` | – | applied lsn, schema, secret (`StoreHead`) |
//! | `A` | conf, code of a badge | [`Badge`](crate::model::Badge) |
//! | `b` | conf, blocker, `0`, blocked | `()` |
//! | `B` | conf, uid | [`Belongings`](crate::model::Belongings) |
//! | `c` | conf, conversation id | [`Conversation`](crate::model::Conversation) |
//! | `C` | conference id | [`Conference`](crate::model::Conference) |
//! | `d` | conf, uid of a reader | [`ReaderSettings`](crate::model::ReaderSettings) |
//! | `D` | conf | conference id |
//! | `e` | conf, conv, seq | [`Entry`](crate::model::Entry) |
//! | `E` | conf, uid | where an erasure goes on |
//! | `f` | conf, file id | [`File`](crate::model::File) |
//! | `F` | conf, uid, `0`, file id | `()`: the file is theirs |
//! | `g` | conf, Unix ms, file id | `()`: the file is in no message since then |
//! | `G` | conf, uid, or nothing for all of the conference | [`Uploads`](crate::model::Uploads) |
//! | `h` | conf | `ConferenceHead` |
//! | `H` | conf, uid | [`Checkin`](crate::model::Checkin) |
//! | `i` | conf, conv, hash of (uid, client id) | `Idempotency` |
//! | `I` | conf, hash of the code | [`Invite`](crate::model::Invite) |
//! | `j` | conf, hash of (issuer, subject) | [`Subject`](crate::model::Subject) |
//! | `J` | conf, uid, `0`, code of a badge | `()`: the badge is theirs |
//! | `k` | conf, uid, `0`, node | [`Node`](crate::model::Node) |
//! | `K` | conf, uid, `0`, node, `0`, item id | [`Item`](crate::model::Item) |
//! | `L` | conf, owner, `0`, uid | [`Lead`](crate::model::Lead) |
//! | `m` | conf, conv, uid | [`Member`](crate::model::Member) |
//! | `M` | conf, uid, `0`, owner | `()`: they are a lead of the owner's |
//! | `n` | conf, name in lower case | uid |
//! | `N` | conf, conv, uid | [`Attendance`](crate::model::Attendance) |
//! | `o` | conf, uid, `0`, node, `0`, order | item id |
//! | `O` | conf, uid, `0`, other | [`Contact`](crate::model::Contact) |
//! | `p` | conf, conversation id | `()`: the conversation is open to all |
//! | `q` | conf, hash of the topic, pos | [`Stored`](crate::model::Stored) |
//! | `Q` | conf, hash of the topic or nothing | [`StoredTotals`](crate::model::StoredTotals) |
//! | `r` | conf, conv, uid | `ReadMark` |
//! | `R` | conf, topic, of a long one its beginning and hash | [`Retained`](crate::model::Retained) |
//! | `s` | conf, uid, `0`, MQTT client id | [`KeptSession`](crate::model::KeptSession) |
//! | `S` | conf, uid, `0`, MQTT client id, `0`, hash of the filter | [`KeptSubscription`](crate::model::KeptSubscription) |
//! | `t` | conf, uid, `0`, token hash | `()` |
//! | `T` | token hash | [`Token`](crate::model::Token) |
//! | `u` | conf, uid, `0`, conversation id | `()`: the user has a [`Member`](crate::model::Member) there |
//! | `U` | conf, uid | [`User`](crate::model::User) |
//! | `w` | conf, word of a name in lower case, `0`, uid | `()` |
//! | `v` | conf, uid, `0`, hash of the topic, pos | topic: the user stored it there |
//! | `V` | conf, uid | [`StoredTotals`](crate::model::StoredTotals) |
//! | `l` | conf, conv, uid | [`Attention`](crate::model::Attention) |
//! | `P` | conf, uid, `0`, target id | [`Target`](crate::model::Target) |
//! | `W` | conf, uid, `0`, target id, conversation id | Unix ms: when that push is due |
//! | `x` | conf, conv, seq, uid, `0`, emoji | seq of the reaction |
//! | `X` | conf, number | [`PushRow`](crate::model::PushRow) that was given up |
//! | `y` | conf, pos | topic: the newest that is stored with it |
//! | `Y` | conf, provider, Unix ms, hash of (uid, target id, conversation id) | [`PushRow`](crate::model::PushRow) that is due then |
//! | `z` | conf, uid | [`PushSettings`](crate::model::PushSettings) |
//! | `Z` | conf | [`PushState`](crate::model::PushState) |
//! | `8` | conf, uid | `()`: they want a push of everything |
//! | `9` | conf, target id | uid: whose target it is |

mod badges;
mod files;
mod push;
mod topics;

use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher24};

use crate::ids::{ConfNo, ConvNo, ConversationId, Uid};
use crate::model::{InviteHash, SubjectHash, TokenHash};

pub use badges::{
    KNOWN_SCANS, all_attendances, attendance, attendances, attendee, badge, badge_totals, badges, bearer, bearers, checkin, checkins,
    code_of_badge, contact, contacts, holder, holders, known_scan, lead, leads, occupancy, reader, readers, ticket, user_badge,
    user_badges, waiting_tap,
};

pub use files::{
    file, files, id_of_file, parts_of_file, parts_of_unused, unused_file, unused_files, uploads, uploads_of_all, user_file, user_files,
};

pub use push::{
    all_push_rows, all_targets, attention, attentions, dead_letter, dead_letters, due_of_row, id_of_target, number_of_letter, parts_of_row,
    push_row, push_row_of, push_rows, push_rows_of, push_rows_to, push_settings, push_state, target, target_owner, targets, wants_all,
    who_wants_all,
};

pub use topics::{
    all_stored_by, pos_of_stored, retained, retained_below, stored, stored_ages, stored_at, stored_by, stored_by_on, stored_of,
    stored_topic, stored_totals, stored_totals_of, topic_of_retained,
};

/// A key of the state.
pub type Key = Vec<u8>;

/// Prefix of idempotency keys.
pub const IDEMPOTENCY: u8 = b'i';
/// Prefix of tokens.
pub const TOKENS: u8 = b'T';
/// Prefixes of what belongs to one conference, each followed by its number.
/// Accounts go first: then nobody can begin anything in what is left.
const OF_CONFERENCE: &[u8] = b"UAbBcdeEfFgGhHiIjJkKlLmMnNoOpPqQrRsStuvVwWxXyYzZ123456789";

/// Bytes in front of what tells a conference's records of one kind from each other.
pub const CONF_KEY_BYTES: usize = 1 + size_of::<u32>();

/// The prefix of all records of one kind in a conference.
#[must_use]
pub fn all_of(kind: u8, conf: ConfNo) -> Key {
    conf_key(kind, conf, b"")
}

/// The prefixes of all that belongs to a conference, but for its own record.
pub fn of_conference(conf: ConfNo) -> impl Iterator<Item = Key> {
    OF_CONFERENCE.iter().map(move |prefix| conf_key(*prefix, conf, b""))
}

fn key(prefix: u8, capacity: usize) -> Key {
    let mut key = Vec::with_capacity(1 + capacity);
    key.push(prefix);
    key
}

fn conf_key(prefix: u8, conf: ConfNo, rest: &[u8]) -> Key {
    let mut key = key(prefix, 4 + rest.len() + 24);
    key.extend_from_slice(&conf.0.to_be_bytes());
    key.extend_from_slice(rest);
    key
}

fn conv_key(prefix: u8, conf: ConfNo, conv: ConvNo, rest: &[u8]) -> Key {
    let mut key = key(prefix, 8 + rest.len());
    key.extend_from_slice(&conf.0.to_be_bytes());
    key.extend_from_slice(&conv.0.to_be_bytes());
    key.extend_from_slice(rest);
    key
}

fn user_key(prefix: u8, conf: ConfNo, uid: &Uid) -> Key {
    let mut key = conf_key(prefix, conf, uid.as_str().as_bytes());
    key.push(0);
    key
}

fn node_key(prefix: u8, conf: ConfNo, uid: &Uid, node: &str) -> Key {
    let mut key = user_key(prefix, conf, uid);
    key.extend_from_slice(node.as_bytes());
    key.push(0);
    key
}

/// The text that ends a key, from byte `at` on; `None` where there is none.
#[must_use]
pub fn text_at(key: &[u8], at: usize) -> Option<&str> {
    std::str::from_utf8(key.get(at..)?).ok()
}

/// The uid that ends a key.
#[must_use]
pub fn uid_at(key: &[u8], at: usize) -> Option<Uid> {
    Uid::parse(text_at(key, at)?).ok()
}

/// The conversation's id that ends a key.
#[must_use]
pub fn conversation_at(key: &[u8], at: usize) -> Option<ConversationId> {
    text_at(key, at).map(ConversationId::stored)
}

/// Where those keys begin that start with `prefix` and come after the key `last`; without it, all of them.
#[must_use]
pub fn above(prefix: &[u8], last: Option<Key>) -> Key {
    let Some(mut from) = last else { return prefix.to_vec() };
    from.push(0);
    from
}

/// The first key after all those that start with `prefix`.
#[must_use]
pub fn end_of(prefix: &[u8]) -> Key {
    let mut end = prefix.to_vec();
    while let Some(last) = end.last_mut() {
        if *last < u8::MAX {
            *last += 1;
            return end;
        }
        end.pop();
    }
    end
}

/// The store's head.
#[must_use]
pub fn store_head() -> Key {
    vec![b'a']
}

/// Whether one user has blocked another.
#[must_use]
pub fn block(conf: ConfNo, blocker: &Uid, blocked: &Uid) -> Key {
    let mut key = blocks(conf, blocker);
    key.extend_from_slice(blocked.as_str().as_bytes());
    key
}

/// All whom a user has blocked.
#[must_use]
pub fn blocks(conf: ConfNo, blocker: &Uid) -> Key {
    user_key(b'b', conf, blocker)
}

/// What a user's blocks and kept items come to.
#[must_use]
pub fn belongings(conf: ConfNo, uid: &Uid) -> Key {
    conf_key(b'B', conf, uid.as_str().as_bytes())
}

/// All nodes that a user keeps items in.
#[must_use]
pub fn nodes(conf: ConfNo, uid: &Uid) -> Key {
    user_key(b'k', conf, uid)
}

/// A node that a user keeps items in. Neither its name nor an item's id holds a zero byte.
#[must_use]
pub fn node(conf: ConfNo, uid: &Uid, node: &str) -> Key {
    let mut key = nodes(conf, uid);
    key.extend_from_slice(node.as_bytes());
    key
}

/// A kept item.
#[must_use]
pub fn item(conf: ConfNo, uid: &Uid, node: &str, id: &str) -> Key {
    let mut key = node_key(b'K', conf, uid, node);
    key.extend_from_slice(id.as_bytes());
    key
}

/// All kept items of a user.
#[must_use]
pub fn user_items(conf: ConfNo, uid: &Uid) -> Key {
    user_key(b'K', conf, uid)
}

/// Items of a node in the order they came in.
#[must_use]
pub fn item_orders(conf: ConfNo, uid: &Uid, node: &str) -> Key {
    node_key(b'o', conf, uid, node)
}

/// All such orders of a user.
#[must_use]
pub fn user_item_orders(conf: ConfNo, uid: &Uid) -> Key {
    user_key(b'o', conf, uid)
}

/// One of them.
#[must_use]
pub fn item_order(conf: ConfNo, uid: &Uid, node: &str, order: u64) -> Key {
    let mut key = item_orders(conf, uid, node);
    key.extend_from_slice(&order.to_be_bytes());
    key
}

/// A conversation by its id.
#[must_use]
pub fn conversation(conf: ConfNo, id: &ConversationId) -> Key {
    conf_key(b'c', conf, id.as_str().as_bytes())
}

/// All conversations of a conference.
#[must_use]
pub fn conversations(conf: ConfNo) -> Key {
    conf_key(b'c', conf, b"")
}

/// A conference by its id.
#[must_use]
pub fn conference(id: &str) -> Key {
    let mut key = key(b'C', id.len());
    key.extend_from_slice(id.as_bytes());
    key
}

/// A conference's id by its number.
#[must_use]
pub fn conference_id(conf: ConfNo) -> Key {
    conf_key(b'D', conf, b"")
}

/// One entry of a conversation's log.
#[must_use]
pub fn entry(conf: ConfNo, conv: ConvNo, seq: u64) -> Key {
    conv_key(b'e', conf, conv, &seq.to_be_bytes())
}

/// The seq at the end of an entry's key.
#[must_use]
pub fn seq_of_entry(key: &[u8]) -> u64 {
    key.last_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// Where the erasure of a user goes on.
#[must_use]
pub fn erasure(conf: ConfNo, uid: &Uid) -> Key {
    conf_key(b'E', conf, uid.as_str().as_bytes())
}

/// All erasures under way in a conference.
#[must_use]
pub fn erasures(conf: ConfNo) -> Key {
    conf_key(b'E', conf, b"")
}

/// A conference's head.
#[must_use]
pub fn conference_head(conf: ConfNo) -> Key {
    conf_key(b'h', conf, b"")
}

/// An idempotency key.
#[must_use]
pub fn idempotency(conf: ConfNo, conv: ConvNo, hash: u128) -> Key {
    conv_key(IDEMPOTENCY, conf, conv, &hash.to_be_bytes())
}

/// An invitation.
#[must_use]
pub fn invite(conf: ConfNo, code: &InviteHash) -> Key {
    conf_key(b'I', conf, code)
}

/// All invitations of a conference.
#[must_use]
pub fn invites(conf: ConfNo) -> Key {
    conf_key(b'I', conf, b"")
}

/// Everybody of a conference's identity provider.
#[must_use]
pub fn subjects(conf: ConfNo) -> Key {
    conf_key(b'j', conf, b"")
}

/// Who somebody of an identity provider is here.
#[must_use]
pub fn subject(conf: ConfNo, subject: &SubjectHash) -> Key {
    conf_key(b'j', conf, subject)
}

/// A membership.
#[must_use]
pub fn member(conf: ConfNo, conv: ConvNo, uid: &Uid) -> Key {
    conv_key(b'm', conf, conv, uid.as_str().as_bytes())
}

/// All memberships of a conversation.
#[must_use]
pub fn members(conf: ConfNo, conv: ConvNo) -> Key {
    conv_key(b'm', conf, conv, b"")
}

/// Who has a display name.
#[must_use]
pub fn name(conf: ConfNo, name: &str) -> Key {
    conf_key(b'n', conf, name.to_lowercase().as_bytes())
}

/// A read marker.
#[must_use]
pub fn read_mark(conf: ConfNo, conv: ConvNo, uid: &Uid) -> Key {
    conv_key(b'r', conf, conv, uid.as_str().as_bytes())
}

/// All tokens of a user.
#[must_use]
pub fn user_tokens(conf: ConfNo, uid: &Uid) -> Key {
    user_key(b't', conf, uid)
}

/// That a token is a user's.
#[must_use]
pub fn user_token(conf: ConfNo, uid: &Uid, hash: &TokenHash) -> Key {
    let mut key = user_tokens(conf, uid);
    key.extend_from_slice(hash);
    key
}

/// A token.
#[must_use]
pub fn token(hash: &TokenHash) -> Key {
    let mut key = key(TOKENS, hash.len());
    key.extend_from_slice(hash);
    key
}

/// All conversations that a user has a membership record in.
#[must_use]
pub fn user_conversations(conf: ConfNo, uid: &Uid) -> Key {
    user_key(b'u', conf, uid)
}

/// That a user has a membership record in a conversation.
#[must_use]
pub fn user_conversation(conf: ConfNo, uid: &Uid, id: &ConversationId) -> Key {
    let mut key = user_conversations(conf, uid);
    key.extend_from_slice(id.as_str().as_bytes());
    key
}

/// An account.
#[must_use]
pub fn user(conf: ConfNo, uid: &Uid) -> Key {
    conf_key(b'U', conf, uid.as_str().as_bytes())
}

/// All accounts of a conference.
#[must_use]
pub fn users(conf: ConfNo) -> Key {
    conf_key(b'U', conf, b"")
}

/// A user's reactions to a message: an emoji follows.
#[must_use]
pub fn reactions(conf: ConfNo, conv: ConvNo, target: u64, uid: &Uid) -> Key {
    reaction(conf, conv, target, uid, "")
}

/// A user's reaction to a message.
#[must_use]
pub fn reaction(conf: ConfNo, conv: ConvNo, target: u64, uid: &Uid, emoji: &str) -> Key {
    let mut key = conv_key(b'x', conf, conv, &target.to_be_bytes());
    key.extend_from_slice(uid.as_str().as_bytes());
    key.push(0);
    key.extend_from_slice(emoji.as_bytes());
    key
}

/// That a conversation is open to all.
#[must_use]
pub fn public_conversation(conf: ConfNo, id: &ConversationId) -> Key {
    conf_key(b'p', conf, id.as_str().as_bytes())
}

/// All conversations that are open to all.
#[must_use]
pub fn public_conversations(conf: ConfNo) -> Key {
    conf_key(b'p', conf, b"")
}

/// For keys of texts that are too long to be in them.
fn text_hash(text: &[u8]) -> [u8; 16] {
    let mut hasher = SipHasher24::new();
    hasher.write(text);
    hasher.finish128().as_bytes()
}

/// Prefix of kept MQTT sessions.
pub const SESSIONS: u8 = b's';

/// All kept MQTT sessions of a user.
#[must_use]
pub fn user_sessions(conf: ConfNo, uid: &Uid) -> Key {
    let mut key = conf_key(SESSIONS, conf, uid.as_str().as_bytes());
    key.push(0);
    key
}

/// A kept MQTT session. Client ids hold no zero byte (MQTT 5 §1.5.4).
#[must_use]
pub fn session(conf: ConfNo, uid: &Uid, client: &str) -> Key {
    let mut key = user_sessions(conf, uid);
    key.extend_from_slice(client.as_bytes());
    key
}

/// The conference, user and client id in a kept session's key.
#[must_use]
pub fn parts_of_session(key: &[u8]) -> Option<(ConfNo, Uid, &str)> {
    let (conf, rest) = key.get(1..)?.split_first_chunk::<4>()?;
    let (uid, client) = std::str::from_utf8(rest).ok()?.split_once('\0')?;
    Some((ConfNo(u32::from_be_bytes(*conf)), Uid::parse(uid).ok()?, client))
}

/// All subscriptions of a kept MQTT session.
#[must_use]
pub fn subscriptions(conf: ConfNo, uid: &Uid, client: &str) -> Key {
    let mut key = session(conf, uid, client);
    key[0] = b'S';
    key.push(0);
    key
}

/// A subscription of a kept MQTT session.
#[must_use]
pub fn subscription(conf: ConfNo, uid: &Uid, client: &str, filter: &str) -> Key {
    let mut key = subscriptions(conf, uid, client);
    key.extend_from_slice(&text_hash(filter.as_bytes()));
    key
}

/// All subscriptions of a user's kept MQTT sessions.
#[must_use]
pub fn user_subscriptions(conf: ConfNo, uid: &Uid) -> Key {
    user_key(b'S', conf, uid)
}

/// Words of a display name that it is found by.
pub fn name_words(name: &str) -> impl Iterator<Item = String> {
    name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).take(8).map(str::to_lowercase)
}

/// That a user's display name has a word.
#[must_use]
pub fn name_word(conf: ConfNo, word: &str, uid: &Uid) -> Key {
    let mut key = name_word_prefix(conf, word);
    key.push(0);
    key.extend_from_slice(uid.as_str().as_bytes());
    key
}

/// All words of display names that start with `prefix`.
#[must_use]
pub fn name_word_prefix(conf: ConfNo, prefix: &str) -> Key {
    conf_key(b'w', conf, prefix.as_bytes())
}
