//! What becomes of parameters: right ones, and each kind of wrong one with its reason.

use hallway_broker::canonical;
use hallway_broker::command::Action;
use hallway_broker::ids::{ConfNo, ConvNo, ConversationId, EventIds, Uid};
use hallway_broker::limits::Limits;
use hallway_broker::model::{Acquaintance, Body, Change, Entry, Event, Kind, MemberRole, Message, Notice, Place, Via};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::conversation::*;
use super::message::*;
use super::people::*;
use super::session::*;
use super::*;

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

fn given<T: DeserializeOwned>(json: &str) -> Result<T, Fault> {
    params(Some(&*raw(json)))
}

fn send(json: &str) -> Result<hallway_broker::command::Draft, Fault> {
    let raw = raw(json);
    params::<SendParams<'_>>(Some(&raw))?.draft(&Limits::default())
}

#[test]
fn a_message_is_read_without_copying_its_text() {
    let raw = raw(r#"{"conversation":"lobby","id":"1","text":"plain","unknown":[1]}"#);
    let send: SendParams<'_> = params(Some(&raw)).unwrap();
    assert!(matches!(send.text, Cow::Borrowed("plain")));
    let draft = send.draft(&Limits::default()).unwrap();
    assert_eq!((&*draft.client_id, &*draft.text, draft.conversation.as_str()), ("1", "plain", "lobby"));
}

#[test]
fn wrong_messages_have_their_reasons() {
    let over = format!(r#"{{"conversation":"lobby","id":"1","text":"{}"}}"#, "x".repeat(65_537));
    let long_id = format!(r#"{{"conversation":"lobby","id":"{}","text":"x"}}"#, "x".repeat(129));
    let many = format!(r#"{{"conversation":"lobby","id":"1","text":"x","mentions":{}}}"#, json!(vec!["a"; 51]));
    let rows = [
        (r#"[]"#, "invalid_params"),
        (r#"{}"#, "invalid_params"),
        (r#"{"conversation":"lobby","id":"1"}"#, "invalid_params"),
        (r#"{"conversation":"lobby","id":1,"text":"x"}"#, "invalid_params"),
        (r#"{"conversation":"lobby","id":"1","text":null}"#, "invalid_params"),
        (r#"{"conversation":"lobby","id":"1","text":"\ud800"}"#, "invalid_params"),
        (r#"{"conversation":"lobby","id":"1","text":"x","text":"y"}"#, "invalid_params"),
        (r#"{"conversation":"lobby","id":"1","text":"x","reply_to":-1}"#, "invalid_params"),
        (r#"{"conversation":"lobby","id":"1","text":"x","mentions":"a"}"#, "invalid_params"),
        (r#"{"conversation":"lobby","id":"1","text":""}"#, "invalid_params"),
        (r#"{"conversation":"lobby","id":"","text":"x"}"#, "invalid_params"),
        (r#"{"conversation":"No Such","id":"1","text":"x"}"#, "unknown_conversation"),
        (r#"{"conversation":"inbox~alice","id":"1","text":"x"}"#, "unknown_conversation"),
        (&long_id, "invalid_params"),
        (&over, "text_too_large"),
        (&many, "too_large"),
    ];
    for (json, reason) in rows {
        assert_eq!(send(json).unwrap_err().reason, reason, "{}", &json[..json.len().min(100)]);
    }
}

#[test]
fn a_fault_names_the_member() {
    let fault = send(r#"{"conversation":"lobby","id":"1"}"#).unwrap_err();
    assert!(fault.message.contains("`text`"), "{}", fault.message);
}

#[test]
fn no_parameters_are_empty_ones() {
    let list: ListParams = params(None).unwrap();
    assert!(list.limit.is_none());
    assert!(params::<NoParams>(None).is_ok());
    assert!(given::<NoParams>(r#"{"more":1}"#).is_ok());
    assert_eq!(params::<PeopleParams>(None).unwrap().query(), Ok(None));
}

#[test]
fn conversations_are_made_of_what_parses() {
    let fresh = || ConversationId::parse("fresh").unwrap();
    let make = |json: &str| given::<CreateParams>(json)?.action(fresh);
    let Ok(Action::Create { id, title, members, .. }) = make(r#"{"kind":"group","members":["bob"]}"#) else { panic!("not made") };
    assert_eq!((id.as_str(), title.as_str(), members[0].as_str()), ("fresh", "fresh", "bob"));
    let many = format!(r#"{{"kind":"group","members":{}}}"#, json!(vec!["a"; 501]));
    let rows = [
        (r#"{}"#, "invalid_params"),
        (r#"{"kind":"direct"}"#, "invalid_params"),
        (r#"{"kind":"group","id":"A"}"#, "invalid_params"),
        (r#"{"kind":"group","id":"dm~a~b"}"#, "invalid_params"),
        (r#"{"kind":"group","title":"  "}"#, "invalid_params"),
        (r#"{"kind":"group","members":["No Such"]}"#, "unknown_user"),
        (&many, "too_many_members"),
    ];
    for (json, reason) in rows {
        assert_eq!(make(json).unwrap_err().reason, reason, "{json}");
    }
}

#[test]
fn a_cursor_goes_with_its_epoch() {
    let check = |json: &str| {
        let raw = raw(json);
        params::<SubscribeParams<'_>>(Some(&raw)).and_then(|subscribe| subscribe.check_epoch(u64::MAX))
    };
    assert_eq!(check(r#"{"conversation":"lobby"}"#), Ok(()));
    assert_eq!(check(&format!(r#"{{"conversation":"lobby","after":1,"epoch":"{}"}}"#, u64::MAX)), Ok(()));
    assert_eq!(check(&format!(r#"{{"conversation":"lobby","after":1,"epoch":{}}}"#, u64::MAX)), Ok(()));
    assert_eq!(check(r#"{"conversation":"lobby","epoch":"7"}"#), Err(Fault::resync(u64::MAX)));
    assert_eq!(check(r#"{"conversation":"lobby","epoch":"x"}"#).unwrap_err().reason, "invalid_params");
}

#[test]
fn pages_are_bounded() {
    assert_eq!(page_limit(None, 50), Ok(50));
    assert_eq!(page_limit(Some(500), 50), Ok(500));
    assert_eq!(page_limit(Some(u64::MAX), 50), Ok(500));
    assert_eq!(page_limit(Some(0), 50).unwrap_err().reason, "invalid_params");
    assert_eq!(after_user(Some("Not A Uid")).unwrap_err().reason, "invalid_params");
}

#[test]
fn small_bounds_hold() {
    let long = |bytes| "x".repeat(bytes);
    let me = Uid::parse("alice").unwrap();
    assert_eq!(conversation_id_or_inbox("inbox", &me).unwrap(), ConversationId::inbox(&me));
    let presence = given::<PresenceParams>(&json!({"status":"dnd","text":long(201)}).to_string()).unwrap();
    assert_eq!(presence.presence().unwrap_err().reason, "invalid_params");
    assert!(given::<PresenceParams>(r#"{"status":"offline"}"#).is_err());
    let profile = given::<ProfileParams>(&json!({"name":long(129)}).to_string()).unwrap();
    assert_eq!(profile.check().unwrap_err().reason, "invalid_params");
    assert_eq!(given::<OwnDataParams>("{}").unwrap().whose(&me).unwrap(), me);
    let raw = raw(r#"{"conversation":"lobby","seq":1,"emoji":"👍"}"#);
    let react: ReactParams<'_> = params(Some(&raw)).unwrap();
    assert!(matches!(react.action(), Ok(Action::React { on: true, .. })));
}

#[test]
fn tokens_and_passwords_are_not_in_debug_texts() {
    let hello: HelloParams<'_> = serde_json::from_str(r#"{"token":"s3cret"}"#).unwrap();
    let login: account::Login = serde_json::from_str(r#"{"conference":"demo","uid":"a","password":"s3cret"}"#).unwrap();
    assert!(!format!("{hello:?}{login:?}").contains("s3cret"));
}

#[test]
fn the_schema_knows_every_member() {
    let message = Message { text: "hi".into(), reply_to: Some(1), edits: vec![2], ..Message::default() };
    let bodies = [
        Body::Message(message),
        Body::React { target: 1, emoji: "x".into(), on: true },
        Body::Member { user: Uid::system(), change: Change::Role(MemberRole::Owner) },
        Body::Notice(Notice::Mention { conversation: ConversationId::parse("lobby").unwrap(), target: 1 }),
        Body::Notice(Notice::Refused { topic: "a".into(), why: "not_allowed".into() }),
        Body::Notice(Notice::Contact { user: Uid::system(), state: Acquaintance::WasAsked }),
        Body::Notice(Notice::Lead { owner: Uid::system() }),
    ];
    let lobby = ConversationId::parse("lobby").unwrap();
    let place = Place { conf: ConfNo(1), conv: ConvNo(2), conversation: lobby, kind: Kind::Channel, seq: 42 };
    for body in bodies {
        let entry = Entry { pos: 7, n: 40, ts_ms: 0, from: Uid::system(), name: "Alice".into(), via: Via::Mqtt, body };
        let event = Event { place: place.clone(), entry, origin: 0 };
        let raw = canonical::raw_event(&event, &EventIds::new([5; 16])).expect("JSON");
        let value: serde_json::Value = serde_json::from_str(raw.get()).unwrap();
        let shape: super::event::EventShape = serde_json::from_value(value.clone()).expect("a known shape");
        assert_eq!(serde_json::to_value(shape).unwrap(), value);
    }
}
