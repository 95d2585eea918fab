//! What sessions subscribe to inside the hub, and who of a conference's readers is concerned by an event or signal.

use std::ops::{BitOr, BitOrAssign};
use std::sync::Arc;

use crate::ids::{ConfNo, ConvNo, ConversationId, Uid};
use crate::model::{Body, Change, Event, Kind, Realm, Signal};
use crate::view::Found;

/// A stream of events or signals.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Topic {
    /// A conversation's events, typing and read signals.
    Chat(ConfNo, ConvNo),
    /// A user's inbox.
    Inbox(ConfNo, Uid),
    /// A user's presence.
    Presence(ConfNo, Uid),
    /// Everybody's presence.
    Presences(ConfNo),
    /// All conversations of a conference that are open to all: a part of following everything.
    Public(ConfNo),
    /// What is published on topics that are not a conversation's; who of its readers is given what, the filters say.
    Named(ConfNo, Realm),
    /// Who is at an application's topic, by its whole name.
    Gathering(ConfNo, Arc<str>),
    /// A user's coming into conversations that are not: how who follows everything learns of them.
    Joins(ConfNo, Uid),
}

impl Topic {
    /// The topic that an event goes to.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        let conf = event.place.conf;
        match &event.entry.body {
            Body::Publication(publication) | Body::Stored(publication) => Self::Named(conf, publication.realm),
            _ => match event.place.conversation.inbox_owner() {
                Some(owner) => Self::Inbox(conf, owner),
                None => Self::Chat(conf, event.place.conv),
            },
        }
    }

    /// The topic of who follows everything that the event goes to, too.
    #[must_use]
    pub fn public(event: &Event) -> Option<Self> {
        event.place.kind.is_public().then_some(Self::Public(event.place.conf))
    }

    /// The topics of those who come into a conversation by the event: a member who joined, or the two of a direct conversation that begins.
    pub fn joins(event: &Event) -> impl Iterator<Item = Self> + use<> {
        let place = &event.place;
        let users = match &event.entry.body {
            Body::Member { user, change: Change::Joined } if !place.kind.is_public() => [Some(user.clone()), None],
            _ if place.kind == Kind::Direct && place.seq == 1 => {
                place.conversation.direct_pair().map_or([None, None], |(one, other)| [Some(one), Some(other)])
            }
            _ => [None, None],
        };
        let conf = place.conf;
        users.into_iter().flatten().map(move |user| Self::Joins(conf, user))
    }

    /// The conference.
    #[must_use]
    pub fn conf(&self) -> ConfNo {
        match self {
            Self::Chat(conf, _) | Self::Inbox(conf, _) | Self::Presence(conf, _) | Self::Public(conf) | Self::Joins(conf, _) => *conf,
            Self::Named(conf, _) | Self::Presences(conf) | Self::Gathering(conf, _) => *conf,
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
    /// That conversation is open to all.
    pub is_public: bool,
    /// The signal.
    pub signal: Signal,
}

impl Telling {
    /// A signal about a conversation.
    #[must_use]
    pub fn about(found: &Found, signal: Signal) -> Self {
        Self { conf: found.conf, conv: Some(found.record.no), is_public: found.record.kind.is_public(), signal }
    }

    /// A signal that is about no conversation.
    #[must_use]
    pub fn of(conf: ConfNo, signal: Signal) -> Self {
        Self { conf, conv: None, is_public: false, signal }
    }

    /// The topic that the signal goes to; `None` when it is not complete.
    #[must_use]
    pub fn topic(&self) -> Option<Topic> {
        match (&self.signal, self.conv) {
            (Signal::Presence { user, .. }, _) => Some(Topic::Presence(self.conf, user.clone())),
            (Signal::Published { publication, .. }, _) => Some(Topic::Named(self.conf, publication.realm)),
            (Signal::Gathered { topic, .. }, _) => Some(Topic::Gathering(self.conf, Arc::clone(topic))),
            (_, Some(conv)) => Some(Topic::Chat(self.conf, conv)),
            (_, None) => None,
        }
    }

    /// The topic of all signals of its kind, for who follows everybody's or everything.
    #[must_use]
    pub fn everybodys(&self) -> Option<Topic> {
        match self.signal {
            Signal::Presence { .. } => Some(Topic::Presences(self.conf)),
            Signal::Typing { .. } | Signal::Read { .. } => self.is_public.then_some(Topic::Public(self.conf)),
            Signal::Published { .. } | Signal::Gathered { .. } => None,
        }
    }

    /// Whether a later signal takes the place of this one.
    #[must_use]
    pub fn is_replaced_by(&self, later: &Self) -> bool {
        let same = match (&self.signal, &later.signal) {
            (Signal::Typing { from: a, .. }, Signal::Typing { from: b, .. }) => a == b,
            (Signal::Read { from: a, .. }, Signal::Read { from: b, .. }) => a == b,
            (Signal::Presence { user: a, .. }, Signal::Presence { user: b, .. }) => a == b,
            (Signal::Gathered { user: a, topic: of, .. }, Signal::Gathered { user: b, topic, .. }) => a == b && of == topic,
            _ => false,
        };
        same && self.conv == later.conv
    }

    /// Whose signal it is, when their own sessions are not told: that they type, for example.
    #[must_use]
    pub fn author(&self) -> Option<&Uid> {
        match &self.signal {
            Signal::Typing { from, .. } | Signal::Read { from, .. } | Signal::Published { from, .. } => Some(from),
            Signal::Presence { user, .. } => Some(user),
            Signal::Gathered { .. } => None,
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

/// Which of a conversation's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Parts(u8);

impl Parts {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// Messages.
    pub const MESSAGES: Self = Self(1);
    /// The other durable events.
    pub const EVENTS: Self = Self(2);
    /// Who types.
    pub const TYPING: Self = Self(4);
    /// Read markers.
    pub const READ: Self = Self(8);
    /// All four.
    pub const ALL: Self = Self(15);

    /// Whether all of `others` are among them.
    #[must_use]
    pub fn contains(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// The part that an event belongs to; notices and publications are all of what they come by.
    #[must_use]
    pub fn of_event(event: &Event) -> Self {
        match event.entry.body {
            Body::Message(_) | Body::Notice(_) | Body::Publication(_) | Body::Stored(_) => Self::MESSAGES,
            _ => Self::EVENTS,
        }
    }

    /// The part that a signal belongs to; presence and publications are all of what they come by.
    #[must_use]
    pub fn of_signal(signal: &Signal) -> Self {
        match signal {
            Signal::Typing { .. } => Self::TYPING,
            Signal::Read { .. } => Self::READ,
            Signal::Presence { .. } | Signal::Published { .. } | Signal::Gathered { .. } => Self::NONE,
        }
    }

    /// Those that are in both.
    #[must_use]
    pub fn and(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }

    /// The durable ones among them, as a number below four.
    #[must_use]
    pub fn durable(self) -> usize {
        usize::from(self.0 & 3)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for Parts {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Parts {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// How a session reads a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct How {
    /// What the session itself caused, too.
    pub echo: bool,
    /// Which parts of a conversation.
    pub parts: Parts,
    /// In the form that expects acknowledgements: the one after the session's own number.
    pub acked: bool,
    /// The session makes a copy of its own of each event ([`crate::outbox::Link::stamp`]).
    pub stamped: bool,
}

impl How {
    /// Everything, as it is.
    #[must_use]
    pub fn plain(echo: bool) -> Self {
        Self { echo, parts: Parts::ALL, acked: false, stamped: false }
    }
}

impl Default for How {
    fn default() -> Self {
        Self::plain(true)
    }
}
