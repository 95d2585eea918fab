//! Every record by itself: it is of the kind that its key says, and what it belongs to is there.

use std::ops::ControlFlow;

use super::{Walk, badges, shown, whole};
use crate::apply::{Idempotency, ReadMark};
use crate::backup::snapshot::END_OF_KEYS;
use crate::ids::{ConfNo, ConferenceId, ConversationId, Uid};
use crate::keys;
use crate::model::{
    Attention, Belongings, Conference, Conversation, Entry, File, FileId, Invite, Item, KeptSession, KeptSubscription, Member, Node,
    PushRow, PushSettings, PushState, Retained, Stored, StoredTotals, Subject, Target, Token, Uploads, User,
};
use crate::state::{Direction, StateError};
use crate::view::{ConferenceHead, StoreHead};

/// The prefixes whose keys go on with a conference's number.
const OF_CONFERENCE: &[u8] = b"AbBcdDeEfFgGhHiIjJkKlLmMnNoOpPqQrRsStuUvVwWxXyYzZ123456789";
/// Those whose keys then go on with a conversation's number.
const OF_CONVERSATION: &[u8] = b"eilmNrx3";
/// Records that are looked at between two looks at others: a state's visitor may read, but a long scan holds pages.
const CHUNK_RECORDS: usize = 1024;
const CHUNK_BYTES: usize = 4 << 20;

/// A key, taken apart.
pub(super) struct Parts<'a> {
    pub kind: u8,
    pub conf: ConfNo,
    conv: Option<u32>,
    pub rest: &'a [u8],
}

fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*number), rest))
}

impl<'a> Parts<'a> {
    /// `None` when it is too short for its kind.
    fn of(key: &'a [u8]) -> Option<Self> {
        let (kind, rest) = key.split_first()?;
        let (conf, rest) = if OF_CONFERENCE.contains(kind) { number(rest)? } else { (0, rest) };
        let (conv, rest) = match OF_CONVERSATION.contains(kind).then(|| number(rest)) {
            None => (None, rest),
            Some(found) => found.map(|(conv, rest)| (Some(conv), rest))?,
        };
        Some(Self { kind: *kind, conf: ConfNo(conf), conv, rest })
    }

    /// The text up to a zero byte, and what follows it.
    pub fn split_rest(&self) -> Option<(&'a [u8], &'a [u8])> {
        let zero = self.rest.iter().position(|byte| *byte == 0)?;
        Some((&self.rest[..zero], &self.rest[zero + 1..]))
    }
}

pub(super) fn uid(bytes: &[u8]) -> Option<Uid> {
    Uid::parse(std::str::from_utf8(bytes).ok()?).ok()
}

/// Whether the value is of the key's kind; `None` for a kind that there is not.
fn is_of_kind(kind: u8, value: &[u8]) -> Option<bool> {
    Some(match kind {
        b'a' => whole::<StoreHead>(value).is_some(),
        b'B' => whole::<Belongings>(value).is_some(),
        b'C' => whole::<Conference>(value).is_some(),
        b'D' => whole::<ConferenceId>(value).is_some(),
        b'c' => whole::<Conversation>(value).is_some(),
        b'e' => whole::<Entry>(value).is_some(),
        // `Erasure`: where it goes on.
        b'E' => whole::<(Vec<u8>, u64)>(value).is_some(),
        b'f' => whole::<File>(value).is_some(),
        b'G' => whole::<Uploads>(value).is_some(),
        b'h' => whole::<ConferenceHead>(value).is_some(),
        b'i' => whole::<Idempotency>(value).is_some(),
        b'I' => whole::<Invite>(value).is_some(),
        b'j' => whole::<Subject>(value).is_some(),
        b'k' => whole::<Node>(value).is_some(),
        b'K' => whole::<Item>(value).is_some(),
        b'l' => whole::<Attention>(value).is_some(),
        b'm' => whole::<Member>(value).is_some(),
        b'n' => whole::<Uid>(value).is_some(),
        b'o' => whole::<String>(value).is_some(),
        b'P' => whole::<Target>(value).is_some(),
        b'q' => whole::<Stored>(value).is_some(),
        b'Q' => whole::<StoredTotals>(value).is_some(),
        b'r' => whole::<ReadMark>(value).is_some(),
        b'R' => whole::<Retained>(value).is_some(),
        b's' => whole::<KeptSession>(value).is_some(),
        b'S' => whole::<KeptSubscription>(value).is_some(),
        b'T' => whole::<Token>(value).is_some(),
        b'U' => whole::<User>(value).is_some(),
        b'v' | b'y' => whole::<String>(value).is_some(),
        b'V' => whole::<StoredTotals>(value).is_some(),
        b'W' | b'x' => whole::<u64>(value).is_some(),
        b'X' | b'Y' => whole::<PushRow>(value).is_some(),
        b'z' => whole::<PushSettings>(value).is_some(),
        b'Z' => whole::<PushState>(value).is_some(),
        b'9' => whole::<Uid>(value).is_some(),
        b'8' | b'b' | b'F' | b'g' | b'p' | b't' | b'u' | b'w' => value.is_empty(),
        _ => return badges::is_of_kind(kind, value),
    })
}

impl Walk<'_> {
    /// Looks at all records; conference numbers up to `made` were given.
    pub(super) fn check_records(&mut self, made: u32) -> Result<(), StateError> {
        let mut from = Vec::new();
        loop {
            let (mut chunk, mut bytes) = (Vec::new(), 0);
            self.state.scan(&from, &END_OF_KEYS, Direction::Ascending, &mut |key, value| {
                bytes += key.len() + value.len();
                chunk.push((key.to_vec(), value.to_vec()));
                if chunk.len() < CHUNK_RECORDS && bytes < CHUNK_BYTES { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
            for (key, value) in &chunk {
                self.check_record(key, value, made)?;
            }
            let Some((last, _)) = chunk.pop() else { return Ok(()) };
            from = last;
            from.push(0);
        }
    }

    fn check_record(&mut self, key: &[u8], value: &[u8], made: u32) -> Result<(), StateError> {
        let kind = key.first().copied().unwrap_or_default();
        *self.report.records.entry(char::from(kind)).or_default() += 1;
        let Some(parts) = Parts::of(key) else {
            self.report.problem(format!("the key {} is cut off", shown(key)));
            return Ok(());
        };
        match is_of_kind(kind, value) {
            Some(true) => {}
            Some(false) => self.report.problem(format!("the record {} is of another shape", shown(key))),
            None => self.report.problem(format!("the record {} is of no known kind", shown(key))),
        }
        if OF_CONFERENCE.contains(&kind) && !self.conferences.contains_key(&parts.conf) {
            if kind != b'D' && (1..=made).contains(&parts.conf.0) {
                self.report.left_over += 1;
            } else {
                self.report.problem(format!("the record {} is of no conference", shown(key)));
            }
            return Ok(());
        }
        let belongs = self.belongs(&parts, value)?;
        if !belongs {
            self.report.problem(format!("what the record {} belongs to is not there", shown(key)));
        }
        Ok(())
    }

    /// Whether what a record belongs to is there.
    fn belongs(&mut self, parts: &Parts<'_>, value: &[u8]) -> Result<bool, StateError> {
        if let Some(conv) = parts.conv {
            return Ok(self.conferences.get(&parts.conf).is_some_and(|checked| checked.conversations.has(u64::from(conv))));
        }
        match parts.kind {
            b'U' => {
                let counts = whole::<User>(value).is_some_and(|user| !user.erased);
                if let Some(checked) = self.conferences.get_mut(&parts.conf) {
                    checked.users += u32::from(counts);
                }
                Ok(uid(parts.rest).is_some())
            }
            b'b' => match parts.split_rest() {
                Some((blocker, blocked)) => Ok(self.has_user(parts.conf, uid(blocker))? && self.has_user(parts.conf, uid(blocked))?),
                None => Ok(false),
            },
            // What all files of the conference come to.
            b'G' if parts.rest.is_empty() => Ok(true),
            b'B' | b'G' | b'V' => self.has_user(parts.conf, uid(parts.rest)),
            b'f' => self.check_file(parts, value),
            b'F' => self.has_file(parts.conf, parts.rest),
            b'g' => self.has_file(parts.conf, parts.rest.get(8..).unwrap_or_default()),
            b'k' => self.has_user(parts.conf, parts.split_rest().and_then(|(of, _)| uid(of))),
            b'K' => self.has_node_of(parts, None),
            b'o' => self.has_node_of(parts, whole::<String>(value)),
            b'n' => self.has_user(parts.conf, whole::<Uid>(value)),
            b'j' => self.has_user(parts.conf, whole::<Subject>(value).map(|subject| subject.uid)),
            b'p' => self.has_conversation(parts.conf, parts.rest),
            b'u' => match parts.split_rest() {
                Some((_, id)) => self.has_conversation(parts.conf, id),
                None => Ok(false),
            },
            b't' => match parts.split_rest() {
                Some((_, hash)) => self.has(&[&[keys::TOKENS], hash].concat()),
                None => Ok(false),
            },
            b'q' => Ok(whole::<Stored>(value)
                .is_some_and(|stored| keys::stored(parts.conf, &stored.publication.topic, stored.pos).ends_with(parts.rest))),
            b'v' => match (parts.split_rest(), whole::<String>(value)) {
                (Some((_, rest)), Some(topic)) => self.has(&keys::stored(parts.conf, &topic, keys::pos_of_stored(rest))),
                _ => Ok(false),
            },
            b'y' => match whole::<String>(value) {
                Some(topic) => self.has(&keys::stored(parts.conf, &topic, keys::pos_of_stored(parts.rest))),
                None => Ok(false),
            },
            b'8' | b'z' => self.has_user(parts.conf, uid(parts.rest)),
            b'9' => match (whole::<Uid>(value), parts.rest.try_into()) {
                (Some(of), Ok(id)) => self.has(&keys::target(parts.conf, &of, &id)),
                _ => Ok(false),
            },
            b'P' => {
                let of = parts.split_rest().and_then(|(of, _)| uid(of));
                let is_its = |of: &Uid| whole::<Target>(value).is_some_and(|target| parts.rest.ends_with(&target.id(of)));
                Ok(of.as_ref().is_some_and(is_its) && self.has_user(parts.conf, of)?)
            }
            b'W' => self.has_row(parts, value),
            b'Y' => Ok(whole::<PushRow>(value).is_some_and(|row| parts.rest.first() == row.target.first())
                && self.is_found_row(parts.conf, value)?),
            b'w' => self.has_user(parts.conf, parts.split_rest().and_then(|(_, of)| uid(of))),
            _ => self.badge_belongs(parts, value),
        }
    }

    /// Whether the push is there that is due then.
    fn has_row(&self, parts: &Parts<'_>, value: &[u8]) -> Result<bool, StateError> {
        let place = parts.split_rest().and_then(|(of, rest)| {
            let (target, conversation) = rest.split_first_chunk::<16>()?;
            Some((uid(of)?, *target, ConversationId::stored(std::str::from_utf8(conversation).ok()?)))
        });
        let Some(((user, target, conversation), due_ms)) = place.zip(whole::<u64>(value)) else { return Ok(false) };
        let row = PushRow { user, target, conversation, first_seq: 0, seq: 0, tries: 0, since_ms: 0, why: "".into() };
        self.has(&keys::push_row(parts.conf, due_ms, &row))
    }

    /// Whether a push is found by whose and what about it is.
    fn is_found_row(&self, conf: ConfNo, value: &[u8]) -> Result<bool, StateError> {
        let Some(row) = whole::<PushRow>(value) else { return Ok(false) };
        self.has(&keys::push_row_of(conf, &row.user, &row.target, &row.conversation))
    }

    /// Whether the node of an item is there, or of an order the item.
    fn has_node_of(&self, parts: &Parts<'_>, item: Option<String>) -> Result<bool, StateError> {
        let found = parts.split_rest().and_then(|(of, rest)| {
            let node = rest.split(|byte| *byte == 0).next().and_then(|node| std::str::from_utf8(node).ok())?;
            Some((uid(of)?, node))
        });
        let Some((of, node)) = found else { return Ok(false) };
        match (parts.kind, item) {
            (b'o', None) => Ok(false),
            (_, Some(id)) => self.has(&keys::item(parts.conf, &of, node, &id)),
            (_, None) => self.has(&keys::node(parts.conf, &of, node)),
        }
    }

    /// Whether a file's owner is there; and its bytes, as they were brought.
    fn check_file(&mut self, parts: &Parts<'_>, value: &[u8]) -> Result<bool, StateError> {
        let Some((file, id)) = whole::<File>(value).zip(parts.rest.try_into().ok().map(FileId)) else { return Ok(false) };
        if let Some(files) = &self.files
            && let Err(what) = files.verify(parts.conf, id, &file)
        {
            self.report.problem(format!("the bytes of the file '{}' of {}: {what}", file.name, file.owner));
        }
        self.report.files += 1;
        Ok(self.has_user(parts.conf, Some(file.owner.clone()))? && self.has(&keys::user_file(parts.conf, &file.owner, id))?)
    }

    /// Whether the file is there whose id ends a key.
    fn has_file(&self, conf: ConfNo, rest: &[u8]) -> Result<bool, StateError> {
        keys::id_of_file(rest).map_or(Ok(false), |id| self.has(&keys::file(conf, id)))
    }

    pub(super) fn has(&self, key: &[u8]) -> Result<bool, StateError> {
        Ok(self.state.get(key)?.is_some())
    }

    pub(super) fn has_user(&self, conf: ConfNo, uid: Option<Uid>) -> Result<bool, StateError> {
        uid.map_or(Ok(false), |uid| self.has(&keys::user(conf, &uid)))
    }

    fn has_conversation(&self, conf: ConfNo, id: &[u8]) -> Result<bool, StateError> {
        self.has(&[&keys::conversations(conf)[..], id].concat())
    }
}
