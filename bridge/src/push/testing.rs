//! What tests of gateways share: a clock that is turned by hand, a push, a service of this machine that answers as the story wants.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use hallway_broker::clock::Clock;
use hallway_broker::ids::{ConferenceId, ConversationId, Uid};
use hallway_broker::model::{Kind, Provider, Target};
use hallway_broker::push::gateway::{Push, Where};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::options::Options;

/// A clock that is turned by hand.
pub struct Hands(AtomicU64);

impl Hands {
    pub fn at(now_ms: u64) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(now_ms)))
    }

    pub fn turn(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for Hands {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.now_ms())
    }
}

/// Options that name no service.
pub fn options(data_dir: &Path, clock: &Arc<Hands>) -> Options {
    Options {
        data_dir: data_dir.to_owned(),
        ca_file: None,
        allow_private_urls: true,
        apns: Default::default(),
        fcm: Default::default(),
        expo: Default::default(),
        webpush: Default::default(),
        public_url: None,
        clock: Arc::clone(clock) as Arc<dyn Clock>,
    }
}

/// Bob says hello to alice.
pub fn push() -> Push {
    let conversation = ConversationId::direct(&Uid::parse("alice").unwrap(), &Uid::parse("bob").unwrap()).unwrap();
    Push {
        conference: ConferenceId::parse("demo").unwrap(),
        user: Uid::parse("alice").unwrap(),
        at: Some(Where { conversation, seq: 7, id: "abcdef".into() }),
        kind: Kind::Direct,
        from: "bob".into(),
        title: "Bob".into(),
        text: "Hello".into(),
        unread: 2,
        badge: 5,
        collapse: "c0llapse-id_of_32_characters_aaa".into(),
        mentions: false,
        ts_ms: 1_700_000_000_123,
        time_to_live: Duration::from_secs(600),
    }
}

/// The same, to alice who wants no content.
pub fn without_content() -> Push {
    Push { at: None, from: "".into(), title: "The Demo".into(), text: "New message".into(), ..push() }
}

/// Where alice is reached.
pub fn target(provider: Provider, address: &str, secret: Vec<u8>) -> Target {
    Target {
        provider,
        address: address.into(),
        secret,
        topic: "".into(),
        is_sandbox: false,
        options: "".into(),
        device: "phone".into(),
        since_ms: 1,
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The number of its connection.
    pub connection: usize,
}

impl Asked {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// The status of what is never answered.
pub const SILENCE: u16 = 0;

/// Status, headers, body.
pub type Reply = (u16, Vec<(&'static str, String)>, String);

#[derive(Default)]
struct Heard {
    replies: VecDeque<Reply>,
    asked: Vec<Asked>,
}

impl Heard {
    /// What is replied to a request.
    fn next(&mut self, asked: Asked) -> Option<Reply> {
        self.asked.push(asked);
        if self.replies.len() > 1 { self.replies.pop_front() } else { self.replies.front().cloned() }
    }
}

/// Makes a key as Apple gives it.
pub fn key_file(path: &Path) {
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let body = data_encoding::BASE64.encode(pkcs8.as_ref());
    std::fs::write(path, format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")).unwrap();
}

/// What is done with the connections that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// They go on.
    Stay,
    /// They end in the middle of everything.
    Cut,
    /// They are said to end (RFC 9113 §6.8).
    GoAway,
}

/// A service that gives these replies, one after the other, the last one again and again.
pub struct Service {
    pub at: SocketAddr,
    heard: Arc<Mutex<Heard>>,
    fate: watch::Sender<Fate>,
    task: JoinHandle<()>,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.fate.send_replace(Fate::Cut);
        self.task.abort();
    }
}

impl Service {
    /// One that speaks HTTP/1.1, or HTTP/2 by prior knowledge.
    pub async fn start(is_http2: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (at, heard) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Heard::default())));
        let (shared, fate) = (Arc::clone(&heard), watch::Sender::new(Fate::Stay));
        let fates = fate.clone();
        let task = tokio::spawn(async move {
            let mut connection = 0;
            while let Ok((stream, _)) = listener.accept().await {
                connection += 1;
                let (heard, number) = (Arc::clone(&shared), connection);
                let service = service_fn(move |request| answer(Arc::clone(&heard), number, request));
                let (stream, mut told, mut fate) = (TokioIo::new(stream), fates.subscribe(), fates.subscribe());
                tokio::spawn(async move {
                    let serving = async {
                        if !is_http2 {
                            return drop(http1::Builder::new().serve_connection(stream, service).await);
                        }
                        let mut serving = pin!(http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service));
                        tokio::select! {
                            _ = serving.as_mut() => return,
                            _ = told.wait_for(|fate| *fate == Fate::GoAway) => serving.as_mut().graceful_shutdown(),
                        }
                        let _ = serving.await;
                    };
                    tokio::select! {
                        () = serving => {}
                        _ = fate.wait_for(|fate| *fate == Fate::Cut) => {}
                    }
                });
            }
        });
        Self { at, heard, fate, task }
    }

    /// Every connection breaks.
    pub async fn cut(&self) {
        self.end(Fate::Cut).await;
    }

    /// Every connection ends as soon as nothing goes over it.
    pub async fn go_away(&self) {
        self.end(Fate::GoAway).await;
    }

    async fn end(&self, fate: Fate) {
        self.fate.send_replace(fate);
        // Each of them holds a receiver as long as it lasts.
        self.fate.closed().await;
        self.fate.send_replace(Fate::Stay);
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.at)
    }

    /// What it answers from now on.
    pub fn says(&self, replies: &[(u16, &str)]) {
        self.replies(replies.iter().map(|(status, body)| (*status, Vec::new(), (*body).to_owned())).collect());
    }

    pub fn replies(&self, replies: Vec<Reply>) {
        self.heard.lock().unwrap().replies = replies.into();
    }

    /// What it was asked since this was called last.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.heard.lock().unwrap().asked)
    }
}

async fn answer(heard: Arc<Mutex<Heard>>, connection: usize, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let asked = Asked { path: head.uri.path().to_owned(), headers: head.headers, body, connection };
    let (status, headers, body) = heard.lock().unwrap().next(asked).unwrap_or((200, Vec::new(), String::new()));
    if status == SILENCE {
        return std::future::pending().await;
    }
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    Ok(response.body(Full::new(Bytes::from(body))).unwrap())
}
