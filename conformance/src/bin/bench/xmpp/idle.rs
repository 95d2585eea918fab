//! Server memory per XMPP connection that is signed in, available, and silent: plain, TLS, and with stream management.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::login::{Client, log_in};
use super::peer_note;
use super::scram::Keys;
use super::server::{self, Server};
use super::stanza::{Stanza, pong};
use crate::arrivals::GENTLE;
use crate::idle::{self, Round, SETTLE};
use crate::net::{Conns, Load, Net};
use crate::options::{Idle, Options};
use crate::report::{Report, Table};

pub fn run(options: &Options, report: &mut Report) -> Result<()> {
    let connections = options.clients_or(5_000);
    let accounts = connections.div_ceil(options.sessions_per_user.unwrap_or(1).max(1));
    let mut servers = server::start(options, &[], accounts)?;
    let mut table = Table::new(&idle::HEADERS);
    let mut figures = json!({ "connections": connections });
    for &kind in &options.idle {
        let (name, target) = named(kind);
        for server in &mut servers {
            if address(kind, server)?.is_none() {
                eprintln!("{} has no listener for {name}: skipped", server.name());
                continue;
            }
            // Nobody starts a peer anew: what its first connections left would hide what the next need.
            let rounds = if server.stage().is_some() { options.rounds_or(3) } else { 1 };
            let rounds = (0..rounds).map(|_| round(server, kind, connections, accounts)).collect::<Result<Vec<_>>>()?;
            let target = if server.stage().is_some() { target } else { "" };
            figures[name][server.name()] = idle::line(&mut table, server.name(), name, &rounds, connections, target);
        }
    }
    let note = format!(
        "signed in, with presence, in no room; {accounts} accounts; of Hallway a fresh process per round, of a peer one round in the \
         process that runs, whose first kind of connection alone finds it fresh; {}",
        peer_note(&servers)
    );
    report.add("xmpp_idle", &note, &table, figures);
    Ok(())
}

/// With its target in KiB.
fn named(kind: Idle) -> (&'static str, &'static str) {
    match kind {
        Idle::Plain => ("plain", "≤ 6"),
        Idle::Tls => ("tls", "plain + ≤ 16"),
        Idle::Managed => ("plain, 0198", "≤ 6"),
    }
}

fn address(kind: Idle, server: &Server) -> Result<Option<SocketAddr>> {
    match kind {
        Idle::Plain | Idle::Managed => server.plain().map(Some),
        Idle::Tls => Ok(server.tls()),
    }
}

fn round(server: &mut Server, kind: Idle, connections: usize, accounts: usize) -> Result<Round> {
    server.restart()?;
    let of = |number| Client::new(server, number, accounts, server.credential()).managed(kind == Idle::Managed).available();
    let clients: Vec<Client> = (0..connections).map(of).collect();
    let mut net = Net::new(address(kind, server)?.context("no such listener after a restart")?)?;
    if kind == Idle::Tls {
        net.conns().speak_tls()?;
    }
    net.run_for(&mut Silence, SETTLE)?;
    let before_bytes = server.rss_bytes()?;
    log_in(&mut net, &clients, &mut Keys::default(), GENTLE)?;
    net.run_for(&mut Silence, SETTLE)?;
    Ok(Round { before_bytes, after_bytes: server.rss_bytes()? })
}

/// Says nothing but that it is there, and minds nothing but the end of a connection.
struct Silence;

impl Load for Silence {
    fn stanza(&mut self, conns: &mut Conns, id: usize, stanza: &Stanza<'_>) -> Result<()> {
        if let Some(pong) = pong(stanza) {
            conns.queue(id, &pong);
        }
        Ok(())
    }
}
