//! What conversations are made of. These are the records of the state, too: postcard-encoded, so fields are only ever
//! added together with a new schema version (`view::SCHEMA`).

mod account;
mod attendance;
mod badge;
mod belongings;
mod file;
mod publication;
mod push;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{ConfNo, ConvNo, ConversationId, Uid};

pub use account::{Credentials, Invite, InviteHash, ScramKeys, SignIn, Subject, SubjectHash, Token, TokenHash, User, UserRole};
pub use attendance::{Attendance, Pass, Stay};
pub use badge::{
    Acquaintance, Attendee, Badge, BadgeCode, BadgeTotals, Bearer, Checkin, Contact, ContactDeed, Direction, GivenBadge, Imported,
    KnownScan, Lead, LeadNotes, Mode, Occupancy, ReaderSettings, ScanReason, Scanned, Tap, Waiting,
};
pub use belongings::{Access, Belongings, Item, Node, NodeSettings};
pub use file::{File, FileId, MediaType, Uploads};
pub use publication::{InFlight, KeptSession, KeptSubscription, Properties, Publication, Realm, Retained, Stored, StoredTotals};
pub use push::{Attention, Level, Provider, PushCursor, PushRow, PushSettings, PushState, Target, TargetId, UnderWay};

/// The protocol an event came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Via {
    /// JSON-RPC over WebSocket.
    Ws,
    /// JSON-RPC or REST over HTTP.
    Http,
    /// Socket.IO.
    Socketio,
    /// MQTT.
    Mqtt,
    /// XMPP.
    Xmpp,
    /// A badge reader.
    Badge,
    /// The server itself.
    System,
}

impl Via {
    /// The word in canonical events.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ws => "ws",
            Self::Http => "http",
            Self::Socketio => "socketio",
            Self::Mqtt => "mqtt",
            Self::Xmpp => "xmpp",
            Self::Badge => "badge",
            Self::System => "system",
        }
    }
}

/// Kinds of conversations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Any attendee may read, join and post.
    Channel,
    /// By invitation; only members read.
    Group,
    /// Two people.
    Direct,
    /// Any attendee reads, only staff posts.
    Announcements,
    /// One user's durable notices; not a conversation that people see as such.
    Inbox,
    /// What applications publish on topics of their own; not a conversation that people see as such.
    Topics,
}

impl Kind {
    /// The word in results and on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Group => "group",
            Self::Direct => "direct",
            Self::Announcements => "announcements",
            Self::Inbox => "inbox",
            Self::Topics => "topics",
        }
    }

    /// Whether any attendee may read without being a member.
    #[must_use]
    pub fn is_public(self) -> bool {
        matches!(self, Self::Channel | Self::Announcements)
    }
}

/// A member's role in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum MemberRole {
    /// Reads and posts.
    Member,
    /// Removes messages and members.
    Moderator,
    /// Gives roles.
    Owner,
}

impl MemberRole {
    /// The word in results.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Moderator => "moderator",
            Self::Owner => "owner",
        }
    }
}

/// Where somebody stands with a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// A member.
    In(MemberRole),
    /// May join.
    Invited,
    /// Left by themselves.
    Left,
    /// Removed by a moderator; may be invited again.
    Removed,
    /// Removed and not to come back.
    Banned,
}

impl Standing {
    /// The role of a present member.
    #[must_use]
    pub fn role(self) -> Option<MemberRole> {
        match self {
            Self::In(role) => Some(role),
            _ => None,
        }
    }
}

/// Record: a membership, kept after the member is gone so that the removal can be checked against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Where they stand now.
    pub standing: Standing,
    /// The pos of the event that made it so. Nothing above it reaches a removed reader.
    pub since_pos: u64,
    /// Never set: [`Attention`] says what of a conversation somebody wants.
    pub muted: bool,
}

/// Record: a conversation's settings. Its head (last seq, pos, n, ts) is that of its last event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation {
    /// Its number.
    pub no: ConvNo,
    /// Its kind.
    pub kind: Kind,
    /// Free text.
    pub title: String,
    /// How many members are in.
    pub members: u32,
    /// How many of them are owners.
    pub owners: u32,
}

/// The last event's place in a conversation; all zero when there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// Last seq.
    pub seq: u64,
    /// Its pos in the conference.
    pub pos: u64,
    /// Messages so far.
    pub n: u64,
    /// Its time, Unix ms.
    pub ts_ms: u64,
}

/// What a membership event tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Came in.
    Joined,
    /// Went.
    Left,
    /// Was asked in.
    Invited,
    /// Was put out.
    Removed,
    /// Was put out for good.
    Banned,
    /// Has another role.
    Role(MemberRole),
}

impl Change {
    /// The word in canonical events.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Joined => "joined",
            Self::Left => "left",
            Self::Invited => "invited",
            Self::Removed => "removed",
            Self::Banned => "banned",
            Self::Role(_) => "role",
        }
    }
}

/// A message as it is now: edits, deletion and reactions are folded in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Message {
    /// The sender's own id for it, empty when the protocol has none.
    pub client_id: Arc<str>,
    /// The current text; empty once deleted.
    pub text: Arc<str>,
    /// The seq it answers.
    pub reply_to: Option<u64>,
    /// Who is named in it; `*` for all.
    pub mentions: Vec<Arc<str>>,
    /// Attached files' URLs.
    pub attachments: Vec<Arc<str>>,
    /// Seqs of its edits, oldest first.
    pub edits: Vec<u64>,
    /// The seq of its deletion.
    pub deleted: Option<u64>,
    /// Emoji and how many people gave it.
    pub reactions: Vec<(Arc<str>, u32)>,
}

/// What an inbox entry tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice {
    /// Asked into a conversation, or a direct one was opened.
    Invited {
        /// Which.
        conversation: ConversationId,
    },
    /// Named in a message.
    Mention {
        /// Where.
        conversation: ConversationId,
        /// The message's seq.
        target: u64,
    },
    /// Put out of a conversation.
    Removed {
        /// Which.
        conversation: ConversationId,
    },
    /// What the owner published was refused, and their protocol could not say so.
    Refused {
        /// The topic.
        topic: Arc<str>,
        /// The refusal's stable word.
        why: Arc<str>,
    },
    /// Somebody wants to become acquainted with the owner, or is from now on.
    Contact {
        /// Who.
        user: Uid,
        /// Where the owner stands with them.
        state: Acquaintance,
    },
    /// An exhibitor was given the owner's contact.
    Lead {
        /// Who.
        owner: Uid,
    },
}

impl Notice {
    /// The word in notices.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Invited { .. } => "invited",
            Self::Mention { .. } => "mention",
            Self::Removed { .. } => "removed",
            Self::Refused { .. } => "refused",
            Self::Contact { .. } => "contact",
            Self::Lead { .. } => "lead",
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// Somebody said something.
    Message(Message),
    /// A message has another text; empty once the message is deleted.
    Edit {
        /// The message's seq.
        target: u64,
        /// The new text.
        text: Arc<str>,
    },
    /// A message was taken back.
    Delete {
        /// The message's seq.
        target: u64,
    },
    /// A reaction was given or taken back.
    React {
        /// The message's seq.
        target: u64,
        /// Which.
        emoji: Arc<str>,
        /// Given or taken back.
        on: bool,
    },
    /// Somebody's standing changed.
    Member {
        /// Whose.
        user: Uid,
        /// How.
        change: Change,
    },
    /// The conversation has a new title.
    Settings {
        /// The title.
        title: Arc<str>,
    },
    /// An inbox entry.
    Notice(Notice),
    /// Something was published on an application's topic.
    Publication(Arc<Publication>),
    /// The same, stored with the topic for those who come to it later.
    Stored(Arc<Publication>),
}

impl Body {
    /// The event's kind in canonical events.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Message(_) => "message",
            Self::Edit { .. } => "edit",
            Self::Delete { .. } => "delete",
            Self::React { .. } => "react",
            Self::Member { .. } => "member",
            Self::Settings { .. } => "settings",
            Self::Notice(_) => "notice",
            Self::Publication(_) | Self::Stored(_) => "publication",
        }
    }

    /// Bytes of the texts in it that people chose: what bounds of memory count.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        match self {
            Self::Message(message) => {
                let lists = message.attachments.iter().chain(&message.mentions);
                message.text.len() + lists.map(|text| text.len()).sum::<usize>()
            }
            Self::Edit { text, .. } | Self::Settings { title: text } => text.len(),
            Self::Publication(publication) | Self::Stored(publication) => publication.bytes(),
            _ => 0,
        }
    }
}

/// Record: one entry of a conversation's log, without its place (which is its key).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Commit position in the conference.
    pub pos: u64,
    /// Messages in the conversation up to and with this entry.
    pub n: u64,
    /// Unix ms; never goes back within a conversation.
    pub ts_ms: u64,
    /// The author: always a session's user.
    pub from: Uid,
    /// The author's display name at the time.
    pub name: Arc<str>,
    /// The protocol it came by.
    pub via: Via,
    /// What happened.
    pub body: Body,
}

impl Entry {
    /// Whether it is what a badge said of somebody's arrival: then it is theirs more than the reader's.
    #[must_use]
    pub fn announces(&self, uid: &Uid) -> bool {
        match &self.body {
            Body::Message(message) => self.via == Via::Badge && message.mentions.iter().any(|mention| **mention == *uid.as_str()),
            _ => false,
        }
    }
}

/// Where an event stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The conference.
    pub conf: ConfNo,
    /// The conversation's number.
    pub conv: ConvNo,
    /// The conversation's id.
    pub conversation: ConversationId,
    /// The conversation's kind.
    pub kind: Kind,
    /// The event's number in it.
    pub seq: u64,
}

/// One entry of one conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Where.
    pub place: Place,
    /// What.
    pub entry: Entry,
    /// The session it came from, 0 when it was read from the store; serves `echo: false` only.
    pub origin: u64,
}

/// What is told but never stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Signal {
    /// Somebody types, or stopped.
    Typing {
        /// Where.
        conversation: ConversationId,
        /// Who.
        from: Uid,
        /// Their display name.
        name: Arc<str>,
        /// Typing or not.
        on: bool,
    },
    /// Somebody has read up to a seq.
    Read {
        /// Where.
        conversation: ConversationId,
        /// Who.
        from: Uid,
        /// Up to here.
        seq: u64,
    },
    /// Somebody came, went or says how they are.
    Presence {
        /// Who.
        user: Uid,
        /// Their display name.
        name: Arc<str>,
        /// How.
        status: Status,
        /// In their words.
        text: Arc<str>,
    },
    /// Something was published that nobody has to keep.
    Published {
        /// Who.
        from: Uid,
        /// The session it came from; 0 for none.
        origin: u64,
        /// What.
        publication: Arc<Publication>,
        /// When, Unix ms.
        at_ms: u64,
    },
    /// Somebody's connections came to an application's topic, or went.
    Gathered {
        /// The whole name of the topic.
        topic: Arc<str>,
        /// Whose.
        user: Uid,
        /// Their display name.
        name: Arc<str>,
        /// The ids of those that are there now.
        connections: Vec<Arc<str>>,
        /// They are more than before, or others; otherwise fewer.
        came: bool,
        /// When, Unix ms.
        at_ms: u64,
    },
}

/// A user's availability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// Here.
    Online,
    /// Connected, but not looking.
    Away,
    /// Do not disturb.
    Dnd,
    /// No session.
    Offline,
}

impl Status {
    /// The word in presence signals.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Away => "away",
            Self::Dnd => "dnd",
            Self::Offline => "offline",
        }
    }
}

/// Record: a conference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conference {
    /// Its number.
    pub no: ConfNo,
    /// Free text.
    pub title: String,
    /// How people get accounts.
    pub sign_in: SignIn,
    /// New after a restore.
    pub epoch: u64,
}
