//! Exchanges, element by element, on a hub of their own.

use std::num::NonZeroU32;

use hallway_broker::accounts::scram::Hash;
use ring::{digest, hmac, pbkdf2};

use super::*;
use crate::xmpp::testing::{Story, auth, element};

impl Story {
    /// Whom an initial response lets in.
    async fn tries(&self, mechanism: &str, message: &str) -> Result<String, Failure> {
        match private().element(self.place(), &auth(mechanism, message.as_bytes())).await {
            Answer::Success(identity, _) => Ok(identity.uid.to_string()),
            Answer::Failure(failure) => Err(failure),
            challenge => panic!("{challenge:?}"),
        }
    }
}

fn private() -> Sasl {
    Sasl::new(Vec::new(), true)
}

fn names(sasl: &Sasl) -> Vec<&'static str> {
    sasl.mechanisms().map(Mechanism::name).collect()
}

#[test]
fn what_is_offered_depends_on_the_connection() {
    assert_eq!(names(&Sasl::new(Vec::new(), false)), ["SCRAM-SHA-256", "SCRAM-SHA-1"]);
    let bound = vec![ChannelBinding { name: "tls-server-end-point", data: vec![1] }];
    let all = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-1", "OAUTHBEARER", "PLAIN"];
    assert_eq!(names(&Sasl::new(bound, true)), all);
}

#[tokio::test]
async fn plain() {
    let story = Story::begin().await;
    let token = format!("\0alice\0{}", story.token);
    for right in ["\0alice\0pencil", "alice\0alice\0pencil", "alice@chat.example\0alice@chat.example\0pencil", &token] {
        assert_eq!(story.tries("PLAIN", right).await.as_deref(), Ok("alice"), "{right:?}");
    }
    assert_eq!(story.tries("PLAIN", "\0newcomer\0secret").await.as_deref(), Ok("newcomer"));
    let somebody_elses = format!("\0bob\0{}", story.token);
    for (wrong, failure) in [
        ("\0alice\0pen", Failure::NotAuthorized),
        ("\0alice@other.example\0pencil", Failure::NotAuthorized),
        (&somebody_elses, Failure::NotAuthorized),
        ("bob\0alice\0pencil", Failure::InvalidAuthzid),
        ("alice\0pencil", Failure::MalformedRequest),
        ("\0alice\0pencil\0", Failure::MalformedRequest),
    ] {
        assert_eq!(story.tries("PLAIN", wrong).await, Err(failure), "{wrong:?}");
    }
    story.hub.close();
}

#[tokio::test]
async fn bearer_tokens() {
    let story = Story::begin().await;
    let said = |authzid: &str, token: &str| format!("n,{authzid},\x01host=chat.example\x01auth=Bearer {token}\x01\x01");
    for authzid in ["", "a=alice@chat.example"] {
        assert_eq!(story.tries("OAUTHBEARER", &said(authzid, &story.token)).await.as_deref(), Ok("alice"));
    }
    assert_eq!(story.tries("OAUTHBEARER", &said("a=bob", &story.token)).await, Err(Failure::InvalidAuthzid));
    assert_eq!(story.tries("OAUTHBEARER", "n,,auth=Bearer").await, Err(Failure::MalformedRequest));
    // Why it was refused is said first, and the client has to answer.
    let mut sasl = private();
    let challenge = sasl.element(story.place(), &auth("OAUTHBEARER", said("", "hw1_wrong").as_bytes())).await;
    assert!(matches!(challenge, Answer::Challenge(json) if json.starts_with(b"{\"status\"")));
    let failed = sasl.element(story.place(), &element("response", b"\x01")).await;
    assert!(matches!(failed, Answer::Failure(Failure::NotAuthorized)));
    story.hub.close();
}

/// A client's proof and what it expects of the server (RFC 5802 §3), for both hashes.
fn proof(hash: Hash, password: &str, challenge: &str, auth_message: &str) -> (Vec<u8>, Vec<u8>) {
    let (rounds, hmac, digest) = match hash {
        Hash::Sha1 => (pbkdf2::PBKDF2_HMAC_SHA1, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &digest::SHA1_FOR_LEGACY_USE_ONLY),
        Hash::Sha256 => (pbkdf2::PBKDF2_HMAC_SHA256, hmac::HMAC_SHA256, &digest::SHA256),
    };
    let value = |name: &str| challenge.split(',').find_map(|part| part.strip_prefix(name)).unwrap();
    let (salt, iterations) = (BASE64.decode(value("s=").as_bytes()).unwrap(), value("i=").parse::<u32>().unwrap());
    let mut salted = vec![0; digest.output_len()];
    pbkdf2::derive(rounds, NonZeroU32::new(iterations).unwrap(), &salt, password.as_bytes(), &mut salted);
    let mac = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hmac, key), text).as_ref().to_vec();
    let key = mac(&salted, b"Client Key");
    let signature = mac(digest::digest(digest, &key).as_ref(), auth_message.as_bytes());
    let proof = key.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
    (proof, mac(&mac(&salted, b"Server Key"), auth_message.as_bytes()))
}

/// An exchange with a password; whether the server is let in, too.
async fn scram(story: &Story, mechanism: Scram, password: &str, asks_first: bool) -> Result<bool, Failure> {
    let bindings = vec![ChannelBinding { name: "tls-server-end-point", data: vec![1, 2] }];
    let mut sasl = Sasl::new(bindings, false);
    let (header, bound) =
        if mechanism.plus { ("p=tls-server-end-point,,", &b"p=tls-server-end-point,,\x01\x02"[..]) } else { ("n,,", &b"n,,"[..]) };
    let bare = "n=alice,r=abc";
    let first = format!("{header}{bare}");
    let begun = if asks_first {
        let empty = sasl.element(story.place(), &auth(mechanism.name(), b"")).await;
        assert!(matches!(empty, Answer::Challenge(nothing) if nothing.is_empty()));
        sasl.element(story.place(), &element("response", first.as_bytes())).await
    } else {
        sasl.element(story.place(), &auth(mechanism.name(), first.as_bytes())).await
    };
    let Answer::Challenge(challenge) = begun else { panic!("{begun:?}") };
    let challenge = String::from_utf8(challenge).unwrap();
    let nonce = challenge.split(',').next().unwrap();
    let without_proof = format!("c={},{nonce}", BASE64.encode(bound));
    let (proof, expected) = proof(mechanism.hash, password, &challenge, &format!("{bare},{challenge},{without_proof}"));
    let last = format!("{without_proof},p={}", BASE64.encode(&proof));
    match sasl.element(story.place(), &element("response", last.as_bytes())).await {
        Answer::Success(_, signature) => Ok(signature == Some(format!("v={}", BASE64.encode(&expected)).into_bytes())),
        Answer::Failure(failure) => Err(failure),
        challenge => panic!("{challenge:?}"),
    }
}

#[tokio::test]
async fn all_of_scram() {
    let story = Story::begin().await;
    for mechanism in Scram::ALL {
        for asks_first in [true, false] {
            assert_eq!(scram(&story, mechanism, "pencil", asks_first).await, Ok(true), "{}", mechanism.name());
        }
        assert_eq!(scram(&story, mechanism, "pen", false).await, Err(Failure::NotAuthorized));
    }
    story.hub.close();
}

#[tokio::test]
async fn what_does_not_come_next_is_refused() {
    let story = Story::begin().await;
    let place = story.place();
    let failure = |answer| if let Answer::Failure(failure) = answer { failure } else { panic!("{answer:?}") };
    let mut sasl = private();
    assert_eq!(failure(sasl.element(place, &element("response", b"x")).await), Failure::MalformedRequest);
    assert_eq!(failure(sasl.element(place, &Element::bare("abort", NS)).await), Failure::Aborted);
    assert_eq!(failure(sasl.element(place, &auth("DIGEST-MD5", b"x")).await), Failure::InvalidMechanism);
    assert_eq!(failure(sasl.element(place, &auth("SCRAM-SHA-1-PLUS", b"p=x,,n=a,r=b")).await), Failure::InvalidMechanism);
    assert_eq!(failure(Sasl::new(Vec::new(), false).element(place, &auth("PLAIN", b"\0alice\0pencil")).await), Failure::InvalidMechanism);
    let mut not_base64 = auth("PLAIN", b"");
    not_base64.append_text_node("%%%".to_owned());
    assert_eq!(failure(sasl.element(place, &not_base64).await), Failure::IncorrectEncoding);
    assert_eq!(failure(sasl.element(place, &auth("PLAIN", &[0; 10_000])).await), Failure::MalformedRequest);
    // After an abort in the middle the exchange begins anew.
    assert!(matches!(sasl.element(place, &auth("SCRAM-SHA-256", b"n,,n=alice,r=x")).await, Answer::Challenge(_)));
    assert_eq!(failure(sasl.element(place, &Element::bare("abort", NS)).await), Failure::Aborted);
    assert_eq!(failure(sasl.element(place, &element("response", b"c=biws,r=x,p=eA==")).await), Failure::MalformedRequest);
    story.hub.close();
}
