//! Everyone logs in at once: with a token, and with a password that the server has seen before.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::arrivals::{Arrivals, try_again};
use crate::http::{Post, post_all};
use crate::latency::{self, Latency, Summary};
use crate::net::{Conns, Load, Net, SOURCE_ADDRESSES, Speaks};
use crate::options::Options;
use crate::report::{Report, Table, median_of};
use crate::request;
use crate::rpc::{self, Message};
use crate::signin::{Client, HELLO, sign_in};
use crate::stage::{Account, Served, Stage, login};

const WITHIN: Duration = Duration::from_secs(120);
/// Between storms the server notices that the last one's connections are gone.
pub const PAUSE: Duration = Duration::from_secs(1);
/// Of the table.
pub const HEADERS: [&str; 5] = ["login", "all in after s", "connects retried", "each p50/p99/max ms", "target s"];

/// One storm.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    pub took_s: f64,
    pub each: Summary,
    pub retries: usize,
}

impl Round {
    pub fn of(mut arrivals: Arrivals) -> Round {
        Round { took_s: arrivals.took.as_secs_f64(), each: arrivals.latency.summary(), retries: arrivals.retries }
    }
}

pub fn run(options: &Options, report: &mut Report) -> Result<()> {
    let clients = options.clients_or(5_000);
    let per_user = options.sessions_per_user.unwrap_or(1).max(1);
    let stage = Stage::start(options, &[], clients.div_ceil(per_user))?;
    show_passwords(&stage)?;
    let (mut by_token, mut by_password) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds_or(3) {
        by_token.push(token_round(stage.served()?, clients)?);
        std::thread::sleep(PAUSE);
        by_password.push(password_round(&stage, clients)?);
        std::thread::sleep(PAUSE);
    }
    let mut table = Table::new(&HEADERS);
    let figures = json!({
        "clients": clients,
        "token": line(&mut table, "token: connect, upgrade, hello", &by_token, "≤ 1"),
        "password": line(&mut table, "password: POST /api/login, connect, upgrade, hello", &by_password, "≤ 1.5"),
    });
    let note = format!(
        "{clients} clients at once, {per_user} per account, from {SOURCE_ADDRESSES} loopback addresses (unauthenticated \
         connections are limited per address); passwords seen before by this process"
    );
    report.add("storm", &note, &table, figures);
    Ok(())
}

/// A row of the table, and its figures.
pub fn line(table: &mut Table, name: &str, rounds: &[Round], target: &str) -> Value {
    let each = latency::medians(&rounds.iter().map(|round| round.each).collect::<Vec<_>>());
    let took_s = median_of(rounds, |round| round.took_s);
    table.row(vec![
        name.into(),
        format!("{took_s:.2}"),
        format!("{:.0}", median_of(rounds, |round| round.retries as f64)),
        each.to_string(),
        target.into(),
    ]);
    let rounds: Vec<_> =
        rounds.iter().map(|round| json!({ "s": round.took_s, "each": round.each.json(), "retries": round.retries })).collect();
    json!({ "s": took_s, "rounds": rounds })
}

/// A login by everyone. Registration may not fill the cache that a login fills: seen before means a login in this process.
pub fn show_passwords(stage: &Stage) -> Result<()> {
    let logins: Vec<Post> = stage.accounts.iter().map(|account| login(&account.uid)).collect();
    for (status, answer) in post_all(stage.target(), &logins)? {
        ensure!(status == 200, "a login got status {status}: {answer}");
    }
    Ok(())
}

/// Client i belongs to account i modulo the accounts.
fn account(accounts: &[Account], client: usize) -> &Account {
    &accounts[client % accounts.len()]
}

/// Everyone at once, with a token.
pub fn token_round(server: Served<'_>, clients: usize) -> Result<Round> {
    let client = |client| Client { token: &account(server.accounts, client).token, follow: None, echo: false };
    let clients: Vec<Client<'_>> = (0..clients).map(client).collect();
    let mut net = Net::new(server.target)?;
    let mut signed_in = sign_in(&mut net, &clients, clients.len())?;
    Ok(Round { took_s: signed_in.took.as_secs_f64(), each: signed_in.latency.summary(), retries: signed_in.retries })
}

fn password_round(stage: &Stage, clients: usize) -> Result<Round> {
    let target = stage.target();
    let requests: Vec<Vec<u8>> = (0..clients).map(|client| login(&account(&stage.accounts, client).uid).bytes(target)).collect();
    let mut net = Net::new(target)?;
    let mut load = Passwords {
        requests: &requests,
        retries: 0,
        tokens: vec![String::new(); clients],
        client_of: Vec::new(),
        done: 0,
        each: Latency::default(),
        start: Instant::now(),
    };
    for (client, request) in requests.iter().enumerate() {
        let id = net.conns().open(Speaks::Http)?;
        load.is_of(id, client);
        net.conns().queue(id, request);
        // Connecting is interleaved with answering.
        if client % 64 == 63 {
            net.turn(Duration::ZERO, &mut load)?;
        }
    }
    net.run(&mut load, WITHIN, "logins by password", |load| load.done == clients)?;
    Ok(Round { took_s: load.start.elapsed().as_secs_f64(), each: load.each.summary(), retries: load.retries })
}

/// A client has two connections, one after the other: HTTP for the login, then the WebSocket, as a browser does.
struct Passwords<'a> {
    /// By client.
    requests: &'a [Vec<u8>],
    tokens: Vec<String>,
    /// By connection.
    client_of: Vec<usize>,
    done: usize,
    each: Latency,
    start: Instant,
    retries: usize,
}

impl Passwords<'_> {
    fn is_of(&mut self, id: usize, client: usize) {
        debug_assert_eq!(id, self.client_of.len(), "connections are numbered in the order of opening");
        self.client_of.push(client);
    }
}

impl Load for Passwords<'_> {
    fn closed(&mut self, conns: &mut Conns, id: usize, spoke: Speaks, why: &str) -> Result<()> {
        try_again(conns, id, spoke, why, &mut self.retries)?;
        if spoke == Speaks::Http {
            conns.queue(id, &self.requests[self.client_of[id]]);
        }
        Ok(())
    }

    fn responded(&mut self, conns: &mut Conns, id: usize, status: u16, body: &[u8]) -> Result<()> {
        ensure!(status == 200, "a login got status {status}: {}", rpc::shown(body));
        let answer: Value = serde_json::from_slice(body)?;
        let client = self.client_of[id];
        self.tokens[client] = answer["token"].as_str().context("a login without a token")?.to_owned();
        conns.close(id);
        let websocket = conns.open(Speaks::Upgrade)?;
        self.is_of(websocket, client);
        Ok(())
    }

    fn opened(&mut self, conns: &mut Conns, id: usize) -> Result<()> {
        let token = &self.tokens[self.client_of[id]];
        conns.queue(id, &request::call(HELLO, "session.hello", &json!({ "token": token })));
        Ok(())
    }

    fn text(&mut self, conns: &mut Conns, _id: usize, payload: &[u8]) -> Result<()> {
        match rpc::parse(payload)? {
            Message::Answer { id: HELLO, .. } => {
                self.done += 1;
                self.each.add(conns.now() - self.start);
                Ok(())
            }
            Message::Notification { .. } => Ok(()),
            other => bail!("session.hello got {other:?}"),
        }
    }
}
