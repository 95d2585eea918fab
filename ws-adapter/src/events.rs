//! A stream of Server-Sent Events: a session like any other, whose socket is a bounded pipe into the body of a response. What the pipe does not take
//! waits in the session's outbox, and what that does not take is read from the store again, so a slow reader costs no memory and loses
//! nothing. Every durable event has an `id`, the epoch and its pos, from which the next stream goes on.
//!
//! The session's task writes and refills; requests for it come by [`Peer::ask`] from `POST /rpc`, wherever that came in.

mod pipe;
#[cfg(test)]
mod tests;
mod wire;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hallway_broker::canonical::{SessionNotice, write_session_notice_params};
use hallway_broker::hub::Hub;
use hallway_broker::ids::ConversationId;
use hallway_broker::model::Via;
use hallway_broker::outbox::Flushed;
use hallway_broker::registry::Scope;
use hallway_broker::reject::{Reason, Reject};
use hallway_broker::sending::Sending;
use hallway_broker::session::{Session, Who};
use hallway_broker::shard::{Asked, Ending, Peer, Shard};
use hallway_broker::topic::{How, Source, Topic};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::http::credential::Credential;
use crate::methods::{self, Caller};
use crate::rpc::Fault;
use crate::types::conversation_id;
use crate::types::session::{Hello, checked_device};
use crate::wire::DRAIN_RETRY_MS;
use pipe::Pipe;

pub use pipe::EventsBody;
pub(crate) use wire::{SSE_WIRE, SseWire};

/// How often a comment shows that the connection lives.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// When a refill that failed is tried again.
const REFILL_RETRY: Duration = Duration::from_millis(200);
/// How long the last words of a stream may take to go out.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// What a client asks for.
pub struct EventsWanted {
    /// What it shows of who it is.
    pub credential: Credential,
    /// Ids of conversations with commas between; none: everything that one may read, now and later.
    pub conversations: Option<String>,
    /// What the client calls itself.
    pub device: Option<String>,
    /// The last `id` that it has.
    pub last: Option<String>,
}

/// Where a stream begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begin {
    /// After this pos.
    After(u64),
    /// After this pos, which is now, since what the client has is of another store.
    Anew(u64),
}

impl Begin {
    /// By the last `id` that a client has, in a store of this epoch that ends at `end`.
    fn of(last: Option<&str>, epoch: u64, end: u64) -> Self {
        let Some(last) = last else { return Self::After(end) };
        let known = last.split_once('.').and_then(|(epoch, pos)| Some((epoch.parse::<u64>().ok()?, pos.parse::<u64>().ok()?)));
        match known {
            Some((of, pos)) if of == epoch && pos <= end => Self::After(pos),
            _ => Self::Anew(end),
        }
    }

    fn pos(self) -> u64 {
        match self {
            Self::After(pos) | Self::Anew(pos) => pos,
        }
    }
}

/// Opens a stream for somebody who has signed in.
pub(crate) async fn open(shard: &Rc<Shard>, who: Who, sending: Sending, wanted: &EventsWanted) -> Result<EventsBody, Fault> {
    let device = checked_device(wanted.device.as_deref())?;
    let hub = &shard.hub;
    let record = hub.reader().conference(who.conference.as_str()).map_err(Reject::from)?.ok_or(Reason::UnknownConference)?;
    let role = hub.reader().user(who.conf, &who.uid).map_err(Reject::from)?.ok_or(Reason::SessionEnded)?.role;
    let pipe = Rc::new(Pipe::default());
    let body = EventsBody::new(Rc::clone(&pipe));
    let peer: Rc<dyn Peer> = Rc::clone(&pipe) as Rc<dyn Peer>;
    let session = Session::open(shard, who, Via::Http, device, peer)?;
    let begin = Begin::of(wanted.last.as_deref(), record.epoch, hub.end(session.who.conf));
    let hello = Hello::of(&session, role, record.epoch, hub.limits());
    session.push(|into| wire::write_beginning(&hello, record.epoch, begin, into));
    follow(&session, wanted, begin.pos()).await?;
    tokio::task::spawn_local(Stream { pipe, session, sending }.run());
    Ok(body)
}

/// Follows what is asked for, with what came after `from`.
async fn follow(session: &Session, wanted: &EventsWanted, from: u64) -> Result<(), Fault> {
    let Who { conf, uid, .. } = &session.who;
    session.follow(&Topic::Inbox(*conf, uid.clone()), None, How::default(), from)?;
    let Some(list) = &wanted.conversations else {
        return Ok(session.subscribe_all(Scope::All, How::plain(true), Some(from)).await?);
    };
    for id in list.split(',') {
        let id: ConversationId = conversation_id(id.trim())?;
        let found = session.shard.hub.reader().readable(*conf, uid, &id)?;
        let source = Source { id: id.clone(), kind: found.record.kind };
        session.follow(&Topic::Chat(*conf, found.record.no), Some(source), How::plain(true), from)?;
        session.follow_presence(&id, true);
    }
    Ok(())
}

/// Carries out a JSON-RPC message for one of a user's streams, wherever it is. The answer's text, empty when there is none.
pub(crate) async fn ask(hub: &Arc<Hub>, who: &Who, session: &str, text: &str) -> Result<Vec<u8>, Fault> {
    let unknown = || Fault::from(Reason::UnknownSession);
    let id: u64 = session.parse().map_err(|_| unknown())?;
    let live = hub.sessions().of(who.conf, &who.uid).into_iter().find(|live| live.id == id).ok_or_else(unknown)?;
    let (reply, answer) = oneshot::channel();
    let asked = Asked { text: text.to_owned(), reply };
    hub.run_on_shard(
        live.shard,
        Box::new(move |shard| {
            if let Some(peer) = shard.registry(|registry| registry.link(live.slot, live.id).cloned()) {
                peer.ask(asked);
            }
        }),
    );
    // Who drops it has ended, or is no stream of events.
    Ok(answer.await.map_err(|_| unknown())??)
}

/// A stream's session, and what its task does with it.
struct Stream {
    pipe: Rc<Pipe>,
    session: Session,
    sending: Sending,
}

impl Stream {
    async fn run(self) {
        let mut beat_at = Instant::now() + HEARTBEAT;
        loop {
            let flushed = self.session.flush();
            if flushed == Flushed::Gone || self.pipe.is_closed() {
                return;
            }
            if let Some(ending) = self.pipe.ending() {
                return self.say_goodbye(ending).await;
            }
            if flushed == Flushed::Empty && self.session.lags() && Box::pin(self.session.refill()).await {
                continue;
            }
            if let Some(asked) = self.pipe.next_asked() {
                Box::pin(self.carry_out(asked)).await;
                continue;
            }
            // A refill that could not be read or took no room is tried again before long.
            let retries = flushed == Flushed::Empty && self.session.lags();
            let until = if retries { beat_at.min(Instant::now() + REFILL_RETRY) } else { beat_at };
            tokio::select! {
                biased;
                () = self.pipe.woken() => {}
                () = tokio::time::sleep_until(until) => {
                    if Instant::now() >= beat_at {
                        beat_at = Instant::now() + HEARTBEAT;
                        self.beat();
                    }
                }
            }
        }
    }

    fn beat(&self) {
        if self.session.has_expired() {
            self.pipe.end(Ending::SignedOut);
        }
        // One that waits already says as much.
        if self.session.answers_bytes() == 0 {
            self.session.append(|into| into.extend_from_slice(b":\n\n"));
        }
    }

    async fn carry_out(&self, Asked { text, reply }: Asked) {
        let Self { session, sending, .. } = self;
        let caller =
            Caller { hub: &session.shard.hub, who: &session.who, via: Via::Http, sending, session: Some(session), is_guest: false };
        let mut out = Vec::new();
        methods::message(&caller, &text, &mut out).await;
        // Who asked may have gone.
        drop(reply.send(Ok(out)));
    }

    /// Says why it ends, as far as the reader takes it in time.
    async fn say_goodbye(&self, ending: Ending) {
        self.session.silence();
        let notice = match ending {
            Ending::Closed | Ending::TakenOver => SessionNotice::SessionClosed,
            Ending::SignedOut => SessionNotice::SessionEnded,
            Ending::Draining => SessionNotice::Draining { retry_after_ms: DRAIN_RETRY_MS },
        };
        self.session.push(|into| wire::write_notice(ending, |into| write_session_notice_params(notice, into), into));
        let taken = async {
            while self.session.flush() == Flushed::Blocked || !self.pipe.is_empty() {
                self.pipe.woken().await;
                if self.pipe.is_closed() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, taken).await;
        self.pipe.finish();
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.pipe.finish();
    }
}
