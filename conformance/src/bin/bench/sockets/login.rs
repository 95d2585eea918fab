//! Many Socket.IO connections up to the point where a load begins: upgraded, connected with a token, in a conversation.

use anyhow::{Result, bail};

use super::socketio::{self, PATH, Text};
use crate::arrivals::{Arrivals, Arriving, arrive, try_again};
use crate::net::{Conns, Load, Net, Speaks};

/// One connection to be.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    pub token: &'a str,
    /// The conversation to join.
    pub joins: Option<&'a str>,
}

/// Lets all clients in, `at_once` at a time. The connections' numbers follow on those that `net` has.
pub fn log_in(net: &mut Net, clients: &[Client<'_>], at_once: usize) -> Result<Arrivals> {
    net.conns().upgrade_at(PATH);
    let mut load = LoggingIn { clients, arrivals: Arrivals::new(net, clients.len()) };
    arrive(net, &mut load, Speaks::Upgrade, at_once)?;
    Ok(load.arrivals)
}

struct LoggingIn<'a> {
    clients: &'a [Client<'a>],
    arrivals: Arrivals,
}

impl Arriving for LoggingIn<'_> {
    fn arrivals(&mut self) -> &mut Arrivals {
        &mut self.arrivals
    }
}

impl Load for LoggingIn<'_> {
    fn opened(&mut self, _conns: &mut Conns, _id: usize) -> Result<()> {
        // The server speaks first.
        Ok(())
    }

    fn text(&mut self, conns: &mut Conns, id: usize, payload: &[u8]) -> Result<()> {
        let text = socketio::heard(conns, id, payload)?;
        let Some(number) = self.arrivals.client(id) else {
            return Ok(());
        };
        let client = self.clients[number];
        match (text, client.joins) {
            (Text::Open, _) => conns.queue(id, &socketio::connect(client.token)),
            (Text::Connected, Some(conversation)) => conns.queue(id, &socketio::join(conversation)),
            (Text::Connected, None) | (Text::Ack(_), Some(_)) => self.arrivals.is_in(conns),
            (Text::Event | Text::Nothing, _) => {}
            (Text::Ack(_), None) => bail!("client {number} got an acknowledgement of nothing"),
        }
        Ok(())
    }

    fn closed(&mut self, conns: &mut Conns, id: usize, spoke: Speaks, why: &str) -> Result<()> {
        try_again(conns, id, spoke, why, &mut self.arrivals.retries)
    }
}
