//! Server memory per WebSocket connection that is signed in, subscribed to a channel, and silent.

use std::time::Duration;

use anyhow::Result;
use conformance::server::rss_bytes_of;
use serde_json::{Value, json};

use crate::net::{Conns, Load, Net};
use crate::options::Options;
use crate::report::{Report, Table, median_of, mib};
use crate::signin::{Client, GENTLE, sign_in};
use crate::stage::{Served, Stage};

pub const CHANNEL: &str = "lobby";
/// What start and sign-in leave to do (flushes, freed memory) is over by then.
pub const SETTLE: Duration = Duration::from_secs(3);

/// Of the table of [`line`].
pub const HEADERS: [&str; 6] = ["", "transport", "RSS before MiB", "after MiB", "KiB per connection", "target"];

/// Resident memory without the connections, and with them.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    pub before_bytes: f64,
    pub after_bytes: f64,
}

pub fn run(options: &Options, report: &mut Report) -> Result<()> {
    let connections = options.clients_or(5_000);
    let per_user = options.sessions_per_user.unwrap_or(1).max(1);
    let mut stage = Stage::start(options, &[], connections.div_ceil(per_user))?;
    let rounds = (0..options.rounds_or(3)).map(|_| round(&mut stage, connections)).collect::<Result<Vec<_>>>()?;
    let per_connection = median_of(&rounds, |round| (round.after_bytes - round.before_bytes) / connections as f64);
    let mut table = Table::new(&["connections", "RSS before MiB", "after MiB", "KiB per connection", "target"]);
    table.row(vec![
        connections.to_string(),
        mib(median_of(&rounds, |round| round.before_bytes)),
        mib(median_of(&rounds, |round| round.after_bytes)),
        format!("{:.2}", per_connection / 1024.0),
        "≤ 3".into(),
    ]);
    let note = format!("WebSocket, signed in, subscribed to {CHANNEL}, {per_user} per account; a fresh process per round");
    let rounds: Vec<_> = rounds.iter().map(|round| [round.before_bytes, round.after_bytes]).collect();
    report.add(
        "idle",
        &note,
        &table,
        json!({ "connections": connections, "bytes_per_connection": per_connection, "rounds_rss_bytes": rounds }),
    );
    Ok(())
}

/// A row, and its figures.
pub fn line(table: &mut Table, name: &str, transport: &str, rounds: &[Round], connections: usize, target: &str) -> Value {
    let per_connection = median_of(rounds, |round| (round.after_bytes - round.before_bytes) / connections as f64);
    table.row(vec![
        name.into(),
        transport.into(),
        mib(median_of(rounds, |round| round.before_bytes)),
        mib(median_of(rounds, |round| round.after_bytes)),
        format!("{:.2}", per_connection / 1024.0),
        target.into(),
    ]);
    let rounds: Vec<_> = rounds.iter().map(|round| [round.before_bytes, round.after_bytes]).collect();
    json!({ "bytes_per_connection": per_connection, "rounds_rss_bytes": rounds })
}

fn round(stage: &mut Stage, connections: usize) -> Result<Round> {
    // A fresh process: what the registrations allocated and freed would hide what connections need.
    stage.server.terminate()?;
    stage.server.restart()?;
    fill(stage.served()?, connections)
}

/// Of a process that runs.
pub fn fill(server: Served<'_>, connections: usize) -> Result<Round> {
    let clients: Vec<Client<'_>> = (0..connections)
        .map(|number| &server.accounts[number % server.accounts.len()])
        .map(|account| Client { token: &account.token, follow: Some(CHANNEL), echo: true })
        .collect();
    let mut net = Net::new(server.target)?;
    net.run_for(&mut Silence, SETTLE)?;
    let before_bytes = rss_bytes_of(server.pid)? as f64;
    sign_in(&mut net, &clients, GENTLE)?;
    net.run_for(&mut Silence, SETTLE)?;
    Ok(Round { before_bytes, after_bytes: rss_bytes_of(server.pid)? as f64 })
}

/// Says nothing, and minds nothing but the end of a connection.
struct Silence;

impl Load for Silence {
    fn text(&mut self, _conns: &mut Conns, _id: usize, _payload: &[u8]) -> Result<()> {
        Ok(())
    }
}
