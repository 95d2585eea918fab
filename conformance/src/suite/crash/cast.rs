//! Who plays: senders and readers, whatever their protocol, and what is asked of them.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use anyhow::{Result, anyhow};

use super::drafts::Drafts;
use super::{mqtt, reader, sender, xmpp};
use crate::check::{Event, Violation};
use crate::client::ClientError;
use crate::server::{Options, Server};
use crate::suite::load;
use crate::xmpp::client::Endpoints;
use crate::xmpp::script::world::register;

/// Where the server is since its last start.
#[derive(Clone)]
pub struct Addresses {
    /// HTTP and WebSocket.
    pub http: SocketAddr,
    /// MQTT.
    pub mqtt: SocketAddr,
    /// XMPP, if anybody speaks it.
    pub xmpp: Option<Endpoints>,
}

impl Addresses {
    /// Of a server that runs.
    pub fn of(server: &Server, cast: &Cast) -> Result<Addresses> {
        let xmpp = if cast.has_xmpp { Some(server.xmpp_endpoints()?) } else { None };
        Ok(Addresses { http: server.http(), mqtt: server.mqtt()?, xmpp })
    }
}

/// The newest message of each conversation, by seq and id.
pub type Heads = BTreeMap<String, (u64, String)>;

/// What a sender did.
#[derive(Debug, Default)]
pub struct Sent {
    /// What was acked, by kind.
    pub acked: BTreeMap<&'static str, usize>,
    /// What was not acked, and sent again after a crash.
    pub retried: usize,
    /// What was acked, and sent again nevertheless.
    pub repeated: usize,
}

/// One who sends.
pub trait Sending: Send {
    /// Who and over what.
    fn name(&self) -> String;
    /// From now on what is new goes to these.
    fn speak_in(&mut self, channels: &[String]);
    /// Sends until the server is gone.
    fn run(&mut self, to: &Addresses) -> Result<()>;
    /// Sends what is unacked, and no more.
    fn finish(&mut self, to: &Addresses) -> Result<()>;
    /// What was promised and is not so.
    fn violations(&self, channel: &str, stored: &[Event]) -> Vec<Violation>;
    /// What was done.
    fn sent(&self) -> Sent;
    /// Whether enough was done, of what only this protocol has, to mean something.
    fn is_enough(&self) -> Result<()> {
        Ok(())
    }
    /// All that was promised, one line each.
    fn trace(&self) -> Vec<String>;
}

/// One who reads.
pub trait Reading: Send {
    /// Who and over what.
    fn name(&self) -> String;
    /// From now on these are followed.
    fn follow(&mut self, channels: &[String]);
    /// Reads until the server is gone.
    fn run(&mut self, to: &Addresses) -> Result<()>;
    /// Reads until everything up to the heads has come.
    fn catch_up(&mut self, to: &Addresses, heads: &Heads) -> Result<()>;
    /// What was seen and is not so.
    fn violations(&self, channel: &str, stored: &[Event]) -> Vec<Violation>;
    /// How much was seen, and how often there was something to catch up with.
    fn seen(&self) -> (usize, usize);
    /// Whether enough was done, of what only this protocol has, to mean something.
    fn is_enough(&self) -> Result<()> {
        Ok(())
    }
    /// All that was seen, one line each.
    fn trace(&self) -> Vec<String>;
}

type Senders = Vec<Box<dyn Sending>>;
type Readers = Vec<Box<dyn Reading>>;

/// Who plays in a run.
pub struct Cast {
    /// What the run is called.
    pub title: &'static str,
    /// Whether XMPP is spoken.
    pub has_xmpp: bool,
    senders: fn(&Server, seed: u64) -> Result<Senders>,
    readers: fn(&Server) -> Result<Readers>,
}

/// WebSocket alone.
pub const WEBSOCKET: Cast = Cast {
    title: "crash",
    has_xmpp: false,
    senders: |server, seed| (0..4).map(|at| websocket_sender(server, at, seed)).collect(),
    // The last one comes anew each time, and wants all from the beginning.
    readers: |server| (0..3).map(|at| websocket_reader(server, at, at < 2)).collect(),
};

/// All protocols in the same conversations.
pub const EVERYWHERE: Cast = Cast {
    title: "crash over all protocols",
    has_xmpp: true,
    senders: |server, seed| {
        let mut all = vec![websocket_sender(server, 0, seed)?, websocket_sender(server, 1, seed)?];
        for at in 0..2 {
            let (by_mqtt, by_xmpp) = (format!("mqtt-sender-{at}"), format!("xmpp-sender-{at}"));
            register(server, &by_mqtt)?;
            register(server, &by_xmpp)?;
            all.push(Box::new(mqtt::Sender::new(Drafts::new(&by_mqtt, seed + at))));
            all.push(Box::new(xmpp::sender::Sender::new(Drafts::new(&by_xmpp, seed + at))));
        }
        Ok(all)
    },
    readers: |server| {
        for uid in ["mqtt-reader", "xmpp-reader-0", "xmpp-reader-1"] {
            register(server, uid)?;
        }
        Ok(vec![
            websocket_reader(server, 0, true)?,
            websocket_reader(server, 1, false)?,
            Box::new(mqtt::Reader::new("mqtt-reader")),
            Box::new(xmpp::reader::Reader::new("xmpp-reader-0", false)),
            Box::new(xmpp::reader::Reader::new("xmpp-reader-1", true)),
        ])
    },
};

fn websocket_sender(server: &Server, at: u64, seed: u64) -> Result<Box<dyn Sending>> {
    let uid = format!("sender-{at}");
    Ok(Box::new(sender::Sender::new(&uid, &load::token(server, &uid)?, seed.wrapping_add(at))))
}

fn websocket_reader(server: &Server, at: u64, resumes: bool) -> Result<Box<dyn Reading>> {
    Ok(Box::new(reader::Reader::new(&load::token(server, &format!("reader-{at}"))?, resumes)))
}

impl Cast {
    /// A server for them.
    pub fn server(&self) -> Result<Server> {
        let options = Options::new().without_rates();
        Server::start(if self.has_xmpp { options.xmpp() } else { options })
    }

    /// Those who send.
    pub fn senders(&self, server: &Server, seed: u64) -> Result<Senders> {
        (self.senders)(server, seed)
    }

    /// Those who read.
    pub fn readers(&self, server: &Server) -> Result<Readers> {
        (self.readers)(server)
    }
}

/// A lost connection is what is waited for; everything else is a failure.
pub fn until_lost(result: Result<()>) -> Result<()> {
    let Err(error) = result else { return Err(anyhow!("ended while the server lived")) };
    let is_loss = |cause: &(dyn std::error::Error + 'static)| {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        let is_late = matches!(kind, Some(io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut));
        (kind.is_some() && !is_late) || matches!(cause.downcast_ref(), Some(ClientError::Lost(_)))
    };
    if error.chain().any(is_loss) { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn only_a_lost_connection_is_forgiven() {
        let lost = |kind| Err::<(), _>(io::Error::from(kind)).context("waiting");
        assert!(until_lost(lost(io::ErrorKind::ConnectionReset)).is_ok());
        assert!(until_lost(Err(crate::xmpp::client::gone("anything"))).is_ok());
        assert!(until_lost(Err(ClientError::Lost(io::ErrorKind::BrokenPipe.into()).into())).is_ok());
        assert!(until_lost(lost(io::ErrorKind::TimedOut)).is_err(), "a server that does not answer");
        assert!(until_lost(Err(anyhow!("a hole"))).is_err());
        assert!(until_lost(Ok(())).is_err(), "who ends by themselves");
    }
}
