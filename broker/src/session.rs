//! A session as its edge holds it: what it may ask of the hub, and where its answers and events come from.

mod activity;
mod topics;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::accounts::Identity;
use crate::command::{Action, Actor, Command, Outcome};
use crate::ids::{ConfNo, ConferenceId, ConversationId, Uid};
use crate::limits::MAX_PAGE;
use crate::model::{Head, Signal, TokenHash, UserRole, Via};
use crate::outbox::Flushed;
use crate::queue::{ReplyTo, Submission, Ticket};
use crate::reader::{Page, Toward};
use crate::recent::Published;
use crate::registry::Scope;
use crate::reject::{Reason, Reject};
use crate::sessions::{Live, Presence};
use crate::shard::{Ending, Peer, Shard};
use crate::topic::{How, Source, Telling, Topic};
use crate::view::Found;

/// Who signed in, as accounts found them.
#[derive(Debug, Clone)]
pub struct Who {
    /// The conference's number.
    pub conf: ConfNo,
    /// The conference's id.
    pub conference: ConferenceId,
    /// The user.
    pub uid: Uid,
    /// Their display name when they signed in.
    pub name: Arc<str>,
    /// The account's version then: another one ends the session.
    pub version: u32,
    /// When their token expires, and the session with it, Unix ms.
    pub expires_ms: u64,
    /// The token of our own that signed them in.
    pub token: Option<TokenHash>,
}

impl From<Identity> for Who {
    fn from(identity: Identity) -> Self {
        let Identity { conf, conference, uid, user, expires_ms, token } = identity;
        Self { conf, conference, uid, name: Arc::clone(&user.name), version: user.version, expires_ms, token }
    }
}

/// See the module's text. Ends with its drop.
pub struct Session {
    /// The shard that it lives on.
    pub shard: Rc<Shard>,
    /// Its slot there.
    pub slot: u32,
    /// Its id.
    pub id: u64,
    /// Whose it is.
    pub who: Who,
    /// Its protocol.
    pub via: Via,
    /// Its user takes part in conversations; otherwise it is a badge reader.
    pub takes_part: bool,
    joined: topics::Joined,
    active_ms: Arc<AtomicU64>,
    retired: Cell<bool>,
}

pub use topics::Gathered;

/// What a new reader of a conversation is to have of what is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CatchUp {
    /// Nothing: live after its head.
    Live,
    /// Everything above a seq.
    After(u64),
    /// The newest events of these kinds, so many at most; all else is live.
    Last(usize, &'static [&'static str]),
}

/// A conversation that was subscribed to, and what was missed of it.
pub struct Subscribed {
    /// The conversation.
    pub found: Found,
    /// Its head.
    pub head: Head,
    /// What was missed; the rest comes as events when it is not complete.
    pub page: Page,
}

impl Session {
    /// Opens a session of `who` on this shard.
    ///
    /// # Errors
    /// [`Reason::TooManySessions`]; [`Reason::BadToken`] and [`Reason::SessionEnded`] for who was signed out meanwhile; [`Reason::NotAllowed`] for a
    /// badge reader over a protocol that is for people only; or the state's.
    pub fn open(shard: &Rc<Shard>, who: Who, via: Via, device: Option<&str>, peer: Rc<dyn Peer>) -> Result<Self, Reject> {
        let hub = &shard.hub;
        let id = hub.next_session_id();
        let slot = shard.registry(|registry| registry.add(id, who.conf, who.uid.clone(), via, peer));
        let (version, token, since_ms) = (who.version, who.token, hub.clock().now_ms());
        // Who opens a session is there.
        let active_ms = Arc::new(AtomicU64::new(since_ms));
        let live = Live {
            id,
            shard: shard.index,
            slot,
            via,
            since_ms,
            version,
            token,
            device: device.map(Into::into),
            active_ms: Arc::clone(&active_ms),
        };
        let (first, oldest) = match hub.sessions().add(who.conf, &who.uid, live, hub.limits()) {
            Ok(added) => added,
            Err(reject) => {
                shard.registry(|registry| registry.remove(slot));
                return Err(reject);
            }
        };
        let (shard, joined, retired) = (Rc::clone(shard), topics::Joined::default(), Cell::new(false));
        let mut session = Self { shard, slot, id, who, via, takes_part: true, joined, active_ms, retired };
        if let Some(oldest) = oldest {
            hub.end_session(&oldest, Ending::Closed);
        }
        session.is_still_signed_in()?;
        if first {
            session.tell_presence();
        } else {
            session.tell_companions();
        }
        Ok(session)
    }

    /// Looked at once the session is listed: what signed its user out before that did not find it.
    fn is_still_signed_in(&mut self) -> Result<(), Reject> {
        let (reader, Who { conf, uid, version, token, .. }) = (self.shard.hub.reader(), &self.who);
        if let Some(hash) = token
            && reader.token(hash)?.is_none()
        {
            return Err(Reason::BadToken.into());
        }
        let user = reader.user(*conf, uid)?;
        if user.as_ref().is_some_and(|user| user.version != *version) {
            return Err(Reason::SessionEnded.into());
        }
        self.takes_part = user.is_none_or(|user| user.role.takes_part());
        // Readers scan over MQTT, or with `badge.scan`.
        if self.takes_part || matches!(self.via, Via::Mqtt | Via::Ws) { Ok(()) } else { Err(Reason::NotAllowed.into()) }
    }

    /// Follows the user's inbox, live from now on.
    ///
    /// # Errors
    /// The state's.
    pub fn follow_inbox(&self, how: How) -> Result<(), Reject> {
        let Who { conf, uid, .. } = &self.who;
        let topic = Topic::Inbox(*conf, uid.clone());
        self.shard.registry(|registry| registry.register(self.slot, &topic, None, how));
        let now = self.shard.hub.reader().conference_head(*conf)?.pos;
        self.shard.registry(|registry| registry.settle(self.slot, &topic, now, now));
        Ok(())
    }

    /// The session as it is listed.
    #[must_use]
    pub fn live(&self) -> Live {
        let (version, token, since_ms) = (self.who.version, self.who.token, 0);
        Live {
            id: self.id,
            shard: self.shard.index,
            slot: self.slot,
            via: self.via,
            since_ms,
            version,
            token,
            device: None,
            active_ms: Arc::clone(&self.active_ms),
        }
    }

    /// Who acts when this session asks.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor { uid: self.who.uid.clone(), via: self.via, session: self.id }
    }

    /// The submission of an action whose answer comes to [`Peer::answer`] with `tag`.
    #[must_use]
    pub fn submission(&self, tag: u32, action: Action) -> Submission {
        self.note(&action);
        let ticket = Ticket { shard: self.shard.index, slot: self.slot, session: self.id, tag };
        let command = Command { conf: self.who.conf, actor: self.actor(), at_ms: 0, action };
        self.shard.hub.submission(command, ReplyTo::Session(ticket))
    }

    /// Carries out an action and waits for what came of it.
    ///
    /// # Errors
    /// The refusal.
    pub async fn call(&self, action: Action) -> Result<Outcome, Reject> {
        self.note(&action);
        self.shard.hub.call(self.who.conf, self.actor(), action).await
    }

    /// Follows a conversation, with what is there already as far as `catch_up` asks for it. What comes after that is given when the caller lets
    /// others of the shard run.
    ///
    /// # Errors
    /// The refusal.
    pub async fn subscribe(&self, id: &ConversationId, catch_up: CatchUp, how: How) -> Result<Subscribed, Reject> {
        let Who { conf, uid, .. } = &self.who;
        let reader = self.shard.hub.reader().clone();
        let found = reader.readable(*conf, uid, id)?;
        if self.shard.registry(|registry| registry.follows_all(self.slot)) {
            return Err(Reason::FollowsAll.into());
        }
        let topic = Topic::Chat(*conf, found.record.no);
        let source = Source { id: id.clone(), kind: found.record.kind };
        // First register, then read: what comes in between is noted.
        if !self.shard.registry(|registry| registry.register(self.slot, &topic, Some(source), how)) {
            return Err(Reason::TooManySubscriptions.into());
        }
        let read = {
            let (uid, id, conf) = (uid.clone(), id.clone(), *conf);
            blocking(move || {
                let end = reader.conference_head(conf)?.pos;
                let head = reader.head(&found)?;
                let page = match catch_up {
                    CatchUp::Live => Page { events: Vec::new(), complete: true },
                    CatchUp::After(after) => reader.page(&found, Toward::Newer(after), MAX_PAGE, &[])?,
                    CatchUp::Last(limit, kinds) => reader.page(&found, Toward::Older(u64::MAX), limit, kinds)?,
                };
                // Looked at last: then nothing that was read was said after a removal.
                let found = reader.readable(conf, &uid, &id)?;
                Ok((found, end, head, page))
            })
        };
        let (found, end, head, page) = match read.await {
            Ok(read) => read,
            Err(reject) => {
                self.shard.registry(|registry| registry.unsubscribe(self.slot, &topic));
                return Err(reject);
            }
        };
        // The head may be newer than `end`, and the page newer than the head: the floor is what the page surely covers.
        let last = page.events.last().map_or(0, |event| event.entry.pos);
        let covered = match catch_up {
            CatchUp::After(_) if !page.complete => last,
            CatchUp::After(_) => last.max(end),
            CatchUp::Live | CatchUp::Last(..) => last.max(head.pos).max(end),
        };
        let until = covered.max(head.pos).max(end);
        if !self.shard.registry(|registry| registry.settle(self.slot, &topic, covered, until)) {
            return Err(Reason::NotAMember.into());
        }
        self.follow_presence(id, true);
        Ok(Subscribed { found, head, page })
    }

    /// Follows everything of the scope that the user may read, now and later: live from now on, or with what came after `from`.
    ///
    /// # Errors
    /// The state's.
    pub async fn subscribe_all(&self, scope: Scope, how: How, from: Option<u64>) -> Result<(), Reject> {
        let (reader, conf, uid) = (self.shard.hub.reader().clone(), self.who.conf, self.who.uid.clone());
        // First register, then read: what the user comes into in between is noted.
        let start = from.unwrap_or_else(|| self.shard.hub.end(conf));
        if !self.shard.registry(|registry| registry.follow_all(self.slot, start, how, scope)) {
            return Ok(());
        }
        match blocking(move || Ok(reader.known(conf, &uid)?)).await {
            Ok(known) => {
                self.shard.registry(|registry| registry.follow_known(self.slot, known));
                let until = self.shard.hub.end(conf);
                self.shard.registry(|registry| registry.settle_all(self.slot, until));
                Ok(())
            }
            Err(reject) => {
                self.unsubscribe_all();
                Err(reject)
            }
        }
    }

    /// Whether it follows everything.
    #[must_use]
    pub fn follows_all(&self) -> bool {
        self.shard.registry(|registry| registry.follows_all(self.slot))
    }

    /// Reads a conversation in another way from now on, if it follows it.
    ///
    /// # Errors
    /// The state's.
    pub fn reread(&self, id: &ConversationId, how: How) -> Result<(), Reject> {
        let found = self.shard.hub.reader().conversation(self.who.conf, id)?.ok_or(Reason::UnknownConversation)?;
        self.shard.registry(|registry| registry.reread(self.slot, &Topic::Chat(self.who.conf, found.record.no), how));
        Ok(())
    }

    /// Stops following everything; what was subscribed to by name goes on. Whether it did.
    pub fn unsubscribe_all(&self) -> bool {
        self.shard.registry(|registry| registry.unfollow_all(self.slot))
    }

    /// Stops following a conversation; whether it was followed.
    ///
    /// # Errors
    /// The state's.
    pub fn unsubscribe(&self, id: &ConversationId) -> Result<bool, Reject> {
        let found = self.shard.hub.reader().conversation(self.who.conf, id)?.ok_or(Reason::UnknownConversation)?;
        self.follow_presence(id, false);
        Ok(self.shard.registry(|registry| registry.unsubscribe(self.slot, &Topic::Chat(self.who.conf, found.record.no))))
    }

    /// In a direct conversation the other's presence comes along.
    pub fn follow_presence(&self, id: &ConversationId, follow: bool) {
        let Some(partner) = id.partner(&self.who.uid) else { return };
        // XEP-0191 §3.2: who is blocked is not shown it, from the next time on that they come; when it cannot be read, neither.
        if follow && self.shard.hub.reader().has_blocked(self.who.conf, &partner, &self.who.uid).unwrap_or(true) {
            return;
        }
        let topic = Topic::Presence(self.who.conf, partner);
        self.shard.registry(|registry| {
            if follow {
                // Signals need no catch-up: it is never settled.
                registry.register(self.slot, &topic, None, How::default());
            } else {
                registry.unsubscribe(self.slot, &topic);
            }
        });
    }

    /// Tells the readers of a conversation a signal.
    pub fn tell(&self, found: &Found, signal: Signal) {
        self.note_active();
        self.shard.hub.tell(&Telling::about(found, signal));
    }

    /// Says how the user is.
    pub fn set_presence(&self, presence: &Presence) {
        self.note_presence(presence.status);
        self.shard.hub.sessions().set_presence(self.who.conf, &self.who.uid, presence);
        self.tell_presence();
    }

    /// Tells how the user is, unless it is a thing: badge readers are not among the people who are there.
    fn tell_presence(&self) {
        if matches!(self.shard.hub.reader().user(self.who.conf, &self.who.uid), Ok(Some(user)) if user.role == UserRole::Device) {
            return;
        }
        let Presence { status, text } = self.shard.hub.sessions().presence(self.who.conf, &self.who.uid);
        let signal = Signal::Presence { user: self.who.uid.clone(), name: Arc::clone(&self.who.name), status, text };
        self.shard.hub.tell(&Telling::of(self.who.conf, signal));
    }

    /// Tells the user's other sessions of protocols that show them.
    fn tell_companions(&self) {
        let hub = &self.shard.hub;
        // Who uses a plain broker without a name is many people.
        if self.who.uid == Uid::anonymous() {
            return;
        }
        for (shard, slot, id) in hub.sessions().by_protocol(self.who.conf, &self.who.uid, Via::Socketio) {
            if id != self.id {
                hub.run_on_shard(shard, Box::new(move |shard| shard.tell_companion(slot, id)));
            }
        }
    }

    /// From now on another connection of the same shard is the session's: what waits in its lanes goes there.
    pub fn relink(&self, peer: Rc<dyn Peer>) {
        self.shard.registry(|registry| registry.relink(self.slot, self.id, peer));
    }

    /// Appends whole frames to the lane of answers and writes what the socket takes.
    pub fn push(&self, write: impl FnOnce(&mut Vec<u8>)) -> Flushed {
        self.shard.registry(|registry| {
            if let Some((outbox, _)) = registry.outbox(self.slot, self.id) {
                write(outbox.answers());
            }
            registry.flush(self.slot)
        })
    }

    /// Whether the token has expired that the session was opened with.
    #[must_use]
    pub fn has_expired(&self) -> bool {
        self.shard.hub.clock().now_ms() >= self.who.expires_ms
    }

    /// Appends whole frames to the lane of answers; [`Session::flush`] writes them.
    pub fn append(&self, write: impl FnOnce(&mut Vec<u8>)) {
        self.shard.registry(|registry| {
            if let Some((outbox, _)) = registry.outbox(self.slot, self.id) {
                write(outbox.answers());
            }
        });
    }

    /// The session is about to end: it is given nothing more.
    pub fn silence(&self) {
        self.shard.registry(|registry| registry.silence(self.slot, self.id));
    }

    /// It is not listed any more and counts no more: its client is about to be told that it has ended.
    pub fn retire(&self) {
        if self.retired.replace(true) {
            return;
        }
        let hub = &self.shard.hub;
        if self.via == Via::Mqtt {
            hub.badges().health.gone(self.who.conf, &self.who.uid, hub.clock().now_ms());
        }
        if hub.sessions().remove(self.who.conf, &self.who.uid, self.id) {
            self.tell_presence();
        } else {
            self.tell_companions();
        }
    }

    /// Writes what waits.
    pub fn flush(&self) -> Flushed {
        self.shard.registry(|registry| registry.flush(self.slot))
    }

    /// Bytes of answers that wait: beyond a bound the edge stops reading.
    #[must_use]
    pub fn answers_bytes(&self) -> usize {
        self.shard.registry(|registry| registry.outbox(self.slot, self.id).map_or(0, |(outbox, _)| outbox.answers_bytes()))
    }

    /// Whether events have passed the session by.
    #[must_use]
    pub fn lags(&self) -> bool {
        self.shard.registry(|registry| registry.lags(self.slot))
    }

    /// When the session lags and its lane is empty: reads what passed it by and gives it to it. `false` when there was nothing to do, or
    /// it could not be done now.
    pub async fn refill(&self) -> bool {
        match self.missed().await {
            Some((events, through)) => self.give(&events, through),
            None => false,
        }
    }

    /// When the session lags and its lane is empty: some of what passed it by, in pos order, and the pos that it reaches. Next comes
    /// [`Session::give`].
    pub async fn missed(&self) -> Option<(Vec<Arc<Published>>, u64)> {
        let refill = self.shard.registry(|registry| registry.wants_refill(self.slot))?;
        let reader = self.shard.hub.reader();
        let limit = self.shard.hub.limits().outbox_events.clamp(1, MAX_PAGE);
        if let Some(found) = reader.missed_lately(&refill, limit) {
            return Some(found);
        }
        let reader = reader.clone();
        match blocking(move || Ok(reader.missed(&refill, limit)?)).await {
            Ok(found) => Some(found),
            Err(reject) => {
                tracing::warn!(%reject, "a lagging session could not be refilled, trying again");
                self.shard.registry(|registry| registry.refill_failed(self.slot, self.id));
                None
            }
        }
    }

    /// Gives the session what it missed. `false` when its lane took nothing: the same again a little later.
    pub fn give(&self, events: &[Arc<Published>], through: u64) -> bool {
        self.shard.registry(|registry| registry.refill(self.slot, self.id, events, through))
    }

    /// What was missed and is not to be given now, after all.
    pub fn give_later(&self) {
        self.shard.registry(|registry| registry.refill_failed(self.slot, self.id));
    }

    /// Follows a topic, with what came after `from`. Of a conversation, the right to read it is looked at last.
    ///
    /// # Errors
    /// The refusal.
    pub fn follow(&self, topic: &Topic, source: Option<Source>, how: How, from: u64) -> Result<(), Reject> {
        let conversation = source.as_ref().filter(|_| matches!(topic, Topic::Chat(..))).map(|source| source.id.clone());
        if !self.shard.registry(|registry| registry.register(self.slot, topic, source, how)) {
            return Err(Reason::TooManySubscriptions.into());
        }
        let end = self.shard.hub.end(self.who.conf);
        let readable = match conversation {
            Some(id) => self.shard.hub.reader().readable(self.who.conf, &self.who.uid, &id).map(drop),
            None => Ok(()),
        };
        if let Err(reject) = readable {
            self.shard.registry(|registry| registry.unsubscribe(self.slot, topic));
            return Err(reject);
        }
        let settled = self.shard.registry(|registry| registry.settle(self.slot, topic, from.min(end), end));
        if settled { Ok(()) } else { Err(Reason::NotAMember.into()) }
    }

    /// Where the session goes on when it comes back.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.shard.registry(|registry| registry.cursor(self.slot))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.leave_all_topics();
        self.retire();
        self.shard.registry(|registry| registry.remove(self.slot));
    }
}

/// Runs something that may touch the disk away from the shard.
///
/// # Errors
/// Its own, or [`Reason::StoreError`] when it panicked.
pub async fn blocking<T: Send + 'static>(run: impl FnOnce() -> Result<T, Reject> + Send + 'static) -> Result<T, Reject> {
    match tokio::task::spawn_blocking(run).await {
        Ok(result) => result,
        Err(error) => {
            tracing::error!(%error, "reading the store failed");
            Err(Reason::StoreError.into())
        }
    }
}
