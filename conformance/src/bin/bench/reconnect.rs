//! A venue's network comes back: 10,000 clients connect at once, and each has missed 50 messages of its channel.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;

use crate::arrivals::try_again;
use crate::chatter::Chatter;
use crate::drive::Drive;
use crate::latency::{self, Latency, Summary};
use crate::meter::Meter;
use crate::net::{Conns, Load, Net, SOURCE_ADDRESSES, Speaks};
use crate::options::Options;
use crate::report::{Report, Table, median_of, mib};
use crate::request::{self, FIRST_NUMBER, SendFrame, run_word};
use crate::rpc::{self, Message};
use crate::scan::{Key, digits, find};
use crate::signin::{Client, GENTLE, HELLO, SUBSCRIBE, sign_in};
use crate::stage::Stage;

const WITHIN: Duration = Duration::from_secs(180);
/// The server notices that everyone is gone.
const PAUSE: Duration = Duration::from_secs(1);
/// A duplicate would come in this time after the last client has caught up.
const AFTERWARDS: Duration = Duration::from_millis(500);

struct Round {
    took_s: f64,
    each: Summary,
    retries: usize,
    peer_cores: f64,
    rss_bytes: f64,
}

pub fn run(options: &Options, report: &mut Report) -> Result<()> {
    let clients = options.clients_or(10_000);
    let per_user = options.sessions_per_user.unwrap_or(4).max(1);
    let channels = options.channels.clamp(1, clients.div_ceil(per_user));
    let stage = Stage::start(options, &[], clients.div_ceil(per_user))?;
    let ids = stage.channels(channels)?;
    let mut talk = talk(&stage, &ids, options)?;
    let mut heads = heads(&stage, &ids)?;
    let mut rounds = Vec::new();
    for _ in 0..options.rounds_or(3) {
        rounds.push(round(&stage, &ids, &mut heads, &mut talk, clients, options.behind)?);
    }
    let took_s = median_of(&rounds, |round| round.took_s);
    let mut table =
        Table::new(&["clients", "all caught up after s", "connects retried", "each p50/p99/max ms", "server cores", "RSS MiB", "target s"]);
    table.row(vec![
        clients.to_string(),
        format!("{took_s:.2}"),
        format!("{:.0}", median_of(&rounds, |round| round.retries as f64)),
        latency::medians(&rounds.iter().map(|round| round.each).collect::<Vec<_>>()).to_string(),
        format!("{:.2}", median_of(&rounds, |round| round.peer_cores)),
        mib(median_of(&rounds, |round| round.rss_bytes)),
        "≤ 10".into(),
    ]);
    let note = format!(
        "{clients} clients in {channels} channels, {} messages behind, {per_user} sessions per account, from \
         {SOURCE_ADDRESSES} loopback addresses; every seq checked, none lost, none twice",
        options.behind
    );
    let each: Vec<_> =
        rounds.iter().map(|round| json!({ "s": round.took_s, "each": round.each.json(), "retries": round.retries })).collect();
    report.add("reconnect", &note, &table, json!({ "clients": clients, "behind": options.behind, "s": took_s, "rounds": each }));
    Ok(())
}

/// One sender per channel, a member of it.
fn talk(stage: &Stage, channels: &[String], options: &Options) -> Result<Drive> {
    for (account, channel) in stage.accounts.iter().zip(channels) {
        stage.join(channel, std::slice::from_ref(account))?;
    }
    let clients: Vec<Client<'_>> =
        stage.accounts[..channels.len()].iter().map(|account| Client { token: &account.token, follow: None, echo: false }).collect();
    let mut net = Net::new(stage.target())?;
    let conns = sign_in(&mut net, &clients, GENTLE)?.conns;
    let (run, body) = (run_word(), options.body());
    let frames = channels.iter().map(|channel| SendFrame::new(channel, &run, &body)).collect();
    Ok(Drive::server(net, Chatter::new(conns, frames, false, FIRST_NUMBER), stage.server.pid()?))
}

/// The channels' last seqs.
fn heads(stage: &Stage, channels: &[String]) -> Result<Vec<u64>> {
    let account = stage.accounts.last().context("no account")?;
    let clients: Vec<Client<'_>> =
        channels.iter().map(|channel| Client { token: &account.token, follow: Some(channel), echo: false }).collect();
    // One connection at a time: an account has few sessions.
    clients.iter().map(|client| Ok(sign_in(&mut Net::new(stage.target())?, &[*client], 1)?.heads[0])).collect()
}

fn round(stage: &Stage, channels: &[String], heads: &mut [u64], talk: &mut Drive, clients: usize, behind: usize) -> Result<Round> {
    // Everyone is there and up to date; then the network is gone.
    come_back(stage, channels, heads, clients, 0)?;
    std::thread::sleep(PAUSE);
    talk.load.send_each(talk.net.conns(), behind)?;
    talk.drain()?;
    let meter = Meter::start(talk.peer_pid);
    let mut back = come_back(stage, channels, heads, clients, behind as u64)?;
    let (peer_cores, rss_bytes) = (meter.used().peer_cores, stage.server.peak_rss_bytes()? as f64);
    std::thread::sleep(PAUSE);
    heads.iter_mut().for_each(|head| *head += behind as u64);
    Ok(Round { took_s: back.took.as_secs_f64(), each: back.each.summary(), retries: back.retries, peer_cores, rss_bytes })
}

/// All clients connect at once, catch up, and are gone again.
fn come_back(stage: &Stage, channels: &[String], heads: &[u64], clients: usize, behind: u64) -> Result<CaughtUp> {
    let clients: Vec<Reader<'_>> = (0..clients)
        .map(|client| {
            let channel = client % channels.len();
            let token = &stage.accounts[client % stage.accounts.len()].token;
            Reader { token, channel: &channels[channel], after: heads[channel], last: heads[channel] + behind, next: heads[channel] + 1 }
        })
        .collect();
    let (count, mut opened) = (clients.len(), 0);
    let mut net = Net::new(stage.target())?;
    let mut load = CatchingUp {
        readers: clients,
        seq_key: Key::new(b"\"seq\":"),
        done: 0,
        retries: 0,
        each: Latency::default(),
        start: Instant::now(),
    };
    while opened < count {
        // Connecting is interleaved with answering.
        for _ in 0..64.min(count - opened) {
            net.conns().open(Speaks::Upgrade)?;
            opened += 1;
        }
        net.turn(Duration::ZERO, &mut load)?;
    }
    net.run(&mut load, WITHIN, "catching up", |load| load.done == count)?;
    let took = load.start.elapsed();
    net.run_for(&mut load, AFTERWARDS)?;
    Ok(CaughtUp { took, each: load.each, retries: load.retries })
}

struct CaughtUp {
    took: Duration,
    each: Latency,
    retries: usize,
}

struct Reader<'a> {
    token: &'a str,
    channel: &'a str,
    after: u64,
    last: u64,
    next: u64,
}

struct CatchingUp<'a> {
    /// By connection.
    readers: Vec<Reader<'a>>,
    seq_key: Key,
    done: usize,
    retries: usize,
    each: Latency,
    start: Instant,
}

impl CatchingUp<'_> {
    /// The answer to subscribing. Its events (15 KB of them) are not parsed, only their seqs are read: bench texts have
    /// no brackets, so that the last `]` ends the list, which begins at `events_at`.
    fn subscribed(&mut self, conns: &Conns, id: usize, payload: &[u8], events_at: usize) -> Result<()> {
        let end = payload.iter().rposition(|&byte| byte == b']').context("an open list of events")?;
        let mut rest = &payload[events_at..end];
        // Events of one kind are of one length: the next seq is as far away as this one was.
        while let Some(number) = self.seq_key.after(rest) {
            self.has(id, digits(number).context("a seq that is no number")?)?;
            rest = number;
        }
        let reader = &self.readers[id];
        let complete = b"\"complete\":true";
        let is_complete = find(&payload[..events_at], complete).or_else(|| find(&payload[end..], complete)).is_some();
        ensure!(!is_complete || reader.next > reader.last, "client {id} is told that {} is all", reader.next - 1);
        self.done_if_there(conns, id, reader.after == reader.last);
        Ok(())
    }

    fn has(&mut self, id: usize, seq: u64) -> Result<()> {
        let reader = &mut self.readers[id];
        ensure!(seq == reader.next && seq <= reader.last, "client {id} got seq {seq} where {} must come", reader.next);
        reader.next += 1;
        Ok(())
    }

    fn done_if_there(&mut self, conns: &Conns, id: usize, was_there: bool) {
        let reader = &self.readers[id];
        if was_there || reader.next == reader.last + 1 {
            self.done += 1;
            self.each.add(conns.now() - self.start);
        }
    }
}

impl Load for CatchingUp<'_> {
    fn closed(&mut self, conns: &mut Conns, id: usize, spoke: Speaks, why: &str) -> Result<()> {
        try_again(conns, id, spoke, why, &mut self.retries)
    }

    fn opened(&mut self, conns: &mut Conns, id: usize) -> Result<()> {
        conns.queue(id, &request::call(HELLO, "session.hello", &json!({ "token": self.readers[id].token })));
        Ok(())
    }

    fn text(&mut self, conns: &mut Conns, id: usize, payload: &[u8]) -> Result<()> {
        let events = b"\"events\":[";
        if let Some(at) = find(payload, events) {
            return self.subscribed(conns, id, payload, at + events.len());
        }
        match rpc::parse(payload)? {
            Message::Answer { id: HELLO, .. } => {
                let reader = &self.readers[id];
                let params = json!({ "conversation": reader.channel, "after": reader.after });
                conns.queue(id, &request::call(SUBSCRIBE, "conversation.subscribe", &params));
            }
            Message::Notification { params, .. } if params["conversation"] == self.readers[id].channel => {
                if let Some(seq) = params["seq"].as_u64() {
                    self.has(id, seq)?;
                    self.done_if_there(conns, id, false);
                }
            }
            Message::Notification { .. } => {}
            other => bail!("client {id} got {other:?}"),
        }
        Ok(())
    }
}
