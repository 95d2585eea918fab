//! Readers of several conversations who take a few messages at a time, while much is said in all of them at once: what they had no room for
//! comes later, and nothing is left out.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use super::scene::{channel, person};
use super::seat::WITHIN;
use crate::client::ANSWER_WITHIN;
use crate::mqtt::Version;
use crate::mqtt::client::{Client as Mqtt, Seen};
use crate::mqtt::packet::{Connect, PUBACK, ack};
use crate::mqtt::parse::Packet;
use crate::mqtt::property::{RECEIVE_MAXIMUM, Value};
use crate::script::password;
use crate::server::Server;
use crate::suite::{Report, load};
use crate::xmpp::client::{Client as Xmpp, Over, Seen as XmppSeen};

const CHANNELS: usize = 3;
/// Messages in each of them.
const EACH: usize = 400;
const SM: &str = "urn:xmpp:sm:3";

/// Texts by conversation, in the order in which they came.
type Texts = BTreeMap<String, Vec<String>>;

/// Over MQTT 5 and XMPP, which have windows.
pub fn run(server: &Server, report: &mut Report) {
    for window in [1, 7, 20] {
        report.check(&format!("everywhere: MQTT 5 with a window of {window} in {CHANNELS} conversations"), || {
            let channels = channels(server, &format!("mqtt{window}"))?;
            let mut reader = mqtt(server, window, &channels)?;
            let said = talk(server, &channels)?;
            by_mqtt(&mut reader, &said)
        });
    }
    report.check(&format!("everywhere: XMPP that acknowledges slowly in {CHANNELS} rooms"), || {
        let channels = channels(server, "xmpp")?;
        let mut reader = xmpp(server, &channels)?;
        let said = talk(server, &channels)?;
        by_xmpp(&mut reader, &said)
    });
}

fn channels(server: &Server, name: &str) -> Result<Vec<String>> {
    person(server, "narrow")?;
    let channels: Vec<String> = (0..CHANNELS).map(|at| format!("narrow-{name}-{at}")).collect();
    channels.iter().try_for_each(|id| channel(server, id))?;
    Ok(channels)
}

/// Says something in each conversation in turn, many times, without waiting for the answers.
fn talk(server: &Server, channels: &[String]) -> Result<Texts> {
    let mut speaker = load::join(server, "talker")?;
    let (mut said, mut waiting) = (Texts::new(), Vec::new());
    for number in 0..EACH * channels.len() {
        // Runs of one conversation and changes to another, so that batches hold several of each.
        let channel = &channels[number / 5 % channels.len()];
        let text = format!("number {number}");
        waiting.push(speaker.send("message.send", &load::draft(channel, &format!("{channel}-{number}"), &text))?);
        said.entry(channel.clone()).or_default().push(text);
    }
    for request in waiting {
        speaker.answer(request, ANSWER_WITHIN)?.context("a message was refused")?;
    }
    Ok(said)
}

fn count(texts: &Texts) -> usize {
    texts.values().map(Vec::len).sum()
}

/// What came is what was said.
fn same(said: &Texts, came: &Texts) -> Result<String> {
    for (channel, said) in said {
        let came = came.get(channel).map_or(&[][..], Vec::as_slice);
        let missing: Vec<&String> = said.iter().filter(|text| !came.contains(text)).collect();
        ensure!(missing.is_empty(), "{channel}: {} of {} never came: {:?} …", missing.len(), said.len(), &missing[..missing.len().min(12)]);
        ensure!(came == said, "{channel}: what came is in another order, or came twice");
    }
    Ok(format!("{} messages", count(said)))
}

fn mqtt(server: &Server, window: u16, channels: &[String]) -> Result<Mqtt> {
    let mut connect = Connect::new(Version::V5, "narrow");
    (connect.user, connect.password) = (Some("narrow".into()), Some(password("narrow").into()));
    connect.properties.push((RECEIVE_MAXIMUM, Value::Two(window)));
    let mut client = Mqtt::open(&server.mqtt()?.to_string(), Version::V5, Instant::now() + 8 * WITHIN)?;
    client.send(&connect.bytes())?;
    ensure!(client.expect_connack()?.code == 0, "CONNECT was refused");
    channels.iter().try_for_each(|channel| client.subscribe(&format!("conf/demo/chat/{channel}"), 1))?;
    Ok(client)
}

fn by_mqtt(reader: &mut Mqtt, said: &Texts) -> Result<String> {
    let mut came = Texts::new();
    while count(&came) < count(said) {
        match reader.see(WITHIN)? {
            Seen::Packet(Packet::Publish(message)) => {
                let json: serde_json::Value = serde_json::from_slice(&message.payload)?;
                let word = |member: &str| json[member].as_str().unwrap_or_default().to_owned();
                came.entry(word("conversation")).or_default().push(word("text"));
                reader.send(&ack(PUBACK, message.id))?;
            }
            Seen::Nothing => break,
            other => bail!("instead of messages came {other:?}"),
        }
    }
    same(said, &came)
}

fn xmpp(server: &Server, channels: &[String]) -> Result<Xmpp> {
    let (mut client, _) = Xmpp::sign_in(&server.xmpp_endpoints()?, Over::Tcp, "narrow", &password("narrow"), "narrow")?;
    for channel in channels {
        let none = "<x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x>";
        client.send(&format!("<presence to='{channel}@rooms.localhost/narrow'>{none}</presence>"))?;
        client.expect_where("the subject", |element| element.name == "message" && element.child("subject").is_some())?;
    }
    client.send(&format!("<enable xmlns='{SM}'/>"))?;
    client.expect_where("<enabled/>", |element| element.is("enabled", SM))?;
    Ok(client)
}

/// Acknowledges when the server asks (XEP-0198 §4), and not before.
fn by_xmpp(reader: &mut Xmpp, said: &Texts) -> Result<String> {
    let (mut came, mut received) = (Texts::new(), 0_u32);
    while count(&came) < count(said) {
        match reader.see(WITHIN)? {
            XmppSeen::Element(element) => {
                received = received.wrapping_add(u32::from(element.is_stanza()));
                if element.is("r", SM) {
                    reader.send(&format!("<a xmlns='{SM}' h='{received}'/>"))?;
                }
                if let (Some(body), Some(from)) = (element.child("body"), element.attr("from")) {
                    let room = from.split('@').next().unwrap_or_default().to_owned();
                    came.entry(room).or_default().push(body.text.clone());
                }
            }
            XmppSeen::Nothing => break,
            other => bail!("instead of messages came {other:?}"),
        }
    }
    same(said, &came)
}
