//! `[conference.<id>]`: conferences that the server makes sure exist.

use std::path::PathBuf;

use hallway_broker::allowances::TopicRule;
use hallway_broker::model::SignIn;
use serde::{Deserialize, Serialize};

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
    /// Tokens of another identity provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<Jwt>,
}

impl Conference {
    /// A conference with every key there is.
    #[must_use]
    pub fn template() -> Self {
        Self { jwt: Some(Jwt::default()), topics: Some(Vec::new()), ..Self::default() }
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

/// Where the tokens of another identity provider come from, and what they say. Exactly one source of keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Jwt {
    /// A shared secret.
    pub hs256_secret: Option<String>,
    /// A PEM file with a public key.
    pub public_key_file: Option<PathBuf>,
    /// A JWKS file.
    pub jwks_file: Option<PathBuf>,
    /// A JWKS URL.
    pub jwks_url: Option<String>,
    /// Who must have signed.
    pub issuer: Option<String>,
    /// Whom it must be for.
    pub audience: Option<String>,
    /// The claim that names the user.
    pub user_claim: String,
    /// The claim with the display name.
    pub name_claim: Option<String>,
    /// The claim with the roles.
    pub roles_claim: Option<String>,
}

impl Default for Jwt {
    fn default() -> Self {
        Self {
            hs256_secret: None,
            public_key_file: None,
            jwks_file: None,
            jwks_url: None,
            issuer: None,
            audience: None,
            user_claim: "sub".to_owned(),
            name_claim: None,
            roles_claim: None,
        }
    }
}

impl Jwt {
    /// How many sources of keys are named.
    #[must_use]
    pub fn key_sources(&self) -> usize {
        [self.hs256_secret.is_some(), self.public_key_file.is_some(), self.jwks_file.is_some(), self.jwks_url.is_some()]
            .into_iter()
            .filter(|named| *named)
            .count()
    }
}
