//! One room with its archive, many occupants: deliveries per second of Hallway, the peers and the bare writer, in turn.
//!
//! Every occupant is checked to get every message once, in order.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use super::occupants::{self, Occupants};
use super::peer_note;
use super::server::{self, ROOM, Server};
use crate::beside;
use crate::deliveries::Drive;
use crate::options::Options;
use crate::report::{Report, Table};

/// Presence of the last who came is told by then.
const SETTLE: Duration = Duration::from_secs(3);

pub fn run(options: &Options, report: &mut Report) -> Result<()> {
    let listeners = options.clients_or(1_000);
    let servers = server::start(options, &[("limits.messages_per_second", "0")], listeners + 1)?;
    if let Some(stage) = servers.iter().find_map(Server::stage) {
        stage.join("lobby", &stage.accounts)?;
    }
    let names: Vec<&str> = servers.iter().map(Server::name).collect();
    let mut drives = servers.iter().map(|server| connect(server, listeners, options)).collect::<Result<Vec<_>>>()?;
    let bytes: Vec<usize> = drives.iter().map(|drive| drive.load.message_bytes()).collect();
    let windows = options.windows_or(&[1, 10, 100]);
    let mut table = Table::new(&beside::headers("window"));
    let mut figures = Vec::new();
    for (&window, rounds) in windows.iter().zip(beside::rounds(&mut drives, occupants::bare, &windows, options)?) {
        beside::rows(&mut table, &window.to_string(), &names, &rounds);
        figures.push(beside::figures(window, &names, &rounds));
    }
    let note = format!(
        "1 room with archive → {listeners} occupants besides the speaker, message rate limit off; messages of {bytes:?} B ({}), the bare \
         writer's as the first's; medians; bare half: half windows joined into a write, whole: whole windows; target: 0.5M at \
         window 10; {}",
        names.join(", "),
        peer_note(&servers)
    );
    report.add("xmpp_fanout", &note, &table, json!({ "room": ROOM, "message_bytes": bytes, "windows": figures }));
    Ok(())
}

/// Everyone in the room, and a first message delivered.
fn connect(server: &Server, listeners: usize, options: &Options) -> Result<Drive<Occupants>> {
    let mut drive = occupants::connect(server, listeners, options)?;
    drive.net.run_for(&mut drive.load, SETTLE)?;
    drive.measure(1, 0.0, 0.2)?;
    ensure!(drive.load.is_archived(), "{}'s room has no archive: its messages have no stanza-id", server.name());
    Ok(drive)
}
