//! What a client says: from a `<message/>` to what the hub can be asked. Who says it comes from the stream; `from`, stanza-ids, occupant
//! ids and delays in what a client sends are forged and not looked at (XEP-0359 §3, XEP-0421 §4). Payloads that are not known are passed
//! over. How long texts may be is decided where all protocols meet, in admission.

use hallway_broker::ids::{ConversationId, Uid};
use hallway_broker::limits::{MAX_CLIENT_ID_BYTES, MAX_EMOJI_BYTES, MAX_FIRST_MEMBERS, MAX_REACTIONS};
use minidom::Element;

use super::error::Condition;
use super::mention::Mention;
use super::ns;
use super::payloads::Payloads;
use super::state::ChatState;
use crate::xmpp::names::{Address, Names};

/// The stanza is not what the extension in it takes; its text is for the error's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadMessage {
    /// An element that must name a message does not.
    #[error("<{0}/> needs an id")]
    NoId(&'static str),
    /// Longer than what is kept.
    #[error("the id of <{0}/> is over {MAX_CLIENT_ID_BYTES} bytes")]
    LongId(&'static str),
    /// An element is there twice.
    #[error("more than one <{0}/>")]
    Repeated(&'static str),
    /// Two elements of which only one can be meant.
    #[error("<{0}/> and <{1}/> in one message")]
    Contradiction(&'static str, &'static str),
    /// A correction that leaves nothing (XEP-0308 §4): that would be a retraction.
    #[error("a correction needs a body")]
    EmptyCorrection,
    /// A fallback's region is not given in numbers (XEP-0428 §2.2).
    #[error("the region of a fallback is not given in numbers")]
    Region,
    /// More reactions than are kept, or longer ones (XEP-0444 §3.3).
    #[error("at most {MAX_REACTIONS} reactions of at most {MAX_EMOJI_BYTES} bytes")]
    Reactions,
    /// An invitation of nobody here, or into no room of ours.
    #[error("only people of this conference are invited, and only into its rooms")]
    Invitation,
    /// A moderator's request for something other than a retraction (XEP-0425 §3).
    #[error("moderation is retraction here")]
    Moderation,
}

impl BadMessage {
    /// The defined condition of the stanza error (RFC 6120 §8.3.3).
    #[must_use]
    pub fn condition(self) -> Condition {
        match self {
            Self::Reactions => Condition::NotAcceptable, // XEP-0444 §3.3
            Self::Invitation => Condition::ItemNotFound,
            Self::Moderation => Condition::FeatureNotImplemented,
            _ => Condition::BadRequest,
        }
    }
}

/// The type of a message (RFC 6121 §5.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageType {
    /// Between two people.
    Chat,
    /// In a room.
    Groupchat,
    /// By itself; also what has no type, or one that is not known.
    Normal,
    /// An alert.
    Headline,
    /// A stanza that came back. It is never answered (RFC 6120 §8.3.1).
    Error,
}

impl MessageType {
    fn of(message: &Element) -> Self {
        match message.attr("type") {
            Some("chat") => Self::Chat,
            Some("groupchat") => Self::Groupchat,
            Some("headline") => Self::Headline,
            Some("error") => Self::Error,
            _ => Self::Normal,
        }
    }
}

/// Which of a message's ids is used to name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IdKind {
    /// The room's stanza-id (XEP-0359), which is the event's public id.
    StanzaId,
    /// The id that its sender gave it, whoever that is.
    MessageId,
    /// The id that the speaker gave to a message of their own.
    OwnMessageId,
}

/// A message that is spoken of. Finding it is the caller's. A message whose sender gave it no id goes out under its public id, so that
/// a message id may be one of those, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The id: not empty, at most [`MAX_CLIENT_ID_BYTES`] long.
    pub id: String,
    /// Whose id it is.
    pub kind: IdKind,
}

/// A message to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Draft {
    /// The text, without what only stands in for extensions. Never empty.
    pub text: String,
    /// What it answers (XEP-0461).
    pub reply_to: Option<Target>,
    /// Who is named (XEP-0372).
    pub mentions: Vec<Mention>,
    /// URLs of attached files (XEP-0066).
    pub attachments: Vec<String>,
}

/// One thing that is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A message.
    Draft(Draft),
    /// A message of one's own has another text (XEP-0308).
    Edit {
        /// Which.
        target: Target,
        /// The text.
        text: String,
    },
    /// A message of one's own is taken back (XEP-0424).
    Retract {
        /// Which.
        target: Target,
    },
    /// A moderator takes a message back (XEP-0425).
    Moderate {
        /// Which.
        target: Target,
        /// Why, in their words.
        reason: Option<String>,
    },
    /// The speaker's reactions to a message are these, and no others any more (XEP-0444).
    React {
        /// Which.
        target: Target,
        /// All of them, each once.
        emojis: Vec<String>,
    },
    /// Everything up to a message is read (XEP-0333).
    Read {
        /// Which.
        target: Target,
    },
    /// A message has arrived (XEP-0184).
    Receipt {
        /// Which.
        target: Target,
    },
    /// The room has another subject (XEP-0045 §8.1); empty for none.
    Subject {
        /// The subject.
        text: String,
    },
    /// The room is to invite these people (XEP-0045 §7.8.2); each once.
    Invite {
        /// Who.
        users: Vec<Uid>,
        /// Why, in the speaker's words; empty for none.
        reason: String,
    },
    /// Whom the message is for is invited into a room (XEP-0249).
    InviteInto {
        /// Which.
        conversation: ConversationId,
    },
    /// The speaker types, or does not (XEP-0085). The `active` of a message comes after its draft.
    Typing {
        /// Whether they do.
        on: bool,
    },
}

/// What a client says in one stanza.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    /// The stanza's type.
    pub kind: MessageType,
    /// The stanza's `id`.
    pub id: Option<String>,
    /// XEP-0359's origin id.
    pub origin_id: Option<String>,
    /// A receipt is asked for (XEP-0184 §7).
    pub wants_receipt: bool,
    /// No copies for the sender's and receiver's other sessions (XEP-0280 §9, XEP-0334 §4.3).
    pub no_copy: bool,
    /// The chat state that the sender is in.
    pub state: Option<ChatState>,
    /// What is said, in the order in which to do it; empty when nothing here concerns the hub.
    pub said: Vec<Said>,
}

impl Incoming {
    /// The sender's id for the message: the stanza's `id`, which corrections refer to, else the origin id; empty for none.
    #[must_use]
    pub fn client_id(&self) -> &str {
        self.id.as_deref().or(self.origin_id.as_deref()).unwrap_or_default()
    }
}

/// Reads a `<message/>` that a client sent.
///
/// # Errors
/// [`BadMessage`] when an extension in it is ill-formed. Never for a stanza of the type `error`, of which nothing is read.
pub fn read_message(message: &Element, names: &Names) -> Result<Incoming, BadMessage> {
    let kind = MessageType::of(message);
    let mut incoming = Incoming { kind, id: None, origin_id: None, wants_receipt: false, no_copy: false, state: None, said: Vec::new() };
    if kind == MessageType::Error {
        incoming.id = message.attr("id").map(Into::into);
        return Ok(incoming);
    }
    let payloads = Payloads::of(message)?;
    incoming.id = message.attr("id").map(|id| bounded(id, "message")).transpose()?;
    incoming.origin_id = payloads.origin_id.map(|element| id_of(element, "origin-id")).transpose()?;
    incoming.wants_receipt = payloads.wants_receipt;
    incoming.no_copy = payloads.no_copy;
    incoming.state = payloads.state;
    incoming.said = said(&payloads, kind, names)?;
    Ok(incoming)
}

/// Reads the payload of an `<iq type="set"/>` to a room: a moderator's request (XEP-0425 §3). `None` when it is something else.
///
/// # Errors
/// [`BadMessage`] when it names no message, or asks for something else than taking it back.
pub fn read_moderation(payload: &Element) -> Result<Option<Said>, BadMessage> {
    if !payload.is("moderate", ns::MODERATE) {
        return Ok(None);
    }
    if !payload.has_child("retract", ns::RETRACT) {
        return Err(BadMessage::Moderation);
    }
    let reason = payload.get_child("reason", ns::MODERATE).map(Element::text).filter(|reason| !reason.is_empty());
    Ok(Some(Said::Moderate { target: target(payload, "moderate", IdKind::StanzaId)?, reason }))
}

fn said(payloads: &Payloads<'_>, kind: MessageType, names: &Names) -> Result<Vec<Said>, BadMessage> {
    // XEP-0333 §4.3, XEP-0424 §5.1, XEP-0444 §4.2, XEP-0461 §4.1: in rooms the room's id, elsewhere the sender's
    let of_others = if kind == MessageType::Groupchat { IdKind::StanzaId } else { IdKind::MessageId };
    let mut said = Vec::new();
    let invitation = invitation(payloads, names)?;
    if invitation.is_some() {
        said.extend(invitation); // its body can only be fallback
    } else if let Some(element) = payloads.retract {
        let of_own = if kind == MessageType::Groupchat { IdKind::StanzaId } else { IdKind::OwnMessageId };
        said.push(Said::Retract { target: target(element, "retract", of_own)? }); // its body can only be fallback
    } else if let Some(element) = payloads.replace {
        let text = payloads.text()?.ok_or(BadMessage::EmptyCorrection)?;
        said.push(Said::Edit { target: target(element, "replace", IdKind::OwnMessageId)?, text }); // XEP-0308 §4
    } else if let Some(text) = payloads.text()? {
        let reply_to = payloads.reply.map(|element| target(element, "reply", of_others)).transpose()?;
        said.push(Said::Draft(Draft { text, reply_to, mentions: payloads.mentions(names), attachments: payloads.attachments() }));
    }
    if let Some(element) = payloads.reactions {
        said.push(Said::React { target: target(element, "reactions", of_others)?, emojis: emojis(element)? });
    }
    if let Some(element) = payloads.displayed {
        said.push(Said::Read { target: target(element, "displayed", of_others)? });
    }
    if let Some(element) = payloads.received {
        said.push(Said::Receipt { target: target(element, "received", IdKind::MessageId)? });
    }
    if let Some(subject) = payloads.subject_change().filter(|_| kind == MessageType::Groupchat) {
        said.push(Said::Subject { text: subject.text() });
    }
    if let Some(state) = payloads.state {
        said.push(Said::Typing { on: state.is_typing() });
    }
    Ok(said)
}

fn invitation(payloads: &Payloads<'_>, names: &Names) -> Result<Option<Said>, BadMessage> {
    let address = |jid: Option<&str>| jid.and_then(|jid| names.parse(jid).ok());
    if let Some(x) = payloads.conference {
        return match address(x.attr("jid")) {
            Some(Address::Room { conversation, nick: None }) => Ok(Some(Said::InviteInto { conversation })),
            _ => Err(BadMessage::Invitation),
        };
    }
    let (mut users, mut reason) = (Vec::new(), String::new());
    for invite in payloads.invites() {
        if let Some(said) = invite.get_child("reason", ns::MUC_USER).filter(|_| reason.is_empty()) {
            reason = said.text();
        }
        let Some(Address::User { uid, .. }) = address(invite.attr("to")) else { return Err(BadMessage::Invitation) };
        if users.len() == MAX_FIRST_MEMBERS {
            return Err(BadMessage::Invitation);
        }
        if !users.contains(&uid) {
            users.push(uid);
        }
    }
    Ok((!users.is_empty()).then_some(Said::Invite { users, reason }))
}

fn target(element: &Element, name: &'static str, kind: IdKind) -> Result<Target, BadMessage> {
    Ok(Target { id: id_of(element, name)?, kind })
}

fn id_of(element: &Element, name: &'static str) -> Result<String, BadMessage> {
    let id = element.attr("id").filter(|id| !id.is_empty()).ok_or(BadMessage::NoId(name))?;
    bounded(id, name)
}

fn bounded(id: &str, name: &'static str) -> Result<String, BadMessage> {
    if id.len() > MAX_CLIENT_ID_BYTES { Err(BadMessage::LongId(name)) } else { Ok(id.to_owned()) }
}

/// The reactions in an element, each once (XEP-0444 §4).
fn emojis(reactions: &Element) -> Result<Vec<String>, BadMessage> {
    let mut emojis: Vec<String> = Vec::new();
    for reaction in reactions.children().filter(|child| child.is("reaction", ns::REACTIONS)) {
        let text = reaction.text();
        let emoji = text.trim();
        if emoji.is_empty() || emojis.iter().any(|known| known == emoji) {
            continue;
        }
        if emoji.len() > MAX_EMOJI_BYTES || emojis.len() == MAX_REACTIONS {
            return Err(BadMessage::Reactions);
        }
        emojis.push(emoji.to_owned());
    }
    Ok(emojis)
}
