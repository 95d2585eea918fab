//! The command line. An option that is not given takes the default of the measurement that reads it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context as _, bail};
use clap::{Parser, ValueEnum};
use conformance::mqtt::Version;

/// What to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Command {
    /// Durable messages in: 1,000 senders, each with a conversation of its own.
    Ingest,
    /// One channel, 1,000 subscribers, against the bare writer.
    Fanout,
    /// 1,000 two-person chats: latency at a fixed rate, then saturation.
    Pairs,
    /// Server memory per signed-in connection that does nothing.
    Idle,
    /// 5,000 logins at once, by token and by password.
    Storm,
    /// 10,000 clients come back at once, each 50 messages behind.
    Reconnect,
    /// Time to `ready` with a filled store.
    Coldstart,
    /// 1,000 quiet chats: memory and processor time.
    Headline,
    /// All of these, one after the other: WebSocket.
    All,
    /// MQTT: one chat, 1,000 subscribers, at QoS 0 and 1, beside the peer and the bare writer.
    MqttFanout,
    /// MQTT: 1,000 two-person chats at QoS 1, beside the peer.
    MqttPairs,
    /// MQTT: server memory per silent connection, plain and TLS, beside the peer.
    MqttIdle,
    /// MQTT: 5,000 logins at once, by token and by password, beside the peer.
    MqttStorm,
    /// MQTT: 20,000 topics, then the same retained, beside the peer.
    MqttTopics,
    /// MQTT: 100,000 subscriptions, beside the peer.
    MqttSubscriptions,
    /// All six of MQTT, one after the other.
    Mqtt,
    /// Badge readers over MQTT: from a scan to its result, at rising rates.
    Scans,
    /// XMPP: one room with its archive, 1,000 occupants, beside the peers and the bare writer.
    XmppFanout,
    /// XMPP: 1,000 two-person chats, beside the peers.
    XmppPairs,
    /// XMPP: server memory per silent connection, plain, TLS, and with stream management, beside the peers.
    XmppIdle,
    /// XMPP: 5,000 logins at once, by token and by password, beside the peers.
    XmppStorm,
    /// All four of XMPP, one after the other.
    Xmpp,
    /// WebSocket and Socket.IO: one conversation, 1,000 listeners, beside the peers and the bare writer.
    SocketsFanout,
    /// WebSocket and Socket.IO: 1,000 two-person chats, beside the peers.
    SocketsPairs,
    /// WebSocket and Socket.IO: server memory per silent connection, beside the peers.
    SocketsIdle,
    /// WebSocket and Socket.IO: 5,000 logins at once, by token, beside the peers.
    SocketsStorm,
    /// All four of WebSocket and Socket.IO, one after the other.
    Sockets,
    /// The limit's own process; started by `fanout`, `ingest` and `pairs`.
    #[value(hide = true)]
    BareWriter,
}

impl Command {
    /// What `all` means, cheapest set-up first.
    pub const MEASUREMENTS: [Command; 8] = [
        Command::Fanout,
        Command::Ingest,
        Command::Pairs,
        Command::Headline,
        Command::Idle,
        Command::Storm,
        Command::Reconnect,
        Command::Coldstart,
    ];

    /// What `mqtt` means.
    pub const MQTT: [Command; 6] =
        [Command::MqttFanout, Command::MqttPairs, Command::MqttIdle, Command::MqttStorm, Command::MqttTopics, Command::MqttSubscriptions];

    /// What `xmpp` means.
    pub const XMPP: [Command; 4] = [Command::XmppFanout, Command::XmppPairs, Command::XmppIdle, Command::XmppStorm];

    /// What `sockets` means.
    pub const SOCKETS: [Command; 4] = [Command::SocketsFanout, Command::SocketsPairs, Command::SocketsIdle, Command::SocketsStorm];
}

/// What is measured beside Hallway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Of MQTT; started by the benchmark.
    Mosquitto,
    /// Of WebSocket and Socket.IO; started by the benchmark.
    Node,
    /// Of XMPP; runs already.
    Running {
        name: &'static str,
        plain: SocketAddr,
        tls: Option<SocketAddr>,
    },
    None,
}

impl FromStr for Peer {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Peer, anyhow::Error> {
        let (name, addresses) = match text {
            "mosquitto" => return Ok(Peer::Mosquitto),
            "node" => return Ok(Peer::Node),
            "none" => return Ok(Peer::None),
            _ => text.split_once('=').context("a peer is mosquitto, node, none, prosody=ADDR or ejabberd=ADDR")?,
        };
        let Some(name) = ["prosody", "ejabberd"].into_iter().find(|&known| known == name) else {
            bail!("no peer has the name {name}");
        };
        let (plain, tls) = match addresses.split_once(',') {
            Some((plain, tls)) => (plain, Some(tls.parse()?)),
            None => (addresses, None),
        };
        Ok(Peer::Running { name, plain: plain.parse()?, tls })
    }
}

/// What the loads of `sockets` go over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Over {
    Websocket,
    Socketio,
}

impl Over {
    pub fn name(self) -> &'static str {
        match self {
            Over::Websocket => "WebSocket",
            Over::Socketio => "Socket.IO",
        }
    }
}

/// What an idle XMPP connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Idle {
    Plain,
    Tls,
    /// Plain, with stream management (XEP-0198).
    Managed,
}

/// Load generator for Hallway's WebSocket, Socket.IO, MQTT and XMPP edges. Needs the release binary (`cargo build --release`, or HALLWAY_BIN).
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
pub struct Options {
    /// What to measure
    pub command: Command,
    /// Rounds; the medians are reported [fan-out 5, others 3]
    #[arg(long)]
    pub rounds: Option<usize>,
    /// Measured seconds per round and load [fanout 2, ingest 20, pairs 10, headline 60, scans 5]
    #[arg(long)]
    pub seconds: Option<f64>,
    /// Seconds of load before the measured ones
    #[arg(long, default_value_t = 1.0)]
    pub warmup_s: f64,
    /// Where the results go
    #[arg(long, default_value = "bench.json")]
    pub json: PathBuf,
    /// Keep the server's data here and use it again (accounts too) [a temporary directory]
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// Processor cores for generator, server and bare writer: "0,1", or "all"
    #[arg(long, default_value = "0,1")]
    pub cpus: String,
    /// Subscribers, senders, chats, readers or connections [fanout, ingest, pairs, headline 1,000; idle, storm 5,000; reconnect 10,000;
    /// scans 100]
    #[arg(long)]
    pub clients: Option<usize>,
    /// Connections per account in idle, storm and reconnect (the server allows 8) [idle, storm 1; reconnect 4]
    #[arg(long)]
    pub sessions_per_user: Option<usize>,
    /// Bytes of a message's text
    #[arg(long, default_value_t = 200)]
    pub body_bytes: usize,
    /// Messages outstanding: fanout in all (a list), ingest per sender, pairs in all (a list)
    /// [fanout 1,10,100; ingest 4; pairs 100,1000,4000; scans 100]
    #[arg(long, value_delimiter = ',')]
    pub windows: Vec<usize>,
    /// fanout: keep the server's default message rate, and spread the sending over enough sessions
    #[arg(long)]
    pub default_limits: bool,
    /// ingest: groups of one instead of direct chats (needs half the accounts)
    #[arg(long)]
    pub groups: bool,
    /// Messages per second in all [pairs 2,000; headline clients / 5]
    #[arg(long)]
    pub rate: Option<f64>,
    /// coldstart: stored events
    #[arg(long, default_value_t = 1_000_000)]
    pub events: u64,
    /// coldstart: write the operating system's page cache back and drop it before each start (needs root, slows others)
    #[arg(long)]
    pub drop_caches: bool,
    /// coldstart: stop with SIGKILL instead of SIGTERM
    #[arg(long)]
    pub kill: bool,
    /// reconnect: how many messages each client missed
    #[arg(long, default_value_t = 50)]
    pub behind: usize,
    /// reconnect: how many channels the clients follow, one each
    #[arg(long, default_value_t = 100)]
    pub channels: usize,
    /// A push target for each account, a webhook at a strict fake in this process. Who speaks is there and is pushed nothing: for
    /// pushes, --one-sided --set push.active_ms=0
    #[arg(long)]
    pub push: bool,
    /// pairs, headline: only one of each two speaks, so that the other may count as away
    #[arg(long)]
    pub one_sided: bool,
    /// What is measured in the same rounds. mqtt: mosquitto, skipped where it is not installed, or none. xmpp: a server that
    /// runs already, prosody=ADDR or ejabberd=ADDR, or both; ADDR,ADDR has direct TLS at the second (conformance/peers/xmpp).
    /// sockets: node, skipped where its libraries cannot be had, or none
    #[arg(long, value_name = "PEER", default_values = ["mosquitto", "node"])]
    pub peer: Vec<Peer>,
    /// sockets: what the loads go over (a list)
    #[arg(long, value_enum, value_delimiter = ',', default_value = "websocket,socketio")]
    pub over: Vec<Over>,
    /// mqtt, xmpp, sockets: measure the peers alone
    #[arg(long)]
    pub without_hallway: bool,
    /// mqtt-fanout: QoS of the subscriptions (a list)
    #[arg(long, value_delimiter = ',', default_value = "0,1", value_parser = clap::value_parser!(u8).range(0..=1))]
    pub qos: Vec<u8>,
    /// mqtt: protocol version, 4 for 3.1.1, or 5
    #[arg(long = "v", default_value_t = 4, value_parser = clap::value_parser!(u8).range(4..=5))]
    pub v: u8,
    /// mqtt-topics: topics; mqtt-subscriptions: subscriptions [20,000; 100,000]
    #[arg(long)]
    pub topics: Option<usize>,
    /// xmpp-idle: which connections (a list); a peer's first are the only ones that find a fresh process
    #[arg(long, value_enum, value_delimiter = ',', default_value = "plain,tls,managed")]
    pub idle: Vec<Idle>,
    /// More configuration for the server, e.g. --set limits.messages_per_second=0
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
}

impl Options {
    /// `--rounds`, or what suits the measurement; never 0.
    pub fn rounds_or(&self, default: usize) -> usize {
        self.rounds.unwrap_or(default).max(1)
    }

    /// `--clients`, or what the measurement is defined with.
    pub fn clients_or(&self, default: usize) -> usize {
        self.clients.unwrap_or(default).max(1)
    }

    /// `--seconds`, or what suits the measurement.
    pub fn seconds_or(&self, default: f64) -> f64 {
        self.seconds.unwrap_or(default).max(0.1)
    }

    /// `--windows`, or what the measurement is defined with.
    pub fn windows_or(&self, default: &[usize]) -> Vec<usize> {
        let given: Vec<usize> = self.windows.iter().copied().filter(|&window| window > 0).collect();
        if given.is_empty() { default.to_vec() } else { given }
    }

    /// `--v`.
    pub fn version(&self) -> Version {
        if self.v == 5 { Version::V5 } else { Version::V4 }
    }

    /// The text of every message: letters that need no escaping, so that its length on the wire is known.
    pub fn body(&self) -> String {
        "x".repeat(self.body_bytes.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_a_name_with_its_addresses() {
        let peer = |text: &str| text.parse::<Peer>();
        let (plain, tls) = (SocketAddr::from(([127, 0, 0, 1], 5222)), SocketAddr::from(([127, 0, 0, 1], 5223)));
        assert_eq!(peer("prosody=127.0.0.1:5222").expect("a peer"), Peer::Running { name: "prosody", plain, tls: None });
        let both = peer("ejabberd=127.0.0.1:5222,127.0.0.1:5223").expect("a peer");
        assert_eq!(both, Peer::Running { name: "ejabberd", plain, tls: Some(tls) });
        assert_eq!(peer("mosquitto").expect("a peer"), Peer::Mosquitto);
        assert_eq!(peer("node").expect("a peer"), Peer::Node);
        assert_eq!(peer("none").expect("no peer"), Peer::None);
        assert!(peer("prosody").is_err() && peer("prosody=localhost").is_err() && peer("other=127.0.0.1:1").is_err());
    }
}
