//! What can be asked of the hub: the commands that the log keeps and `apply` carries out, and what comes of them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{ConfNo, ConferenceId, ConversationId, Uid};
use crate::model::{
    Access, Attendee, Attention, BadgeCode, ContactDeed, Credentials, FileId, GivenBadge, Imported, Invite, InviteHash, KeptSession,
    KeptSubscription, Kind, LeadNotes, MediaType, MemberRole, Mode, NodeSettings, Publication, PushCursor, PushRow, PushSettings,
    ReaderSettings, Scanned, SignIn, SubjectHash, Tap, Target, TargetId, TokenHash, UserRole, Via,
};

/// Who asks. Taken from the session, never from a payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The session's user.
    pub uid: Uid,
    /// The session's protocol.
    pub via: Via,
    /// The session, 0 for none.
    pub session: u64,
}

impl Actor {
    /// The server itself, which may do anything: the command line and the configuration speak through it.
    #[must_use]
    pub fn system() -> Self {
        Self { uid: Uid::system(), via: Via::System, session: 0 }
    }

    /// Whether this is the server itself. No account can have its uid, so no session can pose as it.
    #[must_use]
    pub fn is_system(&self) -> bool {
        self.via == Via::System
    }
}

/// What a client id means that comes again with another body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reuse {
    /// An error of the sender (JSON).
    Conflict,
    /// A new message: XMPP and MQTT clients reuse their ids.
    NewMessage,
    /// The draft has no id of its own, but an MQTT packet's: only what the packet says is a repetition is looked up.
    Packet {
        /// A hash of the MQTT client id.
        client: u64,
        /// The packet id.
        id: u16,
        /// The packet is a repetition.
        dup: bool,
    },
}

/// Settings that a node must have to take an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Demanded {
    /// Who reads it.
    pub access: Option<Access>,
    /// How many items it keeps.
    pub max_items: Option<u32>,
}

/// A message to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// Where to.
    pub conversation: ConversationId,
    /// The sender's id for it; empty: no deduplication.
    pub client_id: Arc<str>,
    /// What the same id with another body means.
    pub reuse: Reuse,
    /// The text.
    pub text: Arc<str>,
    /// The seq it answers.
    pub reply_to: Option<u64>,
    /// Who is named; `*` for all (staff).
    pub mentions: Vec<Arc<str>>,
    /// URLs of attached files.
    pub attachments: Vec<Arc<str>>,
}

/// A file that was brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewFile {
    /// What it is called, cleaned.
    pub name: Arc<str>,
    /// What it is.
    pub media: MediaType,
    /// Its length.
    pub bytes: u64,
    /// CRC32C of its bytes.
    pub crc: u32,
    /// Width and height of an image.
    pub size: Option<(u32, u32)>,
    /// Bytes that its owner may have in all; 0 for any number.
    pub quota_bytes: u64,
    /// Bytes that all files of the conference may have; 0 for any number.
    pub conference_bytes: u64,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields say by their names what each variant's text does not")]
pub enum Action {
    /// Send a message.
    Send(Draft),
    /// Replace a message's text.
    Edit { conversation: ConversationId, target: u64, text: Arc<str> },
    /// Take a message back.
    Delete { conversation: ConversationId, target: u64 },
    /// Give or take back a reaction.
    React { conversation: ConversationId, target: u64, emoji: Arc<str>, on: bool },
    /// Make sure that the direct conversation with somebody exists.
    Open { with: Uid },
    /// Make a channel, group or announcements.
    Create { kind: Kind, id: ConversationId, title: String, members: Vec<Uid> },
    /// Give a conversation a new title.
    Update { conversation: ConversationId, title: Arc<str> },
    /// Become a member.
    Join { conversation: ConversationId },
    /// Stop being one.
    Leave { conversation: ConversationId },
    /// Ask somebody in.
    Invite { conversation: ConversationId, user: Uid },
    /// Put somebody out.
    Remove { conversation: ConversationId, user: Uid, ban: bool },
    /// Give a member a role.
    SetRole { conversation: ConversationId, user: Uid, role: MemberRole },
    /// Move one's read marker on.
    Read { conversation: ConversationId, seq: u64 },
    /// Publish on a topic that is not a conversation's.
    Publish(Arc<Publication>, Reuse),
    /// Forget what was published on such topics, up to this seq: a bounded step each time.
    Trim { through: u64 },
    /// Tell the asker, in their inbox, that what they published was refused.
    Report { topic: Arc<str>, why: Arc<str> },
    /// Keep an MQTT session of the asker.
    KeepSession { client: Arc<str>, session: KeptSession },
    /// Change the subscriptions of a kept MQTT session: first what goes, then what comes or is replaced.
    KeepSubscriptions { client: Arc<str>, remove: Vec<Arc<str>>, add: Vec<KeptSubscription> },
    /// Forget a kept MQTT session of a user; `ended_ms`: only when it ended then and nobody has come back to it.
    ForgetSession { uid: Uid, client: Arc<str>, ended_ms: Option<u64> },
    /// Make an account.
    AddUser { uid: Uid, name: Option<String>, role: UserRole, credentials: Option<Credentials> },
    /// Change a password; older tokens and sessions end.
    SetPassword { uid: Uid, credentials: Credentials },
    /// Change what one says about oneself.
    UpdateProfile { name: Option<String>, about: Option<Arc<str>> },
    /// Erase an account and what it said: a bounded step each time, until it is done. The state keeps where it goes on.
    Erase { uid: Uid },
    /// Keep a token.
    IssueToken { uid: Uid, hash: TokenHash, expires_ms: u64 },
    /// Forget a token.
    RevokeToken { hash: TokenHash },
    /// Make a conference.
    AddConference { id: ConferenceId, title: String, sign_in: SignIn, epoch: u64 },
    /// Change a conference's settings; `epoch` after a restore.
    SetConference { title: Option<String>, sign_in: Option<SignIn>, epoch: Option<u64> },
    /// Forget a conference. Its records are removed in bounded steps.
    RemoveConference,
    /// Forget idempotency keys and tokens that have expired: a bounded step, from this key on.
    Sweep { from: Vec<u8> },
    /// Block somebody, or take that back.
    Block { user: Uid, on: bool },
    /// Keep an item of the asker's, in the place of what has its id; the oldest go that its node has no room for. A node that is not there yet
    /// is made with `settings`; one that is there must have what is `demanded`.
    KeepItem { node: Arc<str>, id: Arc<str>, payload: Arc<str>, settings: NodeSettings, demanded: Demanded },
    /// Make a node of the asker's, or give it other settings.
    SetNode { node: Arc<str>, settings: NodeSettings },
    /// Let a kept item go.
    DropItem { node: Arc<str>, id: Arc<str> },
    /// Let all items of a node go, and the node itself unless it is kept: a bounded step each time.
    DropNode { node: Arc<str>, keep: bool },
    /// Publish on an application's topic, and store it with the topic.
    Store(Arc<Publication>),
    /// Make an account for somebody of an identity provider; when they have one already, only give it the role, unless a token newer
    /// than `issued_ms` has given one. A role that falls signs the account out everywhere.
    AddSubject { subject: SubjectHash, uid: Uid, name: Option<String>, role: Option<UserRole>, issued_ms: u64 },
    /// Make an account by an invitation, which counts it.
    Register { uid: Uid, name: Option<String>, credentials: Box<Credentials>, invite: InviteHash },
    /// Make an invitation. Expired ones are forgotten on the way.
    AddInvite { code: InviteHash, invite: Invite },
    /// Take an invitation back.
    RemoveInvite { code: InviteHash },
    /// Keep a file of the asker's, whose bytes are durable.
    KeepFile { id: FileId, file: NewFile },
    /// Let go of files that no message has had since then: a bounded step each time.
    CollectFiles { before_ms: u64 },
    /// Push the asker there when they are away.
    RegisterTarget { target: Box<Target> },
    /// Push nothing there any more; `since_ms`: only what was registered then (a gateway said that the target is gone).
    ForgetTarget { uid: Uid, target: TargetId, since_ms: Option<u64> },
    /// Say what of everything the asker wants to be pushed.
    SetPush { settings: PushSettings },
    /// Say what of a conversation the asker wants to be pushed.
    SetAttention { conversation: ConversationId, attention: Attention },
    /// The push worker's: how far it is, rows that are done, by when they were due, and rows that are to be tried at a time.
    PushProgress { cursor: Option<PushCursor>, done: Vec<(u64, PushRow)>, due: Vec<(u64, PushRow)>, dead: Vec<PushRow> },
    /// Try dead letters again, all or those of these numbers: a bounded step each time.
    ReplayPushes { letters: Option<Vec<u64>> },
    /// Give somebody a badge.
    AssignBadge { badge: GivenBadge, user: Uid },
    /// Make a badge worth nothing, or take that back: whatever of these its bearer has, of whom the first is.
    RevokeBadge { codes: Vec<BadgeCode>, on: bool },
    /// Say what a reader scans for; `None`: it is none any more.
    SetReader { reader: Uid, settings: Option<Box<ReaderSettings>> },
    /// Badges were held to the reader that asks, or scanned by the person who asks, for what `mode` says or else their settings. Taps that have
    /// neither an id nor a time of their own are told from repetitions by the packet that they came in.
    Scan { mode: Option<Mode>, conversation: Option<ConversationId>, taps: Vec<Tap>, raw: Option<Arc<Publication>>, packet: Reuse },
    /// Ask somebody to become acquainted, or answer.
    Contact { user: Uid, deed: ContactDeed },
    /// Write something to a lead of the asker's, or of `owner` when the asker scans for them.
    NoteLead { owner: Option<Uid>, user: Uid, notes: LeadNotes },
    /// Let a lead go: its owner's, or (the attendee) withdrawn from `owner`.
    DropLead { owner: Uid, user: Uid },
    /// Take a check-in back.
    UndoCheckin { user: Uid },
    /// Make an attendee of the ticket shop's, or bring what is known of them up to date; `takes_account`: of an account that is there already, too.
    ImportAttendee { uid: Uid, name: String, attendee: Box<Attendee>, badges: Vec<GivenBadge>, takes_account: bool },
}

impl Action {
    /// Whether somebody does it, and is there: not what a client does by itself when it comes or goes.
    #[must_use]
    pub fn is_deed(&self) -> bool {
        !matches!(
            self,
            Self::KeepSession { .. }
                | Self::KeepSubscriptions { .. }
                | Self::ForgetSession { .. }
                | Self::RegisterTarget { .. }
                | Self::ForgetTarget { .. }
                | Self::Publish(..)
                | Self::Store(..)
        )
    }
}

/// A command, as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// The conference it concerns (for [`Action::AddConference`], any).
    pub conf: ConfNo,
    /// Who asks.
    pub actor: Actor,
    /// When it was taken into the log, Unix ms; stamped by the log thread.
    pub at_ms: u64,
    /// What.
    pub action: Action,
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// An event was added, or was there already.
    Added {
        /// The conversation it is in.
        conversation: ConversationId,
        /// Its seq.
        seq: u64,
        /// Its pos.
        pos: u64,
        /// Its time, Unix ms.
        ts_ms: u64,
        /// False when a retry found it, or the conversation was there already.
        fresh: bool,
    },
    /// A read marker is here now.
    Read {
        /// Up to this seq.
        seq: u64,
        /// Messages after it, those of the asker's own included.
        unread: u64,
    },
    /// A conference was made, or was there already.
    Conference(ConfNo),
    /// Goes on: call again with this key.
    Continue(Vec<u8>),
    /// Done, nothing to tell.
    Done,
    /// What scans came to, one for each tap.
    Scanned(Vec<Scanned>),
    /// What an import did.
    Imported {
        /// Whose account it is.
        uid: Uid,
        /// What was done.
        change: Imported,
    },
    /// So many dead letters are tried again; whether that was a step of more.
    Replayed(u32, bool),
}
