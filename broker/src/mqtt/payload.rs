//! Payloads: what clients publish to chat topics, read into what the hub can be asked. JSON where there is something to say beside a text,
//! and the bare word or text that a sensor or a shell script would send. Who sends it and where to never stand in the payload; members
//! that are not known are passed over. Nothing is copied that can be borrowed, and nothing here is recursive, so that deep nesting costs
//! no more than its bytes. How long texts and lists may be is decided where all protocols meet, in admission.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::model::Status;

#[cfg(test)]
mod tests;

/// The payload is not what its topic takes. With MQTT 5 that is reason code 0x99, Payload format invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPayload {
    /// Not UTF-8.
    #[error("the payload is not UTF-8")]
    NotUtf8,
    /// Not a JSON object where only that will do.
    #[error("the payload is not a JSON object")]
    NotObject,
    /// A member is missing where it must be given, or is of the wrong type or value.
    #[error("malformed payload: {member}")]
    Malformed {
        /// Its name.
        member: &'static str,
    },
}

/// A message to be sent, as the payload has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Draft<'a> {
    /// The sender's id for it.
    pub id: Option<Cow<'a, str>>,
    /// The text.
    pub text: Cow<'a, str>,
    /// The seq it answers.
    pub reply_to: Option<u64>,
    /// Who is named: uids, or `*`.
    pub mentions: Vec<Cow<'a, str>>,
    /// URLs of attached files.
    pub attachments: Vec<Cow<'a, str>>,
}

impl<'a> Draft<'a> {
    /// Reads a payload of `chat/<conversation>`. `content_type` is MQTT 5's: JSON must be an object with a string `text`, `text/…` is text
    /// whatever it looks like. Without one, and with one that says neither, an object with a string `text` is a draft and all else is text.
    ///
    /// # Errors
    /// [`BadPayload`] when the payload is not UTF-8, or is a draft of which a member is malformed.
    pub fn parse(payload: &'a [u8], content_type: Option<&str>) -> Result<Self, BadPayload> {
        let text = utf8(payload)?;
        match Format::of(content_type) {
            Format::Text => Ok(Self::of_text(text)),
            Format::Json => Self::of_members(&Members::parse(text, Self::MEMBERS).ok_or(BadPayload::NotObject)?),
            Format::Unknown => match Members::parse(text, Self::MEMBERS) {
                Some(members) if members.is_string("text") => Self::of_members(&members),
                _ => Ok(Self::of_text(text)),
            },
        }
    }

    const MEMBERS: &'static [&'static str] = &["id", "text", "reply_to", "mentions", "attachments"];

    fn of_text(text: &'a str) -> Self {
        Self { text: Cow::Borrowed(text), ..Self::default() }
    }

    fn of_members(members: &Members<'a>) -> Result<Self, BadPayload> {
        Ok(Self {
            id: members.text("id")?,
            text: members.text("text")?.ok_or(BadPayload::Malformed { member: "text" })?,
            reply_to: members.get("reply_to")?,
            mentions: members.texts("mentions")?,
            attachments: members.texts("attachments")?,
        })
    }
}

/// A change to a message, as published to `chat/<conversation>/event`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Amendment<'a> {
    /// `{"kind":"edit","target":5,"text":"…"}`
    Edit {
        /// The message's seq.
        target: u64,
        /// Its new text.
        text: Cow<'a, str>,
    },
    /// `{"kind":"delete","target":5}`
    Delete {
        /// The message's seq.
        target: u64,
    },
    /// `{"kind":"react","target":5,"emoji":"👍","on":true}`; without `on` it is given.
    React {
        /// The message's seq.
        target: u64,
        /// The reaction.
        emoji: Cow<'a, str>,
        /// Given, or taken back.
        on: bool,
    },
}

impl<'a> Amendment<'a> {
    /// Reads a payload of `chat/<conversation>/event`.
    ///
    /// # Errors
    /// [`BadPayload`] when it is none of the three.
    pub fn parse(payload: &'a [u8]) -> Result<Self, BadPayload> {
        let members = Members::parse(utf8(payload)?, &["kind", "target", "text", "emoji", "on"]).ok_or(BadPayload::NotObject)?;
        let kind = members.need_text("kind")?;
        let target = || members.need("target");
        match &*kind {
            "edit" => Ok(Self::Edit { target: target()?, text: members.need_text("text")? }),
            "delete" => Ok(Self::Delete { target: target()? }),
            "react" => Ok(Self::React { target: target()?, emoji: members.need_text("emoji")?, on: members.get("on")?.unwrap_or(true) }),
            _ => Err(BadPayload::Malformed { member: "kind" }),
        }
    }
}

/// Reads a payload of `chat/<conversation>/typing`: whether the sender types. `{"on":true}`; or bare `true`, `1`, `on` or nothing, and
/// `false`, `0` or `off`.
///
/// # Errors
/// [`BadPayload`] when it is none of these.
pub fn typing(payload: &[u8]) -> Result<bool, BadPayload> {
    let text = utf8(payload)?;
    match text.trim() {
        "" | "true" | "1" | "on" => Ok(true),
        "false" | "0" | "off" => Ok(false),
        word => Members::parse(word, &["on"]).ok_or(BadPayload::Malformed { member: "on" })?.need("on"),
    }
}

/// Reads a payload of `chat/<conversation>/read`: the seq up to which the sender has read. `{"seq":5}` or bare `5`.
///
/// # Errors
/// [`BadPayload`] when it is neither.
pub fn read_marker(payload: &[u8]) -> Result<u64, BadPayload> {
    let word = utf8(payload)?.trim();
    match serde_json::from_str(word) {
        Ok(seq) => Ok(seq),
        Err(_) => Members::parse(word, &["seq"]).ok_or(BadPayload::Malformed { member: "seq" })?.need("seq"),
    }
}

/// One's own availability, as published to `presence/<uid>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence<'a> {
    /// How. Never [`Status::Offline`]: that comes by leaving.
    pub status: Status,
    /// In the user's words.
    pub text: Option<Cow<'a, str>>,
}

impl<'a> Presence<'a> {
    /// Reads a payload of `presence/<uid>`: `{"status":"away","text":"…"}`, or a bare `online`, `away` or `dnd`.
    ///
    /// # Errors
    /// [`BadPayload`] when it is neither.
    pub fn parse(payload: &'a [u8]) -> Result<Self, BadPayload> {
        let word = utf8(payload)?.trim();
        if let Some(status) = status(word) {
            return Ok(Self { status, text: None });
        }
        let malformed = BadPayload::Malformed { member: "status" };
        let members = Members::parse(word, &["status", "text"]).ok_or(malformed)?;
        Ok(Self { status: status(&members.need_text("status")?).ok_or(malformed)?, text: members.text("text")? })
    }
}

fn status(word: &str) -> Option<Status> {
    [Status::Online, Status::Away, Status::Dnd].into_iter().find(|status| status.word() == word)
}

fn utf8(payload: &[u8]) -> Result<&str, BadPayload> {
    std::str::from_utf8(payload).map_err(|_| BadPayload::NotUtf8)
}

/// What a content type says of the payload.
#[derive(Clone, Copy)]
enum Format {
    Json,
    Text,
    Unknown,
}

impl Format {
    fn of(content_type: Option<&str>) -> Self {
        // parameters, as in `text/plain; charset=utf-8`, change nothing: MQTT's text is UTF-8
        let kind = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        let begins = |prefix: &str| kind.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix));
        if kind.eq_ignore_ascii_case("application/json") {
            Self::Json
        } else if begins("text/") {
            Self::Text
        } else {
            Self::Unknown
        }
    }
}

/// A text that is borrowed from the JSON when it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The members of a JSON object that are known, each still as JSON. So an error can name its member, and a member that nobody reads costs
/// nothing.
struct Members<'a> {
    known: &'static [&'static str],
    found: [Option<&'a RawValue>; Members::MOST],
}

impl<'a> Members<'a> {
    /// Most members that a payload can have names for.
    const MOST: usize = 5;

    /// `None` when the text is not a JSON object. Of members that are given twice, the last counts.
    fn parse(text: &'a str, known: &'static [&'static str]) -> Option<Self> {
        if !text.trim_start().starts_with('{') {
            return None; // most messages: no need to make an error of it
        }
        let mut json = serde_json::Deserializer::from_str(text);
        let members = Known(known).deserialize(&mut json).ok()?;
        json.end().ok()?;
        Some(members)
    }

    /// A member's JSON; `null` is as good as no member.
    fn raw(&self, member: &str) -> Option<&'a RawValue> {
        let found = self.known.iter().zip(&self.found).find_map(|(name, value)| (*name == member).then_some(*value)?);
        found.filter(|value| value.get() != "null")
    }

    fn is_string(&self, member: &str) -> bool {
        self.raw(member).is_some_and(|value| value.get().starts_with('"'))
    }

    fn get<T: Deserialize<'a>>(&self, member: &'static str) -> Result<Option<T>, BadPayload> {
        let parse = |value: &'a RawValue| serde_json::from_str(value.get()).map_err(|_| BadPayload::Malformed { member });
        self.raw(member).map(parse).transpose()
    }

    fn need<T: Deserialize<'a>>(&self, member: &'static str) -> Result<T, BadPayload> {
        self.get(member)?.ok_or(BadPayload::Malformed { member })
    }

    fn text(&self, member: &'static str) -> Result<Option<Cow<'a, str>>, BadPayload> {
        Ok(self.get::<Text<'a>>(member)?.map(|text| text.0))
    }

    fn need_text(&self, member: &'static str) -> Result<Cow<'a, str>, BadPayload> {
        Ok(self.need::<Text<'a>>(member)?.0)
    }

    fn texts(&self, member: &'static str) -> Result<Vec<Cow<'a, str>>, BadPayload> {
        Ok(self.get::<Vec<Text<'a>>>(member)?.unwrap_or_default().into_iter().map(|text| text.0).collect())
    }
}

/// Collects the members of these names.
struct Known(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Known {
    type Value = Members<'de>;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Members<'de>, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Known {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Members<'de>, M::Error> {
        let mut members = Members { known: self.0, found: [None; Members::MOST] };
        while let Some(Text(name)) = map.next_key()? {
            let at = self.0.iter().position(|known| *known == name);
            match at.and_then(|at| members.found.get_mut(at)) {
                Some(slot) => *slot = Some(map.next_value()?),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(members)
    }
}
