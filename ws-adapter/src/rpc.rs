//! JSON-RPC 2.0: a message's text in, calls out, answers written into a vector. What is read borrows from the text; nothing is
//! parsed before its depth and number are known to be within bounds.

mod answer;
mod error;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

pub use answer::{Batch, write_error, write_result_with};
pub use error::{Fault, codes};

/// Deepest nesting of arrays and objects in a message.
pub const MAX_DEPTH: usize = 32;
/// Most requests in a batch.
pub const MAX_BATCH: usize = 100;
/// Longest `id`, in bytes of JSON.
pub const MAX_ID_BYTES: usize = 256;

/// A request's `id`: a string, a number or null, given back as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Id(Raw);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Raw {
    Null,
    /// What most clients count with; needs no allocation.
    Number(u64),
    Other(Box<str>),
}

impl Id {
    /// The id of answers to what had none that can be told.
    pub const NULL: Self = Self(Raw::Null);

    /// The id written as JSON, when it is a string, a number or null within the bound.
    fn parse(json: &str) -> Option<Self> {
        if json.len() > MAX_ID_BYTES {
            return None;
        }
        match json.as_bytes().first()? {
            b'n' => Some(Self::NULL),
            // An escape that is no character (half a surrogate pair) would make the answer unreadable.
            b'"' => serde_json::from_str::<Cow<'_, str>>(json).ok().map(|_| Self(Raw::Other(json.into()))),
            b'-' | b'0'..=b'9' => Some(Self(match json.parse::<u64>() {
                Ok(number) => Raw::Number(number), // JSON writes an integer in one way only, so it comes back the same
                Err(_) => Raw::Other(json.into()),
            })),
            _ => None,
        }
    }

    /// Appends the id as JSON.
    pub fn write(&self, out: &mut Vec<u8>) {
        match &self.0 {
            Raw::Null => out.extend_from_slice(b"null"),
            Raw::Number(number) => hallway_broker::canonical::write_number(*number, out),
            Raw::Other(json) => out.extend_from_slice(json.as_bytes()),
        }
    }
}

/// One request or notification.
#[derive(Debug)]
pub struct Call<'a> {
    /// What to answer with; `None` is a notification, which gets no answer at all.
    pub id: Option<Id>,
    /// The method's name, known or not.
    pub method: Cow<'a, str>,
    /// The parameters, not parsed.
    pub params: Option<&'a RawValue>,
}

/// An entry of a message: a call, or why it is none and the id to say so with.
pub type Entry<'a> = Result<Call<'a>, (Id, Fault)>;

/// A message.
#[derive(Debug)]
pub enum Message<'a> {
    /// A single request.
    One(Call<'a>),
    /// A batch, answered with one array (or nothing, when all are notifications).
    Batch(Vec<Entry<'a>>),
}

/// Reads a message.
///
/// # Errors
/// What to answer when it is no request at all, with the id as far as it can be told.
pub fn parse(text: &str) -> Result<Message<'_>, (Id, Fault)> {
    let whole = |fault| (Id::NULL, fault);
    check_depth(text).map_err(whole)?;
    match text.trim_ascii_start().as_bytes().first() {
        Some(b'{') => call(text).map(Message::One),
        Some(b'[') => batch(text).map(Message::Batch).map_err(whole),
        _ => Err(whole(match serde_json::from_str::<IgnoredAny>(text) {
            Ok(_) => Fault::invalid_request("not a request object"),
            Err(error) => Fault::parse_error(&error),
        })),
    }
}

/// Refuses deep nesting before anything recursive sees it. Brackets within strings do not count.
pub(crate) fn check_depth(text: &str) -> Result<(), Fault> {
    let mut depth = 0usize;
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(Fault::too_deep());
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    Ok(())
}

fn skip_string(bytes: &mut std::str::Bytes<'_>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
}

/// A request's members as they were written.
#[derive(Default)]
struct Members<'a> {
    jsonrpc: Option<&'a RawValue>,
    id: Option<&'a RawValue>,
    method: Option<&'a RawValue>,
    params: Option<&'a RawValue>,
    repeated: bool,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Member {
    Jsonrpc,
    Id,
    Method,
    Params,
    #[serde(other)]
    Unknown,
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a request object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Members::default();
        while let Some(member) = map.next_key::<Member>()? {
            let value = map.next_value::<&RawValue>()?;
            let place = match member {
                Member::Jsonrpc => &mut members.jsonrpc,
                Member::Id => &mut members.id,
                Member::Method => &mut members.method,
                Member::Params => &mut members.params,
                Member::Unknown => continue,
            };
            members.repeated |= place.replace(value).is_some();
        }
        Ok(members)
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

/// Reads one request object.
fn call(text: &str) -> Entry<'_> {
    let members: Members<'_> = serde_json::from_str(text).map_err(|error| (Id::NULL, Fault::parse_error(&error)))?;
    if members.repeated {
        return Err((Id::NULL, Fault::invalid_request("a member is there twice")));
    }
    let id = match members.id.map(|json| Id::parse(json.get())) {
        Some(None) => {
            let fault = Fault::invalid_request("id is not a string, number or null of at most 256 bytes");
            return Err((Id::NULL, fault));
        }
        Some(id) => id,
        None => None,
    };
    match method(&members) {
        Ok(method) => Ok(Call { id, method, params: members.params }),
        Err(what) => Err((id.unwrap_or(Id::NULL), Fault::invalid_request(what))),
    }
}

/// The method of a request that is one.
fn method<'a>(members: &Members<'a>) -> Result<Cow<'a, str>, &'static str> {
    if members.jsonrpc.and_then(string).as_deref() != Some("2.0") {
        return Err("jsonrpc is not \"2.0\"");
    }
    let method = members.method.ok_or("no method")?;
    let by_name_or_position = |json: &RawValue| json.get().starts_with(['{', '[']);
    if !members.params.is_none_or(by_name_or_position) {
        return Err("params is neither an object nor an array");
    }
    string(method).ok_or("method is not a string")
}

/// A JSON string's text, borrowed when it has no escapes.
fn string(json: &RawValue) -> Option<Cow<'_, str>> {
    let quoted = json.get().strip_prefix('"')?.strip_suffix('"')?;
    if quoted.contains('\\') {
        return serde_json::from_str(json.get()).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(quoted))
}

/// The first [`MAX_BATCH`] entries of an array, and how many there are.
struct Entries<'a>(Vec<&'a RawValue>, usize);

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a batch")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = seq.next_element::<&RawValue>()? {
            entries.push(entry);
            if entries.len() == MAX_BATCH {
                break;
            }
        }
        let mut count = entries.len();
        while seq.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(Entries(entries, count))
    }
}

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(EntriesVisitor)
    }
}

/// Reads a batch (JSON-RPC 2.0 §6).
fn batch(text: &str) -> Result<Vec<Entry<'_>>, Fault> {
    let Entries(entries, count) = serde_json::from_str(text).map_err(|error| Fault::parse_error(&error))?;
    match count {
        0 => Err(Fault::invalid_request("an empty batch")),
        1..=MAX_BATCH => Ok(entries.into_iter().map(entry).collect()),
        _ => Err(Fault::batch_too_large()),
    }
}

fn entry(json: &RawValue) -> Entry<'_> {
    if json.get().starts_with('{') { call(json.get()) } else { Err((Id::NULL, Fault::invalid_request("not a request object"))) }
}
