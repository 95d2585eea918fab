//! What is kept of push: where people are reached who are away, what of it they want, and what did not get through. Records of the state, as those
//! beside this file.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use ring::digest;

use crate::ids::{ConversationId, Uid};

/// Who delivers to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Provider {
    /// A browser's push service (RFC 8030, 8291, 8292).
    WebPush,
    /// A distributor of UnifiedPush: the same messages.
    UnifiedPush,
    /// Apple's.
    Apns,
    /// Google's.
    Fcm,
    /// Expo's, before those two.
    Expo,
    /// A URL of the user's own.
    Webhook,
    /// An XMPP push service (XEP-0357).
    Xmpp,
}

impl Provider {
    /// All of them.
    pub const ALL: [Self; 7] = [Self::WebPush, Self::UnifiedPush, Self::Apns, Self::Fcm, Self::Expo, Self::Webhook, Self::Xmpp];

    /// The provider of a target.
    #[must_use]
    pub fn of(target: &TargetId) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| *provider as u8 == target[0])
    }

    /// The word in requests and results.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::WebPush => "webpush",
            Self::UnifiedPush => "unifiedpush",
            Self::Apns => "apns",
            Self::Fcm => "fcm",
            Self::Expo => "expo",
            Self::Webhook => "webhook",
            Self::Xmpp => "xmpp",
        }
    }

    /// The provider named by `word`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.word() == word)
    }
}

/// What tells targets apart: the provider's number, and a hash of provider, address and topic, of a webhook also of whose it is.
pub type TargetId = [u8; 16];

/// Record: where a user is reached.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Who delivers.
    pub provider: Provider,
    /// A URL (Web Push, UnifiedPush, webhook), a device token (APNs, FCM, Expo), or the JID of a service (XMPP).
    pub address: Arc<str>,
    /// What the provider's messages are sealed or signed with: Web Push's `p256dh` (65 bytes) and `auth` (16 bytes) one after the other, a webhook's
    /// secret; empty when there is nothing.
    pub secret: Vec<u8>,
    /// APNs: the app's topic (bundle id); XMPP: the node.
    pub topic: Arc<str>,
    /// APNs: the development service. XMPP: nothing.
    pub is_sandbox: bool,
    /// XMPP: the options that the user's client gave, as XML; else empty.
    pub options: Arc<str>,
    /// What the client calls itself.
    pub device: Arc<str>,
    /// When it was registered last, Unix ms.
    pub since_ms: u64,
}

impl Target {
    /// What tells it from others: the same device, or the same node of a service, is the same target whoever registers it. A webhook is each one's
    /// own: its URL is no device's, and several may give the same.
    #[must_use]
    pub fn id(&self, uid: &Uid) -> TargetId {
        let whose = if self.provider == Provider::Webhook { uid.as_str() } else { "" };
        let text = format!("{}\0{}\0{}\0{whose}", self.provider.word(), self.address, self.topic);
        let hash = digest::digest(&digest::SHA256, text.as_bytes());
        let mut id = TargetId::default();
        // SHA-256 has 32 bytes.
        id.iter_mut().zip(hash.as_ref()).for_each(|(to, from)| *to = *from);
        id[0] = self.provider as u8;
        id
    }

    /// Whether who registers `new` may have this one, which is another's: who has a browser or a distributor knows the keys that it made, not only
    /// where it is reached.
    #[must_use]
    pub fn may_become(&self, new: &Self) -> bool {
        !matches!(self.provider, Provider::WebPush | Provider::UnifiedPush) || self.secret == new.secret
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Whoever has the address can push to the device.
        write!(f, "Target({}, since {})", self.provider.word(), self.since_ms)
    }
}

/// What of a conversation somebody is pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Level {
    /// By the conversation's kind: all of direct conversations and announcements, of others what names them.
    #[default]
    Default,
    /// Everything.
    All,
    /// What names them.
    Mentions,
    /// Nothing.
    None,
}

impl Level {
    /// The word in requests and results.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::All => "all",
            Self::Mentions => "mentions",
            Self::None => "none",
        }
    }

    /// The level named by `word`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Default, Self::All, Self::Mentions, Self::None].into_iter().find(|level| level.word() == word)
    }
}

/// Record: what of one conversation a user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Attention {
    /// How much.
    pub level: Level,
    /// Nothing until then, Unix ms; 0: not silenced.
    pub silent_until_ms: u64,
}

impl Attention {
    /// Whether nothing of the conversation is wanted now: no push, no badge.
    #[must_use]
    pub fn is_muted(self, now_ms: u64) -> bool {
        self.level == Level::None || now_ms < self.silent_until_ms
    }
}

/// Record: what of all a user wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushSettings {
    /// Where a conversation has no level of its own.
    pub level: Level,
    /// Whether names and texts are in the push; otherwise only that there is a new message.
    pub content: bool,
    /// Minutes of the day from which, and until which, pushes wait; equal: never.
    pub quiet_minutes: (u16, u16),
    /// Minutes that the user's clock is ahead of UTC.
    pub utc_offset_minutes: i16,
}

impl Default for PushSettings {
    fn default() -> Self {
        Self { level: Level::Default, content: true, quiet_minutes: (0, 0), utc_offset_minutes: 0 }
    }
}

/// Up to where it is decided who is to be pushed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PushCursor {
    /// Everything up to this pos.
    pub pos: u64,
    /// In the middle of conversations with many members.
    pub under_way: Vec<UnderWay>,
}

/// Messages of a conversation of which only some members are decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderWay {
    /// The conversation.
    pub conversation: ConversationId,
    /// The first of the messages: which of them counts is not the same for all.
    pub first_seq: u64,
    /// The last of them.
    pub last_seq: u64,
    /// The last of them in which all are named.
    pub names_all: Option<u64>,
    /// The uid up to which it is done.
    pub through: Arc<str>,
}

/// Record: how far push is in a conference.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PushState {
    /// Up to where it is decided.
    pub cursor: PushCursor,
    /// Pushes that are to be tried again.
    pub rows: u64,
    /// The number of the last dead letter: none is given twice, also when all were tried again.
    pub letters: u64,
}

/// Record: a push that is to be tried again, or was given up. What it says is read from the conversation when it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushRow {
    /// Whose.
    pub user: Uid,
    /// To which of their targets.
    pub target: TargetId,
    /// About which conversation.
    pub conversation: ConversationId,
    /// From which message on it stands for what was said.
    pub first_seq: u64,
    /// The newest message that it is about.
    pub seq: u64,
    /// Tries so far.
    pub tries: u32,
    /// From when on its time to live counts, Unix ms: when it was first to be tried, later for what waits for the end of quiet hours.
    pub since_ms: u64,
    /// Why it did not get through; never what the push held.
    pub why: Arc<str>,
}
