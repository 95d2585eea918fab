//! Applications' topics that a session follows by name, with what was stored there before: first that, then what comes, without a gap and
//! nothing twice. MQTT's own subscriptions are filters and are not kept here.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Session, blocking};
use crate::allowances::{TopicRights, Use};
use crate::gatherings::{Present, Visitor};
use crate::ids::{ConversationId, Uid};
use crate::model::{Kind, Realm, Stored};
use crate::reject::{Reason, Reject};
use crate::topic::{How, Source, Topic};

/// Topics by their whole names, each with the id of the connection that others see there.
type Names = BTreeMap<Arc<str>, Arc<str>>;

/// The topics of a session. Boxed: most sessions have none.
#[derive(Debug, Default)]
pub(super) struct Joined(RefCell<Option<Box<Names>>>);

/// What is found at a topic.
#[derive(Debug)]
pub struct Gathered {
    /// Who is there.
    pub people: Vec<(Uid, Present)>,
    /// What was stored, oldest first. What came after comes as events.
    pub stored: Vec<Stored>,
}

impl Session {
    /// What its user may do with applications' topics.
    ///
    /// # Errors
    /// The state's, or [`Reason::SessionEnded`].
    pub fn topic_rights(&self) -> Result<Arc<TopicRights>, Reject> {
        if let Some(rights) = self.shard.registry(|registry| registry.rights(self.slot)) {
            return Ok(rights);
        }
        let hub = &self.shard.hub;
        let user = hub.reader().user(self.who.conf, &self.who.uid)?.ok_or(Reason::SessionEnded)?;
        let rights = hub.topic_rights(&self.who, user.role);
        self.shard.registry(|registry| registry.set_rights(self.slot, Arc::clone(&rights)));
        Ok(rights)
    }

    /// Follows an application's topic by its whole name; others see `connection` there. What comes after what is found is given when the caller lets
    /// others of the shard run: it must say first what was found.
    ///
    /// # Errors
    /// [`Reason::NotAllowed`], [`Reason::AllowanceUnknown`], [`Reason::TooManySubscriptions`], or the state's.
    pub async fn join_topic(&self, name: &Arc<str>, connection: &Arc<str>) -> Result<Gathered, Reject> {
        let rights = self.topic_rights()?;
        rights.settle(name, Use::Subscribe).await?;
        let conf = self.who.conf;
        let reader = self.shard.hub.reader().clone();
        let read = Arc::clone(name);
        let mut stored = blocking(move || Ok(reader.stored(conf, &read, 0, u64::MAX)?)).await?;
        // An event that is on its way over the readers is not given to who comes in the middle of it.
        while self.shard.registry(|registry| registry.is_walking()) {
            tokio::task::yield_now().await;
        }
        let through = match self.register_topic(name) {
            Ok(through) => through,
            Err(reject) => {
                if !self.has_joined(name) {
                    rights.leave(name);
                }
                return Err(reject);
            }
        };
        // What was stored since it was read, up to where events take over: seldom anything.
        let last = stored.last().map_or(0, |stored| stored.pos);
        if last < through {
            stored.extend(self.shard.hub.reader().stored(conf, name, last, through)?);
        }
        stored.retain(|stored| stored.pos <= through);
        let people = self.shard.hub.gatherings().enter(conf, name, self.visitor(connection));
        self.joined.0.borrow_mut().get_or_insert_default().insert(Arc::clone(name), Arc::clone(connection));
        // Once more: who lost the right meanwhile was put out of what they had not come to yet.
        if !rights.may_read(name) {
            self.leave_topic(name);
            return Err(Reason::NotAllowed.into());
        }
        Ok(Gathered { people, stored })
    }

    /// Registers as reader of a topic; up to where everything that was published there is known by now, what is above comes as events.
    fn register_topic(&self, name: &Arc<str>) -> Result<u64, Reject> {
        let (conf, slot) = (self.who.conf, self.slot);
        let joined = self.joined.0.borrow().as_ref().map_or(0, |joined| joined.len());
        if joined >= self.shard.hub.limits().subscriptions_per_session && !self.has_joined(name) {
            return Err(Reason::TooManySubscriptions.into());
        }
        let all = Topic::Named(conf, Realm::Apps);
        let is_first = !self.shard.registry(|registry| registry.reads(slot, &all));
        self.shard.registry(|registry| {
            if !self.has_joined(name) {
                registry.add_filter(slot, &all, name);
            }
            registry.register(slot, &Topic::Gathering(conf, Arc::clone(name)), None, How::default());
        });
        if is_first {
            let source = Source { id: ConversationId::topics(), kind: Kind::Topics };
            self.shard.registry(|registry| registry.register(slot, &all, Some(source), How::default()));
            let end = self.shard.hub.end(conf);
            self.shard.registry(|registry| registry.settle(slot, &all, end, end));
            return Ok(end);
        }
        Ok(self.cursor())
    }

    /// Follows a topic no more; whether it did.
    pub fn leave_topic(&self, name: &str) -> bool {
        let mut joined = self.joined.0.borrow_mut();
        let Some((name, connection)) = joined.as_mut().and_then(|joined| joined.remove_entry(name)) else { return false };
        let is_last = joined.as_ref().is_none_or(|joined| joined.is_empty());
        if is_last {
            *joined = None;
        }
        drop(joined);
        self.forget_topic(&name, &connection, is_last);
        true
    }

    /// Whether it follows a topic.
    #[must_use]
    pub fn has_joined(&self, name: &str) -> bool {
        self.joined.0.borrow().as_ref().is_some_and(|joined| joined.contains_key(name))
    }

    /// Leaves all topics: the session ends.
    pub(super) fn leave_all_topics(&self) {
        let all = self.joined.0.take();
        for (name, connection) in all.into_iter().flat_map(|all| *all) {
            self.forget_topic(&name, &connection, false);
        }
    }

    fn forget_topic(&self, name: &Arc<str>, connection: &Arc<str>, is_last: bool) {
        let (conf, slot) = (self.who.conf, self.slot);
        let all = Topic::Named(conf, Realm::Apps);
        self.shard.registry(|registry| {
            registry.remove_filter(slot, &all, name);
            registry.unsubscribe(slot, &Topic::Gathering(conf, Arc::clone(name)));
            if is_last {
                registry.unsubscribe(slot, &all);
            }
            if let Some(rights) = registry.rights(slot) {
                rights.leave(name);
            }
        });
        self.shard.hub.gatherings().leave(conf, name, self.visitor(connection));
    }

    fn visitor<'a>(&'a self, connection: &'a Arc<str>) -> Visitor<'a> {
        Visitor { uid: &self.who.uid, name: &self.who.name, connection }
    }
}
