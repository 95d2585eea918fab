//! Everyone logs in at once, until the last CONNACK: with a token, and with a password that the server has seen before.

use anyhow::Result;
use serde_json::json;

use super::broker::{self, Broker, Credential};
use super::login::{Client, log_in};
use super::peer_note;
use crate::net::{Net, SOURCE_ADDRESSES};
use crate::options::Options;
use crate::report::{Report, Table};
use crate::storm::{self, HEADERS, PAUSE, Round, show_passwords};

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
    let mut table = Table::new(&HEADERS);
    let mut figures = json!({ "clients": clients });
    for line in &lines {
        figures[line.broker.name()][line.key] = storm::line(&mut table, &line.name, &line.rounds, line.target);
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
    Ok(Round::of(log_in(&mut net, broker.version, &clients, clients.len())?))
}
