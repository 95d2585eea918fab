//! The load generator: how fast Hallway is over WebSocket, Socket.IO, MQTT and XMPP, next to what the same bytes cost without a server.
//!
//! One thread, one epoll, few instructions per message: it shares two cores with the server it measures. In reading order:
//! - [`options`]: the command line; [`place`]: which cores and how many files; [`report`]: medians, tables, JSON.
//! - [`frame`], [`scan`], [`request`]: bytes out and in, without parsing what need not be parsed.
//! - [`net`]: the loop over all connections, plain or TLS ([`stream`]); a [`net::Load`] says what is done with what arrives.
//! - [`rpc`], [`http`], [`arrivals`], [`signin`], [`stage`]: a server with accounts, conversations and signed-in connections.
//! - [`bare`], [`bare_relay`]: the limit, a process that only writes, or answers, the same bytes; [`meter`]: who used what.
//! - [`speech`], [`chatter`], [`drive`], [`pacer`]: senders, acks and partners, driven at a pace; used by [`ingest`],
//!   [`pairs`], [`headline`] and [`coldstart`].
//! - [`deliveries`] with [`fanout`], [`beside`] for several servers; [`idle`], [`storm`], [`reconnect`]: the other measurements, a file each.
//! - [`mqtt`]: the same over MQTT, many topics and subscriptions, beside another broker.
//! - [`xmpp`]: the same over XMPP, beside servers that run already.
//! - [`sockets`]: over WebSocket and Socket.IO, beside servers of Node.
//!
//! All load goes to loopback, is bounded in count and time, and ends by itself.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

mod arrivals;
mod bare;
mod bare_relay;
mod beside;
mod chatter;
mod coldstart;
mod deliveries;
mod drive;
mod fanout;
mod frame;
mod headline;
mod http;
mod idle;
mod ingest;
mod latency;
mod meter;
mod mqtt;
mod net;
mod options;
mod pacer;
mod pairs;
mod place;
mod reconnect;
mod report;
mod request;
mod rpc;
mod scan;
mod signin;
mod sockets;
mod speech;
mod stage;
mod storm;
mod stream;
mod xmpp;

use anyhow::Result;
use clap::Parser;

use options::{Command, Options};
use report::Report;

fn main() -> Result<()> {
    let options = Options::parse();
    if options.command == Command::BareWriter {
        return bare::serve();
    }
    place::raise_open_files()?;
    let cores = place::pin(&options.cpus);
    let mut report = Report::new(&options, &cores);
    let wanted = match options.command {
        Command::All => Command::MEASUREMENTS.to_vec(),
        Command::Mqtt => Command::MQTT.to_vec(),
        Command::Xmpp => Command::XMPP.to_vec(),
        Command::Sockets => Command::SOCKETS.to_vec(),
        one => vec![one],
    };
    for command in wanted {
        measure(command, &options, &mut report)?;
        // Written after each, so that a failure keeps what was measured before it.
        report.write(&options.json)?;
    }
    eprintln!("written: {}", options.json.display());
    Ok(())
}

fn measure(command: Command, options: &Options, report: &mut Report) -> Result<()> {
    match command {
        Command::Ingest => ingest::run(options, report),
        Command::Fanout => fanout::run(options, report),
        Command::Pairs => pairs::run(options, report),
        Command::Idle => idle::run(options, report),
        Command::Storm => storm::run(options, report),
        Command::Reconnect => reconnect::run(options, report),
        Command::Coldstart => coldstart::run(options, report),
        Command::Headline => headline::run(options, report),
        Command::MqttFanout => mqtt::fanout::run(options, report),
        Command::MqttPairs => mqtt::pairs::run(options, report),
        Command::MqttIdle => mqtt::idle::run(options, report),
        Command::MqttStorm => mqtt::storm::run(options, report),
        Command::MqttTopics => mqtt::topics::run(options, report),
        Command::MqttSubscriptions => mqtt::subscriptions::run(options, report),
        Command::Scans => mqtt::scans::run(options, report),
        Command::XmppFanout => xmpp::fanout::run(options, report),
        Command::XmppPairs => xmpp::pairs::run(options, report),
        Command::XmppIdle => xmpp::idle::run(options, report),
        Command::XmppStorm => xmpp::storm::run(options, report),
        Command::SocketsFanout => sockets::fanout::run(options, report),
        Command::SocketsPairs => sockets::pairs::run(options, report),
        Command::SocketsIdle => sockets::idle::run(options, report),
        Command::SocketsStorm => sockets::storm::run(options, report),
        Command::All | Command::Mqtt | Command::Xmpp | Command::Sockets | Command::BareWriter => Ok(()),
    }
}
