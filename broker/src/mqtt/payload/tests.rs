//! Payloads as clients write them, and as nobody should.

use super::*;
use proptest::prelude::*;

const JSON: Option<&str> = Some("application/json");
const TEXT: Option<&str> = Some("text/plain");

fn malformed<T>(member: &'static str) -> Result<T, BadPayload> {
    Err(BadPayload::Malformed { member })
}

fn text(text: &str) -> Result<Draft<'_>, BadPayload> {
    Ok(Draft { text: text.into(), ..Draft::default() })
}

#[test]
fn the_content_type_decides_what_a_message_is() {
    let draft = r#"{"text":"hi"}"#;
    for content_type in [JSON, Some("Application/JSON; charset=utf-8"), None, Some(""), Some("application/octet-stream")] {
        assert_eq!(Draft::parse(draft.as_bytes(), content_type), text("hi"), "{content_type:?}");
    }
    for content_type in [TEXT, Some("text/markdown"), Some("TEXT/plain;charset=UTF-8")] {
        assert_eq!(Draft::parse(draft.as_bytes(), content_type), text(draft), "{content_type:?}");
    }
    assert_eq!(Draft::parse(b"hi", JSON), Err(BadPayload::NotObject));
    assert_eq!(Draft::parse(b"[1]", JSON), Err(BadPayload::NotObject));
    assert_eq!(Draft::parse(b"{}", JSON), malformed("text"));
    assert_eq!(Draft::parse(br#"{"text":5}"#, JSON), malformed("text"));
    for content_type in [None, TEXT, JSON] {
        assert_eq!(Draft::parse(b"\xff", content_type), Err(BadPayload::NotUtf8));
    }
}

#[test]
fn without_a_content_type_what_is_no_draft_is_text() {
    for plain in [
        "hi",
        "",
        " {",
        "{}",
        "[\"text\"]",
        "5",
        r#"{"text":5}"#,
        r#"{"text":null}"#,
        r#"{"text":"a"} b"#,
        r#"{"body":"a"}"#,
        "{\"text\":\"a",
    ] {
        assert_eq!(Draft::parse(plain.as_bytes(), None), text(plain), "{plain}");
    }
    assert_eq!(Draft::parse(b" \n{\"text\":\"a\"}\n", None), text("a"));
}

#[test]
fn a_draft_says_all_that_a_message_has() {
    let payload =
        br#"{"id":"c-1","text":"hi \u00fc","reply_to":7,"mentions":["bob","*"],"attachments":["/files/x"],"from":"mallory","deep":[[{}]]}"#;
    let draft = Draft::parse(payload, None).unwrap();
    assert_eq!(
        draft,
        Draft {
            id: Some("c-1".into()),
            text: "hi ü".into(),
            reply_to: Some(7),
            mentions: vec!["bob".into(), "*".into()],
            attachments: vec!["/files/x".into()],
        }
    );
    assert!(matches!(draft.id, Some(Cow::Borrowed(_))), "what has no escapes is not copied");
    let nulls = br#"{"id":null,"text":"hi","reply_to":null,"mentions":null,"attachments":null}"#;
    assert_eq!(Draft::parse(nulls, None), text("hi"));
    assert_eq!(Draft::parse(br#"{"text":"a","text":"b"}"#, None), text("b"));
}

#[test]
fn a_refused_draft_names_the_member() {
    for (payload, member) in [
        (r#"{"text":"a","id":5}"#, "id"),
        (r#"{"text":"a","reply_to":"5"}"#, "reply_to"),
        (r#"{"text":"a","reply_to":-1}"#, "reply_to"),
        (r#"{"text":"a","reply_to":1.5}"#, "reply_to"),
        (r#"{"text":"a","mentions":"bob"}"#, "mentions"),
        (r#"{"text":"a","mentions":[1]}"#, "mentions"),
        (r#"{"text":"a","attachments":{}}"#, "attachments"),
        (r#"{"text":"\ud800"}"#, "text"),
    ] {
        assert_eq!(Draft::parse(payload.as_bytes(), None), malformed(member), "{payload}");
        assert_eq!(Draft::parse(payload.as_bytes(), JSON), malformed(member), "{payload}");
    }
}

#[test]
fn deep_nesting_is_no_danger() {
    let deep = format!("{}{}", "[".repeat(300_000), "]".repeat(300_000));
    for payload in [deep.clone(), "[".repeat(600_000), "{\"a\":".repeat(100_000)] {
        assert_eq!(Draft::parse(payload.as_bytes(), None), text(&payload));
    }
    assert_eq!(Draft::parse(format!(r#"{{"text":"a","x":{deep}}}"#).as_bytes(), None), text("a"));
    assert_eq!(Draft::parse(format!(r#"{{"text":"a","mentions":{deep}}}"#).as_bytes(), None), malformed("mentions"));
}

#[test]
fn messages_are_edited_deleted_and_reacted_to() {
    for (payload, expected) in [
        (r#"{"kind":"edit","target":5,"text":"new"}"#, Ok(Amendment::Edit { target: 5, text: "new".into() })),
        (r#"{"kind":"delete","target":5}"#, Ok(Amendment::Delete { target: 5 })),
        (r#"{"kind":"react","target":5,"emoji":"👍","on":false}"#, Ok(Amendment::React { target: 5, emoji: "👍".into(), on: false })),
        (r#"{"kind":"react","target":5,"emoji":"👍"}"#, Ok(Amendment::React { target: 5, emoji: "👍".into(), on: true })),
        (r#"{"kind":"react","target":5}"#, malformed("emoji")),
        (r#"{"kind":"react","target":5,"emoji":"👍","on":1}"#, malformed("on")),
        (r#"{"kind":"edit","target":5}"#, malformed("text")),
        (r#"{"kind":"edit","target":"5","text":""}"#, malformed("target")),
        (r#"{"kind":"delete"}"#, malformed("target")),
        (r#"{"kind":"settings"}"#, malformed("kind")),
        (r#"{"kind":1}"#, malformed("kind")),
        ("{}", malformed("kind")),
        ("delete", Err(BadPayload::NotObject)),
        ("", Err(BadPayload::NotObject)),
    ] {
        assert_eq!(Amendment::parse(payload.as_bytes()), expected, "{payload}");
    }
}

#[test]
fn signals_are_objects_or_bare_words() {
    for (payload, expected) in [
        ("", Ok(true)),
        ("true", Ok(true)),
        ("1\n", Ok(true)),
        ("on", Ok(true)),
        (r#"{"on":true}"#, Ok(true)),
        ("false", Ok(false)),
        ("0", Ok(false)),
        (" off ", Ok(false)),
        (r#"{"on":false,"x":1}"#, Ok(false)),
        ("maybe", malformed("on")),
        ("{}", malformed("on")),
        (r#"{"on":"true"}"#, malformed("on")),
    ] {
        assert_eq!(typing(payload.as_bytes()), expected, "{payload}");
    }
    for (payload, expected) in [
        ("5", Ok(5)),
        ("18446744073709551615\n", Ok(u64::MAX)),
        (r#"{"seq":5}"#, Ok(5)),
        ("", malformed("seq")),
        ("+5", malformed("seq")),
        ("-5", malformed("seq")),
        ("5.0", malformed("seq")),
        ("18446744073709551616", malformed("seq")),
        (r#"{"seq":"5"}"#, malformed("seq")),
        ("{}", malformed("seq")),
    ] {
        assert_eq!(read_marker(payload.as_bytes()), expected, "{payload}");
    }
    for (payload, expected) in [
        ("online", Ok(Presence { status: Status::Online, text: None })),
        ("away\n", Ok(Presence { status: Status::Away, text: None })),
        (r#"{"status":"dnd"}"#, Ok(Presence { status: Status::Dnd, text: None })),
        (r#"{"status":"away","text":"lunch"}"#, Ok(Presence { status: Status::Away, text: Some("lunch".into()) })),
        ("offline", malformed("status")),
        ("", malformed("status")),
        (r#"{"text":"lunch"}"#, malformed("status")),
        (r#"{"status":"away","text":1}"#, malformed("text")),
    ] {
        assert_eq!(Presence::parse(payload.as_bytes()), expected, "{payload}");
    }
}

fn read_as_everything(payload: &[u8]) {
    for content_type in [None, JSON, TEXT] {
        let _ = Draft::parse(payload, content_type);
    }
    let _ = (Amendment::parse(payload), typing(payload), read_marker(payload), Presence::parse(payload));
}

/// Something between JSON and not: known members and values with pieces left out.
fn nearly_json() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\"text\":",
        "\"id\":",
        "\"kind\":",
        "\"edit\"",
        "\"react\"",
        "\"target\":",
        "\"mentions\":",
        "null",
        "true",
        "5",
        "-1e9",
        "\\u0000",
        "\\ud83d",
        "\"away\"",
        "\"status\":",
        "👍",
        " ",
    ]);
    prop::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn no_bytes_panic(payload: Vec<u8>, nearly in nearly_json(), inside in nearly_json(), content_type in "\\PC{0,20}") {
        read_as_everything(&payload);
        read_as_everything(nearly.as_bytes());
        read_as_everything(format!("{{{inside}}}").as_bytes());
        let _ = Draft::parse(&payload, Some(&content_type));
    }

    #[test]
    fn every_text_can_be_sent(words in "\\PC{0,80}") {
        prop_assert_eq!(Draft::parse(words.as_bytes(), TEXT), text(&words));
        let json = serde_json::json!({ "text": words }).to_string();
        prop_assert_eq!(Draft::parse(json.as_bytes(), None), text(&words));
        prop_assert_eq!(Draft::parse(json.as_bytes(), JSON), text(&words));
    }
}
