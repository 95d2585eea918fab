//! Devices that follow everything: they subscribe to nothing by name, and are given all that their user may read from the time on at which
//! they began, of the conversations that they come into later, too.

use std::collections::BTreeMap;

use hallway_broker::ids::ConfNo;
use hallway_broker::model::Event;
use hallway_broker::registry::{Known, Scope};
use hallway_broker::topic::{How, Source, Topic};

use crate::client::Device;
use crate::link::Seen;
use crate::truth::Truth;
use crate::world::World;

/// How far following everything is, on the server.
pub enum Step {
    /// Registered; what there is is to be read.
    Registered,
    /// What is known; to be settled.
    Read(Vec<Known>),
    /// Done.
    Live,
}

/// A connection that follows everything.
pub struct Everything {
    pub step: Step,
    /// What came is above this pos.
    pub start: u64,
    /// Where the conference was when what is known had been read: who was out by then is told nothing of it.
    pub known_at: u64,
    /// The seqs that came of each conversation.
    pub seen: BTreeMap<u32, Vec<u64>>,
}

impl Everything {
    /// It has just been registered.
    pub fn begun(start: u64) -> Self {
        Self { step: Step::Registered, start, known_at: 0, seen: BTreeMap::new() }
    }

    /// An event came: in order, and once.
    pub fn event(&mut self, seen: &Seen) {
        assert!(seen.pos > self.start, "from before it began, at {}: {seen:?}", self.start);
        let seqs = self.seen.entry(seen.conv).or_default();
        assert!(seqs.last().is_none_or(|last| *last < seen.seq), "again, or out of order: {seen:?} after {seqs:?}");
        seqs.push(seen.seq);
    }
}

impl Device {
    /// Nothing that its user could read has been kept from it.
    pub fn check_has_everything(&self, truth: &Truth) {
        let Some((id, all)) = self.conn.as_ref().and_then(|conn| Some((conn.id, conn.all.as_ref()?))) else { return };
        let of_conference = truth.told.range((self.conf, 0)..(self.conf + 1, 0));
        for ((_, conv), told) in of_conference.filter(|(_, told)| told.id.inbox_owner().is_none()) {
            // Put out while it lagged, and asked in again: it is told only in the inbox, as who subscribes by name is.
            let standings = told.standings.get(&self.uid).map_or(&[][..], Vec::as_slice);
            if standings.iter().rev().take_while(|(_, reads)| !reads).count() > 1 {
                continue;
            }
            let seen = all.seen.get(conv).map_or(&[][..], Vec::as_slice);
            for said in told.events.iter().filter(|said| said.event.entry.pos > all.start) {
                let place = &said.event.place;
                // Of one's removal one is told, too.
                let reads = |at| truth.silent_above(self.conf, *conv, &self.uid, at, 0).is_none();
                let out_at_first = said.event.entry.pos <= all.known_at && !reads(all.known_at);
                let readable = !out_at_first && (reads(said.event.entry.pos) || reads(said.event.entry.pos - 1));
                let came = seen.binary_search(&place.seq).is_ok();
                assert!(came || !readable, "session {id} of {} follows everything, and {} of {conv} is missing", self.uid, place.seq);
            }
        }
    }
}

impl World {
    /// Begins to follow everything.
    pub fn follow_everything(&mut self, device: usize) {
        let start = self.node.ends.of(ConfNo(self.devices[device].conf));
        let Some(conn) = &mut self.devices[device].conn else { return };
        let (shard, slot, id) = (conn.shard, conn.slot, conn.id);
        conn.all = Some(Everything::begun(start));
        assert!(self.node.registry(shard, |registry| registry.follow_all(slot, start, How::plain(true), Scope::All)));
        self.note(|| format!("session {id} follows everything"));
    }

    /// One step of it, as `Session::subscribe_all` does; whether there was anything to do.
    pub fn follow_everything_on(&mut self, device: usize) -> bool {
        let (conf, uid) = (ConfNo(self.devices[device].conf), self.devices[device].uid.clone());
        let Some(conn) = &mut self.devices[device].conn else { return false };
        let (shard, slot, id) = (conn.shard, conn.slot, conn.id);
        let Some(all) = &mut conn.all else { return false };
        match std::mem::replace(&mut all.step, Step::Live) {
            Step::Live => {
                self.name_one(device);
                return false;
            }
            Step::Registered => {
                self.arm_read_fault();
                let known = self.node.reader.known(conf, &uid);
                self.node.state.fail_read(-1);
                // The edge would say no, and the client ask again.
                let step = known.map_or(Step::Registered, Step::Read);
                let known_at = self.node.end(conf.0);
                if let Some(all) = self.devices[device].conn.as_mut().and_then(|conn| conn.all.as_mut()) {
                    (all.step, all.known_at) = (step, known_at);
                }
            }
            Step::Read(known) => {
                self.note(|| format!("session {id} is settled with {known:?}"));
                self.node.registry(shard, |registry| registry.follow_known(slot, known));
                let until = self.node.ends.of(conf);
                self.node.registry(shard, |registry| registry.settle_all(slot, until));
            }
        }
        true
    }

    /// Follows a conversation that is open to all by name, too, as MQTT clients may, or does not any more: nothing changes for what it is given.
    fn name_one(&mut self, device: usize) {
        let (conf, uid) = (ConfNo(self.devices[device].conf), self.devices[device].uid.clone());
        if self.calm || !self.rng.chance(300) {
            return;
        }
        let ids: Vec<_> = self.truth.told.range((conf.0, 0)..(conf.0 + 1, 0)).map(|(_, told)| told.id.clone()).collect();
        let (Some(conn), false) = (&self.devices[device].conn, ids.is_empty()) else { return };
        let (shard, slot, id) = (conn.shard, conn.slot, conn.id);
        let wanted = &ids[self.rng.below(ids.len())];
        let Ok(found) = self.node.reader.readable(conf, &uid, wanted) else { return };
        let topic = Topic::Chat(conf, found.record.no);
        let (until, ends) = (self.node.ends.of(conf), self.rng.chance(400));
        let source = Source { id: found.id, kind: found.record.kind };
        let done = self.node.registry(shard, |registry| match ends {
            true => registry.unsubscribe(slot, &topic),
            false => registry.name(slot, &topic, &source, How::plain(true), until),
        });
        self.stats.named += u64::from(done && !ends);
        self.note(|| format!("session {id} names {wanted}: ends {ends}, done {done}"));
    }

    /// As the shard does before it walks an event that changes what somebody follows.
    pub fn join_followers(&mut self, shard: usize, event: &Event) {
        let joins = self.node.registry(shard, |registry| registry.join(event));
        let until = self.node.ends.of(event.place.conf);
        if !joins.is_empty() {
            self.note(|| format!("shard {shard}: {joins:?} until {until}"));
        }
        for join in &joins {
            self.node.registry(shard, |registry| registry.settle_join(join, until));
        }
        self.stats.joins += joins.len() as u64;
    }
}
