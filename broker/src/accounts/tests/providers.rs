//! Tokens of identity providers, as stories.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use serde_json::{Value, json};

use super::super::jwt::testing::Signer;
use super::super::jwt::{KeySource, ProviderOptions, Providers};
use super::*;
use crate::model::UserRole;
use crate::outward::Outward;

const SECRET: &str = "a secret of at least 32 bytes, as RFC 7518 wants";
const ISSUER: &str = "https://id.example";

fn options(keys: KeySource) -> ProviderOptions {
    ProviderOptions { keys, issuer: Some(ISSUER.into()), audience: vec!["app".into()], ..ProviderOptions::default() }
}

fn shared() -> ProviderOptions {
    options(KeySource::Secret(SECRET.into()))
}

impl Story {
    /// With these providers; each for a conference of its own name.
    fn with(mut self, providers: Vec<(&str, ProviderOptions)>) -> Self {
        let parsed = providers.into_iter().map(|(id, options)| (ConferenceId::parse(id).unwrap(), options)).collect();
        let clock: Arc<dyn Clock> = Arc::clone(&self.watch) as _;
        let accounts = Accounts::with_iterations(self.hub.limits(), Arc::clone(&clock), scram::MIN_ITERATIONS);
        self.accounts = accounts.with_providers(Providers::open(parsed, &clock).unwrap());
        self
    }

    fn claims(&self, subject: &str) -> Value {
        json!({"iss": ISSUER, "aud": "app", "sub": subject, "exp": self.watch.now_ms() / 1000 + 300})
    }

    /// A token by the shared secret.
    fn token(&self, subject: &str, more: Value) -> String {
        let mut claims = self.claims(subject);
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Signer::secret(SECRET).token("", &claims)
    }

    async fn bears(&self, token: &str) -> Result<Identity, Reject> {
        self.accounts.by_bearer(&self.hub, token, None).await
    }
}

async fn begin(limits: impl FnOnce(&mut Limits)) -> Story {
    let story = story(limits).await;
    add_conference(&story.hub, "expo", SignIn::Token).await;
    story
}

#[tokio::test]
async fn a_first_token_makes_an_account_and_the_next_finds_it() {
    let story = begin(|_| ()).await.with(vec![("expo", shared())]);
    let token = story.token("auth0|1", json!({"preferred_username": "Alice", "name": "Alice A."}));
    let first = story.bears(&token).await.unwrap();
    assert_eq!((first.uid.as_str(), &*first.user.name, first.conference.as_str()), ("alice", "Alice A.", "expo"));
    assert_eq!((first.user.role, first.expires_ms), (UserRole::Attendee, story.watch.now_ms() / 1000 * 1000 + 360_000));
    // By another token of the same person, in which all else is different.
    let other = story.token("auth0|1", json!({"preferred_username": "al", "name": "Al"}));
    let again = story.bears(&other).await.unwrap();
    assert_eq!((again.uid.as_str(), &*again.user.name), ("alice", "Alice A."));
    // Somebody else who wants the same.
    let bob = story.bears(&story.token("auth0|2", json!({"email": "alice@example.org"}))).await.unwrap();
    assert_eq!((bob.uid.as_str(), &*bob.user.name), ("alice-2", "alice-2"));
    let nobody = story.bears(&story.token("auth0|3", json!({"preferred_username": "admin", "name": "Staff"}))).await.unwrap();
    assert_eq!((nobody.uid.as_str(), &*nobody.user.name), ("admin-2", "admin-2"));
    assert_eq!(story.hub.reader().conference_head(first.conf).unwrap().users, 3);
    story.hub.close();
}

#[tokio::test]
async fn a_subject_is_no_uid() {
    let story = begin(|_| ()).await.with(vec![("demo", shared())]);
    story.registers("alice", "pencil").await.unwrap();
    let identity = story.bears(&story.token("alice", json!({}))).await.unwrap();
    assert_eq!(identity.uid.as_str(), "user");
    story.hub.close();
}

#[tokio::test]
async fn all_at_once_it_is_one_account() {
    let story = Arc::new(begin(|_| ()).await.with(vec![("expo", shared())]));
    let mut all = tokio::task::JoinSet::new();
    for n in 0..20 {
        let story = Arc::clone(&story);
        let token = story.token("same", json!({"preferred_username": format!("user{}", n % 3), "jti": n}));
        all.spawn(async move { story.bears(&token).await.unwrap().uid });
    }
    let uids: std::collections::HashSet<Uid> = all.join_all().await.into_iter().collect();
    assert_eq!(uids.len(), 1);
    story.hub.close();
}

#[tokio::test]
async fn what_is_refused() {
    let story = begin(|_| ())
        .await
        .with(vec![("expo", shared()), ("closed", ProviderOptions { issuer: Some("https://other".into()), ..shared() })]);
    let now = story.watch.now_ms() / 1000;
    for (more, refused) in [
        (json!({"exp": now - 61}), Reason::TokenExpired),
        (json!({"nbf": now + 61}), Reason::BadToken),
        (json!({"aud": "another"}), Reason::BadToken),
        (json!({"iss": "https://evil"}), Reason::BadToken),
        (json!({"iss": "https://other"}), Reason::SignInClosed),
    ] {
        assert_eq!(reason(story.bears(&story.token("x", more.clone())).await), Some(refused), "{more}");
    }
    let forged = Signer::secret("another secret, which nobody told us").token("", &story.claims("x"));
    assert_eq!(reason(story.bears(&forged).await), Some(Reason::BadToken));
    let unsigned = Signer::secret(SECRET).token_with(&json!({"alg": "none"}), &story.claims("x"));
    for none in [unsigned.as_str(), &unsigned[..=unsigned.rfind('.').unwrap()], "eyJ..", "eyJ", ""] {
        assert_eq!(reason(story.bears(none).await), Some(Reason::BadToken), "{none}");
    }
    let good = story.token("x", json!({}));
    assert_eq!(reason(story.accounts.by_bearer(&story.hub, &good, Some("demo")).await), Some(Reason::BadToken), "no provider there");
    assert!(story.accounts.by_bearer(&story.hub, &good, Some("expo")).await.is_ok());
    story.hub.close();
}

#[tokio::test]
async fn a_token_that_was_right_is_right_until_it_expires_or_its_account_goes() {
    let story = begin(|_| ()).await.with(vec![("expo", shared())]);
    let token = story.token("x", json!({}));
    let identity = story.bears(&token).await.unwrap();
    assert_eq!(story.bears(&token).await.unwrap(), identity);
    story.watch.advance(359_000);
    assert!(story.bears(&token).await.is_ok());
    story.watch.advance(1_000);
    assert_eq!(reason(story.bears(&token).await), Some(Reason::TokenExpired));
    let newer = story.token("x", json!({}));
    assert!(story.bears(&newer).await.is_ok());
    story.hub.call_to_end(identity.conf, Actor::system(), Action::Erase { uid: identity.uid }).await.unwrap();
    assert_eq!(reason(story.bears(&newer).await), Some(Reason::SessionEnded), "remembered");
    assert_eq!(reason(story.bears(&story.token("x", json!({"jti": 1}))).await), Some(Reason::SessionEnded), "anew");
    story.hub.close();
}

#[tokio::test]
async fn a_conference_made_anew_is_another() {
    let story = begin(|_| ()).await.with(vec![("expo", shared())]);
    let token = story.token("x", json!({"preferred_username": "alice"}));
    let before = story.bears(&token).await.unwrap();
    story.hub.call_to_end(before.conf, Actor::system(), Action::RemoveConference).await.unwrap();
    assert_eq!(reason(story.bears(&token).await), Some(Reason::UnknownConference));
    let conf = add_conference(&story.hub, "expo", SignIn::Token).await;
    let action = Action::AddUser { uid: uid("alice"), name: None, role: UserRole::Attendee, credentials: None };
    story.hub.call(conf, Actor::system(), action).await.unwrap();
    let after = story.bears(&token).await.unwrap();
    assert_eq!((after.conf, after.uid.as_str()), (conf, "alice-2"), "not somebody else's account");
    story.hub.close();
}

#[tokio::test]
async fn roles_follow_the_provider() {
    let with_roles = ProviderOptions { roles_claim: Some("roles".into()), ..shared() };
    let story = begin(|_| ()).await.with(vec![("expo", with_roles)]);
    for (roles, expected) in [
        (json!({"roles": ["staff"]}), UserRole::Staff),
        (json!({"roles": []}), UserRole::Attendee),
        (json!({"roles": ["organiser"]}), UserRole::Staff),
        (json!({}), UserRole::Attendee),
    ] {
        let identity = story.bears(&story.token("x", roles.clone())).await.unwrap();
        assert_eq!(identity.user.role, expected, "{roles}");
    }
    story.hub.close();
}

#[tokio::test]
async fn a_role_that_was_taken_away_ends_what_is_signed_in_and_no_older_token_gives_it_back() {
    let with_roles = ProviderOptions { roles_claim: Some("roles".into()), ..shared() };
    let story = begin(|_| ()).await.with(vec![("expo", with_roles)]);
    let now = story.watch.now_ms() / 1000;
    let token = |made: u64, roles: &str| story.token("x", json!({"iat": made, "roles": roles}));
    let staff = story.bears(&token(now - 50, "staff")).await.unwrap();
    let signed_in = issue(&story.hub, staff.conf, &staff.uid).await.unwrap();
    let ticket = story.accounts.ticket(staff.clone()).unwrap();
    let fallen = story.bears(&token(now - 40, "")).await.unwrap();
    assert_eq!((fallen.user.role, fallen.user.version), (UserRole::Attendee, staff.user.version + 1));
    assert_eq!(reason(story.accounts.by_token(story.hub.reader(), &signed_in.token)), Some(Reason::BadToken));
    assert_eq!(reason(story.accounts.by_ticket(story.hub.reader(), &ticket)), Some(Reason::BadTicket));
    for older in [token(now - 50, "staff"), token(now - 41, "staff"), story.token("x", json!({"roles": "staff"}))] {
        assert_eq!(story.bears(&older).await.unwrap().user, fallen.user);
    }
    // A newer one gives it, and ends nothing; one that says the same is remembered as the newest, too.
    let risen = story.bears(&token(now - 30, "staff")).await.unwrap();
    assert_eq!((risen.user.role, risen.user.version), (UserRole::Staff, fallen.user.version));
    assert_eq!(story.bears(&token(now - 10, "staff")).await.unwrap().user.role, UserRole::Staff);
    assert_eq!(story.bears(&token(now - 20, "")).await.unwrap().user.role, UserRole::Staff);
    // The future is not older than now.
    assert_eq!(story.bears(&token(now + 1_000_000, "")).await.unwrap().user.role, UserRole::Attendee);
    story.watch.advance(61_000);
    assert_eq!(story.bears(&token(now + 61, "staff")).await.unwrap().user.role, UserRole::Staff);
    story.hub.close();
}

#[tokio::test]
async fn a_quota_holds_for_first_tokens_only() {
    let story = begin(|limits| limits.users_per_conference = 1).await.with(vec![("expo", shared())]);
    assert!(story.bears(&story.token("a", json!({}))).await.is_ok());
    assert_eq!(reason(story.bears(&story.token("b", json!({}))).await), Some(Reason::Quota));
    assert!(story.bears(&story.token("a", json!({"jti": 2}))).await.is_ok());
    story.hub.close();
}

/// A server of key sets: what it says, and how often it was asked.
struct Jwks {
    url: String,
    says: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
}

fn jwks_server() -> Jwks {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/jwks", listener.local_addr().unwrap());
    let (says, asked) = (Arc::new(Mutex::new(String::new())), Arc::new(AtomicUsize::new(0)));
    let server = Jwks { url, says: Arc::clone(&says), asked: Arc::clone(&asked) };
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut request = [0; 2000];
            let _ = stream.read(&mut request);
            let body = says.lock().unwrap().clone();
            asked.fetch_add(1, Relaxed);
            let status = if body.is_empty() { "503 Busy" } else { "200 OK" };
            let _ = write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        }
    });
    server
}

impl Jwks {
    fn says(&self, keys: &[Value]) {
        *self.says.lock().unwrap() = json!({"keys": keys}).to_string();
    }

    fn asked(&self) -> usize {
        self.asked.load(Relaxed)
    }
}

#[tokio::test]
async fn keys_from_a_url_are_renewed_when_a_token_names_a_new_one() {
    let server = jwks_server();
    let (old, new) = (Signer::p256(), Signer::ed25519());
    let story = begin(|_| ()).await.with(vec![("expo", options(KeySource::JwksUrl(server.url.clone())))]);
    let tasks = story.accounts.providers.tend(&Arc::new(Outward::new(true)));
    let token = old.token("old", &story.claims("x"));
    assert_eq!(reason(story.bears(&token).await), Some(Reason::ProviderUnavailable), "nothing is known of its keys");
    let asked = server.asked();
    assert!(asked >= 1);
    assert_eq!(reason(story.bears(&token).await), Some(Reason::ProviderUnavailable));
    assert_eq!(server.asked(), asked, "not asked again at once");

    server.says(&[old.jwk("old")]);
    story.watch.advance(31_000);
    assert_eq!(story.bears(&token).await.unwrap().uid.as_str(), "user");
    assert_eq!(server.asked(), asked + 1);

    // The provider has a new key, and takes the old one back.
    server.says(&[new.jwk("new")]);
    let by_new = new.token("new", &story.claims("x"));
    assert_eq!(reason(story.bears(&by_new).await), Some(Reason::BadToken), "asked just now");
    assert_eq!(server.asked(), asked + 1);
    story.watch.advance(31_000);
    let many: Vec<_> = (0..10).map(|n| new.token("new", &story.claims(&format!("y{n}")))).collect();
    for found in futures_join(many.iter().map(|token| story.bears(token))).await {
        assert!(found.is_ok(), "{found:?}");
    }
    assert_eq!(server.asked(), asked + 2, "once for all of them");
    assert_eq!(reason(story.bears(&token).await), Some(Reason::BadToken), "the old key is gone, remembered or not");

    // Forged kids ask nothing of it beyond the rate.
    for n in 0..20 {
        assert_eq!(reason(story.bears(&new.token(&format!("k{n}"), &story.claims("x"))).await), Some(Reason::BadToken));
    }
    assert_eq!(server.asked(), asked + 2);

    // It is gone for longer than its keys are good.
    server.says.lock().unwrap().clear();
    story.watch.advance(24 * 3600 * 1000);
    let late = new.token("new", &story.claims("x"));
    assert_eq!(reason(story.bears(&late).await), Some(Reason::ProviderUnavailable));
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    story.hub.close();
}

async fn futures_join<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut pending: Vec<_> = all.map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(|context| {
        for (one, done) in &mut pending {
            if done.is_none()
                && let std::task::Poll::Ready(result) = one.as_mut().poll(context)
            {
                *done = Some(result);
            }
        }
        if pending.iter().all(|(_, done)| done.is_some()) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    pending.into_iter().filter_map(|(_, done)| done).collect()
}

#[tokio::test]
async fn keys_from_files() {
    let (dir, signer) = (tempfile::tempdir().unwrap(), Signer::rsa());
    let (pem, jwks) = (dir.path().join("key.pem"), dir.path().join("jwks.json"));
    std::fs::write(&pem, signer.pem()).unwrap();
    std::fs::write(&jwks, json!({"keys": [signer.jwk("k")]}).to_string()).unwrap();
    let by_jwks = ProviderOptions { issuer: Some("https://two".into()), ..options(KeySource::JwksFile(jwks.clone())) };
    let story = begin(|_| ()).await.with(vec![("expo", options(KeySource::PublicKeyFile(pem.clone()))), ("demo", by_jwks)]);
    assert_eq!(story.bears(&signer.token("any", &story.claims("x"))).await.unwrap().conference.as_str(), "expo");
    let mut claims = story.claims("x");
    claims["iss"] = "https://two".into();
    assert_eq!(story.bears(&signer.token("k", &claims)).await.unwrap().conference.as_str(), "demo");
    // The file has a new key.
    let tasks = story.accounts.providers.tend(&Arc::new(Outward::new(false)));
    let new = Signer::p256();
    std::fs::write(&jwks, json!({"keys": [new.jwk("new")]}).to_string()).unwrap();
    story.watch.advance(3_000);
    assert_eq!(story.bears(&new.token("new", &claims)).await.unwrap().uid.as_str(), "user");
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    story.hub.close();
    for (path, text) in [(&pem, "nothing"), (&jwks, "{}")] {
        std::fs::write(path, text).unwrap();
        let source = if *path == pem { KeySource::PublicKeyFile(pem.clone()) } else { KeySource::JwksFile(jwks.clone()) };
        let clock: Arc<dyn Clock> = Arc::new(Watch::default());
        let error = Providers::open(vec![(ConferenceId::parse("expo").unwrap(), options(source))], &clock).err().unwrap().to_string();
        assert!(error.contains("conference.expo.jwt") && error.contains(path.to_str().unwrap()), "{error}");
    }
}
