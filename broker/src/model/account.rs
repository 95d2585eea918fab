//! Accounts: who somebody is in a conference, and what they show.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{ConfNo, Uid};

/// A user's role in the conference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum UserRole {
    /// Takes part.
    Attendee,
    /// Posts announcements, moderates everywhere.
    Staff,
    /// Staff who also manages the conference.
    Organiser,
    /// A badge reader or other thing.
    Device,
    /// A program acting for the organisers.
    Service,
    /// Somebody of another server, who takes part as attendees do and is signed in there: nobody signs in as them here.
    Remote,
}

impl UserRole {
    /// The word in results and on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Attendee => "attendee",
            Self::Staff => "staff",
            Self::Organiser => "organiser",
            Self::Device => "device",
            Self::Service => "service",
            Self::Remote => "remote",
        }
    }

    /// The role named by `word`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        let all = [Self::Attendee, Self::Staff, Self::Organiser, Self::Device, Self::Service, Self::Remote];
        all.into_iter().find(|role| role.word() == word)
    }

    /// Whether the role moderates every conversation and posts announcements.
    #[must_use]
    pub fn is_staff(self) -> bool {
        matches!(self, Self::Staff | Self::Organiser)
    }

    /// Whether they take part in conversations, see who is there and look people up. A badge reader only scans.
    #[must_use]
    pub fn takes_part(self) -> bool {
        self != Self::Device
    }

    /// Whether they are somebody who can be met and have a ticket: no badge reader, and no service.
    #[must_use]
    pub fn is_person(self) -> bool {
        !matches!(self, Self::Device | Self::Service)
    }

    /// Whether it may all that `other` may, and more.
    #[must_use]
    pub fn is_above(self, other: Self) -> bool {
        match self {
            Self::Organiser => other != Self::Organiser,
            Self::Staff => !other.is_staff(),
            _ => false,
        }
    }
}

/// How people get accounts in a conference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignIn {
    /// Anybody makes their own.
    Open,
    /// With an invitation.
    Invite,
    /// Made by organisers, with a password.
    Password,
    /// By tokens of the organiser's own identity provider.
    Token,
}

impl SignIn {
    /// The word in the configuration.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Invite => "invite",
            Self::Password => "password",
            Self::Token => "token",
        }
    }
}

/// A password as SCRAM keeps it (RFC 5802 §3): enough to check, not to impersonate.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScramKeys {
    /// Random, 16 bytes.
    pub salt: Vec<u8>,
    /// PBKDF2 rounds.
    pub iterations: u32,
    /// H(ClientKey).
    pub stored_key: Vec<u8>,
    /// HMAC(SaltedPassword, "Server Key").
    pub server_key: Vec<u8>,
}

impl std::fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ScramKeys(…)")
    }
}

/// A user's password in both SCRAM forms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// For SCRAM-SHA-1.
    pub sha1: ScramKeys,
    /// For SCRAM-SHA-256, and for checking plain passwords.
    pub sha256: ScramKeys,
}

/// Record: an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Display name, unique in the conference.
    pub name: Arc<str>,
    /// Role in the conference.
    pub role: UserRole,
    /// About themselves.
    pub about: Arc<str>,
    /// None: cannot sign in by password.
    pub credentials: Option<Credentials>,
    /// Grows when the password changes or all tokens are revoked; older tokens and sessions end.
    pub version: u32,
    /// Erased: the uid stays taken, the name is free again, nothing else is left.
    pub erased: bool,
}

/// Record: a bearer token, found by its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The conference.
    pub conf: ConfNo,
    /// Whose.
    pub uid: Uid,
    /// Unix ms.
    pub expires_ms: u64,
    /// The account's version when it was made.
    pub version: u32,
}

impl Token {
    /// Whether it signs nobody in any more.
    #[must_use]
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_ms <= now_ms
    }
}

/// The first 16 bytes of a token's SHA-256.
pub type TokenHash = [u8; 16];

/// Record: who somebody of an identity provider is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Their account.
    pub uid: Uid,
    /// When the newest token was made that said their role, Unix ms: what older ones say of it is no longer so. 0 before one did.
    pub role_issued_ms: u64,
}

/// The SHA-256 of who somebody is at an identity provider.
pub type SubjectHash = [u8; 32];

/// The first 16 bytes of the SHA-256 of an invitation's code.
pub type InviteHash = [u8; 16];

/// Record: an invitation to make an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    /// Accounts that may be made with it; 0 for any number.
    pub uses: u32,
    /// Accounts that were made with it.
    pub used: u32,
    /// Unix ms.
    pub expires_ms: u64,
    /// The role that such accounts have.
    pub role: UserRole,
}

impl Invite {
    /// Whether an account may be made with it now.
    #[must_use]
    pub fn is_good(&self, now_ms: u64) -> bool {
        self.expires_ms > now_ms && (self.uses == 0 || self.used < self.uses)
    }
}
