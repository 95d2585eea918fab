//! One rumqttc client of either version, whose event loop runs in a thread of its own; what it says comes through a channel, so that a check
//! reads from top to bottom.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rumqttc::{mqttbytes, v5};

use crate::{PASSWORD, SILENCE, SOON};

/// Requests that wait for the event loop, and messages under way at once.
const CAPACITY: usize = 500;
const WINDOW: u16 = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    V4,
    V5,
}

/// Whether the session outlives its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Session {
    Clean,
    Kept,
}

/// What was published to us.
#[derive(Debug)]
pub struct Message {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: u8,
    pub retain: bool,
    pub dup: bool,
}

/// What the event loop tells.
enum News {
    Connected {
        present: bool,
    },
    Message(Message),
    Granted(Vec<Option<u8>>),
    /// PUBACK or PUBCOMP.
    Acknowledged,
    Ended(String),
}

enum Sending {
    V4(rumqttc::Client),
    V5(v5::Client),
}

pub struct Client {
    pub uid: String,
    /// The server had the session.
    pub present: bool,
    sending: Sending,
    news: Receiver<News>,
    waiting: VecDeque<Message>,
    acknowledged: usize,
    thread: Option<JoinHandle<()>>,
}

impl Client {
    pub fn connect(address: &str, version: Version, uid: &str, id: &str, session: Session) -> Result<Self> {
        let (host, port) = address.rsplit_once(':').context("no port")?;
        let (port, clean, (tell, news)) = (port.parse()?, session == Session::Clean, channel());
        let (sending, thread) = match version {
            Version::V4 => {
                let mut options = rumqttc::MqttOptions::new(id, host, port);
                options.set_credentials(uid, PASSWORD).set_clean_session(clean).set_inflight(WINDOW);
                let (client, connection) = rumqttc::Client::new(options, CAPACITY);
                (Sending::V4(client), std::thread::spawn(move || run_v4(connection, &tell)))
            }
            Version::V5 => {
                let mut options = v5::MqttOptions::new(id, host, port);
                options.set_credentials(uid, PASSWORD).set_clean_start(clean).set_outgoing_inflight_upper_limit(WINDOW);
                options.set_connect_properties(v5::mqttbytes::v5::ConnectProperties {
                    session_expiry_interval: (!clean).then_some(3600),
                    ..v5::mqttbytes::v5::ConnectProperties::new()
                });
                let (client, connection) = v5::Client::new(options, CAPACITY);
                (Sending::V5(client), std::thread::spawn(move || run_v5(connection, &tell)))
            }
        };
        let mut client =
            Self { uid: uid.to_owned(), present: false, sending, news, waiting: VecDeque::new(), acknowledged: 0, thread: Some(thread) };
        match client.next(Instant::now() + SOON)? {
            Some(News::Connected { present }) => client.present = present,
            _ => bail!("no CONNACK"),
        }
        Ok(client)
    }

    pub fn subscribe(&mut self, topic: &str, qos: u8) -> Result<()> {
        match &self.sending {
            Sending::V4(client) => client.subscribe(topic, mqttbytes::qos(qos)?)?,
            Sending::V5(client) => client.subscribe(topic, qos_v5(qos)?)?,
        }
        let end = Instant::now() + SOON;
        while let Some(news) = self.next(end)? {
            if let News::Granted(granted) = news {
                ensure!(granted == [Some(qos)], "SUBACK for {topic} at QoS {qos} grants {granted:?}");
                return Ok(());
            }
        }
        bail!("no SUBACK for {topic}")
    }

    /// Publishes and waits for the acknowledgement.
    pub fn publish(&mut self, topic: &str, payload: &[u8], qos: u8) -> Result<()> {
        self.send(topic, payload, qos)?;
        self.wait_acknowledged(usize::from(qos > 0))
    }

    /// Publishes all, one behind the other, and waits for the acknowledgements.
    pub fn publish_all(&mut self, topic: &str, texts: &[String], qos: u8) -> Result<()> {
        for text in texts {
            self.send(topic, text.as_bytes(), qos)?;
        }
        self.wait_acknowledged(texts.len())
    }

    fn send(&mut self, topic: &str, payload: &[u8], qos: u8) -> Result<()> {
        match &self.sending {
            Sending::V4(client) => client.publish(topic, mqttbytes::qos(qos)?, false, payload)?,
            Sending::V5(client) => client.publish(topic, qos_v5(qos)?, false, payload.to_vec())?,
        }
        Ok(())
    }

    fn wait_acknowledged(&mut self, count: usize) -> Result<()> {
        let end = Instant::now() + 3 * SOON;
        while self.acknowledged < count {
            ensure!(self.next(end)?.is_some(), "{} of {count} publications were acknowledged", self.acknowledged);
        }
        self.acknowledged -= count;
        Ok(())
    }

    /// The first message that is wanted; those before it are left out, as the retained last one of a conversation.
    pub fn expect(&mut self, what: &str, wanted: impl Fn(&Message) -> bool) -> Result<Message> {
        let end = Instant::now() + SOON;
        loop {
            while let Some(message) = self.waiting.pop_front() {
                if wanted(&message) {
                    return Ok(message);
                }
            }
            ensure!(self.next(end)?.is_some(), "{what} did not come");
        }
    }

    /// So many messages of a topic, and whatever else comes shortly after them.
    pub fn collect(&mut self, topic: &str, count: usize) -> Result<Vec<Message>> {
        let end = Instant::now() + 2 * SOON;
        while self.waiting.iter().filter(|message| message.topic == topic).count() < count && self.next(end)?.is_some() {}
        let quiet = Instant::now() + SILENCE;
        while self.next(quiet)?.is_some() {}
        let (these, others) = self.waiting.drain(..).partition(|message| message.topic == topic);
        self.waiting = others;
        Ok(Vec::from_iter::<VecDeque<_>>(these))
    }

    pub fn disconnect(mut self) -> Result<()> {
        match &self.sending {
            Sending::V4(client) => client.disconnect()?,
            Sending::V5(client) => client.disconnect()?,
        }
        // The thread ends with the connection.
        let thread = self.thread.take().context("it has ended before")?;
        thread.join().map_err(|_| anyhow!("the event loop panicked"))
    }

    /// The next news until then; messages are put with those that wait, acknowledgements are counted.
    fn next(&mut self, end: Instant) -> Result<Option<News>> {
        match self.news.recv_timeout(end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))) {
            Ok(News::Ended(why)) => bail!("the connection ended: {why}"),
            Ok(News::Message(message)) => {
                self.waiting.push_back(message);
                Ok(Some(News::Acknowledged))
            }
            Ok(News::Acknowledged) => {
                self.acknowledged += 1;
                Ok(Some(News::Acknowledged))
            }
            Ok(news) => Ok(Some(news)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!("the event loop ended"),
        }
    }
}

fn qos_v5(qos: u8) -> Result<v5::mqttbytes::QoS> {
    v5::mqttbytes::qos(qos).context("no such QoS")
}

/// Runs the event loop until the connection ends: nobody comes back by himself.
fn run_v4(mut connection: rumqttc::Connection, tell: &Sender<News>) {
    use rumqttc::{Event, Packet, SubscribeReasonCode};
    for event in connection.iter() {
        let news = match event {
            Ok(Event::Incoming(Packet::ConnAck(ack))) => News::Connected { present: ack.session_present },
            Ok(Event::Incoming(Packet::Publish(publish))) => News::Message(Message {
                topic: publish.topic,
                payload: publish.payload.to_vec(),
                qos: publish.qos as u8,
                retain: publish.retain,
                dup: publish.dup,
            }),
            Ok(Event::Incoming(Packet::SubAck(ack))) => News::Granted(
                ack.return_codes
                    .iter()
                    .map(|code| match code {
                        SubscribeReasonCode::Success(qos) => Some(*qos as u8),
                        SubscribeReasonCode::Failure => None,
                    })
                    .collect(),
            ),
            Ok(Event::Incoming(Packet::PubAck(_) | Packet::PubComp(_))) => News::Acknowledged,
            Ok(_) => continue,
            Err(error) => News::Ended(error.to_string()),
        };
        let ended = matches!(news, News::Ended(_));
        if tell.send(news).is_err() || ended {
            return;
        }
    }
}

fn run_v5(mut connection: v5::Connection, tell: &Sender<News>) {
    use v5::mqttbytes::v5::{Packet, PubAckReason, SubscribeReasonCode};
    for event in connection.iter() {
        let news = match event {
            Ok(v5::Event::Incoming(Packet::ConnAck(ack))) => News::Connected { present: ack.session_present },
            Ok(v5::Event::Incoming(Packet::Publish(publish))) => News::Message(Message {
                topic: String::from_utf8_lossy(&publish.topic).into_owned(),
                payload: publish.payload.to_vec(),
                qos: publish.qos as u8,
                retain: publish.retain,
                dup: publish.dup,
            }),
            Ok(v5::Event::Incoming(Packet::SubAck(ack))) => News::Granted(
                ack.return_codes
                    .iter()
                    .map(|code| match code {
                        SubscribeReasonCode::Success(qos) => Some(*qos as u8),
                        _ => None,
                    })
                    .collect(),
            ),
            Ok(v5::Event::Incoming(Packet::PubAck(ack))) => match ack.reason {
                PubAckReason::Success | PubAckReason::NoMatchingSubscribers => News::Acknowledged,
                refused => News::Ended(format!("PUBACK says {refused:?}")),
            },
            Ok(v5::Event::Incoming(Packet::PubComp(_))) => News::Acknowledged,
            Ok(_) => continue,
            Err(error) => News::Ended(error.to_string()),
        };
        let ended = matches!(news, News::Ended(_));
        if tell.send(news).is_err() || ended {
            return;
        }
    }
}
