//! Everyone logs in at once, until the last CONNACK: with a token, and with a password that the server has seen before.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::broker::{self, Broker, Credential};
use super::login::{Client, log_in};
use super::peer_note;
use crate::latency::{self, Summary};
use crate::net::{Net, SOURCE_ADDRESSES};
use crate::options::Options;
use crate::report::{Report, Table, median_of};
use crate::storm::show_passwords;

/// Between storms the server notices that the last one's connections are gone.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy)]
struct Round {
    took_s: f64,
    each: Summary,
    retries: usize,
}

/// Who storms in, and how.
struct Line<'a> {
    name: String,
    key: &'static str,
    target: &'static str,
    broker: &'a Broker,
    credential: Credential,
    rounds: Vec<Round>,
}

pub fn run(options: &Options, report: &mut Report) -> Result<()> {
    let clients = options.clients_or(5_000);
    let per_user = options.sessions_per_user.unwrap_or(1).max(1);
    let brokers = broker::start(options, &[], clients.div_ceil(per_user))?;
    let mut lines: Vec<Line<'_>> = brokers.iter().flat_map(lines).collect();
    if let Some(stage) = brokers.iter().find_map(Broker::stage) {
        show_passwords(stage)?;
    }
    for _ in 0..options.rounds_or(3) {
        for line in &mut lines {
            line.rounds.push(round(line.broker, line.credential, clients)?);
            std::thread::sleep(PAUSE);
        }
    }
    let mut table = Table::new(&["login", "all in after s", "connects retried", "each p50/p99/max ms", "target s"]);
    let mut figures = json!({ "clients": clients });
    for line in &lines {
        figures[line.broker.name()][line.key] = line.report(&mut table);
    }
    let note = format!(
        "{clients} clients at once, MQTT {}, {per_user} per account, from {SOURCE_ADDRESSES} loopback addresses (unauthenticated \
         connections are limited per address); passwords seen before by this process; {}",
        options.v,
        peer_note(&brokers)
    );
    report.add("mqtt_storm", &note, &table, figures);
    Ok(())
}

fn lines(broker: &Broker) -> Vec<Line<'_>> {
    let line =
        |key, target, credential| Line { name: format!("{}, {key}", broker.name()), key, target, broker, credential, rounds: Vec::new() };
    match broker.stage() {
        Some(_) => vec![line("token", "≤ 1", Credential::Token), line("password", "≤ 1.5", Credential::Password)],
        None => vec![line("anonymous", "", Credential::Token)],
    }
}

fn round(broker: &Broker, credential: Credential, clients: usize) -> Result<Round> {
    let clients: Vec<Client> = (0..clients).map(|number| Client::new(broker, number, credential)).collect();
    let mut net = Net::new(broker.plain()?)?;
    let mut all = log_in(&mut net, broker.version, &clients, clients.len())?;
    Ok(Round { took_s: all.took.as_secs_f64(), each: all.latency.summary(), retries: all.retries })
}

impl Line<'_> {
    fn report(&self, table: &mut Table) -> Value {
        let each = latency::medians(&self.rounds.iter().map(|round| round.each).collect::<Vec<_>>());
        let took_s = median_of(&self.rounds, |round| round.took_s);
        table.row(vec![
            self.name.clone(),
            format!("{took_s:.2}"),
            format!("{:.0}", median_of(&self.rounds, |round| round.retries as f64)),
            each.to_string(),
            self.target.into(),
        ]);
        let rounds: Vec<_> =
            self.rounds.iter().map(|round| json!({ "s": round.took_s, "each": round.each.json(), "retries": round.retries })).collect();
        json!({ "s": took_s, "rounds": rounds })
    }
}
