//! What a session's filters make it follow. The hub's streams are few: a conversation each, all that is open, and one each for applications'
//! topics, badges and the server; which of their messages the session is given, its filters say.

use std::sync::Arc;

use tokio::task::yield_now;

use super::session::Task;
use super::subscriptions::Subscription;
use super::topic::{
    Selection, Shared, Which, badge_result_topic, event_topic, inbox_topic, message_topic, presence_topic, read_topic, typing_topic,
};
use crate::ids::{ConversationId, Uid};
use crate::model::{Kind, Realm};
use crate::registry::Scope;
use crate::reject::{Class, Reason, Reject};
use crate::topic::{How, Parts, Source, Topic};
use crate::view::Found;

/// Where following begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    /// Above this pos.
    pub pos: u64,
    /// What is followed already begins there once more.
    pub anew: bool,
}

/// The realms whose topics are shared out.
const SHARED_REALMS: [Realm; 2] = [Realm::Apps, Realm::Plain];
/// Filters or conversations after which others get their turn.
const AT_ONCE: usize = 16;

/// Writes the name of a conversation's topic.
type WriteTopic = fn(&mut String, &str, &ConversationId);

/// The topics of a conversation, and what is published on them.
const OF_CONVERSATIONS: [(Parts, WriteTopic); 4] =
    [(Parts::MESSAGES, message_topic), (Parts::EVENTS, event_topic), (Parts::TYPING, typing_topic), (Parts::READ, read_topic)];

impl Task {
    /// Follows what a filter selects, which is among the subscriptions already; `named` is the conversation, when it is one.
    pub(super) async fn follow(&mut self, filter: &str, selection: &Selection, named: Option<&Found>, start: Start) -> Result<(), Reject> {
        if let Some(found) = named {
            self.follow_conversation(found, start)?;
        }
        if !selection.everywhere().is_empty() {
            self.follow_all(start.pos).await?;
        }
        self.follow_people(selection);
        if selection.inbox {
            let topic = Topic::Inbox(self.session.who.conf, self.session.who.uid.clone());
            self.follow_topic(&topic, None, self.how_of_inbox(start.pos), start.pos)?;
        }
        for (realm, filter) in self.named_topics(filter, selection) {
            let topic = Topic::Named(self.session.who.conf, realm);
            let source = Source { id: ConversationId::topics(), kind: Kind::Topics };
            self.session.shard.registry(|registry| registry.add_filter(self.session.slot, &topic, &filter));
            self.follow_topic(&topic, Some(source), self.how_of_topics(start.pos), start.pos)?;
        }
        if selection.sys {
            self.tell_sys();
        }
        Ok(())
    }

    /// Follows a conversation, or reads it in another way if it is followed.
    fn follow_conversation(&self, found: &Found, start: Start) -> Result<(), Reject> {
        let topic = Topic::Chat(found.conf, found.record.no);
        // Who follows everything goes on from where that is.
        let follows_all = self.session.shard.registry(|registry| registry.follows_all(self.session.slot));
        let from = if follows_all { start.pos.min(self.session.cursor()) } else { start.pos };
        let how = self.how_of(&found.id, from);
        let source = Source { id: found.id.clone(), kind: found.record.kind };
        let end = self.edge.hub.end(found.conf);
        if !start.anew && self.session.shard.registry(|registry| registry.name(self.session.slot, &topic, &source, how, end)) {
            return Ok(());
        }
        self.session.follow(&topic, Some(source), how, start.pos)
    }

    /// Follows everything that the user may read, or reads it in another way.
    async fn follow_all(&mut self, from: u64) -> Result<(), Reject> {
        let (slot, how) = (self.session.slot, self.how_of_all(from));
        if self.session.shard.registry(|registry| registry.follows_all(slot)) {
            self.session.shard.registry(|registry| registry.reread_all(slot, how));
            return Ok(());
        }
        self.session.subscribe_all(Scope::All, how, Some(from)).await
    }

    fn follow_people(&self, selection: &Selection) {
        match &selection.presence {
            Some(Which::One(uid)) => self.follow_person(uid),
            Some(Which::All) => {
                let topic = Topic::Presences(self.session.who.conf);
                self.follow_signals(&topic, self.how_of_topics(u64::MAX));
                // Who is followed by name is heard of by that alone.
                self.named_people().iter().for_each(|uid| self.follow_person(uid));
            }
            None => {}
        }
    }

    fn follow_person(&self, uid: &Uid) {
        let mut name = String::new();
        presence_topic(&mut name, self.session.who.conference.as_str(), uid);
        let how = how(Parts::ALL, self.is_stamped(&[name], u64::MAX));
        self.follow_signals(&Topic::Presence(self.session.who.conf, uid.clone()), how);
    }

    fn named_people(&self) -> Vec<Uid> {
        let delivery = self.connection.delivery.borrow();
        let named = delivery.subscriptions.iter().filter_map(|one| match self.selection(&one.filter).presence {
            Some(Which::One(uid)) => Some(uid),
            _ => None,
        });
        named.collect()
    }

    /// Signals need no catch-up: their reader is never settled.
    fn follow_signals(&self, topic: &Topic, how: How) {
        self.session.shard.registry(|registry| registry.register(self.session.slot, topic, None, how));
    }

    fn follow_topic(&self, topic: &Topic, source: Option<Source>, how: How, from: u64) -> Result<(), Reject> {
        if self.session.shard.registry(|registry| registry.reads(self.session.slot, topic)) {
            self.session.shard.registry(|registry| registry.reread(self.session.slot, topic, how));
            return Ok(());
        }
        self.session.follow(topic, source, how, from)
    }

    /// The parts of topics that are not a conversation's that a filter selects, and by which filter: a device's wildcard is its own topic.
    fn named_topics(&self, filter: &str, selection: &Selection) -> Vec<(Realm, Arc<str>)> {
        let mut named: Vec<(Realm, Arc<str>)> = Vec::new();
        if selection.generic {
            named.push((Realm::Apps, filter.into()));
        }
        if selection.plain {
            named.push((Realm::Plain, filter.into()));
        }
        match (&selection.badge_scans, &selection.badge_results) {
            (None, None) => {}
            (None, Some(Which::One(own))) => {
                let mut name = String::new();
                badge_result_topic(&mut name, self.session.who.conference.as_str(), own);
                named.push((Realm::Badges, name.into()));
            }
            _ => named.push((Realm::Badges, filter.into())),
        }
        named
    }

    /// Whether a subscription's share of a reader that may be given what is above `from` takes more than a copy that all receivers share.
    fn needs_stamp(&self, subscription: &Subscription, from: u64) -> bool {
        !subscription.is_plain() || subscription.since_pos > from
    }

    /// The pos above which the session may be given something, when a reader begins at `from`.
    fn lowest(&self, from: u64) -> u64 {
        if self.session.lags() { self.session.cursor().min(from) } else { from }
    }

    /// Whether copies for the session alone are needed of what is published on `names`.
    fn is_stamped(&self, names: &[String], from: u64) -> bool {
        let (delivery, from) = (self.connection.delivery.borrow(), self.lowest(from));
        let mut selecting = names.iter().flat_map(|name| delivery.subscriptions.selecting(name));
        !delivery.takes_shared() || selecting.any(|subscription| self.needs_stamp(subscription, from))
    }

    fn how_of_inbox(&self, from: u64) -> How {
        let mut name = String::new();
        inbox_topic(&mut name, self.session.who.conference.as_str(), &self.session.who.uid);
        how(Parts::ALL, self.is_stamped(&[name], from))
    }

    /// How the session reads a conversation.
    fn how_of(&self, id: &ConversationId, from: u64) -> How {
        let (mut names, mut parts) = (Vec::new(), Parts::NONE);
        for (part, name) in self.topics_of(id) {
            if self.connection.delivery.borrow().subscriptions.selecting(&name).next().is_some() {
                parts |= part;
                names.push(name);
            }
        }
        how(parts, self.is_stamped(&names, from))
    }

    fn topics_of(&self, id: &ConversationId) -> [(Parts, String); 4] {
        OF_CONVERSATIONS.map(|(part, write)| {
            let mut name = String::new();
            write(&mut name, self.session.who.conference.as_str(), id);
            (part, name)
        })
    }

    /// How the session reads everything: as it is when one plain filter selects all of it, otherwise the filters say for each message.
    fn how_of_all(&self, from: u64) -> How {
        let (delivery, from) = (self.connection.delivery.borrow(), self.lowest(from));
        let (mut parts, mut filters, mut stamped) = (Parts::NONE, 0, !delivery.takes_shared());
        for subscription in delivery.subscriptions.iter().filter(|subscription| !subscription.everywhere.is_empty()) {
            parts |= subscription.everywhere;
            filters += 1;
            stamped |= self.needs_stamp(subscription, from);
        }
        how(parts, stamped || filters > 1)
    }

    /// How the session reads topics that are not a conversation's.
    fn how_of_topics(&self, from: u64) -> How {
        let (delivery, from) = (self.connection.delivery.borrow(), self.lowest(from));
        let stamped = delivery.subscriptions.iter().any(|subscription| self.needs_stamp(subscription, from));
        how(Parts::ALL, stamped || !delivery.takes_shared())
    }

    /// Conversations that are followed by name are read by the filters over all of them, too.
    pub(super) async fn reread_named(&self) {
        let slot = self.session.slot;
        for (at, (topic, id)) in self.session.shard.registry(|registry| registry.named(slot)).into_iter().enumerate() {
            take_turns(at).await;
            let how = self.how_of(&id, u64::MAX);
            self.session.shard.registry(|registry| registry.reread(slot, &topic, how));
        }
    }

    /// Subscriptions are gone: what no other one selects is not followed any more.
    pub(super) async fn unfollow(&mut self, gone: &[Subscription]) {
        let left: Vec<Selection> = {
            let delivery = self.connection.delivery.borrow();
            let unshared = delivery.subscriptions.iter().filter(|one| !one.filter.starts_with("$share/"));
            unshared.map(|one| self.selection(&one.filter)).collect()
        };
        for (at, one) in gone.iter().enumerate() {
            take_turns(at).await;
            self.unfollow_one(one, &left);
        }
        if gone.iter().any(|one| !one.everywhere.is_empty()) {
            self.unfollow_all();
            self.reread_named().await;
        }
    }

    /// Of a subscription that is gone, what is `left` does not select; but not all conversations.
    fn unfollow_one(&mut self, gone: &Subscription, left: &[Selection]) {
        if let Ok(Some(shared)) = Shared::parse(&gone.filter) {
            return self.leave_share(&gone.filter, shared.filter);
        }
        let selection = self.selection(&gone.filter);
        let conf = self.session.who.conf;
        let drop_topic = |topic: Topic| {
            self.session.shard.registry(|registry| registry.unsubscribe(self.session.slot, &topic));
        };
        if let Some((Which::One(id), _)) = &selection.chats {
            self.unfollow_conversation(id);
        }
        if let Some(presence) = &selection.presence
            && !left.iter().any(|other| other.presence.as_ref() == Some(presence))
        {
            drop_topic(match presence {
                Which::One(uid) => Topic::Presence(conf, uid.clone()),
                Which::All => Topic::Presences(conf),
            });
        }
        if selection.inbox && !left.iter().any(|other| other.inbox) {
            drop_topic(Topic::Inbox(conf, self.session.who.uid.clone()));
        }
        for (realm, filter) in self.named_topics(&gone.filter, &selection) {
            let topic = Topic::Named(conf, realm);
            self.session.shard.registry(|registry| registry.remove_filter(self.session.slot, &topic, &filter));
            let selects = |other: &Selection| match realm {
                Realm::Apps => other.generic,
                Realm::Plain => other.plain,
                Realm::Badges => other.badge_scans.is_some() || other.badge_results.is_some(),
                Realm::Server => other.sys,
            };
            if !left.iter().any(selects) {
                drop_topic(topic);
            }
        }
        if selection.sys && !left.iter().any(|other| other.sys) {
            self.sys_at = None;
        }
    }

    /// A conversation that was followed by name may still be, by another filter, or because everything is.
    fn unfollow_conversation(&self, id: &ConversationId) {
        let Ok(Some(found)) = self.edge.hub.reader().conversation(self.session.who.conf, id) else { return };
        let (topic, slot) = (Topic::Chat(found.conf, found.record.no), self.session.slot);
        let is_named = {
            let delivery = self.connection.delivery.borrow();
            let names = self.topics_of(id);
            names.iter().any(|(_, name)| delivery.subscriptions.selecting(name).any(|other| other.everywhere.is_empty()))
        };
        let how = if is_named { self.how_of(id, u64::MAX) } else { self.how_of_all(u64::MAX) };
        self.session.shard.registry(|registry| {
            if !is_named {
                registry.unsubscribe(slot, &topic);
            }
            registry.reread(slot, &topic, how);
        });
    }

    /// A filter over all conversations is gone: there may be others.
    fn unfollow_all(&self) {
        let how = self.how_of_all(u64::MAX);
        if how.parts.is_empty() {
            self.session.unsubscribe_all();
        } else {
            self.session.shard.registry(|registry| registry.reread_all(self.session.slot, how));
        }
    }

    /// Leaves the group of a shared subscription.
    pub(super) fn leave_share(&self, filter: &Arc<str>, inner: &str) {
        for realm in SHARED_REALMS {
            self.edge.hub.shares().leave(self.session.who.conf, realm, filter, inner, self.member());
        }
    }

    /// A session that comes back follows what it followed, from where it was.
    ///
    /// # Errors
    /// The state's: then nothing was lost, and it may come back once more.
    pub(super) async fn resume(&mut self, subscriptions: Vec<Subscription>, cursor: u64) -> Result<(), Reject> {
        let start = Start { pos: cursor, anew: false };
        for (at, subscription) in subscriptions.into_iter().enumerate() {
            take_turns(at).await;
            match self.resume_one(&subscription.filter, start).await {
                Ok(()) => {}
                Err(reject) if reject.reason.class() == Class::Unavailable => return Err(reject),
                Err(reject) => {
                    // The right to read it is gone.
                    tracing::debug!(%reject, "a subscription of a kept session is not resumed");
                    self.connection.delivery.borrow_mut().subscriptions.remove(&subscription.filter);
                }
            }
        }
        Ok(())
    }

    async fn resume_one(&mut self, filter: &Arc<str>, start: Start) -> Result<(), Reject> {
        let shared = Shared::parse(filter).map_err(|_| Reason::InvalidParams)?;
        let inner = shared.map_or(&**filter, |shared| shared.filter);
        let selection = self.selection(inner);
        if shared.is_some() {
            self.share_in(filter, inner, &selection);
            return Ok(());
        }
        let named = match &selection.chats {
            Some((Which::One(id), _)) => Some(self.readable(id).await?),
            _ => None,
        };
        if !self.may_subscribe(inner, &selection).await {
            return Err(Reason::NotAllowed.into());
        }
        self.follow(inner, &selection, named.as_ref(), start).await
    }
}

/// Lets others go first now and then, before number `at` of many.
pub(super) async fn take_turns(at: usize) {
    if at % AT_ONCE == AT_ONCE - 1 {
        yield_now().await;
    }
}

fn how(parts: Parts, stamped: bool) -> How {
    How { echo: true, parts, acked: stamped, stamped }
}
