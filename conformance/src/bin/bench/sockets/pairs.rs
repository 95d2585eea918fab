//! Two-person chats: how long from one person to the other at a fixed rate, and how many messages at most.

use anyhow::Result;
use serde_json::json;

use super::login::{Client, log_in};
use super::peer_note;
use super::server::{self, Server, names, speaking};
use super::socketio::{MessageFrame, To};
use super::speech::SocketIo;
use crate::arrivals::GENTLE;
use crate::chatter::Chatter;
use crate::drive::{Drive, Time};
use crate::net::Net;
use crate::options::{Options, Over};
use crate::pairs;
use crate::report::{Report, Table};
use crate::request::{FIRST_NUMBER, run_word};
use crate::stage::Served;

pub fn run(options: &Options, report: &mut Report) -> Result<()> {
    let chats = options.clients_or(1_000);
    let servers = server::start(options, &[], chats * 2)?;
    let direct = match servers.iter().find_map(Server::stage) {
        Some(stage) => stage.direct_chats(chats)?,
        None => (0..chats).map(|chat| format!("dm~bench{:05}~bench{:05}", chat * 2, chat * 2 + 1)).collect(),
    };
    let time = Time::new(options.warmup_s, options.seconds_or(10.0));
    let mut figures = json!({});
    let mut table = Table::new(&pairs::HEADERS);
    for &over in &options.over {
        let servers = speaking(&servers, over);
        // Of which protocol a row is, its server's name says.
        let names: Vec<String> = names(&servers).iter().map(|name| format!("{name}, {}", over.name())).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let served = servers.iter().map(|server| server.served()).collect::<Result<Vec<_>>>()?;
        let all = match over {
            Over::Websocket => {
                let connected = served.iter().map(|&server| Ok(pairs::connect(server, &direct, options)?.0));
                pairs::beside(&mut connected.collect::<Result<Vec<_>>>()?, &names, time, options, &mut table)?
            }
            Over::Socketio => {
                let connected = served.iter().map(|&server| connect(server, chats, options));
                pairs::beside(&mut connected.collect::<Result<Vec<_>>>()?, &names, time, options, &mut table)?
            }
        };
        figures[over.name()] = json!(all);
    }
    let note = format!(
        "{chats} two-person chats, {} connections, every message acked, default limits unless --set; told: due → the partner has it; {}",
        chats * 2,
        peer_note(&servers)
    );
    report.add("sockets_pairs", &note, &table, figures);
    Ok(())
}

/// Over Socket.IO. Two people per chat, one after the other: partners' numbers differ in the last bit.
fn connect(server: Served<'_>, chats: usize, options: &Options) -> Result<Drive<SocketIo>> {
    let people = 0..chats * 2;
    let mut net = Net::new(server.target)?;
    let clients: Vec<Client<'_>> = people.clone().map(|person| Client { token: &server.accounts[person].token, joins: None }).collect();
    let conns = log_in(&mut net, &clients, GENTLE)?.conns();
    let run = run_word();
    let frame = |person: usize| MessageFrame::new(To::Person(&server.accounts[person ^ 1].uid), &run, options.body_bytes);
    let speech = SocketIo::new(people.map(frame).collect());
    Ok(Drive::server(net, Chatter::with(speech, conns, true, FIRST_NUMBER), server.pid))
}
