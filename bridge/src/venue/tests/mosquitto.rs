//! A venue's broker is a real mosquitto, and readers publish there with a client of their own. `conformance/test` runs these where it is installed;
//! by hand: `cargo test -p hallway-bridge --lib venue::tests::mosquitto -- --ignored`. The suite `venue` of `conformance` plays a whole venue.

use std::collections::{HashSet, VecDeque};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use hallway_broker::limits::MAX_TAPS;
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Outgoing, Packet, QoS};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::outbox::UNDER_WAY;
use super::house::PEOPLE;
use super::*;

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

    /// Breaks all connections, and lets none through until it is mended.
    fn cut(&self) {
        self.broken.store(true, SeqCst);
        self.is_deaf.store(false, SeqCst);
    }

    fn mend(&self) {
        self.broken.store(false, SeqCst);
    }
}

fn carry(from: &TcpStream, to: &TcpStream, deaf: Option<Arc<AtomicBool>>, broken: &Arc<AtomicBool>) {
    let (mut from, mut to, broken) = (from.try_clone().unwrap(), to.try_clone().unwrap(), Arc::clone(broken));
    from.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        loop {
            let read = from.read(&mut buffer);
            // Only now, and in this order: what was said while it was deaf is lost, and stays so when it is cut.
            let is_lost = deaf.as_ref().is_some_and(|deaf| deaf.load(SeqCst));
            if broken.load(SeqCst) {
                break;
            }
            match read {
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

/// A client of the venue's broker: the readers, and whoever shows the results.
struct Readers {
    client: AsyncClient,
    events: EventLoop,
    results: VecDeque<(String, Value)>,
}

impl Readers {
    async fn at(at: SocketAddr) -> Self {
        let mut options = MqttOptions::new("readers", at.ip().to_string(), at.port());
        options.set_keep_alive(Duration::from_secs(60));
        let (client, events) = AsyncClient::new(options, 100);
        client.subscribe("hallway/+/result", QoS::AtLeastOnce).await.unwrap();
        let mut readers = Self { client, events, results: VecDeque::new() };
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
        let (events, results) = (&mut self.events, &mut self.results);
        let comes = async {
            loop {
                let event = events.poll().await.unwrap();
                if let Event::Incoming(Packet::Publish(publish)) = &event {
                    results.push_back((publish.topic.clone(), serde_json::from_slice(&publish.payload).unwrap()));
                }
                if is_it(&event) {
                    return;
                }
            }
        };
        tokio::time::timeout(WITHIN, comes).await.expect("in time");
    }

    async fn result(&mut self) -> (String, Value) {
        if self.results.is_empty() {
            self.until(|event| matches!(event, Event::Incoming(Packet::Publish(_)))).await;
        }
        self.results.pop_front().unwrap()
    }

    /// Says goodbye.
    async fn leave(mut self) {
        self.client.disconnect().await.unwrap();
        self.until(|event| matches!(event, Event::Outgoing(Outgoing::Disconnect))).await;
    }
}

#[tokio::test]
#[ignore = "needs mosquitto: conformance/test runs it"]
async fn a_scan_comes_in_and_its_result_goes_back() {
    let (house, broker) = (House::open().await, Mosquitto::start());
    let mut readers = Readers::at(broker.at).await;
    let venue = house.venue(broker.at);
    readers
        .publish_or_retain("springcard/springcore/DA1275B0/meta", r#"{"VendorName":"SpringCard","ProductName":"SpringPark"}"#, true)
        .await;
    until(|| house.is_online("da1275b0")).await;
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
    let figures = || [&doors.venue_links, &doors.venue_links_up, &doors.venue_messages, &doors.venue_strangers].map(|one| one.load(SeqCst));
    assert_eq!(figures(), [1, 1, 6, 1]);
    venue.stop().await;
    assert_eq!((figures(), doors.venue_breaks.load(SeqCst)), ([0, 0, 6, 1], 0), "it is left, not lost");
    assert!(house.is_checked_in(1));
    readers.leave().await;
}

#[tokio::test]
#[ignore = "needs mosquitto: conformance/test runs it"]
async fn what_is_scanned_while_nobody_listens_counts_once() {
    let (house, mut broker) = (House::open().await, Mosquitto::start());
    let line = Line::to(broker.at);
    let venue = house.venue(line.at);
    let mut readers = Readers::at(broker.at).await;
    readers.publish_or_retain("esphome/door/status", "online", true).await;
    until(|| house.is_online("door")).await;
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
    line.cut();
    until(|| !house.is_online("door")).await;
    line.mend();
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
#[ignore = "needs mosquitto: conformance/test runs it"]
async fn a_result_that_was_not_sent_is_not_told_after_a_break() {
    let (house, broker) = (House::open().await, Mosquitto::start());
    let line = Line::to(broker.at);
    let mut readers = Readers::at(broker.at).await;
    let venue = house.venue(line.at);
    readers.publish_or_retain("esphome/door/status", "online", true).await;
    until(|| house.is_online("door")).await;
    line.lose_what_is_said();
    let gate = "springcard/springcore/DA1275B0/rdr/evt";
    for message in 0..5 {
        let badges: Vec<Value> = (0..MAX_TAPS).map(|scan| json!({"badge": format!("late-{message}-{scan}-zz")})).collect();
        readers.client.publish(gate, QoS::AtMostOnce, false, Value::Array(badges).to_string()).await.unwrap();
    }
    readers.publish(gate, &badge(1)).await;
    until(|| house.is_checked_in(1)).await;
    line.cut();
    until(|| !house.is_online("door")).await;
    line.mend();
    until(|| house.is_online("door")).await;
    readers.publish(gate, &badge(2)).await;
    let (mut late, mut is_last) = (HashSet::new(), false);
    while !is_last {
        let (_, result) = readers.result().await;
        late.extend(result["badge"].as_str().filter(|badge| badge.starts_with("late-")).map(str::to_owned));
        is_last = result["user"] == "person-2";
    }
    // What was sent, and not acked; nothing of what had yet to be.
    assert_eq!(late.len(), UNDER_WAY);
    let doors = &house.hub.metrics().doors;
    assert_eq!((doors.venue_links_up.load(SeqCst), doors.venue_breaks.load(SeqCst)), (1, 1));
    assert!(doors.venue_untold.load(SeqCst) > 0, "what waited when the line broke");
    until(|| doors.venue_waiting.load(SeqCst) == 0).await;
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
#[ignore = "needs mosquitto: conformance/test runs it"]
async fn a_burst_holds_nobody_up() {
    let mixed = vec![(QoS::AtMostOnce, 200), (QoS::AtLeastOnce, 30)];
    for (more, bursts) in [("", mixed), ("max_inflight_messages 0", vec![(QoS::AtLeastOnce, 200)])] {
        let (house, broker) = (House::open().await, Mosquitto::start_with(more));
        let mut readers = Readers::at(broker.at).await;
        let venue = house.venue(broker.at);
        readers.publish_or_retain("esphome/door/status", "online", true).await;
        until(|| house.is_online("door")).await;
        let bursts: Vec<_> = bursts.into_iter().map(|(qos, messages)| tokio::spawn(flood(broker.at, qos, messages))).collect();
        for burst in bursts {
            burst.await.unwrap();
        }
        readers.publish("springcard/springcore/DA1275B0/rdr/evt", &badge(1)).await;
        readers.publish("esphome/door/tag", &badge(1)).await;
        readers.publish("nobody/knows", &badge(1)).await;
        until(|| house.visits(1) == (1, true) && house.is_checked_in(1)).await;
        // Its results are told again, too.
        readers.publish("esphome/door/tag", &badge(2)).await;
        while readers.result().await.1["user"] != "person-2" {}
        venue.stop().await;
        readers.leave().await;
    }
}
