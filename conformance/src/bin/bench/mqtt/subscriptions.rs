//! 100,000 subscriptions of 1,000 clients: how long it takes to make them, what one costs in the server's memory, and how
//! many messages to topics with one subscriber each go through; an idle client pings meanwhile.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::broker::{self, Broker, Credential};
use super::login::{Client, check_suback, log_in, subscribe};
use super::packet::{self, Packet};
use super::peer_note;
use super::pinger::Pinger;
use super::posting::{Followers, Posting, WINDOW, topic};
use crate::arrivals::GENTLE;
use crate::latency::{self, Summary};
use crate::net::{Conns, Load, Net};
use crate::options::Options;
use crate::report::{Report, Table, median_of, short};

const GROUP: char = 's';
/// Before memory is looked at.
const SETTLE: Duration = Duration::from_secs(2);
const SUBSCRIBED_WITHIN: Duration = Duration::from_secs(120);
/// From one message's topic to the next one's: a prime, so that clients get theirs in turn.
const STRIDE: usize = 10_007;

#[derive(Debug, Clone, Copy)]
struct Round {
    subscribing_s: f64,
    grown_bytes: f64,
    subscribing_ping: Summary,
    per_s: f64,
    ping: Summary,
}

pub fn run(options: &Options, report: &mut Report) -> Result<()> {
    let clients = options.clients_or(1_000);
    let per_client = options.topics.unwrap_or(100_000).div_ceil(clients).max(1);
    let subscriptions = clients * per_client;
    let settings = [("limits.messages_per_second", "0")];
    let mut brokers = broker::start(options, &settings, clients + 2)?;
    let mut rounds: Vec<Vec<Round>> = brokers.iter().map(|_| Vec::new()).collect();
    for _ in 0..options.rounds_or(3) {
        for (broker, rounds) in brokers.iter_mut().zip(&mut rounds) {
            rounds.push(round(broker, clients, per_client, options)?);
        }
    }
    let mut table = Table::new(&["", "subscribed after s", "B per subscription", "ping p50/p99/max ms", "msg/s", "ping p50/p99/max ms"]);
    let mut figures = json!({ "clients": clients, "subscriptions": subscriptions });
    for (broker, rounds) in brokers.iter().zip(&rounds) {
        figures[broker.name()] = line(&mut table, broker.name(), rounds, subscriptions);
    }
    let note = format!(
        "{clients} clients × {per_client} filters, each client's in one SUBSCRIBE, MQTT {} QoS 1; then {WINDOW} messages outstanding to \
         topics with one subscriber each; message rate limit off; an idle client pings every 5 ms; a fresh process per round; {}",
        options.v,
        peer_note(&brokers)
    );
    report.add("mqtt_subscriptions", &note, &table, figures);
    Ok(())
}

fn round(broker: &mut Broker, clients: usize, per_client: usize, options: &Options) -> Result<Round> {
    broker.restart()?;
    // Client 0 publishes, the last one pings.
    let connections: Vec<Client> = (0..=clients).map(|number| Client::new(broker, number, Credential::Token)).collect();
    let mut net = Net::new(broker.plain()?)?;
    log_in(&mut net, broker.version, &connections, GENTLE)?;
    let mut load = Subscribing { broker, missing: 0 };
    net.run_for(&mut load, SETTLE)?;
    let before = broker.rss_bytes()?;
    let pinger = Pinger::start(broker, clients + 1)?;
    for client in 0..clients {
        let filters: Vec<String> = (0..per_client).map(|filter| topic(GROUP, client * per_client + filter)).collect();
        net.conns().queue(1 + client, &subscribe(broker.version, &filters, 1));
        load.missing += 1;
    }
    let took = net.run(&mut load, SUBSCRIBED_WITHIN, "subscriptions", |load| load.missing == 0)?;
    let subscribing_ping = pinger.finish()?;
    net.run_for(&mut load, SETTLE)?;
    let grown_bytes = broker.rss_bytes()? - before;
    let pinger = Pinger::start(broker, clients + 1)?;
    let topics = clients * per_client;
    let followers = Followers::Each { topics: per_client };
    let stride = if topics.is_multiple_of(STRIDE) { 1 } else { STRIDE % topics };
    let mut load = Posting::new(broker.version, GROUP, topics, stride, followers, connections.len(), &options.body());
    let per_s = load.post_for(&mut net, Duration::from_secs_f64(options.seconds_or(5.0)))?;
    Ok(Round { subscribing_s: took.as_secs_f64(), grown_bytes, subscribing_ping, per_s, ping: pinger.finish()? })
}

/// Waits for SUBACKs.
struct Subscribing<'a> {
    broker: &'a Broker,
    missing: usize,
}

impl Load for Subscribing<'_> {
    fn packet(&mut self, _conns: &mut Conns, id: usize, packet: &Packet<'_>) -> Result<()> {
        let version = self.broker.version;
        ensure!(packet.first == packet::SUBACK, "client {id} got {:?}", packet.parsed(version)?);
        check_suback(packet, version, 1)?;
        self.missing -= 1;
        Ok(())
    }
}

fn line(table: &mut Table, name: &str, rounds: &[Round], subscriptions: usize) -> Value {
    let pings = |of: fn(&Round) -> Summary| latency::medians(&rounds.iter().map(of).collect::<Vec<_>>());
    let (subscribing_ping, ping) = (pings(|round| round.subscribing_ping), pings(|round| round.ping));
    let subscribing_s = median_of(rounds, |round| round.subscribing_s);
    let per_subscription = median_of(rounds, |round| round.grown_bytes / subscriptions as f64);
    let per_s = median_of(rounds, |round| round.per_s);
    table.row(vec![
        name.into(),
        format!("{subscribing_s:.2}"),
        format!("{per_subscription:.0}"),
        subscribing_ping.to_string(),
        short(per_s),
        ping.to_string(),
    ]);
    let rounds: Vec<_> = rounds
        .iter()
        .map(|round| json!({ "subscribing_s": round.subscribing_s, "grown_bytes": round.grown_bytes, "per_s": round.per_s }))
        .collect();
    json!({
        "subscribing_s": subscribing_s, "bytes_per_subscription": per_subscription, "subscribing_ping": subscribing_ping.json(),
        "per_s": per_s, "ping": ping.json(), "rounds": rounds,
    })
}
