//! Server memory per connection that is signed in, in a conversation, and silent.

use anyhow::Result;
use conformance::server::rss_bytes_of;
use serde_json::json;

use super::listeners::CONVERSATION;
use super::login::{Client, log_in};
use super::peer_note;
use super::server;
use super::socketio;
use crate::arrivals::GENTLE;
use crate::idle::{self, Round, SETTLE};
use crate::net::{Conns, Load, Net};
use crate::options::{Options, Over};
use crate::report::{Report, Table};
use crate::stage::Served;

pub fn run(options: &Options, report: &mut Report) -> Result<()> {
    let connections = options.clients_or(5_000);
    let per_user = options.sessions_per_user.unwrap_or(1).max(1);
    let mut servers = server::start(options, &[], connections.div_ceil(per_user))?;
    let mut table = Table::new(&idle::HEADERS);
    let mut figures = json!({ "connections": connections });
    for &over in &options.over {
        for server in servers.iter_mut().filter(|server| server.speaks(over)) {
            let mut rounds = Vec::new();
            for _ in 0..options.rounds_or(3) {
                server.restart()?;
                rounds.push(match over {
                    Over::Websocket => idle::fill(server.served()?, connections)?,
                    Over::Socketio => fill(server.served()?, connections)?,
                });
            }
            let target = if server.stage().is_some() && over == Over::Websocket { "≤ 3" } else { "" };
            figures[over.name()][server.name()] = idle::line(&mut table, server.name(), over.name(), &rounds, connections, target);
        }
    }
    let note = format!(
        "signed in, in a conversation, {per_user} per account; a fresh process per round (of Node it grows by what it will collect, too); {}",
        peer_note(&servers)
    );
    report.add("sockets_idle", &note, &table, figures);
    Ok(())
}

/// Over Socket.IO.
fn fill(server: Served<'_>, connections: usize) -> Result<Round> {
    let clients: Vec<Client<'_>> = (0..connections)
        .map(|number| &server.accounts[number % server.accounts.len()])
        .map(|account| Client { token: &account.token, joins: Some(CONVERSATION) })
        .collect();
    let mut net = Net::new(server.target)?;
    net.run_for(&mut Silence, SETTLE)?;
    let before_bytes = rss_bytes_of(server.pid)? as f64;
    log_in(&mut net, &clients, GENTLE)?;
    net.run_for(&mut Silence, SETTLE)?;
    Ok(Round { before_bytes, after_bytes: rss_bytes_of(server.pid)? as f64 })
}

/// Says nothing but that it is there.
struct Silence;

impl Load for Silence {
    fn text(&mut self, conns: &mut Conns, id: usize, payload: &[u8]) -> Result<()> {
        socketio::heard(conns, id, payload).map(drop)
    }
}
