//! Going on with a session after its link was cut (XEP-0198 §5). The session waits on its shard, without a link; whoever names it and is its
//! user takes it over, once. What was not acknowledged comes again: what is nowhere else as it was, events from the store.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hallway_broker::ids::{ConfNo, Uid};
use hallway_broker::reject::Reason;
use hallway_broker::session::{Session, Who};
use tokio::sync::oneshot;

use super::connect::Door;
use super::connection::{Connection, InRoom, Managed};
use super::deliver::Catching;
use super::edge::connection_here;
use super::management::{self, Received, Unacknowledged};
use super::negotiation;
use super::stream::{Condition, StreamError};
use super::write::Writer;

/// How long a session without a link is kept, in seconds.
pub const RESUME_WITHIN_S: u64 = 300;
/// How long a session may take to be handed over: what it was asked before must be durable.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a session is that can be resumed.
struct Handle {
    conf: ConfNo,
    uid: Uid,
    shard: u16,
    session: u64,
}

/// The sessions that can be resumed, by their names.
#[derive(Default)]
pub struct Resumable {
    sessions: Mutex<HashMap<Box<str>, Handle>>,
}

impl Resumable {
    /// A session can be resumed by this name.
    pub fn add(&self, name: &str, connection: &Connection, shard: u16) {
        let handle = Handle { conf: connection.me.conf, uid: connection.me.uid.clone(), shard, session: connection.session.get() };
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).insert(name.into(), handle);
    }

    /// It cannot any more.
    pub fn remove(&self, name: &str) {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Takes it, if it is this user's: nobody else gets it any more.
    fn claim(&self, name: &str, conf: ConfNo, uid: &Uid) -> Option<Handle> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.get(name).filter(|handle| handle.conf == conf && handle.uid == *uid)?;
        sessions.remove(name)
    }
}

/// A session on its way to its next link.
pub(super) struct Parcel {
    /// The session before.
    pub session: u64,
    pub resource: Arc<str>,
    pub received: u32,
    pub unacknowledged: Unacknowledged,
    /// Every event at or below this pos was sent.
    pub given: u64,
    pub rooms: Vec<InRoom>,
    pub carbons: bool,
    pub interested: bool,
    pub sees_blocks: bool,
    pub caps: Box<str>,
    pub question: Box<str>,
    pub notified: Vec<Box<str>>,
    pub catching: Option<Box<Catching>>,
    pub copies_since: Option<u64>,
    /// How it said it is, and its priority.
    pub presence: Option<(Arc<[u8]>, i8)>,
    /// Direct conversations are followed.
    pub follows: bool,
    /// Dropped when the session before may go.
    pub release: oneshot::Sender<()>,
    /// Closed when it has gone.
    pub gone: oneshot::Receiver<()>,
}

/// Why a session is not resumed.
pub(super) enum Failed {
    /// The client may bind a resource: `<failed/>`.
    Element(Vec<u8>),
    /// The stream ends.
    Stream(StreamError),
}

/// Takes a session over.
pub(super) async fn resume(door: &mut Door, wanted: negotiation::Resume) -> Result<(Rc<Connection>, Session), Failed> {
    let negotiation::Resume { identity, previous, handled, .. } = wanted;
    let edge = Arc::clone(&door.edge);
    let Some(handle) = edge.resumable.claim(&previous, identity.conf, &identity.uid) else { return Err(failed("item-not-found")) };
    let (sender, parcel) = oneshot::channel();
    edge.hub.run_on_shard(
        handle.shard,
        Box::new(move |_| {
            if let Some(connection) = connection_here(handle.session) {
                connection.taken_over.replace(Some(sender));
                connection.bell.ring();
            }
        }),
    );
    let Ok(Ok(mut parcel)) = tokio::time::timeout(HAND_OVER_TIMEOUT, parcel).await else { return Err(failed("item-not-found")) };
    if let Err(error) = parcel.unacknowledged.acknowledge(handled, parcel.given) {
        tracing::debug!(%error, "a session is not resumed");
        return Err(Failed::Stream(too_high()));
    }
    let who = Who::from(*identity);
    let opened = match door.open(who.clone(), &parcel.resource) {
        Err(reject) if reject.reason == Reason::TooManySessions => {
            // It takes the place of the one before.
            drop(std::mem::replace(&mut parcel.release, oneshot::channel().0));
            let _ = tokio::time::timeout(HAND_OVER_TIMEOUT, &mut parcel.gone).await;
            door.open(who, &parcel.resource)
        }
        opened => opened,
    };
    let Ok((connection, session)) = opened else { return Err(failed("resource-constraint")) };
    let rooms = take_up(&connection, &session, &previous, parcel);
    connection.returning.replace(Some(Box::new(rooms)));
    Ok((connection, session))
}

/// What is left to do when the task begins: rooms and conversations are followed again.
pub(super) struct Returning {
    /// The session before.
    pub before: u64,
    pub cursor: u64,
    pub rooms: Vec<InRoom>,
    pub presence: Option<(Arc<[u8]>, i8)>,
    pub follows: bool,
    /// Dropped when the session before may go.
    pub release: oneshot::Sender<()>,
}

/// The new connection is what the one before was; the client is told, and sent again what it has not had.
fn take_up(connection: &Rc<Connection>, session: &Session, name: &str, parcel: Parcel) -> Returning {
    let Parcel { session: before, received, mut unacknowledged, given, rooms, presence, follows, release, .. } = parcel;
    connection.carbons.set(parcel.carbons);
    connection.interested.set(parcel.interested);
    connection.sees_blocks.set(parcel.sees_blocks);
    connection.caps.replace(parcel.caps);
    connection.question.replace(parcel.question);
    connection.notified.replace(parcel.notified);
    connection.catching.replace(parcel.catching);
    connection.copies_since.set(parcel.copies_since);
    connection.received.replace(Received::resumed(received));
    let cursor = unacknowledged.cursor(given);
    let (own, mut had) = unacknowledged.take_up();
    had.sort_unstable();
    session.push(|into| {
        let mut resumed = Vec::new();
        Writer::new(&mut resumed).open("resumed", management::NS).attr("previd", name).number_attr("h", received as usize).empty();
        connection.emit_uncounted(&resumed, into);
        let managed = Managed { id: name.into(), resumes: true, unacknowledged, asked: false, wants: None, before: 0, had };
        connection.managed.replace(Some(Box::new(managed)));
        for stanza in own {
            connection.emit(&stanza, into);
        }
    });
    connection.edge.resumable.add(name, connection, session.shard.index);
    Returning { before, cursor, rooms, presence, follows, release }
}

/// XEP-0198 §5.
fn failed(condition: &'static str) -> Failed {
    let mut out = Vec::new();
    management::write_failed(condition, &mut out);
    Failed::Element(out)
}

/// XEP-0198 §4, the client acknowledges what it was not sent.
pub(super) fn too_high() -> StreamError {
    StreamError::new(Condition::UndefinedCondition, "XEP-0198 §4", "more was acknowledged than was sent")
}

impl Connection {
    /// What the next link needs of this one.
    pub fn parcel(&self, given: u64, follows: bool, release: oneshot::Sender<()>, gone: oneshot::Receiver<()>) -> Option<Parcel> {
        let managed = self.managed.take()?;
        let resource = self.edge.directory.of(self.me.conf, &self.me.uid);
        let resource = resource.iter().find(|resource| resource.session == self.session.get());
        let presence = resource.and_then(|resource| Some((resource.presence.clone()?, resource.priority)));
        let received = managed.handled(&self.received.borrow());
        Some(Parcel {
            session: self.session.get(),
            resource: self.me.resource().into(),
            received,
            unacknowledged: managed.unacknowledged,
            given,
            rooms: self.rooms.take(),
            carbons: self.carbons.get(),
            interested: self.interested.get(),
            sees_blocks: self.sees_blocks.get(),
            caps: self.caps.take(),
            question: self.question.take(),
            notified: self.notified.take(),
            catching: self.catching.take(),
            copies_since: self.copies_since.get(),
            presence,
            follows,
            release,
            gone,
        })
    }
}
