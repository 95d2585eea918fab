//! What `apply` reads and writes: the state, overlaid with the changes of the batch under way, with the hot records kept
//! decoded. Nothing of a batch is visible to anybody else until the whole batch is committed.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::command::Actor;
use crate::generations::Generations;
use crate::ids::{ConfNo, ConvNo, ConversationId, Uid};
use crate::keys::{self, Key};
use crate::log::Lsn;
use crate::model::{Body, Conversation, Entry, Event, Head, Kind, Member, Place, Standing, User};
use crate::state::{Batch, Direction, State, StateError};
use crate::topic::Telling;

/// The record schema that this build reads and writes.
pub const SCHEMA: u32 = 2;

/// Decoded records of each kind that the apply thread keeps at least.
const CACHED_RECORDS: usize = 16_384;

/// Record: how far the store is, and what it is sealed with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreHead {
    /// [`SCHEMA`] of the build that wrote it.
    pub schema: u32,
    /// The last command whose changes are in the state.
    pub applied: Lsn,
    /// Key of event ids and idempotency hashes.
    pub secret: [u8; 16],
    /// Conferences made so far.
    pub conferences: u32,
}

/// Record: how far a conference is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ConferenceHead {
    /// The last event's pos.
    pub pos: u64,
    /// Conversations made so far.
    pub conversations: u32,
    /// Accounts that are not erased.
    pub users: u32,
    /// Topics that have a retained publication.
    pub retained: u32,
}

/// A conversation with the id it was found by.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its conference.
    pub conf: ConfNo,
    /// Its id.
    pub id: ConversationId,
    /// Its record.
    pub record: Conversation,
}

/// Decodes a record.
///
/// # Errors
/// [`StateError::Io`] when the bytes are not such a record: the store was written by something else.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StateError> {
    postcard::from_bytes(bytes).map_err(|error| StateError::Io(format!("a record of another shape: {error}")))
}

/// Encodes a record.
pub fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    // The records hold nothing that postcard cannot write.
    postcard::to_stdvec(record).unwrap_or_default()
}

/// Reads the last event's place in a conversation from the state.
///
/// # Errors
/// Those of the state.
pub fn read_head(state: &dyn State, conf: ConfNo, conv: ConvNo) -> Result<Head, StateError> {
    let mut head = Ok(Head::default());
    let (from, to) = (keys::entry(conf, conv, 0), keys::entry(conf, conv, u64::MAX));
    state.scan(&from, &to, Direction::Descending, &mut |key, value| {
        head = decode::<Entry>(value).map(|entry| Head { seq: keys::seq_of_entry(key), pos: entry.pos, n: entry.n, ts_ms: entry.ts_ms });
        ControlFlow::Break(())
    })?;
    head
}

/// Decoded records that stay valid between batches; emptied when a commit fails.
#[derive(Debug)]
pub struct Kept {
    conferences: HashMap<ConfNo, ConferenceHead>,
    conversations: Generations<(ConfNo, ConversationId), Option<Conversation>>,
    heads: Generations<(ConfNo, ConvNo), Head>,
    members: Generations<(ConfNo, ConvNo, Uid), Option<Member>>,
    users: Generations<(ConfNo, Uid), Option<Arc<User>>>,
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            conferences: HashMap::new(),
            conversations: Generations::new(CACHED_RECORDS),
            heads: Generations::new(CACHED_RECORDS),
            members: Generations::new(CACHED_RECORDS),
            users: Generations::new(CACHED_RECORDS),
        }
    }
}

/// What a batch of commands made.
#[derive(Debug, Default)]
pub struct Made {
    /// New events, in pos order within each conference.
    pub events: Vec<Arc<Event>>,
    /// Signals about durable changes that are no events (read markers).
    pub signals: Vec<Telling>,
    /// Accounts whose sessions must look again whether they are still good.
    pub revoked: Vec<(ConfNo, Uid)>,
    /// What deleted messages, their edits and the words of the erased have become: their copies in memory, too.
    pub tombstones: Vec<(ConfNo, Entry)>,
}

/// The state as the commands of one batch see it.
pub struct View<'a> {
    state: &'a dyn State,
    kept: &'a mut Kept,
    changes: HashMap<Key, Option<Vec<u8>>>,
    /// The store's head; the caller moves `applied` on.
    pub head: StoreHead,
    /// What the batch made so far.
    pub made: Made,
}

impl<'a> View<'a> {
    /// A view with no changes yet.
    pub fn new(state: &'a dyn State, kept: &'a mut Kept, head: StoreHead) -> Self {
        Self { state, kept, changes: HashMap::new(), head, made: Made::default() }
    }

    /// The changes as one batch for the state, with the store's head, and what was made.
    #[must_use]
    pub fn finish(mut self) -> (Batch, StoreHead, Made) {
        self.changes.insert(keys::store_head(), Some(encode(&self.head)));
        let mut changes: Vec<_> = self.changes.into_iter().collect();
        // In key order neighbours are written together, and every run writes the same.
        changes.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        (Batch { changes }, self.head, self.made)
    }

    /// A record.
    ///
    /// # Errors
    /// Those of the state.
    pub fn get<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, StateError> {
        match self.changes.get(key) {
            Some(changed) => changed.as_deref().map(decode).transpose(),
            None => self.state.get(key)?.as_deref().map(decode).transpose(),
        }
    }

    /// Forgets what is kept decoded, when records were removed by their keys.
    pub fn forget_kept(&mut self) {
        *self.kept = Kept::default();
    }

    /// Whether there is a record.
    ///
    /// # Errors
    /// Those of the state.
    pub fn has(&self, key: &[u8]) -> Result<bool, StateError> {
        match self.changes.get(key) {
            Some(changed) => Ok(changed.is_some()),
            None => Ok(self.state.get(key)?.is_some()),
        }
    }

    /// Sets a record.
    pub fn put<T: Serialize>(&mut self, key: Key, record: &T) {
        self.changes.insert(key, Some(encode(record)));
    }

    /// Removes a record.
    pub fn remove(&mut self, key: Key) {
        self.changes.insert(key, None);
    }

    /// The first `limit` keys from `from` on that start with `prefix`, with this batch's changes: what a command finds must not depend
    /// on the batch that it came in, since a replay has other batches.
    ///
    /// # Errors
    /// Those of the state.
    pub fn keys_from(&self, from: &[u8], prefix: &[u8], limit: usize) -> Result<Vec<Key>, StateError> {
        let end = keys::end_of(prefix);
        let changed = self.changes.iter().filter(|(key, _)| key.as_slice() >= from && key.as_slice() < end.as_slice());
        let (added, removed): (Vec<_>, Vec<_>) = changed.partition(|(_, value)| value.is_some());
        let removed: HashSet<&[u8]> = removed.into_iter().map(|(key, _)| key.as_slice()).collect();
        let mut found: BTreeSet<Key> = added.into_iter().map(|(key, _)| key.clone()).collect();
        let mut stored = 0;
        self.state.scan(from, &end, Direction::Ascending, &mut |key, _| {
            if !removed.contains(key) {
                found.insert(key.to_vec());
                stored += 1;
            }
            if stored < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(found.into_iter().take(limit).collect())
    }

    /// The last key that starts with `prefix`, with this batch's changes.
    ///
    /// # Errors
    /// Those of the state.
    pub fn last_key(&self, prefix: &[u8]) -> Result<Option<Key>, StateError> {
        let changed = self.changes.iter().filter(|(key, value)| key.starts_with(prefix) && value.is_some());
        let added = changed.map(|(key, _)| key).max().cloned();
        let mut stored = None;
        self.state.scan(prefix, &keys::end_of(prefix), Direction::Descending, &mut |key, _| {
            if self.changes.get(key).is_some_and(Option::is_none) {
                return ControlFlow::Continue(());
            }
            stored = Some(key.to_vec());
            ControlFlow::Break(())
        })?;
        Ok(added.max(stored))
    }

    /// A conference's head.
    ///
    /// # Errors
    /// Those of the state.
    pub fn conference_head(&mut self, conf: ConfNo) -> Result<ConferenceHead, StateError> {
        if let Some(head) = self.kept.conferences.get(&conf) {
            return Ok(*head);
        }
        let head = self.get(&keys::conference_head(conf))?.unwrap_or_default();
        self.kept.conferences.insert(conf, head);
        Ok(head)
    }

    /// Sets a conference's head.
    pub fn put_conference_head(&mut self, conf: ConfNo, head: ConferenceHead) {
        self.kept.conferences.insert(conf, head);
        self.put(keys::conference_head(conf), &head);
    }

    /// A conversation.
    ///
    /// # Errors
    /// Those of the state.
    pub fn conversation(&mut self, conf: ConfNo, id: &ConversationId) -> Result<Option<Found>, StateError> {
        let cached = (conf, id.clone());
        let record = match self.kept.conversations.get(&cached) {
            Some(record) => record.clone(),
            None => {
                let record: Option<Conversation> = self.get(&keys::conversation(conf, id))?;
                self.kept.conversations.insert(cached, record.clone());
                record
            }
        };
        Ok(record.map(|record| Found { conf, id: id.clone(), record }))
    }

    /// Sets a conversation's record.
    pub fn put_conversation(&mut self, found: &Found) {
        self.put(keys::conversation(found.conf, &found.id), &found.record);
        self.kept.conversations.insert((found.conf, found.id.clone()), Some(found.record.clone()));
    }

    /// Makes a conversation that is not there yet.
    ///
    /// # Errors
    /// Those of the state.
    pub fn add_conversation(&mut self, conf: ConfNo, id: &ConversationId, kind: Kind, title: String) -> Result<Found, StateError> {
        let mut head = self.conference_head(conf)?;
        head.conversations += 1;
        self.put_conference_head(conf, head);
        let record = Conversation { no: ConvNo(head.conversations), kind, title, members: 0, owners: 0 };
        let found = Found { conf, id: id.clone(), record };
        self.kept.heads.insert((conf, found.record.no), Head::default());
        if kind.is_public() {
            self.put(keys::public_conversation(conf, id), &());
        }
        self.put_conversation(&found);
        Ok(found)
    }

    /// The place of a conversation's last event.
    ///
    /// # Errors
    /// Those of the state.
    pub fn head(&mut self, found: &Found) -> Result<Head, StateError> {
        let key = (found.conf, found.record.no);
        if let Some(head) = self.kept.heads.get(&key) {
            return Ok(*head);
        }
        let head = self.newest_entry(found.conf, found.record.no)?;
        self.kept.heads.insert(key, head);
        Ok(head)
    }

    /// The head from the records: the cache may have let it go in the middle of a batch, so the overlay counts too.
    fn newest_entry(&self, conf: ConfNo, conv: ConvNo) -> Result<Head, StateError> {
        let mut head = read_head(self.state, conf, conv)?;
        while let Some(Some(bytes)) = self.changes.get(&keys::entry(conf, conv, head.seq + 1)) {
            let entry: Entry = decode(bytes)?;
            head = Head { seq: head.seq + 1, pos: entry.pos, n: entry.n, ts_ms: entry.ts_ms };
        }
        Ok(head)
    }

    /// A membership, present or past.
    ///
    /// # Errors
    /// Those of the state.
    pub fn member(&mut self, found: &Found, uid: &Uid) -> Result<Option<Member>, StateError> {
        let cached = (found.conf, found.record.no, uid.clone());
        if let Some(member) = self.kept.members.get(&cached) {
            return Ok(member.clone());
        }
        let member: Option<Member> = self.get(&keys::member(found.conf, found.record.no, uid))?;
        self.kept.members.insert(cached, member.clone());
        Ok(member)
    }

    /// Where somebody stands with a conversation.
    ///
    /// # Errors
    /// Those of the state.
    pub fn standing(&mut self, found: &Found, uid: &Uid) -> Result<Option<Standing>, StateError> {
        Ok(self.member(found, uid)?.map(|member| member.standing))
    }

    /// Sets where somebody stands, since the event at `pos`, and keeps the conversation's counts.
    ///
    /// # Errors
    /// Those of the state.
    pub fn put_standing(&mut self, found: &mut Found, uid: &Uid, standing: Standing, pos: u64) -> Result<(), StateError> {
        use crate::model::MemberRole::Owner;
        let before = self.member(found, uid)?;
        let was = before.as_ref().and_then(|member| member.standing.role());
        let is = standing.role();
        found.record.members = found.record.members + u32::from(is.is_some()) - u32::from(was.is_some());
        found.record.owners = found.record.owners + u32::from(is == Some(Owner)) - u32::from(was == Some(Owner));
        let member = Member { standing, since_pos: pos, muted: before.as_ref().is_some_and(|member| member.muted) };
        let (conf, conv) = (found.conf, found.record.no);
        self.put(keys::member(conf, conv, uid), &member);
        if before.is_none() {
            self.put(keys::user_conversation(conf, uid, &found.id), &());
        }
        self.kept.members.insert((conf, conv, uid.clone()), Some(member));
        self.put_conversation(found);
        Ok(())
    }

    /// An account that is not erased.
    ///
    /// # Errors
    /// Those of the state.
    pub fn user(&mut self, conf: ConfNo, uid: &Uid) -> Result<Option<Arc<User>>, StateError> {
        Ok(self.user_record(conf, uid)?.filter(|user| !user.erased))
    }

    /// An account, erased or not.
    ///
    /// # Errors
    /// Those of the state.
    pub fn user_record(&mut self, conf: ConfNo, uid: &Uid) -> Result<Option<Arc<User>>, StateError> {
        let cached = (conf, uid.clone());
        if let Some(user) = self.kept.users.get(&cached) {
            return Ok(user.clone());
        }
        let user: Option<Arc<User>> = self.get::<User>(&keys::user(conf, uid))?.map(Arc::new);
        self.kept.users.insert(cached, user.clone());
        Ok(user)
    }

    /// Sets an account.
    pub fn put_user(&mut self, conf: ConfNo, uid: &Uid, user: User) {
        self.put(keys::user(conf, uid), &user);
        self.kept.users.insert((conf, uid.clone()), Some(Arc::new(user)));
    }

    /// An entry of a conversation.
    ///
    /// # Errors
    /// Those of the state.
    pub fn entry(&self, found: &Found, seq: u64) -> Result<Option<Entry>, StateError> {
        self.get(&keys::entry(found.conf, found.record.no, seq))
    }

    /// Overwrites an entry with its present form.
    pub fn put_entry(&mut self, found: &Found, seq: u64, entry: &Entry) {
        self.put(keys::entry(found.conf, found.record.no, seq), entry);
    }

    /// Adds an event to a conversation: gives it seq, pos, n and ts.
    ///
    /// # Errors
    /// Those of the state.
    pub fn append(&mut self, found: &Found, actor: &Actor, name: Arc<str>, at_ms: u64, body: Body) -> Result<Arc<Event>, StateError> {
        let (conf, conv) = (found.conf, found.record.no);
        let mut conference = self.conference_head(conf)?;
        let last = self.head(found)?;
        conference.pos += 1;
        let head = Head {
            seq: last.seq + 1,
            pos: conference.pos,
            n: last.n + u64::from(matches!(body, Body::Message(_))),
            ts_ms: at_ms.max(last.ts_ms),
        };
        let entry = Entry { pos: head.pos, n: head.n, ts_ms: head.ts_ms, from: actor.uid.clone(), name, via: actor.via, body };
        self.put_entry(found, head.seq, &entry);
        self.put_conference_head(conf, conference);
        self.kept.heads.insert((conf, conv), head);
        let place = Place { conf, conv, conversation: found.id.clone(), kind: found.record.kind, seq: head.seq };
        let event = Arc::new(Event { place, entry, origin: actor.session });
        self.made.events.push(Arc::clone(&event));
        Ok(event)
    }
}
