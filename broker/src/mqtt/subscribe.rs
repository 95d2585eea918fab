//! SUBSCRIBE and UNSUBSCRIBE: from filters to what the hub's session follows. The hub's streams are few: a conversation each, all that is open,
//! and one each for applications' topics, badges and the server; which of their messages a session is given, its filters say.

use std::sync::Arc;

use super::codec::{Code, FilterRequest, Subscribe, Unsubscribe, write_suback, write_unsuback};
use super::refusal;
use super::retained::Job;
use super::session::Task;
use super::subscriptions::Subscription;
use super::topic::{Selection, Shared, Which, check_filter, event_topic, message_topic, read_topic, typing_topic};
use crate::command::Action;
use crate::ids::{ConversationId, Uid};
use crate::model::{Kind, Realm, UserRole};
use crate::reader::Toward;
use crate::reject::{Reason, Reject};
use crate::topic::{How, Parts, Source, Topic};
use crate::view::Found;

/// Where a new subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begin {
    /// Now, with the retained message if it is wanted.
    Now,
    /// After this seq of a conversation (user property `after`).
    After(u64),
    /// With so many messages of a conversation (user property `history`).
    History(u64),
}

/// Writes the name of a conversation's topic.
type WriteTopic = fn(&mut String, &str, &ConversationId);

/// Most messages that a subscription may begin with.
const MAX_HISTORY: u64 = 500;

impl Task {
    /// SUBSCRIBE.
    pub(super) async fn subscribe(&mut self, subscribe: &Subscribe<'_>) {
        // What was published before with QoS 0 has no acknowledgement that anybody could have waited for.
        self.edge.hub.queue().settle().await;
        let begin = begin(subscribe);
        let mut codes = Vec::with_capacity(subscribe.filters.len());
        let mut kept = Vec::new();
        for request in &subscribe.filters {
            let granted = match &begin {
                Ok(begin) => self.subscribe_to(request, subscribe.identifier.unwrap_or(0), *begin).await,
                Err(code) => Err(*code),
            };
            codes.push(match granted {
                Ok(subscription) => {
                    let code = Code(subscription.qos.into());
                    kept.push(subscription.kept());
                    code
                }
                Err(code) => code,
            });
        }
        if self.expiry_s > 0 && !kept.is_empty() && self.keep(Vec::new(), kept).await.is_err() {
            // It holds for this connection; the next one has to ask again.
            tracing::warn!("a kept session's subscriptions are not on record");
        }
        let version = self.connection.version;
        self.session.push(|into| write_suback(version, subscribe.packet_id, &codes, into));
    }

    /// UNSUBSCRIBE.
    pub(super) async fn unsubscribe(&mut self, unsubscribe: &Unsubscribe<'_>) {
        let mut codes = Vec::with_capacity(unsubscribe.filters.len());
        let mut gone = Vec::new();
        for filter in &unsubscribe.filters {
            let removed = self.connection.delivery.borrow_mut().subscriptions.remove(filter);
            codes.push(match removed {
                Some(subscription) => {
                    self.unfollow(&subscription).await;
                    gone.push(subscription.filter);
                    Code::SUCCESS
                }
                None if check_filter(filter).is_err() => Code::TOPIC_FILTER_INVALID,
                None => Code::NO_SUBSCRIPTION_EXISTED,
            });
        }
        if self.expiry_s > 0 && !gone.is_empty() && self.keep(gone, Vec::new()).await.is_err() {
            tracing::warn!("a kept session's subscriptions are not on record");
        }
        let version = self.connection.version;
        self.session.push(|into| write_unsuback(version, unsubscribe.packet_id, &codes, into));
    }

    async fn keep(&self, remove: Vec<Arc<str>>, add: Vec<crate::model::KeptSubscription>) -> Result<(), Reject> {
        let client = Arc::clone(&self.claim.key().2);
        self.session.call(Action::KeepSubscriptions { client, remove, add }).await.map(drop)
    }

    /// Subscribes to one filter.
    async fn subscribe_to(&mut self, request: &FilterRequest<'_>, identifier: u32, begin: Begin) -> Result<Subscription, Code> {
        check_filter(request.filter).map_err(|_| Code::TOPIC_FILTER_INVALID)?;
        let shared = Shared::parse(request.filter).map_err(|_| Code::TOPIC_FILTER_INVALID)?;
        let inner = shared.map_or(request.filter, |shared| shared.filter);
        let selection = self.selection(inner);
        if selection.is_empty() {
            return Err(Code::NOT_AUTHORIZED);
        }
        // Conversations are not shared out: everybody reads all of them.
        let is_apps = Selection { generic: selection.generic, plain: selection.plain, ..Selection::default() } == selection;
        if shared.is_some() && !is_apps {
            return Err(Code::NOT_AUTHORIZED);
        }
        let before = self.connection.delivery.borrow().subscriptions.get(request.filter).cloned();
        let most = self.edge.hub.limits().subscriptions_per_session;
        if before.is_none() && self.connection.delivery.borrow().subscriptions.len() >= most {
            return Err(Code::QUOTA_EXCEEDED);
        }
        let since_pos = before.as_ref().map_or(u64::MAX, |before| before.since_pos);
        let mut subscription = Subscription {
            filter: request.filter.into(),
            qos: request.qos,
            no_local: request.no_local,
            retain_as_published: request.retain_as_published,
            identifier,
            since_pos,
        };
        let through = self.edge.hub.end(self.session.who.conf);
        self.connection.delivery.borrow_mut().subscriptions.insert(subscription.clone());
        if shared.is_some() {
            // No retained messages (§4.8.2).
            self.edge.hub.shares().join(self.session.who.conf, &subscription.filter, inner, self.member());
            return Ok(subscription);
        }
        match self.follow(inner, &selection, begin).await {
            Ok(since_pos) if before.is_none() || begin != Begin::Now => {
                subscription.since_pos = since_pos;
                self.connection.delivery.borrow_mut().subscriptions.insert(subscription.clone());
            }
            Ok(_) => {}
            Err(reject) => {
                let mut delivery = self.connection.delivery.borrow_mut();
                delivery.subscriptions.remove(request.filter);
                if let Some(before) = before {
                    delivery.subscriptions.insert(before);
                }
                return Err(refusal::of_subscribe(reject.reason));
            }
        }
        // [MQTT-3.3.1-9, -10, -11]
        let wants_retained = request.retain_handling == 0 || (request.retain_handling == 1 && before.is_none());
        if wants_retained && begin == Begin::Now {
            let skip_through = if before.is_some() { self.resumed_at } else { 0 };
            self.jobs.extend(Job::of(&subscription.filter, inner, &selection, through, skip_through, &self.session.who));
        }
        if selection.sys {
            self.tell_sys();
        }
        Ok(subscription)
    }

    /// What a filter selects of what this user may ever read.
    pub(super) fn selection(&self, filter: &str) -> Selection {
        let who = &self.session.who;
        let mut selection = Selection::of(who.conference.as_str(), &who.uid, filter);
        selection.plain &= self.edge.options.plain_topics;
        if who.uid == Uid::anonymous() {
            return Selection { plain: selection.plain, ..Selection::default() };
        }
        let role = self.connection.role;
        if !role.is_staff() {
            selection.sys = false;
            selection.badge_scans = None;
            let own = |which: &Which<Uid>| role == UserRole::Device && which.contains(&who.uid);
            selection.badge_results = selection.badge_results.filter(own).map(|_| Which::One(who.uid.clone()));
        }
        selection
    }

    /// Makes the hub's session follow what the filter selects, which is among its subscriptions already. Returns the pos above which.
    async fn follow(&mut self, filter: &str, selection: &Selection, begin: Begin) -> Result<u64, Reject> {
        let conf = self.session.who.conf;
        let mut since = self.edge.hub.end(conf);
        match &selection.chats {
            Some((Which::One(id), _)) => since = self.follow_conversation(id, begin).await?,
            Some((Which::All, _)) => since = since.min(self.follow_all(None).await?),
            None => {}
        }
        self.follow_people(selection);
        if selection.inbox {
            since = since.min(self.follow_inbox(None)?);
        }
        for (realm, filter) in self.named(filter, selection) {
            since = since.min(self.follow_named(realm, &filter, None)?);
        }
        Ok(since)
    }

    /// Follows a conversation, or reads it in another way if it is followed.
    async fn follow_conversation(&mut self, id: &ConversationId, begin: Begin) -> Result<u64, Reject> {
        let found = self.readable(id).await?;
        let topic = Topic::Chat(found.conf, found.record.no);
        let from = self.begin_at(&found, begin)?;
        let how = self.how_of(id);
        let follows_all = self.session.shard.registry(|registry| registry.follows_all(self.session.slot));
        let reads = self.session.shard.registry(|registry| registry.reads(self.session.slot, &topic));
        if from.is_none() && (follows_all || reads) {
            self.session.shard.registry(|registry| registry.reread(self.session.slot, &topic, how));
            if follows_all {
                self.reread_all();
            }
            return Ok(self.edge.hub.end(found.conf));
        }
        let source = Source { id: id.clone(), kind: found.record.kind };
        self.session.follow(&topic, Some(source), how, from)
    }

    /// The conversation, when the user may read it. The direct one with somebody is opened by following it.
    async fn readable(&self, id: &ConversationId) -> Result<Found, Reject> {
        let who = &self.session.who;
        let reader = self.edge.hub.reader();
        match reader.readable(who.conf, &who.uid, id) {
            Err(reject) if reject.reason == Reason::UnknownConversation => {
                let Some(with) = id.partner(&who.uid) else { return Err(reject) };
                self.session.call(Action::Open { with }).await?;
                reader.readable(who.conf, &who.uid, id)
            }
            found => found,
        }
    }

    /// The pos above which a subscription begins, when it does not begin now.
    fn begin_at(&self, found: &Found, begin: Begin) -> Result<Option<u64>, Reject> {
        let reader = self.edge.hub.reader();
        let seq = match begin {
            Begin::Now => return Ok(None),
            Begin::After(seq) => seq,
            Begin::History(most) => {
                let most = usize::try_from(most.min(MAX_HISTORY)).unwrap_or(usize::MAX);
                let page = reader.page(found, Toward::Older(u64::MAX), most, &["message"])?;
                page.events.first().map_or(u64::MAX, |event| event.place.seq) - 1
            }
        };
        if seq == 0 {
            return Ok(Some(0));
        }
        let head = reader.head(found)?;
        if seq >= head.seq {
            return Ok(Some(head.pos));
        }
        Ok(Some(reader.entry(found, seq)?.map_or(0, |entry| entry.pos)))
    }

    /// Follows everything that the user may read, live or with what came after `from`; or reads it in another way.
    pub(super) async fn follow_all(&mut self, from: Option<u64>) -> Result<u64, Reject> {
        let slot = self.session.slot;
        let end = self.edge.hub.end(self.session.who.conf);
        if self.session.shard.registry(|registry| registry.follows_all(slot)) {
            self.reread_all();
            return Ok(end);
        }
        let how = self.how_of_all();
        self.session.subscribe_all(how, from).await?;
        Ok(from.unwrap_or(end))
    }

    fn reread_all(&self) {
        let how = self.how_of_all();
        self.session.shard.registry(|registry| registry.reread_all(self.session.slot, how));
    }

    fn follow_people(&self, selection: &Selection) {
        let conf = self.session.who.conf;
        let topic = match &selection.presence {
            Some(Which::One(uid)) => Topic::Presence(conf, uid.clone()),
            Some(Which::All) => Topic::Presences(conf),
            None => return,
        };
        // Signals need no catch-up: it is never settled.
        self.session.shard.registry(|registry| registry.register(self.session.slot, &topic, None, How::default()));
    }

    pub(super) fn follow_inbox(&self, from: Option<u64>) -> Result<u64, Reject> {
        let who = &self.session.who;
        let topic = Topic::Inbox(who.conf, who.uid.clone());
        let mut name = String::new();
        super::topic::inbox_topic(&mut name, who.conference.as_str(), &who.uid);
        let how = self.how_of_names(&[name], Parts::ALL);
        self.follow_or_reread(&topic, None, how, from)
    }

    /// The parts of topics that are not a conversation's that a filter selects, and by which filter: a device's wildcard is its own topic.
    pub(super) fn named(&self, filter: &str, selection: &Selection) -> Vec<(Realm, Arc<str>)> {
        let mut named: Vec<(Realm, Arc<str>)> = Vec::new();
        if selection.generic || selection.plain {
            named.push((Realm::Apps, filter.into()));
        }
        match (&selection.badge_scans, &selection.badge_results) {
            (None, None) => {}
            (None, Some(Which::One(own))) => {
                let mut name = String::new();
                super::topic::badge_result_topic(&mut name, self.session.who.conference.as_str(), own);
                named.push((Realm::Badges, name.into()));
            }
            _ => named.push((Realm::Badges, filter.into())),
        }
        named
    }

    pub(super) fn follow_named(&self, realm: Realm, filter: &str, from: Option<u64>) -> Result<u64, Reject> {
        let topic = Topic::Named(self.session.who.conf, realm);
        let source = Source { id: ConversationId::topics(), kind: Kind::Topics };
        self.session.shard.registry(|registry| registry.add_filter(self.session.slot, &topic, filter));
        self.follow_or_reread(&topic, Some(source), self.how_of_named(), from)
    }

    fn follow_or_reread(&self, topic: &Topic, source: Option<Source>, how: How, from: Option<u64>) -> Result<u64, Reject> {
        let reads = self.session.shard.registry(|registry| registry.reads(self.session.slot, topic));
        if reads {
            self.session.shard.registry(|registry| registry.reread(self.session.slot, topic, how));
            return Ok(self.edge.hub.end(self.session.who.conf));
        }
        self.session.follow(topic, source, how, from)
    }

    /// How the session reads what `names` are the topics of, when all of `parts` are possible.
    fn how_of_names(&self, names: &[String], parts: Parts) -> How {
        let delivery = self.connection.delivery.borrow();
        let mut selecting = names.iter().flat_map(|name| delivery.subscriptions.selecting(name));
        let stamped = selecting.any(|subscription| !subscription.is_plain());
        How { echo: true, parts, acked: stamped, stamped }
    }

    /// How the session reads a conversation.
    pub(super) fn how_of(&self, id: &ConversationId) -> How {
        let (mut names, mut parts) = (Vec::new(), Parts::NONE);
        let writers: [(Parts, WriteTopic); 4] =
            [(Parts::MESSAGES, message_topic), (Parts::EVENTS, event_topic), (Parts::TYPING, typing_topic), (Parts::READ, read_topic)];
        let delivery = self.connection.delivery.borrow();
        for (part, write) in writers {
            let mut name = String::new();
            write(&mut name, self.session.who.conference.as_str(), id);
            if delivery.subscriptions.selecting(&name).next().is_some() {
                parts |= part;
                names.push(name);
            }
        }
        drop(delivery);
        self.how_of_names(&names, parts)
    }

    /// How the session reads everything: as it is when one plain filter selects all of it, otherwise the filters say for each message.
    fn how_of_all(&self) -> How {
        let delivery = self.connection.delivery.borrow();
        let (mut parts, mut chats, mut plain) = (Parts::NONE, 0, true);
        for subscription in delivery.subscriptions.iter() {
            if let Some((_, selected)) = self.selection(&subscription.filter).chats {
                parts |= selected;
                chats += 1;
                plain &= subscription.is_plain();
            }
        }
        let stamped = !plain || chats > 1;
        How { echo: true, parts, acked: stamped, stamped }
    }

    fn how_of_named(&self) -> How {
        let delivery = self.connection.delivery.borrow();
        let stamped = delivery.subscriptions.iter().any(|subscription| !subscription.is_plain());
        How { echo: true, parts: Parts::ALL, acked: stamped, stamped }
    }

    /// A subscription is gone: what no other one selects is not followed any more.
    async fn unfollow(&mut self, gone: &Subscription) {
        if let Ok(Some(shared)) = Shared::parse(&gone.filter) {
            return self.edge.hub.shares().leave(self.session.who.conf, &gone.filter, shared.filter, self.member());
        }
        let selection = self.selection(&gone.filter);
        let conf = self.session.who.conf;
        match &selection.chats {
            Some((Which::One(id), _)) => self.unfollow_conversation(id),
            Some((Which::All, _)) => self.unfollow_all().await,
            None => {}
        }
        let still = |selects: &dyn Fn(&Selection) -> bool| {
            let delivery = self.connection.delivery.borrow();
            delivery.subscriptions.iter().any(|subscription| selects(&self.selection(&subscription.filter)))
        };
        let drop_topic = |topic: Topic| {
            self.session.shard.registry(|registry| registry.unsubscribe(self.session.slot, &topic));
        };
        if let Some(presence) = &selection.presence
            && !still(&|other| other.presence.as_ref() == Some(presence))
        {
            drop_topic(match presence {
                Which::One(uid) => Topic::Presence(conf, uid.clone()),
                Which::All => Topic::Presences(conf),
            });
        }
        if selection.inbox && !still(&|other| other.inbox) {
            drop_topic(Topic::Inbox(conf, self.session.who.uid.clone()));
        }
        for (realm, filter) in self.named(&gone.filter, &selection) {
            let topic = Topic::Named(conf, realm);
            self.session.shard.registry(|registry| registry.remove_filter(self.session.slot, &topic, &filter));
            let selects = |other: &Selection| match realm {
                Realm::Apps => other.generic || other.plain,
                Realm::Badges => other.badge_scans.is_some() || other.badge_results.is_some(),
                Realm::Server => other.sys,
            };
            if still(&selects) {
                self.session.shard.registry(|registry| registry.reread(self.session.slot, &topic, self.how_of_named()));
            } else {
                drop_topic(topic);
            }
        }
        if selection.sys && !still(&|other| other.sys) {
            self.sys_at = None;
        }
    }

    fn unfollow_conversation(&self, id: &ConversationId) {
        if self.session.shard.registry(|registry| registry.follows_all(self.session.slot)) {
            return self.reread_all();
        }
        let Ok(Some(found)) = self.edge.hub.reader().conversation(self.session.who.conf, id) else { return };
        let topic = Topic::Chat(found.conf, found.record.no);
        let how = self.how_of(id);
        self.session.shard.registry(|registry| {
            if how.parts.is_empty() {
                registry.unsubscribe(self.session.slot, &topic);
            } else {
                registry.reread(self.session.slot, &topic, how);
            }
        });
    }

    /// The last wildcard over conversations is gone, or one of several; those that are named go on.
    async fn unfollow_all(&mut self) {
        let (mut wild, mut ids) = (false, Vec::new());
        {
            let delivery = self.connection.delivery.borrow();
            for subscription in delivery.subscriptions.iter() {
                match self.selection(&subscription.filter).chats {
                    Some((Which::All, _)) => wild = true,
                    Some((Which::One(id), _)) => ids.push(id),
                    None => {}
                }
            }
        }
        if wild {
            return self.reread_all();
        }
        self.session.unsubscribe_all();
        for id in ids {
            // Who may no longer read it has lost it already.
            let _ = self.follow_conversation(&id, Begin::Now).await;
        }
    }

    /// A session that comes back follows what it followed, from where it was.
    pub(super) async fn resume(&mut self, subscriptions: Vec<Subscription>, cursor: u64) {
        for subscription in &subscriptions {
            self.connection.delivery.borrow_mut().subscriptions.insert(subscription.clone());
        }
        for subscription in &subscriptions {
            if let Ok(Some(shared)) = Shared::parse(&subscription.filter) {
                self.edge.hub.shares().join(self.session.who.conf, &subscription.filter, shared.filter, self.member());
                continue;
            }
            let selection = self.selection(&subscription.filter);
            let from = Some(cursor.max(subscription.since_pos));
            let resumed = self.resume_one(&subscription.filter, &selection, from).await;
            if let Err(reject) = resumed {
                // The right to read it is gone.
                tracing::debug!(%reject, "a subscription of a kept session is not resumed");
                self.connection.delivery.borrow_mut().subscriptions.remove(&subscription.filter);
            }
        }
    }

    async fn resume_one(&mut self, filter: &str, selection: &Selection, from: Option<u64>) -> Result<(), Reject> {
        match &selection.chats {
            Some((Which::One(id), _)) => {
                let found = self.readable(id).await?;
                let topic = Topic::Chat(found.conf, found.record.no);
                let source = Source { id: id.clone(), kind: found.record.kind };
                if !self.session.shard.registry(|registry| registry.follows_all(self.session.slot)) {
                    self.follow_or_reread(&topic, Some(source), self.how_of(id), from)?;
                }
            }
            Some((Which::All, _)) => drop(self.follow_all(from).await?),
            None => {}
        }
        self.follow_people(selection);
        if selection.inbox {
            self.follow_inbox(from)?;
        }
        for (realm, filter) in self.named(filter, selection) {
            self.follow_named(realm, &filter, from)?;
        }
        if selection.sys {
            self.tell_sys();
        }
        Ok(())
    }
}

/// Where the subscriptions of a SUBSCRIBE begin, by its user properties.
fn begin(subscribe: &Subscribe<'_>) -> Result<Begin, Code> {
    let number = |text: &str| text.parse::<u64>().map_err(|_| Code::IMPLEMENTATION_SPECIFIC);
    match (subscribe.user_properties.get("after"), subscribe.user_properties.get("history")) {
        (Some(after), _) => number(after).map(Begin::After),
        (None, Some(history)) => Ok(match number(history)? {
            0 => Begin::Now,
            most => Begin::History(most),
        }),
        (None, None) => Ok(Begin::Now),
    }
}
