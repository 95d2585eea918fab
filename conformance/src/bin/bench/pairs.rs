//! Two-person chats: how long from one person to the other at a fixed rate, and how many messages at most.

use anyhow::Result;
use serde_json::{Value, json};

use crate::chatter::Chatter;
use crate::drive::{Drive, Figures, Time, Window, medians};
use crate::net::Net;
use crate::options::Options;
use crate::report::{Report, Table, median_of, short};
use crate::request::{FIRST_NUMBER, SendFrame, run_word};
use crate::signin::{Client, GENTLE, sign_in};
use crate::speech::Speech;
use crate::stage::{Served, Stage};

/// Chats whose two people are connected and subscribed, without an echo of their own messages.
pub struct Chats {
    pub stage: Stage,
    pub drive: Drive,
    pub frames: Vec<SendFrame>,
}

impl Chats {
    pub fn prepare(options: &Options, chats: usize) -> Result<Chats> {
        let stage = Stage::start(options, &[], chats * 2)?;
        let ids = stage.direct_chats(chats)?;
        let (drive, frames) = connect(stage.served()?, &ids, options)?;
        Ok(Chats { stage, drive, frames })
    }
}

/// Two people per chat, one after the other: partners' numbers differ in the last bit.
pub fn connect(server: Served<'_>, chats: &[String], options: &Options) -> Result<(Drive, Vec<SendFrame>)> {
    let people = 0..chats.len() * 2;
    let of_person = |person: usize| chats[person / 2].as_str();
    let client = |person: usize| Client { token: &server.accounts[person].token, follow: Some(of_person(person)), echo: false };
    let clients: Vec<Client<'_>> = people.clone().map(client).collect();
    let mut net = Net::new(server.target)?;
    let conns = sign_in(&mut net, &clients, GENTLE)?.conns;
    let (run, body) = (run_word(), options.body());
    let frames: Vec<SendFrame> = people.map(|person| SendFrame::new(of_person(person), &run, &body)).collect();
    let load = Chatter::new(conns, frames.clone(), true, FIRST_NUMBER).one_sided(options.one_sided);
    Ok((Drive::server(net, load, server.pid), frames))
}

#[derive(Clone, Copy)]
struct Round {
    server: Figures,
    bare: Figures,
}

pub fn run(options: &Options, report: &mut Report) -> Result<()> {
    let chats = options.clients_or(1_000);
    let mut chat = Chats::prepare(options, chats)?;
    let mut table = Table::new(&["load", "", "msg/s", "told p50/p99/max ms", "ack p50/p99/max ms", "peer cores", "generator", "ratio"]);
    let time = Time::new(options.warmup_s, options.seconds_or(10.0));
    let mut all = Vec::new();
    for load in loads(options) {
        let rounds = (0..options.rounds_or(3)).map(|_| round(&mut chat, load, time)).collect::<Result<Vec<_>>>()?;
        let server = medians(&rounds.iter().map(|round| round.server).collect::<Vec<_>>());
        let bare = medians(&rounds.iter().map(|round| round.bare).collect::<Vec<_>>());
        // At a fixed rate both do the same number; the latencies tell.
        let ratio = match load {
            Load::Open(_) => None,
            Load::Closed(_) => Some(median_of(&rounds, |round| round.server.per_s / round.bare.per_s)),
        };
        table.row(cells(&load.name(), "hallway", &server, &ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"))));
        table.row(cells("", "bare relay", &bare, ""));
        all.push(json!({
            "load": load.name(), "server": server.json(), "bare": bare.json(), "ratio": ratio,
            "rounds": rounds.iter().map(|r| json!({ "server": r.server.json(), "bare": r.bare.json() })).collect::<Vec<_>>(),
        }));
    }
    let note = format!(
        "{chats} two-person chats, {} connections, echo off, {}, default limits unless --set; told: due → the partner has it",
        chats * 2,
        chat.stage.push_note()
    );
    report.add("pairs", &note, &table, json!(all));
    Ok(())
}

#[derive(Debug, Clone, Copy)]
pub enum Load {
    /// Messages per second, whatever became of those before.
    Open(f64),
    /// Messages outstanding.
    Closed(usize),
}

/// The fixed rate first, then each window.
fn loads(options: &Options) -> Vec<Load> {
    let windows = options.windows_or(&[100, 1_000, 4_000]);
    std::iter::once(Load::Open(options.rate.unwrap_or(2_000.0))).chain(windows.into_iter().map(Load::Closed)).collect()
}

impl Load {
    pub fn name(self) -> String {
        match self {
            Load::Open(per_second) => format!("{per_second:.0} msg/s"),
            Load::Closed(outstanding) => format!("{outstanding} outstanding"),
        }
    }

    pub fn drive<S: Speech>(self, drive: &mut Drive<S>, time: Time) -> Result<Figures> {
        match self {
            Load::Open(per_second) => drive.open_loop(per_second, time),
            Load::Closed(outstanding) => drive.closed_loop(Window::InAll(outstanding), time),
        }
    }
}

fn round(chat: &mut Chats, load: Load, time: Time) -> Result<Round> {
    let server = load.drive(&mut chat.drive, time)?;
    let mut bare = chat.drive.bare(&chat.frames, true)?;
    Ok(Round { server, bare: load.drive(&mut bare, time)? })
}

fn cells(load: &str, who: &str, figures: &Figures, ratio: &str) -> Vec<String> {
    vec![
        load.into(),
        who.into(),
        short(figures.per_s),
        figures.told.to_string(),
        figures.ack.to_string(),
        format!("{:.2}", figures.used.peer_cores),
        format!("{:.2}", figures.used.own_cores),
        ratio.into(),
    ]
}

/// Of the table of [`beside`].
pub const HEADERS: [&str; 7] = ["load", "", "msg/s", "told p50/p99/max ms", "ack p50/p99/max ms", "cores", "generator"];

/// All loads, several servers in turn within each round.
pub fn beside<S: Speech>(drives: &mut [Drive<S>], names: &[&str], time: Time, options: &Options, table: &mut Table) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for load in loads(options) {
        let mut rounds: Vec<Vec<Figures>> = drives.iter().map(|_| Vec::new()).collect();
        for _ in 0..options.rounds_or(3) {
            for (index, rounds) in rounds.iter_mut().enumerate() {
                rounds.push(load.drive(&mut drives[index], time)?);
                drives.iter_mut().try_for_each(Drive::attend)?;
            }
        }
        all.push(rows::<S>(table, &load.name(), names, &rounds));
    }
    Ok(all)
}

fn rows<S: Speech>(table: &mut Table, load: &str, names: &[&str], rounds: &[Vec<Figures>]) -> Value {
    let mut all = json!({ "load": load });
    let mut load = load;
    for (&name, rounds) in names.iter().zip(rounds) {
        let figures = medians(rounds);
        table.row(vec![
            std::mem::take(&mut load).into(),
            name.into(),
            short(figures.per_s),
            figures.told.to_string(),
            if S::HAS_ACKS { figures.ack.to_string() } else { "none".into() },
            format!("{:.2}", figures.used.peer_cores),
            format!("{:.2}", figures.used.own_cores),
        ]);
        all[name] = json!({ "median": figures.json(), "rounds": rounds.iter().map(Figures::json).collect::<Vec<_>>() });
    }
    all
}
