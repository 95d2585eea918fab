//! Becoming quiet: faults are over, sockets take everything, and every part runs until none has anything left to do.

use hallway_broker::ids::{ConfNo, ConversationId};

use crate::world::World;

/// Rounds until it must be quiet.
const ROUNDS: usize = 4000;

impl World {
    /// Runs everything until nothing is left to do.
    pub fn become_quiet(&mut self) {
        self.store.keep_at_reopen(usize::MAX);
        for _ in 0..ROUNDS {
            self.step += 1;
            let worked = self.everything_once();
            self.check_step();
            if !worked {
                return;
            }
        }
        panic!("it does not become quiet in {ROUNDS} rounds");
    }

    fn everything_once(&mut self) -> bool {
        let mut worked = false;
        for conf in [1, 2] {
            for uid in hallway_broker::apply::erasures(&*self.node.state, ConfNo(conf)).unwrap() {
                self.by_system(conf, hallway_broker::command::Action::Erase { uid });
            }
        }
        for device in 0..self.devices.len() {
            if let Some(conn) = &mut self.devices[device].conn {
                conn.link.0.room.set(1 << 20);
                conn.stalled_until = 0;
                if std::mem::take(&mut conn.blocked) {
                    conn.link.0.woken.set(true);
                }
                worked |= self.ask(device);
            }
        }
        worked |= !self.node.queue.is_empty();
        self.step_log();
        while !self.node.logged.is_empty() || self.node.applied.is_some() || self.node.failed {
            worked = true;
            self.step_apply();
        }
        worked |= !self.node.backbone.is_empty();
        while !self.node.backbone.is_empty() {
            self.step_dispatch();
        }
        self.look_for_drops();
        while self.node.shards.iter().any(|shard| shard.walk.is_some() || !shard.mail.is_empty()) {
            worked = true;
            self.step_shard();
        }
        for device in 0..self.devices.len() {
            worked |= self.run_session(device);
        }
        worked
    }

    /// A device that is away comes back, unless its account is gone.
    pub fn connect_if_away(&mut self, device: usize) {
        if self.devices[device].conn.is_none() {
            self.connect(device);
        }
    }

    /// Every device follows all that it may read, and reads its inbox.
    pub fn follow_all(&mut self) {
        for device in 0..self.devices.len() {
            if self.devices[device].all {
                self.ask_inbox(device);
                self.become_quiet();
                continue;
            }
            let conf = self.devices[device].conf;
            let ids: Vec<(u32, ConversationId)> =
                self.truth.told.range((conf, 0)..(conf + 1, 0)).map(|((_, conv), told)| (*conv, told.id.clone())).collect();
            for (conv, id) in ids.into_iter().filter(|(_, id)| id.inbox_owner().is_none()) {
                let uid = self.devices[device].uid.clone();
                let lost = |world: &Self, checked| world.truth.lost(conf, conv, &uid, checked);
                let cut = self.devices[device]
                    .conn
                    .as_ref()
                    .and_then(|conn| conn.follows.get(&conv))
                    .is_some_and(|f| f.on && lost(self, f.checked));
                if cut && let Some(follow) = self.devices[device].conn.as_mut().and_then(|conn| conn.follows.get_mut(&conv)) {
                    // Put out while it lagged, and in again: it was not told in this conversation, only in the inbox.
                    follow.on = false;
                }
                let already = self.devices[device].conn.as_ref().is_none_or(|conn| conn.follows.get(&conv).is_some_and(|follow| follow.on));
                let subscribed = !already && self.subscribe(device, &id);
                let readable = self.node.reader.readable(ConfNo(conf), &uid, &id).is_ok();
                assert!(already || subscribed || !readable, "{uid} could not subscribe to {id}");
                self.become_quiet();
            }
            self.ask_inbox(device);
            self.become_quiet();
            self.check_inbox(device);
        }
    }

    fn check_inbox(&self, device: usize) {
        let its = &self.devices[device];
        if its.conn.is_none() {
            return;
        }
        let last = self.truth.find(its.conf, &ConversationId::inbox(&its.uid)).map_or(0, |(_, last)| last);
        assert_eq!(its.inbox_read(), last, "the inbox of {} is not complete", its.uid);
    }
}
