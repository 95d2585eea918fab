//! Pushes to a Google of this machine.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use proptest::prelude::*;
use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use serde_json::Value;

use super::super::testing::{Asked, Hands, Service, push, target, without_content};
use super::*;

const TOKEN: &str = "bk3RNwTe3H0:CI2k_HHwgIpoDKCIZvvDMExUdFQ3P1";
const KEY: &str = include_str!("../../../../broker/src/accounts/jwt/testing/rsa.p8.base64");
const GRANT: &str = r#"{"access_token":"ya29.first","expires_in":3599,"token_type":"Bearer"}"#;
const GRANT_AGAIN: &str = r#"{"access_token":"ya29.second","expires_in":3599,"token_type":"Bearer"}"#;

struct Story {
    google: Service,
    tokens: Service,
    clock: Arc<Hands>,
    gateway: Fcm,
}

fn account(dir: &std::path::Path, token_uri: &str) -> FcmOptions {
    let file = dir.join("account.json");
    let account = json!({
        "type": "service_account",
        "project_id": "hallway-1",
        "private_key_id": "k1",
        "private_key": format!("-----BEGIN PRIVATE KEY-----\n{KEY}\n-----END PRIVATE KEY-----\n"),
        "client_email": "push@hallway-1.iam.example",
        "token_uri": token_uri,
    });
    std::fs::write(&file, account.to_string()).unwrap();
    FcmOptions { service_account_file: Some(file), ..FcmOptions::default() }
}

impl Story {
    async fn begin() -> Self {
        let (google, tokens) = (Service::start(false).await, Service::start(false).await);
        let (dir, clock) = (tempfile::tempdir().unwrap(), Hands::at(1_700_000_000_000));
        let options = FcmOptions { url: Some(google.url()), ..account(dir.path(), &(tokens.url() + "/token")) };
        let gateway = Fcm::open(&options, Outward::keeping(true, &Arc::default()), &(Arc::clone(&clock) as Arc<dyn Clock>));
        tokens.says(&[(200, GRANT), (200, GRANT_AGAIN)]);
        Self { google, tokens, clock, gateway: gateway.unwrap().unwrap() }
    }

    async fn send(&self) -> Sent {
        self.gateway.send(&target(Provider::Fcm, TOKEN, Vec::new()), &push()).await
    }
}

/// What a token request claims, if the key has signed it.
fn claims(asked: &Asked) -> Value {
    let body = std::str::from_utf8(&asked.body).unwrap();
    let signed = body.strip_prefix("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=").unwrap();
    let (signed, signature) = signed.rsplit_once('.').unwrap();
    let text: String = KEY.split_whitespace().collect();
    let key = RsaKeyPair::from_pkcs8(&data_encoding::BASE64.decode(text.as_bytes()).unwrap()).unwrap();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref());
    public.verify(signed.as_bytes(), &BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap()).unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let read = |part: &str| serde_json::from_slice::<Value>(&BASE64URL_NOPAD.decode(part.as_bytes()).unwrap()).unwrap();
    assert_eq!(read(header), json!({ "typ": "JWT", "alg": "RS256", "kid": "k1" }));
    read(claims)
}

#[tokio::test]
async fn a_push_as_google_wants_it() {
    let story = Story::begin().await;
    assert_eq!(story.send().await, Sent::Accepted);
    let token_url = story.tokens.url() + "/token";
    let asked = &story.tokens.asked()[0];
    assert_eq!((&*asked.path, asked.header("content-type")), ("/token", "application/x-www-form-urlencoded"));
    let wanted = json!({
        "iss": "push@hallway-1.iam.example",
        "scope": "https://www.googleapis.com/auth/firebase.messaging",
        "aud": token_url,
        "iat": 1_700_000_000,
        "exp": 1_700_003_600,
    });
    assert_eq!(claims(asked), wanted);
    let asked = &story.google.asked()[0];
    assert_eq!((&*asked.path, asked.header("authorization")), ("/v1/projects/hallway-1/messages:send", "Bearer ya29.first"));
    let wanted = json!({
        "token": TOKEN,
        "notification": { "title": "Bob", "body": "Hello" },
        "data": {
            "conference": "demo", "conversation": "dm~alice~bob", "kind": "direct", "seq": "7", "id": "abcdef", "sender": "bob", "unread": "2",
            "badge": "5", "collapse": "c0llapse-id_of_32_characters_aaa", "mentions": "false", "ts": "2023-11-14T22:13:20.123Z",
        },
        "android": {
            "collapse_key": "c0llapse-id_of_32_characters_aaa", "priority": "HIGH", "ttl": "600s",
            "notification": { "tag": "c0llapse-id_of_32_characters_aaa" },
        },
        "apns": {
            "headers": { "apns-collapse-id": "c0llapse-id_of_32_characters_aaa" },
            "payload": { "aps": { "badge": 5, "sound": "default", "thread-id": "dm~alice~bob" } },
        },
    });
    assert_eq!(asked.json(), json!({ "message": wanted }));
    assert_eq!(story.gateway.send(&target(Provider::Fcm, TOKEN, Vec::new()), &without_content()).await, Sent::Accepted);
    let message = &story.google.asked()[0].json()["message"];
    let data = json!({
        "conference": "demo", "kind": "direct", "sender": "", "unread": "2", "badge": "5", "collapse": "c0llapse-id_of_32_characters_aaa",
        "mentions": "false", "ts": "2023-11-14T22:13:20.123Z",
    });
    assert_eq!((&message["data"], message.to_string().contains("dm~")), (&data, false));
}

#[tokio::test]
async fn what_answers_mean() {
    let story = Story::begin().await;
    let error = |status: &str, details: Value| json!({ "error": { "status": status, "message": "…", "details": [details] } }).to_string();
    let of_push = |status: &str, code: &str| {
        error(status, json!({ "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code }))
    };
    let violation = |field: &str| {
        error("INVALID_ARGUMENT", json!({ "@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{ "field": field }] }))
    };
    let (wait, quota) = (Some(Duration::from_secs(60)), |detail: Value| error("RESOURCE_EXHAUSTED", detail));
    let bad_token = r#"{"error":{"code":400,"message":"The registration token is not a valid FCM registration token","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"INVALID_ARGUMENT"}]}}"#;
    let refused = |why: &str| Sent::Refused(why.into());
    let later = |why: &str| Sent::Later { after: None, why: why.into() };
    for (status, body, wanted) in [
        (200, r#"{"name":"projects/hallway-1/messages/1"}"#.to_owned(), Sent::Accepted),
        (404, of_push("NOT_FOUND", "UNREGISTERED"), Sent::Gone),
        (400, violation("message.token"), Sent::Gone),
        (400, bad_token.to_owned(), Sent::Gone),
        (400, violation("message.data[0].value"), refused("INVALID_ARGUMENT")),
        (400, of_push("INVALID_ARGUMENT", "INVALID_ARGUMENT"), refused("INVALID_ARGUMENT")),
        (403, of_push("PERMISSION_DENIED", "SENDER_ID_MISMATCH"), refused("SENDER_ID_MISMATCH")),
        (401, of_push("UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"), refused("THIRD_PARTY_AUTH_ERROR")),
        (404, error("NOT_FOUND", json!({})), refused("NOT_FOUND")),
        (
            429,
            of_push("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"),
            Sent::Throttled { after: Some(Duration::from_secs(60)), why: "QUOTA_EXCEEDED".into() },
        ),
        (
            429,
            quota(json!({ "violations": [{ "subject": "device:abc" }] })),
            Sent::Throttled { after: wait, why: "RESOURCE_EXHAUSTED".into() },
        ),
        (
            429,
            quota(json!({ "violations": [{ "subject": "project:hallway-1" }] })),
            Sent::Later { after: wait, why: "RESOURCE_EXHAUSTED".into() },
        ),
        (429, quota(json!({ "reason": "RATE_LIMIT_EXCEEDED" })), Sent::Later { after: wait, why: "RESOURCE_EXHAUSTED".into() }),
        (500, of_push("INTERNAL", "INTERNAL"), later("INTERNAL")),
        (503, of_push("UNAVAILABLE", "UNAVAILABLE"), later("UNAVAILABLE")),
        (502, "<html>".to_owned(), later("status 502")),
    ] {
        story.google.says(&[(status, &body)]);
        assert_eq!(story.send().await, wanted, "{status} {body}");
        assert_eq!(story.google.asked().len(), 1, "{status} {body}");
    }
    story.google.replies(vec![(503, vec![("retry-after", "120".to_owned())], String::new())]);
    assert_eq!(story.send().await, Sent::Later { after: Some(Duration::from_secs(120)), why: "status 503".into() });
}

#[tokio::test]
async fn an_access_token_is_kept_until_it_expires_or_is_refused() {
    let story = Story::begin().await;
    let used = || story.google.asked().iter().map(|asked| asked.header("authorization").to_owned()).collect::<Vec<_>>();
    story.send().await;
    story.clock.turn(54 * 60_000);
    story.send().await;
    assert_eq!((used(), story.tokens.asked().len()), (vec!["Bearer ya29.first".to_owned(); 2], 1));
    story.clock.turn(60_000);
    story.send().await;
    assert_eq!((used(), story.tokens.asked().len()), (vec!["Bearer ya29.second".to_owned()], 1));
    story.tokens.says(&[(200, GRANT)]);
    let expired = r#"{"error":{"code":401,"status":"UNAUTHENTICATED"}}"#;
    story.google.says(&[(401, expired), (200, "{}")]);
    assert_eq!(story.send().await, Sent::Accepted);
    assert_eq!(used(), ["Bearer ya29.second", "Bearer ya29.first"]);
    story.google.says(&[(401, expired)]);
    assert_eq!(story.send().await, Sent::Refused("UNAUTHENTICATED".into()));
    assert_eq!(used().len(), 2, "no more than once again");
}

#[tokio::test]
async fn many_at_once_need_one_token() {
    let story = Story::begin().await;
    let (target, push) = (target(Provider::Fcm, TOKEN, Vec::new()), push());
    let sents = futures_util::future::join_all((0..30).map(|_| story.gateway.send(&target, &push))).await;
    assert!(sents.iter().all(|sent| *sent == Sent::Accepted));
    assert_eq!(story.tokens.asked().len(), 1);
}

#[tokio::test]
async fn without_an_access_token_nothing_is_sent() {
    let story = Story::begin().await;
    story.tokens.says(&[(503, "")]);
    assert!(matches!(story.send().await, Sent::Later { .. }));
    story.tokens.says(&[(400, r#"{"error":"invalid_grant","error_description":"…"}"#)]);
    assert_eq!(story.send().await, Sent::Refused("no access token: 400 invalid_grant".into()));
    story.tokens.says(&[(200, r#"{"access_token":"a\nb"}"#)]);
    assert!(matches!(story.send().await, Sent::Later { .. }));
    assert!(story.google.asked().is_empty());
}

#[test]
fn an_account_that_is_none_is_refused_without_its_words() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Hands::at(0) as Arc<dyn Clock>);
    let open = |options: &FcmOptions| Fcm::open(options, Outward::keeping(true, &Arc::default()), &clock).map(|gateway| gateway.is_some());
    let whole = account(dir.path(), "https://oauth2.example/token");
    assert!(open(&whole).unwrap() && !open(&FcmOptions::default()).unwrap());
    let file = whole.service_account_file.clone().unwrap();
    std::fs::write(&file, r#"{"private_key": 7, "client_email": "do not tell"}"#).unwrap();
    let error = open(&whole).unwrap_err().to_string();
    assert!(error.starts_with("push.fcm.service_account_file: ") && error.contains("line 1") && !error.contains("tell"), "{error}");
    let error = open(&account(dir.path(), "ftp://oauth2.example")).unwrap_err().to_string();
    assert!(error.starts_with("push.fcm.service_account_file: ") && error.ends_with("token_uri is no URL"), "{error}");
    std::fs::remove_file(&file).unwrap();
    assert!(matches!(open(&whole), Err(GatewayError::File { .. })));
}

proptest! {
    #[test]
    fn whatever_google_says_it_is_understood(status in 100_u16..600, body in prop::collection::vec(any::<u8>(), 0..60), text in ".{0,60}") {
        let whole = json!({ "error": { "status": text, "message": text, "details": [{ "errorCode": text }, { "fieldViolations": [{ "field": text }] }] } });
        for body in [Bytes::from(body), Bytes::from(whole.to_string())] {
            let _ = verdict(&Response::builder().status(status).body(body).unwrap(), 0);
        }
    }

    #[test]
    fn a_message_is_as_large_as_google_takes(text in "[a\"é\u{1f600}\n]{0,4000}") {
        let long = Push { text: text.into(), ..push() };
        prop_assert!(message(&target(Provider::Fcm, TOKEN, Vec::new()), &long).unwrap().len() <= MAX_MESSAGE_BYTES);
    }
}
