//! A webhook of this machine that says what the story wants.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::allowances::{TopicRights, Use};
use crate::clock::SystemClock;
use crate::ids::{ConfNo, ConferenceId};
use crate::reader::Reader;
use crate::reject::Reject;
use crate::session::Who;
use crate::state::memory::MemoryStore;

const TOPIC: &str = "conf/demo/topic/game";

/// Time that goes on when the story wants.
#[derive(Default)]
struct Hand(AtomicU64);

impl Clock for Hand {
    fn now_ms(&self) -> u64 {
        self.0.load(SeqCst)
    }
    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.now_ms())
    }
}

/// What the organiser's side says now, and what it was asked.
#[derive(Default)]
struct Said {
    /// `None`: nothing.
    answer: Mutex<Option<&'static str>>,
    /// Never an answer to this user.
    ignored: Option<&'static str>,
    questions: Mutex<Vec<String>>,
}

impl Said {
    fn set(&self, answer: Option<&'static str>) {
        *self.answer.lock().unwrap() = answer;
    }
}

async fn webhook(said: Arc<Said>, clock: Arc<dyn Clock>, options: WebhookOptions) -> Arc<Webhook> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let said = Arc::clone(&said);
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !request.ends_with(b"}") {
                    if stream.read_buf(&mut request).await.unwrap() == 0 {
                        return;
                    }
                }
                let question = String::from_utf8(request).unwrap();
                let is_ignored = said.ignored.is_some_and(|user| question.contains(user));
                said.questions.lock().unwrap().push(question);
                let answer = said.answer.lock().unwrap().filter(|_| !is_ignored);
                match answer {
                    Some(body) => {
                        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                        drop(stream.write_all(answer.as_bytes()).await);
                    }
                    None => drop(stream.read(&mut [0]).await),
                }
            });
        }
    });
    Arc::new(Webhook::new(WebhookOptions { url, secret: "a secret of 16 bytes".into(), ..options }, Arc::new(Outward::new(true)), clock))
}

fn rights(webhook: Arc<Webhook>) -> TopicRights {
    let reader = Reader::new(Arc::new(MemoryStore::new().open().unwrap()), Arc::default(), [0; 16]);
    let (conference, uid) = (ConferenceId::parse("demo").unwrap(), Uid::parse("ann").unwrap());
    let who = Who { conf: ConfNo(1), conference, uid, name: "N".into(), version: 0, expires_ms: u64::MAX, token: None };
    TopicRights::of(&[], reader, who, UserRole::Attendee, Some(webhook))
}

fn question<'q>(user: &'q Uid, topic: &'q str) -> Question<'q> {
    Question { conference: "demo", topic, user, role: UserRole::Attendee }
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let so = tokio::time::timeout(Duration::from_secs(10), async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    so.await.unwrap_or_else(|_| panic!("{what}: not within 10 s"));
}

#[tokio::test]
async fn a_yes_is_asked_about_again_and_ends_with_a_no_or_by_leaving() {
    let said = Arc::new(Said::default());
    said.set(Some("{\"subscribe\":true}"));
    let options = WebhookOptions { cache_s: 0, ..WebhookOptions::default() };
    let rights = rights(webhook(Arc::clone(&said), Arc::new(SystemClock::start()), options).await);
    assert!(!rights.may_read(TOPIC));
    rights.settle(TOPIC, Use::Subscribe).await.unwrap();
    assert!(rights.may_read(TOPIC));
    until("it is asked again", || said.questions.lock().unwrap().len() >= 2).await;
    assert!(rights.may_read(TOPIC), "it said yes again");
    said.set(Some("{\"subscribe\":false}"));
    until("the no holds", || !rights.may_read(TOPIC)).await;
    said.set(Some("{\"subscribe\":true}"));
    rights.settle(TOPIC, Use::Subscribe).await.unwrap();
    assert!(rights.may_read(TOPIC));
    rights.leave(TOPIC);
    assert!(!rights.may_read(TOPIC));
}

#[tokio::test]
async fn a_yes_that_nothing_confirms_ends() {
    let (said, clock) = (Arc::new(Said::default()), Arc::new(Hand::default()));
    said.set(Some("{\"subscribe\":true}"));
    let rights = rights(webhook(Arc::clone(&said), Arc::clone(&clock) as _, WebhookOptions::default()).await);
    rights.settle(TOPIC, Use::Subscribe).await.unwrap();
    said.set(None);
    clock.0.store(69_999, SeqCst);
    assert!(rights.may_read(TOPIC));
    clock.0.store(70_000, SeqCst);
    assert!(!rights.may_read(TOPIC), "60 s that the answer was good, and 10 in which another could have come");
    assert_eq!(rights.settle(TOPIC, Use::Subscribe).await, Err(Reject::from(Reason::AllowanceUnknown)));
}

#[tokio::test]
async fn who_asks_much_keeps_nobody_waiting_and_has_no_refusal_kept_for_it() {
    let said = Arc::new(Said { ignored: Some("mallory"), ..Said::default() });
    said.set(Some("{\"publish\":true}"));
    let options = WebhookOptions { timeout_ms: 3000, ..WebhookOptions::default() };
    let webhook = webhook(Arc::clone(&said), Arc::new(SystemClock::start()), options).await;
    let (mallory, bob) = (Uid::parse("mallory").unwrap(), Uid::parse("bob").unwrap());
    let topics: Vec<String> = (0..3 * MAX_UNDER_WAY).map(|at| format!("t{at}")).collect();
    let all = topics.iter().cloned().map(|topic| {
        let (webhook, mallory) = (Arc::clone(&webhook), mallory.clone());
        tokio::spawn(async move { webhook.ask(question(&mallory, &topic)).await })
    });
    let all: Vec<_> = all.collect();
    until("mallory has her turns", || said.questions.lock().unwrap().len() == MAX_OF_USER).await;
    assert_eq!(webhook.ask(question(&bob, "t")).await, Ok(Right { publish: true, subscribe: false }));
    assert_eq!(said.questions.lock().unwrap().len(), MAX_OF_USER + 1);
    for one in all {
        assert_eq!(one.await.unwrap(), Err(Reason::AllowanceUnknown));
    }
    assert_eq!(topics.iter().filter(|topic| webhook.known(&mallory, topic).is_some()).count(), MAX_OF_USER);
    assert!(webhook.users.lock().unwrap().is_empty());
}
