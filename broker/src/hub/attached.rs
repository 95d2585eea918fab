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

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::clock::Clock;
    use crate::command::{Actor, NewFile};
    use crate::files::Capability;
    use crate::hub::HubOptions;
    use crate::ids::{ConfNo, ConferenceId, Uid};
    use crate::limits::Limits;
    use crate::model::{MediaType, SignIn, UserRole, Via};

    /// The machine's time, and so many ms more.
    struct Ahead(AtomicU64);

    impl Clock for Ahead {
        fn now_ms(&self) -> u64 {
            UNIX_EPOCH.elapsed().unwrap().as_millis() as u64 + self.0.load(Relaxed)
        }
        fn elapsed(&self) -> Duration {
            Duration::ZERO
        }
    }

    fn bytes(hub: &Hub, which: u8) -> Capability {
        let capability = Capability::new(ConfNo(1), [which; 16]);
        let incoming = hub.files().begin().unwrap();
        (&*incoming.file).write_all(b"x").unwrap();
        hub.files().keep(incoming, ConfNo(1), capability.id()).unwrap();
        capability
    }

    #[test]
    fn a_file_that_nobody_attaches_goes_after_a_day_and_bytes_that_nobody_knows_after_an_hour() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(Ahead(AtomicU64::new(0)));
        let limits = Limits { disk_reserve_bytes: 0, ..Limits::default() };
        let options = HubOptions { limits, shards: 1, ..HubOptions::new(dir.path()) };
        let hub = Hub::open(options, Arc::clone(&clock) as _).unwrap();
        let alice = Uid::parse("alice").unwrap();
        let demo = ConferenceId::parse("demo").unwrap();
        housekeeping::call(&hub, ConfNo(0), Action::AddConference { id: demo, title: "".into(), sign_in: SignIn::Open, epoch: 1 }).unwrap();
        let add = Action::AddUser { uid: alice.clone(), name: None, role: UserRole::Attendee, credentials: None };
        housekeeping::call(&hub, ConfNo(1), add).unwrap();
        let (known, unknown) = (bytes(&hub, 1), bytes(&hub, 2));
        let file =
            NewFile { name: "a".into(), media: MediaType::Binary, bytes: 1, crc: 0, size: None, quota_bytes: 0, conference_bytes: 0 };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let actor = Actor { uid: alice.clone(), via: Via::Http, session: 0 };
        runtime.block_on(hub.call(ConfNo(1), actor, Action::KeepFile { id: known.id(), file })).unwrap();
        let mut sweep = FileSweep::default();
        let mut tick = |ahead_ms: u64| {
            clock.0.store(ahead_ms, Relaxed);
            collect(&hub);
            (0..BUCKETS).for_each(|_| sweep.go_on(&hub));
            [&known, &unknown].map(|capability| hub.files().open(ConfNo(1), capability.id()).is_ok())
        };
        assert_eq!(tick(0), [true, true]);
        assert_eq!(tick(3_700_000), [true, false]);
        assert_eq!(tick(UNUSED_FILE_MS - 60_000), [true, false]);
        assert_eq!(tick(UNUSED_FILE_MS + 60_000), [false, false]);
        assert_eq!(hub.reader().uploads(ConfNo(1), &alice).unwrap().files, 0);
        hub.close();
    }
}
