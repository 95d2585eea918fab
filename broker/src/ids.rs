//! Names of things: parsed once at the border, trusted everywhere behind it.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128, SipHasher24};
use std::hash::Hasher;

/// Longest uid, conference id and conversation id in bytes.
pub const MAX_ID_BYTES: usize = 64;

/// The text is not of the id's grammar; the payload says which grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not {0}")]
pub struct BadId(pub &'static str);

fn is_slug(text: &str, also: &[u8]) -> bool {
    let bytes = text.as_bytes();
    let first_fits = bytes.first().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let fits = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || also.contains(b);
    first_fits && bytes.len() <= MAX_ID_BYTES && bytes.iter().all(fits)
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
        impl std::str::FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                Self::parse(text)
            }
        }
    };
}

id! {
    /// A conference's id: `[a-z0-9][a-z0-9_-]{0,63}`.
    ConferenceId
}
id! {
    /// A person's, service's or device's id in one conference: `[a-z0-9][a-z0-9._-]{0,63}`.
    Uid
}
id! {
    /// A conversation's id: `[a-z0-9][a-z0-9_-]{0,63}`, or `dm~<uid>~<uid>` with the uids sorted, or `inbox~<uid>`.
    ConversationId
}

impl ConferenceId {
    /// Parses a conference id.
    ///
    /// # Errors
    /// [`BadId`] when the text is not of the grammar.
    pub fn parse(text: &str) -> Result<Self, BadId> {
        if is_slug(text, b"_-") { Ok(Self(text.into())) } else { Err(BadId("a conference id: [a-z0-9][a-z0-9_-]{0,63}")) }
    }
}

impl Uid {
    /// Parses a uid.
    ///
    /// # Errors
    /// [`BadId`] when the text is not of the grammar.
    pub fn parse(text: &str) -> Result<Self, BadId> {
        if is_slug(text, b"._-") { Ok(Self(text.into())) } else { Err(BadId("a uid: [a-z0-9][a-z0-9._-]{0,63}")) }
    }

    /// The server itself, as author of what nobody asked for. No account can have this uid.
    #[must_use]
    pub fn system() -> Self {
        Self("system".into())
    }

    /// Whoever connects without a name to a plain broker. No account can have this uid.
    #[must_use]
    pub fn anonymous() -> Self {
        Self("anonymous".into())
    }
}

impl ConversationId {
    /// Parses a conversation id as people and clients write it: a slug, or a direct conversation. Inboxes are not named from outside.
    ///
    /// # Errors
    /// [`BadId`] when the text is neither.
    pub fn parse(text: &str) -> Result<Self, BadId> {
        const GRAMMAR: BadId = BadId("a conversation id: [a-z0-9][a-z0-9_-]{0,63} or dm~<uid>~<uid>, uids sorted");
        if is_slug(text, b"_-") {
            return Ok(Self(text.into()));
        }
        let (a, b) = text.strip_prefix("dm~").and_then(|pair| pair.split_once('~')).ok_or(GRAMMAR)?;
        let (a, b) = (Uid::parse(a).map_err(|_| GRAMMAR)?, Uid::parse(b).map_err(|_| GRAMMAR)?);
        if a < b { Ok(Self(text.into())) } else { Err(GRAMMAR) }
    }

    /// An id that was parsed before it was stored.
    pub(crate) fn stored(text: &str) -> Self {
        Self(text.into())
    }

    /// The direct conversation of two people, `None` when they are one.
    #[must_use]
    pub fn direct(a: &Uid, b: &Uid) -> Option<Self> {
        let (first, second) = match a.cmp(b) {
            std::cmp::Ordering::Less => (a, b),
            std::cmp::Ordering::Greater => (b, a),
            std::cmp::Ordering::Equal => return None,
        };
        Some(Self(format!("dm~{first}~{second}").into()))
    }

    /// The durable inbox of a user.
    #[must_use]
    pub fn inbox(of: &Uid) -> Self {
        Self(format!("inbox~{of}").into())
    }

    /// Where what is published on applications' topics is kept; not named from outside either.
    #[must_use]
    pub fn topics() -> Self {
        Self("topics~".into())
    }

    /// The two people of a direct conversation.
    #[must_use]
    pub fn direct_pair(&self) -> Option<(Uid, Uid)> {
        let (a, b) = self.0.strip_prefix("dm~")?.split_once('~')?;
        Some((Uid(a.into()), Uid(b.into())))
    }

    /// In a direct conversation, the one who is not `me`; `None` when it is not direct or not mine.
    #[must_use]
    pub fn partner(&self, me: &Uid) -> Option<Uid> {
        let (a, b) = self.direct_pair()?;
        if a == *me {
            Some(b)
        } else if b == *me {
            Some(a)
        } else {
            None
        }
    }

    /// The owner of an inbox.
    #[must_use]
    pub fn inbox_owner(&self) -> Option<Uid> {
        Some(Uid(self.0.strip_prefix("inbox~")?.into()))
    }
}

/// A conference's number in this store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConfNo(pub u32);

/// A conversation's number in its conference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConvNo(pub u32);

/// A key of a store for one purpose, from which neither the store's own secret nor another purpose's key follows.
#[must_use]
pub fn key_for(secret: &[u8; 16], purpose: &str) -> [u8; 16] {
    let mut hasher = SipHasher24::new_with_key(secret);
    hasher.write(b"key\0");
    hasher.write(purpose.as_bytes());
    hasher.finish128().as_bytes()
}

/// Makes and reads public event ids: the pos and a keyed MAC (`SipHash`-2-4-128 over conference and pos, cut to 64 bits), base32.
/// They need no index and cannot be guessed. A restore leaves a gap in the pos, so that no id is ever given twice.
#[derive(Clone, Copy)]
pub struct EventIds {
    key: [u8; 16],
}

impl EventIds {
    /// Ids under the store's secret `key`.
    #[must_use]
    pub fn new(key: [u8; 16]) -> Self {
        Self { key }
    }

    fn mac(&self, conf: ConfNo, pos: u64) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write_u32(conf.0);
        hasher.write_u64(pos);
        hasher.finish128().h1
    }

    /// The public id of the event at `pos` of a conference: 26 characters.
    #[must_use]
    pub fn encode(&self, conf: ConfNo, pos: u64) -> String {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&pos.to_be_bytes());
        bytes[8..].copy_from_slice(&self.mac(conf, pos).to_be_bytes());
        data_encoding::BASE32_NOPAD.encode(&bytes).to_ascii_lowercase()
    }

    /// The pos of a public id, `None` when it is not one of ours.
    #[must_use]
    pub fn decode(&self, conf: ConfNo, id: &str) -> Option<u64> {
        let bytes = data_encoding::BASE32_NOPAD.decode(id.to_ascii_uppercase().as_bytes()).ok()?;
        let (pos, mac) = bytes.split_at_checked(8)?;
        let pos = u64::from_be_bytes(pos.try_into().ok()?);
        (mac == self.mac(conf, pos).to_be_bytes()).then_some(pos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids_follow_the_grammar() {
        for good in ["a", "0", "alice.b_c-d", &"x".repeat(64)] {
            assert_eq!(Uid::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", ".a", "-a", "A", "a b", "ä", "a~b", "a/b", "a+", &"x".repeat(65)] {
            assert!(Uid::parse(bad).is_err(), "{bad}");
        }
        assert!(ConversationId::parse("a.b").is_err());
        for good in ["lobby", "dm~alice~bob", "dm~a.b~c"] {
            assert!(ConversationId::parse(good).is_ok(), "{good}");
        }
        for bad in ["dm~bob~alice", "dm~a~a", "dm~a", "dm~a~b~c", "dm~~", "inbox~alice", "DM~a~b"] {
            assert!(ConversationId::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "\\PC{0,80}") {
            let _ = Uid::parse(&text);
            let _ = ConversationId::parse(&text);
            let _ = EventIds::new([7; 16]).decode(ConfNo(1), &text);
        }

        #[test]
        fn direct_ids_round_trip(a in "[a-z0-9][a-z0-9._-]{0,63}", b in "[a-z0-9][a-z0-9._-]{0,63}") {
            let (a, b) = (Uid::parse(&a).unwrap(), Uid::parse(&b).unwrap());
            match ConversationId::direct(&a, &b) {
                None => prop_assert_eq!(a, b),
                Some(id) => {
                    prop_assert_eq!(&ConversationId::parse(id.as_str()).unwrap(), &id);
                    prop_assert_eq!(id.partner(&a), Some(b.clone()));
                    prop_assert_eq!(id.partner(&b), Some(a));
                }
            }
        }

        #[test]
        fn event_ids_round_trip_and_cannot_be_forged(pos: u64, conf: u32, flip in 0..128usize) {
            let ids = EventIds::new([3; 16]);
            let conf_no = ConfNo(conf);
            let id = ids.encode(conf_no, pos);
            prop_assert_eq!(ids.decode(conf_no, &id), Some(pos));
            prop_assert_eq!(ids.decode(ConfNo(conf ^ 1), &id), None);
            let mut bytes = data_encoding::BASE32_NOPAD.decode(id.to_ascii_uppercase().as_bytes()).unwrap();
            bytes[flip / 8] ^= 1 << (flip % 8);
            let forged = data_encoding::BASE32_NOPAD.encode(&bytes);
            prop_assert_eq!(ids.decode(conf_no, &forged), None);
        }
    }
}
