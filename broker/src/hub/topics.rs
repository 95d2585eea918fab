//! Applications' topics: who may use them, and who is there.

use std::collections::HashMap;
use std::sync::Arc;

use super::Hub;
use crate::allowances::{OF_CONVERSATION, TopicRights, Webhook};
use crate::gatherings::Gatherings;
use crate::ids::{ConfNo, ConversationId, Uid};
use crate::model::{Place, UserRole};
use crate::mqtt::topic::generic_topic;
use crate::recent::Published;
use crate::registry::ends_for;
use crate::session::Who;
use crate::state::StateError;

impl Hub {
    /// The webhooks that are asked about applications' topics, by conference; once, before the shards start.
    pub fn set_topic_webhooks(&self, webhooks: HashMap<String, Arc<Webhook>>) {
        // Set once.
        let _ = self.topic_webhooks.set(webhooks);
    }

    /// What somebody may do with the applications' topics.
    #[must_use]
    pub fn topic_rights(&self, who: &Who, role: UserRole) -> Arc<TopicRights> {
        let rules = self.options.topic_rules.get(who.conference.as_str()).map_or(&[][..], Vec::as_slice);
        let webhook = self.topic_webhooks.get().and_then(|webhooks| webhooks.get(who.conference.as_str())).cloned();
        Arc::new(TopicRights::of(rules, self.reader.clone(), who.clone(), role, webhook))
    }

    /// Puts those out of conversations' own topics whose reading these events end; the state has them.
    pub(super) fn leave_topics(&self, events: &[Arc<Published>]) {
        for published in events {
            let Some(user) = ends_for(published) else { continue };
            let Place { conf, conversation, .. } = &published.event.place;
            if let Err(error) = self.leave_topic_of(*conf, conversation, &user) {
                tracing::warn!(%error, "somebody is still shown at a topic that they may not read");
            }
        }
    }

    fn leave_topic_of(&self, conf: ConfNo, conversation: &ConversationId, uid: &Uid) -> Result<(), StateError> {
        let Some(conference) = self.reader.conference_id(conf)? else { return Ok(()) };
        let mut topic = String::new();
        generic_topic(&mut topic, conference.as_str(), &format!("{OF_CONVERSATION}{conversation}"));
        let topic = topic.into();
        if !self.gatherings.shows(conf, &topic, uid) {
            return Ok(());
        }
        let Some(user) = self.reader.user(conf, uid)? else { return Ok(()) };
        let who =
            Who { conf, conference, uid: uid.clone(), name: Arc::clone(&user.name), version: user.version, expires_ms: 0, token: None };
        // A rule may let them stay.
        if !self.topic_rights(&who, user.role).may_read(&topic) {
            self.gatherings.put_out(conf, &topic, uid);
        }
        Ok(())
    }

    /// Who is at applications' topics.
    #[must_use]
    pub fn gatherings(&self) -> &Gatherings {
        &self.gatherings
    }
}
