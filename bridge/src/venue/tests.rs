//! A venue's broker is a real mosquitto, and readers publish there with a client of their own. `cargo test -p hallway-bridge venue -- --ignored`
//! where it is installed; the suite `venue` of `conformance` plays a whole venue.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Relaxed, SeqCst},
};
use std::time::Duration;

use hallway_broker::badges::BadgeOptions;
use hallway_broker::clock::SystemClock;
use hallway_broker::command::{Action, Actor};
use hallway_broker::hub::{HubOptions, StoreOptions};
use hallway_broker::ids::{ConfNo, ConferenceId, ConversationId, Uid};
use hallway_broker::limits::{Limits, MAX_TAPS};
use hallway_broker::model::{GivenBadge, Kind, Mode, ReaderSettings, SignIn, UserRole};
use hallway_broker::recent::WIRES;
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Outgoing, Packet, QoS};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::link::UNDER_WAY;
use super::outbox::MAX_REQUESTS;
use super::*;

/// How long anything may take.
const WITHIN: Duration = Duration::from_secs(20);
/// People with badges.
const PEOPLE: u32 = 30;

struct Mosquitto {
    dir: tempfile::TempDir,
    at: SocketAddr,
    child: Option<Child>,
}

impl Mosquitto {
    fn start() -> Self {
        Self::start_with("")
    }

    /// With more lines of configuration.
    fn start_with(more: &str) -> Self {
        let at = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut one = Self { dir: tempfile::tempdir().unwrap(), at, child: None };
        let path = one.dir.path().display();
        let text = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\npersistence_location {path}/\nmax_queued_messages 0\n{more}\n",
            at.port()
        );
        fs::write(one.dir.path().join("mosquitto.conf"), text).unwrap();
        one.begin();
        one
    }

    fn begin(&mut self) {
        let mut command = Command::new("mosquitto");
        command.env("PATH", "/usr/sbin:/usr/local/sbin:/usr/bin").stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.arg("-c").arg(self.dir.path().join("mosquitto.conf")).spawn().expect("apt-get install mosquitto"));
        let end = Instant::now() + WITHIN;
        while TcpStream::connect(self.at).is_err() {
            assert!(Instant::now() < end, "mosquitto does not listen");
            std::thread::yield_now();
        }
    }

    /// As its service ends it: what it keeps is written to disk.
    fn end(&mut self) {
        let mut child = self.child.take().unwrap();
        Command::new("kill").arg(child.id().to_string()).status().unwrap();
        child.wait().unwrap();
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// What stands between Hallway and the broker: it can lose what Hallway says, and break.
struct Line {
    at: SocketAddr,
    is_deaf: Arc<AtomicBool>,
    broken: Arc<AtomicBool>,
}

impl Line {
    fn to(broker: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (at, is_deaf, broken) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (deaf, cut) = (Arc::clone(&is_deaf), Arc::clone(&broken));
        std::thread::spawn(move || {
            while let Ok((near, _)) = listener.accept() {
                let Ok(far) = TcpStream::connect(broker) else { continue };
                carry(&near, &far, Some(Arc::clone(&deaf)), &cut);
                carry(&far, &near, None, &cut);
            }
        });
        Self { at, is_deaf, broken }
    }

    fn lose_what_is_said(&self) {
        self.is_deaf.store(true, SeqCst);
    }

    /// Breaks all connections; new ones hear everything.
    fn cut(&self) {
        self.broken.store(true, SeqCst);
    }
}

fn carry(from: &TcpStream, to: &TcpStream, deaf: Option<Arc<AtomicBool>>, broken: &Arc<AtomicBool>) {
    let (mut from, mut to, broken) = (from.try_clone().unwrap(), to.try_clone().unwrap(), Arc::clone(broken));
    from.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        loop {
            if broken.load(SeqCst) {
                break;
            }
            let is_lost = deaf.as_ref().is_some_and(|deaf| deaf.load(SeqCst));
            match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(_) if is_lost => {}
                Ok(count) => {
                    let Ok(()) = to.write_all(&buffer[..count]) else { break };
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(_) => break,
            }
        }
        from.shutdown(Shutdown::Both).ok();
        to.shutdown(Shutdown::Both).ok();
    });
}

/// A hub with people, a gate where they check in and a door to a talk.
struct House {
    hub: Arc<Hub>,
    conf: ConfNo,
    _dir: tempfile::TempDir,
}

fn uid(text: &str) -> Uid {
    Uid::parse(text).unwrap()
}

fn badge(person: u32) -> String {
    format!("04{person:06X}")
}

impl House {
    async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = HubOptions {
            data_dir: dir.path().to_owned(),
            store: StoreOptions::default(),
            limits: Limits { disk_reserve_bytes: 0, ..Limits::default() },
            shards: 2,
            demo: true,
            topic_rules: Default::default(),
            badges: BadgeOptions { debounce_ms: 0 },
        };
        let hub = Hub::open(options, Arc::new(SystemClock::start())).unwrap();
        let id = ConferenceId::parse("demo").unwrap();
        let add = Action::AddConference { id, title: "Demo".into(), sign_in: SignIn::Open, epoch: 7 };
        hub.call(ConfNo(0), Actor::system(), add).await.unwrap();
        let conf = hub.reader().conference("demo").unwrap().unwrap().no;
        let house = Self { hub, conf, _dir: dir };
        let talk = ConversationId::parse("talk").unwrap();
        house.ask(Action::Create { kind: Kind::Channel, id: talk.clone(), title: "Talk".into(), members: vec![] }).await;
        for person in 1..=PEOPLE {
            let name = uid(&format!("person-{person}"));
            house.ask(Action::AddUser { uid: name.clone(), name: None, role: UserRole::Attendee, credentials: None }).await;
            house.ask(Action::AssignBadge { badge: GivenBadge::of(&badge(person)).unwrap(), user: name }).await;
        }
        for (device, mode, conversation) in [("da1275b0", Mode::Checkin, None), ("door", Mode::Session, Some(talk))] {
            house.ask(Action::AddUser { uid: uid(device), name: None, role: UserRole::Device, credentials: None }).await;
            let settings = ReaderSettings { mode, conversation, ..ReaderSettings::default() };
            house.ask(Action::SetReader { reader: uid(device), settings: Some(Box::new(settings)) }).await;
        }
        house.hub.set_badge_formats(crate::badge::formats());
        house.hub.start_shards(&Arc::new([const { None }; WIRES])).unwrap();
        house
    }

    async fn ask(&self, action: Action) {
        self.hub.call(self.conf, Actor::system(), action).await.unwrap();
    }

    fn venue(&self, at: SocketAddr) -> Venues {
        let topic = |topic: &str, reader: Option<&str>, result: Option<&str>| ReaderTopic {
            topic: topic.to_owned(),
            reader: reader.map(str::to_owned),
            result: result.map(str::to_owned),
        };
        let topics = Topics::new(&[
            topic("springcard/springcore/{reader}/rdr/evt", None, Some("hallway/{reader}/result")),
            topic("springcard/springcore/{reader}/meta", None, None),
            topic("esphome/door/+", Some("door"), Some("hallway/door/result")),
        ]);
        let options = VenueOptions {
            conference: "demo".to_owned(),
            address: Address::parse(&format!("mqtt://{at}")).unwrap(),
            tls: None,
            login: None,
            client_id: "hallway-demo".to_owned(),
            topics: topics.unwrap(),
        };
        Venues::start(&self.hub, vec![options])
    }

    /// How often somebody went into the talk, and whether they are there.
    fn visits(&self, person: u32) -> (u32, bool) {
        let talk = self.hub.reader().conversation(self.conf, &ConversationId::parse("talk").unwrap()).unwrap().unwrap().record.no;
        let found = self.hub.reader().attendance(self.conf, talk, &uid(&format!("person-{person}"))).unwrap();
        found.map_or((0, false), |found| (found.stay.enters, found.stay.inside_since_ms.is_some()))
    }

    fn all_visits(&self) -> Vec<(u32, bool)> {
        (1..=PEOPLE).map(|person| self.visits(person)).collect()
    }
}

/// A client of the venue's broker: the readers, and whoever shows the results.
struct Readers {
    client: AsyncClient,
    events: EventLoop,
    results: Vec<(String, Value)>,
}

impl Readers {
    async fn at(at: SocketAddr) -> Self {
        let mut options = MqttOptions::new("readers", at.ip().to_string(), at.port());
        options.set_keep_alive(Duration::from_secs(60));
        let (client, events) = AsyncClient::new(options, 100);
        client.subscribe("hallway/+/result", QoS::AtLeastOnce).await.unwrap();
        let mut readers = Self { client, events, results: Vec::new() };
        readers.until(|event| matches!(event, Event::Incoming(Packet::SubAck(_)))).await;
        readers
    }

    /// The broker has it.
    async fn publish(&mut self, topic: &str, payload: &str) {
        self.publish_or_retain(topic, payload, false).await;
    }

    async fn publish_or_retain(&mut self, topic: &str, payload: &str, retain: bool) {
        self.client.publish(topic, QoS::AtLeastOnce, retain, payload).await.unwrap();
        self.until(|event| matches!(event, Event::Incoming(Packet::PubAck(_)))).await;
    }

    async fn until(&mut self, mut is_it: impl FnMut(&Event) -> bool) {
        loop {
            let event = tokio::time::timeout(WITHIN, self.events.poll()).await.expect("in time").unwrap();
            if let Event::Incoming(Packet::Publish(publish)) = &event {
                self.results.push((publish.topic.clone(), serde_json::from_slice(&publish.payload).unwrap()));
            }
            if is_it(&event) {
                return;
            }
        }
    }

    async fn result(&mut self) -> (String, Value) {
        if self.results.is_empty() {
            self.until(|event| matches!(event, Event::Incoming(Packet::Publish(_)))).await;
        }
        self.results.remove(0)
    }

    /// Says goodbye.
    async fn leave(mut self) {
        self.client.disconnect().await.unwrap();
        self.until(|event| matches!(event, Event::Outgoing(Outgoing::Disconnect))).await;
    }
}

async fn until(mut is_so: impl FnMut() -> bool) {
    tokio::time::timeout(WITHIN, async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("in time");
}

#[tokio::test]
#[ignore = "needs mosquitto"]
async fn a_scan_comes_in_and_its_result_goes_back() {
    let (house, broker) = (House::open().await, Mosquitto::start());
    let mut readers = Readers::at(broker.at).await;
    let venue = house.venue(broker.at);
    readers
        .publish_or_retain("springcard/springcore/DA1275B0/meta", r#"{"VendorName":"SpringCard","ProductName":"SpringPark"}"#, true)
        .await;
    until(|| house.hub.reader_health(house.conf, &uid("da1275b0")).online).await;
    let event = json!({"Sequence": 1, "Interface": "13.56", "TagId": badge(1)}).to_string();
    readers.publish("springcard/springcore/DA1275B0/rdr/evt", &event).await;
    let (topic, result) = readers.result().await;
    assert_eq!((topic.as_str(), &result["reason"], &result["user"]), ("hallway/DA1275B0/result", &json!("ok"), &json!("person-1")));
    readers.publish("springcard/springcore/DA1275B0/rdr/evt", &event).await;
    assert_eq!(readers.result().await.1["reason"], "already_checked_in");
    readers.publish("springcard/springcore/DA1275B0/rdr/evt", r#"{"Sequence":1,"Tag"#).await;
    assert_eq!(readers.result().await.1["reason"], "malformed");
    readers.publish("springcard/springcore/stranger/rdr/evt", &event).await;
    readers.publish("springcard/springcore/DA1275B0/rdr/evt", &json!({"Interface": "13.56", "TagId": "04FFFFFF"}).to_string()).await;
    assert_eq!(readers.result().await.1["reason"], "unknown_badge", "who has no account is passed over");
    let doors = &house.hub.metrics().doors;
    let figures =
        || [&doors.venue_links, &doors.venue_links_up, &doors.venue_messages, &doors.venue_strangers].map(|one| one.load(Relaxed));
    assert_eq!(figures(), [1, 1, 6, 1]);
    venue.stop().await;
    assert_eq!((figures(), doors.venue_breaks.load(Relaxed)), ([0, 0, 6, 1], 0), "it is left, not lost");
    assert!(house.hub.reader().checkin(house.conf, &uid("person-1")).unwrap().is_some());
    readers.leave().await;
}

#[tokio::test]
#[ignore = "needs mosquitto"]
async fn what_is_scanned_while_nobody_listens_counts_once() {
    let (house, mut broker) = (House::open().await, Mosquitto::start());
    let line = Line::to(broker.at);
    let venue = house.venue(line.at);
    let mut readers = Readers::at(broker.at).await;
    readers.publish_or_retain("esphome/door/status", "online", true).await;
    until(|| house.hub.reader_health(house.conf, &uid("door")).online).await;
    readers.publish("esphome/door/tag", &badge(1)).await;
    until(|| house.visits(1) == (1, true)).await;

    // Hallway is away: the broker keeps what comes.
    venue.stop().await;
    for person in 2..=PEOPLE {
        readers.publish("esphome/door/tag", &badge(person)).await;
    }
    // And is started anew.
    readers.leave().await;
    broker.end();
    broker.begin();
    let venue = house.venue(line.at);
    until(|| house.all_visits() == vec![(1, true); PEOPLE as usize]).await;

    // What Hallway has, but could not say so, comes again.
    let mut readers = Readers::at(broker.at).await;
    // Once the result of the second is there, all before it is acked.
    readers.publish("esphome/door/tag", "04FFFFFE").await;
    readers.publish("esphome/door/tag", "04FFFFFF").await;
    while readers.result().await.1["badge"] != "04FFFFFF" {}
    line.lose_what_is_said();
    for person in 1..=PEOPLE / 2 {
        readers.publish("esphome/door/tag", &badge(person)).await;
    }
    let some_left = |house: &House| (1..=PEOPLE / 2).filter(|person| house.visits(*person) == (1, false)).count();
    // As many as the broker has under way at once.
    until(|| some_left(&house) >= 10).await;
    line.is_deaf.store(false, SeqCst);
    line.cut();
    until(|| !house.hub.reader_health(house.conf, &uid("door")).online).await;
    line.broken.store(false, SeqCst);
    until(|| some_left(&house) == (PEOPLE / 2) as usize).await;

    // The broker breaks in the middle of all.
    for person in PEOPLE / 2 + 1..=PEOPLE {
        readers.publish("esphome/door/tag", &badge(person)).await;
    }
    readers.leave().await;
    broker.end();
    broker.begin();
    until(|| house.all_visits() == vec![(1, false); PEOPLE as usize]).await;
    let mut readers = Readers::at(broker.at).await;
    readers.publish("esphome/door/tag", &badge(1)).await;
    until(|| house.visits(1) == (2, true)).await;
    assert_eq!(house.all_visits()[1..], vec![(1, false); PEOPLE as usize - 1], "nothing came twice");
    venue.stop().await;
    readers.leave().await;
}

/// A result opens a gate: not for somebody who was there before the break.
#[tokio::test]
#[ignore = "needs mosquitto"]
async fn a_result_that_was_not_sent_is_not_told_after_a_break() {
    let (house, broker) = (House::open().await, Mosquitto::start());
    let line = Line::to(broker.at);
    let mut readers = Readers::at(broker.at).await;
    let venue = house.venue(line.at);
    readers.publish_or_retain("esphome/door/status", "online", true).await;
    until(|| house.hub.reader_health(house.conf, &uid("door")).online).await;
    line.lose_what_is_said();
    let gate = "springcard/springcore/DA1275B0/rdr/evt";
    for message in 0..5 {
        let badges: Vec<Value> = (0..MAX_TAPS).map(|scan| json!({"badge": format!("late-{message}-{scan}-zz")})).collect();
        readers.client.publish(gate, QoS::AtMostOnce, false, Value::Array(badges).to_string()).await.unwrap();
    }
    readers.publish(gate, &badge(1)).await;
    until(|| house.hub.reader().checkin(house.conf, &uid("person-1")).unwrap().is_some()).await;
    line.is_deaf.store(false, SeqCst);
    line.cut();
    until(|| !house.hub.reader_health(house.conf, &uid("door")).online).await;
    line.broken.store(false, SeqCst);
    until(|| house.hub.reader_health(house.conf, &uid("door")).online).await;
    readers.publish(gate, &badge(2)).await;
    // Some may have come through before the cut, and come again.
    let (mut late, mut is_last) = (HashSet::new(), false);
    while !is_last {
        let (_, result) = readers.result().await;
        late.extend(result["badge"].as_str().filter(|badge| badge.starts_with("late-")).map(str::to_owned));
        is_last = result["user"] == "person-2";
    }
    // What the client has in its hands: what it has sent, and what it took to send next.
    assert!(late.len() <= usize::from(UNDER_WAY) + MAX_REQUESTS, "{} late results", late.len());
    let doors = &house.hub.metrics().doors;
    assert_eq!((doors.venue_links_up.load(Relaxed), doors.venue_breaks.load(Relaxed)), (1, 1));
    assert!(doors.venue_untold.load(Relaxed) > 0, "what waited when the line broke");
    until(|| doors.venue_waiting.load(Relaxed) == 0).await;
    venue.stop().await;
    readers.leave().await;
}

/// Publishes as fast as the broker takes it, as nobody who looks at results.
async fn flood(at: SocketAddr, qos: QoS, messages: usize) {
    let mut options = MqttOptions::new(format!("flood-{qos:?}"), at.ip().to_string(), at.port());
    options.set_inflight(u16::MAX);
    let (client, mut events) = AsyncClient::new(options, messages + 1);
    for message in 0..messages {
        let badges: Vec<Value> = (0..MAX_TAPS).map(|scan| json!({"badge": format!("{qos:?}-{message}-{scan}-zz")})).collect();
        client.try_publish("springcard/springcore/DA1275B0/rdr/evt", qos, false, Value::Array(badges).to_string()).unwrap();
    }
    client.try_disconnect().unwrap();
    let is_over = async { while events.poll().await.unwrap() != Event::Outgoing(Outgoing::Disconnect) {} };
    tokio::time::timeout(WITHIN, is_over).await.expect("in time");
}

/// Far more results than a connection takes at once, while what they are of still comes in.
#[tokio::test]
#[ignore = "needs mosquitto"]
async fn a_burst_holds_nobody_up() {
    let mixed = vec![(QoS::AtMostOnce, 200), (QoS::AtLeastOnce, 30)];
    for (more, bursts) in [("", mixed), ("max_inflight_messages 0", vec![(QoS::AtLeastOnce, 200)])] {
        let (house, broker) = (House::open().await, Mosquitto::start_with(more));
        let mut readers = Readers::at(broker.at).await;
        let venue = house.venue(broker.at);
        readers.publish_or_retain("esphome/door/status", "online", true).await;
        until(|| house.hub.reader_health(house.conf, &uid("door")).online).await;
        let bursts: Vec<_> = bursts.into_iter().map(|(qos, messages)| tokio::spawn(flood(broker.at, qos, messages))).collect();
        for burst in bursts {
            burst.await.unwrap();
        }
        readers.publish("springcard/springcore/DA1275B0/rdr/evt", &badge(1)).await;
        readers.publish("esphome/door/tag", &badge(1)).await;
        readers.publish("nobody/knows", &badge(1)).await;
        until(|| house.visits(1) == (1, true) && house.hub.reader().checkin(house.conf, &uid("person-1")).unwrap().is_some()).await;
        // Its results are told again, too.
        readers.publish("esphome/door/tag", &badge(2)).await;
        while readers.result().await.1["user"] != "person-2" {}
        venue.stop().await;
        readers.leave().await;
    }
}

#[test]
fn where_a_broker_listens() {
    let address = |host: &str, port, is_secure| Ok(Address { host: host.to_owned(), port, is_secure });
    assert_eq!(Address::parse("mqtt://broker.example.org"), address("broker.example.org", 1883, false));
    assert_eq!(Address::parse("mqtts://10.0.0.1:8884/"), address("10.0.0.1", 8884, true));
    assert_eq!(Address::parse("mqtts://[::1]"), address("[::1]", 8883, true));
    for wrong in ["", "http://x", "mqtt://", "mqtt://user@x", "mqtt://x:port", "mqtt://x y", "mqtt://x:99999"] {
        assert!(Address::parse(wrong).is_err(), "{wrong}");
    }
}
