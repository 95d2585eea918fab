//! Durable messages in: each sender has a conversation of its own and k sends without an answer yet.

use anyhow::Result;
use serde_json::json;

use crate::chatter::Chatter;
use crate::drive::{Drive, Figures, Time, Window, medians};
use crate::meter::{disk_bytes, rss_bytes, written_bytes};
use crate::net::Net;
use crate::options::Options;
use crate::report::{Report, Table, median_of, mib, short};
use crate::request::{FIRST_NUMBER, SendFrame, run_word};
use crate::signin::{Client, GENTLE, sign_in};
use crate::stage::Stage;

/// The bare relay needs no long run: nothing in it grows.
const BARE_SECONDS: f64 = 3.0;

struct Round {
    server: Figures,
    bare: Figures,
    rss_bytes: f64,
    disk_bytes_per_message: f64,
    written_bytes_per_message: f64,
}

/// Senders signed in, ready for a closed loop.
pub struct Ingest {
    pub stage: Stage,
    pub drive: Drive,
    pub frames: Vec<SendFrame>,
}

impl Ingest {
    pub fn prepare(options: &Options, senders: usize, settings: &[(&str, &str)]) -> Result<Ingest> {
        let per_chat = if options.groups { 1 } else { 2 };
        let stage = Stage::start(options, settings, senders * per_chat)?;
        let chats = if options.groups { stage.groups(senders)? } else { stage.direct_chats(senders)? };
        let accounts = stage.accounts.iter().step_by(per_chat).take(senders);
        let clients: Vec<Client<'_>> = accounts.map(|account| Client { token: &account.token, follow: None, echo: false }).collect();
        let mut net = Net::new(stage.target())?;
        let conns = sign_in(&mut net, &clients, GENTLE)?.conns;
        let (run, body) = (run_word(), options.body());
        let frames: Vec<SendFrame> = chats.iter().map(|chat| SendFrame::new(chat, &run, &body)).collect();
        let load = Chatter::new(conns, frames.clone(), false, FIRST_NUMBER);
        let drive = Drive::server(net, load, stage.server.pid()?);
        Ok(Ingest { stage, drive, frames })
    }
}

pub fn run(options: &Options, report: &mut Report) -> Result<()> {
    let senders = options.clients_or(1_000);
    let mut ingest = Ingest::prepare(options, senders, &[])?;
    let mut table = Table::new(&[
        "outstanding",
        "msg/s",
        "slowest s",
        "ack p50/p99/max ms",
        "server cores",
        "generator",
        "RSS MiB",
        "disk B/msg",
        "written B/msg",
        "bare relay",
        "ratio",
    ]);
    let mut all = Vec::new();
    for per_sender in options.windows_or(&[4]) {
        let rounds = (0..options.rounds_or(3)).map(|_| round(&mut ingest, options, per_sender)).collect::<Result<Vec<_>>>()?;
        let server = medians(&rounds.iter().map(|round| round.server).collect::<Vec<_>>());
        let bare = medians(&rounds.iter().map(|round| round.bare).collect::<Vec<_>>());
        let ratio = median_of(&rounds, |round| round.server.per_s / round.bare.per_s);
        table.row(vec![
            format!("{senders} × {per_sender}"),
            short(server.per_s),
            short(server.slowest_s),
            server.ack.to_string(),
            format!("{:.2}", server.used.peer_cores),
            format!("{:.2}", server.used.own_cores),
            mib(median_of(&rounds, |round| round.rss_bytes)),
            format!("{:.0}", median_of(&rounds, |round| round.disk_bytes_per_message)),
            format!("{:.0}", median_of(&rounds, |round| round.written_bytes_per_message)),
            short(bare.per_s),
            format!("{ratio:.2}"),
        ]);
        all.push(json!({
            "senders": senders, "outstanding_per_sender": per_sender, "server": server.json(), "bare": bare.json(),
            "ratio": ratio, "rounds": rounds.iter().map(Round::json).collect::<Vec<_>>(),
        }));
    }
    let kind = if options.groups { "groups" } else { "direct chats" };
    let note = format!("{senders} senders, {kind} of their own, default limits unless --set; acked messages/s");
    report.add("ingest", &note, &table, json!(all));
    Ok(())
}

fn round(ingest: &mut Ingest, options: &Options, per_sender: usize) -> Result<Round> {
    let window = Window::PerSender(per_sender);
    let data = ingest.stage.server.data().to_owned();
    let pid = ingest.stage.server.pid()?;
    let (disk, written, number) = (disk_bytes(&data), written_bytes(pid), ingest.drive.load.next_number());
    let server = ingest.drive.closed_loop(window, Time::new(options.warmup_s, options.seconds_or(20.0)))?;
    let messages = (ingest.drive.load.next_number() - number) as f64;
    let rss_bytes = rss_bytes(&ingest.stage.server);
    let disk_bytes_per_message = (disk_bytes(&data) as f64 - disk as f64) / messages;
    let written_bytes_per_message = (written_bytes(pid) - written) as f64 / messages;
    let mut bare = ingest.drive.bare(&ingest.frames, false)?;
    let bare = bare.closed_loop(window, Time::new(0.5, options.seconds_or(20.0).min(BARE_SECONDS)))?;
    Ok(Round { server, bare, rss_bytes, disk_bytes_per_message, written_bytes_per_message })
}

impl Round {
    fn json(&self) -> serde_json::Value {
        json!({
            "server": self.server.json(), "bare": self.bare.json(), "rss_bytes": self.rss_bytes,
            "disk_bytes_per_message": self.disk_bytes_per_message,
            "written_bytes_per_message": self.written_bytes_per_message,
        })
    }
}
