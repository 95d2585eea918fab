//! A session over MQTT, either version. With MQTT 3.1.1 refusals come on the inbox.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use serde_json::{Value as Json, json};

use super::{Change, Heard, Line, Target};
use crate::mqtt::Version;
use crate::mqtt::client::{Client, Seen};
use crate::mqtt::packet::{Connect, Publish};
use crate::mqtt::parse::Packet;
use crate::mqtt::property::{USER, Value};
use crate::script::password;
use crate::server::Server;
use crate::suite::everywhere::sight::{Sight, of_json, of_signal};

/// No session of this suite lives longer.
const LIFE: Duration = Duration::from_secs(600);
/// What is followed of a conversation.
const PARTS: [&str; 4] = ["", "/event", "/typing", "/read"];

/// The connection.
pub struct Mqtt {
    client: Client,
    version: Version,
    next_id: u16,
}

impl Mqtt {
    /// Signs in with a session that ends with the connection.
    ///
    /// # Errors
    /// When that is refused.
    pub fn open(server: &Server, version: Version, uid: &str, device: &str) -> Result<Mqtt> {
        let mut connect = Connect::new(version, device);
        (connect.user, connect.password) = (Some(uid.into()), Some(password(uid).into()));
        let mut client = Client::open(&server.mqtt()?.to_string(), version, Instant::now() + LIFE)?;
        client.send(&connect.bytes())?;
        let answer = client.expect_connack()?;
        ensure!(answer.code == 0, "CONNECT of {uid} was refused with 0x{:02X}", answer.code);
        client.subscribe(&format!("conf/demo/user/{uid}/inbox"), 1)?;
        // Ids below are those of subscriptions.
        Ok(Mqtt { client, version, next_id: 1000 })
    }

    /// The past of a conversation by a subscription with this user property, until nothing has come for `quiet`.
    ///
    /// # Errors
    /// The server refuses.
    pub fn replay(&mut self, conversation: &str, (key, number): (&str, u64), count: usize, within: Duration) -> Result<Vec<Sight>> {
        let asked = vec![(USER, Value::Pair(key.into(), number.to_string()))];
        let codes = self.client.subscribe_with(&[(format!("conf/demo/chat/{conversation}"), 1)], &asked)?;
        ensure!(codes == [1], "the subscription with {key} was answered with {codes:02X?}");
        let (deadline, mut sights) = (Instant::now() + within, Vec::new());
        while sights.len() < count && Instant::now() < deadline {
            sights.extend(self.hear(deadline.saturating_duration_since(Instant::now()))?.sights);
        }
        Ok(sights)
    }

    fn publish(&mut self, topic: &str, payload: impl AsRef<[u8]>) -> Result<()> {
        self.next_id = if self.next_id == u16::MAX { 1000 } else { self.next_id + 1 };
        self.client.send(&Publish::new(format!("conf/demo/{topic}"), 1, payload).id(self.next_id).bytes(self.version))
    }

    fn take(message: &Publish, heard: &mut Heard) -> Result<()> {
        let topic = String::from_utf8_lossy(&message.topic).into_owned();
        let json: Json = serde_json::from_slice(&message.payload)?;
        let part = topic.rsplit('/').next().unwrap_or_default();
        match part {
            // What is retained was seen before, or is not asked for.
            _ if message.retain => {}
            "inbox" if json["reason"] == "refused" => heard.refused.push(format!("{}: {}", json["topic"], json["why"])),
            "inbox" if json["reason"] == "removed" => heard.put_out.push(json["conversation"].as_str().unwrap_or_default().to_owned()),
            "inbox" => {}
            "typing" | "read" => heard.sights.extend(of_signal(part, &json)),
            _ => heard.sights.extend(of_json(&json)),
        }
        Ok(())
    }
}

impl Line for Mqtt {
    fn follow(&mut self, conversation: &str) -> Result<()> {
        PARTS.iter().try_for_each(|part| self.client.subscribe(&format!("conf/demo/chat/{conversation}{part}"), 1))
    }

    fn say(&mut self, conversation: &str, id: &str, text: &str) -> Result<()> {
        let topic = format!("chat/{conversation}");
        match id {
            "" => self.publish(&topic, text),
            id => self.publish(&topic, json!({"id": id, "text": text}).to_string()),
        }
    }

    fn change(&mut self, conversation: &str, target: &Target, change: &Change) -> Result<()> {
        let topic = |part: &str| format!("chat/{conversation}/{part}");
        match change {
            Change::Edit(text) => self.publish(&topic("event"), json!({"kind": "edit", "target": target.seq, "text": text}).to_string()),
            Change::React(emoji, on) => {
                self.publish(&topic("event"), json!({"kind": "react", "target": target.seq, "emoji": emoji, "on": on}).to_string())
            }
            Change::Delete | Change::Moderate => self.publish(&topic("event"), json!({"kind": "delete", "target": target.seq}).to_string()),
            Change::Read => self.publish(&topic("read"), target.seq.to_string()),
            Change::Typing(on) => self.publish(&topic("typing"), on.to_string()),
            Change::Title(title) => {
                let params = json!({"conversation": conversation, "title": title});
                self.publish("rpc", json!({"jsonrpc": "2.0", "id": 1, "method": "conversation.update", "params": params}).to_string())
            }
        }
    }

    fn hear(&mut self, within: Duration) -> Result<Heard> {
        let mut heard = Heard::default();
        match self.client.see(within)? {
            Seen::Nothing => {}
            Seen::Closed => bail!("the server closed the connection"),
            Seen::Packet(Packet::Publish(message)) => {
                self.client.acknowledge(&message)?;
                Mqtt::take(&message, &mut heard)?;
            }
            Seen::Packet(Packet::Ack { code, .. }) if code >= 0x80 => heard.refused.push(format!("reason code 0x{code:02X}")),
            Seen::Packet(Packet::Disconnect { code, .. }) => bail!("DISCONNECT with 0x{code:02X}"),
            Seen::Packet(_) => {}
        }
        Ok(heard)
    }
}
