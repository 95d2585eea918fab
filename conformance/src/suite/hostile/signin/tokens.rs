//! Tokens of an identity provider: good ones open every door, and each of the others none.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::doors::{DOORS, in_its_words, mqtt_session, said, xmpp_stream};
use super::{EXPO, SECRET, Scene};
use crate::client::Client;
use crate::http::Request;
use crate::jwt::{Key, claims, claims_with, now, part};
use crate::mqtt::Version;
use crate::suite::Report;

/// How long a session may outlive its token: WebSocket looks with every ping.
const ENDS_WITHIN: Duration = Duration::from_secs(45);

/// A token, what it is, and the reason why it is refused.
type Case = (&'static str, String, &'static str);

pub fn run(scene: &Scene, report: &mut Report) {
    report.check("hostile sign-in: good tokens open every door", || good(scene));
    for (name, token, reason) in cases(scene) {
        report.check(&format!("hostile sign-in: a token {name}"), || refused(scene, &token, reason));
    }
    report.check("hostile sign-in: the subject is no name", || no_name(scene));
    report.check("hostile sign-in: roles up to what is allowed", || roles(scene));
    report.check("hostile sign-in: a session ends with its token", || expires(scene));
    report.check("hostile sign-in: unknown keys ask the provider seldom", || seldom(scene));
}

fn good(scene: &Scene) -> Result<String> {
    let whole = claims("user-1");
    // The uid that PLAIN names must be the account's.
    let named = claims_with("user-2", &json!({"preferred_username": "User"}));
    for token in [
        scene.ed25519.token("e", &named),
        scene.p256.token("p", &named),
        scene.p256.token_with(&json!({"alg": "ES256"}), &named),
        scene.ed25519.token("e", &claims_with("user-2", &json!({"aud": ["x", "another-app"], "nbf": now() - 10}))),
        scene.p256.token("p", &claims_with("user-2", &json!({"groups": "g".repeat(4500)}))),
    ] {
        for (door, ask) in DOORS {
            let said = ask(&scene.server, &token)?;
            ensure!(said == "yes", "{door} says {said}");
        }
    }
    let mut client = Client::sign_in(scene.server.http(), &scene.ed25519.token("e", &whole))?;
    let people = client.call_ok("people.list", &json!({}))?;
    ensure!(people["people"].as_array().map(Vec::len) == Some(3), "three people, not {people}");
    Ok(format!("{} doors, one account", DOORS.len()))
}

fn refused(scene: &Scene, token: &str, reason: &str) -> Result<String> {
    for (door, ask) in DOORS {
        let said = ask(&scene.server, token)?;
        let expected = in_its_words(door, reason);
        ensure!(said == expected, "{door} says {said:?}, not {expected:?}");
    }
    let good = Request::new("GET", "/ticket").header("Authorization", &format!("Bearer {}", scene.ed25519.token("e", &claims("user-1"))));
    ensure!(said(&good.send(scene.server.http())?)? == "yes", "a good token is refused afterwards");
    Ok(String::new())
}

fn cases(scene: &Scene) -> Vec<Case> {
    let Scene { ed25519, p256, .. } = scene;
    let shared = Key::Secret(SECRET.into());
    let good = ed25519.token("e", &claims("mallory"));
    let by = |header: Value| ed25519.token_with(&header, &claims("mallory"));
    let saying = |changes: Value| ed25519.token("e", &claims_with("mallory", &changes));
    let (signed, signature) = good.rsplit_once('.').unwrap_or_default();
    let (head, payload) = signed.split_once('.').unwrap_or_default();
    let none = part(br#"{"alg":"none","typ":"JWT"}"#);
    let changed = part(claims_with("victim", &json!({})).to_string().as_bytes());
    let public_as_secret =
        |key: &Key, kid: &str| Key::Secret(key.public_text()).token_with(&json!({"alg": "HS256", "kid": kid}), &claims("mallory"));
    vec![
        ("that has expired", saying(json!({"exp": now() - 61})), "token_expired"),
        ("that never expires", saying(json!({"exp": null})), "bad_token"),
        ("that expires in words", saying(json!({"exp": "tomorrow"})), "bad_token"),
        ("of tomorrow", saying(json!({"nbf": now() + 86_400})), "bad_token"),
        ("for somebody else's app", saying(json!({"aud": "bank"})), "bad_token"),
        ("for nobody", saying(json!({"aud": null})), "bad_token"),
        ("of another issuer", saying(json!({"iss": "https://id.example.evil"})), "bad_token"),
        ("of no issuer", saying(json!({"iss": null})), "bad_token"),
        ("of nobody", saying(json!({"sub": null})), "bad_token"),
        ("whose subject is no text", saying(json!({"sub": {"uid": "alice"}})), "bad_token"),
        ("with another's claims", format!("{head}.{changed}.{signature}"), "bad_token"),
        ("with a changed signature", format!("{signed}.{}", part(&[7; 64])), "bad_token"),
        ("without a signature", format!("{signed}."), "bad_token"),
        ("signed by none", format!("{none}.{payload}."), "bad_token"),
        ("signed by none, with a signature", format!("{none}.{payload}.{signature}"), "bad_token"),
        ("that says none", by(json!({"alg": "none", "kid": "e"})), "bad_token"),
        ("that says another algorithm", by(json!({"alg": "ES256", "kid": "e"})), "bad_token"),
        ("that says HS256", by(json!({"alg": "HS256", "kid": "e"})), "bad_token"),
        ("by the public key as a secret", public_as_secret(ed25519, "e"), "bad_token"),
        ("by the public point as a secret", public_as_secret(p256, "p"), "bad_token"),
        ("by another conference's secret", shared.token("e", &claims("mallory")), "bad_token"),
        ("by one key in another's name", p256.token_with(&json!({"alg": "ES256", "kid": "e"}), &claims("mallory")), "bad_token"),
        ("by a key that nobody knows", p256.token("elsewhere", &claims("mallory")), "bad_token"),
        ("that brings its key along", by(json!({"alg": "EdDSA", "jwk": ed25519.jwk("e"), "kid": "x"})), "bad_token"),
        ("with extensions that must be known", by(json!({"alg": "EdDSA", "kid": "e", "crit": ["b64"], "b64": false})), "bad_token"),
        ("with four parts", format!("{good}.{signature}"), "bad_token"),
        ("with a padded part", format!("{good}=="), "bad_token"),
        ("whose payload is no JSON", ed25519.token("e", &json!("mallory")), "bad_token"),
    ]
}

fn no_name(scene: &Scene) -> Result<String> {
    let mut uids = Vec::new();
    for subject in ["alice", "admin", "system", "../x", "a b"] {
        let mut client = Client::sign_in(scene.server.http(), &scene.p256.token("p", &claims(subject)))?;
        let own = client.call_ok("session.list", &json!({})).and_then(|_| client.call_ok("people.update", &json!({"about": "here"})))?;
        let uid = own["user"].as_str().unwrap_or_default().to_owned();
        ensure!(uid != subject && !uids.contains(&uid), "{subject} is {uid}");
        uids.push(uid);
    }
    Ok(uids.join(", "))
}

fn roles(scene: &Scene) -> Result<String> {
    for (roles, expected) in [
        (json!(["staff"]), "staff"),
        (json!(["organiser", "service", "device"]), "staff"),
        (json!("visitor"), "attendee"),
        (json!({"staff": true}), "attendee"),
    ] {
        let mut client = crate::client::Connect::new().open(scene.server.http())?;
        let hello = client.hello(&scene.p256.token("p", &claims_with("boss", &json!({"roles": roles}))))?;
        ensure!(hello["role"] == expected, "{roles} makes {}", hello["role"]);
    }
    a_role_falls(scene)
}

/// What was opened with a role ends when a newer token takes the role away, and no older one gives it back.
fn a_role_falls(scene: &Scene) -> Result<String> {
    let token = |made, roles: &str| scene.p256.token("p", &claims_with("deposed", &json!({"iat": made, "roles": roles})));
    let staff = token(now() - 50, "staff");
    let mut open = Client::sign_in(scene.server.http(), &staff)?;
    let (mut mqtt, _) = mqtt_session(&scene.server, Version::V5, &staff)?;
    for token in [&token(now() - 40, ""), &staff] {
        let hello = crate::client::Connect::new().open(scene.server.http())?.hello(token)?;
        ensure!(hello["role"] == "attendee", "a token makes {}", hello["role"]);
    }
    let (code, _) = open.expect_close(Duration::from_secs(5))?;
    ensure!(code == 4001, "closed with {code}");
    let code = mqtt.expect_closed()?;
    ensure!(code == Some(0x87), "MQTT 5 ends with {code:?}");
    Ok(String::new())
}

/// The leeway for clocks that differ is a minute: a token that expired all but a few seconds of it ago is good for these.
fn expires(scene: &Scene) -> Result<String> {
    let token = scene.p256.token("p", &claims_with("brief", &json!({"exp": now() - 55})));
    let mut client = Client::sign_in(scene.server.http(), &token)?;
    let (mut mqtt, code) = mqtt_session(&scene.server, Version::V5, &token)?;
    let (mut stream, let_in) = xmpp_stream(&scene.server, &token)?;
    ensure!(code == 0 && let_in == "yes", "MQTT says {code:#x}, XMPP {let_in}");
    stream.start()?;
    stream.bind("brief")?;
    // The one that answers pings is read first: the others only have to be read.
    let (code, text) = client.expect_close(ENDS_WITHIN)?;
    ensure!(code == 4001, "closed with {code} {text}");
    let condition = stream.expect_end(ENDS_WITHIN)?;
    ensure!(condition.as_deref() == Some("not-authorized"), "XMPP ends with {condition:?}");
    let code = mqtt.expect_closed()?;
    ensure!(code == Some(0x87), "MQTT 5 ends with {code:?}");
    let again = Request::new("GET", "/ticket").header("Authorization", &format!("Bearer {token}")).send(scene.server.http())?;
    ensure!(said(&again)? == "token_expired", "it signs in again");
    Ok(String::new())
}

fn seldom(scene: &Scene) -> Result<String> {
    let before = scene.set.asked();
    for n in 0..200 {
        let token = scene.p256.token(&format!("key-{n}"), &claims("mallory"));
        let mut client = crate::client::Connect::new().open(scene.server.http())?;
        let answer = client.call("session.hello", &json!({"token": token, "conference": EXPO}))?;
        ensure!(answer.is_err_and(|error| error.reason == "bad_token"), "a token of an unknown key");
    }
    let asked = scene.set.asked() - before;
    ensure!(asked <= 2, "asked {asked} times");
    Ok(format!("asked {asked} times for 200 tokens"))
}
