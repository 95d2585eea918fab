//! Pushes to a push service of this machine, opened by a web app.

use hallway_broker::model::Kind;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::ece::tests::Receiver;
use super::super::testing::{Hands, Service, options, push, target, without_content};
use super::super::vapid::tests::verified;
use super::*;

struct Story {
    service: Service,
    receiver: Receiver,
    target: Target,
    gateway: WebPush,
}

impl Story {
    async fn begin(provider: Provider) -> Self {
        let (service, receiver, dir, clock) =
            (Service::start(false).await, Receiver::arrives(), tempfile::tempdir().unwrap(), Hands::at(1_700_000_000_000));
        let secret = [&receiver.public[..], &receiver.auth].concat();
        let target = target(provider, &(service.url() + "/send/abc"), secret);
        let vapid = Arc::new(Vapid::open(&options(dir.path(), &clock)).unwrap());
        let gateway = WebPush::new(provider, Outward::keeping(true, &Arc::default()), vapid, true, clock);
        Self { service, receiver, target, gateway }
    }

    async fn send(&self, push: &Push) -> Sent {
        self.gateway.send(&self.target, push).await
    }
}

#[tokio::test]
async fn a_push_is_sealed_for_the_web_app() {
    let story = Story::begin(Provider::WebPush).await;
    story.service.says(&[(201, "")]);
    assert_eq!(story.send(&push()).await, Sent::Accepted);
    let asked = &story.service.asked()[0];
    assert_eq!(asked.path, "/send/abc");
    for (name, value) in [
        ("ttl", "600"),
        ("urgency", "high"),
        ("topic", "c0llapse-id_of_32_characters_aaa"),
        ("content-encoding", "aes128gcm"),
        ("content-type", "application/octet-stream"),
    ] {
        assert_eq!(asked.header(name), value, "{name}");
    }
    let claims = verified(asked.header("authorization")).unwrap();
    assert_eq!(claims["aud"], story.service.url());
    assert!(asked.header("authorization").ends_with(&story.gateway.public_key()));
    let opened: Value = serde_json::from_slice(&story.receiver.open(&asked.body).unwrap()).unwrap();
    assert_eq!(
        opened,
        json!({
            "conference": "demo", "conversation": "dm~alice~bob", "kind": "direct", "seq": 7, "id": "abcdef", "from": "bob", "title": "Bob",
            "text": "Hello", "unread": 2, "badge": 5, "collapse": "c0llapse-id_of_32_characters_aaa", "mentions": false,
            "ts": "2023-11-14T22:13:20.123Z",
        })
    );
    let story = Story::begin(Provider::WebPush).await;
    assert_eq!(story.send(&without_content()).await, Sent::Accepted);
    let opened: Value = serde_json::from_slice(&story.receiver.open(&story.service.asked()[0].body).unwrap()).unwrap();
    assert_eq!(
        opened,
        json!({
            "conference": "demo", "kind": "direct", "from": "", "title": "The Demo", "text": "New message", "unread": 2, "badge": 5,
            "collapse": "c0llapse-id_of_32_characters_aaa", "mentions": false, "ts": "2023-11-14T22:13:20.123Z",
        })
    );
}

#[tokio::test]
async fn a_phone_is_woken_for_what_is_to_its_owner() {
    let story = Story::begin(Provider::WebPush).await;
    let in_channel = Push { kind: Kind::Channel, ..push() };
    for (push, urgency) in [(&push(), "high"), (&in_channel, "normal"), (&Push { mentions: true, ..in_channel.clone() }, "high")] {
        story.send(push).await;
        assert_eq!(story.service.asked()[0].header("urgency"), urgency);
    }
}

#[tokio::test]
async fn what_answers_mean() {
    let story = Story::begin(Provider::WebPush).await;
    let later = |seconds| Sent::Later { after: Some(std::time::Duration::from_secs(seconds)), why: String::new() };
    for (status, wanted) in [
        (200, Sent::Accepted),
        (201, Sent::Accepted),
        (202, Sent::Accepted),
        (404, Sent::Gone),
        (410, Sent::Gone),
        (400, Sent::Refused(String::new())),
        (401, Sent::Refused(String::new())),
        (403, Sent::Refused(String::new())),
        (413, Sent::Refused(String::new())),
        (307, Sent::Refused(String::new())),
        (429, Sent::Throttled { after: Some(std::time::Duration::from_secs(7)), why: String::new() }),
        (500, later(7)),
        (503, later(7)),
    ] {
        story.service.replies(vec![(status, vec![("retry-after", "7".to_owned()), ("location", "/elsewhere".to_owned())], String::new())]);
        let sent = match story.send(&push()).await {
            Sent::Refused(_) => Sent::Refused(String::new()),
            Sent::Later { after, .. } => Sent::Later { after, why: String::new() },
            Sent::Throttled { after, .. } => Sent::Throttled { after, why: String::new() },
            sent => sent,
        };
        assert_eq!(sent, wanted, "{status}");
        assert_eq!(story.service.asked().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_distributor_that_wants_to_know_who_this_is_is_told() {
    let story = Story::begin(Provider::UnifiedPush).await;
    story.service.says(&[(401, ""), (201, "")]);
    assert_eq!(story.send(&push()).await, Sent::Accepted);
    let asked = story.service.asked();
    assert_eq!((asked.len(), asked[0].header("authorization")), (2, ""));
    assert!(verified(asked[1].header("authorization")).is_some());
    assert_eq!(asked[0].body, asked[1].body);
    story.service.says(&[(201, "")]);
    story.send(&push()).await;
    assert_eq!(story.service.asked().len(), 1);
}

#[tokio::test]
async fn connections_are_used_again_and_found_out_when_they_are_closed() {
    let story = Story::begin(Provider::WebPush).await;
    for _ in 0..3 {
        assert_eq!(story.send(&push()).await, Sent::Accepted);
    }
    assert!(story.service.asked().iter().all(|asked| asked.connection == 1));
    story.service.cut().await;
    assert_eq!(story.send(&push()).await, Sent::Accepted);
    assert_eq!(story.service.asked()[0].connection, 2);
}

#[tokio::test]
async fn keys_are_looked_at() {
    let story = Story::begin(Provider::WebPush).await;
    assert!(story.gateway.check(&story.target).is_ok());
    let whole = story.target.secret.clone();
    let beside = [&whole[..64], &[whole[64] ^ 1], &whole[65..]].concat();
    for secret in [Vec::new(), whole[..65].to_vec(), whole[..80].to_vec(), [&whole[..], &[0]].concat(), beside] {
        let wrong = Target { secret, ..story.target.clone() };
        assert_eq!(story.gateway.check(&wrong).unwrap_err().reason, Reason::BadTarget);
    }
    let wrong = Target { address: "ftp://push.example/".into(), ..story.target.clone() };
    assert_eq!(story.gateway.check(&wrong).unwrap_err().reason, Reason::BadTarget);
}

proptest! {
    #[test]
    fn a_push_fits_into_a_record_whatever_its_text(text in "[a\"é\u{1f600}\n]{0,4000}") {
        let long = Push { text: text.into(), ..push() };
        prop_assert!(payload::for_app(&long, MAX_PLAINTEXT_BYTES).unwrap().len() <= MAX_PLAINTEXT_BYTES);
    }
}
