//! One conversation, many listeners: deliveries per second of Hallway, the peer and the bare writer, in turn.
//!
//! Every listener is checked to get every message once, in order.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::listeners::{self, CONVERSATION};
use super::peer_note;
use super::server::{self, Server, names, speaking};
use crate::beside;
use crate::deliveries::{Drive, Fan};
use crate::fanout::{self, CHANNEL};
use crate::options::{Options, Over};
use crate::report::{Report, Table};

/// What servers tell of the last who came is told by then.
const SETTLE: Duration = Duration::from_secs(3);

pub fn run(options: &Options, report: &mut Report) -> Result<()> {
    let listeners = options.clients_or(1_000);
    let servers = server::start(options, &[("limits.messages_per_second", "0")], listeners + 1)?;
    if let Some(stage) = servers.iter().find_map(Server::stage) {
        stage.join(CHANNEL, &stage.accounts[..1])?;
        stage.join(CONVERSATION, &stage.accounts)?;
    }
    let mut table = Table::new(&beside::headers("over, window"));
    let mut figures = Vec::new();
    let mut bytes = Vec::new();
    for &over in &options.over {
        let servers = speaking(&servers, over);
        let names = names(&servers);
        let served = servers.iter().map(|server| server.served()).collect::<Result<Vec<_>>>()?;
        let mut table = Rows { over, names: &names, table: &mut table, figures: &mut figures };
        match over {
            Over::Websocket => {
                let connected = served.iter().map(|&server| fanout::connect(server, 1, options));
                let mut drives = ready(connected)?;
                bytes.extend(drives.iter().map(|drive| drive.load.message_bytes()));
                table.measure(&mut drives, fanout::bare, options)?;
            }
            Over::Socketio => {
                let connected = served.iter().map(|&server| listeners::connect(server, listeners, options));
                let mut drives = ready(connected)?;
                bytes.extend(drives.iter().map(|drive| drive.load.message_bytes()));
                table.measure(&mut drives, listeners::bare, options)?;
            }
        }
    }
    let note = format!(
        "1 conversation → {listeners} listeners besides the speaker, message rate limit off; messages of {bytes:?} B in the rows' order, the bare \
         writer's as the first's; medians; bare half: half windows joined into a write, whole: whole windows; target: 0.65 of bare; {}",
        peer_note(&servers)
    );
    report.add("sockets_fanout", &note, &table, json!({ "message_bytes": bytes, "windows": figures }));
    Ok(())
}

/// A first message delivered at each.
fn ready<L: Fan>(drives: impl Iterator<Item = Result<Drive<L>>>) -> Result<Vec<Drive<L>>> {
    drives
        .map(|drive| {
            let mut drive = drive?;
            drive.net.run_for(&mut drive.load, SETTLE)?;
            drive.measure(1, 0.0, 0.2)?;
            Ok(drive)
        })
        .collect()
}

/// Where the figures over one protocol go.
struct Rows<'a> {
    over: Over,
    names: &'a [&'static str],
    table: &'a mut Table,
    figures: &'a mut Vec<Value>,
}

impl Rows<'_> {
    fn measure<L: Fan>(
        &mut self,
        drives: &mut [Drive<L>],
        bare: fn(&Drive<L>, usize) -> Result<Drive<L>>,
        options: &Options,
    ) -> Result<()> {
        let windows = options.windows_or(&[1, 10, 100]);
        for (&window, rounds) in windows.iter().zip(beside::rounds(drives, bare, &windows, options)?) {
            beside::rows(self.table, &format!("{}, {window}", self.over.name()), self.names, &rounds);
            let mut of_load = beside::figures(window, self.names, &rounds);
            of_load["over"] = json!(self.over.name());
            self.figures.push(of_load);
        }
        Ok(())
    }
}
