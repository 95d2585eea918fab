//! The HTTP edge over real sockets, with an app that answers what it is told. Each row: what is sent, what comes back.

mod files;

use std::cell::Cell;
use std::future::Future;
use std::io::Write as _;

use hallway_broker::edges::Shown;
use hallway_broker::ids::{ConfNo, ConferenceId, Uid};
use hallway_broker::model::MediaType;
use hallway_broker::reject::Reason;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::socketio::query::BadRequest;
use crate::types::Time;
use hallway_broker::frame::{Binary, Decoder, Event};

/// Passwords and tokens that are right are `right`.
struct Fake {
    settings: Settings,
    ready: Cell<bool>,
    full: Cell<bool>,
    mqtt: Cell<bool>,
    sockets: RefCell<Vec<(Socket, Client)>>,
    seen: RefCell<Vec<Client>>,
}

impl Fake {
    fn check(&self, secret: &str, client: &Client, why: Reason) -> Result<(), Fault> {
        self.seen.borrow_mut().push(client.clone());
        if secret == "right" { Ok(()) } else { Err(why.into()) }
    }

    fn sign_in(&self, uid: &str, password: &str, client: &Client) -> Result<SignedIn, Fault> {
        self.check(password, client, Reason::BadCredentials)?;
        Ok(SignedIn {
            token: "right".into(),
            user: Uid::parse(uid).map_err(|_| Fault::from(Reason::InvalidParams))?,
            name: uid.to_uppercase(),
            conference: ConferenceId::parse("demo").expect("an id"),
            expires_at: Time(0),
        })
    }
}

impl App for Fake {
    type Entrance = ();

    fn settings(&self) -> &Settings {
        &self.settings
    }
    async fn register(&self, wanted: Register, client: &Client) -> Result<SignedIn, Fault> {
        self.sign_in(&wanted.uid, &wanted.password, client)
    }
    async fn login(&self, login: Login, client: &Client) -> Result<SignedIn, Fault> {
        self.sign_in(&login.uid, &login.password, client)
    }
    async fn ticket(&self, token: &str) -> Result<Ticket, Fault> {
        if token == "right" { Ok(Ticket { ticket: "id:code".into(), expires_in: 30 }) } else { Err(Reason::BadToken.into()) }
    }
    async fn rpc(&self, text: &str, credential: &Credential, session: Option<&str>, client: &Client) -> Result<Option<Vec<u8>>, Fault> {
        let (Shown::Token(secret) | Shown::Ticket(secret)) = credential.shown();
        self.check(secret, client, Reason::BadToken)?;
        if session.is_some_and(|session| session != "7") {
            return Err(Reason::UnknownSession.into());
        }
        Ok((text != "{}").then(|| text.into()))
    }
    async fn conversations(&self, credential: &Credential) -> Result<Vec<u8>, Fault> {
        let (Shown::Token(secret) | Shown::Ticket(secret)) = credential.shown();
        if secret == "right" { Ok(b"[]".to_vec()) } else { Err(Reason::BadToken.into()) }
    }
    async fn leave(&self, credential: &Credential, _: &str) -> Result<(), Fault> {
        self.conversations(credential).await.map(drop)
    }

    async fn upload(&self, _: &Credential, _: Option<u64>) -> Result<Upload, Fault> {
        Err(Reason::FilesFull.into())
    }
    async fn file(&self, _: &Capability, _: &Client) -> Result<(File, std::fs::File), Fault> {
        let bytes = tempfile::tempfile().expect("a file");
        (&bytes).write_all(b"0123456789").expect("written");
        let (owner, name) = (Uid::parse("alice").expect("a uid"), "Kätzchen \"1\".png".into());
        let media = if self.full.get() { MediaType::Binary } else { MediaType::Png };
        Ok((File { owner, name, media, bytes: 10, crc: 0, size: None, at_ms: 0, uses: 0, unused_ms: 0 }, bytes))
    }
    async fn events(&self, wanted: EventsWanted, client: &Client) -> Result<EventsBody, Fault> {
        let (Credential::Token(secret) | Credential::Ticket(secret)) = &wanted.credential;
        self.check(secret, client, Reason::BadToken)?;
        Err(Reason::Draining.into())
    }
    async fn poll(&self, ask: Ask, _: &Client) -> Answered {
        match ask {
            Ask::Open(_) => Answered::Packets(b"0{}".to_vec()),
            Ask::Get(_) => Answered::Bad(BadRequest::Session),
            Ask::Post(..) => Answered::Taken,
        }
    }
    async fn notify(&self, _: Notify, credential: &Credential) -> Result<usize, Fault> {
        if *credential == Credential::Token("right".into()) { Ok(2) } else { Err(Reason::BadToken.into()) }
    }
    fn speaks(&self, socket: Socket) -> bool {
        socket == Socket::Hallway || self.mqtt.get()
    }
    async fn admits(&self, _: Socket, _: &Parts, _: &Client) -> Result<(), Fault> {
        let fault = Fault { retry_after_ms: Some(1500), ..Reason::TooManySessions.into() };
        if self.full.get() { Err(fault) } else { Ok(()) }
    }
    fn upgraded(&self, mut upgraded: Upgraded<()>) {
        self.sockets.borrow_mut().push((upgraded.route, upgraded.client.clone()));
        tokio::task::spawn_local(async move {
            let mut bytes = upgraded.leftover.to_vec();
            let mut decoder = Decoder::new(1000, Binary::Refused);
            loop {
                let mut out = Vec::new();
                let mut input = bytes.as_mut_slice();
                while let Ok(Some(event)) = decoder.next(&mut input) {
                    if let Event::Text(text) = event {
                        hallway_broker::frame::write_text(text, &mut out);
                    }
                }
                upgraded.stream.write_all(&out).await.expect("the peer reads");
                bytes = vec![0; 100];
                let read = upgraded.stream.read(&mut bytes).await.expect("the peer writes");
                bytes.truncate(read);
                if read == 0 {
                    return;
                }
            }
        });
    }
    async fn about(&self) -> About {
        About { name: "hallway", version: "0", mode: "demo".into(), conferences: Vec::new(), listeners: Vec::new() }
    }
    fn ready(&self) -> bool {
        self.ready.get()
    }
    fn metrics(&self) -> String {
        "hallway_up 1\n".into()
    }
}

/// A server with the fake app, for as long as `story` takes.
fn with_server<F: Future<Output = ()>>(trusted: &[&str], story: impl FnOnce(SocketAddr, Rc<Fake>) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let local = listener.local_addr().unwrap();
        let settings = Settings {
            site: Site::new(local, None, &["https://app.example".into()]).unwrap(),
            trusted_proxies: trusted.iter().map(|proxy| proxy.parse().unwrap()).collect(),
            body_bytes: 5000,
        };
        let fake = Fake {
            settings,
            ready: Cell::new(true),
            full: Cell::new(false),
            mqtt: Cell::new(true),
            sockets: RefCell::default(),
            seen: RefCell::default(),
        };
        let app = Rc::new(fake);
        let serving = Rc::clone(&app);
        tokio::task::spawn_local(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                tokio::task::spawn_local(serve(Rc::clone(&serving), stream, peer));
            }
        });
        story(local, app).await;
    });
}

struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.body))
    }

    fn reason(&self) -> String {
        self.json()["error"]["data"]["reason"].as_str().unwrap().to_owned()
    }
}

/// Sends a request as it stands, `HOST` replaced, and reads until the server closes.
async fn raw(server: SocketAddr, request: &str) -> Reply {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let host = server.to_string();
    stream.write_all(request.replace("HOST", &host).as_bytes()).await.unwrap();
    let mut all = Vec::new();
    // A server that has heard enough may reset the connection after its answer.
    while let Ok(1..) = stream.read_buf(&mut all).await {}
    let all = String::from_utf8(all).unwrap();
    let (head, body) = all.split_once("\r\n\r\n").unwrap_or((&all, ""));
    let status = head.split(' ').nth(1).map_or(0, |status| status.parse().unwrap());
    Reply { status, head: head.to_owned(), body: body.to_owned() }
}

async fn ask(server: SocketAddr, line: &str, headers: &str, body: &str) -> Reply {
    let names_host = headers.lines().any(|line| line.starts_with("Host:"));
    let host = if names_host { "" } else { "Host: HOST\r\n" };
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    raw(server, &format!("{line} HTTP/1.1\r\n{host}{headers}{length}Connection: close\r\n\r\n{body}")).await
}

const TYPED: &str = "Content-Type: application/json\r\n";
const LOGIN: &str = r#"{"conference":"demo","uid":"alice","password":"right"}"#;

#[test]
fn people_and_operators_find_their_pages() {
    with_server(&[], |server, app| async move {
        let page = ask(server, "GET /", "", "").await;
        assert_eq!(page.status, 200);
        assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'"));
        for (path, content_type) in [
            ("/", "text/html; charset=utf-8"),
            ("/sw.js", "text/javascript; charset=utf-8"),
            ("/manifest.webmanifest", "application/manifest+json"),
            ("/assets/icon.svg", "image/svg+xml"),
            ("/openrpc.json", "application/json"),
            ("/api/about", "application/json"),
            ("/healthz", "text/plain; charset=utf-8"),
            ("/readyz", "text/plain; charset=utf-8"),
            ("/metrics", "text/plain; version=0.0.4; charset=utf-8"),
        ] {
            let reply = ask(server, &format!("GET {path}"), "", "").await;
            assert_eq!((reply.status, reply.header("content-type")), (200, Some(content_type)), "{path}");
            assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
            assert_eq!(reply.header("referrer-policy"), Some("no-referrer"));
            let head = ask(server, &format!("HEAD {path}"), "", "").await;
            assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
        }
        assert_eq!(ask(server, "GET /openrpc.json", "", "").await.json()["openrpc"], "1.3.2");
        app.ready.set(false);
        assert_eq!(ask(server, "GET /readyz", "", "").await.status, 503);
        assert_eq!(ask(server, "GET /healthz", "Host: 10.1.1.1\r\n", "").await.status, 200);
    });
}

#[test]
fn tickets_for_tokens() {
    with_server(&[], |server, _| async move {
        const BEARER: &str = "Authorization: Bearer right\r\n";
        for line in ["GET /ticket", "POST /ticket"] {
            let reply = ask(server, line, BEARER, "").await;
            assert_eq!((reply.status, reply.json()), (200, json!({"ticket": "id:code", "expires_in": 30})), "{line}");
            assert_eq!(reply.header("cache-control"), Some("no-store"));
        }
        for (accept, text) in [("text/plain", true), ("text/plain;q=1, */*", true), ("application/json, text/plain", false), ("*/*", false)]
        {
            let reply = ask(server, "GET /ticket", &format!("{BEARER}Accept: {accept}\r\n"), "").await;
            assert_eq!((reply.status, reply.body == "id:code"), (200, text), "{accept}");
        }
        assert_eq!(ask(server, "GET /ticket?accessToken=right", "", "").await.status, 200);
        for (reply, status, reason) in [
            (ask(server, "GET /ticket", "", "").await, 401, "no_session"),
            (ask(server, "GET /ticket?ticket=right", "", "").await, 401, "no_session"),
            (ask(server, "GET /ticket?accessToken=wrong", "", "").await, 401, "bad_token"),
            (ask(server, "PUT /ticket", BEARER, "").await, 405, "not_allowed"),
            (ask(server, "GET /ticket", &format!("{BEARER}Origin: https://evil.example\r\n"), "").await, 403, "not_allowed"),
            (ask(server, "GET /ticket", &format!("{BEARER}Host: evil.example\r\n"), "").await, 403, "not_allowed"),
        ] {
            assert_eq!((reply.status, reply.reason().as_str()), (status, reason));
        }
        let asked = ask(server, "POST /rpc?ticket=right", TYPED, "[1]").await;
        assert_eq!((asked.status, asked.body.as_str()), (200, "[1]"));
    });
}

#[test]
fn signing_in() {
    with_server(&[], |server, _| async move {
        let made = ask(server, "POST /api/register", TYPED, LOGIN).await;
        assert_eq!(made.status, 201);
        let login = ask(server, "POST /api/login", "content-type: Application/JSON; charset=utf-8\r\n", LOGIN).await;
        assert_eq!(login.status, 200);
        let expected = json!({"token":"right","user":"alice","name":"ALICE","conference":"demo","expires_at":"1970-01-01T00:00:00.000Z"});
        assert_eq!(login.json(), expected);
        let wrong = LOGIN.replace("right", "wrong");
        let rows = [
            (TYPED, wrong.as_str(), 401, "bad_credentials"),
            (TYPED, "{}", 400, "invalid_params"),
            (TYPED, "[", 400, "parse_error"),
            (TYPED, "", 400, "parse_error"),
            ("", LOGIN, 415, "invalid_request"),
            ("Content-Type: text/plain\r\n", LOGIN, 415, "invalid_request"),
            ("Content-Type: application/x-www-form-urlencoded\r\n", LOGIN, 415, "invalid_request"),
            ("Content-Type: application/json\r\nOrigin: https://evil.example\r\n", LOGIN, 403, "not_allowed"),
            ("Content-Type: application/json\r\nOrigin: null\r\n", LOGIN, 403, "not_allowed"),
            ("Content-Type: application/json\r\nHost: evil.example\r\n", LOGIN, 403, "not_allowed"),
        ];
        for (headers, body, status, reason) in rows {
            let reply = ask(server, "POST /api/login", headers, body).await;
            assert_eq!((reply.status, reply.reason().as_str()), (status, reason), "{headers}{body}");
        }
    });
}

#[test]
fn calling_methods() {
    with_server(&[], |server, _| async move {
        let headers = format!("{TYPED}Authorization: bearer right\r\n");
        let echoed = ask(server, "POST /rpc", &headers, "[1]").await;
        assert_eq!((echoed.status, echoed.body.as_str()), (200, "[1]"));
        let nothing = ask(server, "POST /rpc", &headers, "{}").await;
        assert_eq!((nothing.status, nothing.body.as_str()), (204, ""));
        let over = "x".repeat(5001);
        let chunked = format!(
            "POST /rpc HTTP/1.1\r\nHost: HOST\r\n{headers}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n1389\r\n{over}\r\n0\r\n\r\n"
        );
        let rows = [
            (ask(server, "POST /rpc", TYPED, "{}").await, 401, "no_session"),
            (ask(server, "POST /rpc", &format!("{TYPED}Authorization: Basic eA==\r\n"), "{}").await, 401, "no_session"),
            (ask(server, "POST /rpc", &format!("{TYPED}Authorization: Bearer wrong\r\n"), "{}").await, 401, "bad_token"),
            (ask(server, "POST /rpc", &headers, &over).await, 413, "too_large"),
            (raw(server, &chunked).await, 413, "too_large"),
            (ask(server, "POST /rpc", "Authorization: Bearer right\r\n", "{}").await, 415, "invalid_request"),
            (ask(server, "GET /rpc", &headers, "").await, 405, "not_allowed"),
            (ask(server, "POST /", "", "").await, 405, "not_allowed"),
            (ask(server, "DELETE /api/login", "", "").await, 405, "not_allowed"),
            (ask(server, "GET /nothing", "", "").await, 404, "unknown_path"),
            (ask(server, "GET /", "Host: evil.example\r\n", "").await, 403, "not_allowed"),
        ];
        for (reply, status, reason) in rows {
            assert_eq!((reply.status, reply.reason().as_str()), (status, reason), "{}", reply.head);
        }
        let much_over = ask(server, "POST /rpc", &headers, &"x".repeat(40_000)).await;
        assert_eq!((much_over.status, much_over.reason().as_str()), (413, "too_large"), "read before it is answered");
        let denied = ask(server, "POST /rpc", TYPED, "{}").await;
        assert_eq!(denied.header("www-authenticate"), Some("Bearer"));
    });
}

#[test]
fn other_origins_ask_first() {
    with_server(&[], |server, _| async move {
        let preflight = "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\n";
        let allowed = ask(server, "OPTIONS /rpc", &format!("Origin: https://app.example\r\n{preflight}"), "").await;
        assert_eq!(allowed.status, 204);
        assert_eq!(allowed.header("access-control-allow-origin"), Some("https://app.example"));
        assert_eq!(
            allowed.header("access-control-allow-headers"),
            Some("authorization, content-type, last-event-id, hallway-session, range")
        );
        assert_eq!(allowed.header("access-control-allow-credentials"), None);
        assert_eq!(allowed.header("vary"), Some("origin"));
        let refused = ask(server, "OPTIONS /rpc", &format!("Origin: https://evil.example\r\n{preflight}"), "").await;
        assert_eq!((refused.status, refused.header("access-control-allow-origin")), (403, None));
        let answered = ask(server, "POST /api/login", &format!("Origin: http://localhost:3000\r\n{TYPED}"), LOGIN).await;
        assert_eq!(answered.header("access-control-allow-origin"), Some("http://localhost:3000"));
        let native = ask(server, "POST /api/login", TYPED, LOGIN).await;
        assert_eq!((native.status, native.header("access-control-allow-origin")), (200, None));
    });
}

#[test]
fn polls_are_answered_to_pages_of_listed_origins() {
    with_server(&[], |server, _| async move {
        let listed = "Origin: https://app.example\r\n";
        let opened = ask(server, "GET /socket.io/?EIO=4&transport=polling", listed, "").await;
        assert_eq!((opened.status, opened.body.as_str()), (200, "0{}"));
        assert_eq!(opened.header("access-control-allow-origin"), Some("https://app.example"));
        assert_eq!(opened.header("content-type"), Some("text/plain; charset=UTF-8"));
        let foreign = ask(server, "GET /socket.io/?EIO=4&transport=polling", "Origin: https://evil.example\r\n", "").await;
        assert_eq!((foreign.status, foreign.header("access-control-allow-origin")), (403, None));
        let unknown = ask(server, "GET /socket.io/?EIO=4&transport=polling&sid=nobodys", listed, "").await;
        assert_eq!((unknown.status, unknown.body.as_str()), (400, r#"{"code":1,"message":"Session ID unknown"}"#));
        assert_eq!(unknown.header("access-control-allow-origin"), Some("https://app.example"));
    });
}

#[test]
fn the_client_is_known_behind_a_trusted_proxy_only() {
    let headers = format!("{TYPED}X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n");
    for (trusted, address, secure) in [(&["127.0.0.1"][..], "203.0.113.9", true), (&[], "127.0.0.1", false)] {
        let headers = headers.clone();
        with_server(trusted, |server, app| async move {
            ask(server, "POST /api/login", &headers, LOGIN).await;
            assert_eq!(*app.seen.borrow(), [Client { address: address.parse().unwrap(), secure }]);
        });
    }
}

const UPGRADE: &str = "Host: HOST\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[test]
fn a_socket_is_handed_over_with_what_came_early() {
    with_server(&[], |server, _| async move {
        let mut stream = TcpStream::connect(server).await.unwrap();
        // "hi", masked by zeros, in the same packet as the request.
        let request = format!("GET /ws HTTP/1.1\r\n{UPGRADE}Sec-WebSocket-Protocol: other, hallway.v1\r\n\r\n");
        let mut bytes = request.replace("HOST", &server.to_string()).into_bytes();
        bytes.extend_from_slice(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']);
        stream.write_all(&bytes).await.unwrap();
        let mut got = Vec::new();
        while !got.ends_with(&[0x81, 2, b'h', b'i']) {
            assert_ne!(stream.read_buf(&mut got).await.unwrap(), 0, "{}", String::from_utf8_lossy(&got));
        }
        let head = String::from_utf8_lossy(&got).to_lowercase();
        assert!(head.starts_with("http/1.1 101"), "{head}");
        // The example of RFC 6455 §1.3.
        assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"), "{head}");
        assert!(head.contains("sec-websocket-protocol: hallway.v1\r\n"), "{head}");
        stream.write_all(&[0x81, 0x81, 0, 0, 0, 0, b'!']).await.unwrap();
        let mut later = [0; 3];
        stream.read_exact(&mut later).await.unwrap();
        assert_eq!(later, [0x81, 1, b'!']);
    });
}

/// [MQTT-6.0.0-3], [MQTT-6.0.0-4]: `mqtt` is asked for and answered; the name of 3.1 is, too, and asking for none is forgiven.
#[test]
fn mqtt_is_spoken_in_a_websocket_of_its_own() {
    with_server(&["127.0.0.1"], |server, app| async move {
        let rows = [
            ("Sec-WebSocket-Protocol: mqtt\r\n", "sec-websocket-protocol: mqtt\r\n"),
            ("Sec-WebSocket-Protocol: mqttv3.1\r\n", "sec-websocket-protocol: mqttv3.1\r\n"),
            ("Sec-WebSocket-Protocol: mqttv3.1, mqtt\r\n", "sec-websocket-protocol: mqtt\r\n"),
            ("X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n", "connection: upgrade\r\n"),
        ];
        for (asked, answered) in rows {
            let mut stream = TcpStream::connect(server).await.unwrap();
            let upgrade = UPGRADE.replace("HOST", &server.to_string());
            let lines = upgrade.split_inclusive("\r\n").filter(|line| !line.starts_with("Sec-WebSocket-Protocol"));
            let request = format!("GET /mqtt HTTP/1.1\r\n{}{asked}\r\n", lines.collect::<String>());
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                assert_ne!(stream.read_buf(&mut head).await.unwrap(), 0, "{}", String::from_utf8_lossy(&head));
            }
            let head = String::from_utf8_lossy(&head).to_lowercase();
            assert!(head.starts_with("http/1.1 101") && head.contains(answered), "{asked}: {head}");
            assert_eq!(head.contains("sec-websocket-protocol"), asked.contains("Protocol: m"), "{head}");
        }
        let sockets = app.sockets.borrow();
        assert!(sockets.len() == 4 && sockets.iter().all(|(socket, _)| *socket == Socket::Mqtt));
        let proxied = Client { address: "203.0.113.9".parse().unwrap(), secure: true };
        assert_eq!(sockets[3].1, proxied, "sign-in must know who it is and that there is TLS");
    });
}

#[test]
fn without_mqtt_there_is_nothing_at_its_path() {
    with_server(&[], |server, app| async move {
        app.mqtt.set(false);
        let request = format!("GET /mqtt HTTP/1.1\r\n{}\r\n", UPGRADE.replace("keep-alive, Upgrade", "close, Upgrade"));
        let none = raw(server, &request).await;
        assert_eq!((none.status, none.reason().as_str()), (404, "unknown_path"));
    });
}

#[test]
fn clients_are_told_where_xmpp_is_spoken() {
    with_server(&[], |server, app| async move {
        let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n");
        let url = format!("ws://{server}/xmpp-websocket");
        for path in ["/.well-known/host-meta", "/.well-known/host-meta.json"] {
            let answer = raw(server, &get(path)).await;
            let body = &answer.body;
            assert!(answer.status == 200 && body.contains(&url), "{path}: {body}");
        }
        app.mqtt.set(false);
        assert_eq!(raw(server, &get("/.well-known/host-meta")).await.status, 404, "not spoken");
    });
}

#[test]
fn upgrades_that_are_none_are_refused() {
    for path in ["/ws", "/mqtt", "/xmpp-websocket"] {
        refuses_what_is_no_upgrade(path);
    }
}

fn refuses_what_is_no_upgrade(path: &'static str) {
    with_server(&[], |server, app| async move {
        let replaced = |from: &str, to: &str| {
            assert!(UPGRADE.contains(from));
            format!("GET {path} HTTP/1.1\r\n{}\r\n", UPGRADE.replace(from, to))
        };
        let rows = [
            (replaced("Upgrade: websocket", "Upgrade: h2c"), 426),
            (replaced("Connection: keep-alive, Upgrade", "Connection: close"), 400),
            (replaced("Version: 13", "Version: 8"), 426),
            (replaced("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="), 400),
            (replaced("Host: HOST", "Host: evil.example"), 403),
            (replaced("Host: HOST", "Host: HOST\r\nOrigin: https://evil.example"), 403),
            (replaced("Host: HOST", "X: y"), 403),
        ];
        for (request, status) in rows {
            let request = request.replace("keep-alive, Upgrade", "close, Upgrade");
            assert_eq!(raw(server, &request).await.status, status, "{request}");
        }
        app.full.set(true);
        let full = raw(server, &replaced("keep-alive, Upgrade", "close, Upgrade")).await;
        assert_eq!((full.status, full.reason().as_str(), full.header("retry-after")), (429, "too_many_sessions", Some("2")));
    });
}

#[test]
fn heads_are_bounded() {
    with_server(&[], |server, _| async move {
        let many = "X: y\r\n".repeat(101);
        assert_eq!(ask(server, "GET /", &many, "").await.status, 431);
        let long = format!("X: {}\r\n", "y".repeat(20_000));
        assert_eq!(ask(server, "GET /", &long, "").await.status, 431);
        let target = format!("GET /{}", "y".repeat(20_000));
        assert!(matches!(ask(server, &target, "", "").await.status, 414 | 431));
    });
}

#[test]
fn a_head_must_come_in_time() {
    with_server(&[], |server, _| async move {
        tokio::time::pause(); // from here on time passes as soon as all wait
        let start = tokio::time::Instant::now();
        let slow = raw(server, "GET / HTTP/1.1\r\nHost:").await;
        assert!(matches!(slow.status, 0 | 408), "{}", slow.head);
        assert!(start.elapsed() >= HEAD_TIMEOUT);
    });
}

#[test]
fn an_answer_must_be_read_in_time() {
    with_server(&[], |server, app| async move {
        let mut stream = TcpStream::connect(server).await.unwrap();
        let one = format!("GET /openrpc.json HTTP/1.1\r\nHost: {server}\r\n\r\n");
        // Asked for until neither side's buffers take more.
        while tokio::time::timeout(Duration::from_millis(500), stream.write_all(one.as_bytes())).await.is_ok() {}
        assert_eq!(Rc::strong_count(&app), 4, "here, the listener, the connection twice");
        tokio::time::pause();
        tokio::time::sleep(WRITE_STALL + HEAD_TIMEOUT).await;
        assert_eq!(Rc::strong_count(&app), 2, "the connection is gone");
    });
}
