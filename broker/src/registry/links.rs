//! A session's link and lanes, for edges that move a session from one connection to another, or tell it what is no event of the hub's.

use bytes::Bytes;

use super::Registry;
use crate::ids::{ConfNo, Uid};
use crate::outbox::{Link, Offered, Piece};

impl<L: Link> Registry<L> {
    /// Whose session it is, when the slot is still that session's.
    #[must_use]
    pub fn owner(&self, slot: u32, id: u64) -> Option<(ConfNo, Uid)> {
        self.sessions.get(slot as usize).filter(|session| session.id == id).map(|session| (session.conf, session.uid.clone()))
    }

    /// Gives the session another link; nothing that its lanes hold may have been written in part.
    pub fn relink(&mut self, slot: u32, id: u64, link: L) {
        if let Some(session) = self.sessions.get_mut(slot as usize).filter(|session| session.id == id) {
            session.link = link;
        }
    }

    /// Gives a session a frame that is no event, as signals are given: one that lags, or whose lane is full, does not get it.
    pub fn signal(&mut self, slot: u32, id: u64, frame: &Bytes) -> bool {
        let Some(session) = self.sessions.get_mut(slot as usize).filter(|session| session.id == id) else { return false };
        session.lag.is_none() && session.outbox.offer(&session.link, Piece::Shared(frame), 1, &self.bounds) == Offered::Taken
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::io;
    use std::rc::Rc;
    use std::sync::Arc;

    use super::*;
    use crate::model::Via;
    use crate::outbox::{Bounds, Budget, Flushed};
    use crate::registry::Wires;

    /// Takes everything, or nothing.
    #[derive(Default)]
    struct Socket {
        closed: Cell<bool>,
        read: RefCell<Vec<u8>>,
    }

    impl Link for Rc<Socket> {
        fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
            if self.closed.get() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.read.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn wake(&self) {}
        fn wire(&self) -> usize {
            0
        }
    }

    #[test]
    fn what_waits_goes_over_the_new_link() {
        let bounds = Bounds { events: 2, bytes: 100, budget: Budget::new(1000) };
        let wires: Arc<Wires> = Arc::default();
        let mut registry = Registry::new(wires, bounds, 10);
        let (before, after) = (Rc::new(Socket::default()), Rc::new(Socket::default()));
        let (conf, alice) = (ConfNo(1), Uid::parse("alice").unwrap());
        let slot = registry.add(7, conf, alice.clone(), Via::Socketio, Rc::clone(&before));
        assert_eq!(registry.owner(slot, 7), Some((conf, alice)));
        assert_eq!(registry.owner(slot, 8), None);
        let frame = |text: &'static str| Bytes::from_static(text.as_bytes());
        assert!(registry.signal(slot, 7, &frame("1")));
        assert!(!registry.signal(slot, 8, &frame("another session's")));
        before.closed.set(true);
        assert!(registry.signal(slot, 7, &frame("2")) && registry.signal(slot, 7, &frame("3")));
        assert!(!registry.signal(slot, 7, &frame("too many")), "a full lane drops it");
        registry.outbox(slot, 7).unwrap().0.answers().extend_from_slice(b"answer");
        registry.relink(slot, 8, Rc::clone(&before));
        registry.relink(slot, 7, Rc::clone(&after));
        assert_eq!(registry.flush(slot), Flushed::Empty);
        assert_eq!((before.read.take(), after.read.take()), (b"1".to_vec(), b"answer23".to_vec()));
        registry.remove(slot);
    }
}
