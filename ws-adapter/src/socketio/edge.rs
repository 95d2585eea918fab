//! What all Socket.IO connections of the process share, and what they share on each shard.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use hallway_broker::edges::SignIns;
use hallway_broker::hub::Hub;
use hallway_broker::ids::ConfNo;
use hallway_broker::peers::Peers;

use super::crowd::Crowd;
use super::engine::Heartbeat;
use super::polling::Polled;
use super::sid::Sid;

/// The process's part.
pub(crate) struct Edge {
    pub hub: Arc<Hub>,
    pub sign_ins: SignIns,
    /// Who is coming in, of each address: polling sessions and guests without a name cost no connection that waits, so that they are counted apart, and
    /// whoever opens many locks nobody out elsewhere.
    pub arrivals: Peers,
    /// The conference of who names none.
    pub conference: String,
    pub heartbeat: Heartbeat,
}

/// A shard's part.
#[derive(Default)]
struct Here {
    /// Who polls.
    polled: HashMap<Sid, Rc<Polled>>,
    /// Who is connected, by conference.
    crowds: HashMap<ConfNo, Rc<Crowd>>,
}

thread_local! {
    static HERE: RefCell<Here> = RefCell::default();
}

/// The polling session of this shard.
pub(crate) fn polled(sid: &Sid) -> Option<Rc<Polled>> {
    HERE.with_borrow(|here| here.polled.get(sid).cloned())
}

/// Makes a polling session known on its shard.
pub(crate) fn note_polled(sid: Sid, polled: Rc<Polled>) {
    HERE.with_borrow_mut(|here| here.polled.insert(sid, polled));
}

/// Forgets it.
pub(crate) fn forget_polled(sid: &Sid) {
    let gone = HERE.with_borrow_mut(|here| here.polled.remove(sid));
    // Dropped here, when nothing is borrowed.
    drop(gone);
}

/// Who of a conference is connected here; `make` is asked when there was nobody.
pub(crate) fn crowd(conf: ConfNo, make: impl FnOnce() -> Rc<Crowd>) -> Rc<Crowd> {
    if let Some(crowd) = HERE.with_borrow(|here| here.crowds.get(&conf).cloned()) {
        return crowd;
    }
    let crowd = make();
    HERE.with_borrow_mut(|here| here.crowds.insert(conf, Rc::clone(&crowd)));
    crowd
}

/// Forgets a conference that nobody is connected to any more.
pub(crate) fn forget_crowd(conf: ConfNo) {
    let gone = HERE.with_borrow_mut(|here| here.crowds.remove(&conf));
    drop(gone);
}
