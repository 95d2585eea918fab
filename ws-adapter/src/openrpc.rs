//! The OpenRPC document served at `/openrpc.json`: the method table, the errors and the notifications, generated from the types.

use hallway_broker::reject::Reason::{self, *};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::rpc::codes;
use crate::table::{METHODS, Method, Needs};
use crate::types::event::{EventShape, ReadSignal, TypingSignal};
use crate::types::session::PresenceSignal;

/// The errors that any method may answer with: name, code, reasons.
const ERRORS: &[(&str, i32, &[Reason])] = &[
    ("unauthorized", codes::UNAUTHORIZED, &[NoSession, BadToken, TokenExpired, BadTicket, BadCredentials, SessionEnded]),
    (
        "forbidden",
        codes::FORBIDDEN,
        &[
            NotAMember,
            Banned,
            StaffOnly,
            NotAuthor,
            NotModerator,
            Blocked,
            Blocking,
            SignInClosed,
            BadInvite,
            PlaintextLogin,
            NotAllowed,
            PrivateUrl,
            NoGateway,
            AllowanceUnknown,
        ],
    ),
    (
        "not_found",
        codes::NOT_FOUND,
        &[
            UnknownConversation,
            UnknownConference,
            UnknownUser,
            UnknownMessage,
            UnknownTarget,
            UnknownFile,
            UnknownSession,
            UnknownBadge,
            UnknownReader,
            UnknownLead,
        ],
    ),
    (
        "conflict",
        codes::CONFLICT,
        &[IdReused, Taken, Reserved, Deleted, AlreadySignedIn, Resync, NotReacted, FollowsAll, LastOwner, OwnRole, NotAsked],
    ),
    (
        "too_large",
        codes::TOO_LARGE,
        &[
            TextTooLarge,
            TooManySubscriptions,
            TooManyMembers,
            TooManyBlocked,
            TooManyEdits,
            TooManyReactions,
            TooManyBadges,
            FilesFull,
            TooLarge,
        ],
    ),
    ("rate_limited", codes::RATE_LIMITED, &[MessageRate, LoginRate, TooManySessions, TooManyUploads, Quota]),
    ("unavailable", codes::UNAVAILABLE, &[DiskFull, StoreError, Draining, ProviderUnavailable, Busy]),
    ("invalid_params", codes::INVALID_PARAMS, &[InvalidParams, BadTarget, BrokenMedia, NotStrippable]),
];

/// The document, as JSON text; made once at start.
#[must_use]
pub fn document() -> String {
    let mut generator = generator();
    let methods: Vec<Value> = METHODS.iter().map(|row| method(row, &mut generator)).collect();
    let notifications = notifications(&mut generator);
    json!({
        "openrpc": "1.3.2",
        "info": {
            "title": "Hallway",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The JSON chat protocol: JSON-RPC 2.0 over WebSocket (/ws) and HTTP (POST /rpc).",
        },
        "methods": methods,
        "x-notifications": notifications,
        "components": { "schemas": generator.take_definitions(true), "errors": errors() },
    })
    .to_string()
}

/// OpenRPC 1.x speaks JSON Schema draft 7 and keeps what is shared under `components`.
fn generator() -> SchemaGenerator {
    let settings = SchemaSettings::draft07().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    settings.into_generator()
}

fn method(method: &Method, generator: &mut SchemaGenerator) -> Value {
    let transports: &[&str] = match method.needs {
        Needs::User => &["ws", "http"],
        Needs::Connection | Needs::Session => &["ws"],
    };
    let errors: Vec<Value> = ERRORS.iter().map(|(name, ..)| json!({ "$ref": format!("#/components/errors/{name}") })).collect();
    json!({
        "name": method.name,
        "summary": method.summary,
        "paramStructure": "by-name",
        "params": params(method, generator),
        "result": { "name": "result", "schema": (method.result)(generator) },
        "errors": errors,
        "x-transports": transports,
        "x-needs-session": method.needs != Needs::Connection,
    })
}

/// OpenRPC lists parameters one by one: they are the properties of the parameters' type.
fn params(method: &Method, generator: &mut SchemaGenerator) -> Vec<Value> {
    let schema = (method.params)(generator).to_value();
    let required: Vec<&Value> = schema["required"].as_array().into_iter().flatten().collect();
    let mut params: Vec<(bool, Value)> = Vec::new();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let is_required = required.iter().any(|required| *required == name);
        let mut param = json!({ "name": name, "required": is_required, "schema": property });
        if let Some(description) = property.get("description") {
            param["description"] = description.clone();
        }
        params.push((is_required, param));
    }
    params.sort_by_key(|(is_required, _)| !is_required); // OpenRPC: required ones come first
    params.into_iter().map(|(_, param)| param).collect()
}

fn errors() -> Map<String, Value> {
    let error = |(name, code, reasons): &(&str, i32, &[Reason])| {
        let words: Map<String, Value> = reasons.iter().map(|reason| (reason.word().to_owned(), reason.text().into())).collect();
        let error = json!({ "code": code, "message": name.replace('_', " "), "x-reasons": words });
        ((*name).to_owned(), error)
    };
    ERRORS.iter().map(error).collect()
}

/// OpenRPC 1.x has no word for what a server says unasked.
fn notifications(generator: &mut SchemaGenerator) -> Vec<Value> {
    fn one<T: JsonSchema>(generator: &mut SchemaGenerator, name: &str, summary: &str) -> Value {
        json!({ "name": name, "summary": summary, "params": generator.subschema_for::<T>() })
    }
    vec![
        one::<EventShape>(generator, "message", "A message was sent."),
        one::<EventShape>(generator, "event", "A message was edited, deleted or reacted to, or settings changed."),
        one::<EventShape>(generator, "member", "Somebody's standing changed."),
        one::<EventShape>(generator, "notice", "An entry of one's inbox; without seq, something about this session."),
        one::<TypingSignal>(generator, "typing", "Somebody types, or stopped."),
        one::<ReadSignal>(generator, "read", "Somebody read up to a seq."),
        one::<PresenceSignal>(generator, "presence", "Somebody's availability changed."),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROTOCOL: &str = include_str!("../PROTOCOL.md");

    fn parsed() -> Value {
        serde_json::from_str(&document()).unwrap()
    }

    /// All values of `$ref` anywhere below.
    fn refs<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|member| refs(member, found));
            }
            Value::Array(entries) => entries.iter().for_each(|entry| refs(entry, found)),
            _ => {}
        }
    }

    #[test]
    fn every_ref_resolves() {
        let document = parsed();
        let mut found = Vec::new();
        refs(&document, &mut found);
        assert!(found.len() > 100);
        for reference in found {
            let pointer = reference.strip_prefix('#').expect(reference);
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }

    /// The rows of PROTOCOL.md's method table.
    fn protocol_rows() -> impl Iterator<Item = &'static str> {
        let section = PROTOCOL.split("## Methods").nth(1).unwrap().split("\n## ").next().unwrap();
        section.lines().filter(|line| line.starts_with("| `"))
    }

    /// The names in the first column of PROTOCOL.md's method table; `.leave` stands for the first name's prefix with it.
    fn protocol_methods() -> Vec<String> {
        let mut names = Vec::new();
        for row in protocol_rows() {
            let cell = row.split('|').nth(1).unwrap();
            let words: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
            let prefix = words[0].split('.').next().unwrap();
            names.extend(words.iter().map(|word| if word.starts_with('.') { format!("{prefix}{word}") } else { (*word).to_owned() }));
        }
        names
    }

    #[test]
    fn every_method_of_the_protocol_is_there_and_no_other() {
        let document = parsed();
        let names: Vec<&str> = document["methods"].as_array().unwrap().iter().map(|method| method["name"].as_str().unwrap()).collect();
        assert_eq!(names, protocol_methods());
    }

    #[test]
    fn every_parameter_of_the_protocol_is_there() {
        let document = parsed();
        for (row, method) in protocol_rows().map(|row| {
            let cells: Vec<&str> = row.split(" | ").collect();
            (cells[1].to_owned(), cells[0].split('`').nth(1).unwrap().to_owned())
        }) {
            let described = document["methods"].as_array().unwrap().iter().find(|found| found["name"] == method.as_str()).unwrap();
            for word in row.split('`').skip(1).step_by(2) {
                let name = word.trim_end_matches('?');
                let is_name = row.contains(&format!("`{word}`")) && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
                let after_a_bracket = row.split(&format!("`{word}`")).next().unwrap().matches('(').count()
                    > row.split(&format!("`{word}`")).next().unwrap().matches(')').count();
                if !is_name || after_a_bracket {
                    continue;
                }
                let param = described["params"].as_array().unwrap().iter().find(|param| param["name"] == name);
                let param = param.unwrap_or_else(|| panic!("{method}: {name}"));
                let has_default = row.contains(&format!("`{word}` (default"));
                assert_eq!(param["required"] == true, !word.ends_with('?') && !has_default, "{method}: {word}");
            }
        }
    }

    #[test]
    fn the_errors_are_those_of_the_protocol() {
        let document = parsed();
        let rows =
            PROTOCOL.split("## Errors").nth(1).unwrap().split("## Events").next().unwrap().lines().filter(|line| line.starts_with("| 1"));
        let mut count = 0;
        for row in rows {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let (code, name) = cells[1].split_once(' ').unwrap();
            let words: Vec<&str> = cells[3].split(';').next().unwrap().split('`').skip(1).step_by(2).collect();
            let error = &document["components"]["errors"][name];
            assert_eq!(error["code"].to_string(), code);
            let mut described: Vec<&str> = error["x-reasons"].as_object().unwrap().keys().map(String::as_str).collect();
            let mut words = words;
            words.sort_unstable();
            described.sort_unstable();
            assert_eq!(described, words, "{name}");
            count += 1;
        }
        assert_eq!(count, 7);
    }

    #[test]
    fn shared_types_are_named_once() {
        let document = parsed();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        for name in ["Event", "Person", "ConversationRow", "Time", "Epoch"] {
            assert!(schemas.contains_key(name), "{name} in {:?}", schemas.keys());
        }
    }
}
