//! Keys of attached files.

use super::{Key, conf_key, user_key};
use crate::ids::{ConfNo, Uid};
use crate::model::FileId;

/// A file.
#[must_use]
pub fn file(conf: ConfNo, id: FileId) -> Key {
    conf_key(b'f', conf, &id.0)
}

/// All files of a conference.
#[must_use]
pub fn files(conf: ConfNo) -> Key {
    conf_key(b'f', conf, b"")
}

/// The conference and id of a file's key; `None` for a key of something else.
#[must_use]
pub fn parts_of_file(key: &[u8]) -> Option<(ConfNo, FileId)> {
    let (conf, id) = key.strip_prefix(b"f")?.split_first_chunk::<4>()?;
    Some((ConfNo(u32::from_be_bytes(*conf)), FileId(id.try_into().ok()?)))
}

/// All files of a user.
#[must_use]
pub fn user_files(conf: ConfNo, uid: &Uid) -> Key {
    user_key(b'F', conf, uid)
}

/// That a file is a user's.
#[must_use]
pub fn user_file(conf: ConfNo, uid: &Uid, id: FileId) -> Key {
    let mut key = user_files(conf, uid);
    key.extend_from_slice(&id.0);
    key
}

/// The file's id at the end of such a key, and of a file's own.
#[must_use]
pub fn id_of_file(key: &[u8]) -> Option<FileId> {
    key.last_chunk().copied().map(FileId)
}

/// All files that are in no message, the longest ones first.
#[must_use]
pub fn unused_files(conf: ConfNo) -> Key {
    conf_key(b'g', conf, b"")
}

/// That a file is in no message since then, Unix ms.
#[must_use]
pub fn unused_file(conf: ConfNo, since_ms: u64, id: FileId) -> Key {
    let mut key = conf_key(b'g', conf, &since_ms.to_be_bytes());
    key.extend_from_slice(&id.0);
    key
}

/// Since when, and which file, of such a key.
#[must_use]
pub fn parts_of_unused(key: &[u8]) -> Option<(u64, FileId)> {
    let (since_ms, id) = key.get(5..)?.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*since_ms), FileId(id.try_into().ok()?)))
}

/// What a user's files come to.
#[must_use]
pub fn uploads(conf: ConfNo, uid: &Uid) -> Key {
    conf_key(b'G', conf, uid.as_str().as_bytes())
}

/// What all files of a conference come to.
#[must_use]
pub fn uploads_of_all(conf: ConfNo) -> Key {
    conf_key(b'G', conf, b"")
}
