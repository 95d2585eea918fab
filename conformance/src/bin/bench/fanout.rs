//! One channel, many subscribers: deliveries per second next to the bare writer of the same bytes.
//!
//! Every subscriber is checked to get every seq once, in order.

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::bare::{self, Bare, FanOut, Message, Task};
use crate::deliveries::{Drive, Fan, Sample, Tally};
use crate::net::{Conns, Load, Net, Speaks};
use crate::options::Options;
use crate::report::{Report, Table, median_of, short};
use crate::request::{FIRST_NUMBER, SendFrame, run_word};
use crate::rpc;
use crate::scan::SeqPrefix;
use crate::signin::{Client, GENTLE, sign_in};
use crate::stage::{Served, Stage};

pub const CHANNEL: &str = "lobby";
/// With the default rate of 100 messages/s per session this many senders are never in the way.
const SENDERS_ON_DEFAULT_LIMITS: usize = 64;

pub fn run(options: &Options, report: &mut Report) -> Result<()> {
    let subscribers = options.clients_or(1_000);
    let senders = if options.default_limits { SENDERS_ON_DEFAULT_LIMITS } else { 1 };
    let unlimited = [("limits.messages_per_second", "0")];
    let settings: &[(&str, &str)] = if options.default_limits { &[] } else { &unlimited };
    let stage = Stage::start(options, settings, subscribers + senders)?;
    stage.join(CHANNEL, &stage.accounts[..senders])?;
    let mut server = connect(stage.served()?, senders, options)?;
    // A first message, for the bytes that the bare writer copies.
    server.measure(1, 0.0, 0.2)?;
    let windows = options.windows_or(&[1, 10, 100]);
    let mut rounds: Vec<Vec<Round>> = windows.iter().map(|_| Vec::new()).collect();
    for _ in 0..options.rounds_or(5) {
        for (&window, rounds) in windows.iter().zip(&mut rounds) {
            rounds.push(Round::measure(&mut server, window, options)?);
        }
    }
    let limits = if options.default_limits { "default limits" } else { "message rate limit off" };
    let bytes = server.load.message_bytes();
    let note = format!(
        "1 channel → {subscribers} subscribers, {senders} sender(s), {limits}, {}; notifications of {bytes} B; deliveries/s, \
         medians; bare half: half windows joined into a write (FINDINGS' table), whole: whole windows",
        stage.push_note()
    );
    report.add("fanout", &note, &table(&windows, &rounds), figures(&windows, &rounds, bytes));
    Ok(())
}

fn table(windows: &[usize], rounds: &[Vec<Round>]) -> Table {
    let mut table =
        Table::new(&["window", "hallway", "bare half", "ratio", "bare whole", "ratio", "server cores", "generator", "bare cores"]);
    for (window, rounds) in windows.iter().zip(rounds) {
        let of = |figure: fn(&Round) -> f64| median_of(rounds, figure);
        table.row(vec![
            window.to_string(),
            short(of(|r| r.server.per_s)),
            short(of(|r| r.half.per_s)),
            format!("{:.2}", of(|r| r.server.per_s / r.half.per_s)),
            short(of(|r| r.whole.per_s)),
            format!("{:.2}", of(|r| r.server.per_s / r.whole.per_s)),
            format!("{:.2}", of(|r| r.server.used.peer_cores)),
            format!("{:.2}", of(|r| r.server.used.own_cores)),
            format!("{:.2}", of(|r| r.half.used.peer_cores)),
        ]);
    }
    table
}

fn figures(windows: &[usize], rounds: &[Vec<Round>], notification_bytes: usize) -> Value {
    let per_window = windows.iter().zip(rounds).map(|(window, rounds)| {
        json!({
            "window": window,
            "deliveries_per_s": median_of(rounds, |r| r.server.per_s),
            "bare_half_per_s": median_of(rounds, |r| r.half.per_s),
            "bare_whole_per_s": median_of(rounds, |r| r.whole.per_s),
            "ratio_half": median_of(rounds, |r| r.server.per_s / r.half.per_s),
            "ratio_whole": median_of(rounds, |r| r.server.per_s / r.whole.per_s),
            "server_cores": median_of(rounds, |r| r.server.used.peer_cores),
            "rounds": rounds.iter().map(|r| [r.server.per_s, r.half.per_s, r.whole.per_s]).collect::<Vec<_>>(),
        })
    });
    json!({ "notification_bytes": notification_bytes, "windows": per_window.collect::<Vec<_>>() })
}

/// The server and both limits, one right after the other.
struct Round {
    server: Sample,
    half: Sample,
    whole: Sample,
}

impl Round {
    fn measure(server: &mut Drive<Subscribers>, window: usize, options: &Options) -> Result<Round> {
        let seconds = options.seconds_or(2.0);
        // The new connections' first windows and the server's first batches are not what lasts.
        let warmup_s = options.warmup_s.min(0.5);
        let of_server = server.measure(window, warmup_s, seconds)?;
        let half = bare(server, window.div_ceil(2))?.measure(window, warmup_s, seconds)?;
        let whole = bare(server, window)?.measure(window, warmup_s, seconds)?;
        Ok(Round { server: of_server, half, whole })
    }
}

/// Senders and subscribers, connected to the server.
pub fn connect(server: Served<'_>, senders: usize, options: &Options) -> Result<Drive<Subscribers>> {
    let mut net = Net::new(server.target)?;
    let (of_senders, of_subscribers) = server.accounts.split_at(senders);
    let senders: Vec<Client<'_>> = of_senders.iter().map(|account| Client { token: &account.token, follow: None, echo: false }).collect();
    let subscribers: Vec<Client<'_>> =
        of_subscribers.iter().map(|account| Client { token: &account.token, follow: Some(CHANNEL), echo: true }).collect();
    let senders = sign_in(&mut net, &senders, GENTLE)?.conns;
    let subscribed = sign_in(&mut net, &subscribers, GENTLE)?;
    ensure!(subscribed.conns.start == senders.end, "connections out of order");
    let next_seqs = subscribed.heads.iter().map(|head| head + 1).collect();
    let frame = SendFrame::new(CHANNEL, &run_word(), &options.body());
    let load = Subscribers::new(senders.len(), next_seqs, frame);
    Ok(Drive { net, load, pid: server.pid, bare: None })
}

/// The same subscribers at a bare writer that joins `group` messages.
pub fn bare(server: &Drive<Subscribers>, group: usize) -> Result<Drive<Subscribers>> {
    let readers = server.load.tally.subscribers();
    let frame = server.load.frame.clone();
    let message = Message::websocket(&server.load.sample)?;
    let bare = Bare::start(&Task::FanOut(FanOut { readers, group, request_bytes: frame.len(), has_acks: false, message }))?;
    let mut net = Net::new(bare.address())?;
    for _ in 0..=readers {
        net.conns().open(Speaks::WebSocket)?;
    }
    let load = Subscribers::new(1, vec![bare::FIRST_SEQ; readers], frame);
    Ok(Drive { net, load, pid: bare.pid(), bare: Some(bare) })
}

/// The load: connections 0..senders send, the others receive.
pub struct Subscribers {
    senders: usize,
    frame: SendFrame,
    next_number: u64,
    tally: Tally,
    prefix: SeqPrefix,
    sample: String,
}

impl Subscribers {
    fn new(senders: usize, next_seqs: Vec<u64>, frame: SendFrame) -> Subscribers {
        Subscribers {
            senders,
            frame,
            next_number: FIRST_NUMBER,
            tally: Tally::new(next_seqs),
            prefix: SeqPrefix::default(),
            sample: String::new(),
        }
    }

    /// Bytes of a notification.
    pub fn message_bytes(&self) -> usize {
        self.sample.len()
    }

    fn received(&mut self, conns: &mut Conns, subscriber: usize, seq: u64) -> Result<()> {
        if self.tally.received(subscriber, seq)? {
            self.send(conns);
        }
        Ok(())
    }

    /// The first message, and what is none.
    fn unknown(&mut self, conns: &mut Conns, subscriber: usize, payload: &[u8]) -> Result<()> {
        let rpc::Message::Notification { method, params } = rpc::parse(payload)? else {
            bail!("subscriber {subscriber} got {}", rpc::shown(payload));
        };
        if params["conversation"] != CHANNEL || !matches!(method.as_str(), "message" | "member" | "event") {
            return Ok(());
        }
        let seq = params["seq"].as_u64().context("an event without a seq")?;
        if method != "message" {
            return self.tally.in_order(subscriber, seq);
        }
        // Parsing every notification would measure the generator: all of them must begin as the first one.
        ensure!(self.sample.is_empty(), "this notification does not begin as the first did: {} {}", rpc::shown(payload), self.sample);
        self.prefix.learn(payload);
        self.sample = String::from_utf8_lossy(payload).into_owned();
        self.received(conns, subscriber, seq)
    }
}

impl Fan for Subscribers {
    fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }

    fn send(&mut self, conns: &mut Conns) {
        let number = self.next_number;
        self.next_number += 1;
        conns.queue(number as usize % self.senders, self.frame.numbered(number));
        self.tally.outstanding += 1;
    }

    fn is_done(&self) -> bool {
        self.tally.outstanding == 0
    }
}

impl Load for Subscribers {
    fn text(&mut self, conns: &mut Conns, id: usize, payload: &[u8]) -> Result<()> {
        if id >= self.senders {
            let subscriber = id - self.senders;
            return match self.prefix.seq(payload) {
                Some(seq) => self.received(conns, subscriber, seq),
                None => self.unknown(conns, subscriber, payload),
            };
        }
        // An ack counts for nothing here, a refusal is the end.
        match rpc::parse(payload)? {
            rpc::Message::Refusal { reason, .. } => bail!("a sender was refused: {reason}"),
            rpc::Message::Answer { .. } | rpc::Message::Notification { .. } => Ok(()),
        }
    }
}
