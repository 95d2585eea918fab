//! Parameters and results of every method, as they are on the wire. The OpenRPC document is generated from these types.
//!
//! Unknown members are ignored, wrong types are `invalid_params`. What parses is turned into the hub's ids and drafts by small
//! functions here, so that behind this border nothing is checked twice.

pub mod account;
pub mod attendee;
pub mod badge;
pub mod contact;
pub mod conversation;
pub mod event;
pub mod file;
pub mod lead;
pub mod message;
pub mod people;
pub mod push;
pub mod reader;
pub mod scanned;
pub mod session;
pub mod topic;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use hallway_broker::ids::{ConversationId, Uid};
use hallway_broker::limits::MAX_PAGE;
use hallway_broker::reject::Reason;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::rpc::Fault;
use hallway_broker::canonical::write_time;

/// The default of `limit` where a method has one.
pub const DEFAULT_PAGE: usize = 50;

/// The parameters of a call; none are the same as `{}`.
///
/// # Errors
/// `invalid_params`, with the member that is wrong.
pub fn params<'a, T: Deserialize<'a>>(params: Option<&'a RawValue>) -> Result<T, Fault> {
    params_of(params.map_or("{}", RawValue::get))
}

/// The same of a text.
///
/// # Errors
/// `invalid_params`, with the member that is wrong.
pub fn params_of<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, Fault> {
    if !json.trim_start().starts_with('{') {
        return Err(Fault::invalid_params("they go by name, not by position"));
    }
    serde_json::from_str(json).map_err(Fault::invalid_params)
}

/// The conversation named by `text`. What is not even an id names no conversation.
///
/// # Errors
/// `unknown_conversation`.
pub fn conversation_id(text: &str) -> Result<ConversationId, Fault> {
    ConversationId::parse(text).map_err(|_| Reason::UnknownConversation.into())
}

/// The conversation named by `text`, or the caller's own inbox as `inbox`.
///
/// # Errors
/// `unknown_conversation`.
pub fn conversation_id_or_inbox(text: &str, me: &Uid) -> Result<ConversationId, Fault> {
    if text == "inbox" { Ok(ConversationId::inbox(me)) } else { conversation_id(text) }
}

/// The user named by `text`.
///
/// # Errors
/// `unknown_user`.
pub fn user_id(text: &str) -> Result<Uid, Fault> {
    Uid::parse(text).map_err(|_| Reason::UnknownUser.into())
}

/// Where a page of people or members goes on. Need not name anybody, but must be a uid.
///
/// # Errors
/// `invalid_params`.
pub fn after_user(text: Option<&str>) -> Result<Option<Uid>, Fault> {
    text.map(Uid::parse).transpose().map_err(|error| Fault::invalid_params(format_args!("after is {error}")))
}

/// How many to answer with: `limit` within its bounds. More than the most is the most, none is an error.
///
/// # Errors
/// `invalid_params` for 0.
pub fn page_limit(limit: Option<u64>, default: usize) -> Result<usize, Fault> {
    match limit.map(usize::try_from) {
        None => Ok(default),
        Some(Ok(0)) => Err(Fault::invalid_params("limit is 0")),
        Some(limit) => Ok(limit.unwrap_or(MAX_PAGE).min(MAX_PAGE)),
    }
}

/// A text of at most `most` bytes.
///
/// # Errors
/// `invalid_params`, naming the member.
pub fn at_most(text: &str, most: usize, member: &'static str) -> Result<(), Fault> {
    if text.len() <= most {
        return Ok(());
    }
    Err(Fault::invalid_params(format_args!("{member} is over {most} bytes")))
}

/// A call of a method without parameters.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct NoParams {}

/// `{}`.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Empty {}

/// Names a conversation.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ConversationParams<'a> {
    /// The conversation's id.
    #[serde(borrow)]
    pub conversation: Cow<'a, str>,
}

/// A time: RFC 3339 in UTC with milliseconds on the wire, Unix ms here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time(pub u64);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut quoted = Vec::with_capacity(26);
        write_time(self.0, &mut quoted);
        let text = quoted.get(1..quoted.len() - 1).and_then(|text| std::str::from_utf8(text).ok());
        serializer.serialize_str(text.unwrap_or_default())
    }
}

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time", "description": "RFC 3339 in UTC with milliseconds" })
    }
}

/// A store's epoch: a string on the wire, since JavaScript's numbers would round it. A number is understood, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch(pub u64);

impl Serialize for Epoch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

struct EpochVisitor;

impl Visitor<'_> for EpochVisitor {
    type Value = Epoch;
    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an epoch as a result named it")
    }
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Epoch, E> {
        Ok(Epoch(number))
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Epoch, E> {
        text.parse().map(Epoch).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

impl<'de> Deserialize<'de> for Epoch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EpochVisitor)
    }
}

impl JsonSchema for Epoch {
    fn schema_name() -> Cow<'static, str> {
        "Epoch".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "Opaque; another one means that old seqs are void" })
    }
}
