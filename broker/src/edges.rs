//! What one edge offers another. The binary joins them, so that edges never see each other.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use tokio::net::TcpStream;

use crate::accounts::jwt::Providers;
use crate::accounts::{Accounts, Identity, Wish};
use crate::hub::Hub;
use crate::ids::{ConferenceId, Uid};
use crate::model::{SignIn, Tap};
use crate::peers::{Peers, Unauthenticated};
use crate::reject::{Reason, Reject};
use crate::sending::Sending;
use crate::session::Session;
use crate::shard::Shard;

/// What all edges sign people in by: limits count over all of them.
#[derive(Clone)]
pub struct SignIns {
    /// Passwords and tokens.
    pub accounts: Arc<Accounts>,
    /// Connections that have not signed in.
    pub peers: Peers,
}

impl SignIns {
    /// Those of a hub.
    #[must_use]
    pub fn new(hub: &Hub) -> Self {
        Self::with_providers(hub, Providers::default())
    }

    /// The same, with the identity providers whose tokens are taken.
    #[must_use]
    pub fn with_providers(hub: &Hub, providers: Providers) -> Self {
        let limits = hub.limits();
        let accounts = Accounts::new(limits, Arc::clone(hub.clock())).with_providers(providers);
        Self { accounts: Arc::new(accounts), peers: Peers::new(limits.unauthenticated_per_address) }
    }
}

/// What somebody shows in place of a password.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shown<'s> {
    /// A token: one of ours, or of the conference's identity provider.
    Token(&'s str),
    /// A ticket, which is used then.
    Ticket(&'s str),
}

/// Somebody who shows a password, or a token in its place.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    /// Their uid; a token names its user itself.
    pub name: Option<&'a str>,
    /// The conference.
    pub conference: &'a str,
    /// The password or token.
    pub secret: &'a str,
    /// From where.
    pub peer: IpAddr,
    /// Whoever is not known there gets an account, if everybody may make their own: in demo mode.
    pub makes_accounts: bool,
}

impl SignIns {
    /// Who shows this: the one way in by token, JWT or ticket, of every HTTP route and upgrade and of `session.hello`. A conference that is named
    /// must be theirs; without one it is the token's.
    ///
    /// # Errors
    /// [`Reason::BadToken`], [`Reason::BadTicket`], [`Reason::TokenExpired`], [`Reason::ProviderUnavailable`], those of an account that cannot be
    /// made, and those of the store.
    pub async fn identify(&self, hub: &Hub, shown: Shown<'_>, conference: Option<&str>) -> Result<Identity, Reject> {
        match shown {
            Shown::Token(token) => self.accounts.by_bearer(hub, token, conference).await,
            Shown::Ticket(ticket) => {
                let identity = self.accounts.by_ticket(hub.reader(), ticket)?;
                let is_there = conference.is_none_or(|conference| identity.conference.as_str() == conference);
                if is_there { Ok(identity) } else { Err(Reason::BadTicket.into()) }
            }
        }
    }

    /// Signs somebody in.
    ///
    /// # Errors
    /// [`Reason::BadCredentials`], [`Reason::BadToken`] (somebody else's, too), [`Reason::TokenExpired`], [`Reason::LoginRate`], [`Reason::Busy`], those of an
    /// account that cannot be made, and those of the store.
    pub async fn by_secret(&self, hub: &Hub, login: &Login<'_>) -> Result<Identity, Reject> {
        let Login { name, conference, secret, peer, makes_accounts } = *login;
        if self.accounts.is_token(secret, Some(conference)) {
            let identity = self.accounts.by_bearer(hub, secret, Some(conference)).await?;
            let is_theirs = name.is_none_or(|name| identity.uid.as_str() == name);
            return if is_theirs { Ok(identity) } else { Err(Reason::BadToken.into()) };
        }
        let name = name.ok_or(Reason::BadCredentials)?;
        if makes_accounts && is_new(hub, conference, name)? {
            match self.accounts.register(hub, &Wish::new(conference, name, secret), peer).await {
                // Another connection of the same user was quicker.
                Err(reject) if reject.reason != Reason::Taken => return Err(reject),
                _ => {}
            }
        }
        self.accounts.authenticate(hub.reader(), conference, name, secret, peer).await
    }
}

fn is_new(hub: &Hub, conference: &str, name: &str) -> Result<bool, Reject> {
    let (Ok(conference), Ok(uid)) = (ConferenceId::parse(conference), Uid::parse(name)) else { return Ok(false) };
    let Some(record) = hub.reader().conference(conference.as_str())? else { return Ok(false) };
    Ok(record.sign_in == SignIn::Open && hub.reader().user(record.no, &uid)?.is_none())
}

/// The answer to a JSON-RPC message: its text, empty when there is none.
pub type RpcAnswer<'a> = Pin<Box<dyn Future<Output = Vec<u8>> + 'a>>;

/// JSON-RPC, as other edges offer it to their clients.
pub trait JsonRpc: Send + Sync {
    /// Carries out a message (a request or a batch) of a live session, at the rate of `sending`, which counts all that the connection does.
    /// `session.hello`, `conversation.subscribe` and `conversation.unsubscribe` are refused: how a session begins and what it follows are its own edge's.
    fn call<'a>(&'a self, session: &'a Session, sending: &'a Sending, text: &'a str) -> RpcAnswer<'a>;
}

/// What a reader's message comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// Badges were held to it.
    Taps(Vec<Tap>),
    /// It says how it is.
    Health {
        /// Working, or gone.
        online: bool,
        /// In its words.
        detail: Arc<str>,
    },
    /// Nothing that concerns anybody: a status, a heartbeat.
    Nothing,
}

/// How badge readers' own payloads are understood, as the edge that knows them offers it to the one that they come over. Pure.
pub trait BadgeFormats: Send + Sync {
    /// What a payload means; `format` is that of the reader's settings.
    ///
    /// # Errors
    /// [`Reason::InvalidParams`] for what is not a scan.
    fn read(&self, format: &str, payload: &[u8]) -> Result<Reading, Reject>;

    /// Whether a format is one, before it is set for a reader.
    ///
    /// # Errors
    /// [`Reason::InvalidParams`]
    fn check(&self, format: &str) -> Result<(), Reject>;

    /// What formats are called, for who takes a name that is none.
    fn names(&self) -> Vec<&'static str> {
        vec!["auto"]
    }
}

/// A WebSocket that was opened for another edge.
#[derive(Debug)]
pub struct Upgraded {
    /// The socket; the 101 is written.
    pub stream: TcpStream,
    /// What the client sent right after its request.
    pub leftover: Vec<u8>,
    /// Its address, as a trusted proxy names it.
    pub address: IpAddr,
    /// Whether there is TLS in front.
    pub is_secure: bool,
    /// Counts it until somebody signs in on it.
    pub admitted: Unauthenticated,
}

/// An edge that is spoken inside WebSocket.
pub trait InWebSocket: Send + Sync {
    /// Takes a connection over. Must not block: it spawns a task.
    fn enter(&self, shard: &Rc<Shard>, upgraded: Upgraded);
}
