//! The simulated world: one machine that crashes, its users and their devices, and what happens to them next. Everything follows from the seed.

use std::collections::{BTreeMap, VecDeque};

use hallway_broker::log::memory::MemoryDisk;
use hallway_broker::state::memory::MemoryStore;

use crate::client::{Device, Reply};
use crate::disk::Tape;
use crate::node::Node;
use crate::ops::Op;
use crate::rng::Rng;
use crate::truth::Truth;

/// Steps kept for the report of a failure.
const TRACED: usize = 40;

/// How often what happens, different in each seed: per mille, or relative weights.
pub struct Plan {
    pub drop: usize,
    pub log_fault: usize,
    pub commit_fault: usize,
    pub read_fault: usize,
    pub crash: usize,
    pub stall: usize,
    pub room: usize,
    pub checkpoint: usize,
    pub budget: usize,
    pub long: usize,
    pub forget: usize,
    pub shards: usize,
    pub page: usize,
    pub weights: [usize; 14],
    pub steps: usize,
}

/// An answer that was given: the message must be there for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    pub seq: u64,
    pub pos: u64,
    pub ts_ms: u64,
}

/// Conference, conversation, user and client id of a message.
pub type Sent = (u32, String, String, String);

/// See the module's text.
pub struct World {
    pub rng: Rng,
    pub plan: Plan,
    pub step: usize,
    pub now_ms: u64,
    pub disk: MemoryDisk,
    pub store: MemoryStore,
    pub node: Node,
    pub tape: Tape,
    pub truth: Truth,
    pub devices: Vec<Device>,
    pub ops: Vec<Op>,
    /// Requests that wait for their answer: which op.
    pub tags: BTreeMap<u32, usize>,
    pub next_tag: u32,
    /// Answers whose frames are on their way.
    pub replies: BTreeMap<u32, Reply>,
    pub acked: BTreeMap<Sent, Ack>,
    /// The lsn up to which the state is durable.
    pub durable: u64,
    /// The last command whose changes anybody could ever read.
    pub told: u64,
    /// What happened last, when it is wanted.
    pub trace: Option<VecDeque<String>>,
    pub calm: bool,
    pub stats: Stats,
}

/// What a run saw, to know that it tests something.
#[derive(Default, Clone, Copy)]
pub struct Stats {
    pub events: u64,
    pub acks: u64,
    pub seen: u64,
    pub lags: u64,
    pub holes: u64,
    pub crashes: u64,
    pub recoveries: u64,
    pub refused: u64,
    pub joins: u64,
    pub named: u64,
    pub steps: u64,
}

impl World {
    /// A world from a seed, with conferences, users and conversations.
    pub fn new(seed: u64, traced: bool) -> Self {
        let mut rng = Rng::new(seed);
        let plan = Plan::new(&mut rng);
        let (disk, store) = (MemoryDisk::new(), MemoryStore::new());
        let node = Node::open(&disk, &store, secret(&mut rng), plan.shards, plan.budget, 1);
        let truth = Truth::new(node.apply.head().secret);
        let mut world = Self {
            rng,
            plan,
            step: 0,
            now_ms: 1_700_000_000_000,
            disk,
            store,
            node,
            tape: Tape::default(),
            truth,
            devices: Vec::new(),
            ops: Vec::new(),
            tags: BTreeMap::new(),
            next_tag: 1,
            replies: BTreeMap::new(),
            acked: BTreeMap::new(),
            durable: 0,
            told: 0,
            trace: traced.then(VecDeque::new),
            calm: true,
            stats: Stats::default(),
        };
        world.populate();
        world.calm = false;
        world
    }

    /// Notes what happens.
    pub fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            if std::env::var_os("HALLWAY_SIM_SEED").is_some() {
                eprintln!("{:5} {}", self.step, what());
                return;
            }
            if trace.len() == TRACED {
                trace.pop_front();
            }
            trace.push_back(format!("{:5} {}", self.step, what()));
        }
    }

    /// Runs to the end.
    pub fn run(&mut self) {
        while self.step < self.plan.steps {
            self.step += 1;
            self.happen();
            self.check_step();
        }
        self.finish();
        self.stats.steps = self.step as u64;
    }

    /// The next thing that happens.
    fn happen(&mut self) {
        let total: usize = self.plan.weights.iter().sum();
        let mut roll = self.rng.below(total);
        let what = self.plan.weights.iter().position(|weight| {
            let hit = roll < *weight;
            roll = roll.wrapping_sub(*weight);
            hit
        });
        if self.rng.chance(self.plan.crash) {
            return self.crash();
        }
        match what.unwrap_or(0) {
            0 => self.step_log(),
            1 => self.step_apply(),
            2 => self.step_dispatch(),
            3 => self.look_for_drops(),
            4 => self.step_shard(),
            5 => self.step_session(),
            6 => self.step_client(),
            7 => self.give_room(),
            8 => self.pass_time(),
            9 => self.checkpoint(),
            10 => self.connect_somebody(),
            11 => self.disconnect_somebody(),
            12 => self.administrate(),
            _ => self.check_reads(),
        }
    }

    fn pass_time(&mut self) {
        // The wall clock may jump back.
        let back = self.rng.chance(50);
        let by = self.rng.next() % 5000;
        self.now_ms = if back { self.now_ms - by } else { self.now_ms + by };
        self.disk.set_now_ms(self.now_ms);
    }

    /// Sockets take something, or nothing for a long time.
    fn give_room(&mut self) {
        let Some(at) = self.any_connected() else { return };
        let (stall, most) = (self.rng.chance(self.plan.stall), self.plan.room);
        let (room, long) = (self.rng.below(most), self.rng.below(self.plan.steps));
        let step = self.step as u64;
        let Some(conn) = &mut self.devices[at].conn else { return };
        if stall {
            conn.stalled_until = step + long as u64;
        }
        if conn.stalled_until > step {
            return;
        }
        conn.link.0.room.set((conn.link.0.room.get() + room).min(4000));
        if conn.blocked {
            conn.blocked = false;
            conn.link.0.woken.set(true);
        }
    }

    /// A device with a connection.
    pub fn any_connected(&mut self) -> Option<usize> {
        let start = self.rng.below(self.devices.len());
        let count = self.devices.len();
        (0..count).map(|at| (start + at) % count).find(|at| self.devices[*at].conn.is_some())
    }
}

impl Plan {
    fn new(rng: &mut Rng) -> Self {
        let often = |rng: &mut Rng, most: usize| if rng.chance(400) { 0 } else { rng.below(most) };
        // In some runs the readers' side is far behind the store.
        let slow = |rng: &mut Rng, least: usize, more: usize| if rng.chance(350) { 3 + rng.below(8) } else { least + rng.below(more) };
        Self {
            drop: often(rng, 300),
            log_fault: often(rng, 100),
            commit_fault: often(rng, 100),
            read_fault: often(rng, 100),
            crash: often(rng, 12),
            stall: often(rng, 100),
            room: 40 + rng.below(1200),
            checkpoint: rng.below(1000),
            budget: 600 + rng.below(6000),
            long: if rng.chance(300) { 800 } else { 100 },
            forget: often(rng, 100),
            shards: 1 + rng.below(3),
            page: 1 + rng.below(8),
            weights: [
                20 + rng.below(30),
                40 + rng.below(40),
                slow(rng, 20, 40),
                rng.below(8),
                slow(rng, 40, 80),
                60 + rng.below(80),
                60 + rng.below(80),
                30 + rng.below(50),
                4,
                1 + rng.below(6),
                12,
                1 + rng.below(4),
                3 + rng.below(9),
                3,
            ],
            steps: 300 + rng.below(1200),
        }
    }
}

/// A secret for a store that may be new.
pub fn secret(rng: &mut Rng) -> [u8; 16] {
    let mut secret = [0; 16];
    secret[..8].copy_from_slice(&rng.next().to_be_bytes());
    secret
}
