//! The gateways, asked by senders of our own: what is right is taken and understood, and each thing that is wrong is a violation.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Version;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256};
use serde_json::Value;

use super::exchange::Payload;
use super::*;
use crate::jwt::{Key, now, part};

/// A good request, and ways to spoil it.
#[derive(Clone)]
struct Letter(Request);

impl Letter {
    fn to(url: &str, gateways: &Gateways) -> Letter {
        let path = url.strip_prefix(gateways.world.origin.as_str()).unwrap_or(url).to_owned();
        let (headers, body) = (Vec::new(), Vec::new());
        Letter(Request { version: Version::HTTP_2, method: "POST".into(), path, headers, body, at_s: now() })
    }

    fn header(mut self, name: &str, value: &str) -> Letter {
        self.0.headers.retain(|(have, _)| have != name);
        if !value.is_empty() {
            self.0.headers.push((name.into(), value.into()));
        }
        self
    }

    fn body(mut self, body: Vec<u8>) -> Letter {
        self.0.body = body;
        self
    }

    fn json(self, body: &Value) -> Letter {
        self.header("content-type", "application/json").body(body.to_string().into_bytes())
    }

    /// The status and what JSON it came with.
    fn post(&self, gateways: &Gateways) -> (u16, Value) {
        match answer(&gateways.world, &self.0) {
            Reply::Never => panic!("no answer"),
            Reply::Of(status, _, Payload::Whole(body)) => {
                (status, body.map_or(Value::Null, |body| serde_json::from_slice(&body).expect("JSON")))
            }
            Reply::Of(status, ..) => (status, Value::Null),
        }
    }
}

/// Each of these is a violation, and nothing arrives.
fn all_refused(gateways: &Gateways, letters: &[(&str, Letter)]) {
    for (what, letter) in letters {
        let (before, count) = (gateways.book().violations().len(), gateways.book().count());
        let (status, _) = letter.post(gateways);
        assert!((400..500).contains(&status), "{what}: {status}");
        assert_eq!(gateways.book().violations().len(), before + 1, "{what}");
        assert_eq!(gateways.book().count(), count, "{what}");
    }
}

fn told() -> Value {
    json!({"conference": "demo", "conversation": "lobby", "kind": "channel", "seq": 7, "id": "m7", "from": "alice", "title": "Alice", "text": "hi",
        "unread": 2, "badge": 3, "collapse": "c0ffee", "mentions": false, "ts": "2026-11-20T18:00:00.123Z"})
}

#[test]
fn a_browser_opens_what_is_rightly_sealed_and_signed() {
    let gateways = Gateways::start().expect("gateways");
    let (key, device) = (Key::p256().expect("a key"), gateways.device(Provider::WebPush, "phone"));
    let vapid = |claims: &Value| format!("vapid t={}, k={}", key.token("", claims), key.public_text());
    let claims = json!({"aud": gateways.world.origin, "exp": now() + 3600, "sub": "mailto:a@b.example"});
    let sealed = || device.subscription.seal(told().to_string().as_bytes()).expect("sealed");
    let good = Letter::to(&device.address, &gateways)
        .header("authorization", &vapid(&claims))
        .header("ttl", "60")
        .header("topic", "c0ffee")
        .header("urgency", "high")
        .header("content-encoding", "aes128gcm");
    let letter = good.clone().body(sealed());
    assert_eq!(letter.post(&gateways).0, 201);
    let arrived = gateways.book().arrived(|_| true).pop().expect("it arrived");
    assert_eq!((arrived.device.as_str(), arrived.text.as_str(), arrived.seq, arrived.unread), ("phone", "hi", 7, 2));
    let with = |change: Value| {
        let mut changed = claims.clone();
        changed.as_object_mut().expect("claims").extend(change.as_object().expect("claims").clone());
        good.clone().header("authorization", &vapid(&changed)).body(sealed())
    };
    let other = gateways.device(Provider::WebPush, "tablet");
    all_refused(
        &gateways,
        &[
            ("the same salt again", letter),
            ("no signature", good.clone().header("authorization", "").body(sealed())),
            ("another audience", with(json!({"aud": "https://push.example"}))),
            ("a day and more", with(json!({"exp": now() + 86_500}))),
            ("expired", with(json!({"exp": now() - 1}))),
            ("no way to reach the sender", with(json!({"sub": "alice"}))),
            ("no TTL", good.clone().header("ttl", "").body(sealed())),
            ("a long topic", good.clone().header("topic", &"c".repeat(33)).body(sealed())),
            ("another topic", good.clone().header("topic", "c0ffe0").body(sealed())),
            ("a wrong urgency", good.clone().header("urgency", "urgent").body(sealed())),
            ("another's keys", Letter(Request { path: Letter::to(&other.address, &gateways).0.path, ..good.clone().body(sealed()).0 })),
            ("too long", good.clone().body([sealed(), vec![0; 4096]].concat())),
            ("not all is told", good.clone().body(device.subscription.seal(b"{\"seq\":1}").expect("sealed"))),
        ],
    );
    gateways.subscribe_for(&Key::p256().expect("a key").public_text()).expect("a key");
    all_refused(&gateways, &[("another key than the subscription's", good.body(sealed()))]);
}

fn provider_token(gateways: &Gateways, iat: u64, kid: &str) -> String {
    let pem = fs::read_to_string(gateways.files.path().join("AuthKey.p8")).expect("the key");
    let text: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(text).expect("base64");
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der, &SystemRandom::new()).expect("a key");
    format!("bearer {}", Key::P256(pair).token(kid, &json!({"iss": apns::TEAM_ID, "iat": iat})))
}

#[test]
fn apple_takes_what_is_rightly_signed_over_http_2() {
    let gateways = Gateways::start().expect("gateways");
    let device = gateways.device(Provider::Apns, "phone");
    let hallway = json!({"conference": "demo", "conversation": "lobby", "seq": 7, "id": "m7", "from": "alice", "unread": 2});
    let aps =
        json!({"alert": {"title": "Alice", "body": "hi"}, "badge": 3, "sound": "default", "thread-id": "lobby", "mutable-content": 1});
    let payload = json!({"aps": aps, "hallway": hallway}).to_string().into_bytes();
    let good = Letter::to(&format!("{}{}", apns::PATH, device.address), &gateways)
        .header("authorization", &provider_token(&gateways, now(), apns::KEY_ID))
        .header("apns-topic", TOPIC)
        .header("apns-push-type", "alert")
        .header("apns-priority", "10")
        .header("apns-expiration", &(now() + 60).to_string())
        .header("apns-collapse-id", "c0ffee")
        .header("apns-id", "123e4567-e89b-12d3-a456-426614174000")
        .body(payload.clone());
    assert_eq!(good.post(&gateways).0, 200);
    gateways.script(&device, &[Answer::Gone, Answer::Unknown, Answer::Expired, Answer::Throttle(Some(3))]);
    let answers: Vec<(u16, Value)> = (0..4).map(|_| good.post(&gateways)).collect();
    let reasons: Vec<(u16, &str)> = answers.iter().map(|(status, body)| (*status, body["reason"].as_str().unwrap_or_default())).collect();
    assert_eq!(reasons, [(410, "Unregistered"), (400, "BadDeviceToken"), (403, "ExpiredProviderToken"), (429, "TooManyRequests")]);
    let mut over_http_1 = good.clone();
    over_http_1.0.version = Version::HTTP_11;
    all_refused(
        &gateways,
        &[
            ("HTTP/1.1", over_http_1),
            ("an old token", good.clone().header("authorization", &provider_token(&gateways, now() - 3700, apns::KEY_ID))),
            ("a token of tomorrow", good.clone().header("authorization", &provider_token(&gateways, now() + 90, apns::KEY_ID))),
            ("another key's id", good.clone().header("authorization", &provider_token(&gateways, now(), "ABC123DEFH"))),
            ("another app", good.clone().header("apns-topic", "example.other")),
            ("a long collapse id", good.clone().header("apns-collapse-id", &"c".repeat(65))),
            ("an id that is none", good.clone().header("apns-id", "m7")),
            ("expired", good.clone().header("apns-expiration", "1000")),
            ("no device of ours", Letter(Request { path: format!("{}{}", apns::PATH, "a".repeat(64)), ..good.clone().0 })),
            ("too long", good.clone().body([payload, vec![b' '; 4096]].concat())),
        ],
    );
}

fn assertion(change: &Value) -> Vec<u8> {
    let text: String = RSA_PKCS8.split_whitespace().collect();
    let pair = RsaKeyPair::from_pkcs8(&STANDARD.decode(&text).expect("base64")).expect("a key");
    let mut claims =
        json!({"iss": fcm::EMAIL, "scope": "https://www.googleapis.com/auth/firebase.messaging", "iat": now(), "exp": now() + 3600});
    claims.as_object_mut().expect("claims").extend(change.as_object().expect("claims").clone());
    let signed = format!("{}.{}", part(b"{\"alg\":\"RS256\",\"typ\":\"JWT\"}"), part(claims.to_string().as_bytes()));
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).expect("signed");
    let grant = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";
    format!("grant_type={grant}&assertion={signed}.{}", part(&signature)).into_bytes()
}

#[test]
fn google_gives_a_token_for_a_good_assertion_and_takes_messages_with_it() {
    let gateways = Gateways::start().expect("gateways");
    let device = gateways.device(Provider::Fcm, "phone");
    let audience = format!("{}{}", gateways.world.origin, fcm::TOKEN_PATH);
    let asking = Letter::to(fcm::TOKEN_PATH, &gateways).header("content-type", "application/x-www-form-urlencoded");
    let (status, given) = asking.clone().body(assertion(&json!({"aud": audience}))).post(&gateways);
    assert_eq!((status, given["token_type"].as_str()), (200, Some("Bearer")));
    let data = json!({"conference": "demo", "conversation": "lobby", "seq": "7", "id": "m7", "sender": "alice", "unread": "2"});
    let android = json!({"collapse_key": "c0ffee", "priority": "HIGH", "ttl": "60s", "notification": {"tag": "c0ffee"}});
    let message = |data: &Value, android: &Value| {
        let notification = json!({"title": "Alice", "body": "hi"});
        json!({"message": {"token": device.address, "notification": notification, "data": data, "android": android}})
    };
    let good = Letter::to(&fcm::send_path(), &gateways)
        .header("authorization", &format!("Bearer {}", given["access_token"].as_str().expect("a token")))
        .json(&message(&data, &android));
    assert_eq!(good.post(&gateways).0, 200);
    let with = |name: &str, value: Value| {
        let mut data = data.clone();
        data[name] = value;
        good.clone().json(&message(&data, &android))
    };
    all_refused(
        &gateways,
        &[
            ("another audience", asking.clone().body(assertion(&json!({"aud": "https://oauth2.example/token"})))),
            ("two hours", asking.clone().body(assertion(&json!({"aud": audience, "exp": now() + 7200})))),
            ("another scope", asking.body(assertion(&json!({"aud": audience, "scope": "email"})))),
            ("no such token", good.clone().header("authorization", "Bearer ya29.x")),
            ("a number in data", with("seq", json!(7))),
            ("a reserved word in data", with("from", json!("alice"))),
            ("an unknown member", good.clone().json(&json!({"message": {"to": device.address}}))),
            (
                "a ttl without unit",
                good.clone()
                    .json(&message(&data, &json!({"collapse_key": "c", "priority": "HIGH", "ttl": "60", "notification": {"tag": "c"}}))),
            ),
        ],
    );
    gateways.script(&device, &[Answer::Gone, Answer::Expired]);
    assert_eq!(good.post(&gateways).1["error"]["details"][0]["errorCode"], "UNREGISTERED");
    assert_eq!(good.post(&gateways).0, 401);
    all_refused(&gateways, &[("the token that had run out", good)]);
}

#[test]
fn expo_answers_batches_with_tickets() {
    let gateways = Gateways::start().expect("gateways");
    let (one, two) = (gateways.device(Provider::Expo, "one"), gateways.device(Provider::Expo, "two"));
    let message = |device: &Device| {
        let data = json!({"conference": "demo", "conversation": "lobby", "seq": 7, "id": "m7", "from": "alice", "unread": 2, "collapse": "c0ffee"});
        json!({"to": device.address, "title": "Alice", "body": "hi", "data": data, "ttl": 60})
    };
    let letter = Letter::to(expo::PATH, &gateways).header("authorization", &format!("Bearer {}", expo::ACCESS_TOKEN));
    gateways.script(&two, &[Answer::Gone]);
    let (status, answer) = letter.clone().json(&json!([message(&one), message(&two)])).post(&gateways);
    assert_eq!((status, answer["data"][0]["status"].as_str()), (200, Some("ok")));
    assert_eq!(answer["data"][1]["details"]["error"], "DeviceNotRegistered");
    all_refused(
        &gateways,
        &[
            ("a hundred and one", letter.clone().json(&Value::Array(vec![message(&one); 101]))),
            ("another's access token", letter.clone().header("authorization", "Bearer x").json(&json!([message(&one)]))),
            ("nothing", letter.json(&json!([]))),
        ],
    );
}

#[test]
fn a_receipt_of_expos_is_had_once_and_tells_of_a_device_that_is_gone() {
    let gateways = Gateways::start().expect("gateways");
    let device = gateways.device(Provider::Expo, "one");
    gateways.departs(&device);
    let ticket = gateways.world().receipts.ticket(&device.name);
    let other = gateways.world().receipts.ticket("two");
    let letter = Letter::to(receipts::PATH, &gateways).header("authorization", &format!("Bearer {}", expo::ACCESS_TOKEN));
    let (status, answer) = letter.clone().json(&json!({"ids": [ticket, other]})).post(&gateways);
    assert_eq!((status, answer["data"][&ticket]["details"]["error"].as_str()), (200, Some("DeviceNotRegistered")));
    assert_eq!(answer["data"][&other]["status"], "ok");
    all_refused(
        &gateways,
        &[
            ("the same again", letter.clone().json(&json!({"ids": [ticket]}))),
            ("no ticket of ours", letter.clone().json(&json!({"ids": ["x"]}))),
            ("another's access token", letter.clone().header("authorization", "Bearer x").json(&json!({"ids": ["x"]}))),
            ("nothing", letter.json(&json!({"ids": []}))),
        ],
    );
}

#[test]
fn a_receiver_believes_only_the_secret() {
    let gateways = Gateways::start().expect("gateways");
    let device = gateways.device(Provider::Webhook, "receiver");
    let body = json!({"conference": "demo", "user": "bob", "conversation": "lobby", "seq": 7, "id": "m7", "from": "alice", "title": "Alice",
        "text": "hi", "unread": 2, "collapse": "c0ffee"});
    let signed = |at: u64, secret: &str| {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
        let mac = ring::hmac::sign(&key, format!("{at}.{body}").as_bytes());
        let mac: String = mac.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Letter::to(&device.address, &gateways).header("hallway-signature", &format!("t={at},v1={mac}")).json(&body)
    };
    assert_eq!(signed(now(), &device.secret).post(&gateways).0, 204);
    all_refused(
        &gateways,
        &[
            ("another secret", signed(now(), "secret")),
            ("a signature of an hour ago", signed(now() - 3600, &device.secret)),
            ("another body", signed(now(), &device.secret).json(&json!({}))),
            ("no signature", signed(now(), &device.secret).header("hallway-signature", "")),
        ],
    );
}

#[test]
fn what_nobody_may_ask_for_is_a_violation() {
    let gateways = Gateways::start().expect("gateways");
    all_refused(&gateways, &[("where a redirect leads", Letter::to(ELSEWHERE, &gateways))]);
    let error = gateways.book().wait("a push", Duration::ZERO, |_| None::<()>).expect_err("nothing came");
    assert!(error.to_string().contains("nobody is there"), "{error}");
}

/// Connects with what `ca.pem` says, and asks for one protocol; what was agreed on.
fn connect(gateways: &Gateways, protocol: &[u8]) -> Result<Option<Vec<u8>>> {
    use rustls::pki_types::pem::PemObject as _;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(gateways.files.path().join("ca.pem"))?)?;
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let address = gateways.world.origin.strip_prefix("https://").context("an origin")?;
    let mut stream = std::net::TcpStream::connect(address)?;
    let mut session = rustls::ClientConnection::new(Arc::new(config), "127.0.0.1".try_into()?)?;
    session.complete_io(&mut stream)?;
    Ok(session.alpn_protocol().map(<[u8]>::to_vec))
}

#[test]
fn gateways_listen_with_their_certificate_until_they_are_down() {
    let gateways = Gateways::start().expect("gateways");
    for protocol in [&b"h2"[..], b"http/1.1"] {
        assert_eq!(connect(&gateways, protocol).expect("connected").as_deref(), Some(protocol));
    }
    assert_eq!(gateways.connections(), 2);
    let becomes = |is_up: bool| {
        gateways.set_up(is_up).expect("listening");
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while connect(&gateways, b"h2").is_ok() != is_up {
            assert!(std::time::Instant::now() < deadline, "not {is_up}");
            std::thread::yield_now();
        }
    };
    becomes(false);
    becomes(true);
}
