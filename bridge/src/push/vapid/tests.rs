//! The example of RFC 8292, and that what is made here is like it.

use std::os::unix::fs::MetadataExt as _;

use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::Value;

use super::super::testing::{Hands, options};
use super::*;

/// RFC 8292 §2.4.
const EXAMPLE: &str = "vapid t=eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZS5uZXQiLCJleHAiOjE0NTM1MjM3NjgsInN1YiI6Im1haWx0bzpwdXNoQGV4YW1wbGUuY29tIn0.i3CYb7t4xfxCDquptFOepC9GAu_HLGkMlMuCGSK2rpiUfnK9ojFwDXb1JrErtmysazNjjvW2L9OkSSHzvoD1oA, k=BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs";

/// Reads the header's value and checks its signature: the claims, if it is the key's.
pub fn verified(value: &str) -> Option<Value> {
    let (token, key) = value.strip_prefix("vapid t=")?.split_once(", k=")?;
    let key = BASE64URL_NOPAD.decode(key.as_bytes()).ok()?;
    let (signed, signature) = token.rsplit_once('.')?;
    let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).ok()?;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &key).verify(signed.as_bytes(), &signature).ok()?;
    let (header, claims) = signed.split_once('.')?;
    let read = |part: &str| serde_json::from_slice::<Value>(&BASE64URL_NOPAD.decode(part.as_bytes()).ok()?).ok();
    (read(header)? == json!({ "typ": "JWT", "alg": "ES256" })).then(|| read(claims))?
}

#[test]
fn the_documents_example_is_understood_by_the_check() {
    let claims = verified(EXAMPLE).unwrap();
    assert_eq!(claims, json!({ "aud": "https://push.example.net", "exp": 1_453_523_768, "sub": "mailto:push@example.com" }));
}

#[test]
fn a_token_is_for_one_service_and_kept_for_a_while() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Hands::at(1_700_000_000_000));
    let vapid = Vapid::open(&Options { public_url: Some("https://chat.example".into()), ..options(dir.path(), &clock) }).unwrap();
    let header = |url: &str| vapid.authorization(&url.parse().unwrap()).unwrap();
    let first = header("https://Push.Example.net:443/send/abc");
    let claims = verified(&first).unwrap();
    assert_eq!(claims, json!({ "aud": "https://push.example.net", "exp": 1_700_000_000 + LIFE_S, "sub": "https://chat.example" }));
    assert!(first.ends_with(vapid.public_key()));
    assert_eq!(header("https://push.example.net/send/other"), first);
    assert_eq!(verified(&header("https://push.example.net:8443/x")).unwrap()["aud"], "https://push.example.net:8443");
    clock.turn(RENEW_S * 1000);
    let second = header("https://push.example.net/send/abc");
    assert_eq!(verified(&second).unwrap()["exp"], 1_700_000_000 + RENEW_S + LIFE_S);
}

#[test]
fn services_without_number_take_no_memory() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Hands::at(1_700_000_000_000));
    let vapid = Vapid::open(&options(dir.path(), &clock)).unwrap();
    for number in 0..2 * MAX_KEPT {
        vapid.authorization(&format!("https://{number}.example/").parse().unwrap()).unwrap();
    }
    assert!(vapid.kept.lock().unwrap().len() <= MAX_KEPT);
}

#[test]
fn the_key_is_made_once_and_for_its_owner_alone() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Hands::at(0));
    let first = Vapid::open(&options(dir.path(), &clock)).unwrap();
    let file = dir.path().join(FILE);
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    assert_eq!(BASE64URL_NOPAD.decode(first.public_key().as_bytes()).unwrap().len(), 65);
    let second = Vapid::open(&options(dir.path(), &clock)).unwrap();
    assert_eq!(second.public_key(), first.public_key());
    fs::write(&file, "something else").unwrap();
    let error = Vapid::open(&options(dir.path(), &clock)).err().unwrap().to_string();
    assert!(error.starts_with("the Web Push key: ") && error.contains("vapid.key"), "{error}");
}

#[test]
fn a_subject_is_an_address() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Hands::at(0));
    let wrong = super::super::WebPushOptions { subject: Some("admin@chat.example".into()) };
    let error = Vapid::open(&Options { webpush: wrong, ..options(dir.path(), &clock) }).err().unwrap();
    assert_eq!(error.to_string(), "push.webpush.subject 'admin@chat.example' is neither mailto: nor https://");
}
