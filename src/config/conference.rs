//! `[conference.<id>]`: conferences that the server makes sure exist.

use hallway_broker::allowances::{TopicRule, WebhookOptions};
use hallway_broker::model::SignIn;
use serde::{Deserialize, Serialize};

use super::{Jwt, Pretix, Venue};

/// A conference's settings. What is not set stays as it is, and is the default when the conference is made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Conference {
    /// Its title.
    pub title: Option<String>,
    /// How people get accounts: by default open in demo mode, else by password.
    pub sign_in: Option<SignIn>,
    /// Its XMPP domain.
    pub xmpp_domain: Option<String>,
    /// Channels that it has at least.
    pub channels: Option<Vec<Channel>>,
    /// Who may do what with the applications' topics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topics: Option<Vec<TopicRule>>,
    /// Who is asked about the applications' topics that no rule decides about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic_webhook: Option<WebhookOptions>,
    /// Tickets that pretix signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pretix: Option<Pretix>,
    /// Tokens of another identity provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<Jwt>,
    /// Venues' own MQTT brokers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub venue: Option<Vec<Venue>>,
}

impl Conference {
    /// A conference with every key there is.
    #[must_use]
    pub fn template() -> Self {
        Self {
            jwt: Some(Jwt::default()),
            pretix: Some(Pretix::default()),
            topics: Some(Vec::new()),
            topic_webhook: Some(WebhookOptions::default()),
            venue: Some(Vec::new()),
            ..Self::default()
        }
    }
}

/// A channel, as `"lobby"` or `{ id = "news", title = "News", kind = "announcements" }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a channel is \"id\" or { id, title, kind }")]
pub enum Channel {
    /// By its id.
    Id(String),
    /// In full.
    Full(FullChannel),
}

/// A channel in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FullChannel {
    /// Its id.
    pub id: String,
    /// Its title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Who posts: `channel` or `announcements`.
    #[serde(default)]
    pub kind: ChannelKind,
}

/// Who posts in a channel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelKind {
    /// Everybody.
    #[default]
    Channel,
    /// Staff.
    Announcements,
}

impl Channel {
    /// The same in full.
    #[must_use]
    pub fn full(&self) -> FullChannel {
        match self {
            Self::Id(id) => FullChannel { id: id.clone(), title: None, kind: ChannelKind::default() },
            Self::Full(full) => full.clone(),
        }
    }
}
