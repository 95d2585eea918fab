//! The connection to a venue's broker.

use std::hash::Hasher as _;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use hallway_broker::hub::Hub;
use hallway_broker::ids::ConferenceId;
use hallway_broker::metrics::Doors;
use rumqttc::{
    AsyncClient, Event, EventLoop, MqttOptions, NetworkOptions, Outgoing, Packet, Publish, QoS, SubscribeFilter, SubscribeReasonCode,
    TlsConfiguration, Transport,
};
use siphasher::sip::SipHasher24;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::VenueOptions;
use super::lane::{Heard, Hearing, MAX_WAITING, Room};
use super::outbox::{MAX_REQUESTS, Outbox, PACKET_IDS};
use crate::backoff::Backoff;

/// Lanes of a link.
const LANES: usize = 8;
/// Largest message that is taken from the broker in bytes: whatever MQTT can carry (3.1.1 §2.2.3), since one that is not read would come again for
/// ever. What is larger than a scan can be is refused by the hub, and acked.
const INCOMING_BYTES_MAX: usize = 5 + 268_435_455;
/// Largest that is sent.
const OUTGOING_BYTES_MAX: usize = 65_536;
/// What results begin with, as they are written.
const RESULT: &[u8] = br#"{"accepted":"#;
/// How long a connection may take to come about, from the name server to CONNACK: a resolver gives the first of several servers 5 s.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// Silence after which it is asked whether the broker is there.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// How long a connection must have lasted for the next to be tried soon.
const GOOD_CONNECTION: Duration = Duration::from_secs(10);
/// How long the last acks may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How often it is looked whether all is done meanwhile.
const CLOSE_LOOK: Duration = Duration::from_millis(20);

/// See the module's text.
pub struct Link {
    address: String,
    hearing: Rc<Hearing>,
    options: VenueOptions,
    events: EventLoop,
    lanes: Vec<mpsc::Sender<Heard>>,
    at_work: Vec<JoinHandle<()>>,
    stopping: watch::Receiver<bool>,
}

impl Link {
    /// A link, not yet connected; `None` when there is no such conference.
    pub fn new(hub: &Arc<Hub>, options: VenueOptions, stopping: watch::Receiver<bool>) -> Option<Self> {
        let conference = ConferenceId::parse(&options.conference).ok()?;
        let conf = hub.reader().conference(&options.conference).ok().flatten()?.no;
        let (requests, mut events) = AsyncClient::new(mqtt_options(&options), MAX_REQUESTS);
        // A reader waits for each result: it is not held back until what was sent before it is acknowledged.
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        network.set_connection_timeout(CONNECT_TIMEOUT.as_secs());
        events.set_network_options(network);
        let hearing = Rc::new(Hearing::new(hub, (conf, conference), namespace(&options), Outbox::new(hub, requests), stopping.clone()));
        let address = format!("{}:{}", options.address.host, options.address.port);
        Some(Self { address, hearing, options, events, lanes: Vec::new(), at_work: Vec::new(), stopping })
    }

    /// Connects again and again, until all is to stop.
    pub async fn run(mut self) {
        self.doors().venue_links.fetch_add(1, Relaxed);
        for _ in 0..LANES {
            let (lane, heard) = mpsc::channel(MAX_WAITING);
            self.lanes.push(lane);
            self.at_work.push(tokio::task::spawn_local(Rc::clone(&self.hearing).run(heard)));
        }
        let (mut backoff, mut since) = (Backoff::default(), Instant::now());
        let mut stopping = self.stopping.clone();
        loop {
            self.hearing.outbox.hand_over();
            let event = tokio::select! {
                biased;
                _ = stopping.wait_for(|stopping| *stopping) => break,
                event = self.events.poll() => event,
            };
            let mut is_full = false;
            let end = match event {
                Ok(Event::Incoming(Packet::ConnAck(ack))) => {
                    since = Instant::now();
                    self.connected(ack.session_present);
                    None
                }
                Ok(Event::Incoming(Packet::Publish(publish))) if !self.hear(&publish, self.hearing.connection.get()) => {
                    self.events.clean();
                    is_full = true;
                    Some("more comes than can wait".to_owned())
                }
                Ok(event) => {
                    self.answered(&event);
                    None
                }
                Err(error) => Some(error.to_string()),
            };
            let Some(error) = end else { continue };
            if self.lost() && since.elapsed() >= GOOD_CONNECTION {
                backoff = Backoff::default();
            }
            let wait = backoff.next();
            tracing::warn!(address = %self.address, %error, again_in_ms = wait.as_millis(), "the venue's broker is not connected");
            tokio::select! {
                () = self.rest(wait, is_full) => {}
                _ = stopping.wait_for(|stopping| *stopping) => break,
            }
        }
        self.close().await;
    }

    /// Until it is time to connect again. When no more could wait, what waits is taken first: it comes again, too, and would have to find room.
    async fn rest(&self, wait: Duration, is_full: bool) {
        tokio::time::sleep(wait).await;
        if is_full {
            self.hearing.drained().await;
        }
    }

    /// Subscribes anew each time: the broker may have forgotten, and topics may have been added. What is retained comes again, too.
    fn connected(&mut self, session_present: bool) {
        tracing::info!(address = %self.address, session_present, "the venue's broker is connected");
        self.hearing.outbox.tell_again(&mut self.events.pending);
        self.hearing.is_resumed.set(session_present);
        if !self.hearing.is_there.replace(true) {
            self.doors().venue_links_up.fetch_add(1, Relaxed);
        }
        self.hearing.tell_health(true);
        let filters = self.options.topics.filters().map(|filter| SubscribeFilter::new(filter, QoS::AtLeastOnce));
        if !self.hearing.outbox.subscribe(filters) {
            tracing::error!(address = %self.address, "the venue's topics cannot be subscribed to: too much waits to be sent");
        }
    }

    fn answered(&self, event: &Event) {
        match event {
            Event::Incoming(Packet::PubAck(_)) => self.hearing.outbox.acked(),
            Event::Incoming(Packet::SubAck(ack)) => self.subscribed(&ack.return_codes),
            _ => {}
        }
    }

    fn subscribed(&self, codes: &[SubscribeReasonCode]) {
        for (filter, code) in self.options.topics.filters().zip(codes) {
            if *code == SubscribeReasonCode::Failure {
                tracing::error!(address = %self.address, filter, "the venue's broker does not let this be read: nothing is heard from it");
            }
        }
    }

    /// What is under way belongs to a connection that is gone; whether there was one.
    fn lost(&mut self) -> bool {
        let was_there = self.hearing.is_there.replace(false);
        let connection = self.hearing.connection.get();
        if was_there {
            self.doors().venue_links_up.fetch_sub(1, Relaxed);
            self.doors().venue_breaks.fetch_add(1, Relaxed);
            self.hearing.connection.set(connection + 1);
            self.hearing.tell_health(false);
        }
        // What was read in one go with the end is of that connection, though it is looked at only now.
        for event in std::mem::take(&mut self.events.state.events) {
            if let Event::Incoming(Packet::Publish(publish)) = event {
                self.hear(&publish, connection);
            }
        }
        self.hearing.outbox.carry_over(&mut self.events.pending);
        self.events.state.collision = None;
        was_there
    }

    /// Puts a message of this connection into its reader's lane, without waiting: who does not poll the connection does not ping the broker either.
    /// Whether there was room, or none was needed.
    fn hear(&self, publish: &Publish, connection: u64) -> bool {
        self.doors().venue_messages.fetch_add(1, Relaxed);
        let why = match self.options.topics.find(&publish.topic) {
            None => "is nobody's topic",
            // By another link, or brokers that are joined to each other.
            Some(_) if publish.payload.starts_with(RESULT) => "brings results as if they were scans",
            Some(found) => return self.put(Heard::new(found, publish, connection)),
        };
        self.doors().venue_strangers.fetch_add(1, Relaxed);
        self.hearing.warn(&publish.topic, why);
        if publish.qos != QoS::AtMostOnce && self.hearing.connection.get() == connection {
            self.hearing.outbox.ack(publish.pkid);
        }
        true
    }

    fn put(&self, heard: Heard) -> bool {
        match self.hearing.room_for(&heard) {
            Room::Is => {
                let mut hasher = SipHasher24::new();
                hasher.write(heard.reader().as_str().as_bytes());
                let lane = &self.lanes[usize::from(hasher.finish().to_be_bytes()[0]) % LANES];
                // Each lane has room for what may wait in all of them.
                lane.try_send(heard).is_ok()
            }
            Room::IsNotForThis => {
                self.hearing.warn(heard.reader().as_str(), "sends more with QoS 0 than can wait: some of its scans are lost");
                true
            }
            Room::IsNot => false,
        }
    }

    /// What the hub has is acked, what it does not have yet is not. Then the broker is told goodbye.
    async fn close(mut self) {
        self.lanes.clear();
        let until = Instant::now() + CLOSE_TIMEOUT;
        let mut is_over = !self.hearing.is_there.get();
        let mut has_asked = false;
        while !is_over && Instant::now() < until {
            self.hearing.outbox.hand_over();
            if !has_asked && self.at_work.iter().all(JoinHandle::is_finished) {
                has_asked = self.hearing.outbox.disconnect();
            }
            is_over = match tokio::time::timeout(CLOSE_LOOK, self.events.poll()).await {
                Ok(Ok(event)) => {
                    self.answered(&event);
                    event == Event::Outgoing(Outgoing::Disconnect)
                }
                Ok(Err(_)) => true,
                Err(_) => false,
            };
        }
        self.at_work.iter().for_each(JoinHandle::abort);
        self.hearing.outbox.carry_over(&mut self.events.pending);
        if self.hearing.is_there.replace(false) {
            self.doors().venue_links_up.fetch_sub(1, Relaxed);
        }
        self.doors().venue_links.fetch_sub(1, Relaxed);
        tracing::info!(address = %self.address, "the venue's broker is left");
    }

    fn doors(&self) -> &Doors {
        &self.hearing.hub.metrics().doors
    }
}

/// Packet ids are numbered for each session of each broker.
fn namespace(options: &VenueOptions) -> u64 {
    // Always the same: the hasher has fixed keys.
    let mut hasher = SipHasher24::new();
    for part in [&options.conference, &options.address.host, &options.client_id] {
        hasher.write(part.as_bytes());
        hasher.write_u8(0);
    }
    hasher.write_u16(options.address.port);
    hasher.finish()
}

fn mqtt_options(options: &VenueOptions) -> MqttOptions {
    // In brackets an IPv6 address is no name that a certificate could have.
    let host = options.address.host.trim_start_matches('[').trim_end_matches(']');
    let mut mqtt = MqttOptions::new(options.client_id.clone(), host, options.address.port);
    mqtt.set_clean_session(false).set_manual_acks(true).set_keep_alive(KEEP_ALIVE).set_inflight(PACKET_IDS);
    mqtt.set_max_packet_size(INCOMING_BYTES_MAX, OUTGOING_BYTES_MAX);
    if let Some((user, password)) = &options.login {
        mqtt.set_credentials(user.clone(), password.clone());
    }
    if let Some(tls) = &options.tls {
        mqtt.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::clone(tls))));
    }
    mqtt
}
