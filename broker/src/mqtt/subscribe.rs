//! SUBSCRIBE and UNSUBSCRIBE: which filters a session has, and where each of them begins. What they make the session follow is in
//! [`super::follow`].

use std::collections::HashSet;
use std::sync::Arc;

use super::codec::{Code, FilterRequest, Subscribe, Unsubscribe, write_suback, write_unsuback};
use super::follow::{Start, take_turns};
use super::refusal;
use super::retained::Job;
use super::session::Task;
use super::subscriptions::{Subscription, is_wild};
use super::topic::{Selection, Shared, Which, check_filter};
use crate::allowances::Use;
use crate::command::Action;
use crate::ids::{ConversationId, Uid};
use crate::model::{KeptSubscription, Realm, UserRole};
use crate::reader::Toward;
use crate::reject::{Reason, Reject};
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

/// Most messages that a subscription may begin with.
const MAX_HISTORY: u64 = 500;

impl Task {
    /// SUBSCRIBE.
    pub(super) async fn subscribe(&mut self, subscribe: &Subscribe<'_>) {
        self.connection.sending.wait(&self.edge.hub, &self.session.who).await;
        // What was published before with QoS 0 has no acknowledgement that anybody could have waited for.
        self.edge.hub.queue().settle().await;
        let (begin, given) = (begin(subscribe), self.session.cursor());
        let most = self.edge.hub.limits().subscriptions_per_session;
        let mut codes = Vec::with_capacity(subscribe.filters.len());
        let mut granted = Vec::new();
        for (at, request) in subscribe.filters.iter().enumerate() {
            take_turns(at).await;
            let one = match begin {
                _ if at >= most => Err(Code::QUOTA_EXCEEDED),
                Ok(begin) => self.subscribe_to(request, subscribe.identifier.unwrap_or(0), begin).await,
                Err(code) => Err(code),
            };
            codes.push(one.as_ref().map_or_else(|code| *code, |subscription| Code(subscription.qos.into())));
            granted.extend(one.ok());
        }
        if granted.iter().any(|subscription| !subscription.everywhere.is_empty()) {
            self.reread_named().await;
        }
        if self.expiry_s > 0 && !granted.is_empty() {
            if begin != Ok(Begin::Now) {
                granted.extend(self.begin_others_at(given, &granted));
            }
            self.keep(&[], &granted).await;
        }
        let version = self.connection.version;
        self.session.push(|into| write_suback(version, subscribe.packet_id, &codes, into));
    }

    /// UNSUBSCRIBE.
    pub(super) async fn unsubscribe(&mut self, unsubscribe: &Unsubscribe<'_>) {
        self.connection.sending.wait(&self.edge.hub, &self.session.who).await;
        let mut codes = Vec::with_capacity(unsubscribe.filters.len());
        let mut gone = Vec::new();
        for filter in &unsubscribe.filters {
            let removed = self.connection.delivery.borrow_mut().subscriptions.remove(filter);
            codes.push(match removed {
                Some(subscription) => {
                    gone.push(subscription);
                    Code::SUCCESS
                }
                None if check_filter(filter).is_err() => Code::TOPIC_FILTER_INVALID,
                None => Code::NO_SUBSCRIPTION_EXISTED,
            });
        }
        if !gone.is_empty() {
            self.leave_topics(&gone);
            self.unfollow(&gone).await;
            let delivery = self.connection.delivery.borrow();
            self.jobs.retain(|job| delivery.subscriptions.get(job.filter()).is_some());
        }
        if self.expiry_s > 0 && !gone.is_empty() {
            self.keep(&gone, &[]).await;
        }
        let version = self.connection.version;
        self.session.push(|into| write_unsuback(version, unsubscribe.packet_id, &codes, into));
    }

    /// What was allowed for these filters only is allowed no more.
    fn leave_topics(&self, gone: &[Subscription]) {
        let Some(rights) = &self.connection.person.rights else { return };
        let inner = |one: &Subscription| {
            Shared::parse(&one.filter).ok().flatten().map_or_else(|| one.filter.to_string(), |shared| shared.filter.to_owned())
        };
        let left: HashSet<String> = self.connection.delivery.borrow().subscriptions.iter().map(inner).collect();
        for filter in gone.iter().map(inner).filter(|filter| !left.contains(filter)) {
            rights.leave(&filter);
        }
    }

    /// Puts on record which subscriptions a kept session has no more, and which it has.
    async fn keep(&self, remove: &[Subscription], add: &[Subscription]) {
        let client = Arc::clone(&self.claim.key().2);
        let remove = remove.iter().map(|subscription| Arc::clone(&subscription.filter)).collect();
        let add: Vec<KeptSubscription> = add.iter().map(Subscription::kept).collect();
        if let Err(reject) = self.session.call(Action::KeepSubscriptions { client, remove, add }).await {
            // It holds for this connection; the next one has to ask again.
            tracing::warn!(%reject, "a kept session's subscriptions are not on record");
        }
    }

    /// One subscription begins earlier than where the session is: the others do not go back with it when the connection is lost meanwhile.
    /// Those that this changes.
    fn begin_others_at(&self, pos: u64, but: &[Subscription]) -> Vec<Subscription> {
        let mut delivery = self.connection.delivery.borrow_mut();
        let is_other = |one: &Subscription| one.since_pos < pos && but.iter().all(|other| other.filter != one.filter);
        let others = delivery.subscriptions.iter_mut().filter(|one| is_other(one));
        others
            .map(|one| {
                one.since_pos = pos;
                one.clone()
            })
            .collect()
    }

    /// Subscribes to one filter.
    async fn subscribe_to(&mut self, request: &FilterRequest<'_>, identifier: u32, begin: Begin) -> Result<Subscription, Code> {
        check_filter(request.filter).map_err(|_| Code::TOPIC_FILTER_INVALID)?;
        let shared = Shared::parse(request.filter).map_err(|_| Code::TOPIC_FILTER_INVALID)?;
        let inner = shared.map_or(request.filter, |shared| shared.filter);
        let selection = self.selection(inner);
        // Conversations are not shared out: everybody reads all of them.
        let is_apps = Selection { generic: selection.generic, plain: selection.plain, ..Selection::default() } == selection;
        let is_forbidden = !self.may_subscribe(inner, &selection).await;
        if selection.is_empty() || is_forbidden || (shared.is_some() && !is_apps) {
            return Err(Code::NOT_AUTHORIZED);
        }
        let before = self.connection.delivery.borrow().subscriptions.get(request.filter).cloned();
        let most = self.edge.hub.limits().subscriptions_per_session;
        if before.is_none() && self.connection.delivery.borrow().subscriptions.len() >= most {
            return Err(Code::QUOTA_EXCEEDED);
        }
        let named = self.named(&selection, begin).await.map_err(|reject| refusal::of_subscribe(reject.reason))?;
        // What is at or below it is retained, what is above comes live.
        let end = self.edge.hub.end(self.session.who.conf);
        let from = named.as_ref().and_then(|(_, from)| *from).map(|from| from.min(end));
        let subscription = Subscription {
            filter: request.filter.into(),
            qos: request.qos,
            no_local: request.no_local,
            retain_as_published: request.retain_as_published,
            identifier,
            since_pos: from.unwrap_or(before.as_ref().map_or(end, |before| before.since_pos)),
            everywhere: selection.everywhere(),
        };
        self.connection.delivery.borrow_mut().subscriptions.insert(subscription.clone());
        if shared.is_some() {
            self.share_in(&subscription.filter, inner, &selection);
            return Ok(subscription); // No retained messages (§4.8.2).
        }
        let start = Start { pos: from.unwrap_or(end), anew: from.is_some() };
        if let Err(reject) = self.follow(inner, &selection, named.as_ref().map(|(found, _)| found), start).await {
            let mut delivery = self.connection.delivery.borrow_mut();
            delivery.subscriptions.remove(request.filter);
            before.map(|before| delivery.subscriptions.insert(before));
            return Err(refusal::of_subscribe(reject.reason));
        }
        // [MQTT-3.3.1-9, -10, -11]
        let wants_retained = request.retain_handling == 0 || (request.retain_handling == 1 && before.is_none());
        if wants_retained && begin == Begin::Now {
            let skip_through = if before.is_some() { self.resumed_at } else { 0 };
            if before.is_some() {
                self.jobs.retain(|job| job.filter() != &subscription.filter);
            }
            self.jobs.extend(Job::of(&subscription.filter, inner, &selection, end, skip_through, &self.session.who));
        }
        Ok(subscription)
    }

    /// Whether the user may subscribe to this, if it is one of the applications' topics. What a wildcard is given is looked at by topic.
    pub(super) async fn may_subscribe(&self, filter: &str, selection: &Selection) -> bool {
        match self.connection.person.rights.clone().filter(|_| selection.generic && !is_wild(filter)) {
            Some(rights) => rights.settle(filter, Use::Subscribe).await.is_ok(),
            None => true,
        }
    }

    /// What a filter selects of what this user may ever read.
    pub(super) fn selection(&self, filter: &str) -> Selection {
        let who = &self.session.who;
        let mut selection = Selection::of(who.conference.as_str(), &who.uid, filter);
        selection.plain &= self.edge.options.plain_topics;
        if who.uid == Uid::anonymous() {
            return Selection { plain: selection.plain, ..Selection::default() };
        }
        let role = self.connection.person.role;
        if !role.takes_part() {
            // What it is told, and nothing of what people say.
            (selection.chats, selection.presence) = (None, None);
        }
        if !role.is_staff() {
            selection.sys = false;
            selection.badge_scans = None;
            let own = |which: &Which<Uid>| role == UserRole::Device && which.contains(&who.uid);
            selection.badge_results = selection.badge_results.filter(own).map(|_| Which::One(who.uid.clone()));
        }
        selection
    }

    /// The one conversation that is selected, if it is one, and the pos above which it is read when not from now on.
    async fn named(&self, selection: &Selection, begin: Begin) -> Result<Option<(Found, Option<u64>)>, Reject> {
        let Some((Which::One(id), _)) = &selection.chats else { return Ok(None) };
        let found = self.readable(id).await?;
        let from = self.begin_at(&found, begin)?;
        Ok(Some((found, from)))
    }

    /// The conversation, when the user may read it. The direct one with somebody is opened by following it.
    pub(super) async fn readable(&self, id: &ConversationId) -> Result<Found, Reject> {
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

    /// Joins the group of a shared subscription, whose filter inside selects this.
    pub(super) fn share_in(&self, filter: &Arc<str>, inner: &str, selection: &Selection) {
        let join = |realm| self.edge.hub.shares().join(self.session.who.conf, realm, filter, inner, self.member());
        if selection.generic {
            join(Realm::Apps);
        }
        if selection.plain {
            join(Realm::Plain);
        }
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
