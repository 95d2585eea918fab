//! Pushes to a URL of this machine.

use serde_json::json;

use super::super::testing::{Hands, Service, push, target, without_content};
use super::*;

const SECRET: &str = "a secret of 16 bytes or more";

fn gateway(allow_private: bool) -> Webhook {
    Webhook::new(Outward::keeping(allow_private, &Arc::default()), allow_private, Hands::at(1_700_000_000_000))
}

#[tokio::test]
async fn a_push_is_signed_json() {
    let service = Service::start(false).await;
    let target = target(Provider::Webhook, &(service.url() + "/hook?a=b"), SECRET.into());
    assert_eq!(gateway(true).send(&target, &push()).await, Sent::Accepted);
    let asked = &service.asked()[0];
    assert_eq!((&*asked.path, asked.header("content-type")), ("/hook", "application/json"));
    assert_eq!(asked.header(SIGNATURE), signature(SECRET, &asked.body, 1_700_000_000_000));
    assert_eq!(
        asked.json(),
        json!({
            "conference": "demo", "user": "alice", "conversation": "dm~alice~bob", "seq": 7, "id": "abcdef", "from": "bob", "title": "Bob",
            "text": "Hello", "unread": 2, "collapse": "c0llapse-id_of_32_characters_aaa",
        })
    );
    assert_eq!(gateway(true).send(&target, &without_content()).await, Sent::Accepted);
    assert_eq!(
        service.asked()[0].json(),
        json!({
            "conference": "demo", "user": "alice", "from": "", "title": "The Demo", "text": "New message", "unread": 2,
            "collapse": "c0llapse-id_of_32_characters_aaa",
        })
    );
}

#[tokio::test]
async fn what_answers_mean() {
    let (service, gateway) = (Service::start(false).await, gateway(true));
    let target = target(Provider::Webhook, &service.url(), SECRET.into());
    for (status, wanted) in
        [(204, "accepted"), (410, "gone"), (404, "gone"), (400, "refused"), (302, "refused"), (429, "throttled"), (500, "later")]
    {
        service.says(&[(status, "")]);
        let said = match gateway.send(&target, &push()).await {
            Sent::Accepted => "accepted",
            Sent::Gone => "gone",
            Sent::Refused(_) => "refused",
            Sent::Later { .. } => "later",
            Sent::Throttled { .. } => "throttled",
        };
        assert_eq!(said, wanted, "{status}");
    }
    let at = service.url();
    drop(service);
    let gone = super::super::testing::target(Provider::Webhook, &at, SECRET.into());
    assert!(matches!(gateway.send(&gone, &push()).await, Sent::Later { .. }), "nobody there");
}

#[tokio::test]
async fn urls_of_users_lead_to_the_public() {
    let service = Service::start(false).await;
    let strict = gateway(false);
    let private = target(Provider::Webhook, &service.url().replace("http:", "https:"), SECRET.into());
    assert_eq!(strict.check(&private).unwrap_err().reason, Reason::PrivateUrl);
    assert!(matches!(strict.send(&private, &push()).await, Sent::Refused(_)), "nor when it was registered before");
    assert!(service.asked().is_empty());
    let public = target(Provider::Webhook, "https://hooks.example/x", SECRET.into());
    assert!(strict.check(&public).is_ok());
    for secret in ["", "15 bytes at mos", &"a".repeat(257)] {
        let weak = Target { secret: secret.into(), ..public.clone() };
        assert_eq!(strict.check(&weak).unwrap_err().reason, Reason::BadTarget);
    }
}
