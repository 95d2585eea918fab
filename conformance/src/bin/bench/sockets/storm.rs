//! Everyone logs in at once, with a token.

use anyhow::Result;
use serde_json::json;

use super::login::{Client, log_in};
use super::peer_note;
use super::server::{self, Server};
use crate::net::{Net, SOURCE_ADDRESSES};
use crate::options::{Options, Over};
use crate::report::{Report, Table};
use crate::stage::Served;
use crate::storm::{self, HEADERS, PAUSE, Round, token_round};

pub fn run(options: &Options, report: &mut Report) -> Result<()> {
    let clients = options.clients_or(5_000);
    let per_user = options.sessions_per_user.unwrap_or(1).max(1);
    let servers = server::start(options, &[], clients.div_ceil(per_user))?;
    let of = |over| servers.iter().filter(move |server: &&Server| server.speaks(over)).map(move |server| (over, server, Vec::new()));
    let mut lines: Vec<(Over, &Server, Vec<Round>)> = options.over.iter().flat_map(|&over| of(over)).collect();
    for _ in 0..options.rounds_or(3) {
        for (over, server, rounds) in &mut lines {
            rounds.push(match over {
                Over::Websocket => token_round(server.served()?, clients)?,
                Over::Socketio => round(server.served()?, clients)?,
            });
            std::thread::sleep(PAUSE);
        }
    }
    let mut table = Table::new(&HEADERS);
    let mut figures = json!({ "clients": clients });
    for (over, server, rounds) in &lines {
        let target = if server.stage().is_some() { "≤ 1" } else { "" };
        let name = format!("{}, {}", server.name(), over.name());
        figures[over.name()][server.name()] = storm::line(&mut table, &name, rounds, target);
    }
    let note = format!(
        "{clients} clients at once, {per_user} per account, from {SOURCE_ADDRESSES} loopback addresses (unauthenticated connections are \
         limited per address), until the last is connected with its token; {}",
        peer_note(&servers)
    );
    report.add("sockets_storm", &note, &table, figures);
    Ok(())
}

/// Over Socket.IO.
fn round(server: Served<'_>, clients: usize) -> Result<Round> {
    let clients: Vec<Client<'_>> =
        (0..clients).map(|client| Client { token: &server.accounts[client % server.accounts.len()].token, joins: None }).collect();
    let mut net = Net::new(server.target)?;
    Ok(Round::of(log_in(&mut net, &clients, clients.len())?))
}
