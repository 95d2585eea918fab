//! What comes of every kind of message.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// What a server that knows no method but `ok` answers.
fn answer(text: &str) -> Option<Value> {
    let mut out = Vec::new();
    match parse(text) {
        Err((id, fault)) => write_error(&mut out, &id, &fault),
        Ok(Message::One(call)) => carry_out(&mut out, Ok(call)),
        Ok(Message::Batch(entries)) => {
            let mut batch = Batch::new();
            for entry in entries {
                batch.add(|out| carry_out(out, entry));
            }
            out = batch.finish().unwrap_or_default();
        }
    }
    (!out.is_empty()).then(|| serde_json::from_slice(&out).expect("answers are JSON"))
}

fn carry_out(out: &mut Vec<u8>, entry: Entry<'_>) {
    match entry {
        Err((id, fault)) => write_error(out, &id, &fault),
        Ok(Call { id: None, .. }) => {}
        Ok(Call { id: Some(id), method, params }) if method == "ok" => {
            write_result_with(out, &id, |out| out.extend_from_slice(params.map_or("null", serde_json::value::RawValue::get).as_bytes()))
        }
        Ok(Call { id: Some(id), .. }) => write_error(out, &id, &Fault::unknown_method()),
    }
}

fn refusal(answer: &Value) -> (i64, &str, &Value) {
    let error = &answer["error"];
    (error["code"].as_i64().unwrap(), error["data"]["reason"].as_str().unwrap(), &answer["id"])
}

#[test]
fn calls_are_answered() {
    let rows = [
        (r#"{"jsonrpc":"2.0","id":1,"method":"ok"}"#, json!(1), json!(null)),
        (r#" {"id":"a\u0041","method":"o\u006b","jsonrpc":"2.0","params":{"x":[1]},"more":{}} "#, json!("aA"), json!({"x":[1]})),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ok","params":[]}"#, json!(null), json!([])),
        (r#"{"jsonrpc":"2.0","id":-1.5e3,"method":"ok"}"#, json!(-1500.0), json!(null)),
        (r#"{"jsonrpc":"2.0","id":18446744073709551616,"method":"ok"}"#, json!(18446744073709551616.0), json!(null)),
    ];
    for (text, id, result) in rows {
        assert_eq!(answer(text), Some(json!({"jsonrpc":"2.0","id":id,"result":result})), "{text}");
    }
}

#[test]
fn notifications_are_not_answered() {
    assert_eq!(answer(r#"{"jsonrpc":"2.0","method":"ok"}"#), None);
    assert_eq!(answer(r#"{"jsonrpc":"2.0","method":"nonsense"}"#), None);
    assert_eq!(answer(r#"[{"jsonrpc":"2.0","method":"ok"},{"jsonrpc":"2.0","method":"ok"}]"#), None);
}

#[test]
fn what_is_no_call_is_refused() {
    let long_id = format!(r#"{{"jsonrpc":"2.0","method":"ok","id":"{}"}}"#, "x".repeat(255));
    let rows = [
        ("", -32700, "parse_error", json!(null)),
        ("{", -32700, "parse_error", json!(null)),
        ("nonsense", -32700, "parse_error", json!(null)),
        ("[1,", -32700, "parse_error", json!(null)),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ok"} x"#, -32700, "parse_error", json!(null)),
        ("5", -32600, "invalid_request", json!(null)),
        ("\"x\"", -32600, "invalid_request", json!(null)),
        ("null", -32600, "invalid_request", json!(null)),
        ("[]", -32600, "invalid_request", json!(null)),
        ("{}", -32600, "invalid_request", json!(null)),
        (r#"{"id":1,"method":"ok"}"#, -32600, "invalid_request", json!(1)),
        (r#"{"jsonrpc":2.0,"id":1,"method":"ok"}"#, -32600, "invalid_request", json!(1)),
        (r#"{"jsonrpc":"2.0","id":1}"#, -32600, "invalid_request", json!(1)),
        (r#"{"jsonrpc":"2.0","id":1,"method":5}"#, -32600, "invalid_request", json!(1)),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ok","params":5}"#, -32600, "invalid_request", json!(1)),
        (r#"{"jsonrpc":"2.0","id":{},"method":"ok"}"#, -32600, "invalid_request", json!(null)),
        (r#"{"jsonrpc":"2.0","id":true,"method":"ok"}"#, -32600, "invalid_request", json!(null)),
        (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ok"}"#, -32600, "invalid_request", json!(null)),
        (&long_id, -32600, "invalid_request", json!(null)),
        (r#"{"jsonrpc":"2.0","id":7,"method":"nonsense"}"#, -32601, "unknown_method", json!(7)),
    ];
    for (text, code, reason, id) in rows {
        let answer = answer(text).expect(text);
        assert_eq!(refusal(&answer), (code, reason, &id), "{text}");
    }
}

#[test]
fn nesting_is_bounded_before_parsing() {
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ok","params":{open}{close}}}"#)
    };
    assert!(answer(&nested(MAX_DEPTH)).unwrap().get("result").is_some());
    assert_eq!(refusal(&answer(&nested(MAX_DEPTH + 1)).unwrap()), (-32700, "too_deep", &json!(null)));
    assert_eq!(refusal(&answer(&"[".repeat(900_000)).unwrap()), (-32700, "too_deep", &json!(null)));
    let quoted = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ok","params":["\"{}"]}}"#, "[".repeat(100));
    assert!(answer(&quoted).unwrap().get("result").is_some());
}

#[test]
fn batches() {
    let batch = |entries: usize| format!("[{}]", vec![r#"{"jsonrpc":"2.0","id":1,"method":"ok"}"#; entries].join(","));
    assert_eq!(answer(&batch(1)).unwrap().as_array().unwrap().len(), 1);
    assert_eq!(answer(&batch(100)).unwrap().as_array().unwrap().len(), 100);
    assert_eq!(refusal(&answer(&batch(101)).unwrap()), (-32600, "batch_too_large", &json!(null)));
    let mixed = answer(r#"[1, {"jsonrpc":"2.0","method":"ok"}, {"jsonrpc":"2.0","method":"ok","id":"b"}, []]"#).unwrap();
    let mixed = mixed.as_array().unwrap();
    assert_eq!(mixed.len(), 3);
    assert_eq!(refusal(&mixed[0]), (-32600, "invalid_request", &json!(null)));
    assert_eq!(mixed[1]["id"], "b");
    assert_eq!(refusal(&mixed[2]), (-32600, "invalid_request", &json!(null)));
}

#[test]
fn ordinary_ids_and_methods_are_not_copied() {
    let text = r#"{"jsonrpc":"2.0","id":12345,"method":"message.send","params":{}}"#;
    let Ok(Message::One(call)) = parse(text) else { panic!("no call") };
    assert!(matches!(call.method, Cow::Borrowed("message.send")));
    assert_eq!(call.id, Some(Id(Raw::Number(12345))));
}

#[test]
fn a_fault_tells_its_status_and_data() {
    let mut out = Vec::new();
    let fault = Fault { retry_after_ms: Some(250), ..Fault::resync(7) };
    fault.write(&mut out);
    let value: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(value["code"], 1009);
    assert_eq!(value["data"], json!({"reason":"resync","retry_after_ms":250,"epoch":"7"}));
    assert_eq!(fault.status(), 409);
    assert_eq!(Fault::invalid_params("ä".repeat(900)).message.len(), "wrong or missing parameters".len() + 200);
}

proptest! {
    #[test]
    fn any_text_gets_an_answer_or_is_a_notification(text in prop_oneof![
        "\\PC{0,300}",
        r#"[\[\]{}",:\\a-z0-9 ]{0,200}"#,
        r#"\{"(jsonrpc|id|method)":("2.0"|1|null|\[\]|"ok"),"(jsonrpc|id|method)":("2.0"|1|null|"ok"),"(method|params|id)":("ok"|\{\}|"\\ud800")\}"#,
    ]) {
        if answer(&text).is_none() {
            // Only what is JSON and has no id may go unanswered.
            let value: Value = serde_json::from_str(&text).expect("a notification is JSON");
            let entries = value.as_array().cloned().unwrap_or(vec![value]);
            prop_assert!(entries.iter().all(|entry| entry.get("id").is_none()));
        }
    }
}
