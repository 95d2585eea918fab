//! What sessions subscribe to inside the hub, and who of a conference's readers is concerned by an event or signal.

use crate::ids::{ConfNo, ConvNo, ConversationId, Uid};
use crate::model::{Change, Event, Kind, Signal};

/// A stream of events or signals.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Topic {
    /// A conversation's events, typing and read signals.
    Chat(ConfNo, ConvNo),
    /// A user's inbox.
    Inbox(ConfNo, Uid),
    /// A user's presence.
    Presence(ConfNo, Uid),
}

impl Topic {
    /// The topic that an event goes to.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        match event.place.conversation.inbox_owner() {
            Some(owner) => Self::Inbox(event.place.conf, owner),
            None => Self::Chat(event.place.conf, event.place.conv),
        }
    }

    /// The conference.
    #[must_use]
    pub fn conf(&self) -> ConfNo {
        match self {
            Self::Chat(conf, _) | Self::Inbox(conf, _) | Self::Presence(conf, _) => *conf,
        }
    }
}

/// A conversation as its readers on a shard know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its id.
    pub id: ConversationId,
    /// Its kind.
    pub kind: Kind,
}

/// A signal on its way.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Telling {
    /// The conference.
    pub conf: ConfNo,
    /// The conversation that the signal is about; `None` for presence.
    pub conv: Option<ConvNo>,
    /// The signal.
    pub signal: Signal,
}

impl Telling {
    /// The topic that the signal goes to; `None` when it is not complete.
    #[must_use]
    pub fn topic(&self) -> Option<Topic> {
        match (&self.signal, self.conv) {
            (Signal::Presence { user, .. }, _) => Some(Topic::Presence(self.conf, user.clone())),
            (_, Some(conv)) => Some(Topic::Chat(self.conf, conv)),
            (_, None) => None,
        }
    }

    /// Whether a later signal takes the place of this one.
    #[must_use]
    pub fn is_replaced_by(&self, later: &Self) -> bool {
        let same = match (&self.signal, &later.signal) {
            (Signal::Typing { from: a, .. }, Signal::Typing { from: b, .. }) => a == b,
            (Signal::Read { from: a, .. }, Signal::Read { from: b, .. }) => a == b,
            (Signal::Presence { user: a, .. }, Signal::Presence { user: b, .. }) => a == b,
            _ => false,
        };
        same && self.conv == later.conv
    }

    /// Whose signal it is: their own sessions are not told that they type.
    #[must_use]
    pub fn author(&self) -> &Uid {
        match &self.signal {
            Signal::Typing { from, .. } | Signal::Read { from, .. } => from,
            Signal::Presence { user, .. } => user,
        }
    }
}

/// Whether a membership change ends its subject's reading of a conversation of this kind.
#[must_use]
pub fn ends_reading(kind: Kind, change: Change) -> bool {
    match change {
        Change::Banned => true,
        Change::Removed | Change::Left => !kind.is_public(),
        Change::Joined | Change::Invited | Change::Role(_) => false,
    }
}
