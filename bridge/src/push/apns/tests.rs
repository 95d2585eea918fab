//! Pushes to an Apple of this machine.

use data_encoding::BASE64URL_NOPAD;
use hallway_broker::outward::Trust;
use proptest::prelude::*;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::Value;

use super::super::testing::{Asked, Hands, Service, key_file, push, target, without_content};
use super::*;

const TOKEN: &str = "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0";

struct Story {
    apple: Service,
    clock: Arc<Hands>,
    gateway: Apns,
    _dir: tempfile::TempDir,
}

impl Story {
    async fn begin() -> Self {
        let (dir, clock, apple) = (tempfile::tempdir().unwrap(), Hands::at(1_700_000_000_000), Service::start(true).await);
        let options = ApnsOptions { url: Some(apple.url()), ..options(dir.path().join("key.p8")) };
        let gateway = Apns::open(&options, Outward::http2(true, &Arc::new(Trust::default())), &(Arc::clone(&clock) as Arc<dyn Clock>));
        Self { apple, clock, gateway: gateway.unwrap().unwrap(), _dir: dir }
    }

    async fn send(&self) -> Sent {
        self.gateway.send(&target(Provider::Apns, TOKEN, Vec::new()), &push()).await
    }

    /// What the token of a request claims, if it is signed by the key.
    fn claims(&self, asked: &Asked) -> Value {
        let token = asked.header("authorization").strip_prefix("bearer ").unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.gateway.tokens.signer.public_key());
        key.verify(signed.as_bytes(), &BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap()).unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        let read = |part: &str| serde_json::from_slice::<Value>(&BASE64URL_NOPAD.decode(part.as_bytes()).unwrap()).unwrap();
        assert_eq!(read(header), json!({ "typ": "JWT", "alg": "ES256", "kid": "ABC123DEFG" }));
        read(claims)
    }
}

fn options(key: PathBuf) -> ApnsOptions {
    key_file(&key);
    ApnsOptions {
        key_file: Some(key),
        key_id: Some("ABC123DEFG".into()),
        team_id: Some("DEF123GHIJ".into()),
        topic: Some("com.example.hallway".into()),
        ..ApnsOptions::default()
    }
}

#[tokio::test]
async fn a_push_as_apple_wants_it() {
    let story = Story::begin().await;
    assert_eq!(story.send().await, Sent::Accepted);
    let asked = &story.apple.asked()[0];
    assert_eq!(asked.path, format!("/3/device/{TOKEN}"));
    assert_eq!(story.claims(asked), json!({ "iss": "DEF123GHIJ", "iat": 1_700_000_000 }));
    for (name, value) in [
        ("apns-topic", "com.example.hallway"),
        ("apns-push-type", "alert"),
        ("apns-priority", "10"),
        ("apns-expiration", "1700000600"),
        ("apns-collapse-id", "c0llapse-id_of_32_characters_aaa"),
    ] {
        assert_eq!(asked.header(name), value, "{name}");
    }
    assert_eq!(
        asked.json(),
        json!({
            "aps": { "alert": { "title": "Bob", "body": "Hello" }, "badge": 5, "sound": "default", "thread-id": "dm~alice~bob", "mutable-content": 1 },
            "hallway": { "conference": "demo", "conversation": "dm~alice~bob", "seq": 7, "id": "abcdef", "from": "bob", "unread": 2 },
        })
    );
    let target = target(Provider::Apns, TOKEN, Vec::new());
    assert_eq!(story.gateway.send(&target, &without_content()).await, Sent::Accepted);
    assert_eq!(
        story.apple.asked()[0].json(),
        json!({
            "aps": {
                "alert": { "title": "The Demo", "body": "New message" },
                "badge": 5, "sound": "default", "thread-id": "c0llapse-id_of_32_characters_aaa", "mutable-content": 1,
            },
            "hallway": { "conference": "demo", "from": "", "unread": 2 },
        })
    );
    let id = asked.header("apns-id").to_owned();
    assert_eq!(id.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    // Tried again it is the same push; over the same connection.
    story.send().await;
    let again = &story.apple.asked()[0];
    assert_eq!((again.header("apns-id"), again.connection), (&*id, asked.connection));
}

#[tokio::test]
async fn what_answers_mean() {
    let story = Story::begin().await;
    let refused = |why: &str| Sent::Refused(why.into());
    let later = |why: &str| Sent::Later { after: None, why: why.into() };
    for (status, body, wanted) in [
        (200, "", Sent::Accepted),
        (400, r#"{"reason":"BadDeviceToken"}"#, Sent::Gone),
        (410, r#"{"reason":"Unregistered","timestamp":1699999999000}"#, Sent::Gone),
        (410, r#"{"reason":"ExpiredToken"}"#, Sent::Gone),
        (400, r#"{"reason":"DeviceTokenNotForTopic"}"#, refused("DeviceTokenNotForTopic")),
        (400, r#"{"reason":"PayloadEmpty"}"#, refused("PayloadEmpty")),
        (400, r#"{"reason":"IdleTimeout"}"#, later("IdleTimeout")),
        (403, r#"{"reason":"InvalidProviderToken"}"#, refused("InvalidProviderToken")),
        (404, r#"{"reason":"BadPath"}"#, refused("BadPath")),
        (405, r#"{"reason":"MethodNotAllowed"}"#, refused("MethodNotAllowed")),
        (413, r#"{"reason":"PayloadTooLarge"}"#, refused("PayloadTooLarge")),
        (413, "<html>", refused("status 413")),
        (429, r#"{"reason":"TooManyRequests"}"#, Sent::Throttled { after: None, why: "TooManyRequests".into() }),
        (429, r#"{"reason":"TooManyProviderTokenUpdates"}"#, later("TooManyProviderTokenUpdates")),
        (500, r#"{"reason":"InternalServerError"}"#, later("InternalServerError")),
        (503, r#"{"reason":"ServiceUnavailable"}"#, later("ServiceUnavailable")),
        (503, r#"{"reason":"Shutdown"}"#, later("Shutdown")),
    ] {
        story.apple.says(&[(status, body)]);
        assert_eq!(story.send().await, wanted, "{status} {body}");
        assert_eq!(story.apple.asked().len(), 1, "{status} {body}");
    }
}

#[tokio::test]
async fn a_token_that_expired_is_renewed_and_the_push_goes_again() {
    let story = Story::begin().await;
    let expired = (403, r#"{"reason":"ExpiredProviderToken"}"#);
    story.apple.says(&[expired, (200, "")]);
    assert_eq!(story.send().await, Sent::Accepted);
    let asked = story.apple.asked();
    assert_eq!(asked.len(), 2);
    assert_ne!(asked[0].header("authorization"), asked[1].header("authorization"));
    // Apple wants no more than one in 20 minutes: a clock that is wrong is not mended by tokens.
    story.apple.says(&[expired]);
    assert!(matches!(story.send().await, Sent::Later { after: None, .. }));
    assert_eq!(story.apple.asked().len(), 1);
    story.clock.turn(RENEW_AT_MOST_EVERY_S * 1000);
    assert!(matches!(story.send().await, Sent::Later { after: None, .. }));
    assert_eq!(story.apple.asked().len(), 2);
}

#[tokio::test]
async fn a_token_is_used_for_almost_an_hour() {
    let story = Story::begin().await;
    for minutes in [0, 30, 19, 1, 1] {
        story.clock.turn(minutes * 60_000);
        story.send().await;
    }
    let made: Vec<u64> = story.apple.asked().iter().map(|asked| story.claims(asked)["iat"].as_u64().unwrap() - 1_700_000_000).collect();
    assert_eq!(made, [0, 0, 0, 3000, 3000]);
}

#[tokio::test]
async fn a_connection_that_is_lost_is_opened_again() {
    let story = Story::begin().await;
    story.send().await;
    story.apple.cut().await;
    assert_eq!(story.send().await, Sent::Accepted);
    story.apple.go_away().await;
    assert_eq!(story.send().await, Sent::Accepted);
    let connections: Vec<usize> = story.apple.asked().iter().map(|asked| asked.connection).collect();
    assert_eq!(connections, [1, 2, 3]);
}

#[tokio::test]
async fn many_at_once_share_a_connection() {
    let story = Story::begin().await;
    let (target, push) = (target(Provider::Apns, TOKEN, Vec::new()), push());
    let sending: Vec<_> = (0..40).map(|_| story.gateway.send(&target, &push)).collect();
    let sent = futures_util::future::join_all(sending).await;
    assert!(sent.iter().all(|sent| *sent == Sent::Accepted));
    let asked = story.apple.asked();
    assert_eq!(asked.len(), 40);
    assert!(asked.iter().all(|asked| asked.connection == 1));
}

#[tokio::test]
async fn targets_are_looked_at() {
    let story = Story::begin().await;
    let is_taken = |target: &Target| story.gateway.check(target).is_ok();
    assert!(is_taken(&target(Provider::Apns, TOKEN, Vec::new())));
    for token in ["", "abc", &TOKEN[2..], &TOKEN.replace('0', "g"), &"ab".repeat(101), &format!("{TOKEN}/../x")] {
        assert!(!is_taken(&target(Provider::Apns, token, Vec::new())), "{token}");
    }
    let of_app = |topic: &str| Target { topic: topic.into(), ..target(Provider::Apns, TOKEN, Vec::new()) };
    assert!(is_taken(&of_app("com.example.other")) && !is_taken(&of_app("no topic")));
}

#[tokio::test]
async fn without_its_ids_or_with_another_key_it_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Hands::at(0) as Arc<dyn Clock>;
    let open = |options: &ApnsOptions| Apns::open(options, Outward::http2(true, &Arc::default()), &clock).map(|gateway| gateway.is_some());
    let whole = options(dir.path().join("key.p8"));
    assert!(open(&whole).unwrap());
    assert!(!open(&ApnsOptions { key_file: None, ..whole.clone() }).unwrap());
    let error = open(&ApnsOptions { key_id: None, ..whole.clone() }).unwrap_err();
    assert_eq!(error.to_string(), "push.apns.key_id has 10 letters and digits, and push.apns.key_file needs it");
    let error = open(&ApnsOptions { key_file: Some(dir.path().join("none.p8")), ..whole.clone() }).unwrap_err().to_string();
    assert!(error.starts_with("push.apns.key_file: ") && error.contains("none.p8"), "{error}");
    std::fs::write(dir.path().join("key.p8"), "no key").unwrap();
    assert!(matches!(open(&whole), Err(GatewayError::Content { key: "push.apns.key_file", .. })));
}

#[test]
fn a_long_text_is_cut_to_what_apple_takes() {
    let long = Push { text: "\u{1f600}\"é".repeat(3000).into(), ..push() };
    let payload = payload(&long).unwrap();
    assert!((4080..=4096).contains(&payload.len()), "{}", payload.len());
    let read: Value = serde_json::from_slice(&payload).unwrap();
    assert!(read["aps"]["alert"]["body"].as_str().unwrap().ends_with('…'));
}

proptest! {
    #[test]
    fn whatever_apple_says_it_is_understood(status in 100_u16..600, body in prop::collection::vec(any::<u8>(), 0..60), reason in ".{0,120}") {
        for body in [Bytes::from(body), Bytes::from(json!({ "reason": reason }).to_string()), Bytes::from(json!([reason]).to_string())] {
            let answer = Response::builder().status(status).body(body).unwrap();
            let _ = verdict(&answer, 0);
        }
    }
}
