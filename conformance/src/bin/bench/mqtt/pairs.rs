//! Two-person chats at QoS 1: how long from one person to the other at a fixed rate, and how many messages at most.

use anyhow::{Context as _, Result};
use serde_json::json;

use super::broker::{self, Broker, Credential};
use super::canonical::canonical;
use super::login::{Client, log_in};
use super::packet::PublishFrame;
use super::peer_note;
use super::speech::{Mqtt, text};
use crate::arrivals::GENTLE;
use crate::chatter::Chatter;
use crate::drive::{Drive, Time, Window};
use crate::net::Net;
use crate::options::Options;
use crate::pairs;
use crate::report::{Report, Table};
use crate::request::FIRST_NUMBER;

pub fn run(options: &Options, report: &mut Report) -> Result<()> {
    let chats = options.clients_or(1_000);
    let brokers = broker::start(options, &[], chats * 2)?;
    let names: Vec<&str> = brokers.iter().map(Broker::name).collect();
    let mut drives = connect(&brokers, chats, options)?;
    let time = Time::new(options.warmup_s, options.seconds_or(10.0));
    let mut table = Table::new(&pairs::HEADERS);
    let all = pairs::beside(&mut drives, &names, time, options, &mut table)?;
    let note = format!(
        "{chats} two-person chats, {} connections, MQTT {} QoS 1, senders hear themselves too, default limits unless --set; told: due → the \
         partner has it; {}",
        chats * 2,
        options.v,
        peer_note(&brokers)
    );
    report.add("mqtt_pairs", &note, &table, json!(all));
    Ok(())
}

/// Everyone connected and subscribed, and some messages delivered, so that the peer's can be as long as Hallway's.
fn connect(brokers: &[Broker], chats: usize, options: &Options) -> Result<Vec<Drive<Mqtt>>> {
    let mut payload_bytes = None;
    // The peer's topics have Hallway's names.
    let direct = match brokers.iter().find_map(Broker::stage) {
        Some(stage) => stage.direct_chats(chats)?,
        None => (0..chats).map(|chat| format!("dm~bench{:05}~bench{:05}", chat * 2, chat * 2 + 1)).collect(),
    };
    brokers
        .iter()
        .map(|broker| {
            let mut drive = connect_one(broker, &direct, options, payload_bytes)?;
            drive.closed_loop(Window::InAll(1), Time::new(0.0, 0.2))?;
            payload_bytes = Some(drive.load.speech.payload_bytes);
            Ok(drive)
        })
        .collect()
}

fn connect_one(broker: &Broker, chats: &[String], options: &Options, payload_bytes: Option<usize>) -> Result<Drive<Mqtt>> {
    let text = text(options.body_bytes);
    let mut net = Net::new(broker.plain()?)?;
    let (mut clients, mut frames) = (Vec::new(), Vec::new());
    // Two people per chat, one after the other: partners' numbers differ in the last bit.
    for person in 0..chats.len() * 2 {
        let chat = chats.get(person / 2).context("a person without a chat")?;
        let topic = format!("conf/demo/chat/{chat}");
        let payload = match broker.stage() {
            Some(_) => text.clone(),
            None => canonical(chat, &format!("bench{person:05}"), &text, payload_bytes),
        };
        clients.push(Client::new(broker, person, Credential::Token).follow(broker, &topic, 1));
        frames.push(PublishFrame::new(broker.version, &topic, &payload, false));
    }
    let conns = log_in(&mut net, broker.version, &clients, GENTLE)?.conns();
    let load = Chatter::with(Mqtt::new(broker.version, frames), conns, true, FIRST_NUMBER);
    Ok(Drive::server(net, load, broker.pid()?))
}
