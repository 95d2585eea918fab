//! Occupant ids (XEP-0421): one for each person and room, that tells an occupant from the next with the same nick and nothing else.

use std::hash::Hasher;

use hallway_broker::ids::{ConfNo, ConversationId, Uid};
use siphasher::sip128::{Hasher128, SipHasher24};

/// Begins what is hashed, so that the same key can serve other purposes.
const PURPOSE: &[u8] = b"occupant-id\0";

/// Makes occupant ids: a keyed MAC (`SipHash`-2-4-128) over conference, conversation and uid, base32. Stable, not to be guessed, and no id
/// tells whether somebody in another room is the same person (XEP-0421 §4.1).
#[derive(Clone, Copy)]
pub struct OccupantIds {
    key: [u8; 16],
}

impl OccupantIds {
    /// Ids under a secret `key`, which must stay the same as long as the archives.
    #[must_use]
    pub fn new(key: [u8; 16]) -> Self {
        Self { key }
    }

    /// The id of a person in a room: 26 characters.
    #[must_use]
    pub fn encode(&self, conf: ConfNo, conversation: &ConversationId, uid: &Uid) -> String {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write(PURPOSE);
        hasher.write(&conf.0.to_be_bytes());
        hasher.write(conversation.as_str().as_bytes());
        hasher.write(&[0]);
        hasher.write(uid.as_str().as_bytes());
        data_encoding::BASE32_NOPAD.encode(&hasher.finish128().as_bytes()).to_ascii_lowercase()
    }
}
