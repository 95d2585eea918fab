//! Readers of topics that are not a conversation's: one reader for each session, and in a tree the filters that say what it is given.

use std::sync::Arc;

use bytes::Bytes;

use super::walk::{offer_signal, shared};
use super::{LEFT, Registry};
use crate::model::Publication;
use crate::outbox::{Link, Offered, Piece, Stamped};
use crate::recent::WIRES;
use crate::shares::{Message, Share};
use crate::topic::{Telling, Topic};

impl<L: Link> Registry<L> {
    /// Adds a filter of a session that reads the topic. Its reader comes by [`Registry::register`].
    pub fn add_filter(&mut self, slot: u32, topic: &Topic, filter: &str) {
        if let Topic::Named(conf, realm) = topic {
            self.filters.entry((*conf, *realm)).or_default().insert(filter, slot);
        }
    }

    /// Takes a filter of a session away.
    pub fn remove_filter(&mut self, slot: u32, topic: &Topic, filter: &str) {
        let Topic::Named(conf, realm) = topic else { return };
        let Some(tree) = self.filters.get_mut(&(*conf, *realm)) else { return };
        tree.remove(filter, &slot);
        if tree.is_empty() {
            self.filters.remove(&(*conf, *realm));
        }
    }

    /// The places among the topic's readers of those whose filters select the publication and who may read it, in ascending order.
    pub(super) fn selected(&self, topic: &Topic, publication: &Publication) -> Vec<u32> {
        let Topic::Named(conf, realm) = topic else { return Vec::new() };
        let Some(tree) = self.filters.get(&(*conf, *realm)) else { return Vec::new() };
        let mut places = Vec::new();
        tree.for_each_match(&publication.topic, |slot| {
            let session = self.sessions.get(*slot as usize).filter(|session| session.may_read(publication));
            places.extend(session.and_then(|session| session.topics.get(topic)));
        });
        // Whoever has two filters that match is given it once.
        places.sort_unstable();
        places.dedup();
        places
    }

    /// Gives a publication that nobody keeps to those whose filters select it. Who has no room for it does not get it (MQTT 5 §4.3.1).
    pub(super) fn tell_selected(&mut self, topic: &Topic, telling: &Arc<Telling>, publication: &Publication) {
        let places = self.selected(topic, publication);
        let Some(readers) = self.topics.get(topic) else { return };
        let mut encoded: [Option<Bytes>; WIRES] = Default::default();
        for reader in places.iter().filter_map(|at| readers.list.get(*at as usize)).filter(|reader| reader.slot != LEFT) {
            let Some(session) = self.sessions.get_mut(reader.slot as usize) else { continue };
            if session.lag.is_some() {
                continue;
            }
            let wire = session.link.wire();
            let Some(form) = self.wires[wire].as_ref() else { continue };
            let bytes = encoded[wire].get_or_insert_with(|| form.signal(telling));
            offer_signal(session, telling, bytes, reader.how.stamped, &mut self.scratch, &self.bounds);
        }
    }

    /// Gives a message to a session that was chosen for it; `false` when it is gone, or has too much already.
    pub fn give_share(&mut self, share: &Arc<Share>) -> bool {
        let Some(session) = self.sessions.get_mut(share.to.slot as usize).filter(|session| session.id == share.to.session) else {
            return false;
        };
        if share.message.publication().is_none_or(|publication| !session.may_read(publication)) {
            return false;
        }
        if session.link.keeps_shares() {
            // In their order.
            return session.link.keep_share(Arc::clone(share));
        }
        let since = session.link.stamps();
        self.scratch.clear();
        let stamped = match &share.message {
            Message::Event(published) => {
                // The form that expects acknowledgements.
                let form = shared(&self.wires, session.link.wire() + 1, published);
                session.link.stamp_share(share, form, &mut self.scratch)
            }
            Message::Telling(telling) => {
                let form = self.wires[session.link.wire()].as_ref().map_or_else(Bytes::new, |form| form.signal(telling));
                session.link.stamp_share(share, &form, &mut self.scratch)
            }
        };
        match stamped {
            Stamped::Unwanted => true,
            Stamped::NoRoom => session.link.keep_share(Arc::clone(share)),
            Stamped::Given => match session.outbox.offer(&session.link, Piece::Own(&self.scratch), 1, &self.bounds) {
                Offered::Taken => true,
                Offered::Full => {
                    session.link.unstamp(since);
                    session.link.keep_share(Arc::clone(share))
                }
                Offered::Gone => {
                    session.link.unstamp(since);
                    false
                }
            },
        }
    }
}
