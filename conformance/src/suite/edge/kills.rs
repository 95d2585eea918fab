//! SIGKILL at random moments, with a publisher and a subscriber whose sessions outlive their connections. What was acknowledged arrives:
//! with QoS 2 once, with QoS 1 again only with DUP. What the publisher itself repeated with QoS 1, since no PUBACK had come, may be another
//! publication on an application's topic (MQTT 5 §4.3.2); a conversation has it once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{connect, hello};
use crate::mqtt::Version;
use crate::mqtt::client::{Client, Seen};
use crate::mqtt::packet::{self, PUBACK, PUBCOMP, PUBREC, PUBREL, Publish};
use crate::mqtt::parse::Packet;
use crate::server::{Options, Server};
use crate::suite::{Report, load};

/// Unacknowledged messages of the publisher.
const WINDOW: usize = 20;
/// The load lives so long before the kill, in ms.
const LIFE_MS: std::ops::Range<u64> = 20..500;
/// How long everything may take to arrive at the end.
const CATCH_UP: Duration = Duration::from_secs(20);
/// Where is published, and with what QoS: a conversation and an application's topic.
const TOPICS: [(&str, u8); 4] =
    [("conf/demo/chat/lobby", 1), ("conf/demo/chat/lobby", 2), ("conf/demo/topic/work", 1), ("conf/demo/topic/work", 2)];

/// Kills the server so many times, for each version.
pub fn run(kills: usize, seed: u64, report: &mut Report) {
    for version in [Version::V4, Version::V5] {
        report.check(&format!("kills over MQTT {version:?}: {kills}"), || {
            play(version, kills, seed).map_err(|error| anyhow!("seed {seed}: {error:#}"))
        });
    }
}

/// A message under way from the publisher.
struct Pending {
    message: Publish,
    /// QoS 2: PUBREC has come.
    received: bool,
}

struct Publisher {
    pending: VecDeque<Pending>,
    next: u64,
    next_id: u16,
    /// Payloads by QoS that were acknowledged.
    acked: BTreeSet<(u8, String)>,
    /// How often a payload that may be published again was sent again.
    repeated: BTreeMap<String, usize>,
}

#[derive(Default)]
struct Subscriber {
    /// From then on it answers nothing, so that much is in flight when the server is killed.
    mute_at: Option<Instant>,
    due: VecDeque<Vec<u8>>,
    /// QoS 2 ids that were received and not released.
    unreleased: BTreeSet<u16>,
    /// Which life of the server it is connected to.
    round: usize,
    /// By payload, how it came each time.
    seen: BTreeMap<(u8, String), Vec<Delivery>>,
}

/// How a message came once. The id of a packet follows from the publication: while fewer than 65,535 are stored, another id is another publication.
#[derive(Clone, Copy)]
struct Delivery {
    round: usize,
    id: u16,
    is_repetition: bool,
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { round, id, is_repetition } = self;
        write!(f, "in round {round} with the id {id}{}", if *is_repetition { " and DUP" } else { "" })
    }
}

fn play(version: Version, kills: usize, seed: u64) -> Result<String> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut server = Server::start(Options::new().without_rates())?;
    load::token(&server, "alice")?;
    load::token(&server, "bob")?;
    let mut publisher = Publisher { pending: VecDeque::new(), next: 0, next_id: 0, acked: BTreeSet::new(), repeated: BTreeMap::new() };
    let mut subscriber = Subscriber::default();
    for round in 0..kills {
        subscriber.round = round;
        let life = Duration::from_millis(rng.random_range(LIFE_MS));
        live(&server, version, &mut publisher, &mut subscriber, Some(life), round > 0).with_context(|| format!("round {round}"))?;
        server.kill()?;
        server.restart()?;
    }
    subscriber.round = kills;
    live(&server, version, &mut publisher, &mut subscriber, None, true).context("the last round")?;
    let told = verify(&server, &publisher, &subscriber)?;
    server.terminate()?;
    Ok(told)
}

/// Publishes and subscribes for a while, or without a time until everything has arrived.
fn live(
    server: &Server,
    version: Version,
    publisher: &mut Publisher,
    subscriber: &mut Subscriber,
    life: Option<Duration>,
    again: bool,
) -> Result<()> {
    let (mut from, _) = connect(server, &hello(version, "alice", "publisher", true))?;
    let (mut to, present) = connect(server, &hello(version, "bob", "subscriber", true))?;
    ensure!(present == again, "session present is {present}");
    if !again {
        to.subscribe("conf/demo/chat/lobby", 2)?;
        to.subscribe("conf/demo/topic/#", 2)?;
    }
    publisher.send_again(&mut from, version)?;
    subscriber.due.clear();
    subscriber.mute_at = life.map(|life| Instant::now() + life / 2);
    let end = Instant::now() + life.unwrap_or(CATCH_UP);
    while Instant::now() < end {
        if life.is_some() {
            publisher.send_more(&mut from, version)?;
        } else if publisher.pending.is_empty() && publisher.acked.iter().all(|key| subscriber.seen.contains_key(key)) {
            // Whatever comes twice would come now.
            subscriber.listen(&mut to, Duration::from_millis(300))?;
            return Ok(());
        }
        publisher.listen(&mut from)?;
        subscriber.listen(&mut to, Duration::from_millis(1))?;
    }
    ensure!(life.is_some(), "not everything had arrived after {CATCH_UP:?}: {}", missing(publisher, subscriber));
    Ok(())
}

fn missing(publisher: &Publisher, subscriber: &Subscriber) -> String {
    let missing: Vec<_> = publisher.acked.iter().filter(|key| !subscriber.seen.contains_key(*key)).take(5).collect();
    format!("{} pending at the publisher, missing {missing:?} …", publisher.pending.len())
}

/// Whether the server may take its repetition for another publication.
fn may_be_published_again(message: &Publish) -> bool {
    message.qos == 1 && message.topic.starts_with(b"conf/demo/topic/")
}

impl Publisher {
    fn send_again(&mut self, client: &mut Client, version: Version) -> Result<()> {
        for pending in &mut self.pending {
            if pending.received {
                client.send(&packet::ack(PUBREL, pending.message.id))?;
            } else {
                pending.message.dup = true;
                if may_be_published_again(&pending.message) {
                    *self.repeated.entry(String::from_utf8_lossy(&pending.message.payload).into_owned()).or_default() += 1;
                }
                client.send(&pending.message.bytes(version))?;
            }
        }
        Ok(())
    }

    fn send_more(&mut self, client: &mut Client, version: Version) -> Result<()> {
        while self.pending.len() < WINDOW {
            let (topic, qos) = TOPICS[self.next as usize % TOPICS.len()];
            // Ids come again, as clients' do.
            self.next_id = self.next_id % 200 + 1;
            while self.pending.iter().any(|pending| pending.message.id == self.next_id) {
                self.next_id = self.next_id % 200 + 1;
            }
            let message = Publish::new(topic, qos, format!("message {}", self.next)).id(self.next_id);
            self.next += 1;
            client.send(&message.bytes(version))?;
            self.pending.push_back(Pending { message, received: false });
        }
        Ok(())
    }

    fn listen(&mut self, client: &mut Client) -> Result<()> {
        while let Seen::Packet(packet) = client.see(Duration::from_millis(1))? {
            let Packet::Ack { first, id, code, .. } = packet else { bail!("the publisher got {packet:?}") };
            // An id that the server does not know any more is as good as completed.
            ensure!(code < 0x80 || code == 0x92, "refused with 0x{code:02X}");
            let Some(at) = self.pending.iter().position(|pending| pending.message.id == id) else { continue };
            match first {
                PUBREC => {
                    self.pending[at].received = true;
                    self.ack(at);
                    client.send(&packet::ack(PUBREL, id))?;
                }
                PUBACK | PUBCOMP => {
                    self.ack(at);
                    self.pending.remove(at);
                }
                other => bail!("the publisher got 0x{other:02X}"),
            }
        }
        Ok(())
    }

    fn ack(&mut self, at: usize) {
        let message = &self.pending[at].message;
        self.acked.insert((message.qos, String::from_utf8_lossy(&message.payload).into_owned()));
    }
}

impl Subscriber {
    fn listen(&mut self, client: &mut Client, quiet: Duration) -> Result<()> {
        while let Seen::Packet(packet) = client.see(quiet)? {
            match packet {
                Packet::Publish(message) => self.message(&message)?,
                Packet::Ack { first: PUBREL, id, .. } => {
                    self.unreleased.remove(&id);
                    self.due.push_back(packet::ack(PUBCOMP, id));
                }
                other => bail!("the subscriber got {other:?}"),
            }
            self.answer(client)?;
        }
        Ok(())
    }

    /// Sends what is due, unless it is mute.
    fn answer(&mut self, client: &mut Client) -> Result<()> {
        if self.mute_at.is_some_and(|mute_at| Instant::now() >= mute_at) {
            return Ok(());
        }
        self.due.drain(..).try_for_each(|answer| client.send(&answer))
    }

    fn message(&mut self, message: &Publish) -> Result<()> {
        ensure!(message.qos > 0, "a message came with QoS 0");
        if message.qos == 1 {
            self.take(message);
            self.due.push_back(packet::ack(PUBACK, message.id));
            return Ok(());
        }
        // [MQTT-4.3.3-10]: until it is released it is the same message.
        if self.unreleased.insert(message.id) {
            self.take(message);
        }
        self.due.push_back(packet::ack(PUBREC, message.id));
        Ok(())
    }

    fn take(&mut self, message: &Publish) {
        let payload = String::from_utf8_lossy(&message.payload).into_owned();
        // Canonical messages hold the text; conversations give all of them with the granted QoS.
        let json: Option<serde_json::Value> = serde_json::from_str(&payload).ok();
        let text = json.and_then(|json| json["text"].as_str().map(str::to_owned)).unwrap_or(payload);
        let number: u64 = text.strip_prefix("message ").and_then(|number| number.parse().ok()).unwrap_or(0);
        let published_qos = TOPICS[number as usize % TOPICS.len()].1;
        let delivery = Delivery { round: self.round, id: message.id, is_repetition: message.dup && message.qos == 1 };
        self.seen.entry((published_qos, text)).or_default().push(delivery);
    }
}

fn verify(server: &Server, publisher: &Publisher, subscriber: &Subscriber) -> Result<String> {
    for key in &publisher.acked {
        ensure!(subscriber.seen.contains_key(key), "{key:?} was acknowledged and never arrived");
    }
    let mut repeated = 0;
    for (key, deliveries) in &subscriber.seen {
        let told = || deliveries.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let mut publications = BTreeSet::new();
        for delivery in deliveries {
            let is_first = publications.insert(delivery.id);
            ensure!(is_first || delivery.is_repetition, "{key:?} came again, and not as a repetition of QoS 1: {}", told());
            repeated += usize::from(!is_first);
        }
        let most = 1 + publisher.repeated.get(&key.1).copied().unwrap_or(0);
        ensure!(publications.len() <= most, "{key:?} was sent {most} times and came as more publications: {}", told());
    }
    ensure!(repeated > 0, "nothing was in flight at any kill");
    let mut reader = load::join(server, "alice")?;
    let mut stored: BTreeMap<String, u64> = BTreeMap::new();
    for event in load::history(&mut reader, "lobby")? {
        if let Some(text) = event.text {
            *stored.entry(text).or_default() += 1;
        }
    }
    for (text, times) in &stored {
        ensure!(*times == 1, "{text:?} is stored {times} times");
    }
    ensure!(publisher.acked.len() > 20, "only {} messages were acknowledged: nothing was tested", publisher.acked.len());
    Ok(format!("{} acknowledged, {} delivered, {repeated} repeated with DUP", publisher.acked.len(), subscriber.seen.len()))
}
