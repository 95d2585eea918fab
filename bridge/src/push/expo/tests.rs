//! Pushes to an Expo of this machine.

use proptest::prelude::*;
use serde_json::Value;

use super::super::testing::{Hands, SILENCE, Service, push, target, without_content};
use super::*;

const TOKEN: &str = "ExponentPushToken[xxxxxxxxxxxxxxxxxxxxxx]";
const OK: &str = r#"{"data":[{"status":"ok","id":"1"}]}"#;

async fn story() -> (Service, Expo) {
    let (expo, gateway, _) = story_with_clock().await;
    (expo, gateway)
}

async fn story_with_clock() -> (Service, Expo, Arc<Hands>) {
    let expo = Service::start(false).await;
    let url = Some(expo.url() + "/--/api/v2/push/send");
    let options = ExpoOptions { access_token: Some("an-access-token".into()), url, receipts_after_s: None };
    let clock = Hands::at(1_700_000_000_000);
    let gateway = Expo::new(options, Outward::keeping(true, &Arc::default()), Arc::clone(&clock) as Arc<dyn Clock>);
    (expo, gateway, clock)
}

async fn send(gateway: &Expo) -> Sent {
    gateway.send(&target(Provider::Expo, TOKEN, Vec::new()), &push()).await
}

#[tokio::test]
async fn a_push_as_expo_wants_it() {
    let (expo, gateway) = story().await;
    expo.says(&[(200, OK)]);
    assert_eq!(send(&gateway).await, Sent::Accepted);
    let asked = &expo.asked()[0];
    assert_eq!((&*asked.path, asked.header("authorization")), ("/--/api/v2/push/send", "Bearer an-access-token"));
    assert_eq!(
        asked.json(),
        json!([{
            "to": TOKEN, "title": "Bob", "body": "Hello", "badge": 5, "sound": "default", "ttl": 600, "priority": "high", "mutableContent": true,
            "data": {
                "conference": "demo", "conversation": "dm~alice~bob", "kind": "direct", "seq": 7, "id": "abcdef", "from": "bob", "unread": 2,
                "collapse": "c0llapse-id_of_32_characters_aaa", "mentions": false, "ts": "2023-11-14T22:13:20.123Z",
            },
        }])
    );
    assert_eq!(gateway.send(&target(Provider::Expo, TOKEN, Vec::new()), &without_content()).await, Sent::Accepted);
    let message = &expo.asked()[0].json()[0];
    let data = json!({
        "conference": "demo", "kind": "direct", "from": "", "unread": 2, "collapse": "c0llapse-id_of_32_characters_aaa", "mentions": false,
        "ts": "2023-11-14T22:13:20.123Z",
    });
    assert_eq!((&message["data"], message.to_string().contains("dm~")), (&data, false));
}

#[tokio::test]
async fn what_answers_mean() {
    let (expo, gateway) = story().await;
    let ticket = |error: &str| json!({ "data": [{ "status": "error", "message": "…", "details": { "error": error } }] }).to_string();
    let refused = |why: &str| Sent::Refused(why.into());
    let later = |why: &str| Sent::Later { after: None, why: why.into() };
    for (status, body, wanted) in [
        (200, OK.to_owned(), Sent::Accepted),
        (200, ticket("DeviceNotRegistered"), Sent::Gone),
        (200, ticket("MessageTooBig"), refused("MessageTooBig")),
        (200, ticket("MismatchSenderId"), refused("MismatchSenderId")),
        (200, ticket("InvalidCredentials"), refused("InvalidCredentials")),
        (200, ticket("MessageRateExceeded"), Sent::Throttled { after: None, why: "MessageRateExceeded".into() }),
        (200, "{}".to_owned(), later("status 200")),
        (400, r#"{"errors":[{"code":"API_ERROR","message":"…"}]}"#.to_owned(), refused("API_ERROR")),
        (401, r#"{"errors":[{"code":"UNAUTHORIZED"}]}"#.to_owned(), refused("UNAUTHORIZED")),
        (429, r#"{"errors":[{"code":"TOO_MANY_REQUESTS"}]}"#.to_owned(), later("TOO_MANY_REQUESTS")),
        (504, "<html>".to_owned(), later("status 504")),
    ] {
        expo.says(&[(status, &body)]);
        assert_eq!(send(&gateway).await, wanted, "{status} {body}");
    }
}

#[tokio::test]
async fn what_comes_together_goes_together_and_each_hears_of_its_own() {
    let (expo, gateway) = story().await;
    let tickets: Vec<Value> =
        (0..10)
            .map(|at| {
                if at == 3 {
                    json!({ "status": "error", "details": { "error": "DeviceNotRegistered" } })
                } else {
                    json!({ "status": "ok" })
                }
            })
            .collect();
    expo.says(&[(200, &json!({ "data": tickets }).to_string())]);
    let (target, push) = (target(Provider::Expo, TOKEN, Vec::new()), push());
    let sents = futures_util::future::join_all((0..10).map(|_| gateway.send(&target, &push))).await;
    assert_eq!(sents.iter().position(|sent| *sent == Sent::Gone), Some(3));
    assert_eq!(sents.iter().filter(|sent| **sent == Sent::Accepted).count(), 9);
    let asked = expo.asked();
    assert_eq!((asked.len(), asked[0].json().as_array().unwrap().len()), (1, 10));
}

#[tokio::test]
async fn one_that_spoils_a_request_spoils_it_for_itself_alone() {
    let (expo, gateway) = story().await;
    let mixed = r#"{"errors":[{"code":"PUSH_TOO_MANY_EXPERIENCE_IDS"}]}"#;
    expo.says(&[(400, mixed), (200, OK), (400, mixed), (200, OK)]);
    let (target, push) = (target(Provider::Expo, TOKEN, Vec::new()), push());
    let sents = futures_util::future::join_all((0..3).map(|_| gateway.send(&target, &push))).await;
    assert_eq!(sents, [Sent::Accepted, Sent::Refused("PUSH_TOO_MANY_EXPERIENCE_IDS".into()), Sent::Accepted]);
    assert_eq!(expo.asked().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_has_to_go_one_by_one_is_answered_before_anybody_stops_waiting() {
    let (expo, gateway) = story().await;
    expo.says(&[(400, r#"{"errors":[{"code":"PUSH_TOO_MANY_EXPERIENCE_IDS"}]}"#), (SILENCE, "")]);
    let (target, push) = (target(Provider::Expo, TOKEN, Vec::new()), push());
    let began = Instant::now();
    let sents = futures_util::future::join_all((0..32).map(|_| gateway.send(&target, &push))).await;
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    let silent = Sent::Later { after: None, why: "no answer in time".into() };
    assert_eq!(sents[0], silent);
    assert!(sents.iter().skip(2).all(|sent| matches!(sent, Sent::Throttled { .. })), "{sents:?}");
}

#[tokio::test]
async fn who_gives_up_takes_nobody_along() {
    let (expo, gateway) = story().await;
    expo.says(&[(200, OK)]);
    let (target, push) = (target(Provider::Expo, TOKEN, Vec::new()), push());
    let mut first = gateway.send(&target, &push);
    // It is among those that wait now.
    assert!(tokio::time::timeout(Duration::ZERO, &mut first).await.is_err());
    drop(first);
    assert_eq!(gateway.send(&target, &push).await, Sent::Accepted);
    assert_eq!(expo.asked()[0].json().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_device_that_is_gone_by_its_receipt_is_told_of_a_quarter_of_an_hour_later_and_once() {
    let (expo, gateway, clock) = story_with_clock().await;
    let phone = |name: &str| Target { since_ms: 42, ..target(Provider::Expo, &format!("ExponentPushToken[{name}]"), Vec::new()) };
    let (gone, there, push) = (phone("gone"), phone("there"), push());
    let tickets = ["t-1", "t-2", "t-3"].map(|id| json!({ "status": "ok", "id": id }));
    expo.says(&[
        (200, &json!({ "data": tickets }).to_string()),
        (200, r#"{"data":{"t-1":{"status":"error","message":"…","details":{"error":"DeviceNotRegistered"}},"t-2":{"status":"ok"}}}"#),
    ]);
    let sents = futures_util::future::join_all([&gone, &there, &gone].map(|phone| gateway.send(phone, &push))).await;
    assert_eq!(sents, [Sent::Accepted, Sent::Accepted, Sent::Accepted]);
    assert_eq!(expo.asked().len(), 1);
    clock.turn(15 * 60_000 - 1);
    assert_eq!(gateway.departed(), []);
    clock.turn(1);
    let mut departed = gateway.departed();
    while departed.is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
        departed = gateway.departed();
    }
    let (conference, user) = (push.conference.clone(), push.user.clone());
    assert_eq!(departed, [Departed { target: gone.id(&user), conference, user, since_ms: 42 }]);
    clock.turn(24 * 3_600_000);
    assert_eq!(gateway.departed(), []);
    let asked = expo.asked();
    assert_eq!((asked.len(), &*asked[0].path), (1, "/--/api/v2/push/getReceipts"));
    assert_eq!((asked[0].json(), asked[0].header("authorization")), (json!({ "ids": ["t-1", "t-2"] }), "Bearer an-access-token"));
}

#[test]
fn tokens() {
    for text in [TOKEN, "ExpoPushToken[a-b_C9]"] {
        assert!(is_token(text), "{text}");
    }
    let long = format!("ExpoPushToken[{}]", "a".repeat(MAX_NAME_BYTES + 1));
    for text in ["", "ExponentPushToken[]", "ExponentPushToken[a", "PushToken[a]", "ExponentPushToken[a b]", "ExponentPushToken[a]]", &long]
    {
        assert!(!is_token(text), "{text}");
    }
}

proptest! {
    #[test]
    fn whatever_expo_says_everybody_hears_something(status in 100_u16..600, body in prop::collection::vec(any::<u8>(), 0..60), word in ".{0,40}", count in 1_usize..5) {
        let tickets = vec![json!({ "status": word, "details": { "error": word } }); count];
        for body in [Bytes::from(body), Bytes::from(json!({ "data": tickets }).to_string()), Bytes::from(json!({ "errors": [{ "code": word }] }).to_string())] {
            let answer = Ok(Response::builder().status(status).body(body).unwrap());
            prop_assert_eq!(outcomes(&answer, count, 0).len(), count);
        }
    }

    #[test]
    fn a_message_is_as_large_as_expo_takes(text in "[a\"é\u{1f600}\n]{0,4000}") {
        let long = Push { text: text.into(), ..push() };
        prop_assert!(message(&target(Provider::Expo, TOKEN, Vec::new()), &long).unwrap().len() <= MAX_MESSAGE_BYTES);
    }
}
