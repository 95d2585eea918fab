//! 20,000 topics, a message to each, then a retained one to each: messages per second, what a topic costs in the server's
//! memory, and what an idle client notices. One client follows all by a wildcard, 100 follow one topic each.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::broker::{self, Broker, Credential};
use super::login::{Client, log_in};
use super::peer_note;
use super::pinger::Pinger;
use super::posting::{Followers, Posting, WINDOW, topic};
use crate::arrivals::GENTLE;
use crate::latency::{self, Summary};
use crate::net::Net;
use crate::options::Options;
use crate::report::{Report, Table, median_of, mib, short};

const GROUP: char = 't';
/// Clients that follow one topic each.
const SINGLES: usize = 100;
/// Before memory is looked at.
const SETTLE: Duration = Duration::from_secs(2);

/// One pass over all topics.
#[derive(Debug, Clone, Copy)]
struct Pass {
    per_s: f64,
    grown_bytes: f64,
    rss_bytes: f64,
    ping: Summary,
}

pub fn run(options: &Options, report: &mut Report) -> Result<()> {
    let topics = options.topics.unwrap_or(20_000).max(SINGLES);
    let mut rounds: Vec<(&'static str, Vec<[Pass; 2]>)> = Vec::new();
    let mut peer = String::new();
    for _ in 0..options.rounds_or(3) {
        // Retained messages would stay: each round begins with empty brokers (unless --data names a used directory).
        let brokers = broker::start(options, &[("limits.messages_per_second", "0")], SINGLES + 3)?;
        peer = peer_note(&brokers);
        for broker in &brokers {
            let passes = round(broker, topics, options)?;
            match rounds.iter_mut().find(|(name, _)| *name == broker.name()) {
                Some((_, of_broker)) => of_broker.push(passes),
                None => rounds.push((broker.name(), vec![passes])),
            }
        }
    }
    let mut table = Table::new(&["", "pass", "msg/s", "RSS MiB", "grown B per topic", "ping p50/p99/max ms"]);
    let mut figures = json!({ "topics": topics });
    for (name, rounds) in &rounds {
        for (index, pass) in ["plain", "retained"].into_iter().enumerate() {
            let passes: Vec<Pass> = rounds.iter().map(|passes| passes[index]).collect();
            figures[*name][pass] = line(&mut table, name, pass, &passes, topics);
        }
    }
    let note = format!(
        "{topics} topics, MQTT {} QoS 1, {WINDOW} messages outstanding, one client on all by wildcard and {SINGLES} on one topic each; \
         message rate limit off; an idle client pings every 5 ms; {peer}",
        options.v
    );
    report.add("mqtt_topics", &note, &table, figures);
    Ok(())
}

fn round(broker: &Broker, topics: usize, options: &Options) -> Result<[Pass; 2]> {
    let every = topics.div_ceil(SINGLES);
    let mut clients = vec![client(broker, 0), client(broker, 1).follow(broker, "conf/demo/topic/#", 1)];
    clients
        .extend((0..topics).step_by(every).enumerate().map(|(single, of)| client(broker, 2 + single).follow(broker, &topic(GROUP, of), 1)));
    let mut net = Net::new(broker.plain()?)?;
    log_in(&mut net, broker.version, &clients, GENTLE)?;
    let pinger_number = clients.len();
    let body = options.body();
    let mut load = Posting::new(broker.version, GROUP, topics, 1, Followers::AllAndSome { every }, clients.len(), &body);
    let plain = pass(broker, &mut net, &mut load, topics, pinger_number)?;
    load.retain(GROUP, &body);
    Ok([plain, pass(broker, &mut net, &mut load, topics, pinger_number)?])
}

fn client(broker: &Broker, number: usize) -> Client {
    Client::new(broker, number, Credential::Token)
}

fn pass(broker: &Broker, net: &mut Net, load: &mut Posting, topics: usize, pinger: usize) -> Result<Pass> {
    net.run_for(load, SETTLE)?;
    let before = broker.rss_bytes()?;
    let pinger = Pinger::start(broker, pinger)?;
    let per_s = load.post(net, topics)?;
    let ping = pinger.finish()?;
    net.run_for(load, SETTLE)?;
    let rss_bytes = broker.rss_bytes()?;
    Ok(Pass { per_s, grown_bytes: rss_bytes - before, rss_bytes, ping })
}

fn line(table: &mut Table, name: &str, pass: &str, passes: &[Pass], topics: usize) -> Value {
    let ping = latency::medians(&passes.iter().map(|pass| pass.ping).collect::<Vec<_>>());
    let per_s = median_of(passes, |pass| pass.per_s);
    let per_topic = median_of(passes, |pass| pass.grown_bytes / topics as f64);
    let rss_bytes = median_of(passes, |pass| pass.rss_bytes);
    table.row(vec![name.into(), pass.into(), short(per_s), mib(rss_bytes), format!("{per_topic:.0}"), ping.to_string()]);
    let rounds: Vec<_> =
        passes.iter().map(|pass| json!({ "per_s": pass.per_s, "grown_bytes": pass.grown_bytes, "ping": pass.ping.json() })).collect();
    json!({ "per_s": per_s, "bytes_per_topic": per_topic, "rss_bytes": rss_bytes, "ping": ping.json(), "rounds": rounds })
}
