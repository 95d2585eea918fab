//! What the push worker and those who deliver say to each other. Gateways live where other systems are joined; the binary hands them over.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::ids::{ConferenceId, ConversationId, Uid};
use crate::model::{Kind, Provider, Target, TargetId};
use crate::reject::Reject;

/// Where a message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Where {
    /// The conversation.
    pub conversation: ConversationId,
    /// The message's number there.
    pub seq: u64,
    /// Its public id.
    pub id: Arc<str>,
}

/// What somebody who is away is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// The conference.
    pub conference: ConferenceId,
    /// Who is told.
    pub user: Uid,
    /// Where the message is; `None` when that tells who wrote it and the user wants no content: those who deliver can read it.
    pub at: Option<Where>,
    /// The conversation's kind.
    pub kind: Kind,
    /// The author's uid; empty when the user wants no content.
    pub from: Arc<str>,
    /// What the push is headed with: the author's name, in a channel or group with the conversation's title; a general word without content.
    pub title: Arc<str>,
    /// The text, cut to what fits; a general sentence without content.
    pub text: Arc<str>,
    /// Messages of the conversation that the user has not read.
    pub unread: u64,
    /// The same in all conversations: the number on the app's icon.
    pub badge: u64,
    /// One for all pushes of the conversation to this user: a later one replaces an earlier one. 32 characters of base64url at most (RFC 8030 §5.4).
    pub collapse: Arc<str>,
    /// The user is named in it.
    pub mentions: bool,
    /// The message's time, Unix ms.
    pub ts_ms: u64,
    /// How long it is of use.
    pub time_to_live: Duration,
}

impl Push {
    /// Whether a device that saves its battery is to be woken for it (RFC 8030 §5.3): for what is to its owner alone.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        self.mentions || self.kind == Kind::Direct
    }
}

/// What became of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// The provider has it.
    Accepted,
    /// There is no such device any more: the target is to be forgotten.
    Gone,
    /// It will never be taken (a bad request, wrong credentials): for people to look at.
    Refused(String),
    /// Not now: again after this time, or after a time that grows.
    Later {
        /// What the provider asked for (`Retry-After`).
        after: Option<Duration>,
        /// Why.
        why: String,
    },
    /// Too many of this one's: as `Later`, but whoever answers for the provider is well, and others need not wait.
    Throttled {
        /// What the provider asked for (`Retry-After`).
        after: Option<Duration>,
        /// Why.
        why: String,
    },
}

/// A target that its provider found gone after it had taken pushes for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departed {
    /// The conference.
    pub conference: ConferenceId,
    /// Whose it is.
    pub user: Uid,
    /// Which.
    pub target: TargetId,
    /// When it was registered: one that was registered again since is another.
    pub since_ms: u64,
}

/// A gateway's answer, when it comes.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Sent> + Send + 'a>>;

/// Who delivers for one provider.
pub trait Gateway: Send + Sync {
    /// For which.
    fn provider(&self) -> Provider;

    /// Whether a target could be delivered to: looked at before it is registered. Never goes out.
    ///
    /// # Errors
    /// What is wrong with it.
    fn check(&self, target: &Target) -> Result<(), Reject>;

    /// Delivers. Bounded in time by itself; dropping it gives up.
    fn send<'a>(&'a self, target: &'a Target, push: &'a Push) -> Sending<'a>;

    /// Targets that were found gone only later, since this was asked last. Asked once in a second, on the runtime on which pushes are sent; never waits.
    fn departed(&self) -> Vec<Departed> {
        Vec::new()
    }

    /// What clients need to know to register, Web Push's public key for example; empty when nothing.
    fn public_key(&self) -> String {
        String::new()
    }
}
