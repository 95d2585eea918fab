//! A broker that says what a test tells it to say.

use std::net::SocketAddr;

use bytes::BytesMut;
use rumqttc::{ConnAck, ConnectReturnCode, Packet, PubAck, Publish, QoS, SubAck, SubscribeReasonCode};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::WITHIN;

/// Largest packet in bytes.
const MAX_BYTES: usize = 1 << 20;
/// Where the gate's scans come from.
pub const GATE: &str = "springcard/springcore/DA1275B0/rdr/evt";
/// Where the door's do.
pub const DOOR: &str = "esphome/door/tag";

/// Where it listens.
pub struct Broker(TcpListener);

/// A connection of the link's.
pub struct Talk {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Broker {
    pub async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub fn at(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// The next connection, of which nothing is answered.
    pub async fn connection(&self) -> Talk {
        let (stream, _) = tokio::time::timeout(WITHIN, self.0.accept()).await.expect("in time").unwrap();
        stream.set_nodelay(true).unwrap();
        Talk { stream, buffer: BytesMut::new() }
    }

    /// The next connection, which is told whether its session was kept. Whatever waits for it may be said before it subscribes.
    pub async fn welcome(&self, session_present: bool) -> Talk {
        let mut talk = self.connection().await;
        let Some(Packet::Connect(connect)) = talk.next().await else { panic!("no CONNECT") };
        assert!(!connect.clean_session, "the session is to be kept");
        talk.say(&[Packet::ConnAck(ConnAck { session_present, code: ConnectReturnCode::Success })]).await;
        talk
    }

    /// The next connection, once it has subscribed.
    pub async fn subscribed(&self, session_present: bool) -> Talk {
        let mut talk = self.welcome(session_present).await;
        talk.subscription().await;
        talk
    }
}

impl Talk {
    /// What is said next; `None` when the connection is closed. Pings are answered.
    pub async fn next(&mut self) -> Option<Packet> {
        tokio::time::timeout(WITHIN, self.next_but_pings()).await.expect("in time")
    }

    async fn next_but_pings(&mut self) -> Option<Packet> {
        loop {
            match Packet::read(&mut self.buffer, MAX_BYTES) {
                Ok(Packet::PingReq) => self.say(&[Packet::PingResp]).await,
                Ok(packet) => return Some(packet),
                Err(rumqttc::mqttbytes::Error::InsufficientBytes(_)) => {
                    if self.stream.read_buf(&mut self.buffer).await.unwrap_or(0) == 0 {
                        return None;
                    }
                }
                Err(error) => panic!("{error:?}"),
            }
        }
    }

    /// Whether it was not closed yet by the other side.
    pub fn is_open(&mut self) -> bool {
        match self.stream.try_read_buf(&mut self.buffer) {
            Ok(count) => count > 0,
            Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
        }
    }

    /// All at once.
    pub async fn say(&mut self, packets: &[Packet]) {
        let mut bytes = BytesMut::new();
        for packet in packets {
            packet.write(&mut bytes, MAX_BYTES).unwrap();
        }
        self.say_bytes(&bytes).await;
    }

    pub async fn say_bytes(&mut self, bytes: &[u8]) {
        tokio::time::timeout(WITHIN, self.stream.write_all(bytes)).await.expect("in time").ok();
    }

    /// Waits for the SUBSCRIBE and grants it; what was said before it.
    pub async fn subscription(&mut self) -> Vec<Packet> {
        let mut before = Vec::new();
        loop {
            match self.next().await.expect("a SUBSCRIBE") {
                Packet::Subscribe(subscribe) => {
                    let granted = subscribe.filters.iter().map(|_| SubscribeReasonCode::Success(QoS::AtLeastOnce)).collect();
                    self.say(&[Packet::SubAck(SubAck::new(subscribe.pkid, granted))]).await;
                    return before;
                }
                packet => before.push(packet),
            }
        }
    }

    /// The next result that is told.
    pub async fn result(&mut self) -> (Publish, Value) {
        loop {
            if let Packet::Publish(publish) = self.next().await.expect("a result") {
                let value = serde_json::from_slice(&publish.payload).unwrap();
                return (publish, value);
            }
        }
    }

    /// The next message that is acked.
    pub async fn acked(&mut self) -> u16 {
        loop {
            match self.next().await.expect("an ack") {
                Packet::PubAck(ack) => return ack.pkid,
                Packet::Publish(publish) => self.ack(&publish).await,
                _ => {}
            }
        }
    }

    pub async fn ack(&mut self, publish: &Publish) {
        self.say(&[Packet::PubAck(PubAck::new(publish.pkid))]).await;
    }
}

/// A reader's message.
pub fn scan(id: u16, topic: &str, payload: impl Into<Vec<u8>>) -> Packet {
    let qos = if id == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
    let mut publish = Publish::new(topic, qos, payload);
    publish.pkid = id;
    Packet::Publish(publish)
}

/// A message that comes again.
pub fn again(id: u16, topic: &str, payload: impl Into<Vec<u8>>) -> Packet {
    match scan(id, topic, payload) {
        Packet::Publish(publish) => Packet::Publish(Publish { dup: true, ..publish }),
        packet => packet,
    }
}

/// A message of as many badges as one can have, none of them anybody's.
pub fn many(name: &str) -> String {
    let badges = (0..hallway_broker::limits::MAX_TAPS).map(|scan| serde_json::json!({"badge": format!("{name}-{scan}-zz")}));
    Value::Array(badges.collect()).to_string()
}
