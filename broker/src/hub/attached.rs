//! Letting go of files: of those that no message has had for a day, and of bytes that no record names (any more).

use super::{Hub, housekeeping};
use crate::command::{Action, Outcome};
use crate::files::BUCKETS;
use crate::limits::UNUSED_FILE_MS;

/// A sweep over the bytes of all files, a bucket at a time.
#[derive(Debug, Default)]
pub(super) struct FileSweep {
    /// The bucket that is next.
    bucket: usize,
}

impl FileSweep {
    /// A bounded part of it; after the last bucket it begins anew.
    pub(super) fn go_on(&mut self, hub: &Hub) {
        if hub.health.check().is_err() {
            return;
        }
        let (bucket, now_ms) = (self.bucket, hub.clock.now_ms());
        self.bucket = (bucket + 1) % BUCKETS;
        let files = match hub.files.bucket_files(bucket) {
            Ok(files) => files,
            Err(error) => return tracing::warn!(%error, "files that nobody needs stay until the next sweep"),
        };
        for (conf, id) in files {
            // Only what is surely not there: a state that cannot be read says nothing.
            if matches!(hub.reader.file(conf, id), Ok(None)) && hub.files.is_settled(conf, id, now_ms) {
                hub.files.remove(conf, id);
            }
        }
    }
}

/// Forgets files that no message has had for [`UNUSED_FILE_MS`], in each conference.
pub(super) fn collect(hub: &Hub) {
    let before_ms = hub.clock.now_ms().saturating_sub(UNUSED_FILE_MS);
    for (_, conference) in hub.reader.conferences().unwrap_or_default() {
        if !matches!(hub.reader.oldest_unused(conference.no), Ok(Some(since_ms)) if since_ms <= before_ms) {
            continue;
        }
        while let Some(Outcome::Continue(_)) = housekeeping::call(hub, conference.no, Action::CollectFiles { before_ms }) {}
    }
}
