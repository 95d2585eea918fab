//! Sign-ins as stories, on a hub of their own.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::exchange::{ChannelBinding, Mechanism, Terms};
use super::*;
use crate::command::{Action, Actor, Outcome};
use crate::hub::HubOptions;
use crate::model::SignIn;

mod guests;
mod invites;
mod providers;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

/// A clock that the story moves.
#[derive(Default)]
struct Watch(AtomicU64);

impl Watch {
    fn advance(&self, ms: u64) {
        self.0.fetch_add(ms, Relaxed);
    }
}

impl Clock for Watch {
    fn now_ms(&self) -> u64 {
        1_790_000_000_000 + self.0.load(Relaxed)
    }
    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.0.load(Relaxed))
    }
}

struct Story {
    hub: Arc<Hub>,
    accounts: Accounts,
    watch: Arc<Watch>,
    conf: ConfNo,
    _dir: tempfile::TempDir,
}

async fn story(change: impl FnOnce(&mut Limits)) -> Story {
    let mut limits = Limits { failed_logins_per_minute_per_address: 5, disk_reserve_bytes: 0, ..Limits::default() };
    change(&mut limits);
    let (dir, watch) = (tempfile::tempdir().unwrap(), Arc::new(Watch::default()));
    let clock: Arc<dyn Clock> = Arc::clone(&watch) as _;
    let hub = Hub::open(HubOptions { limits, shards: 1, ..HubOptions::new(dir.path()) }, Arc::clone(&clock)).unwrap();
    let conf = add_conference(&hub, "demo", SignIn::Open).await;
    add_conference(&hub, "closed", SignIn::Password).await;
    let accounts = Accounts::with_iterations(hub.limits(), clock, scram::MIN_ITERATIONS);
    Story { hub, accounts, watch, conf, _dir: dir }
}

async fn add_conference(hub: &Hub, id: &str, sign_in: SignIn) -> ConfNo {
    let action = Action::AddConference { id: ConferenceId::parse(id).unwrap(), title: id.into(), sign_in, epoch: 7 };
    match hub.call(ConfNo(0), Actor::system(), action).await.unwrap() {
        Outcome::Conference(conf) => conf,
        other => panic!("{other:?}"),
    }
}

impl Story {
    async fn registers(&self, uid: &str, password: &str) -> Result<SignedIn, Reject> {
        self.accounts.register(&self.hub, &Wish::new("demo", uid, password), HERE).await
    }

    async fn logs_in(&self, uid: &str, password: &str) -> Result<SignedIn, Reject> {
        self.logs_in_from(HERE, uid, password).await
    }

    async fn logs_in_from(&self, peer: IpAddr, uid: &str, password: &str) -> Result<SignedIn, Reject> {
        self.accounts.login(&self.hub, "demo", uid, password, peer).await
    }

    fn shows(&self, token: &str) -> Result<Identity, Reject> {
        self.accounts.by_token(self.hub.reader(), token)
    }

    async fn organiser_does(&self, action: Action) {
        self.hub.call(self.conf, Actor::system(), action).await.unwrap();
    }
}

fn uid(text: &str) -> Uid {
    Uid::parse(text).unwrap()
}

fn reason<T>(result: Result<T, Reject>) -> Option<Reason> {
    result.err().map(|reject| reject.reason)
}

#[tokio::test]
async fn alice_registers_and_comes_back() {
    let story = story(|_| ()).await;
    let first = story.registers("alice", "pencil").await.unwrap();
    assert_eq!((first.uid.as_str(), first.conference.as_str()), ("alice", "demo"));
    assert!(!format!("{first:?}").contains(&first.token), "tokens are not logged");
    let again = story.logs_in("alice", "pencil").await.unwrap();
    assert_ne!(first.token, again.token);
    for token in [first.token, again.token] {
        let identity = story.shows(&token).unwrap();
        assert_eq!((identity.uid.as_str(), identity.conference.as_str(), identity.conf), ("alice", "demo", story.conf));
    }
    assert_eq!(reason(story.registers("alice", "other").await), Some(Reason::Taken));
    story.hub.close();
}

#[tokio::test]
async fn what_cannot_be_registered() {
    let story = story(|limits| limits.users_per_conference = 1).await;
    let register = async |conference, uid, password, name| {
        let wish = Wish { name, ..Wish::new(conference, uid, password) };
        story.accounts.register(&story.hub, &wish, HERE).await
    };
    for (conference, uid, password, name, refused) in [
        ("nowhere", "alice", "p", None, Reason::UnknownConference),
        ("../demo", "alice", "p", None, Reason::UnknownConference),
        ("closed", "alice", "p", None, Reason::SignInClosed),
        ("demo", "Alice", "p", None, Reason::InvalidParams),
        ("demo", "", "p", None, Reason::InvalidParams),
        ("demo", "alice", "", None, Reason::InvalidParams),
        ("demo", "alice", "p", Some("a\nb"), Reason::InvalidParams),
        ("demo", "system", "p", None, Reason::Reserved),
        ("demo", "admin", "p", None, Reason::Reserved),
        ("demo", "alice", "p", Some("Admin"), Reason::Reserved),
    ] {
        assert_eq!(reason(register(conference, uid, password, name).await), Some(refused), "{conference} {uid} {name:?}");
    }
    assert!(register("demo", "alice", "p", Some(" Alice ")).await.is_ok());
    assert_eq!(reason(register("demo", "bob", "p", None).await), Some(Reason::Quota));
    story.hub.close();
}

#[tokio::test]
async fn registrations_of_one_address_are_bounded() {
    let story = story(|limits| limits.registrations_per_minute_per_address = 2).await;
    for name in ["a", "b"] {
        assert!(story.registers(name, "p").await.is_ok());
    }
    let refused = story.registers("c", "p").await.unwrap_err();
    assert_eq!(refused.reason, Reason::LoginRate);
    story.watch.advance(refused.retry_after_ms.unwrap());
    assert!(story.registers("c", "p").await.is_ok());
    story.hub.close();
}

#[tokio::test]
async fn wrong_passwords_and_unknown_people_look_the_same() {
    let story = story(|_| ()).await;
    story.registers("alice", "pencil").await.unwrap();
    for (uid, password) in [("alice", "pen"), ("alice", ""), ("bob", "pencil"), ("NOBODY", "pencil")] {
        let refused = story.logs_in(uid, password).await.unwrap_err();
        assert_eq!(refused, Reason::BadCredentials.into(), "{uid}");
    }
    story.hub.close();
}

#[tokio::test]
async fn an_unknown_user_costs_the_same_work() {
    let story = story(|_| ()).await;
    let _all_cores_busy = story.accounts.work.take_all().await;
    let login = tokio::time::timeout(Duration::from_millis(20), story.logs_in("nobody", "pencil"));
    assert!(login.await.is_err(), "no answer without PBKDF2");
    story.hub.close();
}

#[tokio::test]
async fn an_address_that_failed_too_often_waits_even_with_the_right_password() {
    let story = story(|_| ()).await;
    story.registers("alice", "pencil").await.unwrap();
    for _ in 0..5 {
        assert_eq!(reason(story.logs_in("alice", "wrong").await), Some(Reason::BadCredentials));
    }
    let refused = story.logs_in("alice", "pencil").await.unwrap_err();
    assert_eq!(refused.reason, Reason::LoginRate);
    assert!(story.logs_in_from(THERE, "alice", "pencil").await.is_ok(), "other addresses are not concerned");
    story.watch.advance(refused.retry_after_ms.unwrap());
    assert!(story.logs_in("alice", "pencil").await.is_ok());
    story.hub.close();
}

#[tokio::test]
async fn asking_all_at_once_gives_no_more_answers() {
    let story = Arc::new(story(|_| ()).await);
    story.registers("alice", "pencil").await.unwrap();
    let mut asked = tokio::task::JoinSet::new();
    for n in 0..40 {
        let story = Arc::clone(&story);
        asked.spawn(async move { story.logs_in("alice", &format!("guess {n}")).await });
    }
    let mut told = 0;
    while let Some(answer) = asked.join_next().await {
        told += usize::from(reason(answer.unwrap()) == Some(Reason::BadCredentials));
    }
    assert_eq!(told, 5);
    story.hub.close();
}

#[tokio::test]
async fn who_does_not_wait_for_the_answer_has_failed() {
    let story = story(|limits| limits.failed_logins_per_minute_per_address = 1).await;
    story.registers("alice", "pencil").await.unwrap();
    let _all_cores_busy = story.accounts.work.take_all().await;
    let login = story.logs_in("alice", "wrong");
    assert!(tokio::time::timeout(Duration::from_millis(1), login).await.is_err());
    assert_eq!(reason(story.logs_in("alice", "pencil").await), Some(Reason::LoginRate));
    story.hub.close();
}

#[tokio::test]
async fn a_password_that_was_right_costs_nothing_until_it_changes() {
    let story = story(|_| ()).await;
    story.registers("alice", "pencil").await.unwrap();
    {
        let _all_cores_busy = story.accounts.work.take_all().await;
        let known = tokio::time::timeout(Duration::from_secs(5), story.logs_in("alice", "pencil")).await;
        assert!(known.unwrap().is_ok(), "no core was needed");
    }
    let credentials = credentials(Password::parse("crayon").unwrap()).await.unwrap();
    story.organiser_does(Action::SetPassword { uid: uid("alice"), credentials }).await;
    assert_eq!(reason(story.logs_in("alice", "pencil").await), Some(Reason::BadCredentials));
    assert!(story.logs_in("alice", "crayon").await.is_ok());
    story.hub.close();
}

#[tokio::test]
async fn tokens_end() {
    let story = story(|limits| limits.token_hours = 1).await;
    for foreign in ["", "hw_", "x", &tokens::make()] {
        assert_eq!(reason(story.shows(foreign)), Some(Reason::BadToken));
    }
    let alice = story.registers("alice", "pencil").await.unwrap();
    assert_eq!(alice.expires_at_ms, story.watch.now_ms() + 3_600_000);
    story.watch.advance(3_599_999);
    assert!(story.shows(&alice.token).is_ok());
    story.watch.advance(1);
    assert_eq!(reason(story.shows(&alice.token)), Some(Reason::TokenExpired));

    let alice = story.logs_in("alice", "pencil").await.unwrap();
    let credentials = credentials(Password::parse("crayon").unwrap()).await.unwrap();
    story.organiser_does(Action::SetPassword { uid: uid("alice"), credentials }).await;
    assert_eq!(reason(story.shows(&alice.token)), Some(Reason::BadToken), "the password changed");

    let alice = story.logs_in("alice", "crayon").await.unwrap();
    story.organiser_does(Action::Erase { uid: uid("alice") }).await;
    assert_eq!(reason(story.shows(&alice.token)), Some(Reason::BadToken), "the account is gone");
    assert_eq!(reason(story.logs_in("alice", "crayon").await), Some(Reason::BadCredentials));
    story.hub.close();
}

#[tokio::test]
async fn a_token_made_while_the_password_changed_is_taken_back() {
    let story = story(|_| ()).await;
    story.registers("alice", "pencil").await.unwrap();
    let before = story.accounts.authenticate(story.hub.reader(), "demo", "alice", "pencil", HERE).await.unwrap();
    let credentials = credentials(Password::parse("crayon").unwrap()).await.unwrap();
    story.organiser_does(Action::SetPassword { uid: uid("alice"), credentials }).await;
    let made = issue(&story.hub, before.conf, &before.uid).await.unwrap();
    assert_eq!(reason(sign_in::still_that_account(&story.hub, &before, &made).await), Some(Reason::BadCredentials));
    assert_eq!(reason(story.shows(&made.token)), Some(Reason::BadToken));
    story.hub.close();
}

/// SCRAM-SHA-256 without a channel to bind.
const PLAIN: Terms<'_> = Terms { mechanism: Mechanism { hash: scram::Hash::Sha256, plus: false }, bindings: &[], conference: "demo" };

/// The client's side of an exchange: what comes of it, with the server's final message. `header` begins its first message, `bound` is what it binds.
fn exchanges(
    story: &Story,
    terms: &Terms<'_>,
    (name, password): (&str, &str),
    header: &str,
    bound: &[u8],
) -> Result<(Identity, String), Reject> {
    let (accounts, reader) = (&story.accounts, story.hub.reader());
    let bare = format!("n={name},r=abc");
    let exchange = accounts.begin_scram(reader, terms, format!("{header}{bare}").as_bytes(), HERE)?;
    let challenge = exchange.challenge().to_owned();
    let mut parts = challenge.split(',');
    let nonce = parts.next().unwrap().to_owned();
    assert!(nonce.starts_with("r=abc") && nonce.len() > 20);
    let without_proof = format!("c={},{nonce}", data_encoding::BASE64.encode(bound));
    let message = format!("{bare},{challenge},{without_proof}");
    let uid = name.split('@').next().unwrap();
    let proof = match reader.user(story.conf, &self::uid(uid)).unwrap().and_then(|user| user.credentials) {
        Some(kept) => {
            let (hash, password) = (terms.mechanism.hash, scram::Password::parse(password).unwrap());
            scram::client_proof(hash, &password, kept.of(hash), message.as_bytes())
        }
        None => vec![0; 32],
    };
    let proof = data_encoding::BASE64.encode(&proof);
    accounts.finish_scram(reader, &exchange, format!("{without_proof},p={proof}").as_bytes(), HERE)
}

#[tokio::test]
async fn a_password_is_shown_without_being_sent() {
    let story = story(|_| ()).await;
    story.registers("alice", "pencil").await.unwrap();
    for name in ["alice", "alice@demo"] {
        let (identity, signature) = exchanges(&story, &PLAIN, (name, "pencil"), "n,,", b"n,,").unwrap();
        assert_eq!((identity.uid.as_str(), identity.conference.as_str()), ("alice", "demo"));
        assert!(signature.starts_with("v=") && signature.len() > 40);
    }
    for (name, password, bound) in [("alice", "pen", b"n,,"), ("alice", "pencil", b"y,,"), ("nobody", "pencil", b"n,,")] {
        let refused = exchanges(&story, &PLAIN, (name, password), "n,,", bound);
        assert_eq!(reason(refused), Some(Reason::BadCredentials), "{name} {password} {bound:?}");
    }
    story.hub.close();
}

#[tokio::test]
async fn a_channel_is_bound() {
    let story = story(|_| ()).await;
    story.registers("alice", "pencil").await.unwrap();
    let bindings =
        [ChannelBinding { name: "tls-exporter", data: vec![1, 2, 3] }, ChannelBinding { name: "tls-server-end-point", data: vec![4, 5] }];
    for mechanism in Mechanism::ALL {
        assert_eq!(Mechanism::from_name(mechanism.name()), Some(mechanism));
        let terms = Terms { mechanism, bindings: &bindings, conference: "demo" };
        let tries = |header: &str, bound: &[u8]| exchanges(&story, &terms, ("alice", "pencil"), header, bound).is_ok();
        assert_eq!(tries("p=tls-exporter,,", b"p=tls-exporter,,\x01\x02\x03"), mechanism.plus);
        assert_eq!(tries("p=tls-server-end-point,a=alice,", b"p=tls-server-end-point,a=alice,\x04\x05"), mechanism.plus);
        assert_eq!(tries("n,,", b"n,,"), !mechanism.plus);
        // Another channel's data; no such type; somebody took the mechanisms with binding out of the list.
        assert!(!tries("p=tls-exporter,,", b"p=tls-exporter,,\x01\x02") && !tries("p=tls-unique,,", b"p=tls-unique,,"));
        assert!(!tries("y,,", b"y,,"));
        let without = Terms { bindings: &[], ..terms };
        assert_eq!(exchanges(&story, &without, ("alice", "pencil"), "y,,", b"y,,").is_ok(), !mechanism.plus);
    }
    story.hub.close();
}

#[tokio::test]
async fn an_exchange_does_not_tell_who_has_an_account() {
    let story = story(|_| ()).await;
    story.registers("alice", "pencil").await.unwrap();
    let salt = |name: &str| {
        let first = format!("n,,n={name},r=abc");
        let exchange = story.accounts.begin_scram(story.hub.reader(), &PLAIN, first.as_bytes(), HERE).unwrap();
        exchange.challenge().split(',').nth(1).unwrap().to_owned()
    };
    assert_eq!((salt("alice"), salt("nobody")), (salt("alice"), salt("nobody")));
    assert_ne!(salt("nobody"), salt("nobody-else"));
    for bad in ["", "n,,", "p=tls-unique,,n=alice,r=x", "n,a=bob,n=alice,r=x", "n,,n=alice", "n,,n=alice,r="] {
        let begun = story.accounts.begin_scram(story.hub.reader(), &PLAIN, bad.as_bytes(), HERE);
        assert_eq!(reason(begun), Some(Reason::BadCredentials), "{bad}");
    }
    story.hub.close();
}
