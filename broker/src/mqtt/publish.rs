//! What a client publishes: from a topic and a payload to what the hub is asked.

use std::sync::Arc;

use super::codec::{MessageProperties, Qos, Will};
use super::payload::{self, Amendment, BadPayload};
use super::topic::{Place, check_name, place};
use crate::admit;
use crate::allowances::TopicRights;
use crate::command::{Action, Draft, Reuse};
use crate::hub::Hub;
use crate::ids::Uid;
use crate::limits::{Limits, MAX_EMOJI_BYTES};
use crate::model::{Properties, Publication, Realm, Signal, UserRole};
use crate::reject::{Reason, Reject};
use crate::session::Who;
use crate::sessions::Presence;

/// A message from a client, its topic alias resolved.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The payload.
    pub payload: &'a [u8],
    /// How surely.
    pub qos: Qos,
    /// To be kept as the topic's last.
    pub retain: bool,
    /// Its properties.
    pub message: MessageProperties<'a>,
    /// What tells it from the next one, when it has no id of its own.
    pub packet: Reuse,
}

impl<'a> Incoming<'a> {
    /// A will, as if it had been published.
    #[must_use]
    pub fn of_will(will: &Will<'a>) -> Self {
        let Will { topic, payload, qos, retain, message, .. } = *will;
        Self { topic, payload, qos, retain, message, packet: Reuse::NewMessage }
    }
}

/// What is to be done about a message.
pub enum Deed {
    /// Ask the hub.
    Ask(Action),
    /// Tell it to whoever listens; nobody keeps it.
    Tell(Signal),
    /// Say how the user is.
    Presence(Presence),
    /// Carry out a JSON-RPC message.
    Rpc,
    /// See what a badge reader scanned.
    Scan(Reuse),
}

/// Who publishes.
#[derive(Clone, Copy)]
pub struct Publisher<'a> {
    /// The hub.
    pub hub: &'a Hub,
    /// The user.
    pub who: &'a Who,
    /// Their role.
    pub role: UserRole,
    /// Whether topics outside `conf/` may be used.
    pub plain_topics: bool,
    /// What they may do with applications' topics, if there are rules.
    pub rights: Option<&'a TopicRights>,
    /// Their session; 0 for none.
    pub session: u64,
}

impl From<BadPayload> for Reason {
    fn from(_: BadPayload) -> Self {
        Self::InvalidParams
    }
}

impl Publisher<'_> {
    /// What a message comes to. The rate and the right to post are the caller's to check.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn deed(&self, incoming: &Incoming<'_>) -> Result<Deed, Reject> {
        check_name(incoming.topic).map_err(|_| Reason::TooLarge)?;
        // §3.3.2.3.2
        if incoming.message.payload_is_utf8 && std::str::from_utf8(incoming.payload).is_err() {
            return Err(Reason::InvalidParams.into());
        }
        let (uid, limits) = (&self.who.uid, self.hub.limits());
        let place = place(self.who.conference.as_str(), incoming.topic);
        if *uid == Uid::anonymous() && place != Place::Plain {
            return Err(Reason::NotAllowed.into());
        }
        if !self.role.takes_part() && !matches!(place, Place::BadgeScan(_) | Place::Rpc | Place::Generic | Place::Plain) {
            return Err(Reason::NotAllowed.into());
        }
        Ok(match place {
            Place::Message(conversation) => {
                let parsed = payload::Draft::parse(incoming.payload, incoming.message.content_type).map_err(Reason::from)?;
                let text = |text: &std::borrow::Cow<'_, str>| Arc::from(&**text);
                let draft = Draft {
                    conversation,
                    reuse: if parsed.id.is_some() { Reuse::NewMessage } else { incoming.packet },
                    client_id: parsed.id.as_ref().map_or_else(Arc::default, text),
                    text: text(&parsed.text),
                    reply_to: parsed.reply_to,
                    mentions: parsed.mentions.iter().map(text).collect(),
                    attachments: parsed.attachments.iter().map(text).collect(),
                };
                admit::check_draft(&draft, limits)?;
                Deed::Ask(Action::Send(draft))
            }
            Place::Events(conversation) => Deed::Ask(match Amendment::parse(incoming.payload).map_err(Reason::from)? {
                Amendment::Edit { target, text } => {
                    admit::check_text(&text, limits)?;
                    Action::Edit { conversation, target, text: Arc::from(&*text) }
                }
                Amendment::Delete { target } => Action::Delete { conversation, target },
                Amendment::React { target, emoji, on } => {
                    if emoji.is_empty() || emoji.len() > MAX_EMOJI_BYTES {
                        return Err(Reason::InvalidParams.into());
                    }
                    Action::React { conversation, target, emoji: Arc::from(&*emoji), on }
                }
            }),
            Place::Typing(conversation) => {
                let on = payload::typing(incoming.payload).map_err(Reason::from)?;
                Deed::Tell(Signal::Typing { conversation, from: uid.clone(), name: Arc::clone(&self.who.name), on })
            }
            Place::Read(conversation) => {
                let seq = payload::read_marker(incoming.payload).map_err(Reason::from)?;
                Deed::Ask(Action::Read { conversation, seq })
            }
            Place::Presence(of) if of == *uid => {
                let presence = payload::Presence::parse(incoming.payload).map_err(Reason::from)?;
                let text = presence.text.as_deref().unwrap_or_default();
                if text.len() > crate::limits::MAX_ABOUT_BYTES {
                    return Err(Reason::TooLarge.into());
                }
                Deed::Presence(Presence { status: presence.status, text: text.into() })
            }
            Place::Rpc => Deed::Rpc,
            Place::Generic if self.rights.is_none_or(|rights| rights.may_publish(incoming.topic)) => {
                self.publication(incoming, Realm::Apps, limits)?
            }
            Place::Plain if self.plain_topics => self.publication(incoming, Realm::Plain, limits)?,
            Place::BadgeScan(reader) if reader == *uid && self.role == UserRole::Device => {
                if incoming.payload.len() > limits.frame_bytes {
                    return Err(Reason::TooLarge.into());
                }
                Deed::Scan(incoming.packet)
            }
            _ => return Err(Reason::NotAllowed.into()),
        })
    }

    fn publication(&self, incoming: &Incoming<'_>, realm: Realm, limits: &Limits) -> Result<Deed, Reject> {
        if incoming.payload.len() > limits.frame_bytes {
            return Err(Reason::TooLarge.into());
        }
        let message = &incoming.message;
        let expires_ms = message.expiry_s.map_or(u64::MAX, |left_s| self.hub.clock().now_ms() + u64::from(left_s) * 1000);
        let properties = Properties {
            payload_is_utf8: message.payload_is_utf8,
            content_type: message.content_type.map(Into::into),
            response_topic: message.response_topic.map(Into::into),
            correlation: message.correlation_data.map(bytes::Bytes::copy_from_slice),
            user: message.user_properties.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        };
        let publication = Arc::new(Publication {
            realm,
            topic: incoming.topic.into(),
            payload: bytes::Bytes::copy_from_slice(incoming.payload),
            qos: incoming.qos.into(),
            retain: incoming.retain,
            expires_ms,
            properties: (properties != Properties::default()).then(|| Box::new(properties)),
        });
        if incoming.qos == Qos::AtMostOnce && !incoming.retain {
            let (from, at_ms) = (self.who.uid.clone(), self.hub.clock().now_ms());
            return Ok(Deed::Tell(Signal::Published { from, origin: self.session, publication, at_ms }));
        }
        Ok(Deed::Ask(Action::Publish(publication, incoming.packet)))
    }
}
