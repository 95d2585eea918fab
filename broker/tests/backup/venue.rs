//! A venue whose data are backed up, broken and brought back.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hallway_broker::backup::{self, BackupError, Options};
use hallway_broker::clock::SystemClock;
use hallway_broker::command::{Action, Actor, Draft, NewFile, Outcome, Reuse};
use hallway_broker::files::{Capability, checksum};
use hallway_broker::hub::{Hub, HubOptions, OpenError, StoreOptions};
use hallway_broker::ids::{ConfNo, ConferenceId, ConversationId, Uid};
use hallway_broker::limits::Limits;
use hallway_broker::model::{Conference, Event, Kind, MediaType, SignIn, UserRole, Via};
use hallway_broker::reader::Toward;
use hallway_broker::state::sled::{SledOptions, SledState};
use hallway_broker::view::Found;

/// A data directory and the hub that runs on it, or does not.
pub struct Venue {
    pub dir: tempfile::TempDir,
    pub hub: Option<Arc<Hub>>,
}

impl Drop for Venue {
    fn drop(&mut self) {
        self.stop();
    }
}

pub fn lobby() -> ConversationId {
    ConversationId::parse("lobby").unwrap()
}

impl Venue {
    /// A conference with alice and a lobby.
    pub fn new() -> Self {
        let mut venue = Self { dir: tempfile::tempdir().unwrap(), hub: None };
        venue.start().unwrap();
        let demo = ConferenceId::parse("demo").unwrap();
        venue.call(Actor::system(), Action::AddConference { id: demo, title: "Demo".into(), sign_in: SignIn::Open, epoch: 77 });
        let alice = Uid::parse("alice").unwrap();
        venue
            .call(Actor::system(), Action::AddUser { uid: alice, name: Some("Alice".into()), role: UserRole::Attendee, credentials: None });
        venue.call(Actor::system(), Action::Create { kind: Kind::Channel, id: lobby(), title: "Lobby".into(), members: vec![] });
        venue
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn start(&mut self) -> Result<(), OpenError> {
        let limits = Limits { disk_reserve_bytes: 0, ..Limits::default() };
        let store = StoreOptions { segment_bytes: 16 << 10, ..StoreOptions::default() };
        let options = HubOptions { store, limits, shards: 1, ..HubOptions::new(self.data()) };
        self.hub = Some(Hub::open(options, Arc::new(SystemClock::start()))?);
        Ok(())
    }

    pub fn stop(&mut self) {
        if let Some(hub) = self.hub.take() {
            hub.close();
            // The hub's threads are gone, so this is the last one.
            let state = Arc::downgrade(hub.reader().state());
            drop(hub);
            while state.strong_count() > 0 {
                std::thread::yield_now();
            }
            self.wait_until_closed();
        }
    }

    pub fn hub(&self) -> &Hub {
        self.hub.as_ref().expect("the server runs")
    }

    pub fn call(&self, actor: Actor, action: Action) -> Outcome {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(self.hub().call(ConfNo(1), actor, action)).unwrap()
    }

    pub fn say(&self, text: &str) -> Outcome {
        self.say_with(text, &[])
    }

    pub fn say_with(&self, text: &str, attachments: &[Arc<str>]) -> Outcome {
        let alice = Actor { uid: Uid::parse("alice").unwrap(), via: Via::Ws, session: 1 };
        let draft = Draft {
            conversation: lobby(),
            client_id: text.into(),
            reuse: Reuse::Conflict,
            text: text.into(),
            reply_to: None,
            mentions: vec![],
            attachments: attachments.to_vec(),
        };
        self.call(alice, Action::Send(draft))
    }

    /// A file of alice's.
    pub fn bring(&self, which: u8, bytes: &[u8]) -> Capability {
        let (capability, files) = (Capability::new(ConfNo(1), [which; 16]), self.hub().files());
        let incoming = files.begin().unwrap();
        (&*incoming.file).write_all(bytes).unwrap();
        files.keep(incoming, ConfNo(1), capability.id()).unwrap();
        let (length, crc) = checksum(&mut &bytes[..]).unwrap();
        let file =
            NewFile { name: "a.bin".into(), media: MediaType::Binary, bytes: length, crc, size: None, quota_bytes: 0, conference_bytes: 0 };
        let alice = Actor { uid: Uid::parse("alice").unwrap(), via: Via::Http, session: 0 };
        self.call(alice, Action::KeepFile { id: capability.id(), file });
        capability
    }

    /// Many small messages, so that the log has some segments.
    pub fn chat(&self, name: &str, count: usize) {
        for n in 0..count {
            self.say(&format!("{name} {n} {}", "x".repeat(200)));
        }
    }

    pub fn conference(&self) -> Conference {
        self.hub().reader().conference("demo").unwrap().unwrap()
    }

    pub fn pos(&self) -> u64 {
        self.hub().reader().conference_head(ConfNo(1)).unwrap().pos
    }

    pub fn found(&self) -> Found {
        self.hub().reader().conversation(ConfNo(1), &lobby()).unwrap().unwrap()
    }

    pub fn history(&self) -> Vec<Event> {
        let (found, mut events, mut last) = (self.found(), Vec::new(), 0);
        loop {
            let page = self.hub().reader().page(&found, Toward::Newer(last), 500, &[]).unwrap();
            last = page.events.last().map_or(last, |event| event.place.seq);
            events.extend(page.events);
            if page.complete {
                return events;
            }
        }
    }

    /// The history with the public ids, as a client would remember it.
    pub fn remembered(&self) -> Vec<(String, Event)> {
        let ids = self.hub().reader().ids();
        self.history().into_iter().map(|event| (ids.encode(event.place.conf, event.entry.pos), event)).collect()
    }

    /// Puts a store in its place that does not open: a newer program's.
    pub fn break_store(&self) {
        let store = self.data().join("store");
        fs::remove_dir_all(&store).unwrap();
        drop(SledState::open(SledOptions { schema: 99, ..SledOptions::new(store) }).unwrap());
        self.wait_until_closed();
    }

    /// The store's lock lives as long as its background writes.
    pub fn wait_until_closed(&self) {
        let db = fs::File::open(self.data().join("store/db")).unwrap();
        while db.try_lock().is_err() {
            std::thread::yield_now();
        }
    }

    pub fn segments(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.data().join("log")).unwrap().map(|entry| entry.unwrap().path());
        let mut segments: Vec<_> = entries.filter(|path| path.extension().is_some_and(|extension| extension == "log")).collect();
        segments.sort();
        segments
    }

    pub fn names(&self) -> BTreeSet<String> {
        fs::read_dir(self.data()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    pub fn rebuild(&self, accept_loss: bool) -> Result<backup::RebuildReport, BackupError> {
        backup::rebuild(&self.data(), &Options { accept_loss, ..Options::default() })
    }

    pub fn is_good(&self) {
        let report = backup::check(&self.data()).unwrap();
        assert!(report.is_good(), "{report}");
    }
}

pub fn flip(path: &Path, at: u64) {
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x55], at).unwrap();
}
