//! A sender and a reader over MQTT 5 that survive crashes, each time with a new session: the sender by the ids of its messages, the
//! reader by `after`.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use serde_json::json;

use super::cast::{Addresses, Heads, Reading, Sending, Sent, until_lost};
use super::drafts::{Draft, Drafts};
use crate::check::{self, Event, Violation};
use crate::mqtt::Version;
use crate::mqtt::client::{Client, Seen, gone};
use crate::mqtt::packet::{Connect, PUBACK, Publish, ack};
use crate::mqtt::parse::Packet;
use crate::mqtt::property::{USER, Value};
use crate::script::password;

/// No connection lives longer.
const LIFE: Duration = Duration::from_secs(120);
/// An answer takes no longer, and neither does catching up.
const WITHIN: Duration = Duration::from_secs(15);
/// How many messages of a conversation that is no longer followed are remembered.
const KEPT: usize = 2000;

fn connect(to: SocketAddr, uid: &str) -> Result<Client> {
    let mut connect = Connect::new(Version::V5, &format!("{uid}-device"));
    (connect.user, connect.password) = (Some(uid.into()), Some(password(uid).into()));
    let mut client = Client::open(&to.to_string(), Version::V5, Instant::now() + LIFE)?;
    client.send(&connect.bytes())?;
    let answer = client.expect_connack()?;
    ensure!(answer.code == 0, "{uid} was refused with 0x{:02X}", answer.code);
    Ok(client)
}

/// Publishes with QoS 1; a PUBACK means kept.
pub struct Sender {
    drafts: Drafts,
    next_packet: u16,
    /// By packet id.
    under_way: HashMap<u16, String>,
}

impl Sender {
    /// With nothing said yet.
    pub fn new(drafts: Drafts) -> Sender {
        Sender { drafts, next_packet: 0, under_way: HashMap::new() }
    }

    fn try_run(&mut self, to: &Addresses, more: bool) -> Result<()> {
        let mut client = connect(to.mqtt, &self.drafts.uid)?;
        self.under_way.clear();
        for draft in self.drafts.again() {
            self.publish(&mut client, &draft)?;
        }
        loop {
            while more && let Some(draft) = self.drafts.one_more() {
                self.publish(&mut client, &draft)?;
            }
            if !more && self.drafts.is_done() {
                return Ok(());
            }
            match client.see(WITHIN)? {
                Seen::Packet(Packet::Ack { first: PUBACK, id, code, .. }) => {
                    let Some(client_id) = self.under_way.remove(&id) else { bail!("PUBACK of packet id {id}, which is not under way") };
                    ensure!(code < 0x80, "{client_id} was refused with 0x{code:02X}");
                    self.drafts.keep(&client_id, None);
                }
                Seen::Packet(other) => bail!("{} got {other:?}", self.drafts.uid),
                Seen::Closed => return Err(gone("PUBACK")),
                Seen::Nothing => bail!("{}: no PUBACK within {WITHIN:?}", self.drafts.uid),
            }
        }
    }

    fn publish(&mut self, client: &mut Client, draft: &Draft) -> Result<()> {
        self.next_packet = self.next_packet % 1000 + 1;
        self.under_way.insert(self.next_packet, draft.id.clone());
        let payload = json!({"id": draft.id, "text": draft.text}).to_string();
        client.send(&Publish::new(format!("conf/demo/chat/{}", draft.channel), 1, payload).id(self.next_packet).bytes(Version::V5))
    }
}

impl Sending for Sender {
    fn name(&self) -> String {
        format!("{} over MQTT", self.drafts.uid)
    }

    fn speak_in(&mut self, channels: &[String]) {
        self.drafts.speak_in(channels);
    }

    fn run(&mut self, to: &Addresses) -> Result<()> {
        until_lost(self.try_run(to, true))
    }

    fn finish(&mut self, to: &Addresses) -> Result<()> {
        self.try_run(to, false)
    }

    fn violations(&self, channel: &str, stored: &[Event]) -> Vec<Violation> {
        self.drafts.violations(channel, stored)
    }

    fn sent(&self) -> Sent {
        self.drafts.sent()
    }

    fn trace(&self) -> Vec<String> {
        self.drafts.trace()
    }
}

/// Subscribes with `after`; each message comes once.
pub struct Reader {
    uid: String,
    following: Vec<String>,
    seen: BTreeMap<String, Vec<Event>>,
    count: usize,
    resumed_behind: usize,
    /// The last seqs as of the connection's beginning.
    began: BTreeMap<String, u64>,
}

impl Reader {
    /// With nothing seen yet.
    pub fn new(uid: &str) -> Reader {
        let (seen, began) = (BTreeMap::new(), BTreeMap::new());
        Reader { uid: uid.to_owned(), following: Vec::new(), seen, count: 0, resumed_behind: 0, began }
    }

    fn last_seq(&self, channel: &str) -> u64 {
        self.seen.get(channel).and_then(|seen| seen.last()).map_or(0, |event| event.seq)
    }

    fn try_run(&mut self, to: &Addresses, heads: Option<&Heads>) -> Result<()> {
        let mut client = connect(to.mqtt, &self.uid)?;
        self.began = self.following.iter().map(|channel| (channel.clone(), self.last_seq(channel))).collect();
        for (channel, after) in self.began.clone() {
            let replay = vec![(USER, Value::Pair("after".into(), after.to_string()))];
            let codes = client.subscribe_with(&[(format!("conf/demo/chat/{channel}"), 1)], &replay)?;
            ensure!(codes == [1], "{channel} was answered with {codes:02X?}");
        }
        let deadline = heads.map(|_| Instant::now() + WITHIN);
        loop {
            if let Some(heads) = heads
                && heads.iter().all(|(channel, (seq, _))| self.last_seq(channel) >= *seq)
            {
                return Ok(());
            }
            match client.see(WITHIN)? {
                Seen::Packet(Packet::Publish(message)) => {
                    self.saw(&message)?;
                    client.send(&ack(PUBACK, message.id))?;
                }
                Seen::Packet(other) => bail!("{} got {other:?}", self.uid),
                Seen::Closed => return Err(gone("a message")),
                Seen::Nothing => {}
            }
            ensure!(deadline.is_none_or(|end| Instant::now() < end), "{} had not caught up with {heads:?} within {WITHIN:?}", self.uid);
        }
    }

    fn saw(&mut self, message: &Publish) -> Result<()> {
        let json = serde_json::from_slice(&message.payload)?;
        let event = Event::parse(&json)?;
        let channel = json["conversation"].as_str().unwrap_or_default().to_owned();
        ensure!(self.following.contains(&channel), "a message of a conversation that is not followed: {json}");
        let last = self.last_seq(&channel);
        ensure!(event.seq > last, "a reader of {channel} over MQTT: seq {} came after {last}", event.seq);
        // Whoever was behind is caught up with, once for each connection.
        if let Some(began) = self.began.remove(&channel) {
            self.resumed_behind += usize::from(began > 0);
        }
        self.count += 1;
        self.seen.entry(channel).or_default().push(event);
        Ok(())
    }
}

impl Reading for Reader {
    fn name(&self) -> String {
        format!("{} over MQTT", self.uid)
    }

    fn follow(&mut self, channels: &[String]) {
        for seen in self.seen.values_mut() {
            seen.drain(..seen.len().saturating_sub(KEPT));
        }
        self.following = channels.to_vec();
    }

    fn run(&mut self, to: &Addresses) -> Result<()> {
        until_lost(self.try_run(to, None))
    }

    fn catch_up(&mut self, to: &Addresses, heads: &Heads) -> Result<()> {
        self.try_run(to, Some(heads))
    }

    fn violations(&self, channel: &str, stored: &[Event]) -> Vec<Violation> {
        let seen = self.seen.get(channel).map_or(&[][..], Vec::as_slice);
        let heard: Vec<check::Heard> = seen.iter().map(|event| check::Heard { id: event.id.clone(), text: event.text.clone() }).collect();
        let mut violations = check::agreement(stored, seen);
        violations.extend(check::listening(stored, &heard));
        violations
    }

    fn seen(&self) -> (usize, usize) {
        (self.count, self.resumed_behind)
    }

    fn trace(&self) -> Vec<String> {
        self.seen.iter().flat_map(|(channel, seen)| seen.iter().map(move |event| format!("saw {channel} {event:?}"))).collect()
    }
}
