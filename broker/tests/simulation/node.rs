//! One process of the hub, as its threads run it, but stepped: log, apply, backbone, dispatch, shards. Dies with a crash.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use hallway_broker::commit::{Applied, ApplyStage, LogStage, Logged, SharedLog};
use hallway_broker::dispatch::{Dispatch, Ends, Interest, Item};
use hallway_broker::ids::ConfNo;
use hallway_broker::keys;
use hallway_broker::log::memory::MemoryDisk;
use hallway_broker::log::{Log, Lsn};
use hallway_broker::outbox::{Bounds, Budget};
use hallway_broker::queue::Queue;
use hallway_broker::reader::Reader;
use hallway_broker::recent::{Published, Recent, WIRES};
use hallway_broker::registry::{Registry, Walk, Wire, Wires};
use hallway_broker::state::State;
use hallway_broker::state::memory::MemoryStore;
use hallway_broker::view::{ConferenceHead, StoreHead, decode};

use crate::disk::SimState;
use crate::link::{SimLink, SimWire};

/// Events that wait for one session.
pub const OUTBOX_EVENTS: usize = 4;
/// Their bytes.
pub const OUTBOX_BYTES: usize = 600;
/// Subscriptions of one session.
const TOPICS: usize = 64;

/// One shard: its registry, its mail, and the walk under way.
pub struct Shard {
    pub registry: Registry<SimLink>,
    pub mail: VecDeque<Item>,
    pub walk: Option<Walk>,
}

/// See the module's text.
pub struct Node {
    pub queue: Queue,
    pub log: SharedLog,
    pub log_stage: LogStage,
    /// Batches between log and apply, with their first lsn.
    pub logged: VecDeque<(Lsn, Logged)>,
    pub apply: ApplyStage,
    /// The state failed; it is being opened again.
    pub failed: bool,
    /// Applied, and not yet published; then published, and not yet answered.
    pub applied: Option<(Lsn, Applied)>,
    pub published: bool,
    pub state: Arc<SimState>,
    pub reader: Reader,
    pub recent: Arc<Recent>,
    pub ends: Arc<Ends>,
    pub interest: Arc<Interest>,
    pub backbone: VecDeque<Bytes>,
    pub dispatch: Dispatch,
    pub shards: Vec<Shard>,
    pub bounds: Bounds,
    pub next_session: u64,
}

impl Node {
    /// Opens what lies on the disks, as the hub does.
    pub fn open(disk: &MemoryDisk, store: &MemoryStore, secret: [u8; 16], shards: usize, budget: usize, next_session: u64) -> Self {
        let log: Box<dyn Log> = Box::new(disk.open().unwrap());
        let log: SharedLog = Arc::new(Mutex::new(log));
        let state = Arc::new(SimState::new(store.open().unwrap()));
        let recent = Arc::new(Recent::default());
        let shared: Arc<dyn State> = Arc::<SimState>::clone(&state);
        let apply = ApplyStage::open(Arc::clone(&log), Arc::clone(&shared), Arc::clone(&recent), secret).unwrap();
        let reader = Reader::new(shared, Arc::clone(&recent), apply.head().secret);
        let (ends, interest) = (Arc::new(Ends::default()), Arc::new(Interest::default()));
        for (_, conference) in reader.conferences().unwrap() {
            ends.reached(conference.no, reader.conference_head(conference.no).unwrap().pos);
        }
        let dispatch = Dispatch::new(reader.clone(), Arc::clone(&recent), Arc::clone(&ends), Arc::clone(&interest), Arc::default(), shards);
        let bounds = Bounds { events: OUTBOX_EVENTS, bytes: OUTBOX_BYTES, budget: Budget::new(budget) };
        let mut wires: Wires = [const { None }; WIRES];
        for (wire, padding) in [(0, 0), (1, 40)] {
            wires[wire] = Some(Arc::new(SimWire { padding }) as Arc<dyn Wire>);
        }
        let wires = Arc::new(wires);
        let shard = || Shard { registry: Registry::new(Arc::clone(&wires), bounds.clone(), TOPICS), mail: VecDeque::new(), walk: None };
        Self {
            queue: Queue::default(),
            log_stage: LogStage::new(Arc::clone(&log)),
            log,
            logged: VecDeque::new(),
            apply,
            failed: false,
            applied: None,
            published: false,
            state,
            reader,
            recent,
            ends,
            interest,
            backbone: VecDeque::new(),
            dispatch,
            shards: (0..shards).map(|_| shard()).collect(),
            bounds,
            next_session,
        }
    }

    /// The last command that the state, as anybody can read it now, has.
    pub fn visible(&self) -> Lsn {
        let bytes = self.state.get(&keys::store_head()).unwrap();
        bytes.map_or(0, |bytes| decode::<StoreHead>(&bytes).unwrap().applied)
    }

    /// The pos of the last event that anybody can read now.
    pub fn end(&self, conf: u32) -> u64 {
        let bytes = self.state.get(&keys::conference_head(ConfNo(conf))).unwrap();
        bytes.map_or(0, |bytes| decode::<ConferenceHead>(&bytes).unwrap().pos)
    }

    /// Uses a shard's registry as the shard does: what it gained and lost is told to dispatch.
    pub fn registry<T>(&mut self, shard: usize, using: impl FnOnce(&mut Registry<SimLink>) -> T) -> T {
        let registry = &mut self.shards[shard].registry;
        let result = using(registry);
        for (topic, has) in registry.take_interest() {
            self.interest.set(topic, u16::try_from(shard).unwrap(), has);
        }
        result
    }

    /// Takes up to `count` messages from the backbone (none: looks whether any was dropped) and hands them to the shards.
    pub fn dispatch(&mut self, count: usize) -> bool {
        let mut messages: Vec<Bytes> = self.backbone.drain(..count.min(self.backbone.len())).collect();
        let Ok(out) = self.dispatch.receive(&mut messages) else { return false };
        for (shard, items) in self.shards.iter_mut().zip(out) {
            shard.mail.extend(items.drain(..));
        }
        true
    }

    /// The next batch of events for a walk, up to the first other item, or event that must be walked after what came before it.
    pub fn next_batch(&mut self, shard: usize, most: usize) -> Vec<Arc<Published>> {
        let Shard { registry, mail, .. } = &mut self.shards[shard];
        let mut batch = Vec::new();
        while batch.len() < most
            && let Some(Item::Event(published)) = mail.front()
            && (batch.is_empty() || !registry.moves_followers(&published.event))
        {
            batch.push(Arc::clone(published));
            mail.pop_front();
        }
        batch
    }
}
