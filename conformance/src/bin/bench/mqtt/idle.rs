//! Server memory per MQTT connection that is signed in, subscribed to a chat, and silent; plain, and TLS.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::broker::{self, Broker, Credential};
use super::login::{Client, acknowledge, log_in};
use super::packet::Packet;
use super::peer_note;
use super::subscribers::TOPIC;
use crate::arrivals::GENTLE;
use crate::idle::{self, Round, SETTLE};
use crate::net::{Conns, Load, Net};
use crate::options::Options;
use crate::report::{Report, Table};

#[derive(Debug, Clone, Copy)]
enum Transport {
    Plain,
    Tls,
}

pub fn run(options: &Options, report: &mut Report) -> Result<()> {
    let connections = options.clients_or(5_000);
    let per_user = options.sessions_per_user.unwrap_or(1).max(1);
    let mut brokers = broker::start(options, &[], connections.div_ceil(per_user))?;
    let mut table = Table::new(&idle::HEADERS);
    let mut figures = json!({ "connections": connections });
    for (transport, name, target) in [(Transport::Plain, "plain", "≤ 2"), (Transport::Tls, "tls", "plain + ≤ 16")] {
        let mut rounds: Vec<Vec<Round>> = brokers.iter().map(|_| Vec::new()).collect();
        for _ in 0..options.rounds_or(3) {
            for (broker, rounds) in brokers.iter_mut().zip(&mut rounds) {
                match transport.address(broker)? {
                    Some(_) => rounds.push(round(broker, transport, connections)?),
                    None => eprintln!("{} has no listener for {name}: skipped", broker.name()),
                }
            }
        }
        for (broker, rounds) in brokers.iter().zip(&rounds).filter(|(_, rounds)| !rounds.is_empty()) {
            let target = if broker.stage().is_some() { target } else { "" };
            figures[name][broker.name()] = idle::line(&mut table, broker.name(), name, rounds, connections, target);
        }
    }
    let note = format!(
        "MQTT {}, signed in, subscribed to {TOPIC} with QoS 1, {per_user} per account; a fresh process per round; {}",
        options.v,
        peer_note(&brokers)
    );
    report.add("mqtt_idle", &note, &table, figures);
    Ok(())
}

impl Transport {
    fn address(self, broker: &Broker) -> Result<Option<SocketAddr>> {
        match self {
            Transport::Plain => broker.plain().map(Some),
            Transport::Tls => Ok(broker.tls()),
        }
    }
}

fn round(broker: &mut Broker, transport: Transport, connections: usize) -> Result<Round> {
    broker.restart()?;
    let clients: Vec<Client> =
        (0..connections).map(|number| Client::new(broker, number, Credential::Token).follow(broker, TOPIC, 1)).collect();
    let address = transport.address(broker)?.context("no such listener after a restart")?;
    let mut net = Net::new(address)?;
    if matches!(transport, Transport::Tls) {
        net.conns().speak_tls()?;
    }
    net.run_for(&mut Silence, SETTLE)?;
    let before_bytes = broker.rss_bytes()?;
    log_in(&mut net, broker.version, &clients, GENTLE)?;
    net.run_for(&mut Silence, SETTLE)?;
    Ok(Round { before_bytes, after_bytes: broker.rss_bytes()? })
}

/// Says nothing, and minds nothing but the end of a connection.
struct Silence;

impl Load for Silence {
    fn packet(&mut self, conns: &mut Conns, id: usize, packet: &Packet<'_>) -> Result<()> {
        if packet.is_publish() { acknowledge(conns, id, packet) } else { Ok(()) }
    }
}
