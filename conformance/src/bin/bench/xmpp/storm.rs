//! Everyone logs in at once, until the last is bound: with a token, and with a password that the server has seen before.

use anyhow::{Result, ensure};
use serde_json::json;

use super::login::{Client, log_in};
use super::peer_note;
use super::scram::Keys;
use super::server::{self, Credential, Server};
use crate::arrivals::GENTLE;
use crate::net::{Net, SOURCE_ADDRESSES};
use crate::options::Options;
use crate::report::{Report, Table};
use crate::storm::{self, HEADERS, PAUSE, Round};

/// Who storms in, and how.
struct Line<'a> {
    server: &'a Server,
    credential: Credential,
    target: &'static str,
    keys: Keys,
    rounds: Vec<Round>,
}

pub fn run(options: &Options, report: &mut Report) -> Result<()> {
    let clients = options.clients_or(5_000);
    let accounts = clients.div_ceil(options.sessions_per_user.unwrap_or(1).max(1));
    let servers = server::start(options, &[], accounts)?;
    let mut lines: Vec<Line<'_>> = servers.iter().flat_map(lines).collect();
    for line in &mut lines {
        // Everyone is seen once, and knows what its password comes to.
        line.round(clients, accounts, GENTLE)?;
        std::thread::sleep(PAUSE);
    }
    for _ in 0..options.rounds_or(3) {
        for line in &mut lines {
            let computed = line.keys.computed;
            let round = line.round(clients, accounts, clients)?;
            ensure!(line.keys.computed == computed, "{} has new salts: the generator would be measured", line.server.name());
            line.rounds.push(round);
            std::thread::sleep(PAUSE);
        }
    }
    let mut table = Table::new(&HEADERS);
    let mut figures = json!({ "clients": clients });
    for line in &lines {
        let name = format!("{}, {}", line.server.name(), line.key());
        figures[line.server.name()][line.key()] = storm::line(&mut table, &name, &line.rounds, line.target);
    }
    let note = format!(
        "{clients} clients at once, {accounts} accounts, from {SOURCE_ADDRESSES} loopback addresses (unauthenticated connections are \
         limited per address), without TLS: stream, SASL, stream, bind; passwords seen before by this process; {}",
        peer_note(&servers)
    );
    report.add("xmpp_storm", &note, &table, figures);
    Ok(())
}

fn lines(server: &Server) -> Vec<Line<'_>> {
    let line = |credential, target| Line { server, credential, target, keys: Keys::default(), rounds: Vec::new() };
    match server {
        Server::Hallway(_) => vec![line(Credential::Token, "≤ 1"), line(Credential::Password, "≤ 1.5"), line(Credential::Scram, "≤ 1.5")],
        // With passwords that it keeps as they are, it salts every exchange of SCRAM anew.
        Server::Peer { .. } => vec![line(Credential::Password, "")],
    }
}

impl Line<'_> {
    fn key(&self) -> &'static str {
        match self.credential {
            Credential::Token => "OAUTHBEARER",
            Credential::Password => "PLAIN",
            Credential::Scram => "SCRAM-SHA-1",
        }
    }

    fn round(&mut self, clients: usize, accounts: usize, at_once: usize) -> Result<Round> {
        let clients: Vec<Client> = (0..clients).map(|number| Client::new(self.server, number, accounts, self.credential)).collect();
        let mut net = Net::new(self.server.plain()?)?;
        Ok(Round::of(log_in(&mut net, &clients, &mut self.keys, at_once)?))
    }
}
