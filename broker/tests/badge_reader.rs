//! A badge reader as it comes over MQTT: what it scans, what it is told, and what it may not do.

#![allow(clippy::unwrap_used, reason = "a test's helpers may fail like the test")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use hallway_broker::accounts::tokens;
use hallway_broker::badges::{self, BadgeOptions, Whence};
use hallway_broker::clock::SystemClock;
use hallway_broker::command::{Action, Actor, Draft, Outcome, Reuse};
use hallway_broker::edges::{BadgeFormats, JsonRpc, Reading, RpcAnswer, SignIns};
use hallway_broker::hub::{Hub, HubOptions};
use hallway_broker::ids::{ConfNo, ConferenceId, ConversationId, Uid};
use hallway_broker::limits::Limits;
use hallway_broker::model::{BadgeCode, GivenBadge, Kind, Mode, ReaderSettings, ScanReason, SignIn, Tap, User, UserRole, Via};
use hallway_broker::mqtt::{self, Listeners, MqttOptions};
use hallway_broker::recent::WIRES;
use hallway_broker::registry::Wires;
use hallway_broker::reject::{Reason, Reject};
use hallway_broker::sending::Sending;
use hallway_broker::session::{Session, Who};

const CONF: ConfNo = ConfNo(1);
const WAIT: Duration = Duration::from_secs(20);
const TRIES: u32 = 4000;
const BETWEEN_TRIES: Duration = Duration::from_millis(5);
/// "Within moments" in these tests, however slow the machine is.
const MOMENTS: BadgeOptions = BadgeOptions { debounce_ms: 3_600_000 };

/// A reader's payload in these tests: badges with commas between them, some with their id behind a #, or how it is.
struct Commas;

impl BadgeFormats for Commas {
    fn check(&self, _: &str) -> Result<(), Reject> {
        Ok(())
    }

    fn read(&self, _: &str, payload: &[u8]) -> Result<Reading, Reject> {
        let text = std::str::from_utf8(payload).map_err(|_| Reason::InvalidParams)?;
        match text {
            "up" | "lost" => return Ok(Reading::Health { online: text == "up", detail: text.into() }),
            "" | "hm" => return Ok(Reading::Nothing),
            _ if text.starts_with('{') => return Err(Reason::InvalidParams.into()),
            _ => {}
        }
        let tap = |text: &str| {
            let (code, id) = text.split_once('#').unwrap_or((text, ""));
            Tap { shown: code.into(), codes: BadgeCode::candidates(code), at_ms: 0, id: id.into(), direction: None }
        };
        Ok(Reading::Taps(text.split(',').map(tap).collect()))
    }
}

/// JSON-RPC is not looked at here.
struct NoRpc;

impl JsonRpc for NoRpc {
    fn call<'a>(&'a self, _: &'a Session, _: &'a Sending, _: &'a str) -> RpcAnswer<'a> {
        Box::pin(async { Vec::new() })
    }
}

struct Venue {
    hub: Arc<Hub>,
    address: SocketAddr,
    runtime: tokio::runtime::Runtime,
    _edge: Arc<mqtt::Edge>,
    _dir: tempfile::TempDir,
}

impl Drop for Venue {
    fn drop(&mut self) {
        self.hub.drain();
    }
}

fn uid(text: &str) -> Uid {
    Uid::parse(text).unwrap()
}

/// The token of somebody in these tests.
fn token(who: &str) -> String {
    let secret = [who.as_bytes(), &[0; 32]].concat();
    format!("{}{}", tokens::PREFIX, data_encoding::BASE64URL_NOPAD.encode(&secret[..32]))
}

impl Venue {
    /// A conference with alice and bob, who have badges, staff, two gates, and a lobby.
    fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let limits = Limits { disk_reserve_bytes: 0, messages_per_second: 0, ..Limits::default() };
        let options = HubOptions { limits, shards: 1, badges: MOMENTS, ..HubOptions::new(dir.path()) };
        let hub = Hub::open(options, Arc::new(SystemClock::start())).unwrap();
        hub.set_badge_formats(Arc::new(Commas));
        let mut wires: Wires = [const { None }; WIRES];
        for (number, wire) in mqtt::wires(&hub) {
            wires[number] = Some(wire);
        }
        hub.start_shards(&Arc::new(wires)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let options = MqttOptions {
            anonymous: false,
            plain_topics: false,
            keepalive_max_s: 0,
            receive_maximum: 1000,
            demo: false,
            plaintext_login: true,
            conference: ConferenceId::parse("demo").unwrap(),
        };
        let listeners = Listeners { tcp: Some(listener), ..Listeners::default() };
        let edge = mqtt::start(&hub, SignIns::new(&hub), listeners, options, Arc::new(NoRpc));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let venue = Self { hub, address, runtime, _edge: edge, _dir: dir };
        venue.furnish();
        venue
    }

    fn furnish(&self) {
        let id = ConferenceId::parse("demo").unwrap();
        self.asks(Action::AddConference { id, title: String::new(), sign_in: SignIn::Password, epoch: 1 });
        let people = [("alice", UserRole::Attendee), ("bob", UserRole::Attendee), ("stan", UserRole::Staff)];
        for (who, role) in people.into_iter().chain([("gate", UserRole::Device), ("hall", UserRole::Device)]) {
            self.asks(Action::AddUser { uid: uid(who), name: None, role, credentials: None });
            self.asks(Action::IssueToken { uid: uid(who), hash: tokens::hash(&token(who)).unwrap(), expires_ms: u64::MAX });
        }
        for (badge, user) in [("04:A2:1B", "alice"), ("04:A2:1C", "bob")] {
            self.asks(Action::AssignBadge { badge: GivenBadge::of(badge).unwrap(), user: uid(user) });
        }
        self.asks(Action::Create { kind: Kind::Channel, id: lobby(), title: String::new(), members: vec![] });
    }

    fn asks(&self, action: Action) -> Outcome {
        self.runtime.block_on(self.hub.call(CONF, Actor::system(), action)).unwrap()
    }

    fn set(&self, reader: &str, mode: Mode) {
        let settings = ReaderSettings { mode, conversation: Some(lobby()), ..ReaderSettings::default() };
        self.asks(Action::SetReader { reader: uid(reader), settings: Some(Box::new(settings)) });
    }

    fn scans(&self) -> u64 {
        self.hub.reader().badge_totals(CONF).unwrap().scans
    }

    fn connect(&self, who: &str) -> Client {
        Client::connect(self.address, who, None)
    }

    /// Waits until a reader is online, or not.
    fn wait_for_health(&self, reader: &str, online: bool) {
        wait_for(reader, || self.hub.reader_health(CONF, &uid(reader)).online == online);
    }
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..TRIES {
        if is_so() {
            return;
        }
        std::thread::park_timeout(BETWEEN_TRIES);
    }
    panic!("{what} did not come about");
}

fn lobby() -> ConversationId {
    ConversationId::parse("lobby").unwrap()
}

/// A client of MQTT 5 that does one thing after the other.
struct Client {
    stream: TcpStream,
    packet_id: u16,
    /// What was published to it and not yet asked for: topic and payload.
    heard: Vec<(String, String)>,
}

fn string(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

impl Client {
    fn connect(address: SocketAddr, who: &str, will: Option<(&str, &str)>) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(WAIT)).unwrap();
        let mut client = Self { stream, packet_id: 0, heard: Vec::new() };
        // User name, password and clean start; a will of QoS 1.
        let flags = 0xC2 | if will.is_some() { 0x0C } else { 0 };
        let mut body = [string("MQTT"), vec![5, flags, 0, 0, 0], string("")].concat();
        if let Some((topic, payload)) = will {
            body.extend([vec![0], string(topic), string(payload)].concat());
        }
        body.extend([string(who), string(&token(who))].concat());
        client.send(0x10, &body);
        let (first, body) = client.packet();
        assert_eq!((first, body[1]), (0x20, 0), "{who} is let in");
        client
    }

    fn send(&mut self, first: u8, body: &[u8]) {
        let mut packet = vec![first];
        let mut left = body.len();
        loop {
            let more = if left > 127 { 0x80 } else { 0 };
            packet.push(u8::try_from(left % 128).unwrap() | more);
            left /= 128;
            if left == 0 {
                break;
            }
        }
        packet.extend_from_slice(body);
        self.stream.write_all(&packet).unwrap();
    }

    fn byte(&mut self) -> u8 {
        let mut byte = [0];
        self.stream.read_exact(&mut byte).unwrap();
        byte[0]
    }

    fn packet(&mut self) -> (u8, Vec<u8>) {
        let first = self.byte();
        let (mut length, mut shift) = (0, 0);
        loop {
            let byte = self.byte();
            length |= usize::from(byte & 0x7F) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        (first, body)
    }

    /// The next packet that is no message; messages are kept, and acknowledged.
    fn answer(&mut self) -> (u8, Vec<u8>) {
        loop {
            let (first, body) = self.packet();
            if first >> 4 != 3 {
                return (first, body);
            }
            self.keep(first, &body);
        }
    }

    fn keep(&mut self, first: u8, body: &[u8]) {
        let topic_end = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
        let topic = String::from_utf8(body[2..topic_end].to_vec()).unwrap();
        let mut at = topic_end;
        if first & 0x06 != 0 {
            let id = [body[at], body[at + 1]];
            at += 2;
            self.send(0x40, &id);
        }
        // Properties shorter than 128 bytes.
        at += 1 + usize::from(body[at]);
        self.heard.push((topic, String::from_utf8(body[at..].to_vec()).unwrap()));
    }

    /// The next message.
    fn hear(&mut self) -> (String, String) {
        while self.heard.is_empty() {
            let (first, body) = self.packet();
            if first >> 4 == 3 {
                self.keep(first, &body);
            }
        }
        self.heard.remove(0)
    }

    /// Subscribes; the reason code.
    fn subscribe(&mut self, filter: &str) -> u8 {
        self.packet_id += 1;
        let id = self.packet_id.to_be_bytes();
        self.send(0x82, &[&id[..], &[0], &string(filter), &[1]].concat());
        loop {
            let (first, body) = self.answer();
            if first == 0x90 {
                return *body.last().unwrap();
            }
        }
    }

    fn tell(&mut self, topic: &str, payload: &str) {
        self.packet_id += 1;
        let id = self.packet_id.to_be_bytes();
        self.send(0x32, &[&string(topic)[..], &id, &[0], payload.as_bytes()].concat());
    }

    /// The reason code of the next PUBACK; what it leaves out is success.
    fn acknowledged(&mut self) -> u8 {
        loop {
            let (first, body) = self.answer();
            if first == 0x40 {
                return body.get(2).copied().unwrap_or(0);
            }
        }
    }

    /// Publishes with QoS 1; the reason code.
    fn publish(&mut self, topic: &str, payload: &str) -> u8 {
        self.tell(topic, payload);
        self.acknowledged()
    }

    /// What the reader is told next: reason and user.
    fn result(&mut self) -> (String, Option<String>) {
        let (topic, payload) = self.hear();
        assert!(topic.ends_with("/result"), "{topic}");
        let result: serde_json::Value = serde_json::from_str(&payload).unwrap();
        assert_eq!(result["accepted"] == true, result["reason"] == "ok", "{payload}");
        (result["reason"].as_str().unwrap().to_owned(), result["user"].as_str().map(str::to_owned))
    }

    /// So many results: what is not stored is told by a way of its own, which is not always the faster one, and comes first here.
    fn results(&mut self, count: usize) -> Vec<(String, Option<String>)> {
        let mut results: Vec<_> = (0..count).map(|_| self.result()).collect();
        results.sort_by_key(|(reason, _)| is_stored(reason));
        results
    }
}

fn is_stored(reason: &str) -> bool {
    !matches!(reason, "duplicate" | "malformed")
}

fn is(reason: &str, user: Option<&str>) -> (String, Option<String>) {
    (reason.to_owned(), user.map(str::to_owned))
}

const GATE: &str = "conf/demo/badge/gate/scan";

#[test]
fn a_badge_is_held_to_a_reader_and_the_reader_is_told() {
    let venue = Venue::open();
    let (mut gate, mut stan) = (venue.connect("gate"), venue.connect("stan"));
    assert_eq!(gate.subscribe("conf/demo/badge/gate/result"), 1);
    assert_eq!(stan.subscribe("conf/demo/badge/+/scan"), 1);
    assert_eq!(gate.publish(GATE, "04a21b"), 0);
    assert_eq!(gate.result(), is("ok", Some("alice")));
    assert_eq!(stan.hear(), (GATE.to_owned(), "04a21b".to_owned()), "staff sees what the reader sent");
    assert_eq!(gate.publish(GATE, "04-A2-1B"), 0, "the same badge, otherwise written, within moments");
    assert_eq!(gate.result(), is("duplicate", None));
    assert_eq!(gate.publish(GATE, "04a21c,ffffffff,04a21b"), 0);
    assert_eq!(gate.results(3), [is("duplicate", None), is("ok", Some("bob")), is("unknown_badge", None)]);
    assert_eq!(venue.scans(), 3, "what comes again is not stored");
    assert_eq!(gate.publish(GATE, "{\"truncated"), 0x99);
    assert_eq!(gate.result(), is("malformed", None));
    assert_eq!((gate.publish(GATE, "hm"), gate.publish(GATE, "")), (0, 0), "a heartbeat");
    let all = vec!["04a21b"; 101].join(",");
    assert_eq!(gate.publish(GATE, &all), 0x97);
    assert_eq!(gate.result(), is("malformed", None));
    let mut hall = venue.connect("hall");
    hall.subscribe("conf/demo/badge/hall/result");
    assert_eq!(hall.publish("conf/demo/badge/hall/scan", "04a21b"), 0);
    assert_eq!(hall.result(), is("already_checked_in", Some("alice")));
    assert_eq!((venue.scans(), stan.hear().1, stan.hear().1), (4, "04a21c,ffffffff,04a21b".to_owned(), "04a21b".to_owned()));
}

#[test]
fn what_of_a_batch_is_no_scan_is_told_and_the_rest_is_taken() {
    let venue = Venue::open();
    let mut gate = venue.connect("gate");
    gate.subscribe("conf/demo/badge/gate/result");
    assert_eq!(gate.publish(GATE, "04a21b#up-1,#up-2,04a21c,04a21b#up-3"), 0);
    let told: Vec<serde_json::Value> = (0..4).map(|_| serde_json::from_str(&gate.hear().1).unwrap()).collect();
    let mut told: Vec<_> = told.iter().map(|result| (result["reason"].as_str().unwrap(), result["id"].as_str())).collect();
    told.sort_by_key(|(reason, _)| is_stored(reason));
    let expected = [("malformed", Some("up-2")), ("duplicate", Some("up-3")), ("ok", Some("up-1")), ("ok", None)];
    assert_eq!(told, expected, "each with the id that the reader gave it");
    assert_eq!(venue.scans(), 2);
}

#[test]
fn a_thousand_scans_a_second_of_one_badge_are_one() {
    let venue = Venue::open();
    venue.set("gate", Mode::Session);
    let mut gate = venue.connect("gate");
    gate.subscribe("conf/demo/badge/gate/result");
    for _ in 0..1000 {
        gate.tell(GATE, "04a21b");
    }
    for _ in 0..1000 {
        assert_eq!(gate.acknowledged(), 0);
    }
    assert_eq!(venue.scans(), 1);
    let no = venue.hub.reader().conversation(CONF, &lobby()).unwrap().unwrap().record.no;
    let attendance = venue.hub.reader().attendance(CONF, no, &uid("alice")).unwrap().unwrap();
    assert!(attendance.stay.inside_since_ms.is_some() && attendance.stay.enters == 1, "{attendance:?}");
}

#[test]
fn a_reader_does_nothing_else() {
    let venue = Venue::open();
    let mut gate = venue.connect("gate");
    for filter in
        ["conf/demo/chat/#", "conf/demo/chat/lobby", "conf/demo/presence/+", "conf/demo/badge/+/scan", "conf/demo/badge/hall/result"]
    {
        assert_eq!(gate.subscribe(filter), 0x87, "{filter}");
    }
    for filter in ["conf/demo/topic/a", "conf/demo/chat/dm~alice~gate", "conf/demo/user/alice/inbox", "conf/demo/badge/gate/scan", "$SYS/#"]
    {
        assert!(gate.subscribe(filter) >= 0x80, "{filter}");
    }
    for topic in
        ["chat/lobby", "chat/dm~alice~gate", "chat/lobby/typing", "presence/gate", "topic/a", "badge/hall/scan", "badge/gate/result"]
    {
        assert_eq!(gate.publish(&format!("conf/demo/{topic}"), "04a21b"), 0x87, "{topic}");
    }
    assert_eq!(venue.scans(), 0, "nobody scans for another reader");
    let mut alice = venue.connect("alice");
    assert_eq!(alice.publish("conf/demo/badge/alice/scan", "04a21b"), 0x87);
    assert_eq!(alice.subscribe("conf/demo/badge/+/scan"), 0x87);
    assert!(alice.subscribe("conf/demo/badge/gate/result") >= 0x80);
    // What it may subscribe to holds nothing of what others say.
    for filter in ["conf/demo/#", "conf/demo/badge/+/result", "conf/demo/user/gate/inbox"] {
        assert_eq!(gate.subscribe(filter), 1, "{filter}");
    }
    let say = |to: ConversationId| {
        let draft = Draft {
            conversation: to,
            client_id: "".into(),
            reuse: Reuse::NewMessage,
            text: "hello".into(),
            reply_to: None,
            mentions: vec![],
            attachments: vec![],
        };
        let actor = Actor { uid: uid("alice"), via: Via::Ws, session: 0 };
        venue.runtime.block_on(venue.hub.call(CONF, actor, Action::Send(draft))).unwrap();
    };
    say(lobby());
    let mut hall = venue.connect("hall");
    assert_eq!(hall.publish("conf/demo/badge/hall/scan", "04a21c"), 0);
    assert_eq!(gate.publish(GATE, "04a21b"), 0);
    assert_eq!(gate.result(), is("ok", Some("alice")), "the first that it hears of");
    let refused = |action| {
        let actor = Actor { uid: uid("gate"), via: Via::Mqtt, session: 0 };
        venue.runtime.block_on(venue.hub.call(CONF, actor, action)).map(drop).unwrap_err().reason
    };
    assert_eq!(refused(Action::Open { with: uid("alice") }), Reason::NotAllowed);
    assert_eq!(refused(Action::Join { conversation: lobby() }), Reason::NotAllowed);
    let id = ConversationId::parse("gang").unwrap();
    assert_eq!(refused(Action::Create { kind: Kind::Group, id, title: String::new(), members: vec![] }), Reason::NotAllowed);
}

#[test]
fn how_a_reader_is_shows_by_its_connection_its_words_and_its_will() {
    let venue = Venue::open();
    venue.wait_for_health("gate", false);
    let mut gate = Client::connect(venue.address, "gate", Some((GATE, "lost")));
    venue.wait_for_health("gate", true);
    assert_eq!(gate.publish(GATE, "up"), 0);
    assert_eq!(&*venue.hub.reader_health(CONF, &uid("gate")).detail, "up");
    assert_eq!(gate.publish(GATE, "04a21b"), 0);
    assert!(venue.hub.reader_health(CONF, &uid("gate")).last_scan_ms.is_some());
    drop(gate);
    venue.wait_for_health("gate", false);
    wait_for("the will", || &*venue.hub.reader_health(CONF, &uid("gate")).detail == "lost");
    let _gate = venue.connect("gate");
    venue.wait_for_health("gate", true);
    assert_eq!(venue.scans(), 1);
}

#[test]
fn a_reader_is_not_among_the_people_who_are_there() {
    let venue = Venue::open();
    let mut gate = venue.connect("gate");
    venue.wait_for_health("gate", true);
    let mut alice = venue.connect("alice");
    assert!(alice.subscribe("conf/demo/presence/+") < 0x80);
    let _hall = venue.connect("hall");
    venue.wait_for_health("hall", true);
    gate.tell("conf/demo/presence/gate", r#"{"status":"away"}"#);
    assert_ne!(gate.acknowledged(), 0, "nor does it say how it is");
    let _bob = venue.connect("bob");
    let mut heard = Vec::new();
    while heard.last().is_none_or(|topic| topic != "conf/demo/presence/bob") {
        heard.push(alice.hear().0);
    }
    heard.retain(|topic| topic.ends_with("gate") || topic.ends_with("hall"));
    assert_eq!(heard, [""; 0]);
    let listed = |search: Option<&str>| {
        let people = |user: &User| user.role != UserRole::Device;
        let reader = venue.hub.reader();
        let found = match search {
            Some(query) => reader.search_people(CONF, query, None, 3, people),
            None => reader.people(CONF, None, 3, people),
        };
        let (found, complete) = found.unwrap();
        (found.iter().map(|person| person.uid.to_string()).collect::<Vec<_>>(), complete)
    };
    assert_eq!(listed(None), (vec!["alice".to_owned(), "bob".to_owned(), "stan".to_owned()], true));
    assert_eq!((listed(Some("gate")), listed(Some("al"))), ((vec![], true), (vec!["alice".to_owned()], true)));
}

#[test]
fn what_comes_over_another_broker_goes_the_same_way() {
    let venue = Venue::open();
    let mut gate = venue.connect("gate");
    gate.subscribe("conf/demo/badge/gate/result");
    let who = Who {
        conf: CONF,
        conference: ConferenceId::parse("demo").unwrap(),
        uid: uid("gate"),
        name: "gate".into(),
        version: 0,
        expires_ms: u64::MAX,
        token: None,
    };
    let take = |payload: &str| {
        let taken = venue.runtime.block_on(badges::take(&venue.hub, &who, payload.as_bytes(), Reuse::NewMessage, Whence::Afar));
        taken.map(|results| results.into_iter().map(|one| one.reason).collect::<Vec<_>>())
    };
    assert_eq!(take("04a21b,04a21b,04a21c").unwrap(), [ScanReason::Ok, ScanReason::Duplicate, ScanReason::Ok]);
    assert_eq!(gate.results(3), [is("duplicate", None), is("ok", Some("alice")), is("ok", Some("bob"))]);
    assert_eq!(take("{").unwrap_err().reason, Reason::InvalidParams);
    assert!(take("lost").unwrap().is_empty());
    drop(gate);
    venue.wait_for_health("gate", false);
    assert_eq!(take("ffffffff").unwrap(), [ScanReason::UnknownBadge]);
    venue.wait_for_health("gate", true);
    take("04a21b").unwrap();
    let asks = |dup| {
        let packet = Reuse::Packet { client: 1, id: 7, dup };
        badges::arrive(&venue.hub, &who, b"04a21b", packet, Whence::Afar).unwrap().action
    };
    assert!(asks(false).is_none(), "it was there just now");
    let Some(Action::Scan { taps, raw, .. }) = asks(true) else { panic!("acked though what it repeats may not be on disk") };
    assert!(taps.is_empty() && raw.is_none(), "only to be answered after it");
    let scans = venue.scans();
    let repeated = badges::take(&venue.hub, &who, b"04a21b", Reuse::Packet { client: 1, id: 7, dup: true }, Whence::Afar);
    assert_eq!(venue.runtime.block_on(repeated).unwrap()[0].reason, ScanReason::Duplicate);
    assert_eq!(venue.scans(), scans);
}

#[test]
fn what_happens_at_the_doors_is_counted() {
    let venue = Venue::open();
    venue.set("gate", Mode::Checkin);
    venue.set("hall", Mode::Session);
    let figure = |line: &str| {
        let text = venue.hub.render_metrics();
        text.lines().find_map(|one| one.strip_prefix(line)?.trim().parse::<u64>().ok()).unwrap_or_else(|| panic!("no {line} in {text}"))
    };
    let scans = |mode: &str, reason: &str| figure(&format!("hallway_badge_scans_total{{mode=\"{mode}\",reason=\"{reason}\"}}"));
    assert_eq!((scans("checkin", "ok"), figure("hallway_checked_in"), figure("hallway_badge_scan_seconds_count")), (0, 0, 0));
    assert_eq!((figure("hallway_readers{state=\"online\"}"), figure("hallway_readers{state=\"offline\"}")), (0, 2));
    let (mut gate, _hall) = (venue.connect("gate"), venue.connect("hall"));
    gate.publish(GATE, "04a21b");
    gate.publish(GATE, "04a21b,04a21c,ffffffff");
    gate.publish(GATE, "{\"truncated");
    assert_eq!((scans("checkin", "ok"), scans("checkin", "duplicate"), scans("checkin", "unknown_badge")), (2, 1, 1));
    assert_eq!((scans("checkin", "malformed"), scans("session", "ok"), figure("hallway_checked_in")), (1, 0, 2));
    assert_eq!(figure("hallway_badge_scan_seconds_count"), 2, "one for each that the hub was asked for");
    venue.wait_for_health("hall", true);
    assert_eq!((figure("hallway_readers{state=\"online\"}"), figure("hallway_readers{state=\"offline\"}")), (2, 0));
    drop(gate);
    venue.wait_for_health("gate", false);
    assert_eq!(figure("hallway_readers{state=\"online\"}"), 1);
    venue.asks(Action::UndoCheckin { user: uid("alice") });
    assert_eq!((scans("checkin", "ok"), figure("hallway_checked_in")), (2, 1));
}
