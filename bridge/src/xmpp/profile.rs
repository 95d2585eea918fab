//! What people keep on the server, and show of themselves: requests to an account, answered from the hub. Each file is a noun: [`vcard`] and
//! [`avatar`], [`pep`] (nodes with items), [`bookmarks`] and [`private`] storage, and [`blocking`]. No IO but calls of the hub.
//!
//! What the hub knows is told from the hub: a vCard's FN and NICKNAME are the display name and its DESC what somebody says of themselves, whatever
//! was set; the avatar is one, in vCards and in PEP. Whatever else comes is kept as it is, as items of the owner.

pub mod avatar;
pub mod blocking;
pub mod bookmarks;
pub mod ns;
pub mod pep;
pub mod private;
pub mod vcard;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;

use hallway_broker::command::{Action, Actor, Demanded, Outcome};
use hallway_broker::hub::{Hub, Reader};
use hallway_broker::ids::{ConfNo, Uid};
use hallway_broker::model::{Access, NodeSettings, User};
use hallway_broker::reject::{Reason, Reject};
use hallway_broker::session::{Session, Who, blocking as on_a_thread};
use minidom::Element;

use super::disco;
use super::names::Names;
use super::stanza::{Condition, StanzaError};
use super::write::Writer;

/// Nodes whose names begin so are ours and no client's.
const OURS: char = '~';

/// Who asks, and whom to ask.
pub struct Asking<'a> {
    /// The hub.
    pub hub: &'a Hub,
    /// Who asks.
    pub who: &'a Who,
    /// The same as commands have it.
    pub actor: Actor,
    /// The conference's names.
    pub names: &'a Names,
}

/// An answer: what is in the result, and whom else to tell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answered {
    /// The result's element; may be empty.
    pub payload: Vec<u8>,
    /// To be told, in this order.
    pub pushes: Vec<Push>,
}

/// What others are to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Push {
    /// Of a node (XEP-0163 §4.3): for those sessions whose capabilities have the node's name and `+notify`, the owner's own (the asking one, too) and, unless
    /// the access is private, those of people who see the owner's presence.
    Event {
        /// The node.
        node: String,
        /// Who may read it.
        access: Access,
        /// `<event/>`.
        payload: Vec<u8>,
    },
    /// Of the block list (XEP-0191 §3.3): for those of the owner's sessions that asked for the list, the asking one, too.
    Blocklist {
        /// Who is blocked or unblocked now; none: all are unblocked.
        users: Vec<Uid>,
        /// Blocked or unblocked.
        on: bool,
        /// `<block/>` or `<unblock/>`.
        payload: Vec<u8>,
    },
}

impl Push {
    /// The element that is told.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        match self {
            Self::Event { payload, .. } | Self::Blocklist { payload, .. } => payload,
        }
    }

    /// Appends the stanza that tells it: from the owner's bare JID, to a session or bare JID, with an id of the caller's (an answer to a block list's push
    /// carries it).
    pub fn write(&self, from: &str, to: &str, id: &str, out: &mut Vec<u8>) {
        let (kind, of_type, payload) = match self {
            // XEP-0163 §4.3: of type headline, so that it is not kept for later
            Self::Event { payload, .. } => ("message", "headline", payload),
            Self::Blocklist { payload, .. } => ("iq", "set", payload),
        };
        let mut xml = Writer::new(out);
        xml.open(kind, super::stanza::ns::CLIENT).attr("from", from).attr("to", to).attr("id", id).attr("type", of_type);
        xml.inside().written(payload).close(kind);
    }
}

impl From<Vec<u8>> for Answered {
    fn from(payload: Vec<u8>) -> Self {
        Self { payload, pushes: Vec::new() }
    }
}

/// What comes of a request.
pub type Answer = Result<Answered, StanzaError>;

/// A refusal that the hub knows nothing of.
fn refused(condition: Condition, text: impl Into<Cow<'static, str>>) -> StanzaError {
    StanzaError { condition, text: text.into() }
}

/// A refusal of the hub's.
fn rejected(reject: impl Into<Reject>) -> StanzaError {
    StanzaError::from(&reject.into())
}

impl<'a> Asking<'a> {
    /// A session asks.
    #[must_use]
    pub fn of(session: &'a Session, names: &'a Names) -> Self {
        Self { hub: &session.shard.hub, who: &session.who, actor: session.actor(), names }
    }

    fn me(&self) -> &Uid {
        &self.who.uid
    }

    /// Carries an action out, to its end.
    async fn call(&self, action: Action) -> Result<Outcome, StanzaError> {
        self.hub.call_to_end(self.who.conf, self.actor.clone(), action).await.map_err(rejected)
    }

    /// Reads, away from the connections' thread.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader, ConfNo) -> Result<T, Reject> + Send + 'static,
    ) -> Result<T, StanzaError> {
        let (reader, conf) = (self.hub.reader().clone(), self.who.conf);
        on_a_thread(move || read(&reader, conf)).await.map_err(rejected)
    }

    /// Keeps an item of the asker's, in a node that is made with the settings if there is none.
    async fn keep(
        &self,
        node: &str,
        id: &str,
        payload: impl Into<Arc<str>>,
        settings: NodeSettings,
        demanded: Demanded,
    ) -> Result<(), StanzaError> {
        let action = Action::KeepItem { node: node.into(), id: id.into(), payload: payload.into(), settings, demanded };
        self.call(action).await.map(drop)
    }

    /// Refuses what only the owner may do.
    fn check_owner(&self, owner: &Uid) -> Result<(), StanzaError> {
        if self.me() == owner { Ok(()) } else { Err(refused(Condition::Forbidden, "only the owner may do this")) }
    }

    /// Refuses those who are nobody's business: not there, or one of the two has blocked the other.
    fn check_other(&self, owner: &Uid) -> Result<(), StanzaError> {
        if self.me() == owner {
            return Ok(());
        }
        self.user(owner)?.ok_or(Reason::UnknownUser).map_err(rejected)?;
        let block = self.hub.reader().block_between(self.who.conf, self.me(), owner).map_err(rejected)?;
        block.map_or(Ok(()), |reason| Err(rejected(reason)))
    }

    /// An account that is not erased.
    fn user(&self, uid: &Uid) -> Result<Option<User>, StanzaError> {
        self.hub.reader().user(self.who.conf, uid).map_err(rejected)
    }
}

/// Answers a request to `owner`'s account (for one without `to`, the asker's), a set or a get, from its element. `None`: it is of another kind.
pub async fn answer(asking: &Asking<'_>, owner: &Uid, is_set: bool, payload: &Element) -> Option<Answer> {
    let namespace = payload.ns();
    let kind = (payload.name(), namespace.as_str());
    let is_ours = match kind {
        ("vCard", ns::VCARD) | ("pubsub", ns::PUBSUB | ns::OWNER) | ("query", ns::PRIVATE) => true,
        ("blocklist" | "block" | "unblock", ns::BLOCKING) => true,
        ("query", disco::ITEMS) => !is_set,
        ("query", disco::INFO) => !is_set && pep::has_node(asking, owner, payload.attr("node")),
        _ => false,
    };
    if !is_ours {
        return None;
    }
    if let Err(error) = asking.check_other(owner) {
        return Some(Err(error));
    }
    Some(match kind {
        ("vCard", _) if is_set => vcard::set(asking, owner, payload).await,
        ("vCard", _) => vcard::get(asking, owner).await,
        ("pubsub", ns::OWNER) => pep::owner::answer(asking, owner, is_set, payload).await,
        ("pubsub", _) => pep::answer(asking, owner, is_set, payload).await,
        (_, ns::PRIVATE) => private::answer(asking, owner, is_set, payload).await,
        (_, ns::BLOCKING) => blocking::answer(asking, owner, is_set, payload).await,
        (_, disco::ITEMS) => pep::disco::items(asking, owner, payload.attr("node")).await,
        _ => pep::disco::info(payload.attr("node")),
    })
}

/// An element as text, as it is kept.
pub(super) fn as_text(element: &Element) -> String {
    let mut out = Vec::new();
    Writer::new(&mut out).element(element, None);
    // What it is made of was UTF-8.
    String::from_utf8(out).unwrap_or_default()
}

/// An element that was kept.
pub(super) fn as_element(text: &str) -> Option<Element> {
    Element::from_reader(text.as_bytes()).ok()
}
