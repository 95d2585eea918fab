//! Files that people brought.

use super::Reader;
use crate::ids::{ConfNo, Uid};
use crate::keys;
use crate::model::{File, FileId, Uploads};
use crate::state::{Direction, StateError};

impl Reader {
    /// A file.
    ///
    /// # Errors
    /// The state's.
    pub fn file(&self, conf: ConfNo, id: FileId) -> Result<Option<File>, StateError> {
        self.get(&keys::file(conf, id))
    }

    /// What a user's files come to.
    ///
    /// # Errors
    /// The state's.
    pub fn uploads(&self, conf: ConfNo, uid: &Uid) -> Result<Uploads, StateError> {
        Ok(self.get(&keys::uploads(conf, uid))?.unwrap_or_default())
    }

    /// What all files of a conference come to.
    ///
    /// # Errors
    /// The state's.
    pub fn uploads_of_all(&self, conf: ConfNo) -> Result<Uploads, StateError> {
        Ok(self.get(&keys::uploads_of_all(conf))?.unwrap_or_default())
    }

    /// A user's files by their ids, up to `limit` above `after`.
    ///
    /// # Errors
    /// The state's.
    pub fn files_of(&self, conf: ConfNo, uid: &Uid, after: Option<FileId>, limit: usize) -> Result<Vec<(FileId, File)>, StateError> {
        let prefix = keys::user_files(conf, uid);
        let from = keys::above(&prefix, after.map(|after| keys::user_file(conf, uid, after)));
        let mut ids = Vec::new();
        self.visit_range(&from, &keys::end_of(&prefix), Direction::Ascending, |key, _| {
            ids.extend(keys::id_of_file(key));
            Ok(ids.len() < limit)
        })?;
        let mut files = Vec::with_capacity(ids.len());
        for id in ids {
            // One that went meanwhile is passed over.
            files.extend(self.file(conf, id)?.map(|file| (id, file)));
        }
        Ok(files)
    }

    /// Since when the file that is unused for the longest time is, Unix ms.
    ///
    /// # Errors
    /// The state's.
    pub fn oldest_unused(&self, conf: ConfNo) -> Result<Option<u64>, StateError> {
        let mut oldest = None;
        self.visit(&keys::unused_files(conf), Direction::Ascending, |key, _| {
            oldest = keys::parts_of_unused(key).map(|(since_ms, _)| since_ms);
            Ok(false)
        })?;
        Ok(oldest)
    }
}
