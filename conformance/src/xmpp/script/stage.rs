//! A story is played: who does what with which connection.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};

use super::pattern::{Vars, fill, fill_element};
use super::sentence::{Deed, Sentence};
use super::session::Session;
use super::world::World;
use crate::script::password;
use crate::xmpp::client::{Client, Over};
use crate::xmpp::element::{Element, STREAMS};
use crate::xmpp::sasl::Mechanism;

/// The resource of somebody who has only one.
const RESOURCE: &str = "desk";

/// A server, and who is connected to it.
pub struct Stage<'w> {
    world: &'w World,
    sessions: BTreeMap<String, Session>,
    /// Stanzas that came over a connection that was cut (XEP-0198).
    handled: BTreeMap<String, u32>,
    vars: Vars,
}

/// `alice/phone` → `alice`, `phone`.
fn name_and_resource(who: &str) -> (&str, &str) {
    who.split_once('/').unwrap_or((who, RESOURCE))
}

impl<'w> Stage<'w> {
    /// Nobody is there yet.
    #[must_use]
    pub fn new(world: &'w World) -> Stage<'w> {
        let mut vars = Vars::new();
        vars.insert("domain".into(), world.endpoints().domain.clone());
        vars.insert("rooms".into(), world.rooms());
        for name in world.people() {
            vars.insert(name.clone(), format!("{name}@{}", world.endpoints().domain));
        }
        Stage { world, sessions: BTreeMap::new(), handled: BTreeMap::new(), vars }
    }

    /// Plays a sentence.
    ///
    /// # Errors
    /// What was expected and what came.
    pub fn play(&mut self, sentence: &Sentence) -> Result<()> {
        let Sentence::Deed(who, deed) = sentence else { return Ok(()) };
        for who in who {
            self.act(who, deed).with_context(|| who.clone())?;
        }
        Ok(())
    }

    fn session(&mut self, who: &str) -> Result<&mut Session> {
        self.sessions.get_mut(who).with_context(|| format!("{who} is not connected"))
    }

    fn act(&mut self, who: &str, deed: &Deed) -> Result<()> {
        match deed {
            Deed::OpensConnection(over) => self.enter(who, Client::open(self.world.endpoints(), *over)?),
            Deed::OpensStream(over) => self.enter(who, Client::greet(self.world.endpoints(), *over)?),
            Deed::LogsIn(mechanism) => {
                let (name, _) = name_and_resource(who);
                self.session(who)?.client.authenticate(*mechanism, name, &password(name))?;
            }
            Deed::Binds => self.bind(who)?,
            Deed::Connects(over, mechanism) => self.connect(who, *over, *mechanism)?,
            Deed::ComesOnline(over) => {
                self.connect(who, *over, Mechanism::ScramSha1)?;
                let domain = self.world.endpoints().domain.clone();
                let own = self.vars.get(&full(who)).cloned().unwrap_or_default();
                let session = self.session(who)?;
                session.send("<presence/>")?;
                session.round_trip(&domain)?;
                // It comes back [RFC 6121 §4.2.2]; a story of its own looks whether it does.
                session.forget_from(&own);
            }
            Deed::Joins(room) => self.join(who, room)?,
            Deed::Sends(xml) => {
                let xml = fill(xml, &self.known(who))?;
                self.session(who)?.send(&xml)?;
            }
            Deed::Gets(xml) => self.gets(who, xml, Session::gets)?,
            Deed::GetsInOrder(xml) => self.gets(who, xml, Session::gets_next)?,
            Deed::EventuallyGets(xml) => self.gets(who, xml, Session::eventually_gets)?,
            Deed::IsOffered(xml) => self.is_offered(who, xml)?,
            Deed::IsRefused { kind, condition } => self.session(who)?.is_refused(kind, condition)?,
            Deed::GetsNothingMore(kind) => {
                self.settle(who)?;
                self.session(who)?.has_nothing(kind.as_deref())?;
            }
            Deed::Forgets => {
                self.settle(who)?;
                self.session(who)?.forget();
            }
            Deed::IsCutOff => {
                let session = self.leave(who)?;
                session.client.cut();
            }
            Deed::GoesAway => self.leave(who)?.client.close()?,
            Deed::StreamEnds(expected) => {
                let came = self.session(who)?.stream_end()?;
                ensure!(came == *expected, "the stream's error is {came:?}, not {expected:?}");
                self.leave(who)?;
            }
        }
        Ok(())
    }

    fn enter(&mut self, who: &str, client: Client) {
        let handled = self.handled.remove(who);
        self.sessions.insert(who.to_owned(), Session::new(client, handled));
    }

    fn leave(&mut self, who: &str) -> Result<Session> {
        let session = self.sessions.remove(who).with_context(|| format!("{who} is not connected"))?;
        if let Some(handled) = session.handled() {
            self.handled.insert(who.to_owned(), handled);
        }
        Ok(session)
    }

    /// What is known to the scripts, and how many stanzas this one has handled.
    fn known(&self, who: &str) -> Vars {
        let mut vars = self.vars.clone();
        let handled = self.sessions.get(who).and_then(Session::handled);
        if let Some(handled) = handled {
            vars.insert("h".into(), handled.to_string());
        }
        vars
    }

    fn connect(&mut self, who: &str, over: Over, mechanism: Mechanism) -> Result<()> {
        let (name, _) = name_and_resource(who);
        let mut client = Client::greet(self.world.endpoints(), over)?;
        client.authenticate(mechanism, name, &password(name))?;
        self.enter(who, client);
        self.bind(who)
    }

    fn bind(&mut self, who: &str) -> Result<()> {
        let session = self.session(who)?;
        let jid = session.client.bind(name_and_resource(who).1)?;
        session.is_bound = true;
        self.vars.insert(full(who), jid);
        Ok(())
    }

    fn join(&mut self, who: &str, room: &str) -> Result<()> {
        let (name, _) = name_and_resource(who);
        let room = if room.contains('@') { fill(room, &self.vars)? } else { format!("{room}@{}", self.world.rooms()) };
        let session = self.session(who)?;
        session.send(&format!("<presence to='{room}/{name}'><x xmlns='http://jabber.org/protocol/muc'/></presence>"))?;
        session.has_joined(&room)
    }

    fn gets(&mut self, who: &str, xml: &str, get: impl Fn(&mut Session, &Element, &mut Vars) -> Result<()>) -> Result<()> {
        let mut vars = std::mem::take(&mut self.vars);
        let result = self.session(who).and_then(|session| {
            // Pattern by pattern, so that one may use what the one before has captured.
            for pattern in Element::parse_all(xml)? {
                get(session, &fill_element(&pattern, &vars)?, &mut vars)?;
            }
            Ok(())
        });
        self.vars = vars;
        result
    }

    fn is_offered(&mut self, who: &str, xml: &str) -> Result<()> {
        let pattern = Element::parse(&format!("<features xmlns='{STREAMS}'>{}</features>", fill(xml, &self.vars)?))?;
        let mut vars = std::mem::take(&mut self.vars);
        let result = self.session(who).and_then(|session| {
            let features = session.client.features();
            super::pattern::matches(&pattern, features, &mut vars).with_context(|| format!("offered is {features}"))
        });
        self.vars = vars;
        result
    }

    /// Everybody's round trip, `who`'s at last: what others have sent before has arrived.
    fn settle(&mut self, who: &str) -> Result<()> {
        let domain = self.world.endpoints().domain.clone();
        if !self.sessions.contains_key(who) {
            bail!("{who} is not connected");
        }
        let others: Vec<String> = self.sessions.iter().filter(|(_, session)| session.is_bound).map(|(name, _)| name.clone()).collect();
        for name in others.iter().map(String::as_str).chain([who]) {
            self.session(name)?.round_trip(&domain)?;
        }
        Ok(())
    }
}

/// Under what name the full JID is known: `alice/desk`.
fn full(who: &str) -> String {
    let (name, resource) = name_and_resource(who);
    format!("{name}/{resource}")
}
