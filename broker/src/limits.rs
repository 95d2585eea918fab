//! Every bound of the hub: its name with its unit, and its default. The configuration's `[limits]` section is this struct.

use serde::{Deserialize, Serialize};

/// What a session does that comes when its user has `sessions_per_user` already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionPolicy {
    /// It is refused.
    Refuse,
    /// The user's oldest session is closed.
    CloseOldest,
}

/// Bounds that the configuration can change; 0 switches a rate or quota off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Live sessions of one user, over all protocols.
    pub sessions_per_user: u32,
    /// What happens to one more.
    pub session_policy: SessionPolicy,
    /// Connections of one address that have not signed in yet.
    pub unauthenticated_per_address: u32,
    /// Failed logins of one address in a minute.
    pub failed_logins_per_minute_per_address: u32,
    /// Accounts made from one address in a minute.
    pub registrations_per_minute_per_address: u32,
    /// Accounts of one conference.
    pub users_per_conference: u32,
    /// Messages of one session in a second, in the long run.
    pub messages_per_second: u32,
    /// Messages that a session may send at once before that rate holds.
    pub message_burst: u32,
    /// Longest text in bytes of UTF-8.
    pub text_bytes: usize,
    /// Longest frame, packet or request body in bytes.
    pub frame_bytes: usize,
    /// Longest file that is attached, in bytes.
    pub file_bytes: u64,
    /// Bytes of all files of one user; 0 for any number.
    pub files_bytes_per_user: u64,
    /// Bytes of all files of one conference; 0 for any number.
    pub files_bytes_per_conference: u64,
    /// Files that one user brings at the same time.
    pub uploads_per_user: u32,
    /// Conversations and topics that one session follows.
    pub subscriptions_per_session: usize,
    /// Requests of one session that wait for their answer.
    pub requests_per_session: usize,
    /// Bytes of answers waiting for one session; beyond it its socket is not read.
    pub answers_bytes: usize,
    /// Events waiting for one session; beyond it the session lags.
    pub outbox_events: usize,
    /// Bytes of events waiting for one session.
    pub outbox_bytes: usize,
    /// Bytes of events waiting for all sessions.
    pub outboxes_bytes: usize,
    /// Free bytes of disk below which nothing is stored any more, and with less than twice as many no files; 10 % of a disk under ten times that.
    pub disk_reserve_bytes: u64,
    /// Hours until a token expires.
    pub token_hours: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions_per_user: 8,
            session_policy: SessionPolicy::Refuse,
            unauthenticated_per_address: 500,
            failed_logins_per_minute_per_address: 60,
            registrations_per_minute_per_address: 600,
            users_per_conference: 100_000,
            messages_per_second: 100,
            message_burst: 1000,
            text_bytes: 65_536,
            frame_bytes: 1_000_000,
            file_bytes: 10 << 20,
            files_bytes_per_user: 100 << 20,
            files_bytes_per_conference: 10 << 30,
            uploads_per_user: 4,
            subscriptions_per_session: 1000,
            requests_per_session: 256,
            answers_bytes: 1_048_576,
            outbox_events: 1024,
            outbox_bytes: 262_144,
            outboxes_bytes: 268_435_456,
            disk_reserve_bytes: 104_857_600,
            token_hours: 24 * 30,
        }
    }
}

/// Longest display name, in bytes.
pub const MAX_NAME_BYTES: usize = 128;
/// Longest title of a conversation or conference, in bytes.
pub const MAX_TITLE_BYTES: usize = 256;
/// Longest client id, in bytes.
pub const MAX_CLIENT_ID_BYTES: usize = 128;
/// Most people named in a message.
pub const MAX_MENTIONS: usize = 50;
/// Most attachments of a message.
pub const MAX_ATTACHMENTS: usize = 10;
/// Longest attachment URL, in bytes.
pub const MAX_ATTACHMENT_BYTES: usize = 2048;
/// Most files of one user.
pub const MAX_FILES: u32 = 10_000;
/// How long a file is kept that no message has, in ms.
pub const UNUSED_FILE_MS: u64 = 24 * 3600 * 1000;
/// Longest emoji, in bytes.
pub const MAX_EMOJI_BYTES: usize = 32;
/// Longest text about oneself or one's presence, in bytes.
pub const MAX_ABOUT_BYTES: usize = 1000;
/// Most members named when a conversation is made.
pub const MAX_FIRST_MEMBERS: usize = 500;
/// Most events in one answer.
pub const MAX_PAGE: usize = 500;
/// Most edits of one message.
pub const MAX_EDITS: usize = 100;
/// Most kinds of reactions to one message.
pub const MAX_REACTIONS: usize = 64;
/// How long a client id is remembered, in ms.
pub const IDEMPOTENCY_MS: u64 = 7 * 24 * 3600 * 1000;
/// Topics of one conference that may have a retained publication.
pub const MAX_RETAINED: u32 = 1_000_000;
/// Publications on applications' topics that are kept for sessions to come back to, of one conference.
pub const KEPT_PUBLICATIONS: u64 = 100_000;
/// Messages that are stored with one topic: with one more the oldest goes.
pub const MAX_STORED_MESSAGES: u32 = 500;
/// Their bytes.
pub const MAX_STORED_BYTES: u64 = 512 << 10;
/// Longest of them, in bytes.
pub const MAX_STORED_MESSAGE_BYTES: u64 = 64 << 10;
/// Topics of one conference that have stored messages: with one more the one goes that was stored on least recently.
pub const MAX_STORED_TOPICS: u32 = 100_000;
/// Bytes of all of these; as with the topics.
pub const MAX_STORED_BYTES_PER_CONFERENCE: u64 = 1 << 30;
/// Topics that one attendee has messages stored on; the organiser's staff, devices and services have no such bound.
pub const MAX_STORED_TOPICS_PER_USER: u32 = 1000;
/// Bytes that one attendee has stored.
pub const MAX_STORED_BYTES_PER_USER: u64 = 16 << 20;
/// Topics whose messages one command drops at most, so that others fit in.
pub const MAX_DROPPED_TOPICS: usize = 32;
/// Most MQTT sessions of one user that outlive their connections.
pub const MAX_KEPT_SESSIONS: usize = 64;
/// Most records that one command of housekeeping or erasure looks at.
pub const MAX_STEP: usize = 256;
/// Most people that one user blocks.
pub const MAX_BLOCKED: u32 = 1000;
/// Most kept items of one user.
pub const MAX_ITEMS: u32 = 1000;
/// Most nodes of one user that items are kept in.
pub const MAX_NODES: u32 = 256;
/// Longest name of such a node, in bytes; it is in keys.
pub const MAX_NODE_BYTES: usize = 128;
/// Longest id of a kept item, in bytes; it is in keys.
pub const MAX_ITEM_ID_BYTES: usize = 160;
/// Longest kept item, in bytes.
pub const MAX_ITEM_BYTES: usize = 192 << 10;
/// Bytes of all kept items of one user, ids included.
pub const MAX_ITEMS_BYTES: u32 = 1 << 20;
/// Most invitations of one conference that have not expired.
pub const MAX_INVITES: usize = 1000;
/// Most tokens of one account.
pub const MAX_TOKENS: usize = 64;
/// Badges of one user.
pub const MAX_BADGES: u32 = 16;
/// Taps in one message of a reader.
pub const MAX_TAPS: usize = 100;
/// Codes that one tap may mean.
pub const MAX_TAP_CODES: usize = 16;
/// Longest text of what a reader read, or says of itself, and longest id that it gives a tap, in bytes.
pub const MAX_SHOWN_BYTES: usize = 4096;
/// How far back a reader's own time counts, in ms.
pub const TAP_PAST_MS: u64 = 7 * 24 * 3600 * 1000;
/// How far ahead a reader's own time counts, in ms.
pub const TAP_FUTURE_MS: u64 = 5 * 60 * 1000;
/// Between the taps of two people who meet, in ms.
pub const MEET_WINDOW_MS: u64 = 10_000;
/// How long the result of a scan is of use to its reader, in ms.
pub const RESULT_USE_MS: u64 = 10 * 60 * 1000;
/// Longest text that a reader announces, name of a format and each of an attendee's particulars, in bytes.
pub const MAX_PARTICULAR_BYTES: usize = 1024;
/// Longest note to a lead, in bytes.
pub const MAX_LEAD_NOTE_BYTES: usize = 4096;
/// Tags of one lead.
pub const MAX_LEAD_TAGS: usize = 16;
/// Longest of them, in bytes.
pub const MAX_LEAD_TAG_BYTES: usize = 64;
/// Best rating of a lead.
pub const MAX_LEAD_RATING: u8 = 5;
/// Most targets of one user that they are pushed at: with one more the one goes that was registered longest ago.
pub const MAX_TARGETS: usize = 16;
/// Longest address of a target, in bytes.
pub const MAX_TARGET_BYTES: usize = 2048;
/// Longest secret of a target, in bytes.
pub const MAX_TARGET_SECRET_BYTES: usize = 256;
/// Longest topic of a target, and name of a device, in bytes.
pub const MAX_TARGET_NAME_BYTES: usize = 256;
/// Longest options of a target, in bytes.
pub const MAX_TARGET_OPTIONS_BYTES: usize = 4096;
/// Pushes of one conference that were given up and are kept to be looked at: with one more the oldest goes.
pub const MAX_DEAD_LETTERS: usize = 1000;
/// Conversations with many members that are decided at the same time.
pub const MAX_UNDER_WAY: usize = 64;

/// The beginning of a text that has to be within so many bytes, cut between characters.
#[must_use]
pub fn beginning(text: &str, most_bytes: usize) -> &str {
    let end = (0..=most_bytes.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    &text[..end]
}
