//! Many MQTT connections up to the point where a load begins: CONNECT accepted, every SUBSCRIBE granted.

use anyhow::{Context as _, Result, bail, ensure};
use conformance::mqtt::Version;
use conformance::mqtt::packet::{frame, subscribe_body};
use conformance::mqtt::parse;

use super::broker::{Broker, Credential};
use super::packet::{self, Packet, puback};
use crate::arrivals::{Arrivals, Arriving, arrive, try_again};
use crate::net::{Conns, Load, Net, Speaks};

/// First byte of SUBSCRIBE.
const SUBSCRIBE: u8 = 0x82;

/// One connection to be.
pub struct Client {
    connect: Vec<u8>,
    /// With the QoS that must be granted.
    subscribe: Option<(Vec<u8>, u8)>,
}

impl Client {
    pub fn new(broker: &Broker, number: usize, credential: Credential) -> Client {
        Client { connect: broker.connect(number, credential), subscribe: None }
    }

    /// Subscribes to one filter once it is in.
    pub fn follow(mut self, broker: &Broker, filter: &str, qos: u8) -> Client {
        self.subscribe = Some((subscribe(broker.version, &[filter], qos), qos));
        self
    }
}

/// A SUBSCRIBE with one QoS for all filters.
pub fn subscribe<F: AsRef<[u8]>>(version: Version, filters: &[F], qos: u8) -> Vec<u8> {
    let filters: Vec<(&[u8], u8)> = filters.iter().map(|filter| (filter.as_ref(), qos)).collect();
    frame(SUBSCRIBE, &subscribe_body(version, 1, &filters, &Vec::new()))
}

/// Whether a SUBACK grants all of its filters this QoS.
pub fn check_suback(packet: &Packet<'_>, version: Version, qos: u8) -> Result<()> {
    match packet.parsed(version)? {
        parse::Packet::SubAck(answer) if answer.codes.iter().all(|&code| code == qos) => Ok(()),
        other => bail!("not all subscriptions were granted with QoS {qos}: {other:?}"),
    }
}

/// Connects all clients and subscribes them, `at_once` at a time. The connections' numbers follow on those that `net` has.
pub fn log_in(net: &mut Net, version: Version, clients: &[Client], at_once: usize) -> Result<Arrivals> {
    let mut load = LoggingIn { version, clients, is_connected: vec![false; clients.len()], arrivals: Arrivals::new(net, clients.len()) };
    arrive(net, &mut load, Speaks::Mqtt, at_once)?;
    Ok(load.arrivals)
}

struct LoggingIn<'a> {
    version: Version,
    clients: &'a [Client],
    is_connected: Vec<bool>,
    arrivals: Arrivals,
}

impl Arriving for LoggingIn<'_> {
    fn arrivals(&mut self) -> &mut Arrivals {
        &mut self.arrivals
    }

    fn greet(&mut self, conns: &mut Conns, id: usize) {
        if let Some(client) = self.arrivals.client(id) {
            conns.queue(id, &self.clients[client].connect);
        }
    }
}

impl Load for LoggingIn<'_> {
    fn packet(&mut self, conns: &mut Conns, id: usize, packet: &Packet<'_>) -> Result<()> {
        if packet.is_publish() {
            // A retained message, or an earlier connection's.
            return acknowledge(conns, id, packet);
        }
        let Some(number) = self.arrivals.client(id) else {
            return Ok(());
        };
        match packet.first {
            packet::CONNACK => {
                ensure!(packet.body.get(1) == Some(&0), "client {number} is refused: {:?}", packet.parsed(self.version)?);
                self.is_connected[number] = true;
                match &self.clients[number].subscribe {
                    Some((subscribe, _)) => conns.queue(id, subscribe),
                    None => self.arrivals.is_in(conns),
                }
            }
            packet::SUBACK => {
                let qos = self.clients[number].subscribe.as_ref().map_or(0, |(_, qos)| *qos);
                check_suback(packet, self.version, qos).with_context(|| format!("client {number}"))?;
                self.arrivals.is_in(conns);
            }
            _ => bail!("client {number} got {:?} where CONNACK or SUBACK must come", packet.parsed(self.version)?),
        }
        Ok(())
    }

    fn closed(&mut self, conns: &mut Conns, id: usize, spoke: Speaks, why: &str) -> Result<()> {
        let is_connected = self.arrivals.client(id).is_none_or(|client| self.is_connected[client]);
        ensure!(!is_connected, "connection {id} ended: {why}");
        try_again(conns, id, spoke, why, &mut self.arrivals.retries)?;
        self.greet(conns, id);
        Ok(())
    }
}

/// Takes a message that no load counts.
pub fn acknowledge(conns: &mut Conns, id: usize, packet: &Packet<'_>) -> Result<()> {
    match packet.message() {
        Some((_, 0, _)) => Ok(()),
        Some((_, message, _)) => {
            conns.queue(id, &puback(message));
            Ok(())
        }
        None => bail!("a PUBLISH that ends too early on connection {id}"),
    }
}
