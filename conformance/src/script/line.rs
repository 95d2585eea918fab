//! How somebody is connected: one trait, one implementation per protocol. A later protocol (MQTT, XMPP, Socket.IO)
//! translates the methods and notifications of the JSON protocol to its own, and becomes sayable as `signs in over …`.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::client::{ANSWER_WITHIN, Client, ClientError, Connect, Outcome};
use crate::http;

/// A connection of one person.
pub trait Line {
    /// Calls a method and waits for its answer.
    ///
    /// # Errors
    /// When the connection ends instead, or nothing comes.
    fn call(&mut self, method: &str, params: &Value) -> Result<Outcome>;

    /// Makes all calls, pipelined where the protocol can; the answers in the calls' order.
    ///
    /// # Errors
    /// As [`Line::call`].
    fn call_all(&mut self, method: &str, params: &[Value]) -> Result<Vec<Outcome>> {
        params.iter().map(|params| self.call(method, params)).collect()
    }

    /// Notifications that have come; waits for one when none is there. Empty when the time is over.
    ///
    /// # Errors
    /// When the connection has ended.
    fn arrivals(&mut self, within: Duration) -> Result<Vec<Value>>;

    /// The raw connection, for those protocols that have one.
    ///
    /// # Errors
    /// When this one has none.
    fn raw(&mut self) -> Result<&mut Client> {
        bail!("this protocol has no raw access")
    }

    /// Ends the connection without a word.
    fn go_away(self: Box<Self>) {}
}

/// JSON-RPC over WebSocket.
#[derive(Debug)]
pub struct WebSocket(pub Client);

impl WebSocket {
    /// Upgrades; no hello yet.
    ///
    /// # Errors
    /// When it is not accepted.
    pub fn open(to: SocketAddr, headers: &[(String, String)]) -> Result<WebSocket, ClientError> {
        let connect = headers.iter().fold(Connect::new(), |connect, (name, value)| connect.header(name, value));
        Ok(WebSocket(connect.open(to)?))
    }
}

impl Line for WebSocket {
    fn call(&mut self, method: &str, params: &Value) -> Result<Outcome> {
        Ok(self.0.call(method, params)?)
    }

    fn call_all(&mut self, method: &str, params: &[Value]) -> Result<Vec<Outcome>> {
        let ids = params.iter().map(|params| self.0.send(method, params)).collect::<Result<Vec<_>, _>>()?;
        Ok(ids.into_iter().map(|id| self.0.answer(id, ANSWER_WITHIN)).collect::<Result<_, _>>()?)
    }

    fn arrivals(&mut self, within: Duration) -> Result<Vec<Value>> {
        match self.0.notification(within) {
            Err(ClientError::Timeout(..)) => Ok(Vec::new()),
            Err(other) => Err(other.into()),
            Ok(first) => Ok(std::iter::once(first).chain(self.0.take_notifications()).collect()),
        }
    }

    fn raw(&mut self) -> Result<&mut Client> {
        Ok(&mut self.0)
    }

    fn go_away(self: Box<Self>) {
        self.0.abandon();
    }
}

/// JSON-RPC over `POST /rpc`: answers only.
#[derive(Debug)]
pub struct Http {
    to: SocketAddr,
    token: String,
}

impl Http {
    /// Every call carries the token.
    #[must_use]
    pub fn new(to: SocketAddr, token: &str) -> Http {
        Http { to, token: token.to_owned() }
    }
}

impl Line for Http {
    fn call(&mut self, method: &str, params: &Value) -> Result<Outcome> {
        http::rpc(self.to, &self.token, method, params)
    }

    fn arrivals(&mut self, _within: Duration) -> Result<Vec<Value>> {
        bail!("nothing is told over http")
    }
}

/// What `signs in over PROTOCOL` gives: the line, and the result of the hello.
///
/// # Errors
/// When it is not accepted; a refusal of the hello is [`ClientError::Refused`].
pub fn sign_in(protocol: &str, to: SocketAddr, token: &str) -> Result<(Box<dyn Line>, Value)> {
    match protocol {
        "ws" => {
            let WebSocket(mut client) = WebSocket::open(to, &[])?;
            let hello = client.hello(token)?;
            Ok((Box::new(WebSocket(client)), hello))
        }
        "http" => Ok((Box::new(Http::new(to, token)), json!({}))),
        other => bail!("nobody can sign in over '{other}' yet"),
    }
}
