//! Why the hub refuses: one closed list that every edge maps to its own protocol's error.

/// The class of a refusal; edges map it to their code (JSON-RPC number, MQTT reason code, stanza error).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Who is asking is not known, or no longer.
    Unauthorized,
    /// Known, but may not.
    Forbidden,
    /// There is no such thing, or it is not for the asker to know.
    NotFound,
    /// It contradicts what is there.
    Conflict,
    /// Over a bound.
    TooLarge,
    /// Too often, or too many.
    RateLimited,
    /// Not now; the same request may succeed later.
    Unavailable,
    /// The request itself is wrong.
    Invalid,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident: $class:ident $word:literal $text:literal,)*) => {
        /// The stable word of a refusal.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason {
            $(#[doc = $text] $name,)*
        }
        impl Reason {
            /// The class that the edges map to codes.
            #[must_use]
            pub fn class(self) -> Class {
                match self { $(Self::$name => Class::$class,)* }
            }
            /// The word that clients match on; never changes.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
            /// A sentence for people.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

reasons! {
    NoSession: Unauthorized "no_session" "sign in first",
    BadToken: Unauthorized "bad_token" "the token is not known",
    TokenExpired: Unauthorized "token_expired" "the token has expired: sign in again",
    BadTicket: Unauthorized "bad_ticket" "the ticket is not known, was used or has expired: take a new one",
    BadCredentials: Unauthorized "bad_credentials" "user or password is wrong",
    SessionEnded: Unauthorized "session_ended" "the session has ended: the account is gone or signed out",
    NotAMember: Forbidden "not_a_member" "only members may do this",
    Banned: Forbidden "banned" "banned from the conversation",
    StaffOnly: Forbidden "staff_only" "only staff may do this",
    NotAuthor: Forbidden "not_author" "only the author may edit a message",
    NotModerator: Forbidden "not_moderator" "only moderators may do this",
    Blocked: Forbidden "blocked" "this person has blocked you",
    Blocking: Forbidden "blocking" "you have blocked this person: unblock them first",
    SignInClosed: Forbidden "sign_in_closed" "accounts are made by the organisers here",
    BadInvite: Forbidden "bad_invite" "an invitation is needed that is neither used up nor expired",
    PlaintextLogin: Forbidden "plaintext_login" "sign in over TLS",
    NotAllowed: Forbidden "not_allowed" "this is not allowed here",
    PrivateUrl: Forbidden "private_url" "a URL of a push target must be https and lead to a public address",
    NoGateway: Forbidden "no_gateway" "this server delivers nothing over this push provider",
    AllowanceUnknown: Forbidden "allowance_unknown" "whoever decides about this topic does not answer: try again later",
    UnknownConversation: NotFound "unknown_conversation" "there is no such conversation",
    UnknownConference: NotFound "unknown_conference" "there is no such conference",
    UnknownUser: NotFound "unknown_user" "there is no such user",
    UnknownMessage: NotFound "unknown_message" "there is no message with this seq",
    UnknownItem: NotFound "unknown_item" "there is no such item",
    UnknownTarget: NotFound "unknown_target" "there is no such push target",
    UnknownFile: NotFound "unknown_file" "there is no such file here: bring it by POST /files",
    UnknownBadge: NotFound "unknown_badge" "nobody has this badge",
    UnknownReader: NotFound "unknown_reader" "nothing was said of what this reader scans for",
    UnknownLead: NotFound "unknown_lead" "there is no such lead",
    UnknownSession: NotFound "unknown_session" "there is no such session",
    IdReused: Conflict "id_reused" "this id was used for another message: take a new one",
    Taken: Conflict "taken" "this is somebody else's already",
    Reserved: Conflict "reserved" "the name is reserved",
    Deleted: Conflict "deleted" "the message was deleted",
    AlreadySignedIn: Conflict "already_signed_in" "this connection has a session already",
    Resync: Conflict "resync" "the cursor is of another epoch: read the history anew",
    FollowsAll: Conflict "follows_all" "this session follows everything: read the history for what was missed",
    NotReacted: Conflict "not_reacted" "there is no such reaction to take back",
    LastOwner: Conflict "last_owner" "the last owner cannot leave or be demoted: name another first",
    NotAsked: Conflict "not_asked" "this person has not asked",
    OtherSettings: Conflict "other_settings" "the node has other settings",
    OwnRole: Conflict "own_role" "nobody invites, removes or promotes themselves",
    TextTooLarge: TooLarge "text_too_large" "the text is over limits.text_bytes",
    TooManySubscriptions: TooLarge "too_many_subscriptions" "over limits.subscriptions_per_session",
    TooManyMembers: TooLarge "too_many_members" "over the bound of members in one request",
    TooManyEdits: TooLarge "too_many_edits" "the message was edited too often",
    TooManyBlocked: TooLarge "too_many_blocked" "over the bound of blocked people",
    TooManyBadges: TooLarge "too_many_badges" "over the bound of badges of one person",
    TooManyItems: TooLarge "too_many_items" "over the bound of kept items, nodes or bytes: remove some first",
    TooManyReactions: TooLarge "too_many_reactions" "the message has too many kinds of reactions",
    FilesFull: TooLarge "files_full" "over limits.files_bytes_per_user or limits.files_bytes_per_conference: delete messages with files first",
    TooLarge: TooLarge "too_large" "over a bound of this server",
    MessageRate: RateLimited "message_rate" "too many messages: wait a little",
    LoginRate: RateLimited "login_rate" "too many failed logins from this address: wait a little",
    TooManySessions: RateLimited "too_many_sessions" "over limits.sessions_per_user: close another session first",
    TooManyUploads: RateLimited "too_many_uploads" "over limits.uploads_per_user: wait until another is done",
    Quota: RateLimited "quota" "over the quota of this conference",
    DiskFull: Unavailable "disk_full" "the server's disk is full: try again later",
    StoreError: Unavailable "store_error" "the server cannot store now: try again later",
    Draining: Unavailable "draining" "the server is stopping: connect again",
    ProviderUnavailable: Unavailable "provider_unavailable" "the keys of the identity provider cannot be had: try again later",
    Busy: Unavailable "busy" "the server is busy: try again",
    InvalidParams: Invalid "invalid_params" "wrong or missing parameters",
    BadTarget: Invalid "bad_target" "the address or keys are not ones that can be pushed to",
    BrokenMedia: Invalid "broken_media" "it begins like an image or a film and is not whole",
    NotStrippable: Invalid "not_strippable" "images of this format tell where they were taken: make it a JPEG, PNG or WebP first",
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .reason.text())]
pub struct Reject {
    /// The stable word.
    pub reason: Reason,
    /// When trying again may help, in ms from now.
    pub retry_after_ms: Option<u64>,
}

impl From<Reason> for Reject {
    fn from(reason: Reason) -> Self {
        Self { reason, retry_after_ms: None }
    }
}

impl From<crate::state::StateError> for Reject {
    fn from(error: crate::state::StateError) -> Self {
        match error {
            crate::state::StateError::Full(_) => Reason::DiskFull.into(),
            _ => Reason::StoreError.into(),
        }
    }
}
