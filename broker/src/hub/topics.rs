//! Applications' topics: who may use them, and who is there.

use std::collections::HashMap;
use std::sync::Arc;

use super::Hub;
use crate::allowances::{TopicRights, Webhook};
use crate::gatherings::Gatherings;
use crate::model::UserRole;
use crate::session::Who;

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

    /// Who is at applications' topics.
    #[must_use]
    pub fn gatherings(&self) -> &Gatherings {
        &self.gatherings
    }
}
